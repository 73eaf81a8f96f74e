/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of segments, and finding one event in them. Each search goes through the segments from the newest, skipping
 * those whose ranges cannot hold it. A search by id asks a run instead of the segments it covers.
 *
 * Failure: only a change can fail, for want of memory, and leaves the current list. A damaged run is passed over.
 *
 * Thread rule and invariants stand in the header.
 */
#include "index/directory.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/memory.h"

static struct segment_list *allocate_list(uint32_t count) {
    struct segment_list *list = memory_allocate_zero(sizeof *list + count * sizeof list->indexes[0]);
    if (list) {
        atomic_init(&list->references, 1);
        list->count = count;
    }
    return list;
}

bool directory_init(struct directory *directory) {
    directory->current = allocate_list(0);
    if (!directory->current)
        return false;
    pthread_mutex_init(&directory->change_lock, NULL);
    pthread_mutex_init(&directory->lock, NULL);
    atomic_init(&directory->visible, 0);
    return true;
}

void directory_deinit(struct directory *directory) {
    if (!directory->current)
        return;
    segment_list_release(directory->current);
    directory->current = NULL;
    pthread_mutex_destroy(&directory->lock);
    pthread_mutex_destroy(&directory->change_lock);
}

struct segment_list *directory_acquire(struct directory *directory) {
    pthread_mutex_lock(&directory->lock);
    struct segment_list *list = directory->current;
    atomic_fetch_add_explicit(&list->references, 1, memory_order_relaxed);
    pthread_mutex_unlock(&directory->lock);
    return list;
}

void segment_list_release(struct segment_list *list) {
    if (atomic_fetch_sub_explicit(&list->references, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t at = 0; at < list->count; at++)
        segment_index_release(list->indexes[at]);
    id_run_set_release(list->runs);
    memory_free(list);
}

static void set_current(struct directory *directory, struct segment_list *list) {
    pthread_mutex_lock(&directory->lock);
    struct segment_list *old = directory->current;
    directory->current = list;
    pthread_mutex_unlock(&directory->lock);
    segment_list_release(old);
}

/* A copy of the current list with room for `more` behind, each index counted once more. The change lock is held. */
static struct segment_list *copy_current(const struct directory *directory, uint32_t more) {
    const struct segment_list *old = directory->current;
    struct segment_list *list = allocate_list(old->count + more);
    if (!list)
        return NULL;
    for (uint32_t at = 0; at < old->count; at++) {
        list->indexes[at] = old->indexes[at];
        segment_index_retain(list->indexes[at]);
    }
    list->runs = old->runs;
    id_run_set_retain(list->runs);
    return list;
}

int directory_append(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 1);
    if (list) {
        list->indexes[list->count - 1] = index;
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    return list ? FBAT_OK : error_set_no_memory(error);
}

static void replace_in(struct segment_list *list, struct segment_index *index) {
    uint32_t at = 0;
    while (at < list->count && list->indexes[at]->segment->header.segment_id != index->segment->header.segment_id)
        at++;
    FBAT_ASSERT(at < list->count);
    segment_index_release(list->indexes[at]);
    list->indexes[at] = index;
}

int directory_replace(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 0);
    if (list) {
        replace_in(list, index);
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    return list ? FBAT_OK : error_set_no_memory(error);
}

int directory_take_over(struct directory *directory, struct segment_index *limited, struct segment_index *next,
                        struct fbat_error *error) {
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 1);
    if (list) {
        list->indexes[list->count - 1] = next;
        list->count--;
        replace_in(list, limited);
        list->count++;
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    return list ? FBAT_OK : error_set_no_memory(error);
}

/* I2. Segment ids go up without a gap, so the one that a run names is found by counting. */
static void check_cover(const struct segment_list *list, const struct id_run_set *runs) {
    uint64_t covered = 0;
    for (uint32_t at = 0; runs && at < runs->count; at++) {
        const struct id_run_header *header = &runs->runs[at]->header;
        FBAT_ASSERT(list->count > 0 && header->range.first > covered);
        covered = header->range.last;
        uint64_t first = list->indexes[0]->segment->header.segment_id;
        FBAT_ASSERT(header->range.first >= first && covered - first < list->count);
        FBAT_ASSERT(list->indexes[covered - first]->segment->header.segment_id == covered);
    }
}

int directory_set_runs(struct directory *directory, struct id_run_set *runs, struct fbat_error *error) {
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 0);
    if (list) {
        check_cover(list, runs);
        id_run_set_release(list->runs);
        list->runs = runs;
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    return list ? FBAT_OK : error_set_no_memory(error);
}

uint32_t directory_row_limit(const struct segment_index *index, uint64_t visible) {
    return segment_index_rows_to_sequence(index, segment_index_row_count(index), visible);
}

static bool in_id_range(const struct fbat_id *id, const struct fbat_id *least, const struct fbat_id *greatest) {
    return memcmp(id, least, sizeof *id) >= 0 && memcmp(id, greatest, sizeof *id) <= 0;
}

static bool may_hold_id(const struct segment_index *index, const struct fbat_id *id) {
    /* Only a sealed segment's range is fixed. */
    return !index->sealed || in_id_range(id, &index->summary.id_min, &index->summary.id_max);
}

struct id_search {
    const struct fbat_id *id;
    uint64_t id_hash;
    struct segment_index *index; /* where it was found */
    uint32_t position;
};

/* Asks the segments of [from, to), newest first. */
static bool search_segments(const struct segment_list *list, uint32_t from, uint32_t to, struct id_search *search) {
    for (uint32_t at = to; at-- > from;) {
        struct segment_index *index = list->indexes[at];
        if (!may_hold_id(index, search->id))
            continue;
        uint32_t count = segment_index_row_count(index);
        if (segment_index_find_in_slots(index, count, search->id_hash, search->id, &search->position)) {
            search->index = index;
            return true;
        }
    }
    return false;
}

/* Asks the segments of [from, to), which the run covers. */
static bool search_run(const struct segment_list *list, struct id_run *run, uint32_t from, uint32_t to,
                       struct id_search *search) {
    struct id_run_probe probe;
    uint64_t segment_id;
    if (!in_id_range(search->id, &run->id_min, &run->id_max))
        return false;
    if (!id_run_first(run, search->id_hash, &probe))
        return search_segments(list, from, to, search);
    while (id_run_next(&probe, &segment_id)) {
        uint32_t at = from + (uint32_t)(segment_id - run->header.range.first);
        if (at < to && search_segments(list, at, at + 1, search))
            return true;
    }
    return false;
}

static bool search_list(const struct segment_list *list, struct id_search *search) {
    uint32_t to = list->count;
    for (uint32_t at = list->runs ? list->runs->count : 0; at-- > 0;) {
        struct id_run *run = list->runs->runs[at];
        uint64_t first_id = list->indexes[0]->segment->header.segment_id;
        uint32_t from = (uint32_t)(run->header.range.first - first_id);
        uint32_t behind = (uint32_t)(run->header.range.last - first_id) + 1;
        if (search_segments(list, behind, to, search) || search_run(list, run, from, behind, search))
            return true;
        to = from;
    }
    return search_segments(list, 0, to, search);
}

/* The last segment that starts at or before a sequence; NULL if there is none. */
static struct segment_index *segment_of_sequence(const struct segment_list *list, uint64_t sequence) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->indexes[middle]->segment->header.first_sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low == 0 ? NULL : list->indexes[low - 1];
}

