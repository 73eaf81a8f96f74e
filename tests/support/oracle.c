/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The oracle of the crash and fault tests; oracle.h says what it checks.
 *
 * Happy path: the workload adds items, notes what it was told about them, and has the store verified after each
 * crash. The content of an item is made from the seed and its number, so that nothing but the number need be kept;
 * the payload's first bytes hold the number, by which an event in the log is recognised.
 *
 * Failure modes: a promise broken is a complaint and a false; running out of memory ends the test.
 *
 * Thread rule: one thread.
 */
#include "oracle.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUIRE(oracle, condition, ...)                                                                                \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return oracle_complain(oracle, __VA_ARGS__);                                                               \
    } while (0)

#define EVENT_TIME_FIRST_US INT64_C(1500000000000000)

/* Sizes of payloads: most are small, some fill a segment, a few are larger than one. */
enum { PAYLOAD_SMALL = 120, PAYLOAD_MIDDLE = 1500, PAYLOAD_LARGE = 9000, PAYLOAD_MIN = 8 };

void oracle_init(struct oracle *oracle, uint64_t seed) {
    *oracle = (struct oracle){.seed = seed};
}

void oracle_deinit(struct oracle *oracle) {
    free(oracle->items);
    *oracle = (struct oracle){0};
}

static struct item *allocate_items(size_t count) {
    struct item *items = calloc(count, sizeof *items);
    if (!items)
        abort();
    return items;
}

void oracle_copy(const struct oracle *oracle, struct oracle *out_copy) {
    *out_copy = *oracle;
    out_copy->items = allocate_items(oracle->item_room + 1);
    if (oracle->item_count > 0)
        memcpy(out_copy->items, oracle->items, oracle->item_count * sizeof *oracle->items);
}

bool oracle_complain(struct oracle *oracle, const char *format, ...) {
    if (oracle->failed)
        return false;
    oracle->failed = true;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(oracle->complaint, sizeof oracle->complaint, format, arguments);
    va_end(arguments);
    return false;
}

/* --- Items -------------------------------------------------------------------------------------------------------- */

static struct test_random random_of_item(const struct oracle *oracle, uint64_t number) {
    struct test_random mixed = test_random_init(oracle->seed ^ (number * UINT64_C(0x9E3779B97F4A7C15)));
    return test_random_init(test_random_u64(&mixed));
}

static void make_random_id(struct test_random *random, struct fbat_id *out_id) {
    test_random_fill(random, out_id->bytes, sizeof out_id->bytes);
    out_id->bytes[6] = (uint8_t)(0x40 | (out_id->bytes[6] & 0x0f)); /* UUID version 4 */
    out_id->bytes[8] = (uint8_t)(0x80 | (out_id->bytes[8] & 0x3f));
}

/* The batch stands for itself. */
static void make_atom(struct oracle *oracle, uint64_t first) {
    uint64_t end = first + oracle->items[first].item_count;
    for (uint64_t number = first; number < end; number++) {
        oracle->items[number].atom_first = first;
        oracle->items[number].atom_next = number + 1 < end ? number + 1 : ORACLE_NO_ITEM;
    }
}

/* One coin decides for a whole batch whether keys are given: only then can it be retried. */
uint64_t oracle_add(struct oracle *oracle, uint32_t count) {
    uint64_t first = oracle->item_count;
    while (oracle->item_count + count > oracle->item_room) {
        oracle->item_room = oracle->item_room ? oracle->item_room * 2 : 256;
        oracle->items = realloc(oracle->items, oracle->item_room * sizeof *oracle->items);
        if (!oracle->items)
            abort();
    }
    struct test_random random = random_of_item(oracle, first);
    bool key_given = !test_random_one_in(&random, 4) || oracle->keys_always;
    for (uint32_t index = 0; index < count; index++) {
        struct item *item = &oracle->items[oracle->item_count++];
        *item = (struct item){.state = ITEM_UNKNOWN, .first_item = first, .item_count = count, .key_given = key_given};
        if (key_given)
            make_random_id(&random, &item->id);
    }
    make_atom(oracle, first);
    return first;
}

