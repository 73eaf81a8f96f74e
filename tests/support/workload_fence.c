/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fences of the random program: appends and tickets under them, what is refused beside them, and how they end.
 *
 * Happy path: workload_fence begins one, takes a few steps in it, and ends it; or leaves it to later steps, to the store's
 * end, or to the death of the process.
 *
 * Failure modes: as in workload.c.
 *
 * Thread rule: one thread.
 *
 * Invariant
 *   I1  What stands in an open fence is ITEM_REFUSED until its commit is called.
 */
#include <inttypes.h>
#include <string.h>

#include "workload_internal.h"

enum { FENCE_APPENDS_MAX = 6 };

static void begin_fence(struct workload *workload) {
    struct fbat_error error;
    workload->unit_count = 0;
    int status = fbat_fence_begin(workload->store, &workload->fence, &error);
    if (status == FBAT_OK)
        return;
    workload->fence = NULL;
    workload_judge(workload, "fence_begin", status, &error);
}

/* Nothing of an open fence is visible, nor counted as written. */
static void look_for_staged(struct workload *workload, const struct workload_unit *unit) {
    struct oracle *oracle = &workload->oracle;
    struct fbat_frontier frontier;
    struct fbat_event event;
    fbat_frontier(workload->store, &frontier);
    if (fbat_get(workload->store, &unit->receipts[0].id, &event, NULL) != FBAT_ERR_NOT_FOUND ||
        fbat_get_by_sequence(workload->store, unit->receipts[0].sequence, &event, NULL) != FBAT_ERR_NOT_FOUND ||
        frontier.written >= unit->receipts[0].sequence)
        oracle_complain(oracle, "item %" PRIu64 " is visible before its fence is committed", unit->first);
}

/* The events stand in the fence now, at their final places. */
static void note_staged(struct workload *workload, const struct workload_unit *unit) {
    struct oracle *oracle = &workload->oracle;
    if (workload->unit_count == 0)
        oracle_note_fence(oracle, unit->first, unit->first);
    else
        oracle_note_fence(oracle, workload->units[0].first, unit->first);
    workload->units[workload->unit_count++] = *unit;
    if (!unit->ticket && (unit->receipts[0].level != 0 || unit->receipts[0].replayed))
        oracle_complain(oracle, "item %" PRIu64 " is acknowledged before its fence is committed", unit->first);
    if (!unit->ticket && test_random_one_in(&workload->random, 4))
        look_for_staged(workload, unit);
}

/* A ticket of the fence is staged when somebody waits for it, and answered at the fence's end, or at once when it could
 * not be staged. */
static int submit_to_fence(struct workload *workload, const struct workload_call *call, struct workload_unit *unit,
                           struct fbat_error *error) {
    struct fbat_ticket *ticket = NULL;
    int status = workload_append_by_outbox(workload, call, NULL, &ticket, error);
    if (status != FBAT_OK)
        return status;
    status = fbat_ticket_wait(ticket, 0, NULL, error);
    if (status == FBAT_RETRY) {
        unit->ticket = ticket;
        return FBAT_OK;
    }
    if (status == FBAT_OK)
        oracle_complain(&workload->oracle, "a fence's ticket is answered before its end");
    fbat_ticket_release(ticket);
    return status;
}

static int append_to_fence(struct workload *workload, const struct workload_call *call, struct workload_unit *unit,
                           struct fbat_error *error) {
    switch (test_random_below(&workload->random, 6)) {
    case 0: return submit_to_fence(workload, call, unit, error);
    case 1: return workload_append_by_outbox(workload, call, unit->receipts, NULL, error);
    case 2:
        if (call->count == 1)
            return fbat_fence_append(workload->fence, call->events, &call->options, unit->receipts, error);
        break;
    default: break;
    }
    return fbat_fence_append_batch(workload->fence, call->events, call->count, &call->options, unit->receipts, error);
}

static void fence_append(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    uint64_t before[ORACLE_STREAMS];
    uint64_t first = oracle_add(&workload->oracle, workload_pick_count(workload));
    memcpy(before, workload->projected, sizeof before);
    workload_build_new(workload, first, workload_pick_level(workload), &call);
    struct workload_unit unit = workload_begin_unit(workload, first, FBAT_LEVEL_DEFAULT);
    oracle_note_state(&workload->oracle, first, ITEM_REFUSED); /* I1 */
    int status = append_to_fence(workload, &call, &unit, &error);
    if (workload_is_alive(workload) && status == FBAT_OK) {
        note_staged(workload, &unit);
        return;
    }
    fbat_ticket_release(unit.ticket);
    if (!workload_is_alive(workload))
        return;
    workload_judge(workload, "append in a fence", status, &error);
    memcpy(workload->projected, before, sizeof before);
}

