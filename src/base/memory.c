/* SPDX-License-Identifier: Apache-2.0 */
/* The library's one door to the allocator. */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { HUGE_PAGE_BYTES = 2 * 1024 * 1024 };

static void *resize_system(void *user, void *old, size_t size) {
    (void)user;
    if (size == 0) {
        free(old);
        return NULL;
    }
    return realloc(old, size);
}

static memory_resize_fn allocator = resize_system;
static void *allocator_user;

void memory_set_allocator(memory_resize_fn function, void *user) {
    allocator = function ? function : resize_system;
    allocator_user = user;
}

void *memory_allocate(size_t size) {
    return allocator(allocator_user, NULL, size ? size : 1);
}

/* Tables that are read at random: with pages of 2 MiB a look into them misses one cache instead of two. A hint; where
 * huge pages are switched off, or there is none left, nothing changes. */
static void prefer_huge_pages(void *memory, size_t size) {
    uintptr_t from = ((uintptr_t)memory + HUGE_PAGE_BYTES - 1) & ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
    uintptr_t to = ((uintptr_t)memory + size) & ~(uintptr_t)(HUGE_PAGE_BYTES - 1);
    if (to > from)
        (void)madvise((char *)memory + (from - (uintptr_t)memory), to - from, MADV_HUGEPAGE);
}

/* Large blocks come as zero pages: nothing is touched before it is used. */
static void *allocate_zero_system(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (memory && size >= 2 * HUGE_PAGE_BYTES)
        prefer_huge_pages(memory, size);
    return memory;
}

void *memory_allocate_zero(size_t size) {
    if (allocator == resize_system)
        return allocate_zero_system(size);
    void *memory = memory_allocate(size);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *memory_resize(void *old, size_t size) {
    return allocator(allocator_user, old, size ? size : 1);
}

void memory_free(void *memory) {
    if (memory)
        (void)allocator(allocator_user, memory, 0);
}
