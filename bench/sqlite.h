/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite as a peer: one table of events with indexes on id, stream, kind and scope, in WAL mode, prepared statements,
 * a mapping over the whole file. No hash chain, no checksums: less than fbat does for each event.
 *
 * synchronous=NORMAL is fbat's level `written` (a power cut may lose it), FULL is `durable`.
 *
 * Built where sqlite3.h is, used where libsqlite3 can be loaded; elsewhere sqlite_open answers NULL.
 */
#ifndef FBAT_BENCH_SQLITE_H
#define FBAT_BENCH_SQLITE_H

#include <stdbool.h>
#include <stdint.h>

#include "harness.h"

struct sqlite_peer;

/* Opens or creates the database. NULL where there is no SQLite. */
struct sqlite_peer *sqlite_open(const char *name, bool full);
void sqlite_close(struct sqlite_peer *peer);

/* Removes a database and its side files. */
void sqlite_remove(const char *name);

uint64_t sqlite_event_count(struct sqlite_peer *peer);

/* "SQLite 3.40.1", or what is missing. Static. */
const char *sqlite_describe(void);

/* Runs of a subject; user is the peer. */
uint64_t sqlite_append_run(void *user, uint64_t count); /* one transaction each */
uint64_t sqlite_batch_run(void *user, uint64_t count);  /* 256 in a transaction */
uint64_t sqlite_get_run(void *user, uint64_t count);
uint64_t sqlite_stream_run(void *user, uint64_t count); /* whole streams, until count events were read */
uint64_t sqlite_kind_run(void *user, uint64_t count);   /* count queries */

/* A subject over the peer, measured apart, without a run when peer is NULL. */
struct subject sqlite_subject(struct sqlite_peer *peer, uint64_t (*run)(void *user, uint64_t count), uint64_t count);

#endif
