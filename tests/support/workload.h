/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a store on os_sim, at random from a seed: appends, batches, groups of tickets, fences, outboxes,
 * conditions, retries, syncs, names of kinds, reads, readers beside it, closing and opening. It tells the oracle what it
 * is told, and complains where an answer is not a sensible one.
 *
 * After an error the program knows, as a careful one would: what was refused for want of space or memory, by a
 * condition, or by a writer that was dead before, is not in the log. Nor is what a failed write or sync took with it, as
 * long as the writer lives on; where it died of that, the next opening will tell. A fence that is not committed is not
 * in the log, whatever happens.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_SUPPORT_WORKLOAD_H
#define FBAT_TESTS_SUPPORT_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "oracle.h"
#include "os_sim.h"
#include "test.h"

#define WORKLOAD_DIR "/data/store"

enum { WORKLOAD_UNITS_MAX = 10 };

/* An append that its caller does not wait for, or that stands in the open fence. */
struct workload_unit {
    uint64_t first; /* item; of a batch the first */
    enum fbat_level level;
    struct fbat_ticket *ticket; /* NULL: none, or given up */
    bool after_death;           /* the writer was dead before */
    struct fbat_receipt receipts[ORACLE_BATCH_MAX];
};

/* Programs that break a promise of their own making: the oracle must see it. */
enum workload_defect {
    WORKLOAD_SOUND = 0,
    WORKLOAD_SPLIT_BATCH = 1,    /* the events of a batch are appended one by one */
    WORKLOAD_UNSYNCED_COMMIT = 2 /* no sync under a fence's commit reaches the disk */
};

struct workload {
    struct os_sim *sim;       /* borrowed */
    struct os *os;            /* the process the program runs in */
    struct fbat_store *store; /* NULL: not open */
    struct fbat_config config;
    struct test_random random;
    struct oracle oracle;
    int64_t next_pid;
    enum workload_defect defect;
    bool faults_expected;     /* calls may fail although the process lives */
    bool only_space_lacks;    /* and then only for want of space: no answer but FBAT_ERR_NO_SPACE is sensible */
    bool space_lacks;         /* the disk is small: a restart may find no room */
    struct attempt *attempts; /* ORACLE_BATCH_MAX of them: room to build in */

    struct fbat_store *reader;                      /* beside the writer; NULL: none */
    struct fbat_fence *fence;                       /* the open one, or one that has lost its store; NULL: none */
    bool revisions_uncertain;                       /* an append failed whose successors may have counted on it */
    uint64_t faults_before;                         /* that the simulation had met when the process began */
    struct workload_unit units[WORKLOAD_UNITS_MAX]; /* tickets in the mailbox, or the appends of the open fence */
    size_t unit_count;
    uint64_t projected[ORACLE_STREAMS]; /* where each stream will be after what is on its way */
};

/* A program on this simulation, with a configuration from the seed: small segments, so that rotation is frequent. */
void workload_init(struct workload *workload, struct os_sim *sim, uint64_t seed);
void workload_deinit(struct workload *workload);

/* A new process, after a crash or a kill. */
void workload_start_process(struct workload *workload);

/* True while nothing has gone wrong: see workload->oracle.complaint. */
bool workload_is_good(const struct workload *workload);

/* Opens the store for writing; on FBAT_OK verifies it, and takes note that all that is there is durable. The status is
 * answered; an error that no fault or death of the process explains is a complaint. */
int workload_open(struct workload *workload, enum oracle_loss loss);

/* Closes it; on FBAT_OK all that was written is durable. The store is gone in any case. */
int workload_close(struct workload *workload);

/* Frees what a dead process held of the store, its tickets and its fence. */
void workload_abandon(struct workload *workload);

/* One thing that programs do. Nothing when the store is not open or the process is dead. */
void workload_step(struct workload *workload);

/* Particular steps. */
void workload_append(struct workload *workload, uint32_t count, enum fbat_level level);
void workload_sync(struct workload *workload);
void workload_outbox(struct workload *workload, uint32_t count, enum fbat_level level);

/* Several appends as tickets, some at level durable and some written, then their answers. */
void workload_group(struct workload *workload);

/* A fence with a few appends in it, and how it ends. */
enum workload_fence_end {
    WORKLOAD_COMMIT_WRITTEN = 0,
    WORKLOAD_COMMIT_DURABLE = 1,
    WORKLOAD_COMMIT_REFUSED = 2, /* by a condition that does not hold */
    WORKLOAD_CANCEL = 3,
    WORKLOAD_LEAVE_OPEN = 4, /* until the store is closed, or the process dies, or a later step ends it */
    WORKLOAD_FENCE_ENDS = 5
};
void workload_fence(struct workload *workload, enum workload_fence_end end);
void workload_define_kind(struct workload *workload);

/* Retries everything ever attempted with a key: what is there answers its receipt, what is not is appended now. */
void workload_retry_all(struct workload *workload);

/* An error must be one that a failing system call or allocation explains, and must say so in full; else a complaint.
 * What a dead process is told does not count. */
void workload_judge(struct workload *workload, const char *what, int status, const struct fbat_error *error);

/* fbat check on the directory finds no damage. What is not yet a store is fine while nothing is promised. */
void workload_check(struct workload *workload);

#endif
