/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch, and a fence, is visible whole or not at all: wherever a caller's snapshot points, in whatever state the log is on
 * disk, and for whoever reads it.
 *
 * A log is written from a line of words, one for each unit of atomicity:
 *
 *     "3"      a batch of three events (one: a plain append)
 *     "f13"    a fence of an append of one event and a batch of three
 *     "c2"     such a fence, cancelled
 */
#include "fixture.h"

#include <unistd.h>

enum { UNITS_MAX = 64, BATCH_MAX = 9 };

/* What was written: the last sequence of each unit. */
struct units {
    uint64_t last[UNITS_MAX];
    unsigned count;
};

static uint64_t last_of(const struct units *units) {
    return units->count == 0 ? 0 : units->last[units->count - 1];
}

static void add_unit(struct units *units, uint64_t last) {
    assert_true(units->count < UNITS_MAX);
    units->last[units->count++] = last;
}

/* ---- writing ---- */

/* Every other event is of the stream "odd". */
static void make_events(struct fbat_new_event *events, size_t count, uint64_t first_sequence) {
    for (size_t item = 0; item < count; item++)
        events[item] = event_of((first_sequence + item) % 2 ? "odd" : "even", "scope", "payload");
}

static uint64_t write_batch(struct fbat_store *store, char digit, uint64_t first_sequence) {
    struct fbat_new_event events[BATCH_MAX];
    size_t count = (size_t)(digit - '0');
    make_events(events, count, first_sequence);
    assert_ok(fbat_append_batch(store, events, count, NULL, NULL, &fault));
    return count;
}

static struct fbat_fence *stage_fence(struct fbat_store *store, const char *digits, uint64_t first_sequence,
                                      uint64_t *out_count) {
    struct fbat_fence *fence;
    struct fbat_new_event events[BATCH_MAX];
    *out_count = 0;
    assert_ok(fbat_fence_begin(store, &fence, &fault));
    for (; *digits >= '1' && *digits <= '9'; digits++) {
        size_t count = (size_t)(*digits - '0');
        make_events(events, count, first_sequence + *out_count);
        assert_ok(fbat_fence_append_batch(fence, events, count, NULL, NULL, &fault));
        *out_count += count;
    }
    return fence;
}

static void write_unit(struct fbat_store *store, const char *word, struct units *units) {
    uint64_t first = last_of(units) + 1, count;
    if (*word == 'c') {
        fbat_fence_cancel(stage_fence(store, word + 1, first, &count));
        return;
    }
    if (*word == 'f')
        assert_ok(fbat_fence_commit(stage_fence(store, word + 1, first, &count), NULL, &fault));
    else
        count = write_batch(store, *word, first);
    add_unit(units, first + count - 1);
}

static const char *next_word(const char *words) {
    const char *blank = strchr(words, ' ');
    return blank ? blank + 1 : words + strlen(words);
}

static void write_units(struct fbat_store *store, const char *words, struct units *units) {
    for (; *words; words = next_word(words))
        write_unit(store, words, units);
}

/* ---- reading ---- */

/* The whole units that a snapshot reaches. */
static uint64_t seen_by(const struct units *units, uint64_t snapshot) {
    uint64_t seen = 0;
    for (unsigned at = 0; at < units->count && units->last[at] <= snapshot; at++)
        seen = units->last[at];
    return seen;
}

