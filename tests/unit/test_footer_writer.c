/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing: the file ends with its footer, part by part; whatever fails on the way, no frame is touched. */
#include "fixture.h"

#include <errno.h>

#include "log/footer_writer.h"

#define SEGMENT_FILE LOG_DIR "/000001.fbat"

static void fill(struct log *log) {
    static const struct log_event events[] = {{.entity = "order-1"}, {.entity = "order-2"}, {.entity = "order-1"}};
    log_append(log, events, 1);
    log_append(log, events + 1, 2);
}

static uint8_t *take_file(struct log *log, uint64_t *out_size) {
    const uint8_t *bytes;
    assert_true(os_sim_file_bytes(log->sim, SEGMENT_FILE, &bytes, out_size));
    return exact_copy(bytes, *out_size);
}

static void the_file_ends_with_its_trailer_and_keeps_its_frames(void **state) {
    struct log *log = *state;
    uint64_t before_size, size, end;
    struct footer footer;
    fill(log);
    end = log->active->segment->end;
    uint8_t *before = take_file(log, &before_size);
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    uint8_t *file = take_file(log, &size);
    assert_null(footer_decode(file, size, &footer));
    assert_memory_equal(file, before, end);
    assert_int_equal(footer.summary.frames_end, end);
    assert_int_equal(footer.part_count, FOOTER_PART_KNOWN);
    assert_int_equal(footer.parts[0].offset, align_up(end, FOOTER_ALIGNMENT));
    assert_int_equal(size, footer.table_offset + footer_tail_bytes(footer.part_count));
    assert_int_equal(log->active->segment->file_bytes, size);
    free(file);
    free(before);
}

/* The caller moves the segment's end behind what is to be kept. */
static void superseded_bytes_are_kept_between_frames_and_parts(void **state) {
    struct log *log = *state;
    uint64_t before_size, size;
    struct footer footer;
    fill(log);
    uint64_t frames_end = log->active->segment->end;
    (void)log_write(log, FRAME_EVENTS, &(struct log_event){.entity = "order-1"}, 1);
    uint64_t kept_end = log->active->segment->end;
    uint8_t *before = take_file(log, &before_size);
    log->active->summary.superseded_bytes = kept_end - frames_end;
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    uint8_t *file = take_file(log, &size);
    assert_null(footer_decode(file, size, &footer));
    assert_memory_equal(file, before, kept_end);
    assert_int_equal(footer.summary.frames_end, frames_end);
    assert_int_equal(footer.summary.superseded_bytes, kept_end - frames_end);
    assert_int_equal(footer.summary.event_count, 3);
    assert_int_equal(footer.parts[0].offset, align_up(kept_end, FOOTER_ALIGNMENT));
    free(file);
    free(before);
}

static void a_sealed_file_is_durable(void **state) {
    struct log *log = *state;
    const uint8_t *bytes;
    uint64_t size;
    struct footer footer;
    fill(log);
    assert_int_equal(segment_index_write_footer(log->active, NULL), FBAT_OK);
    assert_true(os_sim_disk_bytes(log->sim, SEGMENT_FILE, &bytes, &size));
    uint8_t *copy = exact_copy(bytes, size);
    assert_null(footer_decode(copy, size, &footer));
    free(copy);
}

static void parts_of_any_size_are_padded_with_zeros_to_64(void **state) {
    struct log *log = *state;
    static const uint8_t data[200] = {1, 2, 3};
    fill(log);
    for (size_t bytes = 1; bytes <= 200; bytes += 33) {
        struct footer_writer writer;
        footer_writer_init(&writer, log->active->segment);
        footer_writer_begin(&writer, FOOTER_PART_ROWS, 1);
        footer_writer_data(&writer, data, bytes / 2); /* in pieces */
        footer_writer_data(&writer, data + bytes / 2, bytes - bytes / 2);
        footer_writer_end(&writer);
        assert_int_equal(writer.footer.parts[0].bytes, align_up(bytes, 64));
        uint8_t wanted[256] = {0};
        memcpy(wanted, data, bytes);
        assert_int_equal(writer.footer.parts[0].crc, crc32c(wanted, (size_t)align_up(bytes, 64), 0));
        footer_writer_deinit(&writer);
    }
}

/* Each call that can fail, one after the other, until sealing succeeds. */
static void whatever_fails_no_frame_is_touched(void **state) {
    struct log *log = *state;
    uint64_t nth = 1, size, before_size;
    fill(log);
    uint64_t end = log->active->segment->end;
    uint8_t *before = take_file(log, &before_size);
    for (;; nth++) {
        struct fbat_error error;
        os_sim_fail_nth(log->sim, OS_SIM_WRITES | OS_SIM_ALLOCATES, nth, ENOSPC);
        int status = segment_index_write_footer(log->active, &error);
        bool fired = os_sim_fault_fired(log->sim);
        os_sim_fail_nth(log->sim, OS_SIM_ANY, 0, 0);
        assert_int_equal(status, fired ? FBAT_ERR_NO_SPACE : FBAT_OK);
        uint8_t *file = take_file(log, &size);
        assert_true(size >= end);
        assert_memory_equal(file, before, end);
        struct footer footer;
        assert_int_equal(footer_decode(file, size, &footer) == NULL, !fired);
        free(file);
        if (!fired)
            break;
        assert_int_equal(error.os_errno, ENOSPC);
        assert_non_null(strstr(error.message, "000001.fbat"));
    }
    assert_true(nth >= 3);
    free(before);
}

static void a_footer_that_cannot_be_synced_is_not_answered_as_sealed(void **state) {
    struct log *log = *state;
    struct fbat_error error;
    fill(log);
    os_sim_fail_nth(log->sim, OS_SIM_SYNCS, 1, EIO);
    assert_int_equal(segment_index_write_footer(log->active, &error), FBAT_ERR_IO);
    assert_true(log->active->segment->sync_failed);
    os_sim_fail_nth(log->sim, OS_SIM_ANY, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(the_file_ends_with_its_trailer_and_keeps_its_frames),
        LOG_TEST(superseded_bytes_are_kept_between_frames_and_parts),
        LOG_TEST(a_sealed_file_is_durable),
        LOG_TEST(parts_of_any_size_are_padded_with_zeros_to_64),
        LOG_TEST(whatever_fails_no_frame_is_touched),
        LOG_TEST(a_footer_that_cannot_be_synced_is_not_answered_as_sealed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
