/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences among deaths, failing syncs and other threads: all of a fence is there, or it is as if it had never been.
 */
#include "fixture.h"

#include <sched.h>

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

static struct fbat_receipt fence_event(struct fbat_fence *fence, const struct fbat_new_event *event) {
    struct fbat_receipt receipt;
    assert_ok(fbat_fence_append(fence, event, NULL, &receipt, &fault));
    return receipt;
}

static struct fbat_receipt fence_text(struct fbat_fence *fence, const char *entity, const char *payload) {
    const struct fbat_new_event event = event_of(entity, "scope", payload);
    return fence_event(fence, &event);
}

/* ---- death ---- */

struct death {
    struct fixture *fixture;
    bool commits;
    const struct fbat_append_options *options; /* of the commit */
    int appends;
};

/* A fence that commits, one that does not: then it dies. */
static int die_in_a_fence(void *user, int in, int out) {
    const struct death *death = user;
    struct fbat_store *store;
    struct fbat_fence *fence;
    const struct fbat_new_event old = event_of("old", "scope", "payload"), new = event_of("new", "scope", "payload");
    const struct fbat_new_event batch[] = {new, old};
    (void)in, (void)out;
    child_check(fbat_open(&death->fixture->config, &store, NULL) == FBAT_OK);
    child_check(fbat_append(store, &old, &level_durable, NULL, NULL) == FBAT_OK);
    child_check(fbat_fence_begin(store, &fence, NULL) == FBAT_OK);
    for (int turn = 0; turn < death->appends; turn++)
        child_check(fbat_fence_append_batch(fence, batch, 2, NULL, NULL, NULL) == FBAT_OK);
    if (death->commits)
        child_check(fbat_fence_commit(fence, death->options, NULL) == FBAT_OK);
    else
        child_check(fbat_sync(store, NULL) == FBAT_OK); /* staged frames on the disk do not commit themselves */
    return 0;
}

static void check_death(struct death *death) {
    struct fixture *fixture = death->fixture;
    struct child child;
    struct fbat_store *reader;
    uint64_t expected = death->commits ? 1 + 2 * (uint64_t)death->appends : 1;
    child_start(&child, die_in_a_fence, death);
    assert_int_equal(child_wait(&child), 0);
    assert_whole(fixture->dir);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_int_equal(count_events(reader), expected);
    assert_ok(fbat_close(reader, &fault));
    for (int pass = 0; pass < 2; pass++) {
        open_store(fixture);
        assert_int_equal(count_events(fixture->store), expected);
        assert_int_equal(revision_of(fixture->store, "new"), expected / 2);
        const struct fbat_new_event event = event_expecting("old", FBAT_EXPECT_REVISION, expected / 2 + 1);
        assert_int_equal(append_event(fixture->store, &event).sequence, expected + 1);
        expected += 2;
        const struct fbat_new_event other = event_expecting("new", FBAT_EXPECT_REVISION, expected / 2 - 1);
        append_event(fixture->store, &other);
        close_store(fixture);
        assert_int_equal(assert_whole(fixture->dir).events, expected);
    }
    assert_true(test_remove_tree(fixture->dir));
}

static void death_in_a_fence_leaves_nothing_of_it(void **state) {
    static const uint64_t segments[] = {256 << 20, 4 << 10};
    struct fixture *fixture = *state;
    for (int at = 0; at < 2; at++)
        for (int appends = 0; appends < 20; appends += 4) {
            struct death death = {.fixture = fixture, .appends = appends};
            fixture->config.segment_max_bytes = segments[at];
            check_death(&death);
        }
}

static void death_after_the_commit_leaves_all_of_it(void **state) {
    static const uint64_t segments[] = {256 << 20, 4 << 10};
    static const struct fbat_append_options *const levels[] = {&level_written, &level_durable};
    struct fixture *fixture = *state;
    for (int at = 0; at < 4; at++) {
        struct death death = {.fixture = fixture, .commits = true, .options = levels[at / 2], .appends = 9};
        fixture->config.segment_max_bytes = segments[at % 2];
        check_death(&death);
    }
}

/* ---- a sync or a write that fails ---- */

static void assert_goes_on_without_fence(struct fixture *fixture) {
    assert_int_equal(count_events(fixture->store), 1);
    assert_int_equal(revision_of(fixture->store, "new"), 0);
    const struct fbat_new_event old = event_expecting("old", FBAT_EXPECT_REVISION, 1);
    assert_int_equal(append_event(fixture->store, &old).sequence, 2);
    struct fbat_fence *fence = begin(fixture->store);
    const struct fbat_new_event new = event_expecting("new", FBAT_EXPECT_NONE, 0);
    assert_int_equal(fence_event(fence, &new).sequence, 3);
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 3);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 3);
}

static struct fbat_fence *begin_on_watched_disk(struct fixture *fixture) {
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    append_text(fixture->store, "old", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "old", "payload");
    fence_text(fence, "new", "payload");
    return fence;
}

