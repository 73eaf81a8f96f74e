/* SPDX-License-Identifier: Apache-2.0 */
/* Regions and iterators, each answer compared with a filter over all events that knows nothing of indexes. */
#include "fixture.h"

static int64_t now_us; /* of the store's clock; single-threaded tests only */

static int64_t read_now(void *user) {
    (void)user;
    return now_us;
}

static struct fixture *opened(void **state, uint64_t segment_max_bytes) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = segment_max_bytes;
    fixture->config.clock = read_now;
    now_us = 1000000;
    open_store(fixture);
    return fixture;
}

static const struct fbat_region everything = {.struct_size = sizeof everything};

/* ---- the filter ---- */

enum { SAMPLES_MAX = 512 };

/* All events of a store by sequence, pinned. */
struct samples {
    struct fbat_event all[SAMPLES_MAX];
    size_t count;
};

static void collect_samples(struct fbat_store *store, struct samples *samples) {
    for (samples->count = 0; samples->count < SAMPLES_MAX; samples->count++)
        if (fbat_get_by_sequence(store, samples->count + 1, &samples->all[samples->count], &fault) != FBAT_OK)
            return;
}

static void release_samples(struct samples *samples) {
    for (size_t at = 0; at < samples->count; at++)
        fbat_event_release(&samples->all[at]);
}

static bool starts_with(struct fbat_slice name, struct fbat_slice prefix) {
    return name.size >= prefix.size && (prefix.size == 0 || memcmp(name.data, prefix.data, prefix.size) == 0);
}

static bool is_equal(struct fbat_slice a, struct fbat_slice b) {
    return a.size == b.size && starts_with(a, b);
}

static bool in_range(uint64_t value, uint64_t least, uint64_t most) {
    return value >= least && (most == 0 || value <= most);
}

static bool time_in_range(int64_t time, int64_t least, int64_t most) {
    return (least == 0 || time >= least) && (most == 0 || time <= most);
}

/* The header's definition of a region, read aloud. */
static bool matches(const struct fbat_region *region, const struct fbat_event *event) {
    bool system = FBAT_KIND_CATEGORY(event->kind) == FBAT_CATEGORY_SYSTEM;
    bool prefix = region->flags & FBAT_REGION_ENTITY_PREFIX;
    if (system && !(region->flags & FBAT_REGION_SYSTEM))
        return false;
    if (region->entity.size > 0 &&
        !(prefix ? starts_with(event->entity, region->entity) : is_equal(event->entity, region->entity)))
        return false;
    if (region->scope.size > 0 && !is_equal(event->scope, region->scope))
        return false;
    if (region->kind != 0 && event->kind != region->kind)
        return false;
    if (region->category != 0 && FBAT_KIND_CATEGORY(event->kind) != region->category)
        return false;
    return in_range(event->revision, region->revision_min, region->revision_max) &&
           in_range(event->sequence, region->sequence_min, region->sequence_max) &&
           time_in_range(event->recorded_us, region->time_min_us, region->time_max_us);
}

static void print_region(const struct fbat_region *region, const struct fbat_query_options *options) {
    print_error("region: flags %u, entity \"%.*s\", scope \"%.*s\", kind 0x%x, category %u, revision %llu..%llu, "
                "sequence %llu..%llu, time %lld..%lld; direction %d, limit %llu, snapshot %llu\n",
                region->flags, (int)region->entity.size, (const char *)region->entity.data, (int)region->scope.size,
                (const char *)region->scope.data, region->kind, region->category,
                (unsigned long long)region->revision_min, (unsigned long long)region->revision_max,
                (unsigned long long)region->sequence_min, (unsigned long long)region->sequence_max,
                (long long)region->time_min_us, (long long)region->time_max_us, (int)options->direction,
                (unsigned long long)options->limit, (unsigned long long)options->snapshot);
}

/* Records of one frame stand back to back; a frame's header stands between those of two. */
static bool in_one_frame(const struct fbat_event *event, const struct fbat_event *next) {
    uint64_t bytes =
        160 + event->scope.size + event->entity.size + event->tags.size + event->headers.size + event->payload.size;
    return event->segment_id == next->segment_id && event->offset + (bytes + 7) / 8 * 8 == next->offset;
}

