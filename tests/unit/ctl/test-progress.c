/* SPDX-License-Identifier: MIT */

/* The progress bar: its figures, its width, and that it is drawn on terminals alone. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "ctl/progress.h"

#define SECOND 1000000ULL

static const Progress fresh = {.name = "users.csv", .fd = 2, .total = 1000000};

static void check(const Progress *progress, uint64_t now, uint64_t done, uint64_t rows,
                  size_t columns, const char *expected) {
        Buffer out = BUFFER_EMPTY;

        progress_format(progress, now, done, rows, columns, &out);
        assert_false(out.failed);
        assert_int_equal(out.len, strlen(expected));
        assert_memory_equal(out.data, expected, out.len);
        buffer_done(&out);
}

static void test_figures(void **state) {
        (void)state;
        check(&fresh, 2 * SECOND, 250000, 10000, 200,
              "users.csv [#######.......................]  25 % 10,000 rows, 5,000/s, ETA 0:06");
        check(&fresh, 2 * SECOND, 1000000, 40000, 200,
              "users.csv [##############################] 100 % 40,000 rows, 20,000/s");
        check(&fresh, SECOND, 0, 0, 200,
              "users.csv [..............................]   0 % 0 rows, 0/s");
        check(&fresh, 100 * SECOND, 10000, 1, 200,
              "users.csv [..............................]   1 % 1 rows, 0/s, ETA 2:45:00");
        check(&fresh, 10 * SECOND, 100000, 1234567, 200,
              "users.csv [###...........................]  10 % 1,234,567 rows, 123,456/s, "
              "ETA 1:30");
}

static void test_a_size_that_is_not_known(void **state) {
        Progress progress = fresh;

        (void)state;
        progress.total = 0;
        check(&progress, 2 * SECOND, 0, 5000, 80, "users.csv 5,000 rows, 2,500/s");
}

static void test_a_resumed_run_counts_its_own_speed(void **state) {
        Progress progress = fresh;

        (void)state;
        progress.first_done = 500000;
        progress.first_rows = 20000;
        check(&progress, SECOND, 600000, 24000, 200,
              "users.csv [##################............]  60 % 24,000 rows, 4,000/s, ETA 0:04");
}

static void test_narrow_terminals(void **state) {
        (void)state;
        check(&fresh, 2 * SECOND, 250000, 10000, 60,
              "users.csv [##.........]  25 % 10,000 rows, 5,000/s, ETA 0:06");
        check(&fresh, 2 * SECOND, 250000, 10000, 50,
              "users.csv  25 % 10,000 rows, 5,000/s, ETA 0:06");
        check(&fresh, 2 * SECOND, 250000, 10000, 40, "  25 % 10,000 rows, 5,000/s, ETA 0:06");
        check(&fresh, 2 * SECOND, 250000, 10000, 20, "  25 % 10,000 rows, ");
        for (size_t columns = 0; columns < 120; columns++) {
                Buffer out = BUFFER_EMPTY;

                progress_format(&fresh, 2 * SECOND, 250000, 10000, columns, &out);
                assert_true(out.len <= columns);
                buffer_done(&out);
        }
}

/* Reads what there is to be read of a non-blocking descriptor. */
static size_t drain(int fd, char *text, size_t size) {
        ssize_t n = read(fd, text, size - 1);

        text[n > 0 ? n : 0] = '\0';
        return n > 0 ? (size_t)n : 0;
}

static void test_no_terminal_no_bar(void **state) {
        Progress progress;
        char text[512];
        int pair[2];

        (void)state;
        assert_int_equal(pipe2(pair, O_NONBLOCK), 0);
        progress_begin(&progress, pair[1], "x", 10, 0, 0);
        progress.started_usec -= 5 * SECOND;
        progress_update(&progress, 5, 5);
        progress_end(&progress);
        assert_int_equal(drain(pair[0], text, sizeof(text)), 0);
        (void)close(pair[0]);
        (void)close(pair[1]);
}

static void test_drawn_after_a_second_and_removed(void **state) {
        int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), user;
        Progress progress;
        char text[512];

        (void)state;
        assert_true(terminal >= 0);
        assert_int_equal(grantpt(terminal), 0);
        assert_int_equal(unlockpt(terminal), 0);
        user = open(ptsname(terminal), O_RDWR | O_NOCTTY);
        assert_true(user >= 0);

        progress_begin(&progress, user, "x.csv", 10, 0, 0);
        progress_update(&progress, 5, 5);
        assert_int_equal(drain(terminal, text, sizeof(text)), 0);
        progress.started_usec -= 2 * SECOND;
        progress_update(&progress, 5, 5);
        assert_true(drain(terminal, text, sizeof(text)) > 0);
        assert_non_null(strstr(text, "x.csv ["));
        progress_update(&progress, 6, 6); /* too soon */
        assert_int_equal(drain(terminal, text, sizeof(text)), 0);
        progress_end(&progress);
        (void)drain(terminal, text, sizeof(text));
        assert_string_equal(text, "\r\033[K");
        progress_end(&progress);
        assert_int_equal(drain(terminal, text, sizeof(text)), 0);
        (void)close(user);
        (void)close(terminal);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_figures),
                        cmocka_unit_test(test_a_size_that_is_not_known),
                        cmocka_unit_test(test_a_resumed_run_counts_its_own_speed),
                        cmocka_unit_test(test_narrow_terminals),
                        cmocka_unit_test(test_no_terminal_no_bar),
                        cmocka_unit_test(test_drawn_after_a_second_and_removed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
