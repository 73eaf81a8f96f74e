/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live dashboard: one thread, one epoll loop, several subscriptions; and a cursor beside them, for what must not be missed.
 *
 *     dashboard [DIRECTORY]
 *
 * Another thread, which stands for the rest of the program, places, pays and cancels orders. The dashboard watches the
 * descriptors of two subscriptions: revenue, a running fold over payments, and cancellations. It may fall behind, and then
 * says how many events it missed: for a dashboard the latest state is worth more than every step on the way.
 *
 * The ledger must not miss a payment. It is a cursor, polled in the same loop each time there is news; what it has seen at the
 * end is compared with what was paid.
 *
 * Closing the store makes every descriptor readable, which is how the loop learns that it is over.
 */
#include "example.h"

#include <pthread.h>
#include <sys/epoll.h>

#define PLACED FBAT_KIND(1, 1)
#define PAID FBAT_KIND(1, 2)
#define CANCELLED FBAT_KIND(1, 3)
#define ORDERS 300

/* One line of the dashboard. */
struct panel {
    const char *title;
    struct fbat_subscription *subscription;
    uint64_t events;
    uint64_t pieces; /* folded */
    int is_open;
};

struct ledger {
    struct fbat_cursor *cursor;
    uint64_t payments;
    int is_open;
};

/* ---- the rest of the program ---- */

static void append(struct fbat_store *store, uint16_t kind, const char *order, unsigned char pieces) {
    struct fbat_error error;
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = kind,
        .entity = fbat_text(order),
        .scope = fbat_text("shop"),
        .payload = fbat_bytes(&pieces, 1),
    };
    succeed(fbat_append(store, &event, NULL, NULL, &error), &error);
}

static void *sell(void *user) {
    char order[32];
    for (int number = 1; number <= ORDERS; number++) {
        snprintf(order, sizeof order, "order-%d", number);
        append(user, PLACED, order, (unsigned char)(number % 7 + 1));
        append(user, number % 10 == 0 ? CANCELLED : PAID, order, (unsigned char)(number % 7 + 1));
    }
    return NULL;
}

/* ---- the dashboard ---- */

static int add_pieces(void *user, void *state, const struct fbat_event *event) {
    (void)user;
    *(uint64_t *)state += *(const unsigned char *)event->payload.data;
    return FBAT_OK;
}

static void open_panel(struct fbat_store *store, int loop, struct panel *panel, uint16_t kind) {
    const struct fbat_region region = {.struct_size = sizeof region, .scope = fbat_text("shop"), .kind = kind};
    const struct fbat_subscribe_options options = {
        .struct_size = sizeof options, .fold = add_pieces, .state = &panel->pieces};
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = panel};
    struct fbat_error error;
    int fd;
    succeed(fbat_subscribe(store, &region, &options, &panel->subscription, &error), &error);
    succeed(fbat_subscription_fd(panel->subscription, &fd, &error), &error);
    require(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &interest) == 0, "the loop takes the descriptor");
    panel->is_open = 1;
}

/* Receives until there is nothing: only then the descriptor ceases to be readable. */
static void refresh_panel(struct panel *panel) {
    struct fbat_event event;
    struct fbat_error error;
    int status;
    while ((status = fbat_subscription_try_recv(panel->subscription, &event, &error)) == FBAT_OK)
        panel->events++;
    if (status == FBAT_ERR_SHUTDOWN)
        panel->is_open = 0;
    else
        succeed(status, &error);
}

static void close_panel(struct panel *panel) {
    printf("%-10s %4" PRIu64 " events, %4" PRIu64 " pieces, at most %" PRIu64 " missed\n", panel->title, panel->events,
           panel->pieces, fbat_subscription_lost(panel->subscription));
    fbat_subscription_close(panel->subscription);
}

static void read_ledger(struct ledger *ledger) {
    struct fbat_event events[64];
    struct fbat_error error;
    size_t count;
    int status;
    while ((status = fbat_cursor_poll(ledger->cursor, events, 64, 0, &count, &error)) == FBAT_OK)
        ledger->payments += count;
    if (status == FBAT_ERR_SHUTDOWN)
        ledger->is_open = 0;
    else
        succeed(status, &error);
}

/* Until the last cancellation, which is the last event of all, was seen or missed. */
static void run_loop(int loop, struct panel *panels, struct ledger *ledger) {
    while (panels[1].events + fbat_subscription_lost(panels[1].subscription) < ORDERS / 10) {
        struct epoll_event ready[2];
        int count = epoll_wait(loop, ready, 2, -1);
        require(count > 0, "epoll works");
        for (int at = 0; at < count; at++)
            refresh_panel(ready[at].data.ptr);
        read_ledger(ledger);
    }
}

int main(int argc, char **argv) {
    struct panel panels[2] = {{.title = "revenue"}, {.title = "cancelled"}};
    const struct fbat_region payments = {.struct_size = sizeof payments, .kind = PAID};
    const struct fbat_cursor_options from_now = {.struct_size = sizeof from_now, .from = FBAT_CURSOR_END};
    struct ledger ledger = {.is_open = 1};
    struct example_place place;
    struct fbat_error error;
    struct epoll_event ready[2];
    pthread_t seller;

    example_begin(&place, argc, argv);
    struct fbat_store *store = example_open(&place);
    int loop = epoll_create1(0);
    require(loop >= 0, "an epoll descriptor can be made");
    open_panel(store, loop, &panels[0], PAID);
    open_panel(store, loop, &panels[1], CANCELLED);
    succeed(fbat_cursor_open(store, &payments, &from_now, &ledger.cursor, &error), &error);

    require(pthread_create(&seller, NULL, sell, store) == 0, "a thread can be started");
    run_loop(loop, panels, &ledger);
    pthread_join(seller, NULL);
    read_ledger(&ledger);
    require(ledger.payments == ORDERS - ORDERS / 10, "the ledger missed no payment");
    refresh_panel(&panels[0]);
    require(panels[0].events + fbat_subscription_lost(panels[0].subscription) >= ledger.payments,
            "what the panel did not see it was told of");

    example_close(store);
    require(epoll_wait(loop, ready, 2, -1) > 0, "closing the store wakes the loop");
    for (int at = 0; at < 2; at++)
        refresh_panel(&panels[at]);
    read_ledger(&ledger);
    require(!panels[0].is_open && !panels[1].is_open && !ledger.is_open, "all were told that the store is closed");
    for (int at = 0; at < 2; at++)
        close_panel(&panels[at]);
    printf("%-10s %4" PRIu64 " payments, none missed\n", "ledger", ledger.payments);
    fbat_cursor_close(ledger.cursor);
    close(loop);
    example_end(&place);
    return 0;
}
