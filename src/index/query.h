/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query: a region over one list of segments up to one snapshot, walked in one direction.
 *
 * Per segment, the rows that can match are narrowed to a range by sequence and time (binary searches), and then either
 * the links of one stream are followed, or the range is scanned. A region that names an entity or scope, but not one
 * exact stream, first marks the segment's streams that match, so that a row costs one bit test.
 *
 * Thread rule: one thread at a time per query. It holds a reference to its list, and pins the segment it is in.
 */
#ifndef FBAT_INDEX_QUERY_H
#define FBAT_INDEX_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/directory.h"

struct query {
    struct segment_list *list; /* counted */
    uint64_t snapshot;         /* nothing after this sequence */
    struct fbat_region region; /* names point into `names` */
    uint8_t *names;
    bool backward;
    bool exact_stream;
    bool by_names; /* streams are marked */
    uint64_t name_hash;
    uint64_t left; /* events still to give; UINT64_MAX = no limit */

    uint32_t next_segment;       /* position in the list to prepare next; backward counts down from count */
    struct segment_index *index; /* prepared segment, pinned; NULL if none */
    uint32_t low, high;          /* rows [low, high) can match */
    uint32_t row_number;         /* next row to look at, from 1; 0 = segment exhausted */
    uint64_t *marks;             /* bit per stream of the segment, when by_names */
    uint64_t marks_words;
};

/* Takes over the list's reference, also on failure. region and options may be NULL. */
int query_init(struct query *query, struct segment_list *list, uint64_t visible, const struct fbat_region *region,
               const struct fbat_query_options *options, struct fbat_error *error);
void query_deinit(struct query *query);

/* The next matching row: FBAT_OK, FBAT_END, FBAT_ERR_NO_MEMORY, or why a segment cannot be opened; after such an error
 * another call tries again. The index stays pinned until the next call. */
int query_next(struct query *query, struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error);

#endif
