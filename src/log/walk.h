/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which frames of a segment belong to the log: the one decision behind opening, following, checking and dumping.
 *
 *     | events | staged  staged  commit | staged  staged | events | staged ...
 *     '- log --'--------- log ----------'---- void ------'- log --'--- void (so far)
 *
 * The frames of a fence are staged: they stand back to back, each going on with the sequence, and belong to the log
 * only with the commit directly behind them. Anything else behind them voids them: a fence that was cancelled writes
 * nothing, and the frame after it starts with the fence's first sequence again.
 *
 *     FENCE  FRAME   FITS WHEN ITS                                                 ANSWER  EXPECTED AFTERWARDS
 *     any    events  first sequence is the one expected; an open fence is void     EVENTS  behind its last event
 *     any    staged  first sequence is the one expected; an open fence is void     STAGED  as before; a fence opens
 *     open   staged  first sequence goes on with the fence, and so does its place  STAGED  as before
 *     open   commit  first, last sequence and staged bytes are the fence's         COMMIT  behind its last event
 *     any    any     otherwise                                                     END     as before
 *
 * Exactly one row matches. The frames of a fence say only that events before the fence are durable: what is hidden
 * cannot be known durable. Behind the next segment's first sequence nothing belongs here: that segment has taken
 * over.
 */
#ifndef FBAT_LOG_WALK_H
#define FBAT_LOG_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "format/frame.h"
#include "log/scan.h"

#define WALK_NOT_SUPERSEDED UINT64_MAX

enum walk_step {
    WALK_END = 0,    /* not a part of the log here; the walk is as it was */
    WALK_EVENTS = 1, /* its events belong to the log */
    WALK_STAGED = 2, /* they may, later */
    WALK_COMMIT = 3, /* the staged frames from fence_offset up to this one belong to the log */
};

struct walk {
    uint64_t expected;        /* sequence that the log goes on with */
    uint64_t superseded_from; /* the next segment's first sequence, or WALK_NOT_SUPERSEDED */
    uint64_t end;             /* offset after the last frame that belongs to the log */
    uint64_t fence_offset;    /* of the first staged frame of the open fence, or of the one just committed */
    uint64_t fence_end;       /* offset where the open fence goes on */
    uint64_t fence_next;      /* sequence that it goes on with; 0 = no fence is open */
};

/* Starts at `offset`, where the log goes on with the sequence `expected`. */
void walk_init(struct walk *walk, uint64_t offset, uint64_t expected, uint64_t superseded_from);

/* True when nothing further on in this segment can belong to the log. */
static inline bool walk_is_over(const struct walk *walk) {
    return walk->expected >= walk->superseded_from;
}

static inline bool walk_fence_is_open(const struct walk *walk) {
    return walk->fence_next != 0;
}

/* Takes the valid frame at offset. Pure. */
enum walk_step walk_take(struct walk *walk, const struct frame *frame, uint64_t offset);

/* ---- walking a scan ---- */

/* Called for a frame whose events belong to the log, in order. bytes are valid during the call. */
typedef int (*walk_visit_fn)(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                             struct fbat_error *error);

/* Visits the staged frames of the fence just committed, each read and verified again. The scan's place does not
 * change. */
int walk_visit_fence(const struct walk *walk, struct scan *scan, walk_visit_fn visit, void *user,
                     struct fbat_error *error);

/* Looks at the frame at scan->offset, and visits what it adds to the log. The scan moves behind it unless the answer is
 * WALK_END, which also stands for bytes that are no frame. */
int walk_next(struct walk *walk, struct scan *scan, walk_visit_fn visit, void *user, enum walk_step *out_step,
              struct fbat_error *error);

#endif
