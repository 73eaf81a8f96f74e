/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run of the crash tests; crash_run.h describes it.
 *
 * Happy path: a few lives, each from opening to crash; then everything is retried, verified, closed, checked, and opened
 * once more.
 *
 * Failure modes: a promise broken is the oracle's complaint, which ends the run; a simulation that cannot go on panics.
 *
 * Thread rule: one thread.
 */
#include "crash_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "store/store.h"
#include "support/test.h"

enum {
    LIVES_MAX = 5,      /* of one store, from opening to crash */
    STEPS_MAX = 40,     /* in one life */
    CALLS_OF_OPEN = 40, /* about: where to stop a process that opens */
    CALLS_OF_STEPS = 200,
    CALLS_OF_RESTART = 24,
    CALLS_TO_FAULT = 120,
    SYNCS_TO_FAULT = 20,
    DISK_BYTES_MIN = 8 << 10,
    DISK_BYTES_MAX = 96 << 10
};

struct run {
    struct os_sim *sim;
    struct workload workload;
    struct test_random random;
    const struct crash_run_options *options;
    enum oracle_loss loss; /* since the log was last verified */
    uint64_t crashes;
};

/* The directory the store is created in is durable; the store's own is not. */
static void prepare_machine(struct run *run) {
    struct os *os = os_sim_process(run->sim, 1);
    int error = os->methods->dir_create(os, "/data");
    if (!error)
        error = os->methods->dir_sync(os, "/data");
    if (!error)
        error = os->methods->dir_sync(os, "/");
    if (error)
        abort();
}

static void begin_run(struct run *run, uint64_t seed, const struct crash_run_options *options) {
    static const uint32_t write_backs[] = {2, 8, 32};
    struct test_random random = test_random_init(seed);
    struct os_sim_options machine = {.seed = seed,
                                     .write_back_one_in = write_backs[test_random_below(&random, 3)],
                                     .no_write_back = test_random_one_in(&random, 4),
                                     .guard_pages = test_random_one_in(&random, 16),
                                     .no_allocate = test_random_one_in(&random, 6)};
    *run = (struct run){.sim = os_sim_create(&machine), .options = options};
    prepare_machine(run);
    os_sim_skip_sync(run->sim, options->skip_sync);
    os_sim_set_defect(run->sim, options->system_defect);
    workload_init(&run->workload, run->sim, test_random_u64(&random));
    run->workload.defect = options->program_defect;
    run->random = random;
}

static void end_run(struct run *run) {
    workload_deinit(&run->workload);
    os_sim_destroy(run->sim);
}

static bool is_good(const struct run *run) {
    return workload_is_good(&run->workload);
}

/* --- What goes wrong ---------------------------------------------------------------------------------------------- */

/* From now on, within so many calls, the process may be stopped in the middle of one. */
static void maybe_arm(struct run *run, uint64_t one_in, uint64_t calls) {
    if (test_random_one_in(&run->random, one_in))
        os_sim_stop_nth(run->sim, OS_SIM_ANY, test_random_between(&run->random, 1, calls),
                        test_random_one_in(&run->random, 2));
}

/* A sync, a write, or anything fails; after that another call may, or the process is stopped, in what the writer does about
 * it or soon after. */
static void maybe_arm_fault(struct run *run) {
    struct test_random *random = &run->random;
    static const int errors[] = {EIO, EIO, ENOSPC};
    if (!run->options->faults || test_random_one_in(random, 4))
        return;
    unsigned classes = OS_SIM_FALLIBLE;
    uint64_t within = CALLS_TO_FAULT;
    if (!test_random_one_in(random, 4)) {
        classes = test_random_one_in(random, 3) ? OS_SIM_WRITES | OS_SIM_ALLOCATES : OS_SIM_SYNCS;
        within = SYNCS_TO_FAULT;
    }
    run->workload.faults_expected = true;
    os_sim_fail_nth(run->sim, classes, test_random_between(random, 1, within), errors[test_random_below(random, 3)]);
    if (test_random_one_in(random, 3))
        os_sim_then_fail_nth(run->sim, OS_SIM_FALLIBLE, test_random_between(random, 1, CALLS_OF_RESTART));
    if (test_random_one_in(random, 2))
        os_sim_then_stop_nth(run->sim, OS_SIM_ANY, test_random_between(random, 1, CALLS_OF_RESTART),
                             test_random_one_in(random, 2));
}

/* The disk is full soon; or has room again. */
static void maybe_change_disk(struct run *run) {
    uint64_t used = os_sim_used_bytes(run->sim);
    bool full = run->options->small_disk && test_random_one_in(&run->random, 2);
    if (!run->options->small_disk)
        return;
    os_sim_set_capacity(
        run->sim, full ? used + test_random_between(&run->random, DISK_BYTES_MIN, DISK_BYTES_MAX) - DISK_BYTES_MIN : 0);
    if (!full)
        return;
    run->workload.space_lacks = run->workload.faults_expected = true;
    run->workload.only_space_lacks = !run->options->faults;
}

