/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening all segments, oldest first, and deciding about those without a valid footer by the table in log/recovery.h.
 *
 * Happy path: every segment but the last has a footer, which is mapped; the last one's frames are scanned. Which of
 * them belong to the log is decided in log/walk.h.
 *
 * Failure modes: a gap in segment ids or sequences, or a decision R1 or R2, is FBAT_ERR_DAMAGED with its place; nothing
 * on disk has been changed by then that was not derived or torn.
 *
 * A reader beside a live writer never decides: it takes what the writer has made visible and leaves the rest alone. A
 * reader without a writer decides as a writer would, but changes nothing on disk.
 *
 * Thread rule: during opening only, one thread.
 *
 * I1: `expected` is one more than the last sequence of the segments taken so far.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/recovery.h"
#include "log/scan.h"
#include "log/walk.h"
#include "store/store.h"

enum {
    NAME_BYTES_MAX = 64, /* longer than any name of ours */
    ASIDE_MAX = 16, /* files removed at most; there is never more than one, unless it could not be removed before */
};

struct recovery_run {
    struct fbat_store *store;
    const struct live *live;
    bool bounded;  /* beside a live writer: frames up to live->visible_sequence, no decisions */
    uint64_t *ids; /* of the segments, ascending */
    size_t count;
    uint64_t expected;
    uint64_t superseded_from;  /* the next segment's first sequence: frames from there on count there, not here */
    struct sequencer_start at; /* where the log stands after the segments taken so far */
};

/* How the scan of one segment ended. */
struct scan_end {
    uint64_t offset;       /* after the last frame that belongs to the log */
    uint64_t rewrite_from; /* offset of the first frame not known durable */
    bool rest_is_bytes;
    bool fence_is_open; /* the rest begins with staged frames whose commit is missing */
};

static int fail_run(const struct recovery_run *run, uint64_t segment_id, uint64_t offset, const char *what,
                    struct fbat_error *error) {
    int status =
        error_set_damage(error, segment_id, offset,
                         "%s; nothing was changed; run `fbat check`, and restore from a copy what it names", what);
    if (error)
        error->sequence = run->expected;
    return status;
}

/* ---- scanning one segment ---- */

struct frame_sink {
    struct recovery_run *run;
    struct segment_index *index;
};

static int index_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                       struct fbat_error *error) {
    const struct frame_sink *sink = user;
    sink->run->store->report.events_scanned += frame->event_count;
    return segment_index_add_frame(sink->index, frame, bytes, offset, error);
}

/* The visible sequence always is the last one of a frame or fence. */
static bool may_see_more(const struct recovery_run *run, const struct walk *walk) {
    return !run->bounded || walk->expected <= run->live->visible_sequence;
}

static int scan_frames(struct recovery_run *run, struct segment_index *index, struct scan *scan, struct scan_end *end,
                       struct fbat_error *error) {
    struct frame_sink sink = {.run = run, .index = index};
    struct walk walk;
    enum walk_step step = WALK_STAGED;
    walk_init(&walk, scan->offset, run->expected, run->superseded_from);
    while (step != WALK_END && may_see_more(run, &walk)) {
        FBAT_TRY(walk_next(&walk, scan, index_frame, &sink, &step, error));
        if (walk.expected - 1 <= run->live->durable_sequence)
            end->rewrite_from = walk.end;
    }
    run->expected = walk.expected;
    end->offset = index->summary.frames_end = walk.end;
    end->fence_is_open = walk_fence_is_open(&walk);
    return FBAT_OK;
}

/* Behind the last intact frame: is there anything, and does any of it prove that what is missing was durable? */
static int look_behind(struct recovery_run *run, struct scan *scan, struct scan_end *end, bool *missing,
                       struct fbat_error *error) {
    scan->offset = end->offset;
    FBAT_TRY(scan_find_bytes(scan, &end->rest_is_bytes, error));
    if (!end->rest_is_bytes)
        return FBAT_OK;
    scan->offset = end->offset;
    bool found = true;
    while (found && !*missing) {
        uint64_t offset;
        struct frame frame;
        FBAT_TRY(scan_search(scan, run->expected, &found, &offset, &frame, error));
        *missing = found && frame.durable_sequence >= run->expected;
    }
    return FBAT_OK;
}

