/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4) by OpenSSL's libcrypto, through a digest fetched once and a context that is reused: after
 * sha256_init no call allocates. One object serves one thread at a time.
 */
#ifndef FBAT_BASE_SHA256_H
#define FBAT_BASE_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_BYTES = 32 };

struct sha256 {
    void *digest;  /* EVP_MD */
    void *context; /* EVP_MD_CTX */
};

/* False when libcrypto gives no digest or no memory. */
bool sha256_init(struct sha256 *sha);
void sha256_deinit(struct sha256 *sha);

/* The hash of two pieces, one after the other. */
void sha256_of(struct sha256 *sha, const void *first, size_t first_size, const void *second, size_t second_size,
               uint8_t out_hash[SHA256_BYTES]);

#endif
