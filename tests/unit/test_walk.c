/* SPDX-License-Identifier: Apache-2.0 */
/* Which frames belong to the log: every row of the table in log/walk.h, and random runs of frames against its words. */
#include "fixture.h"

#include <inttypes.h>

#include "base/error.h"
#include "log/walk.h"
#include "support/test.h"

enum { START = 4096, FRAME_SIZE = 200, EXPECTED = 11 };

static struct frame frame_of(enum frame_type type, uint64_t first, uint32_t count) {
    return (struct frame){
        .frame_bytes = FRAME_SIZE, .first_sequence = first, .durable_sequence = 3, .event_count = count, .type = type};
}

static struct frame commit_of(uint64_t first, uint64_t last, uint64_t staged_bytes) {
    return (struct frame){.frame_bytes = FRAME_COMMIT_BYTES,
                          .first_sequence = first,
                          .durable_sequence = 3,
                          .type = FRAME_COMMIT,
                          .last_sequence = last,
                          .staged_bytes = staged_bytes};
}

/* A walk that expects 11; with an open fence of 11 to 13 in two frames, the next of which goes on with 14, if
 * wanted. */
static struct walk walk_of(bool fence) {
    struct walk walk;
    walk_init(&walk, START, EXPECTED, WALK_NOT_SUPERSEDED);
    if (fence) {
        const struct frame frames[] = {frame_of(FRAME_STAGED, 11, 1), frame_of(FRAME_STAGED, 12, 2)};
        assert_int_equal(walk_take(&walk, &frames[0], START), WALK_STAGED);
        assert_int_equal(walk_take(&walk, &frames[1], START + FRAME_SIZE), WALK_STAGED);
    }
    return walk;
}

struct row {
    bool fence;
    struct frame frame;
    uint64_t offset;
    enum walk_step wanted;
    uint64_t expected; /* afterwards */
};

static const uint64_t behind_fence = START + 2 * FRAME_SIZE;

/* The table, row by row: the frame that fits, then one with each field off by one in either direction. */
static void every_row_of_the_table_answers_as_it_says(void **state) {
    (void)state;
    const struct row rows[] = {
        {false, frame_of(FRAME_EVENTS, 11, 2), START, WALK_EVENTS, 13},
        {false, frame_of(FRAME_EVENTS, 10, 2), START, WALK_END, 11},
        {false, frame_of(FRAME_EVENTS, 12, 2), START, WALK_END, 11},
        {false, frame_of(FRAME_STAGED, 11, 2), START, WALK_STAGED, 11},
        {false, frame_of(FRAME_STAGED, 10, 2), START, WALK_END, 11},
        {false, frame_of(FRAME_STAGED, 12, 2), START, WALK_END, 11},
        {false, commit_of(11, 11, 0), START, WALK_END, 11},
        {false, commit_of(11, 10, 8), START, WALK_END, 11},
        {false, commit_of(11, 13, 400), behind_fence, WALK_END, 11},
        {true, frame_of(FRAME_EVENTS, 11, 2), behind_fence, WALK_EVENTS, 13},
        {true, frame_of(FRAME_EVENTS, 10, 2), behind_fence, WALK_END, 11},
        {true, frame_of(FRAME_EVENTS, 12, 2), behind_fence, WALK_END, 11},
        {true, frame_of(FRAME_EVENTS, 14, 2), behind_fence, WALK_END, 11},
        {true, frame_of(FRAME_STAGED, 14, 2), behind_fence, WALK_STAGED, 11},
        {true, frame_of(FRAME_STAGED, 14, 2), behind_fence + 8, WALK_END, 11},
        {true, frame_of(FRAME_STAGED, 11, 2), behind_fence, WALK_STAGED, 11},
        {true, frame_of(FRAME_STAGED, 11, 2), behind_fence + 8, WALK_STAGED, 11},
        {true, frame_of(FRAME_STAGED, 13, 2), behind_fence, WALK_END, 11},
        {true, frame_of(FRAME_STAGED, 15, 2), behind_fence, WALK_END, 11},
        {true, commit_of(11, 13, 400), behind_fence, WALK_COMMIT, 14},
        {true, commit_of(10, 13, 400), behind_fence, WALK_END, 11},
        {true, commit_of(12, 13, 400), behind_fence, WALK_END, 11},
        {true, commit_of(11, 12, 400), behind_fence, WALK_END, 11},
        {true, commit_of(11, 14, 400), behind_fence, WALK_END, 11},
        {true, commit_of(11, 13, 392), behind_fence, WALK_END, 11},
        {true, commit_of(11, 13, 408), behind_fence, WALK_END, 11},
        {true, commit_of(11, 13, 400), behind_fence + 8, WALK_END, 11},
        {true, commit_of(11, 13, 408), behind_fence + 8, WALK_END, 11},
    };
    for (size_t at = 0; at < COUNT_OF(rows); at++) {
        struct walk walk = walk_of(rows[at].fence), before = walk;
        enum walk_step got = walk_take(&walk, &rows[at].frame, rows[at].offset);
        if (got != rows[at].wanted || walk.expected != rows[at].expected)
            fail_msg("row %zu: answer %d, expected %" PRIu64, at, (int)got, walk.expected);
        if (got == WALK_END)
            assert_memory_equal(&walk, &before, sizeof walk);
    }
}

