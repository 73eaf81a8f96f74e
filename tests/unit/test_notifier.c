/* SPDX-License-Identifier: Apache-2.0 */
/* Waking: no wake-up is lost, each wakes everybody once, and closing waits for calls. */
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/test.h"
#include "write/notifier.h"

enum { PATIENCE_S = 20 };

static uint64_t now_us(void) {
    return os_posix()->methods->monotonic_us(os_posix());
}

static struct notifier *make_notifier(void) {
    struct notifier *notifier = notifier_create(os_posix(), NULL, NULL);
    assert_non_null(notifier);
    return notifier;
}

/* True when the wait ended by itself. */
static bool waits_for_news(struct notifier *notifier, uint64_t position) {
    uint64_t deadline_us = now_us() + PATIENCE_S * UINT64_C(1000000);
    while (atomic_load(&notifier->published[NOTIFIER_VISIBLE]) <= position && now_us() < deadline_us)
        notifier_wait(notifier, NOTIFIER_VISIBLE, position, deadline_us);
    return now_us() < deadline_us;
}

static bool is_readable(const struct notifier_watch *watch) {
    struct pollfd watched = {.fd = watch->fd, .events = POLLIN};
    return poll(&watched, 1, 0) == 1;
}

/* ---- what came before the waiter counted as one: only W2 can tell him ---- */

static void wait_sees_what_was_published_before_it(void **state) {
    (void)state;
    struct notifier *notifier = make_notifier();
    uint64_t deadline_us = now_us() + PATIENCE_S * UINT64_C(1000000);
    notifier_publish(notifier, NOTIFIER_VISIBLE, 5);
    notifier_wait(notifier, NOTIFIER_VISIBLE, 4, deadline_us);
    assert_true(now_us() < deadline_us);
    assert_int_equal(atomic_load(&notifier->waiting), 0);
    notifier_close(notifier);
    notifier_release(notifier);
}

static void arming_sees_what_was_published_before_it(void **state) {
    (void)state;
    struct notifier *notifier = make_notifier();
    struct notifier_watch watch = {.fd = -1};
    assert_int_equal(notifier_watch_open(notifier, &watch), 0);
    notifier_publish(notifier, NOTIFIER_VISIBLE, 5);
    notifier_watch_arm(notifier, &watch, 4);
    assert_true(is_readable(&watch));
    assert_false(watch.armed);
    notifier_watch_arm(notifier, &watch, 5);
    assert_false(is_readable(&watch));
    assert_int_equal(atomic_load(&notifier->waiting), 1);
    notifier_publish(notifier, NOTIFIER_VISIBLE, 6);
    assert_true(is_readable(&watch));
    assert_int_equal(atomic_load(&notifier->waiting), 0);
    notifier_watch_close(notifier, &watch);
    notifier_close(notifier);
    notifier_release(notifier);
}

static void wait_ends_at_its_deadline(void **state) {
    (void)state;
    struct notifier *notifier = make_notifier();
    uint64_t deadline_us = now_us() + 2000;
    notifier_wait(notifier, NOTIFIER_VISIBLE, 4, deadline_us);
    assert_true(now_us() >= deadline_us);
    assert_int_equal(atomic_load(&notifier->waiting), 0);
    notifier_close(notifier);
    notifier_release(notifier);
}

/* ---- publisher and waiters meet at the same moment, over and over ---- */

struct waiter {
    pthread_t thread;
    struct notifier *notifier;
    _Atomic uint64_t seen;
    uint64_t rounds;
    bool good;
};

static void *wait_round_by_round(void *user) {
    struct waiter *waiter = user;
    waiter->good = true;
    for (uint64_t position = 0; position < waiter->rounds && waiter->good; position++) {
        waiter->good = waits_for_news(waiter->notifier, position);
        atomic_store(&waiter->seen, position + 1);
    }
    atomic_store(&waiter->seen, UINT64_MAX);
    return NULL;
}

static void publish_to(unsigned count, uint64_t rounds) {
    enum { WAITERS_MAX = 4 };
    static struct waiter waiters[WAITERS_MAX];
    struct notifier *notifier = make_notifier();
    for (unsigned at = 0; at < count; at++) {
        waiters[at].notifier = notifier;
        waiters[at].rounds = rounds;
        atomic_store(&waiters[at].seen, 0);
        assert_int_equal(pthread_create(&waiters[at].thread, NULL, wait_round_by_round, &waiters[at]), 0);
    }
    for (uint64_t round = 1; round <= rounds; round++) {
        notifier_publish(notifier, NOTIFIER_VISIBLE, round);
        for (unsigned at = 0; at < count; at++)
            while (atomic_load(&waiters[at].seen) < round)
                sched_yield();
    }
    for (unsigned at = 0; at < count; at++) {
        pthread_join(waiters[at].thread, NULL);
        assert_true(waiters[at].good);
    }
    assert_int_equal(atomic_load(&notifier->waiting), 0);
    notifier_close(notifier);
    notifier_release(notifier);
}

static void one_waiter_never_misses(void **state) {
    (void)state;
    publish_to(1, test_scaled(200000));
}

static void several_waiters_never_miss(void **state) {
    (void)state;
    publish_to(3, test_scaled(10000));
}

/* ---- closing ---- */

struct caller {
    struct notifier *notifier;
    atomic_bool entered, let_go, left;
};

static void *call_for_a_while(void *user) {
    struct caller *caller = user;
    atomic_store(&caller->entered, notifier_enter(caller->notifier));
    while (!atomic_load(&caller->let_go))
        sched_yield();
    atomic_store(&caller->left, true);
    notifier_leave(caller->notifier);
    return NULL;
}

static void *let_go_once_closing(void *user) {
    struct caller *caller = user;
    while (!notifier_is_closed(caller->notifier))
        sched_yield();
    atomic_store(&caller->let_go, true);
    return NULL;
}

static void closing_waits_for_calls_and_lets_none_in(void **state) {
    (void)state;
    static struct caller caller;
    pthread_t threads[2];
    caller.notifier = make_notifier();
    assert_int_equal(pthread_create(&threads[0], NULL, call_for_a_while, &caller), 0);
    while (!atomic_load(&caller.entered))
        sched_yield();
    assert_int_equal(pthread_create(&threads[1], NULL, let_go_once_closing, &caller), 0);
    notifier_close(caller.notifier);
    assert_true(atomic_load(&caller.left));
    assert_false(notifier_enter(caller.notifier));
    notifier_wait(caller.notifier, NOTIFIER_VISIBLE, 9, UINT64_MAX); /* does not sleep any more */
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    notifier_close(caller.notifier);
    notifier_release(caller.notifier);
    notifier_release(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wait_sees_what_was_published_before_it),
        cmocka_unit_test(arming_sees_what_was_published_before_it),
        cmocka_unit_test(wait_ends_at_its_deadline),
        cmocka_unit_test(one_waiter_never_misses),
        cmocka_unit_test(several_waiters_never_miss),
        cmocka_unit_test(closing_waits_for_calls_and_lets_none_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
