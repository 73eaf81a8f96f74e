/* SPDX-License-Identifier: Apache-2.0 */
/* An outbox: what is staged is checked and copied at once, and appended as one batch, alone or under a fence. */
#include "fixture.h"

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fbat_outbox *create(struct fbat_store *store, struct fbat_fence *fence) {
    struct fbat_outbox *outbox;
    assert_ok(fbat_outbox_create(store, fence, &outbox, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 0);
    return outbox;
}

static void stage_event(struct fbat_outbox *outbox, const struct fbat_new_event *event) {
    size_t before = fbat_outbox_count(outbox);
    assert_ok(fbat_outbox_stage(outbox, event, &fault));
    assert_int_equal(fbat_outbox_count(outbox), before + 1);
}

static void stage_text(struct fbat_outbox *outbox, const char *entity, const char *payload) {
    const struct fbat_new_event event = event_of(entity, "scope", payload);
    stage_event(outbox, &event);
}

/* Refused, and not staged; the error names the place it would have had. */
static void assert_not_staged(int expected, struct fbat_outbox *outbox, const struct fbat_new_event *event) {
    size_t before = fbat_outbox_count(outbox);
    assert_status(expected, fbat_outbox_stage(outbox, event, &fault));
    assert_int_equal(fault.status, expected);
    assert_int_equal(fault.item, before);
    assert_int_equal(fbat_outbox_count(outbox), before);
}

static struct fbat_fence *begin(struct fbat_store *store) {
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(store, &fence, &fault));
    return fence;
}

/* ---- staging ---- */

static void staged_events_are_not_appended_before_the_flush(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    for (int at = 0; at < 5; at++)
        stage_text(outbox, "one", "payload");
    assert_int_equal(count_events(fixture->store), 0);
    assert_int_equal(frontier_now(fixture->store).accepted, 0);
    fbat_outbox_destroy(outbox);
    fbat_outbox_destroy(NULL);
    assert_int_equal(count_events(fixture->store), 0);
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").sequence, 1);
}

static void unacceptable_event_is_refused_when_it_is_staged(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 10;
    open_store(fixture);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    for (int turn = 0; turn < 2; turn++) {
        struct fbat_new_event event = event_of("", "scope", "payload");
        assert_not_staged(FBAT_ERR_NAME, outbox, &event);
        event = event_of("one", FBAT_SYSTEM_SCOPE, "payload");
        assert_not_staged(FBAT_ERR_NAME, outbox, &event);
        event = event_of("one", "scope", "payload");
        event.kind = FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1);
        assert_not_staged(FBAT_ERR_KIND, outbox, &event);
        event = event_of("one", "scope", "eleven bytes");
        assert_not_staged(FBAT_ERR_TOO_LARGE, outbox, &event);
        event = event_of("one", "scope", "payload");
        event.struct_size--;
        assert_not_staged(FBAT_ERR_ARGUMENT, outbox, &event);
        event = event_of("one", "scope", "payload");
        event.causation_item = (uint32_t)fbat_outbox_count(outbox) + 1; /* itself */
        assert_not_staged(FBAT_ERR_ARGUMENT, outbox, &event);
        stage_text(outbox, "one", "payload");
    }
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 2);
    fbat_outbox_destroy(outbox);
}

static void outbox_takes_as_many_events_as_a_batch(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = 3;
    open_store(fixture);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    for (int round = 0; round < 2; round++) {
        for (int at = 0; at < 3; at++)
            stage_event(outbox, &event);
        assert_not_staged(FBAT_ERR_TOO_LARGE, outbox, &event);
        assert_message_has("batch.max_size");
        assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    }
    assert_int_equal(count_events(fixture->store), 6);
    fbat_outbox_destroy(outbox);
}

static void outbox_takes_as_many_bytes_as_a_batch(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_bytes = 20;
    open_store(fixture);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    const struct fbat_new_event small = event_of("one", "scope", "x"), large = event_of("one", "scope", "ten bytes!");
    for (int round = 0; round < 2; round++) {
        stage_event(outbox, &large);
        stage_event(outbox, &large);
        assert_not_staged(FBAT_ERR_TOO_LARGE, outbox, &small);
        assert_message_has("batch.max_bytes");
        fbat_outbox_clear(outbox); /* and all of it may be used again */
    }
    fbat_outbox_destroy(outbox);
}

