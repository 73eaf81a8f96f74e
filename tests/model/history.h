/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What several threads asked of one store and were told, call by call; and the verdict: whether there is one order of
 * it all, that of the sequences, in which each answer is what the model says.
 *
 *     caller.c    makes the history: each thread does random calls and writes down its own
 *     verdict.c   judges it, on one thread, after all have ended
 *     rough_os.c  a disk on which a sync takes a while, and may fail
 *
 * Thread rule: as each function says.
 */
#ifndef FBAT_TESTS_MODEL_HISTORY_H
#define FBAT_TESTS_MODEL_HISTORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "model.h"
#include "os/os.h"

enum {
    CALLERS_MAX = 8,
    CALLS_MAX = 400, /* of a caller, in all its lives */
    FENCE_OPS_MAX = 5,
    TICKETS_MAX = 24, /* that a caller leaves open at a time */
    POOL_MAX = 48,    /* keyed events that callers share */
    UNANSWERED = 100, /* as a status: the ticket was released before anyone looked */
};

/* ---- the rough disk: the system's, but syncs take a while, and now and then they and writes fail ---- */

struct rough_os {
    struct os os; /* first */
    struct os_methods methods;
    _Atomic uint32_t sync_yields; /* most turns that a sync gives to other threads */
    _Atomic uint32_t fail_one_in; /* syncs of files, and writes, 0: none */
    _Atomic uint64_t state;       /* of its randomness */
    _Atomic uint64_t faults;      /* made so far */
};

/* Any thread, once it stands. */
void rough_os_init(struct rough_os *rough, uint64_t seed);

/* ---- calls ---- */

enum call_kind {
    CALL_APPEND = 0, /* fbat_append, or fbat_append_batch */
    CALL_REACTION,
    CALL_OUTBOX,
    CALL_SUBMIT,
    CALL_TRY_SUBMIT,
    CALL_OUTBOX_SUBMIT,
    CALL_FENCE,
    CALL_LATEST,
    CALL_GET,
    CALL_QUERY,
    CALL_WAIT_DURABLE,
    CALL_KINDS,
};

/* What the store looked like when the call began, and once it had returned. */
struct moment {
    struct fbat_frontier frontier;
    uint64_t fences_begun, fences_ended;
    uint64_t faults;   /* that the disk made */
    uint64_t restarts; /* of the writer, after them */
};

struct answer {
    int status; /* or UNANSWERED */
    size_t item;
    uint32_t condition;
    uint32_t stage;
    uint64_t actual_revision, sequence;
    struct fbat_receipt receipts[MODEL_BATCH_MAX];
};

struct fence_op {
    struct model_request request;
    struct answer answer;
    struct fbat_ticket *ticket; /* of an outbox that was submitted; NULL else */
};

struct fence_call {
    int begin_status;
    uint64_t base; /* what was visible while it was open */
    struct fence_op ops[FENCE_OPS_MAX];
    size_t op_count;
    bool wants_commit;           /* else it is cancelled */
    struct model_request commit; /* no inputs: conditions and level */
    struct answer commit_answer;
    bool commit_durable;
    const char *complaint; /* what was wrong while it was open, NULL: nothing */
};

struct read_call {
    struct fbat_id id;
    uint32_t stream;
    bool follower;     /* read through the handle that follows */
    uint64_t snapshot; /* of a query */
    struct fbat_region region;
    uint64_t limit;
    bool backward;
    uint64_t sequence, revision; /* of the event read */
    uint64_t count, digest;      /* of those a query gave: see digest_event */
    uint8_t hash[32];
};

struct call {
    enum call_kind kind;
    bool required;    /* the store wanted a key on every append */
    bool durable;     /* the level asked for, the default resolved */
    bool over_close;  /* its ticket was waited for after its store was closed */
    bool knows_cause; /* CALL_REACTION: the cause is an event that was visible */
    struct moment before, after;
    struct model_request request;
    struct answer answer;
    struct fence_call *fence; /* CALL_FENCE */
    struct read_call read;
    const char *complaint; /* what was wrong at once, NULL: nothing */
};

/* Folds an event into the digest of a query's result. */
uint64_t digest_event(uint64_t digest, uint64_t sequence, const uint8_t hash[32]);

/* ---- callers ---- */

/* What callers share: one store in one life. */
struct party {
    struct rough_os *rough;
    struct fbat_config config;
    struct fbat_store *store;
    struct fbat_store *follower; /* read-only, of the same store */
    struct model_input pool[POOL_MAX];
    atomic_uint_fast64_t fences_begun, fences_ended;
    atomic_uint_fast64_t restarts; /* by the store's messages, see party_log */
};

struct open_ticket {
    struct fbat_ticket *ticket;
    struct call *call;
};

struct caller {
    pthread_t thread;
    struct party *party;
    struct test_random random;
    uint64_t steps; /* of this life */
    struct call calls[CALLS_MAX];
    size_t call_count;
    struct open_ticket tickets[TICKETS_MAX];
    size_t ticket_count;
    struct fbat_frontier last_frontiers[2]; /* of the store, and of its follower */
    uint64_t acknowledged;                  /* the highest sequence this caller was told of */
    struct model_room rooms[MODEL_BATCH_MAX];
};

/* The store's config.log; user is the party. */
void party_log(void *user, enum fbat_log_level level, const char *message);

/* A thread's main function: does steps of random calls. */
void *caller_run(void *user);

/* Waits for the oldest of the caller's tickets until `left` are left, and writes their answers down. over_close: their
 * store is gone, where it stood at this moment. */
void caller_collect(struct caller *caller, size_t left, const struct moment *over_close);

struct moment caller_moment(struct caller *caller, bool of_follower, struct call *call);

/* One durable append behind everything that was put into the mailbox. */
void caller_barrier(struct caller *caller);

/* Begins a fence and appends under it, for a life that ends with it open. The fence's handle, NULL if none was
 * begun. */
struct fbat_fence *caller_leave_fence_open(struct caller *caller);

/* Destroys that fence after its store is gone, and waits for its tickets. NULL is accepted. */
void caller_destroy_fence(struct caller *caller, struct fbat_fence *handle);

/* ---- the verdict; one thread ---- */

/* Judges what all callers did. The store is open, and no call is under way. Fails the test where it is wrong. */
void verdict_of(struct caller *const *callers, size_t count, struct fbat_store *store);

#endif
