/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lossy subscriptions.
 *
 * Happy path: the subscriber is near the end; an event is looked at where it stands in the log, the caller's filter and fold
 * see it, and it is given. Nothing was put anywhere for him when it was published (write/notifier.h), so a subscriber that
 * never reads costs its own few hundred bytes.
 *
 * Behind by more than the capacity: the oldest are skipped until the distance is the capacity, and counted as lost, all
 * events of the store alike: to count those of the region one would have to look at them, which is what skipping saves. So
 * for a subscriber of everything received + lost = published, and for another one lost is a bound.
 *
 * Failure: what the feed says; the position stays before an event that cannot be read. Closing the store wakes who sleeps and
 * answers FBAT_ERR_SHUTDOWN from then on.
 */
#include "deliver/subscription.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static int check_subscribe_options(const struct fbat_subscribe_options *options, struct fbat_error *error) {
    if (options && options->struct_size != sizeof *options)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu: set it to sizeof options",
                         options->struct_size, sizeof *options);
    return FBAT_OK;
}

int subscription_create(struct fbat_store *store, const struct fbat_region *region,
                        const struct fbat_subscribe_options *options, struct fbat_subscription **out_subscription,
                        struct fbat_error *error) {
    FBAT_TRY(check_subscribe_options(options, error));
    FBAT_TRY(store_catch_up(store, error));
    struct fbat_subscription *subscription = memory_allocate_zero(sizeof *subscription);
    if (!subscription)
        return error_set_no_memory(error);
    int status = feed_init(&subscription->feed, store, region, directory_visible(&store->directory), error);
    if (status < 0) {
        memory_free(subscription);
        return status;
    }
    if (options)
        subscription->options = *options;
    subscription->capacity = store->config.broadcast_capacity;
    subscription->watch.fd = -1;
    subscription->fork_generation = store->fork_generation;
    subscription->notifier = store->notifier;
    notifier_retain(store->notifier);
    *out_subscription = subscription;
    return FBAT_OK;
}

void subscription_abandon(struct fbat_subscription *subscription) {
    if (subscription->watch.fd >= 0)
        subscription->notifier->os->methods->event_close(subscription->notifier->os, subscription->watch.fd);
    memory_free(subscription->feed.names);
    memory_free(subscription);
}

void subscription_destroy(struct fbat_subscription *subscription) {
    notifier_watch_close(subscription->notifier, &subscription->watch);
    feed_deinit(&subscription->feed);
    notifier_release(subscription->notifier);
    memory_free(subscription);
}

/* ---- the next event ---- */

/* I1 */
static void skip_what_is_lost(struct fbat_subscription *subscription) {
    struct feed *feed = &subscription->feed;
    uint64_t visible = directory_visible(&feed->store->directory);
    if (visible <= feed->position || visible - feed->position <= subscription->capacity)
        return;
    uint64_t position = visible - subscription->capacity;
    subscription->lost += position - feed->position;
    feed_skip_to(feed, position);
}

/* FBAT_OK: it is to be given; FBAT_RETRY: not; or what the caller's function failed with. */
static int offer_event(struct fbat_subscription *subscription, const struct fbat_event *event,
                       struct fbat_error *error) {
    const struct fbat_subscribe_options *options = &subscription->options;
    if (options->filter && !options->filter(options->user, event))
        return FBAT_RETRY;
    subscription->received++;
    int status = options->fold ? options->fold(options->user, options->state, event) : FBAT_OK;
    if (status < 0)
        return error_set(error, status, "the fold failed at sequence %llu", (unsigned long long)event->sequence);
    return status == FBAT_OK ? FBAT_OK : FBAT_RETRY;
}

static bool is_at_limit(const struct fbat_subscription *subscription) {
    return subscription->options.limit > 0 && subscription->received >= subscription->options.limit;
}

/* The store is open, and stays so. */
static int take_open(struct fbat_subscription *subscription, struct fbat_event *out_event, struct fbat_error *error) {
    struct feed *feed = &subscription->feed;
    struct fbat_event event;
    while (!is_at_limit(subscription)) {
        int status = FBAT_OK;
        skip_what_is_lost(subscription);
        status = feed_next(feed, &event, error);
        if (status == FBAT_END) {
            status = feed_refresh(feed, UINT64_MAX, error);
            if (status == FBAT_END)
                return FBAT_RETRY;
            FBAT_TRY(status);
            continue;
        }
        FBAT_TRY(status);
        status = offer_event(subscription, &event, error);
        if (status == FBAT_OK)
            *out_event = event;
        if (status != FBAT_RETRY)
            return status;
    }
    return FBAT_END;
}

static int fail_closed(struct fbat_error *error) {
    return error_set(error, FBAT_ERR_SHUTDOWN, "the store was closed");
}

/* Leaves the descriptor readable where there is, or may be, more to be had or to be told. */
static int take_one(struct fbat_subscription *subscription, struct fbat_event *out_event, struct fbat_error *error) {
    if (!notifier_enter(subscription->notifier))
        return fail_closed(error);
    int status = take_open(subscription, out_event, error);
    notifier_leave(subscription->notifier);
    return status;
}

int subscription_take(struct fbat_subscription *subscription, struct fbat_event *out_event, struct fbat_error *error) {
    int status = take_one(subscription, out_event, error);
    if (status == FBAT_RETRY)
        notifier_watch_arm(subscription->notifier, &subscription->watch, subscription->feed.position);
    return status;
}

int subscription_await(struct fbat_subscription *subscription, uint32_t timeout_ms, struct fbat_event *out_event,
                       struct fbat_error *error) {
    const struct os *os = subscription->notifier->os;
    int status = subscription_take(subscription, out_event, error);
    if (status != FBAT_RETRY || timeout_ms == 0)
        return status;
    uint64_t started_us = os->methods->monotonic_us(subscription->notifier->os), now_us = started_us;
    uint64_t deadline_us = timeout_ms == FBAT_FOREVER ? UINT64_MAX : started_us + timeout_ms * UINT64_C(1000);
    while (status == FBAT_RETRY && now_us < deadline_us) {
        notifier_wait(subscription->notifier, NOTIFIER_VISIBLE, subscription->feed.position, deadline_us);
        status = subscription_take(subscription, out_event, error);
        now_us = os->methods->monotonic_us(subscription->notifier->os);
    }
    return status;
}

int subscription_fd(struct fbat_subscription *subscription, int *out_fd, struct fbat_error *error) {
    if (subscription->watch.fd < 0) {
        int os_errno = notifier_watch_open(subscription->notifier, &subscription->watch);
        if (os_errno == EMFILE || os_errno == ENFILE)
            return error_set(error, FBAT_ERR_LIMIT,
                             "no file descriptor is left for the subscription; raise the limit or close some");
        if (os_errno)
            return error_set_os(error, os_errno, "make a descriptor for", "a subscription");
        /* There may be something already: who looks arms it. */
        notifier_watch_signal(subscription->notifier, &subscription->watch);
    }
    *out_fd = subscription->watch.fd;
    return FBAT_OK;
}
