/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds by name, so that import asks the store once for each name and not once for each event. */
#ifndef FBAT_CLI_KIND_CACHE_H
#define FBAT_CLI_KIND_CACHE_H

#include <stddef.h>

#include <fbat/fbat.h>

#include "heap.h"

struct kind_slot {
    struct fbat_slice name; /* data NULL = free */
    uint16_t kind;
};

struct kind_cache {
    struct kind_slot *slots;
    size_t capacity; /* a power of two, at least twice count */
    size_t count;
    struct scratch names;
};

void kind_cache_init(struct kind_cache *cache);
void kind_cache_deinit(struct kind_cache *cache);

/* The kind of name, or 0. */
uint16_t kind_cache_find(const struct kind_cache *cache, struct fbat_slice name);

/* Remembers the kind of a name that is not there yet. */
void kind_cache_add(struct kind_cache *cache, struct fbat_slice name, uint16_t kind);

#endif
