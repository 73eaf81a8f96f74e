/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat dump: what the files hold, in file order: segment headers, frames, event records, footers. Main thread only.
 */
#include <string.h>

#include "event_print.h"
#include "json_write.h"
#include "text.h"
#include "verbs.h"

static const char *name_entry(enum fbat_dump_what what) {
    switch (what) {
    case FBAT_DUMP_SEGMENT: return "segment";
    case FBAT_DUMP_FRAME: return "frame";
    case FBAT_DUMP_EVENT: return "event";
    case FBAT_DUMP_FOOTER: return "footer";
    case FBAT_DUMP_BROKEN: return "broken";
    }
    return "unknown";
}

static const char *name_frame(uint32_t type) {
    switch (type) {
    case FBAT_FRAME_EVENTS: return "events";
    case FBAT_FRAME_STAGED: return "staged";
    case FBAT_FRAME_COMMIT: return "commit";
    default: return "unknown";
    }
}

static void print_event_entry(const struct command *command, struct out *out, const struct fbat_event *event) {
    char id[FBAT_ID_TEXT_SIZE], type[16];
    fbat_id_format(&event->id, id);
    out_printf(out, "sequence %llu  kind 0x%04x  %s  ", (unsigned long long)event->sequence, event->kind, id);
    text_print(out, event->scope, SIZE_MAX);
    out_char(out, ' ');
    text_print(out, event->entity, SIZE_MAX);
    out_printf(out, "@%llu  %s[%zu]", (unsigned long long)event->revision,
               event_payload_type_name(event->payload_type, type), event->payload.size);
    if (command_has(command, OPTION_PAYLOAD)) {
        out_text(out, "  ");
        event_print_payload_line(out, event, SIZE_MAX);
    }
}

static void print_entry(const struct command *command, struct out *out, const struct fbat_dump_entry *entry) {
    out_printf(out, "%06llu.fbat:%-10llu %-8s%8llu bytes  ", (unsigned long long)entry->segment_id,
               (unsigned long long)entry->offset, name_entry(entry->what), (unsigned long long)entry->bytes);
    if (entry->event != NULL)
        print_event_entry(command, out, entry->event);
    else if (entry->what == FBAT_DUMP_FRAME)
        out_printf(out, "%s  first sequence %llu  events %u  durable %llu  crc32c %08x", name_frame(entry->frame_type),
                   (unsigned long long)entry->first_sequence, entry->event_count,
                   (unsigned long long)entry->durable_sequence, entry->crc32c);
    else if (entry->what == FBAT_DUMP_SEGMENT)
        out_printf(out, "first sequence %llu  crc32c %08x", (unsigned long long)entry->first_sequence, entry->crc32c);
    if (entry->detail != NULL && entry->detail[0] != '\0') {
        out_text(out, "  ");
        text_print(out, fbat_text(entry->detail), SIZE_MAX);
    }
    out_char(out, '\n');
}

static void write_event_members(const struct command *command, struct json_writer *json,
                                const struct fbat_event *event) {
    char type[16];
    json_member_u64(json, "sequence", event->sequence);
    json_member_u64(json, "revision", event->revision);
    json_member_u64(json, "kind", event->kind);
    json_member_id(json, "id", &event->id);
    json_member_slice(json, "scope", event->scope);
    json_member_slice(json, "entity", event->entity);
    json_member_time(json, "recordedtime", event->recorded_us);
    json_member_hex(json, "hash", event->hash, 32);
    json_member_hex(json, "previous_hash", event->previous_hash, 32);
    json_member_text(json, "payload_type", event_payload_type_name(event->payload_type, type));
    json_member_u64(json, "payload_bytes", event->payload.size);
    if (!command_has(command, OPTION_PAYLOAD))
        return;
    json_name(json, "payload_base64");
    out_char(json->out, '"');
    base64_print(json->out, event->payload);
    out_char(json->out, '"');
}

static void write_entry(const struct command *command, struct out *out, const struct fbat_dump_entry *entry) {
    struct json_writer json;
    json_open(&json, out, '{');
    json_member_text(&json, "what", name_entry(entry->what));
    json_member_u64(&json, "segment", entry->segment_id);
    json_member_u64(&json, "offset", entry->offset);
    json_member_u64(&json, "bytes", entry->bytes);
    if (entry->what == FBAT_DUMP_FRAME) {
        json_member_text(&json, "type", name_frame(entry->frame_type));
        json_member_u64(&json, "events", entry->event_count);
        json_member_u64(&json, "durable_sequence", entry->durable_sequence);
    }
    if (entry->what == FBAT_DUMP_FRAME || entry->what == FBAT_DUMP_SEGMENT)
        json_member_u64(&json, "first_sequence", entry->first_sequence);
    if (entry->event != NULL)
        write_event_members(command, &json, entry->event);
    else
        json_member_u64(&json, "crc32c", entry->crc32c);
    if (entry->detail != NULL && entry->detail[0] != '\0')
        json_member_text(&json, "detail", entry->detail);
    json_close(&json, '}');
    out_char(out, '\n');
}

static int visit_entry(void *user, const struct fbat_dump_entry *entry) {
    struct command *command = user;
    if (command_has(command, OPTION_JSON))
        write_entry(command, &command->out, entry);
    else
        print_entry(command, &command->out, entry);
    return command->out.failed_errno != 0;
}

enum exit_code verb_dump(struct command *command) {
    struct fbat_error error;
    uint64_t segment;
    if (!command_number(command, OPTION_SEGMENT, 1, UINT64_MAX, 0, &segment))
        return EXIT_ERROR;
    int status = fbat_dump(command->config.data_dir, segment, visit_entry, command, &error);
    return status < 0 ? command_fail_with(command, &error) : EXIT_DONE;
}
