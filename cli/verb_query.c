/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat query and fbat stream: the events of a region, or of one stream.
 *
 * Happy path: options become a region, the store is opened for reading, and what its iterator gives is printed.
 * Failure: an unknown kind or stream is the answer no, exit 1. Main thread only.
 */
#include <stddef.h>
#include <string.h>

#include "event_print.h"
#include "json_write.h"
#include "region.h"
#include "text.h"
#include "verbs.h"

#define SCOPES_LISTED_MAX 8

static enum exit_code print_count(struct command *command, struct fbat_store *store, const struct fbat_region *region) {
    struct fbat_error error;
    uint64_t count;
    if (fbat_query_count(store, region, &count, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    if (command_has(command, OPTION_JSON))
        out_printf(&command->out, "{\"count\":%llu}\n", (unsigned long long)count);
    else
        out_printf(&command->out, "%llu\n", (unsigned long long)count);
    return EXIT_DONE;
}

/* ---- --explain ---- */

static const struct strategy_name {
    uint32_t strategy;
    const char *name, *meaning;
} strategy_names[] = {
    {FBAT_STRATEGY_RANGE, "range", "every event of a range"},
    {FBAT_STRATEGY_LINKS, "links", "one stream, from event to event"},
    {FBAT_STRATEGY_GROUPS, "groups", "one stream, by entity_groups"},
    {FBAT_STRATEGY_MERGE, "merge", "several streams, by entity_groups"},
    {FBAT_STRATEGY_COLUMNS, "columns", "a scan of columns (soa)"},
    {FBAT_STRATEGY_TILES, "tiles", "summaries of tiles (tiles64)"},
    {FBAT_STRATEGY_ROWS, "rows", "a scan of base rows"},
};
enum { STRATEGIES = sizeof strategy_names / sizeof strategy_names[0] };

static const struct plan_number {
    const char *name, *title;
    size_t at;
} plan_numbers[] = {
    {"segments", "segments", offsetof(struct fbat_query_plan, segments)},
    {"segments_skipped", "segments skipped", offsetof(struct fbat_query_plan, segments_skipped)},
    {"segments_opened", "segments opened", offsetof(struct fbat_query_plan, segments_opened)},
    {"streams_merged", "streams merged", offsetof(struct fbat_query_plan, streams_merged)},
    {"tiles_skipped", "tiles skipped", offsetof(struct fbat_query_plan, tiles_skipped)},
    {"tiles_looked_at", "tiles looked at", offsetof(struct fbat_query_plan, tiles_looked_at)},
    {"rows_looked_at", "rows looked at", offsetof(struct fbat_query_plan, rows_looked_at)},
    {"events", "events", offsetof(struct fbat_query_plan, events_given)},
};
enum { PLAN_NUMBERS = sizeof plan_numbers / sizeof plan_numbers[0] };

static unsigned long long number_of(const struct fbat_query_plan *plan, size_t index) {
    uint64_t value;
    memcpy(&value, (const char *)plan + plan_numbers[index].at, sizeof value);
    return value;
}

static void print_plan_json(struct out *out, const struct fbat_query_plan *plan) {
    struct json_writer json, list;
    json_open(&json, out, '{');
    json_member_open(&json, "strategies", &list, '[');
    for (size_t i = 0; i < STRATEGIES; i++)
        if (plan->strategies & strategy_names[i].strategy) {
            json_comma(&list);
            json_print_string(out, fbat_text(strategy_names[i].name));
        }
    json_close(&list, ']');
    for (size_t i = 0; i < PLAN_NUMBERS; i++)
        json_member_u64(&json, plan_numbers[i].name, number_of(plan, i));
    json_member_text(&json, "simd", plan->simd);
    json_close(&json, '}');
    out_printf(out, "\n");
}

static void print_plan(struct command *command, const struct fbat_query_plan *plan) {
    struct out *out = &command->out;
    if (command_has(command, OPTION_JSON)) {
        print_plan_json(out, plan);
        return;
    }
    for (size_t i = 0; i < STRATEGIES; i++)
        if (plan->strategies & strategy_names[i].strategy)
            out_printf(out, "%-18s%s: %s\n", "found by", strategy_names[i].name, strategy_names[i].meaning);
    for (size_t i = 0; i < PLAN_NUMBERS; i++)
        out_printf(out, "%-18s%llu\n", plan_numbers[i].title, number_of(plan, i));
    out_printf(out, "%-18s%s\n", "columns compared", plan->simd);
}

/* The query is run to its end, or to its limit. */
static enum exit_code explain(struct command *command, struct fbat_iterator *iterator) {
    struct fbat_query_plan plan = {.struct_size = sizeof plan};
    struct fbat_event event;
    struct fbat_error error;
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        ;
    if (status == FBAT_END)
        status = fbat_iterator_plan(iterator, &plan);
    fbat_iterator_close(iterator);
    if (status < 0)
        return command_fail_with(command, &error);
    print_plan(command, &plan);
    return EXIT_DONE;
}

/* ---- events ---- */

static enum exit_code print_region(struct command *command, struct fbat_store *store, const struct fbat_region *region,
                                   const struct fbat_query_options *options) {
    struct fbat_iterator *iterator;
    struct fbat_error error;
    struct event_printer printer;
    if (command_has(command, OPTION_COUNT) && !command_has(command, OPTION_EXPLAIN))
        return print_count(command, store, region);
    if (fbat_query(store, region, options, &iterator, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    if (command_has(command, OPTION_EXPLAIN))
        return explain(command, iterator);
    event_printer_init(&printer, command, store);
    return event_print_all(&printer, command, iterator);
}

enum exit_code verb_query(struct command *command) {
    struct fbat_query_options options;
    struct fbat_region region;
    if (!region_from_options(command, &region) || !region_query_options(command, &options))
        return EXIT_ERROR;
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    enum exit_code code = region_find_kind(command, store, &region);
    if (code == EXIT_DONE)
        code = print_region(command, store, &region, &options);
    return command_close(command, store, code);
}

/* The scopes that have an entity, as far as they are listed. */
struct scope_list {
    struct fbat_event events[SCOPES_LISTED_MAX]; /* one of each scope, pinned */
    size_t count;
};

static void note_scope(struct scope_list *list, struct fbat_store *store, const struct fbat_event *event) {
    for (size_t i = 0; i < list->count; i++)
        if (list->events[i].scope.size == event->scope.size &&
            memcmp(list->events[i].scope.data, event->scope.data, event->scope.size) == 0)
            return;
    if (list->count == SCOPES_LISTED_MAX)
        return;
    list->events[list->count] = *event;
    fbat_event_retain(&list->events[list->count], store);
    list->count++;
}

static enum exit_code list_scopes(const struct command *command, struct fbat_store *store, struct fbat_region region,
                                  struct scope_list *list) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    list->count = 0;
    region.revision_min = 1;
    region.revision_max = 1; /* each stream's first */
    if (fbat_query(store, &region, NULL, &iterator, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        note_scope(list, store, &event);
    fbat_iterator_close(iterator);
    return status < 0 ? command_fail_with(command, &error) : EXIT_DONE;
}

static enum exit_code fail_several_scopes(const struct command *command, const struct scope_list *list) {
    char text[SCOPES_LISTED_MAX * 100];
    size_t used = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct fbat_slice scope = list->events[i].scope;
        size_t size = scope.size < 80 ? scope.size : 80;
        if (i > 0) {
            memcpy(text + used, ", ", 2);
            used += 2;
        }
        memcpy(text + used, scope.data, size);
        used += size;
    }
    return command_fail(command, "'%s' is in several scopes; choose one with --scope: %.*s%s", command->arguments[1],
                        (int)used, text, list->count == SCOPES_LISTED_MAX ? ", ..." : "");
}

/* The list of the one scope that is given, if the stream exists there. */
static enum exit_code take_given_scope(const struct command *command, struct fbat_store *store,
                                       const struct fbat_region *region, struct scope_list *list) {
    struct fbat_error error;
    int status = fbat_latest(store, region->entity, region->scope, &list->events[0], &error);
    if (status != FBAT_OK && status != FBAT_ERR_NOT_FOUND)
        return command_fail_with(command, &error);
    list->count = status == FBAT_OK ? 1 : 0;
    return EXIT_DONE;
}

/* The stream that ENTITY and --scope mean, and whether there is one. */
static enum exit_code find_stream(const struct command *command, struct fbat_store *store, struct fbat_region *region,
                                  struct scope_list *list) {
    struct fbat_region streams = {.struct_size = sizeof streams, .flags = FBAT_REGION_SYSTEM};
    streams.entity = region->entity;
    enum exit_code code = region->scope.size > 0 ? take_given_scope(command, store, region, list)
                                                 : list_scopes(command, store, streams, list);
    if (code != EXIT_DONE)
        return code;
    if (list->count == 0) {
        command_fail(command, "there is no stream '%s'", command->arguments[1]);
        return EXIT_NO;
    }
    if (list->count > 1)
        return fail_several_scopes(command, list);
    region->scope = list->events[0].scope;
    if (text_equal(region->scope, FBAT_SYSTEM_SCOPE))
        region->flags |= FBAT_REGION_SYSTEM;
    return EXIT_DONE;
}

enum exit_code verb_stream(struct command *command) {
    struct fbat_query_options options;
    struct fbat_region region;
    struct scope_list list = {.count = 0};
    if (!region_from_options(command, &region) || !region_query_options(command, &options))
        return EXIT_ERROR;
    if (command->arguments[1][0] == '\0')
        return command_fail(command, "ENTITY is empty; expected a name");
    region.entity = fbat_text(command->arguments[1]);
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    enum exit_code code = region_find_kind(command, store, &region);
    if (code == EXIT_DONE)
        code = find_stream(command, store, &region, &list);
    if (code == EXIT_DONE)
        code = print_region(command, store, &region, &options);
    for (size_t i = 0; i < list.count; i++)
        fbat_event_release(&list.events[i]);
    return command_close(command, store, code);
}
