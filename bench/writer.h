/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store and a source of events for it: what most subjects of the write path run over.
 *
 * One thread at a time, but several writers may share a store.
 */
#ifndef FBAT_BENCH_WRITER_H
#define FBAT_BENCH_WRITER_H

#include <stdint.h>

#include "workload.h"

enum { WRITER_BATCH = 256 };

struct writer {
    struct fbat_store *store;
    struct workload workload;
    struct fbat_append_options options;
    uint64_t revisions[STREAM_COUNT]; /* where each stream is, if nobody else writes */
    const char *name;
};

/* Opens a new store below the data directory and puts some thousand events in, so that every stream exists. */
void writer_open(struct writer *writer, const char *name, enum fbat_level level, const char *const *options);

/* Closes the store and removes it. */
void writer_close(struct writer *writer);

/* One event. */
void writer_append(struct writer *writer, const struct fbat_new_event *event, struct fbat_receipt *out_receipt);

/* Runs of a subject; user is the writer. */
uint64_t writer_run_plain(void *user, uint64_t count);
uint64_t writer_run_batches(void *user, uint64_t count); /* of 256, or of count where that is less */

#endif
