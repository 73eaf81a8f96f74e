/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that do one work together, and how long it took them: starting and ending them is not in the figure. */
#ifndef FBAT_BENCH_TEAM_H
#define FBAT_BENCH_TEAM_H

#include <stdint.h>

enum { TEAM_MAX = 64 };

/* Calls work(user, number) on thread_count threads, which begin together. Answers the nanoseconds from the first one's
 * beginning to the last one's end. */
uint64_t team_run(unsigned thread_count, void (*work)(void *user, unsigned number), void *user);

#endif
