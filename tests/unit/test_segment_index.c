/* SPDX-License-Identifier: Apache-2.0 */
/* The index of one segment: rows, ids, streams and their links; and the same from the footer it is sealed into. */
#include "fixture.h"

#include "base/hash.h"
#include "log/segment.h"

static const struct log_event events[] = {
    {.entity = "order-1", .kind = 0x1001, .payload = "one"},
    {.entity = "order-2", .kind = 0x1001, .payload = "two"},
    {.entity = "order-1", .kind = 0x1002, .payload = "three"},
    {.entity = "order-1", .scope = "depot", .payload = "four"},
    {.entity = "_kinds", .scope = "_system", .kind = 0x0001},
    {.entity = "order-2", .kind = 0x1001, .payload = "six"},
};

/* Six events in three frames. */
static void fill(struct log *log) {
    log_append(log, events, 1);
    log_append(log, events + 1, 3);
    log_append(log, events + 4, 2);
}

static bool find_stream(const struct segment_index *index, const char *scope, const char *entity,
                        uint32_t *out_stream) {
    uint64_t hash = hash_stream(scope, strlen(scope), entity, strlen(entity));
    return segment_index_find_stream(index, hash, fbat_text(scope), fbat_text(entity), out_stream);
}

static bool find_id(const struct segment_index *index, uint32_t limit, uint64_t sequence, uint32_t *out_position) {
    struct fbat_id id = log_id(sequence);
    return segment_index_find_id(index, limit, segment_index_id_hash(&id), &id, out_position);
}

/* ---- adding ---- */

static void nothing_is_visible_before_it_is_published(void **state) {
    struct log *log = *state;
    uint32_t stream;
    log_append_hidden(log, events, 2);
    assert_int_equal(segment_index_row_count(log->active), 0);
    assert_int_equal(segment_index_stream_count(log->active), 0);
    segment_index_publish(log->active);
    assert_int_equal(segment_index_row_count(log->active), 2);
    assert_int_equal(segment_index_stream_count(log->active), 2);
    assert_true(find_stream(log->active, "shop", "order-2", &stream));
}

static void each_row_says_what_its_record_says(void **state) {
    struct log *log = *state;
    fill(log);
    static const uint64_t revisions[] = {1, 1, 2, 1, 1, 2};
    for (uint32_t position = 0; position < 6; position++) {
        const struct footer_row *row = segment_index_row(log->active, position);
        struct fbat_id id = log_id(position + 1);
        assert_int_equal(row->sequence, position + 1);
        assert_int_equal(row->recorded_us, 1000 * (position + 1));
        assert_int_equal(row->revision, revisions[position]);
        assert_int_equal(row->kind, events[position].kind ? events[position].kind : 0x1001);
        assert_true(row->id_hash == hash64(id.bytes, 16, 0));
        assert_true(row->flags == 0 && row->zero1 == 0);
    }
}

static void records_of_a_batch_share_their_frames_offset(void **state) {
    struct log *log = *state;
    fill(log);
    const struct footer_row *second = segment_index_row(log->active, 1), *third = segment_index_row(log->active, 2);
    assert_int_equal(second->frame_words, third->frame_words);
    assert_int_equal(second->record_words, second->frame_words + FRAME_HEADER_BYTES / 8);
    assert_true(third->record_words > second->record_words);
    assert_true(segment_index_row(log->active, 4)->frame_words > third->record_words);
}

static void rows_of_a_stream_are_linked_both_ways(void **state) {
    struct log *log = *state;
    fill(log);
    static const uint32_t previous[] = {0, 0, 1, 0, 0, 2}, next[] = {3, 6, 0, 0, 0, 0};
    for (uint32_t position = 0; position < 6; position++) {
        assert_int_equal(segment_index_row(log->active, position)->previous_in_stream, previous[position]);
        assert_int_equal(segment_index_row(log->active, position)->next_in_stream, next[position]);
    }
}

