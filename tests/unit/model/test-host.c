/* SPDX-License-Identifier: MIT */

/* Hosts: what host_parse() promises beyond the cases of target-cases.h. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/host.h"
#include "model/types.h"

static void check(Slice text, const char *expected) {
        char out[HOST_SIZE + 1] = "untouched";
        size_t len = 42;

        assert_int_equal(host_parse(text, out, &len), expected ? 0 : -EINVAL);
        if (!expected) {
                assert_int_equal(len, 42);
                return;
        }
        out[len] = '\0';
        assert_string_equal(out, expected);
}

static void test_kinds(void **state) {
        (void)state;
        check(SLICE("Example.COM"), "example.com");
        check(SLICE("0x7f.1"), "127.0.0.1");
        check(SLICE("[0::1]"), "[::1]");
        check(SLICE("b\xC3\xBC"
                    "cher.example"),
              "xn--bcher-kva.example");
}

static void test_refusals(void **state) {
        (void)state;
        check(SLICE(""), NULL);
        check(SLICE_NONE, NULL);
        check(SLICE("a"), NULL);
        check(SLICE("[::1"), NULL);
        check(SLICE("["), NULL);
        check(SLICE("[]"), NULL);
        check(SLICE("[::1\0]"), NULL);
        check(SLICE("[\0::1]"), NULL);
        check(SLICE("a\0b"), NULL);
        check(SLICE("a%00b"), NULL);
}

static void test_longest_text(void **state) {
        static char text[3 * HOST_MAX + 1], too_long[MODEL_TARGET_MAX + 1];
        char out[HOST_SIZE];
        size_t len;

        (void)state;
        for (size_t i = 0; i < HOST_MAX; i++)
                memcpy(text + 3 * i, i % 50 == 49 ? "%2e" : "%61", 3);
        assert_int_equal(host_parse(slice_make(text, 3 * HOST_MAX), out, &len), 0);
        assert_int_equal(len, HOST_MAX);
        memset(too_long, 'a', sizeof(too_long));
        assert_int_equal(host_parse(slice_make(too_long, sizeof(too_long)), out, &len), -EINVAL);
}

static void test_every_ascii_byte(void **state) {
        (void)state;
        for (unsigned c = 0; c < 0x80; c++) {
                char text[4] = {'x', (char)c, 'y'}, out[HOST_SIZE];
                bool bad = c <= ' ' || c == 0x7F || strchr("#/:<>?@[\\]^|%", (char)c);
                size_t len;

                assert_int_equal(host_parse(slice_make(text, 3), out, &len), bad ? -EINVAL : 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_kinds),
                        cmocka_unit_test(test_refusals),
                        cmocka_unit_test(test_longest_text),
                        cmocka_unit_test(test_every_ascii_byte),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
