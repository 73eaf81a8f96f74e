/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9 of a process with eight writing threads, each in another mode of appending, at a random moment, again and
 * again on one store. What it acknowledged, written or durable, is there afterwards; batches and fences are there
 * whole or not at all; what was refused or cancelled is not there; nothing is invented; each thread's appends are in
 * its order; the check finds no damage; and the next process goes on.
 *
 * Each append, batch or fence is an operation with a number. The victim's threads note in memory they share with the
 * test, which outlives them, that an operation is issued, and what became of it: first the receipt, then the state
 * that makes it valid. The payload of each event says which operation it belongs to, and how many events that has.
 */
#include "fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    THREADS = 8,
    OPERATIONS_MAX = 1500, /* of a thread, in one life */
    EVENTS_MAX = 12,       /* of an operation */
    BATCH_MAX = 6,
    TICKETS_MAX = 16,
    STREAMS = 5,
    PAYLOAD_BYTES = 64,
    LIVES_OF_A_STORE = 10,
    NOTES_BETWEEN_FENCES = 10, /* while a fence is open all others wait */
};

enum state {
    NOT_ISSUED = 0,
    ISSUED = 1,       /* nobody knows */
    ACKNOWLEDGED = 2, /* it must be there */
    REFUSED = 3,      /* it must not */
};

struct note {
    _Atomic int state; /* enum state */
    uint32_t count;    /* of its events */
    uint64_t sequence; /* of the first; the others follow */
    uint64_t revision; /* of the first */
    uint8_t hash[32];  /* of the first */
};

struct ledger {
    const char *_Atomic complaint; /* a string of the program, which both processes have at the same place */
    char message[512];
    struct note notes[OPERATIONS_MAX];
};

/* Shared by the test and its victims. */
struct shared {
    _Atomic uint64_t acknowledged; /* operations, of all threads */
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
    struct ledger *ledger;
    struct test_random random;
    unsigned number;    /* of the thread, which is its mode */
    uint32_t operation; /* the next one */
    char payloads[EVENTS_MAX][PAYLOAD_BYTES];
    struct fbat_new_event events[EVENTS_MAX];
    struct fbat_receipt receipts[EVENTS_MAX];
    struct fbat_error error;
};

static const char *const entities[STREAMS] = {"a", "b", "c", "d", "e"};

/* ---- the victim: operations ---- */

static bool has_room(const struct author *author) {
    return author->operation < OPERATIONS_MAX;
}

static struct note *note_of(const struct author *author, uint32_t operation) {
    return &author->ledger->notes[operation];
}

/* "life/thread/operation/item of count". Every event has a key: some ways of committing groups ask for one. */
static uint32_t issue(struct author *author, uint32_t count, enum state state) {
    uint32_t operation = author->operation++;
    for (uint32_t item = 0; item < count; item++) {
        const char *entity = entities[test_random_below(&author->random, STREAMS)];
        snprintf(author->payloads[item], PAYLOAD_BYTES, "%" PRIu32 "/%u/%" PRIu32 "/%" PRIu32 " of %" PRIu32,
                 author->victim->life, author->number, operation, item, count);
        author->events[item] = event_of(entity, "scope", author->payloads[item]);
        (void)fbat_id_derive(fbat_text(author->payloads[item]), &author->events[item].id);
    }
    note_of(author, operation)->count = count;
    atomic_store(&note_of(author, operation)->state, state);
    return operation;
}

static void acknowledge(struct author *author, uint32_t operation, const struct fbat_receipt *first) {
    struct note *note = note_of(author, operation);
    note->sequence = first->sequence;
    note->revision = first->revision;
    memcpy(note->hash, first->hash, sizeof note->hash);
    atomic_store(&note->state, ACKNOWLEDGED);
    atomic_fetch_add(&author->victim->shared->acknowledged, 1);
}

