/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Happy path: the frames of the log are walked as at opening (log/walk.h), up to the summary's last event, and added to
 * a new index, which must end in that event.
 *
 * Failure: nothing is left behind; the file is not changed.
 *
 * Thread rule: the caller's own segment and index.
 */
#include "index/segment_rebuild.h"

#include <string.h>

#include "base/error.h"
#include "log/scan.h"
#include "log/walk.h"

static int add_walked_frame(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                            struct fbat_error *error) {
    return segment_index_add_frame(user, frame, bytes, offset, error);
}

static int add_frames_up_to(struct segment_index *index, uint64_t last_sequence, struct fbat_error *error) {
    struct scan scan;
    struct walk walk;
    enum walk_step step = WALK_STAGED;
    int status = FBAT_OK;
    scan_init(&scan, index->segment, SEGMENT_HEADER_BYTES);
    walk_init(&walk, SEGMENT_HEADER_BYTES, index->segment->header.first_sequence, last_sequence + 1);
    while (status == FBAT_OK && step != WALK_END && !walk_is_over(&walk))
        status = walk_next(&walk, &scan, add_walked_frame, index, &step, error);
    scan_deinit(&scan);
    index->segment->end = index->summary.frames_end = walk.end;
    return status < 0 ? status : FBAT_OK;
}

static bool ends_as(const struct segment_summary *made, const struct segment_summary *wanted) {
    return made->event_count == wanted->event_count && made->first_sequence == wanted->first_sequence &&
           made->last_sequence == wanted->last_sequence &&
           memcmp(made->last_hash, wanted->last_hash, sizeof made->last_hash) == 0;
}

int segment_rebuild(struct segment *segment, const struct segment_summary *summary, struct segment_index **out_index,
                    struct fbat_error *error) {
    struct segment_index *index = NULL;
    FBAT_TRY(segment_index_create(segment, &index, error));
    int status = add_frames_up_to(index, summary->last_sequence, error);
    if (status == FBAT_OK && !ends_as(&index->summary, summary))
        status = error_set_damage(error, segment->header.segment_id, segment->end,
                                  "neither the segment's footer nor its frames are what they were; run `fbat check`");
    if (status < 0) {
        segment_index_release(index);
        return status;
    }
    segment_index_publish(index);
    *out_index = index;
    return FBAT_OK;
}