/* stride 2: the stream "odd", which begins with sequence 1. */
static void check_query(struct fbat_store *store, const struct fbat_query_options *options, uint64_t seen,
                        uint64_t stride) {
    bool backward = options->direction == FBAT_BACKWARD;
    uint64_t count = (seen + stride - 1) / stride;
    struct fbat_iterator *iterator;
    struct fbat_event event;
    if (stride == 1)
        assert_ok(fbat_query(store, NULL, options, &iterator, &fault));
    else
        assert_ok(fbat_stream(store, fbat_text("odd"), fbat_text("scope"), options, &iterator, &fault));
    if (fbat_iterator_snapshot(iterator) != seen)
        fail_msg("snapshot %llu is aligned to %llu, expected %llu", (unsigned long long)options->snapshot,
                 (unsigned long long)fbat_iterator_snapshot(iterator), (unsigned long long)seen);
    for (uint64_t at = 0; at < count; at++) {
        assert_ok(fbat_iterator_next(iterator, &event, &fault));
        assert_int_equal(event.sequence, 1 + stride * (backward ? count - 1 - at : at));
    }
    assert_status(FBAT_END, fbat_iterator_next(iterator, &event, &fault));
    fbat_iterator_close(iterator);
}

/* At every sequence, in both directions, with and without a stream; and as many are counted as are seen. */
static void check_snapshots(struct fbat_store *store, const struct units *units) {
    struct fbat_query_options options = {.struct_size = sizeof options};
    assert_int_equal(count_events(store), last_of(units));
    for (options.snapshot = 1; options.snapshot <= last_of(units) + 2; options.snapshot++)
        for (int turn = 0; turn < 4; turn++) {
            options.direction = turn % 2 ? FBAT_BACKWARD : FBAT_FORWARD;
            check_query(store, &options, seen_by(units, options.snapshot), turn < 2 ? 1 : 2);
        }
}

static void check_reader(const struct fixture *fixture, const char *dir, const struct units *units) {
    struct fbat_config config = fixture->config;
    struct fbat_store *reader;
    config.data_dir = dir;
    assert_ok(fbat_open_read_only(&config, &reader, &fault));
    check_snapshots(reader, units);
    assert_ok(fbat_close(reader, &fault));
}

/* As a kill leaves the files: for a reader, who changes nothing, and for the next writer. */
static void check_after_a_kill(const struct fixture *fixture, const struct units *units) {
    char copy[TEST_PATH_SIZE];
    struct fbat_config config = fixture->config;
    struct fbat_store *store;
    join_path(fixture->root, "copy", copy);
    copy_store(fixture->dir, copy);
    check_reader(fixture, copy, units);
    assert_int_equal(assert_whole(copy).events, last_of(units));
    config.data_dir = copy;
    assert_ok(fbat_open(&config, &store, &fault));
    check_snapshots(store, units);
    assert_ok(fbat_close(store, &fault));
    assert_true(test_remove_tree(copy));
}

/* In the open store, in every other handle there can be beside it, and in all that becomes of it. */
static void check_everywhere(struct fixture *fixture, struct units *units) {
    check_snapshots(fixture->store, units);
    check_reader(fixture, fixture->dir, units);
    check_after_a_kill(fixture, units);
    close_store(fixture);
    fixture->config.segment_max_bytes = 1; /* the next append leaves the segment, and it is sealed */
    open_store(fixture);
    check_snapshots(fixture->store, units);
    write_units(fixture->store, "1", units);
    close_store(fixture);
    struct fbat_check_report report = assert_whole(fixture->dir);
    assert_int_equal(report.events, last_of(units));
    assert_true(report.footers > 0);
    open_store(fixture);
    check_snapshots(fixture->store, units);
    check_reader(fixture, fixture->dir, units);
    close_store(fixture);
    fbat_config_init(&fixture->config, fixture->dir);
    assert_true(test_remove_tree(fixture->dir));
}

static void check_log_of(struct fixture *fixture, uint64_t segment_max_bytes, const char *words) {
    struct units units = {0};
    struct fbat_store *reader;
    fixture->config.segment_max_bytes = segment_max_bytes;
    open_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    for (; *words; words = next_word(words)) {
        write_unit(fixture->store, words, &units);
        check_snapshots(fixture->store, &units);
        check_snapshots(reader, &units);
    }
    assert_ok(fbat_close(reader, &fault));
    check_everywhere(fixture, &units);
}

enum { ONE_SEGMENT = 256 << 20 };

