/* SPDX-License-Identifier: Apache-2.0 */
/* Statuses as text, and the struct with the detail: filled whole, never past its end, NULL accepted. */
#include "fixture.h"

#include <ctype.h>
#include <errno.h>

#include "base/error.h"

struct status_row {
    int value;
    const char *name;
    const char *text;
};

static const struct status_row statuses[] = {
#define STATUS_ROW(name, value, text) {value, "FBAT_" #name, text},
    FBAT_STATUS_LIST(STATUS_ROW)
#undef STATUS_ROW
};

static void every_status_has_its_name_and_text(void **state) {
    (void)state;
    for (size_t at = 0; at < COUNT_OF(statuses); at++) {
        assert_string_equal(fbat_status_name(statuses[at].value), statuses[at].name);
        assert_string_equal(fbat_strerror(statuses[at].value), statuses[at].text);
        assert_true(islower((unsigned char)statuses[at].text[0]));
    }
}

static void no_two_statuses_share_value_name_or_text(void **state) {
    (void)state;
    for (size_t a = 0; a < COUNT_OF(statuses); a++)
        for (size_t b = 0; b < a; b++) {
            assert_int_not_equal(statuses[a].value, statuses[b].value);
            assert_string_not_equal(statuses[a].text, statuses[b].text);
        }
}

/* Values are part of the ABI: this list only ever grows at its end. */
static void values_stay_what_they_are(void **state) {
    (void)state;
    assert_int_equal(FBAT_OK, 0);
    assert_int_equal(FBAT_END, 1);
    assert_int_equal(FBAT_RETRY, 2);
    static const int errors[] = {
        FBAT_ERR_ARGUMENT,
        FBAT_ERR_CONFIG,
        FBAT_ERR_NOT_FOUND,
        FBAT_ERR_REVISION,
        FBAT_ERR_IDEMPOTENCY_REQUIRED,
        FBAT_ERR_IDEMPOTENCY_CONFLICT,
        FBAT_ERR_IDEMPOTENCY_PARTIAL,
        FBAT_ERR_TOO_LARGE,
        FBAT_ERR_KIND,
        FBAT_ERR_KIND_CONFLICT,
        FBAT_ERR_NAME,
        FBAT_ERR_LOCKED,
        FBAT_ERR_NOT_A_STORE,
        FBAT_ERR_VERSION,
        FBAT_ERR_DAMAGED,
        FBAT_ERR_IO,
        FBAT_ERR_NO_SPACE,
        FBAT_ERR_NO_MEMORY,
        FBAT_ERR_READ_ONLY,
        FBAT_ERR_PERMISSION,
        FBAT_ERR_WRITER_DEAD,
        FBAT_ERR_SHUTDOWN,
        FBAT_ERR_FORKED,
        FBAT_ERR_LIMIT,
        FBAT_ERR_FENCE_ACTIVE,
        FBAT_ERR_CANCELLED,
    };
    for (size_t at = 0; at < COUNT_OF(errors); at++)
        assert_int_equal(errors[at], -1 - (int)at);
    assert_int_equal(COUNT_OF(statuses), 3 + COUNT_OF(errors));
}

static void an_unknown_status_says_so(void **state) {
    (void)state;
    static const int unknown[] = {3, -27, 1000, INT32_MIN, INT32_MAX};
    for (size_t at = 0; at < COUNT_OF(unknown); at++) {
        assert_string_equal(fbat_strerror(unknown[at]), "unknown status");
        assert_string_equal(fbat_status_name(unknown[at]), "unknown status");
    }
}

