/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deciding about an append: keys, expectations, numbers. Nothing here changes the store: it fills the drafts, or fails
 * and leaves all as it was.
 *
 * Order of decisions for each item: its key (known with equal content: the original receipt; known otherwise: an
 * error), its expected revision against the stream as the items before it leave it, then its sequence, revision and id.
 * A retry therefore succeeds even if the stream has moved on since.
 *
 * What is staged and not published may still be taken back, so no answer is given that rests on it: neither "this key is
 * known" nor "the revision is another". The caller is told to wait for it (FBAT_RETRY). Within the open fence there is nothing
 * to wait for: what it staged counts.
 *
 * I1: when draft_append fails, or answers FBAT_END or FBAT_RETRY, no head was added.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "write/sequencer.h"

/* Says at which stage an append failed and, when the caller gave a batch, at which item. */
static int fail_item(struct fbat_error *error, int status, enum fbat_stage stage, uint32_t item, bool is_batch) {
    if (status >= 0)
        return status;
    error->stage = stage;
    if (is_batch) {
        char text[sizeof error->message];
        memcpy(text, error->message, sizeof text);
        int used = snprintf(error->message, sizeof error->message, "item %u: ", item);
        snprintf(error->message + used, sizeof error->message - (size_t)used, "%.*s",
                 (int)(sizeof text - 1 - (size_t)used), text);
        error->item = item;
    }
    return status;
}

/* ---- keys ---- */

