/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of LOCK's page. What it believes, it believes again after encoding. */
#include "fuzz.h"

#include "format/live.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t bytes[LIVE_BYTES] = {0};
    struct live live, again;
    if (size == 0)
        return 0;
    memcpy(bytes, data + 1, size - 1 < sizeof bytes ? size - 1 : sizeof bytes);
    if (data[0] & FUZZ_SEAL) {
        store_u32(bytes + LIVE_CRC_AT, crc32c(bytes, LIVE_CRC_AT, 0));
        store_u64(bytes + LIVE_DURABLE_CHECK_AT, ~load_u64(bytes + LIVE_DURABLE_AT));
    }
    uint8_t *exact = fuzz_copy(bytes, sizeof bytes);
    live_decode(exact, &live);
    free(exact);
    if (live.state == LIVE_UNKNOWN) {
        FUZZ_REQUIRE(live.durable_sequence == 0 && live.visible_sequence == 0 && live.segment_id == 0);
        return 0;
    }
    live_encode(&live, bytes);
    live_decode(bytes, &again);
    FUZZ_REQUIRE(memcmp(&live, &again, sizeof live) == 0);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    uint8_t bytes[LIVE_BYTES];
    struct live live = {.pid = 4711, .visible_sequence = 12, .durable_sequence = 10, .segment_id = 2, .end = 8192};
    if (index > 3)
        return 0;
    live.state = index & 1 ? LIVE_CLOSED : LIVE_OPEN;
    memset(live.store_id.bytes, 0x42, sizeof live.store_id.bytes);
    live_encode(&live, bytes);
    return fuzz_seed_bytes(to, room, (uint8_t)(index >> 1), bytes, sizeof bytes);
}
