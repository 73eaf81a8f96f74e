/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file LOCK: the writer's lock is taken on it, and its 512 bytes (one sector, mapped by the writer) tell readers in
 * other processes how far they may read, and the next opening what was known durable.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  magic               46 42 41 54 4C 49 56 45 ("FBATLIVE")
 *          8     4  disk version        2
 *         12     4  state               1 = a writer has the store open (or died), 2 = closed
 *         16    16  store identity
 *         32     8  process id          of the last writer
 *         40     8  zero
 *         48     8  visible sequence    readers may see up to here; grows while a writer is at work
 *         56     8  durable sequence
 *         64     8  durable check       the complement of the durable sequence
 *         72     8  last segment id     of the active segment; 0 if there is none
 *         80     8  last end            offset after the last frame there
 *         88     8  unfinished segment id  from this segment on, footers may never have reached the disk, though they can
 *                                  be read: sealing one of them failed; 0 if none did
 *         96   412  zero
 *        508     4  CRC-32C             of bytes 0 to 507, in state 2; in state 1 zero
 *
 * The file is evidence, not truth: it may be absent, older than the log, or torn. In state 1, the durable sequence
 * counts if and only if its check is right; any value ever stored there was true when it was stored. In state 2, all
 * of it counts if and only if the checksum is right.
 */
#ifndef FBAT_FORMAT_LIVE_H
#define FBAT_FORMAT_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum {
    LIVE_BYTES = 512,
    LIVE_VERSION_AT = 8,
    LIVE_STATE_AT = 12,
    LIVE_STORE_ID_AT = 16,
    LIVE_PID_AT = 32,
    LIVE_VISIBLE_AT = 48,
    LIVE_DURABLE_AT = 56,
    LIVE_DURABLE_CHECK_AT = 64,
    LIVE_SEGMENT_AT = 72,
    LIVE_END_AT = 80,
    LIVE_UNFINISHED_AT = 88,
    LIVE_ZERO_AT = 96,
    LIVE_CRC_AT = 508,
};

enum live_state { LIVE_UNKNOWN = 0, LIVE_OPEN = 1, LIVE_CLOSED = 2 };

struct live {
    enum live_state state; /* UNKNOWN: the bytes say nothing that counts */
    struct fbat_id store_id;
    int64_t pid;
    uint64_t visible_sequence;
    uint64_t durable_sequence; /* 0 when it does not count */
    uint64_t segment_id;
    uint64_t end;
    uint64_t unfinished_segment_id;
};

void live_encode(const struct live *live, uint8_t to[LIVE_BYTES]);
void live_decode(const uint8_t from[LIVE_BYTES], struct live *out_live);

#endif