static void streams_stand_in_the_order_of_their_first_events(void **state) {
    struct log *log = *state;
    fill(log);
    static const struct {
        const char *scope, *entity;
        uint32_t first, last, count;
    } wanted[] = {
        {"shop", "order-1", 1, 3, 2},
        {"shop", "order-2", 2, 6, 2},
        {"depot", "order-1", 4, 4, 1},
        {"_system", "_kinds", 5, 5, 1},
    };
    assert_int_equal(segment_index_stream_count(log->active), 4);
    for (uint32_t at = 0; at < 4; at++) {
        uint32_t stream;
        assert_true(find_stream(log->active, wanted[at].scope, wanted[at].entity, &stream));
        assert_int_equal(stream, at);
        const struct footer_stream *entry = segment_index_stream(log->active, stream);
        assert_int_equal(entry->first_row, wanted[at].first);
        assert_int_equal(entry->last_row, wanted[at].last);
        assert_int_equal(entry->event_count, wanted[at].count);
    }
}

static void the_summary_covers_all_events(void **state) {
    struct log *log = *state;
    fill(log);
    const struct segment_summary *summary = &log->active->summary;
    struct fbat_id first = log_id(1), last = log_id(6);
    assert_int_equal(summary->event_count, 6);
    assert_int_equal(summary->stream_count, 4);
    assert_int_equal(summary->system_event_count, 1);
    assert_true(summary->first_sequence == 1 && summary->last_sequence == 6);
    assert_true(summary->first_recorded_us == 1000 && summary->last_recorded_us == 6000);
    assert_memory_equal(&summary->id_min, &first, 16);
    assert_memory_equal(&summary->id_max, &last, 16);
    assert_true(fbat_id_is_none(&summary->id_made));
    assert_int_equal(summary->frames_end, log->active->segment->end);
}

static void least_and_greatest_ids_follow_byte_order_not_the_order_of_adding(void **state) {
    struct log *log = *state;
    static const uint8_t order[] = {0x80, 0x10, 0xf0, 0x20};
    for (size_t at = 0; at < COUNT_OF(order); at++)
        log_append(log, &(struct log_event){.id = id_of_byte(order[at])}, 1);
    assert_memory_equal(&log->active->summary.id_min, id_of_byte(0x10).bytes, 16);
    assert_memory_equal(&log->active->summary.id_max, id_of_byte(0xf0).bytes, 16);
}

static int add_crafted(struct log *log, const struct frame *frame, const uint8_t *bytes) {
    struct fbat_error error;
    int status = segment_index_add_frame(log->active, frame, bytes, SEGMENT_HEADER_BYTES, &error);
    if (status < 0)
        assert_int_equal(error.segment_id, 1);
    return status;
}

static void records_that_do_not_fill_their_frame_are_damage(void **state) {
    struct log *log = *state;
    struct record_input inputs[2] = {full_input(), full_input()};
    inputs[0].sequence = inputs[0].first_sequence = inputs[1].first_sequence = 1;
    inputs[1].sequence = 2;
    size_t size;
    uint8_t *bytes = make_frame(inputs, 2, 0, 0, &size);
    struct frame frame = {.frame_bytes = (uint32_t)size, .first_sequence = 1, .event_count = 2, .type = FRAME_EVENTS};
    frame.event_count = 1; /* bytes are left */
    assert_int_equal(add_crafted(log, &frame, bytes), FBAT_ERR_DAMAGED);
    frame.event_count = 3; /* a record too many */
    assert_int_equal(add_crafted(log, &frame, bytes), FBAT_ERR_DAMAGED);
    frame.event_count = 2;
    store_u32(bytes + FRAME_HEADER_BYTES + RECORD_PAYLOAD_BYTES_AT, 1 << 20);
    assert_int_equal(add_crafted(log, &frame, bytes), FBAT_ERR_DAMAGED);
    free(bytes);
}

static void records_out_of_order_are_damage(void **state) {
    struct log *log = *state;
    struct record_input inputs[2] = {full_input(), full_input()};
    inputs[0].sequence = inputs[0].first_sequence = inputs[1].first_sequence = 1;
    inputs[1].sequence = 1;
    size_t size;
    uint8_t *bytes = make_frame(inputs, 2, 0, 0, &size);
    struct frame frame = {.frame_bytes = (uint32_t)size, .first_sequence = 1, .event_count = 2, .type = FRAME_EVENTS};
    assert_int_equal(add_crafted(log, &frame, bytes), FBAT_ERR_DAMAGED);
    free(bytes);
}

