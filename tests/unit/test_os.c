/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contract of os/os.h, held against both implementations: the real one in a temporary directory, and os_sim. What
 * only a real system has (symbolic links, other processes) is tested on the real one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"
#include "support/os_sim.h"
#include "support/test.h"

#define CHILD_OK 0
#define CHILD_WRONG 1

struct world {
    struct os *os;
    struct os_sim *sim; /* NULL: the real one */
    char directory[TEST_PATH_SIZE / 2];
};

/* A path in the world's directory; valid until the fourth call after. */
static const char *path_of(const struct world *world, const char *name) {
    static char paths[4][TEST_PATH_SIZE];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, TEST_PATH_SIZE, "%s/%s", world->directory, name);
    return path;
}

static struct os_file *open_as(const struct world *world, const char *name, enum os_open_mode mode) {
    struct os_file *file = NULL;
    assert_int_equal(world->os->methods->file_open(world->os, path_of(world, name), mode, &file), 0);
    assert_non_null(file);
    return file;
}

static int try_open(const struct world *world, const char *name, enum os_open_mode mode) {
    struct os_file *file = NULL;
    int error = world->os->methods->file_open(world->os, path_of(world, name), mode, &file);
    if (error)
        assert_null(file);
    else
        world->os->methods->file_close(world->os, file);
    return error;
}

static void close_file(const struct world *world, struct os_file *file) {
    world->os->methods->file_close(world->os, file);
}

static void write_text(const struct world *world, struct os_file *file, const char *text, uint64_t offset) {
    assert_int_equal(world->os->methods->file_write_at(world->os, file, text, strlen(text), offset), 0);
}

static void assert_text(const struct world *world, struct os_file *file, const char *text, uint64_t offset) {
    char buffer[256];
    size_t size = strlen(text);
    assert_true(size <= sizeof buffer);
    assert_int_equal(world->os->methods->file_read_at(world->os, file, buffer, size, offset), 0);
    assert_memory_equal(buffer, text, size);
}

static uint64_t size_of(const struct world *world, struct os_file *file) {
    uint64_t size = UINT64_MAX;
    assert_int_equal(world->os->methods->file_size(world->os, file, &size), 0);
    return size;
}

static void assert_zeros(const struct world *world, struct os_file *file, uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at++) {
        uint8_t byte = 0xff;
        assert_int_equal(world->os->methods->file_read_at(world->os, file, &byte, 1, at), 0);
        assert_int_equal(byte, 0);
    }
}

static void make_file(const struct world *world, const char *name, const char *text) {
    struct os_file *file = open_as(world, name, OS_OPEN_CREATE_NEW);
    write_text(world, file, text, 0);
    close_file(world, file);
}

static enum os_path_kind kind_of(const struct world *world, const char *name) {
    enum os_path_kind kind = OS_PATH_OTHER;
    assert_int_equal(world->os->methods->path_kind(world->os, path_of(world, name), &kind), 0);
    return kind;
}

static void a_new_file_is_empty_and_keeps_what_is_written(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "a", OS_OPEN_CREATE_NEW);
    assert_int_equal(size_of(world, file), 0);
    write_text(world, file, "hello", 0);
    write_text(world, file, "p!", 3);
    close_file(world, file);
    file = open_as(world, "a", OS_OPEN_READ);
    assert_int_equal(size_of(world, file), 5);
    assert_text(world, file, "help!", 0);
    close_file(world, file);
}

static void open_modes_differ_in_what_must_exist(void **state) {
    struct world *world = *state;
    assert_int_equal(try_open(world, "a", OS_OPEN_READ), ENOENT);
    assert_int_equal(try_open(world, "a", OS_OPEN_WRITE), ENOENT);
    assert_int_equal(try_open(world, "missing/a", OS_OPEN_CREATE), ENOENT);
    assert_int_equal(try_open(world, "a", OS_OPEN_CREATE), 0);
    assert_int_equal(try_open(world, "a", OS_OPEN_CREATE_NEW), EEXIST);
    assert_int_equal(try_open(world, "a/b", OS_OPEN_CREATE), ENOTDIR);
    assert_int_equal(try_open(world, ".", OS_OPEN_WRITE), EISDIR);
}

