/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eight threads append to overlapping streams while others read, follow, check and define kinds, over many rotations.
 *
 * Each event's payload names its author: thread, operation, item. The last item of a frame has KIND_A, the others
 * KIND_B, so that a reader knows from the last event it sees whether it sees half a batch.
 *
 * Thread rule: threads report by `complaint`, the first one of each; only the main thread asserts.
 */
#include "fixture.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum { WRITERS = 8, READERS = 4, STREAMS = 6, ITEMS_MAX = 5, PAYLOAD_BYTES = 48 };

static const char *const entities[STREAMS] = {"alpha", "alpha", "beta", "gamma", "delta", "delta"};
static const char *const scopes[STREAMS] = {"x", "y", "x", "x", "y", "z"};

struct run {
    struct fixture *fixture;
    uint64_t operations; /* of each writer */
    uint32_t durable_one_in;
    atomic_int writers_left;
};

/* Where an event must be found again. */
struct trace {
    struct fbat_receipt receipt;
    int stream;
    char payload[PAYLOAD_BYTES];
};

struct worker {
    pthread_t thread;
    struct run *run;
    int number;
    struct test_random random;
    struct trace *traces;
    size_t trace_count;
    const char *complaint;
    int complaint_line;
    struct fbat_error error;
};

#define COMPLAIN_UNLESS(worker, condition)                                                                             \
    do {                                                                                                               \
        if (!(condition) && !(worker)->complaint) {                                                                    \
            (worker)->complaint = #condition;                                                                          \
            (worker)->complaint_line = __LINE__;                                                                       \
        }                                                                                                              \
    } while (0)

static bool goes_on(const struct worker *worker) {
    return !worker->complaint && atomic_load(&worker->run->writers_left) > 0;
}

/* ---- writers ---- */

static struct fbat_new_event make_event(struct worker *worker, uint64_t operation, size_t item, size_t count) {
    struct trace *trace = &worker->traces[worker->trace_count + item];
    trace->stream = (int)test_random_below(&worker->random, STREAMS);
    snprintf(trace->payload, sizeof trace->payload, "%d/%" PRIu64 "/%zu", worker->number, operation, item);
    struct fbat_new_event event = event_of(entities[trace->stream], scopes[trace->stream], trace->payload);
    event.kind = item + 1 == count ? KIND_A : KIND_B;
    return event;
}

static void keep_receipts(struct worker *worker, const struct fbat_receipt *receipts, size_t count) {
    for (size_t item = 0; item < count; item++) {
        COMPLAIN_UNLESS(worker, receipts[item].sequence == receipts[0].sequence + item);
        worker->traces[worker->trace_count++].receipt = receipts[item];
    }
}

static const struct fbat_append_options *choose_level(struct worker *worker) {
    static const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    return test_random_one_in(&worker->random, worker->run->durable_one_in) ? &durable : NULL;
}

static void append_frame(struct worker *worker, uint64_t operation, size_t count) {
    struct fbat_new_event events[ITEMS_MAX];
    struct fbat_receipt receipts[ITEMS_MAX];
    for (size_t item = 0; item < count; item++)
        events[item] = make_event(worker, operation, item, count);
    struct fbat_store *store = worker->run->fixture->store;
    int status = count == 1 ? fbat_append(store, events, choose_level(worker), receipts, &worker->error)
                            : fbat_append_batch(store, events, count, choose_level(worker), receipts, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK);
    if (status == FBAT_OK)
        keep_receipts(worker, receipts, count);
}

/* Reads where the stream is, appends if it is still there, and tries again with what the error says. */
static void append_conditionally(struct worker *worker, uint64_t operation) {
    struct fbat_store *store = worker->run->fixture->store;
    struct fbat_new_event event = make_event(worker, operation, 0, 1);
    struct fbat_receipt receipt;
    struct fbat_event latest;
    event.expect = FBAT_EXPECT_REVISION;
    int status = fbat_latest(store, event.entity, event.scope, &latest, &worker->error);
    event.expected_revision = status == FBAT_OK ? latest.revision : 0;
    if (status == FBAT_OK)
        fbat_event_release(&latest);
    while ((status = fbat_append(store, &event, NULL, &receipt, &worker->error)) == FBAT_ERR_REVISION) {
        COMPLAIN_UNLESS(worker, worker->error.actual_revision > event.expected_revision);
        event.expected_revision = worker->error.actual_revision;
    }
    COMPLAIN_UNLESS(worker, status == FBAT_OK && receipt.revision == event.expected_revision + 1);
    if (status == FBAT_OK)
        keep_receipts(worker, &receipt, 1);
}

