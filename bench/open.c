/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and the first get: after a clean close and after kill -9, with the files in the page cache and evicted from it,
 * at 100 thousand and 1 million events.
 *
 * Each opening happens in a process of its own. The killed process had appended 500 events that were not synced. Files
 * are evicted with posix_fadvise, which needs no privilege and leaves the rest of the machine's cache alone; how much
 * of them stayed is checked and noted.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "families.h"
#include "fixture.h"
#include "harness.h"
#include "opening.h"
#include "workload.h"

enum { KILLED_EVENTS = 500, PAGE_SIZE_BYTES = 4096 };

struct opening {
    const char *name;
    struct fbat_id id;
    bool kill;
    bool cold;
    struct fbat_open_report *report; /* shared with the child */
    double cached_share;             /* greatest share of pages still cached at a cold opening */
};

/* ---- in the child ---- */

static uint64_t open_and_get(void *user) {
    struct opening *opening = user;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t start = now_ns();
    struct fbat_store *store = bench_store_open(opening->name, NULL);
    check_fbat(fbat_get(store, &opening->id, &event, &error), &error, "get an event");
    uint64_t taken = now_ns() - start;
    fbat_open_report(store, opening->report);
    fbat_event_release(&event);
    bench_store_close(store);
    return taken;
}

static _Noreturn void append_and_die(const char *name) {
    struct workload workload;
    workload_init(&workload, (uint64_t)getpid());
    struct fbat_store *store = bench_store_open(name, no_sync_options);
    bench_store_fill_singly(store, &workload, KILLED_EVENTS);
    kill(getpid(), SIGKILL);
    _exit(1);
}

/* ---- around it ---- */

static void kill_a_writer(const char *name) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    check_system(child >= 0, "fork");
    if (child == 0)
        append_and_die(name);
    check_system(waitpid(child, &status, 0) == child, "waitpid");
    if (!WIFSIGNALED(status))
        bench_die("the writer that was to be killed ended by itself");
}

static double cached_share_of(int descriptor, size_t size) {
    size_t pages = (size + PAGE_SIZE_BYTES - 1) / PAGE_SIZE_BYTES, cached = 0;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, descriptor, 0);
    unsigned char *states = malloc(pages);
    check_system(map != MAP_FAILED && states && mincore(map, size, states) == 0, "mincore");
    for (size_t page = 0; page < pages; page++)
        cached += states[page] & 1;
    munmap(map, size);
    free(states);
    return (double)cached / (double)pages;
}

static double evict_file(const char *path) {
    struct stat status;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    check_system(descriptor >= 0 && fstat(descriptor, &status) == 0, path);
    check_system(fsync(descriptor) == 0, path);
    (void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    double share = status.st_size > 0 ? cached_share_of(descriptor, (size_t)status.st_size) : 0;
    close(descriptor);
    return share;
}

static void evict_segments(struct opening *opening) {
    char directory[PATH_BYTES], path[PATH_BYTES + NAME_MAX + 2];
    data_path(opening->name, directory);
    DIR *entries = opendir(directory);
    struct dirent *entry;
    check_system(entries != NULL, directory);
    while ((entry = readdir(entries)) != NULL) {
        if (!strstr(entry->d_name, ".fbat"))
            continue;
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        double share = evict_file(path);
        opening->cached_share = share > opening->cached_share ? share : opening->cached_share;
    }
    closedir(entries);
}

static uint64_t run_opening(void *user, uint64_t count) {
    struct opening *opening = user;
    uint64_t sum = 0;
    for (; count > 0; count--) {
        if (opening->kill)
            kill_a_writer(opening->name);
        if (opening->cold)
            evict_segments(opening);
        sum += measure_in_child(open_and_get, opening);
    }
    return sum;
}

static struct fbat_id find_an_id(const char *name, uint64_t sequence) {
    struct fbat_event event;
    struct fbat_error error;
    struct fbat_store *store = bench_store_open(name, NULL);
    check_fbat(fbat_get_by_sequence(store, sequence, &event, &error), &error, "read an event");
    struct fbat_id id = event.id;
    fbat_event_release(&event);
    bench_store_close(store);
    return id;
}

static void describe_opening(const struct opening *opening, struct row *row) {
    static const char *const ways[] = {"empty", "frames", "footers", "checkpoint", "mapped index"};
    const struct fbat_open_report *report = opening->report;
    int used = snprintf(row->note, sizeof row->note, "by %s; %llu of %llu events scanned", ways[report->path],
                        (unsigned long long)report->events_scanned, (unsigned long long)report->events_total);
    if (opening->cold)
        snprintf(row->note + used, sizeof row->note - (size_t)used, "; at most %.0f %% of a file was still cached",
                 opening->cached_share * 100);
}

static void measure_opening(struct opening *opening, const char *size_name, unsigned rounds, double brief) {
    char name[128];
    snprintf(name, sizeof name, "open and first get, %s, %s, %s",
             opening->kill ? "after kill -9" : "after a clean close", size_name, opening->cold ? "cold" : "warm");
    struct row row = {.name = name, .unit = UNIT_MS};
    if (!opening->cold)
        row.brief.value = brief;
    for (unsigned round = 0; round < rounds; round++)
        series_add(&row.fbat, (double)run_opening(opening, 1) / 1e6);
    describe_opening(opening, &row);
    row_print(&row);
}

void measure_openings(const char *store_name, uint64_t sequence, const char *size_name, bool goals) {
    struct opening opening = {.name = store_name, .id = find_an_id(store_name, sequence)};
    opening.report = mmap(NULL, sizeof *opening.report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check_system(opening.report != MAP_FAILED, "map memory");
    for (unsigned way = 0; way < 4; way++) {
        opening.kill = way & 1;
        opening.cold = way & 2;
        opening.cached_share = 0;
        double brief = !goals ? 0 : opening.kill ? 60 : 0.5;
        measure_opening(&opening, size_name, harness_rounds(opening.cold ? 3 : 7), brief);
    }
    munmap(opening.report, sizeof *opening.report);
}

void family_open(void) {
    char name[FIXTURE_NAME_BYTES];
    fixture_make(100000, name);
    measure_openings(name, 77777, "100 k", false);
    fixture_make(1000000, name);
    measure_openings(name, 77777, "1 M", true);
}
