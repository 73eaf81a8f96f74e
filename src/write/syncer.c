/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making written events durable: on demand, when sync.every_n_events of them are waiting, or when the first of them has
 * waited for sync.max_delay_ms.
 *
 * Happy path: a thread sleeps until a sync is due, takes note of the active segment and the last sequence, gives up the
 * lock, syncs while appends go on, and raises the durable watermark. Where the os has no threads, the append that makes
 * a sync due does it itself.
 *
 * Failure: a failed sync kills the writer. No append waited for this one, so none fails with it; the next one says why.
 *
 * I1: durable is only raised to a sequence that was the last one before a sync that succeeded, with all earlier
 *     segments durable (rotation syncs a segment before it leaves it).
 */
#include <errno.h>
#include <time.h>

#include "base/error.h"
#include "write/sequencer.h"

static void raise_durable(struct sequencer *sequencer, uint64_t sequence) {
    if (atomic_load_explicit(&sequencer->durable, memory_order_relaxed) < sequence)
        atomic_store_explicit(&sequencer->durable, sequence, memory_order_release);
    sequencer_publish_live(sequencer);
}

/* `end` is where the log stood when the sync was decided: no store goes before it any more. */
static int sync_segment(struct sequencer *sequencer, struct segment *segment, uint64_t end, struct fbat_error *error) {
    pthread_mutex_lock(&sequencer->sync_lock);
    segment_settle(segment, end);
    int status = segment_sync(segment, (enum os_sync_mode)sequencer->config->sync.mode, error);
    pthread_mutex_unlock(&sequencer->sync_lock);
    return status;
}

int sequencer_sync_locked(struct sequencer *sequencer, struct fbat_error *error) {
    if (!sequencer->active ||
        atomic_load_explicit(&sequencer->durable, memory_order_relaxed) == sequencer->last_sequence)
        return FBAT_OK;
    struct fbat_error own;
    error = error ? error : &own;
    int status = sync_segment(sequencer, sequencer->active->segment, sequencer->active->segment->end, error);
    if (status < 0) {
        sequencer_die(sequencer, error);
        return status;
    }
    sequencer->unsynced_events = 0;
    raise_durable(sequencer, sequencer->last_sequence);
    return FBAT_OK;
}

/* The lock is held on entry and exit, and given up during the sync. */
static int sync_unlocked(struct sequencer *sequencer, struct fbat_error *error) {
    struct segment_index *index = sequencer->active;
    uint64_t sequence = sequencer->last_sequence, end = index ? index->segment->end : 0;
    if (!index || atomic_load_explicit(&sequencer->durable, memory_order_relaxed) >= sequence)
        return FBAT_OK;
    segment_index_retain(index);
    sequencer->unsynced_events = 0;
    pthread_mutex_unlock(&sequencer->lock);
    int status = sync_segment(sequencer, index->segment, end, error);
    pthread_mutex_lock(&sequencer->lock);
    segment_index_release(index);
    if (status < 0)
        sequencer_die(sequencer, error);
    else
        raise_durable(sequencer, sequence);
    return status;
}

int sequencer_sync(struct sequencer *sequencer, struct fbat_error *error) {
    struct fbat_error own;
    error = error ? error : &own;
    pthread_mutex_lock(&sequencer->lock);
    int status = sequencer_check_alive(sequencer, error);
    if (status == FBAT_OK)
        status = sync_unlocked(sequencer, error);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

static bool is_due(const struct sequencer *sequencer, uint64_t now_us) {
    const struct fbat_config *config = sequencer->config;
    if (sequencer->dead || sequencer->unsynced_events == 0)
        return false;
    if (sequencer->unsynced_events >= config->sync.every_n_events)
        return true;
    return config->sync.max_delay_ms > 0 &&
           now_us - sequencer->unsynced_since_us >= (uint64_t)config->sync.max_delay_ms * 1000;
}

void sequencer_note_unsynced(struct sequencer *sequencer, uint64_t event_count) {
    bool first = sequencer->unsynced_events == 0;
    if (first && (sequencer->config->sync.max_delay_ms > 0))
        sequencer->unsynced_since_us = sequencer->os->methods->monotonic_us(sequencer->os);
    bool reached = sequencer->unsynced_events < sequencer->config->sync.every_n_events &&
                   sequencer->unsynced_events + event_count >= sequencer->config->sync.every_n_events;
    sequencer->unsynced_events += event_count;
    if (sequencer->syncer) {
        if (first || reached)
            pthread_cond_signal(&sequencer->due);
        return;
    }
    if (is_due(sequencer, sequencer->os->methods->monotonic_us(sequencer->os)))
        (void)sequencer_sync_locked(sequencer, NULL);
}

/* Waits for a signal, or until the first unsynced event has waited long enough. */
static void wait_until_due(struct sequencer *sequencer) {
    uint32_t delay_ms = sequencer->config->sync.max_delay_ms;
    if (sequencer->dead || sequencer->unsynced_events == 0 || delay_ms == 0) {
        pthread_cond_wait(&sequencer->due, &sequencer->lock);
        return;
    }
    uint64_t deadline_us = sequencer->unsynced_since_us + (uint64_t)delay_ms * 1000;
    struct timespec deadline = {.tv_sec = (time_t)(deadline_us / 1000000),
                                .tv_nsec = (long)(deadline_us % 1000000) * 1000};
    (void)pthread_cond_timedwait(&sequencer->due, &sequencer->lock, &deadline);
}

static void run_syncer(void *user) {
    struct sequencer *sequencer = user;
    pthread_mutex_lock(&sequencer->lock);
    while (!sequencer->syncer_stop) {
        struct fbat_error error;
        if (is_due(sequencer, sequencer->os->methods->monotonic_us(sequencer->os)))
            (void)sync_unlocked(sequencer, &error);
        else
            wait_until_due(sequencer);
    }
    pthread_mutex_unlock(&sequencer->lock);
}

int sequencer_start_syncer(struct sequencer *sequencer, struct fbat_error *error) {
    void *thread = NULL;
    int os_errno = sequencer->os->methods->thread_start(sequencer->os, sequencer->config->writer.stack_size, run_syncer,
                                                        sequencer, &thread);
    if (os_errno == EOPNOTSUPP)
        return FBAT_OK;
    if (os_errno)
        return error_set_os(error, os_errno, "start the thread that syncs", sequencer->dir);
    pthread_mutex_lock(&sequencer->lock);
    sequencer->syncer = thread;
    pthread_mutex_unlock(&sequencer->lock);
    return FBAT_OK;
}

void sequencer_stop_syncer(struct sequencer *sequencer) {
    if (!sequencer->syncer)
        return;
    pthread_mutex_lock(&sequencer->lock);
    sequencer->syncer_stop = true;
    pthread_cond_signal(&sequencer->due);
    pthread_mutex_unlock(&sequencer->lock);
    sequencer->os->methods->thread_join(sequencer->os, sequencer->syncer);
    sequencer->syncer = NULL;
}

int sequencer_stop(struct sequencer *sequencer, struct fbat_error *error) {
    sequencer_stop_syncer(sequencer);
    pthread_mutex_lock(&sequencer->lock);
    int status = sequencer_check_alive(sequencer, error);
    if (status == FBAT_OK)
        status = sequencer_sync_locked(sequencer, error);
    if (status == FBAT_OK && sequencer->active)
        status = segment_trim(sequencer->active->segment, error);
    if (status == FBAT_OK)
        sequencer_publish_live(sequencer);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}
