/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tail that the next segment has taken over after a failed sync: whatever the old segment holds behind the durable
 * sequence, only the new one counts. Opening, sealing, check, dump, and a reader that looks on.
 *
 * Most tests begin with segment 1 = "ab", durable, and then a tail; segment 2 starts at sequence 3.
 */
#include "store_fixture.h"

#include <errno.h>
#include <pthread.h>

#include "support/alloc_fail.h"
#include "support/test.h"

#define FIRST_FILE LOG_DIR "/000001.fbat"

/* Segment 1 gets "ab"; what follows is written after it, and then again into segment 2. */
static struct log_place begin(struct log *log) {
    (void)write_letters(log, FRAME_EVENTS, "ab");
    log->durable_sequence = 2;
    return log_note(log);
}

static void move_on(struct log *log, const struct log_place *place) {
    log_go_back(log, place);
    log_next_segment(log);
}

static bool footer_of(struct log *log, const char *path, struct footer *out_footer) {
    const uint8_t *bytes;
    uint64_t size;
    assert_true(os_sim_file_bytes(log->sim, path, &bytes, &size));
    uint8_t *copy = exact_copy(bytes, size);
    bool valid = footer_decode(copy, size, out_footer) == NULL;
    free(copy);
    return valid;
}

/* ---- opening, sealing, check ---- */

/* The usual case: the old segment still holds the same frames. They stay where they are behind a footer. */
static void a_tail_that_is_in_both_counts_once(void **state) {
    struct log *log = *state;
    struct fbat_open_report report;
    struct footer footer;
    struct log_place place = begin(log);
    uint64_t tail = write_letters(log, FRAME_EVENTS, "cd"), end;
    (void)write_letters(log, FRAME_EVENTS, "a");
    end = log->active->segment->end;
    uint8_t *before = exact_copy(log->active->segment->map, end);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    (void)write_letters(log, FRAME_EVENTS, "a");
    (void)write_letters(log, FRAME_EVENTS, "e");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcdae", &report);
    assert_int_equal(report.footers_rebuilt, 1);
    assert_int_equal(report.dropped_bytes, 0);
    assert_true(footer_of(log, FIRST_FILE, &footer));
    assert_int_equal(footer.summary.frames_end, tail);
    assert_int_equal(footer.summary.superseded_bytes, end - tail);
    assert_int_equal(footer.summary.event_count, 2);
    assert_int_equal(footer.parts[0].offset, align_up(end, FOOTER_ALIGNMENT));
    const uint8_t *bytes;
    uint64_t size;
    assert_true(os_sim_file_bytes(log->sim, FIRST_FILE, &bytes, &size));
    assert_memory_equal(bytes, before, end);
    free(before);
}

static void a_shorter_tail_is_no_loss(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    (void)write_letters(log, FRAME_EVENTS, "de");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcde", NULL);
}

static void no_tail_at_all_is_no_loss_and_leaves_nothing_to_keep(void **state) {
    struct log *log = *state;
    struct footer footer;
    struct log_place place = begin(log);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cde");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcde", NULL);
    assert_true(footer_of(log, FIRST_FILE, &footer));
    assert_int_equal(footer.summary.superseded_bytes, 0);
}

/* Frames that were written, failed, and were taken back are intact in the old segment, with sequences that others
 * have now. */
static void a_longer_tail_of_failed_frames_does_not_count(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    (void)write_letters(log, FRAME_EVENTS, "xy");
    (void)write_letters(log, FRAME_STAGED, "zz");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    (void)write_letters(log, FRAME_EVENTS, "d");
    log_make_store(log, LIVE_OPEN, 4);
    expect_store(log, "abcd", NULL);
}

/* Half a frame, zeros, junk, an intact frame, junk again. Sealing keeps it up to the intact frame, which a reader
 * may have. */
