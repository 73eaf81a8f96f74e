/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of disk version 2 (tests/golden/v2, made once by make_v2.sh) open for ever: read where they lie, verified, and
 * written on in a copy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fbat/fbat.h>

#include "support/test.h"

enum { EVENTS = 14, CALLERS_EVENTS = 9, PATH = TEST_PATH_SIZE, LINE = 8192 };

struct wanted {
    uint64_t sequence, revision;
    const char *scope, *entity;
    uint16_t kind;
    uint8_t payload_type;
    const char *payload;
    size_t payload_size;
    const char *id; /* NULL: the store made it */
    uint64_t segment_id;
};

#define TEXT(text) text, sizeof(text) - 1

static const struct wanted wanted[CALLERS_EVENTS] = {
    {2, 1, "shop", "order-1", 0x1001, FBAT_PAYLOAD_JSON, TEXT("{\"total\":12}"), "01890a5d-ac96-774b-bcce-b302099a8057",
     1},
    {4, 2, "shop", "order-1", 0x1002, FBAT_PAYLOAD_TEXT, TEXT("paid in full"), NULL, 1},
    {6, 1, "depot", "order-1", 0x2001, FBAT_PAYLOAD_BYTES, TEXT("\x00\x01\xfe\xff"), NULL, 1},
    {7, 1, "shop", "gr\xc3\xbcn-7", 0x1fff, FBAT_PAYLOAD_MSGPACK, TEXT(""), "01890a5d-ac96-774b-bcce-b302099a8058", 1},
    {8, 1, "shop", "order-2", 0x1001, FBAT_PAYLOAD_JSON, TEXT("{\"total\":7}"), "01890a5d-ac96-774b-bcce-b302099a8061",
     1},
    {9, 1, "shop", "order-3", 0x1001, FBAT_PAYLOAD_JSON, TEXT("{\"total\":8}"), "01890a5d-ac96-774b-bcce-b302099a8062",
     1},
    {10, 2, "shop", "order-2", 0x1002, FBAT_PAYLOAD_JSON, TEXT("\"paid\""), "01890a5d-ac96-774b-bcce-b302099a8063", 1},
    {12, 3, "shop", "order-2", 0x1003, FBAT_PAYLOAD_TEXT, NULL, 520, NULL, 2},
    {14, 3, "shop", "order-1", 0x1004, FBAT_PAYLOAD_BYTES, TEXT(""), NULL, 2},
};

/* ---- opening ---- */

static const char *golden_path(const char *name) {
    static char path[PATH];
    snprintf(path, sizeof path, "%s/tests/golden/%s", test_source_dir(), name);
    return path;
}

static struct fbat_store *open_store(const char *dir, bool read_only) {
    struct fbat_config config;
    struct fbat_store *store = NULL;
    struct fbat_error error;
    fbat_config_init(&config, dir);
    int status = read_only ? fbat_open_read_only(&config, &store, &error) : fbat_open(&config, &store, &error);
    if (status != FBAT_OK)
        fail_msg("%s", error.message);
    return store;
}

static int open_golden(void **state) {
    *state = open_store(golden_path("v2"), true);
    return 0;
}

static int close_golden(void **state) {
    return fbat_close(*state, NULL);
}

static struct fbat_event event_at(struct fbat_store *store, uint64_t sequence) {
    struct fbat_event event;
    struct fbat_error error;
    if (fbat_get_by_sequence(store, sequence, &event, &error) != FBAT_OK)
        fail_msg("sequence %llu: %s", (unsigned long long)sequence, error.message);
    return event;
}

static void assert_slice(struct fbat_slice got, const char *text, size_t size) {
    assert_int_equal(got.size, size);
    if (text && size > 0)
        assert_memory_equal(got.data, text, size);
}

static struct fbat_id id_of(const char *text) {
    struct fbat_id id;
    assert_int_equal(fbat_id_parse(text, 36, &id), FBAT_OK);
    return id;
}

/* ---- contents ---- */

static void assert_event(const struct fbat_event *event, const struct wanted *row) {
    assert_int_equal(event->sequence, row->sequence);
    assert_int_equal(event->revision, row->revision);
    assert_slice(event->scope, row->scope, strlen(row->scope));
    assert_slice(event->entity, row->entity, strlen(row->entity));
    assert_int_equal(event->kind, row->kind);
    assert_int_equal(event->payload_type, row->payload_type);
    assert_slice(event->payload, row->payload, row->payload_size);
    assert_int_equal(event->segment_id, row->segment_id);
    if (row->id) {
        struct fbat_id id = id_of(row->id);
        assert_memory_equal(&event->id, &id, sizeof id);
    } else {
        assert_int_equal(event->id.bytes[6] >> 4, 7);
    }
}

