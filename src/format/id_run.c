/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The header of an id run, and the shape of the file that follows from it. Pure: no I/O, no allocation; any thread.
 *
 * Happy path: a writer chooses bits, lays out, encodes; a reader decodes. Failure: id_run_decode says what is wrong.
 *
 * How many bits of the hash a run keeps hardly changes when runs are merged: with the range the bits for the segment
 * grow, and with the entries the bits that the bucket gives. So the fingerprints of a merged run come from those of its
 * parts, and no event is looked at again.
 */
#include "format/id_run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/limits.h"

static const uint8_t run_magic[8] = {'F', 'B', 'A', 'T', 'I', 'D', 'R', 'N'};

static_assert(ID_RUN_DIGEST_AT + SHA256_BYTES == ID_RUN_CHECKSUMS_CRC_AT, "fields are contiguous");
static_assert(ID_RUN_CRC_AT + 4 == ID_RUN_HEADER_BYTES, "the checksum is last");

void id_run_name(struct id_run_range range, bool temporary, char out_name[ID_RUN_NAME_BYTES]) {
    snprintf(out_name, ID_RUN_NAME_BYTES, "ids-%0*" PRIu64 "-%0*" PRIu64 ".fbati%s", LIMIT_SEGMENT_FILE_DIGITS,
             range.first, LIMIT_SEGMENT_FILE_DIGITS, range.last, temporary ? ".new" : "");
}

/* The number in up to 12 digits at *at, behind which *at then stands; 0 when there is none. */
static uint64_t take_segment_id(const char **at) {
    size_t digits = strspn(*at, "0123456789");
    uint64_t id = digits >= 1 && digits <= 12 ? strtoull(*at, NULL, 10) : 0;
    *at += digits;
    return id;
}

bool id_run_parse_name(const char *name, struct id_run_range *out_range, bool *out_temporary) {
    if (strncmp(name, "ids-", 4) != 0)
        return false;
    const char *at = name + 4;
    struct id_run_range range = {.first = take_segment_id(&at)};
    if (*at++ != '-')
        return false;
    range.last = take_segment_id(&at);
    if (range.first == 0 || range.last < range.first)
        return false;
    char canonical[ID_RUN_NAME_BYTES];
    bool temporary = strcmp(at, ".fbati.new") == 0;
    id_run_name(range, temporary, canonical);
    if (strcmp(name, canonical) != 0)
        return false;
    *out_range = range;
    *out_temporary = temporary;
    return true;
}

/* Bits to number `count` things from 0. */
static uint32_t bits_for(uint64_t count) {
    return count <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(count - 1);
}

static uint32_t key_bits_most(const struct id_run_header *header) {
    return header->bucket_bits + ID_RUN_ENTRY_BITS - header->segment_bits;
}

void id_run_choose_bits(struct id_run_header *header) {
    uint32_t bits = bits_for(header->entry_count);
    header->bucket_bits = bits > ID_RUN_BUCKET_ENTRIES_LOG2 ? bits - ID_RUN_BUCKET_ENTRIES_LOG2 : 0;
    header->segment_bits = bits_for(header->range.last - header->range.first + 1);
    header->key_bits = key_bits_most(header);
}

void id_run_lay_out(struct id_run_header *header) {
    uint64_t buckets = (id_run_bucket_count(header) + 1) * sizeof(uint32_t);
    header->buckets_offset = ID_RUN_PAGE_BYTES;
    header->entries_offset = align_up(header->buckets_offset + buckets, ID_RUN_PAGE_BYTES);
    header->checksums_offset =
        align_up(header->entries_offset + header->entry_count * sizeof(uint32_t), ID_RUN_PAGE_BYTES);
    header->file_bytes = header->checksums_offset + id_run_page_count(header) * sizeof(uint32_t);
}

void id_run_encode(const struct id_run_header *header, uint8_t to[ID_RUN_HEADER_BYTES]) {
    memset(to, 0, ID_RUN_HEADER_BYTES);
    memcpy(to, run_magic, sizeof run_magic);
    store_u32(to + ID_RUN_VERSION_AT, FBAT_DISK_VERSION);
    store_u32(to + ID_RUN_PAGE_AT, ID_RUN_PAGE_BYTES);
    memcpy(to + ID_RUN_STORE_ID_AT, header->store_id.bytes, 16);
    store_u64(to + ID_RUN_FIRST_SEGMENT_AT, header->range.first);
    store_u64(to + ID_RUN_LAST_SEGMENT_AT, header->range.last);
    store_u64(to + ID_RUN_ENTRY_COUNT_AT, header->entry_count);
    store_u32(to + ID_RUN_BUCKET_BITS_AT, header->bucket_bits);
    store_u32(to + ID_RUN_SEGMENT_BITS_AT, header->segment_bits);
    store_u32(to + ID_RUN_KEY_BITS_AT, header->key_bits);
    store_u64(to + ID_RUN_BUCKETS_AT, header->buckets_offset);
    store_u64(to + ID_RUN_ENTRIES_AT, header->entries_offset);
    store_u64(to + ID_RUN_CHECKSUMS_AT, header->checksums_offset);
    store_u64(to + ID_RUN_FILE_BYTES_AT, header->file_bytes);
    memcpy(to + ID_RUN_DIGEST_AT, header->segments_digest, SHA256_BYTES);
    store_u32(to + ID_RUN_CHECKSUMS_CRC_AT, header->checksums_crc);
    store_u32(to + ID_RUN_CRC_AT, crc32c(to, ID_RUN_CRC_AT, 0));
}

