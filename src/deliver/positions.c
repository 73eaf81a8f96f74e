/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of named cursors in LMDB. The header has the record and the crash table.
 *
 * Happy path: one short transaction for each call. The map is small and doubles when it is full; another process may have made
 * it larger, which LMDB tells at the beginning of a transaction.
 *
 * Failure: LMDB's errors are the system's, or become FBAT_ERR_DAMAGED with its text. A directory that may not be written gives
 * an environment for reading.
 *
 * LMDB goes to the system by itself, not through struct os: an os that is not the real one has no path_resolve, and so no named
 * cursors. Readers' slots belong to transactions, not threads (MDB_NOTLS), of which there may be more than slots.
 *
 * I1: the list holds at most one entry of a path and process, and its references are those that positions_open gave.
 */
#include "deliver/positions.h"

#include <errno.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/utf8.h"

enum { MAP_BYTES_MIN = 1 << 20, MAP_BYTES_MAX = 1 << 30, DATABASES_MAX = 8, RETRIES_MAX = 16, FILE_MODE = 0644 };

struct positions {
    struct positions *next; /* in the list */
    unsigned references;    /* guarded by list_lock */
    int64_t process_id;
    char path[LIMIT_PATH_BYTES + 16];
    struct fbat_id store_id;
    pthread_mutex_t lock; /* held during a transaction, and while the map is resized */
    MDB_env *env;
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct positions *list_first;

int positions_check_name(struct fbat_slice name, struct fbat_error *error) {
    if (name.data && name.size > 0 && name.size <= POSITION_NAME_BYTES_MAX && utf8_is_plain_text(name.data, name.size))
        return FBAT_OK;
    return error_set(error, FBAT_ERR_NAME,
                     "a cursor's name has 1 to %d bytes of UTF-8 without control characters; this one has %zu bytes",
                     POSITION_NAME_BYTES_MAX, name.size);
}

static int fail_lmdb(const struct positions *positions, int code, const char *action, struct fbat_error *error) {
    if (code > 0)
        return error_set_os(error, code, action, positions->path);
    return error_set(error, code == MDB_MAP_FULL ? FBAT_ERR_LIMIT : FBAT_ERR_DAMAGED, "cannot %s %s: %s", action,
                     positions->path, mdb_strerror(code));
}

/* ---- one environment for each file ---- */

/* Where it may be written; else for reading. */
static int open_environment(struct positions *positions, struct fbat_error *error) {
    static const unsigned flags[] = {MDB_NOSUBDIR | MDB_NOTLS, MDB_NOSUBDIR | MDB_NOTLS | MDB_RDONLY};
    int code = 0;
    for (size_t at = 0; at < sizeof flags / sizeof flags[0]; at++) {
        code = mdb_env_create(&positions->env);
        if (code)
            return fail_lmdb(positions, code, "make an environment for", error);
        code = mdb_env_set_mapsize(positions->env, MAP_BYTES_MIN);
        if (!code)
            code = mdb_env_set_maxdbs(positions->env, DATABASES_MAX);
        if (!code)
            code = mdb_env_open(positions->env, positions->path, flags[at], FILE_MODE);
        if (!code)
            return FBAT_OK;
        mdb_env_close(positions->env);
        positions->env = NULL;
        if (code != EACCES && code != EROFS)
            break;
    }
    return fail_lmdb(positions, code, "open", error);
}

static int create_positions(struct fbat_store *store, const char *path, struct positions **out_positions,
                            struct fbat_error *error) {
    struct positions *positions = memory_allocate_zero(sizeof *positions);
    if (!positions)
        return error_set_no_memory(error);
    snprintf(positions->path, sizeof positions->path, "%s", path);
    positions->references = 1;
    positions->store_id = store->meta.store_id;
    positions->process_id = store->os->methods->process_id(store->os);
    int status = open_environment(positions, error);
    if (status < 0) {
        memory_free(positions);
        return status;
    }
    pthread_mutex_init(&positions->lock, NULL);
    *out_positions = positions;
    return FBAT_OK;
}

static int find_or_create(struct fbat_store *store, const char *path, struct positions **out_positions,
                          struct fbat_error *error) {
    int64_t process_id = store->os->methods->process_id(store->os);
    for (struct positions *at = list_first; at; at = at->next)
        if (at->process_id == process_id && strcmp(at->path, path) == 0) {
            at->references++;
            *out_positions = at;
            return FBAT_OK;
        }
    struct positions *positions = NULL;
    FBAT_TRY(create_positions(store, path, &positions, error));
    FBAT_ASSERT(positions);
    positions->next = list_first;
    list_first = positions;
    *out_positions = positions;
    return FBAT_OK;
}

int positions_open(struct fbat_store *store, bool create, struct positions **out_positions, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES + 16], resolved[LIMIT_PATH_BYTES];
    enum os_path_kind kind = OS_PATH_NONE;
    /* One file has one environment, by whatever path it is opened. */
    int os_errno = store->os->methods->path_resolve(store->os, store->dir, resolved, sizeof resolved);
    if (os_errno)
        return error_set_os(error, os_errno, "find, for the positions of cursors,", store->dir);
    snprintf(path, sizeof path, "%s/state.mdb", resolved);
    os_errno = store->os->methods->path_kind(store->os, path, &kind);
    if (os_errno)
        return error_set_os(error, os_errno, "look at", path);
    if (kind == OS_PATH_NONE && !create)
        return FBAT_END;
    pthread_mutex_lock(&list_lock);
    int status = find_or_create(store, path, out_positions, error);
    pthread_mutex_unlock(&list_lock);
    return status;
}

