/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See machine.h.
 *
 * Happy path: a thin layer over os_sim and the store below the public header. Failure modes: those it is asked for; a
 * machine that cannot be had ends the program.
 * Thread rule: as in machine.h.
 */
#include "machine.h"

#include <errno.h>
#include <stdlib.h>

#include "api/handle.h"
#include "os_sim.h"
#include "store/store.h"

#define STORE_DIR "/store"

void machine_init(struct machine *machine, uint64_t seed) {
    const struct os_sim_options options = {.seed = seed};
    *machine = (struct machine){.sim = os_sim_create(&options)};
    if (!machine->sim)
        abort();
    fbat_config_init(&machine->config, STORE_DIR);
    machine->config.sync.max_delay_ms = 0;
}

void machine_deinit(struct machine *machine) {
    os_sim_destroy(machine->sim);
}

int machine_open(struct machine *machine, struct fbat_error *error) {
    machine->os = os_sim_process(machine->sim, ++machine->pid);
    int status = store_open(machine->os, &machine->config, &machine->store, error);
    if (status == FBAT_OK)
        handle_adopt(machine->store);
    return status;
}

int machine_close(struct machine *machine, struct fbat_error *error) {
    struct fbat_store *store = machine->store;
    machine->store = NULL;
    return store_close(store, error);
}

void machine_die(struct machine *machine, bool power_cut, uint64_t seed) {
    if (power_cut)
        os_sim_crash(machine->sim, seed);
    else
        os_sim_kill(machine->sim, machine->os);
    store_abandon(machine->store);
    machine->store = NULL;
}

int machine_check(struct machine *machine, const struct fbat_check_options *options,
                  struct fbat_check_report *out_report, struct fbat_error *error) {
    return store_check(machine->os, STORE_DIR, options, out_report, error);
}

void machine_fail_next_sync(struct machine *machine) {
    os_sim_fail_nth(machine->sim, OS_SIM_SYNCS, 1, EIO);
}

void machine_fail_syncs(struct machine *machine) {
    os_sim_fail_from(machine->sim, OS_SIM_SYNCS, 1, EIO);
}

void machine_fail_nothing(struct machine *machine) {
    os_sim_fail_nth(machine->sim, 0, 0, 0);
}

bool machine_has_failed(const struct machine *machine) {
    return os_sim_fault_fired(machine->sim);
}

void machine_stop_nth(struct machine *machine, uint64_t nth, bool after) {
    os_sim_stop_nth(machine->sim, nth > 0 ? OS_SIM_ANY : 0, nth, after);
}

bool machine_is_stopped(const struct machine *machine) {
    return !os_sim_is_alive(machine->os);
}
