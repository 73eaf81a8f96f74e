/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory and its two small files: store.meta, which makes it a store, and LOCK, which tells of its writer.
 *
 * Creation, in order: directory, LOCK (locked), store.meta under another name, synced, renamed, directory synced, parent
 * synced. A crash before the rename leaves a directory that counts as empty; one before the parent is synced leaves a
 * store without segments, whose names the next opening for writing syncs again before it takes an event.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/id.h"
#include "base/memory.h"
#include "log/segment.h"
#include "store/store.h"

static const char meta_name[] = "store.meta";
static const char meta_temporary_name[] = "store.meta.new";
static const char lock_name[] = "LOCK";

static void path_in(const char *dir, const char *name, char *out_path) {
    snprintf(out_path, LIMIT_PATH_BYTES, "%s/%s", dir, name);
}

/* ---- segment files ---- */

struct id_list {
    uint64_t *ids;
    size_t count, room;
};

static int collect_id(void *user, const char *name) {
    struct id_list *list = user;
    uint64_t segment_id = segment_id_of_name(name);
    if (segment_id == 0)
        return 0;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        uint64_t *ids = memory_resize(list->ids, room * sizeof *ids);
        if (!ids)
            return ENOMEM;
        list->ids = ids;
        list->room = room;
    }
    list->ids[list->count++] = segment_id;
    return 0;
}

static int compare_ids(const void *a, const void *b) {
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return first < second ? -1 : first > second;
}

int segment_ids_list(struct os *os, const char *dir, uint64_t **out_ids, size_t *out_count, struct fbat_error *error) {
    struct id_list list = {0};
    int os_errno = os->methods->dir_list(os, dir, collect_id, &list);
    if (os_errno) {
        memory_free(list.ids);
        return error_set_os(error, os_errno, "list", dir);
    }
    if (list.count > 1)
        qsort(list.ids, list.count, sizeof *list.ids, compare_ids);
    *out_ids = list.ids;
    *out_count = list.count;
    return FBAT_OK;
}

/* ---- store.meta ---- */

static int fail_not_a_store(const char *dir, const char *why, struct fbat_error *error) {
    return error_set(error, FBAT_ERR_NOT_A_STORE, "%s is not an fbat store: %s", dir, why);
}

static int decode_meta(const char *dir, const uint8_t *bytes, struct store_meta *out_meta, struct fbat_error *error) {
    switch (store_meta_decode(bytes, out_meta)) {
    case STORE_META_VALID: return FBAT_OK;
    case STORE_META_NEWER:
        return error_set(error, FBAT_ERR_VERSION,
                         "%s was written by a newer version of fbat than %s (disk version %d); update fbat", dir,
                         FBAT_VERSION_STRING, FBAT_DISK_VERSION);
    case STORE_META_BROKEN: break;
    }
    return error_set(error, FBAT_ERR_DAMAGED, "%s/%s is damaged; restore that file from a copy of the store", dir,
                     meta_name);
}

/* What stands at the path: a directory, or nothing (*out_exists). Anything else cannot be a store. */
static int look_at_dir(struct os *os, const char *dir, bool *out_exists, struct fbat_error *error) {
    enum os_path_kind kind;
    int os_errno = os->methods->path_kind(os, dir, &kind);
    if (os_errno == ENOTDIR)
        return fail_not_a_store(dir, "a part of the path is a file", error);
    if (os_errno)
        return error_set_os(error, os_errno, "look at", dir);
    if (kind != OS_PATH_NONE && kind != OS_PATH_DIRECTORY)
        return fail_not_a_store(dir, "it is a file, not a directory", error);
    *out_exists = kind == OS_PATH_DIRECTORY;
    return FBAT_OK;
}

int meta_read(struct os *os, const char *dir, struct store_meta *out_meta, struct fbat_error *error) {
    bool exists = false;
    FBAT_TRY(look_at_dir(os, dir, &exists, error));
    if (!exists)
        return error_set(error, FBAT_ERR_NOT_FOUND, "%s does not exist; `fbat init` creates a store", dir);
    char path[LIMIT_PATH_BYTES];
    path_in(dir, meta_name, path);
    struct os_file *file;
    int os_errno = os->methods->file_open(os, path, OS_OPEN_READ, &file);
    if (os_errno == ENOENT)
        return fail_not_a_store(dir, "it has no store.meta", error);
    if (os_errno)
        return error_set_os(error, os_errno, "open", path);
    uint8_t bytes[STORE_META_BYTES];
    os_errno = os->methods->file_read_at(os, file, bytes, sizeof bytes, 0);
    os->methods->file_close(os, file);
    if (os_errno == ENODATA)
        memset(bytes, 0, sizeof bytes);
    else if (os_errno)
        return error_set_os(error, os_errno, "read", path);
    return decode_meta(dir, bytes, out_meta, error);
}

/* What a directory holds: a store's file, and names that no interrupted creation leaves behind. */
struct survey {
    bool has_meta;
    bool has_others;
};

