/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of id runs: names, headers, and what an entry keeps of a hash. */
#include "fixture.h"

#include "format/id_run.h"
#include "support/test.h"

static struct id_run_header sample(void) {
    struct id_run_header header = {
        .store_id = id_of_byte(0x42),
        .range = {17, 32},
        .entry_count = 100000,
        .checksums_crc = 0x12345678,
    };
    memset(header.segments_digest, 0x77, sizeof header.segments_digest);
    id_run_choose_bits(&header);
    id_run_lay_out(&header);
    return header;
}

static const char *decode_exact(const uint8_t *bytes, uint64_t file_bytes, struct id_run_header *out_header) {
    uint8_t *copy = exact_copy(bytes, ID_RUN_HEADER_BYTES);
    const char *fault = id_run_decode(copy, file_bytes, out_header);
    free(copy);
    return fault;
}

static void seal_header(uint8_t *bytes) {
    store_u32(bytes + ID_RUN_CRC_AT, crc32c(bytes, ID_RUN_CRC_AT, 0));
}

/* What is wrong with the sample after one change and a new layout; "" when nothing is. */
static const char *fault_of(void (*change)(struct id_run_header *header)) {
    struct id_run_header header = sample(), got;
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    change(&header);
    id_run_encode(&header, bytes);
    const char *fault = decode_exact(bytes, header.file_bytes, &got);
    return fault ? fault : "";
}

static void what_is_encoded_is_decoded(void **state) {
    (void)state;
    struct id_run_header header = sample(), got;
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    id_run_encode(&header, bytes);
    assert_memory_equal(bytes, "FBATIDRN\x02\0\0\0\0\x10\0\0", 16);
    assert_null(decode_exact(bytes, header.file_bytes, &got));
    assert_memory_equal(got.store_id.bytes, header.store_id.bytes, 16);
    assert_int_equal(got.range.first, 17);
    assert_int_equal(got.range.last, 32);
    assert_int_equal(got.entry_count, 100000);
    assert_int_equal(got.bucket_bits, 13);
    assert_int_equal(got.segment_bits, 4);
    assert_int_equal(got.key_bits, 13 + 28);
    assert_int_equal(got.checksums_crc, 0x12345678);
    assert_memory_equal(got.segments_digest, header.segments_digest, SHA256_BYTES);
}

static void parts_lie_on_pages_one_behind_the_other(void **state) {
    (void)state;
    struct id_run_header header = sample();
    assert_int_equal(header.buckets_offset, 4096);
    assert_int_equal(header.entries_offset, 4096 + 9 * 4096); /* 8193 numbers */
    assert_int_equal(header.checksums_offset, header.entries_offset + 98 * 4096);
    assert_int_equal(header.file_bytes, header.checksums_offset + 4 * (9 + 98));
    assert_int_equal(id_run_page_count(&header), 9 + 98);
}

static void every_flipped_bit_is_found_and_the_output_left_alone(void **state) {
    (void)state;
    struct id_run_header header = sample(), got = {.entry_count = 99};
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    id_run_encode(&header, bytes);
    for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!decode_exact(bytes, header.file_bytes, &got))
            fail_msg("bit %zu", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(got.entry_count, 99);
}

static void another_version_size_or_a_reserved_byte_is_not_valid(void **state) {
    (void)state;
    struct id_run_header header = sample(), got;
    uint8_t bytes[ID_RUN_HEADER_BYTES];
    id_run_encode(&header, bytes);
    assert_non_null(decode_exact(bytes, header.file_bytes - 1, &got));
    assert_non_null(decode_exact(bytes, header.file_bytes + 1, &got));
    for (size_t at = ID_RUN_VERSION_AT; at < ID_RUN_CRC_AT; at++) {
        if (at >= ID_RUN_STORE_ID_AT && at < ID_RUN_ZERO0_AT)
            continue;
        if (at >= ID_RUN_DIGEST_AT && at < ID_RUN_ZERO1_AT)
            continue;
        bytes[at] ^= 0x40;
        seal_header(bytes);
        if (!decode_exact(bytes, header.file_bytes, &got))
            fail_msg("byte %zu", at);
        bytes[at] ^= 0x40;
    }
}

