/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first 4096 bytes of a segment file. Little-endian throughout.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  magic                89 46 42 41 54 0D 0A 1A
 *          8     4  disk version         2
 *         12     4  header bytes         4096
 *         16     4  compatible flags     a reader may ignore bits it does not know; 0
 *         20     4  incompatible flags   a reader must refuse bits it does not know; 0
 *         24    16  store identity
 *         40     8  segment id           from 1; the number in the file's name
 *         48     8  generation           0; higher after compaction
 *         56     8  first sequence       of the first event that may stand here
 *         64     8  created              microseconds since the epoch
 *         72     8  capacity             bytes the file may grow to without its footer; a hint for mappings
 *         80     8  durable sequence     known durable when the segment was created: first sequence - 1
 *         88     8  last recorded time   of the event before; 0 if none
 *         96    32  last hash            of the event before; zero if none
 *        128  3964  zero
 *       4092     4  CRC-32C              of bytes 0 to 4091
 *
 * A header is valid if and only if magic, header bytes and checksum are right, the version is 2, no unknown
 * incompatible bit is set, segment id and first sequence are at least 1, durable sequence is below first sequence, and
 * bytes 128 to 4091 are zero.
 */
#ifndef FBAT_FORMAT_SEGMENT_HEADER_H
#define FBAT_FORMAT_SEGMENT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

enum {
    SEGMENT_HEADER_BYTES = 4096,
    SEGMENT_HEADER_VERSION_AT = 8,
    SEGMENT_HEADER_SIZE_AT = 12,
    SEGMENT_HEADER_COMPATIBLE_AT = 16,
    SEGMENT_HEADER_INCOMPATIBLE_AT = 20,
    SEGMENT_HEADER_STORE_ID_AT = 24,
    SEGMENT_HEADER_SEGMENT_ID_AT = 40,
    SEGMENT_HEADER_GENERATION_AT = 48,
    SEGMENT_HEADER_FIRST_SEQUENCE_AT = 56,
    SEGMENT_HEADER_CREATED_AT = 64,
    SEGMENT_HEADER_CAPACITY_AT = 72,
    SEGMENT_HEADER_DURABLE_AT = 80,
    SEGMENT_HEADER_LAST_RECORDED_AT = 88,
    SEGMENT_HEADER_LAST_HASH_AT = 96,
    SEGMENT_HEADER_ZERO_AT = 128,
    SEGMENT_HEADER_CRC_AT = 4092,
};

struct segment_header {
    struct fbat_id store_id;
    uint64_t segment_id;
    uint64_t generation;
    uint64_t first_sequence;
    int64_t created_us;
    uint64_t capacity;
    uint64_t durable_sequence;
    int64_t last_recorded_us;
    uint8_t last_hash[32];
};

enum segment_header_state {
    SEGMENT_HEADER_VALID = 0,
    SEGMENT_HEADER_BROKEN = 1, /* not a header, or its checksum fails */
    SEGMENT_HEADER_NEWER = 2   /* a valid header of a version or with features this library does not know */
};

void segment_header_encode(const struct segment_header *header, uint8_t to[SEGMENT_HEADER_BYTES]);

/* Fills out_header only when valid. */
enum segment_header_state segment_header_decode(const uint8_t from[SEGMENT_HEADER_BYTES],
                                                struct segment_header *out_header);

/* The checksum that every frame of this segment continues from: CRC-32C of header bytes 24 to 55 (store identity,
 * segment id, generation), so that a frame of another store, segment or generation never passes. */
uint32_t segment_header_salt(const struct segment_header *header);

#endif
