/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the floors do, and on what: bytes are as many as fbat's own, in buffers whose pages are present.
 *
 * The chain hashes, for an event without headers and tags, its payload, and then the sequence, 124 bytes of fields, the
 * payload's hash, scope and entity (docs/FORMAT.md).
 */
#include "floors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include "harness.h"

enum {
    IMAGE_FIXED_BYTES = 8 + 124 + 32,
    IMAGE_NAMES_BYTES = OWN_BYTES - PAYLOAD_BYTES,
    LOG_RING_BYTES = 64 << 20,
    SYNC_FILE_BYTES = 64 << 20,
    FRAME_HEADER_SHARE = 32, /* a frame's header: once for all its events */
};

static void *allocate_touched(size_t size, int fill) {
    void *memory = malloc(size);
    check_system(memory != NULL, "allocate memory");
    return memset(memory, fill, size);
}

static size_t frame_bytes_of(uint32_t events_per_frame) {
    return FRAME_HEADER_SHARE + events_per_frame * (bench_store_measure_frame() - FRAME_HEADER_SHARE);
}

/* ---- append ---- */

void hash_floor_init(struct hash_floor *floor, uint32_t events_per_frame) {
    hash_floor_init_ring(floor, events_per_frame, LOG_RING_BYTES);
}

void hash_floor_init_ring(struct hash_floor *floor, uint32_t events_per_frame, size_t log_bytes) {
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    memset(floor, 0, sizeof *floor);
    workload_init(&floor->workload, 1);
    if (!digest || EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1)
        bench_die("no SHA-256");
    floor->digest = digest;
    floor->events_per_frame = events_per_frame;
    floor->frame_bytes = frame_bytes_of(events_per_frame);
    floor->frame = allocate_touched(floor->frame_bytes, 0x5A);
    floor->log_bytes = log_bytes;
    floor->log = allocate_touched(log_bytes, 0);
}

void hash_floor_deinit(struct hash_floor *floor) {
    EVP_MD_CTX_free(floor->digest);
    free(floor->frame);
    free(floor->log);
}

static void hash_event(struct hash_floor *floor, const struct fbat_new_event *event) {
    uint8_t content[32], hash[32];
    EVP_DigestInit_ex2(floor->digest, NULL, NULL);
    EVP_DigestUpdate(floor->digest, event->payload.data, event->payload.size);
    EVP_DigestFinal_ex(floor->digest, content, NULL);
    memcpy(floor->frame, content, sizeof content);
    EVP_DigestInit_ex2(floor->digest, NULL, NULL);
    EVP_DigestUpdate(floor->digest, floor->frame, IMAGE_FIXED_BYTES);
    EVP_DigestUpdate(floor->digest, floor->frame + IMAGE_FIXED_BYTES, IMAGE_NAMES_BYTES);
    EVP_DigestFinal_ex(floor->digest, hash, NULL);
    memcpy(floor->frame + 32, hash, sizeof hash);
}

static void write_frame_to_ring(struct hash_floor *floor) {
    uint32_t checksum = crc32_iscsi(floor->frame, (int)floor->frame_bytes, ~0u);
    if (floor->log_at + floor->frame_bytes > floor->log_bytes)
        floor->log_at = 0;
    memcpy(floor->log + floor->log_at, floor->frame, floor->frame_bytes);
    floor->sum = (uint8_t)(floor->sum + checksum + floor->log[floor->log_at]);
    floor->log_at += floor->frame_bytes;
}

uint64_t hash_floor_run(void *user, uint64_t count) {
    struct hash_floor *floor = user;
    struct fbat_new_event event;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        workload_next(&floor->workload, &event);
        hash_event(floor, &event);
        if ((done + 1) % floor->events_per_frame == 0)
            write_frame_to_ring(floor);
    }
    return now_ns() - start;
}

/* ---- durable ---- */

static void fill_with_zeros(int descriptor) {
    enum { PIECE = 1 << 20 };
    uint8_t *zeros = allocate_touched(PIECE, 0);
    for (off_t at = 0; at < SYNC_FILE_BYTES; at += PIECE)
        check_system(pwrite(descriptor, zeros, PIECE, at) == PIECE, "fill a file");
    free(zeros);
}

void sync_floor_init(struct sync_floor *floor, const char *name, uint32_t events_per_frame, bool data_only,
                     bool written) {
    char path[PATH_BYTES];
    data_path(name, path);
    *floor = (struct sync_floor){.data_only = data_only, .events_per_frame = events_per_frame};
    floor->frame_bytes = frame_bytes_of(events_per_frame);
    floor->frame = allocate_touched(floor->frame_bytes, 0x5A);
    floor->descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    check_system(floor->descriptor >= 0, path);
    check_system(unlink(path) == 0, path);
    check_system(posix_fallocate(floor->descriptor, 0, SYNC_FILE_BYTES) == 0, "preallocate a file");
    if (written)
        fill_with_zeros(floor->descriptor);
    check_system(fsync(floor->descriptor) == 0, "sync a file");
}

