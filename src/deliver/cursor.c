/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guaranteed cursors.
 *
 * Happy path: a poll goes on where the last one ended, in the snapshot that is under way; when that is at its end and the poll
 * has nothing yet, the next snapshot begins where it ended. So there is no moment between catching up and going live, and
 * what a poll costs is what has come since the last one, or what it gives.
 *
 * A poll that has something ends with its snapshot instead of filling up from the next one: its events stand in segments that
 * the snapshot holds.
 *
 * Failure: what was found before it is given, and the next poll meets it again: the position stays before an event that cannot
 * be read. Closing the store answers FBAT_ERR_SHUTDOWN.
 */
#include "deliver/cursor.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

static int check_cursor_options(const struct fbat_cursor_options *options, struct fbat_error *error) {
    if (options->struct_size != sizeof *options)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.struct_size is %u, expected %zu: set it to sizeof options",
                         options->struct_size, sizeof *options);
    if ((int)options->from < FBAT_CURSOR_BEGINNING || options->from > FBAT_CURSOR_TIME)
        return error_set(error, FBAT_ERR_ARGUMENT, "options.from is %d, expected 0 to 3", (int)options->from);
    return options->name.size > 0 ? positions_check_name(options->name, error) : FBAT_OK;
}

/* Where the cursor starts: behind the answer. A time narrows the region instead, whose walk finds it. */
static uint64_t start_position(struct fbat_store *store, const struct fbat_cursor_options *options,
                               struct fbat_region *region) {
    switch (options->from) {
    case FBAT_CURSOR_END: return directory_visible(&store->directory);
    case FBAT_CURSOR_SEQUENCE: return options->sequence > 0 ? options->sequence - 1 : 0;
    case FBAT_CURSOR_TIME:
        if (options->time_us > region->time_min_us || region->time_min_us == 0)
            region->time_min_us = options->time_us;
        return 0;
    case FBAT_CURSOR_BEGINNING:
    default: return 0;
    }
}

/* What was committed under the cursor's name; FBAT_END: nothing, or it has none. */
static int find_position(struct fbat_cursor *cursor, struct fbat_store *store,
                         const struct fbat_cursor_options *options, uint64_t *out_position, struct fbat_error *error) {
    struct position position;
    if (options->name.size == 0)
        return FBAT_END;
    memcpy(cursor->name, options->name.data, options->name.size);
    cursor->name_size = options->name.size;
    int status = positions_open(store, false, &cursor->positions, error);
    if (status == FBAT_OK)
        status = positions_get(cursor->positions, options->name, &position, error);
    if (status != FBAT_OK)
        return status == FBAT_ERR_NOT_FOUND ? FBAT_END : status;
    if (position.sequence > directory_visible(&store->directory))
        return error_set(
            error, FBAT_ERR_DAMAGED,
            "the cursor %.*s is at sequence %llu, and the log ends at %llu: it is an older copy; reset the "
            "cursor",
            (int)options->name.size, (const char *)options->name.data, (unsigned long long)position.sequence,
            (unsigned long long)directory_visible(&store->directory));
    *out_position = position.sequence;
    return FBAT_OK;
}

int cursor_create(struct fbat_store *store, const struct fbat_region *region, const struct fbat_cursor_options *options,
                  struct fbat_cursor **out_cursor, struct fbat_error *error) {
    static const struct fbat_cursor_options defaults = {.struct_size = sizeof defaults};
    struct fbat_region narrowed = {.struct_size = sizeof narrowed};
    options = options ? options : &defaults;
    FBAT_TRY(check_cursor_options(options, error));
    FBAT_TRY(store_catch_up(store, error));
    struct fbat_cursor *cursor = memory_allocate_zero(sizeof *cursor);
    if (!cursor)
        return error_set_no_memory(error);
    if (region && region->struct_size == sizeof *region)
        narrowed = *region;
    else if (region)
        narrowed.struct_size = region->struct_size; /* which feed_init refuses */
    uint64_t position = 0;
    int status = find_position(cursor, store, options, &position, error);
    if (status == FBAT_END)
        position = start_position(store, options, &narrowed);
    if (status >= 0)
        status = feed_init(&cursor->feed, store, &narrowed, position, error);
    if (status < 0) {
        positions_close(cursor->positions);
        memory_free(cursor);
        return status;
    }
    cursor->durable_only = options->durable_only;
    cursor->fork_generation = store->fork_generation;
    cursor->notifier = store->notifier;
    notifier_retain(store->notifier);
    *out_cursor = cursor;
    return FBAT_OK;
}

