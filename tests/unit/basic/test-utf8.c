/* SPDX-License-Identifier: MIT */

/* UTF-8. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/utf8.h"

static void test_every_character_round_trips(void **state) {
        (void)state;
        for (uint32_t c = 0; c <= 0x10FFFF; c += c < 0x3000 || c > 0x10F000 ? 1 : 7) {
                char text[4];
                uint32_t back = 0;
                size_t len, at = 0;

                if (c >= 0xD800 && c <= 0xDFFF)
                        continue;
                len = utf8_encode(c, text);
                assert_true(utf8_valid(slice_make(text, len)));
                assert_int_equal(utf8_length(slice_make(text, len)), 1);
                assert_int_equal(utf8_next(slice_make(text, len), &at, &back), 0);
                assert_int_equal(back, c);
                assert_int_equal(at, len);
                for (size_t cut = 1; cut < len; cut++)
                        assert_false(utf8_valid(slice_make(text, cut)));
        }
}

static void test_valid_texts(void **state) {
        (void)state;
        assert_true(utf8_valid(SLICE_NONE));
        assert_true(utf8_valid(SLICE("plain ASCII, over eight bytes, \0 too")));
        assert_true(utf8_valid(SLICE("\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80")));
        assert_true(utf8_valid(SLICE("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\xEF\xBF\xBF")));
        assert_true(utf8_valid(SLICE("abcdefg\xC3\xA4hijklmnopq\xE2\x82\xAC")));
}

static void test_invalid_texts(void **state) {
        static const Slice bad[] = {
                        {"\x80", 1}, /* a continuation alone */
                        {"\xBF", 1},
                        {"\xC0\x80", 2}, /* overlong */
                        {"\xC1\xBF", 2},
                        {"\xE0\x80\x80", 3},
                        {"\xE0\x9F\xBF", 3},
                        {"\xF0\x80\x80\x80", 4},
                        {"\xF0\x8F\xBF\xBF", 4},
                        {"\xED\xA0\x80", 3}, /* surrogates */
                        {"\xED\xBF\xBF", 3},
                        {"\xF4\x90\x80\x80", 4}, /* above U+10FFFF */
                        {"\xF5\x80\x80\x80", 4},
                        {"\xFE", 1},
                        {"\xFF", 1},
                        {"\xC3", 1}, /* cut */
                        {"\xE2\x82", 2},
                        {"\xF0\x9F\x98", 3},
                        {"\xC3x", 2}, /* broken off by ASCII */
                        {"\xE2\x82x", 3},
                        {"\xF0\x9F\x98x", 4},
                        {"\xC3\xC3", 2},
                        {"\xE2\xFFx", 3},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char text[32] = "0123456789abcdef";
                size_t at = 0;
                uint32_t c = 77;

                assert_false(utf8_valid(bad[i]));
                assert_int_equal(utf8_next(bad[i], &at, &c), -EILSEQ);
                assert_int_equal(at, 0);
                assert_int_equal(c, 77);
                memcpy(text + 12, bad[i].data, bad[i].len);
                assert_false(utf8_valid(slice_make(text, 12 + bad[i].len)));
        }
}

static void test_control_characters(void **state) {
        (void)state;
        for (uint32_t c = 0; c < 0x250; c++) {
                char text[6] = {'a'};
                size_t len = 1 + utf8_encode(c, text + 1);

                text[len++] = 'b';
                assert_int_equal(utf8_has_control(slice_make(text, len)),
                                 c < 0x20 || (c >= 0x7F && c < 0xA0));
        }
        assert_false(utf8_has_control(SLICE_NONE));
        assert_false(utf8_has_control(SLICE("\xE2\x82\x80\xC3\x82")));
}

static void test_length_and_cut(void **state) {
        const Slice text = SLICE("a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z"); /* 1 2 3 4 1 */
        const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

        (void)state;
        assert_int_equal(utf8_length(text), 5);
        assert_int_equal(utf8_length(SLICE_NONE), 0);
        for (size_t max = 0; max < ELEMENTSOF(cuts); max++)
                assert_int_equal(utf8_cut(text, max).len, cuts[max]);
        assert_int_equal(utf8_cut(SLICE_NONE, 5).len, 0);
}

static void check_clean(Slice text, size_t max, const char *expected) {
        char out[64];
        size_t n;

        memset(out, '!', sizeof(out));
        n = utf8_clean(text, out, max);
        assert_true(n <= max);
        assert_true(slice_equal(slice_make(out, n), slice_from_string(expected)));
        assert_int_equal(out[n], '!');
}

static void test_clean(void **state) {
        (void)state;
        check_clean(SLICE("Mozilla/5.0"), 60, "Mozilla/5.0");
        check_clean(SLICE("a\xFF\xFE"
                          "b"),
                    60, "a??b");
        check_clean(SLICE("a\r\n\0\x7F\xC2\x85"
                          "b"),
                    60, "a?????b");
        check_clean(SLICE("\xE2\x82"), 60, "??");
        check_clean(SLICE("\xC0\xAF"), 60, "??");
        check_clean(SLICE("\xC3\xA4\xE2\x82\xAC"), 5, "\xC3\xA4\xE2\x82\xAC");
        check_clean(SLICE("\xC3\xA4\xE2\x82\xAC"), 4, "\xC3\xA4");
        check_clean(SLICE("\xC3\xA4\xE2\x82\xAC"
                          "a"),
                    4, "\xC3\xA4");
        check_clean(SLICE("\xC3\xA4"), 1, "");
        check_clean(SLICE("abc"), 0, "");
        check_clean(SLICE_NONE, 10, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_every_character_round_trips),
                        cmocka_unit_test(test_valid_texts),
                        cmocka_unit_test(test_invalid_texts),
                        cmocka_unit_test(test_control_characters),
                        cmocka_unit_test(test_length_and_cut),
                        cmocka_unit_test(test_clean),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
