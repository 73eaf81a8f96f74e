/* SPDX-License-Identifier: Apache-2.0 */
/* A segment file's life on the simulated disk: names, creation, frames in mapping and buffer, cutting, reopening. */
#include "fixture.h"

#include <errno.h>

#include "log/segment.h"

enum { PAGE = 4096, FRAME = 96 };

struct world {
    struct os_sim *sim;
    struct os *os;
    struct segment_header header;
};

static int enter_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->sim = os_sim_create(&(struct os_sim_options){.seed = 3});
    world->os = os_sim_process(world->sim, 100);
    world->header = (struct segment_header){
        .store_id = id_of_byte(0x42), .segment_id = 1, .first_sequence = 1, .capacity = 256 * 1024};
    *state = world;
    return world->os->methods->dir_create(world->os, LOG_DIR);
}

static int leave_world(void **state) {
    struct world *world = *state;
    os_sim_destroy(world->sim);
    free(world);
    return 0;
}

static struct segment *create(struct world *world) {
    struct segment *segment = NULL;
    assert_int_equal(segment_create(world->os, LOG_DIR, &world->header, &segment, NULL), FBAT_OK);
    return segment;
}

static struct segment *open_as(struct world *world, enum segment_access access) {
    struct segment *segment = NULL;
    assert_int_equal(segment_open(world->os, LOG_DIR, 1, &world->header.store_id, access, &segment, NULL), FBAT_OK);
    return segment;
}

static void put_frame(struct segment *segment, uint8_t byte, bool sync_follows) {
    uint8_t *at;
    assert_int_equal(segment_begin_frame(segment, FRAME, sync_follows, &at, NULL), FBAT_OK);
    memset(at, byte, FRAME);
    assert_int_equal(segment_end_frame(segment, FRAME, NULL), FBAT_OK);
    segment_advance(segment, FRAME);
}

static const uint8_t *file_bytes(struct world *world, uint64_t *out_size) {
    const uint8_t *bytes = NULL;
    assert_true(os_sim_file_bytes(world->sim, LOG_DIR "/000001.fbat", &bytes, out_size));
    return bytes;
}

/* ---- names ---- */

static void a_file_is_named_after_its_segment_in_at_least_six_digits(void **state) {
    (void)state;
    char path[4096];
    segment_path("a/dir", 17, path);
    assert_string_equal(path, "a/dir/000017.fbat");
    segment_path("a/dir", 12345678, path);
    assert_string_equal(path, "a/dir/12345678.fbat");
}

static void only_the_canonical_name_is_a_segments(void **state) {
    (void)state;
    assert_int_equal(segment_id_of_name("000001.fbat"), 1);
    assert_int_equal(segment_id_of_name("999999.fbat"), 999999);
    assert_int_equal(segment_id_of_name("1000000.fbat"), 1000000);
    assert_true(segment_id_of_name("999999999999.fbat") == UINT64_C(999999999999));
    static const char *const others[] = {"",
                                         "LOCK",
                                         "store.meta",
                                         "000000.fbat",
                                         "00001.fbat",
                                         "0000001.fbat",
                                         "000001.fbat~",
                                         "000001.FBAT",
                                         "000001",
                                         "-00001.fbat",
                                         "000001.fbat.new",
                                         "1000000000000.fbat",
                                         "18446744073709551617.fbat",
                                         "index.fbati"};
    for (size_t at = 0; at < COUNT_OF(others); at++)
        assert_int_equal(segment_id_of_name(others[at]), 0);
}

/* ---- creation ---- */

