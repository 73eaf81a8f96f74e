/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ticket: an append that is on its way without its caller, and its answer.
 *
 * Heap tickets are counted: one reference is the caller's, one belongs to whoever has to answer. The ticket of a blocking
 * append that takes its place in the mailbox stands on that call's stack.
 *
 * Thread rule: one caller's thread at a time; ticket_answer once, from any thread.
 */
#ifndef FBAT_WRITE_TICKET_H
#define FBAT_WRITE_TICKET_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <fbat/fbat.h>

#include "write/sequencer.h"

struct fbat_ticket {
    struct append *append;    /* `own`, or that of a blocking call */
    struct fbat_ticket *next; /* in the list it is in: its fence's, or those to be staged again */
    struct sequencer *sequencer;
    struct os *os;
    _Atomic int references;
    _Atomic bool answered;
    bool on_stack;
    unsigned fork_generation; /* of the process that submitted it; the API's */
    int status;               /* the answer */
    struct fbat_error *error; /* its detail; NULL when there is none, or no memory for it */
    _Atomic int fd;           /* -1: none asked for */
    sem_t done;               /* posted once answered */
    struct append own;
};

/* A ticket with copies of all that `append` points to, and room for its receipts. */
int ticket_create(struct sequencer *sequencer, const struct append *append, struct fbat_ticket **out_ticket,
                  struct fbat_error *error);

/* The ticket of a blocking append, on its stack. error is filled when it fails. */
void ticket_init_on_stack(struct fbat_ticket *ticket, struct sequencer *sequencer, struct append *append,
                          struct fbat_error *error);

/* Gives the answer. error is copied; NULL when status is not an error. The last use of the ticket by who answers. */
void ticket_answer(struct fbat_ticket *ticket, int status, const struct fbat_error *error);

/* Waits at most timeout_ms: true when it is answered. */
bool ticket_wait(struct fbat_ticket *ticket, uint32_t timeout_ms);

/* The answer of an answered ticket. */
int ticket_result(const struct fbat_ticket *ticket, struct fbat_receipt *out_receipts, struct fbat_error *error);

int ticket_fd(struct fbat_ticket *ticket, int *out_fd, struct fbat_error *error);

/* NULL is accepted. */
void ticket_release(struct fbat_ticket *ticket);

#endif