static void the_end_moves_with_frames_of_the_log_only(void **state) {
    (void)state;
    struct walk walk = walk_of(true);
    assert_int_equal(walk.end, START);
    assert_true(walk_fence_is_open(&walk));
    const struct frame commit = commit_of(11, 13, 400), events = frame_of(FRAME_EVENTS, 14, 1);
    assert_int_equal(walk_take(&walk, &commit, behind_fence), WALK_COMMIT);
    assert_int_equal(walk.end, behind_fence + FRAME_COMMIT_BYTES);
    assert_int_equal(walk.fence_offset, START);
    assert_int_equal(walk.fence_end, behind_fence);
    assert_false(walk_fence_is_open(&walk));
    assert_int_equal(walk_take(&walk, &events, behind_fence + FRAME_COMMIT_BYTES), WALK_EVENTS);
    assert_int_equal(walk.end, behind_fence + FRAME_COMMIT_BYTES + FRAME_SIZE);
}

static void a_second_commit_of_a_fence_does_not_fit(void **state) {
    (void)state;
    struct walk walk = walk_of(true);
    const struct frame commit = commit_of(11, 13, 400);
    assert_int_equal(walk_take(&walk, &commit, behind_fence), WALK_COMMIT);
    assert_int_equal(walk_take(&walk, &commit, behind_fence + FRAME_COMMIT_BYTES), WALK_END);
}

static void a_void_fence_cannot_be_committed_behind_what_voids_it(void **state) {
    (void)state;
    struct walk walk = walk_of(true);
    const struct frame events = frame_of(FRAME_EVENTS, 11, 3), staged = frame_of(FRAME_STAGED, 11, 3);
    const struct frame commit = commit_of(11, 13, 600);
    assert_int_equal(walk_take(&walk, &staged, behind_fence), WALK_STAGED);
    assert_int_equal(walk_take(&walk, &commit, behind_fence + FRAME_SIZE), WALK_END);
    assert_int_equal(walk_take(&walk, &events, behind_fence + FRAME_SIZE), WALK_EVENTS);
    assert_int_equal(walk_take(&walk, &commit, behind_fence + 2 * FRAME_SIZE), WALK_END);
}

/* What is hidden cannot be known durable: such a frame is not one of this fence. */
static void frames_of_a_fence_do_not_know_its_events_durable(void **state) {
    (void)state;
    for (uint64_t durable = 9; durable <= 12; durable++) {
        struct walk walk = walk_of(true);
        struct frame staged = frame_of(FRAME_STAGED, 14, 1);
        staged.durable_sequence = durable;
        assert_int_equal(walk_take(&walk, &staged, behind_fence), durable < EXPECTED ? WALK_STAGED : WALK_END);
    }
}

