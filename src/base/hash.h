/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes for tables (XXH3, 64 bits): never for integrity. */
#ifndef FBAT_BASE_HASH_H
#define FBAT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash64(const void *data, size_t size, uint64_t seed);

/* A stream's hash: its scope, then its entity seeded by that, so that no two splits of the same bytes collide. */
uint64_t hash_stream(const void *scope, size_t scope_size, const void *entity, size_t entity_size);

#endif
