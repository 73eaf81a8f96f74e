/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making id runs: which one is due, its file, and its place in the directory. id_runs.c opens and asks them.
 *
 * Happy path of a new run: its sources (the runs it replaces, or the id slots of its segments) each give their ids in
 * the order of the hash; bucket by bucket they are collected, put in order and written. The file is written under
 * another name, synced, renamed, and the directory synced; then it is opened like any other and given to the directory,
 * and what it covers is removed.
 *
 * Failure: all of it is derived. Until the directory has the new run, the old ones serve; a crash leaves what the next
 * opening removes or uses (id_runs.c). A source that turns out to be damaged is dropped, and its range is made again.
 *
 * Thread rule: as in the header. Making a run takes no lock: it works on a list of its own, whose sealed segments and
 * runs never change.
 *
 * I1: a run has exactly one entry for each event of its segments.
 * I2: a run is given to a directory, and what it covers removed, only after its file and name were synced.
 * I3: runs of a set ascend and do not overlap.
 */
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/memory.h"
#include "index/id_runs_internal.h"

enum {
    STREAM_BYTES = 128 << 10, /* written at a time; whole pages */
    WINDOW_SLOTS = 512,       /* of a segment's id slots are put in order at a time, at least */
    FINGERPRINT_BITS_LEAST = 12,
    CANCEL_BUCKETS = 1 << 12 /* are written between looks at the caller's wish to stop */
};

/* ---- sources of a new run: ids in the order of their hash ---- */

/* The ids of a segment, from its id slots. They stand there nearly in order already: each at or soon behind its home,
 * the top bits of its hash, with no empty slot in between. So the slots are taken in windows that end at an empty one,
 * and each window is sorted by itself. Only ids whose home is near the end may stand at the front, before the first
 * empty slot (`head`): they belong to the last window. */
struct slot_cursor {
    struct segment_index *index; /* pinned; NULL in a source that is a run */
    const struct slots_table *table;
    uint64_t head;    /* the first empty slot */
    uint64_t slot;    /* not looked at yet */
    uint64_t *hashes; /* of the window */
    size_t count, taken, room;
    uint64_t total; /* given out so far */
};

struct run_cursor {
    const struct id_run *run;
    uint64_t entry;              /* the next one */
    uint64_t bucket, bucket_end; /* that it is in */
};

/* Either a run or a segment. The current id: */
struct id_source {
    bool at_end;
    uint32_t segment;       /* where it stands, counted from the new run's first */
    uint64_t id_hash;       /* as many bits as the source knows */
    uint32_t segment_first; /* of the source, likewise */
    uint32_t segment_last;
    struct run_cursor of_run; /* run is NULL for a segment */
    struct slot_cursor of_segment;
};

static int compare_numbers(const void *a, const void *b) {
    uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;
    return first < second ? -1 : first > second;
}

/* What is sorted here is short or nearly in order, unless somebody made ids that collide. */
static void sort_numbers(uint64_t *numbers, size_t count) {
    if (count > WINDOW_SLOTS) {
        qsort(numbers, count, sizeof *numbers, compare_numbers);
        return;
    }
    for (size_t at = 1; at < count; at++) {
        uint64_t number = numbers[at];
        size_t to = at;
        for (; to > 0 && numbers[to - 1] > number; to--)
            numbers[to] = numbers[to - 1];
        numbers[to] = number;
    }
}

static uint32_t slot_number(const struct slot_cursor *cursor, uint64_t slot) {
    return atomic_load_explicit(&cursor->table->numbers[slot], memory_order_relaxed);
}

/* Adds a number to an array that grows. */
static int add_number(uint64_t **numbers, size_t *count, size_t *room, uint64_t number, struct fbat_error *error) {
    if (*count == *room) {
        size_t more = *room ? *room * 2 : WINDOW_SLOTS;
        uint64_t *larger = memory_resize(*numbers, more * sizeof *larger);
        if (!larger)
            return error_set_no_memory(error);
        *numbers = larger;
        *room = more;
    }
    (*numbers)[(*count)++] = number;
    return FBAT_OK;
}

