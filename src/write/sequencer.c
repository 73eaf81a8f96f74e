/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer's life, its ids and times, and its watermarks. What happens to an append is in the files that sequencer.h
 * lists.
 *
 * Failure modes: a writer that is dead stays so until the store is opened again; the first cause is kept.
 *
 * I1: ids made rise strictly; recorded times never decrease.
 */
#include "write/sequencer.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/id.h"
#include "base/memory.h"
#include "write/fence.h"

enum { LOCK_LOOKS = 100 };

/* ---- life ---- */

static int allocate_drafts(struct sequencer *sequencer, struct fbat_error *error) {
    uint32_t most = sequencer->config->batch.max_size, size = 4;
    while (size < most * 2)
        size *= 2;
    sequencer->key_slots_size = size;
    sequencer->drafts = memory_allocate_zero(most * sizeof *sequencer->drafts);
    sequencer->key_slots = memory_allocate_zero(size * sizeof *sequencer->key_slots);
    return sequencer->drafts && sequencer->key_slots ? FBAT_OK : error_set_no_memory(error);
}

static int build_heads(struct sequencer *sequencer, struct fbat_error *error) {
    struct segment_list *list = directory_acquire(sequencer->directory);
    int status = streams_init(&sequencer->streams) ? FBAT_OK : error_set_no_memory(error);
    for (uint32_t at = 0; at < list->count && status == FBAT_OK; at++) {
        struct segment_index *index = NULL;
        status = segment_list_pin(list, at, &index, error);
        if (status == FBAT_OK)
            status = streams_fold(&sequencer->streams, index, error);
        segment_index_release(index);
    }
    segment_list_release(list);
    return status;
}

static void init_locks(struct sequencer *sequencer) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sequencer->due, &attributes);
    pthread_cond_init(&sequencer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&sequencer->lock, NULL);
    pthread_cond_init(&sequencer->sealer.wanted, NULL);
}

int sequencer_init(struct sequencer *sequencer, struct os *os, const struct fbat_config *config, const char *dir,
                   const struct fbat_id *store_id, struct directory *directory, uint8_t *live,
                   const struct sequencer_start *start, struct fbat_error *error) {
    memset(sequencer, 0, sizeof *sequencer);
    init_locks(sequencer);
    sequencer->os = os;
    sequencer->config = config;
    sequencer->dir = dir;
    sequencer->store_id = *store_id;
    sequencer->directory = directory;
    sequencer->live = live;
    sequencer->active = start->active;
    sequencer->last_segment_id = start->last_segment_id;
    sequencer->unfinished_segment_id = sequencer->sealer.failed_id = start->unfinished_segment_id;
    sequencer->sealer.runs_due = true; /* a run may have been due when the last writer ended */
    sequencer->last_sequence = start->last_sequence;
    sequencer->last_recorded_us = start->last_recorded_us;
    sequencer->last_id = start->last_id;
    sequencer->id_tag_key = id_tag_key(store_id);
    atomic_init(&sequencer->accepted, start->last_sequence);
    atomic_init(&sequencer->durable, start->last_sequence);
    FBAT_TRY(mailbox_init(&sequencer->mailbox, sequencer, error));
    FBAT_TRY(allocate_drafts(sequencer, error));
    FBAT_TRY(build_heads(sequencer, error));
    sequencer->heads_published = sequencer->streams.count;
    sequencer_publish_live(sequencer);
    return FBAT_OK;
}

void sequencer_lock(struct sequencer *sequencer) {
    for (int look = 0; look < LOCK_LOOKS; look++) {
        if (pthread_mutex_trylock(&sequencer->lock) == 0)
            return;
        __builtin_ia32_pause();
    }
    pthread_mutex_lock(&sequencer->lock);
}

static const struct fbat_error *shutdown_error(struct fbat_error *error) {
    (void)error_set(error, FBAT_ERR_SHUTDOWN, "the store was closed before this append was reached; append it anew");
    return error;
}

/* Whatever has not been answered by now never will be. */
static void answer_all(struct sequencer *sequencer) {
    struct fbat_error error;
    mailbox_close(&sequencer->mailbox, 0);
    mailbox_join(&sequencer->mailbox);
    pthread_mutex_lock(&sequencer->lock);
    fence_fail(sequencer, NULL);
    for (struct pending *at = sequencer->first; at; at = at->next)
        at->durable = true; /* none is to be staged again */
    group_fail(sequencer, shutdown_error(&error));
    pthread_mutex_unlock(&sequencer->lock);
}

void sequencer_deinit(struct sequencer *sequencer) {
    if (!sequencer->config)
        return;
    answer_all(sequencer);
    sealer_stop(sequencer, false);
    syncer_stop(sequencer);
    mailbox_deinit(&sequencer->mailbox);
    streams_deinit(&sequencer->streams);
    key_set_deinit(&sequencer->staged_keys);
    memory_free(sequencer->drafts);
    memory_free(sequencer->key_slots);
    pthread_cond_destroy(&sequencer->due);
    pthread_cond_destroy(&sequencer->changed);
    pthread_mutex_destroy(&sequencer->lock);
    pthread_cond_destroy(&sequencer->sealer.wanted);
    sequencer->config = NULL;
}

