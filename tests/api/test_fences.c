/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several appends that are one: nothing of them is seen before the commit, all of it after; and after a cancel or a closing
 * it is as if the fence had never been.
 */
#include "fixture.h"

/* A child of a process with threads starts one here: unusual for the thread sanitizer, but allowed. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_fence *begin(struct fbat_store *store) {
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(store, &fence, &fault));
    return fence;
}

static struct fbat_receipt fence_event(struct fbat_fence *fence, const struct fbat_new_event *event) {
    struct fbat_receipt receipt;
    assert_ok(fbat_fence_append(fence, event, NULL, &receipt, &fault));
    return receipt;
}

static struct fbat_receipt fence_text(struct fbat_fence *fence, const char *entity, const char *payload) {
    const struct fbat_new_event event = event_of(entity, "scope", payload);
    return fence_event(fence, &event);
}

static void commit(struct fbat_fence *fence) {
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
}

/* ---- what readers see ---- */

/* By no way of reading. */
static void assert_invisible(struct fbat_store *store, const struct fbat_receipt *receipt, const char *entity,
                             uint64_t events) {
    struct fbat_event event;
    struct fbat_stats stats;
    assert_int_equal(count_events(store), events);
    assert_int_equal(frontier_now(store).visible, events);
    assert_int_equal(revision_of(store, entity), 0);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get(store, &receipt->id, &event, &fault));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(store, receipt->sequence, &event, &fault));
    struct fbat_iterator *iterator;
    assert_ok(fbat_stream(store, fbat_text(entity), fbat_text("scope"), NULL, &iterator, &fault));
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
    assert_ok(fbat_stats(store, &stats, &fault));
    assert_int_equal(stats.events, events);
    assert_int_equal(stats.last_sequence, events);
}

static void assert_visible(struct fbat_store *store, const struct fbat_receipt *receipt, const char *entity) {
    struct fbat_event event;
    assert_ok(fbat_get(store, &receipt->id, &event, &fault));
    assert_int_equal(event.sequence, receipt->sequence);
    assert_int_equal(event.revision, receipt->revision);
    assert_int_equal(event.recorded_us, receipt->recorded_us);
    assert_memory_equal(event.hash, receipt->hash, 32);
    assert_slice(entity, event.entity);
    fbat_event_release(&event);
}

static void events_are_invisible_before_the_commit_and_all_there_after(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_store *reader;
    append_text(fixture->store, "before", "scope", "payload");
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_receipt first = fence_text(fence, "one", "a"), second = fence_text(fence, "two", "b");
    assert_invisible(fixture->store, &first, "one", 1);
    assert_invisible(fixture->store, &second, "two", 1);
    assert_invisible(reader, &first, "one", 1);
    assert_invisible(reader, &second, "two", 1);
    commit(fence);
    struct fbat_store *const stores[] = {fixture->store, reader};
    for (int at = 0; at < 2; at++) {
        assert_int_equal(count_events(stores[at]), 3);
        assert_visible(stores[at], &first, "one");
        assert_visible(stores[at], &second, "two");
    }
    assert_int_equal(frontier_now(fixture->store).visible, 3);
    assert_ok(fbat_close(reader, &fault));
}

/* An iterator sees what was visible when it started, however long it stays open. */
static void iterator_from_before_the_commit_does_not_see_it(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_iterator *iterator;
    struct fbat_event event;
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterator, &fault));
    commit(fence);
    assert_ok(fbat_iterator_next(iterator, &event, &fault));
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    assert_int_equal(fbat_iterator_snapshot(iterator), 1);
    fbat_iterator_close(iterator);
}

static void receipts_are_final_and_have_no_level(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "payload");
    const struct fbat_new_event batch[] = {event_of("one", "scope", "b"), event_of("two", "scope", "c")};
    struct fbat_receipt receipts[3];
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event single = event_of("one", "scope", "a");
    assert_ok(fbat_fence_append(fence, &single, &level_durable, &receipts[0], &fault)); /* the level does not count */
    assert_ok(fbat_fence_append_batch(fence, batch, 2, NULL, receipts + 1, &fault));
    static const uint64_t revisions[] = {2, 3, 1};
    for (int at = 0; at < 3; at++) {
        assert_int_equal(receipts[at].level, 0);
        assert_int_equal(receipts[at].replayed, 0);
        assert_int_equal(receipts[at].sequence, at + 2);
        assert_int_equal(receipts[at].revision, revisions[at]);
    }
    commit(fence);
    for (int at = 0; at < 3; at++)
        assert_visible(fixture->store, &receipts[at], at == 2 ? "two" : "one");
}