static void junk_in_the_tail_is_not_looked_at_but_kept(void **state) {
    struct log *log = *state;
    struct footer footer;
    struct test_random random = test_random_init(77);
    struct log_place place = begin(log);
    uint64_t torn = write_letters(log, FRAME_EVENTS, "cd"), zeros = write_letters(log, FRAME_EVENTS, "c");
    uint64_t junk = write_letters(log, FRAME_EVENTS, "cccc"), intact = write_letters(log, FRAME_EVENTS, "d");
    uint8_t *map = log->active->segment->map;
    uint64_t end = log->active->segment->end;
    memset(map + torn + 64, 0, 128);
    memset(map + zeros, 0, (size_t)(junk - zeros));
    test_random_fill(&random, map + junk, (size_t)(intact - junk));
    test_random_fill(&random, map + end, 100);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cde");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcde", NULL);
    assert_true(footer_of(log, FIRST_FILE, &footer));
    assert_int_equal(footer.summary.frames_end, torn);
    assert_int_equal(footer.summary.superseded_bytes, end - torn);
}

/* The events behind the durable sequence are all the segment has: it is left without an index, for ever. */
static void a_segment_that_was_taken_over_whole_stays_without_footer(void **state) {
    (void)state;
    static const char *const tails[] = {"", "a", "abcc"};
    for (size_t at = 0; at < COUNT_OF(tails); at++) {
        struct log log;
        struct footer footer;
        log_init(&log);
        struct log_place place = log_note(&log);
        if (*tails[at])
            (void)write_letters(&log, FRAME_EVENTS, tails[at]);
        move_on(&log, &place);
        (void)write_letters(&log, FRAME_EVENTS, "ab");
        log_make_store(&log, LIVE_OPEN, 2);
        assert_int_equal(check_log(&log).report.remarks, 0);
        expect_store(&log, "ab", NULL);
        assert_false(footer_of(&log, FIRST_FILE, &footer));
        log_deinit(&log);
    }
}

static void segments_are_taken_over_one_after_the_other(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    struct log_place second = log_note(log);
    (void)write_letters(log, FRAME_EVENTS, "d");
    move_on(log, &second);
    struct log_place third = log_note(log);
    (void)write_letters(log, FRAME_EVENTS, "xy");
    move_on(log, &third); /* segment 3 is taken over whole */
    (void)write_letters(log, FRAME_EVENTS, "de");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcde", NULL);
}

/* A fence that was committed and not durable becomes plain events; one that was open is cancelled. */
static void fences_in_the_tail_count_as_the_new_segment_says(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    uint64_t start = write_letters(log, FRAME_STAGED, "c");
    (void)write_letters(log, FRAME_STAGED, "d");
    (void)log_commit(log, 3, start);
    (void)write_letters(log, FRAME_STAGED, "xx");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    (void)write_letters(log, FRAME_EVENTS, "d");
    (void)write_letters(log, FRAME_EVENTS, "e");
    log_make_store(log, LIVE_OPEN, 5);
    expect_store(log, "abcde", NULL);
}

/* A fence that was cancelled reached further than the log does here: its later frames are void, not the next
 * segment's. */
static void a_void_fence_may_reach_beyond_the_next_segments_first_sequence(void **state) {
    struct log *log = *state;
    char text[1024];
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_STAGED, "x");
    (void)write_letters(log, FRAME_STAGED, "yz");
    log_go_back(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    log_next_segment(log);
    (void)write_letters(log, FRAME_EVENTS, "d");
    log_make_store(log, LIVE_OPEN, 4);
    dump_frames_of(log, text, sizeof text);
    assert_string_equal(text, "e:frame\ns:staged frame of a fence without commit: not in the log\n"
                              "s:staged frame of a fence without commit: not in the log\ne:frame\ne:frame\n");
    expect_store(log, "abcd", NULL);
}

/* What was durable is in the old segment alone. */
static void damage_before_the_taken_over_tail_is_damage(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    log_make_store(log, LIVE_OPEN, 3);
    assert_true(os_sim_flip(log->sim, FIRST_FILE, SEGMENT_HEADER_BYTES + 40, 1));
    expect_damage(log, 1, SEGMENT_HEADER_BYTES);
}

/* An intact tail in the old segment is no reason to go back to it. */
static void a_new_segment_that_lost_durable_events_is_damage(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    move_on(log, &place);
    uint64_t copied = write_letters(log, FRAME_EVENTS, "c");
    log_make_store(log, LIVE_OPEN, 3);
    assert_true(os_sim_flip(log->sim, LOG_DIR "/000002.fbat", copied + 40, 1));
    expect_damage(log, 2, copied);
}

