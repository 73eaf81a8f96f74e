/* SPDX-License-Identifier: Apache-2.0 */
/* What an accepted append promises: levels, receipts, ids, times, causes, hashes; and the watermarks. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

static const struct fbat_append_options at_written = {.struct_size = sizeof at_written, .level = FBAT_LEVEL_WRITTEN};
static const struct fbat_append_options at_durable = {.struct_size = sizeof at_durable, .level = FBAT_LEVEL_DURABLE};

/* Only a sync that somebody asks for. */
static struct fixture *opened_without_syncs(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    return fixture;
}

static struct fbat_frontier frontier_of(struct fbat_store *store) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    assert_true(frontier.durable <= frontier.written && frontier.visible <= frontier.written);
    assert_true(frontier.written <= frontier.accepted);
    return frontier;
}

static struct fbat_receipt append_at(struct fbat_store *store, const struct fbat_append_options *options) {
    struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_receipt receipt;
    assert_ok(fbat_append(store, &event, options, &receipt, &fault));
    return receipt;
}

/* ---- levels and watermarks ---- */

static void default_level_is_written(void **state) {
    struct fixture *fixture = opened_without_syncs(state);
    assert_int_equal(append_at(fixture->store, NULL).level, FBAT_LEVEL_WRITTEN);
    const struct fbat_append_options options = {.struct_size = sizeof options, .level = FBAT_LEVEL_DEFAULT};
    assert_int_equal(append_at(fixture->store, &options).level, FBAT_LEVEL_WRITTEN);
    assert_int_equal(frontier_of(fixture->store).durable, 0);
    assert_int_equal(frontier_of(fixture->store).visible, 2);
}

static void default_level_is_durable_when_every_event_is_synced(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1;
    open_store(fixture);
    assert_int_equal(append_at(fixture->store, NULL).level, FBAT_LEVEL_DURABLE);
    assert_int_equal(frontier_of(fixture->store).durable, 1);
}

static void durable_append_makes_all_before_it_durable(void **state) {
    struct fixture *fixture = opened_without_syncs(state);
    append_at(fixture->store, &at_written);
    append_at(fixture->store, &at_written);
    assert_int_equal(frontier_of(fixture->store).durable, 0);
    assert_int_equal(append_at(fixture->store, &at_durable).level, FBAT_LEVEL_DURABLE);
    assert_int_equal(frontier_of(fixture->store).durable, 3);
    assert_int_equal(append_at(fixture->store, &at_written).level, FBAT_LEVEL_WRITTEN);
    assert_int_equal(frontier_of(fixture->store).durable, 3);
}

static void durable_works_in_both_sync_modes(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.mode = FBAT_SYNC_DATA;
    open_store(fixture);
    assert_int_equal(append_at(fixture->store, &at_durable).level, FBAT_LEVEL_DURABLE);
    fixture->config.sync.mode = FBAT_SYNC_ALL;
    reopen_store(fixture);
    assert_int_equal(append_at(fixture->store, &at_durable).level, FBAT_LEVEL_DURABLE);
    assert_int_equal(count_events(fixture->store), 2);
}

static void sync_makes_everything_durable(void **state) {
    struct fixture *fixture = opened_without_syncs(state);
    assert_ok(fbat_sync(fixture->store, &fault)); /* of nothing */
    for (int at = 0; at < 5; at++)
        append_at(fixture->store, &at_written);
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_int_equal(frontier_of(fixture->store).durable, 5);
    assert_ok(fbat_sync(fixture->store, NULL));
}

static void all_that_was_recovered_is_durable(void **state) {
    struct fixture *fixture = opened_without_syncs(state);
    append_at(fixture->store, &at_written);
    reopen_store(fixture);
    struct fbat_frontier frontier = frontier_of(fixture->store);
    assert_int_equal(frontier.durable, 1);
    assert_int_equal(frontier.visible, 1);
    assert_int_equal(frontier.written, 1);
    assert_int_equal(frontier.accepted, 1);
}

/* Waits, without a clock of its own, for what the store's own thread will do. */
static void wait_for_durable(struct fbat_store *store, uint64_t sequence) {
    while (frontier_of(store).durable < sequence)
        sched_yield();
}

