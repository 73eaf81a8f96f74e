/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking and searching frames, through the mapping (as the writer) and through a window (as a reader). Each test runs
 * in both ways.
 */
#include "fixture.h"

#include "log/scan.h"

#define SEGMENT_FILE LOG_DIR "/000001.fbat"

struct world {
    struct log log;
    enum segment_access access;
    struct segment *segment; /* opened by rescan */
    struct scan scan;
};

static int enter_access(void **state, enum segment_access access) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->access = access;
    log_init(&world->log);
    *state = world;
    return 0;
}

static int enter_mapped(void **state) {
    return enter_access(state, SEGMENT_WRITE);
}

static int enter_window(void **state) {
    return enter_access(state, SEGMENT_READ);
}

static void end_scan(struct world *world) {
    if (world->segment) {
        scan_deinit(&world->scan);
        segment_close(world->segment);
    }
    world->segment = NULL;
}

static int leave_world(void **state) {
    struct world *world = *state;
    end_scan(world);
    log_deinit(&world->log);
    free(world);
    return 0;
}

/* Opens the first segment's file anew and starts a scan at offset. */
static struct scan *rescan(struct world *world, uint64_t offset) {
    end_scan(world);
    assert_int_equal(
        segment_open(world->log.os, LOG_DIR, 1, &world->log.store_id, world->access, &world->segment, NULL), FBAT_OK);
    scan_init(&world->scan, world->segment, offset);
    return &world->scan;
}

static enum frame_state look(struct scan *scan, struct frame *out_frame) {
    enum frame_state state;
    const uint8_t *bytes;
    memset(out_frame, 0, sizeof *out_frame);
    assert_int_equal(scan_look(scan, &state, out_frame, &bytes, NULL), FBAT_OK);
    if (state == FRAME_VALID)
        assert_int_equal(load_u32(bytes + FRAME_BYTES_AT), out_frame->frame_bytes);
    return state;
}

static bool search(struct scan *scan, uint64_t above, uint64_t *out_offset, struct frame *out_frame) {
    bool found;
    *out_offset = 0;
    assert_int_equal(scan_search(scan, above, &found, out_offset, out_frame, NULL), FBAT_OK);
    return found;
}

static bool find_bytes(struct scan *scan) {
    bool found;
    assert_int_equal(scan_find_bytes(scan, &found, NULL), FBAT_OK);
    return found;
}

/* Three frames of one, two and one events; offsets of the frames and of their end. */
static void fill(struct world *world, uint64_t offsets[4]) {
    static const struct log_event one[] = {{.payload = "first"}}, two[] = {{.payload = "a"}, {.entity = "order-2"}};
    struct log *log = &world->log;
    offsets[0] = log->active->segment->end;
    log_append(log, one, 1);
    offsets[1] = log->active->segment->end;
    log_append(log, two, 2);
    offsets[2] = log->active->segment->end;
    log_append(log, one, 1);
    offsets[3] = log->active->segment->end;
}

static void cut_file(struct world *world, uint64_t size) {
    const uint8_t *bytes;
    uint64_t old_size;
    assert_true(os_sim_file_bytes(world->log.sim, SEGMENT_FILE, &bytes, &old_size));
    assert_true(size <= old_size);
    uint8_t *copy = exact_copy(bytes, size);
    assert_true(os_sim_set_file_bytes(world->log.sim, SEGMENT_FILE, copy, size));
    free(copy);
}

static void flip(struct world *world, uint64_t offset) {
    assert_true(os_sim_flip(world->log.sim, SEGMENT_FILE, offset, 0x10));
}

/* ---- looking ---- */

static void frames_are_walked_one_after_the_other_to_the_end(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    fill(world, offsets);
    static const uint64_t first_sequences[] = {1, 2, 4};
    struct scan *scan = rescan(world, SEGMENT_HEADER_BYTES);
    struct frame frame;
    for (size_t at = 0; at < 3; at++) {
        assert_int_equal(scan->offset, offsets[at]);
        assert_int_equal(look(scan, &frame), FRAME_VALID);
        assert_int_equal(frame.first_sequence, first_sequences[at]);
        scan->offset += frame.frame_bytes;
    }
    assert_int_equal(scan->offset, offsets[3]);
    assert_int_equal(look(scan, &frame), FRAME_END);
}

