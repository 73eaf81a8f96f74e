/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of segments, and finding one event in them. Each search goes through the segments from the newest, skipping
 * those whose ranges cannot hold it, and pins one at a time. A search by id asks a run instead of the segments it covers.
 *
 * Failure: a change that fails, for want of memory, leaves the current list. A search fails when a segment it needs
 * cannot be opened: then it does not say "not found". A damaged run is passed over.
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

static struct segment_list *allocate_list(uint32_t count, uint32_t room) {
    struct segment_list *list = memory_allocate_zero(sizeof *list + room * sizeof list->slots[0]);
    if (list) {
        atomic_init(&list->references, 1);
        list->count = count;
        list->room = room;
    }
    return list;
}

bool directory_init(struct directory *directory) {
    directory->current = allocate_list(0, 0);
    directory->cache = directory->current ? segment_cache_create() : NULL;
    if (!directory->cache) {
        memory_free(directory->current);
        directory->current = NULL;
        return false;
    }
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
    segment_cache_release(directory->cache);
    directory->cache = NULL;
    pthread_mutex_destroy(&directory->lock);
    pthread_mutex_destroy(&directory->change_lock);
}

void directory_set_files(struct directory *directory, struct os *os, const char *dir, const struct fbat_id *store_id,
                         uint32_t budget) {
    segment_cache_configure(directory->cache, os, dir, store_id, budget);
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
        segment_slot_release(list->slots[at]);
    id_run_set_release(list->runs);
    memory_free(list);
}

/* ---- changes ---- */

static void set_current(struct directory *directory, struct segment_list *list) {
    pthread_mutex_lock(&directory->lock);
    struct segment_list *old = directory->current;
    directory->current = list;
    pthread_mutex_unlock(&directory->lock);
    segment_list_release(old);
}

/* A copy of the current list with room for `more` behind, each slot counted once more. The change lock is held. */
static struct segment_list *copy_current(const struct directory *directory, uint32_t more) {
    const struct segment_list *old = directory->current;
    struct segment_list *list = allocate_list(old->count, old->count + more);
    if (!list)
        return NULL;
    for (uint32_t at = 0; at < old->count; at++) {
        list->slots[at] = old->slots[at];
        segment_slot_retain(list->slots[at]);
    }
    list->runs = old->runs;
    id_run_set_retain(list->runs);
    return list;
}

/* Where nobody but the directory has the current list, as while a store is opened, it grows in place: copying it for
 * each of many segments would take a time that grows with their square. Nobody can come by it without the lock. */
static bool grow_unshared(struct directory *directory, struct segment_slot *slot) {
    struct segment_list *list = directory->current;
    bool grown = false;
    pthread_mutex_lock(&directory->lock);
    if (atomic_load_explicit(&list->references, memory_order_acquire) == 1) {
        if (list->count == list->room) {
            uint32_t room = list->room < 8 ? 8 : list->room * 2;
            list = memory_resize(list, sizeof *list + room * sizeof list->slots[0]);
            if (list) {
                list->room = room;
                directory->current = list;
            }
        }
        grown = list != NULL;
        if (grown)
            list->slots[list->count++] = slot;
    }
    pthread_mutex_unlock(&directory->lock);
    return grown;
}

/* The slot of an index is in a list now, or out of memory: then the index is the caller's. */
static int finish_change(bool done, struct segment_slot *slot, struct fbat_error *error) {
    if (done)
        segment_slot_settle(slot);
    else
        segment_slot_give_back(slot);
    return done ? FBAT_OK : error_set_no_memory(error);
}

/* Takes over the slot, on success only. */
static bool append_slot(struct directory *directory, struct segment_slot *slot) {
    pthread_mutex_lock(&directory->change_lock);
    bool done = grow_unshared(directory, slot);
    if (!done) {
        struct segment_list *list = copy_current(directory, 1);
        done = list != NULL;
        if (done) {
            list->slots[list->count++] = slot;
            set_current(directory, list);
        }
    }
    pthread_mutex_unlock(&directory->change_lock);
    return done;
}

int directory_append(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    struct segment_slot *slot = NULL;
    FBAT_TRY(segment_slot_create(directory->cache, index, &slot, error));
    return finish_change(append_slot(directory, slot), slot, error);
}

int directory_append_closed(struct directory *directory, uint64_t segment_id, uint64_t generation,
                            const struct segment_summary *summary, struct fbat_error *error) {
    struct segment_slot *slot = NULL;
    FBAT_TRY(segment_slot_create_closed(directory->cache, segment_id, generation, summary, &slot, error));
    if (append_slot(directory, slot))
        return FBAT_OK;
    segment_slot_release(slot);
    return error_set_no_memory(error);
}

