/* SPDX-License-Identifier: Apache-2.0 */
/* Slots and the cache of open sealed segments: what stays open, what goes, and what opening refuses. */
#include "fixture.h"

#include <errno.h>
#include <pthread.h>

#include "support/test.h"

enum { EVENTS_EACH = 3 };

/* `count` sealed segments of three events each, and an empty active one, with this budget. */
static void fill(struct log *log, uint32_t budget, uint32_t count) {
    static const struct log_event events[] = {{.entity = "order-1"}, {.entity = "order-2"}, {.entity = "order-1"}};
    directory_set_files(&log->directory, log->os, LOG_DIR, &log->store_id, budget);
    for (uint32_t at = 0; at < count; at++) {
        log_append(log, events, EVENTS_EACH);
        log_rotate(log);
    }
}

static struct segment_slot *slot_at(struct log *log, uint32_t at) {
    return log->directory.current->slots[at];
}

static struct segment_index *pin(struct log *log, uint32_t at) {
    struct segment_index *index = NULL;
    struct fbat_error error;
    if (segment_slot_pin(slot_at(log, at), &index, &error) != FBAT_OK)
        fail_msg("segment %u does not open: %s", (unsigned)at + 1, error.message);
    return index;
}

static void use(struct log *log, uint32_t at) {
    segment_index_release(pin(log, at));
}

/* The positions of the segments that are open: "0 3 4". */
static const char *open_ones(struct log *log) {
    static char text[256];
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t at = 0; at < log->directory.current->count; at++)
        if (slot_at(log, at)->sealed && slot_at(log, at)->index)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", used ? " " : "", (unsigned)at);
    return text;
}

/* ---- which stay ---- */

static void the_one_used_longest_ago_goes_first(void **state) {
    struct log *log = *state;
    fill(log, 3, 6);
    assert_string_equal(open_ones(log), "3 4 5"); /* as they were sealed */
    use(log, 3);
    use(log, 0);
    assert_string_equal(open_ones(log), "0 3 5");
    use(log, 5);
    use(log, 1);
    assert_string_equal(open_ones(log), "0 1 5");
    use(log, 0);
    use(log, 0);
    use(log, 2);
    use(log, 3);
    assert_string_equal(open_ones(log), "0 2 3");
}

static void one_that_is_pinned_stays_and_too_many_go_when_their_pins_do(void **state) {
    struct log *log = *state;
    fill(log, 2, 6);
    struct segment_index *first = pin(log, 0), *second = pin(log, 1);
    assert_string_equal(open_ones(log), "0 1");
    use(log, 2);
    assert_string_equal(open_ones(log), "0 1"); /* gone at once: there is no room for it */
    struct segment_index *third = pin(log, 3);
    assert_string_equal(open_ones(log), "0 1 3");
    for (uint32_t at = 0; at < 6; at++)
        use(log, at);
    assert_ptr_equal(pin(log, 0), first); /* a second pin of the same */
    segment_index_release(first);
    assert_string_equal(open_ones(log), "0 1 3");
    segment_index_release(second);
    assert_string_equal(open_ones(log), "0 3");
    segment_index_release(third);
    segment_index_release(first);
    assert_string_equal(open_ones(log), "0 3");
    use(log, 5);
    assert_string_equal(open_ones(log), "0 5"); /* 0 was pinned again after 3 */
}

static void what_is_pinned_outlives_its_list_and_is_read_as_before(void **state) {
    struct log *log = *state;
    fill(log, 1, 3);
    struct segment_index *index = pin(log, 1);
    struct fbat_event event;
    for (uint32_t at = 0; at < 3; at++)
        use(log, at);
    directory_deinit(&log->directory);
    assert_int_equal(segment_index_view(index, 2, &event, NULL), FBAT_OK);
    assert_int_equal(event.sequence, 6);
    segment_index_retain(index);
    segment_index_release(index);
    segment_index_release(index);
}

static void without_files_everything_stays_open(void **state) {
    struct log *log = *state;
    for (uint32_t at = 0; at < 20; at++) {
        log_append(log, &(struct log_event){.entity = "order-1"}, 1);
        log_rotate(log);
    }
    for (uint32_t at = 0; at < 20; at++)
        assert_non_null(slot_at(log, at)->index);
}