static void refuse(struct author *author, uint32_t operation) {
    atomic_store(&note_of(author, operation)->state, REFUSED);
}

static void complain(struct author *author, const char *complaint) {
    memcpy(author->ledger->message, author->error.message, sizeof author->ledger->message);
    atomic_store(&author->ledger->complaint, complaint);
}

static const struct fbat_append_options *choose_level(struct author *author, uint64_t durable_one_in) {
    return test_random_one_in(&author->random, durable_one_in) ? &level_durable : &level_written;
}

/* Tries until no fence is in the way. False after a complaint. */
static bool append_operation(struct author *author, uint32_t count, const struct fbat_append_options *options) {
    uint32_t operation = issue(author, count, ISSUED);
    int status;
    do {
        status = count == 1 ? fbat_append(author->store, author->events, options, author->receipts, &author->error)
                            : fbat_append_batch(author->store, author->events, count, options, author->receipts,
                                                &author->error);
        if (status == FBAT_ERR_FENCE_ACTIVE)
            sched_yield();
    } while (status == FBAT_ERR_FENCE_ACTIVE);
    if (status == FBAT_OK)
        acknowledge(author, operation, author->receipts);
    else
        complain(author, "an append failed");
    return status == FBAT_OK;
}

/* ---- the victim: modes ---- */

static bool append_written(struct author *author) {
    return append_operation(author, 1, &level_written);
}

static bool append_durable(struct author *author) {
    return append_operation(author, 1, &level_durable);
}

static bool append_batches(struct author *author) {
    uint32_t count = (uint32_t)test_random_between(&author->random, 2, BATCH_MAX);
    return append_operation(author, count, choose_level(author, 10));
}

/* Compares and appends in a stream of its own; and tries again, as one would who has not heard the answer. */
static bool append_conditional(struct author *author) {
    uint32_t operation = issue(author, 1, ISSUED);
    struct fbat_receipt again;
    struct fbat_event last;
    author->events[0].entity = fbat_text("mine");
    author->events[0].expect = FBAT_EXPECT_REVISION;
    if (fbat_latest(author->store, fbat_text("mine"), fbat_text("scope"), &last, NULL) == FBAT_OK) {
        author->events[0].expected_revision = last.revision;
        fbat_event_release(&last);
    }
    int status;
    while ((status = fbat_append(author->store, author->events, choose_level(author, 10), author->receipts,
                                 &author->error)) == FBAT_ERR_FENCE_ACTIVE)
        sched_yield();
    if (status != FBAT_OK) {
        complain(author, "a conditional append failed");
        return false;
    }
    acknowledge(author, operation, author->receipts);
    status = fbat_append(author->store, author->events, NULL, &again, &author->error);
    if (status != FBAT_ERR_FENCE_ACTIVE &&
        (status != FBAT_OK || !again.replayed || again.sequence != author->receipts[0].sequence)) {
        complain(author, "a retry was not known");
        return false;
    }
    return true;
}

struct open_ticket {
    struct fbat_ticket *ticket;
    uint32_t operation;
};

static bool collect_ticket(struct author *author, const struct open_ticket *open) {
    int status = fbat_ticket_wait(open->ticket, FBAT_FOREVER, author->receipts, &author->error);
    fbat_ticket_release(open->ticket);
    if (status == FBAT_OK)
        acknowledge(author, open->operation, author->receipts);
    else if (status == FBAT_ERR_FENCE_ACTIVE)
        refuse(author, open->operation);
    else
        complain(author, "a ticket was answered with an error");
    return status == FBAT_OK || status == FBAT_ERR_FENCE_ACTIVE;
}

