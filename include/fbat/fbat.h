/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fbat: the embedded event store.
 *
 * An append-only, hash-chained log of events in a directory of your choice, and everything needed to find them again:
 * by id, by position, by stream, by kind, by scope, by time. No server; link the library, open the directory.
 *
 *     struct fbat_config config;
 *     struct fbat_store *store;
 *     struct fbat_error error;
 *
 *     fbat_config_init(&config, "orders");
 *     if (fbat_open(&config, &store, &error) != FBAT_OK)
 *         die(error.message);
 *     struct fbat_new_event event = {
 *         .struct_size = sizeof event,
 *         .kind = FBAT_KIND(1, 1),
 *         .entity = fbat_text("order-17"),
 *         .scope = fbat_text("shop"),
 *         .payload = fbat_text("{\"total\":12}"),
 *         .payload_type = FBAT_PAYLOAD_JSON,
 *     };
 *     struct fbat_receipt receipt;
 *     fbat_append(store, &event, NULL, &receipt, &error);
 *     fbat_close(store, &error);
 *
 * This header is a tour, in the order a program needs it:
 *
 *     1  Basics            version, slices, ids, kinds, limits
 *     2  Errors            one list of statuses, one struct with the detail
 *     3  Configuration     every knob: unit, range, default
 *     4  Open and close
 *     5  Append            single events, batches, levels, conditions, retries, reactions
 *     6  Tickets           appends that do not wait: submit, then wait, poll, or let an event loop tell
 *     7  Fences            several appends, all or nothing; and the outbox
 *     8  Watermarks        what is written, durable, visible
 *     9  Read              one event
 *    10  Query             regions, iterators, streams
 *    11  Subscribe         to be told of new events
 *    12  Cursors           every event of a region, once, in order, and on as they come
 *    13  Kind names
 *    14  Maintain          check, stats
 *
 * Words. An *event* is an immutable record. Its *stream* is one *entity* in one *scope*: the same entity name in two
 * scopes is two streams. *Sequence* is the position in the whole store, from 1. *Revision* is the position in the
 * stream, from 1; 0 means the stream does not exist. *Recorded time* is the store's and never decreases; *event time*
 * is the caller's. All times are microseconds since 1970-01-01 00:00:00 UTC.
 *
 * Caveats.
 *   - Local file systems only: the writer's lock and the shared mappings need one kernel.
 *   - Open a store for writing once. A second fbat_open in this or another process is refused with FBAT_ERR_LOCKED.
 *   - Do not open and close DIR/LOCK yourself in a process that writes the store: POSIX record locks, which die
 *     with their process and are never inherited by a child, are dropped when *any* descriptor of the file is closed.
 *   - A store handle does not cross fork(): calls in the child answer FBAT_ERR_FORKED. Open it anew there.
 *   - Slices returned by reads point into the mapped log. They are never written through and are valid exactly as
 *     long as the comment of the call that filled them says.
 *
 * Since. All of it is since 0.1; what comes later says so at its place.
 *
 * Threads. Every function may be called from any thread at any time on the same store, except fbat_close, which must
 * be the last call on its store. An iterator, an outbox, a fence, a subscription, a cursor belongs to
 * one thread at a time.
 */
#ifndef FBAT_FBAT_H
#define FBAT_FBAT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(FBAT_BUILDING) && defined(__GNUC__)
#define FBAT_API __attribute__((visibility("default")))
#else
#define FBAT_API
#endif

/* ---------------------------------------------------------------------------------------------------------------
 * 1  Basics
 * ------------------------------------------------------------------------------------------------------------ */

#define FBAT_VERSION_MAJOR 0
#define FBAT_VERSION_MINOR 1
#define FBAT_VERSION_PATCH 0
#define FBAT_VERSION_STRING "0.1.0"

/* Version of the files on disk, apart from the library's: a library opens its own disk version and every released
 * one before it. */
#define FBAT_DISK_VERSION 2

/* The version of the library linked, "MAJOR.MINOR.PATCH". Static; never freed. Any thread. */
FBAT_API const char *fbat_version(void);

/* Bytes that belong to somebody else. Where the library takes one, it reads it during the call and keeps nothing.
 * Where it gives one, the comment there says how long it is valid. data may be NULL when size is 0. */
struct fbat_slice {
    const void *data;
    size_t size; /* bytes */
};

/* A slice over a zero-terminated string, without the zero. NULL gives the empty slice. */
static inline struct fbat_slice fbat_text(const char *string) {
    struct fbat_slice slice;
    slice.data = string;
    slice.size = string ? strlen(string) : 0;
    return slice;
}

/* A slice over size bytes at data. */
static inline struct fbat_slice fbat_bytes(const void *data, size_t size) {
    struct fbat_slice slice;
    slice.data = data;
    slice.size = size;
    return slice;
}

/* A 128-bit event id, in the byte order of RFC 9562 (big-endian). All zero means "none". */
struct fbat_id {
    uint8_t bytes[16];
};

#define FBAT_ID_TEXT_SIZE 37 /* "8-4-4-4-12" and the terminating zero */

/* Writes id as 36 lower-case characters and a zero. Any thread. */
FBAT_API void fbat_id_format(const struct fbat_id *id, char out_text[FBAT_ID_TEXT_SIZE]);

/* Reads a UUID in its 36-character form, either case, exactly size characters of it.
 * FBAT_ERR_ARGUMENT when it is not one; out_id is then untouched. Any thread. */
FBAT_API int fbat_id_parse(const char *text, size_t size, struct fbat_id *out_id);

/* The id that stands for an arbitrary name: the first 128 bits of SHA-256(name), marked as UUID version 8 (RFC 9562,
 * section 5.8). The same name gives the same id everywhere, so it can serve as an idempotency key.
 * FBAT_ERR_ARGUMENT: out_id is NULL, or name has a size and no data. Any thread. */
FBAT_API int fbat_id_derive(struct fbat_slice name, struct fbat_id *out_id);

/* True when no bit is set. */
static inline int fbat_id_is_none(const struct fbat_id *id) {
    static const struct fbat_id none = {{0}};
    return memcmp(id, &none, sizeof none) == 0;
}

/* A kind says what an event is: 4 bits of category, 12 bits of type. */
#define FBAT_KIND(category, type) ((uint16_t)((((unsigned)(category)&0xFu) << 12) | ((unsigned)(type)&0xFFFu)))
#define FBAT_KIND_CATEGORY(kind) ((unsigned)(kind) >> 12)
#define FBAT_KIND_TYPE(kind) ((unsigned)(kind)&0xFFFu)

/* Two categories belong to the library; FBAT_ERR_KIND when a caller appends them. */
#define FBAT_CATEGORY_SYSTEM 0x0u
#define FBAT_CATEGORY_EFFECT 0xDu

/* The scope that belongs to the library; FBAT_ERR_NAME when a caller appends to it. */
#define FBAT_SYSTEM_SCOPE "_system"

/* What the payload's bytes are. The library stores it and never looks inside a payload. */
enum fbat_payload_type {
    FBAT_PAYLOAD_BYTES = 0,
    FBAT_PAYLOAD_JSON = 1,    /* RFC 8259, UTF-8 */
    FBAT_PAYLOAD_MSGPACK = 2, /* MessagePack */
    FBAT_PAYLOAD_TEXT = 3,    /* UTF-8 */
    FBAT_PAYLOAD_CBOR = 4,    /* RFC 8949 */
    FBAT_PAYLOAD_PROTOBUF = 5
    /* 6..127 reserved, 128..255 the caller's own */
};

/* Fixed limits. The configurable ones are in section 3. */
#define FBAT_NAME_BYTES_MAX 1024       /* entity, scope: 1..1024 bytes of UTF-8 without NUL */
#define FBAT_KIND_NAME_BYTES_MAX 255   /* kind name: 1..255 bytes of UTF-8 without control characters */
#define FBAT_HEADER_NAME_BYTES_MAX 255 /* header name: 1..255 bytes of UTF-8 */
#define FBAT_HEADERS_BYTES_MAX 65535   /* all headers of an event: sum of name + value + 4 */
#define FBAT_TAG_BYTES_MAX 255         /* tag: 1..255 bytes of UTF-8 */
#define FBAT_TAGS_BYTES_MAX 65535      /* all tags of an event: sum of tag + 1 */
#define FBAT_BATCH_EVENTS_MAX 4096

/* ---------------------------------------------------------------------------------------------------------------
 * 2  Errors
 *
 * Every fallible function returns a status: 0 done, positive "not an error, another answer", negative an error.
 * Values are pinned and never reused. Outputs are untouched when the status is negative.
 * ------------------------------------------------------------------------------------------------------------ */

