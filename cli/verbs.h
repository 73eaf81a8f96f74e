/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs' functions. Each takes a parsed command line, does its work and returns the exit code; standard output
 * is command->out, which main flushes and checks.
 */
#ifndef FBAT_CLI_VERBS_H
#define FBAT_CLI_VERBS_H

#include "command.h"

enum exit_code verb_init(struct command *command);
enum exit_code verb_append(struct command *command);
enum exit_code verb_import(struct command *command);
enum exit_code verb_export(struct command *command);
enum exit_code verb_get(struct command *command);
enum exit_code verb_query(struct command *command);
enum exit_code verb_stream(struct command *command);
enum exit_code verb_tail(struct command *command);
enum exit_code verb_cursors(struct command *command);
enum exit_code verb_kinds(struct command *command);
enum exit_code verb_stats(struct command *command);
enum exit_code verb_check(struct command *command);
enum exit_code verb_dump(struct command *command);

#endif
