/* SPDX-License-Identifier: Apache-2.0 */
/* Names of kinds: given once, found both ways, kept in the log. */
#include "fixture.h"

#include <pthread.h>

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static uint64_t last_sequence(struct fbat_store *store) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    return frontier.accepted;
}

static void assert_named(struct fbat_store *store, uint16_t kind, const char *name) {
    struct fbat_slice found_name;
    uint16_t found_kind;
    assert_ok(fbat_kind_name(store, kind, &found_name));
    assert_slice(name, found_name);
    assert_ok(fbat_kind(store, fbat_text(name), &found_kind));
    assert_int_equal(found_kind, kind);
}

/* ---- define ---- */

static void name_is_found_both_ways_and_after_reopen(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("order.placed"), &fault));
    assert_ok(fbat_kind_define(fixture->store, FBAT_KIND(15, 0), fbat_text("\xc3\xa9"), &fault));
    assert_named(fixture->store, KIND_A, "order.placed");
    reopen_store(fixture);
    assert_named(fixture->store, KIND_A, "order.placed");
    assert_named(fixture->store, FBAT_KIND(15, 0), "\xc3\xa9");
}

static void same_pair_again_writes_nothing(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("order.placed"), &fault));
    uint64_t before = last_sequence(fixture->store);
    assert_int_equal(before, 1);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("order.placed"), &fault));
    reopen_store(fixture);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("order.placed"), &fault));
    assert_int_equal(last_sequence(fixture->store), before);
}

static void name_once_given_stays(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("order.placed"), &fault));
    for (int pass = 0; pass < 2; pass++) {
        assert_status(FBAT_ERR_KIND_CONFLICT,
                      fbat_kind_define(fixture->store, KIND_A, fbat_text("order.sent"), &fault));
        assert_message_has("order.placed");
        assert_status(FBAT_ERR_KIND_CONFLICT,
                      fbat_kind_define(fixture->store, KIND_B, fbat_text("order.placed"), &fault));
        assert_message_has("order.placed");
        assert_int_equal(last_sequence(fixture->store), 1);
        reopen_store(fixture);
    }
    assert_named(fixture->store, KIND_A, "order.placed");
}

static void reserved_kinds_take_no_name(void **state) {
    struct fixture *fixture = opened(state);
    uint16_t kind;
    assert_status(FBAT_ERR_KIND, fbat_kind_define(fixture->store, FBAT_KIND(0, 7), fbat_text("a"), &fault));
    assert_status(FBAT_ERR_KIND, fbat_kind_define(fixture->store, FBAT_KIND(13, 7), fbat_text("a"), &fault));
    assert_status(FBAT_ERR_KIND, fbat_kind_resolve(fixture->store, fbat_text("a"), 0, &kind, &fault));
    assert_status(FBAT_ERR_KIND, fbat_kind_resolve(fixture->store, fbat_text("a"), 13, &kind, &fault));
    assert_status(FBAT_ERR_KIND, fbat_kind_resolve(fixture->store, fbat_text("a"), 16, &kind, &fault));
    assert_int_equal(last_sequence(fixture->store), 0);
}

static void name_has_1_to_255_bytes_of_plain_utf8(void **state) {
    struct fixture *fixture = opened(state);
    char longest[FBAT_KIND_NAME_BYTES_MAX + 1];
    memset(longest, 'n', sizeof longest);
    static const char *const bad[] = {"", "\xff", "tab\there", "line\n", "\x7f", "\x1b[0m"};
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        assert_status(FBAT_ERR_NAME, fbat_kind_define(fixture->store, KIND_A, fbat_text(bad[at]), &fault));
    assert_status(FBAT_ERR_NAME, fbat_kind_define(fixture->store, KIND_A, fbat_bytes("a\0b", 3), &fault));
    assert_status(FBAT_ERR_NAME, fbat_kind_define(fixture->store, KIND_A, fbat_bytes(longest, 256), &fault));
    assert_status(FBAT_ERR_NAME, fbat_kind_define(fixture->store, KIND_A, fbat_bytes(NULL, 3), &fault));
    uint16_t kind;
    assert_status(FBAT_ERR_NAME, fbat_kind_resolve(fixture->store, fbat_text(""), 1, &kind, &fault));
    assert_int_equal(last_sequence(fixture->store), 0);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_bytes(longest, 255), &fault));
    assert_ok(fbat_kind_define(fixture->store, KIND_B, fbat_bytes(longest, 1), &fault));
    reopen_store(fixture);
    struct fbat_slice name;
    assert_ok(fbat_kind_name(fixture->store, KIND_A, &name));
    assert_slices(fbat_bytes(longest, 255), name);
}

static void what_has_no_name_is_not_found(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_slice name = fbat_text("before");
    uint16_t kind = 77;
    assert_status(FBAT_ERR_NOT_FOUND, fbat_kind(fixture->store, fbat_text("nobody"), &kind));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_kind_name(fixture->store, KIND_A, &name));
    assert_int_equal(kind, 77);
    assert_slice("before", name);
    assert_status(FBAT_ERR_ARGUMENT, fbat_kind(fixture->store, fbat_text("a"), NULL));
    assert_status(FBAT_ERR_ARGUMENT, fbat_kind_name(fixture->store, KIND_A, NULL));
    assert_status(FBAT_ERR_ARGUMENT, fbat_kind_resolve(fixture->store, fbat_text("a"), 1, NULL, &fault));
}

