/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The smallest whole program: open a store, append an event, read it back by its id, walk its stream.
 *
 *     quickstart [DIRECTORY]
 *
 * Run it twice on the same directory and the stream is one event longer each time.
 */
#include "example.h"

/* One event. Whatever is not set is the default: the store makes the id and the times. */
static struct fbat_receipt place_order(struct fbat_store *store) {
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text("order-17"),
        .scope = fbat_text("shop"),
        .payload = fbat_text("{\"total\":12}"),
        .payload_type = FBAT_PAYLOAD_JSON,
    };
    struct fbat_receipt receipt;
    struct fbat_error error;
    char id[FBAT_ID_TEXT_SIZE];

    succeed(fbat_append(store, &event, NULL, &receipt, &error), &error);
    fbat_id_format(&receipt.id, id);
    printf("appended %s: sequence %" PRIu64 ", revision %" PRIu64 "\n", id, receipt.sequence, receipt.revision);
    return receipt;
}

/* The event is a view into the log, not a copy: release it when done. */
static void read_back(struct fbat_store *store, const struct fbat_receipt *receipt) {
    struct fbat_event event;
    struct fbat_error error;

    succeed(fbat_get(store, &receipt->id, &event, &error), &error);
    printf("read back: %.*s\n", (int)event.payload.size, (const char *)event.payload.data);
    require(event.sequence == receipt->sequence, "the event is where the receipt says");
    require(memcmp(event.hash, receipt->hash, sizeof receipt->hash) == 0, "its hash is the receipt's");
    fbat_event_release(&event);
}

static void walk_stream(struct fbat_store *store, const struct fbat_receipt *last) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    uint64_t revision = 0;
    int status;

    succeed(fbat_stream(store, fbat_text("order-17"), fbat_text("shop"), NULL, &iterator, &error), &error);
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK)
        require(event.revision == ++revision, "revisions have no gaps");
    succeed(status, &error);
    fbat_iterator_close(iterator);
    printf("order-17 has %" PRIu64 " event%s\n", revision, revision == 1 ? "" : "s");
    require(revision == last->revision, "the stream ends with the event just appended");
}

int main(int argc, char **argv) {
    struct example_place place;
    struct fbat_receipt receipt;
    struct fbat_store *store;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    receipt = place_order(store);
    read_back(store, &receipt);
    walk_stream(store, &receipt);
    example_close(store);
    example_end(&place);
    return 0;
}
