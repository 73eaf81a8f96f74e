/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file store.meta: what makes a directory an fbat store. Written once, by rename, when the store is created.
 *
 *     OFFSET  SIZE  FIELD
 *          0     8  magic               46 42 41 54 4D 45 54 41 ("FBATMETA")
 *          8     4  disk version        2
 *         12     4  file bytes          128
 *         16     4  compatible flags    0
 *         20     4  incompatible flags  0
 *         24    16  store identity      a UUIDv7
 *         40     8  created             microseconds since the epoch
 *         48    76  zero
 *        124     4  CRC-32C             of bytes 0 to 123
 *
 * Valid if and only if magic, size and checksum are right, the version is 2, no unknown incompatible bit is set and
 * bytes 48 to 123 are zero.
 */
#ifndef FBAT_FORMAT_STORE_META_H
#define FBAT_FORMAT_STORE_META_H

#include <stdint.h>

#include <fbat/fbat.h>

enum {
    STORE_META_BYTES = 128,
    STORE_META_VERSION_AT = 8,
    STORE_META_SIZE_AT = 12,
    STORE_META_COMPATIBLE_AT = 16,
    STORE_META_INCOMPATIBLE_AT = 20,
    STORE_META_STORE_ID_AT = 24,
    STORE_META_CREATED_AT = 40,
    STORE_META_ZERO_AT = 48,
    STORE_META_CRC_AT = 124,
};

struct store_meta {
    struct fbat_id store_id;
    int64_t created_us;
};

enum store_meta_state { STORE_META_VALID = 0, STORE_META_BROKEN = 1, STORE_META_NEWER = 2 };

void store_meta_encode(const struct store_meta *meta, uint8_t to[STORE_META_BYTES]);

/* Fills out_meta only when valid. */
enum store_meta_state store_meta_decode(const uint8_t from[STORE_META_BYTES], struct store_meta *out_meta);

#endif
