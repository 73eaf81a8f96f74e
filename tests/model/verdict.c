/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on a history: is there one order of all calls, that of the sequences, in which each answer is right?
 *
 *     appends and fences that wrote   done to the model in the order of their sequences: each answers the same
 *                                     there; none is left out or there twice, and there is no gap
 *     fences cancelled                done to the model where they stood, compared, and taken back
 *     retries, conflicts, refusals    true at some moment of the call: for the events visible by then
 *     reads                           what was read is the model's, and fits what was visible around the call
 *     everything else                 has a reason: a fence that was open, a fault, a store that was closed
 *
 * A ticket that was given up has no answer: its keys, which nobody else used, say whether it wrote.
 *
 * Failure modes: the test fails, after a line that says which call.
 * Thread rule: one thread, after all calls.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "history.h"

/* A call that wrote, or a fence that was cancelled. */
struct unit {
    uint64_t first; /* sequence; of a cancelled fence the one it would have begun with */
    bool cancelled;
    const struct call *call;
};

struct verdict {
    struct fbat_store *store;
    struct caller *const *callers;
    size_t caller_count;
    struct model model;
    struct unit *units;
    size_t unit_count;
    bool *is_boundary; /* by sequence: readers may see the log up to there */
};

#define EXPECT(call, condition)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            give_up((call), #condition, __LINE__);                                                                     \
    } while (0)

static const char *describe(const struct call *call) {
    static const char *const names[CALL_KINDS] = {"append",     "reaction",      "outbox",      "submit",
                                                  "try_submit", "outbox_submit", "fence",       "latest",
                                                  "get",        "query",         "wait_durable"};
    static char text[512];
    const struct answer *answer = &call->answer;
    snprintf(text, sizeof text,
             "%s of %zu at level %d: %s at stage %u, item %zu, condition %u, revision %llu, sequence %llu; first "
             "receipt %llu%s; "
             "visible %llu to %llu, durable %llu to %llu, faults %llu to %llu, restarts %llu to %llu%s",
             names[call->kind], call->request.count, (int)call->request.level,
             answer->status == UNANSWERED ? "given up" : fbat_status_name(answer->status), answer->stage, answer->item,
             answer->condition, (unsigned long long)answer->actual_revision, (unsigned long long)answer->sequence,
             (unsigned long long)answer->receipts[0].sequence, answer->receipts[0].replayed ? " replayed" : "",
             (unsigned long long)call->before.frontier.visible, (unsigned long long)call->after.frontier.visible,
             (unsigned long long)call->before.frontier.durable, (unsigned long long)call->after.frontier.durable,
             (unsigned long long)call->before.faults, (unsigned long long)call->after.faults,
             (unsigned long long)call->before.restarts, (unsigned long long)call->after.restarts,
             call->over_close ? "; waited for after closing" : "");
    return text;
}

static void give_up(const struct call *call, const char *condition, int line) {
    print_error("%s\n%s\n", condition, describe(call));
    _fail(__FILE__, line);
}

static bool is_append(const struct call *call) {
    return call->kind < CALL_FENCE;
}

static bool has_written(const struct answer *answer) {
    return answer->status == FBAT_OK && !answer->receipts[0].replayed;
}

/* The first item without a key where one is required, or the count. */
static size_t find_keyless(const struct model_request *request) {
    size_t item = 0;
    while (item < request->count && !fbat_id_is_none(&request->inputs[item].id))
        item++;
    return item;
}

static bool saw_fault(const struct call *call) {
    return call->after.faults > call->before.faults || call->after.restarts > call->before.restarts;
}

static bool is_fault(int status) {
    return status == FBAT_ERR_IO || status == FBAT_ERR_NO_SPACE;
}

static bool is_content_of(const struct fbat_event *event, const struct model_request *request) {
    static struct model_room room;
    for (size_t item = 0; item < request->count; item++) {
        struct fbat_new_event wanted = model_event_of(&request->inputs[item], &room);
        if (wanted.payload.size == event->payload.size && wanted.kind == event->kind &&
            memcmp(wanted.payload.data, event->payload.data, wanted.payload.size) == 0)
            return true;
    }
    return false;
}

