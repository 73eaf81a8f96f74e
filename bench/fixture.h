/* SPDX-License-Identifier: Apache-2.0 */
/* Filled stores that several families read: made once in a run, by whoever comes first. */
#ifndef FBAT_BENCH_FIXTURE_H
#define FBAT_BENCH_FIXTURE_H

#include <stdint.h>

enum { FIXTURE_NAME_BYTES = 64 };

/* The name of a cleanly closed store with at least event_count events, made now if it is not there. */
void fixture_make(uint64_t event_count, char out_name[FIXTURE_NAME_BYTES]);

#endif
