/* SPDX-License-Identifier: Apache-2.0 */
/* Events that other events caused: cause, correlation, a derived id, and that doing it again writes nothing. */
#include "fixture.h"

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_receipt react(struct fbat_store *store, const struct fbat_id *cause,
                                 const struct fbat_new_event *event) {
    struct fbat_receipt receipt;
    assert_ok(fbat_append_reaction(store, cause, event, NULL, &receipt, &fault));
    return receipt;
}

static void assert_links(struct fbat_store *store, uint64_t sequence, struct fbat_id correlation,
                         struct fbat_id causation) {
    struct fbat_event event;
    assert_ok(fbat_get_by_sequence(store, sequence, &event, &fault));
    assert_id_equal(event.correlation, correlation);
    assert_id_equal(event.causation, causation);
    fbat_event_release(&event);
}

/* ---- links ---- */

static void reaction_has_its_cause_and_the_correlation_of_the_cause(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event first = event_of("one", "scope", "payload");
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    struct fbat_receipt alone = append_event(fixture->store, &first);
    assert_links(fixture->store, react(fixture->store, &alone.id, &event).sequence, alone.id, alone.id);
    first.correlation = id_of("story");
    struct fbat_receipt told = append_event(fixture->store, &first);
    assert_links(fixture->store, react(fixture->store, &told.id, &event).sequence, id_of("story"), told.id);
}

/* A story goes on through any number of reactions. */
static void reaction_to_a_reaction_belongs_to_the_same_story(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_receipt first = append_event(fixture->store, &event), last = first;
    for (uint64_t sequence = 2; sequence < 8; sequence++) {
        struct fbat_receipt next = react(fixture->store, &last.id, &event);
        assert_int_equal(next.sequence, sequence);
        assert_links(fixture->store, sequence, first.id, last.id);
        last = next;
    }
}

static void given_correlation_and_id_are_kept(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_keyed("key", "two", "payload");
    event.correlation = id_of("another story");
    struct fbat_receipt receipt = react(fixture->store, &cause.id, &event);
    assert_id_equal(receipt.id, id_of("key"));
    assert_links(fixture->store, receipt.sequence, id_of("another story"), cause.id);
}

/* The same causation given again is no other one. */
static void causation_that_is_the_cause_is_accepted(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_of("two", "scope", "payload");
    event.causation = cause.id;
    assert_links(fixture->store, react(fixture->store, &cause.id, &event).sequence, cause.id, cause.id);
}

static void another_causation_is_refused(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_of("two", "scope", "payload");
    event.causation = id_of("another cause");
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    assert_message_has("causation");
    event = event_of("two", "scope", "payload");
    event.causation_item = 1;
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_reaction(fixture->store, NULL, &event, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 1);
}

/* ---- the cause ---- */

static void unknown_cause_is_not_found(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    const struct fbat_id unknown = id_of("unknown"), none = {{0}};
    struct fbat_receipt receipt, untouched;
    memset(&receipt, 0x5a, sizeof receipt);
    untouched = receipt;
    assert_status(FBAT_ERR_NOT_FOUND, fbat_append_reaction(fixture->store, &unknown, &event, NULL, &receipt, &fault));
    assert_int_equal(fault.status, FBAT_ERR_NOT_FOUND);
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(&unknown, text);
    assert_message_has(text);
    assert_memory_equal(&receipt, &untouched, sizeof receipt);
    int status = fbat_append_reaction(fixture->store, &none, &event, NULL, &receipt, &fault);
    assert_true(status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_ARGUMENT);
    assert_int_equal(count_events(fixture->store), 0);
}

/* No visible event: one that only an open fence has written is no cause. */
static void cause_that_is_not_visible_is_not_found(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("hidden", "one", "payload"), effect = event_of("two", "scope", "p");
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(fixture->store, &fence, &fault));
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    const struct fbat_id cause = id_of("hidden");
    int status = fbat_append_reaction(fixture->store, &cause, &effect, NULL, NULL, &fault);
    assert_true(status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_FENCE_ACTIVE);
    fbat_fence_cancel(fence);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_append_reaction(fixture->store, &cause, &effect, NULL, NULL, &fault));
}