static void receipts_are_optional(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, NULL));
    assert_ok(fbat_fence_append_batch(fence, &event, 1, NULL, NULL, NULL));
    assert_ok(fbat_fence_commit(fence, NULL, NULL));
    assert_int_equal(revision_of(fixture->store, "one"), 2);
}

/* ---- chains ---- */

static void assert_chain(struct fbat_store *store, const char *entity, uint64_t length) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint8_t previous[32] = {0}, hash[32];
    assert_ok(fbat_stream(store, fbat_text(entity), fbat_text("scope"), NULL, &iterator, &fault));
    for (uint64_t revision = 1; revision <= length; revision++) {
        assert_ok(fbat_iterator_next(iterator, &event, &fault));
        assert_int_equal(event.revision, revision);
        assert_memory_equal(event.previous_hash, previous, 32);
        hash_event(&event, true, hash);
        assert_memory_equal(event.hash, hash, 32);
        memcpy(previous, event.hash, 32);
    }
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
}

static void several_appends_to_one_stream_chain(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "before");
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event batch[] = {event_of("one", "scope", "b"), event_of("two", "scope", "b"),
                                           event_of("one", "scope", "b")};
    for (int turn = 0; turn < 3; turn++) {
        fence_text(fence, "one", "a");
        assert_ok(fbat_fence_append_batch(fence, batch, 3, NULL, NULL, &fault));
    }
    commit(fence);
    append_text(fixture->store, "one", "scope", "behind");
    assert_chain(fixture->store, "one", 11);
    assert_chain(fixture->store, "two", 3);
    reopen_store(fixture);
    assert_chain(fixture->store, "one", 11);
    append_text(fixture->store, "two", "scope", "behind");
    assert_chain(fixture->store, "two", 4);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 15);
}

static void expectations_see_what_the_fence_wrote(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "old", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_new_event event = event_expecting("new", FBAT_EXPECT_NONE, 0);
    assert_int_equal(fence_event(fence, &event).revision, 1);
    assert_status(FBAT_ERR_REVISION, fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_int_equal(fault.actual_revision, 1);
    event = event_expecting("new", FBAT_EXPECT_EXISTS, 0);
    assert_int_equal(fence_event(fence, &event).revision, 2);
    event = event_expecting("old", FBAT_EXPECT_REVISION, 1);
    assert_int_equal(fence_event(fence, &event).revision, 2);
    assert_status(FBAT_ERR_REVISION, fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_int_equal(fault.actual_revision, 2);
    commit(fence);
    assert_int_equal(revision_of(fixture->store, "old"), 2);
    assert_int_equal(revision_of(fixture->store, "new"), 2);
}

/* ---- appends that fail under a fence ---- */

static void failed_append_leaves_the_fence_as_it_was(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 10;
    open_store(fixture);
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event keyed = event_keyed("key", "one", "payload");
    assert_int_equal(fence_event(fence, &keyed).sequence, 1);
    struct fbat_new_event bad = event_of("", "scope", "payload");
    struct fbat_receipt receipt, untouched;
    memset(&receipt, 0x5a, sizeof receipt);
    untouched = receipt;
    assert_status(FBAT_ERR_NAME, fbat_fence_append(fence, &bad, NULL, &receipt, &fault));
    bad = event_of("one", "scope", "eleven bytes");
    assert_status(FBAT_ERR_TOO_LARGE, fbat_fence_append(fence, &bad, NULL, &receipt, &fault));
    bad = event_expecting("new", FBAT_EXPECT_EXISTS, 0);
    assert_status(FBAT_ERR_REVISION, fbat_fence_append(fence, &bad, NULL, &receipt, &fault));
    bad = event_keyed("key", "new", "payload");
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_fence_append(fence, &bad, NULL, &receipt, &fault));
    assert_memory_equal(&receipt, &untouched, sizeof receipt);
    const struct fbat_new_event batch[] = {event_of("new", "scope", ""), event_expecting("new", FBAT_EXPECT_NONE, 0)};
    assert_status(FBAT_ERR_REVISION, fbat_fence_append_batch(fence, batch, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    assert_int_equal(fence_text(fence, "one", "good").sequence, 2);
    commit(fence);
    assert_int_equal(count_events(fixture->store), 2);
    assert_int_equal(revision_of(fixture->store, "one"), 2);
    assert_int_equal(revision_of(fixture->store, "new"), 0);
}

/* ---- cancelling ---- */

static void nothing_is_left_after_a_cancel(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_stats before, after;
    append_text(fixture->store, "old", "scope", "payload");
    assert_ok(fbat_stats(fixture->store, &before, &fault));
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_receipt gone = fence_text(fence, "new", "payload");
    fence_text(fence, "old", "payload");
    fbat_fence_cancel(fence);
    assert_invisible(fixture->store, &gone, "new", 1);
    assert_ok(fbat_stats(fixture->store, &after, &fault));
    assert_int_equal(after.streams, before.streams);
    assert_int_equal(after.last_recorded_us, before.last_recorded_us);
    assert_int_equal(frontier_now(fixture->store).accepted, 1);
    const struct fbat_new_event first = event_expecting("new", FBAT_EXPECT_NONE, 0);
    assert_int_equal(append_event(fixture->store, &first).sequence, 2);
    const struct fbat_new_event next = event_expecting("old", FBAT_EXPECT_REVISION, 1);
    assert_int_equal(append_event(fixture->store, &next).revision, 2);
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 3);
    assert_chain(fixture->store, "old", 2);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 3);
}

/* A stream that only a cancelled fence knew does not exist for any expectation, and after reopening neither. */
static void cancelled_stream_does_not_exist(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "new", "payload");
    fbat_fence_cancel(fence);
    for (int pass = 0; pass < 2; pass++) {
        const struct fbat_new_event event = event_expecting("new", FBAT_EXPECT_EXISTS, 0);
        assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &event, NULL, NULL, &fault));
        assert_int_equal(fault.actual_revision, 0);
        reopen_store(fixture);
    }
    struct fbat_stats stats;
    assert_ok(fbat_stats(fixture->store, &stats, &fault));
    assert_int_equal(stats.streams, 0);
    assert_int_equal(stats.events, 0);
}

