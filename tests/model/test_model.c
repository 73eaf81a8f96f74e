/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random operations, each done to a store and to the model, their answers compared: appends of every shape, retries,
 * kinds, reads, queries, checks, followers, clean closes, deaths, changes of configuration.
 *
 * A death is store_abandon: nothing is synced, cut or written, as after a kill. All that was acknowledged must be
 * there again.
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

#include "model.h"
#include "store/store.h"

struct world {
    struct test_random random;
    uint64_t seed;
    uint64_t step;
    char root[TEST_PATH_SIZE];
    struct fbat_config config;
    struct fbat_store *store;
    struct fbat_store *reader; /* NULL now and then */
    struct model model;
    int64_t now_us; /* of the store's clock */
    struct fbat_error error;
    struct model_room rooms[MODEL_BATCH_MAX];
};

/* ---- telling what went wrong ---- */

#define EXPECT(world, condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            give_up((world), #condition, __LINE__);                                                                    \
    } while (0)

static void give_up(const struct world *world, const char *condition, int line) {
    print_error("step %llu of seed %llu: %s\nlast error: %s\n", (unsigned long long)world->step,
                (unsigned long long)world->seed, condition, world->error.message);
    _fail(__FILE__, line);
}

/* ---- life ---- */

static int64_t read_world_clock(void *user) {
    const struct world *world = user;
    return world->now_us;
}

/* Mostly forward, sometimes not at all, sometimes back. */
static void tick(struct world *world) {
    switch (test_random_below(&world->random, 8)) {
    case 0: world->now_us -= (int64_t)test_random_below(&world->random, 5000); break;
    case 1: break;
    default: world->now_us += (int64_t)test_random_below(&world->random, 3000); break;
    }
}

static void vary_config(struct world *world) {
    static const uint64_t segment_sizes[] = {1, 5 << 10, 20 << 10, 100 << 10, 256 << 20};
    world->config.segment_max_bytes = segment_sizes[test_random_below(&world->random, 5)];
    world->config.sync.every_n_events = (uint32_t)test_random_between(&world->random, 1, 30);
    world->config.sync.max_delay_ms = test_random_one_in(&world->random, 2) ? 0 : 1;
    world->config.sync.mode = test_random_one_in(&world->random, 2) ? FBAT_SYNC_ALL : FBAT_SYNC_DATA;
    world->config.batch.max_size = (uint32_t)test_random_between(&world->random, MODEL_BATCH_MAX, 100);
}

static void open_world(struct world *world, bool clean) {
    struct fbat_open_report report;
    EXPECT(world, fbat_open(&world->config, &world->store, &world->error) == FBAT_OK);
    fbat_open_report(world->store, &report);
    EXPECT(world, report.events_total == world->model.count);
    EXPECT(world, report.dropped_bytes == 0);
    EXPECT(world, report.clean == clean);
}

static void close_reader(struct world *world) {
    EXPECT(world, fbat_close(world->reader, &world->error) == FBAT_OK);
    world->reader = NULL;
}

static void come_back(struct world *world, bool clean) {
    if (clean)
        EXPECT(world, fbat_close(world->store, &world->error) == FBAT_OK);
    else
        store_abandon(world->store);
    world->store = NULL;
    if (test_random_one_in(&world->random, 2))
        vary_config(world);
    open_world(world, clean);
}

/* ---- appending ---- */

static void choose_key(struct world *world, struct model_input *input) {
    uint64_t choice = test_random_below(&world->random, 10);
    if (choice < 5)
        return;
    if (choice < 6)
        EXPECT(world, fbat_id_generate(world->store, &input->id, &world->error) == FBAT_OK);
    else if (choice < 8 || world->model.count == 0)
        test_random_fill(&world->random, input->id.bytes, sizeof input->id.bytes);
    else { /* of an event that is there, mostly with its content */
        const struct model_event *known = &world->model.events[test_random_below(&world->random, world->model.count)];
        if (FBAT_KIND_CATEGORY(known->input.kind) != FBAT_CATEGORY_SYSTEM && !test_random_one_in(&world->random, 4)) {
            *input = known->input;
            input->causation_item = 0;
        }
        input->id = known->input.id;
        if (test_random_one_in(&world->random, 4))
            memset(&input->correlation, 0, sizeof input->correlation);
    }
}

