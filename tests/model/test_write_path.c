/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole write path against the model: one to eight threads append in every way there is, and read, in several
 * lives of one store with changing configurations; lives end with a close, with tickets or a fence left open, or with
 * a death. Afterwards there must be one order of everything in which each answer is right (history.h).
 *
 * A death is store_abandon: nothing is synced, cut or written, as after a kill.
 *
 * Thread rule: the main thread asserts, after all others have ended.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/handle.h"
#include "history.h"
#include "store/store.h"

enum { LIVES = 4, STEPS = 70, FAULTS_ONE_IN = 12 };

struct run {
    struct test_random random;
    uint64_t seed;
    char root[TEST_PATH_SIZE];
    struct rough_os rough;
    struct party party;
    struct caller *callers[CALLERS_MAX];
    size_t caller_count;
    uint64_t events; /* there must be, at the next opening */
    bool clean;      /* the last life ended with a close */
    bool faults;     /* syncs and writes fail now and then */
};

/* ---- lives ---- */

static void vary_config(struct run *run) {
    static const uint64_t segment_sizes[] = {1, 6 << 10, 30 << 10, 256 << 20};
    static const uint32_t groups[] = {0, 1, 5}, capacities[] = {1, 3, 16, 4096}, counts[] = {1, 7, 1000};
    struct fbat_config *config = &run->party.config;
    config->segment_max_bytes = segment_sizes[test_random_below(&run->random, 4)];
    config->batch.group_commit_max_batch = groups[test_random_below(&run->random, 3)];
    config->writer.channel_capacity = capacities[test_random_below(&run->random, 4)];
    config->writer.pressure_retry_threshold_pct = (uint32_t)test_random_between(&run->random, 1, 100);
    config->writer.shutdown_drain_limit = (uint32_t)test_random_below(&run->random, 20);
    config->sync.every_n_events = counts[test_random_below(&run->random, 3)];
    config->sync.max_delay_ms = (uint32_t)test_random_below(&run->random, 2);
    config->sync.mode = test_random_one_in(&run->random, 2) ? FBAT_SYNC_ALL : FBAT_SYNC_DATA;
    config->writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    config->writer.restart_policy.max_restarts = 1000000;
    config->writer.restart_policy.within_ms = 1000;
}

static void refill_pool(struct run *run) {
    for (size_t at = 0; at < POOL_MAX; at++) {
        struct model_input *input = &run->party.pool[at];
        *input = model_random_input(&run->random);
        test_random_fill(&run->random, input->id.bytes, sizeof input->id.bytes);
    }
}

static void open_life(struct run *run) {
    struct fbat_error error;
    struct fbat_open_report report;
    vary_config(run);
    refill_pool(run);
    if (store_open(&run->rough.os, &run->party.config, &run->party.store, &error) != FBAT_OK)
        fail_msg("opening: %s", error.message);
    handle_adopt(run->party.store);
    fbat_open_report(run->party.store, &report);
    assert_int_equal(report.events_total, run->events);
    /* A segment that was given up leaves a footer to be made, which is the next opening's work. */
    assert_true(report.clean == run->clean || (run->faults && !report.clean));
    if (fbat_open_read_only(&run->party.config, &run->party.follower, &error) != FBAT_OK)
        fail_msg("opening read-only: %s", error.message);
}

static void live(struct run *run) {
    atomic_store(&run->rough.sync_yields, (uint32_t)test_random_below(&run->random, 20));
    atomic_store(&run->rough.fail_one_in, run->faults ? FAULTS_ONE_IN : 0);
    for (size_t at = 0; at < run->caller_count; at++)
        assert_int_equal(pthread_create(&run->callers[at]->thread, NULL, caller_run, run->callers[at]), 0);
    for (size_t at = 0; at < run->caller_count; at++)
        pthread_join(run->callers[at]->thread, NULL);
    atomic_store(&run->rough.fail_one_in, 0);
}

static void collect_all(struct run *run, const struct moment *over_close) {
    for (size_t at = 0; at < run->caller_count; at++)
        caller_collect(run->callers[at], 0, over_close);
}

/* With some tickets still open, which closing answers. */
static void close_life(struct run *run, struct fbat_fence *fence) {
    struct fbat_error error;
    struct moment last = caller_moment(run->callers[0], false, NULL);
    if (fbat_close(run->party.store, &error) != FBAT_OK)
        fail_msg("closing: %s", error.message);
    last.faults = atomic_load(&run->rough.faults);
    last.restarts = atomic_load(&run->party.restarts);
    last.fences_begun = atomic_load(&run->party.fences_begun);
    struct fbat_store *reader;
    if (fbat_open_read_only(&run->party.config, &reader, &error) != FBAT_OK)
        fail_msg("opening read-only: %s", error.message);
    struct fbat_frontier frontier;
    fbat_frontier(reader, &frontier);
    last.frontier.visible = last.frontier.durable = run->events = frontier.visible;
    assert_int_equal(fbat_close(reader, &error), FBAT_OK);
    caller_destroy_fence(run->callers[0], fence);
    collect_all(run, &last);
    run->clean = true;
}