static void cause_is_found_in_sealed_segments_and_after_reopening(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    for (int at = 0; at < 5; at++)
        append_text(fixture->store, "one", "scope", "payload");
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    struct fbat_receipt first = react(fixture->store, &cause.id, &event);
    reopen_store(fixture);
    struct fbat_receipt again = react(fixture->store, &cause.id, &event);
    assert_int_equal(again.replayed, 1);
    assert_int_equal(again.sequence, first.sequence);
    assert_links(fixture->store, first.sequence, cause.id, cause.id);
}

/* ---- doing it again ---- */

static void reaction_done_again_writes_nothing(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    struct fbat_receipt first = react(fixture->store, &cause.id, &event);
    assert_int_equal(first.replayed, 0);
    assert_false(fbat_id_is_none(&first.id));
    append_text(fixture->store, "two", "scope", "later");
    for (int pass = 0; pass < 2; pass++) {
        struct fbat_receipt again = react(fixture->store, &cause.id, &event);
        assert_int_equal(again.replayed, 1);
        assert_int_equal(again.sequence, first.sequence);
        assert_int_equal(again.revision, first.revision);
        assert_memory_equal(again.hash, first.hash, 32);
        assert_id_equal(again.id, first.id);
        assert_int_equal(count_events(fixture->store), 3);
        reopen_store(fixture);
    }
}

static void reaction_with_an_expectation_can_be_done_again(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    const struct fbat_new_event event = event_expecting("two", FBAT_EXPECT_NONE, 0);
    react(fixture->store, &cause.id, &event);
    append_text(fixture->store, "two", "scope", "later");
    assert_int_equal(react(fixture->store, &cause.id, &event).replayed, 1);
}

/* Derived from cause, scope, entity and kind: each of them makes another reaction. */
static void derived_id_depends_on_cause_scope_entity_and_kind(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_receipt other = append_text(fixture->store, "one", "scope", "payload");
    const struct fbat_new_event event = event_of("ab", "cd", "payload");
    struct fbat_new_event variants[5] = {event, event, event, event, event};
    variants[1].entity = fbat_text("abc");
    variants[2].scope = fbat_text("bcd");
    variants[3].kind = KIND_B;
    variants[4].entity = fbat_text("abc"); /* the same characters, shared out differently */
    variants[4].scope = fbat_text("d");
    struct fbat_id ids[6];
    for (int at = 0; at < 5; at++) {
        struct fbat_receipt receipt = react(fixture->store, &cause.id, &variants[at]);
        assert_int_equal(receipt.replayed, 0);
        ids[at] = receipt.id;
    }
    ids[5] = react(fixture->store, &other.id, &event).id;
    for (int a = 0; a < 6; a++)
        for (int b = 0; b < a; b++)
            assert_memory_not_equal(ids[a].bytes, ids[b].bytes, 16);
    assert_int_equal(count_events(fixture->store), 8);
}

/* Two reactions to one cause of the same kind in the same stream need ids of their own. */
static void second_reaction_of_a_kind_in_a_stream_is_a_conflict(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_of("two", "scope", "first");
    struct fbat_receipt first = react(fixture->store, &cause.id, &event);
    event.payload = fbat_text("second");
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT,
                  fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    assert_int_equal(fault.sequence, first.sequence);
    event.id = id_of("its own");
    assert_int_equal(react(fixture->store, &cause.id, &event).replayed, 0);
}

/* The id is the same in every store: what derives it is in the events alone. */
static void derived_id_is_the_same_in_another_store(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event first = event_keyed("cause", "one", "payload"),
                                event = event_of("two", "scope", "payload");
    struct fbat_id ids[2];
    for (int pass = 0; pass < 2; pass++) {
        struct fbat_receipt cause = append_event(fixture->store, &first);
        ids[pass] = react(fixture->store, &cause.id, &event).id;
        close_store(fixture);
        assert_true(test_remove_tree(fixture->dir));
        open_store(fixture);
    }
    assert_id_equal(ids[0], ids[1]);
}

/* ---- as fbat_append ---- */

