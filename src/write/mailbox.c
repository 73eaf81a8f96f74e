/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving tickets.
 *
 * Happy path: mailbox_put; the writer's thread takes up to SERVE_MOST tickets from the ring, takes the sequencer's lock
 * once for all of them, and stages them one after the other. At level written a ticket is answered there and then; at level
 * durable by the sync of its group, which the syncer leads while this thread stages the next one.
 *
 * Failure modes: each ticket fails alone, with the error a blocking append would give. A ticket at level written that was
 * taken back because an append in front of it failed is staged again, before any other.
 *
 * I1: every ticket put in is answered exactly once.
 * I2: tickets are staged in the order they were put in.
 * I3: `used` counts a ticket from before it can be taken until it is staged or answered.
 */
#include "write/mailbox.h"

#include <errno.h>
#include <string.h>

#include "base/assert.h"
#include "base/error.h"
#include "base/memory.h"
#include "write/fence.h"
#include "write/sequencer.h"
#include "write/ticket.h"

enum {
    SERVE_MOST = 64,         /* tickets staged under one lock */
    SERVICE_NS_FIRST = 2000, /* before anything was measured */
    RETRY_AFTER_MS_MAX = 1000,
};

int mailbox_init(struct mailbox *mailbox, struct sequencer *sequencer, struct fbat_error *error) {
    (void)error;
    mailbox->sequencer = sequencer;
    mailbox->capacity = sequencer->config->writer.channel_capacity;
    atomic_init(&mailbox->service_ns, SERVICE_NS_FIRST);
    pthread_mutex_init(&mailbox->lock, NULL);
    pthread_cond_init(&mailbox->not_empty, NULL);
    pthread_cond_init(&mailbox->not_full, NULL);
    return FBAT_OK;
}

void mailbox_deinit(struct mailbox *mailbox) {
    memory_free(mailbox->ring);
    pthread_mutex_destroy(&mailbox->lock);
    pthread_cond_destroy(&mailbox->not_empty);
    pthread_cond_destroy(&mailbox->not_full);
}

bool mailbox_has_thread(const struct mailbox *mailbox) {
    return !atomic_load_explicit(&mailbox->threadless, memory_order_acquire);
}

/* ---- serving; the sequencer's lock is held ---- */

static void stop_counting(struct mailbox *mailbox) {
    atomic_fetch_sub(&mailbox->used, 1); /* in one order with `waiting`: see mailbox_put */
    if (atomic_load(&mailbox->waiting) == 0)
        return;
    pthread_mutex_lock(&mailbox->lock);
    pthread_cond_broadcast(&mailbox->not_full);
    pthread_mutex_unlock(&mailbox->lock);
}

/* What became of a staged ticket. */
static void answer_pending(struct pending *pending, const struct fbat_error *cause) {
    struct fbat_ticket *ticket = pending->owner;
    int state = atomic_load_explicit(&pending->state, memory_order_relaxed);
    if (state == PENDING_REDO)
        mailbox_redo(&ticket->sequencer->mailbox, ticket);
    else if (state == PENDING_DONE)
        ticket_answer(ticket, FBAT_OK, NULL);
    else
        ticket_answer(ticket, cause->status, cause);
}

/* True when a ticket may still be served although the mailbox is being stopped. */
static bool may_serve(struct mailbox *mailbox) {
    if (!atomic_load_explicit(&mailbox->stopping, memory_order_acquire))
        return true;
    if (mailbox->drain_left == 0)
        return false;
    mailbox->drain_left--;
    return true;
}

static void serve_redone(struct sequencer *sequencer);

static int refuse_shutdown(struct fbat_error *error) {
    error_set(error, FBAT_ERR_SHUTDOWN, "the store was closed before this append was reached; append it anew");
    if (error)
        error->stage = FBAT_STAGE_QUEUE;
    return FBAT_ERR_SHUTDOWN;
}

