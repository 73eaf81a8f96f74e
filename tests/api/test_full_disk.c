/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No space: on a memory disk of a megabyte that the test mounts, which takes root, and under a limit on the size of
 * files, which does not. Appends are refused, nothing is lost, and all goes on once there is space.
 */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static bool mounted; /* a small disk at fixture->root/disk */

static int setup_disk(void **state) {
    if (fixture_setup(state) != 0)
        return -1;
    struct fixture *fixture = *state;
    char disk[TEST_PATH_SIZE];
    join_path(fixture->root, "disk", disk);
    mounted = mkdir(disk, 0755) == 0 && mount("tmpfs", disk, "tmpfs", 0, "size=1m") == 0;
    join_path(disk, "store", fixture->dir);
    return 0;
}

static int teardown_disk(void **state) {
    struct fixture *fixture = *state;
    char disk[TEST_PATH_SIZE];
    (void)fbat_close(fixture->store, NULL);
    fixture->store = NULL;
    join_path(fixture->root, "disk", disk);
    if (mounted && umount2(disk, MNT_DETACH) != 0)
        return -1;
    return fixture_teardown(state);
}

#define on_small_disk(test) cmocka_unit_test_setup_teardown(test, setup_disk, teardown_disk)

static struct fixture *with_disk(void **state) {
    if (!mounted) {
        print_message("a small disk cannot be mounted here (%s)\n", strerror(errno));
        skip();
    }
    return *state;
}

static void filler_path(const struct fixture *fixture, char *out_path) {
    join_path(fixture->root, "disk/filler", out_path);
}

/* Takes all the space there is, but so many bytes. */
static void fill_disk(const struct fixture *fixture, off_t spare) {
    static const char zeros[4096];
    char path[TEST_PATH_SIZE];
    filler_path(fixture, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(file >= 0);
    while (write(file, zeros, sizeof zeros) == sizeof zeros) {}
    assert_int_equal(errno, ENOSPC);
    off_t size = lseek(file, 0, SEEK_END);
    assert_true(size >= spare);
    assert_int_equal(ftruncate(file, size - spare), 0);
    close(file);
}

static void free_disk(const struct fixture *fixture) {
    char path[TEST_PATH_SIZE];
    filler_path(fixture, path);
    assert_int_equal(unlink(path), 0);
}

static struct fbat_new_event event_of_bytes(size_t size) {
    static char payload[256 << 10];
    assert_true(size <= sizeof payload);
    memset(payload, 'p', sizeof payload);
    struct fbat_new_event event = event_of("one", "scope", "");
    event.payload = fbat_bytes(payload, size);
    return event;
}

static const struct fbat_append_options at_written = {.struct_size = sizeof at_written, .level = FBAT_LEVEL_WRITTEN};
static const struct fbat_append_options at_durable = {.struct_size = sizeof at_durable, .level = FBAT_LEVEL_DURABLE};

/* Appends until there is no space; how many events there are then. */
static uint64_t append_until_full(struct fixture *fixture, const struct fbat_append_options *options, size_t bytes) {
    struct fbat_new_event event = event_of_bytes(bytes);
    int status;
    while ((status = fbat_append(fixture->store, &event, options, NULL, &fault)) == FBAT_OK) {}
    assert_status(FBAT_ERR_NO_SPACE, status);
    assert_int_equal(fault.os_errno, ENOSPC);
    assert_message_has(fixture->dir);
    return count_events(fixture->store);
}

static void assert_all_readable(struct fbat_store *store, uint64_t events) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    assert_int_equal(frontier.visible, events);
    assert_int_equal(frontier.accepted, events);
    for (uint64_t at = 1; at <= events; at++) {
        struct fbat_event event;
        assert_ok(fbat_get_by_sequence(store, at, &event, &fault));
        assert_int_equal(event.revision, at);
        for (size_t byte = 0; byte < event.payload.size; byte++)
            if (((const char *)event.payload.data)[byte] != 'p')
                fail_msg("a byte of sequence %llu is lost", (unsigned long long)at);
        fbat_event_release(&event);
    }
}

