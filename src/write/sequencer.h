/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sequencer: accepts events one append at a time, decides, numbers, chains, writes, publishes, acknowledges.
 *
 *     draft.c      deciding: keys, expectations, numbers; changes nothing
 *     stage.c      encoding and writing a frame; the log as the writer sees it moves on
 *     publish.c    the index and the readers' watermark move on; and taking back what was never published
 *     group.c      appends that wait for a sync, and the sync they share
 *     append.c     one append from call to answer, on the caller's thread
 *     fence.c      several appends that are published as one
 *     rotation.c   from one segment to the next
 *     sealer.c     footers of segments that were left, on a thread of its own
 *     restart.c    after a failed write or sync
 *     syncer.c     the thread for syncs that are due
 *     mailbox.c    tickets, and the thread that serves them
 *
 * Two positions. *Staged* is what has been given a sequence and written to the page cache; *published* is what readers may
 * see. What lies between waits for a sync (its own, or that of an append in front of it), or for the commit of a fence.
 *
 *     [ ... durable ... visible | waiting appends, in order | the open fence ]
 *                               ^ published                 ^ staged
 *
 * Thread rule: functions without `locked` in their comment from any thread.
 *
 * Locks, in the order they are taken:
 *     lock                everything that decides: heads, drafts, the active segment, the last sequence, what waits
 *     segment->sync_lock  at most one sync of a file at a time, so that no two callers share one sync's error
 */
#ifndef FBAT_WRITE_SEQUENCER_H
#define FBAT_WRITE_SEQUENCER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "base/sha256.h"
#include "index/directory.h"
#include "index/streams.h"
#include "os/os.h"
#include "write/key_set.h"
#include "write/mailbox.h"
#include "write/notifier.h"

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
    bool known;                     /* its key is in the store already, or in the open fence */
    uint64_t known_sequence;        /* at which; 0: staged by the open fence ... */
    struct staged_key known_staged; /* ... there */
    uint32_t previous_item;         /* the item before it of the same stream, counted from 1; 0: the head itself */
    uint16_t tags_bytes;
    uint16_t headers_bytes;
    bool id_made;
    uint8_t hash[SHA256_BYTES];
};

/* What became of an append that was staged. */
enum pending_state {
    PENDING_NONE = 0,    /* not staged */
    PENDING_WAITING = 1, /* for a sync, or for an append in front of it */
    PENDING_LEAD = 2,    /* likewise, and its thread was woken to do the sync for its group */
    PENDING_LEADING = 3, /* likewise, and its thread does */
    PENDING_DONE = 4,    /* published, its level reached */
    PENDING_FAILED = 5,  /* taken back, because the sync it waited for failed */
    PENDING_REDO = 6     /* taken back, because one in front of it failed: to be staged again */
};

/* An append between staged and published. Its thread sleeps on `wake`, which is posted once for each time it has to wake
 * up; or `answer` is called instead, under the lock. */
struct pending {
    struct pending *next;
    uint64_t frames_start, frames_end; /* in the active segment */
    uint64_t last_sequence;
    uint32_t event_count;
    uint32_t heads_after; /* stream heads there were once it was staged */
    bool durable;         /* waits for a sync itself */
    _Atomic int state;    /* enum pending_state; changed under the lock */
    void (*answer)(struct pending *pending, const struct fbat_error *cause);
    void *owner;              /* the ticket that `answer` is called for */
    struct fbat_error *error; /* of the thread that waits: filled before PENDING_FAILED */
    sem_t wake;
};

/* One append: what is wanted, and what became of it. */
struct append {
    const struct fbat_new_event *events;
    uint32_t count;
    bool is_batch;
    enum fbat_level level; /* written or durable */
    const struct fbat_condition *conditions;
    size_t condition_count;
    struct fbat_fence *fence;            /* the fence it belongs to, or NULL */
    struct fbat_receipt *receipts;       /* filled once staged; room for count, or NULL */
    struct fbat_receipt *receipts_known; /* filled when all was in the store already; likewise */
    struct pending pending;
};

enum { SEALER_QUEUE = 8 };

