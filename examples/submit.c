/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server with one thread and an event loop that never waits for the disk: submit, and let a descriptor tell.
 *
 *     submit [DIRECTORY]
 *
 * Orders come in through a pipe, which stands for the sockets of a real server. Each is submitted at level durable;
 * while the writer and the disk are busy with it, the loop goes on reading, and it confirms an order only when its
 * ticket has the answer. Orders that come in while a sync is under way share the next one:
 * batch.group_commit_max_batch.
 *
 * When the mailbox fills up, fbat_try_submit says FBAT_RETRY instead of waiting, and the loop reads no more orders for
 * a while: so the pressure is passed on to those who send them.
 *
 * Each order's id is derived from its name: run it twice on the same directory, and the second time every order is
 * answered by the receipt of the first and nothing is written.
 */
#include "example.h"

#include <poll.h>

#define PLACED FBAT_KIND(1, 1)
#define ORDERS 200
#define OUTSTANDING_MAX 64 /* orders submitted and not confirmed; bounds the descriptors as well */
#define ORDER_BYTES 10     /* "order-0001" */

struct order {
    char name[ORDER_BYTES];
    struct fbat_ticket *ticket; /* while it is outstanding */
};

struct server {
    struct fbat_store *store;
    int input;                                 /* -1: at its end */
    struct order outstanding[OUTSTANDING_MAX]; /* the first `outstanding_count`, in no order */
    size_t outstanding_count;
    struct order held; /* read, and not taken by the mailbox yet, where is_held */
    int is_held;
    uint32_t retry_after_ms; /* when to try with the held one again */
    size_t confirmed, replayed, retries;
};

static int submit_order(struct server *server, struct order *order, struct fbat_error *error) {
    const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = PLACED,
        .entity = fbat_bytes(order->name, sizeof order->name),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{\"pieces\":1}"),
        .payload_type = FBAT_PAYLOAD_JSON,
    };
    require(fbat_id_derive(event.entity, &event.id) == FBAT_OK, "an id can be derived");
    return fbat_try_submit(server->store, &event, &durable, &order->ticket, error);
}

/* Hands the order in, or holds it until the mailbox has room. */
static void hand_in(struct server *server, struct order *order) {
    struct fbat_error error;
    int status = submit_order(server, order, &error);
    succeed(status, &error);
    server->is_held = status == FBAT_RETRY;
    if (server->is_held) {
        server->held = *order;
        server->retry_after_ms = error.retry_after_ms;
        server->retries++;
    } else {
        server->outstanding[server->outstanding_count++] = *order;
    }
}

static void read_order(struct server *server) {
    struct order order;
    ssize_t got = read(server->input, order.name, sizeof order.name);
    require(got == 0 || got == (ssize_t)sizeof order.name, "orders come whole");
    if (got > 0) {
        hand_in(server, &order);
        return;
    }
    close(server->input);
    server->input = -1;
}

/* The order is durable now, and whoever sent it may know. Its place goes to the last one. */
static void confirm(struct server *server, size_t at) {
    struct fbat_receipt receipt;
    struct fbat_error error;
    int status = fbat_ticket_poll(server->outstanding[at].ticket, &receipt, &error);
    succeed(status, &error);
    require(status == FBAT_OK, "a readable descriptor means an answer");
    require(receipt.level == FBAT_LEVEL_DURABLE, "the level that was asked for");
    fbat_ticket_release(server->outstanding[at].ticket);
    server->outstanding[at] = server->outstanding[--server->outstanding_count];
    server->confirmed++;
    server->replayed += receipt.replayed;
}

/* One turn of the loop: sleeps until an order comes or an answer does. poll passes over negative descriptors. */
static void turn(struct server *server) {
    struct pollfd watched[1 + OUTSTANDING_MAX];
    struct fbat_error error;
    size_t count = server->outstanding_count;
    int may_read = !server->is_held && count < OUTSTANDING_MAX;

    watched[0] = (struct pollfd){.fd = may_read ? server->input : -1, .events = POLLIN};
    for (size_t at = 0; at < count; at++) {
        watched[1 + at] = (struct pollfd){.events = POLLIN};
        succeed(fbat_ticket_fd(server->outstanding[at].ticket, &watched[1 + at].fd, &error), &error);
    }
    require(poll(watched, (nfds_t)(1 + count), server->is_held ? (int)server->retry_after_ms : -1) >= 0, "poll works");
    for (size_t at = count; at > 0; at--) /* from behind, because confirm moves the last one */
        if (watched[at].revents & POLLIN)
            confirm(server, at - 1);
    if (server->is_held)
        hand_in(server, &server->held);
    else if (watched[0].revents & (POLLIN | POLLHUP))
        read_order(server);
}

/* All that the customers will ever order fits into the pipe. */
static int open_input(void) {
    int ends[2];
    require(pipe(ends) == 0, "a pipe can be made");
    for (int number = 1; number <= ORDERS; number++) {
        char name[ORDER_BYTES + 1];
        snprintf(name, sizeof name, "order-%04d", number % 10000);
        require(write(ends[1], name, ORDER_BYTES) == ORDER_BYTES, "the pipe takes an order");
    }
    close(ends[1]);
    return ends[0];
}

int main(int argc, char **argv) {
    struct example_place place;
    struct fbat_config config;
    struct fbat_error error;
    struct fbat_frontier frontier;
    struct server server = {0};

    example_begin(&place, argc, argv);
    fbat_config_init(&config, place.path);
    config.batch.group_commit_max_batch = 0; /* all that wait share a sync */
    config.writer.channel_capacity = 16;     /* small, to feel the pressure */
    succeed(fbat_open(&config, &server.store, &error), &error);
    server.input = open_input();
    while (server.input >= 0 || server.is_held || server.outstanding_count > 0)
        turn(&server);

    fbat_frontier(server.store, &frontier);
    require(server.confirmed == ORDERS, "every order was confirmed");
    require(frontier.durable >= ORDERS, "and is durable");
    printf("%zu orders confirmed, %zu of them known before; %zu times the mailbox asked for patience\n",
           server.confirmed, server.replayed, server.retries);
    example_close(server.store);
    example_end(&place);
    return 0;
}