static void choose_expectation(struct world *world, struct model_input *input) {
    uint64_t revision = world->model.revisions[(size_t)input->entity * MODEL_SCOPES + input->scope];
    input->expect = FBAT_EXPECT_ANY;
    if (test_random_one_in(&world->random, 2))
        return;
    input->expect = (enum fbat_expect)test_random_below(&world->random, 4);
    input->expected_revision = revision + test_random_below(&world->random, 3);
    input->expected_revision -= input->expected_revision > 0 && test_random_one_in(&world->random, 3);
}

static struct model_input choose_input(struct world *world, size_t item) {
    struct model_input input = model_random_input(&world->random);
    choose_key(world, &input);
    choose_expectation(world, &input);
    if (item > 0 && test_random_one_in(&world->random, 3)) {
        input.causation_item = (uint32_t)test_random_between(&world->random, 1, item);
        memset(&input.causation, 0, sizeof input.causation);
    }
    return input;
}

static void compare_receipts(struct world *world, const struct model_input *inputs, size_t count,
                             const struct model_answer *answer, const struct fbat_receipt *receipts) {
    int64_t recorded_us = world->now_us < world->model.last_recorded_us ? world->model.last_recorded_us : world->now_us;
    struct fbat_id last = world->model.last_made_id;
    for (size_t item = 0; item < count; item++) {
        const struct fbat_receipt *receipt = &receipts[item];
        EXPECT(world, receipt->sequence == answer->sequences[item]);
        EXPECT(world, receipt->revision == answer->revisions[item]);
        EXPECT(world, receipt->replayed == answer->replayed);
        if (answer->replayed) {
            const struct model_event *known = &world->model.events[receipt->sequence - 1];
            EXPECT(world, memcmp(known->hash, receipt->hash, 32) == 0 && known->recorded_us == receipt->recorded_us);
            continue;
        }
        EXPECT(world, receipt->recorded_us == recorded_us);
        if (!fbat_id_is_none(&inputs[item].id)) {
            EXPECT(world, memcmp(&inputs[item].id, &receipt->id, sizeof receipt->id) == 0);
            continue;
        }
        EXPECT(world, memcmp(&receipt->id, &last, sizeof last) > 0);
        last = receipt->id;
    }
}

static void compare_failure(struct world *world, const struct model_answer *answer, bool is_batch) {
    const struct fbat_error *error = &world->error;
    EXPECT(world, error->status == answer->status);
    EXPECT(world, error->item == (is_batch ? answer->item : FBAT_NO_ITEM));
    if (answer->status == FBAT_ERR_REVISION)
        EXPECT(world, error->actual_revision == answer->actual_revision);
    if (answer->status == FBAT_ERR_IDEMPOTENCY_CONFLICT)
        EXPECT(world, error->sequence == answer->sequence);
}

static void append_inputs(struct world *world, const struct model_input *inputs, size_t count, bool is_batch) {
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_receipt receipts[MODEL_BATCH_MAX];
    const struct fbat_append_options options = {.struct_size = sizeof options,
                                                .level = (enum fbat_level)test_random_below(&world->random, 3)};
    for (size_t item = 0; item < count; item++)
        events[item] = model_event_of(&inputs[item], &world->rooms[item]);
    struct model_answer answer = model_predict(&world->model, inputs, count);
    int status = is_batch ? fbat_append_batch(world->store, events, count, &options, receipts, &world->error)
                          : fbat_append(world->store, events, &options, receipts, &world->error);
    if (status != answer.status)
        print_error("%s, the model says %s\n", fbat_status_name(status), fbat_status_name(answer.status));
    EXPECT(world, status == answer.status);
    if (status < 0) {
        compare_failure(world, &answer, is_batch);
        return;
    }
    compare_receipts(world, inputs, count, &answer, receipts);
    for (size_t item = 0; item < count; item++)
        EXPECT(world, options.level != FBAT_LEVEL_DURABLE || receipts[item].level == FBAT_LEVEL_DURABLE);
    if (!answer.replayed)
        model_commit(&world->model, inputs, count, receipts);
}

