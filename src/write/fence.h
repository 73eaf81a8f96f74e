/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences: appends that are published as one.
 *
 * Frames of the open fence are staged like any other, marked as such, and stay out of the index. Its commit is a frame of its
 * own behind them; cancelling writes nothing: the next frame starts with the fence's first sequence again, which voids them
 * (docs/FORMAT.md).
 *
 * Thread rule: one thread at a time per fence; fence_staged and fence_fail under the sequencer's lock.
 */
#ifndef FBAT_WRITE_FENCE_H
#define FBAT_WRITE_FENCE_H

#include <stdatomic.h>
#include <stdint.h>

#include <fbat/fbat.h>

struct append;
struct fbat_ticket;
struct sequencer;

enum fence_state {
    FENCE_OPEN = 0,
    FENCE_COMMITTED = 1,
    FENCE_CANCELLED = 2 /* by its caller, by a failed write, or by the end of its store */
};

struct fbat_fence {
    struct sequencer *sequencer;     /* while the state is open or tickets are queued */
    _Atomic int state;               /* enum fence_state; changed under the lock */
    uint64_t first_sequence;         /* of its first frame; 0: it has none yet */
    uint64_t frames_start;           /* offset of that frame in the active segment */
    uint32_t heads_before;           /* stream heads there were before it */
    _Atomic uint32_t tickets_queued; /* its tickets in the mailbox; none once its store is closed */
    struct fbat_ticket *tickets;     /* those staged, to be answered at its end */
    unsigned fork_generation;        /* of the process that began it; the API's */
    struct fbat_error cause;         /* why it was cancelled, when the caller did not; status 0 else */
};

int fence_begin(struct sequencer *sequencer, struct fbat_fence **out_fence, struct fbat_error *error);

/* Appends under the fence; receipts are untouched on failure. */
int fence_append(struct fbat_fence *fence, struct append *append, struct fbat_error *error);

/* Ends the fence and frees it. append: level and conditions; no events. */
int fence_commit(struct fbat_fence *fence, struct append *append, struct fbat_error *error);
void fence_cancel(struct fbat_fence *fence);

/* FBAT_ERR_CANCELLED when the fence is not open any more. Without the lock. */
int fence_check_open(const struct fbat_fence *fence, struct fbat_error *error);

/* What an append is told that belongs to `fence` (NULL: to none) while another fence, or none, is open. */
int fence_refuse(const struct fbat_fence *fence, struct fbat_error *error);

/* A frame was staged under the fence. */
void fence_staged(struct fbat_fence *fence, uint64_t first_sequence, uint64_t frame_offset);

/* Takes back what the open fence staged, and cancels it. cause NULL: because its caller or its store ended it. Nothing when
 * none is open. */
void fence_fail(struct sequencer *sequencer, const struct fbat_error *cause);

#endif
