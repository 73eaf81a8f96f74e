/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An id run: in which segment of a contiguous range of sealed ones an id may stand. A file of its own, derived from the
 * segments' rows: it may be removed at any time, and is ignored when it is not valid.
 *
 *     id hash, 64 bits:  [ bucket bits | fingerprint | not kept ]
 *                              |             |
 *     buckets: first entry of each    entries of a bucket: [ fingerprint | segment ]
 *
 *     header, zeros to 4096 | buckets, zeros to 4096 | entries, zeros to 4096 | page checksums | end of file
 *
 * Header: 256 bytes.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  magic               46 42 41 54 49 44 52 4E ("FBATIDRN")
 *          8     4  disk version        2
 *         12     4  page bytes          4096
 *         16    16  store identity
 *         32     8  first segment id
 *         40     8  last segment id     at most 65536 segments in all
 *         48     8  entry count         1..2^32 - 1; of all events of the segments
 *         56     4  bucket bits         0..32
 *         60     4  segment bits        0..16; enough for every segment of the range, counted from the first
 *         64     4  key bits            how many leading bits of the hash buckets and entries keep together
 *         68     4  zero
 *         72     8  buckets offset      4096
 *         80     8  entries offset
 *         88     8  checksums offset
 *         96     8  file bytes
 *        104    32  segments digest     of what the segments were when the run was made
 *        136     4  CRC-32C             of the page checksums
 *        140   112  zero
 *        252     4  CRC-32C             of bytes 0 to 251
 *
 * Buckets: 2^(bucket bits) + 1 numbers of 32 bits: how many entries stand before those of the bucket; the last one is
 * the entry count. A hash belongs to the bucket that its leading bucket bits number.
 *
 * Entry: 32 bits. The upper (32 - segment bits) are the bits of the hash behind the bucket bits, zero from bit number
 * (key bits) of the hash on; the lower ones are the segment, counted from the first one of the range. The entries of a
 * bucket ascend as numbers.
 *
 * Page checksums: for each 4096 bytes of buckets and entries, in order, their CRC-32C. Page p (from 0) continues from
 * the seed (CRC-32C of header bytes 16 to 71) XOR p: a page of another run, or of another place, does not pass.
 *
 * Segments digest: D(0) is 32 zero bytes; D(n) is the SHA-256 of D(n - 1) and of the n-th segment's generation, first
 * sequence, event count (8 bytes each) and last hash (32 bytes).
 *
 * A header is valid if and only if magic, page bytes and checksum are right, the version is 2, numbers lie in the
 * ranges above, offsets and file bytes are what follows from the counts, the file has that size, and reserved bytes are
 * zero. A page of a valid run counts if and only if its checksum is right.
 */
#ifndef FBAT_FORMAT_ID_RUN_H
#define FBAT_FORMAT_ID_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "base/sha256.h"

enum {
    ID_RUN_HEADER_BYTES = 256,
    ID_RUN_PAGE_BYTES = 4096,
    ID_RUN_VERSION_AT = 8,
    ID_RUN_PAGE_AT = 12,
    ID_RUN_STORE_ID_AT = 16,
    ID_RUN_FIRST_SEGMENT_AT = 32,
    ID_RUN_LAST_SEGMENT_AT = 40,
    ID_RUN_ENTRY_COUNT_AT = 48,
    ID_RUN_BUCKET_BITS_AT = 56,
    ID_RUN_SEGMENT_BITS_AT = 60,
    ID_RUN_KEY_BITS_AT = 64,
    ID_RUN_ZERO0_AT = 68,
    ID_RUN_BUCKETS_AT = 72,
    ID_RUN_ENTRIES_AT = 80,
    ID_RUN_CHECKSUMS_AT = 88,
    ID_RUN_FILE_BYTES_AT = 96,
    ID_RUN_DIGEST_AT = 104,
    ID_RUN_CHECKSUMS_CRC_AT = 136,
    ID_RUN_ZERO1_AT = 140,
    ID_RUN_CRC_AT = 252,

