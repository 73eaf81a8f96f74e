/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing 64 numbers: every way that this processor has gives what the plain one gives. */
#include "fixture.h"

#include "index/tile_match.h"
#include "support/test.h"

static uint64_t match_one_by_one(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    uint64_t bits = 0;
    for (unsigned at = 0; at < TILE_ROWS; at++)
        if ((values[at] & mask) == wanted)
            bits |= UINT64_C(1) << at;
    return bits;
}

static void fill_values(struct test_random *random, uint16_t *values, uint16_t wanted) {
    uint64_t rarity = test_random_between(random, 1, 20);
    for (unsigned at = 0; at < TILE_ROWS; at++)
        values[at] = test_random_one_in(random, rarity) ? wanted : (uint16_t)test_random_u64(random);
}

static void try_way(enum tile_match_way way, uint64_t seed) {
    static const uint16_t masks[] = {0xffff, 0xf000, 0x8001, 0x0000, 0x00ff};
    struct test_random random = test_random_init(seed);
    for (uint64_t round = 0; round < test_scaled(20000); round++) {
        uint16_t memory[TILE_ROWS + 8];
        uint16_t *values = memory + round % 8; /* footers align columns, copies need not be */
        uint16_t mask = masks[test_random_below(&random, COUNT_OF(masks))];
        uint16_t wanted = (uint16_t)test_random_u64(&random);
        if (!test_random_one_in(&random, 8))
            wanted &= mask;
        fill_values(&random, values, wanted);
        uint64_t expected = match_one_by_one(values, mask, wanted), got = tile_match_u16(values, mask, wanted);
        if (got != expected)
            fail_msg("way %d (%s): mask %04x wanted %04x: %016llx, expected %016llx", (int)way, tile_match_name(), mask,
                     wanted, (unsigned long long)got, (unsigned long long)expected);
    }
}

static void every_way_answers_as_one_by_one(void **state) {
    uint64_t seed = test_seed(64);
    unsigned tried = 0;
    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned way = TILE_MATCH_PLAIN; way < TILE_MATCH_WAYS; way++) {
        if (!tile_match_force((enum tile_match_way)way))
            continue;
        print_message("%s\n", tile_match_name());
        try_way((enum tile_match_way)way, seed);
        tried++;
    }
    assert_true(tile_match_force(TILE_MATCH_BEST));
    assert_true(tried >= 1);
}

/* Tiles one behind the other, of which some bits are out already. */
static void many_tiles_answer_as_each_of_them(void **state) {
    struct test_random random = test_random_init(test_seed(65));
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        if (!tile_match_force((enum tile_match_way)(TILE_MATCH_PLAIN + round % (TILE_MATCH_WAYS - 1))))
            continue;
        uint16_t values[5 * TILE_ROWS];
        uint64_t masks[5], wanted_masks[5], count = 0;
        uint32_t tiles = (uint32_t)test_random_between(&random, 0, 5);
        bool invert = test_random_one_in(&random, 2);
        for (unsigned tile = 0; tile < 5; tile++) {
            fill_values(&random, values + (size_t)tile * TILE_ROWS, 7);
            masks[tile] = test_random_u64(&random);
            uint64_t found = match_one_by_one(values + (size_t)tile * TILE_ROWS, 0xffff, 7);
            wanted_masks[tile] = tile < tiles ? masks[tile] & (invert ? ~found : found) : masks[tile];
            for (unsigned bit = 0; bit < 64; bit++)
                count += wanted_masks[tile] >> bit & 1;
        }
        tile_match_many(values, tiles, 0xffff, 7, invert, masks);
        assert_memory_equal(masks, wanted_masks, sizeof masks);
        assert_int_equal(tile_match_count(masks, 5), count);
    }
    assert_true(tile_match_force(TILE_MATCH_BEST));
}

static void each_bit_stands_for_its_number(void **state) {
    (void)state;
    for (unsigned way = TILE_MATCH_PLAIN; way < TILE_MATCH_WAYS; way++) {
        if (!tile_match_force((enum tile_match_way)way))
            continue;
        for (unsigned at = 0; at < TILE_ROWS; at++) {
            uint16_t values[TILE_ROWS] = {0};
            values[at] = 0x8000;
            assert_int_equal(tile_match_u16(values, 0xffff, 0x8000), UINT64_C(1) << at);
            assert_int_equal(tile_match_u16(values, 0xffff, 0), ~(UINT64_C(1) << at));
        }
    }
    assert_true(tile_match_force(TILE_MATCH_BEST));
}

static void a_way_that_is_not_there_changes_nothing(void **state) {
    (void)state;
    assert_true(tile_match_force(TILE_MATCH_PLAIN));
    enum tile_match_way foreign = TILE_MATCH_NEON;
#if defined(__aarch64__)
    foreign = TILE_MATCH_AVX2;
#endif
    assert_false(tile_match_force(foreign));
    assert_string_equal(tile_match_name(), "plain");
    assert_true(tile_match_force(TILE_MATCH_BEST));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_answers_as_one_by_one),
        cmocka_unit_test(many_tiles_answer_as_each_of_them),
        cmocka_unit_test(each_bit_stands_for_its_number),
        cmocka_unit_test(a_way_that_is_not_there_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
