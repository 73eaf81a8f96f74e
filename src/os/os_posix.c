/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/ on POSIX, as Linux does it.
 *
 * The writer's lock is a POSIX record lock (fcntl F_SETLK), chosen over flock and open-file-description locks because
 * it belongs to the process: it ends when the process does, a forked child neither inherits it nor prolongs it, and
 * the kernel itself says who holds it. It has two known weaknesses, and a list of the files locked in this process
 * covers both: two opens in one process do not exclude each other (the list does), and closing any descriptor of the
 * file drops the lock (so while it is held, opening the file again shares the descriptor that there is; one opened just
 * before the lock was taken is parked at its close, and closed when the lock is given up).
 *
 * Thread rule: every method from any thread; the list of locks has its own mutex.
 *
 * I1: a file with owner == getpid() is in the list of locks exactly while this process holds the record lock on it. A
 *     forked child inherits the list, but as entries of another owner, which count for nothing there.
 * I2: while a file is in the list, no descriptor of its inode that went through here is closed.
 */
#include "os/os.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

struct descriptor {
    int number;
    unsigned users; /* open files that share it; guarded by locks_mutex */
};

struct os_file {
    struct descriptor *descriptor;
    struct os_file *next;   /* in the list of locks, or of files parked; guarded by locks_mutex, like all below */
    struct os_file *parked; /* closed by their users while this one holds the lock of their inode */
    pid_t owner;            /* while in the list of locks: the process that took the lock */
    dev_t device;
    ino_t inode;
};

static_assert(sizeof(off_t) == 8, "files may be larger than 2 GiB");

static pthread_mutex_t locks_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct os_file *locks_first;

/* EINTR is not an outcome anyone above wants to know of. */
#define RETRY_ON_SIGNAL(result, call)                                                                                  \
    do {                                                                                                               \
        (result) = (call);                                                                                             \
    } while ((result) < 0 && errno == EINTR)

/* Under locks_mutex: the entry of this process for an inode, or NULL. */
static struct os_file *find_lock(const struct stat *status) {
    pid_t self = getpid();
    for (struct os_file *file = locks_first; file; file = file->next)
        if (file->owner == self && file->device == status->st_dev && file->inode == status->st_ino)
            return file;
    return NULL;
}

/* Frees the file, and its descriptor with the last user. Under locks_mutex. */
static void drop_file(struct os_file *file) {
    if (--file->descriptor->users == 0) {
        close(file->descriptor->number);
        memory_free(file->descriptor);
    }
    memory_free(file);
}

/* A file of a new descriptor, which is not open yet. */
static struct os_file *allocate_file(void) {
    struct os_file *file = memory_allocate_zero(sizeof *file);
    struct descriptor *descriptor = file ? memory_allocate_zero(sizeof *descriptor) : NULL;
    if (!descriptor) {
        memory_free(file);
        return NULL;
    }
    descriptor->users = 1;
    file->descriptor = descriptor;
    return file;
}

/* Opens a file whose inode is locked here, on the descriptor that holds the lock. False when it is not. */
static bool open_shared(const char *path, struct os_file *file) {
    struct stat status;
    bool shared = false;
    pthread_mutex_lock(&locks_mutex);
    struct os_file *holder = locks_first && lstat(path, &status) == 0 ? find_lock(&status) : NULL;
    if (holder) {
        memory_free(file->descriptor);
        file->descriptor = holder->descriptor;
        file->descriptor->users++;
        shared = true;
    }
    pthread_mutex_unlock(&locks_mutex);
    return shared;
}

static int posix_file_open(struct os *os, const char *path, enum os_open_mode mode, struct os_file **out_file) {
    (void)os;
    static const int flags[] = {
        [OS_OPEN_READ] = O_RDONLY,
        [OS_OPEN_WRITE] = O_RDWR,
        [OS_OPEN_CREATE] = O_RDWR | O_CREAT,
        [OS_OPEN_CREATE_NEW] = O_RDWR | O_CREAT | O_EXCL,
        [OS_OPEN_TRUNCATE] = O_RDWR | O_CREAT | O_TRUNC,
    };
    struct os_file *file = allocate_file();
    if (!file)
        return ENOMEM;
    bool may_share = mode != OS_OPEN_CREATE_NEW && mode != OS_OPEN_TRUNCATE;
    if (!may_share || !open_shared(path, file)) {
        RETRY_ON_SIGNAL(file->descriptor->number, open(path, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0644));
        if (file->descriptor->number < 0) {
            int error = errno;
            memory_free(file->descriptor);
            memory_free(file);
            return error;
        }
    }
    *out_file = file;
    return 0;
}