/* Everything durable, and the file cut to it. */
static int finish_locked(struct sequencer *sequencer, struct fbat_error *error) {
    struct fbat_error own; /* a failed sync is told by what comes of it: the tail was moved, or the writer is dead */
    while (sequencer->syncing)
        group_wait(sequencer);
    FBAT_TRY(sequencer_check_alive(sequencer, error));
    (void)group_sync_locked(sequencer, &own);
    FBAT_TRY(sequencer_check_alive(sequencer, error));
    if (!sequencer->active)
        return FBAT_OK;
    struct segment *segment = sequencer->active->segment;
    segment->end = sequencer->active->summary.frames_end; /* a fence that was cancelled is nothing to keep */
    FBAT_TRY(segment_trim(segment, error));
    sequencer_publish_live(sequencer);
    return FBAT_OK;
}

int sequencer_stop(struct sequencer *sequencer, struct fbat_error *error) {
    mailbox_close(&sequencer->mailbox, sequencer->config->writer.shutdown_drain_limit);
    pthread_mutex_lock(&sequencer->lock);
    fence_fail(sequencer, NULL);
    pthread_mutex_unlock(&sequencer->lock);
    mailbox_join(&sequencer->mailbox);
    pthread_mutex_lock(&sequencer->lock);
    int status = finish_locked(sequencer, error);
    pthread_mutex_unlock(&sequencer->lock);
    sealer_stop(sequencer, true);
    syncer_stop(sequencer);
    return status;
}

void sequencer_die(struct sequencer *sequencer, const struct fbat_error *cause) {
    if (atomic_load_explicit(&sequencer->dead, memory_order_relaxed))
        return;
    sequencer->cause = *cause;
    atomic_store_explicit(&sequencer->dead, true, memory_order_release);
    group_signal(sequencer);
    if (sequencer->config->log)
        sequencer->config->log(sequencer->config->log_user, FBAT_LOG_ERROR, cause->message);
}

int sequencer_check_alive(const struct sequencer *sequencer, struct fbat_error *error) {
    if (!atomic_load_explicit(&sequencer->dead, memory_order_acquire))
        return FBAT_OK;
    error_set(error, FBAT_ERR_WRITER_DEAD,
              "the writer stopped: %.350s; reads go on; close and reopen the store to recover",
              sequencer->cause.message);
    if (error) {
        error->os_errno = sequencer->cause.os_errno;
        error->segment_id = sequencer->cause.segment_id;
        error->offset = sequencer->cause.offset;
    }
    return FBAT_ERR_WRITER_DEAD;
}

/* ---- ids and times ---- */

static int next_random(struct sequencer *sequencer, uint64_t *out_bits, struct fbat_error *error) {
    if (sequencer->random_left == 0) {
        int os_errno =
            sequencer->os->methods->random(sequencer->os, sequencer->random_pool, sizeof sequencer->random_pool);
        if (os_errno)
            return error_set_os(error, os_errno, "get randomness from", "the system");
        sequencer->random_left = SEQUENCER_RANDOM_WORDS;
    }
    *out_bits = sequencer->random_pool[--sequencer->random_left];
    return FBAT_OK;
}

static int64_t read_clock(const struct sequencer *sequencer) {
    const struct fbat_config *config = sequencer->config;
    int64_t now = config->clock ? config->clock(config->clock_user) : sequencer->os->methods->clock_us(sequencer->os);
    return now < 1 ? 1 : now;
}

int64_t sequencer_now(const struct sequencer *sequencer) {
    int64_t now = read_clock(sequencer);
    return now < sequencer->last_recorded_us ? sequencer->last_recorded_us : now;
}

int sequencer_make_id(struct sequencer *sequencer, int64_t now_us, uint64_t next_sequence, struct fbat_id *out_id,
                      struct fbat_error *error) {
    uint64_t bits = 0;
    FBAT_TRY(next_random(sequencer, &bits, error));
    sequencer->last_id = next_sequence == 0
                             ? id_make(&sequencer->last_id, now_us, bits)
                             : id_make_for(&sequencer->last_id, now_us, next_sequence, sequencer->id_tag_key, bits);
    *out_id = sequencer->last_id;
    return FBAT_OK;
}

int sequencer_generate_id(struct sequencer *sequencer, struct fbat_id *out_id, struct fbat_error *error) {
    pthread_mutex_lock(&sequencer->lock);
    int status = sequencer_make_id(sequencer, sequencer_now(sequencer), 0, out_id, error);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

uint64_t sequencer_last_outside(const struct sequencer *sequencer) {
    const struct fbat_fence *fence = atomic_load_explicit(&sequencer->fence, memory_order_relaxed);
    return fence && fence->first_sequence != 0 ? fence->first_sequence - 1 : sequencer->last_sequence;
}

void sequencer_frontier(struct sequencer *sequencer, struct fbat_frontier *out_frontier) {
    /* In this order: what was durable when an event became visible is found, and what is accepted never goes back below
     * what is visible. */
    uint64_t visible = directory_visible(sequencer->directory);
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_acquire);
    uint64_t accepted = atomic_load_explicit(&sequencer->accepted, memory_order_acquire);
    durable = durable < visible ? durable : visible; /* stored first, it may be ahead for a moment */
    *out_frontier =
        (struct fbat_frontier){.accepted = accepted, .written = visible, .visible = visible, .durable = durable};
}

uint64_t sequencer_memory(struct sequencer *sequencer) {
    pthread_mutex_lock(&sequencer->lock);
    uint64_t bytes = streams_memory(&sequencer->streams) +
                     sequencer->config->batch.max_size * sizeof *sequencer->drafts +
                     sequencer->key_slots_size * sizeof *sequencer->key_slots;
    if (sequencer->active)
        bytes += segment_index_memory(sequencer->active) + sequencer->active->segment->scratch_bytes;
    pthread_mutex_unlock(&sequencer->lock);
    return bytes;
}
