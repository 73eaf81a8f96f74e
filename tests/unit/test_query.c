/* SPDX-License-Identifier: Apache-2.0 */
/* Queries over hand-made events in three segments: each way to narrow alone and together, directions, limits, snapshots. */
#include "fixture.h"

#include "index/query.h"

/* Sequences are places in this table, from 1. Segments end after 4 and 8. */
static const struct log_event events[] = {
    {.entity = "order-1", .kind = 0x1001, .recorded_us = 100},                    /* 1 */
    {.entity = "order-2", .kind = 0x1001, .recorded_us = 200},                    /* 2 */
    {.entity = "_kinds", .scope = "_system", .kind = 0x0001, .recorded_us = 200}, /* 3 */
    {.entity = "order-1", .kind = 0x1002, .recorded_us = 200},                    /* 4 */
    {.entity = "order-1", .scope = "depot", .kind = 0x2001, .recorded_us = 300},  /* 5 */
    {.entity = "order-10", .kind = 0x1001, .recorded_us = 300},                   /* 6 */
    {.entity = "customer-1", .kind = 0x2002, .recorded_us = 400},                 /* 7 */
    {.entity = "order-1", .kind = 0x1001, .recorded_us = 500},                    /* 8 */
    {.entity = "order-2", .scope = "depot", .kind = 0x2001, .recorded_us = 500},  /* 9 */
    {.entity = "order-1", .kind = 0x1003, .recorded_us = 600},                    /* 10 */
    {.entity = "order-3", .kind = 0x1001, .recorded_us = 700},                    /* 11 */
};

static int enter_filled(void **state) {
    enter_log(state);
    struct log *log = *state;
    log_append(log, events, 2);
    log_append(log, events + 2, 2);
    log_rotate(log);
    log_append(log, events + 4, 3);
    log_append(log, events + 7, 1);
    log_rotate(log);
    log_append(log, events + 8, 3);
    return 0;
}

struct ask {
    const char *entity, *scope;
    struct fbat_region region; /* the rest of it */
    struct fbat_query_options options;
};

static void start(struct log *log, const struct ask *ask, struct query *query) {
    struct fbat_region region = ask->region;
    struct fbat_query_options options = ask->options;
    region.struct_size = sizeof region;
    region.entity = fbat_text(ask->entity);
    region.scope = fbat_text(ask->scope);
    options.struct_size = sizeof options;
    assert_int_equal(query_init(query, directory_acquire(&log->directory), directory_visible(&log->directory), &region,
                                &options, NULL),
                     FBAT_OK);
}

/* Runs a query and writes the sequences found as "1 2 5". */
static void collect(struct query *query, char *text, size_t room) {
    struct segment_index *index;
    uint32_t position;
    int status;
    text[0] = '\0';
    while ((status = query_next(query, &index, &position, NULL)) == FBAT_OK) {
        size_t used = strlen(text);
        snprintf(text + used, room - used, "%s%llu", used ? " " : "",
                 (unsigned long long)segment_index_row(index, position)->sequence);
    }
    assert_int_equal(status, FBAT_END);
    assert_int_equal(query_next(query, &index, &position, NULL), FBAT_END);
}

/* Reverses "1 2 5" to "5 2 1". */
static void reverse_words(const char *text, char *to, size_t room) {
    to[0] = '\0';
    for (size_t end = strlen(text); end > 0;) {
        size_t begin = end;
        while (begin > 0 && text[begin - 1] != ' ')
            begin--;
        size_t used = strlen(to);
        snprintf(to + used, room - used, "%s%.*s", used ? " " : "", (int)(end - begin), text + begin);
        end = begin > 0 ? begin - 1 : 0;
    }
}

/* The same answer whichever views may be asked. */
static void assert_forward(struct log *log, const struct ask *ask, const char *wanted) {
    for (unsigned views = 0; views < 8; views++) {
        struct query query;
        char got[256];
        start(log, ask, &query);
        query.views = (struct views_wanted){.columns = views & 1, .groups = views & 2, .tiles = views & 4};
        collect(&query, got, sizeof got);
        query_deinit(&query);
        assert_string_equal(got, wanted);
    }
}

