/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growing, writing and taking over the views of a segment. What they are, and their invariants, stand in the header.
 *
 * Happy path: views_start for an empty index; for each frame views_reserve; for each event views_add_stream where its
 * stream is new, then views_add_row; when sealing, views_write_streams and views_write. A footer's are taken by
 * views_attach, which believes no count but the one expected.
 *
 * Failure modes: only memory, in views_start and views_reserve, before anything is changed. A segment with more scopes
 * than 16 bits can number has, from then on, no view of scopes; everything else goes on.
 */
#include "index/views.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "index/segment_index.h"

struct views_wanted views_wanted_by(const struct fbat_config *config) {
    return (struct views_wanted){
        .columns = config->index.views.soa,
        .groups = config->index.views.entity_groups,
        .tiles = config->index.views.tiles64,
        .layout = config->index.layout,
    };
}

const struct views_wanted views_all = {.columns = true, .groups = true, .tiles = true};

enum { SCOPES_AT_ONCE = 64 };

/* ---- life ---- */

void views_init(struct views *views) {
    memset(views, 0, sizeof *views);
    chunks_init(&views->kinds, sizeof(uint16_t));
    chunks_init(&views->scope_numbers, sizeof(uint16_t));
    chunks_init(&views->tiles, sizeof(struct footer_tile));
    chunks_init(&views->scopes, sizeof(struct footer_scope));
    chunks_init(&views->groups, sizeof(struct footer_group));
}

void views_deinit(struct views *views) {
    chunks_deinit(&views->kinds);
    chunks_deinit(&views->scope_numbers);
    chunks_deinit(&views->tiles);
    chunks_deinit(&views->scopes);
    chunks_deinit(&views->groups);
    slots_deinit(&views->scope_slots);
}

bool views_start(struct views *views) {
    if (!slots_init(&views->scope_slots))
        return false;
    views_want(views, &views_all);
    return true;
}

void views_want(struct views *views, const struct views_wanted *wanted) {
    views->has_columns = wanted->columns;
    views->has_tiles = wanted->tiles;
    views->has_groups = wanted->groups;
    views->has_scopes = wanted->columns || wanted->tiles;
}

static bool attach_part(struct chunks *chunks, const uint8_t *file, const struct footer *footer,
                        enum footer_part_type type, uint64_t count) {
    const struct footer_part *part = footer_find(footer, type);
    if (!part || part->count != count)
        return false;
    chunks_init_mapped(chunks, chunks->element_bytes, file + part->offset, part->count);
    return true;
}

static unsigned count_view_parts(const struct footer *footer) {
    unsigned count = 0;
    for (uint32_t at = 0; at < footer->part_count; at++)
        count += footer->parts[at].type > FOOTER_PART_NEEDED && footer->parts[at].type <= FOOTER_PART_KNOWN;
    return count;
}

static unsigned count_used_parts(const struct views *views) {
    return (unsigned)views->has_columns + views->has_tiles + views->has_groups + views->has_scopes +
           (views->has_scopes && views->has_columns);
}

void views_attach(struct views *views, const uint8_t *file, const struct footer *footer) {
    uint64_t rows = footer->summary.event_count;
    const struct footer_part *scopes = footer_find(footer, FOOTER_PART_SCOPES);
    const struct footer_part *groups = footer_find(footer, FOOTER_PART_GROUPS);
    views->has_columns = attach_part(&views->kinds, file, footer, FOOTER_PART_KINDS, rows);
    views->has_tiles = attach_part(&views->tiles, file, footer, FOOTER_PART_TILES,
                                   1 + (rows + FOOTER_TILE_ROWS - 1) / FOOTER_TILE_ROWS);
    views->has_groups = groups && attach_part(&views->groups, file, footer, FOOTER_PART_GROUPS, groups->count);
    views->has_scopes = scopes && scopes->count >= 1 && scopes->count <= FOOTER_SCOPES_MAX &&
                        attach_part(&views->scopes, file, footer, FOOTER_PART_SCOPES, scopes->count);
    /* A column without its numbers would have to be asked apart: it is all or nothing. */
    if (views->has_scopes && views->has_columns)
        views->has_scopes = attach_part(&views->scope_numbers, file, footer, FOOTER_PART_SCOPE_NUMBERS, rows);
    atomic_init(&views->scope_count, views->has_scopes ? (uint32_t)scopes->count : 0);
    views->unusable = count_view_parts(footer) != count_used_parts(views);
}

