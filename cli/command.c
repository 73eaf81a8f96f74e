/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command line: parsing it, saying what is wrong, opening and closing the store it names.
 *
 * Happy path: the verb's options become a table for getopt_long, every use is kept in order, -o goes straight into
 * the configuration. Failure: one line on standard error, and nothing was opened or created. Main thread only.
 */
#include "command.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "progress.h"
#include "text.h"

#define LONG_OPTION_BASE 256 /* getopt results: this + key */
#define CONFIG_NAME_MAX 128

enum exit_code command_fail(const struct command *command, const char *format, ...) {
    va_list arguments;
    progress_clear();
    fprintf(stderr, "fbat: %s: ", command->verb->name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return EXIT_ERROR;
}

/* What the command can add to a message of the library: how to do it from here. */
static const char *find_hint(int status) {
    switch (status) {
    case FBAT_ERR_TOO_LARGE: return "the limit of payloads is set by -o single_append_max_bytes=N, at most 64MiB";
    case FBAT_ERR_IDEMPOTENCY_REQUIRED: return "give one with --id";
    case FBAT_ERR_CONFIG: return "`fbat help config` lists every field";
    default: return NULL;
    }
}

enum exit_code command_fail_with(const struct command *command, const struct fbat_error *error) {
    const char *message = error->message[0] != '\0' ? error->message : fbat_strerror(error->status);
    const char *hint = find_hint(error->status);
    if (hint != NULL)
        command_fail(command, "%s; %s", message, hint);
    else
        command_fail(command, "%s", message);
    return EXIT_ERROR;
}

const char *command_option(const struct command *command, enum option_key key) {
    for (size_t i = command->use_count; i > 0; i--)
        if (command->uses[i - 1].key == key)
            return command->uses[i - 1].value != NULL ? command->uses[i - 1].value : "";
    return NULL;
}

bool command_has(const struct command *command, enum option_key key) {
    return command_option(command, key) != NULL;
}

bool command_number(const struct command *command, enum option_key key, uint64_t minimum, uint64_t maximum,
                    uint64_t fallback, uint64_t *out_value) {
    const char *text = command_option(command, key);
    uint64_t value = fallback;
    if (text != NULL && (!number_parse(text, &value) || value < minimum || value > maximum)) {
        char least[NUMBER_TEXT_SIZE], most[NUMBER_TEXT_SIZE];
        number_grouped(minimum, least);
        number_grouped(maximum, most);
        command_fail(command, "--%s is '%s'; expected a number from %s to %s", option_specs[key].name, text, least,
                     most);
        return false;
    }
    *out_value = value;
    return true;
}

/* -o NAME=VALUE. */
static bool set_config_field(struct command *command, const char *text) {
    const char *equals = strchr(text, '=');
    char name[CONFIG_NAME_MAX];
    struct fbat_error error;
    if (equals == NULL || (size_t)(equals - text) >= sizeof name) {
        command_fail(command, "-o is '%s'; expected NAME=VALUE, and `fbat help config` lists the names", text);
        return false;
    }
    memcpy(name, text, (size_t)(equals - text));
    name[equals - text] = '\0';
    if (fbat_config_set(&command->config, name, equals + 1, &error) == FBAT_OK)
        return true;
    command_fail_with(command, &error);
    return false;
}

/* The verb's options in the form of getopt_long: short string (with room for ":x:" each) and long table. */
static void build_getopt_tables(const struct verb *verb, char *letters, struct option *longs) {
    *letters++ = ':';
    for (const uint8_t *key = verb->options; *key != OPTION_END; key++) {
        const struct option_spec *spec = &option_specs[*key];
        longs->name = spec->name;
        longs->has_arg = spec->argument != NULL ? required_argument : no_argument;
        longs->flag = NULL;
        longs->val = LONG_OPTION_BASE + *key;
        longs++;
        if (spec->letter != 0) {
            *letters++ = spec->letter;
            if (spec->argument != NULL)
                *letters++ = ':';
        }
    }
    *letters = '\0';
    memset(longs, 0, sizeof *longs);
}

static enum option_key key_of_result(const struct verb *verb, int result) {
    if (result >= LONG_OPTION_BASE)
        return (enum option_key)(result - LONG_OPTION_BASE);
    for (const uint8_t *key = verb->options; *key != OPTION_END; key++)
        if (option_specs[*key].letter == result)
            return (enum option_key) * key;
    return OPTION_END;
}

static enum exit_code fail_option(const struct command *command, int result, const char *argument, int letter) {
    const char *verb = command->verb->name;
    if (result == ':')
        return command_fail(command, "option '%s' needs a value; see fbat %s --help", argument, verb);
    if (letter > 0 && letter < LONG_OPTION_BASE)
        return command_fail(command, "unknown option '-%c'; see fbat %s --help", letter, verb);
    return command_fail(command, "unknown option '%s'; see fbat %s --help", argument, verb);
}

static bool accept_option(struct command *command, enum option_key key, const char *value) {
    const struct option_spec *spec = &option_specs[key];
    if (!spec->repeats && command_has(command, key)) {
        if (spec->argument == NULL)
            return true;
        command_fail(command, "--%s is given twice", spec->name);
        return false;
    }
    command->uses[command->use_count].key = key;
    command->uses[command->use_count].value = value;
    command->use_count++;
    return key != OPTION_CONFIG || set_config_field(command, value);
}

static enum exit_code check_arguments(struct command *command) {
    const struct verb *verb = command->verb;
    if (command->argument_count < verb->arguments_min)
        return command_fail(command, "too few arguments; usage: fbat %s %s", verb->name, verb->arguments);
    if (command->argument_count > verb->arguments_max)
        return command_fail(command, "too many arguments, '%s' is one; usage: fbat %s %s",
                            command->arguments[verb->arguments_max], verb->name, verb->arguments);
    if (command->arguments[0][0] == '\0')
        return command_fail(command, "DIR is empty; name the directory of the store");
    command->config.data_dir = command->arguments[0];
    return EXIT_DONE;
}

enum exit_code command_parse(struct command *command, const struct verb *verb, int argc, char **argv, bool *out_help) {
    char letters[2 * VERB_OPTIONS_MAX + 2];
    struct option longs[VERB_OPTIONS_MAX + 1];
    memset(command, 0, sizeof *command);
    command->verb = verb;
    command->uses = heap_allocate(((size_t)argc + OPTION_KEY_COUNT) * sizeof *command->uses);
    fbat_config_init(&command->config, NULL);
    out_init(&command->out, 1);
    build_getopt_tables(verb, letters, longs);
    *out_help = false;
    opterr = 0;
    for (int result; (result = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (result == '?' || result == ':')
            return fail_option(command, result, argv[optind - 1], optopt);
        enum option_key key = key_of_result(verb, result);
        if (key == OPTION_HELP) {
            *out_help = true;
            return EXIT_DONE;
        }
        if (!accept_option(command, key, optarg))
            return EXIT_ERROR;
    }
    command->arguments = argv + optind;
    command->argument_count = argc - optind;
    return check_arguments(command);
}

void command_deinit(struct command *command) {
    out_deinit(&command->out);
    free(command->uses);
    command->uses = NULL;
}

struct fbat_store *command_open_to_read(const struct command *command) {
    struct fbat_store *store = NULL;
    struct fbat_error error;
    if (fbat_open_read_only(&command->config, &store, &error) == FBAT_OK)
        return store;
    command_fail_with(command, &error);
    return NULL;
}

struct fbat_store *command_open_to_write(const struct command *command) {
    struct fbat_store *store = NULL;
    struct fbat_error error;
    if (fbat_open(&command->config, &store, &error) == FBAT_OK)
        return store;
    command_fail_with(command, &error);
    return NULL;
}

enum exit_code command_close(const struct command *command, struct fbat_store *store, enum exit_code code) {
    struct fbat_error error;
    if (fbat_close(store, &error) == FBAT_OK)
        return code;
    command_fail_with(command, &error);
    return EXIT_ERROR;
}
