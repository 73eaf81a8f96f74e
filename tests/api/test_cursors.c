/* SPDX-License-Identifier: Apache-2.0 */
/* Guaranteed cursors: where they start, what a poll gives, when it waits. */
#include "fixture.h"

#include <unistd.h>

enum { BATCH = 16 };

static struct fbat_cursor *open_cursor(struct fbat_store *store, const struct fbat_region *region,
                                       const struct fbat_cursor_options *options) {
    struct fbat_cursor *cursor;
    assert_ok(fbat_cursor_open(store, region, options, &cursor, &fault));
    return cursor;
}

static struct fbat_cursor *open_from(struct fbat_store *store, enum fbat_cursor_from from, uint64_t sequence,
                                     int64_t time_us) {
    const struct fbat_cursor_options options = {
        .struct_size = sizeof options, .from = from, .sequence = sequence, .time_us = time_us};
    return open_cursor(store, NULL, &options);
}

static void append_times(struct fbat_store *store, const char *entity, unsigned times) {
    for (unsigned at = 0; at < times; at++)
        append_text(store, entity, "scope", "payload");
}

/* A poll that does not wait gives the events first to last; none where last is before first. */
#define assert_polled(cursor, first, last) check_polled((cursor), (first), (last), __FILE__, __LINE__)
static void check_polled(struct fbat_cursor *cursor, uint64_t first, uint64_t last, const char *file, int line) {
    struct fbat_event events[BATCH];
    size_t count = 0;
    bool none = last < first;
    check_status(none ? FBAT_RETRY : FBAT_OK, fbat_cursor_poll(cursor, events, BATCH, 0, &count, &fault), "poll", file,
                 line);
    _assert_int_equal(count, none ? 0 : last - first + 1, file, line);
    for (size_t at = 0; at < count; at++)
        _assert_int_equal(events[at].sequence, first + at, file, line);
}

static void cursor_catches_up_and_goes_live(void **state) {
    struct fixture *fixture = *state;
    fixture->config.segment_max_bytes = 3 << 10;
    open_store(fixture);
    append_times(fixture->store, "one", 20);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, NULL);
    assert_int_equal(fbat_cursor_position(cursor), 0);
    assert_polled(cursor, 1, 16);
    assert_int_equal(fbat_cursor_position(cursor), 16);
    append_times(fixture->store, "one", 3); /* the snapshot ends before them */
    assert_polled(cursor, 17, 20);
    assert_polled(cursor, 21, 23);
    assert_polled(cursor, 24, 23);
    append_times(fixture->store, "one", 1);
    assert_polled(cursor, 24, 24);
    fbat_cursor_close(cursor);
}

static void cursor_starts_where_it_is_told(void **state) {
    struct fixture *fixture = *state;
    int64_t time_us = 0;
    open_store(fixture);
    for (int at = 1; at <= 9; at++) {
        struct fbat_receipt receipt = append_text(fixture->store, "one", "scope", "payload");
        time_us = at == 5 ? receipt.recorded_us : time_us;
    }
    struct fbat_cursor *beginning = open_from(fixture->store, FBAT_CURSOR_BEGINNING, 0, 0);
    struct fbat_cursor *end = open_from(fixture->store, FBAT_CURSOR_END, 0, 0);
    struct fbat_cursor *sequence = open_from(fixture->store, FBAT_CURSOR_SEQUENCE, 7, 0);
    struct fbat_cursor *later = open_from(fixture->store, FBAT_CURSOR_SEQUENCE, 11, 0);
    struct fbat_cursor *time = open_from(fixture->store, FBAT_CURSOR_TIME, 0, time_us);
    struct fbat_cursor *future = open_from(fixture->store, FBAT_CURSOR_TIME, 0, INT64_MAX);
    append_times(fixture->store, "one", 1);
    assert_polled(later, 1, 0);
    append_times(fixture->store, "one", 2);
    assert_polled(beginning, 1, 12);
    assert_polled(end, 10, 12);
    assert_polled(sequence, 7, 12);
    assert_polled(later, 11, 12);
    assert_polled(future, 1, 0);
    struct fbat_event events[BATCH];
    size_t count;
    assert_ok(fbat_cursor_poll(time, events, BATCH, 0, &count, &fault));
    assert_true(events[0].recorded_us == time_us && events[0].sequence <= 5); /* others may share the microsecond */
    assert_int_equal(events[count - 1].sequence, 12);
    fbat_cursor_close(beginning);
    fbat_cursor_close(end);
    fbat_cursor_close(sequence);
    fbat_cursor_close(later);
    fbat_cursor_close(time);
    fbat_cursor_close(future);
}