static void no_segment(struct id_run_header *header) {
    header->range.first = 0;
}
static void a_range_backwards(struct id_run_header *header) {
    header->range.last = header->range.first - 1;
}
static void too_many_segments(struct id_run_header *header) {
    header->range.last = header->range.first + ID_RUN_SEGMENTS_MAX;
    header->segment_bits = ID_RUN_SEGMENT_BITS_MAX;
}
static void too_few_segment_bits(struct id_run_header *header) {
    header->segment_bits = 3;
}
static void too_many_segment_bits(struct id_run_header *header) {
    header->segment_bits = ID_RUN_SEGMENT_BITS_MAX + 1;
    header->key_bits = header->bucket_bits;
}
static void too_many_entries(struct id_run_header *header) {
    header->entry_count = UINT64_C(1) << 32;
    id_run_lay_out(header);
}
static void too_many_bucket_bits(struct id_run_header *header) {
    header->bucket_bits = ID_RUN_BUCKET_BITS_MAX + 1;
    header->key_bits = header->bucket_bits;
    id_run_lay_out(header);
}
static void fewer_key_bits_than_bucket_bits(struct id_run_header *header) {
    header->key_bits = header->bucket_bits - 1;
}
static void more_key_bits_than_fit(struct id_run_header *header) {
    header->key_bits++;
}

static void numbers_out_of_range_are_not_valid(void **state) {
    (void)state;
    void (*const changes[])(struct id_run_header *) = {
        no_segment,
        a_range_backwards,
        too_many_segments,
        too_few_segment_bits,
        too_many_entries,
        too_many_bucket_bits,
        fewer_key_bits_than_bucket_bits,
        too_many_segment_bits,
        more_key_bits_than_fit,
    };
    for (size_t at = 0; at < COUNT_OF(changes); at++) {
        if (strcmp(fault_of(changes[at]), "a number in the header is out of range") != 0)
            fail_msg("change %zu: \"%s\"", at, fault_of(changes[at]));
    }
}

static void other_buckets(struct id_run_header *header) {
    header->bucket_bits = 3;
    header->key_bits = 3;
    id_run_lay_out(header);
}

static void a_writer_may_choose_other_bits(void **state) {
    (void)state;
    assert_string_equal(fault_of(other_buckets), "");
}

static void a_bucket_holds_eight_to_sixteen_entries_on_average(void **state) {
    (void)state;
    for (uint64_t count = 17; count <= ID_RUN_ENTRIES_MAX; count += 1 + count / 3) {
        struct id_run_header header = {.range = {1, 4}, .entry_count = count};
        id_run_choose_bits(&header);
        assert_true(count > 8 * id_run_bucket_count(&header) && count <= 16 * id_run_bucket_count(&header));
    }
}

static void an_entry_keeps_the_leading_key_bits_of_the_hash_and_the_segment(void **state) {
    (void)state;
    uint64_t seed = test_seed(20260501);
    struct test_random random = test_random_init(seed);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 20000; round++) {
        struct id_run_header header = {
            .bucket_bits = (uint32_t)test_random_below(&random, ID_RUN_BUCKET_BITS_MAX + 1),
            .segment_bits = (uint32_t)test_random_below(&random, ID_RUN_SEGMENT_BITS_MAX + 1),
        };
        header.key_bits =
            header.bucket_bits + (uint32_t)test_random_below(&random, ID_RUN_ENTRY_BITS - header.segment_bits + 1);
        uint64_t hash = test_random_u64(&random);
        uint32_t segment = (uint32_t)test_random_below(&random, UINT64_C(1) << header.segment_bits);
        uint64_t kept = header.key_bits == 0 ? 0 : hash & UINT64_MAX << (64 - header.key_bits);
        uint64_t bucket = id_run_bucket(&header, hash);
        uint32_t entry = id_run_entry(&header, hash, segment);
        assert_true(bucket < id_run_bucket_count(&header));
        assert_int_equal(id_run_entry_segment(&header, entry), segment);
        assert_true(id_run_entry_hash(&header, bucket, entry) == kept);
        assert_int_equal(id_run_entry(&header, kept, segment), entry);
    }
}

/* So that entries of a merged run follow from those of its parts. */
static void a_run_of_four_equal_ones_keeps_as_many_bits_as_they_do(void **state) {
    (void)state;
    for (uint64_t events = 16, segments = 4; segments < ID_RUN_SEGMENTS_MAX; events *= 4, segments *= 4) {
        struct id_run_header part = {.range = {1, segments}, .entry_count = events};
        struct id_run_header whole = {.range = {1, 4 * segments}, .entry_count = 4 * events};
        id_run_choose_bits(&part);
        id_run_choose_bits(&whole);
        assert_int_equal(part.key_bits, whole.key_bits);
    }
}