static void what_a_closed_slot_knows_needs_no_opening(void **state) {
    struct log *log = *state;
    struct segment_index *index = NULL;
    uint32_t position = 0;
    fill(log, 1, 4);
    assert_string_equal(open_ones(log), "3");
    struct segment_list *list = directory_acquire(&log->directory);
    assert_int_equal(segment_list_summary(list, 1)->last_sequence, 6);
    assert_null(segment_list_summary(list, 4));
    assert_int_equal(segment_list_segment_id(list, 1), 2);
    struct fbat_id absent = log_id(99);
    assert_int_equal(segment_list_find_id(list, 12, &absent, segment_index_id_hash(&absent), &index, &position, NULL),
                     FBAT_ERR_NOT_FOUND);
    assert_int_equal(segment_list_find_sequence(list, 12, 13, &index, &position, NULL), FBAT_ERR_NOT_FOUND);
    assert_string_equal(open_ones(log), "3");
    /* Sequences 4 to 6, recorded at 1,000 times that. */
    static const struct {
        uint64_t low, high;
        int64_t from, to;
        bool wanted;
    } cases[] = {
        {0, 4, 0, INT64_MAX, true},     {6, 6, 0, INT64_MAX, true},      {0, 3, 0, INT64_MAX, false},
        {7, 99, 0, INT64_MAX, false},   {0, 99, 6000, 7000, true},       {0, 99, 6001, 7000, false},
        {0, 99, INT64_MIN, 4000, true}, {0, 99, INT64_MIN, 3999, false},
    };
    for (size_t at = 0; at < COUNT_OF(cases); at++)
        assert_int_equal(
            segment_slot_may_hold(list->slots[1], cases[at].low, cases[at].high, cases[at].from, cases[at].to),
            cases[at].wanted);
    segment_list_release(list);
}

static void a_segment_given_closed_is_opened_when_it_is_asked_for(void **state) {
    struct log *log = *state;
    fill(log, 2, 2);
    struct directory other;
    struct segment_index *index = NULL;
    struct fbat_event event;
    assert_true(directory_init(&other));
    directory_set_files(&other, log->os, LOG_DIR, &log->store_id, 1);
    for (uint32_t at = 0; at < 2; at++)
        assert_int_equal(directory_append_closed(&other, at + 1, 0, &slot_at(log, at)->summary, NULL), FBAT_OK);
    struct segment_list *list = directory_acquire(&other);
    assert_null(list->slots[0]->index);
    assert_int_equal(segment_list_pin(list, 1, &index, NULL), FBAT_OK);
    assert_int_equal(segment_index_view(index, 0, &event, NULL), FBAT_OK);
    assert_int_equal(event.sequence, 4);
    segment_index_release(index);
    segment_list_release(list);
    directory_deinit(&other);
}

/* ---- what opening refuses ---- */

static void a_call_that_fails_is_an_error_of_that_opening_alone(void **state) {
    struct log *log = *state;
    static const unsigned calls[] = {OS_SIM_OPENS, OS_SIM_READS, OS_SIM_MAPS};
    fill(log, 1, 2);
    for (size_t at = 0; at < COUNT_OF(calls); at++) {
        struct segment_index *index = NULL;
        struct fbat_error error;
        use(log, 1);
        os_sim_fail_nth(log->sim, calls[at], 1, EMFILE);
        assert_int_equal(segment_slot_pin(slot_at(log, 0), &index, &error), FBAT_ERR_IO);
        assert_int_equal(error.segment_id, 1);
        assert_null(slot_at(log, 0)->index);
        use(log, 0);
        assert_string_equal(open_ones(log), "0");
    }
}

static void a_file_that_is_gone_or_another_segments_is_refused_by_name(void **state) {
    struct log *log = *state;
    struct segment_index *index = NULL;
    struct fbat_error error;
    fill(log, 1, 3);
    const uint8_t *at = NULL;
    uint64_t size = 0, other_size = 0;
    assert_true(os_sim_file_bytes(log->sim, LOG_DIR "/000001.fbat", &at, &size));
    uint8_t *bytes = exact_copy(at, (size_t)size);
    assert_true(os_sim_file_bytes(log->sim, LOG_DIR "/000002.fbat", &at, &other_size));
    uint8_t *other = exact_copy(at, (size_t)other_size);
    assert_int_equal(log->os->methods->path_remove(log->os, LOG_DIR "/000001.fbat"), 0);
    assert_int_equal(segment_slot_pin(slot_at(log, 0), &index, &error), FBAT_ERR_IO);
    assert_int_equal(error.segment_id, 1);
    assert_true(os_sim_set_file_bytes(log->sim, LOG_DIR "/000001.fbat", other, other_size));
    assert_int_equal(segment_slot_pin(slot_at(log, 0), &index, &error), FBAT_ERR_DAMAGED);
    assert_int_equal(error.segment_id, 1);
    assert_true(os_sim_set_file_bytes(log->sim, LOG_DIR "/000001.fbat", bytes, size));
    use(log, 0);
    use(log, 1);
    free(bytes);
    free(other);
}