/* Adds the id of a slot to the window, if its home is in the part of the table that is wanted: its end or not. */
static int take_slot(struct slot_cursor *cursor, uint64_t slot, bool from_end, struct fbat_error *error) {
    uint32_t number = slot_number(cursor, slot);
    if (number == 0 || number > segment_index_row_count(cursor->index))
        return FBAT_OK;
    uint64_t hash = segment_index_row(cursor->index, number - 1)->id_hash;
    bool wrapped = slot < cursor->head && (hash >> cursor->table->shift) >= cursor->head;
    if (wrapped != from_end)
        return FBAT_OK;
    return add_number(&cursor->hashes, &cursor->count, &cursor->room, hash, error);
}

static int load_window(struct slot_cursor *cursor, struct fbat_error *error) {
    uint64_t size = cursor->table->size;
    cursor->count = cursor->taken = 0;
    while (cursor->count == 0 && cursor->slot < size) {
        uint64_t least = cursor->slot + WINDOW_SLOTS;
        while (cursor->slot < size && (cursor->slot < least || slot_number(cursor, cursor->slot) != 0))
            FBAT_TRY(take_slot(cursor, cursor->slot++, false, error));
        for (uint64_t slot = 0; cursor->slot == size && slot < cursor->head; slot++)
            FBAT_TRY(take_slot(cursor, slot, true, error));
    }
    sort_numbers(cursor->hashes, cursor->count);
    return FBAT_OK;
}

static int advance_segment(struct id_source *source, struct fbat_error *error) {
    struct slot_cursor *cursor = &source->of_segment;
    if (cursor->taken == cursor->count)
        FBAT_TRY(load_window(cursor, error));
    source->at_end = cursor->count == 0;
    if (!source->at_end) {
        source->id_hash = cursor->hashes[cursor->taken++];
        cursor->total++;
        return FBAT_OK;
    }
    if (cursor->total == segment_index_row_count(cursor->index))
        return FBAT_OK; /* I1 */
    return error_set_damage(error, cursor->index->segment->header.segment_id, cursor->index->summary.frames_end,
                            "the footer's id slots do not hold each event once; run `fbat check`");
}

static int fail_source_run(const struct id_run *run, struct fbat_error *error) {
    char name[ID_RUN_NAME_BYTES];
    id_run_name(run->header.range, false, name);
    return error_set(error, FBAT_ERR_DAMAGED, "%s is damaged and will be made again", name);
}

static int advance_run(struct id_source *source, struct fbat_error *error) {
    struct run_cursor *cursor = &source->of_run;
    const struct id_run_header *header = &cursor->run->header;
    while (cursor->entry == cursor->bucket_end) {
        if (++cursor->bucket == id_run_bucket_count(header)) {
            source->at_end = true;
            return FBAT_OK;
        }
        cursor->bucket_end = id_run_bucket_start(cursor->run, cursor->bucket + 1);
        if (cursor->bucket_end < cursor->entry || cursor->bucket_end > header->entry_count)
            return fail_source_run(cursor->run, error);
    }
    uint32_t entry = id_run_entry_at(cursor->run, cursor->entry++);
    source->id_hash = id_run_entry_hash(header, cursor->bucket, entry);
    source->segment = source->segment_first + id_run_entry_segment(header, entry);
    return source->segment > source->segment_last ? fail_source_run(cursor->run, error) : FBAT_OK;
}

static int advance_source(struct id_source *source, struct fbat_error *error) {
    return source->of_run.run ? advance_run(source, error) : advance_segment(source, error);
}

/* Pins the segment until the builder is done. */
static int start_segment_source(struct id_source *source, struct segment_slot *slot, struct fbat_error *error) {
    struct slot_cursor *cursor = &source->of_segment;
    FBAT_TRY(segment_slot_pin(slot, &cursor->index, error));
    cursor->table = atomic_load_explicit(&cursor->index->id_slots.table, memory_order_acquire);
    while (cursor->head < cursor->table->size && slot_number(cursor, cursor->head) != 0)
        cursor->head++;
    source->segment = source->segment_first;
    return advance_segment(source, error);
}

static int start_run_source(struct id_source *source, struct id_run *run, struct fbat_error *error) {
    if (id_run_is_damaged(run) || !id_run_verify(run, 0, id_run_page_count(&run->header) * ID_RUN_PAGE_BYTES))
        return fail_source_run(run, error);
    source->of_run.run = run;
    source->of_run.bucket = UINT64_MAX; /* before the first */
    return advance_run(source, error);
}

/* ---- writing a run ---- */