static void sync_comes_by_itself_after_so_many_events(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 3;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    append_at(fixture->store, NULL);
    append_at(fixture->store, NULL);
    append_at(fixture->store, NULL);
    wait_for_durable(fixture->store, 3);
    struct fbat_new_event batch[7];
    for (int at = 0; at < 7; at++)
        batch[at] = event_of("one", "scope", "payload");
    assert_ok(fbat_append_batch(fixture->store, batch, 7, NULL, NULL, &fault));
    wait_for_durable(fixture->store, 10);
}

static void sync_comes_by_itself_after_a_while(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 1;
    open_store(fixture);
    append_at(fixture->store, NULL);
    wait_for_durable(fixture->store, 1);
    append_at(fixture->store, NULL);
    wait_for_durable(fixture->store, 2);
}

struct watcher {
    struct fbat_store *store;
    atomic_bool stop;
    const char *complaint;
};

static void *watch_frontier(void *user) {
    struct watcher *watcher = user;
    struct fbat_frontier last = {0}, now;
    while (!atomic_load(&watcher->stop)) {
        fbat_frontier(watcher->store, &now);
        if (now.durable > now.written || now.visible > now.written || now.written > now.accepted)
            watcher->complaint = "the watermarks are out of order";
        if (now.durable < last.durable || now.visible < last.visible || now.written < last.written ||
            now.accepted < last.accepted)
            watcher->complaint = "a watermark went back";
        last = now;
    }
    return NULL;
}

static void watermarks_only_grow(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 7;
    fixture->config.segment_max_bytes = 64 << 10;
    open_store(fixture);
    struct watcher watcher = {.store = fixture->store};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, watch_frontier, &watcher), 0);
    for (int at = 0; at < 2000; at++)
        append_at(fixture->store, at % 50 == 0 ? &at_durable : &at_written);
    atomic_store(&watcher.stop, true);
    pthread_join(thread, NULL);
    assert_null(watcher.complaint);
}

/* ---- receipts ---- */

static void receipt_says_what_the_event_says(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_text(fixture->store, "other", "scope", "payload");
    append_text(fixture->store, "one", "scope", "first");
    struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "second");
    assert_int_equal(receipt.sequence, 3);
    assert_int_equal(receipt.revision, 2);
    assert_int_equal(receipt.replayed, 0);
    struct fbat_event event;
    assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
    assert_int_equal(event.sequence, receipt.sequence);
    assert_int_equal(event.revision, receipt.revision);
    assert_int_equal(event.recorded_us, receipt.recorded_us);
    assert_id_equal(event.id, receipt.id);
    assert_memory_equal(event.hash, receipt.hash, 32);
    fbat_event_release(&event);
}

/* Each event's hash covers its fields and the hash before it in the stream; the receipt's is the head of the chain. */
static void hashes_form_a_chain_per_stream(void **state) {
    struct fixture *fixture = *state;
    static const uint8_t zeros[32];
    open_store(fixture);
    uint8_t heads[2][32] = {{0}};
    for (int at = 0; at < 20; at++) {
        const char *entity = at % 3 ? "a" : "b";
        struct fbat_new_event new_event = event_of(entity, "scope", "payload");
        const struct fbat_slice tag = fbat_text("tag");
        const struct fbat_header header = {fbat_text("name"), fbat_text("value")};
        new_event.tags = &tag;
        new_event.tag_count = at % 2;
        new_event.headers = &header;
        new_event.header_count = at % 4 == 0;
        bool id_made = at % 5 != 0;
        if (!id_made)
            assert_ok(fbat_id_generate(fixture->store, &new_event.id, &fault));
        struct fbat_receipt receipt = append_event(fixture->store, &new_event);
        struct fbat_event event;
        assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
        uint8_t expected[32];
        hash_event(&event, id_made, expected);
        assert_memory_equal(expected, event.hash, 32);
        assert_memory_equal(event.previous_hash, heads[*entity - 'a'], 32);
        if (event.revision == 1)
            assert_memory_equal(event.previous_hash, zeros, 32);
        memcpy(heads[*entity - 'a'], receipt.hash, 32);
        fbat_event_release(&event);
    }
}

/* ---- ids ---- */

/* A clock the test sets. */
static int64_t read_hand_clock(void *user) {
    return *(const int64_t *)user;
}

static int64_t hand_us; /* single-threaded tests only */

static struct fixture *opened_with_hand_clock(void **state, int64_t now_us) {
    struct fixture *fixture = *state;
    hand_us = now_us;
    fixture->config.clock = read_hand_clock;
    fixture->config.clock_user = &hand_us;
    open_store(fixture);
    return fixture;
}

