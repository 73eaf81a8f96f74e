/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing.
 *
 * Happy path for writing: directory, LOCK, store.meta, what LOCK says of the last writer, segments, then LOCK says that
 * we are at work (durably, before the first append), sequencer, kinds, the thread that syncs. Closing goes back the same
 * way and leaves in LOCK, durably, where the log ends.
 *
 * Failure: everything opened so far is closed again; the directory is as it was, but for torn bytes that were dropped and
 * files that make an empty directory a store.
 *
 * Thread rule: one thread until the handle is given out.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/memory.h"
#include "index/id_runs.h"
#include "store/store.h"

static void release_lock_file(struct fbat_store *store) {
    const struct os_methods *methods = store->os->methods;
    if (store->live)
        methods->file_unmap(store->os, store->live, LIVE_BYTES);
    if (store->locked)
        methods->file_unlock(store->os, store->lock_file);
    if (store->lock_file)
        methods->file_close(store->os, store->lock_file);
}

static void destroy_store(struct fbat_store *store) {
    notifier_close(store->notifier);
    sequencer_deinit(&store->sequencer);
    notifier_release(store->notifier); /* the sequencer's threads publish to the end */
    directory_deinit(&store->directory);
    kinds_deinit(&store->kinds);
    release_lock_file(store);
    pthread_mutex_destroy(&store->follow_lock);
    memory_free(store);
}

/* The directory as an absolute path, so that the handle does not depend on where the process goes later. */
static int resolve_dir(struct fbat_store *store, const char *data_dir, struct fbat_error *error) {
    char current[LIMIT_PATH_BYTES] = "";
    bool relative = data_dir[0] != '/';
    int os_errno = relative ? store->os->methods->dir_current(store->os, current, sizeof current) : 0;
    if (os_errno)
        return error_set_os(error, os_errno, "find the current directory, for the relative path", data_dir);
    size_t used = strlen(current), size = strlen(data_dir);
    if (used + 1 + size > LIMIT_PATH_BYTES - 64)
        return error_set(error, FBAT_ERR_CONFIG, "data_dir has %zu bytes as an absolute path: expected at most %d",
                         used + 1 + size, LIMIT_PATH_BYTES - 65);
    memcpy(store->dir, current, used);
    if (relative)
        store->dir[used++] = '/';
    memcpy(store->dir + used, data_dir, size + 1);
    store->config.data_dir = store->dir;
    return FBAT_OK;
}

/* What a follower's notifier asks. */
static int look_for_news(void *user, uint64_t out_marks[NOTIFIER_MARKS]) {
    struct fbat_store *store = user;
    struct fbat_error ignored;
    out_marks[NOTIFIER_DURABLE] = follow_durable(store);
    int status = store_catch_up(store, &ignored);
    out_marks[NOTIFIER_VISIBLE] = directory_visible(&store->directory);
    return status;
}

static int create_handle(struct os *os, const struct fbat_config *config, bool read_only, struct fbat_store **out_store,
                         struct fbat_error *error) {
    FBAT_TRY(fbat_config_validate(config, error));
    struct fbat_store *store = memory_allocate_zero(sizeof *store);
    if (!store)
        return error_set_no_memory(error);
    store->notifier = notifier_create(os, read_only ? look_for_news : NULL, store);
    if (!store->notifier || !directory_init(&store->directory)) {
        notifier_release(store->notifier);
        memory_free(store);
        return error_set_no_memory(error);
    }
    store->os = os;
    store->config = *config;
    store->read_only = read_only;
    pthread_mutex_init(&store->follow_lock, NULL);
    kinds_init(&store->kinds);
    *out_store = store;
    return FBAT_OK;
}

/* ---- the writer's LOCK ---- */

static int fail_locked(const struct fbat_store *store, int64_t holder_pid, struct fbat_error *error) {
    if (holder_pid > 0)
        error_set(error, FBAT_ERR_LOCKED,
                  "%s is open for writing in process %lld; wait for it to end, or open the store for reading",
                  store->dir, (long long)holder_pid);
    else
        error_set(error, FBAT_ERR_LOCKED,
                  "%s is open for writing in another process; wait for it to end, or open the store for reading",
                  store->dir);
    if (error)
        error->holder_pid = holder_pid;
    return FBAT_ERR_LOCKED;
}

