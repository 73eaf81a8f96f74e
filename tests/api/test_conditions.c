/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of an append on streams that it may or may not write to: each expectation against each state of a stream, for
 * every way to append; which one failed, and when they are not looked at.
 */
#include "fixture.h"

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_condition condition_of(const char *entity, enum fbat_expect expect, uint64_t revision) {
    return (struct fbat_condition){
        .entity = fbat_text(entity), .scope = fbat_text("scope"), .expect = expect, .expected_revision = revision};
}

static struct fbat_append_options options_of(const struct fbat_condition *conditions, size_t count) {
    return (struct fbat_append_options){
        .struct_size = sizeof(struct fbat_append_options), .conditions = conditions, .condition_count = count};
}

/* A stream "watched" of so many events. */
static void make_watched(struct fixture *fixture, int events) {
    for (int at = 0; at < events; at++)
        append_text(fixture->store, "watched", "scope", "payload");
}

static void assert_fails(struct fixture *fixture, const struct fbat_condition *conditions, size_t count,
                         uint32_t failed, uint64_t actual) {
    const struct fbat_append_options options = options_of(conditions, count);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_frontier before = frontier_now(fixture->store);
    memset(&fault, 0x5a, sizeof fault);
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_int_equal(fault.status, FBAT_ERR_REVISION);
    assert_int_equal(fault.condition, failed);
    assert_int_equal(fault.actual_revision, actual);
    assert_int_equal(fault.stage, FBAT_STAGE_CONDITION);
    assert_true(fault.item == FBAT_NO_ITEM);
    if (conditions[failed - 1].expect == FBAT_EXPECT_REVISION)
        assert_int_equal(fault.expected_revision, conditions[failed - 1].expected_revision);
    char text[32];
    snprintf(text, sizeof text, "condition %u", failed);
    assert_message_has(text);
    assert_int_equal(frontier_now(fixture->store).accepted, before.accepted);
    assert_int_equal(frontier_now(fixture->store).visible, before.visible);
}

static void assert_holds(struct fixture *fixture, const struct fbat_condition *conditions, size_t count) {
    const struct fbat_append_options options = options_of(conditions, count);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    uint64_t before = count_events(fixture->store);
    assert_ok(fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_int_equal(count_events(fixture->store), before + 1);
}

/* ---- each expectation, for a stream that is not written to ---- */

static void none_holds_where_there_is_no_stream(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_NONE, 0);
    assert_holds(fixture, &condition, 1);
    make_watched(fixture, 3);
    assert_fails(fixture, &condition, 1, 1, 3);
}

static void exists_holds_where_there_is_a_stream(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_EXISTS, 0);
    assert_fails(fixture, &condition, 1, 1, 0);
    make_watched(fixture, 2);
    assert_holds(fixture, &condition, 1);
}

static void revision_holds_at_that_revision_exactly(void **state) {
    struct fixture *fixture = opened(state);
    static const uint64_t wrong[] = {0, 1, 2, 4, UINT64_MAX};
    make_watched(fixture, 3);
    for (int at = 0; at < 5; at++) {
        const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_REVISION, wrong[at]);
        assert_fails(fixture, &condition, 1, 1, 3);
    }
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_REVISION, 3);
    assert_holds(fixture, &condition, 1);
    assert_holds(fixture, &condition, 1); /* the append is to another stream, so nothing has changed */
    make_watched(fixture, 1);
    assert_fails(fixture, &condition, 1, 1, 4);
}

static void revision_zero_is_none(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_REVISION, 0);
    assert_holds(fixture, &condition, 1);
    make_watched(fixture, 1);
    assert_fails(fixture, &condition, 1, 1, 1);
}

static void any_holds_always(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_ANY, 77);
    assert_holds(fixture, &condition, 1);
    make_watched(fixture, 1);
    assert_holds(fixture, &condition, 1);
}

static void condition_is_about_the_stream_in_its_scope(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "watched", "elsewhere", "payload");
    struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_NONE, 0);
    assert_holds(fixture, &condition, 1);
    condition.scope = fbat_text("elsewhere");
    assert_fails(fixture, &condition, 1, 1, 1);
}

/* A condition looks; it does not make the stream it looks at. */
static void condition_makes_no_stream(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition none = condition_of("watched", FBAT_EXPECT_NONE, 0);
    const struct fbat_condition exists = condition_of("watched", FBAT_EXPECT_EXISTS, 0);
    struct fbat_stats stats;
    for (int turn = 0; turn < 3; turn++) {
        assert_holds(fixture, &none, 1);
        assert_fails(fixture, &exists, 1, 1, 0);
    }
    assert_ok(fbat_stats(fixture->store, &stats, &fault));
    assert_int_equal(stats.streams, 1);
}

