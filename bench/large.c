/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cost against size: the same reads, openings and sums over stores of 1 million and 10 million events, and of 100 million
 * with BENCH_LARGE=1 in the environment (about 30 GB of disk and some minutes). What a good index promises is that the
 * figures of one kind stay level.
 *
 * Events have payloads of 24 bytes and stand in as many streams as there are thousands of events; one in a million is of a
 * kind of its own, another one in a scope of its own. A store is made in a child process, measured and removed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "harness.h"
#include "opening.h"
#include "size.h"
#include "workload.h"

enum {
    MILLION = 1000000,
    RARE_KIND_AT = 500000, /* of each million */
    RARE_SCOPE_AT = 700000,
    SMALL_PAYLOAD_BYTES = 24,
    FILL_BATCH = 256,
    IDS = 1 << 17,
    POINT_READS = 20000,
    TIME_EVENTS = 10000,
    LARGE_NAME_BYTES = 32,
};

static const char large_store[] = "large";

struct large {
    uint64_t event_count, stream_count;
    const char *size_name;
    struct fbat_store *store;
    struct workload random;
    struct fbat_id *ids; /* IDS of them */
    uint64_t id_at;
    uint64_t sum;
};

/* ---- making it ---- */

static struct fbat_slice name_of(char buffer[LARGE_NAME_BYTES], const char *format, uint64_t number) {
    int size = snprintf(buffer, LARGE_NAME_BYTES, format, (unsigned long long)number);
    return fbat_bytes(buffer, (size_t)size);
}

struct large_names {
    char entity[LARGE_NAME_BYTES], scope[LARGE_NAME_BYTES];
};

static void make_event(struct large *large, uint64_t number, struct large_names *names,
                       struct fbat_new_event *out_event) {
    static const uint8_t payload[SMALL_PAYLOAD_BYTES] = "twenty-four small bytes";
    uint64_t stream = (workload_random(&large->random) >> 32) % large->stream_count;
    bool rare_scope = number % MILLION == RARE_SCOPE_AT;
    *out_event = (struct fbat_new_event){
        .struct_size = sizeof *out_event,
        .kind = number % MILLION == RARE_KIND_AT ? FBAT_KIND(2, 1) : workload_kind((uint32_t)(number % KIND_COUNT)),
        .entity = name_of(names->entity, "entity-%09llu", stream),
        .scope = rare_scope ? fbat_text("scope-of-few") : name_of(names->scope, "scope-%llu", stream % SCOPE_COUNT),
        .payload = fbat_bytes(payload, sizeof payload),
    };
}

static uint64_t fill_large(void *user) {
    struct large *large = user;
    static struct large_names names[FILL_BATCH];
    struct fbat_new_event events[FILL_BATCH];
    struct fbat_error error;
    uint64_t start = now_ns();
    struct fbat_store *store = bench_store_open_new(large_store, no_sync_options);
    for (uint64_t done = 0; done < large->event_count;) {
        uint64_t left = large->event_count - done, here = left < FILL_BATCH ? left : FILL_BATCH;
        for (uint64_t item = 0; item < here; item++)
            make_event(large, done + item, &names[item], &events[item]);
        check_fbat(fbat_append_batch(store, events, here, NULL, NULL, &error), &error, "fill a store");
        done += here;
    }
    bench_store_close(store);
    return now_ns() - start;
}

/* ---- reading ---- */

static void take(struct large *large, int status, struct fbat_event *event, struct fbat_error *error) {
    check_fbat(status, error, "read an event");
    large->sum += event->sequence;
    fbat_event_release(event);
}

static uint64_t random_sequence(struct large *large) {
    return 1 + workload_random(&large->random) % large->event_count;
}

static uint64_t get_by_id(void *user, uint64_t count) {
    struct large *large = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--)
        take(large, fbat_get(large->store, &large->ids[large->id_at++ % IDS], &event, &error), &event, &error);
    return now_ns() - start;
}

static uint64_t get_absent_id(void *user, uint64_t count) {
    struct large *large = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        struct fbat_id id = large->ids[large->id_at++ % IDS];
        id.bytes[15] ^= 1;
        if (fbat_get(large->store, &id, &event, &error) != FBAT_ERR_NOT_FOUND)
            bench_die("an id that no event has was found");
    }
    return now_ns() - start;
}

