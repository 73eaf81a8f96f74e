/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events that import has read and not yet appended, and what became of those it has.
 */
#ifndef FBAT_CLI_IMPORT_BATCH_H
#define FBAT_CLI_IMPORT_BATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

struct import_batch {
    struct fbat_store *store;
    struct fbat_append_options options;
    struct fbat_new_event *events; /* capacity of them */
    struct fbat_receipt *receipts;
    uint64_t *line_numbers;
    size_t capacity;
    size_t count;
    size_t bytes; /* of payloads */
    size_t bytes_max;
    uint64_t added;   /* events written */
    uint64_t already; /* events that were in the store */
    bool failed;      /* the store cannot go on; error says why */
    struct fbat_error error;
    /* Told of an event that the store refuses; false stops there. */
    bool (*refused)(void *user, uint64_t line_number, const struct fbat_error *error);
    void *user;
};

void import_batch_init(struct import_batch *batch, struct fbat_store *store, const struct fbat_config *config);
void import_batch_deinit(struct import_batch *batch);

/* Where the next event is to be read. */
struct fbat_new_event *import_batch_slot(struct import_batch *batch);

/* Takes the event in that slot. False: stop, for the store has failed or refused says so. */
bool import_batch_add(struct import_batch *batch, uint64_t line_number);

/* Appends all that waits. False as above. */
bool import_batch_flush(struct import_batch *batch);

#endif
