/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a store and the first get, measured. */
#ifndef FBAT_BENCH_OPENING_H
#define FBAT_BENCH_OPENING_H

#include <stdbool.h>
#include <stdint.h>

/* Prints rows for a clean close and a kill, warm and cold. The first get is of the event with this sequence. goals: with
 * the design's. */
void measure_openings(const char *store_name, uint64_t sequence, const char *size_name, bool goals);

#endif