static void every_event_is_what_was_put_in(void **state) {
    struct fbat_store *store = *state;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    assert_int_equal(fbat_query(store, NULL, NULL, &iterator, NULL), FBAT_OK);
    for (size_t at = 0; at < CALLERS_EVENTS; at++) {
        assert_int_equal(fbat_iterator_next(iterator, &event, NULL), FBAT_OK);
        assert_event(&event, &wanted[at]);
    }
    assert_int_equal(fbat_iterator_next(iterator, &event, NULL), FBAT_END);
    fbat_iterator_close(iterator);
}

static void every_event_is_found_by_id_and_by_sequence(void **state) {
    struct fbat_store *store = *state;
    for (size_t at = 0; at < CALLERS_EVENTS; at++) {
        struct fbat_event event = event_at(store, wanted[at].sequence), by_id;
        assert_event(&event, &wanted[at]);
        assert_int_equal(fbat_get(store, &event.id, &by_id, NULL), FBAT_OK);
        assert_event(&by_id, &wanted[at]);
        fbat_event_release(&by_id);
        fbat_event_release(&event);
    }
}

static void headers_and_tags_are_there_in_order(void **state) {
    struct fbat_event event = event_at(*state, 7);
    struct fbat_header header;
    struct fbat_slice tag;
    assert_int_equal(fbat_event_header(&event, 0, &header), FBAT_OK);
    assert_slice(header.name, "a", 1);
    assert_slice(header.value, "", 0);
    assert_int_equal(fbat_event_header(&event, 1, &header), FBAT_OK);
    assert_slice(header.name, "b", 1);
    assert_slice(header.value, "x=y", 3);
    assert_int_equal(fbat_event_header(&event, 2, &header), FBAT_END);
    assert_int_equal(fbat_event_tag(&event, 0, &tag), FBAT_OK);
    assert_slice(tag, "red", 3);
    assert_int_equal(fbat_event_tag(&event, 1, &tag), FBAT_OK);
    assert_slice(tag, "gr\xc3\xbcn", 5);
    assert_int_equal(fbat_event_tag(&event, 2, &tag), FBAT_END);
    fbat_event_release(&event);
}

static void causes_and_stories_lead_to_the_first_event(void **state) {
    struct fbat_event first = event_at(*state, 2), second = event_at(*state, 4), last = event_at(*state, 10);
    struct fbat_id cause = id_of("01890a5d-ac96-774b-bcce-b302099a8061");
    assert_memory_equal(&first.correlation, &first.id, 16);
    assert_true(fbat_id_is_none(&first.causation));
    assert_memory_equal(&second.causation, &first.id, 16);
    assert_memory_equal(&second.correlation, &first.id, 16);
    assert_memory_equal(&last.causation, &cause, 16);
    fbat_event_release(&first);
    fbat_event_release(&second);
    fbat_event_release(&last);
}

static void event_times_are_the_callers(void **state) {
    struct fbat_event first = event_at(*state, 2), second = event_at(*state, 4);
    assert_true(first.event_time_us == INT64_C(1688126400000000)); /* 2023-06-30T12:00:00Z */
    assert_true(second.event_time_us == second.recorded_us);
    assert_true(first.recorded_us <= second.recorded_us);
    fbat_event_release(&first);
    fbat_event_release(&second);
}

static void streams_cross_segments_and_chain(void **state) {
    struct fbat_store *store = *state;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint8_t hash[32] = {0};
    uint64_t revision = 0;
    assert_int_equal(fbat_stream(store, fbat_text("order-1"), fbat_text("shop"), NULL, &iterator, NULL), FBAT_OK);
    while (fbat_iterator_next(iterator, &event, NULL) == FBAT_OK) {
        assert_int_equal(event.revision, ++revision);
        assert_memory_equal(event.previous_hash, hash, sizeof hash);
        memcpy(hash, event.hash, sizeof hash);
    }
    fbat_iterator_close(iterator);
    assert_int_equal(revision, 3);
    assert_int_equal(fbat_latest(store, fbat_text("order-1"), fbat_text("shop"), &event, NULL), FBAT_OK);
    assert_int_equal(event.sequence, 14);
    fbat_event_release(&event);
}

