/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guaranteed cursor: a feed that skips nothing, from any position, in batches.
 *
 * Thread rule: one thread at a time, but the store may be closed meanwhile. After that only cursor_destroy does anything.
 */
#ifndef FBAT_DELIVER_CURSOR_H
#define FBAT_DELIVER_CURSOR_H

#include "deliver/feed.h"
#include "deliver/positions.h"
#include "write/notifier.h"

struct fbat_cursor {
    struct notifier *notifier; /* counted */
    unsigned fork_generation;
    struct feed feed;
    bool durable_only;
    struct positions *positions; /* counted; NULL where it has no name, or nothing was committed yet */
    char name[POSITION_NAME_BYTES_MAX];
    size_t name_size; /* 0: none */
};

int cursor_create(struct fbat_store *store, const struct fbat_region *region, const struct fbat_cursor_options *options,
                  struct fbat_cursor **out_cursor, struct fbat_error *error);

/* The next events, at most max (> 0); waits for one as long as timeout_ms. FBAT_RETRY: there was none. */
int cursor_poll(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, uint32_t timeout_ms,
                size_t *out_count, struct fbat_error *error);

/* Makes the position durable under the cursor's name. */
int cursor_commit(struct fbat_cursor *cursor, struct fbat_error *error);
void cursor_destroy(struct fbat_cursor *cursor);

/* Likewise in a forked child. */
void cursor_abandon(struct fbat_cursor *cursor);

/* ---- named cursors of a store ---- */

int cursor_list(struct fbat_store *store, fbat_cursor_fn visit, void *user, struct fbat_error *error);
int cursor_reset(struct fbat_store *store, struct fbat_slice name, uint64_t sequence, struct fbat_error *error);
int cursor_remove(struct fbat_store *store, struct fbat_slice name, struct fbat_error *error);

#endif
