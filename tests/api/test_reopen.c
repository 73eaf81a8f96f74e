/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back: after a clean close, after a death without one, with torn tails, lost footers, odd segment sizes. */
#include "fixture.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- a process that dies without closing ---- */

struct victim {
    struct fixture *fixture;
    int events;       /* appended one by one */
    int batch_events; /* then as one batch */
    bool sync;        /* in between */
};

static int append_and_die(void *user, int in, int out) {
    const struct victim *victim = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct fbat_new_event batch[16];
    (void)in, (void)out;
    child_check(fbat_open(&victim->fixture->config, &store, &error) == FBAT_OK);
    for (int at = 0; at < victim->events; at++) {
        struct fbat_new_event event = event_of(at % 2 ? "odd" : "even", "scope", "payload");
        child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK);
    }
    if (victim->sync)
        child_check(fbat_sync(store, &error) == FBAT_OK);
    for (int at = 0; at < victim->batch_events; at++)
        batch[at] = event_of("batch", "scope", "payload");
    if (victim->batch_events > 0)
        child_check(fbat_append_batch(store, batch, (size_t)victim->batch_events, NULL, NULL, &error) == FBAT_OK);
    return 0;
}

/* Appends in a process that ends as if it were killed. Nothing is synced but what the victim asks for. */
static void append_in_victim(struct victim victim) {
    struct child child;
    victim.fixture->config.sync.max_delay_ms = 0;
    child_start(&child, append_and_die, &victim);
    assert_int_equal(child_wait(&child), 0);
}

struct frame_place {
    uint64_t segment_id, offset, bytes;
    uint32_t events;
};

static int keep_last_frame(void *user, const struct fbat_dump_entry *entry) {
    if (entry->what == FBAT_DUMP_FRAME)
        *(struct frame_place *)user =
            (struct frame_place){entry->segment_id, entry->offset, entry->bytes, entry->event_count};
    return 0;
}

static struct frame_place last_frame(const char *dir) {
    struct frame_place place = {0};
    assert_ok(fbat_dump(dir, 0, keep_last_frame, &place, &fault));
    assert_true(place.bytes > 0);
    return place;
}

/* The second half of the last frame never reached the disk. */
static struct frame_place tear_last_frame(const char *dir) {
    struct frame_place place = last_frame(dir);
    char path[TEST_PATH_SIZE];
    segment_path_of(dir, place.segment_id, path);
    uint8_t *zeros = calloc(1, place.bytes);
    assert_non_null(zeros);
    patch_file(path, place.offset + place.bytes / 2, zeros, place.bytes - place.bytes / 2);
    free(zeros);
    return place;
}

static struct fbat_open_report report_of(const struct fixture *fixture) {
    struct fbat_open_report report;
    fbat_open_report(fixture->store, &report);
    assert_non_null(memchr(report.detail, '\0', sizeof report.detail));
    assert_true(strlen(report.detail) > 0);
    return report;
}

/* ---- reports ---- */

static void new_store_reports_that_it_is_empty(void **state) {
    struct fixture *fixture = *state;
    for (int pass = 0; pass < 2; pass++) {
        open_store(fixture);
        struct fbat_open_report report = report_of(fixture);
        assert_int_equal(report.path, FBAT_OPEN_EMPTY);
        assert_int_equal(report.events_total, 0);
        assert_int_equal(report.segment_count, 0);
        assert_int_equal(report.dropped_bytes, 0);
        assert_int_equal(report.clean, pass);
        close_store(fixture);
    }
}

static void clean_close_is_reported(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 6 << 10;
    open_store(fixture);
    for (int at = 0; at < 40; at++)
        append_text(fixture->store, "one", "scope", "payload");
    struct fbat_stats stats;
    assert_ok(fbat_stats(fixture->store, &stats, &fault));
    reopen_store(fixture);
    struct fbat_open_report report = report_of(fixture);
    assert_int_equal(report.clean, 1);
    assert_int_equal(report.path, FBAT_OPEN_FOOTERS);
    assert_int_equal(report.segment_count, stats.segments);
    assert_int_equal(report.footers_used, stats.segments - 1);
    assert_int_equal(report.footers_rebuilt, 0);
    assert_int_equal(report.events_total, 40);
    assert_true(report.events_scanned < 40); /* of the active segment alone */
    assert_int_equal(report.dropped_bytes, 0);
}

