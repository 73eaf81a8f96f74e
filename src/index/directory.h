/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of all segments: which there are, in order, and what readers may see of them.
 *
 * Readers work on a list: an immutable, counted array of segment slots, and the id runs that cover some of them. The
 * current list is replaced by a new one when a segment is added or sealed, or a run is made; a reader keeps the list it
 * started with, and pins what it looks at (index/segment_slot.h): sealed segments are opened when they are asked for.
 * `visible` is the sequence readers may see up to; it is stored after the rows were published.
 *
 * Thread rule: everything from any thread. Segments are added and replaced under the sequencer's (or the follower's)
 * lock, runs by whoever maintains them; change_lock keeps the two from losing each other's changes.
 *
 * I1: segments in a list are in the order of their ids and sequences; only the last may be unsealed for long.
 * I2: the runs of a list cover sealed segments of the list.
 */
#ifndef FBAT_INDEX_DIRECTORY_H
#define FBAT_INDEX_DIRECTORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/id_runs.h"
#include "index/segment_index.h"
#include "index/segment_slot.h"

struct segment_list {
    atomic_uint references;
    uint32_t count;
    uint32_t room;                /* slots that have memory */
    struct id_run_set *runs;      /* counted; NULL = none */
    struct segment_slot *slots[]; /* each counted */
};

struct directory {
    pthread_mutex_t change_lock;  /* held while a new list is made of the current one; taken before `lock` */
    pthread_mutex_t lock;         /* guards `current` */
    struct segment_list *current; /* never NULL after init */
    struct segment_cache *cache;  /* counted, by each slot too */
    _Atomic uint64_t visible;
};

/* Without directory_set_files, sealed segments stay open, all of them. */
bool directory_init(struct directory *directory);
void directory_deinit(struct directory *directory);

/* Before the first segment: at most `budget` sealed ones stay open, and others are opened from dir when they are asked
 * for. os and dir must outlive the directory, its lists and pins. */
void directory_set_files(struct directory *directory, struct os *os, const char *dir, const struct fbat_id *store_id,
                         uint32_t budget);

/* The current list, counted for the caller. */
struct segment_list *directory_acquire(struct directory *directory);
void segment_list_release(struct segment_list *list);

/* Adds an index behind all others; the directory takes over the caller's reference, on success only. From then on a
 * sealed one may be closed at any time: who goes on with it pins it. */
int directory_append(struct directory *directory, struct segment_index *index, struct fbat_error *error);

/* Adds a sealed segment that is not open, by what is known of it. */
int directory_append_closed(struct directory *directory, uint64_t segment_id, uint64_t generation,
                            const struct segment_summary *summary, struct fbat_error *error);

/* Puts `index` in the place of the one with the same segment id; likewise. */
int directory_replace(struct directory *directory, struct segment_index *index, struct fbat_error *error);

/* Puts `limited` in the place of the last index and `next` behind it, in one step: the log goes on in `next` from a sequence
 * that the last one had reached already. Takes over both references, on success only. */
int directory_take_over(struct directory *directory, struct segment_index *limited, struct segment_index *next,
                        struct fbat_error *error);

/* Makes these the runs, which cover sealed segments of the current list. The directory takes over the caller's
 * reference, on success only. NULL: none. */
int directory_set_runs(struct directory *directory, struct id_run_set *runs, struct fbat_error *error);

static inline uint64_t directory_visible(const struct directory *directory) {
    return atomic_load_explicit(&directory->visible, memory_order_acquire);
}
static inline void directory_set_visible(struct directory *directory, uint64_t sequence) {
    atomic_store_explicit(&directory->visible, sequence, memory_order_release);
}

/* The number of rows of the index that are visible up to a sequence. */
uint32_t directory_row_limit(const struct segment_index *index, uint64_t visible);

/* ---- one segment of a list ---- */

static inline uint64_t segment_list_segment_id(const struct segment_list *list, uint32_t at) {
    return list->slots[at]->segment_id;
}

/* What is known of a sealed segment without opening it; NULL when it is not sealed. */
static inline const struct segment_summary *segment_list_summary(const struct segment_list *list, uint32_t at) {
    return list->slots[at]->sealed ? &list->slots[at]->summary : NULL;
}

/* The index of a segment, opened if need be, for the caller to release with segment_index_release. See
 * segment_slot_pin. */
static inline int segment_list_pin(const struct segment_list *list, uint32_t at, struct segment_index **out_index,
                                   struct fbat_error *error) {
    return segment_slot_pin(list->slots[at], out_index, error);
}

/* ---- one event ----
 *
 * FBAT_OK with a pinned index, for the caller to release; FBAT_ERR_NOT_FOUND, without a message, when there is none up to
 * visible; other errors when a segment that may hold it could not be opened. */

/* The place of the event with this id, newest segments first. Segments that a run covers are asked only when the run
 * names them. */
int segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                         struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error);

/* Likewise by sequence. */
int segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                               struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error);

/* Likewise the last event of a stream. */
int segment_list_find_latest(const struct segment_list *list, uint64_t visible, struct fbat_slice scope,
                             struct fbat_slice entity, struct segment_index **out_index, uint32_t *out_position,
                             struct fbat_error *error);

#endif
