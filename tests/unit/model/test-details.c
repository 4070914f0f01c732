/* SPDX-License-Identifier: MIT */

/* Details of events: exact texts, and jansson as a second opinion. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <jansson.h>

#include "basic/utf8.h"
#include "failing-malloc.h"
#include "model/details.h"

static void assert_text(Slice text, const char *expected) {
        assert_non_null(text.data);
        assert_string_equal(text.data, expected);
        assert_int_equal(text.len, strlen(expected));
}

static void test_exact_objects(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        assert_text(details_created(&arena, SLICE("https://example.com/"), SLICE("Ab3xYz")),
                    "{\"original_url\":\"https://example.com/\",\"short_code\":\"Ab3xYz\"}");
        assert_text(details_updated(&arena, "is_active", SLICE("True")),
                    "{\"field\":\"is_active\",\"new_value\":\"True\"}");
        assert_text(details_updated(&arena, "title", SLICE_NONE),
                    "{\"field\":\"title\",\"new_value\":\"\"}");
        assert_text(details_deleted(&arena, "user_requested"), "{\"reason\":\"user_requested\"}");
        assert_text(details_redirect(&arena, SLICE("192.0.2.1"), SLICE("curl/8"), SLICE_NONE),
                    "{\"ip\":\"192.0.2.1\",\"user_agent\":\"curl/8\"}");
        assert_text(details_redirect(&arena, SLICE("::1"), SLICE_NONE, SLICE("https://a.example/")),
                    "{\"ip\":\"::1\",\"referrer\":\"https://a.example/\",\"user_agent\":\"\"}");
        assert_text(details_redirect(&arena, SLICE(""), SLICE(""), SLICE("")),
                    "{\"ip\":\"\",\"referrer\":\"\",\"user_agent\":\"\"}");
        arena_done(&arena);
}

static void check_string(Slice text, const char *expected) {
        Buffer out = BUFFER_EMPTY;

        buffer_append_byte(&out, '>');
        details_append_string(&out, text);
        assert_true(slice_equal(slice_from(buffer_slice(&out), 1), slice_from_string(expected)));
        buffer_done(&out);
}

static void test_escapes(void **state) {
        (void)state;
        check_string(SLICE_NONE, "\"\"");
        check_string(SLICE("a/b'c"), "\"a/b'c\"");
        check_string(SLICE("\"\\"), "\"\\\"\\\\\"");
        check_string(SLICE("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
        check_string(SLICE("\0\x01\x1F\x7F"), "\"\\u0000\\u0001\\u001F\x7F\"");
        check_string(SLICE("\xC3\xA4\xE2\x82\xAC"), "\"\\u00E4\\u20AC\"");
        check_string(SLICE("\xF0\x9F\x92\xA9"), "\"\\uD83D\\uDCA9\"");
        check_string(SLICE("\xF4\x8F\xBF\xBF\xEF\xBF\xBF"), "\"\\uDBFF\\uDFFF\\uFFFF\"");
}

static void test_bytes_that_are_no_utf8_are_replaced(void **state) {
        (void)state;
        check_string(SLICE("a\xFF\xC3z"), "\"a\\uFFFD\\uFFFDz\"");
        check_string(SLICE("\xED\xA0\x80"), "\"\\uFFFD\\uFFFD\\uFFFD\"");
}

/* What jansson writes for the same object, canonically, is what we wrote. */
static void test_agrees_with_jansson(void **state) {
        Arena arena;

        (void)state;
        arena_init(&arena, 0);
        for (uint32_t c = 1; c <= 0x10FFFF; c += c < 0x300 ? 1 : 997) {
                char text[16] = {'x'};
                size_t len = 1;
                json_t *object;
                char *dump;
                Slice ours;

                if (c >= 0xD800 && c <= 0xDFFF)
                        continue;
                len += utf8_encode(c, text + len);
                text[len++] = 'y';
                ours = details_redirect(&arena, SLICE("::1"), slice_make(text, len), SLICE("\""));
                object = json_loadb(ours.data, ours.len, 0, NULL);
                assert_non_null(object);
                assert_memory_equal(json_string_value(json_object_get(object, "user_agent")), text,
                                    len);
                dump = json_dumps(object, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENSURE_ASCII);
                assert_string_equal(dump, ours.data);
                free(dump);
                json_decref(object);
                arena_reset(&arena);
        }
        arena_done(&arena);
}

static void test_memory_runs_out(void **state) {
        Buffer out = BUFFER_EMPTY;
        Arena arena;

        (void)state;
        arena_init(&arena, 20);
        assert_null(details_created(&arena, SLICE("https://example.com/"), SLICE("abc")).data);
        assert_null(details_updated(&arena, "is_active", SLICE("True")).data);
        assert_null(details_deleted(&arena, "user_requested").data);
        assert_null(details_redirect(&arena, SLICE("::1"), SLICE("x"), SLICE_NONE).data);
        assert_true(arena.overflow);
        arena_done(&arena);
        failing_malloc_arm(1);
        details_append_string(&out, SLICE("abc"));
        failing_malloc_arm(0);
        assert_true(out.failed);
        buffer_done(&out);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_exact_objects),
                        cmocka_unit_test(test_escapes),
                        cmocka_unit_test(test_bytes_that_are_no_utf8_are_replaced),
                        cmocka_unit_test(test_agrees_with_jansson),
                        cmocka_unit_test(test_memory_runs_out),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
