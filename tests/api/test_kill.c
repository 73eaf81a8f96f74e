/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of a process in the middle of its work, again and again on one store. What it acknowledged, written or
 * durable, alone or in a batch, is there afterwards; a batch is there whole or not at all; nothing is invented.
 *
 * The victim's threads note what was acknowledged in memory they share with the test, which outlives them: first the
 * receipt, then the count that makes it valid.
 */
#include "fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { THREADS = 4, NOTES_MAX = 1500, BATCH_MAX = 6, PAYLOAD_BYTES = 64, STREAMS = 5, LIVES_OF_A_STORE = 10 };

struct note {
    uint64_t sequence, revision;
    uint8_t hash[32];
    uint32_t operation, item;
};

struct ledger {
    _Atomic uint32_t count;
    const char *complaint; /* a string of the program, which both processes have at the same place */
    char message[512];
    struct note notes[NOTES_MAX];
};

/* Shared by the test and its victims. */
struct shared {
    struct ledger ledgers[THREADS];
};

struct victim {
    struct fixture *fixture;
    struct shared *shared;
    uint64_t seed;
    uint32_t life;
};

struct author {
    const struct victim *victim;
    struct fbat_store *store;
    int number;
};

static const char *const entities[STREAMS] = {"a", "b", "c", "d", "e"};

/* "life/thread/operation/item of count", which tells everything about the event. */
static void format_payload(char text[PAYLOAD_BYTES], uint32_t life, int thread, uint32_t operation, uint32_t item,
                           uint32_t count) {
    snprintf(text, PAYLOAD_BYTES, "%" PRIu32 "/%d/%" PRIu32 "/%" PRIu32 " of %" PRIu32, life, thread, operation, item,
             count);
}

/* ---- the victim ---- */

static void acknowledge(struct ledger *ledger, const struct fbat_receipt *receipts, uint32_t operation,
                        uint32_t count) {
    uint32_t at = atomic_load(&ledger->count);
    for (uint32_t item = 0; item < count; item++) {
        struct note *note = &ledger->notes[at + item];
        *note = (struct note){.sequence = receipts[item].sequence,
                              .revision = receipts[item].revision,
                              .operation = operation,
                              .item = item};
        memcpy(note->hash, receipts[item].hash, sizeof note->hash);
    }
    atomic_store(&ledger->count, at + count);
}

static void *write_until_killed(void *user) {
    const struct author *author = user;
    const struct victim *victim = author->victim;
    struct ledger *ledger = &victim->shared->ledgers[author->number];
    struct test_random random = test_random_init(victim->seed + (uint64_t)author->number);
    static const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    for (uint32_t operation = 0; atomic_load(&ledger->count) + BATCH_MAX < NOTES_MAX; operation++) {
        char payloads[BATCH_MAX][PAYLOAD_BYTES];
        struct fbat_new_event events[BATCH_MAX];
        struct fbat_receipt receipts[BATCH_MAX];
        struct fbat_error error;
        uint32_t count = author->number % 2 ? (uint32_t)test_random_between(&random, 1, BATCH_MAX) : 1;
        for (uint32_t item = 0; item < count; item++) {
            format_payload(payloads[item], victim->life, author->number, operation, item, count);
            events[item] = event_of(entities[test_random_below(&random, STREAMS)], "scope", payloads[item]);
        }
        bool is_durable = author->number == 3 || test_random_one_in(&random, 50);
        int status = fbat_append_batch(author->store, events, count, is_durable ? &durable : NULL, receipts, &error);
        if (status < 0) {
            memcpy(ledger->message, error.message, sizeof ledger->message);
            ledger->complaint = "an append failed";
            return NULL;
        }
        acknowledge(ledger, receipts, operation, count);
    }
    for (;;)
        pause(); /* nothing left to note in */
}