static void nothing_belongs_to_the_log_from_the_next_segments_first_sequence_on(void **state) {
    (void)state;
    struct walk walk;
    const struct frame before = frame_of(FRAME_EVENTS, 11, 2);
    const struct frame behind[] = {frame_of(FRAME_EVENTS, 13, 1), frame_of(FRAME_STAGED, 13, 1), commit_of(13, 13, 8)};
    walk_init(&walk, START, EXPECTED, 13);
    assert_false(walk_is_over(&walk));
    assert_int_equal(walk_take(&walk, &before, START), WALK_EVENTS);
    assert_true(walk_is_over(&walk));
    for (size_t at = 0; at < COUNT_OF(behind); at++)
        assert_int_equal(walk_take(&walk, &behind[at], START + FRAME_SIZE), WALK_END);
    walk_init(&walk, START, EXPECTED, EXPECTED); /* taken over whole */
    assert_int_equal(walk_take(&walk, &before, START), WALK_END);
}

static void sequences_that_would_wrap_end_the_walk(void **state) {
    (void)state;
    for (uint64_t first = UINT64_MAX - 6; first != 0; first++) {
        struct walk walk;
        const struct frame events = frame_of(FRAME_EVENTS, first, 4), staged = frame_of(FRAME_STAGED, first, 4);
        walk_init(&walk, START, first, WALK_NOT_SUPERSEDED);
        assert_int_equal(walk_take(&walk, &staged, START), first < UINT64_MAX - 4 ? WALK_STAGED : WALK_END);
        assert_int_equal(walk_take(&walk, &events, START), first < UINT64_MAX - 4 ? WALK_EVENTS : WALK_END);
    }
}

/* ---- random runs of frames, judged by looking back instead of forward ---- */

enum { RUN_MAX = 12 };

struct run {
    struct frame frames[RUN_MAX];
    uint64_t offsets[RUN_MAX];
    size_t count;
};

/* What the next frame of a run would have to say to fit. */
struct hint {
    uint64_t expected, next; /* next: behind the staged frames, 0 if there are none */
    uint64_t fence_offset;
};

static struct frame random_commit(struct test_random *random, const struct hint *hint, uint64_t offset) {
    uint64_t last = hint->next ? hint->next - 1 : hint->expected, staged = offset - hint->fence_offset;
    switch (test_random_below(random, 6)) {
    case 0: return commit_of(hint->expected + 1, last, staged);
    case 1: return commit_of(hint->expected, last + 1, staged);
    case 2: return commit_of(hint->expected, last, staged + FRAME_SIZE);
    default: return commit_of(hint->expected, last, staged);
    }
}

/* Three of four frames fit if they can. */
static struct frame random_frame(struct test_random *random, struct hint *hint, uint64_t offset) {
    enum frame_type type = (enum frame_type)test_random_between(random, FRAME_EVENTS, FRAME_COMMIT);
    uint32_t count = (uint32_t)test_random_between(random, 1, 2);
    if (type == FRAME_COMMIT) {
        struct frame commit = random_commit(random, hint, offset);
        hint->expected = hint->next ? hint->next : hint->expected;
        hint->next = 0;
        return commit;
    }
    bool starts = type == FRAME_EVENTS || hint->next == 0 || test_random_one_in(random, 3);
    struct frame frame = frame_of(type, starts ? hint->expected : hint->next, count);
    if (test_random_one_in(random, 4))
        frame.first_sequence = test_random_between(random, 1, 8);
    hint->fence_offset = starts ? offset : hint->fence_offset;
    hint->next = type == FRAME_STAGED ? frame.first_sequence + count : 0;
    hint->expected += type == FRAME_EVENTS ? count : 0;
    return frame;
}

static void make_run(struct test_random *random, struct run *run) {
    struct hint hint = {.expected = 1, .fence_offset = START};
    uint64_t offset = START;
    run->count = test_random_between(random, 1, RUN_MAX);
    for (size_t at = 0; at < run->count; at++) {
        run->frames[at] = random_frame(random, &hint, offset);
        run->frames[at].durable_sequence = 0;
        run->offsets[at] = offset;
        offset += run->frames[at].frame_bytes;
    }
}

/* The sequence behind the staged frames [from, to), 0 unless they stand for one fence that begins with `expected`. */
static uint64_t behind_staged(const struct run *run, size_t from, size_t to, uint64_t expected) {
    uint64_t next = expected;
    for (size_t at = from; at < to; at++) {
        if (run->frames[at].type != FRAME_STAGED || run->frames[at].first_sequence != next)
            return 0;
        next += run->frames[at].event_count;
    }
    return from < to ? next : 0;
}

