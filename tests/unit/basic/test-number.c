/* SPDX-License-Identifier: MIT */

/* Numbers in text. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/number.h"

#define UNTOUCHED 12345

static void check_u64(const char *text, int r, uint64_t expected) {
        uint64_t value = UNTOUCHED;

        assert_int_equal(number_parse_u64(slice_from_string(text), &value), r);
        assert_int_equal(value, r == 0 ? expected : UNTOUCHED);
}

static void check_i64(const char *text, int r, int64_t expected) {
        int64_t value = UNTOUCHED;

        assert_int_equal(number_parse_i64(slice_from_string(text), &value), r);
        assert_int_equal(value, r == 0 ? expected : UNTOUCHED);
}

static void check_size(const char *text, int r, uint64_t expected) {
        uint64_t value = UNTOUCHED;

        assert_int_equal(number_parse_size(slice_from_string(text), &value), r);
        assert_int_equal(value, r == 0 ? expected : UNTOUCHED);
}

static void check_span(const char *text, int r, uint64_t expected) {
        uint64_t value = UNTOUCHED;

        assert_int_equal(number_parse_span(slice_from_string(text), &value), r);
        assert_int_equal(value, r == 0 ? expected : UNTOUCHED);
}

static void test_u64(void **state) {
        (void)state;
        check_u64("0", 0, 0);
        check_u64("007", 0, 7);
        check_u64("18446744073709551615", 0, UINT64_MAX);
        check_u64("00000000000000000000000000000000001", 0, 1);
        check_u64("18446744073709551616", -ERANGE, 0);
        check_u64("99999999999999999999999999999999999", -ERANGE, 0);
        check_u64("99999999999999999999999999999999999x", -EINVAL, 0);
        check_u64("", -EINVAL, 0);
        check_u64(NULL, -EINVAL, 0);
        check_u64("-1", -EINVAL, 0);
        check_u64("+1", -EINVAL, 0);
        check_u64(" 1", -EINVAL, 0);
        check_u64("1 ", -EINVAL, 0);
        check_u64("1.0", -EINVAL, 0);
        check_u64("0x1", -EINVAL, 0);
        check_u64("1e2", -EINVAL, 0);
        check_u64("\xD9\xA1", -EINVAL, 0);
}

static void test_i64(void **state) {
        (void)state;
        check_i64("0", 0, 0);
        check_i64("-0", 0, 0);
        check_i64("+5", 0, 5);
        check_i64("-5", 0, -5);
        check_i64("9223372036854775807", 0, INT64_MAX);
        check_i64("-9223372036854775808", 0, INT64_MIN);
        check_i64("9223372036854775808", -ERANGE, 0);
        check_i64("-9223372036854775809", -ERANGE, 0);
        check_i64("-99999999999999999999999", -ERANGE, 0);
        check_i64("-", -EINVAL, 0);
        check_i64("+", -EINVAL, 0);
        check_i64("--1", -EINVAL, 0);
        check_i64("+-1", -EINVAL, 0);
        check_i64("", -EINVAL, 0);
        check_i64(NULL, -EINVAL, 0);
}

static void test_size(void **state) {
        (void)state;
        check_size("0", 0, 0);
        check_size("1000", 0, 1000);
        check_size("4K", 0, 4096);
        check_size("64M", 0, 64u << 20);
        check_size("2G", 0, 2ULL << 30);
        check_size("3T", 0, 3ULL << 40);
        check_size("16777215T", 0, 16777215ULL << 40);
        check_size("16777216T", -ERANGE, 0);
        check_size("99999999999999999999K", -ERANGE, 0);
        check_size("K", -EINVAL, 0);
        check_size("4KB", -EINVAL, 0);
        check_size("4k", -EINVAL, 0);
        check_size("4 K", -EINVAL, 0);
        check_size("-4K", -EINVAL, 0);
        check_size("", -EINVAL, 0);
        check_size(NULL, -EINVAL, 0);
}

static void test_span(void **state) {
        (void)state;
        check_span("0", 0, 0);
        check_span("5", 0, 5000000);
        check_span("7us", 0, 7);
        check_span("20ms", 0, 20000);
        check_span("1s", 0, 1000000);
        check_span("5min", 0, 300000000);
        check_span("24h", 0, 86400000000);
        check_span("7d", 0, 604800000000);
        check_span("2w", 0, 1209600000000);
        check_span("1min 30s", 0, 90000000);
        check_span("1min30s", 0, 90000000);
        check_span("1h  1min 1s 1ms 1us", 0, 3661001001);
        check_span("", -EINVAL, 0);
        check_span(" ", -EINVAL, 0);
        check_span("s", -EINVAL, 0);
        check_span("1m", -EINVAL, 0);
        check_span("1 s", -EINVAL, 0);
        check_span("1s ", -EINVAL, 0);
        check_span(" 1s", -EINVAL, 0);
        check_span("1min 30", -EINVAL, 0);
        check_span("1.5s", -EINVAL, 0);
        check_span("-1s", -EINVAL, 0);
        check_span("1S", -EINVAL, 0);
        check_span("1sec", -EINVAL, 0);
        check_span("18446744073709551615us", 0, UINT64_MAX);
        check_span("18446744073709551615us 1us", -ERANGE, 0);
        check_span("18446744073709551615", -ERANGE, 0);
        check_span("99999999999999999999", -ERANGE, 0);
        check_span("99999999999999999999s", -ERANGE, 0);
        check_span("18446744073709551615s", -ERANGE, 0);
}

static void check_format(uint64_t value, const char *expected) {
        char text[NUMBER_U64_SIZE];

        assert_true(slice_equal(slice_make(text, number_format_u64(value, text)),
                                slice_from_string(expected)));
}

static void test_format(void **state) {
        (void)state;
        check_format(0, "0");
        check_format(9, "9");
        check_format(10, "10");
        check_format(1234567890, "1234567890");
        check_format(UINT64_MAX, "18446744073709551615");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_u64),    cmocka_unit_test(test_i64),
                        cmocka_unit_test(test_size),   cmocka_unit_test(test_span),
                        cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
