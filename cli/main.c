/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat, the command.
 *
 * Happy path: find the verb, parse its options, run it, flush standard output. A write error on standard output is
 * reported here, whichever verb made it; a reader that went away (SIGPIPE, EPIPE) is no error worth a word. Main
 * thread only.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "help.h"

static enum exit_code finish_output(struct out *out, enum exit_code code) {
    int failed = out_flush(out);
    if (failed == 0)
        return code;
    if (failed != EPIPE)
        fprintf(stderr, "fbat: cannot write to standard output: %s\n", strerror(failed));
    return EXIT_ERROR;
}

static enum exit_code fail_unknown_verb(const char *name) {
    const struct verb *nearest = help_nearest_verb(name);
    if (nearest != NULL)
        fprintf(stderr, "fbat: there is no verb '%s'; did you mean '%s'? fbat --help lists them\n", name,
                nearest->name);
    else
        fprintf(stderr, "fbat: there is no verb '%s'; fbat --help lists them\n", name);
    return EXIT_ERROR;
}

static enum exit_code print_version(void) {
    struct out out;
    out_init(&out, 1);
    out_printf(&out, "fbat %s\nlibfbat %s, disk version %d\n", FBAT_VERSION_STRING, fbat_version(), FBAT_DISK_VERSION);
    enum exit_code code = finish_output(&out, EXIT_DONE);
    out_deinit(&out);
    return code;
}

/* fbat help [VERB | config | verbs]. */
static enum exit_code print_help(const char *topic) {
    struct out out;
    enum exit_code code = EXIT_DONE;
    const struct verb *verb = topic != NULL ? help_find_verb(topic) : NULL;
    out_init(&out, 1);
    if (topic == NULL)
        help_print_all(&out);
    else if (verb != NULL)
        help_print_verb(&out, verb);
    else if (strcmp(topic, "config") == 0)
        help_print_config(&out);
    else if (strcmp(topic, "verbs") == 0)
        help_print_verb_names(&out);
    else
        code = fail_unknown_verb(topic);
    code = finish_output(&out, code);
    out_deinit(&out);
    return code;
}

static enum exit_code run_verb(const struct verb *verb, int argc, char **argv) {
    struct command command;
    bool help_wanted;
    enum exit_code code = command_parse(&command, verb, argc, argv, &help_wanted);
    if (code == EXIT_DONE && help_wanted)
        help_print_verb(&command.out, verb);
    else if (code == EXIT_DONE)
        code = verb->run(&command);
    code = finish_output(&command.out, code);
    command_deinit(&command);
    return code;
}

static enum exit_code run_command(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "fbat: a verb is missing; usage: fbat VERB DIR ...; fbat --help lists the verbs\n");
        return EXIT_ERROR;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return print_help(NULL);
    if (strcmp(word, "help") == 0)
        return print_help(argc > 2 ? argv[2] : NULL);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return print_version();
    if (word[0] == '-') {
        fprintf(stderr, "fbat: unknown option '%s'; usage: fbat VERB DIR ...; see fbat --help\n", word);
        return EXIT_ERROR;
    }
    const struct verb *verb = help_find_verb(word);
    if (verb == NULL)
        return fail_unknown_verb(word);
    return run_verb(verb, argc - 1, argv + 1);
}

int main(int argc, char **argv) {
    return (int)run_command(argc, argv);
}