/* ---- streams that are written to ---- */

/* For streams as they are before the first item goes in. */
static void condition_on_a_written_stream_is_checked_before_it_is_written(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition none = condition_of("one", FBAT_EXPECT_NONE, 0);
    assert_holds(fixture, &none, 1);
    assert_fails(fixture, &none, 1, 1, 1);
    const struct fbat_condition first = condition_of("one", FBAT_EXPECT_REVISION, 1);
    assert_holds(fixture, &first, 1);
    assert_fails(fixture, &first, 1, 1, 2);
}

/* The items' own expectations see the items before them; the conditions see none of them. */
static void conditions_of_a_batch_see_none_of_its_items(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition none = condition_of("one", FBAT_EXPECT_NONE, 0);
    const struct fbat_condition exists = condition_of("one", FBAT_EXPECT_EXISTS, 0);
    const struct fbat_append_options good = options_of(&none, 1), bad = options_of(&exists, 1);
    const struct fbat_new_event batch[] = {event_expecting("one", FBAT_EXPECT_NONE, 0),
                                           event_expecting("one", FBAT_EXPECT_REVISION, 1)};
    assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, batch, 2, &bad, NULL, &fault));
    assert_int_equal(fault.condition, 1);
    assert_true(fault.item == FBAT_NO_ITEM);
    assert_int_equal(count_events(fixture->store), 0);
    assert_ok(fbat_append_batch(fixture->store, batch, 2, &good, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 2);
}

/* The item that fails is told from the condition that fails. */
static void failed_item_is_no_condition(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition none = condition_of("watched", FBAT_EXPECT_NONE, 0);
    const struct fbat_append_options options = options_of(&none, 1);
    const struct fbat_new_event batch[] = {event_of("one", "scope", "payload"),
                                           event_expecting("one", FBAT_EXPECT_NONE, 0)};
    assert_status(FBAT_ERR_REVISION, fbat_append_batch(fixture->store, batch, 2, &options, NULL, &fault));
    assert_int_equal(fault.condition, 0);
    assert_int_equal(fault.item, 1);
    assert_int_equal(fault.actual_revision, 1);
    append_text(fixture->store, "one", "scope", "payload");
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &batch[1], &options, NULL, &fault));
    assert_int_equal(fault.condition, 0);
    assert_true(fault.item == FBAT_NO_ITEM);
}

/* ---- several ---- */

static void first_condition_that_fails_is_named(void **state) {
    struct fixture *fixture = opened(state);
    make_watched(fixture, 2);
    const struct fbat_condition conditions[] = {
        condition_of("watched", FBAT_EXPECT_EXISTS, 0),
        condition_of("nobody", FBAT_EXPECT_NONE, 0),
        condition_of("watched", FBAT_EXPECT_REVISION, 1),
        condition_of("nobody", FBAT_EXPECT_EXISTS, 0),
    };
    assert_fails(fixture, conditions, 4, 3, 2);
    assert_fails(fixture, conditions + 1, 3, 2, 2);
    assert_fails(fixture, conditions + 3, 1, 1, 0);
    assert_holds(fixture, conditions, 2);
    assert_holds(fixture, conditions, 0);
}

static void so_many_conditions_as_allowed_are_all_looked_at(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_condition conditions[FBAT_CONDITIONS_MAX + 1];
    make_watched(fixture, 1);
    for (int at = 0; at <= FBAT_CONDITIONS_MAX; at++)
        conditions[at] = condition_of("watched", FBAT_EXPECT_REVISION, 1);
    assert_holds(fixture, conditions, FBAT_CONDITIONS_MAX);
    conditions[FBAT_CONDITIONS_MAX - 1].expected_revision = 2;
    assert_fails(fixture, conditions, FBAT_CONDITIONS_MAX, FBAT_CONDITIONS_MAX, 1);
    const struct fbat_append_options options = options_of(conditions, FBAT_CONDITIONS_MAX + 1);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    int status = fbat_append(fixture->store, &event, &options, NULL, &fault);
    assert_true(status == FBAT_ERR_ARGUMENT || status == FBAT_ERR_TOO_LARGE || status == FBAT_ERR_LIMIT);
    assert_int_equal(fault.stage, FBAT_STAGE_VALIDATE);
}

/* ---- what is not a condition ---- */

