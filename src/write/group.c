/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: appends that wait for a sync, and the sync they share. Leader and followers.
 *
 *     first -> [durable] -> [written] -> [durable] -> [durable] -> NULL      in the order of their sequences
 *              |<-- group under sync -->|<---- the group that is open ---->|
 *
 * Happy path: an append at level durable is written, takes its place in line, and, when nobody syncs, becomes the leader:
 * it notes how far the log is staged, gives up the lock, syncs, and publishes and answers everything up to there. The
 * appends that came meanwhile are the next group; its first is told to lead. An append at level written that stands behind
 * one that waits has to wait too, because readers see prefixes.
 *
 * Where a group is led: on the thread of its first blocking append; for tickets, whose threads do not wait, by the syncer;
 * on an os without threads, by whoever waits.
 *
 * batch.group_commit_max_batch bounds the appends at level durable that are staged and not yet under a sync: the next one
 * waits (group_wait) until the group is taken.
 *
 * Failure: restart.c takes back what waited and answers it.
 *
 * Thread rule: under the lock, which group_wait, group_await and group_sync give up for a while.
 *
 * I1: durable is only raised to a sequence that was staged before a sync that succeeded, all earlier segments being
 *     durable (rotation syncs a segment before it leaves it).
 * I2: nothing that waits for a sync is published or acknowledged before it.
 * I3: after each change, if an append waits for a sync, somebody syncs or has been told to.
 */
#include <errno.h>
#include <sched.h>
#include <time.h>

#include "base/assert.h"
#include "base/error.h"
#include "write/fault.h"
#include "write/fence.h"
#include "write/sequencer.h"

enum { GATHER_FRACTION = 4 };

static int state_of(const struct pending *pending) {
    return atomic_load_explicit(&pending->state, memory_order_acquire);
}

/* The outcome of a pending append. Where its thread sleeps, it is put on `wake` to be posted by wake_all; else its owner may
 * be gone right after. */
static void answer(struct pending *pending, enum pending_state state, const struct fbat_error *cause,
                   struct pending **wake) {
    void (*call)(struct pending *, const struct fbat_error *) = pending->answer;
    bool sleeps = state_of(pending) == PENDING_WAITING;
    if (state == PENDING_FAILED && pending->error)
        *pending->error = *cause;
    if (!call && sleeps) {
        pending->next = *wake;
        *wake = pending;
    }
    atomic_store_explicit(&pending->state, state, memory_order_release);
    if (call)
        call(pending, cause);
}

/* The post is the last touch of each: a thread that was asleep does not look at its append before. */
static void wake_all(struct pending *wake) {
    while (wake) {
        struct pending *next = wake->next;
        sem_post(&wake->wake);
        wake = next;
    }
}

void group_signal(struct sequencer *sequencer) {
    if (sequencer->waiters > 0)
        pthread_cond_broadcast(&sequencer->changed);
}

/* ---- publishing what may be ---- */

static bool may_publish(const struct pending *pending, uint64_t durable) {
    return !pending->durable || pending->last_sequence <= durable;
}

/* Everything up to `target` is synced. Publishes first and answers then, so that who is answered sees his events. The
 * answer is the list of those that are to be woken. */
static struct pending *advance(struct sequencer *sequencer, uint64_t target) {
    struct pending *ready = sequencer->first, *last = NULL, *wake = NULL;
    uint64_t written_events = 0;
    for (struct pending *at = ready; at && may_publish(at, target); at = at->next) {
        fault_passed(sequencer->config, "append.publish.before", at->last_sequence - at->event_count + 1);
        publish_frames(sequencer, at);
        written_events += at->last_sequence > target ? at->event_count : 0;
        last = at;
    }
    /* Durable before visible: who sees an event that was to be durable finds the watermark there. */
    if (atomic_load_explicit(&sequencer->durable, memory_order_relaxed) < target)
        publish_durable(sequencer, target);
    if (last) {
        segment_index_publish(sequencer->active);
        publish_visible(sequencer, last->last_sequence, last->heads_after);
        sequencer->first = last->next;
        sequencer->last = last->next ? sequencer->last : NULL;
        last->next = NULL;
    }
    sequencer_publish_live(sequencer);
    while (last && ready) {
        struct pending *next = ready->next;
        fault_passed(sequencer->config, "append.publish.after", ready->last_sequence - ready->event_count + 1);
        answer(ready, PENDING_DONE, NULL, &wake);
        ready = next;
    }
    group_signal(sequencer);
    if (written_events > 0)
        syncer_note(sequencer, written_events);
    return wake;
}

void group_fail(struct sequencer *sequencer, const struct fbat_error *cause) {
    struct pending *at = sequencer->first, *wake = NULL;
    sequencer->first = sequencer->last = NULL;
    sequencer->group_appends = 0;
    while (at) {
        struct pending *next = at->next;
        answer(at, at->durable ? PENDING_FAILED : PENDING_REDO, cause, &wake);
        at = next;
    }
    group_signal(sequencer);
    wake_all(wake);
}

/* ---- syncing ---- */

