/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifying a store from its bytes alone.
 *
 * For each segment: header; frames one after the other (checksum, sequence; fences with their commit, see
 * log/walk.h); records (format, revision, chain, hash, time, id); what stands behind the frames; and the footer
 * against an index built from the frames. Behind a damaged place the walk goes on at the next intact frame, and what
 * is missing is reported once: after a gap, a stream's next event is taken as it is, as long as its revision goes up.
 *
 * What does not belong to the log is no finding: the frames of a fence that was cancelled, and whatever a segment holds
 * behind the first sequence of the next one, which has taken over.
 *
 * Memory: one stream head per stream, and the index of one segment; of the segments before, a few are mapped at a time.
 *
 * Beside a writer, all up to what was visible at the start is verified; what lies behind is none of our business.
 *
 * Thread rule: one thread per run.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/memory.h"
#include "index/streams.h"
#include "log/scan.h"
#include "log/walk.h"
#include "store/store.h"

struct check_run {
    struct os *os;
    const char *dir;
    const struct fbat_check_options *options;
    struct fbat_check_report report;
    struct store_meta meta;
    struct live live;
    struct os_file *lock_file;
    bool bounded; /* a writer is at work: up to live.visible_sequence */
    bool stopped; /* by a callback */
    uint64_t bytes_total;
    struct streams streams;
    uint64_t gap_epoch; /* grows with each gap; a head's draft_epoch says up to which one its place is known */
    uint64_t expected;  /* next sequence, as the walk says */
    int64_t last_recorded_us;
    uint8_t last_hash[SHA256_BYTES];
    struct fbat_id id_made; /* by the store, up to the segment under way */
    bool last_hash_known;
    struct directory done; /* the segments before, for looking up ids */

    /* of the segment under way */
    struct segment *segment;
    struct segment_index *index;
    struct scan scan;
    struct walk walk;
    uint64_t probed_start; /* where the commit of the staged frames last looked ahead at says they begin; 0 = nowhere */
    uint64_t probed_end;   /* offset behind those frames */
    bool is_last;
    uint64_t superseded_from; /* the next segment's first sequence: frames from there on count there, not here */
};

/* ---- findings ---- */

static void report_place(struct check_run *run, enum fbat_finding_kind kind, bool damage, uint64_t offset,
                         uint64_t sequence, const char *format, ...) __attribute__((format(printf, 6, 7)));

