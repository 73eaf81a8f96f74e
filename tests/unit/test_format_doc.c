/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/FORMAT.md against the code: every offset and size of its tables, and the bytes of its example.
 *
 * A table that counts is marked by a line `<!-- layout: NAME -->` before it; bytes by `<!-- bytes: NAME -->`.
 */
#include "fixture.h"

#include "base/limits.h"
#include "format/footer.h"
#include "format/id_run.h"
#include "format/live.h"
#include "format/segment_header.h"
#include "format/store_meta.h"
#include "support/test.h"

enum { LINE = 1024, ROWS_MAX = 32 };

struct doc_row {
    unsigned long offset, size;
    char field[LINE];
};

/* What the code says: fields in order, `total` behind the last. A field's size is the way to the next one. */
struct layout {
    const char *name;
    size_t total;
    struct {
        const char *field; /* what the documentation's field begins with */
        size_t at;
    } fields[ROWS_MAX];
};

#define ROW(member) offsetof(struct footer_row, member)
#define STREAM(member) offsetof(struct footer_stream, member)

static const struct layout layouts[] = {
    {"id_run",
     ID_RUN_HEADER_BYTES,
     {{"magic", 0},
      {"disk version", ID_RUN_VERSION_AT},
      {"page bytes", ID_RUN_PAGE_AT},
      {"store identity", ID_RUN_STORE_ID_AT},
      {"first segment id", ID_RUN_FIRST_SEGMENT_AT},
      {"last segment id", ID_RUN_LAST_SEGMENT_AT},
      {"entry count", ID_RUN_ENTRY_COUNT_AT},
      {"bucket bits", ID_RUN_BUCKET_BITS_AT},
      {"segment bits", ID_RUN_SEGMENT_BITS_AT},
      {"key bits", ID_RUN_KEY_BITS_AT},
      {"zero", ID_RUN_ZERO0_AT},
      {"buckets offset", ID_RUN_BUCKETS_AT},
      {"entries offset", ID_RUN_ENTRIES_AT},
      {"checksums offset", ID_RUN_CHECKSUMS_AT},
      {"file bytes", ID_RUN_FILE_BYTES_AT},
      {"segments digest", ID_RUN_DIGEST_AT},
      {"CRC-32C of the page checksums", ID_RUN_CHECKSUMS_CRC_AT},
      {"zero", ID_RUN_ZERO1_AT},
      {"CRC-32C of bytes", ID_RUN_CRC_AT}}},
    {"store_meta",
     STORE_META_BYTES,
     {{"magic", 0},
      {"disk version", STORE_META_VERSION_AT},
      {"file bytes", STORE_META_SIZE_AT},
      {"compatible flags", STORE_META_COMPATIBLE_AT},
      {"incompatible flags", STORE_META_INCOMPATIBLE_AT},
      {"store identity", STORE_META_STORE_ID_AT},
      {"created", STORE_META_CREATED_AT},
      {"zero", STORE_META_ZERO_AT},
      {"CRC-32C", STORE_META_CRC_AT}}},
    {"segment_header",
     SEGMENT_HEADER_BYTES,
     {{"magic", 0},
      {"disk version", SEGMENT_HEADER_VERSION_AT},
      {"header bytes", SEGMENT_HEADER_SIZE_AT},
      {"compatible flags", SEGMENT_HEADER_COMPATIBLE_AT},
      {"incompatible flags", SEGMENT_HEADER_INCOMPATIBLE_AT},
      {"store identity", SEGMENT_HEADER_STORE_ID_AT},
      {"segment id", SEGMENT_HEADER_SEGMENT_ID_AT},
      {"generation", SEGMENT_HEADER_GENERATION_AT},
      {"first sequence", SEGMENT_HEADER_FIRST_SEQUENCE_AT},
      {"created", SEGMENT_HEADER_CREATED_AT},
      {"capacity", SEGMENT_HEADER_CAPACITY_AT},
      {"durable sequence", SEGMENT_HEADER_DURABLE_AT},
      {"last recorded time", SEGMENT_HEADER_LAST_RECORDED_AT},
      {"last hash", SEGMENT_HEADER_LAST_HASH_AT},
      {"zero", SEGMENT_HEADER_ZERO_AT},
      {"CRC-32C", SEGMENT_HEADER_CRC_AT}}},
    {"frame",
     FRAME_HEADER_BYTES,
     {{"CRC-32C", FRAME_CRC_AT},
      {"frame bytes", FRAME_BYTES_AT},
      {"first sequence", FRAME_FIRST_SEQUENCE_AT},
      {"durable sequence", FRAME_DURABLE_AT},
      {"event count", FRAME_COUNT_AT},
      {"type", FRAME_TYPE_AT},
      {"zero", FRAME_ZERO_AT}}},
    {"commit",
     FRAME_COMMIT_BYTES,
     {{"last sequence", FRAME_LAST_SEQUENCE_AT}, {"staged bytes", FRAME_STAGED_BYTES_AT}}},
    {"record",
     RECORD_FIXED_BYTES,
     {{"sequence offset", RECORD_SEQUENCE_OFFSET_AT},
      {"payload bytes", RECORD_PAYLOAD_BYTES_AT},
      {"kind", RECORD_KIND_AT},
      {"payload type", RECORD_PAYLOAD_TYPE_AT},
      {"flags", RECORD_FLAGS_AT},
      {"scope bytes", RECORD_SCOPE_BYTES_AT},
      {"entity bytes", RECORD_ENTITY_BYTES_AT},
      {"tags bytes", RECORD_TAGS_BYTES_AT},
      {"headers bytes", RECORD_HEADERS_BYTES_AT},
      {"lane", RECORD_LANE_AT},
      {"revision", RECORD_REVISION_AT},
      {"recorded time", RECORD_RECORDED_AT},
      {"event time", RECORD_EVENT_TIME_AT},
      {"id", RECORD_ID_AT},
      {"correlation id", RECORD_CORRELATION_AT},
      {"causation id", RECORD_CAUSATION_AT},
      {"previous hash", RECORD_PREVIOUS_HASH_AT},
      {"hash", RECORD_HASH_AT}}},
    /* No names in the code: what footer_encode writes is compared below. */
    {"footer_part", FOOTER_PART_BYTES, {{"type", 0}, {"CRC-32C", 4}, {"offset", 8}, {"bytes", 16}, {"count", 24}}},
    {"footer_trailer",
     FOOTER_TRAILER_BYTES,
     {{"magic", 0},
      {"disk version", FOOTER_VERSION_AT},
      {"part count", FOOTER_PART_COUNT_AT},
      {"store identity", FOOTER_STORE_ID_AT},
      {"segment id", FOOTER_SEGMENT_ID_AT},
      {"generation", FOOTER_GENERATION_AT},
      {"frames end", FOOTER_FRAMES_END_AT},
      {"event count", FOOTER_EVENT_COUNT_AT},
      {"stream count", FOOTER_STREAM_COUNT_AT},
      {"first sequence", FOOTER_FIRST_SEQUENCE_AT},
      {"last sequence", FOOTER_LAST_SEQUENCE_AT},
      {"first recorded time", FOOTER_FIRST_RECORDED_AT},
      {"last recorded time", FOOTER_LAST_RECORDED_AT},
      {"least id", FOOTER_ID_MIN_AT},
      {"greatest id", FOOTER_ID_MAX_AT},
      {"last id made", FOOTER_ID_MADE_AT},
      {"last hash", FOOTER_LAST_HASH_AT},
      {"system event count", FOOTER_SYSTEM_COUNT_AT},
      {"part table offset", FOOTER_TABLE_OFFSET_AT},
      {"CRC-32C of the part table", FOOTER_TABLE_CRC_AT},
      {"zero", FOOTER_ZERO_AT},
      {"superseded bytes", FOOTER_SUPERSEDED_AT},
      {"led event count", FOOTER_LED_COUNT_AT},
      {"zero", FOOTER_ZERO_END_AT},
      {"CRC-32C of bytes", FOOTER_CRC_AT}}},
    {"footer_row",
     sizeof(struct footer_row),
     {{"sequence", ROW(sequence)},
      {"recorded time", ROW(recorded_us)},
      {"revision", ROW(revision)},
      {"id hash", ROW(id_hash)},
      {"record offset", ROW(record_words)},
      {"stream", ROW(stream)},
      {"previous in stream", ROW(previous_in_stream)},
      {"next in stream", ROW(next_in_stream)},
      {"kind", ROW(kind)},
      {"flags", ROW(flags)},
      {"frame offset", ROW(frame_words)},
      {"zero", ROW(zero1)}}},
    {"footer_stream",
     sizeof(struct footer_stream),
     {{"name hash", STREAM(name_hash)},
      {"first row", STREAM(first_row)},
      {"last row", STREAM(last_row)},
      {"event count", STREAM(event_count)},
      {"scope number", STREAM(scope)},
      {"zero", STREAM(zero0)},
      {"first group", STREAM(first_group)},
      {"last group", STREAM(last_group)}}},
    {"footer_scope",
     sizeof(struct footer_scope),
     {{"name hash", offsetof(struct footer_scope, name_hash)},
      {"first row", offsetof(struct footer_scope, first_row)},
      {"zero", offsetof(struct footer_scope, zero0)}}},
    {"footer_tile",
     sizeof(struct footer_tile),
     {{"kinds", offsetof(struct footer_tile, kinds)}, {"scopes", offsetof(struct footer_tile, scopes)}}},
    {"footer_group",
     sizeof(struct footer_group),
     {{"next", offsetof(struct footer_group, next)},
      {"previous", offsetof(struct footer_group, previous)},
      {"rows", offsetof(struct footer_group, rows)}}},
    {"live",
     LIVE_BYTES,
     {{"magic", 0},
      {"disk version", LIVE_VERSION_AT},
      {"state", LIVE_STATE_AT},
      {"store identity", LIVE_STORE_ID_AT},
      {"process id", LIVE_PID_AT},
      {"zero", LIVE_PID_AT + 8},
      {"visible sequence", LIVE_VISIBLE_AT},
      {"durable sequence", LIVE_DURABLE_AT},
      {"durable check", LIVE_DURABLE_CHECK_AT},
      {"last segment id", LIVE_SEGMENT_AT},
      {"last end", LIVE_END_AT},
      {"unfinished segment id", LIVE_UNFINISHED_AT},
      {"zero", LIVE_ZERO_AT},
      {"CRC-32C", LIVE_CRC_AT}}},
};

