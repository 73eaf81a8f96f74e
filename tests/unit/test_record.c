/* SPDX-License-Identifier: Apache-2.0 */
/* The event record: layout, the canonical hash and all it covers, limits of tags and headers, broken records. */
#include "fixture.h"

#include "base/limits.h"

/* ---- layout ---- */

static void every_field_stands_at_its_place(void **state) {
    (void)state;
    struct record_sizes sizes;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    assert_int_equal(load_u32(record), 2);
    assert_int_equal(load_u32(record + 4), 12);
    assert_int_equal(load_u16(record + 8), 0x2003);
    assert_int_equal(record[10], 1);
    assert_int_equal(record[11], 1);
    assert_int_equal(load_u16(record + 12), 4);
    assert_int_equal(load_u16(record + 14), 8);
    assert_int_equal(load_u16(record + 16), 4 + 6);
    assert_int_equal(load_u16(record + 18), 4 + 5 + 3 + 4 + 5);
    assert_int_equal(load_u32(record + 20), 0);
    assert_int_equal(load_u64(record + 24), 12);
    assert_true(load_i64(record + 32) == 1700000000000001);
    assert_true(load_i64(record + 40) == -77);
    assert_memory_equal(record + 48, id_of_byte(0x11).bytes, 16);
    assert_memory_equal(record + 64, id_of_byte(0x22).bytes, 16);
    assert_memory_equal(record + 80, id_of_byte(0x33).bytes, 16);
    assert_memory_equal(record + 96, input.previous_hash, 32);
    assert_memory_equal(record + 160,
                        "shoporder-17\x03red\x05gr\xc3\xbcn"
                        "\x05\0\x03\0trace\0\x01\x02\x05\0\0\0empty{\"total\":12}\0",
                        4 + 8 + 10 + 21 + 12 + 1);
    assert_int_equal(sizes.total, 216);
    free(record);
}

static void the_view_is_what_was_put_in(void **state) {
    (void)state;
    struct record_sizes sizes;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    struct fbat_event event;
    memset(&event, 0xee, sizeof event);
    record_view(record, &sizes, 1007, &event);
    assert_int_equal(event.sequence, 1007);
    assert_int_equal(event.revision, 12);
    assert_true(event.recorded_us == 1700000000000001 && event.event_time_us == -77);
    assert_int_equal(event.kind, 0x2003);
    assert_int_equal(event.payload_type, 1);
    assert_true(event.reserved == 0 && event.lane == 0 && event.segment_id == 0 && event.offset == 0 && !event.pin);
    assert_memory_equal(&event.id, &input.id, 16);
    assert_memory_equal(&event.correlation, &input.correlation, 16);
    assert_memory_equal(&event.causation, &input.causation, 16);
    assert_true(event.scope.size == 4 && memcmp(event.scope.data, "shop", 4) == 0);
    assert_true(event.entity.size == 8 && memcmp(event.entity.data, "order-17", 8) == 0);
    assert_true(event.payload.size == 12 && memcmp(event.payload.data, "{\"total\":12}", 12) == 0);
    assert_true(event.tags.size == 10 && event.headers.size == 21);
    assert_memory_equal(event.hash, record + 128, 32);
    assert_memory_equal(event.previous_hash, input.previous_hash, 32);
    free(record);
}

static void the_smallest_record_has_two_names_of_one_byte(void **state) {
    (void)state;
    struct record_sizes sizes;
    struct record_input input = {.sequence = 1, .first_sequence = 1, .revision = 1, .previous_hash = (uint8_t[32]){0}};
    input.scope = fbat_text("s");
    input.entity = fbat_text("e");
    uint8_t *record = make_record(&input, &sizes);
    assert_int_equal(sizes.total, 168);
    assert_null(record_find_fault(record, &sizes));
    free(record);
}

static void padding_is_zero_at_every_length(void **state) {
    (void)state;
    for (size_t payload = 0; payload < 24; payload++) {
        struct record_sizes sizes;
        struct record_input input = full_input();
        input.payload = fbat_bytes("0123456789abcdefghijklmn", payload);
        uint8_t *record = make_record(&input, &sizes);
        assert_int_equal(sizes.total % 8, 0);
        assert_null(record_find_fault(record, &sizes));
        free(record);
    }
}

/* ---- the hash ---- */