static void append_twice_with_a_key(struct worker *worker, uint64_t operation) {
    struct fbat_store *store = worker->run->fixture->store;
    struct fbat_new_event event = make_event(worker, operation, 0, 1);
    struct fbat_receipt receipt, again;
    int status = fbat_id_generate(store, &event.id, &worker->error);
    if (status == FBAT_OK)
        status = fbat_append(store, &event, NULL, &receipt, &worker->error);
    if (status == FBAT_OK)
        status = fbat_append(store, &event, NULL, &again, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK);
    if (status < 0)
        return;
    COMPLAIN_UNLESS(worker, again.replayed == 1 && again.sequence == receipt.sequence);
    keep_receipts(worker, &receipt, 1);
}

static void *write_events(void *user) {
    struct worker *worker = user;
    for (uint64_t operation = 0; operation < worker->run->operations && !worker->complaint; operation++) {
        uint64_t choice = test_random_below(&worker->random, 10);
        if (choice < 5)
            append_frame(worker, operation, 1);
        else if (choice < 7)
            append_frame(worker, operation, test_random_between(&worker->random, 2, ITEMS_MAX));
        else if (choice < 9)
            append_conditionally(worker, operation);
        else
            append_twice_with_a_key(worker, operation);
    }
    atomic_fetch_sub(&worker->run->writers_left, 1);
    return NULL;
}

/* ---- readers ---- */

/* A stream is gapless from revision 1, each event on the hash of the one before. */
static void read_stream(struct worker *worker, struct fbat_store *store) {
    int stream = (int)test_random_below(&worker->random, STREAMS);
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint8_t hash[32] = {0};
    uint64_t revision = 0, sequence = 0;
    int status =
        fbat_stream(store, fbat_text(entities[stream]), fbat_text(scopes[stream]), NULL, &iterator, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK);
    if (status < 0)
        return;
    while ((status = fbat_iterator_next(iterator, &event, &worker->error)) == FBAT_OK) {
        COMPLAIN_UNLESS(worker, event.revision == ++revision);
        COMPLAIN_UNLESS(worker, event.sequence > sequence);
        COMPLAIN_UNLESS(worker, memcmp(event.previous_hash, hash, sizeof hash) == 0);
        memcpy(hash, event.hash, sizeof hash);
        sequence = event.sequence;
    }
    COMPLAIN_UNLESS(worker, status == FBAT_END);
    fbat_iterator_close(iterator);
}

/* The newest events backward: gapless, and the very last one ends a frame. */
static void read_tail(struct worker *worker, struct fbat_store *store) {
    const struct fbat_query_options options = {.struct_size = sizeof options, .direction = FBAT_BACKWARD, .limit = 50};
    const struct fbat_region region = {.struct_size = sizeof region, .flags = FBAT_REGION_SYSTEM};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    int status = fbat_query(store, &region, &options, &iterator, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK);
    if (status < 0)
        return;
    uint64_t snapshot = fbat_iterator_snapshot(iterator), expected = snapshot;
    while ((status = fbat_iterator_next(iterator, &event, &worker->error)) == FBAT_OK) {
        COMPLAIN_UNLESS(worker, event.sequence == expected);
        COMPLAIN_UNLESS(worker, expected != snapshot || event.kind != KIND_B);
        expected--;
    }
    COMPLAIN_UNLESS(worker, status == FBAT_END);
    fbat_iterator_close(iterator);
}

/* Any event that is visible can be had by sequence, and by its id again. */
static void read_any(struct worker *worker, struct fbat_store *store) {
    struct fbat_frontier frontier;
    struct fbat_event by_sequence, by_id;
    fbat_frontier(store, &frontier);
    if (frontier.visible == 0)
        return;
    uint64_t sequence = frontier.visible; /* the very newest, half of the time */
    if (test_random_one_in(&worker->random, 2))
        sequence = test_random_between(&worker->random, 1, frontier.visible);
    int status = fbat_get_by_sequence(store, sequence, &by_sequence, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK);
    if (status < 0)
        return;
    status = fbat_get(store, &by_sequence.id, &by_id, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK && by_id.sequence == sequence);
    if (status == FBAT_OK)
        fbat_event_release(&by_id);
    fbat_event_release(&by_sequence);
}

/* The latest of a stream never goes back. */
static void read_latest(struct worker *worker, struct fbat_store *store, uint64_t *seen) {
    int stream = (int)test_random_below(&worker->random, STREAMS);
    struct fbat_event event;
    int status = fbat_latest(store, fbat_text(entities[stream]), fbat_text(scopes[stream]), &event, &worker->error);
    COMPLAIN_UNLESS(worker, status == FBAT_OK || (status == FBAT_ERR_NOT_FOUND && seen[stream] == 0));
    if (status < 0)
        return;
    COMPLAIN_UNLESS(worker, event.revision >= seen[stream]);
    seen[stream] = event.revision;
    fbat_event_release(&event);
}

