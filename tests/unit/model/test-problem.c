/* SPDX-License-Identifier: MIT */

/* The generic texts of the API. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/problem.h"

static void test_texts(void **state) {
        static const Problem expected[] = {
                        {400, "Bad request"},
                        {401, "Authentication required"},
                        {403, "Forbidden"},
                        {404, "Not found"},
                        {405, "Method not allowed"},
                        {408, "Request timeout"},
                        {410, "This link is blocked"},
                        {412, "Precondition failed"},
                        {413, "Request body too large"},
                        {414, "URI too long"},
                        {417, "Expectation failed"},
                        {429, "Too many requests"},
                        {431, "Request header fields too large"},
                        {500, "Internal server error"},
                        {501, "Not implemented"},
                        {503, "Service unavailable"},
                        {505, "HTTP version not supported"},
        };

        (void)state;
        for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
                assert_string_equal(problem_generic_text(expected[i].status), expected[i].text);
}

static void test_unknown_statuses(void **state) {
        static const int statuses[] = {-1, 0, 200, 302, 402, 409, 502, 504, 599, 1000};

        (void)state;
        for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
                assert_string_equal(problem_generic_text(statuses[i]), "Internal server error");
}

static void test_zeroed_is_none(void **state) {
        Problem none = {0}, some = {404, "x"};

        (void)state;
        assert_false(problem_is(&none));
        assert_true(problem_is(&some));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_texts),
                        cmocka_unit_test(test_unknown_statuses),
                        cmocka_unit_test(test_zeroed_is_none),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
