/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan of a segment by tiles.
 *
 * Happy path: tiles are looked at in blocks, so that one call compares up to 1,024 numbers; without columns in blocks of
 * one tile, because rows cost more. For each tile of a block that its summary does not rule out, the range's mask and one
 * comparison for each condition. The last tile of the range is copied first when rows that may not be looked at follow in
 * it: the writer may be storing there.
 *
 * Summaries cost a cache line for every 4 tiles, and the columns 2 for each, so a summary is worth asking where it rules
 * out one tile in eight. Where it does not in a block, the summaries of the next PAUSE_BLOCKS are not asked. The layout
 * can say that they are always asked, or never (docs/man/fbat_config.5).
 *
 * Failure modes: none. Thread rule and invariants: in the header.
 */
#include "index/tile_scan.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "index/tile_match.h"

enum { PAUSE_BLOCKS = 32, SINGLES_MAX = 4 };

static_assert((int)TILE_ROWS == (int)FOOTER_TILE_ROWS, "one tile");

enum { CATEGORY_MASK = 0xf000 };

/* ---- starting ---- */

static bool has_filter(const struct tile_filter *filter) {
    return filter->kind_mask != 0 || filter->no_system || filter->by_scope;
}

/* Which bits a summary must have, all of each. */
static void set_bits(struct tile_scan *scan) {
    const struct tile_filter *filter = &scan->filter;
    scan->kind_bits = 0;
    if (filter->kind_mask == UINT16_MAX)
        scan->kind_bits = footer_kind_bits(filter->kind_wanted);
    else if (filter->kind_mask == CATEGORY_MASK)
        scan->kind_bits = UINT64_C(1) << (filter->kind_wanted >> 12);
    scan->scope_bits = filter->by_scope ? UINT64_C(1) << (filter->scope % 64) : 0;
}

static bool rules_out(const struct tile_scan *scan, const struct footer_tile *summary) {
    return (summary->kinds & scan->kind_bits) != scan->kind_bits ||
           (summary->scopes & scan->scope_bits) != scan->scope_bits;
}

static bool segment_may_match(struct tile_scan *scan) {
    struct tile_filter *filter = &scan->filter;
    const struct segment_index *index = scan->index;
    bool no_system_events = index->sealed && index->summary.system_event_count == 0;
    bool wants_system = filter->kind_mask & CATEGORY_MASK && (filter->kind_wanted & CATEGORY_MASK) == 0;
    if (scan->summaries) {
        struct footer_tile whole = views_whole(&index->views);
        if (rules_out(scan, &whole))
            return false;
        no_system_events = no_system_events || (whole.kinds & 1) == 0;
    }
    if (no_system_events)
        filter->no_system = false; /* there are none to leave out */
    return !(wants_system && no_system_events);
}

static void choose_views(struct tile_scan *scan, const struct views_wanted *wanted) {
    const struct views *views = &scan->index->views;
    scan->columns = wanted->columns && views->has_columns;
    scan->summaries = wanted->tiles && views->has_tiles;
    set_bits(scan);
}

/* Tile by tile, where the layout leaves the choice. */
static void choose_order(struct tile_scan *scan, const struct views_wanted *wanted) {
    bool columns_first = wanted->layout == FBAT_LAYOUT_SOA || wanted->layout == FBAT_LAYOUT_SOAOS;
    bool useful = scan->kind_bits != 0 || scan->scope_bits != 0 || scan->filter.no_system;
    scan->summaries = scan->summaries && useful && !(columns_first && scan->columns);
    scan->summaries_always = !scan->columns || (wanted->layout != FBAT_LAYOUT_AOS && !columns_first);
}

bool tile_scan_knows_scopes(const struct segment_index *index, const struct views_wanted *wanted) {
    return wanted->columns && index->views.has_columns && index->views.has_scopes;
}