static void create_keeps_and_truncate_empties(void **state) {
    struct world *world = *state;
    make_file(world, "a", "content");
    struct os_file *file = open_as(world, "a", OS_OPEN_CREATE);
    assert_text(world, file, "content", 0);
    close_file(world, file);
    file = open_as(world, "a", OS_OPEN_TRUNCATE);
    assert_int_equal(size_of(world, file), 0);
    close_file(world, file);
    file = open_as(world, "b", OS_OPEN_TRUNCATE);
    close_file(world, file);
}

static void reading_past_the_end_is_no_data(void **state) {
    struct world *world = *state;
    make_file(world, "a", "12345");
    struct os_file *file = open_as(world, "a", OS_OPEN_READ);
    char buffer[8];
    const struct os_methods *methods = world->os->methods;
    assert_int_equal(methods->file_read_at(world->os, file, buffer, 1, 5), ENODATA);
    assert_int_equal(methods->file_read_at(world->os, file, buffer, 4, 3), ENODATA);
    assert_int_equal(methods->file_read_at(world->os, file, buffer, 2, 3), 0);
    assert_int_equal(methods->file_read_at(world->os, file, buffer, 0, 5), 0);
    close_file(world, file);
}

static void a_read_only_file_is_not_written(void **state) {
    struct world *world = *state;
    make_file(world, "a", "12345");
    struct os_file *file = open_as(world, "a", OS_OPEN_READ);
    void *address = NULL;
    assert_int_not_equal(world->os->methods->file_write_at(world->os, file, "x", 1, 0), 0);
    assert_int_not_equal(world->os->methods->file_truncate(world->os, file, 1), 0);
    assert_int_equal(world->os->methods->file_map(world->os, file, 5, true, &address), EACCES);
    assert_null(address);
    assert_text(world, file, "12345", 0);
    close_file(world, file);
}

static void writing_past_the_end_leaves_zeros_between(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "a", OS_OPEN_CREATE_NEW);
    write_text(world, file, "end", 5000);
    assert_int_equal(size_of(world, file), 5003);
    assert_zeros(world, file, 0, 5000);
    assert_text(world, file, "end", 5000);
    close_file(world, file);
}

static void truncate_cuts_for_good_and_extends_with_zeros(void **state) {
    struct world *world = *state;
    make_file(world, "a", "0123456789");
    struct os_file *file = open_as(world, "a", OS_OPEN_WRITE);
    assert_int_equal(world->os->methods->file_truncate(world->os, file, 4), 0);
    assert_int_equal(size_of(world, file), 4);
    assert_int_equal(world->os->methods->file_truncate(world->os, file, 600), 0);
    assert_int_equal(size_of(world, file), 600);
    assert_text(world, file, "0123", 0);
    assert_zeros(world, file, 4, 600);
    close_file(world, file);
}

static void allocate_extends_with_zeros_and_never_cuts(void **state) {
    struct world *world = *state;
    make_file(world, "a", "0123");
    struct os_file *file = open_as(world, "a", OS_OPEN_WRITE);
    int error = world->os->methods->file_allocate(world->os, file, 8192);
    if (error == EOPNOTSUPP) {
        close_file(world, file);
        skip();
    }
    assert_int_equal(error, 0);
    assert_int_equal(size_of(world, file), 8192);
    assert_text(world, file, "0123", 0);
    assert_zeros(world, file, 4, 8192);
    assert_int_equal(world->os->methods->file_allocate(world->os, file, 100), 0);
    assert_int_equal(size_of(world, file), 8192);
    uint64_t allocated = 0;
    assert_int_equal(world->os->methods->file_allocated(world->os, file, &allocated), 0);
    assert_true(allocated >= 8192);
    close_file(world, file);
}

