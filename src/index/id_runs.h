/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Id runs: which of many sealed segments may hold an id, answered by a few files instead of all of them.
 *
 * Without them a lookup asks the id slots of every segment, newest first. A run is a file that covers a range of sealed
 * segments (format/id_run.h). It names those that may hold an id, nearly always none or the right one, and these are
 * asked as before. So a run cannot make an id be found that is not there; that it leaves none out is what its digest
 * and its checksums are for.
 *
 *     segments   1 2 3 4 | 5 6 7 8 | ... | 13 14 15 16 | 17 18 19 20 | 21 22 23   24 (active)
 *     runs       [------------------ 16 --------------] [---- 4 ----]  no run yet: asked one by one
 *
 * Ranges stand on a grid: a run covers ID_RUNS_FAN^n segments, and the first one's id is a multiple of that, plus 1. As
 * soon as ID_RUNS_FAN neighbours of one size are there, they are merged into one of the next size. So a store of S
 * sealed segments has at most (FAN - 1) log_FAN(S) runs, each event is written into at most log_FAN(S) of them, and at
 * most FAN - 1 segments at the end are in none. Segments without a footer are in none either, with their whole group.
 *
 * A set is the runs of a segment list: immutable, counted, ascending, without overlap. Lists hold sets, sets hold runs;
 * runs point to no segment. A run's pages are verified by their checksums when they are first looked at; where one is
 * wrong, the run is of no use any more, its segments are asked one by one, and id_runs_maintain makes it again.
 *
 * Thread rule: finding, retaining and releasing from any thread. id_runs_open and id_runs_maintain are not called at
 * the same time for one directory; the writer may add segments and readers may look up meanwhile.
 */
#ifndef FBAT_INDEX_ID_RUNS_H
#define FBAT_INDEX_ID_RUNS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "format/id_run.h"
#include "os/os.h"

struct directory;
struct segment_list;

enum { ID_RUNS_FAN = 4 };

/* One run, mapped. */
struct id_run {
    atomic_uint references;
    atomic_bool damaged; /* a page is not what was written: not used any more. Set by whoever finds it */
    struct os *os;
    const uint8_t *map;
    struct id_run_header header;
    uint32_t salt;
    struct fbat_id id_min, id_max;      /* of all its events */
    _Atomic uint64_t verified_pages[1]; /* a bit for each data page; more words follow. Set twice at worst: no harm */
};

/* The runs of a list of segments, ascending. */
struct id_run_set {
    atomic_uint references;
    uint32_t count;
    struct id_run *runs[]; /* each counted */
};

/* Finds the runs in dir and gives the directory the best cover of its segments; a later call takes up what has come
 * since. Call it when all segments were taken. With `writable`, runs that are of no use any more (covered by others,
 * invalid, half-written) are removed.
 * Runs are derived: on an error the directory has the runs it had, and everything is found without them. */
int id_runs_open(struct os *os, const char *dir, const struct fbat_id *store_id, bool writable,
                 struct directory *directory, struct fbat_error *error);

/* Makes one run, where one is due, durably, and gives it to the directory. *out_more says whether to call again. The
 * time grows with the events covered; cancel (may be NULL), set from any thread, makes it give up soon, with nothing
 * changed and *out_more true. On an error lookups go on as before; try again when the next segment was sealed. */
int id_runs_maintain(struct os *os, const char *dir, const struct fbat_id *store_id, struct directory *directory,
                     const atomic_bool *cancel, bool *out_more, struct fbat_error *error);

void id_run_set_retain(struct id_run_set *set);  /* NULL is accepted */
void id_run_set_release(struct id_run_set *set); /* likewise */

/* Heap bytes held by the runs of a set; NULL is accepted. */
uint64_t id_run_set_memory(const struct id_run_set *set);

/* A walk over the segments of a run that may hold an id. */
struct id_run_probe {
    const struct id_run *run;
    uint64_t at, end; /* entries left */
    uint32_t wanted;  /* fingerprint */
};

/* Begins a walk. False when the run is damaged: it then says nothing about the id. */
bool id_run_first(struct id_run *run, uint64_t id_hash, struct id_run_probe *out_probe);

/* The next segment; false at the end. */
bool id_run_next(struct id_run_probe *probe, uint64_t *out_segment_id);

#endif