static void do_append(struct world *world) {
    struct model_input input = choose_input(world, 0);
    append_inputs(world, &input, 1, false);
}

static void do_batch(struct world *world) {
    struct model_input inputs[MODEL_BATCH_MAX];
    size_t count = test_random_between(&world->random, 1, MODEL_BATCH_MAX);
    for (size_t item = 0; item < count; item++) {
        inputs[item] = choose_input(world, item);
        if (test_random_one_in(&world->random, 3)) /* else most batches would meet a key or revision that is wrong */
            continue;
        if (model_find_id(&world->model, &inputs[item].id))
            memset(&inputs[item].id, 0, sizeof inputs[item].id);
        inputs[item].expect = FBAT_EXPECT_ANY;
    }
    append_inputs(world, inputs, count, true);
}

/* A run of events that are there, as one batch: a replay, or not if a part of it was never given a key. */
static void do_retry_batch(struct world *world) {
    struct model_input inputs[MODEL_BATCH_MAX];
    if (world->model.count < MODEL_BATCH_MAX)
        return;
    size_t count = test_random_between(&world->random, 1, MODEL_BATCH_MAX);
    size_t first = test_random_below(&world->random, world->model.count - count + 1);
    for (size_t item = 0; item < count; item++) {
        const struct model_input *known = &world->model.events[first + item].input;
        if (FBAT_KIND_CATEGORY(known->kind) == FBAT_CATEGORY_SYSTEM)
            return;
        inputs[item] = *known;
        inputs[item].causation_item = 0;
    }
    if (test_random_one_in(&world->random, 4)) {
        struct model_input *odd = &inputs[test_random_below(&world->random, count)];
        *odd = model_random_input(&world->random);
        test_random_fill(&world->random, odd->id.bytes, sizeof odd->id.bytes);
    }
    append_inputs(world, inputs, count, true);
}

/* ---- kinds ---- */

static void take_definition(struct world *world, uint16_t kind, const char *name) {
    struct fbat_event event;
    EXPECT(world, fbat_get_by_sequence(world->store, world->model.count + 1, &event, &world->error) == FBAT_OK);
    model_commit_kind(&world->model, kind, name, &event);
    fbat_event_release(&event);
}

static void do_define_kind(struct world *world) {
    uint16_t kind = FBAT_KIND(5, test_random_between(&world->random, 1, 12));
    char name[16];
    snprintf(name, sizeof name, "kind-%u", (unsigned)test_random_below(&world->random, 12));
    const struct model_kind *by_kind = model_find_kind(&world->model, kind);
    const struct model_kind *by_name = model_find_kind_name(&world->model, name);
    int expected = by_kind == by_name ? FBAT_OK : FBAT_ERR_KIND_CONFLICT;
    EXPECT(world, fbat_kind_define(world->store, kind, fbat_text(name), &world->error) == expected);
    if (expected == FBAT_OK && !by_kind)
        take_definition(world, kind, name);
}

static void do_resolve_kind(struct world *world) {
    uint16_t kind, type = 1;
    char name[16];
    snprintf(name, sizeof name, "kind-%u", (unsigned)test_random_below(&world->random, 24));
    const struct model_kind *by_name = model_find_kind_name(&world->model, name);
    while (model_find_kind(&world->model, FBAT_KIND(5, type)))
        type++;
    EXPECT(world, fbat_kind_resolve(world->store, fbat_text(name), 5, &kind, &world->error) == FBAT_OK);
    EXPECT(world, kind == (by_name ? by_name->kind : FBAT_KIND(5, type)));
    if (!by_name)
        take_definition(world, kind, name);
}