static void a_mapping_and_the_file_are_the_same_bytes(void **state) {
    struct world *world = *state;
    make_file(world, "a", "0123456789");
    struct os_file *file = open_as(world, "a", OS_OPEN_WRITE);
    void *address = NULL;
    assert_int_equal(world->os->methods->file_map(world->os, file, 10, true, &address), 0);
    char *bytes = address;
    world->os->methods->map_populate(world->os, address, 10);
    assert_memory_equal(bytes, "0123456789", 10);
    bytes[3] = 'x';
    assert_text(world, file, "012x456789", 0);
    write_text(world, file, "yy", 8);
    assert_memory_equal(bytes, "012x4567yy", 10);
    world->os->methods->file_unmap(world->os, address, 10);
    close_file(world, file);
}

static void a_mapping_sees_the_file_grow_into_it(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "a", OS_OPEN_CREATE_NEW);
    uint64_t size = UINT64_C(1) << 20;
    void *address = NULL;
    assert_int_equal(world->os->methods->file_map(world->os, file, size, true, &address), 0);
    char *bytes = address;
    assert_int_equal(world->os->methods->file_truncate(world->os, file, 4096), 0);
    bytes[4095] = 'a';
    assert_int_equal(world->os->methods->file_truncate(world->os, file, size), 0);
    bytes[size - 1] = 'z';
    assert_text(world, file, "a", 4095);
    assert_text(world, file, "z", size - 1);
    world->os->methods->file_unmap(world->os, address, size);
    close_file(world, file);
}

static void a_mapping_outlives_its_file_handle_and_its_name(void **state) {
    struct world *world = *state;
    make_file(world, "a", "kept");
    struct os_file *file = open_as(world, "a", OS_OPEN_READ);
    void *address = NULL;
    assert_int_equal(world->os->methods->file_map(world->os, file, 4, false, &address), 0);
    close_file(world, file);
    assert_memory_equal(address, "kept", 4);
    assert_int_equal(world->os->methods->path_remove(world->os, path_of(world, "a")), 0);
    make_file(world, "b", "some other bytes");
    assert_memory_equal(address, "kept", 4);
    world->os->methods->file_unmap(world->os, address, 4);
}

static void a_mapping_of_nothing_is_refused(void **state) {
    struct world *world = *state;
    make_file(world, "a", "kept");
    struct os_file *file = open_as(world, "a", OS_OPEN_READ);
    void *address = NULL;
    assert_int_equal(world->os->methods->file_map(world->os, file, 0, false, &address), EINVAL);
    assert_null(address);
    close_file(world, file);
}

static void a_lock_has_one_holder_even_within_a_process(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    struct os_file *first = open_as(world, "LOCK", OS_OPEN_CREATE);
    struct os_file *second = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder = -7;
    assert_int_equal(methods->file_lock_holder(world->os, first), 0);
    assert_int_equal(methods->file_lock(world->os, first, &holder), 0);
    assert_int_equal(holder, -7);
    assert_int_equal(methods->file_lock(world->os, second, &holder), EWOULDBLOCK);
    assert_int_equal(holder, methods->process_id(world->os));
    assert_int_equal(methods->file_lock_holder(world->os, second), methods->process_id(world->os));
    methods->file_unlock(world->os, first);
    assert_int_equal(methods->file_lock_holder(world->os, second), 0);
    assert_int_equal(methods->file_lock(world->os, second, &holder), 0);
    methods->file_unlock(world->os, second);
    close_file(world, second);
    close_file(world, first);
}

static void unlocking_without_the_lock_does_nothing(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    struct os_file *first = open_as(world, "LOCK", OS_OPEN_CREATE);
    struct os_file *second = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    assert_int_equal(methods->file_lock(world->os, first, &holder), 0);
    methods->file_unlock(world->os, second);
    assert_int_equal(methods->file_lock(world->os, second, &holder), EWOULDBLOCK);
    methods->file_unlock(world->os, first);
    close_file(world, second);
    close_file(world, first);
}

static void closing_the_file_gives_the_lock_up(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    struct os_file *first = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    assert_int_equal(methods->file_lock(world->os, first, &holder), 0);
    close_file(world, first);
    struct os_file *second = open_as(world, "LOCK", OS_OPEN_CREATE);
    assert_int_equal(methods->file_lock_holder(world->os, second), 0);
    assert_int_equal(methods->file_lock(world->os, second, &holder), 0);
    methods->file_unlock(world->os, second);
    close_file(world, second);
}

