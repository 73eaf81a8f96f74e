/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of appending. */
#include "api/append_request.h"
#include "api/handle.h"
#include "base/error.h"
#include "store/store.h"

static int append_events(struct fbat_store *store, const struct fbat_new_event *events, size_t count, bool is_batch,
                         const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                         struct fbat_error *error) {
    struct append append = {0};
    FBAT_TRY(handle_check_writable(store, error));
    FBAT_TRY(append_request(&store->config, events, count, is_batch, options, out_receipts, &append, error));
    return sequencer_append(&store->sequencer, &append, error);
}

int fbat_append(struct fbat_store *store, const struct fbat_new_event *event, const struct fbat_append_options *options,
                struct fbat_receipt *out_receipt, struct fbat_error *out_error) {
    return append_events(store, event, 1, false, options, out_receipt, out_error);
}

int fbat_append_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                      const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                      struct fbat_error *out_error) {
    return append_events(store, events, count, true, options, out_receipts, out_error);
}

int fbat_append_reaction(struct fbat_store *store, const struct fbat_id *cause, const struct fbat_new_event *event,
                         const struct fbat_append_options *options, struct fbat_receipt *out_receipt,
                         struct fbat_error *out_error) {
    struct fbat_new_event reaction;
    FBAT_TRY(handle_check_writable(store, out_error));
    FBAT_TRY(append_request_reaction(store, cause, event, &reaction, out_error));
    return append_events(store, &reaction, 1, false, options, out_receipt, out_error);
}

int fbat_id_generate(struct fbat_store *store, struct fbat_id *out_id, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    if (!out_id)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_id is NULL");
    return sequencer_generate_id(&store->sequencer, out_id, out_error);
}
