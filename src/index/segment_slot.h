/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place in a list of segments, and the cache of sealed segments that are open.
 *
 * The slot of a segment that is not sealed has its index, always. That of a sealed one has what the footer's trailer
 * says, and its index only while it is open: mapped when it is first asked for, closed when others were asked for since
 * and there is no room for all. So a store of any size has at most `budget` sealed segments mapped, and those that
 * somebody holds.
 *
 *     list ──> slot  id, generation, summary          who needs no more than that pins nothing
 *                |
 *                '── pin ──> index, mapped            until segment_index_release
 *
 * Counting. One word tells who uses a slot, so that pinning one that is open takes a single atomic addition:
 *
 *     63        32 31        1    0
 *     [ lists     | pins       | open ]
 *
 * A pin is counted before the bit is looked at. Who closes an index takes the bit away by a compare-and-swap from "no
 * pins", so of a pin and a closing that meet, one comes first: either the closing fails, or the pin finds the bit gone
 * and takes the slow way, under the cache's lock. The index's own counter is not used while a slot has it.
 *
 * Thread rule: everything from any thread. Opening and closing are one at a time, under the cache's lock.
 *
 * I1: the bit `open` is set if and only if the slot stands in the cache's table, but for moments under the lock.
 * I2: an index with a pin is not closed.
 * I3: more than `budget` are open only while more than that are pinned, or became so at this moment.
 */
#ifndef FBAT_INDEX_SEGMENT_SLOT_H
#define FBAT_INDEX_SEGMENT_SLOT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/segment_index.h"
#include "os/os.h"

struct segment_slot;

struct segment_cache {
    atomic_uint references;
    pthread_mutex_t lock;
    struct os *os;   /* NULL: nothing can be opened again, so nothing is closed */
    const char *dir; /* borrowed from the store, which outlives the cache */
    struct fbat_id store_id;
    uint32_t budget;
    _Atomic uint64_t
        newest_use; /* grows; only ever stored as one more than what was read, so a lost step costs nothing */
    atomic_uint open_count;
    struct segment_slot **open; /* open_count of them; lock */
    uint32_t room;              /* lock */
};

struct segment_slot {
    _Atomic uint64_t uses;
    struct segment_cache *cache; /* counted */
    uint64_t segment_id;
    uint64_t generation;
    uint64_t first_sequence; /* by the segment's header */
    uint64_t id_tag_key;
    bool sealed;
    struct segment_summary summary; /* of a sealed one */
    struct segment_index *index;    /* of a sealed one: while it is open; lock, or a pin */
    _Atomic uint64_t last_use;      /* newest_use when it was pinned last */
};

/* A cache that keeps open what it is given. NULL when out of memory. */
struct segment_cache *segment_cache_create(void);

/* From here on at most `budget` stay open, and others are opened from `dir`. Before anything is given to it. */
void segment_cache_configure(struct segment_cache *cache, struct os *os, const char *dir,
                             const struct fbat_id *store_id, uint32_t budget);
void segment_cache_release(struct segment_cache *cache); /* NULL is accepted */

/* A slot with one use by a list, open until segment_slot_settle says that the list has it. It takes over the caller's
 * reference, the only one if the index is sealed; on success only. */
int segment_slot_create(struct segment_cache *cache, struct segment_index *index, struct segment_slot **out_slot,
                        struct fbat_error *error);

/* The slot of a sealed segment that is not open, by what is known of it. */
int segment_slot_create_closed(struct segment_cache *cache, uint64_t segment_id, uint64_t generation,
                               const struct segment_summary *summary, struct segment_slot **out_slot,
                               struct fbat_error *error);

void segment_slot_settle(struct segment_slot *slot);

/* Instead: undoes segment_slot_create, the index is the caller's again. */
void segment_slot_give_back(struct segment_slot *slot);

/* One more list, or one less, that has it. */
void segment_slot_retain(struct segment_slot *slot);
void segment_slot_release(struct segment_slot *slot);

/* The slot's index, pinned for the caller until segment_index_release. A list holds the slot. FBAT_ERR_DAMAGED: the file
 * is not the one it was; else, for want of descriptors or memory, another time may do. */
int segment_slot_pin(struct segment_slot *slot, struct segment_index **out_index, struct fbat_error *error);

/* What segment_index_retain and segment_index_release do to an index that a slot has. */
void segment_slot_pin_again(struct segment_slot *slot);
void segment_slot_unpin(struct segment_slot *slot);

/* Heap bytes held by sealed segments: slots and indexes that are open. */
uint64_t segment_slot_memory(struct segment_slot *slot);

/* False when no event of the segment is in both ranges, ends included. */
bool segment_slot_may_hold(const struct segment_slot *slot, uint64_t sequence_min, uint64_t sequence_max,
                           int64_t time_min_us, int64_t time_max_us);

#endif
