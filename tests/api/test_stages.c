/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an error says about the place of a failure: how far the append came, and which item of the batch it was; for each
 * kind of failure and each way to append.
 */
#include "fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

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

/* One append that must fail, by all ways there are. */
struct failure {
    int status;
    enum fbat_stage stage;
    const struct fbat_new_event *event;
    const struct fbat_append_options *options;
};

#define assert_place(failure, item, call) check_place((failure), (item), (call), #call, __LINE__)
static void check_place(const struct failure *failure, size_t item, int status, const char *call, int line) {
    check_status(failure->status, status, call, __FILE__, line);
    if (fault.status == failure->status && fault.stage == (uint32_t)failure->stage && fault.item == item)
        return;
    print_error("%s\nstatus %s, stage %u, item %zu; expected stage %u, item %zu: %s\n", call,
                fbat_status_name(fault.status), fault.stage, fault.item, (unsigned)failure->stage, item, fault.message);
    _fail(__FILE__, line);
}

/* A fresh error each time, full of something else. */
static struct fbat_error *spoilt(void) {
    memset(&fault, 0x5a, sizeof fault);
    return &fault;
}

static void check_blocking(struct fixture *fixture, const struct failure *failure) {
    const struct fbat_new_event batch[] = {event_of("a", "scope", ""), event_of("b", "scope", ""), *failure->event};
    struct fbat_receipt receipts[3];
    assert_place(failure, FBAT_NO_ITEM, fbat_append(fixture->store, failure->event, failure->options, NULL, spoilt()));
    assert_place(failure, 2, fbat_append_batch(fixture->store, batch, 3, failure->options, receipts, spoilt()));
    assert_place(failure, 0, fbat_append_batch(fixture->store, batch + 2, 1, failure->options, receipts, spoilt()));
}

/* Refused at once, or answered by the ticket: the place is the same. */
static void check_ticket_place(struct fixture *fixture, const struct failure *failure) {
    const struct fbat_new_event batch[] = {event_of("a", "scope", ""), event_of("b", "scope", ""), *failure->event};
    struct fbat_ticket *ticket = NULL;
    int status = fbat_submit(fixture->store, failure->event, failure->options, &ticket, spoilt());
    if (status == FBAT_OK)
        status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, spoilt());
    fbat_ticket_release(ticket);
    assert_place(failure, FBAT_NO_ITEM, status);
    ticket = NULL;
    status = fbat_submit_batch(fixture->store, batch, 3, failure->options, &ticket, spoilt());
    if (status == FBAT_OK)
        status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, spoilt());
    fbat_ticket_release(ticket);
    assert_place(failure, 2, status);
}

static void check_fence_place(struct fixture *fixture, const struct failure *failure) {
    const struct fbat_new_event batch[] = {event_of("a", "scope", ""), event_of("b", "scope", ""), *failure->event};
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(fixture->store, &fence, &fault));
    assert_place(failure, FBAT_NO_ITEM, fbat_fence_append(fence, failure->event, failure->options, NULL, spoilt()));
    assert_place(failure, 2, fbat_fence_append_batch(fence, batch, 3, failure->options, NULL, spoilt()));
    fbat_fence_cancel(fence);
}

static void check_everywhere(struct fixture *fixture, const struct failure *failure) {
    check_blocking(fixture, failure);
    check_ticket_place(fixture, failure);
    check_fence_place(fixture, failure);
}

/* ---- validation ---- */

static void check_unacceptable(struct fixture *fixture, int status, const struct fbat_new_event *event) {
    const struct failure failure = {status, FBAT_STAGE_VALIDATE, event, NULL};
    struct fbat_outbox *outbox;
    check_everywhere(fixture, &failure);
    assert_ok(fbat_outbox_create(fixture->store, NULL, &outbox, &fault));
    const struct fbat_new_event good = event_keyed("good", "one", "");
    assert_ok(fbat_outbox_stage(outbox, &good, &fault));
    assert_place(&failure, 1, fbat_outbox_stage(outbox, event, spoilt()));
    fbat_outbox_destroy(outbox);
}