unsigned oracle_stream_of(const struct oracle *oracle, uint64_t number) {
    struct test_random random = random_of_item(oracle, number);
    return (unsigned)test_random_below(&random, ORACLE_STREAMS);
}

/* The same entity in two scopes is two streams. */
void oracle_stream_names(unsigned stream, char entity[32], char scope[32]) {
    snprintf(entity, 32, "entity-%u", stream % ORACLE_ENTITIES);
    snprintf(scope, 32, "scope-%u", stream / ORACLE_ENTITIES);
}

uint16_t oracle_kind(unsigned index) {
    return FBAT_KIND(1 + index % 3, 1 + index);
}

void oracle_kind_name(unsigned index, char name[32]) {
    snprintf(name, 32, "thing.happened-%u", index);
}

static size_t pick_payload_size(struct test_random *random) {
    if (test_random_one_in(random, 100))
        return (size_t)test_random_between(random, PAYLOAD_MIN, PAYLOAD_LARGE);
    if (test_random_one_in(random, 12))
        return (size_t)test_random_between(random, PAYLOAD_MIN, PAYLOAD_MIDDLE);
    return (size_t)test_random_between(random, PAYLOAD_MIN, PAYLOAD_SMALL);
}

static void build_payload(uint64_t number, struct test_random *random, struct attempt *attempt) {
    size_t size = pick_payload_size(random);
    test_random_fill(random, attempt->payload, size);
    memcpy(attempt->payload, &number, sizeof number);
    attempt->event.payload = fbat_bytes(attempt->payload, size);
    attempt->event.payload_type = (uint8_t)test_random_below(random, 6);
}

static void build_metadata(struct test_random *random, struct attempt *attempt) {
    attempt->event.header_count = (size_t)test_random_below(random, ORACLE_HEADERS_MAX + 1);
    attempt->event.tag_count = (size_t)test_random_below(random, ORACLE_TAGS_MAX + 1);
    attempt->event.headers = attempt->headers;
    attempt->event.tags = attempt->tags;
    for (size_t index = 0; index < attempt->event.header_count; index++) {
        snprintf(attempt->texts[index], 32, "header-%" PRIu64, test_random_below(random, 1000));
        test_random_fill(random, attempt->values[index], sizeof attempt->values[index]);
        attempt->headers[index].name = fbat_text(attempt->texts[index]);
        attempt->headers[index].value = fbat_bytes(attempt->values[index], (size_t)test_random_below(random, 17));
    }
    for (size_t index = 0; index < attempt->event.tag_count; index++) {
        char *text = attempt->texts[ORACLE_HEADERS_MAX + index];
        snprintf(text, 32, "tag-%" PRIu64, test_random_below(random, 1000));
        attempt->tags[index] = fbat_text(text);
    }
}

static void build_links(const struct item *item, uint64_t number, struct test_random *random, struct attempt *attempt) {
    uint64_t place = number - item->first_item;
    if (test_random_one_in(random, 4))
        make_random_id(random, &attempt->event.correlation);
    if (test_random_one_in(random, 4))
        make_random_id(random, &attempt->event.causation);
    else if (place > 0 && test_random_one_in(random, 2))
        attempt->event.causation_item = (uint32_t)test_random_between(random, 1, place);
    attempt->event.has_event_time = test_random_one_in(random, 2);
    if (attempt->event.has_event_time)
        attempt->event.event_time_us = EVENT_TIME_FIRST_US + (int64_t)test_random_below(random, 1000000000);
}

void oracle_build(const struct oracle *oracle, uint64_t number, struct attempt *out_attempt) {
    const struct item *item = &oracle->items[number];
    struct test_random random = random_of_item(oracle, number);
    unsigned stream = (unsigned)test_random_below(&random, ORACLE_STREAMS);
    out_attempt->event = (struct fbat_new_event){.struct_size = sizeof out_attempt->event};
    oracle_stream_names(stream, out_attempt->entity, out_attempt->scope);
    out_attempt->event.entity = fbat_text(out_attempt->entity);
    out_attempt->event.scope = fbat_text(out_attempt->scope);
    out_attempt->event.kind = oracle_kind((unsigned)test_random_below(&random, ORACLE_KINDS));
    build_payload(number, &random, out_attempt);
    build_metadata(&random, out_attempt);
    build_links(item, number, &random, out_attempt);
    if (item->key_given)
        out_attempt->event.id = item->id;
}

