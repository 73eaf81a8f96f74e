/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory: see heap.h.
 *
 * Happy path: the scratch pad is one chunk that is filled and reset, batch after batch, without touching the heap.
 * A block that does not fit gets a chunk of its own size. Failure: no memory ends the process. One thread.
 */
#include "heap.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRATCH_CHUNK_BYTES (256u * 1024u)
#define SCRATCH_ALIGNMENT 16u

struct scratch_chunk {
    struct scratch_chunk *next;
    size_t size; /* bytes after this head */
};

static void die_without_memory(size_t size) {
    fprintf(stderr, "fbat: out of memory (%zu bytes wanted); what was acknowledged before is in the store\n", size);
    exit(2);
}

void *heap_allocate(size_t size) {
    void *block = malloc(size > 0 ? size : 1);
    if (block == NULL)
        die_without_memory(size);
    return block;
}

void *heap_resize(void *block, size_t size) {
    void *resized = realloc(block, size > 0 ? size : 1);
    if (resized == NULL)
        die_without_memory(size);
    return resized;
}

static void add_chunk(struct scratch *scratch, size_t size) {
    size_t chunk_bytes = size > SCRATCH_CHUNK_BYTES ? size : SCRATCH_CHUNK_BYTES;
    struct scratch_chunk *chunk = heap_allocate(sizeof *chunk + chunk_bytes);
    chunk->next = scratch->chunks;
    chunk->size = chunk_bytes;
    scratch->chunks = chunk;
    scratch->used = 0;
}

void *scratch_allocate(struct scratch *scratch, size_t size) {
    if (size > SIZE_MAX / 2)
        die_without_memory(size);
    size_t rounded = (size + SCRATCH_ALIGNMENT - 1) & ~(size_t)(SCRATCH_ALIGNMENT - 1);
    if (scratch->chunks == NULL || scratch->chunks->size - scratch->used < rounded)
        add_chunk(scratch, rounded);
    void *block = (char *)(scratch->chunks + 1) + scratch->used;
    scratch->used += rounded;
    return block;
}

struct fbat_slice scratch_copy(struct scratch *scratch, const void *data, size_t size) {
    void *copy = scratch_allocate(scratch, size);
    if (size > 0)
        memcpy(copy, data, size);
    return fbat_bytes(copy, size);
}

void scratch_reset(struct scratch *scratch) {
    while (scratch->chunks != NULL && (scratch->chunks->next != NULL || scratch->chunks->size > SCRATCH_CHUNK_BYTES)) {
        struct scratch_chunk *next = scratch->chunks->next;
        free(scratch->chunks);
        scratch->chunks = next;
    }
    scratch->used = 0;
}

void scratch_deinit(struct scratch *scratch) {
    while (scratch->chunks != NULL) {
        struct scratch_chunk *next = scratch->chunks->next;
        free(scratch->chunks);
        scratch->chunks = next;
    }
    scratch->used = 0;
}
