/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers where nothing may be written: files and directory without a write bit, as another user; file systems mounted
 * read-only, beside a writer and alone. And readers whose files are removed, replaced or damaged below them: an event is
 * right or its read is an error that names the segment; the process goes on.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

enum { CANNOT = 77 }; /* a child's exit status: what it needs is not to be had here */

/* ---- a reader process, asked how much it sees ---- */

static const char *read_from; /* where the child looks for the store */

/* Answers each question with the number of events, all of which it has read; 0 = "go on", else the question is a count that
 * must be seen. */
static int count_when_asked(struct fixture *fixture, int in, int out) {
    struct fbat_store *reader;
    struct fbat_error error;
    struct fbat_config config = fixture->config;
    config.data_dir = read_from;
    int status = fbat_open_read_only(&config, &reader, &error);
    if (status != FBAT_OK)
        fprintf(stderr, "%s\n", error.message);
    child_check(status == FBAT_OK);
    uint8_t expected;
    while (read(in, &expected, 1) == 1 && expected != UINT8_MAX) {
        struct fbat_iterator *iterator;
        struct fbat_event event;
        uint8_t count = 0;
        child_check(fbat_query(reader, NULL, NULL, &iterator, &error) == FBAT_OK);
        while (fbat_iterator_next(iterator, &event, &error) == FBAT_OK)
            count += event.payload.size == 7 && memcmp(event.payload.data, "payload", 7) == 0;
        fbat_iterator_close(iterator);
        child_check(count == expected);
        child_check(write(out, &count, 1) == 1);
    }
    child_check(fbat_close(reader, &error) == FBAT_OK);
    return 0;
}

static void expect_count(struct child *child, uint8_t count) {
    uint8_t answer = UINT8_MAX;
    assert_int_equal(write(child->to, &count, 1), 1);
    assert_int_equal(read(child->from, &answer, 1), 1);
    assert_int_equal(answer, count);
}

/* Skips the test when the child could not begin. */
static void await_begin(struct child *child, const char *needs) {
    if (pipe_receive(child->from))
        return;
    int status = child_wait(child);
    if (status != CANNOT)
        fail_msg("the reader ended with %d", status);
    print_message("%s\n", needs);
    skip();
}

static void end_child(struct child *child) {
    uint8_t end = UINT8_MAX;
    assert_int_equal(write(child->to, &end, 1), 1);
    assert_int_equal(child_wait(child), 0);
}

static void append_some(struct fixture *fixture, int count) {
    for (int at = 0; at < count; at++)
        append_text(fixture->store, "one", "scope", "payload");
}

/* ---- without a write bit ---- */

/* root passes over permissions; somebody else does not need to become nobody. */
static int read_unprivileged(void *user, int in, int out) {
    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return CANNOT;
    pipe_send(out);
    return count_when_asked(user, in, out);
}

static void forbid_writing(const char *dir) {
    DIR *directory = opendir(dir);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[TEST_PATH_SIZE];
        if (entry->d_name[0] == '.')
            continue;
        join_path(dir, entry->d_name, path);
        assert_int_equal(chmod(path, 0444), 0);
    }
    closedir(directory);
    assert_int_equal(chmod(dir, 0555), 0);
}

static void allow_writing(const char *dir) {
    assert_int_equal(chmod(dir, 0755), 0);
}

static void start_unprivileged(struct fixture *fixture, struct child *child) {
    assert_int_equal(chmod(fixture->root, 0755), 0);
    forbid_writing(fixture->dir);
    read_from = fixture->dir;
    child_start(child, read_unprivileged, fixture);
    await_begin(child, "becoming another user is not allowed here");
}

static void reader_needs_no_write_bit_on_files_or_directory(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    append_some(fixture, 3);
    close_store(fixture);
    start_unprivileged(fixture, &child);
    expect_count(&child, 3);
    expect_count(&child, 3);
    end_child(&child);
    allow_writing(fixture->dir);
}