/* The same answer in both directions. */
static void assert_found(struct log *log, struct ask ask, const char *wanted) {
    char reversed[256];
    assert_forward(log, &ask, wanted);
    reverse_words(wanted, reversed, sizeof reversed);
    ask.options.direction = FBAT_BACKWARD;
    assert_forward(log, &ask, reversed);
}

#define ASK(...) ((struct ask){__VA_ARGS__})

/* ---- each narrowing alone ---- */

static void everything_is_the_callers_events(void **state) {
    assert_found(*state, ASK(0), "1 2 4 5 6 7 8 9 10 11");
}

static void no_region_and_no_options_are_everything_forward(void **state) {
    struct log *log = *state;
    struct query query;
    char got[256];
    assert_int_equal(
        query_init(&query, directory_acquire(&log->directory), directory_visible(&log->directory), NULL, NULL, NULL),
        FBAT_OK);
    collect(&query, got, sizeof got);
    query_deinit(&query);
    assert_string_equal(got, "1 2 4 5 6 7 8 9 10 11");
}

static void the_librarys_own_events_come_only_when_asked_for(void **state) {
    assert_found(*state, ASK(.region.flags = FBAT_REGION_SYSTEM), "1 2 3 4 5 6 7 8 9 10 11");
    assert_found(*state, ASK(.scope = "_system"), "");
    assert_found(*state, ASK(.scope = "_system", .region.flags = FBAT_REGION_SYSTEM), "3");
    assert_found(*state, ASK(.region.kind = 0x0001), "");
}

static void an_entity_alone_is_found_in_every_scope(void **state) {
    assert_found(*state, ASK(.entity = "order-1"), "1 4 5 8 10");
    assert_found(*state, ASK(.entity = "order-2"), "2 9");
    assert_found(*state, ASK(.entity = "order"), "");
    assert_found(*state, ASK(.entity = "order-100"), "");
}

static void an_entity_prefix_is_found_in_every_scope(void **state) {
    assert_found(*state, ASK(.entity = "order-1", .region.flags = FBAT_REGION_ENTITY_PREFIX), "1 4 5 6 8 10");
    assert_found(*state, ASK(.entity = "order-", .region.flags = FBAT_REGION_ENTITY_PREFIX), "1 2 4 5 6 8 9 10 11");
    assert_found(*state, ASK(.entity = "customer-12", .region.flags = FBAT_REGION_ENTITY_PREFIX), "");
}

static void an_empty_prefix_matches_all(void **state) {
    assert_found(*state, ASK(.region.flags = FBAT_REGION_ENTITY_PREFIX), "1 2 4 5 6 7 8 9 10 11");
}

static void a_scope_alone_is_all_its_streams(void **state) {
    assert_found(*state, ASK(.scope = "depot"), "5 9");
    assert_found(*state, ASK(.scope = "shop"), "1 2 4 6 7 8 10 11");
    assert_found(*state, ASK(.scope = "dep"), "");
}

static void entity_and_scope_are_one_stream(void **state) {
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop"), "1 4 8 10");
    assert_found(*state, ASK(.entity = "order-1", .scope = "depot"), "5");
    assert_found(*state, ASK(.entity = "order-3", .scope = "depot"), "");
    assert_found(*state, ASK(.entity = "nobody", .scope = "nowhere"), "");
}

static void a_prefix_within_a_scope(void **state) {
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .region.flags = FBAT_REGION_ENTITY_PREFIX),
                 "1 4 6 8 10");
    assert_found(*state, ASK(.entity = "order", .scope = "depot", .region.flags = FBAT_REGION_ENTITY_PREFIX), "5 9");
}

static void a_kind_is_exact(void **state) {
    assert_found(*state, ASK(.region.kind = 0x1001), "1 2 6 8 11");
    assert_found(*state, ASK(.region.kind = 0x1003), "10");
    assert_found(*state, ASK(.region.kind = 0x1004), "");
}

static void a_category_is_all_its_kinds(void **state) {
    assert_found(*state, ASK(.region.category = 1), "1 2 4 6 8 10 11");
    assert_found(*state, ASK(.region.category = 2), "5 7 9");
    assert_found(*state, ASK(.region.category = 15), "");
}

