/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing. A footer is derived data: whatever goes wrong here costs a rebuild at the next opening, never an event.
 *
 * I1: no byte before the segment's end is written.
 */
#include "log/footer_writer.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/memory.h"

enum { BUFFER_BYTES = 256 * 1024 };

static void fail_with(struct footer_writer *writer, int os_errno, int status) {
    if (writer->status == FBAT_OK) {
        writer->os_errno = os_errno;
        writer->status = status;
    }
}

static void flush_buffer(struct footer_writer *writer) {
    if (writer->buffered == 0 || writer->status < 0)
        return;
    struct segment *segment = writer->segment;
    int os_errno = segment->os->methods->file_write_at(segment->os, segment->file, writer->buffer, writer->buffered,
                                                       writer->flushed_end);
    if (os_errno)
        fail_with(writer, os_errno, FBAT_ERR_IO);
    writer->flushed_end += writer->buffered;
    writer->buffered = 0;
}

static void put(struct footer_writer *writer, const void *data, size_t size) {
    const uint8_t *from = data;
    while (size > 0 && writer->status == FBAT_OK) {
        size_t room = BUFFER_BYTES - writer->buffered;
        size_t piece = size < room ? size : room;
        memcpy(writer->buffer + writer->buffered, from, piece);
        writer->buffered += piece;
        writer->part_end += piece;
        from += piece;
        size -= piece;
        if (writer->buffered == BUFFER_BYTES)
            flush_buffer(writer);
    }
}

static size_t padding_to_alignment(const struct footer_writer *writer) {
    return (size_t)(align_up(writer->part_end, FOOTER_ALIGNMENT) - writer->part_end);
}

static const uint8_t zeros[FOOTER_ALIGNMENT];

void footer_writer_init(struct footer_writer *writer, struct segment *segment) {
    memset(writer, 0, sizeof *writer);
    writer->segment = segment;
    writer->flushed_end = writer->part_end = segment->end;
    writer->buffer = memory_allocate(BUFFER_BYTES);
    if (!writer->buffer)
        fail_with(writer, ENOMEM, FBAT_ERR_NO_MEMORY);
    put(writer, zeros, padding_to_alignment(writer));
}

static struct footer_part *current_part(struct footer_writer *writer) {
    FBAT_ASSERT(writer->footer.part_count >= 1);
    return &writer->footer.parts[writer->footer.part_count - 1];
}

void footer_writer_begin(struct footer_writer *writer, enum footer_part_type type, uint64_t count) {
    FBAT_ASSERT(writer->footer.part_count < FOOTER_PARTS_MAX);
    writer->footer.part_count++;
    *current_part(writer) = (struct footer_part){.type = (uint32_t)type, .count = count, .offset = writer->part_end};
}

void footer_writer_data(struct footer_writer *writer, const void *data, size_t size) {
    struct footer_part *part = current_part(writer);
    part->crc = crc32c(data, size, part->crc);
    put(writer, data, size);
}

void footer_writer_end(struct footer_writer *writer) {
    footer_writer_data(writer, zeros, padding_to_alignment(writer));
    struct footer_part *part = current_part(writer);
    part->bytes = writer->part_end - part->offset;
    if (part->bytes > INT32_MAX)
        fail_with(writer, EFBIG, FBAT_ERR_LIMIT);
}

static void put_tail(struct footer_writer *writer, const struct segment_summary *summary) {
    uint8_t tail[FOOTER_PARTS_MAX * FOOTER_PART_BYTES + FOOTER_TRAILER_BYTES];
    struct footer *footer = &writer->footer;
    footer->store_id = writer->segment->header.store_id;
    footer->segment_id = writer->segment->header.segment_id;
    footer->generation = writer->segment->header.generation;
    footer->summary = *summary;
    footer->table_offset = writer->part_end;
    footer_encode(footer, tail);
    put(writer, tail, (size_t)footer_tail_bytes(footer->part_count));
    flush_buffer(writer);
}

int footer_writer_finish(struct footer_writer *writer, const struct segment_summary *summary,
                         struct fbat_error *error) {
    struct segment *segment = writer->segment;
    FBAT_ASSERT(summary->frames_end + summary->superseded_bytes == segment->end);
    put_tail(writer, summary);
    if (writer->status == FBAT_OK) {
        int os_errno = segment->os->methods->file_truncate(segment->os, segment->file, writer->part_end);
        if (os_errno)
            fail_with(writer, os_errno, FBAT_ERR_IO);
    }
    if (writer->status == FBAT_OK) {
        segment->file_bytes = writer->part_end;
        return segment_sync(segment, OS_SYNC_ALL, error);
    }
    (void)segment->os->methods->file_truncate(segment->os, segment->file, segment->end);
    char path[LIMIT_PATH_BYTES];
    segment_path(segment->dir, segment->header.segment_id, path);
    return error_set_os(error, writer->os_errno, "write the footer of", path);
}

void footer_writer_deinit(struct footer_writer *writer) {
    memory_free(writer->buffer);
    writer->buffer = NULL;
}
