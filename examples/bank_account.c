/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An account that is never overdrawn, without a lock around it: compare-and-append.
 *
 *     bank_account [DIRECTORY]
 *
 * The balance is not stored anywhere; it is the sum of the account's stream. To withdraw, a teller reads the stream up
 * to some revision, decides, and appends on condition that the stream is still at that revision. If somebody else was
 * faster, the append answers FBAT_ERR_REVISION and nothing is written; the teller reads what is new and decides again.
 *
 * Four tellers, each a thread, empty one account in steps of 7 at the same time.
 */
#include "example.h"

#include <pthread.h>

#define DEPOSITED FBAT_KIND(1, 1)
#define WITHDRAWN FBAT_KIND(1, 2)

#define TELLERS 4
#define FIRST_DEPOSIT 1000
#define STEP 7

/* What a reader knows of the account: the sum of its events up to revision. */
struct account {
    int64_t balance;
    uint64_t revision;
};

struct teller {
    pthread_t thread;
    struct fbat_store *store;
    int64_t withdrawn; /* in all */
    uint64_t conflicts;
};

static int64_t read_amount(const struct fbat_event *event) {
    char digits[24] = "";
    require(event->payload.size < sizeof digits, "an amount fits");
    memcpy(digits, event->payload.data, event->payload.size);
    return strtoll(digits, NULL, 10);
}

/* Adds the events after account->revision, and only those. */
static void catch_up(struct fbat_store *store, struct account *account) {
    const struct fbat_region region = {
        .struct_size = sizeof region,
        .entity = fbat_text("account-1"),
        .scope = fbat_text("bank"),
        .revision_min = account->revision + 1,
    };
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    int status;

    succeed(fbat_query(store, &region, NULL, &iterator, &error), &error);
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        account->balance += event.kind == DEPOSITED ? read_amount(&event) : -read_amount(&event);
        account->revision = event.revision;
    }
    succeed(status, &error);
    fbat_iterator_close(iterator);
}

/* Appends on condition that the account is still at revision. */
static int book(struct fbat_store *store, uint16_t kind, int64_t amount, uint64_t revision) {
    char digits[24];
    struct fbat_error error;
    int status;

    snprintf(digits, sizeof digits, "%" PRId64, amount);
    const struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = kind,
        .entity = fbat_text("account-1"),
        .scope = fbat_text("bank"),
        .payload = fbat_text(digits),
        .payload_type = FBAT_PAYLOAD_TEXT,
        .expect = FBAT_EXPECT_REVISION,
        .expected_revision = revision,
    };
    status = fbat_append(store, &event, NULL, NULL, &error);
    if (status == FBAT_ERR_REVISION)
        require(error.actual_revision > revision, "only a later event is in the way");
    else
        succeed(status, &error);
    return status;
}

/* The whole pattern: read, decide, append if nothing changed, else again. Some teller gets through in each round, so
 * the loop ends. Returns 0 when the account does not cover the amount. */
static int withdraw(struct teller *teller, struct account *account, int64_t amount) {
    for (;;) {
        catch_up(teller->store, account);
        if (account->balance < amount)
            return 0;
        if (book(teller->store, WITHDRAWN, amount, account->revision) == FBAT_OK)
            return 1;
        teller->conflicts++;
    }
}

static void *serve(void *argument) {
    struct teller *teller = argument;
    struct account account = {0, 0};
    while (withdraw(teller, &account, STEP))
        teller->withdrawn += STEP;
    return NULL;
}

static int64_t run_tellers(struct fbat_store *store) {
    struct teller tellers[TELLERS] = {{0}};
    int64_t withdrawn = 0;
    for (int i = 0; i < TELLERS; i++) {
        tellers[i].store = store;
        require(pthread_create(&tellers[i].thread, NULL, serve, &tellers[i]) == 0, "a thread can be started");
    }
    for (int i = 0; i < TELLERS; i++) {
        require(pthread_join(tellers[i].thread, NULL) == 0, "it ends");
        printf("teller %d: withdrew %" PRId64 ", tried again %" PRIu64 " times\n", i + 1, tellers[i].withdrawn,
               tellers[i].conflicts);
        withdrawn += tellers[i].withdrawn;
    }
    return withdrawn;
}

int main(int argc, char **argv) {
    struct example_place place;
    struct account before = {0, 0};
    struct account after = {0, 0};
    struct fbat_store *store;
    int64_t withdrawn;

    example_begin(&place, argc, argv);
    store = example_open(&place);
    catch_up(store, &before);
    require(book(store, DEPOSITED, FIRST_DEPOSIT, before.revision) == FBAT_OK, "nobody else is there yet");
    require(book(store, DEPOSITED, FIRST_DEPOSIT, before.revision) == FBAT_ERR_REVISION, "twice is refused");
    catch_up(store, &before);
    printf("balance before: %" PRId64 "\n", before.balance);

    withdrawn = run_tellers(store);
    catch_up(store, &after);
    printf("balance after:  %" PRId64 ", at revision %" PRIu64 "\n", after.balance, after.revision);
    require(after.balance == before.balance - withdrawn, "no withdrawal was lost or counted twice");
    require(after.balance >= 0 && after.balance < STEP, "the account is empty and was never overdrawn");
    example_close(store);
    example_end(&place);
    return 0;
}
