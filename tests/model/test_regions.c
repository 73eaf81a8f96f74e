/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Thousands of random regions against a plain filter over all events, with every combination of views and layouts.
 *
 * A store of a few thousand events over several segments is written with one configuration, then looked at in four
 * states: in its writer, in a reader beside it, reopened for writing with other views (some segments then have a view and
 * some lack it), and reopened for reading. Its writer goes on between the states. Each region is asked forward, backward,
 * with a limit, with a snapshot, and counted.
 *
 * Thread rule: one thread.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fbat/fbat.h>

#include "index/tile_match.h"
#include "support/test.h"

enum { EVENTS_MAX = 6000, NAME = 24, SCOPES = 7, ENTITIES = 60, KINDS = 9, REGIONS = 110 };

struct told {
    uint64_t sequence, revision, batch_first, batch_last;
    int64_t recorded_us;
    uint16_t kind;
    char scope[NAME], entity[NAME];
};

struct world {
    struct test_random random;
    char root[TEST_PATH_SIZE], dir[TEST_PATH_SIZE + 8];
    struct fbat_config config;
    struct told *events;
    size_t count;
    int64_t now_us;
    struct fbat_store *store;
    bool few_streams;
    uint64_t asked, hits;
};

static const uint16_t kinds[KINDS] = {0x1001, 0x1002, 0x1003, 0x2001, 0x2002, 0x7abc, 0xf000, 0xffff, 0xe123};

static int64_t tick(void *user) {
    struct world *world = user;
    return world->now_us += (int64_t)test_random_below(&world->random, 3);
}

/* ---- writing ---- */

static void name_scope(struct test_random *random, char *out_name) {
    snprintf(out_name, NAME, "s%u", (unsigned)test_random_below(random, SCOPES));
}

static void name_entity(struct world *world, char *out_name) {
    uint64_t number = test_random_below(&world->random, world->few_streams ? 4 : ENTITIES);
    snprintf(out_name, NAME, "%s%u", number % 3 ? "order-" : "user-", (unsigned)number);
}

static uint16_t pick_kind(struct world *world) {
    uint64_t number = test_random_below(&world->random, 40);
    return kinds[number < KINDS ? number : number % 3]; /* most are rare */
}

static uint64_t next_revision(const struct world *world, const char *scope, const char *entity) {
    for (size_t at = world->count; at-- > 0;)
        if (strcmp(world->events[at].scope, scope) == 0 && strcmp(world->events[at].entity, entity) == 0)
            return world->events[at].revision + 1;
    return 1;
}

/* Events of a batch as they are going to be told; sequence and time come from the receipts. */
static void append_batch(struct world *world, uint32_t size) {
    struct fbat_new_event batch[16] = {0};
    struct fbat_receipt receipts[16] = {0};
    struct fbat_error error;
    size_t first = world->count;
    for (uint32_t at = 0; at < size; at++) {
        struct told *told = &world->events[world->count];
        *told = (struct told){.kind = pick_kind(world)};
        name_scope(&world->random, told->scope);
        name_entity(world, told->entity);
        told->revision = next_revision(world, told->scope, told->entity);
        world->count++;
        batch[at] = (struct fbat_new_event){
            .struct_size = sizeof batch[at],
            .kind = told->kind,
            .scope = fbat_text(told->scope),
            .entity = fbat_text(told->entity),
            .payload = fbat_text("payload"),
        };
    }
    if (fbat_append_batch(world->store, batch, size, NULL, receipts, &error) < 0)
        fail_msg("append: %s", error.message);
    for (uint32_t at = 0; at < size; at++) {
        struct told *told = &world->events[first + at];
        assert_int_equal(told->revision, receipts[at].revision);
        told->sequence = receipts[at].sequence;
        told->recorded_us = receipts[at].recorded_us;
        told->batch_first = receipts[0].sequence;
        told->batch_last = receipts[size - 1].sequence;
    }
}

/* A kind's name is an event of the library's own, which is there but not asked for. */
static void define_kind(struct world *world) {
    char name[NAME];
    struct fbat_error error;
    uint16_t kind;
    snprintf(name, sizeof name, "name%u", (unsigned)test_random_below(&world->random, 1000));
    if (fbat_kind_resolve(world->store, fbat_text(name), 3, &kind, &error) < 0)
        fail_msg("kind: %s", error.message);
}

static void append_some(struct world *world, size_t count) {
    size_t end = world->count + count;
    while (world->count < end) {
        uint32_t size =
            test_random_one_in(&world->random, 3) ? (uint32_t)test_random_between(&world->random, 2, 16) : 1;
        append_batch(world, size);
        if (test_random_one_in(&world->random, 100))
            define_kind(world);
    }
}

/* ---- asking ---- */

