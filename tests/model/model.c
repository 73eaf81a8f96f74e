/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See model.h. Everything is looked for from the start of the list: slow, and obviously right.
 *
 * Failure modes: none but running out of memory, which ends the program.
 * Thread rule: as in model.h.
 */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_STREAM (MODEL_STREAMS - 1)

static const char *const entity_names[MODEL_ENTITIES] = {"order-1",  "order-11", "order", "x",
                                                         "\xc3\xa9", "orders",   "-"};
static const char *const scope_names[MODEL_SCOPES] = {"shop", "shop-2", "s"};

void model_init(struct model *model) {
    memset(model, 0, sizeof *model);
}

void model_deinit(struct model *model) {
    free(model->events);
    model->events = NULL;
}

const char *model_entity(unsigned number) {
    return entity_names[number];
}

const char *model_scope(unsigned number) {
    return scope_names[number];
}

/* ---- inputs ---- */

struct model_input model_random_input(struct test_random *random) {
    static const uint16_t kinds[] = {FBAT_KIND(1, 0), FBAT_KIND(1, 1), FBAT_KIND(2, 1), FBAT_KIND(14, 7),
                                     FBAT_KIND(15, 4095)};
    struct model_input input = {
        .entity = (uint8_t)test_random_below(random, MODEL_ENTITIES),
        .scope = (uint8_t)test_random_below(random, MODEL_SCOPES),
        .kind = kinds[test_random_below(random, sizeof kinds / sizeof kinds[0])],
        .payload_type = (uint8_t)(test_random_one_in(random, 8) ? 200 : test_random_below(random, 6)),
        .header_count = (uint8_t)test_random_below(random, MODEL_HEADERS_MAX + 1),
        .tag_count = (uint8_t)test_random_below(random, MODEL_TAGS_MAX + 1),
        .payload_bytes = (uint32_t)test_random_below(random, test_random_one_in(random, 20) ? MODEL_PAYLOAD_MAX : 64),
        .content_seed = (uint32_t)test_random_u64(random),
    };
    if (test_random_one_in(random, 4)) {
        input.has_event_time = 1;
        input.event_time_us = (int64_t)test_random_u64(random) >> test_random_below(random, 64);
    }
    if (test_random_one_in(random, 4))
        test_random_fill(random, input.correlation.bytes, sizeof input.correlation.bytes);
    if (test_random_one_in(random, 4))
        test_random_fill(random, input.causation.bytes, sizeof input.causation.bytes);
    return input;
}

static char *room_text(struct model_room *room, const struct model_input *input, unsigned number) {
    char *text = room->texts[number];
    snprintf(text, sizeof room->texts[0], "%u-%x", number, input->content_seed);
    return text;
}

struct fbat_new_event model_event_of(const struct model_input *input, struct model_room *room) {
    struct test_random content = test_random_init(input->content_seed);
    test_random_fill(&content, room->payload, input->payload_bytes);
    for (unsigned at = 0; at < input->header_count; at++) {
        struct fbat_slice text = fbat_text(room_text(room, input, at));
        room->headers[at] = (struct fbat_header){text, fbat_bytes(room->payload, input->payload_bytes % 32)};
    }
    for (unsigned at = 0; at < input->tag_count; at++)
        room->tags[at] = fbat_text(room_text(room, input, MODEL_HEADERS_MAX + at));
    return (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = input->kind,
        .payload_type = input->payload_type,
        .has_event_time = input->has_event_time,
        .entity = fbat_text(entity_names[input->entity]),
        .scope = fbat_text(scope_names[input->scope]),
        .payload = fbat_bytes(room->payload, input->payload_bytes),
        .headers = room->headers,
        .header_count = input->header_count,
        .tags = room->tags,
        .tag_count = input->tag_count,
        .id = input->id,
        .correlation = input->correlation,
        .causation = input->causation,
        .event_time_us = input->event_time_us,
        .expect = input->expect,
        .causation_item = input->causation_item,
        .expected_revision = input->expected_revision,
    };
}

/* ---- appending ---- */

