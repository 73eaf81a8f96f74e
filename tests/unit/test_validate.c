/* SPDX-License-Identifier: Apache-2.0 */
/* What an append may be: each limit at both its sides, with the item at fault in the error. */
#include "fixture.h"

#include "api/validate.h"

static struct fbat_config config;
static char filler[FBAT_NAME_BYTES_MAX + 1];

static int prepare(void **state) {
    (void)state;
    fbat_config_init(&config, "dir");
    memset(filler, 'n', sizeof filler);
    return 0;
}

static struct fbat_new_event sample(void) {
    return (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text("order-1"),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{}"),
    };
}

static int validate(const struct fbat_new_event *event) {
    struct fbat_error error;
    int status = validate_events(&config, event, 1, false, &error);
    if (status < 0) {
        assert_int_equal(error.status, status);
        assert_true(error.message[0] != '\0');
    }
    return status;
}

static void a_plain_event_is_valid(void **state) {
    (void)state;
    struct fbat_new_event event = sample();
    assert_int_equal(validate(&event), FBAT_OK);
}

static int validate_entity(struct fbat_slice name) {
    struct fbat_new_event event = sample(), other = sample();
    event.entity = name;
    other.scope = name;
    int status = validate(&event);
    assert_int_equal(validate(&other), status);
    return status;
}

static void names_have_1_to_1024_bytes_of_utf8_without_nul(void **state) {
    (void)state;
    assert_int_equal(validate_entity(fbat_text("x")), FBAT_OK);
    assert_int_equal(validate_entity(fbat_bytes(filler, FBAT_NAME_BYTES_MAX)), FBAT_OK);
    assert_int_equal(validate_entity(fbat_text("gr\xc3\xbcn \n")), FBAT_OK);
    assert_int_equal(validate_entity(fbat_text("")), FBAT_ERR_NAME);
    assert_int_equal(validate_entity(fbat_bytes(NULL, 3)), FBAT_ERR_NAME);
    assert_int_equal(validate_entity(fbat_bytes(filler, FBAT_NAME_BYTES_MAX + 1)), FBAT_ERR_NAME);
    assert_int_equal(validate_entity(fbat_bytes("a\0b", 3)), FBAT_ERR_NAME);
    assert_int_equal(validate_entity(fbat_text("\xff")), FBAT_ERR_NAME);
}

static void the_librarys_scope_is_refused_and_names_like_it_are_not(void **state) {
    (void)state;
    struct fbat_new_event event = sample();
    event.scope = fbat_text(FBAT_SYSTEM_SCOPE);
    assert_int_equal(validate(&event), FBAT_ERR_NAME);
    event.scope = fbat_text("_systems");
    assert_int_equal(validate(&event), FBAT_OK);
    event.scope = fbat_text("_syste");
    assert_int_equal(validate(&event), FBAT_OK);
    event.entity = fbat_text(FBAT_SYSTEM_SCOPE);
    assert_int_equal(validate(&event), FBAT_OK);
}

static void two_categories_belong_to_the_library(void **state) {
    (void)state;
    for (unsigned category = 0; category < 16; category++)
        for (unsigned type = 0; type < 4096; type += 4095) {
            struct fbat_new_event event = sample();
            event.kind = FBAT_KIND(category, type);
            bool reserved = category == FBAT_CATEGORY_SYSTEM || category == FBAT_CATEGORY_EFFECT;
            assert_int_equal(validate(&event), reserved ? FBAT_ERR_KIND : FBAT_OK);
        }
}

static void a_payload_is_limited_by_the_configuration(void **state) {
    (void)state;
    struct fbat_config before = config;
    struct fbat_new_event event = sample();
    config.single_append_max_bytes = 10;
    event.payload = fbat_bytes(filler, 10);
    assert_int_equal(validate(&event), FBAT_OK);
    event.payload = fbat_bytes(filler, 11);
    assert_int_equal(validate(&event), FBAT_ERR_TOO_LARGE);
    config = before;
    event.payload = fbat_bytes(NULL, 0);
    assert_int_equal(validate(&event), FBAT_OK);
    event.payload = fbat_bytes(NULL, 1);
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
}

static void payload_types_6_to_127_are_reserved(void **state) {
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        struct fbat_new_event event = sample();
        event.payload_type = (uint8_t)type;
        assert_int_equal(validate(&event), type >= 6 && type <= 127 ? FBAT_ERR_ARGUMENT : FBAT_OK);
    }
}