/* X(name, value, text) */
#define FBAT_STATUS_LIST(X)                                                                                            \
    X(OK, 0, "done")                                                                                                   \
    X(END, 1, "no more events")                                                                                        \
    X(RETRY, 2, "busy, try again later")                                                                               \
    X(ERR_ARGUMENT, -1, "invalid argument")                                                                            \
    X(ERR_CONFIG, -2, "invalid configuration value")                                                                   \
    X(ERR_NOT_FOUND, -3, "not found")                                                                                  \
    X(ERR_REVISION, -4, "the stream is not at the expected revision")                                                  \
    X(ERR_IDEMPOTENCY_REQUIRED, -5, "an idempotency key is required on every append")                                  \
    X(ERR_IDEMPOTENCY_CONFLICT, -6, "the idempotency key was used before for another event")                           \
    X(ERR_IDEMPOTENCY_PARTIAL, -7, "some events of the batch are in the store already, others are not")                \
    X(ERR_TOO_LARGE, -8, "over the size limit")                                                                        \
    X(ERR_KIND, -9, "the kind is reserved or unknown")                                                                 \
    X(ERR_KIND_CONFLICT, -10, "the kind or the name is registered otherwise")                                          \
    X(ERR_NAME, -11, "the name is empty, too long, reserved or not valid UTF-8")                                       \
    X(ERR_LOCKED, -12, "another writer has the store open")                                                            \
    X(ERR_NOT_A_STORE, -13, "the directory is not an fbat store")                                                      \
    X(ERR_VERSION, -14, "the store was written by a newer version")                                                    \
    X(ERR_DAMAGED, -15, "the store is damaged")                                                                        \
    X(ERR_IO, -16, "the operating system reported an input/output error")                                              \
    X(ERR_NO_SPACE, -17, "no space left")                                                                              \
    X(ERR_NO_MEMORY, -18, "out of memory")                                                                             \
    X(ERR_READ_ONLY, -19, "the store is open for reading only")                                                        \
    X(ERR_PERMISSION, -20, "permission denied")                                                                        \
    X(ERR_WRITER_DEAD, -21, "the writer stopped after a failed write or sync; reads go on")                            \
    X(ERR_SHUTDOWN, -22, "the store is closing")                                                                       \
    X(ERR_FORKED, -23, "the handle was opened before fork()")                                                          \
    X(ERR_LIMIT, -24, "a fixed limit is reached")                                                                      \
    X(ERR_FENCE_ACTIVE, -25, "a fence is open, so other appends are refused")                                          \
    X(ERR_CANCELLED, -26, "the fence it belonged to was cancelled")

enum fbat_status {
#define FBAT_STATUS_ENUM(name, value, text) FBAT_##name = (value),
    FBAT_STATUS_LIST(FBAT_STATUS_ENUM)
#undef FBAT_STATUS_ENUM
};

/* The text of a status, e.g. "not found"; its name, e.g. "FBAT_ERR_NOT_FOUND". Static. An unknown value gives
 * "unknown status". Any thread. */
FBAT_API const char *fbat_strerror(int status);
FBAT_API const char *fbat_status_name(int status);

#define FBAT_NO_ITEM SIZE_MAX

/* How far an append came before it failed. */
enum fbat_stage {
    FBAT_STAGE_NONE = 0,      /* not an append, or refused before it was looked at */
    FBAT_STAGE_VALIDATE = 1,  /* limits and names */
    FBAT_STAGE_QUEUE = 2,     /* in the mailbox */
    FBAT_STAGE_KEY = 3,       /* idempotency key */
    FBAT_STAGE_CONDITION = 4, /* expected revisions */
    FBAT_STAGE_WRITE = 5,     /* room in the segment, memory for the index, the write itself */
    FBAT_STAGE_SYNC = 6       /* the sync that should have made it durable */
};

/* What happened, where, and what to do, of one failed call. The caller owns it; it needs no initialisation and holds
 * no resources. A function that takes one fills it whole when it fails, and leaves it alone when it does not. */
struct fbat_error {
    int status;          /* enum fbat_status, the same as the function's result */
    int os_errno;        /* errno of the failed system call, 0 if none */
    size_t item;         /* index of the batch item at fault, FBAT_NO_ITEM if none */
    uint64_t segment_id; /* segment at fault, 0 if none */
    uint64_t offset;     /* byte offset in that segment's file */
    uint64_t sequence;   /* sequence at fault or, for a used idempotency key, of the event that has it; 0 if none */
    uint64_t expected_revision; /* with FBAT_ERR_REVISION */
    uint64_t actual_revision;   /* with FBAT_ERR_REVISION: where the stream is; 0 = it does not exist */
    int64_t holder_pid;         /* with FBAT_ERR_LOCKED: the process that has the store, 0 if unknown */
    uint32_t retry_after_ms;    /* with FBAT_RETRY from fbat_try_submit */
    uint32_t stage;             /* enum fbat_stage: where an append failed */
    uint32_t condition;         /* with FBAT_ERR_REVISION: which of options.conditions failed, from 1; 0 if none */
    uint32_t reserved[3];
    char message[512]; /* one line of UTF-8 for a person: what, where, what to do; zero-terminated */
};

/* ---------------------------------------------------------------------------------------------------------------
 * 3  Configuration
 *
 * Set by fbat_config_init to the defaults below, changed field by field, read by fbat_open. Everything here can also
 * be set by name as text (fbat_config_set), which is what the command's -o name=value does.
 *
 * Fields marked [kept] are validated and kept; their effect comes with a later version, and until then the store
 * behaves as the note beside them says.
 * ------------------------------------------------------------------------------------------------------------ */

enum fbat_restart_mode { FBAT_RESTART_ONCE = 0, FBAT_RESTART_BOUNDED = 1 };
enum fbat_sync_mode { FBAT_SYNC_ALL = 0, FBAT_SYNC_DATA = 1 };
enum fbat_index_layout {
    FBAT_LAYOUT_AOS = 0,
    FBAT_LAYOUT_SOA = 1,
    FBAT_LAYOUT_AOSOA8 = 2,
    FBAT_LAYOUT_AOSOA16 = 3,
    FBAT_LAYOUT_AOSOA64 = 4,
    FBAT_LAYOUT_SOAOS = 5
};

enum fbat_log_level { FBAT_LOG_ERROR = 1, FBAT_LOG_WARNING = 2, FBAT_LOG_INFO = 3 };

/* Returns microseconds since the epoch. Called from any thread, under the store's locks: must not call back. */
typedef int64_t (*fbat_clock_fn)(void *user);

/* One message, a line without newline, valid during the call. Called from any thread, under the store's locks: must
 * not call back. */
typedef void (*fbat_log_fn)(void *user, enum fbat_log_level level, const char *message);

/* In builds with test hooks (cmake -DFBAT_TEST_HOOKS=ON): called at these points of the write path, in this order for
 * one append. A non-zero answer fails the append there as the system would, with FBAT_ERR_IO; at points after which
 * nothing can fail, marked *, it is ignored, and the callback can only end the process. `detail` is the item of
 * batch.item, the segment id of rotation.*, sync.* and restart.*, else the first sequence of the frame.
 *
 *     append.encode.before    batch.item (each)      append.encode.after
 *     append.write.before     append.write.after     sync.before    sync.after
 *     append.publish.before*  append.publish.after*
 *     rotation.before         rotation.created       rotation.after*
 *     fence.commit.before     fence.commit.after*    fence.cancel*
 *     restart.before          restart.copied         restart.after*
 *
 * Called from any thread that writes, under the store's locks: must not call back. */
typedef int (*fbat_fault_fn)(void *user, const char *point, uint64_t detail);

struct fbat_index_views {
    uint8_t soa;           /* columns by kind, scope, time; 0 or 1 */
    uint8_t entity_groups; /* each stream's rows side by side; 0 or 1 */
    uint8_t tiles64;       /* tiles of 64 events with summaries; 0 or 1 */
};

struct fbat_config {
    uint32_t struct_size; /* set by fbat_config_init */
    uint32_t reserved0;

    const char *data_dir; /* directory of the store; required; borrowed until fbat_open returns, which resolves
                           * a relative path once: a later chdir() does not matter */

    /* The active segment is sealed when the next frame would pass this many bytes; a frame larger than it gets a
     * segment of its own. > 0; default 256 MiB. */
    uint64_t segment_max_bytes;

    /* Most sealed segment files mapped at a time; least recently used go first, those that events and iterators are in
     * stay. No descriptor is held for them. > 0; default 64. */
    uint32_t fd_budget;

    /* How many events a lossy subscriber may fall behind before it skips. > 0; default 8192. */
    uint32_t broadcast_capacity;

    /* Largest payload of one event, bytes. 1..64 MiB; default 16 MiB. */
    uint32_t single_append_max_bytes;

    struct {
        uint32_t max_size;  /* most events in a batch. 1..4096; default 256 */
        uint32_t max_bytes; /* most payload bytes in a batch. 1..16 MiB; default 1 MiB */
        /* Most appends under one sync: 1 = each its own, N = up to N, 0 = all that wait. N > 1 requires an
         * idempotency key on every append (FBAT_ERR_IDEMPOTENCY_REQUIRED), because one failed sync then leaves the
         * fate of several appends to their retries. Default 1. */
        uint32_t group_commit_max_batch;
    } batch;

