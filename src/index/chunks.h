/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An array that grows without moving: chunk k holds 1024 << k elements, so 21 chunks hold over two billion.
 *
 *     chunk 0 [1024]  chunk 1 [2048]  chunk 2 [4096] ...
 *
 * Laid end to end the chunks are the plain array, so a mapped array is given the same shape by pointing into it, and
 * one lookup serves both. One writer, any number of readers: an element is published by whatever publishes its number.
 */
#ifndef FBAT_INDEX_CHUNKS_H
#define FBAT_INDEX_CHUNKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHUNKS_MAX = 22, CHUNKS_FIRST_LOG2 = 10 };

struct chunks {
    void *_Atomic chunk[CHUNKS_MAX];
    uint32_t element_bytes;
    bool mapped;           /* the memory is not ours */
    uint64_t room;         /* elements that have memory; writer only */
    uint64_t memory_bytes; /* heap held; writer only */
};

void chunks_init(struct chunks *chunks, uint32_t element_bytes);
void chunks_init_mapped(struct chunks *chunks, uint32_t element_bytes, const void *array, uint64_t count);
void chunks_deinit(struct chunks *chunks);

/* Makes room for count elements in all; new ones are zero. False when out of memory. */
bool chunks_reserve(struct chunks *chunks, uint64_t count);

/* Number of elements in chunk k, and of those before it. */
static inline uint64_t chunk_size(unsigned k) {
    return UINT64_C(1) << (k + CHUNKS_FIRST_LOG2);
}
static inline uint64_t chunk_start(unsigned k) {
    return chunk_size(k) - chunk_size(0);
}

/* The element at index, which has memory. */
static inline void *chunks_at(const struct chunks *chunks, uint64_t index) {
    uint64_t block = (index >> CHUNKS_FIRST_LOG2) + 1;
    unsigned k = 63u - (unsigned)__builtin_clzll(block);
    char *base = atomic_load_explicit(&chunks->chunk[k], memory_order_acquire);
    return base + (index - chunk_start(k)) * chunks->element_bytes;
}

#endif
