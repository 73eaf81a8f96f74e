/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The named points of the write path (config.fault_injector): which ones a call passes and in which order; what a failure
 * at each of them leaves, namely nothing; that those marked * in the header cannot fail; and that a process may die at any.
 *
 * Only builds with test hooks have them: presets debug, asan, tsan. In others each test is skipped.
 */
#include "fixture.h"

#include <unistd.h>

/* A child of a process with threads starts one here: unusual for the thread sanitizer, but allowed. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void) {
    return "die_after_fork=0";
}

/* ---- the injector ---- */

enum { DIED_AT_POINT = 77, BATCH_ITEMS = 3 };

struct rule {
    const char *point;    /* that is to fail; NULL: none is */
    uint64_t passes_left; /* of it, before that */
    uint64_t times;       /* it fails */
    uint64_t fired;       /* it has failed */
};

static struct injector {
    pthread_mutex_t lock; /* it is called from the store's threads too */
    char passed[8192];    /* "point detail, point detail" */
    struct rule rules[2];
    uint64_t points_left; /* of any name, before the process dies there; 0: it does not */
} injector = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note_passage(const char *point, uint64_t detail) {
    size_t used = strlen(injector.passed);
    int length = snprintf(injector.passed + used, sizeof injector.passed - used, "%s%s %llu", used ? ", " : "", point,
                          (unsigned long long)detail);
    if (length < 0 || (size_t)length >= sizeof injector.passed - used)
        abort();
}

static bool is_to_fail(struct rule *rule, const char *point) {
    if (!rule->point || strcmp(rule->point, point) != 0 || rule->times == 0)
        return false;
    if (rule->passes_left > 0) {
        rule->passes_left--;
        return false;
    }
    rule->times--;
    rule->fired++;
    return true;
}

static int inject(void *user, const char *point, uint64_t detail) {
    (void)user;
    pthread_mutex_lock(&injector.lock);
    if (injector.points_left > 0 && --injector.points_left == 0)
        _exit(DIED_AT_POINT);
    note_passage(point, detail);
    bool fails = is_to_fail(&injector.rules[0], point) || is_to_fail(&injector.rules[1], point);
    pthread_mutex_unlock(&injector.lock);
    return fails;
}

/* From here on nothing is passed yet, and this point, when it was passed so often, fails so many times. */
static void fail_at(const char *point, uint64_t passes, uint64_t times) {
    pthread_mutex_lock(&injector.lock);
    injector.passed[0] = '\0';
    injector.rules[0] = (struct rule){.point = point, .passes_left = passes, .times = times};
    injector.rules[1] = (struct rule){.point = NULL};
    pthread_mutex_unlock(&injector.lock);
}

/* And another point too, from the start. */
static void fail_too_at(const char *point, uint64_t times) {
    pthread_mutex_lock(&injector.lock);
    injector.rules[1] = (struct rule){.point = point, .times = times};
    pthread_mutex_unlock(&injector.lock);
}

static void fail_nowhere(void) {
    fail_at(NULL, 0, 0);
}

static uint64_t times_fired(void) {
    pthread_mutex_lock(&injector.lock);
    uint64_t fired = injector.rules[0].fired;
    pthread_mutex_unlock(&injector.lock);
    return fired;
}

/* These points were passed since the last look, and no others. */
#define assert_passed(expected) check_passed((expected), __FILE__, __LINE__)
static void check_passed(const char *expected, const char *file, int line) {
    char passed[sizeof injector.passed];
    pthread_mutex_lock(&injector.lock);
    memcpy(passed, injector.passed, sizeof passed);
    injector.passed[0] = '\0';
    pthread_mutex_unlock(&injector.lock);
    if (strcmp(passed, expected) == 0)
        return;
    print_error("passed:   %s\nexpected: %s\n", passed, expected);
    _fail(file, line);
}

/* What an append of one event passes; the numbers as text. */
#define STAGED(first)                                                                                                  \
    "append.encode.before " first ", batch.item 0, append.encode.after " first ", append.write.before " first          \
    ", append.write.after " first
#define COMMIT_STAGED(first) "fence.commit.before " first ", append.write.before " first ", append.write.after " first
#define SYNCED(segment) "sync.before " segment ", sync.after " segment
#define PUBLISHED(first) "append.publish.before " first ", append.publish.after " first
#define ROTATED(segment) "rotation.before " segment ", rotation.created " segment ", rotation.after " segment
#define RESTARTED(from, to) "restart.before " from ", restart.copied " to ", restart.after " to

/* ---- stores ---- */