static void batch_is_seen_whole_or_not_at_all(void **state) {
    check_log_of(*state, ONE_SEGMENT, "1 3 1 2 2 1 4");
}

static void fence_is_seen_whole_or_not_at_all(void **state) {
    check_log_of(*state, ONE_SEGMENT, "1 f111 1 f1 1 f232 1");
}

static void fence_begins_the_log(void **state) {
    check_log_of(*state, ONE_SEGMENT, "f121 1");
}

static void fence_and_batch_side_by_side_are_apart(void **state) {
    check_log_of(*state, ONE_SEGMENT, "3 f11 3 f33 2 f3 3");
}

static void fences_side_by_side_are_apart(void **state) {
    check_log_of(*state, ONE_SEGMENT, "f11 f11 f3 f3 f131 f1 f1 f22");
}

static void cancelled_fences_between_change_nothing(void **state) {
    check_log_of(*state, ONE_SEGMENT, "c1 f11 c2 f11 c1 c3 f21 c1 2 c2 f12");
}

/* Some begin their segment, because the one before was full. */
static void fences_among_many_segments_are_whole(void **state) {
    static const uint64_t sizes[] = {1, 5 << 10, 6 << 10};
    for (int at = 0; at < 3; at++)
        check_log_of(*state, sizes[at], "1 f111 2 f31 f13 c11 f1111 3 f1 f22 c1 f32");
}

/* ---- a tail that was moved ---- */

/* What is in a segment's file, by fbat_dump. */
struct contents {
    unsigned events, staged, commits; /* frames that are part of the log, of these types */
    uint64_t last_offset;             /* of the last frame */
};

static int note_entry(void *user, const struct fbat_dump_entry *entry) {
    struct contents *contents = user;
    if (entry->what != FBAT_DUMP_FRAME)
        return 0;
    contents->last_offset = entry->offset;
    contents->events += entry->frame_type == FBAT_FRAME_EVENTS;
    contents->staged += entry->frame_type == FBAT_FRAME_STAGED;
    contents->commits += entry->frame_type == FBAT_FRAME_COMMIT;
    return 0;
}

static struct contents contents_of(const char *dir, uint64_t segment_id) {
    struct contents contents = {0};
    assert_ok(fbat_dump(dir, segment_id, note_entry, &contents, &fault));
    return contents;
}

static void open_without_background_syncs(struct fixture *fixture) {
    fixture->config.sync.max_delay_ms = 0;
    assert_ok(fbat_config_set(&fixture->config, "writer.restart_policy", "bounded:9/60000", &fault));
    open_store_watched(fixture);
}

/* A sync fails, and all that was not durable goes to the next segment. */
static void move_tail_of(struct fixture *fixture, const struct units *units) {
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_int_equal(atomic_load(&watched_disk.syncs_to_fail), 0);
    assert_int_equal(frontier_now(fixture->store).durable, last_of(units));
}

/* The tail begins behind the word at `behind`; its start is in no fence, because each is durable as a whole. */
static void check_moved_tail(struct fixture *fixture, const char *words, const char *behind) {
    struct units units = {0};
    struct fbat_store *reader;
    open_without_background_syncs(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    for (const char *word = words; *word; word = next_word(word)) {
        write_unit(fixture->store, word, &units);
        if (word == behind)
            assert_ok(fbat_sync(fixture->store, &fault));
    }
    check_snapshots(reader, &units); /* has read of the old segment what the new one takes over */
    move_tail_of(fixture, &units);
    check_snapshots(fixture->store, &units);
    check_snapshots(reader, &units);
    write_units(fixture->store, "2 f11", &units);
    check_snapshots(reader, &units);
    assert_ok(fbat_close(reader, &fault));
    check_everywhere(fixture, &units);
}

static void moved_fences_stay_whole(void **state) {
    static const char words[] = "1 f111 2 f12 f31 c11 f11 3 f2";
    for (const char *behind = words; *next_word(behind); behind = next_word(behind))
        check_moved_tail(*state, words, behind);
    check_moved_tail(*state, words, NULL);
}

/* Not as plain frames: whoever reads the file knows what belongs together. */
static void moved_fence_keeps_its_frames(void **state) {
    struct fixture *fixture = *state;
    struct units units = {0};
    open_without_background_syncs(fixture);
    write_units(fixture->store, "f11", &units);
    assert_ok(fbat_sync(fixture->store, &fault));
    write_units(fixture->store, "1 f121 2 c1 f1", &units);
    move_tail_of(fixture, &units);
    struct contents contents = contents_of(fixture->dir, 2);
    assert_int_equal(contents.events, 2);
    assert_int_equal(contents.staged, 4);
    assert_int_equal(contents.commits, 2);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, last_of(&units));
}

