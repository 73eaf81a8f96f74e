/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The views of a segment's rows: the same facts again, in forms that answer some questions faster (format/footer.h).
 *
 *     soa             kinds, scope numbers: columns of 16 bits a row, compared 64 at a time
 *     tiles64         for each 64 rows which kinds and scopes they have, and the same for the whole segment: what
 *                     cannot match is passed over
 *     entity_groups   each stream's row numbers side by side: what comes next is known ahead
 *
 * Each may be there or not. What is not there is answered by the rows.
 *
 * In memory they grow with the rows, in chunks, so that a tile's columns never straddle two; in a footer they are parts.
 *
 * Publication order, within the one of the segment's index: columns, tiles and groups of a row are written before its
 * row number is published. The bits of tiles only grow, so a reader may see more of them than belong to its rows, never
 * fewer. Row numbers in groups beyond what a reader may see are to be ignored, like the ones in links.
 *
 * Thread rule: one writer, any number of readers.
 *
 * I1: a tile's summary has the bits of every row published in it.
 * I2: with scopes, rows whose scope has no number have made scopes_over true before they were published.
 */
#ifndef FBAT_INDEX_VIEWS_H
#define FBAT_INDEX_VIEWS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "format/footer.h"
#include "index/chunks.h"
#include "index/slots.h"
#include "log/footer_writer.h"

/* Which views are wanted; which one to ask first. */
struct views_wanted {
    bool columns, groups, tiles;
    enum fbat_index_layout layout;
};

extern const struct views_wanted views_all;

/* What a configuration says. */
struct views_wanted views_wanted_by(const struct fbat_config *config);

struct views {
    bool has_columns, has_tiles, has_groups;
    bool has_scopes;         /* the table; the column too, with has_columns */
    bool unusable;           /* a footer has more view parts than could be taken */
    atomic_bool scopes_over; /* more scopes than have numbers: no view knows scopes any more */
    struct chunks kinds;     /* uint16_t for each row */
    struct chunks scope_numbers;
    struct chunks tiles;  /* struct footer_tile: of the segment, then of each 64 rows */
    struct chunks scopes; /* struct footer_scope */
    struct chunks groups; /* struct footer_group */
    /* Writer only: where the rows of the tile in hand go; NULL where a view is off. */
    bool tile_taken;
    uint16_t *tile_kinds, *tile_scopes;
    struct footer_tile *tile, *whole;
    struct slots scope_slots;     /* writer only */
    _Atomic uint32_t scope_count; /* stored after the entry */
    uint32_t groups_added;        /* writer only */
    uint32_t scopes_ready;        /* likewise: new scopes that there is room for */
    uint64_t rows_room;           /* likewise: rows that columns and tiles have memory for */
};

void views_init(struct views *views);
void views_deinit(struct views *views);

/* Makes all views ready to grow with an index that has no row yet. False when out of memory. */
bool views_start(struct views *views);

/* Chooses which of them grow; before the first row. */
void views_want(struct views *views, const struct views_wanted *wanted);

/* Takes the views that a mapped footer holds. */
void views_attach(struct views *views, const uint8_t *file, const struct footer *footer);

/* Room for rows in all, and for more_streams new streams and as many groups. False when out of memory. */
bool views_reserve(struct views *views, uint64_t rows, uint32_t more_events);

struct segment_index;

/* Adds a stream whose first row is going to be row_number, and a row; room was reserved. */
void views_add_stream(struct segment_index *index, struct footer_stream *stream, uint32_t row_number,
                      struct fbat_slice scope);
void views_add_row(struct views *views, struct footer_stream *stream, uint32_t row_number, uint16_t kind);

/* Writes the parts; streams too, because they say where their groups are. */
void views_write_streams(struct segment_index *index, struct footer_writer *writer);
void views_write(struct segment_index *index, struct footer_writer *writer);
void views_write_chunks(struct footer_writer *writer, enum footer_part_type type, const struct chunks *chunks,
                        uint64_t count);

uint64_t views_memory(const struct views *views);

/* ---- reading ---- */

/* True when every scope that has a row has a number. */
static inline bool views_know_scopes(const struct views *views) {
    return views->has_scopes && !atomic_load_explicit(&views->scopes_over, memory_order_acquire);
}

enum views_answer { VIEWS_ABSENT = 0, VIEWS_FOUND = 1, VIEWS_UNKNOWN = 2 };

/* The number of a scope that has a row among the first `limit`; VIEWS_UNKNOWN where no view knows. */
enum views_answer views_find_scope(const struct segment_index *index, uint32_t limit, struct fbat_slice scope,
                                   uint16_t *out_number);

/* What is wrong with the views, compared with rows and streams; NULL when nothing is. For checking. */
const char *views_find_fault(const struct segment_index *index);

/* Kinds of the 64 rows from 64 x tile on. Only those of published rows may be looked at. */
static inline const uint16_t *views_kinds(const struct views *views, uint32_t tile) {
    return chunks_at(&views->kinds, (uint64_t)tile * FOOTER_TILE_ROWS);
}
static inline const uint16_t *views_scope_numbers(const struct views *views, uint32_t tile) {
    return chunks_at(&views->scope_numbers, (uint64_t)tile * FOOTER_TILE_ROWS);
}

static inline struct footer_tile views_load(const struct footer_tile *tile) {
    return (struct footer_tile){__atomic_load_n(&tile->kinds, __ATOMIC_RELAXED),
                                __atomic_load_n(&tile->scopes, __ATOMIC_RELAXED)};
}
/* The summary of a tile that has a published row, and of all. */
static inline struct footer_tile views_tile(const struct views *views, uint32_t tile) {
    return views_load(chunks_at(&views->tiles, (uint64_t)tile + 1));
}
static inline struct footer_tile views_whole(const struct views *views) {
    return views_load(chunks_at(&views->tiles, 0));
}
/* The summaries of some tiles in a row that all have published rows, or NULL where they do not stand side by side. */
static inline const struct footer_tile *views_tiles(const struct views *views, uint32_t first, uint32_t count) {
    const struct footer_tile *start = chunks_at(&views->tiles, (uint64_t)first + 1);
    const struct footer_tile *last = chunks_at(&views->tiles, (uint64_t)first + count);
    return (uintptr_t)last - (uintptr_t)start == (count - 1) * sizeof *start ? start : NULL;
}

/* The group of this number, or NULL when there is none: 0, or a page that went bad. */
static inline const struct footer_group *views_group(const struct views *views, uint32_t number) {
    return number == 0 || (views->groups.mapped && number > views->groups.room) ? NULL
                                                                                : chunks_at(&views->groups, number - 1);
}

#endif
