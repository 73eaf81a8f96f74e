/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query: a region over one list of segments up to one snapshot, walked in one direction.
 *
 * For each segment a plan: first the rows that can match are narrowed to a range by sequence and time (binary searches).
 * Then
 *
 *     one exact stream                its groups are walked, else its links
 *     few streams, by prefix, or      their groups are merged by row number
 *     one entity in all scopes
 *     everything else                 the range is scanned by tiles (index/tile_scan.h)
 *
 * and a segment whose summary rules the region out is passed over. A region with an entity but not one exact stream, or
 * with a scope that no view knows, first marks the segment's streams that match.
 *
 * What is going to be given is known some events ahead: their rows and records are on their way from memory when it is
 * their turn.
 *
 * Thread rule: one thread at a time per query. It holds a reference to its list, and pins the segment it is in.
 */
#ifndef FBAT_INDEX_QUERY_H
#define FBAT_INDEX_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/directory.h"
#include "index/stream_merge.h"
#include "index/stream_walk.h"
#include "index/tile_scan.h"

/* What was done, for plans; counts has the rest. */
struct query_effort {
    uint32_t strategies; /* enum fbat_strategy */
    uint64_t segments_skipped;
    uint64_t segments_opened;
    uint64_t streams_merged;
    uint64_t events_given;
};

/* Where the rows of the prepared segment come from. */
enum query_source { QUERY_NOTHING = 0, QUERY_LINKS, QUERY_GROUPS, QUERY_MERGE, QUERY_TILES };

enum { QUERY_AHEAD_MAX = 32 }; /* positions taken from the source and not given yet; power of two */

/* Numbers since the segment was prepared: given <= warmed <= taken. */
struct query_ahead {
    uint32_t taken, warmed, given;
    uint32_t record_lines; /* cache lines of a record to fetch; 0 = rows only */
    bool ended;            /* the source has no more */
    uint32_t positions[QUERY_AHEAD_MAX];
};

struct query {
    struct segment_list *list; /* counted */
    uint64_t snapshot;         /* nothing after this sequence */
    struct fbat_region region; /* names point into `names` */
    uint8_t *names;
    bool backward;
    bool exact_stream;
    bool by_names; /* an entity or a scope, but not both exactly */
    bool nothing;  /* the region contradicts itself */
    uint64_t name_hash;
    uint64_t left; /* events still to give; UINT64_MAX = no limit */

    struct views_wanted views; /* which may be asked; all after query_init. To be changed before the first event */
    bool system_only; /* likewise: a segment without events of category 0 is of no interest; false after query_init */

    uint32_t next_segment;       /* position in the list to prepare next; backward counts down from count */
    struct segment_index *index; /* prepared segment, pinned; NULL if none */
    uint32_t low, high;          /* rows [low, high) can match */
    enum query_source source;
    bool check_rows;           /* what the source gives may still not match */
    bool check_marks;          /* likewise: by its stream */
    uint32_t row_number;       /* links: next row to look at, from 1; 0 = segment exhausted */
    struct stream_walk walk;   /* groups */
    struct stream_merge merge; /* merge */
    struct tile_scan scan;     /* tiles */
    uint32_t mask_position;    /* merge, tiles: of the first of 64 rows */
    uint64_t mask;             /* likewise: which of them were not taken yet */
    bool counting;             /* records are not going to be looked at */
    struct query_ahead ahead;
    uint64_t *marks; /* bit per stream of the segment, when streams are marked */
    uint64_t marks_words;
    struct tile_scan_counts counts;
    struct query_effort effort;
};

/* Takes over the list's reference, also on failure. region and options may be NULL. */
int query_init(struct query *query, struct segment_list *list, uint64_t visible, const struct fbat_region *region,
               const struct fbat_query_options *options, struct fbat_error *error);
void query_deinit(struct query *query);

/* False when no event of a sealed segment can match, by what is known of it as a whole. */
bool query_may_match(const struct query *query, const struct segment_summary *summary);

/* The next matching row: FBAT_OK, FBAT_END, FBAT_ERR_NO_MEMORY, or why a segment cannot be opened; after such an error
 * another call tries again. The index stays pinned until the next call. */
int query_next(struct query *query, struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error);

/* The number of rows that match, of a query from which none was taken yet; its limit and direction do not matter.
 * by_kind (may be NULL) is 65,536 numbers, to which those of each kind are added. */
int query_count(struct query *query, uint64_t *by_kind, uint64_t *out_count, struct fbat_error *error);

#endif
