/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing JSON: strings, and objects member by member, straight into the output.
 */
#ifndef FBAT_CLI_JSON_WRITE_H
#define FBAT_CLI_JSON_WRITE_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "output.h"

/* Text in quotes, escaped where JSON wants it; bytes that are no UTF-8 become U+FFFD. */
void json_print_string(struct out *out, struct fbat_slice text);

/* Text as the inside of a string that is already open: for JSON inside a JSON string. */
void json_print_inside(struct out *out, struct fbat_slice text);

/* An object or array that is being written: keeps track of commas. */
struct json_writer {
    struct out *out;
    bool started; /* a member was written at this level */
};

void json_open(struct json_writer *json, struct out *out, char bracket);
void json_close(struct json_writer *json, char bracket);

/* The comma and the name; a value must follow. */
void json_name(struct json_writer *json, const char *name);
void json_comma(struct json_writer *json);

void json_member_slice(struct json_writer *json, const char *name, struct fbat_slice text);
void json_member_text(struct json_writer *json, const char *name, const char *text);
void json_member_u64(struct json_writer *json, const char *name, uint64_t value);
void json_member_bool(struct json_writer *json, const char *name, bool value);
void json_member_time(struct json_writer *json, const char *name, int64_t us);
void json_member_id(struct json_writer *json, const char *name, const struct fbat_id *id);
void json_member_hex(struct json_writer *json, const char *name, const uint8_t *bytes, size_t size);
void json_member_open(struct json_writer *json, const char *name, struct json_writer *inner, char bracket);

#endif
