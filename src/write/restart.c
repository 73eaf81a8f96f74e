/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer's death and return. After a failed sync nobody knows what of the file reached the disk, and asking again would
 * not tell: the file is never synced again. What was acknowledged `written` and is not durable yet is moved to a new segment.
 *
 *     old    [ durable | published, not durable | staged: taken back ]       abandoned from the bar on
 *                      '--------- copied ------.
 *     new                              [header | ....................... ]   synced, then given its name
 *
 * The new segment's header says that the log goes on behind the durable sequence: from there on the frames of the old one
 * count no more (they are *superseded*, docs/FORMAT.md).
 *
 *     STEP                                   A CRASH AFTER IT LEAVES
 *     1  take back what waited               the old segment; what was taken back may be found there: nobody was told
 *     2  new file, under another name        that, and a file that the next opening removes
 *     3  frames copied, file synced          likewise
 *     4  renamed, directory synced           either of the two: both hold everything published
 *     5  published as the active segment     the new segment
 *
 * So a kill at any point loses nothing published, and a power cut nothing durable. The new file appears whole and synced: no
 * crash leaves a part of a fence in it. Still the frames of a fence stay staged, with their commit behind them: readers, and
 * whoever recovers the file after it was damaged, see it as one there too.
 *
 * Who is told what: appends at level durable that waited for the failed sync fail with it; those at level written behind
 * them are staged again; the open fence is cancelled. A failed *write* fails its own append only, and what is staged in
 * front of it is synced first, where it stands.
 *
 * Budget: writer.restart_policy. When it is used up, or an attempt fails and another one is not allowed, the writer is dead.
 *
 * Thread rule: under the lock.
 *
 * I1: the new segment holds exactly the events (durable, visible], in their order, each frame and fence whole.
 * I2: readers find each event in one segment of a list: the old index is replaced by one that ends at durable.
 * I3: a tail begins where a batch or fence begins: durable is a sequence that an append or a whole fence ended at, because a
 *     fence that is open is not part of what a sync covers, and its commit is staged under the lock as one append
 *     (group.c, sequencer_last_outside).
 */
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "index/atomic_group.h"
#include "write/fault.h"
#include "write/fence.h"
#include "write/sequencer.h"

static bool budget_allows(struct sequencer *sequencer) {
    const struct fbat_config *config = sequencer->config;
    if (config->writer.restart_policy.mode == FBAT_RESTART_ONCE)
        return sequencer->restarts++ == 0;
    uint64_t now_us = sequencer->os->methods->monotonic_us(sequencer->os);
    if (now_us - sequencer->restarts_since_us > (uint64_t)config->writer.restart_policy.within_ms * 1000)
        sequencer->restarts = 0;
    if (sequencer->restarts == 0)
        sequencer->restarts_since_us = now_us;
    return sequencer->restarts++ < config->writer.restart_policy.max_restarts;
}

/* Calls visit for each frame that holds rows [from, to) of the index, once, and for the commits of the fences among them. */
typedef int (*frame_visit_fn)(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                              struct fbat_error *error);
struct frame_visit {
    frame_visit_fn visit;
    void *user;
};

static int visit_frame_at(const struct segment *segment, uint64_t offset, const struct frame_visit *visit,
                          struct frame *out_frame, struct fbat_error *error) {
    struct frame frame;
    if (frame_decode(segment->map + offset, segment->end - offset, segment->salt, &frame) != FRAME_VALID)
        return error_set_damage(error, segment->header.segment_id, offset,
                                "a frame that was written can no longer be read back");
    FBAT_TRY(visit->visit(visit->user, &frame, segment->map + offset, offset, error));
    *out_frame = frame;
    return FBAT_OK;
}

static int visit_frames(const struct segment_index *index, uint32_t from, uint32_t to, const struct frame_visit *visit,
                        struct fbat_error *error) {
    uint32_t row = from;
    while (row < to) {
        uint64_t offset = (uint64_t)segment_index_row(index, row)->frame_words * 8;
        struct frame frame = {0}, commit;
        FBAT_TRY(visit_frame_at(index->segment, offset, visit, &frame, error));
        row += frame.event_count;
        if (frame.type == FRAME_STAGED && !atomic_group_goes_on(index, row - 1))
            FBAT_TRY(visit_frame_at(index->segment, offset + frame.frame_bytes, visit, &commit, error));
    }
    return FBAT_OK;
}

