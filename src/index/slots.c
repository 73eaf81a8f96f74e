/* SPDX-License-Identifier: Apache-2.0 */
/* Growth and insertion of slot tables; lookups are inline in the header. */
#include "index/slots.h"

#include <stddef.h>

#include "base/assert.h"
#include "base/memory.h"

enum { FIRST_SIZE = 1024, MOVE_BATCH = 32 };

static void set_size(struct slots_table *table, uint64_t size) {
    FBAT_ASSERT(size >= 2 && (size & (size - 1)) == 0);
    table->size = size;
    table->shift = (unsigned)__builtin_clzll(size) + 1;
}

static struct slots_table *allocate_table(uint64_t size) {
    struct slots_table *table = memory_allocate_zero(sizeof *table + (size_t)size * sizeof(uint32_t));
    if (!table)
        return NULL;
    table->writable = (_Atomic uint32_t *)(table + 1);
    table->numbers = table->writable;
    set_size(table, size);
    return table;
}

bool slots_init(struct slots *slots) {
    struct slots_table *table = allocate_table(FIRST_SIZE);
    if (!table)
        return false;
    atomic_init(&slots->table, table);
    slots->used = 0;
    slots->memory_bytes = sizeof *table + FIRST_SIZE * sizeof(uint32_t);
    return true;
}

bool slots_init_mapped(struct slots *slots, const void *numbers, uint64_t size) {
    struct slots_table *table = memory_allocate_zero(sizeof *table);
    if (!table)
        return false;
    table->numbers = numbers;
    set_size(table, size);
    atomic_init(&slots->table, table);
    slots->used = 0;
    slots->memory_bytes = sizeof *table;
    return true;
}

void slots_deinit(struct slots *slots) {
    struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    while (table) {
        struct slots_table *older = table->older;
        memory_free(table);
        table = older;
    }
    atomic_store_explicit(&slots->table, NULL, memory_order_relaxed);
}

static void place(struct slots_table *table, uint64_t hash, uint32_t number) {
    uint64_t mask = table->size - 1, at = hash >> table->shift;
    while (atomic_load_explicit(&table->writable[at], memory_order_relaxed) != 0)
        at = (at + 1) & mask;
    atomic_store_explicit(&table->writable[at], number, memory_order_release);
}

/* Copies all numbers to the larger table. What a number hashes to is a cache miss each: asked for in batches, without
 * anything in between that depends on the answers, the processor waits for many of them at once. */
static void move_numbers(struct slots_table *larger, const struct slots_table *table, slots_hash_fn hash_of,
                         const void *user) {
    uint32_t numbers[MOVE_BATCH];
    uint64_t hashes[MOVE_BATCH];
    for (uint64_t at = 0; at < table->size;) {
        unsigned count = 0;
        for (; count < MOVE_BATCH && at < table->size; at++) {
            numbers[count] = atomic_load_explicit(&table->numbers[at], memory_order_relaxed);
            count += numbers[count] != 0;
        }
        for (unsigned item = 0; item < count; item++)
            hashes[item] = hash_of(user, numbers[item]);
        for (unsigned item = 0; item < count; item++)
            place(larger, hashes[item], numbers[item]);
    }
}

bool slots_reserve(struct slots *slots, uint64_t more, slots_hash_fn hash_of, const void *user) {
    struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    uint64_t size = table->size;
    while ((slots->used + more) * 2 > size)
        size *= 2;
    if (size == table->size)
        return true;
    struct slots_table *larger = allocate_table(size);
    if (!larger)
        return false;
    move_numbers(larger, table, hash_of, user);
    larger->older = table;
    slots->memory_bytes += sizeof *larger + size * sizeof(uint32_t);
    atomic_store_explicit(&slots->table, larger, memory_order_release);
    return true;
}

void slots_add(struct slots *slots, uint64_t hash, uint32_t number) {
    struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    FBAT_ASSERT(number != 0 && table->writable && (slots->used + 1) * 2 <= table->size); /* I1 */
    place(table, hash, number);
    slots->used++;
}

/* Linear probing without tombstones: whatever stands behind the hole and may not be found across it moves into it
 * (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R). */
void slots_remove(struct slots *slots, uint64_t hash, uint32_t number, slots_hash_fn hash_of, const void *user) {
    struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    uint64_t mask = table->size - 1, hole = hash >> table->shift;
    while (atomic_load_explicit(&table->writable[hole], memory_order_relaxed) != number)
        hole = (hole + 1) & mask;
    for (uint64_t at = (hole + 1) & mask;; at = (at + 1) & mask) {
        uint32_t moved = atomic_load_explicit(&table->writable[at], memory_order_relaxed);
        if (moved == 0)
            break;
        uint64_t distance_from_home = (at - (hash_of(user, moved) >> table->shift)) & mask;
        if (distance_from_home < ((at - hole) & mask))
            continue; /* its home lies behind the hole */
        atomic_store_explicit(&table->writable[hole], moved, memory_order_relaxed);
        hole = at;
    }
    atomic_store_explicit(&table->writable[hole], 0, memory_order_relaxed);
    slots->used--;
}
