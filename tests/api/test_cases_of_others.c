/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fourteen things that go wrong in event stores of this kind, one test each. Most have tests of their own elsewhere, in
 * more detail; here stands the whole list.
 *
 * Power cuts happen on a simulated disk (support/machine.h); the rest goes through the public header, on the real one.
 */
#include "fixture.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/machine.h"

/* A child of a process with threads starts one here: unusual for the thread sanitizer, but allowed. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

static struct fbat_fence *begin(struct fbat_store *store) {
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(store, &fence, &fault));
    return fence;
}

/* ---- a machine that loses its power ---- */

static void machine_start(struct machine *machine, uint64_t seed) {
    machine_init(machine, seed);
    assert_ok(machine_open(machine, &fault));
}

static void machine_reboot(struct machine *machine, bool power_cut, uint64_t seed) {
    machine_die(machine, power_cut, seed);
    assert_ok(machine_open(machine, &fault));
}

static int print_damage(void *user, const struct fbat_finding *finding) {
    (void)user;
    if (finding->damage)
        print_error("segment %" PRIu64 ", offset %" PRIu64 ": %s\n", finding->segment_id, finding->offset,
                    finding->message);
    return 0;
}

static void machine_end(struct machine *machine) {
    const struct fbat_check_options options = {.struct_size = sizeof options, .finding = print_damage};
    struct fbat_check_report report;
    assert_ok(machine_close(machine, &fault));
    assert_ok(machine_check(machine, &options, &report, &fault));
    assert_int_equal(report.findings, 0);
    machine_deinit(machine);
}

static int append_at(struct fbat_store *store, const char *key, const struct fbat_append_options *options,
                     struct fbat_receipt *out_receipt) {
    const struct fbat_new_event event = event_keyed(key, "one", key);
    return fbat_append(store, &event, options, out_receipt, &fault);
}

static bool has_key(struct fbat_store *store, const char *key) {
    const struct fbat_id id = id_of(key);
    struct fbat_event event;
    int status = fbat_get(store, &id, &event, &fault);
    if (status == FBAT_ERR_NOT_FOUND)
        return false;
    assert_ok(status);
    assert_slice(key, event.payload);
    fbat_event_release(&event);
    return true;
}

/* ---- 1 ---- */

static void acknowledge_and_lose_power(uint64_t seed) {
    struct machine machine;
    struct fbat_receipt receipt;
    machine_start(&machine, seed);
    assert_ok(append_at(machine.store, "acknowledged", &level_durable, &receipt));
    assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
    machine_reboot(&machine, true, seed);
    assert_true(has_key(machine.store, "acknowledged"));
    /* A failed sync is an answer, not a line in a log: the append fails, and its event is not there. */
    machine_fail_next_sync(&machine);
    assert_status(FBAT_ERR_IO, append_at(machine.store, "failed", &level_durable, NULL));
    assert_int_equal(fault.os_errno, EIO);
    assert_true(machine_has_failed(&machine));
    assert_false(has_key(machine.store, "failed"));
    assert_int_equal(frontier_now(machine.store).durable, 1);
    /* The second one is more than the default policy forgives; from then on nothing is acknowledged at all. */
    machine_fail_syncs(&machine);
    assert_status(FBAT_ERR_IO, append_at(machine.store, "failed again", &level_durable, NULL));
    assert_status(FBAT_ERR_WRITER_DEAD, append_at(machine.store, "refused", &level_written, NULL));
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_sync(machine.store, &fault));
    assert_true(has_key(machine.store, "acknowledged"));
    machine_fail_nothing(&machine);
    machine_reboot(&machine, true, seed + 1);
    assert_true(has_key(machine.store, "acknowledged"));
    assert_false(has_key(machine.store, "refused"));
    assert_ok(append_at(machine.store, "refused", &level_durable, NULL));
    machine_end(&machine);
}

static void acknowledgement_before_the_sync_and_sync_errors_only_logged(void **state) {
    (void)state;
    uint64_t seed = test_seed(1), seeds = test_seed_is_set() ? 1 : test_scaled(100);
    print_message("seeds from %" PRIu64 "; FBAT_TEST_SEED=N tests/api/test_cases_of_others replays one\n", seed);
    for (uint64_t end = seed + seeds; seed < end; seed++)
        acknowledge_and_lose_power(seed);
}

