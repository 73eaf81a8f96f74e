/* SPDX-License-Identifier: Apache-2.0 */
/* Walking a region. See the header for the plan. */
#include "index/query.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"
#include "index/atomic_group.h"

/* ---- the region ---- */

static int check_region(const struct fbat_region *region, struct fbat_error *error) {
    if (region->struct_size != sizeof *region)
        return error_set(error, FBAT_ERR_ARGUMENT, "region.struct_size is %u, expected %zu: set it to sizeof region",
                         region->struct_size, sizeof *region);
    if (region->flags & ~(uint32_t)(FBAT_REGION_ENTITY_PREFIX | FBAT_REGION_SYSTEM))
        return error_set(error, FBAT_ERR_ARGUMENT, "region.flags has unknown bits: 0x%x", region->flags);
    if (region->category > 15)
        return error_set(error, FBAT_ERR_ARGUMENT, "region.category is %u, expected 0 to 15", region->category);
    if ((!region->entity.data && region->entity.size) || (!region->scope.data && region->scope.size))
        return error_set(error, FBAT_ERR_ARGUMENT, "a name in the region has a size but no data");
    if (region->entity.size > LIMIT_NAME_BYTES || region->scope.size > LIMIT_NAME_BYTES)
        return error_set(error, FBAT_ERR_NAME, "a name in the region is longer than %d bytes", LIMIT_NAME_BYTES);
    return FBAT_OK;
}

static int copy_region(struct query *query, const struct fbat_region *region, struct fbat_error *error) {
    query->region = *region;
    size_t size = region->entity.size + region->scope.size;
    if (size == 0)
        return FBAT_OK;
    query->names = memory_allocate(size);
    if (!query->names)
        return error_set_no_memory(error);
    if (region->scope.size > 0)
        memcpy(query->names, region->scope.data, region->scope.size);
    if (region->entity.size > 0)
        memcpy(query->names + region->scope.size, region->entity.data, region->entity.size);
    query->region.scope.data = query->names;
    query->region.entity.data = query->names + region->scope.size;
    return FBAT_OK;
}

static int apply_options(struct query *query, const struct fbat_query_options *options, struct fbat_error *error) {
    if (!options)
        return FBAT_OK;
    if (options->struct_size != sizeof *options)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu: set it to sizeof options",
                         options->struct_size, sizeof *options);
    if (options->direction != FBAT_FORWARD && options->direction != FBAT_BACKWARD)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.direction is %d, expected 0 or 1", (int)options->direction);
    query->backward = options->direction == FBAT_BACKWARD;
    if (options->limit > 0)
        query->left = options->limit;
    if (options->snapshot > 0 && options->snapshot < query->snapshot)
        query->snapshot = options->snapshot;
    return FBAT_OK;
}

/* A snapshot in the middle of a batch or fence goes back before it: that is seen whole or not at all. */
static int align_snapshot(struct query *query, struct fbat_error *error) {
    return atomic_group_align(query->list, query->snapshot, &query->snapshot, error);
}

static int prepare_query(struct query *query, const struct fbat_region *region,
                         const struct fbat_query_options *options, struct fbat_error *error) {
    static const struct fbat_region everything = {.struct_size = sizeof everything};
    region = region ? region : &everything;
    FBAT_TRY(check_region(region, error));
    FBAT_TRY(apply_options(query, options, error));
    FBAT_TRY(align_snapshot(query, error));
    FBAT_TRY(copy_region(query, region, error));
    bool prefix = region->flags & FBAT_REGION_ENTITY_PREFIX;
    query->exact_stream = region->entity.size > 0 && region->scope.size > 0 && !prefix;
    query->by_names = !query->exact_stream && (region->entity.size > 0 || region->scope.size > 0);
    if (query->exact_stream)
        query->name_hash =
            hash_stream(query->region.scope.data, region->scope.size, query->region.entity.data, region->entity.size);
    query->next_segment = query->backward ? query->list->count : 0;
    return FBAT_OK;
}

