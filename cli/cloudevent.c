/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What reading and writing CloudEvents have in common: see cloudevent.h. Pure but for the heap; any thread.
 */
#include "cloudevent.h"

#include <stdlib.h>
#include <string.h>

#include "text.h"

const char *const kept_names[KEPT_COUNT] = {
    [KEPT_CONTENT_TYPE] = "datacontenttype",
    [KEPT_TIME] = "time",
    [KEPT_ID] = "id",
    [KEPT_CORRELATION] = "correlationid",
    [KEPT_CAUSATION] = "causationid",
};

static const char *const usual_content_types[] = {
    [FBAT_PAYLOAD_BYTES] = "application/octet-stream", [FBAT_PAYLOAD_JSON] = "application/json",
    [FBAT_PAYLOAD_MSGPACK] = "application/msgpack",    [FBAT_PAYLOAD_TEXT] = "text/plain",
    [FBAT_PAYLOAD_CBOR] = "application/cbor",          [FBAT_PAYLOAD_PROTOBUF] = "application/protobuf",
};

static int derive_id(struct fbat_slice scope, struct fbat_slice text, struct fbat_id *out_id) {
    char *name = heap_allocate(scope.size + 1 + text.size);
    memcpy(name, scope.data, scope.size);
    name[scope.size] = '\0';
    memcpy(name + scope.size + 1, text.data, text.size);
    int status = fbat_id_derive(fbat_bytes(name, scope.size + 1 + text.size), out_id);
    free(name);
    return status;
}

int cloudevent_id(struct fbat_slice scope, struct fbat_slice text, struct fbat_id *out_id) {
    struct fbat_id id;
    if (fbat_id_parse(text.data, text.size, &id) != FBAT_OK || fbat_id_is_none(&id))
        return derive_id(scope, text, out_id);
    *out_id = id;
    return FBAT_OK;
}

bool cloudevent_keeps_id(struct fbat_slice text, const struct fbat_id *id, struct fbat_slice usual) {
    char canonical[FBAT_ID_TEXT_SIZE];
    if (usual.size == 0) {
        fbat_id_format(id, canonical);
        usual = fbat_bytes(canonical, sizeof canonical - 1);
    }
    return text.size != usual.size || memcmp(text.data, usual.data, usual.size) != 0;
}

const char *cloudevent_content_type(unsigned payload_type, size_t payload_size) {
    if (payload_type == FBAT_PAYLOAD_BYTES && payload_size == 0)
        return "";
    if (payload_type < sizeof usual_content_types / sizeof usual_content_types[0])
        return usual_content_types[payload_type];
    return usual_content_types[FBAT_PAYLOAD_BYTES];
}

static bool starts_with(struct fbat_slice text, const char *start) {
    size_t size = strlen(start);
    return text.size >= size && strncasecmp(text.data, start, size) == 0;
}

/* The media type without its parameters: "text/plain; charset=utf-8" is "text/plain". */
static struct fbat_slice cut_parameters(struct fbat_slice content_type) {
    const char *text = content_type.data;
    size_t size = 0;
    while (size < content_type.size && text[size] != ';' && text[size] != ' ')
        size++;
    return fbat_bytes(text, size);
}

static bool is_media_type(struct fbat_slice media_type, const char *name) {
    return media_type.size == strlen(name) && starts_with(media_type, name);
}

static unsigned type_of_bytes(struct fbat_slice content_type) {
    static const struct {
        const char *name;
        enum fbat_payload_type type;
    } names[] = {
        {"application/json", FBAT_PAYLOAD_JSON},
        {"text/json", FBAT_PAYLOAD_JSON},
        {"application/msgpack", FBAT_PAYLOAD_MSGPACK},
        {"application/x-msgpack", FBAT_PAYLOAD_MSGPACK},
        {"application/vnd.msgpack", FBAT_PAYLOAD_MSGPACK},
        {"application/cbor", FBAT_PAYLOAD_CBOR},
        {"application/protobuf", FBAT_PAYLOAD_PROTOBUF},
        {"application/x-protobuf", FBAT_PAYLOAD_PROTOBUF},
        {"application/vnd.google.protobuf", FBAT_PAYLOAD_PROTOBUF},
    };
    struct fbat_slice media_type = cut_parameters(content_type);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (is_media_type(media_type, names[i].name))
            return names[i].type;
    if (media_type.size > 5 && memcmp((const char *)media_type.data + media_type.size - 5, "+json", 5) == 0)
        return FBAT_PAYLOAD_JSON;
    return starts_with(media_type, "text/") ? FBAT_PAYLOAD_TEXT : FBAT_PAYLOAD_BYTES;
}

unsigned cloudevent_payload_type(struct fbat_slice content_type, enum data_form form) {
    if (form == DATA_JSON)
        return FBAT_PAYLOAD_JSON;
    if (form == DATA_JSON_STRING)
        return type_of_bytes(content_type) == FBAT_PAYLOAD_TEXT ? FBAT_PAYLOAD_TEXT : FBAT_PAYLOAD_JSON;
    return content_type.size == 0 ? FBAT_PAYLOAD_BYTES : type_of_bytes(content_type);
}

static bool is_reserved_name(struct fbat_slice name) {
    static const char *const reserved[] = {
        "specversion",  "source",          "type",        "subject",  "data",
        "sequence",     "recordedtime",    "data_base64", "fbattags", "fbatheaders",
        "fbatcategory", "fbatpayloadtype", "fbattime",
    };
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++)
        if (text_equal(name, reserved[i]))
            return true;
    return false;
}

static bool is_name_character(char character) {
    bool letter = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
    return letter || (character >= '0' && character <= '9') || character == '_' || character == '-' || character == '.';
}

bool cloudevent_is_extension_name(struct fbat_slice name) {
    const char *text = name.data;
    for (size_t i = 0; i < name.size; i++)
        if (!is_name_character(text[i]))
            return false;
    for (size_t i = 0; i < KEPT_COUNT; i++)
        if (text_equal(name, kept_names[i]))
            return false;
    return name.size > 0 && !is_reserved_name(name);
}

bool cloudevent_kind_number(struct fbat_slice type, uint16_t *out_kind) {
    const char *text = type.data;
    uint16_t kind = 0;
    if (type.size != 11 || memcmp(text, "kind.0x", 7) != 0)
        return false;
    for (size_t i = 7; i < 11; i++) {
        char digit = text[i];
        if (digit >= '0' && digit <= '9')
            kind = (uint16_t)(kind << 4 | (digit - '0'));
        else if (digit >= 'a' && digit <= 'f')
            kind = (uint16_t)(kind << 4 | (digit - 'a' + 10));
        else
            return false;
    }
    *out_kind = kind;
    return true;
}