static void setting_an_error_clears_what_was_in_it(void **state) {
    (void)state;
    struct fbat_error error;
    memset(&error, 0xaa, sizeof error);
    assert_int_equal(error_set(&error, FBAT_ERR_KIND, "kind %d of %s", 3, "x"), FBAT_ERR_KIND);
    assert_int_equal(error.status, FBAT_ERR_KIND);
    assert_string_equal(error.message, "kind 3 of x");
    assert_true(error.item == FBAT_NO_ITEM);
    assert_true(error.os_errno == 0 && error.segment_id == 0 && error.offset == 0 && error.sequence == 0);
    assert_true(error.expected_revision == 0 && error.actual_revision == 0 && error.holder_pid == 0 &&
                error.retry_after_ms == 0);
}

static void a_long_message_is_cut_and_ended(void **state) {
    (void)state;
    char text[2000];
    struct fbat_error error;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(error_set(&error, FBAT_ERR_IO, "%s", text), FBAT_ERR_IO);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
    assert_int_equal(error_set_damage(&error, UINT64_MAX, UINT64_MAX, "%s", text), FBAT_ERR_DAMAGED);
    assert_int_equal(strlen(error.message), sizeof error.message - 1);
}

static void a_failed_call_gets_the_status_of_its_errno(void **state) {
    (void)state;
    static const struct {
        int os_errno, status;
    } rows[] = {
        {ENOSPC, FBAT_ERR_NO_SPACE},   {EDQUOT, FBAT_ERR_NO_SPACE},  {EFBIG, FBAT_ERR_NO_SPACE},
        {EACCES, FBAT_ERR_PERMISSION}, {EPERM, FBAT_ERR_PERMISSION}, {EROFS, FBAT_ERR_PERMISSION},
        {ENOMEM, FBAT_ERR_NO_MEMORY},  {EIO, FBAT_ERR_IO},           {ENOENT, FBAT_ERR_IO},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        struct fbat_error error;
        assert_int_equal(error_set_os(&error, rows[at].os_errno, "write", "a/file"), rows[at].status);
        assert_int_equal(error.status, rows[at].status);
        assert_int_equal(error.os_errno, rows[at].os_errno);
        assert_non_null(strstr(error.message, "cannot write a/file: "));
        assert_non_null(strstr(error.message, strerror(rows[at].os_errno)));
    }
}

static void damage_names_its_place_in_fields_and_message(void **state) {
    (void)state;
    struct fbat_error error;
    assert_int_equal(error_set_damage(&error, 3, 4096, "what %d", 7), FBAT_ERR_DAMAGED);
    assert_int_equal(error.segment_id, 3);
    assert_int_equal(error.offset, 4096);
    assert_string_equal(error.message, "segment 3, offset 4096: what 7");
}

static void nowhere_to_put_the_detail_is_fine(void **state) {
    (void)state;
    assert_int_equal(error_set(NULL, FBAT_ERR_NAME, "x"), FBAT_ERR_NAME);
    assert_int_equal(error_set_os(NULL, ENOSPC, "write", "x"), FBAT_ERR_NO_SPACE);
    assert_int_equal(error_set_damage(NULL, 1, 2, "x"), FBAT_ERR_DAMAGED);
    assert_int_equal(error_set_no_memory(NULL), FBAT_ERR_NO_MEMORY);
}

static void the_version_is_the_headers(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", FBAT_VERSION_MAJOR, FBAT_VERSION_MINOR, FBAT_VERSION_PATCH);
    assert_string_equal(fbat_version(), text);
    assert_string_equal(fbat_version(), FBAT_VERSION_STRING);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_name_and_text),
        cmocka_unit_test(no_two_statuses_share_value_name_or_text),
        cmocka_unit_test(values_stay_what_they_are),
        cmocka_unit_test(an_unknown_status_says_so),
        cmocka_unit_test(setting_an_error_clears_what_was_in_it),
        cmocka_unit_test(a_long_message_is_cut_and_ended),
        cmocka_unit_test(a_failed_call_gets_the_status_of_its_errno),
        cmocka_unit_test(damage_names_its_place_in_fields_and_message),
        cmocka_unit_test(nowhere_to_put_the_detail_is_fine),
        cmocka_unit_test(the_version_is_the_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
