/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts, generated from the tables of verbs and options, and the nearest verb to a misspelt one. */
#ifndef FBAT_CLI_HELP_H
#define FBAT_CLI_HELP_H

#include "command.h"

void help_print_all(struct out *out);
void help_print_verb(struct out *out, const struct verb *verb);

/* Every field that -o takes: name, default, range, meaning. */
void help_print_config(struct out *out);

/* The names of the verbs, one a line, for completion and tools. */
void help_print_verb_names(struct out *out);

const struct verb *help_find_verb(const char *name);

/* The verb a typing mistake or two away, or NULL. */
const struct verb *help_nearest_verb(const char *name);

#endif
