/* SPDX-License-Identifier: Apache-2.0 */
/* Retry is safe: the same key with the same content answers the original receipt, with other content an error. */
#include "fixture.h"

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_new_event keyed(const char *key, const char *entity) {
    struct fbat_new_event event = event_of(entity, "scope", "payload");
    event.id = id_of(key);
    return event;
}

/* All of the receipt but what is about this answer: whether it is a replay and which level it has by now. */
static void assert_same_place(const struct fbat_receipt *first, const struct fbat_receipt *again) {
    assert_int_equal(again->sequence, first->sequence);
    assert_int_equal(again->revision, first->revision);
    assert_int_equal(again->recorded_us, first->recorded_us);
    assert_id_equal(again->id, first->id);
    assert_memory_equal(again->hash, first->hash, sizeof first->hash);
}

static void assert_replayed(struct fixture *fixture, const struct fbat_new_event *event,
                            const struct fbat_receipt *first) {
    uint64_t before = count_events(fixture->store);
    struct fbat_receipt again = append_event(fixture->store, event);
    assert_int_equal(again.replayed, 1);
    assert_same_place(first, &again);
    assert_int_equal(count_events(fixture->store), before);
}

static void assert_conflict(struct fixture *fixture, const struct fbat_new_event *event, uint64_t sequence,
                            const char *difference) {
    uint64_t before = count_events(fixture->store);
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append(fixture->store, event, NULL, NULL, &fault));
    assert_int_equal(fault.sequence, sequence);
    assert_message_has(difference);
    assert_true(fault.item == FBAT_NO_ITEM);
    struct fbat_new_event other = event_of("other", "scope", "payload");
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, event, 1, NULL, NULL, &fault));
    assert_int_equal(fault.sequence, sequence);
    assert_int_equal(fault.item, 0);
    const struct fbat_new_event batch[] = {other, *event};
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, batch, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    assert_int_equal(count_events(fixture->store), before);
}

/* ---- the same content ---- */

static void retry_answers_the_original_receipt(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one");
    struct fbat_receipt first = append_event(fixture->store, &event);
    assert_int_equal(first.replayed, 0);
    assert_id_equal(first.id, event.id);
    assert_replayed(fixture, &event, &first);
    append_text(fixture->store, "one", "scope", "later");
    append_text(fixture->store, "two", "scope", "later");
    assert_replayed(fixture, &event, &first);
}

static void retry_with_every_field_answers_the_original_receipt(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_header headers[] = {{fbat_text("a"), fbat_text("1")}, {fbat_text("a"), fbat_text("")}};
    const struct fbat_slice tags[] = {fbat_text("red"), fbat_text("blue")};
    struct fbat_new_event event = keyed("key", "one");
    event.headers = headers;
    event.header_count = 2;
    event.tags = tags;
    event.tag_count = 2;
    event.has_event_time = 1;
    event.event_time_us = -5;
    event.correlation = id_of("story");
    event.causation = id_of("cause");
    struct fbat_receipt first = append_event(fixture->store, &event);
    assert_replayed(fixture, &event, &first);
    reopen_store(fixture);
    assert_replayed(fixture, &event, &first);
}

static void retry_after_reopen_answers_the_original_receipt(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one");
    struct fbat_receipt first = append_event(fixture->store, &event);
    reopen_store(fixture);
    assert_replayed(fixture, &event, &first);
}

/* The key is found in sealed segments, also those that only their footers answer for. */
static void retry_finds_keys_in_sealed_segments(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    enum { EVENTS = 40 };
    struct fbat_new_event events[EVENTS];
    struct fbat_receipt receipts[EVENTS];
    char keys[EVENTS][16];
    for (int at = 0; at < EVENTS; at++) {
        snprintf(keys[at], sizeof keys[at], "key %d", at);
        events[at] = keyed(keys[at], at % 2 ? "odd" : "even");
        receipts[at] = append_event(fixture->store, &events[at]);
    }
    for (int at = 0; at < EVENTS; at++)
        assert_replayed(fixture, &events[at], &receipts[at]);
    reopen_store(fixture);
    for (int at = 0; at < EVENTS; at++)
        assert_replayed(fixture, &events[at], &receipts[at]);
}