static bool matches(const struct told *told, const struct fbat_region *region, uint64_t snapshot) {
    struct fbat_slice scope = fbat_text(told->scope), entity = fbat_text(told->entity);
    bool prefix = region->flags & FBAT_REGION_ENTITY_PREFIX;
    if (told->sequence > snapshot || (snapshot >= told->batch_first && snapshot < told->batch_last))
        return false;
    if (region->scope.size > 0 &&
        (region->scope.size != scope.size || memcmp(region->scope.data, scope.data, scope.size) != 0))
        return false;
    if (region->entity.size > 0 && ((prefix ? entity.size < region->entity.size : entity.size != region->entity.size) ||
                                    memcmp(region->entity.data, entity.data, region->entity.size) != 0))
        return false;
    return (region->kind == 0 || told->kind == region->kind) &&
           (region->category == 0 || told->kind >> 12 == region->category) && told->revision >= region->revision_min &&
           (region->revision_max == 0 || told->revision <= region->revision_max) &&
           told->sequence >= region->sequence_min &&
           (region->sequence_max == 0 || told->sequence <= region->sequence_max) &&
           (region->time_min_us == 0 || told->recorded_us >= region->time_min_us) &&
           (region->time_max_us == 0 || told->recorded_us <= region->time_max_us);
}

struct names {
    char scope[NAME], entity[NAME];
};

static uint64_t pick_sequence(struct world *world) {
    return test_random_between(&world->random, 1, world->events[world->count - 1].sequence + 3);
}

static void bound_region(struct world *world, struct fbat_region *region) {
    struct test_random *random = &world->random;
    if (test_random_one_in(random, 4))
        region->sequence_min = pick_sequence(world);
    if (test_random_one_in(random, 4))
        region->sequence_max = pick_sequence(world);
    if (test_random_one_in(random, 5))
        region->time_min_us = world->events[test_random_below(random, world->count)].recorded_us;
    if (test_random_one_in(random, 5))
        region->time_max_us = world->events[test_random_below(random, world->count)].recorded_us;
    if (test_random_one_in(random, 5))
        region->revision_min = test_random_below(random, 40);
    if (test_random_one_in(random, 5))
        region->revision_max = test_random_below(random, 60);
}

static struct fbat_region pick_region(struct world *world, struct names *names) {
    struct test_random *random = &world->random;
    struct fbat_region region = {.struct_size = sizeof region};
    if (test_random_one_in(random, 2)) {
        name_scope(random, names->scope);
        if (test_random_one_in(random, 15))
            strcpy(names->scope, "nowhere");
        region.scope = fbat_text(names->scope);
    }
    if (test_random_one_in(random, 2)) {
        name_entity(world, names->entity);
        region.entity = fbat_text(names->entity);
        if (test_random_one_in(random, 2)) {
            region.flags |= FBAT_REGION_ENTITY_PREFIX;
            region.entity.size = test_random_between(random, 1, region.entity.size);
        }
    }
    if (test_random_one_in(random, 3))
        region.kind = test_random_one_in(random, 12) ? 0x0001 : kinds[test_random_below(random, KINDS)];
    if (test_random_one_in(random, 5))
        region.category = (uint16_t)test_random_between(random, 1, 15);
    bound_region(world, &region);
    return region;
}

/* What must come, in order, one by one. */
static void expect_events(struct world *world, struct fbat_store *store, const struct fbat_region *region,
                          const struct fbat_query_options *options) {
    struct fbat_iterator *iterator;
    struct fbat_error error;
    struct fbat_event event;
    if (fbat_query(store, region, options, &iterator, &error) < 0)
        fail_msg("query: %s", error.message);
    uint64_t snapshot = options->snapshot ? options->snapshot : UINT64_MAX, given = 0;
    bool backward = options->direction == FBAT_BACKWARD;
    for (size_t at = 0; at < world->count && (options->limit == 0 || given < options->limit); at++) {
        const struct told *told = &world->events[backward ? world->count - 1 - at : at];
        if (!matches(told, region, snapshot))
            continue;
        assert_int_equal(fbat_iterator_next(iterator, &event, &error), FBAT_OK);
        assert_int_equal(event.sequence, told->sequence);
        assert_int_equal(event.kind, told->kind);
        assert_int_equal(event.revision, told->revision);
        given++;
    }
    assert_int_equal(fbat_iterator_next(iterator, &event, &error), FBAT_END);
    assert_int_equal(fbat_iterator_next(iterator, &event, &error), FBAT_END);
    fbat_iterator_close(iterator);
    world->hits += given;
}

static void expect_count(const struct world *world, struct fbat_store *store, const struct fbat_region *region) {
    uint64_t wanted = 0, got = 0;
    for (size_t at = 0; at < world->count; at++)
        wanted += matches(&world->events[at], region, UINT64_MAX);
    assert_int_equal(fbat_query_count(store, region, &got, NULL), FBAT_OK);
    assert_int_equal(got, wanted);
}

