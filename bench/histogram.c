/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buckets: a number of less than 32 is its own bucket; a greater one is told by its highest set bit and the five bits
 * below that.
 *
 *     number   0 1 2 ... 31 | 32 33 ... 63 | 64,65 66,67 ... 126,127 | 128..131 ...
 *     bucket   0 1 2 ... 31 | 32 33 ... 63 | 64    65    ... 95      | 96       ...
 */
#include "histogram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { STEPS = 1 << HISTOGRAM_STEP_BITS };

struct histogram *histogram_create(void) {
    struct histogram *histogram = calloc(1, sizeof *histogram);
    check_system(histogram != NULL, "allocate memory");
    return histogram;
}

void histogram_clear(struct histogram *histogram) {
    memset(histogram, 0, sizeof *histogram);
}

static unsigned bucket_of(uint64_t ns) {
    if (ns < STEPS)
        return (unsigned)ns;
    if (ns >> HISTOGRAM_POWERS)
        return HISTOGRAM_BUCKETS - 1;
    unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
    return (shift + 1) * STEPS + (unsigned)(ns >> shift) % STEPS;
}

static double middle_of(unsigned bucket) {
    if (bucket < STEPS)
        return bucket;
    unsigned shift = bucket / STEPS - 1;
    return ((double)(STEPS + bucket % STEPS) + 0.5) * (double)((uint64_t)1 << shift) - 0.5;
}

void histogram_add(struct histogram *histogram, uint64_t ns) {
    histogram->buckets[bucket_of(ns)]++;
    histogram->count++;
    if (ns > histogram->greatest_ns)
        histogram->greatest_ns = ns;
}

void histogram_merge(struct histogram *histogram, const struct histogram *from) {
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++)
        histogram->buckets[bucket] += from->buckets[bucket];
    histogram->count += from->count;
    if (from->greatest_ns > histogram->greatest_ns)
        histogram->greatest_ns = from->greatest_ns;
}

double histogram_quantile(const struct histogram *histogram, double quantile) {
    if (histogram->count == 0)
        return NAN;
    uint64_t wanted = (uint64_t)ceil(quantile * (double)histogram->count), seen = 0;
    if (wanted >= histogram->count)
        return (double)histogram->greatest_ns;
    for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen > 0)
            return middle_of(bucket);
    }
    return (double)histogram->greatest_ns;
}