/* In the fence its own appends are known by their keys, and those before it too. */
static void fence_append_again(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    struct workload_unit again = {0};
    if (workload->unit_count == 0 || workload_had_fault(workload))
        return;
    const struct workload_unit *unit = &workload->units[test_random_below(&workload->random, workload->unit_count)];
    if (!workload->oracle.items[unit->first].key_given || unit->ticket)
        return;
    workload_build_call(workload, unit->first, FBAT_LEVEL_DEFAULT, &call);
    int status =
        fbat_fence_append_batch(workload->fence, call.events, call.count, &call.options, again.receipts, &error);
    if (!workload_is_alive(workload))
        return;
    if (status != FBAT_OK)
        workload_judge(workload, "retry in a fence", status, &error);
    else if (!again.receipts[0].replayed || again.receipts[0].sequence != unit->receipts[0].sequence)
        oracle_complain(&workload->oracle, "item %" PRIu64 " is in its fence twice", unit->first);
}

static void fence_append_known(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    struct workload_unit again = {0};
    uint64_t first;
    if (!workload_pick_keyed(workload, &first) || !workload_in_store(&workload->oracle, first))
        return;
    workload_build_call(workload, first, FBAT_LEVEL_DURABLE, &call);
    int status =
        fbat_fence_append_batch(workload->fence, call.events, call.count, &call.options, again.receipts, &error);
    if (!workload_is_alive(workload))
        return;
    if (status == FBAT_OK)
        oracle_note_receipts(&workload->oracle, first, again.receipts, false);
    else
        workload_judge(workload, "retry of what was before the fence", status, &error);
}

static void fence_append_wrongly(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    uint64_t number = oracle_add(&workload->oracle, 1);
    workload_build_call(workload, number, FBAT_LEVEL_DEFAULT, &call);
    workload_add_false_condition(workload, &call);
    oracle_note_try(&workload->oracle, number);
    oracle_note_state(&workload->oracle, number, ITEM_REFUSED);
    int status = fbat_fence_append(workload->fence, call.events, &call.options, NULL, &error);
    if (workload_is_alive(workload) && status != FBAT_ERR_REVISION)
        workload_judge(workload, "append in a fence with a wrong condition", status, &error);
}

/* What does not belong to the open fence is refused, by whatever way it comes. */
static void append_beside_fence(struct workload *workload) {
    struct workload_call call;
    struct fbat_error error;
    struct fbat_ticket *ticket = NULL;
    uint64_t number = oracle_add(&workload->oracle, 1);
    workload_build_call(workload, number, workload_pick_level(workload), &call);
    oracle_note_try(&workload->oracle, number);
    oracle_note_state(&workload->oracle, number, ITEM_REFUSED);
    int status;
    switch (test_random_below(&workload->random, 3)) {
    case 0: status = fbat_append(workload->store, call.events, &call.options, NULL, &error); break;
    case 1: status = fbat_try_submit(workload->store, call.events, &call.options, &ticket, &error); break;
    default:
        status = fbat_submit(workload->store, call.events, &call.options, &ticket, &error);
        if (status == FBAT_OK)
            status = fbat_ticket_wait(ticket, WORKLOAD_WAIT_MS, NULL, &error);
        break;
    }
    fbat_ticket_release(ticket);
    if (workload_is_alive(workload) && status != FBAT_ERR_FENCE_ACTIVE)
        workload_judge(workload, "append beside a fence", status, &error);
}

void workload_fence_step(struct workload *workload) {
    uint64_t choice = test_random_below(&workload->random, 20);
    if (choice < 14)
        fence_append(workload);
    else if (choice < 15)
        fence_append_again(workload);
    else if (choice < 16)
        fence_append_known(workload);
    else if (choice < 17)
        fence_append_wrongly(workload);
    else if (choice < 18 && !workload_had_fault(workload))
        append_beside_fence(workload);
    else if (choice < 19)
        workload_sync(workload);
}

