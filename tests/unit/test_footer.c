/* SPDX-License-Identifier: Apache-2.0 */
/* The footer: what is encoded is decoded, every flipped bit of it is found, cut and crafted files are refused. */
#include "fixture.h"

#include "format/footer.h"
#include "format/segment_header.h"
#include "support/test.h"

enum {
    KEPT_END = SEGMENT_HEADER_BYTES + 72, /* not a multiple of 64, so that there is padding */
    SUPERSEDED = 24,
    FRAMES_END = KEPT_END - SUPERSEDED,
    PARTS_AT = 4224,
    ROWS = 3,
    STREAMS = 2,
    ID_SLOTS = 8,
    STREAM_SLOTS = 4,
    TABLE_AT = PARTS_AT + 64 * ROWS + 64 + 64 + 64 + 64,
    PARTS = 5, /* the last one of a type that this version does not know */
    FILE_BYTES = TABLE_AT + PARTS * FOOTER_PART_BYTES + FOOTER_TRAILER_BYTES,
};

static struct footer sample(void) {
    struct footer footer = {
        .store_id = id_of_byte(0x42),
        .segment_id = 5,
        .generation = 1,
        .summary =
            {
                .frames_end = FRAMES_END,
                .superseded_bytes = SUPERSEDED,
                .event_count = ROWS,
                .stream_count = STREAMS,
                .system_event_count = 1,
                .first_sequence = 11,
                .last_sequence = 13,
                .first_recorded_us = 1000,
                .last_recorded_us = 3000,
                .id_min = id_of_byte(1),
                .id_max = id_of_byte(3),
                .id_made = id_of_byte(2),
            },
        .table_offset = TABLE_AT,
        .part_count = PARTS,
        .parts =
            {
                {.type = FOOTER_PART_ROWS, .offset = PARTS_AT, .bytes = 64 * ROWS, .count = ROWS},
                {.type = FOOTER_PART_STREAMS, .offset = PARTS_AT + 64 * ROWS, .bytes = 64, .count = STREAMS},
                {.type = FOOTER_PART_ID_SLOTS, .offset = PARTS_AT + 64 * ROWS + 64, .bytes = 64, .count = ID_SLOTS},
                {.type = FOOTER_PART_STREAM_SLOTS,
                 .offset = PARTS_AT + 64 * ROWS + 128,
                 .bytes = 64,
                 .count = STREAM_SLOTS},
                {.type = 77, .offset = TABLE_AT - 64, .bytes = 64, .count = 12345},
            },
    };
    memset(footer.summary.last_hash, 0x99, sizeof footer.summary.last_hash);
    return footer;
}

/* A file of exact size with the footer behind frames that are not looked at; free it. The parts' checksums are filled
 * in where the parts lie within the file. */
static uint8_t *make_file(struct footer *footer) {
    size_t size = TABLE_AT + (size_t)footer_tail_bytes(footer->part_count);
    uint8_t *file = malloc(size);
    assert_non_null(file);
    for (size_t at = 0; at < size; at++)
        file[at] = (uint8_t)(at * 31);
    memset(file + KEPT_END, 0, PARTS_AT - KEPT_END);
    store_u64(file + PARTS_AT, 11);
    store_u64(file + PARTS_AT + (size_t)64 * (ROWS - 1), 13);
    for (uint32_t at = 0; at < footer->part_count; at++) {
        struct footer_part *part = &footer->parts[at];
        if (part->offset <= TABLE_AT && part->bytes <= TABLE_AT - part->offset)
            part->crc = crc32c(file + part->offset, (size_t)part->bytes, 0);
    }
    footer_encode(footer, file + TABLE_AT);
    uint8_t *exact = exact_copy(file, size);
    free(file);
    return exact;
}

static size_t file_size(const struct footer *footer) {
    return TABLE_AT + (size_t)footer_tail_bytes(footer->part_count);
}

static void seal_trailer(uint8_t *file, size_t size) {
    uint8_t *trailer = file + size - FOOTER_TRAILER_BYTES;
    store_u32(trailer + FOOTER_CRC_AT, crc32c(trailer, FOOTER_CRC_AT, 0));
}

static const char *fault_of(struct footer footer) {
    uint8_t *file = make_file(&footer);
    struct footer got;
    const char *fault = footer_decode(file, file_size(&footer), &got);
    free(file);
    return fault;
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct footer footer = sample(), got;
    uint8_t *file = make_file(&footer);
    assert_null(footer_decode(file, FILE_BYTES, &got));
    assert_memory_equal(&got.store_id, &footer.store_id, sizeof footer.store_id);
    assert_int_equal(got.segment_id, footer.segment_id);
    assert_int_equal(got.generation, footer.generation);
    assert_memory_equal(&got.summary, &footer.summary, sizeof footer.summary);
    assert_int_equal(got.table_offset, footer.table_offset);
    assert_int_equal(got.part_count, footer.part_count);
    assert_memory_equal(got.parts, footer.parts, PARTS * sizeof footer.parts[0]);
    free(file);
}