static bool ids_equal(const struct fbat_id *a, const struct fbat_id *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

uint32_t model_stream(uint8_t entity, uint8_t scope) {
    return (uint32_t)entity * MODEL_SCOPES + scope;
}

static uint32_t stream_of(const struct model_input *input) {
    return model_stream(input->entity, input->scope);
}

uint64_t model_find_id(const struct model *model, const struct fbat_id *id) {
    for (size_t at = model->count; at-- > 0;)
        if (ids_equal(&model->events[at].input.id, id))
            return at + 1;
    return 0;
}

/* A cause named by its place in the batch is given, even if it has no id yet: then it is a new event, and not the cause
 * of one that is there. */
static bool is_same_cause(const struct model_input *inputs, size_t item, const struct model_event *known) {
    uint32_t cause = inputs[item].causation_item;
    if (cause > 0)
        return !fbat_id_is_none(&inputs[cause - 1].id) && ids_equal(&inputs[cause - 1].id, &known->input.causation);
    return fbat_id_is_none(&inputs[item].causation) || ids_equal(&inputs[item].causation, &known->input.causation);
}

/* An event without payload, headers and tags has nothing that follows from the seed. */
static bool is_same_content(const struct model_input *a, const struct model_input *b) {
    bool empty = a->payload_bytes == 0 && a->header_count == 0 && a->tag_count == 0;
    return a->payload_type == b->payload_type && a->payload_bytes == b->payload_bytes &&
           a->header_count == b->header_count && a->tag_count == b->tag_count &&
           (empty || a->content_seed == b->content_seed);
}

/* What the caller gives must be what is there; what it leaves to the store is not compared. */
static bool is_same_event(const struct model_input *inputs, size_t item, const struct model_event *known) {
    const struct model_input *input = &inputs[item], *there = &known->input;
    return known->stream == stream_of(input) && there->kind == input->kind && is_same_content(input, there) &&
           (!input->has_event_time || there->event_time_us == input->event_time_us) &&
           (fbat_id_is_none(&input->correlation) || ids_equal(&input->correlation, &there->correlation)) &&
           is_same_cause(inputs, item, known);
}

static bool is_repeated(const struct model_input *inputs, size_t item) {
    for (size_t before = 0; before < item; before++)
        if (ids_equal(&inputs[before].id, &inputs[item].id))
            return true;
    return false;
}

/* The keys of all items, in order: a conflict, or how many are known. Events behind `limit` are not there yet. */
static struct model_answer predict_keys(const struct model *model, uint64_t limit, const struct model_input *inputs,
                                        size_t count, size_t *out_known) {
    struct model_answer answer = {.status = FBAT_OK};
    size_t known = 0, first_known = 0;
    for (size_t item = 0; item < count; item++) {
        if (fbat_id_is_none(&inputs[item].id))
            continue;
        uint64_t sequence = model_find_id(model, &inputs[item].id);
        if (sequence > limit)
            sequence = 0;
        bool repeated = is_repeated(inputs, item);
        if (repeated || (sequence && !is_same_event(inputs, item, &model->events[sequence - 1])))
            return (struct model_answer){
                .status = FBAT_ERR_IDEMPOTENCY_CONFLICT, .item = item, .sequence = repeated ? 0 : sequence};
        if (sequence == 0)
            continue;
        first_known = known++ == 0 ? item : first_known;
        answer.sequences[item] = sequence;
        answer.revisions[item] = model->events[sequence - 1].revision;
    }
    *out_known = known;
    if (known > 0 && known < count)
        return (struct model_answer){.status = FBAT_ERR_IDEMPOTENCY_PARTIAL, .item = first_known};
    answer.replayed = known > 0;
    return answer;
}

struct model_answer model_predict_keys_at(const struct model *model, uint64_t sequence,
                                          const struct model_input *inputs, size_t count) {
    size_t known = 0;
    return predict_keys(model, sequence, inputs, count, &known);
}

bool model_holds(enum fbat_expect expect, uint64_t expected_revision, uint64_t revision) {
    switch (expect) {
    case FBAT_EXPECT_NONE: return revision == 0;
    case FBAT_EXPECT_EXISTS: return revision > 0;
    case FBAT_EXPECT_REVISION: return revision == expected_revision;
    case FBAT_EXPECT_ANY: break;
    }
    return true;
}

static struct model_answer predict_items(const struct model *model, const struct model_input *inputs, size_t count) {
    struct model_answer answer = {.status = FBAT_OK};
    uint64_t revisions[MODEL_STREAMS];
    memcpy(revisions, model->revisions, sizeof revisions);
    for (size_t item = 0; item < count; item++) {
        uint64_t *revision = &revisions[stream_of(&inputs[item])];
        if (!model_holds(inputs[item].expect, inputs[item].expected_revision, *revision))
            return (struct model_answer){.status = FBAT_ERR_REVISION, .item = item, .actual_revision = *revision};
        answer.sequences[item] = model->count + 1 + item;
        answer.revisions[item] = ++*revision;
    }
    return answer;
}

struct model_answer model_predict(const struct model *model, const struct model_input *inputs, size_t count) {
    size_t known = 0;
    struct model_answer answer = predict_keys(model, model->count, inputs, count, &known);
    return answer.status < 0 || known > 0 ? answer : predict_items(model, inputs, count);
}

struct model_answer model_predict_request(const struct model *model, const struct model_request *request) {
    size_t known = 0;
    struct model_answer answer = predict_keys(model, model->count, request->inputs, request->count, &known);
    if (answer.status < 0 || known > 0)
        return answer;
    for (size_t at = 0; at < request->condition_count; at++) {
        const struct model_condition *condition = &request->conditions[at];
        uint64_t revision = model->revisions[model_stream(condition->entity, condition->scope)];
        if (!model_holds(condition->expect, condition->expected_revision, revision))
            return (struct model_answer){.status = FBAT_ERR_REVISION, .condition = at + 1, .actual_revision = revision};
    }
    return predict_items(model, request->inputs, request->count);
}

uint64_t model_revision_at(const struct model *model, uint32_t stream, uint64_t sequence) {
    for (; sequence > 0; sequence--)
        if (model->events[sequence - 1].stream == stream)
            return model->events[sequence - 1].revision;
    return 0;
}

struct fbat_condition model_condition_of(const struct model_condition *condition) {
    return (struct fbat_condition){
        .entity = fbat_text(entity_names[condition->entity]),
        .scope = fbat_text(scope_names[condition->scope]),
        .expect = condition->expect,
        .expected_revision = condition->expected_revision,
    };
}

struct model_mark model_mark(const struct model *model) {
    return (struct model_mark){*model};
}

/* The array may have moved since, and may stay large. */
void model_roll_back(struct model *model, const struct model_mark *mark) {
    struct model_event *events = model->events;
    size_t room = model->room;
    *model = mark->before;
    model->events = events;
    model->room = room;
}

static struct model_event *add_event(struct model *model) {
    if (model->count == model->room) {
        model->room = model->room ? model->room * 2 : 1024;
        model->events = realloc(model->events, model->room * sizeof *model->events);
        if (!model->events)
            abort();
    }
    struct model_event *event = &model->events[model->count++];
    memset(event, 0, sizeof *event);
    return event;
}

static void chain_event(struct model *model, struct model_event *event, uint32_t stream, const uint8_t *hash) {
    event->stream = stream;
    event->revision = ++model->revisions[stream];
    memcpy(event->previous_hash, model->heads[stream], sizeof event->previous_hash);
    memcpy(event->hash, hash, sizeof event->hash);
    memcpy(model->heads[stream], hash, sizeof event->hash);
    event->frame = model->frames;
    model->last_recorded_us = event->recorded_us;
}

void model_commit(struct model *model, const struct model_input *inputs, size_t count,
                  const struct fbat_receipt *receipts) {
    model->frames++;
    for (size_t item = 0; item < count; item++) {
        struct model_event *event = add_event(model);
        event->input = inputs[item];
        event->input.id = receipts[item].id;
        event->recorded_us = receipts[item].recorded_us;
        if (fbat_id_is_none(&inputs[item].id))
            model->last_made_id = receipts[item].id;
        if (fbat_id_is_none(&event->input.correlation))
            event->input.correlation = receipts[item].id;
        if (inputs[item].causation_item)
            event->input.causation = receipts[inputs[item].causation_item - 1].id;
        if (!inputs[item].has_event_time)
            event->input.event_time_us = event->recorded_us;
        chain_event(model, event, stream_of(&inputs[item]), receipts[item].hash);
    }
}

/* ---- kinds ---- */

void model_commit_kind(struct model *model, uint16_t kind, const char *name, const struct fbat_event *event) {
    struct model_event *added = add_event(model);
    model->frames++;
    added->input.id = added->input.correlation = model->last_made_id = event->id;
    added->input.kind = FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1);
    added->recorded_us = added->input.event_time_us = event->recorded_us;
    added->input.payload_bytes = (uint32_t)strlen(name) + 2;
    added->input.content_seed = kind;
    chain_event(model, added, SYSTEM_STREAM, event->hash);
    struct model_kind *row = &model->kinds[model->kind_count++];
    row->kind = kind;
    snprintf(row->name, sizeof row->name, "%s", name);
}

