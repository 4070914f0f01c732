/* SPDX-License-Identifier: MIT */

/* Tokens, see the header. Digests are Nettle's: a library of 300 KB, while loading OpenSSL's
 * costs each instance nearly 2 MB. The prefix and the length are public; what is behind the prefix
 * is not.
 */

#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "basic/base62.h"
#include "basic/hash.h"
#include "token/token.h"

#define PREFIX_SIZE (sizeof TOKEN_PREFIX - 1)

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

void token_digest(Slice text, uint8_t ret[TOKEN_DIGEST_SIZE]) {
        struct sha256_ctx context;

        sha256_init(&context);
        sha256_update(&context, text.len, (const uint8_t *)text.data);
        sha256_digest(&context, TOKEN_DIGEST_SIZE, ret);
}

bool token_digest_equal(const uint8_t a[TOKEN_DIGEST_SIZE], const uint8_t b[TOKEN_DIGEST_SIZE]) {
        return memeql_sec(a, b, TOKEN_DIGEST_SIZE);
}
