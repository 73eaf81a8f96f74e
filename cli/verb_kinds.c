/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat kinds: every kind that has a name or an event in the region. Main thread only.
 */
#include <stdlib.h>
#include <string.h>

#include "event_print.h"
#include "heap.h"
#include "json_write.h"
#include "region.h"
#include "text.h"
#include "verbs.h"

#define KIND_COUNT 65536

static int note_kind_count(void *user, uint16_t kind, struct fbat_slice name, uint64_t event_count) {
    uint64_t *counts = user;
    (void)name;
    counts[kind] = event_count;
    return 0;
}

static void print_kind_json(struct out *out, uint16_t kind, struct fbat_slice name, uint64_t count) {
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_u64(&json, "kind", kind);
    json_member_u64(&json, "category", FBAT_KIND_CATEGORY(kind));
    json_member_u64(&json, "type", FBAT_KIND_TYPE(kind));
    if (name.size > 0)
        json_member_slice(&json, "name", name);
    json_member_u64(&json, "count", count);
    json_close(&json, '}');
    out_char(out, '\n');
}

static void print_kind_line(struct out *out, uint16_t kind, struct fbat_slice name, uint64_t count) {
    char number[NUMBER_TEXT_SIZE];
    out_printf(out, "0x%04x  %14s  ", kind, number_grouped(count, number));
    text_print(out, name, SIZE_MAX);
    out_char(out, '\n');
}

static void print_kinds(const struct command *command, struct out *out, struct fbat_store *store,
                        const uint64_t *counts) {
    bool json = command_has(command, OPTION_JSON), system = command_has(command, OPTION_SYSTEM);
    if (!json)
        out_text(out, "kind            events  name\n");
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        struct fbat_slice name = fbat_text(NULL);
        bool named = fbat_kind_name(store, (uint16_t)kind, &name) == FBAT_OK;
        bool own = FBAT_KIND_CATEGORY(kind) == FBAT_CATEGORY_SYSTEM;
        if (counts[kind] == 0 && (!named || (own && !system)))
            continue;
        if (json)
            print_kind_json(out, (uint16_t)kind, name, counts[kind]);
        else
            print_kind_line(out, (uint16_t)kind, name, counts[kind]);
    }
}

static enum exit_code list_kinds(struct command *command, struct fbat_store *store, struct fbat_region *region,
                                 uint64_t *counts) {
    struct fbat_error error;
    enum exit_code code = region_find_kind(command, store, region);
    if (code != EXIT_DONE)
        return code;
    if (fbat_kind_counts(store, region, note_kind_count, counts, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    print_kinds(command, &command->out, store, counts);
    return EXIT_DONE;
}

enum exit_code verb_kinds(struct command *command) {
    struct fbat_region region;
    if (!region_from_options(command, &region))
        return EXIT_ERROR;
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    uint64_t *counts = heap_allocate(KIND_COUNT * sizeof *counts);
    memset(counts, 0, KIND_COUNT * sizeof *counts);
    enum exit_code code = list_kinds(command, store, &region, counts);
    free(counts);
    return command_close(command, store, code);
}
