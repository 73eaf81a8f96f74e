/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index of one segment: a row for each event, a table of ids, a table of streams. The active segment's grows in
 * memory as events come in; a sealed one's is the footer, mapped. Both have the same layout, and the same code reads
 * them.
 *
 *     id ──────── its sequence ──┐
 *     id ──hash──> id slots ──> row ──────────────> record in the segment's file
 *                                ^ | next, previous in stream
 *     scope, entity ──hash──> stream slots ──> stream (first row, last row)
 *
 * Counted: a slot of the directory holds one reference, and so does every iterator and event that points here. A sealed
 * one in a slot is counted by the slot (index/segment_slot.h).
 *
 * Threads. One writer adds (under the sequencer's or the follower's lock); readers never wait.
 *
 * Publication order: the record's bytes, the row, its views and links, its slots, then row_count by a release store. A reader
 * loads row_count (or gets a limit from whoever did) before it follows anything, and ignores row numbers beyond it.
 * So a batch, added whole before one publication, appears at once.
 *
 * I1: rows are in sequence order, recorded times never decrease.
 * I2: a row number in a slot or link that is at most row_count belongs to a complete row.
 */
#ifndef FBAT_INDEX_SEGMENT_INDEX_H
#define FBAT_INDEX_SEGMENT_INDEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#include "format/footer.h"
#include "format/frame.h"
#include "format/record.h"
#include "index/chunks.h"
#include "index/slots.h"
#include "index/views.h"
#include "log/segment.h"

#define SEGMENT_INDEX_NONE UINT32_MAX /* no stream */

struct segment_slot;

struct segment_index {
    atomic_uint references;    /* 1 while `slot` counts */
    struct segment_slot *slot; /* of a sealed segment that it stands in; NULL = none */
    struct segment *segment;   /* owned */
    bool sealed;               /* mapped from the footer; immutable */
    struct chunks rows;        /* struct footer_row */
    struct chunks streams;     /* struct footer_stream */
    struct slots id_slots;
    struct slots stream_slots;
    struct views views;
    _Atomic uint32_t row_count;    /* published rows */
    _Atomic uint32_t stream_count; /* published streams */
    uint32_t rows_added;           /* writer only: published and not */
    uint32_t ids_inserted; /* likewise: rows whose ids are in the slots, where they belong there; all published ones */
    uint32_t ids_pending;  /* likewise: ids to be put into slots at the next publication */
    uint64_t id_tag_key;
    uint32_t streams_added;         /* likewise */
    struct segment_summary summary; /* writer only while active; of all rows added */
};

/* An empty index over a segment, which it owns from then on (also on failure). */
int segment_index_create(struct segment *segment, struct segment_index **out_index, struct fbat_error *error);

/* Gives an index that has no row yet the views that a configuration asks for; without it, it has all. */
void segment_index_want_views(struct segment_index *index, const struct fbat_config *config);

/* The index in a segment's footer. FBAT_ERR_NOT_FOUND when there is no valid footer (*out_fault says why); the segment
 * then stays the caller's, otherwise the index owns it. */
int segment_index_open_footer(struct segment *segment, struct segment_index **out_index, const char **out_fault,
                              struct fbat_error *error);

void segment_index_retain(struct segment_index *index);
void segment_index_release(struct segment_index *index); /* NULL is accepted */

/* Makes room for event_count events of at most as many new streams, so that adding them cannot fail. */
int segment_index_reserve(struct segment_index *index, uint32_t event_count, struct fbat_error *error);

/* Adds the record at `at` (measured), which stands at record_offset in the frame at frame_offset. stream is the index of
 * its stream here, or SEGMENT_INDEX_NONE when that is not known; the answer is that index. Nothing is visible before
 * segment_index_publish. */
uint32_t segment_index_add(struct segment_index *index, const uint8_t *at, const struct record_sizes *sizes,
                           uint64_t sequence, uint64_t record_offset, uint64_t frame_offset, uint32_t stream);

/* Adds all records of a verified frame. FBAT_ERR_DAMAGED when a record does not fit the frame. */
int segment_index_add_frame(struct segment_index *index, const struct frame *frame, const uint8_t *bytes,
                            uint64_t frame_offset, struct fbat_error *error);

/* Makes all that was added visible to readers. */
void segment_index_publish(struct segment_index *index);

/* Writes the index as the segment's footer. */
int segment_index_write_footer(struct segment_index *index, struct fbat_error *error);

/* Heap bytes held. Writer only, or sealed. */
uint64_t segment_index_memory(const struct segment_index *index);

static inline uint32_t segment_index_row_count(const struct segment_index *index) {
    return atomic_load_explicit(&index->row_count, memory_order_acquire);
}

static inline uint32_t segment_index_stream_count(const struct segment_index *index) {
    return atomic_load_explicit(&index->stream_count, memory_order_acquire);
}

/* The row at position, below a row count loaded before. */
static inline struct footer_row *segment_index_row(const struct segment_index *index, uint32_t position) {
    return chunks_at(&index->rows, position);
}

static inline struct footer_stream *segment_index_stream(const struct segment_index *index, uint32_t stream) {
    return chunks_at(&index->streams, stream);
}

/* Links of row `number`, 0 at the end. They only ever lead onwards: one that does not, in a mapping that went bad, ends
 * the walk. */
static inline uint32_t segment_index_previous_in_stream(const struct footer_row *row, uint32_t number) {
    return row->previous_in_stream < number ? row->previous_in_stream : 0;
}
static inline uint32_t segment_index_next_in_stream(const struct footer_row *row, uint32_t number) {
    uint32_t next = __atomic_load_n(&row->next_in_stream, __ATOMIC_ACQUIRE);
    return next > number ? next : 0;
}
static inline uint32_t segment_index_last_row(const struct segment_index *index, const struct footer_stream *stream) {
    uint32_t last = __atomic_load_n(&stream->last_row, __ATOMIC_ACQUIRE);
    return index->sealed && last > segment_index_row_count(index) ? 0 : last;
}

/* Number of rows, of the first `limit`, whose sequence is at most `sequence`. */
uint32_t segment_index_rows_to_sequence(const struct segment_index *index, uint32_t limit, uint64_t sequence);

/* Number of rows, of the first `limit`, recorded before time_us. */
uint32_t segment_index_rows_before_time(const struct segment_index *index, uint32_t limit, int64_t time_us);

/* The position of the row with this id among the first `limit`; false if there is none. By the sequence that the id carries,
 * or by the slots. */
bool segment_index_find_id(const struct segment_index *index, uint32_t limit, uint64_t id_hash,
                           const struct fbat_id *id, uint32_t *out_position);

/* The two parts of that. carried: id_carried_sequence(id, index->id_tag_key). */
bool segment_index_find_carried(const struct segment_index *index, uint32_t limit, uint64_t carried,
                                const struct fbat_id *id, uint32_t *out_position);
bool segment_index_find_in_slots(const struct segment_index *index, uint32_t limit, uint64_t id_hash,
                                 const struct fbat_id *id, uint32_t *out_position);

/* The stream of these names; false if it has no row here. name_hash = hash_stream(...). */
bool segment_index_find_stream(const struct segment_index *index, uint64_t name_hash, struct fbat_slice scope,
                               struct fbat_slice entity, uint32_t *out_stream);

/* The event of a row, as a view into the mapped segment. FBAT_ERR_DAMAGED when the record does not lie within the
 * frames, or is another's. */
int segment_index_view(const struct segment_index *index, uint32_t position, struct fbat_event *out_event,
                       struct fbat_error *error);

uint64_t segment_index_id_hash(const struct fbat_id *id);

#endif
