/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration as a table: one row a field, from which defaults, validation, setting by name and printing follow.
 * Pure; any thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/limits.h"

enum field_type {
    FIELD_U8_FLAG,
    FIELD_U32,
    FIELD_U64,
    FIELD_SIZE32,
    FIELD_SIZE64,
    FIELD_CHOICE,
    FIELD_RESTART,
    FIELD_VIEWS
};

struct field {
    struct fbat_config_field public_row;
    enum field_type type;
    size_t offset;
    uint64_t least, most;
    const char *const *choices; /* of FIELD_CHOICE, ended by NULL */
};

static const char *const sync_modes[] = {"all", "data", NULL};
static const char *const layouts[] = {"aos", "soa", "aosoa8", "aosoa16", "aosoa64", "soaos", NULL};

#define AT(member) offsetof(struct fbat_config, member)
#define ROW(name, default_value, range, meaning)                                                                       \
    { name, default_value, range, meaning }

static const struct field fields[] = {
    {ROW("segment_max_bytes", "256MiB", "> 0", "the active segment is sealed when the next frame would pass it"),
     FIELD_SIZE64, AT(segment_max_bytes), 1, UINT64_MAX, NULL},
    {ROW("fd_budget", "64", "> 0", "most sealed segment files mapped at a time"), FIELD_U32, AT(fd_budget), 1,
     UINT32_MAX, NULL},
    {ROW("broadcast_capacity", "8192", "> 0", "how far a lossy subscriber may fall behind before it skips"), FIELD_U32,
     AT(broadcast_capacity), 1, UINT32_MAX, NULL},
    {ROW("single_append_max_bytes", "16MiB", "1..64MiB", "largest payload of one event"), FIELD_SIZE32,
     AT(single_append_max_bytes), 1, LIMIT_PAYLOAD_BYTES, NULL},
    {ROW("batch.max_size", "256", "1..4096", "most events in a batch"), FIELD_U32, AT(batch.max_size), 1,
     LIMIT_BATCH_EVENTS, NULL},
    {ROW("batch.max_bytes", "1MiB", "1..16MiB", "most payload bytes in a batch"), FIELD_SIZE32, AT(batch.max_bytes), 1,
     LIMIT_BATCH_BYTES, NULL},
    {ROW("batch.group_commit_max_batch", "1", "any",
         "most appends under one sync: 1 = each its own, N = up to N, 0 = all that wait"),
     FIELD_U32, AT(batch.group_commit_max_batch), 0, UINT32_MAX, NULL},
    {ROW("writer.channel_capacity", "4096", "> 0", "places in the writer's mailbox"), FIELD_U32,
     AT(writer.channel_capacity), 1, UINT32_MAX, NULL},
    {ROW("writer.pressure_retry_threshold_pct", "75", "1..100", "mailbox fill from which try_submit says retry"),
     FIELD_U32, AT(writer.pressure_retry_threshold_pct), 1, 100, NULL},
    {ROW("writer.stack_size", "0", "0 or up to 1GiB", "stack of each of the writer's threads; 0 = the system's"),
     FIELD_SIZE64, AT(writer.stack_size), 0, UINT64_C(1) << 30, NULL},
    {ROW("writer.restart_policy", "once", "once or bounded:MAX/WITHIN_MS",
         "how often the writer may recover from a failed write or sync"),
     FIELD_RESTART, AT(writer.restart_policy), 0, 0, NULL},
    {ROW("writer.shutdown_drain_limit", "1024", "any", "most queued appends completed at close"), FIELD_U32,
     AT(writer.shutdown_drain_limit), 0, UINT32_MAX, NULL},
    {ROW("sync.mode", "all", "all or data", "fsync or fdatasync"), FIELD_CHOICE, AT(sync.mode), 0, 1, sync_modes},
    {ROW("sync.every_n_events", "1000", ">= 1", "a sync is due after so many events; 1 = every append is durable"),
     FIELD_U32, AT(sync.every_n_events), 1, UINT32_MAX, NULL},
    {ROW("sync.max_delay_ms", "1000", "any", "and no later than this after the first unsynced event; 0 = no bound"),
     FIELD_U32, AT(sync.max_delay_ms), 0, UINT32_MAX, NULL},
    {ROW("index.layout", "aos", "aos, soa, aosoa8, aosoa16, aosoa64 or soaos", "which view answers scans first"),
     FIELD_CHOICE, AT(index.layout), 0, 5, layouts},
    {ROW("index.views", "all", "all, none or a list of soa, entity_groups, tiles64", "views beside the base rows"),
     FIELD_VIEWS, AT(index.views), 0, 0, NULL},
    {ROW("index.views.soa", "on", "on or off", "columns by kind, scope and time"), FIELD_U8_FLAG, AT(index.views.soa),
     0, 1, NULL},
    {ROW("index.views.entity_groups", "on", "on or off", "each stream's rows side by side"), FIELD_U8_FLAG,
     AT(index.views.entity_groups), 0, 1, NULL},
    {ROW("index.views.tiles64", "on", "on or off", "tiles of 64 events with summaries"), FIELD_U8_FLAG,
     AT(index.views.tiles64), 0, 1, NULL},
    {ROW("index.incremental_projection", "off", "on or off", "fold only what is newer than the cached state"),
     FIELD_U8_FLAG, AT(index.incremental_projection), 0, 1, NULL},
    {ROW("index.enable_checkpoint", "on", "on or off", "write index.ckpt at close and after compaction"), FIELD_U8_FLAG,
     AT(index.enable_checkpoint), 0, 1, NULL},
    {ROW("index.enable_mmap_index", "on", "on or off", "write and prefer index.fbati, mapped at open"), FIELD_U8_FLAG,
     AT(index.enable_mmap_index), 0, 1, NULL},
};