static void death_without_a_close_is_reported_and_loses_nothing(void **state) {
    struct fixture *fixture = *state;
    append_in_victim((struct victim){.fixture = fixture, .events = 10, .batch_events = 5});
    open_store(fixture);
    struct fbat_open_report report = report_of(fixture);
    assert_int_equal(report.clean, 0);
    assert_int_equal(report.events_total, 15);
    assert_int_equal(report.events_scanned, 15);
    assert_int_equal(report.dropped_bytes, 0);
    assert_int_equal(count_events(fixture->store), 15);
    struct fbat_frontier frontier;
    fbat_frontier(fixture->store, &frontier);
    assert_int_equal(frontier.durable, 15);
}

static void note_level(void *user, enum fbat_log_level level, const char *message) {
    (void)message;
    *(enum fbat_log_level *)user = level;
}

/* Whatever was torn is dropped whole, said so, and its sequences are given out again. */
static void check_torn_tail(struct fixture *fixture, struct victim victim, uint64_t left) {
    append_in_victim(victim);
    struct frame_place torn = tear_last_frame(fixture->dir);
    struct fbat_check_report check = assert_whole(fixture->dir);
    assert_int_equal(check.remarks, 1);
    enum fbat_log_level level = 0;
    fixture->config.log = note_level;
    fixture->config.log_user = &level;
    open_store(fixture);
    assert_int_equal(level, FBAT_LOG_WARNING);
    struct fbat_open_report report = report_of(fixture);
    assert_int_equal(report.clean, 0);
    assert_int_equal(report.events_total, left);
    assert_int_equal(report.dropped_segment_id, torn.segment_id);
    assert_int_equal(report.dropped_offset, torn.offset);
    assert_in_range(report.dropped_bytes, 1, torn.bytes);
    assert_int_equal(count_events(fixture->store), left);
    assert_int_equal(append_text(fixture->store, "even", "scope", "again").sequence, left + 1);
    reopen_store(fixture);
    report = report_of(fixture);
    assert_int_equal(report.clean, 1);
    assert_int_equal(report.dropped_bytes, 0);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).remarks, 0);
    fixture->config.log = NULL;
}

static void torn_event_is_dropped(void **state) {
    struct fixture *fixture = *state;
    check_torn_tail(fixture, (struct victim){.fixture = fixture, .events = 7}, 6);
}

static void torn_batch_is_dropped_whole(void **state) {
    struct fixture *fixture = *state;
    check_torn_tail(fixture, (struct victim){.fixture = fixture, .events = 7, .sync = true, .batch_events = 9}, 7);
}

static void torn_first_event_leaves_an_empty_store(void **state) {
    struct fixture *fixture = *state;
    check_torn_tail(fixture, (struct victim){.fixture = fixture, .events = 1}, 0);
}

/* A reader drops a torn tail for itself and changes nothing. */
static void reader_sees_no_torn_tail_and_leaves_it(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader;
    append_in_victim((struct victim){.fixture = fixture, .events = 4, .batch_events = 3});
    struct frame_place torn = tear_last_frame(fixture->dir);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_int_equal(count_events(reader), 4);
    assert_ok(fbat_close(reader, &fault));
    assert_int_equal(assert_whole(fixture->dir).remarks, 1); /* still there */
    open_store(fixture);
    assert_int_equal(report_of(fixture).dropped_offset, torn.offset);
}

/* ---- going on ---- */

