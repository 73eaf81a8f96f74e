/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library is loaded at run time, so that the benchmarks link nothing that fbat does not need.
 */
#include "sqlite.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

struct subject sqlite_subject(struct sqlite_peer *peer, uint64_t (*run)(void *user, uint64_t count), uint64_t count) {
    return (struct subject){.run = peer ? run : NULL, .user = peer, .count = count, .apart = true};
}

void sqlite_remove(const char *name) {
    static const char *const endings[] = {"", "-wal", "-shm"};
    char path[PATH_BYTES], file[PATH_BYTES + 8];
    data_path(name, path);
    for (unsigned at = 0; at < 3; at++) {
        snprintf(file, sizeof file, "%s%s", path, endings[at]);
        (void)unlink(file);
    }
}

#if !__has_include(<sqlite3.h>)

struct sqlite_peer *sqlite_open(const char *name, bool full) {
    (void)name, (void)full;
    return NULL;
}
void sqlite_close(struct sqlite_peer *peer) {
    (void)peer;
}
uint64_t sqlite_event_count(struct sqlite_peer *peer) {
    (void)peer;
    return 0;
}
const char *sqlite_describe(void) {
    return "SQLite left out: sqlite3.h is not there (Debian: libsqlite3-dev)";
}

/* Never called: there is no peer. */
static uint64_t run_nothing(void *user, uint64_t count) {
    (void)user;
    return count;
}
uint64_t sqlite_append_run(void *user, uint64_t count) {
    return run_nothing(user, count);
}
uint64_t sqlite_batch_run(void *user, uint64_t count) {
    return run_nothing(user, count);
}
uint64_t sqlite_get_run(void *user, uint64_t count) {
    return run_nothing(user, count);
}
uint64_t sqlite_stream_run(void *user, uint64_t count) {
    return run_nothing(user, count);
}
uint64_t sqlite_kind_run(void *user, uint64_t count) {
    return run_nothing(user, count);
}

#else

#include <sqlite3.h>

enum { BATCH_EVENTS_SQLITE = 256 };

#define SQLITE_CALLS(X)                                                                                                \
    X(open)                                                                                                            \
    X(close)                                                                                                           \
    X(exec)                                                                                                            \
    X(prepare_v2)                                                                                                      \
    X(bind_blob)                                                                                                       \
    X(bind_text)                                                                                                       \
    X(bind_int64)                                                                                                      \
    X(step)                                                                                                            \
    X(reset)                                                                                                           \
    X(finalize)                                                                                                        \
    X(column_int64)                                                                                                    \
    X(column_blob)                                                                                                     \
    X(column_bytes)                                                                                                    \
    X(errmsg)                                                                                                          \
    X(libversion)

#define SQLITE_POINTER(name) __typeof__(&sqlite3_##name) name;
static struct { SQLITE_CALLS(SQLITE_POINTER) } sqlite;

static const char schema[] = "CREATE TABLE IF NOT EXISTS events (sequence INTEGER PRIMARY KEY, id BLOB NOT NULL,"
                             " scope TEXT NOT NULL, entity TEXT NOT NULL, revision INTEGER NOT NULL,"
                             " kind INTEGER NOT NULL, recorded_us INTEGER NOT NULL, payload BLOB NOT NULL);"
                             "CREATE UNIQUE INDEX IF NOT EXISTS by_id ON events (id);"
                             "CREATE UNIQUE INDEX IF NOT EXISTS by_stream ON events (scope, entity, revision);"
                             "CREATE INDEX IF NOT EXISTS by_kind ON events (kind);"
                             "CREATE INDEX IF NOT EXISTS by_scope ON events (scope);";
static const char insert_text[] = "INSERT INTO events (id, scope, entity, revision, kind, recorded_us, payload)"
                                  " VALUES (?, ?, ?, ?, ?, ?, ?)";
static const char get_text[] = "SELECT payload, sequence, revision, kind FROM events WHERE id = ?";
static const char stream_text[] = "SELECT payload, sequence, kind FROM events WHERE scope = ? AND entity = ?"
                                  " ORDER BY revision";
