/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method table of os_sim: os.h translated into the model of sim_disk.c.
 *
 * Happy path of a method: sim_begin takes the mutex, counts the call and says whether it is to fail; the body works on
 * the disk; sim_finish gives the mutex back. Outputs are set after that, when it is known that the call succeeds.
 *
 * Failure modes: what cannot be had is an errno value, the one a real system would give; a failing call does part of
 * its work where a real one might.
 *
 * Thread rule: os_sim.h.
 */
#include "sim_process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOCK_STEP_US_MAX 20

/* --- Files -------------------------------------------------------------------------------------------------------- */

static int find_or_create(struct os_sim *sim, const char *path, enum os_open_mode mode, struct sim_node **out_node) {
    struct sim_node *parent;
    int error = sim_disk_find_parent(&sim->disk, path, &parent);
    if (error)
        return error;
    struct sim_node *node = sim_disk_find(&sim->disk, path);
    if (node && mode == OS_OPEN_CREATE_NEW)
        return EEXIST;
    if (node && node->is_directory)
        return EISDIR;
    if (!node && (mode == OS_OPEN_READ || mode == OS_OPEN_WRITE))
        return ENOENT;
    if (sim->read_only && mode != OS_OPEN_READ)
        return EROFS;
    if (node && mode == OS_OPEN_TRUNCATE)
        error = sim_node_resize(&sim->disk, node, 0);
    *out_node = node ? node : sim_disk_create(&sim->disk, parent, path, false);
    return error;
}

static struct os_file *add_file(struct process *process, struct sim_node *node, bool writable) {
    struct os_file *file = sim_allocate(sizeof *file);
    *file = (struct os_file){.next = process->files, .process = process, .node = node, .writable = writable};
    sim_node_reference(node);
    process->files = file;
    return file;
}

static int sim_file_open(struct os *os, const char *path, enum os_open_mode mode, struct os_file **out_file) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    struct sim_node *node;
    int error = sim_begin(&call, os, OS_SIM_OPENS);
    if (!error && !sim_path_normalise(path, normal, sizeof normal))
        error = ENAMETOOLONG;
    if (!error)
        error = find_or_create(call.sim, normal, mode, &node);
    struct os_file *file = error ? NULL : add_file(call.process, node, mode != OS_OPEN_READ);
    error = sim_finish(&call, error);
    if (!error)
        *out_file = file;
    else if (file) /* stopped at the end of this very call: nobody will close it */
        os->methods->file_close(os, file);
    return error;
}

static void sim_file_close(struct os *os, struct os_file *file) {
    struct process *process = sim_enter(os);
    sim_remove_file(file);
    sim_leave(process);
}

static int read_bytes(const struct sim_node *node, void *buffer, size_t size, uint64_t offset) {
    if (size == 0)
        return 0;
    if (offset >= node->cache_size || size > node->cache_size - offset)
        return ENODATA;
    memcpy(buffer, node->range->bytes + offset, size);
    return 0;
}

static int sim_file_read_at(struct os *os, struct os_file *file, void *buffer, size_t size, uint64_t offset) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_READS);
    if (!error)
        error = read_bytes(file->node, buffer, size, offset);
    return sim_finish(&call, error);
}

/* What of a write that ends at `end` has room; at least up to the end of the file as it is. */
static uint64_t end_with_room(struct os_sim *sim, const struct sim_node *node, uint64_t end) {
    uint64_t held = (node->cache_size + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
    uint64_t room = sim_disk_free_bytes(&sim->disk);
    return end > held && end - held > room ? held + room / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES : end;
}

/* On a full disk what fits is written before the error is told, as a real write would. */
static int write_bytes(struct os_sim *sim, struct sim_node *node, const void *buffer, size_t size, uint64_t offset) {
    uint64_t end;
    if (size == 0)
        return 0;
    if (__builtin_add_overflow(offset, size, &end) || end > sim->disk.file_bytes_max)
        return EFBIG;
    uint64_t fitting_end = end_with_room(sim, node, end);
    if (fitting_end <= offset)
        return ENOSPC;
    int error = fitting_end > node->cache_size ? sim_node_resize(&sim->disk, node, fitting_end) : 0;
    if (error)
        return error;
    memcpy(node->range->bytes + offset, buffer, fitting_end - offset);
    sim_node_rewritten(node, offset, fitting_end - offset);
    return fitting_end < end ? ENOSPC : 0;
}

static int check_writable(const struct os_sim *sim, const struct os_file *file) {
    if (sim->read_only)
        return EROFS;
    return file->writable ? 0 : EBADF;
}

static int sim_file_write_at(struct os *os, struct os_file *file, const void *buffer, size_t size, uint64_t offset) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_WRITES);
    if (call.failed_by_fault && size > 0) {
        size_t prefix = (size_t)test_random_below(&call.sim->disk.random, size);
        (void)write_bytes(call.sim, file->node, buffer, prefix, offset);
    }
    if (!error)
        error = check_writable(call.sim, file);
    if (!error)
        error = write_bytes(call.sim, file->node, buffer, size, offset);
    return sim_finish(&call, error);
}