/* Nothing is synced that nobody asked for, and the writer may return as often as a test wants. */
static struct fixture *configured(void **state) {
    struct fixture *fixture = *state;
#ifndef FBAT_TEST_HOOKS
    print_message("this build has no fault injector; cmake -DFBAT_TEST_HOOKS=ON has, as in the preset debug\n");
    skip();
#endif
    fixture->config.sync.every_n_events = 1000000;
    fixture->config.sync.max_delay_ms = 0;
    fixture->config.writer.restart_policy.mode = FBAT_RESTART_BOUNDED;
    fixture->config.writer.restart_policy.max_restarts = 1000;
    fixture->config.writer.restart_policy.within_ms = 3600000;
    fixture->config.fault_injector = inject;
    fail_nowhere();
    return fixture;
}

/* With one event in it, durable: sequence 1, revision 1 of "one". */
static struct fixture *opened(void **state) {
    struct fixture *fixture = configured(state);
    open_store(fixture);
    const struct fbat_new_event event = event_keyed("before", "one", "before");
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    fail_nowhere();
    return fixture;
}

static struct fbat_fence *begin(struct fbat_store *store) {
    struct fbat_fence *fence;
    assert_ok(fbat_fence_begin(store, &fence, &fault));
    return fence;
}

static void fence_text(struct fbat_fence *fence, const char *entity, const char *payload) {
    const struct fbat_new_event event = event_keyed(payload, entity, payload);
    assert_ok(fbat_fence_append(fence, &event, NULL, NULL, &fault));
}

static bool has_key(struct fbat_store *store, const char *key) {
    const struct fbat_id id = id_of(key);
    struct fbat_event event;
    int status = fbat_get(store, &id, &event, &fault);
    if (status == FBAT_ERR_NOT_FOUND)
        return false;
    assert_ok(status);
    fbat_event_release(&event);
    return true;
}

static void assert_store_is_whole(struct fixture *fixture, uint64_t events) {
    fail_nowhere();
    reopen_store(fixture);
    assert_int_equal(count_events(fixture->store), events);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, events);
}

/* ---- which points, in which order ---- */

static void first_append_passes_a_rotation(void **state) {
    struct fixture *fixture = configured(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    open_store(fixture);
    assert_passed("");
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_passed(ROTATED("1") ", " STAGED("1") ", " PUBLISHED("1"));
}

static void written_append_passes_its_points_in_order(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_passed(STAGED("2") ", " PUBLISHED("2"));
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_passed(STAGED("3") ", " PUBLISHED("3"));
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_passed(SYNCED("1"));
}

static void durable_append_is_synced_before_it_is_published(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_passed(STAGED("2") ", " SYNCED("1") ", " PUBLISHED("2"));
}

static void batch_passes_a_point_for_each_item(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload"), batch[] = {event, event, event};
    assert_ok(fbat_append_batch(fixture->store, batch, 3, &level_durable, NULL, &fault));
    assert_passed("append.encode.before 2, batch.item 0, batch.item 1, batch.item 2, append.encode.after 2, "
                  "append.write.before 2, append.write.after 2, " SYNCED("1") ", " PUBLISHED("2"));
}

static void ticket_passes_the_points_of_a_blocking_append(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_ticket *ticket;
    assert_ok(fbat_submit(fixture->store, &event, &level_written, &ticket, &fault));
    ticket_done(ticket);
    assert_passed(STAGED("2") ", " PUBLISHED("2"));
    assert_ok(fbat_submit(fixture->store, &event, &level_durable, &ticket, &fault));
    ticket_done(ticket);
    assert_passed(STAGED("3") ", " SYNCED("1") ", " PUBLISHED("3"));
}

static void refused_append_passes_no_point(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_NONE, 0);
    assert_status(FBAT_ERR_REVISION, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    const struct fbat_new_event known = event_keyed("before", "one", "before");
    assert_ok(fbat_append(fixture->store, &known, &level_durable, NULL, &fault));
    assert_passed("");
}

static void fence_is_published_by_its_commit(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "a");
    fence_text(fence, "two", "b");
    assert_passed(STAGED("2") ", " STAGED("3"));
    assert_ok(fbat_fence_commit(fence, &level_written, &fault));
    assert_passed(COMMIT_STAGED("2") ", " PUBLISHED("2") ", fence.commit.after 2");
}

static void durable_commit_is_synced_before_it_is_published(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "a");
    assert_passed(STAGED("2"));
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    assert_passed(COMMIT_STAGED("2") ", " SYNCED("1") ", " PUBLISHED("2") ", fence.commit.after 2");
}

static void commit_of_nothing_passes_no_point(void **state) {
    struct fixture *fixture = opened(state);
    assert_ok(fbat_fence_commit(begin(fixture->store), &level_durable, &fault));
    assert_passed("");
}

