/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one segment to the next.
 *
 * Order, and what a crash between the steps leaves (log/recovery.c has the table):
 *     1  the old segment is synced             everything in it is durable
 *     2  the new one is created, durably       its existence proves 1
 *     3  the new one is published and active
 *     4  the old one is given to the sealer    derived: what it does not finish, the next opening does
 *
 * A fence that outgrows its segment is taken along: between 3 and 4 its frames are copied, and the new segment's first
 * sequence is the fence's first. The staged frames left in the old one are void, and its footer may overwrite them.
 *
 * Failure in 1 is a failed sync: restart.c moves the tail, and the append starts over, because what it was drafted on may
 * have been taken back. In 2, the append fails; the new file may be there, even after it was removed, so the next append
 * tries again whether its frame would fit the old segment or not. 
 *
 * I1: when a segment is left, everything outside of the open fence is published and durable.
 */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "log/segment.h"
#include "write/fault.h"
#include "write/fence.h"
#include "write/sequencer.h"

static uint64_t segment_limit(const struct sequencer *sequencer) {
    uint64_t limit = sequencer->config->segment_max_bytes;
    return limit > LIMIT_SEGMENT_BYTES ? LIMIT_SEGMENT_BYTES : limit;
}

/* Time and hash of the event that the next segment goes on behind. */
static int note_last(const struct sequencer *sequencer, uint64_t sequence, struct segment_header *header,
                     struct fbat_error *error) {
    struct segment_index *index = NULL;
    uint32_t position = 0;
    struct fbat_event last = {0};
    if (sequence == 0)
        return FBAT_OK;
    struct segment_list *list = directory_acquire(sequencer->directory);
    int status = segment_list_find_sequence(list, sequence, sequence, &index, &position, error);
    segment_list_release(list);
    FBAT_ASSERT(status != FBAT_ERR_NOT_FOUND); /* I1 */
    FBAT_TRY(status);
    status = segment_index_view(index, position, &last, error);
    if (status == FBAT_OK) {
        header->last_recorded_us = last.recorded_us;
        memcpy(header->last_hash, last.hash, sizeof header->last_hash);
    }
    segment_index_release(index);
    return status;
}

int rotation_header(struct sequencer *sequencer, uint64_t last_sequence, uint64_t frame_bytes,
                    struct segment_header *out_header, struct fbat_error *error) {
    uint64_t limit = segment_limit(sequencer), least = SEGMENT_HEADER_BYTES + frame_bytes;
    struct segment_header header = {
        .store_id = sequencer->store_id,
        .segment_id = sequencer->last_segment_id + 1,
        .first_sequence = last_sequence + 1,
        .created_us = sequencer_now(sequencer),
        .capacity = limit < least ? least : limit,
        .durable_sequence = last_sequence,
    };
    if (header.segment_id > LIMIT_SEGMENT_ID)
        return error_set(error, FBAT_ERR_LIMIT, "the store has the most segments it can have");
    FBAT_TRY(note_last(sequencer, last_sequence, &header, error));
    *out_header = header;
    return FBAT_OK;
}

static int create_segment(struct sequencer *sequencer, uint64_t frame_bytes, struct segment_index **out_index,
                          struct fbat_error *error) {
    struct segment_header header;
    struct segment *segment = NULL;
    FBAT_TRY(rotation_header(sequencer, sequencer_last_outside(sequencer), frame_bytes, &header, error));
    FBAT_TRY(segment_create(sequencer->os, sequencer->dir, &header, &segment, error));
    FBAT_TRY(segment_index_create(segment, out_index, error));
    segment_index_want_views(*out_index, sequencer->config);
    (*out_index)->summary.id_made = sequencer->last_id;
    return FBAT_OK;
}

/* ---- a fence that is taken along ---- */

static uint64_t fence_bytes(const struct sequencer *sequencer) {
    const struct fbat_fence *fence = atomic_load_explicit(&sequencer->fence, memory_order_relaxed);
    return fence && fence->first_sequence != 0 ? sequencer->active->segment->end - fence->frames_start : 0;
}