static void kinds_have_their_names(void **state) {
    static const struct {
        const char *name;
        uint16_t kind;
    } kinds[] = {{"order.placed", 0x1001},
                 {"order.paid", 0x1002},
                 {"order.noted", 0x1003},
                 {"order.closed", 0x1004},
                 {"order.packed", 0x2001}};
    for (size_t at = 0; at < sizeof kinds / sizeof kinds[0]; at++) {
        struct fbat_slice name;
        uint16_t kind;
        assert_int_equal(fbat_kind(*state, fbat_text(kinds[at].name), &kind), FBAT_OK);
        assert_int_equal(kind, kinds[at].kind);
        assert_int_equal(fbat_kind_name(*state, kind, &name), FBAT_OK);
        assert_slice(name, kinds[at].name, strlen(kinds[at].name));
    }
}

static void the_stats_are_those_of_the_day_it_was_made(void **state) {
    struct fbat_stats stats;
    assert_int_equal(fbat_stats(*state, &stats, NULL), FBAT_OK);
    assert_int_equal(stats.disk_version, 2);
    assert_int_equal(stats.events, CALLERS_EVENTS);
    assert_int_equal(stats.system_events, EVENTS - CALLERS_EVENTS);
    assert_int_equal(stats.streams, 5);
    assert_int_equal(stats.kinds_named, 5);
    assert_true(stats.segments == 2 && stats.segments_sealed == 1);
    assert_true(stats.first_sequence == 1 && stats.last_sequence == EVENTS);
}

static void the_sealed_segment_opens_by_its_footer(void **state) {
    struct fbat_open_report report;
    fbat_open_report(*state, &report);
    assert_int_equal(report.path, FBAT_OPEN_FOOTERS);
    assert_int_equal(report.footers_used, 1);
    assert_int_equal(report.footers_rebuilt, 0);
    assert_int_equal(report.events_scanned, 4);
    assert_int_equal(report.clean, 1);
}

/* ---- hashes: what v2.dump.ndjson says ---- */

struct hash_check {
    FILE *dump;
    size_t compared;
};

/* The next line of the file that is an event's. */
static void next_event_line(FILE *file, char line[LINE]) {
    while (fgets(line, LINE, file))
        if (strncmp(line, "{\"what\":\"event\"", 15) == 0)
            return;
    fail_msg("v2.dump.ndjson ends too early");
}

