/* SPDX-License-Identifier: Apache-2.0 */
/* Frames and the records in them: decoding, measuring, finding faults, hashing, tags and headers. */
#include "fuzz.h"

#include "base/sha256.h"
#include "format/frame.h"
#include "format/record.h"

enum { SALT = 0x12345678 };

/* Elements of a list follow one another and end within it. */
static void walk_lists(const struct fbat_event *event, bool sound) {
    struct fbat_slice tag;
    struct fbat_header header;
    size_t offset = 0, before = 0;
    while (tags_next(event->tags, &offset, &tag)) {
        FUZZ_REQUIRE(offset > before && offset <= event->tags.size && tag.size >= 1);
        fuzz_touch(tag.data, tag.size);
        before = offset;
    }
    FUZZ_REQUIRE(!sound || offset == event->tags.size);
    offset = before = 0;
    while (headers_next(event->headers, &offset, &header)) {
        FUZZ_REQUIRE(offset > before && offset <= event->headers.size && header.name.size >= 1);
        fuzz_touch(header.name.data, header.name.size);
        fuzz_touch(header.value.data, header.value.size);
        before = offset;
    }
    FUZZ_REQUIRE(!sound || offset == event->headers.size);
}

static void look_at_record(const uint8_t *at, const struct record_sizes *sizes) {
    struct fbat_event event;
    uint8_t hash[SHA256_BYTES];
    bool sound = record_find_fault(at, sizes) == NULL;
    record_hash(7, at, sizes, hash);
    record_view(at, sizes, 7, &event);
    fuzz_touch(event.scope.data, event.scope.size);
    fuzz_touch(event.entity.data, event.entity.size);
    fuzz_touch(event.payload.data, event.payload.size);
    FUZZ_REQUIRE((const uint8_t *)event.payload.data + event.payload.size <= at + sizes->total);
    FUZZ_REQUIRE(!sound || (event.scope.size >= 1 && event.entity.size >= 1 && event.revision >= 1));
    walk_lists(&event, sound);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct frame frame;
    if (size == 0)
        return 0;
    bool seal = data[0] & FUZZ_SEAL;
    uint8_t *bytes = fuzz_copy(data + 1, --size);
    size &= seal ? ~(size_t)7 : SIZE_MAX;
    if (seal && size >= FRAME_HEADER_BYTES) {
        store_u32(bytes + FRAME_BYTES_AT, (uint32_t)size);
        store_u32(bytes + FRAME_CRC_AT, crc32c(bytes + FRAME_BYTES_AT, size - FRAME_BYTES_AT, SALT));
    }
    enum frame_state state = frame_decode(bytes, size, SALT, &frame);
    FUZZ_REQUIRE(state == FRAME_VALID || state == FRAME_END || state == FRAME_BROKEN);
    if (state == FRAME_VALID) {
        bool commits = frame.type == FRAME_COMMIT;
        FUZZ_REQUIRE(frame.frame_bytes <= size && (frame.event_count >= 1) == !commits &&
                     frame.first_sequence > frame.durable_sequence);
        FUZZ_REQUIRE(commits ? frame.last_sequence >= frame.first_sequence && frame.staged_bytes > 0
                             : frame.last_sequence == 0 && frame.staged_bytes == 0);
        struct record_sizes sizes;
        uint64_t place = FRAME_HEADER_BYTES;
        for (uint32_t item = 0; item < frame.event_count; item++) {
            if (!record_measure(bytes + place, frame.frame_bytes - place, &sizes))
                break;
            FUZZ_REQUIRE(sizes.total >= RECORD_FIXED_BYTES && sizes.total <= frame.frame_bytes - place);
            look_at_record(bytes + place, &sizes);
            place += sizes.total;
        }
    }
    free(bytes);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    static const struct fbat_slice tags[] = {{"red", 3}, {"gr\xc3\xbcn", 5}};
    static const struct fbat_header headers[] = {{{"by", 2}, {"web", 3}}, {{"empty", 5}, {"", 0}}};
    static const uint8_t previous_hash[SHA256_BYTES] = {1};
    uint8_t bytes[2048], hash[SHA256_BYTES];
    uint32_t count = (index >> 1 & 1) ? 3 : 1;
    struct frame frame = {.first_sequence = 11, .durable_sequence = 9, .event_count = count, .type = FRAME_EVENTS};
    uint64_t size = FRAME_HEADER_BYTES;
    if (index > 7)
        return 0;
    if (index > 3)
        frame.type = FRAME_STAGED;
    if (index > 5) {
        const struct frame commit = {.frame_bytes = FRAME_COMMIT_BYTES,
                                     .first_sequence = 11,
                                     .durable_sequence = 9,
                                     .type = FRAME_COMMIT,
                                     .last_sequence = 13,
                                     .staged_bytes = 640};
        frame_seal(bytes, &commit, SALT);
        return fuzz_seed_bytes(to, room, index & 1, bytes, FRAME_COMMIT_BYTES);
    }
    for (uint32_t item = 0; item < count; item++) {
        struct record_input input = {.sequence = 11 + item, .first_sequence = 11, .revision = 2 + item, .kind = 0x1001};
        input.recorded_us = input.event_time_us = 1700000000000000;
        memset(input.id.bytes, (int)item + 1, sizeof input.id.bytes);
        input.previous_hash = previous_hash;
        input.scope = fbat_text("shop");
        input.entity = fbat_text("order-1");
        input.payload = fbat_text("{\"total\":12}");
        input.tags = tags;
        input.tag_count = item;
        input.headers = headers;
        input.header_count = item;
        FUZZ_REQUIRE(tags_measure(tags, item, &input.tags_bytes) &&
                     headers_measure(headers, item, &input.headers_bytes));
        record_encode(&input, bytes + size, hash);
        size += record_bytes(4, 7, input.tags_bytes, input.headers_bytes, 12);
    }
    frame.frame_bytes = (uint32_t)size;
    frame_seal(bytes, &frame, SALT);
    return fuzz_seed_bytes(to, room, index & 1, bytes, (size_t)size);
}