static bool id_above(const struct fbat_id *a, const struct fbat_id *b) {
    return memcmp(a->bytes, b->bytes, 16) > 0;
}

static void made_ids_are_uuids_of_version_7_with_the_time(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, INT64_C(1700000000123456));
    struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
    uint64_t milliseconds = 0;
    for (int at = 0; at < 6; at++)
        milliseconds = milliseconds << 8 | receipt.id.bytes[at];
    assert_int_equal(milliseconds, 1700000000123);
    assert_int_equal(receipt.id.bytes[6] >> 4, 7);
    assert_int_equal(receipt.id.bytes[8] >> 6, 2);
}

/* Appended and generated ones alike, whatever the clock does, and across reopening. */
static void made_ids_strictly_increase_whatever_the_clock_does(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, INT64_C(1700000000000000));
    struct fbat_id last = {{0}};
    static const int64_t steps[] = {0, 1, -1, 0, 1000, -5000000, 0, 999, -INT64_C(1700000000000000), 0};
    for (int at = 0; at < 3000; at++) {
        struct fbat_id id;
        if (at % 3 == 2)
            assert_ok(fbat_id_generate(fixture->store, &id, &fault));
        else
            id = append_text(fixture->store, "one", "scope", "payload").id;
        assert_true(id_above(&id, &last));
        assert_int_equal(id.bytes[6] >> 4, 7);
        last = id;
        hand_us += steps[at % 10];
        hand_us = hand_us < -5 ? INT64_C(1700000000000000) : hand_us;
        if (at % 1000 == 999) {
            last = append_text(fixture->store, "one", "scope", "payload").id;
            reopen_store(fixture);
        }
    }
}

static void made_ids_increase_within_a_batch_with_causes(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, INT64_C(1700000000000000));
    struct fbat_new_event batch[6];
    struct fbat_receipt receipts[6];
    struct fbat_id last = {{0}};
    for (int round = 0; round < 50; round++) {
        for (int item = 0; item < 6; item++)
            batch[item] = event_of("one", "scope", "payload");
        batch[4].causation_item = 2; /* refers to an item behind one that nobody refers to */
        batch[3].causation_item = 3;
        assert_ok(fbat_append_batch(fixture->store, batch, 6, NULL, receipts, &fault));
        for (int item = 0; item < 6; item++) {
            assert_true(id_above(&receipts[item].id, &last));
            last = receipts[item].id;
        }
        if (round % 10 == 0)
            reopen_store(fixture);
    }
}

/* An id that was generated, and is in the log because the caller gave it, is not made a second time after reopening,
 * though the clock stands still. */
static void made_ids_never_meet_ids_generated_before(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, INT64_C(1700000000000000));
    for (int round = 0; round < 10; round++) {
        struct fbat_new_event event = event_of("one", "scope", "payload");
        append_text(fixture->store, "one", "scope", "payload");
        assert_ok(fbat_id_generate(fixture->store, &event.id, &fault));
        append_event(fixture->store, &event);
        reopen_store(fixture);
        struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
        assert_memory_not_equal(receipt.id.bytes, event.id.bytes, 16);
    }
    close_store(fixture);
    assert_whole(fixture->dir);
}

static void ids_given_are_kept(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    memset(event.id.bytes, 0xff, 16); /* any bits are an id */
    struct fbat_receipt receipt = append_event(fixture->store, &event);
    assert_id_equal(receipt.id, event.id);
    struct fbat_receipt next = append_text(fixture->store, "one", "scope", "payload");
    assert_true(id_above(&receipt.id, &next.id)); /* a high one given does not push those made */
}

/* ---- times ---- */

static void recorded_time_is_the_clocks_and_never_goes_back(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, 5000000);
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").recorded_us, 5000000);
    hand_us = 4000000;
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").recorded_us, 5000000);
    hand_us = -1;
    assert_int_equal(append_text(fixture->store, "two", "scope", "payload").recorded_us, 5000000);
    reopen_store(fixture);
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").recorded_us, 5000000);
    hand_us = 5000001;
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").recorded_us, 5000001);
    close_store(fixture);
    assert_whole(fixture->dir);
}

