/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends at level `written`: single, conditional, with a key, in batches, and how they spread.
 *
 * The stores are as fbat_config_init makes them (a sync every 1,000 events in the background), but where a row's name
 * says otherwise. What a condition or a key adds is measured in one loop with plain appends to the same store.
 */
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "floors.h"
#include "harness.h"
#include "sqlite.h"
#include "workload.h"
#include "writer.h"

enum {
    ROUND_EVENTS = 4096,
    ROUND_PAIRS = 2048,
    SQLITE_EVENTS = 128,
    SAMPLES = 300000,
    BATCH_SAMPLES = 2000,
    LARGE_STORE_EVENTS = 1000000,
};

static const char *const small_segments[] = {"segment_max_bytes", "16MiB", NULL};

static uint64_t append_expecting(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint32_t stream = workload_next(&writer->workload, &event);
        event.expect = FBAT_EXPECT_REVISION;
        event.expected_revision = writer->revisions[stream];
        writer_append(writer, &event, &receipt);
        writer->revisions[stream] = receipt.revision;
    }
    return now_ns() - start;
}

/* A caller's key: a number and bits that look random, so that keys come in no order. */
static struct fbat_id make_key(uint64_t number) {
    struct fbat_id key;
    uint64_t high = number * 0x9E3779B97F4A7C15u, low = number;
    memcpy(key.bytes, &high, 8);
    memcpy(key.bytes + 8, &low, 8);
    return key;
}

static uint64_t append_keyed(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint32_t stream = workload_next(&writer->workload, &event);
        event.id = make_key(writer->workload.number);
        writer_append(writer, &event, &receipt);
        writer->revisions[stream] = receipt.revision;
    }
    return now_ns() - start;
}

/* The same events with the same keys once more: the workload starts over from where it was. Only that is timed. */
static uint64_t append_again(void *user, uint64_t count) {
    struct writer *writer = user;
    struct workload before = writer->workload;
    (void)append_keyed(writer, count);
    writer->workload = before;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        workload_next(&writer->workload, &event);
        event.id = make_key(writer->workload.number);
        writer_append(writer, &event, &receipt);
        if (!receipt.replayed)
            bench_die("a retry was not recognised");
    }
    return now_ns() - start;
}

/* ---- rows ---- */

/* A way to append beside the least that its bytes cost, in rounds; then single operations of `batch` events. */
static void measure_beside_floor(struct row *row, uint64_t (*run)(void *user, uint64_t count), uint32_t batch,
                                 uint64_t samples, const char *const *options) {
    struct writer writer;
    struct hash_floor floor;
    writer_open(&writer, "append", FBAT_LEVEL_WRITTEN, options);
    hash_floor_init(&floor, batch);
    row_run_rounds(row, SUBJECT(run, &writer, ROUND_EVENTS), SUBJECT(hash_floor_run, &floor, ROUND_EVENTS),
                   harness_rounds(60));
    row_sample(row, SUBJECT(run, &writer, batch), SUBJECT(hash_floor_run, &floor, batch), samples);
    row_print(row);
    hash_floor_deinit(&floor);
    writer_close(&writer);
}

static void measure_single(void) {
    struct row row = {.name = "append written", .unit = UNIT_US, .due = {0.6, 2}};
    sqlite_remove("append.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("append.sqlite", false);
    row_add_peer(&row, "SQLite, WAL, synchronous=NORMAL", sqlite_subject(sqlite, sqlite_append_run, SQLITE_EVENTS));
    measure_beside_floor(&row, writer_run_plain, 1, SAMPLES, NULL);
    sqlite_close(sqlite);
    sqlite_remove("append.sqlite");
}

static void measure_unsynced(void) {
    struct row row = {.name = "append written, no sync in the background", .unit = UNIT_US};
    measure_beside_floor(&row, writer_run_plain, 1, SAMPLES, no_sync_options);
}

static void measure_batches(void) {
    struct row row = {.name = "batch of 256 written, per event", .unit = UNIT_US, .due = {0.45, 0}};
    row.operation = "batch of 256";
    sqlite_remove("batch.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("batch.sqlite", false);
    row_add_peer(&row, "SQLite, WAL, synchronous=NORMAL", sqlite_subject(sqlite, sqlite_batch_run, 2 * WRITER_BATCH));
    measure_beside_floor(&row, writer_run_batches, WRITER_BATCH, BATCH_SAMPLES, NULL);
    sqlite_close(sqlite);
    sqlite_remove("batch.sqlite");
}

/* A way to append beside the plain one, event by event, into one store. */
static void measure_beside_plain(const char *name, uint64_t (*run)(void *user, uint64_t count), double due_ratio) {
    struct row row = {.name = name, .unit = UNIT_US, .due = {0, due_ratio}, .against = "plain append"};
    struct writer writer;
    writer_open(&writer, "variant", FBAT_LEVEL_WRITTEN, NULL);
    row_run_pairs(&row, SUBJECT(run, &writer, 1), SUBJECT(writer_run_plain, &writer, 1), ROUND_PAIRS,
                  harness_rounds(60));
    row_print(&row);
    writer_close(&writer);
}

/* Keyed events in batches: what a key that is not there has to be told from. */
static void fill_keyed(struct writer *writer, uint64_t count) {
    static struct fbat_new_event events[WRITER_BATCH];
    struct fbat_error error;
    for (uint64_t done = 0; done < count; done += WRITER_BATCH) {
        for (unsigned item = 0; item < WRITER_BATCH; item++) {
            workload_next(&writer->workload, &events[item]);
            events[item].id = make_key(writer->workload.number);
        }
        check_fbat(fbat_append_batch(writer->store, events, WRITER_BATCH, NULL, NULL, &error), &error, "fill a store");
    }
}

static void measure_keyed_large(void) {
    struct row row = {.unit = UNIT_US, .due = {0, 1.1}, .against = "plain append"};
    struct writer writer;
    struct fbat_stats stats;
    struct fbat_error error;
    row.name = "append written, caller's key, store of 1 M keys";
    writer_open(&writer, "large", FBAT_LEVEL_WRITTEN, small_segments);
    fill_keyed(&writer, harness_is_quick() ? LARGE_STORE_EVENTS / 4 : LARGE_STORE_EVENTS);
    check_fbat(fbat_stats(writer.store, &stats, &error), &error, "stats");
    snprintf(row.note, sizeof row.note, "%llu events in %llu segments before it", (unsigned long long)stats.events,
             (unsigned long long)stats.segments);
    row_run_pairs(&row, SUBJECT(append_keyed, &writer, 1), SUBJECT(writer_run_plain, &writer, 1), ROUND_PAIRS,
                  harness_rounds(60));
    row_print(&row);
    writer_close(&writer);
}

void family_append(void) {
    measure_single();
    measure_unsynced();
    measure_batches();
    measure_beside_plain("append written, expected revision", append_expecting, 1.1);
    measure_beside_plain("append written, caller's key", append_keyed, 1.1);
    measure_keyed_large();
    measure_beside_plain("append of a known key (a retry)", append_again, 0);
}