static void a_new_segment_has_a_durable_header_and_nothing_behind_it(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    const uint8_t *bytes;
    uint64_t size;
    struct segment_header got;
    assert_true(os_sim_disk_bytes(world->sim, LOG_DIR "/000001.fbat", &bytes, &size));
    assert_true(size >= SEGMENT_HEADER_BYTES);
    assert_int_equal(segment_header_decode(bytes, &got), SEGMENT_HEADER_VALID);
    assert_memory_equal(&got, &world->header, sizeof got);
    assert_true(bytes_are_zero(bytes + SEGMENT_HEADER_BYTES, (size_t)size - SEGMENT_HEADER_BYTES));
    assert_int_equal(segment->end, SEGMENT_HEADER_BYTES);
    segment_close(segment);
}

static void a_creation_that_fails_anywhere_leaves_no_file(void **state) {
    struct world *world = *state;
    uint64_t nth = 1;
    for (;; nth++) {
        struct segment *segment = NULL;
        struct fbat_error error;
        const uint8_t *bytes;
        uint64_t size;
        os_sim_fail_nth(world->sim, OS_SIM_FALLIBLE & ~OS_SIM_NAMES, nth, EIO);
        int status = segment_create(world->os, LOG_DIR, &world->header, &segment, &error);
        if (!os_sim_fault_fired(world->sim)) {
            os_sim_fail_nth(world->sim, OS_SIM_ANY, 0, 0);
            assert_int_equal(status, FBAT_OK);
            segment_close(segment);
            break;
        }
        if (status < 0) {
            assert_int_equal(status, FBAT_ERR_IO);
            assert_null(segment);
            assert_false(os_sim_file_bytes(world->sim, LOG_DIR "/000001.fbat", &bytes, &size));
        } else {
            segment_close(segment); /* the call was a hint, or had a way round */
        }
    }
    assert_true(nth > 4);
}

/* ---- frames ---- */

static void frames_stand_back_to_back_however_they_are_written(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    put_frame(segment, 1, false);
    put_frame(segment, 2, true);
    put_frame(segment, 3, false);
    uint64_t size;
    const uint8_t *bytes = file_bytes(world, &size);
    for (size_t frame = 0; frame < 3; frame++)
        for (size_t at = 0; at < FRAME; at++)
            assert_int_equal(bytes[SEGMENT_HEADER_BYTES + frame * FRAME + at], frame + 1);
    assert_int_equal(segment->end, SEGMENT_HEADER_BYTES + 3 * FRAME);
    assert_true(bytes_are_zero(bytes + segment->end, (size_t)(size - segment->end)));
    segment_close(segment);
}

static void a_frame_that_was_not_advanced_over_is_overwritten(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    uint8_t *at;
    assert_int_equal(segment_begin_frame(segment, FRAME, false, &at, NULL), FBAT_OK);
    memset(at, 9, FRAME);
    put_frame(segment, 1, false);
    uint64_t size;
    assert_int_equal(file_bytes(world, &size)[SEGMENT_HEADER_BYTES], 1);
    segment_close(segment);
}

static void a_scrubbed_frame_reads_as_the_end(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    uint8_t *at;
    assert_int_equal(segment_begin_frame(segment, FRAME, false, &at, NULL), FBAT_OK);
    memset(at, 9, FRAME);
    segment_scrub_frame(segment);
    uint64_t size;
    assert_true(bytes_are_zero(file_bytes(world, &size) + SEGMENT_HEADER_BYTES, 8));
    segment_close(segment);
}

static void where_blocks_cannot_be_reserved_frames_go_through_the_buffer(void **state) {
    (void)state;
    struct os_sim *sim = os_sim_create(&(struct os_sim_options){.seed = 3, .no_allocate = true});
    struct world world = {.sim = sim, .os = os_sim_process(sim, 100)};
    world.header = (struct segment_header){
        .store_id = id_of_byte(0x42), .segment_id = 1, .first_sequence = 1, .capacity = 256 * 1024};
    assert_int_equal(world.os->methods->dir_create(world.os, LOG_DIR), 0);
    struct segment *segment = create(&world);
    uint8_t *at;
    assert_int_equal(segment_begin_frame(segment, FRAME, false, &at, NULL), FBAT_OK);
    assert_true(at < segment->map || at >= segment->map + segment->map_bytes);
    memset(at, 5, FRAME);
    assert_int_equal(segment_end_frame(segment, FRAME, NULL), FBAT_OK);
    uint64_t size;
    assert_int_equal(file_bytes(&world, &size)[SEGMENT_HEADER_BYTES + FRAME - 1], 5);
    segment_close(segment);
    os_sim_destroy(sim);
}

