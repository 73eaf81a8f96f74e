/* SPDX-License-Identifier: Apache-2.0 */
/* The frame: sealed and decoded, every flipped bit found, never read past what is there. */
#include "fixture.h"

#include "base/limits.h"
#include "support/test.h"

enum { SALT = 0x12345678 };

/* Two records: sequences 1005 and 1006, the frame knowing 900 durable. */
static uint8_t *sample_frame(size_t *out_bytes) {
    struct record_input inputs[2] = {full_input(), full_input()};
    inputs[0].sequence = inputs[0].first_sequence = inputs[1].first_sequence = 1005;
    inputs[1].sequence = 1006;
    return make_frame(inputs, 2, 900, SALT, out_bytes);
}

static enum frame_state decode(const uint8_t *frame, size_t size) {
    struct frame got;
    return frame_decode(frame, size, SALT, &got);
}

static void what_is_sealed_is_decoded(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    struct frame frame;
    assert_int_equal(frame_decode(bytes, size, SALT, &frame), FRAME_VALID);
    assert_int_equal(frame.frame_bytes, size);
    assert_int_equal(frame.first_sequence, 1005);
    assert_int_equal(frame.durable_sequence, 900);
    assert_int_equal(frame.event_count, 2);
    assert_int_equal(frame.type, FRAME_EVENTS);
    assert_int_equal(frame.crc, crc32c(bytes + 4, size - 4, SALT));
    free(bytes);
}

static void another_salt_does_not_pass(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    struct frame frame;
    for (unsigned bit = 0; bit < 32; bit++)
        assert_int_equal(frame_decode(bytes, size, SALT ^ (UINT32_C(1) << bit), &frame), FRAME_BROKEN);
    free(bytes);
}

static void every_flipped_bit_is_found_and_the_output_left_alone(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    struct frame frame = {.event_count = 99};
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (frame_decode(bytes, size, SALT, &frame) != FRAME_BROKEN)
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(frame.event_count, 99);
    free(bytes);
}

static void a_frame_cut_anywhere_is_broken_and_not_read_past_the_cut(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    for (size_t cut = 1; cut < size; cut++) {
        uint8_t *part = exact_copy(bytes, cut);
        assert_int_equal(decode(part, cut), FRAME_BROKEN);
        free(part);
    }
    free(bytes);
}

static void bytes_behind_a_frame_do_not_matter(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    uint8_t *more = malloc(size + 100);
    assert_non_null(more);
    memcpy(more, bytes, size);
    memset(more + size, 0xa5, 100);
    assert_int_equal(decode(more, size + 100), FRAME_VALID);
    free(more);
    free(bytes);
}

static void zeros_and_nothing_are_the_end(void **state) {
    (void)state;
    for (size_t size = 0; size < 100; size++) {
        uint8_t zeros[100] = {0};
        uint8_t *bytes = exact_copy(zeros, size);
        assert_int_equal(decode(bytes, size), FRAME_END);
        free(bytes);
    }
}

static void eight_zero_bytes_are_the_end_whatever_follows(void **state) {
    (void)state;
    uint8_t bytes[64];
    memset(bytes, 0xff, sizeof bytes);
    memset(bytes, 0, 8);
    assert_int_equal(decode(bytes, sizeof bytes), FRAME_END);
}

static void too_few_bytes_that_are_not_zero_are_broken(void **state) {
    (void)state;
    for (size_t size = 1; size < FRAME_HEADER_BYTES; size++) {
        uint8_t tail[FRAME_HEADER_BYTES] = {0};
        tail[size - 1] = 1;
        uint8_t *bytes = exact_copy(tail, size);
        assert_int_equal(decode(bytes, size), FRAME_BROKEN);
        free(bytes);
    }
}

/* The sample with a field changed and sealed again. */
static enum frame_state decode_changed(size_t at, uint64_t value, size_t width) {
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    for (size_t byte = 0; byte < width; byte++)
        bytes[at + byte] = (uint8_t)(value >> (8 * byte));
    size_t covered = load_u32(bytes + FRAME_BYTES_AT);
    covered = covered >= 4 && covered <= size ? covered : size;
    store_u32(bytes, crc32c(bytes + 4, covered - 4, SALT));
    enum frame_state answer = decode(bytes, size);
    free(bytes);
    return answer;
}

