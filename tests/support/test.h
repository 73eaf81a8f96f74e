/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things every test needs: seeded randomness, scale and seed from the environment, temporary directories, and
 * the way to the shared data.
 *
 * Environment:
 *   FBAT_TEST_SEED   replays a random test from this seed (decimal or 0x...).
 *   FBAT_TEST_SCALE  multiplies the rounds of random tests; default 1, may be a fraction such as 0.1.
 *   FBAT_SOURCE_DIR  root of the source tree; default what the build compiled in.
 *   TMPDIR           where temporary directories go; default /tmp.
 *
 * Thread rule: a test_random belongs to one thread; everything else may be called from any thread.
 */
#ifndef FBAT_TESTS_SUPPORT_TEST_H
#define FBAT_TESTS_SUPPORT_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEST_PATH_SIZE 4096 /* enough for every path a test makes */

/* A seeded generator: the same seed gives the same numbers on every machine. */
struct test_random {
    uint64_t state;
};

struct test_random test_random_init(uint64_t seed);

uint64_t test_random_u64(struct test_random *random);

/* A number in [0, bound); bound > 0. */
uint64_t test_random_below(struct test_random *random, uint64_t bound);

/* A number in [low, high], both included. */
uint64_t test_random_between(struct test_random *random, uint64_t low, uint64_t high);

/* True once in `times` calls, on average; times > 0. */
bool test_random_one_in(struct test_random *random, uint64_t times);

void test_random_fill(struct test_random *random, void *buffer, size_t size);

/* FBAT_TEST_SCALE, > 0; 1 when it is unset or not a positive number. */
double test_scale(void);

/* count x test_scale(), at least 1. */
uint64_t test_scaled(uint64_t count);

/* FBAT_TEST_SEED, or fallback when it is unset or not a number. */
uint64_t test_seed(uint64_t fallback);

/* True when FBAT_TEST_SEED holds a number: the test should run that one seed. */
bool test_seed_is_set(void);

/* Makes a new, empty directory and writes its path into buffer. False when there is none to be had. */
bool test_temp_dir(char *buffer, size_t size);

/* Removes path and everything below it; symbolic links are removed, not followed. A path that is not there is fine. */
bool test_remove_tree(const char *path);

/* The root of the source tree. */
const char *test_source_dir(void);

/* Writes the path of a file of the shared data (../shared/data beside the source root) into buffer. False when it is
 * not there: the test then says so and skips. */
bool test_data_path(const char *name, char *buffer, size_t size);

#endif