/* ---- reading the documentation ---- */

static FILE *open_doc(void) {
    char path[TEST_PATH_SIZE];
    snprintf(path, sizeof path, "%s/docs/FORMAT.md", test_source_dir());
    FILE *file = fopen(path, "r");
    if (!file)
        fail_msg("cannot read %s", path);
    return file;
}

/* Reads on behind the line `<!-- WHAT: NAME -->`. */
static void find_mark(FILE *file, const char *what, const char *name) {
    char line[LINE], wanted[LINE];
    snprintf(wanted, sizeof wanted, "<!-- %s: %s -->\n", what, name);
    while (fgets(line, sizeof line, file))
        if (strcmp(line, wanted) == 0)
            return;
    fail_msg("docs/FORMAT.md has no line %s", wanted);
}

static size_t read_table(const char *name, struct doc_row *rows) {
    FILE *file = open_doc();
    char line[LINE];
    size_t count = 0;
    find_mark(file, "layout", name);
    assert_non_null(fgets(line, sizeof line, file)); /* empty */
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "| OFFSET | SIZE | FIELD |\n");
    assert_non_null(fgets(line, sizeof line, file)); /* the rule */
    while (fgets(line, sizeof line, file) && line[0] == '|') {
        assert_true(count < ROWS_MAX);
        if (sscanf(line, "| %lu | %lu | %1023[^|\n]", &rows[count].offset, &rows[count].size, rows[count].field) != 3)
            fail_msg("%s: cannot read %s", name, line);
        count++;
    }
    fclose(file);
    return count;
}