int query_init(struct query *query, struct segment_list *list, uint64_t visible, const struct fbat_region *region,
               const struct fbat_query_options *options, struct fbat_error *error) {
    memset(query, 0, sizeof *query);
    query->list = list;
    query->snapshot = visible;
    query->left = UINT64_MAX;
    int status = prepare_query(query, region, options, error);
    if (status < 0)
        query_deinit(query);
    return status;
}

void query_deinit(struct query *query) {
    segment_index_release(query->index);
    if (query->list)
        segment_list_release(query->list);
    memory_free(query->names);
    memory_free(query->marks);
    memset(query, 0, sizeof *query);
}

/* ---- one segment ---- */

static bool names_match(const struct fbat_region *region, const struct fbat_event *event) {
    if (region->scope.size > 0 && (event->scope.size != region->scope.size ||
                                   memcmp(event->scope.data, region->scope.data, region->scope.size) != 0))
        return false;
    if (region->entity.size == 0)
        return true;
    bool prefix = region->flags & FBAT_REGION_ENTITY_PREFIX;
    if (prefix ? event->entity.size < region->entity.size : event->entity.size != region->entity.size)
        return false;
    return memcmp(event->entity.data, region->entity.data, region->entity.size) == 0;
}

/* Marks the streams of the segment whose names match; *out_any says whether there is one. */
static int mark_streams(struct query *query, bool *out_any, struct fbat_error *error) {
    uint32_t count = segment_index_stream_count(query->index);
    uint64_t words = ((uint64_t)count + 63) / 64;
    if (words > query->marks_words) {
        uint64_t *marks = memory_resize(query->marks, words * sizeof *marks);
        if (!marks)
            return error_set_no_memory(error);
        query->marks = marks;
        query->marks_words = words;
    }
    memset(query->marks, 0, words * sizeof *query->marks);
    *out_any = false;
    for (uint32_t stream = 0; stream < count; stream++) {
        uint32_t first_row = segment_index_stream(query->index, stream)->first_row;
        struct fbat_event event;
        if (first_row == 0 || first_row > query->high)
            continue; /* begins after what we may see */
        FBAT_TRY(segment_index_view(query->index, first_row - 1, &event, error));
        if (names_match(&query->region, &event)) {
            query->marks[stream / 64] |= UINT64_C(1) << (stream % 64);
            *out_any = true;
        }
    }
    return FBAT_OK;
}

static void narrow_range(struct query *query) {
    const struct fbat_region *region = &query->region;
    const struct segment_index *index = query->index;
    uint64_t last = query->snapshot;
    if (region->sequence_max > 0 && region->sequence_max < last)
        last = region->sequence_max;
    query->high = segment_index_rows_to_sequence(index, segment_index_row_count(index), last);
    query->low =
        region->sequence_min > 1 ? segment_index_rows_to_sequence(index, query->high, region->sequence_min - 1) : 0;
    if (region->time_min_us > 0) {
        uint32_t low = segment_index_rows_before_time(index, query->high, region->time_min_us);
        query->low = low > query->low ? low : query->low;
    }
    if (region->time_max_us != 0 && region->time_max_us < INT64_MAX) {
        uint32_t high = segment_index_rows_before_time(index, query->high, region->time_max_us + 1);
        query->high = high < query->high ? high : query->high;
    }
}

/* The row number of the exact stream to start from; 0 when it has none in the range. */
static uint32_t first_of_stream(const struct query *query) {
    uint32_t stream;
    if (!segment_index_find_stream(query->index, query->name_hash, query->region.scope, query->region.entity, &stream))
        return 0;
    const struct footer_stream *entry = segment_index_stream(query->index, stream);
    return query->backward ? segment_index_last_row(query->index, entry) : entry->first_row;
}

static int prepare_segment(struct query *query, struct segment_index *index, struct fbat_error *error) {
    query->index = index;
    query->row_number = 0;
    narrow_range(query);
    if (query->low >= query->high)
        return FBAT_OK;
    if (query->exact_stream) {
        query->row_number = first_of_stream(query);
        return FBAT_OK;
    }
    bool any = true;
    if (query->by_names)
        FBAT_TRY(mark_streams(query, &any, error));
    if (any)
        query->row_number = query->backward ? query->high : query->low + 1;
    return FBAT_OK;
}