/* ---- 2 ---- */

enum { TORN_ITEMS = 20 };

static void make_torn_batch(struct fbat_new_event batch[TORN_ITEMS], char keys[TORN_ITEMS][16]) {
    for (int item = 0; item < TORN_ITEMS; item++) {
        snprintf(keys[item], sizeof keys[item], "torn %d", item);
        batch[item] = event_keyed(keys[item], item % 2 ? "one" : "two", keys[item]);
    }
}

/* Whole or not at all; how many events that is. */
static uint64_t assert_batch_is_whole(struct fbat_store *store, char keys[TORN_ITEMS][16]) {
    bool there = has_key(store, keys[0]);
    for (int item = 1; item < TORN_ITEMS; item++)
        assert_int_equal(has_key(store, keys[item]), there);
    return there ? TORN_ITEMS : 0;
}

/* The process is stopped at the nth call of the batch's append; false when it was through before. */
static bool interrupt_batch(uint64_t nth, bool power_cut, uint64_t seed) {
    struct machine machine;
    struct fbat_new_event batch[TORN_ITEMS];
    char keys[TORN_ITEMS][16];
    machine_start(&machine, seed);
    make_torn_batch(batch, keys);
    assert_ok(append_at(machine.store, "before", &level_durable, NULL));
    machine_stop_nth(&machine, nth, seed % 2);
    (void)fbat_append_batch(machine.store, batch, TORN_ITEMS, seed % 3 ? &level_durable : &level_written, NULL, NULL);
    bool stopped = machine_is_stopped(&machine);
    machine_stop_nth(&machine, 0, false);
    machine_reboot(&machine, power_cut, seed);
    uint64_t events = 1 + assert_batch_is_whole(machine.store, keys);
    static const char *const later[] = {"later", "later still", "last"};
    for (int pass = 0; pass < 3; pass++) {
        struct fbat_receipt receipt;
        assert_ok(append_at(machine.store, later[pass], &level_durable, &receipt));
        assert_int_equal(receipt.sequence, ++events);
        if (pass == 1)
            machine_reboot(&machine, power_cut, seed + 1);
        else {
            assert_ok(machine_close(&machine, &fault));
            assert_ok(machine_open(&machine, &fault));
        }
        assert_int_equal(count_events(machine.store), events);
        for (int known = 0; known <= pass; known++)
            assert_true(has_key(machine.store, later[known]));
        assert_true(has_key(machine.store, "before"));
    }
    machine_end(&machine);
    return stopped;
}

static void interrupted_batch_that_swallows_later_events(void **state) {
    (void)state;
    for (uint64_t seed = test_seed(1), end = seed + test_scaled(6); seed < end; seed++)
        for (int power_cut = 0; power_cut < 2; power_cut++) {
            uint64_t nth = 1;
            while (interrupt_batch(nth, power_cut, seed))
                nth++;
            assert_in_range(nth, 2, 1000);
        }
}

/* ---- 3 ---- */

struct place {
    uint64_t wanted, offset, bytes;
};

static int note_frame(void *user, const struct fbat_dump_entry *entry) {
    struct place *place = user;
    if (entry->what == FBAT_DUMP_FRAME && entry->first_sequence == place->wanted) {
        place->offset = entry->offset;
        place->bytes = entry->bytes;
    }
    return 0;
}

static int append_durably_and_die(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    (void)in, (void)out;
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    for (int at = 0; at < 20; at++) {
        const struct fbat_new_event event = event_of("one", "scope", "some payload");
        child_check(fbat_append(store, &event, &level_durable, NULL, NULL) == FBAT_OK);
    }
    return 0;
}

/* In the middle of what was durable: the opening says so and names the place; it does not take it for the log's end. */
static void assert_flip_is_found(struct fixture *fixture) {
    struct fbat_store *store = NULL;
    struct fbat_check_report report;
    struct place place = {.wanted = 10};
    char path[TEST_PATH_SIZE];
    size_t size;
    assert_ok(fbat_dump(fixture->dir, 1, note_frame, &place, &fault));
    assert_true(place.bytes > 0);
    segment_path_of(fixture->dir, 1, path);
    uint8_t *bytes = read_file(path, &size);
    for (uint64_t at = 0; at < place.bytes; at += 7) {
        uint8_t flipped = bytes[place.offset + at] ^ 0x10;
        patch_file(path, place.offset + at, &flipped, 1);
        assert_status(FBAT_ERR_DAMAGED, fbat_open(&fixture->config, &store, &fault));
        assert_null(store);
        assert_int_equal(fault.segment_id, 1);
        assert_int_equal(fault.offset, place.offset);
        assert_message_has("segment 1");
        assert_ok(fbat_check(fixture->dir, NULL, &report, &fault));
        assert_true(report.findings > 0);
        patch_file(path, place.offset + at, &bytes[place.offset + at], 1);
    }
    free(bytes);
}