/* ---- reading ---- */

static struct fbat_store *choose_handle(struct world *world) {
    return world->reader && test_random_one_in(&world->random, 2) ? world->reader : world->store;
}

static void compare_event(struct world *world, uint64_t sequence, const struct fbat_event *event) {
    const char *difference = model_difference(&world->model, sequence, event);
    if (difference)
        print_error("sequence %llu differs in %s\n", (unsigned long long)sequence, difference);
    EXPECT(world, !difference);
}

static void do_get(struct world *world) {
    struct fbat_store *store = choose_handle(world);
    uint64_t sequence = test_random_below(&world->random, world->model.count + 3);
    bool is_there = sequence >= 1 && sequence <= world->model.count;
    struct fbat_id id = {{1}};
    struct fbat_event event;
    int expected = is_there ? FBAT_OK : FBAT_ERR_NOT_FOUND;
    EXPECT(world, fbat_get_by_sequence(store, sequence, &event, &world->error) == expected);
    if (is_there) {
        compare_event(world, sequence, &event);
        id = event.id;
        fbat_event_release(&event);
    }
    EXPECT(world, fbat_get(store, &id, &event, &world->error) == expected);
    if (is_there) {
        compare_event(world, sequence, &event);
        fbat_event_release(&event);
    }
}

static void do_latest(struct world *world) {
    unsigned entity = (unsigned)test_random_below(&world->random, MODEL_ENTITIES);
    unsigned scope = (unsigned)test_random_below(&world->random, MODEL_SCOPES);
    uint32_t stream = entity * MODEL_SCOPES + scope;
    struct fbat_event event;
    int status = fbat_latest(choose_handle(world), fbat_text(model_entity(entity)), fbat_text(model_scope(scope)),
                             &event, &world->error);
    uint64_t sequence = world->model.count;
    while (sequence > 0 && world->model.events[sequence - 1].stream != stream)
        sequence--;
    EXPECT(world, status == (sequence ? FBAT_OK : FBAT_ERR_NOT_FOUND));
    if (status < 0)
        return;
    compare_event(world, sequence, &event);
    fbat_event_release(&event);
}

static void choose_bounds(struct world *world, uint64_t most, uint64_t *out_least, uint64_t *out_most) {
    *out_least = test_random_one_in(&world->random, 2) ? test_random_below(&world->random, most + 3) : 0;
    *out_most = test_random_one_in(&world->random, 2) ? test_random_below(&world->random, most + 3) : 0;
}

static struct fbat_region choose_region(struct world *world) {
    struct test_random *random = &world->random;
    struct fbat_region region = {.struct_size = sizeof region};
    if (test_random_one_in(random, 2))
        region.entity = fbat_text(model_entity((unsigned)test_random_below(random, MODEL_ENTITIES)));
    if (test_random_one_in(random, 2))
        region.scope = fbat_text(model_scope((unsigned)test_random_below(random, MODEL_SCOPES)));
    if (test_random_one_in(random, 3)) {
        region.flags |= FBAT_REGION_ENTITY_PREFIX;
        region.entity.size = test_random_below(random, region.entity.size + 1);
    }
    if (test_random_one_in(random, 4))
        region.flags |= FBAT_REGION_SYSTEM;
    if (test_random_one_in(random, 4))
        region.kind = FBAT_KIND(test_random_between(random, 1, 2), test_random_below(random, 2));
    if (test_random_one_in(random, 4))
        region.category = (uint16_t)test_random_below(random, 16);
    if (test_random_one_in(random, 4))
        choose_bounds(world, 20, &region.revision_min, &region.revision_max);
    if (test_random_one_in(random, 4))
        choose_bounds(world, world->model.count, &region.sequence_min, &region.sequence_max);
    if (test_random_one_in(random, 4))
        region.time_min_us = world->now_us - (int64_t)test_random_below(random, 200000);
    if (test_random_one_in(random, 4))
        region.time_max_us = world->now_us - (int64_t)test_random_below(random, 200000);
    return region;
}

