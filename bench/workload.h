/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The work that is measured: events with 128-byte payloads in 1,000 streams, 10 scopes and 8 kinds, the stream of each
 * chosen at random; and the stores they go into, below the data directory of the run.
 */
#ifndef FBAT_BENCH_WORKLOAD_H
#define FBAT_BENCH_WORKLOAD_H

#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum { STREAM_COUNT = 1000, SCOPE_COUNT = 10, KIND_COUNT = 8, PAYLOAD_BYTES = 128, PATH_BYTES = 512 };

/* A source of events; the same seed gives the same events. One thread. */
struct workload {
    uint64_t random;
    uint64_t number;
};

void workload_init(struct workload *workload, uint64_t seed);
uint64_t workload_random(struct workload *workload);

/* Fills the next event, which points into static memory; answers the number of its stream. */
uint32_t workload_next(struct workload *workload, struct fbat_new_event *out_event);

struct fbat_slice workload_entity(uint32_t stream);
struct fbat_slice workload_scope(uint32_t stream);
uint16_t workload_kind(uint32_t number);

/* Entity, scope and payload of an event: its own bytes, which no store can save. */
enum { OWN_BYTES = 13 + 7 + PAYLOAD_BYTES };

/* Where stores go; set once at the start. */
void workload_set_directory(const char *directory);
void data_path(const char *name, char out_path[PATH_BYTES]);

/* Removes a store, or any directory of files, and what is in it. Absent is fine. */
void bench_store_remove(const char *name);

/* Opens the store for writing, creating it if it is absent. options: pairs of name and value, then NULL; or NULL. */
struct fbat_store *bench_store_open(const char *name, const char *const *options);
void bench_store_close(struct fbat_store *store);

/* The same after removing what was there. */
struct fbat_store *bench_store_open_new(const char *name, const char *const *options);

/* Appends count events in batches of 256, or singly. */
void bench_store_fill(struct fbat_store *store, struct workload *workload, uint64_t count);
void bench_store_fill_singly(struct fbat_store *store, struct workload *workload, uint64_t count);

/* The bytes that one append of one event adds to the log, from the places of two events side by side. */
size_t bench_store_measure_frame(void);

/* Options of a store that never syncs by itself. */
extern const char *const no_sync_options[];

#endif