static void replace_in(struct segment_list *list, struct segment_slot *slot) {
    uint32_t at = 0;
    while (at < list->count && list->slots[at]->segment_id != slot->segment_id)
        at++;
    FBAT_ASSERT(at < list->count);
    segment_slot_release(list->slots[at]);
    list->slots[at] = slot;
}

int directory_replace(struct directory *directory, struct segment_index *index, struct fbat_error *error) {
    struct segment_slot *slot = NULL;
    FBAT_TRY(segment_slot_create(directory->cache, index, &slot, error));
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 0);
    if (list) {
        replace_in(list, slot);
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    return finish_change(list != NULL, slot, error);
}

int directory_take_over(struct directory *directory, struct segment_index *limited, struct segment_index *next,
                        struct fbat_error *error) {
    struct segment_slot *limited_slot = NULL, *next_slot = NULL;
    FBAT_TRY(segment_slot_create(directory->cache, limited, &limited_slot, error));
    int status = segment_slot_create(directory->cache, next, &next_slot, error);
    if (status < 0) {
        segment_slot_give_back(limited_slot);
        return status;
    }
    pthread_mutex_lock(&directory->change_lock);
    struct segment_list *list = copy_current(directory, 1);
    if (list) {
        replace_in(list, limited_slot);
        list->slots[list->count++] = next_slot;
        set_current(directory, list);
    }
    pthread_mutex_unlock(&directory->change_lock);
    (void)finish_change(list != NULL, next_slot, error);
    return finish_change(list != NULL, limited_slot, error);
}