static void read_once(struct worker *worker, struct fbat_store *store, uint64_t *seen) {
    switch (test_random_below(&worker->random, 8)) {
    case 0: read_stream(worker, store); break;
    case 1:
    case 2: read_tail(worker, store); break;
    case 3:
    case 4: read_latest(worker, store, seen); break;
    default: read_any(worker, store); break;
    }
}

static void *read_events(void *user) {
    struct worker *worker = user;
    uint64_t seen[STREAMS] = {0};
    do
        read_once(worker, worker->run->fixture->store, seen);
    while (goes_on(worker));
    return NULL;
}

/* The same through a handle that follows, opened anew now and then. */
static void *follow_events(void *user) {
    struct worker *worker = user;
    uint64_t seen[STREAMS] = {0};
    struct fbat_store *reader;
    do {
        int status = fbat_open_read_only(&worker->run->fixture->config, &reader, &worker->error);
        COMPLAIN_UNLESS(worker, status == FBAT_OK);
        if (status < 0)
            return NULL;
        for (int at = 0; at < 200 && goes_on(worker); at++)
            read_once(worker, reader, seen);
        COMPLAIN_UNLESS(worker, fbat_close(reader, &worker->error) == FBAT_OK);
    } while (goes_on(worker));
    return NULL;
}

static int complain_of_finding(void *user, const struct fbat_finding *finding) {
    struct worker *worker = user;
    if (finding->damage && !worker->complaint) {
        worker->complaint = "the check beside the writers found damage";
        snprintf(worker->error.message, sizeof worker->error.message, "segment %" PRIu64 ", offset %" PRIu64 ": %s",
                 finding->segment_id, finding->offset, finding->message);
    }
    return 0;
}

static void *check_beside(void *user) {
    struct worker *worker = user;
    const struct fbat_check_options options = {
        .struct_size = sizeof options, .finding = complain_of_finding, .user = worker};
    struct fbat_check_report report;
    do
        COMPLAIN_UNLESS(worker, fbat_check(worker->run->fixture->dir, &options, &report, &worker->error) == FBAT_OK);
    while (goes_on(worker));
    return NULL;
}

static void *define_and_count(void *user) {
    struct worker *worker = user;
    struct fbat_store *store = worker->run->fixture->store;
    for (unsigned type = 1; goes_on(worker); type = type % 500 + 1) {
        char name[16];
        struct fbat_slice found;
        struct fbat_stats stats;
        uint64_t count;
        snprintf(name, sizeof name, "kind %u", type);
        COMPLAIN_UNLESS(worker,
                        fbat_kind_define(store, FBAT_KIND(4, type), fbat_text(name), &worker->error) == FBAT_OK);
        COMPLAIN_UNLESS(worker, fbat_kind_name(store, FBAT_KIND(4, type), &found) == FBAT_OK);
        COMPLAIN_UNLESS(worker, fbat_stats(store, &stats, &worker->error) == FBAT_OK);
        COMPLAIN_UNLESS(worker, fbat_query_count(store, NULL, &count, &worker->error) == FBAT_OK);
        COMPLAIN_UNLESS(worker, count >= stats.events && stats.streams <= STREAMS);
        COMPLAIN_UNLESS(worker, type % 50 != 0 || fbat_sync(store, &worker->error) == FBAT_OK);
    }
    return NULL;
}

/* ---- the whole ---- */

static void start_worker(struct worker *worker, struct run *run, int number, void *(*main)(void *user)) {
    *worker = (struct worker){.run = run, .number = number};
    worker->random = test_random_init(test_seed(4000) * 1000 + (uint64_t)number);
    if (number < WRITERS) {
        worker->traces = calloc((size_t)run->operations * ITEMS_MAX, sizeof *worker->traces);
        assert_non_null(worker->traces);
    }
    assert_int_equal(pthread_create(&worker->thread, NULL, main, worker), 0);
}

static void join_workers(struct worker *workers, int count) {
    bool good = true;
    for (int at = 0; at < count; at++) {
        pthread_join(workers[at].thread, NULL);
        if (workers[at].complaint)
            print_error("thread %d, line %d: %s; last error: %s\n", at, workers[at].complaint_line,
                        workers[at].complaint, workers[at].error.message);
        good &= !workers[at].complaint;
    }
    assert_true(good);
}

