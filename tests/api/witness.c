/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See witness.h.
 *
 * Failure modes: the first thing that is wrong is kept as a complaint, and everything after it answers false.
 * Thread rule: as in witness.h.
 */
#include "witness.h"

#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCOPE "scope"

static const char *const stream_names[WITNESS_STREAMS] = {"s0", "s1", "s2", "s3", "s4", "s5", "s6"};

/* Every byte counts, and its place. */
static uint64_t sum_of(const void *bytes, size_t size, uint64_t sum) {
    const uint8_t *at = bytes;
    while (size > 0) {
        uint64_t word = size;
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(&word, at, part);
        sum = (sum ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        sum ^= sum >> 29;
        at += part;
        size -= part;
    }
    return sum;
}

static uint64_t checksum_of(const void *payload, size_t size) {
    return sum_of((const uint8_t *)payload + sizeof(uint64_t), size - sizeof(uint64_t), size);
}

/* ---- making them ---- */

void author_init(struct author *author, uint64_t seed, uint32_t life, uint32_t number) {
    *author = (struct author){.random = test_random_init(seed),
                              .life = life,
                              .number = number,
                              .payload_max = 300,
                              .durable_one_in = 5,
                              .fences = true};
}

void author_deinit(struct author *author) {
    for (int at = 0; at < AUTHOR_ITEMS_MAX; at++)
        free(author->payloads[at]);
}

static uint32_t choose_size(struct author *author) {
    if (author->large_bytes && test_random_one_in(&author->random, 60))
        return author->large_bytes + (uint32_t)test_random_below(&author->random, 64);
    return (uint32_t)test_random_between(&author->random, TESTIMONY_BYTES, author->payload_max);
}

static bool make_item(struct author *author, uint32_t item, uint32_t count) {
    struct testimony testimony = {.life = author->life,
                                  .author = author->number,
                                  .operation = author->operation,
                                  .item = item,
                                  .count = count,
                                  .bytes = choose_size(author)};
    uint8_t *payload = malloc(testimony.bytes);
    if (!payload)
        return false;
    memcpy(payload, &testimony, sizeof testimony);
    test_random_fill(&author->random, payload + sizeof testimony, testimony.bytes - sizeof testimony);
    testimony.checksum = checksum_of(payload, testimony.bytes);
    memcpy(payload, &testimony.checksum, sizeof testimony.checksum);
    free(author->payloads[item]);
    author->payloads[item] = payload;
    author->events[item] = (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = FBAT_KIND(1, 1 + item),
        .entity = fbat_text(stream_names[test_random_below(&author->random, WITNESS_STREAMS)]),
        .scope = fbat_text(SCOPE),
        .payload = fbat_bytes(payload, testimony.bytes),
    };
    return true;
}

bool author_make(struct author *author, uint32_t count) {
    author->operation++;
    for (uint32_t item = 0; item < count; item++)
        if (!make_item(author, item, count))
            return false;
    return true;
}

/* ---- appending them ---- */

static const struct fbat_append_options *choose_level(struct author *author) {
    static const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    return test_random_one_in(&author->random, author->durable_one_in) ? &durable : NULL;
}

static int append_frame(struct author *author, struct fbat_store *store, uint32_t count, struct fbat_error *error) {
    if (!author_make(author, count))
        return FBAT_ERR_NO_MEMORY;
    return fbat_append_batch(store, author->events, count, choose_level(author), NULL, error);
}

static int append_parts(struct author *author, struct fbat_fence *fence, uint32_t count, struct fbat_error *error) {
    int status = FBAT_OK;
    for (uint32_t item = 0, part; item < count && status == FBAT_OK; item += part) {
        part = (uint32_t)test_random_between(&author->random, 1, count - item);
        status = fbat_fence_append_batch(fence, &author->events[item], part, NULL, NULL, error);
        sched_yield(); /* so that it is often seen open */
    }
    return status;
}

/* Every fourth is cancelled. */
static int append_fence(struct author *author, struct fbat_store *store, struct fbat_error *error) {
    uint32_t count = (uint32_t)test_random_between(&author->random, 1, AUTHOR_ITEMS_MAX);
    struct fbat_fence *fence;
    if (!author_make(author, count))
        return FBAT_ERR_NO_MEMORY;
    int status = fbat_fence_begin(store, &fence, error);
    if (status != FBAT_OK)
        return status;
    status = append_parts(author, fence, count, error);
    if (status == FBAT_OK && !test_random_one_in(&author->random, 4))
        return fbat_fence_commit(fence, choose_level(author), error);
    fbat_fence_cancel(fence);
    return status;
}

static int submit_some(struct author *author, struct fbat_store *store, struct fbat_error *error) {
    enum { TICKETS_MAX = 4, ITEMS_MAX = 3 };
    struct fbat_ticket *tickets[TICKETS_MAX];
    uint32_t wanted = (uint32_t)test_random_between(&author->random, 1, TICKETS_MAX), put = 0;
    int status = FBAT_OK;
    while (put < wanted && status == FBAT_OK) {
        uint32_t count = (uint32_t)test_random_between(&author->random, 1, ITEMS_MAX);
        status = author_make(author, count) ? FBAT_OK : FBAT_ERR_NO_MEMORY;
        if (status == FBAT_OK)
            status = fbat_submit_batch(store, author->events, count, choose_level(author), &tickets[put], error);
        put += status == FBAT_OK;
    }
    for (uint32_t at = 0; at < put; at++) {
        struct fbat_error of_ticket;
        int answer = fbat_ticket_wait(tickets[at], FBAT_FOREVER, NULL, &of_ticket);
        fbat_ticket_release(tickets[at]);
        if (answer == FBAT_OK || status != FBAT_OK)
            continue;
        status = answer;
        *error = of_ticket;
    }
    return status;
}

int author_act(struct author *author, struct fbat_store *store, struct fbat_error *error) {
    enum { BATCH_MAX = 6 };
    uint64_t choice = test_random_below(&author->random, 12);
    int status;
    if (choice < 5)
        status = append_frame(author, store, 1, error);
    else if (choice < 8)
        status = append_frame(author, store, (uint32_t)test_random_between(&author->random, 2, BATCH_MAX), error);
    else if (choice < 10 && author->fences)
        status = append_fence(author, store, error);
    else if (choice < 11)
        status = submit_some(author, store, error);
    else
        status = fbat_sync(store, error);
    return status == FBAT_ERR_FENCE_ACTIVE ? FBAT_OK : status;
}

/* ---- complaining ---- */

void witness_init(struct witness *witness) {
    memset(witness, 0, sizeof *witness);
}

void witness_deinit(struct witness *witness) {
    free(witness->marks);
    witness->marks = NULL;
}

__attribute__((format(printf, 2, 3))) static bool protest(struct witness *witness, const char *format, ...) {
    if (witness->complaint[0])
        return false;
    int used = snprintf(witness->complaint, sizeof witness->complaint, "after sequence %" PRIu64 ": ", witness->seen);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(witness->complaint + used, sizeof witness->complaint - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

static bool protest_status(struct witness *witness, const char *call, int status, const struct fbat_error *error) {
    return protest(witness, "%s answers %s: %.200s", call, fbat_status_name(status), status < 0 ? error->message : "");
}

/* ---- one event ---- */

static struct testimony testimony_of(const struct fbat_event *event) {
    struct testimony testimony;
    memcpy(&testimony, event->payload.data, sizeof testimony);
    return testimony;
}

bool witness_believes(struct witness *witness, const struct fbat_event *event) {
    if (event->payload.size < TESTIMONY_BYTES)
        return protest(witness, "sequence %" PRIu64 " has a payload of %zu bytes", event->sequence,
                       event->payload.size);
    struct testimony testimony = testimony_of(event);
    if (testimony.bytes == event->payload.size &&
        testimony.checksum == checksum_of(event->payload.data, event->payload.size))
        return true;
    return protest(witness, "the payload of sequence %" PRIu64 " is torn: %zu bytes, said to be %" PRIu32,
                   event->sequence, event->payload.size, testimony.bytes);
}

static bool keep_mark(struct witness *witness, const struct fbat_event *event) {
    if (event->sequence > witness->marks_room) {
        uint64_t room = witness->marks_room ? 2 * witness->marks_room : 1024;
        uint64_t *marks = realloc(witness->marks, (size_t)room * sizeof *marks);
        if (!marks)
            return protest(witness, "out of memory");
        witness->marks = marks;
        witness->marks_room = room;
    }
    memcpy(&witness->marks[event->sequence - 1], event->hash, sizeof witness->marks[0]);
    return true;
}

static bool take_item(struct witness *witness, const struct testimony *item) {
    const struct testimony *current = &witness->current;
    bool goes_on = item->life == current->life && item->author == current->author &&
                   item->operation == current->operation && item->count == current->count &&
                   item->item == current->item + 1;
    if (witness->items_left == 0 ? item->item != 0 : !goes_on)
        return protest(witness,
                       "item %" PRIu32 " of %" PRIu32 " of %" PRIu32 "/%" PRIu32 "/%" PRIu32 ", with %" PRIu32
                       " items left of %" PRIu32 "/%" PRIu32 "/%" PRIu32,
                       item->item, item->count, item->life, item->author, item->operation, witness->items_left,
                       current->life, current->author, current->operation);
    witness->items_left = item->count - item->item - 1;
    witness->current = *item;
    return true;
}

static struct witness_head *head_of(struct witness *witness, struct fbat_slice entity) {
    for (int at = 0; at < WITNESS_STREAMS; at++)
        if (entity.size == strlen(stream_names[at]) && memcmp(entity.data, stream_names[at], entity.size) == 0)
            return &witness->heads[at];
    return NULL;
}

bool witness_take(struct witness *witness, const struct fbat_event *event) {
    struct witness_head *head = head_of(witness, event->entity);
    if (witness->complaint[0])
        return false;
    if (event->sequence != witness->seen + 1)
        return protest(witness, "the next one has sequence %" PRIu64, event->sequence);
    if (!head)
        return protest(witness, "the next one is of a stream that nobody writes");
    if (event->revision != head->revision + 1)
        return protest(witness, "the next one has revision %" PRIu64 ", its stream was at %" PRIu64, event->revision,
                       head->revision);
    if (memcmp(event->previous_hash, head->hash, sizeof head->hash) != 0)
        return protest(witness, "the next one does not continue the chain of its stream");
    if (!witness_believes(witness, event))
        return false;
    struct testimony item = testimony_of(event);
    if (!take_item(witness, &item) || !keep_mark(witness, event))
        return false;
    memcpy(head->hash, event->hash, sizeof head->hash);
    head->revision = event->revision;
    witness->digest = sum_of(event->hash, 32, witness->digest);
    witness->digest = sum_of(event->payload.data, event->payload.size, witness->digest);
    witness->seen = event->sequence;
    return true;
}

/* ---- a look at the log ---- */

static bool ends_whole(struct witness *witness, uint64_t snapshot) {
    if (witness->seen < snapshot)
        return protest(witness, "the look ended, but the snapshot is %" PRIu64, snapshot);
    if (witness->items_left > 0)
        return protest(witness, "%" PRIu32 " items of operation %" PRIu32 "/%" PRIu32 "/%" PRIu32 " are not visible",
                       witness->items_left, witness->current.life, witness->current.author, witness->current.operation);
    return true;
}

bool witness_look(struct witness *witness, struct fbat_store *store) {
    const struct fbat_region region = {.struct_size = sizeof region, .sequence_min = witness->seen + 1};
    struct fbat_iterator *iterator;
    struct fbat_error error;
    struct fbat_event event;
    int status = fbat_query(store, &region, NULL, &iterator, &error);
    if (status != FBAT_OK)
        return protest_status(witness, "fbat_query", status, &error);
    bool good = true;
    while (good && (status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        good = witness_take(witness, &event);
    uint64_t snapshot = fbat_iterator_snapshot(iterator);
    fbat_iterator_close(iterator);
    if (good && status != FBAT_END)
        return protest_status(witness, "fbat_iterator_next", status, &error);
    if (good && snapshot < witness->seen)
        return protest(witness, "the snapshot went back to %" PRIu64, snapshot);
    return good && ends_whole(witness, snapshot);
}

bool witness_step(struct witness *witness, struct fbat_store *store) {
    struct fbat_frontier frontier;
    struct fbat_error error;
    struct fbat_event event;
    bool good = true;
    fbat_frontier(store, &frontier);
    if (frontier.visible < witness->seen)
        return protest(witness, "the frontier went back to %" PRIu64, frontier.visible);
    while (good && witness->seen < frontier.visible) {
        int status = fbat_get_by_sequence(store, witness->seen + 1, &event, &error);
        if (status != FBAT_OK)
            return protest_status(witness, "fbat_get_by_sequence", status, &error);
        good = witness_take(witness, &event);
        fbat_event_release(&event);
    }
    return good && ends_whole(witness, frontier.visible);
}

/* ---- looking back ---- */

static bool same_mark(struct witness *witness, const struct fbat_event *event, uint64_t sequence) {
    if (event->sequence == sequence && memcmp(&witness->marks[sequence - 1], event->hash, sizeof(uint64_t)) == 0)
        return witness_believes(witness, event);
    return protest(witness, "sequence %" PRIu64 " is another event than before", sequence);
}

bool witness_recall(struct witness *witness, struct fbat_store *store, struct test_random *random) {
    struct fbat_error error;
    struct fbat_event event, again;
    if (witness->seen == 0)
        return true;
    uint64_t sequence = test_random_between(random, 1, witness->seen);
    int status = fbat_get_by_sequence(store, sequence, &event, &error);
    if (status != FBAT_OK)
        return protest_status(witness, "fbat_get_by_sequence, of an event seen before,", status, &error);
    bool good = same_mark(witness, &event, sequence);
    status = fbat_get(store, &event.id, &again, &error);
    if (status != FBAT_OK)
        good = protest_status(witness, "fbat_get, of an event seen before,", status, &error);
    else
        good = good && same_mark(witness, &again, sequence);
    if (status == FBAT_OK)
        fbat_event_release(&again);
    fbat_event_release(&event);
    return good;
}

bool witness_read_stream(struct witness *witness, struct fbat_store *store, struct test_random *random) {
    size_t stream = (size_t)test_random_below(random, WITNESS_STREAMS);
    struct fbat_iterator *iterator;
    struct fbat_error error;
    struct fbat_event event;
    uint8_t hash[32] = {0};
    uint64_t revision = 0;
    bool good = true;
    int status = fbat_stream(store, fbat_text(stream_names[stream]), fbat_text(SCOPE), NULL, &iterator, &error);
    if (status != FBAT_OK)
        return protest_status(witness, "fbat_stream", status, &error);
    while (good && (status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        good = event.revision == ++revision && memcmp(event.previous_hash, hash, sizeof hash) == 0;
        memcpy(hash, event.hash, sizeof hash);
    }
    fbat_iterator_close(iterator);
    if (!good)
        return protest(witness, "stream %s breaks at revision %" PRIu64, stream_names[stream], revision);
    if (status != FBAT_END)
        return protest_status(witness, "fbat_iterator_next, of a stream,", status, &error);
    if (revision < witness->heads[stream].revision)
        return protest(witness, "stream %s ends at revision %" PRIu64 ", and had %" PRIu64, stream_names[stream],
                       revision, witness->heads[stream].revision);
    return true;
}
