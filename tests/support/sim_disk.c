/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of a disk behind a page cache: the referee of every promise about crashes.
 *
 * A file has three images of its bytes:
 *
 *     cache    what reads, writes and mappings see. Survives the death of a process, not a power cut.
 *     settled  what the kernel believes to be on disk. A sector whose cache differs from settled is *dirty*.
 *     disk     what is there after a power cut. Equal to settled until a sync fails.
 *
 *         write_at, stores ----> cache ----> settled, disk     sync: all dirty sectors; write-back: some, any time
 *                                      \---> settled           failed sync: some sectors go to settled only
 *
 * Nobody tells the model about a store through a mapping; it finds dirty sectors by comparing the images. (So a store
 * of the same bytes makes nothing dirty, while write_at does, as on a real system: that matters after a failed sync.)
 * The size of a file is treated the same way as its bytes: cache_size, settled_size, disk_size.
 *
 * A name has two meanings, one in the cache and one on disk, and a directory keeps the list of changes that lead from
 * the second to the first. dir_sync applies the list.
 *
 * What is modelled:
 *   - A power cut keeps any subset of the dirty sectors (all, none, half, a prefix, a suffix, one alone: the seed
 *     picks; each file may follow its own rule). A sector is whole: old or new. A write of several is torn by that.
 *   - An unsynced growth ends at the old size, the new one, or between; what was not kept is zeros. An unsynced cut has
 *     happened or not.
 *   - Changes of names: a prefix of the list, or any subset in which changes that share a name keep their order. A
 *     rename happens whole or not at all. What lies in a directory that is lost is lost.
 *   - Write-back: at any call some dirty sectors reach the disk, so that versions in between are seen after a crash.
 *   - A failed sync: what it covered is on disk or not, at random, and is clean from then on: syncing again succeeds
 *     and writes nothing of it. Names are kept in a journal: a failed sync of a directory leaves them pending.
 *   - A full disk: sizes, rounded up to sectors, add up to at most the capacity. Files have no holes.
 *
 * What is not modelled: bit rot; a device that lies about a sync; sectors torn inside; cached pages that are thrown
 * away after a failed sync and read back old; symbolic links, permissions, hard links, renamed directories; a full
 * disk noticed only when a page of a hole is stored to.
 *
 * Failure modes: misuse is a panic with a message (sim_panic), because it is a bug of the code under test or of the
 * test; running out of real memory as well.
 *
 * Thread rule: sim_disk.h.
 *
 * Invariants
 *   I1  cache bytes at and after cache_size are zero (checked by sim_node_check_end).
 *   I2  disk bytes at and after disk_size are zero, up to disk_room.
 *   I3  settled == NULL implies settled_size == disk_size.
 *   I4  For a directory, applying its changes in order to the disk names gives the cache names, unless a sync failed.
 */
#include "sim_disk.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CLEAN_BY_MEMSET_BYTES_MAX (UINT64_C(128) << 10) /* above, giving the pages back is cheaper */

