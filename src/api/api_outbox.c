/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: events collected, each checked when it comes, and appended as one batch.
 *
 * I1: what is staged passed all checks that need no look at the store, as one batch.
 */
#include "api/append_request.h"
#include "api/handle.h"
#include "api/submit.h"
#include "api/validate.h"
#include "base/error.h"
#include "base/memory.h"
#include "store/store.h"
#include "write/event_copy.h"

struct fbat_outbox {
    struct fbat_store *store;
    struct fbat_fence *fence; /* NULL: none */
    size_t count;
    uint64_t payload_bytes;
    struct fbat_new_event *events; /* batch.max_size of them; what they point to is in their copy */
    struct fbat_new_event *copies[];
};

int fbat_outbox_create(struct fbat_store *store, struct fbat_fence *fence, struct fbat_outbox **out_outbox,
                       struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    if (!out_outbox)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_outbox is NULL");
    size_t most = store->config.batch.max_size;
    struct fbat_outbox *outbox = memory_allocate_zero(sizeof *outbox + most * sizeof outbox->copies[0]);
    if (outbox)
        outbox->events = memory_allocate_zero(most * sizeof *outbox->events);
    if (!outbox || !outbox->events) {
        memory_free(outbox);
        return error_set_no_memory(out_error);
    }
    outbox->store = store;
    outbox->fence = fence;
    *out_outbox = outbox;
    return FBAT_OK;
}

static int check_outbox(const struct fbat_outbox *outbox, struct fbat_error *error) {
    return outbox ? FBAT_OK : error_set(error, FBAT_ERR_ARGUMENT, "outbox is NULL");
}

/* Whether the batch would still be within its limits with this event. */
static int check_fits(const struct fbat_outbox *outbox, const struct fbat_new_event *event, struct fbat_error *error) {
    const struct fbat_config *config = &outbox->store->config;
    if (outbox->count == config->batch.max_size)
        return error_set(error, FBAT_ERR_TOO_LARGE, "the outbox holds %zu events, as many as batch.max_size; flush it",
                         outbox->count);
    if (outbox->payload_bytes + event->payload.size > config->batch.max_bytes)
        return error_set(error, FBAT_ERR_TOO_LARGE,
                         "the outbox would hold %llu payload bytes; batch.max_bytes allows %u; flush it first",
                         (unsigned long long)outbox->payload_bytes + event->payload.size, config->batch.max_bytes);
    return FBAT_OK;
}

static int check_staged(const struct fbat_outbox *outbox, const struct fbat_new_event *event,
                        struct fbat_error *error) {
    if (!event)
        return error_set(error, FBAT_ERR_ARGUMENT, "event is NULL");
    FBAT_TRY(validate_event(&outbox->store->config, event, outbox->count, error));
    return check_fits(outbox, event, error);
}

int fbat_outbox_stage(struct fbat_outbox *outbox, const struct fbat_new_event *event, struct fbat_error *out_error) {
    FBAT_TRY(check_outbox(outbox, out_error));
    FBAT_TRY(handle_check_writable(outbox->store, out_error));
    int status = check_staged(outbox, event, out_error);
    if (status < 0 && out_error) {
        out_error->item = outbox->count;
        out_error->stage = FBAT_STAGE_VALIDATE;
    }
    FBAT_TRY(status);
    void *memory = memory_allocate(event_copy_bytes(event, 1));
    if (!memory)
        return error_set_no_memory(out_error);
    outbox->copies[outbox->count] = event_copy(event, 1, memory);
    outbox->events[outbox->count] = *outbox->copies[outbox->count];
    outbox->payload_bytes += event->payload.size;
    outbox->count++;
    return FBAT_OK;
}

size_t fbat_outbox_count(const struct fbat_outbox *outbox) {
    return outbox ? outbox->count : 0;
}

int fbat_outbox_flush(struct fbat_outbox *outbox, const struct fbat_append_options *options,
                      struct fbat_receipt *out_receipts, struct fbat_error *out_error) {
    FBAT_TRY(check_outbox(outbox, out_error));
    if (outbox->count == 0)
        return FBAT_OK;
    int status =
        outbox->fence
            ? fbat_fence_append_batch(outbox->fence, outbox->events, outbox->count, options, out_receipts, out_error)
            : fbat_append_batch(outbox->store, outbox->events, outbox->count, options, out_receipts, out_error);
    if (status == FBAT_OK)
        fbat_outbox_clear(outbox);
    return status;
}

int fbat_outbox_submit(struct fbat_outbox *outbox, const struct fbat_append_options *options,
                       struct fbat_ticket **out_ticket, struct fbat_error *out_error) {
    struct append append = {0};
    FBAT_TRY(check_outbox(outbox, out_error));
    if (outbox->fence)
        FBAT_TRY(fence_check_open(outbox->fence, out_error));
    FBAT_TRY(handle_check_writable(outbox->store, out_error));
    FBAT_TRY(
        append_request(&outbox->store->config, outbox->events, outbox->count, true, options, NULL, &append, out_error));
    append.fence = outbox->fence;
    FBAT_TRY(submit_append(outbox->store, &append, out_ticket, out_error));
    fbat_outbox_clear(outbox);
    return FBAT_OK;
}

void fbat_outbox_clear(struct fbat_outbox *outbox) {
    if (!outbox)
        return;
    for (size_t at = 0; at < outbox->count; at++)
        memory_free(outbox->copies[at]);
    outbox->count = 0;
    outbox->payload_bytes = 0;
}

void fbat_outbox_destroy(struct fbat_outbox *outbox) {
    if (!outbox)
        return;
    fbat_outbox_clear(outbox);
    memory_free(outbox->events);
    memory_free(outbox);
}
