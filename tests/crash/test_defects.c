/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash tests must be able to fail: five stores that break a promise on purpose, each caught by the same trials that
 * the sound one passes (test_crash.c), and with the complaint that belongs to it. A defect is made outside of the
 * library: by a system that lies (support/os_sim.h), or by a program that does something else than it tells the oracle.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "crash_run.h"

enum { SEEDS = 300 };

static const char *const lost[] = {"is lost", "is missing", "known to be durable", "damage", "check", NULL};
static const char *const torn_batch[] = {"of its batch or fence", "of a batch or fence belongs",
                                         "inside the batch or fence", NULL};

static bool is_expected(const char *complaint, const char *const *expected) {
    for (; *expected; expected++)
        if (strstr(complaint, *expected))
            return true;
    return false;
}

static void expect_caught(const char *defect, const struct crash_run_options *options, const char *const *expected) {
    unsigned caught = 0, as_expected = 0;
    char example[sizeof((struct crash_run_result *)0)->complaint] = "";
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct crash_run_result result = crash_run(seed, options);
        caught += !result.good;
        if (result.good || !is_expected(result.complaint, expected))
            continue;
        if (as_expected++ == 0)
            memcpy(example, result.complaint, sizeof example);
    }
    print_message("%s: %u of %u seeds complain, %u of them as expected: %s\n", defect, caught, (unsigned)SEEDS,
                  as_expected, example);
    assert_true(as_expected > 0);
}

static void a_store_that_does_not_sync_is_caught(void **state) {
    (void)state;
    expect_caught("no sync", &(struct crash_run_options){.power_cuts = true, .skip_sync = true}, lost);
}

static void a_reply_before_its_sync_is_caught(void **state) {
    (void)state;
    expect_caught("reply before sync",
                  &(struct crash_run_options){.power_cuts = true, .system_defect = OS_SIM_LATE_SYNC}, lost);
}

static void a_failed_sync_that_is_tried_again_is_caught(void **state) {
    (void)state;
    expect_caught("sync retried after failure",
                  &(struct crash_run_options){.power_cuts = true, .faults = true, .system_defect = OS_SIM_RETRIED_SYNC},
                  lost);
}

static void a_batch_of_several_frames_is_caught(void **state) {
    (void)state;
    expect_caught("batch frame split",
                  &(struct crash_run_options){.power_cuts = true, .program_defect = WORKLOAD_SPLIT_BATCH}, torn_batch);
}

static void a_fence_whose_commit_is_not_synced_is_caught(void **state) {
    (void)state;
    expect_caught("fence commit not synced",
                  &(struct crash_run_options){.power_cuts = true, .program_defect = WORKLOAD_UNSYNCED_COMMIT}, lost);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_that_does_not_sync_is_caught),
        cmocka_unit_test(a_reply_before_its_sync_is_caught),
        cmocka_unit_test(a_failed_sync_that_is_tried_again_is_caught),
        cmocka_unit_test(a_batch_of_several_frames_is_caught),
        cmocka_unit_test(a_fence_whose_commit_is_not_synced_is_caught),
    };
    return cmocka_run_group_tests_name("defects", tests, NULL, NULL);
}
