/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything at once in one process, for the sanitizers: authors of single events, batches, fences and tickets, syncs that
 * fail so that the writer moves to another segment, rotation and sealing of small segments, closing and opening again;
 * beside it witnesses on the writer's handle and on handles that follow, some of them opened anew all the time, and keepers
 * who hold iterators and events for long. In the end all of them have seen the log that is there.
 *
 * Thread rule: threads report by complaints; only the main thread asserts, when all of them have ended.
 */
#include "fixture.h"

#include <inttypes.h>
#include <sched.h>

#include "witness.h"

enum {
    AUTHORS = 3,
    INSIDERS = 3,  /* on the writer's handle; the last one is a keeper */
    FOLLOWERS = 4, /* on handles of their own, through all rounds; the last one is a keeper */
    ROUNDS = 4,
    OPERATIONS = 300, /* of an author in a round */
    KEPT = 12,        /* by a keeper at a time */
};

struct load {
    struct fixture *fixture;
    struct fbat_config reader_config; /* the writer's changes from round to round */
    bool syncs_fail;
    atomic_bool round_over, all_over;
};

struct worker {
    struct actor actor;
    struct load *load;
    struct author author;
    struct witness witness;
    struct test_random random;
    uint32_t number;
    int status; /* an author's failure */
    struct fbat_error error;
};

static struct load load;
static struct worker authors[AUTHORS], insiders[INSIDERS], followers[FOLLOWERS];

/* ---- authors ---- */

static bool may_fail(int status) {
    return load.syncs_fail && (status == FBAT_ERR_IO || status == FBAT_ERR_CANCELLED);
}

static void write_round(void *user) {
    struct worker *worker = user;
    for (int operation = 0; operation < OPERATIONS && worker->status == FBAT_OK; operation++) {
        if (load.syncs_fail && worker->number == 0 && test_random_one_in(&worker->random, 12))
            atomic_store(&watched_disk.syncs_to_fail, 1);
        int status = author_act(&worker->author, load.fixture->store, &worker->error);
        worker->status = may_fail(status) ? FBAT_OK : status;
    }
}

/* ---- witnesses ---- */

static bool look_around(struct worker *worker, struct fbat_store *handle) {
    bool step = test_random_one_in(&worker->random, 2);
    bool good = (step ? witness_step : witness_look)(&worker->witness, handle);
    if (good && test_random_one_in(&worker->random, 3))
        good = witness_recall(&worker->witness, handle, &worker->random);
    if (good && test_random_one_in(&worker->random, 20))
        good = witness_read_stream(&worker->witness, handle, &worker->random);
    sched_yield();
    return good;
}

static void witness_round(void *user) {
    struct worker *worker = user;
    bool over = false, good = true;
    while (good && !over) {
        over = atomic_load(&load.round_over);
        good = look_around(worker, load.fixture->store);
    }
}

static bool open_reader(struct worker *worker, struct fbat_store **out_reader) {
    int status = fbat_open_read_only(&load.reader_config, out_reader, &worker->error);
    if (status != FBAT_OK)
        snprintf(worker->witness.complaint, sizeof worker->witness.complaint, "opening: %s: %.300s",
                 fbat_status_name(status), worker->error.message);
    return status == FBAT_OK;
}

/* The first one stays on one handle. */
static void follow_all_rounds(void *user) {
    struct worker *worker = user;
    struct fbat_store *reader = NULL;
    bool over = false, good = open_reader(worker, &reader);
    while (good && !over) {
        over = atomic_load(&load.all_over);
        good = look_around(worker, reader);
        if (good && worker->number > 0 && test_random_one_in(&worker->random, 20)) {
            (void)fbat_close(reader, NULL);
            good = open_reader(worker, &reader);
        }
    }
    if (good || worker->witness.seen > 0)
        (void)fbat_close(reader, NULL);
}

/* ---- keepers ---- */

struct kept {
    struct fbat_iterator *iterator; /* NULL: nothing is kept here */
    struct fbat_event event;
};

