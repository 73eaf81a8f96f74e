/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os_sim: processes, faults and the controls of a test, around the method table of sim_methods.c and the model of the
 * disk of sim_disk.c.
 *
 * Happy path of a call: sim_begin counts it, lets the kernel write something back now and then, stops the process or
 * fails the call when a test has asked for that.
 *
 * A process is an os of its own. When it dies, by a kill or a power cut, its handles let go of their files and locks,
 * and the files it has mapped move to other addresses: so the dead code can be run to its end, to free its memory, and
 * whatever it calls or stores reaches nothing. All its calls fail with EIO; close and unmap work.
 *
 * Failure modes: what the code under test asks for and cannot have is an errno value, as on a real system; breaking a
 * rule of os.h (a handle of another process, unmapping what is not mapped, a store past the end of a file) is a panic.
 *
 * Thread rule: os_sim.h. Every function below that does not say "locks" runs under the mutex.
 *
 * Invariants
 *   I1  A live process' handles have a node; a dead one's have none, and no node's lock belongs to one.
 *   I2  A fault or a stop fires at most once, unless it is sticky.
 *   I3  A late sync is carried out at the next call, or never when no live process makes one before a power cut.
 */
#include "sim_process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_BYTES_MAX_DEFAULT (UINT64_C(512) << 20)
#define WRITE_BACK_ONE_IN_DEFAULT 32
#define CLOCK_SALT UINT64_C(0x636c6f636b) /* the clock, random() and the disk draw from generators of their own */
#define ENTROPY_SALT UINT64_C(0x72616e646f6d)

/* --- Processes ---------------------------------------------------------------------------------------------------- */

static void let_go(struct os_file *file) {
    if (!file->node)
        return;
    if (file->node->lock_owner == file)
        file->node->lock_owner = NULL;
    sim_node_release(&file->process->sim->disk, file->node);
    file->node = NULL;
}

static void bury(struct process *process) {
    process->alive = false;
    for (struct os_file *file = process->files; file; file = file->next)
        let_go(file);
}

static bool mapped_by_others(const struct process *process, const struct sim_range *range) {
    for (const struct process *other = process->sim->processes; other; other = other->next)
        for (const struct mapping *mapping = other->mappings; mapping; mapping = mapping->next)
            if (other != process && other->alive && mapping->range == range)
                return true;
    return false;
}

static void leave_range_of(struct process *process, const struct mapping *mapping) {
    struct sim_disk *disk = &process->sim->disk;
    if (!mapping->writable || mapped_by_others(process, mapping->range))
        return;
    for (struct sim_node *node = disk->nodes; node; node = node->next) {
        if (node->range != mapping->range)
            continue;
        sim_node_check_end(node);
        sim_node_leave_range(disk, node);
        return;
    }
}

static void kill_process(struct process *process) {
    if (!process->alive)
        return;
    for (struct mapping *mapping = process->mappings; mapping; mapping = mapping->next)
        leave_range_of(process, mapping);
    bury(process);
}

void sim_remove_file(struct os_file *file) {
    struct os_file **link = &file->process->files;
    while (*link && *link != file)
        link = &(*link)->next;
    if (!*link)
        sim_panic("a file is closed that its process does not have open");
    *link = file->next;
    let_go(file);
    free(file);
}

void sim_remove_mapping(struct process *process, const void *address, uint64_t size) {
    struct mapping **link = &process->mappings;
    while (*link && ((*link)->range->bytes != address || (*link)->size != size))
        link = &(*link)->next;
    struct mapping *mapping = *link;
    if (!mapping)
        sim_panic("%llu bytes are unmapped that are not mapped", (unsigned long long)size);
    *link = mapping->next;
    sim_range_unmap(mapping->range);
    free(mapping);
}

static void free_process(struct process *process) {
    while (process->files)
        sim_remove_file(process->files);
    while (process->mappings)
        sim_remove_mapping(process, process->mappings->range->bytes, process->mappings->size);
    free(process);
}

/* --- One call ----------------------------------------------------------------------------------------------------- */

static unsigned class_number(unsigned class) {
    return (unsigned)__builtin_ctz(class);
}

static bool fires(struct trigger *trigger, unsigned class) {
    if (trigger->remaining == 0 || !(trigger->classes & class))
        return false;
    if (trigger->remaining > 1) {
        trigger->remaining--;
        return false;
    }
    trigger->remaining = trigger->sticky;
    return true;
}

