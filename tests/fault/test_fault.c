/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call of the operating system fails once, each in turn; then every allocation; then the disk is gone from some
 * call on; then it is full. The program goes on after each error as a careful one would. Whatever fails: nothing
 * crashes, the error is one that the failure explains, nothing leaks, and an opening without faults, after a kill and
 * after a power cut alike, holds everything that was acknowledged (support/oracle.h).
 *
 * A failing trial is printed with the command that replays it: FBAT_TEST_SEED=N runs the scenario of that one seed.
 * FBAT_TEST_SCALE multiplies the number of scenarios.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "store/store.h"
#include "support/alloc_fail.h"
#include "support/os_sim.h"
#include "support/test.h"
#include "support/workload.h"

enum {
    STRIDE = 8, /* in a short run each scenario's faults are tried in steps of this many; in a long run all of them */
    STEPS = 8,  /* in each of the scenario's three parts */
    TRIALS_MAX = 100000, /* a scenario that never completes is a bug of the test */
    GONE_STEP = 7,       /* with the disk gone, every so many calls are tried as the first to fail */
    ROTATION_SEEDS = 500,
    ROTATION_ROUNDS = 12,
    ROTATION_CALLS = 8, /* about: those of a rotation */
    ROTATION_SEGMENT_BYTES = 8 << 10,
    FULL_SEEDS = 200,
    FULL_BYTES_MIN = 4 << 10,
    FULL_BYTES_MAX = 64 << 10,
    FULL_APPENDS = 200
};

static const char *program;

struct trial {
    struct os_sim *sim;
    struct workload workload;
    uint64_t seed;
};

static void begin_trial(struct trial *trial, uint64_t seed, uint64_t capacity_bytes) {
    struct os_sim_options options = {.seed = seed, .no_allocate = seed % 3 == 0, .guard_pages = seed % 16 == 0};
    *trial = (struct trial){.sim = os_sim_create(&options), .seed = seed};
    struct os *os = os_sim_process(trial->sim, 1);
    assert_int_equal(os->methods->dir_create(os, "/data"), 0);
    assert_int_equal(os->methods->dir_sync(os, "/"), 0);
    os_sim_set_capacity(trial->sim, capacity_bytes);
    alloc_fail_install();
    workload_init(&trial->workload, trial->sim, seed);
    trial->workload.faults_expected = true;
}

static void end_trial(struct trial *trial) {
    workload_deinit(&trial->workload);
    os_sim_destroy(trial->sim);
}

/* --- The scenario ------------------------------------------------------------------------------------------------- */

/* A careful program tries once more. */
static bool ensure_open(struct workload *workload) {
    for (int try = 0; try < 2 && !workload->store; try++)
        workload_open(workload, ORACLE_NOTHING_LOST);
    return workload->store && workload_is_good(workload);
}

static void read_all(struct workload *workload, struct fbat_store *store) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    int status = fbat_query(store, NULL, NULL, &iterator, &error);
    if (status < 0) {
        workload_judge(workload, "query", status, &error);
        return;
    }
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        ;
    if (status < 0)
        workload_judge(workload, "next", status, &error);
    fbat_iterator_close(iterator);
}

static void read_beside(struct workload *workload) {
    struct fbat_store *reader;
    struct fbat_error error;
    int status = store_open_read_only(workload->os, &workload->config, &reader, &error);
    if (status < 0) {
        workload_judge(workload, "open for reading", status, &error);
        return;
    }
    handle_adopt(reader);
    read_all(workload, reader);
    store_close(reader, NULL);
}

static void check_beside(struct workload *workload) {
    struct fbat_check_report report;
    struct fbat_error error;
    int status = store_check(workload->os, WORKLOAD_DIR, NULL, &report, &error);
    if (status < 0)
        workload_judge(workload, "check", status, &error);
    else if (report.findings > 0)
        oracle_complain(&workload->oracle, "a failing call looks like damage to the check");
}

