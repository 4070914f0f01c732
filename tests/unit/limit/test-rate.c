/* SPDX-License-Identifier: MIT */

/* Rates as the configuration writes them. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "limit/rate.h"

static void test_good(void **state) {
        static const struct {
                const char *text;
                LimitRate rate;
        } cases[] = {
                        {"off", {0, 0, 0}},
                        {"600/1min", {600, 60 * USEC_PER_SEC, 30}},
                        {"600/min", {600, 60 * USEC_PER_SEC, 30}},
                        {"600/min:600", {600, 60 * USEC_PER_SEC, 600}},
                        {"600/min:1", {600, 60 * USEC_PER_SEC, 1}},
                        {"50/s", {50, USEC_PER_SEC, 10}},
                        {"3/h", {3, 3600 * USEC_PER_SEC, 3}},
                        {"1/1d", {1, 24 * 3600 * USEC_PER_SEC, 1}},
                        {"1000000/s", {1000000, USEC_PER_SEC, 50000}},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                LimitRate rate = {9, 9, 9};

                assert_int_equal(limit_rate_parse(slice_from_string(cases[i].text), &rate), 0);
                assert_memory_equal(&rate, &cases[i].rate, sizeof rate);
        }
}

static void test_bad(void **state) {
        static const char *const cases[] = {
                        "",          "on",           "600",         "600/",        "/min",
                        "0/min",     "-1/min",       "x/min",       "600/mon",     "600/0s",
                        "600/2d",    "600/min:0",    "600/min:601", "600/min:",    "600/min:x",
                        "1000001/s", "4294967296/d", "1.5/s",       "600/min min", " 600/min",
        };
        LimitRate rate = {9, 9, 9};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                if (limit_rate_parse(slice_from_string(cases[i]), &rate) != -EINVAL)
                        fail_msg("%s was taken", cases[i]);
        assert_int_equal(rate.n, 9);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_good),
                        cmocka_unit_test(test_bad),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