static void cancelled_fence_passes_its_end(void **state) {
    struct fixture *fixture = opened(state);
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "a");
    assert_passed(STAGED("2"));
    fbat_fence_cancel(fence);
    assert_passed("fence.cancel 2");
}

static void rotation_syncs_the_old_segment_first(void **state) {
    struct fixture *fixture = configured(state);
    fixture->config.segment_max_bytes = 1; /* each frame has a segment of its own */
    open_store(fixture);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    fail_nowhere();
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_passed(SYNCED("1") ", " ROTATED("2") ", " STAGED("2") ", " SYNCED("2") ", " PUBLISHED("2"));
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_passed(ROTATED("3") ", " STAGED("3") ", " PUBLISHED("3"));
}

/* What waited is taken back before the tail is moved, and the append is not published. */
static void failed_sync_passes_a_restart(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    fail_at("sync.before", 0, 1);
    assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_passed(STAGED("2") ", sync.before 1, " RESTARTED("1", "2"));
    fail_at("sync.after", 0, 1);
    assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_passed(STAGED("2") ", " SYNCED("2") ", " RESTARTED("2", "3"));
    assert_ok(fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
    assert_passed(STAGED("2") ", " SYNCED("3") ", " PUBLISHED("2"));
}

/* A failed write takes nothing with it that was written before: that is synced where it stands. */
static void failed_write_syncs_what_is_before_it_and_passes_a_restart(void **state) {
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    assert_ok(fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    fail_at("append.write.after", 0, 1);
    assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, &level_written, NULL, &fault));
    assert_passed(STAGED("3") ", " SYNCED("1") ", " RESTARTED("1", "2"));
    assert_int_equal(frontier_now(fixture->store).durable, 2);
}

static void failed_sync_cancels_the_open_fence_before_the_restart(void **state) {
    struct fixture *fixture = opened(state);
    append_text(fixture->store, "one", "scope", "written");
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "a");
    fail_at("sync.before", 0, 1);
    assert_ok(fbat_sync(fixture->store, &fault)); /* in the new segment */
    assert_passed("sync.before 1, fence.cancel 3, " RESTARTED("1", "2"));
    assert_status(FBAT_ERR_CANCELLED, fbat_fence_commit(fence, NULL, &fault));
    assert_store_is_whole(fixture, 2);
}

/* ---- a point that fails an append: nothing of it is left ---- */

/* The ways to append. */
struct way {
    enum fbat_level level;
    uint32_t count;
    bool by_ticket;
};

static const struct way ways[] = {
    {FBAT_LEVEL_WRITTEN, 1, false},           {FBAT_LEVEL_DURABLE, 1, false}, {FBAT_LEVEL_WRITTEN, BATCH_ITEMS, false},
    {FBAT_LEVEL_DURABLE, BATCH_ITEMS, false}, {FBAT_LEVEL_WRITTEN, 1, true},  {FBAT_LEVEL_DURABLE, BATCH_ITEMS, true},
};

struct failure {
    const char *point;
    uint64_t passes; /* of the point, before it fails */
    enum fbat_stage stage;
    bool needs_sync;  /* only durable appends come there */
    bool needs_batch; /* only batches do */
    bool small_segments;
};

/* With the keys "NAME 0", "NAME 1" ...; all of one stream. */
static int append_by(struct fixture *fixture, const struct way *way, const char *name) {
    const struct fbat_append_options *options = way->level == FBAT_LEVEL_DURABLE ? &level_durable : &level_written;
    struct fbat_new_event batch[BATCH_ITEMS];
    struct fbat_ticket *ticket = NULL;
    for (uint32_t item = 0; item < way->count; item++) {
        char key[32];
        snprintf(key, sizeof key, "%s %u", name, item);
        batch[item] = event_keyed(key, "one", name);
    }
    memset(&fault, 0x5a, sizeof fault);
    if (!way->by_ticket && way->count == 1)
        return fbat_append(fixture->store, batch, options, NULL, &fault);
    if (!way->by_ticket)
        return fbat_append_batch(fixture->store, batch, way->count, options, NULL, &fault);
    assert_ok(fbat_submit_batch(fixture->store, batch, way->count, options, &ticket, &fault));
    int status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, &fault);
    fbat_ticket_release(ticket);
    return status;
}

