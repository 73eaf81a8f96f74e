/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: from a decision to a frame in the page cache.
 *
 * Happy path of stage_append: draft (decide; nothing changes), room (rotate if needed; memory for index and keys), encode
 * into the active segment, end the frame, then the log as the writer sees it moves on: heads, sequence, time, last hash.
 * An append that nothing holds up is published at once, the others are put in line.
 *
 * Failure modes: up to the end of the frame nothing has changed, and the stream heads that the draft added are forgotten.
 * A failed write leaves bytes behind the end. Want of space is no reason to give the segment up as long as they could be
 * cleared: the next frame goes there. After anything else nobody knows what the file will hold, and restart.c decides.
 *
 * Thread rule: under the lock.
 *
 * I1: last_sequence is the sequence of the last staged event; sequences are gapless.
 * I2: a head's revision and hash are those of its last staged event.
 */
#include <inttypes.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "write/fault.h"
#include "write/fence.h"
#include "write/sequencer.h"

/* ---- encoding ---- */

static uint64_t frame_size(const struct sequencer *sequencer, uint32_t count) {
    uint64_t bytes = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++)
        bytes += sequencer->drafts[item].bytes;
    return bytes;
}

static void encode_item(struct sequencer *sequencer, const struct fbat_new_event *event, uint32_t item, uint8_t *to) {
    struct draft *draft = &sequencer->drafts[item];
    int64_t now = sequencer->append_time_us;
    struct record_input input = {
        .sequence = draft->sequence,
        .first_sequence = sequencer->drafts[0].sequence,
        .revision = draft->revision,
        .recorded_us = now,
        .event_time_us = event->has_event_time ? event->event_time_us : now,
        .kind = event->kind,
        .payload_type = event->payload_type,
        .flags = draft->id_made ? RECORD_FLAG_ID_MADE : 0,
        .id = draft->id,
        .correlation = fbat_id_is_none(&event->correlation) ? draft->id : event->correlation,
        .causation = draft->causation,
        .previous_hash =
            draft->previous_item ? sequencer->drafts[draft->previous_item - 1].hash : draft->head->last_hash,
        .scope = event->scope,
        .entity = event->entity,
        .payload = event->payload,
        .tags = event->tags,
        .tag_count = event->tag_count,
        .tags_bytes = draft->tags_bytes,
        .headers = event->headers,
        .header_count = event->header_count,
        .headers_bytes = draft->headers_bytes,
    };
    record_encode(&input, to, draft->hash);
}

static int encode_frame(struct sequencer *sequencer, const struct append *append, uint64_t frame_bytes, uint8_t *to,
                        struct fbat_error *error) {
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < append->count; item++) {
        FBAT_TRY(fault_point(sequencer->config, "batch.item", item, error));
        encode_item(sequencer, &append->events[item], item, to + place);
        place += sequencer->drafts[item].bytes;
    }
    FBAT_ASSERT(place == frame_bytes);
    const struct frame frame = {
        .frame_bytes = (uint32_t)frame_bytes,
        .first_sequence = sequencer->drafts[0].sequence,
        .durable_sequence = atomic_load_explicit(&sequencer->durable, memory_order_relaxed),
        .event_count = append->count,
        .type = append->fence ? FRAME_STAGED : FRAME_EVENTS,
    };
    frame_seal(to, &frame, sequencer->active->segment->salt);
    return FBAT_OK;
}

/* ---- moving on ---- */

static void stage_heads(struct sequencer *sequencer, uint32_t count) {
    for (uint32_t item = 0; item < count; item++) {
        struct draft *draft = &sequencer->drafts[item];
        struct stream_head *head = draft->head;
        head->revision = draft->revision;
        head->last_sequence = draft->sequence;
        memcpy(head->last_hash, draft->hash, sizeof head->last_hash);
    }
}

static void move_on(struct sequencer *sequencer, uint32_t count) {
    stage_heads(sequencer, count);
    sequencer->last_sequence += count;
    sequencer->last_recorded_us = sequencer->append_time_us;
    atomic_store_explicit(&sequencer->accepted, sequencer->last_sequence, memory_order_release);
}

