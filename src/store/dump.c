/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical log, entry by entry, as it stands on disk: broken places are entries too, and so are frames that do not
 * belong to the log. Of a frame it says whether it does, as far as this segment and the next one's header tell.
 *
 * Thread rule: one thread per run.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/scan.h"
#include "log/walk.h"
#include "store/store.h"

struct dump_run {
    struct os *os;
    const char *dir;
    fbat_dump_fn visit;
    void *user;
    struct store_meta meta;
    struct segment *segment;
    struct scan scan;
    struct walk walk;
    uint64_t superseded_from; /* the next segment's first sequence */
    bool fence_commits;       /* what became of the staged frames under way ... */
    uint64_t fence_end;       /* ... before this offset */
};

static int give_entry(struct dump_run *run, struct fbat_dump_entry *entry) {
    entry->segment_id = run->segment->header.segment_id;
    return run->visit(run->user, entry);
}

static int dump_header(struct dump_run *run) {
    const struct segment *segment = run->segment;
    bool valid = segment->header_state == SEGMENT_HEADER_VALID;
    struct fbat_dump_entry entry = {
        .what = valid ? FBAT_DUMP_SEGMENT : FBAT_DUMP_BROKEN,
        .bytes = SEGMENT_HEADER_BYTES,
        .first_sequence = valid ? segment->header.first_sequence : 0,
        .durable_sequence = valid ? segment->header.durable_sequence : 0,
        .crc32c = segment->file_bytes >= SEGMENT_HEADER_BYTES ? load_u32(segment->map + SEGMENT_HEADER_CRC_AT) : 0,
        .detail = valid ? "segment header" : "the segment's header is damaged, foreign or of a newer version",
    };
    return give_entry(run, &entry);
}

static int dump_records(struct dump_run *run, const struct frame *frame, const uint8_t *bytes, uint64_t offset) {
    uint64_t place = FRAME_HEADER_BYTES;
    int answer = 0;
    for (uint32_t item = 0; item < frame->event_count && answer == 0; item++) {
        struct record_sizes sizes;
        struct fbat_event event;
        struct fbat_dump_entry entry = {.what = FBAT_DUMP_BROKEN, .offset = offset + place};
        if (!record_measure(bytes + place, frame->frame_bytes - place, &sizes)) {
            entry.bytes = frame->frame_bytes - place;
            entry.detail = "the record does not fit its frame";
            return give_entry(run, &entry);
        }
        record_view(bytes + place, &sizes, frame->first_sequence + load_u32(bytes + place + RECORD_SEQUENCE_OFFSET_AT),
                    &event);
        event.segment_id = run->segment->header.segment_id;
        event.offset = offset + place;
        entry.what = FBAT_DUMP_EVENT;
        entry.bytes = sizes.total;
        entry.first_sequence = event.sequence;
        entry.event = &event;
        entry.detail = "event";
        answer = give_entry(run, &entry);
        place += sizes.total;
    }
    return answer;
}

/* Whether the staged frames from here on are followed by their commit. The scan's place does not change. */
static int look_ahead(struct dump_run *run, struct walk walk, struct frame frame, struct fbat_error *error) {
    uint64_t place = run->scan.offset;
    enum walk_step step = WALK_STAGED;
    enum frame_state state = FRAME_VALID;
    int status = FBAT_OK;
    run->scan.offset += frame.frame_bytes;
    while (status == FBAT_OK && step == WALK_STAGED && state == FRAME_VALID) {
        const uint8_t *bytes = NULL;
        run->fence_end = run->scan.offset;
        status = scan_look(&run->scan, &state, &frame, &bytes, error);
        step = status == FBAT_OK && state == FRAME_VALID ? walk_take(&walk, &frame, run->scan.offset) : WALK_END;
        /* Another fence may begin here, which says nothing about this one. */
        if (step == WALK_STAGED && walk.fence_offset == run->scan.offset)
            step = WALK_END;
        run->scan.offset += step == WALK_STAGED ? frame.frame_bytes : 0;
    }
    run->fence_commits = step == WALK_COMMIT;
    run->scan.offset = place;
    return status;
}

