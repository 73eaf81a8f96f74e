/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends at level `durable` beside pwrite + sync of as many bytes into a preallocated file, turn by turn in short
 * rounds: the disk's own mood changes from second to second.
 *
 * With several threads, the floor is what as many independent disks would do: the raw rate times the threads. Only
 * syncs that serve more than one append can come near it.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "floors.h"
#include "harness.h"
#include "sqlite.h"
#include "workload.h"

enum { ROUND_SYNCS = 25, BATCH_SIZE = 256, THREADS_MAX = 64, LATENCY_SAMPLES = 2000 };

static const struct fbat_append_options durable_options = {sizeof durable_options, FBAT_LEVEL_DURABLE};
static const char *const data_options[] = {"sync.mode", "data", NULL};
static const char *const all_options[] = {"sync.mode", "all", NULL};

struct durable_writer {
    struct fbat_store *store;
    struct workload workload;
};

static void open_durable(struct durable_writer *writer, const char *name, const char *const *options) {
    workload_init(&writer->workload, 1);
    writer->store = bench_store_open_new(name, options);
    bench_store_fill(writer->store, &writer->workload, 2048);
}

static uint64_t append_durable(void *user, uint64_t count) {
    struct durable_writer *writer = user;
    struct fbat_new_event event;
    struct fbat_receipt receipt;
    struct fbat_error error;
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        workload_next(&writer->workload, &event);
        check_fbat(fbat_append(writer->store, &event, &durable_options, &receipt, &error), &error, "append");
    }
    return now_ns() - start;
}

static uint64_t append_batches_durable(void *user, uint64_t count) {
    struct durable_writer *writer = user;
    static struct fbat_new_event events[BATCH_SIZE];
    struct fbat_error error;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += BATCH_SIZE) {
        for (unsigned item = 0; item < BATCH_SIZE; item++)
            workload_next(&writer->workload, &events[item]);
        check_fbat(fbat_append_batch(writer->store, events, BATCH_SIZE, &durable_options, NULL, &error), &error,
                   "append");
    }
    return now_ns() - start;
}

static void measure_durable(const char *name, bool data_only, bool with_sqlite) {
    struct row row = {.name = name, .unit = UNIT_US, .due = {0, 1.3}, .brief = {0, 1.05}};
    struct durable_writer writer;
    struct sync_floor floor, written;
    open_durable(&writer, "durable", data_only ? data_options : all_options);
    sync_floor_init(&floor, "durable.raw", 1, data_only, false);
    sync_floor_init(&written, "durable.written", 1, data_only, true);
    sqlite_remove("durable.sqlite");
    struct sqlite_peer *sqlite = with_sqlite ? sqlite_open("durable.sqlite", true) : NULL;
    row_add_peer(&row, "raw, into a file of written zeros", SUBJECT(sync_floor_run, &written, ROUND_SYNCS));
    row_add_peer(&row, "SQLite, WAL, synchronous=FULL", sqlite_subject(sqlite, sqlite_append_run, ROUND_SYNCS));
    row_measure(&row, SUBJECT(append_durable, &writer, ROUND_SYNCS), SUBJECT(sync_floor_run, &floor, ROUND_SYNCS),
                harness_rounds(60));
    sqlite_close(sqlite);
    sqlite_remove("durable.sqlite");
    sync_floor_deinit(&written);
    sync_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("durable");
}

static void measure_durable_batches(void) {
    struct row row = {.name = "batch of 256 durable, per event", .unit = UNIT_US};
    struct durable_writer writer;
    struct sync_floor floor;
    open_durable(&writer, "durable", data_options);
    sync_floor_init(&floor, "durable.raw", BATCH_SIZE, true, false);
    sqlite_remove("durable.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("durable.sqlite", true);
    row_add_peer(&row, "SQLite, WAL, synchronous=FULL", sqlite_subject(sqlite, sqlite_batch_run, 4 * BATCH_SIZE));
    row_measure(&row, SUBJECT(append_batches_durable, &writer, 12 * BATCH_SIZE),
                SUBJECT(sync_floor_run, &floor, 12 * BATCH_SIZE), harness_rounds(30));
    sqlite_close(sqlite);
    sqlite_remove("durable.sqlite");
    sync_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("durable");
}

/* ---- threads ---- */

struct team {
    unsigned thread_count;
    struct durable_writer writers[THREADS_MAX]; /* one store, a workload each */
    struct sync_floor floor;
};

struct share {
    struct durable_writer *writer;
    uint64_t count;
};

static void *append_share(void *argument) {
    struct share *share = argument;
    (void)append_durable(share->writer, share->count);
    return NULL;
}

static uint64_t append_by_team(void *user, uint64_t count) {
    struct team *team = user;
    pthread_t threads[THREADS_MAX];
    struct share shares[THREADS_MAX];
    uint64_t start = now_ns();
    for (unsigned at = 0; at < team->thread_count; at++) {
        shares[at] = (struct share){&team->writers[at], count / team->thread_count};
        check_system(pthread_create(&threads[at], NULL, append_share, &shares[at]) == 0, "start a thread");
    }
    for (unsigned at = 0; at < team->thread_count; at++)
        pthread_join(threads[at], NULL);
    return now_ns() - start;
}

/* One thread's work in the time of all: the raw rate times the threads. */
static uint64_t sync_by_team(void *user, uint64_t count) {
    struct team *team = user;
    return sync_floor_run(&team->floor, count / team->thread_count);
}

static void measure_team(const char *name, unsigned thread_count, uint64_t count) {
    struct row row = {.name = name, .unit = UNIT_PER_SECOND, .brief = {0, 0.8}};
    static struct team team;
    team.thread_count = thread_count;
    open_durable(&team.writers[0], "team", data_options);
    for (unsigned at = 1; at < thread_count; at++) {
        workload_init(&team.writers[at].workload, at + 1);
        team.writers[at].store = team.writers[0].store;
    }
    sync_floor_init(&team.floor, "team.raw", 1, true, false);
    snprintf(row.note, sizeof row.note,
             "the floor is the raw rate times %u; each durable append has its own sync until group commit comes",
             thread_count);
    row_measure(&row, SUBJECT(append_by_team, &team, count), SUBJECT(sync_by_team, &team, count), harness_rounds(9));
    sync_floor_deinit(&team.floor);
    bench_store_close(team.writers[0].store);
    bench_store_remove("team");
}

static void measure_durable_latency(void) {
    struct durable_writer writer;
    struct sync_floor floor;
    open_durable(&writer, "durable", data_options);
    sync_floor_init(&floor, "durable.raw", 1, true, false);
    latency_measure("append durable (fdatasync)", SUBJECT(append_durable, &writer, LATENCY_SAMPLES),
                    SUBJECT(sync_floor_run, &floor, LATENCY_SAMPLES), harness_rounds(5));
    sync_floor_deinit(&floor);
    bench_store_close(writer.store);
    bench_store_remove("durable");
}

void family_durable(void) {
    measure_durable("append durable, sync.mode=data (fdatasync)", true, false);
    measure_durable("append durable, sync.mode=all (fsync)", false, true);
    measure_team("append durable, 8 threads", 8, 400);
    measure_team("append durable, 64 threads", 64, 640);
    measure_durable_batches();
    measure_durable_latency();
}
