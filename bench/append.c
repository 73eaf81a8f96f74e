/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends at level `written`: single, conditional, with a key, in batches, and how they spread.
 *
 * The stores are as fbat_config_init makes them (a sync every 1,000 events in the background), but for one line.
 */
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "floors.h"
#include "harness.h"
#include "sqlite.h"
#include "workload.h"

enum { ROUND_EVENTS = 4096, BATCH_SIZE = 256, SQLITE_EVENTS = 128, LATENCY_SAMPLES = 100000 };

struct writer {
    struct fbat_store *store;
    struct workload workload;
    uint64_t revisions[STREAM_COUNT];
    uint64_t first_key;
};

static void writer_open(struct writer *writer, const char *name, const char *const *options) {
    memset(writer, 0, sizeof *writer);
    workload_init(&writer->workload, 1);
    writer->store = bench_store_open_new(name, options);
    bench_store_fill_singly(writer->store, &writer->workload, 2000);
}

static void append_one(struct writer *writer, const struct fbat_new_event *event, struct fbat_receipt *out_receipt) {
    static const struct fbat_append_options written = {sizeof written, FBAT_LEVEL_WRITTEN};
    struct fbat_error error;
    check_fbat(fbat_append(writer->store, event, &written, out_receipt, &error), &error, "append");
}

static uint64_t append_plain(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        workload_next(&writer->workload, &event);
        append_one(writer, &event, &receipt);
    }
    return now_ns() - start;
}

static uint64_t append_expecting(void *user, uint64_t count) {
    struct writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        uint32_t stream = workload_next(&writer->workload, &event);
        event.expect = FBAT_EXPECT_REVISION;
        event.expected_revision = writer->revisions[stream];
        append_one(writer, &event, &receipt);
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
        workload_next(&writer->workload, &event);
        event.id = make_key(writer->workload.number);
        append_one(writer, &event, &receipt);
    }
    return now_ns() - start;
}

/* The same events with the same keys once more: the workload starts over from where the round before did. */
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
        append_one(writer, &event, &receipt);
        if (!receipt.replayed)
            bench_die("a retry was not recognised");
    }
    return now_ns() - start;
}

static uint64_t append_batches(void *user, uint64_t count) {
    struct writer *writer = user;
    static struct fbat_new_event events[BATCH_SIZE];
    static struct fbat_receipt receipts[BATCH_SIZE];
    struct fbat_error error;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += BATCH_SIZE) {
        for (unsigned item = 0; item < BATCH_SIZE; item++)
            workload_next(&writer->workload, &events[item]);
        check_fbat(fbat_append_batch(writer->store, events, BATCH_SIZE, NULL, receipts, &error), &error, "append");
    }
    return now_ns() - start;
}

/* ---- rows ---- */

static void measure_single(void) {
    struct row row = {.name = "append written", .unit = UNIT_US, .due = {3, 0}, .brief = {0.6, 2}};
    struct writer writer;
    struct hash_floor floor;
    writer_open(&writer, "append", NULL);
    hash_floor_init(&floor, 1);
    sqlite_remove("append.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("append.sqlite", false);
    row_add_peer(&row, "SQLite, WAL, synchronous=NORMAL", sqlite_subject(sqlite, sqlite_append_run, SQLITE_EVENTS));
    row_measure(&row, SUBJECT(append_plain, &writer, ROUND_EVENTS), SUBJECT(hash_floor_run, &floor, ROUND_EVENTS),
                harness_rounds(60));
    sqlite_close(sqlite);
    sqlite_remove("append.sqlite");
    hash_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("append");
}

/* One way to append beside the plain one, in a store of its own each. */
static void measure_variant(struct row *row, uint64_t (*run)(void *user, uint64_t count), const char *const *options,
                            unsigned rounds) {
    struct writer writer, plain;
    struct hash_floor floor;
    writer_open(&writer, "variant", options);
    writer_open(&plain, "plain", NULL);
    hash_floor_init(&floor, 1);
    memset(writer.revisions, 0, sizeof writer.revisions);
    for (uint32_t stream = 0; stream < STREAM_COUNT; stream++) {
        struct fbat_event event;
        if (fbat_latest(writer.store, workload_entity(stream), workload_scope(stream), &event, NULL) != FBAT_OK)
            continue;
        writer.revisions[stream] = event.revision;
        fbat_event_release(&event);
    }
    row_add_peer(row, "plain append", SUBJECT(append_plain, &plain, ROUND_EVENTS));
    row_measure(row, SUBJECT(run, &writer, ROUND_EVENTS), SUBJECT(hash_floor_run, &floor, ROUND_EVENTS),
                harness_rounds(rounds));
    hash_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_close(plain.store);
    bench_store_remove("variant");
    bench_store_remove("plain");
}

static void measure_variants(void) {
    struct row unsynced = {.name = "append written, no sync in the background", .unit = UNIT_US};
    struct row expecting = {.name = "append written, expected revision", .unit = UNIT_US};
    struct row keyed = {.name = "append written, caller's key", .unit = UNIT_US};
    struct row again = {.name = "append of a known key (a retry)", .unit = UNIT_US};
    measure_variant(&unsynced, append_plain, no_sync_options, 60);
    measure_variant(&expecting, append_expecting, NULL, 60);
    measure_variant(&keyed, append_keyed, NULL, 60);
    measure_variant(&again, append_again, NULL, 60);
}

static void measure_batches(void) {
    struct row row = {.name = "batch of 256 written, per event", .unit = UNIT_US, .brief = {0.45, 0}};
    struct writer writer;
    struct hash_floor floor;
    writer_open(&writer, "batch", NULL);
    hash_floor_init(&floor, BATCH_SIZE);
    sqlite_remove("batch.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("batch.sqlite", false);
    row_add_peer(&row, "SQLite, WAL, synchronous=NORMAL", sqlite_subject(sqlite, sqlite_batch_run, 2 * BATCH_SIZE));
    row_measure(&row, SUBJECT(append_batches, &writer, ROUND_EVENTS), SUBJECT(hash_floor_run, &floor, ROUND_EVENTS),
                harness_rounds(60));
    sqlite_close(sqlite);
    sqlite_remove("batch.sqlite");
    hash_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("batch");
}

static void measure_written_latency(void) {
    struct writer writer;
    struct hash_floor floor;
    writer_open(&writer, "latency", NULL);
    hash_floor_init(&floor, 1);
    latency_measure("append written", SUBJECT(append_plain, &writer, LATENCY_SAMPLES),
                    SUBJECT(hash_floor_run, &floor, LATENCY_SAMPLES), harness_rounds(5));
    hash_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("latency");
}

void family_append(void) {
    measure_single();
    measure_variants();
    measure_batches();
    measure_written_latency();
}