/* The store holds so many events, all of stream "one", and none that begins with this name. */
static void assert_nothing_of(struct fixture *fixture, const char *name, uint64_t events) {
    struct fbat_event event;
    for (uint32_t item = 0; item < BATCH_ITEMS; item++) {
        char key[32];
        snprintf(key, sizeof key, "%s %u", name, item);
        assert_false(has_key(fixture->store, key));
    }
    assert_int_equal(count_events(fixture->store), events);
    assert_int_equal(revision_of(fixture->store, "one"), events);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_get_by_sequence(fixture->store, events + 1, &event, &fault));
    const struct fbat_frontier frontier = frontier_now(fixture->store);
    assert_int_equal(frontier.visible, events);
    assert_int_equal(frontier.accepted, events);
}

/* The next sequence and revision, as if nothing had been. */
static void assert_goes_on(struct fixture *fixture, const struct fbat_append_options *options, uint64_t events) {
    struct fbat_receipt receipt;
    const struct fbat_new_event event = event_expecting("one", FBAT_EXPECT_REVISION, events);
    assert_ok(fbat_append(fixture->store, &event, options, &receipt, &fault));
    assert_int_equal(receipt.sequence, events + 1);
    assert_int_equal(receipt.revision, events + 1);
    assert_event_at(fixture->store, events + 1, "one", "payload");
}

/* One failure after another in one store, and between them appends at both levels, which must stay. */
static void check_failure_by_all_ways(void **state, const struct failure *failure) {
    struct fixture *fixture = *state;
    uint64_t events = 1;
    if (failure->small_segments)
        fixture->config.segment_max_bytes = 1;
    opened(state);
    for (size_t at = 0; at < sizeof ways / sizeof ways[0]; at++) {
        if ((failure->needs_sync && ways[at].level != FBAT_LEVEL_DURABLE) ||
            (failure->needs_batch && ways[at].count == 1))
            continue;
        fail_at(failure->point, failure->passes, 1);
        assert_status(FBAT_ERR_IO, append_by(fixture, &ways[at], "lost"));
        assert_message_has(failure->point);
        assert_int_equal(fault.stage, failure->stage);
        assert_int_equal(times_fired(), 1);
        assert_nothing_of(fixture, "lost", events);
        assert_goes_on(fixture, at % 2 ? &level_durable : &level_written, events++);
    }
    fail_nowhere();
    reopen_store(fixture);
    assert_nothing_of(fixture, "lost", events);
    assert_goes_on(fixture, &level_durable, events++);
    assert_ok(append_by(fixture, &ways[3], "lost")); /* its keys are nobody's */
    assert_store_is_whole(fixture, events + BATCH_ITEMS);
}

static void failure_before_the_encoding_leaves_nothing(void **state) {
    check_failure_by_all_ways(state, &(struct failure){.point = "append.encode.before", .stage = FBAT_STAGE_WRITE});
}

static void failure_at_the_first_item_leaves_nothing(void **state) {
    check_failure_by_all_ways(state, &(struct failure){.point = "batch.item", .stage = FBAT_STAGE_WRITE});
}

static void failure_at_the_last_item_leaves_nothing(void **state) {
    check_failure_by_all_ways(
        state, &(struct failure){
                   .point = "batch.item", .passes = BATCH_ITEMS - 1, .stage = FBAT_STAGE_WRITE, .needs_batch = true});
}

static void failure_after_the_encoding_leaves_nothing(void **state) {
    check_failure_by_all_ways(state, &(struct failure){.point = "append.encode.after", .stage = FBAT_STAGE_WRITE});
}

static void failure_before_the_write_leaves_nothing(void **state) {
    check_failure_by_all_ways(state, &(struct failure){.point = "append.write.before", .stage = FBAT_STAGE_WRITE});
}

static void failure_after_the_write_leaves_nothing(void **state) {
    check_failure_by_all_ways(state, &(struct failure){.point = "append.write.after", .stage = FBAT_STAGE_WRITE});
}

static void failure_before_the_sync_leaves_nothing(void **state) {
    check_failure_by_all_ways(state,
                              &(struct failure){.point = "sync.before", .stage = FBAT_STAGE_SYNC, .needs_sync = true});
}

static void failure_after_the_sync_leaves_nothing(void **state) {
    check_failure_by_all_ways(state,
                              &(struct failure){.point = "sync.after", .stage = FBAT_STAGE_SYNC, .needs_sync = true});
}

static void failure_before_a_rotation_leaves_nothing(void **state) {
    check_failure_by_all_ways(
        state, &(struct failure){.point = "rotation.before", .stage = FBAT_STAGE_WRITE, .small_segments = true});
}

static void failure_after_a_new_segment_was_made_leaves_nothing(void **state) {
    check_failure_by_all_ways(
        state, &(struct failure){.point = "rotation.created", .stage = FBAT_STAGE_WRITE, .small_segments = true});
}

