/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch of an import: see import_batch.h.
 *
 * Happy path: events gather until the batch is full by number or bytes, and go in as one frame. When the store answers
 * that some of them are not acceptable, or that only some are in it already, they go one by one, which tells which.
 * Failure: the store's own (disk, memory) ends the import. One thread.
 */
#include "import_batch.h"

#include <stdlib.h>
#include <string.h>

#include "heap.h"

void import_batch_init(struct import_batch *batch, struct fbat_store *store, const struct fbat_config *config) {
    memset(batch, 0, sizeof *batch);
    batch->store = store;
    batch->options.struct_size = sizeof batch->options;
    batch->options.level = FBAT_LEVEL_WRITTEN;
    batch->capacity = config->batch.max_size;
    batch->bytes_max = config->batch.max_bytes;
    batch->events = heap_allocate((batch->capacity + 1) * sizeof *batch->events);
    batch->receipts = heap_allocate(batch->capacity * sizeof *batch->receipts);
    batch->line_numbers = heap_allocate((batch->capacity + 1) * sizeof *batch->line_numbers);
}

void import_batch_deinit(struct import_batch *batch) {
    free(batch->events);
    free(batch->receipts);
    free(batch->line_numbers);
    batch->events = NULL;
    batch->receipts = NULL;
    batch->line_numbers = NULL;
}

struct fbat_new_event *import_batch_slot(struct import_batch *batch) {
    return &batch->events[batch->count];
}

static void count_receipt(struct import_batch *batch, const struct fbat_receipt *receipt) {
    if (receipt->replayed)
        batch->already++;
    else
        batch->added++;
}

/* Whether a status is about one event rather than about the store. */
static bool is_about_event(int status) {
    switch (status) {
    case FBAT_ERR_ARGUMENT:
    case FBAT_ERR_IDEMPOTENCY_CONFLICT:
    case FBAT_ERR_IDEMPOTENCY_PARTIAL:
    case FBAT_ERR_TOO_LARGE:
    case FBAT_ERR_KIND:
    case FBAT_ERR_NAME: return true;
    default: return false;
    }
}

static bool append_one(struct import_batch *batch, size_t index) {
    struct fbat_receipt receipt;
    int status = fbat_append(batch->store, &batch->events[index], &batch->options, &receipt, &batch->error);
    if (status == FBAT_OK) {
        count_receipt(batch, &receipt);
        return true;
    }
    batch->failed = !is_about_event(status);
    return !batch->failed && batch->refused(batch->user, batch->line_numbers[index], &batch->error);
}

static bool append_one_by_one(struct import_batch *batch, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!append_one(batch, i))
            return false;
    return true;
}

static bool append_together(struct import_batch *batch, size_t count) {
    int status = fbat_append_batch(batch->store, batch->events, count, &batch->options, batch->receipts, &batch->error);
    if (is_about_event(status))
        return append_one_by_one(batch, count);
    batch->failed = status != FBAT_OK;
    for (size_t i = 0; i < count && !batch->failed; i++)
        count_receipt(batch, &batch->receipts[i]);
    return !batch->failed;
}

bool import_batch_flush(struct import_batch *batch) {
    size_t count = batch->count;
    batch->count = 0;
    batch->bytes = 0;
    if (count == 0)
        return true;
    return count == 1 ? append_one(batch, 0) : append_together(batch, count);
}

/* Appends what is before the newest event, and makes that one the first. */
static bool flush_before_last(struct import_batch *batch) {
    size_t last = batch->count;
    bool flushed = import_batch_flush(batch);
    batch->events[0] = batch->events[last];
    batch->line_numbers[0] = batch->line_numbers[last];
    return flushed;
}

bool import_batch_add(struct import_batch *batch, uint64_t line_number) {
    size_t bytes = batch->events[batch->count].payload.size;
    batch->line_numbers[batch->count] = line_number;
    if (batch->count > 0 && (bytes > batch->bytes_max || batch->bytes > batch->bytes_max - bytes) &&
        !flush_before_last(batch))
        return false;
    batch->count++;
    batch->bytes += bytes;
    return (batch->count < batch->capacity && batch->bytes < batch->bytes_max) || import_batch_flush(batch);
}