static int stage_ticket(struct sequencer *sequencer, struct fbat_ticket *ticket, struct fbat_error *error) {
    if (!may_serve(&sequencer->mailbox))
        return refuse_shutdown(error);
    ticket->append->pending.owner = ticket;
    ticket->append->pending.answer = answer_pending;
    int status = FBAT_RETRY;
    while ((status = stage_append(sequencer, ticket->append, error)) == FBAT_RETRY) {
        group_wait(sequencer);
        serve_redone(sequencer); /* those taken back meanwhile were in front of this one */
    }
    return status;
}

static void serve(struct sequencer *sequencer, struct fbat_ticket *ticket) {
    struct fbat_error error;
    struct fbat_fence *fence = ticket->append->fence;
    int status = stage_ticket(sequencer, ticket, &error);
    if (status >= 0 && fence) {
        ticket->next = fence->tickets; /* answered at its end */
        fence->tickets = ticket;
    } else if (status != FBAT_OK || atomic_load(&ticket->append->pending.state) == PENDING_DONE) {
        /* Where the append waits, it may have been answered by now, and be gone. */
        ticket_answer(ticket, status < 0 ? status : FBAT_OK, &error);
    }
    stop_counting(&sequencer->mailbox);
    if (fence && atomic_fetch_sub(&fence->tickets_queued, 1) == 1)
        group_signal(sequencer);
}

/* What is put on the list while one of it is served was in front of that one, and is served before it (stage_ticket). */
static void serve_redone(struct sequencer *sequencer) {
    struct mailbox *mailbox = &sequencer->mailbox;
    while (mailbox->redo_first) {
        struct fbat_ticket *list = mailbox->redo_first;
        mailbox->redo_first = NULL;
        while (list) {
            struct fbat_ticket *ticket = list;
            list = ticket->next;
            serve(sequencer, ticket);
        }
    }
}

void mailbox_redo(struct mailbox *mailbox, struct fbat_ticket *ticket) {
    atomic_fetch_add(&mailbox->used, 1);
    ticket->next = NULL;
    if (mailbox->redo_first)
        mailbox->redo_last->next = ticket;
    else
        mailbox->redo_first = ticket;
    mailbox->redo_last = ticket;
    pthread_mutex_lock(&mailbox->lock);
    mailbox->redo = true;
    pthread_cond_signal(&mailbox->not_empty);
    pthread_mutex_unlock(&mailbox->lock);
}

/* ---- taking ---- */

/* The lock is held. */
static uint32_t take(struct mailbox *mailbox, struct fbat_ticket **out_tickets) {
    uint32_t count = mailbox->count < SERVE_MOST ? mailbox->count : SERVE_MOST;
    for (uint32_t at = 0; at < count; at++) {
        out_tickets[at] = mailbox->ring[mailbox->head];
        mailbox->head = mailbox->head + 1 == mailbox->capacity ? 0 : mailbox->head + 1;
    }
    mailbox->count -= count;
    mailbox->redo = false;
    return count;
}

static void serve_all(struct mailbox *mailbox, struct fbat_ticket **tickets, uint32_t count) {
    struct sequencer *sequencer = mailbox->sequencer;
    const struct os_methods *methods = sequencer->os->methods;
    uint64_t started_us = methods->monotonic_us(sequencer->os);
    sequencer_lock(sequencer);
    serve_redone(sequencer);
    for (uint32_t at = 0; at < count; at++) {
        serve(sequencer, tickets[at]);
        serve_redone(sequencer);
    }
    pthread_mutex_unlock(&sequencer->lock);
    if (count == 0)
        return;
    uint64_t each_ns = (methods->monotonic_us(sequencer->os) - started_us) * 1000 / count;
    uint64_t before_ns = atomic_load_explicit(&mailbox->service_ns, memory_order_relaxed);
    uint64_t now_ns = (before_ns * 7 + each_ns) / 8 + 1;
    atomic_store_explicit(&mailbox->service_ns, now_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)now_ns,
                          memory_order_relaxed);
}

