/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of store.meta. Pure: no I/O, no allocation; any thread. */
#include "format/store_meta.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

static const uint8_t meta_magic[8] = {'F', 'B', 'A', 'T', 'M', 'E', 'T', 'A'};

static_assert(STORE_META_CRC_AT + 4 == STORE_META_BYTES, "the checksum is last");

void store_meta_encode(const struct store_meta *meta, uint8_t to[STORE_META_BYTES]) {
    memset(to, 0, STORE_META_BYTES);
    memcpy(to, meta_magic, sizeof meta_magic);
    store_u32(to + STORE_META_VERSION_AT, FBAT_DISK_VERSION);
    store_u32(to + STORE_META_SIZE_AT, STORE_META_BYTES);
    memcpy(to + STORE_META_STORE_ID_AT, meta->store_id.bytes, 16);
    store_i64(to + STORE_META_CREATED_AT, meta->created_us);
    store_u32(to + STORE_META_CRC_AT, crc32c(to, STORE_META_CRC_AT, 0));
}

enum store_meta_state store_meta_decode(const uint8_t from[STORE_META_BYTES], struct store_meta *out_meta) {
    if (memcmp(from, meta_magic, sizeof meta_magic) != 0 ||
        load_u32(from + STORE_META_CRC_AT) != crc32c(from, STORE_META_CRC_AT, 0))
        return STORE_META_BROKEN;
    if (load_u32(from + STORE_META_VERSION_AT) > FBAT_DISK_VERSION || load_u32(from + STORE_META_INCOMPATIBLE_AT) != 0)
        return STORE_META_NEWER;
    if (load_u32(from + STORE_META_VERSION_AT) != FBAT_DISK_VERSION ||
        load_u32(from + STORE_META_SIZE_AT) != STORE_META_BYTES ||
        !bytes_are_zero(from + STORE_META_ZERO_AT, STORE_META_CRC_AT - STORE_META_ZERO_AT))
        return STORE_META_BROKEN;
    memcpy(out_meta->store_id.bytes, from + STORE_META_STORE_ID_AT, 16);
    out_meta->created_us = load_i64(from + STORE_META_CREATED_AT);
    return STORE_META_VALID;
}
