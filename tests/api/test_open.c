/* SPDX-License-Identifier: Apache-2.0 */
/* Opening and closing: what becomes a store, what is refused, and that a refusal changes nothing. */
#include "fixture.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

/* Offsets in store.meta and in a segment's header, from docs/FORMAT.md. */
enum {
    META_VERSION_AT = 8,
    META_COMPATIBLE_AT = 16,
    META_INCOMPATIBLE_AT = 20,
    META_CRC_AT = 124,
    HEADER_VERSION_AT = 8,
    HEADER_CRC_AT = 4092,
};

static bool exists(const char *path) {
    struct stat status;
    return stat(path, &status) == 0;
}

static void make_store(struct fixture *fixture) {
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    close_store(fixture);
}

/* Sets a 32-bit field of a file and mends its checksum. */
static void patch_field(const char *path, uint64_t at, uint32_t value, size_t crc_at) {
    size_t size;
    uint8_t *bytes = read_file(path, &size);
    uint8_t field[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    memcpy(bytes + at, field, sizeof field);
    uint32_t crc = crc32c_of(bytes, crc_at, 0);
    uint8_t checksum[4] = {(uint8_t)crc, (uint8_t)(crc >> 8), (uint8_t)(crc >> 16), (uint8_t)(crc >> 24)};
    memcpy(bytes + crc_at, checksum, sizeof checksum);
    write_file(path, bytes, size);
    free(bytes);
}

/* Neither way of opening accepts the directory; the handle given stays as it was. */
static void assert_refused(const struct fixture *fixture, int status) {
    struct fbat_store *store = (struct fbat_store *)&fault;
    assert_status(status, fbat_open(&fixture->config, &store, &fault));
    assert_ptr_equal(store, &fault);
    assert_int_equal(fault.status, status);
    assert_true(strlen(fault.message) > 0);
    assert_status(status, fbat_open_read_only(&fixture->config, &store, &fault));
    assert_ptr_equal(store, &fault);
}

/* ---- what becomes a store ---- */

static void absent_directory_is_created(void **state) {
    struct fixture *fixture = *state;
    assert_false(exists(fixture->dir));
    open_store(fixture);
    assert_true(exists(fixture->dir));
    close_store(fixture);
    open_store(fixture);
}

static void empty_directory_becomes_a_store(void **state) {
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(fixture->dir, 0755), 0);
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
}

static void trailing_slash_is_the_same_directory(void **state) {
    struct fixture *fixture = *state;
    make_store(fixture);
    char dir[TEST_PATH_SIZE];
    join_path(fixture->dir, "", dir);
    fixture->config.data_dir = dir;
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
    close_store(fixture);
}

static void link_to_a_directory_is_followed(void **state) {
    struct fixture *fixture = *state;
    make_store(fixture);
    char link[TEST_PATH_SIZE];
    join_path(fixture->root, "link", link);
    assert_int_equal(symlink(fixture->dir, link), 0);
    fixture->config.data_dir = link;
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
    close_store(fixture);
}

/* A creation that was cut short, before store.meta had its name, counts as an empty directory. */
static void interrupted_creation_is_completed(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    assert_int_equal(mkdir(fixture->dir, 0755), 0);
    join_path(fixture->dir, "LOCK", path);
    write_file(path, "", 0);
    join_path(fixture->dir, "store.meta.new", path);
    write_file(path, "half", 4);
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
}

/* data_dir is borrowed during the call only. */
static void directory_name_is_copied(void **state) {
    struct fixture *fixture = *state;
    char *name = strdup(fixture->dir);
    assert_non_null(name);
    fixture->config.data_dir = name;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    memset(name, 'x', strlen(name));
    free(name);
    append_text(fixture->store, "one", "scope", "payload");
    append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(count_events(fixture->store), 2);
}

/* ---- what is refused ---- */

static void file_in_place_of_the_directory_is_refused(void **state) {
    struct fixture *fixture = *state;
    write_file(fixture->dir, "precious", 8);
    assert_refused(fixture, FBAT_ERR_NOT_A_STORE);
    assert_message_has(fixture->dir);
    assert_status(FBAT_ERR_NOT_A_STORE, fbat_check(fixture->dir, NULL, NULL, &fault));
    size_t size;
    uint8_t *bytes = read_file(fixture->dir, &size);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "precious", 8);
    free(bytes);
}

static void file_in_the_middle_of_the_path_is_refused(void **state) {
    struct fixture *fixture = *state;
    char below[TEST_PATH_SIZE];
    write_file(fixture->dir, "precious", 8);
    join_path(fixture->dir, "below", below);
    fixture->config.data_dir = below;
    assert_refused(fixture, FBAT_ERR_NOT_A_STORE);
}

static void directory_with_foreign_files_is_refused_and_left_alone(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    assert_int_equal(mkdir(fixture->dir, 0755), 0);
    join_path(fixture->dir, "letters", path);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_refused(fixture, FBAT_ERR_NOT_A_STORE);
    join_path(fixture->dir, "LOCK", path);
    assert_false(exists(path));
    join_path(fixture->dir, "store.meta", path);
    assert_false(exists(path));
}

