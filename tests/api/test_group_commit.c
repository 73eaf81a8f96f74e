/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends that share a sync: how many of them, what a reader sees meanwhile, what a failing sync takes with it; and
 * waiting for durability.
 *
 * The watched disk holds a sync up at sync_gate until all who are to wait for the next one do, so that who shares what does
 * not depend on time.
 */
#include "fixture.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 8 };

/* One append on a thread of its own, with a key. */
struct author {
    struct actor actor;
    struct fbat_store *store;
    const struct fbat_append_options *options;
    char key[16];
    struct fbat_receipt receipt;
    struct fbat_error error;
    int status;
};

static void append_once(void *user) {
    struct author *author = user;
    struct fbat_new_event event = event_of("one", "scope", author->key);
    (void)fbat_id_derive(fbat_text(author->key), &event.id);
    author->status = fbat_append(author->store, &event, author->options, &author->receipt, &author->error);
}

static void author_start(struct author *author, struct fbat_store *store, int number,
                         const struct fbat_append_options *options) {
    *author = (struct author){.store = store, .options = options};
    snprintf(author->key, sizeof author->key, "author %d", number);
    actor_start(&author->actor, append_once, author);
}

/* A store on the watched disk that syncs only when it is asked to, with a segment and one durable event in it. */
static void open_for_groups(struct fixture *fixture, uint32_t group_commit_max_batch) {
    fixture->config.batch.group_commit_max_batch = group_commit_max_batch;
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    const struct fbat_new_event event = event_keyed("first", "first", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
}

/* The first author's sync stands at the gate, and the others wait, all with a durable append. */
static void gather_authors(struct fixture *fixture, struct author authors[THREADS]) {
    gate_shut(&sync_gate);
    author_start(&authors[0], fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    for (int at = 1; at < THREADS; at++) {
        author_start(&authors[at], fixture->store, at, &level_durable);
        actor_await_sleep(&authors[at].actor);
        assert_false(actor_is_done(&authors[at].actor));
    }
    assert_false(actor_is_done(&authors[0].actor));
}

static void join_authors(struct author *authors, int count) {
    for (int at = 0; at < count; at++)
        actor_join(&authors[at].actor);
}

/* An author's answer and the log agree. */
static void assert_answer_is_true(struct fbat_store *store, const struct author *author) {
    const struct fbat_id id = id_of(author->key);
    struct fbat_event event;
    if (author->status != FBAT_OK) {
        assert_status(FBAT_ERR_IO, author->status);
        assert_int_equal(author->error.stage, FBAT_STAGE_SYNC);
        assert_status(FBAT_ERR_NOT_FOUND, fbat_get(store, &id, &event, &fault));
        return;
    }
    assert_ok(fbat_get(store, &id, &event, &fault));
    assert_int_equal(event.sequence, author->receipt.sequence);
    assert_int_equal(event.revision, author->receipt.revision);
    assert_memory_equal(event.hash, author->receipt.hash, 32);
    assert_slice(author->key, event.payload);
    fbat_event_release(&event);
}

/* ---- how many share a sync ---- */

static unsigned count_syncs_of_eight(struct fixture *fixture, uint32_t group_commit_max_batch) {
    static struct author authors[THREADS];
    open_for_groups(fixture, group_commit_max_batch);
    unsigned before = atomic_load(&watched_disk.syncs);
    gather_authors(fixture, authors);
    gate_open(&sync_gate);
    join_authors(authors, THREADS);
    unsigned syncs = atomic_load(&watched_disk.syncs) - before;
    for (int at = 0; at < THREADS; at++) {
        assert_ok(authors[at].status);
        assert_int_equal(authors[at].receipt.level, FBAT_LEVEL_DURABLE);
        assert_answer_is_true(fixture->store, &authors[at]);
    }
    assert_int_equal(frontier_now(fixture->store).durable, THREADS + 1);
    return syncs;
}

static void with_1_each_append_has_a_sync_of_its_own(void **state) {
    assert_int_equal(count_syncs_of_eight(*state, 1), THREADS);
}

/* One for the first, one for all who came meanwhile. */
static void with_0_all_that_wait_share_a_sync(void **state) {
    assert_int_equal(count_syncs_of_eight(*state, 0), 2);
}

/* One for the first, then 3, 3 and 1. */
static void with_3_at_most_three_share_a_sync(void **state) {
    assert_int_equal(count_syncs_of_eight(*state, 3), 4);
}

static void with_more_than_there_are_all_share_a_sync(void **state) {
    assert_int_equal(count_syncs_of_eight(*state, 1000), 2);
}

/* Tickets are appends like any other. */
static void tickets_share_a_sync(void **state) {
    struct fixture *fixture = *state;
    enum { COUNT = 20 };
    struct fbat_ticket *tickets[COUNT];
    open_for_groups(fixture, 0);
    unsigned before = atomic_load(&watched_disk.syncs);
    gate_shut(&sync_gate);
    for (int at = 0; at < COUNT; at++) {
        const struct fbat_new_event event = event_of("one", "scope", "payload");
        assert_ok(fbat_submit(fixture->store, &event, &level_durable, &tickets[at], &fault));
        gate_await(&sync_gate, 1);
    }
    gate_open(&sync_gate);
    for (int at = 0; at < COUNT; at++) {
        struct fbat_receipt receipt = ticket_done(tickets[at]);
        assert_int_equal(receipt.sequence, at + 2);
        assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
    }
    assert_in_range(atomic_load(&watched_disk.syncs) - before, 2, 4); /* the writer may meet the open gate half-way */
}

/* ---- keys are required ---- */

static void assert_key_required(int status) {
    assert_status(FBAT_ERR_IDEMPOTENCY_REQUIRED, status);
    assert_int_equal(fault.status, FBAT_ERR_IDEMPOTENCY_REQUIRED);
    assert_int_equal(fault.stage, FBAT_STAGE_VALIDATE);
    assert_message_has("batch.group_commit_max_batch");
}

static void more_than_1_requires_keys_of_every_kind_of_append(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.group_commit_max_batch = 2;
    open_store(fixture);
    const struct fbat_new_event keyed = event_keyed("key", "one", "payload"),
                                bare = event_of("one", "scope", "payload");
    const struct fbat_new_event batch[] = {keyed, bare};
    struct fbat_ticket *ticket;
    struct fbat_fence *fence;
    struct fbat_outbox *outbox;
    assert_key_required(fbat_append(fixture->store, &bare, NULL, NULL, &fault));
    assert_key_required(fbat_append_batch(fixture->store, batch, 2, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    assert_key_required(fbat_submit(fixture->store, &bare, NULL, &ticket, &fault));
    assert_key_required(fbat_submit_batch(fixture->store, batch, 2, NULL, &ticket, &fault));
    assert_key_required(fbat_try_submit(fixture->store, &bare, NULL, &ticket, &fault));
    assert_ok(fbat_fence_begin(fixture->store, &fence, &fault));
    assert_key_required(fbat_fence_append(fence, &bare, NULL, NULL, &fault));
    fbat_fence_cancel(fence);
    assert_ok(fbat_outbox_create(fixture->store, NULL, &outbox, &fault));
    assert_ok(fbat_outbox_stage(outbox, &keyed, &fault));
    assert_key_required(fbat_outbox_stage(outbox, &bare, &fault));
    assert_int_equal(fault.item, 1);
    fbat_outbox_destroy(outbox);
    assert_int_equal(count_events(fixture->store), 0);
    assert_ok(fbat_append(fixture->store, &keyed, NULL, NULL, &fault));
}

/* A reaction's id is derived where none is given, so it has one. */
static void reaction_has_a_key_of_its_own(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.group_commit_max_batch = 2;
    open_store(fixture);
    const struct fbat_new_event keyed = event_keyed("key", "one", "payload"),
                                bare = event_of("two", "scope", "payload");
    struct fbat_receipt cause = append_event(fixture->store, &keyed);
    assert_ok(fbat_append_reaction(fixture->store, &cause.id, &bare, NULL, NULL, &fault));
}

/* ---- what readers see meanwhile ---- */

static void durable_append_is_invisible_until_its_sync_is_done(void **state) {
    struct fixture *fixture = *state;
    static struct author author;
    struct fbat_store *reader;
    struct fbat_event event;
    const struct fbat_id id = id_of("author 0");
    open_for_groups(fixture, 0);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    gate_shut(&sync_gate);
    author_start(&author, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    struct fbat_frontier frontier = frontier_now(fixture->store);
    assert_int_equal(frontier.visible, 1);
    assert_int_equal(frontier.durable, 1);
    assert_int_equal(count_events(fixture->store), 1);
    assert_int_equal(count_events(reader), 1);
    assert_int_equal(revision_of(fixture->store, "one"), 0);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get(fixture->store, &id, &event, &fault));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, 2, &event, &fault));
    gate_open(&sync_gate);
    actor_join(&author.actor);
    assert_ok(author.status);
    assert_int_equal(count_events(fixture->store), 2);
    assert_int_equal(count_events(reader), 2);
    assert_ok(fbat_close(reader, &fault));
}

/* An append is never visible before one in front of it, whatever their levels. */
static void written_append_behind_a_durable_one_is_not_visible_before_it(void **state) {
    struct fixture *fixture = *state;
    static struct author durable, written;
    struct fbat_event event;
    open_for_groups(fixture, 0);
    gate_shut(&sync_gate);
    author_start(&durable, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    author_start(&written, fixture->store, 1, &level_written);
    actor_await_sleep(&written.actor);
    assert_int_equal(count_events(fixture->store), 1);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, 3, &event, &fault));
    gate_open(&sync_gate);
    actor_join(&durable.actor);
    actor_join(&written.actor);
    assert_ok(durable.status);
    assert_ok(written.status);
    assert_int_equal(durable.receipt.sequence, 2);
    assert_int_equal(written.receipt.sequence, 3);
    assert_int_equal(written.receipt.level, FBAT_LEVEL_WRITTEN);
    assert_answer_is_true(fixture->store, &durable);
    assert_answer_is_true(fixture->store, &written);
}

/* The expectation of one that follows sees what waits in front of it: no revision is given out twice. */
static void expectation_sees_what_waits_for_its_sync(void **state) {
    struct fixture *fixture = *state;
    static struct author author;
    open_for_groups(fixture, 0);
    gate_shut(&sync_gate);
    author_start(&author, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    const struct fbat_new_event first = event_expecting("one", FBAT_EXPECT_NONE, 0);
    const struct fbat_new_event second = event_expecting("one", FBAT_EXPECT_REVISION, 1);
    struct fbat_ticket *failing = submit_event(fixture->store, &first),
                       *following = submit_event(fixture->store, &second);
    gate_open(&sync_gate);
    actor_join(&author.actor);
    assert_ok(author.status);
    assert_int_equal(author.receipt.revision, 1);
    assert_ticket(FBAT_ERR_REVISION, failing);
    assert_int_equal(fault.actual_revision, 1);
    assert_int_equal(ticket_done(following).revision, 2);
}

struct repeat {
    struct author author;
    struct author again;
};

/* The key of an append whose sync is under way is known; its replay is not acknowledged before it. */
static void replay_of_an_append_that_waits_is_acknowledged_with_it(void **state) {
    struct fixture *fixture = *state;
    static struct repeat repeat;
    open_for_groups(fixture, 0);
    gate_shut(&sync_gate);
    author_start(&repeat.author, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    author_start(&repeat.again, fixture->store, 0, &level_written);
    actor_await_sleep(&repeat.again.actor);
    assert_false(actor_is_done(&repeat.again.actor));
    gate_open(&sync_gate);
    actor_join(&repeat.author.actor);
    actor_join(&repeat.again.actor);
    assert_ok(repeat.author.status);
    assert_ok(repeat.again.status);
    assert_int_equal(repeat.again.receipt.sequence, repeat.author.receipt.sequence);
    assert_int_equal(repeat.author.receipt.replayed + repeat.again.receipt.replayed, 1);
    assert_int_equal(count_events(fixture->store), 2);
}

/* ---- a sync that fails ---- */

static void retry_failed(struct fixture *fixture, struct author authors[THREADS]) {
    for (int at = 0; at < THREADS; at++) {
        bool failed = authors[at].status != FBAT_OK;
        append_once(&authors[at]);
        assert_ok(authors[at].status);
        assert_int_equal(authors[at].receipt.replayed, !failed);
        assert_answer_is_true(fixture->store, &authors[at]);
    }
}

static void assert_whole_log_of(struct fixture *fixture, uint64_t events) {
    assert_int_equal(count_events(fixture->store), events);
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), events);
    for (uint64_t revision = 1; revision < events; revision++) {
        struct fbat_event event;
        assert_ok(fbat_get_by_sequence(fixture->store, revision + 1, &event, &fault));
        assert_int_equal(event.revision, revision);
        fbat_event_release(&event);
    }
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

/* The sync that the others share fails: the first one is durable, of the others nothing is left, and they can be retried. */
static void failed_sync_fails_all_who_share_it(void **state) {
    struct fixture *fixture = *state;
    static struct author authors[THREADS];
    open_for_groups(fixture, 0);
    gather_authors(fixture, authors);
    gate_allow(&sync_gate, 1);
    actor_join(&authors[0].actor);
    gate_await(&sync_gate, 1);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    join_authors(authors + 1, THREADS - 1);
    assert_ok(authors[0].status);
    for (int at = 0; at < THREADS; at++) {
        assert_int_equal(authors[at].status == FBAT_OK, at == 0);
        assert_answer_is_true(fixture->store, &authors[at]);
    }
    assert_int_equal(count_events(fixture->store), 2);
    retry_failed(fixture, authors);
    assert_whole_log_of(fixture, THREADS + 1);
}

/* The first one's sync fails while the others wait for the next: each answer is true, whichever it is. */
static void failed_sync_with_others_behind_it_gives_true_answers(void **state) {
    struct fixture *fixture = *state;
    static struct author authors[THREADS];
    open_for_groups(fixture, 0);
    gather_authors(fixture, authors);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    join_authors(authors, THREADS);
    assert_status(FBAT_ERR_IO, authors[0].status);
    for (int at = 0; at < THREADS; at++)
        assert_answer_is_true(fixture->store, &authors[at]);
    retry_failed(fixture, authors);
    assert_whole_log_of(fixture, THREADS + 1);
}

/* It asked for no sync, so it does not fail with one: it takes the place of the event that is gone. */
static void written_append_behind_a_failed_durable_one_is_kept(void **state) {
    struct fixture *fixture = *state;
    static struct author durable, written;
    open_for_groups(fixture, 0);
    gate_shut(&sync_gate);
    author_start(&durable, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    author_start(&written, fixture->store, 1, &level_written);
    actor_await_sleep(&written.actor);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    actor_join(&durable.actor);
    actor_join(&written.actor);
    assert_status(FBAT_ERR_IO, durable.status);
    assert_ok(written.status);
    assert_int_equal(written.receipt.sequence, 2);
    assert_int_equal(written.receipt.revision, 1);
    assert_answer_is_true(fixture->store, &durable);
    assert_answer_is_true(fixture->store, &written);
    assert_whole_log_of(fixture, 2);
}

/* What was acknowledged `written` before is moved, not lost. */
static void failed_sync_keeps_what_was_acknowledged_before(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 0);
    static struct author authors[5];
    for (int at = 0; at < 4; at++) {
        author_start(&authors[at], fixture->store, at, &level_written);
        actor_join(&authors[at].actor);
        assert_ok(authors[at].status);
    }
    atomic_store(&watched_disk.syncs_to_fail, 1);
    author_start(&authors[4], fixture->store, 4, &level_durable);
    actor_join(&authors[4].actor);
    assert_status(FBAT_ERR_IO, authors[4].status);
    for (int at = 0; at < 5; at++)
        assert_answer_is_true(fixture->store, &authors[at]);
    assert_int_equal(count_events(fixture->store), 5);
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 5);
    assert_whole_log_of(fixture, 5);
}

/* The retry at level durable of what is only written asks for a sync; when that fails, it does not say OK for nothing. */
static void durable_retry_of_a_written_append_is_never_less(void **state) {
    struct fixture *fixture = *state;
    struct fbat_receipt receipt;
    open_for_groups(fixture, 0);
    const struct fbat_new_event event = event_keyed("key", "one", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 1);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    int status = fbat_append(fixture->store, &event, &level_durable, &receipt, &fault);
    assert_int_equal(atomic_load(&watched_disk.syncs_to_fail), 0);
    assert_true(status == FBAT_OK || status == FBAT_ERR_IO);
    if (status == FBAT_OK)
        assert_int_equal(frontier_now(fixture->store).durable, 2);
    assert_ok(fbat_append(fixture->store, &event, &level_durable, &receipt, &fault));
    assert_int_equal(receipt.replayed, 1);
    assert_int_equal(receipt.sequence, 2);
    assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
    assert_int_equal(frontier_now(fixture->store).durable, 2);
    assert_whole_log_of(fixture, 2);
}

static void await_served(struct fbat_store *store) {
    struct fbat_pressure pressure = {.used = 1};
    while (pressure.used > 0) {
        sched_yield();
        fbat_pressure(store, &pressure);
    }
}

/* A ticket and a blocking append behind it wait for a durable one in front of them, whose sync fails. */
static void check_order_after_failure(struct fixture *fixture, int round) {
    static struct author durable, behind;
    uint64_t last = frontier_now(fixture->store).visible;
    gate_shut(&sync_gate);
    author_start(&durable, fixture->store, 3 * round, &level_durable);
    gate_await(&sync_gate, 1);
    struct fbat_ticket *ticket = submit_text(fixture->store, "one", "ticket");
    await_served(fixture->store);
    author_start(&behind, fixture->store, 3 * round + 1, &level_written);
    actor_await_sleep(&behind.actor);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    actor_join(&durable.actor);
    actor_join(&behind.actor);
    assert_status(FBAT_ERR_IO, durable.status);
    assert_ok(behind.status);
    assert_int_equal(ticket_done(ticket).sequence, last + 1);
    assert_int_equal(behind.receipt.sequence, last + 2);
}

/* A blocking append takes its place behind the mailbox, also where both had to be taken back. */
static void order_is_kept_by_what_is_taken_back(void **state) {
    struct fixture *fixture = *state;
    fixture->config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    fixture->config.writer.restart_policy.max_restarts = 1000;
    fixture->config.writer.restart_policy.within_ms = 3600000;
    open_for_groups(fixture, 0);
    for (int round = 0; round < 25; round++)
        check_order_after_failure(fixture, round);
    assert_whole_log_of(fixture, 51);
}

static void append_what_needs_a_segment(void *user) {
    static char payload[64 << 10];
    struct author *author = user;
    struct fbat_new_event event = event_of("one", "scope", "");
    event.payload = fbat_bytes(payload, sizeof payload);
    author->status = fbat_append(author->store, &event, &level_written, &author->receipt, &author->error);
}

/* One sync is under way and will succeed; behind it an append needs a new segment, and the sync that goes with that fails.
 * Nothing counts as durable that was taken back. */
static void sync_that_succeeds_beside_one_that_fails_raises_no_watermark(void **state) {
    struct fixture *fixture = *state;
    static struct author durable, large;
    fixture->config.segment_max_bytes = 16 << 10;
    open_for_groups(fixture, 0);
    gate_shut(&sync_gate);
    author_start(&durable, fixture->store, 0, &level_durable);
    gate_await(&sync_gate, 1);
    large = (struct author){.store = fixture->store};
    actor_start(&large.actor, append_what_needs_a_segment, &large);
    actor_await_sleep(&large.actor);
    unsigned before = atomic_load(&watched_disk.syncs);
    gate_allow(&sync_gate, 1);
    while (atomic_load(&watched_disk.syncs) == before)
        sched_yield();
    atomic_store(&watched_disk.syncs_to_fail, 1);
    gate_open(&sync_gate);
    actor_join(&durable.actor);
    actor_join(&large.actor);
    assert_answer_is_true(fixture->store, &durable);
    struct fbat_frontier frontier = frontier_now(fixture->store);
    assert_int_equal(frontier.visible, count_events(fixture->store));
    atomic_store(&watched_disk.syncs_to_fail, 0);
    before = atomic_load(&watched_disk.syncs);
    append_once(&durable);
    assert_ok(durable.status);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_true(atomic_load(&watched_disk.syncs) > before);
    assert_whole_log_of(fixture, count_events(fixture->store));
}

/* ---- all acknowledged, in another process that is killed ---- */

enum { LIVES_APPENDS = 60 };

struct crowd_member {
    struct actor actor;
    struct fbat_store *store;
    int number, out;
    bool failed;
};

/* Tells the sequence and its number of each event that was acknowledged. */
static void append_many(void *user) {
    struct crowd_member *member = user;
    for (int turn = 0; turn < LIVES_APPENDS; turn++) {
        char text[32];
        struct fbat_receipt receipt;
        snprintf(text, sizeof text, "%d/%d", member->number, turn);
        struct fbat_new_event event = event_of("one", "scope", text);
        (void)fbat_id_derive(fbat_text(text), &event.id);
        const struct fbat_append_options *options = turn % 5 == 4 ? &level_written : &level_durable;
        if (fbat_append(member->store, &event, options, &receipt, NULL) != FBAT_OK)
            member->failed = true;
        const uint64_t told[2] = {receipt.sequence, (uint64_t)(member->number * LIVES_APPENDS + turn)};
        if (write(member->out, told, sizeof told) != sizeof told)
            member->failed = true;
    }
}

static int append_in_a_crowd(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct crowd_member members[THREADS];
    struct fbat_store *store;
    (void)in;
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    for (int at = 0; at < THREADS; at++) {
        members[at] = (struct crowd_member){.store = store, .number = at, .out = out};
        actor_start(&members[at].actor, append_many, &members[at]);
    }
    for (int at = 0; at < THREADS; at++) {
        actor_join(&members[at].actor);
        child_check(!members[at].failed);
    }
    return 0; /* without closing */
}

static void check_crowd(struct fixture *fixture, uint32_t group_commit_max_batch) {
    struct child child;
    uint64_t told[THREADS * LIVES_APPENDS][2];
    size_t count = 0;
    fixture->config.batch.group_commit_max_batch = group_commit_max_batch;
    child_start(&child, append_in_a_crowd, fixture);
    while (count < THREADS * LIVES_APPENDS && read(child.from, told[count], sizeof told[0]) == sizeof told[0])
        count++;
    assert_int_equal(child_wait(&child), 0);
    assert_int_equal(count, THREADS * LIVES_APPENDS);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), count);
    for (size_t at = 0; at < count; at++) {
        char text[32];
        snprintf(text, sizeof text, "%d/%d", (int)told[at][1] / LIVES_APPENDS, (int)told[at][1] % LIVES_APPENDS);
        assert_event_at(fixture->store, told[at][0], "one", text);
    }
    assert_int_equal(revision_of(fixture->store, "one"), count);
    close_store(fixture);
    assert_whole(fixture->dir);
}

