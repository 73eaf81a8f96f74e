/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes of memory and of disk per event.
 *
 * Memory is anonymous memory (RssAnon), the mapped log not counted. Disk is what the files hold when the store is
 * closed, less entity, scope and payload, in a store most of whose segments are sealed and have their footers.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "families.h"
#include "fixture.h"
#include "harness.h"
#include "size.h"
#include "workload.h"

enum { DISK_EVENTS = 300000, MEMORY_EVENTS = 1000000 };

static const char *const small_segments[] = {"segment_max_bytes", "16MiB", "sync.every_n_events", "1000000000", NULL};

/* Bytes of anonymous memory of this process. */
static uint64_t anonymous_bytes(void) {
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    check_system(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, file) && sscanf(line, "RssAnon: %llu", &kilobytes) != 1)
        ;
    fclose(file);
    return kilobytes * 1024;
}

static uint64_t open_and_look(void *user) {
    const char *const *name = user;
    uint64_t before = anonymous_bytes();
    struct fbat_store *store = bench_store_open(*name, NULL);
    uint64_t grown = anonymous_bytes() - before;
    bench_store_close(store);
    return grown;
}

uint64_t memory_of_opened(const char *name) {
    return measure_in_child(open_and_look, &name);
}

static uint64_t memory_of_appending(void *user) {
    (void)user;
    struct workload workload;
    workload_init(&workload, 1);
    uint64_t before = anonymous_bytes();
    struct fbat_store *store = bench_store_open_new("memory", no_sync_options);
    bench_store_fill(store, &workload, MEMORY_EVENTS);
    uint64_t grown = anonymous_bytes() - before;
    bench_store_close(store);
    bench_store_remove("memory");
    return grown;
}

static void measure_memory(void) {
    struct row open_row = {.name = "memory per event, store of 1 M events opened", .unit = UNIT_BYTES, .brief = {8, 0}};
    struct row append_row = {.name = "memory per event, after appending 1 M events", .unit = UNIT_BYTES};
    char name[FIXTURE_NAME_BYTES];
    fixture_make(MEMORY_EVENTS, name);
    series_add(&open_row.fbat, (double)memory_of_opened(name) / MEMORY_EVENTS);
    series_add(&append_row.fbat, (double)measure_in_child(memory_of_appending, NULL) / MEMORY_EVENTS);
    snprintf(
        open_row.note, sizeof open_row.note,
        "the active segment's index is in memory, sealed ones are mapped; the design's figure is for 100 M events");
    snprintf(append_row.note, sizeof append_row.note, "likewise");
    row_print(&open_row);
    row_print(&append_row);
}

uint64_t bytes_of_store(const char *name) {
    char directory[PATH_BYTES], path[PATH_BYTES + NAME_MAX + 2];
    data_path(name, directory);
    uint64_t bytes = 0;
    DIR *entries = opendir(directory);
    struct dirent *entry;
    check_system(entries != NULL, directory);
    while ((entry = readdir(entries)) != NULL) {
        struct stat status;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        check_system(stat(path, &status) == 0, path);
        bytes += S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    }
    closedir(entries);
    return bytes;
}

static void measure_disk(const char *row_name, void (*fill)(struct fbat_store *, struct workload *, uint64_t)) {
    struct row row = {.name = row_name, .unit = UNIT_BYTES, .brief = {280, 0}};
    struct workload workload;
    struct fbat_stats stats;
    struct fbat_error error;
    workload_init(&workload, 1);
    struct fbat_store *store = bench_store_open_new("disk", small_segments);
    fill(store, &workload, DISK_EVENTS);
    check_fbat(fbat_stats(store, &stats, &error), &error, "stats");
    bench_store_close(store);
    double own = (double)OWN_BYTES * DISK_EVENTS;
    series_add(&row.fbat, ((double)bytes_of_store("disk") - own) / DISK_EVENTS);
    snprintf(row.note, sizeof row.note,
             "%llu segments of 16 MiB, %llu sealed; frames %.0f B and footers %.0f B an event",
             (unsigned long long)stats.segments, (unsigned long long)stats.segments_sealed,
             (double)stats.bytes_of_frames / DISK_EVENTS, (double)stats.bytes_of_footers / DISK_EVENTS);
    row_print(&row);
    bench_store_remove("disk");
}

void family_size(void) {
    measure_disk("disk per event beyond its own bytes, single appends", bench_store_fill_singly);
    measure_disk("disk per event beyond its own bytes, batches of 256", bench_store_fill);
    measure_memory();
}
