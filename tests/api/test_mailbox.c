/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox: what happens when it fills up, when the store closes over it, when the writer dies before it is empty; and
 * with many threads at it. Every ticket is answered.
 *
 * Where a test needs the mailbox to keep what is put into it, the writer's thread is held in config.clock, which each append
 * asks for the time (hold_writer).
 */
#include "fixture.h"

#include <poll.h>
#include <sched.h>

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_ticket *const untouched = (struct fbat_ticket *)&fault; /* any address but a ticket's */

static struct fbat_pressure pressure_now(struct fbat_store *store) {
    struct fbat_pressure pressure;
    fbat_pressure(store, &pressure);
    assert_true(pressure.used <= pressure.capacity);
    assert_in_range(pressure.retry_from, 1, pressure.capacity);
    assert_int_equal(pressure.retry_after_ms > 0, pressure.used >= pressure.retry_from);
    return pressure;
}

/* ---- a mailbox that fills up ---- */

/* Submits until the mailbox holds so many; how many tickets that took. */
static size_t fill_mailbox(struct fixture *fixture, uint32_t used, struct fbat_ticket **tickets) {
    size_t count = 0;
    while (pressure_now(fixture->store).used < used)
        tickets[count++] = submit_text(fixture->store, "one", "filler");
    return count;
}

static void release_answered(struct fbat_ticket **tickets, size_t count) {
    for (size_t at = 0; at < count; at++)
        ticket_done(tickets[at]);
}

static void configure_mailbox(struct fixture *fixture, uint32_t capacity, uint32_t threshold_pct) {
    fixture->config.writer.channel_capacity = capacity;
    fixture->config.writer.pressure_retry_threshold_pct = threshold_pct;
    use_clock_gate(fixture);
    open_store(fixture);
}

struct blocking_submit {
    struct fbat_store *store;
    struct fbat_ticket *ticket;
    int status;
};

static void submit_behind(void *user) {
    struct blocking_submit *submit = user;
    const struct fbat_new_event event = event_of("two", "scope", "waited");
    submit->status = fbat_submit(submit->store, &event, NULL, &submit->ticket, NULL);
}

static void submit_waits_while_the_mailbox_is_full(void **state) {
    struct fixture *fixture = *state;
    configure_mailbox(fixture, 4, 75);
    struct fbat_ticket *held = hold_writer(fixture), *tickets[5];
    size_t count = fill_mailbox(fixture, 4, tickets);
    static struct blocking_submit submit;
    static struct actor actor;
    submit = (struct blocking_submit){.store = fixture->store};
    actor_start(&actor, submit_behind, &submit);
    actor_await_sleep(&actor);
    assert_false(actor_is_done(&actor));
    assert_int_equal(pressure_now(fixture->store).used, 4);
    gate_open(&clock_gate);
    actor_join(&actor);
    assert_ok(submit.status);
    assert_int_equal(ticket_done(submit.ticket).sequence, count + 2);
    release_answered(tickets, count);
    fbat_ticket_release(held);
}

static void mailbox_of_one_serves_all(void **state) {
    struct fixture *fixture = *state;
    fixture->config.writer.channel_capacity = 1;
    open_store(fixture);
    enum { COUNT = 200 };
    struct fbat_ticket *tickets[COUNT];
    for (int at = 0; at < COUNT; at++)
        tickets[at] = submit_text(fixture->store, "one", "payload");
    for (int at = 0; at < COUNT; at++)
        assert_int_equal(ticket_done(tickets[at]).sequence, at + 1);
}