static void ask(struct world *world, struct fbat_store *store, unsigned regions) {
    for (unsigned at = 0; at < regions; at++) {
        struct names names;
        struct fbat_region region = pick_region(world, &names);
        struct fbat_query_options options = {.struct_size = sizeof options};
        expect_events(world, store, &region, &options);
        options.direction = FBAT_BACKWARD;
        expect_events(world, store, &region, &options);
        options.limit = test_random_between(&world->random, 1, 40);
        expect_events(world, store, &region, &options);
        options.direction = FBAT_FORWARD;
        options.snapshot = pick_sequence(world);
        expect_events(world, store, &region, &options);
        expect_count(world, store, &region);
        world->asked++;
    }
}

/* Together the kinds are what there is. */
struct kind_tally {
    uint64_t of[65536];
};

static int note_kind(void *user, uint16_t kind, struct fbat_slice name, uint64_t count) {
    struct kind_tally *tally = user;
    (void)name;
    tally->of[kind] = count;
    return 0;
}

static void expect_kind_counts(const struct world *world, struct fbat_store *store) {
    struct kind_tally *tally = calloc(1, sizeof *tally);
    assert_non_null(tally);
    assert_int_equal(fbat_kind_counts(store, NULL, note_kind, tally, NULL), FBAT_OK);
    for (size_t at = 0; at < world->count; at++)
        tally->of[world->events[at].kind]--;
    for (unsigned kind = 0; kind < 65536; kind++)
        assert_int_equal(tally->of[kind], 0);
    free(tally);
}

/* ---- states ---- */

struct tally {
    uint64_t asked, hits;
};

static void open_world(struct world *world, struct fbat_store **store, bool read_only) {
    struct fbat_error error;
    int status =
        read_only ? fbat_open_read_only(&world->config, store, &error) : fbat_open(&world->config, store, &error);
    if (status < 0)
        fail_msg("open: %s", error.message);
}

static void ask_reader(struct world *world, unsigned regions) {
    struct fbat_store *reader;
    open_world(world, &reader, true);
    ask(world, reader, regions);
    append_some(world, 60); /* it follows */
    ask(world, reader, regions / 4 + 1);
    expect_kind_counts(world, reader);
    assert_int_equal(fbat_close(reader, NULL), FBAT_OK);
}

static void choose_config(struct world *world, unsigned combination) {
    world->config.index.views.soa = combination & 1;
    world->config.index.views.tiles64 = combination >> 1 & 1;
    world->config.index.views.entity_groups = combination >> 2 & 1;
    world->config.index.layout = (enum fbat_index_layout)(combination >> 3);
}

static void check_world(struct world *world) {
    struct fbat_check_report report;
    struct fbat_error error;
    if (fbat_check(world->dir, NULL, &report, &error) != FBAT_OK)
        fail_msg("check: %s", error.message);
}

static void live_through(struct world *world, unsigned combination, size_t events) {
    static const uint64_t sizes[] = {8 << 10, 60 << 10, 300 << 10, 256 << 20};
    unsigned regions = (unsigned)test_scaled(REGIONS) / 4 + 1;
    choose_config(world, combination);
    world->config.segment_max_bytes = sizes[test_random_below(&world->random, 4)];
    open_world(world, &world->store, false);
    append_some(world, events);
    ask(world, world->store, regions);
    expect_kind_counts(world, world->store);
    ask_reader(world, regions);
    assert_int_equal(fbat_close(world->store, NULL), FBAT_OK);
    choose_config(world, (unsigned)test_random_below(&world->random, 48));
    open_world(world, &world->store, false);
    append_some(world, events / 3);
    ask(world, world->store, regions);
    assert_int_equal(fbat_close(world->store, NULL), FBAT_OK);
    check_world(world);
    open_world(world, &world->store, true);
    ask(world, world->store, regions);
    assert_int_equal(fbat_close(world->store, NULL), FBAT_OK);
}

static void begin_world(struct world *world) {
    /* In memory where that is possible: syncs are not what this is about. */
    strcpy(world->root, "/dev/shm/fbat-test-XXXXXX");
    if (!mkdtemp(world->root))
        assert_true(test_temp_dir(world->root, sizeof world->root));
    snprintf(world->dir, sizeof world->dir, "%s/store", world->root);
    fbat_config_init(&world->config, world->dir);
}

static void end_world(struct world *world) {
    free(world->events);
    test_remove_tree(world->root);
}

