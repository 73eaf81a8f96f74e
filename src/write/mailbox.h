/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailbox: a bounded queue of tickets, and the writer's thread that serves them in order.
 *
 *     submit -> [ ring ] -> writer's thread: stage, many under one lock -> answered at once (written), or by the group's
 *                                                                           sync (durable), or at the end of their fence
 *
 * Ring and thread are made when the first ticket comes. Where the os has no threads, tickets are served by whoever waits
 * for one, or puts one into a full mailbox.
 *
 * Thread rule: any thread, if nothing else is said. Locks: the mailbox's is taken inside the sequencer's, never around it.
 */
#ifndef FBAT_WRITE_MAILBOX_H
#define FBAT_WRITE_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

struct append;
struct fbat_ticket;
struct sequencer;

struct mailbox {
    struct sequencer *sequencer;
    pthread_mutex_t lock;
    pthread_cond_t not_empty; /* the writer's thread waits here */
    pthread_cond_t not_full;  /* submitters wait here ... */
    _Atomic uint32_t waiting; /* ... so many */
    struct fbat_ticket **ring;
    uint32_t capacity;
    uint32_t head, count;        /* of the ring; lock */
    _Atomic uint32_t used;       /* tickets put in and not staged yet: the fill that counts */
    _Atomic bool stopping;       /* no ticket is taken any more */
    uint32_t drain_left;         /* tickets that are still served then; before `stopping` is set, then the server's */
    _Atomic uint32_t service_ns; /* what a ticket took lately */
    bool sleeping;               /* the writer's thread waits; lock */
    _Atomic bool threadless;
    void *thread;                               /* NULL: not started, or threadless; lock */
    struct fbat_ticket *redo_first, *redo_last; /* to be staged again, before the others; the sequencer's lock */
    bool redo;                                  /* there are some; lock */
};

int mailbox_init(struct mailbox *mailbox, struct sequencer *sequencer, struct fbat_error *error);
void mailbox_deinit(struct mailbox *mailbox);

/* True while tickets wait to be staged. */
static inline bool mailbox_is_busy(const struct mailbox *mailbox) {
    return atomic_load_explicit(&mailbox->used, memory_order_acquire) > 0;
}

bool mailbox_has_thread(const struct mailbox *mailbox);

/* Puts a ticket in; waits while it is full. FBAT_ERR_SHUTDOWN, FBAT_ERR_NO_MEMORY: it is still the caller's. */
int mailbox_put(struct mailbox *mailbox, struct fbat_ticket *ticket, struct fbat_error *error);

/* FBAT_RETRY, with error->retry_after_ms, from the pressure threshold on; FBAT_OK below. */
int mailbox_check_pressure(const struct mailbox *mailbox, struct fbat_error *error);
void mailbox_pressure(const struct mailbox *mailbox, struct fbat_pressure *out_pressure);

/* A blocking append that takes its place behind the tickets. As sequencer_append. */
int mailbox_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error);

/* Waits until the writer's thread has served a ticket. The sequencer's lock is held, and given up meanwhile. */
void mailbox_wait_served(struct sequencer *sequencer);

/* Without a thread: serves all tickets and syncs what waits for it. */
void mailbox_finish_inline(struct sequencer *sequencer);

/* A staged ticket was taken back and is to be staged again. The sequencer's lock is held. */
void mailbox_redo(struct mailbox *mailbox, struct fbat_ticket *ticket);

/* From here on no ticket is taken, and of those in the mailbox `drain_limit` more are served; the rest is answered
 * FBAT_ERR_SHUTDOWN. */
void mailbox_close(struct mailbox *mailbox, uint32_t drain_limit);

/* Waits until that is done, and ends the thread. */
void mailbox_join(struct mailbox *mailbox);

#endif
