/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets share. A target is one function over bytes, for libFuzzer or for replay_main.c, and another that
 * makes valid inputs to start from.
 *
 * The first byte of an input of a format target chooses what is done before decoding: with FUZZ_SEAL the checksums are made
 * right, so that half of the runs get past them.
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_FUZZ_FUZZ_H
#define FBAT_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32c.h"

enum { FUZZ_SEAL = 1 };

/* The target. Always 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes the index-th valid input, from 0, and answers its size; 0 when there is none, or no room for it. */
size_t fuzz_seed(size_t index, uint8_t *to, size_t room);

/* Unlike assert, in every build. */
#define FUZZ_REQUIRE(condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                                    \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A copy of exactly size bytes, aligned to 64 as a mapping is, so that a sanitizer sees every read past it. */
static inline uint8_t *fuzz_copy(const void *bytes, size_t size) {
    void *copy = NULL;
    FUZZ_REQUIRE(posix_memalign(&copy, 64, size ? size : 1) == 0);
    if (size > 0)
        memcpy(copy, bytes, size);
    return copy;
}

/* Touches every byte, so that memory that is not there is noticed. */
static inline void fuzz_touch(const void *bytes, size_t size) {
    static volatile uint8_t sink;
    const uint8_t *at = bytes;
    uint8_t sum = 0;
    for (size_t index = 0; index < size; index++)
        sum = (uint8_t)(sum + at[index]);
    sink = sum;
    (void)sink;
}

static inline size_t fuzz_seed_bytes(uint8_t *to, size_t room, uint8_t flags, const void *bytes, size_t size) {
    if (size + 1 > room)
        return 0;
    to[0] = flags;
    memcpy(to + 1, bytes, size);
    return size + 1;
}

#endif