static void parts_are_found_by_their_type(void **state) {
    (void)state;
    struct footer footer = sample();
    for (unsigned type = 1; type <= FOOTER_PART_NEEDED; type++)
        assert_ptr_equal(footer_find(&footer, (enum footer_part_type)type), &footer.parts[type - 1]);
    footer.part_count = 3;
    assert_null(footer_find(&footer, FOOTER_PART_STREAM_SLOTS));
}

static void every_flipped_bit_behind_the_frames_is_found(void **state) {
    (void)state;
    struct footer footer = sample(), got = {.segment_id = 99};
    uint8_t *file = make_file(&footer);
    for (size_t bit = (size_t)8 * KEPT_END; bit < (size_t)8 * FILE_BYTES; bit++) {
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!footer_decode(file, FILE_BYTES, &got))
            fail_msg("bit %zu", bit);
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(got.segment_id, 99);
    free(file);
}

static void a_file_cut_anywhere_is_refused_and_not_read_past_the_cut(void **state) {
    (void)state;
    struct footer footer = sample(), got;
    uint8_t *file = make_file(&footer);
    for (size_t cut = 0; cut < FILE_BYTES; cut += cut + 64 < PARTS_AT ? 64 : 1) {
        uint8_t *part = exact_copy(file, cut);
        assert_non_null(footer_decode(part, cut, &got));
        free(part);
    }
    free(file);
}

static void a_file_with_bytes_behind_the_trailer_has_no_footer(void **state) {
    (void)state;
    struct footer footer = sample(), got;
    uint8_t *file = make_file(&footer);
    uint8_t *longer = calloc(1, FILE_BYTES + 64);
    assert_non_null(longer);
    memcpy(longer, file, FILE_BYTES);
    assert_string_equal(footer_decode(longer, FILE_BYTES + 64, &got), "no trailer");
    free(longer);
    free(file);
}

static void a_part_of_a_type_not_known_is_verified_and_passed_over(void **state) {
    (void)state;
    struct footer footer = sample(), got;
    uint8_t *file = make_file(&footer);
    assert_null(footer_decode(file, FILE_BYTES, &got));
    assert_int_equal(got.parts[4].type, 77);
    file[footer.parts[4].offset] ^= 1;
    assert_string_equal(footer_decode(file, FILE_BYTES, &got), "the checksum of a part is wrong");
    free(file);
}

static void each_part_that_is_needed_must_be_there(void **state) {
    (void)state;
    for (uint32_t part = 0; part < FOOTER_PART_NEEDED; part++) {
        struct footer footer = sample();
        footer.parts[part].type = 78;
        assert_string_equal(fault_of(footer), "the counts do not agree");
    }
}

static void parts_out_of_place_are_refused(void **state) {
    (void)state;
    static const struct {
        int64_t offset, bytes;
    } shifts[] = {{64, 0}, {-64, 0}, {8, 0}, {0, 64}, {0, -64}, {0, 8}, {INT64_MAX, 0}, {0, INT64_MAX}};
    for (uint32_t part = 0; part < PARTS; part++)
        for (size_t at = 0; at < COUNT_OF(shifts); at++) {
            struct footer footer = sample();
            footer.parts[part].offset += (uint64_t)shifts[at].offset;
            footer.parts[part].bytes += (uint64_t)shifts[at].bytes;
            assert_non_null(fault_of(footer));
        }
}

static void counts_that_do_not_agree_are_refused(void **state) {
    (void)state;
    for (uint32_t part = 0; part < FOOTER_PART_NEEDED; part++) {
        static const uint64_t counts[] = {0, UINT64_MAX, UINT64_C(1) << 33};
        for (size_t at = 0; at < COUNT_OF(counts); at++) {
            struct footer footer = sample();
            footer.parts[part].count = counts[at];
            assert_non_null(fault_of(footer));
        }
    }
    struct footer footer = sample();
    footer.summary.event_count = ROWS - 1;
    assert_non_null(fault_of(footer));
    footer = sample();
    footer.summary.stream_count = 1;
    assert_non_null(fault_of(footer));
    footer = sample();
    footer.summary.first_sequence = 0;
    assert_non_null(fault_of(footer));
    footer = sample();
    footer.summary.first_sequence = 14;
    assert_non_null(fault_of(footer));
}

static void a_summary_that_the_rows_do_not_begin_or_end_with_is_refused(void **state) {
    (void)state;
    struct footer footer = sample();
    footer.summary.first_sequence = 10;
    assert_non_null(fault_of(footer));
    footer = sample();
    footer.summary.last_sequence = 14;
    assert_non_null(fault_of(footer));
    footer = sample();
    assert_null(fault_of(footer));
}

static void slots_must_be_a_power_of_two_with_room(void **state) {
    (void)state;
    struct footer footer = sample();
    footer.parts[2].count = 6;
    assert_non_null(fault_of(footer));
    footer = sample();
    footer.parts[2].count = 4; /* three rows, one free */
    assert_null(fault_of(footer));
    footer = sample();
    footer.parts[3].count = 2; /* two streams, none free */
    assert_non_null(fault_of(footer));
}

