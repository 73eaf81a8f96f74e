/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a segment file.
 *
 * Happy path: segment_create (reserve, header, sync, directory sync), then for each frame begin_frame, the caller
 * builds it in place, end_frame, advance; segment_sync now and then; footer_writer (log/footer_writer.c) seals.
 *
 * Two ways to write, one page cache. A store into the shared mapping costs no system call, but each later sync makes
 * the kernel write-protect the page again; a pwrite costs one, but the sync after it is cheap. So the mapping serves
 * appends that no sync follows, pwrite those that one does. Stores into a mapping can run out of space only where
 * blocks were not reserved: there, pwrite serves all.
 *
 * Failure: before end_frame nothing has happened. A failed pwrite leaves at most a part of a frame, which is cleared,
 * and which recovery would drop. A failed sync is final for this file.
 *
 * I1: HEADER_BYTES <= end <= file_bytes <= map_bytes while the segment is active.
 * I2: [end, file_bytes) reads as zeros, except between end_frame and advance.
 * I3: the header and the name are durable before the first frame is built.
 */
#include "log/segment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/memory.h"

enum {
    PAGE_BYTES = 4096,
    RESERVE_STEP_MIN = 1 << 20,  /* blocks are reserved in steps that double from here ... */
    RESERVE_STEP_MAX = 64 << 20, /* ... to here */
    POPULATE_STEP = 128 << 10,   /* pages are made present this far ahead */
    REWRITE_STEP = 1 << 20,
};

void segment_path(const char *dir, uint64_t segment_id, char *out_path) {
    int length =
        snprintf(out_path, LIMIT_PATH_BYTES, "%s/%0*" PRIu64 ".fbat", dir, LIMIT_SEGMENT_FILE_DIGITS, segment_id);
    FBAT_ASSERT(length > 0 && length < LIMIT_PATH_BYTES);
}

uint64_t segment_id_of_name(const char *name) {
    size_t digits = strspn(name, "0123456789");
    if (digits < LIMIT_SEGMENT_FILE_DIGITS || digits > 12 || strcmp(name + digits, ".fbat") != 0)
        return 0;
    uint64_t segment_id = strtoull(name, NULL, 10);
    char canonical[32];
    snprintf(canonical, sizeof canonical, "%0*" PRIu64, LIMIT_SEGMENT_FILE_DIGITS, segment_id);
    return strlen(canonical) == digits ? segment_id : 0;
}

static struct segment *allocate_segment(struct os *os, const char *dir, enum segment_access access) {
    struct segment *segment = memory_allocate_zero(sizeof *segment);
    if (segment) {
        segment->os = os;
        segment->dir = dir;
        segment->access = access;
        pthread_mutex_init(&segment->sync_lock, NULL);
    }
    return segment;
}

/* Names the segment, but no place in it: appends may be moving its end meanwhile. */
static int fail_whole(const struct segment *segment, int os_errno, const char *action, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(segment->dir, segment->header.segment_id, path);
    int status = error_set_os(error, os_errno, action, path);
    if (error)
        error->segment_id = segment->header.segment_id;
    return status;
}

static int fail_os(const struct segment *segment, int os_errno, const char *action, struct fbat_error *error) {
    int status = fail_whole(segment, os_errno, action, error);
    if (error)
        error->offset = segment->end;
    return status;
}

/* Reserves blocks so that at least `needed` bytes of the file may be stored to. Where the file system cannot promise
 * blocks, the file is only extended, and `reserved` stays false. */
