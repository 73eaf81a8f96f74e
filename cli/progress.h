/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One bar on standard error for long work, only when that is a terminal: share done, count, rate, time left.
 */
#ifndef FBAT_CLI_PROGRESS_H
#define FBAT_CLI_PROGRESS_H

#include <stdint.h>

/* Starts the bar; label is borrowed; noun is what is counted ("events"). bytes_total 0 = not known. */
void progress_start(const char *label, const char *noun, uint64_t bytes_total);

/* Call as often as you like; it draws a few times a second. */
void progress_update(uint64_t bytes_done, uint64_t bytes_total, uint64_t count);

/* Takes the bar off the screen, before a message and at the end. It comes back with the next update. */
void progress_clear(void);
void progress_stop(void);

#endif
