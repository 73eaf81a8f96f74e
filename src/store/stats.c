/* SPDX-License-Identifier: Apache-2.0 */
/* Counting what is in a store, from the segments' summaries and rows. */
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "store/store.h"

/* The number of streams whose first event in this segment is their first at all: revision 1. */
static void count_streams(const struct segment_index *index, uint32_t limit, uint64_t *streams) {
    uint32_t count = segment_index_stream_count(index);
    for (uint32_t stream = 0; stream < count; stream++) {
        uint32_t first_row = segment_index_stream(index, stream)->first_row;
        if (first_row == 0 || first_row > limit)
            continue;
        const struct footer_row *row = segment_index_row(index, first_row - 1);
        *streams += row->revision == 1 && FBAT_KIND_CATEGORY(row->kind) != FBAT_CATEGORY_SYSTEM;
    }
}

static void count_system(const struct segment_index *index, uint32_t limit, struct fbat_stats *stats) {
    if (index->sealed) {
        stats->system_events += index->summary.system_event_count;
        return;
    }
    for (uint32_t position = 0; position < limit; position++)
        stats->system_events += FBAT_KIND_CATEGORY(segment_index_row(index, position)->kind) == FBAT_CATEGORY_SYSTEM;
}

static int count_files(struct fbat_store *store, uint64_t segment_id, struct fbat_stats *stats,
                       struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    segment_path(store->dir, segment_id, path);
    struct os_file *file;
    uint64_t allocated = 0;
    int os_errno = store->os->methods->file_open(store->os, path, OS_OPEN_READ, &file);
    if (os_errno)
        return error_set_os(error, os_errno, "open", path);
    os_errno = store->os->methods->file_allocated(store->os, file, &allocated);
    store->os->methods->file_close(store->os, file);
    if (os_errno)
        return error_set_os(error, os_errno, "look at", path);
    stats->bytes_on_disk += allocated;
    return FBAT_OK;
}

static void note_range(const struct segment_index *index, uint32_t limit, struct fbat_stats *stats) {
    const struct footer_row *first = segment_index_row(index, 0), *last = segment_index_row(index, limit - 1);
    if (stats->first_sequence == 0) {
        stats->first_sequence = first->sequence;
        stats->first_recorded_us = first->recorded_us;
    }
    stats->last_sequence = last->sequence;
    stats->last_recorded_us = last->recorded_us;
}

static int count_rows_seen(const struct segment_index *index, uint32_t limit, struct fbat_stats *stats,
                           struct fbat_error *error) {
    if (limit == 0)
        return FBAT_OK;
    note_range(index, limit, stats);
    stats->events += limit;
    count_streams(index, limit, &stats->streams);
    count_system(index, limit, stats);
    const struct footer_row *last = segment_index_row(index, limit - 1);
    struct fbat_event event;
    FBAT_TRY(segment_index_view(index, limit - 1, &event, error));
    uint64_t end = (uint64_t)last->record_words * 8 + record_bytes(event.scope.size, event.entity.size, event.tags.size,
                                                                   event.headers.size, event.payload.size);
    stats->bytes_of_frames += end - SEGMENT_HEADER_BYTES;
    return FBAT_OK;
}

static int count_segment(struct fbat_store *store, struct segment_slot *slot, uint64_t visible,
                         struct fbat_stats *stats, struct fbat_error *error) {
    struct segment_index *index = NULL;
    FBAT_TRY(segment_slot_pin(slot, &index, error));
    int status = count_rows_seen(index, directory_row_limit(index, visible), stats, error);
    if (slot->sealed)
        stats->bytes_of_footers += index->segment->file_bytes - slot->summary.frames_end;
    segment_index_release(index);
    FBAT_TRY(status);
    stats->segments++;
    stats->segments_sealed += slot->sealed;
    stats->memory_index += slot->sealed ? segment_slot_memory(slot) : 0;
    return count_files(store, slot->segment_id, stats, error);
}

/* The active index's memory is its one adder's: the sequencer's or the follower's. */
static uint64_t active_memory(struct fbat_store *store) {
    if (!store->read_only)
        return sequencer_memory(&store->sequencer);
    uint64_t bytes = 0;
    pthread_mutex_lock(&store->follow_lock);
    struct segment_list *list = directory_acquire(&store->directory);
    for (uint32_t at = 0; at < list->count; at++)
        bytes += list->slots[at]->sealed ? 0 : segment_index_memory(list->slots[at]->index);
    segment_list_release(list);
    pthread_mutex_unlock(&store->follow_lock);
    return bytes;
}

int store_stats(struct fbat_store *store, struct fbat_stats *out_stats, struct fbat_error *error) {
    FBAT_TRY(kinds_load(store, error));
    struct segment_list *list;
    uint64_t visible;
    FBAT_TRY(store_snapshot(store, &list, &visible, error));
    struct fbat_stats stats = {
        .kinds_named = kinds_count(&store->kinds),
        .store_id = store->meta.store_id,
        .created_us = store->meta.created_us,
        .disk_version = FBAT_DISK_VERSION,
    };
    int status = FBAT_OK;
    for (uint32_t at = 0; at < list->count && status == FBAT_OK; at++)
        status = count_segment(store, list->slots[at], visible, &stats, error);
    segment_list_release(list);
    FBAT_TRY(status);
    stats.memory_index += active_memory(store);
    stats.events -= stats.system_events;
    *out_stats = stats;
    return FBAT_OK;
}
