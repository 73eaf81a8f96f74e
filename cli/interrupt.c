/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupts: see interrupt.h.
 *
 * The handler only notes the signal. interrupt_wait looks at the note with the signals blocked and lets ppoll unblock
 * them, so that none is lost between the look and the wait. Main thread only.
 */
#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <time.h>

static volatile sig_atomic_t noted_signal;

static void note_signal(int number) {
    noted_signal = number;
}

/* SA_RESTART: the library's and our own calls go on; ppoll returns all the same. SA_RESETHAND: once. */
void interrupt_watch(void) {
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int interrupt_signal(void) {
    return noted_signal;
}

int interrupt_wait(int fd, int timeout_ms) {
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
    struct timespec timeout = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    sigset_t watched, before;
    int ready = -1;
    sigemptyset(&watched);
    sigaddset(&watched, SIGINT);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_BLOCK, &watched, &before);
    if (noted_signal == 0)
        ready = ppoll(&poll_fd, fd >= 0 ? 1 : 0, timeout_ms >= 0 ? &timeout : NULL, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (noted_signal != 0)
        return -1;
    return ready < 0 ? 0 : ready;
}
