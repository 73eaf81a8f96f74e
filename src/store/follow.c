/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only handle's view of the log as it grows.
 *
 * Happy path: the live page's visible sequence is above ours; the frames up to it are read behind the last one we
 * know, verified, indexed and published; where the segment ends before, the next one is opened.
 *
 * The page is evidence only: frames are taken by their own checksums and sequences, and where the log says less than
 * the page (another store's page, a power cut), we stay where we are.
 *
 * Thread rule: any thread; follow_lock makes them one.
 *
 * I1: visible never goes down, and only up to sequences that the writer published, or that are recovered alike by any
 *     opening.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "log/scan.h"
#include "store/store.h"

void follow_attach(struct fbat_store *store) {
    char path[LIMIT_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/LOCK", store->dir);
    struct os_file *file;
    if (store->lock_file || store->os->methods->file_open(store->os, path, OS_OPEN_READ, &file))
        return;
    uint64_t size;
    void *address;
    if (store->os->methods->file_size(store->os, file, &size) || size < LIVE_BYTES ||
        store->os->methods->file_map(store->os, file, LIVE_BYTES, false, &address)) {
        store->os->methods->file_close(store->os, file);
        return;
    }
    store->lock_file = file;
    __atomic_store_n(&store->live, (uint8_t *)address, __ATOMIC_RELEASE);
}

/* The sequence that the writer at work, or the last one, says readers may see. */
static uint64_t announced_visible(const struct fbat_store *store) {
    const uint8_t *page = __atomic_load_n(&store->live, __ATOMIC_ACQUIRE);
    if (!page || memcmp(page + LIVE_STORE_ID_AT, store->meta.store_id.bytes, sizeof store->meta.store_id.bytes) != 0)
        return 0;
    uint64_t raw = __atomic_load_n((const uint64_t *)(const void *)(page + LIVE_VISIBLE_AT), __ATOMIC_ACQUIRE);
    return LITTLE64(raw);
}

static struct segment_index *newest_index(struct fbat_store *store) {
    const struct segment_list *list = store->directory.current; /* changed under follow_lock only */
    return list->count == 0 ? NULL : list->indexes[list->count - 1];
}

/* Reads on in the newest segment, as far as `bound`. */
static int read_on(struct segment_index *index, uint64_t bound, uint64_t *last, struct fbat_error *error) {
    struct segment *segment = index->segment;
    struct scan scan;
    scan_init(&scan, segment, segment->end);
    int status = segment_refresh_size(segment, error);
    while (status == FBAT_OK && *last < bound) {
        enum frame_state state;
        struct frame frame;
        const uint8_t *bytes;
        status = scan_look(&scan, &state, &frame, &bytes, error);
        if (status < 0 || state != FRAME_VALID || frame.first_sequence != *last + 1)
            break;
        if (index->rows_added == 0) /* the first frame may be larger than the segment was meant to be */
            status = segment_widen(segment, scan.offset + frame.frame_bytes, error);
        if (status == FBAT_OK)
            status = segment_index_add_frame(index, &frame, bytes, scan.offset, error);
        if (status < 0)
            break;
        scan.offset += frame.frame_bytes;
        segment->end = scan.offset;
        *last += frame.event_count;
    }
    scan_deinit(&scan);
    segment_index_publish(index);
    return status;
}

/* Once the writer has sealed a segment we read frame by frame, its footer serves instead of our memory. */
static void leave_segment(struct fbat_store *store, struct segment_index *index) {
    segment_forget_file(index->segment);
    struct fbat_error ignored;
    struct segment *segment;
    struct segment_index *sealed;
    const char *fault;
    if (segment_open(store->os, store->dir, index->segment->header.segment_id, &store->meta.store_id, SEGMENT_READ,
                     &segment, &ignored) < 0)
        return;
    if (segment_index_open_footer(segment, &sealed, &fault, &ignored) < 0) {
        segment_close(segment);
        return;
    }
    segment_forget_file(segment);
    if (sealed->summary.last_sequence != index->summary.last_sequence ||
        directory_replace(&store->directory, sealed, &ignored) < 0)
        segment_index_release(sealed);
}

/* FBAT_END when there is no next segment that continues ours. */
static int open_next(struct fbat_store *store, uint64_t segment_id, uint64_t last, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(store->dir, segment_id, path);
    enum os_path_kind kind;
    if (store->os->methods->path_kind(store->os, path, &kind) || kind != OS_PATH_FILE)
        return FBAT_END;
    struct segment *segment;
    FBAT_TRY(segment_open(store->os, store->dir, segment_id, &store->meta.store_id, SEGMENT_READ, &segment, error));
    if (segment->header_state != SEGMENT_HEADER_VALID || segment->header.first_sequence != last + 1) {
        segment_close(segment);
        return FBAT_END;
    }
    struct segment_index *index;
    FBAT_TRY(segment_index_create(segment, &index, error));
    int status = directory_append(&store->directory, index, error);
    if (status < 0)
        segment_index_release(index);
    return status;
}

static int follow_to(struct fbat_store *store, uint64_t bound, struct fbat_error *error) {
    uint64_t last = directory_visible(&store->directory);
    int status = FBAT_OK;
    while (status == FBAT_OK && last < bound) {
        struct segment_index *index = newest_index(store);
        if (index && index->segment->file)
            status = read_on(index, bound, &last, error);
        directory_set_visible(&store->directory, last);
        if (status < 0 || last >= bound)
            break;
        uint64_t next_id = index ? index->segment->header.segment_id + 1 : 1;
        status = open_next(store, next_id, last, error);
        if (status == FBAT_OK && index && !index->sealed)
            leave_segment(store, index);
    }
    return status < 0 ? status : FBAT_OK;
}

int store_catch_up(struct fbat_store *store, struct fbat_error *error) {
    if (!store->read_only)
        return FBAT_OK;
    bool attached = __atomic_load_n(&store->live, __ATOMIC_ACQUIRE) != NULL;
    if (attached && announced_visible(store) <= directory_visible(&store->directory))
        return FBAT_OK;
    pthread_mutex_lock(&store->follow_lock);
    follow_attach(store);
    uint64_t bound = announced_visible(store);
    int status = bound > directory_visible(&store->directory) ? follow_to(store, bound, error) : FBAT_OK;
    pthread_mutex_unlock(&store->follow_lock);
    return status;
}

int store_snapshot(struct fbat_store *store, struct segment_list **out_list, uint64_t *out_visible,
                   struct fbat_error *error) {
    FBAT_TRY(store_catch_up(store, error));
    /* visible before the list: the list then holds at least the segments that visible reaches into. */
    *out_visible = directory_visible(&store->directory);
    *out_list = directory_acquire(&store->directory);
    return FBAT_OK;
}
