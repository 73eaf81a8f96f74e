/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fences on disk, as any crash or end may leave them: what opening, check, dump and a reader beside the writer make
 * of them. In the drawings E is a frame of events, S a staged one, C a commit.
 */
#include "store_fixture.h"

#include <errno.h>

#include "support/alloc_fail.h"

#define SEGMENT_FILE LOG_DIR "/000001.fbat"

/* A fence of two frames, without its commit. Answers its place. */
static uint64_t stage_two(struct log *log, const char *first, const char *second) {
    uint64_t start = write_letters(log, FRAME_STAGED, first);
    (void)write_letters(log, FRAME_STAGED, second);
    return start;
}

static uint64_t write_fence(struct log *log, const char *first, const char *second) {
    uint64_t sequence = log->next_sequence, start = stage_two(log, first, second);
    (void)log_commit(log, sequence, start);
    return start;
}

static void cancel_fence(struct log *log, const char *first, const char *second) {
    struct log_place before = log_note(log);
    (void)stage_two(log, first, second);
    log_go_back(log, &before);
}

/* E S S C E */
static void a_committed_fence_is_part_of_the_log(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    (void)write_fence(log, "ac", "d");
    (void)write_letters(log, FRAME_EVENTS, "a");
    log_make_store(log, LIVE_OPEN, 6);
    expect_store(log, "abacda", &report);
    assert_int_equal(report.dropped_bytes, 0);
}

/* C is what ends the log: nothing follows it, and it is nothing to cut. */
static void a_fence_at_the_end_of_the_log_is_kept_with_its_commit(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    (void)write_fence(log, "a", "b");
    log_make_store(log, LIVE_CLOSED, 4);
    expect_store(log, "abab", &report);
    assert_int_equal(report.dropped_bytes, 0);
}

/* S S C S C: nothing but fences */
static void two_fences_stand_back_to_back(void **state) {
    struct log *log = *state;
    (void)write_fence(log, "a", "bb");
    uint64_t start = write_letters(log, FRAME_STAGED, "a");
    (void)log_commit(log, 4, start);
    log_make_store(log, LIVE_OPEN, 0);
    expect_store(log, "abba", NULL);
}

/* E S S E: the second E starts with the fence's first sequence */
static void a_cancelled_fence_is_passed_over(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    char text[1024];
    (void)write_letters(log, FRAME_EVENTS, "ab");
    cancel_fence(log, "xy", "a");
    (void)write_letters(log, FRAME_EVENTS, "ac");
    log_make_store(log, LIVE_CLOSED, 4);
    assert_int_equal(check_log(log).report.remarks, 0);
    dump_frames_of(log, text, sizeof text);
    assert_string_equal(text, "e:frame\ns:staged frame of a fence without commit: not in the log\n"
                              "s:staged frame of a fence without commit: not in the log\ne:frame\n");
    expect_store(log, "abac", &report);
    assert_int_equal(report.dropped_bytes, 0);
}

/* S S S S C: the fence in front of a fence */
static void a_cancelled_fence_is_voided_by_the_next_one_too(void **state) {
    struct log *log = *state;
    char text[1024];
    cancel_fence(log, "x", "y");
    (void)write_fence(log, "a", "bc");
    log_make_store(log, LIVE_OPEN, 3);
    dump_frames_of(log, text, sizeof text);
    assert_string_equal(text, "s:staged frame of a fence without commit: not in the log\n"
                              "s:staged frame of a fence without commit: not in the log\n"
                              "s:staged frame of a committed fence\ns:staged frame of a committed fence\n"
                              "c:commit of a fence\n");
    expect_store(log, "abc", NULL);
}

/* E S S, killed */
static void a_fence_without_commit_at_the_end_is_cut_off(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    uint64_t start = stage_two(log, "a", "xy");
    log_make_store(log, LIVE_OPEN, 2);
    struct check_result result = check_log(log);
    assert_int_equal(result.report.remarks, 1);
    assert_int_equal(result.findings[0].kind, FBAT_FINDING_TORN);
    assert_int_equal(result.findings[0].offset, start);
    uint64_t end = log->active->segment->end;
    expect_store(log, "ab", &report);
    assert_int_equal(report.dropped_offset, start);
    assert_in_range(report.dropped_bytes, end - start - 7, end - start); /* the last record may end with zeros */
    assert_non_null(strstr(report.detail, "fence"));
    const uint8_t *bytes;
    uint64_t size;
    assert_true(os_sim_file_bytes(log->sim, SEGMENT_FILE, &bytes, &size));
    assert_int_equal(size, start);
}