/* What the store chose itself is not compared: the retry cannot know it. */
static void retry_without_event_time_is_the_same_event(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one");
    event.has_event_time = 1;
    event.event_time_us = 12345;
    struct fbat_receipt first = append_event(fixture->store, &event);
    event.has_event_time = 0;
    assert_replayed(fixture, &event, &first);
}

static void retry_without_correlation_and_causation_is_the_same_event(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one"), bare = event;
    event.correlation = id_of("story");
    event.causation = id_of("cause");
    struct fbat_receipt first = append_event(fixture->store, &event);
    assert_replayed(fixture, &bare, &first);
}

/* The key is looked at before the expectation: the retry succeeds though the stream moved on. */
static void retry_of_a_conditional_append_succeeds(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one");
    event.expect = FBAT_EXPECT_NONE;
    struct fbat_receipt first = append_event(fixture->store, &event);
    append_text(fixture->store, "one", "scope", "later");
    assert_replayed(fixture, &event, &first);
    event.expect = FBAT_EXPECT_REVISION;
    event.expected_revision = 77;
    assert_replayed(fixture, &event, &first);
}

static void retry_at_a_higher_level_reaches_it(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0; /* nothing syncs by itself */
    open_store(fixture);
    struct fbat_new_event event = keyed("key", "one");
    struct fbat_receipt first = append_event(fixture->store, &event), again;
    assert_int_equal(first.level, FBAT_LEVEL_WRITTEN);
    struct fbat_frontier frontier;
    fbat_frontier(fixture->store, &frontier);
    assert_int_equal(frontier.durable, 0);
    const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    assert_ok(fbat_append(fixture->store, &event, &durable, &again, &fault));
    assert_int_equal(again.replayed, 1);
    assert_int_equal(again.level, FBAT_LEVEL_DURABLE);
    assert_same_place(&first, &again);
    fbat_frontier(fixture->store, &frontier);
    assert_int_equal(frontier.durable, 1);
}

/* An id that the store made is a key as well. */
static void id_made_by_the_store_is_a_key(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_receipt first = append_event(fixture->store, &event);
    event.id = first.id;
    assert_replayed(fixture, &event, &first);
}

static void generated_id_serves_as_a_key(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_id_generate(fixture->store, &event.id, &fault));
    struct fbat_receipt first = append_event(fixture->store, &event);
    assert_replayed(fixture, &event, &first);
}

/* ---- other content ---- */

static void key_with_other_content_is_a_conflict(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "other", "scope", "payload");
    const struct fbat_header header = {fbat_text("name"), fbat_text("value")},
                             renamed = {fbat_text("nam"), fbat_text("evalue")};
    const struct fbat_slice tags[] = {fbat_text("red"), fbat_text("blue")}, joined = fbat_text("redblue");
    struct fbat_new_event event = keyed("key", "one");
    event.headers = &header;
    event.header_count = 1;
    event.tags = tags;
    event.tag_count = 2;
    event.has_event_time = 1;
    event.event_time_us = 1000;
    event.correlation = id_of("story");
    event.causation = id_of("cause");
    uint64_t sequence = append_event(fixture->store, &event).sequence;
    struct fbat_new_event changed;
#define CHANGED(difference, ...)                                                                                       \
    do {                                                                                                               \
        changed = event;                                                                                               \
        __VA_ARGS__;                                                                                                   \
        assert_conflict(fixture, &changed, sequence, difference);                                                      \
    } while (0)
    CHANGED("stream", changed.entity = fbat_text("on"));
    CHANGED("stream", changed.scope = fbat_text("scopes"));
    CHANGED("stream", changed.entity = fbat_text("scope"), changed.scope = fbat_text("one"));
    CHANGED("kind", changed.kind = KIND_B);
    CHANGED("payload", changed.payload = fbat_text("Payload"));
    CHANGED("payload", changed.payload = fbat_text(""));
    CHANGED("payload", changed.payload_type = FBAT_PAYLOAD_BYTES);
    CHANGED("headers", changed.header_count = 0);
    CHANGED("headers", changed.headers = &renamed);
    CHANGED("tags", changed.tag_count = 1);
    CHANGED("tags", changed.tags = &joined, changed.tag_count = 1);
    CHANGED("event time", changed.event_time_us = 1001);
    CHANGED("correlation", changed.correlation = id_of("another story"));
    CHANGED("causation", changed.causation = id_of("another cause"));