static void look_at_stats(struct workload *workload) {
    struct fbat_stats stats;
    struct fbat_error error;
    int status = fbat_stats(workload->store, &stats, &error);
    if (status < 0)
        workload_judge(workload, "stats", status, &error);
}

/* A fence left open by a step is ended by a later one, by closing, or by leaving the store. */
static void work(struct workload *workload) {
    for (int step = 0; step < STEPS; step++)
        workload_step(workload);
    workload_append(workload, 5, FBAT_LEVEL_WRITTEN);
    workload_group(workload);
    workload_fence(workload, WORKLOAD_COMMIT_DURABLE);
    workload_append(workload, 1, FBAT_LEVEL_DURABLE);
    workload_fence(workload, WORKLOAD_CANCEL);
    workload_outbox(workload, 3, FBAT_LEVEL_WRITTEN);
    workload_define_kind(workload);
    workload_fence(workload, WORKLOAD_COMMIT_WRITTEN);
    workload_sync(workload);
}

/* Opening, appends, batches, tickets, an outbox, fences that are committed and cancelled, rotation, reads, closing; in the
 * middle a store that is left without closing. Where a sync or a write fails, the writer's restart is in it too. */
static void play(struct workload *workload) {
    if (ensure_open(workload))
        work(workload);
    if (ensure_open(workload)) {
        read_all(workload, workload->store);
        look_at_stats(workload);
        read_beside(workload);
        check_beside(workload);
    }
    workload_abandon(workload);
    if (ensure_open(workload))
        work(workload);
    workload_close(workload);
    if (ensure_open(workload))
        work(workload);
    workload_close(workload);
}

/* --- What must hold afterwards ------------------------------------------------------------------------------------ */

/* Opens without faults, retries everything, closes, checks, opens again. */
static void expect_all_kept(struct workload *workload, enum oracle_loss loss) {
    workload->faults_expected = false;
    workload_start_process(workload);
    if (workload_open(workload, loss) != FBAT_OK || !workload_is_good(workload))
        return;
    workload_retry_all(workload);
    workload_close(workload);
    workload_check(workload);
    if (workload_is_good(workload) && workload_open(workload, ORACLE_NOTHING_LOST) == FBAT_OK)
        workload_close(workload);
}

/* The same program over a copy of the disk that then loses its power. */
static bool expect_all_kept_after_power_cut(struct trial *trial) {
    struct trial copy = {.sim = os_sim_clone(trial->sim, trial->seed), .seed = trial->seed};
    struct oracle oracle;
    oracle_copy(&trial->workload.oracle, &oracle);
    workload_init(&copy.workload, copy.sim, trial->seed);
    oracle_deinit(&copy.workload.oracle);
    copy.workload.oracle = oracle;
    copy.workload.config = trial->workload.config;
    os_sim_crash(copy.sim, trial->seed + oracle.item_count);
    expect_all_kept(&copy.workload, ORACLE_POWER_LOST);
    bool good = workload_is_good(&copy.workload);
    if (!good)
        oracle_complain(&trial->workload.oracle, "after a power cut: %s", copy.workload.oracle.complaint);
    end_trial(&copy);
    return good;
}

static void judge_trial(struct trial *trial) {
    struct workload *workload = &trial->workload;
    os_sim_fail_nth(trial->sim, 0, 0, 0);
    alloc_fail_nth(0);
    os_sim_kill(trial->sim, workload->os);
    workload_abandon(workload);
    if (alloc_fail_live() != 0)
        oracle_complain(&workload->oracle, "%" PRId64 " blocks are not freed", alloc_fail_live());
    if (workload_is_good(workload) && expect_all_kept_after_power_cut(trial))
        expect_all_kept(workload, ORACLE_NOTHING_LOST);
}

/* Ends the trial, and with it the test when it has failed. */
static void conclude_trial(struct trial *trial, const char *what, uint64_t nth) {
    judge_trial(trial);
    bool good = workload_is_good(&trial->workload);
    if (!good)
        print_error("seed %" PRIu64 ", %s at %" PRIu64 ": %s\nreplay: FBAT_TEST_SEED=%" PRIu64 " %s\n", trial->seed,
                    what, nth, trial->workload.oracle.complaint, trial->seed, program);
    end_trial(trial);
    assert_true(good);
}

