/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Comparing 64 16-bit numbers at once, in the ways that processors have for it.
 *
 * Happy path: the first call looks what the processor can do and keeps a function pointer; later calls go through it.
 * Failure modes: none. Thread rule: any thread; two threads that choose at the same time choose the same.
 */
#include "index/tile_match.h"

#include <stdatomic.h>
#include <stddef.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#include <arm_neon.h>
#endif

typedef uint64_t match_fn(const uint16_t *values, uint16_t mask, uint16_t wanted);
typedef void match_many_fn(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted, uint64_t flip,
                           uint64_t *masks);
typedef uint64_t count_fn(const uint64_t *masks, uint32_t count);

static uint64_t match_plain(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    uint64_t bits = 0;
    for (unsigned at = 0; at < TILE_ROWS; at++)
        bits |= (uint64_t)((values[at] & mask) == wanted) << at;
    return bits;
}

static void match_many_plain(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted, uint64_t flip,
                             uint64_t *masks) {
    for (uint32_t tile = 0; tile < count; tile++)
        masks[tile] &= match_plain(values + (size_t)tile * TILE_ROWS, mask, wanted) ^ flip;
}

static uint64_t count_plain(const uint64_t *masks, uint32_t count) {
    uint64_t bits = 0;
    for (uint32_t at = 0; at < count; at++)
        bits += (unsigned)__builtin_popcountll(masks[at]);
    return bits;
}

#if defined(__x86_64__)

#define TARGET_SSE2 __attribute__((target("sse2")))
#define TARGET_AVX2 __attribute__((target("avx2,popcnt")))
#define TARGET_AVX512 __attribute__((target("avx512f,avx512bw,popcnt")))

TARGET_SSE2 static uint64_t match_sse2(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    const __m128i masks = _mm_set1_epi16((short)mask), targets = _mm_set1_epi16((short)wanted);
    uint64_t bits = 0;
    for (unsigned at = 0; at < TILE_ROWS; at += 16) {
        __m128i low = _mm_loadu_si128((const void *)(values + at));
        __m128i high = _mm_loadu_si128((const void *)(values + at + 8));
        low = _mm_cmpeq_epi16(_mm_and_si128(low, masks), targets);
        high = _mm_cmpeq_epi16(_mm_and_si128(high, masks), targets);
        bits |= (uint64_t)(uint32_t)_mm_movemask_epi8(_mm_packs_epi16(low, high)) << at;
    }
    return bits;
}

TARGET_AVX2 static uint64_t match_avx2(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    const __m256i masks = _mm256_set1_epi16((short)mask), targets = _mm256_set1_epi16((short)wanted);
    uint64_t bits = 0;
    for (unsigned at = 0; at < TILE_ROWS; at += 32) {
        __m256i low = _mm256_loadu_si256((const void *)(values + at));
        __m256i high = _mm256_loadu_si256((const void *)(values + at + 16));
        low = _mm256_cmpeq_epi16(_mm256_and_si256(low, masks), targets);
        high = _mm256_cmpeq_epi16(_mm256_and_si256(high, masks), targets);
        /* Packing works within halves: put the quarters back in order. */
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
        bits |= (uint64_t)(uint32_t)_mm256_movemask_epi8(packed) << at;
    }
    return bits;
}

TARGET_AVX512 static uint64_t match_avx512(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    const __m512i masks = _mm512_set1_epi16((short)mask), targets = _mm512_set1_epi16((short)wanted);
    __m512i low = _mm512_and_si512(_mm512_loadu_si512(values), masks);
    __m512i high = _mm512_and_si512(_mm512_loadu_si512(values + 32), masks);
    return (uint64_t)_mm512_cmpeq_epi16_mask(low, targets) | (uint64_t)_mm512_cmpeq_epi16_mask(high, targets) << 32;
}

TARGET_SSE2 static void match_many_sse2(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted,
                                        uint64_t flip, uint64_t *masks) {
    for (uint32_t tile = 0; tile < count; tile++)
        masks[tile] &= match_sse2(values + (size_t)tile * TILE_ROWS, mask, wanted) ^ flip;
}

TARGET_AVX2 static void match_many_avx2(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted,
                                        uint64_t flip, uint64_t *masks) {
    for (uint32_t tile = 0; tile < count; tile++)
        masks[tile] &= match_avx2(values + (size_t)tile * TILE_ROWS, mask, wanted) ^ flip;
}

