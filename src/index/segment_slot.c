/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots, and opening and closing what stands in them.
 *
 * Happy path of a pin: one addition, and the index is open. Else, under the lock: room is made by closing the index that
 * was used longest ago and that nobody pins; the file is opened, mapped, compared with what the slot knows of it, and the
 * descriptor given back. A footer that is of no use is no reason to fail: the index is made from the frames.
 *
 * Failure: a file that cannot be opened or is another one is an error of that call; the slot stays closed, and the next
 * call tries again.
 *
 * Thread rule and invariants stand in the header.
 */
#include "index/segment_slot.h"

#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/id.h"
#include "base/memory.h"
#include "index/segment_rebuild.h"

#define USE_OPEN UINT64_C(1)
#define USE_PIN UINT64_C(2)
#define USE_LIST (UINT64_C(1) << 32)
#define PINS_MASK (USE_LIST - USE_PIN)

/* ---- the cache ---- */

struct segment_cache *segment_cache_create(void) {
    struct segment_cache *cache = memory_allocate_zero(sizeof *cache);
    if (!cache)
        return NULL;
    atomic_init(&cache->references, 1);
    atomic_init(&cache->newest_use, 1); /* above that of a slot that was never used */
    pthread_mutex_init(&cache->lock, NULL);
    cache->budget = UINT32_MAX;
    return cache;
}

void segment_cache_configure(struct segment_cache *cache, struct os *os, const char *dir,
                             const struct fbat_id *store_id, uint32_t budget) {
    FBAT_ASSERT(budget > 0 && atomic_load_explicit(&cache->open_count, memory_order_relaxed) == 0);
    cache->os = os;
    cache->dir = dir;
    cache->store_id = *store_id;
    cache->budget = budget;
}

static struct segment_cache *retain_cache(struct segment_cache *cache) {
    atomic_fetch_add_explicit(&cache->references, 1, memory_order_relaxed);
    return cache;
}

