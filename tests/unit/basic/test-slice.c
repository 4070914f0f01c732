/* SPDX-License-Identifier: MIT */

/* Slices: comparing, searching, cutting. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/slice.h"
#include "failing-malloc.h"

static void test_equality_and_prefixes(void **state) {
        (void)state;
        assert_true(slice_equal(SLICE("abc"), SLICE("abc")));
        assert_false(slice_equal(SLICE("abc"), SLICE("abC")));
        assert_false(slice_equal(SLICE("abc"), SLICE("ab")));
        assert_true(slice_equal(SLICE_NONE, SLICE("")));
        assert_true(slice_starts_with(SLICE("abc"), SLICE("ab")));
        assert_true(slice_starts_with(SLICE_NONE, SLICE_NONE));
        assert_true(slice_starts_with(SLICE("abc"), SLICE("")));
        assert_false(slice_starts_with(SLICE("abc"), SLICE("abcd")));
        assert_false(slice_starts_with(SLICE("abc"), SLICE("b")));
}

static void test_nocase_folds_ascii_only(void **state) {
        (void)state;
        assert_true(slice_equal_nocase(SLICE("Content-LENGTH"), SLICE("content-length")));
        assert_false(slice_equal_nocase(SLICE("abc"), SLICE("abcd")));
        assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
        assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
        assert_false(slice_equal_nocase(SLICE("\xC3\x84"), SLICE("\xC3\xA4")));
        assert_true(slice_starts_with_nocase(SLICE("HTTP://x"), SLICE("http://")));
        assert_false(slice_starts_with_nocase(SLICE("HTTP"), SLICE("http://")));
        assert_false(slice_starts_with_nocase(SLICE("HTTPS://"), SLICE("http://")));
}

static void test_find_and_search(void **state) {
        (void)state;
        assert_int_equal(slice_find(SLICE("a,b,c"), ','), 1);
        assert_int_equal(slice_find(SLICE("abc"), ','), -1);
        assert_int_equal(slice_find(SLICE_NONE, ','), -1);
        assert_int_equal(slice_find(SLICE("a\0b"), '\0'), 1);
        assert_int_equal(slice_search(SLICE("a\r\nb\r\n\r\n"), SLICE("\r\n\r\n")), 4);
        assert_int_equal(slice_search(SLICE("aaab"), SLICE("aab")), 1);
        assert_int_equal(slice_search(SLICE("ab"), SLICE("abc")), -1);
        assert_int_equal(slice_search(SLICE_NONE, SLICE("abc")), -1);
}

static void test_trim(void **state) {
        (void)state;
        assert_true(slice_equal(slice_trim(SLICE(" \t\n\v\f\ra b\r\n ")), SLICE("a b")));
        assert_true(slice_equal(slice_trim(SLICE("ab")), SLICE("ab")));
        assert_int_equal(slice_trim(SLICE(" \t ")).len, 0);
        assert_int_equal(slice_trim(SLICE_NONE).len, 0);
        assert_int_equal(slice_trim(SLICE("\0 ")).len, 1);
}

static void test_cut(void **state) {
        Slice head, tail;

        (void)state;
        assert_true(slice_cut(SLICE("a=b=c"), '=', &head, &tail));
        assert_true(slice_equal(head, SLICE("a")));
        assert_true(slice_equal(tail, SLICE("b=c")));
        assert_false(slice_cut(SLICE("abc"), '=', &head, &tail));
        assert_true(slice_equal(head, SLICE("abc")));
        assert_int_equal(tail.len, 0);
        assert_non_null(tail.data);
        assert_true(slice_cut(SLICE("="), '=', &head, &tail));
        assert_int_equal(head.len, 0);
        assert_int_equal(tail.len, 0);
        assert_false(slice_cut(SLICE_NONE, '=', &head, &tail));
        assert_int_equal(head.len + tail.len, 0);
}

static void test_parts(void **state) {
        (void)state;
        assert_true(slice_equal(slice_from(SLICE("abc"), 1), SLICE("bc")));
        assert_int_equal(slice_from(SLICE("abc"), 3).len, 0);
        assert_int_equal(slice_from(SLICE("abc"), 9).len, 0);
        assert_int_equal(slice_from(SLICE_NONE, 1).len, 0);
        assert_true(slice_equal(slice_sub(SLICE("abc"), 1, 2), SLICE("b")));
        assert_null(slice_sub(SLICE_NONE, 0, 0).data);
        assert_int_equal(slice_from_string("abc").len, 3);
        assert_int_equal(slice_from_string(NULL).len, 0);
}

static void test_order_is_that_of_bytes(void **state) {
        (void)state;
        assert_int_equal(slice_compare(SLICE("a"), SLICE("b")), -1);
        assert_int_equal(slice_compare(SLICE("b"), SLICE("a")), 1);
        assert_int_equal(slice_compare(SLICE("a"), SLICE("a")), 0);
        assert_int_equal(slice_compare(SLICE("a"), SLICE("ab")), -1);
        assert_int_equal(slice_compare(SLICE("ab"), SLICE("a")), 1);
        assert_int_equal(slice_compare(SLICE("\xFF"), SLICE("a")), 1);
        assert_int_equal(slice_compare(SLICE_NONE, SLICE("")), 0);
        assert_int_equal(slice_compare(SLICE_NONE, SLICE("a")), -1);
}

static void test_to_string(void **state) {
        _cleanup_free_ char *copy = NULL, *empty = NULL;

        (void)state;
        copy = slice_to_string(slice_sub(SLICE("abcdef"), 1, 3));
        assert_string_equal(copy, "bc");
        empty = slice_to_string(SLICE_NONE);
        assert_string_equal(empty, "");
        assert_null(slice_to_string(slice_make("", SIZE_MAX)));
        failing_malloc_arm(1);
        assert_null(slice_to_string(SLICE("abc")));
        failing_malloc_arm(0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_equality_and_prefixes),
                        cmocka_unit_test(test_nocase_folds_ascii_only),
                        cmocka_unit_test(test_find_and_search),
                        cmocka_unit_test(test_trim),
                        cmocka_unit_test(test_cut),
                        cmocka_unit_test(test_parts),
                        cmocka_unit_test(test_order_is_that_of_bytes),
                        cmocka_unit_test(test_to_string),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
