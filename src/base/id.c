/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids as text, ids from names, and the arithmetic of monotonic UUIDv7.
 *
 * Layout (RFC 9562, section 5.7), big-endian:
 *
 *      0                   48   52              64 66                                    128
 *     | milliseconds         |0111| us-fraction   |10| random                             |
 *
 * I1: of two ids made one after the other, the later is greater, whatever the clock does.
 */
#include "base/id.h"

#include <string.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/sha256.h"

static const char hex_digits[] = "0123456789abcdef";

void fbat_id_format(const struct fbat_id *id, char out_text[FBAT_ID_TEXT_SIZE]) {
    char *to = out_text;
    for (int index = 0; index < 16; index++) {
        if (index == 4 || index == 6 || index == 8 || index == 10)
            *to++ = '-';
        *to++ = hex_digits[id->bytes[index] >> 4];
        *to++ = hex_digits[id->bytes[index] & 15];
    }
    *to = '\0';
}

static int hex_value(char digit) {
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

int fbat_id_parse(const char *text, size_t size, struct fbat_id *out_id) {
    if (!text || !out_id || size != FBAT_ID_TEXT_SIZE - 1)
        return FBAT_ERR_ARGUMENT;
    struct fbat_id id;
    size_t at = 0;
    for (int index = 0; index < 16; index++) {
        if ((index == 4 || index == 6 || index == 8 || index == 10) && text[at++] != '-')
            return FBAT_ERR_ARGUMENT;
        int high = hex_value(text[at]), low = hex_value(text[at + 1]);
        if (high < 0 || low < 0)
            return FBAT_ERR_ARGUMENT;
        id.bytes[index] = (uint8_t)(high << 4 | low);
        at += 2;
    }
    *out_id = id;
    return FBAT_OK;
}

static void set_version(struct fbat_id *id, uint8_t version) {
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0F) | version << 4);
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3F) | 0x80);
}

int fbat_id_derive(struct fbat_slice name, struct fbat_id *out_id) {
    if (!out_id || (!name.data && name.size > 0))
        return FBAT_ERR_ARGUMENT;
    uint8_t hash[SHA256_BYTES];
    sha256_of(name.data, name.size, NULL, 0, hash);
    memcpy(out_id->bytes, hash, sizeof out_id->bytes);
    set_version(out_id, 8);
    return FBAT_OK;
}

static uint64_t load_big(const uint8_t *at) {
    uint64_t value = 0;
    for (int index = 0; index < 8; index++)
        value = value << 8 | at[index];
    return value;
}

static void store_big(uint8_t *at, uint64_t value) {
    for (int index = 7; index >= 0; index--, value >>= 8)
        at[index] = (uint8_t)value;
}

#define ID_LOW_MASK ((UINT64_C(1) << 62) - 1)

/* 48 bits of milliseconds, then the fraction of a millisecond in 4096ths. */
static uint64_t high_of_time(int64_t time_us) {
    uint64_t time = time_us < 0 ? 0 : (uint64_t)time_us;
    return (time / 1000 % (UINT64_C(1) << 48)) << 12 | (time % 1000) * 4096 / 1000;
}

static void split_id(const struct fbat_id *id, uint64_t *out_high, uint64_t *out_low) {
    uint64_t raw = load_big(id->bytes);
    *out_high = (raw >> 16) << 12 | (raw & 0xFFF);
    *out_low = load_big(id->bytes + 8) & ID_LOW_MASK;
}

static struct fbat_id join_id(uint64_t high, uint64_t low) {
    struct fbat_id id;
    store_big(id.bytes, (high >> 12) << 16 | (high & 0xFFF));
    store_big(id.bytes + 8, low);
    set_version(&id, 7);
    return id;
}

struct fbat_id id_make(const struct fbat_id *last, int64_t time_us, uint64_t random_bits) {
    uint64_t high = high_of_time(time_us), low = random_bits & ID_LOW_MASK, last_high, last_low;
    split_id(last, &last_high, &last_low);
    if (high < last_high || (high == last_high && low <= last_low)) {
        /* By a random step, not by one: an id that was given out and never came back is not known to be taken. */
        low = last_low + 1 + (random_bits & UINT32_MAX);
        high = last_high + (low > ID_LOW_MASK);
        low &= ID_LOW_MASK;
    }
    return join_id(high, low);
}

/* ---- ids that carry a sequence ---- */

uint64_t id_tag_key(const struct fbat_id *store_id) {
    return hash64(store_id->bytes, sizeof store_id->bytes, 0);
}

static uint64_t tag_of(uint64_t high, uint64_t low, uint64_t tag_key) {
    const uint64_t words[2] = {LITTLE64(high), LITTLE64(low >> ID_TAG_BITS)};
    return hash64(words, sizeof words, tag_key) >> (64 - ID_TAG_BITS);
}

struct fbat_id id_make_for(const struct fbat_id *last, int64_t time_us, uint64_t sequence, uint64_t tag_key,
                           uint64_t random_bits) {
    uint64_t high = high_of_time(time_us), last_high, last_low;
    if (sequence >> ID_SEQUENCE_BITS)
        return id_make(last, time_us, random_bits);
    split_id(last, &last_high, &last_low);
    uint64_t chance = random_bits & ((UINT64_C(1) << ID_RANDOM_BITS) - 1);
    uint64_t low = (sequence << ID_RANDOM_BITS | chance) << ID_TAG_BITS;
    /* Sequences rise, so ids of one moment do. After an id of other making, or a clock that went back, the time gives way: by
     * a quarter of a microsecond. */
    if (high < last_high || (high == last_high && low <= last_low))
        high = last_high + (low <= last_low);
    return join_id(high, low | tag_of(high, low, tag_key));
}

uint64_t id_carried_sequence(const struct fbat_id *id, uint64_t tag_key) {
    uint64_t high, low;
    if (id->bytes[6] >> 4 != 7 || id->bytes[8] >> 6 != 2)
        return 0;
    split_id(id, &high, &low);
    bool own = (low & ((UINT64_C(1) << ID_TAG_BITS) - 1)) == tag_of(high, low, tag_key);
    return own ? low >> (ID_RANDOM_BITS + ID_TAG_BITS) : 0;
}
