/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do with a segment that has no valid footer, after its frames were scanned. Four facts decide:
 *
 *     header     the segment's header is valid, or not
 *     position   it is the last segment, or a later one exists
 *     missing    something proves that an event behind the last intact frame was durable: the durable sequence in
 *                LOCK, the first sequence of the next segment, or the durable sequence in an intact frame further on
 *     rest       behind the last frame of the log there is nothing (zeros, the file's end), or there are other bytes:
 *                half frames, or whole ones that do not belong to it (log/walk.h)
 *
 *     ROW  HEADER  POSITION   MISSING  REST     DECISION
 *     R1   any     any        yes      any      DAMAGE       bytes once durable are gone or broken
 *     R2   broken  not last   no       any      DAMAGE       a later segment proves that this header was durable
 *     R3   broken  last       no       any      DISCARD      the segment's creation was cut short: it held no frame
 *     R4   valid   not last   no       any      SEAL         frames are complete; the footer is made again
 *     R5   valid   last       no       nothing  KEEP         appending goes on here
 *     R6   valid   last       no       bytes    DROP_TAIL    a torn tail: never acknowledged durable; cut it off
 *
 * Exactly one row matches each of the 16 combinations (tests/unit/test_recovery.c).
 */
#ifndef FBAT_LOG_RECOVERY_H
#define FBAT_LOG_RECOVERY_H

#include <stdbool.h>
#include <stddef.h>

enum recovery_decision {
    RECOVERY_DAMAGE = 1,
    RECOVERY_DISCARD = 2,
    RECOVERY_SEAL = 3,
    RECOVERY_KEEP = 4,
    RECOVERY_DROP_TAIL = 5,
};

struct recovery_facts {
    bool header_valid;
    bool last;
    bool missing;
    bool rest_is_bytes;
};

enum recovery_match { RECOVERY_NO = 0, RECOVERY_YES = 1, RECOVERY_ANY = 2 };

struct recovery_row {
    const char *name;
    enum recovery_match header_valid, last, missing, rest_is_bytes;
    enum recovery_decision decision;
};

/* The table above as data. */
extern const struct recovery_row recovery_table[];
extern const size_t recovery_table_rows;

bool recovery_row_matches(const struct recovery_row *row, const struct recovery_facts *facts);

/* The row for these facts. Never NULL. */
const struct recovery_row *recovery_decide(const struct recovery_facts *facts);

#endif
