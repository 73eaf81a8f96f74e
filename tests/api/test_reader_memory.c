/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What readers hold. A segment that a reader follows frame by frame is indexed in its memory, and once the writer has sealed
 * it, the mapped footer takes that place: so a reader's own memory does not grow with the store. And nothing is left
 * behind by iterators and events: mappings and descriptors, counted from outside, are as many as before.
 */
#include "fixture.h"

#include <dirent.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

enum {
    SEGMENT_BYTES = 128 << 10,
    EVENTS_OF_ONE = 500, /* fill a segment, more or less; its index takes some 80 KiB in memory */
    WARM_UP = 20,
    SEGMENTS = 120,
    OWN_BYTES_MAX = 6 << 10, /* what a reader may keep of its own for each segment: handles, not rows */
};

/* ---- what the system says about this process ---- */

/* Memory that is this process's alone. Not "Private_Dirty" as a whole: that counts pages of the segments too, while only
 * this process maps them and the writer has not synced them. */
static uint64_t own_bytes(void) {
    FILE *file = fopen("/proc/self/smaps_rollup", "re");
    char line[256];
    unsigned long long kilobytes = 0;
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "Anonymous: %llu kB", &kilobytes) == 1)
            break;
    fclose(file);
    return kilobytes * 1024;
}

static uint64_t count_descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    uint64_t count = 0;
    if (!directory)
        return 0;
    while (readdir(directory))
        count++;
    closedir(directory);
    return count;
}

/* Mappings of segments. */
static uint64_t count_mappings(void) {
    FILE *file = fopen("/proc/self/maps", "re");
    char line[TEST_PATH_SIZE + 128];
    uint64_t count = 0;
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        count += strstr(line, ".fbat\n") != NULL;
    fclose(file);
    return count;
}

/* ---- a reader beside a writer that seals ---- */

/* Until the writer has sealed every segment that it has left, and the handle has seen that. */
static uint64_t await_sealed(struct fbat_store *handle) {
    struct fbat_stats stats;
    time_t begun = time(NULL);
    do {
        sched_yield();
        assert_ok(fbat_stats(handle, &stats, &fault));
        assert_true(time(NULL) - begun <= PATIENCE_MS / 1000);
    } while (stats.segments_sealed + 1 < stats.segments);
    return stats.segments;
}

static void append_segments(struct fixture *fixture, int segments) {
    enum { BATCH = 100 };
    struct fbat_new_event batch[BATCH];
    char names[BATCH][16];
    for (int item = 0; item < BATCH; item++) {
        snprintf(names[item], sizeof names[item], "entity %d", item % 40);
        batch[item] = event_of(names[item], "scope", "a payload of some length");
    }
    for (int at = 0; at < segments * EVENTS_OF_ONE / BATCH; at++)
        assert_ok(fbat_append_batch(fixture->store, batch, BATCH, NULL, NULL, &fault));
}

static int measure_reader(void *user, int in, int out) {
    struct fixture *fixture = user;
    struct fbat_store *reader;
    struct fbat_error error;
    uint64_t count, before = 0;
    child_check(fbat_open_read_only(&fixture->config, &reader, &error) == FBAT_OK);
    pipe_send(out);
    for (int at = 0; at < 2 * SEGMENTS; at++) { /* while a segment is being sealed, and after that */
        child_check(pipe_receive(in));
        child_check(fbat_query_count(reader, NULL, &count, &error) == FBAT_OK);
        child_check(count == (uint64_t)(at / 2 + 1) * EVENTS_OF_ONE);
        if (at == 2 * WARM_UP - 1)
            before = own_bytes();
        pipe_send(out);
    }
    uint64_t after = own_bytes(), grown = after > before ? after - before : 0;
    printf("own memory: %llu KiB with %d segments, %llu KiB with %d\n", (unsigned long long)before / 1024, WARM_UP,
           (unsigned long long)after / 1024, SEGMENTS);
    child_check(grown < (uint64_t)(SEGMENTS - WARM_UP) * OWN_BYTES_MAX);
    child_check(fbat_close(reader, &error) == FBAT_OK);
    return 0;
}

static void readers_memory_does_not_grow_with_sealed_segments(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    if (SANITIZED || own_bytes() == 0) {
        print_message("needs /proc/self/smaps_rollup, and an allocator without a sanitizer's quarantine\n");
        skip();
    }
    fixture->config.segment_max_bytes = SEGMENT_BYTES;
    open_store(fixture);
    close_store(fixture);
    child_start(&child, measure_reader, fixture);
    assert_true(pipe_receive(child.from));
    open_store(fixture);
    for (int at = 0; at < SEGMENTS; at++) {
        append_segments(fixture, 1);
        pipe_send(child.to);
        assert_true(pipe_receive(child.from));
        (void)await_sealed(fixture->store);
        pipe_send(child.to);
        assert_true(pipe_receive(child.from));
    }
    assert_int_equal(child_wait(&child), 0);
}

