/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the two halves of id runs share: id_runs.c opens, asks and keeps them; id_runs_build.c makes new ones of those and of
 * the segments' id slots. Nobody else includes this.
 *
 * Thread rule: as in id_runs.h.
 */
#ifndef FBAT_INDEX_ID_RUNS_INTERNAL_H
#define FBAT_INDEX_ID_RUNS_INTERNAL_H

#include "base/bytes.h"
#include "index/directory.h"
#include "index/id_runs.h"

/* Where runs live, and whose they are. */
struct id_runs_place {
    struct os *os;
    const char *dir;
    const struct fbat_id *store_id;
    struct directory *directory;
};

/* ---- files; out_path has room for LIMIT_PATH_BYTES ---- */

void id_run_path(const char *dir, struct id_run_range range, bool temporary, char *out_path);

/* What cannot be removed is removed by the next opening. */
void id_run_remove_file(struct os *os, const char *dir, struct id_run_range range, bool temporary);

/* ---- the segments of a range, all of them in the list ---- */

struct segment_slot *id_runs_segment(const struct segment_list *list, uint64_t segment_id);
bool id_runs_all_sealed(const struct segment_list *list, struct id_run_range range);
uint64_t id_runs_count_entries(const struct segment_list *list, struct id_run_range range);

/* The header of a run of these segments, all sealed, without bits and offsets. */
struct id_run_header id_runs_describe(const struct segment_list *list, const struct fbat_id *store_id,
                                      struct id_run_range range);

/* ---- a run ---- */

/* Opens the run of a range. FBAT_ERR_DAMAGED: it is not a run of these segments, and never will be; other errors are
 * the moment's. */
int id_run_open(struct os *os, const char *dir, const struct fbat_id *store_id, const struct segment_list *list,
                struct id_run_range range, struct id_run **out_run, struct fbat_error *error);
void id_run_release(struct id_run *run); /* NULL is accepted */

/* True when the pages that hold `bytes` bytes, at an offset into the data pages, are what was written; else the run is
 * damaged from now on. */
bool id_run_verify(struct id_run *run, uint64_t offset, uint64_t bytes);

static inline bool id_run_is_damaged(const struct id_run *run) {
    return atomic_load_explicit(&run->damaged, memory_order_relaxed);
}

/* Of verified pages only. */
static inline uint64_t id_run_bucket_start(const struct id_run *run, uint64_t bucket) {
    return load_u32(run->map + run->header.buckets_offset + bucket * sizeof(uint32_t));
}

static inline uint32_t id_run_entry_at(const struct id_run *run, uint64_t at) {
    return load_u32(run->map + run->header.entries_offset + at * sizeof(uint32_t));
}

/* ---- a set ---- */

/* Empty, with room for so many; NULL: no memory. */
struct id_run_set *id_run_set_create(size_t room);

/* Adds a run, which gets one more reference, behind the others. */
void id_run_set_add(struct id_run_set *set, struct id_run *run);

/* Gives a set to the directory, which has it from then on; on failure it is released. NULL: there was no memory for it. */
int id_runs_adopt(struct directory *directory, struct id_run_set *set, struct fbat_error *error);

#endif
