/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decision, and the loop around it that a reader of the log needs.
 *
 * Happy path: a frame of events is visited where it stands. Staged frames are only counted; at their commit the scan
 * goes back to the first of them and visits each: a fence may be larger than what one would like to keep in memory.
 *
 * Failure: a staged frame that was valid and no longer is, is FBAT_ERR_DAMAGED. An error leaves the walk unusable.
 *
 * Thread rule: as the scan's.
 *
 * I1: fence_next is 0, or above expected: a fence is never empty, so a frame either goes on with it or starts anew.
 * I2: `end` is only moved by a frame that belongs to the log, so an open fence lies behind it.
 */
#include "log/walk.h"

#include "base/assert.h"
#include "base/error.h"

void walk_init(struct walk *walk, uint64_t offset, uint64_t expected, uint64_t superseded_from) {
    *walk = (struct walk){.expected = expected, .superseded_from = superseded_from, .end = offset};
}

static bool goes_on_with_fence(const struct walk *walk, const struct frame *frame, uint64_t offset) {
    return walk_fence_is_open(walk) && offset == walk->fence_end && frame->first_sequence == walk->fence_next &&
           frame->durable_sequence < walk->expected;
}

static bool commits_fence(const struct walk *walk, const struct frame *frame, uint64_t offset) {
    return walk_fence_is_open(walk) && offset == walk->fence_end && frame->first_sequence == walk->expected &&
           frame->last_sequence == walk->fence_next - 1 && frame->staged_bytes == offset - walk->fence_offset;
}

static enum walk_step take_events(struct walk *walk, const struct frame *frame, uint64_t offset) {
    walk->expected += frame->event_count;
    walk->end = offset + frame->frame_bytes;
    walk->fence_next = 0;
    return WALK_EVENTS;
}

static enum walk_step take_staged(struct walk *walk, const struct frame *frame, uint64_t offset) {
    walk->fence_next = frame->first_sequence + frame->event_count;
    walk->fence_end = offset + frame->frame_bytes;
    return WALK_STAGED;
}

static enum walk_step take_commit(struct walk *walk, const struct frame *frame, uint64_t offset) {
    walk->expected = walk->fence_next;
    walk->end = offset + frame->frame_bytes;
    walk->fence_next = 0;
    return WALK_COMMIT;
}

/* No frame of a log that a writer can have written; keeps the sums below from wrapping. */
static bool sequences_run_out(const struct frame *frame) {
    return frame->event_count >= UINT64_MAX - frame->first_sequence;
}

enum walk_step walk_take(struct walk *walk, const struct frame *frame, uint64_t offset) {
    FBAT_ASSERT(walk->fence_next == 0 || walk->fence_next > walk->expected); /* I1 */
    if (walk_is_over(walk) || sequences_run_out(frame))
        return WALK_END;
    if (frame->type == FRAME_COMMIT)
        return commits_fence(walk, frame, offset) ? take_commit(walk, frame, offset) : WALK_END;
    if (frame->type == FRAME_STAGED && goes_on_with_fence(walk, frame, offset))
        return take_staged(walk, frame, offset);
    if (frame->first_sequence != walk->expected)
        return WALK_END;
    if (frame->type == FRAME_EVENTS)
        return take_events(walk, frame, offset);
    walk->fence_offset = offset;
    return take_staged(walk, frame, offset);
}

/* ---- walking a scan ---- */

int walk_visit_fence(const struct walk *walk, struct scan *scan, walk_visit_fn visit, void *user,
                     struct fbat_error *error) {
    uint64_t place = scan->offset;
    int status = FBAT_OK;
    scan->offset = walk->fence_offset;
    while (status == FBAT_OK && scan->offset < walk->fence_end) {
        enum frame_state state = FRAME_BROKEN;
        struct frame frame = {0};
        const uint8_t *bytes = NULL;
        status = scan_look(scan, &state, &frame, &bytes, error);
        if (status == FBAT_OK &&
            (state != FRAME_VALID || frame.type != FRAME_STAGED || frame.frame_bytes > walk->fence_end - scan->offset))
            status = error_set_damage(error, scan->segment->header.segment_id, scan->offset,
                                      "a frame of a fence can no longer be read; run `fbat check`");
        if (status == FBAT_OK)
            status = visit(user, &frame, bytes, scan->offset, error);
        scan->offset += frame.frame_bytes;
    }
    scan->offset = place;
    return status;
}

int walk_next(struct walk *walk, struct scan *scan, walk_visit_fn visit, void *user, enum walk_step *out_step,
              struct fbat_error *error) {
    enum frame_state state = FRAME_BROKEN;
    struct frame frame = {0};
    const uint8_t *bytes = NULL;
    FBAT_TRY(scan_look(scan, &state, &frame, &bytes, error));
    enum walk_step step = state == FRAME_VALID ? walk_take(walk, &frame, scan->offset) : WALK_END;
    if (step == WALK_EVENTS)
        FBAT_TRY(visit(user, &frame, bytes, scan->offset, error));
    if (step == WALK_COMMIT)
        FBAT_TRY(walk_visit_fence(walk, scan, visit, user, error));
    if (step != WALK_END)
        scan->offset += frame.frame_bytes;
    *out_step = step;
    return FBAT_OK;
}
