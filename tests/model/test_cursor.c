/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor that starts at a random moment sees every event of its region exactly once, in order.
 *
 * Stepwise: one thread appends, batches, fences, syncs, closes and reopens (segments of a few events each, so they rotate
 * all the time), polls some cursors in between, and commits them; each has a region, a start, a name and a size of its polls of
 * its own. Thousands of
 * seeds. With threads: several append as fast as they can while others open cursors and poll.
 *
 * What must be seen is kept as a list of all that was acknowledged, in the order of sequences; a region is looked up in it.
 *
 * Thread rule: the list belongs to the main thread; with threads it is made from the log afterwards.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include <fbat/fbat.h>

#include "deliver/cursor.h"
#include "support/test.h"

enum { EVENTS_MAX = 8192, CURSORS = 4, ENTITIES = 5, SCOPES = 2, KINDS = 3, POLL_MAX = 9, STEPS = 120 };

static const char *const entities[ENTITIES] = {"a", "ab", "abc", "b", "ba"};
static const char *const names[CURSORS] = {"first", "second", "third", "fourth"};
static const char *const scopes[SCOPES] = {"here", "there"};

struct noted {
    uint8_t entity, scope, kind;
};

struct follower {
    struct fbat_cursor *cursor; /* NULL: not opened yet */
    struct fbat_region region;
    bool durable_only;
    size_t poll_max;
    uint64_t next; /* every event before it was seen, or is not of the region */
    const char *name;
    bool has_name;      /* this time */
    bool by_reader;     /* which commits no more than what is durable */
    bool is_committed;  /* under its name ... */
    uint64_t committed; /* ... at most this position */
};

struct world {
    struct test_random random;
    uint64_t seed;
    char root[TEST_PATH_SIZE], dir[TEST_PATH_SIZE + 8];
    struct fbat_config config;
    struct fbat_store *store, *reader; /* the reader now and then */
    struct noted events[EVENTS_MAX];   /* sequence 1 at [0] */
    uint64_t count;
    struct follower followers[CURSORS];
    struct fbat_error error;
};

#define EXPECT(world, condition)                                                                                       \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("FBAT_TEST_SEED=%llu: %s; last error: %s\n", (unsigned long long)(world)->seed, #condition,    \
                        (world)->error.message);                                                                       \
            _fail(__FILE__, __LINE__);                                                                                 \
        }                                                                                                              \
    } while (0)

/* ---- the list ---- */

static bool is_of_region(const struct noted *noted, const struct fbat_region *region) {
    const char *entity = entities[noted->entity];
    if (region->kind != 0 && region->kind != FBAT_KIND(1, 1 + noted->kind))
        return false;
    if (region->scope.size > 0 && strcmp(region->scope.data, scopes[noted->scope]) != 0)
        return false;
    if (region->flags & FBAT_REGION_ENTITY_PREFIX)
        return strncmp(entity, region->entity.data, region->entity.size) == 0;
    return region->entity.size == 0 || strcmp(region->entity.data, entity) == 0;
}

static void random_region(struct test_random *random, struct fbat_region *out_region) {
    *out_region = (struct fbat_region){.struct_size = sizeof *out_region};
    if (test_random_one_in(random, 2))
        out_region->entity = fbat_text(entities[test_random_below(random, ENTITIES)]);
    if (out_region->entity.size > 0 && test_random_one_in(random, 3))
        out_region->flags |= FBAT_REGION_ENTITY_PREFIX;
    if (test_random_one_in(random, 3))
        out_region->scope = fbat_text(scopes[test_random_below(random, SCOPES)]);
    if (test_random_one_in(random, 3))
        out_region->kind = FBAT_KIND(1, 1 + test_random_below(random, KINDS));
}

/* ---- what happens to the store ---- */