static int meet_fault(struct call *call, unsigned class) {
    struct os_sim *sim = call->sim;
    if (sim->held || !(class & OS_SIM_FALLIBLE) || !fires(&sim->fault, class))
        return 0;
    sim->fault_fired = true;
    sim->faults++;
    if (sim->next_fault.remaining > 0)
        sim->fault = sim->next_fault;
    if (sim->next_stop.remaining > 0) {
        sim->stop = sim->next_stop;
        sim->stop_after = sim->next_stop_after;
    }
    sim->next_fault = sim->next_stop = (struct trigger){0};
    call->failed_by_fault = true;
    return sim->fault_error;
}

static void forget_late_sync(struct os_sim *sim) {
    if (sim->late)
        sim_node_release(&sim->disk, sim->late);
    sim->late = NULL;
}

static void finish_late_sync(struct os_sim *sim) {
    if (sim->late)
        sim_node_sync(sim->late);
    forget_late_sync(sim);
}

/* A sync that succeeds, as the system's defect has it. */
void sim_sync_file(struct os_sim *sim, struct sim_node *node) {
    if (sim->skip_sync)
        return;
    if (sim->defect != OS_SIM_LATE_SYNC) {
        sim_node_sync(node);
        return;
    }
    forget_late_sync(sim);
    sim_node_reference(node);
    sim->late = node;
}

/* Locks. 0, or the error the call is to answer; sim_finish() must follow in either case. */
int sim_begin(struct call *call, struct os *os, unsigned class) {
    struct process *process = (struct process *)os;
    struct os_sim *sim = process->sim;
    *call = (struct call){.process = process, .sim = sim};
    pthread_mutex_lock(&sim->mutex);
    if (!process->alive)
        return EIO;
    sim->calls[class_number(class)]++;
    if (sim->write_back_one_in > 0 && test_random_one_in(&sim->disk.random, sim->write_back_one_in))
        sim_disk_write_back(&sim->disk);
    if (!sim->held && fires(&sim->stop, class)) {
        call->stop_at_end = sim->stop_after;
        if (!sim->stop_after)
            kill_process(process);
        if (!process->alive)
            return EIO;
    }
    finish_late_sync(sim);
    return meet_fault(call, class);
}

int sim_begin_with_file(struct call *call, struct os *os, const struct os_file *file, unsigned class) {
    int error = sim_begin(call, os, class);
    if (file->process != call->process)
        sim_panic("a file is used by a process that did not open it");
    return error;
}

int sim_finish(struct call *call, int error) {
    if (call->stop_at_end) {
        kill_process(call->process);
        error = EIO;
    }
    pthread_mutex_unlock(&call->sim->mutex);
    return error;
}

/* For the calls that cannot fail and are no place to stop at. Locks. */
struct process *sim_enter(struct os *os) {
    struct process *process = (struct process *)os;
    pthread_mutex_lock(&process->sim->mutex);
    return process;
}

void sim_leave(struct process *process) {
    pthread_mutex_unlock(&process->sim->mutex);
}

/* --- Controls: all of these lock ---------------------------------------------------------------------------------- */

static struct os_sim *new_sim(uint64_t seed) {
    struct os_sim *sim = sim_allocate(sizeof *sim);
    pthread_mutex_init(&sim->mutex, NULL);
    sim->clock_us = OS_SIM_CLOCK_START_US;
    sim->monotonic_us = 1;
    sim->clock_random = test_random_init(seed ^ CLOCK_SALT);
    sim->entropy = test_random_init(seed ^ ENTROPY_SALT);
    return sim;
}

struct os_sim *os_sim_create(const struct os_sim_options *options) {
    struct os_sim_options chosen = options ? *options : (struct os_sim_options){0};
    struct os_sim *sim = new_sim(chosen.seed);
    uint64_t file_bytes_max = chosen.file_bytes_max ? chosen.file_bytes_max : FILE_BYTES_MAX_DEFAULT;
    sim_disk_init(&sim->disk, chosen.seed, file_bytes_max, chosen.guard_pages);
    sim->disk.capacity_bytes = chosen.capacity_bytes;
    sim->no_allocate = chosen.no_allocate;
    if (!chosen.no_write_back)
        sim->write_back_one_in = chosen.write_back_one_in ? chosen.write_back_one_in : WRITE_BACK_ONE_IN_DEFAULT;
    return sim;
}

void os_sim_destroy(struct os_sim *sim) {
    if (!sim)
        return;
    while (sim->processes) {
        struct process *process = sim->processes;
        sim->processes = process->next;
        free_process(process);
    }
    forget_late_sync(sim);
    sim_disk_deinit(&sim->disk);
    pthread_mutex_destroy(&sim->mutex);
    free(sim);
}