static void run_writer(void *user) {
    struct mailbox *mailbox = user;
    struct fbat_ticket *tickets[SERVE_MOST];
    pthread_mutex_lock(&mailbox->lock);
    for (;;) {
        while (mailbox->count == 0 && !mailbox->redo && !atomic_load(&mailbox->stopping)) {
            mailbox->sleeping = true;
            pthread_cond_wait(&mailbox->not_empty, &mailbox->lock);
            mailbox->sleeping = false;
        }
        if (mailbox->count == 0 && !mailbox->redo)
            break;
        uint32_t count = take(mailbox, tickets);
        pthread_mutex_unlock(&mailbox->lock);
        serve_all(mailbox, tickets, count);
        pthread_mutex_lock(&mailbox->lock);
    }
    pthread_mutex_unlock(&mailbox->lock);
}

/* Without a thread: everything in the ring, on the caller's. */
static void serve_inline(struct mailbox *mailbox) {
    struct fbat_ticket *tickets[SERVE_MOST];
    for (;;) {
        pthread_mutex_lock(&mailbox->lock);
        bool any = mailbox->count > 0 || mailbox->redo;
        uint32_t count = any ? take(mailbox, tickets) : 0;
        pthread_mutex_unlock(&mailbox->lock);
        if (!any)
            return;
        serve_all(mailbox, tickets, count);
    }
}

void mailbox_finish_inline(struct sequencer *sequencer) {
    serve_inline(&sequencer->mailbox);
    sequencer_lock(sequencer);
    while (sequencer->first)
        group_wait(sequencer);
    bool again = sequencer->mailbox.redo_first != NULL;
    pthread_mutex_unlock(&sequencer->lock);
    if (again)
        mailbox_finish_inline(sequencer);
}

void mailbox_wait_served(struct sequencer *sequencer) {
    if (mailbox_has_thread(&sequencer->mailbox)) {
        sequencer->waiters++;
        pthread_cond_wait(&sequencer->changed, &sequencer->lock);
        sequencer->waiters--;
        return;
    }
    pthread_mutex_unlock(&sequencer->lock);
    serve_inline(&sequencer->mailbox);
    sequencer_lock(sequencer);
}

/* ---- putting ---- */

/* Ring and thread, for the first ticket. The lock is held. */
static int start(struct mailbox *mailbox, struct fbat_error *error) {
    struct sequencer *sequencer = mailbox->sequencer;
    if (mailbox->ring)
        return FBAT_OK;
    struct fbat_ticket **ring = memory_allocate_zero(mailbox->capacity * sizeof(struct fbat_ticket *));
    if (!ring)
        return error_set_no_memory(error);
    int os_errno = sequencer->os->methods->thread_start(sequencer->os, sequencer->config->writer.stack_size, run_writer,
                                                        mailbox, &mailbox->thread);
    if (os_errno && os_errno != EOPNOTSUPP) {
        memory_free(ring);
        return error_set_os(error, os_errno, "start the writer's thread of", sequencer->dir);
    }
    atomic_store_explicit(&mailbox->threadless, os_errno == EOPNOTSUPP, memory_order_release);
    mailbox->ring = ring;
    return FBAT_OK;
}

static bool is_full(const struct mailbox *mailbox) {
    return atomic_load(&mailbox->used) >= mailbox->capacity && !atomic_load(&mailbox->stopping);
}

/* `waiting` is raised before `used` is looked at, and the server lowers `used` before it looks at `waiting`: so either we
 * see room, or it sees us. The lock is held, and given up while waiting. */
static void wait_for_room(struct mailbox *mailbox) {
    atomic_fetch_add(&mailbox->waiting, 1);
    while (is_full(mailbox)) {
        if (mailbox_has_thread(mailbox)) {
            pthread_cond_wait(&mailbox->not_full, &mailbox->lock);
            continue;
        }
        pthread_mutex_unlock(&mailbox->lock);
        serve_inline(mailbox);
        pthread_mutex_lock(&mailbox->lock);
    }
    atomic_fetch_sub(&mailbox->waiting, 1);
}