/* The caller may do with his memory what he likes as soon as the event is staged. */
static void staged_event_is_copied_whole(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct {
        char entity[8], scope[8], payload[8], tag[8], name[8], value[8];
        struct fbat_slice tags[1];
        struct fbat_header headers[1];
    } all = {.entity = "entity", .scope = "scope", .payload = "payload", .tag = "tag", .name = "name", .value = "val"};
    struct fbat_new_event event = event_of(all.entity, all.scope, all.payload);
    all.tags[0] = fbat_text(all.tag);
    all.headers[0] = (struct fbat_header){fbat_text(all.name), fbat_text(all.value)};
    event.tags = all.tags;
    event.tag_count = 1;
    event.headers = all.headers;
    event.header_count = 1;
    for (int at = 0; at < 50; at++)
        stage_event(outbox, &event);
    memset(&all, 0x5a, sizeof all);
    memset(&event, 0x5a, sizeof event);
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    for (uint64_t sequence = 1; sequence <= 50; sequence++) {
        struct fbat_event read;
        struct fbat_slice tag, value;
        assert_event_at(fixture->store, sequence, "entity", "payload");
        assert_ok(fbat_get_by_sequence(fixture->store, sequence, &read, &fault));
        assert_ok(fbat_event_tag(&read, 0, &tag));
        assert_slice("tag", tag);
        assert_ok(fbat_event_find_header(&read, fbat_text("name"), &value));
        assert_slice("val", value);
        fbat_event_release(&read);
    }
    fbat_outbox_destroy(outbox);
}

static void cleared_outbox_is_empty(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    stage_text(outbox, "one", "forgotten");
    stage_text(outbox, "one", "forgotten");
    fbat_outbox_clear(outbox);
    assert_int_equal(fbat_outbox_count(outbox), 0);
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 0);
    stage_text(outbox, "one", "kept");
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_event_at(fixture->store, 1, "one", "kept");
    fbat_outbox_destroy(outbox);
}

/* ---- flushing ---- */