static int reserve_blocks(struct segment *segment, uint64_t needed, struct fbat_error *error) {
    if (needed <= segment->file_bytes)
        return FBAT_OK;
    uint64_t step = segment->file_bytes;
    step = step < RESERVE_STEP_MIN ? RESERVE_STEP_MIN : step > RESERVE_STEP_MAX ? RESERVE_STEP_MAX : step;
    uint64_t target = segment->file_bytes + step;
    target = target < needed ? needed : target;
    target = align_up(target > segment->map_bytes ? segment->map_bytes : target, PAGE_BYTES);
    const struct os_methods *methods = segment->os->methods;
    int os_errno = methods->file_allocate(segment->os, segment->file, target);
    if (os_errno && target > needed) { /* nearly full: the frame itself may still fit */
        target = align_up(needed, PAGE_BYTES);
        os_errno = methods->file_allocate(segment->os, segment->file, target);
    }
    segment->reserved = os_errno == 0;
    if (os_errno == EOPNOTSUPP)
        os_errno = methods->file_truncate(segment->os, segment->file, target);
    if (os_errno)
        return fail_os(segment, os_errno, "reserve space in", error);
    segment->file_bytes = target;
    return FBAT_OK;
}

static int map_segment(struct segment *segment, uint64_t bytes, bool writable, struct fbat_error *error) {
    void *address;
    int os_errno = segment->os->methods->file_map(segment->os, segment->file, bytes, writable, &address);
    if (os_errno)
        return fail_os(segment, os_errno, "map", error);
    if (segment->map)
        segment->os->methods->file_unmap(segment->os, segment->map, segment->map_bytes);
    segment->map = address;
    segment->map_bytes = bytes;
    segment->populated_end = 0;
    return FBAT_OK;
}

static int sync_dir(struct segment *segment, struct fbat_error *error) {
    int os_errno = segment->os->methods->dir_sync(segment->os, segment->dir);
    return os_errno ? error_set_os(error, os_errno, "sync the directory", segment->dir) : FBAT_OK;
}

static int write_header(struct segment *segment, struct fbat_error *error) {
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_encode(&segment->header, bytes);
    int os_errno = segment->os->methods->file_write_at(segment->os, segment->file, bytes, sizeof bytes, 0);
    return os_errno ? fail_os(segment, os_errno, "write the header of", error) : FBAT_OK;
}

static int prepare_new(struct segment *segment, struct fbat_error *error) {
    segment->end = SEGMENT_HEADER_BYTES;
    FBAT_TRY(map_segment(segment, align_up(segment->header.capacity, PAGE_BYTES), true, error));
    FBAT_TRY(reserve_blocks(segment, SEGMENT_HEADER_BYTES, error));
    return write_header(segment, error);
}

/* Header and name durable before any frame: a later frame proves that the header was whole (I3). */
static int prepare_durably(struct segment *segment, struct fbat_error *error) {
    FBAT_TRY(prepare_new(segment, error));
    FBAT_TRY(segment_sync(segment, OS_SYNC_ALL, error));
    return sync_dir(segment, error);
}

static void aside_path(const char *dir, uint64_t segment_id, char *out_path) {
    segment_path(dir, segment_id, out_path);
    memcpy(out_path + strlen(out_path), SEGMENT_ASIDE_SUFFIX, sizeof SEGMENT_ASIDE_SUFFIX);
}

/* A file of this name can only be left from a creation that failed before: it holds nothing that counts. A new one takes
 * its place, not the old one emptied: nothing that a failed sync left behind belongs to it. */
static int open_new(struct segment *segment, const char *path, struct fbat_error *error) {
    const struct os_methods *methods = segment->os->methods;
    int os_errno = methods->file_open(segment->os, path, OS_OPEN_CREATE_NEW, &segment->file);
    if (os_errno == EEXIST) {
        os_errno = methods->path_remove(segment->os, path);
        if (!os_errno)
            os_errno = methods->file_open(segment->os, path, OS_OPEN_CREATE_NEW, &segment->file);
    }
    return os_errno ? fail_os(segment, os_errno, "create", error) : FBAT_OK;
}

