/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing segments that the log has left, and what can be made of sealed ones: runs of ids (index/id_runs.h). Both are
 * derived data, so nobody waits for them.
 *
 * Happy path: rotation gives a segment to sealer_add; the sealer's thread writes its footer, maps it, and puts the mapped
 * index in the place of the one in memory. Where the os has no threads, or SEALER_QUEUE segments are waiting already, the
 * append that rotates does it itself.
 *
 * Failure modes: the index in memory stays, and the next opening makes the footer. LOCK says which footers cannot be
 * trusted, from before one is written, so that a death in the middle is known too: a footer whose sync failed can be read
 * back until the power goes.
 *
 * Thread rule: functions with the lock held, but for starting and stopping.
 *
 * I1: a waiting segment is in the directory, complete, published and durable; nothing but its footer is written to it.
 * I2: an index leaves the directory only under the sequencer's lock.
 */
#include "base/error.h"
#include "index/id_runs.h"
#include "write/sequencer.h"

/* Tells LOCK from which segment on footers may be unfinished: the oldest of those that wait and those that failed. */
static void publish_unfinished(struct sequencer *sequencer) {
    const struct sealer *sealer = &sequencer->sealer;
    uint64_t waiting = sealer->count > 0 ? sealer->queue[0]->segment->header.segment_id : 0;
    uint64_t failed = sealer->failed_id;
    sequencer->unfinished_segment_id = waiting == 0 ? failed : failed == 0 || waiting < failed ? waiting : failed;
    sequencer_publish_live(sequencer);
}

void sealer_note_failed(struct sequencer *sequencer, uint64_t segment_id) {
    struct sealer *sealer = &sequencer->sealer;
    if (sealer->failed_id == 0 || segment_id < sealer->failed_id)
        sealer->failed_id = segment_id;
    publish_unfinished(sequencer);
}

static int map_footer(const struct sequencer *sequencer, uint64_t segment_id, struct segment_index **out_sealed,
                      struct fbat_error *error) {
    struct segment *segment = NULL;
    const char *fault = NULL;
    FBAT_TRY(
        segment_open(sequencer->os, sequencer->dir, segment_id, &sequencer->store_id, SEGMENT_WRITE, &segment, error));
    int status = segment_index_open_footer(segment, out_sealed, &fault, error);
    if (status < 0)
        segment_close(segment);
    else
        segment_forget_file(segment);
    return status;
}

/* The part that takes long: without the lock. */
static int write_footer(const struct sequencer *sequencer, struct segment_index *old, struct segment_index **out_sealed,
                        struct fbat_error *error) {
    struct segment *segment = old->segment;
    pthread_mutex_lock(&segment->sync_lock);
    segment->end = old->summary.frames_end; /* staged frames of a fence that ended otherwise are nothing to keep */
    int status = segment_index_write_footer(old, error);
    pthread_mutex_unlock(&segment->sync_lock);
    FBAT_TRY(status);
    return map_footer(sequencer, segment->header.segment_id, out_sealed, error);
}

/* The mapped footer takes the place of the index in memory, or that stays. */
static void install_sealed(struct sequencer *sequencer, struct segment_index *old, int status,
                           struct segment_index *sealed, struct fbat_error *error) {
    if (status == FBAT_OK && (status = directory_replace(sequencer->directory, sealed, error)) < 0)
        segment_index_release(sealed);
    if (status == FBAT_OK) {
        sequencer->sealer.runs_due = true;
        return;
    }
    sealer_note_failed(sequencer, old->segment->header.segment_id);
    if (sequencer->config->log)
        sequencer->config->log(sequencer->config->log_user, FBAT_LOG_WARNING, error->message);
}

static void seal_inline(struct sequencer *sequencer, struct segment_index *old) {
    struct fbat_error error;
    struct segment_index *sealed = NULL;
    int status = write_footer(sequencer, old, &sealed, &error);
    install_sealed(sequencer, old, status, sealed, &error);
}

