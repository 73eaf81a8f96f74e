/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The footer's bytes. Pure: no I/O, no allocation; any thread. Parts are mapped and used as they are, so they are
 * written and read only on little-endian machines; elsewhere a footer counts as absent and the frames are read.
 */
#include "format/footer.h"

#include <assert.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "format/frame.h"
#include "format/segment_header.h"

static const uint8_t trailer_magic[8] = {'F', 'B', 'A', 'T', 'E', 'N', 'D', '2'};

static_assert(sizeof(struct footer_row) == 64, "row size");
static_assert(offsetof(struct footer_row, recorded_us) == 8, "row layout");
static_assert(offsetof(struct footer_row, revision) == 16, "row layout");
static_assert(offsetof(struct footer_row, id_hash) == 24, "row layout");
static_assert(offsetof(struct footer_row, record_words) == 32, "row layout");
static_assert(offsetof(struct footer_row, stream) == 36, "row layout");
static_assert(offsetof(struct footer_row, previous_in_stream) == 40, "row layout");
static_assert(offsetof(struct footer_row, next_in_stream) == 44, "row layout");
static_assert(offsetof(struct footer_row, kind) == 48, "row layout");
static_assert(offsetof(struct footer_row, frame_words) == 52, "row layout");
static_assert(sizeof(struct footer_stream) == 32, "stream size");
static_assert(offsetof(struct footer_stream, first_row) == 8, "stream layout");
static_assert(offsetof(struct footer_stream, last_row) == 12, "stream layout");
static_assert(offsetof(struct footer_stream, event_count) == 16, "stream layout");
static_assert(offsetof(struct footer_stream, scope) == 20, "stream layout");
static_assert(offsetof(struct footer_stream, first_group) == 24, "stream layout");
static_assert(offsetof(struct footer_stream, last_group) == 28, "stream layout");
static_assert(sizeof(struct footer_scope) == 16, "scope size");
static_assert(offsetof(struct footer_scope, first_row) == 8, "scope layout");
static_assert(sizeof(struct footer_tile) == 16, "tile size");
static_assert(sizeof(struct footer_group) == 64, "group size");
static_assert(offsetof(struct footer_group, rows) == 8, "group layout");
static_assert(FOOTER_CRC_AT + 4 == FOOTER_TRAILER_BYTES, "the checksum is last");
static_assert(FOOTER_LED_COUNT_AT + 8 == FOOTER_ZERO_END_AT, "zero again behind it");

static void put_part(const struct footer_part *part, uint8_t *to) {
    store_u32(to, part->type);
    store_u32(to + 4, part->crc);
    store_u64(to + 8, part->offset);
    store_u64(to + 16, part->bytes);
    store_u64(to + 24, part->count);
}

static void put_summary(const struct segment_summary *summary, uint8_t *to) {
    store_u64(to + FOOTER_FRAMES_END_AT, summary->frames_end);
    store_u64(to + FOOTER_EVENT_COUNT_AT, summary->event_count);
    store_u64(to + FOOTER_STREAM_COUNT_AT, summary->stream_count);
    store_u64(to + FOOTER_FIRST_SEQUENCE_AT, summary->first_sequence);
    store_u64(to + FOOTER_LAST_SEQUENCE_AT, summary->last_sequence);
    store_i64(to + FOOTER_FIRST_RECORDED_AT, summary->first_recorded_us);
    store_i64(to + FOOTER_LAST_RECORDED_AT, summary->last_recorded_us);
    memcpy(to + FOOTER_ID_MIN_AT, summary->id_min.bytes, 16);
    memcpy(to + FOOTER_ID_MAX_AT, summary->id_max.bytes, 16);
    memcpy(to + FOOTER_ID_MADE_AT, summary->id_made.bytes, 16);
    memcpy(to + FOOTER_LAST_HASH_AT, summary->last_hash, 32);
    store_u64(to + FOOTER_SYSTEM_COUNT_AT, summary->system_event_count);
    store_u64(to + FOOTER_SUPERSEDED_AT, summary->superseded_bytes);
    store_u64(to + FOOTER_LED_COUNT_AT, summary->led_event_count);
}

void footer_encode(const struct footer *footer, uint8_t *to) {
    size_t table_bytes = (size_t)footer->part_count * FOOTER_PART_BYTES;
    for (uint32_t index = 0; index < footer->part_count; index++)
        put_part(&footer->parts[index], to + (size_t)index * FOOTER_PART_BYTES);
    uint8_t *trailer = to + table_bytes;
    memset(trailer, 0, FOOTER_TRAILER_BYTES);
    memcpy(trailer, trailer_magic, sizeof trailer_magic);
    store_u32(trailer + FOOTER_VERSION_AT, FBAT_DISK_VERSION);
    store_u32(trailer + FOOTER_PART_COUNT_AT, footer->part_count);
    memcpy(trailer + FOOTER_STORE_ID_AT, footer->store_id.bytes, 16);
    store_u64(trailer + FOOTER_SEGMENT_ID_AT, footer->segment_id);
    store_u64(trailer + FOOTER_GENERATION_AT, footer->generation);
    put_summary(&footer->summary, trailer);
    store_u64(trailer + FOOTER_TABLE_OFFSET_AT, footer->table_offset);
    store_u32(trailer + FOOTER_TABLE_CRC_AT, crc32c(to, table_bytes, 0));
    store_u32(trailer + FOOTER_CRC_AT, crc32c(trailer, FOOTER_CRC_AT, 0));
}

