/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat import: events written as CloudEvents, one JSON object a line, into a store.
 *
 * Happy path: lines are read where they lie in the buffer and gathered into batches; a batch goes in when it is full,
 * when the buffer is about to move, or when the input makes us wait, so that a slow pipe's events are not held back.
 * At the end everything is made durable. Failure: a bad line stops the import, or is counted with --keep-going; what
 * came before it is in the store. After any end, repeating the command adds what is missing and nothing twice.
 * Main thread only.
 *
 * I1: the scratch pad is emptied only when no event waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloudevent.h"
#include "import_batch.h"
#include "interrupt.h"
#include "json_write.h"
#include "kind_cache.h"
#include "line_reader.h"
#include "progress.h"
#include "text.h"
#include "times.h"
#include "verbs.h"

#define REJECTIONS_SHOWN_MAX 100

/* Events between two syncs, where no -o says it: an import ends with a sync, and sync.max_delay_ms bounds what a power
 * cut takes before; one each 1,000 events halves the speed. */
#define IMPORT_SYNC_EVENTS 1000000u

struct import {
    struct command *command;
    const char *input_name;
    struct fbat_store *store;
    struct line_reader lines;
    struct import_batch batch;
    struct kind_cache kinds;
    struct scratch scratch;
    struct cloudevent_reader reader;
    uint64_t rejected;
    bool keep_going;
    bool stopped;     /* by a bad line */
    bool kind_failed; /* a kind could not be resolved for the store's sake */
    int read_errno;   /* the input failed */
    double started;
};

/* ---- Bad lines ---- */

/* Code points before at, from 1. */
static size_t column_of(const char *line, const char *at) {
    return at == NULL ? 1 : text_columns(line, (size_t)(at - line)) + 1;
}

/* Reports a bad line; whether to go on. */
static bool reject_line(struct import *import, uint64_t line_number, size_t column, const char *text) {
    import->rejected++;
    import->stopped = !import->keep_going;
    if (import->rejected <= REJECTIONS_SHOWN_MAX)
        command_fail(import->command, "%s:%llu:%zu: %s", import->input_name, (unsigned long long)line_number, column,
                     text);
    return import->keep_going;
}

static bool refuse_event(void *user, uint64_t line_number, const struct fbat_error *error) {
    struct import *import = user;
    const char *hint =
        error->status == FBAT_ERR_TOO_LARGE ? "; -o single_append_max_bytes=N raises the limit, to 64MiB" : "";
    char text[sizeof error->message + 64];
    snprintf(text, sizeof text, "%s%s", error->message, hint);
    return reject_line(import, line_number, 1, text);
}

static bool reject_unreadable(struct import *import, const char *line, const struct line_fault *fault) {
    uint64_t line_number = import->lines.line_number;
    if (!import->keep_going && !import_batch_flush(&import->batch))
        return false;
    if (!import->lines.cut)
        return reject_line(import, line_number, column_of(line, fault->at), fault->text);
    char text[sizeof fault->text + 64];
    snprintf(text, sizeof text, "%s; this last line has no end: was the input cut off?", fault->text);
    return reject_line(import, line_number, column_of(line, fault->at), text);
}

/* ---- Lines ---- */

static int resolve_kind(void *user, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                        struct fbat_error *error) {
    struct import *import = user;
    *out_kind = kind_cache_find(&import->kinds, name);
    if (*out_kind != 0)
        return FBAT_OK;
    int status = fbat_kind_resolve(import->store, name, category, out_kind, error);
    if (status == FBAT_OK)
        kind_cache_add(&import->kinds, name, *out_kind);
    else if (status != FBAT_ERR_KIND && status != FBAT_ERR_NAME && status != FBAT_ERR_LIMIT &&
             status != FBAT_ERR_ARGUMENT && status != FBAT_ERR_KIND_CONFLICT) {
        import->kind_failed = true;
        import->batch.error = *error;
    }
    return status;
}

static bool is_blank(const char *line, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r')
            return false;
    return true;
}

/* A byte order mark at the very start, as some editors leave it. */
static void skip_mark(const struct import *import, const char **line, size_t *size) {
    if (import->lines.line_number == 1 && *size >= 3 && memcmp(*line, "\xEF\xBB\xBF", 3) == 0) {
        *line += 3;
        *size -= 3;
    }
}

static bool import_line(struct import *import, const char *line, size_t size) {
    struct line_fault fault;
    skip_mark(import, &line, &size);
    if (is_blank(line, size))
        return true;
    if (import->batch.count == 0)
        scratch_reset(&import->scratch); /* I1 */
    if (cloudevent_read(&import->reader, line, size, import_batch_slot(&import->batch), &fault))
        return import_batch_add(&import->batch, import->lines.line_number);
    if (import->kind_failed)
        return false;
    return reject_unreadable(import, line, &fault);
}

