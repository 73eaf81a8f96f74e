/* SPDX-License-Identifier: Apache-2.0 */
/* The table of stream heads: names in an arena, heads in chunks, slots to find them. */
#include "index/streams.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"

enum { ARENA_BLOCK_BYTES = 256 * 1024 };

struct streams_arena_block {
    struct streams_arena_block *older;
    uint32_t used;
    uint32_t room;
    uint8_t bytes[];
};

bool streams_init(struct streams *streams) {
    memset(streams, 0, sizeof *streams);
    chunks_init(&streams->heads, sizeof(struct stream_head));
    return slots_init(&streams->slots);
}

void streams_deinit(struct streams *streams) {
    chunks_deinit(&streams->heads);
    slots_deinit(&streams->slots);
    while (streams->arena) {
        struct streams_arena_block *older = streams->arena->older;
        memory_free(streams->arena);
        streams->arena = older;
    }
}

static struct stream_head *head_at(const struct streams *streams, uint32_t position) {
    return chunks_at(&streams->heads, position);
}

static bool has_names(const struct stream_head *head, struct fbat_slice scope, struct fbat_slice entity) {
    return head->scope_bytes == scope.size && head->entity_bytes == entity.size &&
           memcmp(head->names, scope.data, scope.size) == 0 &&
           memcmp(head->names + scope.size, entity.data, entity.size) == 0;
}

struct stream_head *streams_find(const struct streams *streams, uint64_t name_hash, struct fbat_slice scope,
                                 struct fbat_slice entity) {
    struct slots_probe probe = slots_first(&streams->slots, name_hash);
    uint32_t number;
    while ((number = slots_next(&probe)) != 0) {
        struct stream_head *head = head_at(streams, number - 1);
        if (head->name_hash == name_hash && has_names(head, scope, entity))
            return head;
    }
    return NULL;
}

static uint8_t *arena_take(struct streams *streams, size_t size) {
    struct streams_arena_block *block = streams->arena;
    if (!block || block->room - block->used < size) {
        block = memory_allocate(sizeof *block + ARENA_BLOCK_BYTES);
        if (!block)
            return NULL;
        *block = (struct streams_arena_block){.older = streams->arena, .room = ARENA_BLOCK_BYTES};
        streams->arena = block;
        streams->arena_bytes += sizeof *block + ARENA_BLOCK_BYTES;
    }
    uint8_t *place = block->bytes + block->used;
    block->used += (uint32_t)size;
    return place;
}

static uint64_t hash_of_head(const void *user, uint32_t number) {
    return head_at(user, number - 1)->name_hash;
}

struct stream_head *streams_find_or_add(struct streams *streams, uint64_t name_hash, struct fbat_slice scope,
                                        struct fbat_slice entity) {
    struct stream_head *head = streams_find(streams, name_hash, scope, entity);
    if (head)
        return head;
    if (!chunks_reserve(&streams->heads, (uint64_t)streams->count + 1) ||
        !slots_reserve(&streams->slots, 1, hash_of_head, streams))
        return NULL;
    uint8_t *names = arena_take(streams, scope.size + entity.size);
    if (!names)
        return NULL;
    memcpy(names, scope.data, scope.size);
    memcpy(names + scope.size, entity.data, entity.size);
    head = head_at(streams, streams->count);
    *head = (struct stream_head){
        .name_hash = name_hash,
        .names = names,
        .scope_bytes = (uint16_t)scope.size,
        .entity_bytes = (uint16_t)entity.size,
    };
    slots_add(&streams->slots, name_hash, ++streams->count);
    return head;
}

/* Names are given back too when they are the arena's last, so that refused appends to ever new streams cost nothing. */
static void arena_give_back(struct streams *streams, const struct stream_head *head) {
    struct streams_arena_block *block = streams->arena;
    uint32_t size = (uint32_t)head->scope_bytes + head->entity_bytes;
    if (block->used >= size && block->bytes + block->used - size == head->names)
        block->used -= size;
}

void streams_forget(struct streams *streams, uint32_t count) {
    while (streams->count > count) {
        struct stream_head *head = head_at(streams, streams->count - 1);
        slots_remove(&streams->slots, head->name_hash, streams->count, hash_of_head, streams);
        arena_give_back(streams, head);
        streams->count--;
    }
}

int streams_fold(struct streams *streams, const struct segment_index *index, struct fbat_error *error) {
    uint32_t count = segment_index_stream_count(index), row_count = segment_index_row_count(index);
    for (uint32_t local = 0; local < count; local++) {
        const struct footer_stream *stream = segment_index_stream(index, local);
        if (stream->last_row == 0 || stream->last_row > row_count)
            return error_set_damage(error, index->segment->header.segment_id, index->summary.frames_end,
                                    "the footer's stream table is inconsistent; delete nothing and run `fbat check`");
        struct fbat_event last;
        FBAT_TRY(segment_index_view(index, stream->last_row - 1, &last, error));
        struct stream_head *head = streams_find_or_add(streams, stream->name_hash, last.scope, last.entity);
        if (!head)
            return error_set_no_memory(error);
        head->revision = last.revision;
        head->last_sequence = last.sequence;
        memcpy(head->last_hash, last.hash, sizeof head->last_hash);
        head->local = local;
        head->local_segment = index->segment->header.segment_id;
    }
    return FBAT_OK;
}

uint64_t streams_memory(const struct streams *streams) {
    return streams->heads.memory_bytes + streams->slots.memory_bytes + streams->arena_bytes;
}