static uint64_t memory_after_cancelled_fences(struct fbat_store *store, int fences) {
    struct fbat_stats stats;
    char entity[32];
    for (int at = 0; at < fences; at++) {
        struct fbat_fence *fence = begin(store);
        for (int stream = 0; stream < 100; stream++) {
            snprintf(entity, sizeof entity, "stream %d", at * 100 + stream);
            fence_text(fence, entity, "payload");
        }
        fbat_fence_cancel(fence);
    }
    assert_ok(fbat_stats(store, &stats, &fault));
    return stats.memory_index;
}

/* Nor in memory, however many streams only cancelled fences knew. */
static void cancelled_streams_are_forgotten(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "payload");
    uint64_t after_few = memory_after_cancelled_fences(fixture->store, 3);
    assert_int_equal(memory_after_cancelled_fences(fixture->store, 100), after_few);
}

static int64_t same_time(void *user) {
    (void)user;
    return 1700000000000000;
}

/* The hash of the last event of "one", with a cancelled fence in front of it or without. */
static void make_log(struct fixture *fixture, int cancelled_fences, uint8_t out_hash[32]) {
    fixture->config.clock = same_time;
    open_store(fixture);
    const struct fbat_new_event first = event_keyed("first", "one", "payload");
    append_event(fixture->store, &first);
    for (int at = 0; at < cancelled_fences; at++) {
        struct fbat_fence *fence = begin(fixture->store);
        fence_text(fence, "one", "cancelled");
        fence_text(fence, "two", "cancelled");
        fbat_fence_cancel(fence);
    }
    const struct fbat_new_event second = event_keyed("second", "one", "payload");
    memcpy(out_hash, append_event(fixture->store, &second).hash, 32);
    close_store(fixture);
    assert_whole(fixture->dir);
    assert_true(test_remove_tree(fixture->dir));
}

/* To the last bit: the chain goes on as it would have without the fence. */
static void log_after_a_cancel_is_the_log_without_the_fence(void **state) {
    uint8_t without[32], with_one[32], with_three[32];
    make_log(*state, 0, without);
    make_log(*state, 1, with_one);
    make_log(*state, 3, with_three);
    assert_memory_equal(with_one, without, 32);
    assert_memory_equal(with_three, without, 32);
}

