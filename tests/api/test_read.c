/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one event, and how long what was read stays. */
#include "fixture.h"

/* A store whose every frame is a segment of its own. */
static struct fixture *opened_with_tiny_segments(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    return fixture;
}

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_event get_by_sequence(struct fbat_store *store, uint64_t sequence) {
    struct fbat_event event;
    assert_ok(fbat_get_by_sequence(store, sequence, &event, &fault));
    assert_int_equal(event.sequence, sequence);
    assert_non_null(event.pin);
    return event;
}

/* ---- finding ---- */

static void event_is_found_by_id_and_by_sequence(void **state) {
    struct fixture *fixture = opened_with_tiny_segments(state);
    struct fbat_receipt receipts[20];
    for (int at = 0; at < 20; at++) {
        char payload[16];
        snprintf(payload, sizeof payload, "payload %d", at);
        receipts[at] = append_text(fixture->store, at % 3 ? "one" : "two", "scope", payload);
    }
    for (int pass = 0; pass < 2; pass++) { /* live, and from disk */
        for (int at = 0; at < 20; at++) {
            char payload[16];
            snprintf(payload, sizeof payload, "payload %d", at);
            struct fbat_event by_id, by_sequence = get_by_sequence(fixture->store, receipts[at].sequence);
            assert_ok(fbat_get(fixture->store, &receipts[at].id, &by_id, &fault));
            assert_slice(payload, by_id.payload);
            assert_slice(payload, by_sequence.payload);
            assert_id_equal(by_sequence.id, receipts[at].id);
            assert_int_equal(by_id.sequence, receipts[at].sequence);
            assert_int_equal(by_id.segment_id, receipts[at].sequence);
            assert_int_equal(by_id.lane, 0);
            fbat_event_release(&by_id);
            fbat_event_release(&by_sequence);
        }
        reopen_store(fixture);
    }
}

static void what_is_not_there_is_not_found(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_event event, untouched;
    memset(&event, 0x5a, sizeof event);
    memset(&untouched, 0x5a, sizeof untouched);
    struct fbat_id id = id_of("nobody"), none = {{0}};
    for (int pass = 0; pass < 2; pass++) { /* without events, and with some */
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get(fixture->store, &id, &event, &fault));
        char text[FBAT_ID_TEXT_SIZE];
        fbat_id_format(&id, text);
        assert_message_has(text);
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get(fixture->store, &none, &event, &fault));
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, 0, &event, &fault));
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, 3, &event, &fault));
        assert_message_has("3");
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, UINT64_MAX, &event, NULL));
        assert_status(FBAT_ERR_NOT_FOUND,
                      fbat_latest(fixture->store, fbat_text("nobody"), fbat_text("scope"), &event, &fault));
        assert_message_has("nobody");
        assert_status(FBAT_ERR_NOT_FOUND,
                      fbat_latest(fixture->store, fbat_text("one"), fbat_text("elsewhere"), &event, &fault));
        assert_memory_equal(&event, &untouched, sizeof event);
        if (pass == 0) {
            append_text(fixture->store, "one", "scope", "payload");
            append_text(fixture->store, "one", "scope", "payload");
        }
    }
}

static void latest_is_the_last_of_its_stream(void **state) {
    struct fixture *fixture = opened_with_tiny_segments(state);
    struct fbat_event event;
    for (int at = 0; at < 12; at++) {
        struct fbat_receipt receipt =
            append_text(fixture->store, at % 3 ? "one" : "two", at % 2 ? "x" : "y", "payload");
        assert_ok(fbat_latest(fixture->store, fbat_text(at % 3 ? "one" : "two"), fbat_text(at % 2 ? "x" : "y"), &event,
                              &fault));
        assert_int_equal(event.sequence, receipt.sequence);
        assert_int_equal(event.revision, receipt.revision);
        fbat_event_release(&event);
    }
    reopen_store(fixture);
    assert_ok(fbat_latest(fixture->store, fbat_text("one"), fbat_text("y"), &event, &fault));
    assert_int_equal(event.sequence, 11);
    fbat_event_release(&event);
}