/* Several tickets at a time, of one event or more each, collected in order. */
static bool submit_some(struct author *author, uint32_t most_events, uint64_t durable_one_in) {
    struct open_ticket tickets[TICKETS_MAX];
    uint64_t wanted = test_random_between(&author->random, 1, TICKETS_MAX);
    uint64_t put = 0;
    bool good = true;
    for (; put < wanted && has_room(author) && good; put++) {
        uint32_t count = (uint32_t)test_random_between(&author->random, 1, most_events);
        tickets[put].operation = issue(author, count, ISSUED);
        good = fbat_submit_batch(author->store, author->events, count, choose_level(author, durable_one_in),
                                 &tickets[put].ticket, &author->error) == FBAT_OK;
        if (!good) {
            complain(author, "a submission failed");
            break;
        }
    }
    for (uint64_t at = 0; at < put; at++)
        good &= collect_ticket(author, &tickets[at]);
    sched_yield();
    return good;
}

static bool submit_written(struct author *author) {
    return submit_some(author, 1, UINT64_MAX);
}

static bool submit_mixed(struct author *author) {
    return submit_some(author, BATCH_MAX, 4);
}

/* Flushed, or submitted. */
static bool fill_outboxes(struct author *author) {
    uint32_t count = (uint32_t)test_random_between(&author->random, 1, BATCH_MAX), operation;
    struct open_ticket open;
    struct fbat_outbox *outbox = NULL;
    bool good = fbat_outbox_create(author->store, NULL, &outbox, &author->error) == FBAT_OK;
    operation = open.operation = issue(author, count, ISSUED);
    for (uint32_t item = 0; item < count && good; item++)
        good = fbat_outbox_stage(outbox, &author->events[item], &author->error) == FBAT_OK;
    int status = FBAT_ERR_FENCE_ACTIVE;
    if (good && test_random_one_in(&author->random, 2)) {
        status = fbat_outbox_submit(outbox, choose_level(author, 10), &open.ticket, &author->error);
        good = status == FBAT_OK && collect_ticket(author, &open);
    } else if (good) {
        while ((status = fbat_outbox_flush(outbox, choose_level(author, 10), author->receipts, &author->error)) ==
               FBAT_ERR_FENCE_ACTIVE)
            sched_yield();
        good = status == FBAT_OK;
        if (good)
            acknowledge(author, operation, author->receipts);
    }
    fbat_outbox_destroy(outbox);
    if (!good)
        complain(author, "an outbox failed");
    return good;
}

/* So that the others get somewhere; by looking. */
static void let_others_append(struct author *author) {
    struct shared *shared = author->victim->shared;
    uint64_t wanted = atomic_load(&shared->acknowledged) + NOTES_BETWEEN_FENCES;
    for (int look = 0; look < 2000 && atomic_load(&shared->acknowledged) < wanted; look++)
        sched_yield();
}

static int append_under_fence(struct author *author, struct fbat_fence *fence, uint32_t count) {
    int status = FBAT_OK;
    for (uint32_t item = 0; item < count && status == FBAT_OK;) {
        uint32_t part = (uint32_t)test_random_between(&author->random, 1, count - item);
        part = part < BATCH_MAX ? part : BATCH_MAX;
        status =
            fbat_fence_append_batch(fence, &author->events[item], part, NULL, &author->receipts[item], &author->error);
        item += part;
        sched_yield(); /* so that a death often finds it open */
    }
    return status;
}

/* One operation in several appends; every fourth is cancelled. */
static bool commit_fences(struct author *author) {
    uint32_t count = (uint32_t)test_random_between(&author->random, 1, EVENTS_MAX);
    bool cancel = test_random_one_in(&author->random, 4);
    struct fbat_fence *fence = NULL;
    let_others_append(author);
    uint32_t operation = issue(author, count, cancel ? REFUSED : ISSUED);
    int status = fbat_fence_begin(author->store, &fence, &author->error);
    if (status == FBAT_OK)
        status = append_under_fence(author, fence, count);
    if (status == FBAT_OK && !cancel) {
        status = fbat_fence_commit(fence, choose_level(author, 3), &author->error);
        fence = NULL;
    }
    fbat_fence_cancel(fence);
    if (status == FBAT_OK && !cancel)
        acknowledge(author, operation, author->receipts);
    if (status != FBAT_OK)
        complain(author, "a fence failed");
    return status == FBAT_OK;
}

