/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores from hand-made logs; store_fixture.h describes the helpers. Happy path: plain calls. Failure: the test that
 * called fails. Thread rule: one thread.
 */
#include "store_fixture.h"

#include <sys/wait.h>

#include "format/segment_header.h"
#include "support/test.h"

static int64_t last_pid = 1000;

uint64_t write_letters(struct log *log, enum frame_type type, const char *letters) {
    struct log_event events[ENTITIES_MAX] = {{0}};
    char names[ENTITIES_MAX][2] = {{0}};
    uint32_t count = (uint32_t)strlen(letters);
    assert_true(count > 0 && count < ENTITIES_MAX);
    for (uint32_t at = 0; at < count; at++) {
        names[at][0] = letters[at];
        events[at].entity = names[at];
    }
    return log_write(log, type, events, count);
}

static int try_open(struct log *log, bool read_only, struct fbat_store **out_store, struct fbat_error *error) {
    struct fbat_config config;
    struct os *os = os_sim_process(log->sim, ++last_pid);
    fbat_config_init(&config, LOG_DIR);
    return read_only ? store_open_read_only(os, &config, out_store, error) : store_open(os, &config, out_store, error);
}

struct fbat_store *open_log(struct log *log, bool read_only) {
    struct fbat_store *store = NULL;
    struct fbat_error error;
    if (try_open(log, read_only, &store, &error) != FBAT_OK)
        fail_msg("the store does not open for %s: %s", read_only ? "reading" : "writing", error.message);
    return store;
}

/* ---- reading ---- */

static void collect(struct fbat_iterator *iterator, struct fbat_event *events, size_t *out_count) {
    struct fbat_error error;
    int status = FBAT_OK;
    *out_count = 0;
    while ((status = fbat_iterator_next(iterator, &events[*out_count], &error)) == FBAT_OK)
        assert_true(++*out_count < ENTITIES_MAX);
    if (status != FBAT_END)
        fail_msg("reading fails: %s", error.message);
    fbat_iterator_close(iterator);
}

static void expect_lookups(struct fbat_store *store, const struct fbat_event *event) {
    struct fbat_event again;
    assert_int_equal(fbat_get(store, &event->id, &again, NULL), FBAT_OK);
    assert_int_equal(again.sequence, event->sequence);
    fbat_event_release(&again);
    assert_int_equal(fbat_get_by_sequence(store, event->sequence, &again, NULL), FBAT_OK);
    assert_memory_equal(again.hash, event->hash, sizeof again.hash);
    fbat_event_release(&again);
}

static void expect_streams(struct fbat_store *store, const char *letters) {
    for (const char *at = letters; *at; at++) {
        struct fbat_iterator *iterator = NULL;
        struct fbat_event events[ENTITIES_MAX];
        size_t count, wanted = 0;
        assert_int_equal(fbat_stream(store, fbat_bytes(at, 1), fbat_text("shop"), NULL, &iterator, NULL), FBAT_OK);
        collect(iterator, events, &count);
        for (const char *other = letters; *other; other++)
            if (*other == *at)
                assert_int_equal(events[wanted++].sequence, other - letters + 1);
        assert_int_equal(count, wanted);
        assert_int_equal(events[count - 1].revision, count);
    }
}

void expect_letters(struct fbat_store *store, const char *letters) {
    size_t wanted = strlen(letters);
    for (int direction = FBAT_FORWARD; direction <= FBAT_BACKWARD; direction++) {
        struct fbat_query_options options = {.struct_size = sizeof options,
                                             .direction = (enum fbat_direction)direction};
        struct fbat_event events[ENTITIES_MAX];
        struct fbat_iterator *iterator = NULL;
        char seen[ENTITIES_MAX] = {0};
        size_t count;
        assert_int_equal(fbat_query(store, NULL, &options, &iterator, NULL), FBAT_OK);
        collect(iterator, events, &count);
        for (size_t at = 0; at < count; at++) {
            size_t place = direction == FBAT_FORWARD ? at : count - 1 - at;
            seen[place] = *(const char *)events[at].entity.data;
            assert_int_equal(events[at].sequence, place + 1);
        }
        assert_string_equal(seen, letters);
        assert_int_equal(count, wanted);
        for (size_t at = 0; at < count && direction == FBAT_FORWARD; at++)
            expect_lookups(store, &events[at]);
    }
    expect_streams(store, letters);
}

