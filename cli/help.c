/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Help: see help.h. Everything is printed from the tables; nothing here knows a verb or an option by name.
 */
#include "help.h"

#include <string.h>

#define OPTION_COLUMN 28 /* where the help of an option starts */
#define NEAREST_DISTANCE_MAX 2
#define WORD_MAX 32 /* longest misspelt word that is compared */

static void print_padding(struct out *out, size_t used, size_t column) {
    out_spaces(out, used < column ? column - used : 1);
}

void help_print_all(struct out *out) {
    out_text(out, "fbat: the embedded event store\n\nusage: fbat VERB DIR ...\n\nverbs:\n");
    for (size_t i = 0; i < verb_count; i++) {
        out_printf(out, "  %s", verbs[i].name);
        print_padding(out, strlen(verbs[i].name) + 2, 12);
        out_printf(out, "%s\n", verbs[i].summary);
    }
    out_text(out,
             "\noptions:\n"
             "  --help, -h        print this text; after a verb, that verb's\n"
             "  --version, -V     print the version\n"
             "\nmore: fbat help VERB, fbat help config, fbat help verbs\n"
             "\nexit status: 0 done; 1 the answer is no, or damage was found; 2 usage or an error; 130 after Ctrl-C\n");
}

/* "  --limit, -n N", then the help in its column. */
static void print_option(struct out *out, const struct option_spec *spec) {
    size_t used = strlen(spec->name) + 4;
    out_printf(out, "  --%s", spec->name);
    if (spec->letter != 0) {
        out_printf(out, ", -%c", spec->letter);
        used += 4;
    }
    if (spec->argument != NULL) {
        out_printf(out, " %s", spec->argument);
        used += strlen(spec->argument) + 1;
    }
    print_padding(out, used, OPTION_COLUMN);
    out_printf(out, "%s\n", spec->help);
}

void help_print_verb(struct out *out, const struct verb *verb) {
    out_printf(out, "fbat %s: %s\n\nusage: fbat %s %s [OPTION...]\n\noptions:\n", verb->name, verb->summary, verb->name,
               verb->arguments);
    for (const uint8_t *key = verb->options; *key != OPTION_END; key++)
        print_option(out, &option_specs[*key]);
    if (verb->notes != NULL)
        out_printf(out, "\n%s", verb->notes);
}

void help_print_config(struct out *out) {
    struct fbat_config_field field;
    out_text(out, "configuration fields, set by -o NAME=VALUE:\n\n");
    for (size_t i = 0; fbat_config_field(i, &field) == FBAT_OK; i++)
        out_printf(out, "  %s\n      %s; %s; default %s\n", field.name, field.meaning, field.range,
                   field.default_value);
}

void help_print_verb_names(struct out *out) {
    for (size_t i = 0; i < verb_count; i++)
        out_printf(out, "%s\n", verbs[i].name);
}

const struct verb *help_find_verb(const char *name) {
    for (size_t i = 0; i < verb_count; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static size_t least_of(size_t a, size_t b, size_t c) {
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* How many letters must be added, removed, replaced, or swapped with the next, to make one word of the other. */
static size_t edit_distance(const char *a, const char *b) {
    size_t rows[3][WORD_MAX + 1], size = strlen(b);
    for (size_t j = 0; j <= size; j++)
        rows[0][j] = j;
    for (size_t i = 1; a[i - 1] != '\0'; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= size; j++) {
            row[j] = least_of(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least_of(row[j], row[j], two_above[j - 2] + 1);
        }
    }
    return rows[strlen(a) % 3][size];
}

const struct verb *help_nearest_verb(const char *name) {
    const struct verb *nearest = NULL;
    size_t least = NEAREST_DISTANCE_MAX + 1;
    if (strlen(name) > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < verb_count; i++) {
        size_t distance = edit_distance(name, verbs[i].name);
        if (distance < least && distance < strlen(verbs[i].name)) {
            least = distance;
            nearest = &verbs[i];
        }
    }
    return nearest;
}
