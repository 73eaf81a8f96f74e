/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of segments, and finding one event in them. Each search goes through the segments from the newest, skipping
 * those whose ranges cannot hold it.
 */
#include "index/directory.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/hash.h"
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
    memory_free(list);
}

static void set_current(struct directory *directory, struct segment_list *list) {
    pthread_mutex_lock(&directory->lock);
    struct segment_list *old = directory->current;
    directory->current = list;
    pthread_mutex_unlock(&directory->lock);
    segment_list_release(old);
}

/* A copy of the current list with room for `more` behind, each index counted once more. */
static struct segment_list *copy_current(const struct directory *directory, uint32_t more) {
    const struct segment_list *old = directory->current;
    struct segment_list *list = allocate_list(old->count + more);
    for (uint32_t at = 0; list && at < old->count; at++) {
        list->indexes[at] = old->indexes[at];
        segment_index_retain(list->indexes[at]);
    }
    return list;
}

int directory_append(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    struct segment_list *list = copy_current(directory, 1);
    if (!list)
        return error_set_no_memory(error);
    list->indexes[list->count - 1] = index;
    set_current(directory, list);
    return FBAT_OK;
}

int directory_replace(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    struct segment_list *list = copy_current(directory, 0);
    if (!list)
        return error_set_no_memory(error);
    uint32_t at = 0;
    while (at < list->count && list->indexes[at]->segment->header.segment_id != index->segment->header.segment_id)
        at++;
    FBAT_ASSERT(at < list->count);
    segment_index_release(list->indexes[at]);
    list->indexes[at] = index;
    set_current(directory, list);
    return FBAT_OK;
}

uint32_t directory_row_limit(const struct segment_index *index, uint64_t visible) {
    return segment_index_rows_to_sequence(index, segment_index_row_count(index), visible);
}

static bool may_hold_id(const struct segment_index *index, const struct fbat_id *id) {
    /* Only a sealed segment's range is fixed. */
    return !index->sealed ||
           (memcmp(id, &index->summary.id_min, sizeof *id) >= 0 && memcmp(id, &index->summary.id_max, sizeof *id) <= 0);
}

bool segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                          struct segment_index **out_index, uint32_t *out_position) {
    for (uint32_t at = list->count; at-- > 0;) {
        struct segment_index *index = list->indexes[at];
        if (!may_hold_id(index, id))
            continue;
        uint32_t count = segment_index_row_count(index), position;
        /* An id stands once, so what is found beyond `visible` cannot be anywhere else. */
        if (segment_index_find_id(index, count, id_hash, id, &position)) {
            *out_index = index;
            *out_position = position;
            return segment_index_row(index, position)->sequence <= visible;
        }
    }
    return false;
}

bool segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                                struct segment_index **out_index, uint32_t *out_position) {
    if (sequence == 0 || sequence > visible)
        return false;
    uint32_t low = 0, high = list->count; /* the last segment that starts at or before it */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->indexes[middle]->segment->header.first_sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    struct segment_index *index = list->indexes[low - 1];
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
