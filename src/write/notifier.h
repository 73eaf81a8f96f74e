/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for events, and how they learn that there are some.
 *
 * There is no queue of notifications: the log is it, and who waits is a position in its sequences. So publishing is one
 * store of a number and one look at a counter, however many subscribers there are; only when somebody sleeps is there one
 * more thing to do, and it is one: the only sleeper is woken, or, where there are several, the ringer, a thread that wakes
 * all of them. After that nobody counts as asleep until he sleeps again.
 *
 *     publisher                                  waiter (under `lock`)
 *     P1 store visible (rows before it)          W1 waiting += 1
 *     P2 store published                         W2 load published: > position? then not asleep
 *     P3 load waiting: > 0? then ring            W3 sleep, or leave the descriptor armed
 *
 * No wake-up is lost: P2, P3, W1 and W2 are sequentially consistent, so there is one order of all four. Either W1 is before
 * P3, and the publisher rings; or P3 is before W1, then P2 is before W2, and the waiter sees the number. Who rings takes
 * `lock` (or leaves that to the ringer, which does so after it has taken `rung` down), so W3 is done before it wakes.
 *
 * A handle that follows has no publisher in its process: there the ringer looks at LOCK, every LOOK_MS_MIN to LOOK_MS_MAX
 * as long as somebody waits, and publishes what it finds.
 *
 * It outlives its store, so that who waits can be told that the store is closed. Calls that use the store stand between
 * notifier_enter and notifier_leave; notifier_close waits for them.
 *
 * Thread rule: everything from any thread; notifier_publish by one at a time. Lock order: lock before bell_lock; the
 * sequencer's lock may be held by who publishes, and is never taken here.
 *
 * I1: waiting = sleeping + the number of armed watches, whenever `lock` is free.
 * I2: what is published never goes down.
 */
#ifndef FBAT_WRITE_NOTIFIER_H
#define FBAT_WRITE_NOTIFIER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/os.h"

enum { NOTIFIER_LOOK_MS_MIN = 1, NOTIFIER_LOOK_MS_MAX = 20 };

/* What can be waited for. */
enum notifier_mark { NOTIFIER_VISIBLE = 0, NOTIFIER_DURABLE = 1, NOTIFIER_MARKS = 2 };

/* Catches up with the log and says where its marks are; a status. */
typedef int (*notifier_look_fn)(void *user, uint64_t out_marks[NOTIFIER_MARKS]);

/* A descriptor that becomes readable when there is something. Its owner's memory. */
struct notifier_watch {
    struct notifier_watch *next, *previous;
    int fd; /* -1: there is none */
    bool armed;
};

struct notifier {
    struct os *os;
    atomic_uint references;
    _Atomic uint64_t published[NOTIFIER_MARKS];
    atomic_uint waiting; /* sleepers and armed watches; changed under lock */
    atomic_uint calls;   /* under way that use the store; and NOTIFIER_CLOSED */

    pthread_mutex_t lock;
    pthread_cond_t woken; /* who waits sleeps here */
    pthread_cond_t idle;  /* notifier_close waits here for calls to end */
    uint64_t wakes;       /* times all were woken */
    unsigned sleeping;    /* threads that were not woken yet */
    struct notifier_watch *armed;

    pthread_mutex_t bell_lock; /* held for a moment only */
    pthread_cond_t bell;       /* the ringer waits here */
    atomic_bool rung;          /* set under bell_lock; taken down by the ringer before it wakes others */
    bool stop;
    atomic_bool has_ringer;
    void *ringer; /* thread; started under lock */
    notifier_look_fn look;
    void *look_user;
};

/* One reference, the caller's; NULL for want of memory. look is NULL where somebody publishes. */
struct notifier *notifier_create(struct os *os, notifier_look_fn look, void *look_user);
void notifier_retain(struct notifier *notifier);
void notifier_release(struct notifier *notifier); /* NULL is accepted */

/* Wakes everybody for good, ends the ringer, and waits until no call is under way. Again: nothing. */
void notifier_close(struct notifier *notifier);
bool notifier_is_closed(const struct notifier *notifier);

/* False once the store is closed. Every true answer needs a notifier_leave. */
bool notifier_enter(struct notifier *notifier);
void notifier_leave(struct notifier *notifier);

/* P3's slow way. */
void notifier_ring(struct notifier *notifier);

/* P2 and P3. */
static inline void notifier_publish(struct notifier *notifier, enum notifier_mark mark, uint64_t sequence) {
    atomic_store(&notifier->published[mark], sequence);
    if (atomic_load(&notifier->waiting) > 0)
        notifier_ring(notifier);
}

/* Sleeps until the mark is behind `position`, the store is closed, somebody was woken for another reason, or
 * deadline_us (monotonic; UINT64_MAX: none) is there. The caller looks for himself. */
void notifier_wait(struct notifier *notifier, enum notifier_mark mark, uint64_t position, uint64_t deadline_us);

/* Makes the watch's descriptor; 0 or an errno, ENOTSUP where nobody would ever signal it. */
int notifier_watch_open(struct notifier *notifier, struct notifier_watch *watch);

/* Nothing behind position is visible: readable no more, until there is. Nothing without a descriptor. */
void notifier_watch_arm(struct notifier *notifier, struct notifier_watch *watch, uint64_t position);

/* There is something, whatever anybody publishes: readable, and stays so. */
void notifier_watch_signal(struct notifier *notifier, struct notifier_watch *watch);
void notifier_watch_close(struct notifier *notifier, struct notifier_watch *watch);

#endif