static void assert_goes_on(struct fixture *fixture, uint64_t events) {
    struct fbat_new_event event = event_of_bytes(4000);
    for (int at = 0; at < 5; at++) {
        struct fbat_receipt receipt;
        assert_ok(fbat_append(fixture->store, &event, at % 2 ? &at_written : &at_durable, &receipt, &fault));
        assert_int_equal(receipt.sequence, ++events);
        assert_int_equal(receipt.revision, events);
    }
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_all_readable(fixture->store, events);
    reopen_store(fixture);
    assert_all_readable(fixture->store, events);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

/* ---- a small disk ---- */

static void check_full_disk(struct fixture *fixture, uint64_t segment_max_bytes,
                            const struct fbat_append_options *options) {
    fixture->config.segment_max_bytes = segment_max_bytes;
    open_store(fixture);
    struct fbat_new_event event = event_of_bytes(3000);
    assert_ok(fbat_append(fixture->store, &event, options, NULL, &fault));
    fill_disk(fixture, 200 << 10);
    uint64_t events = append_until_full(fixture, options, 3000);
    assert_true(events > 1);
    for (int at = 0; at < 3; at++)
        assert_int_equal(append_until_full(fixture, options, 3000), events);
    assert_all_readable(fixture->store, events);
    assert_whole(fixture->dir);
    free_disk(fixture);
    assert_goes_on(fixture, events);
}

static void full_disk_refuses_written_appends(void **state) {
    check_full_disk(with_disk(state), 256 << 20, &at_written);
}

static void full_disk_refuses_durable_appends(void **state) {
    check_full_disk(with_disk(state), 256 << 20, &at_durable);
}

static void full_disk_refuses_new_segments(void **state) {
    check_full_disk(with_disk(state), 16 << 10, &at_written);
}

static void full_disk_refuses_segments_of_one_event(void **state) {
    check_full_disk(with_disk(state), 1, &at_durable);
}

/* A frame that does not fit is refused; a smaller one after it still goes in. */
static void large_batch_is_refused_where_a_small_event_fits(void **state) {
    struct fixture *fixture = with_disk(state);
    open_store(fixture);
    struct fbat_new_event small = event_of_bytes(1000), batch[3];
    assert_ok(fbat_append(fixture->store, &small, NULL, NULL, &fault));
    close_store(fixture); /* which gives back what was reserved */
    open_store(fixture);
    fill_disk(fixture, 100 << 10);
    for (int item = 0; item < 3; item++)
        batch[item] = event_of_bytes(100 << 10);
    assert_status(FBAT_ERR_NO_SPACE, fbat_append_batch(fixture->store, batch, 3, NULL, NULL, &fault));
    assert_int_equal(count_events(fixture->store), 1);
    assert_ok(fbat_append(fixture->store, &small, NULL, NULL, &fault));
    assert_all_readable(fixture->store, 2);
    free_disk(fixture);
    assert_ok(fbat_append_batch(fixture->store, batch, 3, NULL, NULL, &fault));
    assert_goes_on(fixture, 5);
}

static void new_store_on_a_full_disk_is_refused(void **state) {
    struct fixture *fixture = with_disk(state);
    fill_disk(fixture, 0);
    assert_status(FBAT_ERR_NO_SPACE, fbat_open(&fixture->config, &fixture->store, &fault));
    assert_null(fixture->store);
    free_disk(fixture);
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "p");
}

/* A store opens, reads and closes where there is no space for another byte. */
static void store_opens_and_closes_on_a_full_disk(void **state) {
    struct fixture *fixture = with_disk(state);
    fixture->config.segment_max_bytes = 16 << 10;
    open_store(fixture);
    struct fbat_new_event event = event_of_bytes(3000);
    for (int at = 0; at < 12; at++)
        assert_ok(fbat_append(fixture->store, &event, NULL, NULL, &fault));
    close_store(fixture);
    fill_disk(fixture, 0);
    for (int pass = 0; pass < 3; pass++) {
        open_store(fixture);
        assert_all_readable(fixture->store, 12);
        assert_int_equal(append_until_full(fixture, &at_durable, 8000), 12);
        close_store(fixture);
        assert_whole(fixture->dir);
    }
    free_disk(fixture);
    open_store(fixture);
    assert_goes_on(fixture, 12);
}

static int fill_and_die(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct fbat_new_event event = event_of_bytes(3000);
    (void)in;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    int status, events = 0;
    while ((status = fbat_append(store, &event, &at_written, NULL, &error)) == FBAT_OK)
        events++;
    child_check(status == FBAT_ERR_NO_SPACE);
    child_check(write(out, &events, sizeof events) == sizeof events);
    return 0;
}

/* Dead and reopened, both without space. */
static void death_on_a_full_disk_loses_nothing(void **state) {
    static const uint64_t segment_sizes[] = {256 << 20, 16 << 10, 1};
    struct fixture *fixture = with_disk(state);
    for (int at = 0; at < 3; at++) {
        struct child child;
        int events;
        fixture->config.segment_max_bytes = segment_sizes[at];
        child_start(&child, fill_and_die, fixture);
        assert_int_equal(read(child.from, &events, sizeof events), sizeof events);
        assert_int_equal(child_wait(&child), 0);
        fill_disk(fixture, 0);
        open_store(fixture);
        assert_all_readable(fixture->store, (uint64_t)events);
        close_store(fixture);
        free_disk(fixture);
        assert_whole(fixture->dir);
        assert_true(test_remove_tree(fixture->dir));
    }
}

