/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit with nothing around it: as many threads as are measured, each hashing, checksumming and copying one
 * frame at a time, then asleep until the write and the sync that carry it are done.
 *
 * Two ways to form a group:
 *
 *     eager      a thread of its own takes what is there as soon as the last sync is over, while the others fill the
 *                next buffer; those whom a sync wakes miss the one after it, so a group is half of the threads
 *     gathering  the last of all threads to come writes and syncs for all; a group is all threads, and none works
 *                meanwhile
 *
 * In both, one futex wakes the whole group. Gathering without the write and the sync is what the processor alone
 * allows: waking and serving so many threads.
 */
#ifndef FBAT_BENCH_GROUP_FLOOR_H
#define FBAT_BENCH_GROUP_FLOOR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "floors.h"
#include "team.h"

enum group_way { GROUP_EAGER, GROUP_GATHERING, GROUP_WITHOUT_SYNC };

struct group_floor {
    unsigned thread_count;
    enum group_way way;
    struct sync_floor *file;
    struct hash_floor hashes[TEAM_MAX];
    uint8_t *buffers[2]; /* the group that is filled is in the one its number says */
    uint64_t left;       /* appends that nobody has begun */

    pthread_mutex_t lock;
    uint32_t group;           /* that is being filled */
    uint32_t joined;          /* appends in it */
    uint32_t active;          /* threads that have not ended */
    bool over;                /* all have */
    _Atomic uint32_t done[2]; /* the last group that was synced, of the even and of the odd ones; futexes */
    _Atomic uint32_t arrived; /* changes when the eager thread has something to look at; a futex */
};

/* Borrows the file. */
void group_floor_init(struct group_floor *floor, unsigned thread_count, enum group_way way, struct sync_floor *file);
void group_floor_deinit(struct group_floor *floor);
uint64_t group_floor_run(void *user, uint64_t count);

#endif