static int index_frames(struct recovery_run *run, struct segment *segment, struct segment_index **out_index,
                        struct scan *scan, struct scan_end *end, struct fbat_error *error) {
    struct segment_index *index;
    FBAT_TRY(segment_index_create(segment, &index, error));
    segment_index_want_views(index, &run->store->config);
    index->summary.id_made = run->at.last_id;
    int status = scan_frames(run, index, scan, end, error);
    if (status < 0) {
        segment_index_release(index);
        return status;
    }
    segment->end = end->offset;
    segment_index_publish(index);
    *out_index = index;
    return FBAT_OK;
}

/* ---- acting on a decision ---- */

static void note_drop(struct recovery_run *run, const struct segment *segment, const struct scan_end *end) {
    uint64_t bytes_end = segment->file_bytes;
    while (segment->access == SEGMENT_WRITE && bytes_end > end->offset && segment->map[bytes_end - 1] == 0)
        bytes_end--;
    struct fbat_open_report *report = &run->store->report;
    report->dropped_segment_id = segment->header.segment_id;
    report->dropped_offset = end->offset;
    report->dropped_bytes = bytes_end - end->offset;
    snprintf(report->detail, sizeof report->detail,
             "dropped a torn tail of %" PRIu64 " bytes in segment %" PRIu64 " at offset %" PRIu64 ": %s",
             report->dropped_bytes, report->dropped_segment_id, end->offset,
             end->fence_is_open ? "a fence that was not committed"
                                : "written before a kill or power cut, never acknowledged durable");
}

/* As rotation does: LOCK names the footer before it is written. Best effort, as all about footers. */
static void mark_unfinished(struct recovery_run *run, uint64_t segment_id) {
    struct fbat_store *store = run->store;
    uint8_t bytes[8];
    if (run->at.unfinished_segment_id != 0)
        return;
    run->at.unfinished_segment_id = segment_id;
    store_u64(bytes, segment_id);
    if (run->live->state == LIVE_OPEN && run->live->unfinished_segment_id == 0)
        (void)store->os->methods->file_write_at(store->os, store->lock_file, bytes, sizeof bytes, LIVE_UNFINISHED_AT);
}

/* Frames that the next segment has taken over stay where they are: readers in other processes may still look at
 * them. The answer is the offset after the last one. What else stands there, such as a footer cut short, is
 * nothing to keep. */
static int find_kept_end(struct segment *segment, uint64_t frames_end, uint64_t *out_end, struct fbat_error *error) {
    struct scan scan;
    bool found = true;
    int status = FBAT_OK;
    *out_end = frames_end;
    scan_init(&scan, segment, frames_end - FRAME_ALIGNMENT); /* the search begins behind it */
    while (found && status == FBAT_OK) {
        uint64_t offset = 0;
        struct frame frame = {0};
        status = scan_search(&scan, 0, &found, &offset, &frame, error);
        if (status == FBAT_OK && found) {
            *out_end = offset + frame.frame_bytes;
            scan.offset = *out_end - FRAME_ALIGNMENT;
        }
    }
    scan_deinit(&scan);
    return status;
}

static int write_footer_behind(struct segment_index *index, uint64_t kept_end, struct fbat_error *error) {
    struct segment *segment = index->segment;
    uint64_t frames_end = segment->end;
    index->summary.superseded_bytes = kept_end - frames_end;
    segment->end = kept_end;
    int status = segment_index_write_footer(index, error);
    segment->end = frames_end;
    return status;
}

/* The footer of a complete segment, made again. Derived data: on failure the index in memory serves. */
static struct segment_index *seal_again(struct recovery_run *run, struct segment_index *index) {
    struct fbat_store *store = run->store;
    uint64_t unfinished_before = run->at.unfinished_segment_id, kept_end = 0;
    struct fbat_error ignored;
    if (index->rows_added == 0) /* taken over whole: nothing to index */
        return index;
    store->report.footers_rebuilt++;
    if (store->read_only)
        return index;
    mark_unfinished(run, index->segment->header.segment_id);
    if (find_kept_end(index->segment, index->segment->end, &kept_end, &ignored) < 0 ||
        write_footer_behind(index, kept_end, &ignored) < 0)
        return index;
    struct segment *segment;
    if (segment_open(store->os, store->dir, index->segment->header.segment_id, &store->meta.store_id, SEGMENT_WRITE,
                     &segment, &ignored) < 0)
        return index;
    struct segment_index *sealed;
    const char *fault;
    if (segment_index_open_footer(segment, &sealed, &fault, &ignored) < 0) {
        segment_close(segment);
        return index;
    }
    run->at.unfinished_segment_id = unfinished_before;
    segment_index_release(index);
    return sealed;
}