static uint64_t get_latest(void *user, uint64_t count) {
    struct large *large = user;
    struct large_names names;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint64_t stream = workload_random(&large->random) % large->stream_count;
        struct fbat_slice entity = name_of(names.entity, "entity-%09llu", stream);
        struct fbat_slice scope = name_of(names.scope, "scope-%llu", stream % SCOPE_COUNT);
        take(large, fbat_latest(large->store, entity, scope, &event, &error), &event, &error);
    }
    return now_ns() - start;
}

static uint64_t drain(struct large *large, int status, struct fbat_iterator *iterator, struct fbat_error *error) {
    struct fbat_event event;
    uint64_t events = 0;
    check_fbat(status, error, "query");
    while ((status = fbat_iterator_next(iterator, &event, error)) == FBAT_OK) {
        large->sum += ((const uint8_t *)event.payload.data)[0];
        events++;
    }
    check_fbat(status, error, "iterate");
    fbat_iterator_close(iterator);
    return events;
}

static uint64_t read_streams(void *user, uint64_t count) {
    struct large *large = user;
    struct large_names names;
    struct fbat_error error;
    uint64_t start = now_ns(), done = 0;
    while (done < count) {
        struct fbat_iterator *iterator = NULL;
        uint64_t stream = workload_random(&large->random) % large->stream_count;
        struct fbat_slice entity = name_of(names.entity, "entity-%09llu", stream);
        struct fbat_slice scope = name_of(names.scope, "scope-%llu", stream % SCOPE_COUNT);
        int status = fbat_stream(large->store, entity, scope, NULL, &iterator, &error);
        done += drain(large, status, iterator, &error);
    }
    return (uint64_t)((double)(now_ns() - start) * (double)count / (double)done);
}

static void run_region(struct large *large, const struct fbat_region *region, const struct fbat_query_options *options,
                       uint64_t expected) {
    struct fbat_iterator *iterator = NULL;
    struct fbat_error error;
    int status = fbat_query(large->store, region, options, &iterator, &error);
    uint64_t events = drain(large, status, iterator, &error);
    if (events != expected)
        bench_die("a query gave %llu events, expected %llu", (unsigned long long)events, (unsigned long long)expected);
}

static uint64_t first_of_rare_kind(void *user, uint64_t count) {
    const struct fbat_region region = {.struct_size = sizeof region, .kind = FBAT_KIND(2, 1)};
    const struct fbat_query_options options = {.struct_size = sizeof options, .limit = 1};
    uint64_t start = now_ns();
    for (; count > 0; count--)
        run_region(user, &region, &options, 1);
    return now_ns() - start;
}

static uint64_t all_of_rare_kind(void *user, uint64_t count) {
    struct large *large = user;
    const struct fbat_region region = {.struct_size = sizeof region, .kind = FBAT_KIND(2, 1)};
    uint64_t start = now_ns();
    for (; count > 0; count--)
        run_region(large, &region, NULL, large->event_count / MILLION);
    return now_ns() - start;
}

static uint64_t all_of_rare_scope(void *user, uint64_t count) {
    struct large *large = user;
    const struct fbat_region region = {.struct_size = sizeof region, .scope = fbat_text("scope-of-few")};
    uint64_t start = now_ns();
    for (; count > 0; count--)
        run_region(large, &region, NULL, large->event_count / MILLION);
    return now_ns() - start;
}

static uint64_t range_of_time(void *user, uint64_t count) {
    struct large *large = user;
    struct fbat_event event;
    struct fbat_error error;
    const struct fbat_query_options options = {.struct_size = sizeof options, .limit = TIME_EVENTS};
    uint64_t taken = 0;
    for (; count > 0; count--) {
        uint64_t sequence = 1 + workload_random(&large->random) % (large->event_count - 2 * (uint64_t)TIME_EVENTS);
        check_fbat(fbat_get_by_sequence(large->store, sequence, &event, &error), &error, "read an event");
        struct fbat_region region = {.struct_size = sizeof region, .time_min_us = event.recorded_us};
        fbat_event_release(&event);
        uint64_t start = now_ns();
        run_region(large, &region, &options, TIME_EVENTS);
        taken += now_ns() - start;
    }
    return taken;
}

static uint64_t count_by_kind(void *user, uint64_t count) {
    struct large *large = user;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .kind = workload_kind((uint32_t)done)};
        uint64_t hits = 0;
        check_fbat(fbat_query_count(large->store, &region, &hits, &error), &error, "count");
        large->sum += hits;
    }
    return now_ns() - start;
}

