/* SPDX-License-Identifier: MIT */

/* Clocks and the calendar, against the C library's. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "basic/clock.h"

#define FIRST (-62135596800) /* 0001-01-01T00:00:00 */
#define LAST  253402300799   /* 9999-12-31T23:59:59 */

static void check_seconds(int64_t seconds) {
        static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
        static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        char iso[CLOCK_ISO_SIZE], http[CLOCK_HTTP_SIZE], expected[64];
        time_t time = (time_t)seconds;
        int64_t back;
        struct tm tm;

        assert_non_null(gmtime_r(&time, &tm));
        clock_format_iso(seconds, 'T', iso);
        (void)snprintf(expected, sizeof(expected), "%04d-%02d-%02dT%02d:%02d:%02d",
                       tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
                       tm.tm_sec);
        assert_string_equal(iso, expected);
        assert_int_equal(clock_parse_iso(slice_from_string(iso), &back), 0);
        assert_int_equal(back, seconds);
        clock_format_http(seconds, http);
        (void)snprintf(expected, sizeof(expected), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                       days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                       tm.tm_hour, tm.tm_min, tm.tm_sec);
        assert_string_equal(http, expected);
}

static void test_every_day_near_now_and_some_of_all(void **state) {
        (void)state;
        for (int64_t s = -3 * 86400; s < 80LL * 366 * 86400; s += 86400 - 7)
                check_seconds(s);
        for (int64_t s = FIRST; s <= LAST; s += 86400 * 11 + 12345)
                check_seconds(s);
        check_seconds(FIRST);
        check_seconds(LAST);
        check_seconds(-1);
        check_seconds(951782400);  /* 2000-02-29 */
        check_seconds(4107542399); /* 2100-02-28, the last second */
}

static void test_years_out_of_range_are_clamped(void **state) {
        char text[CLOCK_ISO_SIZE];

        (void)state;
        clock_format_iso(INT64_MIN, 'T', text);
        assert_string_equal(text, "0001-01-01T00:00:00");
        clock_format_iso(INT64_MAX, ' ', text);
        assert_string_equal(text, "9999-12-31 23:59:59");
}

static void test_http_example(void **state) {
        char text[CLOCK_HTTP_SIZE];

        (void)state;
        clock_format_http(784111777, text);
        assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void test_parse_accepts(void **state) {
        static const struct {
                const char *text;
                int64_t seconds;
        } cases[] = {
                        {"1970-01-01", 0},
                        {"2026-01-02T03:04:05", 1767323045},
                        {"2026-01-02 03:04:05", 1767323045},
                        {"2026-01-02T03:04", 1767323040},
                        {"2026-01-02T03:04Z", 1767323040},
                        {"2026-01-02T03:04:05Z", 1767323045},
                        {"2026-01-02T03:04:05.9", 1767323045},
                        {"2026-01-02T03:04:05.123456789Z", 1767323045},
                        {"2026-01-02T03:04:05+00:00", 1767323045},
                        {"2026-01-02T04:34:05+01:30", 1767323045},
                        {"2026-01-01T23:04:05.5-04:00", 1767323045},
                        {"2026-01-02T05:04+02:00", 1767323040},
                        {"2024-02-29", 1709164800},
                        {"2000-02-29", 951782400},
                        {"0001-01-01T00:00:00", FIRST},
                        {"9999-12-31T23:59:59", LAST},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                int64_t seconds = 42;

                assert_int_equal(clock_parse_iso(slice_from_string(cases[i].text), &seconds), 0);
                assert_int_equal(seconds, cases[i].seconds);
        }
}

static void test_parse_refuses(void **state) {
        static const char *const cases[] = {
                        "",
                        "2026",
                        "2026-01",
                        "2026-1-2",
                        "2026-01-00",
                        "2026-01-32",
                        "2026-00-01",
                        "2026-13-01",
                        "2026-04-31",
                        "2026-02-29",
                        "2023-02-29",
                        "1900-02-29",
                        "2100-02-29",
                        "2024-02-30",
                        "0000-01-01",
                        "-001-01-01",
                        "02026-01-01",
                        "20260102",
                        "2026/01/02",
                        "2026-01-02T",
                        "2026-01-02 ",
                        " 2026-01-02",
                        "2026-01-02Z",
                        "2026-01-02+01:00",
                        "2026-01-02t03:04:05",
                        "2026-01-02  03:04:05",
                        "2026-01-02T03",
                        "2026-01-02T03:",
                        "2026-01-02T0304",
                        "2026-01-02T24:00:00",
                        "2026-01-02T03:60:00",
                        "2026-01-02T03:04:60",
                        "2026-01-02T03:04:5",
                        "2026-01-02T03:04:",
                        "2026-01-02T03:04:05.",
                        "2026-01-02T03:04:05.Z",
                        "2026-01-02T03:04:05,5",
                        "2026-01-02T03:04.5",
                        "2026-01-02T03:04:05z",
                        "2026-01-02T03:04:05ZZ",
                        "2026-01-02T03:04:05 ",
                        "2026-01-02T03:04:05+1:00",
                        "2026-01-02T03:04:05+0100",
                        "2026-01-02T03:04:05+01",
                        "2026-01-02T03:04:05+24:00",
                        "2026-01-02T03:04:05+01:60",
                        "2026-01-02T03:04:05+01:00Z",
                        "2026-01-02T-3:04:05",
                        "0001-01-01T00:00:00+00:01",
                        "9999-12-31T23:59:59-00:01",
                        "yesterday",
                        "1767323045",
        };
        int64_t seconds = 42;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_int_equal(clock_parse_iso(slice_from_string(cases[i]), &seconds), -EINVAL);
        assert_int_equal(clock_parse_iso(SLICE_NONE, &seconds), -EINVAL);
        assert_int_equal(clock_parse_iso(SLICE("2026-01-02\0"), &seconds), -EINVAL);
        assert_int_equal(seconds, 42);
}

static void test_clocks_run(void **state) {
        uint64_t before = clock_monotonic_usec(), after = clock_monotonic_usec();
        uint64_t now = clock_realtime_usec();

        (void)state;
        assert_true(after >= before);
        assert_in_range(now / USEC_PER_SEC, (uint64_t)time(NULL) - 2, (uint64_t)time(NULL) + 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_every_day_near_now_and_some_of_all),
                        cmocka_unit_test(test_years_out_of_range_are_clamped),
                        cmocka_unit_test(test_http_example),
                        cmocka_unit_test(test_parse_accepts),
                        cmocka_unit_test(test_parse_refuses),
                        cmocka_unit_test(test_clocks_run),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