static struct fbat_new_event random_event(struct test_random *random, struct noted *out_noted) {
    static const char payload[300];
    out_noted->entity = (uint8_t)test_random_below(random, ENTITIES);
    out_noted->scope = (uint8_t)test_random_below(random, SCOPES);
    out_noted->kind = (uint8_t)test_random_below(random, KINDS);
    return (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = FBAT_KIND(1, 1 + out_noted->kind),
        .entity = fbat_text(entities[out_noted->entity]),
        .scope = fbat_text(scopes[out_noted->scope]),
        .payload = fbat_bytes(payload, test_random_below(random, sizeof payload)),
    };
}

static void append_some(struct world *world) {
    struct fbat_new_event events[POLL_MAX];
    struct fbat_receipt receipts[POLL_MAX];
    const struct fbat_append_options options = {.struct_size = sizeof options,
                                                .level = test_random_one_in(&world->random, 8) ? FBAT_LEVEL_DURABLE
                                                                                               : FBAT_LEVEL_WRITTEN};
    size_t count = test_random_one_in(&world->random, 3) ? test_random_between(&world->random, 1, POLL_MAX) : 1;
    if (world->count + count > EVENTS_MAX)
        return;
    for (size_t item = 0; item < count; item++)
        events[item] = random_event(&world->random, &world->events[world->count + item]);
    EXPECT(world, fbat_append_batch(world->store, events, count, &options, receipts, &world->error) == FBAT_OK);
    EXPECT(world, receipts[0].sequence == world->count + 1);
    world->count += count;
}

static void fence_some(struct world *world) {
    struct fbat_fence *fence;
    size_t count = test_random_between(&world->random, 0, 6);
    if (world->count + count > EVENTS_MAX)
        return;
    EXPECT(world, fbat_fence_begin(world->store, &fence, &world->error) == FBAT_OK);
    for (size_t item = 0; item < count; item++) {
        struct fbat_new_event event = random_event(&world->random, &world->events[world->count + item]);
        EXPECT(world, fbat_fence_append(fence, &event, NULL, NULL, &world->error) == FBAT_OK);
    }
    if (test_random_one_in(&world->random, 3)) {
        fbat_fence_cancel(fence);
        return;
    }
    EXPECT(world, fbat_fence_commit(fence, NULL, &world->error) == FBAT_OK);
    world->count += count;
}

static void close_cursor(struct follower *follower) {
    fbat_cursor_close(follower->cursor);
    follower->cursor = NULL;
}

/* Some cursors outlive the store for a moment, and are told so. */
static void reopen(struct world *world) {
    struct fbat_event event;
    size_t count;
    EXPECT(world, fbat_close(world->store, &world->error) == FBAT_OK);
    EXPECT(world, fbat_close(world->reader, &world->error) == FBAT_OK);
    world->store = world->reader = NULL;
    for (int at = 0; at < CURSORS; at++) {
        struct follower *follower = &world->followers[at];
        if (follower->cursor)
            EXPECT(world, fbat_cursor_poll(follower->cursor, &event, 1, 0, &count, NULL) == FBAT_ERR_SHUTDOWN);
        close_cursor(follower);
    }
    EXPECT(world, fbat_open(&world->config, &world->store, &world->error) == FBAT_OK);
    if (test_random_one_in(&world->random, 2))
        EXPECT(world, fbat_open_read_only(&world->config, &world->reader, &world->error) == FBAT_OK);
}

/* ---- cursors ---- */

static void open_follower(struct world *world, struct follower *follower) {
    struct fbat_cursor_options options = {.struct_size = sizeof options};
    struct fbat_store *store = world->reader && test_random_one_in(&world->random, 2) ? world->reader : world->store;
    random_region(&world->random, &follower->region);
    options.durable_only = follower->durable_only = test_random_one_in(&world->random, 4);
    options.name = fbat_text(follower->name);
    follower->has_name = true;
    follower->by_reader = store == world->reader;
    if (follower->is_committed)
        EXPECT(world, fbat_cursor_remove(store, options.name, &world->error) == FBAT_OK);
    follower->is_committed = false;
    options.from = (enum fbat_cursor_from)test_random_below(&world->random, 3);
    options.sequence = test_random_below(&world->random, world->count + 10);
    follower->poll_max = test_random_between(&world->random, 1, POLL_MAX);
    follower->next = options.from == FBAT_CURSOR_BEGINNING ? 1
                     : options.from == FBAT_CURSOR_END     ? world->count + 1
                     : options.sequence > 0                ? options.sequence
                                                           : 1;
    EXPECT(world, fbat_cursor_open(store, &follower->region, &options, &follower->cursor, &world->error) == FBAT_OK);
}