static void flipped_byte_that_silently_ends_the_log(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, append_durably_and_die, fixture);
    assert_int_equal(child_wait(&child), 0);
    assert_flip_is_found(fixture);
    open_store(fixture); /* healed: all of it is there, and now it is closed cleanly */
    assert_int_equal(count_events(fixture->store), 20);
    close_store(fixture);
    assert_flip_is_found(fixture);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 20);
}

/* ---- 4 ---- */

/* Every append that answers FBAT_OK is readable; so the limit is met, and met again. */
static int append_past_a_limit(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    const struct rlimit limit = {(64 << 10) + 123, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    static char payload[1500];
    struct fbat_new_event event = event_of("one", "scope", "");
    uint64_t events = 0, refused = 0, count;
    (void)in;
    event.payload = fbat_bytes(payload, sizeof payload);
    signal(SIGXFSZ, SIG_IGN);
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (int turn = 0; turn < 120; turn++) {
        struct fbat_receipt receipt;
        struct fbat_event read;
        if (turn == 100)
            child_check(setrlimit(RLIMIT_FSIZE, &none) == 0);
        int status = fbat_append(store, &event, turn % 3 ? &level_durable : &level_written, &receipt, &error);
        if (status == FBAT_OK) {
            child_check(receipt.sequence == ++events);
            child_check(fbat_get(store, &receipt.id, &read, &error) == FBAT_OK);
            fbat_event_release(&read);
        } else {
            child_check(status == FBAT_ERR_NO_SPACE && turn < 100);
            refused++;
        }
        child_check(fbat_query_count(store, NULL, &count, &error) == FBAT_OK && count == events);
    }
    child_check(refused > 20 && events >= 20);
    return write(out, &events, sizeof events) == sizeof events ? 0 : 1; /* dies without closing */
}

static void failed_partial_write_after_which_nothing_is_readable(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    uint64_t events;
    child_start(&child, append_past_a_limit, fixture);
    assert_int_equal(read(child.from, &events, sizeof events), sizeof events);
    assert_int_equal(child_wait(&child), 0);
    for (int pass = 0; pass < 2; pass++) {
        open_store(fixture);
        assert_int_equal(count_events(fixture->store), events);
        assert_int_equal(revision_of(fixture->store, "one"), events);
        assert_int_equal(append_text(fixture->store, "one", "scope", "payload").sequence, ++events);
        close_store(fixture);
        assert_int_equal(assert_whole(fixture->dir).events, events);
    }
}

/* ---- 5 ---- */

enum { RIVALS = 4 };

/* Tries once it is told to; holds what it got until all have tried. */
static int rival_for_the_store(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    char won = 0;
    child_check(pipe_receive(in));
    int status = fbat_open(&fixture->config, &store, &error);
    child_check(status == FBAT_OK || (status == FBAT_ERR_LOCKED && error.holder_pid > 0));
    if (status == FBAT_OK) {
        const struct fbat_new_event event = event_of("one", "scope", "won");
        won = 1;
        child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK);
    }
    child_check(write(out, &won, 1) == 1);
    child_check(pipe_receive(in));
    if (won)
        child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

static void two_writers(void **state) {
    struct fixture *fixture = *state;
    struct child rivals[RIVALS];
    for (uint64_t round = 1; round <= 10; round++) {
        int winners = 0;
        for (int at = 0; at < RIVALS; at++)
            child_start(&rivals[at], rival_for_the_store, fixture);
        for (int at = 0; at < RIVALS; at++)
            pipe_send(rivals[at].to);
        for (int at = 0; at < RIVALS; at++) {
            char won;
            assert_int_equal(read(rivals[at].from, &won, 1), 1);
            winners += won;
        }
        assert_int_equal(winners, 1);
        assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &fixture->store, &fault));
        for (int at = 0; at < RIVALS; at++)
            pipe_send(rivals[at].to);
        for (int at = 0; at < RIVALS; at++)
            assert_int_equal(child_wait(&rivals[at]), 0);
        open_store(fixture);
        assert_int_equal(count_events(fixture->store), round);
        struct fbat_store *second;
        assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &second, &fault)); /* in one process, too */
        assert_int_equal(fault.holder_pid, getpid());
        close_store(fixture);
    }
}