/* What an iterator gives is whole however long ago it was begun. */
static bool give_up(struct worker *worker, struct kept *kept) {
    struct fbat_event event;
    bool good = true;
    int status = FBAT_END, count = 0;
    if (!kept->iterator)
        return true;
    while (good && count++ < 40 && (status = fbat_iterator_next(kept->iterator, &event, &worker->error)) == FBAT_OK)
        good = witness_believes(&worker->witness, &event);
    fbat_iterator_close(kept->iterator);
    kept->iterator = NULL;
    good = good && status >= 0 && witness_believes(&worker->witness, &kept->event);
    fbat_event_release(&kept->event);
    return good;
}

/* An iterator from anywhere, and the first event that it gives. */
static bool keep(struct worker *worker, struct fbat_store *handle, struct kept *kept) {
    struct fbat_frontier frontier;
    fbat_frontier(handle, &frontier);
    if (frontier.visible == 0)
        return true;
    const struct fbat_region region = {.struct_size = sizeof region,
                                       .sequence_min = test_random_between(&worker->random, 1, frontier.visible)};
    const struct fbat_query_options options = {.struct_size = sizeof options,
                                               .direction = test_random_one_in(&worker->random, 2) ? FBAT_FORWARD
                                                                                                   : FBAT_BACKWARD};
    if (fbat_query(handle, &region, &options, &kept->iterator, &worker->error) != FBAT_OK)
        return false;
    if (fbat_iterator_next(kept->iterator, &kept->event, &worker->error) != FBAT_OK)
        return false;
    fbat_event_retain(&kept->event, handle);
    return kept->event.pin != NULL;
}

static void keep_all_along(struct worker *worker, struct fbat_store *handle, atomic_bool *over) {
    struct kept kept[KEPT] = {0};
    bool good = true;
    while (good && !atomic_load(over)) {
        struct kept *one = &kept[test_random_below(&worker->random, KEPT)];
        good = give_up(worker, one) && keep(worker, handle, one);
        sched_yield();
    }
    for (int at = 0; at < KEPT; at++)
        good = give_up(worker, &kept[at]) && good;
    if (!good && !worker->witness.complaint[0])
        snprintf(worker->witness.complaint, sizeof worker->witness.complaint, "keeping: %.300s", worker->error.message);
}

static void keep_in_round(void *user) {
    keep_all_along(user, load.fixture->store, &load.round_over);
}

static void keep_in_all_rounds(void *user) {
    struct fbat_store *reader;
    if (!open_reader(user, &reader))
        return;
    keep_all_along(user, reader, &load.all_over);
    (void)fbat_close(reader, NULL);
}

/* ---- the run ---- */

static void prepare_workers(struct worker *workers, uint32_t count, struct test_random *random) {
    memset(workers, 0, count * sizeof *workers);
    for (uint32_t at = 0; at < count; at++) {
        workers[at].random = test_random_init(test_random_u64(random));
        workers[at].number = at;
        snprintf(workers[at].error.message, sizeof workers[at].error.message, "an event is gone");
        witness_init(&workers[at].witness);
    }
}

static void vary_config(struct fbat_config *config, struct test_random *random) {
    static const uint64_t segment_sizes[] = {6 << 10, 12 << 10, 40 << 10};
    static const uint32_t counts[] = {1, 20, 1000};
    config->segment_max_bytes = segment_sizes[test_random_below(random, 3)];
    config->sync.every_n_events = counts[test_random_below(random, 3)];
    config->sync.max_delay_ms = 1;
    config->batch.group_commit_max_batch = (uint32_t)test_random_below(random, 2);
    config->writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    config->writer.restart_policy.max_restarts = 10000;
    config->writer.restart_policy.within_ms = 600000;
}

static void start_round(uint32_t round, struct test_random *random) {
    atomic_store(&load.round_over, false);
    atomic_store(&watched_disk.syncs_to_fail, 0);
    load.syncs_fail = round % 2;
    for (uint32_t at = 0; at < AUTHORS; at++) {
        author_init(&authors[at].author, test_random_u64(random), round, at);
        authors[at].author.fences = at == 0;
        authors[at].author.large_bytes = at == 1 ? 50 << 10 : 0;
        actor_start(&authors[at].actor, write_round, &authors[at]);
    }
    for (uint32_t at = 0; at < INSIDERS; at++)
        actor_start(&insiders[at].actor, at + 1 < INSIDERS ? witness_round : keep_in_round, &insiders[at]);
}