static bool (*const modes[THREADS])(struct author *author) = {
    append_written, append_durable, append_batches, append_conditional,
    submit_written, submit_mixed,   fill_outboxes,  commit_fences,
};

static void *write_until_killed(void *user) {
    struct author *author = user;
    while (has_room(author))
        if (!modes[author->number](author))
            return NULL;
    for (;;)
        pause(); /* nothing left to note in */
}

static int live_until_killed(void *user, int in, int out) {
    const struct victim *victim = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct author *authors = calloc(THREADS, sizeof *authors);
    pthread_t threads[THREADS];
    (void)in;
    child_check(authors != NULL);
    int status = fbat_open(&victim->fixture->config, &store, &error);
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    child_check(status == FBAT_OK);
    for (unsigned at = 0; at < THREADS; at++) {
        authors[at].victim = victim;
        authors[at].store = store;
        authors[at].ledger = &victim->shared->ledgers[at];
        authors[at].random = test_random_init(victim->seed + at);
        authors[at].number = at;
        child_check(pthread_create(&threads[at], NULL, write_until_killed, &authors[at]) == 0);
    }
    pipe_send(out);
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    free(authors);
    return 1; /* all of them complained */
}

/* ---- the autopsy ---- */

static void assert_no_complaint(const struct shared *shared) {
    for (int at = 0; at < THREADS; at++)
        if (atomic_load(&shared->ledgers[at].complaint))
            fail_msg("thread %d: %s: %s", at, atomic_load(&shared->ledgers[at].complaint), shared->ledgers[at].message);
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

/* What was acknowledged is there as it was acknowledged. */
static void check_ledger(struct fbat_store *store, const struct ledger *ledger, uint32_t life, unsigned thread) {
    for (uint32_t operation = 0; operation < OPERATIONS_MAX; operation++) {
        const struct note *note = &ledger->notes[operation];
        if (atomic_load(&note->state) != ACKNOWLEDGED)
            continue;
        for (uint32_t item = 0; item < note->count; item++) {
            struct fbat_event event;
            assert_ok(fbat_get_by_sequence(store, note->sequence + item, &event, &fault));
            struct origin origin = origin_of(&event);
            assert_int_equal(origin.life, life);
            assert_int_equal(origin.thread, thread);
            assert_int_equal(origin.operation, operation);
            assert_int_equal(origin.item, item);
            if (item == 0) {
                assert_int_equal(event.revision, note->revision);
                assert_memory_equal(event.hash, note->hash, sizeof note->hash);
            }
            fbat_event_release(&event);
        }
    }
}

/* Where a walk over the new events stands. */
struct progress {
    struct origin current;            /* the operation that the last event belongs to */
    unsigned items_left;              /* of it */
    unsigned next_operation[THREADS]; /* no lower number of this thread may follow */
    const struct shared *shared;
    uint32_t life;
};

static void take_event(struct progress *progress, const struct fbat_event *event) {
    struct origin origin = origin_of(event);
    assert_int_equal(origin.life, progress->life);
    assert_in_range(origin.thread, 0, THREADS - 1);
    assert_in_range(origin.operation, 0, OPERATIONS_MAX - 1);
    if (progress->items_left == 0) {
        const struct note *note = &progress->shared->ledgers[origin.thread].notes[origin.operation];
        assert_int_equal(origin.item, 0);
        assert_true(origin.operation >= progress->next_operation[origin.thread]);
        assert_int_equal(origin.count, note->count);
        int state = atomic_load(&note->state);
        assert_true(state == ISSUED || state == ACKNOWLEDGED);
        progress->next_operation[origin.thread] = origin.operation + 1;
        progress->items_left = origin.count;
    } else {
        assert_int_equal(origin.thread, progress->current.thread);
        assert_int_equal(origin.operation, progress->current.operation);
        assert_int_equal(origin.item, progress->current.item + 1);
    }
    progress->current = origin;
    progress->items_left--;
}

/* From a sequence on: no gap; each operation whole, in its thread's order, none twice, none that never was or was
 * refused. */
static void check_new_events(struct fbat_store *store, const struct shared *shared, uint64_t from, uint32_t life) {
    struct fbat_region region = {.struct_size = sizeof region, .sequence_min = from};
    struct progress progress = {.shared = shared, .life = life};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint64_t sequence = from - 1;
    int status;
    assert_ok(fbat_query(store, &region, NULL, &iterator, &fault));
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK) {
        assert_int_equal(event.sequence, ++sequence);
        take_event(&progress, &event);
    }
    assert_status(FBAT_END, status);
    assert_int_equal(progress.items_left, 0);
    fbat_iterator_close(iterator);
}