static void the_dump_says_what_was_taken_over(void **state) {
    struct log *log = *state;
    char text[1024];
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    (void)write_letters(log, FRAME_STAGED, "x");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    log_make_store(log, LIVE_OPEN, 4);
    for (int sealed = 0; sealed < 2; sealed++) {
        dump_frames_of(log, text, sizeof text);
        assert_string_equal(text, "e:frame\ne:frame that the next segment has taken over\n"
                                  "s:frame that the next segment has taken over\ne:frame\n");
        expect_store(log, "abcd", NULL);
    }
}

/* A footer that hides frames of the log as superseded: the check compares with the next segment, not with the
 * footer. */
static void a_footer_that_calls_too_much_superseded_is_found(void **state) {
    struct log *log = *state;
    struct fbat_error error;
    log_append(log, &(struct log_event){.entity = "a"}, 1);
    uint64_t hidden = write_letters(log, FRAME_EVENTS, "b"), end = log->active->segment->end;
    log->active->summary.superseded_bytes = end - hidden;
    assert_int_equal(segment_index_write_footer(log->active, &error), FBAT_OK);
    log_next_segment(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    log_make_store(log, LIVE_CLOSED, 3);
    struct check_result result = check_log(log);
    assert_int_equal(result.report.events, 3);
    assert_true(result.report.findings >= 1);
    assert_int_equal(result.findings[0].kind, FBAT_FINDING_FRAME);
    assert_int_equal(result.findings[0].offset, end);
}

/* Sealing is cut short at each of its calls, by a kill: the tail stays, the next opening seals, and the file does
 * not grow by what was left behind. */
static void sealing_behind_a_tail_may_be_cut_short_anywhere(void **state) {
    struct log *log = *state;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    uint64_t end = log->active->segment->end, sealed_bytes = 0, wanted_bytes = 0;
    uint8_t *before = exact_copy(log->active->segment->map, end);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    log_make_store(log, LIVE_OPEN, 4);
    bool stopped = true;
    for (uint64_t nth = 1; stopped; nth++) {
        struct os_sim *sim = os_sim_clone(log->sim, nth);
        struct fbat_config config;
        struct fbat_store *store = NULL;
        const uint8_t *bytes;
        fbat_config_init(&config, LOG_DIR);
        for (int opening = 0; opening < 3; opening++) { /* cut short, recovered, and once more */
            struct os *os = os_sim_process(sim, 200 + opening);
            if (opening == 0)
                os_sim_stop_nth(sim, OS_SIM_ANY, nth, false);
            int status = store_open(os, &config, &store, NULL);
            stopped = opening == 0 ? !os_sim_is_alive(os) : stopped;
            os_sim_stop_nth(sim, OS_SIM_ANY, 0, false);
            assert_true(status == FBAT_OK || (opening == 0 && stopped));
            if (status == FBAT_OK && opening > 0) {
                expect_letters(store, "abcd");
                assert_true(os_sim_file_bytes(sim, FIRST_FILE, &bytes, &sealed_bytes));
                assert_memory_equal(bytes, before, end);
                wanted_bytes = wanted_bytes ? wanted_bytes : sealed_bytes;
                assert_int_equal(sealed_bytes, wanted_bytes);
            }
            if (status == FBAT_OK)
                store_abandon(store);
        }
        os_sim_destroy(sim);
    }
    free(before);
}

/* ---- what never got its name ---- */

static bool exists(struct log *log, const char *path) {
    const uint8_t *bytes;
    uint64_t size;
    return os_sim_file_bytes(log->sim, path, &bytes, &size);
}

static void a_segment_without_its_name_is_ignored_and_then_removed(void **state) {
    struct log *log = *state;
    static const char *const names[] = {"000002.fbat.new", "000003.fbat.new"};
    static const char *const others[] = {"2.fbat.new", "000002.fbat.newer", "000002.fbat", "notes.new"};
    (void)begin(log);
    log_make_store(log, LIVE_OPEN, 2);
    for (size_t at = 0; at < COUNT_OF(names) + COUNT_OF(others); at++) {
        char path[64];
        const char *name = at < COUNT_OF(names) ? names[at] : others[at - COUNT_OF(names)];
        snprintf(path, sizeof path, "%s/%s", LOG_DIR, name);
        if (strcmp(name, "000002.fbat") != 0)
            assert_true(os_sim_set_file_bytes(log->sim, path, "half a segment", 14));
    }
    assert_int_equal(check_log(log).report.remarks, 0);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "ab");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    assert_true(exists(log, LOG_DIR "/000002.fbat.new"));
    store = open_log(log, false);
    expect_letters(store, "ab");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    assert_false(exists(log, LOG_DIR "/000002.fbat.new"));
    assert_false(exists(log, LOG_DIR "/000003.fbat.new"));
    assert_true(exists(log, LOG_DIR "/2.fbat.new"));
    assert_true(exists(log, LOG_DIR "/000002.fbat.newer"));
    assert_true(exists(log, LOG_DIR "/notes.new"));
}

