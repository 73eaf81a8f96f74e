/* SPDX-License-Identifier: Apache-2.0 */
/* A decoder by the table of well-formed byte sequences in RFC 3629, section 4. ASCII goes eight bytes at a time. */
#include "base/utf8.h"

#include <stdint.h>

#include "base/bytes.h"

/* Length of the well-formed sequence at `at`, 0 if there is none. */
static size_t sequence_length(const uint8_t *at, size_t size) {
    uint8_t lead = at[0];
    if (lead < 0x80)
        return 1;
    size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || length > size)
        return 0;
    /* Only the second byte's range depends on the lead. */
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t index = 2; index < length; index++)
        if ((at[index] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool utf8_is_valid(const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        if (size >= 8 && (load_u64(at) & UINT64_C(0x8080808080808080)) == 0) {
            at += 8;
            size -= 8;
            continue;
        }
        size_t length = sequence_length(at, size);
        if (length == 0)
            return false;
        at += length;
        size -= length;
    }
    return true;
}

bool utf8_is_plain_text(const void *data, size_t size) {
    const uint8_t *at = data;
    for (size_t index = 0; index < size; index++)
        if (at[index] < 0x20 || at[index] == 0x7F)
            return false;
    return utf8_is_valid(data, size);
}
