/* SPDX-License-Identifier: Apache-2.0 */
/* The slot table: what is added is found, through growth, beside a reader, and after taking back what came last. */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "index/slots.h"
#include "support/test.h"

enum { FIRST_SIZE = 1024 }; /* of a new table: growth is due beyond half of it */

/* A hash that leads to this place of a new table: the top ten bits count. */
static uint64_t hash_at(uint64_t place) {
    return place << 54;
}

/* hashes[number - 1] is the hash of number. */
static uint64_t hash_of_number(const void *user, uint32_t number) {
    const uint64_t *hashes = user;
    return hashes[number - 1];
}

static bool holds(const struct slots *slots, uint64_t hash, uint32_t number) {
    struct slots_probe probe = slots_first(slots, hash);
    for (uint32_t found; (found = slots_next(&probe)) != 0;)
        if (found == number)
            return true;
    return false;
}

static void add_number(struct slots *slots, uint64_t *hashes, uint32_t number, uint64_t hash) {
    hashes[number - 1] = hash;
    assert_true(slots_reserve(slots, 1, hash_of_number, hashes));
    slots_add(slots, hash, number);
}

static void an_empty_table_holds_nothing(void **state) {
    (void)state;
    struct slots slots;
    assert_true(slots_init(&slots));
    struct slots_probe probe = slots_first(&slots, 12345);
    assert_int_equal(slots_next(&probe), 0);
    slots_deinit(&slots);
}

static void numbers_with_equal_hashes_are_all_found_in_the_order_of_adding(void **state) {
    (void)state;
    struct slots slots;
    uint64_t hashes[3];
    assert_true(slots_init(&slots));
    for (uint32_t number = 1; number <= 3; number++)
        add_number(&slots, hashes, number, 77);
    struct slots_probe probe = slots_first(&slots, 77);
    for (uint32_t number = 1; number <= 3; number++)
        assert_int_equal(slots_next(&probe), number);
    assert_int_equal(slots_next(&probe), 0);
    slots_deinit(&slots);
}

static void a_probe_goes_on_from_the_last_place_to_the_first(void **state) {
    (void)state;
    struct slots slots;
    uint64_t hashes[2];
    assert_true(slots_init(&slots));
    add_number(&slots, hashes, 1, hash_at(FIRST_SIZE - 1));
    add_number(&slots, hashes, 2, hash_at(FIRST_SIZE - 1));
    assert_true(holds(&slots, hash_at(FIRST_SIZE - 1), 1));
    assert_true(holds(&slots, hash_at(FIRST_SIZE - 1), 2));
    slots_deinit(&slots);
}

static void growth_loses_nothing_and_keeps_half_the_table_free(void **state) {
    (void)state;
    enum { NUMBERS = 20000 };
    struct slots slots;
    uint64_t *hashes = malloc(NUMBERS * sizeof *hashes);
    struct test_random random = test_random_init(1);
    assert_non_null(hashes);
    assert_true(slots_init(&slots));
    for (uint32_t number = 1; number <= NUMBERS; number++)
        add_number(&slots, hashes, number, test_random_u64(&random));
    for (uint32_t number = 1; number <= NUMBERS; number++)
        assert_true(holds(&slots, hashes[number - 1], number));
    const struct slots_table *table = atomic_load(&slots.table);
    assert_int_equal(slots.used, NUMBERS);
    assert_true(table->size >= 2 * NUMBERS && (table->size & (table->size - 1)) == 0);
    slots_deinit(&slots);
    free(hashes);
}

static void taking_back_leaves_what_was_added_before(void **state) {
    (void)state;
    struct slots slots;
    uint64_t hashes[6];
    assert_true(slots_init(&slots));
    for (uint32_t number = 1; number <= 6; number++)
        add_number(&slots, hashes, number, hash_at(500 + number % 2));
    for (uint32_t number = 6; number > 3; number--)
        slots_remove(&slots, hashes[number - 1], number, hash_of_number, hashes);
    for (uint32_t number = 1; number <= 6; number++)
        assert_int_equal(holds(&slots, hashes[number - 1], number), number <= 3);
    assert_int_equal(slots.used, 3);
    slots_deinit(&slots);
}