void segment_cache_release(struct segment_cache *cache) {
    if (!cache || atomic_fetch_sub_explicit(&cache->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_mutex_destroy(&cache->lock);
    memory_free(cache->open);
    memory_free(cache);
}

static uint32_t open_count(const struct segment_cache *cache) {
    return atomic_load_explicit(&cache->open_count, memory_order_relaxed);
}

static bool make_table_room(struct segment_cache *cache) {
    if (open_count(cache) < cache->room)
        return true;
    uint32_t room = cache->room ? cache->room * 2 : 16;
    struct segment_slot **table = memory_resize(cache->open, room * sizeof(struct segment_slot *));
    if (!table)
        return false;
    cache->open = table;
    cache->room = room;
    return true;
}

static void enter(struct segment_cache *cache, struct segment_slot *slot) {
    uint32_t count = open_count(cache);
    cache->open[count] = slot;
    atomic_store_explicit(&cache->open_count, count + 1, memory_order_relaxed);
}

static void leave(struct segment_cache *cache, uint32_t at) {
    uint32_t last = open_count(cache) - 1;
    cache->open[at] = cache->open[last];
    atomic_store_explicit(&cache->open_count, last, memory_order_relaxed);
}

/* The index without its slot: its own counter, at 1, counts again. */
static struct segment_index *detach_index(struct segment_slot *slot) {
    struct segment_index *index = slot->index;
    slot->index = NULL;
    if (index && index->slot) /* one that is not sealed has none, and others may look there */
        index->slot = NULL;
    return index;
}

/* Takes the open bit away, if nobody has a pin. */
static bool try_close(struct segment_slot *slot) {
    uint64_t uses = atomic_load_explicit(&slot->uses, memory_order_relaxed);
    while ((uses & PINS_MASK) == 0)
        if (atomic_compare_exchange_weak_explicit(&slot->uses, &uses, uses & ~USE_OPEN, memory_order_acq_rel,
                                                  memory_order_relaxed))
            return true;
    return false;
}

static bool is_pinned(const struct segment_slot *slot) {
    return (atomic_load_explicit(&slot->uses, memory_order_relaxed) & PINS_MASK) != 0;
}

/* The open slot without a pin that was used longest ago; the number of open ones when there is none. */
static uint32_t find_oldest(const struct segment_cache *cache) {
    uint32_t count = open_count(cache), oldest = count;
    uint64_t oldest_use = 0;
    for (uint32_t at = 0; at < count; at++) {
        uint64_t use = atomic_load_explicit(&cache->open[at]->last_use, memory_order_relaxed);
        if (!is_pinned(cache->open[at]) && (oldest == count || use < oldest_use)) {
            oldest = at;
            oldest_use = use;
        }
    }
    return oldest;
}

/* Closes until at most `keep` are open, or the rest is pinned. The lock is held. */
static void close_oldest(struct segment_cache *cache, uint32_t keep) {
    while (open_count(cache) > keep) {
        uint32_t at = find_oldest(cache);
        if (at == open_count(cache))
            return;
        struct segment_slot *slot = cache->open[at];
        if (!try_close(slot))
            continue; /* pinned meanwhile */
        leave(cache, at);
        segment_index_release(detach_index(slot));
    }
}

/* ---- life of a slot ---- */

static struct segment_slot *allocate_slot(struct segment_cache *cache, uint64_t segment_id, uint64_t generation,
                                          uint64_t first_sequence, const struct segment_summary *summary) {
    struct segment_slot *slot = memory_allocate_zero(sizeof *slot);
    if (!slot)
        return NULL;
    atomic_init(&slot->uses, USE_LIST);
    slot->cache = retain_cache(cache);
    slot->segment_id = segment_id;
    slot->generation = generation;
    slot->first_sequence = first_sequence;
    slot->sealed = summary != NULL;
    if (summary)
        slot->summary = *summary;
    return slot;
}

static void note_use(struct segment_slot *slot) {
    struct segment_cache *cache = slot->cache;
    uint64_t newest = atomic_load_explicit(&cache->newest_use, memory_order_relaxed);
    if (atomic_load_explicit(&slot->last_use, memory_order_relaxed) == newest)
        return; /* used last anyway: nothing is stored, so threads that read one segment do not disturb each other */
    atomic_store_explicit(&cache->newest_use, newest + 1, memory_order_relaxed);
    atomic_store_explicit(&slot->last_use, newest + 1, memory_order_relaxed);
}

/* The index is whole: now it may be pinned. The lock is held, and there is room in the table. I1. */
static void install_index(struct segment_slot *slot, struct segment_index *index) {
    index->slot = slot;
    slot->index = index;
    enter(slot->cache, slot);
    atomic_fetch_or_explicit(&slot->uses, USE_OPEN, memory_order_release);
}

/* Takes the index out of the cache. NULL when it is not open. */
static struct segment_index *take_index(struct segment_slot *slot) {
    struct segment_cache *cache = slot->cache;
    if (!slot->sealed)
        return detach_index(slot);
    pthread_mutex_lock(&cache->lock);
    for (uint32_t at = 0; slot->index && at < open_count(cache); at++)
        if (cache->open[at] == slot) {
            leave(cache, at);
            break;
        }
    struct segment_index *index = detach_index(slot);
    pthread_mutex_unlock(&cache->lock);
    return index;
}

static void free_slot(struct segment_slot *slot) {
    struct segment_cache *cache = slot->cache;
    memory_free(slot);
    segment_cache_release(cache);
}

static void destroy_slot(struct segment_slot *slot) {
    segment_index_release(take_index(slot));
    free_slot(slot);
}

static void drop_uses(struct segment_slot *slot, uint64_t uses) {
    uint64_t left = atomic_fetch_sub_explicit(&slot->uses, uses, memory_order_acq_rel) - uses;
    if ((left & ~USE_OPEN) == 0)
        destroy_slot(slot);
}

int segment_slot_create(struct segment_cache *cache, struct segment_index *index, struct segment_slot **out_slot,
                        struct fbat_error *error) {
    const struct segment_header *header = &index->segment->header;
    struct segment_slot *slot = allocate_slot(cache, header->segment_id, header->generation, header->first_sequence,
                                              index->sealed ? &index->summary : NULL);
    if (!slot)
        return error_set_no_memory(error);
    slot->id_tag_key = index->id_tag_key;
    if (!index->sealed) {
        slot->index = index;
        *out_slot = slot;
        return FBAT_OK;
    }
    atomic_init(&slot->uses, USE_LIST | USE_PIN);
    FBAT_ASSERT(atomic_load_explicit(&index->references, memory_order_relaxed) == 1);
    pthread_mutex_lock(&cache->lock);
    close_oldest(cache, cache->budget - 1);
    bool has_room = make_table_room(cache);
    if (has_room)
        install_index(slot, index);
    pthread_mutex_unlock(&cache->lock);
    if (!has_room) {
        free_slot(slot);
        return error_set_no_memory(error);
    }
    note_use(slot);
    *out_slot = slot;
    return FBAT_OK;
}

int segment_slot_create_closed(struct segment_cache *cache, uint64_t segment_id, uint64_t generation,
                               const struct segment_summary *summary, struct segment_slot **out_slot,
                               struct fbat_error *error) {
    FBAT_ASSERT(cache->os);
    struct segment_slot *slot = allocate_slot(cache, segment_id, generation, summary->first_sequence, summary);
    if (!slot)
        return error_set_no_memory(error);
    slot->id_tag_key = id_tag_key(&cache->store_id);
    *out_slot = slot;
    return FBAT_OK;
}

void segment_slot_settle(struct segment_slot *slot) {
    if (slot->sealed)
        segment_slot_unpin(slot);
}

void segment_slot_give_back(struct segment_slot *slot) {
    (void)take_index(slot);
    free_slot(slot);
}

void segment_slot_retain(struct segment_slot *slot) {
    atomic_fetch_add_explicit(&slot->uses, USE_LIST, memory_order_relaxed);
}

void segment_slot_release(struct segment_slot *slot) {
    drop_uses(slot, USE_LIST);
}

/* ---- opening ---- */

static bool is_same_segment(const struct segment_slot *slot, const struct segment *segment) {
    const struct segment_header *header = &segment->header; /* valid only for this store's segment of this id */
    return segment->header_state == SEGMENT_HEADER_VALID && header->generation == slot->generation &&
           header->first_sequence == slot->first_sequence;
}

static bool is_same_footer(const struct segment_slot *slot, const struct segment_index *index) {
    const struct segment_summary *known = &slot->summary, *found = &index->summary;
    return found->event_count == known->event_count && found->stream_count == known->stream_count &&
           found->first_sequence == known->first_sequence && found->last_sequence == known->last_sequence &&
           found->frames_end == known->frames_end &&
           memcmp(found->last_hash, known->last_hash, sizeof known->last_hash) == 0;
}

static int fail_other_file(const struct segment_slot *slot, struct fbat_error *error) {
    return error_set_damage(error, slot->segment_id, 0,
                            "the file is not the segment that was here when the store was opened; run `fbat check`");
}

/* Takes over the segment, on failure too. */
static int index_file(const struct segment_slot *slot, struct segment *segment, struct segment_index **out_index,
                      struct fbat_error *error) {
    const char *fault = NULL;
    struct segment_index *index = NULL;
    if (!is_same_segment(slot, segment)) {
        segment_close(segment);
        return fail_other_file(slot, error);
    }
    int status = segment_index_open_footer(segment, &index, &fault, error);
    if (status == FBAT_ERR_NOT_FOUND)
        return segment_rebuild(segment, &slot->summary, out_index, error);
    if (status < 0) {
        segment_close(segment);
        return status;
    }
    if (!is_same_footer(slot, index)) {
        segment_index_release(index);
        return fail_other_file(slot, error);
    }
    *out_index = index;
    return FBAT_OK;
}

/* The lock is held. */
static int open_index(struct segment_slot *slot, struct fbat_error *error) {
    struct segment_cache *cache = slot->cache;
    struct segment *segment = NULL;
    struct segment_index *index = NULL;
    FBAT_ASSERT(cache->os);
    close_oldest(cache, cache->budget - 1);
    if (!make_table_room(cache))
        return error_set_no_memory(error);
    FBAT_TRY(segment_open(cache->os, cache->dir, slot->segment_id, &cache->store_id, SEGMENT_READ, &segment, error));
    FBAT_TRY(index_file(slot, segment, &index, error));
    FBAT_ASSERT(index);
    segment_forget_file(index->segment);
    install_index(slot, index);
    return FBAT_OK;
}

static int open_pinned(struct segment_slot *slot, struct fbat_error *error) {
    struct segment_cache *cache = slot->cache;
    pthread_mutex_lock(&cache->lock);
    bool is_open = atomic_load_explicit(&slot->uses, memory_order_acquire) & USE_OPEN;
    int status = is_open ? FBAT_OK : open_index(slot, error);
    pthread_mutex_unlock(&cache->lock);
    if (status < 0)
        drop_uses(slot, USE_PIN);
    return status;
}

int segment_slot_pin(struct segment_slot *slot, struct segment_index **out_index, struct fbat_error *error) {
    if (!slot->sealed) {
        segment_index_retain(slot->index);
        *out_index = slot->index;
        return FBAT_OK;
    }
    uint64_t before = atomic_fetch_add_explicit(&slot->uses, USE_PIN, memory_order_acquire);
    if (!(before & USE_OPEN))
        FBAT_TRY(open_pinned(slot, error));
    note_use(slot);
    *out_index = slot->index;
    return FBAT_OK;
}

void segment_slot_pin_again(struct segment_slot *slot) {
    atomic_fetch_add_explicit(&slot->uses, USE_PIN, memory_order_relaxed);
}

/* With too many open, because they were pinned, the first pin that goes lets one of them go. Once the pin is given up the
 * slot may be gone; the cache is held for the time after. */
void segment_slot_unpin(struct segment_slot *slot) {
    struct segment_cache *cache = slot->cache;
    if (open_count(cache) <= cache->budget) {
        drop_uses(slot, USE_PIN);
        return;
    }
    retain_cache(cache);
    drop_uses(slot, USE_PIN);
    pthread_mutex_lock(&cache->lock);
    close_oldest(cache, cache->budget);
    pthread_mutex_unlock(&cache->lock);
    segment_cache_release(cache);
}

uint64_t segment_slot_memory(struct segment_slot *slot) {
    uint64_t bytes = sizeof *slot;
    if (!slot->sealed)
        return bytes;
    pthread_mutex_lock(&slot->cache->lock);
    if (slot->index)
        bytes += segment_index_memory(slot->index);
    pthread_mutex_unlock(&slot->cache->lock);
    return bytes;
}

bool segment_slot_may_hold(const struct segment_slot *slot, uint64_t sequence_min, uint64_t sequence_max,
                           int64_t time_min_us, int64_t time_max_us) {
    const struct segment_summary *summary = &slot->summary;
    if (slot->first_sequence > sequence_max)
        return false;
    return !slot->sealed || (summary->last_sequence >= sequence_min && summary->last_recorded_us >= time_min_us &&
                             summary->first_recorded_us <= time_max_us);
}
