/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises P1 to P7 across kills and power cuts: a random program on the simulated disk is stopped at any call, in
 * appends, batches, rotation, closing, opening and recovery; the disk keeps, drops and tears what was not synced; and
 * what the next opening finds is held against the oracle (support/oracle.h).
 *
 * Every seed is a run of its own. A failing one is printed with the command that replays it:
 * FBAT_TEST_SEED=N runs that one seed, FBAT_TEST_SCALE multiplies their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "store/store.h"
#include "support/os_sim.h"
#include "support/test.h"
#include "support/workload.h"

enum {
    POWER_CUT_SEEDS = 3000,
    KILL_SEEDS = 1000,
    BROKEN_SEEDS = 200, /* within which a store without syncs must be caught */
    LIVES_MAX = 5,      /* of one store, from opening to crash */
    STEPS_MAX = 60,     /* in one life */
    CALLS_OF_OPEN = 40, /* about: where to stop a process that opens */
    CALLS_OF_STEPS = 150
};

static const char *program;

struct run {
    struct os_sim *sim;
    struct workload workload;
    struct test_random random;
    bool power_cuts;       /* else kills only */
    enum oracle_loss loss; /* since the log was last verified */
};

/* The directory the store is created in is durable; the store's own is not. */
static void prepare_machine(struct run *run) {
    struct os *os = os_sim_process(run->sim, 1);
    assert_int_equal(os->methods->dir_create(os, "/data"), 0);
    assert_int_equal(os->methods->dir_sync(os, "/data"), 0);
    assert_int_equal(os->methods->dir_sync(os, "/"), 0);
}

static void begin_run(struct run *run, uint64_t seed, bool power_cuts, bool skip_sync) {
    static const uint32_t write_backs[] = {2, 8, 32};
    struct test_random random = test_random_init(seed);
    struct os_sim_options options = {.seed = seed,
                                     .write_back_one_in = write_backs[test_random_below(&random, 3)],
                                     .no_write_back = test_random_one_in(&random, 4),
                                     .guard_pages = test_random_one_in(&random, 16),
                                     .no_allocate = test_random_one_in(&random, 6)};
    *run = (struct run){.sim = os_sim_create(&options), .power_cuts = power_cuts};
    prepare_machine(run);
    os_sim_skip_sync(run->sim, skip_sync);
    workload_init(&run->workload, run->sim, test_random_u64(&random));
    run->random = random;
}

static void end_run(struct run *run) {
    workload_deinit(&run->workload);
    os_sim_destroy(run->sim);
}

static bool is_good(const struct run *run) {
    return workload_is_good(&run->workload);
}

/* From now on, within so many calls, the process may be stopped in the middle of one. */
static void maybe_arm(struct run *run, uint64_t one_in, uint64_t calls) {
    if (test_random_one_in(&run->random, one_in))
        os_sim_stop_nth(run->sim, OS_SIM_ANY, test_random_between(&run->random, 1, calls),
                        test_random_one_in(&run->random, 2));
}

/* The end of a life, however far it came: kill or power cut; then a new process. */
static void die(struct run *run) {
    os_sim_stop_nth(run->sim, 0, 0, false);
    if (run->power_cuts && !test_random_one_in(&run->random, 4)) {
        os_sim_crash(run->sim, test_random_u64(&run->random));
        run->loss = ORACLE_POWER_LOST;
    } else {
        os_sim_kill(run->sim, run->workload.os);
    }
    workload_abandon(&run->workload);
    workload_start_process(&run->workload);
}

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

static void live(struct run *run) {
    look_before_recovery(run);
    maybe_arm(run, 4, CALLS_OF_OPEN);
    bool opened = open_store(run);
    if (opened && is_good(run) && test_random_one_in(&run->random, 4))
        recover_again(run);
    maybe_arm(run, 2, CALLS_OF_STEPS);
    uint64_t steps = test_random_below(&run->random, STEPS_MAX);
    for (uint64_t step = 0; step < steps; step++)
        workload_step(&run->workload);
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

static bool run_seed(uint64_t seed, bool power_cuts, bool skip_sync, bool print) {
    struct run run;
    begin_run(&run, seed, power_cuts, skip_sync);
    uint64_t lives = test_random_between(&run.random, 1, LIVES_MAX);
    for (uint64_t life = 0; life < lives && is_good(&run); life++)
        live(&run);
    if (is_good(&run))
        settle(&run);
    bool good = is_good(&run);
    if (!good && print)
        print_error("seed %" PRIu64 ": %s\nreplay: FBAT_TEST_SEED=%" PRIu64 " %s\n", seed,
                    run.workload.oracle.complaint, seed, program);
    end_run(&run);
    return good;
}

static void run_seeds(uint64_t count, bool power_cuts) {
    uint64_t first = test_seed(1);
    uint64_t seeds = test_seed_is_set() ? 1 : test_scaled(count);
    for (uint64_t seed = first; seed < first + seeds; seed++)
        assert_true(run_seed(seed, power_cuts, false, true));
}

static void promises_hold_across_power_cuts(void **state) {
    (void)state;
    run_seeds(POWER_CUT_SEEDS, true);
}

static void promises_hold_across_kills(void **state) {
    (void)state;
    run_seeds(KILL_SEEDS, false);
}

/* The test must be able to fail: a store whose syncs do nothing breaks the promises, and is seen to. */
static void a_store_that_does_not_sync_is_caught(void **state) {
    (void)state;
    unsigned caught = 0;
    for (uint64_t seed = 1; seed <= BROKEN_SEEDS; seed++)
        caught += !run_seed(seed, true, true, false);
    print_message("caught without syncs: %u of %u seeds\n", caught, (unsigned)BROKEN_SEEDS);
    assert_true(caught > 0);
}

int main(int argc, char **argv) {
    program = argc > 0 ? argv[0] : "test_crash";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold_across_power_cuts),
        cmocka_unit_test(promises_hold_across_kills),
        cmocka_unit_test(a_store_that_does_not_sync_is_caught),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