static void get_summary(const uint8_t *from, struct segment_summary *out_summary) {
    out_summary->frames_end = load_u64(from + FOOTER_FRAMES_END_AT);
    out_summary->event_count = load_u64(from + FOOTER_EVENT_COUNT_AT);
    out_summary->stream_count = load_u64(from + FOOTER_STREAM_COUNT_AT);
    out_summary->first_sequence = load_u64(from + FOOTER_FIRST_SEQUENCE_AT);
    out_summary->last_sequence = load_u64(from + FOOTER_LAST_SEQUENCE_AT);
    out_summary->first_recorded_us = load_i64(from + FOOTER_FIRST_RECORDED_AT);
    out_summary->last_recorded_us = load_i64(from + FOOTER_LAST_RECORDED_AT);
    memcpy(out_summary->id_min.bytes, from + FOOTER_ID_MIN_AT, 16);
    memcpy(out_summary->id_max.bytes, from + FOOTER_ID_MAX_AT, 16);
    memcpy(out_summary->id_made.bytes, from + FOOTER_ID_MADE_AT, 16);
    memcpy(out_summary->last_hash, from + FOOTER_LAST_HASH_AT, 32);
    out_summary->system_event_count = load_u64(from + FOOTER_SYSTEM_COUNT_AT);
    out_summary->superseded_bytes = load_u64(from + FOOTER_SUPERSEDED_AT);
    out_summary->led_event_count = load_u64(from + FOOTER_LED_COUNT_AT);
}

static void get_part(const uint8_t *from, struct footer_part *out_part) {
    out_part->type = load_u32(from);
    out_part->crc = load_u32(from + 4);
    out_part->offset = load_u64(from + 8);
    out_part->bytes = load_u64(from + 16);
    out_part->count = load_u64(from + 24);
}

static uint64_t element_bytes(uint32_t type) {
    switch (type) {
    case FOOTER_PART_ROWS: return sizeof(struct footer_row);
    case FOOTER_PART_STREAMS: return sizeof(struct footer_stream);
    case FOOTER_PART_ID_SLOTS:
    case FOOTER_PART_STREAM_SLOTS: return sizeof(uint32_t);
    case FOOTER_PART_KINDS:
    case FOOTER_PART_SCOPE_NUMBERS: return sizeof(uint16_t);
    case FOOTER_PART_SCOPES: return sizeof(struct footer_scope);
    case FOOTER_PART_TILES: return sizeof(struct footer_tile);
    case FOOTER_PART_GROUPS: return sizeof(struct footer_group);
    default: return 0; /* of a later version: any */
    }
}

/* Parts stand back to back from `expected` on; each one ends where the next starts. */
static const char *verify_part(const uint8_t *file, const struct footer_part *part, uint64_t expected,
                               uint64_t table_offset) {
    if (part->offset != expected || part->bytes % FOOTER_ALIGNMENT != 0 || part->bytes > table_offset - part->offset)
        return "a part lies outside its place";
    if (part->count > LIMIT_SEGMENT_EVENTS * UINT64_C(4) || part->count * element_bytes(part->type) > part->bytes)
        return "a part is too small for its elements";
    if (part->bytes > INT32_MAX)
        return "a part is too large";
    if (crc32c(file + part->offset, (size_t)part->bytes, 0) != part->crc)
        return "the checksum of a part is wrong";
    return NULL;
}

static bool slots_are_sound(const struct footer_part *slots, uint64_t elements) {
    return slots && slots->count >= 2 && (slots->count & (slots->count - 1)) == 0 && slots->count > elements;
}

static bool counts_agree(const struct footer *footer) {
    const struct segment_summary *summary = &footer->summary;
    const struct footer_part *rows = footer_find(footer, FOOTER_PART_ROWS);
    const struct footer_part *streams = footer_find(footer, FOOTER_PART_STREAMS);
    return rows && streams && rows->count == summary->event_count && streams->count == summary->stream_count &&
           summary->event_count >= 1 && summary->event_count <= LIMIT_SEGMENT_EVENTS && summary->stream_count >= 1 &&
           summary->stream_count <= summary->event_count && summary->first_sequence >= 1 &&
           summary->first_sequence <= summary->last_sequence && summary->led_event_count <= summary->event_count &&
           slots_are_sound(footer_find(footer, FOOTER_PART_ID_SLOTS), segment_summary_slotted(summary)) &&
           slots_are_sound(footer_find(footer, FOOTER_PART_STREAM_SLOTS), summary->stream_count);
}

