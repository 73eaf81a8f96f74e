/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads from stores of 100 thousand and 1 million events: points, streams, queries, counts. Everything is in the page
 * cache. A point read is released at once; of a stream's payloads the first and the last byte are looked at; of a
 * query's events, nothing but that they are there.
 */
#include <stdio.h>
#include <stdlib.h>

#include "families.h"
#include "fixture.h"
#include "floors.h"
#include "harness.h"
#include "sqlite.h"
#include "workload.h"

enum { SAMPLE_IDS = 1 << 18, POINT_READS = 20000, STREAM_READS = 10000 };

struct reader {
    struct fbat_store *store;
    struct workload workload;
    struct memory_floor floor;
    struct sqlite_peer *sqlite;
    struct fbat_id *ids; /* SAMPLE_IDS of them, in random order */
    uint64_t id_at;      /* the next one to get */
    uint64_t event_count;
    int64_t *times; /* recorded times of every RANGE_EVENTS-th event */
    uint64_t sum;
};

/* ---- points ---- */

static void finish_point(struct reader *reader, int status, struct fbat_event *event, struct fbat_error *error) {
    check_fbat(status, error, "read an event");
    reader->sum += event->sequence;
    fbat_event_release(event);
}

static uint64_t get_by_id(void *user, uint64_t count) {
    struct reader *reader = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        const struct fbat_id *id = &reader->ids[reader->id_at++ % SAMPLE_IDS];
        finish_point(reader, fbat_get(reader->store, id, &event, &error), &event, &error);
    }
    return now_ns() - start;
}

static uint64_t get_by_sequence(void *user, uint64_t count) {
    struct reader *reader = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint64_t sequence = 1 + workload_random(&reader->workload) % reader->event_count;
        finish_point(reader, fbat_get_by_sequence(reader->store, sequence, &event, &error), &event, &error);
    }
    return now_ns() - start;
}

static uint64_t get_latest(void *user, uint64_t count) {
    struct reader *reader = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint32_t stream = (uint32_t)(workload_random(&reader->workload) % STREAM_COUNT);
        int status = fbat_latest(reader->store, workload_entity(stream), workload_scope(stream), &event, &error);
        finish_point(reader, status, &event, &error);
    }
    return now_ns() - start;
}

/* ---- streams and queries ---- */

/* Walks an iterator to its end and closes it. */
static uint64_t drain(struct reader *reader, struct fbat_iterator *iterator, bool touch) {
    struct fbat_event event;
    struct fbat_error error;
    uint64_t count = 0;
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        const uint8_t *payload = event.payload.data;
        if (touch)
            reader->sum += (uint64_t)payload[0] + payload[event.payload.size - 1];
        count++;
    }
    check_fbat(status, &error, "iterate");
    fbat_iterator_close(iterator);
    return count;
}

static uint64_t read_streams(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns(), done = 0;
    while (done < count) {
        uint32_t stream = (uint32_t)(workload_random(&reader->workload) % STREAM_COUNT);
        struct fbat_iterator *iterator;
        struct fbat_error error;
        int status =
            fbat_stream(reader->store, workload_entity(stream), workload_scope(stream), NULL, &iterator, &error);
        check_fbat(status, &error, "open a stream");
        done += drain(reader, iterator, true);
    }
    return (uint64_t)((double)(now_ns() - start) * (double)count / (double)done);
}

static uint64_t run_query(struct reader *reader, const struct fbat_region *region) {
    struct fbat_iterator *iterator;
    struct fbat_error error;
    check_fbat(fbat_query(reader->store, region, NULL, &iterator, &error), &error, "query");
    return drain(reader, iterator, false);
}

static void expect_hits(uint64_t hits, uint64_t expected, const char *what) {
    if (hits < expected * 9 / 10 || hits > expected * 11 / 10)
        bench_die("%s gave %llu events, expected about %llu", what, (unsigned long long)hits,
                  (unsigned long long)expected);
}

static uint64_t query_by_kind(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .kind = workload_kind((uint32_t)done)};
        expect_hits(run_query(reader, &region), reader->event_count / KIND_COUNT, "a query by kind");
    }
    return now_ns() - start;
}

static uint64_t query_by_scope(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .scope = workload_scope((uint32_t)done)};
        expect_hits(run_query(reader, &region), reader->event_count / SCOPE_COUNT, "a query by scope");
    }
    return now_ns() - start;
}

static uint64_t query_by_time(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t steps = reader->event_count / RANGE_EVENTS, start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        uint64_t step = workload_random(&reader->workload) % (steps - 1);
        struct fbat_region region = {
            .struct_size = sizeof region,
            .time_min_us = reader->times[step],
            .time_max_us = reader->times[step + 1] - 1,
        };
        expect_hits(run_query(reader, &region), RANGE_EVENTS, "a query by time");
    }
    return now_ns() - start;
}