/* The rule of docs/FORMAT.md, put together from the fields rather than from the record. */
static void the_hash_is_the_one_the_format_describes(void **state) {
    (void)state;
    struct record_sizes sizes;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    uint8_t image[8 + 124 + 32], *to = image, hash[32];
    static const char content[] = "\x05\0\x03\0trace\0\x01\x02\x05\0\0\0empty{\"total\":12}";
    static const char names[] = "shoporder-17\x03red\x05gr\xc3\xbcn";
    store_u64(to, 1007);
    store_u32(to + 8, 12);
    store_u16(to + 12, 0x2003);
    to[14] = to[15] = 1;
    store_u16(to + 16, 4);
    store_u16(to + 18, 8);
    store_u16(to + 20, 10);
    store_u16(to + 22, 21);
    store_u32(to + 24, 0);
    store_u64(to + 28, 12);
    store_i64(to + 36, 1700000000000001);
    store_i64(to + 44, -77);
    memset(to + 52, 0x11, 16);
    memset(to + 68, 0x22, 16);
    memset(to + 84, 0x33, 16);
    memset(to + 100, 0x5a, 32);
    sha256_of(content, sizeof content - 1, NULL, 0, to + 132);
    sha256_of(image, sizeof image, names, sizeof names - 1, hash);
    assert_memory_equal(record + RECORD_HASH_AT, hash, 32);
    free(record);
}

static void hash_input(const struct record_input *input, uint8_t out_hash[32]) {
    struct record_sizes sizes;
    uint8_t *record = make_record(input, &sizes);
    memcpy(out_hash, record + RECORD_HASH_AT, 32);
    free(record);
}

/* Each function changes one field; every one must change the hash. */
static void change_sequence(struct record_input *input) {
    input->sequence++;
    input->first_sequence++; /* the bytes of the record stay the same */
}
static void change_revision(struct record_input *input) {
    input->revision++;
}
static void change_recorded_time(struct record_input *input) {
    input->recorded_us++;
}
static void change_event_time(struct record_input *input) {
    input->event_time_us++;
}
static void change_kind_type(struct record_input *input) {
    input->kind ^= 1;
}
static void change_kind_category(struct record_input *input) {
    input->kind ^= 0x1000;
}
static void change_payload_type(struct record_input *input) {
    input->payload_type++;
}
static void change_flags(struct record_input *input) {
    input->flags ^= RECORD_FLAG_ID_MADE;
}
static void change_id(struct record_input *input) {
    input->id.bytes[15] ^= 1;
}
static void change_correlation(struct record_input *input) {
    input->correlation.bytes[0] ^= 1;
}
static void change_causation(struct record_input *input) {
    input->causation.bytes[7] ^= 1;
}
static void drop_causation(struct record_input *input) {
    input->causation = (struct fbat_id){{0}};
}
static void change_previous_hash(struct record_input *input) {
    static uint8_t other[32];
    memcpy(other, input->previous_hash, 32);
    other[31] ^= 1;
    input->previous_hash = other;
}
static void change_scope(struct record_input *input) {
    input->scope = fbat_text("shoq");
}
static void change_entity(struct record_input *input) {
    input->entity = fbat_text("order-18");
}
static void move_a_byte_from_entity_to_scope(struct record_input *input) {
    input->scope = fbat_text("shopo");
    input->entity = fbat_text("rder-17");
}
static void change_payload(struct record_input *input) {
    input->payload = fbat_text("{\"total\":13}");
}
static void lengthen_payload(struct record_input *input) {
    input->payload = fbat_text("{\"total\":12} ");
}
static void drop_payload(struct record_input *input) {
    input->payload = fbat_text("");
}
static void set_tags(struct record_input *input, const struct fbat_slice *tags, size_t count) {
    input->tags = tags;
    input->tag_count = count;
    assert_true(tags_measure(tags, count, &input->tags_bytes));
}
static void change_tag(struct record_input *input) {
    static const struct fbat_slice tags[] = {{"rad", 3}, {"gr\xc3\xbcn", 5}};
    set_tags(input, tags, 2);
}
static void swap_tags(struct record_input *input) {
    static const struct fbat_slice tags[] = {{"gr\xc3\xbcn", 5}, {"red", 3}};
    set_tags(input, tags, 2);
}
static void drop_tags(struct record_input *input) {
    set_tags(input, NULL, 0);
}
static void set_headers(struct record_input *input, const struct fbat_header *headers, size_t count) {
    input->headers = headers;
    input->header_count = count;
    assert_true(headers_measure(headers, count, &input->headers_bytes));
}
static void change_header_value(struct record_input *input) {
    static const struct fbat_header headers[] = {{{"trace", 5}, {"\x00\x01\x03", 3}}, {{"empty", 5}, {"", 0}}};
    set_headers(input, headers, 2);
}
static void change_header_name(struct record_input *input) {
    static const struct fbat_header headers[] = {{{"trade", 5}, {"\x00\x01\x02", 3}}, {{"empty", 5}, {"", 0}}};
    set_headers(input, headers, 2);
}
static void swap_headers(struct record_input *input) {
    static const struct fbat_header headers[] = {{{"empty", 5}, {"", 0}}, {{"trace", 5}, {"\x00\x01\x02", 3}}};
    set_headers(input, headers, 2);
}
static void drop_headers(struct record_input *input) {
    set_headers(input, NULL, 0);
}

