/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Latencies in fixed buckets: 32 for each power of two, so a quantile is off by 1.6 % at most, and adding a sample
 * costs the same whatever came before. Everything up to 31 ns has a bucket of its own.
 *
 * One thread at a time.
 */
#ifndef FBAT_BENCH_HISTOGRAM_H
#define FBAT_BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_STEP_BITS = 5, /* 32 buckets a power of two */
    HISTOGRAM_POWERS = 40,   /* up to 2^40 ns, 18 minutes; what is more counts as that */
    HISTOGRAM_BUCKETS = (HISTOGRAM_POWERS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS
};

/* Zero is empty. */
struct histogram {
    uint64_t count;
    uint64_t greatest_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* An empty one on the heap; free() ends it. */
struct histogram *histogram_create(void);
void histogram_clear(struct histogram *histogram);
void histogram_add(struct histogram *histogram, uint64_t ns);

/* Adds all samples of `from`. */
void histogram_merge(struct histogram *histogram, const struct histogram *from);

/* Nanoseconds: the middle of the bucket that holds the quantile; 1 = the greatest sample itself. NaN when empty. */
double histogram_quantile(const struct histogram *histogram, double quantile);

#endif
