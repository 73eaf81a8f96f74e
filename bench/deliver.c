/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling others: what subscribers cost who appends, how long an event takes to one who waits, and what a cursor's poll
 * costs.
 *
 * Publishing: appends with N subscriptions open, beside the same appends to the same store with none, in pairs of rounds. Either
 * nobody reads them, or one other thread waits on the first and then empties all of them, over and over.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "fixture.h"
#include "harness.h"
#include "workload.h"
#include "writer.h"

enum {
    SUBSCRIBERS_MAX = 1000,
    ROUND_EVENTS = 8192,
    LATENCY_SAMPLES = 5000,
    LATENCY_ROUNDS = 10,
    PAUSE_NS = 100000, /* in which a subscriber falls asleep */
    POLL_EVENTS = 256,
    POLL_EVENTS_IN_STORE = 1000000
};

/* ---- publishing ---- */

struct audience {
    struct writer *writer;
    unsigned count;
    bool read; /* by another thread */
    struct fbat_subscription *subscriptions[SUBSCRIBERS_MAX];
};

static void empty_subscription(struct fbat_subscription *subscription) {
    struct fbat_event event;
    struct fbat_error error;
    while (fbat_subscription_try_recv(subscription, &event, &error) == FBAT_OK)
        continue;
}

static atomic_bool audience_leaves;

static void *attend(void *user) {
    struct audience *audience = user;
    struct fbat_event event;
    struct fbat_error error;
    while (!atomic_load(&audience_leaves)) {
        (void)fbat_subscription_recv(audience->subscriptions[0], 5, &event, &error);
        for (unsigned at = 0; at < audience->count && !atomic_load(&audience_leaves); at++)
            empty_subscription(audience->subscriptions[at]);
    }
    return NULL;
}

/* Coming and going is not timed. */
static uint64_t append_before(void *user, uint64_t count) {
    struct audience *audience = user;
    struct fbat_error error;
    pthread_t thread;
    for (unsigned at = 0; at < audience->count; at++)
        check_fbat(fbat_subscribe(audience->writer->store, NULL, NULL, &audience->subscriptions[at], &error), &error,
                   "subscribe");
    atomic_store(&audience_leaves, false);
    if (audience->read)
        check_system(pthread_create(&thread, NULL, attend, audience) == 0, "start a thread");
    uint64_t took = writer_run_plain(audience->writer, count);
    atomic_store(&audience_leaves, true);
    if (audience->read)
        pthread_join(thread, NULL);
    for (unsigned at = 0; at < audience->count; at++)
        fbat_subscription_close(audience->subscriptions[at]);
    return took;
}

static void measure_publishing(struct writer *writer, unsigned count, bool read) {
    static struct audience audience;
    static char name[96];
    struct row row = {.name = name, .unit = UNIT_US, .against = "no subscribers", .due = {0, 1.1}};
    audience = (struct audience){.writer = writer, .count = count, .read = read};
    snprintf(name, sizeof name, "append, %u subscriber%s%s", count, count == 1 ? "" : "s",
             read ? " read by another thread" : " that never read");
    row_measure(&row, SUBJECT(append_before, &audience, ROUND_EVENTS), SUBJECT(writer_run_plain, writer, ROUND_EVENTS),
                harness_rounds(40));
}

static void measure_subscribers(void) {
    static const unsigned counts[] = {1, 100, 1000};
    struct writer writer;
    writer_open(&writer, "deliver", FBAT_LEVEL_WRITTEN, NULL);
    for (unsigned read = 0; read < 2; read++)
        for (unsigned at = 0; at < sizeof counts / sizeof counts[0]; at++)
            measure_publishing(&writer, counts[at], read);
    writer_close(&writer);
}

/* ---- from an append to who waits for it ---- */

struct listener {
    struct fbat_subscription *subscription;
    _Atomic uint64_t sequence; /* of the last one received ... */
    _Atomic uint64_t at_ns;    /* ... when; stored before it */
};

static void *listen_until_closed(void *user) {
    struct listener *listener = user;
    struct fbat_event event;
    struct fbat_error error;
    while (fbat_subscription_recv(listener->subscription, FBAT_FOREVER, &event, &error) == FBAT_OK) {
        atomic_store(&listener->at_ns, now_ns());
        atomic_store(&listener->sequence, event.sequence);
    }
    return NULL;
}

static void pause_a_little(void) {
    for (uint64_t start = now_ns(); now_ns() - start < PAUSE_NS;)
        sched_yield();
}

/* From the call of the append, so the append itself is in it. */
static uint64_t sample_latency(struct writer *writer, struct listener *listener) {
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    pause_a_little();
    workload_next(&writer->workload, &event);
    uint64_t start = now_ns();
    writer_append(writer, &event, &receipt);
    while (atomic_load(&listener->sequence) < receipt.sequence)
        sched_yield();
    return without_clock(atomic_load(&listener->at_ns) - start);
}