void cursor_abandon(struct fbat_cursor *cursor) {
    memory_free(cursor->feed.names);
    memory_free(cursor);
}

void cursor_destroy(struct fbat_cursor *cursor) {
    feed_deinit(&cursor->feed);
    positions_close(cursor->positions);
    notifier_release(cursor->notifier);
    memory_free(cursor);
}

/* ---- polling ---- */

static uint64_t durable_of(struct fbat_store *store) {
    return store->read_only ? follow_durable(store)
                            : atomic_load_explicit(&store->sequencer.durable, memory_order_acquire);
}

/* The rest of the snapshot, or as much as there is room for. */
static int fill_from_snapshot(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, size_t *count,
                              struct fbat_error *error) {
    int status = FBAT_OK;
    while (*count < max && (status = feed_next(&cursor->feed, &events[*count], error)) == FBAT_OK)
        ++*count;
    return *count > 0 ? FBAT_OK : status;
}

/* The store is open, and stays so. */
static int poll_open(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, size_t *count,
                     struct fbat_error *error) {
    for (;;) {
        int status = fill_from_snapshot(cursor, events, max, count, error);
        if (status != FBAT_END)
            return status;
        uint64_t limit = cursor->durable_only ? durable_of(cursor->feed.store) : UINT64_MAX;
        status = feed_refresh(&cursor->feed, limit, error);
        if (status != FBAT_OK)
            return status == FBAT_END ? FBAT_RETRY : status;
    }
}

static int poll_once(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, size_t *count,
                     struct fbat_error *error) {
    if (!notifier_enter(cursor->notifier))
        return error_set(error, FBAT_ERR_SHUTDOWN, "the store was closed");
    int status = poll_open(cursor, events, max, count, error);
    notifier_leave(cursor->notifier);
    return status;
}

int cursor_poll(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, uint32_t timeout_ms,
                size_t *out_count, struct fbat_error *error) {
    struct os *os = cursor->notifier->os;
    enum notifier_mark mark = cursor->durable_only ? NOTIFIER_DURABLE : NOTIFIER_VISIBLE;
    size_t count = 0;
    int status = poll_once(cursor, events, max, &count, error);
    if (status == FBAT_RETRY && timeout_ms > 0) {
        uint64_t now_us = os->methods->monotonic_us(os);
        uint64_t deadline_us = timeout_ms == FBAT_FOREVER ? UINT64_MAX : now_us + timeout_ms * UINT64_C(1000);
        for (; status == FBAT_RETRY && now_us < deadline_us; now_us = os->methods->monotonic_us(os)) {
            notifier_wait(cursor->notifier, mark, cursor->feed.position, deadline_us);
            status = poll_once(cursor, events, max, &count, error);
        }
    }
    if (status >= 0)
        *out_count = count;
    return status;
}

/* ---- names ---- */

static int put_position(struct fbat_store *store, struct positions *positions, struct fbat_slice name,
                        uint64_t sequence, struct fbat_error *error) {
    const struct position position = {.sequence = sequence, .committed_us = store->os->methods->clock_us(store->os)};
    return positions_put(positions, name, &position, error);
}

/* The log is durable up to the answer, which is as much of `sequence` as can be had: a follower cannot sync. */
static int make_durable(struct fbat_store *store, uint64_t sequence, uint64_t *out_sequence, struct fbat_error *error) {
    if (!store->read_only && durable_of(store) < sequence)
        FBAT_TRY(sequencer_sync(&store->sequencer, error));
    uint64_t durable = durable_of(store);
    *out_sequence = sequence < durable ? sequence : durable;
    return FBAT_OK;
}