static void end_round(void) {
    for (uint32_t at = 0; at < AUTHORS; at++) {
        actor_join(&authors[at].actor);
        author_deinit(&authors[at].author);
    }
    atomic_store(&watched_disk.syncs_to_fail, 0);
    atomic_store(&load.round_over, true);
    for (uint32_t at = 0; at < INSIDERS; at++)
        actor_join(&insiders[at].actor);
}

static bool anybody_complains(void) {
    bool complaint = false;
    for (uint32_t at = 0; at < AUTHORS; at++) {
        if (authors[at].status != FBAT_OK)
            print_error("author %" PRIu32 ": %s\n", at, authors[at].error.message);
        complaint |= authors[at].status != FBAT_OK;
    }
    for (uint32_t at = 0; at < INSIDERS + FOLLOWERS; at++) {
        const struct worker *worker = at < INSIDERS ? &insiders[at] : &followers[at - INSIDERS];
        if (worker->witness.complaint[0])
            print_error("witness %" PRIu32 ": %s\n", at, worker->witness.complaint);
        complaint |= worker->witness.complaint[0] != 0;
    }
    return complaint;
}

static void run_rounds(struct fixture *fixture, uint64_t rounds, struct test_random *random) {
    for (uint32_t round = 0; round < rounds; round++) {
        vary_config(&fixture->config, random);
        open_store_watched(fixture);
        if (round == 0) { /* after there is a store */
            for (uint32_t at = 0; at < FOLLOWERS; at++)
                actor_start(&followers[at].actor, at + 1 < FOLLOWERS ? follow_all_rounds : keep_in_all_rounds,
                            &followers[at]);
        }
        start_round(round, random);
        end_round();
        struct fbat_store *store = fixture->store;
        fixture->store = NULL;
        if (fbat_close(store, &fault) != FBAT_OK)
            snprintf(insiders[0].witness.complaint, sizeof insiders[0].witness.complaint, "closing: %.300s",
                     fault.message);
        if (anybody_complains())
            break;
    }
    atomic_store(&load.all_over, true);
    for (uint32_t at = 0; at < FOLLOWERS; at++)
        actor_join(&followers[at].actor);
}

/* What the witnesses have seen is what the next writer finds. */
static void compare_witnesses(struct fixture *fixture) {
    struct witness truth;
    witness_init(&truth);
    open_store(fixture);
    if (!witness_look(&truth, fixture->store))
        fail_msg("%s", truth.complaint);
    close_store(fixture);
    assert_whole(fixture->dir);
    for (uint32_t at = 0; at + 1 < FOLLOWERS; at++) {
        assert_int_equal(followers[at].witness.seen, truth.seen);
        assert_int_equal(followers[at].witness.digest, truth.digest);
    }
    for (uint32_t at = 0; at + 1 < INSIDERS; at++) {
        assert_int_equal(insiders[at].witness.seen, truth.seen);
        assert_int_equal(insiders[at].witness.digest, truth.digest);
    }
    print_message("%" PRIu64 " events\n", truth.seen);
    witness_deinit(&truth);
}

static void run_mixed_load(struct fixture *fixture, uint64_t rounds, uint64_t seed) {
    seed = test_seed(seed);
    print_message("seed %" PRIu64 "; FBAT_TEST_SEED=%" PRIu64
                  " tests/api/test_mixed_load replays it, as far as threads do\n",
                  seed, seed);
    struct test_random random = test_random_init(seed);
    memset(&load, 0, sizeof load);
    load.fixture = fixture;
    load.reader_config = fixture->config;
    prepare_workers(authors, AUTHORS, &random);
    prepare_workers(insiders, INSIDERS, &random);
    prepare_workers(followers, FOLLOWERS, &random);
    run_rounds(fixture, rounds, &random);
    assert_false(anybody_complains());
    compare_witnesses(fixture);
    for (uint32_t at = 0; at < INSIDERS; at++)
        witness_deinit(&insiders[at].witness);
    for (uint32_t at = 0; at < FOLLOWERS; at++)
        witness_deinit(&followers[at].witness);
}

static void readers_and_writers_agree_under_everything_at_once(void **state) {
    run_mixed_load(*state, test_scaled(ROUNDS), 9401);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(readers_and_writers_agree_under_everything_at_once),
    };
    return cmocka_run_group_tests_name("api: mixed load", tests, NULL, NULL);
}
