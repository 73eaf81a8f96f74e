/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text on its way in and out: UTF-8, base64, numbers, and printing of bytes nobody vouches for.
 */
#ifndef FBAT_CLI_TEXT_H
#define FBAT_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "output.h"

/* Length of the valid UTF-8 sequence (RFC 3629) at at, 0 when there is none. */
size_t text_sequence(const uint8_t *at, const uint8_t *end);
bool text_is_utf8(struct fbat_slice text);

/* Code points, taken for columns; an invalid byte counts as one. */
size_t text_columns(const char *text, size_t size);

bool text_equal(struct fbat_slice slice, const char *text);

/* Prints text with control characters, bidirectional overrides and invalid bytes escaped (\n, \x1b, \u202e), so that
 * it is one line and cannot steer a terminal; cut with "..." at columns_max, SIZE_MAX = whole.
 * Returns the columns used. */
size_t text_print(struct out *out, struct fbat_slice text, size_t columns_max);

/* Base64 of RFC 4648 with padding. */
void base64_print(struct out *out, struct fbat_slice bytes);

/* Decodes into out_bytes, which has room for size / 4 * 3 + 3 bytes; false when text is no base64. Padding may lack. */
bool base64_decode(const char *text, size_t size, uint8_t *out_bytes, size_t *out_size);

/* A whole unsigned number in decimal, or 0x hexadecimal; false when text is anything else or too large. */
bool number_parse(const char *text, uint64_t *out_value);

#define NUMBER_TEXT_SIZE 32

/* "34,188"; "1.5 MiB". */
const char *number_grouped(uint64_t value, char out_text[NUMBER_TEXT_SIZE]);
const char *number_of_bytes(uint64_t bytes, char out_text[NUMBER_TEXT_SIZE]);

#endif
