/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON writing: see json_write.h. Values go straight into the output buffer; the writer only remembers whether a
 * comma is due. Failures are the output's to remember. One thread at a time.
 */
#include "json_write.h"

#include <stdio.h>
#include <string.h>

#include "text.h"
#include "times.h"

/* The length of the run at at that needs no escape: printable ASCII but quote and backslash, and valid UTF-8. */
static size_t run_without_escape(const uint8_t *at, const uint8_t *end) {
    const uint8_t *start = at;
    while (at < end) {
        size_t size = *at < 0x80 ? 1 : text_sequence(at, end);
        if (size == 0 || *at < 0x20 || *at == '"' || *at == '\\')
            break;
        at += size;
    }
    return (size_t)(at - start);
}

static void print_escape(struct out *out, uint8_t byte) {
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    if (byte >= 0x80) {
        out_text(out, "\xEF\xBF\xBD");
        return;
    }
    for (const char *pair = letters; *pair != '\0'; pair += 2) {
        if ((uint8_t)*pair == byte) {
            out_char(out, '\\');
            out_char(out, pair[1]);
            return;
        }
    }
    out_printf(out, "\\u%04x", byte);
}

void json_print_inside(struct out *out, struct fbat_slice text) {
    const uint8_t *at = text.data, *end = at + text.size;
    while (at < end) {
        size_t run = run_without_escape(at, end);
        out_bytes(out, at, run);
        at += run;
        if (at < end)
            print_escape(out, *at++);
    }
}

void json_print_string(struct out *out, struct fbat_slice text) {
    out_char(out, '"');
    json_print_inside(out, text);
    out_char(out, '"');
}

void json_open(struct json_writer *json, struct out *out, char bracket) {
    json->out = out;
    json->started = false;
    out_char(out, bracket);
}

void json_close(struct json_writer *json, char bracket) {
    out_char(json->out, bracket);
}

void json_comma(struct json_writer *json) {
    if (json->started)
        out_char(json->out, ',');
    json->started = true;
}

void json_name(struct json_writer *json, const char *name) {
    json_comma(json);
    out_char(json->out, '"');
    out_text(json->out, name);
    out_text(json->out, "\":");
}

void json_member_slice(struct json_writer *json, const char *name, struct fbat_slice text) {
    json_name(json, name);
    json_print_string(json->out, text);
}

void json_member_text(struct json_writer *json, const char *name, const char *text) {
    json_member_slice(json, name, fbat_text(text));
}

void json_member_u64(struct json_writer *json, const char *name, uint64_t value) {
    json_name(json, name);
    out_u64(json->out, value);
}

void json_member_bool(struct json_writer *json, const char *name, bool value) {
    json_name(json, name);
    out_text(json->out, value ? "true" : "false");
}

void json_member_time(struct json_writer *json, const char *name, int64_t us) {
    char text[TIME_TEXT_SIZE];
    time_format(us, text);
    json_member_text(json, name, text);
}

void json_member_id(struct json_writer *json, const char *name, const struct fbat_id *id) {
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(id, text);
    json_member_text(json, name, text);
}

void json_member_hex(struct json_writer *json, const char *name, const uint8_t *bytes, size_t size) {
    json_name(json, name);
    out_char(json->out, '"');
    out_hex(json->out, bytes, size);
    out_char(json->out, '"');
}

void json_member_open(struct json_writer *json, const char *name, struct json_writer *inner, char bracket) {
    json_name(json, name);
    json_open(inner, json->out, bracket);
}
