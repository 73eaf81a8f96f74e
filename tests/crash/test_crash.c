/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises P1 to P7, P11 and P12 across kills and power cuts: a random program on the simulated disk is stopped at any
 * call, in appends, batches, groups, fences, rotation, restarts of the writer, closing, opening and recovery; the disk
 * keeps, drops, reorders and tears what was not synced; and what the next opening finds is held against the oracle
 * (crash_run.h, support/oracle.h).
 *
 * Every seed is a run of its own, with a few crashes. A failing one is printed with the command that replays it:
 * FBAT_TEST_SEED=N runs that one seed, FBAT_TEST_SCALE multiplies their number.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>

#include "crash_run.h"
#include "support/test.h"

enum { POWER_CUT_SEEDS = 900, FAILING_SEEDS = 900, KILL_SEEDS = 270, FULL_DISK_SEEDS = 270 };

static const char *program;

static void run_seeds(uint64_t count, const struct crash_run_options *options) {
    uint64_t first = test_seed(1), seeds = test_seed_is_set() ? 1 : test_scaled(count), crashes = 0, faults = 0;
    for (uint64_t seed = first; seed < first + seeds; seed++) {
        struct crash_run_result result = crash_run(seed, options);
        crashes += result.crashes;
        faults += result.faults;
        if (!result.good)
            print_error("seed %" PRIu64 ": %s\nreplay: FBAT_TEST_SEED=%" PRIu64 " %s\n", seed, result.complaint, seed,
                        program);
        assert_true(result.good);
    }
    print_message("%" PRIu64 " crashes, %" PRIu64 " failed calls\n", crashes, faults);
    assert_true(crashes >= 3 * seeds || test_seed_is_set()); /* so a hundred thousand at ten times the scale */
}

static void promises_hold_across_power_cuts(void **state) {
    (void)state;
    run_seeds(POWER_CUT_SEEDS, &(struct crash_run_options){.power_cuts = true});
}

static void promises_hold_across_kills(void **state) {
    (void)state;
    run_seeds(KILL_SEEDS, &(struct crash_run_options){0});
}

static void promises_hold_across_failing_calls_and_power_cuts(void **state) {
    (void)state;
    run_seeds(FAILING_SEEDS, &(struct crash_run_options){.power_cuts = true, .faults = true});
}

static void promises_hold_across_failing_calls_and_kills(void **state) {
    (void)state;
    run_seeds(KILL_SEEDS, &(struct crash_run_options){.faults = true});
}

static void promises_hold_on_a_disk_that_is_full_now_and_then(void **state) {
    (void)state;
    run_seeds(FULL_DISK_SEEDS, &(struct crash_run_options){.power_cuts = true, .small_disk = true});
}

static void promises_hold_on_a_full_disk_with_failing_calls(void **state) {
    (void)state;
    run_seeds(FULL_DISK_SEEDS, &(struct crash_run_options){.power_cuts = true, .small_disk = true, .faults = true});
}

int main(int argc, char **argv) {
    program = argc > 0 ? argv[0] : "test_crash";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(promises_hold_across_power_cuts),
        cmocka_unit_test(promises_hold_across_kills),
        cmocka_unit_test(promises_hold_across_failing_calls_and_power_cuts),
        cmocka_unit_test(promises_hold_across_failing_calls_and_kills),
        cmocka_unit_test(promises_hold_on_a_disk_that_is_full_now_and_then),
        cmocka_unit_test(promises_hold_on_a_full_disk_with_failing_calls),
    };
    return cmocka_run_group_tests_name("crash", tests, NULL, NULL);
}