static void a_left_over_that_cannot_be_removed_is_no_reason_to_refuse(void **state) {
    struct log *log = *state;
    struct fbat_config config;
    struct fbat_store *store = NULL;
    (void)begin(log);
    log_make_store(log, LIVE_OPEN, 2);
    assert_true(os_sim_set_file_bytes(log->sim, LOG_DIR "/000002.fbat.new", "half", 4));
    fbat_config_init(&config, LOG_DIR);
    uint64_t refused = 0;
    for (uint64_t nth = 1; nth < 12; nth++) {
        struct os_sim *sim = os_sim_clone(log->sim, nth);
        const uint8_t *bytes;
        uint64_t size;
        os_sim_fail_nth(sim, OS_SIM_NAMES, nth, EACCES);
        int status = store_open(os_sim_process(sim, 300), &config, &store, NULL);
        bool left = os_sim_file_bytes(sim, LOG_DIR "/000002.fbat.new", &bytes, &size);
        refused += status == FBAT_OK && left;
        if (status == FBAT_OK)
            store_abandon(store);
        os_sim_destroy(sim);
    }
    assert_int_equal(refused, 2); /* the listing, and the removal */
}

/* ---- a reader that looks on ---- */

/* The reader has read the tail in the old segment; an iterator that it opened then goes on over the old one. */
static void a_reader_that_read_the_tail_goes_over_to_the_new_segment(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct fbat_iterator *iterator = NULL;
    struct fbat_event event;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    start_writer(log, &writer, 4);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "abcd");
    assert_int_equal(fbat_query(store, NULL, NULL, &iterator, NULL), FBAT_OK);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    publish(&writer, 4);
    expect_letters(store, "abcd");
    (void)write_letters(log, FRAME_EVENTS, "a");
    publish(&writer, 5);
    expect_letters(store, "abcda");
    assert_int_equal(fbat_get_by_sequence(store, 3, &event, NULL), FBAT_OK);
    assert_int_equal(event.segment_id, 2);
    fbat_event_release(&event);
    for (uint64_t sequence = 1; sequence <= 4; sequence++) {
        assert_int_equal(fbat_iterator_next(iterator, &event, NULL), FBAT_OK);
        assert_int_equal(event.sequence, sequence);
        assert_int_equal(event.segment_id, 1);
    }
    assert_int_equal(fbat_iterator_next(iterator, &event, NULL), FBAT_END);
    fbat_iterator_close(iterator);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* The old segment goes on with an intact frame that failed, of the sequence that is published now. */
static void a_reader_does_not_take_a_failed_frame_for_the_published_one(void **state) {
    (void)state;
    for (int read_before = 0; read_before <= 1; read_before++) {
        struct log log;
        struct log_writer writer;
        log_init(&log);
        struct log_place place = begin(&log);
        (void)write_letters(&log, FRAME_EVENTS, "c");
        (void)write_letters(&log, FRAME_EVENTS, "x");
        start_writer(&log, &writer, 2);
        struct fbat_store *store = open_log(&log, true);
        publish(&writer, 3);
        if (read_before)
            expect_letters(store, "abc");
        move_on(&log, &place);
        (void)write_letters(&log, FRAME_EVENTS, "c");
        (void)write_letters(&log, FRAME_EVENTS, "d");
        publish(&writer, 4);
        expect_letters(store, "abcd");
        struct fbat_store *late = open_log(&log, true);
        expect_letters(late, "abcd");
        assert_int_equal(store_close(late, NULL), FBAT_OK);
        assert_int_equal(store_close(store, NULL), FBAT_OK);
        stop_writer(&writer);
        log_deinit(&log);
    }
}

