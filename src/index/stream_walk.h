/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the rows of one stream through its groups, so that what comes next is known without looking at rows.
 *
 *     stream ──> group [3 9 12 20 31 ...]  ⇄  group [57 60 ...]      row numbers, ascending
 *
 * Thread rule: one thread at a time per walk; the index is pinned by the caller.
 *
 * I1: what is given lies in (low, high], and goes on in the walk's direction: also in a mapping that went bad.
 */
#ifndef FBAT_INDEX_STREAM_WALK_H
#define FBAT_INDEX_STREAM_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "index/segment_index.h"

struct stream_walk {
    const struct views *views;
    const struct footer_group *group; /* NULL at the end, or when `next` is the only row */
    uint32_t place;                   /* of `next` in the group */
    uint32_t low, high;               /* row numbers (low, high] */
    uint32_t next;                    /* row number to give next; 0 at the end */
    bool backward;
};

/* Begins at the first row of the stream, in the walk's direction, whose position is in [low, high). The index has
 * groups. */
void stream_walk_init(struct stream_walk *walk, const struct segment_index *index, const struct footer_stream *stream,
                      uint32_t low, uint32_t high, bool backward);

/* Narrows positions [*low, *high) to those of the revisions from first to last (0 = open) of the stream, as far as that
 * can be known by looking at few rows; revisions still have to be compared. */
void stream_walk_narrow(const struct segment_index *index, const struct footer_stream *stream, uint64_t first,
                        uint64_t last, uint32_t *low, uint32_t *high);

void stream_walk_step(struct stream_walk *walk);

/* The next row's position; false at the end. */
static inline bool stream_walk_next(struct stream_walk *walk, uint32_t *out_position) {
    if (walk->next == 0)
        return false;
    *out_position = walk->next - 1;
    stream_walk_step(walk);
    return true;
}

#endif
