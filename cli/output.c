/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffered output: see output.h.
 *
 * Happy path: bytes gather in one buffer, which is written when full and at the end. Failure: the first failed write
 * is kept, the rest is dropped, and out_flush says so. One thread at a time.
 *
 * I1: used <= OUT_BUFFER_BYTES.
 */
#include "output.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

#define OUT_FORMATTED_MAX 4096

void out_init(struct out *out, int fd) {
    memset(out, 0, sizeof *out);
    out->fd = fd;
    out->terminal = isatty(fd) == 1;
    out->data = heap_allocate(OUT_BUFFER_BYTES);
}

void out_deinit(struct out *out) {
    free(out->data);
    out->data = NULL;
}

/* A descriptor that somebody made non-blocking (a shared terminal, a pipe) is waited for, not failed. */
static bool wait_for_room(int fd) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT, .revents = 0};
    return poll(&poll_fd, 1, -1) >= 0 || errno == EINTR;
}

static void write_fully(struct out *out, const char *data, size_t size) {
    while (size > 0 && out->failed_errno == 0) {
        ssize_t written = write(out->fd, data, size);
        if (written >= 0) {
            data += written;
            size -= (size_t)written;
        } else if (errno == EAGAIN) {
            if (!wait_for_room(out->fd))
                out->failed_errno = errno;
        } else if (errno != EINTR) {
            out->failed_errno = errno;
        }
    }
}

int out_flush(struct out *out) {
    assert(out->used <= OUT_BUFFER_BYTES); /* I1 */
    write_fully(out, out->data, out->used);
    out->used = 0;
    return out->failed_errno;
}

char *out_room(struct out *out, size_t size) {
    assert(size <= OUT_BUFFER_BYTES);
    if (OUT_BUFFER_BYTES - out->used < size)
        out_flush(out);
    return out->data + out->used;
}

void out_bytes(struct out *out, const void *data, size_t size) {
    if (size > OUT_BUFFER_BYTES) {
        out_flush(out);
        write_fully(out, data, size);
    } else if (size > 0) {
        memcpy(out_room(out, size), data, size);
        out->used += size;
    }
}

void out_text(struct out *out, const char *text) {
    out_bytes(out, text, strlen(text));
}

void out_slice(struct out *out, struct fbat_slice slice) {
    out_bytes(out, slice.data, slice.size);
}

void out_char(struct out *out, char character) {
    *out_room(out, 1) = character;
    out->used++;
}

void out_spaces(struct out *out, size_t count) {
    while (count-- > 0)
        out_char(out, ' ');
}

void out_u64(struct out *out, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    out_bytes(out, digits + at, sizeof digits - at);
}

void out_printf(struct out *out, const char *format, ...) {
    char text[OUT_FORMATTED_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (size > 0)
        out_bytes(out, text, (size_t)size < sizeof text ? (size_t)size : sizeof text - 1);
}

void out_hex(struct out *out, const uint8_t *bytes, size_t size) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out_char(out, digits[bytes[i] >> 4]);
        out_char(out, digits[bytes[i] & 0xF]);
    }
}
