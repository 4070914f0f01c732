/* SPDX-License-Identifier: MIT */

/* Random text of [0-9A-Za-z]. Any thread. */

#include <errno.h>
#include <sys/random.h>

#include "basic/base62.h"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

void base62_random(char *ret, size_t n) {
        unsigned char bytes[64];

        while (n > 0) {
                /* Two of 64 values are thrown away: a few spare bytes mostly save a second call. */
                ssize_t got = getrandom(bytes, MIN(sizeof(bytes), n + 4), 0);

                if (got < 0 && errno == EINTR)
                        continue;
                CHECK(got > 0);
                for (ssize_t i = 0; i < got && n > 0; i++) {
                        unsigned value = bytes[i] & 63u;

                        if (value >= 62)
                                continue;
                        *ret++ = alphabet[value];
                        n--;
                }
        }
}

bool base62_valid(Slice s) {
        for (size_t i = 0; i < s.len; i++) {
                char c = s.data[i];

                if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z')))
                        return false;
        }
        return true;
}
