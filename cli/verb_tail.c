/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat tail: the last events, and with --follow the ones to come, from whichever process.
 *
 * Happy path: a query backwards finds where the last N start, one forward prints them; then queries from the last
 * snapshot on, at first every 20 ms, and every 100 ms when nothing comes. With --cursor, polls of that cursor instead,
 * each committed once it is printed. Failure: as any read. Ctrl-C ends it, exit 130. Main thread only.
 */
#include <string.h>

#include "event_print.h"
#include "interrupt.h"
#include "region.h"
#include "verbs.h"

#define POLL_MS_MIN 20
#define POLL_MS_MAX 100
#define TAIL_LINES_DEFAULT 10
#define CURSOR_EVENTS 256

struct tail {
    const struct command *command;
    struct fbat_store *store;
    struct fbat_region region;
    struct event_printer printer;
    uint64_t seen; /* everything up to this sequence is printed */
    struct out *out;
    struct fbat_cursor *cursor; /* NULL without --cursor */
};

/* Prints all that the cursor has, and commits what is printed. */
static enum exit_code print_polled(struct tail *tail) {
    struct fbat_event events[CURSOR_EVENTS];
    struct fbat_error error;
    size_t count;
    int status;
    while ((status = fbat_cursor_poll(tail->cursor, events, CURSOR_EVENTS, 0, &count, &error)) == FBAT_OK) {
        for (size_t at = 0; at < count; at++)
            event_print(&tail->printer, &events[at]);
        if (out_flush(tail->out) != 0)
            return EXIT_DONE; /* which main reports; not seen, so not committed */
        status = fbat_cursor_commit(tail->cursor, &error);
        if (status < 0)
            break;
    }
    return status < 0 ? command_fail_with(tail->command, &error) : EXIT_DONE;
}

/* Prints what is newer than seen, up to the end of the log as it is now. */
static enum exit_code print_new(struct tail *tail) {
    struct fbat_region region = tail->region;
    struct fbat_iterator *iterator;
    struct fbat_error error;
    if (tail->cursor != NULL)
        return print_polled(tail);
    if (region.sequence_min <= tail->seen)
        region.sequence_min = tail->seen + 1;
    if (fbat_query(tail->store, &region, NULL, &iterator, &error) != FBAT_OK)
        return command_fail_with(tail->command, &error);
    uint64_t snapshot = fbat_iterator_snapshot(iterator);
    if (snapshot > tail->seen)
        tail->seen = snapshot;
    return event_print_all(&tail->printer, tail->command, iterator);
}

/* Sets seen to before the last line_count events. */
static enum exit_code find_start(struct tail *tail, uint64_t line_count) {
    struct fbat_query_options options = {
        .struct_size = sizeof options, .direction = FBAT_BACKWARD, .limit = line_count, .snapshot = 0};
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    if (fbat_query(tail->store, &tail->region, &options, &iterator, &error) != FBAT_OK)
        return command_fail_with(tail->command, &error);
    int status = FBAT_END;
    tail->seen = fbat_iterator_snapshot(iterator);
    if (line_count > 0)
        while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
            tail->seen = event.sequence - 1;
    fbat_iterator_close(iterator);
    return status < 0 ? command_fail_with(tail->command, &error) : EXIT_DONE;
}

static enum exit_code follow_events(struct tail *tail, struct out *out) {
    enum exit_code code = EXIT_DONE;
    int pause_ms = POLL_MS_MIN;
    while (code == EXIT_DONE && out_flush(out) == 0) {
        if (interrupt_wait(-1, pause_ms) < 0)
            return (enum exit_code)(128 + interrupt_signal());
        uint64_t before = tail->printer.count;
        code = print_new(tail);
        pause_ms = tail->printer.count > before ? POLL_MS_MIN : pause_ms * 2 < POLL_MS_MAX ? pause_ms * 2 : POLL_MS_MAX;
    }
    return code;
}

static enum exit_code open_cursor(struct tail *tail) {
    const struct fbat_cursor_options options = {.struct_size = sizeof options,
                                                .name = fbat_text(command_option(tail->command, OPTION_CURSOR))};
    struct fbat_error error;
    if (options.name.size == 0)
        return command_fail(tail->command, "--cursor: the name is empty");
    if (fbat_cursor_open(tail->store, &tail->region, &options, &tail->cursor, &error) != FBAT_OK)
        return command_fail_with(tail->command, &error);
    return EXIT_DONE;
}

static enum exit_code run_tail(struct tail *tail, struct command *command, uint64_t line_count) {
    enum exit_code code = region_find_kind(command, tail->store, &tail->region);
    if (code != EXIT_DONE)
        return code;
    event_printer_init(&tail->printer, command, tail->store);
    code = command_has(command, OPTION_CURSOR) ? open_cursor(tail) : find_start(tail, line_count);
    if (code == EXIT_DONE && (line_count > 0 || tail->cursor != NULL))
        code = print_new(tail);
    if (code == EXIT_DONE && command_has(command, OPTION_FOLLOW))
        code = follow_events(tail, &command->out);
    fbat_cursor_close(tail->cursor);
    return code;
}

enum exit_code verb_tail(struct command *command) {
    struct tail tail;
    uint64_t line_count;
    memset(&tail, 0, sizeof tail);
    tail.command = command;
    tail.out = &command->out;
    if (command_has(command, OPTION_CURSOR) && command_has(command, OPTION_LINES))
        return command_fail(command, "--lines does not go with --cursor, which says where to start");
    if (!region_from_options(command, &tail.region) ||
        !command_number(command, OPTION_LINES, 0, UINT64_MAX, TAIL_LINES_DEFAULT, &line_count))
        return EXIT_ERROR;
    if (command_has(command, OPTION_FOLLOW))
        interrupt_watch();
    tail.store = command_open_to_read(command);
    if (tail.store == NULL)
        return EXIT_ERROR;
    return command_close(command, tail.store, run_tail(&tail, command, line_count));
}
