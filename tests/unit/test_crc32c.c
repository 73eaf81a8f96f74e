/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C against the vectors of RFC 3720, appendix B.4, and against its definition. */
#include "fixture.h"

#include "support/test.h"

static void the_vectors_of_rfc_3720_come_out(void **state) {
    (void)state;
    uint8_t bytes[48];
    memset(bytes, 0, 32);
    assert_int_equal(crc32c(bytes, 32, 0), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(crc32c(bytes, 32, 0), 0x62a8ab43);
    for (uint8_t at = 0; at < 32; at++)
        bytes[at] = at;
    assert_int_equal(crc32c(bytes, 32, 0), 0x46dd794e);
    for (uint8_t at = 0; at < 32; at++)
        bytes[at] = (uint8_t)(31 - at);
    assert_int_equal(crc32c(bytes, 32, 0), 0x113fdb5c);
    size_t size =
        bytes_of_hex("01c00000 00000000 00000000 00000000 14000000 00000400 00000014 00000018 28000000 00000000"
                     "02000000 00000000",
                     bytes, sizeof bytes);
    assert_int_equal(crc32c(bytes, size, 0), 0xd9963a56);
}

static void the_check_value_of_the_polynomial_comes_out(void **state) {
    (void)state;
    assert_int_equal(crc32c("123456789", 9, 0), 0xe3069283);
}

static void nothing_leaves_the_seed_as_it_is(void **state) {
    (void)state;
    assert_int_equal(crc32c("", 0, 0), 0);
    assert_int_equal(crc32c("", 0, 0x12345678), 0x12345678);
}

static void a_checksum_can_be_continued_at_any_place(void **state) {
    (void)state;
    uint8_t bytes[100];
    struct test_random random = test_random_init(1);
    test_random_fill(&random, bytes, sizeof bytes);
    uint32_t whole = crc32c(bytes, sizeof bytes, 0);
    for (size_t cut = 0; cut <= sizeof bytes; cut++)
        assert_int_equal(crc32c(bytes + cut, sizeof bytes - cut, crc32c(bytes, cut, 0)), whole);
}

/* The definition, bit by bit: reflected polynomial 0x82F63B78, inverted before and after. */
static uint32_t crc_by_bits(const uint8_t *bytes, size_t size, uint32_t seed) {
    uint32_t crc = ~seed;
    for (size_t at = 0; at < size; at++) {
        crc ^= bytes[at];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    return ~crc;
}

static void it_is_the_definition_at_every_length_and_alignment(void **state) {
    (void)state;
    struct test_random random = test_random_init(2);
    for (size_t size = 0; size < 600; size += 1 + size / 40) {
        for (size_t shift = 0; shift < 8; shift++) {
            uint8_t filled[700];
            test_random_fill(&random, filled, sizeof filled);
            uint8_t *bytes = exact_copy(filled, shift + size);
            uint32_t seed = (uint32_t)test_random_u64(&random);
            assert_int_equal(crc32c(bytes + shift, size, seed), crc_by_bits(bytes + shift, size, seed));
            free(bytes);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_3720_come_out),
        cmocka_unit_test(the_check_value_of_the_polynomial_comes_out),
        cmocka_unit_test(nothing_leaves_the_seed_as_it_is),
        cmocka_unit_test(a_checksum_can_be_continued_at_any_place),
        cmocka_unit_test(it_is_the_definition_at_every_length_and_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
