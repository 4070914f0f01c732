/* SPDX-License-Identifier: MIT */

/* Chunked bodies: what is decoded, every refusal, and that cuts between reads change nothing. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/buffer.h"
#include "http/parser.h"

#define END "0\r\n\r\n"

static char body[4096]; /* of the last case */
static size_t n_body;
static size_t n_used;

static int decode(const char *text, size_t len, size_t step) {
        int r = HTTP_PARSE_MORE;
        HttpChunked chunked;

        n_body = n_used = 0;
        http_chunked_init(&chunked);
        while (n_used < len && r == HTTP_PARSE_MORE) {
                size_t n = MIN(step, len - n_used), used;
                Slice data;

                r = http_parse_chunked(&chunked, text + n_used, n, &used, &data);
                assert_in_range(used, 1, n);
                assert_in_range(data.len, 0, sizeof body - n_body);
                memcpy(body + n_body, data.data, data.len);
                n_body += data.len;
                n_used += used;
        }
        return r;
}

/* With every step the same. */
static int decode_all_ways(const char *text, size_t len) {
        int r = decode(text, len, len);
        size_t whole_body = n_body, whole_used = n_used;

        for (size_t step = 1; step < len && step < 20; step++) {
                assert_int_equal(decode(text, len, step), r);
                assert_int_equal(n_body, whole_body);
                assert_int_equal(n_used, whole_used);
        }
        return r;
}

static void assert_result(int expected, const char *text) {
        int r = decode_all_ways(text, strlen(text));

        if (r != expected)
                fail_msg("%d instead of %d for %s", r, expected, text);
}

static void assert_body(const char *text, const char *expected) {
        assert_result(HTTP_PARSE_DONE, text);
        assert_int_equal(n_used, strlen(text));
        assert_int_equal(n_body, strlen(expected));
        assert_memory_equal(body, expected, n_body);
}

static void test_bodies(void **state) {
        (void)state;
        assert_body(END, "");
        assert_body("5\r\nhello\r\n" END, "hello");
        assert_body("5\r\nhello\r\n1\r\n \r\n0005\r\nworld\r\n000\r\n\r\n", "hello world");
        assert_body("a\r\n0123456789\r\nA\r\nabcdefghij\r\n" END, "0123456789abcdefghij");
        assert_body("0000000000000005\r\n\r\n0\r\n\r\n" END, "\r\n0\r\n");
        assert_body("1;a=b;c=\"d\te \x80\"\r\nx\r\n0;last\r\n\r\n", "x");
        assert_body("1\r\nx\r\n0\r\nX-Sum: 1 2\r\nEmpty:\r\nHosts: a\r\n\r\n", "x");
}

static void test_the_next_message_is_left(void **state) {
        static const char text[] = "1\r\nx\r\n" END "GET / HTTP/1.1\r\n";

        (void)state;
        assert_int_equal(decode_all_ways(text, sizeof text - 1), HTTP_PARSE_DONE);
        assert_int_equal(n_used, strlen("1\r\nx\r\n" END));
}

static void test_not_whole(void **state) {
        static const char text[] = "5;e\r\nhello\r\n0\r\nX: y\r\n\r\n";

        (void)state;
        for (size_t len = 0; len < sizeof text - 1; len++)
                assert_int_equal(decode_all_ways(text, len), HTTP_PARSE_MORE);
        assert_int_equal(decode_all_ways(text, sizeof text - 1), HTTP_PARSE_DONE);
        /* The largest size there can be is the business of the limit for bodies. */
        assert_result(HTTP_PARSE_MORE, "ffffffffffffffff\r\nabc");
        assert_int_equal(n_body, 3);
}

