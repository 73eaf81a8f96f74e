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
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/handle.h"
#include "os/os.h"
#include "store/store.h"

enum { LOOKS_OF_SLEEP = 50 }; /* so often in a row a thread must be seen asleep */

struct fbat_error fault;
static atomic_int actors_at_work;
struct watched_disk watched_disk;
struct gate clock_gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
struct gate sync_gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

const struct fbat_append_options level_written = {.struct_size = sizeof level_written, .level = FBAT_LEVEL_WRITTEN};
const struct fbat_append_options level_durable = {.struct_size = sizeof level_durable, .level = FBAT_LEVEL_DURABLE};

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
    memset(&watched_disk, 0, sizeof watched_disk);
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
    gate_open(&clock_gate);
    gate_open(&sync_gate);
    while (atomic_load(&actors_at_work) > 0)
        sched_yield();
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

struct fbat_new_event event_keyed(const char *key, const char *entity, const char *payload) {
    struct fbat_new_event event = event_of(entity, "scope", payload);
    event.id = id_of(key);
    return event;
}

struct fbat_new_event event_expecting(const char *entity, enum fbat_expect expect, uint64_t revision) {
    struct fbat_new_event event = event_of(entity, "scope", "payload");
    event.expect = expect;
    event.expected_revision = revision;
    return event;
}

struct fbat_frontier frontier_now(struct fbat_store *store) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    assert_true(frontier.durable <= frontier.visible && frontier.visible <= frontier.written);
    assert_true(frontier.written <= frontier.accepted);
    return frontier;
}

void check_event_at(struct fbat_store *store, uint64_t sequence, const char *entity, const char *payload,
                    const char *file, int line) {
    struct fbat_event event;
    check_status(FBAT_OK, fbat_get_by_sequence(store, sequence, &event, &fault), "fbat_get_by_sequence", file, line);
    check_slice(fbat_text(entity), event.entity, file, line);
    check_slice(fbat_text(payload), event.payload, file, line);
    fbat_event_release(&event);
}

uint64_t revision_of(struct fbat_store *store, const char *entity) {
    struct fbat_event event;
    int status = fbat_latest(store, fbat_text(entity), fbat_text("scope"), &event, &fault);
    if (status == FBAT_ERR_NOT_FOUND)
        return 0;
    assert_ok(status);
    uint64_t revision = event.revision;
    fbat_event_release(&event);
    return revision;
}

struct fbat_ticket *submit_event(struct fbat_store *store, const struct fbat_new_event *event) {
    struct fbat_ticket *ticket;
    assert_ok(fbat_submit(store, event, NULL, &ticket, &fault));
    return ticket;
}

struct fbat_ticket *submit_text(struct fbat_store *store, const char *entity, const char *payload) {
    struct fbat_new_event event = event_of(entity, "scope", payload);
    return submit_event(store, &event);
}

struct fbat_receipt ticket_done(struct fbat_ticket *ticket) {
    struct fbat_receipt receipt, *receipts = calloc(fbat_ticket_count(ticket), sizeof *receipts);
    assert_non_null(receipts);
    assert_ok(fbat_ticket_wait(ticket, PATIENCE_MS, receipts, &fault));
    fbat_ticket_release(ticket);
    receipt = receipts[0];
    free(receipts);
    return receipt;
}

void check_ticket(int expected, struct fbat_ticket *ticket, const char *file, int line) {
    int status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault);
    fbat_ticket_release(ticket);
    check_status(expected, status, "fbat_ticket_wait", file, line);
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

/* ---- threads ---- */

static void *run_actor(void *user) {
    struct actor *actor = user;
    atomic_store(&actor->id, gettid());
    actor->act(actor->user);
    atomic_store(&actor->done, true);
    atomic_fetch_sub(&actors_at_work, 1);
    return NULL;
}

void actor_start(struct actor *actor, void (*act)(void *user), void *user) {
    actor->act = act;
    actor->user = user;
    atomic_init(&actor->id, 0);
    atomic_init(&actor->done, false);
    atomic_fetch_add(&actors_at_work, 1);
    assert_int_equal(pthread_create(&actor->thread, NULL, run_actor, actor), 0);
}