/* Names that together have the same bytes are different streams. */
static void entity_and_scope_do_not_run_into_each_other(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "ab", "c", "1");
    append_text(fixture->store, "a", "bc", "2");
    append_text(fixture->store, "abc", "abc", "3");
    append_text(fixture->store, "c", "ab", "4");
    struct fbat_event event;
    static const char *const streams[][2] = {{"ab", "c"}, {"a", "bc"}, {"abc", "abc"}, {"c", "ab"}};
    for (uint64_t at = 0; at < 4; at++) {
        assert_ok(fbat_latest(fixture->store, fbat_text(streams[at][0]), fbat_text(streams[at][1]), &event, &fault));
        assert_int_equal(event.sequence, at + 1);
        assert_int_equal(event.revision, 1);
        fbat_event_release(&event);
    }
}

static void missing_arguments_are_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_event event;
    struct fbat_slice name = fbat_text("one");
    assert_status(FBAT_ERR_ARGUMENT, fbat_get(fixture->store, NULL, &event, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_get(NULL, NULL, &event, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_get_by_sequence(fixture->store, 1, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_latest(fixture->store, name, name, NULL, &fault));
    assert_status(FBAT_ERR_NAME, fbat_latest(fixture->store, fbat_text(""), name, &event, &fault));
    assert_status(FBAT_ERR_NAME, fbat_latest(fixture->store, name, fbat_text("\xff"), &event, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_event_header(NULL, 0, NULL));
    fbat_event_release(NULL);
    fbat_event_retain(NULL, fixture->store);
}

/* ---- pins ---- */

/* A pinned event stays readable, at the same address, while its segment is sealed and many more are written. */
static void pin_survives_rotation_and_further_appends(void **state) {
    struct fixture *fixture = opened_with_tiny_segments(state);
    append_text(fixture->store, "one", "scope", "the first of all");
    struct fbat_event event = get_by_sequence(fixture->store, 1);
    const void *payload = event.payload.data;
    for (int at = 0; at < 16; at++)
        append_text(fixture->store, "one", "scope", "later");
    assert_ptr_equal(event.payload.data, payload);
    assert_slice("the first of all", event.payload);
    assert_slice("one", event.entity);
    uint8_t hash[32];
    hash_event(&event, true, hash);
    assert_memory_equal(hash, event.hash, 32);
    fbat_event_release(&event);
    assert_null(event.pin);
    fbat_event_release(&event); /* a second time is nothing */
}

static void several_pins_of_one_event_are_independent(void **state) {
    struct fixture *fixture = opened_with_tiny_segments(state);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_event first = get_by_sequence(fixture->store, 1), second = get_by_sequence(fixture->store, 1);
    append_text(fixture->store, "one", "scope", "later");
    fbat_event_release(&first);
    assert_slice("payload", second.payload);
    append_text(fixture->store, "one", "scope", "later");
    fbat_event_release(&second);
}

/* An event of an iterator is borrowed; retained, it outlives the iterator's next step, its end, and rotations. */
static void retained_events_outlive_their_iterator(void **state) {
    struct fixture *fixture = opened_with_tiny_segments(state);
    enum { EVENTS = 16 };
    struct fbat_event events[EVENTS];
    char payload[16];
    for (int at = 0; at < EVENTS; at++) {
        snprintf(payload, sizeof payload, "payload %d", at);
        append_text(fixture->store, "one", "scope", payload);
    }
    struct fbat_iterator *iterator;
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterator, &fault));
    for (int at = 0; at < EVENTS; at++) {
        assert_ok(fbat_iterator_next(iterator, &events[at], &fault));
        assert_null(events[at].pin);
        if (at == EVENTS / 2) /* the iterator's list of segments is old by now */
            append_text(fixture->store, "one", "scope", "later");
        fbat_event_retain(&events[at], fixture->store);
        void *pin = events[at].pin;
        assert_non_null(pin);
        fbat_event_retain(&events[at], fixture->store);
        assert_ptr_equal(events[at].pin, pin);
    }
    fbat_iterator_close(iterator);
    for (int at = 0; at < EVENTS; at++)
        append_text(fixture->store, "one", "scope", "later");
    for (int at = 0; at < EVENTS; at++) {
        snprintf(payload, sizeof payload, "payload %d", at);
        assert_slice(payload, events[at].payload);
        assert_int_equal(events[at].sequence, at + 1);
        fbat_event_release(&events[at]);
    }
}

/* Between the retaining of an event of the active segment and its reading, the segment is sealed. */
static void retained_event_of_the_active_segment_survives_its_sealing(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 8 << 10;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterator, &fault));
    assert_ok(fbat_iterator_next(iterator, &event, &fault));
    fbat_event_retain(&event, fixture->store);
    fbat_iterator_close(iterator);
    struct fbat_stats stats;
    do {
        append_text(fixture->store, "one", "scope", "later");
        assert_ok(fbat_stats(fixture->store, &stats, &fault));
    } while (stats.segments < 4);
    assert_slice("payload", event.payload);
    fbat_event_release(&event);
}

