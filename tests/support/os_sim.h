/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_sim: the operating system as tests want it. A disk in memory, power cuts, kills, failing calls, a full disk, a
 * clock and randomness from a seed. The second implementation of os/os.h.
 *
 * Life of a test:
 *
 *     struct os_sim *sim = os_sim_create(&(struct os_sim_options){.seed = seed});
 *     struct os *os = os_sim_process(sim, 100);      // a process with pid 100
 *     ... run the code under test over os ...
 *     os_sim_crash(sim, seed);                       // every process is dead, the disk is what the seed left of it
 *     ... free what the dead code held: its calls through the old os all fail with EIO and reach nothing ...
 *     os = os_sim_process(sim, 101);                 // the machine is up again
 *     ... look at what is left ...
 *     os_sim_destroy(sim);
 *
 * The model of the disk, with what it does and does not model, is described at the top of sim_disk.c; processes and
 * faults at the top of os_sim.c.
 *
 * Paths are absolute or relative to "/", which is there from the start; both mean the same.
 *
 * Thread rule: every function and method may be called from any thread, but os_sim_destroy, which is the last. One
 * mutex serialises them. Stores through mappings are not serialised with anything: a test with several threads that
 * runs under a race detector turns write-back off.
 */
#ifndef FBAT_TESTS_SUPPORT_OS_SIM_H
#define FBAT_TESTS_SUPPORT_OS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/os.h"

struct os_sim;

/* Zero is the default of every field. */
struct os_sim_options {
    uint64_t seed;
    uint64_t file_bytes_max;    /* largest file and mapping; address space, not memory. 0 = 512 MiB */
    uint64_t capacity_bytes;    /* of the disk; 0 = no limit */
    uint32_t write_back_one_in; /* at one in so many calls some unsynced bytes reach the disk. 0 = 32 */
    bool no_write_back;         /* only syncs reach the disk */
    bool guard_pages;           /* touching a page past the end of a file faults, as it really does; slower */
    bool no_allocate;           /* file_allocate answers EOPNOTSUPP, as some file systems do */
};

struct os_sim *os_sim_create(const struct os_sim_options *options); /* NULL: all defaults. Never fails */
void os_sim_destroy(struct os_sim *sim);                            /* ends all processes; NULL is accepted */

/* A copy of the disk at this moment, cache and pending changes included, but without processes, locks and faults: to
 * try several crashes from one moment. */
struct os_sim *os_sim_clone(struct os_sim *sim, uint64_t seed);

/* --- Processes ---------------------------------------------------------------------------------------------------- */

/* Starts a process. Its os is borrowed until os_sim_destroy, also when the process is dead. */
struct os *os_sim_process(struct os_sim *sim, int64_t pid);

bool os_sim_is_alive(struct os *process);

/* kill -9: its files, mappings and locks are gone; the page cache stays. No other live process may have mapped the
 * files it has mapped for writing. */
void os_sim_kill(struct os_sim *sim, struct os *process);

/* Power cut: all processes are dead; of what was not synced the seed decides what is on disk. */
void os_sim_crash(struct os_sim *sim, uint64_t seed);

/* Kills the process at its nth call from now of any of the classes, 1 = the next one; before the call does anything, or
 * after it is done. 0 = never. The call itself and all later ones answer EIO. */
void os_sim_stop_nth(struct os_sim *sim, unsigned classes, uint64_t nth, bool after);

/* --- Faults ------------------------------------------------------------------------------------------------------- */

enum os_sim_call {
    OS_SIM_OPENS = 1 << 0,     /* file_open */
    OS_SIM_READS = 1 << 1,     /* file_read_at, file_size, file_allocated */
    OS_SIM_WRITES = 1 << 2,    /* file_write_at: a failing one has written a prefix */
    OS_SIM_ALLOCATES = 1 << 3, /* file_truncate, file_allocate: a failing one may have got part of the way up */
    OS_SIM_SYNCS = 1 << 4,   /* file_sync, dir_sync: of what a failing one covers some is on disk, and none is dirty */
    OS_SIM_MAPS = 1 << 5,    /* file_map */
    OS_SIM_LOCKS = 1 << 6,   /* file_lock */
    OS_SIM_NAMES = 1 << 7,   /* path_kind, dir_create, dir_list, path_rename, path_remove */
    OS_SIM_RANDOMS = 1 << 8, /* random */
    OS_SIM_FALLIBLE = (1 << 9) - 1,
    OS_SIM_CLOCKS = 1 << 9, /* clock_us, monotonic_us: cannot fail, but a process can be stopped there */
    OS_SIM_ANY = (1 << 10) - 1
};

