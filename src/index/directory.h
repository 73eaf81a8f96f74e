/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of all segments: which there are, in order, and what readers may see of them.
 *
 * Readers work on a list: an immutable, counted array of segment indexes, and the id runs that cover some of them. The
 * current list is replaced by a new one when a segment is added or sealed, or a run is made; a reader keeps the list it
 * started with, and with it every mapping it may still look at. `visible` is the sequence readers may see up to; it is
 * stored after the rows were published.
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

struct segment_list {
    atomic_uint references;
    uint32_t count;
    struct id_run_set *runs;         /* counted; NULL = none */
    struct segment_index *indexes[]; /* each counted */
};

struct directory {
    pthread_mutex_t change_lock;  /* held while a new list is made of the current one; taken before `lock` */
    pthread_mutex_t lock;         /* guards `current` */
    struct segment_list *current; /* never NULL after init */
    _Atomic uint64_t visible;
};

bool directory_init(struct directory *directory);
void directory_deinit(struct directory *directory);

/* The current list, counted for the caller. */
struct segment_list *directory_acquire(struct directory *directory);
void segment_list_release(struct segment_list *list);

/* Adds an index behind all others; the directory takes over the caller's reference, on success only. */
int directory_append(struct directory *directory, struct segment_index *index, struct fbat_error *error);

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

/* The place of the event with this id, newest segments first; false if there is none up to visible. Segments that a run
 * covers are asked only when the run names them. */
bool segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                          struct segment_index **out_index, uint32_t *out_position);

/* Likewise by sequence. */
bool segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                                struct segment_index **out_index, uint32_t *out_position);

/* Likewise the last event of a stream. */
bool segment_list_find_latest(const struct segment_list *list, uint64_t visible, struct fbat_slice scope,
                              struct fbat_slice entity, struct segment_index **out_index, uint32_t *out_position);

#endif