static void report_place(struct check_run *run, enum fbat_finding_kind kind, bool damage, uint64_t offset,
                         uint64_t sequence, const char *format, ...) {
    char message[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const struct fbat_finding finding = {
        .kind = kind,
        .damage = damage,
        .segment_id = run->segment ? run->segment->header.segment_id : 0,
        .offset = offset,
        .sequence = sequence,
        .message = message,
    };
    run->report.findings += damage;
    run->report.remarks += !damage;
    if (run->options->finding && run->options->finding(run->options->user, &finding) != 0)
        run->stopped = true;
}

static void report_progress(struct check_run *run, uint64_t offset) {
    if (run->options->progress &&
        run->options->progress(run->options->user, run->report.bytes + offset, run->bytes_total) != 0)
        run->stopped = true;
}

/* ---- one event ---- */

/* After a gap the place of a stream is unknown until its next event. */
static void check_place_in_stream(struct check_run *run, struct stream_head *head, const struct fbat_event *event,
                                  uint64_t offset) {
    bool known = head->draft_epoch == run->gap_epoch || run->gap_epoch == 0;
    if (known ? event->revision != head->revision + 1 : event->revision <= head->revision)
        report_place(run, FBAT_FINDING_REVISION, true, offset, event->sequence,
                     "revision %" PRIu64 " where %" PRIu64 " was expected", event->revision, head->revision + 1);
    else if (known && memcmp(event->previous_hash, head->last_hash, SHA256_BYTES) != 0)
        report_place(run, FBAT_FINDING_CHAIN, true, offset, event->sequence,
                     "revision %" PRIu64 " does not follow the hash of the event before it in its stream",
                     event->revision);
    head->revision = event->revision;
    head->draft_epoch = run->gap_epoch;
    memcpy(head->last_hash, event->hash, SHA256_BYTES);
}

static int check_stream(struct check_run *run, const struct fbat_event *event, uint64_t offset,
                        struct fbat_error *error) {
    uint64_t name_hash = hash_stream(event->scope.data, event->scope.size, event->entity.data, event->entity.size);
    struct stream_head *head = streams_find_or_add(&run->streams, name_hash, event->scope, event->entity);
    if (!head)
        return error_set_no_memory(error);
    check_place_in_stream(run, head, event, offset);
    return FBAT_OK;
}

/* The event before that has the same id, in an earlier segment. */
static int find_earlier(struct check_run *run, const struct fbat_event *event, uint64_t id_hash, uint64_t *out_sequence,
                        struct fbat_error *error) {
    struct segment_index *index = NULL;
    uint32_t position = 0;
    /* Nobody else changes the list. All of it stays mapped: any id may stand in any segment. */
    const struct segment_list *list = run->done.current;
    FBAT_TRY(segment_list_find_id(list, UINT64_MAX, &event->id, id_hash, &index, &position, error));
    *out_sequence = segment_index_row(index, position)->sequence;
    segment_index_release(index);
    return FBAT_OK;
}

static int check_id(struct check_run *run, const struct fbat_event *event, uint64_t offset, struct fbat_error *error) {
    uint32_t position;
    uint64_t earlier = 0;
    int status = FBAT_OK;
    uint64_t id_hash = segment_index_id_hash(&event->id);
    if (run->index && segment_index_find_id(run->index, run->index->rows_added, id_hash, &event->id, &position))
        earlier = segment_index_row(run->index, position)->sequence;
    else
        status = find_earlier(run, event, id_hash, &earlier, error);
    if (status < 0 && status != FBAT_ERR_NOT_FOUND)
        return status;
    if (status == FBAT_OK)
        report_place(run, FBAT_FINDING_ID, true, offset, event->sequence,
                     "its id is also that of the event at sequence %" PRIu64, earlier);
    if (fbat_id_is_none(&event->id))
        report_place(run, FBAT_FINDING_RECORD, true, offset, event->sequence, "the event has no id");
    return FBAT_OK;
}

static int check_event(struct check_run *run, const uint8_t *at, const struct record_sizes *sizes, uint64_t sequence,
                       uint64_t offset, struct fbat_error *error) {
    struct fbat_event event;
    record_view(at, sizes, sequence, &event);
    const char *fault = record_find_fault(at, sizes);
    if (fault)
        report_place(run, FBAT_FINDING_RECORD, true, offset, sequence, "%s", fault);
    uint8_t hash[SHA256_BYTES];
    record_hash(sequence, at, sizes, hash);
    if (memcmp(hash, event.hash, sizeof hash) != 0)
        report_place(run, FBAT_FINDING_HASH, true, offset, sequence, "the hash is not that of the event's fields");
    if (event.recorded_us < run->last_recorded_us)
        report_place(run, FBAT_FINDING_RECORD, true, offset, sequence, "the recorded time goes back");
    run->last_recorded_us = event.recorded_us;
    memcpy(run->last_hash, event.hash, sizeof run->last_hash);
    run->last_hash_known = true;
    run->report.events++;
    FBAT_TRY(check_id(run, &event, offset, error));
    return check_stream(run, &event, offset, error);
}

/* ---- one frame ---- */

/* What should stand between the sequence expected and this one is lost. */
static void skip_to(struct check_run *run, uint64_t sequence) {
    run->expected = sequence;
    run->gap_epoch++;
    walk_init(&run->walk, run->walk.end, sequence, run->superseded_from);
}

static int check_records(struct check_run *run, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                         struct fbat_error *error) {
    FBAT_TRY(segment_index_reserve(run->index, frame->event_count, error));
    uint64_t place = FRAME_HEADER_BYTES;
    for (uint32_t item = 0; item < frame->event_count; item++) {
        struct record_sizes sizes;
        const uint8_t *at = bytes + place;
        uint64_t sequence = frame->first_sequence + item;
        if (!record_measure(at, frame->frame_bytes - place, &sizes) ||
            load_u32(at + RECORD_SEQUENCE_OFFSET_AT) != item) {
            report_place(run, FBAT_FINDING_RECORD, true, offset + place, sequence,
                         "the records of the frame do not fit it");
            return FBAT_OK;
        }
        FBAT_TRY(check_event(run, at, &sizes, sequence, offset + place, error));
        segment_index_add(run->index, at, &sizes, sequence, offset + place, offset, SEGMENT_INDEX_NONE);
        segment_index_publish(run->index);
        place += sizes.total;
    }
    if (place != frame->frame_bytes)
        report_place(run, FBAT_FINDING_RECORD, true, offset + place, frame->first_sequence,
                     "bytes follow the last record of the frame");
    return FBAT_OK;
}

/* A walk_visit_fn: a frame whose events belong to the log. */
static int check_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                       struct fbat_error *error) {
    struct check_run *run = user;
    run->report.frames++;
    FBAT_TRY(check_records(run, frame, bytes, offset, error));
    if ((run->report.frames & 1023) == 0)
        report_progress(run, offset);
    return FBAT_OK;
}

