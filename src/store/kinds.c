/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry of kind names.
 *
 * I1: by_kind and by_name hold the same entries, each once. Entries are never changed or removed.
 */
#include "store/kinds.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "index/query.h"
#include "store/store.h"

enum { BY_NAME_FIRST = 64 };

void kinds_init(struct kinds *kinds) {
    memset(kinds, 0, sizeof *kinds);
    pthread_rwlock_init(&kinds->lock, NULL);
    pthread_mutex_init(&kinds->define_lock, NULL);
}

void kinds_deinit(struct kinds *kinds) {
    for (uint32_t at = 0; at < kinds->by_name_size; at++)
        memory_free(kinds->by_name[at]);
    memory_free(kinds->by_name);
    for (unsigned category = 0; category < KINDS_CATEGORIES; category++)
        memory_free(kinds->by_kind[category]);
    pthread_rwlock_destroy(&kinds->lock);
    pthread_mutex_destroy(&kinds->define_lock);
}

/* ---- the image; the lock is held ---- */

/* The place of a name: its entry, or the free place where it would go. */
static uint32_t place_of_name(const struct kinds *kinds, uint64_t name_hash, struct fbat_slice name) {
    uint32_t mask = kinds->by_name_size - 1, at = (uint32_t)name_hash & mask;
    for (; kinds->by_name[at]; at = (at + 1) & mask) {
        const struct kind_entry *entry = kinds->by_name[at];
        if (entry->name_hash == name_hash && entry->name_bytes == name.size &&
            memcmp(entry->name, name.data, name.size) == 0)
            break;
    }
    return at;
}

static struct kind_entry *find_by_name(const struct kinds *kinds, struct fbat_slice name) {
    if (kinds->by_name_size == 0)
        return NULL;
    return kinds->by_name[place_of_name(kinds, hash64(name.data, name.size, 0), name)];
}

static struct kind_entry *find_by_kind(const struct kinds *kinds, uint16_t kind) {
    struct kind_entry **types = kinds->by_kind[FBAT_KIND_CATEGORY(kind)];
    return types ? types[FBAT_KIND_TYPE(kind)] : NULL;
}

static bool grow_names(struct kinds *kinds) {
    if ((kinds->count + 1) * 2 <= kinds->by_name_size)
        return true;
    uint32_t old_size = kinds->by_name_size, size = old_size ? old_size * 2 : BY_NAME_FIRST;
    struct kind_entry **old = kinds->by_name;
    struct kind_entry **larger = memory_allocate_zero(size * sizeof(struct kind_entry *));
    if (!larger)
        return false;
    kinds->by_name = larger;
    kinds->by_name_size = size;
    for (uint32_t at = 0; at < old_size; at++)
        if (old[at])
            larger[place_of_name(kinds, old[at]->name_hash, fbat_bytes(old[at]->name, old[at]->name_bytes))] = old[at];
    memory_free(old);
    return true;
}

static bool make_types(struct kinds *kinds, unsigned category) {
    if (!kinds->by_kind[category])
        kinds->by_kind[category] = memory_allocate_zero(KINDS_TYPES * sizeof(struct kind_entry *));
    return kinds->by_kind[category] != NULL;
}

static int add_entry(struct kinds *kinds, uint16_t kind, struct fbat_slice name, struct fbat_error *error) {
    struct kind_entry *entry = memory_allocate_zero(sizeof *entry);
    if (!entry || !grow_names(kinds) || !make_types(kinds, FBAT_KIND_CATEGORY(kind))) {
        memory_free(entry);
        return error_set_no_memory(error);
    }
    entry->name_hash = hash64(name.data, name.size, 0);
    entry->kind = kind;
    entry->name_bytes = (uint8_t)name.size;
    memcpy(entry->name, name.data, name.size);
    kinds->by_kind[FBAT_KIND_CATEGORY(kind)][FBAT_KIND_TYPE(kind)] = entry;
    kinds->by_name[place_of_name(kinds, entry->name_hash, name)] = entry;
    kinds->count++;
    return FBAT_OK;
}