static void a_full_disk_fails_the_frame_and_nothing_else(void **state) {
    struct world *world = *state;
    world->header.capacity = 16 << 20;
    struct segment *segment = create(world);
    struct fbat_error error;
    uint8_t *at;
    os_sim_set_capacity(world->sim, os_sim_used_bytes(world->sim));
    uint64_t end = segment->end;
    assert_int_equal(segment_begin_frame(segment, 8 << 20, false, &at, &error), FBAT_ERR_NO_SPACE);
    assert_int_equal(error.os_errno, ENOSPC);
    assert_int_equal(segment->end, end);
    os_sim_set_capacity(world->sim, 0);
    put_frame(segment, 1, false);
    segment_close(segment);
}

/* ---- syncing and cutting ---- */

static void cutting_leaves_the_file_at_its_last_frame_durably(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    const uint8_t *bytes;
    uint64_t size;
    put_frame(segment, 1, false);
    assert_int_equal(segment_trim(segment, NULL), FBAT_OK);
    assert_true(os_sim_disk_bytes(world->sim, LOG_DIR "/000001.fbat", &bytes, &size));
    assert_int_equal(size, SEGMENT_HEADER_BYTES + FRAME);
    assert_int_equal(bytes[SEGMENT_HEADER_BYTES], 1);
    segment_close(segment);
}

static void a_failed_sync_is_never_repeated(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    struct fbat_error error;
    put_frame(segment, 1, false);
    os_sim_fail_nth(world->sim, OS_SIM_SYNCS, 1, EIO);
    assert_int_equal(segment_sync(segment, OS_SYNC_ALL, &error), FBAT_ERR_IO);
    uint64_t calls = os_sim_calls(world->sim, OS_SIM_SYNCS);
    assert_int_equal(segment_sync(segment, OS_SYNC_ALL, &error), FBAT_ERR_IO);
    assert_int_equal(os_sim_calls(world->sim, OS_SIM_SYNCS), calls);
    assert_int_equal(error.segment_id, 1);
    segment_close(segment);
}

/* ---- opening ---- */

static void what_was_written_is_mapped_when_opened(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    put_frame(segment, 7, false);
    segment_close(segment);
    for (int access = SEGMENT_READ; access <= SEGMENT_WRITE; access++) {
        segment = open_as(world, (enum segment_access)access);
        assert_int_equal(segment->header_state, SEGMENT_HEADER_VALID);
        assert_memory_equal(&segment->header, &world->header, sizeof world->header);
        assert_int_equal(segment->salt, segment_header_salt(&world->header));
        assert_int_equal(segment->map[SEGMENT_HEADER_BYTES], 7);
        segment_close(segment);
    }
}

static void a_header_of_another_store_or_segment_is_not_valid(void **state) {
    struct world *world = *state;
    segment_close(create(world));
    struct segment *segment;
    struct fbat_id other = id_of_byte(0x43);
    assert_int_equal(segment_open(world->os, LOG_DIR, 1, &other, SEGMENT_READ, &segment, NULL), FBAT_OK);
    assert_int_equal(segment->header_state, SEGMENT_HEADER_BROKEN);
    segment_close(segment);
    uint64_t size;
    const uint8_t *bytes = file_bytes(world, &size);
    assert_true(os_sim_set_file_bytes(world->sim, LOG_DIR "/000002.fbat", bytes, size));
    assert_int_equal(segment_open(world->os, LOG_DIR, 2, &world->header.store_id, SEGMENT_READ, &segment, NULL),
                     FBAT_OK);
    assert_int_equal(segment->header_state, SEGMENT_HEADER_BROKEN);
    assert_int_equal(segment->header.segment_id, 2);
    segment_close(segment);
}