/* ---- searching ---- */

static void an_id_is_found_within_the_limit_only(void **state) {
    struct log *log = *state;
    uint32_t position;
    fill(log);
    for (uint64_t sequence = 1; sequence <= 6; sequence++) {
        assert_true(find_id(log->active, 6, sequence, &position));
        assert_int_equal(position, sequence - 1);
        assert_true(find_id(log->active, (uint32_t)sequence, sequence, &position));
        assert_false(find_id(log->active, (uint32_t)sequence - 1, sequence, &position));
    }
    assert_false(find_id(log->active, 6, 7, &position));
}

static void a_hash_alone_does_not_make_an_id(void **state) {
    struct log *log = *state;
    uint32_t position;
    fill(log);
    struct fbat_id there = log_id(3), other = log_id(99);
    assert_false(segment_index_find_id(log->active, 6, segment_index_id_hash(&there), &other, &position));
}

static void a_stream_is_found_by_both_its_names(void **state) {
    struct log *log = *state;
    uint32_t stream;
    fill(log);
    assert_true(find_stream(log->active, "depot", "order-1", &stream));
    assert_false(find_stream(log->active, "depot", "order-2", &stream));
    assert_false(find_stream(log->active, "order-1", "shop", &stream));
    assert_false(find_stream(log->active, "sho", "porder-1", &stream));
    uint64_t hash = hash_stream("shop", 4, "order-1", 7);
    assert_false(segment_index_find_stream(log->active, hash, fbat_text("shop"), fbat_text("order-9"), &stream));
}

static void rows_are_counted_up_to_a_sequence(void **state) {
    struct log *log = *state;
    fill(log);
    for (uint64_t sequence = 0; sequence < 9; sequence++)
        for (uint32_t limit = 0; limit <= 6; limit++) {
            uint32_t wanted = sequence < limit ? (uint32_t)sequence : limit;
            assert_int_equal(segment_index_rows_to_sequence(log->active, limit, sequence), wanted);
        }
}

static void rows_are_counted_before_a_time_and_equal_times_stay_together(void **state) {
    struct log *log = *state;
    static const int64_t times[] = {10, 20, 20, 20, 30};
    for (size_t at = 0; at < COUNT_OF(times); at++)
        log_append(log, &(struct log_event){.recorded_us = times[at]}, 1);
    static const struct {
        int64_t time_us;
        uint32_t rows;
    } wanted[] = {{INT64_MIN, 0}, {10, 0}, {11, 1}, {20, 1}, {21, 4}, {30, 4}, {31, 5}, {INT64_MAX, 5}};
    for (size_t at = 0; at < COUNT_OF(wanted); at++)
        assert_int_equal(segment_index_rows_before_time(log->active, 5, wanted[at].time_us), wanted[at].rows);
}

static void a_view_is_the_event_with_its_place(void **state) {
    struct log *log = *state;
    struct fbat_event event;
    fill(log);
    assert_int_equal(segment_index_view(log->active, 2, &event, NULL), FBAT_OK);
    assert_int_equal(event.sequence, 3);
    assert_int_equal(event.revision, 2);
    assert_int_equal(event.segment_id, 1);
    assert_int_equal(event.offset, 8 * (uint64_t)segment_index_row(log->active, 2)->record_words);
    assert_true(event.payload.size == 5 && memcmp(event.payload.data, "three", 5) == 0);
}

static void a_row_that_leads_elsewhere_is_damage_and_not_an_event(void **state) {
    struct log *log = *state;
    struct fbat_event event;
    struct fbat_error error;
    fill(log);
    struct footer_row *row = segment_index_row(log->active, 2);
    struct footer_row sound = *row;
    static const uint32_t places[] = {0, 1, SEGMENT_HEADER_BYTES / 8, 1 << 20, UINT32_MAX};
    for (size_t at = 0; at < COUNT_OF(places); at++) {
        row->record_words = places[at];
        assert_int_equal(segment_index_view(log->active, 2, &event, &error), FBAT_ERR_DAMAGED);
        assert_int_equal(error.segment_id, 1);
    }
    *row = sound;
    row->record_words = segment_index_row(log->active, 1)->record_words; /* another event's */
    assert_int_equal(segment_index_view(log->active, 2, &event, &error), FBAT_ERR_DAMAGED);
}