static void fields_out_of_range_are_broken_even_under_a_right_checksum(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t width;
        enum frame_state wanted;
    } rows[] = {
        {FRAME_FIRST_SEQUENCE_AT, 0, 8, FRAME_BROKEN},
        {FRAME_FIRST_SEQUENCE_AT, 900, 8, FRAME_BROKEN}, /* not above what it says is durable */
        {FRAME_FIRST_SEQUENCE_AT, 901, 8, FRAME_VALID},
        {FRAME_DURABLE_AT, 1005, 8, FRAME_BROKEN},
        {FRAME_DURABLE_AT, 1004, 8, FRAME_VALID},
        {FRAME_DURABLE_AT, 0, 8, FRAME_VALID},
        {FRAME_COUNT_AT, 0, 4, FRAME_BROKEN},
        {FRAME_COUNT_AT, LIMIT_BATCH_EVENTS, 4, FRAME_VALID}, /* records are looked at one by one, elsewhere */
        {FRAME_COUNT_AT, LIMIT_BATCH_EVENTS + 1, 4, FRAME_BROKEN},
        {FRAME_TYPE_AT, 0, 2, FRAME_BROKEN},
        {FRAME_TYPE_AT, FRAME_STAGED, 2, FRAME_VALID},
        {FRAME_TYPE_AT, FRAME_COMMIT, 2, FRAME_BROKEN}, /* has another size, and no events */
        {FRAME_TYPE_AT, 4, 2, FRAME_BROKEN},
        {FRAME_TYPE_AT, 0xffff, 2, FRAME_BROKEN},
        {FRAME_ZERO_AT, 1, 2, FRAME_BROKEN},
        {FRAME_BYTES_AT, FRAME_HEADER_BYTES, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, FRAME_HEADER_BYTES + RECORD_FIXED_BYTES - 8, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, FRAME_HEADER_BYTES + RECORD_FIXED_BYTES, 4, FRAME_VALID},
        {FRAME_BYTES_AT, FRAME_HEADER_BYTES + RECORD_FIXED_BYTES + 4, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, UINT32_MAX, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, 0, 4, FRAME_BROKEN},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++)
        if (decode_changed(rows[at].at, rows[at].value, rows[at].width) != rows[at].wanted)
            fail_msg("row %zu", at);
}

/* ---- commits ---- */

static const struct frame sample_commit = {.frame_bytes = FRAME_COMMIT_BYTES,
                                           .first_sequence = 1005,
                                           .durable_sequence = 900,
                                           .type = FRAME_COMMIT,
                                           .last_sequence = 1011,
                                           .staged_bytes = 4000};

static void what_is_sealed_as_a_commit_is_decoded(void **state) {
    (void)state;
    uint8_t bytes[FRAME_COMMIT_BYTES];
    struct frame frame;
    memset(bytes, 0xa5, sizeof bytes);
    frame_seal(bytes, &sample_commit, SALT);
    uint8_t *exact = exact_copy(bytes, sizeof bytes);
    assert_int_equal(frame_decode(exact, sizeof bytes, SALT, &frame), FRAME_VALID);
    free(exact);
    assert_int_equal(frame.type, FRAME_COMMIT);
    assert_int_equal(frame.frame_bytes, FRAME_COMMIT_BYTES);
    assert_int_equal(frame.event_count, 0);
    assert_int_equal(frame.first_sequence, 1005);
    assert_int_equal(frame.durable_sequence, 900);
    assert_int_equal(frame.last_sequence, 1011);
    assert_int_equal(frame.staged_bytes, 4000);
}

static void only_a_commit_has_a_last_sequence_and_staged_bytes(void **state) {
    (void)state;
    size_t size;
    uint8_t *bytes = sample_frame(&size);
    struct frame frame = {.last_sequence = 7, .staged_bytes = 7};
    assert_int_equal(frame_decode(bytes, size, SALT, &frame), FRAME_VALID);
    assert_int_equal(frame.last_sequence, 0);
    assert_int_equal(frame.staged_bytes, 0);
    free(bytes);
}

