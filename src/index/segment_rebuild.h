/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of a sealed segment whose footer is of no use, made again from its frames, in memory. It says what the
 * footer said: rows have the same numbers, so whoever held one of those goes on with this.
 */
#ifndef FBAT_INDEX_SEGMENT_REBUILD_H
#define FBAT_INDEX_SEGMENT_REBUILD_H

#include <fbat/fbat.h>

#include "index/segment_index.h"

/* Reads the frames up to the last sequence of the summary. Takes over the segment, on failure too. FBAT_ERR_DAMAGED: they
 * are not the events that the summary is about. */
int segment_rebuild(struct segment *segment, const struct segment_summary *summary, struct segment_index **out_index,
                    struct fbat_error *error);

#endif