TARGET_AVX512 static void match_many_avx512(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted,
                                            uint64_t flip, uint64_t *masks) {
    for (uint32_t tile = 0; tile < count; tile++)
        masks[tile] &= match_avx512(values + (size_t)tile * TILE_ROWS, mask, wanted) ^ flip;
}

TARGET_AVX2 static uint64_t count_popcnt(const uint64_t *masks, uint32_t count) {
    uint64_t bits = 0;
    for (uint32_t at = 0; at < count; at++)
        bits += (unsigned)__builtin_popcountll(masks[at]);
    return bits;
}

#elif defined(__aarch64__) && defined(__ARM_NEON)

static uint64_t match_neon(const uint16_t *values, uint16_t mask, uint16_t wanted) {
    static const uint8_t weights[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint16x8_t masks = vdupq_n_u16(mask), targets = vdupq_n_u16(wanted);
    const uint8x16_t bit_of = vld1q_u8(weights);
    uint64_t bits = 0;
    for (unsigned at = 0; at < TILE_ROWS; at += 16) {
        uint16x8_t low = vceqq_u16(vandq_u16(vld1q_u16(values + at), masks), targets);
        uint16x8_t high = vceqq_u16(vandq_u16(vld1q_u16(values + at + 8), masks), targets);
        uint8x16_t found = vandq_u8(vcombine_u8(vmovn_u16(low), vmovn_u16(high)), bit_of);
        uint64_t pair = vaddv_u8(vget_low_u8(found)) | (uint64_t)vaddv_u8(vget_high_u8(found)) << 8;
        bits |= pair << at;
    }
    return bits;
}

static void match_many_neon(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted, uint64_t flip,
                            uint64_t *masks) {
    for (uint32_t tile = 0; tile < count; tile++)
        masks[tile] &= match_neon(values + (size_t)tile * TILE_ROWS, mask, wanted) ^ flip;
}

#endif

struct way {
    const char *name; /* NULL: not in this build */
    match_fn *match;
    match_many_fn *match_many;
    count_fn *count;
};

static const struct way ways[TILE_MATCH_WAYS] = {
    [TILE_MATCH_PLAIN] = {"plain", match_plain, match_many_plain, count_plain},
#if defined(__x86_64__)
    [TILE_MATCH_SSE2] = {"sse2", match_sse2, match_many_sse2, count_plain},
    [TILE_MATCH_AVX2] = {"avx2", match_avx2, match_many_avx2, count_popcnt},
    [TILE_MATCH_AVX512] = {"avx512", match_avx512, match_many_avx512, count_popcnt},
#elif defined(__aarch64__) && defined(__ARM_NEON)
    [TILE_MATCH_NEON] = {"neon", match_neon, match_many_neon, count_plain},
#endif
};

static bool processor_has(enum tile_match_way way) {
    if (!ways[way].name)
        return false;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (way == TILE_MATCH_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("popcnt");
    if (way == TILE_MATCH_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt");
#endif
    return true;
}

static enum tile_match_way best_way(void) {
    static const enum tile_match_way by_preference[] = {TILE_MATCH_AVX512, TILE_MATCH_AVX2, TILE_MATCH_SSE2,
                                                        TILE_MATCH_NEON};
    for (size_t at = 0; at < sizeof by_preference / sizeof by_preference[0]; at++)
        if (processor_has(by_preference[at]))
            return by_preference[at];
    return TILE_MATCH_PLAIN;
}

static _Atomic(const struct way *) chosen;

static const struct way *way_in_use(void) {
    const struct way *way = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (!way) {
        way = &ways[best_way()];
        atomic_store_explicit(&chosen, way, memory_order_relaxed);
    }
    return way;
}

uint64_t tile_match_u16(const uint16_t values[TILE_ROWS], uint16_t mask, uint16_t wanted) {
    return way_in_use()->match(values, mask, wanted);
}

void tile_match_many(const uint16_t *values, uint32_t count, uint16_t mask, uint16_t wanted, bool invert,
                     uint64_t *masks) {
    way_in_use()->match_many(values, count, mask, wanted, invert ? UINT64_MAX : 0, masks);
}

uint64_t tile_match_count(const uint64_t *masks, uint32_t count) {
    return way_in_use()->count(masks, count);
}

const char *tile_match_name(void) {
    return way_in_use()->name;
}

bool tile_match_force(enum tile_match_way way) {
    if (way == TILE_MATCH_BEST)
        way = best_way();
    if (!processor_has(way))
        return false;
    atomic_store_explicit(&chosen, &ways[way], memory_order_relaxed);
    return true;
}