static uint64_t count_region(struct reader *reader, const struct fbat_region *region) {
    uint64_t hits = 0;
    struct fbat_error error;
    check_fbat(fbat_query_count(reader->store, region, &hits, &error), &error, "count");
    return hits;
}

static uint64_t count_by_kind(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .kind = workload_kind((uint32_t)done)};
        expect_hits(count_region(reader, &region), reader->event_count / KIND_COUNT, "a count by kind");
    }
    return now_ns() - start;
}

static uint64_t count_all(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++)
        expect_hits(count_region(reader, NULL), reader->event_count, "a count of all");
    return now_ns() - start;
}

static uint64_t count_by_scope(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .scope = workload_scope((uint32_t)done)};
        expect_hits(count_region(reader, &region), reader->event_count / SCOPE_COUNT, "a count by scope");
    }
    return now_ns() - start;
}

/* Ten streams, whose names differ in the last digit. */
static uint64_t query_by_prefix(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .flags = FBAT_REGION_ENTITY_PREFIX};
        region.entity = workload_entity(100 + 10 * (uint32_t)(workload_random(&reader->workload) % 90));
        region.entity.size--;
        expect_hits(run_query(reader, &region), reader->event_count / (STREAM_COUNT / 10), "a query by prefix");
    }
    return now_ns() - start;
}

static uint64_t query_one_entity(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        uint32_t stream = (uint32_t)(workload_random(&reader->workload) % STREAM_COUNT);
        struct fbat_region region = {.struct_size = sizeof region, .entity = workload_entity(stream)};
        uint64_t hits = run_query(reader, &region); /* streams differ too much for a bound from both sides */
        if (hits < reader->event_count / STREAM_COUNT / 4)
            bench_die("a query by entity gave %llu events", (unsigned long long)hits);
    }
    return now_ns() - start;
}

static uint64_t query_absent_kind(void *user, uint64_t count) {
    struct reader *reader = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        struct fbat_region region = {.struct_size = sizeof region, .kind = FBAT_KIND(2, 1)};
        reader->sum += run_query(reader, &region);
    }
    return now_ns() - start;
}

/* ---- set-up ---- */

static void sample_ids(struct reader *reader) {
    reader->ids = malloc(SAMPLE_IDS * sizeof *reader->ids);
    check_system(reader->ids != NULL, "allocate memory");
    for (unsigned at = 0; at < SAMPLE_IDS; at++) {
        struct fbat_event event;
        struct fbat_error error;
        uint64_t sequence = 1 + workload_random(&reader->workload) % reader->event_count;
        check_fbat(fbat_get_by_sequence(reader->store, sequence, &event, &error), &error, "read an event");
        reader->ids[at] = event.id;
        fbat_event_release(&event);
    }
}

static void note_times(struct reader *reader) {
    uint64_t steps = reader->event_count / RANGE_EVENTS;
    reader->times = malloc(steps * sizeof *reader->times);
    check_system(reader->times != NULL, "allocate memory");
    for (uint64_t step = 0; step < steps; step++) {
        struct fbat_event event;
        struct fbat_error error;
        check_fbat(fbat_get_by_sequence(reader->store, 1 + step * RANGE_EVENTS, &event, &error), &error,
                   "read an event");
        reader->times[step] = event.recorded_us;
        fbat_event_release(&event);
    }
}

/* The database is kept from run to run: filling it takes longer than all else. */
static struct sqlite_peer *open_sqlite_fixture(uint64_t event_count) {
    char name[64];
    if (harness_is_quick() && event_count > 100000)
        return NULL;
    snprintf(name, sizeof name, "kept-%llu.sqlite", (unsigned long long)event_count);
    struct sqlite_peer *peer = sqlite_open(name, false);
    if (peer && sqlite_event_count(peer) < event_count)
        (void)sqlite_batch_run(peer, event_count - sqlite_event_count(peer));
    return peer;
}

static void reader_open(struct reader *reader, uint64_t event_count, const char *const *options) {
    char name[FIXTURE_NAME_BYTES];
    fixture_make(event_count, name);
    *reader = (struct reader){.event_count = event_count};
    workload_init(&reader->workload, 7);
    memory_floor_init(&reader->floor, event_count);
    reader->store = bench_store_open(name, options);
    reader->sqlite = open_sqlite_fixture(event_count);
    sample_ids(reader);
    note_times(reader);
}

static void reader_close(struct reader *reader) {
    bench_store_close(reader->store);
    sqlite_close(reader->sqlite);
    memory_floor_deinit(&reader->floor);
    free(reader->ids);
    free(reader->times);
}

/* ---- rows ---- */

