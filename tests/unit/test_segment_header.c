/* SPDX-License-Identifier: Apache-2.0 */
/* The segment header: what is encoded is decoded, every flipped bit is found, and versions and flags are told apart. */
#include "fixture.h"

#include "format/segment_header.h"

static struct segment_header sample(void) {
    struct segment_header header = {
        .store_id = id_of_byte(0x42),
        .segment_id = 17,
        .generation = 3,
        .first_sequence = 1001,
        .created_us = -5,
        .capacity = 1 << 20,
        .durable_sequence = 1000,
        .last_recorded_us = 1700000000000000,
    };
    memset(header.last_hash, 0x77, sizeof header.last_hash);
    return header;
}

static void seal_again(uint8_t *bytes) {
    store_u32(bytes + SEGMENT_HEADER_CRC_AT, crc32c(bytes, SEGMENT_HEADER_CRC_AT, 0));
}

static enum segment_header_state decode_exact(const uint8_t *bytes, struct segment_header *out_header) {
    uint8_t *copy = exact_copy(bytes, SEGMENT_HEADER_BYTES);
    enum segment_header_state state = segment_header_decode(copy, out_header);
    free(copy);
    return state;
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = sample(), got;
    memset(&got, 0, sizeof got);
    segment_header_encode(&header, bytes);
    assert_int_equal(decode_exact(bytes, &got), SEGMENT_HEADER_VALID);
    assert_memory_equal(&got, &header, sizeof header);
}

static void the_first_bytes_tell_the_file_from_text_and_from_damage_by_line_ends(void **state) {
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = sample();
    segment_header_encode(&header, bytes);
    assert_memory_equal(bytes,
                        "\x89"
                        "FBAT\r\n\x1a\x02\0\0\0\0\x10\0\0\0\0\0\0\0\0\0\0\x42",
                        25);
}

static void every_flipped_bit_is_found(void **state) {
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = sample(), got = {.segment_id = 99};
    segment_header_encode(&header, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (segment_header_decode(bytes, &got) != SEGMENT_HEADER_BROKEN)
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(got.segment_id, 99);
}

static void no_zeros_pass_for_a_header(void **state) {
    (void)state;
    uint8_t zeros[SEGMENT_HEADER_BYTES] = {0};
    struct segment_header got;
    assert_int_equal(decode_exact(zeros, &got), SEGMENT_HEADER_BROKEN);
}

/* The bytes of a sample with one field changed, and sealed. */
static enum segment_header_state decode_changed(size_t at, uint64_t value, size_t size) {
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = sample(), got;
    segment_header_encode(&header, bytes);
    for (size_t byte = 0; byte < size; byte++)
        bytes[at + byte] = (uint8_t)(value >> (8 * byte));
    seal_again(bytes);
    return decode_exact(bytes, &got);
}

static void a_later_version_is_newer_and_an_earlier_one_broken(void **state) {
    (void)state;
    assert_int_equal(decode_changed(SEGMENT_HEADER_VERSION_AT, 3, 4), SEGMENT_HEADER_NEWER);
    assert_int_equal(decode_changed(SEGMENT_HEADER_VERSION_AT, 1, 4), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_VERSION_AT, 0, 4), SEGMENT_HEADER_BROKEN);
}

static void an_unknown_incompatible_flag_is_newer_and_a_compatible_one_is_ignored(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        assert_int_equal(decode_changed(SEGMENT_HEADER_INCOMPATIBLE_AT, UINT64_C(1) << bit, 4), SEGMENT_HEADER_NEWER);
        assert_int_equal(decode_changed(SEGMENT_HEADER_COMPATIBLE_AT, UINT64_C(1) << bit, 4), SEGMENT_HEADER_VALID);
    }
}

static void fields_out_of_range_are_broken_even_under_a_right_checksum(void **state) {
    (void)state;
    assert_int_equal(decode_changed(SEGMENT_HEADER_SIZE_AT, 8192, 4), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_SEGMENT_ID_AT, 0, 8), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_FIRST_SEQUENCE_AT, 0, 8), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_DURABLE_AT, 1001, 8), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_DURABLE_AT, 1000, 8), SEGMENT_HEADER_VALID);
}

static void a_reserved_byte_that_is_not_zero_is_broken(void **state) {
    (void)state;
    for (size_t at = SEGMENT_HEADER_ZERO_AT; at < SEGMENT_HEADER_CRC_AT; at += 61)
        assert_int_equal(decode_changed(at, 1, 1), SEGMENT_HEADER_BROKEN);
    assert_int_equal(decode_changed(SEGMENT_HEADER_CRC_AT - 1, 1, 1), SEGMENT_HEADER_BROKEN);
}

static void the_salt_is_the_checksum_of_identity_segment_and_generation(void **state) {
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = sample();
    segment_header_encode(&header, bytes);
    assert_int_equal(segment_header_salt(&header), crc32c(bytes + 24, 32, 0));
    uint32_t salt = segment_header_salt(&header);
    struct segment_header other = header;
    other.store_id.bytes[15] ^= 1;
    assert_int_not_equal(segment_header_salt(&other), salt);
    other = header;
    other.segment_id++;
    assert_int_not_equal(segment_header_salt(&other), salt);
    other = header;
    other.generation++;
    assert_int_not_equal(segment_header_salt(&other), salt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(the_first_bytes_tell_the_file_from_text_and_from_damage_by_line_ends),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(no_zeros_pass_for_a_header),
        cmocka_unit_test(a_later_version_is_newer_and_an_earlier_one_broken),
        cmocka_unit_test(an_unknown_incompatible_flag_is_newer_and_a_compatible_one_is_ignored),
        cmocka_unit_test(fields_out_of_range_are_broken_even_under_a_right_checksum),
        cmocka_unit_test(a_reserved_byte_that_is_not_zero_is_broken),
        cmocka_unit_test(the_salt_is_the_checksum_of_identity_segment_and_generation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