bool tile_scan_init(struct tile_scan *scan, const struct segment_index *index, const struct tile_filter *filter,
                    const struct views_wanted *wanted, uint32_t low, uint32_t high, bool backward,
                    struct tile_scan_counts *counts) {
    FBAT_ASSERT(low < high);
    memset(scan, 0, sizeof *scan);
    scan->index = index;
    scan->filter = *filter;
    scan->counts = counts;
    scan->low = low;
    scan->high = high;
    scan->backward = backward;
    choose_views(scan, wanted);
    if (!segment_may_match(scan))
        return false;
    choose_order(scan, wanted);
    scan->block_tiles = scan->columns ? TILE_BLOCK : 1;
    uint32_t block_rows = scan->block_tiles * TILE_ROWS;
    uint32_t first = low / block_rows, last = (high - 1) / block_rows;
    scan->left = last - first + 1;
    scan->next = backward ? last : first;
    return true;
}

bool tile_scan_takes_all(const struct tile_scan *scan) {
    return !has_filter(&scan->filter);
}

enum fbat_strategy tile_scan_strategy(const struct tile_scan *scan) {
    if (!has_filter(&scan->filter))
        return FBAT_STRATEGY_RANGE;
    unsigned strategy = scan->columns ? FBAT_STRATEGY_COLUMNS : FBAT_STRATEGY_ROWS;
    return (enum fbat_strategy)(strategy | (scan->summaries ? FBAT_STRATEGY_TILES : 0u));
}

/* ---- one block ---- */

static uint64_t range_mask(const struct tile_scan *scan, uint32_t tile) {
    uint64_t first = (uint64_t)tile * TILE_ROWS, mask = UINT64_MAX;
    if (scan->high <= first || scan->low >= first + TILE_ROWS)
        return 0;
    if (scan->low > first)
        mask &= UINT64_MAX << (scan->low - first);
    if (scan->high - first < TILE_ROWS)
        mask &= (UINT64_C(1) << (scan->high - first)) - 1;
    return mask;
}

static void set_range(struct tile_scan *scan) {
    uint64_t start = (uint64_t)scan->first * TILE_ROWS, end = start + (uint64_t)scan->block_tiles * TILE_ROWS;
    bool whole = scan->low <= start && scan->high >= end;
    for (uint32_t at = 0; at < scan->block_tiles; at++)
        scan->masks[at] = whole ? UINT64_MAX : range_mask(scan, scan->first + at);
}

/* Takes out the tiles that their summaries rule out. *no_system becomes false when no other has a system event. */
static void ask_summaries(struct tile_scan *scan, bool *no_system) {
    uint32_t asked = 0, useful = 0;
    uint64_t system = 0;
    const struct footer_tile *tiles;
    if (!scan->summaries || scan->pause_left > 0) {
        scan->pause_left -= scan->pause_left > 0;
        return;
    }
    tiles = scan->masks[0] && scan->masks[scan->block_tiles - 1]
                ? views_tiles(&scan->index->views, scan->first, scan->block_tiles)
                : NULL;
    for (uint32_t at = 0; at < scan->block_tiles; at++) {
        if (scan->masks[at] == 0)
            continue;
        struct footer_tile summary = tiles ? views_load(tiles + at) : views_tile(&scan->index->views, scan->first + at);
        asked++;
        if (rules_out(scan, &summary)) {
            scan->masks[at] = 0;
            scan->counts->tiles_skipped++;
            useful++;
        } else {
            system |= summary.kinds & 1;
        }
    }
    if (*no_system && !system) {
        *no_system = false;
        useful = asked;
    }
    if (!scan->summaries_always && useful * 8 < asked)
        scan->pause_left = PAUSE_BLOCKS;
}

/* The masks keep those of their bits that match in a column, which begins with the block; or those that do not. Of rows
 * at or beyond high, nothing is read. */