/* Whether the frame at `to`, a commit, makes the staged frames directly before it part of the log. */
static bool is_committed(const struct run *run, size_t to, uint64_t expected) {
    const struct frame *commit = &run->frames[to];
    uint64_t from_offset = run->offsets[to] - commit->staged_bytes;
    for (size_t from = 0; from < to; from++)
        if (run->offsets[from] == from_offset)
            return commit->first_sequence == expected &&
                   behind_staged(run, from, to, expected) == commit->last_sequence + 1;
    return false;
}

/* True when the staged frame may stand there: it begins a fence, or goes on with one that does. */
static bool may_be_staged(const struct run *run, size_t to, uint64_t expected) {
    for (size_t from = 0; from <= to; from++)
        if (behind_staged(run, from, to + 1, expected) != 0)
            return true;
    return false;
}

static enum walk_step judge(const struct run *run, size_t at, uint64_t expected) {
    switch (run->frames[at].type) {
    case FRAME_EVENTS: return run->frames[at].first_sequence == expected ? WALK_EVENTS : WALK_END;
    case FRAME_STAGED: return may_be_staged(run, at, expected) ? WALK_STAGED : WALK_END;
    case FRAME_COMMIT: return is_committed(run, at, expected) ? WALK_COMMIT : WALK_END;
    }
    return WALK_END;
}

static void random_runs_are_judged_alike_forwards_and_backwards(void **state) {
    (void)state;
    uint64_t seed = test_seed(20261124);
    struct test_random random = test_random_init(seed);
    uint64_t commits = 0, rounds = test_scaled(400000);
    print_message("seed %" PRIu64 " (FBAT_TEST_SEED)\n", seed);
    for (uint64_t round = 0; round < rounds; round++) {
        struct run run;
        struct walk walk;
        make_run(&random, &run);
        walk_init(&walk, START, 1, WALK_NOT_SUPERSEDED);
        for (size_t at = 0; at < run.count; at++) {
            enum walk_step wanted = judge(&run, at, walk.expected);
            enum walk_step got = walk_take(&walk, &run.frames[at], run.offsets[at]);
            if (got != wanted)
                fail_msg("round %" PRIu64 ", frame %zu: answer %d, wanted %d", round, at, (int)got, (int)wanted);
            commits += got == WALK_COMMIT;
            if (got == WALK_END)
                break;
        }
    }
    assert_true(commits > rounds / 50);
}

/* ---- over a file ---- */

struct visits {
    uint64_t offsets[8], sequences[8];
    size_t count;
};

static int note_visit(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                      struct fbat_error *error) {
    struct visits *visits = user;
    struct frame again;
    (void)error;
    assert_true(visits->count < COUNT_OF(visits->offsets));
    assert_int_equal(load_u32(bytes), frame->crc);
    assert_int_not_equal(frame->type, FRAME_COMMIT);
    assert_int_equal(frame_decode(bytes, frame->frame_bytes, 0, &again), FRAME_BROKEN); /* salted */
    visits->offsets[visits->count] = offset;
    visits->sequences[visits->count++] = frame->first_sequence;
    return FBAT_OK;
}

static int refuse_visit(void *user, const struct frame *frame, const uint8_t *bytes, uint64_t offset,
                        struct fbat_error *error) {
    (void)user;
    (void)frame;
    (void)bytes;
    (void)offset;
    return error_set_no_memory(error);
}

/* Writes a staged frame of one event, and answers where it stands. */
static uint64_t stage(struct log *log, const char *entity) {
    const struct log_event event = {.entity = entity};
    return log_write(log, FRAME_STAGED, &event, 1);
}

/* Walks the segment from its beginning as long as frames belong to the log. */
static void walk_all(struct log *log, bool mapped, struct walk *walk, struct visits *visits) {
    struct segment *segment = NULL;
    struct scan scan;
    enum walk_step step = WALK_END;
    memset(visits, 0, sizeof *visits);
    assert_int_equal(
        segment_open(log->os, LOG_DIR, 1, &log->store_id, mapped ? SEGMENT_WRITE : SEGMENT_READ, &segment, NULL),
        FBAT_OK);
    scan_init(&scan, segment, SEGMENT_HEADER_BYTES);
    walk_init(walk, SEGMENT_HEADER_BYTES, 1, WALK_NOT_SUPERSEDED);
    do
        assert_int_equal(walk_next(walk, &scan, note_visit, visits, &step, NULL), FBAT_OK);
    while (step != WALK_END);
    scan_deinit(&scan);
    segment_close(segment);
}

