/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends that nobody waits for: what a ticket answers and when, what is refused without one, order, descriptors.
 *
 * Where a test needs the mailbox to keep what is put into it, the writer's thread is held in config.clock, which each append
 * asks for the time (hold_writer).
 */
#include "fixture.h"

#include <dirent.h>
#include <poll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A child of a process with threads starts one here: unusual for the thread sanitizer, but allowed. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

static struct fixture *opened(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    return fixture;
}

static struct fixture *opened_with_gate(void **state) {
    struct fixture *fixture = *state;
    use_clock_gate(fixture);
    open_store(fixture);
    return fixture;
}

static uint64_t monotonic_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the answer ---- */

static void ticket_answers_the_receipt_of_its_append(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "first");
    struct fbat_ticket *ticket = submit_text(fixture->store, "one", "second");
    struct fbat_receipt receipt;
    assert_int_equal(fbat_ticket_count(ticket), 1);
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, &receipt, &fault));
    assert_int_equal(receipt.sequence, 2);
    assert_int_equal(receipt.revision, 2);
    assert_int_equal(receipt.level, FBAT_LEVEL_WRITTEN);
    assert_int_equal(receipt.replayed, 0);
    struct fbat_event event;
    assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
    assert_int_equal(event.sequence, 2);
    assert_memory_equal(event.hash, receipt.hash, 32);
    assert_slice("second", event.payload);
    fbat_event_release(&event);
    fbat_ticket_release(ticket);
}

/* May be called again, with the same answer; receipts and error are optional. */
static void ticket_gives_its_answer_as_often_as_asked(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_ticket *ticket = submit_text(fixture->store, "one", "payload");
    struct fbat_receipt first, again;
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, &first, &fault));
    append_text(fixture->store, "one", "scope", "later");
    memset(&again, 0, sizeof again);
    assert_ok(fbat_ticket_wait(ticket, 0, &again, NULL));
    assert_memory_equal(&again, &first, sizeof first);
    memset(&again, 0, sizeof again);
    assert_ok(fbat_ticket_poll(ticket, &again, NULL));
    assert_memory_equal(&again, &first, sizeof first);
    assert_ok(fbat_ticket_wait(ticket, FBAT_FOREVER, NULL, NULL));
    assert_ok(fbat_ticket_poll(ticket, NULL, NULL));
    fbat_ticket_release(ticket);
}

static void ticket_without_an_answer_says_retry(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    assert_status(FBAT_RETRY, fbat_ticket_poll(held, NULL, &fault));
    assert_status(FBAT_RETRY, fbat_ticket_wait(held, 0, NULL, &fault));
    uint64_t before = monotonic_ms();
    assert_status(FBAT_RETRY, fbat_ticket_wait(held, 30, NULL, &fault));
    assert_true(monotonic_ms() - before >= 29); /* the clock's own rounding aside */
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(held).sequence, 1);
}

static void wait_for_ticket(void *user) {
    (void)fbat_ticket_wait(user, FBAT_FOREVER, NULL, NULL);
}

static void wait_ends_with_the_answer(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    static struct actor waiter;
    actor_start(&waiter, wait_for_ticket, held);
    actor_await_sleep(&waiter);
    assert_false(actor_is_done(&waiter));
    gate_open(&clock_gate);
    actor_join(&waiter);
    assert_ok(fbat_ticket_poll(held, NULL, &fault));
    fbat_ticket_release(held);
}

static void ticket_at_level_durable_is_answered_when_it_is_durable(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket;
    append_text(fixture->store, "one", "scope", "before");
    assert_int_equal(frontier_now(fixture->store).durable, 0);
    assert_ok(fbat_submit(fixture->store, &event, &level_durable, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).level, FBAT_LEVEL_DURABLE);
    assert_int_equal(frontier_now(fixture->store).durable, 2);
    assert_ok(fbat_submit(fixture->store, &event, &level_written, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).level, FBAT_LEVEL_WRITTEN);
    assert_int_equal(frontier_now(fixture->store).durable, 2);
}

