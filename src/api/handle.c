/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A forked child shares the parent's descriptors and mappings but neither its lock nor its threads, so the handle is
 * useless there. A counter that only a fork's child raises tells the two apart without a system call.
 */
#include "api/handle.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/error.h"
#include "store/store.h"

static atomic_uint fork_generation;
static pthread_once_t fork_watch_once = PTHREAD_ONCE_INIT;

static void count_fork(void) {
    atomic_fetch_add_explicit(&fork_generation, 1, memory_order_relaxed);
}

static void watch_forks(void) {
    (void)pthread_atfork(NULL, NULL, count_fork);
}

void handle_adopt(struct fbat_store *store) {
    pthread_once(&fork_watch_once, watch_forks);
    store->fork_generation = atomic_load_explicit(&fork_generation, memory_order_relaxed);
}

int handle_check_generation(unsigned generation, struct fbat_error *error) {
    if (generation == atomic_load_explicit(&fork_generation, memory_order_relaxed))
        return FBAT_OK;
    return error_set(error, FBAT_ERR_FORKED,
                     "the store was opened before fork(); open it anew in the child, for reading");
}

int handle_check(const struct fbat_store *store, struct fbat_error *error) {
    if (!store)
        return error_set(error, FBAT_ERR_ARGUMENT, "store is NULL");
    return handle_check_generation(store->fork_generation, error);
}

int handle_check_writable(const struct fbat_store *store, struct fbat_error *error) {
    FBAT_TRY(handle_check(store, error));
    if (store->read_only)
        return error_set(error, FBAT_ERR_READ_ONLY, "%s is open for reading only; open it with fbat_open to write",
                         store->dir);
    return FBAT_OK;
}
