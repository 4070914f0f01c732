/* SPDX-License-Identifier: MIT */

/* Short codes. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/base62.h"
#include "model/code.h"
#include "model/types.h"

static void test_valid(void **state) {
        char text[MODEL_CODE_MAX + 1];

        (void)state;
        assert_true(code_valid(SLICE("a")));
        assert_true(code_valid(SLICE("Ab3_x-Z9")));
        assert_true(code_valid(SLICE("-_")));
        assert_false(code_valid(SLICE("")));
        assert_false(code_valid(SLICE_NONE));
        memset(text, 'x', sizeof(text));
        assert_true(code_valid(slice_make(text, MODEL_CODE_MAX)));
        assert_false(code_valid(slice_make(text, MODEL_CODE_MAX + 1)));
}

static void test_every_byte(void **state) {
        (void)state;
        for (unsigned c = 0; c < 256; c++) {
                char text[3] = {'a', (char)c, 'b'};
                bool expected = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                                (c >= 'A' && c <= 'Z') || c == '_' || c == '-';

                assert_int_equal(code_valid(slice_make(text, 3)), expected);
        }
}

static void test_generate(void **state) {
        Slice a, b;
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        for (size_t length = 4; length <= 32; length++) {
                a = code_generate(&arena, length);
                assert_int_equal(a.len, length);
                assert_int_equal(a.data[length], '\0');
                assert_true(base62_valid(a));
                assert_true(code_valid(a));
        }
        a = code_generate(&arena, 32);
        b = code_generate(&arena, 32);
        assert_false(slice_equal(a, b));
        arena_done(&arena);
}

static void test_arena_is_full(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 6);
        assert_null(code_generate(&arena, 6).data);
        assert_true(arena.overflow);
        arena_done(&arena);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_valid),
                        cmocka_unit_test(test_every_byte),
                        cmocka_unit_test(test_generate),
                        cmocka_unit_test(test_arena_is_full),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