static void revisions_include_both_ends(void **state) {
    assert_found(*state, ASK(.region.revision_min = 2), "4 8 10");
    assert_found(*state, ASK(.region.revision_max = 1), "1 2 5 6 7 9 11");
    assert_found(*state, ASK(.region.revision_min = 2, .region.revision_max = 3), "4 8");
    assert_found(*state, ASK(.region.revision_min = 3, .region.revision_max = 2), "");
}

static void sequences_include_both_ends(void **state) {
    assert_found(*state, ASK(.region.sequence_min = 8), "8 9 10 11");
    assert_found(*state, ASK(.region.sequence_max = 4), "1 2 4");
    assert_found(*state, ASK(.region.sequence_min = 4, .region.sequence_max = 6), "4 5 6");
    assert_found(*state, ASK(.region.sequence_min = 1, .region.sequence_max = 1), "1");
    assert_found(*state, ASK(.region.sequence_min = 11, .region.sequence_max = 11), "11");
    assert_found(*state, ASK(.region.sequence_min = 12), "");
    assert_found(*state, ASK(.region.sequence_min = 6, .region.sequence_max = 4), "");
    assert_found(*state, ASK(.region.sequence_max = UINT64_MAX), "1 2 4 5 6 7 8 9 10 11");
}

static void times_include_both_ends_and_all_events_of_a_microsecond(void **state) {
    assert_found(*state, ASK(.region.time_min_us = 300), "5 6 7 8 9 10 11");
    assert_found(*state, ASK(.region.time_max_us = 200), "1 2 4");
    assert_found(*state, ASK(.region.time_min_us = 200, .region.time_max_us = 300), "2 4 5 6");
    assert_found(*state, ASK(.region.time_min_us = 500, .region.time_max_us = 500), "8 9");
    assert_found(*state, ASK(.region.time_min_us = 501, .region.time_max_us = 599), "");
    assert_found(*state, ASK(.region.time_min_us = 701), "");
    assert_found(*state, ASK(.region.time_max_us = INT64_MAX), "1 2 4 5 6 7 8 9 10 11");
}

static void narrowings_together_all_hold(void **state) {
    assert_found(*state, ASK(.scope = "shop", .region.kind = 0x1001, .region.time_min_us = 200), "2 6 8 11");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .region.sequence_min = 2, .region.sequence_max = 9),
                 "4 8");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .region.revision_min = 4), "10");
    assert_found(*state,
                 ASK(.entity = "order-1", .scope = "shop", .region.time_min_us = 500, .region.time_max_us = 500), "8");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .region.kind = 0x1001), "1 8");
    assert_found(*state, ASK(.region.category = 2, .region.kind = 0x1001), "");
    assert_found(*state, ASK(.scope = "depot", .region.sequence_min = 6, .region.category = 2), "9");
}

/* ---- limits and snapshots ---- */

static void a_limit_stops_after_so_many_that_match(void **state) {
    assert_forward(*state, &ASK(.options.limit = 3), "1 2 4");
    assert_forward(*state, &ASK(.options.limit = 3, .options.direction = FBAT_BACKWARD), "11 10 9");
    assert_forward(*state, &ASK(.entity = "order-1", .scope = "shop", .options.limit = 2), "1 4");
    assert_forward(*state, &ASK(.region.kind = 0x1001, .options.limit = 4), "1 2 6 8");
    assert_forward(*state, &ASK(.options.limit = 100), "1 2 4 5 6 7 8 9 10 11");
}

/* The batches are 1 2, 3 4, 5 6 7, and 9 10 11. */
static void a_snapshot_within_a_batch_stands_before_it(void **state) {
    assert_found(*state, ASK(.options.snapshot = 6), "1 2 4");
    assert_found(*state, ASK(.options.snapshot = 5), "1 2 4");
    assert_found(*state, ASK(.options.snapshot = 10), "1 2 4 5 6 7 8");
    assert_found(*state, ASK(.options.snapshot = 11), "1 2 4 5 6 7 8 9 10 11");
    assert_found(*state, ASK(.options.snapshot = 1), "");
}

