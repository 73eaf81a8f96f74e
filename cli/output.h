/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffered output to a descriptor, for standard output and export files.
 *
 * A write error is remembered, everything after it is swallowed, and whoever finishes the output (out_finish) learns
 * of it: so no verb has to check each line. Loops over many events look at failed_errno to stop early.
 */
#ifndef FBAT_CLI_OUTPUT_H
#define FBAT_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#define OUT_BUFFER_BYTES (256u * 1024u)

struct out {
    int fd;
    int failed_errno; /* errno of the first failed write, 0 = none */
    bool terminal;    /* fd is a terminal */
    size_t used;      /* bytes waiting in data */
    char *data;       /* OUT_BUFFER_BYTES of them */
};

/* Prepares output to fd, which stays the caller's. */
void out_init(struct out *out, int fd);
void out_deinit(struct out *out);

void out_bytes(struct out *out, const void *data, size_t size);
void out_text(struct out *out, const char *text);
void out_slice(struct out *out, struct fbat_slice slice);
void out_char(struct out *out, char character);
void out_spaces(struct out *out, size_t count);
void out_u64(struct out *out, uint64_t value);
void out_printf(struct out *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Writes what waits. 0, or the errno of the first write that ever failed. */
int out_flush(struct out *out);

/* Room for at least size <= OUT_BUFFER_BYTES bytes at the returned place; out->used is the caller's to advance. */
char *out_room(struct out *out, size_t size);

/* Lower-case hexadecimal digits of size bytes. */
void out_hex(struct out *out, const uint8_t *bytes, size_t size);

#endif
