/* SPDX-License-Identifier: MIT */

/* Punycode, by samples and by what must fail. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/punycode.h"

static void check_pair(const uint32_t *points, size_t n, const char *text) {
        uint32_t back[PUNYCODE_MAX];
        char out[PUNYCODE_MAX];
        size_t n_back, len;

        assert_int_equal(punycode_encode(points, n, out, &len), 0);
        assert_true(slice_equal(slice_make(out, len), slice_from_string(text)));
        assert_int_equal(punycode_decode(slice_from_string(text), back, &n_back), 0);
        assert_int_equal(n_back, n);
        assert_memory_equal(back, points, n * sizeof(*points));
}

#define CHECK_PAIR(text, ...)                   \
 do {                                           \
  const uint32_t points[] = {__VA_ARGS__};      \
                                                \
  check_pair(points, ELEMENTSOF(points), text); \
 } while (0)

static void test_samples(void **state) {
        (void)state;
        CHECK_PAIR("tda", 0xFC);
        CHECK_PAIR("bcher-kva", 'b', 0xFC, 'c', 'h', 'e', 'r');
        CHECK_PAIR("ls8h", 0x1F4A9);
        CHECK_PAIR("n3h", 0x2603);
        CHECK_PAIR("wgv71a119e", 0x65E5, 0x672C, 0x8A9E);
        CHECK_PAIR("--1xp483y", '-', 0x2603, 0x65E5);
        CHECK_PAIR("abc-", 'a', 'b', 'c');
        check_pair(NULL, 0, "");
}

static void test_digits_in_any_case(void **state) {
        uint32_t points[PUNYCODE_MAX];
        size_t n;

        (void)state;
        assert_int_equal(punycode_decode(SLICE("LS8H"), points, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(points[0], 0x1F4A9);
}

static void test_refusals(void **state) {
        static const char *const bad[] = {
                        "0", /* cut within a number */
                        "tda0",
                        "tda!", /* no digit */
                        "t a",
                        "b\xFC-kva", /* not ASCII before the hyphen */
                        "tda\xC3",
                        "-tda", /* a hyphen that separates nothing */
                        "-",
                        "99999a",       /* above U+10FFFF */
                        "99999999999a", /* overflows */
                        "9999999999999999",
        };
        uint32_t points[PUNYCODE_MAX] = {42};
        size_t n = 7;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(punycode_decode(slice_from_string(bad[i]), points, &n), -EINVAL);
        assert_int_equal(points[0], 42);
        assert_int_equal(n, 7);
}

static void test_limits(void **state) {
        uint32_t points[PUNYCODE_MAX + 1];
        char out[PUNYCODE_MAX], text[PUNYCODE_MAX + 10];
        size_t len, n;

        (void)state;
        memset(text, 'a', sizeof(text));
        text[PUNYCODE_MAX] = '-';
        assert_int_equal(punycode_decode(slice_make(text, PUNYCODE_MAX + 1), points, &n), -EINVAL);
        /* 40 points before the hyphen and 30 behind it. */
        text[PUNYCODE_MAX] = 'a';
        text[40] = '-';
        assert_int_equal(punycode_decode(slice_make(text, 71), points, &n), -EINVAL);

        for (size_t i = 0; i <= PUNYCODE_MAX; i++)
                points[i] = 'a';
        assert_int_equal(punycode_encode(points, PUNYCODE_MAX + 1, out, &len), -EINVAL);
        assert_int_equal(punycode_encode(points, PUNYCODE_MAX, out, &len), -EINVAL);
        assert_int_equal(punycode_encode(points, PUNYCODE_MAX - 1, out, &len), 0);
        assert_int_equal(len, PUNYCODE_MAX);
        points[10] = 0xFC;
        assert_int_equal(punycode_encode(points, PUNYCODE_MAX - 1, out, &len), -EINVAL);
        for (size_t i = 0; i < 30; i++)
                points[i] = (uint32_t)(0x4E00 + i * 331);
        assert_int_equal(punycode_encode(points, 30, out, &len), -EINVAL);
}

static void test_any_points_round_trip(void **state) {
        uint32_t seed = 1;

        (void)state;
        for (int round = 0; round < 20000; round++) {
                uint32_t points[12], back[PUNYCODE_MAX];
                char out[PUNYCODE_MAX];
                size_t n = 1 + (size_t)round % ELEMENTSOF(points), n_back, len;

                for (size_t i = 0; i < n; i++) {
                        seed = seed * 1664525 + 1013904223;
                        points[i] = (seed >> 8) % (seed % 3 == 0 ? 0x80 : 0x110000);
                }
                if (punycode_encode(points, n, out, &len) < 0)
                        continue;
                assert_int_equal(punycode_decode(slice_make(out, len), back, &n_back), 0);
                assert_int_equal(n_back, n);
                assert_memory_equal(back, points, n * sizeof(*points));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_samples),
                        cmocka_unit_test(test_digits_in_any_case),
                        cmocka_unit_test(test_refusals),
                        cmocka_unit_test(test_limits),
                        cmocka_unit_test(test_any_points_round_trip),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