static void unacceptable_event_fails_in_validation(void **state) {
    struct fixture *fixture = *state;
    fixture->config.single_append_max_bytes = 10;
    open_store(fixture);
    struct fbat_new_event event = event_of("", "scope", "");
    check_unacceptable(fixture, FBAT_ERR_NAME, &event);
    event = event_of("one", FBAT_SYSTEM_SCOPE, "");
    check_unacceptable(fixture, FBAT_ERR_NAME, &event);
    event = event_of("one", "scope", "");
    event.kind = FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1);
    check_unacceptable(fixture, FBAT_ERR_KIND, &event);
    event = event_of("one", "scope", "eleven bytes");
    check_unacceptable(fixture, FBAT_ERR_TOO_LARGE, &event);
    event = event_of("one", "scope", "");
    event.has_event_time = 2;
    check_unacceptable(fixture, FBAT_ERR_ARGUMENT, &event);
}

static void batch_as_a_whole_fails_in_validation_without_an_item(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.max_size = 2;
    fixture->config.batch.max_bytes = 10;
    open_store(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "six by");
    const struct fbat_new_event batch[] = {event, event, event};
    const struct failure too_many = {FBAT_ERR_TOO_LARGE, FBAT_STAGE_VALIDATE, &event, NULL};
    assert_place(&too_many, FBAT_NO_ITEM, fbat_append_batch(fixture->store, batch, 3, NULL, NULL, spoilt()));
    assert_place(&too_many, FBAT_NO_ITEM, fbat_append_batch(fixture->store, batch, 2, NULL, NULL, spoilt()));
}

static void missing_key_fails_in_validation(void **state) {
    struct fixture *fixture = *state;
    fixture->config.batch.group_commit_max_batch = 2;
    open_store(fixture);
    const struct fbat_new_event bare = event_of("one", "scope", "");
    const struct fbat_new_event batch[] = {event_keyed("a", "one", ""), bare};
    const struct failure failure = {FBAT_ERR_IDEMPOTENCY_REQUIRED, FBAT_STAGE_VALIDATE, &bare, NULL};
    assert_place(&failure, FBAT_NO_ITEM, fbat_append(fixture->store, &bare, NULL, NULL, spoilt()));
    assert_place(&failure, 1, fbat_append_batch(fixture->store, batch, 2, NULL, NULL, spoilt()));
}

static void unacceptable_options_fail_in_validation(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "");
    const struct fbat_append_options options = {.struct_size = sizeof options, .level = (enum fbat_level)3};
    const struct failure failure = {FBAT_ERR_ARGUMENT, FBAT_STAGE_VALIDATE, &event, &options};
    assert_place(&failure, FBAT_NO_ITEM, fbat_append(fixture->store, &event, &options, NULL, spoilt()));
    assert_place(&failure, FBAT_NO_ITEM, fbat_append_batch(fixture->store, &event, 1, &options, NULL, spoilt()));
}

/* ---- keys ---- */

static void used_key_fails_at_the_key(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event first = event_keyed("key", "one", "payload"),
                                other = event_keyed("key", "one", "other");
    append_event(fixture->store, &first);
    const struct failure failure = {FBAT_ERR_IDEMPOTENCY_CONFLICT, FBAT_STAGE_KEY, &other, NULL};
    check_everywhere(fixture, &failure);
    assert_int_equal(fault.sequence, 1);
}

static void key_twice_in_a_batch_fails_at_the_key(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("key", "one", "payload");
    const struct fbat_new_event batch[] = {event_of("a", "scope", ""), event, event};
    const struct failure failure = {FBAT_ERR_IDEMPOTENCY_CONFLICT, FBAT_STAGE_KEY, &event, NULL};
    assert_place(&failure, 2, fbat_append_batch(fixture->store, batch, 3, NULL, NULL, spoilt()));
}

static void partly_known_batch_fails_at_the_key(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event known = event_keyed("key", "one", "payload");
    append_event(fixture->store, &known);
    const struct fbat_new_event batch[] = {event_of("a", "scope", ""), known, event_of("a", "scope", "")};
    const struct failure failure = {FBAT_ERR_IDEMPOTENCY_PARTIAL, FBAT_STAGE_KEY, &known, NULL};
    assert_place(&failure, 1, fbat_append_batch(fixture->store, batch, 3, NULL, NULL, spoilt()));
}

/* ---- expectations ---- */

static void expectation_fails_at_the_condition(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "payload");
    static const enum fbat_expect expectations[] = {FBAT_EXPECT_NONE, FBAT_EXPECT_REVISION};
    for (int at = 0; at < 2; at++) {
        const struct fbat_new_event event = event_expecting("one", expectations[at], at ? 5 : 0);
        const struct failure failure = {FBAT_ERR_REVISION, FBAT_STAGE_CONDITION, &event, NULL};
        check_everywhere(fixture, &failure);
        assert_int_equal(fault.condition, 0);
    }
}

