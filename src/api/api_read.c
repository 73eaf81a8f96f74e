/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry points of reading. A found event is pinned by a reference to the index of its segment, which holds the mapping.
 */
#include <stdlib.h>
#include <string.h>

#include "api/handle.h"
#include "api/validate.h"
#include "base/error.h"
#include "base/memory.h"
#include "index/query.h"
#include "index/tile_match.h"
#include "store/store.h"

/* ---- one event ---- */

/* What a point read looks for; exactly one part is used. */
struct wanted {
    const struct fbat_id *id;
    uint64_t sequence;
    struct fbat_slice entity, scope;
};

static int find_wanted(const struct segment_list *list, uint64_t visible, const struct wanted *wanted,
                       struct segment_index **out_index, uint32_t *out_position, struct fbat_error *error) {
    if (wanted->id)
        return segment_list_find_id(list, visible, wanted->id, segment_index_id_hash(wanted->id), out_index,
                                    out_position, error);
    if (wanted->sequence)
        return segment_list_find_sequence(list, visible, wanted->sequence, out_index, out_position, error);
    return segment_list_find_latest(list, visible, wanted->scope, wanted->entity, out_index, out_position, error);
}

static int read_event(struct fbat_store *store, const struct wanted *wanted, struct fbat_event *out_event,
                      struct fbat_error *error) {
    struct segment_list *list;
    struct segment_index *index = NULL;
    uint64_t visible;
    uint32_t position = 0;
    if (!out_event)
        return error_set(error, FBAT_ERR_ARGUMENT, "out_event is NULL");
    FBAT_TRY(store_snapshot(store, &list, &visible, error));
    int status = find_wanted(list, visible, wanted, &index, &position, error);
    if (status == FBAT_OK) {
        status = segment_index_view(index, position, out_event, error);
        if (status == FBAT_OK)
            out_event->pin = index;
        else
            segment_index_release(index);
    }
    segment_list_release(list);
    return status;
}

int fbat_get(struct fbat_store *store, const struct fbat_id *id, struct fbat_event *out_event,
             struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    if (!id)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "id is NULL");
    const struct wanted wanted = {.id = id};
    int status = read_event(store, &wanted, out_event, out_error);
    if (status == FBAT_ERR_NOT_FOUND && out_error) {
        char text[FBAT_ID_TEXT_SIZE];
        fbat_id_format(id, text);
        error_set(out_error, status, "no event has the id %s", text);
    }
    return status;
}

int fbat_get_by_sequence(struct fbat_store *store, uint64_t sequence, struct fbat_event *out_event,
                         struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    const struct wanted wanted = {.sequence = sequence};
    int status = sequence ? read_event(store, &wanted, out_event, out_error) : FBAT_ERR_NOT_FOUND;
    if (status == FBAT_ERR_NOT_FOUND && out_error)
        error_set(out_error, status, "no event has the sequence %llu", (unsigned long long)sequence);
    return status;
}

int fbat_latest(struct fbat_store *store, struct fbat_slice entity, struct fbat_slice scope,
                struct fbat_event *out_event, struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    FBAT_TRY(validate_name(entity, "entity", out_error));
    FBAT_TRY(validate_name(scope, "scope", out_error));
    const struct wanted wanted = {.entity = entity, .scope = scope};
    int status = read_event(store, &wanted, out_event, out_error);
    if (status == FBAT_ERR_NOT_FOUND && out_error)
        error_set(out_error, status, "the stream %.*s in %.*s does not exist",
                  (int)(entity.size < 200 ? entity.size : 200), (const char *)entity.data,
                  (int)(scope.size < 200 ? scope.size : 200), (const char *)scope.data);
    return status;
}

void fbat_event_release(struct fbat_event *event) {
    if (!event || !event->pin)
        return;
    segment_index_release(event->pin);
    event->pin = NULL;
}

int fbat_event_header(const struct fbat_event *event, size_t index, struct fbat_header *out_header) {
    size_t offset = 0;
    struct fbat_header header;
    if (!event || !out_header)
        return FBAT_ERR_ARGUMENT;
    while (headers_next(event->headers, &offset, &header))
        if (index-- == 0) {
            *out_header = header;
            return FBAT_OK;
        }
    return FBAT_END;
}

int fbat_event_find_header(const struct fbat_event *event, struct fbat_slice name, struct fbat_slice *out_value) {
    size_t offset = 0;
    struct fbat_header header;
    if (!event || !out_value || !name.data)
        return FBAT_ERR_ARGUMENT;
    while (headers_next(event->headers, &offset, &header))
        if (header.name.size == name.size && memcmp(header.name.data, name.data, name.size) == 0) {
            *out_value = header.value;
            return FBAT_OK;
        }
    return FBAT_ERR_NOT_FOUND;
}

int fbat_event_tag(const struct fbat_event *event, size_t index, struct fbat_slice *out_tag) {
    size_t offset = 0;
    struct fbat_slice tag;
    if (!event || !out_tag)
        return FBAT_ERR_ARGUMENT;
    while (tags_next(event->tags, &offset, &tag))
        if (index-- == 0) {
            *out_tag = tag;
            return FBAT_OK;
        }
    return FBAT_END;
}

/* ---- iterators ---- */

struct fbat_iterator {
    struct fbat_store *store;
    struct query query;
};