static int act(struct recovery_run *run, const struct recovery_facts *facts, const struct scan_end *end,
               struct segment_index **index, struct fbat_error *error) {
    struct segment *segment = (*index)->segment;
    switch (recovery_decide(facts)->decision) {
    case RECOVERY_SEAL: *index = seal_again(run, *index); return FBAT_OK;
    case RECOVERY_DROP_TAIL: note_drop(run, segment, end); break;
    case RECOVERY_KEEP: break;
    case RECOVERY_DAMAGE:
    case RECOVERY_DISCARD:
        return fail_run(run, segment->header.segment_id, end->offset,
                        "an event that was durable is broken or missing here", error);
    }
    run->at.active = *index;
    bool distrust = run->live->state != LIVE_CLOSED;
    return run->store->read_only ? FBAT_OK : segment_resume(segment, distrust, end->rewrite_from, error);
}

/* ---- one segment ---- */

/* The last sequence of this segment that something outside of it proves durable: that another one follows, or LOCK. */
static uint64_t proven_sequence(const struct recovery_run *run, const struct segment *next) {
    return next ? next->header.first_sequence - 1 : run->live->durable_sequence;
}

static int take_by_frames(struct recovery_run *run, struct segment *segment, const struct segment *next,
                          struct segment_index **out_index, struct fbat_error *error) {
    struct scan scan;
    struct scan_end end = {.offset = SEGMENT_HEADER_BYTES, .rewrite_from = SEGMENT_HEADER_BYTES};
    scan_init(&scan, segment, SEGMENT_HEADER_BYTES);
    run->superseded_from = next ? next->header.first_sequence : UINT64_MAX;
    struct segment_index *index = NULL;
    int status = index_frames(run, segment, &index, &scan, &end, error);
    struct recovery_facts facts = {.header_valid = true, .last = !next};
    if (status == FBAT_OK && !run->bounded) {
        facts.missing = proven_sequence(run, next) >= run->expected;
        if (!next && !facts.missing)
            status = look_behind(run, &scan, &end, &facts.missing, error);
        facts.rest_is_bytes = end.rest_is_bytes;
    }
    if (status == FBAT_OK && run->bounded)
        run->at.active = next ? NULL : index;
    else if (status == FBAT_OK)
        status = act(run, &facts, &end, &index, error);
    scan_deinit(&scan);
    if (status < 0)
        segment_index_release(index);
    else
        *out_index = index;
    return status;
}

/* A last segment that has a footer must still reach what is known durable. */
static int check_footer_reach(struct recovery_run *run, const struct segment *segment, const struct segment *next,
                              struct fbat_error *error) {
    bool damaged = !run->bounded && !next && run->live->durable_sequence >= run->expected;
    return damaged ? fail_run(run, segment->header.segment_id, segment->end,
                              "the log ends here, but later events were durable: a segment file is missing", error)
                   : FBAT_OK;
}

static void note_place(struct recovery_run *run, const struct segment_index *index) {
    struct sequencer_start *at = &run->at;
    at->last_segment_id = index->segment->header.segment_id;
    at->last_sequence = run->expected - 1;
    at->last_id = index->summary.id_made;
    if (index->summary.event_count > 0)
        at->last_recorded_us = index->summary.last_recorded_us;
}

/* A footer whose sync failed can still be read from the page cache, and be gone after a power cut: it is made again. */
static bool footer_may_be_lost(const struct recovery_run *run, const struct segment *segment) {
    uint64_t first = run->live->unfinished_segment_id;
    return first != 0 && segment->header.segment_id >= first;
}

/* The index of a segment, by its footer or by its frames. Takes over the segment, on failure too. */
static int index_segment(struct recovery_run *run, struct segment *segment, const struct segment *next,
                         struct segment_index **out_index, struct fbat_error *error) {
    const char *fault;
    if (footer_may_be_lost(run, segment))
        return take_by_frames(run, segment, next, out_index, error);
    int status = segment_index_open_footer(segment, out_index, &fault, error);
    if (status == FBAT_ERR_NOT_FOUND)
        return take_by_frames(run, segment, next, out_index, error);
    if (status < 0) {
        segment_close(segment);
        return status;
    }
    run->expected = (*out_index)->summary.last_sequence + 1;
    run->store->report.footers_used++;
    return FBAT_OK;
}

