/* SPDX-License-Identifier: MIT */

/* Buffers: growth, failure that sticks, numbers, consuming. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <cmocka.h>

#include "basic/buffer.h"
#include "failing-malloc.h"

static void assert_text(const Buffer *buffer, const char *text) {
        assert_false(buffer->failed);
        assert_true(slice_equal(buffer_slice(buffer), slice_from_string(text)));
}

static void test_append(void **state) {
        Buffer buffer = BUFFER_EMPTY;

        (void)state;
        buffer_append(&buffer, SLICE_NONE);
        assert_null(buffer.data);
        buffer_append(&buffer, SLICE("abc"));
        buffer_append_byte(&buffer, '-');
        buffer_append_u64(&buffer, UINT64_MAX);
        buffer_append_byte(&buffer, ' ');
        buffer_append_i64(&buffer, INT64_MIN);
        buffer_append_byte(&buffer, ' ');
        buffer_append_i64(&buffer, 17);
        buffer_printf(&buffer, " %s%d", "x", 5);
        assert_text(&buffer, "abc-18446744073709551615 -9223372036854775808 17 x5");
        buffer_done(&buffer);
        assert_null(buffer.data);
        assert_int_equal(buffer.size, 0);
}

static void test_growth_keeps_contents(void **state) {
        Buffer buffer = BUFFER_EMPTY;

        (void)state;
        for (int i = 0; i < 100000; i++)
                buffer_append_byte(&buffer, (char)(i % 251));
        buffer_append(&buffer, slice_make(memset(buffer_reserve(&buffer, 70000), 1, 70000), 0));
        assert_int_equal(buffer.len, 100000);
        for (int i = 0; i < 100000; i++)
                assert_int_equal((unsigned char)buffer.data[i], i % 251);
        assert_true(buffer.size >= 170000);
        buffer_done(&buffer);
}

static void test_reserve_exactly_what_is_left(void **state) {
        Buffer buffer = BUFFER_EMPTY;
        char *place;

        (void)state;
        buffer_append(&buffer, SLICE("abc"));
        failing_malloc_arm(1);
        place = buffer_reserve(&buffer, buffer.size - 3);
        assert_ptr_equal(place, buffer.data + 3);
        assert_int_equal(buffer.len, 3);
        failing_malloc_arm(0);
        buffer_done(&buffer);
}

static void test_consume_and_clear(void **state) {
        Buffer buffer = BUFFER_EMPTY;

        (void)state;
        buffer_consume(&buffer, 0);
        buffer_append(&buffer, SLICE("abcdef"));
        buffer_consume(&buffer, 2);
        assert_text(&buffer, "cdef");
        buffer_consume(&buffer, 4);
        assert_text(&buffer, "");
        buffer_append(&buffer, SLICE("x"));
        buffer.failed = true;
        buffer_clear(&buffer);
        assert_text(&buffer, "");
        assert_non_null(buffer.data);
        buffer_done(&buffer);
}

static void test_failure_sticks_and_keeps_what_was(void **state) {
        Buffer buffer = BUFFER_EMPTY;

        (void)state;
        failing_malloc_arm(1);
        buffer_append_byte(&buffer, 'x');
        assert_true(buffer.failed);
        buffer_append(&buffer, SLICE("abc"));
        buffer_printf(&buffer, "%d", 1);
        buffer_append_u64(&buffer, 1);
        assert_int_equal(buffer.len, 0);
        failing_malloc_arm(0);
        buffer_clear(&buffer);
        buffer_append(&buffer, SLICE("abc"));
        assert_text(&buffer, "abc");
        failing_malloc_arm(1);
        assert_null(buffer_reserve(&buffer, buffer.size));
        assert_true(buffer.failed);
        assert_int_equal(buffer.len, 3);
        failing_malloc_arm(0);
        buffer_done(&buffer);
        assert_false(buffer.failed);
}

static void test_sizes_that_no_memory_has(void **state) {
        Buffer buffer = BUFFER_EMPTY;

        (void)state;
        buffer_append_byte(&buffer, 'x');
        assert_null(buffer_reserve(&buffer, SIZE_MAX));
        assert_true(buffer.failed);
        buffer_clear(&buffer);
        buffer_printf(&buffer, "%lc", (wint_t)0xE4);
        assert_true(buffer.failed);
        buffer_done(&buffer);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_append),
                        cmocka_unit_test(test_growth_keeps_contents),
                        cmocka_unit_test(test_reserve_exactly_what_is_left),
                        cmocka_unit_test(test_consume_and_clear),
                        cmocka_unit_test(test_failure_sticks_and_keeps_what_was),
                        cmocka_unit_test(test_sizes_that_no_memory_has),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
