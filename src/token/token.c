/* SPDX-License-Identifier: MIT */

/* Tokens, see the header. The prefix and the length are public; what is behind the prefix is not.
 */

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "basic/base62.h"
#include "basic/hash.h"
#include "sys/library.h"
#include "token/token.h"

#define PREFIX_SIZE   (sizeof TOKEN_PREFIX - 1)
#define CRYPTO_SONAME "libcrypto.so.3"

/* OpenSSL's, loaded with the first token, entity tag or key: nearly 1 MB that an instance which
 * only redirects does without. */
typedef struct Crypto {
        __typeof__(&EVP_Digest) digest;
        __typeof__(&EVP_sha256) sha256;
        __typeof__(&CRYPTO_memcmp) memcmp;
} Crypto;

static int make_crypto(Crypto **ret) {
        Crypto *crypto = calloc(1, sizeof(*crypto));
        int r;

        if (!crypto)
                return -ENOMEM;
        r = library_load(CRYPTO_SONAME,
                         (const LibrarySymbol[]){{"EVP_Digest", &crypto->digest},
                                                 {"EVP_sha256", &crypto->sha256},
                                                 {"CRYPTO_memcmp", &crypto->memcmp}},
                         3);
        if (r < 0) {
                free(crypto);
                return r;
        }
        *ret = crypto;
        return 0;
}

/* Threads that come at the same time load it each, which does no harm; the first one's is kept. */
static int load_crypto(const Crypto **ret) {
        static _Atomic(Crypto *) kept;
        Crypto *crypto = atomic_load(&kept), *first = NULL;
        int r;

        if (!crypto) {
                r = make_crypto(&crypto);
                if (r < 0)
                        return r;
                if (!atomic_compare_exchange_strong(&kept, &first, crypto)) {
                        free(crypto);
                        crypto = first;
                }
        }
        *ret = crypto;
        return 0;
}

static void checksum(Slice text, char ret[TOKEN_CHECKSUM]) {
        static const char digits[] =
                        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        uint32_t crc = hash_crc32c(0, text.data, text.len);

        for (size_t i = TOKEN_CHECKSUM; i > 0; i--) {
                ret[i - 1] = digits[crc % 62];
                crc /= 62;
        }
}

void token_make(char ret[TOKEN_SIZE]) {
        memcpy(ret, TOKEN_PREFIX, PREFIX_SIZE);
        base62_random(ret + PREFIX_SIZE, TOKEN_SECRET);
        checksum(slice_make(ret, PREFIX_SIZE + TOKEN_SECRET), ret + PREFIX_SIZE + TOKEN_SECRET);
}

bool token_checksum_good(Slice text) {
        char sum[TOKEN_CHECKSUM];

        if (text.len != TOKEN_SIZE || !slice_starts_with(text, SLICE(TOKEN_PREFIX)))
                return false;
        checksum(slice_sub(text, 0, PREFIX_SIZE + TOKEN_SECRET), sum);
        return slice_equal(slice_from(text, PREFIX_SIZE + TOKEN_SECRET),
                           slice_make(sum, sizeof sum));
}

bool token_of_field(Slice field, Slice *ret) {
        static const Slice scheme = {"Bearer ", 7};
        Slice text;

        if (!slice_starts_with_nocase(field, scheme))
                return false;
        for (text = slice_from(field, scheme.len); text.len > 0 && text.data[0] == ' ';)
                text = slice_from(text, 1);
        if (text.len != TOKEN_SIZE || !slice_starts_with(text, SLICE(TOKEN_PREFIX)))
                return false;
        *ret = text;
        return true;
}

int token_digest(Slice text, uint8_t ret[TOKEN_DIGEST_SIZE]) {
        const Crypto *crypto;
        unsigned len = 0;
        int r;

        r = load_crypto(&crypto);
        if (r < 0)
                return r;
        if (crypto->digest(text.data, text.len, ret, &len, crypto->sha256(), NULL) != 1)
                return -ENOMEM;
        CHECK(len == TOKEN_DIGEST_SIZE);
        return 0;
}

bool token_digest_equal(const uint8_t a[TOKEN_DIGEST_SIZE], const uint8_t b[TOKEN_DIGEST_SIZE]) {
        const Crypto *crypto;

        if (load_crypto(&crypto) < 0)
                return false;
        return crypto->memcmp(a, b, TOKEN_DIGEST_SIZE) == 0;
}