typedef uint64_t run_fn(void *user, uint64_t count);

/* What is read, on what floor, against which run of SQLite (or none). */
struct reading {
    const char *name;
    run_fn *run, *floor, *sqlite;
    enum unit unit;
    double brief; /* at 1 M */
    uint64_t count, sqlite_count;
    unsigned rounds;
};

static const struct reading readings[] = {
    {"get by id, random", get_by_id, memory_floor_get, sqlite_get_run, UNIT_US, 0.2, POINT_READS, 1000, 60},
    {"get by sequence, random", get_by_sequence, memory_floor_sequence, NULL, UNIT_US, 0, POINT_READS, 0, 60},
    {"latest of a stream", get_latest, NULL, NULL, UNIT_US, 0, POINT_READS, 0, 60},
    {"stream with payload, per event", read_streams, memory_floor_streams, sqlite_stream_run, UNIT_US, 0.02,
     STREAM_READS, 3000, 60},
    {"query by kind, 1 in 8", query_by_kind, memory_floor_scan, sqlite_kind_run, UNIT_MS, 0.2, 1, 1, 30},
    {"query by scope, 1 in 10", query_by_scope, memory_floor_scan, NULL, UNIT_MS, 0, 1, 0, 30},
    {"query by time, 10,000 events", query_by_time, memory_floor_range, NULL, UNIT_MS, 0, 5, 0, 60},
    {"query by prefix, 10 streams", query_by_prefix, NULL, NULL, UNIT_MS, 0, 1, 0, 60},
    {"query by entity, in all scopes", query_one_entity, NULL, NULL, UNIT_MS, 0, 1, 0, 60},
    {"query by a kind that is not there", query_absent_kind, NULL, NULL, UNIT_MS, 0, 1, 0, 60},
    {"count by kind", count_by_kind, memory_floor_scan, NULL, UNIT_MS, 0.2, 1, 0, 60},
    {"count by scope", count_by_scope, memory_floor_scan, NULL, UNIT_MS, 0, 1, 0, 60},
    {"count all", count_all, NULL, NULL, UNIT_MS, 0, 1, 0, 60},
};

/* What views are for, with one of them alone, and with none. */
static const struct reading view_readings[] = {
    {"stream with payload, per event", read_streams, NULL, NULL, UNIT_US, 0, STREAM_READS, 0, 30},
    {"query by entity, in all scopes", query_one_entity, NULL, NULL, UNIT_MS, 0, 1, 0, 20},
    {"query by a kind that is not there", query_absent_kind, NULL, NULL, UNIT_MS, 0, 1, 0, 20},
    {"count by kind", count_by_kind, NULL, NULL, UNIT_MS, 0, 1, 0, 20},
    {"count by scope", count_by_scope, NULL, NULL, UNIT_MS, 0, 1, 0, 20},
};

static const struct view_setting {
    const char *name;
    const char *const options[3];
} view_settings[] = {
    {"1 M, views none", {"index.views", "none", NULL}},
    {"1 M, soa alone", {"index.views", "soa", NULL}},
    {"1 M, entity_groups alone", {"index.views", "entity_groups", NULL}},
    {"1 M, tiles64 alone", {"index.views", "tiles64", NULL}},
};

static void measure_reading(struct reader *reader, const struct reading *reading, const char *size_name) {
    char name[128];
    snprintf(name, sizeof name, "%s, %s", reading->name, size_name);
    struct row row = {.name = name, .unit = reading->unit};
    if (reader->event_count >= 1000000)
        row.brief.value = reading->brief;
    if (reading->sqlite)
        row_add_peer(&row, "SQLite", sqlite_subject(reader->sqlite, reading->sqlite, reading->sqlite_count));
    row_measure(&row, SUBJECT(reading->run, reader, reading->count),
                SUBJECT(reading->floor, &reader->floor, reading->count), harness_rounds(reading->rounds));
}

static void measure_size(uint64_t event_count, const char *size_name) {
    struct reader reader;
    reader_open(&reader, event_count, NULL);
    for (unsigned at = 0; at < sizeof readings / sizeof readings[0]; at++)
        measure_reading(&reader, &readings[at], size_name);
    reader_close(&reader);
}

static void measure_views(const struct view_setting *setting) {
    struct reader reader;
    reader_open(&reader, 1000000, setting->options);
    for (unsigned at = 0; at < sizeof view_readings / sizeof view_readings[0]; at++)
        measure_reading(&reader, &view_readings[at], setting->name);
    reader_close(&reader);
}

void family_read(void) {
    measure_size(100000, "100 k");
    measure_size(1000000, "1 M");
    for (unsigned at = 0; at < sizeof view_settings / sizeof view_settings[0]; at++)
        measure_views(&view_settings[at]);
}
