/* SPDX-License-Identifier: Apache-2.0 */
/* Many sealed segments and few of them mapped: the answers are those of a store that has them all. */
#include "fixture.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SEGMENTS = 320, ENTITIES = 17, SCOPES = 3, HELD_MAX = 12 };

/* ---- what was appended: event `sequence`, the only one of its segment ---- */

static struct fbat_new_event event_at(uint64_t sequence, char text[32]) {
    static char entities[ENTITIES][8], scopes[SCOPES][8];
    char *entity = entities[sequence % ENTITIES], *scope = scopes[sequence % SCOPES];
    snprintf(entity, sizeof entities[0], "e%u", (unsigned)(sequence % ENTITIES));
    snprintf(scope, sizeof scopes[0], "s%u", (unsigned)(sequence % SCOPES));
    snprintf(text, 32, "event %llu", (unsigned long long)sequence);
    struct fbat_new_event event = event_of(entity, scope, text);
    event.id = id_of(text);
    event.kind = sequence % 5 == 0 ? KIND_B : KIND_A;
    return event;
}

static void expect_event(const struct fbat_event *event, uint64_t sequence) {
    char text[32];
    struct fbat_new_event wanted = event_at(sequence, text);
    assert_int_equal(event->sequence, sequence);
    assert_slices(wanted.entity, event->entity);
    assert_slices(wanted.scope, event->scope);
    assert_slices(wanted.payload, event->payload);
    assert_id_equal(wanted.id, event->id);
}

/* A store of so many sealed segments, closed. */
static struct fixture *filled(void **state, uint64_t segments, uint32_t budget) {
    struct fixture *fixture = *state;
    char text[32];
    fixture->config.segment_max_bytes = 1; /* a segment each */
    fixture->config.fd_budget = budget;
    open_store(fixture);
    for (uint64_t sequence = 1; sequence <= segments + 1; sequence++) {
        struct fbat_new_event event = event_at(sequence, text);
        append_event(fixture->store, &event);
    }
    close_store(fixture);
    return fixture;
}

/* ---- what is mapped ---- */

static unsigned mapped_segments(const struct fixture *fixture) {
    char line[TEST_PATH_SIZE + 256];
    unsigned count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    assert_non_null(maps);
    while (fgets(line, sizeof line, maps))
        count += strstr(line, fixture->dir) && strstr(line, ".fbat\n");
    fclose(maps);
    return count;
}

/* Besides those of the budget: the active one, and those of what the test holds. */
static void expect_few_mapped(const struct fixture *fixture, uint32_t budget, unsigned held) {
    unsigned mapped = mapped_segments(fixture);
    if (mapped > (budget > held ? budget : held) + 1)
        fail_msg("%u segments are mapped, with a budget of %u and %u held", mapped, (unsigned)budget, held);
}

/* ---- reading at random ---- */

struct reading {
    struct fixture *fixture;
    struct fbat_store *store;
    uint64_t count; /* of events */
    struct test_random random;
    struct fbat_event held[HELD_MAX];
    uint64_t held_sequences[HELD_MAX];
};

static void get_one(struct reading *reading) {
    uint64_t sequence = 1 + test_random_below(&reading->random, reading->count);
    size_t at = (size_t)test_random_below(&reading->random, HELD_MAX);
    struct fbat_event event;
    char text[32];
    struct fbat_new_event wanted = event_at(sequence, text);
    if (test_random_one_in(&reading->random, 2))
        assert_ok(fbat_get(reading->store, &wanted.id, &event, &fault));
    else
        assert_ok(fbat_get_by_sequence(reading->store, sequence, &event, &fault));
    expect_event(&event, sequence);
    if (!test_random_one_in(&reading->random, 4)) {
        fbat_event_release(&event);
        return;
    }
    if (reading->held[at].pin)
        expect_event(&reading->held[at], reading->held_sequences[at]);
    fbat_event_release(&reading->held[at]);
    reading->held[at] = event;
    reading->held_sequences[at] = sequence;
}

static void expect_absent(struct reading *reading) {
    struct fbat_event event;
    struct fbat_id id = id_of("nothing of that name");
    id.bytes[0] = (uint8_t)test_random_u64(&reading->random);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get(reading->store, &id, &event, &fault));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(reading->store, reading->count + 1, &event, &fault));
    assert_status(FBAT_ERR_NOT_FOUND,
                  fbat_latest(reading->store, fbat_text("e1"), fbat_text("nowhere"), &event, &fault));
}

static bool is_in(uint64_t sequence, const struct fbat_region *region) {
    char text[32];
    struct fbat_new_event event = event_at(sequence, text);
    return (region->kind == 0 || event.kind == region->kind) &&
           (region->scope.size == 0 || memcmp(event.scope.data, region->scope.data, event.scope.size) == 0) &&
           (region->entity.size == 0 || (event.entity.size == region->entity.size &&
                                         memcmp(event.entity.data, region->entity.data, event.entity.size) == 0)) &&
           sequence >= region->sequence_min && (region->sequence_max == 0 || sequence <= region->sequence_max);
}

