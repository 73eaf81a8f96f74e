/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One append, from the decision to the acknowledgement, on the caller's own thread under the lock: handing it to another
 * thread and back would cost more than the work.
 *
 * Happy path of sequencer_append: draft (decide; nothing changes), room (rotate if needed, reserve index memory), encode
 * into the active segment, end the frame (page cache), sync if the level asks for it, commit (index, heads, watermarks),
 * receipts.
 *
 * Failure modes: up to the end of encoding, nothing has changed: the stream heads added by the draft are forgotten. A
 * failed write or sync leaves bytes behind the end that are cleared as far as possible, and the writer dies: what the
 * kernel kept of a failed sync is unknown, and the file is never synced again.
 *
 * Publication order of an event: bytes, row and slots, row count, visible, the live page.
 *
 * I1: last_sequence is the sequence of the last committed event; sequences are gapless.
 * I2: visible <= last_sequence, durable <= last_sequence; both only grow.
 * I3: a head's revision and hash are those of its last committed event.
 * I4: nothing that was not written, and for level durable synced, is published or acknowledged.
 */
#include "write/sequencer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/memory.h"
#include "format/live.h"

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
    for (uint32_t at = 0; at < list->count && status == FBAT_OK; at++)
        status = streams_fold(&sequencer->streams, list->indexes[at], error);
    segment_list_release(list);
    return status;
}

static void init_locks(struct sequencer *sequencer) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sequencer->due, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&sequencer->lock, NULL);
    pthread_mutex_init(&sequencer->sync_lock, NULL);
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
    sequencer->unfinished_segment_id = start->unfinished_segment_id;
    sequencer->last_sequence = start->last_sequence;
    sequencer->last_recorded_us = start->last_recorded_us;
    sequencer->last_id = start->last_id;
    memcpy(sequencer->last_hash, start->last_hash, sizeof sequencer->last_hash);
    atomic_init(&sequencer->durable, start->last_sequence);
    FBAT_TRY(allocate_drafts(sequencer, error));
    FBAT_TRY(build_heads(sequencer, error));
    sequencer_publish_live(sequencer);
    return FBAT_OK;
}

void sequencer_deinit(struct sequencer *sequencer) {
    if (!sequencer->config)
        return;
    sequencer_stop_syncer(sequencer);
    streams_deinit(&sequencer->streams);
    memory_free(sequencer->drafts);
    memory_free(sequencer->key_slots);
    pthread_cond_destroy(&sequencer->due);
    pthread_mutex_destroy(&sequencer->lock);
    pthread_mutex_destroy(&sequencer->sync_lock);
    sequencer->config = NULL;
}

void sequencer_die(struct sequencer *sequencer, const struct fbat_error *cause) {
    if (sequencer->dead)
        return;
    sequencer->dead = true;
    sequencer->cause = *cause;
    if (sequencer->config->log)
        sequencer->config->log(sequencer->config->log_user, FBAT_LOG_ERROR, cause->message);
}

int sequencer_check_alive(const struct sequencer *sequencer, struct fbat_error *error) {
    if (!sequencer->dead)
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

/* The clock, never before the last recorded time. */
static int64_t recorded_now(const struct sequencer *sequencer) {
    int64_t now = read_clock(sequencer);
    return now < sequencer->last_recorded_us ? sequencer->last_recorded_us : now;
}

int sequencer_make_id(struct sequencer *sequencer, int64_t now_us, struct fbat_id *out_id, struct fbat_error *error) {
    uint64_t bits = 0;
    FBAT_TRY(next_random(sequencer, &bits, error));
    sequencer->last_id = id_make(&sequencer->last_id, now_us, bits);
    *out_id = sequencer->last_id;
    return FBAT_OK;
}

/* ---- encoding ---- */

static uint64_t frame_size(const struct sequencer *sequencer, uint32_t count) {
    uint64_t bytes = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++)
        bytes += sequencer->drafts[item].bytes;
    return bytes;
}

static void encode_item(struct sequencer *sequencer, const struct fbat_new_event *event, uint32_t item, int64_t now,
                        uint8_t *to) {
    struct draft *draft = &sequencer->drafts[item];
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
        .headers = event->headers,
        .header_count = event->header_count,
        .tags_bytes = draft->tags_bytes,
        .headers_bytes = draft->headers_bytes,
    };
    record_encode(&input, to, draft->hash);
}