/* Both ways of walking meet in a store of this size. */
static void set_way(struct world *world, struct follower *follower) {
    static const uint64_t live_events[] = {0, 5, 25, FEED_LIVE_EVENTS};
    follower->cursor->feed.live_events = live_events[test_random_below(&world->random, 4)];
}

/* After a reopening: the same region, from what was committed; what was seen behind that is seen again. */
static void resume_by_name(struct world *world, struct follower *follower) {
    const struct fbat_cursor_options options = {.struct_size = sizeof options,
                                                .from = FBAT_CURSOR_END,
                                                .durable_only = follower->durable_only,
                                                .name = fbat_text(follower->name)};
    EXPECT(world,
           fbat_cursor_open(world->store, &follower->region, &options, &follower->cursor, &world->error) == FBAT_OK);
    uint64_t position = fbat_cursor_position(follower->cursor);
    EXPECT(world, follower->by_reader ? position <= follower->committed : position == follower->committed);
    follower->by_reader = false;
    follower->has_name = true;
    follower->committed = position;
    follower->next = position + 1;
}

static void commit_follower(struct world *world, struct follower *follower) {
    if (fbat_cursor_position(follower->cursor) > world->count)
        return; /* it starts in the future */
    EXPECT(world, fbat_cursor_commit(follower->cursor, &world->error) == FBAT_OK);
    follower->is_committed = true;
    follower->committed = fbat_cursor_position(follower->cursor);
}

/* After a reopening: the same region, from where it was. */
static void resume_follower(struct world *world, struct follower *follower) {
    const struct fbat_cursor_options options = {.struct_size = sizeof options,
                                                .from = FBAT_CURSOR_SEQUENCE,
                                                .sequence = follower->next,
                                                .durable_only = follower->durable_only};
    EXPECT(world,
           fbat_cursor_open(world->store, &follower->region, &options, &follower->cursor, &world->error) == FBAT_OK);
    follower->has_name = false; /* what was committed stays */
}

/* What came must be the next events of the region, none left out. */
static void check_events(struct world *world, struct follower *follower, const struct fbat_event *events,
                         size_t count) {
    for (size_t at = 0; at < count; at++) {
        EXPECT(world, events[at].sequence <= world->count);
        while (follower->next < events[at].sequence) {
            EXPECT(world, !is_of_region(&world->events[follower->next - 1], &follower->region)); /* a gap */
            follower->next++;
        }
        EXPECT(world, follower->next == events[at].sequence); /* else a repeat, or out of order */
        EXPECT(world, is_of_region(&world->events[follower->next - 1], &follower->region));
        const struct noted *noted = &world->events[follower->next - 1];
        EXPECT(world, events[at].entity.size == strlen(entities[noted->entity]) &&
                          memcmp(events[at].entity.data, entities[noted->entity], events[at].entity.size) == 0);
        follower->next++;
    }
}

static int poll_follower(struct world *world, struct follower *follower) {
    struct fbat_event events[POLL_MAX];
    struct fbat_frontier frontier;
    size_t count;
    int status = fbat_cursor_poll(follower->cursor, events, follower->poll_max, 0, &count, &world->error);
    EXPECT(world, status == FBAT_OK || (status == FBAT_RETRY && count == 0));
    check_events(world, follower, events, count);
    fbat_frontier(world->store, &frontier);
    if (follower->durable_only && count > 0)
        EXPECT(world, events[count - 1].sequence <= frontier.durable);
    return status;
}

/* Everything there is was seen. */
static void drain_follower(struct world *world, struct follower *follower) {
    while (poll_follower(world, follower) == FBAT_OK)
        continue;
    for (; follower->next <= world->count; follower->next++)
        EXPECT(world, !is_of_region(&world->events[follower->next - 1], &follower->region));
    EXPECT(world, fbat_cursor_position(follower->cursor) >= world->count);
}

