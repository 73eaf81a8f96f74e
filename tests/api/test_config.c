/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: defaults, ranges, names, text. */
#include "fixture.h"

static struct fbat_config defaults(void) {
    struct fbat_config config;
    fbat_config_init(&config, "somewhere");
    return config;
}

static void defaults_are_as_documented(void **state) {
    (void)state;
    struct fbat_config config = defaults();
    assert_int_equal(config.struct_size, sizeof config);
    assert_string_equal(config.data_dir, "somewhere");
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
    assert_int_equal(config.index.views.soa + config.index.views.entity_groups + config.index.views.tiles64, 3);
    assert_int_equal(config.index.incremental_projection, 0);
    assert_int_equal(config.index.enable_checkpoint, 1);
    assert_int_equal(config.index.enable_mmap_index, 1);
    assert_true(!config.clock && !config.log && !config.fault_injector);
    assert_ok(fbat_config_validate(&config, &fault));
}

/* ---- values ---- */

struct value_row {
    const char *name;
    const char *least, *most;  /* accepted, and shown as they stand */
    const char *below, *above; /* refused; NULL: there is none */
};

static const struct value_row values[] = {
    {"segment_max_bytes", "1", "7GiB", "0", "18446744073709551616"},
    {"fd_budget", "1", "4294967295", "0", "4294967296"},
    {"broadcast_capacity", "1", "4294967295", "0", "4294967296"},
    {"single_append_max_bytes", "1", "64MiB", "0", "67108865"},
    {"batch.max_size", "1", "4096", "0", "4097"},
    {"batch.max_bytes", "1", "16MiB", "0", "16777217"},
    {"batch.group_commit_max_batch", "0", "4294967295", "-1", "4294967296"},
    {"writer.channel_capacity", "1", "4294967295", "0", "4294967296"},
    {"writer.pressure_retry_threshold_pct", "1", "100", "0", "101"},
    {"writer.stack_size", "0", "1GiB", "-1", "1073741825"},
    {"writer.restart_policy", "once", "bounded:3/1000", "bounded:0/1000", "bounded:3/0"},
    {"writer.shutdown_drain_limit", "0", "4294967295", "-1", "4294967296"},
    {"sync.mode", "all", "data", "", "some"},
    {"sync.every_n_events", "1", "4294967295", "0", "4294967296"},
    {"sync.max_delay_ms", "0", "4294967295", "-1", "4294967296"},
    {"index.layout", "aos", "soaos", "", "aosoa32"},
    {"index.views", "none", "soa,tiles64", "", "soa,tiles"},
    {"index.views.soa", "off", "on", "2", "maybe"},
    {"index.views.entity_groups", "off", "on", "2", "maybe"},
    {"index.views.tiles64", "off", "on", "2", "maybe"},
    {"index.incremental_projection", "off", "on", "2", "maybe"},
    {"index.enable_checkpoint", "off", "on", "2", "maybe"},
    {"index.enable_mmap_index", "off", "on", "2", "maybe"},
};

enum { VALUES = sizeof values / sizeof values[0] };

static void assert_value_refused(const char *name, const char *value) {
    struct fbat_config config = defaults(), before = config;
    assert_status(FBAT_ERR_CONFIG, fbat_config_set(&config, name, value, &fault));
    assert_memory_equal(&config, &before, sizeof config);
    assert_int_equal(fault.status, FBAT_ERR_CONFIG);
    assert_message_has(name);
    assert_message_has(value);
}

static void assert_value_accepted(const char *name, const char *value) {
    struct fbat_config config = defaults();
    char text[4096], line[256];
    assert_ok(fbat_config_set(&config, name, value, &fault));
    assert_ok(fbat_config_validate(&config, &fault));
    size_t size = fbat_config_format(&config, text, sizeof text);
    assert_int_equal(size, strlen(text));
    snprintf(line, sizeof line, "%s=%s\n", name, value);
    const char *found = strstr(text, line);
    assert_true(found && (found == text || found[-1] == '\n'));
}

static void each_field_takes_its_range_and_no_more(void **state) {
    (void)state;
    for (size_t at = 0; at < VALUES; at++) {
        assert_value_accepted(values[at].name, values[at].least);
        assert_value_accepted(values[at].name, values[at].most);
        assert_value_refused(values[at].name, values[at].below);
        assert_value_refused(values[at].name, values[at].above);
        assert_value_refused(values[at].name, "");
        assert_value_refused(values[at].name, "1 2");
    }
}