static int create_at(struct os *os, const char *dir, const char *path, const struct segment_header *header,
                     int (*prepare)(struct segment *segment, struct fbat_error *error), struct segment **out_segment,
                     struct fbat_error *error) {
    struct segment *segment = allocate_segment(os, dir, SEGMENT_WRITE);
    if (!segment)
        return error_set_no_memory(error);
    segment->header = *header;
    segment->salt = segment_header_salt(header);
    int status = open_new(segment, path, error);
    if (status == FBAT_OK)
        status = prepare(segment, error);
    if (status < 0) {
        bool created = segment->file != NULL;
        segment_close(segment);
        if (created)
            (void)os->methods->path_remove(os, path);
        return status;
    }
    *out_segment = segment;
    return FBAT_OK;
}

int segment_create(struct os *os, const char *dir, const struct segment_header *header, struct segment **out_segment,
                   struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(dir, header->segment_id, path);
    return create_at(os, dir, path, header, prepare_durably, out_segment, error);
}

int segment_create_aside(struct os *os, const char *dir, const struct segment_header *header,
                         struct segment **out_segment, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES + sizeof SEGMENT_ASIDE_SUFFIX];
    aside_path(dir, header->segment_id, path);
    return create_at(os, dir, path, header, prepare_new, out_segment, error);
}

int segment_install(struct segment *segment, struct fbat_error *error) {
    char from[LIMIT_PATH_BYTES + sizeof SEGMENT_ASIDE_SUFFIX], to[LIMIT_PATH_BYTES];
    aside_path(segment->dir, segment->header.segment_id, from);
    segment_path(segment->dir, segment->header.segment_id, to);
    int os_errno = segment->os->methods->path_rename(segment->os, from, to);
    return os_errno ? fail_os(segment, os_errno, "give its name to", error) : sync_dir(segment, error);
}

void segment_remove_aside(const struct segment *segment) {
    char path[LIMIT_PATH_BYTES + sizeof SEGMENT_ASIDE_SUFFIX];
    aside_path(segment->dir, segment->header.segment_id, path);
    (void)segment->os->methods->path_remove(segment->os, path);
}

static int read_header(struct segment *segment, const struct fbat_id *store_id, struct fbat_error *error) {
    uint64_t segment_id = segment->header.segment_id;
    segment->header_state = SEGMENT_HEADER_BROKEN;
    if (segment->file_bytes >= SEGMENT_HEADER_BYTES) {
        uint8_t bytes[SEGMENT_HEADER_BYTES];
        int os_errno = segment->os->methods->file_read_at(segment->os, segment->file, bytes, sizeof bytes, 0);
        if (os_errno)
            return fail_os(segment, os_errno, "read", error);
        segment->header_state = segment_header_decode(bytes, &segment->header);
    }
    bool ours = segment->header_state == SEGMENT_HEADER_VALID && segment->header.segment_id == segment_id &&
                memcmp(&segment->header.store_id, store_id, sizeof *store_id) == 0;
    if (segment->header_state == SEGMENT_HEADER_VALID && !ours)
        segment->header_state = SEGMENT_HEADER_BROKEN;
    segment->header.segment_id = segment_id;
    segment->header.store_id = *store_id;
    segment->salt = segment_header_salt(&segment->header);
    return FBAT_OK;
}

static int open_and_map(struct segment *segment, const struct fbat_id *store_id, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(segment->dir, segment->header.segment_id, path);
    enum os_open_mode mode = segment->access == SEGMENT_WRITE ? OS_OPEN_WRITE : OS_OPEN_READ;
    int os_errno = segment->os->methods->file_open(segment->os, path, mode, &segment->file);
    if (os_errno)
        return fail_os(segment, os_errno, "open", error);
    FBAT_TRY(segment_refresh_size(segment, error));
    FBAT_TRY(read_header(segment, store_id, error));
    segment->end = SEGMENT_HEADER_BYTES;
    /* A follower maps what the file may grow to, so that its addresses never change. */
    uint64_t bytes = segment->file_bytes;
    if (segment->header_state == SEGMENT_HEADER_VALID && segment->header.capacity > bytes &&
        segment->header.capacity <= LIMIT_SEGMENT_BYTES)
        bytes = segment->header.capacity;
    return bytes == 0 ? FBAT_OK : map_segment(segment, align_up(bytes, PAGE_BYTES), false, error);
}

