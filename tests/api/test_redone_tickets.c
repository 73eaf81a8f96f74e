/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets that were staged, taken back because a durable append in front of them failed, and staged again, while the writer's
 * thread is busy with a ticket behind them that it cannot stage yet: they go first.
 *
 * What makes it certain that the writer is where it should be: all tickets are in the mailbox before it is let go at the
 * clock's gate, so that it takes them at once and under one lock; and only in the middle of the one that cannot be staged it
 * gives that lock up, or waits for the sync itself. The sync that is to fail is held up at a gate of its own until then, and
 * needs the lock to take anything back.
 */
#include "fixture.h"

#include <sched.h>

/* A blocking durable append, whose sync is the one that fails. */
struct durable {
    struct actor actor;
    struct fbat_store *store;
    struct fbat_error error;
    int status;
};

static void append_durably(void *user) {
    struct durable *durable = user;
    const struct fbat_new_event event = event_of("one", "scope", "durable");
    durable->status = fbat_append(durable->store, &event, &level_durable, NULL, &durable->error);
}

static struct fbat_ticket *submit_at(struct fixture *fixture, const struct fbat_append_options *options,
                                     struct fbat_slice payload) {
    struct fbat_ticket *ticket;
    struct fbat_new_event event = event_of("one", "scope", "");
    event.payload = payload;
    assert_ok(fbat_submit(fixture->store, &event, options, &ticket, &fault));
    return ticket;
}

/* A store on the watched disk with one durable event; another one's sync is under way, and stands at the gate. */
static void start_durable(struct fixture *fixture, struct durable *durable) {
    fixture->config.sync.max_delay_ms = 0;
    use_clock_gate(fixture);
    open_store_watched(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "first");
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    gate_shut(&sync_gate);
    *durable = (struct durable){.store = fixture->store};
    actor_start(&durable->actor, append_durably, durable);
    gate_await(&sync_gate, 1);
}

/* All tickets are in the mailbox: lets the writer go as far as it comes, which is to the last ones, that need the sync. */
static void serve_all_but(struct fixture *fixture, uint32_t count) {
    struct fbat_pressure pressure;
    gate_open(&clock_gate);
    do {
        sched_yield();
        fbat_pressure(fixture->store, &pressure);
    } while (pressure.used > count);
    assert_int_equal(count_events(fixture->store), 1); /* they wait, all of them */
}

static void fail_the_sync(struct durable *durable) {
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    actor_join(&durable->actor);
    assert_status(FBAT_ERR_IO, durable->status);
    assert_int_equal(durable->error.stage, FBAT_STAGE_SYNC);
}

static void assert_log_is(struct fixture *fixture, const char *const *payloads, uint64_t count) {
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(count_events(fixture->store), count);
        for (uint64_t at = 0; at < count; at++)
            if (payloads[at])
                assert_event_at(fixture->store, at + 1, at == 1 ? "held" : "one", payloads[at]);
        reopen_store(fixture);
    }
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, count);
}

/* With one durable append to a group, a second one waits until the first one's sync is begun: that is what the writer is
 * doing when the sync before it fails. */
static void tickets_taken_back_go_before_one_that_waits_for_its_group(void **state) {
    struct fixture *fixture = *state;
    static struct durable durable;
    start_durable(fixture, &durable);
    struct fbat_ticket *held = hold_writer(fixture);
    struct fbat_ticket *full = submit_at(fixture, &level_durable, fbat_text("fills the group"));
    struct fbat_ticket *a = submit_at(fixture, &level_written, fbat_text("a"));
    struct fbat_ticket *b = submit_at(fixture, &level_written, fbat_text("b"));
    struct fbat_ticket *waits = submit_at(fixture, &level_durable, fbat_text("waits"));
    struct fbat_ticket *behind = submit_at(fixture, &level_written, fbat_text("behind"));
    serve_all_but(fixture, 2);
    fail_the_sync(&durable);
    assert_ticket(FBAT_ERR_IO, full); /* it was staged behind the failed sync, and durable: it fails with it */
    assert_int_equal(ticket_done(held).sequence, 2);
    assert_int_equal(ticket_done(a).sequence, 3);
    assert_int_equal(ticket_done(b).sequence, 4);
    assert_int_equal(ticket_done(waits).sequence, 5);
    assert_int_equal(ticket_done(behind).sequence, 6);
    static const char *const payloads[] = {"first", "held", "a", "b", "waits", "behind"};
    assert_log_is(fixture, payloads, 6);
}

/* Here it needs another segment, and the sync of the old one fails. */
static void tickets_taken_back_go_before_one_that_waits_for_a_segment(void **state) {
    static char large[64 << 10];
    struct fixture *fixture = *state;
    static struct durable durable;
    fixture->config.segment_max_bytes = 16 << 10;
    start_durable(fixture, &durable);
    struct fbat_ticket *held = hold_writer(fixture);
    struct fbat_ticket *a = submit_at(fixture, &level_written, fbat_text("a"));
    struct fbat_ticket *b = submit_at(fixture, &level_written, fbat_text("b"));
    struct fbat_ticket *waits = submit_at(fixture, &level_written, fbat_bytes(large, sizeof large));
    struct fbat_ticket *behind = submit_at(fixture, &level_written, fbat_text("behind"));
    serve_all_but(fixture, 2);
    fail_the_sync(&durable);
    assert_int_equal(ticket_done(held).sequence, 2);
    assert_int_equal(ticket_done(a).sequence, 3);
    assert_int_equal(ticket_done(b).sequence, 4);
    assert_int_equal(ticket_done(waits).sequence, 5);
    assert_int_equal(ticket_done(behind).sequence, 6);
    static const char *const payloads[] = {"first", "held", "a", "b", NULL, "behind"};
    assert_log_is(fixture, payloads, 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(tickets_taken_back_go_before_one_that_waits_for_its_group),
        behaviour(tickets_taken_back_go_before_one_that_waits_for_a_segment),
    };
    return cmocka_run_group_tests_name("api: tickets that are staged again", tests, NULL, NULL);
}