/* A stream that an append was to begin is not there after it failed, and can be begun by the next one. */
static void failure_in_a_new_stream_leaves_no_stream(void **state) {
    static const char *const points[] = {"append.encode.before", "append.encode.after", "append.write.before",
                                         "append.write.after",   "sync.before",         "sync.after"};
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_expecting("new", FBAT_EXPECT_NONE, 0);
    struct fbat_receipt receipt;
    for (int at = 0; at < 6; at++) {
        fail_at(points[at], 0, 1);
        assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, &level_durable, NULL, &fault));
        assert_int_equal(revision_of(fixture->store, "new"), 0);
    }
    assert_ok(fbat_append(fixture->store, &event, &level_durable, &receipt, &fault));
    assert_int_equal(receipt.sequence, 2);
    assert_int_equal(receipt.revision, 1);
    assert_store_is_whole(fixture, 2);
}

/* The empty segment that is left is no reason to doubt the store, and its place is taken. */
static void failure_in_the_first_rotation_leaves_an_empty_store(void **state) {
    static const char *const points[] = {"rotation.before", "rotation.created"};
    struct fixture *fixture = configured(state);
    for (int at = 0; at < 2; at++) {
        const struct fbat_new_event event = event_of("one", "scope", "payload");
        open_store(fixture);
        fail_at(points[at], 0, 1);
        assert_status(FBAT_ERR_IO, fbat_append(fixture->store, &event, NULL, NULL, &fault));
        assert_nothing_of(fixture, "lost", 0);
        fail_nowhere();
        reopen_store(fixture);
        assert_nothing_of(fixture, "lost", 0);
        assert_goes_on(fixture, &level_durable, 0);
        assert_store_is_whole(fixture, 1);
        assert_true(test_remove_tree(fixture->dir));
    }
}

/* ---- a point that fails a fence ---- */

static struct fbat_fence *begin_with_two(struct fixture *fixture) {
    struct fbat_fence *fence = begin(fixture->store);
    fence_text(fence, "one", "lost 0");
    fence_text(fence, "one", "lost 1");
    return fence;
}

static void check_failed_commit(void **state, const char *point, enum fbat_stage stage) {
    static const struct fbat_append_options *const levels[] = {&level_durable, &level_written};
    struct fixture *fixture = opened(state);
    for (int at = 0; at < (stage == FBAT_STAGE_SYNC ? 1 : 2); at++) {
        struct fbat_fence *fence = begin_with_two(fixture);
        fail_at(point, 0, 1);
        assert_status(FBAT_ERR_IO, fbat_fence_commit(fence, levels[at], &fault));
        assert_message_has(point);
        assert_int_equal(fault.stage, stage);
        assert_int_equal(times_fired(), 1);
        assert_nothing_of(fixture, "lost", 1);
    }
    assert_goes_on(fixture, &level_written, 1);
    fail_nowhere();
    reopen_store(fixture);
    assert_nothing_of(fixture, "lost", 2);
    assert_ok(fbat_fence_commit(begin_with_two(fixture), &level_durable, &fault));
    assert_goes_on(fixture, &level_durable, 4);
    assert_store_is_whole(fixture, 5);
}

static void failure_before_the_commit_leaves_nothing_of_the_fence(void **state) {
    check_failed_commit(state, "fence.commit.before", FBAT_STAGE_NONE);
}

static void failure_before_the_write_of_the_commit_leaves_nothing_of_the_fence(void **state) {
    check_failed_commit(state, "append.write.before", FBAT_STAGE_WRITE);
}

static void failure_after_the_write_of_the_commit_leaves_nothing_of_the_fence(void **state) {
    check_failed_commit(state, "append.write.after", FBAT_STAGE_WRITE);
}

static void failure_before_the_sync_of_the_commit_leaves_nothing_of_the_fence(void **state) {
    check_failed_commit(state, "sync.before", FBAT_STAGE_SYNC);
}

static void failure_after_the_sync_of_the_commit_leaves_nothing_of_the_fence(void **state) {
    check_failed_commit(state, "sync.after", FBAT_STAGE_SYNC);
}

static void failure_to_encode_leaves_the_fence_as_it_was(void **state) {
    static const char *const points[] = {"append.encode.before", "batch.item", "append.encode.after"};
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("lost 0", "one", "lost");
    struct fbat_fence *fence = begin(fixture->store);
    for (int at = 0; at < 3; at++) {
        fence_text(fence, "one", points[at]);
        fail_at(points[at], 0, 1);
        assert_status(FBAT_ERR_IO, fbat_fence_append(fence, &event, NULL, NULL, &fault));
        assert_message_has(points[at]);
    }
    fail_nowhere();
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    assert_nothing_of(fixture, "lost", 4);
    for (uint64_t at = 0; at < 3; at++)
        assert_event_at(fixture->store, 2 + at, "one", points[at]);
    assert_store_is_whole(fixture, 4);
}

