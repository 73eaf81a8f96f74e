/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merging streams by a window of bits.
 *
 * Happy path: when the window is used up, it moves on to the least (backward: greatest) next row of all walks, and each
 * walk sets its bits in it. That costs a look at each walk for every window, and a step for each row.
 *
 * Failure modes: memory, when streams are counted. Thread rule: in the header.
 *
 * I1: every walk's next row lies behind the window, in the walk's direction.
 */
#include "index/stream_merge.h"

#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

enum { WINDOW_ROWS = MERGE_WINDOW_WORDS * 64 };

void stream_merge_deinit(struct stream_merge *merge) {
    memory_free(merge->walks);
    memset(merge, 0, sizeof *merge);
}

bool stream_merge_reset(struct stream_merge *merge, uint32_t streams, bool backward) {
    if (streams > merge->walks_room) {
        struct stream_walk *walks = memory_resize(merge->walks, (size_t)streams * sizeof *walks);
        if (!walks)
            return false;
        merge->walks = walks;
        merge->walks_room = streams;
    }
    merge->count = 0;
    merge->backward = backward;
    merge->word = MERGE_WINDOW_WORDS;
    memset(merge->words, 0, sizeof merge->words);
    return true;
}

void stream_merge_add(struct stream_merge *merge, const struct stream_walk *walk) {
    FBAT_ASSERT(merge->count < merge->walks_room);
    if (walk->next != 0)
        merge->walks[merge->count++] = *walk;
}

/* Drops the walks that have ended; the position of the next row of all, or false. */
static bool find_next(struct stream_merge *merge, uint32_t *out_position) {
    uint32_t kept = 0, best = 0;
    for (uint32_t at = 0; at < merge->count; at++) {
        uint32_t next = merge->walks[at].next;
        if (next == 0)
            continue;
        if (kept == 0 || (merge->backward ? next > best : next < best))
            best = next;
        if (kept != at)
            merge->walks[kept] = merge->walks[at];
        kept++;
    }
    merge->count = kept;
    if (kept == 0)
        return false;
    *out_position = best - 1;
    return true;
}

static void set_bits_of(struct stream_merge *merge, struct stream_walk *walk) {
    while (walk->next != 0 && walk->next - 1 - merge->first < WINDOW_ROWS) {
        uint32_t at = walk->next - 1 - merge->first;
        merge->words[at / 64] |= UINT64_C(1) << (at % 64);
        stream_walk_step(walk);
    }
}

/* The window that starts with the tile of the next row, or backward ends with it. */
static bool refill(struct stream_merge *merge) {
    uint32_t position;
    if (!find_next(merge, &position))
        return false;
    position -= position % 64;
    if (merge->backward)
        position = position < WINDOW_ROWS - 64 ? 0 : position - (WINDOW_ROWS - 64);
    merge->first = position;
    merge->word = 0;
    for (uint32_t at = 0; at < merge->count; at++)
        set_bits_of(merge, &merge->walks[at]);
    return true;
}

bool stream_merge_next(struct stream_merge *merge, uint32_t *out_position, uint64_t *out_mask) {
    for (;;) {
        while (merge->word < MERGE_WINDOW_WORDS) {
            uint32_t word = merge->word++;
            if (merge->backward)
                word = MERGE_WINDOW_WORDS - 1 - word;
            if (merge->words[word] == 0)
                continue;
            *out_position = merge->first + word * 64;
            *out_mask = merge->words[word];
            merge->words[word] = 0;
            return true;
        }
        if (!refill(merge))
            return false;
    }
}
