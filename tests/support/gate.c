/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See gate.h.
 *
 * Happy path: gate_shut, gate_wait_for, gate_open. Failure modes: a thread that does not come is an answer.
 * Thread rule: any thread.
 */
#include "gate.h"

#include <time.h>

void gate_shut(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = true;
    gate->allowed = 0;
    pthread_mutex_unlock(&gate->lock);
}

void gate_open(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->shut = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_allow(struct gate *gate, uint32_t count) {
    pthread_mutex_lock(&gate->lock);
    gate->allowed += count;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void gate_pass(struct gate *gate) {
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->shut && gate->allowed == 0)
        pthread_cond_wait(&gate->changed, &gate->lock);
    if (gate->shut)
        gate->allowed--;
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
}

bool gate_wait_for(struct gate *gate, uint32_t count, uint32_t timeout_ms) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += timeout_ms / 1000;
    int os_errno = 0;
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < count && os_errno == 0)
        os_errno = pthread_cond_timedwait(&gate->changed, &gate->lock, &deadline);
    bool came = gate->waiting >= count;
    pthread_mutex_unlock(&gate->lock);
    return came;
}
