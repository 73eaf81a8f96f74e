/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asserts: our own bugs, and nothing else. Always on, in every build. A caller's mistake and the disk's damage are
 * statuses, never asserts.
 */
#ifndef FBAT_BASE_ASSERT_H
#define FBAT_BASE_ASSERT_H

/* Called with the failed condition before abort(), e.g. to flush a log. NULL = none. Set before any store is opened. */
typedef void (*assert_hook_fn)(const char *condition, const char *file, int line);
void assert_set_hook(assert_hook_fn hook);

_Noreturn void assert_fail(const char *condition, const char *file, int line);

#define FBAT_ASSERT(condition)                                                                                         \
    (__builtin_expect(!!(condition), 1) ? (void)0 : assert_fail(#condition, __FILE__, __LINE__))

#endif