uint64_t views_memory(const struct views *views) {
    return views->kinds.memory_bytes + views->scope_numbers.memory_bytes + views->tiles.memory_bytes +
           views->scopes.memory_bytes + views->groups.memory_bytes + views->scope_slots.memory_bytes;
}

/* ---- adding ---- */

static bool scopes_are_over(const struct views *views) {
    return atomic_load_explicit(&views->scopes_over, memory_order_relaxed);
}

static uint64_t hash_of_scope(const void *user, uint32_t number) {
    const struct views *views = user;
    const struct footer_scope *scope = chunks_at(&views->scopes, number - 1);
    return scope->name_hash;
}

/* Some more than are asked for, so that it is seldom done. */
static bool reserve_scopes(struct views *views, uint32_t more) {
    uint32_t ready = more < SCOPES_AT_ONCE ? SCOPES_AT_ONCE : more;
    uint64_t count = (uint64_t)atomic_load_explicit(&views->scope_count, memory_order_relaxed) + ready;
    if (!chunks_reserve(&views->scopes, count < FOOTER_SCOPES_MAX ? count : FOOTER_SCOPES_MAX) ||
        !slots_reserve(&views->scope_slots, ready, hash_of_scope, views))
        return false;
    views->scopes_ready = ready;
    return true;
}

static bool reserve_rows(struct views *views, uint64_t rows) {
    if (views->has_columns && (!chunks_reserve(&views->kinds, rows) || !chunks_reserve(&views->scope_numbers, rows)))
        return false;
    if (views->has_tiles && !chunks_reserve(&views->tiles, 1 + (rows + FOOTER_TILE_ROWS - 1) / FOOTER_TILE_ROWS))
        return false;
    uint64_t tiles_room = views->has_tiles ? (views->tiles.room - 1) * FOOTER_TILE_ROWS : UINT64_MAX;
    uint64_t columns_room = views->has_columns ? views->kinds.room : UINT64_MAX;
    views->rows_room = tiles_room < columns_room ? tiles_room : columns_room;
    return true;
}

bool views_reserve(struct views *views, uint64_t rows, uint32_t more_events) {
    if (rows > views->rows_room && !reserve_rows(views, rows))
        return false;
    if (views->has_scopes && views->scopes_ready < more_events && !scopes_are_over(views) &&
        !reserve_scopes(views, more_events))
        return false;
    uint64_t groups = (uint64_t)views->groups_added + more_events;
    return !views->has_groups || views->groups.room >= groups || chunks_reserve(&views->groups, groups);
}

/* True when the first row of a scope has this name. */
static bool scope_is(const struct segment_index *index, const struct footer_scope *entry, struct fbat_slice scope) {
    struct fbat_event event;
    if (entry->first_row == 0 || (index->sealed && entry->first_row > index->rows_added))
        return false;
    return segment_index_view(index, entry->first_row - 1, &event, NULL) == FBAT_OK && event.scope.size == scope.size &&
           memcmp(event.scope.data, scope.data, scope.size) == 0;
}

/* The number of a scope, which may be new: then row_number is going to be its first. */
static uint16_t intern_scope(struct segment_index *index, struct fbat_slice scope, uint32_t row_number) {
    struct views *views = &index->views;
    uint64_t name_hash = hash64(scope.data, scope.size, 0);
    struct slots_probe probe = slots_first(&views->scope_slots, name_hash);
    uint32_t number, count = atomic_load_explicit(&views->scope_count, memory_order_relaxed);
    while ((number = slots_next(&probe)) != 0) {
        const struct footer_scope *entry = chunks_at(&views->scopes, number - 1);
        /* The first row of a scope that is new in this very frame is complete as soon as it was added. */
        if (entry->name_hash == name_hash && scope_is(index, entry, scope))
            return (uint16_t)(number - 1);
    }
    if (count == FOOTER_SCOPES_MAX) {
        atomic_store_explicit(&views->scopes_over, true, memory_order_relaxed); /* I2: row_count's release orders it */
        return FOOTER_SCOPE_NONE;
    }
    *(struct footer_scope *)chunks_at(&views->scopes, count) =
        (struct footer_scope){.name_hash = name_hash, .first_row = row_number};
    views->scopes_ready--;
    slots_add(&views->scope_slots, name_hash, count + 1);
    atomic_store_explicit(&views->scope_count, count + 1, memory_order_release);
    return (uint16_t)count;
}

