/* SPDX-License-Identifier: MIT */

/* Random base-62 text. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/base62.h"

static void test_random_is_valid_and_exact(void **state) {
        char text[300];

        (void)state;
        for (size_t n = 0; n < sizeof(text); n++) {
                memset(text, '!', sizeof(text));
                base62_random(text, n);
                assert_true(base62_valid(slice_make(text, n)));
                assert_int_equal(text[n], '!');
        }
}

/* 62,000 draws: each character is expected 1,000 times, with a deviation of about 32. */
static void test_random_is_even(void **state) {
        static char text[62000];
        size_t counts[256] = {0}, n_kinds = 0;

        (void)state;
        base62_random(text, sizeof(text));
        for (size_t i = 0; i < sizeof(text); i++)
                counts[(unsigned char)text[i]]++;
        for (size_t c = 0; c < ELEMENTSOF(counts); c++) {
                if (counts[c] == 0)
                        continue;
                n_kinds++;
                assert_in_range(counts[c], 750, 1250);
        }
        assert_int_equal(n_kinds, 62);
}

static void test_valid(void **state) {
        (void)state;
        assert_true(base62_valid(SLICE("09azAZ")));
        assert_true(base62_valid(SLICE_NONE));
        for (unsigned c = 0; c < 256; c++) {
                char text[3] = {'a', (char)c, 'b'};
                bool expected = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                (c >= 'A' && c <= 'Z');

                assert_int_equal(base62_valid(slice_make(text, sizeof(text))), expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_random_is_valid_and_exact),
                        cmocka_unit_test(test_random_is_even),
                        cmocka_unit_test(test_valid),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
