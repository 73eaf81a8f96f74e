/* SPDX-License-Identifier: Apache-2.0 */
/* The frame's bytes. Pure: no I/O, no allocation; any thread. */
#include "format/frame.h"

#include <assert.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "format/record.h"

static_assert(FRAME_ZERO_AT + 2 == FRAME_HEADER_BYTES, "fields fill the header");
static_assert(FRAME_STAGED_BYTES_AT + 8 == FRAME_COMMIT_BYTES, "a commit has a fixed size");
static_assert(FRAME_HEADER_BYTES % FRAME_ALIGNMENT == 0, "records are aligned too");

void frame_seal(uint8_t *to, const struct frame *frame, uint32_t salt) {
    store_u32(to + FRAME_BYTES_AT, frame->frame_bytes);
    store_u64(to + FRAME_FIRST_SEQUENCE_AT, frame->first_sequence);
    store_u64(to + FRAME_DURABLE_AT, frame->durable_sequence);
    store_u32(to + FRAME_COUNT_AT, frame->event_count);
    store_u16(to + FRAME_TYPE_AT, (uint16_t)frame->type);
    store_u16(to + FRAME_ZERO_AT, 0);
    if (frame->type == FRAME_COMMIT) {
        store_u64(to + FRAME_LAST_SEQUENCE_AT, frame->last_sequence);
        store_u64(to + FRAME_STAGED_BYTES_AT, frame->staged_bytes);
    }
    store_u32(to + FRAME_CRC_AT, crc32c(to + FRAME_BYTES_AT, frame->frame_bytes - FRAME_BYTES_AT, salt));
}

static bool holds_records(const struct frame *frame) {
    return (frame->type == FRAME_EVENTS || frame->type == FRAME_STAGED) && frame->event_count >= 1 &&
           frame->event_count <= LIMIT_BATCH_EVENTS && frame->frame_bytes >= FRAME_HEADER_BYTES + RECORD_FIXED_BYTES;
}

static bool is_commit(const struct frame *frame) {
    return frame->type == FRAME_COMMIT && frame->event_count == 0 && frame->frame_bytes == FRAME_COMMIT_BYTES &&
           frame->last_sequence >= frame->first_sequence && frame->staged_bytes > 0 &&
           frame->staged_bytes % FRAME_ALIGNMENT == 0;
}

static bool fields_are_in_range(const struct frame *frame, const uint8_t *at) {
    return frame->first_sequence >= 1 && frame->durable_sequence < frame->first_sequence &&
           (holds_records(frame) || is_commit(frame)) && load_u16(at + FRAME_ZERO_AT) == 0;
}

/* The checksum covers as many bytes as the frame says it has, so those must be there first. */
static bool size_is_in_range(const struct frame *frame, uint64_t available) {
    return frame->frame_bytes >= FRAME_COMMIT_BYTES && frame->frame_bytes % FRAME_ALIGNMENT == 0 &&
           frame->frame_bytes <= available && frame->frame_bytes <= LIMIT_FRAME_BYTES;
}

enum frame_state frame_decode(const uint8_t *at, uint64_t available, uint32_t salt, struct frame *out_frame) {
    if (available < FRAME_HEADER_BYTES)
        return bytes_are_zero(at, (size_t)available) ? FRAME_END : FRAME_BROKEN;
    if (load_u64(at) == 0)
        return FRAME_END;
    struct frame frame = {
        .crc = load_u32(at + FRAME_CRC_AT),
        .frame_bytes = load_u32(at + FRAME_BYTES_AT),
        .first_sequence = load_u64(at + FRAME_FIRST_SEQUENCE_AT),
        .durable_sequence = load_u64(at + FRAME_DURABLE_AT),
        .event_count = load_u32(at + FRAME_COUNT_AT),
        .type = (enum frame_type)load_u16(at + FRAME_TYPE_AT),
    };
    if (!size_is_in_range(&frame, available))
        return FRAME_BROKEN;
    if (frame.type == FRAME_COMMIT) {
        frame.last_sequence = load_u64(at + FRAME_LAST_SEQUENCE_AT);
        frame.staged_bytes = load_u64(at + FRAME_STAGED_BYTES_AT);
    }
    if (!fields_are_in_range(&frame, at) ||
        crc32c(at + FRAME_BYTES_AT, frame.frame_bytes - FRAME_BYTES_AT, salt) != frame.crc)
        return FRAME_BROKEN;
    *out_frame = frame;
    return FRAME_VALID;
}
