/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a footer behind a segment's frames, part by part, and cutting the file to its end. Where superseded bytes
 * are to be kept (format/footer.h), the caller sets segment->end behind them and summary->superseded_bytes to their
 * number.
 *
 *     footer_writer_init, then for each part: footer_writer_begin, any number of footer_writer_data, footer_writer_end;
 *     then footer_writer_finish, and footer_writer_deinit in any case.
 *
 * Errors are sticky: the first one is kept and answered by finish, so that the calls before need no checks.
 */
#ifndef FBAT_LOG_FOOTER_WRITER_H
#define FBAT_LOG_FOOTER_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "format/footer.h"
#include "log/segment.h"

struct footer_writer {
    struct segment *segment;
    struct footer footer;
    uint8_t *buffer; /* collects small pieces */
    size_t buffered;
    uint64_t flushed_end; /* file offset where the buffer's bytes go */
    uint64_t part_end;    /* file offset after all that was given */
    int os_errno;         /* the first failure, 0 if none */
    int status;           /* likewise, as a status */
};

void footer_writer_init(struct footer_writer *writer, struct segment *segment);
void footer_writer_begin(struct footer_writer *writer, enum footer_part_type type, uint64_t count);
void footer_writer_data(struct footer_writer *writer, const void *data, size_t size);
void footer_writer_end(struct footer_writer *writer);

/* Writes part table and trailer, cuts the file and makes it durable. On failure the segment stays unsealed, cut to its
 * end again as far as possible, and no frame is touched. */
int footer_writer_finish(struct footer_writer *writer, const struct segment_summary *summary, struct fbat_error *error);
void footer_writer_deinit(struct footer_writer *writer);

#endif
