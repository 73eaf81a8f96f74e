/* SPDX-License-Identifier: Apache-2.0 */
/* Names of kinds: the registry in memory, and the events behind it in a store on the simulated disk. */
#include "fixture.h"

#include "store/kinds.h"
#include "store/store.h"

/* ---- the registry ---- */

static int enter_kinds(void **state) {
    struct kinds *kinds = malloc(sizeof *kinds);
    assert_non_null(kinds);
    kinds_init(kinds);
    *state = kinds;
    return 0;
}

static int leave_kinds(void **state) {
    kinds_deinit(*state);
    free(*state);
    return 0;
}

static void what_was_added_is_found_both_ways(void **state) {
    struct kinds *kinds = *state;
    uint16_t kind;
    struct fbat_slice name;
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_text("order.placed"), NULL), FBAT_OK);
    assert_int_equal(kinds_find(kinds, fbat_text("order.placed"), &kind), FBAT_OK);
    assert_int_equal(kind, 0x1001);
    assert_int_equal(kinds_name(kinds, 0x1001, &name), FBAT_OK);
    assert_true(name.size == 12 && memcmp(name.data, "order.placed", 12) == 0);
    assert_int_equal(kinds_count(kinds), 1);
}

static void what_was_not_added_is_not_found(void **state) {
    struct kinds *kinds = *state;
    uint16_t kind = 7;
    struct fbat_slice name = fbat_text("untouched");
    assert_int_equal(kinds_find(kinds, fbat_text("order.placed"), &kind), FBAT_ERR_NOT_FOUND);
    assert_int_equal(kinds_name(kinds, 0x1001, &name), FBAT_ERR_NOT_FOUND);
    assert_true(kind == 7 && name.size == 9);
}

static void a_repeated_definition_adds_nothing(void **state) {
    struct kinds *kinds = *state;
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_text("a"), NULL), FBAT_OK);
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_text("a"), NULL), FBAT_OK);
    assert_int_equal(kinds_count(kinds), 1);
}

static void a_second_name_or_a_second_kind_is_a_conflict_that_says_which(void **state) {
    struct kinds *kinds = *state;
    struct fbat_error error;
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_text("first"), NULL), FBAT_OK);
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_text("second"), &error), FBAT_ERR_KIND_CONFLICT);
    assert_non_null(strstr(error.message, "first"));
    assert_int_equal(kinds_add(kinds, 0x1002, fbat_text("first"), &error), FBAT_ERR_KIND_CONFLICT);
    assert_non_null(strstr(error.message, "0x1001"));
    assert_int_equal(kinds_count(kinds), 1);
}

static void the_first_free_type_is_the_least_without_a_name(void **state) {
    struct kinds *kinds = *state;
    assert_int_equal(kinds_free_type(kinds, 3), 1);
    assert_int_equal(kinds_add(kinds, 0x3001, fbat_text("one"), NULL), FBAT_OK);
    assert_int_equal(kinds_add(kinds, 0x3003, fbat_text("three"), NULL), FBAT_OK);
    assert_int_equal(kinds_free_type(kinds, 3), 2);
    assert_int_equal(kinds_free_type(kinds, 4), 1);
}

static void a_full_category_has_no_free_type(void **state) {
    struct kinds *kinds = *state;
    char text[32];
    uint16_t kind;
    for (unsigned type = 1; type < KINDS_TYPES; type++) {
        snprintf(text, sizeof text, "kind-%u", type);
        assert_int_equal(kinds_add(kinds, FBAT_KIND(2, type), fbat_text(text), NULL), FBAT_OK);
    }
    assert_int_equal(kinds_free_type(kinds, 2), 0);
    for (unsigned type = 1; type < KINDS_TYPES; type++) {
        snprintf(text, sizeof text, "kind-%u", type);
        assert_int_equal(kinds_find(kinds, fbat_text(text), &kind), FBAT_OK);
        assert_int_equal(kind, FBAT_KIND(2, type));
    }
}

static void the_longest_name_fits(void **state) {
    struct kinds *kinds = *state;
    char text[FBAT_KIND_NAME_BYTES_MAX];
    struct fbat_slice name;
    memset(text, 'k', sizeof text);
    assert_int_equal(kinds_add(kinds, 0x1001, fbat_bytes(text, sizeof text), NULL), FBAT_OK);
    assert_int_equal(kinds_name(kinds, 0x1001, &name), FBAT_OK);
    assert_int_equal(name.size, sizeof text);
    assert_memory_equal(name.data, text, sizeof text);
}

/* ---- in a store ---- */

struct world {
    struct os_sim *sim;
    struct os *os;
    struct fbat_store *store;
};

static void open_store(struct world *world) {
    struct fbat_config config;
    struct fbat_error error;
    fbat_config_init(&config, LOG_DIR);
    if (store_open(world->os, &config, &world->store, &error) != FBAT_OK)
        fail_msg("%s", error.message);
}

static int enter_store(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->sim = os_sim_create(&(struct os_sim_options){.seed = 9});
    world->os = os_sim_process(world->sim, 100);
    open_store(world);
    *state = world;
    return 0;
}

static int leave_store(void **state) {
    struct world *world = *state;
    assert_int_equal(store_close(world->store, NULL), FBAT_OK);
    os_sim_destroy(world->sim);
    free(world);
    return 0;
}