static void failed_write_in_a_fence_cancels_it(void **state) {
    static const char *const points[] = {"append.write.before", "append.write.after"};
    struct fixture *fixture = opened(state);
    const struct fbat_new_event event = event_keyed("lost 2", "one", "lost");
    for (int at = 0; at < 2; at++) {
        struct fbat_fence *fence = begin_with_two(fixture);
        fail_at(points[at], 0, 1);
        assert_status(FBAT_ERR_IO, fbat_fence_append(fence, &event, NULL, NULL, &fault));
        assert_status(FBAT_ERR_CANCELLED, fbat_fence_commit(fence, NULL, &fault));
        assert_message_has(points[at]);
        assert_nothing_of(fixture, "lost", 1);
    }
    assert_goes_on(fixture, &level_durable, 1);
    assert_store_is_whole(fixture, 2);
}

/* ---- a point that fails the restart ---- */

static void check_failed_restart(void **state, const char *point, const char *attempt) {
    struct fixture *fixture = opened(state);
    const struct way durable = {FBAT_LEVEL_DURABLE, 1, false};
    char expected[1024];
    assert_goes_on(fixture, &level_written, 1);
    fail_at("sync.before", 0, 1);
    fail_too_at(point, 2);
    assert_status(FBAT_ERR_IO, append_by(fixture, &durable, "lost"));
    snprintf(expected, sizeof expected, "%s, sync.before 1, %s, %s, %s", STAGED("3"), attempt, attempt,
             RESTARTED("1", "2"));
    assert_passed(expected);
    assert_nothing_of(fixture, "lost", 2);
    assert_goes_on(fixture, &level_written, 2);
    assert_store_is_whole(fixture, 3);
}

static void failure_before_a_restart_is_tried_again(void **state) {
    check_failed_restart(state, "restart.before", "restart.before 1");
}

static void failure_in_a_restart_is_tried_again(void **state) {
    check_failed_restart(state, "restart.copied", "restart.before 1, restart.copied 2");
}

static void restart_that_is_not_allowed_again_leaves_a_dead_writer(void **state) {
    static const char *const points[] = {"restart.before", "restart.copied"};
    const struct way durable = {FBAT_LEVEL_DURABLE, 1, false};
    for (int at = 0; at < 2; at++) {
        struct fixture *fixture = configured(state);
        fixture->config.writer.restart_policy.mode = FBAT_RESTART_ONCE;
        open_store(fixture);
        assert_goes_on(fixture, &level_durable, 0);
        assert_goes_on(fixture, &level_written, 1);
        fail_at("sync.after", 0, 1);
        fail_too_at(points[at], 1);
        assert_status(FBAT_ERR_IO, append_by(fixture, &durable, "lost"));
        assert_nothing_of(fixture, "lost", 2);
        assert_status(FBAT_ERR_WRITER_DEAD, append_by(fixture, &durable, "lost"));
        assert_message_has("sync.after"); /* the first cause */
        struct fbat_store *store = fixture->store;
        fixture->store = NULL;
        assert_true(fbat_close(store, &fault) < 0);
        open_store(fixture);
        assert_event_at(fixture->store, 2, "one", "payload"); /* what was taken back may be there again: nobody knows */
        close_store(fixture);
        assert_whole(fixture->dir);
        assert_true(test_remove_tree(fixture->dir));
    }
}

/* ---- points after which nothing can fail ---- */

static void failure_at_a_publication_is_ignored(void **state) {
    static const char *const points[] = {"append.publish.before", "append.publish.after"};
    struct fixture *fixture = opened(state);
    uint64_t events = 1;
    for (int at = 0; at < 2; at++)
        for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
            char name[32];
            snprintf(name, sizeof name, "kept %d %zu", at, way);
            fail_at(points[at], 0, 1000);
            assert_ok(append_by(fixture, &ways[way], name));
            assert_int_equal(times_fired(), 1);
            events += ways[way].count;
            assert_event_at(fixture->store, events, "one", name);
            assert_int_equal(revision_of(fixture->store, "one"), events);
        }
    assert_store_is_whole(fixture, events);
}