/* --- The trials --------------------------------------------------------------------------------------------------- */

/* Runs the scenario with one fault, armed by the caller's function; true when the fault was met. */
static bool run_trial(uint64_t seed, const char *what, uint64_t nth, void (*arm)(struct trial *trial, uint64_t nth)) {
    struct trial trial;
    begin_trial(&trial, seed, 0);
    arm(&trial, nth);
    play(&trial.workload);
    bool fired = os_sim_fault_fired(trial.sim) || alloc_fail_fired();
    conclude_trial(&trial, what, nth);
    return fired;
}

static uint64_t run_all_trials(const char *what, uint64_t step, void (*arm)(struct trial *trial, uint64_t nth)) {
    uint64_t first = test_seed(1);
    uint64_t seeds = 1, stride = step * (test_seed_is_set() || test_scaled(1) > 1 ? 1 : STRIDE);
    uint64_t trials = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        uint64_t nth = 1;
        while (run_trial(seed, what, nth, arm)) {
            assert_true(nth < TRIALS_MAX);
            nth += stride;
            trials++;
        }
    }
    print_message("%" PRIu64 " trials: %s\n", trials, what);
    return trials;
}

static void arm_input_output_error(struct trial *trial, uint64_t nth) {
    os_sim_fail_nth(trial->sim, OS_SIM_FALLIBLE, nth, EIO);
}

static void arm_no_space(struct trial *trial, uint64_t nth) {
    trial->workload.only_space_lacks = true;
    os_sim_fail_nth(trial->sim, OS_SIM_WRITES | OS_SIM_ALLOCATES | OS_SIM_OPENS | OS_SIM_NAMES, nth, ENOSPC);
}

static void arm_sync_error(struct trial *trial, uint64_t nth) {
    os_sim_fail_nth(trial->sim, OS_SIM_SYNCS, nth, nth % 2 ? EIO : ENOSPC);
}

static void arm_disk_gone(struct trial *trial, uint64_t nth) {
    os_sim_fail_from(trial->sim, OS_SIM_FALLIBLE, nth, EIO);
}

static void arm_no_memory(struct trial *trial, uint64_t nth) {
    (void)trial;
    alloc_fail_nth(nth);
}

static void every_call_fails_once_and_nothing_is_lost(void **state) {
    (void)state;
    assert_true(run_all_trials("input/output error", 1, arm_input_output_error) > 100);
}

static void every_write_meets_a_full_disk_once_and_nothing_is_lost(void **state) {
    (void)state;
    assert_true(run_all_trials("no space", 1, arm_no_space) > 50);
}

static void every_sync_fails_once_and_nothing_is_lost(void **state) {
    (void)state;
    assert_true(run_all_trials("sync error", 1, arm_sync_error) > 20);
}

static void the_disk_is_gone_from_any_call_on_and_nothing_is_lost(void **state) {
    (void)state;
    assert_true(run_all_trials("disk gone", GONE_STEP, arm_disk_gone) > 20);
}

static void every_allocation_fails_once_and_nothing_is_lost(void **state) {
    (void)state;
    assert_true(run_all_trials("no memory", 1, arm_no_memory) > 20);
}

/* A rotation that fails half-way may leave a segment's file, or lose its removal to a power cut. Large batches need a
 * new segment; when one fails, a small event that would still fit the old one follows at once. */
static void fail_rotations(struct trial *trial, struct test_random *random) {
    struct workload *workload = &trial->workload;
    for (int round = 0; round < ROTATION_ROUNDS && workload_is_good(workload); round++) {
        uint64_t nth = test_random_between(random, 1, ROTATION_CALLS);
        if (test_random_one_in(random, 2))
            os_sim_fail_nth(trial->sim, OS_SIM_FALLIBLE, nth, EIO);
        else
            alloc_fail_nth(nth);
        workload_append(workload, ORACLE_BATCH_MAX, FBAT_LEVEL_WRITTEN);
        os_sim_fail_nth(trial->sim, 0, 0, 0);
        alloc_fail_nth(0);
        workload_append(workload, 1, FBAT_LEVEL_DURABLE);
    }
}