/* --- What the program is told ------------------------------------------------------------------------------------- */

void oracle_note_try(struct oracle *oracle, uint64_t first) {
    oracle->tries++;
    if (oracle->items[first].state == ITEM_ABSENT || oracle->items[first].state == ITEM_REFUSED)
        make_atom(oracle, first); /* else a fence that may be there still holds it */
    for (uint32_t index = 0; index < oracle->items[first].item_count; index++) {
        struct item *item = &oracle->items[first + index];
        if (item->state == ITEM_WRITTEN || item->state == ITEM_DURABLE)
            continue; /* it is there already */
        if (item->first_try == 0 || item->state == ITEM_ABSENT || item->state == ITEM_REFUSED)
            item->first_try = oracle->tries;
        item->maybe = item->state == ITEM_UNKNOWN && item->last_try != 0;
        item->last_try = oracle->tries;
        item->state = ITEM_UNKNOWN;
    }
}

void oracle_note_state(struct oracle *oracle, uint64_t first, enum item_state state) {
    for (uint32_t index = 0; index < oracle->items[first].item_count; index++) {
        struct item *item = &oracle->items[first + index];
        item->state = state == ITEM_REFUSED && item->maybe ? ITEM_UNKNOWN : state;
    }
}

void oracle_note_fence(struct oracle *oracle, uint64_t fence_first, uint64_t first) {
    uint64_t last = fence_first, count = oracle->items[first].item_count;
    if (first == fence_first)
        return;
    while (oracle->items[last].atom_next != ORACLE_NO_ITEM)
        last = oracle->items[last].atom_next;
    oracle->items[last].atom_next = first;
    for (uint64_t number = first; number < first + count; number++)
        oracle->items[number].atom_first = fence_first;
}

static bool note_receipt(struct oracle *oracle, uint64_t number, const struct fbat_receipt *receipt, bool durable) {
    struct item *item = &oracle->items[number];
    unsigned stream = oracle_stream_of(oracle, number);
    bool was_there = item->state == ITEM_WRITTEN || item->state == ITEM_DURABLE;
    REQUIRE(oracle, !durable || receipt->level == FBAT_LEVEL_DURABLE, "item %" PRIu64 ": acknowledged below its level",
            number);
    REQUIRE(oracle, !was_there || receipt->replayed, "item %" PRIu64 " was there and is appended again", number);
    REQUIRE(oracle, !was_there || memcmp(receipt->hash, item->receipt.hash, sizeof receipt->hash) == 0,
            "item %" PRIu64 ": the retry answers another hash", number);
    REQUIRE(oracle,
            !was_there || (receipt->sequence == item->receipt.sequence && receipt->revision == item->receipt.revision),
            "item %" PRIu64 ": the retry answers another place", number);
    REQUIRE(oracle, was_there || !receipt->replayed, "item %" PRIu64 " is new and said to be known", number);
    REQUIRE(oracle, was_there || receipt->revision == oracle->revisions[stream] + 1,
            "item %" PRIu64 " got revision %" PRIu64 ", expected %" PRIu64, number, receipt->revision,
            oracle->revisions[stream] + 1);
    REQUIRE(oracle, was_there || receipt->sequence > oracle->last_sequence,
            "item %" PRIu64 " got sequence %" PRIu64 " after %" PRIu64, number, receipt->sequence,
            oracle->last_sequence);
    REQUIRE(oracle, !item->key_given || memcmp(&receipt->id, &item->id, sizeof item->id) == 0,
            "item %" PRIu64 " has another id than was given", number);
    if (!was_there) {
        oracle->revisions[stream] = receipt->revision;
        oracle->last_sequence = receipt->sequence;
        item->receipt = *receipt;
        item->receipt_known = true;
        item->id = receipt->id;
    }
    bool is_durable = receipt->level == FBAT_LEVEL_DURABLE || item->state == ITEM_DURABLE;
    item->state = is_durable ? ITEM_DURABLE : ITEM_WRITTEN;
    return true;
}

