/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat export: events as CloudEvents, one JSON object a line, in sequence order.
 *
 * Happy path: to standard output, or to FILE.part, which takes FILE's name when it is whole. Failure: a write error is
 * reported and the part removed; FILE is as it was. Main thread only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloudevent.h"
#include "event_print.h"
#include "heap.h"
#include "json_write.h"
#include "progress.h"
#include "region.h"
#include "text.h"
#include "times.h"
#include "verbs.h"

struct export_target {
    struct command *command;
    struct fbat_region region;
    struct fbat_query_options options;
    const char *file; /* NULL = standard output */
    char *part;       /* "FILE.part"; NULL when the target is written to directly */
    struct out out;   /* of the file */
    uint64_t count;
};

static enum exit_code write_events(struct export_target *target, struct out *out, struct fbat_store *store,
                                   struct fbat_iterator *iterator, uint64_t total) {
    struct event_printer printer;
    struct fbat_event event;
    struct fbat_error error;
    int status = FBAT_OK;
    event_printer_init(&printer, target->command, store);
    printer.out = out;
    printer.form = FORM_JSON;
    printer.json_flags = CLOUDEVENT_EXACT | (command_has(target->command, OPTION_PLAIN) ? CLOUDEVENT_PLAIN : 0);
    progress_start("export", "events", 0);
    while (out->failed_errno == 0 && (status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        event_print(&printer, &event);
        if (printer.count % 1024 == 0)
            progress_update(printer.count, total, printer.count);
    }
    progress_stop();
    target->count = printer.count;
    return status < 0 ? command_fail_with(target->command, &error) : EXIT_DONE;
}

static enum exit_code export_region(struct export_target *target, struct out *out, struct fbat_store *store) {
    struct fbat_iterator *iterator;
    struct fbat_error error;
    uint64_t total = 0;
    if (target->file != NULL && isatty(STDERR_FILENO) == 1)
        fbat_query_count(store, &target->region, &total, NULL); /* for the progress bar */
    if (fbat_query(store, &target->region, &target->options, &iterator, &error) != FBAT_OK)
        return command_fail_with(target->command, &error);
    enum exit_code code = write_events(target, out, store, iterator, total);
    fbat_iterator_close(iterator);
    return code;
}

/* A target that exists and is no regular file (a pipe, /dev/null) is written to as it is. */
static bool is_special(const char *file) {
    struct stat status;
    return stat(file, &status) == 0 && !S_ISREG(status.st_mode);
}

static bool open_target(struct export_target *target) {
    if (!is_special(target->file)) {
        size_t size = strlen(target->file) + sizeof ".part";
        target->part = heap_allocate(size);
        snprintf(target->part, size, "%s.part", target->file);
    }
    const char *name = target->part != NULL ? target->part : target->file;
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        command_fail(target->command, "cannot write to %s: %s", name, strerror(errno));
        return false;
    }
    out_init(&target->out, fd);
    return true;
}

/* Gives the finished file its name, or removes what was made. */
static enum exit_code finish_target(struct export_target *target, enum exit_code code) {
    int failed = out_flush(&target->out);
    if (close(target->out.fd) != 0 && failed == 0)
        failed = errno;
    if (failed == 0 && code == EXIT_DONE && target->part != NULL && rename(target->part, target->file) != 0)
        failed = errno;
    if (failed != 0)
        code = command_fail(target->command, "cannot write to %s: %s", target->file, strerror(failed));
    if (code != EXIT_DONE && target->part != NULL)
        unlink(target->part);
    out_deinit(&target->out);
    return code;
}

static void print_export_report(struct export_target *target, double seconds) {
    struct out *out = &target->command->out;
    if (!command_has(target->command, OPTION_JSON)) {
        out_printf(out, "%llu events written to %s in %.2f s\n", (unsigned long long)target->count, target->file,
                   seconds);
        return;
    }
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_u64(&json, "written", target->count);
    json_member_text(&json, "file", target->file);
    json_member_u64(&json, "duration_us", (uint64_t)(seconds * 1e6));
    json_close(&json, '}');
    out_char(out, '\n');
}

static enum exit_code export_to_file(struct export_target *target, struct fbat_store *store) {
    double started = time_monotonic();
    if (!open_target(target))
        return EXIT_ERROR;
    enum exit_code code = finish_target(target, export_region(target, &target->out, store));
    if (code == EXIT_DONE)
        print_export_report(target, time_monotonic() - started);
    return code;
}

enum exit_code verb_export(struct command *command) {
    struct export_target target;
    memset(&target, 0, sizeof target);
    target.command = command;
    if (command->argument_count > 1 && strcmp(command->arguments[1], "-") != 0)
        target.file = command->arguments[1];
    if (!region_from_options(command, &target.region) || !region_query_options(command, &target.options))
        return EXIT_ERROR;
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    enum exit_code code = region_find_kind(command, store, &target.region);
    if (code == EXIT_DONE)
        code = target.file != NULL ? export_to_file(&target, store) : export_region(&target, &command->out, store);
    free(target.part);
    return command_close(command, store, code);
}
