/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A frame: the unit of atomicity. One or more event records under one checksum; a batch is one frame. Frames stand back
 * to back from the end of the segment's header, each 8-byte aligned.
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  CRC-32C           of bytes 4 to the frame's end, continued from the segment's salt
 *          4     4  frame bytes       this header included; a multiple of 8
 *          8     8  first sequence    of the first record
 *         16     8  durable sequence  known durable when this frame was written; below first sequence
 *         24     4  event count       1..4096; 0 of a commit
 *         28     2  type              1 = events, 2 = staged, 3 = commit
 *         30     2  zero
 *         32        records; of a commit these 16 bytes:
 *         32     8  last sequence     of the fence it commits
 *         40     8  staged bytes      from the fence's first staged frame to this one
 *
 * Staged frames hold the events of a fence. They belong to the log only with the commit that follows them (log/walk.h).
 *
 * A frame is valid if and only if it lies within the file, its checksum is right, the fields are in range, and the
 * records fill it exactly. The log of an unsealed segment ends where eight zero bytes, or fewer bytes than a frame
 * header, follow the last valid frame.
 */
#ifndef FBAT_FORMAT_FRAME_H
#define FBAT_FORMAT_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FRAME_CRC_AT = 0,
    FRAME_BYTES_AT = 4,
    FRAME_FIRST_SEQUENCE_AT = 8,
    FRAME_DURABLE_AT = 16,
    FRAME_COUNT_AT = 24,
    FRAME_TYPE_AT = 28,
    FRAME_ZERO_AT = 30,
    FRAME_HEADER_BYTES = 32,
    FRAME_LAST_SEQUENCE_AT = 32,
    FRAME_STAGED_BYTES_AT = 40,
    FRAME_COMMIT_BYTES = 48,
    FRAME_ALIGNMENT = 8,
};

enum frame_type { FRAME_EVENTS = 1, FRAME_STAGED = 2, FRAME_COMMIT = 3 };

struct frame {
    uint32_t crc;
    uint32_t frame_bytes;
    uint64_t first_sequence;
    uint64_t durable_sequence;
    uint32_t event_count;
    enum frame_type type;
    uint64_t last_sequence; /* of a commit; else 0 */
    uint64_t staged_bytes;  /* likewise */
};

enum frame_state {
    FRAME_VALID = 0,
    FRAME_END = 1,    /* zeros or too little room for a header: nothing was written here */
    FRAME_BROKEN = 2, /* something was, and it is not a valid frame */
};

/* Writes the header of a frame whose records already stand at to + 32, or a whole commit, and its checksum last. */
void frame_seal(uint8_t *to, const struct frame *frame, uint32_t salt);

/* Looks at what stands at `at`, with `available` bytes to the end of the file. Verifies the checksum and the header's
 * fields; records are looked at one by one with record_measure. Fills out_frame only when valid. */
enum frame_state frame_decode(const uint8_t *at, uint64_t available, uint32_t salt, struct frame *out_frame);

#endif
