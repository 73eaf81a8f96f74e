/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines: see line_reader.h.
 *
 *     buffer   | given out | start: not given out | end: room |
 *
 * Happy path: fills go behind end until there is little room; then the rest of a line is moved to the front, and the
 * buffer grows only when a single line fills it. Failure: errno of a read. One thread.
 *
 * I1: start <= searched <= end <= capacity.
 */
#include "line_reader.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"

#define BUFFER_BYTES_FIRST (4u * 1024u * 1024u)
#define FILL_BYTES_MIN (256u * 1024u)

void line_reader_init(struct line_reader *reader, int fd) {
    memset(reader, 0, sizeof *reader);
    reader->fd = fd;
    reader->capacity = BUFFER_BYTES_FIRST;
    reader->buffer = heap_allocate(reader->capacity);
}

void line_reader_deinit(struct line_reader *reader) {
    free(reader->buffer);
    reader->buffer = NULL;
}

static enum line_result give_line(struct line_reader *reader, size_t size, const char **out_line, size_t *out_size) {
    size_t used = size + (reader->cut ? 0 : 1);
    *out_line = reader->buffer + reader->start;
    *out_size = size;
    reader->start += used;
    reader->searched = reader->start;
    reader->bytes_given += used;
    reader->line_number++;
    return LINE_GIVEN;
}

enum line_result line_reader_next(struct line_reader *reader, const char **out_line, size_t *out_size) {
    assert(reader->start <= reader->searched && reader->searched <= reader->end); /* I1 */
    const char *from = reader->buffer + reader->searched;
    const char *newline = memchr(from, '\n', reader->end - reader->searched);
    reader->cut = newline == NULL;
    size_t size = (newline != NULL ? (size_t)(newline - reader->buffer) : reader->end) - reader->start;
    if (size > LINE_BYTES_MAX)
        return LINE_LONG;
    if (newline != NULL)
        return give_line(reader, size, out_line, out_size);
    reader->searched = reader->end;
    if (!reader->ended)
        return LINE_MORE;
    return size == 0 ? LINE_END : give_line(reader, size, out_line, out_size);
}

bool line_reader_moves(const struct line_reader *reader) {
    return reader->capacity - reader->end < FILL_BYTES_MIN;
}

static void make_room(struct line_reader *reader) {
    if (!line_reader_moves(reader))
        return;
    if (reader->start > 0) {
        memmove(reader->buffer, reader->buffer + reader->start, reader->end - reader->start);
        reader->end -= reader->start;
        reader->searched -= reader->start;
        reader->start = 0;
    }
    if (!line_reader_moves(reader))
        return;
    reader->capacity *= 2;
    reader->buffer = heap_resize(reader->buffer, reader->capacity);
}

int line_reader_fill(struct line_reader *reader) {
    make_room(reader);
    ssize_t size = read(reader->fd, reader->buffer + reader->end, reader->capacity - reader->end);
    if (size < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    reader->end += (size_t)size;
    reader->ended = size == 0;
    return 0;
}
