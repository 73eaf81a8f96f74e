/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The idempotency keys of appends that are staged and not published yet, and where their records stand. The index knows
 * the keys of everything published; between the two no key is ever forgotten.
 *
 *     key ──hash──> [ id, sequence, offset ]     open addressing, linear probing, at most half full
 *
 * Thread rule: under the sequencer's lock.
 */
#ifndef FBAT_WRITE_KEY_SET_H
#define FBAT_WRITE_KEY_SET_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

struct staged_key {
    struct fbat_id id; /* none: the place is free */
    uint64_t sequence;
    uint64_t record_offset; /* in the active segment */
};

struct key_set {
    struct staged_key *keys; /* size of them; NULL before the first reservation */
    uint32_t size;           /* power of two */
    uint32_t count;
};

void key_set_deinit(struct key_set *set);

/* Makes room for `more` keys, so that adding them cannot fail. False when out of memory: nothing changed. */
bool key_set_reserve(struct key_set *set, uint32_t more);

/* Adds a key, or gives the one that is there a new place. Room was reserved. */
void key_set_put(struct key_set *set, const struct staged_key *key);

/* The key with this id, or NULL. */
const struct staged_key *key_set_find(const struct key_set *set, const struct fbat_id *id);

/* Takes a key out, if it is there. */
void key_set_remove(struct key_set *set, const struct fbat_id *id);

void key_set_clear(struct key_set *set);

#endif
