/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the public header share: a directory of their own, short ways to append and read, copies of a
 * store to damage, and other processes.
 *
 * Thread rule: `fault` belongs to the main thread; tests with threads bring their own struct fbat_error.
 */
#ifndef FBAT_TESTS_API_FIXTURE_H
#define FBAT_TESTS_API_FIXTURE_H

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <cmocka.h>

#include <fbat/fbat.h>

#include "support/test.h"

#define KIND_A FBAT_KIND(1, 1)
#define KIND_B FBAT_KIND(1, 2)
#define KIND_C FBAT_KIND(2, 1)

/* The detail of the last failed call; assert_status prints its message. */
extern struct fbat_error fault;

struct fixture {
    char root[TEST_PATH_SIZE]; /* a directory of this test alone */
    char dir[TEST_PATH_SIZE];  /* root/store; not there yet */
    struct fbat_config config; /* the defaults, for dir */
    struct fbat_store *store;  /* open after open_store; teardown closes it */
};

/* Setup and teardown of each test; *state is the struct fixture. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define behaviour(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

/* The same on a memory disk, where there is one: for tests whose many syncs are not what they are about. */
int fixture_setup_in_memory(void **state);
#define behaviour_in_memory(test) cmocka_unit_test_setup_teardown(test, fixture_setup_in_memory, fixture_teardown)

/* ---- statuses ---- */

#define assert_status(expected, call) check_status((expected), (call), #call, __FILE__, __LINE__)
#define assert_ok(call) assert_status(FBAT_OK, call)
void check_status(int expected, int actual, const char *call, const char *file, int line);

/* The message of `fault` contains this text. */
#define assert_message_has(text) check_message((text), __FILE__, __LINE__)
void check_message(const char *text, const char *file, int line);

#define assert_slice(text, slice) check_slice(fbat_text(text), (slice), __FILE__, __LINE__)
#define assert_slices(expected, slice) check_slice((expected), (slice), __FILE__, __LINE__)
void check_slice(struct fbat_slice expected, struct fbat_slice actual, const char *file, int line);

#define assert_id_equal(a, b) assert_memory_equal((a).bytes, (b).bytes, 16)

/* ---- a store ---- */

void open_store(struct fixture *fixture);
void close_store(struct fixture *fixture);
void reopen_store(struct fixture *fixture);

/* An event of KIND_A with a text payload; the strings are borrowed. */
struct fbat_new_event event_of(const char *entity, const char *scope, const char *payload);

struct fbat_receipt append_event(struct fbat_store *store, const struct fbat_new_event *event);
struct fbat_receipt append_text(struct fbat_store *store, const char *entity, const char *scope, const char *payload);

/* The id derived from a name. */
struct fbat_id id_of(const char *name);

/* The same event in scope "scope", with an id derived from key; or with an expectation. */
struct fbat_new_event event_keyed(const char *key, const char *entity, const char *payload);
struct fbat_new_event event_expecting(const char *entity, enum fbat_expect expect, uint64_t revision);

/* As a bound of waits: far more than anything here takes, and a test that fails fails in the end. */
enum { PATIENCE_MS = 20000 };

/* Options with nothing but a level. */
extern const struct fbat_append_options level_written, level_durable;

/* The watermarks, after a look at their order. */
struct fbat_frontier frontier_now(struct fbat_store *store);

/* The visible event at this sequence is this one. */
#define assert_event_at(store, sequence, entity, payload)                                                              \
    check_event_at((store), (sequence), (entity), (payload), __FILE__, __LINE__)
void check_event_at(struct fbat_store *store, uint64_t sequence, const char *entity, const char *payload,
                    const char *file, int line);

/* Where the stream stands, in scope "scope"; 0: there is none. */
uint64_t revision_of(struct fbat_store *store, const char *entity);

/* Tickets of one event. */
struct fbat_ticket *submit_event(struct fbat_store *store, const struct fbat_new_event *event);
struct fbat_ticket *submit_text(struct fbat_store *store, const char *entity, const char *payload);

/* Waits for the ticket, which must be answered FBAT_OK, and releases it; the receipt of its first event. */
struct fbat_receipt ticket_done(struct fbat_ticket *ticket);

/* Waits for the ticket, which must be answered with this status, and releases it; the detail is in `fault`. */
#define assert_ticket(expected, ticket) check_ticket((expected), (ticket), __FILE__, __LINE__)
void check_ticket(int expected, struct fbat_ticket *ticket, const char *file, int line);

