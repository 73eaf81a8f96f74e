/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat stats: counts, sizes, watermarks, and how the store was opened. Main thread only.
 */
#include "json_write.h"
#include "text.h"
#include "times.h"
#include "verbs.h"

static const char *name_open_path(enum fbat_open_path path) {
    switch (path) {
    case FBAT_OPEN_EMPTY: return "empty";
    case FBAT_OPEN_FRAMES: return "frames";
    case FBAT_OPEN_FOOTERS: return "footers";
    case FBAT_OPEN_CHECKPOINT: return "checkpoint";
    case FBAT_OPEN_MAPPED: return "mapped";
    }
    return "unknown";
}

static void print_number(struct out *out, const char *label, uint64_t value) {
    char text[NUMBER_TEXT_SIZE];
    out_printf(out, "%-24s%s\n", label, number_grouped(value, text));
}

static void print_bytes(struct out *out, const char *label, uint64_t value) {
    char text[NUMBER_TEXT_SIZE], exact[NUMBER_TEXT_SIZE];
    out_printf(out, "%-24s%s (%s)\n", label, number_of_bytes(value, text), number_grouped(value, exact));
}

static void print_time(struct out *out, const char *label, int64_t us) {
    char text[TIME_TEXT_SIZE];
    time_format(us, text);
    out_printf(out, "%-24s%s\n", label, text);
}

static void print_counts(struct out *out, const struct fbat_stats *stats) {
    char id[FBAT_ID_TEXT_SIZE];
    fbat_id_format(&stats->store_id, id);
    out_printf(out, "%-24s%s\n", "store", id);
    print_time(out, "created", stats->created_us);
    out_printf(out, "%-24s%u\n", "disk version", stats->disk_version);
    print_number(out, "events", stats->events);
    print_number(out, "system events", stats->system_events);
    print_number(out, "streams", stats->streams);
    print_number(out, "kinds with a name", stats->kinds_named);
    if (stats->last_sequence == 0)
        return;
    print_number(out, "first sequence", stats->first_sequence);
    print_number(out, "last sequence", stats->last_sequence);
    print_time(out, "first recorded", stats->first_recorded_us);
    print_time(out, "last recorded", stats->last_recorded_us);
}

static void print_sizes(struct out *out, const struct fbat_stats *stats) {
    char sealed[NUMBER_TEXT_SIZE], all[NUMBER_TEXT_SIZE];
    out_printf(out, "%-24s%s, %s sealed\n", "segments", number_grouped(stats->segments, all),
               number_grouped(stats->segments_sealed, sealed));
    print_bytes(out, "on disk", stats->bytes_on_disk);
    print_bytes(out, "frames", stats->bytes_of_frames);
    print_bytes(out, "footers", stats->bytes_of_footers);
    print_bytes(out, "index in memory", stats->memory_index);
}

static void print_opening(struct out *out, const struct fbat_open_report *report) {
    char scanned[NUMBER_TEXT_SIZE], total[NUMBER_TEXT_SIZE], duration[NUMBER_TEXT_SIZE];
    out_printf(out, "%-24sby %s, %s us, %s of %s events scanned\n", "opened", name_open_path(report->path),
               number_grouped(report->duration_us, duration), number_grouped(report->events_scanned, scanned),
               number_grouped(report->events_total, total));
    out_printf(out, "%-24s%u used, %u rebuilt\n", "footers at opening", report->footers_used, report->footers_rebuilt);
    out_printf(out, "%-24s%s\n", "closed by its writer", report->clean ? "yes" : "no: open now, or killed");
    if (report->dropped_bytes > 0)
        out_printf(out, "%-24s%llu bytes of segment %llu at offset %llu\n", "torn tail",
                   (unsigned long long)report->dropped_bytes, (unsigned long long)report->dropped_segment_id,
                   (unsigned long long)report->dropped_offset);
    if (report->detail[0] != '\0')
        out_printf(out, "%-24s%s\n", "detail", report->detail);
}

