/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that uses a store on os_sim, at random; workload.h describes it. What it does with fences is in workload_fence.c.
 *
 * Happy path: workload_open, many workload_step, workload_close. At any moment the process may be stopped by the
 * simulation: what it is told afterwards does not count, because nobody was alive to hear it.
 *
 * Failure modes: an answer that is not allowed is a complaint of the oracle, once.
 *
 * Thread rule: one thread.
 *
 * Invariant
 *   I1  Between two steps no ticket is unanswered: `units` then holds the appends of the open fence, or nothing.
 */
#include "workload.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "alloc_fail.h"
#include "api/handle.h"
#include "store/store.h"
#include "workload_internal.h"

enum { SEGMENT_BYTES_MIN = 2048, SEGMENT_BYTES_MAX = 8192, FIRST_PID = 100, CLOCK_JUMP_US = 10000000 };

static void choose_config(struct workload *workload) {
    struct test_random *random = &workload->random;
    struct fbat_config *config = &workload->config;
    static const uint32_t sync_counts[] = {1, 3, 10, 1000};
    static const uint32_t sync_delays[] = {0, 1, 1000};
    static const uint32_t group_sizes[] = {1, 1, 0, 2, 4};
    static const uint32_t drain_limits[] = {0, 2, 1024};
    fbat_config_init(config, WORKLOAD_DIR);
    config->segment_max_bytes = test_random_between(random, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
    config->sync.every_n_events = sync_counts[test_random_below(random, 4)];
    config->sync.max_delay_ms = sync_delays[test_random_below(random, 3)];
    config->sync.mode = test_random_one_in(random, 2) ? FBAT_SYNC_ALL : FBAT_SYNC_DATA;
    config->batch.group_commit_max_batch = group_sizes[test_random_below(random, 5)];
    config->writer.channel_capacity = test_random_one_in(random, 4) ? 2 : 4096;
    config->writer.shutdown_drain_limit = drain_limits[test_random_below(random, 3)];
    if (test_random_one_in(random, 2)) {
        config->writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
        config->writer.restart_policy.max_restarts = (uint32_t)test_random_between(random, 1, 3);
        config->writer.restart_policy.within_ms = (uint32_t)test_random_between(random, 1, 1000);
    }
    workload->oracle.keys_always = config->batch.group_commit_max_batch > 1;
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
    workload->faults_before = os_sim_faults(workload->sim);
}

bool workload_is_good(const struct workload *workload) {
    return !workload->oracle.failed;
}

bool workload_is_alive(const struct workload *workload) {
    return os_sim_is_alive(workload->os);
}

bool workload_can_work(const struct workload *workload) {
    return workload->store && workload_is_good(workload) && workload_is_alive(workload);
}

bool workload_can_append(const struct workload *workload) {
    return workload_can_work(workload) && !workload->fence;
}

bool workload_is_writer_dead(const struct workload *workload) {
    return workload->store && atomic_load(&workload->store->sequencer.dead);
}

enum fbat_level workload_pick_level(struct workload *workload) {
    return (enum fbat_level)test_random_below(&workload->random, 3);
}

uint32_t workload_pick_count(struct workload *workload) {
    return test_random_one_in(&workload->random, 3)
               ? (uint32_t)test_random_between(&workload->random, 2, ORACLE_BATCH_MAX)
               : 1;
}

/* While held, the program's own checks meet no fault, and do not die. */
static void hold_faults(struct workload *workload, bool hold) {
    alloc_fail_hold(hold);
    os_sim_hold(workload->sim, hold);
}

/* --- Answers ------------------------------------------------------------------------------------------------------ */

/* Something has failed in this process, or may have for want of space. */
bool workload_had_fault(const struct workload *workload) {
    return os_sim_faults(workload->sim) > workload->faults_before || alloc_fail_fired() || workload->space_lacks ||
           workload->only_space_lacks;
}

/* Each time the writer was to recover took a failing call, and the budget allows for some. */
static bool may_be_dead(const struct workload *workload) {
    const struct fbat_config *config = &workload->config;
    uint64_t faults = os_sim_faults(workload->sim) - workload->faults_before;
    bool bounded = config->writer.restart_policy.mode == FBAT_RESTART_BOUNDED;
    return faults > (bounded ? config->writer.restart_policy.max_restarts : 1) || alloc_fail_fired() ||
           workload->space_lacks;
}

static bool is_explained(const struct workload *workload, int status) {
    if (!workload->faults_expected || !workload_had_fault(workload))
        return false;
    if (status == FBAT_ERR_NO_SPACE || status == FBAT_ERR_CANCELLED)
        return true;
    if (status == FBAT_ERR_REVISION)
        return workload->revisions_uncertain;
    if (workload->only_space_lacks)
        return false;
    return status == FBAT_ERR_IO || status == FBAT_ERR_NO_MEMORY ||
           (status == FBAT_ERR_WRITER_DEAD && may_be_dead(workload));
}

void workload_judge(struct workload *workload, const char *what, int status, const struct fbat_error *error) {
    struct oracle *oracle = &workload->oracle;
    if (!workload_is_alive(workload))
        return;
    if (!is_explained(workload, status))
        oracle_complain(oracle, "%s answered %s: %s", what, fbat_status_name(status), error->message);
    else if (error->status != status)
        oracle_complain(oracle, "%s answered %s, the error says %s", what, fbat_status_name(status),
                        fbat_status_name(error->status));
    else if (error->message[0] == '\0')
        oracle_complain(oracle, "%s answered %s without a message", what, fbat_status_name(status));
}

void workload_look_at_watermarks(struct workload *workload) {
    struct fbat_frontier frontier;
    fbat_frontier(workload->store, &frontier);
    if (workload_is_alive(workload))
        oracle_note_frontier(&workload->oracle, &frontier);
}

/* See workload.h. `after_death`: the writer was dead before the append. */
enum item_state workload_state_after(const struct workload *workload, int status, bool after_death) {
    if (status == FBAT_ERR_IO || status == FBAT_ERR_WRITER_DEAD)
        return after_death || !workload_is_writer_dead(workload) ? ITEM_REFUSED : ITEM_UNKNOWN;
    return ITEM_REFUSED;
}

bool workload_in_store(const struct oracle *oracle, uint64_t number) {
    return oracle->items[number].state == ITEM_WRITTEN || oracle->items[number].state == ITEM_DURABLE;
}

bool workload_means_durable(const struct workload *workload, enum fbat_level level) {
    return level == FBAT_LEVEL_DURABLE || (level == FBAT_LEVEL_DEFAULT && workload->config.sync.every_n_events == 1);
}

/* The answer to an append outside of a fence. */
static void note_answer(struct workload *workload, const struct workload_unit *unit, const char *what, int status,
                        const struct fbat_error *error) {
    struct oracle *oracle = &workload->oracle;
    if (!workload_is_alive(workload))
        return;
    if (status == FBAT_OK) {
        oracle_note_receipts(oracle, unit->first, unit->receipts, workload_means_durable(workload, unit->level));
        return;
    }
    workload_judge(workload, what, status, error);
    workload->revisions_uncertain = true;
    if (!workload_in_store(oracle, unit->first))
        oracle_note_state(oracle, unit->first, workload_state_after(workload, status, unit->after_death));
}

/* --- What to append ----------------------------------------------------------------------------------------------- */

void workload_project_now(struct workload *workload) {
    memcpy(workload->projected, workload->oracle.revisions, sizeof workload->projected);
    workload->revisions_uncertain = false;
}

/* A stream is expected to be where it is. */
static void expect_what_is(struct workload *workload, uint64_t revision, enum fbat_expect *expect,
                           uint64_t *expected_revision) {
    switch (test_random_below(&workload->random, 3)) {
    case 0:
        *expect = FBAT_EXPECT_REVISION;
        *expected_revision = revision;
        break;
    case 1: *expect = revision == 0 ? FBAT_EXPECT_NONE : FBAT_EXPECT_EXISTS; break;
    default: break;
    }
}

static struct fbat_condition *add_condition(struct workload_call *call, unsigned stream) {
    size_t at = call->options.condition_count++;
    struct fbat_condition *condition = &call->conditions[at];
    oracle_stream_names(stream, call->entities[at], call->scopes[at]);
    *condition = (struct fbat_condition){.entity = fbat_text(call->entities[at]), .scope = fbat_text(call->scopes[at])};
    call->options.conditions = call->conditions;
    return condition;
}

void workload_add_true_conditions(struct workload *workload, struct workload_call *call) {
    for (uint64_t left = test_random_below(&workload->random, WORKLOAD_CONDITIONS_MAX + 1); left > 0; left--) {
        unsigned stream = (unsigned)test_random_below(&workload->random, ORACLE_STREAMS);
        struct fbat_condition *condition = add_condition(call, stream);
        expect_what_is(workload, workload->projected[stream], &condition->expect, &condition->expected_revision);
    }
}

void workload_add_false_condition(struct workload *workload, struct workload_call *call) {
    unsigned stream = (unsigned)test_random_below(&workload->random, ORACLE_STREAMS);
    struct fbat_condition *condition = add_condition(call, stream);
    condition->expect = FBAT_EXPECT_REVISION;
    condition->expected_revision = workload->projected[stream] + test_random_between(&workload->random, 1, 3);
}

void workload_build_call(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call) {
    call->count = workload->oracle.items[first].item_count;
    call->options = (struct fbat_append_options){.struct_size = sizeof call->options, .level = level};
    for (uint32_t index = 0; index < call->count; index++) {
        oracle_build(&workload->oracle, first + index, &workload->attempts[index]);
        call->events[index] = workload->attempts[index].event;
    }
}

/* Half of what is new is conditional, and right; the streams are then where it leaves them. */
void workload_build_new(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call) {
    bool conditional = test_random_one_in(&workload->random, 2);
    workload_build_call(workload, first, level, call);
    if (conditional)
        workload_add_true_conditions(workload, call);
    for (uint32_t index = 0; index < call->count; index++) {
        struct fbat_new_event *event = &call->events[index];
        uint64_t *revision = &workload->projected[oracle_stream_of(&workload->oracle, first + index)];
        if (conditional)
            expect_what_is(workload, *revision, &event->expect, &event->expected_revision);
        (*revision)++;
    }
}

/* What may be there already carries no condition that may not hold; unless it is there: then none is looked at. */
static void build_again(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call) {
    workload_build_call(workload, first, level, call);
    if (workload_in_store(&workload->oracle, first) && test_random_one_in(&workload->random, 4))
        workload_add_false_condition(workload, call);
}

/* --- Appends ------------------------------------------------------------------------------------------------------ */

/* The defect: what the oracle believes to be one batch is several appends. */
static int append_split(struct workload *workload, struct workload_call *call, struct fbat_receipt *out_receipts,
                        struct fbat_error *error) {
    int status = FBAT_OK;
    for (uint32_t index = 0; index < call->count && status == FBAT_OK; index++) {
        struct fbat_new_event *event = &call->events[index];
        if (event->causation_item > 0)
            event->causation = out_receipts[event->causation_item - 1].id;
        event->causation_item = 0;
        status = fbat_append(workload->store, event, index == 0 ? &call->options : NULL, &out_receipts[index], error);
    }
    return status;
}

int workload_append_by_outbox(struct workload *workload, const struct workload_call *call,
                              struct fbat_receipt *out_receipts, struct fbat_ticket **out_ticket,
                              struct fbat_error *error) {
    struct fbat_outbox *outbox = NULL;
    int status = fbat_outbox_create(workload->store, workload->fence, &outbox, error);
    for (uint32_t index = 0; index < call->count && status == FBAT_OK; index++)
        status = fbat_outbox_stage(outbox, &call->events[index], error);
    if (status == FBAT_OK && out_ticket)
        status = fbat_outbox_submit(outbox, &call->options, out_ticket, error);
    else if (status == FBAT_OK)
        status = fbat_outbox_flush(outbox, &call->options, out_receipts, error);
    fbat_outbox_destroy(outbox);
    return status;
}

static int append_call(struct workload *workload, struct workload_call *call, struct fbat_receipt *out_receipts,
                       struct fbat_error *error) {
    if (workload->defect == WORKLOAD_SPLIT_BATCH && call->count > 1)
        return append_split(workload, call, out_receipts, error);
    switch (test_random_below(&workload->random, 4)) {
    case 0: return workload_append_by_outbox(workload, call, out_receipts, NULL, error);
    case 1:
        if (call->count == 1)
            return fbat_append(workload->store, call->events, &call->options, out_receipts, error);
        break;
    default: break;
    }
    return fbat_append_batch(workload->store, call->events, call->count, &call->options, out_receipts, error);
}

struct workload_unit workload_begin_unit(struct workload *workload, uint64_t first, enum fbat_level level) {
    oracle_note_try(&workload->oracle, first);
    return (struct workload_unit){.first = first, .level = level, .after_death = workload_is_writer_dead(workload)};
}

static void try_call(struct workload *workload, uint64_t first, enum fbat_level level, struct workload_call *call) {
    struct fbat_error error;
    struct workload_unit unit = workload_begin_unit(workload, first, level);
    int status = append_call(workload, call, unit.receipts, &error);
    note_answer(workload, &unit, "append", status, &error);
    if (workload_is_alive(workload))
        workload_look_at_watermarks(workload);
}

static void try_again(struct workload *workload, uint64_t first, enum fbat_level level) {
    struct workload_call call;
    build_again(workload, first, level, &call);
    try_call(workload, first, level, &call);
}

void workload_append(struct workload *workload, uint32_t count, enum fbat_level level) {
    struct workload_call call;
    if (!workload_can_append(workload))
        return;
    uint64_t first = oracle_add(&workload->oracle, count);
    workload_project_now(workload);
    workload_build_new(workload, first, level, &call);
    try_call(workload, first, level, &call);
}

void workload_outbox(struct workload *workload, uint32_t count, enum fbat_level level) {
    struct workload_call call;
    struct fbat_error error;
    if (!workload_can_append(workload))
        return;
    uint64_t first = oracle_add(&workload->oracle, count);
    workload_project_now(workload);
    workload_build_new(workload, first, level, &call);
    struct workload_unit unit = workload_begin_unit(workload, first, level);
    int status = workload_append_by_outbox(workload, &call, unit.receipts, NULL, &error);
    note_answer(workload, &unit, "outbox", status, &error);
}

/* A wrong expectation is refused with the revision that is, and leaves nothing behind. */
static void append_wrongly(struct workload *workload) {
    struct oracle *oracle = &workload->oracle;
    struct workload_call call;
    struct fbat_error error;
    uint64_t number = oracle_add(oracle, 1);
    unsigned stream = oracle_stream_of(oracle, number);
    bool by_condition = test_random_one_in(&workload->random, 2);
    workload_project_now(workload);
    workload_build_call(workload, number, FBAT_LEVEL_DEFAULT, &call);
    if (by_condition) {
        workload_add_false_condition(workload, &call);
    } else {
        call.events[0].expect = FBAT_EXPECT_REVISION;
        call.events[0].expected_revision = workload->projected[stream] + test_random_between(&workload->random, 1, 3);
    }
    oracle_note_try(oracle, number);
    int status = fbat_append(workload->store, call.events, &call.options, NULL, &error);
    if (!workload_is_alive(workload))
        return;
    oracle_note_state(oracle, number, ITEM_REFUSED);
    if (status != FBAT_ERR_REVISION)
        workload_judge(workload, "append with a wrong expectation", status, &error);
    else if (error.condition != (by_condition ? 1u : 0u))
        oracle_complain(oracle, "condition %" PRIu32 " is said to have failed", error.condition);
    else if (!by_condition && error.actual_revision != workload->projected[stream])
        oracle_complain(oracle, "the stream is said to be at %" PRIu64 " and is at %" PRIu64, error.actual_revision,
                        workload->projected[stream]);
}

/* Where the store asks for keys, nothing goes in without. */
static void append_without_key(struct workload *workload) {
    struct attempt *attempt = &workload->attempts[0];
    struct fbat_error error;
    uint64_t number = oracle_add(&workload->oracle, 1);
    oracle_build(&workload->oracle, number, attempt);
    oracle_note_try(&workload->oracle, number);
    oracle_note_state(&workload->oracle, number, ITEM_REFUSED);
    attempt->event.id = (struct fbat_id){{0}};
    int status = fbat_append(workload->store, &attempt->event, NULL, NULL, &error);
    if (workload_is_alive(workload) && status != FBAT_ERR_IDEMPOTENCY_REQUIRED)
        oracle_complain(&workload->oracle, "an append without a key answered %s", fbat_status_name(status));
}

bool workload_pick_keyed(struct workload *workload, uint64_t *out_first) {
    struct oracle *oracle = &workload->oracle;
    if (oracle->item_count == 0)
        return false;
    uint64_t number = test_random_below(&workload->random, oracle->item_count);
    *out_first = oracle->items[number].first_item;
    return oracle->items[number].key_given;
}

static void retry_some(struct workload *workload) {
    uint64_t first;
    if (workload_pick_keyed(workload, &first))
        try_again(workload, first, workload_pick_level(workload));
}

/* The same key for another event is a conflict, and the key's owner stays what it was. */
static void reuse_a_key(struct workload *workload) {
    uint64_t first;
    struct fbat_error error;
    struct attempt *attempt = &workload->attempts[0];
    if (!workload_pick_keyed(workload, &first) || !workload_in_store(&workload->oracle, first))
        return;
    oracle_build(&workload->oracle, first, attempt);
    attempt->event.causation_item = 0;
    attempt->payload[attempt->event.payload.size - 1] ^= 1;
    int status = fbat_append(workload->store, &attempt->event, NULL, NULL, &error);
    if (workload_is_alive(workload) && status >= 0)
        oracle_complain(&workload->oracle, "the key of item %" PRIu64 " was taken twice", first);
    else if (workload_is_alive(workload) && status != FBAT_ERR_IDEMPOTENCY_CONFLICT)
        workload_judge(workload, "append with a used key", status, &error);
}

void workload_retry_all(struct workload *workload) {
    for (uint64_t first = 0; first < workload->oracle.item_count && workload_can_append(workload);
         first += workload->oracle.items[first].item_count)
        if (workload->oracle.items[first].key_given)
            try_again(workload, first, FBAT_LEVEL_WRITTEN);
}

/* --- Groups of tickets -------------------------------------------------------------------------------------------- */

static int submit_call(struct workload *workload, const struct workload_call *call, struct fbat_ticket **out_ticket,
                       struct fbat_error *error) {
    switch (test_random_below(&workload->random, 4)) {
    case 0: return workload_append_by_outbox(workload, call, NULL, out_ticket, error);
    case 1:
        if (call->count == 1)
            return fbat_submit(workload->store, call->events, &call->options, out_ticket, error);
        break;
    default: break;
    }
    return fbat_submit_batch(workload->store, call->events, call->count, &call->options, out_ticket, error);
}

static size_t count_on_its_way(const struct workload *workload, uint64_t first) {
    size_t count = 0;
    for (size_t at = 0; at < workload->unit_count; at++)
        count += workload->units[at].first == first;
    return count;
}

/* Where it is neither in the store nor on its way, it is as good as new. */
static void project_retry(struct workload *workload, uint64_t first) {
    if (workload_in_store(&workload->oracle, first) || count_on_its_way(workload, first) > 0)
        return;
    for (uint32_t index = 0; index < workload->oracle.items[first].item_count; index++)
        workload->projected[oracle_stream_of(&workload->oracle, first + index)]++;
}

/* Something new or, now and then, something that is there or on its way already. */
static void submit_one(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    enum fbat_level level = workload_pick_level(workload);
    uint64_t first;
    if (test_random_one_in(&workload->random, 6) && workload_pick_keyed(workload, &first)) {
        workload_build_call(workload, first, level, &call);
        project_retry(workload, first);
    } else {
        first = oracle_add(&workload->oracle, workload_pick_count(workload));
        workload_build_new(workload, first, level, &call);
    }
    struct workload_unit *unit = &workload->units[workload->unit_count];
    *unit = workload_begin_unit(workload, first, level);
    int status = submit_call(workload, &call, &unit->ticket, &error);
    if (status == FBAT_OK)
        workload->unit_count++;
    else
        note_answer(workload, unit, "submit", status, &error);
}

/* Without its ticket the append goes on, and only the store knows how it ends; some do not want to know. */
static void give_up_some_tickets(struct workload *workload) {
    for (size_t at = 0; at + 1 < workload->unit_count; at++) {
        struct workload_unit *unit = &workload->units[at];
        if (!workload->oracle.items[unit->first].key_given || count_on_its_way(workload, unit->first) > 1 ||
            !test_random_one_in(&workload->random, 8))
            continue;
        fbat_ticket_release(unit->ticket);
        unit->ticket = NULL;
    }
}

static void ask_for(struct workload *workload, const struct workload_unit *unit) {
    mailbox_finish_inline(&workload->store->sequencer); /* where there are no threads, nobody else might */
    if (!workload_is_alive(workload))
        return;
    hold_faults(workload, true);
    oracle_note_unheard(&workload->oracle, unit->first, workload->store,
                        workload_is_writer_dead(workload) ? ITEM_UNKNOWN : ITEM_REFUSED);
    hold_faults(workload, false);
    workload->revisions_uncertain |= !workload_in_store(&workload->oracle, unit->first);
}

static void collect(struct workload *workload, struct workload_unit *unit) {
    struct fbat_error error;
    if (!unit->ticket) {
        ask_for(workload, unit);
        return;
    }
    int status = fbat_ticket_wait(unit->ticket, FBAT_FOREVER, unit->receipts, &error);
    if (workload_is_alive(workload) && status == FBAT_RETRY)
        oracle_complain(&workload->oracle, "the ticket of item %" PRIu64 " is not answered", unit->first);
    else
        note_answer(workload, unit, "ticket", status, &error);
    fbat_ticket_release(unit->ticket);
    unit->ticket = NULL;
}

/* All are answered by the first wait; what they were told is taken note of in the order of the log. */
static void collect_all(struct workload *workload) {
    size_t any = workload->unit_count > 0 ? (size_t)test_random_below(&workload->random, workload->unit_count) : 0;
    if (workload->unit_count > 0 && workload->units[any].ticket)
        (void)fbat_ticket_wait(workload->units[any].ticket, WORKLOAD_WAIT_MS, NULL, NULL);
    else if (workload->unit_count > 0)
        (void)fbat_ticket_wait(workload->units[workload->unit_count - 1].ticket, WORKLOAD_WAIT_MS, NULL, NULL);
    for (size_t at = 0; at < workload->unit_count; at++)
        collect(workload, &workload->units[at]);
    workload->unit_count = 0;
}

static void submit_some(struct workload *workload) {
    uint64_t count = test_random_between(&workload->random, 2, WORKLOAD_UNITS_MAX - 1);
    workload_project_now(workload);
    workload->unit_count = 0;
    for (uint64_t index = 0; index < count && workload_can_work(workload); index++)
        submit_one(workload);
}

/* A blocking append takes its place behind the tickets. */
static void append_behind(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    uint64_t first = oracle_add(&workload->oracle, workload_pick_count(workload));
    enum fbat_level level = workload_pick_level(workload);
    workload_build_new(workload, first, level, &call);
    struct workload_unit unit = workload_begin_unit(workload, first, level);
    int status = append_call(workload, &call, unit.receipts, &error);
    collect_all(workload);
    note_answer(workload, &unit, "append behind tickets", status, &error);
}

void workload_group(struct workload *workload) {
    if (!workload_can_append(workload))
        return;
    submit_some(workload);
    give_up_some_tickets(workload);
    if (test_random_one_in(&workload->random, 4) && workload_can_work(workload))
        append_behind(workload);
    else
        collect_all(workload);
    if (workload_is_alive(workload))
        workload_look_at_watermarks(workload);
}

/* --- Other calls -------------------------------------------------------------------------------------------------- */

/* The same for all that is visible, by its sequence. */
static void wait_for_durable(struct workload *workload) {
    struct fbat_frontier before, after;
    struct fbat_error error;
    fbat_frontier(workload->store, &before);
    int status = fbat_wait_durable(workload->store, before.visible, WORKLOAD_WAIT_MS, &error);
    if (!workload_is_alive(workload))
        return;
    fbat_frontier(workload->store, &after);
    if (status == FBAT_OK && after.durable < before.visible)
        oracle_complain(&workload->oracle, "waited for %" PRIu64 " to be durable, and %" PRIu64 " is", before.visible,
                        after.durable);
    else if (status != FBAT_OK)
        workload_judge(workload, "wait_durable", status, &error);
}

void workload_sync(struct workload *workload) {
    struct fbat_error error;
    if (!workload_can_work(workload))
        return;
    if (test_random_one_in(&workload->random, 3)) {
        wait_for_durable(workload);
        workload_look_at_watermarks(workload);
        return;
    }
    int status = fbat_sync(workload->store, &error);
    if (!workload_is_alive(workload))
        return;
    if (status == FBAT_OK)
        oracle_note_all_durable(&workload->oracle);
    else
        workload_judge(workload, "sync", status, &error);
    workload_look_at_watermarks(workload);
}

void workload_define_kind(struct workload *workload) {
    unsigned index = (unsigned)test_random_below(&workload->random, ORACLE_KINDS);
    struct named_kind *kind = &workload->oracle.kinds[index];
    char name[32];
    struct fbat_error error;
    if (!workload_can_append(workload))
        return;
    oracle_kind_name(index, name);
    int status = fbat_kind_define(workload->store, oracle_kind(index), fbat_text(name), &error);
    bool was_there = kind->state == ITEM_WRITTEN || kind->state == ITEM_DURABLE;
    if (!was_there)
        kind->state = ITEM_UNKNOWN;
    if (!workload_is_alive(workload))
        return;
    if (status < 0)
        workload_judge(workload, "kind_define", status, &error);
    else if (!was_there)
        kind->state = workload_means_durable(workload, FBAT_LEVEL_DEFAULT) ? ITEM_DURABLE : ITEM_WRITTEN;
    workload_look_at_watermarks(workload);
}

static void read_something(struct workload *workload) {
    uint64_t first;
    struct fbat_event event;
    struct fbat_error error;
    if (!workload_pick_keyed(workload, &first) || !workload_in_store(&workload->oracle, first))
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

/* The whole log as the writer shows it; and as a reader beside it does, who follows through rotations and restarts. */
static void look_at_all(struct workload *workload) {
    struct oracle *oracle = &workload->oracle;
    struct fbat_error error;
    hold_faults(workload, true);
    if (!workload->reader && store_open_read_only(workload->os, &workload->config, &workload->reader, &error) < 0) {
        workload->reader = NULL;
        if (workload_is_alive(workload))
            oracle_complain(oracle, "a reader beside the writer cannot open: %s", error.message);
    }
    if (workload_is_alive(workload) && workload->reader) {
        handle_adopt(workload->reader);
        oracle_verify(oracle, workload->store, ORACLE_NOTHING_LOST);
        oracle_verify(oracle, workload->reader, ORACLE_NOTHING_LOST);
    }
    hold_faults(workload, false);
}

static void close_reader(struct workload *workload) {
    if (workload->reader)
        (void)store_close(workload->reader, NULL);
    workload->reader = NULL;
}

static void look_at_all_some(struct workload *workload) {
    look_at_all(workload);
    if (test_random_one_in(&workload->random, 3))
        close_reader(workload);
}

static void jump_clock(struct workload *workload) {
    int64_t jump = (int64_t)test_random_below(&workload->random, 2 * CLOCK_JUMP_US) - CLOCK_JUMP_US;
    os_sim_advance_clock(workload->sim, jump);
}

static void reopen(struct workload *workload) {
    if (!workload->fence && test_random_one_in(&workload->random, 2))
        submit_some(workload);
    if (workload_close(workload) == FBAT_OK && workload_is_alive(workload))
        workload_open(workload, ORACLE_NOTHING_LOST);
}

static void fence_some(struct workload *workload) {
    static const enum workload_fence_end ends[] = {
        WORKLOAD_COMMIT_DURABLE, WORKLOAD_COMMIT_DURABLE, WORKLOAD_COMMIT_DURABLE,
        WORKLOAD_COMMIT_WRITTEN, WORKLOAD_COMMIT_WRITTEN, WORKLOAD_COMMIT_REFUSED,
        WORKLOAD_CANCEL,         WORKLOAD_CANCEL,         WORKLOAD_LEAVE_OPEN};
    workload_fence(workload, ends[test_random_below(&workload->random, sizeof ends / sizeof ends[0])]);
}

static void step_with_open_fence(struct workload *workload) {
    switch (test_random_below(&workload->random, 4)) {
    case 0: reopen(workload); break;
    case 1:
        workload_end_fence(workload,
                           (enum workload_fence_end)test_random_below(&workload->random, WORKLOAD_FENCE_ENDS));
        break;
    case 2: workload_fence_step(workload); break;
    default: look_at_all_some(workload); break;
    }
}

static void seldom(struct workload *workload) {
    switch (test_random_below(&workload->random, 6)) {
    case 0: reuse_a_key(workload); break;
    case 1: workload_define_kind(workload); break;
    case 2: jump_clock(workload); break;
    case 3: look_at_all_some(workload); break;
    case 4: reopen(workload); break;
    default:
        if (workload->oracle.keys_always)
            append_without_key(workload);
        break;
    }
}

void workload_step(struct workload *workload) {
    if (!workload_can_work(workload))
        return;
    if (workload->fence) {
        step_with_open_fence(workload);
        return;
    }
    uint64_t choice = test_random_below(&workload->random, 100);
    if (choice < 36)
        workload_append(workload, workload_pick_count(workload), workload_pick_level(workload));
    else if (choice < 48)
        workload_group(workload);
    else if (choice < 62)
        fence_some(workload);
    else if (choice < 66)
        append_wrongly(workload);
    else if (choice < 74)
        retry_some(workload);
    else if (choice < 80)
        workload_sync(workload);
    else if (choice < 84)
        read_something(workload);
    else
        seldom(workload);
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
    hold_faults(workload, true);
    if (workload_is_alive(workload))
        oracle_verify_recovered(&workload->oracle, workload->store, loss);
    hold_faults(workload, false);
    return status;
}

/* Tickets that were in the mailbox when the store was closed. */
static void collect_at_close(struct workload *workload, int close_status) {
    struct fbat_error error;
    size_t shut_out = 0, count = workload->unit_count, limit = workload->config.writer.shutdown_drain_limit;
    for (size_t at = 0; at < count; at++) {
        struct workload_unit *unit = &workload->units[at];
        int status = unit->ticket ? fbat_ticket_poll(unit->ticket, unit->receipts, &error) : FBAT_OK;
        bool settled = close_status == FBAT_OK || unit->after_death;
        if (!unit->ticket || !workload_is_alive(workload)) {
            continue;
        } else if (status == FBAT_RETRY) {
            oracle_complain(&workload->oracle, "the store is closed and item %" PRIu64 " not answered", unit->first);
        } else if (status == FBAT_ERR_SHUTDOWN) {
            shut_out++;
            workload->revisions_uncertain = true;
        } else {
            note_answer(workload, unit, "ticket at close", status, &error);
        }
        if (status < 0 && !workload_in_store(&workload->oracle, unit->first))
            oracle_note_state(&workload->oracle, unit->first, settled ? ITEM_REFUSED : ITEM_UNKNOWN);
    }
    if (!workload->faults_expected && shut_out > (count > limit ? count - limit : 0))
        oracle_complain(&workload->oracle, "%zu of %zu tickets were shut out at close, with a limit of %zu", shut_out,
                        count, limit);
}

static void release_all(struct workload *workload) {
    for (size_t at = 0; at < workload->unit_count; at++) {
        fbat_ticket_release(workload->units[at].ticket);
        workload->units[at].ticket = NULL;
    }
    workload->unit_count = 0;
}

int workload_close(struct workload *workload) {
    struct fbat_error error;
    if (!workload->store)
        return FBAT_OK;
    close_reader(workload);
    int status = store_close(workload->store, &error);
    workload->store = NULL;
    if (workload->fence)
        workload_cancel_fence(workload);
    collect_at_close(workload, status);
    release_all(workload);
    if (!workload_is_alive(workload))
        return status;
    if (status == FBAT_OK)
        oracle_note_all_durable(&workload->oracle);
    else
        workload_judge(workload, "close", status, &error);
    return status;
}

void workload_abandon(struct workload *workload) {
    if (workload->reader)
        store_abandon(workload->reader);
    workload->reader = NULL;
    if (workload->store)
        store_abandon(workload->store);
    workload->store = NULL;
    fbat_fence_cancel(workload->fence);
    workload->fence = NULL;
    release_all(workload);
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
    if (!workload_is_alive(workload) || oracle->failed)
        return;
    int status = store_check(workload->os, WORKLOAD_DIR, &options, &report, &error);
    if (!workload_is_alive(workload))
        return;
    bool not_yet = (status == FBAT_ERR_NOT_FOUND || status == FBAT_ERR_NOT_A_STORE) && !anything_promised(oracle);
    if (status < 0 && !not_yet)
        oracle_complain(oracle, "check answered %s: %s", fbat_status_name(status), error.message);
    else if (status >= 0 && report.findings > 0)
        oracle_complain(oracle, "check counts %" PRIu64 " findings", report.findings);
}
