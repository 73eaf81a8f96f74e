/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I1: a thread is in one group at a time, so a buffer never holds more frames than there are threads.
 * I2: done[g % 2] only grows, and is g or more once the group g is synced. So a thread that wakes up late, when later
 *     groups are done too, does not wait again.
 */
#include "group_floor.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

enum { RING_BYTES = 16 << 10 }; /* of each thread: its copies stay in the cache, the group's buffer is what counts */

static void futex_wait(_Atomic uint32_t *word, uint32_t value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

void group_floor_init(struct group_floor *floor, unsigned thread_count, enum group_way way, struct sync_floor *file) {
    memset(floor, 0, sizeof *floor);
    floor->thread_count = thread_count;
    floor->way = way;
    floor->file = file;
    floor->group = 2; /* so that 0 is a group that was synced */
    pthread_mutex_init(&floor->lock, NULL);
    for (unsigned at = 0; at < thread_count; at++)
        hash_floor_init_ring(&floor->hashes[at], 1, RING_BYTES);
    for (unsigned at = 0; at < 2; at++)
        check_system((floor->buffers[at] = malloc(TEAM_MAX * file->frame_bytes)) != NULL, "allocate memory");
}

void group_floor_deinit(struct group_floor *floor) {
    for (unsigned at = 0; at < floor->thread_count; at++)
        hash_floor_deinit(&floor->hashes[at]);
    free(floor->buffers[0]);
    free(floor->buffers[1]);
    pthread_mutex_destroy(&floor->lock);
}

/* ---- syncing ---- */

/* The lock is held. True: the frames of *out_group, so many, are the caller's to sync. */
static bool take_joined(struct group_floor *floor, uint32_t *out_group, uint32_t *out_frames) {
    if (floor->joined == 0 || (floor->way != GROUP_EAGER && floor->joined < floor->active))
        return false;
    *out_group = floor->group++;
    *out_frames = floor->joined;
    floor->joined = 0;
    return true;
}

static void sync_group(struct group_floor *floor, uint32_t group, uint32_t frames) {
    if (floor->way != GROUP_WITHOUT_SYNC)
        sync_floor_write(floor->file, floor->buffers[group % 2], frames * floor->file->frame_bytes);
    atomic_store(&floor->done[group % 2], group);
    futex_wake_all(&floor->done[group % 2]);
}

static void *sync_eagerly(void *argument) {
    struct group_floor *floor = argument;
    for (bool over = false; !over;) {
        uint32_t group = 0, frames = 0, arrived = atomic_load(&floor->arrived);
        pthread_mutex_lock(&floor->lock);
        bool taken = take_joined(floor, &group, &frames);
        over = !taken && floor->over;
        pthread_mutex_unlock(&floor->lock);
        if (taken)
            sync_group(floor, group, frames);
        else if (!over)
            futex_wait(&floor->arrived, arrived);
    }
    return NULL;
}

/* ---- appending ---- */

/* Something changed, and the lock is held: whoever has to sync does. Gives up the lock. */
static void see_to_sync(struct group_floor *floor) {
    uint32_t group = 0, frames = 0;
    bool taken = floor->way != GROUP_EAGER && take_joined(floor, &group, &frames);
    bool tell = floor->way == GROUP_EAGER && (floor->joined == 1 || floor->over);
    pthread_mutex_unlock(&floor->lock);
    if (taken)
        sync_group(floor, group, frames);
    if (!tell)
        return;
    atomic_fetch_add(&floor->arrived, 1);
    futex_wake_all(&floor->arrived);
}

static bool begin_append(struct group_floor *floor) {
    pthread_mutex_lock(&floor->lock);
    bool any = floor->left > 0;
    if (any) {
        floor->left--;
        pthread_mutex_unlock(&floor->lock);
        return true;
    }
    floor->over = --floor->active == 0;
    see_to_sync(floor);
    return false;
}

static void join_group(struct group_floor *floor, const struct hash_floor *hash) {
    size_t frame_bytes = floor->file->frame_bytes;
    pthread_mutex_lock(&floor->lock);
    uint32_t group = floor->group, done;
    memcpy(floor->buffers[group % 2] + floor->joined++ * frame_bytes, hash->frame, frame_bytes);
    see_to_sync(floor);
    while ((done = atomic_load(&floor->done[group % 2])) < group)
        futex_wait(&floor->done[group % 2], done);
}

static void append_in_groups(void *user, unsigned number) {
    struct group_floor *floor = user;
    while (begin_append(floor)) {
        (void)hash_floor_run(&floor->hashes[number], 1);
        join_group(floor, &floor->hashes[number]);
    }
}

uint64_t group_floor_run(void *user, uint64_t count) {
    struct group_floor *floor = user;
    pthread_t syncer;
    floor->left = count;
    floor->active = floor->thread_count;
    floor->over = false;
    if (floor->way == GROUP_EAGER)
        check_system(pthread_create(&syncer, NULL, sync_eagerly, floor) == 0, "start a thread");
    uint64_t took = team_run(floor->thread_count, append_in_groups, floor);
    if (floor->way == GROUP_EAGER)
        pthread_join(syncer, NULL);
    return took;
}
