/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment file and its life: created, appended to, synced, sealed, mapped, closed. Knows bytes and offsets, not what
 * events mean.
 *
 * Thread rule: a segment that is read only (sealed, or another process's) may be used from any thread. Of an active
 * one, segment_begin_frame to segment_advance are called under the sequencer's lock; segment_sync may run beside them.
 */
#ifndef FBAT_LOG_SEGMENT_H
#define FBAT_LOG_SEGMENT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "format/segment_header.h"
#include "os/os.h"

enum segment_access {
    SEGMENT_READ = 0, /* another process may be writing it */
    SEGMENT_WRITE = 1 /* we hold the writer's lock */
};

struct segment {
    struct os *os;
    const char *dir;              /* borrowed from the store, which outlives the segment */
    struct os_file *file;         /* NULL once sealed: a mapping needs no descriptor */
    struct segment_header header; /* only segment_id and store_id count while header_state is not valid */
    enum segment_header_state header_state;
    enum segment_access access;
    uint32_t salt;
    uint8_t *map; /* read-only, or shared and writable while we append */
    uint64_t map_bytes;
    uint64_t file_bytes;       /* the file's size as last seen or set */
    uint64_t end;              /* offset after the last frame; the sequencer's */
    uint64_t populated_end;    /* pages before this were made present for writing */
    pthread_mutex_t sync_lock; /* who syncs, or seals, holds it */
    uint64_t settled_end;      /* pages before this were settled for a sync; sync_lock */
    bool reserved;             /* blocks up to file_bytes are reserved: stores cannot fail */
    bool sync_failed;          /* never synced again */
    uint8_t *scratch;          /* frames that are written by pwrite are built here */
    uint64_t scratch_bytes;
    bool frame_in_scratch; /* between begin_frame and end_frame */
};

/* "DIR/000017.fbat" into out_path of LIMIT_PATH_BYTES. */
void segment_path(const char *dir, uint64_t segment_id, char *out_path);

#define SEGMENT_ASIDE_SUFFIX ".new"

/* The id in a segment's file name, 0 when the name is no segment's. */
uint64_t segment_id_of_name(const char *name);

/* Creates the file of a new segment, reserves its first blocks and makes header and name durable. capacity is the size
 * that frames may reach. On failure nothing is left behind, as far as the system allows. */
int segment_create(struct os *os, const char *dir, const struct segment_header *header, struct segment **out_segment,
                   struct fbat_error *error);

/* The same under another name, "DIR/000017.fbat.new", and not durable: frames are written behind the header, and then
 * segment_install makes it appear as a whole. */
int segment_create_aside(struct os *os, const char *dir, const struct segment_header *header,
                         struct segment **out_segment, struct fbat_error *error);

/* Gives a segment that was created aside, and synced, its name, durably. */
int segment_install(struct segment *segment, struct fbat_error *error);

/* Removes the file of a segment that was created aside, as far as the system allows. */
void segment_remove_aside(const struct segment *segment);

/* Opens and maps an existing segment, for reading. A header that is not valid is not an error here: see header_state.
 * The file stays open until segment_forget_file. */
int segment_open(struct os *os, const char *dir, uint64_t segment_id, const struct fbat_id *store_id,
                 enum segment_access access, struct segment **out_segment, struct fbat_error *error);

/* Makes an opened segment ready for appending at its end: cuts all behind the end, makes it durable, and maps it
 * writable. distrust: the writer before us did not close, so what can be read may never have reached the disk: the header
 * and the frames from rewrite_from on are written again first. */
int segment_resume(struct segment *segment, bool distrust, uint64_t rewrite_from, struct fbat_error *error);

/* Maps at least `bytes` of the file. Only while nobody looks at the mapping: no frame of it was given to readers. Waits
 * for a sync that is under way. */
int segment_widen(struct segment *segment, uint64_t bytes, struct fbat_error *error);

/* Where the next frame of `bytes` is to be built: in the mapping, or in a buffer when a sync follows at once (measured:
 * pwrite + fdatasync takes half of store + fdatasync) or when blocks cannot be reserved. The frame must fit the
 * capacity. FBAT_ERR_NO_SPACE and the like: nothing has changed. */
int segment_begin_frame(struct segment *segment, uint64_t bytes, bool sync_follows, uint8_t **out_at,
                        struct fbat_error *error);

/* The frame is built: now it is in the page cache. On failure the caller scrubs it. */
int segment_end_frame(struct segment *segment, uint64_t bytes, struct fbat_error *error);

/* Makes the frame part of the log: the next one goes behind it. */
void segment_advance(struct segment *segment, uint64_t bytes);

/* Clears a frame that must not come back after all, e.g. because its sync failed. False when even that fails. */
bool segment_scrub_frame(struct segment *segment);

/* Prepares the whole pages before `end` for the sync that follows. */
void segment_settle(struct segment *segment, uint64_t end);

/* Makes all that was written durable. A second call after a failure answers the failure without a sync. */
int segment_sync(struct segment *segment, enum os_sync_mode mode, struct fbat_error *error);

/* From here on the segment counts as one whose sync failed. */
void segment_distrust(struct segment *segment);

/* Cuts the file to its last frame and makes it durable. */
int segment_trim(struct segment *segment, struct fbat_error *error);

/* Takes note of the file's current size (a reader following a writer). */
int segment_refresh_size(struct segment *segment, struct fbat_error *error);

/* Gives up the file descriptor; the mapping stays. */
void segment_forget_file(struct segment *segment);

/* Unmaps and frees. NULL is accepted. */
void segment_close(struct segment *segment);

#endif
