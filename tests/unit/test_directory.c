/* SPDX-License-Identifier: Apache-2.0 */
/* The directory of segments: finding one event across them, within what is visible, through lists that stay. */
#include "fixture.h"

/* Two sealed segments of three events each, and one active with two. */
static int enter_filled(void **state) {
    enter_log(state);
    struct log *log = *state;
    static const struct log_event events[] = {{.entity = "order-1"}, {.entity = "order-2"}, {.entity = "order-1"}};
    log_append(log, events, 3);
    log_rotate(log);
    log_append(log, events, 3);
    log_rotate(log);
    log_append(log, events, 2);
    return 0;
}

static bool find_id(struct log *log, uint64_t visible, uint64_t sequence, uint64_t *out_sequence) {
    struct segment_list *list = directory_acquire(&log->directory);
    struct segment_index *index = NULL;
    uint32_t position;
    struct fbat_id id = log_id(sequence);
    int status = segment_list_find_id(list, visible, &id, segment_index_id_hash(&id), &index, &position, NULL);
    if (status == FBAT_OK)
        *out_sequence = segment_index_row(index, position)->sequence;
    else
        assert_int_equal(status, FBAT_ERR_NOT_FOUND);
    segment_index_release(index);
    segment_list_release(list);
    return status == FBAT_OK;
}

static uint64_t latest(struct log *log, uint64_t visible, const char *scope, const char *entity) {
    struct segment_list *list = directory_acquire(&log->directory);
    struct segment_index *index = NULL;
    uint32_t position;
    uint64_t sequence = 0;
    if (segment_list_find_latest(list, visible, fbat_text(scope), fbat_text(entity), &index, &position, NULL) ==
        FBAT_OK)
        sequence = segment_index_row(index, position)->sequence;
    segment_index_release(index);
    segment_list_release(list);
    return sequence;
}

static void every_id_is_found_in_whatever_segment_it_is(void **state) {
    struct log *log = *state;
    uint64_t found;
    for (uint64_t sequence = 1; sequence <= 8; sequence++) {
        assert_true(find_id(log, 8, sequence, &found));
        assert_int_equal(found, sequence);
    }
    assert_false(find_id(log, 8, 9, &found));
    assert_false(find_id(log, 8, 0, &found));
}

static void an_id_is_not_found_before_it_is_visible(void **state) {
    struct log *log = *state;
    uint64_t found;
    for (uint64_t visible = 0; visible <= 8; visible++)
        for (uint64_t sequence = 1; sequence <= 8; sequence++)
            assert_int_equal(find_id(log, visible, sequence, &found), sequence <= visible);
}

static void every_sequence_is_found_up_to_what_is_visible(void **state) {
    struct log *log = *state;
    struct segment_list *list = directory_acquire(&log->directory);
    for (uint64_t visible = 0; visible <= 8; visible++)
        for (uint64_t sequence = 0; sequence <= 10; sequence++) {
            struct segment_index *index = NULL;
            uint32_t position;
            int status = segment_list_find_sequence(list, visible, sequence, &index, &position, NULL);
            assert_int_equal(status, sequence >= 1 && sequence <= visible ? FBAT_OK : FBAT_ERR_NOT_FOUND);
            if (status == FBAT_OK)
                assert_int_equal(segment_index_row(index, position)->sequence, sequence);
            segment_index_release(index);
        }
    segment_list_release(list);
}

static void the_latest_of_a_stream_is_the_last_one_visible(void **state) {
    struct log *log = *state;
    static const uint64_t first[] = {0, 1, 1, 3, 4, 4, 6, 7, 7}, second[] = {0, 0, 2, 2, 2, 5, 5, 5, 8};
    for (uint64_t visible = 0; visible <= 8; visible++) {
        assert_int_equal(latest(log, visible, "shop", "order-1"), first[visible]);
        assert_int_equal(latest(log, visible, "shop", "order-2"), second[visible]);
    }
    assert_int_equal(latest(log, 8, "depot", "order-1"), 0);
}