/* The next match from a sequence on, or 0. */
static uint64_t next_match(const struct world *world, const struct fbat_region *region, uint64_t sequence,
                           uint64_t snapshot, bool backward) {
    for (; sequence >= 1 && sequence <= snapshot; sequence += backward ? (uint64_t)-1 : 1)
        if (model_matches(&world->model, sequence, region))
            return sequence;
    return 0;
}

/* A snapshot within a batch stands before it. */
static uint64_t whole_batches(const struct model *model, uint64_t snapshot) {
    while (snapshot > 0 && snapshot < model->count &&
           model->events[snapshot - 1].frame == model->events[snapshot].frame)
        snapshot--;
    return snapshot;
}

static void do_query(struct world *world) {
    struct fbat_region region = choose_region(world);
    bool backward = test_random_one_in(&world->random, 2);
    uint64_t count = world->model.count, snapshot = count;
    struct fbat_query_options options = {.struct_size = sizeof options, .direction = backward};
    if (test_random_one_in(&world->random, 3))
        options.limit = test_random_between(&world->random, 1, 20);
    if (test_random_one_in(&world->random, 3))
        options.snapshot = test_random_below(&world->random, count + 3);
    if (options.snapshot > 0 && options.snapshot < snapshot)
        snapshot = whole_batches(&world->model, options.snapshot);
    struct fbat_iterator *iterator;
    struct fbat_event event;
    EXPECT(world, fbat_query(choose_handle(world), &region, &options, &iterator, &world->error) == FBAT_OK);
    uint64_t left = options.limit ? options.limit : UINT64_MAX;
    uint64_t expected = next_match(world, &region, backward ? snapshot : 1, snapshot, backward);
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &world->error)) == FBAT_OK) {
        EXPECT(world, left-- > 0 && event.sequence == expected);
        compare_event(world, expected, &event);
        expected = next_match(world, &region, expected + (backward ? (uint64_t)-1 : 1), snapshot, backward);
    }
    EXPECT(world, status == FBAT_END && (left == 0 || expected == 0));
    fbat_iterator_close(iterator);
}

static void do_count(struct world *world) {
    struct fbat_region region = choose_region(world);
    uint64_t expected = 0, count;
    for (uint64_t sequence = 1; sequence <= world->model.count; sequence++)
        expected += model_matches(&world->model, sequence, &region);
    EXPECT(world, fbat_query_count(choose_handle(world), &region, &count, &world->error) == FBAT_OK);
    EXPECT(world, count == expected);
}

static void do_stats(struct world *world) {
    struct fbat_stats stats;
    uint64_t streams = 0;
    for (int stream = 0; stream < MODEL_STREAMS - 1; stream++)
        streams += world->model.revisions[stream] > 0;
    EXPECT(world, fbat_stats(choose_handle(world), &stats, &world->error) == FBAT_OK);
    EXPECT(world, stats.events + stats.system_events == world->model.count);
    EXPECT(world, stats.system_events == world->model.kind_count && stats.kinds_named == world->model.kind_count);
    EXPECT(world, stats.streams == streams);
    EXPECT(world, stats.last_sequence == world->model.count);
    EXPECT(world, stats.last_recorded_us == world->model.last_recorded_us);
}

/* ---- watermarks, followers, check ---- */

static void do_sync(struct world *world) {
    struct fbat_frontier frontier;
    EXPECT(world, fbat_sync(world->store, &world->error) == FBAT_OK);
    fbat_frontier(world->store, &frontier);
    EXPECT(world, frontier.durable == world->model.count && frontier.visible == world->model.count);
}

