/* SPDX-License-Identifier: Apache-2.0 */
/* Event ids: the layout of RFC 9562, order whatever the clock does, text in and out, ids from names. */
#include "fixture.h"

#include "base/id.h"
#include "support/test.h"

static const struct fbat_id none;

static int compare(const struct fbat_id *a, const struct fbat_id *b) {
    return memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

static void assert_text(const struct fbat_id *id, const char *wanted) {
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(id, text);
    assert_string_equal(text, wanted);
}

/* ---- made by the store ---- */

/* 2022-02-22 19:22:22 UTC is the moment of the example in RFC 9562, appendix A.6: 0x017F22E279B0 ms. */
static void milliseconds_version_fraction_variant_and_chance_stand_in_their_places(void **state) {
    (void)state;
    struct fbat_id id = id_make(&none, INT64_C(0x017F22E279B0) * 1000, UINT64_C(0x18C4DC0C0C07398F));
    assert_text(&id, "017f22e2-79b0-7000-98c4-dc0c0c07398f");
    id = id_make(&none, INT64_C(0x017F22E279B0) * 1000 + 500, 0);
    assert_text(&id, "017f22e2-79b0-7800-8000-000000000000");
    id = id_make(&none, INT64_C(0x017F22E279B0) * 1000 + 999, UINT64_MAX);
    assert_text(&id, "017f22e2-79b0-7ffb-bfff-ffffffffffff");
}

static void every_made_id_has_version_7_and_the_variant(void **state) {
    (void)state;
    struct test_random random = test_random_init(1);
    struct fbat_id last = none;
    for (int round = 0; round < 10000; round++) {
        last = id_make(&last, (int64_t)(test_random_u64(&random) >> 12), test_random_u64(&random));
        assert_int_equal(last.bytes[6] >> 4, 7);
        assert_int_equal(last.bytes[8] >> 6, 2);
    }
}

static void later_microseconds_give_greater_ids_whatever_chance_says(void **state) {
    (void)state;
    int64_t time = INT64_C(1700000000000000);
    for (int64_t step = 0; step < 3000; step++) {
        struct fbat_id earlier = id_make(&none, time + step, UINT64_MAX);
        struct fbat_id later = id_make(&none, time + step + 1, 0);
        assert_true(compare(&earlier, &later) < 0);
    }
}

static void ids_grow_while_the_clock_stands_still(void **state) {
    (void)state;
    struct test_random random = test_random_init(2);
    struct fbat_id last = id_make(&none, 1700000000000000, test_random_u64(&random));
    for (int round = 0; round < 10000; round++) {
        struct fbat_id next = id_make(&last, 1700000000000000, test_random_u64(&random));
        assert_true(compare(&last, &next) < 0);
        last = next;
    }
}

static void ids_grow_while_the_clock_goes_back(void **state) {
    (void)state;
    struct test_random random = test_random_init(3);
    struct fbat_id last = id_make(&none, 1700000000000000, 0);
    for (int64_t back = 1; back < 10000; back++) {
        struct fbat_id next = id_make(&last, 1700000000000000 - back * 1000000, test_random_u64(&random));
        assert_true(compare(&last, &next) < 0);
        last = next;
    }
    assert_int_equal(last.bytes[6] >> 4, 7);
}

static void counting_up_carries_from_chance_into_time(void **state) {
    (void)state;
    struct fbat_id last = id_make(&none, INT64_C(0x017F22E279B0) * 1000, UINT64_MAX);
    assert_text(&last, "017f22e2-79b0-7000-bfff-ffffffffffff");
    last = id_make(&last, 0, 0);
    assert_text(&last, "017f22e2-79b0-7001-8000-000000000000");
    struct fbat_id end_of_fraction = {
        {0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x7f, 0xff, 0xbf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    last = id_make(&end_of_fraction, 0, 0);
    assert_text(&last, "017f22e2-79b1-7000-8000-000000000000");
}

static void a_time_before_the_epoch_counts_as_the_epoch(void **state) {
    (void)state;
    struct fbat_id id = id_make(&none, -5000000, 5);
    assert_text(&id, "00000000-0000-7000-8000-000000000005");
}

/* ---- made for an event ---- */

enum { KEY = 0x5eed };

static void an_id_made_for_an_event_carries_its_sequence(void **state) {
    (void)state;
    struct test_random random = test_random_init(11);
    for (unsigned bit = 0; bit < ID_SEQUENCE_BITS; bit++) {
        uint64_t sequence = UINT64_C(1) << bit | (test_random_u64(&random) & ((UINT64_C(1) << bit) - 1));
        struct fbat_id id = id_make_for(&none, 1700000000000000 + bit, sequence, KEY, test_random_u64(&random));
        assert_int_equal(id_carried_sequence(&id, KEY), sequence);
        assert_int_equal(id.bytes[6] >> 4, 7);
        assert_int_equal(id.bytes[8] >> 6, 2);
    }
}

static void one_changed_bit_and_the_id_carries_nothing_or_is_one_in_thousands(void **state) {
    (void)state;
    struct test_random random = test_random_init(12);
    unsigned passed = 0, rounds = 0;
    for (uint64_t sequence = 1; sequence <= 100; sequence++) {
        struct fbat_id id = id_make_for(&none, 1700000000000000, sequence, KEY, test_random_u64(&random));
        for (unsigned bit = 0; bit < 128; bit++, rounds++) {
            struct fbat_id changed = id;
            changed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            passed += id_carried_sequence(&changed, KEY) != 0;
        }
    }
    assert_true(passed < rounds / 1000);
}

static void ids_of_another_store_or_other_making_carry_nothing(void **state) {
    (void)state;
    struct test_random random = test_random_init(13);
    unsigned passed = 0;
    for (uint64_t sequence = 1; sequence <= 20000; sequence++) {
        struct fbat_id foreign = id_make_for(&none, 1700000000000000, sequence, KEY + 1, test_random_u64(&random));
        struct fbat_id random_id = id_make(&none, 1700000000000000, test_random_u64(&random));
        passed += id_carried_sequence(&foreign, KEY) != 0;
        passed += id_carried_sequence(&random_id, KEY) != 0;
    }
    assert_in_range(passed, 1, 40); /* one in 4,096 */
    struct fbat_id derived;
    assert_int_equal(fbat_id_derive(fbat_text("a name"), &derived), FBAT_OK);
    assert_int_equal(id_carried_sequence(&derived, KEY), 0);
}

static void ids_made_for_events_grow_whatever_clock_and_chance_do(void **state) {
    (void)state;
    struct test_random random = test_random_init(14);
    struct fbat_id last = none;
    int64_t time = 1700000000000000;
    for (uint64_t sequence = 1; sequence <= 20000; sequence++) {
        time += (int64_t)(test_random_u64(&random) % 7) - 3;
        bool of_an_event = test_random_u64(&random) % 4 != 0; /* else for a caller */
        struct fbat_id next = of_an_event ? id_make_for(&last, time, sequence, KEY, test_random_u64(&random))
                                          : id_make(&last, time, test_random_u64(&random));
        assert_true(compare(&last, &next) < 0);
        if (of_an_event)
            assert_int_equal(id_carried_sequence(&next, KEY), sequence);
        last = next;
    }
}

static void a_sequence_that_does_not_fit_is_not_carried(void **state) {
    (void)state;
    struct fbat_id id = id_make_for(&none, 1700000000000000, UINT64_C(1) << ID_SEQUENCE_BITS, KEY, 0x1234567);
    struct fbat_id plain = id_make(&none, 1700000000000000, 0x1234567);
    assert_memory_equal(&id, &plain, sizeof id);
}

/* ---- text ---- */

static void text_and_id_are_each_others_inverse(void **state) {
    (void)state;
    struct test_random random = test_random_init(4);
    for (int round = 0; round < 1000; round++) {
        struct fbat_id id, again = none;
        char text[FBAT_ID_TEXT_SIZE];
        test_random_fill(&random, &id, sizeof id);
        fbat_id_format(&id, text);
        assert_int_equal(strlen(text), 36);
        assert_int_equal(fbat_id_parse(text, 36, &again), FBAT_OK);
        assert_true(id_equal(&id, &again));
    }
}

static void either_case_is_read(void **state) {
    (void)state;
    struct fbat_id lower, upper;
    assert_int_equal(fbat_id_parse("0123abcd-ef01-2345-6789-abcdefabcdef", 36, &lower), FBAT_OK);
    assert_int_equal(fbat_id_parse("0123ABCD-EF01-2345-6789-ABCDEFABCDEF", 36, &upper), FBAT_OK);
    assert_true(id_equal(&lower, &upper));
}

static void any_other_text_is_refused_and_leaves_the_id_alone(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "0123abcd-ef01-2345-6789-abcdefabcde",   /* one short */
        "0123abcd-ef01-2345-6789-abcdefabcdef0", /* one long */
        "0123abcdef0123456789abcdefabcdef",      /* no dashes */
        "{0123abcd-ef01-2345-6789-abcdefabcde}",
        "0123abcd_ef01-2345-6789-abcdefabcdef",
        "0123abc-def01-2345-6789-abcdefabcdef", /* a dash elsewhere */
        "0123abcd-ef01-2345-6789-abcdefabcdeg",
        "0123abcd-ef01-2345-6789-abcdefabcde ",
        " 123abcd-ef01-2345-6789-abcdefabcdef",
        "0123abcd-ef01-2345-6789-abcdefabcd\xc3\xa9",
    };
    for (size_t at = 0; at < COUNT_OF(texts); at++) {
        struct fbat_id id = id_of_byte(0x77), before = id;
        size_t size = strlen(texts[at]);
        uint8_t *text = exact_copy(texts[at], size);
        assert_int_equal(fbat_id_parse((const char *)text, size, &id), FBAT_ERR_ARGUMENT);
        assert_true(id_equal(&id, &before));
        free(text);
    }
}

static void a_wrong_character_at_any_place_is_refused(void **state) {
    (void)state;
    for (size_t place = 0; place < 36; place++) {
        char text[] = "0123abcd-ef01-2345-6789-abcdefabcdef";
        struct fbat_id id;
        text[place] = text[place] == '-' ? '0' : '-';
        assert_int_equal(fbat_id_parse(text, 36, &id), FBAT_ERR_ARGUMENT);
    }
}

static void parsing_without_text_or_place_is_refused(void **state) {
    (void)state;
    struct fbat_id id;
    assert_int_equal(fbat_id_parse(NULL, 36, &id), FBAT_ERR_ARGUMENT);
    assert_int_equal(fbat_id_parse("0123abcd-ef01-2345-6789-abcdefabcdef", 36, NULL), FBAT_ERR_ARGUMENT);
}

/* ---- names ---- */

/* SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 ..., version and variant over it. */
static void a_name_gives_the_hash_marked_as_version_8(void **state) {
    (void)state;
    struct fbat_id id;
    assert_int_equal(fbat_id_derive(fbat_text("abc"), &id), FBAT_OK);
    assert_text(&id, "ba7816bf-8f01-8fea-8141-40de5dae2223");
}

static void the_empty_name_has_an_id_too(void **state) {
    (void)state;
    struct fbat_id id;
    assert_int_equal(fbat_id_derive(fbat_bytes(NULL, 0), &id), FBAT_OK);
    assert_text(&id, "e3b0c442-98fc-8c14-9afb-f4c8996fb924");
}

static void a_name_with_a_size_but_no_bytes_is_refused(void **state) {
    (void)state;
    struct fbat_id id;
    assert_int_equal(fbat_id_derive(fbat_bytes(NULL, 3), &id), FBAT_ERR_ARGUMENT);
    assert_int_equal(fbat_id_derive(fbat_text("x"), NULL), FBAT_ERR_ARGUMENT);
}

static void only_all_zero_is_none(void **state) {
    (void)state;
    assert_true(fbat_id_is_none(&none));
    for (int bit = 0; bit < 128; bit++) {
        struct fbat_id id = none;
        id.bytes[bit / 8] = (uint8_t)(1u << bit % 8);
        assert_false(fbat_id_is_none(&id));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(milliseconds_version_fraction_variant_and_chance_stand_in_their_places),
        cmocka_unit_test(every_made_id_has_version_7_and_the_variant),
        cmocka_unit_test(later_microseconds_give_greater_ids_whatever_chance_says),
        cmocka_unit_test(ids_grow_while_the_clock_stands_still),
        cmocka_unit_test(ids_grow_while_the_clock_goes_back),
        cmocka_unit_test(counting_up_carries_from_chance_into_time),
        cmocka_unit_test(a_time_before_the_epoch_counts_as_the_epoch),
        cmocka_unit_test(an_id_made_for_an_event_carries_its_sequence),
        cmocka_unit_test(one_changed_bit_and_the_id_carries_nothing_or_is_one_in_thousands),
        cmocka_unit_test(ids_of_another_store_or_other_making_carry_nothing),
        cmocka_unit_test(ids_made_for_events_grow_whatever_clock_and_chance_do),
        cmocka_unit_test(a_sequence_that_does_not_fit_is_not_carried),
        cmocka_unit_test(text_and_id_are_each_others_inverse),
        cmocka_unit_test(either_case_is_read),
        cmocka_unit_test(any_other_text_is_refused_and_leaves_the_id_alone),
        cmocka_unit_test(a_wrong_character_at_any_place_is_refused),
        cmocka_unit_test(parsing_without_text_or_place_is_refused),
        cmocka_unit_test(a_name_gives_the_hash_marked_as_version_8),
        cmocka_unit_test(the_empty_name_has_an_id_too),
        cmocka_unit_test(a_name_with_a_size_but_no_bytes_is_refused),
        cmocka_unit_test(only_all_zero_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