/* Streams, scopes, kinds and ranges of sequences, in both directions; sometimes with gets in between, which let segments
 * come and go under the iterator. */
static void walk_one(struct reading *reading) {
    uint64_t any = 1 + test_random_below(&reading->random, reading->count);
    char text[32];
    struct fbat_new_event event = event_at(any, text);
    struct fbat_region region = {.struct_size = sizeof region};
    struct fbat_query_options options = {.struct_size = sizeof options};
    uint64_t shape = test_random_below(&reading->random, 16);
    region.scope = shape & 1 ? event.scope : (struct fbat_slice){NULL, 0};
    region.entity = shape & 2 ? event.entity : (struct fbat_slice){NULL, 0};
    region.kind = shape & 4 ? event.kind : 0;
    region.sequence_min = shape & 8 ? any : 0;
    region.sequence_max = shape & 8 ? any + 40 : 0;
    bool backward = test_random_one_in(&reading->random, 2), disturbed = test_random_one_in(&reading->random, 4);
    options.direction = backward ? FBAT_BACKWARD : FBAT_FORWARD;
    struct fbat_iterator *iterator = NULL;
    assert_ok(fbat_query(reading->store, &region, &options, &iterator, &fault));
    for (uint64_t k = 1; k <= reading->count; k++) {
        uint64_t sequence = backward ? reading->count + 1 - k : k;
        struct fbat_event found;
        if (!is_in(sequence, &region))
            continue;
        assert_ok(fbat_iterator_next(iterator, &found, &fault));
        if (disturbed)
            get_one(reading);
        expect_event(&found, sequence);
    }
    struct fbat_event none;
    assert_status(FBAT_END, fbat_iterator_next(iterator, &none, &fault));
    fbat_iterator_close(iterator);
}

static void read_at_random(struct reading *reading, uint32_t budget) {
    for (uint64_t round = test_scaled(60); round > 0; round--) {
        for (int k = 0; k < 20; k++)
            get_one(reading);
        expect_absent(reading);
        walk_one(reading);
        expect_few_mapped(reading->fixture, budget, HELD_MAX + 1);
    }
    for (size_t at = 0; at < HELD_MAX; at++)
        fbat_event_release(&reading->held[at]);
    expect_few_mapped(reading->fixture, budget, 0);
}

static void expect_right_answers(void **state, uint32_t budget) {
    struct fixture *fixture = filled(state, SEGMENTS, budget);
    struct reading reading = {.fixture = fixture, .count = SEGMENTS + 1};
    uint64_t seed = test_seed(budget);
    print_message("  seed %llu\n", (unsigned long long)seed);
    reading.random = test_random_init(seed);
    open_store(fixture);
    expect_few_mapped(fixture, budget, 0);
    reading.store = fixture->store;
    read_at_random(&reading, budget);
    close_store(fixture);
    assert_int_equal(mapped_segments(fixture), 0);
    assert_ok(fbat_open_read_only(&fixture->config, &reading.store, &fault));
    expect_few_mapped(fixture, budget, 0);
    read_at_random(&reading, budget);
    assert_ok(fbat_close(reading.store, &fault));
    assert_whole(fixture->dir);
}

static void a_budget_of_one_gives_the_answers_of_all(void **state) {
    expect_right_answers(state, 1);
}

static void a_budget_of_two_gives_the_answers_of_all(void **state) {
    expect_right_answers(state, 2);
}

static void a_budget_of_eight_gives_the_answers_of_all(void **state) {
    expect_right_answers(state, 8);
}

static void very_many_segments_open_within_the_budget(void **state) {
    uint64_t count = test_scaled(1000);
    struct fixture *fixture = filled(state, count, 8);
    struct fbat_event event;
    char text[32];
    open_store(fixture);
    expect_few_mapped(fixture, 8, 0);
    for (uint64_t sequence = 1; sequence <= count; sequence += 1 + count / 100) {
        struct fbat_new_event wanted = event_at(sequence, text);
        assert_ok(fbat_get(fixture->store, &wanted.id, &event, &fault));
        expect_event(&event, sequence);
        fbat_event_release(&event);
    }
    expect_few_mapped(fixture, 8, 0);
}

/* ---- appending ---- */

static void a_retry_is_recognised_in_a_segment_that_is_closed(void **state) {
    struct fixture *fixture = filled(state, 40, 1);
    char text[32];
    open_store(fixture);
    for (uint64_t sequence = 1; sequence <= 41; sequence++) {
        struct fbat_new_event event = event_at(sequence, text);
        struct fbat_receipt receipt = append_event(fixture->store, &event);
        assert_true(receipt.sequence == sequence && receipt.replayed);
        event.payload = fbat_text("another");
        assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append(fixture->store, &event, NULL, NULL, &fault));
    }
    expect_few_mapped(fixture, 1, 0);
    assert_int_equal(append_text(fixture->store, "new", "s0", "more").sequence, 42);
}

/* ---- when opening one fails ---- */

/* No descriptor can be had while it is in force. */
static struct rlimit forbid_descriptors(void) {
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    return before;
}