/* A frame that stands in the index's segment, which ends with it. */
static int index_frame_read(struct segment_index *index, const struct frame *frame, const uint8_t *bytes,
                            uint64_t offset, struct fbat_error *error) {
    if (frame->type != FRAME_COMMIT)
        FBAT_TRY(segment_index_add_frame(index, frame, bytes, offset, error));
    index->summary.frames_end = offset + frame->frame_bytes;
    return FBAT_OK;
}

/* ---- the new segment ---- */

/* As it is, but for the checksum. The frames of a fence stand as close together as before, so its commit is right. */
static int copy_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                      struct fbat_error *error) {
    struct segment_index *next = user;
    struct segment *segment = next->segment;
    uint8_t *place;
    (void)offset;
    FBAT_TRY(segment_begin_frame(segment, frame->frame_bytes, true, &place, error));
    memcpy(place, bytes, frame->frame_bytes);
    frame_seal(place, frame, segment->salt);
    FBAT_TRY(segment_end_frame(segment, frame->frame_bytes, error));
    uint64_t at = segment->end;
    segment_advance(segment, frame->frame_bytes);
    return index_frame_read(next, frame, place, at, error);
}

static uint64_t tail_bytes(const struct segment_index *old, uint32_t from) {
    if (from == segment_index_row_count(old))
        return 0;
    return old->segment->end - (uint64_t)segment_index_row(old, from)->frame_words * 8;
}

static int build_next(struct sequencer *sequencer, const struct segment_index *old, uint32_t from,
                      struct segment_index **out_next, struct fbat_error *error) {
    struct segment_header header;
    struct segment *segment = NULL;
    struct segment_index *next = NULL;
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
    FBAT_TRY(rotation_header(sequencer, durable, tail_bytes(old, from), &header, error));
    FBAT_TRY(segment_create_aside(sequencer->os, sequencer->dir, &header, &segment, error));
    FBAT_TRY(segment_index_create(segment, &next, error));
    segment_index_want_views(next, sequencer->config);
    next->summary.id_made = sequencer->last_id;
    const struct frame_visit visit = {.visit = copy_frame, .user = next};
    int status = visit_frames(old, from, segment_index_row_count(old), &visit, error);
    if (status == FBAT_OK)
        status = fault_point(sequencer->config, "restart.copied", header.segment_id, error);
    if (status == FBAT_OK)
        status = segment_sync(segment, OS_SYNC_ALL, error);
    if (status < 0) {
        segment_remove_aside(segment);
        segment_index_release(next);
        return status;
    }
    segment_index_publish(next);
    *out_next = next;
    return FBAT_OK;
}

/* ---- the old one ---- */

static int add_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                     struct fbat_error *error) {
    struct segment_index *limited = user;
    FBAT_TRY(index_frame_read(limited, frame, bytes, offset, error));
    limited->segment->end = limited->summary.frames_end;
    return FBAT_OK;
}

/* An index of the first rows of the old segment, over a mapping of its own: who holds the old index keeps it whole. */
static int build_limited(struct sequencer *sequencer, const struct segment_index *old, uint32_t to,
                         struct segment_index **out_limited, struct fbat_error *error) {
    struct segment *segment = NULL;
    struct segment_index *limited = NULL;
    FBAT_TRY(segment_open(sequencer->os, sequencer->dir, old->segment->header.segment_id, &sequencer->store_id,
                          SEGMENT_READ, &segment, error));
    segment_forget_file(segment);
    FBAT_TRY(segment_index_create(segment, &limited, error));
    segment_index_want_views(limited, sequencer->config);
    limited->summary.id_made = sequencer->last_id;
    const struct frame_visit visit = {.visit = add_frame, .user = limited};
    int status = visit_frames(old, 0, to, &visit, error);
    if (status < 0) {
        segment_index_release(limited);
        return status;
    }
    segment_index_publish(limited);
    *out_limited = limited;
    return FBAT_OK;
}