static void failure_after_a_rotation_is_ignored(void **state) {
    struct fixture *fixture = configured(state);
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    fail_at("rotation.after", 0, 1000);
    for (uint64_t events = 0; events < 4; events++)
        assert_goes_on(fixture, events % 2 ? &level_durable : &level_written, events);
    assert_int_equal(times_fired(), 4);
    assert_store_is_whole(fixture, 4);
}

static void failure_at_the_end_of_a_fence_is_ignored(void **state) {
    struct fixture *fixture = opened(state);
    fail_at("fence.commit.after", 0, 1000);
    fail_too_at("fence.cancel", 1000);
    fbat_fence_cancel(begin_with_two(fixture));
    assert_nothing_of(fixture, "lost", 1);
    struct fbat_fence *fence = begin_with_two(fixture);
    assert_ok(fbat_fence_commit(fence, &level_written, &fault));
    assert_goes_on(fixture, &level_written, 3);
    fence = begin(fixture->store);
    fence_text(fence, "one", "kept");
    assert_ok(fbat_fence_commit(fence, &level_durable, &fault));
    assert_int_equal(times_fired(), 2);
    assert_event_at(fixture->store, 5, "one", "kept");
    assert_store_is_whole(fixture, 5);
}

static void failure_after_a_restart_is_ignored(void **state) {
    struct fixture *fixture = opened(state);
    const struct way durable = {FBAT_LEVEL_DURABLE, 1, false};
    assert_goes_on(fixture, &level_written, 1);
    fail_at("restart.after", 0, 1000);
    fail_too_at("sync.before", 1);
    assert_status(FBAT_ERR_IO, append_by(fixture, &durable, "lost"));
    assert_int_equal(times_fired(), 1);
    assert_nothing_of(fixture, "lost", 2);
    assert_goes_on(fixture, &level_durable, 2);
    assert_store_is_whole(fixture, 3);
}

/* ---- a process that dies at a point ---- */

/* What the child does, step by step: how many events each step adds, and how many it may have added when it was not
 * answered, or failed. */
struct step {
    uint64_t events, events_most;
};

