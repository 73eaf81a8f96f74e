/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the frames of a segment, one after the other, each verified.
 *
 * The writer scans its mapping. A reader must not: a writer in another process may cut the file's tail at any moment,
 * and touching a mapped page behind the new end kills the process. So a reader scans through a window that is read by
 * read_at, where the same race is an orderly ENODATA.
 */
#ifndef FBAT_LOG_SCAN_H
#define FBAT_LOG_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "format/frame.h"
#include "log/segment.h"

struct scan {
    struct segment *segment;
    uint64_t offset; /* of the next frame */
    uint8_t *window; /* NULL when scanning the mapping */
    uint64_t window_offset;
    uint64_t window_bytes; /* valid bytes in it */
    uint64_t window_room;
};

/* Starts at offset. The scan borrows the segment. */
void scan_init(struct scan *scan, struct segment *segment, uint64_t offset);
void scan_deinit(struct scan *scan);

/* Looks at the frame at scan->offset, and does not move: the caller adds out_frame->frame_bytes when it accepts it.
 * out_state is FRAME_VALID (then out_frame and out_bytes, the whole frame, valid until the next call), FRAME_END or
 * FRAME_BROKEN. */
int scan_look(struct scan *scan, enum frame_state *out_state, struct frame *out_frame, const uint8_t **out_bytes,
              struct fbat_error *error);

/* Whether anything but zeros stands between scan->offset and the file's end. Moves the scan. */
int scan_find_bytes(struct scan *scan, bool *out_found, struct fbat_error *error);

/* Searches from scan->offset + 8 on for any intact frame whose first sequence is above `above`. True, with its offset
 * and fields, or false. Moves the scan. */
int scan_search(struct scan *scan, uint64_t above, bool *out_found, uint64_t *out_offset, struct frame *out_frame,
                struct fbat_error *error);

#endif
