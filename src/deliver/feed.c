/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a region as it grows. The header has the plan, the invariants and the thread rule.
 *
 * Happy path: feed_refresh takes a snapshot a few events ahead and finds its first row by sequence; feed_next looks at row
 * after row. Names are compared once for each stream of a segment, as long as its verdict is remembered.
 *
 * Failure: an event whose record is unreadable is reported once for each call that comes to it; the position stays before it.
 */
#include "deliver/feed.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

/* Whether a query can do better than look at each row. */
static bool is_selective(const struct fbat_region *region) {
    return region->entity.size > 0 || region->scope.size > 0 || region->kind != 0 || region->category != 0 ||
           region->revision_min > 1 || region->revision_max > 0 || region->sequence_min > 1 ||
           region->sequence_max > 0 || region->time_min_us != 0 || region->time_max_us != 0;
}

int feed_init(struct feed *feed, struct fbat_store *store, const struct fbat_region *region, uint64_t position,
              struct fbat_error *error) {
    static const struct fbat_region everything = {.struct_size = sizeof everything};
    struct query checked; /* knows what a region may be, and copies its names */
    memset(feed, 0, sizeof *feed);
    FBAT_TRY(query_init(&checked, directory_acquire(&store->directory), 0, region, NULL, error));
    feed->store = store;
    feed->region = region ? checked.region : everything;
    feed->names = checked.names;
    checked.names = NULL;
    query_deinit(&checked);
    feed->position = feed->bound = position;
    feed->live_events = is_selective(&feed->region) ? FEED_LIVE_EVENTS : UINT64_MAX;
    return FBAT_OK;
}

static void end_snapshot(struct feed *feed) {
    if (feed->querying)
        query_deinit(&feed->query);
    feed->querying = feed->placed = false;
    feed->bound = feed->position;
}

void feed_deinit(struct feed *feed) {
    end_snapshot(feed);
    segment_index_release(feed->index);
    if (feed->list)
        segment_list_release(feed->list);
    memory_free(feed->names);
    memset(feed, 0, sizeof *feed);
}

void feed_skip_to(struct feed *feed, uint64_t position) {
    feed->position = position;
    end_snapshot(feed);
}

/* ---- far behind: a query ---- */

static int start_query(struct feed *feed, struct fbat_error *error) {
    struct fbat_region rest = feed->region;
    if (rest.sequence_min <= feed->position)
        rest.sequence_min = feed->position + 1;
    atomic_fetch_add_explicit(&feed->list->references, 1, memory_order_relaxed); /* query_init takes one over */
    FBAT_TRY(query_init(&feed->query, feed->list, feed->bound, &rest, NULL, error));
    feed->querying = true;
    if (feed->query.snapshot < feed->bound) /* it was in the middle of a batch */
        feed->bound = feed->query.snapshot > feed->position ? feed->query.snapshot : feed->position;
    return FBAT_OK;
}

static int next_of_query(struct feed *feed, struct fbat_event *out_event, struct fbat_error *error) {
    struct segment_index *index;
    uint32_t at;
    int status = query_next(&feed->query, &index, &at, error);
    if (status == FBAT_OK)
        status = segment_index_view(index, at, out_event, error);
    if (status < 0) {
        end_snapshot(feed); /* the query is past it: the next call starts another one */
        return status;
    }
    feed->position = status == FBAT_OK ? out_event->sequence : feed->bound;
    if (status == FBAT_END)
        end_snapshot(feed);
    return status;
}

/* ---- near the end: rows as they come ---- */

/* The row behind the position. False where it cannot be told, and a query has to. */
static bool find_place(struct feed *feed) {
    struct segment_index *index = NULL;
    struct fbat_error ignored; /* the query meets it again */
    uint32_t at = 0;
    if (segment_list_find_sequence(feed->list, feed->bound, feed->position + 1, &index, &at, &ignored) < 0)
        return false;
    if (index != feed->index)
        memset(feed->verdicts, 0, sizeof feed->verdicts);
    segment_index_release(feed->index);
    feed->index = index; /* pinned */
    feed->row = at;
    feed->placed = true;
    return true;
}

static bool matches_row(const struct fbat_region *region, const struct footer_row *row) {
    unsigned category = FBAT_KIND_CATEGORY(row->kind);
    if (category == FBAT_CATEGORY_SYSTEM && !(region->flags & FBAT_REGION_SYSTEM))
        return false;
    return (region->kind == 0 || row->kind == region->kind) &&
           (region->category == 0 || category == region->category) && row->revision >= region->revision_min &&
           (region->revision_max == 0 || row->revision <= region->revision_max) &&
           row->sequence >= region->sequence_min &&
           (region->sequence_max == 0 || row->sequence <= region->sequence_max) &&
           (region->time_min_us == 0 || row->recorded_us >= region->time_min_us) &&
           (region->time_max_us == 0 || row->recorded_us <= region->time_max_us);
}