static const char kind_text[] = "SELECT id, sequence, revision, recorded_us FROM events WHERE kind = ?"
                                " ORDER BY sequence";

struct sqlite_peer {
    sqlite3 *database;
    sqlite3_stmt *insert, *get, *stream, *kind;
    struct workload workload;
    uint64_t event_count;
    uint64_t revisions[STREAM_COUNT];
    uint64_t sum;
};

static bool load_sqlite(void) {
    static int state; /* 0 = not tried, 1 = loaded, -1 = not there */
    if (state != 0)
        return state > 0;
    void *library = dlopen("libsqlite3.so.0", RTLD_NOW);
    state = library ? 1 : -1;
#define SQLITE_LOAD(name)                                                                                              \
    if (library && !(*(void **)&sqlite.name = dlsym(library, "sqlite3_" #name)))                                       \
        state = -1;
    SQLITE_CALLS(SQLITE_LOAD)
    return state > 0;
}

const char *sqlite_describe(void) {
    static char text[64];
    if (!load_sqlite())
        return "SQLite left out: libsqlite3.so.0 cannot be loaded";
    snprintf(text, sizeof text, "SQLite %s", sqlite.libversion());
    return text;
}

static void check_sqlite(struct sqlite_peer *peer, int result, const char *what) {
    if (result != SQLITE_OK && result != SQLITE_ROW && result != SQLITE_DONE)
        bench_die("SQLite, %s: %s", what, sqlite.errmsg(peer->database));
}

static void execute(struct sqlite_peer *peer, const char *text) {
    check_sqlite(peer, sqlite.exec(peer->database, text, NULL, NULL, NULL), text);
}

static sqlite3_stmt *prepare(struct sqlite_peer *peer, const char *text) {
    sqlite3_stmt *statement = NULL;
    check_sqlite(peer, sqlite.prepare_v2(peer->database, text, -1, &statement, NULL), text);
    return statement;
}

uint64_t sqlite_event_count(struct sqlite_peer *peer) {
    sqlite3_stmt *statement = prepare(peer, "SELECT max(sequence) FROM events");
    check_sqlite(peer, sqlite.step(statement), "count");
    peer->event_count = (uint64_t)sqlite.column_int64(statement, 0);
    sqlite.finalize(statement);
    return peer->event_count;
}

struct sqlite_peer *sqlite_open(const char *name, bool full) {
    if (!load_sqlite())
        return NULL;
    char path[PATH_BYTES];
    data_path(name, path);
    struct sqlite_peer *peer = calloc(1, sizeof *peer);
    check_system(peer != NULL, "allocate memory");
    workload_init(&peer->workload, 1);
    check_sqlite(peer, sqlite.open(path, &peer->database), path);
    execute(peer, full ? "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
                       : "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL");
    execute(peer, "PRAGMA mmap_size=2147483648; PRAGMA cache_size=-65536");
    execute(peer, schema);
    peer->insert = prepare(peer, insert_text);
    peer->get = prepare(peer, get_text);
    peer->stream = prepare(peer, stream_text);
    peer->kind = prepare(peer, kind_text);
    (void)sqlite_event_count(peer);
    return peer;
}

void sqlite_close(struct sqlite_peer *peer) {
    if (!peer)
        return;
    sqlite.finalize(peer->insert);
    sqlite.finalize(peer->get);
    sqlite.finalize(peer->stream);
    sqlite.finalize(peer->kind);
    check_sqlite(peer, sqlite.close(peer->database), "close");
    free(peer);
}

/* Ids that ascend as UUIDv7 do: the number, then bits that look random. */
static void make_sqlite_id(uint64_t number, uint8_t out_id[16]) {
    uint64_t bits = number * 0x9E3779B97F4A7C15u;
    for (unsigned at = 0; at < 8; at++) {
        out_id[at] = (uint8_t)(number >> (56 - 8 * at));
        out_id[8 + at] = (uint8_t)(bits >> (56 - 8 * at));
    }
}

static void bind_slice_text(sqlite3_stmt *statement, int place, struct fbat_slice slice) {
    (void)sqlite.bind_text(statement, place, slice.data, (int)slice.size, SQLITE_STATIC);
}

static void insert_event(struct sqlite_peer *peer) {
    struct fbat_new_event event;
    uint8_t id[16];
    uint32_t stream = workload_next(&peer->workload, &event);
    make_sqlite_id(++peer->event_count, id);
    (void)sqlite.bind_blob(peer->insert, 1, id, sizeof id, SQLITE_STATIC);
    bind_slice_text(peer->insert, 2, event.scope);
    bind_slice_text(peer->insert, 3, event.entity);
    (void)sqlite.bind_int64(peer->insert, 4, (sqlite3_int64)++peer->revisions[stream]);
    (void)sqlite.bind_int64(peer->insert, 5, event.kind);
    (void)sqlite.bind_int64(peer->insert, 6, (sqlite3_int64)(now_ns() / 1000));
    (void)sqlite.bind_blob(peer->insert, 7, event.payload.data, (int)event.payload.size, SQLITE_STATIC);
    check_sqlite(peer, sqlite.step(peer->insert), "insert");
    check_sqlite(peer, sqlite.reset(peer->insert), "insert");
}

uint64_t sqlite_append_run(void *user, uint64_t count) {
    struct sqlite_peer *peer = user;
    uint64_t start = now_ns();
    for (; count > 0; count--)
        insert_event(peer);
    return now_ns() - start;
}

uint64_t sqlite_batch_run(void *user, uint64_t count) {
    struct sqlite_peer *peer = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += BATCH_EVENTS_SQLITE) {
        execute(peer, "BEGIN IMMEDIATE");
        for (unsigned item = 0; item < BATCH_EVENTS_SQLITE; item++)
            insert_event(peer);
        execute(peer, "COMMIT");
    }
    return now_ns() - start;
}

uint64_t sqlite_get_run(void *user, uint64_t count) {
    struct sqlite_peer *peer = user;
    uint8_t id[16];
    uint64_t start = now_ns();
    for (; count > 0; count--) {
        make_sqlite_id(1 + workload_random(&peer->workload) % peer->event_count, id);
        (void)sqlite.bind_blob(peer->get, 1, id, sizeof id, SQLITE_STATIC);
        if (sqlite.step(peer->get) != SQLITE_ROW)
            bench_die("SQLite did not find an id");
        peer->sum += *(const uint8_t *)sqlite.column_blob(peer->get, 0);
        (void)sqlite.reset(peer->get);
    }
    return now_ns() - start;
}

/* The events of one stream. */
static uint64_t read_sqlite_stream(struct sqlite_peer *peer, uint32_t stream) {
    uint64_t count = 0;
    bind_slice_text(peer->stream, 1, workload_scope(stream));
    bind_slice_text(peer->stream, 2, workload_entity(stream));
    for (; sqlite.step(peer->stream) == SQLITE_ROW; count++) {
        const uint8_t *payload = sqlite.column_blob(peer->stream, 0);
        peer->sum += (uint64_t)payload[0] + payload[sqlite.column_bytes(peer->stream, 0) - 1];
    }
    (void)sqlite.reset(peer->stream);
    return count;
}

uint64_t sqlite_stream_run(void *user, uint64_t count) {
    struct sqlite_peer *peer = user;
    uint64_t start = now_ns(), done = 0;
    while (done < count)
        done += read_sqlite_stream(peer, (uint32_t)(workload_random(&peer->workload) % STREAM_COUNT));
    return (uint64_t)((double)(now_ns() - start) * (double)count / (double)done);
}

uint64_t sqlite_kind_run(void *user, uint64_t count) {
    struct sqlite_peer *peer = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        (void)sqlite.bind_int64(peer->kind, 1, workload_kind((uint32_t)done));
        while (sqlite.step(peer->kind) == SQLITE_ROW)
            peer->sum += (uint64_t)sqlite.column_int64(peer->kind, 1);
        (void)sqlite.reset(peer->kind);
    }
    return now_ns() - start;
}

#endif