static void reaction_fails_as_an_append_does(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_of("", "scope", "payload");
    assert_status(FBAT_ERR_NAME, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    event = event_of("two", "scope", "payload");
    event.kind = FBAT_KIND(FBAT_CATEGORY_EFFECT, 1);
    assert_status(FBAT_ERR_KIND, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    event = event_expecting("one", FBAT_EXPECT_NONE, 0);
    assert_status(FBAT_ERR_REVISION, fbat_append_reaction(fixture->store, &cause.id, &event, NULL, NULL, &fault));
    assert_int_equal(fault.actual_revision, 1);
    assert_status(FBAT_ERR_ARGUMENT, fbat_append_reaction(fixture->store, &cause.id, NULL, NULL, NULL, &fault));
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    event = event_of("two", "scope", "payload");
    assert_status(FBAT_ERR_READ_ONLY, fbat_append_reaction(reader, &cause.id, &event, NULL, NULL, &fault));
    assert_ok(fbat_close(reader, &fault));
    assert_int_equal(count_events(fixture->store), 1);
}

static void reaction_reaches_its_level(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "payload"), receipt;
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    assert_ok(fbat_append_reaction(fixture->store, &cause.id, &event, &level_durable, &receipt, &fault));
    assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
    assert_int_equal(frontier_now(fixture->store).durable, 2);
}

/* ---- several threads ---- */

enum { REACTORS = 4, CAUSES = 100 };

struct reactor {
    struct actor actor;
    struct fbat_store *store;
    const struct fbat_id *causes;
    int written;
    bool failed;
};

static void react_to_all(void *user) {
    struct reactor *self = user;
    for (int at = 0; at < CAUSES && !self->failed; at++) {
        const struct fbat_new_event event = event_of("effect", "scope", "payload");
        struct fbat_receipt receipt;
        self->failed = fbat_append_reaction(self->store, &self->causes[at], &event, NULL, &receipt, NULL) != FBAT_OK;
        self->written += !self->failed && !receipt.replayed;
    }
}

/* Several that react to the same causes: each reaction is written once. */
static void reactors_that_compete_write_each_reaction_once(void **state) {
    struct fixture *fixture = opened(state);
    static struct fbat_id causes[CAUSES];
    static struct reactor reactors[REACTORS];
    int written = 0;
    for (int at = 0; at < CAUSES; at++)
        causes[at] = append_text(fixture->store, "cause", "scope", "payload").id;
    for (int at = 0; at < REACTORS; at++) {
        reactors[at] = (struct reactor){.store = fixture->store, .causes = causes};
        actor_start(&reactors[at].actor, react_to_all, &reactors[at]);
    }
    for (int at = 0; at < REACTORS; at++) {
        actor_join(&reactors[at].actor);
        assert_false(reactors[at].failed);
        written += reactors[at].written;
    }
    assert_int_equal(written, CAUSES);
    assert_int_equal(revision_of(fixture->store, "effect"), CAUSES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(reaction_has_its_cause_and_the_correlation_of_the_cause),
        behaviour(reaction_to_a_reaction_belongs_to_the_same_story),
        behaviour(given_correlation_and_id_are_kept),
        behaviour(causation_that_is_the_cause_is_accepted),
        behaviour(another_causation_is_refused),
        behaviour(unknown_cause_is_not_found),
        behaviour(cause_that_is_not_visible_is_not_found),
        behaviour_in_memory(cause_is_found_in_sealed_segments_and_after_reopening),
        behaviour(reaction_done_again_writes_nothing),
        behaviour(reaction_with_an_expectation_can_be_done_again),
        behaviour(derived_id_depends_on_cause_scope_entity_and_kind),
        behaviour(second_reaction_of_a_kind_in_a_stream_is_a_conflict),
        behaviour(derived_id_is_the_same_in_another_store),
        behaviour(reaction_fails_as_an_append_does),
        behaviour(reaction_reaches_its_level),
        behaviour(reactors_that_compete_write_each_reaction_once),
    };
    return cmocka_run_group_tests_name("api: reactions", tests, NULL, NULL);
}
