/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The recovery table as data. The reasons behind its rows:
 *
 * Crash table of a segment's creation: (1) file created, blocks reserved, (2) header written, (3) file synced,
 * (4) directory synced, (5) first frame. A power cut before 4 leaves no name, or a file whose header may be broken and
 * which holds no frame: R3. After 5 the header is whole.
 *
 * Crash table of rotation: (1) the old segment synced, (2) the new one created as above, (3) the old one's footer
 * written, cut, synced. So a later segment proves all frames before it durable (R1, R2), and a cut between 2 and the
 * end of 3 leaves a broken footer behind complete frames: R4.
 *
 * Of an append: (1) frame stored, (2) perhaps synced, (3) acknowledged. A cut before the end of 2 leaves any mix of its
 * sectors: R6 or R5. A cut after 2 leaves it whole; if it is not, an intact later frame or LOCK says that it was: R1.
 *
 * Of a fence: its frames are staged, and none of them knows another one durable; so whatever is missing at the end of a
 * log whose last fence has no commit was never durable: R6 cuts its frames off too (log/walk.h).
 *
 * Of a tail that is taken over, after a failed sync: (1) a new segment under another name, with all that is not
 * durable, (2) synced, (3) renamed, directory synced. A cut before 3 leaves the old segment as it was, for R5 or R6,
 * and a file that opening removes. After 3 the new segment's first sequence proves what of the old one was durable,
 * and only that is asked of it: R1 where it is gone, else R4, whatever stands behind it.
 */
#include "log/recovery.h"

#include "base/assert.h"

#define NO RECOVERY_NO
#define YES RECOVERY_YES
#define ANY RECOVERY_ANY

/* clang-format off */
const struct recovery_row recovery_table[] = {
    /*     header last missing rest */
    {"R1", ANY,   ANY, YES,    ANY, RECOVERY_DAMAGE},
    {"R2", NO,    NO,  NO,     ANY, RECOVERY_DAMAGE},
    {"R3", NO,    YES, NO,     ANY, RECOVERY_DISCARD},
    {"R4", YES,   NO,  NO,     ANY, RECOVERY_SEAL},
    {"R5", YES,   YES, NO,     NO,  RECOVERY_KEEP},
    {"R6", YES,   YES, NO,     YES, RECOVERY_DROP_TAIL},
};
/* clang-format on */
const size_t recovery_table_rows = sizeof recovery_table / sizeof recovery_table[0];

#undef NO
#undef YES
#undef ANY

static bool fact_matches(enum recovery_match wanted, bool fact) {
    return wanted == RECOVERY_ANY || (wanted == RECOVERY_YES) == fact;
}

bool recovery_row_matches(const struct recovery_row *row, const struct recovery_facts *facts) {
    return fact_matches(row->header_valid, facts->header_valid) && fact_matches(row->last, facts->last) &&
           fact_matches(row->missing, facts->missing) && fact_matches(row->rest_is_bytes, facts->rest_is_bytes);
}

const struct recovery_row *recovery_decide(const struct recovery_facts *facts) {
    for (size_t index = 0; index < recovery_table_rows; index++)
        if (recovery_row_matches(&recovery_table[index], facts))
            return &recovery_table[index];
    FBAT_ASSERT(!"the recovery table has a row for every combination");
    return NULL;
}
