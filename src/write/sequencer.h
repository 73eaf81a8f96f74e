/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer: accepts events one append at a time, decides, numbers, chains, writes, publishes, acknowledges.
 *
 * Thread rule: sequencer_append, sequencer_sync, sequencer_generate_id and sequencer_frontier from any thread.
 *
 * Locks, in the order they are taken:
 *     lock       everything that decides: heads, drafts, the active segment, the last sequence
 *     sync_lock  at most one sync of a file at a time, so that no two callers share one sync's error
 */
#ifndef FBAT_WRITE_SEQUENCER_H
#define FBAT_WRITE_SEQUENCER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "base/sha256.h"
#include "index/directory.h"
#include "index/streams.h"
#include "os/os.h"

enum { SEQUENCER_RANDOM_WORDS = 512 };

/* One item of the append under way. */
struct draft {
    struct stream_head *head;
    uint64_t sequence;
    uint64_t revision;
    uint64_t bytes;   /* of its record */
    uint64_t id_hash; /* while keys are looked up */
    struct fbat_id id;
    struct fbat_id causation;
    struct segment_index *known_index; /* where its key is in the store already; NULL if it is not */
    uint32_t known_position;
    uint32_t previous_item; /* the item before it of the same stream, counted from 1; 0: the head itself */
    uint16_t tags_bytes;
    uint16_t headers_bytes;
    bool id_made;
    uint8_t hash[SHA256_BYTES];
};

struct sequencer {
    struct os *os;
    const struct fbat_config *config; /* the store's copy */
    const char *dir;
    struct fbat_id store_id;
    struct directory *directory;
    uint8_t *live; /* the mapped LOCK page */

    pthread_mutex_t lock;
    pthread_cond_t due; /* the syncer waits here for work or the end */
    struct streams streams;
    struct segment_index *active; /* borrowed from the directory's list; NULL before the first segment */
    uint64_t last_segment_id;     /* of the newest segment, 0 if there is none */
    uint64_t last_sequence;
    int64_t last_recorded_us;
    struct fbat_id last_id; /* made */
    uint8_t last_hash[SHA256_BYTES];
    uint64_t unsynced_events;
    uint64_t unsynced_since_us; /* monotonic */
    struct draft *drafts;       /* batch.max_size of them */
    uint32_t *key_slots;        /* table of the batch's keys: item numbers from 1 */
    uint32_t key_slots_size;    /* power of two */
    uint64_t append_epoch;
    int64_t append_time_us; /* recorded time of this append */
    uint32_t ids_drafted;   /* items of this append, from the first, that were given an id if they had none */
    uint64_t random_pool[SEQUENCER_RANDOM_WORDS];
    uint32_t random_left;
    bool rotating; /* a rotation failed half-way: its file may be there, or come back after a power cut, and says where
                    * the log goes on; so the next frame must go there (rotation.c, step 2) */
    bool dead;
    struct fbat_error cause;        /* why it is dead */
    uint64_t unfinished_segment_id; /* the first whose sealing failed, 0 if none: see format/live.h */

    pthread_mutex_t sync_lock;
    _Atomic uint64_t durable;

    void *syncer; /* thread, NULL if the os has none */
    bool syncer_stop;
};

/* Where the log stands when the sequencer takes over. */
struct sequencer_start {
    struct segment_index *active; /* NULL: the first append creates a segment */
    uint64_t last_segment_id;
    uint64_t last_sequence;
    int64_t last_recorded_us;
    struct fbat_id last_id;
    uint8_t last_hash[SHA256_BYTES];
    uint64_t unfinished_segment_id;
};

/* Builds the heads from the directory's segments. */
int sequencer_init(struct sequencer *sequencer, struct os *os, const struct fbat_config *config, const char *dir,
                   const struct fbat_id *store_id, struct directory *directory, uint8_t *live,
                   const struct sequencer_start *start, struct fbat_error *error);

/* Starts the thread for syncs that are due by count or time. Without threads, appends do that work. */
int sequencer_start_syncer(struct sequencer *sequencer, struct fbat_error *error);

/* Stops the thread, makes everything durable and cuts the active segment to its last frame. No append may be under way. */
int sequencer_stop(struct sequencer *sequencer, struct fbat_error *error);

/* Frees all; ends the thread if it runs, without a sync. */
void sequencer_deinit(struct sequencer *sequencer);

/* Appends count events as one frame. The events were validated (api/validate.h), but for system events, which are the
 * library's own. level is written or durable. */
int sequencer_append(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count,
                     enum fbat_level level, bool is_batch, struct fbat_receipt *out_receipts, struct fbat_error *error);

int sequencer_sync(struct sequencer *sequencer, struct fbat_error *error);
int sequencer_generate_id(struct sequencer *sequencer, struct fbat_id *out_id, struct fbat_error *error);
void sequencer_frontier(struct sequencer *sequencer, struct fbat_frontier *out_frontier);

/* Heap bytes held by the sequencer and the active index. */
uint64_t sequencer_memory(struct sequencer *sequencer);

/* ---- between the files of this layer; lock is held ---- */

/* The writer stops: every later append answers FBAT_ERR_WRITER_DEAD and names the cause. */
void sequencer_die(struct sequencer *sequencer, const struct fbat_error *cause);

/* FBAT_ERR_WRITER_DEAD with the cause, when the writer is dead. */
int sequencer_check_alive(const struct sequencer *sequencer, struct fbat_error *error);

/* An id for now, never before the last recorded time. */
int sequencer_make_id(struct sequencer *sequencer, int64_t now_us, struct fbat_id *out_id, struct fbat_error *error);

/* A sync of the active segment under the lock. */
int sequencer_sync_locked(struct sequencer *sequencer, struct fbat_error *error);

/* Ends the syncer's thread, if there is one. The lock is not held. */
void sequencer_stop_syncer(struct sequencer *sequencer);

/* Takes note of events that are written and not durable, and sees to a sync when it is due. */
void sequencer_note_unsynced(struct sequencer *sequencer, uint64_t event_count);

/* Tells readers in other processes, and the next opening, how far the log is. */
void sequencer_publish_live(struct sequencer *sequencer);

/* Fills count drafts: FBAT_OK when there is something to write, FBAT_END when all keys were known with equal content
 * (their places are in the drafts). On failure nothing has changed. */
int draft_append(struct sequencer *sequencer, const struct fbat_new_event *events, uint32_t count, bool is_batch,
                 struct fbat_error *error);

/* Makes sure that the active segment takes a frame of this size. */
int rotation_make_room(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error);

#endif
