/* SPDX-License-Identifier: Apache-2.0 */
/* What a caller may append. */
#ifndef FBAT_API_VALIDATE_H
#define FBAT_API_VALIDATE_H

#include <stdbool.h>

#include <fbat/fbat.h>

/* FBAT_OK, or the error of the first event that is not acceptable; in a batch it names the item. */
int validate_events(const struct fbat_config *config, const struct fbat_new_event *events, size_t count, bool is_batch,
                    struct fbat_error *error);

/* The same for one event, which stands at place `item` of its batch. */
int validate_event(const struct fbat_config *config, const struct fbat_new_event *event, size_t item,
                   struct fbat_error *error);

/* An entity or scope; `what` names it in the message. */
int validate_name(struct fbat_slice name, const char *what, struct fbat_error *error);

#endif
