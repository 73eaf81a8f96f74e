/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, asking and keeping id runs. What they are, and the grid they stand on, is told in the header; id_runs_build.c
 * makes them.
 *
 * Happy path of an opening: the names in the directory, the longest range first; each that is a run of the segments as
 * they are, and not covered by one taken before, is mapped, and the set of them is given to the directory. Of a lookup:
 * the id's bucket, the few entries in it, and the segments that those name.
 *
 * Failure: all of it is derived. Whatever a crash leaves is found at the next opening: a half-written file by its name, a
 * run whose parts are still there by its range, one of other segments by its digest. A page that never reached the disk,
 * or went bad, is found by its checksum, at the first look at it; from then on the run is not asked any more.
 *
 * Thread rule: as in the header.
 *
 * I1: a run in use says what its segments are: its digest was compared with theirs.
 * I2: runs of a set ascend and do not overlap.
 */
#include "index/id_runs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/memory.h"
#include "index/id_runs_internal.h"

enum { SCAN_ENTRIES = 32 }; /* of a bucket are looked at one by one; in a larger one, bisection comes first */

/* ---- a range: its file, its segments, what a run of it must say ---- */

void id_run_path(const char *dir, struct id_run_range range, bool temporary, char *out_path) {
    char name[ID_RUN_NAME_BYTES];
    id_run_name(range, temporary, name);
    int length = snprintf(out_path, LIMIT_PATH_BYTES, "%s/%s", dir, name);
    FBAT_ASSERT(length > 0 && length < LIMIT_PATH_BYTES);
}

void id_run_remove_file(struct os *os, const char *dir, struct id_run_range range, bool temporary) {
    char path[LIMIT_PATH_BYTES];
    id_run_path(dir, range, temporary, path);
    (void)os->methods->path_remove(os, path);
}

struct segment_slot *id_runs_segment(const struct segment_list *list, uint64_t segment_id) {
    return list->slots[segment_id - list->slots[0]->segment_id];
}

static bool holds_range(const struct segment_list *list, struct id_run_range range) {
    if (list->count == 0)
        return false;
    uint64_t first = list->slots[0]->segment_id;
    return range.first >= first && range.last - first < list->count;
}

bool id_runs_all_sealed(const struct segment_list *list, struct id_run_range range) {
    for (uint64_t id = range.first; id <= range.last; id++)
        if (!id_runs_segment(list, id)->sealed)
            return false;
    return true;
}

uint64_t id_runs_count_entries(const struct segment_list *list, struct id_run_range range) {
    uint64_t events = 0;
    for (uint64_t id = range.first; id <= range.last; id++)
        events += segment_summary_slotted(&id_runs_segment(list, id)->summary);
    return events;
}

struct id_run_header id_runs_describe(const struct segment_list *list, const struct fbat_id *store_id,
                                      struct id_run_range range) {
    struct id_run_header header = {
        .store_id = *store_id,
        .range = range,
        .entry_count = id_runs_count_entries(list, range),
    };
    for (uint64_t id = range.first; id <= range.last; id++) {
        const struct segment_slot *slot = id_runs_segment(list, id);
        const struct id_run_segment segment = {
            .generation = slot->generation,
            .first_sequence = slot->summary.first_sequence,
            .event_count = slot->summary.event_count,
            .last_hash = slot->summary.last_hash,
        };
        id_run_digest_segment(header.segments_digest, &segment);
    }
    return header;
}

/* ---- life of a run and of a set ---- */

void id_run_release(struct id_run *run) {
    if (!run || atomic_fetch_sub_explicit(&run->references, 1, memory_order_acq_rel) != 1)
        return;
    if (run->map)
        run->os->methods->file_unmap(run->os, (void *)(uintptr_t)run->map, run->header.file_bytes);
    memory_free(run);
}

static uint64_t verified_words(const struct id_run_header *header) {
    return (id_run_page_count(header) + 63) / 64;
}

static uint64_t run_memory(const struct id_run *run) {
    return sizeof *run + verified_words(&run->header) * sizeof run->verified_pages[0];
}

