/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event record: 160 bytes of fixed part, then scope, entity, tags, headers and payload back to back, then zeros to
 * the next multiple of 8.
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  sequence offset   the event's sequence less the frame's first
 *          4     4  payload bytes
 *          8     2  kind
 *         10     1  payload type
 *         11     1  flags             bit 0: the store made the id; the others zero
 *         12     2  scope bytes       1..1024
 *         14     2  entity bytes      1..1024
 *         16     2  tags bytes        encoded
 *         18     2  headers bytes     encoded
 *         20     4  lane              zero: reserved for branches
 *         24     8  revision          from 1
 *         32     8  recorded time     microseconds since the epoch
 *         40     8  event time        likewise, signed
 *         48    16  id
 *         64    16  correlation id
 *         80    16  causation id      zero if none
 *         96    32  previous hash     of the stream's event before; zero at revision 1
 *        128    32  hash
 *        160        scope, entity, tags, headers, payload, zeros
 *
 * Tags: each one length byte (1..255) and that many bytes. Headers: each name length (2 bytes), value length (2 bytes),
 * name, value.
 *
 * hash = SHA-256 over, in this order: the sequence (8 bytes), bytes 4 to 127 of the record, the content hash
 * (32 bytes), scope, entity, tags. content hash = SHA-256 over headers and payload. So content can be erased later,
 * its hash kept, and the chain still verifies.
 */
#ifndef FBAT_FORMAT_RECORD_H
#define FBAT_FORMAT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "base/sha256.h"

enum {
    RECORD_SEQUENCE_OFFSET_AT = 0,
    RECORD_PAYLOAD_BYTES_AT = 4,
    RECORD_KIND_AT = 8,
    RECORD_PAYLOAD_TYPE_AT = 10,
    RECORD_FLAGS_AT = 11,
    RECORD_SCOPE_BYTES_AT = 12,
    RECORD_ENTITY_BYTES_AT = 14,
    RECORD_TAGS_BYTES_AT = 16,
    RECORD_HEADERS_BYTES_AT = 18,
    RECORD_LANE_AT = 20,
    RECORD_REVISION_AT = 24,
    RECORD_RECORDED_AT = 32,
    RECORD_EVENT_TIME_AT = 40,
    RECORD_ID_AT = 48,
    RECORD_CORRELATION_AT = 64,
    RECORD_CAUSATION_AT = 80,
    RECORD_PREVIOUS_HASH_AT = 96,
    RECORD_HASH_AT = 128,
    RECORD_FIXED_BYTES = 160,
    RECORD_ALIGNMENT = 8,
    RECORD_FLAG_ID_MADE = 1,
};

/* What goes into a record. Slices are borrowed during encoding; tags and headers come as the caller gave them. */
struct record_input {
    uint64_t sequence;
    uint64_t first_sequence; /* of the frame */
    uint64_t revision;
    int64_t recorded_us;
    int64_t event_time_us;
    uint16_t kind;
    uint8_t payload_type;
    uint8_t flags;
    struct fbat_id id, correlation, causation;
    const uint8_t *previous_hash; /* 32 bytes */
    struct fbat_slice scope, entity, payload;
    const struct fbat_slice *tags;
    size_t tag_count;
    const struct fbat_header *headers;
    size_t header_count;
    uint16_t tags_bytes;    /* as tags_measure gave it */
    uint16_t headers_bytes; /* as headers_measure gave it */
};

/* The sizes in a record's fixed part, found to fit. */
struct record_sizes {
    uint32_t payload;
    uint16_t scope, entity, tags, headers;
    uint64_t total; /* with padding */
};

/* Bytes of a record with these parts, padding included. */
uint64_t record_bytes(uint64_t scope, uint64_t entity, uint64_t tags, uint64_t headers, uint64_t payload);

/* Encodes a whole record, padding and hash included, at `to`, which has room for record_bytes of it. The hash is also
 * copied to out_hash. */
void record_encode(const struct record_input *input, uint8_t *to, uint8_t out_hash[SHA256_BYTES]);

/* True when a record that fits into `available` bytes stands at `at`; fills out_sizes. */
bool record_measure(const uint8_t *at, uint64_t available, struct record_sizes *out_sizes);

/* NULL, or what of a measured record breaks the format: names, tags, headers, flags, reserved fields, padding. */
const char *record_find_fault(const uint8_t *at, const struct record_sizes *sizes);

/* The hash that a measured record should have, for its sequence. */
void record_hash(uint64_t sequence, const uint8_t *at, const struct record_sizes *sizes,
                 uint8_t out_hash[SHA256_BYTES]);

/* A view of a measured record; segment_id, offset and pin are left zero. */
void record_view(const uint8_t *at, const struct record_sizes *sizes, uint64_t sequence, struct fbat_event *out_event);

/* Encoded size, or false when a tag or header breaks its limits or all of them are over 65,535 bytes. */
bool tags_measure(const struct fbat_slice *tags, size_t count, uint16_t *out_bytes);
bool headers_measure(const struct fbat_header *headers, size_t count, uint16_t *out_bytes);

/* The tag or header that starts at *offset of an encoded list; moves *offset past it. False at the end, or where the
 * encoding is broken (then *offset is not the size). */
bool tags_next(struct fbat_slice encoded, size_t *offset, struct fbat_slice *out_tag);
bool headers_next(struct fbat_slice encoded, size_t *offset, struct fbat_header *out_header);

#endif
