/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration's table: defaults, ranges with errors that name field, value and range, text in and out. */
#include "fixture.h"

static struct fbat_config fresh(void) {
    struct fbat_config config;
    fbat_config_init(&config, "some/dir");
    return config;
}

static size_t field_count(void) {
    struct fbat_config_field field;
    size_t count = 0;
    while (fbat_config_field(count, &field) == FBAT_OK)
        count++;
    return count;
}

/* ---- defaults ---- */

static void the_defaults_are_those_of_the_header(void **state) {
    (void)state;
    struct fbat_config config;
    memset(&config, 0xaa, sizeof config);
    fbat_config_init(&config, "some/dir");
    assert_int_equal(config.struct_size, sizeof config);
    assert_string_equal(config.data_dir, "some/dir");
    assert_int_equal(config.segment_max_bytes, 256 << 20);
    assert_int_equal(config.fd_budget, 64);
    assert_int_equal(config.broadcast_capacity, 8192);
    assert_int_equal(config.single_append_max_bytes, 16 << 20);
    assert_int_equal(config.batch.max_size, 256);
    assert_int_equal(config.batch.max_bytes, 1 << 20);
    assert_int_equal(config.batch.group_commit_max_batch, 1);
    assert_int_equal(config.writer.channel_capacity, 4096);
    assert_int_equal(config.writer.pressure_retry_threshold_pct, 75);
    assert_int_equal(config.writer.stack_size, 0);
    assert_int_equal(config.writer.restart_policy.mode, FBAT_RESTART_ONCE);
    assert_int_equal(config.writer.shutdown_drain_limit, 1024);
    assert_int_equal(config.sync.mode, FBAT_SYNC_ALL);
    assert_int_equal(config.sync.every_n_events, 1000);
    assert_int_equal(config.sync.max_delay_ms, 1000);
    assert_int_equal(config.index.layout, FBAT_LAYOUT_AOS);
    assert_true(config.index.views.soa == 1 && config.index.views.entity_groups == 1 &&
                config.index.views.tiles64 == 1);
    assert_int_equal(config.index.incremental_projection, 0);
    assert_int_equal(config.index.enable_checkpoint, 1);
    assert_int_equal(config.index.enable_mmap_index, 1);
    assert_true(!config.clock && !config.log && !config.fault_injector);
}

static void the_defaults_are_valid(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    assert_int_equal(fbat_config_validate(&config, NULL), FBAT_OK);
}

static void each_default_text_sets_the_default_value(void **state) {
    (void)state;
    struct fbat_config_field field;
    for (size_t at = 0; fbat_config_field(at, &field) == FBAT_OK; at++) {
        struct fbat_config config = fresh(), wanted = fresh();
        assert_int_equal(fbat_config_set(&config, field.name, field.default_value, NULL), FBAT_OK);
        assert_memory_equal(&config, &wanted, sizeof config);
    }
}

static void each_field_has_a_name_of_its_own_a_range_and_a_meaning(void **state) {
    (void)state;
    struct fbat_config_field a, b;
    for (size_t at = 0; fbat_config_field(at, &a) == FBAT_OK; at++) {
        assert_true(*a.name && *a.default_value && *a.range && *a.meaning);
        for (size_t before = 0; before < at; before++) {
            assert_int_equal(fbat_config_field(before, &b), FBAT_OK);
            assert_string_not_equal(a.name, b.name);
        }
    }
    assert_int_equal(fbat_config_field(SIZE_MAX, &a), FBAT_END);
}

/* ---- ranges ---- */