/* The default level is that of the configuration, as for a blocking append. */
static void ticket_at_default_level_follows_the_configuration(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1;
    open_store(fixture);
    struct fbat_receipt receipt = ticket_done(submit_text(fixture->store, "one", "payload"));
    assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
}

/* ---- what is copied ---- */

/* All the memory of one append, so that the caller can spoil all of it. */
struct spoilable {
    char entity[8], scope[8], payload[8], tag[8], name[8], value[8], other[8];
    struct fbat_slice tags[1];
    struct fbat_header headers[1];
    struct fbat_condition conditions[1];
    struct fbat_new_event event;
    struct fbat_append_options options;
};

static void fill_spoilable(struct spoilable *all) {
    *all = (struct spoilable){.entity = "entity",
                              .scope = "scope",
                              .payload = "payload",
                              .tag = "tag",
                              .name = "name",
                              .value = "value",
                              .other = "other"};
    all->tags[0] = fbat_text(all->tag);
    all->headers[0] = (struct fbat_header){fbat_text(all->name), fbat_text(all->value)};
    all->conditions[0] = (struct fbat_condition){
        .entity = fbat_text(all->other), .scope = fbat_text(all->scope), .expect = FBAT_EXPECT_NONE};
    all->event = event_of(all->entity, all->scope, all->payload);
    all->event.id = id_of("key");
    all->event.correlation = id_of("story");
    all->event.tags = all->tags;
    all->event.tag_count = 1;
    all->event.headers = all->headers;
    all->event.header_count = 1;
    all->options = (struct fbat_append_options){.struct_size = sizeof all->options,
                                                .level = FBAT_LEVEL_DURABLE,
                                                .conditions = all->conditions,
                                                .condition_count = 1};
}

static void assert_as_filled(struct fbat_store *store, uint64_t sequence) {
    struct fbat_event event;
    struct fbat_slice tag, value;
    assert_ok(fbat_get_by_sequence(store, sequence, &event, &fault));
    assert_slice("entity", event.entity);
    assert_slice("scope", event.scope);
    assert_slice("payload", event.payload);
    assert_ok(fbat_event_tag(&event, 0, &tag));
    assert_slice("tag", tag);
    assert_ok(fbat_event_find_header(&event, fbat_text("name"), &value));
    assert_slice("value", value);
    assert_id_equal(event.correlation, id_of("story"));
    fbat_event_release(&event);
}

/* Everything is copied: what the caller does with his memory afterwards does not matter. */
static void submitted_event_is_copied_whole(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture), *ticket;
    struct spoilable *all = malloc(sizeof *all);
    assert_non_null(all);
    fill_spoilable(all);
    assert_ok(fbat_submit(fixture->store, &all->event, &all->options, &ticket, &fault));
    memset(all, 0x5a, sizeof *all);
    free(all);
    gate_open(&clock_gate);
    struct fbat_receipt receipt = ticket_done(ticket);
    assert_id_equal(receipt.id, id_of("key"));
    assert_int_equal(receipt.level, FBAT_LEVEL_DURABLE);
    assert_as_filled(fixture->store, 2);
    fbat_ticket_release(held);
}

static void submitted_batch_is_copied_whole(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture), *ticket;
    struct spoilable *all = malloc(sizeof *all);
    struct fbat_new_event *batch = calloc(2, sizeof *batch);
    assert_true(all && batch);
    fill_spoilable(all);
    batch[0] = batch[1] = all->event;
    batch[1].id = id_of("another key");
    batch[1].causation_item = 1;
    assert_ok(fbat_submit_batch(fixture->store, batch, 2, &all->options, &ticket, &fault));
    memset(all, 0x5a, sizeof *all);
    memset(batch, 0x5a, 2 * sizeof *batch);
    free(batch);
    free(all);
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(ticket).sequence, 2);
    assert_as_filled(fixture->store, 2);
    assert_as_filled(fixture->store, 3);
    fbat_ticket_release(held);
}

/* ---- what is refused at once ---- */

static struct fbat_ticket *const untouched = (struct fbat_ticket *)&fault; /* any address but a ticket's */