/* It finds LOCK when there is one, and the first segment when there is one. */
static void reader_may_come_before_lock_and_the_first_event(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    char lock[TEST_PATH_SIZE];
    if (geteuid() != 0) {
        print_message("only root can write where others cannot\n");
        skip();
    }
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    close_store(fixture);
    join_path(fixture->dir, "LOCK", lock);
    assert_int_equal(unlink(lock), 0);
    start_unprivileged(fixture, &child);
    expect_count(&child, 0);
    open_store(fixture);
    expect_count(&child, 0);
    append_some(fixture, 1);
    expect_count(&child, 1);
    append_some(fixture, 4);
    expect_count(&child, 5);
    close_store(fixture);
    expect_count(&child, 5);
    open_store(fixture);
    append_some(fixture, 2);
    expect_count(&child, 7);
    end_child(&child);
}

/* ---- file systems mounted read-only ---- */

static char mount_point[TEST_PATH_SIZE];
static const char *mount_from;

/* In a name space of its own, so that nothing stays behind. */
static bool enter_name_space(void) {
    return unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Of mount_from. Whoever asks, nothing is written there. */
static int read_mounted(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_config config = fixture->config;
    struct fbat_store *store;
    struct fbat_error error;
    if (!enter_name_space() || mount(mount_from, mount_point, NULL, MS_BIND, NULL) != 0 ||
        mount(NULL, mount_point, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) != 0)
        return CANNOT;
    config.data_dir = mount_point;
    int status = fbat_open(&config, &store, &error);
    child_check(status == FBAT_ERR_PERMISSION || (status == FBAT_ERR_IO && error.os_errno == EROFS));
    pipe_send(out);
    return count_when_asked(user, in, out);
}

static void make_mount_point(struct fixture *fixture) {
    join_path(fixture->root, "media", mount_point);
    assert_int_equal(mkdir(mount_point, 0755), 0);
    read_from = mount_point;
}

static void reader_follows_through_a_read_only_mount(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 8 << 10;
    make_mount_point(fixture);
    mount_from = fixture->dir;
    open_store(fixture);
    child_start(&child, read_mounted, fixture);
    await_begin(&child, "mounting is not allowed here");
    expect_count(&child, 0);
    append_some(fixture, 5);
    expect_count(&child, 5);
    append_some(fixture, 60);
    expect_count(&child, 65);
    reopen_store(fixture);
    append_some(fixture, 60);
    expect_count(&child, 125);
    end_child(&child);
}

/* The copy is one of a store whose writer did not close it: the reader recovers in memory what a writer would on disk. */
static void reader_opens_an_unclosed_copy_on_read_only_media(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    char copy[TEST_PATH_SIZE];
    fixture->config.segment_max_bytes = 8 << 10;
    make_mount_point(fixture);
    open_store(fixture);
    append_some(fixture, 100);
    join_path(fixture->root, "copy", copy);
    copy_store(fixture->dir, copy);
    mount_from = copy;
    child_start(&child, read_mounted, fixture);
    await_begin(&child, "mounting is not allowed here");
    expect_count(&child, 100);
    append_some(fixture, 10); /* not to the copy */
    expect_count(&child, 100);
    end_child(&child);
}

/* ---- files that change below a reader ---- */

enum { EVENTS = 8 }; /* one in each segment */

static struct fbat_store *open_reader(struct fixture *fixture) {
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    return reader;
}

static struct fbat_store *start_one_event_each(struct fixture *fixture) {
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    append_some(fixture, EVENTS / 2);
    struct fbat_store *reader = open_reader(fixture);
    assert_int_equal(count_events(reader), EVENTS / 2);
    return reader;
}

/* Each event is there as it was, or its read names the segment. */
static void assert_right_or_named(struct fbat_store *reader, uint64_t segment_id) {
    struct fbat_event event;
    for (uint64_t sequence = 1; sequence <= EVENTS / 2; sequence++) {
        int status = fbat_get_by_sequence(reader, sequence, &event, &fault);
        if (status == FBAT_OK) {
            assert_slice("payload", event.payload);
            fbat_event_release(&event);
            continue;
        }
        assert_int_equal(sequence, segment_id);
        assert_true(status == FBAT_ERR_DAMAGED || status == FBAT_ERR_IO);
        assert_int_equal(fault.segment_id, segment_id);
    }
}

static void assert_not_opened(struct fixture *fixture, uint64_t segment_id) {
    struct fbat_store *reader;
    assert_status(FBAT_ERR_DAMAGED, fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_int_equal(fault.segment_id, segment_id);
}

static void segment_removed_below_a_reader_is_no_crash(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader = start_one_event_each(fixture);
    char path[TEST_PATH_SIZE];
    segment_path_of(fixture->dir, 2, path);
    assert_int_equal(unlink(path), 0);
    assert_right_or_named(reader, 2);
    append_some(fixture, EVENTS / 2);
    assert_event_at(reader, EVENTS, "one", "payload"); /* it follows the log all the same */
    assert_ok(fbat_close(reader, &fault));
    assert_not_opened(fixture, 2);
}

static void segment_replaced_below_a_reader_is_no_crash(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader = start_one_event_each(fixture);
    char path[TEST_PATH_SIZE], other[TEST_PATH_SIZE], aside[TEST_PATH_SIZE];
    struct fbat_config config = fixture->config;
    struct fbat_store *foreign;
    join_path(fixture->root, "other", other);
    config.data_dir = other;
    assert_ok(fbat_open(&config, &foreign, &fault));
    for (int at = 0; at < 3; at++)
        append_text(foreign, "one", "scope", "foreign");
    assert_ok(fbat_close(foreign, &fault));
    segment_path_of(other, 2, aside);
    segment_path_of(fixture->dir, 2, path);
    assert_int_equal(rename(aside, path), 0);
    assert_right_or_named(reader, 2);
    assert_ok(fbat_close(reader, &fault));
    assert_not_opened(fixture, 2);
}

/* Moved away before the reader came to it: an error, and not a log that seems to end there. Once it is back, so are the
 * events. */
static void segment_missing_in_front_of_a_reader_is_an_error(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader = start_one_event_each(fixture);
    char path[TEST_PATH_SIZE], aside[TEST_PATH_SIZE];
    uint64_t count;
    append_some(fixture, EVENTS / 2);
    segment_path_of(fixture->dir, EVENTS / 2 + 2, path);
    join_path(fixture->root, "aside", aside);
    assert_int_equal(rename(path, aside), 0);
    for (int attempt = 0; attempt < 2; attempt++) {
        assert_status(FBAT_ERR_DAMAGED, fbat_query_count(reader, NULL, &count, &fault));
        assert_int_equal(fault.segment_id, EVENTS / 2 + 2);
        assert_message_has("missing");
    }
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(count_events(reader), EVENTS);
    assert_ok(fbat_close(reader, &fault));
}

static void event_damaged_in_front_of_a_reader_is_an_error(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader = start_one_event_each(fixture);
    char path[TEST_PATH_SIZE];
    struct fbat_event event;
    uint64_t count;
    append_some(fixture, EVENTS / 2);
    assert_ok(fbat_get_by_sequence(fixture->store, EVENTS / 2 + 2, &event, &fault));
    uint64_t offset = event.offset;
    fbat_event_release(&event);
    segment_path_of(fixture->dir, EVENTS / 2 + 2, path);
    patch_file(path, offset + 40, "\x5a", 1);
    assert_status(FBAT_ERR_DAMAGED, fbat_query_count(reader, NULL, &count, &fault));
    assert_int_equal(fault.segment_id, EVENTS / 2 + 2);
    assert_ok(fbat_close(reader, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(reader_needs_no_write_bit_on_files_or_directory),
        behaviour(reader_may_come_before_lock_and_the_first_event),
        behaviour(reader_follows_through_a_read_only_mount),
        behaviour(reader_opens_an_unclosed_copy_on_read_only_media),
        behaviour_in_memory(segment_removed_below_a_reader_is_no_crash),
        behaviour_in_memory(segment_replaced_below_a_reader_is_no_crash),
        behaviour_in_memory(segment_missing_in_front_of_a_reader_is_an_error),
        behaviour_in_memory(event_damaged_in_front_of_a_reader_is_an_error),
    };
    return cmocka_run_group_tests_name("api: readers without access", tests, NULL, NULL);
}
