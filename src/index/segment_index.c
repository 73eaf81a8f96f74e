/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building, sealing and searching the index of one segment. Publication order and invariants stand in the header.
 *
 * A mapped footer was verified by checksum when it was opened; numbers taken from it are still checked against their
 * ranges before they are followed, so that a page that goes bad later is an error and not a crash.
 */
#include "index/segment_index.h"

#include <string.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/limits.h"
#include "base/memory.h"
#include "index/segment_slot.h"
#include "log/footer_writer.h"

enum { INSERT_AHEAD = 16 };

uint64_t segment_index_id_hash(const struct fbat_id *id) {
    return hash64(id->bytes, sizeof id->bytes, 0);
}

/* ---- life ---- */

static void destroy_index(struct segment_index *index) {
    slots_deinit(&index->id_slots);
    slots_deinit(&index->stream_slots);
    chunks_deinit(&index->rows);
    chunks_deinit(&index->streams);
    views_deinit(&index->views);
    segment_close(index->segment);
    memory_free(index);
}

static struct segment_index *allocate_index(struct segment *segment) {
    struct segment_index *index = memory_allocate_zero(sizeof *index);
    if (!index)
        return NULL;
    atomic_init(&index->references, 1);
    index->segment = segment;
    index->id_tag_key = id_tag_key(&segment->header.store_id);
    chunks_init(&index->rows, sizeof(struct footer_row));
    chunks_init(&index->streams, sizeof(struct footer_stream));
    views_init(&index->views);
    return index;
}

int segment_index_create(struct segment *segment, struct segment_index **out_index, struct fbat_error *error) {
    struct segment_index *index = allocate_index(segment);
    if (!index) {
        segment_close(segment);
        return error_set_no_memory(error);
    }
    if (!slots_init(&index->id_slots) || !slots_init(&index->stream_slots) || !views_start(&index->views)) {
        destroy_index(index);
        return error_set_no_memory(error);
    }
    index->summary.frames_end = SEGMENT_HEADER_BYTES;
    *out_index = index;
    return FBAT_OK;
}

void segment_index_want_views(struct segment_index *index, const struct fbat_config *config) {
    FBAT_ASSERT(!index->sealed && index->rows_added == 0);
    const struct views_wanted wanted = views_wanted_by(config);
    views_want(&index->views, &wanted);
}

static bool attach_footer(struct segment_index *index, const struct footer *footer) {
    const uint8_t *file = index->segment->map;
    const struct footer_part *rows = footer_find(footer, FOOTER_PART_ROWS);
    const struct footer_part *streams = footer_find(footer, FOOTER_PART_STREAMS);
    const struct footer_part *id_slots = footer_find(footer, FOOTER_PART_ID_SLOTS);
    const struct footer_part *stream_slots = footer_find(footer, FOOTER_PART_STREAM_SLOTS);
    chunks_init_mapped(&index->rows, sizeof(struct footer_row), file + rows->offset, rows->count);
    chunks_init_mapped(&index->streams, sizeof(struct footer_stream), file + streams->offset, streams->count);
    if (!slots_init_mapped(&index->id_slots, file + id_slots->offset, id_slots->count) ||
        !slots_init_mapped(&index->stream_slots, file + stream_slots->offset, stream_slots->count))
        return false;
    views_attach(&index->views, file, footer);
    index->sealed = true;
    index->summary = footer->summary;
    index->rows_added = (uint32_t)rows->count;
    index->streams_added = (uint32_t)streams->count;
    atomic_init(&index->row_count, index->rows_added);
    atomic_init(&index->stream_count, index->streams_added);
    return true;
}

/* A file that a writer elsewhere may still cut must not be touched through the mapping near its end. The trailer is
 * written before the cut and stands at the end only after it: once it is read there, the file has its final size. */
static bool has_final_size(const struct segment *segment) {
    uint8_t trailer[FOOTER_TRAILER_BYTES];
    if (segment->access == SEGMENT_WRITE)
        return true;
    return segment->file_bytes >= SEGMENT_HEADER_BYTES + sizeof trailer &&
           segment->os->methods->file_read_at(segment->os, segment->file, trailer, sizeof trailer,
                                              segment->file_bytes - sizeof trailer) == 0 &&
           footer_has_trailer(trailer);
}