static int sim_file_size(struct os *os, struct os_file *file, uint64_t *out_size) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_READS);
    uint64_t size = error ? 0 : file->node->cache_size;
    error = sim_finish(&call, error);
    if (!error)
        *out_size = size;
    return error;
}

static int sim_file_allocated(struct os *os, struct os_file *file, uint64_t *out_size) {
    uint64_t size = 0;
    int error = sim_file_size(os, file, &size);
    if (!error)
        *out_size = (size + SIM_SECTOR_BYTES - 1) / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
    return error;
}

/* A growth that fails may have got part of the way. */
static void grow_partly(struct os_sim *sim, struct sim_node *node, uint64_t size) {
    if (size > node->cache_size && test_random_one_in(&sim->disk.random, 2))
        (void)sim_node_resize(&sim->disk, node, test_random_between(&sim->disk.random, node->cache_size, size));
}

static int sim_file_truncate(struct os *os, struct os_file *file, uint64_t size) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_ALLOCATES);
    if (call.failed_by_fault)
        grow_partly(call.sim, file->node, size);
    if (!error)
        error = check_writable(call.sim, file);
    if (!error)
        error = sim_node_resize(&call.sim->disk, file->node, size);
    if (!error)
        sim_node_resized(file->node);
    return sim_finish(&call, error);
}

static int allocate_bytes(struct os_sim *sim, struct os_file *file, uint64_t size) {
    int error = check_writable(sim, file);
    if (error)
        return error;
    if (sim->no_allocate)
        return EOPNOTSUPP;
    if (size == 0)
        return EINVAL;
    if (size <= file->node->cache_size)
        return 0;
    error = sim_node_resize(&sim->disk, file->node, size);
    if (error == ENOSPC)
        grow_partly(sim, file->node, end_with_room(sim, file->node, size));
    return error;
}

static int sim_file_allocate(struct os *os, struct os_file *file, uint64_t size) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_ALLOCATES);
    if (call.failed_by_fault)
        grow_partly(call.sim, file->node, size);
    if (!error)
        error = allocate_bytes(call.sim, file, size);
    return sim_finish(&call, error);
}

/* Both modes keep the size: os.h promises that, and so does fdatasync for what is needed to read the data back. */
static int sim_file_sync(struct os *os, struct os_file *file, enum os_sync_mode mode) {
    (void)mode;
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_SYNCS);
    if (call.failed_by_fault)
        sim_node_sync_failed(&call.sim->disk, file->node);
    if (call.failed_by_fault && call.sim->defect == OS_SIM_RETRIED_SYNC)
        error = 0; /* what is clean by now is not written again */
    if (!error)
        sim_sync_file(call.sim, file->node);
    return sim_finish(&call, error);
}

/* --- Mappings ----------------------------------------------------------------------------------------------------- */

static int add_mapping(struct process *process, struct os_file *file, uint64_t size, bool writable) {
    if (size == 0)
        return EINVAL;
    if (writable && !file->writable)
        return EACCES;
    if (size > file->node->range->bytes_max)
        return ENOMEM;
    struct mapping *mapping = sim_allocate(sizeof *mapping);
    *mapping =
        (struct mapping){.next = process->mappings, .range = file->node->range, .size = size, .writable = writable};
    process->mappings = mapping;
    mapping->range->mappings++;
    return 0;
}