/* Makes one run where one is due. True when there may be more to do. */
static bool make_run(const struct sequencer *sequencer) {
    struct fbat_error error;
    bool more = false;
    int status = id_runs_maintain(sequencer->os, sequencer->dir, &sequencer->store_id, sequencer->directory,
                                  &sequencer->sealer.cancel, &more, &error);
    if (status < 0 && sequencer->config->log)
        sequencer->config->log(sequencer->config->log_user, FBAT_LOG_WARNING, error.message);
    return status == FBAT_OK && more;
}

/* ---- the thread ---- */

static void seal_oldest(struct sequencer *sequencer) {
    struct sealer *sealer = &sequencer->sealer;
    struct fbat_error error;
    struct segment_index *sealed = NULL, *oldest = sealer->queue[0];
    pthread_mutex_unlock(&sequencer->lock);
    int status = write_footer(sequencer, oldest, &sealed, &error);
    sequencer_lock(sequencer);
    install_sealed(sequencer, oldest, status, sealed, &error);
    sealer->count--;
    for (uint32_t at = 0; at < sealer->count; at++)
        sealer->queue[at] = sealer->queue[at + 1];
    segment_index_release(oldest);
    publish_unfinished(sequencer);
}

static void work(struct sequencer *sequencer) {
    struct sealer *sealer = &sequencer->sealer;
    if (sealer->count > 0) {
        seal_oldest(sequencer);
        return;
    }
    sealer->runs_due = false;
    pthread_mutex_unlock(&sequencer->lock);
    bool more = make_run(sequencer);
    sequencer_lock(sequencer);
    sealer->runs_due |= more;
}

static void run_sealer(void *user) {
    struct sequencer *sequencer = user;
    struct sealer *sealer = &sequencer->sealer;
    sequencer_lock(sequencer);
    for (;;) {
        while (sealer->count == 0 && !sealer->runs_due && !sealer->stop)
            pthread_cond_wait(&sealer->wanted, &sequencer->lock);
        if (sealer->stop && sealer->count == 0)
            break;
        work(sequencer);
    }
    pthread_mutex_unlock(&sequencer->lock);
}

/* True when there is a thread to leave it to. */
static bool has_thread(struct sequencer *sequencer) {
    struct sealer *sealer = &sequencer->sealer;
    if (!sealer->thread && !sealer->threadless)
        sealer->threadless = sequencer->os->methods->thread_start(sequencer->os, sequencer->config->writer.stack_size,
                                                                  run_sealer, sequencer, &sealer->thread) != 0;
    return !sealer->threadless;
}

void sealer_add(struct sequencer *sequencer, struct segment_index *old) {
    struct sealer *sealer = &sequencer->sealer;
    if (has_thread(sequencer) && sealer->count < SEALER_QUEUE) {
        segment_index_retain(old);
        sealer->queue[sealer->count++] = old;
        publish_unfinished(sequencer);
        pthread_cond_signal(&sealer->wanted);
        return;
    }
    if (sealer->count == 0) {
        sequencer->unfinished_segment_id =
            sequencer->unfinished_segment_id == 0 ? old->segment->header.segment_id : sequencer->unfinished_segment_id;
        sequencer_publish_live(sequencer);
    }
    seal_inline(sequencer, old);
    publish_unfinished(sequencer);
    if (sealer->threadless)
        (void)make_run(sequencer);
}

void sealer_stop(struct sequencer *sequencer, bool finish) {
    struct sealer *sealer = &sequencer->sealer;
    sequencer_lock(sequencer);
    sealer->stop = true;
    atomic_store(&sealer->cancel, true);
    /* The one that is being written cannot be taken back. */
    while (!finish && sealer->count > 1)
        segment_index_release(sealer->queue[--sealer->count]);
    pthread_cond_signal(&sealer->wanted);
    void *thread = sealer->thread;
    sealer->thread = NULL;
    pthread_mutex_unlock(&sequencer->lock);
    if (thread)
        sequencer->os->methods->thread_join(sequencer->os, thread);
}