static void check_after_kill(struct fbat_store *store, const struct shared *shared, uint32_t life, uint64_t from) {
    for (unsigned at = 0; at < THREADS; at++)
        check_ledger(store, &shared->ledgers[at], life, at);
    check_new_events(store, shared, from, life);
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

/* Until the victim has acknowledged so many operations, by looking. */
static void wait_for_notes(const struct shared *shared, uint64_t wanted) {
    while (atomic_load(&shared->acknowledged) < wanted) {
        for (int at = 0; at < THREADS; at++)
            if (atomic_load(&shared->ledgers[at].complaint))
                return;
        sched_yield();
    }
}

static void vary_config(struct fbat_config *config, struct test_random *random) {
    static const uint32_t groups[] = {0, 1, 8}, capacities[] = {2, 64, 4096}, counts[] = {1, 20, 1000};
    static const uint64_t segment_sizes[] = {10 << 10, 60 << 10, 256 << 20};
    config->batch.max_size = BATCH_MAX;
    config->batch.group_commit_max_batch = groups[test_random_below(random, 3)];
    config->writer.channel_capacity = capacities[test_random_below(random, 3)];
    config->sync.every_n_events = counts[test_random_below(random, 3)];
    config->sync.max_delay_ms = (uint32_t)test_random_below(random, 2);
    config->sync.mode = test_random_one_in(random, 2) ? FBAT_SYNC_ALL : FBAT_SYNC_DATA;
    config->segment_max_bytes = segment_sizes[test_random_below(random, 3)];
}

/* Each life is one round. */
static void run_lives(struct fixture *fixture, uint64_t lives, uint64_t seed) {
    seed = test_seed(seed);
    print_message("seed %" PRIu64 "; FBAT_TEST_SEED=%" PRIu64
                  " tests/api/test_kill_threads replays it, as far as threads do\n",
                  seed, seed);
    struct test_random random = test_random_init(seed);
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    uint64_t events = 0;
    for (uint32_t life = 0; life < lives; life++) {
        struct victim victim = {fixture, shared, test_random_u64(&random), life};
        struct child child;
        memset(shared, 0, sizeof *shared);
        vary_config(&fixture->config, &random);
        child_start(&child, live_until_killed, &victim);
        assert_true(pipe_receive(child.from));
        wait_for_notes(shared, test_random_below(&random, 600));
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

static void eight_threads_in_all_modes_survive_kill_9(void **state) {
    run_lives(*state, test_scaled(10), 9101);
}

static void eight_threads_in_all_modes_survive_kill_9_in_memory(void **state) {
    run_lives(*state, test_scaled(20), 9102);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(eight_threads_in_all_modes_survive_kill_9),
        behaviour_in_memory(eight_threads_in_all_modes_survive_kill_9_in_memory),
    };
    return cmocka_run_group_tests_name("api: kill -9 of many threads", tests, NULL, NULL);
}