static void a_reader_follows_through_segments_taken_over_between_two_looks(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    start_writer(log, &writer, 4);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "abcd");
    move_on(log, &place); /* all of it durable there */
    (void)write_letters(log, FRAME_EVENTS, "cd");
    (void)write_letters(log, FRAME_EVENTS, "e");
    struct log_place second = log_note(log);
    (void)write_letters(log, FRAME_EVENTS, "x");
    move_on(log, &second);
    struct log_place third = log_note(log);
    (void)write_letters(log, FRAME_EVENTS, "yz");
    move_on(log, &third);
    (void)write_letters(log, FRAME_EVENTS, "ab");
    publish(&writer, 7);
    expect_letters(store, "abcdeab");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

static void a_reader_follows_out_of_a_segment_that_was_taken_over_whole(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct log_place place = log_note(log);
    (void)write_letters(log, FRAME_EVENTS, "ab");
    start_writer(log, &writer, 2);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "ab");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "ab");
    (void)write_letters(log, FRAME_EVENTS, "c");
    publish(&writer, 3);
    expect_letters(store, "abc");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* The page names a later segment, whose file is not there: nothing is read on in the old one. */
static void a_reader_waits_for_the_segment_that_the_page_names(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    (void)begin(log);
    start_writer(log, &writer, 2);
    struct fbat_store *store = open_log(log, true);
    (void)write_letters(log, FRAME_EVENTS, "x");
    store_u64(writer.page + LIVE_SEGMENT_AT, 2);
    store_u64(writer.page + LIVE_VISIBLE_AT, 3);
    expect_letters(store, "ab");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* A new segment that does not hold what the reader has seen: the reader keeps what it has. */
static void a_reader_gives_up_nothing_for_a_segment_that_holds_less(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    start_writer(log, &writer, 4);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "abcd");
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "c");
    publish(&writer, 5);
    expect_letters(store, "abcd");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* A segment that was created and never used is replaced by another file of its name. */
