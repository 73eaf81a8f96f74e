/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A read-only handle's view of the log as it grows.
 *
 * Happy path: the live page's visible sequence is above ours; the frames up to it are read behind the last one we
 * know, verified, indexed and published; where the segment ends before, the next one is opened.
 *
 * After a failed sync the writer goes on in a new segment, which takes over what was not durable of the one before.
 * What the old one holds from there on counts no more, and may be anything. So it is read only as far as the next
 * segment's header allows, once the page names a later segment; and where we had read further, both are exchanged at
 * once:
 *
 *     before   N [ 1 .. 9 | 10 11 12 ]                     visible 12
 *     after    N [ 1 .. 9 ]            N+1 [ 10 11 12 ]    visible 12, then on
 *
 * The page is evidence only: frames are taken by their own checksums and sequences, and where the log says less than
 * the page (another store's page, a power cut), we stay where we are. Where the log itself goes on behind what is missing, that
 * is damage, and said at each read.
 *
 * What was read frame by frame is indexed in memory, until the segment is sealed: then its footer takes that place.
 *
 * Failure: what was read before it stays. An index that holds a part of a fence because reading it failed is made
 * again. Without its footer a segment goes on to be served from memory.
 *
 * Thread rule: any thread; follow_lock makes them one.
 *
 * I1: visible never goes down, and only up to sequences that the writer published, or that are recovered alike by any
 *     opening.
 * I2: every list holds each event up to visible once.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "log/walk.h"
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

/* What the writer at work, or the last one, says. */
struct announced {
    uint64_t visible;       /* readers may see up to here */
    uint64_t segment_id;    /* the last one, at least when visible was announced */
    uint64_t unfinished_id; /* segments before this one are sealed, where they ever will be; 0: all that were left */
};

static uint64_t load_announced(const uint8_t *page, unsigned at, int order) {
    uint64_t raw = __atomic_load_n((const uint64_t *)(const void *)(page + at), order);
    return LITTLE64(raw);
}

static struct announced read_announced(const struct fbat_store *store) {
    const uint8_t *page = __atomic_load_n(&store->live, __ATOMIC_ACQUIRE);
    struct announced announced = {0};
    if (!page || memcmp(page + LIVE_STORE_ID_AT, store->meta.store_id.bytes, sizeof store->meta.store_id.bytes) != 0)
        return announced;
    /* The writer stores it last: a segment that it left for another one is never taken for its last one. */
    announced.visible = load_announced(page, LIVE_VISIBLE_AT, __ATOMIC_ACQUIRE);
    announced.segment_id = load_announced(page, LIVE_SEGMENT_AT, __ATOMIC_ACQUIRE);
    announced.unfinished_id = load_announced(page, LIVE_UNFINISHED_AT, __ATOMIC_ACQUIRE);
    return announced;
}

uint64_t follow_durable(struct fbat_store *store) {
    enum { LOOKS = 1000 };
    const uint8_t *page = __atomic_load_n(&store->live, __ATOMIC_ACQUIRE);
    uint64_t known = __atomic_load_n(&store->follow_durable, __ATOMIC_RELAXED);
    if (!page || memcmp(page + LIVE_STORE_ID_AT, store->meta.store_id.bytes, sizeof store->meta.store_id.bytes) != 0)
        return known;
    /* Between the writer's two stores the check is wrong for a moment. */
    for (int look = 0; look < LOOKS; look++) {
        uint64_t durable = load_announced(page, LIVE_DURABLE_AT, __ATOMIC_ACQUIRE);
        if (durable != ~load_announced(page, LIVE_DURABLE_CHECK_AT, __ATOMIC_ACQUIRE))
            continue;
        while (known < durable && !__atomic_compare_exchange_n(&store->follow_durable, &known, durable, false,
                                                               __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            continue;
        return known < durable ? durable : known;
    }
    return known;
}

/* 0 while there is none. */
static uint64_t newest_id(const struct fbat_store *store) {
    const struct segment_list *list = store->directory.current; /* changed under follow_lock only */
    return list->count == 0 ? 0 : list->slots[list->count - 1]->segment_id;
}

/* The newest segment's index; NULL when there is none or it is sealed: then it does not grow, and may be closed at any time. */
static struct segment_index *growing_index(const struct fbat_store *store) {
    const struct segment_list *list = store->directory.current;
    const struct segment_slot *slot = list->count == 0 ? NULL : list->slots[list->count - 1];
    return slot && !slot->sealed ? slot->index : NULL;
}

/* ---- one segment ---- */

struct follow_sink {
    struct segment_index *index;
    const struct walk *walk;
};

static int follow_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                        struct fbat_error *error) {
    const struct follow_sink *sink = user;
    /* What comes first, a frame or a fence, may be larger than the segment was meant to be. */
    if (sink->index->rows_added == 0)
        FBAT_TRY(segment_widen(sink->index->segment, sink->walk->end, error));
    return segment_index_add_frame(sink->index, frame, bytes, offset, error);
}

/* Reads on in the newest segment, as far as `bound`. A fence whose commit does not follow by then is looked at
 * again the next time. */
static int read_on(struct segment_index *index, uint64_t bound, uint64_t *last, struct fbat_error *error) {
    struct segment *segment = index->segment;
    struct walk walk;
    struct follow_sink sink = {.index = index, .walk = &walk};
    struct scan scan;
    enum walk_step step = WALK_STAGED;
    scan_init(&scan, segment, segment->end);
    walk_init(&walk, segment->end, *last + 1, WALK_NOT_SUPERSEDED);
    int status = segment_refresh_size(segment, error);
    while (status == FBAT_OK && step != WALK_END && walk.expected <= bound) {
        status = walk_next(&walk, &scan, follow_frame, &sink, &step, error);
        if (status == FBAT_OK) {
            segment->end = index->summary.frames_end = walk.end;
            *last = walk.expected - 1;
        }
    }
    scan_deinit(&scan);
    segment_index_publish(index);
    return status;
}

/* The index of a segment's events up to `last`, over a mapping of its own: who holds the one before keeps it whole. */
static int index_up_to(struct fbat_store *store, uint64_t segment_id, uint64_t last, struct segment_index **out_index,
                       struct fbat_error *error) {
    struct segment *segment = NULL;
    struct segment_index *index = NULL;
    FBAT_TRY(segment_open(store->os, store->dir, segment_id, &store->meta.store_id, SEGMENT_READ, &segment, error));
    uint64_t reached = segment->header.first_sequence - 1;
    bool valid = segment->header_state == SEGMENT_HEADER_VALID && reached <= last;
    FBAT_TRY(segment_index_create(segment, &index, error));
    segment_index_want_views(index, &store->config);
    int status = valid ? read_on(index, last, &reached, error) : FBAT_OK;
    if (status == FBAT_OK && (!valid || reached != last))
        status = error_set_damage(error, segment_id, segment->end,
                                  "events that could be read before are broken or missing here; run `fbat check`");
    if (status < 0) {
        segment_index_release(index);
        return status;
    }
    *out_index = index;
    return FBAT_OK;
}

/* Looks at the newest segment anew where what we have of it may be wrong. While it holds no event, the file that
 * we opened may have been replaced by another one of its name; and a fence that could not be read whole leaves a
 * part of it behind. */
static int renew_newest(struct fbat_store *store, struct segment_index *newest, uint64_t last,
                        struct fbat_error *error) {
    struct segment_index *again = NULL;
    uint64_t first = newest->segment->header.first_sequence;
    if (!newest->segment->file || (newest->rows_added > 0 && newest->rows_added == last + 1 - first))
        return FBAT_OK;
    int status = index_up_to(store, newest->segment->header.segment_id, last, &again, error);
    if (newest->rows_added == 0 && status < 0)
        return status == FBAT_ERR_NO_MEMORY ? status : FBAT_OK; /* it is being replaced: the next time */
    FBAT_TRY(status);
    status = directory_replace(&store->directory, again, error);
    if (status < 0)
        segment_index_release(again);
    return status;
}

/* ---- memory given back ---- */

/* A segment that we read frame by frame, once its footer is whole: that serves instead of our memory. */
static void use_footer(struct fbat_store *store, const struct segment_index *index) {
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
    if (sealed->summary.event_count != index->summary.event_count ||
        memcmp(sealed->summary.last_hash, index->summary.last_hash, sizeof index->summary.last_hash) != 0 ||
        directory_replace(&store->directory, sealed, &ignored) < 0)
        segment_index_release(sealed);
}

/* The writer seals a segment some time after it has left it, and says in LOCK how far it has come: from `unfinished` on
 * (0: nowhere) footers may be cut short. A segment without events never gets one. */
static void use_footers(struct fbat_store *store, uint64_t unfinished) {
    for (uint32_t at = 0; at + 1 < store->directory.current->count; at++) {
        const struct segment_slot *slot = store->directory.current->slots[at];
        if (!slot->sealed && slot->index->rows_added > 0 && (unfinished == 0 || slot->segment_id < unfinished))
            use_footer(store, slot->index);
    }
}

/* Looks for footers when there may be new ones: after a segment was left, and when the writer has finished some. */
static void give_memory_back(struct fbat_store *store, const struct announced *announced) {
    uint32_t count = store->directory.current->count;
    if (count == store->follow_segments &&
        announced->unfinished_id == __atomic_load_n(&store->follow_unfinished_id, __ATOMIC_RELAXED))
        return;
    use_footers(store, announced->unfinished_id);
    store->follow_segments = count;
    __atomic_store_n(&store->follow_unfinished_id, announced->unfinished_id, __ATOMIC_RELAXED);
}

/* ---- from one segment to the next ---- */

/* NULL when it is not there, or not whole yet. */
static int open_next(struct fbat_store *store, uint64_t segment_id, struct segment **out_segment,
                     struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(store->dir, segment_id, path);
    enum os_path_kind kind;
    *out_segment = NULL;
    if (store->os->methods->path_kind(store->os, path, &kind) || kind != OS_PATH_FILE)
        return FBAT_OK;
    struct segment *segment = NULL;
    struct fbat_error opening;
    int status =
        segment_open(store->os, store->dir, segment_id, &store->meta.store_id, SEGMENT_READ, &segment, &opening);
    if (status == FBAT_ERR_IO && opening.os_errno == ENOENT)
        return FBAT_OK; /* a writer that came back has just dropped it: it was not whole */
    if (status < 0 && error)
        *error = opening;
    FBAT_TRY(status);
    if (segment->header_state == SEGMENT_HEADER_VALID)
        *out_segment = segment;
    else
        segment_close(segment);
    return FBAT_OK;
}

/* I2: what we have read of the newest segment beyond the next segment's first sequence is there too, or nothing changes. */
static int take_over(struct fbat_store *store, struct segment_index *next, struct fbat_error *error) {
    struct segment_index *limited = NULL;
    FBAT_TRY(index_up_to(store, newest_id(store), next->segment->header.first_sequence - 1, &limited, error));
    segment_forget_file(limited->segment);
    int status = directory_take_over(&store->directory, limited, next, error);
    if (status < 0)
        segment_index_release(limited);
    return status;
}

/* Makes the segment the newest one. Takes it over, on failure too. FBAT_END when it does not continue what we have. */
static int go_on_in(struct fbat_store *store, struct segment *segment, const struct announced *announced,
                    uint64_t *last, struct fbat_error *error) {
    struct segment_index *newest = growing_index(store), *next = NULL;
    uint64_t first = segment->header.first_sequence, reached = first - 1;
    /* How far it may be read is not known before the header of a later one was looked at: then only as far as we
     * were. */
    uint64_t bound = announced->segment_id > segment->header.segment_id ? *last : announced->visible;
    bool takes_over = first <= *last && newest_id(store) != 0;
    FBAT_TRY(segment_index_create(segment, &next, error));
    segment_index_want_views(next, &store->config);
    int status = first > *last + 1 ? FBAT_END : read_on(next, bound, &reached, error);
    if (status == FBAT_OK && reached < *last)
        status = FBAT_END;
    if (status == FBAT_OK)
        status = takes_over ? take_over(store, next, error) : directory_append(&store->directory, next, error);
    if (status != FBAT_OK) {
        segment_index_release(next);
        return status;
    }
    if (newest && !takes_over)
        segment_forget_file(newest->segment);
    *last = reached;
    return FBAT_OK;
}

/* What the log itself says to be missing: segments are made one behind the other, and only once all before is durable. */
static int fail_missing(uint64_t segment_id, uint64_t offset, const char *what, struct fbat_error *error) {
    return error_set_damage(error, segment_id, offset, "%s; run `fbat check`, and restore from a copy what it names",
                            what);
}

/* The segment behind the newest one, which the writer has left. FBAT_END when it is not there, but nothing behind it
 * either: then the page says more than the log. */
static int open_left(struct fbat_store *store, const struct announced *announced, struct segment **out_next,
                     struct fbat_error *error) {
    struct segment *last = NULL;
    uint64_t left_id = newest_id(store);
    FBAT_TRY(open_next(store, left_id + 1, out_next, error));
    if (*out_next)
        return FBAT_OK;
    if (announced->segment_id > left_id + 1)
        FBAT_TRY(open_next(store, announced->segment_id, &last, error));
    if (!last)
        return FBAT_END;
    segment_close(last);
    return fail_missing(left_id + 1, 0, "the segment's file is missing or broken, and the log goes on behind it",
                        error);
}

/* FBAT_END when the log ends before what was announced. */
static int follow_step(struct fbat_store *store, const struct announced *announced, uint64_t *last,
                       struct fbat_error *error) {
    if (growing_index(store))
        FBAT_TRY(renew_newest(store, growing_index(store), *last, error));
    struct segment_index *newest = growing_index(store);
    struct segment *next = NULL;
    uint64_t bound = announced->visible;
    bool left = announced->segment_id > newest_id(store);
    if (left) {
        int there = open_left(store, announced, &next, error);
        if (there != FBAT_OK)
            return there;
        bound = next->header.first_sequence - 1 < bound ? next->header.first_sequence - 1 : bound;
    }
    int status = newest && newest->segment->file ? read_on(newest, bound, last, error) : FBAT_OK;
    directory_set_visible(&store->directory, *last);
    if (status == FBAT_OK && left && *last < bound)
        status = fail_missing(newest_id(store), newest ? newest->segment->end : 0,
                              "an event that was durable is broken or missing here", error);
    if (status == FBAT_OK && !left && *last < bound)
        status = open_next(store, newest_id(store) + 1, &next, error);
    if (status < 0 || *last >= announced->visible || !next) {
        segment_close(next);
        return status < 0 ? status : FBAT_END;
    }
    status = go_on_in(store, next, announced, last, error);
    directory_set_visible(&store->directory, *last);
    return status;
}

static int follow_to(struct fbat_store *store, const struct announced *announced, struct fbat_error *error) {
    uint64_t last = directory_visible(&store->directory);
    int status = FBAT_OK;
    while (status == FBAT_OK && last < announced->visible)
        status = follow_step(store, announced, &last, error);
    return status < 0 ? status : FBAT_OK;
}

static bool has_news(struct fbat_store *store) {
    struct announced announced = read_announced(store);
    return announced.visible > directory_visible(&store->directory) ||
           announced.unfinished_id != __atomic_load_n(&store->follow_unfinished_id, __ATOMIC_RELAXED);
}

int store_catch_up(struct fbat_store *store, struct fbat_error *error) {
    if (!store->read_only)
        return FBAT_OK;
    bool attached = __atomic_load_n(&store->live, __ATOMIC_ACQUIRE) != NULL;
    if (attached && !has_news(store))
        return FBAT_OK;
    pthread_mutex_lock(&store->follow_lock);
    follow_attach(store);
    struct announced announced = read_announced(store);
    int status =
        announced.visible > directory_visible(&store->directory) ? follow_to(store, &announced, error) : FBAT_OK;
    give_memory_back(store, &announced);
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