int segment_index_open_footer(struct segment *segment, struct segment_index **out_index, const char **out_fault,
                              struct fbat_error *error) {
    struct footer footer;
    const char *fault = segment->map && has_final_size(segment)
                            ? footer_decode(segment->map, segment->file_bytes, &footer)
                            : "no trailer";
    if (!fault && (footer.segment_id != segment->header.segment_id || footer.generation != segment->header.generation ||
                   !id_equal(&footer.store_id, &segment->header.store_id) ||
                   footer.summary.first_sequence != segment->header.first_sequence))
        fault = "the footer belongs to another segment";
    if (fault) {
        *out_fault = fault;
        return error_set(error, FBAT_ERR_NOT_FOUND, "%s", fault);
    }
    struct segment_index *index = allocate_index(segment);
    if (!index)
        return error_set_no_memory(error);
    if (!attach_footer(index, &footer)) {
        index->segment = NULL; /* stays the caller's */
        destroy_index(index);
        return error_set_no_memory(error);
    }
    segment->end = footer.summary.frames_end;
    *out_index = index;
    return FBAT_OK;
}

void segment_index_retain(struct segment_index *index) {
    if (index->slot)
        segment_slot_pin_again(index->slot);
    else
        atomic_fetch_add_explicit(&index->references, 1, memory_order_relaxed);
}

void segment_index_release(struct segment_index *index) {
    if (index && index->slot)
        segment_slot_unpin(index->slot);
    else if (index && atomic_fetch_sub_explicit(&index->references, 1, memory_order_acq_rel) == 1)
        destroy_index(index);
}

/* ---- adding ---- */

static uint64_t hash_of_row(const void *user, uint32_t number) {
    return segment_index_row(user, number - 1)->id_hash;
}

static uint64_t hash_of_stream(const void *user, uint32_t number) {
    return segment_index_stream(user, number - 1)->name_hash;
}

int segment_index_reserve(struct segment_index *index, uint32_t event_count, struct fbat_error *error) {
    FBAT_ASSERT(!index->sealed);
    if (index->rows_added > LIMIT_SEGMENT_EVENTS - event_count)
        return error_set(error, FBAT_ERR_LIMIT, "segment %llu holds the most events a segment can",
                         (unsigned long long)index->segment->header.segment_id);
    if (!chunks_reserve(&index->rows, (uint64_t)index->rows_added + event_count) ||
        !chunks_reserve(&index->streams, (uint64_t)index->streams_added + event_count) ||
        !views_reserve(&index->views, (uint64_t)index->rows_added + event_count, event_count) ||
        !slots_reserve(&index->id_slots, (uint64_t)index->ids_pending + event_count, hash_of_row, index) ||
        !slots_reserve(&index->stream_slots, event_count, hash_of_stream, index))
        return error_set_no_memory(error);
    return FBAT_OK;
}

static uint32_t add_stream(struct segment_index *index, uint64_t name_hash, struct fbat_slice scope) {
    uint32_t stream = index->streams_added++;
    struct footer_stream *entry = segment_index_stream(index, stream);
    *entry = (struct footer_stream){.name_hash = name_hash, .first_row = index->rows_added + 1};
    views_add_stream(index, entry, index->rows_added + 1, scope);
    return stream;
}

static void link_row(struct segment_index *index, struct footer_row *row, uint32_t row_number) {
    struct footer_stream *entry = segment_index_stream(index, row->stream);
    views_add_row(&index->views, entry, row_number, row->kind);
    row->previous_in_stream = entry->last_row;
    if (entry->last_row != 0)
        __atomic_store_n(&segment_index_row(index, entry->last_row - 1)->next_in_stream, row_number, __ATOMIC_RELEASE);
    __atomic_store_n(&entry->last_row, row_number, __ATOMIC_RELEASE);
    __atomic_store_n(&entry->event_count, entry->event_count + 1, __ATOMIC_RELAXED);
}