static void fence_may_follow_a_cancelled_one(void **state) {
    struct fixture *fixture = opened(state);
    for (int turn = 0; turn < 4; turn++) {
        struct fbat_fence *fence = begin(fixture->store);
        assert_int_equal(fence_text(fence, "one", "payload").revision, turn / 2 + 1);
        if (turn % 2)
            commit(fence);
        else
            fbat_fence_cancel(fence);
    }
    fbat_fence_cancel(NULL);
    assert_int_equal(count_events(fixture->store), 2);
    reopen_store(fixture);
    assert_chain(fixture->store, "one", 2);
}

/* ---- keys ---- */

static void key_is_known_inside_its_fence(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event event = event_keyed("key", "one", "payload"),
                                other = event_keyed("key", "one", "other");
    struct fbat_receipt first = fence_event(fence, &event), again = fence_event(fence, &event);
    assert_int_equal(first.replayed, 0);
    assert_int_equal(again.replayed, 1);
    assert_int_equal(again.sequence, first.sequence);
    assert_int_equal(again.revision, first.revision);
    assert_int_equal(again.recorded_us, first.recorded_us);
    assert_memory_equal(again.hash, first.hash, 32);
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_fence_append(fence, &other, NULL, NULL, &fault));
    assert_int_equal(fault.sequence, first.sequence);
    assert_int_equal(fault.stage, FBAT_STAGE_KEY);
    assert_int_equal(fence_text(fence, "one", "next").revision, 2);
    commit(fence);
    assert_int_equal(count_events(fixture->store), 2);
}

static void keys_of_a_batch_are_known_inside_its_fence(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event batch[] = {event_keyed("a", "one", "payload"), event_keyed("b", "two", "payload"),
                                           event_keyed("c", "one", "payload")};
    struct fbat_receipt first[3], again[3];
    append_event(fixture->store, &batch[0]);
    struct fbat_fence *fence = begin(fixture->store);
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_fence_append_batch(fence, batch, 3, NULL, NULL, &fault));
    assert_int_equal(fault.item, 0);
    assert_ok(fbat_fence_append_batch(fence, batch + 1, 2, NULL, first + 1, &fault));
    /* One is in the log, two are in the fence: all are known. */
    assert_ok(fbat_fence_append_batch(fence, batch, 3, NULL, again, &fault));
    for (int item = 0; item < 3; item++) {
        assert_int_equal(again[item].replayed, 1);
        assert_int_equal(again[item].sequence, item + 1);
    }
    const struct fbat_new_event partly[] = {event_keyed("d", "two", "payload"), batch[2]};
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_fence_append_batch(fence, partly, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    commit(fence);
    assert_int_equal(count_events(fixture->store), 3);
}

static void key_is_free_after_a_cancel(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("key", "one", "payload"),
                                other = event_keyed("key", "two", "other");
    struct fbat_fence *fence = begin(fixture->store);
    fence_event(fence, &event);
    fbat_fence_cancel(fence);
    struct fbat_receipt receipt = append_event(fixture->store, &other);
    assert_int_equal(receipt.replayed, 0);
    assert_int_equal(receipt.sequence, 1);
    fence = begin(fixture->store);
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_fence_append(fence, &event, NULL, NULL, &fault));
    fbat_fence_cancel(fence);
}

static void key_is_known_after_the_commit(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("key", "one", "payload"),
                                other = event_keyed("key", "two", "other");
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_receipt first = fence_event(fence, &event);
    commit(fence);
    for (int pass = 0; pass < 2; pass++) {
        struct fbat_receipt again = append_event(fixture->store, &event);
        assert_int_equal(again.replayed, 1);
        assert_int_equal(again.sequence, first.sequence);
        assert_memory_equal(again.hash, first.hash, 32);
        assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append(fixture->store, &other, NULL, NULL, &fault));
        reopen_store(fixture);
    }
}

/* A retry of what was in the log before the fence. */
static void key_from_before_is_known_inside_the_fence(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("key", "one", "payload");
    struct fbat_receipt first = append_event(fixture->store, &event);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_receipt again = fence_event(fence, &event);
    assert_int_equal(again.replayed, 1);
    assert_int_equal(again.sequence, first.sequence);
    commit(fence);
    assert_int_equal(count_events(fixture->store), 1);
}