/* Until it is published, only the staged keys know of it. */
static void stage_keys(struct sequencer *sequencer, uint32_t count, uint64_t frame_offset) {
    uint64_t place = frame_offset + FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++) {
        const struct draft *draft = &sequencer->drafts[item];
        const struct staged_key key = {.id = draft->id, .sequence = draft->sequence, .record_offset = place};
        if (!draft->id_made)
            key_set_put(&sequencer->staged_keys, &key);
        place += draft->bytes;
    }
}

/* The short way for an append that nothing holds up: its rows are made from the drafts, its heads know their streams'
 * numbers in the active segment, and nothing is read back. */
static void publish_drafts(struct sequencer *sequencer, uint32_t count, const uint8_t *frame, uint64_t frame_offset) {
    uint64_t segment_id = sequencer->active->segment->header.segment_id, place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++) {
        struct draft *draft = &sequencer->drafts[item];
        struct stream_head *head = draft->head;
        struct record_sizes sizes;
        bool fits = record_measure(frame + place, draft->bytes, &sizes);
        FBAT_ASSERT(fits && sizes.total == draft->bytes);
        uint32_t local = head->local_segment == segment_id ? head->local : SEGMENT_INDEX_NONE;
        head->local = segment_index_add(sequencer->active, frame + place, &sizes, draft->sequence, frame_offset + place,
                                        frame_offset, local);
        head->local_segment = segment_id;
        place += draft->bytes;
    }
    segment_index_publish(sequencer->active);
    publish_visible(sequencer, sequencer->last_sequence, sequencer->streams.count);
    sequencer_publish_live(sequencer);
    group_signal(sequencer);
}

/* ---- writing ---- */

static int fail_write(struct sequencer *sequencer, int status, struct fbat_error *error) {
    bool cleared = segment_scrub_frame(sequencer->active->segment);
    if (status == FBAT_ERR_NO_SPACE && cleared)
        return status;
    const struct fbat_error cause = *error;
    restart_after_write(sequencer, &cause);
    return status;
}

static int end_frame(struct sequencer *sequencer, uint64_t frame_bytes, uint64_t first_sequence,
                     struct fbat_error *error) {
    int status = fault_point(sequencer->config, "append.write.before", first_sequence, error);
    if (status == FBAT_OK)
        status = segment_end_frame(sequencer->active->segment, frame_bytes, error);
    if (status == FBAT_OK)
        status = fault_point(sequencer->config, "append.write.after", first_sequence, error);
    return status < 0 ? fail_write(sequencer, status, error) : FBAT_OK;
}

/* Room for a frame and all that its publication will need. */
static int make_room(struct sequencer *sequencer, uint64_t frame_bytes, uint32_t count, struct fbat_error *error) {
    int status = rotation_make_room(sequencer, frame_bytes, error);
    if (status != FBAT_OK)
        return status;
    FBAT_TRY(segment_index_reserve(sequencer->active, sequencer->unpublished_events + count, error));
    return key_set_reserve(&sequencer->staged_keys, count) ? FBAT_OK : error_set_no_memory(error);
}

static int write_frame(struct sequencer *sequencer, const struct append *append, uint64_t *out_offset,
                       const uint8_t **out_frame, uint64_t *out_bytes, struct fbat_error *error) {
    uint64_t frame_bytes = frame_size(sequencer, append->count), first = sequencer->drafts[0].sequence;
    if (frame_bytes > LIMIT_FRAME_BYTES)
        return error_set(error, FBAT_ERR_TOO_LARGE,
                         "the batch needs %" PRIu64 " bytes on disk, more than the %" PRIu64 " of a frame; split it",
                         frame_bytes, (uint64_t)LIMIT_FRAME_BYTES);
    int status = make_room(sequencer, frame_bytes, append->count, error);
    if (status != FBAT_OK)
        return status;
    struct segment *segment = sequencer->active->segment;
    /* Where a sync is under way, the next one is for a group: then the few pages it protects anew cost less than a call
     * for each append. */
    bool sync_follows = append->level == FBAT_LEVEL_DURABLE && !append->fence && !sequencer->syncing;
    uint8_t *place;
    FBAT_TRY(fault_point(sequencer->config, "append.encode.before", first, error));
    FBAT_TRY(segment_begin_frame(segment, frame_bytes, sync_follows, &place, error));
    status = encode_frame(sequencer, append, frame_bytes, place, error);
    if (status == FBAT_OK)
        status = fault_point(sequencer->config, "append.encode.after", first, error);
    if (status < 0) {
        (void)segment_scrub_frame(segment);
        return status;
    }
    FBAT_TRY(end_frame(sequencer, frame_bytes, first, error));
    *out_offset = segment->end;
    *out_frame = place;
    *out_bytes = frame_bytes;
    segment_advance(segment, frame_bytes);
    return FBAT_OK;
}