static void encode_frame(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count, int64_t now,
                         uint64_t frame_bytes, uint8_t *to) {
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++) {
        encode_item(sequencer, &events[item], item, now, to + place);
        place += sequencer->drafts[item].bytes;
    }
    FBAT_ASSERT(place == frame_bytes);
    const struct frame frame = {
        .frame_bytes = (uint32_t)frame_bytes,
        .first_sequence = sequencer->drafts[0].sequence,
        .durable_sequence = atomic_load_explicit(&sequencer->durable, memory_order_relaxed),
        .event_count = count,
        .type = FRAME_EVENTS,
    };
    frame_seal(to, &frame, sequencer->active->segment->salt);
}

/* ---- commit ---- */

static void commit_item(struct sequencer *sequencer, uint32_t item, const uint8_t *record, uint64_t record_offset,
                        uint64_t frame_offset) {
    struct draft *draft = &sequencer->drafts[item];
    struct stream_head *head = draft->head;
    uint64_t segment_id = sequencer->active->segment->header.segment_id;
    struct record_sizes sizes;
    bool fits = record_measure(record, draft->bytes, &sizes);
    FBAT_ASSERT(fits && sizes.total == draft->bytes);
    uint32_t local = head->local_segment == segment_id ? head->local : SEGMENT_INDEX_NONE;
    head->local =
        segment_index_add(sequencer->active, record, &sizes, draft->sequence, record_offset, frame_offset, local);
    head->local_segment = segment_id;
    head->revision = draft->revision;
    head->last_sequence = draft->sequence;
    memcpy(head->last_hash, draft->hash, sizeof head->last_hash);
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

static void commit_frame(struct sequencer *sequencer, uint32_t count, int64_t now, const uint8_t *frame,
                         uint64_t frame_bytes) {
    struct segment *segment = sequencer->active->segment;
    uint64_t frame_offset = segment->end, place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++) {
        commit_item(sequencer, item, frame + place, frame_offset + place, frame_offset);
        place += sequencer->drafts[item].bytes;
    }
    segment_advance(segment, frame_bytes);
    sequencer->last_sequence += count;
    sequencer->last_recorded_us = now;
    memcpy(sequencer->last_hash, sequencer->drafts[count - 1].hash, sizeof sequencer->last_hash);
    segment_index_publish(sequencer->active);
    directory_set_visible(sequencer->directory, sequencer->last_sequence);
}

/* ---- receipts ---- */

static void fill_receipts(const struct sequencer *sequencer, uint32_t count, int64_t now, enum fbat_level level,
                          struct fbat_receipt *out_receipts) {
    for (uint32_t item = 0; item < count && out_receipts; item++) {
        const struct draft *draft = &sequencer->drafts[item];
        out_receipts[item] = (struct fbat_receipt){
            .sequence = draft->sequence,
            .revision = draft->revision,
            .recorded_us = now,
            .id = draft->id,
            .level = (uint8_t)level,
        };
        memcpy(out_receipts[item].hash, draft->hash, sizeof draft->hash);
    }
}

static int fill_known_receipts(struct sequencer *sequencer, uint32_t count, enum fbat_level level,
                               struct fbat_receipt *out_receipts, struct fbat_error *error) {
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
    for (uint32_t item = 0; item < count; item++) {
        const struct draft *draft = &sequencer->drafts[item];
        struct fbat_event known;
        FBAT_TRY(segment_index_view(draft->known_index, draft->known_position, &known, error));
        /* The retry of a durable append must be durable, even if the original was only written. */
        if (level == FBAT_LEVEL_DURABLE && known.sequence > durable) {
            FBAT_TRY(sequencer_sync_locked(sequencer, error));
            durable = atomic_load_explicit(&sequencer->durable, memory_order_relaxed);
        }
        if (!out_receipts)
            continue;
        out_receipts[item] = (struct fbat_receipt){
            .sequence = known.sequence,
            .revision = known.revision,
            .recorded_us = known.recorded_us,
            .id = known.id,
            .replayed = 1,
            .level = known.sequence <= durable ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN,
        };
        memcpy(out_receipts[item].hash, known.hash, SHA256_BYTES);
    }
    return FBAT_OK;
}

/* ---- append ---- */