    struct {
        uint32_t channel_capacity; /* tickets the mailbox holds; submit waits when it is full. > 0; default 4096 */
        uint32_t pressure_retry_threshold_pct; /* try_submit says FBAT_RETRY from this fill on. 1..100; default 75 */
        uint64_t stack_size; /* of each of the writer's threads, bytes; 0 = the system's, the default */
        struct {
            /* How often the writer may recover from a failed write or sync, by moving what is not durable yet to
             * a new segment: once in the life of the handle, or max_restarts times within within_ms, counted from
             * the first of them. After that the store refuses appends (FBAT_ERR_WRITER_DEAD, naming the first
             * cause) and goes on reading. Default once. */
            enum fbat_restart_mode mode;
            uint32_t max_restarts; /* with bounded: > 0 */
            uint32_t within_ms;    /* with bounded: > 0 */
        } restart_policy;
        uint32_t shutdown_drain_limit; /* most queued appends completed at close; any; default 1024 */
    } writer;

    struct {
        enum fbat_sync_mode mode; /* all = fsync, data = fdatasync; default all */
        /* A sync is due after so many events. 1 = every append is durable before it is acknowledged, unless it asks
         * for less. >= 1; default 1000. */
        uint32_t every_n_events;
        uint32_t max_delay_ms; /* and no later than this after the first unsynced event; 0 = no bound; default 1000 */
    } sync;

    struct {
        enum fbat_index_layout layout;  /* which view answers scans first; default aos = the planner's choice */
        struct fbat_index_views views;  /* views beside the base rows; default all on. Off: neither kept, nor
                                         * written, nor asked; the base rows answer, with the same result */
        uint8_t incremental_projection; /* fold only what is newer than the cached state; default 0. [kept] */
        uint8_t enable_checkpoint;      /* write index.ckpt at close and after compaction; default 1. [kept] */
        uint8_t enable_mmap_index;      /* write and prefer index.fbati, mapped at open; default 1. [kept] */
    } index;

    fbat_clock_fn clock; /* NULL = the system's. Times in the log never go backwards even if it does */
    void *clock_user;
    fbat_log_fn log; /* NULL = no messages */
    void *log_user;
    fbat_fault_fn fault_injector; /* only in builds with test hooks; else FBAT_ERR_CONFIG unless NULL */
    void *fault_user;
};

/* Fills config with the defaults and data_dir (borrowed). Any thread. */
FBAT_API void fbat_config_init(struct fbat_config *config, const char *data_dir);

/* FBAT_OK, or FBAT_ERR_CONFIG with a message that names the field, its value and the range. Touches no disk. */
FBAT_API int fbat_config_validate(const struct fbat_config *config, struct fbat_error *out_error);

/* Sets one field by its dotted name, as in this struct: "sync.every_n_events" = "1". Numbers take the suffixes K, KiB,
 * M, MiB, G, GiB; flags on/off/true/false/1/0; "writer.restart_policy" = "once" or "bounded:MAX/WITHIN_MS";
 * "index.views" = "all", "none" or a comma-separated list. Not for data_dir and callbacks.
 * FBAT_ERR_CONFIG for an unknown name or a bad value: config is then untouched. */
FBAT_API int fbat_config_set(struct fbat_config *config, const char *name, const char *value,
                             struct fbat_error *out_error);

/* Writes every field that fbat_config_set knows as "name=value\n" into out_text, zero-terminated, cut off at size.
 * Returns the size needed, without the zero, like snprintf. */
FBAT_API size_t fbat_config_format(const struct fbat_config *config, char *out_text, size_t size);

/* One row of the table of fields, for help texts and tools: index from 0; FBAT_END past the last. Strings are static. */
struct fbat_config_field {
    const char *name;          /* "sync.every_n_events" */
    const char *default_value; /* "1000" */
    const char *range;         /* ">= 1" */
    const char *meaning;       /* a phrase */
};
FBAT_API int fbat_config_field(size_t index, struct fbat_config_field *out_field);

/* ---------------------------------------------------------------------------------------------------------------
 * 4  Open and close
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_store;

/* Opens the store in config->data_dir for reading and writing; creates it where the directory is absent (its parent
 * must exist) or empty. Takes the writer's lock, recovers what a killed process or a power cut left, and drops a torn
 * tail: bytes after the last whole frame that were never acknowledged durable.
 *
 * config and what it points to are borrowed until the call returns. *out_store is the caller's; fbat_close ends it.
 *
 * FBAT_ERR_CONFIG       a value is out of range; nothing was created. Mend the field named.
 * FBAT_ERR_LOCKED       another writer; error->holder_pid says who. Wait, or open read-only.
 * FBAT_ERR_NOT_A_STORE  not a directory, or one with other files in it and no store.meta. Check the path.
 * FBAT_ERR_VERSION      written by a newer version. Update the library.
 * FBAT_ERR_DAMAGED      bytes known to have been durable are broken or missing; error names segment and offset.
 *                       Nothing was changed. Run `fbat check`; restore a copy.
 * FBAT_ERR_PERMISSION, FBAT_ERR_NO_SPACE, FBAT_ERR_IO, FBAT_ERR_NO_MEMORY   as they say; nothing was lost.
 *
 * Any thread. Durability: all that was recovered is durable when the call returns. */
FBAT_API int fbat_open(const struct fbat_config *config, struct fbat_store **out_store, struct fbat_error *out_error);

/* Opens the store for reading only, beside a writer in this or another process, or none, or on read-only media.
 * Needs no write access. Reads on the handle follow the writer live: each one starts from all that is visible at
 * that moment. Appends answer FBAT_ERR_READ_ONLY.
 * FBAT_ERR_NOT_FOUND when the directory does not exist; the rest as fbat_open. Any thread. */
FBAT_API int fbat_open_read_only(const struct fbat_config *config, struct fbat_store **out_store,
                                 struct fbat_error *out_error);

/* Ends the handle. In this order: a fence that is still open is cancelled; of the appends in the mailbox up to
 * writer.shutdown_drain_limit are completed, and the rest are answered FBAT_ERR_SHUTDOWN; everything is made durable; the
 * active segment is cut to its last frame; the lock is given up. NULL is accepted.
 *
 * Before that, who waits in fbat_subscription_recv or fbat_cursor_poll is woken, and such a call under way waited for.
 *
 * All iterators must be closed, all retained events released, and no other call be under way. Tickets may be waited for
 * and released afterwards; outboxes, fences, subscriptions and cursors must only be destroyed or closed.
 *
 * The store is gone whatever the result. FBAT_ERR_IO or FBAT_ERR_WRITER_DEAD, with the first failure: what was
 * acknowledged `written` since the last good sync may not survive a power cut. A handle that is never closed loses nothing
 * of what was acknowledged: the next opening recovers it. */
FBAT_API int fbat_close(struct fbat_store *store, struct fbat_error *out_error);

/* What opening found and did. */
enum fbat_open_path {
    FBAT_OPEN_EMPTY = 0,   /* no events yet */
    FBAT_OPEN_FRAMES = 1,  /* frames of at least one segment before the last were scanned: a footer was missing */
    FBAT_OPEN_FOOTERS = 2, /* sealed segments by their footers, then the active one's frames */
    FBAT_OPEN_CHECKPOINT = 3,
    FBAT_OPEN_MAPPED = 4
};

struct fbat_open_report {
    enum fbat_open_path path;
    uint32_t segment_count;
    uint32_t footers_used;    /* segments opened by their footer */
    uint32_t footers_rebuilt; /* sealed segments whose footer was missing or damaged, and was made again */
    uint64_t duration_us;
    uint64_t events_scanned; /* events read from frames rather than from an index */
    uint64_t events_total;   /* events in the store, the library's own included */
    uint64_t dropped_bytes;  /* torn tail, 0 if none */
    uint64_t dropped_segment_id;
    uint64_t dropped_offset;
    uint8_t clean; /* 1: the last writer closed the store */
    uint8_t reserved[7];
    char detail[256]; /* a line for a person */
};

/* The report of this handle's opening. Any thread. */
FBAT_API void fbat_open_report(const struct fbat_store *store, struct fbat_open_report *out_report);

/* ---------------------------------------------------------------------------------------------------------------
 * 5  Append
 *
 * One event or one batch is one frame in the log: all of it is there after a crash, or nothing.
 *
 * A call does all its work on the caller's thread when the store is idle; when appends are waiting in the mailbox
 * (section 6) it takes its place behind them. Appends at level durable that wait at the same time share a sync as
 * batch.group_commit_max_batch allows. An append is visible to readers when its level is reached, and never before an
 * append in front of it.
 *
 * Levels, by what is lost:
 *   FBAT_LEVEL_WRITTEN   the acknowledged event survives the death of this process (kill -9). A power cut or a crash
 *                        of the operating system may lose it, at most sync.max_delay_ms or sync.every_n_events of them.
 *   FBAT_LEVEL_DURABLE   it survives a power cut as well: fsync or fdatasync returned before the call did.
 *   FBAT_LEVEL_DEFAULT   durable if sync.every_n_events is 1, else written.
 * ------------------------------------------------------------------------------------------------------------ */

enum fbat_level { FBAT_LEVEL_DEFAULT = 0, FBAT_LEVEL_WRITTEN = 1, FBAT_LEVEL_DURABLE = 2 };

/* What must be true of the stream before the event goes in: compare-and-append. */
enum fbat_expect {
    FBAT_EXPECT_ANY = 0,     /* no condition */
    FBAT_EXPECT_NONE = 1,    /* the stream does not exist */
    FBAT_EXPECT_EXISTS = 2,  /* the stream has at least one event */
    FBAT_EXPECT_REVISION = 3 /* the stream is at expected_revision exactly; 0 is the same as NONE */
};