/* ---- receipts ---- */

static void fill_receipts(const struct sequencer *sequencer, const struct append *append) {
    for (uint32_t item = 0; item < append->count && append->receipts; item++) {
        const struct draft *draft = &sequencer->drafts[item];
        append->receipts[item] = (struct fbat_receipt){
            .sequence = draft->sequence,
            .revision = draft->revision,
            .recorded_us = sequencer->append_time_us,
            .id = draft->id,
            .level = append->fence ? 0 : (uint8_t)append->level,
        };
        memcpy(append->receipts[item].hash, draft->hash, sizeof draft->hash);
    }
}

static int fill_known_receipts(struct sequencer *sequencer, const struct append *append, struct fbat_error *error) {
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
    for (uint32_t item = 0; item < append->count; item++) {
        struct fbat_event known = {0};
        struct segment_index *pin = NULL;
        FBAT_TRY(draft_known(sequencer, &sequencer->drafts[item], &known, &pin, error));
        uint8_t known_hash[SHA256_BYTES];
        memcpy(known_hash, known.hash, sizeof known_hash);
        segment_index_release(pin); /* what else is used of it below are numbers */
        /* The retry of a durable append must be durable, even if the original was only written. */
        if (append->level == FBAT_LEVEL_DURABLE && !append->fence && known.sequence > durable) {
            if (sequencer->syncing)
                return FBAT_RETRY;
            FBAT_TRY(group_sync_locked(sequencer, error));
            durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
        }
        bool published = known.sequence <= directory_visible(sequencer->directory);
        uint8_t level = known.sequence <= durable ? FBAT_LEVEL_DURABLE : published ? FBAT_LEVEL_WRITTEN : 0;
        if (!append->receipts_known)
            continue;
        append->receipts_known[item] = (struct fbat_receipt){
            .sequence = known.sequence,
            .revision = known.revision,
            .recorded_us = known.recorded_us,
            .id = known.id,
            .replayed = 1,
            .level = level,
        };
        memcpy(append->receipts_known[item].hash, known_hash, sizeof known_hash);
    }
    return FBAT_END;
}

/* ---- the whole of it ---- */

static int check_fence(const struct sequencer *sequencer, const struct append *append, struct fbat_error *error) {
    const struct fbat_fence *open = atomic_load_explicit(&sequencer->fence, memory_order_relaxed);
    return open == append->fence ? FBAT_OK : fence_refuse(append->fence, error);
}

/* The frame is written: the append takes its place in line, or in its fence. */
static void take_place(struct sequencer *sequencer, struct append *append, uint64_t frame_offset, const uint8_t *frame,
                       uint64_t frame_bytes) {
    struct pending *pending = &append->pending;
    uint32_t count = append->count;
    move_on(sequencer, count);
    fill_receipts(sequencer, append);
    if (append->fence) {
        fence_staged(append->fence, sequencer->drafts[0].sequence, frame_offset);
        stage_keys(sequencer, count, frame_offset);
        sequencer->unpublished_events += count;
        return;
    }
    pending->frames_start = frame_offset;
    pending->frames_end = frame_offset + frame_bytes;
    pending->last_sequence = sequencer->last_sequence;
    pending->event_count = count;
    pending->heads_after = sequencer->streams.count;
    pending->durable = append->level == FBAT_LEVEL_DURABLE;
    if (!pending->durable && !sequencer->first) {
        fault_passed(sequencer->config, "append.publish.before", sequencer->drafts[0].sequence);
        publish_drafts(sequencer, count, frame, frame_offset);
        atomic_store_explicit(&pending->state, PENDING_DONE, memory_order_relaxed);
        fault_passed(sequencer->config, "append.publish.after", sequencer->drafts[0].sequence);
        syncer_note(sequencer, count);
        return;
    }
    stage_keys(sequencer, count, frame_offset);
    sequencer->unpublished_events += count;
    group_add(sequencer, pending);
}

