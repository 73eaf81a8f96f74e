/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store, put together: configuration, lock, segments, sequencer, kinds. What struct fbat_store is behind the public
 * header.
 *
 * A handle either writes (it holds the lock and has a sequencer) or follows (read-only: it catches up with the log at
 * each read, from the bytes that a writer in this or another process has made visible).
 */
#ifndef FBAT_STORE_STORE_H
#define FBAT_STORE_STORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "base/limits.h"
#include "format/live.h"
#include "format/store_meta.h"
#include "index/directory.h"
#include "store/kinds.h"
#include "write/sequencer.h"

struct fbat_store {
    struct os *os;
    struct fbat_config config; /* data_dir points to dir */
    char dir[LIMIT_PATH_BYTES];
    bool read_only;
    unsigned fork_generation; /* of the process that opened it */
    struct store_meta meta;
    struct os_file *lock_file; /* NULL on a read-only handle where there is none (yet) */
    bool locked;
    uint8_t *live; /* the mapped LOCK page; NULL likewise */
    struct directory directory;
    struct sequencer sequencer;  /* when writing */
    pthread_mutex_t follow_lock; /* when following: guards catching up */
    uint64_t follow_durable;     /* likewise: the durable sequence last seen in LOCK; atomic */
    uint32_t follow_segments;    /* likewise: as many there were when footers were last looked for; follow_lock */
    uint64_t
        follow_unfinished_id; /* likewise: what LOCK said then of unfinished footers; changed under follow_lock, atomic */
    struct kinds kinds;
    struct notifier *notifier; /* counted: what waits for events outlives the store */
    struct fbat_open_report report;
};

/* fbat_open and fbat_open_read_only on any os, which must outlive the store. */
int store_open(struct os *os, const struct fbat_config *config, struct fbat_store **out_store,
               struct fbat_error *error);
int store_open_read_only(struct os *os, const struct fbat_config *config, struct fbat_store **out_store,
                         struct fbat_error *error);
int store_close(struct fbat_store *store, struct fbat_error *error);

/* Ends a handle as a crash would: nothing is synced, cut or written. For tests of recovery. */
void store_abandon(struct fbat_store *store);

/* fbat_check and fbat_dump on any os. */
int store_check(struct os *os, const char *dir, const struct fbat_check_options *options,
                struct fbat_check_report *out_report, struct fbat_error *error);
int store_dump(struct os *os, const char *dir, uint64_t segment_id, fbat_dump_fn visit, void *user,
               struct fbat_error *error);

/* The list and the sequence a read starts from; a follower catches up first. The list is counted for the caller. */
int store_snapshot(struct fbat_store *store, struct segment_list **out_list, uint64_t *out_visible,
                   struct fbat_error *error);

/* The durable sequence that LOCK says, for a follower; never goes back. */
uint64_t follow_durable(struct fbat_store *store);

/* Lets a follower see what the writer has made visible by now. Nothing on a handle that writes. */
int store_catch_up(struct fbat_store *store, struct fbat_error *error);

int store_stats(struct fbat_store *store, struct fbat_stats *out_stats, struct fbat_error *error);

/* ---- between the files of this layer ---- */

/* Ids of the segment files in dir, ascending. The caller frees *out_ids with memory_free. */
int segment_ids_list(struct os *os, const char *dir, uint64_t **out_ids, size_t *out_count, struct fbat_error *error);

/* Reads store.meta. FBAT_ERR_NOT_FOUND (no directory), FBAT_ERR_NOT_A_STORE, FBAT_ERR_VERSION, FBAT_ERR_DAMAGED. */
int meta_read(struct os *os, const char *dir, struct store_meta *out_meta, struct fbat_error *error);

/* Makes the directory a store where it is absent or empty; reads store.meta in any case. The lock is held. */
int meta_create_or_read(struct os *os, const char *dir, struct store_meta *out_meta, struct fbat_error *error);

/* Makes the names of the directory and of what is in it durable. */
int meta_sync_names(struct os *os, const char *dir, struct fbat_error *error);

/* Refuses a path that can neither be nor become a store; creates the directory where it is absent. */
int meta_prepare_dir(struct os *os, const char *dir, struct fbat_error *error);

/* What LOCK says, if it is this store's. A missing file says nothing. */
int live_read(struct os *os, struct os_file *lock_file, const struct fbat_id *store_id, struct live *out_live,
              struct fbat_error *error);

/* Opens all segments into the store's directory and recovers the last one. Fills the report and `out_start`. */
int recover_segments(struct fbat_store *store, const struct live *live, bool writer_alive,
                     struct sequencer_start *out_start, struct fbat_error *error);

/* Opens and maps LOCK for a follower, if it is there by now. */
void follow_attach(struct fbat_store *store);

#endif