void views_add_stream(struct segment_index *index, struct footer_stream *stream, uint32_t row_number,
                      struct fbat_slice scope) {
    if (index->views.has_scopes)
        stream->scope = scopes_are_over(&index->views) ? FOOTER_SCOPE_NONE : intern_scope(index, scope, row_number);
}

static inline void add_bits(struct footer_tile *tile, uint64_t kinds, uint64_t scopes) {
    /* One writer: what it loads is what it stored. The store is skipped when it would change nothing, nearly always. */
    if ((tile->kinds & kinds) != kinds)
        __atomic_store_n(&tile->kinds, tile->kinds | kinds, __ATOMIC_RELAXED);
    if ((tile->scopes & scopes) != scopes)
        __atomic_store_n(&tile->scopes, tile->scopes | scopes, __ATOMIC_RELAXED);
}

/* Looks up where the tile of a row stands, once for its 64 rows. */
static void take_tile(struct views *views, uint64_t position) {
    uint64_t first = position - position % FOOTER_TILE_ROWS;
    views->tile_taken = true;
    if (views->has_columns) {
        views->tile_kinds = chunks_at(&views->kinds, first);
        views->tile_scopes = chunks_at(&views->scope_numbers, first);
    }
    if (views->has_tiles) {
        views->tile = chunks_at(&views->tiles, 1 + position / FOOTER_TILE_ROWS);
        views->whole = chunks_at(&views->tiles, 0);
    }
}

static uint32_t start_group(struct views *views, struct footer_stream *stream) {
    uint32_t number = ++views->groups_added;
    struct footer_group *group = chunks_at(&views->groups, number - 1);
    group->previous = stream->last_group;
    return number;
}