/* Makes the segment the next one of the store's. Takes it over, on failure too. */
static int take_segment(struct recovery_run *run, struct segment *segment, const struct segment *next,
                        struct fbat_error *error) {
    if (segment->header.first_sequence != run->expected) {
        int status = fail_run(run, segment->header.segment_id, 0,
                              "its first sequence does not follow the segment before it: events are missing", error);
        segment_close(segment);
        return status;
    }
    struct segment_index *index = NULL;
    FBAT_TRY(index_segment(run, segment, next, &index, error));
    FBAT_ASSERT(index);
    int status = index->sealed ? check_footer_reach(run, index->segment, next, error) : FBAT_OK;
    if (run->at.active != index)
        segment_forget_file(index->segment);
    note_place(run, index);
    if (status == FBAT_OK)
        status = directory_append(&run->store->directory, index, error);
    if (status < 0)
        segment_index_release(index);
    return status;
}

/* ---- all segments ---- */

static int open_segment(struct recovery_run *run, size_t at, struct segment **out_segment, struct fbat_error *error) {
    struct fbat_store *store = run->store;
    FBAT_TRY(segment_open(store->os, store->dir, run->ids[at], &store->meta.store_id,
                          store->read_only ? SEGMENT_READ : SEGMENT_WRITE, out_segment, error));
    if ((*out_segment)->header_state != SEGMENT_HEADER_NEWER)
        return FBAT_OK;
    segment_close(*out_segment);
    return error_set(error, FBAT_ERR_VERSION, "segment %" PRIu64 " was written by a newer version of fbat; update fbat",
                     run->ids[at]);
}

static int check_ids(struct recovery_run *run, struct fbat_error *error) {
    for (size_t at = 0; at < run->count; at++)
        if (run->ids[at] != at + 1) {
            run->expected = 0;
            return fail_run(run, at + 1, 0, "the segment's file is missing", error);
        }
    return FBAT_OK;
}

/* R2 and R3: a last segment whose header is broken held no frame, or is damage. */
static int judge_broken_header(struct recovery_run *run, struct segment *segment, struct fbat_error *error) {
    struct recovery_facts facts = {.header_valid = false, .last = true};
    if (run->bounded)
        return FBAT_OK;
    struct scan scan;
    uint64_t offset;
    struct frame frame;
    scan_init(&scan, segment, SEGMENT_HEADER_BYTES - FRAME_ALIGNMENT);
    int status = segment->file_bytes > SEGMENT_HEADER_BYTES
                     ? scan_search(&scan, 0, &facts.missing, &offset, &frame, error)
                     : FBAT_OK;
    scan_deinit(&scan);
    FBAT_TRY(status);
    if (recovery_decide(&facts)->decision == RECOVERY_DAMAGE)
        return fail_run(run, segment->header.segment_id, 0, "the segment's header is broken, but frames follow it",
                        error);
    return FBAT_OK;
}

static int discard_segment(struct recovery_run *run, uint64_t segment_id, struct fbat_error *error) {
    struct fbat_store *store = run->store;
    if (store->read_only)
        return FBAT_OK;
    char path[LIMIT_PATH_BYTES];
    segment_path(store->dir, segment_id, path);
    snprintf(store->report.detail, sizeof store->report.detail,
             "discarded segment %" PRIu64 ": its creation was cut short and it held no event", segment_id);
    int os_errno = store->os->methods->path_remove(store->os, path);
    if (!os_errno)
        os_errno = store->os->methods->dir_sync(store->os, store->dir);
    return os_errno ? error_set_os(error, os_errno, "remove", path) : FBAT_OK;
}

/* Takes segments with a broken header off the end. */
static int discard_unfinished(struct recovery_run *run, struct fbat_error *error) {
    while (run->count > 0) {
        struct segment *last;
        FBAT_TRY(open_segment(run, run->count - 1, &last, error));
        bool valid = last->header_state == SEGMENT_HEADER_VALID;
        int status = valid ? FBAT_OK : judge_broken_header(run, last, error);
        segment_close(last);
        FBAT_TRY(status);
        if (valid)
            return FBAT_OK;
        FBAT_TRY(discard_segment(run, run->ids[run->count - 1], error));
        run->count--;
    }
    return FBAT_OK;
}

