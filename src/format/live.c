/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of LOCK. Pure: no I/O, no allocation; any thread. */
#include "format/live.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

static const uint8_t live_magic[8] = {'F', 'B', 'A', 'T', 'L', 'I', 'V', 'E'};

static_assert(LIVE_CRC_AT + 4 == LIVE_BYTES, "the checksum is last");

void live_encode(const struct live *live, uint8_t to[LIVE_BYTES]) {
    memset(to, 0, LIVE_BYTES);
    memcpy(to, live_magic, sizeof live_magic);
    store_u32(to + LIVE_VERSION_AT, FBAT_DISK_VERSION);
    store_u32(to + LIVE_STATE_AT, (uint32_t)live->state);
    memcpy(to + LIVE_STORE_ID_AT, live->store_id.bytes, 16);
    store_i64(to + LIVE_PID_AT, live->pid);
    store_u64(to + LIVE_VISIBLE_AT, live->visible_sequence);
    store_u64(to + LIVE_DURABLE_AT, live->durable_sequence);
    store_u64(to + LIVE_DURABLE_CHECK_AT, ~live->durable_sequence);
    store_u64(to + LIVE_SEGMENT_AT, live->segment_id);
    store_u64(to + LIVE_END_AT, live->end);
    store_u64(to + LIVE_UNFINISHED_AT, live->unfinished_segment_id);
    if (live->state == LIVE_CLOSED)
        store_u32(to + LIVE_CRC_AT, crc32c(to, LIVE_CRC_AT, 0));
}

void live_decode(const uint8_t from[LIVE_BYTES], struct live *out_live) {
    memset(out_live, 0, sizeof *out_live);
    if (memcmp(from, live_magic, sizeof live_magic) != 0 || load_u32(from + LIVE_VERSION_AT) != FBAT_DISK_VERSION)
        return;
    uint32_t state = load_u32(from + LIVE_STATE_AT);
    bool sealed = load_u32(from + LIVE_CRC_AT) == crc32c(from, LIVE_CRC_AT, 0);
    if (state != LIVE_OPEN && !(state == LIVE_CLOSED && sealed))
        return;
    out_live->state = (enum live_state)state;
    memcpy(out_live->store_id.bytes, from + LIVE_STORE_ID_AT, 16);
    out_live->pid = load_i64(from + LIVE_PID_AT);
    out_live->visible_sequence = load_u64(from + LIVE_VISIBLE_AT);
    out_live->segment_id = load_u64(from + LIVE_SEGMENT_AT);
    out_live->end = load_u64(from + LIVE_END_AT);
    out_live->unfinished_segment_id = load_u64(from + LIVE_UNFINISHED_AT);
    uint64_t durable = load_u64(from + LIVE_DURABLE_AT);
    if (load_u64(from + LIVE_DURABLE_CHECK_AT) == ~durable)
        out_live->durable_sequence = durable;
    /* Read beside a writer, one number may be newer than the other; what is durable is visible. */
    if (out_live->visible_sequence < out_live->durable_sequence)
        out_live->visible_sequence = out_live->durable_sequence;
}