/* A failed write or sync: the frame must not come back. Want of space is no reason to die, as long as the place could be
 * cleared: the next frame goes there. After anything else nobody knows what the file will hold. */
static int abandon_frame(struct sequencer *sequencer, int status, struct fbat_error *error) {
    bool cleared = segment_scrub_frame(sequencer->active->segment);
    if (status != FBAT_ERR_NO_SPACE || !cleared)
        sequencer_die(sequencer, error);
    return status;
}

static int write_frame(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count,
                       enum fbat_level level, int64_t now, struct fbat_error *error) {
    uint64_t frame_bytes = frame_size(sequencer, count);
    if (frame_bytes > LIMIT_FRAME_BYTES)
        return error_set(error, FBAT_ERR_TOO_LARGE,
                         "the batch needs %" PRIu64 " bytes on disk, more than the %" PRIu64 " of a frame; split it",
                         frame_bytes, (uint64_t)LIMIT_FRAME_BYTES);
    FBAT_TRY(rotation_make_room(sequencer, frame_bytes, error));
    FBAT_TRY(segment_index_reserve(sequencer->active, count, error));
    struct segment *segment = sequencer->active->segment;
    bool durable = level == FBAT_LEVEL_DURABLE;
    uint8_t *place;
    FBAT_TRY(segment_begin_frame(segment, frame_bytes, durable, &place, error));
    encode_frame(sequencer, events, count, now, frame_bytes, place);
    int status = segment_end_frame(segment, frame_bytes, error);
    if (status < 0)
        return abandon_frame(sequencer, status, error);
    if (durable) {
        pthread_mutex_lock(&sequencer->sync_lock);
        status = segment_sync(segment, (enum os_sync_mode)sequencer->config->sync.mode, error);
        pthread_mutex_unlock(&sequencer->sync_lock);
        if (status < 0)
            return abandon_frame(sequencer, status, error);
    }
    commit_frame(sequencer, count, now, place, frame_bytes);
    return FBAT_OK;
}

static int append_locked(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count,
                         enum fbat_level level, bool is_batch, struct fbat_receipt *out_receipts,
                         struct fbat_error *error) {
    FBAT_TRY(sequencer_check_alive(sequencer, error));
    int64_t now = sequencer->append_time_us = recorded_now(sequencer);
    uint32_t heads_before = sequencer->streams.count;
    int status = draft_append(sequencer, events, count, is_batch, error);
    if (status == FBAT_END)
        return fill_known_receipts(sequencer, count, level, out_receipts, error);
    FBAT_TRY(status);
    status = write_frame(sequencer, events, count, level, now, error);
    if (status < 0) {
        streams_forget(&sequencer->streams, heads_before);
        return status;
    }
    if (level == FBAT_LEVEL_DURABLE) {
        atomic_store_explicit(&sequencer->durable, sequencer->last_sequence, memory_order_release);
        sequencer->unsynced_events = 0;
    }
    sequencer_publish_live(sequencer);
    fill_receipts(sequencer, count, now, level, out_receipts);
    if (level != FBAT_LEVEL_DURABLE)
        sequencer_note_unsynced(sequencer, count);
    return FBAT_OK;
}

int sequencer_append(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count,
                     enum fbat_level level, bool is_batch, struct fbat_receipt *out_receipts,
                     struct fbat_error *error) {
    struct fbat_error own; /* the cause of a death must be known even to a caller who asked for no detail */
    pthread_mutex_lock(&sequencer->lock);
    int status = append_locked(sequencer, events, count, level, is_batch, out_receipts, error ? error : &own);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

int sequencer_generate_id(struct sequencer *sequencer, struct fbat_id *out_id, struct fbat_error *error) {
    pthread_mutex_lock(&sequencer->lock);
    int status = sequencer_make_id(sequencer, recorded_now(sequencer), out_id, error);
    pthread_mutex_unlock(&sequencer->lock);
    return status;
}

void sequencer_frontier(struct sequencer *sequencer, struct fbat_frontier *out_frontier) {
    /* durable before visible: both only grow, so the answer keeps durable <= written. */
    uint64_t durable = atomic_load_explicit(&sequencer->durable, memory_order_acquire);
    uint64_t visible = directory_visible(sequencer->directory);
    *out_frontier =
        (struct fbat_frontier){.accepted = visible, .written = visible, .visible = visible, .durable = durable};
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
