/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots: an open-addressing table of 32-bit numbers, the same in memory and in a footer.
 *
 *     top bits of the hash ──┐
 *                            v
 *     [ 0 | 7 | 0 | 3 | 12 | 0 | 0 | 5 ]     0 = empty; a lookup probes on until it finds 0
 *
 * The top bits, so that a table of twice the size has its numbers in nearly the same order: growth then walks both from
 * front to end.
 *
 * What a number stands for, and comparing keys, is the caller's business: lookups are loops over slots_first and
 * slots_next. Numbers are only ever added, but for a writer that has a table to itself.
 *
 * One writer, any number of readers, no lock: a slot is published by a release store, and growth publishes a whole new
 * table and keeps the old one until slots_deinit, so that a reader that is probing it stays safe. The tables kept add
 * up to less than the current one.
 *
 * I1: at most half of the slots are used, so every probe ends.
 */
#ifndef FBAT_INDEX_SLOTS_H
#define FBAT_INDEX_SLOTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct slots_table {
    struct slots_table *older; /* retired, freed with this one */
    const _Atomic uint32_t *numbers;
    _Atomic uint32_t *writable; /* the same, or NULL when mapped from a footer */
    uint64_t size;              /* power of two, at least 2 */
    unsigned shift;             /* 64 - log2 of size: a number's home is hash >> shift */
};

struct slots {
    struct slots_table *_Atomic table; /* written by the one writer */
    uint64_t used;                     /* writer only */
    uint64_t memory_bytes;             /* writer only: heap held */
};

/* The hash of a number that is in the table, for growth. */
typedef uint64_t (*slots_hash_fn)(const void *user, uint32_t number);

/* An empty table. False when out of memory. */
bool slots_init(struct slots *slots);

/* A table over size numbers that belong to a mapping. False when out of memory. */
bool slots_init_mapped(struct slots *slots, const void *numbers, uint64_t size);
void slots_deinit(struct slots *slots);

/* Makes room for `more` numbers, so that as many slots_add cannot fail. False when out of memory: nothing changed. */
bool slots_reserve(struct slots *slots, uint64_t more, slots_hash_fn hash_of, const void *user);

/* Adds a number that is not in the table yet. Room was reserved. */
void slots_add(struct slots *slots, uint64_t hash, uint32_t number);

/* Takes a number out. Only for tables without concurrent readers. */
void slots_remove(struct slots *slots, uint64_t hash, uint32_t number, slots_hash_fn hash_of, const void *user);

/* A walk over the numbers that may have this hash. */
struct slots_probe {
    const struct slots_table *table;
    uint64_t place;
    uint64_t left; /* a mapped table without an empty slot must not trap us */
};

static inline struct slots_probe slots_first(const struct slots *slots, uint64_t hash) {
    const struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_acquire);
    return (struct slots_probe){.table = table, .place = hash >> table->shift, .left = table->size};
}

/* A hint that a number with this hash will be added or looked for soon: its home is a cache miss, which can be under way
 * while other work is done. */
static inline void slots_prefetch(const struct slots *slots, uint64_t hash) {
    const struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_acquire);
    __builtin_prefetch((const void *)&table->numbers[hash >> table->shift], 1);
}

/* The next number, or 0 at the end. */
static inline uint32_t slots_next(struct slots_probe *probe) {
    if (probe->left == 0)
        return 0;
    probe->left--;
    uint32_t number = atomic_load_explicit(&probe->table->numbers[probe->place], memory_order_acquire);
    probe->place = (probe->place + 1) & (probe->table->size - 1);
    return number;
}

#endif