/* The bytes of a fenced block; a number and two blanks at the start of a line are its offset. */
static size_t read_bytes(const char *name, uint8_t *to, size_t room) {
    FILE *file = open_doc();
    char line[LINE];
    size_t size = 0;
    find_mark(file, "bytes", name);
    while (fgets(line, sizeof line, file) && strncmp(line, "```", 3) != 0)
        ;
    while (fgets(line, sizeof line, file) && strncmp(line, "```", 3) != 0) {
        char *bytes = line + strspn(line, " ");
        char *gap = strstr(bytes, "  ");
        if (gap) {
            assert_int_equal(strtoul(bytes, NULL, 10), size);
            bytes = gap;
        }
        bytes[strcspn(bytes, "\n")] = '\0';
        size += bytes_of_hex(bytes, to + size, room - size);
    }
    fclose(file);
    return size;
}

/* ---- tables ---- */

static void compare_layout(const struct layout *layout) {
    struct doc_row *rows = calloc(ROWS_MAX, sizeof *rows);
    assert_non_null(rows);
    size_t count = read_table(layout->name, rows), wanted = 0;
    while (wanted < ROWS_MAX && layout->fields[wanted].field)
        wanted++;
    if (count != wanted)
        fail_msg("%s: %zu rows in the documentation, %zu fields in the code", layout->name, count, wanted);
    for (size_t at = 0; at < count; at++) {
        size_t end = at + 1 < count ? layout->fields[at + 1].at : layout->total;
        const char *field = layout->fields[at].field;
        if (rows[at].offset != layout->fields[at].at || rows[at].offset + rows[at].size != end ||
            strncmp(rows[at].field, field, strlen(field)) != 0)
            fail_msg("%s: the documentation has | %lu | %lu | %s|, the code | %zu | %zu | %s |", layout->name,
                     rows[at].offset, rows[at].size, rows[at].field, layout->fields[at].at, end - layout->fields[at].at,
                     field);
    }
    free(rows);
}

