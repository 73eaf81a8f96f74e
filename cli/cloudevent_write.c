/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One event as a line of CloudEvents JSON: see cloudevent.h for what goes where.
 *
 * Happy path: look at the headers once to see whether reading the line would make them again; then write attribute by
 * attribute. There is no failure but the output's. Any thread, one at a time on an output.
 *
 * I1: reading the line again gives an event with the same id, stream, kind name, payload type, payload (byte for byte
 *     with CLOUDEVENT_EXACT), headers, tags, event time, correlation and causation.
 */
#include "cloudevent.h"

#include <stdio.h>
#include <string.h>

#include "json_scan.h"
#include "json_write.h"
#include "text.h"
#include "times.h"

#define ATTRIBUTE_HEADERS_MAX 64 /* more headers than this go into fbatheaders */
#define JSON_SUFFIX ":json"
#define JSON_SUFFIX_SIZE 5

/* How an event's headers are written. */
struct header_plan {
    bool attributes;                    /* extensions as attributes; otherwise in fbatheaders */
    bool any;                           /* there are headers */
    size_t extensions_start;            /* index of the first header that is no kept text */
    struct fbat_slice kept[KEPT_COUNT]; /* data NULL = not kept */
};

static bool is_json_header(struct fbat_slice name) {
    const char *text = name.data;
    return name.size > JSON_SUFFIX_SIZE && memcmp(text + name.size - JSON_SUFFIX_SIZE, JSON_SUFFIX, 5) == 0;
}

static bool has_line_break(struct fbat_slice text) {
    return text.size > 0 && (memchr(text.data, '\n', text.size) != NULL || memchr(text.data, '\r', text.size) != NULL);
}

/* One JSON value, nothing around it, on one line: a reader gives back the same bytes. */
static bool is_exact_json(struct fbat_slice text) {
    struct json_scan scan;
    struct json_span value;
    json_scan_init(&scan, text.data, text.size);
    return json_scan_value(&scan, &value) && scan.at == scan.end && !has_line_break(text);
}

static bool is_extension_header(const struct fbat_header *header) {
    struct fbat_slice name = header->name, value = header->value;
    if (!is_json_header(name))
        return cloudevent_is_extension_name(name) && text_is_utf8(value);
    name.size -= JSON_SUFFIX_SIZE;
    char first = value.size > 0 ? *(const char *)value.data : '"';
    return cloudevent_is_extension_name(name) && first != '"' && first != 'n' && is_exact_json(value);
}

/* Whether text stands for id and is not what is written for it anyway. */
static bool is_kept_id(const struct fbat_event *event, struct fbat_slice text, const struct fbat_id *id,
                       struct fbat_slice usual) {
    struct fbat_id meant;
    return !fbat_id_is_none(id) && text.size > 0 && text_is_utf8(text) &&
           cloudevent_id(event->scope, text, &meant) == FBAT_OK && memcmp(&meant, id, sizeof meant) == 0 &&
           cloudevent_keeps_id(text, id, usual);
}

/* What is written for the correlation when no text of its own is kept: an event's own story as its id. */
static struct fbat_slice usual_correlation(const struct fbat_event *event, const struct header_plan *plan) {
    bool own_story = memcmp(&event->correlation, &event->id, sizeof event->id) == 0;
    return own_story ? plan->kept[KEPT_ID] : fbat_text(NULL);
}

static bool is_kept_time(const struct fbat_event *event, struct fbat_slice text) {
    char canonical[TIME_TEXT_SIZE];
    int64_t us;
    if (!time_parse(text.data, text.size, &us) || us != event->event_time_us)
        return false;
    time_format(us, canonical);
    return !text_equal(text, canonical);
}

/* Whether reading would keep this text for this attribute. */
static bool is_kept_text(const struct fbat_event *event, const struct header_plan *plan, size_t which,
                         struct fbat_slice text) {
    switch (which) {
    case KEPT_CONTENT_TYPE:
        return text.size > 0 && text_is_utf8(text) &&
               !text_equal(text, cloudevent_content_type(event->payload_type, event->payload.size));
    case KEPT_TIME: return is_kept_time(event, text);
    case KEPT_ID: return is_kept_id(event, text, &event->id, fbat_text(NULL));
    case KEPT_CORRELATION: return is_kept_id(event, text, &event->correlation, usual_correlation(event, plan));
    default: return is_kept_id(event, text, &event->causation, fbat_text(NULL));
    }
}

static size_t find_kept_name(struct fbat_slice name) {
    size_t which = 0;
    while (which < KEPT_COUNT && !text_equal(name, kept_names[which]))
        which++;
    return which;
}

/* The name as an attribute, without the suffix of typed ones. */
static struct fbat_slice attribute_name(struct fbat_slice name) {
    if (is_json_header(name))
        name.size -= JSON_SUFFIX_SIZE;
    return name;
}