/* An id that the store made leads to its event. */
static bool find_carried(const struct segment_list *list, uint64_t visible, const struct fbat_id *id,
                         struct segment_index **out_index, uint32_t *out_position) {
    if (list->count == 0)
        return false;
    uint64_t carried = id_carried_sequence(id, list->indexes[0]->id_tag_key);
    struct segment_index *index = carried != 0 && carried <= visible ? segment_of_sequence(list, carried) : NULL;
    if (!index || !segment_index_find_carried(index, segment_index_row_count(index), carried, id, out_position))
        return false;
    *out_index = index;
    return true;
}

bool segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                          struct segment_index **out_index, uint32_t *out_position) {
    struct id_search search = {.id = id, .id_hash = id_hash};
    if (find_carried(list, visible, id, out_index, out_position))
        return true;
    if (!search_list(list, &search))
        return false;
    *out_index = search.index;
    *out_position = search.position;
    /* An id stands once, so what is found beyond `visible` cannot be anywhere else. */
    return segment_index_row(search.index, search.position)->sequence <= visible;
}

bool segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                                struct segment_index **out_index, uint32_t *out_position) {
    struct segment_index *index = sequence != 0 && sequence <= visible ? segment_of_sequence(list, sequence) : NULL;
    if (!index)
        return false;
    uint32_t rows = segment_index_rows_to_sequence(index, segment_index_row_count(index), sequence);
    if (rows == 0 || segment_index_row(index, rows - 1)->sequence != sequence)
        return false;
    *out_index = index;
    *out_position = rows - 1;
    return true;
}

/* The last row of a stream within a limit. */
static bool latest_within(const struct segment_index *index, uint32_t stream, uint32_t limit, uint32_t *out_position) {
    uint32_t number = segment_index_last_row(index, segment_index_stream(index, stream));
    while (number > limit)
        number = segment_index_previous_in_stream(segment_index_row(index, number - 1), number);
    *out_position = number - 1;
    return number != 0;
}

bool segment_list_find_latest(const struct segment_list *list, uint64_t visible, struct fbat_slice scope,
                              struct fbat_slice entity, struct segment_index **out_index, uint32_t *out_position) {
    uint64_t name_hash = hash_stream(scope.data, scope.size, entity.data, entity.size);
    for (uint32_t at = list->count; at-- > 0;) {
        struct segment_index *index = list->indexes[at];
        uint32_t limit = directory_row_limit(index, visible), stream;
        if (limit > 0 && segment_index_find_stream(index, name_hash, scope, entity, &stream) &&
            latest_within(index, stream, limit, out_position)) {
            *out_index = index;
            return true;
        }
    }
    return false;
}