/* True when the staged frames that begin here are a whole fence, committed: then events are missing before it.
 * Else they are what is left of one, or of a fence that was cancelled. */
static int probe_fence(struct check_run *run, const struct frame *frame, bool *out_committed,
                       struct fbat_error *error) {
    struct walk probe;
    struct scan *scan = &run->scan;
    struct frame next = *frame;
    uint64_t place = scan->offset;
    enum frame_state state = FRAME_VALID;
    enum walk_step step = WALK_STAGED;
    int status = FBAT_OK;
    walk_init(&probe, place, frame->first_sequence, run->superseded_from);
    while (status == FBAT_OK && state == FRAME_VALID &&
           (step = walk_take(&probe, &next, scan->offset)) == WALK_STAGED) {
        const uint8_t *bytes = NULL;
        scan->offset += next.frame_bytes;
        status = scan_look(scan, &state, &next, &bytes, error);
    }
    bool at_commit = state == FRAME_VALID && next.type == FRAME_COMMIT && next.staged_bytes <= scan->offset;
    run->probed_end = scan->offset;
    run->probed_start = at_commit ? scan->offset - next.staged_bytes : 0;
    scan->offset = place;
    *out_committed = step == WALK_COMMIT;
    return status;
}

/* A fence is probed once: its commit says where its first frame stands. */
static bool is_probed(const struct check_run *run) {
    return run->scan.offset < run->probed_end && run->scan.offset != run->probed_start;
}

static void report_missing(struct check_run *run, uint64_t offset, uint64_t sequence) {
    report_place(run, FBAT_FINDING_SEQUENCE, true, offset, run->expected,
                 "sequences %" PRIu64 " to %" PRIu64 " are missing", run->expected, sequence - 1);
    skip_to(run, sequence);
}

/* A commit whose fence is not whole. What it would have committed is lost, unless it was there before. */
static void check_stray_commit(struct check_run *run, const struct frame *frame, uint64_t offset) {
    bool again = frame->last_sequence < run->expected;
    report_place(run, FBAT_FINDING_SEQUENCE, true, offset, again ? frame->first_sequence : run->expected,
                 "a commit does not fit the fence before it: it says sequences %" PRIu64 " to %" PRIu64 " in %" PRIu64
                 " bytes",
                 frame->first_sequence, frame->last_sequence, frame->staged_bytes);
    if (!again)
        skip_to(run, frame->last_sequence + 1);
}

/* An intact frame that does not belong to the log where it stands. *out_skip: it must not be taken. */
static int check_stray(struct check_run *run, const struct frame *frame, bool *out_skip, struct fbat_error *error) {
    uint64_t offset = run->scan.offset;
    bool committed = true;
    *out_skip = true;
    if (frame->type == FRAME_COMMIT) {
        check_stray_commit(run, frame, offset);
        return FBAT_OK;
    }
    if (frame->first_sequence < run->expected) {
        report_place(run, FBAT_FINDING_SEQUENCE, true, offset, frame->first_sequence,
                     "a frame is repeated or out of order: sequence %" PRIu64 " where %" PRIu64 " was expected",
                     frame->first_sequence, run->expected);
        return FBAT_OK;
    }
    if (frame->type == FRAME_STAGED && is_probed(run))
        committed = false;
    else if (frame->type == FRAME_STAGED)
        FBAT_TRY(probe_fence(run, frame, &committed, error));
    if (!committed || frame->first_sequence == run->expected) /* a rest of a fence, which its commit will report */
        return FBAT_OK;
    report_missing(run, offset, frame->first_sequence);
    *out_skip = false;
    return FBAT_OK;
}

