/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of delivery. Their contracts stand in the public header. */
#include "api/handle.h"
#include "base/error.h"
#include "deliver/subscription.h"
#include "store/store.h"

int fbat_subscribe(struct fbat_store *store, const struct fbat_region *region,
                   const struct fbat_subscribe_options *options, struct fbat_subscription **out_subscription,
                   struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return out_subscription ? subscription_create(store, region, options, out_subscription, out_error)
                            : error_set(out_error, FBAT_ERR_ARGUMENT, "out_subscription is NULL");
}

static int check_subscription(const struct fbat_subscription *subscription, const void *output,
                              struct fbat_error *error) {
    if (!subscription || !output)
        return error_set(error, FBAT_ERR_ARGUMENT, "subscription or what is to be filled is NULL");
    return handle_check_generation(subscription->fork_generation, error);
}

int fbat_subscription_recv(struct fbat_subscription *subscription, uint32_t timeout_ms, struct fbat_event *out_event,
                           struct fbat_error *out_error) {
    FBAT_TRY(check_subscription(subscription, out_event, out_error));
    return subscription_await(subscription, timeout_ms, out_event, out_error);
}

int fbat_subscription_try_recv(struct fbat_subscription *subscription, struct fbat_event *out_event,
                               struct fbat_error *out_error) {
    FBAT_TRY(check_subscription(subscription, out_event, out_error));
    return subscription_take(subscription, out_event, out_error);
}

int fbat_subscription_fd(struct fbat_subscription *subscription, int *out_fd, struct fbat_error *out_error) {
    FBAT_TRY(check_subscription(subscription, out_fd, out_error));
    return subscription_fd(subscription, out_fd, out_error);
}

uint64_t fbat_subscription_lost(const struct fbat_subscription *subscription) {
    return subscription ? subscription->lost : 0;
}

void fbat_subscription_close(struct fbat_subscription *subscription) {
    if (!subscription)
        return;
    if (handle_check_generation(subscription->fork_generation, NULL) == FBAT_OK)
        subscription_destroy(subscription);
    else
        subscription_abandon(subscription);
}