/* A condition of the options is no item's. */
static void condition_fails_at_the_condition_without_an_item(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_condition condition = {
        .entity = fbat_text("other"), .scope = fbat_text("scope"), .expect = FBAT_EXPECT_EXISTS};
    const struct fbat_append_options options = {
        .struct_size = sizeof options, .conditions = &condition, .condition_count = 1};
    const struct fbat_new_event event = event_of("one", "scope", ""), batch[] = {event, event};
    const struct failure failure = {FBAT_ERR_REVISION, FBAT_STAGE_CONDITION, &event, &options};
    assert_place(&failure, FBAT_NO_ITEM, fbat_append(fixture->store, &event, &options, NULL, spoilt()));
    assert_place(&failure, FBAT_NO_ITEM, fbat_append_batch(fixture->store, batch, 2, &options, NULL, spoilt()));
    assert_int_equal(fault.condition, 1);
}

/* ---- the disk ---- */

static int append_under_a_limit(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    static char payload[3000];
    struct fbat_new_event event = event_of("one", "scope", "");
    const struct rlimit limit = {64 << 10, RLIM_INFINITY};
    (void)in, (void)out;
    event.payload = fbat_bytes(payload, sizeof payload);
    signal(SIGXFSZ, SIG_IGN);
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    int status = FBAT_OK;
    for (int turn = 0; turn < 100 && status == FBAT_OK; turn++)
        status = fbat_append(store, &event, turn % 2 ? &level_written : &level_durable, NULL, &error);
    const struct fbat_append_options *const levels[] = {&level_written, &level_durable};
    for (int at = 0; at < 2; at++) {
        memset(&error, 0x5a, sizeof error);
        child_check(fbat_append(store, &event, levels[at], NULL, &error) == FBAT_ERR_NO_SPACE);
        child_check(error.stage == FBAT_STAGE_WRITE && error.item == FBAT_NO_ITEM && error.os_errno == EFBIG);
        memset(&error, 0x5a, sizeof error);
        child_check(fbat_append_batch(store, &event, 1, levels[at], NULL, &error) == FBAT_ERR_NO_SPACE);
        child_check(error.stage == FBAT_STAGE_WRITE && error.os_errno == EFBIG);
        struct fbat_ticket *ticket;
        child_check(fbat_submit(store, &event, levels[at], &ticket, &error) == FBAT_OK);
        memset(&error, 0x5a, sizeof error);
        child_check(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &error) == FBAT_ERR_NO_SPACE);
        child_check(error.stage == FBAT_STAGE_WRITE && error.os_errno == EFBIG);
        fbat_ticket_release(ticket);
    }
    return 0;
}

static void lack_of_space_fails_in_the_write(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, append_under_a_limit, fixture);
    assert_int_equal(child_wait(&child), 0);
}

static void open_on_watched_disk(struct fixture *fixture) {
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    append_text(fixture->store, "before", "scope", "payload");
    assert_ok(fbat_sync(fixture->store, &fault));
}

static void failed_write_fails_in_the_write(void **state) {
    struct fixture *fixture = *state;
    open_on_watched_disk(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    const struct failure failure = {FBAT_ERR_IO, FBAT_STAGE_WRITE, &event, NULL};
    atomic_store(&watched_disk.writes_to_fail, 1);
    assert_place(&failure, FBAT_NO_ITEM, fbat_append(fixture->store, &event, &level_durable, NULL, spoilt()));
    assert_int_equal(fault.os_errno, EIO);
    assert_int_equal(atomic_load(&watched_disk.writes_to_fail), 0);
    assert_int_equal(count_events(fixture->store), 1);
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 2);
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 2);
}

