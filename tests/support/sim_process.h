/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of os_sim, shared by os_sim.c (processes, faults, controls) and sim_methods.c (the method table). Tests
 * use os_sim.h.
 *
 * Thread rule: everything here is guarded by the simulation's mutex, which sim_begin and sim_enter take, and sim_finish
 * and sim_leave give back.
 */
#ifndef FBAT_TESTS_SUPPORT_SIM_PROCESS_H
#define FBAT_TESTS_SUPPORT_SIM_PROCESS_H

#include <pthread.h>

#include "os_sim.h"
#include "sim_disk.h"

#define CALL_CLASS_COUNT 10

struct os_file {
    struct os_file *next;
    struct process *process;
    struct sim_node *node; /* referenced; NULL when the process is dead */
    bool writable;
};

struct mapping {
    struct mapping *next;
    struct sim_range *range;
    uint64_t size;
    bool writable;
};

/* What a pid stands for. */
struct process {
    struct os os; /* first: an os is its process */
    struct process *next;
    struct os_sim *sim;
    int64_t pid;
    bool alive;
    struct os_file *files;
    struct mapping *mappings;
};

/* Something that happens at the nth call of some classes. */
struct trigger {
    unsigned classes;
    uint64_t remaining; /* 0 = disarmed */
    bool sticky;        /* fires at all calls after it as well */
};

struct os_sim {
    pthread_mutex_t mutex;
    struct sim_disk disk;
    struct process *processes;
    uint32_t write_back_one_in; /* 0 = never */
    bool no_allocate;
    bool read_only;
    bool skip_sync;
    enum os_sim_defect defect;
    struct sim_node *late; /* with OS_SIM_LATE_SYNC: synced at the next call, they say; referenced, or NULL */
    uint64_t calls[CALL_CLASS_COUNT];
    uint64_t faults; /* calls that were made to fail */
    struct trigger fault;
    struct trigger next_fault; /* takes the place of `fault` once that has fired */
    int fault_error;
    bool fault_fired;
    bool held;
    struct trigger stop;
    bool stop_after;
    struct trigger next_stop; /* takes the place of `stop` once a fault has fired */
    bool next_stop_after;
    int64_t clock_us;
    uint64_t monotonic_us;
    struct test_random clock_random;
    struct test_random entropy;
};

struct call {
    struct process *process;
    struct os_sim *sim;
    bool failed_by_fault; /* the method may do part of its work before it fails */
    bool stop_at_end;
};

extern const struct os_methods sim_methods;

/* Begins a counted call. 0, or the error the call is to answer; sim_finish must follow in either case. */
int sim_begin(struct call *call, struct os *os, unsigned class);
int sim_begin_with_file(struct call *call, struct os *os, const struct os_file *file, unsigned class);

/* Ends it; passes error on, or EIO when the process was stopped here. */
int sim_finish(struct call *call, int error);

/* Syncs a file as the simulation's defect has it. */
void sim_sync_file(struct os_sim *sim, struct sim_node *node);

/* For the calls that cannot fail and are no place to stop at. */
struct process *sim_enter(struct os *os);
void sim_leave(struct process *process);

void sim_remove_file(struct os_file *file);
void sim_remove_mapping(struct process *process, const void *address, uint64_t size);

#endif
