/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event ids: 128 bits as of RFC 9562, and the generator of the store's own (UUIDv7, section 5.7, with the sub-
 * millisecond fraction in rand_a of section 6.2, method 3).
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

#endif
