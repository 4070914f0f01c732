/* SPDX-License-Identifier: MIT */

/* JSON objects as canonical text, and what is none. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/jsontext.h"

static void check(const char *text, const char *expected) {
        Arena arena;
        Slice result;

        arena_init(&arena, 0);
        assert_int_equal(jsontext_canonical(slice_from_string(text), &arena, &result), 0);
        assert_int_equal(result.len, strlen(expected));
        assert_memory_equal(result.data, expected, result.len);
        /* Canonical text is its own canonical text. */
        assert_int_equal(jsontext_canonical(slice_from_string(expected), &arena, &result), 0);
        assert_int_equal(result.len, strlen(expected));
        assert_memory_equal(result.data, expected, result.len);
        arena_done(&arena);
}

static void test_canonical(void **state) {
        (void)state;
        check("{}", "{}");
        check(" { } ", "{}");
        check("{\"b\" : 1 , \"a\":\"x\"}", "{\"a\":\"x\",\"b\":1}");
        check("{\"a\":[1, 2,[ ],{\"z\":null,\"y\":true}],\"b\":false}",
              "{\"a\":[1,2,[],{\"y\":true,\"z\":null}],\"b\":false}");
        check("{\"a\":1,\"a\":2}", "{\"a\":2}");
        check("{\"ab\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"ab\":1}");
}

static void test_numbers_stay_as_they_are(void **state) {
        (void)state;
        check("{\"a\":[0,-0,1.50,1e400,-1E+2,12345678901234567890123]}",
              "{\"a\":[0,-0,1.50,1e400,-1E+2,12345678901234567890123]}");
}

static void test_strings(void **state) {
        (void)state;
        check("{\"a\":\"\\u0041\\n\\/\\\"\\\\\"}", "{\"a\":\"A\\n/\\\"\\\\\"}");
        check("{\"a\":\"\\b\\f\\r\\t\"}", "{\"a\":\"\\b\\f\\r\\t\"}");
        check("{\"a\":\"\xC3\xA9\"}", "{\"a\":\"\\u00E9\"}");
        check("{\"a\":\"\\ud83d\\ude00\"}", "{\"a\":\"\\uD83D\\uDE00\"}");
        check("{\"a\":\"\xF0\x9F\x98\x80\"}", "{\"a\":\"\\uD83D\\uDE00\"}");
}

static void test_no_objects(void **state) {
        static const char *const texts[] = {
                        "",
                        " ",
                        "[]",
                        "null",
                        "\"a\"",
                        "1",
                        "{",
                        "{}x",
                        "{} {}",
                        "{\"a\"}",
                        "{\"a\":}",
                        "{\"a\":1,}",
                        "{,\"a\":1}",
                        "{\"a\" 1}",
                        "{\"a\":1 \"b\":2}",
                        "{a:1}",
                        "{'a':1}",
                        "{\"a\":01}",
                        "{\"a\":1.}",
                        "{\"a\":.5}",
                        "{\"a\":1e}",
                        "{\"a\":+1}",
                        "{\"a\":-}",
                        "{\"a\":NaN}",
                        "{\"a\":Infinity}",
                        "{\"a\":tru}",
                        "{\"a\":[1,]}",
                        "{\"a\":[1 2]}",
                        "{\"a\":[1}",
                        "{\"a\":\"x",
                        "{\"a\":\"x\\",
                        "{\"a\":\"\\x\"}",
                        "{\"a\":\"\\u12\"}",
                        "{\"a\":\"\\u12g4\"}",
                        "{\"a\":\"\\u0000\"}",
                        "{\"a\":\"\\ud800\"}",
                        "{\"a\":\"\\ud800x\"}",
                        "{\"a\":\"\\ud800\\u0041\"}",
                        "{\"a\":\"\\udc00\"}",
                        "{\"a\":\"\n\"}",
                        "{\"a\":\"\x01\"}",
                        "{\"a\":\"\xFF\"}",
                        "{\"a\":\"\xED\xA0\x80\"}",
        };
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Slice result;

                if (jsontext_canonical(slice_from_string(texts[i]), &arena, &result) != -EINVAL)
                        fail_msg("taken: %s", texts[i]);
        }
        arena_done(&arena);
}

static void test_depth(void **state) {
        char text[256];
        Arena arena;
        Slice result;

        (void)state;
        arena_init(&arena, 0);
        for (size_t depth = 1; depth <= JSONTEXT_DEPTH_MAX + 2; depth++) {
                size_t len = 0;

                for (size_t i = 0; i < depth - 1; i++) {
                        memcpy(text + len, "{\"a\":", 5);
                        len += 5;
                }
                memcpy(text + len, "{}", 2);
                len += 2;
                memset(text + len, '}', depth - 1);
                len += depth - 1;
                assert_int_equal(jsontext_canonical(slice_make(text, len), &arena, &result),
                                 depth <= JSONTEXT_DEPTH_MAX ? 0 : -EINVAL);
        }
        arena_done(&arena);
}

static void test_members(void **state) {
        JsonTextMember *members;
        Arena arena;
        size_t n;

        (void)state;
        arena_init(&arena, 0);
        assert_int_equal(jsontext_members(SLICE("{\"id\":5,\"a\":\"x\\u0041\",\"n\":null}"), &arena,
                                          &members, &n),
                         0);
        assert_int_equal(n, 3);
        assert_int_equal(members[0].kind, JSONTEXT_STRING);
        assert_true(slice_equal(members[0].text, SLICE("xA")));
        assert_int_equal(members[1].kind, JSONTEXT_NUMBER);
        assert_true(slice_equal(members[1].text, SLICE("5")));
        assert_int_equal(members[2].kind, JSONTEXT_NULL);
        arena_done(&arena);
}

static void test_a_full_arena(void **state) {
        static const Slice text = SLICE("{\"b\":[1,{\"c\":\"x\"}],\"a\":{\"d\":[\"y\"]}}");
        Slice result;
        int r = -ENOMEM;

        (void)state;
        for (size_t limit = 1; r == -ENOMEM; limit += 16) {
                Arena arena;

                assert_true(limit < 100000);
                arena_init(&arena, limit);
                r = jsontext_canonical(text, &arena, &result);
                arena_done(&arena);
        }
        assert_int_equal(r, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_canonical),
                        cmocka_unit_test(test_numbers_stay_as_they_are),
                        cmocka_unit_test(test_strings),
                        cmocka_unit_test(test_no_objects),
                        cmocka_unit_test(test_depth),
                        cmocka_unit_test(test_members),
                        cmocka_unit_test(test_a_full_arena),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