#undef CHANGED
}

static void conflict_is_found_after_reopen_and_rotation(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    append_text(fixture->store, "other", "scope", "payload");
    struct fbat_new_event event = keyed("key", "one");
    append_event(fixture->store, &event);
    for (int at = 0; at < 5; at++)
        append_text(fixture->store, "one", "scope", "payload");
    event.payload = fbat_text("changed");
    assert_conflict(fixture, &event, 2, "payload");
    reopen_store(fixture);
    assert_conflict(fixture, &event, 2, "payload");
}

/* Where the original had no event time, one given later is another event; so with correlation and causation. */
static void retry_that_adds_what_was_not_given_is_a_conflict(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = keyed("key", "one"), changed = event;
    struct fbat_receipt first = append_event(fixture->store, &event);
    changed.has_event_time = 1;
    changed.event_time_us = first.recorded_us + 1;
    assert_conflict(fixture, &changed, 1, "event time");
    changed = event;
    changed.correlation = id_of("story");
    assert_conflict(fixture, &changed, 1, "correlation");
    changed = event;
    changed.causation = id_of("cause");
    assert_conflict(fixture, &changed, 1, "causation");
}

/* The key of one of the library's own events does not serve a caller either. */
static void key_of_a_kind_definition_is_a_conflict(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault));
    struct fbat_event definition;
    assert_ok(fbat_get_by_sequence(fixture->store, 1, &definition, &fault));
    struct fbat_new_event event = event_of("one", "scope", "payload");
    event.id = definition.id;
    fbat_event_release(&definition);
    assert_conflict(fixture, &event, 1, "stream");
}

/* ---- batches ---- */

enum { ITEMS = 5 };

static void make_batch(struct fbat_new_event batch[ITEMS]) {
    static const char *const keys[ITEMS] = {"k0", "k1", "k2", "k3", "k4"};
    for (int item = 0; item < ITEMS; item++)
        batch[item] = keyed(keys[item], item % 2 ? "odd" : "even");
}

static void assert_batch_replayed(struct fixture *fixture, const struct fbat_new_event *batch, size_t count,
                                  const struct fbat_receipt *first) {
    uint64_t before = count_events(fixture->store);
    struct fbat_receipt again[ITEMS];
    assert_ok(fbat_append_batch(fixture->store, batch, count, NULL, again, &fault));
    for (size_t item = 0; item < count; item++) {
        assert_int_equal(again[item].replayed, 1);
        assert_same_place(&first[item], &again[item]);
    }
    assert_int_equal(count_events(fixture->store), before);
}

static void retried_batch_answers_the_original_receipts(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event batch[ITEMS];
    struct fbat_receipt receipts[ITEMS];
    make_batch(batch);
    batch[0].expect = FBAT_EXPECT_NONE;
    assert_ok(fbat_append_batch(fixture->store, batch, ITEMS, NULL, receipts, &fault));
    assert_batch_replayed(fixture, batch, ITEMS, receipts);
    append_text(fixture->store, "even", "scope", "later");
    reopen_store(fixture);
    assert_batch_replayed(fixture, batch, ITEMS, receipts);
    assert_replayed(fixture, &batch[3], &receipts[3]); /* one of them alone is a replay too */
    assert_batch_replayed(fixture, batch + 1, 3, receipts + 1);
}

/* The cause named by its place in the batch is the same cause in the retry. */
static void retried_batch_with_causes_answers_the_original_receipts(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event batch[ITEMS];
    struct fbat_receipt receipts[ITEMS];
    make_batch(batch);
    for (uint32_t item = 1; item < ITEMS; item++)
        batch[item].causation_item = item;
    assert_ok(fbat_append_batch(fixture->store, batch, ITEMS, NULL, receipts, &fault));
    assert_batch_replayed(fixture, batch, ITEMS, receipts);
    batch[2].causation_item = 1;
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT,
                  fbat_append_batch(fixture->store, batch, ITEMS, NULL, receipts, &fault));
    assert_int_equal(fault.item, 2);
    assert_message_has("causation");
}