/* ---- all of it ---- */

/* Steps 4 and 5. On failure `limited` and `next` are still the caller's. */
static int install_next(struct sequencer *sequencer, struct segment_index *limited, struct segment_index *next,
                        struct fbat_error *error) {
    uint64_t old_id = limited->segment->header.segment_id;
    FBAT_TRY(segment_install(next->segment, error));
    FBAT_TRY(directory_take_over(sequencer->directory, limited, next, error));
    sequencer->active = next;
    sequencer->last_segment_id = next->segment->header.segment_id;
    sequencer->rotating = false;
    sequencer->unsynced_events = 0;
    publish_durable(sequencer, sequencer->last_sequence);
    sealer_note_failed(sequencer, old_id); /* it has no footer before the next opening; LOCK is told of all this */
    return FBAT_OK;
}

static int move_tail(struct sequencer *sequencer, struct fbat_error *error) {
    struct segment_index *old = sequencer->active, *next = NULL, *limited = NULL;
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
    FBAT_TRY(fault_point(sequencer->config, "restart.before", old->segment->header.segment_id, error));
    uint32_t from = segment_index_rows_to_sequence(old, segment_index_row_count(old), durable);
    FBAT_ASSERT(from == 0 || !atomic_group_goes_on(old, from - 1)); /* I3 */
    FBAT_TRY(build_limited(sequencer, old, from, &limited, error));
    int status = build_next(sequencer, old, from, &next, error);
    if (status == FBAT_OK) {
        status = install_next(sequencer, limited, next, error);
        if (status < 0)
            segment_index_release(next);
    }
    if (status < 0)
        segment_index_release(limited);
    else
        fault_passed(sequencer->config, "restart.after", sequencer->last_segment_id);
    return status;
}

static void log_restart(const struct sequencer *sequencer, const struct fbat_error *cause) {
    struct fbat_error text;
    if (!sequencer->config->log)
        return;
    error_set(&text, FBAT_OK, "the writer goes on in segment %llu, after: %.400s",
              (unsigned long long)sequencer->last_segment_id, cause->message);
    sequencer->config->log(sequencer->config->log_user, FBAT_LOG_WARNING, text.message);
}

/* What is staged and unpublished was taken back. */
static void restart(struct sequencer *sequencer, const struct fbat_error *cause) {
    FBAT_ASSERT(!sequencer->first && sequencer->last_sequence == directory_visible(sequencer->directory));
    if (sequencer->first_cause.status == 0)
        sequencer->first_cause = *cause;
    while (budget_allows(sequencer)) {
        struct fbat_error error;
        if (move_tail(sequencer, &error) == FBAT_OK) {
            log_restart(sequencer, cause);
            return;
        }
        if (sequencer->config->log)
            sequencer->config->log(sequencer->config->log_user, FBAT_LOG_ERROR, error.message);
    }
    sequencer_die(sequencer, &sequencer->first_cause);
}

static void take_back_all(struct sequencer *sequencer, const struct fbat_error *cause) {
    fence_fail(sequencer, cause);
    for (struct pending *at = sequencer->first; at; at = at->next)
        unpublish_frames(sequencer, at->frames_start, at->frames_end);
    unpublish_to(sequencer, directory_visible(sequencer->directory), sequencer->heads_published);
    FBAT_ASSERT(sequencer->unpublished_events == 0);
    key_set_clear(&sequencer->staged_keys);
}

void restart_after_sync(struct sequencer *sequencer, const struct segment_index *index,
                        const struct fbat_error *cause) {
    if (sequencer->active != index || atomic_load_explicit(&sequencer->dead, memory_order_relaxed))
        return;
    take_back_all(sequencer, cause);
    group_fail(sequencer, cause);
    restart(sequencer, cause);
}

void restart_after_write(struct sequencer *sequencer, const struct fbat_error *cause) {
    struct fbat_error error;
    struct segment_index *active = sequencer->active;
    fence_fail(sequencer, cause);
    (void)group_sync_locked(sequencer, &error); /* does not depend on the failed write */
    if (sequencer->active == active)
        restart_after_sync(sequencer, active, cause);
}
