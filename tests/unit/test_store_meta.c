/* SPDX-License-Identifier: Apache-2.0 */
/* store.meta: what is encoded is decoded, every flipped bit is found, and versions and flags are told apart. */
#include "fixture.h"

#include "format/store_meta.h"

static struct store_meta sample(void) {
    return (struct store_meta){.store_id = id_of_byte(0x42), .created_us = 1700000000000000};
}

static enum store_meta_state decode_exact(const uint8_t *bytes, struct store_meta *out_meta) {
    uint8_t *copy = exact_copy(bytes, STORE_META_BYTES);
    enum store_meta_state state = store_meta_decode(copy, out_meta);
    free(copy);
    return state;
}

static enum store_meta_state decode_changed(size_t at, uint32_t value) {
    uint8_t bytes[STORE_META_BYTES];
    struct store_meta meta = sample(), got;
    store_meta_encode(&meta, bytes);
    store_u32(bytes + at, value);
    store_u32(bytes + STORE_META_CRC_AT, crc32c(bytes, STORE_META_CRC_AT, 0));
    return decode_exact(bytes, &got);
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    uint8_t bytes[STORE_META_BYTES];
    struct store_meta meta = sample(), got;
    store_meta_encode(&meta, bytes);
    assert_memory_equal(bytes, "FBATMETA\x02\0\0\0\x80\0\0\0", 16);
    assert_int_equal(decode_exact(bytes, &got), STORE_META_VALID);
    assert_memory_equal(got.store_id.bytes, meta.store_id.bytes, 16);
    assert_int_equal(got.created_us, meta.created_us);
}

static void every_flipped_bit_is_found_and_the_output_left_alone(void **state) {
    (void)state;
    uint8_t bytes[STORE_META_BYTES];
    struct store_meta meta = sample(), got = {.created_us = 99};
    store_meta_encode(&meta, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (decode_exact(bytes, &got) != STORE_META_BROKEN)
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(got.created_us, 99);
}

static void a_later_version_is_newer_and_an_earlier_one_broken(void **state) {
    (void)state;
    assert_int_equal(decode_changed(STORE_META_VERSION_AT, 3), STORE_META_NEWER);
    assert_int_equal(decode_changed(STORE_META_VERSION_AT, 1), STORE_META_BROKEN);
}

static void an_unknown_incompatible_flag_is_newer_and_a_compatible_one_is_ignored(void **state) {
    (void)state;
    for (unsigned bit = 0; bit < 32; bit++) {
        assert_int_equal(decode_changed(STORE_META_INCOMPATIBLE_AT, UINT32_C(1) << bit), STORE_META_NEWER);
        assert_int_equal(decode_changed(STORE_META_COMPATIBLE_AT, UINT32_C(1) << bit), STORE_META_VALID);
    }
}

static void another_size_or_a_reserved_byte_is_broken(void **state) {
    (void)state;
    assert_int_equal(decode_changed(STORE_META_SIZE_AT, 256), STORE_META_BROKEN);
    for (size_t at = STORE_META_ZERO_AT; at + 4 <= STORE_META_CRC_AT; at += 4)
        assert_int_equal(decode_changed(at, 1), STORE_META_BROKEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(every_flipped_bit_is_found_and_the_output_left_alone),
        cmocka_unit_test(a_later_version_is_newer_and_an_earlier_one_broken),
        cmocka_unit_test(an_unknown_incompatible_flag_is_newer_and_a_compatible_one_is_ignored),
        cmocka_unit_test(another_size_or_a_reserved_byte_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