int segment_open(struct os *os, const char *dir, uint64_t segment_id, const struct fbat_id *store_id,
                 enum segment_access access, struct segment **out_segment, struct fbat_error *error) {
    struct segment *segment = allocate_segment(os, dir, access);
    if (!segment)
        return error_set_no_memory(error);
    segment->header.segment_id = segment_id;
    int status = open_and_map(segment, store_id, error);
    if (status < 0) {
        segment_close(segment);
        return status;
    }
    *out_segment = segment;
    return FBAT_OK;
}

int segment_widen(struct segment *segment, uint64_t bytes, struct fbat_error *error) {
    if (bytes <= segment->map_bytes)
        return FBAT_OK;
    bool writable = segment->access == SEGMENT_WRITE;
    pthread_mutex_lock(&segment->sync_lock); /* who syncs settles pages of the mapping that goes */
    int status = map_segment(segment, align_up(bytes, PAGE_BYTES), writable, error);
    pthread_mutex_unlock(&segment->sync_lock);
    return status;
}

static int use_scratch(struct segment *segment, uint64_t bytes, struct fbat_error *error) {
    if (bytes <= segment->scratch_bytes)
        return FBAT_OK;
    uint64_t size = align_up(bytes < 64 * 1024 ? 64 * 1024 : bytes, PAGE_BYTES);
    uint8_t *scratch = memory_allocate((size_t)size);
    if (!scratch)
        return error_set_no_memory(error);
    memory_free(segment->scratch);
    segment->scratch = scratch;
    segment->scratch_bytes = size;
    return FBAT_OK;
}

/* The system may have reported a failed sync of these bytes to a process that is gone, and have marked them clean since.
 * Writing them again makes them dirty, so that the sync that follows is about them. */
static int rewrite_bytes(struct segment *segment, uint64_t from, uint64_t to, struct fbat_error *error) {
    FBAT_TRY(use_scratch(segment, REWRITE_STEP, error));
    while (from < to) {
        size_t size = (size_t)(to - from < REWRITE_STEP ? to - from : REWRITE_STEP);
        memcpy(segment->scratch, segment->map + from, size);
        int os_errno = segment->os->methods->file_write_at(segment->os, segment->file, segment->scratch, size, from);
        if (os_errno)
            return fail_os(segment, os_errno, "rewrite the tail of", error);
        from += size;
    }
    return FBAT_OK;
}

int segment_resume(struct segment *segment, bool distrust, uint64_t rewrite_from, struct fbat_error *error) {
    FBAT_ASSERT(segment->access == SEGMENT_WRITE && segment->header_state == SEGMENT_HEADER_VALID);
    if (distrust) {
        FBAT_TRY(rewrite_bytes(segment, 0, SEGMENT_HEADER_BYTES, error));
        FBAT_TRY(rewrite_bytes(segment, rewrite_from, segment->end, error));
    }
    FBAT_TRY(segment_trim(segment, error));
    uint64_t capacity = segment->header.capacity;
    capacity = capacity < segment->end || capacity > LIMIT_SEGMENT_BYTES ? segment->end : capacity;
    return map_segment(segment, align_up(capacity, PAGE_BYTES), true, error);
}

static void populate_ahead(struct segment *segment, uint64_t frame_end) {
    if (frame_end <= segment->populated_end)
        return;
    uint64_t from = segment->end & ~(uint64_t)(PAGE_BYTES - 1);
    if (from < segment->populated_end)
        from = segment->populated_end;
    uint64_t to = align_up(frame_end, PAGE_BYTES) + POPULATE_STEP;
    to = to > segment->file_bytes ? segment->file_bytes : to;
    if (to > from)
        segment->os->methods->map_populate(segment->os, segment->map + from, to - from);
    segment->populated_end = to;
}