/* A piece of metadata beside the payload: opaque to the store, kept in order. Names need not be unique. */
struct fbat_header {
    struct fbat_slice name;  /* 1..255 bytes of UTF-8 */
    struct fbat_slice value; /* any bytes */
};

/* An event to append. Zero it first (or use designated initialisers): zero is the default of every field but
 * struct_size, kind, entity and scope. All it points to is borrowed during the call. */
struct fbat_new_event {
    uint32_t struct_size;      /* sizeof(struct fbat_new_event) */
    uint16_t kind;             /* category not 0x0 and not 0xD */
    uint8_t payload_type;      /* enum fbat_payload_type */
    uint8_t has_event_time;    /* 1: event_time_us is set; 0: event time is the recorded time */
    struct fbat_slice entity;  /* who: 1..1024 bytes of UTF-8 without NUL */
    struct fbat_slice scope;   /* where: likewise */
    struct fbat_slice payload; /* at most single_append_max_bytes */
    const struct fbat_header *headers;
    size_t header_count;
    const struct fbat_slice *tags; /* short UTF-8 strings, 1..255 bytes each */
    size_t tag_count;
    struct fbat_id id; /* the event's id and idempotency key; none: the store makes a UUIDv7, in which its time and
                                 * sequence can be read */
    struct fbat_id correlation; /* none: the event's own id */
    struct fbat_id causation;   /* the event that caused this one, or none */
    int64_t event_time_us;
    enum fbat_expect expect;
    uint32_t causation_item; /* in a batch: k > 0 sets causation to the id of the k-th item, counted from 1, which
                              * must come before this one; 0: none */
    uint64_t expected_revision;
};

/* What must be true of a stream, whether the append writes to it or not. */
struct fbat_condition {
    struct fbat_slice entity;
    struct fbat_slice scope;
    enum fbat_expect expect;
    uint32_t reserved; /* 0 */
    uint64_t expected_revision;
};

#define FBAT_CONDITIONS_MAX 256

/* Zero it first: zero is the default of every field but struct_size. Borrowed during the call. */
struct fbat_append_options {
    uint32_t struct_size; /* sizeof(struct fbat_append_options) */
    enum fbat_level level;
    /* All must hold before the first item goes in, for streams as they are then; error->condition names the one that
     * does not. 0..FBAT_CONDITIONS_MAX. An append whose keys are all known is a retry, and they are not looked at. */
    const struct fbat_condition *conditions;
    size_t condition_count;
};

/* Where an event went. */
struct fbat_receipt {
    uint64_t sequence;
    uint64_t revision;
    int64_t recorded_us;
    struct fbat_id id;
    uint8_t hash[32]; /* the event's hash: the head of the stream's chain */
    uint8_t replayed; /* 1: the idempotency key was known with the same content; nothing was written */
    uint8_t level;    /* enum fbat_level reached: written or durable; 0 in a fence: not before its commit */
    uint8_t reserved[6];
};

/* Appends one event and returns when its level is reached.
 *
 * options may be NULL. out_receipt may be NULL.
 *
 * With an id, retry is safe: the same id with the same stream, kind, type, payload, headers, tags (and event time,
 * correlation and causation where given) answers the original receipt and writes nothing. The id is looked at before
 * the expected revision, so the retry of a conditional append succeeds too.
 *
 * FBAT_ERR_REVISION              the stream is elsewhere: error->actual_revision. Read it, decide anew.
 * FBAT_ERR_IDEMPOTENCY_CONFLICT  the id belongs to another event: error->sequence. Use a fresh id.
 * FBAT_ERR_IDEMPOTENCY_REQUIRED  batch.group_commit_max_batch > 1 and no id was given.
 * FBAT_ERR_NAME, _KIND, _TOO_LARGE, _ARGUMENT   the event is not acceptable; nothing was written.
 * FBAT_ERR_NO_SPACE              nothing was written; the store stays usable, and goes on once there is space.
 * FBAT_ERR_FENCE_ACTIVE          a fence is open; nothing was written. Try again when it has ended.
 * FBAT_ERR_IO                    the write or the sync failed: the event is not in the log. Where the writer could not
 *                                recover (writer.restart_policy), it can be found by its id after reopening; so retry
 *                                with the same id.
 * FBAT_ERR_WRITER_DEAD           an earlier write or sync failed; the message names it. Close and reopen.
 * FBAT_ERR_READ_ONLY, FBAT_ERR_FORKED, FBAT_ERR_NO_MEMORY   as they say; nothing was written.
 *
 * Any thread; appends are put in one order. */
FBAT_API int fbat_append(struct fbat_store *store, const struct fbat_new_event *event,
                         const struct fbat_append_options *options, struct fbat_receipt *out_receipt,
                         struct fbat_error *out_error);

/* Appends count events (1..batch.max_size) as one frame: readers see all of them or none, and so does recovery.
 * They get consecutive sequences. Each item may carry its own expectation, checked against the stream as the items
 * before it leave it. out_receipts has room for count receipts, or is NULL.
 *
 * As fbat_append; error->item names the item at fault. When every item's id is known with the same content, the
 * original receipts are answered. FBAT_ERR_IDEMPOTENCY_PARTIAL: some ids are known and others are not; item is the
 * first that is known; nothing was written. An id twice in one batch is FBAT_ERR_IDEMPOTENCY_CONFLICT. */
FBAT_API int fbat_append_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                               const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                               struct fbat_error *out_error);

/* Appends an event that another one caused: its causation is `cause`; its correlation is the cause's unless given; and
 * where it has no id, that is derived from cause, scope, entity and kind, so that doing it again (after a crash, say) finds
 * the first and writes nothing. Two reactions to one cause of the same kind in the same stream need ids of their own.
 *
 * As fbat_append; also FBAT_ERR_NOT_FOUND: no visible event has the id *cause. FBAT_ERR_ARGUMENT: the event names another
 * causation. */
FBAT_API int fbat_append_reaction(struct fbat_store *store, const struct fbat_id *cause,
                                  const struct fbat_new_event *event, const struct fbat_append_options *options,
                                  struct fbat_receipt *out_receipt, struct fbat_error *out_error);

/* Makes a new id for a caller: UUIDv7 (RFC 9562, section 5.7), greater than every one it made before.
 * Any thread. FBAT_ERR_READ_ONLY, FBAT_ERR_IO (no randomness to be had). */
FBAT_API int fbat_id_generate(struct fbat_store *store, struct fbat_id *out_id, struct fbat_error *out_error);

/* ---------------------------------------------------------------------------------------------------------------
 * 6  Tickets
 *
 * An append that the caller does not wait for: it is copied into the mailbox (writer.channel_capacity), the writer's
 * thread does the rest, and the ticket tells the outcome. Submitted appends go into the log in the order they were put
 * into the mailbox; a blocking append takes its place behind them.
 *
 *     fbat_submit(store, &event, NULL, &ticket, &error);
 *     ...
 *     fbat_ticket_wait(ticket, FBAT_FOREVER, &receipt, &error);
 *     fbat_ticket_release(ticket);
 *
 * Every ticket is answered, whatever happens: also by a writer that stopped, a full disk, a fence that was cancelled, and
 * fbat_close. A ticket is the caller's until fbat_ticket_release, and outlives its store.
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_ticket;

#define FBAT_FOREVER UINT32_MAX /* as timeout_ms: no bound */

/* Puts an append into the mailbox; waits while that is full. Everything is copied. The limits are checked at once: what
 * fbat_append would refuse before it looks at the store is refused here, and there is no ticket.
 *
 * FBAT_ERR_ARGUMENT, _NAME, _KIND, _TOO_LARGE, _IDEMPOTENCY_REQUIRED   as fbat_append
 * FBAT_ERR_READ_ONLY, FBAT_ERR_FORKED, FBAT_ERR_NO_MEMORY              as they say
 * FBAT_ERR_IO                                                          the writer's thread could not be started
 * All else is the ticket's answer. Any thread. Durability: that of the level, once the ticket says FBAT_OK. */
FBAT_API int fbat_submit(struct fbat_store *store, const struct fbat_new_event *event,
                         const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                         struct fbat_error *out_error);
FBAT_API int fbat_submit_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                               const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                               struct fbat_error *out_error);

/* fbat_append_reaction as a ticket; also FBAT_ERR_NOT_FOUND at once. */
FBAT_API int fbat_submit_reaction(struct fbat_store *store, const struct fbat_id *cause,
                                  const struct fbat_new_event *event, const struct fbat_append_options *options,
                                  struct fbat_ticket **out_ticket, struct fbat_error *out_error);

/* The same without ever waiting. FBAT_RETRY: the mailbox is filled to writer.pressure_retry_threshold_pct; there is no
 * ticket; error->retry_after_ms says when it is likely to have room. FBAT_ERR_FENCE_ACTIVE: cancelled, because a fence is
 * open. FBAT_ERR_WRITER_DEAD at once, too. */
FBAT_API int fbat_try_submit(struct fbat_store *store, const struct fbat_new_event *event,
                             const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                             struct fbat_error *out_error);