/* ---- resolve ---- */

static void resolve_takes_the_next_free_type(void **state) {
    struct fixture *fixture = opened(state);
    uint16_t kind;
    assert_ok(fbat_kind_define(fixture->store, FBAT_KIND(2, 2), fbat_text("taken"), &fault));
    assert_ok(fbat_kind_resolve(fixture->store, fbat_text("a"), 2, &kind, &fault));
    assert_int_equal(kind, FBAT_KIND(2, 1));
    assert_ok(fbat_kind_resolve(fixture->store, fbat_text("b"), 2, &kind, &fault));
    assert_int_equal(kind, FBAT_KIND(2, 3));
    assert_ok(fbat_kind_resolve(fixture->store, fbat_text("c"), 3, &kind, &fault));
    assert_int_equal(kind, FBAT_KIND(3, 1));
}

static void resolve_finds_a_name_in_whatever_category(void **state) {
    struct fixture *fixture = opened(state);
    uint16_t kind;
    assert_ok(fbat_kind_define(fixture->store, FBAT_KIND(4, 9), fbat_text("a"), &fault));
    uint64_t before = last_sequence(fixture->store);
    assert_ok(fbat_kind_resolve(fixture->store, fbat_text("a"), 5, &kind, &fault));
    assert_int_equal(kind, FBAT_KIND(4, 9));
    assert_int_equal(last_sequence(fixture->store), before);
}

static void category_has_4095_types_to_resolve(void **state) {
    struct fixture *fixture = opened(state);
    uint16_t kind = 0;
    char name[16];
    for (int at = 1; at <= 4095; at++) {
        snprintf(name, sizeof name, "kind %d", at);
        assert_ok(fbat_kind_resolve(fixture->store, fbat_text(name), 14, &kind, &fault));
        assert_int_equal(kind, FBAT_KIND(14, at));
    }
    assert_status(FBAT_ERR_LIMIT, fbat_kind_resolve(fixture->store, fbat_text("one more"), 14, &kind, &fault));
    assert_int_equal(kind, FBAT_KIND(14, 4095));
    assert_ok(fbat_kind_resolve(fixture->store, fbat_text("one more"), 15, &kind, &fault));
    reopen_store(fixture);
    assert_named(fixture->store, FBAT_KIND(14, 4095), "kind 4095");
    struct fbat_stats stats;
    assert_ok(fbat_stats(fixture->store, &stats, &fault));
    assert_int_equal(stats.kinds_named, 4096);
    assert_int_equal(stats.system_events, 4096);
    assert_int_equal(stats.events, 0);
    assert_int_equal(stats.streams, 0);
}

struct resolver {
    struct fbat_store *store;
    uint16_t kinds[100];
    int failures;
};

static void *resolve_names(void *user) {
    struct resolver *resolver = user;
    char name[16];
    for (int at = 0; at < 100; at++) {
        snprintf(name, sizeof name, "kind %d", at);
        resolver->failures += fbat_kind_resolve(resolver->store, fbat_text(name), 1, &resolver->kinds[at], NULL) != 0;
    }
    return NULL;
}

/* Threads that resolve the same names at once agree, and each name is defined once. */
static void threads_agree_on_resolved_kinds(void **state) {
    struct fixture *fixture = opened(state);
    struct resolver resolvers[4] = {{0}};
    pthread_t threads[4];
    for (int at = 0; at < 4; at++) {
        resolvers[at].store = fixture->store;
        assert_int_equal(pthread_create(&threads[at], NULL, resolve_names, &resolvers[at]), 0);
    }
    for (int at = 0; at < 4; at++) {
        pthread_join(threads[at], NULL);
        assert_int_equal(resolvers[at].failures, 0);
        assert_memory_equal(resolvers[at].kinds, resolvers[0].kinds, sizeof resolvers[0].kinds);
    }
    assert_int_equal(last_sequence(fixture->store), 100);
}

/* ---- in the log ---- */

static void definition_is_an_event_of_the_librarys_own_stream(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_kind_define(fixture->store, FBAT_KIND(2, 0x304), fbat_text("named"), &fault));
    struct fbat_event event;
    assert_ok(fbat_latest(fixture->store, fbat_text("_kinds"), fbat_text(FBAT_SYSTEM_SCOPE), &event, &fault));
    assert_int_equal(event.kind, FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1));
    assert_slices(fbat_bytes("\x04\x23named", 7), event.payload);
    fbat_event_release(&event);
}

static void definition_has_the_default_level(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1;
    open_store(fixture);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault));
    struct fbat_frontier frontier;
    fbat_frontier(fixture->store, &frontier);
    assert_int_equal(frontier.durable, 1);
}

