/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events and stores of the benchmarks. Names and payloads are made once; making an event costs some ten nanoseconds,
 * which every figure and its floor contain alike.
 */
#include "workload.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

enum { POOL_BYTES = 64 * 1024, BATCH_EVENTS = 256 };

static char entity_names[STREAM_COUNT][16], scope_names[SCOPE_COUNT][16];
static unsigned char payload_pool[POOL_BYTES];
static const char *data_directory = ".";

const char *const no_sync_options[] = {"sync.every_n_events", "1000000000", "sync.max_delay_ms", "0", NULL};

/* ---- events ---- */

static void make_names(void) {
    if (entity_names[0][0])
        return;
    struct workload source = {.random = 88172645463325252u};
    for (unsigned stream = 0; stream < STREAM_COUNT; stream++)
        snprintf(entity_names[stream], sizeof entity_names[stream], "entity-%06u", stream);
    for (unsigned scope = 0; scope < SCOPE_COUNT; scope++)
        snprintf(scope_names[scope], sizeof scope_names[scope], "scope-%u", scope);
    for (size_t at = 0; at < POOL_BYTES; at++)
        payload_pool[at] = (unsigned char)workload_random(&source);
}

void workload_init(struct workload *workload, uint64_t seed) {
    make_names();
    workload->random = seed * 0x9E3779B97F4A7C15u + 1;
    workload->number = 0;
}

/* xorshift64: a random number for two or three cycles. */
uint64_t workload_random(struct workload *workload) {
    uint64_t bits = workload->random;
    bits ^= bits << 13;
    bits ^= bits >> 7;
    bits ^= bits << 17;
    return workload->random = bits;
}

struct fbat_slice workload_entity(uint32_t stream) {
    return fbat_bytes(entity_names[stream], 13);
}

struct fbat_slice workload_scope(uint32_t stream) {
    return fbat_bytes(scope_names[stream % SCOPE_COUNT], 7);
}

uint16_t workload_kind(uint32_t number) {
    return FBAT_KIND(1, 1 + number % KIND_COUNT);
}

uint32_t workload_next(struct workload *workload, struct fbat_new_event *out_event) {
    uint64_t bits = workload_random(workload);
    uint32_t stream = (uint32_t)((bits >> 32) % STREAM_COUNT);
    *out_event = (struct fbat_new_event){
        .struct_size = sizeof *out_event,
        .kind = workload_kind((uint32_t)workload->number++),
        .entity = workload_entity(stream),
        .scope = workload_scope(stream),
        .payload = fbat_bytes(payload_pool + bits % (POOL_BYTES - PAYLOAD_BYTES), PAYLOAD_BYTES),
    };
    return stream;
}

/* ---- stores ---- */

void workload_set_directory(const char *directory) {
    data_directory = directory;
}

void data_path(const char *name, char out_path[PATH_BYTES]) {
    int length = snprintf(out_path, PATH_BYTES, "%s/%s", data_directory, name);
    if (length >= PATH_BYTES)
        bench_die("the path of %s is too long", name);
}

void bench_store_remove(const char *name) {
    char directory[PATH_BYTES], path[PATH_BYTES + NAME_MAX + 2];
    data_path(name, directory);
    DIR *entries = opendir(directory);
    struct dirent *entry;
    while (entries && (entry = readdir(entries)) != NULL) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            check_system(unlink(path) == 0, path);
    }
    if (entries)
        closedir(entries);
    check_system(rmdir(directory) == 0 || errno == ENOENT, directory);
}

struct fbat_store *bench_store_open(const char *name, const char *const *options) {
    char path[PATH_BYTES];
    struct fbat_config config;
    struct fbat_store *store;
    struct fbat_error error;
    data_path(name, path);
    fbat_config_init(&config, path);
    for (; options && *options; options += 2)
        check_fbat(fbat_config_set(&config, options[0], options[1], &error), &error, "set an option");
    check_fbat(fbat_open(&config, &store, &error), &error, "open a store");
    return store;
}

struct fbat_store *bench_store_open_new(const char *name, const char *const *options) {
    bench_store_remove(name);
    return bench_store_open(name, options);
}

void bench_store_close(struct fbat_store *store) {
    struct fbat_error error;
    check_fbat(fbat_close(store, &error), &error, "close a store");
}

void bench_store_fill(struct fbat_store *store, struct workload *workload, uint64_t count) {
    struct fbat_new_event events[BATCH_EVENTS];
    struct fbat_error error;
    while (count > 0) {
        size_t here = count < BATCH_EVENTS ? (size_t)count : BATCH_EVENTS;
        for (size_t item = 0; item < here; item++)
            workload_next(workload, &events[item]);
        check_fbat(fbat_append_batch(store, events, here, NULL, NULL, &error), &error, "fill a store");
        count -= here;
    }
}

void bench_store_fill_singly(struct fbat_store *store, struct workload *workload, uint64_t count) {
    struct fbat_new_event event;
    struct fbat_error error;
    for (; count > 0; count--) {
        workload_next(workload, &event);
        check_fbat(fbat_append(store, &event, NULL, NULL, &error), &error, "fill a store");
    }
}

size_t bench_store_measure_frame(void) {
    static size_t bytes;
    struct workload workload;
    struct fbat_event events[2];
    struct fbat_error error;
    if (bytes)
        return bytes;
    workload_init(&workload, 1);
    struct fbat_store *store = bench_store_open_new("frame", NULL);
    bench_store_fill_singly(store, &workload, 2);
    for (unsigned at = 0; at < 2; at++)
        check_fbat(fbat_get_by_sequence(store, at + 1, &events[at], &error), &error, "read an event");
    bytes = (size_t)(events[1].offset - events[0].offset);
    for (unsigned at = 0; at < 2; at++)
        fbat_event_release(&events[at]);
    bench_store_close(store);
    bench_store_remove("frame");
    return bytes;
}
