/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Appends at level `durable` beside pwrite + sync of as many bytes into a preallocated file, turn by turn in short
 * rounds: the disk's own mood changes from second to second.
 *
 * With several threads, the floor is what as many independent disks would do: the raw rate times the threads. Only
 * syncs that serve more than one append can come near it. Beside it stands what bare group commit (group_floor.h) does
 * on the same file, which has to write and sync as many bytes; and without a sync, which is the processor's limit.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "floors.h"
#include "group_floor.h"
#include "harness.h"
#include "sqlite.h"
#include "team.h"
#include "workload.h"
#include "writer.h"

enum { ROUND_SYNCS = 25, SAMPLES = 10000 };

static const char *const data_options[] = {"sync.mode", "data", "batch.group_commit_max_batch", "0", NULL};
static const char *const all_options[] = {"sync.mode", "all", "batch.group_commit_max_batch", "0", NULL};
static const char *const alone_options[] = {"sync.mode", "data", "batch.group_commit_max_batch", "1", NULL};

/* ---- one thread ---- */

static void measure_durable(const char *name, bool data_only, bool with_sqlite) {
    struct row row = {.name = name, .unit = UNIT_US, .due = {0, 1.05}, .against = "raw"};
    struct writer writer;
    struct sync_floor floor, written;
    writer_open(&writer, "durable", FBAT_LEVEL_DURABLE, data_only ? data_options : all_options);
    sync_floor_init(&floor, "durable.raw", 1, data_only, false);
    sync_floor_init(&written, "durable.written", 1, data_only, true);
    sqlite_remove("durable.sqlite");
    struct sqlite_peer *sqlite = with_sqlite ? sqlite_open("durable.sqlite", true) : NULL;
    row_add_peer(&row, "raw, into a file of written zeros", SUBJECT(sync_floor_run, &written, ROUND_SYNCS));
    row_add_peer(&row, "SQLite, WAL, synchronous=FULL", sqlite_subject(sqlite, sqlite_append_run, ROUND_SYNCS));
    row_run_rounds(&row, SUBJECT(writer_run_plain, &writer, ROUND_SYNCS), SUBJECT(sync_floor_run, &floor, ROUND_SYNCS),
                   harness_rounds(60));
    row_sample(&row, SUBJECT(writer_run_plain, &writer, 1), SUBJECT(sync_floor_run, &floor, 1), SAMPLES);
    row_print(&row);
    sqlite_close(sqlite);
    sqlite_remove("durable.sqlite");
    sync_floor_deinit(&written);
    sync_floor_deinit(&floor);
    writer_close(&writer);
}

static void measure_durable_batches(void) {
    struct row row = {.name = "batch of 256 durable, per event", .unit = UNIT_US, .against = "raw"};
    struct writer writer;
    struct sync_floor floor;
    row.operation = "batch of 256";
    writer_open(&writer, "durable", FBAT_LEVEL_DURABLE, data_options);
    sync_floor_init(&floor, "durable.raw", WRITER_BATCH, true, false);
    sqlite_remove("durable.sqlite");
    struct sqlite_peer *sqlite = sqlite_open("durable.sqlite", true);
    row_add_peer(&row, "SQLite, WAL, synchronous=FULL", sqlite_subject(sqlite, sqlite_batch_run, 4 * WRITER_BATCH));
    row_run_rounds(&row, SUBJECT(writer_run_batches, &writer, 12 * WRITER_BATCH),
                   SUBJECT(sync_floor_run, &floor, 12 * WRITER_BATCH), harness_rounds(30));
    row_sample(&row, SUBJECT(writer_run_batches, &writer, WRITER_BATCH), SUBJECT(sync_floor_run, &floor, WRITER_BATCH),
               SAMPLES / 4);
    row_print(&row);
    sqlite_close(sqlite);
    sqlite_remove("durable.sqlite");
    sync_floor_deinit(&floor);
    writer_close(&writer);
}

/* ---- threads ---- */

struct durable_team {
    unsigned thread_count;
    struct writer writers[TEAM_MAX]; /* one store, a workload each */
    struct histogram latencies[TEAM_MAX];
    _Atomic int64_t left; /* appends that nobody has begun */
    struct sync_floor floor;
};

static void append_while_any(void *user, unsigned number) {
    struct durable_team *team = user;
    while (atomic_fetch_sub(&team->left, 1) > 0) {
        uint64_t took = writer_run_plain(&team->writers[number], 1);
        histogram_add(&team->latencies[number], without_clock(took));
    }
}

static uint64_t append_by_team(void *user, uint64_t count) {
    struct durable_team *team = user;
    atomic_store(&team->left, (int64_t)count);
    return team_run(team->thread_count, append_while_any, team);
}