/* The intact frame at the scan's place, which moves behind it. */
static int check_intact(struct check_run *run, const struct frame *frame, const uint8_t *bytes,
                        struct fbat_error *error) {
    uint64_t offset = run->scan.offset;
    enum walk_step step = walk_take(&run->walk, frame, offset);
    bool skip = true;
    if (step == WALK_END)
        FBAT_TRY(check_stray(run, frame, &skip, error));
    if (!skip) {
        enum frame_state state;
        struct frame again;
        FBAT_TRY(scan_look(&run->scan, &state, &again, &bytes, error)); /* looking ahead has moved the bytes */
        step = state == FRAME_VALID ? walk_take(&run->walk, &again, offset) : WALK_END;
    }
    if (step == WALK_EVENTS)
        FBAT_TRY(check_frame(run, frame, bytes, offset, error));
    if (step == WALK_COMMIT) {
        run->report.frames++;
        FBAT_TRY(walk_visit_fence(&run->walk, &run->scan, check_frame, run, error));
    }
    run->expected = run->walk.expected;
    run->scan.offset = offset + frame->frame_bytes;
    return FBAT_OK;
}

/* ---- behind the frames ---- */

/* The next intact frame behind a broken place, and whether it or LOCK proves that what is broken had been durable. */
static int look_further(struct check_run *run, bool *out_found, bool *out_durable, struct fbat_error *error) {
    struct scan *scan = &run->scan;
    struct frame frame;
    uint64_t found_offset, first_offset = 0;
    bool found = true;
    *out_found = false;
    *out_durable = run->live.durable_sequence >= run->expected;
    while (found) {
        FBAT_TRY(scan_search(scan, 0, &found, &found_offset, &frame, error));
        if (found && !*out_found)
            first_offset = found_offset;
        *out_found |= found;
        *out_durable |= found && frame.durable_sequence >= run->expected;
        if (*out_durable)
            break;
    }
    scan->offset = first_offset;
    return FBAT_OK;
}

/* The place of damage is where intact frames end and, further on, go on. A power cut may leave such a hole too,
 * but only in the last segment of a writer that did not close, and only where nothing was durable yet. */
static int check_broken_place(struct check_run *run, bool *out_goes_on, struct fbat_error *error) {
    struct scan *scan = &run->scan;
    uint64_t offset = scan->offset;
    bool durable;
    FBAT_TRY(look_further(run, out_goes_on, &durable, error));
    /* A later segment without a valid header was being created: the log ended here. */
    bool ends_here = run->superseded_from == UINT64_MAX;
    if (*out_goes_on && ends_here && run->live.state == LIVE_OPEN && !durable)
        *out_goes_on = false;
    if (*out_goes_on)
        report_place(run, FBAT_FINDING_FRAME, true, offset, run->expected,
                     "%" PRIu64 " bytes are not a valid frame; the log goes on at offset %" PRIu64,
                     scan->offset - offset, scan->offset);
    else
        scan->offset = offset;
    return FBAT_OK;
}

/* All frames of the segment that belong to the log. Afterwards run->walk.end is where they end, and the scan
 * stands there, or behind staged frames that follow. */
static int check_frames(struct check_run *run, struct fbat_error *error) {
    bool goes_on = true;
    while (goes_on && !run->stopped && !walk_is_over(&run->walk)) {
        enum frame_state state;
        struct frame frame;
        const uint8_t *bytes;
        if (run->bounded && run->expected > run->live.visible_sequence)
            return FBAT_OK;
        FBAT_TRY(scan_look(&run->scan, &state, &frame, &bytes, error));
        if (state == FRAME_VALID && frame.type == FRAME_EVENTS && frame.first_sequence >= run->superseded_from)
            return FBAT_OK; /* staged frames may reach beyond it, and be void */
        if (state == FRAME_VALID)
            FBAT_TRY(check_intact(run, &frame, bytes, error));
        else
            FBAT_TRY(check_broken_place(run, &goes_on, error));
    }
    return FBAT_OK;
}

static bool closed_cleanly(const struct check_run *run) {
    return run->live.state == LIVE_CLOSED;
}

/* A segment without a footer that is not the last. Frames that a later segment took over were left behind on
 * purpose, and so was the footer. A writer at work may be sealing; one that died may have left footers unfinished.
 * Closing leaves none. */
static void check_unsealed(struct check_run *run, bool taken_over, bool bytes_follow, const char *footer_fault) {
    bool unfinished = run->bounded || run->live.state == LIVE_OPEN;
    if (run->index->rows_added == 0 && walk_is_over(&run->walk)) /* taken over whole: nothing to index */
        return;
    report_place(run, FBAT_FINDING_FOOTER, bytes_follow && !taken_over && !unfinished, run->walk.end, 0,
                 "the segment has no valid footer (%s); opening the store for writing makes it again", footer_fault);
}

