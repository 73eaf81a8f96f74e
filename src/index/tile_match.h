/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of 64 numbers match: the one place where views are read with SIMD.
 *
 * The best way this processor has is chosen at the first call; each gives the same answer as the plain one.
 * Thread rule: any thread. tile_match_force is for tests and measurements, while nothing else runs.
 */
#ifndef FBAT_INDEX_TILE_MATCH_H
#define FBAT_INDEX_TILE_MATCH_H

#include <stdbool.h>
#include <stdint.h>

enum { TILE_ROWS = 64 };

enum tile_match_way {
    TILE_MATCH_BEST = 0,
    TILE_MATCH_PLAIN = 1,
    TILE_MATCH_SSE2 = 2,
    TILE_MATCH_AVX2 = 3,
    TILE_MATCH_AVX512 = 4,
    TILE_MATCH_NEON = 5,
    TILE_MATCH_WAYS = 6
};

/* Bit n is set when (values[n] & mask) == wanted. */
uint64_t tile_match_u16(const uint16_t values[TILE_ROWS], uint16_t mask, uint16_t wanted);

/* The same for `count` tiles, one behind the other: masks[n] keeps those of its bits that match, or, with invert, those
 * that do not. */
void tile_match_many(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted, bool invert,
                     uint64_t *masks);

/* The number of bits set in the masks. */
uint64_t tile_match_count(const uint64_t *masks, uint32_t count);

/* The name of the way in use: "avx512", "plain", ... Static. */
const char *tile_match_name(void);

/* Makes one way the one in use. False, and nothing changed, where this processor or build does not have it. */
bool tile_match_force(enum tile_match_way way);

#endif