static void all_acknowledged_with_1_are_there_after_death(void **state) {
    check_crowd(*state, 1);
}

static void all_acknowledged_with_4_are_there_after_death(void **state) {
    check_crowd(*state, 4);
}

static void all_acknowledged_with_0_are_there_after_death(void **state) {
    check_crowd(*state, 0);
}

/* ---- watermarks under load ---- */

struct load {
    struct actor actor;
    struct fbat_store *store;
    atomic_int *left;
    bool all_durable;
    bool failed;
};

static void append_under_load(void *user) {
    struct load *load = user;
    for (int turn = 0; turn < 100; turn++) {
        const struct fbat_new_event event = event_of("one", "scope", "payload");
        const struct fbat_append_options *options =
            load->all_durable || turn % 3 == 0 ? &level_durable : &level_written;
        if (fbat_append(load->store, &event, options, NULL, NULL) != FBAT_OK)
            load->failed = true;
    }
    atomic_fetch_sub(load->left, 1);
}

/* They never pass each other, and never go back. */
static void look_at_frontier(struct fbat_store *store, struct fbat_frontier *last, bool all_durable) {
    struct fbat_event event;
    uint64_t seen = 0;
    if (fbat_latest(store, fbat_text("one"), fbat_text("scope"), &event, NULL) == FBAT_OK) {
        seen = event.sequence;
        fbat_event_release(&event);
    }
    struct fbat_frontier frontier = frontier_now(store);
    assert_true(frontier.written >= last->written);
    assert_true(frontier.visible >= last->visible);
    assert_true(frontier.durable >= last->durable);
    assert_true(frontier.visible >= seen);
    if (all_durable)
        assert_true(frontier.durable >= seen);
    *last = frontier;
}