/* A batch of new streams can make the table grow and be refused afterwards: what it added is taken back in reverse from
 * the grown table, and every number from before must still be found. Two numbers share the table's last place, so that
 * the second one wraps around to the first place, which growth comes across first. */
static void taking_back_after_growth_leaves_what_was_added_before(void **state) {
    (void)state;
    struct slots slots;
    uint64_t hashes[FIRST_SIZE];
    assert_true(slots_init(&slots));
    add_number(&slots, hashes, 1, hash_at(FIRST_SIZE - 1));
    add_number(&slots, hashes, 2, hash_at(FIRST_SIZE - 1));
    uint32_t last = FIRST_SIZE / 2 + 1;
    for (uint32_t number = 3; number <= last; number++)
        add_number(&slots, hashes, number, hash_at(100 + number));
    assert_int_equal(((struct slots_table *)atomic_load(&slots.table))->size, 2 * FIRST_SIZE);
    for (uint32_t number = last; number >= 2; number--)
        slots_remove(&slots, hashes[number - 1], number, hash_of_number, hashes);
    assert_true(holds(&slots, hash_at(FIRST_SIZE - 1), 1));
    slots_deinit(&slots);
}

static void taking_out_in_any_order_leaves_the_others(void **state) {
    (void)state;
    enum { NUMBERS = 400 };
    struct test_random random = test_random_init(6);
    for (int round = 0; round < 200; round++) {
        struct slots slots;
        uint64_t hashes[NUMBERS];
        bool there[NUMBERS + 1] = {false};
        assert_true(slots_init(&slots));
        for (uint32_t number = 1; number <= NUMBERS; number++) { /* crowded around the table's end */
            add_number(&slots, hashes, number, hash_at(FIRST_SIZE - 100 + test_random_below(&random, 120)));
            there[number] = true;
        }
        for (int removals = 0; removals < NUMBERS / 2; removals++) {
            uint32_t number = 1 + (uint32_t)test_random_below(&random, NUMBERS);
            if (there[number])
                slots_remove(&slots, hashes[number - 1], number, hash_of_number, hashes);
            there[number] = false;
        }
        for (uint32_t number = 1; number <= NUMBERS; number++)
            assert_int_equal(holds(&slots, hashes[number - 1], number), there[number]);
        slots_deinit(&slots);
    }
}

/* A footer may come from anywhere; its checksum says only that it is what was written. */
static void a_mapped_table_without_an_empty_place_ends_a_probe(void **state) {
    (void)state;
    struct slots slots;
    uint32_t numbers[4] = {9, 5, 7, 3};
    assert_true(slots_init_mapped(&slots, numbers, 4));
    assert_true(holds(&slots, hash_at(512), 5));
    assert_false(holds(&slots, hash_at(512), 8));
    slots_deinit(&slots);
}

static void random_batches_taken_back_across_growth_change_nothing(void **state) {
    (void)state;
    enum { NUMBERS = 6000, BATCH_MAX = 64 };
    struct slots slots;
    uint64_t *hashes = malloc((NUMBERS + BATCH_MAX) * sizeof *hashes);
    uint64_t seed = test_seed(2);
    struct test_random random = test_random_init(seed);
    print_message("seed %llu; replay with FBAT_TEST_SEED\n", (unsigned long long)seed);
    assert_non_null(hashes);
    assert_true(slots_init(&slots));
    for (uint32_t count = 0; count < NUMBERS;) {
        uint32_t batch = 1 + (uint32_t)test_random_below(&random, BATCH_MAX);
        /* Hashes near the end of every table size, so that wrapping around is common. */
        for (uint32_t number = count + 1; number <= count + batch; number++)
            add_number(&slots, hashes, number, test_random_u64(&random) | UINT64_C(0xfc) << 56);
        bool keep = test_random_one_in(&random, 2);
        for (uint32_t number = count + batch; number > count && !keep; number--)
            slots_remove(&slots, hashes[number - 1], number, hash_of_number, hashes);
        count += keep ? batch : 0;
        for (uint32_t number = 1; number <= count; number += 1 + count / 16)
            assert_true(holds(&slots, hashes[number - 1], number));
        assert_int_equal(slots.used, count);
    }
    slots_deinit(&slots);
    free(hashes);
}