/* Says which calls may have made an event that none of them was told of. */
static void blame(const struct verdict *verdict, uint64_t sequence) {
    struct fbat_event event;
    if (fbat_get_by_sequence(verdict->store, sequence, &event, NULL) != FBAT_OK) {
        print_error("the store has nothing at sequence %llu\n", (unsigned long long)sequence);
        return;
    }
    for (size_t at = 0; at < verdict->caller_count; at++)
        for (size_t number = 0; number < verdict->callers[at]->call_count; number++) {
            const struct call *call = &verdict->callers[at]->calls[number];
            bool made = is_content_of(&event, &call->request);
            for (size_t op = 0; call->fence && op < call->fence->op_count; op++)
                made |= is_content_of(&event, &call->fence->ops[op].request);
            if (made)
                print_error("sequence %llu has the content of caller %zu's call %zu: %s\n",
                            (unsigned long long)sequence, at, number, describe(call));
        }
    fbat_event_release(&event);
}

/* ---- tickets given up ---- */

static struct fbat_receipt receipt_of(const struct fbat_event *event) {
    struct fbat_receipt receipt = {.sequence = event->sequence,
                                   .revision = event->revision,
                                   .recorded_us = event->recorded_us,
                                   .id = event->id,
                                   .level = FBAT_LEVEL_DURABLE}; /* by now, whatever it was */
    memcpy(receipt.hash, event->hash, sizeof receipt.hash);
    return receipt;
}

static void resolve(struct fbat_store *store, struct call *call) {
    size_t found = 0;
    for (size_t item = 0; item < call->request.count; item++) {
        struct fbat_event event;
        if (fbat_get(store, &call->request.inputs[item].id, &event, NULL) != FBAT_OK)
            continue;
        call->answer.receipts[item] = receipt_of(&event);
        fbat_event_release(&event);
        found++;
    }
    EXPECT(call, found == 0 || found == call->request.count);
    fbat_frontier(store, &call->after.frontier);
    if (found > 0)
        call->answer.status = FBAT_OK;
}

static void resolve_all(struct verdict *verdict) {
    for (size_t at = 0; at < verdict->caller_count; at++)
        for (size_t number = 0; number < verdict->callers[at]->call_count; number++) {
            struct call *call = &verdict->callers[at]->calls[number];
            if (call->answer.status == UNANSWERED)
                resolve(verdict->store, call);
        }
}

/* ---- what was written, in order ---- */

static bool is_committed(const struct fence_call *fence) {
    return fence->wants_commit && fence->commit_answer.status == FBAT_OK;
}

static bool fence_has_written(const struct fence_call *fence) {
    for (size_t at = 0; at < fence->op_count; at++)
        if (has_written(&fence->ops[at].answer))
            return true;
    return false;
}

static void add_unit(struct verdict *verdict, const struct call *call) {
    struct unit unit = {.call = call};
    if (is_append(call)) {
        if (!has_written(&call->answer))
            return;
        unit.first = call->answer.receipts[0].sequence;
    } else if (call->kind == CALL_FENCE && call->fence->begin_status == FBAT_OK) {
        unit.first = call->fence->base + 1;
        unit.cancelled = !is_committed(call->fence) || !fence_has_written(call->fence);
    } else {
        return;
    }
    verdict->units[verdict->unit_count++] = unit;
}

/* A cancelled fence stands before what took its sequences. */
static int compare_units(const void *a, const void *b) {
    const struct unit *first = a, *second = b;
    if (first->first != second->first)
        return first->first < second->first ? -1 : 1;
    return (int)second->cancelled - (int)first->cancelled;
}

/* One caller's appends stand in the order in which it made them, tickets too. */
static void check_own_order(const struct caller *caller) {
    uint64_t last = 0;
    for (size_t at = 0; at < caller->call_count; at++) {
        const struct call *call = &caller->calls[at];
        if (!is_append(call) || !has_written(&call->answer))
            continue;
        EXPECT(call, call->answer.receipts[0].sequence > last);
        last = call->answer.receipts[0].sequence;
    }
}