static int mark_stage(struct fbat_error *error, int status, enum fbat_stage stage) {
    if (status < 0 && error->stage == FBAT_STAGE_NONE)
        error->stage = stage;
    return status;
}

int stage_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error) {
    uint64_t offset = 0, bytes = 0;
    const uint8_t *frame = NULL;
    atomic_store_explicit(&append->pending.state, PENDING_NONE, memory_order_relaxed);
    FBAT_TRY(check_fence(sequencer, append, error));
    FBAT_TRY(sequencer_check_alive(sequencer, error));
    if (append->level == FBAT_LEVEL_DURABLE && !append->fence && group_is_full(sequencer))
        return FBAT_RETRY;
    sequencer->append_time_us = sequencer_now(sequencer);
    uint32_t heads_before = sequencer->streams.count;
    int status = draft_append(sequencer, append, error);
    if (status == FBAT_END)
        return mark_stage(error, fill_known_receipts(sequencer, append, error), FBAT_STAGE_KEY);
    if (status != FBAT_OK)
        return status;
    status = write_frame(sequencer, append, &offset, &frame, &bytes, error);
    if (status != FBAT_OK) {
        streams_forget(&sequencer->streams, heads_before);
        return mark_stage(error, status, FBAT_STAGE_WRITE);
    }
    take_place(sequencer, append, offset, frame, bytes);
    return FBAT_OK;
}

/* ---- the commit of a fence ---- */

static int write_commit(struct sequencer *sequencer, const struct fbat_fence *fence, bool sync_follows,
                        struct fbat_error *error) {
    int status = rotation_make_room(sequencer, FRAME_COMMIT_BYTES, error);
    if (status != FBAT_OK)
        return status;
    struct segment *segment = sequencer->active->segment;
    const struct frame frame = {
        .frame_bytes = FRAME_COMMIT_BYTES,
        .first_sequence = fence->first_sequence,
        .durable_sequence = atomic_load_explicit(&sequencer->durable, memory_order_relaxed),
        .type = FRAME_COMMIT,
        .last_sequence = sequencer->last_sequence,
        .staged_bytes = segment->end - fence->frames_start,
    };
    uint8_t *place;
    FBAT_TRY(segment_begin_frame(segment, FRAME_COMMIT_BYTES, sync_follows, &place, error));
    frame_seal(place, &frame, segment->salt);
    FBAT_TRY(end_frame(sequencer, FRAME_COMMIT_BYTES, fence->first_sequence, error));
    segment_advance(segment, FRAME_COMMIT_BYTES);
    return FBAT_OK;
}

int stage_commit(struct sequencer *sequencer, struct fbat_fence *fence, struct append *append,
                 struct fbat_error *error) {
    bool durable = append->level == FBAT_LEVEL_DURABLE;
    if (durable && group_is_full(sequencer))
        return FBAT_RETRY;
    int status = write_commit(sequencer, fence, durable, error);
    if (status != FBAT_OK)
        return mark_stage(error, status, FBAT_STAGE_WRITE);
    append->pending.frames_start = fence->frames_start;
    append->pending.frames_end = sequencer->active->segment->end;
    append->pending.last_sequence = sequencer->last_sequence;
    append->pending.event_count = (uint32_t)(sequencer->last_sequence - fence->first_sequence + 1);
    append->pending.heads_after = sequencer->streams.count;
    append->pending.durable = durable;
    return FBAT_OK;
}