/* Every field of the table is tested above, and no other. */
static void table_of_fields_is_complete(void **state) {
    (void)state;
    struct fbat_config config = defaults();
    struct fbat_config_field field;
    size_t count = 0;
    for (; fbat_config_field(count, &field) == FBAT_OK; count++) {
        size_t at = 0;
        while (at < VALUES && strcmp(values[at].name, field.name) != 0)
            at++;
        assert_true(at < VALUES);
        assert_true(strlen(field.range) > 0 && strlen(field.meaning) > 0);
        struct fbat_config set = config;
        assert_ok(fbat_config_set(&set, field.name, field.default_value, &fault));
        assert_memory_equal(&set, &config, sizeof set); /* the default named is the default */
    }
    assert_int_equal(count, VALUES);
    assert_status(FBAT_END, fbat_config_field(count, &field));
    assert_status(FBAT_END, fbat_config_field(SIZE_MAX, &field));
}

static void numbers_take_suffixes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } rows[] = {{"7", 7},          {"3K", 3 << 10},  {"3KiB", 3 << 10},  {"3M", 3 << 20},
                {"3MiB", 3 << 20}, {"2G", 2u << 30}, {"2GiB", 2u << 30}, {"18446744073709551615", UINT64_MAX}};
    static const char *const bad[] = {"3X", "3KB", "K", "0x10", "+3", " 3", "3 ", "1.5M", "17179869184G", "3KiBi"};
    struct fbat_config config = defaults();
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        assert_ok(fbat_config_set(&config, "segment_max_bytes", rows[at].text, &fault));
        assert_true(config.segment_max_bytes == rows[at].value);
    }
    for (size_t at = 0; at < sizeof bad / sizeof bad[0]; at++)
        assert_value_refused("segment_max_bytes", bad[at]);
}

static void flags_take_several_words(void **state) {
    (void)state;
    static const char *const on[] = {"on", "true", "1"}, *const off[] = {"off", "false", "0"};
    struct fbat_config config = defaults();
    for (int at = 0; at < 3; at++) {
        assert_ok(fbat_config_set(&config, "index.enable_checkpoint", off[at], &fault));
        assert_int_equal(config.index.enable_checkpoint, 0);
        assert_ok(fbat_config_set(&config, "index.enable_checkpoint", on[at], &fault));
        assert_int_equal(config.index.enable_checkpoint, 1);
    }
}

static void views_are_all_none_or_a_list(void **state) {
    (void)state;
    struct fbat_config config = defaults();
    assert_ok(fbat_config_set(&config, "index.views", "entity_groups", &fault));
    assert_int_equal(config.index.views.soa, 0);
    assert_int_equal(config.index.views.entity_groups, 1);
    assert_int_equal(config.index.views.tiles64, 0);
    assert_ok(fbat_config_set(&config, "index.views", "tiles64,soa", &fault));
    assert_int_equal(config.index.views.soa, 1);
    assert_int_equal(config.index.views.entity_groups, 0);
    assert_int_equal(config.index.views.tiles64, 1);
    assert_ok(fbat_config_set(&config, "index.views", "none", &fault));
    assert_int_equal(config.index.views.soa + config.index.views.tiles64, 0);
    assert_ok(fbat_config_set(&config, "index.views", "all", &fault));
    assert_int_equal(config.index.views.soa + config.index.views.entity_groups + config.index.views.tiles64, 3);
    assert_value_refused("index.views", "soa,,tiles64");
    assert_value_refused("index.views", "soa,");
}