const struct model_kind *model_find_kind(const struct model *model, uint16_t kind) {
    for (size_t at = 0; at < model->kind_count; at++)
        if (model->kinds[at].kind == kind)
            return &model->kinds[at];
    return NULL;
}

const struct model_kind *model_find_kind_name(const struct model *model, const char *name) {
    for (size_t at = 0; at < model->kind_count; at++)
        if (strcmp(model->kinds[at].name, name) == 0)
            return &model->kinds[at];
    return NULL;
}

/* ---- reading ---- */

static bool slice_is(struct fbat_slice slice, struct fbat_slice expected) {
    return slice.size == expected.size && (slice.size == 0 || memcmp(slice.data, expected.data, slice.size) == 0);
}

static struct fbat_slice entity_at(const struct model_event *event) {
    return fbat_text(event->stream == SYSTEM_STREAM ? "_kinds" : entity_names[event->input.entity]);
}

static struct fbat_slice scope_at(const struct model_event *event) {
    return fbat_text(event->stream == SYSTEM_STREAM ? FBAT_SYSTEM_SCOPE : scope_names[event->input.scope]);
}

static const char *content_difference(const struct model_event *known, const struct fbat_event *event) {
    static _Thread_local struct model_room room;
    struct fbat_new_event expected = model_event_of(&known->input, &room);
    struct fbat_header header;
    struct fbat_slice tag;
    if (!slice_is(event->payload, expected.payload))
        return "payload";
    for (size_t at = 0; at < expected.header_count; at++)
        if (fbat_event_header(event, at, &header) != FBAT_OK || !slice_is(header.name, expected.headers[at].name) ||
            !slice_is(header.value, expected.headers[at].value))
            return "headers";
    for (size_t at = 0; at < expected.tag_count; at++)
        if (fbat_event_tag(event, at, &tag) != FBAT_OK || !slice_is(tag, expected.tags[at]))
            return "tags";
    if (fbat_event_header(event, expected.header_count, &header) != FBAT_END ||
        fbat_event_tag(event, expected.tag_count, &tag) != FBAT_END)
        return "number of headers or tags";
    return NULL;
}

