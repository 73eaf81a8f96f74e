/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of CloudEvents JSON as an event: see cloudevent.h for what goes where.
 *
 * Happy path: one strict scan of the line notes where each attribute lies; texts without escapes are taken where they
 * stand, so a usual line is read without copying or allocating anything. Jansson, which is twenty times slower,
 * decodes texts with escapes, and judges the rare line in which the scanner cannot rule out repeated names.
 * Failure: the first fault, with its place. The kind is resolved last, so that a bad line defines none. One thread.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cloudevent.h"
#include "json_scan.h"
#include "text.h"
#include "times.h"

#define EXTENSIONS_MAX 256
#define CONTENT_TYPE_BYTES_MAX 255
#define JSON_SUFFIX ":json"
#define JSON_SUFFIX_SIZE 5

enum attribute {
    ATTRIBUTE_SPECVERSION,
    ATTRIBUTE_SOURCE,
    ATTRIBUTE_SUBJECT,
    ATTRIBUTE_TYPE,
    ATTRIBUTE_ID,
    ATTRIBUTE_TIME,
    ATTRIBUTE_CONTENT_TYPE,
    ATTRIBUTE_CORRELATION,
    ATTRIBUTE_CAUSATION,
    ATTRIBUTE_DATA,
    ATTRIBUTE_DATA_BASE64,
    ATTRIBUTE_SEQUENCE,
    ATTRIBUTE_RECORDED_TIME,
    ATTRIBUTE_TAGS,
    ATTRIBUTE_HEADERS,
    ATTRIBUTE_CATEGORY,
    ATTRIBUTE_PAYLOAD_TYPE,
    ATTRIBUTE_MICROSECONDS,
    ATTRIBUTE_COUNT
};

static const struct {
    const char *name;
    size_t size;
} attributes[ATTRIBUTE_COUNT] = {
#define NAMED(text)                                                                                                    \
    { text, sizeof(text) - 1 }
    [ATTRIBUTE_SPECVERSION] = NAMED("specversion"),
    [ATTRIBUTE_SOURCE] = NAMED("source"),
    [ATTRIBUTE_SUBJECT] = NAMED("subject"),
    [ATTRIBUTE_TYPE] = NAMED("type"),
    [ATTRIBUTE_ID] = NAMED("id"),
    [ATTRIBUTE_TIME] = NAMED("time"),
    [ATTRIBUTE_CONTENT_TYPE] = NAMED("datacontenttype"),
    [ATTRIBUTE_CORRELATION] = NAMED("correlationid"),
    [ATTRIBUTE_CAUSATION] = NAMED("causationid"),
    [ATTRIBUTE_DATA] = NAMED("data"),
    [ATTRIBUTE_DATA_BASE64] = NAMED("data_base64"),
    [ATTRIBUTE_SEQUENCE] = NAMED("sequence"),
    [ATTRIBUTE_RECORDED_TIME] = NAMED("recordedtime"),
    [ATTRIBUTE_TAGS] = NAMED("fbattags"),
    [ATTRIBUTE_HEADERS] = NAMED("fbatheaders"),
    [ATTRIBUTE_CATEGORY] = NAMED("fbatcategory"),
    [ATTRIBUTE_PAYLOAD_TYPE] = NAMED("fbatpayloadtype"),
    [ATTRIBUTE_MICROSECONDS] = NAMED("fbattime"),
#undef NAMED
};

struct extension {
    struct fbat_slice name;
    struct json_span value;
};

/* One line being read. */
struct parse {
    const struct cloudevent_reader *reader;
    struct line_fault *fault;
    struct json_span values[ATTRIBUTE_COUNT]; /* start NULL = absent */
    struct fbat_slice texts[ATTRIBUTE_COUNT]; /* of string attributes, decoded */
    struct extension extensions[EXTENSIONS_MAX];
    size_t extension_count;
    enum data_form form;
    struct fbat_header *headers; /* room for all there can be */
    size_t header_count;
};