#undef AT
#undef ROW

enum { FIELD_COUNT = sizeof fields / sizeof fields[0] };

int fbat_config_field(size_t index, struct fbat_config_field *out_field) {
    if (index >= FIELD_COUNT)
        return FBAT_END;
    *out_field = fields[index].public_row;
    return FBAT_OK;
}

/* ---- numbers in and out of the struct ---- */

static uint64_t get_number(const struct fbat_config *config, const struct field *field) {
    const uint8_t *at = (const uint8_t *)config + field->offset;
    uint32_t narrow;
    uint64_t wide;
    switch (field->type) {
    case FIELD_U8_FLAG: return *at;
    case FIELD_U64:
    case FIELD_SIZE64: memcpy(&wide, at, sizeof wide); return wide;
    default: /* enums are unsigned int here */ memcpy(&narrow, at, sizeof narrow); return narrow;
    }
}

static void set_number(struct fbat_config *config, const struct field *field, uint64_t value) {
    uint8_t *at = (uint8_t *)config + field->offset;
    uint32_t narrow = (uint32_t)value;
    if (field->type == FIELD_U8_FLAG)
        *at = (uint8_t)value;
    else if (field->type == FIELD_U64 || field->type == FIELD_SIZE64)
        memcpy(at, &value, sizeof value);
    else
        memcpy(at, &narrow, sizeof narrow);
}

static_assert(sizeof(enum fbat_sync_mode) == sizeof(uint32_t), "choices are read as 32 bits");
static_assert(sizeof(enum fbat_index_layout) == sizeof(uint32_t), "choices are read as 32 bits");

/* ---- text to value ---- */

static bool parse_number(const char *text, uint64_t *out_value) {
    static const struct {
        const char *suffix;
        unsigned shift;
    } units[] = {{"", 0}, {"K", 10}, {"KiB", 10}, {"M", 20}, {"MiB", 20}, {"G", 30}, {"GiB", 30}};
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    for (size_t unit = 0; unit < sizeof units / sizeof units[0]; unit++)
        if (strcasecmp(end, units[unit].suffix) == 0) {
            if (value > UINT64_MAX >> units[unit].shift)
                return false;
            *out_value = (uint64_t)value << units[unit].shift;
            return true;
        }
    return false;
}

static bool parse_flag(const char *text, uint64_t *out_value) {
    static const char *const words[] = {"off", "on", "false", "true", "0", "1", "no", "yes"};
    for (size_t word = 0; word < sizeof words / sizeof words[0]; word++)
        if (strcasecmp(text, words[word]) == 0) {
            *out_value = word & 1;
            return true;
        }
    return false;
}

static bool parse_choice(const struct field *field, const char *text, uint64_t *out_value) {
    for (uint64_t choice = 0; field->choices[choice]; choice++)
        if (strcasecmp(text, field->choices[choice]) == 0) {
            *out_value = choice;
            return true;
        }
    return false;
}

