/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder of a segment's header. What it accepts, encoding gives back but for flags that may be ignored. */
#include "fuzz.h"

#include "format/segment_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t bytes[SEGMENT_HEADER_BYTES] = {0}, again[SEGMENT_HEADER_BYTES];
    struct segment_header header;
    if (size == 0)
        return 0;
    memcpy(bytes, data + 1, size - 1 < sizeof bytes ? size - 1 : sizeof bytes);
    if (data[0] & FUZZ_SEAL)
        store_u32(bytes + SEGMENT_HEADER_CRC_AT, crc32c(bytes, SEGMENT_HEADER_CRC_AT, 0));
    uint8_t *exact = fuzz_copy(bytes, sizeof bytes);
    enum segment_header_state state = segment_header_decode(exact, &header);
    free(exact);
    if (state != SEGMENT_HEADER_VALID)
        return 0;
    (void)segment_header_salt(&header);
    FUZZ_REQUIRE(header.segment_id >= 1 && header.first_sequence > header.durable_sequence);
    segment_header_encode(&header, again);
    memset(bytes + SEGMENT_HEADER_COMPATIBLE_AT, 0, 4);
    FUZZ_REQUIRE(memcmp(bytes, again, SEGMENT_HEADER_CRC_AT) == 0);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    struct segment_header header = {
        .segment_id = 1 + 70000 * index, .first_sequence = 1 + 500 * index, .capacity = 1 << 20};
    if (index > 2)
        return 0;
    memset(header.store_id.bytes, 0x42, sizeof header.store_id.bytes);
    header.durable_sequence = header.first_sequence - 1;
    segment_header_encode(&header, bytes);
    /* The rest is zeros, which the target puts there itself. */
    return fuzz_seed_bytes(to, room, index == 0 ? 0 : FUZZ_SEAL, bytes, index == 0 ? sizeof bytes : 160);
}
