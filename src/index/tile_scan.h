/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scanning a range of rows of one segment, 64 at a time: a bit for each row that matches by kind and scope.
 *
 *     rows   | tile 0 | tile 1 | tile 2 | ...      one tile = 64 rows = 128 bytes of a column
 *     tile 1 summary: cannot match                 not looked at
 *     tile 2 range & kinds & scopes & not system   00010000 01000000 ...
 *
 * Each condition is answered by the best view that the segment has and that may be asked: a column, else the rows. What
 * needs more than kind and scope is the caller's to look at, row by row.
 *
 * Thread rule: one thread at a time per scan; the index is pinned by the caller.
 *
 * I1: no bit is set for a row outside [low, high), and no row or column beyond high is read.
 */
#ifndef FBAT_INDEX_TILE_SCAN_H
#define FBAT_INDEX_TILE_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "index/segment_index.h"

/* Which rows are wanted. */
struct tile_filter {
    uint16_t kind_mask, kind_wanted; /* (kind & mask) == wanted; mask 0 = any kind */
    bool no_system;                  /* not those of category 0 */
    bool by_scope;
    uint16_t scope; /* number, with by_scope */
};

/* What was done, for plans. */
struct tile_scan_counts {
    uint64_t tiles_skipped;
    uint64_t tiles_looked_at;
    uint64_t rows_looked_at; /* one by one */
};

enum { TILE_BLOCK = 16 }; /* tiles; columns do not straddle chunks within one */

struct tile_scan {
    const struct segment_index *index;
    struct tile_filter filter;
    struct tile_scan_counts *counts;
    uint64_t kind_bits, scope_bits; /* a summary without one of these cannot match */
    bool columns, summaries;        /* may be asked, and are there */
    bool summaries_always;          /* even when they seldom rule anything out */
    bool backward;
    uint32_t low, high;         /* rows */
    uint32_t next, left;        /* blocks: the one to look at next, how many are left */
    uint32_t block_tiles;       /* tiles in each */
    uint32_t pause_left;        /* blocks whose summaries are not asked */
    uint32_t first;             /* tile: of the block in hand */
    uint32_t pending;           /* bit for each of its tiles that has matches and was not given */
    uint64_t masks[TILE_BLOCK]; /* its matches */
};

/* False when no row of the segment can match, by its summary. filter->by_scope needs a scope column or a summary: the
 * number is one that views_find_scope gave. */
bool tile_scan_init(struct tile_scan *scan, const struct segment_index *index, const struct tile_filter *filter,
                    const struct views_wanted *wanted, uint32_t low, uint32_t high, bool backward,
                    struct tile_scan_counts *counts);

/* The next tile with a match: its first row's position, and a bit for each matching row. False at the end. */
bool tile_scan_next(struct tile_scan *scan, uint32_t *out_position, uint64_t *out_mask);

/* The number of matches that tile_scan_next would still give, which it then gives no more. */
uint64_t tile_scan_count(struct tile_scan *scan);

/* What will answer the scan. */
enum fbat_strategy tile_scan_strategy(const struct tile_scan *scan);

/* True when the scope condition is answered by the scan; else the caller must look at the rows' streams. */
bool tile_scan_knows_scopes(const struct segment_index *index, const struct views_wanted *wanted);

/* True when every row of the range matches, so that there is nothing to look at. */
bool tile_scan_takes_all(const struct tile_scan *scan);

#endif