static void without_descriptors_reads_fail_clearly_and_go_on_later(void **state) {
    struct fixture *fixture = filled(state, 20, 2);
    struct fbat_event event;
    struct fbat_iterator *iterator = NULL;
    open_store(fixture);
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterator, &fault));
    assert_ok(fbat_iterator_next(iterator, &event, &fault));
    struct rlimit before = forbid_descriptors();
    int closed = fbat_get_by_sequence(fixture->store, 9, &event, &fault);
    struct fbat_error closed_fault = fault, step_fault;
    struct fbat_event open_event;
    int open = fbat_get_by_sequence(fixture->store, 1, &open_event, &fault); /* where the iterator is */
    int step = fbat_iterator_next(iterator, &event, &step_fault);
    struct fbat_new_event more = event_of("new", "s0", "more");
    int append = fbat_append(fixture->store, &more, NULL, NULL, &fault);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(append, FBAT_ERR_IO); /* it needs a new segment */
    assert_int_equal(closed, FBAT_ERR_IO);
    assert_int_equal(closed_fault.os_errno, EMFILE);
    assert_int_equal(closed_fault.segment_id, 9);
    assert_ok(open);
    fbat_event_release(&open_event);
    assert_int_equal(step, FBAT_ERR_IO);
    assert_int_equal(step_fault.segment_id, 2);
    for (uint64_t sequence = 2; sequence <= 21; sequence++) {
        assert_ok(fbat_iterator_next(iterator, &event, &fault));
        expect_event(&event, sequence);
    }
    fbat_iterator_close(iterator);
    assert_ok(fbat_get_by_sequence(fixture->store, 9, &event, &fault));
    fbat_event_release(&event);
    assert_int_equal(append_text(fixture->store, "new", "s0", "more").sequence, 22);
}

static void a_segment_file_that_is_gone_is_named_and_the_rest_is_read(void **state) {
    struct fixture *fixture = filled(state, 20, 1);
    struct fbat_event event;
    char path[TEST_PATH_SIZE], aside[TEST_PATH_SIZE];
    open_store(fixture);
    segment_path_of(fixture->dir, 5, path);
    join_path(fixture->root, "aside", aside);
    assert_int_equal(rename(path, aside), 0);
    assert_status(FBAT_ERR_IO, fbat_get_by_sequence(fixture->store, 5, &event, &fault));
    assert_int_equal(fault.segment_id, 5);
    assert_message_has("000005.fbat");
    assert_ok(fbat_get_by_sequence(fixture->store, 6, &event, &fault));
    fbat_event_release(&event);
    append_text(fixture->store, "new", "s0", "more");
    assert_int_equal(rename(aside, path), 0);
    assert_ok(fbat_get_by_sequence(fixture->store, 5, &event, &fault));
    expect_event(&event, 5);
    fbat_event_release(&event);
}

static void a_segment_file_of_another_store_is_refused_and_the_rest_is_read(void **state) {
    struct fixture *fixture = filled(state, 20, 1);
    char own[TEST_PATH_SIZE], path[TEST_PATH_SIZE], other[TEST_PATH_SIZE], other_path[TEST_PATH_SIZE];
    struct fixture second = *fixture;
    struct fbat_event event;
    size_t own_size, other_size;
    join_path(fixture->root, "other", other);
    memcpy(second.dir, other, sizeof second.dir);
    second.config.data_dir = second.dir;
    void *second_state = &second;
    (void)filled(&second_state, 20, 1);
    segment_path_of(fixture->dir, 5, path);
    segment_path_of(second.dir, 5, other_path);
    join_path(fixture->root, "own", own);
    uint8_t *own_bytes = read_file(path, &own_size), *other_bytes = read_file(other_path, &other_size);
    open_store(fixture);
    write_file(own, other_bytes, other_size);
    assert_int_equal(rename(own, path), 0);
    assert_status(FBAT_ERR_DAMAGED, fbat_get_by_sequence(fixture->store, 5, &event, &fault));
    assert_int_equal(fault.segment_id, 5);
    assert_message_has("not the segment that was here");
    assert_ok(fbat_get_by_sequence(fixture->store, 6, &event, &fault));
    fbat_event_release(&event);
    write_file(own, own_bytes, own_size);
    assert_int_equal(rename(own, path), 0);
    assert_ok(fbat_get_by_sequence(fixture->store, 5, &event, &fault));
    fbat_event_release(&event);
    free(own_bytes);
    free(other_bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(a_budget_of_one_gives_the_answers_of_all),
        behaviour_in_memory(a_budget_of_two_gives_the_answers_of_all),
        behaviour_in_memory(a_budget_of_eight_gives_the_answers_of_all),
        behaviour_in_memory(very_many_segments_open_within_the_budget),
        behaviour_in_memory(a_retry_is_recognised_in_a_segment_that_is_closed),
        behaviour_in_memory(without_descriptors_reads_fail_clearly_and_go_on_later),
        behaviour_in_memory(a_segment_file_that_is_gone_is_named_and_the_rest_is_read),
        behaviour_in_memory(a_segment_file_of_another_store_is_refused_and_the_rest_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