/* ---- headers and tags ---- */

static void headers_and_tags_are_read_in_order(void **state) {
    struct fixture *fixture = opened(state);
    char big[60000];
    memset(big, 'v', sizeof big);
    const struct fbat_header headers[] = {
        {fbat_text("content"), fbat_text("text/plain")}, {fbat_text("trace"), fbat_bytes("\0\1\2", 3)},
        {fbat_text("content"), fbat_text("again")},      {fbat_text("empty"), fbat_bytes(NULL, 0)},
        {fbat_text("big"), fbat_bytes(big, sizeof big)},
    };
    const struct fbat_slice tags[] = {fbat_text("red"),
                                      fbat_text("r\xc3\xa9"
                                                "d"),
                                      fbat_text("red")};
    struct fbat_new_event new_event = event_of("one", "scope", "payload");
    new_event.headers = headers;
    new_event.header_count = 5;
    new_event.tags = tags;
    new_event.tag_count = 3;
    append_event(fixture->store, &new_event);
    reopen_store(fixture);
    struct fbat_event event = get_by_sequence(fixture->store, 1);
    for (size_t at = 0; at < 5; at++) {
        struct fbat_header header;
        assert_ok(fbat_event_header(&event, at, &header));
        assert_slices(headers[at].name, header.name);
        assert_slices(headers[at].value, header.value);
    }
    for (size_t at = 0; at < 3; at++) {
        struct fbat_slice tag;
        assert_ok(fbat_event_tag(&event, at, &tag));
        assert_slices(tags[at], tag);
    }
    struct fbat_header header;
    struct fbat_slice slice;
    assert_status(FBAT_END, fbat_event_header(&event, 5, &header));
    assert_status(FBAT_END, fbat_event_tag(&event, 3, &slice));
    assert_ok(fbat_event_find_header(&event, fbat_text("content"), &slice));
    assert_slice("text/plain", slice); /* the first of that name */
    assert_ok(fbat_event_find_header(&event, fbat_text("empty"), &slice));
    assert_int_equal(slice.size, 0);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_event_find_header(&event, fbat_text("conten"), &slice));
    assert_slice("payload", event.payload);
    fbat_event_release(&event);
}

static void event_without_headers_and_tags_has_none(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_event event = get_by_sequence(fixture->store, 1);
    struct fbat_header header;
    struct fbat_slice slice;
    assert_int_equal(event.headers.size, 0);
    assert_int_equal(event.tags.size, 0);
    assert_status(FBAT_END, fbat_event_header(&event, 0, &header));
    assert_status(FBAT_END, fbat_event_tag(&event, 0, &slice));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_event_find_header(&event, fbat_text("a"), &slice));
    fbat_event_release(&event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(event_is_found_by_id_and_by_sequence),
        behaviour(what_is_not_there_is_not_found),
        behaviour_in_memory(latest_is_the_last_of_its_stream),
        behaviour(entity_and_scope_do_not_run_into_each_other),
        behaviour(missing_arguments_are_refused),
        behaviour_in_memory(pin_survives_rotation_and_further_appends),
        behaviour(several_pins_of_one_event_are_independent),
        behaviour_in_memory(retained_events_outlive_their_iterator),
        behaviour(retained_event_of_the_active_segment_survives_its_sealing),
        behaviour(headers_and_tags_are_read_in_order),
        behaviour(event_without_headers_and_tags_has_none),
    };
    return cmocka_run_group_tests_name("api: reading one event", tests, NULL, NULL);
}