static int describe_staged(struct dump_run *run, const struct frame *frame, const char **out_detail,
                           struct fbat_error *error) {
    if (run->walk.fence_offset == run->scan.offset || run->scan.offset >= run->fence_end)
        FBAT_TRY(look_ahead(run, run->walk, *frame, error));
    *out_detail = run->fence_commits ? "staged frame of a committed fence"
                                     : "staged frame of a fence without commit: not in the log";
    return FBAT_OK;
}

/* What the frame at the scan's place is to the log. One that does not fit is where the log goes on as far as we
 * look: what is missing before it is the check's to say. */
static int describe_frame(struct dump_run *run, const struct frame *frame, const char **out_detail,
                          struct fbat_error *error) {
    *out_detail = "frame that the next segment has taken over";
    bool beyond = frame->type == FRAME_EVENTS && frame->first_sequence >= run->superseded_from;
    if (walk_is_over(&run->walk) || beyond)
        return FBAT_OK;
    enum walk_step step = walk_take(&run->walk, frame, run->scan.offset);
    if (step == WALK_END && frame->type != FRAME_COMMIT) {
        walk_init(&run->walk, run->scan.offset, frame->first_sequence, run->superseded_from);
        step = walk_take(&run->walk, frame, run->scan.offset);
    }
    *out_detail = step == WALK_EVENTS   ? "frame"
                  : step == WALK_COMMIT ? "commit of a fence"
                                        : "commit without its fence";
    return step == WALK_STAGED ? describe_staged(run, frame, out_detail, error) : FBAT_OK;
}

/* Gives the frame at the scan's place, which moves behind it. */
static int dump_frame(struct dump_run *run, const struct frame *frame, int *out_answer, struct fbat_error *error) {
    struct fbat_dump_entry entry = {
        .what = FBAT_DUMP_FRAME,
        .event_count = frame->event_count,
        .offset = run->scan.offset,
        .bytes = frame->frame_bytes,
        .first_sequence = frame->first_sequence,
        .durable_sequence = frame->durable_sequence,
        .crc32c = frame->crc,
        .frame_type = (uint32_t)frame->type,
    };
    enum frame_state state = FRAME_BROKEN;
    struct frame again;
    const uint8_t *bytes = NULL;
    FBAT_TRY(describe_frame(run, frame, &entry.detail, error));
    *out_answer = give_entry(run, &entry);
    if (*out_answer == 0)
        FBAT_TRY(scan_look(&run->scan, &state, &again, &bytes, error)); /* looking ahead has moved the bytes */
    if (state == FRAME_VALID)
        *out_answer = dump_records(run, &again, bytes, run->scan.offset);
    run->scan.offset += frame->frame_bytes;
    return FBAT_OK;
}

/* Bytes that are no frame, up to the next intact one or the end. */
static int dump_broken(struct dump_run *run, bool *out_end, int *out_answer, struct fbat_error *error) {
    struct scan *scan = &run->scan;
    uint64_t offset = scan->offset, found_offset = 0;
    bool bytes_follow, found;
    struct frame frame;
    FBAT_TRY(scan_find_bytes(scan, &bytes_follow, error));
    *out_end = !bytes_follow;
    if (!bytes_follow)
        return FBAT_OK;
    scan->offset = offset;
    FBAT_TRY(scan_search(scan, 0, &found, &found_offset, &frame, error));
    uint64_t end = found ? found_offset : run->segment->file_bytes;
    struct fbat_dump_entry entry = {
        .what = FBAT_DUMP_BROKEN, .offset = offset, .bytes = end - offset, .detail = "not a valid frame"};
    *out_answer = give_entry(run, &entry);
    *out_end = !found;
    scan->offset = end;
    return FBAT_OK;
}

static int dump_frames(struct dump_run *run, int *out_answer, struct fbat_error *error) {
    bool end = false;
    int status = FBAT_OK;
    scan_init(&run->scan, run->segment, SEGMENT_HEADER_BYTES);
    walk_init(&run->walk, SEGMENT_HEADER_BYTES, run->segment->header.first_sequence, run->superseded_from);
    run->fence_end = 0;
    while (!end && *out_answer == 0 && status == FBAT_OK) {
        enum frame_state state;
        struct frame frame;
        const uint8_t *bytes;
        status = scan_look(&run->scan, &state, &frame, &bytes, error);
        if (status == FBAT_OK && state == FRAME_VALID)
            status = dump_frame(run, &frame, out_answer, error);
        else if (status == FBAT_OK)
            status = dump_broken(run, &end, out_answer, error);
    }
    scan_deinit(&run->scan);
    return status;
}

