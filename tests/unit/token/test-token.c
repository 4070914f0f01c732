/* SPDX-License-Identifier: MIT */

/*
 * Tokens as text. Under valgrind, test_secret_is_not_branched_on marks a token's secret as
 * undefined: a branch on it, or a look into memory by it, is then an error (secret.py).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <valgrind/memcheck.h>

#include <cmocka.h>

#include "basic/base62.h"
#include "token/token.h"

static void test_form(void **state) {
        char one[TOKEN_SIZE], two[TOKEN_SIZE];

        (void)state;
        token_make(one);
        token_make(two);
        assert_memory_not_equal(one, two, sizeof one);
        assert_memory_equal(one, "sht_", 4);
        assert_int_equal(TOKEN_SIZE, 53);
        assert_true(base62_valid(slice_make(one + 4, sizeof one - 4)));
        assert_true(token_checksum_good(slice_make(one, sizeof one)));
        for (size_t i = 0; i < sizeof one; i++) {
                char wrong[TOKEN_SIZE];

                memcpy(wrong, one, sizeof wrong);
                wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
                assert_false(token_checksum_good(slice_make(wrong, sizeof wrong)));
        }
        assert_false(token_checksum_good(slice_make(one, sizeof one - 1)));
}

static bool of_field(const char *before, const char *token, const char *after) {
        char field[256];
        Slice text;

        (void)snprintf(field, sizeof field, "%s%s%s", before, token, after);
        return token_of_field(slice_from_string(field), &text) && text.len == TOKEN_SIZE &&
               memcmp(text.data, token, TOKEN_SIZE) == 0;
}

static void test_field(void **state) {
        char token[TOKEN_SIZE + 1] = {0};
        Slice text;

        (void)state;
        token_make(token);
        assert_true(of_field("Bearer ", token, ""));
        assert_true(of_field("bearer ", token, ""));
        assert_true(of_field("BEARER   ", token, ""));
        assert_false(of_field("", token, ""));
        assert_false(of_field("Basic ", token, ""));
        assert_false(of_field("Bearer", token, ""));
        assert_false(of_field("Bearer ", token, "x"));
        assert_false(of_field("Bearer ", token, " "));
        assert_false(of_field("Bearer x", token, ""));
        assert_false(of_field("Bearer \t", token, ""));
        assert_false(token_of_field(SLICE(""), &text));
        assert_false(token_of_field(SLICE_NONE, &text));
        assert_false(token_of_field(SLICE("Bearer "), &text));
}

/* SHA-256 of "abc", FIPS 180-2. */
static void test_digest(void **state) {
        static const uint8_t abc[TOKEN_DIGEST_SIZE] = {
                        0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                        0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                        0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
        uint8_t digest[TOKEN_DIGEST_SIZE];

        (void)state;
        token_digest(SLICE("abc"), digest);
        assert_memory_equal(digest, abc, sizeof abc);
        assert_true(token_digest_equal(digest, abc));
        for (size_t i = 0; i < sizeof digest; i++) {
                digest[i] ^= 1;
                assert_false(token_digest_equal(digest, abc));
                digest[i] ^= 1;
        }
}

/* All that is done to the secret from the value of the Authorization field on: the service takes
 * the text from it, hashes it (manager_admits(), find() of api/access.c), and looks for the digest
 * and compares it. Limits and the store's index may branch on the digest: who sends one token after
 * another does not choose its bits, and they do not lead back to the secret.
 *
 * Not proven here is the parser of the head, which comes before: of each byte of a value it asks
 * whether it may stand there, eight at a time or in a table. The answer is the same for every
 * character of a token (test_a_secret_changes_nothing in http/test-parser.c), so no branch differs;
 * the look into the table is at a place that depends on the byte, 256 bytes of which the characters
 * of a token are in two or three lines of the cache. Nothing kept is compared there. What an
 * observer within the same machine could learn of that is of the client's request, not of a token
 * in the store. */
static void test_secret_is_not_branched_on(void **state) {
        char field[8 + TOKEN_SIZE] = "Bearer ";
        uint8_t kept[TOKEN_DIGEST_SIZE], digest[TOKEN_DIGEST_SIZE];
        bool found, equal;
        Slice text;

        (void)state;
        token_make(field + 7);
        token_digest(slice_make(field + 7, TOKEN_SIZE), kept);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(field + 7 + 4, TOKEN_SIZE - 4);
        found = token_of_field(slice_make(field, 7 + TOKEN_SIZE), &text);
        assert_true(found);
        token_digest(text, digest);
        equal = token_digest_equal(digest, kept);
        (void)VALGRIND_MAKE_MEM_DEFINED(&equal, sizeof equal);
        (void)VALGRIND_MAKE_MEM_DEFINED(field, sizeof field);
        assert_true(equal);
}

/* The same marking finds what it is for: a comparison that ends at the first difference. Only of
 * interest under valgrind, which must then fail. */
static void test_branch_on_a_secret(void **state) {
        char secret[TOKEN_SIZE], other[TOKEN_SIZE];
        volatile unsigned n = 0;

        (void)state;
        token_make(secret);
        token_make(other);
        (void)VALGRIND_MAKE_MEM_UNDEFINED(secret + 4, sizeof secret - 4);
        while (n < sizeof secret && secret[n] == other[n])
                n++;
        (void)VALGRIND_MAKE_MEM_DEFINED(secret, sizeof secret);
        assert_memory_not_equal(secret, other, sizeof secret);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_form),
                        cmocka_unit_test(test_field),
                        cmocka_unit_test(test_digest),
                        cmocka_unit_test(test_secret_is_not_branched_on),
                        cmocka_unit_test(test_branch_on_a_secret),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
