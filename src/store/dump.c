/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The physical log, entry by entry, as it stands on disk. Interprets nothing: broken places are entries too.
 * Thread rule: one thread per run.
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/memory.h"
#include "log/scan.h"
#include "store/store.h"

struct dump_run {
    struct os *os;
    const char *dir;
    fbat_dump_fn visit;
    void *user;
    struct store_meta meta;
    struct segment *segment;
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

static int dump_frame(struct dump_run *run, const struct frame *frame, const uint8_t *bytes, uint64_t offset) {
    struct fbat_dump_entry entry = {
        .what = FBAT_DUMP_FRAME,
        .event_count = frame->event_count,
        .offset = offset,
        .bytes = frame->frame_bytes,
        .first_sequence = frame->first_sequence,
        .durable_sequence = frame->durable_sequence,
        .crc32c = frame->crc,
        .detail = "frame",
    };
    int answer = give_entry(run, &entry);
    return answer ? answer : dump_records(run, frame, bytes, offset);
}

/* Bytes that are no frame, up to the next intact one or the end. */
static int dump_broken(struct dump_run *run, struct scan *scan, bool *out_end, int *out_answer,
                       struct fbat_error *error) {
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
    struct scan scan;
    scan_init(&scan, run->segment, SEGMENT_HEADER_BYTES);
    bool end = false;
    int status = FBAT_OK;
    while (!end && *out_answer == 0 && status == FBAT_OK) {
        enum frame_state state;
        struct frame frame;
        const uint8_t *bytes;
        status = scan_look(&scan, &state, &frame, &bytes, error);
        if (status == FBAT_OK && state == FRAME_VALID) {
            *out_answer = dump_frame(run, &frame, bytes, scan.offset);
            scan.offset += frame.frame_bytes;
        } else if (status == FBAT_OK) {
            status = dump_broken(run, &scan, &end, out_answer, error);
        }
    }
    scan_deinit(&scan);
    return status;
}

static const char *part_name(uint32_t type) {
    static const char *const names[] = {"unknown part", "rows", "streams", "id slots", "stream slots"};
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

/* A positive or negative answer of the visitor is passed through *out_answer. */
static int dump_segment(struct dump_run *run, uint64_t segment_id, int *out_answer, struct fbat_error *error) {
    FBAT_TRY(segment_open(run->os, run->dir, segment_id, &run->meta.store_id, SEGMENT_READ, &run->segment, error));
    struct segment_index *index = NULL;
    struct footer footer;
    const char *fault;
    struct fbat_error ignored;
    bool sealed = segment_index_open_footer(run->segment, &index, &fault, &ignored) == FBAT_OK &&
                  footer_decode(run->segment->map, run->segment->file_bytes, &footer) == NULL;
    if (sealed)
        run->segment->file_bytes = footer.summary.frames_end;
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
        status = dump_segment(&run, ids[at], &answer, error);
    }
    memory_free(ids);
    if (!found)
        return error_set(error, FBAT_ERR_NOT_FOUND, "the store has no segment %llu", (unsigned long long)segment_id);
    return status < 0 ? status : answer;
}