/* One of the two parts that grow side by side. */
struct page_stream {
    uint8_t *buffer; /* STREAM_BYTES */
    size_t used;
    uint64_t offset; /* in the file, of the buffer */
};

struct run_builder {
    struct os *os;
    const struct segment_list *list;
    const atomic_bool *cancel;
    struct id_run_header header;
    uint32_t salt;
    struct id_source *sources;
    size_t source_count;
    uint64_t *bucket; /* entries of the one that is being collected */
    size_t bucket_count, bucket_room;
    uint64_t entries; /* of the buckets before */
    struct os_file *file;
    uint32_t *checksums; /* little-endian, of all data pages */
    struct page_stream bucket_stream, entry_stream;
    int os_errno; /* of the first write that failed; 0 if none */
};

/* Writes what is buffered, filled up with zeros to whole pages. */
static void flush_stream(struct run_builder *builder, struct page_stream *stream) {
    size_t bytes = (size_t)align_up(stream->used, ID_RUN_PAGE_BYTES);
    memset(stream->buffer + stream->used, 0, bytes - stream->used);
    uint64_t page = (stream->offset - builder->header.buckets_offset) / ID_RUN_PAGE_BYTES;
    for (size_t at = 0; at < bytes; at += ID_RUN_PAGE_BYTES, page++)
        store_u32((uint8_t *)&builder->checksums[page],
                  crc32c(stream->buffer + at, ID_RUN_PAGE_BYTES, builder->salt ^ (uint32_t)page));
    if (bytes > 0 && builder->os_errno == 0)
        builder->os_errno =
            builder->os->methods->file_write_at(builder->os, builder->file, stream->buffer, bytes, stream->offset);
    stream->offset += bytes;
    stream->used = 0;
}

static void put_number(struct run_builder *builder, struct page_stream *stream, uint32_t number) {
    if (stream->used == STREAM_BYTES)
        flush_stream(builder, stream);
    store_u32(stream->buffer + stream->used, number);
    stream->used += sizeof number;
}

/* Takes the ids of one bucket from a source. */
static int collect_ids(struct run_builder *builder, struct id_source *source, uint64_t bucket,
                       struct fbat_error *error) {
    const struct id_run_header *header = &builder->header;
    while (!source->at_end && id_run_bucket(header, source->id_hash) == bucket) {
        uint32_t entry = id_run_entry(header, source->id_hash, source->segment);
        FBAT_TRY(add_number(&builder->bucket, &builder->bucket_count, &builder->bucket_room, entry, error));
        FBAT_TRY(advance_source(source, error));
    }
    return FBAT_OK;
}

static int write_bucket(struct run_builder *builder, uint64_t bucket, struct fbat_error *error) {
    put_number(builder, &builder->bucket_stream, (uint32_t)builder->entries);
    builder->bucket_count = 0;
    for (size_t at = 0; at < builder->source_count; at++)
        FBAT_TRY(collect_ids(builder, &builder->sources[at], bucket, error));
    sort_numbers(builder->bucket, builder->bucket_count);
    if (builder->bucket_count > builder->header.entry_count - builder->entries)
        return error_set(error, FBAT_ERR_DAMAGED, "id runs hold more entries than there are events");
    for (size_t at = 0; at < builder->bucket_count; at++)
        put_number(builder, &builder->entry_stream, (uint32_t)builder->bucket[at]);
    builder->entries += builder->bucket_count;
    return FBAT_OK;
}

static bool is_cancelled(const struct run_builder *builder) {
    return builder->cancel && atomic_load_explicit(builder->cancel, memory_order_relaxed);
}

static int write_buckets(struct run_builder *builder, struct fbat_error *error) {
    uint64_t count = id_run_bucket_count(&builder->header);
    for (uint64_t bucket = 0; bucket < count && builder->os_errno == 0; bucket++) {
        if (bucket % CANCEL_BUCKETS == 0 && is_cancelled(builder))
            return error_set(error, FBAT_ERR_SHUTDOWN, "making an id run was cancelled");
        FBAT_TRY(write_bucket(builder, bucket, error));
    }
    put_number(builder, &builder->bucket_stream, (uint32_t)builder->entries);
    flush_stream(builder, &builder->bucket_stream);
    flush_stream(builder, &builder->entry_stream);
    if (builder->os_errno == 0 && builder->entries != builder->header.entry_count) /* I1 */
        return error_set(error, FBAT_ERR_DAMAGED, "id runs hold fewer entries than there are events");
    return FBAT_OK;
}

