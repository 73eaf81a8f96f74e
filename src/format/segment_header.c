/* SPDX-License-Identifier: Apache-2.0 */
/* The segment header's bytes. Pure: no I/O, no allocation; any thread. */
#include "format/segment_header.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

static const uint8_t segment_magic[8] = {0x89, 'F', 'B', 'A', 'T', 0x0D, 0x0A, 0x1A};

static_assert(SEGMENT_HEADER_LAST_HASH_AT + 32 == SEGMENT_HEADER_ZERO_AT, "fields are contiguous");
static_assert(SEGMENT_HEADER_CRC_AT + 4 == SEGMENT_HEADER_BYTES, "the checksum is last");

void segment_header_encode(const struct segment_header *header, uint8_t to[SEGMENT_HEADER_BYTES]) {
    memset(to, 0, SEGMENT_HEADER_BYTES);
    memcpy(to, segment_magic, sizeof segment_magic);
    store_u32(to + SEGMENT_HEADER_VERSION_AT, FBAT_DISK_VERSION);
    store_u32(to + SEGMENT_HEADER_SIZE_AT, SEGMENT_HEADER_BYTES);
    memcpy(to + SEGMENT_HEADER_STORE_ID_AT, header->store_id.bytes, 16);
    store_u64(to + SEGMENT_HEADER_SEGMENT_ID_AT, header->segment_id);
    store_u64(to + SEGMENT_HEADER_GENERATION_AT, header->generation);
    store_u64(to + SEGMENT_HEADER_FIRST_SEQUENCE_AT, header->first_sequence);
    store_i64(to + SEGMENT_HEADER_CREATED_AT, header->created_us);
    store_u64(to + SEGMENT_HEADER_CAPACITY_AT, header->capacity);
    store_u64(to + SEGMENT_HEADER_DURABLE_AT, header->durable_sequence);
    store_i64(to + SEGMENT_HEADER_LAST_RECORDED_AT, header->last_recorded_us);
    memcpy(to + SEGMENT_HEADER_LAST_HASH_AT, header->last_hash, 32);
    store_u32(to + SEGMENT_HEADER_CRC_AT, crc32c(to, SEGMENT_HEADER_CRC_AT, 0));
}

static bool header_is_sound(const uint8_t *from) {
    return memcmp(from, segment_magic, sizeof segment_magic) == 0 &&
           load_u32(from + SEGMENT_HEADER_CRC_AT) == crc32c(from, SEGMENT_HEADER_CRC_AT, 0) &&
           load_u32(from + SEGMENT_HEADER_SIZE_AT) == SEGMENT_HEADER_BYTES;
}

enum segment_header_state segment_header_decode(const uint8_t from[SEGMENT_HEADER_BYTES],
                                                struct segment_header *out_header) {
    if (!header_is_sound(from))
        return SEGMENT_HEADER_BROKEN;
    if (load_u32(from + SEGMENT_HEADER_VERSION_AT) > FBAT_DISK_VERSION ||
        load_u32(from + SEGMENT_HEADER_INCOMPATIBLE_AT) != 0)
        return SEGMENT_HEADER_NEWER;
    struct segment_header header;
    memcpy(header.store_id.bytes, from + SEGMENT_HEADER_STORE_ID_AT, 16);
    header.segment_id = load_u64(from + SEGMENT_HEADER_SEGMENT_ID_AT);
    header.generation = load_u64(from + SEGMENT_HEADER_GENERATION_AT);
    header.first_sequence = load_u64(from + SEGMENT_HEADER_FIRST_SEQUENCE_AT);
    header.created_us = load_i64(from + SEGMENT_HEADER_CREATED_AT);
    header.capacity = load_u64(from + SEGMENT_HEADER_CAPACITY_AT);
    header.durable_sequence = load_u64(from + SEGMENT_HEADER_DURABLE_AT);
    header.last_recorded_us = load_i64(from + SEGMENT_HEADER_LAST_RECORDED_AT);
    memcpy(header.last_hash, from + SEGMENT_HEADER_LAST_HASH_AT, 32);
    if (load_u32(from + SEGMENT_HEADER_VERSION_AT) != FBAT_DISK_VERSION || header.segment_id == 0 ||
        header.first_sequence == 0 || header.durable_sequence >= header.first_sequence ||
        !bytes_are_zero(from + SEGMENT_HEADER_ZERO_AT, SEGMENT_HEADER_CRC_AT - SEGMENT_HEADER_ZERO_AT))
        return SEGMENT_HEADER_BROKEN;
    *out_header = header;
    return SEGMENT_HEADER_VALID;
}

uint32_t segment_header_salt(const struct segment_header *header) {
    uint8_t bytes[32];
    memcpy(bytes, header->store_id.bytes, 16);
    store_u64(bytes + 16, header->segment_id);
    store_u64(bytes + 24, header->generation);
    return crc32c(bytes, sizeof bytes, 0);
}