/* Segments without store.meta are not an empty directory. */
static void directory_that_lost_its_store_meta_is_refused(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    make_store(fixture);
    join_path(fixture->dir, "store.meta", path);
    assert_int_equal(unlink(path), 0);
    assert_refused(fixture, FBAT_ERR_NOT_A_STORE);
    assert_false(exists(path));
    segment_path_of(fixture->dir, 1, path);
    assert_true(exists(path));
}

static void missing_parent_is_not_created(void **state) {
    struct fixture *fixture = *state;
    char deep[TEST_PATH_SIZE];
    join_path(fixture->dir, "below", deep);
    fixture->config.data_dir = deep;
    assert_refused(fixture, FBAT_ERR_NOT_FOUND);
    assert_false(exists(fixture->dir));
}

static void read_only_open_creates_nothing(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *store;
    assert_status(FBAT_ERR_NOT_FOUND, fbat_open_read_only(&fixture->config, &store, &fault));
    assert_false(exists(fixture->dir));
    assert_int_equal(mkdir(fixture->dir, 0755), 0);
    assert_status(FBAT_ERR_NOT_A_STORE, fbat_open_read_only(&fixture->config, &store, &fault));
    assert_int_equal(rmdir(fixture->dir), 0); /* still empty */
    assert_status(FBAT_ERR_NOT_FOUND, fbat_check(fixture->dir, NULL, NULL, &fault));
}

static void store_of_a_newer_version_is_refused(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    make_store(fixture);
    join_path(fixture->dir, "store.meta", path);
    patch_field(path, META_VERSION_AT, FBAT_DISK_VERSION + 1, META_CRC_AT);
    assert_refused(fixture, FBAT_ERR_VERSION);
    assert_status(FBAT_ERR_VERSION, fbat_check(fixture->dir, NULL, NULL, &fault));
    patch_field(path, META_VERSION_AT, FBAT_DISK_VERSION, META_CRC_AT);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 1); /* nothing was lost meanwhile */
}

static void unknown_incompatible_feature_is_refused(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    make_store(fixture);
    join_path(fixture->dir, "store.meta", path);
    patch_field(path, META_INCOMPATIBLE_AT, 0x80000000u, META_CRC_AT);
    assert_refused(fixture, FBAT_ERR_VERSION);
}

static void unknown_compatible_feature_is_accepted(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    make_store(fixture);
    join_path(fixture->dir, "store.meta", path);
    patch_field(path, META_COMPATIBLE_AT, 1, META_CRC_AT);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
}

static void segment_of_a_newer_version_is_refused(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    make_store(fixture);
    segment_path_of(fixture->dir, 1, path);
    patch_field(path, HEADER_VERSION_AT, FBAT_DISK_VERSION + 1, HEADER_CRC_AT);
    assert_refused(fixture, FBAT_ERR_VERSION);
    assert_true(exists(path));
}

static void damaged_store_meta_is_named(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    struct fbat_check_report report;
    make_store(fixture);
    join_path(fixture->dir, "store.meta", path);
    patch_file(path, 30, "?", 1);
    assert_refused(fixture, FBAT_ERR_DAMAGED);
    assert_message_has("store.meta");
    assert_ok(fbat_check(fixture->dir, NULL, &report, &fault));
    assert_int_equal(report.findings, 1);
    write_file(path, "", 0);
    assert_refused(fixture, FBAT_ERR_DAMAGED);
}

/* ---- configuration and arguments ---- */

static void invalid_configuration_creates_nothing(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *store;
    fixture->config.batch.max_size = 0;
    assert_status(FBAT_ERR_CONFIG, fbat_open(&fixture->config, &store, &fault));
    assert_message_has("batch.max_size");
    assert_false(exists(fixture->dir));
    fixture->config.batch.max_size = 1;
    fixture->config.struct_size--;
    assert_status(FBAT_ERR_CONFIG, fbat_open(&fixture->config, &store, &fault));
    assert_false(exists(fixture->dir));
}