static void summarise_row(struct segment_index *index, const struct footer_row *row, const uint8_t *at,
                          uint64_t record_end) {
    struct segment_summary *summary = &index->summary;
    struct fbat_id id;
    memcpy(id.bytes, at + RECORD_ID_AT, sizeof id.bytes);
    if (summary->event_count == 0) {
        summary->first_sequence = row->sequence;
        summary->first_recorded_us = row->recorded_us;
        summary->id_min = summary->id_max = id;
    }
    if (memcmp(&id, &summary->id_min, sizeof id) < 0)
        summary->id_min = id;
    if (memcmp(&id, &summary->id_max, sizeof id) > 0)
        summary->id_max = id;
    if (at[RECORD_FLAGS_AT] & RECORD_FLAG_ID_MADE)
        summary->id_made = id;
    summary->event_count++;
    summary->stream_count = index->streams_added;
    summary->system_event_count += FBAT_KIND_CATEGORY(row->kind) == FBAT_CATEGORY_SYSTEM;
    summary->led_event_count += row->flags & FOOTER_ROW_ID_LEADS;
    summary->last_sequence = row->sequence;
    summary->last_recorded_us = row->recorded_us;
    memcpy(summary->last_hash, at + RECORD_HASH_AT, sizeof summary->last_hash);
    summary->frames_end = record_end;
}

uint32_t segment_index_add(struct segment_index *index, const uint8_t *at, const struct record_sizes *sizes,
                           uint64_t sequence, uint64_t record_offset, uint64_t frame_offset, uint32_t stream) {
    struct fbat_slice scope = fbat_bytes(at + RECORD_FIXED_BYTES, sizes->scope);
    struct fbat_slice entity = fbat_bytes(at + RECORD_FIXED_BYTES + sizes->scope, sizes->entity);
    bool new_stream = false;
    if (stream == SEGMENT_INDEX_NONE) {
        uint64_t name_hash = hash_stream(scope.data, scope.size, entity.data, entity.size);
        new_stream = !segment_index_find_stream(index, name_hash, scope, entity, &stream);
        if (new_stream)
            stream = add_stream(index, name_hash, scope);
    }
    uint32_t row_number = index->rows_added + 1;
    struct footer_row *row = segment_index_row(index, index->rows_added);
    *row = (struct footer_row){
        .sequence = sequence,
        .recorded_us = load_i64(at + RECORD_RECORDED_AT),
        .revision = load_u64(at + RECORD_REVISION_AT),
        .id_hash = hash64(at + RECORD_ID_AT, sizeof(struct fbat_id), 0),
        .record_words = (uint32_t)(record_offset / 8),
        .frame_words = (uint32_t)(frame_offset / 8),
        .stream = stream,
        .kind = load_u16(at + RECORD_KIND_AT),
    };
    struct fbat_id id;
    memcpy(id.bytes, at + RECORD_ID_AT, sizeof id.bytes);
    bool leads = id_carried_sequence(&id, index->id_tag_key) == sequence;
    row->flags = leads ? FOOTER_ROW_ID_LEADS : 0;
    index->ids_pending += !leads;
    link_row(index, row, row_number);
    index->rows_added++;
    summarise_row(index, row, at, record_offset + sizes->total);
    if (new_stream)
        slots_add(&index->stream_slots, segment_index_stream(index, stream)->name_hash, stream + 1);
    return stream;
}

int segment_index_add_frame(struct segment_index *index, const struct frame *frame, const uint8_t *bytes,
                            uint64_t frame_offset, struct fbat_error *error) {
    FBAT_TRY(segment_index_reserve(index, frame->event_count, error));
    uint64_t place = FRAME_HEADER_BYTES;
    bool fits = true;
    for (uint32_t item = 0; item < frame->event_count && fits; item++) {
        struct record_sizes sizes;
        const uint8_t *at = bytes + place;
        fits =
            record_measure(at, frame->frame_bytes - place, &sizes) && load_u32(at + RECORD_SEQUENCE_OFFSET_AT) == item;
        if (!fits)
            break;
        segment_index_add(index, at, &sizes, frame->first_sequence + item, frame_offset + place, frame_offset,
                          SEGMENT_INDEX_NONE);
        place += sizes.total;
    }
    if (fits && place == frame->frame_bytes)
        return FBAT_OK;
    return error_set_damage(error, index->segment->header.segment_id, frame_offset + place,
                            "the records do not fit their frame; run `fbat check`");
}

