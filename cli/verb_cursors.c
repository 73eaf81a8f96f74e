/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat cursors: the named cursors, how far each is behind; set one, or forget one. Works beside a writer. Main thread only.
 */
#include <string.h>

#include "json_write.h"
#include "text.h"
#include "times.h"
#include "verbs.h"

static int print_cursor_json(void *user, const struct fbat_cursor_info *info) {
    struct out *out = user;
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_slice(&json, "name", info->name);
    json_member_u64(&json, "position", info->position);
    json_member_u64(&json, "lag", info->lag);
    json_member_time(&json, "committed", info->committed_us);
    json_close(&json, '}');
    out_char(out, '\n');
    return 0;
}

static int print_cursor_line(void *user, const struct fbat_cursor_info *info) {
    struct out *out = user;
    char position[NUMBER_TEXT_SIZE], lag[NUMBER_TEXT_SIZE], time[TIME_TEXT_SIZE];
    time_format(info->committed_us, time);
    out_printf(out, "%14s %14s  %s  ", number_grouped(info->position, position), number_grouped(info->lag, lag), time);
    text_print(out, info->name, SIZE_MAX);
    out_char(out, '\n');
    return 0;
}

static enum exit_code list_cursors(struct command *command, struct fbat_store *store) {
    struct fbat_error error;
    bool json = command_has(command, OPTION_JSON);
    if (!json)
        out_text(&command->out, "      position            lag  committed\n");
    if (fbat_cursors(store, json ? print_cursor_json : print_cursor_line, &command->out, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    return EXIT_DONE;
}

/* NAME=SEQUENCE, where the name may have equals signs too. */
static enum exit_code reset_cursor(struct command *command, struct fbat_store *store, const char *text) {
    struct fbat_error error;
    uint64_t sequence;
    const char *sign = strrchr(text, '=');
    if (sign == NULL || !number_parse(sign + 1, &sequence))
        return command_fail(command, "--reset %s: expected NAME=SEQUENCE", text);
    if (fbat_cursor_reset(store, fbat_bytes(text, (size_t)(sign - text)), sequence, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    return EXIT_DONE;
}

static enum exit_code remove_cursor(struct command *command, struct fbat_store *store, const char *name) {
    struct fbat_error error;
    int status = fbat_cursor_remove(store, fbat_text(name), &error);
    if (status == FBAT_OK)
        return EXIT_DONE;
    enum exit_code code = command_fail_with(command, &error);
    return status == FBAT_ERR_NOT_FOUND ? EXIT_NO : code;
}

static enum exit_code run_cursors(struct command *command, struct fbat_store *store) {
    const char *reset = command_option(command, OPTION_RESET), *removed = command_option(command, OPTION_REMOVE);
    enum exit_code code = EXIT_DONE;
    if (reset == NULL && removed == NULL)
        return list_cursors(command, store);
    if (removed != NULL)
        code = remove_cursor(command, store, removed);
    if (code == EXIT_DONE && reset != NULL)
        code = reset_cursor(command, store, reset);
    return code;
}

enum exit_code verb_cursors(struct command *command) {
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    return command_close(command, store, run_cursors(command, store));
}