static void missing_arguments_are_refused(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *store;
    assert_status(FBAT_ERR_ARGUMENT, fbat_open(NULL, &store, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_open(&fixture->config, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_open_read_only(&fixture->config, NULL, NULL));
    fixture->config.data_dir = NULL;
    assert_status(FBAT_ERR_CONFIG, fbat_open(&fixture->config, &store, &fault));
    assert_message_has("data_dir");
}

static void closing_nothing_is_fine(void **state) {
    (void)state;
    assert_ok(fbat_close(NULL, &fault));
    assert_ok(fbat_close(NULL, NULL));
}

static void note_message(void *user, enum fbat_log_level level, const char *message) {
    int *messages = user;
    assert_in_range(level, FBAT_LOG_ERROR, FBAT_LOG_INFO);
    assert_null(strchr(message, '\n'));
    assert_true(strlen(message) > 0);
    (*messages)++;
}

static void log_callback_hears_of_the_opening(void **state) {
    struct fixture *fixture = *state;
    int messages = 0;
    fixture->config.log = note_message;
    fixture->config.log_user = &messages;
    open_store(fixture);
    assert_int_equal(messages, 1);
    close_store(fixture);
}

/* ---- permissions: as another user, in a child ---- */

static bool may_change_user(void) {
    if (geteuid() == 0)
        return true;
    print_message("only root can try another user's permissions\n");
    return false;
}

static int open_as_nobody(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)in, (void)out;
    child_check(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_ERR_PERMISSION);
    child_check(error.os_errno == EACCES);
    child_check(strstr(error.message, fixture->root));
    return 0;
}

static int read_as_nobody(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    (void)in, (void)out;
    child_check(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    child_check(fbat_open_read_only(&fixture->config, &store, &error) == FBAT_ERR_PERMISSION);
    child_check(fbat_check(fixture->dir, NULL, NULL, &error) == FBAT_ERR_PERMISSION);
    return 0;
}

static void run_child(struct fixture *fixture, child_fn run) {
    struct child child;
    child_start(&child, run, fixture);
    assert_int_equal(child_wait(&child), 0);
}

static void store_of_another_user_is_not_written(void **state) {
    struct fixture *fixture = *state;
    if (!may_change_user())
        skip();
    make_store(fixture);
    assert_int_equal(chmod(fixture->root, 0755), 0);
    run_child(fixture, open_as_nobody);
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 1);
}

static void directory_cannot_be_created_without_permission(void **state) {
    struct fixture *fixture = *state;
    if (!may_change_user())
        skip();
    assert_int_equal(chmod(fixture->root, 0755), 0);
    run_child(fixture, open_as_nobody);
    assert_false(exists(fixture->dir));
}

static void unreadable_directory_is_a_matter_of_permission(void **state) {
    struct fixture *fixture = *state;
    if (!may_change_user())
        skip();
    make_store(fixture);
    assert_int_equal(chmod(fixture->root, 0755), 0);
    assert_int_equal(chmod(fixture->dir, 0700), 0);
    run_child(fixture, open_as_nobody);
    run_child(fixture, read_as_nobody);
}

/* ---- a race ---- */

static int open_at_once(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    child_check(pipe_receive(in));
    int status = fbat_open(&fixture->config, &store, &error);
    if (status == FBAT_OK)
        status = fbat_close(store, &error);
    else if (status == FBAT_ERR_LOCKED)
        status = FBAT_OK;
    if (status < 0)
        fprintf(stderr, "%s\n", error.message);
    pipe_send(out);
    return status < 0;
}

/* Processes that create the same store at once: each has it in turn or is refused, and a good store comes of it. */
static void creation_by_several_processes_at_once_is_one_creation(void **state) {
    struct fixture *fixture = *state;
    for (int round = 0; round < 20; round++) {
        struct child children[4];
        for (int at = 0; at < 4; at++)
            child_start(&children[at], open_at_once, fixture);
        for (int at = 0; at < 4; at++)
            pipe_send(children[at].to);
        for (int at = 0; at < 4; at++)
            assert_int_equal(child_wait(&children[at]), 0);
        open_store(fixture);
        close_store(fixture);
        assert_true(test_remove_tree(fixture->dir));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(absent_directory_is_created),
        behaviour(empty_directory_becomes_a_store),
        behaviour(trailing_slash_is_the_same_directory),
        behaviour(link_to_a_directory_is_followed),
        behaviour(interrupted_creation_is_completed),
        behaviour(directory_name_is_copied),
        behaviour(file_in_place_of_the_directory_is_refused),
        behaviour(file_in_the_middle_of_the_path_is_refused),
        behaviour(directory_with_foreign_files_is_refused_and_left_alone),
        behaviour(directory_that_lost_its_store_meta_is_refused),
        behaviour(missing_parent_is_not_created),
        behaviour(read_only_open_creates_nothing),
        behaviour(store_of_a_newer_version_is_refused),
        behaviour(unknown_incompatible_feature_is_refused),
        behaviour(unknown_compatible_feature_is_accepted),
        behaviour(segment_of_a_newer_version_is_refused),
        behaviour(damaged_store_meta_is_named),
        behaviour(invalid_configuration_creates_nothing),
        behaviour(missing_arguments_are_refused),
        behaviour(closing_nothing_is_fine),
        behaviour(log_callback_hears_of_the_opening),
        behaviour(store_of_another_user_is_not_written),
        behaviour(directory_cannot_be_created_without_permission),
        behaviour(unreadable_directory_is_a_matter_of_permission),
        behaviour(creation_by_several_processes_at_once_is_one_creation),
    };
    return cmocka_run_group_tests_name("api: open and close", tests, NULL, NULL);
}