static int sim_file_map(struct os *os, struct os_file *file, uint64_t size, bool writable, void **out_address) {
    struct call call;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_MAPS);
    void *address = error ? NULL : file->node->range->bytes;
    if (!error)
        error = add_mapping(call.process, file, size, writable);
    bool mapped = !error;
    error = sim_finish(&call, error);
    if (!error)
        *out_address = address;
    else if (mapped) /* stopped at the end of this very call: nobody will unmap it */
        os->methods->file_unmap(os, address, size);
    return error;
}

static void sim_file_unmap(struct os *os, void *address, uint64_t size) {
    struct process *process = sim_enter(os);
    sim_remove_mapping(process, address, size);
    sim_leave(process);
}

/* The simulated tree is flat and has one current directory, its root. */
static int sim_dir_current(struct os *os, char *out_path, size_t size) {
    (void)os;
    if (size < 2)
        return ERANGE;
    memcpy(out_path, "/", 2);
    return 0;
}

static void sim_map_settle(struct os *os, void *address, uint64_t size) {
    (void)os;
    (void)address;
    (void)size;
}

static void sim_map_populate(struct os *os, void *address, uint64_t size) {
    (void)os;
    (void)address;
    (void)size;
}

/* --- The lock ----------------------------------------------------------------------------------------------------- */

static int take_file_lock(struct os_file *file, int64_t *out_holder) {
    struct sim_node *node = file->node;
    if (!file->writable)
        return EBADF;
    if (node->lock_owner) {
        *out_holder = node->lock_pid;
        return EWOULDBLOCK;
    }
    node->lock_owner = file;
    node->lock_pid = file->process->pid;
    return 0;
}

static int sim_file_lock(struct os *os, struct os_file *file, int64_t *out_holder_pid) {
    struct call call;
    int64_t holder = 0;
    int error = sim_begin_with_file(&call, os, file, OS_SIM_LOCKS);
    if (!error)
        error = take_file_lock(file, &holder);
    error = sim_finish(&call, error);
    if (error == EWOULDBLOCK)
        *out_holder_pid = holder;
    return error;
}

static void sim_file_unlock(struct os *os, struct os_file *file) {
    struct process *process = sim_enter(os);
    if (file->node && file->node->lock_owner == file)
        file->node->lock_owner = NULL;
    sim_leave(process);
}

static int64_t sim_file_lock_holder(struct os *os, struct os_file *file) {
    struct process *process = sim_enter(os);
    int64_t holder = file->node && file->node->lock_owner ? file->node->lock_pid : 0;
    sim_leave(process);
    return holder;
}

/* --- Names -------------------------------------------------------------------------------------------------------- */

/* Begins a call about a path; normal has room for TEST_PATH_SIZE. */
static int begin_with_path(struct call *call, struct os *os, const char *path, unsigned class, char *normal) {
    int error = sim_begin(call, os, class);
    if (!error && !sim_path_normalise(path, normal, TEST_PATH_SIZE))
        error = ENAMETOOLONG;
    return error;
}

static int sim_path_kind(struct os *os, const char *path, enum os_path_kind *out_kind) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    struct sim_node *parent;
    struct sim_node *node = NULL;
    int error = begin_with_path(&call, os, path, OS_SIM_NAMES, normal);
    if (!error)
        error = sim_disk_find_parent(&call.sim->disk, normal, &parent);
    if (!error)
        node = sim_disk_find(&call.sim->disk, normal);
    bool is_directory = node && node->is_directory;
    error = sim_finish(&call, call.failed_by_fault || error != ENOENT ? error : 0);
    if (!error)
        *out_kind = !node ? OS_PATH_NONE : is_directory ? OS_PATH_DIRECTORY : OS_PATH_FILE;
    return error;
}

static int sim_dir_create(struct os *os, const char *path) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    struct sim_node *parent;
    int error = begin_with_path(&call, os, path, OS_SIM_NAMES, normal);
    if (!error)
        error = sim_disk_find_parent(&call.sim->disk, normal, &parent);
    if (!error && sim_disk_find(&call.sim->disk, normal))
        error = EEXIST;
    if (!error && call.sim->read_only)
        error = EROFS;
    if (!error)
        sim_disk_create(&call.sim->disk, parent, normal, true);
    return sim_finish(&call, error);
}

