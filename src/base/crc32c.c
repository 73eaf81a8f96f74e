/* SPDX-License-Identifier: Apache-2.0 */
/* ISA-L works on the plain register; the standard's inversion before and after is added here. */
#include "base/crc32c.h"

#include <limits.h>

#include <isa-l/crc.h>

#include "base/assert.h"

uint32_t crc32c(const void *data, size_t size, uint32_t seed) {
    FBAT_ASSERT(size <= INT_MAX);
    /* The library's prototype lacks const; it only reads. */
    return ~crc32_iscsi((unsigned char *)(uintptr_t)data, (int)size, ~seed);
}