/* What is taken from the summary without looking at a row must be what the rows say. */
static bool ends_agree(const uint8_t *file, const struct footer *footer) {
    const struct segment_summary *summary = &footer->summary;
    const uint8_t *rows = file + footer_find(footer, FOOTER_PART_ROWS)->offset;
    const uint8_t *last = rows + (summary->event_count - 1) * sizeof(struct footer_row);
    return load_u64(rows + offsetof(struct footer_row, sequence)) == summary->first_sequence &&
           load_u64(last + offsetof(struct footer_row, sequence)) == summary->last_sequence;
}

static const char *verify_parts(const uint8_t *file, uint32_t table_crc, const struct footer *footer) {
    uint64_t kept_end = footer->summary.frames_end + footer->summary.superseded_bytes;
    uint64_t expected = align_up(kept_end, FOOTER_ALIGNMENT);
    if (crc32c(file + footer->table_offset, (size_t)footer->part_count * FOOTER_PART_BYTES, 0) != table_crc)
        return "the checksum of the part table is wrong";
    if (expected > footer->table_offset || !bytes_are_zero(file + kept_end, (size_t)(expected - kept_end)))
        return "the padding after the frames is not zero";
    for (uint32_t index = 0; index < footer->part_count; index++) {
        const char *fault = verify_part(file, &footer->parts[index], expected, footer->table_offset);
        if (fault)
            return fault;
        expected += footer->parts[index].bytes;
    }
    if (expected != footer->table_offset)
        return "the parts do not reach the part table";
    if (!counts_agree(footer))
        return "the counts do not agree";
    return ends_agree(file, footer) ? NULL : "the rows do not begin and end as the summary says";
}

bool footer_has_trailer(const uint8_t trailer[FOOTER_TRAILER_BYTES]) {
    return memcmp(trailer, trailer_magic, sizeof trailer_magic) == 0;
}

static bool offsets_are_in_range(const struct footer *footer, uint64_t file_bytes) {
    const struct segment_summary *summary = &footer->summary;
    return footer->part_count >= 1 && footer->part_count <= FOOTER_PARTS_MAX && footer->table_offset <= file_bytes &&
           footer->table_offset + footer_tail_bytes(footer->part_count) == file_bytes &&
           summary->frames_end >= SEGMENT_HEADER_BYTES && summary->frames_end <= footer->table_offset &&
           summary->superseded_bytes <= footer->table_offset - summary->frames_end &&
           summary->superseded_bytes % FRAME_ALIGNMENT == 0;
}

const char *footer_decode(const uint8_t *file, uint64_t file_bytes, struct footer *out_footer) {
    if (__BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || file_bytes < SEGMENT_HEADER_BYTES + FOOTER_TRAILER_BYTES)
        return "no trailer";
    const uint8_t *trailer = file + file_bytes - FOOTER_TRAILER_BYTES;
    if (!footer_has_trailer(trailer))
        return "no trailer";
    if (load_u32(trailer + FOOTER_CRC_AT) != crc32c(trailer, FOOTER_CRC_AT, 0) ||
        !bytes_are_zero(trailer + FOOTER_ZERO_AT, FOOTER_SUPERSEDED_AT - FOOTER_ZERO_AT) ||
        !bytes_are_zero(trailer + FOOTER_ZERO_END_AT, FOOTER_CRC_AT - FOOTER_ZERO_END_AT))
        return "the checksum of the trailer is wrong";
    struct footer footer = {
        .segment_id = load_u64(trailer + FOOTER_SEGMENT_ID_AT),
        .generation = load_u64(trailer + FOOTER_GENERATION_AT),
        .table_offset = load_u64(trailer + FOOTER_TABLE_OFFSET_AT),
        .part_count = load_u32(trailer + FOOTER_PART_COUNT_AT),
    };
    memcpy(footer.store_id.bytes, trailer + FOOTER_STORE_ID_AT, 16);
    get_summary(trailer, &footer.summary);
    if (load_u32(trailer + FOOTER_VERSION_AT) != FBAT_DISK_VERSION)
        return "the footer is of another version";
    if (!offsets_are_in_range(&footer, file_bytes))
        return "the trailer's offsets are out of range";
    for (uint32_t index = 0; index < footer.part_count; index++)
        get_part(file + footer.table_offset + (uint64_t)index * FOOTER_PART_BYTES, &footer.parts[index]);
    const char *fault = verify_parts(file, load_u32(trailer + FOOTER_TABLE_CRC_AT), &footer);
    if (!fault)
        *out_footer = footer;
    return fault;
}

const struct footer_part *footer_find(const struct footer *footer, enum footer_part_type type) {
    for (uint32_t index = 0; index < footer->part_count; index++)
        if (footer->parts[index].type == (uint32_t)type)
            return &footer->parts[index];
    return NULL;
}
