/* SPDX-License-Identifier: Apache-2.0 */
/* Read-only handles: they follow a writer, here or in another process, see whole batches only, and change nothing. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

static struct fbat_store *open_reader(struct fixture *fixture) {
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    return reader;
}

static void assert_visible(struct fbat_store *reader, uint64_t sequence) {
    struct fbat_frontier frontier;
    fbat_frontier(reader, &frontier);
    assert_int_equal(frontier.visible, sequence);
    assert_int_equal(frontier.written, sequence);
    assert_int_equal(frontier.accepted, sequence);
    assert_true(frontier.durable <= sequence);
}

/* ---- in the writer's process ---- */

static void reader_follows_a_writer_in_its_process(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 3 << 10; /* a few events each */
    open_store(fixture);
    struct fbat_store *reader = open_reader(fixture);
    assert_visible(reader, 0);
    for (uint64_t at = 1; at <= 40; at++) {
        struct fbat_receipt receipt = append_text(fixture->store, at % 3 ? "one" : "two", "scope", "payload");
        assert_visible(reader, at);
        struct fbat_event event;
        assert_ok(fbat_get(reader, &receipt.id, &event, &fault));
        assert_int_equal(event.sequence, at);
        assert_memory_equal(event.hash, receipt.hash, 32);
        fbat_event_release(&event);
        assert_ok(fbat_latest(reader, fbat_text(at % 3 ? "one" : "two"), fbat_text("scope"), &event, &fault));
        assert_int_equal(event.sequence, at);
        fbat_event_release(&event);
    }
    assert_int_equal(count_events(reader), 40);
    struct fbat_stats stats, writers;
    assert_ok(fbat_stats(reader, &stats, &fault));
    assert_ok(fbat_stats(fixture->store, &writers, &fault));
    assert_int_equal(stats.events, 40);
    assert_int_equal(stats.streams, 2);
    assert_int_equal(stats.segments, writers.segments);
    assert_true(stats.segments > 3);
    assert_ok(fbat_close(reader, &fault));
}

static void reader_outlives_the_writer_and_meets_the_next(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_store *reader = open_reader(fixture);
    for (uint64_t round = 1; round <= 3; round++) {
        close_store(fixture);
        assert_visible(reader, round);
        open_store(fixture);
        assert_visible(reader, round);
        append_text(fixture->store, "one", "scope", "payload");
        assert_visible(reader, round + 1);
    }
    close_store(fixture);
    assert_int_equal(count_events(reader), 4);
    assert_ok(fbat_close(reader, &fault));
}

/* A reader of a store that has no writer sees what was closed, durable all of it. */
static void reader_without_a_writer_sees_everything(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    for (int at = 0; at < 5; at++)
        append_text(fixture->store, "one", "scope", "payload");
    close_store(fixture);
    struct fbat_store *reader = open_reader(fixture);
    assert_visible(reader, 5);
    struct fbat_frontier frontier;
    fbat_frontier(reader, &frontier);
    assert_int_equal(frontier.durable, 5);
    assert_int_equal(count_events(reader), 5);
    assert_ok(fbat_close(reader, &fault));
}

/* Which is where LOCK is gone as well, as in a copy that left it out. */
static void reader_works_without_the_lock_file(void **state) {
    struct fixture *fixture = *state;
    char path[TEST_PATH_SIZE];
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    close_store(fixture);
    join_path(fixture->dir, "LOCK", path);
    assert_int_equal(unlink(path), 0);
    struct fbat_store *reader = open_reader(fixture);
    assert_int_equal(count_events(reader), 1);
    open_store(fixture); /* which makes it anew, and the reader finds it */
    append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(count_events(reader), 2);
    assert_ok(fbat_close(reader, &fault));
}

static void reader_cannot_write(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "payload");
    struct fbat_store *reader = open_reader(fixture);
    struct fbat_new_event event = event_of("one", "scope", "payload");
    struct fbat_id id;
    assert_status(FBAT_ERR_READ_ONLY, fbat_append(reader, &event, NULL, NULL, &fault));
    assert_message_has(fixture->dir);
    assert_status(FBAT_ERR_READ_ONLY, fbat_append_batch(reader, &event, 1, NULL, NULL, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_sync(reader, &fault));
    assert_status(FBAT_ERR_READ_ONLY, fbat_id_generate(reader, &id, &fault));
    assert_ok(fbat_close(reader, &fault));
    assert_int_equal(count_events(fixture->store), 1);
}

