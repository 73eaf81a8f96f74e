/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 as of RFC 3629: shortest forms only, no surrogates, up to U+10FFFF. */
#ifndef FBAT_BASE_UTF8_H
#define FBAT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* True when the bytes are valid UTF-8. */
bool utf8_is_valid(const void *data, size_t size);

/* True when they are, and hold no byte below 0x20 and no 0x7F. */
bool utf8_is_plain_text(const void *data, size_t size);

#endif
