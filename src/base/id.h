/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event ids: 128 bits as of RFC 9562, and the generator of the store's own (UUIDv7, section 5.7, with the sub-
 * millisecond fraction in rand_a of section 6.2, method 3).
 *
 * An id that the store makes for an event carries the event's sequence in its low bits, so that it leads to its event by
 * itself, without a table:
 *
 *      0                   48   52              64 66                104      116         128
 *     | milliseconds         |0111| us-fraction   |10| sequence        | random | tag       |
 *
 * The tag is a hash of all bits before it, keyed by the store, by which an id of other making is told from one of the
 * store's own: of those, one in 4,096 passes, and is then not found where it points. Nothing is ever taken for found before
 * the event's own id was compared.
 */
#ifndef FBAT_BASE_ID_H
#define FBAT_BASE_ID_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

static inline bool id_equal(const struct fbat_id *a, const struct fbat_id *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

/* The id for a time and 62 random bits, made greater than last: where time and chance do not make it so, it is last
 * plus a random step of up to 2^32 (section 6.2, method 2). Version and variant bits are set; the result is also the next `last`. */
struct fbat_id id_make(const struct fbat_id *last, int64_t time_us, uint64_t random_bits);

enum { ID_SEQUENCE_BITS = 38, ID_RANDOM_BITS = 12, ID_TAG_BITS = 12 };

/* The key of a store's tags. */
uint64_t id_tag_key(const struct fbat_id *store_id);

/* As id_make, for the event with this sequence. From 2^38 on the sequence does not fit, and the id is as from id_make. */
struct fbat_id id_make_for(const struct fbat_id *last, int64_t time_us, uint64_t sequence, uint64_t tag_key,
                           uint64_t random_bits);

/* The sequence that an id carries; 0 when it was not made by id_make_for with this key. */
uint64_t id_carried_sequence(const struct fbat_id *id, uint64_t tag_key);

#endif