static void readers_pins_and_iterators_survive_rotation(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    append_text(fixture->store, "one", "scope", "the first");
    struct fbat_store *reader = open_reader(fixture);
    struct fbat_event pinned, event;
    struct fbat_iterator *iterator;
    assert_ok(fbat_get_by_sequence(reader, 1, &pinned, &fault));
    assert_ok(fbat_query(reader, NULL, NULL, &iterator, &fault));
    for (int at = 0; at < 8; at++) {
        append_text(fixture->store, "one", "scope", "later");
        assert_int_equal(count_events(reader), at + 2);
    }
    assert_slice("the first", pinned.payload);
    assert_ok(fbat_iterator_next(iterator, &event, &fault));
    assert_slice("the first", event.payload);
    fbat_event_retain(&event, reader);
    assert_status(FBAT_END, fbat_iterator_next(iterator, &pinned, &fault));
    fbat_iterator_close(iterator);
    append_text(fixture->store, "one", "scope", "later");
    assert_slice("the first", event.payload);
    fbat_event_release(&event);
    fbat_event_release(&pinned);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- beside a writer in another process ---- */

enum { BATCH = 5 };

/* Appends a batch of BATCH events of one stream each time it is told to, and says so. */
static int write_batches(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct fbat_new_event batch[BATCH];
    for (int item = 0; item < BATCH; item++)
        batch[item] = event_of("one", "scope", "payload");
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    pipe_send(out);
    while (pipe_receive(in)) {
        child_check(fbat_append_batch(store, batch, BATCH, NULL, NULL, &error) == FBAT_OK);
        pipe_send(out);
    }
    child_check(fbat_close(store, &error) == FBAT_OK);
    return 0;
}

static void tell(struct child *child) {
    pipe_send(child->to);
    assert_true(pipe_receive(child->from));
}

static void close_child(struct child *child) {
    close(child->to);
    child->to = dup(child->from); /* child_wait closes both */
    assert_int_equal(child_wait(child), 0);
}

/* Across rotations, kill -9 of the writer and its return, a clean close and another return. */
static void reader_follows_a_writer_in_another_process(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 8 << 10; /* a few batches each */
    child_start(&child, write_batches, fixture);
    assert_true(pipe_receive(child.from));
    struct fbat_store *reader = open_reader(fixture);
    uint64_t batches = 0;
    for (int life = 0; life < 4; life++) {
        for (int at = 0; at < 12; at++) {
            tell(&child);
            batches++;
            assert_visible(reader, batches * BATCH);
            assert_int_equal(count_events(reader), batches * BATCH);
        }
        if (life % 2)
            close_child(&child);
        else
            child_kill(&child);
        assert_visible(reader, batches * BATCH);
        if (life == 3)
            break;
        child_start(&child, write_batches, fixture);
        assert_true(pipe_receive(child.from));
        assert_visible(reader, batches * BATCH);
    }
    struct fbat_stats stats;
    assert_ok(fbat_stats(reader, &stats, &fault));
    assert_true(stats.segments > 5);
    assert_ok(fbat_close(reader, &fault));
    assert_whole(fixture->dir);
}

enum { BATCHES = 1500 };

/* Writes batches as fast as it can, then waits to be killed. */
static int write_without_pause(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *store;
    struct fbat_error error;
    struct fbat_new_event batch[BATCH];
    (void)in;
    for (int item = 0; item < BATCH; item++) {
        batch[item] = event_of("one", "scope", "payload");
        batch[item].kind = item == 0 ? KIND_A : KIND_B;
    }
    child_check(fbat_open(&fixture->config, &store, &error) == FBAT_OK);
    pipe_send(out);
    for (uint64_t at = 0; at < test_scaled(BATCHES); at++)
        child_check(fbat_append_batch(store, batch, BATCH, NULL, NULL, &error) == FBAT_OK);
    for (;;)
        pause();
}

/* One look at a log that grows: gapless, and whole batches only. */
static void assert_prefix_of_batches(struct fbat_store *reader, uint64_t *seen) {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    struct fbat_query_options options = {.struct_size = sizeof options};
    struct fbat_region region = {.struct_size = sizeof region, .sequence_min = *seen + 1};
    assert_ok(fbat_query(reader, &region, &options, &iterator, &fault));
    uint64_t snapshot = fbat_iterator_snapshot(iterator), expected = *seen;
    assert_int_equal(snapshot % BATCH, 0);
    while (fbat_iterator_next(iterator, &event, &fault) == FBAT_OK) {
        assert_int_equal(event.sequence, ++expected);
        assert_int_equal(event.revision, expected);
        assert_int_equal(event.kind, expected % BATCH == 1 ? KIND_A : KIND_B);
    }
    assert_int_equal(expected, snapshot);
    fbat_iterator_close(iterator);
    *seen = snapshot;
}

static void reader_never_sees_half_a_batch(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    fixture->config.segment_max_bytes = 64 << 10;
    fixture->config.sync.every_n_events = 1000000;
    child_start(&child, write_without_pause, fixture);
    assert_true(pipe_receive(child.from));
    struct fbat_store *reader = open_reader(fixture);
    uint64_t seen = 0, last = test_scaled(BATCHES) * BATCH, next_late = 0;
    while (seen < last) {
        assert_prefix_of_batches(reader, &seen);
        if (seen >= next_late) { /* a reader that comes later sees the same */
            struct fbat_store *late = open_reader(fixture);
            uint64_t late_seen = 0;
            assert_prefix_of_batches(late, &late_seen);
            assert_true(late_seen >= seen);
            assert_ok(fbat_close(late, &fault));
            next_late = seen + last / 10;
        }
    }
    child_kill(&child);
    assert_prefix_of_batches(reader, &seen);
    assert_int_equal(seen, last);
    open_store(fixture); /* what readers saw stays */
    assert_int_equal(count_events(fixture->store), seen);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- without permission to write ---- */

static int read_as_nobody(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *reader;
    struct fbat_error error;
    struct fbat_check_report report;
    uint64_t count;
    child_check(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    child_check(fbat_query_count(reader, NULL, &count, &error) == FBAT_OK && count == 3);
    child_check(fbat_check(fixture->dir, NULL, &report, &error) == FBAT_OK && report.findings == 0);
    pipe_send(out);
    child_check(pipe_receive(in)); /* the writer has gone on */
    child_check(fbat_query_count(reader, NULL, &count, &error) == FBAT_OK && count == 6);
    child_check(fbat_close(reader, &error) == FBAT_OK);
    return 0;
}

static void check_reading_as_nobody(struct fixture *fixture, bool writer_stays) {
    struct child child;
    if (geteuid() != 0) {
        print_message("only root can try another user's permissions\n");
        skip();
    }
    assert_int_equal(chmod(fixture->root, 0755), 0);
    fixture->config.segment_max_bytes = 1;
    open_store(fixture);
    for (int at = 0; at < 3; at++)
        append_text(fixture->store, "one", "scope", "payload");
    if (!writer_stays)
        close_store(fixture);
    child_start(&child, read_as_nobody, fixture);
    assert_true(pipe_receive(child.from));
    if (!writer_stays)
        open_store(fixture);
    for (int at = 0; at < 3; at++)
        append_text(fixture->store, "one", "scope", "payload");
    pipe_send(child.to);
    assert_int_equal(child_wait(&child), 0);
}

static void reader_beside_a_writer_needs_no_permission_to_write(void **state) {
    check_reading_as_nobody(*state, true);
}

static void reader_alone_needs_no_permission_to_write(void **state) {
    check_reading_as_nobody(*state, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(reader_follows_a_writer_in_its_process),
        behaviour(reader_outlives_the_writer_and_meets_the_next),
        behaviour(reader_without_a_writer_sees_everything),
        behaviour(reader_works_without_the_lock_file),
        behaviour(reader_cannot_write),
        behaviour(readers_pins_and_iterators_survive_rotation),
        behaviour(reader_follows_a_writer_in_another_process),
        behaviour_in_memory(reader_never_sees_half_a_batch),
        behaviour(reader_beside_a_writer_needs_no_permission_to_write),
        behaviour(reader_alone_needs_no_permission_to_write),
    };
    return cmocka_run_group_tests_name("api: read-only handles", tests, NULL, NULL);
}
