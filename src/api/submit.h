/* SPDX-License-Identifier: Apache-2.0 */
/* Submitting what was checked. */
#ifndef FBAT_API_SUBMIT_H
#define FBAT_API_SUBMIT_H

#include <fbat/fbat.h>

#include "write/fence.h"
#include "write/sequencer.h"

/* A ticket for a checked append, put into the mailbox. */
int submit_append(struct fbat_store *store, const struct append *append, struct fbat_ticket **out_ticket,
                  struct fbat_error *error);

#endif
