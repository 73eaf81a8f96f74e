/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments of unusual sizes: one event that fills a segment, or is larger than a segment was meant to be; the largest
 * payload; and thousands of segments in a process that may hold few descriptors. Written, read, followed, reopened, checked.
 */
#include "fixture.h"

#include <sys/resource.h>

/* ---- large events ---- */

/* Bytes that say where they stand, so that none can be another's. */
static uint8_t *make_payload(uint32_t number, size_t size) {
    uint8_t *payload = malloc(size);
    assert_non_null(payload);
    struct test_random random = test_random_init(number);
    test_random_fill(&random, payload, size);
    return payload;
}

static void append_large(struct fbat_store *store, uint32_t number, size_t size) {
    uint8_t *payload = make_payload(number, size);
    struct fbat_new_event event = event_of(number % 2 ? "odd" : "even", "scope", "");
    event.payload = fbat_bytes(payload, size);
    (void)append_event(store, &event);
    free(payload);
}

static void assert_large(struct fbat_store *store, uint32_t number, size_t size) {
    uint8_t *payload = make_payload(number, size);
    struct fbat_event event;
    assert_ok(fbat_get_by_sequence(store, number, &event, &fault));
    assert_int_equal(event.payload.size, size);
    assert_true(memcmp(event.payload.data, payload, size) == 0);
    fbat_event_release(&event);
    free(payload);
}

static uint64_t count_segments(struct fbat_store *store) {
    struct fbat_stats stats;
    assert_ok(fbat_stats(store, &stats, &fault));
    return stats.segments;
}

/* Events of these sizes, one after the other, by a writer, with a reader that follows and one that comes later. */
static void check_sizes(struct fixture *fixture, const size_t *sizes, uint32_t count, uint64_t segments) {
    struct fbat_store *reader;
    open_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    for (uint32_t at = 0; at < count; at++) {
        append_large(fixture->store, at + 1, sizes[at]);
        assert_large(fixture->store, at + 1, sizes[at]);
        assert_large(reader, at + 1, sizes[at]);
    }
    assert_int_equal(count_segments(fixture->store), segments);
    assert_int_equal(count_segments(reader), segments);
    reopen_store(fixture);
    for (uint32_t at = 0; at < count; at++) {
        assert_large(fixture->store, at + 1, sizes[at]);
        assert_large(reader, at + 1, sizes[at]);
    }
    assert_ok(fbat_close(reader, &fault));
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, count);
}

static void payload_of_16_mib_is_an_event_like_any_other(void **state) {
    static const size_t sizes[] = {10, 16 << 20, 10};
    check_sizes(*state, sizes, 3, 1);
}

static void event_larger_than_a_segment_gets_one_of_its_own(void **state) {
    static const size_t sizes[] = {100, 64 << 10, 100, 100, 70 << 10, 64 << 10, 16 << 20, 1};
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 8 << 10;
    check_sizes(fixture, sizes, 8, 7); /* only the two events of 100 bytes in a row are in one segment */
}

static void segments_of_one_event_each_are_followed(void **state) {
    static const size_t sizes[] = {1, 1, 1, 5000, 1, 1, 100000, 1};
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    check_sizes(fixture, sizes, 8, 8);
}

/* ---- many segments, few descriptors ---- */

enum { SEGMENTS = 2000, DESCRIPTORS = 64, LOOKS = 300 };

static struct fbat_id id_numbered(uint32_t number) {
    char name[16];
    struct fbat_id id = {{0}};
    snprintf(name, sizeof name, "id %u", (unsigned)number);
    (void)fbat_id_derive(fbat_text(name), &id);
    return id;
}

static int append_numbered(struct fbat_store *store, uint32_t number, struct fbat_error *error) {
    char entity[16];
    snprintf(entity, sizeof entity, "stream %u", (unsigned)number % 7);
    struct fbat_new_event event = event_of(entity, "scope", "payload");
    event.id = id_numbered(number);
    return fbat_append(store, &event, NULL, NULL, error);
}

/* Everything a reader does, spread over all segments. */
static int look_everywhere(struct fbat_store *store, uint32_t events) {
    struct test_random random = test_random_init(events);
    struct fbat_error error;
    struct fbat_event event;
    struct fbat_iterator *iterator;
    uint64_t count = 0;
    child_check(fbat_query_count(store, NULL, &count, &error) == FBAT_OK && count == events);
    for (int look = 0; look < LOOKS; look++) {
        uint32_t number = (uint32_t)test_random_between(&random, 1, events);
        struct fbat_id id = id_numbered(number);
        child_check(fbat_get(store, &id, &event, &error) == FBAT_OK && event.sequence == number);
        fbat_event_release(&event);
        child_check(fbat_get_by_sequence(store, number, &event, &error) == FBAT_OK);
        child_check(memcmp(&event.id, &id, sizeof id) == 0);
        fbat_event_release(&event);
    }
    child_check(fbat_stream(store, fbat_text("stream 3"), fbat_text("scope"), NULL, &iterator, &error) == FBAT_OK);
    for (count = 0; fbat_iterator_next(iterator, &event, &error) == FBAT_OK; count++)
        child_check(event.revision == count + 1 && event.sequence == 7 * count + 3);
    fbat_iterator_close(iterator);
    child_check(count == (events + 4) / 7);
    return 0;
}

static int live_on_few_descriptors(void *user, int in, int out) {
    struct fixture *fixture = user;
    const struct rlimit few = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};
    struct fbat_store *store, *reader;
    struct fbat_error error;
    struct fbat_stats stats;
    (void)in;
    (void)out;
    child_check(setrlimit(RLIMIT_NOFILE, &few) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    for (uint32_t number = 1; number <= SEGMENTS; number++)
        child_check(append_numbered(store, number, &error) == FBAT_OK);
    child_check(fbat_stats(store, &stats, &error) == FBAT_OK && stats.segments == SEGMENTS);
    child_check(look_everywhere(store, SEGMENTS) == 0 && look_everywhere(reader, SEGMENTS) == 0);
    child_check(fbat_close(reader, &error) == FBAT_OK && fbat_close(store, &error) == FBAT_OK);

    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    child_check(look_everywhere(reader, SEGMENTS) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (uint32_t number = SEGMENTS + 1; number <= SEGMENTS + 2 * DESCRIPTORS; number++)
        child_check(append_numbered(store, number, &error) == FBAT_OK);
    child_check(look_everywhere(store, SEGMENTS + 2 * DESCRIPTORS) == 0);
    child_check(look_everywhere(reader, SEGMENTS + 2 * DESCRIPTORS) == 0);
    child_check(fbat_close(reader, &error) == FBAT_OK && fbat_close(store, &error) == FBAT_OK);
    return 0;
}

static void two_thousand_segments_need_few_descriptors(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 1;
    child_start(&child, live_on_few_descriptors, fixture);
    assert_int_equal(child_wait(&child), 0);
    assert_int_equal(assert_whole(fixture->dir).segments, SEGMENTS + 2 * DESCRIPTORS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(payload_of_16_mib_is_an_event_like_any_other),
        behaviour_in_memory(event_larger_than_a_segment_gets_one_of_its_own),
        behaviour_in_memory(segments_of_one_event_each_are_followed),
        behaviour_in_memory(two_thousand_segments_need_few_descriptors),
    };
    return cmocka_run_group_tests_name("api: sizes and numbers of segments", tests, NULL, NULL);
}