/* ---- conditions ---- */

static struct fbat_condition condition_of(const char *entity, enum fbat_expect expect, uint64_t revision) {
    return (struct fbat_condition){
        .entity = fbat_text(entity), .scope = fbat_text("scope"), .expect = expect, .expected_revision = revision};
}

static struct fbat_append_options options_of(const struct fbat_condition *conditions, size_t count) {
    return (struct fbat_append_options){
        .struct_size = sizeof(struct fbat_append_options), .conditions = conditions, .condition_count = count};
}

static void conditions_of_an_append_see_what_the_fence_wrote(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    const struct fbat_condition holds = condition_of("one", FBAT_EXPECT_REVISION, 1);
    const struct fbat_condition fails = condition_of("one", FBAT_EXPECT_NONE, 0);
    struct fbat_append_options options = options_of(&fails, 1);
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    assert_status(FBAT_ERR_REVISION, fbat_fence_append(fence, &event, &options, NULL, &fault));
    assert_int_equal(fault.condition, 1);
    assert_int_equal(fault.actual_revision, 1);
    options = options_of(&holds, 1);
    assert_ok(fbat_fence_append(fence, &event, &options, NULL, &fault));
    commit(fence);
    assert_int_equal(count_events(fixture->store), 2);
}

/* At the commit, too, for the streams as the fence leaves them. */
static void conditions_of_the_commit_hold_for_what_the_fence_leaves(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "old", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    fence_text(fence, "one", "payload");
    const struct fbat_condition conditions[] = {condition_of("one", FBAT_EXPECT_REVISION, 2),
                                                condition_of("old", FBAT_EXPECT_REVISION, 1),
                                                condition_of("none", FBAT_EXPECT_NONE, 0)};
    const struct fbat_append_options options = options_of(conditions, 3);
    assert_ok(fbat_fence_commit(fence, &options, &fault));
    assert_int_equal(count_events(fixture->store), 3);
}

static void failed_condition_of_the_commit_cancels_the_fence(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    const struct fbat_condition conditions[] = {condition_of("one", FBAT_EXPECT_EXISTS, 0),
                                                condition_of("one", FBAT_EXPECT_REVISION, 2)};
    const struct fbat_append_options options = options_of(conditions, 2);
    assert_status(FBAT_ERR_REVISION, fbat_fence_commit(fence, &options, &fault));
    assert_int_equal(fault.condition, 2);
    assert_int_equal(fault.expected_revision, 2);
    assert_int_equal(fault.actual_revision, 1);
    assert_int_equal(fault.stage, FBAT_STAGE_CONDITION);
    assert_int_equal(count_events(fixture->store), 0);
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_NONE, 0);
    assert_int_equal(append_event(fixture->store, &event).sequence, 1); /* the fence is gone */
}

/* ---- committing ---- */

static void empty_fence_commits_as_nothing(void **state) {
    struct fixture *fixture = opened(state);
    commit(begin(fixture->store));
    assert_ok(fbat_fence_commit(begin(fixture->store), &level_durable, &fault));
    assert_int_equal(frontier_now(fixture->store).accepted, 0);
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").sequence, 1);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 1);
}

static void commit_reaches_its_level(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    assert_ok(fbat_fence_commit(fence, &level_written, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 0);
    fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    fence_text(fence, "one", "payload");
    assert_int_equal(frontier_now(fixture->store).durable, 0);
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 3);
}

/* NULL options are the default level, which the configuration may have made durable. */
static void commit_at_the_default_level_follows_the_configuration(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1;
    open_store(fixture);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    commit(fence);
    assert_int_equal(frontier_now(fixture->store).durable, 1);
}

static void commit_with_bad_options_cancels_the_fence(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    const struct fbat_append_options options = {.struct_size = sizeof options - 1};
    assert_status(FBAT_ERR_ARGUMENT, fbat_fence_commit(fence, &options, &fault));
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").sequence, 1);
    assert_int_equal(count_events(fixture->store), 1);
}

/* ---- what is refused meanwhile ---- */

