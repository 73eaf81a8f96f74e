/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events that turn up one by one while a program works something out, and belong together in the end: an outbox.
 *
 *     outbox [DIRECTORY]
 *
 * A checkout goes through a basket, article by article. What it finds out becomes events, each handed over where it is
 * found out: the outbox checks and copies it at once, so the strings may be the loop's own, and a mistake shows where
 * it is made. At the end all of it is appended as one batch; when an article is sold out, it is forgotten and nothing
 * is written.
 */
#include "example.h"

#define PLACED FBAT_KIND(1, 1)
#define RESERVED FBAT_KIND(2, 1)

struct line {
    const char *article;
    int pieces;
};

static void stage_order(struct fbat_outbox *outbox, const char *order) {
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = PLACED,
        .entity = fbat_text(order),
        .scope = fbat_text("shop"),
    };
    struct fbat_error error;
    succeed(fbat_outbox_stage(outbox, &event, &error), &error);
}

/* Caused by the order, which is the first event in the outbox. */
static void stage_reservation(struct fbat_outbox *outbox, const struct line *line) {
    char payload[32];
    snprintf(payload, sizeof payload, "{\"pieces\":%d}", line->pieces);
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = RESERVED,
        .entity = fbat_text(line->article),
        .scope = fbat_text("shop"),
        .payload = fbat_text(payload),
        .payload_type = FBAT_PAYLOAD_JSON,
        .causation_item = 1,
    };
    struct fbat_error error;
    succeed(fbat_outbox_stage(outbox, &event, &error), &error);
}

/* Stages what follows from the basket. 0 when there is too little of an article: nothing is staged then. */
static int check_out(struct fbat_outbox *outbox, const char *order, const struct line *basket, size_t count) {
    stage_order(outbox, order);
    for (size_t at = 0; at < count; at++) {
        if (basket[at].pieces > 10) { /* so many are never in stock */
            fbat_outbox_clear(outbox);
            return 0;
        }
        stage_reservation(outbox, &basket[at]);
    }
    return 1;
}

/* Found where it happens, not when the batch is appended; what was staged before stays. */
static void show_mistake(struct fbat_outbox *outbox) {
    const struct fbat_new_event nameless = {.struct_size = sizeof nameless, .kind = PLACED, .scope = fbat_text("shop")};
    const size_t count = fbat_outbox_count(outbox);
    struct fbat_error error;
    require(fbat_outbox_stage(outbox, &nameless, &error) == FBAT_ERR_NAME, "an event needs an entity");
    require(error.item == count && fbat_outbox_count(outbox) == count, "it was not staged");
    printf("refused: %s\n", error.message);
}

static void check_caused(struct fbat_store *store, const struct fbat_receipt *order,
                         const struct fbat_receipt *reservation) {
    struct fbat_event event;
    struct fbat_error error;
    succeed(fbat_get(store, &reservation->id, &event, &error), &error);
    require(memcmp(&event.causation, &order->id, sizeof event.causation) == 0, "the order caused the reservation");
    fbat_event_release(&event);
}

/* With a ticket the program may go on; receipts come with the answer. */
static void submit(struct fbat_outbox *outbox) {
    struct fbat_receipt receipts[3];
    struct fbat_ticket *ticket;
    struct fbat_error error;
    succeed(fbat_outbox_submit(outbox, NULL, &ticket, &error), &error);
    require(fbat_outbox_count(outbox) == 0, "the outbox is free for the next order");
    require(fbat_ticket_count(ticket) == 3, "the ticket is for all of them");
    succeed(fbat_ticket_wait(ticket, FBAT_FOREVER, receipts, &error), &error);
    fbat_ticket_release(ticket);
    printf("submitted: sequences %" PRIu64 " to %" PRIu64 "\n", receipts[0].sequence, receipts[2].sequence);
}

int main(int argc, char **argv) {
    const struct line small[] = {{"article-bat", 1}, {"article-ball", 3}};
    const struct line large[] = {{"article-bat", 2}, {"article-ball", 500}};
    struct example_place place;
    struct fbat_receipt receipts[3];
    struct fbat_frontier before, after;
    struct fbat_outbox *outbox;
    struct fbat_error error;
    struct fbat_store *store;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    succeed(fbat_outbox_create(store, NULL, &outbox, &error), &error);

    require(check_out(outbox, "order-1", small, 2), "a small order is no matter");
    show_mistake(outbox);
    succeed(fbat_outbox_flush(outbox, NULL, receipts, &error), &error);
    printf("flushed: sequences %" PRIu64 " to %" PRIu64 "\n", receipts[0].sequence, receipts[2].sequence);
    require(receipts[2].sequence == receipts[0].sequence + 2, "one batch, so nothing comes in between");
    check_caused(store, &receipts[0], &receipts[2]);

    fbat_frontier(store, &before);
    require(!check_out(outbox, "order-2", large, 2), "500 are not in stock");
    succeed(fbat_outbox_flush(outbox, NULL, NULL, &error), &error); /* there is nothing in it */
    fbat_frontier(store, &after);
    require(before.written == after.written, "nothing was written");
    printf("sold out: nothing written\n");

    require(check_out(outbox, "order-3", small, 2), "a small order is no matter");
    submit(outbox);
    fbat_outbox_destroy(outbox);
    example_close(store);
    example_end(&place);
    return 0;
}
