/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict scanner of JSON text (RFC 8259): says whether bytes are one valid value and where its parts lie, and builds
 * nothing. Jansson, which builds a tree of every line, takes 5 us for one of 400 bytes; this takes a tenth.
 */
#ifndef FBAT_CLI_JSON_SCAN_H
#define FBAT_CLI_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <fbat/fbat.h>

#define JSON_DEPTH_MAX 1024

struct json_scan {
    const char *at;       /* the next byte */
    const char *end;      /* after the last */
    const char *expected; /* after a failure: what was expected at at; static */
    unsigned depth;       /* values open around at */
    bool unsure;          /* an object has too many or too odd names to say here that none is repeated */
};

/* A value or a member's name as it stands in the text. */
struct json_span {
    const char *start;
    const char *end;
    bool escapes; /* a string with a backslash in it */
};

void json_scan_init(struct json_scan *scan, const char *text, size_t size);

/* Passes white space. */
void json_scan_space(struct json_scan *scan);

/* Passes one value of any type, white space before it not included; or a string, or one character. False on invalid
 * text: then at is the first byte that cannot be, and expected says why. Repeated member names are invalid. */
bool json_scan_value(struct json_scan *scan, struct json_span *out_span);
bool json_scan_string(struct json_scan *scan, struct json_span *out_span);

/* Whether bytes are one JSON value with nothing but white space around it. */
bool json_is_valid(struct fbat_slice text);

/* Walks an object: after json_scan_open, each json_scan_member gives a name and its value, until 0; -1 on invalid text.
 * Names are not compared with each other at this level. */
bool json_scan_open(struct json_scan *scan);
int json_scan_member(struct json_scan *scan, bool first, struct json_span *out_name, struct json_span *out_value);

#endif