/* ---- check and dump ---- */

struct finding_sink {
    struct check_result *result;
    size_t count;
};

static int take_finding(void *user, const struct fbat_finding *finding) {
    struct finding_sink *sink = user;
    assert_true(sink->count < FINDINGS_MAX);
    sink->result->findings[sink->count].kind = finding->kind;
    sink->result->findings[sink->count].damage = finding->damage;
    sink->result->findings[sink->count].segment_id = finding->segment_id;
    sink->result->findings[sink->count].offset = finding->offset;
    print_message("  %s: segment %llu, offset %llu: %s\n", finding->damage ? "damage" : "remark",
                  (unsigned long long)finding->segment_id, (unsigned long long)finding->offset, finding->message);
    sink->count++;
    return 0;
}

struct check_result check_log(struct log *log) {
    struct check_result result;
    memset(&result, 0, sizeof result);
    struct finding_sink sink = {.result = &result};
    const struct fbat_check_options options = {.struct_size = sizeof options, .finding = take_finding, .user = &sink};
    struct fbat_error error;
    if (store_check(os_sim_process(log->sim, ++last_pid), LOG_DIR, &options, &result.report, &error) != FBAT_OK)
        fail_msg("the check fails: %s", error.message);
    return result;
}

struct text_sink {
    char *to;
    size_t size, room;
};

static int take_frame(void *user, const struct fbat_dump_entry *entry) {
    struct text_sink *sink = user;
    assert_non_null(entry->detail);
    if (entry->what != FBAT_DUMP_FRAME && entry->what != FBAT_DUMP_BROKEN)
        return 0;
    char letter = entry->what == FBAT_DUMP_BROKEN ? 'x' : " esc"[entry->frame_type];
    int length = snprintf(sink->to + sink->size, sink->room - sink->size, "%c:%s\n", letter, entry->detail);
    assert_true(length > 0 && (size_t)length < sink->room - sink->size);
    sink->size += (size_t)length;
    return 0;
}

void dump_frames_of(struct log *log, char *to, size_t room) {
    struct text_sink sink = {.to = to, .room = room};
    to[0] = '\0';
    assert_int_equal(store_dump(os_sim_process(log->sim, ++last_pid), LOG_DIR, 0, take_frame, &sink, NULL), FBAT_OK);
}

/* ---- the reader that knows docs/FORMAT.md only ---- */

struct export_target {
    struct log *log;
    const char *dir;
};

static int export_file(void *user, const char *path) {
    const struct export_target *target = user;
    char to[TEST_PATH_SIZE];
    const uint8_t *bytes;
    uint64_t size;
    snprintf(to, sizeof to, "%s%s", target->dir, strrchr(path, '/'));
    assert_true(os_sim_file_bytes(target->log->sim, path, &bytes, &size));
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_true(size == 0 || fwrite(bytes, (size_t)size, 1, file) == 1);
    assert_int_equal(fclose(file), 0);
    return 0;
}

/* Its exit status, and the letters of the events it printed. -1 where there is no Python. */
static int read_by_format(struct log *log, char *out_letters) {
    static const char member[] = "\"entity\": \"";
    char dir[TEST_PATH_SIZE], command[3 * TEST_PATH_SIZE], line[4096];
    struct export_target target = {log, dir};
    size_t count = 0;
    assert_true(test_temp_dir(dir, sizeof dir));
    assert_int_equal(os_sim_files(log->sim, export_file, &target), 0);
    snprintf(command, sizeof command, "exec python3 '%s/tests/golden/read_store.py' '%s' 2>/dev/null",
             test_source_dir(), dir);
    FILE *output = popen(command, "r");
    assert_non_null(output);
    while (fgets(line, sizeof line, output)) {
        const char *at = strstr(line, member);
        assert_true(at && count + 1 < ENTITIES_MAX);
        out_letters[count++] = at[sizeof member - 1];
    }
    out_letters[count] = '\0';
    int status = pclose(output);
    assert_true(test_remove_tree(dir) && WIFEXITED(status));
    return WEXITSTATUS(status) >= 126 ? -1 : WEXITSTATUS(status);
}

static void expect_by_format(struct log *log, const char *letters) {
    char seen[ENTITIES_MAX];
    int status = read_by_format(log, seen);
    if (status < 0)
        return;
    assert_int_equal(status, 0);
    assert_string_equal(seen, letters);
}

