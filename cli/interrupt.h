/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C (and SIGTERM) as a question that long work asks, instead of an end in the middle of something. The second
 * one ends the process as usual.
 */
#ifndef FBAT_CLI_INTERRUPT_H
#define FBAT_CLI_INTERRUPT_H

void interrupt_watch(void);

/* The signal that came, 0 = none. The exit code is then 128 + it. */
int interrupt_signal(void);

/* Waits until fd can be read (fd -1: never can), for timeout_ms at most (-1: for ever). 1 readable or at its end,
 * 0 time is up, -1 a watched signal has come, before or during the wait. */
int interrupt_wait(int fd, int timeout_ms);

#endif