/* ---- 6 ---- */

static void several_appends_of_one_stream_inside_a_fence(void **state) {
    struct fixture *fixture = *state;
    struct fbat_receipt receipts[12];
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "before");
    struct fbat_fence *fence = begin(fixture->store);
    for (uint64_t at = 0; at < 12; at++) {
        const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, at + 1);
        assert_ok(fbat_fence_append(fence, &event, NULL, &receipts[at], &fault));
    }
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
    const struct fbat_new_event behind = event_expecting("one", FBAT_EXPECT_REVISION, 13);
    append_event(fixture->store, &behind);
    for (int pass = 0; pass < 2; pass++) {
        for (uint64_t at = 0; at < 12; at++) {
            struct fbat_event event;
            uint8_t hash[32];
            assert_ok(fbat_get(fixture->store, &receipts[at].id, &event, &fault));
            assert_int_equal(event.sequence, at + 2);
            assert_int_equal(event.revision, at + 2);
            hash_event(&event, true, hash);
            assert_memory_equal(event.hash, hash, 32);
            assert_memory_equal(event.hash, receipts[at].hash, 32);
            if (at > 0)
                assert_memory_equal(event.previous_hash, receipts[at - 1].hash, 32);
            fbat_event_release(&event);
        }
        reopen_store(fixture);
    }
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 14);
}

/* ---- 7 ---- */

/* Says that it stands inside the fence, and stays there. */
static int stay_inside_a_fence(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_fence *fence;
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    const struct fbat_new_event batch[] = {event, event_of("two", "scope", "payload"), event};
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    child_check(fbat_append(store, &event, NULL, NULL, NULL) == FBAT_OK);
    child_check(fbat_fence_begin(store, &fence, NULL) == FBAT_OK);
    for (int at = 0; at < 10; at++) {
        child_check(fbat_fence_append(fence, &event, NULL, NULL, NULL) == FBAT_OK);
        child_check(fbat_fence_append_batch(fence, batch, 3, NULL, NULL, NULL) == FBAT_OK);
    }
    pipe_send(out);
    (void)pipe_receive(in);
    return 1; /* it is killed before */
}

static void kill_inside_a_fence(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    for (uint64_t events = 1; events < 10; events += 2) {
        child_start(&child, stay_inside_a_fence, fixture);
        assert_true(pipe_receive(child.from));
        child_kill(&child);
        assert_whole(fixture->dir);
        open_store(fixture);
        assert_int_equal(count_events(fixture->store), events);
        assert_int_equal(revision_of(fixture->store, "two"), 0);
        const struct fbat_new_event next = event_expecting("one", FBAT_EXPECT_REVISION, events);
        assert_int_equal(append_event(fixture->store, &next).sequence, events + 1);
        close_store(fixture);
        assert_int_equal(assert_whole(fixture->dir).events, events + 1);
    }
}

/* ---- 8 ---- */

enum { FIRSTS = 4 };

struct first_author {
    struct actor actor;
    struct fbat_store *store;
    int wins;
    bool failed;
};

static void try_to_be_first(void *user) {
    struct first_author *self = user;
    for (int turn = 0; turn < 100; turn++) {
        char entity[16];
        snprintf(entity, sizeof entity, "new %d", turn);
        const struct fbat_new_event event = event_expecting(entity, FBAT_EXPECT_REVISION, 0);
        int status = fbat_append(self->store, &event, turn % 10 ? NULL : &level_durable, NULL, NULL);
        self->wins += status == FBAT_OK;
        self->failed |= status != FBAT_OK && status != FBAT_ERR_REVISION;
    }
}