/* Known items and new ones together are refused, and the first known item is named. */
static void partly_known_batch_is_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event batch[ITEMS];
    make_batch(batch);
    append_event(fixture->store, &batch[2]);
    append_event(fixture->store, &batch[4]);
    uint64_t before = count_events(fixture->store);
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_append_batch(fixture->store, batch, ITEMS, NULL, NULL, &fault));
    assert_int_equal(fault.item, 2);
    assert_int_equal(count_events(fixture->store), before);
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_append_batch(fixture->store, batch + 2, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 0);
    struct fbat_new_event unkeyed[] = {batch[2], event_of("one", "scope", "without a key")};
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_append_batch(fixture->store, unkeyed, 2, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), before);
}

static void key_twice_in_a_batch_is_a_conflict(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event batch[ITEMS];
    make_batch(batch);
    batch[3] = batch[1];
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, batch, ITEMS, NULL, NULL, &fault));
    assert_int_equal(fault.item, 3);
    assert_int_equal(count_events(fixture->store), 0);
    append_event(fixture->store, &batch[1]); /* known to the store by then */
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, batch, ITEMS, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 1);
}

/* A batch that was refused did not use its keys up. */
static void keys_of_a_refused_batch_stay_free(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event batch[ITEMS];
    struct fbat_receipt receipts[ITEMS];
    make_batch(batch);
    batch[4].expect = FBAT_EXPECT_REVISION;
    batch[4].expected_revision = 9;
    assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, batch, ITEMS, NULL, NULL, &fault));
    batch[4].expect = FBAT_EXPECT_ANY;
    assert_ok(fbat_append_batch(fixture->store, batch, ITEMS, NULL, receipts, &fault));
    for (int item = 0; item < ITEMS; item++)
        assert_int_equal(receipts[item].replayed, 0);
}

/* A full batch of the greatest size finds its keys, the last one included. */
static void retried_batch_of_4096_events_is_known_whole(void **state) {
    struct fixture *fixture = *state;
    enum { MANY = FBAT_BATCH_EVENTS_MAX };
    fixture->config.batch.max_size = MANY;
    open_store(fixture);
    struct fbat_new_event *batch = calloc(MANY, sizeof *batch);
    struct fbat_receipt *receipts = calloc(MANY, sizeof *receipts), *again = calloc(MANY, sizeof *again);
    assert_true(batch && receipts && again);
    for (int item = 0; item < MANY; item++) {
        char key[16];
        snprintf(key, sizeof key, "%d", item);
        batch[item] = keyed(key, "one");
    }
    assert_ok(fbat_append_batch(fixture->store, batch, MANY, NULL, receipts, &fault));
    assert_ok(fbat_append_batch(fixture->store, batch, MANY, NULL, again, &fault));
    for (int item = 0; item < MANY; item++) {
        assert_int_equal(again[item].replayed, 1);
        assert_same_place(&receipts[item], &again[item]);
    }
    batch[MANY - 1].id = batch[0].id;
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, batch, MANY, NULL, NULL, &fault));
    assert_int_equal(fault.item, MANY - 1);
    assert_int_equal(count_events(fixture->store), MANY);
    free(again);
    free(receipts);
    free(batch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(retry_answers_the_original_receipt),
        behaviour(retry_with_every_field_answers_the_original_receipt),
        behaviour(retry_after_reopen_answers_the_original_receipt),
        behaviour_in_memory(retry_finds_keys_in_sealed_segments),
        behaviour(retry_without_event_time_is_the_same_event),
        behaviour(retry_without_correlation_and_causation_is_the_same_event),
        behaviour(retry_of_a_conditional_append_succeeds),
        behaviour(retry_at_a_higher_level_reaches_it),
        behaviour(id_made_by_the_store_is_a_key),
        behaviour(generated_id_serves_as_a_key),
        behaviour(key_with_other_content_is_a_conflict),
        behaviour(conflict_is_found_after_reopen_and_rotation),
        behaviour(retry_that_adds_what_was_not_given_is_a_conflict),
        behaviour(key_of_a_kind_definition_is_a_conflict),
        behaviour(retried_batch_answers_the_original_receipts),
        behaviour(retried_batch_with_causes_answers_the_original_receipts),
        behaviour(partly_known_batch_is_refused),
        behaviour(key_twice_in_a_batch_is_a_conflict),
        behaviour(keys_of_a_refused_batch_stay_free),
        behaviour(retried_batch_of_4096_events_is_known_whole),
    };
    return cmocka_run_group_tests_name("api: idempotency keys", tests, NULL, NULL);
}