static bool slices_equal(struct fbat_slice a, struct fbat_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool tags_equal(const struct fbat_new_event *event, struct fbat_slice encoded) {
    size_t offset = 0;
    struct fbat_slice tag;
    for (size_t index = 0; index < event->tag_count; index++)
        if (!tags_next(encoded, &offset, &tag) || !slices_equal(tag, event->tags[index]))
            return false;
    return offset == encoded.size;
}

static bool headers_equal(const struct fbat_new_event *event, struct fbat_slice encoded) {
    size_t offset = 0;
    struct fbat_header header;
    for (size_t index = 0; index < event->header_count; index++)
        if (!headers_next(encoded, &offset, &header) || !slices_equal(header.name, event->headers[index].name) ||
            !slices_equal(header.value, event->headers[index].value))
            return false;
    return offset == encoded.size;
}

/* NULL, or what about the event differs from the one that has its key. */
static const char *find_difference(const struct fbat_new_event *event, const struct fbat_id *causation,
                                   const struct fbat_event *known) {
    if (!slices_equal(event->scope, known->scope) || !slices_equal(event->entity, known->entity))
        return "stream";
    if (event->kind != known->kind)
        return "kind";
    if (event->payload_type != known->payload_type || !slices_equal(event->payload, known->payload))
        return "payload";
    if (!headers_equal(event, known->headers))
        return "headers";
    if (!tags_equal(event, known->tags))
        return "tags";
    if (event->has_event_time && event->event_time_us != known->event_time_us)
        return "event time";
    if (!fbat_id_is_none(&event->correlation) && !id_equal(&event->correlation, &known->correlation))
        return "correlation";
    if (!fbat_id_is_none(causation) && !id_equal(causation, &known->causation))
        return "causation";
    return NULL;
}

/* The event of a key that is in the log: *out_known is borrowed while *out_pin is. */
static int view_known(const struct sequencer *sequencer, uint64_t sequence, struct fbat_event *out_known,
                      struct segment_index **out_pin, struct fbat_error *error) {
    struct segment_index *index = NULL;
    uint32_t position = 0;
    struct segment_list *list = directory_acquire(sequencer->directory);
    int status = segment_list_find_sequence(list, sequence, sequence, &index, &position, error);
    segment_list_release(list);
    FBAT_ASSERT(status != FBAT_ERR_NOT_FOUND); /* just found by its key */
    FBAT_TRY(status);
    status = segment_index_view(index, position, out_known, error);
    if (status < 0)
        segment_index_release(index);
    else
        *out_pin = index;
    return status;
}

int draft_known(const struct sequencer *sequencer, const struct draft *draft, struct fbat_event *out_known,
                struct segment_index **out_pin, struct fbat_error *error) {
    if (draft->known_sequence != 0)
        return view_known(sequencer, draft->known_sequence, out_known, out_pin, error);
    *out_pin = NULL;
    const struct segment *segment = sequencer->active->segment;
    const uint8_t *record = segment->map + draft->known_staged.record_offset;
    struct record_sizes sizes;
    bool fits = record_measure(record, segment->end - draft->known_staged.record_offset, &sizes);
    FBAT_ASSERT(fits);
    record_view(record, &sizes, draft->known_staged.sequence, out_known);
    return FBAT_OK;
}

static int check_known(const struct sequencer *sequencer, const struct fbat_new_event *event, const struct draft *draft,
                       struct fbat_error *error) {
    struct fbat_event known = {0};
    struct segment_index *pin = NULL;
    FBAT_TRY(draft_known(sequencer, draft, &known, &pin, error));
    const char *difference = find_difference(event, &draft->causation, &known);
    segment_index_release(pin);
    if (!difference)
        return FBAT_OK;
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(&event->id, text);
    error_set(error, FBAT_ERR_IDEMPOTENCY_CONFLICT,
              "the id %s is in the store already, at sequence %" PRIu64 ", with another %s; give a new event a new id",
              text, known.sequence, difference);
    if (error)
        error->sequence = known.sequence;
    return FBAT_ERR_IDEMPOTENCY_CONFLICT;
}

/* Adds an item's key to the batch's table; false when an item before has it. */
static bool add_key(struct sequencer *sequencer, uint32_t item) {
    const struct draft *drafts = sequencer->drafts;
    uint32_t mask = sequencer->key_slots_size - 1, at = (uint32_t)drafts[item].id_hash & mask;
    for (; sequencer->key_slots[at] != 0; at = (at + 1) & mask)
        if (id_equal(&drafts[sequencer->key_slots[at] - 1].id, &drafts[item].id))
            return false;
    sequencer->key_slots[at] = item + 1;
    return true;
}

/* Whether the key is in the store, or staged: FBAT_OK and draft->known, or FBAT_RETRY; or why it cannot be told. */
static int find_key(const struct sequencer *sequencer, const struct append *append, struct draft *draft,
                    struct fbat_error *error) {
    const struct staged_key *staged = key_set_find(&sequencer->staged_keys, &draft->id);
    draft->known_sequence = 0;
    draft->known = staged != NULL;
    if (staged && !append->fence)
        return FBAT_RETRY;
    if (staged) {
        draft->known_staged = *staged;
        return FBAT_OK;
    }
    struct segment_index *index = NULL;
    uint32_t position = 0;
    struct segment_list *list = directory_acquire(sequencer->directory);
    int status = segment_list_find_id(list, directory_visible(sequencer->directory), &draft->id, draft->id_hash, &index,
                                      &position, error);
    segment_list_release(list);
    if (status < 0)
        return status == FBAT_ERR_NOT_FOUND ? FBAT_OK : status;
    draft->known = true;
    draft->known_sequence = segment_index_row(index, position)->sequence;
    segment_index_release(index);
    return FBAT_OK;
}

static int draft_key(struct sequencer *sequencer, const struct append *append, uint32_t item,
                     struct fbat_error *error) {
    struct draft *draft = &sequencer->drafts[item];
    const struct fbat_new_event *event = &append->events[item];
    draft->id = event->id;
    draft->known = false;
    if (fbat_id_is_none(&event->id))
        return FBAT_OK;
    draft->id_hash = segment_index_id_hash(&event->id);
    if (append->is_batch && !add_key(sequencer, item)) {
        error_set(error, FBAT_ERR_IDEMPOTENCY_CONFLICT, "its id is also that of an item before it in the batch");
        return fail_item(error, FBAT_ERR_IDEMPOTENCY_CONFLICT, FBAT_STAGE_KEY, item, append->is_batch);
    }
    int status = find_key(sequencer, append, draft, error);
    if (status == FBAT_OK && draft->known)
        status = check_known(sequencer, event, draft, error);
    return fail_item(error, status, FBAT_STAGE_KEY, item, append->is_batch);
}

/* Gives ids to the items before `end` that have none: in item order, so that ids rise with sequences. */
static int draft_ids(struct sequencer *sequencer, uint32_t end, struct fbat_error *error) {
    for (; sequencer->ids_drafted < end; sequencer->ids_drafted++) {
        struct draft *draft = &sequencer->drafts[sequencer->ids_drafted];
        if (!fbat_id_is_none(&draft->id))
            continue;
        uint64_t sequence = sequencer->last_sequence + 1 + sequencer->ids_drafted;
        FBAT_TRY(sequencer_make_id(sequencer, sequencer->append_time_us, sequence, &draft->id, error));
        draft->id_made = true;
    }
    return FBAT_OK;
}

/* Causation by reference needs the id of an item before. */
static int draft_causation(struct sequencer *sequencer, const struct fbat_new_event *event, uint32_t item,
                           struct fbat_error *error) {
    struct draft *draft = &sequencer->drafts[item];
    draft->causation = event->causation;
    if (event->causation_item == 0)
        return FBAT_OK;
    FBAT_TRY(draft_ids(sequencer, event->causation_item, error));
    draft->causation = sequencer->drafts[event->causation_item - 1].id;
    return FBAT_OK;
}

/* One pass over the keys: counts those known, and the first of each sort. */
struct key_counts {
    uint32_t known, first_known, first_new;
};

static int count_keys(struct sequencer *sequencer, const struct append *append, struct key_counts *counts,
                      struct fbat_error *error) {
    for (uint32_t item = 0; item < append->count; item++) {
        sequencer->drafts[item].id_made = false;
        FBAT_TRY(draft_causation(sequencer, &append->events[item], item, error));
        int status = draft_key(sequencer, append, item, error);
        if (status != FBAT_OK)
            return status;
        if (sequencer->drafts[item].known)
            counts->first_known = counts->known++ == 0 ? item : counts->first_known;
        else
            counts->first_new = counts->first_new == append->count ? item : counts->first_new;
    }
    return FBAT_OK;
}

/* Keys of all items: how many are known. */
static int draft_keys(struct sequencer *sequencer, const struct append *append, uint32_t *out_known,
                      struct fbat_error *error) {
    struct key_counts counts = {.first_new = append->count};
    sequencer->ids_drafted = 0;
    if (append->is_batch)
        memset(sequencer->key_slots, 0, sequencer->key_slots_size * sizeof *sequencer->key_slots);
    int status = count_keys(sequencer, append, &counts, error);
    if (status != FBAT_OK)
        return status;
    *out_known = counts.known;
    if (counts.known == 0 || counts.known == append->count)
        return FBAT_OK;
    error_set(error, FBAT_ERR_IDEMPOTENCY_PARTIAL,
              "its id is in the store already, but that of item %u is not; append the new items alone",
              counts.first_new);
    return fail_item(error, FBAT_ERR_IDEMPOTENCY_PARTIAL, FBAT_STAGE_KEY, counts.first_known, append->is_batch);
}

/* ---- streams ---- */

/* What is expected of a stream: by an item of itself, or by a condition. */
struct expectation {
    struct fbat_slice scope, entity;
    enum fbat_expect expect;
    uint64_t revision;
};

static bool holds(const struct expectation *expected, uint64_t revision) {
    switch (expected->expect) {
    case FBAT_EXPECT_NONE: return revision == 0;
    case FBAT_EXPECT_EXISTS: return revision > 0;
    case FBAT_EXPECT_REVISION: return revision == expected->revision;
    case FBAT_EXPECT_ANY: break;
    }
    return true;
}

static int fail_expectation(const struct expectation *expected, uint64_t actual, struct fbat_error *error) {
    uint64_t revision = expected->expect == FBAT_EXPECT_REVISION ? expected->revision : 0;
    const char *wanted = expected->expect == FBAT_EXPECT_EXISTS ? "expected to exist" : "expected at revision";
    char number[32] = "";
    if (expected->expect != FBAT_EXPECT_EXISTS)
        snprintf(number, sizeof number, " %" PRIu64, revision);
    error_set(error, FBAT_ERR_REVISION,
              "the stream %.*s in %.*s was %s%s, but is at %" PRIu64 "; read it and decide anew",
              (int)(expected->entity.size < 80 ? expected->entity.size : 80), (const char *)expected->entity.data,
              (int)(expected->scope.size < 80 ? expected->scope.size : 80), (const char *)expected->scope.data, wanted,
              number, actual);
    error->stage = FBAT_STAGE_CONDITION;
    error->expected_revision = revision;
    error->actual_revision = actual;
    return FBAT_ERR_REVISION;
}

/* An expectation against a stream at `revision`. head NULL: there is none. */
static int check_expectation(const struct sequencer *sequencer, const struct append *append,
                             const struct expectation *expected, const struct stream_head *head, uint64_t revision,
                             struct fbat_error *error) {
    if (holds(expected, revision))
        return FBAT_OK;
    bool unpublished = head && head->last_sequence > directory_visible(sequencer->directory);
    if (unpublished && !append->fence && sequencer->first)
        return FBAT_RETRY;
    return fail_expectation(expected, revision, error);
}

int draft_conditions(struct sequencer *sequencer, const struct append *append, struct fbat_error *error) {
    for (size_t at = 0; at < append->condition_count; at++) {
        const struct fbat_condition *given = &append->conditions[at];
        const struct expectation expected = {given->scope, given->entity, given->expect, given->expected_revision};
        uint64_t name_hash = hash_stream(given->scope.data, given->scope.size, given->entity.data, given->entity.size);
        const struct stream_head *head = streams_find(&sequencer->streams, name_hash, given->scope, given->entity);
        int status = check_expectation(sequencer, append, &expected, head, head ? head->revision : 0, error);
        if (status < 0) {
            char text[sizeof error->message];
            memcpy(text, error->message, sizeof text);
            snprintf(error->message, sizeof error->message, "condition %zu: %.470s", at + 1, text);
            error->condition = (uint32_t)at + 1;
        }
        if (status != FBAT_OK)
            return status;
    }
    return FBAT_OK;
}

/* Revision and predecessor of an item, the items before it counted in. */
static int draft_stream(struct sequencer *sequencer, const struct append *append, uint32_t item,
                        struct fbat_error *error) {
    const struct fbat_new_event *event = &append->events[item];
    const struct expectation expected = {event->scope, event->entity, event->expect, event->expected_revision};
    struct draft *draft = &sequencer->drafts[item];
    uint64_t name_hash = hash_stream(event->scope.data, event->scope.size, event->entity.data, event->entity.size);
    struct stream_head *head = streams_find_or_add(&sequencer->streams, name_hash, event->scope, event->entity);
    if (!head)
        return error_set_no_memory(error);
    bool seen = head->draft_epoch == sequencer->append_epoch;
    uint64_t revision = seen ? head->draft_revision : head->revision;
    int status = check_expectation(sequencer, append, &expected, head, revision, error);
    if (status != FBAT_OK)
        return status;
    draft->head = head;
    draft->previous_item = seen ? head->draft_item + 1 : 0;
    draft->revision = revision + 1;
    head->draft_epoch = sequencer->append_epoch;
    head->draft_revision = draft->revision;
    head->draft_item = item;
    return FBAT_OK;
}

static int draft_item(struct sequencer *sequencer, const struct append *append, uint32_t item,
                      struct fbat_error *error) {
    const struct fbat_new_event *event = &append->events[item];
    struct draft *draft = &sequencer->drafts[item];
    int status = draft_stream(sequencer, append, item, error);
    if (status != FBAT_OK)
        return status;
    draft->sequence = sequencer->last_sequence + 1 + item;
    FBAT_TRY(draft_ids(sequencer, item + 1, error));
    if (sequencer->active && !draft->id_made)
        slots_prefetch(&sequencer->active->id_slots, segment_index_id_hash(&draft->id));
    if (!tags_measure(event->tags, event->tag_count, &draft->tags_bytes) ||
        !headers_measure(event->headers, event->header_count, &draft->headers_bytes))
        return error_set(error, FBAT_ERR_ARGUMENT, "the tags or headers changed during the call");
    draft->bytes = record_bytes(event->scope.size, event->entity.size, draft->tags_bytes, draft->headers_bytes,
                                event->payload.size);
    return FBAT_OK;
}

static int draft_items(struct sequencer *sequencer, const struct append *append, struct fbat_error *error) {
    int status = draft_conditions(sequencer, append, error);
    for (uint32_t item = 0; item < append->count && status == FBAT_OK; item++)
        status =
            fail_item(error, draft_item(sequencer, append, item, error), FBAT_STAGE_CONDITION, item, append->is_batch);
    return status;
}

int draft_append(struct sequencer *sequencer, const struct append *append, struct fbat_error *error) {
    uint32_t known = 0, heads_before = sequencer->streams.count;
    sequencer->append_epoch++;
    int status = draft_keys(sequencer, append, &known, error);
    if (status != FBAT_OK || known == append->count)
        return status == FBAT_OK ? FBAT_END : status;
    status = draft_items(sequencer, append, error);
    if (status != FBAT_OK)
        streams_forget(&sequencer->streams, heads_before);
    return status;
}
