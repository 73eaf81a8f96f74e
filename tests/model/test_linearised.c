/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One to eight threads do random operations to one store and keep a log of what they asked and were told. Afterwards
 * there must be one order of all of it, that of the sequences, in which each answer is what the model says:
 *
 *     appends that succeeded   done to the model in the order of their sequences, each must answer the same there
 *     refused expectations     the stream must have been at the revision named at some moment of the call
 *     replays and conflicts    the event named must be there, at a sequence that was visible when the call ended
 *     reads                    what was read must be the model's, and fit what was visible around the call
 *
 * Threads share a pool of keyed events, so that several append the same one at once.
 *
 * Thread rule: each thread has its own log; only the main thread asserts, after all have ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "model.h"

enum { THREADS_MAX = 8, POOL = 64 };

/* One append or read, as a thread saw it. */
struct entry {
    struct model_input inputs[MODEL_BATCH_MAX];
    struct fbat_receipt receipts[MODEL_BATCH_MAX];
    size_t count; /* of inputs; 0: a read */
    bool is_batch;
    int status;
    uint64_t visible_before, visible_after;
    uint64_t actual_revision, sequence; /* of the error, or of what was read */
    size_t item;
    uint64_t read_revision;
    uint32_t read_stream;
    uint8_t read_hash[32];
};

struct party {
    struct fbat_store *store;
    struct model_input pool[POOL];
    uint64_t seed;
    uint64_t steps; /* of each thread */
};

struct member {
    pthread_t thread;
    struct party *party;
    struct test_random random;
    struct entry *entries;
    struct model_room rooms[MODEL_BATCH_MAX];
};

/* ---- threads ---- */

static uint64_t visible_now(struct fbat_store *store) {
    struct fbat_frontier frontier;
    fbat_frontier(store, &frontier);
    return frontier.visible;
}

static void choose_inputs(struct member *member, struct entry *entry) {
    struct test_random *random = &member->random;
    entry->is_batch = test_random_one_in(random, 3);
    entry->count = entry->is_batch ? test_random_between(random, 1, 4) : 1;
    for (size_t item = 0; item < entry->count; item++) {
        struct model_input *input = &entry->inputs[item];
        if (test_random_one_in(random, 4)) {
            *input = member->party->pool[test_random_below(random, POOL)];
            if (test_random_one_in(random, 10))
                input->content_seed++; /* the same key for another event */
            continue;
        }
        *input = model_random_input(random);
        if (test_random_one_in(random, 3)) {
            input->expect = (enum fbat_expect)test_random_below(random, 4);
            input->expected_revision = visible_now(member->party->store) / MODEL_STREAMS + test_random_below(random, 4);
        }
        if (item > 0 && test_random_one_in(random, 4)) {
            input->causation_item = (uint32_t)test_random_between(random, 1, item);
            memset(&input->causation, 0, sizeof input->causation);
        }
    }
}

/* Half of the expectations are about what the stream is at, as far as this thread can know. */
static void aim_expectation(struct member *member, struct model_input *input) {
    struct fbat_event event;
    if (input->expect != FBAT_EXPECT_REVISION || test_random_one_in(&member->random, 2))
        return;
    input->expected_revision = 0;
    if (fbat_latest(member->party->store, fbat_text(model_entity(input->entity)), fbat_text(model_scope(input->scope)),
                    &event, NULL) != FBAT_OK)
        return;
    input->expected_revision = event.revision;
    fbat_event_release(&event);
}

static void append_entry(struct member *member, struct entry *entry) {
    struct fbat_new_event events[MODEL_BATCH_MAX];
    struct fbat_error error = {0};
    struct fbat_store *store = member->party->store;
    choose_inputs(member, entry);
    for (size_t item = 0; item < entry->count; item++) {
        aim_expectation(member, &entry->inputs[item]);
        events[item] = model_event_of(&entry->inputs[item], &member->rooms[item]);
    }
    entry->visible_before = visible_now(store);
    entry->status = entry->is_batch ? fbat_append_batch(store, events, entry->count, NULL, entry->receipts, &error)
                                    : fbat_append(store, events, NULL, entry->receipts, &error);
    entry->visible_after = visible_now(store);
    entry->actual_revision = error.actual_revision;
    entry->sequence = error.sequence;
    entry->item = error.item;
}

/* The latest event of a stream. */
static void read_entry(struct member *member, struct entry *entry) {
    struct fbat_store *store = member->party->store;
    unsigned entity = (unsigned)test_random_below(&member->random, MODEL_ENTITIES);
    unsigned scope = (unsigned)test_random_below(&member->random, MODEL_SCOPES);
    struct fbat_event event;
    entry->read_stream = entity * MODEL_SCOPES + scope;
    entry->visible_before = visible_now(store);
    entry->status = fbat_latest(store, fbat_text(model_entity(entity)), fbat_text(model_scope(scope)), &event, NULL);
    entry->visible_after = visible_now(store);
    if (entry->status < 0)
        return;
    entry->sequence = event.sequence;
    entry->read_revision = event.revision;
    memcpy(entry->read_hash, event.hash, sizeof entry->read_hash);
    fbat_event_release(&event);
}

