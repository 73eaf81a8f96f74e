/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of store.meta. What it accepts, encoding gives back but for flags that may be ignored. */
#include "fuzz.h"

#include "format/store_meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t bytes[STORE_META_BYTES] = {0}, again[STORE_META_BYTES];
    struct store_meta meta;
    if (size == 0)
        return 0;
    memcpy(bytes, data + 1, size - 1 < sizeof bytes ? size - 1 : sizeof bytes);
    if (data[0] & FUZZ_SEAL)
        store_u32(bytes + STORE_META_CRC_AT, crc32c(bytes, STORE_META_CRC_AT, 0));
    uint8_t *exact = fuzz_copy(bytes, sizeof bytes);
    enum store_meta_state state = store_meta_decode(exact, &meta);
    free(exact);
    if (state != STORE_META_VALID)
        return 0;
    store_meta_encode(&meta, again);
    memset(bytes + STORE_META_COMPATIBLE_AT, 0, 4);
    FUZZ_REQUIRE(memcmp(bytes, again, STORE_META_CRC_AT) == 0);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    uint8_t bytes[STORE_META_BYTES];
    struct store_meta meta = {.created_us = 1700000000000000};
    if (index > 1)
        return 0;
    memset(meta.store_id.bytes, 0x42, sizeof meta.store_id.bytes);
    store_meta_encode(&meta, bytes);
    return fuzz_seed_bytes(to, room, (uint8_t)index, bytes, sizeof bytes);
}
