/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Little-endian integers at any alignment, alignment arithmetic, and checked sums of sizes. On little-endian machines
 * the accessors compile to single moves.
 */
#ifndef FBAT_BASE_BYTES_H
#define FBAT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE16(x) (x)
#define LITTLE32(x) (x)
#define LITTLE64(x) (x)
#else
#define LITTLE16(x) __builtin_bswap16(x)
#define LITTLE32(x) __builtin_bswap32(x)
#define LITTLE64(x) __builtin_bswap64(x)
#endif

static inline uint16_t load_u16(const uint8_t *at) {
    uint16_t value;
    memcpy(&value, at, sizeof value);
    return LITTLE16(value);
}

static inline uint32_t load_u32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return LITTLE32(value);
}

static inline uint64_t load_u64(const uint8_t *at) {
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return LITTLE64(value);
}

static inline int64_t load_i64(const uint8_t *at) {
    return (int64_t)load_u64(at);
}

static inline void store_u16(uint8_t *at, uint16_t value) {
    value = LITTLE16(value);
    memcpy(at, &value, sizeof value);
}

static inline void store_u32(uint8_t *at, uint32_t value) {
    value = LITTLE32(value);
    memcpy(at, &value, sizeof value);
}

static inline void store_u64(uint8_t *at, uint64_t value) {
    value = LITTLE64(value);
    memcpy(at, &value, sizeof value);
}

static inline void store_i64(uint8_t *at, int64_t value) {
    store_u64(at, (uint64_t)value);
}

/* Rounds up to a power of two; the caller knows that value + alignment fits. */
static inline uint64_t align_up(uint64_t value, uint64_t alignment) {
    return (value + alignment - 1) & ~(alignment - 1);
}

static inline bool bytes_are_zero(const uint8_t *at, size_t size) {
    size_t index = 0;
    for (; index + 8 <= size; index += 8)
        if (load_u64(at + index) != 0)
            return false;
    for (; index < size; index++)
        if (at[index] != 0)
            return false;
    return true;
}

/* memcpy that accepts NULL with size 0. Returns the end of what was written. */
static inline uint8_t *bytes_put(uint8_t *to, const void *from, size_t size) {
    if (size > 0)
        memcpy(to, from, size);
    return to + size;
}

/* True and the sum, or false when it does not fit. */
static inline bool checked_add(uint64_t a, uint64_t b, uint64_t *out_sum) {
    return !__builtin_add_overflow(a, b, out_sum);
}

static inline bool checked_multiply(uint64_t a, uint64_t b, uint64_t *out_product) {
    return !__builtin_mul_overflow(a, b, out_product);
}

#endif