static void flush_appends_one_batch(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct fbat_receipt receipts[3];
    append_text(fixture->store, "one", "scope", "before");
    stage_text(outbox, "one", "a");
    stage_text(outbox, "two", "b");
    struct fbat_new_event event = event_of("one", "scope", "c");
    event.causation_item = 1; /* counted from the outbox's first */
    stage_event(outbox, &event);
    assert_ok(fbat_outbox_flush(outbox, &level_durable, receipts, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 0);
    static const uint64_t revisions[] = {2, 1, 3};
    for (int at = 0; at < 3; at++) {
        assert_int_equal(receipts[at].sequence, at + 2);
        assert_int_equal(receipts[at].revision, revisions[at]);
        assert_int_equal(receipts[at].level, FBAT_LEVEL_DURABLE);
    }
    struct fbat_event read;
    assert_ok(fbat_get_by_sequence(fixture->store, 4, &read, &fault));
    assert_id_equal(read.causation, receipts[0].id);
    fbat_event_release(&read);
    struct fbat_check_report report = assert_whole(fixture->dir);
    assert_int_equal(report.frames, 2);
    fbat_outbox_destroy(outbox);
}

static void empty_outbox_flushes_nothing(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_ok(fbat_outbox_flush(outbox, &level_durable, NULL, NULL));
    assert_int_equal(count_events(fixture->store), 0);
    fbat_outbox_destroy(outbox);
}

/* It is as it was, and flush may be tried again. */
static void failed_flush_leaves_the_outbox_as_it_was(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct fbat_receipt receipts[2], untouched[2];
    stage_text(outbox, "other", "payload");
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, 1);
    stage_event(outbox, &event);
    memset(receipts, 0x5a, sizeof receipts);
    memcpy(untouched, receipts, sizeof receipts);
    for (int turn = 0; turn < 2; turn++) {
        assert_status(FBAT_ERR_REVISION, fbat_outbox_flush(outbox, NULL, receipts, &fault));
        assert_int_equal(fault.item, 1);
        assert_int_equal(fbat_outbox_count(outbox), 2);
        assert_memory_equal(receipts, untouched, sizeof receipts);
        assert_int_equal(count_events(fixture->store), 0);
    }
    append_text(fixture->store, "one", "scope", "payload");
    assert_ok(fbat_outbox_flush(outbox, NULL, receipts, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 0);
    assert_int_equal(receipts[1].sequence, 3);
    assert_int_equal(receipts[1].revision, 2);
    fbat_outbox_destroy(outbox);
}

static void flush_is_refused_while_a_foreign_fence_is_open(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    stage_text(outbox, "one", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    assert_status(FBAT_ERR_FENCE_ACTIVE, fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 1);
    fbat_fence_cancel(fence);
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 1);
    fbat_outbox_destroy(outbox);
}

static void retried_outbox_is_replayed(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    const struct fbat_new_event events[] = {event_keyed("a", "one", "payload"), event_keyed("b", "two", "payload")};
    struct fbat_receipt receipts[2];
    for (int turn = 0; turn < 2; turn++) {
        stage_event(outbox, &events[0]);
        stage_event(outbox, &events[1]);
        assert_ok(fbat_outbox_flush(outbox, NULL, receipts, &fault));
        for (int at = 0; at < 2; at++) {
            assert_int_equal(receipts[at].sequence, at + 1);
            assert_int_equal(receipts[at].replayed, turn);
        }
    }
    stage_event(outbox, &events[0]);
    stage_event(outbox, &events[0]); /* an id twice: found by the append, as in any batch */
    assert_status(FBAT_ERR_IDEMPOTENCY_CONFLICT, fbat_outbox_flush(outbox, NULL, NULL, &fault));
    assert_int_equal(fault.item, 1);
    fbat_outbox_destroy(outbox);
    assert_int_equal(count_events(fixture->store), 2);
}

static void conditions_of_a_flush_are_looked_at(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    const struct fbat_condition condition = {
        .entity = fbat_text("other"), .scope = fbat_text("scope"), .expect = FBAT_EXPECT_EXISTS};
    const struct fbat_append_options options = {
        .struct_size = sizeof options, .conditions = &condition, .condition_count = 1};
    stage_text(outbox, "one", "payload");
    assert_status(FBAT_ERR_REVISION, fbat_outbox_flush(outbox, &options, NULL, &fault));
    assert_int_equal(fault.condition, 1);
    append_text(fixture->store, "other", "scope", "payload");
    assert_ok(fbat_outbox_flush(outbox, &options, NULL, &fault));
    assert_int_equal(revision_of(fixture->store, "one"), 1);
    fbat_outbox_destroy(outbox);
}

/* ---- submitting ---- */

static void submitted_outbox_is_empty_and_its_ticket_has_the_receipts(void **state) {
    struct fixture *fixture = *state;
    use_clock_gate(fixture);
    open_store(fixture);
    struct fbat_ticket *held = hold_writer(fixture), *ticket;
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct fbat_receipt receipts[2];
    stage_text(outbox, "one", "a");
    stage_text(outbox, "one", "b");
    assert_ok(fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 0);
    stage_text(outbox, "two", "staged again at once");
    assert_status(FBAT_RETRY, fbat_ticket_poll(ticket, NULL, NULL));
    gate_open(&clock_gate);
    assert_int_equal(fbat_ticket_count(ticket), 2);
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, receipts, &fault));
    fbat_ticket_release(ticket);
    fbat_ticket_release(held);
    for (int at = 0; at < 2; at++) {
        assert_int_equal(receipts[at].sequence, at + 2);
        assert_int_equal(receipts[at].revision, at + 1);
    }
    assert_event_at(fixture->store, 3, "one", "b");
    assert_int_equal(count_events(fixture->store), 3);
    fbat_outbox_destroy(outbox);
}

/* What was submitted is the ticket's. */
static void outbox_may_be_destroyed_before_its_ticket_is_answered(void **state) {
    struct fixture *fixture = *state;
    use_clock_gate(fixture);
    open_store(fixture);
    struct fbat_ticket *held = hold_writer(fixture), *ticket;
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    stage_text(outbox, "one", "payload");
    assert_ok(fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    fbat_outbox_destroy(outbox);
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(ticket).sequence, 2);
    assert_event_at(fixture->store, 2, "one", "payload");
    fbat_ticket_release(held);
}

static void empty_outbox_cannot_be_submitted(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct fbat_ticket *ticket = (struct fbat_ticket *)&fault;
    assert_status(FBAT_ERR_ARGUMENT, fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, &fault);
    fbat_outbox_destroy(outbox);
}

