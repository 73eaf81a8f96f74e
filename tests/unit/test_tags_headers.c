/* SPDX-License-Identifier: Apache-2.0 */
/* Tags and headers of a record (src/format/record.c): limits, encoding, and walking encodings that are broken. */
#include "fixture.h"

#include "base/limits.h"

static char filler[70000];

static int fill_filler(void **state) {
    (void)state;
    memset(filler, 't', sizeof filler);
    return 0;
}

/* ---- limits ---- */

static bool tag_fits(const void *data, size_t size) {
    struct fbat_slice tag = fbat_bytes(data, size);
    uint16_t bytes = 7;
    bool fits = tags_measure(&tag, 1, &bytes);
    assert_int_equal(bytes, fits ? size + 1 : 7);
    return fits;
}

static void a_tag_has_1_to_255_bytes_of_utf8(void **state) {
    (void)state;
    assert_false(tag_fits("", 0));
    assert_true(tag_fits("x", 1));
    assert_true(tag_fits(filler, 255));
    assert_false(tag_fits(filler, 256));
    assert_false(tag_fits("\xff", 1));
    assert_false(tag_fits(NULL, 3));
}

static void all_tags_have_at_most_65535_bytes(void **state) {
    (void)state;
    enum { FULL = 255 }; /* tags of 255 bytes: 256 encoded, 65,280 in all */
    struct fbat_slice tags[FULL + 2];
    uint16_t bytes;
    for (size_t at = 0; at < FULL; at++)
        tags[at] = fbat_bytes(filler, 255);
    tags[FULL] = fbat_bytes(filler, 254);
    assert_true(tags_measure(tags, FULL + 1, &bytes));
    assert_int_equal(bytes, LIMIT_TAGS_BYTES);
    tags[FULL] = fbat_bytes(filler, 255);
    assert_false(tags_measure(tags, FULL + 1, &bytes));
}

static bool header_fits(struct fbat_slice name, struct fbat_slice value) {
    struct fbat_header header = {name, value};
    uint16_t bytes = 7;
    bool fits = headers_measure(&header, 1, &bytes);
    assert_int_equal(bytes, fits ? 4 + name.size + value.size : 7);
    return fits;
}

static void a_headers_name_has_1_to_255_bytes_of_utf8_and_its_value_any(void **state) {
    (void)state;
    struct fbat_slice empty = fbat_text("");
    assert_false(header_fits(empty, empty));
    assert_true(header_fits(fbat_text("n"), empty));
    assert_true(header_fits(fbat_bytes(filler, 255), empty));
    assert_false(header_fits(fbat_bytes(filler, 256), empty));
    assert_false(header_fits(fbat_text("\xc3"), empty));
    assert_false(header_fits(fbat_bytes(NULL, 1), empty));
    assert_true(header_fits(fbat_text("n"), fbat_bytes("\xff\0\xfe", 3)));
    assert_true(header_fits(fbat_text("n"), fbat_bytes(NULL, 0)));
    assert_false(header_fits(fbat_text("n"), fbat_bytes(NULL, 1)));
}

static void all_headers_have_at_most_65535_bytes(void **state) {
    (void)state;
    assert_true(header_fits(fbat_text("n"), fbat_bytes(filler, LIMIT_HEADERS_BYTES - 5)));
    assert_false(header_fits(fbat_text("n"), fbat_bytes(filler, LIMIT_HEADERS_BYTES - 4)));
    assert_false(header_fits(fbat_text("n"), fbat_bytes(filler, LIMIT_HEADERS_BYTES + 1)));
    struct fbat_header headers[2] = {{fbat_text("a"), fbat_bytes(filler, 40000)},
                                     {fbat_text("b"), fbat_bytes(filler, 65535 - 40005 - 5)}};
    uint16_t bytes;
    assert_true(headers_measure(headers, 2, &bytes));
    assert_int_equal(bytes, 65535);
    headers[1].value.size++;
    assert_false(headers_measure(headers, 2, &bytes));
}