/* Least and greatest value of each field that is a number, in the units of the struct. */
#define RANGE(name, least, most)                                                                                       \
    { #name, offsetof(struct fbat_config, name), sizeof(((struct fbat_config *)0)->name), least, most }

static const struct {
    const char *name;
    size_t offset, size;
    uint64_t least, most;
} ranges[] = {
    RANGE(segment_max_bytes, 1, UINT64_MAX),
    RANGE(fd_budget, 1, UINT32_MAX),
    RANGE(broadcast_capacity, 1, UINT32_MAX),
    RANGE(single_append_max_bytes, 1, 64 << 20),
    RANGE(batch.max_size, 1, 4096),
    RANGE(batch.max_bytes, 1, 16 << 20),
    RANGE(batch.group_commit_max_batch, 0, UINT32_MAX),
    RANGE(writer.channel_capacity, 1, UINT32_MAX),
    RANGE(writer.pressure_retry_threshold_pct, 1, 100),
    RANGE(writer.stack_size, 0, 1 << 30),
    RANGE(writer.shutdown_drain_limit, 0, UINT32_MAX),
    RANGE(sync.mode, 0, 1),
    RANGE(sync.every_n_events, 1, UINT32_MAX),
    RANGE(sync.max_delay_ms, 0, UINT32_MAX),
    RANGE(index.layout, 0, 5),
    RANGE(index.views.soa, 0, 1),
    RANGE(index.views.entity_groups, 0, 1),
    RANGE(index.views.tiles64, 0, 1),
    RANGE(index.incremental_projection, 0, 1),
    RANGE(index.enable_checkpoint, 0, 1),
    RANGE(index.enable_mmap_index, 0, 1),
};

static int validate_with(size_t at, uint64_t value, struct fbat_error *error) {
    struct fbat_config config = fresh();
    memcpy((char *)&config + ranges[at].offset, &value, ranges[at].size);
    return fbat_config_validate(&config, error);
}

static void both_ends_of_each_range_are_valid(void **state) {
    (void)state;
    for (size_t at = 0; at < COUNT_OF(ranges); at++) {
        assert_int_equal(validate_with(at, ranges[at].least, NULL), FBAT_OK);
        assert_int_equal(validate_with(at, ranges[at].most, NULL), FBAT_OK);
    }
}

static void assert_refused(size_t at, uint64_t value) {
    struct fbat_error error;
    struct fbat_config_field field = {.name = ""};
    char number[32];
    assert_int_equal(validate_with(at, value, &error), FBAT_ERR_CONFIG);
    for (size_t row = 0; strcmp(field.name, ranges[at].name) != 0; row++)
        assert_int_equal(fbat_config_field(row, &field), FBAT_OK);
    snprintf(number, sizeof number, " %llu:", (unsigned long long)value);
    assert_int_equal(error.status, FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, ranges[at].name));
    assert_non_null(strstr(error.message, number));
    assert_non_null(strstr(error.message, field.range));
}

static void beyond_each_range_the_error_names_field_value_and_range(void **state) {
    (void)state;
    for (size_t at = 0; at < COUNT_OF(ranges); at++) {
        uint64_t representable = ranges[at].size == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * ranges[at].size) - 1;
        if (ranges[at].least > 0)
            assert_refused(at, ranges[at].least - 1);
        if (ranges[at].most < representable) {
            assert_refused(at, ranges[at].most + 1);
            assert_refused(at, representable);
        }
    }
}

static void every_field_has_been_given_its_range_here(void **state) {
    (void)state;
    /* The two that are no numbers: restart_policy and the list of views. */
    assert_int_equal(field_count(), COUNT_OF(ranges) + 2);
}

static void a_bounded_restart_policy_needs_both_numbers(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    struct fbat_error error;
    config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "writer.restart_policy"));
    config.writer.restart_policy.max_restarts = 3;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    config.writer.restart_policy.within_ms = 1000;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_OK);
    config.writer.restart_policy.mode = (enum fbat_restart_mode)2;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "2"));
}

static void a_directory_is_required_and_not_too_long(void **state) {
    (void)state;
    static char path[5000];
    struct fbat_config config = fresh();
    struct fbat_error error;
    config.data_dir = NULL;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "data_dir"));
    config.data_dir = "";
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    memset(path, 'd', sizeof path - 1);
    config.data_dir = path;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "4999"));
}

static void a_config_that_was_not_initialised_is_refused(void **state) {
    (void)state;
    struct fbat_config config = {.data_dir = "some/dir"};
    struct fbat_error error;
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "fbat_config_init"));
    assert_int_equal(fbat_config_validate(NULL, &error), FBAT_ERR_ARGUMENT);
}

