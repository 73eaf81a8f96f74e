/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader opens while a writer is at work: what it reads first, the page in LOCK and the names in the directory, need not
 * fit what it finds a moment later. The system's disk, with something that happens in between, once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/handle.h"
#include "os/os.h"
#include "store/store.h"
#include "support/test.h"

enum { EVENTS = 3 }; /* one in each segment */

/* What the disk below does at the first list of names from now on. */
static struct {
    void (*before)(void);
    void (*behind)(void);
    const char *left_out; /* this name, from that list */
    os_name_fn visit;
    void *user;
} script;

static char dir[TEST_PATH_SIZE];
static struct fbat_config config;
static struct fbat_store *writer;
static struct fbat_error error;

static int visit_others(void *user, const char *name) {
    (void)user;
    return script.left_out && strcmp(name, script.left_out) == 0 ? 0 : script.visit(script.user, name);
}

static int list_once(struct os *os, const char *path, os_name_fn visit, void *user) {
    void (*before)(void) = script.before, (*behind)(void) = script.behind;
    (void)os;
    script.before = script.behind = NULL;
    if (before)
        before();
    script.visit = visit;
    script.user = user;
    int result = os_posix()->methods->dir_list(os_posix(), path, visit_others, NULL);
    script.left_out = NULL;
    if (behind)
        behind();
    return result;
}

static struct os *scripted_os(void) {
    static struct os_methods methods;
    static struct os os = {.methods = &methods};
    methods = *os_posix()->methods; /* whose functions do not look at the os they are given */
    methods.dir_list = list_once;
    return &os;
}

static int enter(void **state) {
    (void)state;
    memset(&script, 0, sizeof script);
    if (!test_temp_dir(dir, sizeof dir))
        return -1;
    fbat_config_init(&config, dir);
    config.segment_max_bytes = 1;
    return fbat_open(&config, &writer, &error);
}

static int leave(void **state) {
    (void)state;
    (void)fbat_close(writer, NULL);
    writer = NULL;
    return test_remove_tree(dir) ? 0 : -1;
}

static void append_events(void) {
    for (int at = 0; at < EVENTS; at++) {
        const struct fbat_new_event event = {.struct_size = sizeof event,
                                             .kind = FBAT_KIND(1, 1),
                                             .entity = fbat_text("one"),
                                             .scope = fbat_text("scope")};
        assert_int_equal(fbat_append(writer, &event, NULL, NULL, &error), FBAT_OK);
    }
}

static void expect_events(uint64_t expected) {
    struct fbat_store *reader = NULL;
    uint64_t count = 0;
    int status = store_open_read_only(scripted_os(), &config, &reader, &error);
    if (status != FBAT_OK)
        fail_msg("%s", error.message);
    handle_adopt(reader);
    assert_int_equal(fbat_query_count(reader, NULL, &count, &error), FBAT_OK);
    assert_int_equal(count, expected);
    assert_int_equal(fbat_close(reader, &error), FBAT_OK);
}

static void segment_path_in(uint64_t segment_id, char out_path[TEST_PATH_SIZE + 16]) {
    snprintf(out_path, TEST_PATH_SIZE + 16, "%s/%06u.fbat", dir, (unsigned)segment_id);
}

/* ---- the tests ---- */

static void a_reader_opens_while_the_log_goes_on_in_other_segments(void **state) {
    (void)state;
    append_events();
    script.before = append_events;
    expect_events(2 * EVENTS);
}

static void a_reader_opens_while_segments_are_made_behind_its_list(void **state) {
    (void)state;
    append_events();
    script.behind = append_events;
    expect_events(2 * EVENTS);
}

/* Two files are made while the names are read: the list may hold the second one alone. */
static void a_reader_looks_again_for_a_name_that_its_list_missed(void **state) {
    (void)state;
    append_events();
    script.left_out = "000002.fbat";
    expect_events(EVENTS);
}

static void remove_unfinished(void) {
    char path[TEST_PATH_SIZE + 16];
    segment_path_in(EVENTS + 1, path);
    assert_int_equal(unlink(path), 0);
}

/* A writer that comes back drops what a dead one left half made. */
static void a_reader_does_not_mind_a_segment_that_is_dropped_behind_its_list(void **state) {
    char path[TEST_PATH_SIZE + 16];
    (void)state;
    append_events();
    segment_path_in(EVENTS + 1, path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    script.behind = remove_unfinished;
    expect_events(EVENTS);
}

/* What is wrong and stays so is answered. */
static void a_reader_answers_damage_that_stays(void **state) {
    char path[TEST_PATH_SIZE + 16];
    struct fbat_store *reader = NULL;
    (void)state;
    append_events();
    segment_path_in(2, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(store_open_read_only(scripted_os(), &config, &reader, &error), FBAT_ERR_DAMAGED);
    assert_int_equal(error.segment_id, 2);
    assert_null(reader);
    assert_int_equal(store_open_read_only(scripted_os(), &config, &reader, NULL), FBAT_ERR_DAMAGED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_reader_opens_while_the_log_goes_on_in_other_segments, enter, leave),
        cmocka_unit_test_setup_teardown(a_reader_opens_while_segments_are_made_behind_its_list, enter, leave),
        cmocka_unit_test_setup_teardown(a_reader_looks_again_for_a_name_that_its_list_missed, enter, leave),
        cmocka_unit_test_setup_teardown(a_reader_does_not_mind_a_segment_that_is_dropped_behind_its_list, enter, leave),
        cmocka_unit_test_setup_teardown(a_reader_answers_damage_that_stays, enter, leave),
    };
    return cmocka_run_group_tests_name("opening for reading", tests, NULL, NULL);
}