static void none_at_all_take_no_bytes(void **state) {
    (void)state;
    uint16_t bytes = 7;
    assert_true(tags_measure(NULL, 0, &bytes));
    assert_int_equal(bytes, 0);
    bytes = 7;
    assert_true(headers_measure(NULL, 0, &bytes));
    assert_int_equal(bytes, 0);
}

/* ---- walking ---- */

static void tags_come_back_in_order(void **state) {
    (void)state;
    struct fbat_slice encoded = fbat_bytes("\x03red\x01x\x02yz", 9), tag;
    static const char *const wanted[] = {"red", "x", "yz"};
    size_t offset = 0;
    for (size_t at = 0; at < 3; at++) {
        assert_true(tags_next(encoded, &offset, &tag));
        assert_int_equal(tag.size, strlen(wanted[at]));
        assert_memory_equal(tag.data, wanted[at], tag.size);
    }
    assert_false(tags_next(encoded, &offset, &tag));
    assert_int_equal(offset, encoded.size);
}

static void headers_come_back_in_order(void **state) {
    (void)state;
    struct fbat_slice encoded = fbat_bytes("\x01\0\x02\0aXY\x02\0\0\0bc", 13);
    struct fbat_header header;
    size_t offset = 0;
    assert_true(headers_next(encoded, &offset, &header));
    assert_true(header.name.size == 1 && memcmp(header.name.data, "a", 1) == 0);
    assert_true(header.value.size == 2 && memcmp(header.value.data, "XY", 2) == 0);
    assert_true(headers_next(encoded, &offset, &header));
    assert_true(header.name.size == 2 && header.value.size == 0);
    assert_false(headers_next(encoded, &offset, &header));
    assert_int_equal(offset, encoded.size);
}

/* Walks to the end; true when the whole encoding was used up. */
static bool walks_whole(const void *bytes, size_t size, bool as_tags) {
    uint8_t *copy = exact_copy(bytes, size);
    struct fbat_slice encoded = fbat_bytes(copy, size), tag;
    struct fbat_header header;
    size_t offset = 0;
    while (as_tags ? tags_next(encoded, &offset, &tag) : headers_next(encoded, &offset, &header))
        assert_true(offset <= size);
    free(copy);
    return offset == size;
}

static void a_list_cut_within_an_element_does_not_walk_to_its_end(void **state) {
    (void)state;
    static const char tags[] = "\x03red\x01x\x02yz", headers[] = "\x01\0\x02\0aXY\x02\0\0\0bc";
    for (size_t cut = 0; cut <= 9; cut++)
        assert_int_equal(walks_whole(tags, cut, true), cut == 0 || cut == 4 || cut == 6 || cut == 9);
    for (size_t cut = 0; cut <= 13; cut++)
        assert_int_equal(walks_whole(headers, cut, false), cut == 0 || cut == 7 || cut == 13);
}

static void an_element_of_forbidden_size_stops_the_walk(void **state) {
    (void)state;
    assert_false(walks_whole("\0", 1, true));
    assert_false(walks_whole("\0\0\0\0", 4, false));
    assert_false(walks_whole("\xff\xff\xff\xff", 4, false));
    uint8_t long_name[4 + 256] = {0, 1}; /* a name of 256 bytes */
    assert_false(walks_whole(long_name, sizeof long_name, false));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tag_has_1_to_255_bytes_of_utf8),
        cmocka_unit_test(all_tags_have_at_most_65535_bytes),
        cmocka_unit_test(a_headers_name_has_1_to_255_bytes_of_utf8_and_its_value_any),
        cmocka_unit_test(all_headers_have_at_most_65535_bytes),
        cmocka_unit_test(none_at_all_take_no_bytes),
        cmocka_unit_test(tags_come_back_in_order),
        cmocka_unit_test(headers_come_back_in_order),
        cmocka_unit_test(a_list_cut_within_an_element_does_not_walk_to_its_end),
        cmocka_unit_test(an_element_of_forbidden_size_stops_the_walk),
    };
    return cmocka_run_group_tests(tests, fill_filler, NULL);
}