static const struct {
    const char *name;
    void (*change)(struct record_input *input);
} changes[] = {
    {"sequence", change_sequence},
    {"revision", change_revision},
    {"recorded time", change_recorded_time},
    {"event time", change_event_time},
    {"kind's type", change_kind_type},
    {"kind's category", change_kind_category},
    {"payload type", change_payload_type},
    {"flags", change_flags},
    {"id", change_id},
    {"correlation", change_correlation},
    {"causation", change_causation},
    {"no causation", drop_causation},
    {"previous hash", change_previous_hash},
    {"scope", change_scope},
    {"entity", change_entity},
    {"split of the names", move_a_byte_from_entity_to_scope},
    {"payload", change_payload},
    {"longer payload", lengthen_payload},
    {"no payload", drop_payload},
    {"a tag", change_tag},
    {"order of tags", swap_tags},
    {"no tags", drop_tags},
    {"a header's value", change_header_value},
    {"a header's name", change_header_name},
    {"order of headers", swap_headers},
    {"no headers", drop_headers},
};

static void each_field_changes_the_hash_and_no_two_changes_alike(void **state) {
    (void)state;
    uint8_t hashes[COUNT_OF(changes) + 1][32];
    struct record_input input = full_input();
    hash_input(&input, hashes[COUNT_OF(changes)]);
    for (size_t at = 0; at < COUNT_OF(changes); at++) {
        input = full_input();
        changes[at].change(&input);
        hash_input(&input, hashes[at]);
        for (size_t other = 0; other < COUNT_OF(hashes); other++)
            if ((other < at || other == COUNT_OF(changes)) && memcmp(hashes[at], hashes[other], 32) == 0)
                fail_msg("%s", changes[at].name);
    }
}

static void the_place_in_the_batch_is_no_part_of_the_hash(void **state) {
    (void)state;
    uint8_t alone[32], third[32];
    struct record_input input = full_input();
    hash_input(&input, third);
    input.first_sequence = input.sequence;
    hash_input(&input, alone);
    assert_memory_equal(alone, third, 32);
}

