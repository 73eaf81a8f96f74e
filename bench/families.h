/* SPDX-License-Identifier: Apache-2.0 */
/* The families of figures: each prints its rows. */
#ifndef FBAT_BENCH_FAMILIES_H
#define FBAT_BENCH_FAMILIES_H

void family_import(void);  /* by the command */
void family_append(void);  /* level written */
void family_durable(void); /* level durable */
void family_read(void);    /* points, streams, queries */
void family_open(void);    /* after a clean close and after kill -9 */
void family_size(void);    /* memory and disk */

#endif