static void measure_latency(void) {
    static struct listener listener;
    struct row row = {.name = "append to a waiting subscriber, another thread", .unit = UNIT_US, .operation = "event"};
    struct writer writer;
    struct fbat_error error;
    pthread_t thread;
    writer_open(&writer, "deliver", FBAT_LEVEL_WRITTEN, NULL);
    check_fbat(fbat_subscribe(writer.store, NULL, NULL, &listener.subscription, &error), &error, "subscribe");
    check_system(pthread_create(&thread, NULL, listen_until_closed, &listener) == 0, "start a thread");
    for (unsigned round = 0; round < LATENCY_ROUNDS; round++) {
        uint64_t sum_ns = 0, samples = LATENCY_SAMPLES / LATENCY_ROUNDS;
        for (uint64_t sample = 0; sample < samples; sample++) {
            uint64_t took = sample_latency(&writer, &listener);
            histogram_add(&row.latency, took);
            sum_ns += took;
        }
        series_add(&row.fbat, (double)sum_ns / (double)samples / 1e3);
    }
    snprintf(row.note, sizeof row.note, "from the call of the append to its event in the hands of a thread that slept");
    row_print(&row);
    writer_close(&writer); /* wakes the thread for good */
    pthread_join(thread, NULL);
    fbat_subscription_close(listener.subscription);
}

/* ---- polls ---- */

struct poller {
    struct fbat_store *store;
    struct fbat_cursor *cursor;
};

static void poll_one(struct poller *poller) {
    static struct fbat_event events[POLL_EVENTS];
    struct fbat_error error;
    size_t count;
    int status = FBAT_RETRY;
    if (poller->cursor)
        status = fbat_cursor_poll(poller->cursor, events, POLL_EVENTS, 0, &count, &error);
    if (status == FBAT_RETRY) { /* at the end, or at the start: from the beginning */
        fbat_cursor_close(poller->cursor);
        check_fbat(fbat_cursor_open(poller->store, NULL, NULL, &poller->cursor, &error), &error, "open a cursor");
        status = fbat_cursor_poll(poller->cursor, events, POLL_EVENTS, 0, &count, &error);
    }
    check_fbat(status, &error, "poll");
}

static uint64_t poll_on(void *user, uint64_t count) {
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++)
        poll_one(user);
    return now_ns() - start;
}

static void measure_catching_up(void) {
    struct row row = {
        .name = "cursor poll of 256, catching up, 1 M", .unit = UNIT_US, .due = {10, 0}, .brief = {10, 0}};
    struct poller poller = {0};
    char name[FIXTURE_NAME_BYTES];
    fixture_make(POLL_EVENTS_IN_STORE, name);
    poller.store = bench_store_open(name, NULL);
    row.operation = "poll";
    row_measure(&row, SUBJECT(poll_on, &poller, 1000), (struct subject){0}, harness_rounds(30));
    fbat_cursor_close(poller.cursor);
    bench_store_close(poller.store);
}

/* 256 events come, then the poll. Only the polls are timed. */
static uint64_t poll_live(void *user, uint64_t count) {
    static struct fbat_event events[POLL_EVENTS];
    struct poller *poller = ((void **)user)[0];
    struct writer *writer = ((void **)user)[1];
    struct fbat_error error;
    uint64_t took = 0;
    for (uint64_t done = 0; done < count; done++) {
        size_t got = 0;
        (void)writer_run_batches(writer, POLL_EVENTS);
        uint64_t start = now_ns();
        check_fbat(fbat_cursor_poll(poller->cursor, events, POLL_EVENTS, 0, &got, &error), &error, "poll");
        took += without_clock(now_ns() - start);
        check_system(got == POLL_EVENTS, "poll what was appended");
    }
    return took;
}

static void measure_live_polls(void) {
    struct row row = {.name = "cursor poll of 256, live, 1 M", .unit = UNIT_US, .due = {10, 0}, .brief = {10, 0}};
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .from = FBAT_CURSOR_END};
    struct poller poller = {0};
    struct writer writer;
    struct fbat_error error;
    void *both[] = {&poller, &writer};
    writer_open(&writer, "deliver", FBAT_LEVEL_WRITTEN, no_sync_options);
    (void)writer_run_batches(&writer, POLL_EVENTS_IN_STORE);
    check_fbat(fbat_cursor_open(writer.store, NULL, &options, &poller.cursor, &error), &error, "open a cursor");
    row.operation = "poll";
    row_measure(&row, SUBJECT(poll_live, both, 20), (struct subject){0}, harness_rounds(30));
    fbat_cursor_close(poller.cursor);
    writer_close(&writer);
}

void family_deliver(void) {
    measure_subscribers();
    measure_latency();
    measure_catching_up();
    measure_live_polls();
}