/* The old one of two segments gets its footer when the store is opened the next time: the reader takes it then. */
static void reader_gives_back_the_index_of_a_segment_that_was_taken_over(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader;
    struct fbat_stats stats;
    fixture->config.sync.max_delay_ms = 0;
    open_store_watched(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    append_text(fixture->store, "one", "scope", "payload");
    assert_ok(fbat_sync(fixture->store, &fault));
    append_text(fixture->store, "one", "scope", "payload");
    assert_int_equal(count_events(reader), 2);
    atomic_store(&watched_disk.syncs_to_fail, 1);
    assert_ok(fbat_sync(fixture->store, &fault)); /* in another segment */
    append_text(fixture->store, "one", "scope", "payload");
    assert_ok(fbat_stats(reader, &stats, &fault));
    assert_int_equal(stats.segments, 2);
    assert_int_equal(stats.segments_sealed, 0);
    reopen_store(fixture);
    assert_ok(fbat_stats(reader, &stats, &fault));
    assert_int_equal(stats.segments_sealed, 1);
    assert_int_equal(count_events(reader), 3);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- iterators and events kept for long ---- */

/* An iterator that was begun at `snapshot`, and an event that it gave and that was retained. */
struct keepsake {
    struct fbat_iterator *iterator;
    struct fbat_event event;
    uint64_t snapshot;
};

enum { KEEPSAKES = 60 };

/* "at sequence N", for each event of the store. */
static void append_numbered(struct fixture *fixture, uint64_t *sequence, int count) {
    for (int at = 0; at < count; at++) {
        char payload[40];
        snprintf(payload, sizeof payload, "at sequence %llu", (unsigned long long)++*sequence);
        append_text(fixture->store, *sequence % 2 ? "odd" : "even", "scope", payload);
    }
}

static void assert_numbered(const struct fbat_event *event, uint64_t sequence) {
    char payload[40];
    snprintf(payload, sizeof payload, "at sequence %llu", (unsigned long long)sequence);
    assert_int_equal(event->sequence, sequence);
    assert_slice(payload, event->payload);
}

/* Takes one event, retains it, and leaves the iterator where it is. */
static struct keepsake begin_keepsake(struct fbat_store *handle, uint64_t sequence) {
    struct keepsake keepsake;
    assert_ok(fbat_query(handle, NULL, NULL, &keepsake.iterator, &fault));
    assert_ok(fbat_iterator_next(keepsake.iterator, &keepsake.event, &fault));
    fbat_event_retain(&keepsake.event, handle);
    assert_non_null(keepsake.event.pin);
    keepsake.snapshot = fbat_iterator_snapshot(keepsake.iterator);
    assert_int_equal(keepsake.snapshot, sequence);
    return keepsake;
}

/* The iterator gives what there was when it was begun; the event outlives it. */
static void end_keepsake(struct fbat_store *handle, struct keepsake *keepsake) {
    struct fbat_event event = keepsake->event, last = {0};
    uint64_t sequence = 1;
    while (fbat_iterator_next(keepsake->iterator, &event, &fault) == FBAT_OK) {
        assert_numbered(&event, ++sequence);
        last = event;
    }
    assert_int_equal(sequence, keepsake->snapshot);
    if (last.sequence != 0) {
        fbat_event_retain(&last, handle);
        assert_non_null(last.pin);
    }
    fbat_iterator_close(keepsake->iterator);
    assert_numbered(&keepsake->event, 1);
    if (last.sequence != 0)
        assert_numbered(&last, keepsake->snapshot);
    fbat_event_release(&last);
    fbat_event_release(&keepsake->event);
}

/* Not at once: what the store's threads do in the background holds something, too. */
static void await_at_most(uint64_t (*count)(void), uint64_t most) {
    time_t begun = time(NULL);
    while (count() > most) {
        sched_yield();
        assert_true(time(NULL) - begun <= PATIENCE_MS / 1000);
    }
}

/* Iterators are begun all along, and all of them stay open to the end. handles: of the store, in this process. */
static void keep_and_count(struct fixture *fixture, struct fbat_store *handle, uint64_t handles) {
    static struct keepsake keepsakes[KEEPSAKES];
    uint64_t sequence = 0, descriptors = count_descriptors();
    append_numbered(fixture, &sequence, 10);
    for (int at = 0; at < KEEPSAKES; at++) {
        keepsakes[at] = begin_keepsake(handle, sequence);
        append_numbered(fixture, &sequence, 10); /* more than a segment */
        assert_int_equal(count_events(handle), sequence);
    }
    uint64_t segments = await_sealed(handle);
    assert_true(segments > KEEPSAKES);
    for (int at = 0; at < KEEPSAKES; at++)
        end_keepsake(handle, &keepsakes[at]);
    (void)await_sealed(fixture->store);
    await_at_most(count_mappings, handles * (segments + 1));
    await_at_most(count_descriptors, descriptors + 2 * handles); /* the active segment, for each */
}

static void iterators_left_open_in_a_writer_neither_block_it_nor_leak(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 2 << 10;
    open_store(fixture);
    keep_and_count(fixture, fixture->store, 1);
}

static void iterators_left_open_in_a_reader_neither_block_the_writer_nor_leak(void **state) {
    struct fixture *fixture = *state;
    struct fbat_store *reader;
    fixture->config.segment_max_bytes = 2 << 10;
    open_store(fixture);
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    keep_and_count(fixture, reader, 2);
    assert_ok(fbat_close(reader, &fault));
    close_store(fixture);
    assert_int_equal(count_mappings(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour_in_memory(readers_memory_does_not_grow_with_sealed_segments),
        behaviour_in_memory(reader_gives_back_the_index_of_a_segment_that_was_taken_over),
        behaviour_in_memory(iterators_left_open_in_a_writer_neither_block_it_nor_leak),
        behaviour_in_memory(iterators_left_open_in_a_reader_neither_block_the_writer_nor_leak),
    };
    return cmocka_run_group_tests_name("api: what readers hold", tests, NULL, NULL);
}
