/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a store on os_sim, at random; workload.h describes it.
 *
 * Happy path: workload_open, many workload_step, workload_close. At any moment the process may be stopped by the
 * simulation: what it is told afterwards does not count, because nobody was alive to hear it.
 *
 * Failure modes: an answer that is not allowed is a complaint of the oracle, once.
 *
 * Thread rule: one thread.
 */
#include "workload.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fail.h"
#include "api/handle.h"
#include "store/store.h"

enum { SEGMENT_BYTES_MIN = 2048, SEGMENT_BYTES_MAX = 8192, FIRST_PID = 100, CLOCK_JUMP_US = 10000000 };

static void choose_config(struct workload *workload) {
    struct test_random *random = &workload->random;
    static const uint32_t sync_counts[] = {1, 3, 10, 1000};
    static const uint32_t sync_delays[] = {0, 1, 1000};
    fbat_config_init(&workload->config, WORKLOAD_DIR);
    workload->config.segment_max_bytes = test_random_between(random, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
    workload->config.sync.every_n_events = sync_counts[test_random_below(random, 4)];
    workload->config.sync.max_delay_ms = sync_delays[test_random_below(random, 3)];
    workload->config.sync.mode = test_random_one_in(random, 2) ? FBAT_SYNC_ALL : FBAT_SYNC_DATA;
}

void workload_init(struct workload *workload, struct os_sim *sim, uint64_t seed) {
    *workload = (struct workload){.sim = sim, .random = test_random_init(seed), .next_pid = FIRST_PID};
    workload->attempts = calloc(ORACLE_BATCH_MAX, sizeof *workload->attempts);
    if (!workload->attempts)
        abort();
    oracle_init(&workload->oracle, seed);
    choose_config(workload);
    workload_start_process(workload);
}

void workload_deinit(struct workload *workload) {
    workload_abandon(workload);
    oracle_deinit(&workload->oracle);
    free(workload->attempts);
}

void workload_start_process(struct workload *workload) {
    workload->os = os_sim_process(workload->sim, workload->next_pid++);
}

bool workload_is_good(const struct workload *workload) {
    return !workload->oracle.failed;
}

static bool is_alive(const struct workload *workload) {
    return os_sim_is_alive(workload->os);
}

static bool can_work(const struct workload *workload) {
    return workload->store && workload_is_good(workload) && is_alive(workload);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

void workload_judge(struct workload *workload, const char *what, int status, const struct fbat_error *error) {
    struct oracle *oracle = &workload->oracle;
    if (!is_alive(workload))
        return;
    bool explained = status == FBAT_ERR_NO_SPACE;
    if (!workload->only_space_lacks)
        explained |= status == FBAT_ERR_IO || status == FBAT_ERR_NO_MEMORY || status == FBAT_ERR_WRITER_DEAD;
    if (!workload->faults_expected || !explained)
        oracle_complain(oracle, "%s answered %s: %s", what, fbat_status_name(status), error->message);
    else if (error->status != status)
        oracle_complain(oracle, "%s answered %s, the error says %s", what, fbat_status_name(status),
                        fbat_status_name(error->status));
    else if (error->message[0] == '\0')
        oracle_complain(oracle, "%s answered %s without a message", what, fbat_status_name(status));
}

static void look_at_watermarks(struct workload *workload) {
    struct fbat_frontier frontier;
    fbat_frontier(workload->store, &frontier);
    if (is_alive(workload))
        oracle_note_frontier(&workload->oracle, &frontier);
}

/* "Nothing was written", say the comments of these in the public header. */
static enum item_state state_after(int status) {
    return status == FBAT_ERR_NO_SPACE || status == FBAT_ERR_NO_MEMORY || status == FBAT_ERR_WRITER_DEAD ? ITEM_REFUSED
                                                                                                         : ITEM_UNKNOWN;
}

static bool in_store(const struct oracle *oracle, uint64_t number) {
    return oracle->items[number].state == ITEM_WRITTEN || oracle->items[number].state == ITEM_DURABLE;
}

/* --- Appends ------------------------------------------------------------------------------------------------------ */

/* Half of the singles are conditional, and right. */
static void expect_what_is(struct workload *workload, uint64_t number, struct fbat_new_event *event) {
    uint64_t revision = workload->oracle.revisions[oracle_stream_of(&workload->oracle, number)];
    switch (test_random_below(&workload->random, 4)) {
    case 0:
        event->expect = FBAT_EXPECT_REVISION;
        event->expected_revision = revision;
        break;
    case 1: event->expect = revision == 0 ? FBAT_EXPECT_NONE : FBAT_EXPECT_EXISTS; break;
    default: break;
    }
}

static int submit(struct workload *workload, uint64_t first, enum fbat_level level, bool conditional,
                  struct fbat_receipt *out_receipts, struct fbat_error *error) {
    struct fbat_append_options options = {.struct_size = sizeof options, .level = level};
    struct fbat_new_event events[ORACLE_BATCH_MAX];
    uint32_t count = workload->oracle.items[first].item_count;
    for (uint32_t index = 0; index < count; index++) {
        oracle_build(&workload->oracle, first + index, &workload->attempts[index]);
        events[index] = workload->attempts[index].event;
    }
    if (conditional && count == 1)
        expect_what_is(workload, first, &events[0]);
    if (count == 1 && test_random_one_in(&workload->random, 2))
        return fbat_append(workload->store, events, &options, out_receipts, error);
    return fbat_append_batch(workload->store, events, count, &options, out_receipts, error);
}

static bool means_durable(const struct workload *workload, enum fbat_level level) {
    return level == FBAT_LEVEL_DURABLE || (level == FBAT_LEVEL_DEFAULT && workload->config.sync.every_n_events == 1);
}

static void try_items(struct workload *workload, uint64_t first, enum fbat_level level, bool conditional) {
    struct fbat_receipt receipts[ORACLE_BATCH_MAX];
    struct fbat_error error;
    bool known = in_store(&workload->oracle, first);
    oracle_note_try(&workload->oracle, first);
    int status = submit(workload, first, level, conditional, receipts, &error);
    if (!is_alive(workload))
        return;
    if (status == FBAT_OK) {
        oracle_note_receipts(&workload->oracle, first, receipts, means_durable(workload, level));
    } else {
        workload_judge(workload, "append", status, &error);
        if (!known)
            oracle_note_state(&workload->oracle, first, state_after(status));
    }
    look_at_watermarks(workload);
}

void workload_append(struct workload *workload, uint32_t count, enum fbat_level level) {
    if (can_work(workload))
        try_items(workload, oracle_add(&workload->oracle, count), level, true);
}

static void append_some(struct workload *workload) {
    uint32_t count = test_random_one_in(&workload->random, 3)
                         ? (uint32_t)test_random_between(&workload->random, 2, ORACLE_BATCH_MAX)
                         : 1;
    workload_append(workload, count, (enum fbat_level)test_random_below(&workload->random, 3));
}

/* A wrong expectation is refused with the revision that is, and leaves nothing behind. */
static void append_wrongly(struct workload *workload) {
    struct oracle *oracle = &workload->oracle;
    uint64_t number = oracle_add(oracle, 1);
    uint64_t revision = oracle->revisions[oracle_stream_of(oracle, number)];
    struct fbat_error error;
    struct attempt *attempt = &workload->attempts[0];
    oracle_build(oracle, number, attempt);
    oracle_note_try(oracle, number);
    attempt->event.expect = FBAT_EXPECT_REVISION;
    attempt->event.expected_revision = revision + test_random_between(&workload->random, 1, 3);
    int status = fbat_append(workload->store, &attempt->event, NULL, NULL, &error);
    if (!is_alive(workload))
        return;
    oracle_note_state(oracle, number, ITEM_REFUSED);
    if (status != FBAT_ERR_REVISION)
        workload_judge(workload, "append with a wrong expectation", status, &error);
    else if (error.actual_revision != revision)
        oracle_complain(oracle, "the stream is said to be at %" PRIu64 " and is at %" PRIu64, error.actual_revision,
                        revision);
}

static bool pick_keyed(struct workload *workload, uint64_t *out_first) {
    struct oracle *oracle = &workload->oracle;
    if (oracle->item_count == 0)
        return false;
    uint64_t number = test_random_below(&workload->random, oracle->item_count);
    *out_first = oracle->items[number].first_item;
    return oracle->items[number].key_given;
}

static void retry_some(struct workload *workload) {
    uint64_t first;
    if (pick_keyed(workload, &first))
        try_items(workload, first, (enum fbat_level)test_random_below(&workload->random, 3), false);
}

/* The same key for another event is a conflict, and the key's owner stays what it was. */
static void reuse_a_key(struct workload *workload) {
    uint64_t first;
    struct fbat_error error;
    struct attempt *attempt = &workload->attempts[0];
    if (!pick_keyed(workload, &first) || !in_store(&workload->oracle, first))
        return;
    oracle_build(&workload->oracle, first, attempt);
    attempt->event.causation_item = 0;
    attempt->payload[attempt->event.payload.size - 1] ^= 1;
    int status = fbat_append(workload->store, &attempt->event, NULL, NULL, &error);
    if (is_alive(workload) && status >= 0)
        oracle_complain(&workload->oracle, "the key of item %" PRIu64 " was taken twice", first);
    else if (is_alive(workload) && status != FBAT_ERR_IDEMPOTENCY_CONFLICT)
        workload_judge(workload, "append with a used key", status, &error);
}

void workload_retry_all(struct workload *workload) {
    for (uint64_t first = 0; first < workload->oracle.item_count && can_work(workload);
         first += workload->oracle.items[first].item_count)
        if (workload->oracle.items[first].key_given)
            try_items(workload, first, FBAT_LEVEL_WRITTEN, false);
}

/* --- Other calls -------------------------------------------------------------------------------------------------- */

void workload_sync(struct workload *workload) {
    struct fbat_error error;
    if (!can_work(workload))
        return;
    int status = fbat_sync(workload->store, &error);
    if (!is_alive(workload))
        return;
    if (status == FBAT_OK)
        oracle_note_all_durable(&workload->oracle);
    else
        workload_judge(workload, "sync", status, &error);
    look_at_watermarks(workload);
}

void workload_define_kind(struct workload *workload) {
    unsigned index = (unsigned)test_random_below(&workload->random, ORACLE_KINDS);
    struct named_kind *kind = &workload->oracle.kinds[index];
    char name[32];
    struct fbat_error error;
    if (!can_work(workload))
        return;
    oracle_kind_name(index, name);
    int status = fbat_kind_define(workload->store, oracle_kind(index), fbat_text(name), &error);
    bool was_there = kind->state == ITEM_WRITTEN || kind->state == ITEM_DURABLE;
    if (!was_there)
        kind->state = ITEM_UNKNOWN;
    if (!is_alive(workload))
        return;
    if (status < 0)
        workload_judge(workload, "kind_define", status, &error);
    else if (!was_there)
        kind->state = means_durable(workload, FBAT_LEVEL_DEFAULT) ? ITEM_DURABLE : ITEM_WRITTEN;
    look_at_watermarks(workload);
}

static void read_something(struct workload *workload) {
    uint64_t first;
    struct fbat_event event;
    struct fbat_error error;
    if (!pick_keyed(workload, &first) || !in_store(&workload->oracle, first))
        return;
    const struct item *item = &workload->oracle.items[first];
    int status = fbat_get(workload->store, &item->id, &event, &error);
    if (status < 0) {
        workload_judge(workload, "get", status, &error);
        return;
    }
    if (event.sequence != item->receipt.sequence || memcmp(event.hash, item->receipt.hash, 32) != 0)
        oracle_complain(&workload->oracle, "item %" PRIu64 " reads differently from its receipt", first);
    fbat_event_release(&event);
}

static void jump_clock(struct workload *workload) {
    int64_t jump = (int64_t)test_random_below(&workload->random, 2 * CLOCK_JUMP_US) - CLOCK_JUMP_US;
    os_sim_advance_clock(workload->sim, jump);
}

static void reopen(struct workload *workload) {
    if (workload_close(workload) == FBAT_OK && is_alive(workload))
        workload_open(workload, ORACLE_NOTHING_LOST);
}

void workload_step(struct workload *workload) {
    if (!can_work(workload))
        return;
    uint64_t choice = test_random_below(&workload->random, 100);
    if (choice < 62)
        append_some(workload);
    else if (choice < 67)
        append_wrongly(workload);
    else if (choice < 77)
        retry_some(workload);
    else if (choice < 80)
        reuse_a_key(workload);
    else if (choice < 84)
        workload_sync(workload);
    else if (choice < 88)
        workload_define_kind(workload);
    else if (choice < 94)
        read_something(workload);
    else if (choice < 97)
        jump_clock(workload);
    else
        reopen(workload);
}

/* --- Opening and closing ------------------------------------------------------------------------------------------ */

int workload_open(struct workload *workload, enum oracle_loss loss) {
    struct fbat_error error;
    int status = store_open(workload->os, &workload->config, &workload->store, &error);
    if (status < 0) {
        workload->store = NULL;
        workload_judge(workload, "open", status, &error);
        return status;
    }
    handle_adopt(workload->store);
    alloc_fail_hold(true);
    if (is_alive(workload))
        oracle_verify_recovered(&workload->oracle, workload->store, loss);
    alloc_fail_hold(false);
    return status;
}

int workload_close(struct workload *workload) {
    struct fbat_error error;
    if (!workload->store)
        return FBAT_OK;
    int status = store_close(workload->store, &error);
    workload->store = NULL;
    if (!is_alive(workload))
        return status;
    if (status == FBAT_OK)
        oracle_note_all_durable(&workload->oracle);
    else
        workload_judge(workload, "close", status, &error);
    return status;
}

void workload_abandon(struct workload *workload) {
    if (workload->store)
        store_abandon(workload->store);
    workload->store = NULL;
}

static int keep_first_finding(void *user, const struct fbat_finding *finding) {
    struct oracle *oracle = user;
    if (finding->damage)
        oracle_complain(oracle, "check: segment %" PRIu64 ", offset %" PRIu64 ": %s", finding->segment_id,
                        finding->offset, finding->message);
    return 0;
}

static bool anything_promised(const struct oracle *oracle) {
    for (size_t number = 0; number < oracle->item_count; number++)
        if (oracle->items[number].state == ITEM_DURABLE)
            return true;
    return oracle->durable_sequence > 0;
}

void workload_check(struct workload *workload) {
    struct oracle *oracle = &workload->oracle;
    struct fbat_check_options options = {.struct_size = sizeof options, .finding = keep_first_finding, .user = oracle};
    struct fbat_check_report report;
    struct fbat_error error;
    if (!is_alive(workload) || oracle->failed)
        return;
    int status = store_check(workload->os, WORKLOAD_DIR, &options, &report, &error);
    if (!is_alive(workload))
        return;
    bool not_yet = (status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_NOT_A_STORE) && !anything_promised(oracle);
    if (status < 0 && !not_yet)
        oracle_complain(oracle, "check answered %s: %s", fbat_status_name(status), error.message);
    else if (status >= 0 && report.findings > 0)
        oracle_complain(oracle, "check counts %" PRIu64 " findings", report.findings);
}
