/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder of a footer, over a file whose header and frames are not looked at. All elements of what it accepts must
 * lie in the file, and be readable as what they are.
 */
#include "fuzz.h"

#include "format/footer.h"
#include "format/segment_header.h"

/* Makes the checksums right, as far as the numbers lead to bytes that are there. */
static void seal_footer(uint8_t *file, size_t size) {
    if (size < SEGMENT_HEADER_BYTES + FOOTER_TRAILER_BYTES)
        return;
    uint8_t *trailer = file + size - FOOTER_TRAILER_BYTES;
    uint64_t table = load_u64(trailer + FOOTER_TABLE_OFFSET_AT);
    uint64_t count = load_u32(trailer + FOOTER_PART_COUNT_AT);
    if (count <= FOOTER_PARTS_MAX && table <= size && count * FOOTER_PART_BYTES <= size - table) {
        for (uint64_t at = 0; at < count; at++) {
            uint8_t *part = file + table + at * FOOTER_PART_BYTES;
            uint64_t offset = load_u64(part + 8), bytes = load_u64(part + 16);
            if (offset <= size && bytes <= size - offset)
                store_u32(part + 4, crc32c(file + offset, (size_t)bytes, 0));
        }
        store_u32(trailer + FOOTER_TABLE_CRC_AT, crc32c(file + table, (size_t)count * FOOTER_PART_BYTES, 0));
    }
    store_u32(trailer + FOOTER_CRC_AT, crc32c(trailer, FOOTER_CRC_AT, 0));
}

static void look_at_part(const uint8_t *file, size_t size, const struct footer_part *part, uint64_t element_bytes) {
    FUZZ_REQUIRE(part && part->offset % FOOTER_ALIGNMENT == 0 && part->offset <= size &&
                 part->bytes <= size - part->offset);
    FUZZ_REQUIRE(part->count * element_bytes <= part->bytes);
    fuzz_touch(file + part->offset, (size_t)part->bytes);
}

static void look_at_footer(const uint8_t *file, size_t size, const struct footer *footer) {
    const struct segment_summary *summary = &footer->summary;
    const struct footer_part *rows = footer_find(footer, FOOTER_PART_ROWS);
    const struct footer_part *streams = footer_find(footer, FOOTER_PART_STREAMS);
    const struct footer_part *id_slots = footer_find(footer, FOOTER_PART_ID_SLOTS);
    const struct footer_part *stream_slots = footer_find(footer, FOOTER_PART_STREAM_SLOTS);
    look_at_part(file, size, rows, sizeof(struct footer_row));
    look_at_part(file, size, streams, sizeof(struct footer_stream));
    look_at_part(file, size, id_slots, sizeof(uint32_t));
    look_at_part(file, size, stream_slots, sizeof(uint32_t));
    FUZZ_REQUIRE(rows->count == summary->event_count && streams->count == summary->stream_count);
    FUZZ_REQUIRE(id_slots->count > rows->count && (id_slots->count & (id_slots->count - 1)) == 0);
    FUZZ_REQUIRE(stream_slots->count > streams->count && (stream_slots->count & (stream_slots->count - 1)) == 0);
    FUZZ_REQUIRE(summary->frames_end >= SEGMENT_HEADER_BYTES && summary->frames_end <= rows->offset);
    FUZZ_REQUIRE(summary->superseded_bytes <= rows->offset - summary->frames_end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct footer footer;
    if (size == 0)
        return 0;
    size_t file_bytes = SEGMENT_HEADER_BYTES + size - 1;
    uint8_t *made = calloc(1, file_bytes);
    FUZZ_REQUIRE(made);
    memcpy(made + SEGMENT_HEADER_BYTES, data + 1, size - 1);
    if (data[0] & FUZZ_SEAL)
        seal_footer(made, file_bytes);
    uint8_t *file = fuzz_copy(made, file_bytes);
    free(made);
    const char *fault = footer_decode(file, file_bytes, &footer);
    FUZZ_REQUIRE(!fault || *fault);
    if (!fault)
        look_at_footer(file, file_bytes, &footer);
    free(file);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    enum { ROWS = 2, PARTS_AT = SEGMENT_HEADER_BYTES + 64, TABLE_AT = PARTS_AT + 64 * (ROWS + 3) };
    uint8_t file[TABLE_AT + 5 * FOOTER_PART_BYTES + FOOTER_TRAILER_BYTES] = {0};
    struct footer footer = {.segment_id = 1, .table_offset = TABLE_AT, .part_count = 4 + (index >> 1)};
    if (index > 3)
        return 0;
    footer.summary = (struct segment_summary){.frames_end = SEGMENT_HEADER_BYTES + 40,
                                              .superseded_bytes = index > 1 ? 16 : 0,
                                              .event_count = ROWS,
                                              .stream_count = 1,
                                              .first_sequence = 1,
                                              .last_sequence = ROWS};
    footer.parts[0] = (struct footer_part){.type = 1, .offset = PARTS_AT, .bytes = 64 * ROWS, .count = ROWS};
    footer.parts[1] = (struct footer_part){.type = 2, .offset = PARTS_AT + 64 * ROWS, .bytes = 64, .count = 1};
    footer.parts[2] = (struct footer_part){.type = 3, .offset = PARTS_AT + 64 * ROWS + 64, .bytes = 64, .count = 16};
    footer.parts[3] = (struct footer_part){.type = 4, .offset = PARTS_AT + 64 * ROWS + 128, .bytes = 64, .count = 2};
    footer.parts[4] = (struct footer_part){.type = 99, .offset = TABLE_AT};
    for (uint64_t row = 0; row < ROWS; row++)
        store_u64(file + PARTS_AT + 64 * row, row + 1);
    footer_encode(&footer, file + TABLE_AT);
    size_t size = TABLE_AT + (size_t)footer_tail_bytes(footer.part_count);
    seal_footer(file, size);
    return fuzz_seed_bytes(to, room, index & 1, file + SEGMENT_HEADER_BYTES, size - SEGMENT_HEADER_BYTES);
}
