/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking those who wait for events. The order of publication and why no wake-up is lost stand in the header, and so do the
 * invariants.
 *
 * Happy path: nobody waits, and nothing here is called. One sleeper: the publisher wakes him, if the lock is free. Several:
 * the publisher rings, once until the ringer has come; the ringer wakes all, so the publisher never pays for their number.
 *
 * Failure: where no ringer can be started, the publisher wakes all himself; a follower then looks by itself whenever it
 * sleeps, and has no descriptors.
 */
#include "write/notifier.h"

#include <errno.h>
#include <time.h>

#include "base/assert.h"
#include "base/memory.h"

#define NOTIFIER_CLOSED 0x80000000u

static void init_monotonic(pthread_cond_t *condition) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct notifier *notifier_create(struct os *os, notifier_look_fn look, void *look_user) {
    struct notifier *notifier = memory_allocate_zero(sizeof *notifier);
    if (!notifier)
        return NULL;
    notifier->os = os;
    notifier->look = look;
    notifier->look_user = look_user;
    atomic_init(&notifier->references, 1);
    pthread_mutex_init(&notifier->lock, NULL);
    pthread_mutex_init(&notifier->bell_lock, NULL);
    init_monotonic(&notifier->woken);
    init_monotonic(&notifier->bell);
    pthread_cond_init(&notifier->idle, NULL);
    return notifier;
}

void notifier_retain(struct notifier *notifier) {
    atomic_fetch_add_explicit(&notifier->references, 1, memory_order_relaxed);
}

void notifier_release(struct notifier *notifier) {
    if (!notifier || atomic_fetch_sub_explicit(&notifier->references, 1, memory_order_acq_rel) != 1)
        return;
    pthread_cond_destroy(&notifier->idle);
    pthread_cond_destroy(&notifier->bell);
    pthread_cond_destroy(&notifier->woken);
    pthread_mutex_destroy(&notifier->bell_lock);
    pthread_mutex_destroy(&notifier->lock);
    memory_free(notifier);
}

/* ---- calls under way ---- */

bool notifier_is_closed(const struct notifier *notifier) {
    return atomic_load(&notifier->calls) & NOTIFIER_CLOSED;
}

bool notifier_enter(struct notifier *notifier) {
    if (!(atomic_fetch_add(&notifier->calls, 1) & NOTIFIER_CLOSED))
        return true;
    notifier_leave(notifier);
    return false;
}

void notifier_leave(struct notifier *notifier) {
    if (atomic_fetch_sub(&notifier->calls, 1) != (NOTIFIER_CLOSED | 1))
        return;
    pthread_mutex_lock(&notifier->lock);
    pthread_cond_broadcast(&notifier->idle);
    pthread_mutex_unlock(&notifier->lock);
}

/* ---- waking ---- */

static void unlink_watch(struct notifier *notifier, struct notifier_watch *watch) {
    if (watch->previous)
        watch->previous->next = watch->next;
    else
        notifier->armed = watch->next;
    if (watch->next)
        watch->next->previous = watch->previous;
    watch->armed = false;
    atomic_fetch_sub(&notifier->waiting, 1);
}

/* The lock is held. */
static void wake_everybody(struct notifier *notifier) {
    notifier->wakes++;
    atomic_fetch_sub(&notifier->waiting, notifier->sleeping);
    if (notifier->sleeping > 0)
        pthread_cond_broadcast(&notifier->woken);
    notifier->sleeping = 0;
    while (notifier->armed) {
        struct notifier_watch *watch = notifier->armed;
        unlink_watch(notifier, watch);
        notifier->os->methods->event_signal(notifier->os, watch->fd);
    }
    FBAT_ASSERT(atomic_load(&notifier->waiting) == 0); /* I1 */
}

static void ring_bell(struct notifier *notifier) {
    if (atomic_load(&notifier->rung))
        return; /* the ringer has not come yet, and will see to all who wait by then */
    pthread_mutex_lock(&notifier->bell_lock);
    atomic_store(&notifier->rung, true);
    pthread_cond_signal(&notifier->bell);
    pthread_mutex_unlock(&notifier->bell_lock);
}

