/* SPDX-License-Identifier: Apache-2.0 */
/* From what a caller gives to what the sequencer takes: checked, before any lock. Any thread. */
#ifndef FBAT_API_APPEND_REQUEST_H
#define FBAT_API_APPEND_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include <fbat/fbat.h>

#include "write/sequencer.h"

/* The level and the conditions of an append. options may be NULL. */
int append_request_options(const struct fbat_config *config, const struct fbat_append_options *options,
                           struct append *out_append, struct fbat_error *error);

/* The whole of it: options and events, within all limits. */
int append_request(const struct fbat_config *config, const struct fbat_new_event *events, size_t count, bool is_batch,
                   const struct fbat_append_options *options, struct fbat_receipt *receipts, struct append *out_append,
                   struct fbat_error *error);

/* The event as a reaction to the visible event with the id *cause. FBAT_ERR_NOT_FOUND. */
int append_request_reaction(struct fbat_store *store, const struct fbat_id *cause, const struct fbat_new_event *event,
                            struct fbat_new_event *out_event, struct fbat_error *error);

#endif
