/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heads of all streams of the store: what the sequencer must know to number and chain the next event. In memory,
 * built at opening from the segments' stream tables, kept up to date by the sequencer.
 *
 * Thread rule: under the sequencer's lock. Readers do not use it.
 *
 * I1: a head with revision 0 exists only between streams_find_or_add and the commit or streams_forget of one append.
 */
#ifndef FBAT_INDEX_STREAMS_H
#define FBAT_INDEX_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "index/chunks.h"
#include "index/segment_index.h"
#include "index/slots.h"

struct stream_head {
    uint64_t name_hash;
    const uint8_t *names; /* scope, then entity; in the arena */
    uint16_t scope_bytes;
    uint16_t entity_bytes;
    uint32_t local;         /* index in local_segment's streams */
    uint64_t local_segment; /* the segment in which it was seen last, 0 none */
    uint64_t revision;      /* of its last event */
    uint64_t last_sequence;
    uint8_t last_hash[32];
    uint64_t draft_epoch;    /* the append that draft_* belong to */
    uint64_t draft_revision; /* revision as that append's items so far leave it */
    uint32_t draft_item;     /* the item that is the head's last there */
};

struct streams_arena_block;

struct streams {
    struct chunks heads; /* struct stream_head */
    struct slots slots;
    uint32_t count;
    struct streams_arena_block *arena; /* the block in use; older ones hang behind it */
    uint64_t arena_bytes;
};

bool streams_init(struct streams *streams);
void streams_deinit(struct streams *streams);

/* The head of a stream, or NULL. */
struct stream_head *streams_find(const struct streams *streams, uint64_t name_hash, struct fbat_slice scope,
                                 struct fbat_slice entity);

/* The head of a stream, added with revision 0 where there was none. NULL when out of memory. */
struct stream_head *streams_find_or_add(struct streams *streams, uint64_t name_hash, struct fbat_slice scope,
                                        struct fbat_slice entity);

/* Takes out the heads that were added since there were `count`. */
void streams_forget(struct streams *streams, uint32_t count);

/* Brings all heads up to date with a segment, the segments before it being folded in already. */
int streams_fold(struct streams *streams, const struct segment_index *index, struct fbat_error *error);

uint64_t streams_memory(const struct streams *streams);

#endif