/* ---- beside readers ---- */

struct race {
    struct slots slots;
    uint64_t *hashes;
    _Atomic uint32_t published; /* numbers that readers were told of */
    atomic_bool over;
    atomic_uint missed;
};

static void *read_beside(void *user) {
    struct race *race = user;
    struct test_random random = test_random_init(3);
    while (!atomic_load(&race->over)) {
        uint32_t published = atomic_load_explicit(&race->published, memory_order_acquire);
        if (published == 0)
            continue;
        uint32_t number = 1 + (uint32_t)test_random_below(&random, published);
        if (!holds(&race->slots, race->hashes[number - 1], number))
            atomic_fetch_add(&race->missed, 1);
    }
    return NULL;
}

static void readers_find_what_was_published_while_the_table_grows(void **state) {
    (void)state;
    enum { NUMBERS = 100000, READERS = 2 };
    struct race *race = calloc(1, sizeof *race);
    pthread_t readers[READERS];
    assert_non_null(race);
    race->hashes = malloc(NUMBERS * sizeof *race->hashes);
    assert_non_null(race->hashes);
    assert_true(slots_init(&race->slots));
    for (size_t at = 0; at < READERS; at++)
        assert_int_equal(pthread_create(&readers[at], NULL, read_beside, race), 0);
    struct test_random random = test_random_init(4);
    for (uint32_t number = 1; number <= NUMBERS; number++) {
        add_number(&race->slots, race->hashes, number, test_random_u64(&random));
        atomic_store_explicit(&race->published, number, memory_order_release);
    }
    atomic_store(&race->over, true);
    for (size_t at = 0; at < READERS; at++)
        pthread_join(readers[at], NULL);
    assert_int_equal(race->missed, 0);
    slots_deinit(&race->slots);
    free(race->hashes);
    free(race);
}

static void a_mapped_table_is_read_as_it_stands(void **state) {
    (void)state;
    struct slots slots;
    uint32_t *numbers = (uint32_t *)(void *)exact_copy((uint32_t[4]){0, 9, 5, 0}, 16);
    assert_true(slots_init_mapped(&slots, numbers, 4));
    struct slots_probe probe = slots_first(&slots, UINT64_C(0x4bcd000000000000));
    assert_int_equal(slots_next(&probe), 9);
    assert_int_equal(slots_next(&probe), 5);
    assert_int_equal(slots_next(&probe), 0);
    slots_deinit(&slots);
    free(numbers);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_holds_nothing),
        cmocka_unit_test(numbers_with_equal_hashes_are_all_found_in_the_order_of_adding),
        cmocka_unit_test(a_probe_goes_on_from_the_last_place_to_the_first),
        cmocka_unit_test(growth_loses_nothing_and_keeps_half_the_table_free),
        cmocka_unit_test(taking_back_leaves_what_was_added_before),
        cmocka_unit_test(taking_back_after_growth_leaves_what_was_added_before),
        cmocka_unit_test(taking_out_in_any_order_leaves_the_others),
        cmocka_unit_test(a_mapped_table_without_an_empty_place_ends_a_probe),
        cmocka_unit_test(random_batches_taken_back_across_growth_change_nothing),
        cmocka_unit_test(readers_find_what_was_published_while_the_table_grows),
        cmocka_unit_test(a_mapped_table_is_read_as_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