static void looking_does_not_move(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    fill(world, offsets);
    struct scan *scan = rescan(world, offsets[1]);
    struct frame first, second;
    assert_int_equal(look(scan, &first), FRAME_VALID);
    assert_int_equal(look(scan, &second), FRAME_VALID);
    assert_int_equal(scan->offset, offsets[1]);
    assert_memory_equal(&first, &second, sizeof first);
}

static void a_file_cut_to_its_last_frame_ends_there(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    struct frame frame;
    fill(world, offsets);
    cut_file(world, offsets[3]);
    assert_int_equal(look(rescan(world, offsets[2]), &frame), FRAME_VALID);
    assert_int_equal(look(rescan(world, offsets[3]), &frame), FRAME_END);
}

static void a_frame_cut_anywhere_is_broken(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    struct frame frame;
    fill(world, offsets);
    for (uint64_t size = offsets[3] - 1; size > offsets[2] + 8; size -= 7) {
        cut_file(world, size);
        assert_int_equal(look(rescan(world, offsets[2]), &frame), FRAME_BROKEN);
        assert_int_equal(look(rescan(world, offsets[1]), &frame), FRAME_VALID);
    }
}

static void a_flipped_bit_breaks_its_frame_only(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    struct frame frame;
    fill(world, offsets);
    flip(world, offsets[1] + 50);
    assert_int_equal(look(rescan(world, offsets[0]), &frame), FRAME_VALID);
    assert_int_equal(look(rescan(world, offsets[1]), &frame), FRAME_BROKEN);
    assert_int_equal(look(rescan(world, offsets[2]), &frame), FRAME_VALID);
}

static void behind_the_files_end_there_is_the_end(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    struct frame frame;
    fill(world, offsets);
    struct scan *scan = rescan(world, SEGMENT_HEADER_BYTES);
    scan->offset = world->segment->file_bytes;
    assert_int_equal(look(scan, &frame), FRAME_END);
    scan->offset = world->segment->file_bytes + 4096;
    assert_int_equal(look(scan, &frame), FRAME_END);
}

/* ---- what stands behind ---- */

static void zeros_up_to_the_files_end_are_nothing(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    fill(world, offsets);
    struct scan *scan = rescan(world, offsets[3]);
    assert_true(world->segment->file_bytes > offsets[3]); /* reserved */
    assert_false(find_bytes(scan));
    cut_file(world, offsets[3]);
    assert_false(find_bytes(rescan(world, offsets[3])));
}

static void one_byte_anywhere_behind_is_found(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    fill(world, offsets);
    rescan(world, offsets[3]);
    uint64_t end = world->segment->file_bytes;
    uint64_t places[] = {offsets[3], offsets[3] + 7, offsets[3] + 8, offsets[3] + 4095, end - 9, end - 1};
    for (size_t at = 0; at < COUNT_OF(places); at++) {
        flip(world, places[at]);
        struct scan *scan = rescan(world, offsets[3]);
        assert_true(find_bytes(scan));
        assert_int_equal(scan->offset, places[at] & ~UINT64_C(7));
        flip(world, places[at]);
    }
}

static void bytes_in_a_tail_shorter_than_a_word_are_found(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    fill(world, offsets);
    cut_file(world, offsets[3] + 3);
    assert_false(find_bytes(rescan(world, offsets[3])));
    flip(world, offsets[3] + 2);
    assert_true(find_bytes(rescan(world, offsets[3])));
}

/* ---- searching ---- */

static void a_search_finds_the_next_intact_frame_behind_damage(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], found;
    struct frame frame;
    fill(world, offsets);
    flip(world, offsets[1] + FRAME_BYTES_AT + 1); /* its length leads nowhere */
    assert_true(search(rescan(world, offsets[1]), 1, &found, &frame));
    assert_int_equal(found, offsets[2]);
    assert_int_equal(frame.first_sequence, 4);
}

