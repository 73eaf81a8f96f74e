/* SPDX-License-Identifier: Apache-2.0 */
/* Statuses as text, and the one place where struct fbat_error is filled. */
#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *fbat_version(void) {
    return FBAT_VERSION_STRING;
}

const char *fbat_strerror(int status) {
    switch (status) {
#define STATUS_TEXT(name, value, text)                                                                                 \
    case value: return text;
        FBAT_STATUS_LIST(STATUS_TEXT)
#undef STATUS_TEXT
    default: return "unknown status";
    }
}

const char *fbat_status_name(int status) {
    switch (status) {
#define STATUS_NAME(name, value, text)                                                                                 \
    case value: return "FBAT_" #name;
        FBAT_STATUS_LIST(STATUS_NAME)
#undef STATUS_NAME
    default: return "unknown status";
    }
}

static void error_clear(struct fbat_error *error, int status) {
    memset(error, 0, sizeof *error);
    error->status = status;
    error->item = FBAT_NO_ITEM;
}

int error_set(struct fbat_error *error, int status, const char *format, ...) {
    if (!error)
        return status;
    error_clear(error, status);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

static int status_of_errno(int os_errno) {
    switch (os_errno) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return FBAT_ERR_NO_SPACE;
    case EACCES:
    case EPERM:
    case EROFS: return FBAT_ERR_PERMISSION;
    case ENOMEM: return FBAT_ERR_NO_MEMORY;
    default: return FBAT_ERR_IO;
    }
}

int error_set_os(struct fbat_error *error, int os_errno, const char *action, const char *path) {
    int status = status_of_errno(os_errno);
    error_set(error, status, "cannot %s %s: %s", action, path, strerror(os_errno));
    if (error)
        error->os_errno = os_errno;
    return status;
}

int error_set_no_memory(struct fbat_error *error) {
    return error_set(error, FBAT_ERR_NO_MEMORY, "out of memory; nothing was changed");
}

int error_set_damage(struct fbat_error *error, uint64_t segment_id, uint64_t offset, const char *format, ...) {
    if (!error)
        return FBAT_ERR_DAMAGED;
    error_clear(error, FBAT_ERR_DAMAGED);
    error->segment_id = segment_id;
    error->offset = offset;
    int used = snprintf(error->message, sizeof error->message, "segment %" PRIu64 ", offset %" PRIu64 ": ", segment_id,
                        offset);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message + used, sizeof error->message - (size_t)used, format, arguments);
    va_end(arguments);
    return FBAT_ERR_DAMAGED;
}
