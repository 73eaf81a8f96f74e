/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3 compiled in place: the header form lets the compiler specialise for short keys. */
#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t hash64(const void *data, size_t size, uint64_t seed) {
    return XXH3_64bits_withSeed(data, size, seed);
}

uint64_t hash_stream(const void *scope, size_t scope_size, const void *entity, size_t entity_size) {
    return hash64(entity, entity_size, hash64(scope, scope_size, 0));
}
