/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a fence.
 *
 * Happy path: fence_begin makes it the open one, so that every other append is refused; frames are staged behind each
 * other; fence_commit writes the commit frame, which takes its place in line like any append: published at once at level
 * written, behind the sync of its group at level durable. One sync makes frames and commit durable.
 *
 *     CRASH OR FAILURE              WHAT RECOVERY FINDS                     WHAT IT DOES
 *     before any frame              nothing                                 nothing
 *     between frames                staged frames at the log's end          cuts them off
 *     while the commit is written   staged frames, half a commit or none    cuts them off
 *     commit in the page cache      kill: all of it; power cut: all of it, or what is
 *                                   before the first torn frame             takes it, or cuts it off
 *     commit synced                 all of it                               takes it
 *     after a cancel                staged frames, then frames that start
 *                                   with their first sequence again         passes over them
 *
 * Failure modes: a failed append under the fence leaves it as it was; a failed write or sync of the segment cancels it,
 * because the segment is given up.
 *
 * I1: while a fence is open, nothing else is staged; what it staged is the end of the log.
 * I2: a fence never spans segments (rotation.c moves it as a whole).
 * I3: a fence begins when nothing waits in front of it, so only its own sync can fail it.
 */
#include "write/fence.h"

#include "base/assert.h"
#include "base/error.h"
#include "base/memory.h"
#include "write/fault.h"
#include "write/sequencer.h"
#include "write/ticket.h"

static struct fbat_fence *open_fence(const struct sequencer *sequencer) {
    return atomic_load_explicit(&sequencer->fence, memory_order_relaxed);
}

int fence_check_open(const struct fbat_fence *fence, struct fbat_error *error) {
    if (atomic_load_explicit(&fence->state, memory_order_acquire) == FENCE_OPEN)
        return FBAT_OK;
    return fence_refuse(fence, error);
}

int fence_refuse(const struct fbat_fence *fence, struct fbat_error *error) {
    if (!fence)
        return error_set(error, FBAT_ERR_FENCE_ACTIVE,
                         "a fence is open, and nothing else may be appended before it has ended; try again then");
    if (fence->cause.status != 0)
        return error_set(error, FBAT_ERR_CANCELLED, "the fence was cancelled: %.400s", fence->cause.message);
    return error_set(error, FBAT_ERR_CANCELLED, "the fence has ended; begin another one");
}

int fence_begin(struct sequencer *sequencer, struct fbat_fence **out_fence, struct fbat_error *error) {
    struct fbat_fence *fence = memory_allocate_zero(sizeof *fence);
    if (!fence)
        return error_set_no_memory(error);
    fence->sequencer = sequencer;
    sequencer_lock(sequencer);
    while (sequencer->first) /* I3 */
        group_wait(sequencer);
    int status = sequencer_check_alive(sequencer, error);
    if (status == FBAT_OK && open_fence(sequencer))
        status = error_set(error, FBAT_ERR_FENCE_ACTIVE, "another fence is open; begin this one when that has ended");
    fence->heads_before = sequencer->streams.count;
    if (status == FBAT_OK)
        atomic_store_explicit(&sequencer->fence, fence, memory_order_release);
    pthread_mutex_unlock(&sequencer->lock);
    if (status < 0)
        memory_free(fence);
    else
        *out_fence = fence;
    return status;
}

void fence_staged(struct fbat_fence *fence, uint64_t first_sequence, uint64_t frame_offset) {
    if (fence->first_sequence != 0)
        return;
    fence->first_sequence = first_sequence;
    fence->frames_start = frame_offset;
}

/* Those still in the mailbox point to the fence. */
static void wait_for_tickets(struct sequencer *sequencer, const struct fbat_fence *fence) {
    while (atomic_load_explicit(&fence->tickets_queued, memory_order_acquire) > 0)
        mailbox_wait_served(sequencer);
}

int fence_append(struct fbat_fence *fence, struct append *append, struct fbat_error *error) {
    FBAT_TRY(fence_check_open(fence, error));
    append->fence = fence;
    if (atomic_load_explicit(&fence->tickets_queued, memory_order_acquire) > 0) { /* they were there first */
        sequencer_lock(fence->sequencer);
        wait_for_tickets(fence->sequencer, fence);
        pthread_mutex_unlock(&fence->sequencer->lock);
    }
    return sequencer_append(fence->sequencer, append, error);
}

/* ---- ending ---- */

/* level: the one the commit reached. */
static void answer_tickets(struct fbat_ticket *next, int status, enum fbat_level level,
                           const struct fbat_error *error) {
    while (next) {
        struct fbat_ticket *ticket = next;
        next = ticket->next;
        for (uint32_t item = 0; item < ticket->append->count; item++)
            if (ticket->append->receipts[item].level < level)
                ticket->append->receipts[item].level = (uint8_t)level;
        ticket_answer(ticket, status, error);
    }
}

