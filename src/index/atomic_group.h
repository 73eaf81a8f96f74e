/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is visible together: the events of a batch (one frame), or of a fence (staged frames back to back, and a commit).
 *
 *     | events | staged  staged  commit | staged  commit | events | events
 *     '-group--'--------- group --------'---- group -----'-group--'-group--
 *
 * Thread rule: any thread; the caller holds the list, or the index.
 */
#ifndef FBAT_INDEX_ATOMIC_GROUP_H
#define FBAT_INDEX_ATOMIC_GROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "index/directory.h"

/* True when the event at position and the one behind it belong to one group. position is below a row count loaded
 * before. */
bool atomic_group_goes_on(const struct segment_index *index, uint32_t position);

/* The sequence where the last whole group up to `sequence` ends: `sequence`, unless that is in the middle of one.
 * `sequence` is visible. Errors: as segment_list_pin. */
int atomic_group_align(const struct segment_list *list, uint64_t sequence, uint64_t *out_sequence,
                       struct fbat_error *error);

#endif