static void batch_has_one_recorded_time(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_new_event batch[100];
    struct fbat_receipt receipts[100];
    for (int item = 0; item < 100; item++)
        batch[item] = event_of("one", "scope", "payload");
    assert_ok(fbat_append_batch(fixture->store, batch, 100, NULL, receipts, &fault));
    for (int item = 1; item < 100; item++)
        assert_int_equal(receipts[item].recorded_us, receipts[0].recorded_us);
}

static void event_time_is_kept_as_given(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, 5000000);
    static const int64_t times[] = {0, -1, 1, INT64_MIN, INT64_MAX, 5000000};
    for (size_t at = 0; at < sizeof times / sizeof times[0]; at++) {
        struct fbat_new_event new_event = event_of("one", "scope", "payload");
        new_event.has_event_time = 1;
        new_event.event_time_us = times[at];
        struct fbat_receipt receipt = append_event(fixture->store, &new_event);
        struct fbat_event event;
        assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
        assert_true(event.event_time_us == times[at]);
        assert_int_equal(event.recorded_us, 5000000);
        fbat_event_release(&event);
    }
}

static void event_time_is_the_recorded_time_by_default(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, 5000000);
    struct fbat_new_event new_event = event_of("one", "scope", "payload");
    new_event.event_time_us = 99; /* without has_event_time it says nothing */
    struct fbat_receipt receipt = append_event(fixture->store, &new_event);
    struct fbat_event event;
    assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
    assert_int_equal(event.event_time_us, 5000000);
    fbat_event_release(&event);
}

/* ---- causes ---- */

static struct fbat_event get_event(struct fbat_store *store, const struct fbat_id *id) {
    struct fbat_event event;
    assert_ok(fbat_get(store, id, &event, &fault));
    return event;
}

static void correlation_is_the_own_id_by_default(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_event event = get_event(fixture->store, &receipt.id);
    assert_id_equal(event.correlation, receipt.id);
    assert_true(fbat_id_is_none(&event.causation));
    fbat_event_release(&event);
}

static void correlation_and_causation_are_kept_as_given(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_new_event new_event = event_of("one", "scope", "payload");
    new_event.correlation = id_of("story");
    new_event.causation = id_of("an event that is not in this store");
    struct fbat_receipt receipt = append_event(fixture->store, &new_event);
    struct fbat_event event = get_event(fixture->store, &receipt.id);
    assert_id_equal(event.correlation, new_event.correlation);
    assert_id_equal(event.causation, new_event.causation);
    fbat_event_release(&event);
}

/* An item's cause may be an item before it, with an id given or made. */
static void causation_item_names_an_item_before(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_new_event batch[5];
    struct fbat_receipt receipts[5];
    for (int item = 0; item < 5; item++)
        batch[item] = event_of(item % 2 ? "odd" : "even", "scope", "payload");
    batch[0].id = id_of("given");
    batch[1].causation_item = 1;
    batch[2].causation_item = 2;
    batch[3].causation = id_of("outside");
    batch[4].causation_item = 3;
    assert_ok(fbat_append_batch(fixture->store, batch, 5, NULL, receipts, &fault));
    const struct fbat_id none = {{0}};
    const struct fbat_id causes[] = {none, batch[0].id, receipts[1].id, id_of("outside"), receipts[2].id};
    for (int item = 0; item < 5; item++) {
        struct fbat_event event = get_event(fixture->store, &receipts[item].id);
        assert_id_equal(event.causation, causes[item]);
        fbat_event_release(&event);
    }
}

/* ---- batch and single ---- */

static void fill_sample(struct fbat_new_event events[4], const struct fbat_header *headers,
                        const struct fbat_slice *tags) {
    static const char *const keys[] = {"k0", "k1", "k2", "k3"};
    for (int at = 0; at < 4; at++) {
        events[at] = event_of(at == 2 ? "two" : "one", "scope", at ? "payload" : "");
        events[at].id = id_of(keys[at]);
        events[at].kind = FBAT_KIND(3, at);
        events[at].payload_type = (uint8_t)at;
        events[at].headers = headers;
        events[at].header_count = (size_t)at % 3;
        events[at].tags = tags;
        events[at].tag_count = (size_t)(3 - at) % 3;
        events[at].has_event_time = at == 3;
        events[at].event_time_us = -7;
    }
    events[1].correlation = id_of("story");
    events[2].causation = id_of("k0");
}

