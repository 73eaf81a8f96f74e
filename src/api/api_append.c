/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of appending. */
#include "api/handle.h"
#include "api/validate.h"
#include "base/error.h"
#include "store/store.h"

static int choose_level(const struct fbat_store *store, const struct fbat_append_options *options,
                        enum fbat_level *out_level, struct fbat_error *error) {
    enum fbat_level level = FBAT_LEVEL_DEFAULT;
    if (options && options->struct_size != sizeof *options)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu: set it to sizeof options",
                         options->struct_size, sizeof *options);
    if (options)
        level = options->level;
    if ((unsigned)level > FBAT_LEVEL_DURABLE)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.level is %d, expected 0 to 2", (int)level);
    if (level == FBAT_LEVEL_DEFAULT)
        level = store->config.sync.every_n_events == 1 ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN;
    *out_level = level;
    return FBAT_OK;
}

static int append_events(struct fbat_store *store, const struct fbat_new_event *events, size_t count, bool is_batch,
                         const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                         struct fbat_error *error) {
    enum fbat_level level = FBAT_LEVEL_DEFAULT;
    FBAT_TRY(handle_check_writable(store, error));
    FBAT_TRY(choose_level(store, options, &level, error));
    FBAT_TRY(validate_events(&store->config, events, count, is_batch, error));
    return sequencer_append(&store->sequencer, events, (uint32_t)count, level, is_batch, out_receipts, error);
}

int fbat_append(struct fbat_store *store, const struct fbat_new_event *event, const struct fbat_append_options *options,
                struct fbat_receipt *out_receipt, struct fbat_error *out_error) {
    if (!event)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "event is NULL");
    return append_events(store, event, 1, false, options, out_receipt, out_error);
}

int fbat_append_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                      const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                      struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    if (!events || count == 0)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "the batch is empty");
    if (count > store->config.batch.max_size)
        return error_set(out_error, FBAT_ERR_TOO_LARGE, "the batch has %zu events; batch.max_size allows %u", count,
                         store->config.batch.max_size);
    return append_events(store, events, count, true, options, out_receipts, out_error);
}

int fbat_id_generate(struct fbat_store *store, struct fbat_id *out_id, struct fbat_error *out_error) {
    FBAT_TRY(handle_check_writable(store, out_error));
    if (!out_id)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_id is NULL");
    return sequencer_generate_id(&store->sequencer, out_id, out_error);
}