/* The file's two ends, which are known last. */
static int write_ends(struct run_builder *builder, const char *path, struct fbat_error *error) {
    const struct os_methods *methods = builder->os->methods;
    struct id_run_header *header = &builder->header;
    size_t bytes = (size_t)(header->file_bytes - header->checksums_offset);
    header->checksums_crc = crc32c(builder->checksums, bytes, 0);
    uint8_t page[ID_RUN_PAGE_BYTES] = {0};
    id_run_encode(header, page);
    int os_errno = builder->os_errno;
    if (!os_errno)
        os_errno =
            methods->file_write_at(builder->os, builder->file, builder->checksums, bytes, header->checksums_offset);
    if (!os_errno)
        os_errno = methods->file_write_at(builder->os, builder->file, page, sizeof page, 0);
    if (!os_errno)
        os_errno = methods->file_sync(builder->os, builder->file, OS_SYNC_ALL);
    return os_errno ? error_set_os(error, os_errno, "write", path) : FBAT_OK;
}

/* The run of the list that starts at this segment and ends within the range, if it keeps enough bits of the hashes. */
static struct id_run *source_run_at(const struct run_builder *builder, uint64_t segment_id) {
    const struct id_run_set *set = builder->list->runs;
    for (uint32_t at = 0; set && at < set->count; at++) {
        struct id_run *run = set->runs[at];
        if (run->header.range.first == segment_id && run->header.range.last <= builder->header.range.last &&
            run->header.key_bits >= builder->header.bucket_bits + FINGERPRINT_BITS_LEAST)
            return run;
    }
    return NULL;
}

/* One more source, of the segments from this one on; *segment_id then stands behind it. Where the parts of a new run
 * differ much in size, the small ones may not keep enough bits, and their segments are asked themselves. */
static int add_source(struct run_builder *builder, uint64_t *segment_id, struct fbat_error *error) {
    struct id_run_header *header = &builder->header;
    struct id_source *source = &builder->sources[builder->source_count++];
    struct id_run *run = source_run_at(builder, *segment_id);
    uint64_t last = run ? run->header.range.last : *segment_id;
    source->segment_first = (uint32_t)(*segment_id - header->range.first);
    source->segment_last = (uint32_t)(last - header->range.first);
    if (run && run->header.key_bits < header->key_bits)
        header->key_bits = run->header.key_bits;
    int status = run ? start_run_source(source, run, error)
                     : start_segment_source(source, id_runs_segment(builder->list, *segment_id), error);
    *segment_id = last + 1;
    return status;
}

static int prepare_builder(struct run_builder *builder, struct fbat_error *error) {
    struct id_run_header *header = &builder->header;
    size_t segments = (size_t)(header->range.last - header->range.first + 1);
    id_run_choose_bits(header);
    builder->sources = memory_allocate_zero(segments * sizeof *builder->sources);
    if (!builder->sources)
        return error_set_no_memory(error);
    for (uint64_t segment_id = header->range.first; segment_id <= header->range.last;)
        FBAT_TRY(add_source(builder, &segment_id, error));
    id_run_lay_out(header);
    builder->salt = id_run_salt(header);
    builder->bucket_stream.offset = header->buckets_offset;
    builder->entry_stream.offset = header->entries_offset;
    builder->checksums = memory_allocate_zero((size_t)(header->file_bytes - header->checksums_offset));
    builder->bucket_stream.buffer = memory_allocate(STREAM_BYTES);
    builder->entry_stream.buffer = memory_allocate(STREAM_BYTES);
    if (!builder->checksums || !builder->bucket_stream.buffer || !builder->entry_stream.buffer)
        return error_set_no_memory(error);
    return FBAT_OK;
}

static void deinit_builder(struct run_builder *builder) {
    for (size_t at = 0; at < builder->source_count; at++) {
        memory_free(builder->sources[at].of_segment.hashes);
        segment_index_release(builder->sources[at].of_segment.index);
    }
    memory_free(builder->sources);
    memory_free(builder->bucket);
    memory_free(builder->checksums);
    memory_free(builder->bucket_stream.buffer);
    memory_free(builder->entry_stream.buffer);
}