static bool occurs_before(const struct fbat_event *event, size_t start, size_t index, struct fbat_slice name) {
    struct fbat_header earlier;
    struct fbat_slice wanted = attribute_name(name);
    for (size_t i = start; i < index && fbat_event_header(event, i, &earlier) == FBAT_OK; i++) {
        struct fbat_slice other = attribute_name(earlier.name);
        if (other.size == wanted.size && memcmp(other.data, wanted.data, wanted.size) == 0)
            return true;
    }
    return false;
}

/* Takes the next header into the plan as an attribute; false when it cannot be one. */
static bool plan_header(const struct fbat_event *event, struct header_plan *plan, size_t index, size_t *next_kept,
                        const struct fbat_header *header) {
    size_t which = find_kept_name(header->name);
    if (which == KEPT_COUNT) {
        *next_kept = KEPT_COUNT;
        return is_extension_header(header) && !occurs_before(event, plan->extensions_start, index, header->name);
    }
    if (which < *next_kept || !is_kept_text(event, plan, which, header->value))
        return false;
    plan->kept[which] = header->value;
    plan->extensions_start = index + 1;
    *next_kept = which + 1;
    return true;
}

static void plan_headers(const struct fbat_event *event, struct header_plan *plan) {
    struct fbat_header header;
    size_t next_kept = 0;
    memset(plan, 0, sizeof *plan);
    plan->attributes = true;
    for (size_t i = 0; plan->attributes && fbat_event_header(event, i, &header) == FBAT_OK; i++) {
        plan->any = true;
        plan->attributes = i < ATTRIBUTE_HEADERS_MAX && plan_header(event, plan, i, &next_kept, &header);
    }
}

static void write_id(struct json_writer *json, const char *name, struct fbat_slice kept, const struct fbat_id *id) {
    if (kept.data != NULL)
        json_member_slice(json, name, kept);
    else
        json_member_id(json, name, id);
}

static void write_ids(struct json_writer *json, const struct fbat_event *event, const struct header_plan *plan) {
    struct fbat_slice correlation = plan->kept[KEPT_CORRELATION];
    if (correlation.data == NULL)
        correlation = usual_correlation(event, plan);
    write_id(json, "correlationid", correlation, &event->correlation);
    if (!fbat_id_is_none(&event->causation))
        write_id(json, "causationid", plan->kept[KEPT_CAUSATION], &event->causation);
}

static void write_time(struct json_writer *json, const struct fbat_event *event, const struct header_plan *plan) {
    if (plan->kept[KEPT_TIME].data != NULL) {
        json_member_slice(json, "time", plan->kept[KEPT_TIME]);
    } else if (event->event_time_us >= TIME_US_MIN && event->event_time_us <= TIME_US_MAX) {
        json_member_time(json, "time", event->event_time_us);
    } else {
        char text[NUMBER_TEXT_SIZE];
        snprintf(text, sizeof text, "%lld", (long long)event->event_time_us);
        json_member_text(json, "fbattime", text);
    }
}

static void write_kind(struct json_writer *json, const struct fbat_event *event, struct fbat_slice kind_name) {
    if (kind_name.size > 0) {
        json_member_slice(json, "type", kind_name);
        return;
    }
    json_name(json, "type");
    out_printf(json->out, "\"kind.0x%04x\"", event->kind);
}

static enum data_form choose_form(const struct fbat_event *event, unsigned flags) {
    bool text = event->payload_type == FBAT_PAYLOAD_TEXT;
    if (event->payload.size == 0)
        return text ? DATA_JSON_STRING : DATA_NONE;
    if (text && text_is_utf8(event->payload))
        return DATA_JSON_STRING;
    if (event->payload_type != FBAT_PAYLOAD_JSON)
        return DATA_BASE64;
    bool fits = (flags & CLOUDEVENT_EXACT) != 0 ? is_exact_json(event->payload) : json_is_valid(event->payload);
    if (!fits)
        return DATA_BASE64;
    return *(const char *)event->payload.data == '"' ? DATA_JSON_STRING : DATA_JSON;
}

/* JSON with its line breaks, which stand between tokens only, turned into spaces. */
static void write_json_on_one_line(struct out *out, struct fbat_slice text) {
    if (!has_line_break(text)) {
        out_slice(out, text);
        return;
    }
    const char *at = text.data;
    for (size_t i = 0; i < text.size; i++)
        out_char(out, at[i] == '\n' || at[i] == '\r' ? ' ' : at[i]);
}

static void write_data(struct json_writer *json, const struct fbat_event *event, enum data_form form) {
    if (form == DATA_NONE)
        return;
    json_name(json, form == DATA_BASE64 ? "data_base64" : "data");
    if (form == DATA_BASE64) {
        out_char(json->out, '"');
        base64_print(json->out, event->payload);
        out_char(json->out, '"');
    } else if (event->payload_type == FBAT_PAYLOAD_TEXT) {
        json_print_string(json->out, event->payload);
    } else {
        write_json_on_one_line(json->out, event->payload);
    }
}

