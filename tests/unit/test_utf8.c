/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as RFC 3629 has it: every code point in its shortest form, and nothing else. */
#include "fixture.h"

#include "base/utf8.h"

static bool valid(const char *hex) {
    uint8_t bytes[64];
    size_t size = bytes_of_hex(hex, bytes, sizeof bytes);
    uint8_t *copy = exact_copy(bytes, size);
    bool answer = utf8_is_valid(copy, size);
    free(copy);
    return answer;
}

/* The plain arithmetic of the encoding, without ranges. */
static size_t encode_point(uint32_t point, size_t length, uint8_t *to) {
    static const uint8_t leads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t at = length; at-- > 1; point >>= 6)
        to[at] = (uint8_t)(0x80 | (point & 0x3f));
    to[0] = (uint8_t)(leads[length] | point);
    return length;
}

static size_t shortest_length(uint32_t point) {
    return point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
}

static void nothing_is_valid(void **state) {
    (void)state;
    assert_true(utf8_is_valid(NULL, 0));
}

static void every_code_point_in_its_shortest_form_is_valid_but_surrogates(void **state) {
    (void)state;
    uint8_t bytes[4];
    for (uint32_t point = 0; point <= 0x10ffff; point++) {
        size_t size = encode_point(point, shortest_length(point), bytes);
        bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (utf8_is_valid(bytes, size) == surrogate)
            fail_msg("U+%04X", point);
    }
}

static void longer_forms_than_needed_are_refused(void **state) {
    (void)state;
    uint8_t bytes[4];
    for (uint32_t point = 0; point < 0x10000; point++)
        for (size_t length = shortest_length(point) + 1; length <= 4; length++)
            if (utf8_is_valid(bytes, encode_point(point, length, bytes)))
                fail_msg("U+%04X in %zu bytes", point, length);
}

static void points_beyond_the_last_are_refused(void **state) {
    (void)state;
    assert_true(valid("f4 8f bf bf"));
    assert_false(valid("f4 90 80 80"));
    assert_false(valid("f5 80 80 80"));
    assert_false(valid("f8 88 80 80 80"));
    assert_false(valid("fc 84 80 80 80 80"));
    assert_false(valid("fe"));
    assert_false(valid("ff"));
}

static void every_pair_of_bytes_is_judged_as_the_grammar_says(void **state) {
    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++) {
            uint8_t bytes[2] = {(uint8_t)first, (uint8_t)second};
            bool wanted =
                (first < 0x80 && second < 0x80) || (first >= 0xc2 && first <= 0xdf && second >= 0x80 && second <= 0xbf);
            if (utf8_is_valid(bytes, 2) != wanted)
                fail_msg("%02x %02x", first, second);
        }
}

static void a_cut_sequence_is_refused_without_a_look_behind_the_end(void **state) {
    (void)state;
    assert_false(valid("c3"));
    assert_false(valid("e2 82"));
    assert_false(valid("f0 9f 98"));
    assert_false(valid("61 62 63 64 65 66 67 68 e2"));
    assert_false(valid("61 62 63 64 65 66 67 68 f0 9f"));
}

static void a_lone_continuation_is_refused_at_every_place(void **state) {
    (void)state;
    for (size_t size = 1; size < 24; size++)
        for (size_t place = 0; place < size; place++) {
            char text[24];
            memset(text, 'a', sizeof text);
            text[place] = (char)0x80;
            assert_false(utf8_is_valid(text, size));
        }
}

static void a_continuation_out_of_range_is_refused_wherever_it_stands(void **state) {
    (void)state;
    assert_false(valid("e2 28 a1"));
    assert_false(valid("e2 82 28"));
    assert_false(valid("f0 28 8c bc"));
    assert_false(valid("f0 90 28 bc"));
    assert_false(valid("f0 90 8c 28"));
    assert_false(valid("f0 90 8c c0"));
}

static void ascii_and_longer_forms_mix(void **state) {
    (void)state;
    assert_true(utf8_is_valid("plain ascii, longer than a word", 31));
    assert_true(valid("61 c3 bc e2 82 ac f0 9f 98 80 62 62 62 62 62 62 62 62 c3 9f"));
}

static void a_nul_is_valid_utf8_but_not_plain_text(void **state) {
    (void)state;
    assert_true(utf8_is_valid("a\0b", 3));
    assert_false(utf8_is_plain_text("a\0b", 3));
}

static void control_characters_are_not_plain_text(void **state) {
    (void)state;
    for (unsigned byte = 0; byte < 0x80; byte++) {
        char text[3] = {'a', (char)byte, 'b'};
        assert_int_equal(utf8_is_plain_text(text, 3), byte >= 0x20 && byte != 0x7f);
    }
    assert_true(utf8_is_plain_text("gr\xc3\xbcn", 5));
    assert_false(utf8_is_plain_text("gr\xc3", 3));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_valid),
        cmocka_unit_test(every_code_point_in_its_shortest_form_is_valid_but_surrogates),
        cmocka_unit_test(longer_forms_than_needed_are_refused),
        cmocka_unit_test(points_beyond_the_last_are_refused),
        cmocka_unit_test(every_pair_of_bytes_is_judged_as_the_grammar_says),
        cmocka_unit_test(a_cut_sequence_is_refused_without_a_look_behind_the_end),
        cmocka_unit_test(a_lone_continuation_is_refused_at_every_place),
        cmocka_unit_test(a_continuation_out_of_range_is_refused_wherever_it_stands),
        cmocka_unit_test(ascii_and_longer_forms_mix),
        cmocka_unit_test(a_nul_is_valid_utf8_but_not_plain_text),
        cmocka_unit_test(control_characters_are_not_plain_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
