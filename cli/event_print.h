/* SPDX-License-Identifier: Apache-2.0 */
/* Events on standard output: a line for people, a line of JSON, or the payload alone; and one event at length. */
#ifndef FBAT_CLI_EVENT_PRINT_H
#define FBAT_CLI_EVENT_PRINT_H

#include "command.h"

enum event_form { FORM_LINE, FORM_JSON, FORM_PAYLOAD };

struct event_printer {
    struct out *out;
    struct fbat_store *store;
    enum event_form form;
    unsigned json_flags;     /* CLOUDEVENT_... */
    size_t terminal_columns; /* SIZE_MAX where lines are not cut */
    size_t kind_columns;     /* widest so far, up to a limit */
    size_t stream_columns;
    uint64_t count; /* events printed */
};

/* Form by --json and --payload; columns by the terminal. */
void event_printer_init(struct event_printer *printer, struct command *command, struct fbat_store *store);

void event_print(struct event_printer *printer, const struct fbat_event *event);

/* Everything about one event, line by line. */
void event_print_whole(struct event_printer *printer, const struct fbat_event *event);

/* Prints what an iterator gives, and closes it. EXIT_DONE, or EXIT_ERROR with a message. */
enum exit_code event_print_all(struct event_printer *printer, const struct command *command,
                               struct fbat_iterator *iterator);

/* The kind's name, or "0x1001" in text. */
struct fbat_slice event_kind_text(struct fbat_store *store, uint16_t kind, char text[8]);

/* "json", or "type 130" in text. */
const char *event_payload_type_name(unsigned payload_type, char text[16]);

/* The payload on one line, in at most columns_max columns. */
void event_print_payload_line(struct out *out, const struct fbat_event *event, size_t columns_max);

#endif