/* Digits up to `end`, as a number from 1 to 32 bits. */
static bool parse_positive(const char *text, char end, uint32_t *out_value, const char **out_rest) {
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value <= UINT32_MAX; at++)
        value = value * 10 + (uint64_t)(*at - '0');
    if (at == text || *at != end || value == 0 || value > UINT32_MAX)
        return false;
    *out_value = (uint32_t)value;
    *out_rest = at + 1;
    return true;
}

static bool set_restart(struct fbat_config *config, const char *text) {
    static const char prefix[] = "bounded:";
    uint32_t max_restarts = 0, within_ms = 0;
    bool once = strcasecmp(text, "once") == 0;
    if (!once && (strncmp(text, prefix, sizeof prefix - 1) != 0 ||
                  !parse_positive(text + sizeof prefix - 1, '/', &max_restarts, &text) ||
                  !parse_positive(text, '\0', &within_ms, &text)))
        return false;
    config->writer.restart_policy.mode = once ? FBAT_RESTART_ONCE : FBAT_RESTART_BOUNDED;
    config->writer.restart_policy.max_restarts = max_restarts;
    config->writer.restart_policy.within_ms = within_ms;
    return true;
}

static uint8_t *view_named(struct fbat_index_views *views, const char *name, size_t length) {
    if (length == 3 && strncasecmp(name, "soa", length) == 0)
        return &views->soa;
    if (length == 13 && strncasecmp(name, "entity_groups", length) == 0)
        return &views->entity_groups;
    if (length == 7 && strncasecmp(name, "tiles64", length) == 0)
        return &views->tiles64;
    return NULL;
}

static bool set_views(struct fbat_config *config, const char *text) {
    bool all = strcasecmp(text, "all") == 0, none = strcasecmp(text, "none") == 0;
    struct fbat_index_views views = {all, all, all};
    while (!all && !none) {
        size_t length = strcspn(text, ",");
        uint8_t *view = view_named(&views, text, length);
        if (!view)
            return false;
        *view = 1;
        if (text[length] == '\0')
            break;
        text += length + 1;
    }
    config->index.views = views;
    return true;
}

static bool set_field(struct fbat_config *config, const struct field *field, const char *text) {
    uint64_t value;
    bool parsed;
    switch (field->type) {
    case FIELD_RESTART: return set_restart(config, text);
    case FIELD_VIEWS: return set_views(config, text);
    case FIELD_U8_FLAG: parsed = parse_flag(text, &value); break;
    case FIELD_CHOICE: parsed = parse_choice(field, text, &value); break;
    default: parsed = parse_number(text, &value); break;
    }
    if (!parsed || value < field->least || value > field->most)
        return false;
    set_number(config, field, value);
    return true;
}

/* ---- value to text ---- */

static void format_size(uint64_t value, char *out_text, size_t size) {
    static const char *const suffixes[] = {"", "KiB", "MiB", "GiB"};
    unsigned unit = 0;
    while (unit < 3 && value > 0 && value % 1024 == 0) {
        value /= 1024;
        unit++;
    }
    snprintf(out_text, size, "%" PRIu64 "%s", value, suffixes[unit]);
}

static void format_views(const struct fbat_index_views *views, char *out_text, size_t size) {
    if (views->soa && views->entity_groups && views->tiles64) {
        snprintf(out_text, size, "all");
        return;
    }
    snprintf(out_text, size, "%s%s%s", views->soa ? "soa," : "", views->entity_groups ? "entity_groups," : "",
             views->tiles64 ? "tiles64," : "");
    size_t length = strlen(out_text);
    if (length == 0)
        snprintf(out_text, size, "none");
    else
        out_text[length - 1] = '\0';
}

static void format_field(const struct fbat_config *config, const struct field *field, char *out_text, size_t size) {
    switch (field->type) {
    case FIELD_RESTART:
        if (config->writer.restart_policy.mode == FBAT_RESTART_ONCE)
            snprintf(out_text, size, "once");
        else
            snprintf(out_text, size, "bounded:%u/%u", config->writer.restart_policy.max_restarts,
                     config->writer.restart_policy.within_ms);
        return;
    case FIELD_VIEWS: format_views(&config->index.views, out_text, size); return;
    case FIELD_U8_FLAG: snprintf(out_text, size, "%s", get_number(config, field) ? "on" : "off"); return;
    case FIELD_CHOICE: snprintf(out_text, size, "%s", field->choices[get_number(config, field)]); return;
    case FIELD_SIZE32:
    case FIELD_SIZE64: format_size(get_number(config, field), out_text, size); return;
    case FIELD_U32:
    case FIELD_U64: snprintf(out_text, size, "%" PRIu64, get_number(config, field)); return;
    }
}