static void step_follower(struct world *world) {
    struct follower *follower = &world->followers[test_random_below(&world->random, CURSORS)];
    if (!follower->cursor) {
        if (follower->is_committed && test_random_one_in(&world->random, 2))
            resume_by_name(world, follower);
        else if (follower->region.struct_size > 0 && test_random_one_in(&world->random, 2))
            resume_follower(world, follower);
        else
            open_follower(world, follower);
        set_way(world, follower);
    } else if (test_random_one_in(&world->random, 20)) {
        close_cursor(follower);
    } else if (follower->has_name && test_random_one_in(&world->random, 10)) {
        commit_follower(world, follower);
    } else {
        (void)poll_follower(world, follower);
    }
}

/* ---- stepwise ---- */

static void begin_world(struct world *world, uint64_t seed) {
    static const uint64_t segment_bytes[] = {1, 2 << 10, 8 << 10, 64 << 10};
    memset(world, 0, sizeof *world);
    world->seed = seed;
    world->random = test_random_init(seed);
    snprintf(world->root, sizeof world->root, "/dev/shm/fbat-test-XXXXXX");
    if (!mkdtemp(world->root))
        assert_true(test_temp_dir(world->root, sizeof world->root));
    snprintf(world->dir, sizeof world->dir, "%s/store", world->root);
    fbat_config_init(&world->config, world->dir);
    world->config.segment_max_bytes = segment_bytes[test_random_below(&world->random, 4)];
    world->config.sync.max_delay_ms = 0;
    world->config.sync.every_n_events = (uint32_t)test_random_between(&world->random, 2, 100);
    EXPECT(world, fbat_open(&world->config, &world->store, &world->error) == FBAT_OK);
    for (int at = 0; at < CURSORS; at++)
        world->followers[at].name = names[at];
}

static void end_world(struct world *world) {
    EXPECT(world, fbat_sync(world->store, &world->error) == FBAT_OK);
    for (int at = 0; at < CURSORS; at++) {
        if (world->followers[at].cursor)
            drain_follower(world, &world->followers[at]);
        close_cursor(&world->followers[at]);
    }
    EXPECT(world, fbat_close(world->reader, &world->error) == FBAT_OK);
    EXPECT(world, fbat_close(world->store, &world->error) == FBAT_OK);
    assert_true(test_remove_tree(world->root));
}

static void run_seed(uint64_t seed) {
    static struct world world;
    begin_world(&world, seed);
    for (int step = 0; step < STEPS; step++) {
        uint64_t what = test_random_below(&world.random, 100);
        if (what < 40)
            append_some(&world);
        else if (what < 46)
            fence_some(&world);
        else if (what < 48)
            EXPECT(&world, fbat_sync(world.store, &world.error) == FBAT_OK);
        else if (what < 49)
            reopen(&world);
        else
            step_follower(&world);
    }
    end_world(&world);
}

static void cursors_see_each_event_once_in_order(void **state) {
    (void)state;
    uint64_t first = test_seed(20261124), rounds = test_seed_is_set() ? 1 : test_scaled(1000);
    for (uint64_t round = 0; round < rounds; round++)
        run_seed(first + round);
}

/* ---- with threads ---- */

enum { APPENDERS = 3, POLLERS = 3, CURSORS_EACH = 12 };

struct party {
    struct fbat_store *store;
    uint64_t seed;
    atomic_bool stop;
    atomic_int failures;
};

struct member {
    pthread_t thread;
    struct party *party;
    struct test_random random;
};

static void *append_until_stopped(void *user) {
    struct member *member = user;
    while (!atomic_load(&member->party->stop)) {
        struct fbat_new_event events[4];
        struct noted noted;
        size_t count = test_random_between(&member->random, 1, 4);
        for (size_t item = 0; item < count; item++)
            events[item] = random_event(&member->random, &noted);
        if (fbat_append_batch(member->party->store, events, count, NULL, NULL, NULL) != FBAT_OK)
            atomic_fetch_add(&member->party->failures, 1);
    }
    return NULL;
}