static void path_kinds_are_told_apart(void **state) {
    struct world *world = *state;
    make_file(world, "file", "x");
    assert_int_equal(world->os->methods->dir_create(world->os, path_of(world, "directory")), 0);
    assert_int_equal(kind_of(world, "file"), OS_PATH_FILE);
    assert_int_equal(kind_of(world, "directory"), OS_PATH_DIRECTORY);
    assert_int_equal(kind_of(world, "nothing"), OS_PATH_NONE);
    assert_int_equal(kind_of(world, "nothing/below"), OS_PATH_NONE);
    enum os_path_kind kind = OS_PATH_OTHER;
    assert_int_equal(world->os->methods->path_kind(world->os, path_of(world, "file/below"), &kind), ENOTDIR);
    assert_int_equal(kind, OS_PATH_OTHER);
}

static void a_directory_is_created_once(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    assert_int_equal(methods->dir_create(world->os, path_of(world, "d")), 0);
    assert_int_equal(methods->dir_create(world->os, path_of(world, "d")), EEXIST);
    assert_int_equal(methods->dir_create(world->os, path_of(world, "missing/d")), ENOENT);
    make_file(world, "f", "x");
    assert_int_equal(methods->dir_create(world->os, path_of(world, "f")), EEXIST);
    make_file(world, "d/inside", "x");
    assert_int_equal(kind_of(world, "d/inside"), OS_PATH_FILE);
}

struct seen_names {
    unsigned count;
    unsigned sum; /* of the last letters: each name once */
    unsigned stop_at;
};

static int see_name(void *user, const char *name) {
    struct seen_names *seen = user;
    seen->count++;
    seen->sum += (unsigned char)name[strlen(name) - 1];
    return seen->count == seen->stop_at ? 77 : 0;
}

static void listing_gives_each_name_once(void **state) {
    struct world *world = *state;
    make_file(world, "file-a", "x");
    make_file(world, "file-b", "x");
    assert_int_equal(world->os->methods->dir_create(world->os, path_of(world, "directory-c")), 0);
    make_file(world, "directory-c/z", "not listed");
    struct seen_names seen = {0};
    assert_int_equal(world->os->methods->dir_list(world->os, world->directory, see_name, &seen), 0);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.sum, 'a' + 'b' + 'c');
}

static void listing_stops_when_the_visitor_says_so(void **state) {
    struct world *world = *state;
    make_file(world, "a", "x");
    make_file(world, "b", "x");
    struct seen_names seen = {.stop_at = 1};
    assert_int_equal(world->os->methods->dir_list(world->os, world->directory, see_name, &seen), 77);
    assert_int_equal(seen.count, 1);
    assert_int_equal(world->os->methods->dir_list(world->os, path_of(world, "missing"), see_name, &seen), ENOENT);
    assert_int_equal(world->os->methods->dir_list(world->os, path_of(world, "a"), see_name, &seen), ENOTDIR);
}

static void rename_replaces_and_open_files_follow(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    make_file(world, "new", "new content");
    make_file(world, "target", "old content");
    struct os_file *old = open_as(world, "target", OS_OPEN_READ);
    assert_int_equal(methods->path_rename(world->os, path_of(world, "new"), path_of(world, "target")), 0);
    assert_int_equal(kind_of(world, "new"), OS_PATH_NONE);
    struct os_file *file = open_as(world, "target", OS_OPEN_READ);
    assert_text(world, file, "new content", 0);
    assert_text(world, old, "old content", 0);
    close_file(world, file);
    close_file(world, old);
    assert_int_equal(methods->path_rename(world->os, path_of(world, "new"), path_of(world, "target")), ENOENT);
}

static void a_removed_file_stays_readable_while_open(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    make_file(world, "a", "content");
    struct os_file *file = open_as(world, "a", OS_OPEN_READ);
    assert_int_equal(methods->path_remove(world->os, path_of(world, "a")), 0);
    assert_int_equal(kind_of(world, "a"), OS_PATH_NONE);
    assert_text(world, file, "content", 0);
    close_file(world, file);
    assert_int_equal(methods->path_remove(world->os, path_of(world, "a")), ENOENT);
}