int fbat_query(struct fbat_store *store, const struct fbat_region *region, const struct fbat_query_options *options,
               struct fbat_iterator **out_iterator, struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    if (!out_iterator)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "out_iterator is NULL");
    struct fbat_iterator *iterator = memory_allocate_zero(sizeof *iterator);
    if (!iterator)
        return error_set_no_memory(out_error);
    iterator->store = store;
    struct segment_list *list;
    uint64_t visible;
    int status = store_snapshot(store, &list, &visible, out_error);
    if (status == FBAT_OK)
        status = query_init(&iterator->query, list, visible, region, options, out_error);
    if (status < 0) {
        memory_free(iterator);
        return status;
    }
    iterator->query.views = views_wanted_by(&store->config);
    *out_iterator = iterator;
    return FBAT_OK;
}

int fbat_iterator_next(struct fbat_iterator *iterator, struct fbat_event *out_event, struct fbat_error *out_error) {
    struct segment_index *index;
    uint32_t position;
    if (!iterator || !out_event)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "iterator or out_event is NULL");
    int status = query_next(&iterator->query, &index, &position, out_error);
    return status == FBAT_OK ? segment_index_view(index, position, out_event, out_error) : status;
}

void fbat_event_retain(struct fbat_event *event, struct fbat_store *store) {
    struct segment_list *list;
    struct segment_index *index = NULL;
    uint32_t position = 0;
    struct fbat_error ignored;
    if (!event || event->pin || !store)
        return;
    /* The iterator's list may be older than the current one; the event's segment is in both, and its bytes are the
     * same file's. Point the view into the mapping that is pinned. */
    list = directory_acquire(&store->directory);
    if (segment_list_find_sequence(list, event->sequence, event->sequence, &index, &position, &ignored) == FBAT_OK) {
        if (segment_index_view(index, position, event, NULL) == FBAT_OK)
            event->pin = index;
        else
            segment_index_release(index);
    }
    segment_list_release(list);
}

uint64_t fbat_iterator_snapshot(const struct fbat_iterator *iterator) {
    return iterator->query.snapshot;
}

int fbat_iterator_plan(const struct fbat_iterator *iterator, struct fbat_query_plan *out_plan) {
    if (!iterator || !out_plan || out_plan->struct_size != sizeof *out_plan)
        return FBAT_ERR_ARGUMENT;
    const struct query *query = &iterator->query;
    *out_plan = (struct fbat_query_plan){
        .struct_size = sizeof *out_plan,
        .strategies = query->effort.strategies,
        .segments = query->list->count,
        .segments_skipped = query->effort.segments_skipped,
        .segments_opened = query->effort.segments_opened,
        .tiles_skipped = query->counts.tiles_skipped,
        .tiles_looked_at = query->counts.tiles_looked_at,
        .rows_looked_at = query->counts.rows_looked_at,
        .streams_merged = query->effort.streams_merged,
        .events_given = query->effort.events_given,
        .simd = tile_match_name(),
    };
    return FBAT_OK;
}

void fbat_iterator_close(struct fbat_iterator *iterator) {
    if (!iterator)
        return;
    query_deinit(&iterator->query);
    memory_free(iterator);
}

int fbat_stream(struct fbat_store *store, struct fbat_slice entity, struct fbat_slice scope,
                const struct fbat_query_options *options, struct fbat_iterator **out_iterator,
                struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    FBAT_TRY(validate_name(entity, "entity", out_error));
    FBAT_TRY(validate_name(scope, "scope", out_error));
    const struct fbat_region region = {
        .struct_size = sizeof region,
        .flags = FBAT_REGION_SYSTEM,
        .entity = entity,
        .scope = scope,
    };
    return fbat_query(store, &region, options, out_iterator, out_error);
}

/* ---- counting ---- */

static int count_rows(struct fbat_store *store, const struct fbat_region *region, uint64_t *by_kind,
                      uint64_t *out_total, struct fbat_error *error) {
    struct segment_list *list;
    uint64_t visible;
    FBAT_TRY(store_snapshot(store, &list, &visible, error));
    struct query query;
    FBAT_TRY(query_init(&query, list, visible, region, NULL, error));
    query.views = views_wanted_by(&store->config);
    int status = query_count(&query, by_kind, out_total, error);
    query_deinit(&query);
    return status;
}

int fbat_query_count(struct fbat_store *store, const struct fbat_region *region, uint64_t *out_count,
                     struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    return out_count ? count_rows(store, region, NULL, out_count, out_error)
                     : error_set(out_error, FBAT_ERR_ARGUMENT, "out_count is NULL");
}

static int visit_counts(struct fbat_store *store, const uint64_t *by_kind, fbat_kind_count_fn visit, void *user) {
    for (uint32_t kind = 0; kind <= UINT16_MAX; kind++) {
        if (by_kind[kind] == 0)
            continue;
        struct fbat_slice name = {NULL, 0};
        (void)kinds_name(&store->kinds, (uint16_t)kind, &name);
        int answer = visit(user, (uint16_t)kind, name, by_kind[kind]);
        if (answer != 0)
            return answer;
    }
    return FBAT_OK;
}

int fbat_kind_counts(struct fbat_store *store, const struct fbat_region *region, fbat_kind_count_fn visit, void *user,
                     struct fbat_error *out_error) {
    FBAT_TRY(handle_check(store, out_error));
    if (!visit)
        return error_set(out_error, FBAT_ERR_ARGUMENT, "visit is NULL");
    uint64_t total, *by_kind = memory_allocate_zero((UINT16_MAX + 1u) * sizeof *by_kind);
    if (!by_kind)
        return error_set_no_memory(out_error);
    int status = store->read_only ? kinds_load(store, out_error) : FBAT_OK;
    if (status == FBAT_OK)
        status = count_rows(store, region, by_kind, &total, out_error);
    if (status == FBAT_OK)
        status = visit_counts(store, by_kind, visit, user);
    memory_free(by_kind);
    return status;
}
