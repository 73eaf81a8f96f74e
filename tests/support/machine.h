/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine that loses its power: one store, in one process, on a simulated disk. What it does to the store cannot be done
 * through the public header; the store is used through it like any other.
 *
 *     machine_init, machine_open, ... machine_die, machine_open, ... machine_close, machine_check, machine_deinit
 *
 * Thread rule: one thread.
 */
#ifndef FBAT_TESTS_SUPPORT_MACHINE_H
#define FBAT_TESTS_SUPPORT_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

struct os;
struct os_sim;

struct machine {
    struct fbat_store *store; /* NULL: not open */
    struct fbat_config config;
    struct os_sim *sim;
    struct os *os; /* of the process that runs */
    int64_t pid;
};

/* A machine with an empty disk, and the default configuration, without syncs of its own accord. */
void machine_init(struct machine *machine, uint64_t seed);
void machine_deinit(struct machine *machine);

/* A new process opens the store; it closes it. */
int machine_open(struct machine *machine, struct fbat_error *error);
int machine_close(struct machine *machine, struct fbat_error *error);

/* The process dies, by a power cut, where the seed decides what of the unsynced is on disk, or by a kill. What it held is
 * freed; nothing of it reaches the disk. */
void machine_die(struct machine *machine, bool power_cut, uint64_t seed);

/* fbat_check in the process that runs. */
int machine_check(struct machine *machine, const struct fbat_check_options *options,
                  struct fbat_check_report *out_report, struct fbat_error *error);

/* The next sync fails with EIO; or that and all later ones do. */
void machine_fail_next_sync(struct machine *machine);
void machine_fail_syncs(struct machine *machine);
void machine_fail_nothing(struct machine *machine);
bool machine_has_failed(const struct machine *machine); /* a call, since it was told to */

/* The process is stopped at its nth call of the system, before that does anything or after; 0 = never. */
void machine_stop_nth(struct machine *machine, uint64_t nth, bool after);
bool machine_is_stopped(const struct machine *machine);

#endif
