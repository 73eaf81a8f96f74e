/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events of a region from a position on, across snapshots: what a subscription and a cursor walk.
 *
 *     [ ... looked at ... | the snapshot under way | published since | ... ]
 *                         ^ position               ^ bound
 *
 * A feed keeps its place. Far behind, where its region is selective, it walks one query over the snapshot, which plans as any
 * query does. Near the end it looks at the rows as they come, each once, so that going on costs what has come and not what the store holds.
 *
 * Thread rule: one thread at a time. Only while the store is open, but for feed_deinit.
 *
 * I1: position <= bound; every event of the region up to position was given, or skipped by feed_skip_to; none behind it was.
 * I2: what was given since the last feed_refresh that answered FBAT_OK stays mapped.
 */
#ifndef FBAT_DELIVER_FEED_H
#define FBAT_DELIVER_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/query.h"
#include "store/store.h"

enum { FEED_LIVE_EVENTS = 4096, FEED_VERDICTS = 256 };

struct feed {
    struct fbat_store *store;
    struct fbat_region region; /* names point into `names` */
    uint8_t *names;
    uint64_t position;
    uint64_t bound;
    uint64_t live_events;      /* a snapshot of more events than this is walked by a query: FEED_LIVE_EVENTS */
    struct segment_list *list; /* counted; of the snapshot under way; NULL before the first */
    bool querying;
    struct query query; /* when querying */

    bool placed;                      /* else: index and row say where to go on */
    struct segment_index *index;      /* counted, though the list has it: that its verdicts are of no other */
    uint32_t row;                     /* in it: the next to look at */
    uint32_t verdicts[FEED_VERDICTS]; /* of streams of `index`: (number + 1) * 2 + matches; 0 = none */
};

/* A feed of what lies behind position. FBAT_ERR_ARGUMENT and FBAT_ERR_NAME for a bad region. */
int feed_init(struct feed *feed, struct fbat_store *store, const struct fbat_region *region, uint64_t position,
              struct fbat_error *error);
void feed_deinit(struct feed *feed);

/* Begins the next snapshot, as far as `limit` at most; the last one was walked to its end. FBAT_END: there is nothing new. */
int feed_refresh(struct feed *feed, uint64_t limit, struct fbat_error *error);

/* The next event of the snapshot, or FBAT_END. */
int feed_next(struct feed *feed, struct fbat_event *out_event, struct fbat_error *error);

/* Goes on behind `position`, which is not before the feed's; the snapshot under way ends. */
void feed_skip_to(struct feed *feed, uint64_t position);

#endif