static int commit_open(struct fbat_cursor *cursor, struct fbat_error *error) {
    struct fbat_store *store = cursor->feed.store;
    uint64_t position = cursor->feed.position;
    FBAT_TRY(store_catch_up(store, error));
    if (position > directory_visible(&store->directory))
        return error_set(error, FBAT_ERR_ARGUMENT, "the cursor starts at sequence %llu, which is yet to come",
                         (unsigned long long)position + 1);
    FBAT_TRY(make_durable(store, position, &position, error));
    if (!cursor->positions)
        FBAT_TRY(positions_open(store, true, &cursor->positions, error));
    return put_position(store, cursor->positions, fbat_bytes(cursor->name, cursor->name_size), position, error);
}

int cursor_commit(struct fbat_cursor *cursor, struct fbat_error *error) {
    if (cursor->name_size == 0)
        return error_set(error, FBAT_ERR_ARGUMENT, "the cursor has no name to commit its position under");
    if (!notifier_enter(cursor->notifier))
        return error_set(error, FBAT_ERR_SHUTDOWN, "the store was closed");
    int status = commit_open(cursor, error);
    notifier_leave(cursor->notifier);
    return status;
}

/* One transaction for each, and none while the caller's function runs. */
static int list_names(struct fbat_store *store, struct positions *positions, fbat_cursor_fn visit, void *user,
                      struct fbat_error *error) {
    char name[POSITION_NAME_BYTES_MAX];
    size_t size = 0;
    int status;
    while ((status = positions_next_name(positions, name, &size, error)) == FBAT_OK) {
        struct position position;
        status = positions_get(positions, fbat_bytes(name, size), &position, error);
        if (status == FBAT_ERR_NOT_FOUND)
            continue; /* removed meanwhile */
        FBAT_TRY(status);
        uint64_t visible = directory_visible(&store->directory);
        const struct fbat_cursor_info info = {
            .name = fbat_bytes(name, size),
            .position = position.sequence,
            .committed_us = position.committed_us,
            .lag = visible > position.sequence ? visible - position.sequence : 0,
        };
        int answer = visit(user, &info);
        if (answer != 0)
            return answer;
    }
    return status == FBAT_END ? FBAT_OK : status;
}

int cursor_list(struct fbat_store *store, fbat_cursor_fn visit, void *user, struct fbat_error *error) {
    struct positions *positions = NULL;
    FBAT_TRY(store_catch_up(store, error));
    int status = positions_open(store, false, &positions, error);
    if (status == FBAT_OK)
        status = list_names(store, positions, visit, user, error);
    else if (status == FBAT_END)
        status = FBAT_OK;
    positions_close(positions);
    return status;
}

int cursor_reset(struct fbat_store *store, struct fbat_slice name, uint64_t sequence, struct fbat_error *error) {
    struct positions *positions = NULL;
    FBAT_TRY(positions_check_name(name, error));
    FBAT_TRY(store_catch_up(store, error));
    if (sequence > directory_visible(&store->directory))
        return error_set(error, FBAT_ERR_ARGUMENT, "sequence %llu is behind the end of the log, which is at %llu",
                         (unsigned long long)sequence, (unsigned long long)directory_visible(&store->directory));
    FBAT_TRY(make_durable(store, sequence, &sequence, error));
    FBAT_TRY(positions_open(store, true, &positions, error));
    int status = put_position(store, positions, name, sequence, error);
    positions_close(positions);
    return status;
}

int cursor_remove(struct fbat_store *store, struct fbat_slice name, struct fbat_error *error) {
    struct positions *positions = NULL;
    FBAT_TRY(positions_check_name(name, error));
    int status = positions_open(store, false, &positions, error);
    if (status == FBAT_OK)
        status = positions_remove(positions, name, error);
    else if (status == FBAT_END)
        status = error_set(error, FBAT_ERR_NOT_FOUND, "there is no cursor named %.*s", (int)name.size,
                           (const char *)name.data);
    positions_close(positions);
    return status;
}