/* Sequences, revisions, chains and ids continue over clean closes and deaths alike. */
static void log_goes_on_where_it_ended(void **state) {
    struct fixture *fixture = *state;
    uint8_t head[32] = {0};
    struct fbat_id last_id = {{0}};
    fixture->config.segment_max_bytes = 7 << 10;
    for (uint64_t life = 0; life < 8; life++) {
        open_store(fixture);
        struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
        assert_int_equal(receipt.sequence, life * 7 + 1);
        assert_int_equal(receipt.revision, life + 1);
        assert_true(memcmp(receipt.id.bytes, last_id.bytes, 16) > 0);
        struct fbat_event event;
        assert_ok(fbat_get(fixture->store, &receipt.id, &event, &fault));
        assert_memory_equal(event.previous_hash, head, 32);
        memcpy(head, event.hash, 32);
        fbat_event_release(&event);
        close_store(fixture);
        append_in_victim((struct victim){.fixture = fixture, .events = 6});
        open_store(fixture);
        assert_ok(fbat_get_by_sequence(fixture->store, life * 7 + 7, &event, &fault));
        last_id = event.id;
        fbat_event_release(&event);
        close_store(fixture);
    }
    assert_int_equal(assert_whole(fixture->dir).events, 56);
}

/* Opening and closing without an append leaves every segment as it is, byte by byte. */
static void opening_and_closing_changes_no_segment(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 5 << 10;
    open_store(fixture);
    for (int at = 0; at < 12; at++)
        append_text(fixture->store, "one", "scope", "payload");
    close_store(fixture);
    char copy[TEST_PATH_SIZE], path[TEST_PATH_SIZE];
    join_path(fixture->root, "copy", copy);
    copy_store(fixture->dir, copy);
    open_store(fixture);
    reopen_store(fixture);
    close_store(fixture);
    for (uint64_t segment_id = 1; segment_id <= 3; segment_id++) {
        size_t before_size, after_size;
        segment_path_of(copy, segment_id, path);
        uint8_t *before = read_file(path, &before_size);
        segment_path_of(fixture->dir, segment_id, path);
        uint8_t *after = read_file(path, &after_size);
        assert_int_equal(before_size, after_size);
        assert_memory_equal(before, after, before_size);
        free(before);
        free(after);
    }
}

/* ---- footers ---- */

static void make_three_segments(struct fixture *fixture) {
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    for (int at = 0; at < 3; at++)
        append_text(fixture->store, "one", "scope", "payload");
    close_store(fixture);
}

static void check_rebuilt_footer(struct fixture *fixture) {
    open_store(fixture);
    struct fbat_open_report report = report_of(fixture);
    assert_int_equal(report.path, FBAT_OPEN_FRAMES);
    assert_int_equal(report.footers_rebuilt, 1);
    assert_int_equal(report.footers_used, 1);
    assert_int_equal(report.events_total, 3);
    assert_int_equal(count_events(fixture->store), 3);
    append_text(fixture->store, "one", "scope", "payload");
    reopen_store(fixture);
    assert_int_equal(report_of(fixture).footers_rebuilt, 0);
    assert_int_equal(report_of(fixture).footers_used, 3);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).footers, 3);
}

static void lost_footer_is_made_again(void **state) {
    struct fixture *fixture = *state;
    make_three_segments(fixture);
    struct frame_place frame = {0};
    char path[TEST_PATH_SIZE];
    assert_ok(fbat_dump(fixture->dir, 2, keep_last_frame, &frame, &fault));
    segment_path_of(fixture->dir, 2, path);
    assert_int_equal(truncate(path, (off_t)(frame.offset + frame.bytes)), 0);
    check_rebuilt_footer(fixture);
}

static void damaged_footer_is_made_again(void **state) {
    struct fixture *fixture = *state;
    make_three_segments(fixture);
    char path[TEST_PATH_SIZE];
    struct stat status;
    segment_path_of(fixture->dir, 1, path);
    assert_int_equal(stat(path, &status), 0);
    patch_file(path, (uint64_t)status.st_size - 100, "?", 1);
    check_rebuilt_footer(fixture);
}