static void check_load(struct fixture *fixture, bool all_durable) {
    static struct load loads[4];
    struct fbat_frontier last = {0};
    static atomic_int left;
    atomic_store(&left, 4);
    fixture->config.batch.group_commit_max_batch = 0;
    open_store(fixture);
    for (int at = 0; at < 4; at++) {
        loads[at] = (struct load){.store = fixture->store, .left = &left, .all_durable = all_durable};
        actor_start(&loads[at].actor, append_under_load, &loads[at]);
    }
    while (atomic_load(&left) > 0) {
        look_at_frontier(fixture->store, &last, all_durable);
        sched_yield();
    }
    for (int at = 0; at < 4; at++) {
        actor_join(&loads[at].actor);
        assert_false(loads[at].failed);
    }
    look_at_frontier(fixture->store, &last, all_durable);
    assert_int_equal(last.visible, 400);
    assert_int_equal(last.accepted, 400);
}

static void watermarks_keep_their_order_under_load(void **state) {
    check_load(*state, false);
}

/* Whoever sees an event of level durable may count on it. */
static void visible_durable_events_are_durable(void **state) {
    check_load(*state, true);
}

/* ---- waiting for durability ---- */

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wait_asks_for_the_sync_that_is_missing(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 1);
    for (int at = 0; at < 3; at++)
        append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(frontier_now(fixture->store).durable, 1);
    unsigned before = atomic_load(&watched_disk.syncs);
    assert_ok(fbat_wait_durable(fixture->store, 3, PATIENCE_MS, &fault));
    assert_true(frontier_now(fixture->store).durable >= 3);
    assert_int_equal(atomic_load(&watched_disk.syncs) - before, 1);
    assert_ok(fbat_wait_durable(fixture->store, 4, FBAT_FOREVER, &fault));
}