static void names_say_the_range_and_only_canonical_ones_count(void **state) {
    (void)state;
    static const char *const wrong[] = {
        "",
        "ids-",
        "ids-000001",
        "ids-000001-000004",
        "ids-000001-000004.fbat",
        "ids-000001-000004.fbati.old",
        "ids-000001-000004.fbatix",
        "ids-1-4.fbati",
        "ids-0000001-0000004.fbati",
        "ids-000000-000004.fbati",
        "ids-000005-000004.fbati",
        "ids-000001--00004.fbati",
        "ids-+00001-000004.fbati",
        "ids-1000000000000-1000000000004.fbati",
        "000001.fbat",
    };
    struct id_run_range range;
    char name[ID_RUN_NAME_BYTES];
    bool temporary = true;
    assert_true(id_run_parse_name("ids-000001-000004.fbati", &range, &temporary));
    assert_true(range.first == 1 && range.last == 4 && !temporary);
    assert_true(id_run_parse_name("ids-000999-1000002.fbati.new", &range, &temporary));
    assert_true(range.first == 999 && range.last == 1000002 && temporary);
    id_run_name(range, true, name);
    assert_string_equal(name, "ids-000999-1000002.fbati.new");
    for (size_t at = 0; at < COUNT_OF(wrong); at++)
        if (id_run_parse_name(wrong[at], &range, &temporary))
            fail_msg("%s", wrong[at]);
    assert_true(range.first == 999 && temporary);
}

static void the_digest_depends_on_all_of_every_segment_and_their_order(void **state) {
    (void)state;
    uint8_t hash[SHA256_BYTES] = {1}, other_hash[SHA256_BYTES] = {2};
    const struct id_run_segment variants[] = {
        {0, 10, 20, hash}, {1, 10, 20, hash}, {0, 11, 20, hash}, {0, 10, 21, hash}, {0, 10, 20, other_hash},
    };
    uint8_t digests[2 * COUNT_OF(variants)][SHA256_BYTES] = {{0}};
    const struct id_run_segment base = {1, 2, 3, hash};
    for (size_t at = 0; at < COUNT_OF(variants); at++) {
        id_run_digest_segment(digests[2 * at], &variants[at]);
        id_run_digest_segment(digests[2 * at], &base);
        id_run_digest_segment(digests[2 * at + 1], &base);
        id_run_digest_segment(digests[2 * at + 1], &variants[at]);
    }
    for (size_t a = 0; a < COUNT_OF(digests); a++)
        for (size_t b = 0; b < a; b++)
            assert_memory_not_equal(digests[a], digests[b], SHA256_BYTES);
}

static void the_salt_is_another_one_for_every_run(void **state) {
    (void)state;
    struct id_run_header one = sample(), two = sample();
    assert_int_equal(id_run_salt(&one), id_run_salt(&two));
    two.range.first++;
    assert_int_not_equal(id_run_salt(&one), id_run_salt(&two));
    two = sample();
    two.store_id.bytes[3] ^= 1;
    assert_int_not_equal(id_run_salt(&one), id_run_salt(&two));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(parts_lie_on_pages_one_behind_the_other),
        cmocka_unit_test(every_flipped_bit_is_found_and_the_output_left_alone),
        cmocka_unit_test(another_version_size_or_a_reserved_byte_is_not_valid),
        cmocka_unit_test(numbers_out_of_range_are_not_valid),
        cmocka_unit_test(a_writer_may_choose_other_bits),
        cmocka_unit_test(a_bucket_holds_eight_to_sixteen_entries_on_average),
        cmocka_unit_test(an_entry_keeps_the_leading_key_bits_of_the_hash_and_the_segment),
        cmocka_unit_test(a_run_of_four_equal_ones_keeps_as_many_bits_as_they_do),
        cmocka_unit_test(names_say_the_range_and_only_canonical_ones_count),
        cmocka_unit_test(the_digest_depends_on_all_of_every_segment_and_their_order),
        cmocka_unit_test(the_salt_is_another_one_for_every_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