static void events_of_a_poll_stay_until_the_next(void **state) {
    struct fixture *fixture = *state;
    struct fbat_event events[BATCH];
    char text[32];
    size_t count;
    fixture->config.segment_max_bytes = 1; /* each event in a segment of its own, which are sealed meanwhile */
    open_store(fixture);
    for (int at = 0; at < 8; at++) {
        snprintf(text, sizeof text, "payload %d", at);
        append_text(fixture->store, "one", "scope", text);
    }
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, NULL);
    assert_ok(fbat_cursor_poll(cursor, events, BATCH, 0, &count, &fault));
    append_times(fixture->store, "one", 20);
    assert_int_equal(count, 8);
    for (int at = 0; at < 8; at++) {
        snprintf(text, sizeof text, "payload %d", at);
        assert_slice(text, events[at].payload);
    }
    fbat_cursor_close(cursor);
}

static void cursor_goes_on_from_its_position_after_reopening(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_times(fixture->store, "one", 20);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, NULL);
    assert_polled(cursor, 1, 16);
    uint64_t position = fbat_cursor_position(cursor);
    fbat_cursor_close(cursor);
    reopen_store(fixture);
    append_times(fixture->store, "one", 1);
    cursor = open_from(fixture->store, FBAT_CURSOR_SEQUENCE, position + 1, 0);
    assert_polled(cursor, 17, 21);
    fbat_cursor_close(cursor);
}

/* The region decides what is given; the position passes by the rest. */
static void position_passes_by_other_events(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_region region = {
        .struct_size = sizeof region, .entity = fbat_text("two"), .scope = fbat_text("scope")};
    open_store(fixture);
    struct fbat_cursor *cursor = open_cursor(fixture->store, &region, NULL);
    append_times(fixture->store, "one", 5);
    assert_polled(cursor, 1, 0);
    assert_int_equal(fbat_cursor_position(cursor), 5);
    append_times(fixture->store, "two", 2);
    append_times(fixture->store, "one", 2);
    assert_polled(cursor, 6, 7);
    assert_polled(cursor, 1, 0);
    assert_int_equal(fbat_cursor_position(cursor), 9);
    fbat_cursor_close(cursor);
}

static void durable_only_holds_back_what_a_power_cut_may_take(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .durable_only = 1};
    fixture->config.sync.every_n_events = 1000000;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, &options);
    append_times(fixture->store, "one", 3);
    assert_polled(cursor, 1, 0);
    assert_ok(fbat_sync(fixture->store, &fault));
    append_times(fixture->store, "one", 2);
    assert_polled(cursor, 1, 3);
    assert_polled(cursor, 1, 0);
    assert_ok(fbat_sync(fixture->store, &fault));
    assert_polled(cursor, 4, 5);
    fbat_cursor_close(cursor);
}

/* ---- waiting ---- */

static struct poller {
    struct actor actor;
    struct fbat_cursor *cursor;
    int status;
    uint64_t sequence;
} poller;

static void poll_once_and_for_ever(void *user) {
    struct poller *self = user;
    struct fbat_event event;
    struct fbat_error error;
    size_t count;
    self->status = fbat_cursor_poll(self->cursor, &event, 1, FBAT_FOREVER, &count, &error);
    self->sequence = self->status == FBAT_OK ? event.sequence : 0;
}

