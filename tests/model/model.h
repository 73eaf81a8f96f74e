/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store as a list in memory: what the public header promises, written down as plainly as possible. The tests of this
 * folder do the same to it and to a real store and compare the answers.
 *
 * Nothing here looks at a disk, an index or a hash: receipts' hashes are taken over from the store, and only their
 * chaining is compared.
 *
 * Thread rule: one thread per model.
 */
#ifndef FBAT_TESTS_MODEL_MODEL_H
#define FBAT_TESTS_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "support/test.h"

enum {
    MODEL_ENTITIES = 7,
    MODEL_SCOPES = 3,
    MODEL_STREAMS = MODEL_ENTITIES * MODEL_SCOPES + 1, /* the last one is that of kind names */
    MODEL_PAYLOAD_MAX = 9000,
    MODEL_HEADERS_MAX = 2,
    MODEL_TAGS_MAX = 3,
    MODEL_BATCH_MAX = 8,
    MODEL_KINDS_MAX = 64,
    MODEL_CONDITIONS_MAX = 3,
};

/* An event to append, without pointers: payload, headers and tags follow from sizes and a seed. */
struct model_input {
    uint8_t entity, scope; /* numbers; see model_entity and model_scope */
    uint16_t kind;
    uint8_t payload_type;
    uint8_t has_event_time;
    uint8_t header_count, tag_count;
    uint32_t payload_bytes;
    uint32_t content_seed;
    uint32_t causation_item;
    enum fbat_expect expect;
    uint64_t expected_revision;
    struct fbat_id id, correlation, causation;
    int64_t event_time_us;
};

/* What must be true of a stream, whether the append writes to it or not. */
struct model_condition {
    uint8_t entity, scope;
    enum fbat_expect expect;
    uint64_t expected_revision;
};

/* An append: one event, or a batch of them. */
struct model_request {
    struct model_input inputs[MODEL_BATCH_MAX];
    size_t count;
    bool is_batch;
    enum fbat_level level;
    struct model_condition conditions[MODEL_CONDITIONS_MAX];
    size_t condition_count;
};

/* Room for what a struct fbat_new_event points to. */
struct model_room {
    uint8_t payload[MODEL_PAYLOAD_MAX];
    char texts[MODEL_HEADERS_MAX + MODEL_TAGS_MAX][24];
    struct fbat_header headers[MODEL_HEADERS_MAX];
    struct fbat_slice tags[MODEL_TAGS_MAX];
};

struct model_event {
    struct model_input input; /* id, correlation, causation and event time as the store must have them */
    uint32_t stream;
    uint64_t revision;
    int64_t recorded_us;
    uint8_t hash[32], previous_hash[32];
    uint32_t frame; /* number of the append it came with */
};

struct model_kind {
    uint16_t kind;
    char name[16];
};

struct model {
    struct model_event *events; /* sequence 1 at [0] */
    size_t count, room;
    uint64_t revisions[MODEL_STREAMS];
    uint8_t heads[MODEL_STREAMS][32];
    uint32_t frames;
    int64_t last_recorded_us;
    struct fbat_id last_made_id;
    struct model_kind kinds[MODEL_KINDS_MAX];
    size_t kind_count;
};

/* What an append must answer. */
struct model_answer {
    int status;
    size_t item;              /* at fault */
    size_t condition;         /* with FBAT_ERR_REVISION: the one that does not hold, from 1; 0: an item's expectation */
    uint64_t actual_revision; /* with FBAT_ERR_REVISION */
    uint64_t sequence; /* with FBAT_ERR_IDEMPOTENCY_CONFLICT, of the event that has the key; 0: the batch's own */
    bool replayed;
    uint64_t sequences[MODEL_BATCH_MAX];
    uint64_t revisions[MODEL_BATCH_MAX];
};

void model_init(struct model *model);
void model_deinit(struct model *model);

const char *model_entity(unsigned number);
const char *model_scope(unsigned number);

/* An event at random; without key, cause and expectation. */
struct model_input model_random_input(struct test_random *random);

/* The event that an input stands for; it points into room. */
struct fbat_new_event model_event_of(const struct model_input *input, struct model_room *room);

/* What appending these must answer; changes nothing. */
struct model_answer model_predict(const struct model *model, const struct model_input *inputs, size_t count);

/* The same for an append with conditions. An item's expectation is looked at after them, and its key before. */
struct model_answer model_predict_request(const struct model *model, const struct model_request *request);

/* What the keys of an append alone make of it, when the store held the events up to `sequence`: FBAT_OK
 * (`replayed` says whether all are known), a conflict, or FBAT_ERR_IDEMPOTENCY_PARTIAL. */
struct model_answer model_predict_keys_at(const struct model *model, uint64_t sequence,
                                          const struct model_input *inputs, size_t count);

/* Whether a stream at this revision is as expected. */
bool model_holds(enum fbat_expect expect, uint64_t expected_revision, uint64_t revision);

uint32_t model_stream(uint8_t entity, uint8_t scope);

/* The revision a stream had when the store held the events up to `sequence`. */
uint64_t model_revision_at(const struct model *model, uint32_t stream, uint64_t sequence);

struct fbat_condition model_condition_of(const struct model_condition *condition);

/* What was committed after the mark was taken goes away again. */
struct model_mark {
    struct model before;
};
struct model_mark model_mark(const struct model *model);
void model_roll_back(struct model *model, const struct model_mark *mark);

/* Takes over what was appended: the inputs that model_predict accepted, and the receipts that came. */
void model_commit(struct model *model, const struct model_input *inputs, size_t count,
                  const struct fbat_receipt *receipts);

/* Takes over an event of the library's own that names a kind. */
void model_commit_kind(struct model *model, uint16_t kind, const char *name, const struct fbat_event *event);

/* The definition of a kind or name, or NULL. */
const struct model_kind *model_find_kind(const struct model *model, uint16_t kind);
const struct model_kind *model_find_kind_name(const struct model *model, const char *name);

/* The event with this id: its sequence, or 0. */
uint64_t model_find_id(const struct model *model, const struct fbat_id *id);

/* NULL when the event read is the one the model has at this sequence, else what differs. */
const char *model_difference(const struct model *model, uint64_t sequence, const struct fbat_event *event);

/* Whether a region holds the event at this sequence. */
bool model_matches(const struct model *model, uint64_t sequence, const struct fbat_region *region);

#endif