/* The staged keys of a copied frame stand elsewhere now. */
static void move_keys(struct sequencer *sequencer, const struct frame *frame, const uint8_t *bytes, uint64_t at) {
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < frame->event_count; item++) {
        struct record_sizes sizes;
        bool fits = record_measure(bytes + place, frame->frame_bytes - place, &sizes);
        FBAT_ASSERT(fits);
        struct staged_key key = {.sequence = frame->first_sequence + item, .record_offset = at + place};
        memcpy(key.id.bytes, bytes + place + RECORD_ID_AT, sizeof key.id.bytes);
        if (!(bytes[place + RECORD_FLAGS_AT] & RECORD_FLAG_ID_MADE))
            key_set_put(&sequencer->staged_keys, &key);
        place += sizes.total;
    }
}

static int copy_fence(struct sequencer *sequencer, const struct segment *from, uint64_t start, uint64_t end,
                      struct segment *to, struct fbat_error *error) {
    struct frame frame;
    for (uint64_t offset = start; offset < end; offset += frame.frame_bytes) {
        enum frame_state state = frame_decode(from->map + offset, end - offset, from->salt, &frame);
        FBAT_ASSERT(state == FRAME_VALID);
        uint8_t *place = NULL;
        FBAT_TRY(segment_begin_frame(to, frame.frame_bytes, false, &place, error));
        memcpy(place, from->map + offset, frame.frame_bytes);
        frame_seal(place, &frame, to->salt);
        FBAT_TRY(segment_end_frame(to, frame.frame_bytes, error));
        move_keys(sequencer, &frame, place, to->end);
        segment_advance(to, frame.frame_bytes);
    }
    return FBAT_OK;
}

/* The new segment is active, but the fence still points into the old one. */
static int take_fence_along(struct sequencer *sequencer, struct segment_index *old, struct segment_index *next,
                            struct fbat_error *error) {
    struct fbat_fence *fence = atomic_load_explicit(&sequencer->fence, memory_order_relaxed);
    int status = copy_fence(sequencer, old->segment, fence->frames_start, old->segment->end, next->segment, error);
    if (status < 0) {
        sequencer->active = old; /* where its frames are to be taken back from */
        fence_fail(sequencer, error);
        sequencer->active = next;
        (void)segment_scrub_frame(next->segment);
    } else {
        fence->frames_start = SEGMENT_HEADER_BYTES;
    }
    return status;
}

/* ---- rotating ---- */

static int rotate(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error) {
    struct segment_index *old = sequencer->active, *index = NULL;
    uint64_t moved_bytes = old ? fence_bytes(sequencer) : 0;
    if (old && group_sync_locked(sequencer, error) < 0) {
        FBAT_TRY(sequencer_check_alive(sequencer, error));
        return FBAT_RETRY;
    }
    FBAT_TRY(fault_point(sequencer->config, "rotation.before", sequencer->last_segment_id + 1, error));
    sequencer->rotating = true;
    FBAT_TRY(create_segment(sequencer, moved_bytes + frame_bytes, &index, error));
    int status = fault_point(sequencer->config, "rotation.created", sequencer->last_segment_id + 1, error);
    if (status == FBAT_OK)
        status = directory_append(sequencer->directory, index, error);
    if (status < 0) {
        /* The file stays, whole and empty; the next attempt takes its place. */
        segment_index_release(index);
        return status;
    }
    sequencer->active = index;
    sequencer->rotating = false;
    sequencer->last_segment_id++;
    if (moved_bytes > 0)
        status = take_fence_along(sequencer, old, index, error);
    if (old && old->rows_added > 0)
        sealer_add(sequencer, old);
    fault_passed(sequencer->config, "rotation.after", sequencer->last_segment_id);
    return status;
}

int rotation_make_room(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error) {
    const struct segment_index *active = sequencer->active;
    if (!active || sequencer->rotating)
        return rotate(sequencer, frame_bytes, error);
    uint64_t end = active->segment->end + frame_bytes;
    /* Nothing of it is published, because its first frame failed or is a fence's: no reader looks at it yet, so it may move
     * in memory. Twice the size, so that a growing fence is not mapped anew for each frame. */
    if (active->rows_added == 0 && (sequencer->unpublished_events == 0 || fence_bytes(sequencer) > 0)) {
        if (end > LIMIT_SEGMENT_BYTES)
            return error_set(error, FBAT_ERR_TOO_LARGE, "the fence is larger than a segment can be; cancel it");
        if (end <= active->segment->map_bytes)
            return FBAT_OK;
        return segment_widen(active->segment, fence_bytes(sequencer) + end, error);
    }
    if (end <= segment_limit(sequencer) && end <= active->segment->map_bytes)
        return FBAT_OK;
    return rotate(sequencer, frame_bytes, error);
}