static void note_id_range(struct id_run *run, const struct segment_list *list) {
    FBAT_ASSERT(run);
    const struct segment_slot *first = id_runs_segment(list, run->header.range.first);
    run->id_min = first->summary.id_min;
    run->id_max = first->summary.id_max;
    for (uint64_t id = run->header.range.first + 1; id <= run->header.range.last; id++) {
        const struct segment_summary *summary = &id_runs_segment(list, id)->summary;
        if (memcmp(&summary->id_min, &run->id_min, sizeof run->id_min) < 0)
            run->id_min = summary->id_min;
        if (memcmp(&summary->id_max, &run->id_max, sizeof run->id_max) > 0)
            run->id_max = summary->id_max;
    }
}

static int fail_run_file(const char *path, const char *fault, struct fbat_error *error) {
    return error_set(error, FBAT_ERR_DAMAGED, "%s is not a valid id run: %s", path, fault);
}

static int read_run_header(struct os *os, struct os_file *file, const char *path, struct id_run_header *out_header,
                           struct fbat_error *error) {
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    uint64_t size = 0;
    int os_errno = os->methods->file_size(os, file, &size);
    if (!os_errno && size < sizeof bytes)
        return fail_run_file(path, "it is too short", error);
    if (!os_errno)
        os_errno = os->methods->file_read_at(os, file, bytes, sizeof bytes, 0);
    if (os_errno)
        return error_set_os(error, os_errno, "read", path);
    const char *fault = id_run_decode(bytes, size, out_header);
    return fault ? fail_run_file(path, fault, error) : FBAT_OK;
}

static bool is_about(const struct id_run_header *header, const struct id_run_header *wanted) {
    return id_equal(&header->store_id, &wanted->store_id) && header->range.first == wanted->range.first &&
           header->range.last == wanted->range.last && header->entry_count == wanted->entry_count &&
           memcmp(header->segments_digest, wanted->segments_digest, sizeof header->segments_digest) == 0;
}

static int map_run(struct os *os, struct os_file *file, const char *path, const struct id_run_header *wanted,
                   struct id_run **out_run, struct fbat_error *error) {
    struct id_run_header header = {0};
    FBAT_TRY(read_run_header(os, file, path, &header, error));
    if (!is_about(&header, wanted)) /* I1 */
        return fail_run_file(path, "it was made of other segments", error);
    struct id_run *run = memory_allocate_zero(sizeof *run + verified_words(&header) * sizeof run->verified_pages[0]);
    if (!run)
        return error_set_no_memory(error);
    void *address;
    int os_errno = os->methods->file_map(os, file, header.file_bytes, false, &address);
    if (os_errno) {
        memory_free(run);
        return error_set_os(error, os_errno, "map", path);
    }
    atomic_init(&run->references, 1);
    run->os = os;
    run->map = address;
    run->header = header;
    run->salt = id_run_salt(&header);
    *out_run = run;
    return FBAT_OK;
}

int id_run_open(struct os *os, const char *dir, const struct fbat_id *store_id, const struct segment_list *list,
                struct id_run_range range, struct id_run **out_run, struct fbat_error *error) {
    char path[LIMIT_PATH_BYTES];
    id_run_path(dir, range, false, path);
    if (!holds_range(list, range))
        return fail_run_file(path, "there are no such segments", error);
    if (!id_runs_all_sealed(list, range))
        return error_set(error, FBAT_ERR_NOT_FOUND, "segments of %s are not sealed", path);
    struct id_run_header wanted = id_runs_describe(list, store_id, range);
    struct os_file *file;
    int os_errno = os->methods->file_open(os, path, OS_OPEN_READ, &file);
    if (os_errno)
        return error_set_os(error, os_errno, "open", path);
    struct id_run *run = NULL;
    int status = map_run(os, file, path, &wanted, &run, error);
    os->methods->file_close(os, file);
    FBAT_TRY(status);
    note_id_range(run, list);
    *out_run = run;
    return FBAT_OK;
}

struct id_run_set *id_run_set_create(size_t room) {
    struct id_run_set *set = memory_allocate_zero(sizeof *set + room * sizeof set->runs[0]);
    if (set)
        atomic_init(&set->references, 1);
    return set;
}

void id_run_set_retain(struct id_run_set *set) {
    if (set)
        atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
}