static void assert_only_one_is_first(struct fixture *fixture) {
    static struct first_author authors[FIRSTS];
    int wins = 0;
    for (int at = 0; at < FIRSTS; at++) {
        authors[at] = (struct first_author){.store = fixture->store};
        actor_start(&authors[at].actor, try_to_be_first, &authors[at]);
    }
    for (int at = 0; at < FIRSTS; at++) {
        actor_join(&authors[at].actor);
        assert_false(authors[at].failed);
        wins += authors[at].wins;
    }
    assert_int_equal(wins, 100);
}

static void expected_revision_0_that_succeeds_twice(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, 0), batch[] = {event, event};
    assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, batch, 2, NULL, NULL, &fault));
    struct fbat_fence *fence = begin(fixture->store);
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_status(FBAT_ERR_REVISION, fbat_fence_append(fence, &event, NULL, NULL, &fault));
    fbat_fence_cancel(fence);
    struct fbat_ticket *first = submit_event(fixture->store, &event), *second = submit_event(fixture->store, &event);
    assert_int_equal(ticket_done(first).revision, 1);
    assert_ticket(FBAT_ERR_REVISION, second);
    for (int pass = 0; pass < 2; pass++) {
        assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &event, NULL, NULL, &fault));
        assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, &event, 1, NULL, NULL, &fault));
        assert_int_equal(fault.actual_revision, 1);
        reopen_store(fixture);
    }
    assert_only_one_is_first(fixture);
    assert_int_equal(count_events(fixture->store), 101);
}

/* ---- 9 ---- */

static void idempotency_keys_ignored_in_batches(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_new_event batch[] = {event_keyed("a", "one", "a"), event_keyed("b", "two", "b"),
                                           event_keyed("c", "one", "c")};
    struct fbat_receipt first[3], again[3];
    struct fbat_ticket *ticket;
    open_store(fixture);
    assert_ok(fbat_append_batch(fixture->store, batch, 3, NULL, first, &fault));
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(fbat_append_batch(fixture->store, batch, 3, NULL, again, &fault));
        for (int item = 0; item < 3; item++) {
            assert_int_equal(again[item].replayed, 1);
            assert_int_equal(again[item].sequence, first[item].sequence);
            assert_memory_equal(again[item].hash, first[item].hash, 32);
        }
        assert_ok(fbat_submit_batch(fixture->store, batch, 3, NULL, &ticket, &fault));
        assert_int_equal(ticket_done(ticket).replayed, 1);
        struct fbat_fence *fence = begin(fixture->store);
        assert_ok(fbat_fence_append_batch(fence, batch, 3, NULL, again, &fault));
        assert_int_equal(again[2].replayed, 1);
        assert_ok(fbat_fence_commit(fence, NULL, &fault));
        reopen_store(fixture);
    }
    const struct fbat_new_event partly[] = {event_keyed("new", "one", "new"), batch[1]};
    assert_status(FBAT_ERR_IDEMPOTENCY_PARTIAL, fbat_append_batch(fixture->store, partly, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    const struct fbat_new_event twice[] = {partly[0], partly[0]};
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_append_batch(fixture->store, twice, 2, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 3);
}

/* ---- 10 ---- */

static void key_reused_for_another_stream_or_content(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_new_event event = event_keyed("key", "one", "payload");
    struct fbat_new_event others[] = {event, event, event, event, event, event};
    const struct fbat_header header = {fbat_text("name"), fbat_text("value")};
    const struct fbat_slice tag = fbat_text("tag");
    others[0].entity = fbat_text("two");
    others[1].scope = fbat_text("another scope");
    others[2].kind = KIND_B;
    others[3].payload = fbat_text("another payload");
    others[4].headers = &header;
    others[4].header_count = 1;
    others[5].tags = &tag;
    others[5].tag_count = 1;
    open_store(fixture);
    append_event(fixture->store, &event);
    for (int pass = 0; pass < 2; pass++) {
        for (int at = 0; at < 6; at++) {
            struct fbat_receipt receipt, untouched;
            memset(&receipt, 0x5a, sizeof receipt);
            untouched = receipt;
            assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT,
                          fbat_append(fixture->store, &others[at], NULL, &receipt, &fault));
            assert_memory_equal(&receipt, &untouched, sizeof receipt);
            assert_int_equal(fault.sequence, 1);
            assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT,
                          fbat_append_batch(fixture->store, &others[at], 1, NULL, &receipt, &fault));
            assert_ticket(FBAT_ERR_IDEMPOTENCY_CONFLICT, submit_event(fixture->store, &others[at]));
        }
        reopen_store(fixture);
    }
    assert_int_equal(count_events(fixture->store), 1);
}