static void start_poller(struct fbat_cursor *cursor) {
    poller.cursor = cursor;
    actor_start(&poller.actor, poll_once_and_for_ever, &poller);
    actor_await_sleep(&poller.actor);
    assert_false(actor_is_done(&poller.actor));
}

static void waiting_poll_is_woken_by_an_append(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_times(fixture->store, "one", 1);
    struct fbat_cursor *cursor = open_from(fixture->store, FBAT_CURSOR_END, 0, 0);
    struct fbat_event event;
    size_t count = 7;
    assert_status(FBAT_RETRY, fbat_cursor_poll(cursor, &event, 1, 3, &count, &fault));
    assert_int_equal(count, 0);
    start_poller(cursor);
    append_times(fixture->store, "one", 1);
    actor_join(&poller.actor);
    assert_int_equal(poller.status, FBAT_OK);
    assert_int_equal(poller.sequence, 2);
    fbat_cursor_close(cursor);
}

static void waiting_durable_poll_is_woken_by_a_sync(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .durable_only = 1};
    fixture->config.sync.every_n_events = 1000000;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, &options);
    start_poller(cursor);
    append_times(fixture->store, "one", 1);
    actor_await_sleep(&poller.actor);
    assert_false(actor_is_done(&poller.actor));
    assert_ok(fbat_sync(fixture->store, &fault));
    actor_join(&poller.actor);
    assert_int_equal(poller.status, FBAT_OK);
    fbat_cursor_close(cursor);
}

static void closing_the_store_ends_a_waiting_poll(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, NULL);
    start_poller(cursor);
    close_store(fixture);
    actor_join(&poller.actor);
    assert_int_equal(poller.status, FBAT_ERR_SHUTDOWN);
    fbat_cursor_close(cursor);
    fbat_cursor_close(NULL);
}

/* ---- read-only handles ---- */

static void reader_polls_what_a_writer_publishes(void **state) {
    struct fixture *fixture = *state;
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .durable_only = 1};
    fixture->config.segment_max_bytes = 3 << 10;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    append_times(fixture->store, "one", 3);
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_cursor *cursor = open_cursor(reader, NULL, NULL);
    struct fbat_cursor *durable = open_cursor(reader, NULL, &options);
    assert_polled(cursor, 1, 3);
    append_times(fixture->store, "one", 5);
    assert_polled(cursor, 4, 8);
    assert_ok(fbat_sync(fixture->store, &fault));
    struct fbat_event events[BATCH];
    size_t count;
    assert_ok(fbat_cursor_poll(durable, events, BATCH, PATIENCE_MS, &count, &fault));
    assert_int_equal(events[count - 1].sequence, 8);
    start_poller(cursor);
    append_times(fixture->store, "one", 1);
    actor_join(&poller.actor);
    assert_int_equal(poller.sequence, 9);
    fbat_cursor_close(cursor);
    fbat_cursor_close(durable);
    assert_ok(fbat_close(reader, &fault));
}

/* ---- names ---- */

static struct fbat_cursor *open_named(struct fbat_store *store, const char *name) {
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .name = fbat_text(name)};
    return open_cursor(store, NULL, &options);
}

struct listed {
    char text[256];
};

static int list_one(void *user, const struct fbat_cursor_info *info) {
    struct listed *listed = user;
    size_t used = strlen(listed->text);
    snprintf(listed->text + used, sizeof listed->text - used, "%.*s@%llu-%llu ", (int)info->name.size,
             (const char *)info->name.data, (unsigned long long)info->position, (unsigned long long)info->lag);
    return info->committed_us > 0 ? 0 : -1;
}

#define assert_listed(store, expected)                                                                                 \
    do {                                                                                                               \
        struct listed listed = {""};                                                                                   \
        assert_ok(fbat_cursors((store), list_one, &listed, &fault));                                                   \
        assert_string_equal(listed.text, expected);                                                                    \
    } while (0)

