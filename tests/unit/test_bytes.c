/* SPDX-License-Identifier: Apache-2.0 */
/* Integers at any alignment in little-endian order, alignment, zeros, and sums that do not wrap around. */
#include "fixture.h"

static void integers_are_little_endian(void **state) {
    (void)state;
    uint8_t bytes[8];
    store_u16(bytes, 0x0102);
    assert_memory_equal(bytes, "\x02\x01", 2);
    store_u32(bytes, 0x01020304);
    assert_memory_equal(bytes, "\x04\x03\x02\x01", 4);
    store_u64(bytes, UINT64_C(0x0102030405060708));
    assert_memory_equal(bytes, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    store_i64(bytes, -2);
    assert_memory_equal(bytes, "\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
}

static void what_is_stored_at_any_alignment_is_loaded_again(void **state) {
    (void)state;
    for (size_t shift = 0; shift < 8; shift++) {
        uint8_t *bytes = exact_copy("0123456789abcde", shift + 8);
        store_u16(bytes + shift, 0xfedc);
        assert_int_equal(load_u16(bytes + shift), 0xfedc);
        store_u32(bytes + shift, 0xfedcba98);
        assert_int_equal(load_u32(bytes + shift), 0xfedcba98);
        store_u64(bytes + shift, UINT64_C(0xfedcba9876543210));
        assert_true(load_u64(bytes + shift) == UINT64_C(0xfedcba9876543210));
        store_i64(bytes + shift, INT64_MIN);
        assert_true(load_i64(bytes + shift) == INT64_MIN);
        free(bytes);
    }
}

static void aligning_goes_up_to_the_next_multiple(void **state) {
    (void)state;
    assert_int_equal(align_up(0, 8), 0);
    assert_int_equal(align_up(1, 8), 8);
    assert_int_equal(align_up(8, 8), 8);
    assert_int_equal(align_up(4097, 64), 4160);
}

static void one_bit_anywhere_is_not_zero(void **state) {
    (void)state;
    for (size_t size = 0; size < 40; size++) {
        uint8_t zeros[40] = {0};
        uint8_t *bytes = exact_copy(zeros, size);
        assert_true(bytes_are_zero(bytes, size));
        for (size_t bit = 0; bit < size * 8; bit++) {
            bytes[bit / 8] = (uint8_t)(1u << bit % 8);
            assert_false(bytes_are_zero(bytes, size));
            bytes[bit / 8] = 0;
        }
        free(bytes);
    }
}

static void putting_nothing_from_nowhere_is_fine(void **state) {
    (void)state;
    uint8_t bytes[4] = "abc";
    assert_ptr_equal(bytes_put(bytes, NULL, 0), bytes);
    assert_ptr_equal(bytes_put(bytes, "xy", 2), bytes + 2);
    assert_memory_equal(bytes, "xyc", 3);
}

static void sums_and_products_that_do_not_fit_are_refused(void **state) {
    (void)state;
    uint64_t result = 5;
    assert_true(checked_add(UINT64_MAX - 1, 1, &result) && result == UINT64_MAX);
    assert_false(checked_add(UINT64_MAX, 1, &result));
    assert_true(checked_multiply(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &result));
    assert_false(checked_multiply(UINT64_C(1) << 32, UINT64_C(1) << 32, &result));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(what_is_stored_at_any_alignment_is_loaded_again),
        cmocka_unit_test(aligning_goes_up_to_the_next_multiple),
        cmocka_unit_test(one_bit_anywhere_is_not_zero),
        cmocka_unit_test(putting_nothing_from_nowhere_is_fine),
        cmocka_unit_test(sums_and_products_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
