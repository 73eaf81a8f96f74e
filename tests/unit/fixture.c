/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers of the unit tests; fixture.h describes them. Happy path: plain calls. Failure: the test that called fails.
 * Thread rule: one thread.
 */
#include "fixture.h"

#include "format/store_meta.h"
#include "log/segment.h"

uint8_t *exact_copy(const void *bytes, size_t size) {
    void *copy = NULL;
    assert_int_equal(posix_memalign(&copy, 64, size ? size : 1), 0);
    if (size > 0)
        memcpy(copy, bytes, size);
    else
        copy = realloc(copy, 1); /* one byte, which no decoder may look at */
    assert_non_null(copy);
    return copy;
}

static int hex_digit(char digit) {
    const char *digits = "0123456789abcdef";
    const char *at = strchr(digits, digit >= 'A' && digit <= 'F' ? digit - 'A' + 'a' : digit);
    return digit && at ? (int)(at - digits) : -1;
}

size_t bytes_of_hex(const char *hex, uint8_t *to, size_t room) {
    size_t size = 0;
    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        int high = hex_digit(hex[0]), low = hex_digit(hex[1]);
        assert_true(high >= 0 && low >= 0 && size < room);
        to[size++] = (uint8_t)(high << 4 | low);
        hex++;
    }
    return size;
}

struct fbat_id id_of_byte(uint8_t byte) {
    struct fbat_id id;
    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

struct record_input full_input(void) {
    static uint8_t previous_hash[32];
    static const struct fbat_slice tags[] = {{"red", 3}, {"gr\xc3\xbcn", 5}};
    static const struct fbat_header headers[] = {{{"trace", 5}, {"\x00\x01\x02", 3}}, {{"empty", 5}, {"", 0}}};
    memset(previous_hash, 0x5a, sizeof previous_hash);
    struct record_input input = {
        .sequence = 1007,
        .first_sequence = 1005,
        .revision = 12,
        .recorded_us = 1700000000000001,
        .event_time_us = -77,
        .kind = 0x2003,
        .payload_type = 1,
        .flags = RECORD_FLAG_ID_MADE,
        .id = id_of_byte(0x11),
        .correlation = id_of_byte(0x22),
        .causation = id_of_byte(0x33),
        .previous_hash = previous_hash,
        .scope = fbat_text("shop"),
        .entity = fbat_text("order-17"),
        .payload = fbat_text("{\"total\":12}"),
        .tags = tags,
        .tag_count = 2,
        .headers = headers,
        .header_count = 2,
    };
    assert_true(tags_measure(tags, 2, &input.tags_bytes));
    assert_true(headers_measure(headers, 2, &input.headers_bytes));
    return input;
}

static uint64_t input_bytes(const struct record_input *input) {
    return record_bytes(input->scope.size, input->entity.size, input->tags_bytes, input->headers_bytes,
                        input->payload.size);
}

uint8_t *make_record(const struct record_input *input, struct record_sizes *out_sizes) {
    uint8_t hash[32];
    size_t size = (size_t)input_bytes(input);
    uint8_t *record = malloc(size);
    assert_non_null(record);
    record_encode(input, record, hash);
    assert_memory_equal(hash, record + RECORD_HASH_AT, sizeof hash);
    assert_true(record_measure(record, size, out_sizes));
    assert_int_equal(out_sizes->total, size);
    return record;
}

uint8_t *make_frame(const struct record_input *inputs, uint32_t count, uint64_t durable, uint32_t salt,
                    size_t *out_bytes) {
    uint64_t size = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++)
        size += input_bytes(&inputs[item]);
    uint8_t *frame = malloc((size_t)size);
    assert_non_null(frame);
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < count; item++) {
        struct record_sizes sizes;
        uint8_t *record = make_record(&inputs[item], &sizes);
        memcpy(frame + place, record, (size_t)sizes.total);
        place += sizes.total;
        free(record);
    }
    const struct frame header = {.frame_bytes = (uint32_t)size,
                                 .first_sequence = inputs[0].first_sequence,
                                 .durable_sequence = durable,
                                 .event_count = count,
                                 .type = FRAME_EVENTS};
    frame_seal(frame, &header, salt);
    *out_bytes = (size_t)size;
    return frame;
}

/* ---- the log ---- */

struct fbat_id log_id(uint64_t sequence) {
    struct fbat_id id = {{0x01, 0x02, 0x03, 0x04}};
    for (int at = 0; at < 8; at++)
        id.bytes[15 - at] = (uint8_t)(sequence >> (8 * at));
    return id;
}