static int take_all(struct recovery_run *run, struct fbat_error *error) {
    struct segment *current = NULL, *next = NULL;
    int status = run->count > 0 ? open_segment(run, 0, &current, error) : FBAT_OK;
    for (size_t at = 0; at < run->count && status == FBAT_OK; at++) {
        FBAT_ASSERT(current);
        next = NULL;
        if (at + 1 < run->count)
            status = open_segment(run, at + 1, &next, error);
        if (status == FBAT_OK && current->header_state != SEGMENT_HEADER_VALID)
            status = fail_run(run, run->ids[at], 0, "the segment's header is broken", error);
        if (status < 0) {
            segment_close(next);
            break;
        }
        struct segment *taken = current;
        current = next;
        status = take_segment(run, taken, next, error);
    }
    if (status < 0)
        segment_close(current);
    return status;
}

static void finish_report(struct recovery_run *run) {
    struct fbat_open_report *report = &run->store->report;
    report->segment_count = (uint32_t)run->count;
    report->events_total = run->expected - 1;
    report->clean = run->live->state == LIVE_CLOSED;
    report->path = run->expected == 1                                      ? FBAT_OPEN_EMPTY
                   : report->footers_used + 1u >= run->count && run->count ? FBAT_OPEN_FOOTERS
                                                                           : FBAT_OPEN_FRAMES;
    if (report->detail[0] == '\0')
        snprintf(report->detail, sizeof report->detail, "%s",
                 run->expected == 1 ? "no events yet" : "nothing was dropped");
}

/* ---- what a move to a new segment left behind ---- */

static int note_aside(void *user, const char *name) {
    uint64_t *segment_id = user;
    char own[NAME_BYTES_MAX];
    size_t size = strlen(name), suffix = strlen(SEGMENT_ASIDE_SUFFIX);
    if (size <= suffix || size >= sizeof own || strcmp(name + size - suffix, SEGMENT_ASIDE_SUFFIX) != 0)
        return 0;
    memcpy(own, name, size - suffix);
    own[size - suffix] = '\0';
    *segment_id = segment_id_of_name(own);
    return *segment_id != 0; /* stops there */
}

/* A segment that never got its name holds nothing that the one before it does not hold. As far as the system
 * allows: who needs the name makes the file anew. */
static void remove_aside(struct fbat_store *store) {
    const struct os_methods *methods = store->os->methods;
    for (int attempt = 0; attempt < ASIDE_MAX; attempt++) {
        char path[LIMIT_PATH_BYTES + sizeof SEGMENT_ASIDE_SUFFIX];
        uint64_t segment_id = 0;
        (void)methods->dir_list(store->os, store->dir, note_aside, &segment_id);
        if (segment_id == 0)
            return;
        segment_path(store->dir, segment_id, path);
        memcpy(path + strlen(path), SEGMENT_ASIDE_SUFFIX, sizeof SEGMENT_ASIDE_SUFFIX);
        if (methods->path_remove(store->os, path) != 0)
            return;
    }
}

int recover_segments(struct fbat_store *store, const struct live *live, bool writer_alive,
                     struct sequencer_start *out_start, struct fbat_error *error) {
    struct recovery_run run = {
        .store = store, .live = live, .bounded = store->read_only && writer_alive, .expected = 1};
    if (!store->read_only)
        remove_aside(store);
    FBAT_TRY(segment_ids_list(store->os, store->dir, &run.ids, &run.count, error));
    int status = check_ids(&run, error);
    if (status == FBAT_OK)
        status = discard_unfinished(&run, error);
    if (status == FBAT_OK)
        status = take_all(&run, error);
    if (status == FBAT_OK && run.count == 0 && live->durable_sequence > 0)
        status =
            fail_run(&run, 1, 0, "the log is empty, but events were durable: the segment files are missing", error);
    memory_free(run.ids);
    FBAT_TRY(status);
    finish_report(&run);
    *out_start = run.at;
    directory_set_visible(&store->directory, run.expected - 1);
    return FBAT_OK;
}
