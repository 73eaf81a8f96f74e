/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event record's bytes and its hash. Pure: no I/O, no allocation. Any thread.
 *
 * I1: what record_encode writes, record_measure accepts, record_find_fault finds nothing in, and record_hash repeats.
 */
#include "format/record.h"

#include <assert.h>
#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/limits.h"
#include "base/utf8.h"

/* The hashed image of the fixed part: the whole sequence in place of the offset, all up to the hash, and the content
 * hash; then come the names and tags as they stand in the record. */
enum {
    IMAGE_SEQUENCE_BYTES = 8,
    IMAGE_FIELDS_BYTES = RECORD_HASH_AT - RECORD_PAYLOAD_BYTES_AT,
    IMAGE_BYTES = IMAGE_SEQUENCE_BYTES + IMAGE_FIELDS_BYTES + SHA256_BYTES,
};

static_assert(RECORD_HASH_AT + SHA256_BYTES == RECORD_FIXED_BYTES, "the hash ends the fixed part");
static_assert(RECORD_FIXED_BYTES % RECORD_ALIGNMENT == 0, "names follow at once");

uint64_t record_bytes(uint64_t scope, uint64_t entity, uint64_t tags, uint64_t headers, uint64_t payload) {
    return align_up(RECORD_FIXED_BYTES + scope + entity + tags + headers + payload, RECORD_ALIGNMENT);
}

bool tags_measure(const struct fbat_slice *tags, size_t count, uint16_t *out_bytes) {
    uint64_t bytes = 0;
    for (size_t index = 0; index < count; index++) {
        if (tags[index].size < 1 || tags[index].size > FBAT_TAG_BYTES_MAX || !tags[index].data ||
            !utf8_is_valid(tags[index].data, tags[index].size))
            return false;
        bytes += 1 + tags[index].size;
        if (bytes > LIMIT_TAGS_BYTES)
            return false;
    }
    *out_bytes = (uint16_t)bytes;
    return true;
}

bool headers_measure(const struct fbat_header *headers, size_t count, uint16_t *out_bytes) {
    uint64_t bytes = 0;
    for (size_t index = 0; index < count; index++) {
        const struct fbat_header *header = &headers[index];
        if (header->name.size < 1 || header->name.size > FBAT_HEADER_NAME_BYTES_MAX || !header->name.data ||
            !utf8_is_valid(header->name.data, header->name.size) || (!header->value.data && header->value.size > 0) ||
            header->value.size > LIMIT_HEADERS_BYTES)
            return false;
        bytes += 4 + header->name.size + header->value.size;
        if (bytes > LIMIT_HEADERS_BYTES)
            return false;
    }
    *out_bytes = (uint16_t)bytes;
    return true;
}

bool tags_next(struct fbat_slice encoded, size_t *offset, struct fbat_slice *out_tag) {
    const uint8_t *at = encoded.data;
    size_t left = encoded.size - *offset;
    if (left == 0 || at[*offset] == 0 || left < 1u + at[*offset])
        return false;
    *out_tag = fbat_bytes(at + *offset + 1, at[*offset]);
    *offset += 1u + at[*offset];
    return true;
}

bool headers_next(struct fbat_slice encoded, size_t *offset, struct fbat_header *out_header) {
    const uint8_t *at = (const uint8_t *)encoded.data + *offset;
    size_t left = encoded.size - *offset;
    if (left < 4)
        return false;
    size_t name = load_u16(at), value = load_u16(at + 2);
    if (name < 1 || name > FBAT_HEADER_NAME_BYTES_MAX || left - 4 < name + value)
        return false;
    out_header->name = fbat_bytes(at + 4, name);
    out_header->value = fbat_bytes(at + 4 + name, value);
    *offset += 4 + name + value;
    return true;
}

static uint8_t *put_tags(uint8_t *to, const struct fbat_slice *tags, size_t count) {
    for (size_t index = 0; index < count; index++) {
        *to++ = (uint8_t)tags[index].size;
        to = bytes_put(to, tags[index].data, tags[index].size);
    }
    return to;
}