static void remove_is_for_files(void **state) {
    struct world *world = *state;
    assert_int_equal(world->os->methods->dir_create(world->os, path_of(world, "d")), 0);
    assert_int_equal(world->os->methods->path_remove(world->os, path_of(world, "d")), EISDIR);
    assert_int_equal(kind_of(world, "d"), OS_PATH_DIRECTORY);
}

static void files_and_directories_can_be_synced(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    struct os_file *file = open_as(world, "a", OS_OPEN_CREATE);
    write_text(world, file, "content", 0);
    assert_int_equal(methods->file_sync(world->os, file, OS_SYNC_DATA), 0);
    assert_int_equal(methods->file_sync(world->os, file, OS_SYNC_ALL), 0);
    assert_int_equal(methods->dir_sync(world->os, world->directory), 0);
    assert_int_equal(methods->dir_sync(world->os, path_of(world, "missing")), ENOENT);
    assert_int_equal(methods->dir_sync(world->os, path_of(world, "a")), ENOTDIR);
    close_file(world, file);
}

static void time_goes_on(void **state) {
    struct world *world = *state;
    const struct os_methods *methods = world->os->methods;
    assert_true(methods->clock_us(world->os) > INT64_C(1600000000000000));
    uint64_t last = methods->monotonic_us(world->os);
    for (int round = 0; round < 1000; round++) {
        uint64_t now = methods->monotonic_us(world->os);
        assert_true(now >= last);
        last = now;
    }
}

static void random_bytes_do_not_repeat(void **state) {
    struct world *world = *state;
    uint8_t first[37] = {0};
    uint8_t second[37] = {0};
    assert_int_equal(world->os->methods->random(world->os, first, sizeof first), 0);
    assert_int_equal(world->os->methods->random(world->os, second, sizeof second), 0);
    assert_memory_not_equal(first, second, sizeof first);
}

static void set_flag(void *user) {
    *(int *)user = 1;
}

static void a_thread_runs_or_is_refused(void **state) {
    struct world *world = *state;
    int flag = 0;
    void *thread = NULL;
    int error = world->os->methods->thread_start(world->os, 0, set_flag, &flag, &thread);
    if (world->sim) {
        assert_int_equal(error, EOPNOTSUPP);
        assert_null(thread);
        return;
    }
    assert_int_equal(error, 0);
    world->os->methods->thread_join(world->os, thread);
    assert_int_equal(flag, 1);
    assert_int_equal(world->os->methods->thread_start(world->os, 1, set_flag, &flag, &thread), 0);
    world->os->methods->thread_join(world->os, thread);
}

/* --- The real one alone ------------------------------------------------------------------------------------------- */

static void a_symbolic_link_is_not_followed(void **state) {
    struct world *world = *state;
    make_file(world, "a", "content");
    assert_int_equal(symlink(path_of(world, "a"), path_of(world, "link")), 0);
    assert_int_equal(try_open(world, "link", OS_OPEN_READ), ELOOP);
    assert_int_equal(try_open(world, "link", OS_OPEN_CREATE), ELOOP);
}