static void collect_units(struct verdict *verdict) {
    size_t calls = 0;
    for (size_t at = 0; at < verdict->caller_count; at++)
        calls += verdict->callers[at]->call_count;
    verdict->units = calloc(calls + 1, sizeof *verdict->units);
    assert_non_null(verdict->units);
    for (size_t at = 0; at < verdict->caller_count; at++) {
        check_own_order(verdict->callers[at]);
        for (size_t number = 0; number < verdict->callers[at]->call_count; number++)
            add_unit(verdict, &verdict->callers[at]->calls[number]);
    }
    qsort(verdict->units, verdict->unit_count, sizeof *verdict->units, compare_units);
}

/* ---- replay ---- */

static void compare_receipts(const struct model *model, const struct call *call, const struct model_request *request,
                             const struct model_answer *expected, const struct fbat_receipt *receipts) {
    for (size_t item = 0; item < request->count; item++) {
        const struct fbat_receipt *receipt = &receipts[item];
        EXPECT(call, receipt->sequence == expected->sequences[item]);
        EXPECT(call, receipt->revision == expected->revisions[item]);
        EXPECT(call, receipt->replayed == expected->replayed);
        EXPECT(call, fbat_id_is_none(&request->inputs[item].id) ||
                         memcmp(&request->inputs[item].id, &receipt->id, sizeof receipt->id) == 0);
        if (!expected->replayed) {
            EXPECT(call, receipt->recorded_us >= model->last_recorded_us);
            continue;
        }
        const struct model_event *known = &model->events[receipt->sequence - 1];
        EXPECT(call, receipt->recorded_us == known->recorded_us && memcmp(receipt->hash, known->hash, 32) == 0);
    }
}

static void tell_expected(const struct model_request *request, const struct model_answer *expected,
                          const struct answer *answer) {
    if (answer->status == expected->status && answer->actual_revision == expected->actual_revision)
        return;
    print_error("%zu events, %zu conditions: answer %s, item %zu, condition %u, revision %llu, sequence %llu\n"
                "the model says %s, item %zu, condition %zu, revision %llu, sequence %llu\n",
                request->count, request->condition_count, fbat_status_name(answer->status), answer->item,
                answer->condition, (unsigned long long)answer->actual_revision, (unsigned long long)answer->sequence,
                fbat_status_name(expected->status), expected->item, expected->condition,
                (unsigned long long)expected->actual_revision, (unsigned long long)expected->sequence);
}

static void compare_failure(const struct call *call, const struct model_request *request,
                            const struct model_answer *expected, const struct answer *answer) {
    tell_expected(request, expected, answer);
    EXPECT(call, answer->status == expected->status);
    if (expected->status == FBAT_OK)
        return;
    if (expected->condition == 0)
        EXPECT(call, answer->item == (request->is_batch ? expected->item : FBAT_NO_ITEM));
    if (expected->status == FBAT_ERR_REVISION)
        EXPECT(call, answer->actual_revision == expected->actual_revision && answer->condition == expected->condition);
    if (expected->status == FBAT_ERR_IDEMPOTENCY_CONFLICT)
        EXPECT(call, answer->sequence == expected->sequence);
}

static struct model_answer predict(const struct verdict *verdict, const struct call *call,
                                   const struct model_request *request) {
    size_t keyless = find_keyless(request);
    if (call->required && keyless < request->count)
        return (struct model_answer){.status = FBAT_ERR_IDEMPOTENCY_REQUIRED, .item = keyless};
    return model_predict_request(&verdict->model, request);
}

/* What the ticket of a fence is told: its own failure, or how the fence ended. */
static bool is_fence_end(const struct call *call, const struct fence_op *op) {
    if (!op->ticket || is_committed(call->fence))
        return false;
    return op->answer.status == FBAT_ERR_CANCELLED || (call->over_close && op->answer.status == FBAT_ERR_SHUTDOWN);
}