/* The sequence offset belongs to the frame; all else that is flipped breaks the measure, the rules or the hash. */
static void every_flipped_bit_is_found(void **state) {
    (void)state;
    struct record_sizes sizes;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    for (size_t bit = 32; bit < 8 * sizes.total; bit++) {
        struct record_sizes seen;
        uint8_t hash[32];
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (record_measure(record, sizes.total, &seen) && seen.total == sizes.total &&
            !record_find_fault(record, &seen)) {
            record_hash(1007, record, &seen, hash);
            if (memcmp(hash, record + RECORD_HASH_AT, 32) == 0)
                fail_msg("bit %zu", bit);
        }
        record[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(record);
}

/* ---- sizes and rules ---- */

static void a_record_cut_anywhere_does_not_measure(void **state) {
    (void)state;
    struct record_sizes sizes, seen;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    for (size_t cut = 0; cut < sizes.total; cut++) {
        uint8_t *part = exact_copy(record, cut);
        assert_false(record_measure(part, cut, &seen));
        free(part);
    }
    free(record);
}

static void the_greatest_sizes_measure_without_wrapping_around(void **state) {
    (void)state;
    uint8_t fixed[RECORD_FIXED_BYTES];
    struct record_sizes sizes = {.total = 1};
    memset(fixed, 0xff, sizeof fixed);
    assert_false(record_measure(fixed, sizeof fixed, &sizes));
    assert_int_equal(sizes.total, 1);
    assert_true(record_bytes(65535, 65535, 65535, 65535, UINT32_MAX) ==
                align_up(160 + 4 * UINT64_C(65535) + UINT32_MAX, 8));
}

static const char *fault_after(size_t at, const void *bytes, size_t size) {
    struct record_sizes sizes;
    struct record_input input = full_input();
    uint8_t *record = make_record(&input, &sizes);
    memcpy(record + at, bytes, size);
    const char *fault = "it does not measure";
    if (record_measure(record, sizes.total, &sizes))
        fault = record_find_fault(record, &sizes);
    free(record);
    return fault;
}

static void a_sound_record_has_no_fault(void **state) {
    (void)state;
    assert_null(fault_after(0, "", 0));
}

static void each_broken_rule_is_named(void **state) {
    (void)state;
    assert_string_equal(fault_after(RECORD_FLAGS_AT, "\x02", 1), "an unknown flag is set");
    assert_string_equal(fault_after(RECORD_FLAGS_AT, "\x80", 1), "an unknown flag is set");
    assert_string_equal(fault_after(RECORD_LANE_AT + 3, "\x01", 1), "the lane is not zero");
    assert_string_equal(fault_after(RECORD_REVISION_AT, "\0", 1), "the revision is zero");
    assert_string_equal(fault_after(RECORD_SCOPE_BYTES_AT, "\0\0\x0c\0", 4), "the scope is not a valid name");
    assert_string_equal(fault_after(RECORD_SCOPE_BYTES_AT, "\x0c\0\0\0", 4), "the entity is not a valid name");
    assert_string_equal(fault_after(160, "\0", 1), "the scope is not a valid name");
    assert_string_equal(fault_after(160, "\xff", 1), "the scope is not a valid name");
    assert_string_equal(fault_after(164, "\0", 1), "the entity is not a valid name");
    assert_string_equal(fault_after(164, "\xff", 1), "the entity is not a valid name");
    assert_string_equal(fault_after(172, "\x04", 1), "the tags are not well-formed");
    assert_string_equal(fault_after(172, "\0", 1), "the tags are not well-formed");
    assert_string_equal(fault_after(173, "\xff", 1), "the tags are not well-formed");
    assert_string_equal(fault_after(182, "\x06", 1), "the headers are not well-formed");
    assert_string_equal(fault_after(182, "\0", 1), "the headers are not well-formed");
    assert_string_equal(fault_after(186, "\xff", 1), "the headers are not well-formed");
    assert_string_equal(fault_after(215, "\x01", 1), "the padding is not zero");
}

static const char *fault_of_names(size_t scope_bytes, size_t entity_bytes) {
    static char name[2000];
    struct record_sizes sizes;
    struct record_input input = full_input();
    memset(name, 'n', sizeof name);
    input.scope = fbat_bytes(name, scope_bytes);
    input.entity = fbat_bytes(name, entity_bytes);
    uint8_t *record = make_record(&input, &sizes);
    const char *fault = record_find_fault(record, &sizes);
    free(record);
    return fault;
}

static void names_have_1_to_1024_bytes(void **state) {
    (void)state;
    assert_null(fault_of_names(1, 1));
    assert_null(fault_of_names(LIMIT_NAME_BYTES, LIMIT_NAME_BYTES));
    assert_string_equal(fault_of_names(LIMIT_NAME_BYTES + 1, 1), "the scope is not a valid name");
    assert_string_equal(fault_of_names(1, LIMIT_NAME_BYTES + 1), "the entity is not a valid name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_stands_at_its_place),
        cmocka_unit_test(the_view_is_what_was_put_in),
        cmocka_unit_test(the_smallest_record_has_two_names_of_one_byte),
        cmocka_unit_test(padding_is_zero_at_every_length),
        cmocka_unit_test(the_hash_is_the_one_the_format_describes),
        cmocka_unit_test(each_field_changes_the_hash_and_no_two_changes_alike),
        cmocka_unit_test(the_place_in_the_batch_is_no_part_of_the_hash),
        cmocka_unit_test(every_flipped_bit_is_found),
        cmocka_unit_test(a_record_cut_anywhere_does_not_measure),
        cmocka_unit_test(the_greatest_sizes_measure_without_wrapping_around),
        cmocka_unit_test(a_sound_record_has_no_fault),
        cmocka_unit_test(each_broken_rule_is_named),
        cmocka_unit_test(names_have_1_to_1024_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