static void named_cursor_goes_on_from_its_commit(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_times(fixture->store, "one", 40);
    struct fbat_cursor *cursor = open_named(fixture->store, "mailer");
    assert_polled(cursor, 1, 16);
    assert_ok(fbat_cursor_commit(cursor, &fault));
    assert_polled(cursor, 17, 32); /* not committed */
    fbat_cursor_close(cursor);
    reopen_store(fixture);
    cursor = open_named(fixture->store, "mailer");
    assert_int_equal(fbat_cursor_position(cursor), 16);
    assert_polled(cursor, 17, 32);
    assert_ok(fbat_cursor_commit(cursor, &fault));
    fbat_cursor_close(cursor);
    struct fbat_cursor *other = open_named(fixture->store, "other");
    assert_polled(other, 1, 16);
    assert_listed(fixture->store, "mailer@32-8 ");
    fbat_cursor_close(other);
}

static void commit_makes_the_log_durable_first(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1000000;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    append_times(fixture->store, "one", 5);
    assert_int_equal(frontier_now(fixture->store).durable, 0);
    struct fbat_cursor *cursor = open_named(fixture->store, "mailer");
    assert_polled(cursor, 1, 5);
    assert_ok(fbat_cursor_commit(cursor, &fault));
    assert_int_equal(frontier_now(fixture->store).durable, 5);
    fbat_cursor_close(cursor);
}

/* Which cannot sync the log: only what is durable counts. */
static void reader_commits_what_is_durable(void **state) {
    struct fixture *fixture = *state;
    fixture->config.sync.every_n_events = 1000000;
    fixture->config.sync.max_delay_ms = 0;
    open_store(fixture);
    append_times(fixture->store, "one", 3);
    assert_ok(fbat_sync(fixture->store, &fault));
    append_times(fixture->store, "one", 4);
    struct fbat_store *reader;
    assert_ok(fbat_open_read_only(&fixture->config, &reader, &fault));
    struct fbat_cursor *cursor = open_named(reader, "mailer");
    assert_polled(cursor, 1, 7);
    assert_ok(fbat_cursor_commit(cursor, &fault));
    assert_listed(fixture->store, "mailer@3-4 ");
    assert_listed(reader, "mailer@3-4 ");
    fbat_cursor_close(cursor);
    assert_ok(fbat_close(reader, &fault));
}

static int commit_in_child(void *user, int in, int out) {
    struct fixture *fixture = user;
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .name = fbat_text("mailer")};
    struct fbat_store *reader;
    struct fbat_cursor *cursor;
    struct fbat_event event;
    size_t count;
    (void)in;
    child_check(fbat_open_read_only(&fixture->config, &reader, NULL) == FBAT_OK);
    child_check(fbat_cursor_open(reader, NULL, &options, &cursor, NULL) == FBAT_OK);
    child_check(fbat_cursor_poll(cursor, &event, 1, 0, &count, NULL) == FBAT_OK);
    child_check(fbat_cursor_commit(cursor, NULL) == FBAT_OK);
    pipe_send(out);
    child_check(fbat_cursor_poll(cursor, &event, 1, 0, &count, NULL) == FBAT_OK);
    while (pipe_receive(in))
        continue;
    return 0;
}

static void commit_of_a_killed_process_counts(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    append_times(fixture->store, "one", 3);
    assert_ok(fbat_sync(fixture->store, &fault));
    struct fbat_cursor *ours = open_named(fixture->store, "ours");
    assert_ok(fbat_cursor_commit(ours, &fault)); /* state.mdb is open here as well */
    child_start(&child, commit_in_child, fixture);
    assert_true(pipe_receive(child.from));
    child_kill(&child);
    assert_listed(fixture->store, "mailer@1-2 ours@0-3 ");
    struct fbat_cursor *cursor = open_named(fixture->store, "mailer");
    assert_polled(cursor, 2, 3);
    assert_ok(fbat_cursor_commit(cursor, &fault));
    assert_listed(fixture->store, "mailer@3-0 ours@0-3 ");
    fbat_cursor_close(cursor);
    fbat_cursor_close(ours);
}