struct os_sim *os_sim_clone(struct os_sim *sim, uint64_t seed) {
    struct os_sim *clone = new_sim(seed);
    pthread_mutex_lock(&sim->mutex);
    sim_disk_clone(&sim->disk, seed, &clone->disk);
    clone->write_back_one_in = sim->write_back_one_in;
    clone->no_allocate = sim->no_allocate;
    clone->read_only = sim->read_only;
    clone->skip_sync = sim->skip_sync;
    clone->defect = sim->defect;
    clone->clock_us = sim->clock_us;
    clone->monotonic_us = sim->monotonic_us;
    pthread_mutex_unlock(&sim->mutex);
    return clone;
}

struct os *os_sim_process(struct os_sim *sim, int64_t pid) {
    struct process *process = sim_allocate(sizeof *process);
    *process = (struct process){.os = {.methods = &sim_methods}, .sim = sim, .pid = pid, .alive = true};
    pthread_mutex_lock(&sim->mutex);
    process->next = sim->processes;
    sim->processes = process;
    pthread_mutex_unlock(&sim->mutex);
    return &process->os;
}

bool os_sim_is_alive(struct os *os) {
    struct process *process = sim_enter(os);
    bool alive = process->alive;
    sim_leave(process);
    return alive;
}

void os_sim_kill(struct os_sim *sim, struct os *os) {
    struct process *process = sim_enter(os);
    if (process->sim != sim)
        sim_panic("a process is killed in another simulation");
    kill_process(process);
    sim_leave(process);
}

