/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filling struct fbat_error. Each helper returns the status it sets, so that `return error_set(...)` reads as one
 * thought. A NULL error is accepted everywhere.
 */
#ifndef FBAT_BASE_ERROR_H
#define FBAT_BASE_ERROR_H

#include <stdint.h>

#include <fbat/fbat.h>

/* The one return hidden in a macro: passes a negative status up. */
#define FBAT_TRY(expression)                                                                                           \
    do {                                                                                                               \
        int try_status = (expression);                                                                                 \
        if (try_status < 0)                                                                                            \
            return try_status;                                                                                         \
    } while (0)

/* Clears error and sets status and message. */
int error_set(struct fbat_error *error, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: the status follows from os_errno (ENOSPC: FBAT_ERR_NO_SPACE, EACCES:
 * FBAT_ERR_PERMISSION, ENOMEM: FBAT_ERR_NO_MEMORY, else FBAT_ERR_IO) and the message says what was done to which
 * path, and the system's reason. */
int error_set_os(struct fbat_error *error, int os_errno, const char *action, const char *path);

int error_set_no_memory(struct fbat_error *error);

/* Damage, with its place in the fields and in the message: "segment 3, offset 4096: ...". */
int error_set_damage(struct fbat_error *error, uint64_t segment_id, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
