/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of kinds. The truth is the stream `_kinds` in the scope `_system`: one event of kind 0x0001 for each name, whose
 * payload is the kind (2 bytes, little-endian) and the name. This is its image in memory.
 *
 * Thread rule: any thread; readers share the lock, a definition excludes them.
 */
#ifndef FBAT_STORE_KINDS_H
#define FBAT_STORE_KINDS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <fbat/fbat.h>

#define KINDS_ENTITY "_kinds"
#define KINDS_EVENT_KIND FBAT_KIND(FBAT_CATEGORY_SYSTEM, 1)

enum { KINDS_TYPES = 4096, KINDS_CATEGORIES = 16 };

struct kind_entry {
    uint64_t name_hash;
    uint16_t kind;
    uint8_t name_bytes;
    char name[FBAT_KIND_NAME_BYTES_MAX];
};

struct kinds {
    pthread_rwlock_t lock;
    pthread_mutex_t define_lock;                   /* one definition at a time, append included */
    struct kind_entry **by_kind[KINDS_CATEGORIES]; /* 4096 pointers each, made when first needed */
    struct kind_entry **by_name;                   /* open addressing, power of two */
    uint32_t by_name_size;
    uint32_t count;
    uint64_t seen_sequence; /* the log was read up to here */
};

void kinds_init(struct kinds *kinds);
void kinds_deinit(struct kinds *kinds);

/* Adds a definition. FBAT_ERR_KIND_CONFLICT when it contradicts one before; FBAT_OK when it repeats one. */
int kinds_add(struct kinds *kinds, uint16_t kind, struct fbat_slice name, struct fbat_error *error);

/* FBAT_OK and the answer, or FBAT_ERR_NOT_FOUND. Names live as long as `kinds`. */
int kinds_find(struct kinds *kinds, struct fbat_slice name, uint16_t *out_kind);
int kinds_name(struct kinds *kinds, uint16_t kind, struct fbat_slice *out_name);

/* The first type of a category, from 1, without a name; 0 when all have one. */
uint16_t kinds_free_type(struct kinds *kinds, unsigned category);

uint32_t kinds_count(struct kinds *kinds);

struct fbat_store;

/* Reads definitions that were appended since the last time. */
int kinds_load(struct fbat_store *store, struct fbat_error *error);

/* fbat_kind_define: appends where needed. */
int kinds_define(struct fbat_store *store, uint16_t kind, struct fbat_slice name, struct fbat_error *error);

/* fbat_kind_resolve. */
int kinds_resolve(struct fbat_store *store, struct fbat_slice name, unsigned category, uint16_t *out_kind,
                  struct fbat_error *error);

#endif
