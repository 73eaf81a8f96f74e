/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events are found by their ids, whoever made them: ids of the store's own lead to their events by themselves, all others
 * are looked up; both in active, sealed, reopened segments, with and without runs of ids.
 */
#include "fixture.h"

enum { EVENTS = 3000, SEGMENT_BYTES = 64 * 1024, MAKERS = 4 };

struct appended {
    struct fbat_id id;
    uint64_t sequence;
};

/* The maker of an event's id: the store, a name, the store for the caller, or another store for an event of its own. */
static void give_id(struct fixture *fixture, struct fbat_store *other, int number, struct fbat_new_event *event) {
    char name[32];
    snprintf(name, sizeof name, "id %d", number);
    switch (number % MAKERS) {
    case 1: event->id = id_of(name); break;
    case 2: assert_ok(fbat_id_generate(fixture->store, &event->id, &fault)); break;
    case 3: event->id = append_text(other, "entity", "scope", name).id; break;
    default: break;
    }
}

static void fill(struct fixture *fixture, struct fbat_store *other, struct appended *appended) {
    char payload[400];
    memset(payload, 'p', sizeof payload - 1);
    payload[sizeof payload - 1] = '\0';
    for (int number = 0; number < EVENTS; number++) {
        struct fbat_new_event event = event_of(number % 2 ? "odd" : "even", "scope", payload);
        give_id(fixture, other, number, &event);
        struct fbat_receipt receipt = append_event(fixture->store, &event);
        appended[number] = (struct appended){.id = receipt.id, .sequence = receipt.sequence};
    }
}

/* Each id leads to its event, each id next to it to none. */
static void assert_all_found(struct fbat_store *store, const struct appended *appended) {
    struct fbat_event event;
    for (int number = 0; number < EVENTS; number++) {
        assert_ok(fbat_get(store, &appended[number].id, &event, &fault));
        assert_int_equal(event.sequence, appended[number].sequence);
        assert_id_equal(event.id, appended[number].id);
        fbat_event_release(&event);
        struct fbat_id absent = appended[number].id;
        absent.bytes[number % 16] ^= (uint8_t)(1 + number % 255);
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get(store, &absent, &event, &fault));
    }
}

static void every_event_is_found_by_its_id_wherever_it_stands(void **state) {
    struct fixture *fixture = *state;
    static struct appended appended[EVENTS];
    struct fbat_config config = fixture->config;
    struct fbat_store *other, *reader;
    char other_dir[TEST_PATH_SIZE];
    join_path(fixture->root, "other", other_dir);
    config.data_dir = other_dir;
    assert_ok(fbat_open(&config, &other, &fault));
    fixture->config.segment_max_bytes = SEGMENT_BYTES;
    open_store(fixture);
    fill(fixture, other, appended);
    assert_all_found(fixture->store, appended);
    reopen_store(fixture);
    assert_all_found(fixture->store, appended);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_all_found(reader, appended);
    assert_ok(fbat_close(reader, &fault));
    close_store(fixture);
    assert_whole(fixture->dir);
    assert_ok(fbat_close(other, &fault));
}

static void an_id_of_the_stores_own_is_a_key_in_sealed_segments_too(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_receipt first = append_event(fixture->store, &event), again;
    append_text(fixture->store, "two", "scope", "payload");
    event.id = first.id;
    reopen_store(fixture);
    assert_ok(fbat_append(fixture->store, &event, NULL, &again, &fault));
    assert_int_equal(again.sequence, first.sequence);
    event.payload = fbat_text("another");
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append(fixture->store, &event, NULL, &again, &fault));
    assert_int_equal(count_events(fixture->store), 2);
}

/* An id that was made for an event which never came into the log: the caller knows it from nowhere, but may make it up. */
static void an_id_that_names_another_events_sequence_is_a_key_like_any(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_receipt made = append_text(fixture->store, "one", "scope", "payload"), again;
    struct fbat_new_event event = event_of("two", "scope", "payload");
    event.id = made.id;
    for (unsigned low = 0; low < 4096; low++) { /* one of them has the right tag */
        event.id.bytes[14] = (uint8_t)((made.id.bytes[14] & 0xF0) | low >> 8);
        event.id.bytes[15] = (uint8_t)low;
        event.id.bytes[13] = (uint8_t)(made.id.bytes[13] ^ 1);
        struct fbat_receipt receipt = append_event(fixture->store, &event);
        assert_int_equal(receipt.sequence, 2 + low);
        assert_ok(fbat_append(fixture->store, &event, NULL, &again, &fault));
        assert_int_equal(again.sequence, receipt.sequence);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(every_event_is_found_by_its_id_wherever_it_stands),
        behaviour(an_id_of_the_stores_own_is_a_key_in_sealed_segments_too),
        behaviour(an_id_that_names_another_events_sequence_is_a_key_like_any),
    };
    return cmocka_run_group_tests_name("api: ids", tests, NULL, NULL);
}
