/* SPDX-License-Identifier: Apache-2.0 */
/* One writer: who is refused, who is named, what ends the lock, and what a fork does to a handle. */
#include "fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

/* A child of a process with threads starts one here: unusual for the thread sanitizer, but allowed. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

/* ---- what runs in the other process ---- */

/* Holds the store until it is told to close it. */
static int hold_store(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    pipe_send(out);
    if (pipe_receive(in))
        child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

/* When told to, finds the store locked by its parent process. */
static int find_locked(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error = {0};
    (void)out;
    child_check(pipe_receive(in));
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_ERR_LOCKED);
    child_check(error.status == FBAT_ERR_LOCKED);
    child_check(error.holder_pid == getppid());
    return 0;
}

/* Holds the store and has a child of its own, which lives on until `in` closes. Reports that child's pid. */
static int hold_store_with_heir(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    pid_t heir = fork();
    child_check(heir >= 0);
    if (heir == 0) {
        pipe_send(out);
        (void)pipe_receive(in);
        _exit(0);
    }
    (void)pipe_receive(in);
    return 0;
}

/* ---- refusals ---- */

static void second_open_in_the_process_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *second;
    open_store(fixture);
    assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &second, &fault));
    assert_int_equal(fault.holder_pid, getpid());
    append_text(fixture->store, "one", "scope", "payload");
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
}

/* However the directory is written, it is the same store. */
static void second_open_by_another_path_is_refused(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *second;
    open_store(fixture);
    char other[TEST_PATH_SIZE];
    join_path(fixture->dir, "../store/.", other);
    fixture->config.data_dir = other;
    assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &second, &fault));
}

static void second_process_is_refused_and_told_who_has_it(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, hold_store, fixture);
    assert_true(pipe_receive(child.from));
    assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &fixture->store, &fault));
    assert_int_equal(fault.holder_pid, child.pid);
    char pid[32];
    snprintf(pid, sizeof pid, "%d", (int)child.pid);
    assert_message_has(pid);
    assert_null(fixture->store);
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
    open_store(fixture);
}

/* ---- what the lock outlives, and what ends it ---- */

static void lock_dies_with_its_process(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, hold_store, fixture);
    assert_true(pipe_receive(child.from));
    child_kill(&child);
    open_store(fixture);
}

static void forked_child_that_lives_on_does_not_keep_the_lock(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, hold_store_with_heir, fixture);
    assert_true(pipe_receive(child.from));
    int keep_heir = dup(child.to);
    assert_true(keep_heir >= 0);
    child_kill(&child);
    open_store(fixture); /* while the heir waits for keep_heir */
    close(keep_heir);
}

static void assert_still_locked_after(struct fixture *fixture, void (*act)(struct fixture *fixture)) {
    struct child child;
    child_start(&child, find_locked, fixture); /* before the store is open: a real stranger */
    open_store(fixture);
    act(fixture);
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
}

static void open_a_second_time(struct fixture *fixture) {
    struct fbat_store *second;
    assert_status(FBAT_ERR_LOCKED, fbat_open(&fixture->config, &second, &fault));
}

/* A reader that was there before the writer, and goes. */
static void close_an_older_reader(struct fixture *fixture) {
    struct fbat_store *reader;
    close_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    open_store(fixture);
    assert_ok(fbat_close(reader, &fault));
}

/* A reader that knew the writer before this one, and goes. */
static void close_a_reader_of_an_earlier_writer(struct fixture *fixture) {
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    reopen_store(fixture);
    assert_ok(fbat_close(reader, &fault));
}

static void open_and_close_for_reading(struct fixture *fixture) {
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_ok(fbat_close(reader, &fault));
}

static void check_beside(struct fixture *fixture) {
    assert_whole(fixture->dir);
}

static int visit_nothing(void *user, const struct fbat_dump_entry *entry) {
    (void)user, (void)entry;
    return 0;
}

static void dump_beside(struct fixture *fixture) {
    assert_ok(fbat_dump(fixture->dir, 0, visit_nothing, NULL, &fault));
}

/* POSIX drops a record lock when any descriptor of its file is closed; the library must not do that to itself. */
static void refused_second_open_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, open_a_second_time);
}

static void reader_in_the_process_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, open_and_close_for_reading);
}

static void older_reader_in_the_process_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, close_an_older_reader);
}

static void reader_of_an_earlier_writer_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, close_a_reader_of_an_earlier_writer);
}

static void check_in_the_process_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, check_beside);
}

static void dump_in_the_process_does_not_cost_the_lock(void **state) {
    assert_still_locked_after(*state, dump_beside);
}