/* Nor is a sync asked for. */
static void wait_for_what_is_durable_already_comes_back_at_once(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 1);
    append_text(fixture->store, "one", "scope", "payload");
    unsigned before = atomic_load(&watched_disk.syncs);
    assert_ok(fbat_wait_durable(fixture->store, 1, 0, &fault));
    assert_ok(fbat_wait_durable(fixture->store, 0, 0, &fault));
    assert_int_equal(atomic_load(&watched_disk.syncs), before);
    assert_int_equal(frontier_now(fixture->store).durable, 1);
}

static void wait_ends_after_its_time(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 1);
    uint64_t before = monotonic_ms();
    assert_status(FBAT_RETRY, fbat_wait_durable(fixture->store, 2, 30, &fault));
    assert_true(monotonic_ms() - before >= 29); /* the clock's own rounding aside */
    assert_status(FBAT_RETRY, fbat_wait_durable(fixture->store, UINT64_MAX, 0, &fault));
}

/* Also where the sync itself takes longer. */
static void wait_ends_after_its_time_while_a_sync_is_under_way(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 1);
    append_text(fixture->store, "one", "scope", "payload");
    gate_shut(&sync_gate);
    assert_status(FBAT_RETRY, fbat_wait_durable(fixture->store, 2, 10, &fault));
    assert_status(FBAT_RETRY, fbat_wait_durable(fixture->store, 2, 10, &fault));
    gate_open(&sync_gate);
    assert_ok(fbat_wait_durable(fixture->store, 2, PATIENCE_MS, &fault));
}