static uint8_t *put_headers(uint8_t *to, const struct fbat_header *headers, size_t count) {
    for (size_t index = 0; index < count; index++) {
        store_u16(to, (uint16_t)headers[index].name.size);
        store_u16(to + 2, (uint16_t)headers[index].value.size);
        to = bytes_put(to + 4, headers[index].name.data, headers[index].name.size);
        to = bytes_put(to, headers[index].value.data, headers[index].value.size);
    }
    return to;
}

static void put_fixed(const struct record_input *input, uint8_t *to) {
    store_u32(to + RECORD_SEQUENCE_OFFSET_AT, (uint32_t)(input->sequence - input->first_sequence));
    store_u32(to + RECORD_PAYLOAD_BYTES_AT, (uint32_t)input->payload.size);
    store_u16(to + RECORD_KIND_AT, input->kind);
    to[RECORD_PAYLOAD_TYPE_AT] = input->payload_type;
    to[RECORD_FLAGS_AT] = input->flags;
    store_u16(to + RECORD_SCOPE_BYTES_AT, (uint16_t)input->scope.size);
    store_u16(to + RECORD_ENTITY_BYTES_AT, (uint16_t)input->entity.size);
    store_u16(to + RECORD_TAGS_BYTES_AT, input->tags_bytes);
    store_u16(to + RECORD_HEADERS_BYTES_AT, input->headers_bytes);
    store_u32(to + RECORD_LANE_AT, 0);
    store_u64(to + RECORD_REVISION_AT, input->revision);
    store_i64(to + RECORD_RECORDED_AT, input->recorded_us);
    store_i64(to + RECORD_EVENT_TIME_AT, input->event_time_us);
    memcpy(to + RECORD_ID_AT, input->id.bytes, 16);
    memcpy(to + RECORD_CORRELATION_AT, input->correlation.bytes, 16);
    memcpy(to + RECORD_CAUSATION_AT, input->causation.bytes, 16);
    memcpy(to + RECORD_PREVIOUS_HASH_AT, input->previous_hash, SHA256_BYTES);
}

void record_encode(const struct record_input *input, uint8_t *to, uint8_t out_hash[SHA256_BYTES]) {
    put_fixed(input, to);
    uint8_t *end = to + RECORD_FIXED_BYTES;
    end = bytes_put(end, input->scope.data, input->scope.size);
    end = bytes_put(end, input->entity.data, input->entity.size);
    end = put_tags(end, input->tags, input->tag_count);
    end = put_headers(end, input->headers, input->header_count);
    end = bytes_put(end, input->payload.data, input->payload.size);
    struct record_sizes sizes = {
        .payload = (uint32_t)input->payload.size,
        .scope = (uint16_t)input->scope.size,
        .entity = (uint16_t)input->entity.size,
        .tags = input->tags_bytes,
        .headers = input->headers_bytes,
        .total = align_up((uint64_t)(end - to), RECORD_ALIGNMENT),
    };
    memset(end, 0, (size_t)(sizes.total - (uint64_t)(end - to)));
    record_hash(input->sequence, to, &sizes, out_hash);
    memcpy(to + RECORD_HASH_AT, out_hash, SHA256_BYTES);
}

bool record_measure(const uint8_t *at, uint64_t available, struct record_sizes *out_sizes) {
    if (available < RECORD_FIXED_BYTES)
        return false;
    struct record_sizes sizes = {
        .payload = load_u32(at + RECORD_PAYLOAD_BYTES_AT),
        .scope = load_u16(at + RECORD_SCOPE_BYTES_AT),
        .entity = load_u16(at + RECORD_ENTITY_BYTES_AT),
        .tags = load_u16(at + RECORD_TAGS_BYTES_AT),
        .headers = load_u16(at + RECORD_HEADERS_BYTES_AT),
    };
    sizes.total = record_bytes(sizes.scope, sizes.entity, sizes.tags, sizes.headers, sizes.payload);
    if (sizes.total > available)
        return false;
    *out_sizes = sizes;
    return true;
}

static bool name_is_sound(const uint8_t *name, uint16_t size) {
    return size >= 1 && size <= LIMIT_NAME_BYTES && !memchr(name, 0, size) && utf8_is_valid(name, size);
}

static bool tags_are_sound(struct fbat_slice encoded) {
    size_t offset = 0;
    struct fbat_slice tag;
    while (tags_next(encoded, &offset, &tag))
        if (!utf8_is_valid(tag.data, tag.size))
            return false;
    return offset == encoded.size;
}