void positions_close(struct positions *positions) {
    if (!positions)
        return;
    pthread_mutex_lock(&list_lock);
    if (--positions->references == 0) {
        struct positions **at = &list_first;
        while (*at != positions)
            at = &(*at)->next;
        *at = positions->next;
        mdb_env_close(positions->env);
        pthread_mutex_destroy(&positions->lock);
        memory_free(positions);
    }
    pthread_mutex_unlock(&list_lock);
}

/* ---- transactions ---- */

/* What one transaction is about. */
struct work {
    int (*run)(struct work *work, MDB_txn *txn, MDB_dbi cursors);
    bool writes;
    MDB_val key, value;
    struct positions *positions;
    struct position found;
    char *name; /* of positions_next_name */
    size_t *name_size;
    bool is_invalid;
};

static int run_once(struct work *work) {
    MDB_txn *txn;
    MDB_dbi cursors;
    int code = mdb_txn_begin(work->positions->env, NULL, work->writes ? 0 : MDB_RDONLY, &txn);
    if (code)
        return code;
    code = mdb_dbi_open(txn, "cursors", work->writes ? MDB_CREATE : 0, &cursors);
    if (!code)
        code = work->run(work, txn, cursors);
    if (code) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn); /* one that reads too: or the database would have to be opened each time */
}

/* No transaction of this process is under way. */
static int resize_map(struct positions *positions, int code) {
    MDB_envinfo info;
    if (code == MDB_MAP_RESIZED)
        return mdb_env_set_mapsize(positions->env, 0);
    int failed = mdb_env_info(positions->env, &info);
    if (failed || info.me_mapsize >= MAP_BYTES_MAX)
        return code;
    return mdb_env_set_mapsize(positions->env, info.me_mapsize * 2);
}

static int run_work(struct work *work) {
    pthread_mutex_lock(&work->positions->lock);
    int code = 0;
    for (int retry = 0; retry < RETRIES_MAX; retry++) {
        code = run_once(work);
        if (code != MDB_MAP_FULL && code != MDB_MAP_RESIZED)
            break;
        int resized = resize_map(work->positions, code);
        if (resized) {
            code = resized;
            break;
        }
    }
    pthread_mutex_unlock(&work->positions->lock);
    return code;
}

static MDB_val value_of(struct fbat_slice slice) {
    return (MDB_val){.mv_size = slice.size, .mv_data = (void *)(uintptr_t)slice.data};
}

static int fail_not_found(struct fbat_slice name, struct fbat_error *error) {
    return error_set(error, FBAT_ERR_NOT_FOUND, "there is no cursor named %.*s", (int)name.size,
                     (const char *)name.data);
}

/* ---- what is done in them ---- */