/* ---- growth ---- */

static void thousands_of_events_and_streams_are_all_found(void **state) {
    struct log *log = *state;
    enum { EVENTS = 3000 };
    struct record_input input = full_input();
    struct segment *segment = log->active->segment;
    uint64_t offset = segment->end;
    char entity[32];
    for (uint64_t sequence = 1; sequence <= EVENTS; sequence++) {
        size_t size;
        snprintf(entity, sizeof entity, "e%llu", (unsigned long long)sequence % 1500);
        input.sequence = input.first_sequence = sequence;
        input.entity = fbat_text(entity);
        input.id = log_id(sequence);
        uint8_t *bytes = make_frame(&input, 1, 0, segment->salt, &size), *at;
        struct frame frame = {.frame_bytes = (uint32_t)size, .first_sequence = sequence, .event_count = 1};
        assert_int_equal(segment_begin_frame(segment, size, false, &at, NULL), FBAT_OK);
        memcpy(at, bytes, size);
        free(bytes);
        assert_int_equal(segment_index_add_frame(log->active, &frame, at, offset, NULL), FBAT_OK);
        segment_advance(segment, size);
        offset += size;
    }
    segment_index_publish(log->active);
    assert_int_equal(segment_index_stream_count(log->active), 1500);
    for (uint64_t sequence = 1; sequence <= EVENTS; sequence++) {
        uint32_t position, stream;
        assert_true(find_id(log->active, EVENTS, sequence, &position) && position == sequence - 1);
        snprintf(entity, sizeof entity, "e%llu", (unsigned long long)sequence % 1500);
        assert_true(find_stream(log->active, "shop", entity, &stream));
        assert_int_equal(segment_index_stream(log->active, stream)->event_count, 2);
    }
    assert_true(segment_index_memory(log->active) >= EVENTS * sizeof(struct footer_row));
}

/* ---- the footer ---- */