static int take_lock_file(struct fbat_store *store, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/LOCK", store->dir);
    int os_errno = store->os->methods->file_open(store->os, path, OS_OPEN_CREATE, &store->lock_file);
    if (os_errno)
        return error_set_os(error, os_errno, "open for writing", path);
    int64_t holder_pid = 0;
    os_errno = store->os->methods->file_lock(store->os, store->lock_file, &holder_pid);
    if (os_errno == EWOULDBLOCK)
        return fail_locked(store, holder_pid, error);
    if (os_errno)
        return error_set_os(error, os_errno, "lock", path);
    store->locked = true;
    return FBAT_OK;
}

static int write_live(struct fbat_store *store, const struct live *live, struct fbat_error *error) {
    uint8_t bytes[LIVE_BYTES];
    live_encode(live, bytes);
    int os_errno = store->os->methods->file_write_at(store->os, store->lock_file, bytes, sizeof bytes, 0);
    if (!os_errno)
        os_errno = store->os->methods->file_sync(store->os, store->lock_file, OS_SYNC_ALL);
    return os_errno ? error_set_os(error, os_errno, "write LOCK in", store->dir) : FBAT_OK;
}

/* Readers and the next opening are told that a writer is at work, before it is. */
static int announce_writer(struct fbat_store *store, const struct sequencer_start *start, struct fbat_error *error) {
    const struct live live = {
        .state = LIVE_OPEN,
        .store_id = store->meta.store_id,
        .pid = store->os->methods->process_id(store->os),
        .visible_sequence = start->last_sequence,
        .durable_sequence = start->last_sequence,
        .segment_id = start->active ? start->active->segment->header.segment_id : 0,
        .end = start->active ? start->active->segment->end : 0,
        .unfinished_segment_id = start->unfinished_segment_id,
    };
    FBAT_TRY(write_live(store, &live, error));
    void *address;
    int os_errno = store->os->methods->file_map(store->os, store->lock_file, LIVE_BYTES, true, &address);
    if (os_errno)
        return error_set_os(error, os_errno, "map LOCK in", store->dir);
    store->live = address;
    return FBAT_OK;
}

static int announce_close(struct fbat_store *store, struct fbat_error *error) {
    const struct sequencer *sequencer = &store->sequencer;
    const struct segment *segment = sequencer->active ? sequencer->active->segment : NULL;
    const struct live live = {
        /* "Closed" also says that every footer is whole, and that no file of a failed rotation can come back. */
        .state = sequencer->unfinished_segment_id || sequencer->rotating ? LIVE_OPEN : LIVE_CLOSED,
        .store_id = store->meta.store_id,
        .pid = store->os->methods->process_id(store->os),
        .visible_sequence = sequencer->last_sequence,
        .durable_sequence = sequencer->last_sequence,
        .segment_id = segment ? segment->header.segment_id : 0,
        .end = segment ? segment->end : 0,
        .unfinished_segment_id = sequencer->unfinished_segment_id,
    };
    return write_live(store, &live, error);
}

/* ---- opening ---- */

/* Once the store's identity is known, and before there is a segment. */
static void set_files(struct fbat_store *store) {
    directory_set_files(&store->directory, store->os, store->dir, &store->meta.store_id, store->config.fd_budget);
}

/* Runs of ids only save work: where they are missing, segments are asked one by one. */
static void open_id_runs(struct fbat_store *store) {
    struct fbat_error ignored;
    (void)id_runs_open(store->os, store->dir, &store->meta.store_id, !store->read_only, &store->directory, &ignored);
}