/* Each insertion is a cache miss, which is under way while those before it are made. */
static void insert_ids(struct segment_index *index) {
    uint32_t ahead = index->ids_inserted;
    while (index->ids_pending > 0) {
        for (; ahead < index->rows_added && ahead - index->ids_inserted < INSERT_AHEAD; ahead++)
            slots_prefetch(&index->id_slots, segment_index_row(index, ahead)->id_hash);
        const struct footer_row *row = segment_index_row(index, index->ids_inserted++);
        if (row->flags & FOOTER_ROW_ID_LEADS)
            continue;
        slots_add(&index->id_slots, row->id_hash, index->ids_inserted);
        index->ids_pending--;
    }
    index->ids_inserted = index->rows_added;
}

void segment_index_publish(struct segment_index *index) {
    insert_ids(index);
    atomic_store_explicit(&index->stream_count, index->streams_added, memory_order_release);
    atomic_store_explicit(&index->row_count, index->rows_added, memory_order_release);
}

uint64_t segment_index_memory(const struct segment_index *index) {
    return sizeof *index + index->rows.memory_bytes + index->streams.memory_bytes + index->id_slots.memory_bytes +
           index->stream_slots.memory_bytes + views_memory(&index->views);
}

/* ---- sealing ---- */

static void write_slots(struct footer_writer *writer, enum footer_part_type type, const struct slots *slots) {
    const struct slots_table *table = atomic_load_explicit(&slots->table, memory_order_relaxed);
    footer_writer_begin(writer, type, table->size);
    footer_writer_data(writer, (const void *)table->numbers, (size_t)(table->size * sizeof(uint32_t)));
    footer_writer_end(writer);
}

int segment_index_write_footer(struct segment_index *index, struct fbat_error *error) {
    FBAT_ASSERT(index->summary.event_count >= 1 && index->rows_added == index->summary.event_count);
    struct footer_writer writer;
    footer_writer_init(&writer, index->segment);
    views_write_chunks(&writer, FOOTER_PART_ROWS, &index->rows, index->rows_added);
    views_write_streams(index, &writer);
    write_slots(&writer, FOOTER_PART_ID_SLOTS, &index->id_slots);
    write_slots(&writer, FOOTER_PART_STREAM_SLOTS, &index->stream_slots);
    views_write(index, &writer);
    int status = footer_writer_finish(&writer, &index->summary, error);
    footer_writer_deinit(&writer);
    return status;
}

/* ---- searching ---- */