FBAT_API int fbat_try_submit_batch(struct fbat_store *store, const struct fbat_new_event *events, size_t count,
                                   const struct fbat_append_options *options, struct fbat_ticket **out_ticket,
                                   struct fbat_error *out_error);

/* Waits for the outcome, at most timeout_ms (FBAT_FOREVER: no bound). The answer is that of the append: FBAT_OK and
 * receipts, or its error. FBAT_RETRY: not yet. May be called again, with the same answer. out_receipts has room for
 * fbat_ticket_count receipts, or is NULL. One thread at a time per ticket. */
FBAT_API int fbat_ticket_wait(struct fbat_ticket *ticket, uint32_t timeout_ms, struct fbat_receipt *out_receipts,
                              struct fbat_error *out_error);

/* The same without waiting. */
FBAT_API int fbat_ticket_poll(struct fbat_ticket *ticket, struct fbat_receipt *out_receipts,
                              struct fbat_error *out_error);

/* Events of the ticket's append. */
FBAT_API size_t fbat_ticket_count(const struct fbat_ticket *ticket);

/* A file descriptor that becomes readable, and stays so, when the ticket has its answer: for poll, epoll and the event
 * loops above them. Made at the first call; the ticket's, closed by fbat_ticket_release. Do not read from it.
 * FBAT_ERR_LIMIT: the process has no descriptor left. */
FBAT_API int fbat_ticket_fd(struct fbat_ticket *ticket, int *out_fd, struct fbat_error *out_error);

/* Gives the ticket up, without waiting: the append goes on. NULL is accepted. */
FBAT_API void fbat_ticket_release(struct fbat_ticket *ticket);

/* How full the mailbox is. */
struct fbat_pressure {
    uint32_t capacity;       /* writer.channel_capacity */
    uint32_t used;           /* tickets waiting in it now */
    uint32_t retry_from;     /* try_submit says FBAT_RETRY from this many on */
    uint32_t retry_after_ms; /* what it would say; 0 below the threshold */
};
FBAT_API void fbat_pressure(struct fbat_store *store, struct fbat_pressure *out_pressure);

/* ---------------------------------------------------------------------------------------------------------------
 * 7  Fences
 *
 * A fence makes several appends one: all of them become visible at its commit, or none ever. While it is open every other
 * append is refused (FBAT_ERR_FENCE_ACTIVE), so what it decides on does not change under it. What is larger than a batch,
 * or must see its own receipts before it goes on, belongs in a fence; else prefer a batch.
 *
 *     fbat_fence_begin(store, &fence, &error);
 *     fbat_fence_append(fence, &order, NULL, &receipt, &error);
 *     fbat_fence_append(fence, &invoice, NULL, NULL, &error);
 *     fbat_fence_commit(fence, NULL, &error);
 *
 * After a cancel, a crash or a kill before the commit the streams go on as if the fence had never been.
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_fence;

/* Opens a fence. FBAT_ERR_FENCE_ACTIVE: another one is open. FBAT_ERR_WRITER_DEAD, _READ_ONLY, _FORKED, _NO_MEMORY.
 * The fence is the caller's; fbat_fence_commit and fbat_fence_cancel end it. Any thread. */
FBAT_API int fbat_fence_begin(struct fbat_store *store, struct fbat_fence **out_fence, struct fbat_error *out_error);

/* Appends under the fence. As fbat_append and fbat_append_batch, but readers do not see the events before the commit, the
 * receipts' level is 0, and options->level does not count. Sequence, revision, id and hash in a receipt are final if the fence is
 * committed. Expected revisions see what the fence wrote before. A failed append leaves the fence open, as it was,
 * unless the writer failed (FBAT_ERR_IO): then the fence is cancelled.
 * FBAT_ERR_CANCELLED: the fence was cancelled, by a failed write or because its store was closed. */
FBAT_API int fbat_fence_append(struct fbat_fence *fence, const struct fbat_new_event *event,
                               const struct fbat_append_options *options, struct fbat_receipt *out_receipt,
                               struct fbat_error *out_error);
FBAT_API int fbat_fence_append_batch(struct fbat_fence *fence, const struct fbat_new_event *events, size_t count,
                                     const struct fbat_append_options *options, struct fbat_receipt *out_receipts,
                                     struct fbat_error *out_error);

/* Makes all of it part of the log, at options->level (conditions are looked at now, too, for the streams as the fence
 * leaves them), and ends the fence, whatever the result: after a failure it is cancelled. An empty fence commits as nothing. */
FBAT_API int fbat_fence_commit(struct fbat_fence *fence, const struct fbat_append_options *options,
                               struct fbat_error *out_error);

/* Ends the fence as if it had never been. NULL is accepted. Cannot fail. */
FBAT_API void fbat_fence_cancel(struct fbat_fence *fence);

/* An outbox collects events, each checked and copied when it is staged, and appends them as one batch. */
struct fbat_outbox;

/* An outbox for a store, or, where fence is not NULL, for that fence: flush and submit then append under it. Fence and
 * store are borrowed until fbat_outbox_destroy. FBAT_ERR_READ_ONLY, _FORKED, _NO_MEMORY. */
FBAT_API int fbat_outbox_create(struct fbat_store *store, struct fbat_fence *fence, struct fbat_outbox **out_outbox,
                                struct fbat_error *out_error);

/* Adds a copy of the event behind those staged before; causation_item counts from the outbox's first. Refused at once, and
 * not staged: what fbat_append would refuse without a look at the store, and FBAT_ERR_TOO_LARGE where the batch would pass
 * batch.max_size or batch.max_bytes (flush first). error->item is the place it would have had. */
FBAT_API int fbat_outbox_stage(struct fbat_outbox *outbox, const struct fbat_new_event *event,
                               struct fbat_error *out_error);

/* Events staged. */
FBAT_API size_t fbat_outbox_count(const struct fbat_outbox *outbox);

/* fbat_append_batch (under the fence: fbat_fence_append_batch) of what is staged. FBAT_OK: the outbox is empty again; else
 * it is as it was, and flush may be tried again. An empty outbox: FBAT_OK. */
FBAT_API int fbat_outbox_flush(struct fbat_outbox *outbox, const struct fbat_append_options *options,
                               struct fbat_receipt *out_receipts, struct fbat_error *out_error);

/* fbat_submit_batch of what is staged, which leaves the outbox empty on FBAT_OK. Under a fence the ticket is answered at
 * the fence's end: FBAT_OK by its commit, FBAT_ERR_CANCELLED by its cancel. An empty outbox: FBAT_ERR_ARGUMENT. */
FBAT_API int fbat_outbox_submit(struct fbat_outbox *outbox, const struct fbat_append_options *options,
                                struct fbat_ticket **out_ticket, struct fbat_error *out_error);

/* Forgets what is staged. */
FBAT_API void fbat_outbox_clear(struct fbat_outbox *outbox);

/* Frees the outbox and what is staged in it. NULL is accepted. */
FBAT_API void fbat_outbox_destroy(struct fbat_outbox *outbox);

/* ---------------------------------------------------------------------------------------------------------------
 * 8  Watermarks
 * ------------------------------------------------------------------------------------------------------------ */

/* Sequences; durable <= visible <= written <= accepted. Written, visible and durable only grow. */
struct fbat_frontier {
    uint64_t accepted; /* the last sequence given out; goes back when a sync fails or a fence is cancelled */
    uint64_t written;  /* the death of the process cannot lose what is up to here */
    uint64_t visible;  /* readers see up to here */
    uint64_t durable;  /* a power cut cannot lose what is up to here */
};

/* The watermarks now. On a read-only handle accepted, written and visible are the same, and durable is what the writer
 * says in LOCK. Any thread. */
FBAT_API void fbat_frontier(struct fbat_store *store, struct fbat_frontier *out_frontier);

/* Makes everything acknowledged before the call durable. Where a sync fails, the file is never synced again: what is not
 * durable yet is moved to a new segment and synced there, within writer.restart_policy. FBAT_ERR_WRITER_DEAD, naming the
 * first cause: that failed too, or was not allowed any more; what was not durable may not survive a power cut.
 * FBAT_ERR_READ_ONLY. Any thread. */
FBAT_API int fbat_sync(struct fbat_store *store, struct fbat_error *out_error);

/* Waits until the event with this sequence, and all before it, are durable, at most timeout_ms (FBAT_FOREVER: no bound).
 * Asks for a sync at once where none is under way; any number of callers share one. A sequence not yet given out is waited
 * for. FBAT_RETRY: not within the time. FBAT_ERR_WRITER_DEAD, FBAT_ERR_READ_ONLY. Any thread. */
FBAT_API int fbat_wait_durable(struct fbat_store *store, uint64_t sequence, uint32_t timeout_ms,
                               struct fbat_error *out_error);