/* At the fence's end its tickets have their answers, and some have receipts that nobody saw yet. */
static void collect_fence_tickets(struct workload *workload, int fence_status) {
    struct fbat_error error;
    for (size_t at = 0; at < workload->unit_count; at++) {
        struct workload_unit *unit = &workload->units[at];
        if (!unit->ticket)
            continue;
        int status = fbat_ticket_poll(unit->ticket, unit->receipts, &error);
        if (workload_is_alive(workload) && (status == FBAT_RETRY || (status == FBAT_OK) != (fence_status == FBAT_OK)))
            oracle_complain(&workload->oracle, "the ticket of item %" PRIu64 " says %s, its fence %s", unit->first,
                            fbat_status_name(status), fbat_status_name(fence_status));
        fbat_ticket_release(unit->ticket);
        unit->ticket = NULL;
    }
}

static void note_fence_state(struct workload *workload, enum item_state state) {
    for (size_t at = 0; at < workload->unit_count; at++)
        oracle_note_state(&workload->oracle, workload->units[at].first, state);
}

static void note_committed(struct workload *workload, bool durable) {
    for (size_t at = 0; at < workload->unit_count && workload_is_good(workload); at++) {
        struct workload_unit *unit = &workload->units[at];
        for (uint32_t index = 0; index < workload->oracle.items[unit->first].item_count; index++)
            unit->receipts[index].level = durable ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN;
        oracle_note_receipts(&workload->oracle, unit->first, unit->receipts, durable);
    }
}

/* Ends the fence with a commit; `refused`: by a condition that does not hold. */
static void commit_fence(struct workload *workload, enum fbat_level level, bool refused) {
    struct workload_call call = {.options = {.struct_size = sizeof call.options, .level = level}};
    struct fbat_error error;
    bool after_death = workload_is_writer_dead(workload);
    if (refused)
        workload_add_false_condition(workload, &call);
    else
        workload_add_true_conditions(workload, &call);
    if (!refused)
        note_fence_state(workload, ITEM_UNKNOWN);
    os_sim_skip_sync(workload->sim, workload->defect == WORKLOAD_UNSYNCED_COMMIT);
    int status = fbat_fence_commit(workload->fence, &call.options, &error);
    os_sim_skip_sync(workload->sim, false);
    workload->fence = NULL;
    collect_fence_tickets(workload, status);
    if (!workload_is_alive(workload))
        return;
    if (status == FBAT_OK && !refused) {
        note_committed(workload, workload_means_durable(workload, level));
    } else {
        note_fence_state(workload, workload_state_after(workload, status, after_death));
        if (!refused || status != FBAT_ERR_REVISION)
            workload_judge(workload, refused ? "commit against a condition" : "commit", status, &error);
    }
    workload->unit_count = 0;
}

void workload_cancel_fence(struct workload *workload) {
    fbat_fence_cancel(workload->fence);
    workload->fence = NULL;
    collect_fence_tickets(workload, FBAT_ERR_CANCELLED);
    workload->unit_count = 0;
}

void workload_end_fence(struct workload *workload, enum workload_fence_end end) {
    switch (end) {
    case WORKLOAD_COMMIT_WRITTEN:
        commit_fence(workload, test_random_one_in(&workload->random, 2) ? FBAT_LEVEL_WRITTEN : FBAT_LEVEL_DEFAULT,
                     false);
        break;
    case WORKLOAD_COMMIT_DURABLE: commit_fence(workload, FBAT_LEVEL_DURABLE, false); break;
    case WORKLOAD_COMMIT_REFUSED: commit_fence(workload, FBAT_LEVEL_DURABLE, true); break;
    case WORKLOAD_CANCEL: workload_cancel_fence(workload); break;
    case WORKLOAD_LEAVE_OPEN:
    case WORKLOAD_FENCE_ENDS: break;
    }
}

void workload_fence(struct workload *workload, enum workload_fence_end end) {
    if (!workload_can_append(workload))
        return;
    workload_project_now(workload);
    begin_fence(workload);
    uint64_t steps = test_random_between(&workload->random, 1, FENCE_APPENDS_MAX);
    for (uint64_t step = 0; step < steps && workload->fence && workload_can_work(workload); step++)
        workload_fence_step(workload);
    if (!workload->fence || !workload_is_alive(workload))
        return;
    workload_end_fence(workload, end);
    if (workload_is_alive(workload))
        workload_look_at_watermarks(workload);
}
