/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of staged keys. Removal moves keys back into the hole instead of leaving a mark, so the table never has to be
 * cleaned (Knuth, The Art of Computer Programming, volume 3, section 6.4, algorithm R).
 *
 * I1: at most half of the places are taken, so every probe ends.
 */
#include "write/key_set.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/memory.h"

enum { KEYS_FIRST = 64 };

void key_set_deinit(struct key_set *set) {
    memory_free(set->keys);
    *set = (struct key_set){0};
}

static uint32_t home_of(const struct key_set *set, const struct fbat_id *id) {
    return (uint32_t)hash64(id->bytes, sizeof id->bytes, 0) & (set->size - 1);
}

/* The place of a key, or the free one where it would go. */
static uint32_t place_of(const struct key_set *set, const struct fbat_id *id) {
    uint32_t at = home_of(set, id);
    while (!fbat_id_is_none(&set->keys[at].id) && !id_equal(&set->keys[at].id, id))
        at = (at + 1) & (set->size - 1);
    return at;
}

bool key_set_reserve(struct key_set *set, uint32_t more) {
    uint32_t size = set->size ? set->size : KEYS_FIRST;
    while ((uint64_t)size < ((uint64_t)set->count + more) * 2)
        size *= 2;
    if (size == set->size)
        return true;
    struct key_set larger = {.size = size, .count = set->count};
    larger.keys = memory_allocate_zero(size * sizeof *larger.keys);
    if (!larger.keys)
        return false;
    for (uint32_t at = 0; at < set->size; at++)
        if (!fbat_id_is_none(&set->keys[at].id))
            larger.keys[place_of(&larger, &set->keys[at].id)] = set->keys[at];
    memory_free(set->keys);
    *set = larger;
    return true;
}

void key_set_put(struct key_set *set, const struct staged_key *key) {
    uint32_t at = place_of(set, &key->id);
    if (fbat_id_is_none(&set->keys[at].id))
        set->count++;
    set->keys[at] = *key;
    FBAT_ASSERT((uint64_t)set->count * 2 <= set->size); /* I1 */
}

const struct staged_key *key_set_find(const struct key_set *set, const struct fbat_id *id) {
    if (set->count == 0)
        return NULL;
    const struct staged_key *key = &set->keys[place_of(set, id)];
    return fbat_id_is_none(&key->id) ? NULL : key;
}

void key_set_remove(struct key_set *set, const struct fbat_id *id) {
    if (set->count == 0)
        return;
    uint32_t mask = set->size - 1, hole = place_of(set, id);
    if (fbat_id_is_none(&set->keys[hole].id))
        return;
    for (uint32_t at = (hole + 1) & mask; !fbat_id_is_none(&set->keys[at].id); at = (at + 1) & mask) {
        uint32_t distance_from_home = (at - home_of(set, &set->keys[at].id)) & mask;
        if (distance_from_home < ((at - hole) & mask))
            continue; /* its home lies behind the hole */
        set->keys[hole] = set->keys[at];
        hole = at;
    }
    set->keys[hole] = (struct staged_key){0};
    set->count--;
}

void key_set_clear(struct key_set *set) {
    if (set->count > 0)
        memset(set->keys, 0, set->size * sizeof *set->keys);
    set->count = 0;
}