/* The whole file, synced, under a name that says it is not finished. */
static int write_temporary(struct run_builder *builder, const char *path, struct fbat_error *error) {
    const struct os_methods *methods = builder->os->methods;
    int os_errno = methods->file_open(builder->os, path, OS_OPEN_TRUNCATE, &builder->file);
    if (os_errno)
        return error_set_os(error, os_errno, "create", path);
    int status = write_buckets(builder, error);
    if (status == FBAT_OK)
        status = write_ends(builder, path, error);
    methods->file_close(builder->os, builder->file);
    if (status < 0)
        (void)methods->path_remove(builder->os, path);
    return status;
}

/* Gives a written file its name, durably. On failure neither name is left, as far as the system allows. */
static int publish_file(struct os *os, const char *dir, const char *temporary, const char *path,
                        struct fbat_error *error) {
    int os_errno = os->methods->path_rename(os, temporary, path);
    if (os_errno) {
        (void)os->methods->path_remove(os, temporary);
        return error_set_os(error, os_errno, "rename", temporary);
    }
    os_errno = os->methods->dir_sync(os, dir);
    if (!os_errno)
        return FBAT_OK;
    (void)os->methods->path_remove(os, path);
    return error_set_os(error, os_errno, "sync the directory", dir);
}

/* ---- which run to make next ---- */

/* True when this is a range that a run can have: its segments sealed, and not too many events. */
static bool can_cover(const struct segment_list *list, struct id_run_range range) {
    return range.last - range.first < ID_RUN_SEGMENTS_MAX && id_runs_all_sealed(list, range) &&
           id_runs_count_entries(list, range) <= ID_RUN_ENTRIES_MAX;
}

/* The first group on the grid within these segments, which no run covers. */
static bool find_group(const struct segment_list *list, struct id_run_range gap, struct id_run_range *out_range) {
    uint64_t first = (gap.first + ID_RUNS_FAN - 2) / ID_RUNS_FAN * ID_RUNS_FAN + 1;
    for (; first + ID_RUNS_FAN - 1 <= gap.last; first += ID_RUNS_FAN) {
        struct id_run_range range = {first, first + ID_RUNS_FAN - 1};
        if (can_cover(list, range)) {
            *out_range = range;
            return true;
        }
    }
    return false;
}

static bool find_uncovered_group(const struct segment_list *list, struct id_run_range *out_range) {
    uint64_t first = list->slots[0]->segment_id, next = first;
    for (uint32_t at = 0; list->runs && at < list->runs->count; at++) {
        const struct id_run_header *header = &list->runs->runs[at]->header;
        if (find_group(list, (struct id_run_range){next, header->range.first - 1}, out_range))
            return true;
        next = header->range.last + 1;
    }
    return find_group(list, (struct id_run_range){next, first + list->count - 1}, out_range);
}

/* The range of the FAN runs from `at` on, when they are one group of the grid. */
static bool is_group(const struct id_run_set *set, uint32_t at, struct id_run_range *out_range) {
    if (at + ID_RUNS_FAN > set->count)
        return false;
    uint64_t first = set->runs[at]->header.range.first;
    uint64_t size = set->runs[at]->header.range.last - first + 1;
    if ((first - 1) % (size * ID_RUNS_FAN) != 0)
        return false;
    for (uint32_t k = 0; k < ID_RUNS_FAN; k++) {
        const struct id_run_header *header = &set->runs[at + k]->header;
        if (header->range.first != first + k * size || header->range.last != first + (k + 1) * size - 1)
            return false;
    }
    *out_range = (struct id_run_range){first, first + ID_RUNS_FAN * size - 1};
    return true;
}

/* The smallest group of runs to merge. */
static bool find_run_group(const struct segment_list *list, struct id_run_range *out_range) {
    bool found = false;
    for (uint32_t at = 0; list->runs && at < list->runs->count; at++) {
        struct id_run_range range;
        if (is_group(list->runs, at, &range) && can_cover(list, range) &&
            (!found || range.last - range.first < out_range->last - out_range->first)) {
            *out_range = range;
            found = true;
        }
    }
    return found;
}

/* New segments first: each of them costs a lookup of its own until it is covered. */
static bool find_due(const struct segment_list *list, struct id_run_range *out_range) {
    return list->count > 0 && (find_uncovered_group(list, out_range) || find_run_group(list, out_range));
}

/* ---- making one ---- */

