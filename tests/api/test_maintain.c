/* SPDX-License-Identifier: Apache-2.0 */
/* Stats, check and dump of whole stores; test_tamper.c has the damaged ones. */
#include "fixture.h"

#include <sys/stat.h>
#include <unistd.h>

static struct fbat_stats stats_of(struct fbat_store *store) {
    struct fbat_stats stats;
    assert_ok(fbat_stats(store, &stats, &fault));
    return stats;
}

/* 2 kinds named, 20 events in 3 streams, a batch among them, over several segments. */
static void write_some(struct fixture *fixture) {
    fixture->config.segment_max_bytes = 6 << 10;
    open_store(fixture);
    assert_ok(fbat_kind_define(fixture->store, KIND_A, fbat_text("a"), &fault));
    assert_ok(fbat_kind_define(fixture->store, KIND_B, fbat_text("b"), &fault));
    static const char *const entities[] = {"one", "two", "three"};
    struct fbat_new_event batch[5];
    for (int item = 0; item < 5; item++)
        batch[item] = event_of(entities[item % 3], "scope", "payload");
    for (int round = 0; round < 3; round++) {
        assert_ok(fbat_append_batch(fixture->store, batch, 5, NULL, NULL, &fault));
        append_text(fixture->store, "one", "scope", "payload");
    }
    append_text(fixture->store, "two", "scope", "payload");
    append_text(fixture->store, "two", "scope", "payload");
}

/* ---- stats ---- */

static void empty_store_counts_nothing(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_stats stats = stats_of(fixture->store);
    assert_int_equal(stats.events + stats.system_events + stats.streams + stats.kinds_named, 0);
    assert_int_equal(stats.segments + stats.segments_sealed + stats.bytes_of_frames + stats.bytes_of_footers, 0);
    assert_int_equal(stats.first_sequence + stats.last_sequence, 0);
    assert_int_equal(stats.first_recorded_us, 0);
    assert_int_equal(stats.last_recorded_us, 0);
    assert_int_equal(stats.disk_version, FBAT_DISK_VERSION);
    assert_true(stats.created_us > 0);
    assert_false(fbat_id_is_none(&stats.store_id));
    assert_status(FBAT_ERR_ARGUMENT, fbat_stats(fixture->store, NULL, &fault));
}

static void stats_count_what_is_there(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    for (int pass = 0; pass < 2; pass++) {
        struct fbat_stats stats = stats_of(fixture->store);
        assert_int_equal(stats.events, 20);
        assert_int_equal(stats.system_events, 2);
        assert_int_equal(stats.streams, 3);
        assert_int_equal(stats.kinds_named, 2);
        assert_int_equal(stats.first_sequence, 1);
        assert_int_equal(stats.last_sequence, 22);
        /* Sealing follows in the background; closing waits for it. */
        assert_true(stats.segments_sealed <= stats.segments - 1);
        assert_true(pass == 0 || stats.segments_sealed == stats.segments - 1);
        assert_true(stats.segments >= 2);
        assert_true(stats.memory_index > 0);
        struct fbat_event event;
        assert_ok(fbat_get_by_sequence(fixture->store, 22, &event, &fault));
        assert_int_equal(stats.last_recorded_us, event.recorded_us);
        assert_int_equal(stats.segments, event.segment_id);
        fbat_event_release(&event);
        reopen_store(fixture);
    }
}

static int add_frame_bytes(void *user, const struct fbat_dump_entry *entry) {
    *(uint64_t *)user += entry->what == FBAT_DUMP_FRAME ? entry->bytes : 0;
    return 0;
}

static void stats_agree_with_the_files(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    reopen_store(fixture); /* nothing reserved ahead any more */
    struct fbat_stats stats = stats_of(fixture->store);
    uint64_t frames = 0, sizes = 0, blocks = 0;
    assert_ok(fbat_dump(fixture->dir, 0, add_frame_bytes, &frames, &fault));
    for (uint64_t segment_id = 1; segment_id <= stats.segments; segment_id++) {
        char path[TEST_PATH_SIZE];
        struct stat status;
        segment_path_of(fixture->dir, segment_id, path);
        assert_int_equal(stat(path, &status), 0);
        sizes += (uint64_t)status.st_size;
        blocks += (uint64_t)status.st_blocks * 512;
    }
    assert_int_equal(stats.bytes_of_frames, frames);
    assert_int_equal(stats.bytes_on_disk, blocks);
    assert_int_equal(stats.segments * 4096 + stats.bytes_of_frames + stats.bytes_of_footers, sizes);
}

static void two_stores_have_two_identities(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_id first = stats_of(fixture->store).store_id;
    reopen_store(fixture);
    struct fbat_id again = stats_of(fixture->store).store_id;
    assert_id_equal(first, again);
    close_store(fixture);
    assert_true(test_remove_tree(fixture->dir));
    open_store(fixture);
    struct fbat_id other = stats_of(fixture->store).store_id;
    assert_memory_not_equal(first.bytes, other.bytes, 16);
}

/* ---- check ---- */

struct progress {
    uint64_t last_done, total;
    int calls, stop_at;
};

static int note_progress(void *user, uint64_t bytes_done, uint64_t bytes_total) {
    struct progress *progress = user;
    assert_true(bytes_done <= bytes_total);
    assert_true(bytes_done >= progress->last_done);
    progress->last_done = bytes_done;
    progress->total = bytes_total;
    return ++progress->calls == progress->stop_at;
}

