/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lossy subscription: a feed that skips when it is more than broadcast_capacity events behind.
 *
 * Thread rule: one thread at a time, but the store may be closed meanwhile. After that only subscription_lost and
 * subscription_destroy do anything.
 *
 * I1: lost = events of the store between the start and the feed's position that were skipped without being looked at.
 */
#ifndef FBAT_DELIVER_SUBSCRIPTION_H
#define FBAT_DELIVER_SUBSCRIPTION_H

#include "deliver/feed.h"
#include "write/notifier.h"

struct fbat_subscription {
    struct notifier *notifier; /* counted */
    unsigned fork_generation;
    struct feed feed;
    struct fbat_subscribe_options options;
    uint64_t capacity; /* broadcast_capacity */
    uint64_t received;
    uint64_t lost;
    struct notifier_watch watch;
};

int subscription_create(struct fbat_store *store, const struct fbat_region *region,
                        const struct fbat_subscribe_options *options, struct fbat_subscription **out_subscription,
                        struct fbat_error *error);

/* The next event; FBAT_RETRY: there is none now (the descriptor then tells when to look again). */
int subscription_take(struct fbat_subscription *subscription, struct fbat_event *out_event, struct fbat_error *error);

/* The same, and waits for one as long as timeout_ms. */
int subscription_await(struct fbat_subscription *subscription, uint32_t timeout_ms, struct fbat_event *out_event,
                       struct fbat_error *error);

int subscription_fd(struct fbat_subscription *subscription, int *out_fd, struct fbat_error *error);
void subscription_destroy(struct fbat_subscription *subscription);

/* Likewise in a forked child, where nothing that other threads of the parent used may be touched. */
void subscription_abandon(struct fbat_subscription *subscription);

#endif