/* What each writer was told is what the store says. */
static void check_traces(struct fbat_store *store, const struct worker *writer) {
    for (size_t at = 0; at < writer->trace_count; at++) {
        const struct trace *trace = &writer->traces[at];
        struct fbat_event event;
        assert_ok(fbat_get(store, &trace->receipt.id, &event, &fault));
        assert_int_equal(event.sequence, trace->receipt.sequence);
        assert_int_equal(event.revision, trace->receipt.revision);
        assert_int_equal(event.recorded_us, trace->receipt.recorded_us);
        assert_memory_equal(event.hash, trace->receipt.hash, 32);
        assert_slice(entities[trace->stream], event.entity);
        assert_slice(scopes[trace->stream], event.scope);
        assert_slice(trace->payload, event.payload);
        fbat_event_release(&event);
    }
}

static void check_everything(struct fbat_store *store, const struct worker *writers) {
    uint64_t events = 0;
    for (int at = 0; at < WRITERS; at++) {
        check_traces(store, &writers[at]);
        events += writers[at].trace_count;
    }
    assert_int_equal(count_events(store), events);
    struct fbat_stats stats;
    assert_ok(fbat_stats(store, &stats, &fault));
    assert_int_equal(stats.last_sequence, events + stats.system_events); /* no gap */
}

static void run_all(struct fixture *fixture, uint64_t operations, uint32_t durable_one_in) {
    static void *(*const others[])(void *user) = {read_events,   read_events,  read_events,     read_events,
                                                  follow_events, check_beside, define_and_count};
    enum { OTHERS = sizeof others / sizeof others[0] };
    struct run run = {.fixture = fixture, .operations = operations, .durable_one_in = durable_one_in};
    struct worker workers[WRITERS + OTHERS];
    atomic_init(&run.writers_left, WRITERS);
    for (int at = 0; at < WRITERS + OTHERS; at++)
        start_worker(&workers[at], &run, at, at < WRITERS ? write_events : others[at - WRITERS]);
    join_workers(workers, WRITERS + OTHERS);
    check_everything(fixture->store, workers);
    reopen_store(fixture);
    check_everything(fixture->store, workers);
    close_store(fixture);
    assert_whole(fixture->dir);
    for (int at = 0; at < WRITERS; at++)
        free(workers[at].traces);
}

static void eight_writers_and_their_readers_share_one_log(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 100;
    open_store(fixture);
    run_all(fixture, test_scaled(600), 200);
}

static void eight_writers_share_a_log_that_rotates_all_the_time(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 24 << 10;
    fixture->config.sync.max_delay_ms = 1;
    open_store(fixture);
    run_all(fixture, test_scaled(250), 50);
}

static void eight_writers_share_a_log_on_disk_where_all_is_durable(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 64 << 10;
    fixture->config.sync.every_n_events = 1;
    open_store(fixture);
    run_all(fixture, test_scaled(20), 1);
}

/* ---- pins cross threads ---- */

struct exchange {
    struct fbat_store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct fbat_event event; /* under lock; pinned while full */
    bool full, done;
    const char *complaint;
};

static void *release_events(void *user) {
    struct exchange *exchange = user;
    pthread_mutex_lock(&exchange->lock);
    for (;;) {
        while (!exchange->full && !exchange->done)
            pthread_cond_wait(&exchange->changed, &exchange->lock);
        if (!exchange->full)
            break;
        if (exchange->event.payload.size != 7 || memcmp(exchange->event.payload.data, "payload", 7) != 0)
            exchange->complaint = "the payload is not what was appended";
        fbat_event_release(&exchange->event);
        exchange->full = false;
        pthread_cond_signal(&exchange->changed);
    }
    pthread_mutex_unlock(&exchange->lock);
    return NULL;
}

static void event_pinned_by_one_thread_is_released_by_another(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 8 << 10;
    open_store(fixture);
    struct exchange exchange = {
        .store = fixture->store, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, release_events, &exchange), 0);
    for (uint64_t at = 1; at <= 300; at++) {
        append_text(fixture->store, "one", "scope", "payload");
        pthread_mutex_lock(&exchange.lock);
        while (exchange.full)
            pthread_cond_wait(&exchange.changed, &exchange.lock);
        assert_ok(fbat_get_by_sequence(fixture->store, at, &exchange.event, &fault));
        exchange.full = true;
        pthread_cond_signal(&exchange.changed);
        pthread_mutex_unlock(&exchange.lock);
    }
    pthread_mutex_lock(&exchange.lock);
    exchange.done = true;
    pthread_cond_signal(&exchange.changed);
    pthread_mutex_unlock(&exchange.lock);
    pthread_join(thread, NULL);
    assert_null(exchange.complaint);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(eight_writers_and_their_readers_share_one_log),
        behaviour_in_memory(eight_writers_share_a_log_that_rotates_all_the_time),
        behaviour(eight_writers_share_a_log_on_disk_where_all_is_durable),
        behaviour_in_memory(event_pinned_by_one_thread_is_released_by_another),
    };
    return cmocka_run_group_tests_name("api: threads", tests, NULL, NULL);
}