/* A cancelled fence that a clean close left standing is nothing to remark. */
static void a_cancelled_fence_at_the_end_of_a_closed_store_is_no_finding(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    (void)stage_two(log, "a", "xy");
    log_make_store(log, LIVE_CLOSED, 2);
    assert_int_equal(check_log(log).report.remarks, 0);
    expect_store(log, "ab", NULL);
}

static void a_fence_without_commit_may_be_the_only_thing_in_the_log(void **state) {
    struct log *log = *state;
    (void)stage_two(log, "a", "xy");
    log_make_store(log, LIVE_OPEN, 0);
    expect_store(log, "", NULL);
}

/* E S S C, the commit torn after any of its bytes that count: the fence is not there, and nothing else is lost. */
static void a_torn_commit_leaves_nothing_of_the_fence(void **state) {
    (void)state;
    for (uint64_t cut = 0; cut <= FRAME_STAGED_BYTES_AT; cut += 5) {
        struct log log;
        static const uint8_t zeros[FRAME_COMMIT_BYTES];
        log_init(&log);
        (void)write_letters(&log, FRAME_EVENTS, "ab");
        (void)write_fence(&log, "a", "xy");
        uint64_t commit = log.active->segment->end - FRAME_COMMIT_BYTES;
        memcpy(log.active->segment->map + commit + cut, zeros, FRAME_COMMIT_BYTES - (size_t)cut);
        log_make_store(&log, LIVE_OPEN, 2);
        expect_store(&log, "ab", NULL);
        log_deinit(&log);
    }
}

/* E S S C, a frame torn out of the middle by a power cut: nothing of it was known durable. */
static void a_fence_with_a_hole_is_dropped_as_a_whole(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    uint64_t start = write_fence(log, "a", "xy");
    memset(log->active->segment->map + start, 0, 64);
    log_make_store(log, LIVE_OPEN, 2);
    expect_store(log, "ab", NULL);
}

/* The same with LOCK knowing the fence durable, or with a later frame that does: then it is damage. */
static void a_hole_in_a_durable_fence_is_damage(void **state) {
    (void)state;
    for (int witness = 0; witness < 2; witness++) {
        struct log log;
        log_init(&log);
        (void)write_letters(&log, FRAME_EVENTS, "ab");
        uint64_t start = write_fence(&log, "a", "xy");
        log.durable_sequence = witness == 0 ? 2 : 5;
        (void)write_letters(&log, FRAME_EVENTS, "c");
        log.active->segment->map[start + 100] ^= 1;
        log_make_store(&log, LIVE_OPEN, witness == 0 ? 5 : 0);
        expect_damage(&log, 1, start);
        log_deinit(&log);
    }
}

/* A commit that says anything else than the fence before it commits nothing. */
static void a_commit_that_does_not_fit_ends_the_log(void **state) {
    (void)state;
    for (int field = 0; field < 3; field++) {
        struct log log;
        log_init(&log);
        (void)write_letters(&log, FRAME_EVENTS, "ab");
        uint64_t first = log.next_sequence, start = stage_two(&log, "a", "xy");
        log.next_sequence += field == 1;
        (void)log_commit(&log, first + (field == 0), start - 8 * (field == 2));
        log_make_store(&log, LIVE_OPEN, 2);
        struct check_result result = check_log(&log);
        assert_int_equal(result.report.events, 2);
        assert_int_equal(result.report.findings, 1);
        assert_int_equal(result.findings[0].kind, FBAT_FINDING_SEQUENCE);
        struct fbat_store *store = open_log(&log, false);
        expect_letters(store, "ab");
        assert_int_equal(store_close(store, NULL), FBAT_OK);
        expect_store(&log, "ab", NULL);
        log_deinit(&log);
    }
}

static void a_commit_without_any_fence_ends_the_log(void **state) {
    struct log *log = *state;
    uint64_t start = write_letters(log, FRAME_EVENTS, "ab");
    (void)log_commit(log, 1, start);
    log_make_store(log, LIVE_OPEN, 2);
    assert_int_equal(check_log(log).report.findings, 1);
    struct fbat_store *store = open_log(log, false);
    expect_letters(store, "ab");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    expect_store(log, "ab", NULL);
}