static void bad_tags_and_headers_are_refused(void **state) {
    (void)state;
    struct fbat_slice tag = fbat_text("");
    struct fbat_header header = {fbat_text(""), fbat_text("value")};
    struct fbat_new_event event = sample();
    event.tags = &tag;
    event.tag_count = 1;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event.tags = NULL;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event = sample();
    event.headers = &header;
    event.header_count = 1;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event.headers = NULL;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event.headers = &header;
    header.name = fbat_text("name");
    assert_int_equal(validate(&event), FBAT_OK);
}

static void choices_out_of_range_are_refused(void **state) {
    (void)state;
    struct fbat_new_event event = sample();
    event.has_event_time = 2;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event = sample();
    event.expect = (enum fbat_expect)4;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
    event = sample();
    event.struct_size = 8;
    assert_int_equal(validate(&event), FBAT_ERR_ARGUMENT);
}

static void a_cause_in_the_batch_comes_before_its_effect(void **state) {
    (void)state;
    struct fbat_new_event events[3] = {sample(), sample(), sample()};
    events[2].causation_item = 2;
    assert_int_equal(validate_events(&config, events, 3, true, NULL), FBAT_OK);
    events[2].causation_item = 3; /* itself */
    struct fbat_error error;
    assert_int_equal(validate_events(&config, events, 3, true, &error), FBAT_ERR_ARGUMENT);
    assert_int_equal(error.item, 2);
    events[2].causation_item = 1;
    events[2].causation = id_of_byte(1);
    assert_int_equal(validate_events(&config, events, 3, true, &error), FBAT_ERR_ARGUMENT);
}

static void group_commit_requires_ids(void **state) {
    (void)state;
    struct fbat_config before = config;
    struct fbat_new_event event = sample();
    config.batch.group_commit_max_batch = 2;
    assert_int_equal(validate(&event), FBAT_ERR_IDEMPOTENCY_REQUIRED);
    event.id = id_of_byte(1);
    assert_int_equal(validate(&event), FBAT_OK);
    event.id = (struct fbat_id){{0}};
    config.batch.group_commit_max_batch = 0;
    assert_int_equal(validate(&event), FBAT_OK);
    config = before;
}

static void the_error_names_the_item_of_a_batch(void **state) {
    (void)state;
    struct fbat_new_event events[4] = {sample(), sample(), sample(), sample()};
    struct fbat_error error;
    events[3].kind = 0;
    assert_int_equal(validate_events(&config, events, 4, true, &error), FBAT_ERR_KIND);
    assert_int_equal(error.item, 3);
    assert_true(strncmp(error.message, "item 3: ", 8) == 0);
    assert_int_equal(validate_events(&config, events + 3, 1, false, &error), FBAT_ERR_KIND);
    assert_true(error.item == FBAT_NO_ITEM);
}

static void the_payloads_of_a_batch_are_limited_together(void **state) {
    (void)state;
    struct fbat_config before = config;
    struct fbat_new_event events[2] = {sample(), sample()};
    config.batch.max_bytes = 20;
    events[0].payload = events[1].payload = fbat_bytes(filler, 10);
    assert_int_equal(validate_events(&config, events, 2, true, NULL), FBAT_OK);
    events[1].payload.size = 11;
    assert_int_equal(validate_events(&config, events, 2, true, NULL), FBAT_ERR_TOO_LARGE);
    assert_int_equal(validate_events(&config, events + 1, 1, false, NULL), FBAT_OK);
    config = before;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_event_is_valid),
        cmocka_unit_test(names_have_1_to_1024_bytes_of_utf8_without_nul),
        cmocka_unit_test(the_librarys_scope_is_refused_and_names_like_it_are_not),
        cmocka_unit_test(two_categories_belong_to_the_library),
        cmocka_unit_test(a_payload_is_limited_by_the_configuration),
        cmocka_unit_test(payload_types_6_to_127_are_reserved),
        cmocka_unit_test(bad_tags_and_headers_are_refused),
        cmocka_unit_test(choices_out_of_range_are_refused),
        cmocka_unit_test(a_cause_in_the_batch_comes_before_its_effect),
        cmocka_unit_test(group_commit_requires_ids),
        cmocka_unit_test(the_error_names_the_item_of_a_batch),
        cmocka_unit_test(the_payloads_of_a_batch_are_limited_together),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