/* FBAT_OK: already so; FBAT_ERR_NOT_FOUND: neither is taken (error is not filled); else a conflict. */
static int compare_definition(const struct kinds *kinds, uint16_t kind, struct fbat_slice name,
                              struct fbat_error *error) {
    const struct kind_entry *named = find_by_name(kinds, name), *numbered = find_by_kind(kinds, kind);
    if (!named && !numbered)
        return FBAT_ERR_NOT_FOUND;
    if (named && named->kind == kind)
        return FBAT_OK;
    if (named)
        return error_set(error, FBAT_ERR_KIND_CONFLICT, "the name %.*s belongs to kind 0x%04x, not 0x%04x",
                         (int)name.size, (const char *)name.data, named->kind, kind);
    return error_set(error, FBAT_ERR_KIND_CONFLICT, "kind 0x%04x is named %.*s, not %.*s", kind, numbered->name_bytes,
                     numbered->name, (int)name.size, (const char *)name.data);
}

/* ---- from outside ---- */

int kinds_add(struct kinds *kinds, uint16_t kind, struct fbat_slice name, struct fbat_error *error) {
    pthread_rwlock_wrlock(&kinds->lock);
    int status = compare_definition(kinds, kind, name, error);
    if (status == FBAT_ERR_NOT_FOUND)
        status = add_entry(kinds, kind, name, error);
    pthread_rwlock_unlock(&kinds->lock);
    return status;
}

int kinds_find(struct kinds *kinds, struct fbat_slice name, uint16_t *out_kind) {
    pthread_rwlock_rdlock(&kinds->lock);
    const struct kind_entry *entry = find_by_name(kinds, name);
    if (entry)
        *out_kind = entry->kind;
    pthread_rwlock_unlock(&kinds->lock);
    return entry ? FBAT_OK : FBAT_ERR_NOT_FOUND;
}

int kinds_name(struct kinds *kinds, uint16_t kind, struct fbat_slice *out_name) {
    pthread_rwlock_rdlock(&kinds->lock);
    const struct kind_entry *entry = find_by_kind(kinds, kind);
    if (entry)
        *out_name = fbat_bytes(entry->name, entry->name_bytes);
    pthread_rwlock_unlock(&kinds->lock);
    return entry ? FBAT_OK : FBAT_ERR_NOT_FOUND;
}

uint16_t kinds_free_type(struct kinds *kinds, unsigned category) {
    pthread_rwlock_rdlock(&kinds->lock);
    uint16_t type = 1;
    while (type < KINDS_TYPES && find_by_kind(kinds, FBAT_KIND(category, type)))
        type++;
    pthread_rwlock_unlock(&kinds->lock);
    return type < KINDS_TYPES ? type : 0;
}

uint32_t kinds_count(struct kinds *kinds) {
    pthread_rwlock_rdlock(&kinds->lock);
    uint32_t count = kinds->count;
    pthread_rwlock_unlock(&kinds->lock);
    return count;
}

/* ---- the log behind it ---- */

static int add_from_event(struct kinds *kinds, const struct fbat_event *event, struct fbat_error *error) {
    const uint8_t *payload = event->payload.data;
    if (event->kind != KINDS_EVENT_KIND || event->payload.size < 3 ||
        event->payload.size > 2 + FBAT_KIND_NAME_BYTES_MAX)
        return error_set_damage(error, event->segment_id, event->offset,
                                "the definition of a kind is malformed; run `fbat check`");
    return kinds_add(kinds, load_u16(payload), fbat_bytes(payload + 2, event->payload.size - 2), error);
}

static int load_new(struct fbat_store *store, struct segment_list *list, uint64_t visible, struct fbat_error *error) {
    struct fbat_region region = {
        .struct_size = sizeof region,
        .flags = FBAT_REGION_SYSTEM,
        .entity = fbat_text(KINDS_ENTITY),
        .scope = fbat_text(FBAT_SYSTEM_SCOPE),
        .sequence_min = store->kinds.seen_sequence + 1,
    };
    struct query query;
    FBAT_TRY(query_init(&query, list, visible, &region, NULL, error));
    query.system_only = true;
    struct segment_index *index;
    uint32_t position;
    int status;
    while ((status = query_next(&query, &index, &position, error)) == FBAT_OK) {
        struct fbat_event event;
        status = segment_index_view(index, position, &event, error);
        if (status == FBAT_OK)
            status = add_from_event(&store->kinds, &event, error);
        if (status < 0)
            break;
    }
    query_deinit(&query);
    if (status == FBAT_END)
        store->kinds.seen_sequence = visible;
    return status < 0 ? status : FBAT_OK;
}