    ID_RUN_SEGMENT_BITS_MAX = 16,
    ID_RUN_SEGMENTS_MAX = 1 << ID_RUN_SEGMENT_BITS_MAX,
    ID_RUN_BUCKET_BITS_MAX = 32,
    ID_RUN_ENTRY_BITS = 32,
    ID_RUN_NAME_BYTES = 64,
    ID_RUN_BUCKET_ENTRIES_LOG2 = 4, /* a writer of this version fills buckets with 8 to 16 entries: a cache line */
};

#define ID_RUN_ENTRIES_MAX UINT32_MAX

/* Of segment ids, both included. */
struct id_run_range {
    uint64_t first, last;
};

struct id_run_header {
    struct fbat_id store_id;
    struct id_run_range range;
    uint64_t entry_count;
    uint32_t bucket_bits;
    uint32_t segment_bits;
    uint32_t key_bits;
    uint32_t checksums_crc;
    uint64_t buckets_offset;
    uint64_t entries_offset;
    uint64_t checksums_offset;
    uint64_t file_bytes;
    uint8_t segments_digest[SHA256_BYTES];
};

/* What the digest covers of one segment. */
struct id_run_segment {
    uint64_t generation;
    uint64_t first_sequence;
    uint64_t event_count;
    const uint8_t *last_hash; /* 32 bytes */
};

/* "ids-000001-000004.fbati", and with ".new" behind it while it is written. */
void id_run_name(struct id_run_range range, bool temporary, char out_name[ID_RUN_NAME_BYTES]);

/* What a name says; false when it is no run's. */
bool id_run_parse_name(const char *name, struct id_run_range *out_range, bool *out_temporary);

/* Sets bucket bits, segment bits and the most key bits for the range and entry count in the header. */
void id_run_choose_bits(struct id_run_header *header);

/* Sets offsets and file bytes by the counts and bits in the header, which are in range. */
void id_run_lay_out(struct id_run_header *header);

void id_run_encode(const struct id_run_header *header, uint8_t to[ID_RUN_HEADER_BYTES]);

/* Reads the header of a file of file_bytes. NULL when it is valid, else what is wrong with it; out_header is then
 * untouched. */
const char *id_run_decode(const uint8_t from[ID_RUN_HEADER_BYTES], uint64_t file_bytes,
                          struct id_run_header *out_header);

/* What the checksum of data page p continues from: this XOR p. */
uint32_t id_run_salt(const struct id_run_header *header);

/* Continues the digest by one segment; the digest before the first one is all zero. */
void id_run_digest_segment(uint8_t digest[SHA256_BYTES], const struct id_run_segment *segment);

/* Data pages: of buckets and entries together. */
static inline uint64_t id_run_page_count(const struct id_run_header *header) {
    return (header->checksums_offset - header->buckets_offset) / ID_RUN_PAGE_BYTES;
}

static inline uint64_t id_run_bucket_count(const struct id_run_header *header) {
    return UINT64_C(1) << header->bucket_bits;
}

/* The bucket of a hash. */
static inline uint64_t id_run_bucket(const struct id_run_header *header, uint64_t id_hash) {
    return header->bucket_bits == 0 ? 0 : id_hash >> (64 - header->bucket_bits);
}

/* The bits of an entry that tell of the hash. */
static inline uint32_t id_run_fingerprint_mask(const struct id_run_header *header) {
    uint32_t bits = header->key_bits - header->bucket_bits;
    return bits == 0 ? 0 : UINT32_MAX << (ID_RUN_ENTRY_BITS - bits);
}

/* The entry of a hash in a segment, counted from the run's first. */
static inline uint32_t id_run_entry(const struct id_run_header *header, uint64_t id_hash, uint32_t segment) {
    return ((uint32_t)((id_hash << header->bucket_bits) >> 32) & id_run_fingerprint_mask(header)) | segment;
}

/* The segment of an entry, likewise. */
static inline uint32_t id_run_entry_segment(const struct id_run_header *header, uint32_t entry) {
    return entry & ((UINT32_C(1) << header->segment_bits) - 1);
}

/* As much of the hash as an entry of this bucket keeps; the rest is zero. */
static inline uint64_t id_run_entry_hash(const struct id_run_header *header, uint64_t bucket, uint32_t entry) {
    uint64_t top = header->bucket_bits == 0 ? 0 : bucket << (64 - header->bucket_bits);
    return top | ((uint64_t)(entry & id_run_fingerprint_mask(header)) << 32) >> header->bucket_bits;
}

#endif