static void assert_not_acceptable(struct fixture *fixture, int expected, const struct fbat_condition *condition) {
    const struct fbat_condition conditions[] = {condition_of("watched", FBAT_EXPECT_ANY, 0), *condition};
    const struct fbat_append_options options = options_of(conditions, 2);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_status(expected, fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_int_equal(fault.stage, FBAT_STAGE_VALIDATE);
    assert_message_has("condition 2");
    assert_int_equal(count_events(fixture->store), 0);
}

static void unacceptable_condition_is_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_condition condition = condition_of("", FBAT_EXPECT_ANY, 0);
    assert_not_acceptable(fixture, FBAT_ERR_NAME, &condition);
    condition = condition_of("watched", FBAT_EXPECT_ANY, 0);
    condition.scope = fbat_text("\xff");
    assert_not_acceptable(fixture, FBAT_ERR_NAME, &condition);
    condition = condition_of("watched", (enum fbat_expect)4, 0);
    assert_not_acceptable(fixture, FBAT_ERR_ARGUMENT, &condition);
    condition = condition_of("watched", FBAT_EXPECT_ANY, 0);
    condition.reserved = 1;
    assert_not_acceptable(fixture, FBAT_ERR_ARGUMENT, &condition);
}

/* ---- retries ---- */

/* An append whose keys are all known is a retry, and they are not looked at. */
static void retry_by_key_ignores_conditions(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_NONE, 0);
    const struct fbat_append_options options = options_of(&condition, 1);
    const struct fbat_new_event batch[] = {event_keyed("a", "one", "payload"), event_keyed("b", "one", "payload")};
    struct fbat_receipt receipts[2];
    struct fbat_ticket *ticket;
    assert_ok(fbat_append_batch(fixture->store, batch, 2, &options, NULL, &fault));
    make_watched(fixture, 1);
    for (int pass = 0; pass < 2; pass++) {
        assert_ok(fbat_append_batch(fixture->store, batch, 2, &options, receipts, &fault));
        assert_int_equal(receipts[0].replayed + receipts[1].replayed, 2);
        assert_ok(fbat_append(fixture->store, &batch[1], &options, receipts, &fault));
        assert_int_equal(receipts[0].replayed, 1);
        assert_int_equal(receipts[0].sequence, 2);
        assert_ok(fbat_submit_batch(fixture->store, batch, 2, &options, &ticket, &fault));
        assert_int_equal(ticket_done(ticket).replayed, 1);
        reopen_store(fixture);
    }
    const struct fbat_new_event other = event_keyed("c", "one", "payload");
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &other, &options, NULL, &fault));
}

/* The key of an append that failed its condition is still free. */
static void failed_condition_does_not_use_up_a_key(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_EXISTS, 0);
    const struct fbat_append_options options = options_of(&condition, 1);
    const struct fbat_new_event event = event_keyed("key", "one", "payload"),
                                other = event_keyed("key", "two", "other");
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &event, &options, NULL, &fault));
    assert_int_equal(append_event(fixture->store, &other).replayed, 0);
    assert_int_equal(revision_of(fixture->store, "one"), 0);
}

/* ---- other ways to append ---- */

static void conditions_of_a_ticket_are_its_answer(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition conditions[] = {condition_of("nobody", FBAT_EXPECT_NONE, 0),
                                                condition_of("watched", FBAT_EXPECT_REVISION, 2)};
    const struct fbat_append_options options = options_of(conditions, 2);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket;
    make_watched(fixture, 1);
    assert_ok(fbat_submit(fixture->store, &event, &options, &ticket, &fault));
    assert_ticket(FBAT_ERR_REVISION, ticket);
    assert_int_equal(fault.condition, 2);
    assert_int_equal(fault.expected_revision, 2);
    assert_int_equal(fault.actual_revision, 1);
    assert_int_equal(fault.stage, FBAT_STAGE_CONDITION);
    make_watched(fixture, 1);
    assert_ok(fbat_submit(fixture->store, &event, &options, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).sequence, 3);
}

/* They are looked at when the append has its turn, not when it is put into the mailbox. */
static void conditions_of_a_ticket_are_looked_at_in_its_turn(void **state) {
    struct fixture *fixture = *state;
    use_clock_gate(fixture);
    open_store(fixture);
    struct fbat_ticket *held = hold_writer(fixture), *good, *bad;
    const struct fbat_condition holds = condition_of("one", FBAT_EXPECT_REVISION, 1);
    const struct fbat_condition fails = condition_of("one", FBAT_EXPECT_NONE, 0);
    const struct fbat_append_options good_options = options_of(&holds, 1), bad_options = options_of(&fails, 1);
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    struct fbat_ticket *first = submit_text(fixture->store, "one", "payload");
    assert_ok(fbat_submit(fixture->store, &event, &good_options, &good, &fault));
    assert_ok(fbat_submit(fixture->store, &event, &bad_options, &bad, &fault));
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(good).sequence, 3);
    assert_ticket(FBAT_ERR_REVISION, bad);
    fbat_ticket_release(first);
    fbat_ticket_release(held);
}

