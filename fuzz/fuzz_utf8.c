/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8, against a second decoder that works with code points instead of byte ranges. */
#include "fuzz.h"

#include "base/utf8.h"

/* The code point at `at` and its length; false when there is none. */
static bool decode_point(const uint8_t *at, size_t size, uint32_t *out_point, size_t *out_length) {
    static const struct {
        uint8_t mask, lead;
        uint32_t least;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t length = 1; length <= 4 && length <= size; length++) {
        if ((at[0] & forms[length - 1].mask) != forms[length - 1].lead)
            continue;
        uint32_t point = at[0] & (uint8_t)~forms[length - 1].mask;
        for (size_t index = 1; index < length; index++) {
            if (at[index] >> 6 != 2)
                return false;
            point = point << 6 | (at[index] & 0x3f);
        }
        *out_point = point;
        *out_length = length;
        return point >= forms[length - 1].least && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool valid = true, plain = true;
    for (size_t at = 0, length; at < size && valid; at += length) {
        uint32_t point = 0;
        valid = decode_point(data + at, size - at, &point, &length);
        plain = plain && valid && point >= 0x20 && point != 0x7f;
    }
    uint8_t *exact = fuzz_copy(data, size);
    FUZZ_REQUIRE(utf8_is_valid(exact, size) == valid);
    FUZZ_REQUIRE(utf8_is_plain_text(exact, size) == (valid && plain));
    free(exact);
    return 0;
}

size_t fuzz_seed(size_t index, uint8_t *to, size_t room) {
    static const char *const seeds[] = {"plain ascii that is longer than a word",
                                        "gr\xc3\xbcn \xe2\x82\xac \xf0\x9f\x98\x80",
                                        "\xef\xbf\xbf\xf4\x8f\xbf\xbf\xed\x9f\xbf", "eight or\xc3\xbcmore\xe2\x82\xac"};
    if (index >= sizeof seeds / sizeof seeds[0] || strlen(seeds[index]) > room)
        return 0;
    memcpy(to, seeds[index], strlen(seeds[index]));
    return strlen(seeds[index]);
}