static void a_file_too_short_for_a_header_opens_without_a_valid_one(void **state) {
    struct world *world = *state;
    static const uint64_t sizes[] = {0, 1, 100, SEGMENT_HEADER_BYTES - 1};
    static const uint8_t bytes[SEGMENT_HEADER_BYTES] = {0x89, 'F', 'B', 'A', 'T'};
    for (size_t at = 0; at < COUNT_OF(sizes); at++) {
        assert_true(os_sim_set_file_bytes(world->sim, LOG_DIR "/000001.fbat", bytes, sizes[at]));
        struct segment *segment = open_as(world, SEGMENT_READ);
        assert_int_equal(segment->header_state, SEGMENT_HEADER_BROKEN);
        segment_close(segment);
    }
}

static void a_missing_file_is_an_error_that_names_it(void **state) {
    struct world *world = *state;
    struct segment *segment = NULL;
    struct fbat_error error;
    assert_int_equal(segment_open(world->os, LOG_DIR, 3, &world->header.store_id, SEGMENT_READ, &segment, &error),
                     FBAT_ERR_IO);
    assert_null(segment);
    assert_non_null(strstr(error.message, "000003.fbat"));
}

static void a_resumed_segment_goes_on_where_it_ended(void **state) {
    struct world *world = *state;
    struct segment *segment = create(world);
    put_frame(segment, 1, false);
    uint8_t *at;
    assert_int_equal(segment_begin_frame(segment, FRAME, false, &at, NULL), FBAT_OK);
    memset(at, 9, 40); /* a torn tail */
    segment_close(segment);
    segment = open_as(world, SEGMENT_WRITE);
    segment->end = SEGMENT_HEADER_BYTES + FRAME;
    assert_int_equal(segment_resume(segment, true, SEGMENT_HEADER_BYTES, NULL), FBAT_OK);
    put_frame(segment, 2, false);
    uint64_t size;
    const uint8_t *bytes = file_bytes(world, &size);
    assert_int_equal(bytes[SEGMENT_HEADER_BYTES], 1);
    assert_int_equal(bytes[SEGMENT_HEADER_BYTES + FRAME], 2);
    assert_true(bytes_are_zero(bytes + segment->end, (size_t)(size - segment->end)));
    segment_close(segment);
}

static void closing_nothing_does_nothing(void **state) {
    (void)state;
    segment_close(NULL);
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, enter_world, leave_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_named_after_its_segment_in_at_least_six_digits),
        cmocka_unit_test(only_the_canonical_name_is_a_segments),
        WORLD_TEST(a_new_segment_has_a_durable_header_and_nothing_behind_it),
        WORLD_TEST(a_creation_that_fails_anywhere_leaves_no_file),
        WORLD_TEST(frames_stand_back_to_back_however_they_are_written),
        WORLD_TEST(a_frame_that_was_not_advanced_over_is_overwritten),
        WORLD_TEST(a_scrubbed_frame_reads_as_the_end),
        cmocka_unit_test(where_blocks_cannot_be_reserved_frames_go_through_the_buffer),
        WORLD_TEST(a_full_disk_fails_the_frame_and_nothing_else),
        WORLD_TEST(cutting_leaves_the_file_at_its_last_frame_durably),
        WORLD_TEST(a_failed_sync_is_never_repeated),
        WORLD_TEST(what_was_written_is_mapped_when_opened),
        WORLD_TEST(a_header_of_another_store_or_segment_is_not_valid),
        WORLD_TEST(a_file_too_short_for_a_header_opens_without_a_valid_one),
        WORLD_TEST(a_missing_file_is_an_error_that_names_it),
        WORLD_TEST(a_resumed_segment_goes_on_where_it_ended),
        cmocka_unit_test(closing_nothing_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
