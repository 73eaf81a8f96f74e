/* SPDX-License-Identifier: Apache-2.0 */
/* The first steps with the library: the header's own example, ids, statuses, version. */
#include "fixture.h"

/* The program at the top of the header works as it stands. */
static void header_example_appends_an_event_that_reads_back(void **state) {
    struct fixture *fixture = *state;
    struct fbat_config config;
    struct fbat_store *store;
    fbat_config_init(&config, fixture->dir);
    assert_ok(fbat_open(&config, &store, &fault));
    struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text("order-17"),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{\"total\":12}"),
        .payload_type = FBAT_PAYLOAD_JSON,
    };
    struct fbat_receipt receipt;
    assert_ok(fbat_append(store, &event, NULL, &receipt, &fault));
    assert_int_equal(receipt.sequence, 1);
    assert_int_equal(receipt.revision, 1);
    assert_ok(fbat_close(store, &fault));

    assert_ok(fbat_open(&config, &store, &fault));
    struct fbat_event read;
    assert_ok(fbat_get(store, &receipt.id, &read, &fault));
    assert_slice("{\"total\":12}", read.payload);
    assert_slice("order-17", read.entity);
    assert_slice("shop", read.scope);
    assert_int_equal(read.payload_type, FBAT_PAYLOAD_JSON);
    fbat_event_release(&read);
    assert_ok(fbat_close(store, &fault));
}

/* The library linked says the version of its header. */
static void version_is_the_headers(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", FBAT_VERSION_MAJOR, FBAT_VERSION_MINOR, FBAT_VERSION_PATCH);
    assert_string_equal(text, FBAT_VERSION_STRING);
    assert_string_equal(fbat_version(), FBAT_VERSION_STRING);
}

/* Each status of the list has its own name and text, and its pinned value. */
static void statuses_have_names_and_texts(void **state) {
    (void)state;
    static const struct {
        int value;
        const char *name, *text;
    } rows[] = {
#define STATUS_ROW(name, value, text) {value, "FBAT_" #name, text},
        FBAT_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
    };
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        assert_string_equal(fbat_status_name(rows[at].value), rows[at].name);
        assert_string_equal(fbat_strerror(rows[at].value), rows[at].text);
        for (size_t other = 0; other < at; other++)
            assert_int_not_equal(rows[other].value, rows[at].value);
    }
    assert_string_equal(fbat_strerror(-9999), "unknown status");
    assert_string_equal(fbat_status_name(9999), "unknown status");
}

/* An id's text is the 36 characters of RFC 9562, in lower case, and reads back in either case. */
static void id_formats_and_parses(void **state) {
    (void)state;
    struct fbat_id id, read;
    for (int at = 0; at < 16; at++)
        id.bytes[at] = (uint8_t)(0x01 + 0x11 * at);
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(&id, text);
    assert_string_equal(text, "01122334-4556-6778-899a-abbccddeef00");
    assert_ok(fbat_id_parse(text, 36, &read));
    assert_id_equal(id, read);
    assert_ok(fbat_id_parse("01122334-4556-6778-899A-ABBCCDDEEF00", 36, &read));
    assert_id_equal(id, read);
}

/* What is not a UUID of 36 characters is refused, and the output stays. */
static void id_parse_refuses_what_is_not_an_id(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "01122334-4556-6778-899a-abbccddeef0",
        "01122334-4556-6778-899a-abbccddeef000",
        "01122334445566778899aabbccddeef0",
        "0112233-44556-6778-899a-abbccddeef00",
        "g1122334-4556-6778-899a-abbccddeef00",
        "01122334-4556-6778-899a-abbccddeef0 ",
        "{1122334-4556-6778-899a-abbccddeef0}",
        "01122334+4556-6778-899a-abbccddeef00",
    };
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++) {
        struct fbat_id id = id_of("before"), before = id;
        assert_status(FBAT_ERR_ARGUMENT, fbat_id_parse(bad[at], strlen(bad[at]), &id));
        assert_id_equal(id, before);
    }
}

/* The same name gives the same id, marked as UUID version 8; other names give others. */
static void derived_ids_depend_on_the_name_alone(void **state) {
    (void)state;
    struct fbat_id a = id_of("order-17"), again = id_of("order-17"), b = id_of("order-18"), empty = id_of("");
    assert_id_equal(a, again);
    assert_memory_not_equal(a.bytes, b.bytes, 16);
    assert_int_equal(a.bytes[6] >> 4, 8);
    assert_int_equal(a.bytes[8] >> 6, 2);
    assert_false(fbat_id_is_none(&empty));
    /* The digest of nothing is known everywhere. */
    static const uint8_t start_of_empty[6] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc};
    assert_memory_equal(empty.bytes, start_of_empty, sizeof start_of_empty);
}

/* A slice over NULL is empty, one over a string leaves the zero out. */
static void slices_are_views(void **state) {
    (void)state;
    assert_int_equal(fbat_text(NULL).size, 0);
    assert_int_equal(fbat_text("four").size, 4);
    assert_int_equal(fbat_bytes("a\0b", 3).size, 3);
    struct fbat_id none = {{0}}, some = {{[15] = 1}};
    assert_true(fbat_id_is_none(&none));
    assert_false(fbat_id_is_none(&some));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(header_example_appends_an_event_that_reads_back),
        cmocka_unit_test(version_is_the_headers),
        cmocka_unit_test(statuses_have_names_and_texts),
        cmocka_unit_test(id_formats_and_parses),
        cmocka_unit_test(id_parse_refuses_what_is_not_an_id),
        cmocka_unit_test(derived_ids_depend_on_the_name_alone),
        cmocka_unit_test(slices_are_views),
    };
    return cmocka_run_group_tests_name("api: quickstart", tests, NULL, NULL);
}