static void other_appends_are_refused_while_a_fence_is_open(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "cause", "scope", "payload");
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *ticket = NULL;
    uint16_t kind;
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_append(fixture->store, &event, NULL, NULL, &fault));
    assert_int_equal(fault.status, FBAT_ERR_FENCE_ACTIVE);
    assert_message_has("fence");
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_append_batch(fixture->store, &event, 1, NULL, NULL, &fault));
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_try_submit(fixture->store, &event, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_try_submit_batch(fixture->store, &event, 1, NULL, &ticket, &fault));
    assert_null(ticket);
    assert_ticket(FBAT_ERR_FENCE_ACTIVE, submit_event(fixture->store, &event));
    assert_ok(fbat_submit_batch(fixture->store, &event, 1, NULL, &ticket, &fault));
    assert_ticket(FBAT_ERR_FENCE_ACTIVE, ticket);
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault));
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_kind_resolve(fixture->store, fbat_text("found"), 1, &kind, &fault));
    fence_text(fence, "one", "payload");
    commit(fence);
    assert_int_equal(append_event(fixture->store, &event).revision, 2);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault));
    assert_int_equal(count_events(fixture->store), 3);
}

static void append_is_refused_at_once_and_not_later(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    for (int turn = 0; turn < 100; turn++)
        assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_append(fixture->store, &event, NULL, NULL, &fault));
    fbat_fence_cancel(fence);
    assert_int_equal(count_events(fixture->store), 0);
    assert_int_equal(append_event(fixture->store, &event).sequence, 1);
}

static void second_fence_is_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store), *second = (struct fbat_fence *)&fault;
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_fence_begin(fixture->store, &second, &fault));
    assert_ptr_equal(second, &fault);
    fence_text(fence, "one", "payload");
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_fence_begin(fixture->store, &second, &fault));
    commit(fence);
    fbat_fence_cancel(begin(fixture->store));
    assert_int_equal(count_events(fixture->store), 1);
}

static int begin_in_a_child(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_fence *fence;
    (void)in, (void)out;
    child_check(fbat_fence_begin(fixture->store, &fence, NULL) == FBAT_ERR_FORKED);
    return 0;
}

static void handle_that_cannot_write_has_no_fence(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_store *reader;
    struct fbat_fence *fence;
    struct child child;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_fence_begin(reader, &fence, &fault));
    assert_ok(fbat_close(reader, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_fence_begin(NULL, &fence, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_fence_begin(fixture->store, NULL, &fault));
    child_start(&child, begin_in_a_child, fixture);
    assert_int_equal(child_wait(&child), 0);
    commit(begin(fixture->store));
}

/* What stands in front of the fence can be made durable while it is open; the fence is not part of it. */
static void sync_while_a_fence_is_open_is_about_what_is_before_it(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "payload");
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 1);
    assert_ok(fbat_wait_durable(fixture->store, 1, PATIENCE_MS, &fault));
    assert_status(FBAT_RETRY, fbat_wait_durable(fixture->store, 2, 10, &fault));
    assert_ok(fbat_fence_commit(fence, &level_written, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 1);
    assert_ok(fbat_wait_durable(fixture->store, 2, PATIENCE_MS, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 2);
}

/* ---- large fences ---- */

enum { LARGE = 200 };

/* Far more than a segment takes: appends of all sizes, in one fence. */
static void fill_large_fence(struct fbat_fence *fence) {
    char payload[600];
    memset(payload, 'p', sizeof payload);
    for (int turn = 0; turn < LARGE; turn++) {
        struct fbat_new_event event = event_of(turn % 3 ? "one" : "two", "scope", "");
        event.payload = fbat_bytes(payload, (size_t)(turn * 3));
        fence_event(fence, &event);
    }
}

static void check_large_fence(struct fixture *fixture, uint64_t segment_max_bytes) {
    struct fbat_store *reader;
    fixture->config.segment_max_bytes = segment_max_bytes;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "before");
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_fence *fence = begin(fixture->store);
    fill_large_fence(fence);
    assert_int_equal(count_events(reader), 1);
    fbat_fence_cancel(fence);
    assert_int_equal(append_text(fixture->store, "one", "scope", "between").sequence, 2);
    assert_int_equal(count_events(reader), 2);
    fence = begin(fixture->store);
    fill_large_fence(fence);
    assert_int_equal(count_events(reader), 2);
    commit(fence);
    assert_int_equal(count_events(reader), LARGE + 2);
    assert_int_equal(append_text(fixture->store, "one", "scope", "behind").sequence, LARGE + 3);
    assert_int_equal(count_events(reader), LARGE + 3);
    assert_ok(fbat_close(reader, &fault));
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), LARGE + 3);
    assert_chain(fixture->store, "two", 67);
    assert_chain(fixture->store, "one", LARGE - 67 + 3);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, LARGE + 3);
    assert_true(test_remove_tree(fixture->dir));
}

