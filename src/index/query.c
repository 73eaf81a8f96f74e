/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking a region. See the header for the plan.
 *
 * Happy path: query_init copies the region; query_next prepares one segment after the other and gives its rows.
 *
 * Failure modes: memory for marks, and records that cannot be read while streams are marked; the query can only be closed
 * then. Thread rule: in the header.
 *
 * I1: a source gives rows of [low, high) only, in the query's direction, each once.
 */
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

/* True when no event can match, whatever there is. */
static bool contradicts_itself(const struct fbat_region *region) {
    if (region->kind == 0)
        return false;
    unsigned category = FBAT_KIND_CATEGORY(region->kind);
    if (region->category != 0 && region->category != category)
        return true;
    return category == FBAT_CATEGORY_SYSTEM && !(region->flags & FBAT_REGION_SYSTEM);
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
    query->nothing = contradicts_itself(&query->region);
    query->next_segment = query->backward ? query->list->count : 0;
    return FBAT_OK;
}

int query_init(struct query *query, struct segment_list *list, uint64_t visible, const struct fbat_region *region,
               const struct fbat_query_options *options, struct fbat_error *error) {
    memset(query, 0, sizeof *query);
    query->list = list;
    query->snapshot = visible;
    query->left = UINT64_MAX;
    query->views = views_all;
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
    stream_merge_deinit(&query->merge);
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

static int clear_marks(struct query *query, struct fbat_error *error) {
    uint64_t words = ((uint64_t)segment_index_stream_count(query->index) + 63) / 64;
    if (words > query->marks_words) {
        uint64_t *marks = memory_resize(query->marks, words * sizeof *marks);
        if (!marks)
            return error_set_no_memory(error);
        query->marks = marks;
        query->marks_words = words;
    }
    memset(query->marks, 0, query->marks_words * sizeof *query->marks);
    return FBAT_OK;
}

/* What is known of the region's scope in the segment, before streams are looked at. */
struct scope_known {
    enum views_answer answer; /* unknown without one in the region */
    uint16_t number;
};

/* What is marked. */
struct marked {
    uint32_t streams;
    uint64_t events; /* of theirs in the segment */
};

static void mark_stream(struct query *query, uint32_t stream, struct marked *marked) {
    uint64_t bit = UINT64_C(1) << (stream % 64);
    if (stream / 64 >= query->marks_words || query->marks[stream / 64] & bit)
        return;
    query->marks[stream / 64] |= bit;
    marked->streams++;
    marked->events += __atomic_load_n(&segment_index_stream(query->index, stream)->event_count, __ATOMIC_RELAXED);
}

/* Marks the streams of the segment whose names match, looking at each one's. */
static int mark_by_names(struct query *query, const struct scope_known *scope, struct marked *marked,
                         struct fbat_error *error) {
    uint32_t count = segment_index_stream_count(query->index);
    bool by_number = scope->answer == VIEWS_FOUND, number_only = by_number && query->region.entity.size == 0;
    for (uint32_t at = 0; at < count; at++) {
        const struct footer_stream *stream = segment_index_stream(query->index, at);
        struct fbat_event event;
        if (stream->first_row == 0 || stream->first_row > query->high)
            continue; /* begins after what we may see */
        if (by_number && stream->scope != scope->number)
            continue;
        if (!number_only) {
            FBAT_TRY(segment_index_view(query->index, stream->first_row - 1, &event, error));
            if (!names_match(&query->region, &event))
                continue;
        }
        mark_stream(query, at, marked);
    }
    return FBAT_OK;
}

/* Marks the streams of one entity in all scopes, asking for each scope. */
static int mark_by_scopes(struct query *query, struct marked *marked, struct fbat_error *error) {
    struct segment_index *index = query->index;
    uint32_t count = atomic_load_explicit(&index->views.scope_count, memory_order_acquire), stream;
    for (uint32_t number = 0; number < count; number++) {
        const struct footer_scope *scope = chunks_at(&index->views.scopes, number);
        struct fbat_event event;
        if (scope->first_row == 0 || scope->first_row > query->high)
            continue;
        FBAT_TRY(segment_index_view(index, scope->first_row - 1, &event, error));
        struct fbat_slice entity = query->region.entity;
        uint64_t hash = hash_stream(event.scope.data, event.scope.size, entity.data, entity.size);
        if (segment_index_find_stream(index, hash, event.scope, entity, &stream))
            mark_stream(query, stream, marked);
    }
    return FBAT_OK;
}

static int mark_streams(struct query *query, const struct scope_known *scope, struct marked *out_marked,
                        struct fbat_error *error) {
    const struct fbat_region *region = &query->region;
    const struct views *views = &query->index->views;
    bool scopes_known = (query->views.columns || query->views.tiles) && views_know_scopes(views);
    bool entity_only = region->scope.size == 0 && !(region->flags & FBAT_REGION_ENTITY_PREFIX);
    *out_marked = (struct marked){0};
    FBAT_TRY(clear_marks(query, error));
    return entity_only && scopes_known ? mark_by_scopes(query, out_marked, error)
                                       : mark_by_names(query, scope, out_marked, error);
}

/* The last sequence that may be given. */
static uint64_t last_wanted(const struct query *query) {
    uint64_t max = query->region.sequence_max;
    return max > 0 && max < query->snapshot ? max : query->snapshot;
}

bool query_may_match(const struct query *query, const struct segment_summary *summary) {
    const struct fbat_region *region = &query->region;
    bool wants_system = query->system_only || (region->kind != 0 && FBAT_KIND_CATEGORY(region->kind) == 0);
    return summary->event_count > 0 && summary->first_sequence <= last_wanted(query) &&
           summary->last_sequence >= region->sequence_min &&
           (region->time_min_us <= 0 || summary->last_recorded_us >= region->time_min_us) &&
           (region->time_max_us == 0 || summary->first_recorded_us <= region->time_max_us) &&
           !(wants_system && summary->system_event_count == 0);
}

static void narrow_range(struct query *query) {
    const struct fbat_region *region = &query->region;
    const struct segment_index *index = query->index;
    query->high = segment_index_rows_to_sequence(index, segment_index_row_count(index), last_wanted(query));
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

static struct tile_filter filter_of(const struct fbat_region *region) {
    struct tile_filter filter = {.no_system = !(region->flags & FBAT_REGION_SYSTEM)};
    if (region->kind != 0) {
        filter.kind_mask = UINT16_MAX;
        filter.kind_wanted = region->kind;
    } else if (region->category != 0) {
        filter.kind_mask = 0xf000;
        filter.kind_wanted = (uint16_t)(region->category << 12);
    }
    if (filter.kind_mask != 0)
        filter.no_system = false; /* the kind says it already */
    return filter;
}

/* True when the segment may hold events of category 0 that must be left out. */
static bool must_leave_out_system(const struct query *query) {
    const struct segment_index *index = query->index;
    if (query->region.flags & FBAT_REGION_SYSTEM || (index->sealed && index->summary.system_event_count == 0))
        return false;
    return !(query->views.tiles && index->views.has_tiles && (views_whole(&index->views).kinds & 1) == 0);
}

static bool has_revisions(const struct fbat_region *region) {
    return region->revision_min > 1 || region->revision_max > 0;
}

/* For sources that know streams, but neither kinds nor revisions. */
static bool rows_must_be_checked(const struct query *query) {
    const struct fbat_region *region = &query->region;
    return region->kind != 0 || region->category != 0 || has_revisions(region) || must_leave_out_system(query);
}

static void use_source(struct query *query, enum query_source source, enum fbat_strategy strategy) {
    query->source = source;
    query->effort.strategies |= (uint32_t)strategy;
}

static void prepare_stream(struct query *query) {
    const struct fbat_region *region = &query->region;
    uint32_t number, low = query->low, high = query->high;
    query->check_marks = false;
    if (!segment_index_find_stream(query->index, query->name_hash, region->scope, region->entity, &number))
        return;
    const struct footer_stream *stream = segment_index_stream(query->index, number);
    if (query->views.groups && query->index->views.has_groups) {
        query->check_rows = rows_must_be_checked(query);
        if (has_revisions(region))
            stream_walk_narrow(query->index, stream, region->revision_min, region->revision_max, &low, &high);
        stream_walk_init(&query->walk, query->index, stream, low, high, query->backward);
        use_source(query, QUERY_GROUPS, FBAT_STRATEGY_GROUPS);
        return;
    }
    query->check_rows = true;
    query->row_number = query->backward ? segment_index_last_row(query->index, stream) : stream->first_row;
    use_source(query, QUERY_LINKS, FBAT_STRATEGY_LINKS);
}

/* A scan with marks looks at a row for each one that its kind does not rule out; a merge takes a step for each row that
 * matches and a look at each stream now and then. */
static bool merging_pays(const struct query *query, const struct marked *marked, const struct tile_filter *filter) {
    uint64_t rows = query->high - query->low, steps = marked->events + 8 * (uint64_t)marked->streams;
    if (!query->views.groups || !query->index->views.has_groups)
        return false;
    return steps <= (filter->kind_mask != 0 && query->scan.columns ? rows / 4 : rows);
}

static int prepare_merge(struct query *query, const struct marked *marked, struct fbat_error *error) {
    if (!stream_merge_reset(&query->merge, marked->streams, query->backward))
        return error_set_no_memory(error);
    for (uint64_t word = 0; word < query->marks_words; word++)
        for (uint64_t left = query->marks[word]; left != 0; left &= left - 1) {
            uint32_t number = (uint32_t)(word * 64 + (unsigned)__builtin_ctzll(left));
            struct stream_walk walk;
            stream_walk_init(&walk, query->index, segment_index_stream(query->index, number), query->low, query->high,
                             query->backward);
            stream_merge_add(&query->merge, &walk);
        }
    query->check_rows = rows_must_be_checked(query);
    query->check_marks = false;
    query->effort.streams_merged += marked->streams;
    use_source(query, QUERY_MERGE, FBAT_STRATEGY_MERGE);
    return FBAT_OK;
}

/* By tiles, or by streams where that is less. */
static int prepare_marked(struct query *query, const struct scope_known *scope, const struct tile_filter *filter,
                          struct fbat_error *error) {
    struct marked marked;
    FBAT_TRY(mark_streams(query, scope, &marked, error));
    if (marked.streams == 0)
        return FBAT_OK;
    if (merging_pays(query, &marked, filter))
        return prepare_merge(query, &marked, error);
    query->check_marks = query->check_rows = true;
    use_source(query, QUERY_TILES, tile_scan_strategy(&query->scan));
    return FBAT_OK;
}

static int prepare_scan(struct query *query, struct fbat_error *error) {
    struct tile_filter filter = filter_of(&query->region);
    const struct fbat_region *region = &query->region;
    struct scope_known scope = {.answer = VIEWS_UNKNOWN};
    bool marked = query->by_names;
    if (region->scope.size > 0 && (query->views.columns || query->views.tiles))
        scope.answer = views_find_scope(query->index, query->high, region->scope, &scope.number);
    if (scope.answer == VIEWS_ABSENT)
        return FBAT_OK;
    if (scope.answer == VIEWS_FOUND) {
        filter.by_scope = true;
        filter.scope = scope.number;
        marked = region->entity.size > 0 || !tile_scan_knows_scopes(query->index, &query->views);
    }
    if (!tile_scan_init(&query->scan, query->index, &filter, &query->views, query->low, query->high, query->backward,
                        &query->counts))
        return FBAT_OK;
    if (marked)
        return prepare_marked(query, &scope, &filter, error);
    query->check_marks = false;
    query->check_rows = has_revisions(region);
    use_source(query, QUERY_TILES, tile_scan_strategy(&query->scan));
    return FBAT_OK;
}

/* How much of a record to fetch ahead: its fixed part. Measured: the processor fetches what follows on its own, and more
 * fetches in flight only wait for each other. */
enum { RECORD_LINES = (RECORD_FIXED_BYTES + 63) / 64 };

static int prepare_segment(struct query *query, struct segment_index *index, struct fbat_error *error) {
    int status = FBAT_OK;
    query->index = index;
    query->source = QUERY_NOTHING;
    query->mask = 0;
    query->low = query->high = 0;
    narrow_range(query);
    if (query->low < query->high) {
        query->ahead = (struct query_ahead){.record_lines = query->counting ? 0 : RECORD_LINES};
        if (query->exact_stream)
            prepare_stream(query);
        else
            status = prepare_scan(query, error);
    }
    if (query->source == QUERY_NOTHING)
        query->effort.segments_skipped++;
    else
        query->effort.segments_opened++;
    return status;
}

/* Where to go from a row, whether it matches or not; 0 at the segment's end. */
static uint32_t row_after(const struct query *query, const struct footer_row *row) {
    uint32_t number = query->row_number;
    if (query->backward) {
        uint32_t before = segment_index_previous_in_stream(row, number);
        return before > query->low ? before : 0;
    }
    uint32_t after = segment_index_next_in_stream(row, number);
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
    return !query->check_marks ||
           (row->stream / 64 < query->marks_words && (query->marks[row->stream / 64] >> (row->stream % 64) & 1));
}

/* The next row of the exact stream. */
static bool follow_links(struct query *query, uint32_t *out_position) {
    while (query->row_number != 0) {
        uint32_t number = query->row_number;
        if (number > query->high && !query->backward)
            break;
        query->row_number = row_after(query, segment_index_row(query->index, number - 1));
        if (number > query->low && number <= query->high) {
            *out_position = number - 1;
            return true;
        }
    }
    query->row_number = 0;
    return false;
}

/* Those of 64 rows that match. All are asked for before the first is looked at. */
static uint64_t keep_matching(struct query *query, uint32_t first, uint64_t mask) {
    uint64_t kept = 0;
    for (uint64_t left = mask; left != 0; left &= left - 1)
        __builtin_prefetch(segment_index_row(query->index, first + (unsigned)__builtin_ctzll(left)));
    for (uint64_t left = mask; left != 0; left &= left - 1) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        kept |= (uint64_t)row_matches(query, segment_index_row(query->index, first + at)) << at;
    }
    query->counts.rows_looked_at += (unsigned)__builtin_popcountll(mask);
    return kept;
}

static bool next_mask(struct query *query) {
    if (query->source == QUERY_MERGE)
        return stream_merge_next(&query->merge, &query->mask_position, &query->mask);
    query->mask = 0;
    while (query->mask == 0) {
        if (!tile_scan_next(&query->scan, &query->mask_position, &query->mask))
            return false;
        if (query->check_rows)
            query->mask = keep_matching(query, query->mask_position, query->mask);
    }
    return true;
}

static bool next_of_masks(struct query *query, uint32_t *out_position) {
    if (query->mask == 0 && !next_mask(query))
        return false;
    uint64_t mask = query->mask;
    unsigned at = query->backward ? 63u - (unsigned)__builtin_clzll(mask) : (unsigned)__builtin_ctzll(mask);
    query->mask = mask & ~(UINT64_C(1) << at);
    *out_position = query->mask_position + at;
    return true;
}

static bool next_of_source(struct query *query, uint32_t *out_position) {
    switch (query->source) {
    case QUERY_LINKS: return follow_links(query, out_position);
    case QUERY_GROUPS: return stream_walk_next(&query->walk, out_position);
    case QUERY_MERGE:
    case QUERY_TILES: return next_of_masks(query, out_position);
    case QUERY_NOTHING: break;
    }
    return false;
}

/* ---- looking ahead ---- */

enum { AHEAD_ROWS = 24, AHEAD_RECORDS = 12 };

static uint32_t *ahead_at(struct query_ahead *ahead, uint32_t number) {
    return &ahead->positions[number % QUERY_AHEAD_MAX];
}

/* Takes positions from the source, as many as are to be on their way, and fetches their rows. */
static void take_ahead(struct query *query) {
    struct query_ahead *ahead = &query->ahead;
    uint32_t wanted = query->left < AHEAD_ROWS ? (uint32_t)query->left : AHEAD_ROWS, position;
    while (!ahead->ended && ahead->taken - ahead->given < wanted) {
        if (!next_of_source(query, &position)) {
            ahead->ended = true;
            return;
        }
        *ahead_at(ahead, ahead->taken++) = position;
        __builtin_prefetch(segment_index_row(query->index, position));
    }
}

/* Fetches the records of the rows that have come in. */
static void warm_ahead(struct query *query) {
    struct query_ahead *ahead = &query->ahead;
    while (ahead->warmed < ahead->taken && ahead->warmed - ahead->given < AHEAD_RECORDS) {
        uint32_t position = *ahead_at(ahead, ahead->warmed++);
        uint64_t offset = (uint64_t)segment_index_row(query->index, position)->record_words * 8;
        const uint8_t *record = query->index->segment->map + offset;
        for (uint32_t line = 0; line < ahead->record_lines; line++)
            __builtin_prefetch(record + (size_t)line * 64);
    }
}

static bool next_position(struct query *query, uint32_t *out_position) {
    struct query_ahead *ahead = &query->ahead;
    if (query->source == QUERY_LINKS)
        return follow_links(query, out_position); /* what comes next is not known before the row is */
    take_ahead(query);
    if (ahead->given == ahead->taken)
        return false;
    if (ahead->record_lines > 0)
        warm_ahead(query);
    *out_position = *ahead_at(ahead, ahead->given++);
    return true;
}

/* The next matching row of the prepared segment. */
static bool step_in_segment(struct query *query, uint32_t *out_position) {
    uint32_t position;
    if (query->source == QUERY_NOTHING)
        return false;
    while (next_position(query, &position)) {
        if (query->check_rows && query->source != QUERY_TILES) { /* tiles were checked as a whole */
            query->counts.rows_looked_at++;
            if (!row_matches(query, segment_index_row(query->index, position)))
                continue;
        }
        *out_position = position;
        return true;
    }
    query->source = QUERY_NOTHING;
    return false;
}

/* ---- from one segment to the next ---- */

static bool list_entry_may_match(const struct query *query, uint32_t at) {
    const struct segment_summary *summary = segment_list_summary(query->list, at);
    if (query->nothing)
        return false;
    return summary ? query_may_match(query, summary) : query->list->slots[at]->first_sequence <= last_wanted(query);
}

/* The position of the next segment that may hold a match; count when there is none. */
static uint32_t find_segment(struct query *query) {
    uint32_t count = query->list->count;
    for (uint32_t left = query->backward ? query->next_segment : count - query->next_segment; left > 0; left--) {
        uint32_t at = query->backward ? left - 1 : count - left;
        if (list_entry_may_match(query, at))
            return at;
        query->effort.segments_skipped++;
        query->next_segment = query->backward ? at : at + 1;
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
    if (query->left == 0)
        return FBAT_END;
    for (;;) {
        if (query->index && step_in_segment(query, out_position)) {
            *out_index = query->index;
            query->left -= query->left != UINT64_MAX;
            query->effort.events_given++;
            return FBAT_OK;
        }
        int status = enter_segment(query, error);
        if (status != FBAT_OK)
            return status;
    }
}

/* ---- counting ---- */

static uint16_t kind_at(const struct query *query, uint32_t position) {
    const struct views *views = &query->index->views;
    return query->views.columns && views->has_columns
               ? views_kinds(views, position / FOOTER_TILE_ROWS)[position % FOOTER_TILE_ROWS]
               : segment_index_row(query->index, position)->kind;
}

static bool takes_whole_range(const struct query *query) {
    return query->source == QUERY_TILES && !query->check_rows && tile_scan_takes_all(&query->scan);
}

/* 64 rows at a time; those of a merge need no further look. */
static uint64_t count_masks(struct query *query, uint64_t *by_kind) {
    uint64_t count = 0;
    if (!by_kind && query->source == QUERY_TILES && !query->check_rows)
        return tile_scan_count(&query->scan);
    while (next_mask(query)) {
        count += (unsigned)__builtin_popcountll(query->mask);
        for (uint64_t mask = query->mask; by_kind && mask != 0; mask &= mask - 1)
            by_kind[kind_at(query, query->mask_position + (unsigned)__builtin_ctzll(mask))]++;
    }
    return count;
}

static uint64_t count_prepared(struct query *query, uint64_t *by_kind) {
    uint64_t count = 0;
    uint32_t position;
    if (takes_whole_range(query) && !by_kind)
        return query->high - query->low;
    if (query->source == QUERY_TILES || (query->source == QUERY_MERGE && !query->check_rows))
        return count_masks(query, by_kind);
    bool plain = query->source == QUERY_GROUPS && !query->check_rows; /* row numbers are all there is to look at */
    while (plain ? stream_walk_next(&query->walk, &position) : step_in_segment(query, &position)) {
        count++;
        if (by_kind)
            by_kind[kind_at(query, position)]++;
    }
    return count;
}

int query_count(struct query *query, uint64_t *by_kind, uint64_t *out_count, struct fbat_error *error) {
    uint64_t count = 0;
    int status;
    query->counting = true;
    query->left = UINT64_MAX;
    while ((status = enter_segment(query, error)) == FBAT_OK)
        count += count_prepared(query, by_kind);
    if (status < 0)
        return status;
    query->effort.events_given += count;
    *out_count = count;
    return FBAT_OK;
}