/* Below the threshold a ticket, from it on FBAT_RETRY and when to come again, and nothing is put into the mailbox. */
static void check_threshold(struct fixture *fixture, uint32_t capacity, uint32_t threshold_pct, uint32_t retry_from) {
    configure_mailbox(fixture, capacity, threshold_pct);
    struct fbat_ticket *held = hold_writer(fixture), *tickets[32], *ticket = untouched;
    const struct fbat_new_event event = event_of("one", "scope", "tried");
    assert_int_equal(pressure_now(fixture->store).capacity, capacity);
    assert_int_equal(pressure_now(fixture->store).retry_from, retry_from);
    size_t count = fill_mailbox(fixture, retry_from - 1, tickets);
    if (pressure_now(fixture->store).used < retry_from)
        assert_ok(fbat_try_submit(fixture->store, &event, NULL, &tickets[count++], &fault));
    assert_int_equal(pressure_now(fixture->store).used, retry_from);
    memset(&fault, 0, sizeof fault);
    assert_status(FBAT_RETRY, fbat_try_submit(fixture->store, &event, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_int_equal(fault.status, FBAT_RETRY);
    assert_true(fault.retry_after_ms > 0);
    assert_status(FBAT_RETRY, fbat_try_submit_batch(fixture->store, &event, 1, NULL, &ticket, NULL));
    assert_int_equal(pressure_now(fixture->store).used, retry_from);
    gate_open(&clock_gate);
    release_answered(tickets, count);
    assert_int_equal(append_text(fixture->store, "one", "scope", "behind").sequence, count + 2);
    assert_ok(fbat_try_submit(fixture->store, &event, NULL, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).sequence, count + 3);
    fbat_ticket_release(held);
    close_store(fixture);
    assert_true(test_remove_tree(fixture->dir));
}

static void try_submit_says_retry_from_the_threshold_on(void **state) {
    struct fixture *fixture = *state;
    check_threshold(fixture, 8, 75, 6);
    check_threshold(fixture, 8, 100, 8);
    check_threshold(fixture, 16, 50, 8);
}

/* Between threshold and capacity, submit still gets its ticket at once. */
static void threshold_is_none_of_submits_business(void **state) {
    struct fixture *fixture = *state;
    configure_mailbox(fixture, 8, 50);
    struct fbat_ticket *held = hold_writer(fixture), *tickets[9], *ticket;
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    size_t count = fill_mailbox(fixture, 8, tickets);
    assert_status(FBAT_RETRY, fbat_try_submit(fixture->store, &event, NULL, &ticket, NULL));
    gate_open(&clock_gate);
    release_answered(tickets, count);
    fbat_ticket_release(held);
}

static void pressure_of_an_idle_mailbox_is_nothing(void **state) {
    struct fixture *fixture = opened(state);
    ticket_done(submit_text(fixture->store, "one", "payload"));
    struct fbat_pressure pressure = pressure_now(fixture->store);
    while (pressure.used > 0) { /* the writer counts a ticket down just after it has answered it */
        sched_yield();
        pressure = pressure_now(fixture->store);
    }
    assert_int_equal(pressure.capacity, 4096);
    assert_int_equal(pressure.retry_from, 3072);
    assert_int_equal(pressure.used, 0);
    assert_int_equal(pressure.retry_after_ms, 0);
}

/* ---- closing ---- */

struct waiting_close {
    struct actor closer; /* the main thread's stand-in */
    struct fbat_store *store;
    int status;
};

static void close_now(void *user) {
    struct waiting_close *closing = user;
    closing->status = fbat_close(closing->store, NULL);
}

/* Closes while the writer is held and lets it go on when closing waits for it. */
static void close_with_mailbox(struct fixture *fixture) {
    static struct waiting_close closing;
    closing = (struct waiting_close){.store = fixture->store};
    fixture->store = NULL;
    actor_start(&closing.closer, close_now, &closing);
    actor_await_sleep(&closing.closer);
    assert_false(actor_is_done(&closing.closer));
    gate_open(&clock_gate);
    actor_join(&closing.closer);
    assert_ok(closing.status);
}

static void check_drain(struct fixture *fixture, uint32_t limit, uint32_t queued, uint32_t done) {
    struct fbat_ticket *tickets[16];
    fixture->config.writer.shutdown_drain_limit = limit;
    use_clock_gate(fixture);
    open_store(fixture);
    struct fbat_ticket *held = hold_writer(fixture);
    for (uint32_t at = 0; at < queued; at++)
        tickets[at] = submit_text(fixture->store, "one", "queued");
    close_with_mailbox(fixture);
    assert_int_equal(ticket_done(held).sequence, 1);
    for (uint32_t at = 0; at < queued; at++) {
        if (at < done) {
            assert_int_equal(ticket_done(tickets[at]).sequence, at + 2);
            continue;
        }
        assert_ticket(FBAT_ERR_SHUTDOWN, tickets[at]);
        assert_int_equal(fault.status, FBAT_ERR_SHUTDOWN);
        assert_int_equal(fault.stage, FBAT_STAGE_QUEUE);
    }
    assert_int_equal(assert_whole(fixture->dir).events, done + 1);
    assert_true(test_remove_tree(fixture->dir));
}

static void close_completes_no_more_than_the_drain_limit(void **state) {
    check_drain(*state, 1, 10, 1);
    check_drain(*state, 7, 10, 7);
}

static void close_with_drain_limit_zero_completes_nothing(void **state) {
    check_drain(*state, 0, 10, 0);
}

static void close_within_the_drain_limit_completes_all(void **state) {
    check_drain(*state, 10, 10, 10);
    check_drain(*state, 1024, 10, 10);
}

/* What is drained is durable when the store is closed, like all else. */
static void drained_appends_are_there_after_reopening(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 12 };
    struct fbat_ticket *tickets[COUNT];
    use_clock_gate(fixture);
    open_store(fixture);
    struct fbat_ticket *held = hold_writer(fixture);
    for (int at = 0; at < COUNT; at++)
        tickets[at] = submit_text(fixture->store, "one", "queued");
    close_with_mailbox(fixture);
    open_store(fixture);
    assert_int_equal(frontier_now(fixture->store).durable, COUNT + 1);
    for (int at = 0; at < COUNT; at++)
        assert_event_at(fixture->store, ticket_done(tickets[at]).sequence, "one", "queued");
    fbat_ticket_release(held);
}

/* A ticket outlives its store: wait, poll, count, descriptor. */
static void ticket_answers_after_its_store_is_closed(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_ticket *ticket = submit_text(fixture->store, "one", "payload");
    const struct fbat_new_event wrong = event_expecting("two", FBAT_EXPECT_EXISTS, 0);
    struct fbat_ticket *failing = submit_event(fixture->store, &wrong);
    close_store(fixture);
    struct fbat_receipt receipt;
    int descriptor;
    assert_int_equal(fbat_ticket_count(ticket), 1);
    assert_ok(fbat_ticket_poll(ticket, &receipt, &fault));
    assert_int_equal(receipt.sequence, 1);
    assert_ok(fbat_ticket_fd(ticket, &descriptor, &fault));
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&look, 1, 0), 1);
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, &receipt, &fault));
    fbat_ticket_release(ticket);
    assert_ticket(FBAT_ERR_REVISION, failing);
}