struct waiter {
    struct actor actor;
    struct fbat_store *store;
    uint64_t sequence;
    struct fbat_error error;
    int status;
};

static void wait_for_sequence(void *user) {
    struct waiter *waiter = user;
    waiter->status = fbat_wait_durable(waiter->store, waiter->sequence, PATIENCE_MS, &waiter->error);
}

static void waiter_start(struct waiter *waiter, struct fbat_store *store, uint64_t sequence) {
    *waiter = (struct waiter){.store = store, .sequence = sequence};
    actor_start(&waiter->actor, wait_for_sequence, waiter);
    actor_await_sleep(&waiter->actor);
}

static void any_number_of_waiters_share_a_sync(void **state) {
    struct fixture *fixture = *state;
    static struct waiter waiters[THREADS];
    open_for_groups(fixture, 1);
    for (int at = 0; at < THREADS; at++)
        append_text(fixture->store, "one", "scope", "payload");
    unsigned before = atomic_load(&watched_disk.syncs);
    gate_shut(&sync_gate);
    for (int at = 0; at < THREADS; at++)
        waiter_start(&waiters[at], fixture->store, 2 + (uint64_t)at);
    gate_await(&sync_gate, 1);
    for (int at = 0; at < THREADS; at++)
        assert_false(actor_is_done(&waiters[at].actor));
    gate_open(&sync_gate);
    for (int at = 0; at < THREADS; at++) {
        actor_join(&waiters[at].actor);
        assert_ok(waiters[at].status);
    }
    assert_int_equal(atomic_load(&watched_disk.syncs) - before, 1);
}

