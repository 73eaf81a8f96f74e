/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scan of a segment by tiles.
 *
 * Happy path: for each tile that its summary does not rule out, the range's mask and one comparison of 64 numbers for
 * each condition. The last tile of the range is copied first when rows that may not be looked at follow in it: the
 * writer may be storing there.
 *
 * Summaries cost a cache line for every 4 tiles, and the columns 2 for each, so a summary is worth asking where it rules
 * out one tile in eight. Whether it does is tried out: of TRIAL_TILES in a row; if not, they are not asked for the next
 * PAUSE_TILES. The layout can say that they are always asked, or never (docs/man/fbat_config.5).
 *
 * Failure modes: none. Thread rule and invariants: in the header.
 */
#include "index/tile_scan.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "index/tile_match.h"

enum { TRIAL_TILES = 32, TRIAL_SKIPS = TRIAL_TILES / 8, PAUSE_TILES = 512 };

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
    scan->trial_left = TRIAL_TILES;
    uint32_t first = low / TILE_ROWS, last = (high - 1) / TILE_ROWS;
    scan->left = last - first + 1;
    scan->next = backward ? last : first;
    choose_views(scan, wanted);
    if (!segment_may_match(scan))
        return false;
    choose_order(scan, wanted);
    return true;
}

bool tile_scan_takes_all(const struct tile_scan *scan) {
    return !has_filter(&scan->filter);
}

/* ---- one tile ---- */

static uint64_t range_mask(const struct tile_scan *scan, uint32_t first) {
    uint64_t mask = UINT64_MAX;
    if (scan->low > first)
        mask &= UINT64_MAX << (scan->low - first);
    if (scan->high - first < TILE_ROWS)
        mask &= (UINT64_C(1) << (scan->high - first)) - 1;
    return mask;
}

/* Matches of a column in the tile; of its rows at or beyond high, nothing is read. */
static uint64_t match_column(const struct tile_scan *scan, const uint16_t *values, uint32_t first, uint16_t mask,
                             uint16_t wanted) {
    uint16_t copy[TILE_ROWS] = {0};
    if (scan->high - first < TILE_ROWS) {
        memcpy(copy, values, (scan->high - first) * sizeof *values);
        values = copy;
    }
    return tile_match_u16(values, mask, wanted);
}

static uint64_t match_columns(const struct tile_scan *scan, uint32_t tile, uint64_t mask, bool no_system) {
    const struct tile_filter *filter = &scan->filter;
    const struct views *views = &scan->index->views;
    uint32_t first = tile * TILE_ROWS;
    const uint16_t *kinds = views_kinds(views, tile);
    if (filter->kind_mask != 0)
        mask &= match_column(scan, kinds, first, filter->kind_mask, filter->kind_wanted);
    if (no_system)
        mask &= ~match_column(scan, kinds, first, CATEGORY_MASK, 0);
    if (filter->by_scope && views->has_scopes && mask != 0)
        mask &= match_column(scan, views_scope_numbers(views, tile), first, UINT16_MAX, filter->scope);
    return mask;
}

static uint64_t match_rows(const struct tile_scan *scan, uint32_t tile, uint64_t mask, bool no_system) {
    const struct tile_filter *filter = &scan->filter;
    uint32_t first = tile * TILE_ROWS;
    if (filter->kind_mask == 0 && !no_system)
        return mask;
    uint64_t found = 0;
    scan->counts->rows_looked_at += (unsigned)__builtin_popcountll(mask);
    for (uint64_t left = mask; left != 0; left &= left - 1) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        uint16_t kind = segment_index_row(scan->index, first + at)->kind;
        bool matches = (kind & filter->kind_mask) == filter->kind_wanted && !(no_system && (kind & CATEGORY_MASK) == 0);
        found |= (uint64_t)matches << at;
    }
    return found;
}

/* Learns whether summaries pay; true when the tile was ruled out by its own. */
static bool passes_over(struct tile_scan *scan, uint32_t tile, bool *no_system) {
    if (scan->pause_left > 0) {
        scan->pause_left--;
        return false;
    }
    struct footer_tile summary = views_tile(&scan->index->views, tile);
    bool skipped = rules_out(scan, &summary);
    if ((summary.kinds & 1) == 0)
        *no_system = false;
    if (scan->summaries_always)
        return skipped;
    scan->trial_skipped += skipped || (scan->filter.no_system && !*no_system);
    if (--scan->trial_left == 0) {
        scan->pause_left = scan->trial_skipped < TRIAL_SKIPS ? PAUSE_TILES : 0;
        scan->trial_left = TRIAL_TILES;
        scan->trial_skipped = 0;
    }
    return skipped;
}

bool tile_scan_next(struct tile_scan *scan, uint32_t *out_position, uint64_t *out_mask) {
    while (scan->left > 0) {
        uint32_t tile = scan->next;
        scan->left--;
        scan->next = scan->backward ? tile - 1 : tile + 1;
        bool no_system = scan->filter.no_system;
        if (scan->summaries && passes_over(scan, tile, &no_system)) {
            scan->counts->tiles_skipped++;
            continue;
        }
        scan->counts->tiles_looked_at++;
        uint64_t mask = range_mask(scan, tile * TILE_ROWS);
        mask = scan->columns ? match_columns(scan, tile, mask, no_system) : match_rows(scan, tile, mask, no_system);
        if (mask != 0) {
            *out_position = tile * TILE_ROWS;
            *out_mask = mask;
            return true;
        }
    }
    return false;
}