/* Segments whose footers are to be written; write/sealer.c. */
struct sealer {
    pthread_cond_t wanted;                     /* its thread waits here */
    struct segment_index *queue[SEALER_QUEUE]; /* counted, oldest first */
    uint32_t count;
    uint64_t failed_id; /* the oldest segment whose sealing failed, 0 if none */
    bool runs_due;      /* runs of ids may be due */
    bool stop;
    atomic_bool cancel; /* gives up making a run */
    bool threadless;
    void *thread; /* NULL before the first segment is left */
};

struct sequencer {
    struct os *os;
    const struct fbat_config *config; /* the store's copy */
    const char *dir;
    struct fbat_id store_id;
    struct directory *directory;
    uint8_t *live;             /* the mapped LOCK page */
    struct notifier *notifier; /* of the store, borrowed; NULL: nobody is told of what is published */

    pthread_mutex_t lock;
    pthread_cond_t due;     /* the syncer waits here for work or the end */
    pthread_cond_t changed; /* who waits for room in a group, or for what is unpublished, waits here ... */
    uint32_t waiters;       /* ... so many */
    uint32_t random_left;   /* words of random_pool */
    struct streams streams;
    struct segment_index *active; /* borrowed from the directory's list; NULL before the first segment */
    uint64_t last_segment_id;     /* of the newest segment, 0 if there is none */
    uint64_t last_sequence;       /* staged */
    _Atomic uint64_t accepted;    /* the same, for who has no lock */
    int64_t last_recorded_us;
    struct fbat_id last_id; /* made */
    uint64_t id_tag_key;
    uint64_t unsynced_events;   /* published ones */
    uint64_t unsynced_since_us; /* monotonic */
    struct draft *drafts;       /* batch.max_size of them */
    uint32_t *key_slots;        /* table of the batch's keys: item numbers from 1 */
    uint32_t key_slots_size;    /* power of two */
    uint32_t ids_drafted;       /* items of this append, from the first, that were given an id if they had none */
    uint64_t append_epoch;
    int64_t append_time_us; /* recorded time of this append */
    uint64_t random_pool[SEQUENCER_RANDOM_WORDS];

    struct pending *first, *last;       /* staged appends that are not published, in order */
    uint32_t group_appends;             /* those at level durable that no sync was started for yet */
    uint32_t group_expected;            /* appends that took part in the last group or came while it was synced */
    uint64_t sync_us;                   /* what a sync took lately */
    uint32_t unpublished_events;        /* in them, and in the open fence */
    uint32_t heads_published;           /* stream heads that have a published event */
    struct key_set staged_keys;         /* of the unpublished events whose callers gave the id */
    _Atomic(struct fbat_fence *) fence; /* the open one, NULL if none; changed under the lock */

    bool syncing;     /* somebody syncs without the lock, and will see to what waits */
    bool lead_wanted; /* the syncer is asked to do so for tickets */
    bool syncer_stop;
    _Atomic bool dead;
    bool rotating; /* a rotation failed half-way: its file may be there, or come back after a power cut, and says where
                    * the log goes on; so the next frame must go there (rotation.c, step 2) */
    uint32_t restarts;              /* since restarts_since_us */
    uint64_t restarts_since_us;     /* monotonic */
    struct fbat_error cause;        /* why it is dead */
    struct fbat_error first_cause;  /* of the first restart; status 0 if there was none */
    uint64_t unfinished_segment_id; /* the first whose sealing failed, 0 if none: see format/live.h */

    _Atomic uint64_t durable;

    void *syncer; /* thread, NULL if the os has none */
    struct mailbox mailbox;
    struct sealer sealer;
};

/* Staged and neither published nor taken back. */
static inline bool append_is_waiting(const struct append *append) {
    return atomic_load_explicit(&append->pending.state, memory_order_acquire) == PENDING_WAITING;
}

/* Where the log stands when the sequencer takes over. */
struct sequencer_start {
    struct segment_index *active; /* NULL: the first append creates a segment */
    uint64_t last_segment_id;
    uint64_t last_sequence;
    int64_t last_recorded_us;
    struct fbat_id last_id;
    uint64_t unfinished_segment_id;
};