static int open_for_writing(struct fbat_store *store, struct fbat_error *error) {
    FBAT_TRY(meta_prepare_dir(store->os, store->dir, error));
    FBAT_TRY(take_lock_file(store, error));
    FBAT_TRY(meta_create_or_read(store->os, store->dir, &store->meta, error));
    set_files(store);
    struct live live;
    FBAT_TRY(live_read(store->os, store->lock_file, &store->meta.store_id, &live, error));
    struct sequencer_start start = {0};
    FBAT_TRY(recover_segments(store, &live, false, &start, error));
    open_id_runs(store);
    if (live.state != LIVE_CLOSED)
        FBAT_TRY(meta_sync_names(store->os, store->dir, error));
    FBAT_TRY(announce_writer(store, &start, error));
    FBAT_TRY(sequencer_init(&store->sequencer, store->os, &store->config, store->dir, &store->meta.store_id,
                            &store->directory, store->live, &start, error));
    store->sequencer.notifier = store->notifier;
    FBAT_TRY(kinds_load(store, error));
    return sequencer_start_syncer(&store->sequencer, error);
}

static int open_for_reading(struct fbat_store *store, struct fbat_error *error) {
    FBAT_TRY(meta_read(store->os, store->dir, &store->meta, error));
    set_files(store);
    follow_attach(store);
    bool writer_alive = store->lock_file && store->os->methods->file_lock_holder(store->os, store->lock_file) != 0;
    struct live live;
    FBAT_TRY(live_read(store->os, store->lock_file, &store->meta.store_id, &live, error));
    struct sequencer_start start = {0};
    FBAT_TRY(recover_segments(store, &live, writer_alive, &start, error));
    open_id_runs(store);
    return kinds_load(store, error);
}

static int open_handle(struct os *os, const struct fbat_config *config, bool read_only, struct fbat_store **out_store,
                       struct fbat_error *error) {
    uint64_t started_us = os->methods->monotonic_us(os);
    struct fbat_store *store = NULL;
    FBAT_TRY(create_handle(os, config, read_only, &store, error));
    FBAT_ASSERT(store);
    int status = resolve_dir(store, config->data_dir, error);
    if (status == FBAT_OK)
        status = read_only ? open_for_reading(store, error) : open_for_writing(store, error);
    if (status < 0) {
        destroy_store(store);
        return status;
    }
    store->report.duration_us = os->methods->monotonic_us(os) - started_us;
    if (store->config.log)
        store->config.log(store->config.log_user, store->report.dropped_bytes ? FBAT_LOG_WARNING : FBAT_LOG_INFO,
                          store->report.detail);
    *out_store = store;
    return FBAT_OK;
}

int store_open(struct os *os, const struct fbat_config *config, struct fbat_store **out_store,
               struct fbat_error *error) {
    return open_handle(os, config, false, out_store, error);
}

/* Files come and go under a reader that opens while a writer begins or goes on: a list of names is not a moment's, and what a
 * dead writer left half made is removed. None of that stays as it is, unlike damage. */
static bool may_have_been_passing(int status, const struct fbat_error *seen, const struct fbat_error *before) {
    bool is_passing = status == FBAT_ERR_DAMAGED || (status == FBAT_ERR_IO && seen->os_errno == ENOENT);
    return is_passing && (seen->segment_id != before->segment_id || seen->offset != before->offset ||
                          strcmp(seen->message, before->message) != 0);
}

int store_open_read_only(struct os *os, const struct fbat_config *config, struct fbat_store **out_store,
                         struct fbat_error *error) {
    enum { ATTEMPTS_MAX = 20 };
    struct fbat_error seen = {0}, before;
    int status = FBAT_OK, attempt = 0;
    do {
        before = seen;
        status = open_handle(os, config, true, out_store, &seen);
    } while (++attempt < ATTEMPTS_MAX && may_have_been_passing(status, &seen, &before));
    if (status < 0 && error)
        *error = seen;
    return status;
}

int store_close(struct fbat_store *store, struct fbat_error *error) {
    int status = FBAT_OK;
    notifier_close(store->notifier); /* nobody reads from here on */
    if (!store->read_only) {
        status = sequencer_stop(&store->sequencer, error);
        if (status == FBAT_OK)
            status = announce_close(store, error);
    }
    destroy_store(store);
    return status;
}

void store_abandon(struct fbat_store *store) {
    destroy_store(store);
}