/* Bytes behind the last frame of the last segment. */
static void check_tail(struct check_run *run, uint64_t offset, bool bytes_follow) {
    if (bytes_follow && (closed_cleanly(run) || run->live.state == LIVE_UNKNOWN))
        report_place(run, FBAT_FINDING_FRAME, true, offset, run->expected,
                     "%" PRIu64 " bytes behind the last intact frame are not a frame",
                     run->segment->file_bytes - offset);
    else if (bytes_follow)
        report_place(run, FBAT_FINDING_TORN, false, offset, run->expected,
                     "a torn tail: the writer died here, and the next opening for writing drops it");
    else if (walk_fence_is_open(&run->walk) && run->live.state == LIVE_OPEN)
        report_place(run, FBAT_FINDING_TORN, false, run->walk.end, run->expected,
                     "a fence that was not committed: the next opening for writing drops it");
    else if (closed_cleanly(run) && run->live.segment_id == run->segment->header.segment_id &&
             run->segment->file_bytes != run->live.end)
        report_place(run, FBAT_FINDING_TAIL, true, offset, run->expected,
                     "the segment was closed with %" PRIu64 " bytes and has %" PRIu64, run->live.end,
                     run->segment->file_bytes);
}

/* Bytes behind the last frame of a segment without a footer. */
static int check_rest(struct check_run *run, const char *footer_fault, struct fbat_error *error) {
    struct scan *scan = &run->scan;
    uint64_t offset = scan->offset;
    bool bytes_follow;
    enum frame_state state;
    struct frame frame;
    const uint8_t *bytes;
    FBAT_TRY(scan_look(scan, &state, &frame, &bytes, error));
    FBAT_TRY(scan_find_bytes(scan, &bytes_follow, error));
    bool taken_over =
        state == FRAME_VALID && (frame.type != FRAME_EVENTS || frame.first_sequence >= run->superseded_from);
    if (run->is_last)
        check_tail(run, offset, bytes_follow);
    else
        check_unsealed(run, taken_over, bytes_follow, footer_fault);
    return FBAT_OK;
}

/* ---- the footer ---- */

static bool rows_equal(const struct segment_index *a, const struct segment_index *b, uint32_t *out_position) {
    for (uint32_t position = 0; position < a->rows_added; position++)
        if (memcmp(segment_index_row(a, position), segment_index_row(b, position), sizeof(struct footer_row)) != 0) {
            *out_position = position;
            return false;
        }
    return true;
}

static bool streams_equal(const struct segment_index *a, const struct segment_index *b) {
    for (uint32_t stream = 0; stream < a->streams_added; stream++)
        if (memcmp(segment_index_stream(a, stream), segment_index_stream(b, stream),
                   offsetof(struct footer_stream, scope)) != 0)
            return false;
    return true;
}

/* Every element is led to once, so one used slot more than there are elements leads astray. */
static bool has_spurious_slots(const struct slots *slots, uint64_t elements) {
    const struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    uint64_t used = 0;
    for (uint64_t at = 0; at < table->size; at++)
        used += atomic_load_explicit(&table->numbers[at], memory_order_relaxed) != 0;
    return used != elements;
}

static bool slots_lead_to(const struct segment_index *footer, uint32_t position) {
    const struct footer_row *row = segment_index_row(footer, position);
    struct slots_probe probe = slots_first(&footer->id_slots, row->id_hash);
    uint32_t number;
    while ((number = slots_next(&probe)) != 0)
        if (number == position + 1)
            return true;
    return false;
}

static bool stream_slots_lead_to(const struct segment_index *footer, uint32_t stream) {
    struct slots_probe probe = slots_first(&footer->stream_slots, segment_index_stream(footer, stream)->name_hash);
    uint32_t number;
    while ((number = slots_next(&probe)) != 0)
        if (number == stream + 1)
            return true;
    return false;
}

static void report_footer(struct check_run *run, uint64_t sequence, const char *what) {
    report_place(run, FBAT_FINDING_FOOTER, true, run->index->summary.frames_end, sequence, "the footer's %s", what);
}

/* The last id made may be one that was given out and is in no frame, so it may be later than the frames say. What
 * the next segment has taken over is in no frame of the log. */
static bool summaries_equal(const struct segment_summary *frames, const struct segment_summary *footer) {
    struct segment_summary expected = *frames;
    expected.superseded_bytes = footer->superseded_bytes;
    if (memcmp(&footer->id_made, &frames->id_made, sizeof footer->id_made) > 0)
        expected.id_made = footer->id_made;
    return memcmp(&expected, footer, sizeof expected) == 0;
}