/* ---- 11 ---- */

static int64_t still_clock_us = 1700000000000000;

static int64_t read_still_clock(void *user) {
    (void)user;
    return still_clock_us;
}

/* The hash of one event in a new store whose clock stands still. */
static void hash_in_new_store(struct fixture *fixture, const struct fbat_new_event *event, uint8_t out_hash[32]) {
    fixture->config.clock = read_still_clock;
    open_store(fixture);
    memcpy(out_hash, append_event(fixture->store, event).hash, 32);
    close_store(fixture);
    assert_true(test_remove_tree(fixture->dir));
}

enum { VARIANTS = 14, VARIANT_OF_TIME = 13 };
static const struct fbat_header header_before = {{"name", 4}, {"value", 5}}, header_after = {{"nam", 3}, {"evalue", 6}};
static const struct fbat_slice tag_before = {"tag", 3}, tag_after = {"tga", 3};

/* Each differs from `event` in one field. */
static void make_variants(const struct fbat_new_event *event, struct fbat_new_event variants[VARIANTS]) {
    for (int at = 0; at < VARIANTS; at++)
        variants[at] = *event;
    variants[0].entity = fbat_text("two");
    variants[1].scope = fbat_text("another scope");
    variants[2].entity = fbat_text("ones"), variants[2].scope = fbat_text("cope");
    variants[3].kind = KIND_B;
    variants[4].payload = fbat_text("Payload");
    variants[5].payload_type = FBAT_PAYLOAD_BYTES;
    variants[6].event_time_us++;
    variants[7].headers = &header_after;
    variants[8].header_count = 0;
    variants[9].tags = &tag_after;
    variants[10].id = id_of("another key");
    variants[11].correlation = id_of("another story");
    variants[12].causation = id_of("another cause");
    /* The last one is appended at another time. */
}

static void hash_that_does_not_cover_entity_kind_times_headers(void **state) {
    struct fixture *fixture = *state;
    struct fbat_new_event event = event_keyed("key", "one", "payload"), variants[VARIANTS];
    uint8_t hash[32], again[32], other[32];
    event.headers = &header_before;
    event.header_count = 1;
    event.tags = &tag_before;
    event.tag_count = 1;
    event.has_event_time = 1;
    event.event_time_us = 12345;
    event.correlation = id_of("story");
    event.causation = id_of("cause");
    hash_in_new_store(fixture, &event, hash);
    hash_in_new_store(fixture, &event, again);
    assert_memory_equal(hash, again, 32); /* of nothing else */
    make_variants(&event, variants);
    for (int at = 0; at < VARIANTS; at++) {
        still_clock_us += at == VARIANT_OF_TIME;
        hash_in_new_store(fixture, &variants[at], other);
        if (memcmp(hash, other, 32) == 0)
            fail_msg("the hash does not cover what variant %d changes", at);
    }
}

/* ---- 12 ---- */

static const char *const scopes[] = {"a", "ab", "b", "a/b"};

/* All in the scope asked for, forward and backward; how many. */
static uint64_t count_in_scope(struct fbat_store *store, const struct fbat_region *region,
                               enum fbat_direction direction) {
    const struct fbat_query_options options = {.struct_size = sizeof options, .direction = direction};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint64_t count = 0, counted;
    int status;
    assert_ok(fbat_query(store, region, &options, &iterator, &fault));
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK) {
        assert_slices(region->scope, event.scope);
        assert_slices(region->scope, event.payload);
        count++;
    }
    assert_status(FBAT_END, status);
    fbat_iterator_close(iterator);
    assert_ok(fbat_query_count(store, region, &counted, &fault));
    assert_int_equal(counted, count);
    return count;
}