static bool headers_are_sound(struct fbat_slice encoded) {
    size_t offset = 0;
    struct fbat_header header;
    while (headers_next(encoded, &offset, &header))
        if (!utf8_is_valid(header.name.data, header.name.size))
            return false;
    return offset == encoded.size;
}

const char *record_find_fault(const uint8_t *at, const struct record_sizes *sizes) {
    const uint8_t *scope = at + RECORD_FIXED_BYTES, *entity = scope + sizes->scope;
    const uint8_t *tags = entity + sizes->entity, *headers = tags + sizes->tags;
    const uint8_t *end = headers + sizes->headers + sizes->payload;
    if (at[RECORD_FLAGS_AT] & ~RECORD_FLAG_ID_MADE)
        return "an unknown flag is set";
    if (load_u32(at + RECORD_LANE_AT) != 0)
        return "the lane is not zero";
    if (load_u64(at + RECORD_REVISION_AT) == 0)
        return "the revision is zero";
    if (!name_is_sound(scope, sizes->scope))
        return "the scope is not a valid name";
    if (!name_is_sound(entity, sizes->entity))
        return "the entity is not a valid name";
    if (!tags_are_sound(fbat_bytes(tags, sizes->tags)))
        return "the tags are not well-formed";
    if (!headers_are_sound(fbat_bytes(headers, sizes->headers)))
        return "the headers are not well-formed";
    if (!bytes_are_zero(end, (size_t)(at + sizes->total - end)))
        return "the padding is not zero";
    return NULL;
}

void record_hash(uint64_t sequence, const uint8_t *at, const struct record_sizes *sizes,
                 uint8_t out_hash[SHA256_BYTES]) {
    const uint8_t *names = at + RECORD_FIXED_BYTES;
    size_t names_bytes = (size_t)sizes->scope + sizes->entity + sizes->tags;
    uint8_t image[IMAGE_BYTES];
    store_u64(image, sequence);
    memcpy(image + IMAGE_SEQUENCE_BYTES, at + RECORD_PAYLOAD_BYTES_AT, IMAGE_FIELDS_BYTES);
    sha256_of(names + names_bytes, (size_t)sizes->headers + sizes->payload, NULL, 0,
              image + IMAGE_SEQUENCE_BYTES + IMAGE_FIELDS_BYTES);
    sha256_of(image, sizeof image, names, names_bytes, out_hash);
}

void record_view(const uint8_t *at, const struct record_sizes *sizes, uint64_t sequence, struct fbat_event *out_event) {
    const uint8_t *scope = at + RECORD_FIXED_BYTES, *entity = scope + sizes->scope;
    const uint8_t *tags = entity + sizes->entity, *headers = tags + sizes->tags;
    out_event->sequence = sequence;
    out_event->revision = load_u64(at + RECORD_REVISION_AT);
    out_event->recorded_us = load_i64(at + RECORD_RECORDED_AT);
    out_event->event_time_us = load_i64(at + RECORD_EVENT_TIME_AT);
    out_event->kind = load_u16(at + RECORD_KIND_AT);
    out_event->payload_type = at[RECORD_PAYLOAD_TYPE_AT];
    out_event->reserved = 0;
    out_event->lane = load_u32(at + RECORD_LANE_AT);
    memcpy(out_event->id.bytes, at + RECORD_ID_AT, 16);
    memcpy(out_event->correlation.bytes, at + RECORD_CORRELATION_AT, 16);
    memcpy(out_event->causation.bytes, at + RECORD_CAUSATION_AT, 16);
    out_event->scope = fbat_bytes(scope, sizes->scope);
    out_event->entity = fbat_bytes(entity, sizes->entity);
    out_event->tags = fbat_bytes(tags, sizes->tags);
    out_event->headers = fbat_bytes(headers, sizes->headers);
    out_event->payload = fbat_bytes(headers + sizes->headers, sizes->payload);
    out_event->hash = at + RECORD_HASH_AT;
    out_event->previous_hash = at + RECORD_PREVIOUS_HASH_AT;
    out_event->segment_id = 0;
    out_event->offset = 0;
    out_event->pin = NULL;
}