static void commit_whose_sync_fails_cancels_the_fence(void **state) {
    struct fixture *fixture = *state;
    struct fbat_fence *fence = begin_on_watched_disk(fixture);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_status(FBAT_ERR_IO, fbat_fence_commit(fence, &level_durable, &fault));
    assert_int_equal(fault.stage, FBAT_STAGE_SYNC);
    assert_goes_on_without_fence(fixture);
}

/* The segment is given up, and with it the fence that stands in it; a later call under it says so. */
static void failed_sync_of_the_segment_cancels_the_open_fence(void **state) {
    struct fixture *fixture = *state;
    struct fbat_fence *fence = begin_on_watched_disk(fixture);
    const struct fbat_new_event event = event_of("new", "scope", "payload");
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_ok(fbat_sync(fixture->store, &fault)); /* in the new segment, to which the tail was moved */
    assert_int_equal(atomic_load(&watched_disk.syncs_to_fail), 0);
    assert_int_equal(frontier_now(fixture->store).durable, 1);
    int status = fbat_fence_append(fence, &event, NULL, NULL, &fault);
    if (status == FBAT_ERR_CANCELLED) {
        assert_status(FBAT_ERR_CANCELLED, fbat_fence_commit(fence, NULL, &fault));
    } else {
        assert_ok(status); /* it was moved along: as good */
        fbat_fence_cancel(fence);
    }
    assert_goes_on_without_fence(fixture);
}

struct committer {
    struct actor actor;
    struct fbat_fence *fence;
    int status;
};

static void commit_durably(void *user) {
    struct committer *committer = user;
    committer->status = fbat_fence_commit(committer->fence, &level_durable, NULL);
}

static void commit_is_invisible_until_its_sync_is_done(void **state) {
    struct fixture *fixture = *state;
    static struct committer committer;
    committer = (struct committer){.fence = begin_on_watched_disk(fixture)};
    gate_shut(&sync_gate);
    actor_start(&committer.actor, commit_durably, &committer);
    gate_await(&sync_gate, 1);
    assert_int_equal(count_events(fixture->store), 1);
    assert_int_equal(revision_of(fixture->store, "new"), 0);
    gate_open(&sync_gate);
    actor_join(&committer.actor);
    assert_ok(committer.status);
    assert_int_equal(count_events(fixture->store), 3);
    assert_int_equal(frontier_now(fixture->store).durable, 3);
}

struct rival {
    struct actor actor;
    struct fbat_store *store;
    struct fbat_receipt receipt;
    int status;
};

static void append_durably(void *user) {
    struct rival *rival = user;
    const struct fbat_new_event event = event_of("old", "scope", "payload");
    rival->status = fbat_append(rival->store, &event, &level_durable, &rival->receipt, NULL);
}

static void fence_at_once(void *user) {
    struct rival *rival = user;
    struct fbat_fence *fence;
    const struct fbat_new_event event = event_of("new", "scope", "payload");
    rival->status = fbat_fence_begin(rival->store, &fence, NULL);
    if (rival->status != FBAT_OK)
        return;
    (void)fbat_fence_append(fence, &event, NULL, &rival->receipt, NULL);
    rival->status = fbat_fence_commit(fence, &level_written, NULL);
}

/* An append waits for its sync, and a fence comes behind it. Whatever becomes of the first, the fence is at its place. */
static void check_fence_behind_a_waiting_append(struct fixture *fixture, unsigned syncs_to_fail) {
    static struct rival front, fence;
    front = fence = (struct rival){.store = fixture->store};
    gate_shut(&sync_gate);
    actor_start(&front.actor, append_durably, &front);
    gate_await(&sync_gate, 1);
    actor_start(&fence.actor, fence_at_once, &fence);
    actor_await_sleep(&fence.actor);
    assert_int_equal(count_events(fixture->store), 1);
    atomic_store(&watched_disk.syncs_to_fail, syncs_to_fail);
    gate_open(&sync_gate);
    actor_join(&front.actor);
    actor_join(&fence.actor);
    assert_status(syncs_to_fail ? FBAT_ERR_IO : FBAT_OK, front.status);
    assert_ok(fence.status);
    assert_int_equal(count_events(fixture->store), syncs_to_fail ? 2 : 3);
    assert_int_equal(fence.receipt.sequence, syncs_to_fail ? 2 : 3);
    assert_event_at(fixture->store, fence.receipt.sequence, "new", "payload");
    assert_int_equal(revision_of(fixture->store, "old"), syncs_to_fail ? 1 : 2);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, syncs_to_fail ? 2 : 3);
    assert_true(test_remove_tree(fixture->dir));
}

static void fence_behind_a_waiting_append_does_not_share_its_fate(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    for (unsigned syncs_to_fail = 0; syncs_to_fail < 2; syncs_to_fail++) {
        open_store_watched(fixture);
        append_text(fixture->store, "old", "scope", "payload");
        check_fence_behind_a_waiting_append(fixture, syncs_to_fail);
    }
}