static void every_table_has_the_codes_offsets_and_sizes(void **state) {
    (void)state;
    for (size_t at = 0; at < COUNT_OF(layouts); at++)
        compare_layout(&layouts[at]);
}

static void every_table_of_the_documentation_is_compared(void **state) {
    (void)state;
    FILE *file = open_doc();
    char line[LINE];
    size_t marks = 0;
    while (fgets(line, sizeof line, file))
        marks += strncmp(line, "<!-- layout: ", 13) == 0;
    fclose(file);
    assert_int_equal(marks, COUNT_OF(layouts));
}

static void part_tables_are_written_as_documented(void **state) {
    (void)state;
    struct footer footer = {.part_count = 1};
    uint8_t bytes[FOOTER_PART_BYTES + FOOTER_TRAILER_BYTES], wanted[FOOTER_PART_BYTES];
    footer.parts[0] = (struct footer_part){.type = 0x01020304,
                                           .crc = 0x11121314,
                                           .offset = UINT64_C(0x2122232425262728),
                                           .bytes = UINT64_C(0x3132333435363738),
                                           .count = UINT64_C(0x4142434445464748)};
    footer_encode(&footer, bytes);
    store_u32(wanted, footer.parts[0].type);
    store_u32(wanted + 4, footer.parts[0].crc);
    store_u64(wanted + 8, footer.parts[0].offset);
    store_u64(wanted + 16, footer.parts[0].bytes);
    store_u64(wanted + 24, footer.parts[0].count);
    assert_memory_equal(bytes, wanted, sizeof wanted);
    assert_int_equal(load_u32(bytes + FOOTER_PART_BYTES + FOOTER_TABLE_CRC_AT), crc32c(bytes, FOOTER_PART_BYTES, 0));
}

/* ---- limits ---- */

