/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of kinds: see kind_cache.h. Open addressing with linear probing; names are copied. A store has at most
 * 15 x 4,095 kinds, so the table is bounded. One thread.
 */
#include "kind_cache.h"

#include <stdlib.h>
#include <string.h>

#define KIND_SLOTS_FIRST 256

void kind_cache_init(struct kind_cache *cache) {
    memset(cache, 0, sizeof *cache);
    cache->capacity = KIND_SLOTS_FIRST;
    cache->slots = heap_allocate(cache->capacity * sizeof *cache->slots);
    memset(cache->slots, 0, cache->capacity * sizeof *cache->slots);
}

void kind_cache_deinit(struct kind_cache *cache) {
    free(cache->slots);
    scratch_deinit(&cache->names);
    cache->slots = NULL;
}

/* FNV-1a, which is quick on short names. */
static size_t hash_kind_name(struct fbat_slice name) {
    const uint8_t *at = name.data;
    uint64_t hash = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001B3);
    return (size_t)(hash ^ hash >> 32);
}

static struct kind_slot *find_slot(const struct kind_cache *cache, struct fbat_slice name) {
    size_t at = hash_kind_name(name) & (cache->capacity - 1);
    for (;; at = (at + 1) & (cache->capacity - 1)) {
        struct kind_slot *slot = &cache->slots[at];
        if (slot->name.data == NULL)
            return slot;
        if (slot->name.size == name.size && memcmp(slot->name.data, name.data, name.size) == 0)
            return slot;
    }
}

uint16_t kind_cache_find(const struct kind_cache *cache, struct fbat_slice name) {
    return find_slot(cache, name)->kind;
}

static void grow_kind_cache(struct kind_cache *cache) {
    struct kind_slot *old = cache->slots;
    size_t old_capacity = cache->capacity;
    cache->capacity *= 2;
    cache->slots = heap_allocate(cache->capacity * sizeof *cache->slots);
    memset(cache->slots, 0, cache->capacity * sizeof *cache->slots);
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].name.data != NULL)
            *find_slot(cache, old[i].name) = old[i];
    free(old);
}

void kind_cache_add(struct kind_cache *cache, struct fbat_slice name, uint16_t kind) {
    if (cache->count * 2 >= cache->capacity)
        grow_kind_cache(cache);
    struct kind_slot *slot = find_slot(cache, name);
    slot->name = scratch_copy(&cache->names, name.data, name.size);
    slot->kind = kind;
    cache->count++;
}