/* Where to go from a row, whether it matches or not; 0 at the segment's end. */
static uint32_t row_after(const struct query *query, const struct footer_row *row) {
    uint32_t number = query->row_number;
    if (query->backward) {
        uint32_t before = query->exact_stream ? segment_index_previous_in_stream(row, number) : number - 1;
        return before > query->low ? before : 0;
    }
    uint32_t after = query->exact_stream ? segment_index_next_in_stream(row, number) : number + 1;
    return after <= query->high ? after : 0;
}

static bool row_matches(const struct query *query, const struct footer_row *row) {
    const struct fbat_region *region = &query->region;
    unsigned category = FBAT_KIND_CATEGORY(row->kind);
    if (category == FBAT_CATEGORY_SYSTEM && !(region->flags & FBAT_REGION_SYSTEM))
        return false;
    if (region->kind != 0 && row->kind != region->kind)
        return false;
    if (region->category != 0 && category != region->category)
        return false;
    if (row->revision < region->revision_min || (region->revision_max > 0 && row->revision > region->revision_max))
        return false;
    return !query->by_names ||
           (row->stream / 64 < query->marks_words && (query->marks[row->stream / 64] >> (row->stream % 64) & 1));
}

/* The next matching row of the prepared segment. */
static bool step_in_segment(struct query *query, uint32_t *out_position) {
    while (query->row_number != 0) {
        uint32_t number = query->row_number;
        if (number > query->high && !query->backward)
            break;
        const struct footer_row *row = segment_index_row(query->index, number - 1);
        query->row_number = row_after(query, row);
        if (number > query->low && number <= query->high && row_matches(query, row)) {
            *out_position = number - 1;
            return true;
        }
    }
    query->row_number = 0;
    return false;
}

static bool may_match(const struct query *query, uint32_t at) {
    const struct fbat_region *region = &query->region;
    uint64_t last = query->snapshot;
    if (region->sequence_max > 0 && region->sequence_max < last)
        last = region->sequence_max;
    return segment_slot_may_hold(query->list->slots[at], region->sequence_min, last,
                                 region->time_min_us > 0 ? region->time_min_us : INT64_MIN,
                                 region->time_max_us != 0 ? region->time_max_us : INT64_MAX);
}

/* The position of the next segment that may hold a match; count when there is none. */
static uint32_t find_segment(const struct query *query) {
    uint32_t count = query->list->count;
    for (uint32_t left = query->backward ? query->next_segment : count - query->next_segment; left > 0; left--) {
        uint32_t at = query->backward ? left - 1 : count - left;
        if (may_match(query, at))
            return at;
    }
    return count;
}

/* Pins the next segment and prepares it. FBAT_END when there is none. On failure the next call tries again. Before,
 * the segment of the event that was given last stays pinned. */
static int enter_segment(struct query *query, struct fbat_error *error) {
    struct segment_index *index = NULL;
    segment_index_release(query->index);
    query->index = NULL;
    uint32_t at = find_segment(query);
    if (at == query->list->count)
        return FBAT_END;
    FBAT_TRY(segment_list_pin(query->list, at, &index, error));
    int status = prepare_segment(query, index, error);
    if (status == FBAT_OK) {
        query->next_segment = query->backward ? at : at + 1;
        return FBAT_OK;
    }
    query->index = NULL;
    segment_index_release(index);
    return status;
}

int query_next(struct query *query, struct segment_index **out_index, uint32_t *out_position,
               struct fbat_error *error) {
    int status = query->left == 0 ? FBAT_END : FBAT_OK;
    while (status == FBAT_OK) {
        if (query->index && step_in_segment(query, out_position)) {
            *out_index = query->index;
            query->left -= query->left != UINT64_MAX;
            return FBAT_OK;
        }
        status = enter_segment(query, error);
    }
    return status;
}