/* Where a snapshot stands: before the batch that it is in the middle of. */
static uint64_t whole_batches(const struct samples *samples, uint64_t snapshot) {
    while (snapshot > 0 && snapshot < samples->count &&
           in_one_frame(&samples->all[snapshot - 1], &samples->all[snapshot]))
        snapshot--;
    return snapshot;
}

/* The sequences that the filter lets through, in the order asked for. */
static size_t filter(const struct samples *samples, const struct fbat_region *region,
                     const struct fbat_query_options *options, uint64_t *out_sequences) {
    size_t count = 0;
    for (size_t step = 0; step < samples->count; step++) {
        size_t at = options->direction == FBAT_BACKWARD ? samples->count - 1 - step : step;
        const struct fbat_event *event = &samples->all[at];
        if (options->snapshot > 0 && event->sequence > whole_batches(samples, options->snapshot))
            continue;
        if (options->limit > 0 && count == options->limit)
            break;
        if (matches(region, event))
            out_sequences[count++] = event->sequence;
    }
    return count;
}

static void assert_same_event(const struct fbat_event *expected, const struct fbat_event *actual) {
    assert_id_equal(expected->id, actual->id);
    assert_int_equal(expected->revision, actual->revision);
    assert_int_equal(expected->kind, actual->kind);
    assert_memory_equal(expected->hash, actual->hash, 32);
    assert_slices(expected->payload, actual->payload);
    assert_int_equal(expected->segment_id, actual->segment_id);
    assert_int_equal(expected->offset, actual->offset);
}

static void check_query(struct fbat_store *store, const struct samples *samples, const struct fbat_region *region,
                        const struct fbat_query_options *options) {
    uint64_t expected[SAMPLES_MAX], got[SAMPLES_MAX + 1];
    size_t expected_count = filter(samples, region, options, expected), count = 0;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    int status;
    assert_ok(fbat_query(store, region, options, &iterator, &fault));
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK && count < SAMPLES_MAX) {
        got[count++] = event.sequence;
        assert_same_event(&samples->all[event.sequence - 1], &event);
    }
    assert_status(FBAT_END, status);
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
    if (count != expected_count || memcmp(got, expected, count * sizeof *got) != 0) {
        print_region(region, options);
        print_error("%zu events where the filter finds %zu\n", count, expected_count);
        fail();
    }
}

static void check_count(struct fbat_store *store, const struct samples *samples, const struct fbat_region *region) {
    const struct fbat_query_options options = {.struct_size = sizeof options};
    uint64_t expected[SAMPLES_MAX], count;
    assert_ok(fbat_query_count(store, region, &count, &fault));
    size_t expected_count = filter(samples, region, &options, expected);
    if (count != expected_count)
        print_region(region, &options);
    assert_int_equal(count, expected_count);
}

/* ---- a mixed history ---- */

static const char *const entities[] = {"order-1", "order-10", "order-2", "orde", "invoice-1", "\xc3\xa9", "x"};
static const char *const scopes[] = {"shop", "sho", "depot"};
static const uint16_t kinds[] = {FBAT_KIND(1, 1), FBAT_KIND(1, 2), FBAT_KIND(2, 1), FBAT_KIND(15, 4095)};

#define PICK(random, array) ((array)[test_random_below((random), sizeof(array) / sizeof *(array))])

static struct fbat_new_event random_event(struct test_random *random) {
    struct fbat_new_event event = event_of(PICK(random, entities), PICK(random, scopes), "payload");
    event.kind = PICK(random, kinds);
    return event;
}

static void write_history(struct fbat_store *store, struct test_random *random, int appends) {
    for (int at = 0; at < appends; at++) {
        now_us += (int64_t)test_random_below(random, 3) * 1000;
        if (at % 40 == 7) {
            char name[16];
            snprintf(name, sizeof name, "kind-%d", at);
            assert_ok(fbat_kind_define(store, FBAT_KIND(3, at), fbat_text(name), &fault));
        }
        struct fbat_new_event batch[4];
        size_t count = test_random_one_in(random, 4) ? test_random_between(random, 1, 4) : 1;
        for (size_t item = 0; item < count; item++)
            batch[item] = random_event(random);
        assert_ok(fbat_append_batch(store, batch, count, NULL, NULL, &fault));
    }
}