static void conditions_of_a_reaction_are_looked_at(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = condition_of("watched", FBAT_EXPECT_EXISTS, 0);
    const struct fbat_append_options options = options_of(&condition, 1);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_receipt cause = append_text(fixture->store, "cause", "scope", "payload");
    assert_status(FBAT_ERR_REVISION, fbat_append_reaction(fixture->store, &cause.id, &event, &options, NULL, &fault));
    assert_int_equal(fault.condition, 1);
    make_watched(fixture, 1);
    assert_ok(fbat_append_reaction(fixture->store, &cause.id, &event, &options, NULL, &fault));
}

static void conditions_see_sealed_segments_and_survive_reopening(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    make_watched(fixture, 4);
    const struct fbat_condition holds = condition_of("watched", FBAT_EXPECT_REVISION, 4);
    const struct fbat_condition fails = condition_of("watched", FBAT_EXPECT_REVISION, 3);
    for (int pass = 0; pass < 2; pass++) {
        assert_holds(fixture, &holds, 1);
        assert_fails(fixture, &fails, 1, 1, 4);
        reopen_store(fixture);
    }
}

/* ---- several threads ---- */

enum { CONTENDERS = 4, TURNS = 200 };

struct contender {
    struct actor actor;
    struct fbat_store *store;
    int number, wins;
    bool failed;
};

/* Each takes the lead of "lead" only from the revision it knows, and writes to a stream of its own under that condition. */
static void contend(void *user) {
    struct contender *self = user;
    char own[16];
    snprintf(own, sizeof own, "own %d", self->number);
    for (uint64_t revision = 0; revision < TURNS && !self->failed; revision++) {
        const struct fbat_condition condition = condition_of("lead", FBAT_EXPECT_REVISION, revision);
        const struct fbat_append_options options = options_of(&condition, 1);
        const struct fbat_new_event batch[] = {event_of("lead", "scope", own), event_of(own, "scope", "won")};
        int status = fbat_append_batch(self->store, batch, 2, &options, NULL, NULL);
        self->wins += status == FBAT_OK;
        self->failed = status != FBAT_OK && status != FBAT_ERR_REVISION;
    }
}

static void one_of_several_threads_meets_the_condition(void **state) {
    struct fixture *fixture = opened(state);
    static struct contender contenders[CONTENDERS];
    int wins = 0;
    for (int at = 0; at < CONTENDERS; at++) {
        contenders[at] = (struct contender){.store = fixture->store, .number = at};
        actor_start(&contenders[at].actor, contend, &contenders[at]);
    }
    for (int at = 0; at < CONTENDERS; at++) {
        char own[16];
        actor_join(&contenders[at].actor);
        assert_false(contenders[at].failed);
        snprintf(own, sizeof own, "own %d", at);
        assert_int_equal(revision_of(fixture->store, own), contenders[at].wins);
        wins += contenders[at].wins;
    }
    assert_int_equal(wins, TURNS);
    assert_int_equal(revision_of(fixture->store, "lead"), TURNS);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(none_holds_where_there_is_no_stream),
        behaviour(exists_holds_where_there_is_a_stream),
        behaviour(revision_holds_at_that_revision_exactly),
        behaviour(revision_zero_is_none),
        behaviour(any_holds_always),
        behaviour(condition_is_about_the_stream_in_its_scope),
        behaviour(condition_makes_no_stream),
        behaviour(condition_on_a_written_stream_is_checked_before_it_is_written),
        behaviour(conditions_of_a_batch_see_none_of_its_items),
        behaviour(failed_item_is_no_condition),
        behaviour(first_condition_that_fails_is_named),
        behaviour(so_many_conditions_as_allowed_are_all_looked_at),
        behaviour(unacceptable_condition_is_refused),
        behaviour(retry_by_key_ignores_conditions),
        behaviour(failed_condition_does_not_use_up_a_key),
        behaviour(conditions_of_a_ticket_are_its_answer),
        behaviour(conditions_of_a_ticket_are_looked_at_in_its_turn),
        behaviour(conditions_of_a_reaction_are_looked_at),
        behaviour_in_memory(conditions_see_sealed_segments_and_survive_reopening),
        behaviour(one_of_several_threads_meets_the_condition),
    };
    return cmocka_run_group_tests_name("api: conditions", tests, NULL, NULL);
}