static uint64_t count_read(const struct import *import) {
    return import->batch.added + import->batch.already + import->rejected;
}

/* Gets more input, with nothing left waiting if that takes time. */
static bool read_more(struct import *import) {
    int ready = interrupt_wait(import->lines.fd, 0);
    if (ready == 0 || line_reader_moves(&import->lines)) {
        if (!import_batch_flush(&import->batch))
            return false;
        progress_update(import->lines.bytes_given, 0, count_read(import));
    }
    if (ready == 0)
        ready = interrupt_wait(import->lines.fd, -1);
    if (ready < 0)
        return false;
    import->read_errno = line_reader_fill(&import->lines);
    return import->read_errno == 0;
}

static bool refuse_long_line(struct import *import) {
    char limit[NUMBER_TEXT_SIZE], text[128];
    snprintf(text, sizeof text, "the line is longer than %s, the most that can be read; nothing after it was",
             number_of_bytes(LINE_BYTES_MAX, limit));
    import->keep_going = false;
    if (import_batch_flush(&import->batch))
        reject_line(import, import->lines.line_number + 1, 1, text);
    return false;
}

static void import_lines(struct import *import) {
    bool going = true;
    while (going && interrupt_signal() == 0) {
        const char *line;
        size_t size;
        switch (line_reader_next(&import->lines, &line, &size)) {
        case LINE_GIVEN: going = import_line(import, line, size); break;
        case LINE_MORE: going = read_more(import); break;
        case LINE_LONG: going = refuse_long_line(import); break;
        case LINE_END: going = false; break;
        }
    }
    if (!import->stopped && !import->batch.failed && !import->kind_failed)
        import_batch_flush(&import->batch);
}

/* ---- The report ---- */

static void print_report(struct import *import, double seconds) {
    struct out *out = &import->command->out;
    char rate[NUMBER_TEXT_SIZE];
    uint64_t per_second = seconds > 0 ? (uint64_t)((double)count_read(import) / seconds) : 0;
    if (!command_has(import->command, OPTION_JSON)) {
        out_printf(out, "%llu events read, %llu added, %llu already there, %llu rejected, in %.2f s (%s/s)\n",
                   (unsigned long long)count_read(import), (unsigned long long)import->batch.added,
                   (unsigned long long)import->batch.already, (unsigned long long)import->rejected, seconds,
                   number_grouped(per_second, rate));
        return;
    }
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_u64(&json, "read", count_read(import));
    json_member_u64(&json, "added", import->batch.added);
    json_member_u64(&json, "already", import->batch.already);
    json_member_u64(&json, "rejected", import->rejected);
    json_member_u64(&json, "duration_us", (uint64_t)(seconds * 1e6));
    json_member_u64(&json, "events_per_second", per_second);
    json_member_bool(&json, "interrupted", interrupt_signal() != 0);
    json_close(&json, '}');
    out_char(out, '\n');
}

/* What stopped the import, and how to go on. */
static enum exit_code explain_end(struct import *import) {
    const struct command *command = import->command;
    unsigned long long present = import->batch.added + import->batch.already;
    if (import->batch.failed || import->kind_failed) {
        command_fail_with(command, &import->batch.error);
        return command_fail(
            command, "%llu events are in the store; when that is mended, the same command adds the rest", present);
    }
    if (import->read_errno != 0)
        return command_fail(command, "cannot read %s: %s; %llu events are in the store", import->input_name,
                            strerror(import->read_errno), present);
    if (import->stopped)
        return command_fail(command,
                            "stopped at that line; the %llu events before it are in the store. Mend the line and "
                            "repeat the command, or leave bad lines out with --keep-going",
                            present);
    if (interrupt_signal() != 0) {
        command_fail(command, "interrupted; %llu events are in the store, and the same command adds the rest", present);
        return (enum exit_code)(128 + interrupt_signal());
    }
    if (import->rejected > REJECTIONS_SHOWN_MAX)
        command_fail(command, "%llu lines were rejected; the first %d are shown", (unsigned long long)import->rejected,
                     REJECTIONS_SHOWN_MAX);
    return import->rejected > 0 ? EXIT_ERROR : EXIT_DONE;
}

/* ---- Start and end ---- */

static bool sync_store(struct import *import) {
    struct fbat_error error;
    if (import->batch.failed || import->kind_failed)
        return true;
    if (fbat_sync(import->store, &error) == FBAT_OK)
        return true;
    command_fail_with(import->command, &error);
    return false;
}

