/* SPDX-License-Identifier: Apache-2.0 */
/* Compare-and-append: each expectation against each state of a stream, alone and within a batch. */
#include "fixture.h"

#include <pthread.h>

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_new_event expecting(const char *entity, enum fbat_expect expect, uint64_t revision) {
    struct fbat_new_event event = event_of(entity, "scope", "payload");
    event.expect = expect;
    event.expected_revision = revision;
    return event;
}

static void append_times(struct fixture *fixture, const char *entity, int times) {
    for (int time = 0; time < times; time++)
        append_text(fixture->store, entity, "scope", "payload");
}

static void assert_expectation_fails(struct fixture *fixture, const struct fbat_new_event *event, uint64_t actual) {
    uint64_t before = count_events(fixture->store);
    struct fbat_receipt receipt, untouched;
    memset(&receipt, 0x5a, sizeof receipt);
    memset(&untouched, 0x5a, sizeof untouched);
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, event, NULL, &receipt, &fault));
    assert_memory_equal(&receipt, &untouched, sizeof receipt);
    assert_int_equal(fault.status, FBAT_ERR_REVISION);
    assert_int_equal(fault.actual_revision, actual);
    assert_true(fault.item == FBAT_NO_ITEM);
    if (event->expect == FBAT_EXPECT_REVISION)
        assert_int_equal(fault.expected_revision, event->expected_revision);
    assert_int_equal(count_events(fixture->store), before);
}

static void assert_expectation_holds(struct fixture *fixture, const struct fbat_new_event *event, uint64_t revision) {
    struct fbat_receipt receipt = append_event(fixture->store, event);
    assert_int_equal(receipt.revision, revision);
}

/* ---- one event ---- */

static void none_holds_only_where_there_is_no_stream(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_NONE, 0);
    assert_expectation_holds(fixture, &event, 1);
    assert_expectation_fails(fixture, &event, 1);
    append_times(fixture, "one", 4);
    assert_expectation_fails(fixture, &event, 5);
}

static void exists_holds_only_where_there_is_a_stream(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_EXISTS, 0);
    assert_expectation_fails(fixture, &event, 0);
    append_times(fixture, "one", 1);
    assert_expectation_holds(fixture, &event, 2);
    assert_expectation_holds(fixture, &event, 3);
}

static void revision_holds_only_at_that_revision(void **state) {
    struct fixture *fixture = opened(state);
    append_times(fixture, "one", 3);
    static const uint64_t wrong[] = {0, 1, 2, 4, UINT64_MAX};
    for (size_t at = 0; at < sizeof wrong / sizeof wrong[0]; at++) {
        struct fbat_new_event event = expecting("one", FBAT_EXPECT_REVISION, wrong[at]);
        assert_expectation_fails(fixture, &event, 3);
    }
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_REVISION, 3);
    assert_expectation_holds(fixture, &event, 4);
    assert_expectation_fails(fixture, &event, 4);
}

static void revision_zero_is_the_same_as_none(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_REVISION, 0);
    assert_expectation_holds(fixture, &event, 1);
    assert_expectation_fails(fixture, &event, 1);
}

static void any_holds_always(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_ANY, 77);
    assert_expectation_holds(fixture, &event, 1);
    assert_expectation_holds(fixture, &event, 2);
}

/* The same entity in another scope is another stream. */
static void expectation_is_about_the_stream_in_its_scope(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "elsewhere", "payload");
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_NONE, 0);
    assert_expectation_holds(fixture, &event, 1);
}

/* A refused first event of a stream does not make the stream. */
static void refused_append_makes_no_stream(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_EXISTS, 0);
    for (int time = 0; time < 3; time++)
        assert_expectation_fails(fixture, &event, 0);
    struct fbat_event read;
    assert_status(FBAT_ERR_NOT_FOUND, fbat_latest(fixture->store, fbat_text("one"), fbat_text("scope"), &read, &fault));
    struct fbat_stats stats;
    assert_ok(fbat_stats(fixture->store, &stats, &fault));
    assert_int_equal(stats.streams, 0);
    event = expecting("one", FBAT_EXPECT_NONE, 0);
    assert_expectation_holds(fixture, &event, 1);
}

static void expectation_survives_reopen_and_rotation(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    append_times(fixture, "one", 3);
    append_times(fixture, "other", 5);
    struct fbat_new_event event = expecting("one", FBAT_EXPECT_REVISION, 3);
    assert_expectation_holds(fixture, &event, 4);
    reopen_store(fixture);
    assert_expectation_fails(fixture, &event, 4);
    event.expected_revision = 4;
    assert_expectation_holds(fixture, &event, 5);
}

/* ---- batches ---- */

