/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More than a batch, and still all or nothing: a fence.
 *
 *     fence [DIRECTORY]
 *
 * A new price list is 1,000 articles: more than batch.max_size, and each price names the announcement that caused it,
 * whose id the store makes. So the announcement and the prices are appended under a fence. Readers go on with the old
 * list until the commit, and then see the new one whole. While the fence is open, no other append comes in between.
 *
 * The second list has a mistake far down. The fence is cancelled, and the log goes on as if it had never been.
 */
#include "example.h"

#define ANNOUNCED FBAT_KIND(3, 1)
#define PRICED FBAT_KIND(3, 2)
#define ARTICLES 1000

static uint64_t count_prices(struct fbat_store *store) {
    const struct fbat_region region = {.struct_size = sizeof region, .scope = fbat_text("shop"), .kind = PRICED};
    struct fbat_error error;
    uint64_t count;
    succeed(fbat_query_count(store, &region, &count, &error), &error);
    return count;
}

/* The list's first event. Its receipt is there at once, although nobody else can see the event yet. */
static struct fbat_id announce(struct fbat_fence *fence, const char *list) {
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = ANNOUNCED,
        .entity = fbat_text("price-lists"),
        .scope = fbat_text("shop"),
        .payload = fbat_text(list),
        .payload_type = FBAT_PAYLOAD_TEXT,
    };
    struct fbat_receipt receipt;
    struct fbat_error error;
    succeed(fbat_fence_append(fence, &event, NULL, &receipt, &error), &error);
    return receipt.id;
}

/* Collects a price in the outbox; when that is as full as a batch may be, it goes into the fence first. */
static void collect(struct fbat_outbox *outbox, const struct fbat_new_event *event) {
    struct fbat_error error;
    int status = fbat_outbox_stage(outbox, event, &error);
    if (status == FBAT_ERR_TOO_LARGE) {
        succeed(fbat_outbox_flush(outbox, NULL, NULL, &error), &error);
        status = fbat_outbox_stage(outbox, event, &error);
    }
    succeed(status, &error);
}

/* 1 when every article has a price, 0 at the first that has none. The first `priced` have one. */
static int append_prices(struct fbat_store *store, struct fbat_fence *fence, const struct fbat_id *announcement,
                         int priced) {
    struct fbat_outbox *outbox;
    struct fbat_error error;
    int article = 0;

    succeed(fbat_outbox_create(store, fence, &outbox, &error), &error);
    for (; article < ARTICLES && article < priced; article++) {
        char name[24], price[24];
        snprintf(name, sizeof name, "article-%d", article);
        snprintf(price, sizeof price, "%d.99", 1 + article % 50);
        const struct fbat_new_event event = {
            .struct_size = sizeof event,
            .kind = PRICED,
            .entity = fbat_text(name),
            .scope = fbat_text("shop"),
            .payload = fbat_text(price),
            .payload_type = FBAT_PAYLOAD_TEXT,
            .causation = *announcement,
        };
        collect(outbox, &event);
    }
    succeed(fbat_outbox_flush(outbox, NULL, NULL, &error), &error);
    fbat_outbox_destroy(outbox);
    return article == ARTICLES;
}

/* Others are told to come again. */
static void check_refused(struct fbat_store *store) {
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = FBAT_KIND(1, 1),
        .entity = fbat_text("order-17"),
        .scope = fbat_text("shop"),
    };
    struct fbat_error error;
    require(fbat_append(store, &event, NULL, NULL, &error) == FBAT_ERR_FENCE_ACTIVE, "other appends are refused");
}

/* 1: the list is in force. 0: it is as if it had never been. */
static int publish_list(struct fbat_store *store, const char *list, int priced) {
    const struct fbat_append_options durable = {.struct_size = sizeof durable, .level = FBAT_LEVEL_DURABLE};
    const uint64_t before = count_prices(store);
    struct fbat_fence *fence;
    struct fbat_error error;

    succeed(fbat_fence_begin(store, &fence, &error), &error);
    const struct fbat_id announcement = announce(fence, list);
    int whole = append_prices(store, fence, &announcement, priced);
    require(count_prices(store) == before, "readers see nothing of it");
    check_refused(store);
    if (!whole) {
        fbat_fence_cancel(fence);
        require(count_prices(store) == before, "and never will");
        return 0;
    }
    succeed(fbat_fence_commit(fence, &durable, &error), &error);
    require(count_prices(store) == before + ARTICLES, "all of it, at once");
    return 1;
}

static uint64_t last_revision(struct fbat_store *store) {
    struct fbat_event event;
    struct fbat_error error;
    succeed(fbat_latest(store, fbat_text("price-lists"), fbat_text("shop"), &event, &error), &error);
    const uint64_t revision = event.revision;
    fbat_event_release(&event);
    return revision;
}

int main(int argc, char **argv) {
    struct example_place place;
    struct fbat_store *store;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    require(publish_list(store, "spring", ARTICLES), "the first list is whole");
    const uint64_t revision = last_revision(store);
    printf("spring: %d prices in force at once\n", ARTICLES);

    require(!publish_list(store, "summer", 700), "the second one is not");
    printf("summer: article 700 has no price, nothing of it is in force\n");
    require(last_revision(store) == revision, "the stream is where it was");

    require(publish_list(store, "summer, mended", ARTICLES), "the third one is whole");
    require(last_revision(store) == revision + 1, "and its revision follows without a gap");
    printf("summer, mended: %d prices in force at once\n", ARTICLES);
    example_close(store);
    example_end(&place);
    return 0;
}
