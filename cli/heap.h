/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for the command: allocations that cannot fail (the process ends with a message; the log is safe, because an
 * append is whole or absent), and a scratch pad for bytes that live as long as one batch.
 */
#ifndef FBAT_CLI_HEAP_H
#define FBAT_CLI_HEAP_H

#include <stddef.h>

#include <fbat/fbat.h>

void *heap_allocate(size_t size);
void *heap_resize(void *block, size_t size);

/* Blocks handed out one after the other and forgotten all at once. */
struct scratch {
    struct scratch_chunk *chunks; /* the newest first */
    size_t used;                  /* bytes given out of the newest */
};

/* size bytes, aligned for any object, valid until scratch_reset. */
void *scratch_allocate(struct scratch *scratch, size_t size);
struct fbat_slice scratch_copy(struct scratch *scratch, const void *data, size_t size);

/* Forgets everything and keeps one chunk for the next round. */
void scratch_reset(struct scratch *scratch);
void scratch_deinit(struct scratch *scratch);

#endif