static void tickets_released_before_closing_are_drained_too(void **state) {
    struct fixture *fixture = opened(state);
    for (int at = 0; at < 500; at++)
        fbat_ticket_release(submit_text(fixture->store, "one", "payload"));
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 500);
}

/* ---- a writer that is dead ---- */

/* The default policy takes one failed sync; the second one stops the writer. */
static void kill_writer(struct fixture *fixture) {
    const struct fbat_new_event event = event_keyed("killer", "killer", "payload");
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    append_text(fixture->store, "before", "scope", "payload"); /* a store without a segment has nothing to lose */
    int status = FBAT_OK;
    for (int time = 0; time < 3 && status != FBAT_ERR_WRITER_DEAD; time++) {
        atomic_store(&watched_disk.syncs_to_fail, 1000);
        status = fbat_append(fixture->store, &event, &level_durable, NULL, &fault);
        assert_true(status == FBAT_ERR_IO || status == FBAT_ERR_WRITER_DEAD);
    }
    assert_status(FBAT_ERR_WRITER_DEAD, status);
    atomic_store(&watched_disk.syncs_to_fail, 0);
}

static void close_dead_store(struct fixture *fixture) {
    struct fbat_store *store = fixture->store;
    fixture->store = NULL;
    assert_true(fbat_close(store, NULL) < 0);
}