/* Makes a started group the stream's last one, with its first rows in it. */
static void link_group(struct views *views, struct footer_stream *stream, uint32_t number) {
    if (stream->last_group != 0) {
        struct footer_group *before = chunks_at(&views->groups, stream->last_group - 1);
        __atomic_store_n(&before->next, number, __ATOMIC_RELEASE);
    } else {
        __atomic_store_n(&stream->first_group, number, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&stream->last_group, number, __ATOMIC_RELEASE);
}

/* The stream's entry does not count this row yet. */
static void add_to_group(struct views *views, struct footer_stream *stream, uint32_t row_number) {
    uint32_t count = stream->event_count, place = count % FOOTER_GROUP_ROWS;
    if (count == 0)
        return; /* the stream's entry names the row */
    if (count > 1 && place > 0) {
        struct footer_group *group = chunks_at(&views->groups, stream->last_group - 1);
        __atomic_store_n(&group->rows[place], row_number, __ATOMIC_RELEASE);
        return;
    }
    uint32_t number = start_group(views, stream);
    struct footer_group *group = chunks_at(&views->groups, number - 1);
    if (count == 1)
        group->rows[0] = stream->first_row;
    group->rows[place] = row_number;
    link_group(views, stream, number);
}

void views_add_row(struct views *views, struct footer_stream *stream, uint32_t row_number, uint16_t kind) {
    uint32_t position = row_number - 1, at = position % FOOTER_TILE_ROWS;
    if (at == 0 || !views->tile_taken)
        take_tile(views, position);
    if (views->tile_kinds) {
        views->tile_kinds[at] = kind;
        views->tile_scopes[at] = stream->scope;
    }
    if (views->tile) {
        uint64_t kinds = footer_kind_bits(kind), scopes = UINT64_C(1) << (stream->scope % 64);
        add_bits(views->tile, kinds, scopes);
        add_bits(views->whole, kinds, scopes);
    }
    if (views->has_groups)
        add_to_group(views, stream, row_number);
}

/* ---- writing ---- */

static uint32_t groups_of(const struct views *views, const struct footer_stream *stream) {
    if (!views->has_groups || stream->event_count < 2)
        return 0;
    return (stream->event_count + FOOTER_GROUP_ROWS - 1) / FOOTER_GROUP_ROWS;
}

static bool writes_scopes(const struct views *views) {
    return views->has_scopes && !scopes_are_over(views);
}

void views_write_streams(struct segment_index *index, struct footer_writer *writer) {
    uint32_t groups_before = 0;
    footer_writer_begin(writer, FOOTER_PART_STREAMS, index->streams_added);
    for (uint32_t at = 0; at < index->streams_added; at++) {
        struct footer_stream stream = *segment_index_stream(index, at);
        uint32_t groups = groups_of(&index->views, &stream);
        stream.first_group = groups > 0 ? groups_before + 1 : 0;
        stream.last_group = groups > 0 ? groups_before + groups : 0;
        if (!writes_scopes(&index->views))
            stream.scope = 0;
        groups_before += groups;
        footer_writer_data(writer, &stream, sizeof stream);
    }
    footer_writer_end(writer);
}

void views_write_chunks(struct footer_writer *writer, enum footer_part_type type, const struct chunks *chunks,
                        uint64_t count) {
    footer_writer_begin(writer, type, count);
    for (unsigned k = 0; k < CHUNKS_MAX && chunk_start(k) < count; k++) {
        uint64_t left = count - chunk_start(k);
        uint64_t here = left < chunk_size(k) ? left : chunk_size(k);
        footer_writer_data(writer, chunks_at(chunks, chunk_start(k)), (size_t)(here * chunks->element_bytes));
    }
    footer_writer_end(writer);
}

/* Groups are written anew, one stream behind the other: in memory they stand in the order in which they were begun. */
static uint32_t write_groups_of(const struct views *views, const struct footer_stream *stream, uint32_t written,
                                struct footer_writer *writer) {
    uint32_t count = groups_of(views, stream), number = stream->first_group;
    for (uint32_t at = 0; at < count; at++) {
        const struct footer_group *from = chunks_at(&views->groups, number - 1);
        struct footer_group group = *from;
        number = from->next;
        group.next = at + 1 < count ? written + at + 2 : 0;
        group.previous = at > 0 ? written + at : 0;
        footer_writer_data(writer, &group, sizeof group);
    }
    return count;
}

static void write_groups(struct segment_index *index, struct footer_writer *writer) {
    const struct views *views = &index->views;
    uint32_t written = 0;
    footer_writer_begin(writer, FOOTER_PART_GROUPS, views->groups_added);
    for (uint32_t at = 0; at < index->streams_added; at++)
        written += write_groups_of(views, segment_index_stream(index, at), written, writer);
    FBAT_ASSERT(written == views->groups_added);
    footer_writer_end(writer);
}

void views_write(struct segment_index *index, struct footer_writer *writer) {
    const struct views *views = &index->views;
    uint64_t rows = index->rows_added, tiles = 1 + (rows + FOOTER_TILE_ROWS - 1) / FOOTER_TILE_ROWS;
    if (views->has_columns)
        views_write_chunks(writer, FOOTER_PART_KINDS, &views->kinds, rows);
    if (writes_scopes(views)) {
        views_write_chunks(writer, FOOTER_PART_SCOPES, &views->scopes,
                           atomic_load_explicit(&views->scope_count, memory_order_relaxed));
        if (views->has_columns)
            views_write_chunks(writer, FOOTER_PART_SCOPE_NUMBERS, &views->scope_numbers, rows);
    }
    if (views->has_tiles)
        views_write_chunks(writer, FOOTER_PART_TILES, &views->tiles, tiles);
    if (views->has_groups)
        write_groups(index, writer);
}

/* ---- reading ---- */

enum views_answer views_find_scope(const struct segment_index *index, uint32_t limit, struct fbat_slice scope,
                                   uint16_t *out_number) {
    const struct views *views = &index->views;
    uint64_t name_hash = hash64(scope.data, scope.size, 0);
    if (!views_know_scopes(views))
        return VIEWS_UNKNOWN;
    uint32_t count = atomic_load_explicit(&views->scope_count, memory_order_acquire);
    for (uint32_t number = 0; number < count; number++) {
        const struct footer_scope *entry = chunks_at(&views->scopes, number);
        if (entry->first_row > limit)
            return VIEWS_ABSENT; /* they stand in the order of their first rows */
        if (entry->name_hash == name_hash && scope_is(index, entry, scope)) {
            *out_number = (uint16_t)number;
            return VIEWS_FOUND;
        }
    }
    return VIEWS_ABSENT;
}

/* ---- checking ---- */

static const char *find_row_fault(const struct segment_index *index, uint32_t position) {
    const struct views *views = &index->views;
    const struct footer_row *row = segment_index_row(index, position);
    const struct footer_stream *stream = segment_index_stream(index, row->stream);
    uint32_t tile = position / FOOTER_TILE_ROWS, at = position % FOOTER_TILE_ROWS;
    if (views->has_columns && views_kinds(views, tile)[at] != row->kind)
        return "column of kinds does not say what the rows say";
    if (views->has_columns && views->has_scopes && views_scope_numbers(views, tile)[at] != stream->scope)
        return "column of scopes does not say what the streams say";
    return NULL;
}

/* More bits than needed give right answers too, but nothing writes them. */
static bool tile_is(const struct views *views, uint64_t place, const struct footer_tile *wanted) {
    struct footer_tile tile = views_load(chunks_at(&views->tiles, place));
    return tile.kinds == wanted->kinds && (!views->has_scopes || tile.scopes == wanted->scopes);
}

static const char *find_tile_fault(const struct segment_index *index) {
    static const char fault[] = "tiles do not say what the rows say";
    struct footer_tile tile = {0}, whole = {0};
    for (uint32_t position = 0; position < index->rows_added && index->views.has_tiles; position++) {
        const struct footer_row *row = segment_index_row(index, position);
        tile.kinds |= footer_kind_bits(row->kind);
        tile.scopes |= UINT64_C(1) << (segment_index_stream(index, row->stream)->scope % 64);
        if (position % FOOTER_TILE_ROWS != FOOTER_TILE_ROWS - 1 && position + 1 < index->rows_added)
            continue;
        if (!tile_is(&index->views, 1 + position / FOOTER_TILE_ROWS, &tile))
            return fault;
        whole.kinds |= tile.kinds;
        whole.scopes |= tile.scopes;
        tile = (struct footer_tile){0};
    }
    return !index->views.has_tiles || tile_is(&index->views, 0, &whole) ? NULL : fault;
}

static const char *find_scope_fault(const struct segment_index *index, const struct footer_stream *stream) {
    struct fbat_event first;
    uint32_t count = atomic_load_explicit(&index->views.scope_count, memory_order_relaxed);
    if (!index->views.has_scopes)
        return NULL;
    if (stream->scope >= count || segment_index_view(index, stream->first_row - 1, &first, NULL) < 0)
        return "streams name scopes that are not there";
    const struct footer_scope *scope = chunks_at(&index->views.scopes, stream->scope);
    return scope->first_row <= stream->first_row && scope->name_hash == hash64(first.scope.data, first.scope.size, 0) &&
                   scope_is(index, scope, first.scope)
               ? NULL
               : "scopes do not say what the events say";
}

/* The stream's groups against its links. */
static const char *find_group_fault(const struct segment_index *index, const struct footer_stream *stream) {
    static const char fault[] = "groups do not say what the links say";
    uint32_t row_number = stream->first_row, number = stream->first_group, previous = 0;
    if (!index->views.has_groups)
        return NULL;
    if (stream->event_count < 2)
        return number == 0 && stream->last_group == 0 ? NULL : fault;
    while (row_number != 0) {
        const struct footer_group *group = views_group(&index->views, number);
        if (!group || group->previous != previous)
            return fault;
        for (unsigned at = 0; at < FOOTER_GROUP_ROWS; at++) {
            if (group->rows[at] != row_number)
                return fault;
            if (row_number != 0)
                row_number = segment_index_next_in_stream(segment_index_row(index, row_number - 1), row_number);
        }
        previous = number;
        number = group->next;
    }
    return number == 0 && stream->last_group == previous ? NULL : fault;
}

const char *views_find_fault(const struct segment_index *index) {
    const char *fault = index->views.unusable ? "parts hold a view that cannot be used" : NULL;
    for (uint32_t at = 0; at < index->streams_added && !fault; at++) {
        const struct footer_stream *stream = segment_index_stream(index, at);
        fault = find_scope_fault(index, stream);
        if (!fault)
            fault = find_group_fault(index, stream);
    }
    for (uint32_t position = 0; position < index->rows_added && !fault; position++)
        fault = find_row_fault(index, position);
    return fault ? fault : find_tile_fault(index);
}