/* ---------------------------------------------------------------------------------------------------------------
 * 9  Read
 *
 * Reads copy nothing: an event is a view into the mapped segment. Reads never wait for the writer.
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_event {
    uint64_t sequence;
    uint64_t revision;
    int64_t recorded_us;
    int64_t event_time_us;
    uint16_t kind;
    uint8_t payload_type; /* enum fbat_payload_type */
    uint8_t reserved;
    uint32_t lane; /* branch lane, 0 in this version */
    struct fbat_id id;
    struct fbat_id correlation;
    struct fbat_id causation; /* none when nothing caused it */
    struct fbat_slice entity;
    struct fbat_slice scope;
    struct fbat_slice payload;
    struct fbat_slice headers;    /* encoded; use fbat_event_header */
    struct fbat_slice tags;       /* encoded; use fbat_event_tag */
    const uint8_t *hash;          /* 32 bytes */
    const uint8_t *previous_hash; /* 32 bytes; zero for revision 1 */
    uint64_t segment_id;          /* where it is on disk */
    uint64_t offset;              /* byte offset of the record in the segment's file */
    void *pin;                    /* the library's; NULL when the view is borrowed from an iterator */
};

/* The event with this id. *out_event is pinned until fbat_event_release.
 * FBAT_ERR_NOT_FOUND: no visible event has it. FBAT_ERR_IO, _NO_MEMORY, _PERMISSION, _DAMAGED: a segment that may hold it
 * cannot be opened; error names it, and the store stays as it was. Any thread. */
FBAT_API int fbat_get(struct fbat_store *store, const struct fbat_id *id, struct fbat_event *out_event,
                      struct fbat_error *out_error);

/* The event at this sequence; likewise. */
FBAT_API int fbat_get_by_sequence(struct fbat_store *store, uint64_t sequence, struct fbat_event *out_event,
                                  struct fbat_error *out_error);

/* The last event of a stream; likewise. FBAT_ERR_NOT_FOUND: the stream does not exist. */
FBAT_API int fbat_latest(struct fbat_store *store, struct fbat_slice entity, struct fbat_slice scope,
                         struct fbat_event *out_event, struct fbat_error *out_error);

/* Keeps an event that an iterator gave beyond the iterator's next step: pins it until fbat_event_release.
 * Nothing when it is pinned already. event->pin stays NULL when its segment was sealed meanwhile and its file cannot be
 * opened. Any thread. */
FBAT_API void fbat_event_retain(struct fbat_event *event, struct fbat_store *store);

/* Ends the pin; the event's slices are invalid afterwards. NULL and unpinned events are accepted. Any thread. */
FBAT_API void fbat_event_release(struct fbat_event *event);

/* The index-th header of an event, or FBAT_END past the last. Slices live as long as the event's. */
FBAT_API int fbat_event_header(const struct fbat_event *event, size_t index, struct fbat_header *out_header);

/* The value of the first header with this name, or FBAT_ERR_NOT_FOUND. */
FBAT_API int fbat_event_find_header(const struct fbat_event *event, struct fbat_slice name,
                                    struct fbat_slice *out_value);

/* The index-th tag of an event, or FBAT_END past the last. */
FBAT_API int fbat_event_tag(const struct fbat_event *event, size_t index, struct fbat_slice *out_tag);

/* ---------------------------------------------------------------------------------------------------------------
 * 10  Query
 * ------------------------------------------------------------------------------------------------------------ */

enum fbat_region_flags {
    FBAT_REGION_ENTITY_PREFIX = 1u << 0, /* entity is a prefix; an empty one matches all */
    FBAT_REGION_SYSTEM = 1u << 1         /* the library's own events match too; without it they never do */
};

/* Which events: the one predicate for everything. Zero (but struct_size) is "all of the caller's events"; every field
 * set narrows it. Ranges are inclusive, and 0 as a bound means "open". */
struct fbat_region {
    uint32_t struct_size; /* sizeof(struct fbat_region) */
    uint32_t flags;       /* enum fbat_region_flags */
    struct fbat_slice entity;
    struct fbat_slice scope;
    uint16_t kind;     /* exact kind, 0 = any */
    uint16_t category; /* 1..15, 0 = any */
    uint32_t reserved;
    uint64_t revision_min, revision_max;
    uint64_t sequence_min, sequence_max;
    int64_t time_min_us, time_max_us; /* recorded time */
};

enum fbat_direction { FBAT_FORWARD = 0, FBAT_BACKWARD = 1 };

struct fbat_query_options {
    uint32_t struct_size;          /* sizeof(struct fbat_query_options) */
    enum fbat_direction direction; /* by sequence */
    uint64_t limit;                /* most events; 0 = no limit */
    uint64_t snapshot;             /* see nothing after this sequence; in the middle of a batch or fence, nothing of it;
                                    * 0 = all that is visible when the query starts */
};

struct fbat_iterator;

/* Starts a query. The iterator sees a prefix of the log: all that is visible now (or up to options->snapshot), and a
 * batch whole or not at all, however long it stays open. region and options may be NULL for "all, forward" and are
 * copied. *out_iterator is the caller's; fbat_iterator_close ends it, before the store is closed.
 * FBAT_ERR_ARGUMENT (bad region), FBAT_ERR_NO_MEMORY. Any thread; one thread at a time per iterator. */
FBAT_API int fbat_query(struct fbat_store *store, const struct fbat_region *region,
                        const struct fbat_query_options *options, struct fbat_iterator **out_iterator,
                        struct fbat_error *out_error);

/* The next event: FBAT_OK and the event, or FBAT_END. *out_event is borrowed until the next call on this iterator;
 * fbat_event_retain keeps it longer. FBAT_ERR_DAMAGED: the record is unreadable; error names the place. FBAT_ERR_IO,
 * _NO_MEMORY, _PERMISSION: the next segment cannot be opened (no descriptor to be had, its file gone); the same call may be
 * tried again. */
FBAT_API int fbat_iterator_next(struct fbat_iterator *iterator, struct fbat_event *out_event,
                                struct fbat_error *out_error);

/* The sequence this iterator sees up to. */
FBAT_API uint64_t fbat_iterator_snapshot(const struct fbat_iterator *iterator);

/* How the events of a segment were found; several bits after several segments. */
enum fbat_strategy {
    FBAT_STRATEGY_RANGE = 1 << 0,   /* every row of a range matches: nothing was compared */
    FBAT_STRATEGY_LINKS = 1 << 1,   /* one stream, from event to event */
    FBAT_STRATEGY_GROUPS = 1 << 2,  /* one stream, by entity_groups */
    FBAT_STRATEGY_MERGE = 1 << 3,   /* several streams, likewise */
    FBAT_STRATEGY_COLUMNS = 1 << 4, /* a scan of columns (soa) */
    FBAT_STRATEGY_TILES = 1 << 5,   /* a scan that passed over tiles by their summaries (tiles64) */
    FBAT_STRATEGY_ROWS = 1 << 6     /* a scan of base rows */
};

/* What a query has done up to now. */
struct fbat_query_plan {
    uint32_t struct_size;      /* sizeof(struct fbat_query_plan), set by the caller */
    uint32_t strategies;       /* enum fbat_strategy */
    uint64_t segments;         /* in the store */
    uint64_t segments_skipped; /* ruled out as a whole, by their ranges and summaries */
    uint64_t segments_opened;  /* looked into */
    uint64_t tiles_skipped;    /* of 64 events, ruled out by their summary; unless the query was for streams */
    uint64_t tiles_looked_at;
    uint64_t rows_looked_at; /* base rows looked at one by one to see whether they match */
    uint64_t streams_merged;
    uint64_t events_given;
    const char *simd; /* how columns are compared: "avx512", "avx2", "sse2", "neon" or "plain"; static */
};

/* What the iterator has done up to now: how it found its events, and how much it looked at. *out_plan is the caller's, with
 * struct_size set. FBAT_ERR_ARGUMENT (NULL, or another struct_size). */
FBAT_API int fbat_iterator_plan(const struct fbat_iterator *iterator, struct fbat_query_plan *out_plan);

/* Ends the iterator. NULL is accepted. */
FBAT_API void fbat_iterator_close(struct fbat_iterator *iterator);

/* The number of visible events in a region (NULL: all of the caller's), without visiting their payloads. */
FBAT_API int fbat_query_count(struct fbat_store *store, const struct fbat_region *region, uint64_t *out_count,
                              struct fbat_error *out_error);

/* One stream as an iterator: a query whose region is exactly this entity in this scope. A stream that does not
 * exist gives an iterator without events. */
FBAT_API int fbat_stream(struct fbat_store *store, struct fbat_slice entity, struct fbat_slice scope,
                         const struct fbat_query_options *options, struct fbat_iterator **out_iterator,
                         struct fbat_error *out_error);

/* ---------------------------------------------------------------------------------------------------------------
 * 11  Subscribe
 *
 * To be told of events as they become visible. A subscription is lossy: a subscriber that falls behind by more than
 * broadcast_capacity events skips to where he is that far behind, and is told how many he lost. So nobody waits for a slow
 * subscriber, nothing is kept for him, and publishing costs the same with one as with a thousand.
 *
 *     fbat_subscribe(store, &region, NULL, &subscription, &error);
 *     while ((status = fbat_subscription_recv(subscription, FBAT_FOREVER, &event, &error)) == FBAT_OK)
 *         ...
 *     fbat_subscription_close(subscription);
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_subscription;

/* What a subscription does with an event of its region before it gives it. The functions are called by the thread that
 * receives, during the call; they may read the store, and must not close it or use the subscription. */
