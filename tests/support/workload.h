/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a store on os_sim, at random from a seed: appends, batches, retries, syncs, names of kinds,
 * reads, closing and opening. It tells the oracle what it is told, and complains where an answer is not a sensible
 * one.
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

struct workload {
    struct os_sim *sim;       /* borrowed */
    struct os *os;            /* the process the program runs in */
    struct fbat_store *store; /* NULL: not open */
    struct fbat_config config;
    struct test_random random;
    struct oracle oracle;
    int64_t next_pid;
    bool faults_expected;     /* calls may fail although the process lives */
    bool only_space_lacks;    /* and then only for want of space: no answer but FBAT_ERR_NO_SPACE is sensible */
    struct attempt *attempts; /* ORACLE_BATCH_MAX of them: room to build in */
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

/* Frees what a dead process held of the store. */
void workload_abandon(struct workload *workload);

/* One thing that programs do. Nothing when the store is not open or the process is dead. */
void workload_step(struct workload *workload);

/* Particular steps. */
void workload_append(struct workload *workload, uint32_t count, enum fbat_level level);
void workload_sync(struct workload *workload);
void workload_define_kind(struct workload *workload);

/* Retries everything ever attempted with a key: what is there answers its receipt, what is not is appended now. */
void workload_retry_all(struct workload *workload);

/* An error must be one that a failing system call or allocation explains, and must say so in full; else a complaint.
 * What a dead process is told does not count. */
void workload_judge(struct workload *workload, const char *what, int status, const struct fbat_error *error);

/* fbat check on the directory finds no damage. What is not yet a store is fine while nothing is promised. */
void workload_check(struct workload *workload);

#endif