static void run_world(uint64_t seed, unsigned combination, enum tile_match_way way, struct tally *total) {
    struct world world = {.random = test_random_init(seed + combination), .now_us = 1000000};
    begin_world(&world);
    world.events = calloc(EVENTS_MAX, sizeof *world.events);
    assert_non_null(world.events);
    world.config.clock = tick;
    world.config.clock_user = &world;
    world.few_streams = test_random_one_in(&world.random, 3);
    tile_match_force(way);
    live_through(&world, combination, test_random_between(&world.random, 40, 2200));
    tile_match_force(TILE_MATCH_BEST);
    total->asked += world.asked;
    total->hits += world.hits;
    end_world(&world);
}

static void every_view_answers_as_a_plain_filter(void **state) {
    uint64_t seed = test_seed(20260611);
    struct tally total = {0};
    (void)state;
    print_message("seed %llu (FBAT_TEST_SEED=%llu replays)\n", (unsigned long long)seed, (unsigned long long)seed);
    for (unsigned combination = 0; combination < 48; combination++)
        run_world(seed, combination, (enum tile_match_way)(combination % TILE_MATCH_WAYS), &total);
    print_message("%llu regions, %llu events given\n", (unsigned long long)total.asked, (unsigned long long)total.hits);
    assert_true(total.asked > 48 && total.hits > total.asked);
}

/* ---- more scopes than numbers ---- */

enum { MANY_SCOPES = 66000, MANY_BATCH = 220 };

static void append_scopes(struct fbat_store *store, unsigned first) {
    static char names[MANY_BATCH][NAME];
    struct fbat_new_event batch[MANY_BATCH];
    struct fbat_error error;
    for (unsigned at = 0; at < MANY_BATCH; at++) {
        snprintf(names[at], NAME, "scope-%u", first + at);
        batch[at] = (struct fbat_new_event){
            .struct_size = sizeof batch[at],
            .kind = kinds[(first + at) % KINDS],
            .scope = fbat_text(names[at]),
            .entity = fbat_text(at % 2 ? "odd" : "even"),
        };
    }
    if (fbat_append_batch(store, batch, MANY_BATCH, NULL, NULL, &error) < 0)
        fail_msg("append: %s", error.message);
}

static uint64_t count_in(struct fbat_store *store, const char *scope, const char *entity, uint16_t kind) {
    struct fbat_region region = {.struct_size = sizeof region, .kind = kind};
    uint64_t count = 0;
    if (scope)
        region.scope = fbat_text(scope);
    if (entity)
        region.entity = fbat_text(entity);
    assert_int_equal(fbat_query_count(store, &region, &count, NULL), FBAT_OK);
    return count;
}

static void expect_many_scopes(struct fbat_store *store) {
    assert_int_equal(count_in(store, "scope-0", NULL, 0), 2);
    assert_int_equal(count_in(store, "scope-219", NULL, 0), 2);
    assert_int_equal(count_in(store, "scope-65534", NULL, 0), 1);
    assert_int_equal(count_in(store, "scope-65535", NULL, 0), 1);
    assert_int_equal(count_in(store, "scope-65999", "odd", 0), 1);
    assert_int_equal(count_in(store, "scope-65999", "even", 0), 0);
    assert_int_equal(count_in(store, "scope-66000", NULL, 0), 0);
    assert_int_equal(count_in(store, NULL, "odd", 0), (MANY_SCOPES + MANY_BATCH) / 2);
    assert_int_equal(count_in(store, "scope-65536", NULL, kinds[65536 % KINDS]), 1);
    assert_int_equal(count_in(store, "scope-65536", NULL, kinds[65537 % KINDS]), 0);
}

static void scopes_beyond_the_last_number_are_found_by_the_rows(void **state) {
    struct world world = {0};
    (void)state;
    begin_world(&world);
    world.config.sync.every_n_events = 1000000;
    open_world(&world, &world.store, false);
    for (unsigned first = 0; first < MANY_SCOPES; first += MANY_BATCH)
        append_scopes(world.store, first);
    append_scopes(world.store, 0);
    expect_many_scopes(world.store);
    assert_int_equal(fbat_close(world.store, NULL), FBAT_OK);
    /* The next append seals what there is. */
    world.config.segment_max_bytes = 1;
    open_world(&world, &world.store, false);
    append_scopes(world.store, MANY_SCOPES);
    assert_int_equal(fbat_close(world.store, NULL), FBAT_OK);
    check_world(&world);
    open_world(&world, &world.store, true);
    assert_int_equal(count_in(world.store, "scope-65999", "odd", 0), 1);
    assert_int_equal(count_in(world.store, "scope-0", NULL, 0), 2);
    assert_int_equal(count_in(world.store, "scope-66000", NULL, 0), 1);
    assert_int_equal(fbat_close(world.store, NULL), FBAT_OK);
    end_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_view_answers_as_a_plain_filter),
        cmocka_unit_test(scopes_beyond_the_last_number_are_found_by_the_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