static void do_change_reader(struct world *world) {
    if (world->reader)
        close_reader(world);
    else
        EXPECT(world, fbat_open_read_only(&world->config, &world->reader, &world->error) == FBAT_OK);
}

static int print_damage(void *user, const struct fbat_finding *finding) {
    (void)user;
    if (finding->damage)
        print_error("segment %llu, offset %llu, sequence %llu: %s\n", (unsigned long long)finding->segment_id,
                    (unsigned long long)finding->offset, (unsigned long long)finding->sequence, finding->message);
    return 0;
}

static void do_check(struct world *world) {
    const struct fbat_check_options options = {.struct_size = sizeof options, .finding = print_damage};
    struct fbat_check_report report;
    EXPECT(world, fbat_check(world->config.data_dir, &options, &report, &world->error) == FBAT_OK);
    EXPECT(world, report.findings == 0);
    EXPECT(world, report.events == world->model.count && report.frames == world->model.frames);
}

static void do_reopen(struct world *world) {
    come_back(world, true);
}

static void do_die(struct world *world) {
    come_back(world, false);
}

static const struct {
    uint32_t weight;
    void (*run)(struct world *world);
} operations[] = {
    {300, do_append}, {120, do_batch},        {40, do_retry_batch}, {10, do_define_kind}, {10, do_resolve_kind},
    {100, do_get},    {50, do_latest},        {100, do_query},      {30, do_count},       {10, do_stats},
    {10, do_sync},    {10, do_change_reader}, {3, do_check},        {8, do_reopen},       {8, do_die},
};

static void run_operation(struct world *world) {
    uint64_t total = 0;
    for (size_t at = 0; at < sizeof operations / sizeof operations[0]; at++)
        total += operations[at].weight;
    uint64_t choice = test_random_below(&world->random, total);
    size_t at = 0;
    while (choice >= operations[at].weight)
        choice -= operations[at++].weight;
    tick(world);
    operations[at].run(world);
}

/* ---- runs ---- */

static void check_the_end(struct world *world) {
    if (world->reader)
        close_reader(world);
    come_back(world, true);
    for (uint64_t sequence = 1; sequence <= world->model.count; sequence++) {
        struct fbat_event event;
        EXPECT(world, fbat_get_by_sequence(world->store, sequence, &event, &world->error) == FBAT_OK);
        compare_event(world, sequence, &event);
        fbat_event_release(&event);
    }
    do_check(world);
    EXPECT(world, fbat_close(world->store, &world->error) == FBAT_OK);
}

/* On a memory disk where there is one: this is not about syncs. */
static bool make_root(char *root) {
    snprintf(root, TEST_PATH_SIZE, "/dev/shm/fbat-test-XXXXXX");
    return mkdtemp(root) || test_temp_dir(root, TEST_PATH_SIZE);
}

static void run_seed(uint64_t seed, uint64_t steps) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->seed = seed;
    world->random = test_random_init(seed);
    world->now_us = INT64_C(1700000000000000);
    assert_true(make_root(world->root));
    fbat_config_init(&world->config, world->root);
    world->config.clock = read_world_clock;
    world->config.clock_user = world;
    model_init(&world->model);
    vary_config(world);
    open_world(world, false);
    for (world->step = 1; world->step <= steps; world->step++)
        run_operation(world);
    check_the_end(world);
    model_deinit(&world->model);
    assert_true(test_remove_tree(world->root));
    free(world);
}

static void random_operations_answer_as_the_model(void **state) {
    (void)state;
    uint64_t seeds = test_seed_is_set() ? 1 : test_scaled(24);
    for (uint64_t at = 0; at < seeds; at++) {
        uint64_t seed = test_seed(1000 + at);
        print_message("seed %llu; FBAT_TEST_SEED=%llu tests/model/test_model replays it\n", (unsigned long long)seed,
                      (unsigned long long)seed);
        run_seed(seed, 1500);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_answer_as_the_model),
    };
    return cmocka_run_group_tests_name("model: one thread", tests, NULL, NULL);
}
