/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of several streams in the order of their numbers: walks through each stream's groups, laid into a window of
 * bits, so that no row is compared with another.
 *
 *     stream a   3 . . 9 . 12           window   0001 0110 0100 1...
 *     stream b   . 5 6 . . .  13
 *
 * Thread rule: one thread at a time per merge; the index is pinned by the caller.
 */
#ifndef FBAT_INDEX_STREAM_MERGE_H
#define FBAT_INDEX_STREAM_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "index/stream_walk.h"

enum { MERGE_WINDOW_WORDS = 128 }; /* of 64 rows */

struct stream_merge {
    struct stream_walk *walks; /* ours */
    uint32_t walks_room;
    uint32_t count; /* walks in use, none of them at its end but after a refill */
    bool backward;
    uint32_t first; /* position of the window's first row */
    uint32_t word;  /* words of it that were given; backward from its end */
    uint64_t words[MERGE_WINDOW_WORDS];
};

void stream_merge_deinit(struct stream_merge *merge); /* of a zeroed or used one */

/* Makes room for so many streams and forgets those there were. False when out of memory. */
bool stream_merge_reset(struct stream_merge *merge, uint32_t streams, bool backward);

/* Adds one; room was made. */
void stream_merge_add(struct stream_merge *merge, const struct stream_walk *walk);

/* The next 64 rows, from a position that is a multiple of 64, with one of them in it; false at the end. */
bool stream_merge_next(struct stream_merge *merge, uint32_t *out_position, uint64_t *out_mask);

#endif