/* The fence that was open when the sync failed is none, and leaves nothing to the next one. */
static void open_fence_is_not_moved(void **state) {
    struct fixture *fixture = *state;
    struct units units = {0};
    uint64_t count;
    open_without_background_syncs(fixture);
    write_units(fixture->store, "1 f11", &units);
    struct fbat_fence *fence = stage_fence(fixture->store, "12", last_of(&units) + 1, &count);
    move_tail_of(fixture, &units);
    fbat_fence_cancel(fence);
    assert_int_equal(contents_of(fixture->dir, 2).staged, 2);
    write_units(fixture->store, "f12 2", &units);
    check_everywhere(fixture, &units);
}

static void moved_tail_can_be_moved_again(void **state) {
    struct fixture *fixture = *state;
    struct units units = {0};
    open_without_background_syncs(fixture);
    write_units(fixture->store, "1 f11 f21", &units);
    move_tail_of(fixture, &units);
    write_units(fixture->store, "f111 f2 1", &units);
    move_tail_of(fixture, &units);
    assert_int_equal(contents_of(fixture->dir, 3).commits, 2);
    write_units(fixture->store, "f12", &units);
    check_everywhere(fixture, &units);
}

/* Where the disk has lost the end of a moved fence, and LOCK with what was durable, nothing is left of it. */
static void moved_fence_without_its_end_is_none(void **state) {
    struct fixture *fixture = *state;
    struct units units = {0};
    char copy[TEST_PATH_SIZE], path[TEST_PATH_SIZE];
    open_without_background_syncs(fixture);
    write_units(fixture->store, "2 f121", &units);
    move_tail_of(fixture, &units);
    join_path(fixture->root, "copy", copy);
    copy_store(fixture->dir, copy);
    close_store(fixture);
    join_path(copy, "LOCK", path);
    assert_int_equal(unlink(path), 0);
    segment_path_of(copy, 2, path);
    assert_int_equal(truncate(path, (off_t)contents_of(copy, 2).last_offset + 40), 0);
    fixture->config.data_dir = copy;
    open_store(fixture);
    assert_int_equal(count_events(fixture->store), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(batch_is_seen_whole_or_not_at_all),
        behaviour_in_memory(fence_is_seen_whole_or_not_at_all),
        behaviour_in_memory(fence_begins_the_log),
        behaviour_in_memory(fence_and_batch_side_by_side_are_apart),
        behaviour_in_memory(fences_side_by_side_are_apart),
        behaviour_in_memory(cancelled_fences_between_change_nothing),
        behaviour_in_memory(fences_among_many_segments_are_whole),
        behaviour_in_memory(moved_fences_stay_whole),
        behaviour_in_memory(moved_fence_keeps_its_frames),
        behaviour_in_memory(open_fence_is_not_moved),
        behaviour_in_memory(moved_tail_can_be_moved_again),
        behaviour_in_memory(moved_fence_without_its_end_is_none),
    };
    return cmocka_run_group_tests_name("api: atomicity", tests, NULL, NULL);
}