static const struct step steps[] = {
    {1, 1},                     /* an append at level written */
    {1, 1},                     /* at level durable */
    {BATCH_ITEMS, BATCH_ITEMS}, /* a durable batch */
    {0, 1},                     /* a durable append whose sync fails */
    {2, 2},                     /* a fence, committed durably */
    {0, 0},                     /* a fence, cancelled */
    {1, 1},                     /* a ticket at level durable */
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static int take_fence(struct fbat_store *store, bool commits) {
    const struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_fence *fence;
    int status = fbat_fence_begin(store, &fence, NULL);
    for (int turn = 0; turn < 2 && status == FBAT_OK; turn++)
        status = fbat_fence_append(fence, &event, NULL, NULL, NULL);
    if (status == FBAT_OK && commits)
        return fbat_fence_commit(fence, &level_durable, NULL);
    fbat_fence_cancel(fence);
    return status;
}

static int wait_for_ticket(struct fbat_store *store, const struct fbat_new_event *event) {
    struct fbat_ticket *ticket;
    int status = fbat_submit(store, event, &level_durable, &ticket, NULL);
    if (status == FBAT_OK)
        status = fbat_ticket_wait(ticket, PATIENCE_MS, NULL, NULL);
    fbat_ticket_release(ticket);
    return status;
}

static int take_step(struct fbat_store *store, int step) {
    const struct fbat_new_event event = event_of("one", "scope", "payload"), batch[] = {event, event, event};
    switch (step) {
    case 0: return fbat_append(store, &event, &level_written, NULL, NULL);
    case 1: return fbat_append(store, &event, &level_durable, NULL, NULL);
    case 2: return fbat_append_batch(store, batch, BATCH_ITEMS, &level_durable, NULL, NULL);
    case 3: {
        fail_at("sync.before", 0, 1);
        int status = fbat_append(store, &event, &level_durable, NULL, NULL);
        return status == FBAT_ERR_IO ? FBAT_OK : -1;
    }
    case 4:
    case 5: return take_fence(store, step == 4);
    default: return wait_for_ticket(store, &event);
    }
}

/* Says of each step that it is done. */
static int take_all_steps(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    (void)in;
    child_check(fbat_open(&fixture->config, &store, NULL) == FBAT_OK);
    for (int step = 0; step < STEPS; step++) {
        child_check(take_step(store, step) == FBAT_OK);
        pipe_send(out);
    }
    child_check(fbat_close(store, NULL) == FBAT_OK);
    return 0;
}

static void check_what_is_left(struct fixture *fixture, int steps_done) {
    uint64_t told = 0, most = steps_done < STEPS ? steps[steps_done].events_most : 0;
    for (int step = 0; step < steps_done; step++)
        told += steps[step].events;
    open_store(fixture);
    uint64_t events = count_events(fixture->store);
    assert_true(events == told || events == told + most);
    assert_int_equal(revision_of(fixture->store, "one"), events);
    assert_goes_on(fixture, &level_durable, events);
    assert_store_is_whole(fixture, events + 1);
}

/* A fork takes a second under clang's thread sanitizer, which finds nothing here that it would not find at a few points. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define DEATHS_APART 8
#endif
#endif
#ifndef DEATHS_APART
#define DEATHS_APART 1
#endif

/* All it was told is there, and what it was doing is there as a whole or not at all. */
static void check_death_at_any_point(struct fixture *fixture) {
    struct child child;
    int status = DIED_AT_POINT;
    for (uint64_t point = 1; status == DIED_AT_POINT; point += DEATHS_APART) {
        int steps_done = 0;
        injector.points_left = point;
        child_start(&child, take_all_steps, fixture);
        while (pipe_receive(child.from))
            steps_done++;
        status = child_wait(&child);
        injector.points_left = 0;
        assert_true(status == DIED_AT_POINT || (status == 0 && steps_done == STEPS));
        check_what_is_left(fixture, steps_done);
        assert_true(test_remove_tree(fixture->dir));
    }
}

static void death_at_any_point_leaves_what_was_acknowledged(void **state) {
    check_death_at_any_point(configured(state));
}

static void death_at_any_point_between_many_segments_leaves_what_was_acknowledged(void **state) {
    struct fixture *fixture = configured(state);
    fixture->config.segment_max_bytes = 1;
    check_death_at_any_point(fixture);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(first_append_passes_a_rotation),
        behaviour(written_append_passes_its_points_in_order),
        behaviour(durable_append_is_synced_before_it_is_published),
        behaviour(batch_passes_a_point_for_each_item),
        behaviour(ticket_passes_the_points_of_a_blocking_append),
        behaviour(refused_append_passes_no_point),
        behaviour(fence_is_published_by_its_commit),
        behaviour(durable_commit_is_synced_before_it_is_published),
        behaviour(commit_of_nothing_passes_no_point),
        behaviour(cancelled_fence_passes_its_end),
        behaviour(rotation_syncs_the_old_segment_first),
        behaviour(failed_sync_passes_a_restart),
        behaviour(failed_write_syncs_what_is_before_it_and_passes_a_restart),
        behaviour(failed_sync_cancels_the_open_fence_before_the_restart),
        behaviour(failure_before_the_encoding_leaves_nothing),
        behaviour(failure_at_the_first_item_leaves_nothing),
        behaviour(failure_at_the_last_item_leaves_nothing),
        behaviour(failure_after_the_encoding_leaves_nothing),
        behaviour(failure_before_the_write_leaves_nothing),
        behaviour(failure_after_the_write_leaves_nothing),
        behaviour(failure_before_the_sync_leaves_nothing),
        behaviour(failure_after_the_sync_leaves_nothing),
        behaviour(failure_before_a_rotation_leaves_nothing),
        behaviour(failure_after_a_new_segment_was_made_leaves_nothing),
        behaviour(failure_in_a_new_stream_leaves_no_stream),
        behaviour(failure_in_the_first_rotation_leaves_an_empty_store),
        behaviour(failure_before_the_commit_leaves_nothing_of_the_fence),
        behaviour(failure_before_the_write_of_the_commit_leaves_nothing_of_the_fence),
        behaviour(failure_after_the_write_of_the_commit_leaves_nothing_of_the_fence),
        behaviour(failure_before_the_sync_of_the_commit_leaves_nothing_of_the_fence),
        behaviour(failure_after_the_sync_of_the_commit_leaves_nothing_of_the_fence),
        behaviour(failure_to_encode_leaves_the_fence_as_it_was),
        behaviour(failed_write_in_a_fence_cancels_it),
        behaviour(failure_before_a_restart_is_tried_again),
        behaviour(failure_in_a_restart_is_tried_again),
        behaviour(restart_that_is_not_allowed_again_leaves_a_dead_writer),
        behaviour(failure_at_a_publication_is_ignored),
        behaviour(failure_after_a_rotation_is_ignored),
        behaviour(failure_at_the_end_of_a_fence_is_ignored),
        behaviour(failure_after_a_restart_is_ignored),
        behaviour_in_memory(death_at_any_point_leaves_what_was_acknowledged),
        behaviour_in_memory(death_at_any_point_between_many_segments_leaves_what_was_acknowledged),
    };
    return cmocka_run_group_tests_name("api: points of the fault injector", tests, NULL, NULL);
}