static bool doc_says(const char *text) {
    FILE *file = open_doc();
    char line[LINE];
    bool found = false;
    while (!found && fgets(line, sizeof line, file))
        found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

static void the_limits_are_the_codes(void **state) {
    (void)state;
    char text[256];
    snprintf(text, sizeof text, "| scope, entity | 1 to %d bytes each |", LIMIT_NAME_BYTES);
    assert_true(doc_says(text));
    snprintf(text, sizeof text, "| kind name | 1 to %d bytes |", FBAT_KIND_NAME_BYTES_MAX);
    assert_true(doc_says(text));
    snprintf(text, sizeof text, "| tag | 1 to %d bytes; all tags of an event as encoded: %d,%d bytes |",
             FBAT_TAG_BYTES_MAX, LIMIT_TAGS_BYTES / 1000, LIMIT_TAGS_BYTES % 1000);
    assert_true(doc_says(text));
    snprintf(text, sizeof text, "| header | name 1 to %d bytes; all headers of an event as encoded: %d,%d bytes |",
             FBAT_HEADER_NAME_BYTES_MAX, LIMIT_HEADERS_BYTES / 1000, LIMIT_HEADERS_BYTES % 1000);
    assert_true(doc_says(text));
    snprintf(text, sizeof text, "| payload | %u MiB ", LIMIT_PAYLOAD_BYTES >> 20);
    assert_true(doc_says(text));
    snprintf(text, sizeof text, "| events in a frame | %d |", LIMIT_BATCH_EVENTS);
    assert_true(doc_says(text));
    assert_true(LIMIT_FRAME_BYTES == UINT64_C(1) << 30 && doc_says("| frame | 2^30 bytes |"));
    assert_true(LIMIT_SEGMENT_ID == UINT64_C(999999999999) && doc_says("| segment id | 1 to 999,999,999,999 |"));
    assert_true(LIMIT_SEGMENT_EVENTS == (UINT32_C(1) << 31) - 1 && doc_says("| events in a segment | 2^31 - 1 |"));
    assert_true(LIMIT_SEGMENT_BYTES == UINT64_C(1) << 35 &&
                doc_says("| header and frames of a segment | 2^35 bytes |"));
    assert_true(FOOTER_PARTS_MAX == 16 && doc_says("| 12 | 4 | part count: 1 to 16 |"));
    assert_true(FRAME_HEADER_BYTES + RECORD_FIXED_BYTES == 192 && FRAME_COMMIT_BYTES == 48);
    assert_true(doc_says("at least 192 (of a commit: 48 exactly), at most 2^30"));
    assert_true(FRAME_EVENTS == 1 && FRAME_STAGED == 2 && FRAME_COMMIT == 3);
    assert_true(doc_says("| 28 | 2 | type: 1 = events, 2 = staged, 3 = commit |"));
}

/* ---- the example ---- */

static uint32_t example_salt(void) {
    uint8_t identity[64];
    struct segment_header header = {.generation = 0};
    assert_int_equal(read_bytes("identity", identity, sizeof identity), 32);
    memcpy(header.store_id.bytes, identity, 16);
    header.segment_id = load_u64(identity + 16);
    header.generation = load_u64(identity + 24);
    uint32_t salt = segment_header_salt(&header);
    assert_int_equal(salt, crc32c(identity, 32, 0));
    char text[32];
    snprintf(text, sizeof text, "`0x%08X`:", salt);
    assert_true(doc_says(text));
    return salt;
}

static void hex_of(const uint8_t *bytes, size_t size, char *to) {
    for (size_t at = 0; at < size; at++)
        snprintf(to + 2 * at, 3, "%02x", bytes[at]);
}

static void the_example_is_a_valid_frame_with_the_hashes_shown(void **state) {
    (void)state;
    uint8_t bytes[1024], hash[32];
    char text[80];
    size_t size = read_bytes("frame", bytes, sizeof bytes);
    struct frame frame;
    struct record_sizes sizes;
    struct fbat_event event;
    assert_int_equal(frame_decode(bytes, size, example_salt(), &frame), FRAME_VALID);
    assert_true(frame.frame_bytes == size && frame.first_sequence == 2 && frame.event_count == 1);
    assert_true(record_measure(bytes + FRAME_HEADER_BYTES, size - FRAME_HEADER_BYTES, &sizes));
    assert_int_equal(sizes.total, size - FRAME_HEADER_BYTES);
    assert_null(record_find_fault(bytes + FRAME_HEADER_BYTES, &sizes));
    record_view(bytes + FRAME_HEADER_BYTES, &sizes, 2, &event);
    sha256_of(event.headers.data, event.headers.size, event.payload.data, event.payload.size, hash);
    hex_of(hash, 32, text);
    assert_true(doc_says(text));
    record_hash(2, bytes + FRAME_HEADER_BYTES, &sizes, hash);
    assert_memory_equal(hash, event.hash, 32);
    hex_of(hash, 32, text);
    assert_true(doc_says(text));
}

static void the_example_is_what_stands_in_the_golden_store(void **state) {
    (void)state;
    uint8_t bytes[1024], identity[64], found[1024];
    char path[TEST_PATH_SIZE], text[80];
    size_t size = read_bytes("frame", bytes, sizeof bytes);
    read_bytes("identity", identity, sizeof identity);
    snprintf(path, sizeof path, "%s/tests/golden/v2/000001.fbat", test_source_dir());
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, SEGMENT_HEADER_STORE_ID_AT, SEEK_SET), 0);
    assert_int_equal(fread(found, 1, 32, file), 32);
    assert_memory_equal(found, identity, 32);
    long offset = SEGMENT_HEADER_BYTES;
    do { /* one frame after the other, to that of sequence 2 */
        assert_int_equal(fseek(file, offset, SEEK_SET), 0);
        assert_int_equal(fread(found, 1, size, file), size);
        if (load_u64(found + FRAME_FIRST_SEQUENCE_AT) != 2)
            offset += load_u32(found + FRAME_BYTES_AT);
    } while (load_u64(found + FRAME_FIRST_SEQUENCE_AT) < 2);
    fclose(file);
    assert_memory_equal(found, bytes, size);
    snprintf(text, sizeof text, "at offset %ld of that file", offset);
    assert_true(doc_says(text));
}

static void the_check_value_of_the_checksum_is_right(void **state) {
    (void)state;
    char text[32];
    snprintf(text, sizeof text, "0x%08X", crc32c("123456789", 9, 0));
    assert_true(doc_says(text));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_has_the_codes_offsets_and_sizes),
        cmocka_unit_test(every_table_of_the_documentation_is_compared),
        cmocka_unit_test(part_tables_are_written_as_documented),
        cmocka_unit_test(the_limits_are_the_codes),
        cmocka_unit_test(the_example_is_a_valid_frame_with_the_hashes_shown),
        cmocka_unit_test(the_example_is_what_stands_in_the_golden_store),
        cmocka_unit_test(the_check_value_of_the_checksum_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