/* ---- from outside ---- */

void fbat_config_init(struct fbat_config *config, const char *data_dir) {
    memset(config, 0, sizeof *config);
    config->struct_size = sizeof *config;
    config->data_dir = data_dir;
    for (size_t index = 0; index < FIELD_COUNT; index++)
        (void)set_field(config, &fields[index], fields[index].public_row.default_value);
}

int fbat_config_set(struct fbat_config *config, const char *name, const char *value, struct fbat_error *out_error) {
    if (!config || !name || !value)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "config, name or value is NULL");
    for (size_t index = 0; index < FIELD_COUNT; index++) {
        const struct fbat_config_field *row = &fields[index].public_row;
        if (strcmp(row->name, name) != 0)
            continue;
        if (set_field(config, &fields[index], value))
            return FBAT_OK;
        return error_set(out_error, FBAT_ERR_CONFIG, "%s=%.100s is not valid: expected %s", name, value, row->range);
    }
    return error_set(out_error, FBAT_ERR_CONFIG, "there is no configuration field named %.100s", name);
}

static int validate_field(const struct fbat_config *config, const struct field *field, struct fbat_error *error) {
    if (field->type == FIELD_RESTART || field->type == FIELD_VIEWS)
        return FBAT_OK;
    uint64_t value = get_number(config, field);
    if (value >= field->least && value <= field->most)
        return FBAT_OK;
    return error_set(error, FBAT_ERR_CONFIG, "%s is %" PRIu64 ": expected %s", field->public_row.name, value,
                     field->public_row.range);
}

static int validate_restart(const struct fbat_config *config, struct fbat_error *error) {
    bool bounded = config->writer.restart_policy.mode == FBAT_RESTART_BOUNDED;
    if (!bounded && config->writer.restart_policy.mode != FBAT_RESTART_ONCE)
        return error_set(error, FBAT_ERR_CONFIG, "writer.restart_policy.mode is %d: expected 0 (once) or 1 (bounded)",
                         (int)config->writer.restart_policy.mode);
    if (bounded && (config->writer.restart_policy.max_restarts == 0 || config->writer.restart_policy.within_ms == 0))
        return error_set(error, FBAT_ERR_CONFIG,
                         "writer.restart_policy is bounded:%u/%u: both numbers must be greater than 0",
                         config->writer.restart_policy.max_restarts, config->writer.restart_policy.within_ms);
    return FBAT_OK;
}

int fbat_config_validate(const struct fbat_config *config, struct fbat_error *out_error) {
    if (!config)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "config is NULL");
    if (config->struct_size != sizeof *config)
        return error_set(out_error, FBAT_ERR_CONFIG, "config.struct_size is %u, expected %zu: use fbat_config_init",
                         config->struct_size, sizeof *config);
    if (!config->data_dir || !*config->data_dir)
        return error_set(out_error, FBAT_ERR_CONFIG, "data_dir is empty: expected the path of a directory");
    /* Room for "/000001.fbat" and the like behind it. */
    if (strlen(config->data_dir) > LIMIT_PATH_BYTES - 64)
        return error_set(out_error, FBAT_ERR_CONFIG, "data_dir has %zu bytes: expected at most %d",
                         strlen(config->data_dir), LIMIT_PATH_BYTES - 64);
    for (size_t index = 0; index < FIELD_COUNT; index++)
        FBAT_TRY(validate_field(config, &fields[index], out_error));
#ifndef FBAT_TEST_HOOKS
    if (config->fault_injector)
        return error_set(out_error, FBAT_ERR_CONFIG,
                         "fault_injector is set: expected NULL in a build without test hooks");
#endif
    return validate_restart(config, out_error);
}

size_t fbat_config_format(const struct fbat_config *config, char *out_text, size_t size) {
    size_t used = 0;
    for (size_t index = 0; index < FIELD_COUNT; index++) {
        char value[64];
        format_field(config, &fields[index], value, sizeof value);
        size_t room = used < size ? size - used : 0;
        used += (size_t)snprintf(room ? out_text + used : NULL, room, "%s=%s\n", fields[index].public_row.name, value);
    }
    return used;
}