/* Streams and rows are known to be right. Views may be missing, but what is there is used. */
static void check_views(struct check_run *run, const struct segment_index *footer) {
    const char *fault = views_find_fault(footer);
    if (fault)
        report_footer(run, 0, fault);
}

static void check_footer(struct check_run *run, const struct segment_index *footer) {
    const struct segment_index *frames = run->index;
    uint32_t position;
    run->report.footers++;
    if (frames->rows_added != footer->rows_added || frames->streams_added != footer->streams_added ||
        !summaries_equal(&frames->summary, &footer->summary)) {
        report_footer(run, 0, "summary does not say what the frames say");
        return;
    }
    if (!rows_equal(frames, footer, &position))
        report_footer(run, segment_index_row(frames, position)->sequence, "row is not what the frame says");
    if (!streams_equal(frames, footer))
        report_footer(run, 0, "stream table does not say what the frames say");
    else if (rows_equal(frames, footer, &position))
        check_views(run, footer);
    if (has_spurious_slots(&footer->id_slots, segment_summary_slotted(&footer->summary)) ||
        has_spurious_slots(&footer->stream_slots, footer->streams_added))
        report_footer(run, 0, "slots have entries of nothing");
    for (position = 0; position < footer->rows_added; position++)
        if (!(segment_index_row(footer, position)->flags & FOOTER_ROW_ID_LEADS) && !slots_lead_to(footer, position)) {
            report_footer(run, segment_index_row(frames, position)->sequence, "id table does not lead to an event");
            break;
        }
    for (uint32_t stream = 0; stream < footer->streams_added; stream++)
        if (!stream_slots_lead_to(footer, stream)) {
            report_footer(run, 0, "stream table does not lead to a stream");
            break;
        }
}

/* ---- one segment ---- */

/* A last segment whose creation was cut short: a broken header, and no frame behind it. */
static int check_broken_header(struct check_run *run, struct fbat_error *error) {
    struct scan scan;
    uint64_t offset;
    struct frame frame;
    bool found = false;
    int status = FBAT_OK;
    scan_init(&scan, run->segment, SEGMENT_HEADER_BYTES - FRAME_ALIGNMENT);
    if (run->segment->file_bytes > SEGMENT_HEADER_BYTES)
        status = scan_search(&scan, 0, &found, &offset, &frame, error);
    scan_deinit(&scan);
    bool unfinished = run->is_last && !found && run->live.state == LIVE_OPEN;
    run->gap_epoch++;
    if (unfinished)
        report_place(run, FBAT_FINDING_TORN, false, 0, run->expected,
                     "the segment was being created when its writer died; the next opening discards it");
    else
        report_place(run, FBAT_FINDING_SEGMENT, true, 0, run->expected, "the segment's header is damaged");
    return status;
}

static int check_header(struct check_run *run, struct fbat_error *error) {
    const struct segment_header *header = &run->segment->header;
    if (run->segment->header_state == SEGMENT_HEADER_BROKEN)
        return check_broken_header(run, error);
    if (header->first_sequence != run->expected) {
        report_place(run, FBAT_FINDING_SEQUENCE, true, 0, run->expected,
                     "the segment starts at sequence %" PRIu64 " where %" PRIu64 " was expected",
                     header->first_sequence, run->expected);
        run->gap_epoch++;
        if (header->first_sequence > run->expected)
            run->expected = header->first_sequence;
    } else if (run->last_hash_known && memcmp(header->last_hash, run->last_hash, SHA256_BYTES) != 0) {
        report_place(run, FBAT_FINDING_CHAIN, true, 0, run->expected,
                     "the segment does not follow the hash of the last event before it");
    }
    return FBAT_OK;
}

/* The next segment says where this one must end. */
static void check_reach(struct check_run *run, uint64_t offset) {
    if (run->superseded_from == UINT64_MAX || run->expected >= run->superseded_from)
        return;
    report_place(run, FBAT_FINDING_SEQUENCE, true, offset, run->expected,
                 "sequences %" PRIu64 " to %" PRIu64 " are missing: the segment ends before the next one starts",
                 run->expected, run->superseded_from - 1);
    run->expected = run->superseded_from;
    run->gap_epoch++;
}