/* Text as a JSON string inside a JSON string: a quote is \" and a backslash \\ on both levels. */
static void write_nested_string(struct out *out, struct fbat_slice text) {
    const uint8_t *at = text.data, *end = at + text.size;
    out_text(out, "\\\"");
    while (at < end) {
        const uint8_t *start = at;
        while (at < end && *at >= 0x20 && *at != '"' && *at != '\\')
            at++;
        out_bytes(out, start, (size_t)(at - start));
        if (at == end)
            break;
        if (*at == '"' || *at == '\\')
            out_printf(out, "\\\\\\%c", *at);
        else
            out_printf(out, "\\\\u%04x", *at);
        at++;
    }
    out_text(out, "\\\"");
}

static void write_nested_value(struct out *out, struct fbat_slice value) {
    if (text_is_utf8(value)) {
        write_nested_string(out, value);
        return;
    }
    out_text(out, "{\\\"base64\\\":\\\"");
    base64_print(out, value);
    out_text(out, "\\\"}");
}

static void write_tags(struct json_writer *json, const struct fbat_event *event) {
    struct fbat_slice tag;
    if (fbat_event_tag(event, 0, &tag) != FBAT_OK)
        return;
    json_name(json, "fbattags");
    out_text(json->out, "\"[");
    for (size_t i = 0; fbat_event_tag(event, i, &tag) == FBAT_OK; i++) {
        if (i > 0)
            out_char(json->out, ',');
        write_nested_string(json->out, tag);
    }
    out_text(json->out, "]\"");
}

static void write_nested_headers(struct json_writer *json, const struct fbat_event *event, size_t start) {
    struct fbat_header header;
    json_name(json, "fbatheaders");
    out_text(json->out, "\"[");
    for (size_t i = start; fbat_event_header(event, i, &header) == FBAT_OK; i++) {
        out_text(json->out, i > start ? ",[" : "[");
        write_nested_string(json->out, header.name);
        out_char(json->out, ',');
        write_nested_value(json->out, header.value);
        out_char(json->out, ']');
    }
    out_text(json->out, "]\"");
}

static void write_extensions(struct json_writer *json, const struct fbat_event *event, size_t start) {
    struct fbat_header header;
    for (size_t i = start; fbat_event_header(event, i, &header) == FBAT_OK; i++) {
        json_comma(json);
        json_print_string(json->out, attribute_name(header.name));
        out_char(json->out, ':');
        if (is_json_header(header.name))
            out_slice(json->out, header.value);
        else
            json_print_string(json->out, header.value);
    }
}

static void write_headers(struct json_writer *json, const struct fbat_event *event, const struct header_plan *plan) {
    if (!plan->any)
        return;
    if (plan->attributes)
        write_extensions(json, event, plan->extensions_start);
    else
        write_nested_headers(json, event, plan->extensions_start);
}

static void write_content_type(struct json_writer *json, const struct fbat_event *event, const struct header_plan *plan,
                               enum data_form form) {
    struct fbat_slice content_type = plan->kept[KEPT_CONTENT_TYPE];
    if (content_type.data == NULL)
        content_type = fbat_text(cloudevent_content_type(event->payload_type, event->payload.size));
    if (content_type.size > 0)
        json_member_slice(json, "datacontenttype", content_type);
    if (cloudevent_payload_type(content_type, form) != event->payload_type)
        json_member_u64(json, "fbatpayloadtype", event->payload_type);
}

void cloudevent_write(struct out *out, const struct fbat_event *event, struct fbat_slice kind_name, unsigned flags) {
    struct json_writer json;
    struct header_plan plan;
    enum data_form form = choose_form(event, flags);
    plan_headers(event, &plan);
    json_open(&json, out, '{');
    json_member_text(&json, "specversion", "1.0");
    json_member_slice(&json, "source", event->scope);
    write_time(&json, event, &plan);
    write_content_type(&json, event, &plan, form);
    write_id(&json, "id", plan.kept[KEPT_ID], &event->id);
    write_kind(&json, event, kind_name);
    json_member_slice(&json, "subject", event->entity);
    write_ids(&json, event, &plan);
    if ((flags & CLOUDEVENT_PLAIN) == 0) {
        json_member_u64(&json, "sequence", event->sequence);
        json_member_time(&json, "recordedtime", event->recorded_us);
    }
    if (kind_name.size > 0 && FBAT_KIND_CATEGORY(event->kind) != 1)
        json_member_u64(&json, "fbatcategory", FBAT_KIND_CATEGORY(event->kind));
    write_tags(&json, event);
    write_headers(&json, event, &plan);
    write_data(&json, event, form);
    out_text(out, "}\n");
}