static int never_fail(void *user, const char *point, uint64_t detail) {
    (void)detail;
    (void)user;
    (void)point;
    return 0;
}

static void a_fault_injector_is_for_builds_with_test_hooks(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    struct fbat_error error;
    config.fault_injector = never_fail;
#ifdef FBAT_TEST_HOOKS
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_OK);
#else
    assert_int_equal(fbat_config_validate(&config, &error), FBAT_ERR_CONFIG);
    assert_non_null(strstr(error.message, "fault_injector"));
#endif
}

/* ---- text in ---- */

static uint64_t set_segment_bytes(const char *text) {
    struct fbat_config config = fresh();
    return fbat_config_set(&config, "segment_max_bytes", text, NULL) == FBAT_OK ? config.segment_max_bytes : 0;
}

static void numbers_take_suffixes_of_1024(void **state) {
    (void)state;
    assert_true(set_segment_bytes("12345") == 12345);
    assert_true(set_segment_bytes("3K") == 3 << 10 && set_segment_bytes("3KiB") == 3 << 10);
    assert_true(set_segment_bytes("3M") == 3 << 20 && set_segment_bytes("3MiB") == 3 << 20);
    assert_true(set_segment_bytes("3G") == UINT64_C(3) << 30 && set_segment_bytes("3GiB") == UINT64_C(3) << 30);
    assert_true(set_segment_bytes("3gib") == UINT64_C(3) << 30);
    assert_true(set_segment_bytes("18446744073709551615") == UINT64_MAX);
}

