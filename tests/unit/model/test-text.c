/* SPDX-License-Identifier: MIT */

/* Names, titles and e-mail addresses. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/utf8.h"
#include "model/text.h"
#include "model/types.h"

static void check(Slice text, TextResult expected, Slice trimmed) {
        Slice result = SLICE("untouched");

        assert_int_equal(text_check(text, &result), expected);
        assert_true(slice_equal(result, trimmed));
}

static void test_trimming(void **state) {
        (void)state;
        check(SLICE("ann"), TEXT_OK, SLICE("ann"));
        check(SLICE("  ann b \t\r\n"), TEXT_OK, SLICE("ann b"));
        check(SLICE("\v\f ann \f\v"), TEXT_OK, SLICE("ann"));
        check(SLICE("\xC2\xA0 ann\xE3\x80\x80"), TEXT_OK, SLICE("ann"));
        check(SLICE("\xE2\x80\xA8"
                    "ann\xC2\x85"),
              TEXT_OK, SLICE("ann"));
        check(SLICE("a\xC2\xA0\xE2\x80\x83z"), TEXT_OK, SLICE("a\xC2\xA0\xE2\x80\x83z"));
        check(SLICE(" \xC3\xA4 "), TEXT_OK, SLICE("\xC3\xA4"));
}

static void test_every_white_space_character(void **state) {
        static const uint32_t spaces[] = {
                        0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
                        0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
                        0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000,
        };
        size_t next = 0;

        (void)state;
        for (uint32_t c = 1; c < 0x3100; c++) {
                bool space = next < ELEMENTSOF(spaces) && spaces[next] == c;
                char text[9];
                size_t len = utf8_encode(c, text);
                Slice result;

                next += space;
                text[len++] = 'x';
                len += utf8_encode(c, text + len);
                (void)text_check(slice_make(text, len), &result);
                assert_int_equal(result.len, space ? 1 : len);
        }
        assert_int_equal(next, ELEMENTSOF(spaces));
}

static void test_blank(void **state) {
        (void)state;
        check(SLICE(""), TEXT_BLANK, SLICE(""));
        check(SLICE_NONE, TEXT_BLANK, SLICE(""));
        check(SLICE(" \t\n"), TEXT_BLANK, SLICE(""));
        check(SLICE("\xE3\x80\x80\xC2\xA0"), TEXT_BLANK, SLICE(""));
        /* A zero width space is no White_Space. */
        check(SLICE("\xE2\x80\x8B"), TEXT_OK, SLICE("\xE2\x80\x8B"));
}

static void test_invalid(void **state) {
        (void)state;
        check(SLICE("a\0b"), TEXT_INVALID, SLICE("a\0b"));
        check(SLICE("\0"), TEXT_INVALID, SLICE("\0"));
        check(SLICE("a\nb"), TEXT_INVALID, SLICE("a\nb"));
        check(SLICE("a\x1F"), TEXT_INVALID, SLICE("a\x1F"));
        check(SLICE("a\x7F"), TEXT_INVALID, SLICE("a\x7F"));
        check(SLICE("a\xC2\x80"), TEXT_INVALID, SLICE("a\xC2\x80"));
        check(SLICE("a\xC2\x85"
                    "b"),
              TEXT_INVALID,
              SLICE("a\xC2\x85"
                    "b"));
        check(SLICE(" \xFF "), TEXT_INVALID, SLICE("\xFF"));
        check(SLICE("\xED\xA0\x80"), TEXT_INVALID, SLICE("\xED\xA0\x80"));
        check(SLICE("\xC3"), TEXT_INVALID, SLICE("\xC3"));
}

static void test_length_is_in_characters(void **state) {
        char text[4 * (MODEL_TEXT_MAX + 1) + 2];
        Slice result;

        (void)state;
        for (size_t i = 0; i <= MODEL_TEXT_MAX; i++)
                memcpy(text + 4 * i, "\xF0\x9F\x98\x80", 4);
        assert_int_equal(text_check(slice_make(text, 4 * MODEL_TEXT_MAX), &result), TEXT_OK);
        assert_int_equal(text_check(slice_make(text, 4 * (MODEL_TEXT_MAX + 1)), &result),
                         TEXT_TOO_LONG);
        assert_int_equal(result.len, 4 * (MODEL_TEXT_MAX + 1));
        memset(text, 'a', sizeof(text));
        text[0] = text[MODEL_TEXT_MAX + 1] = ' ';
        assert_int_equal(text_check(slice_make(text, MODEL_TEXT_MAX + 2), &result), TEXT_OK);
        /* A control character counts before the length. */
        text[5] = '\n';
        assert_int_equal(text_check(slice_make(text, sizeof(text)), &result), TEXT_INVALID);
}

static void test_email(void **state) {
        static const char *const good[] = {
                        "a@b.c",
                        "ann@example.com",
                        "a.b+c@sub.example.com",
                        "\"x\"@example.de",
                        "\xC3\xBC@b\xC3\xBC.example",
                        "a@b..c",
        };
        static const char *const bad[] = {
                        "",
                        "a",
                        "@",
                        "a@",
                        "@b.c",
                        "a@b",
                        "a@.",
                        "a@..",
                        "a@.b",
                        "a@b.",
                        "a@.b.c",
                        "a@b.c.",
                        "a@b@c.d",
                        "a@@b.c",
                        "a b@c.d",
                        "a@b c.d",
                        "a@b.c ",
                        "a\t@b.c",
                        "a@b.c\n",
                        "a@b\xC2\xA0.c",
                        "a@\343\200\200b.c",
                        "a@b.\xFF",
                        "a.b",
                        "a@b,c",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_true(text_email_valid(slice_from_string(good[i])));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_false(text_email_valid(slice_from_string(bad[i])));
        assert_false(text_email_valid(SLICE_NONE));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_trimming),
                        cmocka_unit_test(test_every_white_space_character),
                        cmocka_unit_test(test_blank),
                        cmocka_unit_test(test_invalid),
                        cmocka_unit_test(test_length_is_in_characters),
                        cmocka_unit_test(test_email),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
