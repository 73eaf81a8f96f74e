/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syncs that are due: when sync.every_n_events published events are waiting, when the first of them has waited for
 * sync.max_delay_ms, or when tickets or fbat_wait_durable ask for one.
 *
 * Happy path: a thread sleeps until a sync is due and leads it, while appends go on. Where the os has no threads, the
 * append that makes a sync due does it itself.
 *
 * Failure: a failed sync is dealt with by restart.c. No append waited for one that is due by count or time, so none fails
 * with it.
 *
 * Thread rule: under the lock, but for starting and stopping.
 */
#include <errno.h>
#include <time.h>

#include "base/error.h"
#include "write/sequencer.h"

static bool is_due(const struct sequencer *sequencer, uint64_t now_us) {
    const struct fbat_config *config = sequencer->config;
    if (sequencer->dead || sequencer->syncing)
        return false;
    if (sequencer->lead_wanted)
        return true;
    if (sequencer->unsynced_events == 0)
        return false;
    if (sequencer->unsynced_events >= config->sync.every_n_events)
        return true;
    return config->sync.max_delay_ms > 0 &&
           now_us - sequencer->unsynced_since_us >= (uint64_t)config->sync.max_delay_ms * 1000;
}

void syncer_note(struct sequencer *sequencer, uint64_t event_count) {
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
    struct fbat_error ignored;
    if (is_due(sequencer, sequencer->os->methods->monotonic_us(sequencer->os)))
        (void)group_sync_locked(sequencer, &ignored);
}

bool syncer_lead(struct sequencer *sequencer) {
    if (!sequencer->syncer || sequencer->syncer_stop)
        return false;
    sequencer->lead_wanted = true;
    pthread_cond_signal(&sequencer->due);
    return true;
}

void syncer_resume(struct sequencer *sequencer) {
    if (sequencer->lead_wanted || sequencer->unsynced_events > 0)
        pthread_cond_signal(&sequencer->due);
}

/* Waits for a signal, or until the first unsynced event has waited long enough. Who syncs meanwhile will signal. */
static void wait_until_due(struct sequencer *sequencer) {
    uint32_t delay_ms = sequencer->config->sync.max_delay_ms;
    if (sequencer->dead || sequencer->syncing || sequencer->unsynced_events == 0 || delay_ms == 0) {
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
    sequencer_lock(sequencer);
    while (!sequencer->syncer_stop) {
        struct fbat_error ignored; /* who waits for it is told */
        if (is_due(sequencer, sequencer->os->methods->monotonic_us(sequencer->os))) {
            sequencer->lead_wanted = false;
            (void)group_sync(sequencer, &ignored);
        } else {
            wait_until_due(sequencer);
        }
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
    sequencer_lock(sequencer);
    sequencer->syncer = thread;
    pthread_mutex_unlock(&sequencer->lock);
    return FBAT_OK;
}

void syncer_stop(struct sequencer *sequencer) {
    if (!sequencer->syncer)
        return;
    sequencer_lock(sequencer);
    sequencer->syncer_stop = true;
    pthread_cond_signal(&sequencer->due);
    pthread_mutex_unlock(&sequencer->lock);
    sequencer->os->methods->thread_join(sequencer->os, sequencer->syncer);
    sequencer->syncer = NULL;
}