static void random_range(struct test_random *random, uint64_t most, uint64_t *out_least, uint64_t *out_most) {
    if (test_random_one_in(random, 2))
        *out_least = test_random_below(random, most + 3);
    if (test_random_one_in(random, 2))
        *out_most = test_random_below(random, most + 3);
}

static struct fbat_region random_region(struct test_random *random) {
    struct fbat_region region = everything;
    if (test_random_one_in(random, 2))
        region.entity = fbat_text(PICK(random, entities));
    if (test_random_one_in(random, 3)) {
        region.flags |= FBAT_REGION_ENTITY_PREFIX;
        if (region.entity.size > 0)
            region.entity.size = test_random_below(random, region.entity.size + 1);
    }
    if (test_random_one_in(random, 2))
        region.scope = fbat_text(PICK(random, scopes));
    if (test_random_one_in(random, 3))
        region.flags |= FBAT_REGION_SYSTEM;
    if (test_random_one_in(random, 3))
        region.kind = PICK(random, kinds);
    if (test_random_one_in(random, 3))
        region.category = (uint16_t)test_random_below(random, 16);
    if (test_random_one_in(random, 3))
        random_range(random, 12, &region.revision_min, &region.revision_max);
    if (test_random_one_in(random, 3))
        random_range(random, 300, &region.sequence_min, &region.sequence_max);
    if (test_random_one_in(random, 3)) {
        region.time_min_us =
            test_random_one_in(random, 2) ? now_us - (int64_t)test_random_below(random, 400) * 1000 : 0;
        region.time_max_us =
            test_random_one_in(random, 2) ? now_us - (int64_t)test_random_below(random, 400) * 1000 : 0;
    }
    return region;
}

static struct fbat_query_options random_options(struct test_random *random) {
    struct fbat_query_options options = {.struct_size = sizeof options};
    options.direction = test_random_one_in(random, 2) ? FBAT_FORWARD : FBAT_BACKWARD;
    options.limit = test_random_one_in(random, 3) ? test_random_between(random, 1, 20) : 0;
    options.snapshot = test_random_one_in(random, 3) ? test_random_below(random, 320) : 0;
    return options;
}

static void check_random_queries(struct fbat_store *store, struct test_random *random, uint64_t queries) {
    struct samples *samples = malloc(sizeof *samples);
    assert_non_null(samples);
    collect_samples(store, samples);
    for (uint64_t at = 0; at < queries; at++) {
        struct fbat_region region = random_region(random);
        struct fbat_query_options options = random_options(random);
        check_query(store, samples, &region, &options);
        check_count(store, samples, &region);
    }
    release_samples(samples);
    free(samples);
}

/* Random regions over a random history, in few large and in many small segments, live and reopened. */
static void random_regions_give_what_a_filter_gives(void **state) {
    static const struct {
        uint64_t bytes;
        int appends;
    } segments[] = {{256 << 20, 250}, {8 << 10, 200}, {1, 50}};
    uint64_t seed = test_seed(20240601);
    print_message("seed %llu; FBAT_TEST_SEED=%llu tests/api/test_query replays it\n", (unsigned long long)seed,
                  (unsigned long long)seed);
    struct test_random random = test_random_init(seed);
    for (int at = 0; at < 3; at++) {
        struct fixture *fixture = opened(state, segments[at].bytes);
        write_history(fixture->store, &random, segments[at].appends);
        check_random_queries(fixture->store, &random, test_scaled(1500));
        reopen_store(fixture);
        check_random_queries(fixture->store, &random, test_scaled(500));
        close_store(fixture);
        assert_true(test_remove_tree(fixture->dir));
    }
}

/* ---- each field alone, by hand ---- */

static uint64_t count_in(struct fbat_store *store, const struct fbat_region *region) {
    uint64_t count;
    assert_ok(fbat_query_count(store, region, &count, &fault));
    return count;
}

static struct fixture *opened_with_few(void **state) {
    struct fixture *fixture = opened(state, 1);
    static const struct {
        const char *entity, *scope;
        uint16_t kind;
    } rows[] = {{"a", "x", KIND_A}, {"ab", "x", KIND_B}, {"a", "y", KIND_C}, {"b", "x", KIND_A}, {"a", "x", KIND_C}};
    for (int at = 0; at < 5; at++) {
        struct fbat_new_event event = event_of(rows[at].entity, rows[at].scope, "payload");
        event.kind = rows[at].kind;
        now_us = 1000000 * (at + 1);
        append_event(fixture->store, &event);
    }
    return fixture;
}