/* Builds the heads from the directory's segments. */
int sequencer_init(struct sequencer *sequencer, struct os *os, const struct fbat_config *config, const char *dir,
                   const struct fbat_id *store_id, struct directory *directory, uint8_t *live,
                   const struct sequencer_start *start, struct fbat_error *error);

/* Starts the thread for syncs that are due by count or time. Without threads, appends do that work. */
int sequencer_start_syncer(struct sequencer *sequencer, struct fbat_error *error);

/* Ends a fence, answers the mailbox's tickets, stops the threads, makes everything durable and cuts the active segment to
 * its last frame. No append may be under way. */
int sequencer_stop(struct sequencer *sequencer, struct fbat_error *error);

/* Frees all; ends the threads if they run, without a sync. Tickets are answered FBAT_ERR_SHUTDOWN. */
void sequencer_deinit(struct sequencer *sequencer);

/* Appends as one frame and returns when the level is reached. The events were validated (api/validate.h), but for system
 * events, which are the library's own. Receipts are untouched on failure. */
int sequencer_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error);

/* Makes all that is visible at the time of the call durable. */
int sequencer_sync(struct sequencer *sequencer, struct fbat_error *error);

/* Waits until durable reaches a sequence: FBAT_OK, FBAT_RETRY after timeout_ms, or FBAT_ERR_WRITER_DEAD. */
int sequencer_wait_durable(struct sequencer *sequencer, uint64_t sequence, uint32_t timeout_ms,
                           struct fbat_error *error);

int sequencer_generate_id(struct sequencer *sequencer, struct fbat_id *out_id, struct fbat_error *error);
void sequencer_frontier(struct sequencer *sequencer, struct fbat_frontier *out_frontier);

/* Heap bytes held by the sequencer and the active index. */
uint64_t sequencer_memory(struct sequencer *sequencer);

/* ---- between the files of this layer; the lock is held, if nothing else is said ---- */

/* sequencer.c: takes the lock. It is held for a microsecond or so: worth a few looks before sleeping for it. */
void sequencer_lock(struct sequencer *sequencer);

/* The writer stops, every later append answers FBAT_ERR_WRITER_DEAD and names the cause. */
void sequencer_die(struct sequencer *sequencer, const struct fbat_error *cause);

/* FBAT_ERR_WRITER_DEAD with the cause, when the writer is dead. Without the lock too. */
int sequencer_check_alive(const struct sequencer *sequencer, struct fbat_error *error);

/* An id for now, never before the last recorded time. next_sequence: of the event that it is for; 0: for a caller. */
int sequencer_make_id(struct sequencer *sequencer, int64_t now_us, uint64_t next_sequence, struct fbat_id *out_id,
                      struct fbat_error *error);

/* The clock, never before the last recorded time. */
int64_t sequencer_now(const struct sequencer *sequencer);

/* The last sequence outside of the open fence. */
uint64_t sequencer_last_outside(const struct sequencer *sequencer);

/* draft.c: fills count drafts. FBAT_OK: there is something to write; FBAT_END: all keys were known with equal content
 * (their places are in the drafts); FBAT_RETRY: the answer depends on what is not published yet, wait for it. On
 * failure, and then, nothing has changed. */
int draft_append(struct sequencer *sequencer, const struct append *append, struct fbat_error *error);

/* The event that has a draft's key already; a view that is borrowed until *out_pin is given to segment_index_release. */
int draft_known(const struct sequencer *sequencer, const struct draft *draft, struct fbat_event *out_known,
                struct segment_index **out_pin, struct fbat_error *error);

/* FBAT_OK, FBAT_RETRY, or the error of the first condition that does not hold now. */
int draft_conditions(struct sequencer *sequencer, const struct append *append, struct fbat_error *error);

/* stage.c: one append, decided and written. FBAT_OK: staged, pending.state is PENDING_DONE or PENDING_WAITING (in a fence
 * PENDING_NONE); FBAT_END: all was there already, and the receipts say so; FBAT_RETRY: wait (group_wait), then again. */
int stage_append(struct sequencer *sequencer, struct append *append, struct fbat_error *error);

/* A fence's commit frame, as a pending append. Otherwise as stage_append. */
int stage_commit(struct sequencer *sequencer, struct fbat_fence *fence, struct append *append,
                 struct fbat_error *error);