static void *take_part(void *user) {
    struct member *member = user;
    for (uint64_t step = 0; step < member->party->steps; step++) {
        if (test_random_one_in(&member->random, 3))
            read_entry(member, &member->entries[step]);
        else
            append_entry(member, &member->entries[step]);
    }
    return NULL;
}

/* ---- the order of it all ---- */

static int compare_places(const void *a, const void *b) {
    const struct entry *first = *(const struct entry *const *)a, *second = *(const struct entry *const *)b;
    uint64_t left = first->receipts[0].sequence, right = second->receipts[0].sequence;
    return left < right ? -1 : left > right;
}

static bool was_written(const struct entry *entry) {
    return entry->count > 0 && entry->status == FBAT_OK && !entry->receipts[0].replayed;
}

/* All appends that wrote, by their sequences. */
static size_t collect_written(const struct member *members, int threads, uint64_t steps, struct entry **written) {
    size_t count = 0;
    for (int at = 0; at < threads; at++)
        for (uint64_t step = 0; step < steps; step++)
            if (was_written(&members[at].entries[step]))
                written[count++] = &members[at].entries[step];
    qsort(written, count, sizeof *written, compare_places);
    return count;
}

static void replay_in_order(struct model *model, struct entry **written, size_t count) {
    for (size_t at = 0; at < count; at++) {
        const struct entry *entry = written[at];
        struct model_answer answer = model_predict(model, entry->inputs, entry->count);
        assert_int_equal(answer.status, FBAT_OK);
        assert_false(answer.replayed);
        for (size_t item = 0; item < entry->count; item++) {
            assert_int_equal(entry->receipts[item].sequence, answer.sequences[item]);
            assert_int_equal(entry->receipts[item].revision, answer.revisions[item]);
        }
        /* It happened during the call. */
        assert_true(entry->receipts[0].sequence > entry->visible_before);
        assert_true(entry->receipts[entry->count - 1].sequence <= entry->visible_after);
        model_commit(model, entry->inputs, entry->count, entry->receipts);
    }
}

/* The revision a stream was at when everything up to a sequence was visible. */
static uint64_t revision_at(const struct model *model, uint32_t stream, uint64_t sequence) {
    for (; sequence > 0; sequence--)
        if (model->events[sequence - 1].stream == stream)
            return model->events[sequence - 1].revision;
    return 0;
}

static void check_refused(const struct model *model, const struct entry *entry) {
    const struct model_input *input = &entry->inputs[entry->is_batch ? entry->item : 0];
    uint32_t stream = (uint32_t)input->entity * MODEL_SCOPES + input->scope;
    uint64_t before_in_batch = 0;
    for (size_t item = 0; entry->is_batch && item < entry->item; item++)
        before_in_batch += (uint32_t)entry->inputs[item].entity * MODEL_SCOPES + entry->inputs[item].scope == stream;
    assert_true(entry->actual_revision >= before_in_batch);
    assert_in_range(entry->actual_revision - before_in_batch, revision_at(model, stream, entry->visible_before),
                    revision_at(model, stream, entry->visible_after));
    switch (input->expect) {
    case FBAT_EXPECT_NONE: assert_true(entry->actual_revision > 0); break;
    case FBAT_EXPECT_EXISTS: assert_int_equal(entry->actual_revision, 0); break;
    case FBAT_EXPECT_REVISION: assert_true(entry->actual_revision != input->expected_revision); break;
    case FBAT_EXPECT_ANY: fail_msg("refused without an expectation");
    }
}

static void check_replayed(const struct model *model, const struct entry *entry) {
    for (size_t item = 0; item < entry->count; item++) {
        const struct fbat_receipt *receipt = &entry->receipts[item];
        assert_int_equal(receipt->replayed, 1);
        assert_int_equal(receipt->sequence, model_find_id(model, &entry->inputs[item].id));
        assert_true(receipt->sequence <= entry->visible_after);
        const struct model_event *known = &model->events[receipt->sequence - 1];
        assert_int_equal(receipt->revision, known->revision);
        assert_memory_equal(receipt->hash, known->hash, 32);
    }
}

/* The key of the item at fault: in the store by the end of the call, or twice in the batch. */
static void check_conflict(const struct model *model, const struct entry *entry) {
    const struct fbat_id *id = &entry->inputs[entry->is_batch ? entry->item : 0].id;
    assert_false(fbat_id_is_none(id));
    if (entry->sequence > 0) {
        assert_int_equal(entry->sequence, model_find_id(model, id));
        assert_true(entry->sequence <= entry->visible_after);
        return;
    }
    bool twice = false;
    for (size_t item = 0; item < entry->item; item++)
        twice |= memcmp(&entry->inputs[item].id, id, sizeof *id) == 0;
    assert_true(twice);
}

