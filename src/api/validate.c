/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of an append, checked before any lock is taken. Pure; any thread. */
#include "api/validate.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "format/record.h"

int validate_name(struct fbat_slice name, const char *what, struct fbat_error *error) {
    if (name.size == 0 || !name.data)
        return error_set(error, FBAT_ERR_NAME, "the %s is empty; it must have 1 to %d bytes", what, LIMIT_NAME_BYTES);
    if (name.size > LIMIT_NAME_BYTES)
        return error_set(error, FBAT_ERR_NAME, "the %s has %zu bytes; at most %d are allowed", what, name.size,
                         LIMIT_NAME_BYTES);
    if (memchr(name.data, 0, name.size))
        return error_set(error, FBAT_ERR_NAME, "the %s contains a NUL byte", what);
    if (!utf8_is_valid(name.data, name.size))
        return error_set(error, FBAT_ERR_NAME, "the %s is not valid UTF-8", what);
    return FBAT_OK;
}

static int validate_kind(uint16_t kind, struct fbat_error *error) {
    unsigned category = FBAT_KIND_CATEGORY(kind);
    if (category != FBAT_CATEGORY_SYSTEM && category != FBAT_CATEGORY_EFFECT)
        return FBAT_OK;
    return error_set(error, FBAT_ERR_KIND,
                     "kind 0x%04x is in category 0x%x, which belongs to the library; use 0x1 to 0xC, 0xE or 0xF", kind,
                     category);
}

static int validate_content(const struct fbat_config *config, const struct fbat_new_event *event,
                            struct fbat_error *error) {
    uint16_t bytes;
    if (!event->payload.data && event->payload.size > 0)
        return error_set(error, FBAT_ERR_ARGUMENT, "the payload has a size but no data");
    if (event->payload.size > config->single_append_max_bytes)
        return error_set(error, FBAT_ERR_TOO_LARGE,
                         "the payload has %zu bytes; single_append_max_bytes allows %u (and at most %u can be set)",
                         event->payload.size, config->single_append_max_bytes, LIMIT_PAYLOAD_BYTES);
    if ((event->tag_count > 0 && !event->tags) || !tags_measure(event->tags, event->tag_count, &bytes))
        return error_set(
            error, FBAT_ERR_ARGUMENT,
            "a tag must be 1 to %d bytes of UTF-8, and all tags together, with one byte more each, at most "
            "%d bytes",
            FBAT_TAG_BYTES_MAX, LIMIT_TAGS_BYTES);
    if ((event->header_count > 0 && !event->headers) || !headers_measure(event->headers, event->header_count, &bytes))
        return error_set(error, FBAT_ERR_ARGUMENT,
                         "a header's name must be 1 to %d bytes of UTF-8, and all headers together, with four bytes "
                         "more each, at most %d bytes",
                         FBAT_HEADER_NAME_BYTES_MAX, LIMIT_HEADERS_BYTES);
    return FBAT_OK;
}

static int validate_choices(const struct fbat_config *config, const struct fbat_new_event *event, size_t item,
                            struct fbat_error *error) {
    if (event->has_event_time > 1)
        return error_set(error, FBAT_ERR_ARGUMENT, "has_event_time is %u, expected 0 or 1", event->has_event_time);
    if ((unsigned)event->expect > FBAT_EXPECT_REVISION)
        return error_set(error, FBAT_ERR_ARGUMENT, "expect is %d, expected 0 to 3", (int)event->expect);
    if (event->payload_type > FBAT_PAYLOAD_PROTOBUF && event->payload_type < 128)
        return error_set(error, FBAT_ERR_ARGUMENT, "payload_type is %u, expected 0 to 5 or 128 to 255",
                         event->payload_type);
    if (event->causation_item > item)
        return error_set(error, FBAT_ERR_ARGUMENT,
                         "causation_item is %u, but only an item before this one can be its cause",
                         event->causation_item);
    if (event->causation_item > 0 && !fbat_id_is_none(&event->causation))
        return error_set(error, FBAT_ERR_ARGUMENT, "causation and causation_item are both set; use one");
    if (config->batch.group_commit_max_batch > 1 && fbat_id_is_none(&event->id))
        return error_set(error, FBAT_ERR_IDEMPOTENCY_REQUIRED,
                         "batch.group_commit_max_batch is %u, so every append needs an id; give one, e.g. by "
                         "fbat_id_generate or fbat_id_derive",
                         config->batch.group_commit_max_batch);
    return FBAT_OK;
}

int validate_event(const struct fbat_config *config, const struct fbat_new_event *event, size_t item,
                   struct fbat_error *error) {
    if (event->struct_size != sizeof *event)
        return error_set(error, FBAT_ERR_ARGUMENT, "event.struct_size is %u, expected %zu: set it to sizeof event",
                         event->struct_size, sizeof *event);
    FBAT_TRY(validate_name(event->entity, "entity", error));
    FBAT_TRY(validate_name(event->scope, "scope", error));
    if (event->scope.size == strlen(FBAT_SYSTEM_SCOPE) &&
        memcmp(event->scope.data, FBAT_SYSTEM_SCOPE, event->scope.size) == 0)
        return error_set(error, FBAT_ERR_NAME, "the scope %s belongs to the library", FBAT_SYSTEM_SCOPE);
    FBAT_TRY(validate_kind(event->kind, error));
    FBAT_TRY(validate_content(config, event, error));
    return validate_choices(config, event, item, error);
}

static void name_item(struct fbat_error *error, size_t item) {
    char text[sizeof error->message];
    memcpy(text, error->message, sizeof text);
    snprintf(error->message, sizeof error->message, "item %zu: %.480s", item, text);
    error->item = item;
}

int validate_events(const struct fbat_config *config, const struct fbat_new_event *events, size_t count, bool is_batch,
                    struct fbat_error *error) {
    uint64_t payload_bytes = 0;
    for (size_t item = 0; item < count; item++) {
        int status = validate_event(config, &events[item], item, error);
        if (status < 0) {
            if (error && is_batch)
                name_item(error, item);
            return status;
        }
        payload_bytes += events[item].payload.size;
    }
    if (is_batch && payload_bytes > config->batch.max_bytes)
        return error_set(error, FBAT_ERR_TOO_LARGE, "the batch has %llu payload bytes; batch.max_bytes allows %u",
                         (unsigned long long)payload_bytes, config->batch.max_bytes);
    return FBAT_OK;
}