void sync_floor_deinit(struct sync_floor *floor) {
    close(floor->descriptor);
    free(floor->frame);
}

void sync_floor_write(struct sync_floor *floor, const uint8_t *bytes, size_t size) {
    if (floor->at + size > SYNC_FILE_BYTES)
        floor->at = 0;
    ssize_t written = pwrite(floor->descriptor, bytes, size, (off_t)floor->at);
    check_system(written == (ssize_t)size, "write a file");
    check_system((floor->data_only ? fdatasync : fsync)(floor->descriptor) == 0, "sync a file");
    floor->at += size;
}

uint64_t sync_floor_run(void *user, uint64_t count) {
    struct sync_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done += floor->events_per_frame) {
        sync_floor_write(floor, floor->frame, floor->frame_bytes);
        floor->frame[0]++;
    }
    return now_ns() - start;
}

/* ---- reading ---- */

static uint64_t hash_of_number(uint64_t number) {
    number *= 0x9E3779B97F4A7C15u;
    return number ^ number >> 29;
}

static void fill_slots(struct memory_floor *floor) {
    uint64_t size = 1024;
    while (size < floor->event_count * 2)
        size *= 2;
    floor->slot_mask = size - 1;
    floor->slots = allocate_touched(size * sizeof *floor->slots, 0);
    for (uint64_t number = 0; number < floor->event_count; number++)
        floor->slots[hash_of_number(number) & floor->slot_mask] = (uint32_t)number;
}

/* Each record to a random stream, the records of a stream in the order of the log. */
static void fill_streams(struct memory_floor *floor) {
    uint64_t starts[STREAM_COUNT + 1] = {0};
    uint16_t *stream_of = allocate_touched(floor->event_count * sizeof *stream_of, 0);
    for (uint64_t number = 0; number < floor->event_count; number++) {
        stream_of[number] = (uint16_t)(workload_random(&floor->workload) % STREAM_COUNT);
        starts[stream_of[number] + 1]++;
    }
    for (unsigned stream = 0; stream < STREAM_COUNT; stream++)
        starts[stream + 1] += starts[stream];
    for (uint64_t number = 0; number < floor->event_count; number++)
        floor->streams[starts[stream_of[number]]++] = (uint32_t)number;
    free(stream_of);
}

void memory_floor_init(struct memory_floor *floor, uint64_t event_count) {
    memset(floor, 0, sizeof *floor);
    workload_init(&floor->workload, 1);
    floor->event_count = event_count;
    floor->stride = bench_store_measure_frame();
    floor->records = allocate_touched(event_count * floor->stride, 1);
    floor->streams = allocate_touched(event_count * sizeof *floor->streams, 0);
    floor->kinds = allocate_touched(event_count * sizeof *floor->kinds, 0);
    floor->hits = allocate_touched(event_count * sizeof *floor->hits, 0);
    for (uint64_t number = 0; number < event_count; number++)
        floor->kinds[number] = workload_kind((uint32_t)number);
    fill_slots(floor);
    fill_streams(floor);
}

void memory_floor_deinit(struct memory_floor *floor) {
    free(floor->records);
    free(floor->streams);
    free(floor->kinds);
    free(floor->hits);
    free(floor->slots);
}

uint64_t memory_floor_get(void *user, uint64_t count) {
    struct memory_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        uint64_t number = workload_random(&floor->workload) % floor->event_count;
        uint32_t place = floor->slots[hash_of_number(number) & floor->slot_mask];
        floor->sum += floor->records[place * floor->stride];
    }
    return now_ns() - start;
}

uint64_t memory_floor_sequence(void *user, uint64_t count) {
    struct memory_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++)
        floor->sum += floor->records[workload_random(&floor->workload) % floor->event_count * floor->stride];
    return now_ns() - start;
}

uint64_t memory_floor_streams(void *user, uint64_t count) {
    struct memory_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        const uint8_t *end = floor->records + (floor->streams[done % floor->event_count] + 1) * floor->stride;
        floor->sum += (uint64_t)end[-PAYLOAD_BYTES] + end[-1];
    }
    return now_ns() - start;
}

uint64_t memory_floor_scan(void *user, uint64_t count) {
    struct memory_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        uint16_t wanted = workload_kind((uint32_t)done);
        uint64_t hit_count = 0;
        for (uint64_t number = 0; number < floor->event_count; number++) {
            floor->hits[hit_count] = (uint32_t)number;
            hit_count += floor->kinds[number] == wanted;
        }
        floor->sum += hit_count;
    }
    return now_ns() - start;
}

uint64_t memory_floor_range(void *user, uint64_t count) {
    struct memory_floor *floor = user;
    uint64_t start = now_ns();
    for (uint64_t done = 0; done < count; done++) {
        uint64_t first = workload_random(&floor->workload) % (floor->event_count - RANGE_EVENTS);
        for (uint64_t number = first; number < first + RANGE_EVENTS; number++)
            floor->sum += floor->records[number * floor->stride];
    }
    return now_ns() - start;
}
