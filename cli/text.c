/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text: see text.h. Pure functions; invalid input is an answer, not an error. Any thread.
 */
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_continuation(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

size_t text_sequence(const uint8_t *at, const uint8_t *end) {
    size_t room = (size_t)(end - at);
    if (room == 0)
        return 0;
    if (at[0] < 0x80)
        return 1;
    if (at[0] >= 0xC2 && at[0] <= 0xDF)
        return room >= 2 && is_continuation(at[1]) ? 2 : 0;
    if (at[0] >= 0xE0 && at[0] <= 0xEF) {
        if (room < 3 || !is_continuation(at[1]) || !is_continuation(at[2]))
            return 0;
        bool overlong = at[0] == 0xE0 && at[1] < 0xA0, surrogate = at[0] == 0xED && at[1] >= 0xA0;
        return overlong || surrogate ? 0 : 3;
    }
    if (at[0] >= 0xF0 && at[0] <= 0xF4) {
        if (room < 4 || !is_continuation(at[1]) || !is_continuation(at[2]) || !is_continuation(at[3]))
            return 0;
        bool overlong = at[0] == 0xF0 && at[1] < 0x90, beyond = at[0] == 0xF4 && at[1] >= 0x90;
        return overlong || beyond ? 0 : 4;
    }
    return 0;
}

bool text_is_utf8(struct fbat_slice text) {
    const uint8_t *at = text.data, *end = at + text.size;
    while (at < end) {
        size_t size = text_sequence(at, end);
        if (size == 0)
            return false;
        at += size;
    }
    return true;
}

size_t text_columns(const char *text, size_t size) {
    const uint8_t *at = (const uint8_t *)text, *end = at + size;
    size_t columns = 0;
    while (at < end) {
        size_t length = text_sequence(at, end);
        at += length > 0 ? length : 1;
        columns++;
    }
    return columns;
}

bool text_equal(struct fbat_slice slice, const char *text) {
    size_t size = strlen(text);
    return slice.size == size && (size == 0 || memcmp(slice.data, text, size) == 0);
}

/* Characters that reorder the text around them on a terminal: U+200E, U+200F, U+202A..U+202E, U+2066..U+2069. */
static bool is_bidi_control(const uint8_t *at, size_t size) {
    if (size != 3 || at[0] != 0xE2)
        return false;
    if (at[1] == 0x80)
        return at[2] == 0x8E || at[2] == 0x8F || (at[2] >= 0xAA && at[2] <= 0xAE);
    return at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9;
}

/* The escape of the character at at, or none: then text is empty. */
static void escape_character(const uint8_t *at, size_t size, char text[8]) {
    text[0] = '\0';
    if (size == 0)
        snprintf(text, 8, "\\x%02x", at[0]);
    else if (at[0] == '\n' || at[0] == '\t' || at[0] == '\r')
        snprintf(text, 8, "\\%c", at[0] == '\n' ? 'n' : at[0] == '\t' ? 't' : 'r');
    else if (at[0] < 0x20 || at[0] == 0x7F)
        snprintf(text, 8, "\\x%02x", at[0]);
    else if (size == 2 && at[0] == 0xC2 && at[1] < 0xA0)
        snprintf(text, 8, "\\u%04x", at[1]);
    else if (is_bidi_control(at, size))
        snprintf(text, 8, "\\u%04x", (unsigned)((at[0] & 0xFu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu)));
}

/* Columns of the whole text as text_print shows it, counted no further than limit + 1. */
static size_t printed_columns(const uint8_t *at, const uint8_t *end, size_t limit) {
    size_t columns = 0;
    while (at < end && columns <= limit) {
        char escape[8];
        size_t size = text_sequence(at, end);
        escape_character(at, size, escape);
        columns += escape[0] != '\0' ? strlen(escape) : 1;
        at += size > 0 ? size : 1;
    }
    return columns;
}

size_t text_print(struct out *out, struct fbat_slice text, size_t columns_max) {
    const uint8_t *at = text.data, *end = at + text.size;
    size_t columns = 0;
    bool cut = columns_max != SIZE_MAX && printed_columns(at, end, columns_max) > columns_max;
    size_t room = !cut ? SIZE_MAX : columns_max > 3 ? columns_max - 3 : 0;
    while (at < end) {
        char escape[8];
        size_t size = text_sequence(at, end);
        escape_character(at, size, escape);
        size_t width = escape[0] != '\0' ? strlen(escape) : 1;
        if (width > room - columns)
            break;
        out_bytes(out, escape[0] != '\0' ? escape : (const char *)at, escape[0] != '\0' ? width : size);
        columns += width;
        at += size > 0 ? size : 1;
    }
    if (cut)
        out_text(out, "...");
    return columns + (cut ? 3 : 0);
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_print(struct out *out, struct fbat_slice bytes) {
    const uint8_t *at = bytes.data;
    for (size_t left = bytes.size; left > 0;) {
        size_t taken = left < 3 ? left : 3;
        unsigned group = (unsigned)at[0] << 16 | (taken > 1 ? (unsigned)at[1] << 8 : 0) | (taken > 2 ? at[2] : 0u);
        char *to = out_room(out, 4);
        to[0] = base64_digits[group >> 18];
        to[1] = base64_digits[group >> 12 & 63];
        to[2] = taken > 1 ? base64_digits[group >> 6 & 63] : '=';
        to[3] = taken > 2 ? base64_digits[group & 63] : '=';
        out->used += 4;
        at += taken;
        left -= taken;
    }
}

static int base64_value(char digit) {
    if (digit >= 'A' && digit <= 'Z')
        return digit - 'A';
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 52;
    return digit == '+' ? 62 : digit == '/' ? 63 : -1;
}

bool base64_decode(const char *text, size_t size, uint8_t *out_bytes, size_t *out_size) {
    while (size > 0 && text[size - 1] == '=' && size % 4 == 0)
        size--;
    if (size > 1 && size % 4 == 3 && text[size - 1] == '=')
        size--;
    if (size % 4 == 1)
        return false;
    unsigned bits = 0, bit_count = 0;
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (unsigned)value;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            out_bytes[written++] = (uint8_t)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    *out_size = written;
    return bits == 0;
}

bool number_parse(const char *text, uint64_t *out_value) {
    bool hexadecimal = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    const char *digits = hexadecimal ? text + 2 : text;
    if (!(digits[0] >= '0' && digits[0] <= '9') && !(hexadecimal && strchr("abcdefABCDEF", digits[0]) && digits[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(digits, &end, hexadecimal ? 16 : 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out_value = value;
    return true;
}

const char *number_grouped(uint64_t value, char out_text[NUMBER_TEXT_SIZE]) {
    char reversed[NUMBER_TEXT_SIZE];
    size_t size = 0;
    for (unsigned digits = 0; digits == 0 || value > 0; value /= 10, digits++) {
        if (digits > 0 && digits % 3 == 0)
            reversed[size++] = ',';
        reversed[size++] = (char)('0' + value % 10);
    }
    for (size_t i = 0; i < size; i++)
        out_text[i] = reversed[size - 1 - i];
    out_text[size] = '\0';
    return out_text;
}

const char *number_of_bytes(uint64_t bytes, char out_text[NUMBER_TEXT_SIZE]) {
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024) {
        snprintf(out_text, NUMBER_TEXT_SIZE, "%u bytes", (unsigned)bytes);
        return out_text;
    }
    double amount = (double)bytes / 1024;
    size_t unit = 0;
    for (; amount >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        amount /= 1024;
    snprintf(out_text, NUMBER_TEXT_SIZE, "%.1f %s", amount, units[unit]);
    return out_text;
}