static void test_refusals(void **state) {
        static const char *const cases[] = {
                        "\r\n",
                        "\n",
                        ";a\r\n",
                        "+5\r\n",
                        "-5\r\n",
                        " 5\r\n",
                        "5 \r\n",
                        "5 ;a\r\n",
                        "5\t\r\n",
                        "0x5\r\n",
                        "5_0\r\n",
                        "5,\r\n",
                        "g\r\n",
                        "5h\r\n",
                        "\xef\xbc\x95\r\n",
                        "00000000000000005\r\n",
                        "5\n",
                        "5\rx",
                        "5\r\r\n",
                        "5;a\n",
                        "5;a\rb\r\n",
                        "5;a\x01\r\n",
                        "5;a\x7f\r\n",
                        "5\r\nhelloX",
                        "5\r\nhello\n",
                        "5\r\nhello\rX",
                        "5\r\nhello0\r\n\r\n",
                        "4\r\nhello\r\n",
                        "1\r\nx\r\n\r\n",
                        "0\r\n\n",
                        "0\r\n\rX",
                        "0\r\nX\r\n",
                        "0\r\n: x\r\n",
                        "0\r\n X: y\r\n",
                        "0\r\nX : y\r\n",
                        "0\r\nX: y\n",
                        "0\r\nX: y\rz",
                        "0\r\nX: \x02\r\n",
                        "0\r\nX: y\r\n\tz\r\n",
                        "0\r\nContent-Length: 1\r\n\r\n",
                        "0\r\nX: y\r\ncontent-LENGTH:\r\n\r\n",
                        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
                        "0\r\nHOST: a\r\n\r\n",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_result(400, cases[i]);
        assert_int_equal(decode_all_ways("5;a\0", 4), 400);
        assert_int_equal(decode_all_ways("0\r\nX: \0", 7), 400);
}

/* 256 bytes of extensions, whether of one chunk or of many. */
static void test_extensions_have_a_limit(void **state) {
        Buffer one = BUFFER_EMPTY, many = BUFFER_EMPTY;

        (void)state;
        buffer_append(&one, SLICE("1;"));
        for (unsigned i = 0; i < 256; i++) {
                buffer_append(&one, SLICE("e"));
                buffer_append(&many, SLICE("1;e\r\nx\r\n"));
        }
        assert_int_equal(decode(one.data, one.len, SIZE_MAX), HTTP_PARSE_MORE);
        assert_int_equal(decode(many.data, many.len, SIZE_MAX), HTTP_PARSE_MORE);
        buffer_append(&one, SLICE("e"));
        buffer_append(&many, SLICE("1;e\r\nx\r\n"));
        assert_int_equal(decode(one.data, one.len, SIZE_MAX), 400);
        assert_int_equal(decode(many.data, many.len, SIZE_MAX), 400);
        assert_int_equal(decode(many.data, many.len, 1), 400);
        buffer_done(&one);
        buffer_done(&many);
}

static void test_trailers_have_a_limit(void **state) {
        Buffer text = BUFFER_EMPTY;
        size_t len;

        (void)state;
        buffer_append(&text, SLICE("0\r\n"));
        /* A name longer than what is kept of it. */
        while (text.len < 200)
                buffer_append(&text, SLICE("content-length"));
        buffer_append(&text, SLICE(": x\r\n"));
        while (text.len < HTTP_HEAD_MAX + 3)
                buffer_append(&text, SLICE("Name: value\r\n"));
        len = HTTP_HEAD_MAX + 3;
        assert_int_equal(decode(text.data, len, SIZE_MAX), HTTP_PARSE_MORE);
        assert_int_equal(decode(text.data, len + 1, SIZE_MAX), 431);
        assert_int_equal(decode(text.data, len + 1, 1), 431);
        buffer_done(&text);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_bodies),
                        cmocka_unit_test(test_the_next_message_is_left),
                        cmocka_unit_test(test_not_whole),
                        cmocka_unit_test(test_refusals),
                        cmocka_unit_test(test_extensions_have_a_limit),
                        cmocka_unit_test(test_trailers_have_a_limit),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
