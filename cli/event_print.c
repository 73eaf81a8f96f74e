/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Printing events: see event_print.h. Columns grow with what they hold, up to a limit, so that lines stay aligned
 * without looking ahead. Names and payloads are escaped: see text_print. Main thread only.
 */
#include "event_print.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cloudevent.h"
#include "text.h"
#include "times.h"

#define KIND_COLUMNS_MAX 32
#define STREAM_COLUMNS_MAX 60
#define PAYLOAD_COLUMNS_MIN 16
#define HEX_BYTES_MAX 64 /* of binary payloads that are cut */

static size_t terminal_width(const struct out *out) {
    struct winsize size;
    if (!out->terminal || ioctl(out->fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return SIZE_MAX;
    return size.ws_col;
}

void event_printer_init(struct event_printer *printer, struct command *command, struct fbat_store *store) {
    memset(printer, 0, sizeof *printer);
    printer->out = &command->out;
    printer->store = store;
    printer->form = command_has(command, OPTION_PAYLOAD) ? FORM_PAYLOAD
                    : command_has(command, OPTION_JSON)  ? FORM_JSON
                                                         : FORM_LINE;
    printer->terminal_columns = terminal_width(&command->out);
    printer->kind_columns = 13;
    printer->stream_columns = 24;
}

struct fbat_slice event_kind_text(struct fbat_store *store, uint16_t kind, char text[8]) {
    struct fbat_slice name;
    if (store != NULL && fbat_kind_name(store, kind, &name) == FBAT_OK)
        return name;
    snprintf(text, 8, "0x%04x", kind);
    return fbat_text(text);
}

const char *event_payload_type_name(unsigned payload_type, char text[16]) {
    static const char *const names[] = {
        [FBAT_PAYLOAD_BYTES] = "bytes", [FBAT_PAYLOAD_JSON] = "json", [FBAT_PAYLOAD_MSGPACK] = "msgpack",
        [FBAT_PAYLOAD_TEXT] = "text",   [FBAT_PAYLOAD_CBOR] = "cbor", [FBAT_PAYLOAD_PROTOBUF] = "protobuf",
    };
    if (payload_type < sizeof names / sizeof names[0])
        return names[payload_type];
    snprintf(text, 16, "type %u", payload_type);
    return text;
}

static bool is_readable(const struct fbat_event *event) {
    return event->payload_type == FBAT_PAYLOAD_JSON || event->payload_type == FBAT_PAYLOAD_TEXT;
}

void event_print_payload_line(struct out *out, const struct fbat_event *event, size_t columns_max) {
    char name[16];
    if (is_readable(event)) {
        text_print(out, event->payload, columns_max);
        return;
    }
    if (event->payload.size == 0)
        return;
    size_t shown = event->payload.size;
    if (columns_max != SIZE_MAX && shown > HEX_BYTES_MAX)
        shown = HEX_BYTES_MAX;
    if (columns_max != SIZE_MAX && shown > columns_max / 3)
        shown = columns_max / 3;
    out_printf(out, "%s[%zu] ", event_payload_type_name(event->payload_type, name), event->payload.size);
    out_hex(out, event->payload.data, shown);
    if (shown < event->payload.size)
        out_text(out, "...");
}

/* Text, then spaces up to the column's width, which grows to fit. */
static size_t pad_column(struct out *out, size_t used, size_t *width, size_t width_max) {
    if (used > *width)
        *width = used < width_max ? used : width_max;
    size_t padding = used < *width ? *width - used : 0;
    out_spaces(out, padding + 2);
    return used + padding + 2;
}

static size_t print_stream(struct out *out, const struct fbat_event *event) {
    char revision[NUMBER_TEXT_SIZE];
    size_t used = text_print(out, event->scope, SIZE_MAX);
    out_char(out, ' ');
    used += 1 + text_print(out, event->entity, SIZE_MAX);
    snprintf(revision, sizeof revision, "@%llu", (unsigned long long)event->revision);
    out_text(out, revision);
    return used + strlen(revision);
}

static void print_event_line(struct event_printer *printer, const struct fbat_event *event) {
    struct out *out = printer->out;
    char time[TIME_TEXT_SIZE], kind[8], sequence[NUMBER_TEXT_SIZE];
    snprintf(sequence, sizeof sequence, "%8llu  ", (unsigned long long)event->sequence);
    time_format(event->event_time_us, time);
    out_text(out, sequence);
    out_text(out, time);
    out_text(out, "  ");
    size_t used = strlen(sequence) + strlen(time) + 2, column;
    column = text_print(out, event_kind_text(printer->store, event->kind, kind), SIZE_MAX);
    used += pad_column(out, column, &printer->kind_columns, KIND_COLUMNS_MAX);
    column = print_stream(out, event);
    used += pad_column(out, column, &printer->stream_columns, STREAM_COLUMNS_MAX);
    size_t room = printer->terminal_columns == SIZE_MAX                    ? SIZE_MAX
                  : printer->terminal_columns > used + PAYLOAD_COLUMNS_MIN ? printer->terminal_columns - used
                                                                           : PAYLOAD_COLUMNS_MIN;
    event_print_payload_line(out, event, room);
    out_char(out, '\n');
}

static void print_event_json(struct event_printer *printer, const struct fbat_event *event) {
    struct fbat_slice name;
    if (fbat_kind_name(printer->store, event->kind, &name) != FBAT_OK)
        name = fbat_text(NULL);
    cloudevent_write(printer->out, event, name, printer->json_flags);
}

void event_print(struct event_printer *printer, const struct fbat_event *event) {
    printer->count++;
    switch (printer->form) {
    case FORM_LINE: print_event_line(printer, event); break;
    case FORM_JSON: print_event_json(printer, event); break;
    case FORM_PAYLOAD:
        out_slice(printer->out, event->payload);
        out_char(printer->out, '\n');
        break;
    }
}

static void print_label(struct out *out, const char *label) {
    out_printf(out, "%-16s", label);
}

static void print_id_line(struct out *out, const char *label, const struct fbat_id *id) {
    char text[FBAT_ID_TEXT_SIZE];
    fbat_id_format(id, text);
    print_label(out, label);
    out_printf(out, "%s\n", text);
}

static void print_time_line(struct out *out, const char *label, int64_t us) {
    char text[TIME_TEXT_SIZE];
    time_format(us, text);
    print_label(out, label);
    out_printf(out, "%s\n", text);
}

static void print_hash_line(struct out *out, const char *label, const uint8_t *hash) {
    print_label(out, label);
    out_hex(out, hash, 32);
    out_char(out, '\n');
}

static void print_name_line(struct out *out, const char *label, struct fbat_slice name) {
    print_label(out, label);
    text_print(out, name, SIZE_MAX);
    out_char(out, '\n');
}

static void print_headers(struct out *out, const struct fbat_event *event) {
    struct fbat_header header;
    for (size_t i = 0; fbat_event_header(event, i, &header) == FBAT_OK; i++) {
        print_label(out, "header");
        text_print(out, header.name, SIZE_MAX);
        out_text(out, " = ");
        text_print(out, header.value, SIZE_MAX);
        out_char(out, '\n');
    }
}

static void print_tags(struct out *out, const struct fbat_event *event) {
    struct fbat_slice tag;
    for (size_t i = 0; fbat_event_tag(event, i, &tag) == FBAT_OK; i++)
        print_name_line(out, "tag", tag);
}

void event_print_whole(struct event_printer *printer, const struct fbat_event *event) {
    struct out *out = printer->out;
    char kind[8], type[16];
    if (printer->form != FORM_LINE) {
        event_print(printer, event);
        return;
    }
    print_id_line(out, "id", &event->id);
    print_label(out, "sequence");
    out_printf(out, "%llu\n", (unsigned long long)event->sequence);
    print_name_line(out, "scope", event->scope);
    print_name_line(out, "entity", event->entity);
    print_label(out, "revision");
    out_printf(out, "%llu\n", (unsigned long long)event->revision);
    print_label(out, "kind");
    text_print(out, event_kind_text(printer->store, event->kind, kind), SIZE_MAX);
    out_printf(out, " (0x%04x)\n", event->kind);
    print_time_line(out, "event time", event->event_time_us);
    print_time_line(out, "recorded time", event->recorded_us);
    print_id_line(out, "correlation", &event->correlation);
    if (!fbat_id_is_none(&event->causation))
        print_id_line(out, "causation", &event->causation);
    print_headers(out, event);
    print_tags(out, event);
    print_hash_line(out, "hash", event->hash);
    print_hash_line(out, "previous hash", event->previous_hash);
    print_label(out, "on disk");
    out_printf(out, "segment %llu, offset %llu\n", (unsigned long long)event->segment_id,
               (unsigned long long)event->offset);
    print_label(out, "payload");
    out_printf(out, "%s, %zu bytes\n", event_payload_type_name(event->payload_type, type), event->payload.size);
    if (event->payload.size > 0) {
        event_print_payload_line(out, event, SIZE_MAX);
        out_char(out, '\n');
    }
}

enum exit_code event_print_all(struct event_printer *printer, const struct command *command,
                               struct fbat_iterator *iterator) {
    struct fbat_event event;
    struct fbat_error error;
    int status = FBAT_OK;
    while (printer->out->failed_errno == 0 && (status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        event_print(printer, &event);
    fbat_iterator_close(iterator);
    if (status >= 0)
        return EXIT_DONE;
    return command_fail_with(command, &error);
}
