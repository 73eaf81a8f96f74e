/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events as CloudEvents 1.0 in JSON, one object a line: what import reads and export writes.
 *
 *     attribute            of the event                         kept in a header when
 *     source               scope
 *     subject              entity
 *     type                 kind, by name, or kind.0x1001
 *     id                   id                                   it is no UUID in canonical form: the id is then derived
 *     time                 event time                           its text is not the canonical one of its moment
 *     correlationid        correlation                          as id
 *     causationid          causation                            as id
 *     datacontenttype      payload type                         it is not the type's usual one
 *     data, data_base64    payload
 *     sequence, recordedtime                                    (written, and left out on reading)
 *     anything else        header of that name; NAME:json with the JSON text, if the value is no string
 *
 * Kept texts come first among the headers, in the order of enum kept_attribute. An event whose other headers reading
 * would not make again (another order, names that are no attribute's, values that are no text) has those in the
 * extension `fbatheaders`, a string of JSON: [["name","value"],["name",{"base64":"AA=="}]]. Tags are in `fbattags`:
 * ["a","b"].
 * `fbatcategory`: the kind's category, when its name is not of category 1. `fbatpayloadtype`: enum
 * fbat_payload_type, where datacontenttype says otherwise. `fbattime`: microseconds, where RFC 3339 cannot say it.
 */
#ifndef FBAT_CLI_CLOUDEVENT_H
#define FBAT_CLI_CLOUDEVENT_H

#include <stdbool.h>
#include <stddef.h>

#include <fbat/fbat.h>

#include "heap.h"
#include "output.h"

enum kept_attribute { KEPT_CONTENT_TYPE = 0, KEPT_TIME, KEPT_ID, KEPT_CORRELATION, KEPT_CAUSATION, KEPT_COUNT };

extern const char *const kept_names[KEPT_COUNT];

/* Where a line keeps its payload. */
enum data_form { DATA_NONE, DATA_JSON, DATA_JSON_STRING, DATA_BASE64 };

/* The id that a text stands for: the UUID it is, or one derived from scope, a zero byte, and the text. */
int cloudevent_id(struct fbat_slice scope, struct fbat_slice text, struct fbat_id *out_id);

/* Whether a text that stands for id must be kept, because another would be written for it: usual, if not empty, else
 * the canonical form of id. */
bool cloudevent_keeps_id(struct fbat_slice text, const struct fbat_id *id, struct fbat_slice usual);

/* datacontenttype of a payload type when no header says another; "" = none is written. */
const char *cloudevent_content_type(unsigned payload_type, size_t payload_size);

/* The payload type that a reader takes content_type (empty = absent) and form for. */
unsigned cloudevent_payload_type(struct fbat_slice content_type, enum data_form form);

/* Whether a header of this name is written as an attribute of this name. */
bool cloudevent_is_extension_name(struct fbat_slice name);

/* "kind.0x1001" and its like. */
bool cloudevent_kind_number(struct fbat_slice type, uint16_t *out_kind);

#define CLOUDEVENT_PLAIN (1u << 0) /* without sequence and recordedtime */
#define CLOUDEVENT_EXACT (1u << 1) /* JSON payloads with line breaks as data_base64, so that every byte comes back */

/* Writes one line. kind_name is empty for a kind without a name. */
void cloudevent_write(struct out *out, const struct fbat_event *event, struct fbat_slice kind_name, unsigned flags);

/* What is wrong with a line. */
struct line_fault {
    const char *at;  /* the place in the line; NULL = the line as a whole */
    char text[1024]; /* for a person */
};

/* How lines are read. */
struct cloudevent_reader {
    struct scratch *scratch;           /* takes what is not a piece of the line */
    struct fbat_slice default_subject; /* empty = a line must have its own */
    unsigned default_category;         /* for new kind names */
    /* Finds or makes the kind of a name; on failure fills error. */
    int (*resolve)(void *user, struct fbat_slice name, unsigned category, uint16_t *out_kind, struct fbat_error *error);
    void *user;
};

/* Reads one line into out_event, whose slices point into the line and the scratch pad. False: the fault says why. */
bool cloudevent_read(const struct cloudevent_reader *reader, const char *line, size_t size,
                     struct fbat_new_event *out_event, struct line_fault *out_fault);

#endif
