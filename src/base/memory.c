/* SPDX-License-Identifier: Apache-2.0 */
/* The library's one door to the allocator. */
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

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

void *memory_allocate_zero(size_t size) {
    if (allocator == resize_system)
        return calloc(1, size ? size : 1); /* large blocks come as zero pages: nothing is touched before it is used */
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