static void print_watermarks(struct out *out, const struct fbat_frontier *frontier) {
    print_number(out, "accepted up to", frontier->accepted);
    print_number(out, "written up to", frontier->written);
    print_number(out, "visible up to", frontier->visible);
    print_number(out, "durable up to", frontier->durable);
}

static void write_counts(struct json_writer *json, const struct fbat_stats *stats) {
    json_member_id(json, "store", &stats->store_id);
    json_member_time(json, "created", stats->created_us);
    json_member_u64(json, "disk_version", stats->disk_version);
    json_member_u64(json, "events", stats->events);
    json_member_u64(json, "system_events", stats->system_events);
    json_member_u64(json, "streams", stats->streams);
    json_member_u64(json, "kinds_named", stats->kinds_named);
    json_member_u64(json, "first_sequence", stats->first_sequence);
    json_member_u64(json, "last_sequence", stats->last_sequence);
    if (stats->last_sequence > 0) {
        json_member_time(json, "first_recorded", stats->first_recorded_us);
        json_member_time(json, "last_recorded", stats->last_recorded_us);
    }
    json_member_u64(json, "segments", stats->segments);
    json_member_u64(json, "segments_sealed", stats->segments_sealed);
    json_member_u64(json, "bytes_on_disk", stats->bytes_on_disk);
    json_member_u64(json, "bytes_of_frames", stats->bytes_of_frames);
    json_member_u64(json, "bytes_of_footers", stats->bytes_of_footers);
    json_member_u64(json, "memory_index", stats->memory_index);
}

static void write_watermarks(struct json_writer *json, const struct fbat_frontier *frontier) {
    struct json_writer inner;
    json_member_open(json, "frontier", &inner, '{');
    json_member_u64(&inner, "accepted", frontier->accepted);
    json_member_u64(&inner, "written", frontier->written);
    json_member_u64(&inner, "visible", frontier->visible);
    json_member_u64(&inner, "durable", frontier->durable);
    json_close(&inner, '}');
}

static void write_opening(struct json_writer *json, const struct fbat_open_report *report) {
    struct json_writer inner;
    json_member_open(json, "open", &inner, '{');
    json_member_text(&inner, "path", name_open_path(report->path));
    json_member_bool(&inner, "clean", report->clean != 0);
    json_member_u64(&inner, "segments", report->segment_count);
    json_member_u64(&inner, "footers_used", report->footers_used);
    json_member_u64(&inner, "footers_rebuilt", report->footers_rebuilt);
    json_member_u64(&inner, "duration_us", report->duration_us);
    json_member_u64(&inner, "events_scanned", report->events_scanned);
    json_member_u64(&inner, "events_total", report->events_total);
    json_member_u64(&inner, "dropped_bytes", report->dropped_bytes);
    json_member_u64(&inner, "dropped_segment", report->dropped_segment_id);
    json_member_u64(&inner, "dropped_offset", report->dropped_offset);
    json_member_text(&inner, "detail", report->detail);
    json_close(&inner, '}');
}

static enum exit_code print_stats(struct command *command, struct fbat_store *store) {
    struct out *out = &command->out;
    struct fbat_open_report report;
    struct fbat_frontier frontier;
    struct fbat_stats stats;
    struct fbat_error error;
    if (fbat_stats(store, &stats, &error) != FBAT_OK)
        return command_fail_with(command, &error);
    fbat_frontier(store, &frontier);
    fbat_open_report(store, &report);
    if (!command_has(command, OPTION_JSON)) {
        print_counts(out, &stats);
        print_sizes(out, &stats);
        print_watermarks(out, &frontier);
        print_opening(out, &report);
        return EXIT_DONE;
    }
    struct json_writer json;
    json_open(&json, out, '{');
    write_counts(&json, &stats);
    write_watermarks(&json, &frontier);
    write_opening(&json, &report);
    json_close(&json, '}');
    out_char(out, '\n');
    return EXIT_DONE;
}

enum exit_code verb_stats(struct command *command) {
    struct fbat_store *store = command_open_to_read(command);
    if (store == NULL)
        return EXIT_ERROR;
    return command_close(command, store, print_stats(command, store));
}