int segment_begin_frame(struct segment *segment, uint64_t bytes, bool sync_follows, uint8_t **out_at,
                        struct fbat_error *error) {
    FBAT_ASSERT(bytes <= segment->map_bytes - segment->end);
    FBAT_TRY(reserve_blocks(segment, segment->end + bytes, error));
    segment->frame_in_scratch = sync_follows || !segment->reserved;
    if (segment->frame_in_scratch) {
        FBAT_TRY(use_scratch(segment, bytes, error));
        *out_at = segment->scratch;
        return FBAT_OK;
    }
    populate_ahead(segment, segment->end + bytes);
    *out_at = segment->map + segment->end;
    return FBAT_OK;
}

int segment_end_frame(struct segment *segment, uint64_t bytes, struct fbat_error *error) {
    if (!segment->frame_in_scratch)
        return FBAT_OK;
    int os_errno =
        segment->os->methods->file_write_at(segment->os, segment->file, segment->scratch, (size_t)bytes, segment->end);
    return os_errno ? fail_os(segment, os_errno, "write to", error) : FBAT_OK;
}

void segment_advance(struct segment *segment, uint64_t bytes) {
    FBAT_ASSERT(bytes % 8 == 0 && bytes <= segment->file_bytes - segment->end);
    segment->end += bytes;
}

bool segment_scrub_frame(struct segment *segment) {
    static const uint8_t zeros[64] = {0};
    uint64_t room = segment->file_bytes - segment->end;
    size_t size = room < sizeof zeros ? (size_t)room : sizeof zeros;
    return segment->os->methods->file_write_at(segment->os, segment->file, zeros, size, segment->end) == 0;
}

void segment_settle(struct segment *segment, uint64_t end) {
    uint64_t to = end & ~(uint64_t)(PAGE_BYTES - 1);
    if (to <= segment->settled_end)
        return;
    segment->os->methods->map_settle(segment->os, segment->map + segment->settled_end, to - segment->settled_end);
    segment->settled_end = to;
}

int segment_sync(struct segment *segment, enum os_sync_mode mode, struct fbat_error *error) {
    if (segment->sync_failed)
        return fail_whole(segment, EIO, "sync (it failed before)", error);
    int os_errno = segment->os->methods->file_sync(segment->os, segment->file, mode);
    if (!os_errno)
        return FBAT_OK;
    segment->sync_failed = true;
    /* Whatever the reason, want of space included: what reached the disk is unknown, and no retry will tell. */
    (void)fail_whole(segment, os_errno, "sync", error);
    if (error)
        error->status = FBAT_ERR_IO;
    return FBAT_ERR_IO;
}

void segment_distrust(struct segment *segment) {
    segment->sync_failed = true;
}

int segment_trim(struct segment *segment, struct fbat_error *error) {
    int os_errno = segment->os->methods->file_truncate(segment->os, segment->file, segment->end);
    if (os_errno)
        return fail_os(segment, os_errno, "cut", error);
    segment->file_bytes = segment->end;
    segment->populated_end = 0;
    return segment_sync(segment, OS_SYNC_ALL, error);
}

int segment_refresh_size(struct segment *segment, struct fbat_error *error) {
    int os_errno = segment->os->methods->file_size(segment->os, segment->file, &segment->file_bytes);
    return os_errno ? fail_os(segment, os_errno, "get the size of", error) : FBAT_OK;
}

void segment_forget_file(struct segment *segment) {
    if (segment->file)
        segment->os->methods->file_close(segment->os, segment->file);
    segment->file = NULL;
}

void segment_close(struct segment *segment) {
    if (!segment)
        return;
    segment_forget_file(segment);
    if (segment->map)
        segment->os->methods->file_unmap(segment->os, segment->map, segment->map_bytes);
    pthread_mutex_destroy(&segment->sync_lock);
    memory_free(segment->scratch);
    memory_free(segment);
}