struct fbat_subscribe_options {
    uint32_t struct_size; /* sizeof(struct fbat_subscribe_options) */
    uint32_t reserved;    /* 0 */
    uint64_t limit;       /* FBAT_END after so many events have passed region and filter; 0 = no limit */
    /* Non-zero lets an event pass. NULL: all do. event is borrowed during the call. */
    int (*filter)(void *user, const struct fbat_event *event);
    /* A running fold: takes each event that passed into state. FBAT_OK gives the event to the caller as well; a positive
     * answer goes on with the next one, so that the caller is woken only when the state is worth it; a negative one
     * (enum fbat_status) is the answer of the receiving call, and the event counts as received. NULL: none. */
    int (*fold)(void *user, void *state, const struct fbat_event *event);
    void *state; /* the caller's; borrowed until the subscription is closed */
    void *user;  /* likewise */
};

/* Starts a subscription to the events of a region that become visible after this call. region and options may be NULL for
 * "all of the caller's events" and are copied. *out_subscription is the caller's until fbat_subscription_close; it may
 * outlive the store, and other threads may sit in fbat_subscription_recv while the store is closed.
 *
 * On a handle for reading only, the events are those that the writer in this or another process makes visible. Nobody wakes
 * such a handle, so while a call or descriptor waits a thread of the library looks for news every 1 to 20 ms.
 *
 * FBAT_ERR_ARGUMENT, FBAT_ERR_NAME (bad region or options), FBAT_ERR_NO_MEMORY, FBAT_ERR_FORKED. Any thread; one thread at a
 * time for each subscription. */
FBAT_API int fbat_subscribe(struct fbat_store *store, const struct fbat_region *region,
                            const struct fbat_subscribe_options *options, struct fbat_subscription **out_subscription,
                            struct fbat_error *out_error);

/* The next event; waits for one as long as timeout_ms (FBAT_FOREVER: no bound). FBAT_OK and *out_event, borrowed until the
 * next call on this subscription; fbat_event_retain keeps it longer.
 *
 * FBAT_RETRY             none came in that time
 * FBAT_END               options->limit is reached
 * FBAT_ERR_SHUTDOWN      the store was closed, before or meanwhile: close the subscription
 * FBAT_ERR_DAMAGED, FBAT_ERR_IO, FBAT_ERR_NO_MEMORY   as fbat_iterator_next; calling again tries again
 * or what options->fold answered. One thread at a time. */
FBAT_API int fbat_subscription_recv(struct fbat_subscription *subscription, uint32_t timeout_ms,
                                    struct fbat_event *out_event, struct fbat_error *out_error);

/* The same without waiting: FBAT_RETRY when there is none now. */
FBAT_API int fbat_subscription_try_recv(struct fbat_subscription *subscription, struct fbat_event *out_event,
                                        struct fbat_error *out_error);

/* A descriptor for poll and epoll: readable when there may be an event, or the store was closed. It may also be readable for
 * an event of another region; it ceases to be when a receiving call answers FBAT_RETRY, and only then, so receive until
 * that. Only to be polled; the subscription's until it is closed. Level-triggered polling or not: both work.
 * FBAT_ERR_LIMIT: no descriptor is left. FBAT_ERR_IO: the system has none. One thread at a time. */
FBAT_API int fbat_subscription_fd(struct fbat_subscription *subscription, int *out_fd, struct fbat_error *out_error);

/* How many events of the store were skipped, as of the last receiving call. They are counted whatever their region, because
 * skipping is not looking at them: for a subscriber of everything (FBAT_REGION_SYSTEM) received + lost = published; for any
 * other, at most so many of its region were lost. One thread at a time. */
FBAT_API uint64_t fbat_subscription_lost(const struct fbat_subscription *subscription);

/* Ends the subscription; its last event is invalid afterwards. NULL is accepted. */
FBAT_API void fbat_subscription_close(struct fbat_subscription *subscription);

/* ---------------------------------------------------------------------------------------------------------------
 * 12  Cursors
 *
 * To see every event of a region exactly once, in order, from wherever one wants to start: a cursor catches up and goes
 * live without a gap or a repeat in between. Unlike a subscription it never skips; it reads the log, so nothing is kept for a
 * slow one either. It keeps its place: a poll costs what it gives, and what has come since the last one.
 *
 * With a name, its position outlives the process: fbat_cursor_commit keeps it in state.mdb in the store's directory, and
 * fbat_cursor_open goes on from there. Commit after handling what a poll gave, and every event is handled at least once,
 * whatever crashes. One process at a time for a name: nothing keeps two from handling the same events.
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_cursor;

enum fbat_cursor_from {
    FBAT_CURSOR_BEGINNING = 0,
    FBAT_CURSOR_END = 1,      /* what becomes visible after fbat_cursor_open */
    FBAT_CURSOR_SEQUENCE = 2, /* from options.sequence on, that one included; it may be yet to come */
    FBAT_CURSOR_TIME = 3      /* what was or will be recorded at options.time_us or later */
};

struct fbat_cursor_options {
    uint32_t struct_size; /* sizeof(struct fbat_cursor_options) */
    enum fbat_cursor_from from;
    uint64_t sequence;    /* with FBAT_CURSOR_SEQUENCE */
    int64_t time_us;      /* with FBAT_CURSOR_TIME: recorded time */
    uint8_t durable_only; /* 1: an event is given once it survives a power cut; for side effects outside of the store */
    uint8_t reserved[7];
    struct fbat_slice name; /* 1 to 255 bytes of UTF-8 without control characters; empty: none. Where a position was
                             * committed under it, that counts and `from` does not */
};

/* Opens a cursor over a region. region and options may be NULL for "all of the caller's events, from the beginning" and are
 * copied. *out_cursor is the caller's until fbat_cursor_close; it may outlive the store. Works on handles for reading only
 * as fbat_subscribe does.
 * FBAT_ERR_ARGUMENT, FBAT_ERR_NAME (bad region or options), FBAT_ERR_NO_MEMORY, FBAT_ERR_FORKED; on a handle for reading
 * only also what reading answers. With a name: FBAT_ERR_DAMAGED (its position is unreadable, another store's, or beyond the
 * end of the log, which then is an older copy: fbat_cursor_reset), FBAT_ERR_PERMISSION, FBAT_ERR_IO.
 * Any thread; one thread at a time for each cursor. */
FBAT_API int fbat_cursor_open(struct fbat_store *store, const struct fbat_region *region,
                              const struct fbat_cursor_options *options, struct fbat_cursor **out_cursor,
                              struct fbat_error *out_error);

/* The next events, 1 to max of them, into events; waits for the first as long as timeout_ms (0: not at all, FBAT_FOREVER: no
 * bound), and never for more. They are borrowed until the next poll or the close; fbat_event_retain keeps one longer.
 *
 * FBAT_RETRY             there was none in that time; *out_count is 0
 * FBAT_ERR_SHUTDOWN      the store was closed, before or meanwhile: close the cursor
 * FBAT_ERR_DAMAGED, FBAT_ERR_IO, FBAT_ERR_NO_MEMORY   the next event cannot be read; calling again tries again
 * One thread at a time. */
FBAT_API int fbat_cursor_poll(struct fbat_cursor *cursor, struct fbat_event *events, size_t max, uint32_t timeout_ms,
                              size_t *out_count, struct fbat_error *out_error);

/* The sequence up to which every event of the region has been given. A cursor opened from the sequence behind it, on this
 * handle, on another or after reopening, goes on without a gap or a repeat; as long as what was given is durable, for a power
 * cut may take back what was not (options.durable_only). One thread at a time. */
FBAT_API uint64_t fbat_cursor_position(const struct fbat_cursor *cursor);

/* Commits the position of a named cursor: what was given so far is not given again under this name. Durable when the call
 * returns. First the log is made durable as far as the position, with a sync where it is not; on a handle for reading only,
 * which cannot do that, only what is durable already is committed.
 * FBAT_ERR_ARGUMENT (no name), FBAT_ERR_PERMISSION (state.mdb may not be written), FBAT_ERR_SHUTDOWN, FBAT_ERR_IO,
 * FBAT_ERR_NO_SPACE, FBAT_ERR_WRITER_DEAD: nothing was committed. One thread at a time. */
FBAT_API int fbat_cursor_commit(struct fbat_cursor *cursor, struct fbat_error *out_error);

/* Ends the cursor, without committing. NULL is accepted. */
FBAT_API void fbat_cursor_close(struct fbat_cursor *cursor);

/* A named cursor as it was last committed. */
struct fbat_cursor_info {
    struct fbat_slice name; /* valid during the call */
    uint64_t position;      /* sequence up to which everything is committed */
    int64_t committed_us;   /* when */
    uint64_t lag;           /* visible events of the store behind position, whatever the cursor's region */
};

/* Calls visit for each named cursor, in the order of the names' bytes. A non-zero answer stops, and is the result.
 * FBAT_ERR_DAMAGED, FBAT_ERR_PERMISSION, FBAT_ERR_IO. Any thread. */
typedef int (*fbat_cursor_fn)(void *user, const struct fbat_cursor_info *info);
FBAT_API int fbat_cursors(struct fbat_store *store, fbat_cursor_fn visit, void *user, struct fbat_error *out_error);