/* Each item sees the stream as the items before it leave it. */
static void items_see_the_items_before_them(void **state) {
    struct fixture *fixture = opened(state);
    append_times(fixture, "old", 2);
    const struct fbat_new_event batch[] = {
        expecting("new", FBAT_EXPECT_NONE, 0),     expecting("old", FBAT_EXPECT_REVISION, 2),
        expecting("new", FBAT_EXPECT_REVISION, 1), expecting("new", FBAT_EXPECT_EXISTS, 0),
        expecting("old", FBAT_EXPECT_REVISION, 3), expecting("new", FBAT_EXPECT_REVISION, 3),
    };
    static const uint64_t revisions[] = {1, 3, 2, 3, 4, 4};
    struct fbat_receipt receipts[6];
    assert_ok(fbat_append_batch(fixture->store, batch, 6, NULL, receipts, &fault));
    for (int at = 0; at < 6; at++) {
        assert_int_equal(receipts[at].revision, revisions[at]);
        assert_int_equal(receipts[at].sequence, 3 + at);
    }
}

static void assert_batch_fails(struct fixture *fixture, const struct fbat_new_event *batch, size_t count, size_t item,
                               uint64_t actual) {
    uint64_t before = count_events(fixture->store);
    assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, batch, count, NULL, NULL, &fault));
    assert_int_equal(fault.item, item);
    assert_int_equal(fault.actual_revision, actual);
    char text[32];
    snprintf(text, sizeof text, "item %zu", item);
    assert_message_has(text);
    assert_int_equal(count_events(fixture->store), before);
}

/* The error names the first item at fault and the revision the stream would have there; the whole batch is refused. */
static void failed_item_is_named_with_the_revision_it_met(void **state) {
    struct fixture *fixture = opened(state);
    append_times(fixture, "old", 2);
    const struct fbat_new_event none_after_first[] = {expecting("new", FBAT_EXPECT_ANY, 0),
                                                      expecting("new", FBAT_EXPECT_NONE, 0),
                                                      expecting("x", FBAT_EXPECT_EXISTS, 0)};
    assert_batch_fails(fixture, none_after_first, 3, 1, 1);
    const struct fbat_new_event stale[] = {expecting("old", FBAT_EXPECT_REVISION, 2),
                                           expecting("old", FBAT_EXPECT_REVISION, 2)};
    assert_batch_fails(fixture, stale, 2, 1, 3);
    const struct fbat_new_event missing[] = {expecting("new", FBAT_EXPECT_EXISTS, 0)};
    assert_batch_fails(fixture, missing, 1, 0, 0);
    const struct fbat_new_event ahead[] = {expecting("new", FBAT_EXPECT_NONE, 0), expecting("old", FBAT_EXPECT_ANY, 0),
                                           expecting("old", FBAT_EXPECT_REVISION, 9)};
    assert_batch_fails(fixture, ahead, 3, 2, 3);
    assert_int_equal(fault.expected_revision, 9);
    /* And it never affects what follows. */
    struct fbat_new_event event = expecting("old", FBAT_EXPECT_REVISION, 2);
    assert_expectation_holds(fixture, &event, 3);
    event = expecting("new", FBAT_EXPECT_NONE, 0);
    assert_expectation_holds(fixture, &event, 1);
}

/* ---- several threads ---- */

struct contender {
    struct fbat_store *store;
    int wins;
};

static void *contend(void *user) {
    struct contender *contender = user;
    for (uint64_t revision = 0; revision < 200; revision++) {
        struct fbat_new_event event = expecting("one", FBAT_EXPECT_REVISION, revision);
        int status = fbat_append(contender->store, &event, NULL, NULL, NULL);
        contender->wins += status == FBAT_OK;
        if (status != FBAT_OK && status != FBAT_ERR_REVISION)
            return (void *)"unexpected status";
    }
    return NULL;
}

/* Of several that expect the same revision exactly one gets through, each time. */
static void one_of_several_threads_wins_each_revision(void **state) {
    struct fixture *fixture = opened(state);
    pthread_t threads[4];
    struct contender contenders[4];
    int wins = 0;
    for (int at = 0; at < 4; at++) {
        contenders[at] = (struct contender){fixture->store, 0};
        assert_int_equal(pthread_create(&threads[at], NULL, contend, &contenders[at]), 0);
    }
    for (int at = 0; at < 4; at++) {
        void *complaint;
        pthread_join(threads[at], &complaint);
        assert_null(complaint);
        wins += contenders[at].wins;
    }
    assert_int_equal(wins, 200);
    assert_int_equal(count_events(fixture->store), 200);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(none_holds_only_where_there_is_no_stream),
        behaviour(exists_holds_only_where_there_is_a_stream),
        behaviour(revision_holds_only_at_that_revision),
        behaviour(revision_zero_is_the_same_as_none),
        behaviour(any_holds_always),
        behaviour(expectation_is_about_the_stream_in_its_scope),
        behaviour(refused_append_makes_no_stream),
        behaviour(expectation_survives_reopen_and_rotation),
        behaviour(items_see_the_items_before_them),
        behaviour(failed_item_is_named_with_the_revision_it_met),
        behaviour(one_of_several_threads_wins_each_revision),
    };
    return cmocka_run_group_tests_name("api: expected revisions", tests, NULL, NULL);
}
