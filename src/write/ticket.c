/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tickets: made, answered, waited for.
 *
 * Failure modes: an answer is never lost for want of memory: the status then goes without its detail.
 *
 * I1: `answered` is set once, after status, error and receipts; who reads it set may read them.
 * I2: a descriptor asked for becomes readable: either side stores its part first and looks at the other's then, so at least
 *     one of them signals.
 */
#include "write/ticket.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/memory.h"
#include "write/event_copy.h"

enum { WAIT_SLICE_MS = 1000 }; /* the semaphore's clock may jump: no longer than this on its word */

static size_t align16(size_t bytes) {
    return (bytes + 15) & ~(size_t)15;
}

static void init_ticket(struct fbat_ticket *ticket, struct sequencer *sequencer) {
    memset(ticket, 0, offsetof(struct fbat_ticket, own));
    ticket->sequencer = sequencer;
    ticket->os = sequencer->os;
    atomic_init(&ticket->references, 2);
    atomic_init(&ticket->fd, -1);
    sem_init(&ticket->done, 0, 0);
}

int ticket_create(struct sequencer *sequencer, const struct append *append, struct fbat_ticket **out_ticket,
                  struct fbat_error *error) {
    size_t receipts_at = align16(sizeof(struct fbat_ticket));
    size_t events_at = receipts_at + align16(append->count * sizeof(struct fbat_receipt));
    size_t conditions_at = events_at + align16(event_copy_bytes(append->events, append->count));
    size_t bytes = conditions_at + condition_copy_bytes(append->conditions, append->condition_count);
    uint8_t *memory = memory_allocate(bytes);
    if (!memory)
        return error_set_no_memory(error);
    struct fbat_ticket *ticket = (struct fbat_ticket *)(void *)memory;
    init_ticket(ticket, sequencer);
    ticket->append = &ticket->own;
    ticket->own = *append;
    ticket->own.receipts = ticket->own.receipts_known = (struct fbat_receipt *)(void *)(memory + receipts_at);
    ticket->own.events = event_copy(append->events, append->count, memory + events_at);
    ticket->own.conditions = condition_copy(append->conditions, append->condition_count, memory + conditions_at);
    *out_ticket = ticket;
    return FBAT_OK;
}

void ticket_init_on_stack(struct fbat_ticket *ticket, struct sequencer *sequencer, struct append *append,
                          struct fbat_error *error) {
    init_ticket(ticket, sequencer);
    ticket->on_stack = true;
    ticket->append = append;
    ticket->error = error;
}

static void keep_error(struct fbat_ticket *ticket, const struct fbat_error *error) {
    if (!ticket->error)
        ticket->error = memory_allocate(sizeof *ticket->error);
    if (ticket->error)
        *ticket->error = *error;
}

void ticket_answer(struct fbat_ticket *ticket, int status, const struct fbat_error *error) {
    bool on_stack = ticket->on_stack;
    ticket->status = status;
    if (status < 0)
        keep_error(ticket, error);
    atomic_store(&ticket->answered, true);
    int fd = atomic_load(&ticket->fd);
    if (fd >= 0)
        ticket->os->methods->event_signal(ticket->os, fd);
    sem_post(&ticket->done);
    if (!on_stack)
        ticket_release(ticket);
}

/* Sleeps until it is answered, or a while. */
static void sleep_a_while(struct fbat_ticket *ticket, uint64_t left_us) {
    struct timespec until;
    uint64_t slice_us = left_us < WAIT_SLICE_MS * UINT64_C(1000) ? left_us : WAIT_SLICE_MS * UINT64_C(1000);
    clock_gettime(CLOCK_REALTIME, &until);
    uint64_t nanoseconds = (uint64_t)until.tv_nsec + slice_us * 1000;
    until.tv_sec += (time_t)(nanoseconds / 1000000000);
    until.tv_nsec = (long)(nanoseconds % 1000000000);
    (void)sem_timedwait(&ticket->done, &until);
}

bool ticket_wait(struct fbat_ticket *ticket, uint32_t timeout_ms) {
    if (atomic_load_explicit(&ticket->answered, memory_order_acquire))
        return true;
    if (!mailbox_has_thread(&ticket->sequencer->mailbox)) {
        mailbox_finish_inline(ticket->sequencer);
        return atomic_load_explicit(&ticket->answered, memory_order_acquire);
    }
    uint64_t started_us = ticket->os->methods->monotonic_us(ticket->os), passed_us = 0;
    while (!atomic_load_explicit(&ticket->answered, memory_order_acquire)) {
        uint64_t bound_us = timeout_ms == FBAT_FOREVER ? UINT64_MAX : (uint64_t)timeout_ms * 1000;
        if (passed_us >= bound_us)
            return false;
        sleep_a_while(ticket, bound_us - passed_us);
        passed_us = ticket->os->methods->monotonic_us(ticket->os) - started_us;
    }
    return true;
}

int ticket_result(const struct fbat_ticket *ticket, struct fbat_receipt *out_receipts, struct fbat_error *error) {
    if (ticket->status >= 0 && out_receipts)
        memcpy(out_receipts, ticket->append->receipts, ticket->append->count * sizeof *out_receipts);
    if (ticket->status >= 0)
        return FBAT_OK;
    if (ticket->error && error)
        *error = *ticket->error;
    else if (!ticket->error)
        error_set(error, ticket->status, "%s (there was no memory for the detail)", fbat_strerror(ticket->status));
    return ticket->status;
}

int ticket_fd(struct fbat_ticket *ticket, int *out_fd, struct fbat_error *error) {
    int fd = atomic_load(&ticket->fd);
    if (fd < 0) {
        int os_errno = ticket->os->methods->event_create(ticket->os, &fd);
        if (os_errno == EMFILE || os_errno == ENFILE)
            return error_set(error, FBAT_ERR_LIMIT,
                             "no file descriptor is left for the ticket; raise the limit or release some");
        if (os_errno)
            return error_set_os(error, os_errno, "make a descriptor for", "a ticket");
        atomic_store(&ticket->fd, fd);
        if (atomic_load(&ticket->answered))
            ticket->os->methods->event_signal(ticket->os, fd);
    }
    *out_fd = fd;
    return FBAT_OK;
}

void ticket_release(struct fbat_ticket *ticket) {
    if (!ticket || atomic_fetch_sub(&ticket->references, 1) != 1)
        return;
    int fd = atomic_load(&ticket->fd);
    if (fd >= 0)
        ticket->os->methods->event_close(ticket->os, fd);
    sem_destroy(&ticket->done);
    memory_free(ticket->error);
    memory_free(ticket);
}