/* The same events one by one and as a batch are the same records: every field and hash, and the bytes they take. */
static void batch_and_single_appends_encode_the_same(void **state) {
    struct fixture *fixture = opened_with_hand_clock(state, 1000000);
    const struct fbat_header headers[] = {{fbat_text("n1"), fbat_text("v")}, {fbat_text("n2"), fbat_text("")}};
    const struct fbat_slice tags[] = {fbat_text("red"), fbat_text("green")};
    struct fbat_new_event events[4];
    struct fbat_receipt singles[4], batch[4];
    fill_sample(events, headers, tags);
    for (int at = 0; at < 4; at++)
        singles[at] = append_event(fixture->store, &events[at]);
    struct fbat_store *other;
    struct fbat_config config = fixture->config;
    char dir[TEST_PATH_SIZE];
    join_path(fixture->root, "batch", dir);
    config.data_dir = dir;
    assert_ok(fbat_open(&config, &other, &fault));
    assert_ok(fbat_append_batch(other, events, 4, NULL, batch, &fault));
    for (int at = 0; at < 4; at++) {
        struct fbat_event single = get_event(fixture->store, &events[at].id), item = get_event(other, &events[at].id);
        assert_memory_equal(&singles[at], &batch[at], sizeof batch[at]);
        assert_memory_equal(single.hash, item.hash, 32);
        uint8_t hash[32];
        hash_event(&item, false, hash);
        assert_memory_equal(hash, item.hash, 32);
        assert_slices(single.headers, item.headers);
        assert_slices(single.tags, item.tags);
        fbat_event_release(&single);
        fbat_event_release(&item);
    }
    assert_ok(fbat_close(other, &fault));
}

/* Nothing of the caller's is needed once the call has returned. */
static void what_an_event_points_to_is_borrowed_during_the_call(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    char entity[] = "one", scope[] = "scope", payload[] = "payload", tag_text[] = "tag", name[] = "name";
    struct fbat_slice tag = fbat_text(tag_text);
    struct fbat_header header = {fbat_text(name), fbat_text(payload)};
    struct fbat_new_event new_event = event_of(entity, scope, payload);
    new_event.tags = &tag;
    new_event.tag_count = 1;
    new_event.headers = &header;
    new_event.header_count = 1;
    struct fbat_receipt receipt = append_event(fixture->store, &new_event);
    memset(entity, 'x', sizeof entity);
    memset(scope, 'x', sizeof scope);
    memset(payload, 'x', sizeof payload);
    memset(tag_text, 'x', sizeof tag_text);
    memset(name, 'x', sizeof name);
    struct fbat_event event = get_event(fixture->store, &receipt.id);
    struct fbat_slice value;
    assert_slice("one", event.entity);
    assert_slice("scope", event.scope);
    assert_slice("payload", event.payload);
    assert_ok(fbat_event_tag(&event, 0, &value));
    assert_slice("tag", value);
    assert_ok(fbat_event_find_header(&event, fbat_text("name"), &value));
    assert_slice("payload", value);
    fbat_event_release(&event);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(default_level_is_written),
        behaviour(default_level_is_durable_when_every_event_is_synced),
        behaviour(durable_append_makes_all_before_it_durable),
        behaviour(durable_works_in_both_sync_modes),
        behaviour(sync_makes_everything_durable),
        behaviour(all_that_was_recovered_is_durable),
        behaviour(sync_comes_by_itself_after_so_many_events),
        behaviour(sync_comes_by_itself_after_a_while),
        behaviour(watermarks_only_grow),
        behaviour(receipt_says_what_the_event_says),
        behaviour(hashes_form_a_chain_per_stream),
        behaviour(made_ids_are_uuids_of_version_7_with_the_time),
        behaviour(made_ids_strictly_increase_whatever_the_clock_does),
        behaviour(made_ids_increase_within_a_batch_with_causes),
        behaviour(made_ids_never_meet_ids_generated_before),
        behaviour(ids_given_are_kept),
        behaviour(recorded_time_is_the_clocks_and_never_goes_back),
        behaviour(batch_has_one_recorded_time),
        behaviour(event_time_is_kept_as_given),
        behaviour(event_time_is_the_recorded_time_by_default),
        behaviour(correlation_is_the_own_id_by_default),
        behaviour(correlation_and_causation_are_kept_as_given),
        behaviour(causation_item_names_an_item_before),
        behaviour(batch_and_single_appends_encode_the_same),
        behaviour(what_an_event_points_to_is_borrowed_during_the_call),
    };
    return cmocka_run_group_tests_name("api: levels and receipts", tests, NULL, NULL);
}