/* I2. Segment ids go up without a gap, so the one that a run names is found by counting. */
static void check_cover(const struct segment_list *list, const struct id_run_set *runs) {
    uint64_t covered = 0;
    for (uint32_t at = 0; runs && at < runs->count; at++) {
        const struct id_run_header *header = &runs->runs[at]->header;
        FBAT_ASSERT(list->count > 0 && header->range.first > covered);
        covered = header->range.last;
        uint64_t first = list->slots[0]->segment_id;
        FBAT_ASSERT(header->range.first >= first && covered - first < list->count);
        FBAT_ASSERT(list->slots[covered - first]->segment_id == covered);
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

static bool may_hold_id(const struct segment_slot *slot, const struct fbat_id *id) {
    /* Only a sealed segment's range is fixed. */
    return !slot->sealed || in_id_range(id, &slot->summary.id_min, &slot->summary.id_max);
}

/* Searches answer FBAT_OK, FBAT_ERR_NOT_FOUND, or why they cannot tell. */
struct id_search {
    const struct segment_list *list;
    const struct fbat_id *id;
    uint64_t id_hash;
    struct segment_index *index; /* where it was found, pinned */
    uint32_t position;
    struct fbat_error *error;
};

/* Asks the segments of [from, to), newest first. */
static int search_segments(struct id_search *search, uint32_t from, uint32_t to) {
    for (uint32_t at = to; at-- > from;) {
        struct segment_index *index = NULL;
        if (!may_hold_id(search->list->slots[at], search->id))
            continue;
        FBAT_TRY(segment_list_pin(search->list, at, &index, search->error));
        uint32_t count = segment_index_row_count(index);
        if (segment_index_find_in_slots(index, count, search->id_hash, search->id, &search->position)) {
            search->index = index;
            return FBAT_OK;
        }
        segment_index_release(index);
    }
    return FBAT_ERR_NOT_FOUND;
}

/* Asks the segments of [from, to), which the run covers. */
static int search_run(struct id_search *search, struct id_run *run, uint32_t from, uint32_t to) {
    struct id_run_probe probe;
    uint64_t segment_id;
    int status = FBAT_ERR_NOT_FOUND;
    if (!in_id_range(search->id, &run->id_min, &run->id_max))
        return status;
    if (!id_run_first(run, search->id_hash, &probe))
        return search_segments(search, from, to);
    while (status == FBAT_ERR_NOT_FOUND && id_run_next(&probe, &segment_id)) {
        uint32_t at = from + (uint32_t)(segment_id - run->header.range.first);
        if (at < to)
            status = search_segments(search, at, at + 1);
    }
    return status;
}

static int search_list(struct id_search *search) {
    const struct segment_list *list = search->list;
    uint32_t to = list->count;
    int status = FBAT_ERR_NOT_FOUND;
    for (uint32_t at = list->runs ? list->runs->count : 0; at-- > 0 && status == FBAT_ERR_NOT_FOUND;) {
        struct id_run *run = list->runs->runs[at];
        uint64_t first_id = list->slots[0]->segment_id;
        uint32_t from = (uint32_t)(run->header.range.first - first_id);
        uint32_t behind = (uint32_t)(run->header.range.last - first_id) + 1;
        status = search_segments(search, behind, to);
        if (status == FBAT_ERR_NOT_FOUND)
            status = search_run(search, run, from, behind);
        to = from;
    }
    return status == FBAT_ERR_NOT_FOUND ? search_segments(search, 0, to) : status;
}

/* The number of segments that start at or before a sequence. */
static uint32_t segments_to_sequence(const struct segment_list *list, uint64_t sequence) {
    uint32_t low = 0, high = list->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (list->slots[middle]->first_sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The segment that holds a sequence, pinned, if there is one. */
static int pin_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                        struct segment_index **out_index, struct fbat_error *error) {
    uint32_t count = sequence == 0 || sequence > visible ? 0 : segments_to_sequence(list, sequence);
    const struct segment_summary *summary = count == 0 ? NULL : segment_list_summary(list, count - 1);
    if (count == 0 || (summary && summary->last_sequence < sequence))
        return FBAT_ERR_NOT_FOUND;
    return segment_list_pin(list, count - 1, out_index, error);
}

/* An id that the store made leads to its event. */
static int find_carried(const struct id_search *search, uint64_t visible, struct segment_index **out_index,
                        uint32_t *out_position) {
    const struct segment_list *list = search->list;
    struct segment_index *index = NULL;
    uint64_t carried = list->count == 0 ? 0 : id_carried_sequence(search->id, list->slots[0]->id_tag_key);
    FBAT_TRY(pin_sequence(list, visible, carried, &index, search->error));
    if (!segment_index_find_carried(index, segment_index_row_count(index), carried, search->id, out_position)) {
        segment_index_release(index);
        return FBAT_ERR_NOT_FOUND;
    }
    *out_index = index;
    return FBAT_OK;
}

int segment_list_find_id(const struct segment_list *list, uint64_t visible, const struct fbat_id *id, uint64_t id_hash,
                         struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error) {
    struct id_search search = {.list = list, .id = id, .id_hash = id_hash, .error = error};
    int status = find_carried(&search, visible, out_index, out_position);
    if (status != FBAT_ERR_NOT_FOUND)
        return status;
    FBAT_TRY(search_list(&search));
    /* An id stands once, so what is found beyond `visible` cannot be anywhere else. */
    if (segment_index_row(search.index, search.position)->sequence > visible) {
        segment_index_release(search.index);
        return FBAT_ERR_NOT_FOUND;
    }
    *out_index = search.index;
    *out_position = search.position;
    return FBAT_OK;
}

int segment_list_find_sequence(const struct segment_list *list, uint64_t visible, uint64_t sequence,
                               struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error) {
    struct segment_index *index = NULL;
    FBAT_TRY(pin_sequence(list, visible, sequence, &index, error));
    uint32_t rows = segment_index_rows_to_sequence(index, segment_index_row_count(index), sequence);
    if (rows == 0 || segment_index_row(index, rows - 1)->sequence != sequence) {
        segment_index_release(index);
        return FBAT_ERR_NOT_FOUND;
    }
    *out_index = index;
    *out_position = rows - 1;
    return FBAT_OK;
}

/* The last row of a stream within a limit. */
static bool latest_within(const struct segment_index *index, uint32_t stream, uint32_t limit, uint32_t *out_position) {
    uint32_t number = segment_index_last_row(index, segment_index_stream(index, stream));
    while (number > limit)
        number = segment_index_previous_in_stream(segment_index_row(index, number - 1), number);
    *out_position = number - 1;
    return number != 0;
}

int segment_list_find_latest(const struct segment_list *list, uint64_t visible, struct fbat_slice scope,
                             struct fbat_slice entity, struct segment_index **out_index, uint32_t *out_position,
                             struct fbat_error *error) {
    uint64_t name_hash = hash_stream(scope.data, scope.size, entity.data, entity.size);
    for (uint32_t at = list->count; at-- > 0;) {
        struct segment_index *index = NULL;
        if (list->slots[at]->first_sequence > visible)
            continue;
        FBAT_TRY(segment_list_pin(list, at, &index, error));
        uint32_t limit = directory_row_limit(index, visible), stream;
        if (limit > 0 && segment_index_find_stream(index, name_hash, scope, entity, &stream) &&
            latest_within(index, stream, limit, out_position)) {
            *out_index = index;
            return FBAT_OK;
        }
        segment_index_release(index);
    }
    return FBAT_ERR_NOT_FOUND;
}
