/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small things every test needs; test.h describes them.
 *
 * Happy path: plain calls. Failure modes: a boolean says no; a bad environment variable counts as unset.
 * Thread rule: as in test.h.
 */
#include "test.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FBAT_SOURCE_DIR
#define FBAT_SOURCE_DIR "."
#endif

#define REMOVE_OPEN_DIRECTORIES_MAX 16 /* descriptors nftw may hold */

struct test_random test_random_init(uint64_t seed) {
    struct test_random random = {seed};
    return random;
}

/* SplitMix64 (Steele, Lea, Flood 2014): every seed is a good seed, and one word is the whole state. */
uint64_t test_random_u64(struct test_random *random) {
    random->state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mixed = random->state;
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94D049BB133111EB);
    return mixed ^ (mixed >> 31);
}

/* The remainder's bias is below 2^-32 for every bound a test uses; not worth a loop. */
uint64_t test_random_below(struct test_random *random, uint64_t bound) {
    return test_random_u64(random) % bound;
}

uint64_t test_random_between(struct test_random *random, uint64_t low, uint64_t high) {
    return low + test_random_below(random, high - low + 1);
}

bool test_random_one_in(struct test_random *random, uint64_t times) {
    return test_random_below(random, times) == 0;
}

void test_random_fill(struct test_random *random, void *buffer, size_t size) {
    uint8_t *bytes = buffer;
    while (size > 0) {
        uint64_t word = test_random_u64(random);
        size_t part = size < sizeof word ? size : sizeof word;
        memcpy(bytes, &word, part);
        bytes += part;
        size -= part;
    }
}

double test_scale(void) {
    const char *text = getenv("FBAT_TEST_SCALE");
    if (!text || !*text)
        return 1;
    char *end;
    double scale = strtod(text, &end);
    return *end == '\0' && isfinite(scale) && scale > 0 ? scale : 1;
}

uint64_t test_scaled(uint64_t count) {
    double scaled = (double)count * test_scale();
    return scaled < 1 ? 1 : (uint64_t)scaled;
}

static bool read_seed(uint64_t *out_seed) {
    const char *text = getenv("FBAT_TEST_SEED");
    if (!text || !*text)
        return false;
    char *end;
    errno = 0;
    unsigned long long seed = strtoull(text, &end, 0);
    if (*end != '\0' || errno)
        return false;
    *out_seed = seed;
    return true;
}

uint64_t test_seed(uint64_t fallback) {
    uint64_t seed = fallback;
    read_seed(&seed);
    return seed;
}

bool test_seed_is_set(void) {
    uint64_t seed;
    return read_seed(&seed);
}

bool test_temp_dir(char *buffer, size_t size) {
    const char *root = getenv("TMPDIR");
    int length = snprintf(buffer, size, "%s/fbat-test-XXXXXX", root && *root ? root : "/tmp");
    if (length < 0 || (size_t)length >= size)
        return false;
    return mkdtemp(buffer) != NULL;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

bool test_remove_tree(const char *path) {
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return true;
    return nftw(path, remove_one, REMOVE_OPEN_DIRECTORIES_MAX, FTW_DEPTH | FTW_PHYS) == 0;
}

const char *test_source_dir(void) {
    const char *directory = getenv("FBAT_SOURCE_DIR");
    return directory && *directory ? directory : FBAT_SOURCE_DIR;
}

bool test_data_path(const char *name, char *buffer, size_t size) {
    int length = snprintf(buffer, size, "%s/../shared/data/%s", test_source_dir(), name);
    if (length < 0 || (size_t)length >= size)
        return false;
    return access(buffer, R_OK) == 0;
}
