/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fixture.h.
 *
 * Failure modes: whatever a test cannot do without ends the test.
 * Thread rule: as in fixture.h.
 */
#include "fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fbat_error fault;

static bool make_root(struct fixture *fixture, bool in_memory) {
    join_path("/dev/shm", "fbat-test-XXXXXX", fixture->root);
    if (in_memory && mkdtemp(fixture->root))
        return true;
    return test_temp_dir(fixture->root, sizeof fixture->root);
}

static int set_up(void **state, bool in_memory) {
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture || !make_root(fixture, in_memory)) {
        free(fixture);
        return -1;
    }
    join_path(fixture->root, "store", fixture->dir);
    fbat_config_init(&fixture->config, fixture->dir);
    *state = fixture;
    return 0;
}

int fixture_setup(void **state) {
    return set_up(state, false);
}

int fixture_setup_in_memory(void **state) {
    return set_up(state, true);
}

int fixture_teardown(void **state) {
    struct fixture *fixture = *state;
    (void)fbat_close(fixture->store, NULL);
    bool removed = test_remove_tree(fixture->root);
    free(fixture);
    return removed ? 0 : -1;
}

/* ---- statuses ---- */

void check_status(int expected, int actual, const char *call, const char *file, int line) {
    if (actual == expected)
        return;
    print_error("%s\nanswers %s, expected %s\n", call, fbat_status_name(actual), fbat_status_name(expected));
    if (actual < 0)
        print_error("error: %.*s\n", (int)sizeof fault.message, fault.message);
    _fail(file, line);
}

void check_message(const char *text, const char *file, int line) {
    if (strstr(fault.message, text))
        return;
    print_error("the message does not say \"%s\": %s\n", text, fault.message);
    _fail(file, line);
}

void check_slice(struct fbat_slice expected, struct fbat_slice actual, const char *file, int line) {
    if (expected.size == actual.size && (actual.size == 0 || memcmp(expected.data, actual.data, actual.size) == 0))
        return;
    print_error("\"%.*s\" (%zu bytes), expected \"%.*s\" (%zu bytes)\n", (int)actual.size, (const char *)actual.data,
                actual.size, (int)expected.size, (const char *)expected.data, expected.size);
    _fail(file, line);
}

/* ---- a store ---- */

void open_store(struct fixture *fixture) {
    assert_null(fixture->store);
    assert_ok(fbat_open(&fixture->config, &fixture->store, &fault));
}

void close_store(struct fixture *fixture) {
    struct fbat_store *store = fixture->store;
    fixture->store = NULL;
    assert_ok(fbat_close(store, &fault));
}

void reopen_store(struct fixture *fixture) {
    close_store(fixture);
    open_store(fixture);
}

struct fbat_new_event event_of(const char *entity, const char *scope, const char *payload) {
    return (struct fbat_new_event){
        .struct_size = sizeof(struct fbat_new_event),
        .kind = KIND_A,
        .payload_type = FBAT_PAYLOAD_TEXT,
        .entity = fbat_text(entity),
        .scope = fbat_text(scope),
        .payload = fbat_text(payload),
    };
}

struct fbat_receipt append_event(struct fbat_store *store, const struct fbat_new_event *event) {
    struct fbat_receipt receipt;
    assert_ok(fbat_append(store, event, NULL, &receipt, &fault));
    return receipt;
}

struct fbat_receipt append_text(struct fbat_store *store, const char *entity, const char *scope, const char *payload) {
    struct fbat_new_event event = event_of(entity, scope, payload);
    return append_event(store, &event);
}

struct fbat_id id_of(const char *name) {
    struct fbat_id id;
    assert_ok(fbat_id_derive(fbat_text(name), &id));
    return id;
}

uint64_t count_events(struct fbat_store *store) {
    uint64_t count;
    assert_ok(fbat_query_count(store, NULL, &count, &fault));
    return count;
}

static void put_number(EVP_MD_CTX *context, uint64_t value, size_t size) {
    uint8_t bytes[8];
    for (size_t at = 0; at < size; at++)
        bytes[at] = (uint8_t)(value >> (8 * at));
    EVP_DigestUpdate(context, bytes, size);
}

static void put_slice(EVP_MD_CTX *context, struct fbat_slice slice) {
    if (slice.size > 0)
        EVP_DigestUpdate(context, slice.data, slice.size);
}

static void hash_content(EVP_MD_CTX *context, const struct fbat_event *event, uint8_t out_hash[32]) {
    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    put_slice(context, event->headers);
    put_slice(context, event->payload);
    EVP_DigestFinal_ex(context, out_hash, NULL);
}

