/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical floors: the part of a work that nothing can save, done as directly as the machine allows, without anything
 * else. Each is a subject's run (harness.h) over the struct before it.
 */
#ifndef FBAT_BENCH_FLOORS_H
#define FBAT_BENCH_FLOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "workload.h"

/* ---- append: hash what the chain hashes, checksum the frame, copy it ---- */

struct hash_floor {
    struct workload workload;
    void *digest; /* EVP_MD_CTX, reused */
    uint8_t *log; /* where frames are copied to, a ring */
    uint8_t *frame;
    size_t log_bytes;
    size_t log_at;
    size_t frame_bytes;
    uint32_t events_per_frame;
    uint8_t sum; /* keeps the work from being optimised away */
};

void hash_floor_init(struct hash_floor *floor, uint32_t events_per_frame);

/* With a ring of another size than 64 MiB. */
void hash_floor_init_ring(struct hash_floor *floor, uint32_t events_per_frame, size_t log_bytes);
void hash_floor_deinit(struct hash_floor *floor);
uint64_t hash_floor_run(void *user, uint64_t count);

/* ---- durable: pwrite of a frame, then fdatasync or fsync ---- */

struct sync_floor {
    int descriptor;
    bool data_only;
    uint8_t *frame;
    size_t frame_bytes;
    uint32_t events_per_frame;
    uint64_t at;
};

/* The file is preallocated; written: and filled with zeros, so that the file system need not note what was written. */
void sync_floor_init(struct sync_floor *floor, const char *name, uint32_t events_per_frame, bool data_only,
                     bool written);
void sync_floor_deinit(struct sync_floor *floor);
uint64_t sync_floor_run(void *user, uint64_t count);

/* One write of size bytes and its sync. */
void sync_floor_write(struct sync_floor *floor, const uint8_t *bytes, size_t size);

/* ---- reading: the least cache misses an answer needs, over records as large and as many as the log's ---- */

struct memory_floor {
    struct workload workload;
    uint64_t event_count;
    size_t stride;      /* bytes from one record to the next */
    uint8_t *records;   /* event_count of them */
    uint32_t *slots;    /* twice as many or more: the record that a hashed id leads to */
    uint64_t slot_mask; /* size less one; a power of two */
    uint32_t *streams;  /* record numbers, stream by stream */
    uint16_t *kinds;    /* one for each record */
    uint32_t *hits;     /* room for the answer of a scan */
    uint64_t sum;
};

void memory_floor_init(struct memory_floor *floor, uint64_t event_count);
void memory_floor_deinit(struct memory_floor *floor);
uint64_t memory_floor_get(void *user, uint64_t count);      /* slot, then record */
uint64_t memory_floor_sequence(void *user, uint64_t count); /* record */
uint64_t memory_floor_streams(void *user, uint64_t count);  /* each stream's payloads by a list of places */
uint64_t memory_floor_scan(void *user, uint64_t count);     /* count scans of all kinds for one */
uint64_t memory_floor_range(void *user, uint64_t count);    /* count times the headers of RANGE_EVENTS records */

enum { RANGE_EVENTS = 10000 };

#endif