static void a_trailer_with_offsets_out_of_range_is_refused(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint64_t value;
        size_t width;
    } rows[] = {
        {FOOTER_VERSION_AT, 3, 4},
        {FOOTER_VERSION_AT, 1, 4},
        {FOOTER_PART_COUNT_AT, 0, 4},
        {FOOTER_PART_COUNT_AT, 17, 4},
        {FOOTER_PART_COUNT_AT, UINT32_MAX, 4},
        {FOOTER_PART_COUNT_AT, 3, 4},
        {FOOTER_TABLE_OFFSET_AT, 0, 8},
        {FOOTER_TABLE_OFFSET_AT, UINT64_MAX, 8},
        {FOOTER_TABLE_OFFSET_AT, TABLE_AT + 64, 8},
        {FOOTER_FRAMES_END_AT, 0, 8},
        {FOOTER_FRAMES_END_AT, SEGMENT_HEADER_BYTES - 8, 8},
        {FOOTER_FRAMES_END_AT, TABLE_AT + 8, 8},
        {FOOTER_FRAMES_END_AT, UINT64_MAX, 8},
        {FOOTER_FRAMES_END_AT, UINT64_MAX - 70, 8},
        {FOOTER_ZERO_AT, 1, 1},
        {FOOTER_ZERO_AT + 3, 1, 1},
        {FOOTER_ZERO_END_AT, 1, 1},
        {FOOTER_CRC_AT - 1, 1, 1},
        {FOOTER_SUPERSEDED_AT, 0, 8}, /* what stands there is not zero, as padding would have to be */
        {FOOTER_SUPERSEDED_AT, SUPERSEDED - 8, 8},
        {FOOTER_SUPERSEDED_AT, SUPERSEDED + 4, 8},
        {FOOTER_SUPERSEDED_AT, SUPERSEDED + 64, 8}, /* into the parts */
        {FOOTER_SUPERSEDED_AT, TABLE_AT, 8},
        {FOOTER_SUPERSEDED_AT, UINT64_MAX - 7, 8},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        struct footer footer = sample(), got;
        uint8_t *file = make_file(&footer);
        uint8_t *field = file + FILE_BYTES - FOOTER_TRAILER_BYTES + rows[at].at;
        for (size_t byte = 0; byte < rows[at].width; byte++)
            field[byte] = (uint8_t)(rows[at].value >> (8 * byte));
        seal_trailer(file, FILE_BYTES);
        if (!footer_decode(file, FILE_BYTES, &got))
            fail_msg("row %zu", at);
        free(file);
    }
}

/* Numbers of a random trailer and part table under right checksums: refused or accepted, but never read past. */
static void crafted_tables_are_never_read_out_of_bounds(void **state) {
    (void)state;
    struct test_random random = test_random_init(6);
    for (int round = 0; round < 3000; round++) {
        struct footer footer = sample(), got;
        uint8_t *file = make_file(&footer);
        uint8_t *trailer = file + FILE_BYTES - FOOTER_TRAILER_BYTES;
        for (int change = 0; change < 3; change++) {
            uint64_t word = test_random_u64(&random) >> test_random_below(&random, 64);
            size_t at = TABLE_AT + 8 * test_random_below(&random, (FILE_BYTES - TABLE_AT) / 8);
            if (file + at >= trailer && file + at < trailer + 16)
                continue; /* magic, version and number of parts stay */
            store_u64(file + at, test_random_one_in(&random, 2) ? load_u64(file + at) + (word & 255) : word);
        }
        store_u32(trailer + FOOTER_TABLE_CRC_AT, crc32c(file + TABLE_AT, PARTS * FOOTER_PART_BYTES, 0));
        memset(trailer + FOOTER_ZERO_AT, 0, FOOTER_SUPERSEDED_AT - FOOTER_ZERO_AT);
        memset(trailer + FOOTER_ZERO_END_AT, 0, FOOTER_CRC_AT - FOOTER_ZERO_END_AT);
        seal_trailer(file, FILE_BYTES);
        (void)footer_decode(file, FILE_BYTES, &got);
        free(file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(parts_are_found_by_their_type),
        cmocka_unit_test(every_flipped_bit_behind_the_frames_is_found),
        cmocka_unit_test(a_file_cut_anywhere_is_refused_and_not_read_past_the_cut),
        cmocka_unit_test(a_file_with_bytes_behind_the_trailer_has_no_footer),
        cmocka_unit_test(a_part_of_a_type_not_known_is_verified_and_passed_over),
        cmocka_unit_test(each_part_that_is_needed_must_be_there),
        cmocka_unit_test(parts_out_of_place_are_refused),
        cmocka_unit_test(counts_that_do_not_agree_are_refused),
        cmocka_unit_test(a_summary_that_the_rows_do_not_begin_or_end_with_is_refused),
        cmocka_unit_test(slots_must_be_a_power_of_two_with_room),
        cmocka_unit_test(a_trailer_with_offsets_out_of_range_is_refused),
        cmocka_unit_test(crafted_tables_are_never_read_out_of_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