/* `end` is where the log stood when the sync was decided: no store goes before it any more. */
static int sync_segment(struct sequencer *sequencer, struct segment *segment, uint64_t end, struct fbat_error *error) {
    pthread_mutex_lock(&segment->sync_lock);
    segment_settle(segment, end);
    int status = fault_point(sequencer->config, "sync.before", segment->header.segment_id, error);
    if (status == FBAT_OK)
        status = segment_sync(segment, (enum os_sync_mode)sequencer->config->sync.mode, error);
    if (status == FBAT_OK)
        status = fault_point(sequencer->config, "sync.after", segment->header.segment_id, error);
    if (status < 0)
        segment_distrust(segment);
    pthread_mutex_unlock(&segment->sync_lock);
    if (status < 0)
        error->stage = FBAT_STAGE_SYNC;
    return status;
}

static bool needs_sync(const struct sequencer *sequencer) {
    return sequencer->active &&
           atomic_load_explicit(&sequencer->durable, memory_order_relaxed) < sequencer_last_outside(sequencer);
}

/* The open group is taken: the next one starts empty. */
static void take_group(struct sequencer *sequencer) {
    sequencer->group_appends = 0;
    sequencer->unsynced_events = 0;
}

int group_sync_locked(struct sequencer *sequencer, struct fbat_error *error) {
    if (!needs_sync(sequencer))
        return FBAT_OK;
    struct segment_index *index = sequencer->active;
    take_group(sequencer);
    int status = sync_segment(sequencer, index->segment, index->segment->end, error);
    if (status == FBAT_OK)
        wake_all(advance(sequencer, sequencer_last_outside(sequencer)));
    else
        restart_after_sync(sequencer, index, error);
    return status;
}

/* Those who were just answered are about to append again: without a moment's patience the threads would fall into two groups
 * that take turns, each waiting for two syncs. So the leader lets as many come as took part lately, for at most a fraction
 * of what a sync takes. Measured with 8 threads: docs/ARCHITECTURE.md. The lock is given up meanwhile. */
static void gather(struct sequencer *sequencer) {
    const struct os_methods *methods = sequencer->os->methods;
    if (!sequencer->syncer || sequencer->group_appends == 0)
        return;
    uint64_t started_us = methods->monotonic_us(sequencer->os), patience_us = sequencer->sync_us / GATHER_FRACTION;
    while (sequencer->group_appends < sequencer->group_expected && !group_is_full(sequencer) &&
           methods->monotonic_us(sequencer->os) - started_us < patience_us) {
        pthread_mutex_unlock(&sequencer->lock);
        sched_yield();
        sequencer_lock(sequencer);
    }
}

/* Who took part, and how long it took, for the next gathering. */
static void note_group(struct sequencer *sequencer, uint32_t appends, uint64_t took_us) {
    sequencer->group_expected = appends + sequencer->group_appends;
    sequencer->sync_us = (sequencer->sync_us * 7 + took_us) / 8;
}

int group_sync(struct sequencer *sequencer, struct fbat_error *error) {
    FBAT_ASSERT(!sequencer->syncing);
    if (!needs_sync(sequencer))
        return FBAT_OK;
    struct pending *wake = NULL;
    sequencer->syncing = true;
    gather(sequencer);
    struct segment_index *index = sequencer->active;
    uint64_t target = sequencer_last_outside(sequencer), end = index->segment->end;
    uint32_t appends = sequencer->group_appends;
    segment_index_retain(index);
    take_group(sequencer);
    group_signal(sequencer);
    pthread_mutex_unlock(&sequencer->lock);
    uint64_t started_us = sequencer->os->methods->monotonic_us(sequencer->os);
    int status = sync_segment(sequencer, index->segment, end, error);
    uint64_t took_us = sequencer->os->methods->monotonic_us(sequencer->os) - started_us;
    sequencer_lock(sequencer);
    sequencer->syncing = false;
    note_group(sequencer, appends, took_us);
    if (status < 0)
        restart_after_sync(sequencer, index, error);
    else if (index == sequencer->active && target > atomic_load_explicit(&sequencer->durable, memory_order_relaxed))
        wake = advance(sequencer, target); /* else the log has gone on in another segment, and this is settled */
    segment_index_release(index);
    group_appoint(sequencer); /* before those who are done: the disk should not wait for them */
    group_signal(sequencer);
    syncer_resume(sequencer);
    if (wake && wake->next) { /* many: others may stage meanwhile */
        pthread_mutex_unlock(&sequencer->lock);
        wake_all(wake);
        sequencer_lock(sequencer);
    } else {
        wake_all(wake);
    }
    return status;
}

void group_appoint(struct sequencer *sequencer) {
    struct pending *first = sequencer->first;
    if (!first || sequencer->syncing)
        return;
    FBAT_ASSERT(first->durable); /* nothing else holds up the line */
    if (first->answer) {
        (void)syncer_lead(sequencer);
    } else if (state_of(first) == PENDING_WAITING) {
        atomic_store_explicit(&first->state, PENDING_LEAD, memory_order_release);
        sem_post(&first->wake);
    }
}

/* ---- waiting ---- */

