/* SPDX-License-Identifier: MIT */

/* Query strings: finding, decoding, escaping. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/query.h"

static void assert_value(Slice query, const char *name, Slice expected) {
        Arena arena;
        Slice value;

        arena_init(&arena, 0);
        assert_int_equal(http_query_get(&arena, query, slice_from_string(name), &value), 1);
        assert_int_equal(value.len, expected.len);
        assert_memory_equal(value.data, expected.data, expected.len);
        arena_done(&arena);
}

static void assert_none(const char *query, const char *name) {
        Slice value = SLICE("untouched");
        Arena arena;

        arena_init(&arena, 0);
        assert_int_equal(http_query_get(&arena, slice_from_string(query), slice_from_string(name),
                                        &value),
                         0);
        assert_true(slice_equal(value, SLICE("untouched")));
        arena_done(&arena);
}

static void test_values_are_found(void **state) {
        (void)state;
        assert_value(SLICE("page=2"), "page", SLICE("2"));
        assert_value(SLICE("a=1&page=2&b=3"), "page", SLICE("2"));
        assert_value(SLICE("page=1&page=2"), "page", SLICE("1"));
        assert_value(SLICE("page=&page=2"), "page", SLICE(""));
        assert_value(SLICE("page&page=2"), "page", SLICE(""));
        assert_value(SLICE("&&page=1&"), "page", SLICE("1"));
        assert_value(SLICE("a=b=c"), "a", SLICE("b=c"));
        assert_value(SLICE("=x"), "", SLICE("x"));
        assert_value(SLICE("a=1;page=2"), "a", SLICE("1;page=2"));
        assert_none("", "page");
        assert_none("Page=1", "page");
        assert_none("pag=1&pagee=2", "page");
        assert_none("a=page", "page");
}

static void test_decoding(void **state) {
        (void)state;
        assert_value(SLICE("a=%41%6a%6A%2b"), "a", SLICE("Ajj+"));
        assert_value(SLICE("a=x+y++"), "a", SLICE("x y  "));
        assert_value(SLICE("a=%00%ff"), "a", SLICE("\0\xff"));
        assert_value(SLICE("a=%2531"), "a", SLICE("%31"));
        assert_value(SLICE("a=1%262"), "a", SLICE("1&2"));
        assert_value(SLICE("%70a%67e=4"), "page", SLICE("4"));
        assert_value(SLICE("a+b=1"), "a b", SLICE("1"));
        assert_none("%70ag=1", "page");
        assert_none("page%=1", "page");
}

static void test_broken_escapes_stay(void **state) {
        (void)state;
        assert_value(SLICE("a=%"), "a", SLICE("%"));
        assert_value(SLICE("a=%4"), "a", SLICE("%4"));
        assert_value(SLICE("a=%4g%g4%"), "a", SLICE("%4g%g4%"));
        assert_value(SLICE("a=%%41"), "a", SLICE("%A"));
        /* The byte behind the value is none of its escape. */
        assert_value(SLICE("a=%4&1"), "a", SLICE("%4"));
}

static void test_no_memory(void **state) {
        Slice value = SLICE("untouched");
        Arena arena;

        (void)state;
        arena_init(&arena, 4);
        assert_int_equal(http_query_get(&arena, SLICE("a=12345"), SLICE("a"), &value), -ENOMEM);
        assert_true(slice_equal(value, SLICE("untouched")));
        arena_done(&arena);
}

static void test_escape(void **state) {
        Buffer out = BUFFER_EMPTY;

        (void)state;
        http_query_escape(&out, SLICE("aZ09-._~ +&=%/\0\xe4@[`{"));
        assert_true(slice_equal(buffer_slice(&out),
                                SLICE("aZ09-._~%20%2B%26%3D%25%2F%00%E4%40%5B%60%7B")));
        buffer_done(&out);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_values_are_found),
                        cmocka_unit_test(test_decoding),
                        cmocka_unit_test(test_broken_escapes_stay),
                        cmocka_unit_test(test_no_memory),
                        cmocka_unit_test(test_escape),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