static void a_search_starts_behind_where_it_stands(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], found;
    struct frame frame;
    fill(world, offsets);
    assert_true(search(rescan(world, offsets[0]), 0, &found, &frame));
    assert_int_equal(found, offsets[1]);
}

static void a_search_passes_over_frames_that_are_not_above(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], found;
    struct frame frame;
    fill(world, offsets);
    assert_true(search(rescan(world, offsets[0]), 2, &found, &frame));
    assert_int_equal(found, offsets[2]);
    assert_false(search(rescan(world, offsets[0]), 4, &found, &frame));
}

/* Staged frames and commits are evidence like any frame. */
static void a_search_finds_frames_of_every_type(void **state) {
    struct world *world = *state;
    struct log *log = &world->log;
    const struct log_event event = {.payload = "p"};
    uint64_t offsets[4], found, staged, commit;
    struct frame frame;
    fill(world, offsets);
    staged = log_write(log, FRAME_STAGED, &event, 1);
    commit = log_commit(log, 5, staged);
    assert_true(search(rescan(world, offsets[2]), 4, &found, &frame));
    assert_int_equal(found, staged);
    assert_int_equal(frame.type, FRAME_STAGED);
    assert_true(search(rescan(world, staged), 4, &found, &frame));
    assert_int_equal(found, commit);
    assert_int_equal(frame.type, FRAME_COMMIT);
    assert_int_equal(frame.last_sequence, 5);
    assert_int_equal(frame.staged_bytes, commit - staged);
    assert_false(search(rescan(world, commit), 0, &found, &frame));
}

static void a_search_goes_through_zeros(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], found;
    struct frame frame;
    fill(world, offsets);
    const uint8_t *bytes;
    uint64_t size;
    assert_true(os_sim_file_bytes(world->log.sim, SEGMENT_FILE, &bytes, &size));
    uint8_t *changed = exact_copy(bytes, size);
    memset(changed + offsets[0], 0, (size_t)(offsets[2] - offsets[0]));
    assert_true(os_sim_set_file_bytes(world->log.sim, SEGMENT_FILE, changed, size));
    free(changed);
    assert_true(search(rescan(world, offsets[0]), 0, &found, &frame));
    assert_int_equal(found, offsets[2]);
}

static void a_search_without_an_intact_frame_ends(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], found;
    struct frame frame;
    fill(world, offsets);
    assert_false(search(rescan(world, offsets[3]), 0, &found, &frame));
    flip(world, offsets[3] + 100);
    assert_false(search(rescan(world, offsets[3]), 0, &found, &frame));
    cut_file(world, offsets[3] + 12);
    assert_false(search(rescan(world, offsets[3]), 0, &found, &frame));
}

static void a_frame_of_another_segment_does_not_pass(void **state) {
    struct world *world = *state;
    uint64_t offsets[4], size, found;
    struct frame frame;
    const uint8_t *bytes;
    fill(world, offsets);
    log_rotate(&world->log);
    log_append(&world->log, &(struct log_event){.payload = "of segment 2"}, 1);
    assert_true(os_sim_file_bytes(world->log.sim, LOG_DIR "/000002.fbat", &bytes, &size));
    uint64_t frame_bytes = load_u32(bytes + SEGMENT_HEADER_BYTES + FRAME_BYTES_AT);
    uint8_t *stolen = exact_copy(bytes + SEGMENT_HEADER_BYTES, frame_bytes);
    assert_true(os_sim_file_bytes(world->log.sim, SEGMENT_FILE, &bytes, &size));
    uint8_t *changed = malloc((size_t)(offsets[3] + frame_bytes));
    assert_non_null(changed);
    memcpy(changed, bytes, (size_t)offsets[3]);
    memcpy(changed + offsets[3], stolen, (size_t)frame_bytes);
    assert_true(os_sim_set_file_bytes(world->log.sim, SEGMENT_FILE, changed, offsets[3] + frame_bytes));
    assert_int_equal(look(rescan(world, offsets[3]), &frame), FRAME_BROKEN);
    assert_false(search(rescan(world, offsets[2]), 0, &found, &frame));
    free(changed);
    free(stolen);
}