/* A commit looks at its conditions once the fence's tickets are staged, also those that it then cancels. */
static void replay_untold(struct verdict *verdict, const struct model_request *request,
                          const struct model_answer *expected) {
    struct fbat_receipt receipts[MODEL_BATCH_MAX] = {0};
    if (expected->status == FBAT_OK && !expected->replayed)
        model_commit(&verdict->model, request->inputs, request->count, receipts);
}

static void replay_fence_op(struct verdict *verdict, const struct call *call, const struct fence_op *op) {
    const struct answer *answer = &op->answer;
    struct model_answer expected = predict(verdict, call, &op->request);
    if (is_fence_end(call, op)) {
        replay_untold(verdict, &op->request, &expected);
        return;
    }
    if ((is_fault(answer->status) || answer->status == FBAT_ERR_CANCELLED) && saw_fault(call))
        return;
    if (expected.status < 0 || answer->status < 0) {
        compare_failure(call, &op->request, &expected, answer);
        return;
    }
    EXPECT(call, !op->ticket || is_committed(call->fence));
    compare_receipts(&verdict->model, call, &op->request, &expected, answer->receipts);
    /* A ticket is answered by the commit, and says which level that reached. */
    uint8_t level = !op->ticket ? 0 : call->fence->commit_durable ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN;
    for (size_t item = 0; item < op->request.count; item++)
        EXPECT(call, answer->receipts[item].sequence <= call->fence->base || answer->receipts[item].level == level);
    if (!expected.replayed)
        model_commit(&verdict->model, op->request.inputs, op->request.count, answer->receipts);
}

/* The last event that the fence answered with, known before or not; 0: it has none. */
static uint64_t last_of_fence(const struct fence_call *fence) {
    uint64_t last = 0;
    for (size_t at = 0; at < fence->op_count; at++) {
        const struct fence_op *op = &fence->ops[at];
        for (size_t item = 0; op->answer.status == FBAT_OK && item < op->request.count; item++)
            last = op->answer.receipts[item].sequence > last ? op->answer.receipts[item].sequence : last;
    }
    return last;
}

static void check_commit(struct verdict *verdict, const struct call *call) {
    const struct fence_call *fence = call->fence;
    struct model_answer expected = model_predict_request(&verdict->model, &fence->commit);
    int status = fence->commit_answer.status;
    if (!fence->wants_commit ||
        ((is_fault(status) || status == FBAT_ERR_CANCELLED || status == FBAT_ERR_WRITER_DEAD) && saw_fault(call)))
        return;
    compare_failure(call, &fence->commit, &expected, &fence->commit_answer);
    if (status != FBAT_OK)
        return;
    EXPECT(call, call->after.frontier.visible >= last_of_fence(fence));
    EXPECT(call, !fence->commit_durable || call->after.frontier.durable >= last_of_fence(fence));
}

static void replay_fence(struct verdict *verdict, const struct unit *unit) {
    struct model_mark mark = model_mark(&verdict->model);
    const struct call *call = unit->call;
    EXPECT(call, call->fence->base == verdict->model.count);
    EXPECT(call, call->fence->base >= call->before.frontier.visible);
    for (size_t at = 0; at < call->fence->op_count; at++)
        replay_fence_op(verdict, call, &call->fence->ops[at]);
    check_commit(verdict, call);
    if (unit->cancelled)
        model_roll_back(&verdict->model, &mark);
}

static void replay_append(struct verdict *verdict, const struct call *call) {
    const struct answer *answer = &call->answer;
    struct model_answer expected = predict(verdict, call, &call->request);
    EXPECT(call, expected.status == FBAT_OK);
    compare_receipts(&verdict->model, call, &call->request, &expected, answer->receipts);
    uint64_t last = answer->receipts[call->request.count - 1].sequence;
    /* It happened during the call, and its level was reached when that ended. */
    EXPECT(call, answer->receipts[0].sequence > call->before.frontier.visible);
    EXPECT(call, last <= call->after.frontier.visible);
    EXPECT(call, !call->durable || last <= call->after.frontier.durable);
    EXPECT(call, !call->durable || answer->receipts[0].level == FBAT_LEVEL_DURABLE);
    EXPECT(call, answer->receipts[0].level != 0);
    model_commit(&verdict->model, call->request.inputs, call->request.count, answer->receipts);
}

