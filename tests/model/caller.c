/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller: a thread that does random calls to a store that others call too, and writes down what it asked and was
 * told.
 *
 * What can be judged at once (watermarks out of order, an outbox that is not empty after its flush) is noted as the
 * call's complaint; all else is left to the verdict.
 *
 * Failure modes: running out of memory ends the program.
 * Thread rule: one thread per caller; it must not use cmocka's asserts.
 */
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "history.h"

uint64_t digest_event(uint64_t digest, uint64_t sequence, const uint8_t hash[32]) {
    uint64_t word;
    memcpy(&word, hash, sizeof word);
    return (digest ^ sequence ^ word) * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static void complain(struct call *call, const char *complaint) {
    if (call && !call->complaint)
        call->complaint = complaint;
}

/* ---- moments ---- */

void party_log(void *user, enum fbat_log_level level, const char *message) {
    struct party *party = user;
    (void)message;
    if (level <= FBAT_LOG_WARNING)
        atomic_fetch_add(&party->restarts, 1);
}

static void compare_frontiers(const struct fbat_frontier *before, const struct fbat_frontier *now, struct call *call) {
    if (now->durable > now->visible || now->visible > now->written || now->written > now->accepted)
        complain(call, "the watermarks are out of order");
    if (now->durable < before->durable || now->visible < before->visible || now->written < before->written)
        complain(call, "a watermark went back");
}

struct moment caller_moment(struct caller *caller, bool of_follower, struct call *call) {
    struct party *party = caller->party;
    struct moment moment = {.fences_ended = atomic_load(&party->fences_ended),
                            .faults = atomic_load(&party->rough->faults),
                            .restarts = atomic_load(&party->restarts)};
    fbat_frontier(of_follower ? party->follower : party->store, &moment.frontier);
    moment.fences_begun = atomic_load(&party->fences_begun);
    compare_frontiers(&caller->last_frontiers[of_follower], &moment.frontier, call);
    caller->last_frontiers[of_follower] = moment.frontier;
    return moment;
}

/* ---- what to append ---- */

/* Half of the expectations are about what the stream is at, as far as this thread can know. */
static uint64_t aim_revision(struct caller *caller, uint8_t entity, uint8_t scope) {
    struct fbat_event event;
    uint64_t wrong_by = test_random_one_in(&caller->random, 2) ? test_random_below(&caller->random, 3) : 0;
    if (fbat_latest(caller->party->store, fbat_text(model_entity(entity)), fbat_text(model_scope(scope)), &event,
                    NULL) != FBAT_OK)
        return wrong_by;
    uint64_t revision = event.revision;
    fbat_event_release(&event);
    return revision + wrong_by;
}

static struct model_input choose_input(struct caller *caller, size_t item) {
    struct test_random *random = &caller->random;
    struct model_input input = model_random_input(random);
    if (test_random_one_in(random, 3)) {
        input.expect = (enum fbat_expect)test_random_below(random, 4);
        input.expected_revision = aim_revision(caller, input.entity, input.scope);
    }
    if (item > 0 && test_random_one_in(random, 4)) {
        input.causation_item = (uint32_t)test_random_between(random, 1, item);
        memset(&input.causation, 0, sizeof input.causation);
    }
    return input;
}

/* A keyed event that others append too; sometimes its key for another event. */
static struct model_input choose_pooled(struct caller *caller, size_t place) {
    struct model_input input = caller->party->pool[place % POOL_MAX];
    if (test_random_one_in(&caller->random, 12))
        input.payload_type ^= 1;
    return input;
}

static void choose_conditions(struct caller *caller, struct model_request *request) {
    struct test_random *random = &caller->random;
    request->condition_count = test_random_one_in(random, 4) ? test_random_between(random, 1, MODEL_CONDITIONS_MAX) : 0;
    for (size_t at = 0; at < request->condition_count; at++) {
        struct model_condition *condition = &request->conditions[at];
        condition->entity = (uint8_t)test_random_below(random, MODEL_ENTITIES);
        condition->scope = (uint8_t)test_random_below(random, MODEL_SCOPES);
        condition->expect = (enum fbat_expect)test_random_below(random, 4);
        condition->expected_revision = aim_revision(caller, condition->entity, condition->scope);
    }
}

/* Where the store wants a key on every append, one is forgotten now and then. */
static void choose_keys(struct caller *caller, struct model_request *request, bool all_fresh) {
    struct test_random *random = &caller->random;
    bool required = caller->party->config.batch.group_commit_max_batch > 1;
    for (size_t item = 0; item < request->count; item++) {
        struct fbat_id *id = &request->inputs[item].id;
        if (all_fresh || (fbat_id_is_none(id) && (required ? !test_random_one_in(random, 60) : random->state % 4 == 0)))
            test_random_fill(random, id->bytes, sizeof id->bytes);
    }
}

/* all_fresh: every event has a key that nobody has used. */
static void choose_request(struct caller *caller, struct model_request *request, bool is_batch, bool all_fresh) {
    struct test_random *random = &caller->random;
    size_t place = test_random_below(random, POOL_MAX);
    bool run =
        is_batch && test_random_one_in(random, 6); /* some of the pool in a row, so that it can be known as a whole */
    request->is_batch = is_batch;
    request->level = (enum fbat_level)test_random_below(random, 3);
    request->count = is_batch ? test_random_between(random, 1, 4) : 1;
    for (size_t item = 0; item < request->count; item++) {
        bool pooled = !all_fresh && (run || test_random_one_in(random, is_batch ? 16 : 4));
        request->inputs[item] = pooled ? choose_pooled(caller, place + item) : choose_input(caller, item);
    }
    choose_keys(caller, request, all_fresh);
    choose_conditions(caller, request);
}

static void make_events(struct caller *caller, const struct model_request *request, struct fbat_new_event *events) {
    for (size_t item = 0; item < request->count; item++)
        events[item] = model_event_of(&request->inputs[item], &caller->rooms[item]);
}

/* conditions has room for MODEL_CONDITIONS_MAX. */
static struct fbat_append_options make_options(const struct model_request *request, struct fbat_condition *conditions) {
    for (size_t at = 0; at < request->condition_count; at++)
        conditions[at] = model_condition_of(&request->conditions[at]);
    return (struct fbat_append_options){.struct_size = sizeof(struct fbat_append_options),
                                        .level = request->level,
                                        .conditions = conditions,
                                        .condition_count = request->condition_count};
}

/* Who fails with a sync is told before the writer has gone on: once the lock was free, it has. */
static void let_writer_go_on(const struct caller *caller, int status) {
    struct fbat_id ignored;
    if (status == FBAT_ERR_IO || status == FBAT_ERR_CANCELLED)
        (void)fbat_id_generate(caller->party->store, &ignored, NULL);
}

static void keep_answer(struct answer *answer, int status, const struct fbat_error *error) {
    answer->status = status;
    if (status >= 0)
        return;
    answer->item = error->item;
    answer->condition = error->condition;
    answer->stage = error->stage;
    answer->actual_revision = error->actual_revision;
    answer->sequence = error->sequence;
}

static void note_acknowledged(struct caller *caller, const struct model_request *request, const struct answer *answer) {
    uint64_t last = answer->status == FBAT_OK ? answer->receipts[request->count - 1].sequence : 0;
    caller->acknowledged = last > caller->acknowledged ? last : caller->acknowledged;
}

/* ---- appends that wait ---- */

static void call_append(struct caller *caller, struct call *call) {
    struct model_request *request = &call->request;
    struct fbat_store *store = caller->party->store;
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    struct fbat_error error;
    choose_request(caller, request, test_random_one_in(&caller->random, 3), false);
    make_events(caller, request, events);
    const struct fbat_append_options options = make_options(request, conditions);
    call->before = caller_moment(caller, false, call);
    int status = request->is_batch
                     ? fbat_append_batch(store, events, request->count, &options, call->answer.receipts, &error)
                     : fbat_append(store, events, &options, call->answer.receipts, &error);
    keep_answer(&call->answer, status, &error);
}

/* The cause is any event, and gives its correlation to what has none. */
static void call_reaction(struct caller *caller, struct call *call) {
    struct model_input *input = &call->request.inputs[0];
    struct fbat_store *store = caller->party->store;
    struct fbat_new_event event;
    struct fbat_event cause = {0};
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    struct fbat_error error;
    choose_request(caller, &call->request, false, false);
    if (fbat_id_is_none(&input->id))
        test_random_fill(&caller->random, input->id.bytes, sizeof input->id.bytes);
    memset(&input->causation, 0, sizeof input->causation);
    uint64_t sequence = test_random_below(&caller->random, caller->last_frontiers[0].visible + 1);
    call->knows_cause = fbat_get_by_sequence(store, sequence, &cause, NULL) == FBAT_OK;
    if (!call->knows_cause)
        test_random_fill(&caller->random, cause.id.bytes, sizeof cause.id.bytes);
    event = model_event_of(input, &caller->rooms[0]);
    input->causation = cause.id;
    if (fbat_id_is_none(&input->correlation))
        input->correlation = cause.correlation;
    fbat_event_release(&cause);
    const struct fbat_append_options options = make_options(&call->request, conditions);
    call->before = caller_moment(caller, false, call);
    keep_answer(&call->answer,
                fbat_append_reaction(store, &input->causation, &event, &options, call->answer.receipts, &error),
                &error);
}

/* ---- outboxes ---- */

/* An outbox with the request staged in it; NULL, and the answer filled, when an event was refused. */
static struct fbat_outbox *fill_outbox(struct caller *caller, struct fbat_fence *fence,
                                       const struct model_request *request, struct answer *answer) {
    struct fbat_outbox *outbox = NULL;
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_error error;
    int status = fbat_outbox_create(caller->party->store, fence, &outbox, &error);
    make_events(caller, request, events);
    for (size_t item = 0; item < request->count && status == FBAT_OK; item++)
        status = fbat_outbox_stage(outbox, &events[item], &error);
    if (status == FBAT_OK)
        return outbox;
    keep_answer(answer, status, &error);
    fbat_outbox_destroy(outbox);
    return NULL;
}

static void flush_outbox(struct caller *caller, struct fbat_fence *fence, const struct model_request *request,
                         struct answer *answer, const char **complaint) {
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    const struct fbat_append_options options = make_options(request, conditions);
    struct fbat_outbox *outbox = fill_outbox(caller, fence, request, answer);
    struct fbat_error error;
    if (!outbox)
        return;
    int status = fbat_outbox_flush(outbox, &options, answer->receipts, &error);
    if (fbat_outbox_count(outbox) != (status == FBAT_OK ? 0 : request->count))
        *complaint = "the outbox holds what it should not after a flush";
    keep_answer(answer, status, &error);
    fbat_outbox_destroy(outbox);
}

static void call_outbox(struct caller *caller, struct call *call) {
    choose_request(caller, &call->request, true, false);
    call->before = caller_moment(caller, false, call);
    flush_outbox(caller, NULL, &call->request, &call->answer, &call->complaint);
}

/* ---- tickets ---- */

static void poll_ticket(struct fbat_ticket *ticket, struct call *call) {
    struct pollfd waiting = {.events = POLLIN};
    struct fbat_error error;
    int status = fbat_ticket_fd(ticket, &waiting.fd, &error);
    if (status != FBAT_OK)
        complain(call, "the ticket has no descriptor");
    else if (poll(&waiting, 1, -1) != 1)
        complain(call, "the ticket's descriptor cannot be polled");
    else if (fbat_ticket_poll(ticket, NULL, NULL) == FBAT_RETRY)
        complain(call, "the descriptor was readable before the answer");
}

/* The ticket's answer, waited for in one of the ways there are. */
static void await_ticket(struct caller *caller, struct fbat_ticket *ticket, const struct model_request *request,
                         struct answer *answer, struct call *call) {
    struct fbat_receipt again[MODEL_BATCH_MAX];
    struct fbat_error error;
    uint64_t way = test_random_below(&caller->random, 8);
    if (way == 0)
        poll_ticket(ticket, call);
    while (way == 1 && fbat_ticket_poll(ticket, NULL, NULL) == FBAT_RETRY)
        sched_yield();
    if (fbat_ticket_count(ticket) != request->count)
        complain(call, "the ticket counts its events wrongly");
    int status = fbat_ticket_wait(ticket, FBAT_FOREVER, answer->receipts, &error);
    keep_answer(answer, status, &error);
    if (fbat_ticket_poll(ticket, again, &error) != status ||
        (status == FBAT_OK && memcmp(again, answer->receipts, request->count * sizeof again[0]) != 0))
        complain(call, "the ticket changed its answer");
    fbat_ticket_release(ticket);
}

void caller_collect(struct caller *caller, size_t left, const struct moment *over_close) {
    while (caller->ticket_count > left) {
        struct open_ticket *oldest = &caller->tickets[0];
        struct call *call = oldest->call;
        await_ticket(caller, oldest->ticket, &call->request, &call->answer, call);
        if (!over_close)
            let_writer_go_on(caller, call->answer.status);
        call->after = over_close ? *over_close : caller_moment(caller, false, call);
        call->over_close = over_close != NULL;
        note_acknowledged(caller, &call->request, &call->answer);
        memmove(oldest, oldest + 1, --caller->ticket_count * sizeof *oldest);
    }
}

static int submit_request(struct caller *caller, struct call *call, bool try, struct fbat_ticket **out_ticket,
                          struct fbat_error *error) {
    const struct model_request *request = &call->request;
    struct fbat_store *store = caller->party->store;
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    const struct fbat_append_options options = make_options(request, conditions);
    make_events(caller, request, events);
    int status;
    if (request->is_batch)
        status = try ? fbat_try_submit_batch(store, events, request->count, &options, out_ticket, error)
                     : fbat_submit_batch(store, events, request->count, &options, out_ticket, error);
    else
        status = try ? fbat_try_submit(store, events, &options, out_ticket, error)
                     : fbat_submit(store, events, &options, out_ticket, error);
    for (size_t item = 0; item < request->count; item++) /* all of it was copied */
        memset(&caller->rooms[item], 0xA5, sizeof caller->rooms[item]);
    if (status == FBAT_RETRY && error->retry_after_ms == 0)
        complain(call, "try_submit does not say when to try again");
    return status;
}

static int submit_outbox(struct caller *caller, struct fbat_fence *fence, const struct model_request *request,
                         struct answer *answer, struct fbat_ticket **out_ticket) {
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    const struct fbat_append_options options = make_options(request, conditions);
    struct fbat_error error;
    struct fbat_outbox *outbox = fill_outbox(caller, fence, request, answer);
    if (!outbox)
        return answer->status;
    int status = fbat_outbox_submit(outbox, &options, out_ticket, &error);
    keep_answer(answer, status, &error);
    fbat_outbox_destroy(outbox);
    return status;
}

/* Puts a ticket in; it is waited for later, or given up at once. */
static void call_submit(struct caller *caller, struct call *call) {
    struct fbat_ticket *ticket = NULL;
    struct fbat_error error;
    bool give_up = test_random_one_in(&caller->random, 8);
    int status;
    if (caller->ticket_count == TICKETS_MAX)
        caller_collect(caller, TICKETS_MAX - 1, NULL);
    choose_request(caller, &call->request, call->kind == CALL_OUTBOX_SUBMIT || test_random_one_in(&caller->random, 3),
                   give_up);
    call->before = caller_moment(caller, false, call);
    if (call->kind == CALL_OUTBOX_SUBMIT) {
        status = submit_outbox(caller, NULL, &call->request, &call->answer, &ticket);
    } else {
        status = submit_request(caller, call, call->kind == CALL_TRY_SUBMIT, &ticket, &error);
        keep_answer(&call->answer, status, &error);
    }
    if (status != FBAT_OK)
        return;
    call->answer.status = UNANSWERED;
    if (give_up)
        fbat_ticket_release(ticket);
    else
        caller->tickets[caller->ticket_count++] = (struct open_ticket){ticket, call};
}

/* ---- fences ---- */

static void fence_append(struct caller *caller, struct fbat_fence *fence, struct fence_op *op) {
    const struct model_request *request = &op->request;
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    struct fbat_error error;
    make_events(caller, request, events);
    const struct fbat_append_options options = make_options(request, conditions);
    int status = request->is_batch
                     ? fbat_fence_append_batch(fence, events, request->count, &options, op->answer.receipts, &error)
                     : fbat_fence_append(fence, events, &options, op->answer.receipts, &error);
    keep_answer(&op->answer, status, &error);
}

/* How many events the fence has staged, by what it was told. */
static uint64_t count_staged(const struct fence_call *fence) {
    uint64_t staged = 0;
    for (size_t at = 0; at < fence->op_count; at++)
        if (fence->ops[at].answer.status == FBAT_OK && !fence->ops[at].answer.receipts[0].replayed)
            staged += fence->ops[at].request.count;
    return staged;
}

/* What is appended beside the open fence is refused; it could not be written even if the fence has just been
 * cancelled. */
static void try_beside(struct caller *caller, struct call *call) {
    struct party *party = caller->party;
    struct model_input input = model_random_input(&caller->random);
    input.expect = FBAT_EXPECT_REVISION;
    input.expected_revision = UINT64_MAX;
    test_random_fill(&caller->random, input.id.bytes, sizeof input.id.bytes);
    struct fbat_new_event event = model_event_of(&input, &caller->rooms[0]);
    struct fbat_ticket *ticket;
    int status = fbat_append(party->store, &event, NULL, NULL, NULL);
    int tried = fbat_try_submit(party->store, &event, NULL, &ticket, NULL);
    if (tried == FBAT_OK)
        fbat_ticket_release(ticket);
    if (atomic_load(&party->rough->faults) == call->before.faults &&
        atomic_load(&party->restarts) == call->before.restarts &&
        (status != FBAT_ERR_FENCE_ACTIVE || tried != FBAT_ERR_FENCE_ACTIVE))
        complain(call, "an append beside the open fence was not refused");
}

/* While the fence is open, nobody else appends and nobody sees it. */
static void look_around(struct caller *caller, struct call *call) {
    struct fbat_event seen;
    try_beside(caller, call);
    struct moment now = caller_moment(caller, false, call);
    if (now.faults != call->before.faults || now.restarts != call->before.restarts)
        return; /* it may have been cancelled */
    if (now.frontier.visible != call->fence->base)
        complain(call, "something became visible while the fence was open");
    if (now.frontier.accepted != call->fence->base + count_staged(call->fence))
        complain(call, "accepted is not what the fence has staged");
    if (fbat_get_by_sequence(caller->party->store, call->fence->base + 1, &seen, NULL) != FBAT_ERR_NOT_FOUND)
        complain(call, "an event of the open fence can be read");
}

/* A ticket is the last of the fence: what is appended behind it need not wait for it. */
static void fill_fence(struct caller *caller, struct fbat_fence *handle, struct call *call) {
    struct fence_call *fence = call->fence;
    size_t wanted = test_random_below(&caller->random, FENCE_OPS_MAX + 1);
    for (size_t at = 0; at < wanted; at++) {
        struct fence_op *op = &fence->ops[at];
        uint64_t way = test_random_below(&caller->random, 8);
        choose_request(caller, &op->request, way <= 1 || test_random_one_in(&caller->random, 3), false);
        if (way == 0 && at == wanted - 1 &&
            submit_outbox(caller, handle, &op->request, &op->answer, &op->ticket) == FBAT_OK)
            op->answer.status = UNANSWERED;
        else if (way == 1)
            flush_outbox(caller, handle, &op->request, &op->answer, &fence->complaint);
        else if (way > 1 || at < wanted - 1)
            fence_append(caller, handle, op);
        fence->op_count++;
        if (!op->ticket && test_random_one_in(&caller->random, 3))
            look_around(caller, call);
    }
}

static struct fbat_fence *begin_fence(struct caller *caller, struct call *call) {
    struct party *party = caller->party;
    struct fbat_fence *handle = NULL;
    struct fbat_error error;
    call->fence = calloc(1, sizeof *call->fence);
    if (!call->fence)
        abort();
    call->before = caller_moment(caller, false, call);
    atomic_fetch_add(&party->fences_begun, 1);
    call->fence->begin_status = fbat_fence_begin(party->store, &handle, &error);
    if (call->fence->begin_status != FBAT_OK) {
        atomic_fetch_add(&party->fences_ended, 1);
        return NULL;
    }
    call->fence->base = caller_moment(caller, false, call).frontier.visible;
    return handle;
}

static void end_fence(struct caller *caller, struct fbat_fence *handle, struct call *call) {
    struct fence_call *fence = call->fence;
    struct fbat_condition conditions[MODEL_CONDITIONS_MAX];
    struct fbat_error error;
    fence->wants_commit = !test_random_one_in(&caller->random, 4);
    if (!fence->wants_commit) {
        fbat_fence_cancel(handle);
        return;
    }
    choose_conditions(caller, &fence->commit);
    fence->commit.level = (enum fbat_level)test_random_below(&caller->random, 3);
    const struct fbat_append_options options = make_options(&fence->commit, conditions);
    keep_answer(&fence->commit_answer, fbat_fence_commit(handle, &options, &error), &error);
}

static void collect_fence_tickets(struct caller *caller, struct call *call) {
    for (size_t at = 0; at < call->fence->op_count; at++) {
        struct fence_op *op = &call->fence->ops[at];
        if (op->ticket)
            await_ticket(caller, op->ticket, &op->request, &op->answer, call);
    }
}

static void call_fence(struct caller *caller, struct call *call) {
    struct fbat_fence *handle = begin_fence(caller, call);
    if (!handle)
        return;
    fill_fence(caller, handle, call);
    end_fence(caller, handle, call);
    atomic_fetch_add(&caller->party->fences_ended, 1);
    collect_fence_tickets(caller, call);
}

/* ---- reads ---- */

static struct fbat_store *choose_handle(struct caller *caller, struct call *call) {
    call->read.follower = test_random_one_in(&caller->random, 3);
    call->before = caller_moment(caller, call->read.follower, call);
    if (call->before.frontier.visible < caller->acknowledged)
        complain(call, "what was acknowledged is not visible");
    return call->read.follower ? caller->party->follower : caller->party->store;
}

static void keep_event(struct call *call, struct fbat_event *event) {
    call->read.sequence = event->sequence;
    call->read.revision = event->revision;
    memcpy(call->read.hash, event->hash, sizeof call->read.hash);
    fbat_event_release(event);
}

static void call_latest(struct caller *caller, struct call *call) {
    uint8_t entity = (uint8_t)test_random_below(&caller->random, MODEL_ENTITIES);
    uint8_t scope = (uint8_t)test_random_below(&caller->random, MODEL_SCOPES);
    struct fbat_event event;
    struct fbat_store *store = choose_handle(caller, call);
    call->read.stream = model_stream(entity, scope);
    call->answer.status =
        fbat_latest(store, fbat_text(model_entity(entity)), fbat_text(model_scope(scope)), &event, NULL);
    if (call->answer.status == FBAT_OK)
        keep_event(call, &event);
}

static void call_get(struct caller *caller, struct call *call) {
    struct fbat_event event;
    struct fbat_store *store = choose_handle(caller, call);
    call->read.id = caller->party->pool[test_random_below(&caller->random, POOL_MAX)].id;
    call->answer.status = fbat_get(store, &call->read.id, &event, NULL);
    if (call->answer.status == FBAT_OK)
        keep_event(call, &event);
}

static struct fbat_region choose_region(struct caller *caller) {
    struct fbat_region region = {.struct_size = sizeof region};
    if (test_random_one_in(&caller->random, 2))
        region.scope = fbat_text(model_scope((unsigned)test_random_below(&caller->random, MODEL_SCOPES)));
    if (test_random_one_in(&caller->random, 2))
        region.entity = fbat_text(model_entity((unsigned)test_random_below(&caller->random, MODEL_ENTITIES)));
    if (test_random_one_in(&caller->random, 3))
        region.flags = FBAT_REGION_ENTITY_PREFIX;
    if (test_random_one_in(&caller->random, 4))
        region.category = (uint16_t)test_random_between(&caller->random, 1, 2);
    return region;
}

static void call_query(struct caller *caller, struct call *call) {
    struct read_call *read = &call->read;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_error error;
    struct fbat_store *store = choose_handle(caller, call);
    read->region = choose_region(caller);
    read->backward = test_random_one_in(&caller->random, 2);
    read->limit = test_random_one_in(&caller->random, 2) ? test_random_between(&caller->random, 1, 40) : 0;
    const struct fbat_query_options options = {.struct_size = sizeof options,
                                               .direction = read->backward ? FBAT_BACKWARD : FBAT_FORWARD,
                                               .limit = read->limit};
    call->answer.status = fbat_query(store, &read->region, &options, &iterator, &error);
    if (call->answer.status != FBAT_OK)
        return;
    read->snapshot = fbat_iterator_snapshot(iterator);
    while ((call->answer.status = fbat_iterator_next(iterator, &event, &error)) == FBAT_OK) {
        read->digest = digest_event(read->digest, event.sequence, event.hash);
        read->count++;
    }
    fbat_iterator_close(iterator);
}

static void call_wait_durable(struct caller *caller, struct call *call) {
    struct fbat_store *store = caller->party->store;
    struct fbat_error error;
    call->before = caller_moment(caller, false, call);
    uint64_t way = test_random_below(&caller->random, 3), wanted = caller->acknowledged;
    if (way == 0) {
        if (fbat_wait_durable(store, call->before.frontier.accepted + 100000, 0, &error) != FBAT_RETRY)
            complain(call, "what nobody appended is durable");
        return;
    }
    wanted = way == 1 ? call->before.frontier.visible : wanted;
    int status = way == 1 ? fbat_sync(store, &error) : fbat_wait_durable(store, wanted, FBAT_FOREVER, &error);
    if (status != FBAT_OK)
        complain(call, way == 1 ? "fbat_sync failed" : "fbat_wait_durable failed");
    if (caller_moment(caller, false, call).frontier.durable < wanted)
        complain(call, "what was waited for is not durable");
}

/* ---- the thread ---- */

static const struct {
    uint32_t weight;
    void (*run)(struct caller *caller, struct call *call);
} kinds[CALL_KINDS] = {
    [CALL_APPEND] = {30, call_append},
    [CALL_REACTION] = {4, call_reaction},
    [CALL_OUTBOX] = {4, call_outbox},
    [CALL_SUBMIT] = {20, call_submit},
    [CALL_TRY_SUBMIT] = {8, call_submit},
    [CALL_OUTBOX_SUBMIT] = {4, call_submit},
    [CALL_FENCE] = {2, call_fence},
    [CALL_LATEST] = {8, call_latest},
    [CALL_GET] = {6, call_get},
    [CALL_QUERY] = {6, call_query},
    [CALL_WAIT_DURABLE] = {3, call_wait_durable},
};

static struct call *next_call(struct caller *caller, enum call_kind kind) {
    struct call *call = &caller->calls[caller->call_count++];
    call->kind = kind;
    call->required = caller->party->config.batch.group_commit_max_batch > 1;
    return call;
}

static bool is_durable(const struct caller *caller, enum fbat_level level) {
    return level == FBAT_LEVEL_DURABLE ||
           (level == FBAT_LEVEL_DEFAULT && caller->party->config.sync.every_n_events == 1);
}

static void do_call(struct caller *caller, enum call_kind kind) {
    struct call *call = next_call(caller, kind);
    kinds[kind].run(caller, call);
    let_writer_go_on(caller, call->fence ? FBAT_ERR_CANCELLED : call->answer.status);
    call->after = caller_moment(caller, call->read.follower, call);
    call->durable = is_durable(caller, call->request.level);
    if (call->fence)
        call->fence->commit_durable = is_durable(caller, call->fence->commit.level);
    if (kind <= CALL_OUTBOX)
        note_acknowledged(caller, &call->request, &call->answer);
}

static enum call_kind choose_kind(struct caller *caller) {
    uint64_t total = 0;
    for (int kind = 0; kind < CALL_KINDS; kind++)
        total += kinds[kind].weight;
    uint64_t choice = test_random_below(&caller->random, total);
    int kind = 0;
    while (choice >= kinds[kind].weight)
        choice -= kinds[kind++].weight;
    return (enum call_kind)kind;
}

void *caller_run(void *user) {
    struct caller *caller = user;
    memset(caller->last_frontiers, 0, sizeof caller->last_frontiers);
    for (uint64_t step = 0; step < caller->steps; step++) {
        do_call(caller, choose_kind(caller));
        if (test_random_one_in(&caller->random, 6))
            caller_collect(caller, test_random_below(&caller->random, TICKETS_MAX), NULL);
    }
    return NULL;
}

void caller_barrier(struct caller *caller) {
    struct call *call = next_call(caller, CALL_APPEND);
    struct model_room *room = &caller->rooms[0];
    const struct fbat_append_options options = {.struct_size = sizeof options, .level = FBAT_LEVEL_DURABLE};
    struct fbat_error error;
    call->request.count = 1;
    call->request.level = FBAT_LEVEL_DURABLE;
    call->durable = true;
    call->request.inputs[0] = model_random_input(&caller->random);
    test_random_fill(&caller->random, call->request.inputs[0].id.bytes, sizeof(struct fbat_id));
    struct fbat_new_event event = model_event_of(&call->request.inputs[0], room);
    call->before = caller_moment(caller, false, call);
    keep_answer(&call->answer, fbat_append(caller->party->store, &event, &options, call->answer.receipts, &error),
                &error);
    call->after = caller_moment(caller, false, call);
}

struct fbat_fence *caller_leave_fence_open(struct caller *caller) {
    struct call *call = next_call(caller, CALL_FENCE);
    struct fbat_fence *handle = begin_fence(caller, call);
    if (handle)
        fill_fence(caller, handle, call);
    call->after = caller_moment(caller, false, call);
    return handle;
}

void caller_destroy_fence(struct caller *caller, struct fbat_fence *handle) {
    struct call *call = &caller->calls[caller->call_count - 1];
    if (!handle)
        return;
    fbat_fence_cancel(handle);
    atomic_fetch_add(&caller->party->fences_ended, 1);
    collect_fence_tickets(caller, call);
    call->over_close = true;
}
