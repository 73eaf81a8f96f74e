/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of a file or a pipe, read in large pieces and given out where they lie in the buffer.
 */
#ifndef FBAT_CLI_LINE_READER_H
#define FBAT_CLI_LINE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_BYTES_MAX (96u * 1024u * 1024u) /* holds a payload of 64 MiB in base64 */

struct line_reader {
    int fd;
    char *buffer;
    size_t capacity;
    size_t start;         /* of what is not given out yet */
    size_t end;           /* of what is read */
    size_t searched;      /* no newline from start up to here */
    uint64_t line_number; /* of the line given out last, from 1 */
    uint64_t bytes_given; /* of all lines given out, newlines included */
    bool ended;           /* the input is at its end */
    bool cut;             /* the line given out last had no newline */
};

enum line_result {
    LINE_GIVEN, /* here is one */
    LINE_MORE,  /* line_reader_fill first */
    LINE_LONG,  /* longer than LINE_BYTES_MAX */
    LINE_END    /* no more */
};

/* Reads from fd, which stays the caller's. */
void line_reader_init(struct line_reader *reader, int fd);
void line_reader_deinit(struct line_reader *reader);

/* The next line without its newline. It stays where it is until a fill that moves. */
enum line_result line_reader_next(struct line_reader *reader, const char **out_line, size_t *out_size);

/* Whether the next fill moves the lines given out. */
bool line_reader_moves(const struct line_reader *reader);

/* Reads once more; 0 or errno. Blocks when there is nothing to read yet. */
int line_reader_fill(struct line_reader *reader);

#endif