static enum exit_code run_import(struct import *import, uint64_t bytes_total) {
    import->store = command_open_to_write(import->command);
    if (import->store == NULL)
        return EXIT_ERROR;
    import_batch_init(&import->batch, import->store, &import->command->config);
    import->batch.refused = refuse_event;
    import->batch.user = import;
    if (command_has(import->command, OPTION_DURABLE))
        import->batch.options.level = FBAT_LEVEL_DURABLE;
    kind_cache_init(&import->kinds);
    progress_start("import", "events", bytes_total);
    import_lines(import);
    bool synced = sync_store(import);
    enum exit_code code = command_close(import->command, import->store, EXIT_DONE);
    progress_stop();
    enum exit_code end = explain_end(import);
    print_report(import, time_monotonic() - import->started);
    import_batch_deinit(&import->batch);
    kind_cache_deinit(&import->kinds);
    return end != EXIT_DONE ? end : synced ? code : EXIT_ERROR;
}

/* Opens the input; -1 with a message. */
static int open_input(struct import *import, uint64_t *out_bytes_total) {
    struct stat status;
    bool standard = strcmp(import->input_name, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(import->input_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0) {
        command_fail(import->command, "cannot open %s: %s", import->input_name, strerror(errno));
        return -1;
    }
    if (S_ISDIR(status.st_mode)) {
        command_fail(import->command, "%s is a directory; expected a file of JSON lines", import->input_name);
        close(fd);
        return -1;
    }
    *out_bytes_total = S_ISREG(status.st_mode) ? (uint64_t)status.st_size : 0;
    return fd;
}

/* Reads the first piece: what is no text is refused before a store is created for it. */
static bool look_at_input(struct import *import) {
    while (!import->lines.ended && import->lines.end < 2 && import->read_errno == 0) {
        if (interrupt_wait(import->lines.fd, -1) < 0)
            return true;
        import->read_errno = line_reader_fill(&import->lines);
    }
    if (import->read_errno != 0) {
        command_fail(import->command, "cannot read %s: %s", import->input_name, strerror(import->read_errno));
        return false;
    }
    if (import->lines.end >= 2 && memcmp(import->lines.buffer, "\x1F\x8B", 2) == 0) {
        command_fail(import->command, "%s is gzip; use: zcat FILE | fbat import %s -", import->input_name,
                     import->command->arguments[0]);
        return false;
    }
    return true;
}

/* Whether -o gives this field. */
static bool has_config_field(const struct command *command, const char *name) {
    size_t size = strlen(name);
    for (size_t i = 0; i < command->use_count; i++)
        if (command->uses[i].key == OPTION_CONFIG && strncmp(command->uses[i].value, name, size) == 0 &&
            command->uses[i].value[size] == '=')
            return true;
    return false;
}

static bool prepare_import(struct import *import) {
    struct command *command = import->command;
    const char *subject = command_option(command, OPTION_SUBJECT);
    struct fbat_error error;
    uint64_t category;
    if (!command_number(command, OPTION_KIND_CATEGORY, 1, 15, 1, &category))
        return false;
    if (subject != NULL && (subject[0] == '\0' || strlen(subject) > FBAT_NAME_BYTES_MAX)) {
        command_fail(command, "--subject is empty or too long; expected 1 to %d bytes", FBAT_NAME_BYTES_MAX);
        return false;
    }
    if (fbat_config_validate(&command->config, &error) != FBAT_OK) {
        command_fail_with(command, &error);
        return false;
    }
    if (!has_config_field(command, "sync.every_n_events"))
        command->config.sync.every_n_events = IMPORT_SYNC_EVENTS;
    import->reader.scratch = &import->scratch;
    import->reader.default_subject = fbat_text(subject);
    import->reader.default_category = (unsigned)category;
    import->reader.resolve = resolve_kind;
    import->reader.user = import;
    import->keep_going = command_has(command, OPTION_KEEP_GOING);
    return true;
}

enum exit_code verb_import(struct command *command) {
    struct import import;
    uint64_t bytes_total;
    memset(&import, 0, sizeof import);
    import.command = command;
    import.input_name = command->arguments[1];
    if (!prepare_import(&import))
        return EXIT_ERROR;
    int fd = open_input(&import, &bytes_total);
    if (fd < 0)
        return EXIT_ERROR;
    interrupt_watch();
    import.started = time_monotonic();
    line_reader_init(&import.lines, fd);
    enum exit_code code = look_at_input(&import) ? run_import(&import, bytes_total) : EXIT_ERROR;
    line_reader_deinit(&import.lines);
    scratch_deinit(&import.scratch);
    if (fd != STDIN_FILENO)
        close(fd);
    return code;
}
