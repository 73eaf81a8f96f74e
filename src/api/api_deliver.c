/* SPDX-License-Identifier: Apache-2.0 */
/* Entry points of delivery. Their contracts stand in the public header. */
#include "api/handle.h"
#include "base/error.h"
#include "deliver/cursor.h"
#include "deliver/subscription.h"
#include "store/store.h"

/* ---- subscriptions ---- */

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

/* ---- cursors ---- */

int fbat_cursor_open(struct fbat_store *store, const struct fbat_region *region,
                     const struct fbat_cursor_options *options, struct fbat_cursor **out_cursor,
                     struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return out_cursor ? cursor_create(store, region, options, out_cursor, out_error)
                      : error_set(out_error, FBAT_ERR_ARGUMENT, "out_cursor is NULL");
}

int fbat_cursor_poll(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, uint32_t timeout_ms,
                     size_t *out_count, struct fbat_error *out_error) {
    if (!cursor || !events || max == 0 || !out_count)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "cursor, events or out_count is NULL, or max is 0");
    FBAT_TRY(handle_check_generation(cursor->fork_generation, out_error));
    return cursor_poll(cursor, events, max, timeout_ms, out_count, out_error);
}

int fbat_cursor_commit(struct fbat_cursor *cursor, struct fbat_error *out_error) {
    if (!cursor)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "cursor is NULL");
    FBAT_TRY(handle_check_generation(cursor->fork_generation, out_error));
    return cursor_commit(cursor, out_error);
}

int fbat_cursors(struct fbat_store *store, fbat_cursor_fn visit, void *user, struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return visit ? cursor_list(store, visit, user, out_error)
                 : error_set(out_error, FBAT_ERR_ARGUMENT, "visit is NULL");
}

int fbat_cursor_reset(struct fbat_store *store, struct fbat_slice name, uint64_t position,
                      struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return cursor_reset(store, name, position, out_error);
}

int fbat_cursor_remove(struct fbat_store *store, struct fbat_slice name, struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return cursor_remove(store, name, out_error);
}

uint64_t fbat_cursor_position(const struct fbat_cursor *cursor) {
    return cursor ? cursor->feed.position : 0;
}

void fbat_cursor_close(struct fbat_cursor *cursor) {
    if (!cursor)
        return;
    if (handle_check_generation(cursor->fork_generation, NULL) == FBAT_OK)
        cursor_destroy(cursor);
    else
        cursor_abandon(cursor);
}