static void every_flipped_bit_of_a_commit_is_found(void **state) {
    (void)state;
    uint8_t bytes[FRAME_COMMIT_BYTES];
    frame_seal(bytes, &sample_commit, SALT);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode(bytes, sizeof bytes) != FRAME_BROKEN)
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_commit_with_a_field_out_of_range_is_broken(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t width;
        enum frame_state wanted;
    } rows[] = {
        {FRAME_TYPE_AT, FRAME_COMMIT, 2, FRAME_VALID}, /* nothing changed */
        {FRAME_TYPE_AT, FRAME_EVENTS, 2, FRAME_BROKEN},
        {FRAME_TYPE_AT, FRAME_STAGED, 2, FRAME_BROKEN},
        {FRAME_COUNT_AT, 1, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, FRAME_COMMIT_BYTES + 8, 4, FRAME_BROKEN},
        {FRAME_BYTES_AT, FRAME_COMMIT_BYTES - 8, 4, FRAME_BROKEN},
        {FRAME_FIRST_SEQUENCE_AT, 1011, 8, FRAME_VALID}, /* a fence of one event */
        {FRAME_FIRST_SEQUENCE_AT, 1012, 8, FRAME_BROKEN},
        {FRAME_FIRST_SEQUENCE_AT, 0, 8, FRAME_BROKEN},
        {FRAME_DURABLE_AT, 1005, 8, FRAME_BROKEN},
        {FRAME_LAST_SEQUENCE_AT, 1004, 8, FRAME_BROKEN},
        {FRAME_LAST_SEQUENCE_AT, UINT64_MAX, 8, FRAME_VALID},
        {FRAME_STAGED_BYTES_AT, 0, 8, FRAME_BROKEN},
        {FRAME_STAGED_BYTES_AT, 4001, 8, FRAME_BROKEN},
        {FRAME_STAGED_BYTES_AT, 4008, 8, FRAME_VALID},
        {FRAME_ZERO_AT, 1, 2, FRAME_BROKEN},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        uint8_t bytes[FRAME_COMMIT_BYTES + 8] = {0};
        frame_seal(bytes, &sample_commit, SALT);
        for (size_t byte = 0; byte < rows[at].width; byte++)
            bytes[rows[at].at + byte] = (uint8_t)(rows[at].value >> (8 * byte));
        store_u32(bytes, crc32c(bytes + 4, load_u32(bytes + FRAME_BYTES_AT) - 4, SALT));
        if (decode(bytes, sizeof bytes) != rows[at].wanted)
            fail_msg("row %zu", at);
    }
}

static void a_length_beyond_the_limit_is_broken_whatever_is_available(void **state) {
    (void)state;
    uint8_t bytes[FRAME_HEADER_BYTES] = {1};
    store_u32(bytes + FRAME_BYTES_AT, (uint32_t)LIMIT_FRAME_BYTES + 8);
    store_u64(bytes + FRAME_FIRST_SEQUENCE_AT, 1);
    store_u32(bytes + FRAME_COUNT_AT, 1);
    store_u16(bytes + FRAME_TYPE_AT, FRAME_EVENTS);
    struct frame frame;
    assert_int_equal(frame_decode(bytes, UINT64_MAX, SALT, &frame), FRAME_BROKEN);
}

static void random_bytes_are_never_a_frame(void **state) {
    (void)state;
    struct test_random random = test_random_init(5);
    for (int round = 0; round < 20000; round++) {
        uint8_t filled[300];
        size_t size = test_random_below(&random, sizeof filled);
        test_random_fill(&random, filled, size);
        if (size >= FRAME_HEADER_BYTES && test_random_one_in(&random, 2)) /* a length that could be */
            store_u32(filled + FRAME_BYTES_AT, (uint32_t)test_random_below(&random, size + 16) & ~7u);
        uint8_t *bytes = exact_copy(filled, size);
        assert_int_not_equal(decode(bytes, size), FRAME_VALID);
        free(bytes);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_is_decoded),
        cmocka_unit_test(another_salt_does_not_pass),
        cmocka_unit_test(every_flipped_bit_is_found_and_the_output_left_alone),
        cmocka_unit_test(a_frame_cut_anywhere_is_broken_and_not_read_past_the_cut),
        cmocka_unit_test(bytes_behind_a_frame_do_not_matter),
        cmocka_unit_test(zeros_and_nothing_are_the_end),
        cmocka_unit_test(eight_zero_bytes_are_the_end_whatever_follows),
        cmocka_unit_test(too_few_bytes_that_are_not_zero_are_broken),
        cmocka_unit_test(fields_out_of_range_are_broken_even_under_a_right_checksum),
        cmocka_unit_test(what_is_sealed_as_a_commit_is_decoded),
        cmocka_unit_test(only_a_commit_has_a_last_sequence_and_staged_bytes),
        cmocka_unit_test(every_flipped_bit_of_a_commit_is_found),
        cmocka_unit_test(a_commit_with_a_field_out_of_range_is_broken),
        cmocka_unit_test(a_length_beyond_the_limit_is_broken_whatever_is_available),
        cmocka_unit_test(random_bytes_are_never_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