/* The last component of path when it lies directly in directory, else NULL. */
static const char *name_in(const char *directory, const char *path) {
    size_t length = strcmp(directory, "/") == 0 ? 0 : strlen(directory);
    if (strncmp(path, directory, length) != 0 || path[length] != '/' || path[length + 1] == '\0')
        return NULL;
    return strchr(path + length + 1, '/') ? NULL : path + length + 1;
}

struct name_list {
    char **names;
    size_t count;
};

static void free_list(struct name_list *list) {
    for (size_t index = 0; index < list->count; index++)
        free(list->names[index]);
    free(list->names);
}

static void add_to_list(struct name_list *list, const char *name) {
    char *copy = strdup(name);
    if (!copy)
        sim_panic("no memory for a list of names");
    list->names[list->count++] = copy;
}

/* Names come in any order from a real directory; here in one the seed picks. */
static struct name_list list_directory(struct os_sim *sim, const char *directory) {
    struct sim_disk *disk = &sim->disk;
    struct name_list list = {.names = sim_allocate((disk->name_count + 1) * sizeof *list.names)};
    for (size_t index = 0; index < disk->name_count; index++) {
        const char *name = disk->names[index].cache ? name_in(directory, disk->names[index].path) : NULL;
        if (name)
            add_to_list(&list, name);
    }
    for (size_t left = list.count; left > 1; left--) {
        size_t other = (size_t)test_random_below(&disk->random, left);
        char *last = list.names[left - 1];
        list.names[left - 1] = list.names[other];
        list.names[other] = last;
    }
    return list;
}

static int find_directory(struct os_sim *sim, const char *path, struct sim_node **out_node) {
    struct sim_node *node = sim_disk_find(&sim->disk, path);
    if (!node)
        return ENOENT;
    if (!node->is_directory)
        return ENOTDIR;
    *out_node = node;
    return 0;
}

/* The visitor is called without the mutex: it may call methods itself. */
static int sim_dir_list(struct os *os, const char *path, os_name_fn visit, void *user) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    struct sim_node *directory;
    struct name_list list = {0};
    int error = begin_with_path(&call, os, path, OS_SIM_NAMES, normal);
    if (!error)
        error = find_directory(call.sim, normal, &directory);
    if (!error)
        list = list_directory(call.sim, normal);
    int result = sim_finish(&call, error);
    for (size_t index = 0; index < list.count && result == 0; index++)
        result = visit(user, list.names[index]);
    free_list(&list);
    return result;
}

static int sim_dir_sync(struct os *os, const char *path) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    struct sim_node *directory;
    int error = begin_with_path(&call, os, path, OS_SIM_SYNCS, normal);
    if (call.failed_by_fault && sim_path_normalise(path, normal, sizeof normal) &&
        find_directory(call.sim, normal, &directory) == 0)
        sim_directory_sync_failed(&call.sim->disk, directory);
    if (!error)
        error = find_directory(call.sim, normal, &directory);
    if (!error && !call.sim->skip_sync)
        sim_directory_sync(&call.sim->disk, directory);
    return sim_finish(&call, error);
}

static int rename_checked(struct os_sim *sim, const char *from, const char *to) {
    struct sim_node *parent;
    struct sim_node *other_parent;
    int error = sim_disk_find_parent(&sim->disk, from, &parent);
    if (!error)
        error = sim_disk_find_parent(&sim->disk, to, &other_parent);
    if (error)
        return error;
    struct sim_node *node = sim_disk_find(&sim->disk, from);
    struct sim_node *replaced = sim_disk_find(&sim->disk, to);
    if (!node)
        return ENOENT;
    if (replaced && replaced->is_directory)
        return EISDIR;
    if (parent != other_parent || node->is_directory)
        return EXDEV; /* not modelled */
    if (sim->read_only)
        return EROFS;
    sim_disk_rename(&sim->disk, parent, from, to);
    return 0;
}

static int sim_path_rename(struct os *os, const char *from, const char *to) {
    char normal_from[TEST_PATH_SIZE];
    char normal_to[TEST_PATH_SIZE];
    struct call call;
    int error = begin_with_path(&call, os, from, OS_SIM_NAMES, normal_from);
    if (!error && !sim_path_normalise(to, normal_to, sizeof normal_to))
        error = ENAMETOOLONG;
    if (!error)
        error = rename_checked(call.sim, normal_from, normal_to);
    return sim_finish(&call, error);
}