bool actor_is_done(struct actor *actor) {
    return atomic_load(&actor->done);
}

void actor_join(struct actor *actor) {
    assert_int_equal(pthread_join(actor->thread, NULL), 0);
}

/* The state stands behind the name, which is in parentheses. */
static bool is_asleep(pid_t id) {
    char path[64], text[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)id);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t size = read(file, text, sizeof text - 1);
    close(file);
    const char *end = size > 0 ? strrchr(text, ')') : NULL;
    return end && end[1] == ' ' && end[2] == 'S';
}

void actor_await_sleep(struct actor *actor) {
    for (int looks = 0; looks < LOOKS_OF_SLEEP && !actor_is_done(actor);) {
        looks = is_asleep(atomic_load(&actor->id)) ? looks + 1 : 0;
        sched_yield();
    }
}

void gate_shut(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = true;
    gate->allowed = 0;
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_allow(struct gate *gate, uint32_t count) {
    pthread_mutex_lock(&gate->lock);
    gate->allowed += count;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_await(struct gate *gate, uint32_t count) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_MS / 1000;
    int os_errno = 0;
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < count && os_errno == 0)
        os_errno = pthread_cond_timedwait(&gate->changed, &gate->lock, &deadline);
    bool came = gate->waiting >= count;
    pthread_mutex_unlock(&gate->lock);
    if (!came)
        fail_msg("nobody has come to the gate");
}

static void gate_pass(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->shut && gate->allowed == 0)
        pthread_cond_wait(&gate->changed, &gate->lock);
    if (gate->shut)
        gate->allowed--;
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

static int64_t stop_at_gate(void *user) {
    gate_pass(user);
    return 1700000000000000;
}

void use_clock_gate(struct fixture *fixture) {
    fixture->config.clock = stop_at_gate;
    fixture->config.clock_user = &clock_gate;
}

struct fbat_ticket *hold_writer(struct fixture *fixture) {
    struct fbat_new_event event = event_keyed("held", "held", "held");
    struct fbat_ticket *ticket;
    gate_shut(&clock_gate);
    assert_ok(fbat_submit(fixture->store, &event, NULL, &ticket, &fault));
    gate_await(&clock_gate, 1);
    return ticket;
}

/* ---- the watched disk ---- */

static bool take_one(atomic_uint *count) {
    unsigned left = atomic_load(count);
    while (left > 0)
        if (atomic_compare_exchange_weak(count, &left, left - 1))
            return true;
    return false;
}

static int watched_sync(struct os *os, struct os_file *file, enum os_sync_mode mode) {
    (void)os;
    gate_pass(&sync_gate);
    bool fails =
        take_one(&watched_disk.syncs_to_fail); /* decided before it is counted: who sees the count may change that */
    atomic_fetch_add(&watched_disk.syncs, 1);
    return fails ? EIO : os_posix()->methods->file_sync(os_posix(), file, mode);
}

static int watched_write(struct os *os, struct os_file *file, const void *bytes, size_t size, uint64_t offset) {
    (void)os;
    if (!take_one(&watched_disk.writes_to_fail))
        return os_posix()->methods->file_write_at(os_posix(), file, bytes, size, offset);
    (void)os_posix()->methods->file_write_at(os_posix(), file, bytes, size / 2, offset);
    return EIO;
}

int watched_disk_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *error) {
    static struct os_methods methods;
    static struct os watched = {.methods = &methods};
    methods = *os_posix()->methods; /* whose functions do not look at the os they are given */
    methods.file_sync = watched_sync;
    methods.file_write_at = watched_write;
    int status = store_open(&watched, config, out_store, error);
    if (status == FBAT_OK)
        handle_adopt(*out_store);
    return status;
}

void open_store_watched(struct fixture *fixture) {
    assert_null(fixture->store);
    assert_ok(watched_disk_open(&fixture->config, &fixture->store, &fault));
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
