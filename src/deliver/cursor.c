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
    return FBAT_OK;
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
    uint64_t position = start_position(store, options, &narrowed);
    int status = feed_init(&cursor->feed, store, &narrowed, position, error);
    if (status < 0) {
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