static void a_definition_is_one_event_of_the_librarys_own_stream(void **state) {
    struct world *world = *state;
    struct segment_list *list;
    uint64_t visible;
    struct fbat_event event;
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("order.placed"), NULL), FBAT_OK);
    assert_int_equal(store_snapshot(world->store, &list, &visible, NULL), FBAT_OK);
    assert_int_equal(visible, 1);
    assert_int_equal(segment_index_view(list->slots[0]->index, 0, &event, NULL), FBAT_OK);
    assert_int_equal(event.kind, 0x0001);
    assert_int_equal(event.payload_type, FBAT_PAYLOAD_BYTES);
    assert_true(event.scope.size == 7 && memcmp(event.scope.data, "_system", 7) == 0);
    assert_true(event.entity.size == 6 && memcmp(event.entity.data, "_kinds", 6) == 0);
    assert_int_equal(event.payload.size, 2 + 12);
    assert_memory_equal(event.payload.data, "\x01\x10order.placed", 14);
    segment_list_release(list);
}

static void the_same_definition_again_writes_nothing(void **state) {
    struct world *world = *state;
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("a"), NULL), FBAT_OK);
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("a"), NULL), FBAT_OK);
    assert_int_equal(directory_visible(&world->store->directory), 1);
}

static void a_refused_definition_writes_nothing(void **state) {
    struct world *world = *state;
    static char longest[FBAT_KIND_NAME_BYTES_MAX + 1];
    memset(longest, 'k', sizeof longest);
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("a"), NULL), FBAT_OK);
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("b"), NULL), FBAT_ERR_KIND_CONFLICT);
    assert_int_equal(kinds_define(world->store, 0x1002, fbat_text("a"), NULL), FBAT_ERR_KIND_CONFLICT);
    assert_int_equal(kinds_define(world->store, 0x0002, fbat_text("c"), NULL), FBAT_ERR_KIND);
    assert_int_equal(kinds_define(world->store, 0xd001, fbat_text("c"), NULL), FBAT_ERR_KIND);
    assert_int_equal(kinds_define(world->store, 0x1002, fbat_text(""), NULL), FBAT_ERR_NAME);
    assert_int_equal(kinds_define(world->store, 0x1002, fbat_text("a\tb"), NULL), FBAT_ERR_NAME);
    assert_int_equal(kinds_define(world->store, 0x1002, fbat_text("\xff"), NULL), FBAT_ERR_NAME);
    assert_int_equal(kinds_define(world->store, 0x1002, fbat_bytes(longest, sizeof longest), NULL), FBAT_ERR_NAME);
    assert_int_equal(directory_visible(&world->store->directory), 1);
}

static void names_are_there_again_after_reopening(void **state) {
    struct world *world = *state;
    uint16_t kind;
    assert_int_equal(kinds_define(world->store, 0x1001, fbat_text("first"), NULL), FBAT_OK);
    assert_int_equal(kinds_define(world->store, 0x2001, fbat_text("second"), NULL), FBAT_OK);
    assert_int_equal(store_close(world->store, NULL), FBAT_OK);
    open_store(world);
    assert_int_equal(kinds_count(&world->store->kinds), 2);
    assert_int_equal(kinds_find(&world->store->kinds, fbat_text("second"), &kind), FBAT_OK);
    assert_int_equal(kind, 0x2001);
}

static void resolving_a_new_name_takes_the_next_free_type(void **state) {
    struct world *world = *state;
    uint16_t kind;
    assert_int_equal(kinds_define(world->store, 0x2001, fbat_text("first"), NULL), FBAT_OK);
    assert_int_equal(kinds_resolve(world->store, fbat_text("second"), 2, &kind, NULL), FBAT_OK);
    assert_int_equal(kind, 0x2002);
    assert_int_equal(kinds_resolve(world->store, fbat_text("first"), 5, &kind, NULL), FBAT_OK);
    assert_int_equal(kind, 0x2001); /* known: the category is not looked at */
    assert_int_equal(kinds_resolve(world->store, fbat_text("third"), 13, &kind, NULL), FBAT_ERR_KIND);
    assert_int_equal(kinds_resolve(world->store, fbat_text("third"), 16, &kind, NULL), FBAT_ERR_KIND);
}

static void a_full_category_is_a_limit(void **state) {
    struct world *world = *state;
    char text[32];
    uint16_t kind;
    struct fbat_error error;
    for (unsigned type = 1; type < KINDS_TYPES; type++) {
        snprintf(text, sizeof text, "kind-%u", type);
        assert_int_equal(kinds_add(&world->store->kinds, FBAT_KIND(2, type), fbat_text(text), NULL), FBAT_OK);
    }
    assert_int_equal(kinds_resolve(world->store, fbat_text("one more"), 2, &kind, &error), FBAT_ERR_LIMIT);
}

#define KINDS_TEST(test) cmocka_unit_test_setup_teardown(test, enter_kinds, leave_kinds)
#define STORE_TEST(test) cmocka_unit_test_setup_teardown(test, enter_store, leave_store)

int main(void) {
    const struct CMUnitTest tests[] = {
        KINDS_TEST(what_was_added_is_found_both_ways),
        KINDS_TEST(what_was_not_added_is_not_found),
        KINDS_TEST(a_repeated_definition_adds_nothing),
        KINDS_TEST(a_second_name_or_a_second_kind_is_a_conflict_that_says_which),
        KINDS_TEST(the_first_free_type_is_the_least_without_a_name),
        KINDS_TEST(a_full_category_has_no_free_type),
        KINDS_TEST(the_longest_name_fits),
        STORE_TEST(a_definition_is_one_event_of_the_librarys_own_stream),
        STORE_TEST(the_same_definition_again_writes_nothing),
        STORE_TEST(a_refused_definition_writes_nothing),
        STORE_TEST(names_are_there_again_after_reopening),
        STORE_TEST(resolving_a_new_name_takes_the_next_free_type),
        STORE_TEST(a_full_category_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