static int live_until_killed(void *user, int in, int out) {
    const struct victim *victim = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct author authors[THREADS];
    pthread_t threads[THREADS];
    (void)in;
    int status = fbat_open(&victim->fixture->config, &store, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    child_check(status == FBAT_OK);
    for (int at = 0; at < THREADS; at++) {
        authors[at] = (struct author){victim, store, at};
        child_check(pthread_create(&threads[at], NULL, write_until_killed, &authors[at]) == 0);
    }
    pipe_send(out);
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    return 1; /* all of them complained */
}

/* ---- the autopsy ---- */

static void assert_no_complaint(const struct shared *shared) {
    for (int at = 0; at < THREADS; at++)
        if (shared->ledgers[at].complaint)
            fail_msg("%s: %s", shared->ledgers[at].complaint, shared->ledgers[at].message);
}

/* What was acknowledged is there as it was acknowledged. */
static void check_ledger(struct fbat_store *store, const struct ledger *ledger, uint32_t life, int thread) {
    uint32_t count = atomic_load(&ledger->count);
    for (uint32_t at = 0; at < count; at++) {
        const struct note *note = &ledger->notes[at];
        char prefix[PAYLOAD_BYTES];
        struct fbat_event event;
        assert_ok(fbat_get_by_sequence(store, note->sequence, &event, &fault));
        assert_int_equal(event.revision, note->revision);
        assert_memory_equal(event.hash, note->hash, 32);
        int length = snprintf(prefix, sizeof prefix, "%" PRIu32 "/%d/%" PRIu32 "/%" PRIu32 " ", life, thread,
                              note->operation, note->item);
        assert_true(event.payload.size > (size_t)length);
        assert_memory_equal(event.payload.data, prefix, length);
        fbat_event_release(&event);
    }
}

struct origin {
    unsigned life, thread, operation, item, count;
};

static struct origin origin_of(const struct fbat_event *event) {
    char text[PAYLOAD_BYTES] = "";
    struct origin origin;
    assert_true(event->payload.size < sizeof text);
    memcpy(text, event->payload.data, event->payload.size);
    assert_int_equal(
        sscanf(text, "%u/%u/%u/%u of %u", &origin.life, &origin.thread, &origin.operation, &origin.item, &origin.count),
        5);
    return origin;
}

/* From a sequence on: no gap; each batch whole; each thread's operations in order, none twice, none that never was, and
 * none left out. */
static void check_new_events(struct fbat_store *store, uint64_t from, uint32_t life) {
    struct fbat_region region = {.struct_size = sizeof region, .sequence_min = from};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    unsigned next_operation[THREADS] = {0}, next_item = 0, expected_count = 0;
    uint64_t sequence = from - 1;
    int status;
    assert_ok(fbat_query(store, &region, NULL, &iterator, &fault));
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK) {
        struct origin origin = origin_of(&event);
        assert_int_equal(event.sequence, ++sequence);
        assert_int_equal(origin.life, life);
        assert_true(origin.thread < THREADS);
        assert_int_equal(origin.item, next_item);
        assert_true(next_item == 0 || origin.count == expected_count);
        assert_int_equal(origin.operation, next_operation[origin.thread]);
        expected_count = origin.count;
        next_item = (next_item + 1) % origin.count;
        next_operation[origin.thread] += next_item == 0;
    }
    assert_status(FBAT_END, status);
    assert_int_equal(next_item, 0);
    fbat_iterator_close(iterator);
}

/* Waits until the victim has acknowledged so many events, by looking. */
static void wait_for_notes(const struct shared *shared, uint64_t notes) {
    uint64_t seen = 0;
    while (seen < notes) {
        seen = 0;
        for (int at = 0; at < THREADS; at++) {
            seen += atomic_load(&shared->ledgers[at].count);
            if (shared->ledgers[at].complaint)
                return;
        }
        sched_yield();
    }
}

static void check_after_kill(struct fbat_store *store, const struct shared *shared, uint32_t life, uint64_t from) {
    for (int at = 0; at < THREADS; at++)
        check_ledger(store, &shared->ledgers[at], life, at);
    check_new_events(store, from, life);
}

/* Through a reader, and now and then through a writer as well: else the next victim finds what this one left. The
 * number of events. */
