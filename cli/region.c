/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Regions: see region.h. Each option narrows one field; a bad value is an error that says what was expected. Main
 * thread only.
 */
#include "region.h"

#include <string.h>

#include "cloudevent.h"
#include "text.h"
#include "times.h"

bool region_kind_number(const char *text, uint16_t *out_kind) {
    const char *colon = strchr(text, ':');
    char category_text[8];
    uint64_t category, number;
    if (cloudevent_kind_number(fbat_text(text), out_kind))
        return true;
    if (colon == NULL) {
        if (!number_parse(text, &number) || number > UINT16_MAX)
            return false;
        *out_kind = (uint16_t)number;
        return true;
    }
    if ((size_t)(colon - text) >= sizeof category_text)
        return false;
    memcpy(category_text, text, (size_t)(colon - text));
    category_text[colon - text] = '\0';
    if (!number_parse(category_text, &category) || !number_parse(colon + 1, &number) || category > 15 || number > 4095)
        return false;
    *out_kind = FBAT_KIND(category, number);
    return true;
}

enum exit_code region_find_kind(const struct command *command, struct fbat_store *store, struct fbat_region *region) {
    const char *text = command_option(command, OPTION_KIND);
    if (text == NULL || region_kind_number(text, &region->kind))
        return EXIT_DONE;
    if (fbat_kind(store, fbat_text(text), &region->kind) == FBAT_OK)
        return EXIT_DONE;
    command_fail(command, "no kind is named '%s'; `fbat kinds %s` lists them", text, command->arguments[0]);
    return EXIT_NO;
}

/* A kind given as a number; a name is looked up later. */
static bool check_kind_number(const struct command *command) {
    const char *text = command_option(command, OPTION_KIND);
    uint16_t kind;
    if (text == NULL || !region_kind_number(text, &kind) || kind != 0)
        return true;
    command_fail(command, "--kind is '%s'; kind 0 is none, expected 0x0001 to 0xffff", text);
    return false;
}

static bool find_time(const struct command *command, enum option_key key, bool end, int64_t *out_us) {
    const char *text = command_option(command, key);
    if (text == NULL || time_parse_bound(text, end, out_us))
        return true;
    command_fail(command,
                 "--%s is '%s'; expected a time like 2024-01-31T12:00:00Z, a date like 2024-01-31, or an age like -1h",
                 option_specs[key].name, text);
    return false;
}

static bool find_ranges(const struct command *command, struct fbat_region *region) {
    uint64_t category;
    if (!command_number(command, OPTION_CATEGORY, 0, 15, 0, &category))
        return false;
    region->category = (uint16_t)category;
    if (command_has(command, OPTION_CATEGORY) && category == 0) {
        command_fail(command, "--category is 0, the store's own; expected 1 to 15, or --system");
        return false;
    }
    return command_number(command, OPTION_FROM_SEQUENCE, 0, UINT64_MAX, 0, &region->sequence_min) &&
           command_number(command, OPTION_TO_SEQUENCE, 1, UINT64_MAX, 0, &region->sequence_max) &&
           command_number(command, OPTION_FROM_REVISION, 0, UINT64_MAX, 0, &region->revision_min) &&
           command_number(command, OPTION_TO_REVISION, 1, UINT64_MAX, 0, &region->revision_max) &&
           find_time(command, OPTION_SINCE, false, &region->time_min_us) &&
           find_time(command, OPTION_UNTIL, true, &region->time_max_us);
}

static bool find_names(const struct command *command, struct fbat_region *region) {
    const char *prefix = command_option(command, OPTION_ENTITY_PREFIX);
    region->entity = fbat_text(command_option(command, OPTION_ENTITY));
    region->scope = fbat_text(command_option(command, OPTION_SCOPE));
    if (prefix == NULL)
        return true;
    if (command_has(command, OPTION_ENTITY)) {
        command_fail(command, "--entity and --entity-prefix exclude each other");
        return false;
    }
    region->entity = fbat_text(prefix);
    region->flags |= FBAT_REGION_ENTITY_PREFIX;
    return true;
}

bool region_from_options(const struct command *command, struct fbat_region *out_region) {
    struct fbat_region region;
    memset(&region, 0, sizeof region);
    region.struct_size = sizeof region;
    if (command_has(command, OPTION_SYSTEM))
        region.flags |= FBAT_REGION_SYSTEM;
    if (!find_names(command, &region) || !find_ranges(command, &region) || !check_kind_number(command))
        return false;
    *out_region = region;
    return true;
}

bool region_query_options(const struct command *command, struct fbat_query_options *out_options) {
    memset(out_options, 0, sizeof *out_options);
    out_options->struct_size = sizeof *out_options;
    out_options->direction = command_has(command, OPTION_REVERSE) ? FBAT_BACKWARD : FBAT_FORWARD;
    return command_number(command, OPTION_LIMIT, 1, UINT64_MAX, 0, &out_options->limit);
}
