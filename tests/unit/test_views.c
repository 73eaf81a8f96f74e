/* SPDX-License-Identifier: Apache-2.0 */
/* The views of one segment: what they hold, in memory and in a footer, and what is done without them. */
#include "fixture.h"

#include "support/test.h"

enum { EVENTS = 300 };

static const struct log_event *event_number(unsigned number) {
    static char entities[8][16], scopes[3][16];
    static struct log_event event;
    snprintf(entities[number % 8], sizeof entities[0], "e%u", number % 8);
    snprintf(scopes[number % 3], sizeof scopes[0], "s%u", number % 3);
    event = (struct log_event){
        .scope = scopes[number % 3], .entity = entities[number % 8], .kind = (uint16_t)(0x1000 + number % 5)};
    return &event;
}

static void fill(struct log *log, unsigned from, unsigned count) {
    for (unsigned number = from; number < from + count; number++)
        log_append(log, event_number(number), 1);
}

/* The first segment, sealed. */
static struct segment_index *sealed_of(struct log *log) {
    return log->directory.current->slots[0]->index;
}

static void want(struct log *log, bool columns, bool groups, bool tiles) {
    struct fbat_config config;
    fbat_config_init(&config, LOG_DIR);
    config.index.views.soa = columns;
    config.index.views.entity_groups = groups;
    config.index.views.tiles64 = tiles;
    segment_index_want_views(log->active, &config);
}

static void views_say_what_the_rows_say_in_memory_and_in_the_footer(void **state) {
    struct log *log = *state;
    fill(log, 0, EVENTS);
    assert_null(views_find_fault(log->active));
    log_rotate(log);
    struct segment_index *sealed = sealed_of(log);
    assert_true(sealed->sealed);
    assert_true(sealed->views.has_columns && sealed->views.has_tiles && sealed->views.has_groups &&
                sealed->views.has_scopes);
    assert_null(views_find_fault(sealed));
    for (unsigned at = 0; at < EVENTS; at++)
        assert_int_equal(views_kinds(&sealed->views, at / 64)[at % 64], 0x1000 + at % 5);
    assert_int_equal(views_tile(&sealed->views, 4).scopes, 7);
}

static void a_view_that_is_off_is_neither_built_nor_written(void **state) {
    struct log *log = *state;
    for (unsigned combination = 0; combination < 8; combination++) {
        bool columns = combination & 1, groups = combination & 2, tiles = combination & 4;
        want(log, columns, groups, tiles);
        fill(log, 0, EVENTS);
        assert_true((log->active->views.kinds.memory_bytes > 0) == columns);
        assert_true((log->active->views.groups.memory_bytes > 0) == groups);
        assert_true((log->active->views.tiles.memory_bytes > 0) == tiles);
        assert_null(views_find_fault(log->active));
        log_rotate(log);
        const struct views *views = &log->directory.current->slots[combination]->index->views;
        assert_true(views->has_columns == columns && views->has_groups == groups && views->has_tiles == tiles &&
                    views->has_scopes == (columns || tiles));
        assert_null(views_find_fault(log->directory.current->slots[combination]->index));
    }
}

static void scopes_are_found_by_name_up_to_a_limit(void **state) {
    struct log *log = *state;
    uint16_t number = 77;
    fill(log, 0, EVENTS);
    assert_int_equal(views_find_scope(log->active, EVENTS, fbat_text("s2"), &number), VIEWS_FOUND);
    assert_int_equal(number, 2);
    assert_int_equal(views_find_scope(log->active, 2, fbat_text("s2"), &number), VIEWS_ABSENT); /* comes third */
    assert_int_equal(views_find_scope(log->active, EVENTS, fbat_text("s"), &number), VIEWS_ABSENT);
}

static void scopes_without_views_are_unknown(void **state) {
    struct log *log = *state;
    uint16_t number = 77;
    want(log, false, true, false);
    fill(log, 0, 10);
    assert_int_equal(views_find_scope(log->active, 10, fbat_text("s2"), &number), VIEWS_UNKNOWN);
    assert_int_equal(number, 77);
}

/* What is left when a footer's views have other counts than they should: none. */
static void views_of_another_size_count_as_absent(void **state) {
    struct log *log = *state;
    fill(log, 0, EVENTS);
    log_rotate(log);
    struct segment *segment = sealed_of(log)->segment;
    struct footer footer;
    struct views views;
    assert_null(footer_decode(segment->map, segment->file_bytes, &footer));
    for (uint32_t part = FOOTER_PART_NEEDED; part < footer.part_count; part++)
        footer.parts[part].count += footer.parts[part].type != FOOTER_PART_GROUPS;
    views_init(&views);
    views_attach(&views, segment->map, &footer);
    assert_false(views.has_columns);
    assert_false(views.has_tiles);
    views_deinit(&views);
}

static void what_a_view_says_wrong_is_found(void **state) {
    struct log *log = *state;
    fill(log, 0, EVENTS);
    struct views *views = &log->active->views;
    uint16_t *kind = chunks_at(&views->kinds, 100), *scope = chunks_at(&views->scope_numbers, 200);
    struct footer_tile *tile = chunks_at(&views->tiles, 3);
    struct footer_group *group = chunks_at(&views->groups, 5);
    struct footer_scope *entry = chunks_at(&views->scopes, 1);
    *kind ^= 1;
    assert_non_null(strstr(views_find_fault(log->active), "kinds"));
    *kind ^= 1;
    *scope ^= 1;
    assert_non_null(strstr(views_find_fault(log->active), "scopes"));
    *scope ^= 1;
    tile->kinds &= tile->kinds - 1;
    assert_non_null(strstr(views_find_fault(log->active), "tiles"));
    tile->kinds = footer_kind_bits(0x1000) | footer_kind_bits(0x1001) | footer_kind_bits(0x1002) |
                  footer_kind_bits(0x1003) | footer_kind_bits(0x1004);
    group->rows[7]++;
    assert_non_null(strstr(views_find_fault(log->active), "groups"));
    group->rows[7]--;
    entry->name_hash ^= 1;
    assert_non_null(strstr(views_find_fault(log->active), "scopes"));
    entry->name_hash ^= 1;
    assert_null(views_find_fault(log->active));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        LOG_TEST(views_say_what_the_rows_say_in_memory_and_in_the_footer),
        LOG_TEST(a_view_that_is_off_is_neither_built_nor_written),
        LOG_TEST(scopes_are_found_by_name_up_to_a_limit),
        LOG_TEST(scopes_without_views_are_unknown),
        LOG_TEST(views_of_another_size_count_as_absent),
        LOG_TEST(what_a_view_says_wrong_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
