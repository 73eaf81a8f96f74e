/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's allocator, as tests want it; alloc_fail.h describes it.
 *
 * Happy path: the request goes to the system. Failure modes: the armed one. A growth that fails leaves the old block as
 * it was, as realloc does; a growth that succeeds always moves the block, so that a pointer kept across it is found by
 * an address checker.
 *
 * Thread rule: alloc_fail.h; the counters are atomic.
 */
#include "alloc_fail.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

static atomic_uint_least64_t remaining;
static atomic_uint_least64_t requests;
static atomic_int_least64_t live;
static atomic_bool fired;
static atomic_bool held;

static bool must_fail(void) {
    if (atomic_load(&held))
        return false;
    atomic_fetch_add(&requests, 1);
    if (atomic_load(&remaining) == 0 || atomic_fetch_sub(&remaining, 1) != 1)
        return false;
    atomic_store(&fired, true);
    return true;
}

static void *move_block(void *old, size_t size) {
    void *block = malloc(size);
    if (!block || !old)
        return block;
    size_t old_size = malloc_usable_size(old);
    memcpy(block, old, old_size < size ? old_size : size);
    free(old);
    return block;
}

static void *resize_counted(void *user, void *old, size_t size) {
    (void)user;
    if (size == 0) {
        atomic_fetch_sub(&live, old != NULL);
        free(old);
        return NULL;
    }
    if (must_fail())
        return NULL;
    void *block = move_block(old, size);
    if (block && !old)
        atomic_fetch_add(&live, 1);
    return block;
}

void alloc_fail_install(void) {
    memory_set_allocator(resize_counted, NULL);
    atomic_store(&live, 0);
    atomic_store(&requests, 0);
    atomic_store(&held, false);
    alloc_fail_nth(0);
}

void alloc_fail_uninstall(void) {
    memory_set_allocator(NULL, NULL);
}

void alloc_fail_nth(uint64_t nth) {
    atomic_store(&remaining, nth);
    atomic_store(&fired, false);
}

bool alloc_fail_fired(void) {
    return atomic_load(&fired);
}

void alloc_fail_hold(bool hold) {
    atomic_store(&held, hold);
}

uint64_t alloc_fail_count(void) {
    return atomic_load(&requests);
}

int64_t alloc_fail_live(void) {
    return atomic_load(&live);
}