/* An event that comes later is waited for, and its sync asked for. */
static void sequence_not_yet_given_out_is_waited_for(void **state) {
    struct fixture *fixture = *state;
    static struct waiter waiter;
    open_for_groups(fixture, 1);
    waiter_start(&waiter, fixture->store, 3);
    assert_false(actor_is_done(&waiter.actor));
    append_text(fixture->store, "one", "scope", "payload");
    append_text(fixture->store, "one", "scope", "payload");
    actor_join(&waiter.actor);
    assert_ok(waiter.status);
    assert_true(frontier_now(fixture->store).durable >= 3);
}

static void waiter_is_told_that_the_writer_died(void **state) {
    struct fixture *fixture = *state;
    static struct waiter waiter;
    open_for_groups(fixture, 1);
    waiter_start(&waiter, fixture->store, 1000);
    atomic_store(&watched_disk.syncs_to_fail, 1000);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    int status = FBAT_OK;
    for (int time = 0; time < 3 && status != FBAT_ERR_WRITER_DEAD; time++)
        status = fbat_append(fixture->store, &event, &level_durable, NULL, &fault);
    assert_status(FBAT_ERR_WRITER_DEAD, status);
    actor_join(&waiter.actor);
    assert_status(FBAT_ERR_WRITER_DEAD, waiter.status);
    assert_int_equal(waiter.error.status, FBAT_ERR_WRITER_DEAD);
    assert_int_equal(waiter.error.os_errno, EIO); /* the first cause */
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_wait_durable(fixture->store, 1000, FBAT_FOREVER, &fault));
    atomic_store(&watched_disk.syncs_to_fail, 0);
    struct fbat_store *store = fixture->store;
    fixture->store = NULL;
    assert_true(fbat_close(store, NULL) < 0);
}