static int compare_entry(void *user, const struct fbat_dump_entry *entry) {
    struct hash_check *check = user;
    char line[LINE], text[256];
    assert_int_not_equal(entry->what, FBAT_DUMP_BROKEN);
    if (!entry->event)
        return 0;
    next_event_line(check->dump, line);
    snprintf(text, sizeof text, "\"segment\":%llu,\"offset\":%llu,\"bytes\":%llu,",
             (unsigned long long)entry->segment_id, (unsigned long long)entry->offset,
             (unsigned long long)entry->bytes);
    assert_non_null(strstr(line, text));
    size_t used = (size_t)snprintf(text, sizeof text, "\"hash\":\"");
    for (size_t at = 0; at < 32; at++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%02x", entry->event->hash[at]);
    assert_non_null(strstr(line, text));
    check->compared++;
    return 0;
}

static void places_and_hashes_are_those_of_the_day_it_was_made(void **state) {
    (void)state;
    struct hash_check check = {.dump = fopen(golden_path("v2.dump.ndjson"), "r")};
    assert_non_null(check.dump);
    assert_int_equal(fbat_dump(golden_path("v2"), 0, compare_entry, &check, NULL), FBAT_OK);
    assert_int_equal(check.compared, EVENTS);
    fclose(check.dump);
}

static int print_finding(void *user, const struct fbat_finding *finding) {
    (void)user;
    print_message("segment %llu, offset %llu: %s\n", (unsigned long long)finding->segment_id,
                  (unsigned long long)finding->offset, finding->message);
    return 0;
}

static void assert_clean(const char *dir, uint64_t events) {
    struct fbat_check_options options = {.struct_size = sizeof options, .finding = print_finding};
    struct fbat_check_report report;
    assert_int_equal(fbat_check(dir, &options, &report, NULL), FBAT_OK);
    assert_int_equal(report.findings, 0);
    assert_int_equal(report.remarks, 0);
    assert_int_equal(report.events, events);
}

static void a_check_finds_nothing(void **state) {
    (void)state;
    assert_clean(golden_path("v2"), EVENTS);
}

/* ---- writing, in a copy ---- */

static void copy_file(const char *from, const char *to) {
    char buffer[4096];
    size_t size;
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_true(in && out);
    while ((size = fread(buffer, 1, sizeof buffer, in)) > 0)
        assert_int_equal(fwrite(buffer, 1, size, out), size);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void copy_golden(char *dir) {
    assert_true(test_temp_dir(dir, PATH / 2));
    DIR *folder = opendir(golden_path("v2"));
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char from[PATH + 300], to[PATH + 300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(from, sizeof from, "%s/%s", golden_path("v2"), entry->d_name);
        snprintf(to, sizeof to, "%s/%s", dir, entry->d_name);
        copy_file(from, to);
    }
    closedir(folder);
}

static struct fbat_receipt append(struct fbat_store *store, const char *entity, const struct fbat_id *id) {
    struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text(entity),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{\"total\":12}"),
        .payload_type = FBAT_PAYLOAD_JSON,
    };
    struct fbat_header header = {fbat_text("by"), fbat_text("web")};
    struct fbat_slice tag = fbat_text("new");
    struct fbat_receipt receipt;
    struct fbat_error error;
    if (id) { /* the golden store's first event again */
        event.id = *id;
        event.headers = &header;
        event.header_count = 1;
        event.tags = &tag;
        event.tag_count = 1;
    }
    if (fbat_append(store, &event, NULL, &receipt, &error) != FBAT_OK)
        fail_msg("%s", error.message);
    return receipt;
}

static void a_copy_is_written_on_where_it_ended(void **state) {
    (void)state;
    char dir[PATH / 2];
    copy_golden(dir);
    struct fbat_store *store = open_store(dir, false);
    struct fbat_receipt receipt = append(store, "order-1", NULL);
    assert_int_equal(receipt.sequence, EVENTS + 1);
    assert_int_equal(receipt.revision, 4);
    struct fbat_event event = event_at(store, EVENTS + 1), before = event_at(store, EVENTS);
    assert_memory_equal(event.previous_hash, before.hash, 32);
    assert_true(event.recorded_us >= before.recorded_us);
    assert_true(memcmp(&event.id, &before.id, 16) > 0);
    fbat_event_release(&event);
    fbat_event_release(&before);
    assert_int_equal(fbat_close(store, NULL), FBAT_OK);
    assert_clean(dir, EVENTS + 1);
    assert_true(test_remove_tree(dir));
}

static void an_id_of_the_sealed_segment_is_known(void **state) {
    (void)state;
    char dir[PATH / 2];
    copy_golden(dir);
    struct fbat_store *store = open_store(dir, false);
    struct fbat_id id = id_of(wanted[0].id);
    struct fbat_receipt receipt = append(store, "order-1", &id);
    assert_int_equal(receipt.replayed, 1);
    assert_int_equal(receipt.sequence, 2);
    assert_int_equal(fbat_close(store, NULL), FBAT_OK);
    assert_clean(dir, EVENTS);
    assert_true(test_remove_tree(dir));
}

static void a_footer_that_is_gone_is_made_again(void **state) {
    (void)state;
    char dir[PATH / 2], path[PATH];
    struct stat before, after;
    copy_golden(dir);
    snprintf(path, sizeof path, "%s/000001.fbat", dir);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(truncate(path, before.st_size - 1), 0);
    struct fbat_config config;
    struct fbat_store *store = NULL;
    struct fbat_open_report report;
    fbat_config_init(&config, dir);
    assert_int_equal(fbat_config_set(&config, "index.views", "none", NULL), FBAT_OK); /* as on that day */
    assert_int_equal(fbat_open(&config, &store, NULL), FBAT_OK);
    fbat_open_report(store, &report);
    assert_int_equal(report.footers_rebuilt, 1);
    assert_int_equal(fbat_close(store, NULL), FBAT_OK);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    FILE *golden = fopen(golden_path("v2/000001.fbat"), "rb"), *again = fopen(path, "rb");
    assert_true(golden && again);
    for (off_t at = 0; at < before.st_size; at++)
        if (fgetc(golden) != fgetc(again))
            fail_msg("byte %lld differs", (long long)at);
    fclose(golden);
    fclose(again);
    assert_true(test_remove_tree(dir));
}

#define READ(test) cmocka_unit_test_setup_teardown(test, open_golden, close_golden)

int main(void) {
    const struct CMUnitTest tests[] = {
        READ(every_event_is_what_was_put_in),
        READ(every_event_is_found_by_id_and_by_sequence),
        READ(headers_and_tags_are_there_in_order),
        READ(causes_and_stories_lead_to_the_first_event),
        READ(event_times_are_the_callers),
        READ(streams_cross_segments_and_chain),
        READ(kinds_have_their_names),
        READ(the_stats_are_those_of_the_day_it_was_made),
        READ(the_sealed_segment_opens_by_its_footer),
        cmocka_unit_test(places_and_hashes_are_those_of_the_day_it_was_made),
        cmocka_unit_test(a_check_finds_nothing),
        cmocka_unit_test(a_copy_is_written_on_where_it_ended),
        cmocka_unit_test(an_id_of_the_sealed_segment_is_known),
        cmocka_unit_test(a_footer_that_is_gone_is_made_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