static void reader_learns_names_as_they_are_given(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_store *reader;
    struct fbat_slice name;
    uint16_t kind;
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("early"), &fault));
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_named(reader, KIND_A, "early");
    assert_status(FBAT_ERR_NOT_FOUND, fbat_kind_name(reader, KIND_B, &name));
    assert_ok(fbat_kind_define(fixture->store, KIND_B, fbat_text("late"), &fault));
    assert_named(reader, KIND_B, "late");
    assert_status(FBAT_ERR_READ_ONLY, fbat_kind_define(reader, KIND_C, fbat_text("x"), &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_kind_resolve(reader, fbat_text("early"), 1, &kind, &fault));
    assert_ok(fbat_close(reader, &fault));
}

/* ---- counts ---- */

struct counts {
    int calls;
    uint16_t kinds[8];
    uint64_t events[8];
    char names[8][16];
    int stop_at;
};

static int note_count(void *user, uint16_t kind, struct fbat_slice name, uint64_t event_count) {
    struct counts *counts = user;
    assert_true(counts->calls < 8);
    counts->kinds[counts->calls] = kind;
    counts->events[counts->calls] = event_count;
    snprintf(counts->names[counts->calls], sizeof counts->names[0], "%.*s", (int)name.size, (const char *)name.data);
    counts->calls++;
    return counts->calls == counts->stop_at ? 42 : 0;
}

static struct fixture *opened_with_counts(void **state) {
    struct fixture *fixture = opened(state);
    static const uint16_t kinds[] = {KIND_B, KIND_A, KIND_C, KIND_A, FBAT_KIND(15, 4095), KIND_A};
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("a"), &fault));
    assert_ok(fbat_kind_define(fixture->store, FBAT_KIND(3, 3), fbat_text("unused"), &fault));
    for (size_t at = 0; at < sizeof kinds / sizeof kinds[0]; at++) {
        struct fbat_new_event event = event_of(at % 2 ? "odd" : "even", "scope", "payload");
        event.kind = kinds[at];
        append_event(fixture->store, &event);
    }
    return fixture;
}

static void events_are_counted_by_kind_in_order(void **state) {
    struct fixture *fixture = opened_with_counts(state);
    struct counts counts = {0};
    assert_ok(fbat_kind_counts(fixture->store, NULL, note_count, &counts, &fault));
    static const uint16_t kinds[] = {KIND_A, KIND_B, KIND_C, FBAT_KIND(15, 4095)};
    static const uint64_t events[] = {3, 1, 1, 1};
    assert_int_equal(counts.calls, 4);
    assert_memory_equal(counts.kinds, kinds, sizeof kinds);
    assert_memory_equal(counts.events, events, sizeof events);
    assert_string_equal(counts.names[0], "a");
    assert_string_equal(counts.names[1], "");
}

static void counts_are_of_the_region(void **state) {
    struct fixture *fixture = opened_with_counts(state);
    struct counts counts = {0};
    struct fbat_region region = {.struct_size = sizeof region, .entity = fbat_text("even")};
    assert_ok(fbat_kind_counts(fixture->store, &region, note_count, &counts, &fault));
    assert_int_equal(counts.calls, 3);
    counts = (struct counts){0};
    region = (struct fbat_region){.struct_size = sizeof region, .flags = FBAT_REGION_SYSTEM};
    assert_ok(fbat_kind_counts(fixture->store, &region, note_count, &counts, &fault));
    assert_int_equal(counts.calls, 5);
    assert_int_equal(counts.kinds[0], FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1));
    assert_int_equal(counts.events[0], 2);
}

static void counting_stops_when_told_to(void **state) {
    struct fixture *fixture = opened_with_counts(state);
    struct counts counts = {.stop_at = 2};
    assert_int_equal(fbat_kind_counts(fixture->store, NULL, note_count, &counts, &fault), 42);
    assert_int_equal(counts.calls, 2);
    assert_status(FBAT_ERR_ARGUMENT, fbat_kind_counts(fixture->store, NULL, NULL, NULL, &fault));
    struct fbat_region region = {0};
    assert_status(FBAT_ERR_ARGUMENT, fbat_kind_counts(fixture->store, &region, note_count, &counts, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(name_is_found_both_ways_and_after_reopen),
        behaviour(same_pair_again_writes_nothing),
        behaviour(name_once_given_stays),
        behaviour(reserved_kinds_take_no_name),
        behaviour(name_has_1_to_255_bytes_of_plain_utf8),
        behaviour(what_has_no_name_is_not_found),
        behaviour(resolve_takes_the_next_free_type),
        behaviour(resolve_finds_a_name_in_whatever_category),
        behaviour(category_has_4095_types_to_resolve),
        behaviour(threads_agree_on_resolved_kinds),
        behaviour(definition_is_an_event_of_the_librarys_own_stream),
        behaviour(definition_has_the_default_level),
        behaviour(reader_learns_names_as_they_are_given),
        behaviour(events_are_counted_by_kind_in_order),
        behaviour(counts_are_of_the_region),
        behaviour(counting_stops_when_told_to),
    };
    return cmocka_run_group_tests_name("api: kinds", tests, NULL, NULL);
}
