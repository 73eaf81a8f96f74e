/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of tickets. */
#include "api/append_request.h"
#include "api/handle.h"
#include "api/submit.h"
#include "base/error.h"
#include "store/store.h"
#include "write/ticket.h"

int submit_append(struct fbat_store *store, const struct append *append, struct fbat_ticket **out_ticket,
                  struct fbat_error *error) {
    struct fbat_ticket *ticket = NULL;
    if (!out_ticket)
        return error_set(error, FBAT_ERR_ARGUMENT, "out_ticket is NULL");
    FBAT_TRY(ticket_create(&store->sequencer, append, &ticket, error));
    ticket->fork_generation = store->fork_generation;
    int status = mailbox_put(&store->sequencer.mailbox, ticket, error);
    if (status < 0) {
        ticket_release(ticket); /* the caller's reference, and the one of who would have answered */
        ticket_release(ticket);
        return status;
    }
    *out_ticket = ticket;
    return FBAT_OK;
}

static int submit_events(struct fbat_store *store, const struct fbat_new_event *events, size_t count, bool is_batch,
                         const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                         struct fbat_error *error) {
    struct append append = {0};
    FBAT_TRY(handle_check_writable(store, error));
    FBAT_TRY(append_request(&store->config, events, count, is_batch, options, NULL, &append, error));
    return submit_append(store, &append, out_ticket, error);
}

int fbat_submit(struct fbat_store *store, const struct fbat_new_event *event, const struct fbat_append_options *options,
                struct fbat_ticket **out_ticket, struct fbat_error *out_error) {
    return submit_events(store, event, 1, false, options, out_ticket, out_error);
}

int fbat_submit_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                      const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                      struct fbat_error *out_error) {
    return submit_events(store, events, count, true, options, out_ticket, out_error);
}

int fbat_submit_reaction(struct fbat_store *store, const struct fbat_id *cause, const struct fbat_new_event *event,
                         const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                         struct fbat_error *out_error) {
    struct fbat_new_event reaction;
    FBAT_TRY(handle_check_writable(store, out_error));
    FBAT_TRY(append_request_reaction(store, cause, event, &reaction, out_error));
    return submit_events(store, &reaction, 1, false, options, out_ticket, out_error);
}

/* FBAT_OK when a ticket would be taken now. */
static int check_taken(struct fbat_store *store, struct fbat_error *error) {
    FBAT_TRY(handle_check_writable(store, error));
    FBAT_TRY(sequencer_check_alive(&store->sequencer, error));
    if (atomic_load_explicit(&store->sequencer.fence, memory_order_acquire))
        return fence_refuse(NULL, error);
    return mailbox_check_pressure(&store->sequencer.mailbox, error);
}

static int try_submit_events(struct fbat_store *store, const struct fbat_new_event *events, size_t count, bool is_batch,
                             const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                             struct fbat_error *error) {
    struct append append = {0};
    FBAT_TRY(handle_check_writable(store, error));
    FBAT_TRY(append_request(&store->config, events, count, is_batch, options, NULL, &append, error));
    int status = check_taken(store, error);
    return status == FBAT_OK ? submit_append(store, &append, out_ticket, error) : status;
}

int fbat_try_submit(struct fbat_store *store, const struct fbat_new_event *event,
                    const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                    struct fbat_error *out_error) {
    return try_submit_events(store, event, 1, false, options, out_ticket, out_error);
}

int fbat_try_submit_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                          const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                          struct fbat_error *out_error) {
    return try_submit_events(store, events, count, true, options, out_ticket, out_error);
}

static int check_ticket(const struct fbat_ticket *ticket, struct fbat_error *error) {
    if (!ticket)
        return error_set(error, FBAT_ERR_ARGUMENT, "ticket is NULL");
    return handle_check_generation(ticket->fork_generation, error); /* nobody would answer it in a child */
}

int fbat_ticket_wait(struct fbat_ticket *ticket, uint32_t timeout_ms, struct fbat_receipt *out_receipts,
                     struct fbat_error *out_error) {
    FBAT_TRY(check_ticket(ticket, out_error));
    if (!ticket_wait(ticket, timeout_ms))
        return FBAT_RETRY;
    return ticket_result(ticket, out_receipts, out_error);
}

int fbat_ticket_poll(struct fbat_ticket *ticket, struct fbat_receipt *out_receipts, struct fbat_error *out_error) {
    FBAT_TRY(check_ticket(ticket, out_error));
    if (!atomic_load_explicit(&ticket->answered, memory_order_acquire))
        return FBAT_RETRY;
    return ticket_result(ticket, out_receipts, out_error);
}

size_t fbat_ticket_count(const struct fbat_ticket *ticket) {
    return ticket ? ticket->append->count : 0;
}

int fbat_ticket_fd(struct fbat_ticket *ticket, int *out_fd, struct fbat_error *out_error) {
    FBAT_TRY(check_ticket(ticket, out_error));
    if (!out_fd)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_fd is NULL");
    return ticket_fd(ticket, out_fd, out_error);
}

void fbat_ticket_release(struct fbat_ticket *ticket) {
    ticket_release(ticket);
}

void fbat_pressure(struct fbat_store *store, struct fbat_pressure *out_pressure) {
    *out_pressure = (struct fbat_pressure){0};
    if (handle_check_writable(store, NULL) == FBAT_OK)
        mailbox_pressure(&store->sequencer.mailbox, out_pressure);
}