static int posix_file_read_at(struct os *os, struct os_file *file, void *buffer, size_t size, uint64_t offset) {
    (void)os;
    uint8_t *to = buffer;
    while (size > 0) {
        ssize_t count;
        RETRY_ON_SIGNAL(count, pread(file->descriptor->number, to, size, (off_t)offset));
        if (count < 0)
            return errno;
        if (count == 0)
            return ENODATA;
        to += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

static int posix_file_write_at(struct os *os, struct os_file *file, const void *buffer, size_t size, uint64_t offset) {
    (void)os;
    const uint8_t *from = buffer;
    while (size > 0) {
        ssize_t count;
        RETRY_ON_SIGNAL(count, pwrite(file->descriptor->number, from, size, (off_t)offset));
        if (count < 0)
            return errno;
        if (count == 0)
            return EIO;
        from += count;
        size -= (size_t)count;
        offset += (uint64_t)count;
    }
    return 0;
}

static int status_of(struct os_file *file, struct stat *out_status) {
    return fstat(file->descriptor->number, out_status) < 0 ? errno : 0;
}

static int posix_file_size(struct os *os, struct os_file *file, uint64_t *out_size) {
    (void)os;
    struct stat status;
    int error = status_of(file, &status);
    if (!error)
        *out_size = (uint64_t)status.st_size;
    return error;
}

static int posix_file_allocated(struct os *os, struct os_file *file, uint64_t *out_size) {
    (void)os;
    struct stat status;
    int error = status_of(file, &status);
    if (!error)
        *out_size = (uint64_t)status.st_blocks * 512;
    return error;
}

static int posix_file_truncate(struct os *os, struct os_file *file, uint64_t size) {
    (void)os;
    int result;
    RETRY_ON_SIGNAL(result, ftruncate(file->descriptor->number, (off_t)size));
    return result < 0 ? errno : 0;
}

/* fallocate and not posix_fallocate: the latter writes zeros where the file system cannot reserve, which on a
 * copy-on-write system promises nothing. */
static int posix_file_allocate(struct os *os, struct os_file *file, uint64_t size) {
    (void)os;
    int result;
    RETRY_ON_SIGNAL(result, fallocate(file->descriptor->number, 0, 0, (off_t)size));
    return result < 0 ? errno : 0;
}

/* A sync is not retried, not even after a signal: whether the first one consumed an error is unknown. */
static int posix_file_sync(struct os *os, struct os_file *file, enum os_sync_mode mode) {
    (void)os;
    int result = mode == OS_SYNC_DATA ? fdatasync(file->descriptor->number) : fsync(file->descriptor->number);
    return result < 0 ? errno : 0;
}

static int posix_file_map(struct os *os, struct os_file *file, uint64_t size, bool writable, void **out_address) {
    (void)os;
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *address = mmap(NULL, (size_t)size, protection, MAP_SHARED, file->descriptor->number, 0);
    if (address == MAP_FAILED)
        return errno;
    *out_address = address;
    return 0;
}

static void posix_file_unmap(struct os *os, void *address, uint64_t size) {
    (void)os;
    munmap(address, (size_t)size);
}

static void posix_map_populate(struct os *os, void *address, uint64_t size) {
    (void)os;
#ifdef MADV_POPULATE_WRITE
    (void)madvise(address, (size_t)size, MADV_POPULATE_WRITE);
#else
    (void)address;
    (void)size;
#endif
}

static void posix_map_settle(struct os *os, void *address, uint64_t size) {
    (void)os;
    (void)madvise(address, (size_t)size, MADV_DONTNEED); /* of a shared file mapping: nothing is lost */
}

static struct flock lock_of_whole_file(short type) {
    struct flock lock;
    memset(&lock, 0, sizeof lock);
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return lock;
}

/* Who stands in the way of a write lock: 0 nobody, -1 somebody the kernel cannot name here. */
static int64_t foreign_holder(struct os_file *file) {
    struct flock lock = lock_of_whole_file(F_WRLCK);
    if (fcntl(file->descriptor->number, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
        return 0;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

static int take_lock(struct os_file *file, const struct stat *status, int64_t *out_holder_pid) {
    if (find_lock(status)) {
        *out_holder_pid = getpid();
        return EWOULDBLOCK;
    }
    struct flock lock = lock_of_whole_file(F_WRLCK);
    if (fcntl(file->descriptor->number, F_SETLK, &lock) < 0) {
        if (errno != EACCES && errno != EAGAIN)
            return errno;
        int64_t holder = foreign_holder(file);
        *out_holder_pid = holder > 0 ? holder : 0;
        return EWOULDBLOCK;
    }
    file->owner = getpid();
    file->device = status->st_dev;
    file->inode = status->st_ino;
    file->next = locks_first;
    locks_first = file;
    return 0;
}

static int posix_file_lock(struct os *os, struct os_file *file, int64_t *out_holder_pid) {
    (void)os;
    struct stat status;
    int error = status_of(file, &status);
    if (error)
        return error;
    pthread_mutex_lock(&locks_mutex);
    error = take_lock(file, &status, out_holder_pid);
    pthread_mutex_unlock(&locks_mutex);
    return error;
}

/* Takes a file out of the list of locks; its parked files with it. */
static struct os_file *leave_locks(struct os_file *file) {
    for (struct os_file **link = &locks_first; *link; link = &(*link)->next)
        if (*link == file) {
            *link = file->next;
            struct os_file *parked = file->parked;
            file->parked = NULL;
            return parked;
        }
    return NULL;
}

static void posix_file_unlock(struct os *os, struct os_file *file) {
    (void)os;
    if (file->owner != getpid())
        return; /* never locked, or by the process we were forked from */
    pthread_mutex_lock(&locks_mutex);
    struct os_file *parked = leave_locks(file);
    file->owner = 0;
    struct flock lock = lock_of_whole_file(F_UNLCK);
    (void)fcntl(file->descriptor->number, F_SETLK, &lock);
    while (parked) {
        struct os_file *next = parked->next;
        drop_file(parked);
        parked = next;
    }
    pthread_mutex_unlock(&locks_mutex);
}

/* The file that holds a lock gives it up first. The last user of another descriptor of a locked inode is parked. */
static void posix_file_close(struct os *os, struct os_file *file) {
    struct stat status;
    posix_file_unlock(os, file);
    pthread_mutex_lock(&locks_mutex);
    bool last = file->descriptor->users == 1;
    struct os_file *holder =
        last && locks_first && fstat(file->descriptor->number, &status) == 0 ? find_lock(&status) : NULL;
    if (holder) {
        file->next = holder->parked;
        holder->parked = file;
    } else {
        drop_file(file);
    }
    pthread_mutex_unlock(&locks_mutex);
}

static int64_t posix_file_lock_holder(struct os *os, struct os_file *file) {
    (void)os;
    struct stat status;
    if (status_of(file, &status))
        return 0;
    pthread_mutex_lock(&locks_mutex);
    bool here = find_lock(&status) != NULL;
    pthread_mutex_unlock(&locks_mutex);
    return here ? getpid() : foreign_holder(file);
}

static int posix_path_kind(struct os *os, const char *path, enum os_path_kind *out_kind) {
    (void)os;
    struct stat status;
    if (stat(path, &status) < 0) {
        if (errno != ENOENT)
            return errno;
        *out_kind = OS_PATH_NONE;
        return 0;
    }
    *out_kind = S_ISREG(status.st_mode) ? OS_PATH_FILE : S_ISDIR(status.st_mode) ? OS_PATH_DIRECTORY : OS_PATH_OTHER;
    return 0;
}

static int posix_dir_create(struct os *os, const char *path) {
    (void)os;
    return mkdir(path, 0755) < 0 ? errno : 0;
}

static int posix_dir_list(struct os *os, const char *path, os_name_fn visit, void *user) {
    (void)os;
    DIR *directory = opendir(path);
    if (!directory)
        return errno;
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (errno = 0, entry = readdir(directory)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = visit(user, entry->d_name);
    if (result == 0 && !entry)
        result = errno;
    closedir(directory);
    return result;
}

static int posix_dir_sync(struct os *os, const char *path) {
    (void)os;
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return errno;
    int error = fsync(descriptor) < 0 ? errno : 0;
    close(descriptor);
    return error;
}

static int posix_path_rename(struct os *os, const char *from, const char *to) {
    (void)os;
    return rename(from, to) < 0 ? errno : 0;
}

static int posix_path_remove(struct os *os, const char *path) {
    (void)os;
    return unlink(path) < 0 ? errno : 0;
}

static int posix_dir_current(struct os *os, char *out_path, size_t size) {
    (void)os;
    return getcwd(out_path, size) ? 0 : errno;
}

static int64_t posix_clock_us(struct os *os) {
    (void)os;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t posix_monotonic_us(struct os *os) {
    (void)os;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int posix_random(struct os *os, void *buffer, size_t size) {
    (void)os;
    uint8_t *to = buffer;
    while (size > 0) {
        ssize_t count;
        RETRY_ON_SIGNAL(count, getrandom(to, size, 0));
        if (count < 0)
            return errno;
        to += count;
        size -= (size_t)count;
    }
    return 0;
}

static int64_t posix_process_id(struct os *os) {
    (void)os;
    return getpid();
}

struct posix_thread {
    pthread_t thread;
    void (*main)(void *user);
    void *user;
};

static void *run_thread(void *argument) {
    struct posix_thread *thread = argument;
    thread->main(thread->user);
    return NULL;
}

static int start_with_stack(struct posix_thread *thread, uint64_t stack_size) {
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    if (stack_size > 0) {
        uint64_t least = (uint64_t)PTHREAD_STACK_MIN;
        error = pthread_attr_setstacksize(&attributes, (size_t)(stack_size < least ? least : stack_size));
    }
    if (!error)
        error = pthread_create(&thread->thread, &attributes, run_thread, thread);
    pthread_attr_destroy(&attributes);
    return error;
}

static int posix_path_resolve(struct os *os, const char *path, char *out_path, size_t size) {
    (void)os;
    char *resolved = realpath(path, NULL);
    if (!resolved)
        return errno;
    size_t used = strlen(resolved);
    if (used < size)
        memcpy(out_path, resolved, used + 1);
    free(resolved);
    return used < size ? 0 : ERANGE;
}

static int posix_event_create(struct os *os, int *out_fd) {
    (void)os;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return errno;
    *out_fd = fd;
    return 0;
}

static void posix_event_signal(struct os *os, int fd) {
    (void)os;
    (void)eventfd_write(fd, 1); /* fails only where it is readable already */
}

static void posix_event_clear(struct os *os, int fd) {
    (void)os;
    eventfd_t ignored;
    (void)eventfd_read(fd, &ignored); /* fails only where it is not readable */
}

static void posix_event_close(struct os *os, int fd) {
    (void)os;
    close(fd);
}

static int posix_thread_start(struct os *os, uint64_t stack_size, void (*main)(void *user), void *user,
                              void **out_thread) {
    (void)os;
    struct posix_thread *thread = memory_allocate_zero(sizeof *thread);
    if (!thread)
        return ENOMEM;
    thread->main = main;
    thread->user = user;
    int error = start_with_stack(thread, stack_size);
    if (error) {
        memory_free(thread);
        return error;
    }
    *out_thread = thread;
    return 0;
}

static void posix_thread_join(struct os *os, void *thread) {
    (void)os;
    struct posix_thread *joined = thread;
    pthread_join(joined->thread, NULL);
    memory_free(joined);
}

struct os *os_posix(void) {
    static const struct os_methods methods = {
        .file_open = posix_file_open,
        .file_close = posix_file_close,
        .file_read_at = posix_file_read_at,
        .file_write_at = posix_file_write_at,
        .file_size = posix_file_size,
        .file_allocated = posix_file_allocated,
        .file_truncate = posix_file_truncate,
        .file_allocate = posix_file_allocate,
        .file_sync = posix_file_sync,
        .file_map = posix_file_map,
        .file_unmap = posix_file_unmap,
        .map_populate = posix_map_populate,
        .map_settle = posix_map_settle,
        .file_lock = posix_file_lock,
        .file_unlock = posix_file_unlock,
        .file_lock_holder = posix_file_lock_holder,
        .path_kind = posix_path_kind,
        .dir_create = posix_dir_create,
        .dir_list = posix_dir_list,
        .dir_sync = posix_dir_sync,
        .path_rename = posix_path_rename,
        .path_remove = posix_path_remove,
        .dir_current = posix_dir_current,
        .clock_us = posix_clock_us,
        .monotonic_us = posix_monotonic_us,
        .random = posix_random,
        .process_id = posix_process_id,
        .path_resolve = posix_path_resolve,
        .event_create = posix_event_create,
        .event_signal = posix_event_signal,
        .event_clear = posix_event_clear,
        .event_close = posix_event_close,
        .thread_start = posix_thread_start,
        .thread_join = posix_thread_join,
    };
    static struct os instance = {.methods = &methods};
    return &instance;
}