/* ---- rows ---- */

static const struct reading {
    const char *name;
    uint64_t (*run)(void *user, uint64_t count);
    enum unit unit;
    double brief;
    uint64_t count;
    unsigned rounds;
} readings[] = {
    {"get by id, random", get_by_id, UNIT_US, 0.2, POINT_READS, 30},
    {"get of an id that is not there", get_absent_id, UNIT_US, 0, POINT_READS, 30},
    {"latest of a stream", get_latest, UNIT_US, 0, POINT_READS, 30},
    {"stream, per event", read_streams, UNIT_US, 0.02, POINT_READS, 30},
    {"first event of a kind that is one in a million", first_of_rare_kind, UNIT_MS, 0, 1, 15},
    {"all events of a kind that is one in a million", all_of_rare_kind, UNIT_MS, 0, 1, 7},
    {"all events of a scope that is one in a million", all_of_rare_scope, UNIT_MS, 0, 1, 7},
    {"10,000 events from a time on", range_of_time, UNIT_MS, 0, 1, 15},
    {"count by kind, 1 in 8", count_by_kind, UNIT_MS, 0, 1, 7},
};

static void sample_ids(struct large *large) {
    struct fbat_event event;
    struct fbat_error error;
    large->ids = malloc(IDS * sizeof *large->ids);
    check_system(large->ids != NULL, "allocate memory");
    for (unsigned at = 0; at < IDS; at++) {
        check_fbat(fbat_get_by_sequence(large->store, random_sequence(large), &event, &error), &error, "read an event");
        large->ids[at] = event.id;
        fbat_event_release(&event);
    }
}

static void measure_readings(struct large *large) {
    large->store = bench_store_open(large_store, NULL);
    sample_ids(large);
    for (unsigned at = 0; at < sizeof readings / sizeof readings[0]; at++) {
        const struct reading *reading = &readings[at];
        char name[128];
        snprintf(name, sizeof name, "%s, %s", reading->name, large->size_name);
        struct row row = {.name = name, .unit = reading->unit, .brief = {reading->brief, 0}};
        row_measure(&row, SUBJECT(reading->run, large, reading->count), (struct subject){0},
                    harness_rounds(reading->rounds));
    }
    free(large->ids);
    bench_store_close(large->store);
}

static void measure_sizes(const struct large *large, double fill_ns) {
    char names[3][128];
    snprintf(names[0], sizeof names[0], "batch of 256 written, per event, %s", large->size_name);
    snprintf(names[1], sizeof names[1], "disk per event beyond its own bytes, %s", large->size_name);
    snprintf(names[2], sizeof names[2], "memory per event after opening, %s", large->size_name);
    struct row fill = {.name = names[0], .unit = UNIT_US, .brief = {0.45, 0}};
    struct row disk = {.name = names[1], .unit = UNIT_BYTES, .brief = {280, 0}};
    struct row memory = {.name = names[2], .unit = UNIT_BYTES, .brief = {8, 0}};
    double count = (double)large->event_count, own = sizeof "entity-000000000scope-0" - 1 + SMALL_PAYLOAD_BYTES;
    series_add(&fill.fbat, fill_ns / 1000 / count);
    series_add(&disk.fbat, (double)bytes_of_store(large_store) / count - own);
    series_add(&memory.fbat, (double)memory_of_opened(large_store) / count);
    snprintf(fill.note, sizeof fill.note, "one run of %.0f s, opening and closing included", fill_ns / 1e9);
    row_print(&fill);
    row_print(&disk);
    row_print(&memory);
}

static void measure_large(uint64_t event_count, const char *size_name) {
    struct large large = {.event_count = event_count, .size_name = size_name};
    large.stream_count = event_count / 1000;
    workload_init(&large.random, 11);
    double fill_ns = (double)measure_in_child(fill_large, &large);
    measure_sizes(&large, fill_ns);
    measure_readings(&large);
    measure_openings(large_store, 77777, size_name, true);
    bench_store_remove(large_store);
}

void family_large(void) {
    const char *wanted = getenv("BENCH_LARGE");
    measure_large(1 * (uint64_t)MILLION, "1 M");
    if (!harness_is_quick())
        measure_large(10 * (uint64_t)MILLION, "10 M");
    if (wanted && strcmp(wanted, "0") != 0)
        measure_large(100 * (uint64_t)MILLION, "100 M");
}