/* What the child answers is its exit code: cmocka's asserts belong to the parent. */
static int run_child(int (*child)(struct world *world), struct world *world) {
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(child(world));
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int expect_refusal_naming_the_parent(struct world *world) {
    struct os_file *file;
    int64_t holder = 0;
    if (world->os->methods->file_open(world->os, path_of(world, "LOCK"), OS_OPEN_CREATE, &file) != 0)
        return CHILD_WRONG;
    if (world->os->methods->file_lock_holder(world->os, file) != getppid())
        return CHILD_WRONG;
    if (world->os->methods->file_lock(world->os, file, &holder) != EWOULDBLOCK)
        return CHILD_WRONG;
    return holder == getppid() ? CHILD_OK : CHILD_WRONG;
}

static void another_process_is_told_who_holds_the_lock(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    assert_int_equal(world->os->methods->file_lock(world->os, file, &holder), 0);
    assert_int_equal(run_child(expect_refusal_naming_the_parent, world), CHILD_OK);
    world->os->methods->file_unlock(world->os, file);
    close_file(world, file);
}

/* The refused second writer of one process closes its file: the first one's lock must not go with it. */
static void a_lock_survives_another_open_and_close_of_its_file(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    assert_int_equal(world->os->methods->file_lock(world->os, file, &holder), 0);
    struct os_file *second = open_as(world, "LOCK", OS_OPEN_CREATE);
    assert_int_equal(world->os->methods->file_lock(world->os, second, &holder), EWOULDBLOCK);
    close_file(world, second);
    assert_int_equal(run_child(expect_refusal_naming_the_parent, world), CHILD_OK);
    world->os->methods->file_unlock(world->os, file);
    close_file(world, file);
}

static int lock_and_die(struct world *world) {
    struct os_file *file;
    int64_t holder;
    if (world->os->methods->file_open(world->os, path_of(world, "LOCK"), OS_OPEN_CREATE, &file) != 0)
        return CHILD_WRONG;
    return world->os->methods->file_lock(world->os, file, &holder) == 0 ? CHILD_OK : CHILD_WRONG;
}

static void a_lock_dies_with_its_process(void **state) {
    struct world *world = *state;
    assert_int_equal(run_child(lock_and_die, world), CHILD_OK);
    struct os_file *file = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    assert_int_equal(world->os->methods->file_lock(world->os, file, &holder), 0);
    world->os->methods->file_unlock(world->os, file);
    close_file(world, file);
}

static int stay_a_moment(struct world *world) {
    (void)world;
    char byte;
    return read(STDIN_FILENO, &byte, 1) >= 0 ? CHILD_OK : CHILD_WRONG; /* until the parent closes the pipe */
}

static void a_child_that_lives_on_does_not_keep_the_lock(void **state) {
    struct world *world = *state;
    struct os_file *file = open_as(world, "LOCK", OS_OPEN_CREATE);
    int64_t holder;
    int pipe_ends[2];
    assert_int_equal(world->os->methods->file_lock(world->os, file, &holder), 0);
    assert_int_equal(pipe(pipe_ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipe_ends[1]);
        dup2(pipe_ends[0], STDIN_FILENO);
        _exit(stay_a_moment(world));
    }
    close(pipe_ends[0]);
    world->os->methods->file_unlock(world->os, file);
    close_file(world, file);
    file = open_as(world, "LOCK", OS_OPEN_CREATE);
    assert_int_equal(world->os->methods->file_lock_holder(world->os, file), 0);
    assert_int_equal(world->os->methods->file_lock(world->os, file, &holder), 0);
    world->os->methods->file_unlock(world->os, file);
    close_file(world, file);
    close(pipe_ends[1]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* --- Worlds ------------------------------------------------------------------------------------------------------- */

static int enter_real_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    if (!world || !test_temp_dir(world->directory, sizeof world->directory))
        return -1;
    world->os = os_posix();
    *state = world;
    return 0;
}

static int leave_real_world(void **state) {
    struct world *world = *state;
    bool removed = test_remove_tree(world->directory);
    free(world);
    return removed ? 0 : -1;
}

static int enter_simulation(void **state, const struct os_sim_options *options) {
    struct world *world = calloc(1, sizeof *world);
    if (!world)
        return -1;
    world->sim = os_sim_create(options);
    world->os = os_sim_process(world->sim, 4711);
    snprintf(world->directory, sizeof world->directory, "/world");
    *state = world;
    return world->os->methods->dir_create(world->os, world->directory);
}

static int enter_simulated_world(void **state) {
    return enter_simulation(state, &(struct os_sim_options){.seed = 1, .write_back_one_in = 2});
}

static int enter_guarded_world(void **state) {
    return enter_simulation(state, &(struct os_sim_options){.seed = 2, .guard_pages = true});
}

static int leave_simulated_world(void **state) {
    struct world *world = *state;
    os_sim_destroy(world->sim);
    free(world);
    return 0;
}

#define CONTRACT(enter, leave)                                                                                         \
    cmocka_unit_test_setup_teardown(a_new_file_is_empty_and_keeps_what_is_written, enter, leave),                      \
        cmocka_unit_test_setup_teardown(open_modes_differ_in_what_must_exist, enter, leave),                           \
        cmocka_unit_test_setup_teardown(create_keeps_and_truncate_empties, enter, leave),                              \
        cmocka_unit_test_setup_teardown(reading_past_the_end_is_no_data, enter, leave),                                \
        cmocka_unit_test_setup_teardown(a_read_only_file_is_not_written, enter, leave),                                \
        cmocka_unit_test_setup_teardown(writing_past_the_end_leaves_zeros_between, enter, leave),                      \
        cmocka_unit_test_setup_teardown(truncate_cuts_for_good_and_extends_with_zeros, enter, leave),                  \
        cmocka_unit_test_setup_teardown(allocate_extends_with_zeros_and_never_cuts, enter, leave),                     \
        cmocka_unit_test_setup_teardown(a_mapping_and_the_file_are_the_same_bytes, enter, leave),                      \
        cmocka_unit_test_setup_teardown(a_mapping_sees_the_file_grow_into_it, enter, leave),                           \
        cmocka_unit_test_setup_teardown(a_mapping_outlives_its_file_handle_and_its_name, enter, leave),                \
        cmocka_unit_test_setup_teardown(a_mapping_of_nothing_is_refused, enter, leave),                                \
        cmocka_unit_test_setup_teardown(a_lock_has_one_holder_even_within_a_process, enter, leave),                    \
        cmocka_unit_test_setup_teardown(unlocking_without_the_lock_does_nothing, enter, leave),                        \
        cmocka_unit_test_setup_teardown(closing_the_file_gives_the_lock_up, enter, leave),                             \
        cmocka_unit_test_setup_teardown(path_kinds_are_told_apart, enter, leave),                                      \
        cmocka_unit_test_setup_teardown(a_directory_is_created_once, enter, leave),                                    \
        cmocka_unit_test_setup_teardown(listing_gives_each_name_once, enter, leave),                                   \
        cmocka_unit_test_setup_teardown(listing_stops_when_the_visitor_says_so, enter, leave),                         \
        cmocka_unit_test_setup_teardown(rename_replaces_and_open_files_follow, enter, leave),                          \
        cmocka_unit_test_setup_teardown(a_removed_file_stays_readable_while_open, enter, leave),                       \
        cmocka_unit_test_setup_teardown(remove_is_for_files, enter, leave),                                            \
        cmocka_unit_test_setup_teardown(files_and_directories_can_be_synced, enter, leave),                            \
        cmocka_unit_test_setup_teardown(time_goes_on, enter, leave),                                                   \
        cmocka_unit_test_setup_teardown(random_bytes_do_not_repeat, enter, leave),                                     \
        cmocka_unit_test_setup_teardown(a_thread_runs_or_is_refused, enter, leave)

#define REAL(test) cmocka_unit_test_setup_teardown(test, enter_real_world, leave_real_world)

int main(void) {
    const struct CMUnitTest real[] = {
        CONTRACT(enter_real_world, leave_real_world),
        REAL(a_symbolic_link_is_not_followed),
        REAL(another_process_is_told_who_holds_the_lock),
        REAL(a_lock_survives_another_open_and_close_of_its_file),
        REAL(a_lock_dies_with_its_process),
        REAL(a_child_that_lives_on_does_not_keep_the_lock),
    };
    const struct CMUnitTest simulated[] = {CONTRACT(enter_simulated_world, leave_simulated_world)};
    const struct CMUnitTest guarded[] = {CONTRACT(enter_guarded_world, leave_simulated_world)};
    int failed = cmocka_run_group_tests_name("os_posix", real, NULL, NULL);
    failed += cmocka_run_group_tests_name("os_sim", simulated, NULL, NULL);
    failed += cmocka_run_group_tests_name("os_sim with guard pages", guarded, NULL, NULL);
    return failed;
}