static void match_column(struct tile_scan *scan, const uint16_t *values, uint16_t mask, uint16_t wanted, bool invert) {
    uint32_t end = scan->high / TILE_ROWS, whole = end < scan->first ? 0 : end - scan->first, alive = 0;
    if (whole >= scan->block_tiles) {
        whole = scan->block_tiles;
    } else if (scan->masks[whole] != 0) {
        uint16_t copy[TILE_ROWS] = {0};
        memcpy(copy, values + (size_t)whole * TILE_ROWS, (scan->high % TILE_ROWS) * sizeof *values);
        tile_match_many(copy, 1, mask, wanted, invert, &scan->masks[whole]);
    }
    for (uint32_t at = 0; at < whole; at++)
        alive += scan->masks[at] != 0;
    if (alive > SINGLES_MAX) {
        tile_match_many(values, whole, mask, wanted, invert, scan->masks);
        return;
    }
    for (uint32_t at = 0; at < whole && alive > 0; at++)
        if (scan->masks[at] != 0)
            tile_match_many(values + (size_t)at * TILE_ROWS, 1, mask, wanted, invert, &scan->masks[at]);
}

static void match_columns(struct tile_scan *scan, bool no_system) {
    const struct tile_filter *filter = &scan->filter;
    const struct views *views = &scan->index->views;
    if (filter->kind_mask != 0)
        match_column(scan, views_kinds(views, scan->first), filter->kind_mask, filter->kind_wanted, false);
    if (no_system)
        match_column(scan, views_kinds(views, scan->first), CATEGORY_MASK, 0, true);
    if (filter->by_scope && views->has_scopes)
        match_column(scan, views_scope_numbers(views, scan->first), UINT16_MAX, filter->scope, false);
}

/* The one tile of the block, row by row. */
static void match_rows(struct tile_scan *scan, bool no_system) {
    const struct tile_filter *filter = &scan->filter;
    uint32_t first = scan->first * TILE_ROWS;
    uint64_t found = 0;
    if (filter->kind_mask == 0 && !no_system)
        return;
    scan->counts->rows_looked_at += (unsigned)__builtin_popcountll(scan->masks[0]);
    for (uint64_t left = scan->masks[0]; left != 0; left &= left - 1) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        uint16_t kind = segment_index_row(scan->index, first + at)->kind;
        bool matches = (kind & filter->kind_mask) == filter->kind_wanted && !(no_system && (kind & CATEGORY_MASK) == 0);
        found |= (uint64_t)matches << at;
    }
    scan->masks[0] = found;
}

static uint32_t tiles_alive(const struct tile_scan *scan) {
    uint32_t alive = 0;
    for (uint32_t at = 0; at < scan->block_tiles; at++)
        alive |= (uint32_t)(scan->masks[at] != 0) << at;
    return alive;
}

/* Takes the next block in hand; false when there is none. */
static bool next_block(struct tile_scan *scan) {
    if (scan->left == 0)
        return false;
    scan->first = scan->next * scan->block_tiles;
    scan->left--;
    scan->next = scan->backward ? scan->next - 1 : scan->next + 1;
    bool no_system = scan->filter.no_system;
    set_range(scan);
    ask_summaries(scan, &no_system);
    uint32_t alive = tiles_alive(scan);
    scan->counts->tiles_looked_at += (unsigned)__builtin_popcount(alive);
    if (alive != 0 && scan->columns)
        match_columns(scan, no_system);
    else if (alive != 0)
        match_rows(scan, no_system);
    return true;
}

bool tile_scan_next(struct tile_scan *scan, uint32_t *out_position, uint64_t *out_mask) {
    while (scan->pending == 0) {
        if (!next_block(scan))
            return false;
        scan->pending = tiles_alive(scan);
    }
    unsigned at =
        scan->backward ? 31u - (unsigned)__builtin_clz(scan->pending) : (unsigned)__builtin_ctz(scan->pending);
    scan->pending &= ~(1u << at);
    *out_position = (scan->first + at) * TILE_ROWS;
    *out_mask = scan->masks[at];
    return true;
}

uint64_t tile_scan_count(struct tile_scan *scan) {
    uint64_t count = 0;
    for (; scan->pending != 0; scan->pending &= scan->pending - 1)
        count += (unsigned)__builtin_popcountll(scan->masks[__builtin_ctz(scan->pending)]);
    while (next_block(scan))
        count += tile_match_count(scan->masks, scan->block_tiles);
    return count;
}
