/* SPDX-License-Identifier: Apache-2.0 */
/* Checking and translating appends. Nothing here looks at the store but for the cause of a reaction. */
#include "api/append_request.h"

#include <stdio.h>
#include <string.h>

#include "api/validate.h"
#include "base/error.h"
#include "base/sha256.h"
#include "store/store.h"

/* Marks an error of the checks before any lock. */
static int refuse(struct fbat_error *error, int status) {
    if (error && status < 0)
        error->stage = FBAT_STAGE_VALIDATE;
    return status;
}

static int check_condition(const struct fbat_condition *condition, struct fbat_error *error) {
    FBAT_TRY(validate_name(condition->entity, "entity", error));
    FBAT_TRY(validate_name(condition->scope, "scope", error));
    if ((unsigned)condition->expect > FBAT_EXPECT_REVISION)
        return error_set(error, FBAT_ERR_ARGUMENT, "expect is %d, expected 0 to 3", (int)condition->expect);
    if (condition->reserved != 0)
        return error_set(error, FBAT_ERR_ARGUMENT, "reserved is %u, expected 0", condition->reserved);
    return FBAT_OK;
}

static int check_conditions(const struct fbat_append_options *options, struct fbat_error *error) {
    if (options->condition_count > FBAT_CONDITIONS_MAX)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.condition_count is %zu, expected at most %d",
                         options->condition_count, FBAT_CONDITIONS_MAX);
    if (options->condition_count > 0 && !options->conditions)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.conditions is NULL, but condition_count is %zu",
                         options->condition_count);
    for (size_t at = 0; at < options->condition_count; at++) {
        int status = check_condition(&options->conditions[at], error);
        if (status < 0 && error) {
            char text[sizeof error->message];
            memcpy(text, error->message, sizeof text);
            snprintf(error->message, sizeof error->message, "condition %zu: %.470s", at + 1, text);
            error->condition = (uint32_t)at + 1;
        }
        FBAT_TRY(status);
    }
    return FBAT_OK;
}

static int check_options(const struct fbat_append_options *options, struct fbat_error *error) {
    if (options->struct_size != sizeof *options)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu: set it to sizeof options",
                         options->struct_size, sizeof *options);
    if ((unsigned)options->level > FBAT_LEVEL_DURABLE)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.level is %d, expected 0 to 2", (int)options->level);
    return check_conditions(options, error);
}

int append_request_options(const struct fbat_config *config, const struct fbat_append_options *options,
                           struct append *out_append, struct fbat_error *error) {
    static const struct fbat_append_options none = {.struct_size = sizeof none};
    options = options ? options : &none;
    FBAT_TRY(refuse(error, check_options(options, error)));
    enum fbat_level level = options->level;
    if (level == FBAT_LEVEL_DEFAULT)
        level = config->sync.every_n_events == 1 ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN;
    out_append->level = level;
    out_append->conditions = options->conditions;
    out_append->condition_count = options->condition_count;
    return FBAT_OK;
}

static int check_count(const struct fbat_config *config, const struct fbat_new_event *events, size_t count,
                       bool is_batch, struct fbat_error *error) {
    if (!events && !is_batch)
        return error_set(error, FBAT_ERR_ARGUMENT, "event is NULL");
    if (!events || count == 0)
        return error_set(error, FBAT_ERR_ARGUMENT, "the batch is empty");
    if (is_batch && count > config->batch.max_size)
        return error_set(error, FBAT_ERR_TOO_LARGE, "the batch has %zu events; batch.max_size allows %u", count,
                         config->batch.max_size);
    return FBAT_OK;
}

int append_request(const struct fbat_config *config, const struct fbat_new_event *events, size_t count, bool is_batch,
                   const struct fbat_append_options *options, struct fbat_receipt *receipts, struct append *out_append,
                   struct fbat_error *error) {
    FBAT_TRY(refuse(error, check_count(config, events, count, is_batch, error)));
    FBAT_TRY(append_request_options(config, options, out_append, error));
    FBAT_TRY(refuse(error, validate_events(config, events, count, is_batch, error)));
    out_append->events = events;
    out_append->count = (uint32_t)count;
    out_append->is_batch = is_batch;
    out_append->receipts = out_append->receipts_known = receipts;
    return FBAT_OK;
}

/* ---- reactions ---- */

/* Cause, scope, entity and kind, each with its length, so that no two of them give the same text. */
static int derive_id(const struct fbat_id *cause, const struct fbat_new_event *event, struct fbat_id *out_id) {
    uint8_t text[sizeof cause->bytes + 2 * (2 + FBAT_NAME_BYTES_MAX) + 2 + 16] = "fbat reaction 1";
    size_t used = 16;
    memcpy(text + used, cause->bytes, sizeof cause->bytes);
    used += sizeof cause->bytes;
    const struct fbat_slice names[] = {event->scope, event->entity};
    for (unsigned at = 0; at < 2; at++) {
        text[used++] = (uint8_t)names[at].size;
        text[used++] = (uint8_t)(names[at].size >> 8);
        memcpy(text + used, names[at].data, names[at].size);
        used += names[at].size;
    }
    text[used++] = (uint8_t)event->kind;
    text[used++] = (uint8_t)(event->kind >> 8);
    return fbat_id_derive(fbat_bytes(text, used), out_id);
}

static int check_reaction(const struct fbat_id *cause, const struct fbat_new_event *event, struct fbat_error *error) {
    if (!cause || !event)
        return error_set(error, FBAT_ERR_ARGUMENT, "%s is NULL", cause ? "event" : "cause");
    if (event->struct_size != sizeof *event)
        return error_set(error, FBAT_ERR_ARGUMENT, "event.struct_size is %u, expected %zu: set it to sizeof event",
                         event->struct_size, sizeof *event);
    if (event->causation_item != 0 ||
        (!fbat_id_is_none(&event->causation) && memcmp(&event->causation, cause, sizeof *cause) != 0))
        return error_set(error, FBAT_ERR_ARGUMENT, "the event names another causation than the cause it reacts to");
    FBAT_TRY(validate_name(event->entity, "entity", error));
    return validate_name(event->scope, "scope", error);
}

int append_request_reaction(struct fbat_store *store, const struct fbat_id *cause, const struct fbat_new_event *event,
                            struct fbat_new_event *out_event, struct fbat_error *error) {
    FBAT_TRY(refuse(error, check_reaction(cause, event, error)));
    struct fbat_event found;
    FBAT_TRY(fbat_get(store, cause, &found, error));
    *out_event = *event;
    out_event->causation = *cause;
    if (fbat_id_is_none(&out_event->correlation))
        out_event->correlation = found.correlation;
    fbat_event_release(&found);
    return fbat_id_is_none(&out_event->id) ? derive_id(cause, event, &out_event->id) : FBAT_OK;
}