static void large_fence_passes_the_limit_of_a_segment(void **state) {
    static const uint64_t limits[] = {1, 5 << 10, 16 << 10, 64 << 10};
    for (int at = 0; at < 4; at++)
        check_large_fence(*state, limits[at]);
}

/* ---- closing ---- */

/* What is left to the fence of a closed store is its end. */
static void closing_cancels_the_open_fence(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "old", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "old", "payload");
    fence_text(fence, "new", "payload");
    close_store(fixture);
    const struct fbat_new_event event = event_of("new", "scope", "payload");
    assert_status(FBAT_ERR_CANCELLED, fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_int_equal(fault.status, FBAT_ERR_CANCELLED);
    assert_status(FBAT_ERR_CANCELLED, fbat_fence_append_batch(fence, &event, 1, NULL, NULL, &fault));
    assert_status(FBAT_ERR_CANCELLED, fbat_fence_commit(fence, NULL, &fault));
    assert_int_equal(assert_whole(fixture->dir).events, 1);
    open_store(fixture);
    struct fbat_open_report report;
    fbat_open_report(fixture->store, &report);
    assert_int_equal(report.clean, 1);
    assert_int_equal(count_events(fixture->store), 1);
    const struct fbat_new_event first = event_expecting("new", FBAT_EXPECT_NONE, 0);
    assert_int_equal(append_event(fixture->store, &first).sequence, 2);
}

static void fence_may_be_cancelled_after_its_store_was_closed(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *used = begin(fixture->store);
    fence_text(used, "one", "payload");
    close_store(fixture);
    fbat_fence_cancel(used);
    open_store(fixture);
    struct fbat_fence *empty = begin(fixture->store);
    close_store(fixture);
    fbat_fence_cancel(empty);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(events_are_invisible_before_the_commit_and_all_there_after),
        behaviour(iterator_from_before_the_commit_does_not_see_it),
        behaviour(receipts_are_final_and_have_no_level),
        behaviour(receipts_are_optional),
        behaviour(several_appends_to_one_stream_chain),
        behaviour(expectations_see_what_the_fence_wrote),
        behaviour(failed_append_leaves_the_fence_as_it_was),
        behaviour(nothing_is_left_after_a_cancel),
        behaviour(cancelled_stream_does_not_exist),
        behaviour(cancelled_streams_are_forgotten),
        behaviour(log_after_a_cancel_is_the_log_without_the_fence),
        behaviour(fence_may_follow_a_cancelled_one),
        behaviour(key_is_known_inside_its_fence),
        behaviour(keys_of_a_batch_are_known_inside_its_fence),
        behaviour(key_is_free_after_a_cancel),
        behaviour(key_is_known_after_the_commit),
        behaviour(key_from_before_is_known_inside_the_fence),
        behaviour(conditions_of_an_append_see_what_the_fence_wrote),
        behaviour(conditions_of_the_commit_hold_for_what_the_fence_leaves),
        behaviour(failed_condition_of_the_commit_cancels_the_fence),
        behaviour(empty_fence_commits_as_nothing),
        behaviour(commit_reaches_its_level),
        behaviour(commit_at_the_default_level_follows_the_configuration),
        behaviour(commit_with_bad_options_cancels_the_fence),
        behaviour(other_appends_are_refused_while_a_fence_is_open),
        behaviour(append_is_refused_at_once_and_not_later),
        behaviour(second_fence_is_refused),
        behaviour(handle_that_cannot_write_has_no_fence),
        behaviour(sync_while_a_fence_is_open_is_about_what_is_before_it),
        behaviour_in_memory(large_fence_passes_the_limit_of_a_segment),
        behaviour(closing_cancels_the_open_fence),
        behaviour(fence_may_be_cancelled_after_its_store_was_closed),
    };
    return cmocka_run_group_tests_name("api: fences", tests, NULL, NULL);
}