/* Against a query over the same region up to where the cursor came. */
static bool same_as_query(struct fbat_store *store, const struct fbat_region *region, uint64_t from,
                          const uint64_t *seen, size_t count) {
    struct fbat_region part = *region;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    size_t at = 0;
    part.sequence_min = from;
    part.sequence_max = count > 0 ? seen[count - 1] : 0;
    if (count == 0)
        return true;
    if (fbat_query(store, &part, NULL, &iterator, NULL) != FBAT_OK)
        return false;
    while (fbat_iterator_next(iterator, &event, NULL) == FBAT_OK)
        if (at == count || event.sequence != seen[at++])
            at = count + 1;
    fbat_iterator_close(iterator);
    return at == count;
}

static bool follow_one(struct member *member) {
    enum { SEEN_MAX = 600 };
    uint64_t seen[SEEN_MAX];
    struct fbat_event events[POLL_MAX];
    struct fbat_cursor *cursor;
    struct fbat_region region;
    struct fbat_frontier frontier;
    size_t total = 0, wanted = test_random_between(&member->random, 1, SEEN_MAX - POLL_MAX), count;
    random_region(&member->random, &region);
    fbat_frontier(member->party->store, &frontier);
    const struct fbat_cursor_options options = {
        .struct_size = sizeof options,
        .from = FBAT_CURSOR_SEQUENCE,
        .sequence = 1 + frontier.visible - test_random_below(&member->random, frontier.visible / 8 + 1)};
    if (fbat_cursor_open(member->party->store, &region, &options, &cursor, NULL) != FBAT_OK)
        return false;
    while (total < wanted) {
        if (fbat_cursor_poll(cursor, events, POLL_MAX, 20000, &count, NULL) != FBAT_OK)
            break;
        for (size_t at = 0; at < count; at++)
            seen[total++] = events[at].sequence;
    }
    fbat_cursor_close(cursor);
    return total >= wanted && same_as_query(member->party->store, &region, options.sequence, seen, total);
}

static void *poll_some_cursors(void *user) {
    struct member *member = user;
    for (int round = 0; round < CURSORS_EACH; round++)
        if (!follow_one(member))
            atomic_fetch_add(&member->party->failures, 1);
    return NULL;
}

static void run_party(uint64_t seed) {
    static struct party party;
    static struct member members[APPENDERS + POLLERS];
    static struct world world;
    begin_world(&world, seed);
    EXPECT(&world, fbat_close(world.store, &world.error) == FBAT_OK);
    world.config.segment_max_bytes = 64 << 10;
    world.config.sync.every_n_events = 1000;
    EXPECT(&world, fbat_open(&world.config, &world.store, &world.error) == FBAT_OK);
    party.store = world.store;
    atomic_store(&party.stop, false);
    for (int at = 0; at < APPENDERS + POLLERS; at++) {
        members[at].party = &party;
        members[at].random = test_random_init(seed * 100 + (uint64_t)at);
        assert_int_equal(pthread_create(&members[at].thread, NULL,
                                        at < APPENDERS ? append_until_stopped : poll_some_cursors, &members[at]),
                         0);
    }
    for (int at = APPENDERS; at < APPENDERS + POLLERS; at++)
        pthread_join(members[at].thread, NULL);
    atomic_store(&party.stop, true);
    for (int at = 0; at < APPENDERS; at++)
        pthread_join(members[at].thread, NULL);
    EXPECT(&world, atomic_load(&party.failures) == 0);
    end_world(&world);
}

static void cursors_see_each_event_once_while_threads_append(void **state) {
    (void)state;
    uint64_t first = test_seed(77), rounds = test_seed_is_set() ? 1 : test_scaled(4);
    for (uint64_t round = 0; round < rounds; round++)
        run_party(first + round);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cursors_see_each_event_once_in_order),
        cmocka_unit_test(cursors_see_each_event_once_while_threads_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