static void check_verifies_everything(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    struct fbat_stats stats = stats_of(fixture->store);
    for (int pass = 0; pass < 2; pass++) { /* beside the writer, and after it closed */
        struct fbat_check_report report = assert_whole(fixture->dir);
        assert_int_equal(report.segments, stats.segments);
        assert_true(report.footers <= stats.segments - 1);
        assert_true(pass == 0 || report.footers == stats.segments - 1);
        assert_int_equal(report.frames, 2 + 3 + 3 + 2);
        assert_int_equal(report.events, 22);
        assert_int_equal(report.streams, 4);
        assert_int_equal(report.last_sequence, 22);
        assert_true(pass == 0 || report.remarks == 0);
        assert_true(report.bytes > 0);
        if (pass == 0)
            close_store(fixture);
    }
}

static void check_reports_progress_and_stops_when_told_to(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    close_store(fixture);
    struct progress progress = {0};
    struct fbat_check_options options = {.struct_size = sizeof options, .progress = note_progress, .user = &progress};
    struct fbat_check_report report;
    assert_ok(fbat_check(fixture->dir, &options, &report, &fault));
    assert_true(progress.calls > 1);
    assert_int_equal(progress.last_done, progress.total);
    assert_int_equal(progress.total, report.bytes);
    progress = (struct progress){.stop_at = 1};
    assert_ok(fbat_check(fixture->dir, &options, NULL, &fault));
    assert_int_equal(progress.calls, 1);
    options.struct_size = 1;
    assert_status(FBAT_ERR_ARGUMENT, fbat_check(fixture->dir, &options, NULL, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_check(NULL, NULL, NULL, &fault));
}

static void check_of_an_empty_store_is_fine(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).events, 0);
    close_store(fixture);
    assert_int_equal(assert_whole(fixture->dir).segments, 0);
}

/* ---- dump ---- */

struct walk {
    uint64_t segment_id, end, frame_end, sequence;
    int segments, frames, events, footers, broken, stop_at;
};

static void walk_event(struct walk *walk, const struct fbat_dump_entry *entry) {
    walk->events++;
    assert_non_null(entry->event);
    assert_int_equal(entry->event->sequence, ++walk->sequence);
    assert_int_equal(entry->event->offset, entry->offset);
    assert_null(entry->event->pin);
    assert_true(entry->offset + entry->bytes <= walk->frame_end);
}

/* Entries come in file order, each behind the one before. */
static int walk_entry(void *user, const struct fbat_dump_entry *entry) {
    struct walk *walk = user;
    assert_non_null(entry->detail);
    switch (entry->what) {
    case FBAT_DUMP_SEGMENT:
        walk->segments++;
        assert_int_equal(entry->segment_id, walk->segment_id + 1);
        assert_int_equal(entry->offset, 0);
        assert_int_equal(entry->first_sequence, walk->sequence + 1);
        walk->segment_id = entry->segment_id;
        walk->end = entry->bytes;
        break;
    case FBAT_DUMP_FRAME:
        walk->frames++;
        assert_int_equal(entry->offset, walk->end);
        assert_int_equal(entry->first_sequence, walk->sequence + 1);
        assert_true(entry->durable_sequence < entry->first_sequence);
        walk->end = walk->frame_end = entry->offset + entry->bytes;
        break;
    case FBAT_DUMP_EVENT: walk_event(walk, entry); break;
    case FBAT_DUMP_FOOTER:
        walk->footers++;
        assert_true(entry->offset >= walk->end);
        walk->end = entry->offset + entry->bytes;
        break;
    case FBAT_DUMP_BROKEN: walk->broken++; break;
    }
    return walk->segments + walk->frames + walk->events == walk->stop_at ? 7 : 0;
}

static void dump_shows_every_part_in_order(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    struct fbat_stats stats = stats_of(fixture->store);
    close_store(fixture);
    struct walk walk = {0};
    assert_ok(fbat_dump(fixture->dir, 0, walk_entry, &walk, &fault));
    assert_int_equal(walk.segments, stats.segments);
    assert_int_equal(walk.frames, 10);
    assert_int_equal(walk.events, 22);
    assert_int_equal(walk.broken, 0);
    assert_true(walk.footers >= (int)stats.segments_sealed * 2);
}

static void dump_is_of_one_segment_or_stops_when_told_to(void **state) {
    struct fixture *fixture = *state;
    write_some(fixture);
    close_store(fixture);
    struct walk walk = {0};
    assert_ok(fbat_dump(fixture->dir, 1, walk_entry, &walk, &fault));
    assert_int_equal(walk.segments, 1);
    walk = (struct walk){.stop_at = 4};
    assert_int_equal(fbat_dump(fixture->dir, 0, walk_entry, &walk, &fault), 7);
    assert_int_equal(walk.segments + walk.frames + walk.events, 4);
    assert_status(FBAT_ERR_NOT_FOUND, fbat_dump(fixture->dir, 99, walk_entry, &walk, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_dump(fixture->dir, 0, NULL, NULL, &fault));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_dump("/nowhere/at/all", 0, walk_entry, &walk, &fault));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(empty_store_counts_nothing),
        behaviour(stats_count_what_is_there),
        behaviour(stats_agree_with_the_files),
        behaviour(two_stores_have_two_identities),
        behaviour(check_verifies_everything),
        behaviour(check_reports_progress_and_stops_when_told_to),
        behaviour(check_of_an_empty_store_is_fine),
        behaviour(dump_shows_every_part_in_order),
        behaviour(dump_is_of_one_segment_or_stops_when_told_to),
    };
    return cmocka_run_group_tests_name("api: stats, check, dump", tests, NULL, NULL);
}