static int build_file(const struct id_runs_place *place, const struct segment_list *list, struct id_run_range range,
                      const atomic_bool *cancel, struct fbat_error *error) {
    char temporary[LIMIT_PATH_BYTES], path[LIMIT_PATH_BYTES];
    id_run_path(place->dir, range, true, temporary);
    id_run_path(place->dir, range, false, path);
    struct run_builder builder = {.os = place->os, .list = list, .cancel = cancel};
    builder.header = id_runs_describe(list, place->store_id, range);
    int status = prepare_builder(&builder, error);
    if (status == FBAT_OK)
        status = write_temporary(&builder, temporary, error);
    deinit_builder(&builder);
    FBAT_TRY(status);
    return publish_file(place->os, place->dir, temporary, path, error);
}

static bool is_within(const struct id_run *run, struct id_run_range range) {
    return run->header.range.first >= range.first && run->header.range.last <= range.last;
}

/* The runs of `old` without those within the range, and with the one that takes their place. I3. */
static struct id_run_set *replace_in_set(const struct id_run_set *old, struct id_run_range range,
                                         struct id_run *added) {
    uint32_t old_count = old ? old->count : 0;
    struct id_run_set *set = id_run_set_create(old_count + 1);
    uint32_t at = 0;
    if (!set)
        return NULL;
    for (; at < old_count && old->runs[at]->header.range.first < range.first; at++)
        id_run_set_add(set, old->runs[at]);
    id_run_set_add(set, added);
    for (; at < old_count; at++)
        if (!is_within(old->runs[at], range))
            id_run_set_add(set, old->runs[at]);
    return set;
}

static int make_id_run(const struct id_runs_place *place, const struct segment_list *list, struct id_run_range range,
                       const atomic_bool *cancel, struct fbat_error *error) {
    FBAT_TRY(build_file(place, list, range, cancel, error));
    struct id_run *run = NULL;
    FBAT_TRY(id_run_open(place->os, place->dir, place->store_id, list, range, &run, error));
    FBAT_ASSERT(run);
    int status = id_runs_adopt(place->directory, replace_in_set(list->runs, range, run), error);
    id_run_release(run);
    FBAT_TRY(status);
    for (uint32_t at = 0; list->runs && at < list->runs->count; at++) { /* I2 */
        const struct id_run_header *header = &list->runs->runs[at]->header;
        if (is_within(list->runs->runs[at], range))
            id_run_remove_file(place->os, place->dir, header->range, false);
    }
    return FBAT_OK;
}

/* ---- dropping damaged ones ---- */

static bool has_damaged(const struct id_run_set *set) {
    for (uint32_t at = 0; set && at < set->count; at++)
        if (id_run_is_damaged(set->runs[at]))
            return true;
    return false;
}

static int drop_damaged(const struct id_runs_place *place, const struct id_run_set *old, struct fbat_error *error) {
    struct id_run_set *set = id_run_set_create(old->count);
    for (uint32_t at = 0; set && at < old->count; at++)
        if (!id_run_is_damaged(old->runs[at]))
            id_run_set_add(set, old->runs[at]);
    FBAT_TRY(id_runs_adopt(place->directory, set, error));
    for (uint32_t at = 0; at < old->count; at++) {
        const struct id_run_header *header = &old->runs[at]->header;
        if (id_run_is_damaged(old->runs[at]))
            id_run_remove_file(place->os, place->dir, header->range, false);
    }
    return FBAT_OK;
}

int id_runs_maintain(struct os *os, const char *dir, const struct fbat_id *store_id, struct directory *directory,
                     const atomic_bool *cancel, bool *out_more, struct fbat_error *error) {
    const struct id_runs_place place = {.os = os, .dir = dir, .store_id = store_id, .directory = directory};
    struct segment_list *list = directory_acquire(directory);
    struct id_run_range range = {0, 0};
    bool more = true;
    int status = FBAT_OK;
    if (has_damaged(list->runs)) {
        status = drop_damaged(&place, list->runs, error);
    } else if (find_due(list, &range)) {
        status = make_id_run(&place, list, range, cancel, error);
        if (status == FBAT_ERR_SHUTDOWN || has_damaged(list->runs))
            status = FBAT_OK; /* cancelled; or a source turned out to be damaged, and is dropped by the next call */
    } else {
        more = false;
    }
    segment_list_release(list);
    FBAT_TRY(status);
    *out_more = more;
    return FBAT_OK;
}
