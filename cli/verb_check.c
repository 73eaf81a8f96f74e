/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat check: verifies the store from its bytes alone and prints what it finds. Exit 1 when damage was found. Main
 * thread only.
 */
#include <string.h>

#include "json_write.h"
#include "progress.h"
#include "text.h"
#include "verbs.h"

struct check {
    struct command *command;
    bool json_output;
    struct json_writer json;
    struct json_writer findings;
};

static const char *name_finding(enum fbat_finding_kind kind) {
    static const char *const names[] = {
        [FBAT_FINDING_META] = "meta",   [FBAT_FINDING_SEGMENT] = "segment",   [FBAT_FINDING_FRAME] = "frame",
        [FBAT_FINDING_TAIL] = "tail",   [FBAT_FINDING_SEQUENCE] = "sequence", [FBAT_FINDING_REVISION] = "revision",
        [FBAT_FINDING_CHAIN] = "chain", [FBAT_FINDING_HASH] = "hash",         [FBAT_FINDING_RECORD] = "record",
        [FBAT_FINDING_ID] = "id",       [FBAT_FINDING_FOOTER] = "footer",     [FBAT_FINDING_TORN] = "torn",
    };
    bool known = (unsigned)kind < sizeof names / sizeof names[0] && names[kind] != NULL;
    return known ? names[kind] : "unknown";
}

static void print_finding_line(struct out *out, const struct fbat_finding *finding) {
    if (finding->segment_id != 0)
        out_printf(out, "%06llu.fbat:%llu: ", (unsigned long long)finding->segment_id,
                   (unsigned long long)finding->offset);
    else
        out_text(out, "store: ");
    if (finding->sequence != 0)
        out_printf(out, "sequence %llu: ", (unsigned long long)finding->sequence);
    if (!finding->damage)
        out_text(out, "note: ");
    text_print(out, fbat_text(finding->message), SIZE_MAX);
    out_char(out, '\n');
}

static void write_finding(struct check *check, const struct fbat_finding *finding) {
    struct json_writer json;
    json_comma(&check->findings);
    json_open(&json, check->findings.out, '{');
    json_member_text(&json, "kind", name_finding(finding->kind));
    json_member_bool(&json, "damage", finding->damage != 0);
    json_member_u64(&json, "segment", finding->segment_id);
    json_member_u64(&json, "offset", finding->offset);
    json_member_u64(&json, "sequence", finding->sequence);
    json_member_text(&json, "message", finding->message);
    json_close(&json, '}');
}

static int report_finding(void *user, const struct fbat_finding *finding) {
    struct check *check = user;
    progress_clear();
    if (check->json_output) {
        write_finding(check, finding);
    } else {
        print_finding_line(&check->command->out, finding);
        out_flush(&check->command->out);
    }
    return 0;
}

static int show_check_progress(void *user, uint64_t bytes_done, uint64_t bytes_total) {
    (void)user;
    progress_update(bytes_done, bytes_total, 0);
    return 0;
}

static void print_summary(struct out *out, const struct fbat_check_report *report) {
    char events[NUMBER_TEXT_SIZE], streams[NUMBER_TEXT_SIZE], frames[NUMBER_TEXT_SIZE], segments[NUMBER_TEXT_SIZE];
    char bytes[NUMBER_TEXT_SIZE], findings[NUMBER_TEXT_SIZE];
    out_printf(out, "%s events of %s streams in %s frames of %s segment%s, %s, verified in %.2f s: ",
               number_grouped(report->events, events), number_grouped(report->streams, streams),
               number_grouped(report->frames, frames), number_grouped(report->segments, segments),
               report->segments == 1 ? "" : "s", number_of_bytes(report->bytes, bytes),
               (double)report->duration_us / 1e6);
    if (report->findings == 0)
        out_text(out, "no damage");
    else
        out_printf(out, "%s finding%s of damage", number_grouped(report->findings, findings),
                   report->findings == 1 ? "" : "s");
    if (report->remarks > 0)
        out_printf(out, ", %llu note%s", (unsigned long long)report->remarks, report->remarks == 1 ? "" : "s");
    out_char(out, '\n');
}

static void write_summary(struct json_writer *json, const struct fbat_check_report *report) {
    json_member_u64(json, "damage", report->findings);
    json_member_u64(json, "notes", report->remarks);
    json_member_u64(json, "events", report->events);
    json_member_u64(json, "streams", report->streams);
    json_member_u64(json, "frames", report->frames);
    json_member_u64(json, "footers", report->footers);
    json_member_u64(json, "segments", report->segments);
    json_member_u64(json, "bytes", report->bytes);
    json_member_u64(json, "last_sequence", report->last_sequence);
    json_member_u64(json, "duration_us", report->duration_us);
}

static void start_output(struct check *check) {
    if (!check->json_output)
        return;
    json_open(&check->json, &check->command->out, '{');
    json_member_open(&check->json, "findings", &check->findings, '[');
}

static enum exit_code finish_output_of_check(struct check *check, const struct fbat_check_report *report) {
    struct out *out = &check->command->out;
    if (check->json_output) {
        json_close(&check->findings, ']');
        write_summary(&check->json, report);
        json_close(&check->json, '}');
        out_char(out, '\n');
    } else {
        print_summary(out, report);
    }
    return report->findings > 0 ? EXIT_NO : EXIT_DONE;
}

enum exit_code verb_check(struct command *command) {
    struct check check;
    struct fbat_check_options options;
    struct fbat_check_report report;
    struct fbat_error error;
    memset(&check, 0, sizeof check);
    check.command = command;
    check.json_output = command_has(command, OPTION_JSON);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.finding = report_finding;
    options.progress = show_check_progress;
    options.user = &check;
    progress_start("check", NULL, 0);
    start_output(&check);
    int status = fbat_check(command->config.data_dir, &options, &report, &error);
    progress_stop();
    if (status == FBAT_OK)
        return finish_output_of_check(&check, &report);
    if (check.json_output)
        out_text(&command->out, "]}\n");
    return command_fail_with(command, &error);
}
