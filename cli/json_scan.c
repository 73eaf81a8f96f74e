/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON scanner: see json_scan.h.
 *
 * Happy path: recursive descent over the bytes, one function for each rule of the grammar, at most JSON_DEPTH_MAX deep.
 * Strings are checked to be UTF-8, and surrogates written as \u to come in pairs. Failure: at stops at the byte that
 * cannot be. Pure; any thread.
 *
 * Member names of an object are compared with each other when they are few and free of escapes. Otherwise unsure is
 * set, and who needs to know asks Jansson.
 */
#include "json_scan.h"

#include <stdint.h>
#include <string.h>

#include "text.h"

#define NAMES_COMPARED_MAX 24

void json_scan_init(struct json_scan *scan, const char *text, size_t size) {
    memset(scan, 0, sizeof *scan);
    scan->at = text;
    scan->end = text + size;
}

static bool fail_scan(struct json_scan *scan, const char *expected) {
    scan->expected = expected;
    return false;
}

void json_scan_space(struct json_scan *scan) {
    while (scan->at < scan->end && (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\r' || *scan->at == '\n'))
        scan->at++;
}

static bool scan_hex4(struct json_scan *scan, unsigned *out_unit) {
    unsigned unit = 0;
    for (int i = 0; i < 4; i++, scan->at++) {
        char digit = scan->at < scan->end ? *scan->at : '\0';
        if (digit >= '0' && digit <= '9')
            unit = unit << 4 | (unsigned)(digit - '0');
        else if ((digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F'))
            unit = unit << 4 | (unsigned)((digit | 0x20) - 'a' + 10);
        else
            return fail_scan(scan, "four hexadecimal digits after \\u");
    }
    *out_unit = unit;
    return true;
}

/* After \u: a code unit, and its second half when it is a surrogate. */
static bool scan_code_point(struct json_scan *scan) {
    unsigned unit;
    if (!scan_hex4(scan, &unit))
        return false;
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit >= 0xDC00 || scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
        return fail_scan(scan, "a pair of surrogates");
    scan->at += 2;
    if (!scan_hex4(scan, &unit))
        return false;
    return (unit >= 0xDC00 && unit <= 0xDFFF) || fail_scan(scan, "the low half of a pair of surrogates");
}

static bool scan_escape(struct json_scan *scan) {
    scan->at++;
    if (scan->at == scan->end || *scan->at == '\0' || strchr("\"\\/bfnrtu", *scan->at) == NULL)
        return fail_scan(scan, "one of \" \\ / b f n r t u after a backslash");
    return *scan->at++ != 'u' || scan_code_point(scan);
}

/* True when none of the eight bytes is a control character, a quote, a backslash or beyond ASCII. */
static bool are_plain_bytes(const char *at) {
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    uint64_t found = (word - ones * 0x20) | (quote - ones) | (backslash - ones) | word;
    return (found & tops) == 0;
}

static bool scan_odd_byte(struct json_scan *scan, struct json_span *span) {
    uint8_t byte = (uint8_t)*scan->at;
    if (byte == '\\') {
        span->escapes = true;
        return scan_escape(scan);
    }
    if (byte < 0x20)
        return fail_scan(scan, "the rest of a string, in which control characters are escaped");
    size_t size = text_sequence((const uint8_t *)scan->at, (const uint8_t *)scan->end);
    scan->at += size;
    return size > 0 || fail_scan(scan, "valid UTF-8");
}

bool json_scan_string(struct json_scan *scan, struct json_span *out_span) {
    out_span->start = scan->at;
    out_span->escapes = false;
    if (scan->at == scan->end || *scan->at != '"')
        return fail_scan(scan, "a string");
    scan->at++;
    for (;;) {
        while (scan->end - scan->at >= 8 && are_plain_bytes(scan->at))
            scan->at += 8;
        while (scan->at < scan->end && *scan->at >= 0x20 && *scan->at != '"' && *scan->at != '\\' && *scan->at < 0x7F)
            scan->at++;
        if (scan->at == scan->end)
            return fail_scan(scan, "the closing '\"' of a string");
        if (*scan->at == '"')
            break;
        if (!scan_odd_byte(scan, out_span))
            return false;
    }
    out_span->end = ++scan->at;
    return true;
}

static bool scan_digits(struct json_scan *scan) {
    const char *start = scan->at;
    while (scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9')
        scan->at++;
    return scan->at > start || fail_scan(scan, "a digit");
}

static bool next_is(const struct json_scan *scan, char character) {
    return scan->at < scan->end && *scan->at == character;
}

static bool scan_number(struct json_scan *scan) {
    if (next_is(scan, '-'))
        scan->at++;
    if (next_is(scan, '0'))
        scan->at++;
    else if (!scan_digits(scan))
        return false;
    if (next_is(scan, '.')) {
        scan->at++;
        if (!scan_digits(scan))
            return false;
    }
    if (!next_is(scan, 'e') && !next_is(scan, 'E'))
        return true;
    scan->at++;
    if (next_is(scan, '+') || next_is(scan, '-'))
        scan->at++;
    return scan_digits(scan);
}

static bool scan_word(struct json_scan *scan, const char *word, size_t size) {
    if ((size_t)(scan->end - scan->at) < size || memcmp(scan->at, word, size) != 0)
        return fail_scan(scan, "a value");
    scan->at += size;
    return true;
}

/* A comma or the closing character: 1 for more, 0 for the end, -1 for neither. */
static int scan_separator(struct json_scan *scan, char closing, const char *expected) {
    json_scan_space(scan);
    if (!next_is(scan, ',') && !next_is(scan, closing)) {
        fail_scan(scan, expected);
        return -1;
    }
    return *scan->at++ == ',' ? 1 : 0;
}

static bool scan_array(struct json_scan *scan) {
    int more = 1;
    scan->at++;
    json_scan_space(scan);
    if (next_is(scan, ']')) {
        scan->at++;
        return true;
    }
    while (more == 1) {
        struct json_span item;
        json_scan_space(scan);
        if (!json_scan_value(scan, &item))
            return false;
        more = scan_separator(scan, ']', "',' or ']'");
    }
    return more == 0;
}

bool json_scan_open(struct json_scan *scan) {
    if (!next_is(scan, '{'))
        return fail_scan(scan, "an object, which starts with '{'");
    scan->at++;
    return true;
}

int json_scan_member(struct json_scan *scan, bool first, struct json_span *out_name, struct json_span *out_value) {
    json_scan_space(scan);
    if (first && next_is(scan, '}')) {
        scan->at++;
        return 0;
    }
    int more = first ? 1 : scan_separator(scan, '}', "',' or '}'");
    if (more != 1)
        return more;
    json_scan_space(scan);
    if (!json_scan_string(scan, out_name)) {
        if (out_name->start == scan->at)
            fail_scan(scan, first ? "a member's name in quotes, or '}'" : "a member's name in quotes");
        return -1;
    }
    json_scan_space(scan);
    if (!next_is(scan, ':')) {
        fail_scan(scan, "':' after a member's name");
        return -1;
    }
    scan->at++;
    json_scan_space(scan);
    return json_scan_value(scan, out_value) ? 1 : -1;
}

static bool are_same_names(const struct json_span *a, const struct json_span *b) {
    size_t size = (size_t)(a->end - a->start);
    return size == (size_t)(b->end - b->start) && memcmp(a->start, b->start, size) == 0;
}

static bool scan_object(struct json_scan *scan) {
    struct json_span names[NAMES_COMPARED_MAX], value;
    size_t count = 0;
    scan->at++;
    for (bool first = true;; first = false) {
        struct json_span name;
        int more = json_scan_member(scan, first, &name, &value);
        if (more != 1)
            return more == 0;
        for (size_t i = 0; i < count; i++) {
            if (are_same_names(&names[i], &name)) {
                scan->at = name.start;
                return fail_scan(scan, "another name: this one occurs twice in the object");
            }
        }
        if (count == NAMES_COMPARED_MAX || name.escapes)
            scan->unsure = true;
        else
            names[count++] = name;
    }
}

static bool scan_any(struct json_scan *scan) {
    struct json_span string;
    switch (*scan->at) {
    case '"': return json_scan_string(scan, &string);
    case '{': return scan_object(scan);
    case '[': return scan_array(scan);
    case 't': return scan_word(scan, "true", 4);
    case 'f': return scan_word(scan, "false", 5);
    case 'n': return scan_word(scan, "null", 4);
    default: break;
    }
    if (*scan->at == '-' || (*scan->at >= '0' && *scan->at <= '9'))
        return scan_number(scan);
    return fail_scan(scan, "a value");
}

bool json_scan_value(struct json_scan *scan, struct json_span *out_span) {
    if (next_is(scan, '"'))
        return json_scan_string(scan, out_span);
    if (scan->at == scan->end)
        return fail_scan(scan, "a value");
    if (scan->depth == JSON_DEPTH_MAX)
        return fail_scan(scan, "less than 1,024 values one inside the other");
    out_span->start = scan->at;
    out_span->escapes = false;
    scan->depth++;
    if (!scan_any(scan))
        return false;
    scan->depth--;
    out_span->end = scan->at;
    return true;
}

bool json_is_valid(struct fbat_slice text) {
    struct json_scan scan;
    struct json_span value;
    json_scan_init(&scan, text.data, text.size);
    json_scan_space(&scan);
    if (!json_scan_value(&scan, &value))
        return false;
    json_scan_space(&scan);
    return scan.at == scan.end;
}
