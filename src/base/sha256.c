/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reused context is worth its lines: a one-shot EVP_Digest allocates and looks the algorithm up each time, which
 * costs more than hashing an event.
 */
#include "base/sha256.h"

#include <openssl/evp.h>

#include "base/assert.h"

bool sha256_init(struct sha256 *sha) {
    EVP_MD *digest = EVP_MD_fetch(NULL, "SHA256", NULL);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    /* The first initialisation allocates the algorithm's state; do it here, so that no later call does. */
    if (!digest || !context || EVP_DigestInit_ex2(context, digest, NULL) != 1) {
        EVP_MD_CTX_free(context);
        EVP_MD_free(digest);
        return false;
    }
    sha->digest = digest;
    sha->context = context;
    return true;
}

void sha256_deinit(struct sha256 *sha) {
    EVP_MD_CTX_free(sha->context);
    EVP_MD_free(sha->digest);
    sha->context = NULL;
    sha->digest = NULL;
}

void sha256_of(struct sha256 *sha, const void *first, size_t first_size, const void *second, size_t second_size,
               uint8_t out_hash[SHA256_BYTES]) {
    int good = EVP_DigestInit_ex2(sha->context, NULL, NULL);
    if (first_size > 0)
        good &= EVP_DigestUpdate(sha->context, first, first_size);
    if (second_size > 0)
        good &= EVP_DigestUpdate(sha->context, second, second_size);
    good &= EVP_DigestFinal_ex(sha->context, out_hash, NULL);
    /* With a context that was initialised once, none of these can fail. */
    FBAT_ASSERT(good == 1);
}