static void check_read(const struct model *model, const struct entry *entry) {
    uint64_t least = revision_at(model, entry->read_stream, entry->visible_before);
    uint64_t most = revision_at(model, entry->read_stream, entry->visible_after);
    if (entry->status == FBAT_ERR_NOT_FOUND) {
        assert_int_equal(least, 0);
        return;
    }
    assert_int_equal(entry->status, FBAT_OK);
    assert_in_range(entry->read_revision, least, most);
    const struct model_event *known = &model->events[entry->sequence - 1];
    assert_int_equal(known->stream, entry->read_stream);
    assert_int_equal(known->revision, entry->read_revision);
    assert_memory_equal(known->hash, entry->read_hash, 32);
}

static void check_entry(const struct model *model, const struct entry *entry) {
    if (entry->count == 0) {
        check_read(model, entry);
        return;
    }
    switch (entry->status) {
    case FBAT_OK:
        if (entry->receipts[0].replayed)
            check_replayed(model, entry);
        break;
    case FBAT_ERR_REVISION: check_refused(model, entry); break;
    case FBAT_ERR_IDEMPOTENCY_CONFLICT: check_conflict(model, entry); break;
    case FBAT_ERR_IDEMPOTENCY_PARTIAL:
        assert_in_range(model_find_id(model, &entry->inputs[entry->item].id), 1, entry->visible_after);
        break;
    default: fail_msg("%s", fbat_status_name(entry->status));
    }
}

/* ---- runs ---- */

static void compare_with_store(const struct model *model, struct fbat_store *store) {
    struct fbat_error error;
    assert_int_equal(visible_now(store), model->count);
    for (uint64_t sequence = 1; sequence <= model->count; sequence++) {
        struct fbat_event event;
        assert_int_equal(fbat_get_by_sequence(store, sequence, &event, &error), FBAT_OK);
        const char *difference = model_difference(model, sequence, &event);
        if (difference)
            fail_msg("sequence %llu differs in %s", (unsigned long long)sequence, difference);
        fbat_event_release(&event);
    }
}

static void check_order(struct party *party, const struct member *members, int threads) {
    struct model model;
    struct entry **written = calloc((size_t)party->steps * (size_t)threads, sizeof *written);
    assert_non_null(written);
    model_init(&model);
    size_t count = collect_written(members, threads, party->steps, written);
    replay_in_order(&model, written, count);
    for (int at = 0; at < threads; at++)
        for (uint64_t step = 0; step < party->steps; step++)
            check_entry(&model, &members[at].entries[step]);
    compare_with_store(&model, party->store);
    model_deinit(&model);
    free(written);
}

static void run_threads(struct party *party, int threads) {
    static struct member members[THREADS_MAX];
    for (int at = 0; at < POOL; at++) {
        struct test_random random = test_random_init(party->seed * 1000 + (uint64_t)at);
        party->pool[at] = model_random_input(&random);
        test_random_fill(&random, party->pool[at].id.bytes, sizeof party->pool[at].id.bytes);
    }
    for (int at = 0; at < threads; at++) {
        members[at].party = party;
        members[at].random = test_random_init(party->seed * 100 + (uint64_t)at);
        members[at].entries = calloc(party->steps, sizeof *members[at].entries);
        assert_non_null(members[at].entries);
    }
    for (int at = 0; at < threads; at++)
        assert_int_equal(pthread_create(&members[at].thread, NULL, take_part, &members[at]), 0);
    for (int at = 0; at < threads; at++)
        pthread_join(members[at].thread, NULL);
    check_order(party, members, threads);
    for (int at = 0; at < threads; at++)
        free(members[at].entries);
}

static void run_party(uint64_t seed, int threads, uint64_t segment_max_bytes) {
    char root[TEST_PATH_SIZE] = "/dev/shm/fbat-test-XXXXXX";
    assert_true(mkdtemp(root) || test_temp_dir(root, sizeof root));
    struct party *party = calloc(1, sizeof *party);
    assert_non_null(party);
    struct fbat_config config;
    struct fbat_error error;
    struct fbat_check_report report;
    fbat_config_init(&config, root);
    config.segment_max_bytes = segment_max_bytes;
    config.sync.every_n_events = 50;
    party->seed = seed;
    party->steps = 250;
    assert_int_equal(fbat_open(&config, &party->store, &error), FBAT_OK);
    run_threads(party, threads);
    assert_int_equal(fbat_close(party->store, &error), FBAT_OK);
    assert_int_equal(fbat_check(root, NULL, &report, &error), FBAT_OK);
    assert_int_equal(report.findings, 0);
    assert_true(test_remove_tree(root));
    free(party);
}

static void answers_of_many_threads_have_one_order(void **state) {
    (void)state;
    static const uint64_t segment_sizes[] = {256 << 20, 30 << 10, 4 << 20};
    uint64_t rounds = test_seed_is_set() ? 1 : test_scaled(3);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t seed = test_seed(500 + round);
        print_message("seed %llu; FBAT_TEST_SEED=%llu tests/model/test_linearised replays it, as far as threads do\n",
                      (unsigned long long)seed, (unsigned long long)seed);
        for (int threads = 1; threads <= THREADS_MAX; threads++)
            run_party(seed, threads, segment_sizes[(round + (uint64_t)threads) % 3]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_many_threads_have_one_order),
    };
    return cmocka_run_group_tests_name("model: several threads", tests, NULL, NULL);
}