static void a_reader_notices_that_its_empty_segment_was_replaced(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    (void)begin(log);
    struct segment_index *first = log->active;
    log_next_segment(log);
    start_writer(log, &writer, 2);
    struct fbat_store *store = open_log(log, true); /* knows the empty segment 2 */
    expect_letters(store, "ab");
    assert_int_equal(log->os->methods->path_remove(log->os, LOG_DIR "/000002.fbat"), 0);
    log->active = first;
    log_next_segment(log);
    (void)write_letters(log, FRAME_EVENTS, "c");
    publish(&writer, 3);
    expect_letters(store, "abc");
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* A frame larger than the segment was meant to be, as a fence of an empty segment may become. */
static void a_reader_maps_a_first_fence_that_outgrows_its_segment(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    static char large[3000];
    struct log_event event = {.entity = "a", .payload = large};
    memset(large, 'p', sizeof large - 1);
    start_writer(log, &writer, 0);
    struct fbat_store *store = open_log(log, true);
    expect_letters(store, "");
    uint64_t start = log->active->segment->end, count = 0;
    assert_int_equal(segment_widen(log->active->segment, 4 << 20, NULL), FBAT_OK);
    while (log->active->segment->end < (3 << 20))
        (void)log_write(log, FRAME_STAGED, &event, 1);
    (void)log_commit(log, 1, start);
    publish(&writer, log->next_sequence - 1);
    struct fbat_event last;
    assert_int_equal(fbat_query_count(store, NULL, &count, NULL), FBAT_OK);
    assert_int_equal(count, log->next_sequence - 1);
    assert_int_equal(fbat_latest(store, fbat_text("a"), fbat_text("shop"), &last, NULL), FBAT_OK);
    assert_memory_equal(last.payload.data, large, sizeof large - 1);
    fbat_event_release(&last);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
}

/* Every allocation and system call fails once on the way across: what was visible stays, and the next look succeeds. */
static void a_reader_that_fails_on_the_way_across_loses_nothing(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct fbat_error error;
    bool fired = true;
    uint64_t failures = 0;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    struct segment_index *first = log->active;
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    (void)write_letters(log, FRAME_EVENTS, "e");
    struct segment_index *second = log->active;
    log->active = first;
    start_writer(log, &writer, 4);
    assert_int_equal(log->os->methods->path_rename(log->os, LOG_DIR "/000002.fbat", LOG_DIR "/000002.fbat.new"), 0);
    alloc_fail_install();
    for (uint64_t nth = 1; fired; nth++) {
        uint64_t count;
        log->active = first;
        publish(&writer, 4);
        struct fbat_store *store = open_log(log, true);
        assert_int_equal(log->os->methods->path_rename(log->os, LOG_DIR "/000002.fbat.new", LOG_DIR "/000002.fbat"), 0);
        log->active = second;
        publish(&writer, 5);
        alloc_fail_nth(nth);
        os_sim_fail_nth(log->sim, OS_SIM_ANY, nth, EIO);
        failures += store_catch_up(store, &error) < 0;
        fired = alloc_fail_fired() || os_sim_fault_fired(log->sim);
        alloc_fail_nth(0);
        os_sim_fail_nth(log->sim, OS_SIM_ANY, 0, 0);
        assert_in_range(directory_visible(&store->directory), 4, 5);
        assert_int_equal(fbat_query_count(store, NULL, &count, &error), FBAT_OK);
        assert_int_equal(count, 5);
        expect_letters(store, "abcde");
        assert_int_equal(store_close(store, NULL), FBAT_OK);
        assert_int_equal(log->os->methods->path_rename(log->os, LOG_DIR "/000002.fbat", LOG_DIR "/000002.fbat.new"), 0);
    }
    alloc_fail_uninstall();
    assert_true(failures > 3);
    stop_writer(&writer);
}

/* The next writer seals the old segment while a reader still looks at its tail. */
static void sealing_leaves_what_a_reader_of_the_tail_looks_at(void **state) {
    struct log *log = *state;
    struct log_writer writer;
    struct fbat_iterator *iterator = NULL;
    struct fbat_event event;
    struct log_place place = begin(log);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    start_writer(log, &writer, 4);
    struct fbat_store *reader = open_log(log, true);
    assert_int_equal(fbat_query(reader, NULL, NULL, &iterator, NULL), FBAT_OK);
    move_on(log, &place);
    (void)write_letters(log, FRAME_EVENTS, "cd");
    publish(&writer, 4);
    stop_writer(&writer);
    struct fbat_store *next = open_log(log, false);
    expect_letters(next, "abcd");
    for (uint64_t sequence = 1; sequence <= 4; sequence++) {
        assert_int_equal(fbat_iterator_next(iterator, &event, NULL), FBAT_OK);
        assert_int_equal(event.sequence, sequence);
        assert_int_equal(*(const char *)event.entity.data, "abcd"[sequence - 1]);
    }
    fbat_iterator_close(iterator);
    assert_int_equal(store_close(next, NULL), FBAT_OK);
    assert_int_equal(store_close(reader, NULL), FBAT_OK);
}

/* ---- threads that read while segments are taken over ---- */

struct watch {
    struct fbat_store *store;
    _Atomic bool done;
    uint64_t looks;
};

/* Every look sees all sequences from 1 on, each once, and never fewer than before. */
static void *look_on(void *user) {
    struct watch *watch = user;
    uint64_t before = 0;
    while (!atomic_load(&watch->done)) {
        struct fbat_iterator *iterator = NULL;
        struct fbat_event event;
        uint64_t sequence = 0;
        if (fbat_query(watch->store, NULL, NULL, &iterator, NULL) != FBAT_OK)
            abort();
        while (fbat_iterator_next(iterator, &event, NULL) == FBAT_OK)
            if (event.sequence != ++sequence)
                abort();
        if (sequence < before || sequence != fbat_iterator_snapshot(iterator))
            abort();
        before = sequence;
        fbat_iterator_close(iterator);
        watch->looks++;
    }
    return NULL;
}

static void readers_see_no_gap_and_nothing_twice_while_segments_are_taken_over(void **state) {
    (void)state;
    struct log log;
    struct log_writer writer;
    struct watch watches[2] = {{0}};
    pthread_t threads[2];
    log_init_on(&log, &(struct os_sim_options){.no_write_back = true});
    (void)begin(&log);
    start_writer(&log, &writer, 2);
    struct fbat_store *store = open_log(&log, true);
    for (size_t at = 0; at < COUNT_OF(threads); at++) {
        watches[at].store = store;
        assert_int_equal(pthread_create(&threads[at], NULL, look_on, &watches[at]), 0);
    }
    for (int round = 0; round < 40; round++) {
        struct log_place place = log_note(&log);
        (void)write_letters(&log, FRAME_EVENTS, "cd");
        publish(&writer, log.next_sequence - 1);
        (void)write_letters(&log, FRAME_EVENTS, "x");
        move_on(&log, &place);
        (void)write_letters(&log, FRAME_EVENTS, "cd");
        publish(&writer, log.next_sequence - 1);
        (void)write_letters(&log, FRAME_EVENTS, "e");
        publish(&writer, log.next_sequence - 1);
    }
    for (size_t at = 0; at < COUNT_OF(threads); at++) {
        atomic_store(&watches[at].done, true);
        pthread_join(threads[at], NULL);
        assert_true(watches[at].looks > 0);
    }
    uint64_t count = 0;
    assert_int_equal(fbat_query_count(store, NULL, &count, NULL), FBAT_OK);
    assert_int_equal(count, 2 + 40 * 3);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
    stop_writer(&writer);
    log_deinit(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(a_tail_that_is_in_both_counts_once),
        LOG_TEST(a_shorter_tail_is_no_loss),
        LOG_TEST(no_tail_at_all_is_no_loss_and_leaves_nothing_to_keep),
        LOG_TEST(a_longer_tail_of_failed_frames_does_not_count),
        LOG_TEST(junk_in_the_tail_is_not_looked_at_but_kept),
        cmocka_unit_test(a_segment_that_was_taken_over_whole_stays_without_footer),
        LOG_TEST(segments_are_taken_over_one_after_the_other),
        LOG_TEST(fences_in_the_tail_count_as_the_new_segment_says),
        LOG_TEST(a_void_fence_may_reach_beyond_the_next_segments_first_sequence),
        LOG_TEST(damage_before_the_taken_over_tail_is_damage),
        LOG_TEST(a_new_segment_that_lost_durable_events_is_damage),
        LOG_TEST(the_dump_says_what_was_taken_over),
        LOG_TEST(a_footer_that_calls_too_much_superseded_is_found),
        LOG_TEST(sealing_behind_a_tail_may_be_cut_short_anywhere),
        LOG_TEST(a_segment_without_its_name_is_ignored_and_then_removed),
        LOG_TEST(a_left_over_that_cannot_be_removed_is_no_reason_to_refuse),
        LOG_TEST(a_reader_that_read_the_tail_goes_over_to_the_new_segment),
        cmocka_unit_test(a_reader_does_not_take_a_failed_frame_for_the_published_one),
        LOG_TEST(a_reader_follows_through_segments_taken_over_between_two_looks),
        LOG_TEST(a_reader_follows_out_of_a_segment_that_was_taken_over_whole),
        LOG_TEST(a_reader_waits_for_the_segment_that_the_page_names),
        LOG_TEST(a_reader_gives_up_nothing_for_a_segment_that_holds_less),
        LOG_TEST(a_reader_notices_that_its_empty_segment_was_replaced),
        LOG_TEST(a_reader_maps_a_first_fence_that_outgrows_its_segment),
        LOG_TEST(a_reader_that_fails_on_the_way_across_loses_nothing),
        LOG_TEST(sealing_leaves_what_a_reader_of_the_tail_looks_at),
        cmocka_unit_test(readers_see_no_gap_and_nothing_twice_while_segments_are_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