static void a_list_keeps_what_it_had_while_segments_come_and_are_sealed(void **state) {
    struct log *log = *state;
    struct segment_list *before = directory_acquire(&log->directory);
    assert_int_equal(before->count, 3);
    struct segment_index *active = before->slots[2]->index;
    log_rotate(log);
    log_append(log, &(struct log_event){.entity = "order-9"}, 1);
    assert_int_equal(before->count, 3);
    assert_ptr_equal(before->slots[2]->index, active);
    struct fbat_event event;
    assert_int_equal(segment_index_view(active, 1, &event, NULL), FBAT_OK);
    assert_int_equal(event.sequence, 8);
    struct segment_list *after = directory_acquire(&log->directory);
    assert_int_equal(after->count, 4);
    assert_ptr_not_equal(after->slots[2], before->slots[2]);
    assert_ptr_equal(after->slots[1], before->slots[1]);
    assert_true(after->slots[2]->sealed && !before->slots[2]->sealed);
    segment_list_release(after);
    segment_list_release(before);
}

static void rows_of_a_segment_are_limited_to_what_is_visible(void **state) {
    struct log *log = *state;
    struct segment_list *list = directory_acquire(&log->directory);
    for (uint64_t visible = 0; visible <= 10; visible++) {
        uint64_t left = visible > 8 ? 8 : visible;
        for (uint32_t at = 0; at < 3; at++) {
            uint32_t rows = at < 2 ? 3 : 2, wanted = left < rows ? (uint32_t)left : rows;
            assert_int_equal(directory_row_limit(list->slots[at]->index, visible), wanted);
            left -= wanted;
        }
    }
    segment_list_release(list);
}

static void runs_stay_with_the_directory_until_others_take_their_place(void **state) {
    struct log *log = *state;
    struct id_run_set *sets[2];
    for (size_t at = 0; at < COUNT_OF(sets); at++) {
        sets[at] = calloc(1, sizeof *sets[at]); /* counted here, so that nothing frees it */
        assert_non_null(sets[at]);
        atomic_init(&sets[at]->references, 2);
    }
    assert_int_equal(directory_set_runs(&log->directory, sets[0], NULL), FBAT_OK);
    struct segment_list *before = directory_acquire(&log->directory);
    log_rotate(log); /* replaces one and appends one */
    struct segment_list *after = directory_acquire(&log->directory);
    assert_ptr_equal(after->runs, sets[0]);
    assert_int_equal(after->count, 4);
    segment_list_release(after);
    assert_int_equal(directory_set_runs(&log->directory, sets[1], NULL), FBAT_OK);
    after = directory_acquire(&log->directory);
    assert_ptr_equal(after->runs, sets[1]);
    assert_int_equal(after->count, 4);
    segment_list_release(after);
    assert_int_equal(atomic_load(&sets[0]->references), 2); /* ours and that of `before` */
    segment_list_release(before);
    assert_int_equal(atomic_load(&sets[0]->references), 1);
    assert_int_equal(directory_set_runs(&log->directory, NULL, NULL), FBAT_OK);
    assert_int_equal(atomic_load(&sets[1]->references), 1);
    free(sets[0]);
    free(sets[1]);
}

static void an_empty_directory_finds_nothing(void **state) {
    (void)state;
    struct directory directory;
    struct segment_index *index;
    uint32_t position;
    struct fbat_id id = log_id(1);
    assert_true(directory_init(&directory));
    assert_int_equal(directory_visible(&directory), 0);
    struct segment_list *list = directory_acquire(&directory);
    assert_int_equal(list->count, 0);
    assert_int_equal(segment_list_find_id(list, 5, &id, segment_index_id_hash(&id), &index, &position, NULL),
                     FBAT_ERR_NOT_FOUND);
    assert_int_equal(segment_list_find_sequence(list, 5, 1, &index, &position, NULL), FBAT_ERR_NOT_FOUND);
    assert_int_equal(segment_list_find_latest(list, 5, fbat_text("s"), fbat_text("e"), &index, &position, NULL),
                     FBAT_ERR_NOT_FOUND);
    segment_list_release(list);
    directory_deinit(&directory);
    directory_deinit(&directory); /* a second time does nothing */
}

#define FILLED(test) cmocka_unit_test_setup_teardown(test, enter_filled, leave_log)

int main(void) {
    const struct CMUnitTest tests[] = {
        FILLED(every_id_is_found_in_whatever_segment_it_is),
        FILLED(an_id_is_not_found_before_it_is_visible),
        FILLED(every_sequence_is_found_up_to_what_is_visible),
        FILLED(the_latest_of_a_stream_is_the_last_one_visible),
        FILLED(a_list_keeps_what_it_had_while_segments_come_and_are_sealed),
        FILLED(rows_of_a_segment_are_limited_to_what_is_visible),
        FILLED(runs_stay_with_the_directory_until_others_take_their_place),
        cmocka_unit_test(an_empty_directory_finds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