int kinds_load(struct fbat_store *store, struct fbat_error *error) {
    struct segment_list *list;
    uint64_t visible;
    pthread_mutex_lock(&store->kinds.define_lock);
    int status = store_snapshot(store, &list, &visible, error);
    if (status == FBAT_OK && visible > store->kinds.seen_sequence)
        status = load_new(store, list, visible, error);
    else if (status == FBAT_OK)
        segment_list_release(list);
    pthread_mutex_unlock(&store->kinds.define_lock);
    return status;
}

static int append_definition(struct fbat_store *store, uint16_t kind, struct fbat_slice name,
                             struct fbat_error *error) {
    uint8_t payload[2 + FBAT_KIND_NAME_BYTES_MAX];
    store_u16(payload, kind);
    memcpy(payload + 2, name.data, name.size);
    struct fbat_new_event event = {
        .struct_size = sizeof event,
        .kind = KINDS_EVENT_KIND,
        .payload_type = FBAT_PAYLOAD_BYTES,
        .entity = fbat_text(KINDS_ENTITY),
        .scope = fbat_text(FBAT_SYSTEM_SCOPE),
        .payload = fbat_bytes(payload, 2 + name.size),
    };
    enum fbat_level level = store->config.sync.every_n_events == 1 ? FBAT_LEVEL_DURABLE : FBAT_LEVEL_WRITTEN;
    struct append append = {.events = &event, .count = 1, .level = level};
    return sequencer_append(&store->sequencer, &append, error);
}

static int check_name(struct fbat_slice name, struct fbat_error *error) {
    if (name.size >= 1 && name.size <= FBAT_KIND_NAME_BYTES_MAX && name.data &&
        utf8_is_plain_text(name.data, name.size))
        return FBAT_OK;
    return error_set(error, FBAT_ERR_NAME,
                     "a kind's name must be 1 to %d bytes of UTF-8 without control characters; this one has %zu",
                     FBAT_KIND_NAME_BYTES_MAX, name.size);
}

static int check_category(unsigned category, struct fbat_error *error) {
    if (category >= 1 && category <= 15 && category != FBAT_CATEGORY_EFFECT)
        return FBAT_OK;
    return error_set(error, FBAT_ERR_KIND, "category 0x%x is reserved or out of range; use 0x1 to 0xC, 0xE or 0xF",
                     category);
}

/* define_lock is held: what is found missing stays missing until it is added. */
static int define_locked(struct fbat_store *store, uint16_t kind, struct fbat_slice name, struct fbat_error *error) {
    struct kinds *kinds = &store->kinds;
    pthread_rwlock_rdlock(&kinds->lock);
    int status = compare_definition(kinds, kind, name, error);
    pthread_rwlock_unlock(&kinds->lock);
    if (status != FBAT_ERR_NOT_FOUND)
        return status;
    FBAT_TRY(append_definition(store, kind, name, error));
    return kinds_add(kinds, kind, name, error);
}

int kinds_define(struct fbat_store *store, uint16_t kind, struct fbat_slice name, struct fbat_error *error) {
    FBAT_TRY(check_category(FBAT_KIND_CATEGORY(kind), error));
    FBAT_TRY(check_name(name, error));
    pthread_mutex_lock(&store->kinds.define_lock);
    int status = define_locked(store, kind, name, error);
    pthread_mutex_unlock(&store->kinds.define_lock);
    return status;
}

static int resolve_locked(struct fbat_store *store, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                          struct fbat_error *error) {
    if (kinds_find(&store->kinds, name, out_kind) == FBAT_OK)
        return FBAT_OK;
    uint16_t type = kinds_free_type(&store->kinds, category);
    if (type == 0)
        return error_set(error, FBAT_ERR_LIMIT, "all 4,095 types of category 0x%x have names; use another category",
                         category);
    uint16_t kind = FBAT_KIND(category, type);
    FBAT_TRY(define_locked(store, kind, name, error));
    *out_kind = kind;
    return FBAT_OK;
}

int kinds_resolve(struct fbat_store *store, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                  struct fbat_error *error) {
    FBAT_TRY(check_category(category, error));
    FBAT_TRY(check_name(name, error));
    pthread_mutex_lock(&store->kinds.define_lock);
    int status = resolve_locked(store, name, category, out_kind, error);
    pthread_mutex_unlock(&store->kinds.define_lock);
    return status;
}
