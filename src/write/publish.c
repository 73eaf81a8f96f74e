/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between staged and published, in both directions.
 *
 * Publication order of an event: bytes, row and slots and links, row count, visible, those who
 * wait for it (notifier.h), the live page. Nothing of an event
 * enters the index before it may be published, so that what has to be taken back was never there for a reader to find:
 * taking back is about stream heads, staged keys and the last sequence only. Both directions read the frames back from the
 * mapping, which shows what pwrite wrote (one page cache).
 *
 * Thread rule: under the lock.
 *
 * I1: visible and durable only grow; durable <= visible <= last_sequence.
 * I2: a frame that is read back here is one that this process wrote: it is valid, or the memory is not to be trusted.
 */
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "format/live.h"
#include "write/sequencer.h"

static const uint8_t *frame_at(const struct sequencer *sequencer, uint64_t offset, struct frame *out_frame) {
    const struct segment *segment = sequencer->active->segment;
    const uint8_t *bytes = segment->map + offset;
    enum frame_state state = frame_decode(bytes, segment->end - offset, segment->salt, out_frame);
    FBAT_ASSERT(state == FRAME_VALID); /* I2 */
    return bytes;
}

/* ---- publishing ---- */

/* A key that the index knows needs no other place. */
static void forget_keys(struct sequencer *sequencer, const struct frame *frame, const uint8_t *bytes) {
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < frame->event_count && sequencer->staged_keys.count > 0; item++) {
        struct record_sizes sizes;
        bool fits = record_measure(bytes + place, frame->frame_bytes - place, &sizes);
        FBAT_ASSERT(fits);
        struct fbat_id id;
        memcpy(id.bytes, bytes + place + RECORD_ID_AT, sizeof id.bytes);
        if (!(bytes[place + RECORD_FLAGS_AT] & RECORD_FLAG_ID_MADE))
            key_set_remove(&sequencer->staged_keys, &id);
        place += sizes.total;
    }
}

void publish_frames(struct sequencer *sequencer, const struct pending *pending) {
    struct frame frame;
    for (uint64_t offset = pending->frames_start; offset < pending->frames_end; offset += frame.frame_bytes) {
        const uint8_t *bytes = frame_at(sequencer, offset, &frame);
        if (frame.type == FRAME_COMMIT)
            continue;
        struct fbat_error error;
        int status = segment_index_add_frame(sequencer->active, &frame, bytes, offset, &error);
        FBAT_ASSERT(status == FBAT_OK); /* room was reserved, I2 */
        forget_keys(sequencer, &frame, bytes);
    }
    sequencer->active->summary.frames_end = pending->frames_end;
    sequencer->unpublished_events -= pending->event_count;
}

void publish_visible(struct sequencer *sequencer, uint64_t visible, uint32_t heads) {
    FBAT_ASSERT(visible >= directory_visible(sequencer->directory) && visible <= sequencer->last_sequence); /* I1 */
    sequencer->heads_published = heads;
    directory_set_visible(sequencer->directory, visible);
    if (sequencer->notifier)
        notifier_publish(sequencer->notifier, NOTIFIER_VISIBLE, visible);
}

void publish_durable(struct sequencer *sequencer, uint64_t durable) {
    atomic_store_explicit(&sequencer->durable, durable, memory_order_release);
    if (sequencer->notifier)
        notifier_publish(sequencer->notifier, NOTIFIER_DURABLE, durable);
}

static void put_live(uint8_t *live, unsigned at, uint64_t value, int order) {
    __atomic_store_n((uint64_t *)(void *)(live + at), LITTLE64(value), order);
}

void sequencer_publish_live(struct sequencer *sequencer) {
    uint8_t *live = sequencer->live;
    if (!live)
        return;
    const struct segment *segment = sequencer->active ? sequencer->active->segment : NULL;
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
    put_live(live, LIVE_DURABLE_AT, durable, __ATOMIC_RELAXED);
    put_live(live, LIVE_DURABLE_CHECK_AT, ~durable, __ATOMIC_RELAXED);
    put_live(live, LIVE_SEGMENT_AT, segment ? segment->header.segment_id : 0, __ATOMIC_RELAXED);
    put_live(live, LIVE_END_AT, segment ? segment->end : 0, __ATOMIC_RELAXED);
    put_live(live, LIVE_UNFINISHED_AT, sequencer->unfinished_segment_id, __ATOMIC_RELAXED);
    put_live(live, LIVE_VISIBLE_AT, directory_visible(sequencer->directory), __ATOMIC_RELEASE);
}

/* ---- taking back ---- */

/* The stream of a record goes back to where it was before it. The lowest revision taken back of a stream decides, whatever
 * the order in which its records are looked at. */
static void restore_head(struct sequencer *sequencer, const uint8_t *record, const struct record_sizes *sizes) {
    struct fbat_slice scope = fbat_bytes(record + RECORD_FIXED_BYTES, sizes->scope);
    struct fbat_slice entity = fbat_bytes(record + RECORD_FIXED_BYTES + sizes->scope, sizes->entity);
    uint64_t before = load_u64(record + RECORD_REVISION_AT) - 1;
    struct stream_head *head =
        streams_find(&sequencer->streams, hash_stream(scope.data, scope.size, entity.data, entity.size), scope, entity);
    FBAT_ASSERT(head);
    if (before >= head->revision)
        return;
    head->revision = before;
    head->last_sequence = 0; /* published, wherever it is */
    memcpy(head->last_hash, record + RECORD_PREVIOUS_HASH_AT, sizeof head->last_hash);
}

void unpublish_frames(struct sequencer *sequencer, uint64_t frames_start, uint64_t frames_end) {
    struct frame frame;
    for (uint64_t offset = frames_start; offset < frames_end; offset += frame.frame_bytes) {
        const uint8_t *bytes = frame_at(sequencer, offset, &frame);
        uint64_t place = FRAME_HEADER_BYTES;
        forget_keys(sequencer, &frame, bytes);
        for (uint32_t item = 0; item < frame.event_count; item++) {
            struct record_sizes sizes;
            bool fits = record_measure(bytes + place, frame.frame_bytes - place, &sizes);
            FBAT_ASSERT(fits);
            restore_head(sequencer, bytes + place, &sizes);
            place += sizes.total;
        }
        sequencer->unpublished_events -= frame.event_count;
    }
}

void unpublish_to(struct sequencer *sequencer, uint64_t sequence, uint32_t heads) {
    streams_forget(&sequencer->streams, heads);
    sequencer->last_sequence = sequence;
    atomic_store_explicit(&sequencer->accepted, sequence, memory_order_release);
}
