/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions of named cursors: DIR/state.mdb, an LMDB file that any process may have open, also one that only reads the log.
 *
 * In the database "cursors", for each name (1 to 255 bytes), all numbers little-endian:
 *
 *     OFFSET  SIZE  FIELD
 *          0     4  version, 1
 *          4     4  zero
 *          8     8  position: sequence up to which everything is committed
 *         16     8  when, microseconds since the epoch
 *         24    16  identity of the store
 *         40
 *
 * A record is valid if and only if it has 40 bytes, its version is 1, the zero is zero and the identity is the store's.
 *
 * A commit, and what a crash leaves of it:
 *
 *     1  the log is made durable up to the position   before 2 is done: the old position; events come again
 *     2  one LMDB transaction, synced                 after it: the new position, and the log reaches it
 *
 * A position beyond the end of the log would hide the events that take those sequences later: so 1 before 2, and a record that
 * is beyond the end (the log is an older copy) is an error for who opens it.
 *
 * LMDB does not bear two environments of one file in a process, nor one that crossed fork(): a list keeps one for each
 * path and process, counted.
 *
 * Thread rule: any thread; each environment's lock makes its transactions one after the other.
 */
#ifndef FBAT_DELIVER_POSITIONS_H
#define FBAT_DELIVER_POSITIONS_H

#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "store/store.h"

enum { POSITION_NAME_BYTES_MAX = 255, POSITION_RECORD_BYTES = 40 };

struct position {
    uint64_t sequence;
    int64_t committed_us;
};

/* An open state.mdb, counted. */
struct positions;

/* FBAT_ERR_NAME for a name that no cursor can have. */
int positions_check_name(struct fbat_slice name, struct fbat_error *error);

/* FBAT_END: there is no state.mdb, and create is false. */
int positions_open(struct fbat_store *store, bool create, struct positions **out_positions, struct fbat_error *error);
void positions_close(struct positions *positions); /* NULL is accepted */

/* FBAT_ERR_NOT_FOUND, FBAT_ERR_DAMAGED (not valid). */
int positions_get(struct positions *positions, struct fbat_slice name, struct position *out_position,
                  struct fbat_error *error);
int positions_put(struct positions *positions, struct fbat_slice name, const struct position *position,
                  struct fbat_error *error);
int positions_remove(struct positions *positions, struct fbat_slice name, struct fbat_error *error);

/* The first name behind `name` (of *size bytes; 0: the first of all), in place; FBAT_END: none. */
int positions_next_name(struct positions *positions, char name[POSITION_NAME_BYTES_MAX], size_t *size,
                        struct fbat_error *error);

#endif