static void replay_units(struct verdict *verdict) {
    uint64_t last = 0;
    for (size_t at = 0; at < verdict->unit_count; at++) {
        const struct unit *unit = &verdict->units[at];
        if (unit->first > verdict->model.count + 1)
            blame(verdict, verdict->model.count + 1);
        EXPECT(unit->call, unit->first == verdict->model.count + 1);
        if (unit->call->kind == CALL_FENCE)
            replay_fence(verdict, unit);
        else
            replay_append(verdict, unit->call);
        last = verdict->model.count;
    }
    verdict->is_boundary = calloc(last + 1, sizeof *verdict->is_boundary);
    assert_non_null(verdict->is_boundary);
    for (size_t at = 0; at < verdict->unit_count; at++)
        verdict->is_boundary[verdict->units[at].first - 1] = true;
    verdict->is_boundary[last] = true;
}

/* ---- appends that did not write ---- */

static void check_replayed(const struct verdict *verdict, const struct call *call) {
    struct model_answer expected =
        model_predict_keys_at(&verdict->model, call->after.frontier.visible, call->request.inputs, call->request.count);
    EXPECT(call, expected.status == FBAT_OK && expected.replayed);
    compare_receipts(&verdict->model, call, &call->request, &expected, call->answer.receipts);
    for (size_t item = 0; item < call->request.count && call->durable; item++) {
        EXPECT(call, call->answer.receipts[item].level == FBAT_LEVEL_DURABLE);
        EXPECT(call, call->answer.receipts[item].sequence <= call->after.frontier.durable);
    }
}

/* There is a moment of the call at which the keys say this. */
static void check_keys(const struct verdict *verdict, const struct call *call) {
    const struct answer *answer = &call->answer;
    for (uint64_t at = call->before.frontier.visible; at <= call->after.frontier.visible; at++) {
        struct model_answer expected =
            model_predict_keys_at(&verdict->model, at, call->request.inputs, call->request.count);
        if (verdict->is_boundary[at] && expected.status == answer->status &&
            (answer->status != FBAT_ERR_IDEMPOTENCY_CONFLICT || expected.sequence == answer->sequence) &&
            answer->item == (call->request.is_batch ? expected.item : FBAT_NO_ITEM))
            return;
    }
    give_up(call, "the keys never said this during the call", __LINE__);
}

/* What the answer names, an item's expectation or a condition: it does not hold at this revision. */
static bool names_refusal(const struct call *call, uint32_t *out_stream, uint64_t *out_revision) {
    const struct answer *answer = &call->answer;
    uint64_t before_in_batch = 0;
    if (answer->condition > 0) {
        const struct model_condition *condition = &call->request.conditions[answer->condition - 1];
        *out_stream = model_stream(condition->entity, condition->scope);
        *out_revision = answer->actual_revision;
        return !model_holds(condition->expect, condition->expected_revision, answer->actual_revision);
    }
    const struct model_input *input = &call->request.inputs[call->request.is_batch ? answer->item : 0];
    *out_stream = model_stream(input->entity, input->scope);
    for (const struct model_input *before = call->request.inputs; before < input; before++)
        before_in_batch += model_stream(before->entity, before->scope) == *out_stream;
    *out_revision = answer->actual_revision - before_in_batch;
    return answer->actual_revision >= before_in_batch &&
           !model_holds(input->expect, input->expected_revision, answer->actual_revision);
}

/* There is a moment of the call at which none of its keys was known, and the stream named was not as expected. What was
 * looked at before, and held, may have rested on an append that was under way. */