void hash_event(const struct fbat_event *event, bool id_made, uint8_t out_hash[32]) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    assert_non_null(context);
    uint8_t content[32];
    hash_content(context, event, content);
    EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    put_number(context, event->sequence, 8);
    put_number(context, event->payload.size, 4);
    put_number(context, event->kind, 2);
    put_number(context, event->payload_type, 1);
    put_number(context, id_made, 1);
    put_number(context, event->scope.size, 2);
    put_number(context, event->entity.size, 2);
    put_number(context, event->tags.size, 2);
    put_number(context, event->headers.size, 2);
    put_number(context, event->lane, 4);
    put_number(context, event->revision, 8);
    put_number(context, (uint64_t)event->recorded_us, 8);
    put_number(context, (uint64_t)event->event_time_us, 8);
    EVP_DigestUpdate(context, event->id.bytes, 16);
    EVP_DigestUpdate(context, event->correlation.bytes, 16);
    EVP_DigestUpdate(context, event->causation.bytes, 16);
    EVP_DigestUpdate(context, event->previous_hash, 32);
    EVP_DigestUpdate(context, content, sizeof content);
    put_slice(context, event->scope);
    put_slice(context, event->entity);
    put_slice(context, event->tags);
    EVP_DigestFinal_ex(context, out_hash, NULL);
    EVP_MD_CTX_free(context);
}

static int print_finding(void *user, const struct fbat_finding *finding) {
    (void)user;
    if (!finding->damage)
        return 0;
    print_error("damage %d: segment %llu, offset %llu, sequence %llu: %s\n", (int)finding->kind,
                (unsigned long long)finding->segment_id, (unsigned long long)finding->offset,
                (unsigned long long)finding->sequence, finding->message);
    return 0;
}

struct fbat_check_report check_whole(const char *dir, const char *file, int line) {
    const struct fbat_check_options options = {.struct_size = sizeof options, .finding = print_finding};
    struct fbat_check_report report;
    check_status(FBAT_OK, fbat_check(dir, &options, &report, &fault), "fbat_check", file, line);
    if (report.findings > 0)
        _fail(file, line);
    return report;
}

/* ---- files ---- */

void join_path(const char *dir, const char *name, char *out_path) {
    int length = snprintf(out_path, TEST_PATH_SIZE, "%s/%s", dir, name);
    assert_in_range(length, 1, TEST_PATH_SIZE - 1);
}

void segment_path_of(const char *dir, uint64_t segment_id, char *out_path) {
    char name[32];
    snprintf(name, sizeof name, "%06llu.fbat", (unsigned long long)segment_id);
    join_path(dir, name, out_path);
}

uint8_t *read_file(const char *path, size_t *out_size) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    assert_true(file >= 0);
    assert_int_equal(fstat(file, &status), 0);
    uint8_t *bytes = malloc((size_t)status.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(file, bytes, (size_t)status.st_size), status.st_size);
    close(file);
    *out_size = (size_t)status.st_size;
    return bytes;
}

void write_file(const char *path, const void *bytes, size_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, size), size);
    assert_int_equal(close(file), 0);
}

void patch_file(const char *path, uint64_t offset, const void *bytes, size_t size) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(pwrite(file, bytes, size, (off_t)offset), size);
    assert_int_equal(close(file), 0);
}

void copy_store(const char *from, const char *to) {
    assert_true(test_remove_tree(to));
    assert_int_equal(mkdir(to, 0755), 0);
    DIR *directory = opendir(from);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char source[TEST_PATH_SIZE], target[TEST_PATH_SIZE];
        if (entry->d_name[0] == '.')
            continue;
        join_path(from, entry->d_name, source);
        join_path(to, entry->d_name, target);
        size_t size;
        uint8_t *bytes = read_file(source, &size);
        write_file(target, bytes, size);
        free(bytes);
    }
    closedir(directory);
}

uint32_t crc32c_of(const void *bytes, size_t size, uint32_t crc) {
    const uint8_t *at = bytes;
    crc = ~crc;
    for (size_t index = 0; index < size; index++) {
        crc ^= at[index];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (UINT32_C(0x82F63B78) & (0u - (crc & 1)));
    }
    return ~crc;
}

/* ---- other processes ---- */

void child_start(struct child *child, child_fn run, void *user) {
    int down[2], up[2];
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    fflush(NULL);
    child->pid = fork();
    assert_true(child->pid >= 0);
    if (child->pid == 0) {
        close(down[1]);
        close(up[0]);
        int status = run(user, down[0], up[1]);
        fflush(NULL);
        _exit(status);
    }
    close(down[0]);
    close(up[1]);
    child->to = down[1];
    child->from = up[0];
}

int child_wait(struct child *child) {
    int status;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    close(child->to);
    close(child->from);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void child_kill(struct child *child) {
    assert_int_equal(kill(child->pid, SIGKILL), 0);
    assert_int_equal(child_wait(child), 128 + SIGKILL);
}

void pipe_send(int to) {
    ssize_t count;
    do
        count = write(to, "", 1);
    while (count < 0 && errno == EINTR);
}

bool pipe_receive(int from) {
    char byte;
    ssize_t count;
    do
        count = read(from, &byte, 1);
    while (count < 0 && errno == EINTR);
    return count == 1;
}