/* Within the restart policy the tail is moved and synced there. */
static void wait_outlasts_a_failed_sync(void **state) {
    struct fixture *fixture = *state;
    open_for_groups(fixture, 1);
    append_text(fixture->store, "one", "scope", "payload");
    append_text(fixture->store, "one", "scope", "payload");
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_ok(fbat_wait_durable(fixture->store, 3, PATIENCE_MS, &fault));
    assert_int_equal(atomic_load(&watched_disk.syncs_to_fail), 0);
    assert_true(frontier_now(fixture->store).durable >= 3);
    assert_whole_log_of(fixture, 3);
}

static void wait_on_a_read_only_handle_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader;
    open_for_groups(fixture, 1);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_wait_durable(reader, 1, FBAT_FOREVER, &fault));
    assert_ok(fbat_close(reader, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(with_1_each_append_has_a_sync_of_its_own),
        behaviour(with_0_all_that_wait_share_a_sync),
        behaviour(with_3_at_most_three_share_a_sync),
        behaviour(with_more_than_there_are_all_share_a_sync),
        behaviour(tickets_share_a_sync),
        behaviour(more_than_1_requires_keys_of_every_kind_of_append),
        behaviour(reaction_has_a_key_of_its_own),
        behaviour(durable_append_is_invisible_until_its_sync_is_done),
        behaviour(written_append_behind_a_durable_one_is_not_visible_before_it),
        behaviour(expectation_sees_what_waits_for_its_sync),
        behaviour(replay_of_an_append_that_waits_is_acknowledged_with_it),
        behaviour(failed_sync_fails_all_who_share_it),
        behaviour(failed_sync_with_others_behind_it_gives_true_answers),
        behaviour(written_append_behind_a_failed_durable_one_is_kept),
        behaviour(failed_sync_keeps_what_was_acknowledged_before),
        behaviour(durable_retry_of_a_written_append_is_never_less),
        behaviour(order_is_kept_by_what_is_taken_back),
        behaviour(sync_that_succeeds_beside_one_that_fails_raises_no_watermark),
        behaviour(all_acknowledged_with_1_are_there_after_death),
        behaviour(all_acknowledged_with_4_are_there_after_death),
        behaviour(all_acknowledged_with_0_are_there_after_death),
        behaviour(watermarks_keep_their_order_under_load),
        behaviour(visible_durable_events_are_durable),
        behaviour(wait_asks_for_the_sync_that_is_missing),
        behaviour(wait_for_what_is_durable_already_comes_back_at_once),
        behaviour(wait_ends_after_its_time),
        behaviour(wait_ends_after_its_time_while_a_sync_is_under_way),
        behaviour(any_number_of_waiters_share_a_sync),
        behaviour(sequence_not_yet_given_out_is_waited_for),
        behaviour(waiter_is_told_that_the_writer_died),
        behaviour(wait_outlasts_a_failed_sync),
        behaviour(wait_on_a_read_only_handle_is_refused),
    };
    return cmocka_run_group_tests_name("api: group commit", tests, NULL, NULL);
}