/* Calls made since the start by live processes, of any of the classes. */
uint64_t os_sim_calls(struct os_sim *sim, unsigned classes);

/* The nth call from now of any of the classes, 1 = the next one, fails with error, a positive errno value; once. With
 * os_sim_fail_from it and all later ones fail. nth 0 disarms. */
void os_sim_fail_nth(struct os_sim *sim, unsigned classes, uint64_t nth, int error);
void os_sim_fail_from(struct os_sim *sim, unsigned classes, uint64_t nth, int error);

/* What is armed takes effect once the fault armed before it has fired, counted from there: one more fault with the same
 * error; the death of the process. So a crash can be aimed at what the code under test does about a failure. Arming a
 * fault anew disarms them. */
void os_sim_then_fail_nth(struct os_sim *sim, unsigned classes, uint64_t nth);
void os_sim_then_stop_nth(struct os_sim *sim, unsigned classes, uint64_t nth, bool after);

/* While held, no call fails or stops its process, and none is counted towards that: for a test's own use of the system in
 * between. */
void os_sim_hold(struct os_sim *sim, bool hold);

/* True when an armed fault has made a call fail; and how many calls were made to fail since the start. */
bool os_sim_fault_fired(struct os_sim *sim);
uint64_t os_sim_faults(struct os_sim *sim);

/* Systems that lie, each as the code under test would if it were broken in that way: a crash test must catch them. */
enum os_sim_defect {
    OS_SIM_HONEST = 0,
    OS_SIM_LATE_SYNC = 1,   /* file_sync answers at once and is carried out at the next call: a reply before its sync */
    OS_SIM_RETRIED_SYNC = 2 /* a failed file_sync is tried once more, and that counts */
};
void os_sim_set_defect(struct os_sim *sim, enum os_sim_defect defect);

/* While set, syncs succeed and do nothing. */
void os_sim_skip_sync(struct os_sim *sim, bool skip);

void os_sim_set_capacity(struct os_sim *sim, uint64_t capacity_bytes); /* 0 = no limit */
uint64_t os_sim_used_bytes(struct os_sim *sim);                        /* sizes in whole sectors */
void os_sim_set_read_only(struct os_sim *sim, bool read_only);         /* changes answer EROFS */

/* --- Clock -------------------------------------------------------------------------------------------------------- */

/* The clock starts at the same time in every simulation and goes on by a small seeded step whenever it is asked. */
#define OS_SIM_CLOCK_START_US INT64_C(1700000000000000)

void os_sim_set_clock(struct os_sim *sim, int64_t microseconds);     /* also backwards */
void os_sim_advance_clock(struct os_sim *sim, int64_t microseconds); /* both clocks forward; or the first one back */

/* --- The bytes ---------------------------------------------------------------------------------------------------- */

/* A file's cache bytes, borrowed until the next call that changes the file; false when there is no such file. Not to
 * be written through. */
bool os_sim_file_bytes(struct os_sim *sim, const char *path, const uint8_t **out_bytes, uint64_t *out_size);

/* The bytes a power cut that loses everything unsynced would leave; false when the name would not survive it. */
bool os_sim_disk_bytes(struct os_sim *sim, const char *path, const uint8_t **out_bytes, uint64_t *out_size);

/* Gives a file these bytes, in cache and on disk; it is created where it is not there. False when its directory is
 * not there. */
bool os_sim_set_file_bytes(struct os_sim *sim, const char *path, const void *bytes, uint64_t size);

/* Flips the bits of mask in one byte, in cache and on disk; false when there is no such byte. */
bool os_sim_flip(struct os_sim *sim, const char *path, uint64_t offset, uint8_t mask);

/* Calls visit, which must not create or remove any, with the absolute path of every file. A non-zero answer stops and
 * is the result. */
int os_sim_files(struct os_sim *sim, int (*visit)(void *user, const char *path), void *user);

#endif