/* The footer's own index of the segment under way; NULL, and why, where there is no valid one. */
static int open_footer(struct check_run *run, struct segment_index **out_footer, const char **out_fault,
                       struct fbat_error *error) {
    struct fbat_error ignored;
    struct segment *mapped = NULL;
    *out_footer = NULL;
    FBAT_TRY(segment_open(run->os, run->dir, run->segment->header.segment_id, &run->meta.store_id, SEGMENT_READ,
                          &mapped, error));
    if (segment_index_open_footer(mapped, out_footer, out_fault, &ignored) < 0)
        segment_close(mapped);
    else
        segment_forget_file(mapped);
    return FBAT_OK;
}

/* What follows once the frames were looked at: the end of the segment, and the footer against the frames. */
static int check_behind(struct check_run *run, const struct segment_index *footer, const char *fault,
                        struct fbat_error *error) {
    run->index->summary.frames_end = run->walk.end; /* a commit adds no row */
    if (footer && run->walk.end != footer->summary.frames_end)
        report_place(run, FBAT_FINDING_FRAME, true, run->walk.end, run->expected,
                     "the frames do not end at the place that the footer names");
    if (!run->stopped)
        check_reach(run, run->walk.end);
    if (run->stopped)
        return FBAT_OK;
    if (!footer)
        return check_rest(run, fault, error);
    check_footer(run, footer);
    return FBAT_OK;
}

/* Frames first, then the footer against them. The footer's index, where it is valid, is kept for the segments to come,
 * else the one built from the frames. */
static int check_contents(struct check_run *run, struct fbat_error *error) {
    const char *fault = "no trailer";
    struct segment_index *footer = NULL;
    FBAT_TRY(open_footer(run, &footer, &fault, error));
    scan_init(&run->scan, run->segment, SEGMENT_HEADER_BYTES);
    walk_init(&run->walk, SEGMENT_HEADER_BYTES, run->expected, run->superseded_from);
    run->probed_start = run->probed_end = 0;
    /* Frames end where the footer begins, so that its bytes are not searched for frames. */
    uint64_t file_bytes = run->segment->file_bytes;
    if (footer)
        run->segment->file_bytes = footer->summary.frames_end + footer->summary.superseded_bytes;
    int status = check_frames(run, error);
    run->segment->file_bytes = file_bytes;
    bool beyond = run->bounded && run->expected > run->live.visible_sequence;
    if (status == FBAT_OK && !run->stopped && !beyond)
        status = check_behind(run, footer, fault, error);
    scan_deinit(&run->scan);
    run->report.bytes += file_bytes;
    run->id_made = footer ? footer->summary.id_made : run->index->summary.id_made;
    segment_forget_file(run->segment);
    if (footer) {
        segment_index_release(run->index); /* and the segment */
        run->index = footer;
    }
    return status;
}

static int keep_index(struct check_run *run, struct fbat_error *error) {
    FBAT_TRY(directory_append(&run->done, run->index, error));
    run->index = NULL;
    return FBAT_OK;
}

/* The first sequence of the segment behind, where there is one with a valid header; else none is superseded. */
static int find_superseded(struct check_run *run, uint64_t next_id, struct fbat_error *error) {
    run->superseded_from = UINT64_MAX;
    if (next_id == 0)
        return FBAT_OK;
    struct segment *next;
    FBAT_TRY(segment_open(run->os, run->dir, next_id, &run->meta.store_id, SEGMENT_READ, &next, error));
    if (next->header_state == SEGMENT_HEADER_VALID)
        run->superseded_from = next->header.first_sequence;
    segment_close(next);
    return FBAT_OK;
}

/* next_id is 0 for the last segment. */
static int check_segment(struct check_run *run, uint64_t segment_id, uint64_t next_id, struct fbat_error *error) {
    FBAT_TRY(find_superseded(run, next_id, error));
    FBAT_TRY(segment_open(run->os, run->dir, segment_id, &run->meta.store_id, SEGMENT_READ, &run->segment, error));
    int status = segment_index_create(run->segment, &run->index, error);
    if (status < 0) {
        run->segment = NULL;
        return status;
    }
    run->is_last = next_id == 0;
    run->index->summary.id_made = run->id_made;
    run->report.segments++;
    if (run->segment->header_state == SEGMENT_HEADER_NEWER)
        return error_set(error, FBAT_ERR_VERSION, "segment %" PRIu64 " was written by a newer version of fbat",
                         segment_id);
    status = check_header(run, error);
    if (status == FBAT_OK)
        status = check_contents(run, error);
    run->segment = NULL; /* its index owned it */
    if (status == FBAT_OK)
        status = keep_index(run, error);
    report_progress(run, 0);
    return status;
}