static void assert_no_ticket(struct fixture *fixture, int expected, const struct fbat_new_event *event,
                             const struct fbat_append_options *options) {
    struct fbat_ticket *ticket = untouched;
    assert_status(expected, fbat_submit(fixture->store, event, options, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_int_equal(fault.status, expected);
    assert_status(expected, fbat_try_submit(fixture->store, event, options, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    const struct fbat_new_event batch[] = {event_keyed("first", "first", "payload"), *event};
    assert_status(expected, fbat_submit_batch(fixture->store, batch, 2, options, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_status(expected, fbat_try_submit_batch(fixture->store, batch, 2, options, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_int_equal(count_events(fixture->store), 0);
}

/* What fbat_append would refuse before it looks at the store is refused here, and there is no ticket. */
static void unacceptable_event_gets_no_ticket(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 10;
    open_store(fixture);
    struct fbat_new_event event = event_of("", "scope", "payload");
    assert_no_ticket(fixture, FBAT_ERR_NAME, &event, NULL);
    event = event_of("one", FBAT_SYSTEM_SCOPE, "payload");
    assert_no_ticket(fixture, FBAT_ERR_NAME, &event, NULL);
    event = event_of("one", "scope", "payload");
    event.kind = FBAT_KIND(FBAT_CATEGORY_EFFECT, 1);
    assert_no_ticket(fixture, FBAT_ERR_KIND, &event, NULL);
    event = event_of("one", "scope", "eleven bytes");
    assert_no_ticket(fixture, FBAT_ERR_TOO_LARGE, &event, NULL);
    event = event_of("one", "scope", "payload");
    event.struct_size--;
    assert_no_ticket(fixture, FBAT_ERR_ARGUMENT, &event, NULL);
}

static void unacceptable_options_get_no_ticket(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_append_options options = {.struct_size = sizeof options - 1};
    assert_no_ticket(fixture, FBAT_ERR_ARGUMENT, &event, &options);
    options = (struct fbat_append_options){.struct_size = sizeof options, .level = (enum fbat_level)3};
    assert_no_ticket(fixture, FBAT_ERR_ARGUMENT, &event, &options);
    options = (struct fbat_append_options){.struct_size = sizeof options, .condition_count = 1};
    assert_no_ticket(fixture, FBAT_ERR_ARGUMENT, &event, &options);
}

static void batch_over_its_limits_gets_no_ticket(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = 2;
    fixture->config.batch.max_bytes = 12;
    open_store(fixture);
    const struct fbat_new_event small = event_of("one", "scope", ""), large = event_of("one", "scope", "seven b");
    const struct fbat_new_event three[] = {small, small, small}, two[] = {large, large};
    struct fbat_ticket *ticket = untouched;
    assert_status(FBAT_ERR_TOO_LARGE, fbat_submit_batch(fixture->store, three, 3, NULL, &ticket, &fault));
    assert_message_has("batch.max_size");
    assert_status(FBAT_ERR_TOO_LARGE, fbat_try_submit_batch(fixture->store, three, 3, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_TOO_LARGE, fbat_submit_batch(fixture->store, two, 2, NULL, &ticket, &fault));
    assert_message_has("batch.max_bytes");
    assert_status(FBAT_ERR_ARGUMENT, fbat_submit_batch(fixture->store, three, 0, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_int_equal(count_events(fixture->store), 0);
}

static void missing_argument_gets_no_ticket(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket = untouched;
    assert_status(FBAT_ERR_ARGUMENT, fbat_submit(NULL, &event, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_submit(fixture->store, NULL, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_submit(fixture->store, &event, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_submit_batch(fixture->store, NULL, 1, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
}

static void read_only_handle_gives_no_ticket(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket = untouched;
    assert_status(FBAT_ERR_READ_ONLY, fbat_submit(reader, &event, NULL, &ticket, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_try_submit(reader, &event, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_ok(fbat_close(reader, &fault));
}

static int submit_in_a_child(void *user, int in, int out) {
    struct fixture *fixture = user;
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket = untouched;
    (void)in, (void)out;
    child_check(fbat_submit(fixture->store, &event, NULL, &ticket, NULL) == FBAT_ERR_FORKED);
    child_check(fbat_try_submit(fixture->store, &event, NULL, &ticket, NULL) == FBAT_ERR_FORKED);
    child_check(fbat_submit_batch(fixture->store, &event, 1, NULL, &ticket, NULL) == FBAT_ERR_FORKED);
    child_check(ticket == untouched);
    return 0;
}

static void handle_from_before_a_fork_gives_no_ticket(void **state) {
    struct fixture *fixture = opened(state);
    struct child child;
    child_start(&child, submit_in_a_child, fixture);
    assert_int_equal(child_wait(&child), 0);
    assert_int_equal(ticket_done(submit_text(fixture->store, "one", "payload")).sequence, 1);
}

/* ---- answers of appends that fail ---- */

static void failed_append_answers_its_ticket_with_the_error(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, 7);
    struct fbat_ticket *ticket = submit_event(fixture->store, &event);
    struct fbat_receipt receipt, as_before;
    memset(&receipt, 0x5a, sizeof receipt);
    as_before = receipt;
    for (int time = 0; time < 2; time++) {
        memset(&fault, 0x5a, sizeof fault);
        assert_status(FBAT_ERR_REVISION, fbat_ticket_wait(ticket, PATIENCE_MS, &receipt, &fault));
        assert_int_equal(fault.status, FBAT_ERR_REVISION);
        assert_int_equal(fault.expected_revision, 7);
        assert_int_equal(fault.actual_revision, 1);
        assert_int_equal(fault.stage, FBAT_STAGE_CONDITION);
        assert_true(fault.item == FBAT_NO_ITEM);
        assert_memory_equal(&receipt, &as_before, sizeof receipt);
    }
    assert_status(FBAT_ERR_REVISION, fbat_ticket_poll(ticket, &receipt, NULL));
    fbat_ticket_release(ticket);
}

static void failed_append_does_not_hold_up_those_behind_it(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    struct fbat_new_event wrong = event_expecting("one", FBAT_EXPECT_EXISTS, 0);
    struct fbat_ticket *before = submit_text(fixture->store, "two", "payload");
    struct fbat_ticket *failing = submit_event(fixture->store, &wrong);
    struct fbat_ticket *behind = submit_text(fixture->store, "one", "payload");
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(before).sequence, 2);
    assert_ticket(FBAT_ERR_REVISION, failing);
    assert_int_equal(ticket_done(behind).sequence, 3);
    fbat_ticket_release(held);
}

static void ticket_with_a_known_key_answers_the_original_receipt(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_new_event event = event_keyed("key", "one", "payload"), other = event_keyed("key", "two", "payload");
    struct fbat_receipt first = append_event(fixture->store, &event);
    struct fbat_receipt again = ticket_done(submit_event(fixture->store, &event));
    assert_int_equal(again.sequence, first.sequence);
    assert_int_equal(again.replayed, 1);
    assert_memory_equal(again.hash, first.hash, 32);
    assert_ticket(FBAT_ERR_IDEMPOTENCY_CONFLICT, submit_event(fixture->store, &other));
    assert_int_equal(fault.sequence, first.sequence);
    assert_int_equal(fault.stage, FBAT_STAGE_KEY);
    assert_int_equal(count_events(fixture->store), 1);
}

/* The key of an append that still waits in the mailbox is known to the one behind it. */
static void key_twice_in_the_mailbox_is_written_once(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    struct fbat_new_event event = event_keyed("key", "one", "payload");
    struct fbat_ticket *first = submit_event(fixture->store, &event), *second = submit_event(fixture->store, &event);
    gate_open(&clock_gate);
    assert_int_equal(ticket_done(first).sequence, 2);
    struct fbat_receipt again = ticket_done(second);
    assert_int_equal(again.sequence, 2);
    assert_int_equal(again.replayed, 1);
    assert_int_equal(count_events(fixture->store), 2);
    fbat_ticket_release(held);
}

/* Each checks what the one in front of it left. */
static void expectations_are_checked_in_the_order_of_the_mailbox(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    enum { CHAIN = 5 };
    struct fbat_ticket *held = hold_writer(fixture), *tickets[CHAIN];
    for (uint64_t at = 0; at < CHAIN; at++) {
        struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, at == CHAIN - 1 ? at - 1 : at);
        tickets[at] = submit_event(fixture->store, &event);
    }
    gate_open(&clock_gate);
    for (uint64_t at = 0; at < CHAIN - 1; at++)
        assert_int_equal(ticket_done(tickets[at]).revision, at + 1);
    assert_ticket(FBAT_ERR_REVISION, tickets[CHAIN - 1]);
    assert_int_equal(fault.actual_revision, CHAIN - 1);
    fbat_ticket_release(held);
}

/* ---- batches and reactions ---- */

static void batch_ticket_answers_all_receipts(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "before");
    struct fbat_new_event batch[] = {event_of("one", "scope", "a"), event_of("two", "scope", "b"),
                                     event_of("one", "scope", "c")};
    batch[2].causation_item = 1;
    struct fbat_receipt receipts[3];
    struct fbat_ticket *ticket;
    assert_ok(fbat_submit_batch(fixture->store, batch, 3, NULL, &ticket, &fault));
    assert_int_equal(fbat_ticket_count(ticket), 3);
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, receipts, &fault));
    fbat_ticket_release(ticket);
    static const uint64_t revisions[] = {2, 1, 3};
    for (int item = 0; item < 3; item++) {
        assert_int_equal(receipts[item].sequence, 2 + item);
        assert_int_equal(receipts[item].revision, revisions[item]);
    }
    struct fbat_event event;
    assert_ok(fbat_get_by_sequence(fixture->store, 4, &event, &fault));
    assert_id_equal(event.causation, receipts[0].id);
    fbat_event_release(&event);
}

static void failed_batch_ticket_names_the_item(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event batch[] = {event_expecting("one", FBAT_EXPECT_NONE, 0),
                                           event_expecting("one", FBAT_EXPECT_REVISION, 1),
                                           event_expecting("one", FBAT_EXPECT_NONE, 0)};
    struct fbat_ticket *ticket;
    assert_ok(fbat_submit_batch(fixture->store, batch, 3, NULL, &ticket, &fault));
    assert_ticket(FBAT_ERR_REVISION, ticket);
    assert_int_equal(fault.item, 2);
    assert_int_equal(fault.actual_revision, 2);
    assert_int_equal(count_events(fixture->store), 0);
    assert_ok(fbat_submit_batch(fixture->store, batch, 2, NULL, &ticket, &fault));
    assert_int_equal(ticket_done(ticket).sequence, 1);
    assert_int_equal(count_events(fixture->store), 2);
}

static void reaction_ticket_has_its_cause(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_receipt cause = append_text(fixture->store, "one", "scope", "cause");
    const struct fbat_new_event event = event_of("two", "scope", "effect");
    struct fbat_ticket *ticket = untouched;
    const struct fbat_id unknown = id_of("unknown");
    assert_status(FBAT_ERR_NOT_FOUND, fbat_submit_reaction(fixture->store, &unknown, &event, NULL, &ticket, &fault));
    assert_ptr_equal(ticket, untouched);
    assert_ok(fbat_submit_reaction(fixture->store, &cause.id, &event, NULL, &ticket, &fault));
    struct fbat_receipt receipt = ticket_done(ticket);
    assert_int_equal(receipt.sequence, 2);
    struct fbat_event read;
    assert_ok(fbat_get_by_sequence(fixture->store, 2, &read, &fault));
    assert_id_equal(read.causation, cause.id);
    assert_id_equal(read.correlation, cause.id);
    fbat_event_release(&read);
    assert_ok(fbat_submit_reaction(fixture->store, &cause.id, &event, NULL, &ticket, &fault));
    struct fbat_receipt again = ticket_done(ticket);
    assert_int_equal(again.replayed, 1);
    assert_id_equal(again.id, receipt.id);
}

/* ---- order ---- */

struct blocking_append {
    struct fbat_store *store;
    struct fbat_receipt receipt;
    int status;
};

static void append_behind(void *user) {
    struct blocking_append *append = user;
    const struct fbat_new_event event = event_of("one", "scope", "blocking");
    append->status = fbat_append(append->store, &event, NULL, &append->receipt, NULL);
}

static void blocking_append_takes_its_place_behind_the_mailbox(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    enum { COUNT = 20 };
    struct fbat_ticket *held = hold_writer(fixture), *tickets[COUNT];
    for (int at = 0; at < COUNT; at++)
        tickets[at] = submit_text(fixture->store, at % 2 ? "one" : "two", "submitted");
    static struct blocking_append append;
    static struct actor actor;
    append = (struct blocking_append){.store = fixture->store};
    actor_start(&actor, append_behind, &append);
    actor_await_sleep(&actor);
    assert_false(actor_is_done(&actor));
    gate_open(&clock_gate);
    actor_join(&actor);
    assert_ok(append.status);
    assert_int_equal(append.receipt.sequence, COUNT + 2);
    for (int at = 0; at < COUNT; at++)
        assert_int_equal(ticket_done(tickets[at]).sequence, at + 2);
    fbat_ticket_release(held);
}

/* Without a gate, from one thread, in all mixtures: its own appends are in the order it made them. */
static void submitted_and_blocking_appends_of_a_thread_keep_their_order(void **state) {
    struct fixture *fixture = opened(state);
    uint64_t seed = test_seed(3107);
    print_message("seed %llu; FBAT_TEST_SEED=%llu tests/api/test_tickets replays it\n", (unsigned long long)seed,
                  (unsigned long long)seed);
    struct test_random random = test_random_init(seed);
    enum { COUNT = 2000 };
    char payload[16];
    for (int at = 1; at <= COUNT; at++) {
        snprintf(payload, sizeof payload, "%d", at);
        if (test_random_one_in(&random, 4))
            assert_int_equal(append_text(fixture->store, "one", "scope", payload).sequence, at);
        else
            fbat_ticket_release(submit_text(fixture->store, "one", payload));
    }
    append_text(fixture->store, "one", "scope", "last");
    for (int at = 1; at <= COUNT; at++) {
        snprintf(payload, sizeof payload, "%d", at);
        assert_event_at(fixture->store, (uint64_t)at, "one", payload);
    }
}

static void released_ticket_leaves_its_append_alone(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    fbat_ticket_release(submit_text(fixture->store, "one", "released"));
    fbat_ticket_release(held); /* while the writer is at work on it */
    fbat_ticket_release(NULL);
    gate_open(&clock_gate);
    assert_int_equal(append_text(fixture->store, "one", "scope", "behind").sequence, 3);
    assert_event_at(fixture->store, 2, "one", "released");
}

/* ---- descriptors ---- */

static bool is_readable(int descriptor) {
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    int count = poll(&look, 1, 0);
    assert_in_range(count, 0, 1);
    return count == 1 && (look.revents & POLLIN);
}

static void descriptor_becomes_readable_with_the_answer_and_stays_so(void **state) {
    struct fixture *fixture = opened_with_gate(state);
    struct fbat_ticket *held = hold_writer(fixture);
    int descriptor, again;
    assert_ok(fbat_ticket_fd(held, &descriptor, &fault));
    assert_ok(fbat_ticket_fd(held, &again, &fault));
    assert_int_equal(again, descriptor);
    assert_false(is_readable(descriptor));
    gate_open(&clock_gate);
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&look, 1, -1), 1);
    assert_ok(fbat_ticket_poll(held, NULL, &fault));
    assert_true(is_readable(descriptor));
    assert_ok(fbat_ticket_wait(held, PATIENCE_MS, NULL, &fault));
    assert_true(is_readable(descriptor));
    fbat_ticket_release(held);
}

static void descriptor_made_after_the_answer_is_readable(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_ticket *ticket = submit_text(fixture->store, "one", "payload");
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault));
    int descriptor;
    assert_ok(fbat_ticket_fd(ticket, &descriptor, &fault));
    assert_true(is_readable(descriptor));
    fbat_ticket_release(ticket);
}

/* A failure is an answer too. */
static void descriptor_of_a_failed_append_becomes_readable(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event wrong = event_expecting("one", FBAT_EXPECT_EXISTS, 0);
    struct fbat_ticket *ticket = submit_event(fixture->store, &wrong);
    int descriptor;
    assert_ok(fbat_ticket_fd(ticket, &descriptor, &fault));
    struct pollfd look = {.fd = descriptor, .events = POLLIN};
    assert_int_equal(poll(&look, 1, -1), 1);
    assert_ticket(FBAT_ERR_REVISION, ticket);
}

static int count_descriptors(void) {
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    assert_non_null(directory);
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

static void released_ticket_closes_its_descriptor(void **state) {
    struct fixture *fixture = opened(state);
    int before = count_descriptors(), descriptor;
    for (int at = 0; at < 50; at++) {
        struct fbat_ticket *ticket = submit_text(fixture->store, "one", "payload");
        if (at % 2)
            assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault));
        assert_ok(fbat_ticket_fd(ticket, &descriptor, &fault));
        fbat_ticket_release(ticket);
    }
    close_store(fixture);
    assert_true(count_descriptors() <= before);
}

static int ask_without_descriptors(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_ticket *ticket;
    struct fbat_error error;
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    (void)in, (void)out;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK); /* the segment's file is open then */
    child_check(fbat_submit(store, &event, NULL, &ticket, &error) == FBAT_OK);
    struct rlimit limit, none;
    child_check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    child_check(setrlimit(RLIMIT_NOFILE, &none) == 0);
    int descriptor = -7;
    child_check(fbat_ticket_fd(ticket, &descriptor, &error) == FBAT_ERR_LIMIT);
    child_check(descriptor == -7 && error.status == FBAT_ERR_LIMIT);
    child_check(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &error) == FBAT_OK);
    child_check(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    child_check(fbat_ticket_fd(ticket, &descriptor, &error) == FBAT_OK);
    fbat_ticket_release(ticket);
    child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

static void ticket_without_a_descriptor_left_answers_all_the_same(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, ask_without_descriptors, fixture);
    assert_int_equal(child_wait(&child), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(ticket_answers_the_receipt_of_its_append),
        behaviour(ticket_gives_its_answer_as_often_as_asked),
        behaviour(ticket_without_an_answer_says_retry),
        behaviour(wait_ends_with_the_answer),
        behaviour(ticket_at_level_durable_is_answered_when_it_is_durable),
        behaviour(ticket_at_default_level_follows_the_configuration),
        behaviour(submitted_event_is_copied_whole),
        behaviour(submitted_batch_is_copied_whole),
        behaviour(unacceptable_event_gets_no_ticket),
        behaviour(unacceptable_options_get_no_ticket),
        behaviour(batch_over_its_limits_gets_no_ticket),
        behaviour(missing_argument_gets_no_ticket),
        behaviour(read_only_handle_gives_no_ticket),
        behaviour(handle_from_before_a_fork_gives_no_ticket),
        behaviour(failed_append_answers_its_ticket_with_the_error),
        behaviour(failed_append_does_not_hold_up_those_behind_it),
        behaviour(ticket_with_a_known_key_answers_the_original_receipt),
        behaviour(key_twice_in_the_mailbox_is_written_once),
        behaviour(expectations_are_checked_in_the_order_of_the_mailbox),
        behaviour(batch_ticket_answers_all_receipts),
        behaviour(failed_batch_ticket_names_the_item),
        behaviour(reaction_ticket_has_its_cause),
        behaviour(blocking_append_takes_its_place_behind_the_mailbox),
        behaviour(submitted_and_blocking_appends_of_a_thread_keep_their_order),
        behaviour(released_ticket_leaves_its_append_alone),
        behaviour(descriptor_becomes_readable_with_the_answer_and_stays_so),
        behaviour(descriptor_made_after_the_answer_is_readable),
        behaviour(descriptor_of_a_failed_append_becomes_readable),
        behaviour(released_ticket_closes_its_descriptor),
        behaviour(ticket_without_a_descriptor_left_answers_all_the_same),
    };
    return cmocka_run_group_tests_name("api: tickets", tests, NULL, NULL);
}