bool oracle_note_receipts(struct oracle *oracle, uint64_t first, const struct fbat_receipt *receipts, bool durable) {
    for (uint32_t index = 0; index < oracle->items[first].item_count; index++) {
        if (!note_receipt(oracle, first + index, &receipts[index], durable))
            return false;
        REQUIRE(oracle, receipts[index].sequence == receipts[0].sequence + index,
                "the batch of item %" PRIu64 " is not side by side", first);
    }
    return true;
}

static struct fbat_receipt receipt_of(const struct fbat_event *event) {
    struct fbat_receipt receipt = {
        .sequence = event->sequence, .revision = event->revision, .recorded_us = event->recorded_us, .id = event->id};
    memcpy(receipt.hash, event->hash, sizeof receipt.hash);
    return receipt;
}

bool oracle_note_unheard(struct oracle *oracle, uint64_t first, struct fbat_store *store, enum item_state absent) {
    struct fbat_receipt receipts[ORACLE_BATCH_MAX];
    struct item *item = &oracle->items[first];
    uint32_t found = 0;
    for (uint32_t index = 0; index < item->item_count; index++) {
        struct fbat_event event;
        if (fbat_get(store, &item[index].id, &event, NULL) != FBAT_OK)
            continue;
        receipts[found] = receipt_of(&event);
        receipts[found++].replayed = item->state == ITEM_WRITTEN || item->state == ITEM_DURABLE;
        fbat_event_release(&event);
    }
    REQUIRE(oracle, found == 0 || found == item->item_count, "a part of the batch of item %" PRIu64 " is there", first);
    if (found == item->item_count)
        return oracle_note_receipts(oracle, first, receipts, false);
    if (item->state == ITEM_UNKNOWN)
        oracle_note_state(oracle, first, absent);
    return true;
}

void oracle_note_all_durable(struct oracle *oracle) {
    for (size_t number = 0; number < oracle->item_count; number++)
        if (oracle->items[number].state == ITEM_WRITTEN)
            oracle->items[number].state = ITEM_DURABLE;
    for (unsigned index = 0; index < ORACLE_KINDS; index++)
        if (oracle->kinds[index].state == ITEM_WRITTEN)
            oracle->kinds[index].state = ITEM_DURABLE;
}

bool oracle_note_frontier(struct oracle *oracle, const struct fbat_frontier *frontier) {
    REQUIRE(oracle,
            frontier->durable <= frontier->visible && frontier->visible <= frontier->written &&
                frontier->written <= frontier->accepted,
            "watermarks out of order: accepted %" PRIu64 ", written %" PRIu64 ", visible %" PRIu64 ", durable %" PRIu64,
            frontier->accepted, frontier->written, frontier->visible, frontier->durable);
    REQUIRE(oracle, frontier->durable >= oracle->durable_sequence,
            "the durable watermark went from %" PRIu64 " to %" PRIu64, oracle->durable_sequence, frontier->durable);
    if (frontier->durable == oracle->durable_sequence)
        return true;
    oracle->durable_sequence = frontier->durable;
    for (size_t number = 0; number < oracle->item_count; number++) {
        struct item *item = &oracle->items[number];
        if (item->state == ITEM_WRITTEN && item->receipt.sequence <= frontier->durable)
            item->state = ITEM_DURABLE;
    }
    return true;
}

/* --- One event against its item ----------------------------------------------------------------------------------- */