const char *model_difference(const struct model *model, uint64_t sequence, const struct fbat_event *event) {
    if (sequence == 0 || sequence > model->count || event->sequence != sequence)
        return "sequence";
    const struct model_event *known = &model->events[sequence - 1];
    if (event->revision != known->revision)
        return "revision";
    if (!slice_is(event->entity, entity_at(known)) || !slice_is(event->scope, scope_at(known)))
        return "stream";
    if (event->kind != known->input.kind || event->payload_type != known->input.payload_type)
        return "kind or payload type";
    if (!ids_equal(&event->id, &known->input.id) || !ids_equal(&event->correlation, &known->input.correlation) ||
        !ids_equal(&event->causation, &known->input.causation))
        return "ids";
    if (event->recorded_us != known->recorded_us || event->event_time_us != known->input.event_time_us)
        return "times";
    if (memcmp(event->hash, known->hash, 32) != 0 || memcmp(event->previous_hash, known->previous_hash, 32) != 0)
        return "hashes";
    return known->stream == SYSTEM_STREAM ? NULL : content_difference(known, event);
}

static bool within(uint64_t value, uint64_t least, uint64_t most) {
    return value >= least && (most == 0 || value <= most);
}

static bool time_within(int64_t time, int64_t least, int64_t most) {
    return (least == 0 || time >= least) && (most == 0 || time <= most);
}

bool model_matches(const struct model *model, uint64_t sequence, const struct fbat_region *region) {
    const struct model_event *event = &model->events[sequence - 1];
    struct fbat_slice entity = entity_at(event);
    if (event->stream == SYSTEM_STREAM && !(region->flags & FBAT_REGION_SYSTEM))
        return false;
    if ((region->flags & FBAT_REGION_ENTITY_PREFIX) && entity.size > region->entity.size)
        entity.size = region->entity.size;
    if (region->entity.size > 0 && !slice_is(entity, region->entity))
        return false;
    if (region->scope.size > 0 && !slice_is(scope_at(event), region->scope))
        return false;
    if ((region->kind && event->input.kind != region->kind) ||
        (region->category && FBAT_KIND_CATEGORY(event->input.kind) != region->category))
        return false;
    return within(event->revision, region->revision_min, region->revision_max) &&
           within(sequence, region->sequence_min, region->sequence_max) &&
           time_within(event->recorded_us, region->time_min_us, region->time_max_us);
}