static void check_refused(const struct verdict *verdict, const struct call *call) {
    uint32_t stream = 0;
    uint64_t revision = 0;
    EXPECT(call, call->answer.condition <= call->request.condition_count);
    EXPECT(call, names_refusal(call, &stream, &revision));
    for (uint64_t at = call->before.frontier.visible; at <= call->after.frontier.visible; at++) {
        if (!verdict->is_boundary[at] || model_revision_at(&verdict->model, stream, at) != revision)
            continue;
        struct model_answer keys =
            model_predict_keys_at(&verdict->model, at, call->request.inputs, call->request.count);
        if (keys.status == FBAT_OK && !keys.replayed)
            return;
    }
    give_up(call, "the stream was never there during the call", __LINE__);
}

static void check_stage(const struct call *call) {
    switch (call->answer.status) {
    case FBAT_ERR_IDEMPOTENCY_REQUIRED: EXPECT(call, call->answer.stage == FBAT_STAGE_VALIDATE); break;
    case FBAT_ERR_IDEMPOTENCY_CONFLICT:
    case FBAT_ERR_IDEMPOTENCY_PARTIAL: EXPECT(call, call->answer.stage == FBAT_STAGE_KEY); break;
    case FBAT_ERR_REVISION: EXPECT(call, call->answer.stage == FBAT_STAGE_CONDITION); break;
    case FBAT_ERR_IO:
        EXPECT(call, call->answer.stage == FBAT_STAGE_WRITE || call->answer.stage == FBAT_STAGE_SYNC ||
                         call->answer.stage == FBAT_STAGE_KEY);
        break;
    default: break;
    }
}

static bool may_be_beside_fence(const struct call *call) {
    return call->after.fences_begun > call->before.fences_ended;
}

static void check_append(const struct verdict *verdict, const struct call *call) {
    size_t keyless = find_keyless(&call->request);
    check_stage(call);
    if (call->kind == CALL_REACTION && !call->knows_cause) {
        EXPECT(call, call->answer.status == FBAT_ERR_NOT_FOUND);
        return;
    }
    if (call->required && keyless < call->request.count) {
        EXPECT(call, call->answer.status == FBAT_ERR_IDEMPOTENCY_REQUIRED);
        EXPECT(call, call->answer.item == (call->request.is_batch ? keyless : FBAT_NO_ITEM) ||
                         call->kind == CALL_OUTBOX || call->kind == CALL_OUTBOX_SUBMIT);
        return;
    }
    switch (call->answer.status) {
    case FBAT_OK:
        if (call->answer.receipts[0].replayed)
            check_replayed(verdict, call);
        break;
    case UNANSWERED: break; /* it never wrote */
    case FBAT_RETRY: EXPECT(call, call->kind == CALL_TRY_SUBMIT); break;
    case FBAT_ERR_REVISION: check_refused(verdict, call); break;
    case FBAT_ERR_IDEMPOTENCY_CONFLICT:
    case FBAT_ERR_IDEMPOTENCY_PARTIAL: check_keys(verdict, call); break;
    case FBAT_ERR_FENCE_ACTIVE: EXPECT(call, may_be_beside_fence(call)); break;
    case FBAT_ERR_SHUTDOWN: EXPECT(call, call->over_close); break;
    case FBAT_ERR_IO: /* who does not wait for a sync does not fail with one */
        EXPECT(call, saw_fault(call) && (call->durable || call->answer.stage != FBAT_STAGE_SYNC));
        break;
    default: give_up(call, "an answer that nothing explains", __LINE__);
    }
}

/* ---- reads ---- */

static void check_one_read(const struct verdict *verdict, const struct call *call, uint64_t least, uint64_t most) {
    const struct read_call *read = &call->read;
    EXPECT(call, call->answer.status == FBAT_OK && read->sequence >= 1 && read->sequence <= verdict->model.count);
    const struct model_event *known = &verdict->model.events[read->sequence - 1];
    EXPECT(call, read->revision >= least && read->revision <= most && read->revision == known->revision);
    EXPECT(call, memcmp(read->hash, known->hash, sizeof read->hash) == 0);
    EXPECT(call, read->sequence <= call->after.frontier.visible);
}

