/* SPDX-License-Identifier: MIT */

/*
 * The hashes. hash_keyed() and hash_crc32c() are on the path of every redirect: no allocation, no
 * lock. The CRC tables are filled before main() and constant from then on, so any thread may call.
 * Multi-byte reads are little endian by the definition of the hashes, whatever the machine.
 */

#include <endian.h>
#include <errno.h>
#include <sys/random.h>

#include "basic/hash.h"

#define CRC32C_POLYNOMIAL 0x82F63B78u /* reflected */
#define FNV_OFFSET        0xCBF29CE484222325ULL
#define FNV_PRIME         0x00000100000001B3ULL

static uint32_t crc_tables[8][256];

static uint64_t read_le64(const void *p) {
        uint64_t value;

        memcpy(&value, p, sizeof(value));
        return le64toh(value);
}

static uint64_t rotate(uint64_t x, unsigned n) {
        return x << n | x >> (64 - n);
}

static void sip_round(uint64_t v[4]) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
}

__attribute__((constructor)) static void fill_crc_tables(void) {
        for (uint32_t i = 0; i < 256; i++) {
                uint32_t crc = i;

                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
                crc_tables[0][i] = crc;
        }
        for (size_t t = 1; t < 8; t++)
                for (size_t i = 0; i < 256; i++) {
                        uint32_t crc = crc_tables[t - 1][i];

                        crc_tables[t][i] = crc >> 8 ^ crc_tables[0][crc & 0xFF];
                }
}

#ifdef __x86_64__
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const char *data,
                                                               size_t len) {
        uint64_t state = ~crc;

        for (; len >= 8; data += 8, len -= 8)
                state = __builtin_ia32_crc32di(state, read_le64(data));
        crc = (uint32_t)state;
        for (; len > 0; data++, len--)
                crc = __builtin_ia32_crc32qi(crc, (unsigned char)*data);
        return ~crc;
}
#endif

HashKey hash_key_random(void) {
        HashKey key;
        ssize_t n;

        do
                n = getrandom(&key, sizeof(key), 0);
        while (n < 0 && errno == EINTR);
        CHECK(n == (ssize_t)sizeof(key));
        return key;
}

uint64_t hash_keyed(const HashKey *key, Slice s) {
        uint64_t v[4] = {
                        key->k0 ^ 0x736F6D6570736575ULL,
                        key->k1 ^ 0x646F72616E646F6DULL,
                        key->k0 ^ 0x6C7967656E657261ULL,
                        key->k1 ^ 0x7465646279746573ULL,
        };
        uint64_t last = (uint64_t)s.len << 56;
        size_t i = 0;

        for (; s.len - i >= 8; i += 8) {
                uint64_t word = read_le64(s.data + i);

                v[3] ^= word;
                sip_round(v);
                v[0] ^= word;
        }
        for (unsigned shift = 0; i < s.len; i++, shift += 8)
                last |= (uint64_t)(unsigned char)s.data[i] << shift;
        v[3] ^= last;
        sip_round(v);
        v[0] ^= last;
        v[2] ^= 0xFF;
        sip_round(v);
        sip_round(v);
        sip_round(v);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_plain(Slice s) {
        uint64_t h = FNV_OFFSET;

        for (size_t i = 0; i < s.len; i++)
                h = (h ^ (unsigned char)s.data[i]) * FNV_PRIME;
        h = (h ^ h >> 33) * 0xFF51AFD7ED558CCDULL;
        h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53ULL;
        return h ^ h >> 33;
}

uint32_t hash_crc32c(uint32_t crc, const void *data, size_t len) {
#ifdef __x86_64__
        if (LIKELY(__builtin_cpu_supports("sse4.2")))
                return crc32c_sse42(crc, data, len);
#endif
        return hash_crc32c_portable(crc, data, len);
}

uint32_t hash_crc32c_portable(uint32_t crc, const void *data, size_t len) {
        const unsigned char *p = data;

        crc = ~crc;
        for (; len >= 8; p += 8, len -= 8) {
                uint64_t word = read_le64(p) ^ crc;

                crc = 0;
                for (unsigned i = 0; i < 8; i++)
                        crc ^= crc_tables[7 - i][word >> 8 * i & 0xFF];
        }
        for (; len > 0; p++, len--)
                crc = crc >> 8 ^ crc_tables[0][(crc ^ *p) & 0xFF];
        return ~crc;
}