/* A reader that has the next segment open while it is still empty: its first event was refused, and the one that then
 * comes is larger. */
static void reader_follows_into_a_segment_that_was_made_anew(void **state) {
    struct fixture *fixture = with_disk(state);
    struct fbat_store *reader;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    struct fbat_new_event event = event_of_bytes(6000);
    assert_ok(fbat_append(fixture->store, &event, &at_written, NULL, &fault));
    fill_disk(fixture, 8 << 10); /* enough for a header, and for the footer before it, but not for an event */
    assert_int_equal(append_until_full(fixture, &at_written, 6000), 1);
    char path[TEST_PATH_SIZE];
    segment_path_of(fixture->dir, 2, path);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_int_equal(count_events(reader), 1);
    free_disk(fixture);
    event = event_of_bytes(100000);
    assert_ok(fbat_append(fixture->store, &event, &at_written, NULL, &fault));
    assert_all_readable(reader, 2);
    assert_ok(fbat_close(reader, &fault));
    assert_goes_on(fixture, 2);
}

/* ---- a limit on the size of files ---- */

static int append_under_a_limit(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error = {0};
    struct fbat_new_event event = event_of_bytes(3000);
    const struct rlimit limit = {64 << 10, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    uint64_t count, events = 0;
    int status;
    (void)in, (void)out;
    signal(SIGXFSZ, SIG_IGN);
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    while ((status = fbat_append(store, &event, events % 2 ? &at_written : &at_durable, NULL, &error)) == FBAT_OK)
        events++;
    child_check(status == FBAT_ERR_NO_SPACE && error.os_errno == EFBIG);
    child_check(events > 10);
    child_check(fbat_query_count(store, NULL, &count, &error) == FBAT_OK && count == events);
    child_check(setrlimit(RLIMIT_FSIZE, &none) == 0);
    child_check(fbat_append(store, &event, &at_durable, NULL, &error) == FBAT_OK);
    child_check(fbat_append(store, &event, &at_written, NULL, &error) == FBAT_OK);
    child_check(fbat_close(store, &error) == FBAT_OK);
    struct fbat_check_report report;
    child_check(fbat_check(fixture->dir, NULL, &report, &error) == FBAT_OK);
    child_check(report.findings == 0 && report.events == events + 2);
    return 0;
}

static void file_size_limit_refuses_appends(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    child_start(&child, append_under_a_limit, fixture);
    assert_int_equal(child_wait(&child), 0);
}

/* Under a limit that segments keep, nothing is refused, though each reserves ahead. */
static int rotate_under_a_limit(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error = {0};
    struct fbat_new_event event = event_of_bytes(3000);
    const struct rlimit limit = {64 << 10, 64 << 10};
    (void)in, (void)out;
    signal(SIGXFSZ, SIG_IGN);
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (int at = 0; at < 100; at++)
        child_check(fbat_append(store, &event, &at_written, NULL, &error) == FBAT_OK);
    child_check(fbat_close(store, &error) == FBAT_OK);
    struct fbat_check_report report;
    child_check(fbat_check(fixture->dir, NULL, &report, &error) == FBAT_OK);
    child_check(report.findings == 0 && report.events == 100 && report.footers == report.segments - 1);
    return 0;
}

static void segments_within_a_file_size_limit_are_not_refused(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 48 << 10;
    child_start(&child, rotate_under_a_limit, fixture);
    assert_int_equal(child_wait(&child), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        on_small_disk(full_disk_refuses_written_appends),
        on_small_disk(full_disk_refuses_durable_appends),
        on_small_disk(full_disk_refuses_new_segments),
        on_small_disk(full_disk_refuses_segments_of_one_event),
        on_small_disk(large_batch_is_refused_where_a_small_event_fits),
        on_small_disk(new_store_on_a_full_disk_is_refused),
        on_small_disk(store_opens_and_closes_on_a_full_disk),
        on_small_disk(death_on_a_full_disk_loses_nothing),
        on_small_disk(reader_follows_into_a_segment_that_was_made_anew),
        behaviour(file_size_limit_refuses_appends),
        behaviour(segments_within_a_file_size_limit_are_not_refused),
    };
    return cmocka_run_group_tests_name("api: no space", tests, NULL, NULL);
}