void fence_fail(struct sequencer *sequencer, const struct fbat_error *cause) {
    struct fbat_fence *fence = open_fence(sequencer);
    struct fbat_error error;
    if (!fence)
        return;
    atomic_store_explicit(&sequencer->fence, NULL, memory_order_release);
    if (fence->first_sequence != 0) {
        unpublish_frames(sequencer, fence->frames_start, sequencer->active->segment->end);
        unpublish_to(sequencer, fence->first_sequence - 1, fence->heads_before);
    }
    if (cause)
        fence->cause = *cause;
    fault_passed(sequencer->config, "fence.cancel", fence->first_sequence);
    int status = fence_refuse(fence, &error);
    struct fbat_ticket *tickets = fence->tickets;
    fence->tickets = NULL;
    /* Its caller, who finds it cancelled, may free it without the lock: this is the last that is done to it. */
    atomic_store_explicit(&fence->state, FENCE_CANCELLED, memory_order_release);
    answer_tickets(tickets, status, FBAT_LEVEL_DEFAULT, &error);
    group_signal(sequencer);
}

void fence_cancel(struct fbat_fence *fence) {
    if (!fence)
        return;
    bool open = atomic_load_explicit(&fence->state, memory_order_acquire) == FENCE_OPEN;
    if (open || atomic_load_explicit(&fence->tickets_queued, memory_order_acquire) > 0) {
        struct sequencer *sequencer = fence->sequencer;
        sequencer_lock(sequencer);
        if (open_fence(sequencer) == fence)
            fence_fail(sequencer, NULL);
        wait_for_tickets(sequencer, fence);
        pthread_mutex_unlock(&sequencer->lock);
    }
    memory_free(fence);
}

/* The commit is staged: from here on the fence is an append in line, and others may follow. */
static enum pending_state finish(struct sequencer *sequencer, struct fbat_fence *fence, struct append *append) {
    atomic_store_explicit(&sequencer->fence, NULL, memory_order_release);
    atomic_store_explicit(&fence->state, FENCE_COMMITTED, memory_order_release);
    group_add(sequencer, &append->pending);
    enum pending_state state = group_await(sequencer, &append->pending);
    if (state == PENDING_DONE)
        fault_passed(sequencer->config, "fence.commit.after", fence->first_sequence);
    return state;
}

static int sync_visible(struct sequencer *sequencer, struct fbat_error *error) {
    struct fbat_error own; /* a failed sync is told by what comes of it */
    while (sequencer->syncing)
        group_wait(sequencer);
    (void)group_sync_locked(sequencer, &own);
    return sequencer_check_alive(sequencer, error);
}

/* The lock is held on entry, and not on return. */
static int commit_locked(struct sequencer *sequencer, struct fbat_fence *fence, struct append *append,
                         struct fbat_error *error) {
    int status = FBAT_RETRY;
    while (status == FBAT_RETRY) {
        wait_for_tickets(sequencer, fence);
        status = fence_check_open(fence, error);
        if (status == FBAT_OK)
            status = sequencer_check_alive(sequencer, error);
        if (status == FBAT_OK)
            status = draft_conditions(sequencer, append, error);
        if (status == FBAT_OK && fence->first_sequence != 0)
            status = fault_point(sequencer->config, "fence.commit.before", fence->first_sequence, error);
        if (status == FBAT_OK && fence->first_sequence != 0)
            status = stage_commit(sequencer, fence, append, error);
        if (status == FBAT_RETRY)
            group_wait(sequencer);
    }
    if (status == FBAT_OK && fence->first_sequence != 0) {
        enum pending_state state = finish(sequencer, fence, append);
        return state == PENDING_DONE ? FBAT_OK : error->status;
    }
    /* A fence of nothing but retries: what they name must be as durable as the fence is. */
    if (status == FBAT_OK && append->level == FBAT_LEVEL_DURABLE)
        status = sync_visible(sequencer, error);
    if (status == FBAT_OK)
        status = fence_check_open(fence, error); /* a failed sync may have cancelled it */
    if (status == FBAT_OK)
        atomic_store_explicit(&sequencer->fence, NULL, memory_order_release);
    else if (open_fence(sequencer) == fence)
        fence_fail(sequencer, error);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

int fence_commit(struct fbat_fence *fence, struct append *append, struct fbat_error *error) {
    struct fbat_error own;
    error = error ? error : &own;
    int status = fence_check_open(fence, error);
    if (status == FBAT_OK) {
        struct sequencer *sequencer = fence->sequencer;
        sem_init(&append->pending.wake, 0, 0);
        append->pending.error = error;
        sequencer_lock(sequencer);
        status = commit_locked(sequencer, fence, append, error);
        sem_destroy(&append->pending.wake);
    }
    answer_tickets(fence->tickets, status, append->level, error);
    fence_cancel(fence);
    return status;
}