/* What a reader cannot write, it holds in memory. */
static void reader_does_without_a_footer(void **state) {
    struct fixture *fixture = *state;
    make_three_segments(fixture);
    char path[TEST_PATH_SIZE];
    struct stat before, after;
    struct fbat_store *reader;
    segment_path_of(fixture->dir, 1, path);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(truncate(path, before.st_size - 1), 0);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    assert_int_equal(count_events(reader), 3);
    assert_ok(fbat_close(reader, &fault));
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size - 1);
}

/* A segment whose creation was cut short held nothing, and goes. */
static void unfinished_segment_is_discarded(void **state) {
    struct fixture *fixture = *state;
    static const char zeros[4096];
    static const size_t sizes[] = {0, 100, 4096};
    make_three_segments(fixture);
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        append_in_victim((struct victim){.fixture = fixture}); /* so that a death is why */
        char path[TEST_PATH_SIZE];
        segment_path_of(fixture->dir, 4 + at, path);
        write_file(path, zeros, sizes[at]);
        struct fbat_store *reader;
        assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
        assert_int_equal(count_events(reader), 3 + at);
        assert_ok(fbat_close(reader, &fault));
        open_store(fixture);
        assert_int_equal(count_events(fixture->store), 3 + at);
        append_text(fixture->store, "one", "scope", "payload");
        close_store(fixture);
        assert_whole(fixture->dir);
    }
}

/* ---- sizes of segments ---- */

static struct fbat_stats stats_of(struct fbat_store *store) {
    struct fbat_stats stats;
    assert_ok(fbat_stats(store, &stats, &fault));
    return stats;
}

static void segment_of_one_byte_holds_one_frame(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    struct fbat_new_event batch[10];
    for (int item = 0; item < 10; item++)
        batch[item] = event_of("one", "scope", "payload");
    append_text(fixture->store, "one", "scope", "payload");
    assert_ok(fbat_append_batch(fixture->store, batch, 10, NULL, NULL, &fault));
    append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(stats_of(fixture->store).segments, 3);
    reopen_store(fixture);
    assert_int_equal(stats_of(fixture->store).segments_sealed, 2);
    append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(stats_of(fixture->store).segments, 4);
    assert_int_equal(count_events(fixture->store), 13);
}

static void frame_larger_than_a_segment_has_one_of_its_own(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 8 << 10;
    open_store(fixture);
    static const size_t sizes[] = {10, 100000, 10, 10, 2000000, 300000, 10};
    static const uint64_t segments[] = {1, 2, 3, 3, 4, 5, 6};
    char *payload = malloc(2000000);
    assert_non_null(payload);
    memset(payload, 'p', 2000000);
    for (int at = 0; at < 7; at++) {
        struct fbat_new_event event = event_of("one", "scope", "");
        event.payload = fbat_bytes(payload, sizes[at]);
        append_event(fixture->store, &event);
    }
    for (int pass = 0; pass < 2; pass++) {
        for (int at = 0; at < 7; at++) {
            struct fbat_event event;
            assert_ok(fbat_get_by_sequence(fixture->store, (uint64_t)at + 1, &event, &fault));
            assert_int_equal(event.segment_id, segments[at]);
            assert_slices(fbat_bytes(payload, sizes[at]), event.payload);
            fbat_event_release(&event);
        }
        reopen_store(fixture);
    }
    free(payload);
    close_store(fixture);
    assert_whole(fixture->dir);
}