/* Sets the position of a name, known or new: 0 is before the first event. Cursors that are open go on where they are.
 * FBAT_ERR_NAME, FBAT_ERR_ARGUMENT (behind the end of the log), and as fbat_cursor_commit. Any thread. */
FBAT_API int fbat_cursor_reset(struct fbat_store *store, struct fbat_slice name, uint64_t position,
                               struct fbat_error *out_error);

/* Forgets a name. FBAT_ERR_NOT_FOUND: nothing was committed under it. Else as fbat_cursor_reset. Any thread. */
FBAT_API int fbat_cursor_remove(struct fbat_store *store, struct fbat_slice name, struct fbat_error *out_error);

/* ---------------------------------------------------------------------------------------------------------------
 * 13  Kind names
 *
 * A kind may carry a name ("order.placed"), kept in the log itself: one event of the library's own in the stream
 * `_kinds` of the scope `_system`. Once given, a name stays.
 * ------------------------------------------------------------------------------------------------------------ */

/* Gives kind its name, durable as an append at the default level. The same pair again is FBAT_OK and writes nothing.
 * FBAT_ERR_KIND_CONFLICT: the kind has another name or the name another kind; error says which.
 * FBAT_ERR_KIND (a reserved category), FBAT_ERR_NAME, and the errors of fbat_append. Any thread. */
FBAT_API int fbat_kind_define(struct fbat_store *store, uint16_t kind, struct fbat_slice name,
                              struct fbat_error *out_error);

/* The kind with this name; where there is none, the next free type of category (1..15 but 0xD), defined now.
 * FBAT_ERR_LIMIT: all 4,095 types of the category are taken. Else as fbat_kind_define. */
FBAT_API int fbat_kind_resolve(struct fbat_store *store, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                               struct fbat_error *out_error);

/* The kind with this name, or FBAT_ERR_NOT_FOUND. Any thread. */
FBAT_API int fbat_kind(struct fbat_store *store, struct fbat_slice name, uint16_t *out_kind);

/* The name of a kind, or FBAT_ERR_NOT_FOUND. Valid until the store is closed. Any thread. */
FBAT_API int fbat_kind_name(struct fbat_store *store, uint16_t kind, struct fbat_slice *out_name);

/* ---------------------------------------------------------------------------------------------------------------
 * 14  Maintain
 * ------------------------------------------------------------------------------------------------------------ */

struct fbat_stats {
    uint64_t events;        /* the caller's, visible */
    uint64_t system_events; /* the library's own */
    uint64_t streams;       /* the caller's */
    uint64_t kinds_named;
    uint64_t segments;
    uint64_t segments_sealed;
    uint64_t bytes_on_disk;    /* of the segment files, as allocated now */
    uint64_t bytes_of_frames;  /* of them, frames */
    uint64_t bytes_of_footers; /* and footers */
    uint64_t memory_index;     /* bytes of memory held for the index, mapped files not counted */
    int64_t first_recorded_us; /* 0 when there is no event */
    int64_t last_recorded_us;
    uint64_t first_sequence;
    uint64_t last_sequence;
    struct fbat_id store_id;
    int64_t created_us;
    uint32_t disk_version;
    uint32_t reserved;
};

/* Counts and sizes as of now. Any thread. FBAT_ERR_IO, FBAT_ERR_DAMAGED (read-only handles catch up first). */
FBAT_API int fbat_stats(struct fbat_store *store, struct fbat_stats *out_stats, struct fbat_error *out_error);

/* Events by kind, in the order of kinds: calls visit for each kind with at least one visible event in region (NULL:
 * all of the caller's). name is the empty slice for a kind without a name; valid during the call. A non-zero answer
 * stops, and is the result. */
typedef int (*fbat_kind_count_fn)(void *user, uint16_t kind, struct fbat_slice name, uint64_t event_count);
FBAT_API int fbat_kind_counts(struct fbat_store *store, const struct fbat_region *region, fbat_kind_count_fn visit,
                              void *user, struct fbat_error *out_error);

enum fbat_finding_kind {
    FBAT_FINDING_META = 1,     /* store.meta is missing, damaged or foreign */
    FBAT_FINDING_SEGMENT = 2,  /* a segment is missing, foreign, or its header is damaged */
    FBAT_FINDING_FRAME = 3,    /* bytes that are not a whole frame, or fail its checksum */
    FBAT_FINDING_TAIL = 4,     /* the log ends before what is known to have been written */
    FBAT_FINDING_SEQUENCE = 5, /* a sequence is missing, repeated or out of order */
    FBAT_FINDING_REVISION = 6, /* a revision is missing, repeated or out of order */
    FBAT_FINDING_CHAIN = 7,    /* an event does not follow its stream's last hash */
    FBAT_FINDING_HASH = 8,     /* an event's hash is not the hash of its fields */
    FBAT_FINDING_RECORD = 9,   /* a record breaks the format: sizes, reserved bits, names, times */
    FBAT_FINDING_ID = 10,      /* an id occurs twice */
    FBAT_FINDING_FOOTER = 11,  /* a footer is damaged or does not say what the frames say */
    FBAT_FINDING_TORN = 12     /* a torn tail after a kill or power cut: no damage, the next opening drops it */
};

struct fbat_finding {
    enum fbat_finding_kind kind;
    uint8_t damage; /* 1: damage; 0: a remark */
    uint8_t reserved[3];
    uint64_t segment_id; /* 0 if it concerns the store as a whole */
    uint64_t offset;     /* byte offset in the segment's file */
    uint64_t sequence;   /* of the event concerned, or the one expected there; 0 if none */
    const char *message; /* one line; valid during the call */
};

struct fbat_check_report {
    uint64_t segments;
    uint64_t footers;
    uint64_t frames;
    uint64_t events; /* verified, the library's own included */
    uint64_t streams;
    uint64_t bytes;
    uint64_t findings; /* damage */
    uint64_t remarks;
    uint64_t last_sequence;
    uint64_t duration_us;
};

struct fbat_check_options {
    uint32_t struct_size; /* sizeof(struct fbat_check_options) */
    uint32_t reserved;
    /* Called for each finding; a non-zero answer stops the check. May be NULL. */
    int (*finding)(void *user, const struct fbat_finding *finding);
    /* Called now and then with bytes verified and bytes in all; a non-zero answer stops. May be NULL. */
    int (*progress)(void *user, uint64_t bytes_done, uint64_t bytes_total);
    void *user;
};

/* Verifies the store in data_dir from its bytes alone, trusting nothing: headers, frames, checksums, sequences,
 * revisions, hashes and chains, footers and their id tables. Reads only; works beside a writer (up to what is visible
 * when it starts), on read-only media, and on stores too damaged to open.
 *
 * FBAT_OK: verified whole; out_report->findings says whether there was damage (0 = none). options may be NULL.
 * FBAT_ERR_NOT_FOUND, FBAT_ERR_NOT_A_STORE, FBAT_ERR_VERSION, FBAT_ERR_IO, FBAT_ERR_NO_MEMORY: it could not be verified.
 * Any thread; needs no open store. */
FBAT_API int fbat_check(const char *data_dir, const struct fbat_check_options *options,
                        struct fbat_check_report *out_report, struct fbat_error *out_error);

/* The physical log, for people who want to see the bytes' meaning: one entry for each segment header, frame, event
 * record and footer part, in file order. */
enum fbat_dump_what {
    FBAT_DUMP_SEGMENT = 1, /* a segment's header */
    FBAT_DUMP_FRAME = 2,
    FBAT_DUMP_EVENT = 3,  /* a record of the frame before */
    FBAT_DUMP_FOOTER = 4, /* a part of a sealed segment's footer, or its trailer */
    FBAT_DUMP_BROKEN = 5  /* bytes that are none of these; detail says what is wrong */
};

enum fbat_frame_type {
    FBAT_FRAME_EVENTS = 1,
    FBAT_FRAME_STAGED = 2, /* events of a fence: they count with the commit that follows */
    FBAT_FRAME_COMMIT = 3  /* the fence's end; holds no event */
};

struct fbat_dump_entry {
    enum fbat_dump_what what;
    uint32_t event_count; /* of a frame */
    uint64_t segment_id;
    uint64_t offset;                /* in the segment's file */
    uint64_t bytes;                 /* length there */
    uint64_t first_sequence;        /* of a segment or frame */
    uint64_t durable_sequence;      /* of a frame: known durable when it was written */
    uint32_t crc32c;                /* as stored; 0 for an event */
    uint32_t frame_type;            /* enum fbat_frame_type, of a frame; else 0 */
    const struct fbat_event *event; /* of an event record; else NULL. Valid during the call, not to be retained */
    const char *detail;             /* a phrase: footer parts, what is broken or void; valid during the call */
};

/* Calls visit for each entry of segment_id, or of all segments when it is 0. A non-zero answer stops, and is the
 * result. Reads only; needs no open store. Errors as fbat_check. */
typedef int (*fbat_dump_fn)(void *user, const struct fbat_dump_entry *entry);
FBAT_API int fbat_dump(const char *data_dir, uint64_t segment_id, fbat_dump_fn visit, void *user,
                       struct fbat_error *out_error);

#ifdef __cplusplus
}
#endif

#endif