static void staged_frames_are_visited_at_their_commit_in_order(void **state) {
    struct log *log = *state;
    const struct log_event event = {.entity = "order-1"};
    struct walk walk;
    struct visits visits;
    uint64_t offsets[4] = {log_write(log, FRAME_EVENTS, &event, 1), stage(log, "order-2"), stage(log, "order-3")};
    for (int mapped = 0; mapped <= 1; mapped++) {
        walk_all(log, mapped, &walk, &visits);
        assert_int_equal(visits.count, 1);
        assert_int_equal(walk.end, offsets[1]);
        assert_int_equal(walk.expected, 2);
    }
    log_commit(log, 2, offsets[1]);
    offsets[3] = log_write(log, FRAME_EVENTS, &event, 1);
    for (int mapped = 0; mapped <= 1; mapped++) {
        walk_all(log, mapped, &walk, &visits);
        assert_int_equal(visits.count, 4);
        assert_memory_equal(visits.offsets, offsets, sizeof offsets);
        for (size_t at = 0; at < 4; at++)
            assert_int_equal(visits.sequences[at], at + 1);
        assert_int_equal(walk.end, log->active->segment->end);
        assert_int_equal(walk.expected, 5);
    }
}

static void a_visit_that_fails_ends_the_walk_with_its_error(void **state) {
    struct log *log = *state;
    struct walk walk;
    struct scan scan;
    struct fbat_error error;
    enum walk_step step = WALK_END;
    uint64_t start = stage(log, "order-1");
    log_commit(log, 1, start);
    scan_init(&scan, log->active->segment, SEGMENT_HEADER_BYTES);
    walk_init(&walk, SEGMENT_HEADER_BYTES, 1, WALK_NOT_SUPERSEDED);
    assert_int_equal(walk_next(&walk, &scan, refuse_visit, NULL, &step, &error), FBAT_OK);
    assert_int_equal(step, WALK_STAGED);
    assert_int_equal(walk_next(&walk, &scan, refuse_visit, NULL, &step, &error), FBAT_ERR_NO_MEMORY);
    scan_deinit(&scan);
}

static void a_staged_frame_that_goes_bad_before_its_visit_is_damage(void **state) {
    struct log *log = *state;
    struct walk walk;
    struct scan scan;
    struct fbat_error error;
    enum walk_step step = WALK_END;
    uint64_t start = stage(log, "order-1");
    log_commit(log, 1, start);
    scan_init(&scan, log->active->segment, SEGMENT_HEADER_BYTES);
    walk_init(&walk, SEGMENT_HEADER_BYTES, 1, WALK_NOT_SUPERSEDED);
    assert_int_equal(walk_next(&walk, &scan, refuse_visit, NULL, &step, &error), FBAT_OK);
    log->active->segment->map[start + FRAME_HEADER_BYTES] ^= 1;
    assert_int_equal(walk_next(&walk, &scan, refuse_visit, NULL, &step, &error), FBAT_ERR_DAMAGED);
    assert_int_equal(error.offset, start);
    scan_deinit(&scan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_answers_as_it_says),
        cmocka_unit_test(the_end_moves_with_frames_of_the_log_only),
        cmocka_unit_test(a_second_commit_of_a_fence_does_not_fit),
        cmocka_unit_test(a_void_fence_cannot_be_committed_behind_what_voids_it),
        cmocka_unit_test(frames_of_a_fence_do_not_know_its_events_durable),
        cmocka_unit_test(nothing_belongs_to_the_log_from_the_next_segments_first_sequence_on),
        cmocka_unit_test(sequences_that_would_wrap_end_the_walk),
        cmocka_unit_test(random_runs_are_judged_alike_forwards_and_backwards),
        LOG_TEST(staged_frames_are_visited_at_their_commit_in_order),
        LOG_TEST(a_visit_that_fails_ends_the_walk_with_its_error),
        LOG_TEST(a_staged_frame_that_goes_bad_before_its_visit_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