void os_sim_crash(struct os_sim *sim, uint64_t seed) {
    pthread_mutex_lock(&sim->mutex);
    for (struct process *process = sim->processes; process; process = process->next)
        bury(process);
    forget_late_sync(sim);
    sim_disk_crash(&sim->disk, seed);
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_stop_nth(struct os_sim *sim, unsigned classes, uint64_t nth, bool after) {
    pthread_mutex_lock(&sim->mutex);
    sim->stop = (struct trigger){.classes = classes, .remaining = nth};
    sim->stop_after = after;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t os_sim_calls(struct os_sim *sim, unsigned classes) {
    uint64_t count = 0;
    pthread_mutex_lock(&sim->mutex);
    for (unsigned number = 0; number < CALL_CLASS_COUNT; number++)
        if (classes & (1u << number))
            count += sim->calls[number];
    pthread_mutex_unlock(&sim->mutex);
    return count;
}

static void arm_fault(struct os_sim *sim, struct trigger trigger, int error) {
    pthread_mutex_lock(&sim->mutex);
    sim->fault = trigger;
    sim->next_fault = sim->next_stop = (struct trigger){0};
    sim->fault_error = error;
    sim->fault_fired = false;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_fail_nth(struct os_sim *sim, unsigned classes, uint64_t nth, int error) {
    arm_fault(sim, (struct trigger){.classes = classes, .remaining = nth}, error);
}

void os_sim_fail_from(struct os_sim *sim, unsigned classes, uint64_t nth, int error) {
    arm_fault(sim, (struct trigger){.classes = classes, .remaining = nth, .sticky = true}, error);
}

void os_sim_then_fail_nth(struct os_sim *sim, unsigned classes, uint64_t nth) {
    pthread_mutex_lock(&sim->mutex);
    sim->next_fault = (struct trigger){.classes = classes, .remaining = nth};
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_then_stop_nth(struct os_sim *sim, unsigned classes, uint64_t nth, bool after) {
    pthread_mutex_lock(&sim->mutex);
    sim->next_stop = (struct trigger){.classes = classes, .remaining = nth};
    sim->next_stop_after = after;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_hold(struct os_sim *sim, bool hold) {
    pthread_mutex_lock(&sim->mutex);
    sim->held = hold;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t os_sim_faults(struct os_sim *sim) {
    pthread_mutex_lock(&sim->mutex);
    uint64_t faults = sim->faults;
    pthread_mutex_unlock(&sim->mutex);
    return faults;
}

void os_sim_set_defect(struct os_sim *sim, enum os_sim_defect defect) {
    pthread_mutex_lock(&sim->mutex);
    sim->defect = defect;
    pthread_mutex_unlock(&sim->mutex);
}

bool os_sim_fault_fired(struct os_sim *sim) {
    pthread_mutex_lock(&sim->mutex);
    bool fired = sim->fault_fired;
    pthread_mutex_unlock(&sim->mutex);
    return fired;
}

void os_sim_skip_sync(struct os_sim *sim, bool skip) {
    pthread_mutex_lock(&sim->mutex);
    sim->skip_sync = skip;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_set_capacity(struct os_sim *sim, uint64_t capacity_bytes) {
    pthread_mutex_lock(&sim->mutex);
    sim->disk.capacity_bytes = capacity_bytes;
    pthread_mutex_unlock(&sim->mutex);
}

uint64_t os_sim_used_bytes(struct os_sim *sim) {
    pthread_mutex_lock(&sim->mutex);
    uint64_t used = sim_disk_used_bytes(&sim->disk);
    pthread_mutex_unlock(&sim->mutex);
    return used;
}

void os_sim_set_read_only(struct os_sim *sim, bool read_only) {
    pthread_mutex_lock(&sim->mutex);
    sim->read_only = read_only;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_set_clock(struct os_sim *sim, int64_t microseconds) {
    pthread_mutex_lock(&sim->mutex);
    sim->clock_us = microseconds;
    pthread_mutex_unlock(&sim->mutex);
}

void os_sim_advance_clock(struct os_sim *sim, int64_t microseconds) {
    pthread_mutex_lock(&sim->mutex);
    sim->clock_us += microseconds;
    if (microseconds > 0)
        sim->monotonic_us += (uint64_t)microseconds;
    pthread_mutex_unlock(&sim->mutex);
}

static struct sim_node *find_file(struct os_sim *sim, const char *path) {
    char normal[TEST_PATH_SIZE];
    struct sim_node *node = sim_path_normalise(path, normal, sizeof normal) ? sim_disk_find(&sim->disk, normal) : NULL;
    return node && !node->is_directory ? node : NULL;
}

bool os_sim_file_bytes(struct os_sim *sim, const char *path, const uint8_t **out_bytes, uint64_t *out_size) {
    pthread_mutex_lock(&sim->mutex);
    struct sim_node *node = find_file(sim, path);
    if (node) {
        *out_bytes = node->range->bytes;
        *out_size = node->cache_size;
    }
    pthread_mutex_unlock(&sim->mutex);
    return node != NULL;
}

bool os_sim_disk_bytes(struct os_sim *sim, const char *path, const uint8_t **out_bytes, uint64_t *out_size) {
    char normal[TEST_PATH_SIZE];
    pthread_mutex_lock(&sim->mutex);
    struct sim_node *node =
        sim_path_normalise(path, normal, sizeof normal) ? sim_disk_find_durable(&sim->disk, normal) : NULL;
    if (node) {
        *out_bytes = node->disk;
        *out_size = node->disk_size;
    }
    pthread_mutex_unlock(&sim->mutex);
    return node != NULL;
}

bool os_sim_set_file_bytes(struct os_sim *sim, const char *path, const void *bytes, uint64_t size) {
    char normal[TEST_PATH_SIZE];
    struct sim_node *parent;
    pthread_mutex_lock(&sim->mutex);
    bool found =
        sim_path_normalise(path, normal, sizeof normal) && sim_disk_find_parent(&sim->disk, normal, &parent) == 0;
    if (found) {
        struct sim_node *node = sim_disk_find(&sim->disk, normal);
        if (!node)
            node = sim_disk_create(&sim->disk, parent, normal, false);
        sim_node_set_bytes(&sim->disk, node, bytes, size);
        sim_directory_sync(&sim->disk, parent);
    }
    pthread_mutex_unlock(&sim->mutex);
    return found;
}

bool os_sim_flip(struct os_sim *sim, const char *path, uint64_t offset, uint8_t mask) {
    pthread_mutex_lock(&sim->mutex);
    struct sim_node *node = find_file(sim, path);
    bool found = node && sim_node_flip(node, offset, mask);
    pthread_mutex_unlock(&sim->mutex);
    return found;
}

int os_sim_files(struct os_sim *sim, int (*visit)(void *user, const char *path), void *user) {
    char path[TEST_PATH_SIZE];
    int result = 0;
    for (size_t index = 0; result == 0; index++) {
        pthread_mutex_lock(&sim->mutex);
        bool more = index < sim->disk.name_count;
        const struct sim_name *name = more ? &sim->disk.names[index] : NULL;
        bool is_file = name && name->cache && !name->cache->is_directory;
        if (is_file)
            strcpy(path, name->path);
        pthread_mutex_unlock(&sim->mutex);
        if (!more)
            break;
        if (is_file)
            result = visit(user, path);
    }
    return result;
}
