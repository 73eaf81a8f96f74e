/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat get: one event, by id or by sequence. Exit 1 when there is none. Main thread only.
 */
#include <string.h>

#include "cloudevent.h"
#include "event_print.h"
#include "text.h"
#include "verbs.h"

/* 1 found, 0 there is none, -1 said why not. */
static int get_event(const struct command *command, struct fbat_store *store, struct fbat_event *event) {
    const char *text = command->arguments[1], *scope = command_option(command, OPTION_ID_SCOPE);
    struct fbat_error error;
    struct fbat_id id;
    uint64_t sequence;
    int status;
    if (number_parse(text[0] == '@' ? text + 1 : text, &sequence)) {
        status = sequence == 0 ? FBAT_ERR_NOT_FOUND : fbat_get_by_sequence(store, sequence, event, &error);
    } else if (fbat_id_parse(text, strlen(text), &id) == FBAT_OK) {
        status = fbat_get(store, &id, event, &error);
    } else if (scope != NULL && cloudevent_id(fbat_text(scope), fbat_text(text), &id) == FBAT_OK) {
        status = fbat_get(store, &id, event, &error);
    } else {
        command_fail(command, "'%s' is neither a UUID nor a sequence; for another id give its --scope", text);
        return -1;
    }
    if (status == FBAT_OK || status == FBAT_ERR_NOT_FOUND)
        return status == FBAT_OK;
    command_fail_with(command, &error);
    return -1;
}

static enum exit_code print_found(struct command *command, struct fbat_store *store) {
    struct event_printer printer;
    struct fbat_event event;
    int found = get_event(command, store, &event);
    if (found < 0)
        return EXIT_ERROR;
    if (found == 0) {
        command_fail(command, "there is no event '%s'", command->arguments[1]);
        return EXIT_NO;
    }
    event_printer_init(&printer, command, store);
    if (printer.form == FORM_PAYLOAD)
        out_slice(&command->out, event.payload); /* exactly its bytes */
    else
        event_print_whole(&printer, &event);
    fbat_event_release(&event);
    return EXIT_DONE;
}

enum exit_code verb_get(struct command *command) {
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    return command_close(command, store, print_found(command, store));
}
