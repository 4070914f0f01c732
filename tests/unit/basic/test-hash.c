/* SPDX-License-Identifier: MIT */

/* Hashes: published vectors, and independent slow forms of the same. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/hash.h"

static uint64_t rotate(uint64_t x, unsigned n) {
        return x << n | x >> (64 - n);
}

static void rounds(uint64_t *v, int n) {
        while (n-- > 0) {
                v[0] += v[1], v[2] += v[3];
                v[1] = rotate(v[1], 13) ^ v[0], v[3] = rotate(v[3], 16) ^ v[2];
                v[0] = rotate(v[0], 32);
                v[2] += v[1], v[0] += v[3];
                v[1] = rotate(v[1], 17) ^ v[2], v[3] = rotate(v[3], 21) ^ v[0];
                v[2] = rotate(v[2], 32);
        }
}

/* SipHash-c-d byte by byte. */
static uint64_t sip(int c, int d, HashKey key, const unsigned char *data, size_t len) {
        uint64_t v[4] = {key.k0 ^ 0x736F6D6570736575ULL, key.k1 ^ 0x646F72616E646F6DULL,
                         key.k0 ^ 0x6C7967656E657261ULL, key.k1 ^ 0x7465646279746573ULL};
        uint64_t word = 0;
        size_t total = len / 8 * 8 + 8;

        for (size_t i = 0; i < total; i++) {
                uint64_t byte = i < len ? data[i] : i == total - 1 ? len & 0xFF : 0;

                word |= byte << i % 8 * 8;
                if (i % 8 < 7)
                        continue;
                v[3] ^= word;
                rounds(v, c);
                v[0] ^= word;
                word = 0;
        }
        v[2] ^= 0xFF;
        rounds(v, d);
        return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static void test_keyed_is_siphash_1_3(void **state) {
        const HashKey key = {0x0706050403020100ULL, 0x0F0E0D0C0B0A0908ULL};
        unsigned char data[300];

        (void)state;
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (unsigned char)i;
        /* The vector in the appendix of the paper vouches for the slow form. */
        assert_int_equal(sip(2, 4, key, data, 15), 0xA129CA6149BE45E5ULL);
        for (size_t len = 0; len < sizeof(data); len++)
                assert_int_equal(hash_keyed(&key, slice_make((char *)data, len)),
                                 sip(1, 3, key, data, len));
        assert_int_equal(hash_keyed(&key, SLICE_NONE), hash_keyed(&key, SLICE("")));
}

static void test_key_matters_and_is_random(void **state) {
        HashKey a = hash_key_random(), b = hash_key_random();

        (void)state;
        assert_memory_not_equal(&a, &b, sizeof(a));
        assert_int_not_equal(hash_keyed(&a, SLICE("x")), hash_keyed(&b, SLICE("x")));
}

static void test_plain_never_changes(void **state) {
        (void)state;
        assert_int_equal(hash_plain(SLICE_NONE), 0xEFD01F60BA992926ULL);
        assert_int_equal(hash_plain(SLICE("a")), 0x82A2A958A9BECE5BULL);
        assert_int_equal(hash_plain(SLICE("foobar")), 0x2C22194922D1672BULL);
        assert_int_equal(hash_plain(SLICE("Ab3xYz")), 0x9EFC1132A56F8AC3ULL);
}

typedef uint32_t (*Crc)(uint32_t crc, const void *data, size_t len);

static void check_crc(Crc crc) {
        unsigned char data[32];

        assert_int_equal(crc(0, "123456789", 9), 0xE3069283u);
        assert_int_equal(crc(0, NULL, 0), 0);
        /* RFC 3720, B.4 */
        memset(data, 0, sizeof(data));
        assert_int_equal(crc(0, data, sizeof(data)), 0x8A9136AAu);
        memset(data, 0xFF, sizeof(data));
        assert_int_equal(crc(0, data, sizeof(data)), 0x62A8AB43u);
        for (unsigned i = 0; i < 32; i++)
                data[i] = (unsigned char)i;
        assert_int_equal(crc(0, data, sizeof(data)), 0x46DD794Eu);
        for (unsigned i = 0; i < 32; i++)
                data[i] = (unsigned char)(31 - i);
        assert_int_equal(crc(0, data, sizeof(data)), 0x113FDB5Cu);
}

static void test_crc32c_vectors(void **state) {
        (void)state;
        check_crc(hash_crc32c);
        check_crc(hash_crc32c_portable);
}

static void test_crc32c_of_pieces_at_any_alignment(void **state) {
        unsigned char data[200];

        (void)state;
        for (size_t i = 0; i < sizeof(data); i++)
                data[i] = (unsigned char)(i * 131 + 7);
        for (size_t from = 0; from < 9; from++)
                for (size_t to = from; to <= sizeof(data); to++) {
                        uint32_t whole = hash_crc32c(0, data + from, to - from), parts;
                        size_t half = (from + to) / 2;

                        assert_int_equal(hash_crc32c_portable(0, data + from, to - from), whole);
                        parts = hash_crc32c(0, data + from, half - from);
                        parts = hash_crc32c_portable(parts, data + half, to - half);
                        assert_int_equal(parts, whole);
                }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_keyed_is_siphash_1_3),
                        cmocka_unit_test(test_key_matters_and_is_random),
                        cmocka_unit_test(test_plain_never_changes),
                        cmocka_unit_test(test_crc32c_vectors),
                        cmocka_unit_test(test_crc32c_of_pieces_at_any_alignment),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
