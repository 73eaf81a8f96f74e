/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One run of the crash tests: a random program (support/workload.h) on the simulated disk, which lives and dies a few
 * times, everything from one seed; and what it finds is held against the oracle (support/oracle.h).
 *
 * In each life the process may be stopped at any call: while it opens and recovers, in appends, groups, fences, rotation,
 * in closing. With faults, some of the calls fail, and the process may be stopped at any call of what the writer does about
 * that. With a small disk, it is full now and then, and has room again.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_CRASH_CRASH_RUN_H
#define FBAT_TESTS_CRASH_CRASH_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "support/os_sim.h"
#include "support/workload.h"

struct crash_run_options {
    bool power_cuts; /* else kills only */
    bool faults;     /* calls fail */
    bool small_disk;
    bool skip_sync; /* the defects: no sync at all ... */
    enum os_sim_defect system_defect;
    enum workload_defect program_defect;
};

struct crash_run_result {
    bool good;
    uint64_t crashes;
    uint64_t faults; /* calls that failed */
    char complaint[1024];
};

struct crash_run_result crash_run(uint64_t seed, const struct crash_run_options *options);

#endif