void notifier_ring(struct notifier *notifier) {
    bool has_ringer = atomic_load(&notifier->has_ringer);
    if (!has_ringer)
        pthread_mutex_lock(&notifier->lock);
    else if (atomic_load(&notifier->waiting) > 1 || pthread_mutex_trylock(&notifier->lock)) {
        ring_bell(notifier);
        return;
    }
    wake_everybody(notifier);
    pthread_mutex_unlock(&notifier->lock);
}

/* ---- the ringer ---- */

static struct timespec timespec_of(uint64_t monotonic_us) {
    return (struct timespec){.tv_sec = (time_t)(monotonic_us / 1000000),
                             .tv_nsec = (long)(monotonic_us % 1000000) * 1000};
}

/* Waits for the bell, a follower's no longer than look_ms while somebody waits. bell_lock is held. */
static void await_bell(struct notifier *notifier, uint64_t look_ms) {
    if (notifier->look && atomic_load(&notifier->waiting) > 0) {
        uint64_t now_us = notifier->os->methods->monotonic_us(notifier->os);
        struct timespec until = timespec_of(now_us + look_ms * 1000);
        pthread_cond_timedwait(&notifier->bell, &notifier->bell_lock, &until);
    } else if (!atomic_load(&notifier->rung)) {
        pthread_cond_wait(&notifier->bell, &notifier->bell_lock);
    }
    atomic_store(&notifier->rung, false);
}

/* Whether those who wait are to be woken: because of news, or of a failure that they should see for themselves. */
static bool look_for_published(struct notifier *notifier) {
    uint64_t marks[NOTIFIER_MARKS] = {0};
    bool news = notifier->look(notifier->look_user, marks) < 0;
    for (int mark = 0; mark < NOTIFIER_MARKS; mark++)
        if (marks[mark] > atomic_load(&notifier->published[mark])) {
            atomic_store(&notifier->published[mark], marks[mark]);
            news = true;
        }
    return news;
}

static void ringer_main(void *user) {
    struct notifier *notifier = user;
    uint64_t look_ms = NOTIFIER_LOOK_MS_MIN;
    pthread_mutex_lock(&notifier->bell_lock);
    while (!notifier->stop) {
        await_bell(notifier, look_ms);
        pthread_mutex_unlock(&notifier->bell_lock);
        bool news = !notifier->look || look_for_published(notifier);
        look_ms = news ? NOTIFIER_LOOK_MS_MIN : look_ms * 2;
        look_ms = look_ms < NOTIFIER_LOOK_MS_MAX ? look_ms : NOTIFIER_LOOK_MS_MAX;
        if (news) {
            pthread_mutex_lock(&notifier->lock);
            wake_everybody(notifier);
            pthread_mutex_unlock(&notifier->lock);
        }
        pthread_mutex_lock(&notifier->bell_lock);
    }
    pthread_mutex_unlock(&notifier->bell_lock);
}

/* One more waits (W1). Where he is not the only one, or nobody publishes, a ringer is needed. The lock is held. */
static void add_waiter(struct notifier *notifier) {
    unsigned before = atomic_fetch_add(&notifier->waiting, 1);
    if ((before > 0 || notifier->look) && !notifier->ringer && !notifier_is_closed(notifier) &&
        notifier->os->methods->thread_start(notifier->os, 0, ringer_main, notifier, &notifier->ringer) == 0)
        atomic_store(&notifier->has_ringer, true);
    if (notifier->look && notifier->ringer && before == 0)
        ring_bell(notifier);
}

void notifier_close(struct notifier *notifier) {
    if (!notifier || (atomic_fetch_or(&notifier->calls, NOTIFIER_CLOSED) & NOTIFIER_CLOSED))
        return;
    pthread_mutex_lock(&notifier->lock);
    wake_everybody(notifier);
    pthread_mutex_unlock(&notifier->lock);
    if (notifier->ringer) { /* none is started any more */
        pthread_mutex_lock(&notifier->bell_lock);
        notifier->stop = true;
        atomic_store(&notifier->rung, true);
        pthread_cond_signal(&notifier->bell);
        pthread_mutex_unlock(&notifier->bell_lock);
        notifier->os->methods->thread_join(notifier->os, notifier->ringer);
        atomic_store(&notifier->has_ringer, false);
    }
    pthread_mutex_lock(&notifier->lock);
    while (atomic_load(&notifier->calls) != NOTIFIER_CLOSED)
        pthread_cond_wait(&notifier->idle, &notifier->lock);
    pthread_mutex_unlock(&notifier->lock);
}

