/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that testify, and a witness who follows a log and believes nothing.
 *
 * A payload says who appended it (life, author, operation), which item of how many it is, and carries a checksum over all
 * of it: a torn, mixed up or half visible event gives itself away. A witness takes events in the order of the log and
 * complains about the first one that does not follow what it has seen: sequences without gap or repetition, revisions and
 * hash chain of each stream, operations whole and unmixed.
 *
 * Thread rule: a witness belongs to one thread. Nothing here uses cmocka's asserts, so threads and children may call it.
 */
#ifndef FBAT_TESTS_API_WITNESS_H
#define FBAT_TESTS_API_WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "support/test.h"

enum { WITNESS_STREAMS = 7, WITNESS_COMPLAINT_SIZE = 400, TESTIMONY_BYTES = 32, AUTHOR_ITEMS_MAX = 16 };

/* At the front of each payload. */
struct testimony {
    uint64_t checksum; /* of all that follows */
    uint32_t life, author, operation;
    uint32_t item, count; /* of the operation, which is one frame or one fence */
    uint32_t bytes;       /* of the payload */
};

/* ---- making them ---- */

/* Makes the events of one operation after the other, from its seed. */
struct author {
    struct test_random random;
    uint32_t life, number, operation;
    uint32_t payload_max; /* bytes of a usual payload */
    uint32_t large_bytes; /* of a rare, large one; 0 = none */
    uint32_t durable_one_in;
    bool fences; /* some operations are fences */
    uint8_t *payloads[AUTHOR_ITEMS_MAX];
    struct fbat_new_event events[AUTHOR_ITEMS_MAX];
};

void author_init(struct author *author, uint64_t seed, uint32_t life, uint32_t number);
void author_deinit(struct author *author);

/* Makes the next operation's events: count of them, at most AUTHOR_ITEMS_MAX. They are valid until the next call. False for
 * want of memory. */
bool author_make(struct author *author, uint32_t count);

/* One random operation: a single append, a batch, a fence in several parts that is committed or not, a few tickets, a sync.
 * The status of what failed; a fence of another author in the way is none. */
int author_act(struct author *author, struct fbat_store *store, struct fbat_error *error);

/* ---- believing nothing ---- */

struct witness_head {
    uint64_t revision;
    uint8_t hash[32];
};

struct witness {
    uint64_t seen;   /* the last sequence */
    uint64_t digest; /* of all events seen, in their order: equal only if what was seen is */
    struct witness_head heads[WITNESS_STREAMS];
    struct testimony current; /* the operation that the last event belongs to */
    uint32_t items_left;      /* of it */
    uint64_t *marks;          /* the start of each event's hash, by sequence - 1 */
    uint64_t marks_room;
    char complaint[WITNESS_COMPLAINT_SIZE]; /* the first one; empty = none */
};

void witness_init(struct witness *witness);
void witness_deinit(struct witness *witness);

/* All of these are false after a complaint. */

/* The payload is whole. */
bool witness_believes(struct witness *witness, const struct fbat_event *event);

/* The event that follows what was seen. */
bool witness_take(struct witness *witness, const struct fbat_event *event);

/* All that is visible now and was not seen yet, by a query or one by one; operations are whole at the end of it. */
bool witness_look(struct witness *witness, struct fbat_store *store);
bool witness_step(struct witness *witness, struct fbat_store *store);

/* Any event seen before, found again by sequence, id, and as a part of its stream. */
bool witness_recall(struct witness *witness, struct fbat_store *store, struct test_random *random);

/* Any stream, from its first event, against what was seen of it: at least as many, and chained. */
bool witness_read_stream(struct witness *witness, struct fbat_store *store, struct test_random *random);

#endif