static int put_locked(struct mailbox *mailbox, struct fbat_ticket *ticket, struct fbat_error *error) {
    FBAT_TRY(start(mailbox, error));
    if (is_full(mailbox))
        wait_for_room(mailbox);
    if (atomic_load(&mailbox->stopping))
        return refuse_shutdown(error);
    atomic_fetch_add(&mailbox->used, 1);
    if (ticket->append->fence)
        atomic_fetch_add(&ticket->append->fence->tickets_queued, 1);
    uint64_t place = (uint64_t)mailbox->head + mailbox->count;
    mailbox->ring[place < mailbox->capacity ? place : place - mailbox->capacity] = ticket;
    mailbox->count++;
    return FBAT_OK;
}

int mailbox_put(struct mailbox *mailbox, struct fbat_ticket *ticket, struct fbat_error *error) {
    pthread_mutex_lock(&mailbox->lock);
    int status = put_locked(mailbox, ticket, error);
    bool wake = mailbox->sleeping;
    pthread_mutex_unlock(&mailbox->lock);
    if (wake)
        pthread_cond_signal(&mailbox->not_empty);
    return status;
}

int mailbox_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error) {
    struct fbat_ticket ticket;
    ticket_init_on_stack(&ticket, sequencer, append, error);
    int status = mailbox_put(&sequencer->mailbox, &ticket, error);
    if (status == FBAT_OK) {
        if (!mailbox_has_thread(&sequencer->mailbox))
            mailbox_finish_inline(sequencer);
        /* The post is the server's last touch: only once it is consumed may this stack go. */
        while (sem_wait(&ticket.done) != 0 && errno == EINTR)
            continue;
        status = ticket.status;
    }
    sem_destroy(&ticket.done);
    return status;
}

/* ---- pressure ---- */

void mailbox_pressure(const struct mailbox *mailbox, struct fbat_pressure *out_pressure) {
    uint32_t pct = mailbox->sequencer->config->writer.pressure_retry_threshold_pct;
    uint32_t used = atomic_load_explicit(&mailbox->used, memory_order_relaxed);
    uint64_t retry_from = ((uint64_t)mailbox->capacity * pct + 99) / 100, retry_after_ms = 0;
    if (used >= retry_from) {
        uint64_t service_ns = atomic_load_explicit(&mailbox->service_ns, memory_order_relaxed);
        retry_after_ms = (used - retry_from + 1) * service_ns / 1000000 + 1;
    }
    *out_pressure = (struct fbat_pressure){
        .capacity = mailbox->capacity,
        .used = used,
        .retry_from = (uint32_t)retry_from,
        .retry_after_ms = retry_after_ms < RETRY_AFTER_MS_MAX ? (uint32_t)retry_after_ms : RETRY_AFTER_MS_MAX,
    };
}

int mailbox_check_pressure(const struct mailbox *mailbox, struct fbat_error *error) {
    struct fbat_pressure pressure;
    mailbox_pressure(mailbox, &pressure);
    if (pressure.retry_after_ms == 0)
        return FBAT_OK;
    error_set(error, FBAT_RETRY, "the mailbox holds %u appends of %u; try again in %u ms", pressure.used,
              pressure.capacity, pressure.retry_after_ms);
    if (error) {
        error->retry_after_ms = pressure.retry_after_ms;
        error->stage = FBAT_STAGE_QUEUE;
    }
    return FBAT_RETRY;
}

/* ---- stopping ---- */

void mailbox_close(struct mailbox *mailbox, uint32_t drain_limit) {
    pthread_mutex_lock(&mailbox->lock);
    if (!atomic_load(&mailbox->stopping))
        mailbox->drain_left = drain_limit;
    atomic_store_explicit(&mailbox->stopping, true, memory_order_release);
    pthread_cond_signal(&mailbox->not_empty);
    pthread_cond_broadcast(&mailbox->not_full);
    pthread_mutex_unlock(&mailbox->lock);
}

void mailbox_join(struct mailbox *mailbox) {
    void *thread = mailbox->thread;
    mailbox->thread = NULL;
    if (thread)
        mailbox->sequencer->os->methods->thread_join(mailbox->sequencer->os, thread);
    serve_inline(mailbox); /* what is left for no thread */
    mailbox->drain_left = 0;
}