/* In a process that may hold few files open. */
static int look_often_beside(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store, *other;
    struct fbat_error error;
    const struct rlimit few_files = {40, 40};
    (void)in, (void)out;
    child_check(setrlimit(RLIMIT_NOFILE, &few_files) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (int at = 0; at < 50; at++) {
        struct fbat_new_event event = event_of("one", "scope", "payload");
        child_check(fbat_open(&fixture->config, &other, &error) == FBAT_ERR_LOCKED);
        child_check(fbat_open_read_only(&fixture->config, &other, &error) == FBAT_OK);
        child_check(fbat_close(other, &error) == FBAT_OK);
        child_check(fbat_check(fixture->dir, NULL, NULL, &error) == FBAT_OK);
        child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK);
    }
    child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

/* Which has its price where closing a file costs the lock on it: no descriptor may be kept for each. */
static void readers_and_checks_beside_the_writer_use_up_no_descriptors(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 5 << 10;
    child_start(&child, look_often_beside, fixture);
    assert_int_equal(child_wait(&child), 0);
}

/* The reader that outlives the writer in one process does not keep the store locked either. */
static void reader_that_stays_does_not_keep_the_lock(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    struct fbat_store *reader;
    open_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    close_store(fixture);
    child_start(&child, hold_store, fixture);
    assert_true(pipe_receive(child.from));
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- fork ---- */

static int use_inherited_handle(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store = fixture->store;
    struct fbat_error error;
    struct fbat_event event;
    struct fbat_iterator *iterator;
    struct fbat_new_event new_event = event_of("one", "scope", "from the child");
    struct fbat_stats stats;
    struct fbat_id id;
    uint64_t count;
    uint16_t kind;
    (void)in, (void)out;
    child_check(fbat_append(store, &new_event, NULL, NULL, &error) == FBAT_ERR_FORKED);
    child_check(error.status == FBAT_ERR_FORKED);
    child_check(fbat_append_batch(store, &new_event, 1, NULL, NULL, &error) == FBAT_ERR_FORKED);
    child_check(fbat_id_generate(store, &id, &error) == FBAT_ERR_FORKED);
    child_check(fbat_sync(store, &error) == FBAT_ERR_FORKED);
    child_check(fbat_get_by_sequence(store, 1, &event, &error) == FBAT_ERR_FORKED);
    child_check(fbat_latest(store, fbat_text("one"), fbat_text("scope"), &event, &error) == FBAT_ERR_FORKED);
    child_check(fbat_query(store, NULL, NULL, &iterator, &error) == FBAT_ERR_FORKED);
    child_check(fbat_query_count(store, NULL, &count, &error) == FBAT_ERR_FORKED);
    child_check(fbat_kind(store, fbat_text("a"), &kind) == FBAT_ERR_FORKED);
    child_check(fbat_kind_define(store, KIND_A, fbat_text("a"), &error) == FBAT_ERR_FORKED);
    child_check(fbat_stats(store, &stats, &error) == FBAT_ERR_FORKED);
    child_check(fbat_close(store, &error) == FBAT_ERR_FORKED);
    return 0;
}

static void handle_is_of_no_use_after_fork(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    child_start(&child, use_inherited_handle, fixture);
    assert_int_equal(child_wait(&child), 0);
    append_text(fixture->store, "one", "scope", "payload"); /* and the parent goes on */
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 2);
}

static int read_anew(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *reader, *writer;
    struct fbat_error error = {0};
    uint64_t count;
    (void)in, (void)out;
    child_check(fbat_open(&fixture->config, &writer, &error) == FBAT_ERR_LOCKED);
    child_check(error.holder_pid == getppid());
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    child_check(fbat_query_count(reader, NULL, &count, &error) == FBAT_OK && count == 1);
    child_check(fbat_close(reader, &error) == FBAT_OK);
    return 0;
}

static void forked_child_may_open_anew_for_reading(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    child_start(&child, read_anew, fixture);
    assert_int_equal(child_wait(&child), 0);
    child_start(&child, find_locked, fixture); /* the reader of the child did not end the parent's lock */
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
}

static int write_after_the_parent(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)out;
    child_check(pipe_receive(in));
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

static void forked_child_may_write_once_the_parent_has_closed(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    child_start(&child, write_after_the_parent, fixture);
    close_store(fixture);
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(second_open_in_the_process_is_refused),
        behaviour(second_open_by_another_path_is_refused),
        behaviour(second_process_is_refused_and_told_who_has_it),
        behaviour(lock_dies_with_its_process),
        behaviour(forked_child_that_lives_on_does_not_keep_the_lock),
        behaviour(refused_second_open_does_not_cost_the_lock),
        behaviour(reader_in_the_process_does_not_cost_the_lock),
        behaviour(older_reader_in_the_process_does_not_cost_the_lock),
        behaviour(reader_of_an_earlier_writer_does_not_cost_the_lock),
        behaviour(check_in_the_process_does_not_cost_the_lock),
        behaviour(dump_in_the_process_does_not_cost_the_lock),
        behaviour(readers_and_checks_beside_the_writer_use_up_no_descriptors),
        behaviour(reader_that_stays_does_not_keep_the_lock),
        behaviour(handle_is_of_no_use_after_fork),
        behaviour(forked_child_may_open_anew_for_reading),
        behaviour(forked_child_may_write_once_the_parent_has_closed),
    };
    return cmocka_run_group_tests_name("api: the writer's lock", tests, NULL, NULL);
}