static void a_snapshot_hides_what_came_after_it(void **state) {
    assert_found(*state, ASK(.options.snapshot = 7), "1 2 4 5 6 7");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .options.snapshot = 8), "1 4 8");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop", .options.snapshot = 7), "1 4");
    assert_found(*state, ASK(.scope = "depot", .options.snapshot = 8), "5");
    assert_found(*state, ASK(.options.snapshot = 1000), "1 2 4 5 6 7 8 9 10 11");
}

static void what_is_appended_later_is_not_seen(void **state) {
    struct log *log = *state;
    struct query forward, backward, stream;
    char got[256];
    start(log, &ASK(0), &forward);
    start(log, &ASK(.options.direction = FBAT_BACKWARD, .options.limit = 2), &backward);
    start(log, &ASK(.entity = "order-3", .scope = "shop"), &stream);
    log_append(log, &(struct log_event){.entity = "order-3"}, 1);
    log_rotate(log);
    log_append(log, &(struct log_event){.entity = "order-3"}, 1);
    collect(&forward, got, sizeof got);
    assert_string_equal(got, "1 2 4 5 6 7 8 9 10 11");
    collect(&backward, got, sizeof got);
    assert_string_equal(got, "11 10");
    collect(&stream, got, sizeof got);
    assert_string_equal(got, "11");
    query_deinit(&forward);
    query_deinit(&backward);
    query_deinit(&stream);
}

static void a_batch_that_is_not_published_is_not_seen(void **state) {
    struct log *log = *state;
    static const struct log_event batch[] = {{.entity = "order-3"}, {.entity = "order-4"}};
    log_append_hidden(log, batch, 2);
    assert_found(log, ASK(.region.sequence_min = 10), "10 11");
    assert_found(log, ASK(.entity = "order-3"), "11");
    assert_found(log, ASK(.entity = "order-3", .scope = "shop"), "11");
    assert_found(log, ASK(.entity = "order-4", .scope = "shop"), "");
    segment_index_publish(log->active); /* the rows are there, but not yet visible */
    assert_found(log, ASK(.entity = "order-3", .scope = "shop"), "11");
    assert_found(log, ASK(.entity = "order-4"), "");
    directory_set_visible(&log->directory, 13);
    assert_found(log, ASK(.entity = "order-3", .scope = "shop"), "11 12");
    assert_found(log, ASK(.entity = "order-4"), "13");
}

static void the_regions_names_are_copied(void **state) {
    struct log *log = *state;
    struct query query;
    char entity[] = "order-2", scope[] = "depot", got[64];
    start(log, &ASK(.entity = entity, .scope = scope), &query);
    memset(entity, 'x', sizeof entity - 1);
    memset(scope, 'x', sizeof scope - 1);
    collect(&query, got, sizeof got);
    assert_string_equal(got, "9");
    query_deinit(&query);
}

static void an_empty_log_answers_nothing(void **state) {
    assert_found(*state, ASK(0), "");
    assert_found(*state, ASK(.entity = "order-1", .scope = "shop"), "");
    assert_found(*state, ASK(.scope = "shop"), "");
}

/* ---- plans ---- */

static void assert_planned(struct log *log, struct ask ask, unsigned strategies, uint64_t opened) {
    struct query query;
    char got[256];
    start(log, &ask, &query);
    collect(&query, got, sizeof got);
    assert_int_equal(query.effort.strategies, strategies);
    assert_int_equal(query.effort.segments_opened, opened);
    assert_int_equal(query.effort.segments_opened + query.effort.segments_skipped, 3);
    query_deinit(&query);
}

static void each_region_is_answered_by_the_best_there_is(void **state) {
    const unsigned scan = FBAT_STRATEGY_COLUMNS | FBAT_STRATEGY_TILES;
    assert_planned(*state, ASK(.region.flags = FBAT_REGION_SYSTEM), FBAT_STRATEGY_RANGE, 3);
    assert_planned(*state, ASK(.region.kind = 0x1001), scan, 3);
    assert_planned(*state, ASK(.scope = "depot"), scan, 2);
    assert_planned(*state, ASK(.entity = "order-1", .scope = "shop"), FBAT_STRATEGY_GROUPS, 3);
}

