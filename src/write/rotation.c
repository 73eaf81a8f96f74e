/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one segment to the next.
 *
 * Order, and what a crash between the steps leaves (log/recovery.c has the table):
 *     1  the old segment is synced             everything in it is durable
 *     2  the new one is created, durably       its existence proves 1
 *     3  the new one is published and active
 *     4  the old one's footer is written       derived: if it fails, the next opening makes it again
 *     5  the old one's mapped footer takes the place of its index in memory
 *
 * Failure in 1 is a failed sync: the writer dies. In 2, the append fails; the new file may be there, even after it
 * was removed, so the next append tries again whether its frame would fit the old segment or not.
 * In 4 and 5, the index in memory simply stays.
 */
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "log/segment.h"
#include "write/sequencer.h"

static void log_warning(const struct sequencer *sequencer, const struct fbat_error *error) {
    if (sequencer->config->log)
        sequencer->config->log(sequencer->config->log_user, FBAT_LOG_WARNING, error->message);
}

static uint64_t segment_limit(const struct sequencer *sequencer) {
    uint64_t limit = sequencer->config->segment_max_bytes;
    return limit > LIMIT_SEGMENT_BYTES ? LIMIT_SEGMENT_BYTES : limit;
}

static int create_segment(struct sequencer *sequencer, uint64_t segment_id, uint64_t frame_bytes,
                          struct segment_index **out_index, struct fbat_error *error) {
    uint64_t limit = segment_limit(sequencer), least = SEGMENT_HEADER_BYTES + frame_bytes;
    struct segment_header header = {
        .store_id = sequencer->store_id,
        .segment_id = segment_id,
        .first_sequence = sequencer->last_sequence + 1,
        .created_us = sequencer->append_time_us,
        .capacity = limit < least ? least : limit,
        .durable_sequence = sequencer->last_sequence,
        .last_recorded_us = sequencer->last_recorded_us,
    };
    memcpy(header.last_hash, sequencer->last_hash, sizeof header.last_hash);
    struct segment *segment;
    FBAT_TRY(segment_create(sequencer->os, sequencer->dir, &header, &segment, error));
    FBAT_TRY(segment_index_create(segment, out_index, error));
    (*out_index)->summary.id_made = sequencer->last_id;
    return FBAT_OK;
}

/* Steps 4 and 5. */
static int seal(struct sequencer *sequencer, struct segment_index *old, struct fbat_error *error) {
    pthread_mutex_lock(&sequencer->sync_lock);
    int status = segment_index_write_footer(old, error);
    pthread_mutex_unlock(&sequencer->sync_lock);
    FBAT_TRY(status);
    struct segment *segment;
    FBAT_TRY(segment_open(sequencer->os, sequencer->dir, old->segment->header.segment_id, &sequencer->store_id,
                          SEGMENT_WRITE, &segment, error));
    struct segment_index *sealed;
    const char *fault;
    status = segment_index_open_footer(segment, &sealed, &fault, error);
    if (status < 0) {
        segment_close(segment);
        return status;
    }
    segment_forget_file(segment);
    status = directory_replace(sequencer->directory, sealed, error);
    if (status < 0)
        segment_index_release(sealed);
    return status;
}

/* LOCK says which footers cannot be trusted before one is written, so that a death in the middle is known too: a footer
 * whose sync failed can be read back until the power goes. */
static void seal_marked(struct sequencer *sequencer, struct segment_index *old) {
    struct fbat_error error;
    uint64_t unfinished_before = sequencer->unfinished_segment_id;
    if (unfinished_before == 0)
        sequencer->unfinished_segment_id = old->segment->header.segment_id;
    sequencer_publish_live(sequencer);
    if (seal(sequencer, old, &error) < 0)
        log_warning(sequencer, &error);
    else
        sequencer->unfinished_segment_id = unfinished_before;
    sequencer_publish_live(sequencer);
}

static int rotate(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error) {
    struct segment_index *old = sequencer->active, *index;
    uint64_t segment_id = sequencer->last_segment_id + 1;
    if (old)
        FBAT_TRY(sequencer_sync_locked(sequencer, error));
    if (segment_id > LIMIT_SEGMENT_ID)
        return error_set(error, FBAT_ERR_LIMIT, "the store has the most segments it can have");
    sequencer->rotating = true;
    FBAT_TRY(create_segment(sequencer, segment_id, frame_bytes, &index, error));
    int status = directory_append(sequencer->directory, index, error);
    if (status < 0) {
        /* The file stays, whole and empty; the next attempt takes its place. */
        segment_index_release(index);
        return status;
    }
    sequencer->active = index;
    sequencer->rotating = false;
    sequencer->last_segment_id = segment_id;
    if (old)
        seal_marked(sequencer, old);
    return FBAT_OK;
}

int rotation_make_room(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error) {
    const struct segment_index *active = sequencer->active;
    if (!active || sequencer->rotating)
        return rotate(sequencer, frame_bytes, error);
    uint64_t end = active->segment->end + frame_bytes;
    /* Still empty, because its first frame failed: no reader looks at it yet, so it may move in memory. */
    if (active->rows_added == 0)
        return segment_widen(active->segment, end, error);
    if (end <= segment_limit(sequencer) && end <= active->segment->map_bytes)
        return FBAT_OK;
    return rotate(sequencer, frame_bytes, error);
}
