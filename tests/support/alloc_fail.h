/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's allocator, as tests want it: the n-th allocation fails, and what is not freed is counted.
 *
 * Thread rule: install and uninstall while no store is open; the rest from any thread.
 */
#ifndef FBAT_TESTS_SUPPORT_ALLOC_FAIL_H
#define FBAT_TESTS_SUPPORT_ALLOC_FAIL_H

#include <stdbool.h>
#include <stdint.h>

/* From here on the library allocates through this, until alloc_fail_uninstall. */
void alloc_fail_install(void);
void alloc_fail_uninstall(void);

/* The nth allocation or growth from now, 1 = the next one, fails; once. 0 disarms. */
void alloc_fail_nth(uint64_t nth);

/* True when an armed failure has happened. */
bool alloc_fail_fired(void);

/* While held, nothing is counted and nothing fails: for a test's own use of the library in between. */
void alloc_fail_hold(bool hold);

/* Allocations and growths so far, and blocks that are allocated now. */
uint64_t alloc_fail_count(void);
int64_t alloc_fail_live(void);

#endif