static void unknown_fields_are_named(void **state) {
    (void)state;
    static const char *const unknown[] = {"", "sync", "sync.", "data_dir", "clock", "Sync.mode", "sync.mode "};
    struct fbat_config config = defaults();
    for (size_t at = 0; at < sizeof unknown / sizeof unknown[0]; at++) {
        assert_status(FBAT_ERR_CONFIG, fbat_config_set(&config, unknown[at], "1", &fault));
        assert_message_has(unknown[at]);
    }
    assert_status(FBAT_ERR_ARGUMENT, fbat_config_set(NULL, "a", "1", &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_config_set(&config, NULL, "1", &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_config_set(&config, "fd_budget", NULL, NULL));
}

/* What is formatted can be set again, line by line, and is cut off like snprintf's. */
static void formatted_configuration_can_be_set_again(void **state) {
    (void)state;
    struct fbat_config config = defaults(), read = defaults();
    config.segment_max_bytes = 12345;
    config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    config.writer.restart_policy.max_restarts = 5;
    config.writer.restart_policy.within_ms = 60000;
    config.index.layout = FBAT_LAYOUT_AOSOA16;
    config.index.views.soa = 0;
    config.sync.mode = FBAT_SYNC_DATA;
    char text[4096], cut[100];
    size_t size = fbat_config_format(&config, text, sizeof text);
    assert_int_equal(fbat_config_format(&config, NULL, 0), size);
    assert_int_equal(fbat_config_format(&config, cut, sizeof cut), size);
    assert_int_equal(strlen(cut), sizeof cut - 1);
    assert_memory_equal(cut, text, sizeof cut - 1);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *value = strchr(line, '=');
        assert_non_null(value);
        *value++ = '\0';
        assert_ok(fbat_config_set(&read, line, value, &fault));
    }
    assert_memory_equal(&read, &config, sizeof config);
}

/* ---- fields set by hand ---- */

static void assert_invalid(const struct fbat_config *config, const char *field) {
    assert_status(FBAT_ERR_CONFIG, fbat_config_validate(config, &fault));
    assert_message_has(field);
    assert_status(FBAT_ERR_CONFIG, fbat_config_validate(config, NULL));
}

static int fail_nowhere(void *user, const char *point, uint64_t detail) {
    (void)detail;
    (void)user, (void)point;
    return 0;
}

static void validation_names_the_field(void **state) {
    (void)state;
    struct fbat_config config;
#define INVALID(field, name)                                                                                           \
    do {                                                                                                               \
        config = defaults();                                                                                           \
        field;                                                                                                         \
        assert_invalid(&config, name);                                                                                 \
    } while (0)
    INVALID(config.struct_size = 1, "struct_size");
    INVALID(config.data_dir = NULL, "data_dir");
    INVALID(config.data_dir = "", "data_dir");
    INVALID(config.segment_max_bytes = 0, "segment_max_bytes");
    INVALID(config.fd_budget = 0, "fd_budget");
    INVALID(config.broadcast_capacity = 0, "broadcast_capacity");
    INVALID(config.single_append_max_bytes = (64 << 20) + 1, "single_append_max_bytes");
    INVALID(config.batch.max_size = 4097, "batch.max_size");
    INVALID(config.batch.max_bytes = 0, "batch.max_bytes");
    INVALID(config.writer.channel_capacity = 0, "writer.channel_capacity");
    INVALID(config.writer.pressure_retry_threshold_pct = 101, "writer.pressure_retry_threshold_pct");
    INVALID(config.writer.restart_policy.mode = (enum fbat_restart_mode)2, "writer.restart_policy");
    INVALID(config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED, "writer.restart_policy");
    INVALID(config.sync.mode = (enum fbat_sync_mode)2, "sync.mode");
    INVALID(config.sync.every_n_events = 0, "sync.every_n_events");
    INVALID(config.index.layout = (enum fbat_index_layout)6, "index.layout");
    INVALID(config.index.views.soa = 2, "index.views.soa");
    INVALID(config.index.enable_mmap_index = 255, "index.enable_mmap_index");
#undef INVALID
    assert_status(FBAT_ERR_ARGUMENT, fbat_config_validate(NULL, &fault));
    char *path = malloc(5000);
    assert_non_null(path);
    memset(path, 'p', 4999);
    path[4999] = '\0';
    config = defaults();
    config.data_dir = path;
    assert_invalid(&config, "data_dir");
    free(path);
}

static void fault_injector_needs_test_hooks(void **state) {
    (void)state;
    struct fbat_config config = defaults();
    config.fault_injector = fail_nowhere;
#ifdef FBAT_TEST_HOOKS
    assert_ok(fbat_config_validate(&config, &fault));
#else
    assert_invalid(&config, "fault_injector");
#endif
}

/* Fields whose effect comes later are taken in every value, and the store works. */
static void store_works_with_every_kept_field_at_its_edges(void **state) {
    struct fixture *fixture = *state;
    struct fbat_config plain = fixture->config;
    for (int edge = 0; edge < 2; edge++) {
        for (size_t at = 0; at < VALUES; at++) {
            fixture->config = plain;
            assert_ok(
                fbat_config_set(&fixture->config, values[at].name, edge ? values[at].most : values[at].least, &fault));
            fixture->config.batch.group_commit_max_batch &= 1; /* else every append needs a key */
            open_store(fixture);
            append_text(fixture->store, "one", "scope", "p");
            close_store(fixture);
        }
    }
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 2 * VALUES);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(each_field_takes_its_range_and_no_more),
        cmocka_unit_test(table_of_fields_is_complete),
        cmocka_unit_test(numbers_take_suffixes),
        cmocka_unit_test(flags_take_several_words),
        cmocka_unit_test(views_are_all_none_or_a_list),
        cmocka_unit_test(unknown_fields_are_named),
        cmocka_unit_test(formatted_configuration_can_be_set_again),
        cmocka_unit_test(validation_names_the_field),
        cmocka_unit_test(fault_injector_needs_test_hooks),
        behaviour(store_works_with_every_kept_field_at_its_edges),
    };
    return cmocka_run_group_tests_name("api: configuration", tests, NULL, NULL);
}
