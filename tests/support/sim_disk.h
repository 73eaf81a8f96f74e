/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The disk of os_sim: what a page cache shows and what a power cut leaves. sim_disk.c explains the model.
 *
 * For os_sim.c, which adds processes, faults and the method table; tests use os_sim.h.
 *
 * Thread rule: the caller holds the simulation's mutex. Only the pool of address ranges, shared by all simulations,
 * has a lock of its own.
 */
#ifndef FBAT_TESTS_SUPPORT_SIM_DISK_H
#define FBAT_TESTS_SUPPORT_SIM_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "test.h"

#define SIM_SECTOR_BYTES 512u /* a sector reaches the disk whole or not at all */
#define SIM_PAGE_BYTES 4096u

/* The address range that holds a file's cache bytes. Mappings are pointers into it, so it never moves. Bytes at and
 * after the file's size are zero: whoever stores there has written past the end of the file. */
struct sim_range {
    struct sim_range *next; /* in the pool */
    uint8_t *bytes;
    uint64_t bytes_max;  /* reserved */
    uint64_t bytes_used; /* no byte at or after this was ever part of the file since the range was last cleaned */
    uint64_t bytes_open; /* with guard pages: accessible; else bytes_max */
    uint32_t mappings;   /* live mappings of it */
    bool orphan;         /* its file has moved on to another range; only dead mappings look at this one */
};

enum sim_change_kind { SIM_CREATE = 1, SIM_REMOVE = 2, SIM_RENAME = 3 };

/* A change of a directory that a power cut may still lose. */
struct sim_change {
    enum sim_change_kind kind;
    char *from;            /* SIM_REMOVE, SIM_RENAME: the name that goes; else NULL */
    char *to;              /* SIM_CREATE, SIM_RENAME: the name that comes; else NULL */
    struct sim_node *node; /* what `to` names, referenced; else NULL */
};

/* A file or a directory. Lives as long as a name, a pending change, a handle or a mapping refers to it. */
struct sim_node {
    struct sim_node *next; /* of all nodes of the disk */
    uint32_t references;
    bool is_directory;

    /* A file: three images of its bytes. */
    struct sim_range *range; /* the cache: what reads and mappings see */
    uint64_t cache_size;
    uint8_t *disk; /* what a power cut leaves; bytes at and after disk_size are zero */
    uint64_t disk_size;
    uint8_t *settled;      /* what the kernel believes to be on disk; NULL while it is right, i.e. equal to disk */
    uint64_t settled_size; /* likewise for the size */
    uint64_t disk_room;    /* bytes at disk and, where it is there, at settled; a multiple of the sector */

    /* A directory: what happened to its names since its last sync, oldest first. */
    struct sim_change *changes;
    size_t change_count;
    size_t change_room;

    const void *lock_owner; /* the handle that holds the lock, or NULL */
    int64_t lock_pid;
    struct sim_node *clone; /* during sim_disk_clone: the copy */
};

/* A name: what it means now, and what it means after a power cut. */
struct sim_name {
    char *path;             /* normalised, absolute */
    struct sim_node *cache; /* NULL: not there */
    struct sim_node *disk;
};

struct sim_disk {
    struct sim_node *nodes;
    struct sim_node *root;
    struct sim_name *names;
    size_t name_count;
    size_t name_room;
    uint64_t file_bytes_max;
    uint64_t capacity_bytes; /* 0: no limit */
    bool guard_pages;
    struct test_random random; /* decides write-back and the fate of what a failed sync covered */
};

/* Says what is wrong and aborts: the code under test broke a rule of os.h. */
_Noreturn void sim_panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory for the simulation itself, from the system; panics without. */
void *sim_allocate(size_t size);

void sim_disk_init(struct sim_disk *disk, uint64_t seed, uint64_t file_bytes_max, bool guard_pages);
void sim_disk_deinit(struct sim_disk *disk);

/* A copy of everything but handles, mappings and locks. */
void sim_disk_clone(const struct sim_disk *disk, uint64_t seed, struct sim_disk *out_disk);

/* Paths. sim_path_normalise makes path absolute, without "." and ".." and doubled slashes; false: too long. */
bool sim_path_normalise(const char *path, char *buffer, size_t size);
struct sim_node *sim_disk_find(const struct sim_disk *disk, const char *path);
/* What the path will name after a power cut that loses every pending change; NULL: no file. */
struct sim_node *sim_disk_find_durable(const struct sim_disk *disk, const char *path);
/* The directory a path lies in; 0, ENOENT or ENOTDIR. */
int sim_disk_find_parent(const struct sim_disk *disk, const char *path, struct sim_node **out_parent);

/* Names, in the cache; each leaves a change pending in parent. The caller has checked that it makes sense. */
struct sim_node *sim_disk_create(struct sim_disk *disk, struct sim_node *parent, const char *path, bool is_directory);
void sim_disk_rename(struct sim_disk *disk, struct sim_node *parent, const char *from, const char *to);
void sim_disk_remove(struct sim_disk *disk, struct sim_node *parent, const char *path);

void sim_node_reference(struct sim_node *node);
void sim_node_release(struct sim_disk *disk, struct sim_node *node);

/* Sizes. ENOSPC over the capacity, EFBIG over file_bytes_max. */
int sim_node_resize(struct sim_disk *disk, struct sim_node *node, uint64_t size);
uint64_t sim_disk_used_bytes(const struct sim_disk *disk);
/* Space left under the capacity; UINT64_MAX without one. */
uint64_t sim_disk_free_bytes(const struct sim_disk *disk);

/* The program has written [offset, offset + size), or has set the size again, be it to what it was: what a failed
 * sync had marked clean there is dirty again. */
void sim_node_rewritten(struct sim_node *node, uint64_t offset, uint64_t size);
void sim_node_resized(struct sim_node *node);

/* Panics when a byte after the end of the file is not zero. */
void sim_node_check_end(const struct sim_node *node);

/* Sync: all of it reaches the disk; or, failed, some of it does, and the kernel forgets about the rest of a file and
 * goes on with the rest of a directory. */
void sim_node_sync(struct sim_node *node);
void sim_node_sync_failed(struct sim_disk *disk, struct sim_node *node);
void sim_directory_sync(struct sim_disk *disk, struct sim_node *directory);
void sim_directory_sync_failed(struct sim_disk *disk, struct sim_node *directory);

/* The kernel's own write-back: something somewhere reaches the disk. */
void sim_disk_write_back(struct sim_disk *disk);

/* Power cut: the seed decides what of the unsynced is on disk; the cache is then what the disk says. */
void sim_disk_crash(struct sim_disk *disk, uint64_t seed);

/* Moves a mapped file to a new range, leaving its mappings behind with the old bytes. */
void sim_node_leave_range(struct sim_disk *disk, struct sim_node *node);
/* Ends one mapping of a range; an orphan goes back to the pool with its last one. */
void sim_range_unmap(struct sim_range *range);

/* Replaces the bytes of a file, in the cache and on disk. */
void sim_node_set_bytes(struct sim_disk *disk, struct sim_node *node, const void *bytes, uint64_t size);

/* Flips bits of one byte in every image that has it; false when the cache has not. */
bool sim_node_flip(struct sim_node *node, uint64_t offset, uint8_t mask);

/* Frees the ranges kept for reuse; for leak checkers, at exit. */
void sim_pool_drain(void);

#endif
