/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place where threads stop while it is shut: it makes a test decide who goes first.
 *
 * Thread rule: any thread.
 */
#ifndef FBAT_TESTS_SUPPORT_GATE_H
#define FBAT_TESTS_SUPPORT_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool shut;
    uint32_t allowed; /* so many may pass though it is shut */
    uint32_t waiting;
};

#define GATE_INIT                                                                                                      \
    { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER }

void gate_shut(struct gate *gate);
void gate_open(struct gate *gate);
void gate_allow(struct gate *gate, uint32_t count);

/* Passes it, at once or when it is allowed. */
void gate_pass(struct gate *gate);

/* Waits until so many threads stand before it; false when they do not come in this time. */
bool gate_wait_for(struct gate *gate, uint32_t count, uint32_t timeout_ms);

#endif