static int note_name(void *user, const char *name) {
    struct survey *survey = user;
    bool left_behind =
        strcmp(name, lock_name) == 0 || strcmp(name, meta_temporary_name) == 0 || strcmp(name, "lost+found") == 0;
    if (strcmp(name, meta_name) == 0)
        survey->has_meta = true;
    else if (!left_behind)
        survey->has_others = true;
    return 0;
}

static int check_is_empty_or_store(struct os *os, const char *dir, struct fbat_error *error) {
    /* Another process may be creating the store while we list: a list that shows its segment may have missed its
     * store.meta, which is older, so the next list shows it. */
    for (int attempt = 0; attempt < 2; attempt++) {
        struct survey survey = {false, false};
        int os_errno = os->methods->dir_list(os, dir, note_name, &survey);
        if (os_errno)
            return error_set_os(error, os_errno, "list", dir);
        if (survey.has_meta || !survey.has_others)
            return FBAT_OK;
    }
    return fail_not_a_store(dir, "it has other files in it and no store.meta; give an empty or a new directory", error);
}

int meta_prepare_dir(struct os *os, const char *dir, struct fbat_error *error) {
    bool exists = false;
    FBAT_TRY(look_at_dir(os, dir, &exists, error));
    if (exists)
        return check_is_empty_or_store(os, dir, error);
    int os_errno = os->methods->dir_create(os, dir);
    if (os_errno == ENOENT)
        return error_set(error, FBAT_ERR_NOT_FOUND, "cannot create %s: its parent directory does not exist", dir);
    return os_errno && os_errno != EEXIST ? error_set_os(error, os_errno, "create", dir) : FBAT_OK;
}

static int write_meta(struct os *os, const char *dir, const struct store_meta *meta, struct fbat_error *error) {
    char temporary[LIMIT_PATH_BYTES], path[LIMIT_PATH_BYTES];
    path_in(dir, meta_temporary_name, temporary);
    path_in(dir, meta_name, path);
    uint8_t bytes[STORE_META_BYTES];
    store_meta_encode(meta, bytes);
    struct os_file *file;
    int os_errno = os->methods->file_open(os, temporary, OS_OPEN_TRUNCATE, &file);
    if (os_errno)
        return error_set_os(error, os_errno, "create", temporary);
    os_errno = os->methods->file_write_at(os, file, bytes, sizeof bytes, 0);
    if (!os_errno)
        os_errno = os->methods->file_sync(os, file, OS_SYNC_ALL);
    os->methods->file_close(os, file);
    if (!os_errno)
        os_errno = os->methods->path_rename(os, temporary, path);
    if (!os_errno)
        os_errno = os->methods->dir_sync(os, dir);
    return os_errno ? error_set_os(error, os_errno, "write", path) : FBAT_OK;
}

int meta_sync_names(struct os *os, const char *dir, struct fbat_error *error) {
    char parent[LIMIT_PATH_BYTES + 4];
    int os_errno = os->methods->dir_sync(os, dir);
    if (os_errno)
        return error_set_os(error, os_errno, "sync the directory", dir);
    snprintf(parent, sizeof parent, "%s/..", dir);
    os_errno = os->methods->dir_sync(os, parent);
    /* Where the parent may not be read it cannot be synced: the system will get to it. */
    bool refused = os_errno == EACCES || os_errno == EPERM;
    return os_errno && !refused ? error_set_os(error, os_errno, "sync the directory", parent) : FBAT_OK;
}

int meta_create_or_read(struct os *os, const char *dir, struct store_meta *out_meta, struct fbat_error *error) {
    int status = meta_read(os, dir, out_meta, error);
    if (status != FBAT_ERR_NOT_A_STORE)
        return status;
    FBAT_TRY(check_is_empty_or_store(os, dir, error));
    uint64_t random_bits;
    int os_errno = os->methods->random(os, &random_bits, sizeof random_bits);
    if (os_errno)
        return error_set_os(error, os_errno, "get randomness from", "the system");
    struct store_meta meta = {.created_us = os->methods->clock_us(os)};
    static const struct fbat_id none;
    meta.store_id = id_make(&none, meta.created_us, random_bits);
    FBAT_TRY(write_meta(os, dir, &meta, error));
    *out_meta = meta;
    return FBAT_OK;
}

/* ---- LOCK ---- */

int live_read(struct os *os, struct os_file *lock_file, const struct fbat_id *store_id, struct live *out_live,
              struct fbat_error *error) {
    memset(out_live, 0, sizeof *out_live);
    uint8_t bytes[LIVE_BYTES];
    int os_errno = lock_file ? os->methods->file_read_at(os, lock_file, bytes, sizeof bytes, 0) : ENODATA;
    if (os_errno == ENODATA)
        return FBAT_OK;
    if (os_errno)
        return error_set_os(error, os_errno, "read", "LOCK");
    live_decode(bytes, out_live);
    if (!id_equal(&out_live->store_id, store_id))
        memset(out_live, 0, sizeof *out_live);
    return FBAT_OK;
}