static void dead_writer_has_no_fence(void **state) {
    struct fixture *fixture = *state;
    struct fbat_fence *fence = begin_on_watched_disk(fixture);
    atomic_store(&watched_disk.syncs_to_fail, 1000);
    assert_status(FBAT_ERR_IO, fbat_fence_commit(fence, &level_durable, &fault));
    const struct fbat_new_event event = event_of("old", "scope", "payload");
    assert_true(fbat_append(fixture->store, &event, &level_durable, NULL, &fault) < 0);
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_fence_begin(fixture->store, &fence, &fault));
    assert_int_equal(count_events(fixture->store), 1);
    atomic_store(&watched_disk.syncs_to_fail, 0);
    struct fbat_store *store = fixture->store;
    fixture->store = NULL;
    assert_true(fbat_close(store, NULL) < 0);
    open_store(fixture); /* `written` survives the death of the writer; the fence's events may, but only together */
    uint64_t events = count_events(fixture->store);
    assert_true(events == 1 || events == 3);
    assert_int_equal(revision_of(fixture->store, "old") + revision_of(fixture->store, "new"), events);
}

/* ---- many threads ---- */

enum { FENCERS = 4, FENCES = 40, PER_FENCE = 3 };

struct fencer {
    struct actor actor;
    struct fbat_store *store;
    int number;
    int committed, appended;
    const char *complaint;
};

static void run_fence(struct fencer *self, int turn) {
    struct fbat_fence *fence;
    int status;
    while ((status = fbat_fence_begin(self->store, &fence, NULL)) == FBAT_ERR_FENCE_ACTIVE)
        sched_yield();
    if (status != FBAT_OK) {
        self->complaint = "begin failed";
        return;
    }
    for (int at = 0; at < PER_FENCE; at++) {
        const struct fbat_new_event event = event_of(at % 2 ? "odd" : "even", "scope", "fence");
        if (fbat_fence_append(fence, &event, NULL, NULL, NULL) != FBAT_OK)
            self->complaint = "an append under the fence failed";
    }
    if (turn % 3 == 0) {
        fbat_fence_cancel(fence);
        return;
    }
    if (fbat_fence_commit(fence, turn % 8 == 1 ? &level_durable : NULL, NULL) != FBAT_OK)
        self->complaint = "commit failed";
    self->committed++;
}

static void fence_and_append(void *user) {
    struct fencer *self = user;
    for (int turn = 0; turn < FENCES && !self->complaint; turn++) {
        run_fence(self, turn);
        const struct fbat_new_event event = event_of("single", "scope", "single");
        int status = fbat_append(self->store, &event, turn % 8 == 2 ? &level_durable : NULL, NULL, NULL);
        self->appended += status == FBAT_OK;
        if (status != FBAT_OK && status != FBAT_ERR_FENCE_ACTIVE)
            self->complaint = "a single append failed";
    }
}

/* Between the singles, a fence's events always come in whole. */
static void assert_fences_are_whole(struct fbat_store *store) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint64_t run = 0;
    int status;
    assert_ok(fbat_query(store, NULL, NULL, &iterator, &fault));
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK) {
        if (event.payload.size == 5)
            run++;
        else
            assert_int_equal(run % PER_FENCE, 0);
    }
    assert_status(FBAT_END, status);
    assert_int_equal(run % PER_FENCE, 0);
    fbat_iterator_close(iterator);
}

static bool all_done(struct fencer fencers[FENCERS]) {
    bool done = true;
    for (int at = 0; at < FENCERS; at++)
        done &= actor_is_done(&fencers[at].actor);
    return done;
}

static void fences_of_many_threads_are_seen_whole(void **state) {
    struct fixture *fixture = *state;
    static struct fencer fencers[FENCERS];
    struct fbat_store *reader;
    fixture->config.segment_max_bytes = 32 << 10;
    fixture->config.batch.group_commit_max_batch = 0;
    open_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    for (int at = 0; at < FENCERS; at++) {
        fencers[at] = (struct fencer){.store = fixture->store, .number = at};
        actor_start(&fencers[at].actor, fence_and_append, &fencers[at]);
    }
    while (!all_done(fencers)) {
        assert_fences_are_whole(fixture->store);
        assert_fences_are_whole(reader);
    }
    uint64_t events = 0;
    for (int at = 0; at < FENCERS; at++) {
        actor_join(&fencers[at].actor);
        if (fencers[at].complaint)
            fail_msg("%s", fencers[at].complaint);
        events += (uint64_t)(fencers[at].committed * PER_FENCE + fencers[at].appended);
    }
    assert_int_equal(count_events(fixture->store), events);
    assert_int_equal(count_events(reader), events);
    assert_ok(fbat_close(reader, &fault));
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(death_in_a_fence_leaves_nothing_of_it),
        behaviour_in_memory(death_after_the_commit_leaves_all_of_it),
        behaviour(commit_whose_sync_fails_cancels_the_fence),
        behaviour(failed_sync_of_the_segment_cancels_the_open_fence),
        behaviour(commit_is_invisible_until_its_sync_is_done),
        behaviour(fence_behind_a_waiting_append_does_not_share_its_fate),
        behaviour(dead_writer_has_no_fence),
        behaviour_in_memory(fences_of_many_threads_are_seen_whole),
    };
    return cmocka_run_group_tests_name("api: fences and failures", tests, NULL, NULL);
}
