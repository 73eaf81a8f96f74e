/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of all segments: which there are, in order, and what readers may see of them.
 *
 * Readers work on a list: an immutable, counted array of segment indexes. The writer replaces the current list by a
 * new one when a segment is added or sealed; a reader keeps the list it started with, and with it every mapping it
 * may still look at. `visible` is the sequence readers may see up to; it is stored after the rows were published.
 *
 * Thread rule: list_acquire, list_release and visible from any thread; changes under the sequencer's (or the
 * follower's) lock.
 *
 * I1: segments in a list are in the order of their ids and sequences; only the last may be unsealed for long.
 */
#ifndef FBAT_INDEX_DIRECTORY_H
#define FBAT_INDEX_DIRECTORY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/segment_index.h"

struct segment_list {
    atomic_uint references;
    uint32_t count;
    struct segment_index *indexes[]; /* each counted */
};

struct directory {
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

static inline uint64_t directory_visible(const struct directory *directory) {
    return atomic_load_explicit(&directory->visible, memory_order_acquire);
}
static inline void directory_set_visible(struct directory *directory, uint64_t sequence) {
    atomic_store_explicit(&directory->visible, sequence, memory_order_release);
}

/* The number of rows of the index that are visible up to a sequence. */
uint32_t directory_row_limit(const struct segment_index *index, uint64_t visible);

/* The place of the event with this id, newest segments first; false if there is none up to visible. */
bool segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                          struct segment_index **out_index, uint32_t *out_position);

/* Likewise by sequence. */
bool segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                                struct segment_index **out_index, uint32_t *out_position);

/* Likewise the last event of a stream. */
bool segment_list_find_latest(const struct segment_list *list, uint64_t visible, struct fbat_slice scope,
                              struct fbat_slice entity, struct segment_index **out_index, uint32_t *out_position);

#endif
