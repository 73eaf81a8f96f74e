/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One block: the structs first, which need alignment, then the bytes.
 *
 *     [ event ... | headers and tags of event 0, of event 1 ... | bytes of event 0, of event 1 ... ]
 */
#include "write/event_copy.h"

#include <stdint.h>
#include <string.h>

static size_t array_bytes(const struct fbat_new_event *event) {
    return event->header_count * sizeof *event->headers + event->tag_count * sizeof *event->tags;
}

static size_t text_bytes(const struct fbat_new_event *event) {
    size_t bytes = event->entity.size + event->scope.size + event->payload.size;
    for (size_t at = 0; at < event->header_count; at++)
        bytes += event->headers[at].name.size + event->headers[at].value.size;
    for (size_t at = 0; at < event->tag_count; at++)
        bytes += event->tags[at].size;
    return bytes;
}

size_t event_copy_bytes(const struct fbat_new_event *events, size_t count) {
    size_t bytes = count * sizeof *events;
    for (size_t at = 0; at < count; at++)
        bytes += array_bytes(&events[at]) + text_bytes(&events[at]);
    return bytes;
}

static struct fbat_slice copy_slice(struct fbat_slice slice, uint8_t **bytes) {
    struct fbat_slice copy = {*bytes, slice.size};
    if (slice.size > 0)
        memcpy(*bytes, slice.data, slice.size);
    *bytes += slice.size;
    return copy;
}

static void copy_one(struct fbat_new_event *copy, uint8_t **arrays, uint8_t **bytes) {
    struct fbat_header *headers = (struct fbat_header *)(void *)*arrays;
    struct fbat_slice *tags = (struct fbat_slice *)(void *)(headers + copy->header_count);
    *arrays += array_bytes(copy);
    copy->entity = copy_slice(copy->entity, bytes);
    copy->scope = copy_slice(copy->scope, bytes);
    copy->payload = copy_slice(copy->payload, bytes);
    for (size_t at = 0; at < copy->header_count; at++) {
        headers[at].name = copy_slice(copy->headers[at].name, bytes);
        headers[at].value = copy_slice(copy->headers[at].value, bytes);
    }
    for (size_t at = 0; at < copy->tag_count; at++)
        tags[at] = copy_slice(copy->tags[at], bytes);
    copy->headers = headers;
    copy->tags = tags;
}

struct fbat_new_event *event_copy(const struct fbat_new_event *events, size_t count, void *memory) {
    struct fbat_new_event *copies = memory;
    uint8_t *arrays = (uint8_t *)(copies + count), *bytes = arrays;
    for (size_t at = 0; at < count; at++)
        bytes += array_bytes(&events[at]);
    for (size_t at = 0; at < count; at++) {
        copies[at] = events[at];
        copy_one(&copies[at], &arrays, &bytes);
    }
    return copies;
}

size_t condition_copy_bytes(const struct fbat_condition *conditions, size_t count) {
    size_t bytes = count * sizeof *conditions;
    for (size_t at = 0; at < count; at++)
        bytes += conditions[at].entity.size + conditions[at].scope.size;
    return bytes;
}

struct fbat_condition *condition_copy(const struct fbat_condition *conditions, size_t count, void *memory) {
    struct fbat_condition *copies = memory;
    uint8_t *bytes = (uint8_t *)(copies + count);
    for (size_t at = 0; at < count; at++) {
        copies[at] = conditions[at];
        copies[at].entity = copy_slice(conditions[at].entity, &bytes);
        copies[at].scope = copy_slice(conditions[at].scope, &bytes);
    }
    return copies;
}
