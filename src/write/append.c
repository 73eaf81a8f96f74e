/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One append from call to answer, on the caller's own thread: handing it to another thread and back would cost more than
 * the work. Only where appends are waiting in the mailbox does it take its place behind them.
 *
 * Failure modes: those of staging; and of the sync it waits for, which takes it back. An append at level written that
 * was taken back because one in front of it failed is simply staged again: nobody was told of it yet.
 *
 * Thread rule: any thread.
 */
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "write/sequencer.h"

/* Receipts of a batch that waited are read back from the log: there is no other room to keep them meanwhile. */
static void read_receipts(struct sequencer *sequencer, const struct append *append, struct fbat_receipt *out_receipts) {
    struct segment_list *list = directory_acquire(sequencer->directory);
    uint64_t sequence = append->pending.last_sequence - append->count + 1;
    for (uint32_t item = 0; item < append->count; item++) {
        struct segment_index *index = NULL;
        uint32_t position = 0;
        struct fbat_event event = {0};
        int status = segment_list_find_sequence(list, sequence + item, sequence + item, &index, &position, NULL);
        FBAT_ASSERT(status != FBAT_ERR_NOT_FOUND);
        if (status < 0)
            continue; /* sealed meanwhile, and not to be opened now: the append itself stands */
        if (segment_index_view(index, position, &event, NULL) < 0) {
            segment_index_release(index);
            continue; /* a page that went bad since: likewise */
        }
        out_receipts[item] = (struct fbat_receipt){
            .sequence = event.sequence,
            .revision = event.revision,
            .recorded_us = event.recorded_us,
            .id = event.id,
            .level = (uint8_t)append->level,
        };
        memcpy(out_receipts[item].hash, event.hash, sizeof out_receipts[item].hash);
        segment_index_release(index);
    }
    segment_list_release(list);
}

/* Tickets are waiting, or were taken back, that go before it. Asked under the lock, which is held whenever tickets that were
 * staged are put back. */
static bool must_queue(const struct sequencer *sequencer, const struct append *append) {
    return !append->fence && mailbox_is_busy(&sequencer->mailbox);
}

/* Stages, waits, stages again where that is asked for. */
static int append_in_place(struct sequencer *sequencer, struct append *append, struct fbat_error *error) {
    sequencer_lock(sequencer);
    for (;;) {
        if (must_queue(sequencer, append)) {
            pthread_mutex_unlock(&sequencer->lock);
            return mailbox_append(sequencer, append, error);
        }
        int status = stage_append(sequencer, append, error);
        if (status == FBAT_RETRY) {
            group_wait(sequencer);
            continue;
        }
        if (status != FBAT_OK || !append_is_waiting(append)) {
            pthread_mutex_unlock(&sequencer->lock);
            return status;
        }
        enum pending_state state = group_await(sequencer, &append->pending);
        if (state != PENDING_REDO)
            return state == PENDING_DONE ? FBAT_OK : error->status;
        sequencer_lock(sequencer);
    }
}

/* With a receipt to spare, so that the caller's stays untouched on failure. */
static int append_waiting(struct sequencer *sequencer, struct append *append, struct fbat_error *error) {
    struct fbat_receipt own, *wanted = append->receipts;
    append->receipts = wanted && append->count == 1 ? &own : NULL;
    append->receipts_known = append->count == 1 ? append->receipts : wanted;
    sem_init(&append->pending.wake, 0, 0);
    append->pending.error = error;
    int status = append_in_place(sequencer, append, error);
    sem_destroy(&append->pending.wake);
    if (status >= 0 && wanted && append->count == 1)
        *wanted = own;
    else if (status == FBAT_OK && wanted && append->pending.state == PENDING_DONE) /* not all known before */
        read_receipts(sequencer, append, wanted);
    append->receipts = append->receipts_known = wanted;
    return status;
}

int sequencer_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error) {
    struct fbat_error own; /* the cause of a death must be known even to a caller who asked for no detail */
    error = error ? error : &own;
    bool durable = append->level == FBAT_LEVEL_DURABLE && !append->fence;
    int status = FBAT_RETRY;
    if (!durable) {
        /* The short way: nothing to wait for, no semaphore, receipts filled in place. */
        sequencer_lock(sequencer);
        if (!sequencer->first && !must_queue(sequencer, append))
            status = stage_append(sequencer, append, error);
        pthread_mutex_unlock(&sequencer->lock);
    }
    if (status == FBAT_RETRY)
        status = append_waiting(sequencer, append, error);
    return status == FBAT_END ? FBAT_OK : status;
}