static void each_field_of_a_region_narrows_it(void **state) {
    struct fbat_store *store = opened_with_few(state)->store;
#define COUNT(...) count_in(store, &(struct fbat_region){.struct_size = sizeof(struct fbat_region), __VA_ARGS__})
    assert_int_equal(COUNT(.flags = 0), 5);
    assert_int_equal(COUNT(.entity = fbat_text("a")), 3);
    assert_int_equal(COUNT(.entity = fbat_text("a"), .flags = FBAT_REGION_ENTITY_PREFIX), 4);
    assert_int_equal(COUNT(.flags = FBAT_REGION_ENTITY_PREFIX), 5);
    assert_int_equal(COUNT(.scope = fbat_text("x")), 4);
    assert_int_equal(COUNT(.entity = fbat_text("a"), .scope = fbat_text("x")), 2);
    assert_int_equal(COUNT(.entity = fbat_text("a"), .scope = fbat_text("z")), 0);
    assert_int_equal(COUNT(.kind = KIND_A), 2);
    assert_int_equal(COUNT(.category = 1), 3);
    assert_int_equal(COUNT(.category = 2), 2);
    assert_int_equal(COUNT(.category = 1, .kind = KIND_C), 0);
    assert_int_equal(COUNT(.revision_min = 2), 1);
    assert_int_equal(COUNT(.revision_max = 1), 4);
    assert_int_equal(COUNT(.revision_min = 3), 0);
    assert_int_equal(COUNT(.sequence_min = 2, .sequence_max = 4), 3);
    assert_int_equal(COUNT(.sequence_min = 4, .sequence_max = 2), 0);
    assert_int_equal(COUNT(.sequence_min = UINT64_MAX), 0);
    assert_int_equal(COUNT(.time_min_us = 2000000), 4);
    assert_int_equal(COUNT(.time_max_us = 2000000), 2);
    assert_int_equal(COUNT(.time_min_us = 2000001, .time_max_us = 3000000), 1);
    assert_int_equal(COUNT(.time_min_us = INT64_MAX), 0);
    assert_int_equal(COUNT(.time_max_us = INT64_MAX), 5);
#undef COUNT
}

/* Only 0 means "open": no event was recorded before 1970. */
static void negative_times_are_bounds_like_any_other(void **state) {
    struct fbat_store *store = opened_with_few(state)->store;
    struct fbat_region region = everything;
    region.time_max_us = -1;
    assert_int_equal(count_in(store, &region), 0);
    region.time_max_us = INT64_MIN;
    assert_int_equal(count_in(store, &region), 0);
    region.time_max_us = 0;
    region.time_min_us = -1;
    assert_int_equal(count_in(store, &region), 5);
}

static void same_entity_in_two_scopes_is_two_streams(void **state) {
    struct fixture *fixture = opened(state, 256 << 20);
    for (int at = 0; at < 10; at++)
        append_text(fixture->store, "one", at % 2 ? "x" : "y", "payload");
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_ok(fbat_stream(fixture->store, fbat_text("one"), fbat_text("x"), NULL, &iterator, &fault));
    for (uint64_t revision = 1; revision <= 5; revision++) {
        assert_ok(fbat_iterator_next(iterator, &event, &fault));
        assert_int_equal(event.revision, revision);
        assert_int_equal(event.sequence, revision * 2);
        assert_slice("x", event.scope);
    }
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
}

static void stream_goes_backward_and_stops_at_its_limit(void **state) {
    struct fixture *fixture = opened(state, 1);
    for (int at = 0; at < 10; at++)
        append_text(fixture->store, at % 2 ? "one" : "two", "x", "payload");
    const struct fbat_query_options options = {
        .struct_size = sizeof options, .direction = FBAT_BACKWARD, .limit = 3, .snapshot = 8};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_ok(fbat_stream(fixture->store, fbat_text("one"), fbat_text("x"), &options, &iterator, &fault));
    for (uint64_t revision = 4; revision >= 2; revision--) {
        assert_ok(fbat_iterator_next(iterator, &event, &fault));
        assert_int_equal(event.revision, revision);
    }
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
}