/* One thread's work in the time of all: the raw rate times the threads. */
static uint64_t sync_for_team(void *user, uint64_t count) {
    struct durable_team *team = user;
    uint64_t each = count / team->thread_count;
    return (uint64_t)((double)sync_floor_run(&team->floor, each) / (double)(each * team->thread_count) * (double)count);
}

static void open_team(struct durable_team *team, unsigned thread_count, const char *const *options) {
    memset(team, 0, sizeof *team);
    team->thread_count = thread_count;
    writer_open(&team->writers[0], "team", FBAT_LEVEL_DURABLE, options);
    for (unsigned at = 1; at < thread_count; at++) {
        team->writers[at] = team->writers[0];
        workload_init(&team->writers[at].workload, at + 1);
    }
    sync_floor_init(&team->floor, "team.raw", 1, true, false);
    (void)clock_cost_ns(); /* before threads ask for it */
}

static void close_team(struct durable_team *team) {
    sync_floor_deinit(&team->floor);
    writer_close(&team->writers[0]);
}

/* What the same threads do with nothing around group commit. */
struct bare_groups {
    struct sync_floor written;
    struct group_floor eager, gathering, gathering_written, without_sync;
};

static void open_bare(struct bare_groups *bare, struct durable_team *team) {
    sync_floor_init(&bare->written, "team.written", 1, true, true);
    group_floor_init(&bare->eager, team->thread_count, GROUP_EAGER, &team->floor);
    group_floor_init(&bare->gathering, team->thread_count, GROUP_GATHERING, &team->floor);
    group_floor_init(&bare->gathering_written, team->thread_count, GROUP_GATHERING, &bare->written);
    group_floor_init(&bare->without_sync, team->thread_count, GROUP_WITHOUT_SYNC, &team->floor);
}

static void close_bare(struct bare_groups *bare) {
    group_floor_deinit(&bare->without_sync);
    group_floor_deinit(&bare->gathering_written);
    group_floor_deinit(&bare->gathering);
    group_floor_deinit(&bare->eager);
    sync_floor_deinit(&bare->written);
}

static void finish_team_row(struct row *row, const struct durable_team *team) {
    for (unsigned at = 0; at < team->thread_count; at++)
        histogram_merge(&row->latency, &team->latencies[at]);
    row_print(row);
}

static void measure_team(const char *name, unsigned thread_count, uint64_t count) {
    struct row row = {.name = name, .unit = UNIT_PER_SECOND, .due = {0, 0.8}, .against = "raw x threads"};
    static struct durable_team team;
    static struct bare_groups bare;
    open_team(&team, thread_count, data_options);
    open_bare(&bare, &team);
    row_add_peer(&row, "bare group commit, half of the threads", SUBJECT(group_floor_run, &bare.eager, count));
    row_add_peer(&row, "bare group commit, all threads", SUBJECT(group_floor_run, &bare.gathering, count));
    row_add_peer(&row, "... into a file of written zeros", SUBJECT(group_floor_run, &bare.gathering_written, count));
    row_add_peer(&row, "... without a sync: the CPU's limit", SUBJECT(group_floor_run, &bare.without_sync, count));
    row.limit = &row.peers[3];
    snprintf(row.note, sizeof row.note, "raw x threads: %u times the rate of pwrite + fdatasync on one thread",
             thread_count);
    row_run_rounds(&row, SUBJECT(append_by_team, &team, count), SUBJECT(sync_for_team, &team, count),
                   harness_rounds(20));
    finish_team_row(&row, &team);
    close_bare(&bare);
    close_team(&team);
}

/* The default: no append shares its sync. */
static void measure_team_alone(void) {
    struct row row = {.name = "append durable, 8 threads, a sync each", .unit = UNIT_PER_SECOND};
    static struct durable_team team;
    row.against = "raw x threads";
    open_team(&team, 8, alone_options);
    row_run_rounds(&row, SUBJECT(append_by_team, &team, 200), SUBJECT(sync_for_team, &team, 200), harness_rounds(10));
    snprintf(row.note, sizeof row.note, "batch.group_commit_max_batch = 1, the default");
    finish_team_row(&row, &team);
    close_team(&team);
}

void family_durable(void) {
    measure_durable("append durable, 1 thread (fdatasync)", true, false);
    measure_team("append durable, 8 threads", 8, 1600);
    measure_team("append durable, 64 threads", 64, 12800);
    measure_team_alone();
    measure_durable("append durable, 1 thread (fsync)", false, true);
    measure_durable_batches();
}