static bool same_slice(struct fbat_slice a, struct fbat_slice b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool same_id(const struct fbat_id *a, const struct fbat_id *b) {
    return memcmp(a, b, sizeof *a) == 0;
}

static bool same_metadata(const struct attempt *attempt, const struct fbat_event *event) {
    struct fbat_header header;
    struct fbat_slice tag;
    for (size_t index = 0; index < attempt->event.header_count; index++)
        if (fbat_event_header(event, index, &header) != FBAT_OK ||
            !same_slice(header.name, attempt->headers[index].name) ||
            !same_slice(header.value, attempt->headers[index].value))
            return false;
    for (size_t index = 0; index < attempt->event.tag_count; index++)
        if (fbat_event_tag(event, index, &tag) != FBAT_OK || !same_slice(tag, attempt->tags[index]))
            return false;
    return fbat_event_header(event, attempt->event.header_count, &header) == FBAT_END &&
           fbat_event_tag(event, attempt->event.tag_count, &tag) == FBAT_END;
}

static bool same_links(const struct oracle *oracle, const struct item *item, const struct attempt *attempt,
                       const struct fbat_event *event) {
    const struct fbat_new_event *wanted = &attempt->event;
    const struct fbat_id *correlation = fbat_id_is_none(&wanted->correlation) ? &event->id : &wanted->correlation;
    const struct fbat_id *causation = &wanted->causation;
    if (wanted->causation_item > 0)
        causation = &oracle->items[item->first_item + wanted->causation_item - 1].id;
    int64_t event_time_us = wanted->has_event_time ? wanted->event_time_us : event->recorded_us;
    return same_id(&event->correlation, correlation) && same_id(&event->causation, causation) &&
           event->event_time_us == event_time_us;
}

static bool check_content(struct oracle *oracle, uint64_t number, const struct fbat_event *event) {
    static _Thread_local struct attempt attempt;
    struct item *item = &oracle->items[number];
    oracle_build(oracle, number, &attempt);
    const struct fbat_new_event *wanted = &attempt.event;
    REQUIRE(oracle, same_slice(event->entity, wanted->entity) && same_slice(event->scope, wanted->scope),
            "item %" PRIu64 " is in another stream", number);
    REQUIRE(oracle, same_slice(event->payload, wanted->payload), "item %" PRIu64 " has another payload", number);
    REQUIRE(oracle, event->kind == wanted->kind && event->payload_type == wanted->payload_type && event->lane == 0,
            "item %" PRIu64 " has another kind or type", number);
    REQUIRE(oracle, same_metadata(&attempt, event), "item %" PRIu64 " has other headers or tags", number);
    REQUIRE(oracle, fbat_id_is_none(&item->id) || same_id(&item->id, &event->id), "item %" PRIu64 " has another id",
            number);
    item->id = event->id;
    REQUIRE(oracle, same_links(oracle, item, &attempt, event), "item %" PRIu64 " has other links or times", number);
    return true;
}

static bool check_receipt(struct oracle *oracle, uint64_t number, const struct fbat_event *event) {
    const struct fbat_receipt *receipt = &oracle->items[number].receipt;
    REQUIRE(oracle, event->sequence == receipt->sequence,
            "item %" PRIu64 " was acknowledged at sequence %" PRIu64 " and is at %" PRIu64, number, receipt->sequence,
            event->sequence);
    REQUIRE(oracle, event->revision == receipt->revision,
            "item %" PRIu64 " was acknowledged at revision %" PRIu64 " and is at %" PRIu64, number, receipt->revision,
            event->revision);
    REQUIRE(oracle, event->recorded_us == receipt->recorded_us, "item %" PRIu64 " has another recorded time", number);
    REQUIRE(oracle, memcmp(event->hash, receipt->hash, sizeof receipt->hash) == 0,
            "item %" PRIu64 " has another hash than was acknowledged", number);
    return true;
}

/* --- The walk over the whole log ---------------------------------------------------------------------------------- */

struct walk {
    uint64_t sequence;
    int64_t recorded_us;
    uint64_t revisions[ORACLE_STREAMS + 1]; /* the last one is the stream of kinds */
    uint8_t hashes[ORACLE_STREAMS + 1][32];
    uint64_t events;    /* the caller's */
    uint64_t try;       /* the highest that an event so far must have been written at */
    uint64_t atom_next; /* the item that must follow, ORACLE_NO_ITEM: any that starts a batch or a fence */
    uint64_t digest;
};

static void digest_bytes(uint64_t *digest, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (size_t index = 0; index < size; index++)
        *digest = (*digest ^ at[index]) * UINT64_C(0x100000001b3); /* FNV-1a */
}

static bool check_place(struct oracle *oracle, struct walk *walk, unsigned stream, const struct fbat_event *event) {
    REQUIRE(oracle, event->sequence == walk->sequence + 1, "sequence %" PRIu64 " follows %" PRIu64, event->sequence,
            walk->sequence);
    REQUIRE(oracle, event->revision == walk->revisions[stream] + 1,
            "sequence %" PRIu64 ": revision %" PRIu64 " follows %" PRIu64, event->sequence, event->revision,
            walk->revisions[stream]);
    REQUIRE(oracle, event->recorded_us >= walk->recorded_us, "sequence %" PRIu64 ": time goes back", event->sequence);
    REQUIRE(oracle, memcmp(event->previous_hash, walk->hashes[stream], 32) == 0,
            "sequence %" PRIu64 " does not follow its stream's last hash", event->sequence);
    walk->sequence = event->sequence;
    walk->revisions[stream] = event->revision;
    walk->recorded_us = event->recorded_us;
    memcpy(walk->hashes[stream], event->hash, 32);
    digest_bytes(&walk->digest, &event->sequence, sizeof event->sequence);
    digest_bytes(&walk->digest, event->hash, 32);
    return true;
}

static bool check_atom(struct oracle *oracle, struct walk *walk, uint64_t number) {
    const struct item *item = &oracle->items[number];
    REQUIRE(oracle, walk->atom_next != ORACLE_NO_ITEM || number == item->atom_first,
            "item %" PRIu64 " is there without item %" PRIu64 ", the start of its batch or fence", number,
            item->atom_first);
    REQUIRE(oracle, walk->atom_next == ORACLE_NO_ITEM || number == walk->atom_next,
            "item %" PRIu64 " stands where item %" PRIu64 " of a batch or fence belongs", number, walk->atom_next);
    walk->atom_next = item->atom_next;
    return true;
}

/* Tries ascend with sequences; an event that was tried several times was written at one of them. */
static bool check_order(struct oracle *oracle, struct walk *walk, uint64_t number) {
    const struct item *item = &oracle->items[number];
    if (walk->try < item->first_try)
        walk->try = item->first_try;
    REQUIRE(oracle, walk->try <= item->last_try, "item %" PRIu64 " was written before one that stands before it",
            number);
    return true;
}

static bool check_event(struct oracle *oracle, struct walk *walk, const struct fbat_event *event) {
    uint64_t number = UINT64_MAX;
    if (event->payload.size >= sizeof number)
        memcpy(&number, event->payload.data, sizeof number);
    REQUIRE(oracle, number < oracle->item_count, "sequence %" PRIu64 " is an event that nobody appended",
            event->sequence);
    struct item *item = &oracle->items[number];
    REQUIRE(oracle, !item->seen, "item %" PRIu64 " is there twice", number);
    REQUIRE(oracle, item->state != ITEM_REFUSED, "item %" PRIu64 " was refused and is there", number);
    REQUIRE(oracle, item->state != ITEM_ABSENT, "item %" PRIu64 " was absent and has come back", number);
    item->seen = true;
    walk->events++;
    if (!check_place(oracle, walk, oracle_stream_of(oracle, number), event) || !check_atom(oracle, walk, number) ||
        !check_order(oracle, walk, number) || !check_content(oracle, number, event))
        return false;
    bool acknowledged = item->state == ITEM_WRITTEN || item->state == ITEM_DURABLE;
    return !acknowledged || check_receipt(oracle, number, event);
}

static bool check_system_event(struct oracle *oracle, struct walk *walk, const struct fbat_event *event) {
    REQUIRE(oracle, walk->atom_next == ORACLE_NO_ITEM, "sequence %" PRIu64 " stands inside a batch or fence",
            event->sequence);
    REQUIRE(oracle, same_slice(event->entity, fbat_text("_kinds")), "sequence %" PRIu64 " is no event of kinds",
            event->sequence);
    return check_place(oracle, walk, ORACLE_STREAMS, event);
}

static bool walk_events(struct oracle *oracle, struct fbat_iterator *iterator, struct walk *walk) {
    struct fbat_event event;
    struct fbat_error error;
    int status;
    while ((status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        bool system = same_slice(event.scope, fbat_text(FBAT_SYSTEM_SCOPE));
        if (!(system ? check_system_event(oracle, walk, &event) : check_event(oracle, walk, &event)))
            return false;
    }
    REQUIRE(oracle, status == FBAT_END, "the log cannot be read: %s", error.message);
    REQUIRE(oracle, walk->atom_next == ORACLE_NO_ITEM, "the log ends inside the batch or fence before item %" PRIu64,
            walk->atom_next);
    return true;
}

static bool walk_log(struct oracle *oracle, struct fbat_store *store, struct walk *walk) {
    struct fbat_region region = {.struct_size = sizeof region, .flags = FBAT_REGION_SYSTEM};
    struct fbat_iterator *iterator;
    struct fbat_error error;
    for (size_t number = 0; number < oracle->item_count; number++)
        oracle->items[number].seen = false;
    *walk =
        (struct walk){.digest = UINT64_C(0xcbf29ce484222325), .recorded_us = INT64_MIN, .atom_next = ORACLE_NO_ITEM};
    REQUIRE(oracle, fbat_query(store, &region, NULL, &iterator, &error) == FBAT_OK, "no query: %s", error.message);
    bool good = walk_events(oracle, iterator, walk);
    fbat_iterator_close(iterator);
    oracle->digest = walk->digest;
    return good;
}

/* --- What must be there, and other ways to read it ---------------------------------------------------------------- */

static bool check_promises(struct oracle *oracle, const struct walk *walk, enum oracle_loss loss) {
    enum item_state least = loss == ORACLE_POWER_LOST ? ITEM_DURABLE : ITEM_WRITTEN;
    for (size_t number = 0; number < oracle->item_count; number++) {
        const struct item *item = &oracle->items[number];
        REQUIRE(oracle, item->seen || item->state < least,
                "item %zu was acknowledged %s at sequence %" PRIu64 " and is lost; the log ends at %" PRIu64, number,
                item->state == ITEM_DURABLE ? "durable" : "written", item->receipt.sequence, walk->sequence);
    }
    REQUIRE(oracle, walk->sequence >= oracle->durable_sequence,
            "the durable watermark was %" PRIu64 ", the log ends at %" PRIu64, oracle->durable_sequence,
            walk->sequence);
    return true;
}

static bool check_kinds(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss) {
    enum item_state least = loss == ORACLE_POWER_LOST ? ITEM_DURABLE : ITEM_WRITTEN;
    for (unsigned index = 0; index < ORACLE_KINDS; index++) {
        char name[32];
        uint16_t kind = 0;
        oracle_kind_name(index, name);
        int status = fbat_kind(store, fbat_text(name), &kind);
        REQUIRE(oracle, status == FBAT_OK || oracle->kinds[index].state < least, "the name of kind %u is lost", index);
        REQUIRE(oracle, status != FBAT_OK || kind == oracle_kind(index), "the name of kind %u moved", index);
    }
    return true;
}

static bool check_by_id(struct oracle *oracle, struct fbat_store *store, uint64_t number) {
    const struct item *item = &oracle->items[number];
    struct fbat_event event;
    struct fbat_error error;
    int status = fbat_get(store, &item->id, &event, &error);
    if (!item->seen) {
        if (status == FBAT_OK)
            fbat_event_release(&event);
        REQUIRE(oracle, status == FBAT_ERR_NOT_FOUND, "item %" PRIu64 " is absent and found by id", number);
        return true;
    }
    REQUIRE(oracle, status == FBAT_OK, "item %" PRIu64 " is not found by id: %s", number, error.message);
    uint64_t found = UINT64_MAX;
    if (event.payload.size >= sizeof found)
        memcpy(&found, event.payload.data, sizeof found);
    fbat_event_release(&event);
    REQUIRE(oracle, found == number, "item %" PRIu64 " has the id of another", number);
    return true;
}

static bool check_stream(struct oracle *oracle, struct fbat_store *store, const struct walk *walk, unsigned stream) {
    char entity[32], scope[32];
    struct fbat_event event;
    struct fbat_error error;
    oracle_stream_names(stream, entity, scope);
    int status = fbat_latest(store, fbat_text(entity), fbat_text(scope), &event, &error);
    if (walk->revisions[stream] == 0) {
        REQUIRE(oracle, status == FBAT_ERR_NOT_FOUND, "stream %u is empty and has a latest event", stream);
        return true;
    }
    REQUIRE(oracle, status == FBAT_OK, "stream %u has no latest event: %s", stream, error.message);
    bool right = event.revision == walk->revisions[stream] && memcmp(event.hash, walk->hashes[stream], 32) == 0;
    fbat_event_release(&event);
    REQUIRE(oracle, right, "the latest event of stream %u is another", stream);
    return true;
}

static bool check_sequences(struct oracle *oracle, struct fbat_store *store, const struct walk *walk) {
    struct fbat_event event;
    struct fbat_error error;
    struct fbat_frontier frontier;
    uint64_t count = UINT64_MAX;
    REQUIRE(oracle, fbat_query_count(store, NULL, &count, &error) == FBAT_OK, "no count: %s", error.message);
    REQUIRE(oracle, count == walk->events, "%" PRIu64 " events counted, %" PRIu64 " read", count, walk->events);
    fbat_frontier(store, &frontier);
    REQUIRE(oracle, frontier.visible == walk->sequence, "visible to %" PRIu64 ", read to %" PRIu64, frontier.visible,
            walk->sequence);
    REQUIRE(oracle, fbat_get_by_sequence(store, walk->sequence + 1, &event, &error) == FBAT_ERR_NOT_FOUND,
            "there is an event after the last one");
    if (walk->sequence == 0)
        return true;
    int status = fbat_get_by_sequence(store, walk->sequence, &event, &error);
    REQUIRE(oracle, status == FBAT_OK, "the last sequence is not found: %s", error.message);
    uint64_t sequence = event.sequence;
    fbat_event_release(&event);
    REQUIRE(oracle, sequence == walk->sequence, "another sequence is found");
    return true;
}

static bool verify_walk(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss, struct walk *walk) {
    if (!walk_log(oracle, store, walk) || !check_promises(oracle, walk, loss) || !check_kinds(oracle, store, loss) ||
        !check_sequences(oracle, store, walk))
        return false;
    for (size_t number = 0; number < oracle->item_count; number++)
        if (!fbat_id_is_none(&oracle->items[number].id) && !check_by_id(oracle, store, number))
            return false;
    for (unsigned stream = 0; stream < ORACLE_STREAMS; stream++)
        if (!check_stream(oracle, store, walk, stream))
            return false;
    return true;
}

bool oracle_verify(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss) {
    struct walk walk;
    return verify_walk(oracle, store, loss, &walk);
}

/* Receipts of events whose acknowledgement never came are taken from the events: from now on they are binding. */
static bool learn_receipt(struct oracle *oracle, struct fbat_store *store, uint64_t number) {
    struct item *item = &oracle->items[number];
    struct fbat_event event;
    struct fbat_error error;
    if (item->state == ITEM_WRITTEN || item->state == ITEM_DURABLE)
        return true;
    REQUIRE(oracle, fbat_get(store, &item->id, &event, &error) == FBAT_OK, "item %" PRIu64 " vanished", number);
    item->receipt = receipt_of(&event);
    item->receipt_known = true;
    fbat_event_release(&event);
    return true;
}

bool oracle_verify_recovered(struct oracle *oracle, struct fbat_store *store, enum oracle_loss loss) {
    struct walk walk;
    if (!verify_walk(oracle, store, loss, &walk))
        return false;
    for (size_t number = 0; number < oracle->item_count; number++) {
        struct item *item = &oracle->items[number];
        if (item->seen && !learn_receipt(oracle, store, number))
            return false;
        if (!item->seen && !item->key_given)
            item->id = (struct fbat_id){{0}}; /* the store's next one may be the same */
        if (item->seen || item->state != ITEM_REFUSED)
            item->state = item->seen ? ITEM_DURABLE : ITEM_ABSENT;
    }
    for (unsigned index = 0; index < ORACLE_KINDS; index++) {
        char name[32];
        uint16_t kind;
        oracle_kind_name(index, name);
        bool known = fbat_kind(store, fbat_text(name), &kind) == FBAT_OK;
        oracle->kinds[index].state = known ? ITEM_DURABLE : ITEM_ABSENT;
    }
    memcpy(oracle->revisions, walk.revisions, sizeof oracle->revisions);
    oracle->last_sequence = walk.sequence;
    oracle->durable_sequence = walk.sequence;
    return true;
}
