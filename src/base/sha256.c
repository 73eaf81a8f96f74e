/* SPDX-License-Identifier: Apache-2.0 */
/* The functions are marked deprecated in favour of EVP; the header says why they are used. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/sha256.h"

#include <openssl/sha.h>

#include "base/assert.h"

void sha256_of(const void *first, size_t first_size, const void *second, size_t second_size,
               uint8_t out_hash[SHA256_BYTES]) {
    SHA256_CTX context;
    int good = SHA256_Init(&context);
    if (first_size > 0)
        good &= SHA256_Update(&context, first, first_size);
    if (second_size > 0)
        good &= SHA256_Update(&context, second, second_size);
    good &= SHA256_Final(out_hash, &context);
    FBAT_ASSERT(good == 1); /* none of them can fail */
}