static bool decode_position(const struct positions *positions, const MDB_val *value, struct position *out_position) {
    const uint8_t *bytes = value->mv_data;
    if (value->mv_size != POSITION_RECORD_BYTES || load_u32(bytes) != 1 || load_u32(bytes + 4) != 0 ||
        memcmp(bytes + 24, positions->store_id.bytes, sizeof positions->store_id.bytes) != 0)
        return false;
    out_position->sequence = load_u64(bytes + 8);
    out_position->committed_us = (int64_t)load_u64(bytes + 16);
    return true;
}

static int get_in(struct work *work, MDB_txn *txn, MDB_dbi cursors) {
    MDB_val value;
    int code = mdb_get(txn, cursors, &work->key, &value);
    if (!code)
        work->is_invalid = !decode_position(work->positions, &value, &work->found);
    return code;
}

int positions_get(struct positions *positions, struct fbat_slice name, struct position *out_position,
                  struct fbat_error *error) {
    struct work work = {.run = get_in, .positions = positions, .key = value_of(name)};
    int code = run_work(&work);
    if (code == MDB_NOTFOUND)
        return fail_not_found(name, error);
    if (code)
        return fail_lmdb(positions, code, "read", error);
    if (work.is_invalid)
        return error_set(error, FBAT_ERR_DAMAGED,
                         "the position of the cursor %.*s in %s is damaged, or another store's; reset or remove it",
                         (int)name.size, (const char *)name.data, positions->path);
    *out_position = work.found;
    return FBAT_OK;
}

static int put_in(struct work *work, MDB_txn *txn, MDB_dbi cursors) {
    return mdb_put(txn, cursors, &work->key, &work->value, 0);
}

int positions_put(struct positions *positions, struct fbat_slice name, const struct position *position,
                  struct fbat_error *error) {
    uint8_t bytes[POSITION_RECORD_BYTES] = {0};
    store_u32(bytes, 1);
    store_u64(bytes + 8, position->sequence);
    store_u64(bytes + 16, (uint64_t)position->committed_us);
    memcpy(bytes + 24, positions->store_id.bytes, sizeof positions->store_id.bytes);
    struct work work = {.run = put_in,
                        .writes = true,
                        .positions = positions,
                        .key = value_of(name),
                        .value = {.mv_size = sizeof bytes, .mv_data = bytes}};
    int code = run_work(&work);
    return code ? fail_lmdb(positions, code, "write", error) : FBAT_OK;
}

static int remove_in(struct work *work, MDB_txn *txn, MDB_dbi cursors) {
    return mdb_del(txn, cursors, &work->key, NULL);
}

int positions_remove(struct positions *positions, struct fbat_slice name, struct fbat_error *error) {
    struct work work = {.run = remove_in, .writes = true, .positions = positions, .key = value_of(name)};
    int code = run_work(&work);
    if (code == MDB_NOTFOUND)
        return fail_not_found(name, error);
    return code ? fail_lmdb(positions, code, "write", error) : FBAT_OK;
}

static int next_in(struct work *work, MDB_txn *txn, MDB_dbi cursors) {
    MDB_cursor *cursor;
    MDB_val key = {.mv_size = *work->name_size, .mv_data = work->name}, value;
    int code = mdb_cursor_open(txn, cursors, &cursor);
    if (code)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, *work->name_size > 0 ? MDB_SET_RANGE : MDB_FIRST);
    if (!code && *work->name_size > 0 && key.mv_size == *work->name_size &&
        memcmp(key.mv_data, work->name, key.mv_size) == 0)
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (!code && key.mv_size > POSITION_NAME_BYTES_MAX)
        code = MDB_CORRUPTED;
    if (!code) {
        memcpy(work->name, key.mv_data, key.mv_size);
        *work->name_size = key.mv_size;
    }
    mdb_cursor_close(cursor);
    return code;
}

int positions_next_name(struct positions *positions, char name[POSITION_NAME_BYTES_MAX], size_t *size,
                        struct fbat_error *error) {
    struct work work = {.run = next_in, .positions = positions, .name = name, .name_size = size};
    int code = run_work(&work);
    if (code == MDB_NOTFOUND)
        return FBAT_END;
    return code ? fail_lmdb(positions, code, "read", error) : FBAT_OK;
}