static void start_segment(struct log *log, uint64_t segment_id) {
    struct segment_header header = {
        .store_id = log->store_id,
        .segment_id = segment_id,
        .first_sequence = log->next_sequence,
        .created_us = 1,
        .capacity = 1 << 20,
        .durable_sequence = log->next_sequence - 1,
        .last_recorded_us = log->last_recorded_us,
    };
    struct segment *segment;
    struct segment_index *index;
    memcpy(header.last_hash, log->last_hash, sizeof header.last_hash);
    assert_int_equal(segment_create(log->os, LOG_DIR, &header, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_create(segment, &index, NULL), FBAT_OK);
    assert_int_equal(directory_append(&log->directory, index, NULL), FBAT_OK);
    log->active = index;
}

void log_init(struct log *log) {
    log_init_on(log, &(struct os_sim_options){.seed = 7});
}

void log_init_on(struct log *log, const struct os_sim_options *options) {
    memset(log, 0, sizeof *log);
    log->sim = os_sim_create(options);
    log->os = os_sim_process(log->sim, 100);
    log->store_id = id_of_byte(0x42);
    log->next_sequence = 1;
    assert_true(directory_init(&log->directory));
    assert_int_equal(log->os->methods->dir_create(log->os, LOG_DIR), 0);
    start_segment(log, 1);
}

void log_deinit(struct log *log) {
    directory_deinit(&log->directory);
    os_sim_destroy(log->sim);
}

static struct log_stream *stream_of(struct log *log, struct fbat_slice scope, struct fbat_slice entity) {
    char names[sizeof log->streams[0].names];
    int length = snprintf(names, sizeof names, "%.*s|%.*s", (int)scope.size, (const char *)scope.data, (int)entity.size,
                          (const char *)entity.data);
    assert_true(length > 0 && (size_t)length < sizeof names);
    for (size_t at = 0; at < log->stream_count; at++)
        if (strcmp(log->streams[at].names, names) == 0)
            return &log->streams[at];
    assert_true(log->stream_count < COUNT_OF(log->streams));
    struct log_stream *stream = &log->streams[log->stream_count++];
    memcpy(stream->names, names, sizeof names);
    return stream;
}

/* Encodes the event behind `to`, which stands in the mapping. */
static uint64_t encode_event(struct log *log, const struct log_event *event, uint64_t first_sequence, uint8_t *to) {
    uint64_t sequence = log->next_sequence++;
    struct fbat_slice scope = fbat_text(event->scope ? event->scope : "shop");
    struct fbat_slice entity = fbat_text(event->entity ? event->entity : "order-1");
    struct log_stream *stream = stream_of(log, scope, entity);
    struct record_input input = {
        .sequence = sequence,
        .first_sequence = first_sequence,
        .revision = ++stream->revision,
        .recorded_us = event->recorded_us ? event->recorded_us : (int64_t)(1000 * sequence),
        .kind = event->kind ? event->kind : 0x1001,
        .id = fbat_id_is_none(&event->id) ? log_id(sequence) : event->id,
        .previous_hash = stream->hash,
        .scope = scope,
        .entity = entity,
        .payload = fbat_text(event->payload),
    };
    uint8_t hash[32];
    record_encode(&input, to, hash);
    memcpy(stream->hash, hash, sizeof hash);
    memcpy(log->last_hash, hash, sizeof hash);
    log->last_recorded_us = input.recorded_us;
    return input_bytes(&input);
}

uint64_t log_write(struct log *log, enum frame_type type, const struct log_event *events, uint32_t count) {
    struct segment *segment = log->active->segment;
    uint64_t first = log->next_sequence, frame_bytes = FRAME_HEADER_BYTES, offset = segment->end;
    uint8_t *to;
    /* More room than is needed: only what is advanced over counts. */
    assert_int_equal(segment_begin_frame(segment, 4096 * (uint64_t)count, false, &to, NULL), FBAT_OK);
    for (uint32_t item = 0; item < count; item++)
        frame_bytes += encode_event(log, &events[item], first, to + frame_bytes);
    struct frame frame = {.frame_bytes = (uint32_t)frame_bytes,
                          .first_sequence = first,
                          .durable_sequence = log->durable_sequence,
                          .event_count = count,
                          .type = type};
    frame_seal(to, &frame, segment->salt);
    assert_int_equal(segment_end_frame(segment, frame_bytes, NULL), FBAT_OK);
    segment_advance(segment, frame_bytes);
    return offset;
}

uint64_t log_commit(struct log *log, uint64_t first_sequence, uint64_t fence_offset) {
    struct segment *segment = log->active->segment;
    uint64_t offset = segment->end;
    uint8_t *to;
    assert_int_equal(segment_begin_frame(segment, FRAME_COMMIT_BYTES, false, &to, NULL), FBAT_OK);
    struct frame frame = {.frame_bytes = FRAME_COMMIT_BYTES,
                          .first_sequence = first_sequence,
                          .durable_sequence = log->durable_sequence,
                          .type = FRAME_COMMIT,
                          .last_sequence = log->next_sequence - 1,
                          .staged_bytes = offset - fence_offset};
    frame_seal(to, &frame, segment->salt);
    assert_int_equal(segment_end_frame(segment, FRAME_COMMIT_BYTES, NULL), FBAT_OK);
    segment_advance(segment, FRAME_COMMIT_BYTES);
    return offset;
}

struct log_place log_note(const struct log *log) {
    struct log_place place = {.next_sequence = log->next_sequence,
                              .last_recorded_us = log->last_recorded_us,
                              .stream_count = log->stream_count};
    memcpy(place.last_hash, log->last_hash, sizeof place.last_hash);
    memcpy(place.streams, log->streams, sizeof place.streams);
    return place;
}

void log_go_back(struct log *log, const struct log_place *place) {
    log->next_sequence = place->next_sequence;
    log->last_recorded_us = place->last_recorded_us;
    log->stream_count = place->stream_count;
    memcpy(log->last_hash, place->last_hash, sizeof log->last_hash);
    memcpy(log->streams, place->streams, sizeof log->streams);
}

void log_next_segment(struct log *log) {
    start_segment(log, log->active->segment->header.segment_id + 1);
}

void log_make_store(struct log *log, enum live_state state, uint64_t durable) {
    uint8_t meta_bytes[STORE_META_BYTES], live_bytes[LIVE_BYTES];
    if (state == LIVE_CLOSED)
        assert_int_equal(segment_trim(log->active->segment, NULL), FBAT_OK);
    const struct store_meta meta = {.store_id = log->store_id, .created_us = 1};
    const struct live live = {.state = state,
                              .store_id = log->store_id,
                              .pid = 99,
                              .visible_sequence = durable,
                              .durable_sequence = durable,
                              .segment_id = log->active->segment->header.segment_id,
                              .end = log->active->segment->end};
    store_meta_encode(&meta, meta_bytes);
    assert_true(os_sim_set_file_bytes(log->sim, LOG_DIR "/store.meta", meta_bytes, sizeof meta_bytes));
    live_encode(&live, live_bytes);
    assert_true(os_sim_set_file_bytes(log->sim, LOG_DIR "/LOCK", live_bytes, sizeof live_bytes));
}

void log_append_hidden(struct log *log, const struct log_event *events, uint32_t count) {
    struct segment *segment = log->active->segment;
    uint64_t offset = log_write(log, FRAME_EVENTS, events, count);
    struct frame frame;
    assert_int_equal(frame_decode(segment->map + offset, segment->end - offset, segment->salt, &frame), FRAME_VALID);
    assert_int_equal(segment_index_add_frame(log->active, &frame, segment->map + offset, offset, NULL), FBAT_OK);
}

void log_append(struct log *log, const struct log_event *events, uint32_t count) {
    log_append_hidden(log, events, count);
    segment_index_publish(log->active);
    directory_set_visible(&log->directory, log->next_sequence - 1);
}

void log_rotate(struct log *log) {
    uint64_t segment_id = log->active->segment->header.segment_id;
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    struct segment *segment;
    struct segment_index *sealed;
    const char *fault = NULL;
    assert_int_equal(segment_open(log->os, LOG_DIR, segment_id, &log->store_id, SEGMENT_READ, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_open_footer(segment, &sealed, &fault, NULL), FBAT_OK);
    assert_int_equal(directory_replace(&log->directory, sealed, NULL), FBAT_OK);
    start_segment(log, segment_id + 1);
}

int enter_log(void **state) {
    struct log *log = malloc(sizeof *log);
    assert_non_null(log);
    log_init(log);
    *state = log;
    return 0;
}

int leave_log(void **state) {
    log_deinit(*state);
    free(*state);
    return 0;
}