/* ---- the store ---- */

static int measure_all(struct check_run *run, const uint64_t *ids, size_t count, struct fbat_error *error) {
    for (size_t at = 0; at < count; at++) {
        char path[LIMIT_PATH_BYTES];
        segment_path(run->dir, ids[at], path);
        struct os_file *file;
        uint64_t size = 0;
        int os_errno = run->os->methods->file_open(run->os, path, OS_OPEN_READ, &file);
        if (!os_errno) {
            os_errno = run->os->methods->file_size(run->os, file, &size);
            run->os->methods->file_close(run->os, file);
        }
        if (os_errno)
            return error_set_os(error, os_errno, "open", path);
        run->bytes_total += size;
    }
    return FBAT_OK;
}

static int check_segments(struct check_run *run, const uint64_t *ids, size_t count, struct fbat_error *error) {
    FBAT_TRY(measure_all(run, ids, count, error));
    for (size_t at = 0; at < count && !run->stopped; at++) {
        uint64_t wanted = at == 0 ? 1 : ids[at - 1] + 1;
        if (ids[at] != wanted)
            report_place(run, FBAT_FINDING_SEGMENT, true, 0, run->expected,
                         "segment files %" PRIu64 " to %" PRIu64 " are missing", wanted, ids[at] - 1);
        if (run->bounded && run->expected > run->live.visible_sequence)
            break;
        FBAT_TRY(check_segment(run, ids[at], at + 1 == count ? 0 : ids[at + 1], error));
    }
    uint64_t known = run->live.durable_sequence;
    if (!run->stopped && run->live.state != LIVE_UNKNOWN && known >= run->expected)
        report_place(run, FBAT_FINDING_TAIL, true, 0, run->expected,
                     "the log ends at sequence %" PRIu64 ", but everything up to %" PRIu64 " was durable",
                     run->expected - 1, known);
    return FBAT_OK;
}

static int check_meta(struct check_run *run, bool *out_readable, struct fbat_error *error) {
    int status = meta_read(run->os, run->dir, &run->meta, error);
    *out_readable = status == FBAT_OK;
    if (status != FBAT_ERR_DAMAGED)
        return status;
    report_place(run, FBAT_FINDING_META, true, 0, 0, "store.meta is damaged; without it no segment can be verified");
    return FBAT_OK;
}

static int check_store(struct check_run *run, struct fbat_error *error) {
    bool readable;
    FBAT_TRY(check_meta(run, &readable, error));
    if (!readable)
        return FBAT_OK;
    char path[LIMIT_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/LOCK", run->dir);
    if (run->os->methods->file_open(run->os, path, OS_OPEN_READ, &run->lock_file))
        run->lock_file = NULL;
    run->bounded = run->lock_file && run->os->methods->file_lock_holder(run->os, run->lock_file) != 0;
    FBAT_TRY(live_read(run->os, run->lock_file, &run->meta.store_id, &run->live, error));
    uint64_t *ids;
    size_t count;
    FBAT_TRY(segment_ids_list(run->os, run->dir, &ids, &count, error));
    int status = check_segments(run, ids, count, error);
    memory_free(ids);
    return status;
}

static void deinit_run(struct check_run *run) {
    if (run->index)
        segment_index_release(run->index);
    directory_deinit(&run->done);
    if (run->lock_file)
        run->os->methods->file_close(run->os, run->lock_file);
    streams_deinit(&run->streams);
}

static int init_run(struct check_run *run, struct fbat_error *error) {
    run->expected = 1;
    if (!directory_init(&run->done))
        return error_set_no_memory(error);
    return streams_init(&run->streams) ? FBAT_OK : error_set_no_memory(error);
}

int store_check(struct os *os, const char *dir, const struct fbat_check_options *options,
                struct fbat_check_report *out_report, struct fbat_error *error) {
    static const struct fbat_check_options no_options = {.struct_size = sizeof no_options};
    uint64_t started_us = os->methods->monotonic_us(os);
    struct check_run run = {.os = os, .dir = dir, .options = options ? options : &no_options};
    int status = init_run(&run, error);
    if (status == FBAT_OK)
        status = check_store(&run, error);
    run.report.streams = run.streams.count;
    run.report.last_sequence = run.expected - 1;
    run.report.duration_us = os->methods->monotonic_us(os) - started_us;
    deinit_run(&run);
    if (status == FBAT_OK && out_report)
        *out_report = run.report;
    return status;
}