static void names_are_reset_and_removed(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    append_times(fixture->store, "one", 5);
    assert_listed(fixture->store, "");
    assert_status(FBAT_ERR_NOT_FOUND, fbat_cursor_remove(fixture->store, fbat_text("b"), &fault));
    assert_ok(fbat_cursor_reset(fixture->store, fbat_text("b"), 2, &fault));
    assert_ok(fbat_cursor_reset(fixture->store, fbat_text("a"), 0, &fault));
    assert_ok(fbat_cursor_reset(fixture->store, fbat_text("c"), 5, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_reset(fixture->store, fbat_text("c"), 6, &fault));
    assert_listed(fixture->store, "a@0-5 b@2-3 c@5-0 ");
    struct fbat_cursor *cursor = open_named(fixture->store, "b");
    assert_polled(cursor, 3, 5);
    fbat_cursor_close(cursor);
    assert_ok(fbat_cursor_remove(fixture->store, fbat_text("b"), &fault));
    assert_status(FBAT_ERR_NOT_FOUND, fbat_cursor_remove(fixture->store, fbat_text("b"), &fault));
    assert_message_has("named b");
    assert_listed(fixture->store, "a@0-5 c@5-0 ");
    assert_whole(fixture->dir);
}

/* More than the map begins with. */
static void file_grows_with_the_names(void **state) {
    enum { NAMES = 6000 };
    struct fixture *fixture = *state;
    char name[256];
    open_store(fixture);
    append_times(fixture->store, "one", 1);
    for (unsigned at = 0; at < NAMES; at++) {
        snprintf(name, sizeof name, "%0200u", at);
        assert_ok(fbat_cursor_reset(fixture->store, fbat_text(name), 1, &fault));
    }
    struct fbat_cursor *cursor = open_named(fixture->store, name);
    assert_int_equal(fbat_cursor_position(cursor), 1);
    fbat_cursor_close(cursor);
}

/* The directory of a store whose log was put back to an earlier day. */
static void position_beyond_the_log_is_an_error(void **state) {
    struct fixture *fixture = *state;
    char copy[TEST_PATH_SIZE], from[TEST_PATH_SIZE], to[TEST_PATH_SIZE];
    struct fbat_cursor *cursor = NULL;
    const struct fbat_cursor_options options = {.struct_size = sizeof options, .name = fbat_text("mailer")};
    open_store(fixture);
    append_times(fixture->store, "one", 3);
    close_store(fixture);
    join_path(fixture->root, "copy", copy);
    copy_store(fixture->dir, copy);
    open_store(fixture);
    append_times(fixture->store, "one", 3);
    assert_ok(fbat_cursor_reset(fixture->store, options.name, 6, &fault));
    close_store(fixture);
    join_path(fixture->dir, "state.mdb", from);
    join_path(copy, "state.mdb", to);
    size_t size;
    uint8_t *bytes = read_file(from, &size);
    write_file(to, bytes, size);
    free(bytes);
    fixture->config.data_dir = copy;
    open_store(fixture);
    assert_status(FBAT_ERR_DAMAGED, fbat_cursor_open(fixture->store, NULL, &options, &cursor, &fault));
    assert_message_has("older copy");
    assert_ok(fbat_cursor_reset(fixture->store, options.name, 3, &fault));
    assert_ok(fbat_cursor_open(fixture->store, NULL, &options, &cursor, &fault));
    fbat_cursor_close(cursor);
    close_store(fixture);
}

static void bad_names_are_refused(void **state) {
    struct fixture *fixture = *state;
    char longest[257];
    memset(longest, 'n', 256);
    longest[256] = 0;
    struct fbat_cursor_options options = {.struct_size = sizeof options, .name = fbat_text(longest)};
    struct fbat_cursor *cursor = NULL;
    open_store(fixture);
    assert_status(FBAT_ERR_NAME, fbat_cursor_open(fixture->store, NULL, &options, &cursor, &fault));
    assert_status(FBAT_ERR_NAME, fbat_cursor_reset(fixture->store, fbat_text("new\nline"), 0, &fault));
    assert_status(FBAT_ERR_NAME, fbat_cursor_remove(fixture->store, fbat_text(""), &fault));
    assert_ok(fbat_cursor_reset(fixture->store, fbat_text(longest + 1), 0, &fault));
    cursor = open_cursor(fixture->store, NULL, NULL);
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_commit(cursor, &fault));
    assert_message_has("no name");
    fbat_cursor_close(cursor);
    cursor = open_named(fixture->store, "mailer");
    close_store(fixture);
    assert_status(FBAT_ERR_SHUTDOWN, fbat_cursor_commit(cursor, &fault));
    fbat_cursor_close(cursor);
}