static void refused_submit_leaves_the_outbox_as_it_was(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    struct fbat_ticket *ticket = (struct fbat_ticket *)&fault;
    const struct fbat_append_options options = {.struct_size = sizeof options - 1};
    stage_text(outbox, "one", "payload");
    assert_status(FBAT_ERR_ARGUMENT, fbat_outbox_submit(outbox, &options, &ticket, &fault));
    assert_ptr_equal(ticket, &fault);
    assert_int_equal(fbat_outbox_count(outbox), 1);
    assert_ok(fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).sequence, 1);
    fbat_outbox_destroy(outbox);
}

/* ---- under a fence ---- */

static void flush_under_a_fence_is_part_of_it(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_outbox *outbox = create(fixture->store, fence);
    struct fbat_receipt receipts[2];
    for (int turn = 0; turn < 2; turn++) {
        stage_text(outbox, "one", "payload");
        stage_text(outbox, "one", "payload");
        assert_ok(fbat_outbox_flush(outbox, NULL, receipts, &fault));
        assert_int_equal(receipts[1].level, 0);
        assert_int_equal(receipts[1].revision, turn * 2 + 2);
    }
    assert_int_equal(count_events(fixture->store), 0);
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 4);
    fbat_outbox_destroy(outbox);
}

static void flush_under_a_cancelled_fence_leaves_nothing(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_outbox *outbox = create(fixture->store, fence);
    stage_text(outbox, "one", "payload");
    assert_ok(fbat_outbox_flush(outbox, NULL, NULL, &fault));
    fbat_outbox_destroy(outbox);
    fbat_fence_cancel(fence);
    assert_int_equal(count_events(fixture->store), 0);
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_NONE, 0);
    assert_int_equal(append_event(fixture->store, &event).sequence, 1);
}

static struct fbat_ticket *submit_under_fence(struct fixture *fixture, struct fbat_fence *fence) {
    struct fbat_outbox *outbox = create(fixture->store, fence);
    struct fbat_ticket *ticket;
    stage_text(outbox, "one", "a");
    stage_text(outbox, "two", "b");
    assert_ok(fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    assert_int_equal(fbat_outbox_count(outbox), 0);
    fbat_outbox_destroy(outbox);
    return ticket;
}

/* The ticket is answered at the fence's end: by its commit with FBAT_OK. */
static void submit_under_a_fence_is_answered_by_the_commit(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *ticket = submit_under_fence(fixture, fence);
    const struct fbat_new_event event = event_of("three", "scope", "c");
    struct fbat_receipt receipts[2];
    assert_status(FBAT_RETRY, fbat_ticket_wait(ticket, 20, NULL, NULL));
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_status(FBAT_RETRY, fbat_ticket_poll(ticket, NULL, NULL));
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    assert_ok(fbat_ticket_poll(ticket, receipts, &fault)); /* at once: the commit has answered it */
    fbat_ticket_release(ticket);
    assert_int_equal(count_events(fixture->store), 3);
    for (int at = 0; at < 2; at++) {
        struct fbat_event read;
        assert_ok(fbat_get(fixture->store, &receipts[at].id, &read, &fault));
        assert_int_equal(read.sequence, receipts[at].sequence);
        assert_memory_equal(read.hash, receipts[at].hash, 32);
        fbat_event_release(&read);
    }
}

static void submit_under_a_fence_is_answered_by_the_cancel(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *first = submit_under_fence(fixture, fence), *second = submit_under_fence(fixture, fence);
    fbat_fence_cancel(fence);
    assert_ticket(FBAT_ERR_CANCELLED, first);
    assert_int_equal(fault.status, FBAT_ERR_CANCELLED);
    assert_ticket(FBAT_ERR_CANCELLED, second);
    assert_int_equal(count_events(fixture->store), 0);
    assert_int_equal(append_text(fixture->store, "one", "scope", "payload").sequence, 1);
}

/* Also by one that nobody asked for. */
static void submit_under_a_fence_is_answered_by_closing(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *ticket = submit_under_fence(fixture, fence);
    close_store(fixture);
    int status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault);
    assert_true(status == FBAT_ERR_CANCELLED || status == FBAT_ERR_SHUTDOWN);
    fbat_ticket_release(ticket);
    fbat_fence_cancel(fence);
    assert_int_equal(assert_whole(fixture->dir).events, 0);
}