/* Everything was answered, so that nobody is told of a failure for want of a process. */
static void abandon_life(struct run *run, struct fbat_fence *fence) {
    run->events = caller_moment(run->callers[0], false, NULL).frontier.visible;
    store_abandon(run->party.store);
    caller_destroy_fence(run->callers[0], fence);
    run->clean = false;
}

static void end_life(struct run *run) {
    struct fbat_error error;
    struct fbat_fence *fence = NULL;
    bool death = test_random_one_in(&run->random, 2), fence_open = test_random_one_in(&run->random, 3);
    if (death || fence_open) {
        collect_all(run, NULL);
        caller_barrier(run->callers[0]);
    }
    if (fence_open)
        fence = caller_leave_fence_open(run->callers[0]);
    assert_int_equal(fbat_close(run->party.follower, &error), FBAT_OK);
    if (death)
        abandon_life(run, fence);
    else
        close_life(run, fence);
}

/* ---- runs ---- */

static void check_whole(struct run *run) {
    struct fbat_check_report report;
    struct fbat_error error;
    if (fbat_check(run->root, NULL, &report, &error) != FBAT_OK)
        fail_msg("checking: %s", error.message);
    assert_int_equal(report.findings, 0);
    assert_int_equal(report.events, run->events);
}

static void judge(struct run *run) {
    struct fbat_error error;
    open_life(run);
    verdict_of(run->callers, run->caller_count, run->party.store);
    assert_int_equal(fbat_close(run->party.follower, &error), FBAT_OK);
    assert_int_equal(fbat_close(run->party.store, &error), FBAT_OK);
    check_whole(run);
}

static struct run *create_run(uint64_t seed, size_t callers, bool faults) {
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    run->seed = seed;
    run->faults = faults;
    run->caller_count = callers;
    run->random = test_random_init(seed * 100 + callers);
    snprintf(run->root, sizeof run->root, "/dev/shm/fbat-test-XXXXXX");
    assert_true(mkdtemp(run->root) || test_temp_dir(run->root, sizeof run->root));
    rough_os_init(&run->rough, seed);
    run->party.rough = &run->rough;
    fbat_config_init(&run->party.config, run->root);
    run->party.config.log = party_log;
    run->party.config.log_user = &run->party;
    for (size_t at = 0; at < callers; at++) {
        struct caller *caller = run->callers[at] = calloc(1, sizeof *caller);
        assert_non_null(caller);
        caller->party = &run->party;
        caller->steps = STEPS;
        caller->random = test_random_init(test_random_u64(&run->random));
    }
    return run;
}

static void destroy_run(struct run *run) {
    assert_true(test_remove_tree(run->root));
    for (size_t at = 0; at < run->caller_count; at++) {
        for (size_t number = 0; number < run->callers[at]->call_count; number++)
            free(run->callers[at]->calls[number].fence);
        free(run->callers[at]);
    }
    free(run);
}

static void run_seed(uint64_t seed, size_t callers, bool faults) {
    struct run *run = create_run(seed, callers, faults);
    for (int life = 0; life < LIVES; life++) {
        open_life(run);
        live(run);
        end_life(run);
        check_whole(run);
    }
    judge(run);
    destroy_run(run);
}

static void run_seeds(uint64_t first, uint64_t rounds, bool faults) {
    rounds = test_seed_is_set() ? 1 : test_scaled(rounds);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t seed = test_seed(first + round);
        print_message("seed %llu; FBAT_TEST_SEED=%llu tests/model/test_write_path replays it, as far as threads do\n",
                      (unsigned long long)seed, (unsigned long long)seed);
        for (size_t callers = 1; callers <= CALLERS_MAX; callers++)
            run_seed(seed, callers, faults);
    }
}

static void every_answer_has_its_place_in_one_order(void **state) {
    (void)state;
    run_seeds(7000, 3, false);
}

static void every_answer_has_its_place_though_syncs_and_writes_fail(void **state) {
    (void)state;
    run_seeds(8000, 2, true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_answer_has_its_place_in_one_order),
        cmocka_unit_test(every_answer_has_its_place_though_syncs_and_writes_fail),
    };
    return cmocka_run_group_tests_name("model: the write path", tests, NULL, NULL);
}
