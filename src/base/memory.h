/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocation. Everything the library allocates comes from here, through one replaceable function, so that a program
 * can account for it and a test can make it fail. The append and read hot paths allocate nothing.
 */
#ifndef FBAT_BASE_MEMORY_H
#define FBAT_BASE_MEMORY_H

#include <stddef.h>

/* Resizes old (NULL: allocates) to size bytes; size 0 frees and returns NULL. NULL on failure, old then stays valid.
 * Memory is aligned as malloc's. */
typedef void *(*memory_resize_fn)(void *user, void *old, size_t size);

/* Replaces the allocator. Before any other use of the library; function NULL restores the system's. */
void memory_set_allocator(memory_resize_fn function, void *user);

void *memory_allocate(size_t size);
void *memory_allocate_zero(size_t size);
void *memory_resize(void *old, size_t size);
void memory_free(void *memory);

#endif