/* ---- misuse ---- */

static void bad_arguments_are_refused(void **state) {
    struct fixture *fixture = *state;
    open_store(fixture);
    struct fbat_cursor *cursor = NULL;
    struct fbat_cursor_options options = {.struct_size = 1};
    struct fbat_region region = {.struct_size = 1};
    struct fbat_event event;
    size_t count;
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_open(fixture->store, NULL, &options, &cursor, &fault));
    options.struct_size = sizeof options;
    options.from = (enum fbat_cursor_from)4;
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_open(fixture->store, NULL, &options, &cursor, &fault));
    assert_message_has("options.from");
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_open(fixture->store, &region, NULL, &cursor, &fault));
    assert_message_has("region.struct_size");
    assert_null(cursor);
    cursor = open_cursor(fixture->store, NULL, NULL);
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_poll(cursor, &event, 0, 0, &count, &fault));
    assert_status(FBAT_ERR_ARGUMENT, fbat_cursor_poll(NULL, &event, 1, 0, &count, &fault));
    assert_int_equal(fbat_cursor_position(NULL), 0);
    fbat_cursor_close(cursor);
}

static int use_in_child(void *user, int in, int out) {
    struct fbat_event event;
    size_t count;
    (void)in;
    (void)out;
    child_check(fbat_cursor_poll(user, &event, 1, 0, &count, NULL) == FBAT_ERR_FORKED);
    fbat_cursor_close(user);
    return 0;
}

static void cursor_does_not_cross_fork(void **state) {
    struct fixture *fixture = *state;
    struct child child;
    open_store(fixture);
    struct fbat_cursor *cursor = open_cursor(fixture->store, NULL, NULL);
    child_start(&child, use_in_child, cursor);
    assert_int_equal(child_wait(&child), 0);
    append_times(fixture->store, "one", 1);
    assert_polled(cursor, 1, 1);
    fbat_cursor_close(cursor);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        behaviour(cursor_catches_up_and_goes_live),
        behaviour(cursor_starts_where_it_is_told),
        behaviour(events_of_a_poll_stay_until_the_next),
        behaviour(cursor_goes_on_from_its_position_after_reopening),
        behaviour(position_passes_by_other_events),
        behaviour(durable_only_holds_back_what_a_power_cut_may_take),
        behaviour(waiting_poll_is_woken_by_an_append),
        behaviour(waiting_durable_poll_is_woken_by_a_sync),
        behaviour(closing_the_store_ends_a_waiting_poll),
        behaviour(reader_polls_what_a_writer_publishes),
        behaviour(named_cursor_goes_on_from_its_commit),
        behaviour(commit_makes_the_log_durable_first),
        behaviour(reader_commits_what_is_durable),
        behaviour(commit_of_a_killed_process_counts),
        behaviour(names_are_reset_and_removed),
        behaviour_in_memory(file_grows_with_the_names),
        behaviour(position_beyond_the_log_is_an_error),
        behaviour(bad_names_are_refused),
        behaviour(bad_arguments_are_refused),
        behaviour(cursor_does_not_cross_fork),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