static bool blame(struct parse *parse, const char *at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static bool blame(struct parse *parse, const char *at, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(parse->fault->text, sizeof parse->fault->text, format, arguments);
    va_end(arguments);
    parse->fault->at = at;
    return false;
}

/* ---- The shape of the line ---- */

static bool blame_scan(struct parse *parse, const struct json_scan *scan) {
    unsigned char found = scan->at < scan->end ? (unsigned char)*scan->at : 0;
    if (scan->at == scan->end)
        return blame(parse, scan->at, "the line ends here; expected %s", scan->expected);
    if (found == '\0')
        return blame(parse, scan->at, "found a NUL byte, which JSON text cannot hold; expected %s", scan->expected);
    if (found < 0x20 || found >= 0x7F)
        return blame(parse, scan->at, "found byte 0x%02x; expected %s", found, scan->expected);
    return blame(parse, scan->at, "found '%c'; expected %s", found, scan->expected);
}

/* Bytes of a string span between its quotes, decoded when it has escapes. */
static bool decode_string(struct parse *parse, const struct json_span *span, struct fbat_slice *out_text) {
    if (!span->escapes) {
        *out_text = fbat_bytes(span->start + 1, (size_t)(span->end - span->start) - 2);
        return true;
    }
    json_error_t error;
    json_t *string =
        json_loadb(span->start, (size_t)(span->end - span->start), JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (string == NULL)
        return blame(parse, span->start, "%s", error.text);
    *out_text = scratch_copy(parse->reader->scratch, json_string_value(string), json_string_length(string));
    json_decref(string);
    return true;
}

static size_t find_attribute(struct fbat_slice name) {
    size_t which = 0;
    while (which < ATTRIBUTE_COUNT &&
           (attributes[which].size != name.size || memcmp(attributes[which].name, name.data, name.size) != 0))
        which++;
    return which;
}

static bool add_extension(struct parse *parse, struct fbat_slice name, const struct json_span *name_span,
                          const struct json_span *value) {
    if (!cloudevent_is_extension_name(name) || name.size + JSON_SUFFIX_SIZE > FBAT_HEADER_NAME_BYTES_MAX)
        return blame(parse, name_span->start, "this cannot be the name of an attribute; expected letters and digits");
    for (size_t i = 0; i < parse->extension_count; i++)
        if (parse->extensions[i].name.size == name.size &&
            memcmp(parse->extensions[i].name.data, name.data, name.size) == 0)
            return blame(parse, name_span->start, "this attribute occurs twice; expected each once");
    if (parse->extension_count == EXTENSIONS_MAX)
        return blame(parse, name_span->start, "more than %d extension attributes", EXTENSIONS_MAX);
    parse->extensions[parse->extension_count].name = name;
    parse->extensions[parse->extension_count].value = *value;
    parse->extension_count++;
    return true;
}

static bool add_member(struct parse *parse, const struct json_span *name_span, const struct json_span *value) {
    struct fbat_slice name = fbat_text("");
    if (!decode_string(parse, name_span, &name))
        return false;
    size_t which = find_attribute(name);
    if (which == ATTRIBUTE_COUNT)
        return add_extension(parse, name, name_span, value);
    if (parse->values[which].start != NULL)
        return blame(parse, name_span->start, "this attribute occurs twice; expected each once");
    parse->values[which] = *value;
    return true;
}

/* Jansson's opinion on repeated names, where the scanner has none. Numbers too large for it are valid all the same. */
static bool ask_jansson(struct parse *parse, const char *line, size_t size) {
    json_error_t error;
    json_t *value = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
    if (value == NULL && json_error_code(&error) != json_error_numeric_overflow) {
        size_t position = error.position > 0 && (size_t)error.position <= size ? (size_t)error.position - 1 : 0;
        return blame(parse, line + position, "%s", error.text);
    }
    json_decref(value);
    return true;
}

static bool find_members(struct parse *parse, const char *line, size_t size) {
    struct json_scan scan;
    struct json_span name, value;
    json_scan_init(&scan, line, size);
    json_scan_space(&scan);
    if (!json_scan_open(&scan))
        return blame_scan(parse, &scan);
    for (int more = 1, first = 1; more == 1; first = 0) {
        more = json_scan_member(&scan, first, &name, &value);
        if (more < 0)
            return blame_scan(parse, &scan);
        if (more > 0 && !add_member(parse, &name, &value))
            return false;
    }
    json_scan_space(&scan);
    scan.expected = "nothing after the object";
    if (scan.at < scan.end)
        return blame_scan(parse, &scan);
    return !scan.unsure || ask_jansson(parse, line, size);
}

/* ---- Attributes ---- */

static bool is_null(const struct json_span *value) {
    return value->start != NULL && *value->start == 'n';
}

/* A text attribute: absent and null leave it empty. */
static bool take_text(struct parse *parse, enum attribute which) {
    const struct json_span *value = &parse->values[which];
    parse->texts[which] = fbat_text(NULL);
    if (value->start == NULL || is_null(value))
        return true;
    if (*value->start != '"')
        return blame(parse, value->start, "%s is no string; expected one in quotes", attributes[which].name);
    if (!decode_string(parse, value, &parse->texts[which]))
        return false;
    return parse->texts[which].size > 0 ||
           blame(parse, value->start, "%s is empty; expected at least one character", attributes[which].name);
}

static bool require_text(struct parse *parse, enum attribute which) {
    return parse->texts[which].size > 0 ||
           blame(parse, NULL, "the attribute %s is missing; expected one in every event", attributes[which].name);
}

static bool limit_text(struct parse *parse, enum attribute which, size_t bytes_max) {
    struct fbat_slice text = parse->texts[which];
    if (text.size > bytes_max)
        return blame(parse, parse->values[which].start, "%s is %zu bytes long; expected at most %zu",
                     attributes[which].name, text.size, bytes_max);
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL)
        return blame(parse, parse->values[which].start, "%s holds a NUL character; expected text without",
                     attributes[which].name);
    return true;
}

static bool take_texts(struct parse *parse) {
    static const enum attribute texts[] = {
        ATTRIBUTE_SPECVERSION, ATTRIBUTE_SOURCE,  ATTRIBUTE_SUBJECT,      ATTRIBUTE_TYPE,
        ATTRIBUTE_ID,          ATTRIBUTE_TIME,    ATTRIBUTE_TAGS,         ATTRIBUTE_CORRELATION,
        ATTRIBUTE_CAUSATION,   ATTRIBUTE_HEADERS, ATTRIBUTE_CONTENT_TYPE, ATTRIBUTE_MICROSECONDS,
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (!take_text(parse, texts[i]))
            return false;
    return true;
}

static bool check_texts(struct parse *parse) {
    struct fbat_slice *texts = parse->texts;
    if (!require_text(parse, ATTRIBUTE_SPECVERSION))
        return false;
    if (!text_equal(texts[ATTRIBUTE_SPECVERSION], "1.0"))
        return blame(parse, parse->values[ATTRIBUTE_SPECVERSION].start, "specversion is '%.*s'; expected '1.0'",
                     texts[ATTRIBUTE_SPECVERSION].size < 40 ? (int)texts[ATTRIBUTE_SPECVERSION].size : 40,
                     (const char *)texts[ATTRIBUTE_SPECVERSION].data);
    if (texts[ATTRIBUTE_SUBJECT].size == 0)
        texts[ATTRIBUTE_SUBJECT] = parse->reader->default_subject;
    if (texts[ATTRIBUTE_SUBJECT].size == 0)
        return blame(parse, NULL,
                     "the attribute subject is missing; it names the entity: give one for such events "
                     "with --subject NAME");
    return require_text(parse, ATTRIBUTE_ID) && require_text(parse, ATTRIBUTE_SOURCE) &&
           require_text(parse, ATTRIBUTE_TYPE) && limit_text(parse, ATTRIBUTE_SOURCE, FBAT_NAME_BYTES_MAX) &&
           limit_text(parse, ATTRIBUTE_SUBJECT, FBAT_NAME_BYTES_MAX) &&
           limit_text(parse, ATTRIBUTE_TYPE, FBAT_KIND_NAME_BYTES_MAX) &&
           limit_text(parse, ATTRIBUTE_CONTENT_TYPE, CONTENT_TYPE_BYTES_MAX) &&
           limit_text(parse, ATTRIBUTE_ID, FBAT_HEADERS_BYTES_MAX / 4) &&
           limit_text(parse, ATTRIBUTE_CORRELATION, FBAT_HEADERS_BYTES_MAX / 4) &&
           limit_text(parse, ATTRIBUTE_CAUSATION, FBAT_HEADERS_BYTES_MAX / 4);
}

static void add_header(struct parse *parse, struct fbat_slice name, struct fbat_slice value) {
    parse->headers[parse->header_count].name = name;
    parse->headers[parse->header_count].value = value;
    parse->header_count++;
}

static void keep_text(struct parse *parse, enum kept_attribute kept, struct fbat_slice text) {
    add_header(parse, fbat_text(kept_names[kept]), text);
}

/* A whole number from minimum to maximum, or *out_value as it was when the attribute is absent. */
static bool take_number(struct parse *parse, enum attribute which, unsigned maximum, unsigned *out_value) {
    const struct json_span *span = &parse->values[which];
    char digits[8];
    uint64_t value;
    if (span->start == NULL || is_null(span))
        return true;
    size_t size = (size_t)(span->end - span->start);
    if (size < sizeof digits) {
        memcpy(digits, span->start, size);
        digits[size] = '\0';
        if (number_parse(digits, &value) && value <= maximum) {
            *out_value = (unsigned)value;
            return true;
        }
    }
    return blame(parse, span->start, "%s is out of range; expected a number from 0 to %u", attributes[which].name,
                 maximum);
}

static bool take_microseconds(struct parse *parse, struct fbat_new_event *event) {
    struct fbat_slice text = parse->texts[ATTRIBUTE_MICROSECONDS];
    char digits[NUMBER_TEXT_SIZE], *end;
    if (text.size == 0)
        return true;
    snprintf(digits, sizeof digits, "%.*s", (int)(text.size < sizeof digits ? text.size : 0), (const char *)text.data);
    event->event_time_us = strtoll(digits, &end, 10);
    event->has_event_time = 1;
    return (end > digits && *end == '\0') ||
           blame(parse, parse->values[ATTRIBUTE_MICROSECONDS].start, "fbattime is no number of microseconds");
}

static bool take_time(struct parse *parse, struct fbat_new_event *event) {
    struct fbat_slice text = parse->texts[ATTRIBUTE_TIME];
    char canonical[TIME_TEXT_SIZE];
    if (text.size == 0)
        return take_microseconds(parse, event);
    if (!time_parse(text.data, text.size, &event->event_time_us))
        return blame(parse, parse->values[ATTRIBUTE_TIME].start,
                     "time is no RFC 3339 time; expected one like 2009-03-22T09:30:00Z");
    event->has_event_time = 1;
    size_t size = time_format(event->event_time_us, canonical);
    if (size != text.size || memcmp(canonical, text.data, size) != 0)
        keep_text(parse, KEPT_TIME, text);
    return true;
}

/* The id that a text attribute stands for; none when it is absent. */
static bool take_id(struct parse *parse, struct fbat_slice scope, enum attribute which, struct fbat_id *out_id) {
    if (parse->texts[which].size == 0 || cloudevent_id(scope, parse->texts[which], out_id) == FBAT_OK)
        return true;
    return blame(parse, parse->values[which].start, "no id can be made of this: out of memory");
}

/* Keeps the text of an id where writing the event would give another one. */
static void keep_id(struct parse *parse, enum attribute which, enum kept_attribute kept, const struct fbat_id *id,
                    struct fbat_slice usual) {
    if (parse->texts[which].size > 0 && cloudevent_keeps_id(parse->texts[which], id, usual))
        keep_text(parse, kept, parse->texts[which]);
}

static bool take_ids(struct parse *parse, struct fbat_new_event *event) {
    if (!take_id(parse, event->scope, ATTRIBUTE_ID, &event->id) ||
        !take_id(parse, event->scope, ATTRIBUTE_CORRELATION, &event->correlation) ||
        !take_id(parse, event->scope, ATTRIBUTE_CAUSATION, &event->causation))
        return false;
    bool own_story = memcmp(&event->correlation, &event->id, sizeof event->id) == 0;
    struct fbat_slice none = fbat_text(NULL);
    keep_id(parse, ATTRIBUTE_ID, KEPT_ID, &event->id, none);
    keep_id(parse, ATTRIBUTE_CORRELATION, KEPT_CORRELATION, &event->correlation,
            own_story ? parse->texts[ATTRIBUTE_ID] : none);
    keep_id(parse, ATTRIBUTE_CAUSATION, KEPT_CAUSATION, &event->causation, none);
    return true;
}

/* ---- Payload ---- */

static bool find_form(struct parse *parse) {
    const struct json_span *data = &parse->values[ATTRIBUTE_DATA], *base64 = &parse->values[ATTRIBUTE_DATA_BASE64];
    bool has_base64 = base64->start != NULL && !is_null(base64);
    if (data->start != NULL && has_base64)
        return blame(parse, base64->start, "an event has data or data_base64; expected only one of them");
    parse->form = has_base64 ? DATA_BASE64 : DATA_NONE;
    if (data->start != NULL)
        parse->form = *data->start == '"' ? DATA_JSON_STRING : DATA_JSON;
    return true;
}

static bool take_base64(struct parse *parse, struct fbat_slice *out_payload) {
    const struct json_span *value = &parse->values[ATTRIBUTE_DATA_BASE64];
    struct fbat_slice text = fbat_text("");
    size_t size;
    if (*value->start != '"')
        return blame(parse, value->start, "data_base64 is no string; expected one in quotes");
    if (!decode_string(parse, value, &text))
        return false;
    uint8_t *bytes = scratch_allocate(parse->reader->scratch, text.size / 4 * 3 + 3);
    if (!base64_decode(text.data, text.size, bytes, &size))
        return blame(parse, value->start, "data_base64 is not base64");
    *out_payload = fbat_bytes(bytes, size);
    return true;
}

static bool take_payload(struct parse *parse, struct fbat_new_event *event) {
    struct fbat_slice content_type = parse->texts[ATTRIBUTE_CONTENT_TYPE];
    unsigned type = cloudevent_payload_type(content_type, parse->form);
    const struct json_span *data = &parse->values[ATTRIBUTE_DATA];
    if (!take_number(parse, ATTRIBUTE_PAYLOAD_TYPE, UINT8_MAX, &type))
        return false;
    event->payload_type = (uint8_t)type;
    if (parse->form == DATA_BASE64)
        return take_base64(parse, &event->payload);
    if (parse->form == DATA_JSON_STRING && type == FBAT_PAYLOAD_TEXT)
        return decode_string(parse, data, &event->payload);
    if (parse->form != DATA_NONE)
        event->payload = fbat_bytes(data->start, (size_t)(data->end - data->start));
    return true;
}

static void keep_content_type(struct parse *parse, const struct fbat_new_event *event) {
    struct fbat_slice content_type = parse->texts[ATTRIBUTE_CONTENT_TYPE];
    if (content_type.size > 0 &&
        !text_equal(content_type, cloudevent_content_type(event->payload_type, event->payload.size)))
        keep_text(parse, KEPT_CONTENT_TYPE, content_type);
}

/* ---- Headers and tags ---- */

/* The JSON text inside fbattags or fbatheaders as an array; NULL with the fault, or when absent. */
static json_t *load_nested(struct parse *parse, enum attribute which) {
    struct fbat_slice text = parse->texts[which];
    json_error_t error;
    if (text.size == 0)
        return NULL;
    json_t *array = json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (array == NULL || !json_is_array(array)) {
        blame(parse, parse->values[which].start, "%s is no JSON array: %s", attributes[which].name,
              array == NULL ? error.text : "it is another value");
        json_decref(array);
        return NULL;
    }
    return array;
}

static bool take_tags(struct parse *parse, struct fbat_new_event *event) {
    json_t *array = load_nested(parse, ATTRIBUTE_TAGS), *tag;
    size_t index;
    if (array == NULL)
        return parse->texts[ATTRIBUTE_TAGS].size == 0;
    struct fbat_slice *tags = scratch_allocate(parse->reader->scratch, json_array_size(array) * sizeof *tags);
    bool valid = true;
    json_array_foreach(array, index, tag) {
        valid = valid && json_is_string(tag);
        tags[index] = scratch_copy(parse->reader->scratch, json_string_value(tag), json_string_length(tag));
    }
    event->tags = tags;
    event->tag_count = json_array_size(array);
    json_decref(array);
    return valid || blame(parse, parse->values[ATTRIBUTE_TAGS].start, "fbattags holds a value that is no string");
}

/* "text" or {"base64":"..."}. */
static bool take_nested_value(struct parse *parse, const json_t *value, struct fbat_slice *out_value) {
    struct scratch *scratch = parse->reader->scratch;
    if (json_is_string(value)) {
        *out_value = scratch_copy(scratch, json_string_value(value), json_string_length(value));
        return true;
    }
    const json_t *base64 = json_object_get(value, "base64");
    size_t size = json_string_length(base64);
    if (!json_is_string(base64))
        return false;
    uint8_t *bytes = scratch_allocate(scratch, size / 4 * 3 + 3);
    if (!base64_decode(json_string_value(base64), size, bytes, &size))
        return false;
    *out_value = fbat_bytes(bytes, size);
    return true;
}

/* Makes room for every header there can be, and takes those of fbatheaders. The ids, time and content type are kept
 * before them, extensions come after. */
static bool add_nested_headers(struct parse *parse, const json_t *array) {
    json_t *pair;
    size_t index;
    json_array_foreach(array, index, pair) {
        const json_t *name = json_array_get(pair, 0);
        struct fbat_slice value;
        if (!json_is_string(name) || json_array_size(pair) != 2 ||
            !take_nested_value(parse, json_array_get(pair, 1), &value))
            return blame(parse, parse->values[ATTRIBUTE_HEADERS].start,
                         "fbatheaders holds a value that is no pair of name and value");
        add_header(parse, scratch_copy(parse->reader->scratch, json_string_value(name), json_string_length(name)),
                   value);
    }
    return true;
}

/* A value that is no string goes into NAME:json as it stands. */
static void add_typed_extension(struct parse *parse, const struct extension *extension) {
    char *name = scratch_allocate(parse->reader->scratch, extension->name.size + JSON_SUFFIX_SIZE);
    memcpy(name, extension->name.data, extension->name.size);
    memcpy(name + extension->name.size, JSON_SUFFIX, JSON_SUFFIX_SIZE);
    add_header(parse, fbat_bytes(name, extension->name.size + JSON_SUFFIX_SIZE),
               fbat_bytes(extension->value.start, (size_t)(extension->value.end - extension->value.start)));
}

static bool take_extensions(struct parse *parse) {
    for (size_t i = 0; i < parse->extension_count; i++) {
        struct extension *extension = &parse->extensions[i];
        struct fbat_slice text;
        if (is_null(&extension->value))
            continue;
        if (*extension->value.start != '"') {
            add_typed_extension(parse, extension);
            continue;
        }
        if (!decode_string(parse, &extension->value, &text))
            return false;
        add_header(parse, extension->name, text);
    }
    return true;
}

/* Everything that can become a header, in the order of cloudevent.h. */
static bool take_headers(struct parse *parse, struct fbat_new_event *event) {
    json_t *nested = load_nested(parse, ATTRIBUTE_HEADERS);
    if (nested == NULL && parse->texts[ATTRIBUTE_HEADERS].size > 0)
        return false;
    size_t room = KEPT_COUNT + json_array_size(nested) + parse->extension_count;
    parse->headers = scratch_allocate(parse->reader->scratch, room * sizeof *parse->headers);
    keep_content_type(parse, event);
    bool taken = take_time(parse, event) && take_ids(parse, event) && add_nested_headers(parse, nested) &&
                 take_extensions(parse);
    json_decref(nested);
    event->headers = parse->headers;
    event->header_count = parse->header_count;
    return taken;
}

/* ---- The kind ---- */

static bool take_kind(struct parse *parse, struct fbat_new_event *event) {
    const struct cloudevent_reader *reader = parse->reader;
    struct fbat_error error;
    unsigned category = reader->default_category;
    if (!take_number(parse, ATTRIBUTE_CATEGORY, 15, &category))
        return false;
    if (cloudevent_kind_number(parse->texts[ATTRIBUTE_TYPE], &event->kind))
        return true;
    if (reader->resolve(reader->user, parse->texts[ATTRIBUTE_TYPE], category, &event->kind, &error) == FBAT_OK)
        return true;
    return blame(parse, parse->values[ATTRIBUTE_TYPE].start, "%s", error.message);
}

bool cloudevent_read(const struct cloudevent_reader *reader, const char *line, size_t size,
                     struct fbat_new_event *out_event, struct line_fault *out_fault) {
    struct parse parse;
    parse.reader = reader;
    parse.fault = out_fault;
    parse.extension_count = 0;
    parse.header_count = 0;
    memset(parse.values, 0, sizeof parse.values);
    memset(out_event, 0, sizeof *out_event);
    out_event->struct_size = sizeof *out_event;
    if (!find_members(&parse, line, size) || !take_texts(&parse) || !check_texts(&parse) || !find_form(&parse))
        return false;
    out_event->scope = parse.texts[ATTRIBUTE_SOURCE];
    out_event->entity = parse.texts[ATTRIBUTE_SUBJECT];
    return take_payload(&parse, out_event) && take_headers(&parse, out_event) && take_tags(&parse, out_event) &&
           take_kind(&parse, out_event);
}
