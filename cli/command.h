/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb is made of: the table of verbs, the table of options, and one parsed command line.
 *
 * Help, the checks of a command line and the shell completion are all read from these two tables, so they cannot
 * disagree.
 */
#ifndef FBAT_CLI_COMMAND_H
#define FBAT_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "output.h"

enum exit_code {
    EXIT_DONE = 0,
    EXIT_NO = 1,    /* the answer is no, or damage was found */
    EXIT_ERROR = 2, /* usage, or an error */
    EXIT_INTERRUPTED = 130
};

enum option_key {
    OPTION_END = 0, /* ends a verb's list */
    OPTION_HELP,
    OPTION_CONFIG,
    OPTION_JSON,
    /* the region */
    OPTION_ENTITY,
    OPTION_ENTITY_PREFIX,
    OPTION_SCOPE,
    OPTION_KIND,
    OPTION_CATEGORY,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_FROM_SEQUENCE,
    OPTION_TO_SEQUENCE,
    OPTION_FROM_REVISION,
    OPTION_TO_REVISION,
    OPTION_SYSTEM,
    /* what to show */
    OPTION_REVERSE,
    OPTION_LIMIT,
    OPTION_COUNT,
    OPTION_EXPLAIN,
    OPTION_PAYLOAD,
    OPTION_PLAIN,
    OPTION_LINES,
    OPTION_FOLLOW,
    OPTION_CURSOR,
    OPTION_RESET,
    OPTION_REMOVE,
    OPTION_SEGMENT,
    OPTION_ID_SCOPE,
    /* append */
    OPTION_NEW_ENTITY,
    OPTION_NEW_SCOPE,
    OPTION_NEW_KIND,
    OPTION_NEW_CATEGORY,
    OPTION_FILE,
    OPTION_TYPE,
    OPTION_ID,
    OPTION_CORRELATION,
    OPTION_CAUSATION,
    OPTION_TIME,
    OPTION_EXPECT,
    OPTION_HEADER,
    OPTION_TAG,
    OPTION_DURABLE,
    OPTION_WRITTEN,
    /* import */
    OPTION_SUBJECT,
    OPTION_KIND_CATEGORY,
    OPTION_KEEP_GOING,
    OPTION_KEY_COUNT
};

struct option_spec {
    const char *name;     /* long, without dashes */
    char letter;          /* short form, 0 = none */
    bool repeats;         /* may be given more than once */
    const char *argument; /* its name in help texts, NULL = a flag */
    const char *help;
};

/* By key. */
extern const struct option_spec option_specs[OPTION_KEY_COUNT];

#define VERB_OPTIONS_MAX 40

struct command;

struct verb {
    const char *name;
    const char *arguments; /* "DIR [PAYLOAD | -]" */
    const char *summary;   /* a phrase, lower case */
    const char *notes;     /* paragraphs under the options, may be NULL */
    int arguments_min;     /* DIR included */
    int arguments_max;
    enum exit_code (*run)(struct command *command);
    uint8_t options[VERB_OPTIONS_MAX]; /* enum option_key, ends with OPTION_END */
};

extern const struct verb verbs[];
extern const size_t verb_count;

/* The options of every region verb, for the lists of verbs. */
#define REGION_OPTIONS                                                                                                 \
    OPTION_ENTITY, OPTION_ENTITY_PREFIX, OPTION_SCOPE, OPTION_KIND, OPTION_CATEGORY, OPTION_SINCE, OPTION_UNTIL,       \
        OPTION_FROM_SEQUENCE, OPTION_TO_SEQUENCE, OPTION_FROM_REVISION, OPTION_TO_REVISION, OPTION_SYSTEM
#define COMMON_OPTIONS OPTION_JSON, OPTION_CONFIG, OPTION_HELP, OPTION_END

struct option_use {
    enum option_key key;
    const char *value;
};

/* One parsed command line. */
struct command {
    const struct verb *verb;
    struct fbat_config config; /* defaults and -o; data_dir = the first argument */
    struct out out;            /* standard output */
    struct option_use *uses;   /* in the order given */
    size_t use_count;
    char **arguments; /* without options; [0] is DIR */
    int argument_count;
};

/* Parses argv, whose [0] is the verb. EXIT_DONE, or what to exit with; *out_help: help was asked for. */
enum exit_code command_parse(struct command *command, const struct verb *verb, int argc, char **argv, bool *out_help);
void command_deinit(struct command *command);

/* The last value of an option, "" for a flag, NULL when it was not given. */
const char *command_option(const struct command *command, enum option_key key);
bool command_has(const struct command *command, enum option_key key);

/* The number an option gives, in minimum..maximum, or fallback when it is not given. False: said why. */
bool command_number(const struct command *command, enum option_key key, uint64_t minimum, uint64_t maximum,
                    uint64_t fallback, uint64_t *out_value);

/* "fbat: VERB: ..." on standard error, newline included; returns EXIT_ERROR. */
enum exit_code command_fail(const struct command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for a failed call of the library: its message, and what to do where the command knows more. */
enum exit_code command_fail_with(const struct command *command, const struct fbat_error *error);

/* Opens DIR for reading, or says why not and returns NULL. */
struct fbat_store *command_open_to_read(const struct command *command);

/* Opens or creates DIR for writing, or says why not and returns NULL. */
struct fbat_store *command_open_to_write(const struct command *command);

/* Closes and says what went wrong, if anything: then the result is EXIT_ERROR instead of code. */
enum exit_code command_close(const struct command *command, struct fbat_store *store, enum exit_code code);

#endif