/* The hash that an event must have, from its other fields, as docs/FORMAT.md says. id_made: by the store. */
void hash_event(const struct fbat_event *event, bool id_made, uint8_t out_hash[32]);

/* How many events of the caller's are visible. */
uint64_t count_events(struct fbat_store *store);

/* fbat_check finds no damage; prints what it finds. */
#define assert_whole(dir) check_whole((dir), __FILE__, __LINE__)
struct fbat_check_report check_whole(const char *dir, const char *file, int line);

/* ---- files: out_path has room for TEST_PATH_SIZE ---- */

void join_path(const char *dir, const char *name, char *out_path);
void segment_path_of(const char *dir, uint64_t segment_id, char *out_path);
void copy_store(const char *from, const char *to);
uint8_t *read_file(const char *path, size_t *out_size); /* the caller frees */
void write_file(const char *path, const void *bytes, size_t size);
void patch_file(const char *path, uint64_t offset, const void *bytes, size_t size);

/* CRC-32C of bytes, continued from crc. */
uint32_t crc32c_of(const void *bytes, size_t size, uint32_t crc);

/* ---- threads ---- */

/* A thread that does one thing; it must not use cmocka's asserts. What it works on is static, because it may outlive a test
 * that fails: teardown waits for it. */
struct actor {
    pthread_t thread;
    void (*act)(void *user);
    void *user;
    _Atomic pid_t id; /* of the thread, 0 before it runs */
    atomic_bool done;
};

void actor_start(struct actor *actor, void (*act)(void *user), void *user);

/* Waits, by looking, until the thread sleeps, waiting for something, or is done. */
void actor_await_sleep(struct actor *actor);
bool actor_is_done(struct actor *actor);
void actor_join(struct actor *actor);

/* A place where threads stop while it is shut. Teardown opens both. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    uint32_t allowed; /* so many may pass though it is shut */
    uint32_t waiting;
};

extern struct gate
    clock_gate; /* every append asks config.clock for the time, under the writer's lock: see hold_writer */
extern struct gate sync_gate; /* every sync of a file on the watched disk: see open_store_watched */

void gate_shut(struct gate *gate);
void gate_open(struct gate *gate);
void gate_allow(struct gate *gate, uint32_t count);

/* Waits until so many threads stand before it; the test fails when they do not come. */
void gate_await(struct gate *gate, uint32_t count);

/* To be called before opening: lets config.clock stop at clock_gate. Time stands still. */
void use_clock_gate(struct fixture *fixture);

/* With use_clock_gate: submits an event "held" in a stream of that name, and comes back when the writer's thread stands at
 * the gate with it. gate_open lets it go on. */
struct fbat_ticket *hold_writer(struct fixture *fixture);

/* ---- the watched disk: the system's, with syncs that can be counted, held up and made to fail ---- */

struct watched_disk {
    atomic_uint syncs;          /* of files, since the start of the test */
    atomic_uint syncs_to_fail;  /* the next so many syncs of files answer EIO, without doing anything */
    atomic_uint writes_to_fail; /* the next so many writes answer EIO, after half of the bytes */
};

extern struct watched_disk watched_disk;

/* As open_store, on it. */
void open_store_watched(struct fixture *fixture);

/* fbat_open on it, for threads and children. */
int watched_disk_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *error);

/* ---- other processes ---- */

/* A forked process and one pipe in each direction. */
struct child {
    pid_t pid;
    int to;   /* the test writes */
    int from; /* the test reads */
};

/* What runs in it: reads from `in`, writes to `out`; its result is the exit status, 0 = good. It must not use cmocka's
 * asserts. */
typedef int (*child_fn)(void *user, int in, int out);

void child_start(struct child *child, child_fn run, void *user);

/* Waits for its end; its exit status, or 128 + the signal that ended it. */
int child_wait(struct child *child);

/* kill -9 and wait. */
void child_kill(struct child *child);

/* One byte, to say "go on" or "done". pipe_receive is false when the other side is gone. */
void pipe_send(int to);
bool pipe_receive(int from);

/* In a child: returns 1 from the function, after saying where, when the condition does not hold. */
#define child_check(condition)                                                                                         \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, __LINE__, #condition);                              \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

#endif