/* Every byte of a closed store's frames, staged ones and commits included. */
static void a_changed_byte_in_any_frame_is_found(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    cancel_fence(log, "x", "y");
    (void)write_fence(log, "a", "bc");
    (void)write_letters(log, FRAME_EVENTS, "a");
    log_make_store(log, LIVE_CLOSED, 6);
    uint64_t end = log->active->segment->end;
    const struct fbat_check_options options = {.struct_size = sizeof options};
    for (uint64_t at = SEGMENT_HEADER_BYTES; at < end; at++) {
        struct fbat_check_report report;
        struct os *os = os_sim_process(log->sim, 500);
        assert_true(os_sim_flip(log->sim, SEGMENT_FILE, at, 0x10));
        assert_int_equal(store_check(os, LOG_DIR, &options, &report, NULL), FBAT_OK);
        if (report.findings == 0)
            fail_msg("a changed byte at %llu is not found", (unsigned long long)at);
        assert_true(os_sim_flip(log->sim, SEGMENT_FILE, at, 0x10));
    }
    assert_int_equal(check_log(log).report.findings, 0);
}

/* What the check says of a broken staged frame: the place, and which sequences are gone with it. */
static void damage_within_a_fence_costs_the_fence_and_no_more(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    uint64_t first = write_fence(log, "c", "de");
    (void)write_fence(log, "a", "bc");
    (void)write_letters(log, FRAME_EVENTS, "f");
    log->active->segment->map[first + 50] ^= 1;
    log_make_store(log, LIVE_CLOSED, 9);
    struct check_result result = check_log(log);
    assert_int_equal(result.report.events, 2 + 3 + 1);
    assert_int_equal(result.findings[0].kind, FBAT_FINDING_FRAME);
    assert_int_equal(result.findings[0].offset, first);
    assert_int_equal(result.findings[1].kind, FBAT_FINDING_SEQUENCE);
    assert_int_equal(result.report.findings, 2);
    assert_int_equal(result.report.last_sequence, 9);
}

/* E x S S C, x broken: the fence is whole, so only what stood at x is missing. */
static void a_fence_behind_damage_counts(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    uint64_t broken = write_letters(log, FRAME_EVENTS, "c");
    (void)write_fence(log, "a", "bc");
    log->active->segment->map[broken + 50] ^= 1;
    log_make_store(log, LIVE_CLOSED, 6);
    struct check_result result = check_log(log);
    assert_int_equal(result.report.events, 2 + 3);
    assert_int_equal(result.findings[0].kind, FBAT_FINDING_FRAME);
    assert_int_equal(result.findings[0].offset, broken);
    assert_int_equal(result.findings[1].kind, FBAT_FINDING_SEQUENCE);
    assert_int_equal(result.report.findings, 2);
}

/* The first segment ends with a commit, and gets its footer when it is opened. */
static void a_segment_that_ends_with_a_fence_is_sealed_behind_its_commit(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    struct footer footer;
    const uint8_t *bytes;
    uint64_t size;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    (void)write_fence(log, "a", "bc");
    uint64_t end = log->active->segment->end;
    log_next_segment(log);
    (void)write_letters(log, FRAME_EVENTS, "d");
    log_make_store(log, LIVE_OPEN, 6);
    expect_store(log, "ababcd", &report);
    assert_int_equal(report.footers_rebuilt, 1);
    assert_true(os_sim_file_bytes(log->sim, SEGMENT_FILE, &bytes, &size));
    assert_null(footer_decode(bytes, size, &footer));
    assert_int_equal(footer.summary.frames_end, end);
    assert_int_equal(footer.summary.superseded_bytes, 0);
}

/* Rotation while a fence is open: the new segment begins with the fence's first sequence, and holds its frames
 * again. */
static void a_fence_that_moved_to_the_next_segment_counts_there_only(void **state) {
    struct log *log = *state;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    struct log_place before = log_note(log);
    (void)write_letters(log, FRAME_STAGED, "a");
    log_go_back(log, &before);
    log_next_segment(log);
    (void)write_fence(log, "a", "cd");
    log_make_store(log, LIVE_OPEN, 2);
    expect_store(log, "abacd", NULL);
}

/* ---- beside a writer ---- */

