/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of what is staged: found while they are there and only then, wherever they stand in the table. */
#include "fixture.h"

#include "base/hash.h"
#include "support/alloc_fail.h"
#include "support/test.h"
#include "write/key_set.h"

enum { TABLE_SIZE = 64 }; /* the first one's */

static struct fbat_id random_id(struct test_random *random) {
    struct fbat_id id;
    test_random_fill(random, id.bytes, sizeof id.bytes);
    return id;
}

/* An id whose home in the first table is this place. */
static struct fbat_id id_at_home(struct test_random *random, uint32_t home) {
    struct fbat_id id;
    do
        id = random_id(random);
    while (((uint32_t)hash64(id.bytes, sizeof id.bytes, 0) & (TABLE_SIZE - 1)) != home);
    return id;
}

static void put(struct key_set *set, const struct fbat_id *id, uint64_t sequence) {
    const struct staged_key key = {.id = *id, .sequence = sequence, .record_offset = sequence * 100};
    assert_true(key_set_reserve(set, 1));
    key_set_put(set, &key);
}

static void assert_has(const struct key_set *set, const struct fbat_id *id, uint64_t sequence) {
    const struct staged_key *key = key_set_find(set, id);
    if (sequence == 0) {
        assert_null(key);
        return;
    }
    assert_non_null(key);
    assert_int_equal(key->sequence, sequence);
    assert_int_equal(key->record_offset, sequence * 100);
}

static void empty_set_has_nothing(void **state) {
    struct key_set set = {0};
    struct fbat_id id = id_of_byte(7);
    (void)state;
    assert_null(key_set_find(&set, &id));
    key_set_remove(&set, &id);
    key_set_clear(&set);
    key_set_deinit(&set);
}

static void key_is_found_until_it_is_removed(void **state) {
    struct key_set set = {0};
    struct fbat_id one = id_of_byte(1), two = id_of_byte(2);
    (void)state;
    put(&set, &one, 1);
    assert_has(&set, &one, 1);
    assert_has(&set, &two, 0);
    key_set_remove(&set, &two);
    assert_has(&set, &one, 1);
    key_set_remove(&set, &one);
    assert_has(&set, &one, 0);
    assert_int_equal(set.count, 0);
    key_set_deinit(&set);
}

static void key_put_again_has_a_new_place(void **state) {
    struct key_set set = {0};
    struct fbat_id one = id_of_byte(1);
    (void)state;
    put(&set, &one, 1);
    put(&set, &one, 2);
    assert_has(&set, &one, 2);
    assert_int_equal(set.count, 1);
    key_set_remove(&set, &one);
    assert_has(&set, &one, 0);
    key_set_deinit(&set);
}

static void clearing_leaves_nothing_and_keeps_the_room(void **state) {
    struct key_set set = {0};
    struct test_random random = test_random_init(1);
    struct fbat_id ids[20];
    (void)state;
    for (unsigned at = 0; at < COUNT_OF(ids); at++) {
        ids[at] = random_id(&random);
        put(&set, &ids[at], at + 1);
    }
    uint32_t size = set.size;
    key_set_clear(&set);
    for (unsigned at = 0; at < COUNT_OF(ids); at++)
        assert_has(&set, &ids[at], 0);
    assert_int_equal(set.size, size);
    put(&set, &ids[0], 5);
    assert_has(&set, &ids[0], 5);
    key_set_deinit(&set);
}

/* Keys of one home, and of the homes around it, over the table's end; each taken out first once. */
static void removal_from_a_run_of_collisions_loses_no_other(void **state) {
    static const uint32_t homes[] = {
        TABLE_SIZE - 2, TABLE_SIZE - 2, TABLE_SIZE - 1, TABLE_SIZE - 2, 0, TABLE_SIZE - 1, 0, 1};
    struct test_random random = test_random_init(2);
    struct fbat_id ids[COUNT_OF(homes)];
    (void)state;
    for (unsigned at = 0; at < COUNT_OF(homes); at++)
        ids[at] = id_at_home(&random, homes[at]);
    for (unsigned first = 0; first < COUNT_OF(homes); first++) {
        struct key_set set = {0};
        for (unsigned at = 0; at < COUNT_OF(homes); at++)
            put(&set, &ids[at], at + 1);
        for (unsigned gone = 0; gone < COUNT_OF(homes); gone++) {
            key_set_remove(&set, &ids[(first + gone) % COUNT_OF(homes)]);
            for (unsigned at = 0; at < COUNT_OF(homes); at++) {
                bool is_gone = (at + COUNT_OF(homes) - first) % COUNT_OF(homes) <= gone;
                assert_has(&set, &ids[at], is_gone ? 0 : at + 1);
            }
        }
        key_set_deinit(&set);
    }
}

static void reserved_room_needs_no_memory_and_stays_half_empty(void **state) {
    struct key_set set = {0};
    struct test_random random = test_random_init(3);
    (void)state;
    assert_true(key_set_reserve(&set, 1000));
    uint32_t size = set.size;
    for (uint64_t at = 0; at < 1000; at++) {
        const struct staged_key key = {.id = random_id(&random), .sequence = at + 1};
        key_set_put(&set, &key);
    }
    assert_int_equal(set.size, size);
    assert_true(size >= 2000 && (size & (size - 1)) == 0);
    key_set_deinit(&set);
}

static void want_of_memory_changes_nothing(void **state) {
    struct key_set set = {0};
    struct fbat_id one = id_of_byte(1);
    (void)state;
    put(&set, &one, 1);
    alloc_fail_install();
    alloc_fail_nth(1);
    assert_false(key_set_reserve(&set, 100000));
    alloc_fail_uninstall();
    assert_has(&set, &one, 1);
    assert_int_equal(set.size, TABLE_SIZE);
    key_set_deinit(&set);
}

/* Against a list, through many growths. */
static void random_puts_and_removals_agree_with_a_list(void **state) {
    struct test_random random = test_random_init(test_seed(4));
    struct key_set set = {0};
    struct fbat_id ids[600];
    uint64_t sequences[COUNT_OF(ids)] = {0};
    (void)state;
    print_message("seed %llu\n", (unsigned long long)test_seed(4));
    for (unsigned at = 0; at < COUNT_OF(ids); at++)
        ids[at] = random_id(&random);
    for (uint64_t step = 1; step <= 20000; step++) {
        unsigned at = (unsigned)test_random_below(&random, COUNT_OF(ids));
        if (test_random_one_in(&random, 2)) {
            put(&set, &ids[at], step);
            sequences[at] = step;
        } else {
            key_set_remove(&set, &ids[at]);
            sequences[at] = 0;
        }
        at = (unsigned)test_random_below(&random, COUNT_OF(ids));
        assert_has(&set, &ids[at], sequences[at]);
    }
    uint32_t count = 0;
    for (unsigned at = 0; at < COUNT_OF(ids); at++) {
        assert_has(&set, &ids[at], sequences[at]);
        count += sequences[at] > 0;
    }
    assert_int_equal(set.count, count);
    key_set_deinit(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_set_has_nothing),
        cmocka_unit_test(key_is_found_until_it_is_removed),
        cmocka_unit_test(key_put_again_has_a_new_place),
        cmocka_unit_test(clearing_leaves_nothing_and_keeps_the_room),
        cmocka_unit_test(removal_from_a_run_of_collisions_loses_no_other),
        cmocka_unit_test(reserved_room_needs_no_memory_and_stays_half_empty),
        cmocka_unit_test(want_of_memory_changes_nothing),
        cmocka_unit_test(random_puts_and_removals_agree_with_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