/* ---- the store as a whole ---- */

struct file_sums {
    struct os_sim *sim;
    uint32_t sum;
    bool all;
};

static int add_file(void *user, const char *path) {
    struct file_sums *sums = user;
    const uint8_t *bytes;
    uint64_t size;
    if (!sums->all && strstr(path, "LOCK")) /* says who was the last writer */
        return 0;
    assert_true(os_sim_file_bytes(sums->sim, path, &bytes, &size));
    sums->sum = crc32c(path, strlen(path) + 1, sums->sum);
    sums->sum = crc32c(bytes, (size_t)size, sums->sum);
    return 0;
}

static uint32_t sum_of_files(struct log *log, bool all) {
    struct file_sums sums = {.sim = log->sim, .all = all};
    assert_int_equal(os_sim_files(log->sim, add_file, &sums), 0);
    return sums.sum;
}

static void open_and_close(struct log *log, bool read_only, const char *letters, struct fbat_open_report *out_report) {
    struct fbat_store *store = open_log(log, read_only);
    expect_letters(store, letters);
    if (out_report)
        fbat_open_report(store, out_report);
    assert_int_equal(store_close(store, NULL), FBAT_OK);
}

void expect_store(struct log *log, const char *letters, struct fbat_open_report *out_report) {
    uint32_t before = sum_of_files(log, true);
    struct check_result result = check_log(log);
    assert_int_equal(result.report.findings, 0);
    assert_int_equal(result.report.events, strlen(letters));
    open_and_close(log, true, letters, NULL);
    expect_by_format(log, letters);
    assert_int_equal(sum_of_files(log, true), before);
    open_and_close(log, false, letters, out_report);
    uint32_t recovered = sum_of_files(log, false);
    result = check_log(log);
    assert_int_equal(result.report.findings, 0);
    assert_int_equal(result.report.remarks, 0);
    expect_by_format(log, letters);
    open_and_close(log, true, letters, NULL);
    open_and_close(log, false, letters, NULL);
    assert_int_equal(sum_of_files(log, false), recovered);
}

void expect_damage(struct log *log, uint64_t segment_id, uint64_t offset) {
    uint32_t before = sum_of_files(log, true);
    for (int read_only = 1; read_only >= 0; read_only--) {
        struct fbat_store *store = NULL;
        struct fbat_error error;
        assert_int_equal(try_open(log, read_only, &store, &error), FBAT_ERR_DAMAGED);
        assert_int_equal(error.segment_id, segment_id);
        assert_int_equal(error.offset, offset);
        assert_true(!read_only || sum_of_files(log, true) == before);
    }
    assert_true(check_log(log).report.findings > 0);
    char seen[ENTITIES_MAX];
    assert_int_not_equal(read_by_format(log, seen), 0);
}

/* ---- beside a writer ---- */

void start_writer(struct log *log, struct log_writer *writer, uint64_t visible) {
    const struct os_methods *methods = log->os->methods;
    int64_t holder = 0;
    void *page = NULL;
    log_make_store(log, LIVE_OPEN, visible);
    *writer = (struct log_writer){.log = log};
    assert_int_equal(methods->file_open(log->os, LOG_DIR "/LOCK", OS_OPEN_WRITE, &writer->file), 0);
    assert_int_equal(methods->file_lock(log->os, writer->file, &holder), 0);
    assert_int_equal(methods->file_map(log->os, writer->file, LIVE_BYTES, true, &page), 0);
    writer->page = page;
}

static void put_live(uint8_t *at, uint64_t value) {
    __atomic_store_n((uint64_t *)(void *)at, LITTLE64(value), __ATOMIC_RELEASE);
}

void publish(struct log_writer *writer, uint64_t visible) {
    const struct segment *segment = writer->log->active->segment;
    put_live(writer->page + LIVE_SEGMENT_AT, segment->header.segment_id);
    put_live(writer->page + LIVE_END_AT, segment->end);
    put_live(writer->page + LIVE_VISIBLE_AT, visible);
}

void stop_writer(struct log_writer *writer) {
    const struct os_methods *methods = writer->log->os->methods;
    methods->file_unmap(writer->log->os, writer->page, LIVE_BYTES);
    methods->file_unlock(writer->log->os, writer->file);
    methods->file_close(writer->log->os, writer->file);
}
