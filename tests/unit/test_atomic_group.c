/* SPDX-License-Identifier: Apache-2.0 */
/* What is visible together: each row of the table in index/atomic_group.c, and rows that point nowhere. */
#include "fixture.h"

#include "index/atomic_group.h"

#include "support/test.h"

static const struct log_event events[4];

/* Writes a frame and indexes it; not published. Answers where it stands. */
static uint64_t add_indexed(struct log *log, enum frame_type type, uint32_t count) {
    const struct segment *segment = log->active->segment;
    uint64_t offset = log_write(log, type, events, count);
    struct frame frame;
    assert_int_equal(frame_decode(segment->map + offset, segment->end - offset, segment->salt, &frame), FRAME_VALID);
    assert_int_equal(segment_index_add_frame(log->active, &frame, segment->map + offset, offset, NULL), FBAT_OK);
    return offset;
}

/* A fence of frames of so many events each; answers where it begins. */
static uint64_t add_fence(struct log *log, const uint32_t *counts, unsigned frames) {
    uint64_t first = log->next_sequence, offset = 0;
    for (unsigned at = 0; at < frames; at++) {
        uint64_t here = add_indexed(log, FRAME_STAGED, counts[at]);
        offset = at == 0 ? here : offset;
    }
    (void)log_commit(log, first, offset);
    log->active->summary.frames_end = log->active->segment->end;
    return offset;
}

static void show_all(struct log *log) {
    segment_index_publish(log->active);
    directory_set_visible(&log->directory, log->next_sequence - 1);
}

static uint64_t aligned(const struct segment_list *list, uint64_t sequence) {
    uint64_t answer = 0;
    assert_int_equal(atomic_group_align(list, sequence, &answer, NULL), FBAT_OK);
    return answer;
}

/* For each row of the active segment '+' when it goes on, else '.'; and a snapshot is aligned accordingly. */
static void expect_groups(struct log *log, const char *wanted) {
    struct segment_list *list = directory_acquire(&log->directory);
    uint64_t first = segment_index_row(log->active, 0)->sequence, whole = first - 1;
    assert_int_equal(segment_index_row_count(log->active), strlen(wanted));
    for (uint32_t row = 0; wanted[row]; row++) {
        bool goes_on = wanted[row] == '+';
        assert_int_equal(atomic_group_goes_on(log->active, row), goes_on);
        whole = goes_on ? whole : first + row;
        assert_int_equal(aligned(list, first + row), whole);
    }
    segment_list_release(list);
}

static void rows_of_a_frame_are_one_group(void **state) {
    struct log *log = *state;
    add_indexed(log, FRAME_EVENTS, 3);
    add_indexed(log, FRAME_EVENTS, 1);
    add_indexed(log, FRAME_EVENTS, 2);
    show_all(log);
    expect_groups(log, "++..+.");
}

static void rows_of_a_fence_are_one_group(void **state) {
    struct log *log = *state;
    add_indexed(log, FRAME_EVENTS, 1);
    add_fence(log, (uint32_t[]){1, 3, 1}, 3);
    add_indexed(log, FRAME_EVENTS, 1);
    show_all(log);
    expect_groups(log, ".++++..");
}

static void fences_beside_each_other_are_two_groups(void **state) {
    struct log *log = *state;
    add_fence(log, (uint32_t[]){1, 1}, 2);
    add_fence(log, (uint32_t[]){1, 1}, 2);
    add_fence(log, (uint32_t[]){1}, 1);
    show_all(log);
    expect_groups(log, "+.+..");
}

/* Neither the frames in front of the void ones nor those behind them belong to the cancelled fence. */
static void void_frames_are_in_no_group(void **state) {
    struct log *log = *state;
    add_indexed(log, FRAME_EVENTS, 1);
    struct log_place place = log_note(log);
    (void)log_write(log, FRAME_STAGED, events, 2);
    log_go_back(log, &place);
    add_fence(log, (uint32_t[]){1, 1}, 2);
    place = log_note(log);
    (void)log_write(log, FRAME_STAGED, events, 1);
    log_go_back(log, &place);
    add_indexed(log, FRAME_EVENTS, 1);
    show_all(log);
    expect_groups(log, ".+..");
}

static void group_ends_with_its_segment(void **state) {
    struct log *log = *state;
    add_fence(log, (uint32_t[]){1, 1}, 2);
    show_all(log);
    log_rotate(log);
    add_fence(log, (uint32_t[]){1, 1}, 2);
    show_all(log);
    expect_groups(log, "+.");
    struct segment_list *list = directory_acquire(&log->directory);
    assert_true(list->slots[0]->index->sealed);
    assert_true(atomic_group_goes_on(list->slots[0]->index, 0));
    assert_false(atomic_group_goes_on(list->slots[0]->index, 1));
    assert_int_equal(aligned(list, 1), 0);
    assert_int_equal(aligned(list, 2), 2);
    segment_list_release(list);
}

/* Rows appear by whole groups, so the last one that is published ends its group. */
static void unpublished_rows_are_in_no_group(void **state) {
    struct log *log = *state;
    add_fence(log, (uint32_t[]){1, 1}, 2);
    show_all(log);
    add_indexed(log, FRAME_STAGED, 1);
    expect_groups(log, "+.");
}

static void sequence_that_is_not_there_stays(void **state) {
    struct log *log = *state;
    add_indexed(log, FRAME_EVENTS, 2);
    show_all(log);
    struct segment_list *list = directory_acquire(&log->directory);
    assert_int_equal(aligned(list, 0), 0);
    assert_int_equal(aligned(list, 3), 3);
    assert_int_equal(aligned(list, UINT64_MAX), UINT64_MAX);
    segment_list_release(list);
}

/* A row of a mapping that went bad may name any place; nothing behind the frames is looked at. */
static void places_behind_the_frames_are_not_read(void **state) {
    static const uint32_t places[] = {0, 1, (SEGMENT_HEADER_BYTES - 8) / 8, UINT32_MAX};
    struct log *log = *state;
    uint64_t offset = add_fence(log, (uint32_t[]){1, 1}, 2);
    show_all(log);
    struct footer_row *row = segment_index_row(log->active, 0), *next = segment_index_row(log->active, 1);
    const struct footer_row good = *row, good_next = *next;
    for (unsigned at = 0; at < 4; at++) {
        row->frame_words = places[at];
        assert_false(atomic_group_goes_on(log->active, 0));
        *row = good;
        next->frame_words = places[at];
        assert_false(atomic_group_goes_on(log->active, 0));
        *next = good_next;
    }
    log->active->sealed = true;
    uint64_t frames_end = log->active->summary.frames_end;
    assert_true(frames_end > offset);
    log->active->summary.frames_end = (uint64_t)next->frame_words * 8 + FRAME_HEADER_BYTES;
    assert_true(atomic_group_goes_on(log->active, 0));
    log->active->summary.frames_end -= 8;
    assert_false(atomic_group_goes_on(log->active, 0));
    log->active->summary.frames_end = frames_end;
    log->active->sealed = false;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(rows_of_a_frame_are_one_group),
        LOG_TEST(rows_of_a_fence_are_one_group),
        LOG_TEST(fences_beside_each_other_are_two_groups),
        LOG_TEST(void_frames_are_in_no_group),
        LOG_TEST(group_ends_with_its_segment),
        LOG_TEST(unpublished_rows_are_in_no_group),
        LOG_TEST(sequence_that_is_not_there_stays),
        LOG_TEST(places_behind_the_frames_are_not_read),
    };
    return cmocka_run_group_tests_name("index: atomic groups", tests, NULL, NULL);
}
