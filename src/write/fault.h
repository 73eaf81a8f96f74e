/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Named points of the write path, where a build with test hooks asks config.fault_injector whether to fail. The names are
 * in the public header. In other builds nothing is left of them.
 */
#ifndef FBAT_WRITE_FAULT_H
#define FBAT_WRITE_FAULT_H

#include <fbat/fbat.h>

#include "base/error.h"

#ifdef FBAT_TEST_HOOKS
static inline int fault_point(const struct fbat_config *config, const char *point, uint64_t detail,
                              struct fbat_error *error) {
    if (!config->fault_injector || config->fault_injector(config->fault_user, point, detail) == 0)
        return FBAT_OK;
    return error_set(error, FBAT_ERR_IO, "the fault injector failed %s (%llu)", point, (unsigned long long)detail);
}
#else
static inline int fault_point(const struct fbat_config *config, const char *point, uint64_t detail,
                              struct fbat_error *error) {
    (void)config, (void)point, (void)detail, (void)error;
    return FBAT_OK;
}
#endif

/* At points after which nothing may fail: the callback can only end the process. */
static inline void fault_passed(const struct fbat_config *config, const char *point, uint64_t detail) {
    struct fbat_error ignored;
    (void)fault_point(config, point, detail, &ignored);
}

#endif
