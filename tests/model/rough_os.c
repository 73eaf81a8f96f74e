/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rough disk: every method is the system's, but for syncs of files and writes. A sync first gives other threads a
 * random number of turns, so that on a disk as fast as memory appends still gather behind it.
 *
 * Failure modes: those asked for. A sync that fails did nothing; a write that fails wrote half.
 * Thread rule: any thread.
 */
#include <errno.h>
#include <sched.h>

#include "history.h"

static uint64_t next_number(struct rough_os *rough) {
    struct test_random random = test_random_init(atomic_fetch_add(&rough->state, UINT64_C(0x9E3779B97F4A7C15)));
    return test_random_u64(&random);
}

static bool shall_fail(struct rough_os *rough) {
    uint32_t one_in = atomic_load(&rough->fail_one_in);
    if (one_in == 0 || next_number(rough) % one_in != 0)
        return false;
    atomic_fetch_add(&rough->faults, 1);
    return true;
}

static int rough_sync(struct os *os, struct os_file *file, enum os_sync_mode mode) {
    struct rough_os *rough = (struct rough_os *)os;
    uint32_t yields = atomic_load(&rough->sync_yields);
    for (uint64_t turn = yields ? next_number(rough) % yields : 0; turn > 0; turn--)
        sched_yield();
    return shall_fail(rough) ? EIO : os_posix()->methods->file_sync(os_posix(), file, mode);
}

static int rough_write(struct os *os, struct os_file *file, const void *bytes, size_t size, uint64_t offset) {
    if (!shall_fail((struct rough_os *)os))
        return os_posix()->methods->file_write_at(os_posix(), file, bytes, size, offset);
    (void)os_posix()->methods->file_write_at(os_posix(), file, bytes, size / 2, offset);
    return EIO;
}

void rough_os_init(struct rough_os *rough, uint64_t seed) {
    rough->methods = *os_posix()->methods; /* whose functions do not look at the os they are given */
    rough->methods.file_sync = rough_sync;
    rough->methods.file_write_at = rough_write;
    rough->os.methods = &rough->methods;
    atomic_init(&rough->sync_yields, 0);
    atomic_init(&rough->fail_one_in, 0);
    atomic_init(&rough->state, seed);
    atomic_init(&rough->faults, 0);
}