static void segments_that_cannot_match_are_passed_over(void **state) {
    assert_planned(*state, ASK(.region.kind = 0x2002), FBAT_STRATEGY_COLUMNS | FBAT_STRATEGY_TILES, 1);
    assert_planned(*state, ASK(.region = {.kind = 0x0001, .flags = FBAT_REGION_SYSTEM}),
                   FBAT_STRATEGY_COLUMNS | FBAT_STRATEGY_TILES, 1);
    assert_planned(*state, ASK(.region.kind = 0x0001), 0, 0);
    assert_planned(*state, ASK(.region = {.kind = 0x1001, .category = 2}), 0, 0);
    assert_planned(*state, ASK(.scope = "nowhere"), 0, 0);
    assert_planned(*state, ASK(.entity = "customer-1", .scope = "shop"), FBAT_STRATEGY_GROUPS, 1);
    assert_planned(*state, ASK(.region = {.flags = FBAT_REGION_SYSTEM, .time_max_us = 200}), FBAT_STRATEGY_RANGE, 1);
    assert_planned(*state, ASK(.region = {.flags = FBAT_REGION_SYSTEM, .sequence_min = 5, .sequence_max = 8}),
                   FBAT_STRATEGY_RANGE, 1);
}

static void a_search_for_the_librarys_events_looks_only_where_there_are_some(void **state) {
    struct log *log = *state;
    struct query query;
    char got[64];
    start(log, &ASK(.entity = "_kinds", .scope = "_system", .region.flags = FBAT_REGION_SYSTEM), &query);
    query.system_only = true;
    for (uint32_t at = 1; at < 2; at++) /* the sealed one without any */
        assert_false(query_may_match(&query, &log->directory.current->slots[at]->summary));
    collect(&query, got, sizeof got);
    assert_string_equal(got, "3");
    query_deinit(&query);
}

/* Many rows, so that few streams are worth merging and most tiles are not worth looking at. */
static void few_streams_of_many_are_merged_and_rare_kinds_skip_tiles(void **state) {
    struct log *log = *state;
    struct query query;
    char got[256], names[20][16];
    for (unsigned number = 0; number < 1500; number++) {
        snprintf(names[number % 20], sizeof names[0], "e%u", number % 20);
        log_append(log, &(struct log_event){.entity = names[number % 20], .kind = number == 700 ? 0x5005 : 0x1001}, 1);
    }
    start(log, &ASK(.entity = "e1", .region = {.flags = FBAT_REGION_ENTITY_PREFIX, .kind = 0x5005}), &query);
    collect(&query, got, sizeof got);
    assert_string_equal(got, "");
    query_deinit(&query);
    start(log, &ASK(.entity = "e7", .region = {.revision_min = 3, .revision_max = 5}), &query);
    collect(&query, got, sizeof got);
    assert_string_equal(got, "48 68 88");
    assert_int_equal(query.effort.strategies, FBAT_STRATEGY_MERGE);
    query_deinit(&query);
    start(log, &ASK(.region.kind = 0x5005), &query);
    collect(&query, got, sizeof got);
    assert_string_equal(got, "701");
    assert_int_equal(query.counts.tiles_looked_at, 1);
    assert_int_equal(query.counts.tiles_skipped, 23);
    query_deinit(&query);
}

static void counting_agrees_with_walking(void **state) {
    static const struct ask asks[] = {
        {.entity = "order-1"},   {.scope = "shop"},          {.entity = "order-1", .scope = "shop"},
        {.region.kind = 0x1001}, {.region.revision_min = 2}, {.region.flags = FBAT_REGION_SYSTEM},
        {.entity = NULL}};
    static const uint64_t wanted[] = {5, 8, 4, 5, 3, 11, 10};
    for (size_t at = 0; at < COUNT_OF(asks); at++)
        for (unsigned views = 0; views < 8; views++) {
            struct query query;
            uint64_t count = 0, by_kind[65536] = {0}, sum = 0;
            start(*state, &asks[at], &query);
            query.views = (struct views_wanted){.columns = views & 1, .groups = views & 2, .tiles = views & 4};
            assert_int_equal(query_count(&query, views % 3 ? by_kind : NULL, &count, NULL), FBAT_OK);
            assert_int_equal(count, wanted[at]);
            for (size_t kind = 0; kind < 65536; kind++)
                sum += by_kind[kind];
            assert_int_equal(sum, views % 3 ? count : 0);
            query_deinit(&query);
        }
}

