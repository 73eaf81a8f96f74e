/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See watched_disk.h.
 *
 * Happy path: each call goes to the system's os; a sync passes the gate first. Failure modes: those it is asked for.
 * Thread rule: as in watched_disk.h.
 */
#include "watched_disk.h"

#include <errno.h>
#include <stdbool.h>

#include "api/handle.h"
#include "os/os.h"
#include "store/store.h"

struct watched_disk watched_disk;
struct gate sync_gate = GATE_INIT;

static bool take_one(atomic_uint *count) {
    unsigned left = atomic_load(count);
    while (left > 0)
        if (atomic_compare_exchange_weak(count, &left, left - 1))
            return true;
    return false;
}

static int watched_sync(struct os *os, struct os_file *file, enum os_sync_mode mode) {
    (void)os;
    gate_pass(&sync_gate);
    bool fails =
        take_one(&watched_disk.syncs_to_fail); /* decided before it is counted: who sees the count may change that */
    atomic_fetch_add(&watched_disk.syncs, 1);
    return fails ? EIO : os_posix()->methods->file_sync(os_posix(), file, mode);
}

static int watched_write(struct os *os, struct os_file *file, const void *bytes, size_t size, uint64_t offset) {
    (void)os;
    if (!take_one(&watched_disk.writes_to_fail))
        return os_posix()->methods->file_write_at(os_posix(), file, bytes, size, offset);
    (void)os_posix()->methods->file_write_at(os_posix(), file, bytes, size / 2, offset);
    return EIO;
}

void watched_disk_reset(void) {
    atomic_store(&watched_disk.syncs, 0);
    atomic_store(&watched_disk.syncs_to_fail, 0);
    atomic_store(&watched_disk.writes_to_fail, 0);
}

int watched_disk_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *error) {
    static struct os_methods methods;
    static struct os watched = {.methods = &methods};
    methods = *os_posix()->methods; /* whose functions do not look at the os they are given */
    methods.file_sync = watched_sync;
    methods.file_write_at = watched_write;
    int status = store_open(&watched, config, out_store, error);
    if (status == FBAT_OK)
        handle_adopt(*out_store);
    return status;
}