void id_run_set_release(struct id_run_set *set) {
    if (!set || atomic_fetch_sub_explicit(&set->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t at = 0; at < set->count; at++)
        id_run_release(set->runs[at]);
    memory_free(set);
}

void id_run_set_add(struct id_run_set *set, struct id_run *run) {
    atomic_fetch_add_explicit(&run->references, 1, memory_order_relaxed);
    set->runs[set->count++] = run;
}

uint64_t id_run_set_memory(const struct id_run_set *set) {
    uint64_t bytes = set ? sizeof *set : 0;
    for (uint32_t at = 0; set && at < set->count; at++)
        bytes += sizeof set->runs[at] + run_memory(set->runs[at]);
    return bytes;
}

int id_runs_adopt(struct directory *directory, struct id_run_set *set, struct fbat_error *error) {
    if (!set)
        return error_set_no_memory(error);
    int status = directory_set_runs(directory, set, error);
    if (status < 0)
        id_run_set_release(set);
    return status;
}

/* ---- asking a run ---- */

static void mark_damaged(struct id_run *run) {
    atomic_store_explicit(&run->damaged, true, memory_order_relaxed);
}

static bool verify_page(struct id_run *run, uint64_t page) {
    const uint8_t *at = run->map + run->header.buckets_offset + page * ID_RUN_PAGE_BYTES;
    const uint8_t *stored = run->map + run->header.checksums_offset + page * sizeof(uint32_t);
    if (crc32c(at, ID_RUN_PAGE_BYTES, run->salt ^ (uint32_t)page) != load_u32(stored)) {
        mark_damaged(run);
        return false;
    }
    atomic_fetch_or_explicit(&run->verified_pages[page / 64], UINT64_C(1) << page % 64, memory_order_relaxed);
    return true;
}

bool id_run_verify(struct id_run *run, uint64_t offset, uint64_t bytes) {
    for (uint64_t page = offset / ID_RUN_PAGE_BYTES; page * ID_RUN_PAGE_BYTES < offset + bytes; page++) {
        uint64_t word = atomic_load_explicit(&run->verified_pages[page / 64], memory_order_relaxed);
        if (!(word >> page % 64 & 1) && !verify_page(run, page))
            return false;
    }
    return true;
}

/* Only ids made to collide fill a bucket beyond a few entries; then what cannot be the one wanted is left out. */
static void narrow_probe(struct id_run_probe *probe, uint32_t mask) {
    uint64_t end = probe->end;
    while (end - probe->at > SCAN_ENTRIES) {
        uint64_t middle = probe->at + (end - probe->at) / 2;
        if ((id_run_entry_at(probe->run, middle) & mask) < probe->wanted)
            probe->at = middle + 1;
        else
            end = middle;
    }
}

bool id_run_first(struct id_run *run, uint64_t id_hash, struct id_run_probe *out_probe) {
    const struct id_run_header *header = &run->header;
    uint64_t bucket = id_run_bucket(header, id_hash);
    if (id_run_is_damaged(run) || !id_run_verify(run, bucket * sizeof(uint32_t), 2 * sizeof(uint32_t)))
        return false;
    struct id_run_probe probe = {
        .run = run, .at = id_run_bucket_start(run, bucket), .end = id_run_bucket_start(run, bucket + 1)};
    if (probe.at > probe.end || probe.end > header->entry_count) {
        mark_damaged(run);
        return false;
    }
    uint64_t entries = header->entries_offset - header->buckets_offset;
    if (probe.end > probe.at &&
        !id_run_verify(run, entries + probe.at * sizeof(uint32_t), (probe.end - probe.at) * sizeof(uint32_t)))
        return false;
    probe.wanted = id_run_entry(header, id_hash, 0);
    narrow_probe(&probe, id_run_fingerprint_mask(header));
    *out_probe = probe;
    return true;
}

bool id_run_next(struct id_run_probe *probe, uint64_t *out_segment_id) {
    const struct id_run_header *header = &probe->run->header;
    uint32_t mask = id_run_fingerprint_mask(header);
    while (probe->at < probe->end) {
        uint32_t entry = id_run_entry_at(probe->run, probe->at++);
        if ((entry & mask) > probe->wanted)
            break;
        if ((entry & mask) == probe->wanted) {
            *out_segment_id = header->range.first + id_run_entry_segment(header, entry);
            return true;
        }
    }
    probe->at = probe->end;
    return false;
}

/* ---- opening ---- */

struct run_name_entry {
    struct id_run_range range;
    bool temporary;
    bool useless; /* covered by one in use, or invalid */
};

struct run_name_list {
    struct run_name_entry *names;
    size_t count, room;
};

static int collect_run_name(void *user, const char *name) {
    struct run_name_list *list = user;
    struct run_name_entry entry = {0};
    if (!id_run_parse_name(name, &entry.range, &entry.temporary))
        return 0;
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 64;
        struct run_name_entry *names = memory_resize(list->names, room * sizeof *names);
        if (!names)
            return ENOMEM;
        list->names = names;
        list->room = room;
    }
    list->names[list->count++] = entry;
    return 0;
}