_Noreturn void sim_panic(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("os_sim: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    abort();
}

static void *resize_or_panic(void *old, size_t size) {
    void *memory = realloc(old, size);
    if (!memory)
        sim_panic("no memory for the simulation itself (%zu bytes)", size);
    return memory;
}

void *sim_allocate(size_t size) {
    return memset(resize_or_panic(NULL, size), 0, size);
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    return memcpy(resize_or_panic(NULL, size), text, size);
}

static uint64_t round_up(uint64_t value, uint64_t unit) {
    return (value + unit - 1) / unit * unit;
}

static uint64_t smaller(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static uint64_t larger(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

/* --- Ranges: reserved address space, recycled between files and simulations ------------------------------------- */

static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct sim_range *pool; /* clean ranges without guard; under pool_mutex */

static struct sim_range *reserve_range(uint64_t bytes_max) {
    struct sim_range *range = resize_or_panic(NULL, sizeof *range);
    *range = (struct sim_range){.bytes_max = bytes_max, .bytes_open = bytes_max};
    range->bytes = mmap(NULL, bytes_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range->bytes == MAP_FAILED)
        sim_panic("cannot reserve %llu bytes of address space", (unsigned long long)bytes_max);
    return range;
}

static struct sim_range *take_range(uint64_t bytes_max) {
    pthread_mutex_lock(&pool_mutex);
    struct sim_range **link = &pool;
    while (*link && (*link)->bytes_max != bytes_max)
        link = &(*link)->next;
    struct sim_range *range = *link;
    if (range)
        *link = range->next;
    pthread_mutex_unlock(&pool_mutex);
    return range ? range : reserve_range(bytes_max);
}

/* With guard pages, what lies past the file's last page faults when touched, as it would on a real system. */
static void open_range(struct sim_range *range, uint64_t bytes) {
    uint64_t wanted = round_up(bytes, SIM_PAGE_BYTES);
    if (wanted == range->bytes_open)
        return;
    uint64_t low = smaller(wanted, range->bytes_open);
    uint64_t high = larger(wanted, range->bytes_open);
    int access = wanted > range->bytes_open ? PROT_READ | PROT_WRITE : PROT_NONE;
    if (mprotect(range->bytes + low, high - low, access) != 0)
        sim_panic("mprotect: %s", strerror(errno));
    range->bytes_open = wanted;
}

/* Zeroes [from, to); gives whole pages back where there are many. */
static void clear_range(struct sim_range *range, uint64_t from, uint64_t to) {
    uint64_t first_page = smaller(round_up(from, SIM_PAGE_BYTES), to);
    uint64_t last_page = larger(to / SIM_PAGE_BYTES * SIM_PAGE_BYTES, first_page);
    if (last_page - first_page <= CLEAN_BY_MEMSET_BYTES_MAX) {
        memset(range->bytes + from, 0, to - from);
        return;
    }
    memset(range->bytes + from, 0, first_page - from);
    memset(range->bytes + last_page, 0, to - last_page);
    if (madvise(range->bytes + first_page, last_page - first_page, MADV_DONTNEED) != 0)
        sim_panic("madvise: %s", strerror(errno));
}

/* A stray store may have reached the rest of the last page. */
static void clean_range(struct sim_range *range) {
    open_range(range, range->bytes_max);
    clear_range(range, 0, smaller(round_up(range->bytes_used, SIM_PAGE_BYTES), range->bytes_max));
    range->bytes_used = 0;
}

static void return_range(struct sim_range *range) {
    if (!range)
        return;
    clean_range(range);
    range->orphan = false;
    pthread_mutex_lock(&pool_mutex);
    range->next = pool;
    pool = range;
    pthread_mutex_unlock(&pool_mutex);
}

void sim_range_unmap(struct sim_range *range) {
    range->mappings--;
    if (range->orphan && range->mappings == 0)
        return_range(range);
}

void sim_pool_drain(void) {
    pthread_mutex_lock(&pool_mutex);
    while (pool) {
        struct sim_range *range = pool;
        pool = range->next;
        munmap(range->bytes, range->bytes_max);
        free(range);
    }
    pthread_mutex_unlock(&pool_mutex);
}

/* --- Nodes -------------------------------------------------------------------------------------------------------- */

static struct sim_node *add_node(struct sim_disk *disk, bool is_directory) {
    struct sim_node *node = resize_or_panic(NULL, sizeof *node);
    *node = (struct sim_node){.next = disk->nodes, .is_directory = is_directory};
    disk->nodes = node;
    if (!is_directory) {
        node->range = take_range(disk->file_bytes_max);
        if (disk->guard_pages)
            open_range(node->range, 0);
    }
    return node;
}

void sim_node_reference(struct sim_node *node) {
    if (node)
        node->references++;
}

static void drop_change(struct sim_disk *disk, struct sim_change *change) {
    free(change->from);
    free(change->to);
    sim_node_release(disk, change->node);
}

static void drop_changes(struct sim_disk *disk, struct sim_node *directory) {
    for (size_t index = 0; index < directory->change_count; index++)
        drop_change(disk, &directory->changes[index]);
    directory->change_count = 0;
}

static void drop_range(struct sim_range *range) {
    if (range && range->mappings > 0)
        range->orphan = true;
    else
        return_range(range);
}

static void free_node(struct sim_disk *disk, struct sim_node *node) {
    struct sim_node **link = &disk->nodes;
    while (*link != node)
        link = &(*link)->next;
    *link = node->next;
    drop_changes(disk, node);
    drop_range(node->range);
    free(node->changes);
    free(node->disk);
    free(node->settled);
    free(node);
}

void sim_node_release(struct sim_disk *disk, struct sim_node *node) {
    if (node && --node->references == 0)
        free_node(disk, node);
}

void sim_node_leave_range(struct sim_disk *disk, struct sim_node *node) {
    struct sim_range *old = node->range;
    node->range = take_range(disk->file_bytes_max);
    if (disk->guard_pages)
        open_range(node->range, node->cache_size);
    memcpy(node->range->bytes, old->bytes, node->cache_size);
    node->range->bytes_used = node->cache_size;
    drop_range(old);
}

static bool word_is_zero(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word == 0;
}

/* Bytes after the end that can be looked at: up to where the file once reached, and the rest of its last page. */
void sim_node_check_end(const struct sim_node *node) {
    const struct sim_range *range = node->range;
    uint64_t last_page_end = round_up(node->cache_size, SIM_PAGE_BYTES);
    uint64_t end = smaller(larger(range->bytes_used, last_page_end), range->bytes_open);
    for (uint64_t at = node->cache_size; at < end; at++) {
        if (at % 8 == 0 && end - at >= 8 && word_is_zero(range->bytes + at))
            at += 7;
        else if (range->bytes[at] != 0)
            sim_panic("a store reached offset %llu of a file of %llu bytes", (unsigned long long)at,
                      (unsigned long long)node->cache_size);
    }
}

uint64_t sim_disk_used_bytes(const struct sim_disk *disk) {
    uint64_t used = 0;
    for (const struct sim_node *node = disk->nodes; node; node = node->next)
        used += round_up(node->cache_size, SIM_SECTOR_BYTES);
    return used;
}

uint64_t sim_disk_free_bytes(const struct sim_disk *disk) {
    if (disk->capacity_bytes == 0)
        return UINT64_MAX;
    uint64_t used = sim_disk_used_bytes(disk);
    return used < disk->capacity_bytes ? disk->capacity_bytes - used : 0;
}

int sim_node_resize(struct sim_disk *disk, struct sim_node *node, uint64_t size) {
    if (size > disk->file_bytes_max)
        return EFBIG;
    sim_node_check_end(node);
    struct sim_range *range = node->range;
    uint64_t held = round_up(node->cache_size, SIM_SECTOR_BYTES);
    uint64_t wanted = round_up(size, SIM_SECTOR_BYTES);
    if (wanted > held && wanted - held > sim_disk_free_bytes(disk))
        return ENOSPC;
    if (size < node->cache_size)
        clear_range(range, size, node->cache_size);
    if (disk->guard_pages)
        open_range(range, size);
    node->cache_size = size;
    range->bytes_used = larger(range->bytes_used, size);
    return 0;
}

/* --- Sectors ------------------------------------------------------------------------------------------------------ */

static void grow_image(uint8_t **image, uint64_t old_room, uint64_t room) {
    *image = resize_or_panic(*image, room);
    memset(*image + old_room, 0, room - old_room);
}

static void ensure_disk_room(struct sim_node *node, uint64_t size) {
    uint64_t room = round_up(size, SIM_SECTOR_BYTES);
    if (room <= node->disk_room)
        return;
    room = smaller(larger(room, node->disk_room * 2), node->range->bytes_max);
    grow_image(&node->disk, node->disk_room, room);
    if (node->settled)
        grow_image(&node->settled, node->disk_room, room);
    node->disk_room = room;
}

static uint64_t count_sectors(const struct sim_node *node) {
    return round_up(node->cache_size, SIM_SECTOR_BYTES) / SIM_SECTOR_BYTES;
}

/* Needs disk_room for the whole cache. */
static bool sector_is_dirty(const struct sim_node *node, uint64_t sector) {
    const uint8_t *settled = node->settled ? node->settled : node->disk;
    uint64_t at = sector * SIM_SECTOR_BYTES;
    return memcmp(node->range->bytes + at, settled + at, SIM_SECTOR_BYTES) != 0;
}

/* The numbers of the dirty sectors, ascending; the caller frees *out_sectors, which is NULL when there are none. */
static size_t list_dirty(struct sim_node *node, uint64_t **out_sectors) {
    uint64_t *sectors = NULL;
    size_t count = 0;
    size_t room = 0;
    ensure_disk_room(node, node->cache_size);
    for (uint64_t sector = 0; sector < count_sectors(node); sector++) {
        if (!sector_is_dirty(node, sector))
            continue;
        if (count == room) {
            room = room ? room * 2 : 64;
            sectors = resize_or_panic(sectors, room * sizeof *sectors);
        }
        sectors[count++] = sector;
    }
    *out_sectors = sectors;
    return count;
}

static void settle_sector(struct sim_node *node, uint64_t sector) {
    uint64_t at = sector * SIM_SECTOR_BYTES;
    if (node->settled)
        memcpy(node->settled + at, node->range->bytes + at, SIM_SECTOR_BYTES);
    node->settled_size = larger(node->settled_size, smaller(node->cache_size, at + SIM_SECTOR_BYTES));
}

/* A sector that reaches the disk past its end takes the size along; the sectors between are zeros (I2). */
static void write_sector(struct sim_node *node, uint64_t sector) {
    uint64_t at = sector * SIM_SECTOR_BYTES;
    memcpy(node->disk + at, node->range->bytes + at, SIM_SECTOR_BYTES);
    node->disk_size = larger(node->disk_size, smaller(node->cache_size, at + SIM_SECTOR_BYTES));
    settle_sector(node, sector);
}

static void set_disk_size(struct sim_node *node, uint64_t size) {
    ensure_disk_room(node, size);
    if (size < node->disk_size)
        memset(node->disk + size, 0, node->disk_size - size);
    if (node->settled && size < node->settled_size)
        memset(node->settled + size, 0, node->settled_size - size);
    node->disk_size = size;
    node->settled_size = size;
}

static bool size_is_dirty(const struct sim_node *node) {
    return node->cache_size != node->settled_size;
}

void sim_node_sync(struct sim_node *node) {
    sim_node_check_end(node);
    bool sized = size_is_dirty(node);
    ensure_disk_room(node, node->cache_size);
    for (uint64_t sector = 0; sector < count_sectors(node); sector++)
        if (sector_is_dirty(node, sector))
            write_sector(node, sector);
    if (sized)
        set_disk_size(node, node->cache_size);
}

void sim_node_rewritten(struct sim_node *node, uint64_t offset, uint64_t size) {
    if (!node->settled || size == 0)
        return;
    ensure_disk_room(node, node->cache_size);
    uint64_t from = offset / SIM_SECTOR_BYTES * SIM_SECTOR_BYTES;
    uint64_t to = round_up(offset + size, SIM_SECTOR_BYTES);
    memcpy(node->settled + from, node->disk + from, to - from);
}

void sim_node_resized(struct sim_node *node) {
    node->settled_size = node->disk_size;
}

/* From here on the kernel's belief and the disk differ: settled gets bytes of its own. */
static void part_settled_from_disk(struct sim_node *node) {
    if (node->settled)
        return;
    ensure_disk_room(node, larger(node->cache_size, 1));
    node->settled = resize_or_panic(NULL, node->disk_room);
    memcpy(node->settled, node->disk, node->disk_room);
}

void sim_node_sync_failed(struct sim_disk *disk, struct sim_node *node) {
    sim_node_check_end(node);
    part_settled_from_disk(node);
    bool sized = size_is_dirty(node);
    uint64_t *sectors;
    size_t count = list_dirty(node, &sectors);
    for (size_t index = 0; index < count; index++) {
        if (test_random_one_in(&disk->random, 2))
            write_sector(node, sectors[index]);
        else
            settle_sector(node, sectors[index]);
    }
    free(sectors);
    if (sized && test_random_one_in(&disk->random, 2))
        set_disk_size(node, node->cache_size);
    if (node->cache_size < node->settled_size)
        memset(node->settled + node->cache_size, 0, node->settled_size - node->cache_size);
    node->settled_size = node->cache_size;
}

/* --- Paths and names ---------------------------------------------------------------------------------------------- */

static size_t drop_last_component(const char *buffer, size_t length) {
    while (length > 0 && buffer[--length] != '/')
        ;
    return length;
}

bool sim_path_normalise(const char *path, char *buffer, size_t size) {
    size_t length = 0;
    while (*path) {
        size_t part = strcspn(path, "/");
        if (part == 2 && memcmp(path, "..", 2) == 0) {
            length = drop_last_component(buffer, length);
        } else if (part > 0 && !(part == 1 && *path == '.')) {
            if (length + part + 2 > size)
                return false;
            buffer[length++] = '/';
            memcpy(buffer + length, path, part);
            length += part;
        }
        path += part;
        path += *path == '/';
    }
    if (length == 0)
        buffer[length++] = '/';
    buffer[length] = '\0';
    return true;
}

static struct sim_name *find_name(const struct sim_disk *disk, const char *path) {
    for (size_t index = 0; index < disk->name_count; index++)
        if (strcmp(disk->names[index].path, path) == 0)
            return &disk->names[index];
    return NULL;
}

static struct sim_name *find_or_add_name(struct sim_disk *disk, const char *path) {
    struct sim_name *name = find_name(disk, path);
    if (name)
        return name;
    if (disk->name_count == disk->name_room) {
        disk->name_room = disk->name_room ? disk->name_room * 2 : 16;
        disk->names = resize_or_panic(disk->names, disk->name_room * sizeof *disk->names);
    }
    name = &disk->names[disk->name_count++];
    *name = (struct sim_name){.path = copy_text(path)};
    return name;
}

/* The new meaning is referenced before the old one is let go: they may be the same node. */
static void set_meaning(struct sim_disk *disk, struct sim_node **meaning, struct sim_node *node) {
    struct sim_node *old = *meaning;
    sim_node_reference(node);
    *meaning = node;
    sim_node_release(disk, old);
}

static void set_cache_name(struct sim_disk *disk, const char *path, struct sim_node *node) {
    set_meaning(disk, &find_or_add_name(disk, path)->cache, node);
}

static void set_disk_name(struct sim_disk *disk, const char *path, struct sim_node *node) {
    set_meaning(disk, &find_or_add_name(disk, path)->disk, node);
}

static void forget_dead_names(struct sim_disk *disk) {
    size_t kept = 0;
    for (size_t index = 0; index < disk->name_count; index++) {
        struct sim_name name = disk->names[index];
        if (name.cache || name.disk)
            disk->names[kept++] = name;
        else
            free(name.path);
    }
    disk->name_count = kept;
}

struct sim_node *sim_disk_find(const struct sim_disk *disk, const char *path) {
    struct sim_name *name = find_name(disk, path);
    return name ? name->cache : NULL;
}

struct sim_node *sim_disk_find_durable(const struct sim_disk *disk, const char *path) {
    struct sim_name *name = find_name(disk, path);
    return name && name->disk && !name->disk->is_directory ? name->disk : NULL;
}

static struct sim_name *find_parent_name(const struct sim_disk *disk, const char *path) {
    char parent[TEST_PATH_SIZE];
    size_t length = drop_last_component(path, strlen(path));
    if (length == 0)
        length = 1; /* the root's own slash */
    memcpy(parent, path, length);
    parent[length] = '\0';
    return find_name(disk, parent);
}

int sim_disk_find_parent(const struct sim_disk *disk, const char *path, struct sim_node **out_parent) {
    struct sim_name *name = find_parent_name(disk, path);
    if (!name || !name->cache)
        return ENOENT;
    if (!name->cache->is_directory)
        return ENOTDIR;
    *out_parent = name->cache;
    return 0;
}

static void record_change(struct sim_node *directory, enum sim_change_kind kind, const char *from, const char *to,
                          struct sim_node *node) {
    if (directory->change_count == directory->change_room) {
        directory->change_room = directory->change_room ? directory->change_room * 2 : 8;
        directory->changes = resize_or_panic(directory->changes, directory->change_room * sizeof *directory->changes);
    }
    sim_node_reference(node);
    directory->changes[directory->change_count++] = (struct sim_change){
        .kind = kind, .from = from ? copy_text(from) : NULL, .to = to ? copy_text(to) : NULL, .node = node};
}

struct sim_node *sim_disk_create(struct sim_disk *disk, struct sim_node *parent, const char *path, bool is_directory) {
    struct sim_node *node = add_node(disk, is_directory);
    set_cache_name(disk, path, node);
    record_change(parent, SIM_CREATE, NULL, path, node);
    return node;
}

void sim_disk_rename(struct sim_disk *disk, struct sim_node *parent, const char *from, const char *to) {
    struct sim_node *node = sim_disk_find(disk, from);
    if (strcmp(from, to) == 0)
        return;
    record_change(parent, SIM_RENAME, from, to, node);
    set_cache_name(disk, to, node);
    set_cache_name(disk, from, NULL);
}

void sim_disk_remove(struct sim_disk *disk, struct sim_node *parent, const char *path) {
    record_change(parent, SIM_REMOVE, path, NULL, NULL);
    set_cache_name(disk, path, NULL);
}

static void apply_change(struct sim_disk *disk, const struct sim_change *change) {
    if (change->from)
        set_disk_name(disk, change->from, NULL);
    if (change->to)
        set_disk_name(disk, change->to, change->node);
}

/* Applies the first count changes and forgets them. */
static void apply_first_changes(struct sim_disk *disk, struct sim_node *directory, size_t count) {
    for (size_t index = 0; index < count; index++) {
        apply_change(disk, &directory->changes[index]);
        drop_change(disk, &directory->changes[index]);
    }
    directory->change_count -= count;
    if (directory->change_count > 0)
        memmove(directory->changes, directory->changes + count, directory->change_count * sizeof *directory->changes);
}

void sim_directory_sync(struct sim_disk *disk, struct sim_node *directory) {
    apply_first_changes(disk, directory, directory->change_count);
    forget_dead_names(disk);
}

static bool same_name(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

static bool changes_share_name(const struct sim_change *a, const struct sim_change *b) {
    return same_name(a->from, b->from) || same_name(a->from, b->to) || same_name(a->to, b->from) ||
           same_name(a->to, b->to);
}

/* A coin for each change; but one that depends on a lost one, by a name, is lost as well. */
static void apply_random_changes(struct sim_disk *disk, struct sim_node *directory, struct test_random *random) {
    size_t count = directory->change_count;
    bool *lost = resize_or_panic(NULL, count + 1);
    for (size_t index = 0; index < count; index++) {
        lost[index] = test_random_one_in(random, 2);
        for (size_t earlier = 0; earlier < index && !lost[index]; earlier++)
            lost[index] = lost[earlier] && changes_share_name(&directory->changes[earlier], &directory->changes[index]);
        if (!lost[index])
            apply_change(disk, &directory->changes[index]);
    }
    free(lost);
    drop_changes(disk, directory);
}

void sim_directory_sync_failed(struct sim_disk *disk, struct sim_node *directory) {
    apply_first_changes(disk, directory, (size_t)test_random_below(&disk->random, directory->change_count + 1));
    forget_dead_names(disk);
}

/* --- Write-back and the power cut --------------------------------------------------------------------------------- */

enum keep_policy {
    KEEP_NONE = 0,
    KEEP_ALL = 1,
    KEEP_HALF = 2,
    KEEP_PREFIX = 3,
    KEEP_SUFFIX = 4,
    KEEP_ONE = 5,
    KEEP_POLICY_COUNT = 6
};

static bool policy_keeps(enum keep_policy policy, size_t index, size_t pivot, struct test_random *random) {
    switch (policy) {
    case KEEP_NONE: return false;
    case KEEP_ALL: return true;
    case KEEP_HALF: return test_random_one_in(random, 2);
    case KEEP_PREFIX: return index < pivot;
    case KEEP_SUFFIX: return index >= pivot;
    case KEEP_ONE: return index == pivot;
    default: sim_panic("no such policy: %d", (int)policy);
    }
}

static void write_kept_sectors(struct sim_node *node, enum keep_policy policy, struct test_random *random) {
    uint64_t *sectors;
    size_t count = list_dirty(node, &sectors);
    size_t pivot = count ? (size_t)test_random_below(random, count) : 0;
    for (size_t index = 0; index < count; index++)
        if (policy_keeps(policy, index, pivot, random))
            write_sector(node, sectors[index]);
    free(sectors);
}

static struct sim_node *pick_node(struct sim_disk *disk) {
    uint64_t count = 0;
    for (struct sim_node *node = disk->nodes; node; node = node->next)
        count++;
    uint64_t place = test_random_below(&disk->random, count);
    struct sim_node *node = disk->nodes;
    while (place-- > 0)
        node = node->next;
    return node;
}

void sim_disk_write_back(struct sim_disk *disk) {
    struct sim_node *node = pick_node(disk);
    if (node->is_directory) {
        apply_first_changes(disk, node, (size_t)test_random_below(&disk->random, node->change_count + 1));
        return;
    }
    enum keep_policy policy = (enum keep_policy)test_random_below(&disk->random, KEEP_POLICY_COUNT);
    write_kept_sectors(node, policy, &disk->random);
    if (node->cache_size < node->settled_size && test_random_one_in(&disk->random, 4))
        set_disk_size(node, node->cache_size);
}

static uint64_t pick_crash_size(const struct sim_node *node, uint64_t old_size, enum keep_policy policy,
                                struct test_random *random) {
    if (policy == KEEP_NONE)
        return old_size;
    if (policy == KEEP_ALL)
        return node->cache_size;
    switch (test_random_below(random, 3)) {
    case 0: return old_size;
    case 1: return node->cache_size;
    default: /* growth may end anywhere; a cut has happened or not */
        return node->cache_size > old_size ? test_random_between(random, old_size, node->cache_size) : old_size;
    }
}

static void crash_file(struct sim_disk *disk, struct sim_node *node, enum keep_policy policy,
                       struct test_random *random) {
    sim_node_check_end(node);
    bool sized = size_is_dirty(node);
    uint64_t old_size = node->disk_size;
    write_kept_sectors(node, policy, random);
    if (sized)
        set_disk_size(node, pick_crash_size(node, old_size, policy, random));
    free(node->settled);
    node->settled = NULL;
    node->settled_size = node->disk_size;
    node->lock_owner = NULL;
    if (node->range->mappings > 0)
        sim_node_leave_range(disk, node);
    if (disk->guard_pages)
        open_range(node->range, larger(node->cache_size, node->disk_size));
    if (node->cache_size > node->disk_size)
        clear_range(node->range, node->disk_size, node->cache_size);
    if (node->disk_size > 0)
        memcpy(node->range->bytes, node->disk, node->disk_size);
    node->cache_size = node->disk_size;
    node->range->bytes_used = larger(node->range->bytes_used, node->cache_size);
    if (disk->guard_pages)
        open_range(node->range, node->cache_size);
}

static void crash_directory(struct sim_disk *disk, struct sim_node *directory, struct test_random *random) {
    if (test_random_one_in(random, 2))
        apply_random_changes(disk, directory, random);
    apply_first_changes(disk, directory, (size_t)test_random_below(random, directory->change_count + 1));
    drop_changes(disk, directory);
}

static bool parent_is_lost(const struct sim_disk *disk, const struct sim_name *name) {
    struct sim_name *parent = find_parent_name(disk, name->path);
    return !parent || !parent->disk || !parent->disk->is_directory;
}

/* Takes names off the disk whose directory is not there, until none is left, however deep. */
static void lose_unreachable_names(struct sim_disk *disk) {
    bool again = true;
    while (again) {
        again = false;
        for (size_t index = 0; index < disk->name_count; index++) {
            struct sim_name *name = &disk->names[index];
            if (!name->disk || !parent_is_lost(disk, name))
                continue;
            set_meaning(disk, &name->disk, NULL);
            again = true;
        }
    }
}

void sim_disk_crash(struct sim_disk *disk, uint64_t seed) {
    struct test_random random = test_random_init(seed);
    bool mixed = test_random_one_in(&random, 4);
    enum keep_policy policy = (enum keep_policy)test_random_below(&random, KEEP_POLICY_COUNT);
    for (struct sim_node *node = disk->nodes; node; node = node->next) {
        if (mixed)
            policy = (enum keep_policy)test_random_below(&random, KEEP_POLICY_COUNT);
        if (!node->is_directory)
            crash_file(disk, node, policy, &random);
    }
    for (size_t index = 0; index < disk->name_count; index++)
        if (disk->names[index].cache && disk->names[index].cache->is_directory)
            crash_directory(disk, disk->names[index].cache, &random);
    lose_unreachable_names(disk);
    for (size_t index = 0; index < disk->name_count; index++)
        set_meaning(disk, &disk->names[index].cache, disk->names[index].disk);
    forget_dead_names(disk);
}

/* --- The disk as a whole ------------------------------------------------------------------------------------------ */

static void init_empty(struct sim_disk *disk, uint64_t seed, uint64_t file_bytes_max, bool guard_pages) {
    *disk = (struct sim_disk){.file_bytes_max = round_up(file_bytes_max, SIM_PAGE_BYTES),
                              .guard_pages = guard_pages,
                              .random = test_random_init(seed)};
}

void sim_disk_init(struct sim_disk *disk, uint64_t seed, uint64_t file_bytes_max, bool guard_pages) {
    init_empty(disk, seed, file_bytes_max, guard_pages);
    disk->root = add_node(disk, true);
    set_cache_name(disk, "/", disk->root);
    set_disk_name(disk, "/", disk->root);
}

/* Names hold nodes, and a directory's changes hold more: with the names gone and every list dropped, what is left is
 * held by handles the caller has already freed. */
void sim_disk_deinit(struct sim_disk *disk) {
    for (struct sim_node *node = disk->nodes; node; node = node->next)
        node->references++; /* nothing may vanish while the list is walked */
    for (struct sim_node *node = disk->nodes; node; node = node->next)
        drop_changes(disk, node);
    for (size_t index = 0; index < disk->name_count; index++)
        free(disk->names[index].path);
    free(disk->names);
    while (disk->nodes)
        free_node(disk, disk->nodes);
    *disk = (struct sim_disk){0};
}

static uint8_t *copy_image(const uint8_t *image, uint64_t room) {
    return image ? memcpy(resize_or_panic(NULL, room), image, room) : NULL;
}

static void clone_file(struct sim_disk *disk, const struct sim_node *from, struct sim_node *to) {
    if (disk->guard_pages)
        open_range(to->range, from->cache_size);
    memcpy(to->range->bytes, from->range->bytes, from->cache_size);
    to->range->bytes_used = from->cache_size;
    to->cache_size = from->cache_size;
    to->disk_size = from->disk_size;
    to->settled_size = from->settled_size;
    to->disk_room = from->disk_room;
    to->disk = copy_image(from->disk, from->disk_room);
    to->settled = copy_image(from->settled, from->disk_room);
}

void sim_disk_clone(const struct sim_disk *disk, uint64_t seed, struct sim_disk *out_disk) {
    init_empty(out_disk, seed, disk->file_bytes_max, disk->guard_pages);
    out_disk->capacity_bytes = disk->capacity_bytes;
    for (struct sim_node *node = disk->nodes; node; node = node->next) {
        node->clone = add_node(out_disk, node->is_directory);
        if (!node->is_directory)
            clone_file(out_disk, node, node->clone);
    }
    out_disk->root = disk->root->clone;
    for (struct sim_node *node = disk->nodes; node; node = node->next)
        for (size_t index = 0; index < node->change_count; index++) {
            const struct sim_change *change = &node->changes[index];
            record_change(node->clone, change->kind, change->from, change->to,
                          change->node ? change->node->clone : NULL);
        }
    for (size_t index = 0; index < disk->name_count; index++) {
        const struct sim_name *name = &disk->names[index];
        set_cache_name(out_disk, name->path, name->cache ? name->cache->clone : NULL);
        set_disk_name(out_disk, name->path, name->disk ? name->disk->clone : NULL);
    }
}

void sim_node_set_bytes(struct sim_disk *disk, struct sim_node *node, const void *bytes, uint64_t size) {
    int failed = sim_node_resize(disk, node, size);
    if (failed)
        sim_panic("cannot give a file %llu bytes: %s", (unsigned long long)size, strerror(failed));
    if (size > 0)
        memcpy(node->range->bytes, bytes, size);
    set_disk_size(node, 0);
    sim_node_sync(node);
}

bool sim_node_flip(struct sim_node *node, uint64_t offset, uint8_t mask) {
    if (offset >= node->cache_size)
        return false;
    node->range->bytes[offset] ^= mask;
    if (offset < node->disk_size)
        node->disk[offset] ^= mask;
    if (node->settled && offset < node->settled_size)
        node->settled[offset] ^= mask;
    return true;
}