static void assert_scope_is_apart(struct fbat_store *store, const char *scope, uint64_t rounds) {
    struct fbat_region region = {.struct_size = sizeof region, .scope = fbat_text(scope)};
    struct fbat_event event;
    assert_int_equal(count_in_scope(store, &region, FBAT_FORWARD), rounds * 2);
    assert_int_equal(count_in_scope(store, &region, FBAT_BACKWARD), rounds * 2);
    region.kind = KIND_A;
    assert_int_equal(count_in_scope(store, &region, FBAT_FORWARD), rounds * 2);
    region.entity = fbat_text("same");
    assert_int_equal(count_in_scope(store, &region, FBAT_BACKWARD), rounds);
    region.entity = fbat_text("sam");
    assert_int_equal(count_in_scope(store, &region, FBAT_FORWARD), 0);
    region.flags = FBAT_REGION_ENTITY_PREFIX;
    assert_int_equal(count_in_scope(store, &region, FBAT_FORWARD), rounds * 2);
    assert_ok(fbat_latest(store, fbat_text("same"), fbat_text(scope), &event, &fault));
    assert_slice(scope, event.scope);
    assert_int_equal(event.revision, rounds);
    fbat_event_release(&event);
}

static void scope_queries_that_return_another_scopes_events(void **state) {
    struct fixture *fixture = *state;
    enum { ROUNDS = 6 };
    fixture->config.segment_max_bytes = 8 << 10;
    open_store(fixture);
    for (int round = 0; round < ROUNDS; round++)
        for (int at = 0; at < 4; at++) {
            const struct fbat_new_event pair[] = {event_of("same", scopes[at], scopes[at]),
                                                  event_of("samba", scopes[at], scopes[at])};
            struct fbat_fence *fence = round % 2 ? begin(fixture->store) : NULL;
            assert_ok(fence ? fbat_fence_append_batch(fence, pair, 2, NULL, NULL, &fault)
                            : fbat_append_batch(fixture->store, pair, 2, NULL, NULL, &fault));
            if (fence)
                assert_ok(fbat_fence_commit(fence, NULL, &fault));
        }
    for (int pass = 0; pass < 2; pass++) {
        for (int at = 0; at < 4; at++)
            assert_scope_is_apart(fixture->store, scopes[at], ROUNDS);
        struct fbat_region region = {.struct_size = sizeof region, .scope = fbat_text("A")};
        assert_int_equal(count_in_scope(fixture->store, &region, FBAT_FORWARD), 0);
        reopen_store(fixture);
    }
}

/* ---- 13 ---- */

enum { SAME = 3 };

static void make_same(struct fbat_new_event events[SAME]) {
    static const char *const keys[SAME] = {"a", "b", "c"};
    for (int at = 0; at < SAME; at++) {
        events[at] = event_keyed(keys[at], at == 1 ? "two" : "one", at == 2 ? "" : keys[at]);
        events[at].headers = &header_before;
        events[at].header_count = (size_t)at % 2;
        events[at].tags = &tag_before;
        events[at].tag_count = (size_t)at / 2;
    }
}

static void append_singly(struct fbat_store *store, const struct fbat_new_event *events) {
    for (int at = 0; at < SAME; at++)
        append_event(store, &events[at]);
}

static void append_durably(struct fbat_store *store, const struct fbat_new_event *events) {
    for (int at = 0; at < SAME; at++)
        assert_ok(fbat_append(store, &events[at], &level_durable, NULL, &fault));
}

static void append_as_batch(struct fbat_store *store, const struct fbat_new_event *events) {
    assert_ok(fbat_append_batch(store, events, SAME, NULL, NULL, &fault));
}

static void append_as_tickets(struct fbat_store *store, const struct fbat_new_event *events) {
    for (int at = 0; at < SAME; at++)
        ticket_done(submit_event(store, &events[at]));
}

static void append_as_fence(struct fbat_store *store, const struct fbat_new_event *events) {
    struct fbat_fence *fence = begin(store);
    for (int at = 0; at < SAME; at++)
        assert_ok(fbat_fence_append(fence, &events[at], NULL, NULL, &fault));
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
}

static void append_as_outbox(struct fbat_store *store, const struct fbat_new_event *events) {
    struct fbat_outbox *outbox;
    assert_ok(fbat_outbox_create(store, NULL, &outbox, &fault));
    for (int at = 0; at < SAME; at++)
        assert_ok(fbat_outbox_stage(outbox, &events[at], &fault));
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    fbat_outbox_destroy(outbox);
}

/* The events as they stand on disk: size of the record, and hash. */
struct encoded {
    size_t count;
    uint64_t bytes[SAME];
    uint8_t hashes[SAME][32];
};

