/* SPDX-License-Identifier: Apache-2.0 */
/* The families of figures: each prints its rows. */
#ifndef FBAT_BENCH_FAMILIES_H
#define FBAT_BENCH_FAMILIES_H

void family_import(void);  /* by the command */
void family_append(void);  /* level written */
void family_durable(void); /* level durable */
void family_submit(void);  /* tickets, fences, outboxes */
void family_read(void);    /* points, streams, queries */
void family_deliver(void); /* subscriptions, cursors */
void family_open(void);    /* after a clean close and after kill -9 */
void family_size(void);    /* memory and disk */
void family_large(void);   /* cost against size */

/* Works of the write path, for a profiler: no figures. */
void profile_append(void);  /* level written, one thread */
void profile_durable(void); /* level durable, 64 threads */
void profile_submit(void);  /* 1,024 tickets outstanding, level written */

#endif