static bool same_name(struct fbat_slice wanted, struct fbat_slice name, bool prefix) {
    return wanted.size == 0 || ((prefix ? name.size >= wanted.size : name.size == wanted.size) &&
                                memcmp(name.data, wanted.data, wanted.size) == 0);
}

/* Whether the row's stream has the names of the region. */
static int match_stream(struct feed *feed, const struct footer_row *row, bool *out_matches, struct fbat_error *error) {
    const struct fbat_region *region = &feed->region;
    uint32_t *verdict = &feed->verdicts[row->stream % FEED_VERDICTS];
    if (region->entity.size == 0 && region->scope.size == 0) {
        *out_matches = true;
        return FBAT_OK;
    }
    if (row->stream >= UINT32_MAX / 2 || *verdict / 2 != row->stream + 1) {
        struct fbat_event event;
        FBAT_TRY(segment_index_view(feed->index, feed->row, &event, error));
        bool matches = same_name(region->scope, event.scope, false) &&
                       same_name(region->entity, event.entity, region->flags & FBAT_REGION_ENTITY_PREFIX);
        *verdict = row->stream < UINT32_MAX / 2 - 1 ? (row->stream + 1) * 2 + matches : 0;
        *out_matches = matches;
        return FBAT_OK;
    }
    *out_matches = *verdict & 1;
    return FBAT_OK;
}

/* The record of a row a few events ahead, which the next calls will want: without this, each waits for memory in turn. */
static void prefetch_record(const struct feed *feed, uint32_t rows) {
    enum { ROWS_AHEAD = 8, CACHE_LINE = 64 };
    if (feed->row + ROWS_AHEAD >= rows)
        return;
    uint64_t words = segment_index_row(feed->index, feed->row + ROWS_AHEAD)->record_words;
    const uint8_t *record = feed->index->segment->map + words * 8;
    __builtin_prefetch(record);
    __builtin_prefetch(record + CACHE_LINE);
    __builtin_prefetch(record + 2 * CACHE_LINE);
}

/* The next event among the rows of the segment under way; FBAT_END at the end of it or of the snapshot. */
static int next_of_segment(struct feed *feed, struct fbat_event *out_event, struct fbat_error *error) {
    uint32_t rows = segment_index_row_count(feed->index);
    for (; feed->row < rows; feed->row++) {
        const struct footer_row *row = segment_index_row(feed->index, feed->row);
        bool matches = matches_row(&feed->region, row);
        if (row->sequence > feed->bound)
            break;
        if (matches)
            FBAT_TRY(match_stream(feed, row, &matches, error));
        if (matches)
            prefetch_record(feed, rows);
        if (matches)
            FBAT_TRY(segment_index_view(feed->index, feed->row, out_event, error));
        feed->position = row->sequence;
        if (matches) {
            feed->row++;
            return FBAT_OK;
        }
    }
    return FBAT_END;
}

static int next_of_rows(struct feed *feed, struct fbat_event *out_event, struct fbat_error *error) {
    while (feed->position < feed->bound) {
        if (!feed->placed && !find_place(feed)) {
            FBAT_TRY(start_query(feed, error));
            return next_of_query(feed, out_event, error);
        }
        int status = next_of_segment(feed, out_event, error);
        if (status != FBAT_END)
            return status;
        feed->placed = false;
    }
    return FBAT_END;
}

/* ---- snapshots ---- */

int feed_refresh(struct feed *feed, uint64_t limit, struct fbat_error *error) {
    end_snapshot(feed); /* its last event may have been its bound, with a query that was not asked for more */
    FBAT_TRY(store_catch_up(feed->store, error));
    uint64_t visible = directory_visible(&feed->store->directory);
    feed->bound = visible < limit ? visible : limit;
    if (feed->bound <= feed->position) {
        feed->bound = feed->position;
        return FBAT_END;
    }
    /* visible before the list, which then reaches as far. */
    struct segment_list *list = directory_acquire(&feed->store->directory);
    if (feed->list)
        segment_list_release(feed->list);
    feed->list = list;
    int status = FBAT_OK;
    if (feed->bound - feed->position > feed->live_events)
        status = start_query(feed, error);
    if (status < 0)
        end_snapshot(feed);
    return status;
}

int feed_next(struct feed *feed, struct fbat_event *out_event, struct fbat_error *error) {
    if (feed->position >= feed->bound)
        return FBAT_END;
    return feed->querying ? next_of_query(feed, out_event, error) : next_of_rows(feed, out_event, error);
}