uint32_t segment_index_rows_to_sequence(const struct segment_index *index, uint32_t limit, uint64_t sequence) {
    if (limit == 0 || segment_index_row(index, 0)->sequence > sequence)
        return 0;
    if (segment_index_row(index, limit - 1)->sequence <= sequence)
        return limit;
    /* Without gaps, which only compaction makes, the place is known. */
    uint64_t guess = sequence - segment_index_row(index, 0)->sequence;
    if (guess < limit && segment_index_row(index, (uint32_t)guess)->sequence == sequence)
        return (uint32_t)guess + 1;
    uint32_t low = 0, high = limit;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment_index_row(index, middle)->sequence <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t segment_index_rows_before_time(const struct segment_index *index, uint32_t limit, int64_t time_us) {
    uint32_t low = 0, high = limit;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (segment_index_row(index, middle)->recorded_us < time_us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The fixed part of a row's record; NULL when it cannot lie within the frames. A row is published after its record, so
 * the file holds it; `end` of an active segment is the writer's. */
static const uint8_t *fixed_part_of_row(const struct segment_index *index, const struct footer_row *row,
                                        uint64_t *out_room) {
    uint64_t offset = (uint64_t)row->record_words * 8;
    uint64_t end = index->sealed ? index->summary.frames_end : index->segment->map_bytes;
    if (offset < SEGMENT_HEADER_BYTES + FRAME_HEADER_BYTES || offset + RECORD_FIXED_BYTES > end)
        return NULL;
    *out_room = end - offset;
    return index->segment->map + offset;
}

/* The record of a row, measured; NULL when it does not lie within the frames. */
static const uint8_t *record_of_row(const struct segment_index *index, const struct footer_row *row,
                                    struct record_sizes *out_sizes) {
    uint64_t room;
    const uint8_t *record = fixed_part_of_row(index, row, &room);
    return record && record_measure(record, room, out_sizes) ? record : NULL;
}

static bool row_has_id(const struct segment_index *index, const struct footer_row *row, const struct fbat_id *id) {
    uint64_t room;
    const uint8_t *record = fixed_part_of_row(index, row, &room);
    return record && memcmp(record + RECORD_ID_AT, id->bytes, sizeof id->bytes) == 0;
}

bool segment_index_find_carried(const struct segment_index *index, uint32_t limit, uint64_t carried,
                                const struct fbat_id *id, uint32_t *out_position) {
    uint32_t rows = segment_index_rows_to_sequence(index, limit, carried);
    const struct footer_row *row = rows > 0 ? segment_index_row(index, rows - 1) : NULL;
    if (!row || row->sequence != carried || !row_has_id(index, row, id))
        return false;
    *out_position = rows - 1;
    return true;
}

bool segment_index_find_in_slots(const struct segment_index *index, uint32_t limit, uint64_t id_hash,
                                 const struct fbat_id *id, uint32_t *out_position) {
    struct slots_probe probe = slots_first(&index->id_slots, id_hash);
    uint32_t number;
    while ((number = slots_next(&probe)) != 0) {
        if (number > limit)
            continue;
        const struct footer_row *row = segment_index_row(index, number - 1);
        if (row->id_hash == id_hash && row_has_id(index, row, id)) {
            *out_position = number - 1;
            return true;
        }
    }
    return false;
}

bool segment_index_find_id(const struct segment_index *index, uint32_t limit, uint64_t id_hash,
                           const struct fbat_id *id, uint32_t *out_position) {
    uint64_t carried = id_carried_sequence(id, index->id_tag_key);
    return (carried != 0 && segment_index_find_carried(index, limit, carried, id, out_position)) ||
           segment_index_find_in_slots(index, limit, id_hash, id, out_position);
}

static bool slice_is(struct fbat_slice slice, const uint8_t *bytes, size_t size) {
    return slice.size == size && memcmp(slice.data, bytes, size) == 0;
}

bool segment_index_find_stream(const struct segment_index *index, uint64_t name_hash, struct fbat_slice scope,
                               struct fbat_slice entity, uint32_t *out_stream) {
    struct slots_probe probe = slots_first(&index->stream_slots, name_hash);
    uint32_t number;
    while ((number = slots_next(&probe)) != 0) {
        /* In memory, the slot was published after the stream's entry and its first row, which may still be invisible:
         * the caller's row limit decides about that. In a mapping, trust nothing. */
        if (index->sealed && number > index->streams.room)
            continue;
        const struct footer_stream *stream = segment_index_stream(index, number - 1);
        if (stream->name_hash != name_hash ||
            (index->sealed && (stream->first_row == 0 || stream->first_row > index->rows.room)))
            continue;
        struct record_sizes sizes;
        const uint8_t *record = record_of_row(index, segment_index_row(index, stream->first_row - 1), &sizes);
        if (record && slice_is(scope, record + RECORD_FIXED_BYTES, sizes.scope) &&
            slice_is(entity, record + RECORD_FIXED_BYTES + sizes.scope, sizes.entity)) {
            *out_stream = number - 1;
            return true;
        }
    }
    return false;
}

int segment_index_view(const struct segment_index *index, uint32_t position, struct fbat_event *out_event,
                       struct fbat_error *error) {
    const struct footer_row *row = segment_index_row(index, position);
    uint64_t segment_id = index->segment->header.segment_id, offset = (uint64_t)row->record_words * 8;
    struct record_sizes sizes;
    const uint8_t *record = record_of_row(index, row, &sizes);
    if (!record)
        return error_set_damage(error, segment_id, offset,
                                "the record of sequence %llu is unreadable; run `fbat check`",
                                (unsigned long long)row->sequence);
    if (load_u64(record + RECORD_REVISION_AT) != row->revision || load_u16(record + RECORD_KIND_AT) != row->kind)
        return error_set_damage(error, segment_id, offset,
                                "the record of sequence %llu is not the one that was indexed; run `fbat check`",
                                (unsigned long long)row->sequence);
    record_view(record, &sizes, row->sequence, out_event);
    out_event->segment_id = segment_id;
    out_event->offset = offset;
    return FBAT_OK;
}