static void load_header(const uint8_t *from, struct id_run_header *header) {
    memcpy(header->store_id.bytes, from + ID_RUN_STORE_ID_AT, 16);
    header->range.first = load_u64(from + ID_RUN_FIRST_SEGMENT_AT);
    header->range.last = load_u64(from + ID_RUN_LAST_SEGMENT_AT);
    header->entry_count = load_u64(from + ID_RUN_ENTRY_COUNT_AT);
    header->bucket_bits = load_u32(from + ID_RUN_BUCKET_BITS_AT);
    header->segment_bits = load_u32(from + ID_RUN_SEGMENT_BITS_AT);
    header->key_bits = load_u32(from + ID_RUN_KEY_BITS_AT);
    header->buckets_offset = load_u64(from + ID_RUN_BUCKETS_AT);
    header->entries_offset = load_u64(from + ID_RUN_ENTRIES_AT);
    header->checksums_offset = load_u64(from + ID_RUN_CHECKSUMS_AT);
    header->file_bytes = load_u64(from + ID_RUN_FILE_BYTES_AT);
    memcpy(header->segments_digest, from + ID_RUN_DIGEST_AT, SHA256_BYTES);
    header->checksums_crc = load_u32(from + ID_RUN_CHECKSUMS_CRC_AT);
}

static bool range_is_sound(const struct id_run_header *header) {
    uint64_t more = header->range.last - header->range.first;
    return header->range.first >= 1 && header->range.first <= header->range.last && more < ID_RUN_SEGMENTS_MAX &&
           header->segment_bits <= ID_RUN_SEGMENT_BITS_MAX && header->segment_bits >= bits_for(more + 1) &&
           header->entry_count <= ID_RUN_ENTRIES_MAX && header->bucket_bits <= ID_RUN_BUCKET_BITS_MAX &&
           header->key_bits >= header->bucket_bits && header->key_bits <= key_bits_most(header);
}

static bool layout_is_sound(const struct id_run_header *header) {
    struct id_run_header expected = *header;
    id_run_lay_out(&expected);
    return header->buckets_offset == expected.buckets_offset && header->entries_offset == expected.entries_offset &&
           header->checksums_offset == expected.checksums_offset && header->file_bytes == expected.file_bytes;
}

const char *id_run_decode(const uint8_t from[ID_RUN_HEADER_BYTES], uint64_t file_bytes,
                          struct id_run_header *out_header) {
    if (memcmp(from, run_magic, sizeof run_magic) != 0)
        return "it does not begin like an id run";
    if (load_u32(from + ID_RUN_CRC_AT) != crc32c(from, ID_RUN_CRC_AT, 0))
        return "the header's checksum is wrong";
    if (load_u32(from + ID_RUN_VERSION_AT) != FBAT_DISK_VERSION || load_u32(from + ID_RUN_PAGE_AT) != ID_RUN_PAGE_BYTES)
        return "it is of another version";
    if (load_u32(from + ID_RUN_ZERO0_AT) != 0 ||
        !bytes_are_zero(from + ID_RUN_ZERO1_AT, ID_RUN_CRC_AT - ID_RUN_ZERO1_AT))
        return "reserved bytes of the header are not zero";
    struct id_run_header header;
    load_header(from, &header);
    if (!range_is_sound(&header))
        return "a number in the header is out of range";
    if (!layout_is_sound(&header))
        return "the parts do not lie where the counts put them";
    if (header.file_bytes != file_bytes)
        return "the file has another size";
    *out_header = header;
    return NULL;
}

uint32_t id_run_salt(const struct id_run_header *header) {
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    id_run_encode(header, bytes);
    return crc32c(bytes + ID_RUN_STORE_ID_AT, ID_RUN_BUCKETS_AT - ID_RUN_STORE_ID_AT, 0);
}

void id_run_digest_segment(uint8_t digest[SHA256_BYTES], const struct id_run_segment *segment) {
    uint8_t image[24 + SHA256_BYTES], before[SHA256_BYTES];
    store_u64(image, segment->generation);
    store_u64(image + 8, segment->first_sequence);
    store_u64(image + 16, segment->event_count);
    memcpy(image + 24, segment->last_hash, SHA256_BYTES);
    memcpy(before, digest, SHA256_BYTES);
    sha256_of(before, sizeof before, image, sizeof image, digest);
}
