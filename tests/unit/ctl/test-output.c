/* SPDX-License-Identifier: MIT */

/* JSON of the objects, tables, numbers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/output.h"

static void check(Buffer *out, const char *expected) {
        assert_false(out->failed);
        assert_int_equal(out->len, strlen(expected));
        assert_memory_equal(out->data, expected, out->len);
        buffer_done(out);
}

static void test_objects(void **state) {
        Buffer out = BUFFER_EMPTY;
        User user = {.id = 7, .username = SLICE("anna\xC3\xA9"), .email = SLICE("a@example.com")};
        Url url = {.id = 3, .code = SLICE("abc"), .target = SLICE("https://example.com/\"")};
        Event event = {.id = 9, .url_id = 3, .type = SLICE("x"), .details = SLICE("{\"a\":1}")};

        (void)state;
        output_user_json(&out, &user);
        check(&out, "{\"created_at\":\"1970-01-01T00:00:00\",\"email\":\"a@example.com\",\"id\":7,"
                    "\"username\":\"anna\\u00E9\"}");
        output_url_json(&out, &url);
        check(&out, "{\"created_at\":\"1970-01-01T00:00:00\",\"id\":3,\"is_active\":false,"
                    "\"original_url\":\"https://example.com/\\\"\",\"short_code\":\"abc\","
                    "\"title\":null,\"updated_at\":\"1970-01-01T00:00:00\",\"user_id\":null}");
        url.user_id = 5;
        url.is_active = true;
        url.title = SLICE("t");
        output_url_json(&out, &url);
        check(&out, "{\"created_at\":\"1970-01-01T00:00:00\",\"id\":3,\"is_active\":true,"
                    "\"original_url\":\"https://example.com/\\\"\",\"short_code\":\"abc\","
                    "\"title\":\"t\",\"updated_at\":\"1970-01-01T00:00:00\",\"user_id\":5}");
        output_event_json(&out, &event);
        check(&out, "{\"details\":{\"a\":1},\"event_type\":\"x\",\"id\":9,"
                    "\"timestamp\":\"1970-01-01T00:00:00\",\"url_id\":3,\"user_id\":null}");
        event.details = SLICE_NONE;
        output_event_json(&out, &event);
        check(&out, "{\"details\":null,\"event_type\":\"x\",\"id\":9,"
                    "\"timestamp\":\"1970-01-01T00:00:00\",\"url_id\":3,\"user_id\":null}");
}

static void test_strings(void **state) {
        Buffer out = BUFFER_EMPTY;

        (void)state;
        output_string_json(&out, SLICE_NONE);
        check(&out, "null");
        output_string_json(&out, SLICE("/tmp/\xFFx"));
        check(&out, "\"/tmp/?x\"");
}

static void test_tables(void **state) {
        Buffer out = BUFFER_EMPTY;

        (void)state;
        output_align(&out, SLICE("ID\tNAME\tEND\n1\tanna\tx\n1000\t\xC3\xA9\ty\n"), 1);
        check(&out, "  ID  NAME  END\n"
                    "   1  anna  x\n"
                    "1000  \xC3\xA9     y\n");
        output_align(&out, SLICE("a\tb\nlonger\tc\n"), 0);
        check(&out, "a       b\n"
                    "longer  c\n");
        output_align(&out, SLICE_NONE, 0);
        assert_int_equal(out.len, 0);
}

static void test_numbers(void **state) {
        static const struct {
                uint64_t value;
                const char *number;
                const char *size;
        } cases[] = {
                        {0, "0", "0 bytes"},
                        {999, "999", "999 bytes"},
                        {1000, "1,000", "1000 bytes"},
                        {1536, "1,536", "1.5 KiB"},
                        {1048576, "1,048,576", "1.0 MiB"},
                        {123456789012, "123,456,789,012", "115.0 GiB"},
                        {UINT64_MAX, "18,446,744,073,709,551,615", "16384.0 PiB"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Buffer out = BUFFER_EMPTY;

                output_number(&out, cases[i].value);
                check(&out, cases[i].number);
                output_size(&out, cases[i].value);
                check(&out, cases[i].size);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_objects),
                        cmocka_unit_test(test_strings),
                        cmocka_unit_test(test_tables),
                        cmocka_unit_test(test_numbers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