static void what_is_no_number_or_does_not_fit_is_refused_and_changes_nothing(void **state) {
    (void)state;
    static const char *const texts[] = {"",
                                        " ",
                                        "-1",
                                        "+1",
                                        "1 ",
                                        " 1",
                                        "1KB",
                                        "1T",
                                        "0x10",
                                        "1.5",
                                        "K",
                                        "1e3",
                                        "1KiBs",
                                        "18446744073709551616",
                                        "18014398509481984K",
                                        "99999999999999999999G"};
    for (size_t at = 0; at < COUNT_OF(texts); at++) {
        struct fbat_config config = fresh(), before = fresh();
        struct fbat_error error;
        if (fbat_config_set(&config, "segment_max_bytes", texts[at], &error) != FBAT_ERR_CONFIG)
            fail_msg("'%s' was accepted", texts[at]);
        assert_non_null(strstr(error.message, "segment_max_bytes"));
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void text_out_of_range_is_refused_naming_field_value_and_range(void **state) {
    (void)state;
    static const char *const rows[][2] = {
        {"segment_max_bytes", "0"},     {"fd_budget", "4294967296"},   {"batch.max_size", "4097"},
        {"batch.max_bytes", "17M"},     {"sync.every_n_events", "0"},  {"writer.pressure_retry_threshold_pct", "101"},
        {"sync.mode", "none"},          {"index.layout", "aosoa32"},   {"index.views.soa", "maybe"},
        {"index.views", "soa,tiles63"}, {"writer.restart_policy", "x"}};
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        struct fbat_config config = fresh(), before = fresh();
        struct fbat_error error;
        struct fbat_config_field field = {.name = ""};
        assert_int_equal(fbat_config_set(&config, rows[at][0], rows[at][1], &error), FBAT_ERR_CONFIG);
        for (size_t row = 0; strcmp(field.name, rows[at][0]) != 0; row++)
            assert_int_equal(fbat_config_field(row, &field), FBAT_OK);
        assert_non_null(strstr(error.message, rows[at][0]));
        assert_non_null(strstr(error.message, rows[at][1]));
        assert_non_null(strstr(error.message, field.range));
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void a_name_that_is_no_field_is_refused(void **state) {
    (void)state;
    static const char *const names[] = {"", "data_dir", "clock", "batch", "sync.Mode", "segment_max_bytes "};
    for (size_t at = 0; at < COUNT_OF(names); at++) {
        struct fbat_config config = fresh();
        struct fbat_error error;
        assert_int_equal(fbat_config_set(&config, names[at], "1", &error), FBAT_ERR_CONFIG);
        assert_non_null(strstr(error.message, names[at]));
    }
}

static void missing_arguments_are_refused(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    assert_int_equal(fbat_config_set(NULL, "fd_budget", "1", NULL), FBAT_ERR_ARGUMENT);
    assert_int_equal(fbat_config_set(&config, NULL, "1", NULL), FBAT_ERR_ARGUMENT);
    assert_int_equal(fbat_config_set(&config, "fd_budget", NULL, NULL), FBAT_ERR_ARGUMENT);
}

static void flags_have_three_pairs_of_words(void **state) {
    (void)state;
    static const char *const words[][2] = {{"off", "on"}, {"false", "true"}, {"0", "1"}};
    for (size_t at = 0; at < COUNT_OF(words); at++)
        for (uint8_t value = 0; value < 2; value++) {
            struct fbat_config config = fresh();
            config.index.enable_checkpoint = !value;
            assert_int_equal(fbat_config_set(&config, "index.enable_checkpoint", words[at][value], NULL), FBAT_OK);
            assert_int_equal(config.index.enable_checkpoint, value);
        }
}

static void views_are_all_none_or_a_list(void **state) {
    (void)state;
    static const struct {
        const char *text;
        struct fbat_index_views views;
    } rows[] = {
        {"all", {1, 1, 1}},         {"none", {0, 0, 0}},          {"soa", {1, 0, 0}},
        {"tiles64,soa", {1, 0, 1}}, {"entity_groups", {0, 1, 0}}, {"soa,entity_groups,tiles64", {1, 1, 1}},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        struct fbat_config config = fresh();
        assert_int_equal(fbat_config_set(&config, "index.views", rows[at].text, NULL), FBAT_OK);
        assert_memory_equal(&config.index.views, &rows[at].views, sizeof rows[at].views);
    }
}

static void a_restart_policy_is_once_or_bounded_by_two_numbers(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    assert_int_equal(fbat_config_set(&config, "writer.restart_policy", "bounded:3/60000", NULL), FBAT_OK);
    assert_int_equal(config.writer.restart_policy.mode, FBAT_RESTART_BOUNDED);
    assert_int_equal(config.writer.restart_policy.max_restarts, 3);
    assert_int_equal(config.writer.restart_policy.within_ms, 60000);
    assert_int_equal(fbat_config_set(&config, "writer.restart_policy", "once", NULL), FBAT_OK);
    assert_int_equal(config.writer.restart_policy.mode, FBAT_RESTART_ONCE);
    static const char *const bad[] = {"bounded",     "bounded:",     "bounded:3",    "bounded:3/", "bounded:0/1",
                                      "bounded:1/0", "bounded:1/2x", "bounded:-1/5", "twice",      ""};
    for (size_t at = 0; at < COUNT_OF(bad); at++)
        if (fbat_config_set(&config, "writer.restart_policy", bad[at], NULL) != FBAT_ERR_CONFIG)
            fail_msg("'%s' was accepted", bad[at]);
}

/* ---- text out ---- */

/* Sets every line of a formatted configuration in a fresh one. */
static struct fbat_config set_all(const char *text) {
    struct fbat_config config = fresh();
    char line[200];
    while (*text) {
        size_t length = strcspn(text, "\n");
        assert_true(length < sizeof line && text[length] == '\n');
        memcpy(line, text, length);
        line[length] = '\0';
        text += length + 1;
        char *value = strchr(line, '=');
        assert_non_null(value);
        *value++ = '\0';
        if (fbat_config_set(&config, line, value, NULL) != FBAT_OK)
            fail_msg("%s=%s", line, value);
    }
    return config;
}

static void assert_round_trip(const struct fbat_config *config) {
    char text[4096];
    assert_true(fbat_config_format(config, text, sizeof text) < sizeof text);
    struct fbat_config again = set_all(text);
    assert_memory_equal(&again, config, sizeof again);
}

static void what_is_formatted_sets_the_same_values(void **state) {
    (void)state;
    struct fbat_config config = fresh();
    assert_round_trip(&config);
    for (size_t at = 0; at < COUNT_OF(ranges); at++) {
        config = fresh();
        memcpy((char *)&config + ranges[at].offset, &ranges[at].least, ranges[at].size);
        assert_round_trip(&config);
        memcpy((char *)&config + ranges[at].offset, &ranges[at].most, ranges[at].size);
        assert_round_trip(&config);
    }
}

static void restart_policies_of_every_size_are_formatted_and_read_again(void **state) {
    (void)state;
    static const uint32_t numbers[] = {1, 1000, 999999999, 4000000000u, UINT32_MAX};
    for (size_t at = 0; at < COUNT_OF(numbers); at++) {
        struct fbat_config config = fresh();
        config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
        config.writer.restart_policy.max_restarts = numbers[at];
        config.writer.restart_policy.within_ms = numbers[at];
        assert_int_equal(fbat_config_validate(&config, NULL), FBAT_OK);
        assert_round_trip(&config);
    }
}

static void each_field_has_one_line_in_the_order_of_the_table(void **state) {
    (void)state;
    char text[4096], *line = text;
    struct fbat_config config = fresh();
    struct fbat_config_field field;
    fbat_config_format(&config, text, sizeof text);
    for (size_t at = 0; fbat_config_field(at, &field) == FBAT_OK; at++) {
        char wanted[200];
        snprintf(wanted, sizeof wanted, "%s=%s\n", field.name, field.default_value);
        assert_true(strncmp(line, wanted, strlen(wanted)) == 0);
        line += strlen(wanted);
    }
    assert_string_equal(line, "");
}

static void too_small_a_place_is_filled_and_the_size_needed_answered(void **state) {
    (void)state;
    char whole[4096];
    struct fbat_config config = fresh();
    size_t size = fbat_config_format(&config, whole, sizeof whole);
    assert_int_equal(size, strlen(whole));
    assert_int_equal(fbat_config_format(&config, NULL, 0), size);
    for (size_t room = 1; room <= size + 1; room += 1 + room / 8) {
        char *text = (char *)exact_copy(whole, room);
        memset(text, 'x', room);
        assert_int_equal(fbat_config_format(&config, text, room), size);
        assert_int_equal(strlen(text), room - 1);
        assert_true(strncmp(text, whole, room - 1) == 0);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_those_of_the_header),
        cmocka_unit_test(the_defaults_are_valid),
        cmocka_unit_test(each_default_text_sets_the_default_value),
        cmocka_unit_test(each_field_has_a_name_of_its_own_a_range_and_a_meaning),
        cmocka_unit_test(both_ends_of_each_range_are_valid),
        cmocka_unit_test(beyond_each_range_the_error_names_field_value_and_range),
        cmocka_unit_test(every_field_has_been_given_its_range_here),
        cmocka_unit_test(a_bounded_restart_policy_needs_both_numbers),
        cmocka_unit_test(a_directory_is_required_and_not_too_long),
        cmocka_unit_test(a_config_that_was_not_initialised_is_refused),
        cmocka_unit_test(a_fault_injector_is_for_builds_with_test_hooks),
        cmocka_unit_test(numbers_take_suffixes_of_1024),
        cmocka_unit_test(what_is_no_number_or_does_not_fit_is_refused_and_changes_nothing),
        cmocka_unit_test(text_out_of_range_is_refused_naming_field_value_and_range),
        cmocka_unit_test(a_name_that_is_no_field_is_refused),
        cmocka_unit_test(missing_arguments_are_refused),
        cmocka_unit_test(flags_have_three_pairs_of_words),
        cmocka_unit_test(views_are_all_none_or_a_list),
        cmocka_unit_test(a_restart_policy_is_once_or_bounded_by_two_numbers),
        cmocka_unit_test(what_is_formatted_sets_the_same_values),
        cmocka_unit_test(restart_policies_of_every_size_are_formatted_and_read_again),
        cmocka_unit_test(each_field_has_one_line_in_the_order_of_the_table),
        cmocka_unit_test(too_small_a_place_is_filled_and_the_size_needed_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