/* publish.c: makes the frames of one append part of the index. The room was reserved. */
void publish_frames(struct sequencer *sequencer, const struct pending *pending);

/* Raises the readers' watermark, and tells readers in other processes. */
void publish_visible(struct sequencer *sequencer, uint64_t visible, uint32_t heads);

/* Raises the durable watermark, and tells who waits for it. */
void publish_durable(struct sequencer *sequencer, uint64_t durable);

/* Tells readers in other processes, and the next opening, how far the log is. */
void sequencer_publish_live(struct sequencer *sequencer);

/* Takes frames back that were not published: heads and keys are as before them. */
void unpublish_frames(struct sequencer *sequencer, uint64_t frames_start, uint64_t frames_end);

/* The log ends at `sequence` again: that of the last event that is not taken back. */
void unpublish_to(struct sequencer *sequencer, uint64_t sequence, uint32_t heads);

/* group.c: whether an append at level durable has to wait for room in its group. */
bool group_is_full(const struct sequencer *sequencer);

/* Puts a staged append in line, or publishes it at once where nothing holds it up. */
void group_add(struct sequencer *sequencer, struct pending *pending);

/* Sees to a sync for whoever waits for one, where nobody does. */
void group_appoint(struct sequencer *sequencer);

/* Waits for what an append was told to wait for (FBAT_RETRY): leads a sync, or sleeps while one is under way. The lock is
 * given up meanwhile. */
void group_wait(struct sequencer *sequencer);

/* Waits for the answer of a pending append; the lock is held on entry, and not on return. */
enum pending_state group_await(struct sequencer *sequencer, struct pending *pending);

/* A sync of the active segment, the lock being given up meanwhile; what waited for it is answered. Not while another one
 * is under way. */
int group_sync(struct sequencer *sequencer, struct fbat_error *error);

/* The same without giving up the lock. */
int group_sync_locked(struct sequencer *sequencer, struct fbat_error *error);

/* Answers all waiting appends that they were taken back: FAILED with the cause for those at level durable, else REDO. */
void group_fail(struct sequencer *sequencer, const struct fbat_error *cause);

/* Wakes those who wait for a change. */
void group_signal(struct sequencer *sequencer);

/* rotation.c: makes sure that the active segment takes a frame of this size. FBAT_RETRY: what was drafted no longer
 * holds. */
int rotation_make_room(struct sequencer *sequencer, uint64_t frame_bytes, struct fbat_error *error);

/* The header of the next segment, which goes on behind the event at `last_sequence` (published, durable) and has room for
 * frame_bytes at least. */
int rotation_header(struct sequencer *sequencer, uint64_t last_sequence, uint64_t frame_bytes,
                    struct segment_header *out_header, struct fbat_error *error);

/* restart.c: after a failed sync of `index`, or a failed write to the active segment: takes back what depended on it, and
 * moves the tail to a new segment, or lets the writer die. Nothing when that was done for this index before. */
void restart_after_sync(struct sequencer *sequencer, const struct segment_index *index, const struct fbat_error *cause);
void restart_after_write(struct sequencer *sequencer, const struct fbat_error *cause);

/* sealer.c: the log has left a segment, and everything in it is published and durable. */
void sealer_add(struct sequencer *sequencer, struct segment_index *old);

/* This segment has no footer, or none that can be trusted, until the store is opened again. */
void sealer_note_failed(struct sequencer *sequencer, uint64_t segment_id);

/* Ends the thread; finish: once it has sealed what waits. The lock is not held. */
void sealer_stop(struct sequencer *sequencer, bool finish);

/* syncer.c: takes note of events that are published and not durable, and sees to a sync when it is due. */
void syncer_note(struct sequencer *sequencer, uint64_t event_count);

/* A sync has ended: what is due by now is the syncer's again. */
void syncer_resume(struct sequencer *sequencer);

/* Asks the syncer to lead a sync. False when there is none. */
bool syncer_lead(struct sequencer *sequencer);

/* Ends the syncer's thread, if there is one. The lock is not held. */
void syncer_stop(struct sequencer *sequencer);

#endif