bool group_is_full(const struct sequencer *sequencer) {
    uint32_t most = sequencer->config->batch.group_commit_max_batch;
    return most > 0 && sequencer->group_appends >= most;
}

void group_add(struct sequencer *sequencer, struct pending *pending) {
    pending->next = NULL;
    atomic_store_explicit(&pending->state, PENDING_WAITING, memory_order_release);
    if (sequencer->last)
        sequencer->last->next = pending;
    else
        sequencer->first = pending;
    sequencer->last = pending;
    sequencer->group_appends += pending->durable;
    if (!pending->durable && sequencer->first == pending)
        wake_all(advance(sequencer, atomic_load_explicit(&sequencer->durable, memory_order_relaxed)));
    else if (pending->answer)
        group_appoint(sequencer);
}

void group_wait(struct sequencer *sequencer) {
    struct fbat_error ignored; /* who waited for the sync is told */
    if (!sequencer->syncing) {
        if (sequencer->first)
            (void)group_sync(sequencer, &ignored);
        return; /* else it has changed already: the writer went on in a new segment */
    }
    sequencer->waiters++;
    pthread_cond_wait(&sequencer->changed, &sequencer->lock);
    sequencer->waiters--;
}

static bool is_waiting(int state) {
    return state == PENDING_WAITING || state == PENDING_LEAD || state == PENDING_LEADING;
}

static void set_state(struct pending *pending, enum pending_state state) {
    atomic_store_explicit(&pending->state, state, memory_order_release);
}

/* A thread is PENDING_WAITING exactly while it sleeps, or is about to: then it is posted once, with the change of its state.
 * So each post is consumed by the sleep it ends, and whoever posts has done with an append, which may be on this thread's
 * stack, when the thread goes on. */
enum pending_state group_await(struct sequencer *sequencer, struct pending *pending) {
    struct fbat_error ignored; /* who waited for the sync is told */
    for (;;) {
        while (is_waiting(state_of(pending)) && !sequencer->syncing) {
            set_state(pending, PENDING_LEADING);
            (void)group_sync(sequencer, &ignored);
        }
        int state = state_of(pending);
        if (is_waiting(state))
            set_state(pending, PENDING_WAITING);
        pthread_mutex_unlock(&sequencer->lock);
        if (!is_waiting(state))
            return (enum pending_state)state;
        while (sem_wait(&pending->wake) != 0 && errno == EINTR)
            continue;
        state = state_of(pending);
        if (!is_waiting(state))
            return (enum pending_state)state;
        sequencer_lock(sequencer);
    }
}

int sequencer_sync(struct sequencer *sequencer, struct fbat_error *error) {
    struct fbat_error own;
    int status = FBAT_OK;
    sequencer_lock(sequencer);
    uint64_t target = directory_visible(sequencer->directory);
    while (status == FBAT_OK && atomic_load_explicit(&sequencer->durable, memory_order_relaxed) < target) {
        status = sequencer_check_alive(sequencer, error);
        if (status == FBAT_OK && sequencer->syncing)
            group_wait(sequencer);
        else if (status == FBAT_OK)
            (void)group_sync(sequencer, &own); /* after a failure, either the tail was moved or the writer is dead */
    }
    if (status == FBAT_OK)
        status = sequencer_check_alive(sequencer, error);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

static void deadline_after(uint32_t timeout_ms, struct timespec *out_deadline) {
    clock_gettime(CLOCK_MONOTONIC, out_deadline);
    out_deadline->tv_sec += timeout_ms / 1000;
    out_deadline->tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    out_deadline->tv_sec += out_deadline->tv_nsec / 1000000000;
    out_deadline->tv_nsec %= 1000000000;
}

/* Sleeps until a change or the deadline. False at the deadline. */
static bool sleep_until(struct sequencer *sequencer, uint32_t timeout_ms, const struct timespec *deadline) {
    sequencer->waiters++;
    int os_errno = timeout_ms == FBAT_FOREVER ? pthread_cond_wait(&sequencer->changed, &sequencer->lock)
                                              : pthread_cond_timedwait(&sequencer->changed, &sequencer->lock, deadline);
    sequencer->waiters--;
    return os_errno != ETIMEDOUT;
}

int sequencer_wait_durable(struct sequencer *sequencer, uint64_t sequence, uint32_t timeout_ms,
                           struct fbat_error *error) {
    struct timespec deadline = {0};
    struct fbat_error own;
    if (timeout_ms != FBAT_FOREVER)
        deadline_after(timeout_ms, &deadline);
    int status = FBAT_OK;
    sequencer_lock(sequencer);
    while (status == FBAT_OK && atomic_load_explicit(&sequencer->durable, memory_order_relaxed) < sequence) {
        status = sequencer_check_alive(sequencer, error);
        bool here = sequencer->last_sequence >= sequence && needs_sync(sequencer) && !sequencer->syncing;
        if (status == FBAT_OK && here && !syncer_lead(sequencer))
            (void)group_sync(sequencer, &own);
        else if (status == FBAT_OK && !sleep_until(sequencer, timeout_ms, &deadline))
            status = FBAT_RETRY;
    }
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}