static void a_segment_whose_footer_went_bad_is_read_by_its_frames(void **state) {
    struct log *log = *state;
    fill(log, 1, 3);
    struct segment_index *whole = pin(log, 0);
    struct footer_row rows[EVENTS_EACH];
    for (uint32_t at = 0; at < EVENTS_EACH; at++)
        rows[at] = *segment_index_row(whole, at);
    uint64_t footer = whole->summary.frames_end + 70;
    segment_index_release(whole);
    use(log, 1);
    assert_true(os_sim_flip(log->sim, LOG_DIR "/000001.fbat", footer, 4));
    struct segment_index *made = pin(log, 0);
    assert_false(made->sealed);
    for (uint32_t at = 0; at < EVENTS_EACH; at++)
        assert_memory_equal(segment_index_row(made, at), &rows[at], sizeof rows[at]);
    segment_index_release(made);
    /* With a frame broken too, nothing is left that could be said of it. */
    use(log, 1);
    assert_true(os_sim_flip(log->sim, LOG_DIR "/000001.fbat", SEGMENT_HEADER_BYTES + 40, 4));
    struct fbat_error error;
    assert_int_equal(segment_slot_pin(slot_at(log, 0), &made, &error), FBAT_ERR_DAMAGED);
    assert_int_equal(error.segment_id, 1);
}

/* ---- threads ---- */

struct pinning {
    struct log *log;
    uint64_t seed;
    atomic_uint *wrong;
};

static void *pin_at_random(void *user) {
    struct pinning *pinning = user;
    struct test_random random = test_random_init(pinning->seed);
    struct segment_list *list = directory_acquire(&pinning->log->directory);
    struct segment_index *held = NULL;
    for (uint64_t round = test_scaled(2000); round > 0; round--) {
        uint32_t at = (uint32_t)test_random_below(&random, 12);
        struct segment_index *index = NULL;
        if (segment_list_pin(list, at, &index, NULL) != FBAT_OK ||
            segment_index_row(index, 1)->sequence != EVENTS_EACH * at + 2)
            atomic_fetch_add(pinning->wrong, 1);
        if (test_random_one_in(&random, 4)) { /* one stays for a while */
            segment_index_release(held);
            held = index;
        } else {
            segment_index_release(index);
        }
    }
    segment_index_release(held);
    segment_list_release(list);
    return NULL;
}

static void threads_that_pin_what_others_close_read_the_right_segment(void **state) {
    (void)state;
    struct log log;
    log_init_on(&log, &(struct os_sim_options){.seed = 7, .no_write_back = true});
    fill(&log, 3, 12);
    atomic_uint wrong = 0;
    struct pinning pinnings[4];
    pthread_t threads[COUNT_OF(pinnings)];
    uint64_t seed = test_seed(17);
    print_message("  seed %llu\n", (unsigned long long)seed);
    for (size_t at = 0; at < COUNT_OF(pinnings); at++) {
        pinnings[at] = (struct pinning){.log = &log, .seed = seed + at, .wrong = &wrong};
        assert_int_equal(pthread_create(&threads[at], NULL, pin_at_random, &pinnings[at]), 0);
    }
    for (size_t at = 0; at < COUNT_OF(pinnings); at++)
        assert_int_equal(pthread_join(threads[at], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(atomic_load(&log.directory.cache->open_count) <= 3);
    log_deinit(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(the_one_used_longest_ago_goes_first),
        LOG_TEST(one_that_is_pinned_stays_and_too_many_go_when_their_pins_do),
        LOG_TEST(what_is_pinned_outlives_its_list_and_is_read_as_before),
        LOG_TEST(without_files_everything_stays_open),
        LOG_TEST(what_a_closed_slot_knows_needs_no_opening),
        LOG_TEST(a_segment_given_closed_is_opened_when_it_is_asked_for),
        LOG_TEST(a_call_that_fails_is_an_error_of_that_opening_alone),
        LOG_TEST(a_file_that_is_gone_or_another_segments_is_refused_by_name),
        LOG_TEST(a_segment_whose_footer_went_bad_is_read_by_its_frames),
        cmocka_unit_test(threads_that_pin_what_others_close_read_the_right_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