static struct segment_index *open_sealed(struct log *log) {
    struct segment *segment;
    struct segment_index *index = NULL;
    const char *fault;
    assert_int_equal(segment_open(log->os, LOG_DIR, 1, &log->store_id, SEGMENT_READ, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_open_footer(segment, &index, &fault, NULL), FBAT_OK);
    return index;
}

static void a_footer_says_row_by_row_what_the_index_said(void **state) {
    struct log *log = *state;
    fill(log);
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    struct segment_index *sealed = open_sealed(log);
    assert_true(sealed->sealed);
    assert_int_equal(segment_index_row_count(sealed), 6);
    assert_int_equal(segment_index_stream_count(sealed), 4);
    assert_memory_equal(&sealed->summary, &log->active->summary, sizeof sealed->summary);
    for (uint32_t position = 0; position < 6; position++)
        assert_memory_equal(segment_index_row(sealed, position), segment_index_row(log->active, position),
                            sizeof(struct footer_row));
    for (uint32_t stream = 0; stream < 4; stream++)
        assert_memory_equal(segment_index_stream(sealed, stream), segment_index_stream(log->active, stream),
                            sizeof(struct footer_stream));
    segment_index_release(sealed);
}

static void a_footer_finds_what_the_index_found(void **state) {
    struct log *log = *state;
    fill(log);
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    struct segment_index *sealed = open_sealed(log);
    uint32_t position, stream = 0, wanted = 1;
    struct fbat_event event;
    for (uint64_t sequence = 1; sequence <= 6; sequence++) {
        assert_true(find_id(sealed, 6, sequence, &position) && position == sequence - 1);
        assert_int_equal(segment_index_view(sealed, position, &event, NULL), FBAT_OK);
        assert_int_equal(event.sequence, sequence);
    }
    assert_false(find_id(sealed, 6, 7, &position));
    assert_true(find_stream(sealed, "shop", "order-2", &stream) &&
                find_stream(log->active, "shop", "order-2", &wanted));
    assert_int_equal(stream, wanted);
    assert_false(find_stream(sealed, "shop", "order-3", &stream));
    segment_index_release(sealed);
}

static void a_footer_of_another_segment_is_not_taken(void **state) {
    struct log *log = *state;
    fill(log);
    struct segment_header header = log->active->segment->header;
    log->active->segment->header.generation++; /* written into the footer, not into the file's header */
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    log->active->segment->header = header;
    struct segment *segment;
    struct segment_index *index = NULL;
    const char *fault = NULL;
    assert_int_equal(segment_open(log->os, LOG_DIR, 1, &log->store_id, SEGMENT_READ, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_open_footer(segment, &index, &fault, NULL), FBAT_ERR_NOT_FOUND);
    assert_string_equal(fault, "the footer belongs to another segment");
    segment_close(segment);
}

static void a_segment_without_a_footer_says_so_and_stays_the_callers(void **state) {
    struct log *log = *state;
    struct segment *segment;
    struct segment_index *index = NULL;
    const char *fault = NULL;
    fill(log);
    assert_int_equal(segment_open(log->os, LOG_DIR, 1, &log->store_id, SEGMENT_READ, &segment, NULL), FBAT_OK);
    assert_int_equal(segment_index_open_footer(segment, &index, &fault, NULL), FBAT_ERR_NOT_FOUND);
    assert_string_equal(fault, "no trailer");
    assert_null(index);
    segment_close(segment);
}

static void numbers_of_a_footer_that_lead_nowhere_are_not_followed(void **state) {
    struct log *log = *state;
    uint32_t stream, position;
    fill(log);
    uint64_t last = segment_index_row_count(log->active);
    struct footer_stream *entry = segment_index_stream(log->active, 1);
    entry->first_row = UINT32_MAX;
    entry->last_row = UINT32_MAX;
    segment_index_row(log->active, 0)->record_words = UINT32_MAX;
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    struct segment_index *sealed = open_sealed(log);
    assert_false(find_stream(sealed, "shop", "order-2", &stream));
    assert_false(find_id(sealed, (uint32_t)last, 1, &position));
    assert_int_equal(segment_index_last_row(sealed, segment_index_stream(sealed, 1)), 0);
    segment_index_release(sealed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(nothing_is_visible_before_it_is_published),
        LOG_TEST(each_row_says_what_its_record_says),
        LOG_TEST(records_of_a_batch_share_their_frames_offset),
        LOG_TEST(rows_of_a_stream_are_linked_both_ways),
        LOG_TEST(streams_stand_in_the_order_of_their_first_events),
        LOG_TEST(the_summary_covers_all_events),
        LOG_TEST(least_and_greatest_ids_follow_byte_order_not_the_order_of_adding),
        LOG_TEST(records_that_do_not_fill_their_frame_are_damage),
        LOG_TEST(records_out_of_order_are_damage),
        LOG_TEST(an_id_is_found_within_the_limit_only),
        LOG_TEST(a_hash_alone_does_not_make_an_id),
        LOG_TEST(a_stream_is_found_by_both_its_names),
        LOG_TEST(rows_are_counted_up_to_a_sequence),
        LOG_TEST(rows_are_counted_before_a_time_and_equal_times_stay_together),
        LOG_TEST(a_view_is_the_event_with_its_place),
        LOG_TEST(a_row_that_leads_elsewhere_is_damage_and_not_an_event),
        LOG_TEST(thousands_of_events_and_streams_are_all_found),
        LOG_TEST(a_footer_says_row_by_row_what_the_index_said),
        LOG_TEST(a_footer_finds_what_the_index_found),
        LOG_TEST(a_footer_of_another_segment_is_not_taken),
        LOG_TEST(a_segment_without_a_footer_says_so_and_stays_the_callers),
        LOG_TEST(numbers_of_a_footer_that_lead_nowhere_are_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