static const char *part_name(uint32_t type) {
    static const char *const names[] = {"unknown part", "rows",   "streams",       "id slots", "stream slots",
                                        "kinds",        "scopes", "scope numbers", "tiles",    "groups"};
    return names[type <= FOOTER_PART_KNOWN ? type : 0];
}

static int dump_footer(struct dump_run *run, const struct footer *footer) {
    for (uint32_t at = 0; at < footer->part_count; at++) {
        const struct footer_part *part = &footer->parts[at];
        struct fbat_dump_entry entry = {
            .what = FBAT_DUMP_FOOTER,
            .event_count = (uint32_t)part->count,
            .offset = part->offset,
            .bytes = part->bytes,
            .crc32c = part->crc,
            .detail = part_name(part->type),
        };
        int answer = give_entry(run, &entry);
        if (answer)
            return answer;
    }
    struct fbat_dump_entry entry = {
        .what = FBAT_DUMP_FOOTER,
        .event_count = (uint32_t)footer->summary.event_count,
        .offset = footer->table_offset,
        .bytes = footer_tail_bytes(footer->part_count),
        .first_sequence = footer->summary.first_sequence,
        .durable_sequence = footer->summary.last_sequence,
        .detail = "part table and trailer",
    };
    return give_entry(run, &entry);
}

/* Where the segment behind takes over; a segment that is not there, or unreadable, takes nothing. */
static uint64_t find_taken_over(const struct dump_run *run, uint64_t next_id) {
    struct segment *next = NULL;
    struct fbat_error ignored;
    uint64_t first = WALK_NOT_SUPERSEDED;
    if (next_id == 0 ||
        segment_open(run->os, run->dir, next_id, &run->meta.store_id, SEGMENT_READ, &next, &ignored) < 0)
        return first;
    if (next->header_state == SEGMENT_HEADER_VALID)
        first = next->header.first_sequence;
    segment_close(next);
    return first;
}

/* A positive or negative answer of the visitor is passed through *out_answer. next_id is 0 for the last segment. */
static int dump_segment(struct dump_run *run, uint64_t segment_id, uint64_t next_id, int *out_answer,
                        struct fbat_error *error) {
    run->superseded_from = find_taken_over(run, next_id);
    FBAT_TRY(segment_open(run->os, run->dir, segment_id, &run->meta.store_id, SEGMENT_READ, &run->segment, error));
    struct segment_index *index = NULL;
    struct footer footer;
    const char *fault;
    struct fbat_error ignored;
    bool sealed = segment_index_open_footer(run->segment, &index, &fault, &ignored) == FBAT_OK &&
                  footer_decode(run->segment->map, run->segment->file_bytes, &footer) == NULL;
    if (sealed)
        run->segment->file_bytes = footer.summary.frames_end + footer.summary.superseded_bytes;
    *out_answer = dump_header(run);
    int status = *out_answer == 0 ? dump_frames(run, out_answer, error) : FBAT_OK;
    if (status == FBAT_OK && *out_answer == 0 && sealed)
        *out_answer = dump_footer(run, &footer);
    if (index)
        segment_index_release(index); /* owns the segment */
    else
        segment_close(run->segment);
    return status;
}

int store_dump(struct os *os, const char *dir, uint64_t segment_id, fbat_dump_fn visit, void *user,
               struct fbat_error *error) {
    struct dump_run run = {.os = os, .dir = dir, .visit = visit, .user = user};
    FBAT_TRY(meta_read(os, dir, &run.meta, error));
    uint64_t *ids;
    size_t count;
    FBAT_TRY(segment_ids_list(os, dir, &ids, &count, error));
    int status = FBAT_OK, answer = 0;
    bool found = segment_id == 0;
    for (size_t at = 0; at < count && status == FBAT_OK && answer == 0; at++) {
        if (segment_id != 0 && ids[at] != segment_id)
            continue;
        found = true;
        status = dump_segment(&run, ids[at], at + 1 < count ? ids[at + 1] : 0, &answer, error);
    }
    memory_free(ids);
    if (!found)
        return error_set(error, FBAT_ERR_NOT_FOUND, "the store has no segment %llu", (unsigned long long)segment_id);
    return status < 0 ? status : answer;
}