static void stream_that_does_not_exist_is_empty(void **state) {
    struct fixture *fixture = opened(state, 256 << 20);
    append_text(fixture->store, "one", "x", "payload");
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_ok(fbat_stream(fixture->store, fbat_text("two"), fbat_text("x"), NULL, &iterator, &fault));
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
}

static void empty_store_has_nothing_to_find(void **state) {
    struct fixture *fixture = opened(state, 256 << 20);
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterator, &fault));
    assert_int_equal(fbat_iterator_snapshot(iterator), 0);
    append_text(fixture->store, "one", "x", "payload"); /* after the iterator began */
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
    assert_int_equal(count_events(fixture->store), 1);
}

static void system_events_are_hidden_unless_asked_for(void **state) {
    struct fixture *fixture = opened(state, 1);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("named"), &fault));
    append_text(fixture->store, "one", "x", "payload");
    struct fbat_region region = everything;
    assert_int_equal(count_in(fixture->store, NULL), 1);
    assert_int_equal(count_in(fixture->store, &region), 1);
    region.scope = fbat_text(FBAT_SYSTEM_SCOPE);
    assert_int_equal(count_in(fixture->store, &region), 0);
    region.flags = FBAT_REGION_SYSTEM;
    assert_int_equal(count_in(fixture->store, &region), 1);
    region.scope = fbat_text("");
    assert_int_equal(count_in(fixture->store, &region), 2);
    region.kind = FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1);
    assert_int_equal(count_in(fixture->store, &region), 1);
}

/* ---- snapshots ---- */

static uint64_t drain(struct fbat_iterator *iterator) {
    struct fbat_event event;
    uint64_t count = 0;
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &fault)) == FBAT_OK)
        count++;
    assert_status(FBAT_END, status);
    return count;
}

/* An iterator, forward or backward, by region or stream, sees what was there when it began, whatever is appended and
 * sealed meanwhile. */
static void iterator_sees_a_prefix_while_events_are_appended(void **state) {
    struct fixture *fixture = opened(state, 2 << 10);
    for (int at = 0; at < 30; at++)
        append_text(fixture->store, at % 2 ? "one" : "two", "x", "payload");
    const struct fbat_query_options backward = {.struct_size = sizeof backward, .direction = FBAT_BACKWARD};
    struct fbat_iterator *iterators[4];
    struct fbat_event event;
    assert_ok(fbat_query(fixture->store, NULL, NULL, &iterators[0], &fault));
    assert_ok(fbat_query(fixture->store, NULL, &backward, &iterators[1], &fault));
    assert_ok(fbat_stream(fixture->store, fbat_text("one"), fbat_text("x"), NULL, &iterators[2], &fault));
    assert_ok(fbat_stream(fixture->store, fbat_text("one"), fbat_text("x"), &backward, &iterators[3], &fault));
    for (int at = 0; at < 100; at++) {
        append_text(fixture->store, at % 2 ? "one" : "two", "x", "later");
        if (at % 10 == 0)
            for (int each = 0; each < 4; each++)
                assert_ok(fbat_iterator_next(iterators[each], &event, &fault));
        if (at % 10 == 0)
            assert_slice("payload", event.payload);
    }
    assert_int_equal(drain(iterators[0]), 20);
    assert_int_equal(drain(iterators[1]), 20);
    assert_int_equal(drain(iterators[2]), 5);
    assert_int_equal(drain(iterators[3]), 5);
    for (int each = 0; each < 4; each++) {
        assert_int_equal(fbat_iterator_snapshot(iterators[each]), 30);
        fbat_iterator_close(iterators[each]);
    }
}

static void snapshot_beyond_the_log_is_what_is_visible(void **state) {
    struct fixture *fixture = opened_with_few(state);
    const struct fbat_query_options options = {.struct_size = sizeof options, .snapshot = 99};
    struct fbat_iterator *iterator;
    assert_ok(fbat_query(fixture->store, NULL, &options, &iterator, &fault));
    assert_int_equal(fbat_iterator_snapshot(iterator), 5);
    assert_int_equal(drain(iterator), 5);
    fbat_iterator_close(iterator);
}

