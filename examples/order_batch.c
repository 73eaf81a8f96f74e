/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several events that belong together, once and for all: batches, causes, headers, tags, and retries that are safe.
 *
 *     order_batch [DIRECTORY]
 *
 * An order arrives as a message with a number of its own. What follows from it is one batch: readers see all of it or
 * nothing, and so does a store that was killed in the middle. The events' ids are derived from the message's number,
 * so a program that does not know whether its last attempt arrived simply tries again: the same batch is answered by
 * the original receipts and writes nothing.
 */
#include "example.h"

#define PLACED FBAT_KIND(1, 1)
#define RESERVED FBAT_KIND(2, 1)
#define ORDER_EVENTS 3

/* The same message and item give the same id, today and after a restart. */
static struct fbat_id item_id(const char *message, int item) {
    char name[64];
    struct fbat_id id;
    int length = snprintf(name, sizeof name, "%s/%d", message, item);
    require(length > 0 && length < (int)sizeof name, "the name fits");
    require(fbat_id_derive(fbat_bytes(name, (size_t)length), &id) == FBAT_OK, "an id can be derived");
    return id;
}

/* The order, and for each of its two articles a reservation that the order caused. */
static int append_order(struct fbat_store *store, const char *message, const char *payload,
                        struct fbat_receipt receipts[ORDER_EVENTS], struct fbat_error *error) {
    const struct fbat_header headers[] = {
        {.name = fbat_text("content-language"), .value = fbat_text("en")},
        {.name = fbat_text("message"), .value = fbat_text(message)},
    };
    const struct fbat_slice tags[] = {fbat_text("web"), fbat_text("gift")};
    const struct fbat_id story = item_id(message, 0);
    struct fbat_new_event events[ORDER_EVENTS] = {
        {.kind = PLACED, .entity = fbat_text(message), .payload = fbat_text(payload)},
        {.kind = RESERVED, .entity = fbat_text("article-bat"), .payload = fbat_text("{\"pieces\":1}")},
        {.kind = RESERVED, .entity = fbat_text("article-ball"), .payload = fbat_text("{\"pieces\":3}")},
    };

    for (int i = 0; i < ORDER_EVENTS; i++) {
        events[i].struct_size = sizeof events[i];
        events[i].scope = fbat_text("shop");
        events[i].payload_type = FBAT_PAYLOAD_JSON;
        events[i].id = item_id(message, i);
        events[i].correlation = story;
        events[i].causation_item = i > 0; /* the first item of this batch */
    }
    events[0].headers = headers;
    events[0].header_count = sizeof headers / sizeof headers[0];
    events[0].tags = tags;
    events[0].tag_count = sizeof tags / sizeof tags[0];
    return fbat_append_batch(store, events, ORDER_EVENTS, NULL, receipts, error);
}

static void show_order(struct fbat_store *store, const struct fbat_receipt *receipt) {
    struct fbat_event event;
    struct fbat_error error;
    struct fbat_header header;
    struct fbat_slice text;

    succeed(fbat_get(store, &receipt->id, &event, &error), &error);
    printf("%.*s: %.*s\n", (int)event.entity.size, (const char *)event.entity.data, (int)event.payload.size,
           (const char *)event.payload.data);
    for (size_t i = 0; fbat_event_header(&event, i, &header) == FBAT_OK; i++)
        printf("    %.*s = %.*s\n", (int)header.name.size, (const char *)header.name.data, (int)header.value.size,
               (const char *)header.value.data);
    for (size_t i = 0; fbat_event_tag(&event, i, &text) == FBAT_OK; i++)
        printf("    tag %.*s\n", (int)text.size, (const char *)text.data);
    require(fbat_event_find_header(&event, fbat_text("content-language"), &text) == FBAT_OK && text.size == 2,
            "the header is found by its name");
    require(fbat_event_find_header(&event, fbat_text("colour"), &text) == FBAT_ERR_NOT_FOUND, "no other is");
    fbat_event_release(&event);
}

/* The reservations name the order as their cause, and all three tell one story. */
static void check_causes(struct fbat_store *store, const struct fbat_receipt receipts[ORDER_EVENTS]) {
    for (int i = 0; i < ORDER_EVENTS; i++) {
        struct fbat_event event;
        struct fbat_error error;
        succeed(fbat_get(store, &receipts[i].id, &event, &error), &error);
        require(memcmp(&event.correlation, &receipts[0].id, sizeof event.correlation) == 0, "one story");
        if (i == 0)
            require(fbat_id_is_none(&event.causation), "nothing caused the order");
        else
            require(memcmp(&event.causation, &receipts[0].id, sizeof event.causation) == 0, "the order caused it");
        fbat_event_release(&event);
    }
}

int main(int argc, char **argv) {
    struct example_place place;
    struct fbat_receipt first[ORDER_EVENTS];
    struct fbat_receipt again[ORDER_EVENTS];
    struct fbat_error error;
    struct fbat_frontier before, after;
    struct fbat_store *store;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    succeed(append_order(store, "message-4711", "{\"total\":12}", first, &error), &error);
    printf("order at sequences %" PRIu64 " to %" PRIu64 "\n", first[0].sequence, first[2].sequence);
    require(first[2].sequence == first[0].sequence + 2, "a batch has consecutive sequences");
    show_order(store, &first[0]);
    check_causes(store, first);

    /* No answer came, a restart lies between: try again. */
    example_close(store);
    store = example_open(&place);
    fbat_frontier(store, &before);
    succeed(append_order(store, "message-4711", "{\"total\":12}", again, &error), &error);
    fbat_frontier(store, &after);
    require(again[0].replayed && again[0].sequence == first[0].sequence, "the original receipt");
    require(before.written == after.written, "nothing was written");
    printf("tried again: nothing written, the same receipts\n");

    /* The same number with other content is a mistake, and is said to be one. */
    require(append_order(store, "message-4711", "{\"total\":99}", again, &error) == FBAT_ERR_IDEMPOTENCY_CONFLICT,
            "other content under the same id is refused");
    printf("other content: %s\n", error.message);
    example_close(store);
    example_end(&place);
    return 0;
}