static void check_latest(const struct verdict *verdict, const struct call *call) {
    uint64_t least = model_revision_at(&verdict->model, call->read.stream, call->before.frontier.visible);
    uint64_t most = model_revision_at(&verdict->model, call->read.stream, call->after.frontier.visible);
    if (call->answer.status == FBAT_ERR_NOT_FOUND) {
        EXPECT(call, least == 0);
        return;
    }
    check_one_read(verdict, call, least, most);
    EXPECT(call, verdict->model.events[call->read.sequence - 1].stream == call->read.stream);
}

static void check_get(const struct verdict *verdict, const struct call *call) {
    uint64_t sequence = model_find_id(&verdict->model, &call->read.id);
    if (call->answer.status == FBAT_ERR_NOT_FOUND) {
        EXPECT(call, sequence == 0 || sequence > call->before.frontier.visible);
        return;
    }
    check_one_read(verdict, call, 1, UINT64_MAX);
    EXPECT(call, call->read.sequence == sequence);
}

static void check_query(const struct verdict *verdict, const struct call *call) {
    const struct read_call *read = &call->read;
    uint64_t count = 0, digest = 0;
    EXPECT(call, call->answer.status == FBAT_END);
    EXPECT(call, read->snapshot >= call->before.frontier.visible && read->snapshot <= call->after.frontier.visible);
    EXPECT(call, verdict->is_boundary[read->snapshot]);
    for (uint64_t step = 1; step <= read->snapshot; step++) {
        uint64_t sequence = read->backward ? read->snapshot - step + 1 : step;
        if (read->limit > 0 && count == read->limit)
            break;
        if (!model_matches(&verdict->model, sequence, &read->region))
            continue;
        digest = digest_event(digest, sequence, verdict->model.events[sequence - 1].hash);
        count++;
    }
    EXPECT(call, read->count == count && read->digest == digest);
}

static void check_fence(const struct call *call) {
    const struct fence_call *fence = call->fence;
    if (fence->complaint)
        give_up(call, fence->complaint, __LINE__);
    EXPECT(call, fence->begin_status == FBAT_OK ||
                     (fence->begin_status == FBAT_ERR_FENCE_ACTIVE && may_be_beside_fence(call)));
}

static void check_call(const struct verdict *verdict, const struct call *call) {
    if (call->complaint)
        give_up(call, call->complaint, __LINE__);
    switch (call->kind) {
    case CALL_LATEST: check_latest(verdict, call); break;
    case CALL_GET: check_get(verdict, call); break;
    case CALL_QUERY: check_query(verdict, call); break;
    case CALL_FENCE: check_fence(call); break;
    case CALL_WAIT_DURABLE: break;
    default: check_append(verdict, call); break;
    }
}

/* ---- all of it ---- */

static void compare_with_store(const struct verdict *verdict) {
    struct fbat_frontier frontier;
    struct fbat_error error;
    fbat_frontier(verdict->store, &frontier);
    assert_int_equal(frontier.accepted, verdict->model.count);
    assert_int_equal(frontier.visible, verdict->model.count);
    for (uint64_t sequence = 1; sequence <= verdict->model.count; sequence++) {
        struct fbat_event event;
        assert_int_equal(fbat_get_by_sequence(verdict->store, sequence, &event, &error), FBAT_OK);
        const char *difference = model_difference(&verdict->model, sequence, &event);
        if (difference)
            fail_msg("sequence %llu differs in %s", (unsigned long long)sequence, difference);
        fbat_event_release(&event);
    }
}

void verdict_of(struct caller *const *callers, size_t count, struct fbat_store *store) {
    struct verdict verdict = {.store = store, .callers = callers, .caller_count = count};
    model_init(&verdict.model);
    resolve_all(&verdict);
    collect_units(&verdict);
    replay_units(&verdict);
    for (size_t at = 0; at < count; at++)
        for (size_t number = 0; number < callers[at]->call_count; number++)
            check_call(&verdict, &callers[at]->calls[number]);
    compare_with_store(&verdict);
    model_deinit(&verdict.model);
    free(verdict.units);
    free(verdict.is_boundary);
}
