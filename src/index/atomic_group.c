/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which events belong together, from the frames they stand in.
 *
 * Happy path: the rows of a batch name the same frame, and no byte of the file is looked at. Where two rows name different
 * frames, both are of one fence if and only if both frames are staged and one ends where the other starts: only frames of
 * the log have rows, and of two fences of the log the first has its commit in between (log/walk.h).
 *
 *     ROW      THE ROW BEHIND IT                                GROUP
 *     any      none in this segment                             ends: neither batch nor fence spans segments, and an
 *                                                               active segment's rows appear by whole groups
 *     any      of the same frame                                goes on
 *     staged   of a staged frame that starts where this ends    goes on
 *     any      any other                                        ends
 *
 * Failure modes: none. Headers of frames are read through the mapping, where the row was published after them; in a
 * mapping that went bad a group may end too early, and the events say so when they are read.
 *
 * Cost: a step for each event of the group in front of the snapshot, and for each frame of a fence a look at the file.
 *
 * Thread rule: any thread.
 */
#include "index/atomic_group.h"

#include "base/bytes.h"
#include "format/frame.h"

/* Where the frame of a row ends when it is a staged one; else 0, also where a header would go beyond the frames. */
static uint64_t staged_frame_end(const struct segment_index *index, const struct footer_row *row) {
    const struct segment *segment = index->segment;
    uint64_t offset = (uint64_t)row->frame_words * 8;
    uint64_t end = index->sealed ? index->summary.frames_end : segment->map_bytes;
    if (offset + FRAME_HEADER_BYTES > end || load_u16(segment->map + offset + FRAME_TYPE_AT) != FRAME_STAGED)
        return 0;
    return offset + load_u32(segment->map + offset + FRAME_BYTES_AT);
}

bool atomic_group_goes_on(const struct segment_index *index, uint32_t position) {
    if (position + 1 >= segment_index_row_count(index))
        return false;
    const struct footer_row *row = segment_index_row(index, position), *next = segment_index_row(index, position + 1);
    if (row->frame_words == next->frame_words)
        return true;
    return staged_frame_end(index, row) == (uint64_t)next->frame_words * 8 && staged_frame_end(index, next) != 0;
}

int atomic_group_align(const struct segment_list *list, uint64_t sequence, uint64_t *out_sequence,
                       struct fbat_error *error) {
    struct segment_index *index = NULL;
    uint32_t position = 0;
    int status = segment_list_find_sequence(list, sequence, sequence, &index, &position, error);
    if (status < 0 && status != FBAT_ERR_NOT_FOUND)
        return status;
    *out_sequence = sequence;
    if (status < 0)
        return FBAT_OK;
    if (atomic_group_goes_on(index, position)) {
        while (position > 0 && atomic_group_goes_on(index, position - 1))
            position--;
        *out_sequence = segment_index_row(index, position)->sequence - 1;
    }
    segment_index_release(index);
    return FBAT_OK;
}