static void submit_under_a_fence_is_answered_by_a_failed_commit(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    append_text(fixture->store, "before", "scope", "payload");
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *ticket = submit_under_fence(fixture, fence);
    assert_status(FBAT_RETRY, fbat_ticket_wait(ticket, 20, NULL, NULL));
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_status(FBAT_ERR_IO, fbat_fence_commit(fence, &level_durable, &fault));
    assert_true(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault) < 0);
    fbat_ticket_release(ticket);
    assert_int_equal(count_events(fixture->store), 1);
}

/* Submitted and appended under one fence: in the order of the calls. */
static void submit_under_a_fence_keeps_its_place(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_ticket *tickets[10];
    for (int at = 0; at < 10; at++)
        tickets[at] = submit_under_fence(fixture, fence);
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
    for (int at = 0; at < 10; at++)
        assert_int_equal(ticket_done(tickets[at]).sequence, at * 2 + 1);
    assert_int_equal(count_events(fixture->store), 20);
}

static void failed_append_under_a_fence_answers_its_ticket(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    struct fbat_outbox *outbox = create(fixture->store, fence);
    struct fbat_ticket *ticket;
    const struct fbat_new_event wrong = event_expecting("one", FBAT_EXPECT_EXISTS, 0);
    stage_event(outbox, &wrong);
    assert_ok(fbat_outbox_submit(outbox, NULL, &ticket, &fault));
    const struct fbat_new_event event = event_of("two", "scope", "payload");
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
    assert_ok(fbat_fence_commit(fence, NULL, &fault));
    assert_ticket(FBAT_ERR_REVISION, ticket);
    assert_int_equal(fault.actual_revision, 0);
    assert_int_equal(count_events(fixture->store), 1);
    fbat_outbox_destroy(outbox);
}

/* ---- handles and life ---- */

static void outbox_needs_a_store_to_write(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_store *reader;
    struct fbat_outbox *outbox = (struct fbat_outbox *)&fault;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_outbox_create(reader, NULL, &outbox, &fault));
    assert_ok(fbat_close(reader, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_outbox_create(NULL, NULL, &outbox, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_outbox_create(fixture->store, NULL, NULL, &fault));
    assert_ptr_equal(outbox, &fault);
}

static void outbox_may_be_destroyed_after_its_store_was_closed(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_outbox *outbox = create(fixture->store, NULL);
    stage_text(outbox, "one", "payload");
    close_store(fixture);
    fbat_outbox_destroy(outbox);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(staged_events_are_not_appended_before_the_flush),
        behaviour(unacceptable_event_is_refused_when_it_is_staged),
        behaviour(outbox_takes_as_many_events_as_a_batch),
        behaviour(outbox_takes_as_many_bytes_as_a_batch),
        behaviour(staged_event_is_copied_whole),
        behaviour(cleared_outbox_is_empty),
        behaviour(flush_appends_one_batch),
        behaviour(empty_outbox_flushes_nothing),
        behaviour(failed_flush_leaves_the_outbox_as_it_was),
        behaviour(flush_is_refused_while_a_foreign_fence_is_open),
        behaviour(retried_outbox_is_replayed),
        behaviour(conditions_of_a_flush_are_looked_at),
        behaviour(submitted_outbox_is_empty_and_its_ticket_has_the_receipts),
        behaviour(outbox_may_be_destroyed_before_its_ticket_is_answered),
        behaviour(empty_outbox_cannot_be_submitted),
        behaviour(refused_submit_leaves_the_outbox_as_it_was),
        behaviour(flush_under_a_fence_is_part_of_it),
        behaviour(flush_under_a_cancelled_fence_leaves_nothing),
        behaviour(submit_under_a_fence_is_answered_by_the_commit),
        behaviour(submit_under_a_fence_is_answered_by_the_cancel),
        behaviour(submit_under_a_fence_is_answered_by_closing),
        behaviour(submit_under_a_fence_is_answered_by_a_failed_commit),
        behaviour(submit_under_a_fence_keeps_its_place),
        behaviour(failed_append_under_a_fence_answers_its_ticket),
        behaviour(outbox_needs_a_store_to_write),
        behaviour(outbox_may_be_destroyed_after_its_store_was_closed),
    };
    return cmocka_run_group_tests_name("api: outbox", tests, NULL, NULL);
}
