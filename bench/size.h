/* SPDX-License-Identifier: Apache-2.0 */
/* What a store takes. */
#ifndef FBAT_BENCH_SIZE_H
#define FBAT_BENCH_SIZE_H

#include <stdint.h>

/* Bytes of its files. */
uint64_t bytes_of_store(const char *name);

/* Anonymous memory that opening it takes, in a process of its own. */
uint64_t memory_of_opened(const char *name);

#endif
