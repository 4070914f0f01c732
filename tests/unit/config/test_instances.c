/* SPDX-License-Identifier: MIT */

/* How many instances /etc/default/shortener says. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/instances.h"

#define UNTOUCHED 99u

/* wanted: the number, or a line of problems that has this text and the file's name. */
static void check(const char *text, unsigned wanted, const char *problem) {
        unsigned n = UNTOUCHED;
        char path[] = "/tmp/shortener-instances-XXXXXX";
        Buffer problems = BUFFER_EMPTY;
        int fd = mkstemp(path);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), strlen(text));
        (void)close(fd);
        assert_int_equal(instances_read(path, &problems, &n), problem ? -EINVAL : 0);
        assert_int_equal(n, wanted);
        if (problem) {
                buffer_append_byte(&problems, '\0');
                assert_non_null(strstr(problems.data, problem));
                assert_non_null(strstr(problems.data, path));
        } else {
                assert_int_equal(problems.len, 0);
        }
        (void)unlink(path);
        buffer_done(&problems);
}

static void test_numbers(void **state) {
        (void)state;
        check("INSTANCES=3\n", 3, NULL);
        check("INSTANCES=3", 3, NULL);
        check("INSTANCES=0\n", 0, NULL);
        check("INSTANCES=32\n", 32, NULL);
        check("INSTANCES=\"4\"\n", 4, NULL);
        check("INSTANCES='4'\n", 4, NULL);
        check("  INSTANCES= 4 \r\n", 4, NULL);
        check("# INSTANCES=9\nINSTANCES=2\n#INSTANCES=8\n", 2, NULL);
        check("INSTANCES=2\nINSTANCES=5\n", 5, NULL);
}

static void test_nothing_said(void **state) {
        (void)state;
        check("", 1, NULL);
        check("OTHER=3\n", 1, NULL);
        check("INSTANCE=3\n", 1, NULL);
        check("INSTANCES\n", 1, NULL);
}

static void test_bad_numbers(void **state) {
        static const char *const bad[] = {"", "33", "-1", "x", "3x", "1 2", "18446744073709551617"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char text[64], problem[64];

                (void)snprintf(text, sizeof text, "INSTANCES=7\nINSTANCES=%s\n", bad[i]);
                (void)snprintf(problem, sizeof problem, "INSTANCES=%s: not a number", bad[i]);
                check(text, UNTOUCHED, problem);
                (void)snprintf(text, sizeof text, "INSTANCES=%s\nINSTANCES=7\n", bad[i]);
                check(text, UNTOUCHED, problem);
        }
}

static void test_no_file(void **state) {
        Buffer problems = BUFFER_EMPTY;
        unsigned n = UNTOUCHED;

        (void)state;
        assert_int_equal(instances_read("/proc/self/mem", &problems, &n), -EIO);
        assert_int_equal(n, UNTOUCHED);
        assert_true(problems.len > 0);
        buffer_clear(&problems);
        assert_int_equal(instances_read("/nonexistent/shortener", &problems, &n), 0);
        assert_int_equal(n, 1);
        assert_int_equal(problems.len, 0);
        buffer_done(&problems);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_numbers),
                        cmocka_unit_test(test_nothing_said),
                        cmocka_unit_test(test_bad_numbers),
                        cmocka_unit_test(test_no_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
