/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry points of fences.
 *
 * A fence handle outlives its store, so nothing of the store is touched before the fence is known to be open.
 */
#include "api/append_request.h"
#include "api/handle.h"
#include "base/error.h"
#include "store/store.h"
#include "write/fence.h"

static int check_handle(const struct fbat_fence *fence, struct fbat_error *error) {
    if (!fence)
        return error_set(error, FBAT_ERR_ARGUMENT, "fence is NULL");
    FBAT_TRY(handle_check_generation(fence->fork_generation, error));
    return fence_check_open(fence, error);
}

int fbat_fence_begin(struct fbat_store *store, struct fbat_fence **out_fence, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    if (!out_fence)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_fence is NULL");
    FBAT_TRY(fence_begin(&store->sequencer, out_fence, out_error));
    (*out_fence)->fork_generation = store->fork_generation;
    return FBAT_OK;
}

static int append_under(struct fbat_fence *fence, const struct fbat_new_event *events, size_t count, bool is_batch,
                        const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                        struct fbat_error *error) {
    struct append append = {0};
    FBAT_TRY(check_handle(fence, error));
    FBAT_TRY(append_request(fence->sequencer->config, events, count, is_batch, options, out_receipts, &append, error));
    return fence_append(fence, &append, error);
}

int fbat_fence_append(struct fbat_fence *fence, const struct fbat_new_event *event,
                      const struct fbat_append_options *options, struct fbat_receipt *out_receipt,
                      struct fbat_error *out_error) {
    return append_under(fence, event, 1, false, options, out_receipt, out_error);
}

int fbat_fence_append_batch(struct fbat_fence *fence, const struct fbat_new_event *events, size_t count,
                            const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                            struct fbat_error *out_error) {
    return append_under(fence, events, count, true, options, out_receipts, out_error);
}

int fbat_fence_commit(struct fbat_fence *fence, const struct fbat_append_options *options,
                      struct fbat_error *out_error) {
    struct append append = {0};
    int status = check_handle(fence, out_error);
    if (status == FBAT_OK)
        status = append_request_options(fence->sequencer->config, options, &append, out_error);
    if (status == FBAT_OK)
        return fence_commit(fence, &append, out_error);
    fbat_fence_cancel(fence);
    return status;
}

void fbat_fence_cancel(struct fbat_fence *fence) {
    if (fence && handle_check_generation(fence->fork_generation, NULL) == FBAT_OK)
        fence_cancel(fence);
}