/* ---- waiting ---- */

static bool waiter_has_news(const struct notifier *notifier, enum notifier_mark mark, uint64_t position) {
    return atomic_load(&notifier->published[mark]) > position || notifier_is_closed(notifier);
}

/* Where nobody will wake a follower, it sleeps no longer than between two looks. */
static uint64_t bound_deadline(struct notifier *notifier, uint64_t deadline_us) {
    if (!notifier->look || notifier->ringer)
        return deadline_us;
    uint64_t look_us = notifier->os->methods->monotonic_us(notifier->os) + NOTIFIER_LOOK_MS_MAX * UINT64_C(1000);
    return look_us < deadline_us ? look_us : deadline_us;
}

void notifier_wait(struct notifier *notifier, enum notifier_mark mark, uint64_t position, uint64_t deadline_us) {
    pthread_mutex_lock(&notifier->lock);
    uint64_t wakes = notifier->wakes;
    int ended = 0;
    notifier->sleeping++;
    add_waiter(notifier);
    deadline_us = bound_deadline(notifier, deadline_us);
    struct timespec until = timespec_of(deadline_us);
    while (!ended && notifier->wakes == wakes && !waiter_has_news(notifier, mark, position)) /* W2 */
        ended = deadline_us == UINT64_MAX ? pthread_cond_wait(&notifier->woken, &notifier->lock)
                                          : pthread_cond_timedwait(&notifier->woken, &notifier->lock, &until);
    if (notifier->wakes == wakes) {
        notifier->sleeping--;
        atomic_fetch_sub(&notifier->waiting, 1);
    }
    pthread_mutex_unlock(&notifier->lock);
}

/* ---- descriptors ---- */

int notifier_watch_open(struct notifier *notifier, struct notifier_watch *watch) {
    int fd = -1, os_errno = notifier->os->methods->event_create(notifier->os, &fd);
    if (os_errno)
        return os_errno;
    pthread_mutex_lock(&notifier->lock);
    watch->fd = fd;
    pthread_mutex_unlock(&notifier->lock);
    return 0;
}

void notifier_watch_arm(struct notifier *notifier, struct notifier_watch *watch, uint64_t position) {
    if (watch->fd < 0)
        return;
    pthread_mutex_lock(&notifier->lock);
    if (!watch->armed) {
        notifier->os->methods->event_clear(notifier->os, watch->fd);
        watch->previous = NULL;
        watch->next = notifier->armed;
        if (watch->next)
            watch->next->previous = watch;
        notifier->armed = watch;
        watch->armed = true;
        add_waiter(notifier);
    }
    if (waiter_has_news(notifier, NOTIFIER_VISIBLE, position)) { /* W2 */
        unlink_watch(notifier, watch);
        notifier->os->methods->event_signal(notifier->os, watch->fd);
    }
    pthread_mutex_unlock(&notifier->lock);
}

void notifier_watch_signal(struct notifier *notifier, struct notifier_watch *watch) {
    if (watch->fd < 0)
        return;
    pthread_mutex_lock(&notifier->lock);
    if (watch->armed)
        unlink_watch(notifier, watch);
    notifier->os->methods->event_signal(notifier->os, watch->fd);
    pthread_mutex_unlock(&notifier->lock);
}

void notifier_watch_close(struct notifier *notifier, struct notifier_watch *watch) {
    if (watch->fd < 0)
        return;
    pthread_mutex_lock(&notifier->lock);
    if (watch->armed)
        unlink_watch(notifier, watch);
    pthread_mutex_unlock(&notifier->lock);
    notifier->os->methods->event_close(notifier->os, watch->fd);
    watch->fd = -1;
}