/* The longest first. */
static int compare_run_names(const void *a, const void *b) {
    const struct id_run_range *first = &((const struct run_name_entry *)a)->range;
    const struct id_run_range *second = &((const struct run_name_entry *)b)->range;
    uint64_t first_size = first->last - first->first, second_size = second->last - second->first;
    if (first_size != second_size)
        return first_size > second_size ? -1 : 1;
    return first->first < second->first ? -1 : first->first > second->first;
}

static bool overlaps(const struct id_run_set *set, struct id_run_range range) {
    for (uint32_t at = 0; at < set->count; at++)
        if (set->runs[at]->header.range.first <= range.last && set->runs[at]->header.range.last >= range.first)
            return true;
    return false;
}

/* The run of this range that is in use already. */
static struct id_run *find_in_set(const struct id_run_set *set, struct id_run_range range) {
    for (uint32_t at = 0; set && at < set->count; at++)
        if (set->runs[at]->header.range.first == range.first && set->runs[at]->header.range.last == range.last &&
            !id_run_is_damaged(set->runs[at]))
            return set->runs[at];
    return NULL;
}

static void insert_in_order(struct id_run_set *set, struct id_run *run) {
    uint32_t to = set->count++;
    for (; to > 0 && set->runs[to - 1]->header.range.first > run->header.range.first; to--)
        set->runs[to] = set->runs[to - 1];
    set->runs[to] = run; /* I2 */
}

/* Adds the run of a name to the set, if it can be used and nothing longer covers it. */
static void consider_name(const struct id_runs_place *place, const struct segment_list *list, struct id_run_set *set,
                          struct run_name_entry *entry) {
    struct fbat_error ignored;
    entry->useless = entry->temporary || overlaps(set, entry->range);
    if (entry->useless)
        return;
    struct id_run *run = find_in_set(list->runs, entry->range);
    if (run) {
        atomic_fetch_add_explicit(&run->references, 1, memory_order_relaxed);
        insert_in_order(set, run);
        return;
    }
    int status = id_run_open(place->os, place->dir, place->store_id, list, entry->range, &run, &ignored);
    if (status == FBAT_OK)
        insert_in_order(set, run);
    entry->useless = status == FBAT_ERR_DAMAGED;
}

static int take_names(const struct id_runs_place *place, struct run_name_list *names, struct fbat_error *error) {
    struct id_run_set *set = id_run_set_create(names->count);
    if (!set)
        return error_set_no_memory(error);
    if (names->count > 1)
        qsort(names->names, names->count, sizeof *names->names, compare_run_names);
    struct segment_list *list = directory_acquire(place->directory);
    for (size_t at = 0; at < names->count; at++)
        consider_name(place, list, set, &names->names[at]);
    segment_list_release(list);
    return id_runs_adopt(place->directory, set, error);
}

int id_runs_open(struct os *os, const char *dir, const struct fbat_id *store_id, bool writable,
                 struct directory *directory, struct fbat_error *error) {
    const struct id_runs_place place = {.os = os, .dir = dir, .store_id = store_id, .directory = directory};
    struct run_name_list names = {0};
    int os_errno = os->methods->dir_list(os, dir, collect_run_name, &names);
    int status = os_errno ? error_set_os(error, os_errno, "list", dir) : take_names(&place, &names, error);
    for (size_t at = 0; at < names.count && status == FBAT_OK && writable; at++)
        if (names.names[at].useless)
            id_run_remove_file(os, dir, names.names[at].range, names.names[at].temporary);
    memory_free(names.names);
    return status;
}