/* Region and options are copied. */
static void region_is_borrowed_during_the_call(void **state) {
    struct fixture *fixture = opened_with_few(state);
    char entity[] = "a", scope[] = "x";
    struct fbat_region region = everything;
    region.entity = fbat_text(entity);
    region.scope = fbat_text(scope);
    struct fbat_iterator *exact, *prefix;
    assert_ok(fbat_query(fixture->store, &region, NULL, &exact, &fault));
    region.flags = FBAT_REGION_ENTITY_PREFIX;
    assert_ok(fbat_query(fixture->store, &region, NULL, &prefix, &fault));
    entity[0] = scope[0] = '?';
    memset(&region, 0, sizeof region);
    assert_int_equal(drain(exact), 2);
    assert_int_equal(drain(prefix), 3);
    fbat_iterator_close(exact);
    fbat_iterator_close(prefix);
}

/* ---- errors ---- */

static void assert_bad_region(struct fbat_store *store, const struct fbat_region *region, int status) {
    struct fbat_iterator *iterator = (struct fbat_iterator *)&fault;
    uint64_t count = 77;
    assert_status(status, fbat_query(store, region, NULL, &iterator, &fault));
    assert_ptr_equal(iterator, &fault);
    assert_message_has("region");
    assert_status(status, fbat_query_count(store, region, &count, &fault));
    assert_int_equal(count, 77);
}

static void bad_regions_and_options_are_refused(void **state) {
    struct fbat_store *store = opened_with_few(state)->store;
    struct fbat_region region = everything;
    struct fbat_query_options options = {.struct_size = sizeof options};
    struct fbat_iterator *iterator;
    char long_name[FBAT_NAME_BYTES_MAX + 1];
    memset(long_name, 'n', sizeof long_name);
    region.struct_size = 0;
    assert_bad_region(store, &region, FBAT_ERR_ARGUMENT);
    region = everything;
    region.flags = 4;
    assert_bad_region(store, &region, FBAT_ERR_ARGUMENT);
    region = everything;
    region.category = 16;
    assert_bad_region(store, &region, FBAT_ERR_ARGUMENT);
    region = everything;
    region.entity = fbat_bytes(NULL, 1);
    assert_bad_region(store, &region, FBAT_ERR_ARGUMENT);
    region = everything;
    region.scope = fbat_bytes(long_name, sizeof long_name);
    assert_bad_region(store, &region, FBAT_ERR_NAME);
    assert_status(FBAT_ERR_ARGUMENT, fbat_query(store, NULL, NULL, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_query_count(store, NULL, NULL, &fault));
    options.struct_size = 1;
    assert_status(FBAT_ERR_ARGUMENT, fbat_query(store, NULL, &options, &iterator, &fault));
    options = (struct fbat_query_options){.struct_size = sizeof options, .direction = (enum fbat_direction)2};
    assert_status(FBAT_ERR_ARGUMENT, fbat_query(store, NULL, &options, &iterator, &fault));
    assert_status(FBAT_ERR_NAME, fbat_stream(store, fbat_text(""), fbat_text("x"), NULL, &iterator, &fault));
    assert_status(FBAT_ERR_NAME, fbat_stream(store, fbat_text("a"), fbat_text(""), NULL, &iterator, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_iterator_next(NULL, NULL, &fault));
    fbat_iterator_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(random_regions_give_what_a_filter_gives),
        behaviour_in_memory(each_field_of_a_region_narrows_it),
        behaviour_in_memory(negative_times_are_bounds_like_any_other),
        behaviour_in_memory(same_entity_in_two_scopes_is_two_streams),
        behaviour_in_memory(stream_goes_backward_and_stops_at_its_limit),
        behaviour_in_memory(stream_that_does_not_exist_is_empty),
        behaviour_in_memory(empty_store_has_nothing_to_find),
        behaviour_in_memory(system_events_are_hidden_unless_asked_for),
        behaviour_in_memory(iterator_sees_a_prefix_while_events_are_appended),
        behaviour_in_memory(snapshot_beyond_the_log_is_what_is_visible),
        behaviour_in_memory(region_is_borrowed_during_the_call),
        behaviour_in_memory(bad_regions_and_options_are_refused),
    };
    return cmocka_run_group_tests_name("api: queries", tests, NULL, NULL);
}
