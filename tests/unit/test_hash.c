/* SPDX-License-Identifier: Apache-2.0 */
/* The hashes of the tables on disk: XXH3-64 as published, and a stream's hash that tells its two names apart. */
#include "fixture.h"

#include "base/hash.h"

/* Published values of XXH3-64 (the xxHash project's self-test, over its own pseudo-random buffer, and of the empty
 * input). */
static void it_is_xxh3_64(void **state) {
    (void)state;
    uint8_t buffer[256];
    uint64_t generator = UINT32_C(2654435761);
    for (size_t at = 0; at < sizeof buffer; at++) {
        buffer[at] = (uint8_t)(generator >> 56);
        generator *= UINT64_C(11400714785074694797);
    }
    assert_true(hash64(NULL, 0, 0) == UINT64_C(0x2D06800538D394C2));
    assert_true(hash64(buffer, 1, 0) == UINT64_C(0xC44BDFF4074EECDB));
    assert_true(hash64(buffer, 6, 0) == UINT64_C(0x27B56A84CD2D7325));
    assert_true(hash64(buffer, 12, 0) == UINT64_C(0xA713DAF0DFBB77E7));
    assert_true(hash64(buffer, 24, 0) == UINT64_C(0xA3FE70BF9D3510EB));
    assert_true(hash64(buffer, 48, 0) == UINT64_C(0x397DA259ECBA1F11));
    assert_true(hash64(buffer, 80, 0) == UINT64_C(0xBCDEFBBB2C47C90A));
    assert_true(hash64(buffer, 195, 0) == UINT64_C(0xCD94217EE362EC3A));
}

static void a_seed_gives_other_hashes(void **state) {
    (void)state;
    assert_true(hash64("abc", 3, 0) != hash64("abc", 3, 1));
}

static void a_streams_hash_is_the_entitys_seeded_with_the_scopes(void **state) {
    (void)state;
    assert_true(hash_stream("shop", 4, "order-1", 7) == hash64("order-1", 7, hash64("shop", 4, 0)));
}

static void the_same_bytes_split_elsewhere_are_another_stream(void **state) {
    (void)state;
    assert_true(hash_stream("ab", 2, "c", 1) != hash_stream("a", 1, "bc", 2));
    assert_true(hash_stream("a", 1, "b", 1) != hash_stream("b", 1, "a", 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_xxh3_64),
        cmocka_unit_test(a_seed_gives_other_hashes),
        cmocka_unit_test(a_streams_hash_is_the_entitys_seeded_with_the_scopes),
        cmocka_unit_test(the_same_bytes_split_elsewhere_are_another_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