static void segment_size_may_change_between_openings(void **state) {
    struct fixture *fixture = *state;
    static const uint64_t sizes[] = {64 << 10, 1, 256 << 20, 5 << 10, 1 << 30};
    uint64_t events = 0;
    for (size_t at = 0; at < sizeof sizes / sizeof sizes[0]; at++) {
        fixture->config.segment_max_bytes = sizes[at];
        open_store(fixture);
        for (int each = 0; each < 5; each++)
            assert_int_equal(append_text(fixture->store, "one", "scope", "payload").revision, ++events);
        struct fbat_new_event event = event_of("one", "scope", "");
        char big[20000] = {0};
        event.payload = fbat_bytes(big, sizeof big);
        assert_int_equal(append_event(fixture->store, &event).revision, ++events);
        close_store(fixture);
    }
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

enum { MANY_SEGMENTS = 300 };

/* In a process that may hold few files open at a time. */
static int use_many_segments(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store, *reader;
    struct fbat_error error;
    struct fbat_event event;
    const struct rlimit few_files = {32, 32};
    (void)in, (void)out;
    child_check(setrlimit(RLIMIT_NOFILE, &few_files) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    for (uint64_t at = 1; at <= MANY_SEGMENTS; at++) {
        struct fbat_new_event new_event = event_of(at % 2 ? "odd" : "even", "scope", "payload");
        child_check(fbat_append(store, &new_event, NULL, NULL, &error) == FBAT_OK);
    }
    child_check(fbat_close(store, &error) == FBAT_OK);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    for (uint64_t at = 1; at <= MANY_SEGMENTS; at++) {
        child_check(fbat_get_by_sequence(at % 2 ? store : reader, at, &event, &error) == FBAT_OK);
        child_check(event.segment_id == at && event.revision == (at + 1) / 2);
        fbat_event_release(&event);
    }
    child_check(fbat_close(reader, &error) == FBAT_OK);
    child_check(fbat_close(store, &error) == FBAT_OK);
    struct fbat_check_report report;
    child_check(fbat_check(fixture->dir, NULL, &report, &error) == FBAT_OK);
    child_check(report.findings == 0 && report.footers == MANY_SEGMENTS - 1 && report.events == MANY_SEGMENTS);
    return 0;
}

static void three_hundred_segments_are_one_log(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 1;
    child_start(&child, use_many_segments, fixture);
    assert_int_equal(child_wait(&child), 0);
}

/* ---- where the process is ---- */

/* Opens by a relative path, goes elsewhere, and writes until segments rotate; a reader opened likewise follows. */
static int wander_off(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store, *reader;
    struct fbat_error error;
    struct fbat_frontier frontier;
    (void)in, (void)out;
    child_check(chdir(fixture->root) == 0);
    fixture->config.data_dir = "wandering";
    fixture->config.segment_max_bytes = 1;
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    child_check(chdir("/") == 0);
    for (int at = 0; at < 3; at++) {
        struct fbat_new_event event = event_of("entity", "scope", "payload");
        child_check(fbat_append(store, &event, NULL, NULL, &error) == FBAT_OK);
    }
    fbat_frontier(reader, &frontier);
    child_check(frontier.visible == 3);
    child_check(fbat_close(reader, &error) == FBAT_OK && fbat_close(store, &error) == FBAT_OK);
    child_check(access("/wandering", F_OK) != 0);
    return 0;
}

static void relative_directory_outlives_a_change_of_directory(void **state) {
    struct child child;
    child_start(&child, wander_off, *state);
    assert_int_equal(child_wait(&child), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(new_store_reports_that_it_is_empty),
        behaviour(relative_directory_outlives_a_change_of_directory),
        behaviour(clean_close_is_reported),
        behaviour(death_without_a_close_is_reported_and_loses_nothing),
        behaviour(torn_event_is_dropped),
        behaviour(torn_batch_is_dropped_whole),
        behaviour(torn_first_event_leaves_an_empty_store),
        behaviour(reader_sees_no_torn_tail_and_leaves_it),
        behaviour_in_memory(log_goes_on_where_it_ended),
        behaviour(opening_and_closing_changes_no_segment),
        behaviour(lost_footer_is_made_again),
        behaviour(damaged_footer_is_made_again),
        behaviour(reader_does_without_a_footer),
        behaviour(unfinished_segment_is_discarded),
        behaviour(segment_of_one_byte_holds_one_frame),
        behaviour(frame_larger_than_a_segment_has_one_of_its_own),
        behaviour_in_memory(segment_size_may_change_between_openings),
        behaviour_in_memory(three_hundred_segments_are_one_log),
    };
    return cmocka_run_group_tests_name("api: reopening", tests, NULL, NULL);
}