static int note_record(void *user, const struct fbat_dump_entry *entry) {
    struct encoded *encoded = user;
    if (entry->what != FBAT_DUMP_EVENT || encoded->count == SAME)
        return 0;
    encoded->bytes[encoded->count] = entry->bytes;
    memcpy(encoded->hashes[encoded->count++], entry->event->hash, 32);
    return 0;
}

static void batch_and_single_append_that_encode_differently(void **state) {
    static void (*const ways[])(struct fbat_store * store, const struct fbat_new_event *events) = {
        append_singly, append_durably, append_as_batch, append_as_tickets, append_as_fence, append_as_outbox};
    struct fixture *fixture = *state;
    struct fbat_new_event events[SAME];
    struct encoded first = {0};
    make_same(events);
    fixture->config.clock = read_still_clock;
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        struct encoded encoded = {0};
        open_store(fixture);
        ways[way](fixture->store, events);
        close_store(fixture);
        assert_int_equal(assert_whole(fixture->dir).events, SAME);
        assert_ok(fbat_dump(fixture->dir, 0, note_record, &encoded, &fault));
        assert_int_equal(encoded.count, SAME);
        first = way == 0 ? encoded : first;
        assert_memory_equal(&encoded, &first, sizeof first);
        assert_true(test_remove_tree(fixture->dir));
    }
}

/* ---- 14 ---- */

/* Forks an heir that outlives it, and is killed while it has the store. */
static int hold_store_with_heir(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    pid_t heir = fork();
    child_check(heir >= 0);
    if (heir == 0) {
        pipe_send(out);
        (void)pipe_receive(in);
        _exit(0);
    }
    (void)pipe_receive(in);
    return 0;
}

/* In a fork of the process that has the store: nothing it does to its copy of the handle counts. */
static int use_inherited_handle(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store = NULL;
    struct fbat_fence *fence;
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    (void)in, (void)out;
    child_check(fbat_append(fixture->store, &event, NULL, NULL, NULL) == FBAT_ERR_FORKED);
    child_check(fbat_fence_begin(fixture->store, &fence, NULL) == FBAT_ERR_FORKED);
    child_check(fbat_sync(fixture->store, NULL) == FBAT_ERR_FORKED);
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_ERR_LOCKED);
    child_check(fbat_close(fixture->store, NULL) == FBAT_ERR_FORKED);
    return 0;
}

static int find_locked(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)in, (void)out;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_ERR_LOCKED);
    child_check(error.holder_pid == getppid());
    return 0;
}

static void directory_lock_that_outlives_its_process_or_dies_with_a_fork(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, hold_store_with_heir, fixture);
    assert_true(pipe_receive(child.from));
    int keep_heir = dup(child.to);
    assert_true(keep_heir >= 0);
    child_kill(&child);
    open_store(fixture); /* its holder is dead, whoever was forked from it */
    close(keep_heir);
    append_text(fixture->store, "one", "scope", "payload");
    child_start(&child, use_inherited_handle, fixture);
    assert_int_equal(child_wait(&child), 0);
    child_start(&child, find_locked, fixture); /* the fork is gone, and the lock is not */
    assert_int_equal(child_wait(&child), 0);
    append_text(fixture->store, "one", "scope", "payload");
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(acknowledgement_before_the_sync_and_sync_errors_only_logged),
        behaviour(interrupted_batch_that_swallows_later_events),
        behaviour(flipped_byte_that_silently_ends_the_log),
        behaviour(failed_partial_write_after_which_nothing_is_readable),
        behaviour(two_writers),
        behaviour(several_appends_of_one_stream_inside_a_fence),
        behaviour(kill_inside_a_fence),
        behaviour(expected_revision_0_that_succeeds_twice),
        behaviour(idempotency_keys_ignored_in_batches),
        behaviour(key_reused_for_another_stream_or_content),
        behaviour(hash_that_does_not_cover_entity_kind_times_headers),
        behaviour(scope_queries_that_return_another_scopes_events),
        behaviour(batch_and_single_append_that_encode_differently),
        behaviour(directory_lock_that_outlives_its_process_or_dies_with_a_fork),
    };
    return cmocka_run_group_tests_name("api: cases of others", tests, NULL, NULL);
}
