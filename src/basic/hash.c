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

typedef struct SipState {
        uint64_t a, b, c, d; /* v0 to v3 of the paper */
} SipState;

static uint32_t crc_tables[8][256];

static uint64_t read_le64(const void *p) {
        uint64_t value;

        memcpy(&value, p, sizeof(value));
        return le64toh(value);
}

static uint32_t read_le32(const void *p) {
        uint32_t value;

        memcpy(&value, p, sizeof(value));
        return le32toh(value);
}

/* The last n bytes (1 to 7) of a text as a number, by reads that may overlap. */
static uint64_t read_tail(const char *p, size_t n) {
        if (n >= 4)
                return read_le32(p) | (uint64_t)read_le32(p + n - 4) << 8 * (n - 4);
        return (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[n / 2] << n / 2 * 8 |
               (uint64_t)(unsigned char)p[n - 1] << (n - 1) * 8;
}

static inline uint64_t rotate(uint64_t x, unsigned n) {
        return x << n | x >> (64 - n);
}

/* Always inlined, so that the state stays in registers. */
static inline __attribute__((always_inline)) void sip_round(SipState *v) {
        v->a += v->b;
        v->b = rotate(v->b, 13) ^ v->a;
        v->a = rotate(v->a, 32);
        v->c += v->d;
        v->d = rotate(v->d, 16) ^ v->c;
        v->a += v->d;
        v->d = rotate(v->d, 21) ^ v->a;
        v->c += v->b;
        v->b = rotate(v->b, 17) ^ v->c;
        v->c = rotate(v->c, 32);
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
        if (len >= 4) {
                crc = __builtin_ia32_crc32si(crc, read_le32(data));
                data += 4;
                len -= 4;
        }
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
        SipState v = {
                        key->k0 ^ 0x736F6D6570736575ULL,
                        key->k1 ^ 0x646F72616E646F6DULL,
                        key->k0 ^ 0x6C7967656E657261ULL,
                        key->k1 ^ 0x7465646279746573ULL,
        };
        uint64_t last = (uint64_t)s.len << 56;
        size_t i = 0;

        for (; s.len - i >= 8; i += 8) {
                uint64_t word = read_le64(s.data + i);

                v.d ^= word;
                sip_round(&v);
                v.a ^= word;
        }
        if (i < s.len)
                last |= read_tail(s.data + i, s.len - i);
        v.d ^= last;
        sip_round(&v);
        v.a ^= last;
        v.c ^= 0xFF;
        sip_round(&v);
        sip_round(&v);
        sip_round(&v);
        return v.a ^ v.b ^ v.c ^ v.d;
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

                crc = crc_tables[7][word & 0xFF] ^ crc_tables[6][word >> 8 & 0xFF] ^
                      crc_tables[5][word >> 16 & 0xFF] ^ crc_tables[4][word >> 24 & 0xFF] ^
                      crc_tables[3][word >> 32 & 0xFF] ^ crc_tables[2][word >> 40 & 0xFF] ^
                      crc_tables[1][word >> 48 & 0xFF] ^ crc_tables[0][word >> 56];
        }
        for (; len > 0; p++, len--)
                crc = crc >> 8 ^ crc_tables[0][(crc ^ *p) & 0xFF];
        return ~crc;
}