/* ---- bad questions ---- */

static void assert_refused(struct log *log, const struct fbat_region *region, const struct fbat_query_options *options,
                           int status) {
    struct query query;
    struct fbat_error error;
    assert_int_equal(query_init(&query, directory_acquire(&log->directory), 11, region, options, &error), status);
    assert_int_equal(error.status, status);
    assert_null(query.list); /* given back */
}

static void a_bad_region_is_refused(void **state) {
    const size_t size = sizeof(struct fbat_region);
    static char name[FBAT_NAME_BYTES_MAX + 1];
    assert_refused(*state, &(struct fbat_region){0}, NULL, FBAT_ERR_ARGUMENT);
    assert_refused(*state, &(struct fbat_region){.struct_size = (uint32_t)size, .flags = 4}, NULL, FBAT_ERR_ARGUMENT);
    assert_refused(*state, &(struct fbat_region){.struct_size = (uint32_t)size, .category = 16}, NULL,
                   FBAT_ERR_ARGUMENT);
    assert_refused(*state, &(struct fbat_region){.struct_size = (uint32_t)size, .scope = {NULL, 1}}, NULL,
                   FBAT_ERR_ARGUMENT);
    assert_refused(*state, &(struct fbat_region){.struct_size = (uint32_t)size, .entity = {name, sizeof name}}, NULL,
                   FBAT_ERR_NAME);
}

static void bad_options_are_refused(void **state) {
    assert_refused(*state, NULL, &(struct fbat_query_options){0}, FBAT_ERR_ARGUMENT);
    assert_refused(*state, NULL,
                   &(struct fbat_query_options){.struct_size = sizeof(struct fbat_query_options),
                                                .direction = (enum fbat_direction)2},
                   FBAT_ERR_ARGUMENT);
}

#define FILLED(test) cmocka_unit_test_setup_teardown(test, enter_filled, leave_log)

int main(void) {
    const struct CMUnitTest tests[] = {
        FILLED(everything_is_the_callers_events),
        FILLED(no_region_and_no_options_are_everything_forward),
        FILLED(the_librarys_own_events_come_only_when_asked_for),
        FILLED(an_entity_alone_is_found_in_every_scope),
        FILLED(an_entity_prefix_is_found_in_every_scope),
        FILLED(an_empty_prefix_matches_all),
        FILLED(a_scope_alone_is_all_its_streams),
        FILLED(entity_and_scope_are_one_stream),
        FILLED(a_prefix_within_a_scope),
        FILLED(a_kind_is_exact),
        FILLED(a_category_is_all_its_kinds),
        FILLED(revisions_include_both_ends),
        FILLED(sequences_include_both_ends),
        FILLED(times_include_both_ends_and_all_events_of_a_microsecond),
        FILLED(narrowings_together_all_hold),
        FILLED(a_limit_stops_after_so_many_that_match),
        FILLED(a_snapshot_hides_what_came_after_it),
        FILLED(a_snapshot_within_a_batch_stands_before_it),
        FILLED(what_is_appended_later_is_not_seen),
        FILLED(a_batch_that_is_not_published_is_not_seen),
        FILLED(the_regions_names_are_copied),
        LOG_TEST(an_empty_log_answers_nothing),
        FILLED(each_region_is_answered_by_the_best_there_is),
        FILLED(segments_that_cannot_match_are_passed_over),
        FILLED(a_search_for_the_librarys_events_looks_only_where_there_are_some),
        LOG_TEST(few_streams_of_many_are_merged_and_rare_kinds_skip_tiles),
        FILLED(counting_agrees_with_walking),
        FILLED(a_bad_region_is_refused),
        FILLED(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
