/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operating system behind one table of methods: files, maps, locks, clock, randomness, threads.
 *
 * Everything the store does outside its own memory goes through an `os`, so that a second implementation
 * (tests/support/os_sim) can crash, tear, reorder and fail it. Rules for both:
 *
 *   - Functions return 0 or a positive errno value. Outputs come last and are untouched on failure.
 *   - Offsets and sizes are uint64_t; off_t, time_t and their kind stay inside the implementation.
 *   - Reads and writes are whole: a short transfer is completed or is an error. read_at past the end is ENODATA.
 *   - A mapping and read_at/write_at of the same file see the same bytes (one page cache).
 *   - What is durable when: bytes and size of a file after file_sync; a name (create, rename, remove) after dir_sync of
 *     its directory. Nothing else is promised across a power cut.
 *   - No method retries a failed sync.
 *
 * Thread rule: every method may be called from any thread. A file is closed once, after its last use.
 */
#ifndef FBAT_OS_OS_H
#define FBAT_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct os;
struct os_file; /* an open file; each implementation has its own */

enum os_open_mode {
    OS_OPEN_READ = 0,       /* must exist; reading only */
    OS_OPEN_WRITE = 1,      /* must exist; reading and writing */
    OS_OPEN_CREATE = 2,     /* created or opened; reading and writing */
    OS_OPEN_CREATE_NEW = 3, /* must not exist (EEXIST); reading and writing */
    OS_OPEN_TRUNCATE = 4    /* created, or emptied; reading and writing */
};

enum os_sync_mode { OS_SYNC_ALL = 0, OS_SYNC_DATA = 1 };

enum os_path_kind { OS_PATH_NONE = 0, OS_PATH_FILE = 1, OS_PATH_DIRECTORY = 2, OS_PATH_OTHER = 3 };

/* Called for each name in a directory but "." and ".."; a non-zero answer stops and is the result. */
typedef int (*os_name_fn)(void *user, const char *name);

struct os_methods {
    /* Files. A symbolic link as the last part of path is refused with ELOOP. */
    int (*file_open)(struct os *os, const char *path, enum os_open_mode mode, struct os_file **out_file);
    void (*file_close)(struct os *os, struct os_file *file);
    int (*file_read_at)(struct os *os, struct os_file *file, void *buffer, size_t size, uint64_t offset);
    int (*file_write_at)(struct os *os, struct os_file *file, const void *buffer, size_t size, uint64_t offset);
    int (*file_size)(struct os *os, struct os_file *file, uint64_t *out_size);
    /* Blocks allocated on disk, in bytes. */
    int (*file_allocated)(struct os *os, struct os_file *file, uint64_t *out_size);
    /* Cuts or extends (with zeros) to size. */
    int (*file_truncate)(struct os *os, struct os_file *file, uint64_t size);
    /* Reserves blocks for [0, size) and extends the file to size with zeros: stores into a mapping of that range cannot
     * run out of space afterwards. EOPNOTSUPP where the file system cannot promise that. */
    int (*file_allocate)(struct os *os, struct os_file *file, uint64_t size);
    int (*file_sync)(struct os *os, struct os_file *file, enum os_sync_mode mode);

    /* Maps [0, size), shared. size may lie past the end of the file, but only bytes within the file may be touched;
     * the address stays as the file grows into the mapping. */
    int (*file_map)(struct os *os, struct os_file *file, uint64_t size, bool writable, void **out_address);
    void (*file_unmap)(struct os *os, void *address, uint64_t size);
    /* Makes the pages of [address, address + size) present and writable, as a hint. */
    void (*map_populate)(struct os *os, void *address, uint64_t size);

    /* A hint before a sync: nobody is about to store into these whole pages. They may be taken out of the page table (their
     * bytes stay in the page cache), so that the sync need not write-protect them one by one. */
    void (*map_settle)(struct os *os, void *address, uint64_t size);

    /* The writer's lock on a file: dies with the process, not inherited by a child, one holder per file even within
     * one process. EWOULDBLOCK when held; *out_holder_pid is then the holder, 0 if unknown. */
    int (*file_lock)(struct os *os, struct os_file *file, int64_t *out_holder_pid);
    void (*file_unlock)(struct os *os, struct os_file *file);
    /* Who holds the lock of a file open in any mode: 0 nobody, > 0 a process, -1 somebody unknown. */
    int64_t (*file_lock_holder)(struct os *os, struct os_file *file);

    /* Names. */
    int (*path_kind)(struct os *os, const char *path, enum os_path_kind *out_kind);
    int (*dir_create)(struct os *os, const char *path); /* EEXIST when it is there */
    int (*dir_list)(struct os *os, const char *path, os_name_fn visit, void *user);
    int (*dir_sync)(struct os *os, const char *path);
    int (*path_rename)(struct os *os, const char *from, const char *to); /* replaces to */
    int (*path_remove)(struct os *os, const char *path);                 /* a file */

    /* The one absolute path, without links, of what is there, zero-terminated. ERANGE when it has size bytes or more; EOPNOTSUPP: this os has
     * none. */
    int (*path_resolve)(struct os *os, const char *path, char *out_path, size_t size);

    /* The process's current directory, absolute, zero-terminated. ERANGE when it has size bytes or more. */
    int (*dir_current)(struct os *os, char *out_path, size_t size);

    /* Times: since the epoch, may jump; and monotonic, for durations only. Microseconds. */
    int64_t (*clock_us)(struct os *os);
    uint64_t (*monotonic_us)(struct os *os);

    /* Unpredictable bytes. */
    int (*random)(struct os *os, void *buffer, size_t size);

    int64_t (*process_id)(struct os *os);

    /* A descriptor for poll() and its kind, which is readable from event_signal to event_clear. EMFILE, ENFILE: none is
     * left; EOPNOTSUPP: this os has none. */
    int (*event_create)(struct os *os, int *out_fd);
    void (*event_signal)(struct os *os, int fd);
    void (*event_clear)(struct os *os, int fd); /* readable no more, before the next event_signal */
    void (*event_close)(struct os *os, int fd);

    /* Starts a thread; stack_size 0 is the system's. EOPNOTSUPP: this os has none, and the caller does the work
     * inline. thread_join waits for it. */
    int (*thread_start)(struct os *os, uint64_t stack_size, void (*main)(void *user), void *user, void **out_thread);
    void (*thread_join)(struct os *os, void *thread);
};

/* An implementation embeds this as its first member. */
struct os {
    const struct os_methods *methods;
};

/* The real one. Static, never freed. */
struct os *os_posix(void);

#endif