static void a_rotation_that_fails_half_way_loses_nothing(void **state) {
    (void)state;
    uint64_t first = test_seed(1);
    uint64_t seeds = test_seed_is_set() ? 1 : test_scaled(ROTATION_SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct trial trial;
        struct test_random random = test_random_init(seed);
        begin_trial(&trial, seed, 0);
        trial.workload.config.segment_max_bytes = ROTATION_SEGMENT_BYTES;
        if (workload_open(&trial.workload, ORACLE_NOTHING_LOST) == FBAT_OK)
            fail_rotations(&trial, &random);
        conclude_trial(&trial, "failed rotation", 0);
    }
}

/* --- A full disk -------------------------------------------------------------------------------------------------- */

static bool is_full(struct workload *workload) {
    const struct oracle *oracle = &workload->oracle;
    return oracle->item_count > 0 && oracle->items[oracle->item_count - 1].state == ITEM_REFUSED;
}

static void append_until_full(struct workload *workload) {
    for (int count = 0; count < FULL_APPENDS && !is_full(workload); count++)
        workload_append(workload, 1 + (uint32_t)count % 3, (enum fbat_level)(count % 3));
}

/* The writer lives on, on a full disk too; and once there is space, so do appends. */
static void go_on_after_full(struct trial *trial) {
    struct workload *workload = &trial->workload;
    append_until_full(workload);
    if (!workload_is_good(workload))
        return;
    bool reopened = trial->seed % 2 == 0;
    if (reopened)
        workload_close(workload);
    if (reopened && workload_is_good(workload))
        workload_open(workload, ORACLE_NOTHING_LOST);
    os_sim_set_capacity(trial->sim, 0);
    workload->faults_expected = false;
    workload_append(workload, 3, FBAT_LEVEL_DURABLE);
    workload_append(workload, 1, FBAT_LEVEL_WRITTEN);
    workload_retry_all(workload);
}

static void a_full_disk_refuses_appends_until_there_is_space(void **state) {
    (void)state;
    unsigned full = 0;
    uint64_t first = test_seed(1);
    uint64_t seeds = test_seed_is_set() ? 1 : test_scaled(FULL_SEEDS);
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct trial trial;
        struct test_random random = test_random_init(seed);
        begin_trial(&trial, seed, test_random_between(&random, FULL_BYTES_MIN, FULL_BYTES_MAX));
        trial.workload.only_space_lacks = true;
        if (workload_open(&trial.workload, ORACLE_NOTHING_LOST) == FBAT_OK)
            go_on_after_full(&trial);
        full += is_full(&trial.workload) || trial.workload.oracle.item_count > 0;
        conclude_trial(&trial, "full disk", 0);
    }
    assert_true(full > 0);
}

static int uninstall_allocator(void **state) {
    (void)state;
    alloc_fail_uninstall();
    return 0;
}

int main(int argc, char **argv) {
    program = argc > 0 ? argv[0] : "test_fault";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once_and_nothing_is_lost),
        cmocka_unit_test(every_write_meets_a_full_disk_once_and_nothing_is_lost),
        cmocka_unit_test(every_sync_fails_once_and_nothing_is_lost),
        cmocka_unit_test(the_disk_is_gone_from_any_call_on_and_nothing_is_lost),
        cmocka_unit_test(every_allocation_fails_once_and_nothing_is_lost),
        cmocka_unit_test(a_rotation_that_fails_half_way_loses_nothing),
        cmocka_unit_test(a_full_disk_refuses_appends_until_there_is_space),
    };
    return cmocka_run_group_tests_name("fault", tests, NULL, uninstall_allocator);
}
