/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli, RFC 3720 appendix B.4), by ISA-L. */
#ifndef FBAT_BASE_CRC32C_H
#define FBAT_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The checksum of size bytes, continued from seed: crc32c(b, n, 0) is the standard CRC-32C of b, and
 * crc32c(b, n, crc32c(a, m, 0)) that of a followed by b. size < 2 GiB. */
uint32_t crc32c(const void *data, size_t size, uint32_t seed);

#endif