/* ---- the window ---- */

static void frames_larger_than_the_windows_step_are_read_whole(void **state) {
    (void)state;
    enum { PAYLOAD = 3 << 20 };
    struct os_sim *sim = os_sim_create(&(struct os_sim_options){.seed = 5});
    struct os *os = os_sim_process(sim, 100);
    struct segment_header header = {
        .store_id = id_of_byte(0x42), .segment_id = 1, .first_sequence = 1, .capacity = 64 << 20};
    assert_int_equal(os->methods->dir_create(os, LOG_DIR), 0);
    uint8_t *file = calloc(1, 2 * (PAYLOAD + 4096) + SEGMENT_HEADER_BYTES), *payload = calloc(1, PAYLOAD);
    assert_true(file && payload);
    segment_header_encode(&header, file);
    size_t size, end = SEGMENT_HEADER_BYTES;
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        struct record_input input = full_input();
        input.sequence = input.first_sequence = sequence;
        input.payload = fbat_bytes(payload, PAYLOAD);
        uint8_t *frame = make_frame(&input, 1, 0, segment_header_salt(&header), &size);
        memcpy(file + end, frame, size);
        end += size;
        free(frame);
    }
    assert_true(os_sim_set_file_bytes(sim, SEGMENT_FILE, file, end));
    struct segment *segment;
    struct frame frame;
    assert_int_equal(segment_open(os, LOG_DIR, 1, &header.store_id, SEGMENT_READ, &segment, NULL), FBAT_OK);
    struct scan scan;
    scan_init(&scan, segment, SEGMENT_HEADER_BYTES);
    for (uint64_t sequence = 1; sequence <= 2; sequence++) {
        assert_int_equal(look(&scan, &frame), FRAME_VALID);
        assert_int_equal(frame.first_sequence, sequence);
        scan.offset += frame.frame_bytes;
    }
    assert_int_equal(look(&scan, &frame), FRAME_END);
    scan_deinit(&scan);
    segment_close(segment);
    free(payload);
    free(file);
    os_sim_destroy(sim);
}

static void a_file_cut_while_it_is_read_ends_the_scan_in_order(void **state) {
    struct world *world = *state;
    uint64_t offsets[4];
    struct frame frame;
    fill(world, offsets);
    struct scan *scan = rescan(world, offsets[0]);
    cut_file(world, offsets[1]); /* the scan still believes the old size */
    while (look(scan, &frame) == FRAME_VALID)
        scan->offset += frame.frame_bytes;
    assert_int_equal(scan->offset, offsets[1]);
    assert_int_equal(world->segment->file_bytes, offsets[1]);
}

#define BOTH(test)                                                                                                     \
    cmocka_unit_test_setup_teardown(test, enter_mapped, leave_world),                                                  \
        cmocka_unit_test_setup_teardown(test, enter_window, leave_world)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(frames_are_walked_one_after_the_other_to_the_end),
        BOTH(looking_does_not_move),
        BOTH(a_file_cut_to_its_last_frame_ends_there),
        BOTH(a_frame_cut_anywhere_is_broken),
        BOTH(a_flipped_bit_breaks_its_frame_only),
        BOTH(behind_the_files_end_there_is_the_end),
        BOTH(zeros_up_to_the_files_end_are_nothing),
        BOTH(one_byte_anywhere_behind_is_found),
        BOTH(bytes_in_a_tail_shorter_than_a_word_are_found),
        BOTH(a_search_finds_the_next_intact_frame_behind_damage),
        BOTH(a_search_starts_behind_where_it_stands),
        BOTH(a_search_passes_over_frames_that_are_not_above),
        BOTH(a_search_finds_frames_of_every_type),
        BOTH(a_search_goes_through_zeros),
        BOTH(a_search_without_an_intact_frame_ends),
        BOTH(a_frame_of_another_segment_does_not_pass),
        cmocka_unit_test(frames_larger_than_the_windows_step_are_read_whole),
        cmocka_unit_test_setup_teardown(a_file_cut_while_it_is_read_ends_the_scan_in_order, enter_window, leave_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