static void failed_sync_fails_in_the_sync(void **state) {
    struct fixture *fixture = *state;
    open_on_watched_disk(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    const struct failure failure = {FBAT_ERR_IO, FBAT_STAGE_SYNC, &event, NULL};
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_place(&failure, FBAT_NO_ITEM, fbat_append(fixture->store, &event, &level_durable, NULL, spoilt()));
    assert_int_equal(fault.os_errno, EIO);
    assert_true(fault.segment_id > 0);
    assert_int_equal(count_events(fixture->store), 1);
}

static void dead_writer_names_the_first_cause(void **state) {
    struct fixture *fixture = *state;
    open_on_watched_disk(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    atomic_store(&watched_disk.syncs_to_fail, 1000);
    assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_status(FBAT_ERR_WRITER_DEAD, fbat_append(fixture->store, &event, NULL, NULL, spoilt()));
    assert_int_equal(fault.os_errno, EIO);
    assert_message_has("000001.fbat");
    assert_int_equal(fault.stage, FBAT_STAGE_NONE); /* refused before it was looked at */
    assert_true(fault.item == FBAT_NO_ITEM);
    atomic_store(&watched_disk.syncs_to_fail, 0);
    struct fbat_store *store = fixture->store;
    fixture->store = NULL;
    assert_true(fbat_close(store, spoilt()) < 0);
    assert_int_equal(fault.os_errno, EIO);
}

/* ---- refused before it was looked at, and not an append ---- */

static void refused_handle_is_no_stage(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    const struct failure read_only = {FBAT_ERR_READ_ONLY, FBAT_STAGE_NONE, &event, NULL};
    assert_place(&read_only, FBAT_NO_ITEM, fbat_append(reader, &event, NULL, NULL, spoilt()));
    assert_place(&read_only, FBAT_NO_ITEM, fbat_append_batch(reader, &event, 1, NULL, NULL, spoilt()));
    assert_ok(fbat_close(reader, &fault));
}

static void open_fence_is_no_stage(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(fixture->store, &fence, &fault));
    const struct failure active = {FBAT_ERR_FENCE_ACTIVE, FBAT_STAGE_NONE, &event, NULL};
    struct fbat_ticket *ticket;
    assert_place(&active, FBAT_NO_ITEM, fbat_append(fixture->store, &event, NULL, NULL, spoilt()));
    assert_place(&active, FBAT_NO_ITEM, fbat_append_batch(fixture->store, &event, 1, NULL, NULL, spoilt()));
    assert_place(&active, FBAT_NO_ITEM, fbat_try_submit(fixture->store, &event, NULL, &ticket, spoilt()));
    fbat_fence_cancel(fence);
}

static void other_calls_have_no_stage(void **state) {
    struct fixture *fixture = opened(state);
    const struct failure not_found = {FBAT_ERR_NOT_FOUND, FBAT_STAGE_NONE, NULL, NULL};
    const struct failure locked = {FBAT_ERR_LOCKED, FBAT_STAGE_NONE, NULL, NULL};
    struct fbat_event read;
    struct fbat_store *second;
    const struct fbat_id id = id_of("nobody");
    assert_place(&not_found, FBAT_NO_ITEM, fbat_get(fixture->store, &id, &read, spoilt()));
    assert_place(&locked, FBAT_NO_ITEM, fbat_open(&fixture->config, &second, spoilt()));
}

/* An error is left alone by a call that does not fail. */
static void success_leaves_the_error_alone(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("key", "one", "payload");
    struct fbat_error untouched;
    struct fbat_ticket *ticket;
    memset(&untouched, 0x5a, sizeof untouched);
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, spoilt()));
    assert_ok(fbat_append(fixture->store, &event, NULL, NULL, &fault));
    assert_ok(fbat_append_batch(fixture->store, &event, 1, NULL, NULL, &fault));
    assert_ok(fbat_submit(fixture->store, &event, NULL, &ticket, &fault));
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault));
    fbat_ticket_release(ticket);
    assert_ok(fbat_wait_durable(fixture->store, 1, PATIENCE_MS, &fault));
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_memory_equal(&fault, &untouched, sizeof fault);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(unacceptable_event_fails_in_validation),
        behaviour(batch_as_a_whole_fails_in_validation_without_an_item),
        behaviour(missing_key_fails_in_validation),
        behaviour(unacceptable_options_fail_in_validation),
        behaviour(used_key_fails_at_the_key),
        behaviour(key_twice_in_a_batch_fails_at_the_key),
        behaviour(partly_known_batch_fails_at_the_key),
        behaviour(expectation_fails_at_the_condition),
        behaviour(condition_fails_at_the_condition_without_an_item),
        behaviour(lack_of_space_fails_in_the_write),
        behaviour(failed_write_fails_in_the_write),
        behaviour(failed_sync_fails_in_the_sync),
        behaviour(dead_writer_names_the_first_cause),
        behaviour(refused_handle_is_no_stage),
        behaviour(open_fence_is_no_stage),
        behaviour(other_calls_have_no_stage),
        behaviour(success_leaves_the_error_alone),
    };
    return cmocka_run_group_tests_name("api: stages of a failure", tests, NULL, NULL);
}