static void a_reader_sees_a_fence_only_when_it_is_visible_and_whole(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    start_writer(log, &writer, 2);
    struct fbat_store *store = open_log(log, true);
    uint64_t start = write_letters(log, FRAME_STAGED, "a");
    expect_letters(store, "ab");
    (void)write_letters(log, FRAME_STAGED, "cd");
    (void)log_commit(log, 3, start);
    expect_letters(store, "ab"); /* in line, not published */
    publish(&writer, 5);
    expect_letters(store, "abacd");
    struct fbat_store *late = open_log(log, true);
    expect_letters(late, "abacd");
    assert_int_equal(store_close(late, NULL), FBAT_OK);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

static void a_reader_passes_over_a_fence_that_is_cancelled_while_it_looks(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    (void)write_letters(log, FRAME_EVENTS, "ab");
    start_writer(log, &writer, 2);
    struct fbat_store *store = open_log(log, true);
    cancel_fence(log, "x", "y");
    expect_letters(store, "ab");
    (void)write_letters(log, FRAME_EVENTS, "b");
    publish(&writer, 3);
    expect_letters(store, "abb");
    cancel_fence(log, "x", "yz");
    (void)write_fence(log, "a", "cd");
    publish(&writer, 6);
    struct fbat_store *late = open_log(log, true); /* opened with void frames in front of what is visible */
    expect_letters(late, "abbacd");
    expect_letters(store, "abbacd");
    assert_int_equal(store_close(late, NULL), FBAT_OK);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* Each allocation and each system call fails once while a fence is read, large enough that tables grow within it:
 * the next reading goes on, and nothing is there twice. */
static void a_reader_that_fails_within_a_fence_goes_on_the_next_time(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct fbat_error error;
    struct log_event events[60];
    enum { FRAMES = 20, EVENTS = FRAMES * COUNT_OF(events) };
    uint64_t start = log->active->segment->end, failures = 0;
    bool fired = true;
    for (size_t at = 0; at < COUNT_OF(events); at++)
        events[at] = (struct log_event){.entity = at % 2 ? "a" : "b"};
    for (int frame = 0; frame < FRAMES; frame++)
        (void)log_write(log, FRAME_STAGED, events, COUNT_OF(events));
    (void)log_commit(log, 1, start);
    start_writer(log, &writer, 0);
    alloc_fail_install();
    for (uint64_t nth = 1; fired; nth++) {
        publish(&writer, 0);
        struct fbat_store *store = open_log(log, true);
        uint64_t count = 0;
        publish(&writer, EVENTS);
        alloc_fail_nth(nth);
        os_sim_fail_nth(log->sim, OS_SIM_ANY, nth, EIO);
        failures += store_catch_up(store, &error) < 0;
        fired = alloc_fail_fired() || os_sim_fault_fired(log->sim);
        alloc_fail_nth(0);
        os_sim_fail_nth(log->sim, OS_SIM_ANY, 0, 0);
        assert_int_equal(fbat_query_count(store, NULL, &count, &error), FBAT_OK);
        assert_int_equal(count, EVENTS);
        struct fbat_event last;
        assert_int_equal(fbat_latest(store, fbat_text("a"), fbat_text("shop"), &last, &error), FBAT_OK);
        assert_int_equal(last.revision, EVENTS / 2);
        fbat_event_release(&last);
        assert_int_equal(store_close(store, NULL), FBAT_OK);
    }
    alloc_fail_uninstall();
    assert_true(failures > 3);
    stop_writer(&writer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_committed_fence_is_part_of_the_log),
        LOG_TEST(a_fence_at_the_end_of_the_log_is_kept_with_its_commit),
        LOG_TEST(two_fences_stand_back_to_back),
        LOG_TEST(a_cancelled_fence_is_passed_over),
        LOG_TEST(a_cancelled_fence_is_voided_by_the_next_one_too),
        LOG_TEST(a_fence_without_commit_at_the_end_is_cut_off),
        LOG_TEST(a_cancelled_fence_at_the_end_of_a_closed_store_is_no_finding),
        LOG_TEST(a_fence_without_commit_may_be_the_only_thing_in_the_log),
        cmocka_unit_test(a_torn_commit_leaves_nothing_of_the_fence),
        LOG_TEST(a_fence_with_a_hole_is_dropped_as_a_whole),
        cmocka_unit_test(a_hole_in_a_durable_fence_is_damage),
        cmocka_unit_test(a_commit_that_does_not_fit_ends_the_log),
        LOG_TEST(a_commit_without_any_fence_ends_the_log),
        LOG_TEST(a_changed_byte_in_any_frame_is_found),
        LOG_TEST(damage_within_a_fence_costs_the_fence_and_no_more),
        LOG_TEST(a_fence_behind_damage_counts),
        LOG_TEST(a_segment_that_ends_with_a_fence_is_sealed_behind_its_commit),
        LOG_TEST(a_fence_that_moved_to_the_next_segment_counts_there_only),
        LOG_TEST(a_reader_sees_a_fence_only_when_it_is_visible_and_whole),
        LOG_TEST(a_reader_passes_over_a_fence_that_is_cancelled_while_it_looks),
        LOG_TEST(a_reader_that_fails_within_a_fence_goes_on_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