static uint64_t open_after_kill(struct fixture *fixture, const struct shared *shared, uint32_t life, uint64_t from) {
    struct fbat_store *reader;
    struct fbat_open_report report;
    assert_whole(fixture->dir); /* a death is no damage */
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    check_after_kill(reader, shared, life, from);
    uint64_t events = count_events(reader);
    if (life % 3 != 0) {
        open_store(fixture);
        fbat_open_report(fixture->store, &report);
        assert_int_equal(report.clean, 0);
        assert_int_equal(report.events_total, events); /* both recover alike */
        check_after_kill(fixture->store, shared, life, from);
        assert_int_equal(count_events(reader), events);
        close_store(fixture);
        assert_whole(fixture->dir);
    }
    assert_ok(fbat_close(reader, &fault));
    return events;
}

static void run_lives(struct fixture *fixture, uint64_t lives, uint64_t seed) {
    seed = test_seed(seed);
    print_message("seed %" PRIu64 "; FBAT_TEST_SEED=%" PRIu64 " tests/api/test_kill replays it, as far as threads do\n",
                  seed, seed);
    struct test_random random = test_random_init(seed);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    uint64_t events = 0;
    for (uint32_t life = 0; life < lives; life++) {
        struct victim victim = {fixture, shared, test_random_u64(&random), life};
        struct child child;
        memset(shared, 0, sizeof *shared);
        child_start(&child, live_until_killed, &victim);
        assert_true(pipe_receive(child.from));
        wait_for_notes(shared, test_random_below(&random, 400));
        child_kill(&child);
        assert_no_complaint(shared);
        events = open_after_kill(fixture, shared, life, events + 1);
        if (life % LIVES_OF_A_STORE == LIVES_OF_A_STORE - 1) {
            assert_true(test_remove_tree(fixture->dir));
            events = 0;
        }
    }
    munmap(shared, sizeof *shared);
}

static void what_was_acknowledged_survives_kill_9(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = BATCH_MAX;
    run_lives(fixture, test_scaled(20), 9001);
}

static void what_was_acknowledged_survives_kill_9_in_small_segments(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = BATCH_MAX;
    fixture->config.segment_max_bytes = 10 << 10;
    run_lives(fixture, test_scaled(20), 9002);
}

/* ---- opening and closing ---- */

/* Opens, appends, says so, closes, over and over. */
static int open_and_close_until_killed(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)in;
    for (;;) {
        struct fbat_new_event event = event_of("one", "scope", "payload");
        int status = fbat_open(&fixture->config, &store, &error);
        if (status == FBAT_OK)
            status = fbat_append(store, &event, NULL, NULL, &error);
        pipe_send(out);
        if (status == FBAT_OK)
            status = fbat_close(store, &error);
        if (status < 0)
            fprintf(stderr, "%s\n", error.message);
        child_check(status == FBAT_OK);
    }
}

static void death_in_opening_or_closing_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    struct test_random random = test_random_init(test_seed(9003));
    uint64_t lives = test_scaled(60), events = 0;
    fixture->config.segment_max_bytes = 6 << 10;
    for (uint64_t life = 0; life < lives; life++) {
        struct child child;
        child_start(&child, open_and_close_until_killed, fixture);
        uint64_t acknowledged = 0, wanted = test_random_below(&random, 6);
        while (acknowledged < wanted && pipe_receive(child.from))
            acknowledged++;
        for (uint64_t turn = test_random_below(&random, 300); turn > 0; turn--)
            sched_yield();
        assert_int_equal(kill(child.pid, SIGKILL), 0);
        while (pipe_receive(child.from))
            acknowledged++;
        assert_int_equal(child_wait(&child), 128 + SIGKILL);
        uint64_t least = events + acknowledged;
        if (least == 0)
            continue; /* there may be no store yet */
        assert_whole(fixture->dir);
        open_store(fixture);
        events = count_events(fixture->store);
        assert_in_range(events, least, least + 1);
        close_store(fixture);
    }
    assert_true(events > lives);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(what_was_acknowledged_survives_kill_9),
        behaviour_in_memory(what_was_acknowledged_survives_kill_9_in_small_segments),
        behaviour_in_memory(death_in_opening_or_closing_loses_nothing),
    };
    return cmocka_run_group_tests_name("api: kill -9", tests, NULL, NULL);
}