static void forget_troubles(struct run *run) {
    os_sim_stop_nth(run->sim, 0, 0, false);
    os_sim_fail_nth(run->sim, 0, 0, 0);
    run->workload.faults_expected = run->workload.space_lacks = run->workload.only_space_lacks = false;
}

/* The end of a life, however far it came: kill or power cut; then a new process, on a disk with room. */
static void die(struct run *run) {
    forget_troubles(run);
    if (run->options->power_cuts && !test_random_one_in(&run->random, 4)) {
        os_sim_crash(run->sim, test_random_u64(&run->random));
        run->loss = ORACLE_POWER_LOST;
    } else {
        os_sim_kill(run->sim, run->workload.os);
    }
    run->crashes++;
    workload_abandon(&run->workload);
    os_sim_set_capacity(run->sim, 0);
    workload_start_process(&run->workload);
}

/* --- A life ------------------------------------------------------------------------------------------------------- */

static bool open_store(struct run *run) {
    bool opened = workload_open(&run->workload, run->loss) == FBAT_OK && os_sim_is_alive(run->workload.os);
    if (opened)
        run->loss = ORACLE_NOTHING_LOST;
    return opened;
}

/* A reader without a writer sees what the next writer will recover, and changes nothing. */
static void read_only_look(struct run *run) {
    struct fbat_store *store;
    struct fbat_error error;
    struct oracle *oracle = &run->workload.oracle;
    int status = store_open_read_only(run->workload.os, &run->workload.config, &store, &error);
    if (status < 0) {
        if (oracle->durable_sequence > 0)
            oracle_complain(oracle, "open for reading answered %s: %s", fbat_status_name(status), error.message);
        return;
    }
    handle_adopt(store);
    oracle_verify(oracle, store, run->loss);
    store_close(store, NULL);
}

static void look_before_recovery(struct run *run) {
    if (test_random_one_in(&run->random, 2))
        workload_check(&run->workload);
    if (is_good(run) && test_random_one_in(&run->random, 4))
        read_only_look(run);
}

/* What was recovered is durable, and recovering again finds the same. */
static void recover_again(struct run *run) {
    uint64_t digest = run->workload.oracle.digest;
    workload_check(&run->workload);
    die(run);
    if (is_good(run) && open_store(run) && is_good(run) && run->workload.oracle.digest != digest)
        oracle_complain(&run->workload.oracle, "a second recovery finds another log");
}

static void work(struct run *run) {
    uint64_t steps = test_random_below(&run->random, STEPS_MAX);
    for (uint64_t step = 0; step < steps; step++) {
        if (step % 8 == 0)
            maybe_change_disk(run);
        workload_step(&run->workload);
    }
}

static void live(struct run *run) {
    look_before_recovery(run);
    maybe_arm(run, 4, CALLS_OF_OPEN);
    bool opened = open_store(run);
    if (opened && is_good(run) && test_random_one_in(&run->random, 4))
        recover_again(run);
    maybe_arm(run, 2, CALLS_OF_STEPS);
    maybe_arm_fault(run);
    work(run);
    if (test_random_one_in(&run->random, 3)) {
        maybe_arm(run, 2, CALLS_OF_OPEN);
        workload_close(&run->workload);
    }
    die(run);
}

static void reopen_and_compare(struct run *run, uint64_t digest) {
    if (is_good(run) && open_store(run) && is_good(run) && run->workload.oracle.digest != digest)
        oracle_complain(&run->workload.oracle, "closing and opening changed the log");
}

/* At the end everything is retried: what is there is known, what is not is appended, once. */
static void settle(struct run *run) {
    struct workload *workload = &run->workload;
    if (!open_store(run) || !is_good(run))
        return;
    workload_retry_all(workload);
    if (!is_good(run) || !oracle_verify(&workload->oracle, workload->store, ORACLE_NOTHING_LOST))
        return;
    uint64_t digest = workload->oracle.digest;
    workload_close(workload);
    workload_check(workload);
    reopen_and_compare(run, digest);
    if (is_good(run))
        workload_close(workload);
}

struct crash_run_result crash_run(uint64_t seed, const struct crash_run_options *options) {
    struct run run;
    struct crash_run_result result = {0};
    begin_run(&run, seed, options);
    uint64_t lives = test_random_between(&run.random, 1, LIVES_MAX);
    for (uint64_t life = 0; life < lives && is_good(&run); life++)
        live(&run);
    if (is_good(&run))
        settle(&run);
    result.good = is_good(&run);
    result.crashes = run.crashes;
    result.faults = os_sim_faults(run.sim);
    snprintf(result.complaint, sizeof result.complaint, "%s", run.workload.oracle.complaint);
    end_run(&run);
    return result;
}