static void dead_writer_answers_tickets(void **state) {
    struct fixture *fixture = *state;
    kill_writer(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket = untouched;
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_try_submit(fixture->store, &event, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_try_submit_batch(fixture->store, &event, 1, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_ticket(FBAT_ERR_WRITER_DEAD, submit_event(fixture->store, &event));
    assert_ok(fbat_submit_batch(fixture->store, &event, 1, NULL, &ticket, &fault));
    assert_ticket(FBAT_ERR_WRITER_DEAD, ticket);
    close_dead_store(fixture);
}

/* The writer dies while others wait in the mailbox: they are answered, none is left. */
static void tickets_behind_the_one_that_kills_the_writer_are_answered(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 10 };
    struct fbat_ticket *tickets[COUNT];
    use_clock_gate(fixture);
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    append_text(fixture->store, "before", "scope", "payload"); /* a store without a segment has nothing to lose */
    struct fbat_ticket *held = hold_writer(fixture);
    for (int at = 0; at < COUNT; at++) {
        const struct fbat_new_event event = event_of("one", "scope", "payload");
        assert_ok(fbat_submit(fixture->store, &event, &level_durable, &tickets[at], &fault));
    }
    atomic_store(&watched_disk.syncs_to_fail, 1000);
    gate_open(&clock_gate);
    bool dead = false;
    for (int at = 0; at < COUNT; at++) {
        int status = fbat_ticket_wait(tickets[at], PATIENCE_MS, NULL, &fault);
        assert_true(status == FBAT_ERR_IO || status == FBAT_ERR_WRITER_DEAD);
        dead |= status == FBAT_ERR_WRITER_DEAD;
        fbat_ticket_release(tickets[at]);
    }
    assert_true(dead);
    assert_int_equal(revision_of(fixture->store, "one"), 0);
    (void)fbat_ticket_wait(held, PATIENCE_MS, NULL, NULL);
    fbat_ticket_release(held);
    close_dead_store(fixture);
}

/* A ticket whose sync fails says so, and what it would have written is not in the log. */
static void ticket_whose_sync_fails_answers_the_failure(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    struct fbat_new_event event = event_keyed("key", "one", "payload");
    struct fbat_ticket *ticket;
    append_text(fixture->store, "one", "scope", "before");
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_ok(fbat_submit(fixture->store, &event, &level_durable, &ticket, &fault));
    assert_ticket(FBAT_ERR_IO, ticket);
    assert_int_equal(fault.stage, FBAT_STAGE_SYNC);
    assert_int_equal(revision_of(fixture->store, "one"), 1);
    assert_ok(fbat_submit(fixture->store, &event, &level_durable, &ticket, &fault));
    struct fbat_receipt receipt = ticket_done(ticket);
    assert_int_equal(receipt.sequence, 2);
    assert_int_equal(receipt.replayed, 0);
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 2);
}

/* ---- many threads ---- */

enum { SUBMITTERS = 8, ROUNDS = 40, OUTSTANDING = 16 };

struct submitter {
    struct actor actor;
    struct fbat_store *store;
    int number;
    uint64_t last_sequence;
    uint64_t events;
    const char *complaint;
};

static int submit_one(struct submitter *self, int turn, struct fbat_ticket **out_ticket) {
    char entity[16], payload[32];
    snprintf(entity, sizeof entity, "%d", (self->number + turn) % 5);
    snprintf(payload, sizeof payload, "%d", self->number);
    const struct fbat_new_event event = event_of(entity, "scope", payload), batch[] = {event, event, event};
    const struct fbat_append_options *options = turn % 16 == 3 ? &level_durable : NULL;
    int status = FBAT_RETRY;
    if (turn % 4 == 1)
        return fbat_submit_batch(self->store, batch, 3, options, out_ticket, NULL);
    if (turn % 4 == 2)
        status = fbat_try_submit(self->store, &event, options, out_ticket, NULL);
    return status == FBAT_RETRY ? fbat_submit(self->store, &event, options, out_ticket, NULL) : status;
}

/* The answer, and that the events stand behind the thread's earlier ones, and can be read at once. */
static void take_answer(struct submitter *self, struct fbat_ticket *ticket) {
    struct fbat_receipt receipts[3];
    size_t count = fbat_ticket_count(ticket);
    if (fbat_ticket_wait(ticket, PATIENCE_MS, receipts, NULL) != FBAT_OK)
        self->complaint = "a ticket failed";
    for (size_t at = 0; at < count && !self->complaint; at++) {
        struct fbat_event event;
        if (receipts[at].sequence <= self->last_sequence)
            self->complaint = "out of order";
        self->last_sequence = receipts[at].sequence;
        if (fbat_get(self->store, &receipts[at].id, &event, NULL) != FBAT_OK)
            self->complaint = "acknowledged and not visible";
        else
            fbat_event_release(&event);
    }
    self->events += count;
    fbat_ticket_release(ticket);
}

static void submit_and_wait(void *user) {
    struct submitter *self = user;
    for (int round = 0; round < ROUNDS && !self->complaint; round++) {
        struct fbat_ticket *tickets[OUTSTANDING];
        for (int turn = 0; turn < OUTSTANDING; turn++)
            if (submit_one(self, turn, &tickets[turn]) != FBAT_OK) {
                self->complaint = "submit failed";
                return;
            }
        for (int turn = 0; turn < OUTSTANDING; turn++)
            take_answer(self, tickets[turn]);
    }
}

static void check_many_threads(struct fixture *fixture) {
    static struct submitter submitters[SUBMITTERS];
    uint64_t events = 0;
    for (int at = 0; at < SUBMITTERS; at++) {
        submitters[at] = (struct submitter){.store = fixture->store, .number = at};
        actor_start(&submitters[at].actor, submit_and_wait, &submitters[at]);
    }
    for (int at = 0; at < SUBMITTERS; at++) {
        actor_join(&submitters[at].actor);
        if (submitters[at].complaint)
            fail_msg("%s", submitters[at].complaint);
        events += submitters[at].events;
    }
    assert_int_equal(count_events(fixture->store), events);
    assert_int_equal(frontier_now(fixture->store).visible, events);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

static void tickets_of_many_threads_are_all_answered_in_order(void **state) {
    check_many_threads(opened(state));
}

static void tickets_of_many_threads_pass_a_small_mailbox_and_small_segments(void **state) {
    struct fixture *fixture = *state;
    fixture->config.writer.channel_capacity = 3;
    fixture->config.segment_max_bytes = 16 << 10;
    fixture->config.batch.group_commit_max_batch = 0;
    open_store(fixture);
    check_many_threads(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(submit_waits_while_the_mailbox_is_full),
        behaviour(mailbox_of_one_serves_all),
        behaviour(try_submit_says_retry_from_the_threshold_on),
        behaviour(threshold_is_none_of_submits_business),
        behaviour(pressure_of_an_idle_mailbox_is_nothing),
        behaviour(close_completes_no_more_than_the_drain_limit),
        behaviour(close_with_drain_limit_zero_completes_nothing),
        behaviour(close_within_the_drain_limit_completes_all),
        behaviour(drained_appends_are_there_after_reopening),
        behaviour(ticket_answers_after_its_store_is_closed),
        behaviour(tickets_released_before_closing_are_drained_too),
        behaviour(dead_writer_answers_tickets),
        behaviour(tickets_behind_the_one_that_kills_the_writer_are_answered),
        behaviour(ticket_whose_sync_fails_answers_the_failure),
        behaviour(tickets_of_many_threads_are_all_answered_in_order),
        behaviour_in_memory(tickets_of_many_threads_pass_a_small_mailbox_and_small_segments),
    };
    return cmocka_run_group_tests_name("api: mailbox", tests, NULL, NULL);
}