static int remove_checked(struct os_sim *sim, const char *path) {
    struct sim_node *parent;
    int error = sim_disk_find_parent(&sim->disk, path, &parent);
    if (error)
        return error;
    struct sim_node *node = sim_disk_find(&sim->disk, path);
    if (!node)
        return ENOENT;
    if (node->is_directory)
        return EISDIR;
    if (sim->read_only)
        return EROFS;
    sim_disk_remove(&sim->disk, parent, path);
    return 0;
}

static int sim_path_remove(struct os *os, const char *path) {
    char normal[TEST_PATH_SIZE];
    struct call call;
    int error = begin_with_path(&call, os, path, OS_SIM_NAMES, normal);
    if (!error)
        error = remove_checked(call.sim, normal);
    return sim_finish(&call, error);
}

/* --- Clock, randomness, identity, threads ------------------------------------------------------------------------- */

static uint64_t step_of_clock(struct os_sim *sim) {
    return test_random_below(&sim->clock_random, CLOCK_STEP_US_MAX + 1);
}

static int64_t sim_clock_us(struct os *os) {
    struct call call;
    (void)sim_begin(&call, os, OS_SIM_CLOCKS);
    call.sim->clock_us += (int64_t)step_of_clock(call.sim);
    int64_t now = call.sim->clock_us;
    (void)sim_finish(&call, 0);
    return now;
}

static uint64_t sim_monotonic_us(struct os *os) {
    struct call call;
    (void)sim_begin(&call, os, OS_SIM_CLOCKS);
    call.sim->monotonic_us += step_of_clock(call.sim);
    uint64_t now = call.sim->monotonic_us;
    (void)sim_finish(&call, 0);
    return now;
}

static int sim_random(struct os *os, void *buffer, size_t size) {
    struct call call;
    int error = sim_begin(&call, os, OS_SIM_RANDOMS);
    if (!error)
        test_random_fill(&call.sim->entropy, buffer, size);
    return sim_finish(&call, error);
}

static int64_t sim_process_id(struct os *os) {
    struct process *process = sim_enter(os);
    int64_t pid = process->pid;
    sim_leave(process);
    return pid;
}

static int sim_path_resolve(struct os *os, const char *path, char *out_path, size_t size) {
    (void)os;
    (void)path;
    (void)out_path;
    (void)size;
    return EOPNOTSUPP;
}

static int sim_event_create(struct os *os, int *out_fd) {
    (void)os;
    (void)out_fd;
    return EOPNOTSUPP;
}

static void sim_event_none(struct os *os, int fd) {
    (void)os;
    (void)fd;
}

static int sim_thread_start(struct os *os, uint64_t stack_size, void (*main)(void *user), void *user,
                            void **out_thread) {
    (void)os;
    (void)stack_size;
    (void)main;
    (void)user;
    (void)out_thread;
    return EOPNOTSUPP;
}

static void sim_thread_join(struct os *os, void *thread) {
    (void)os;
    sim_panic("thread %p is joined, but none was ever started", thread);
}

const struct os_methods sim_methods = {
    .file_open = sim_file_open,
    .file_close = sim_file_close,
    .file_read_at = sim_file_read_at,
    .file_write_at = sim_file_write_at,
    .file_size = sim_file_size,
    .file_allocated = sim_file_allocated,
    .file_truncate = sim_file_truncate,
    .file_allocate = sim_file_allocate,
    .file_sync = sim_file_sync,
    .file_map = sim_file_map,
    .file_unmap = sim_file_unmap,
    .map_populate = sim_map_populate,
    .map_settle = sim_map_settle,
    .dir_current = sim_dir_current,
    .file_lock = sim_file_lock,
    .file_unlock = sim_file_unlock,
    .file_lock_holder = sim_file_lock_holder,
    .path_kind = sim_path_kind,
    .dir_create = sim_dir_create,
    .dir_list = sim_dir_list,
    .dir_sync = sim_dir_sync,
    .path_rename = sim_path_rename,
    .path_remove = sim_path_remove,
    .clock_us = sim_clock_us,
    .monotonic_us = sim_monotonic_us,
    .random = sim_random,
    .process_id = sim_process_id,
    .path_resolve = sim_path_resolve,
    .event_create = sim_event_create,
    .event_signal = sim_event_none,
    .event_clear = sim_event_none,
    .event_close = sim_event_none,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
};
