/* SPDX-License-Identifier: MIT */

/* The macros of check.h. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/check.h"
#include "basic/slice.h"

static int n_freed;

static void *thing_free(int *thing) {
        n_freed++;
        free(thing);
        return NULL;
}
DEFINE_CLEANUP(int, thing_free)

static int *make(int value) {
        _cleanup_(thing_free_p) int *thing = malloc(sizeof(int));

        assert_non_null(thing);
        *thing = value;
        return value < 0 ? NULL : TAKE_PTR(thing);
}

static void test_take_and_cleanup(void **state) {
        _cleanup_free_ char *freed = malloc(1);
        int *thing, fd = 5;

        (void)state;
        assert_non_null(freed);
        n_freed = 0;
        thing = make(1);
        assert_int_equal(n_freed, 0);
        assert_int_equal(*thing, 1);
        thing_free(thing);
        assert_null(make(-1));
        assert_int_equal(n_freed, 2);
        assert_int_equal(TAKE_FD(fd), 5);
        assert_int_equal(fd, -1);
}

static void test_small_macros(void **state) {
        typedef struct Outer {
                int a;
                int b;
        } Outer;
        int once = 0, many[7];
        Outer outer;

        (void)state;
        assert_int_equal(MIN(once++, 5), 0);
        assert_int_equal(once, 1);
        assert_int_equal(MIN(3, 2), 2);
        assert_int_equal(MAX(3, 2), 3);
        assert_int_equal(MAX(-3, 2), 2);
        assert_int_equal(ELEMENTSOF(many), 7);
        assert_ptr_equal(CONTAINER_OF(&outer.b, Outer, b), &outer);
}

static void test_check_aborts_and_says_where(void **state) {
        int pipe_fds[2], status;
        char text[512] = {0};
        size_t len = 0;
        ssize_t n;
        pid_t child;

        (void)state;
        assert_int_equal(pipe(pipe_fds), 0);
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
                (void)signal(SIGABRT, SIG_DFL);
                (void)dup2(pipe_fds[1], STDERR_FILENO);
                CHECK(1 + 1 == 2);
                CHECK(1 + 1 == 3);
                _exit(0);
        }
        (void)close(pipe_fds[1]);
        while ((n = read(pipe_fds[0], text + len, sizeof(text) - 1 - len)) > 0)
                len += (size_t)n;
        (void)close(pipe_fds[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
        assert_true(slice_search(slice_from_string(text), SLICE("test-check.c:")) >= 0);
        assert_true(slice_search(slice_from_string(text), SLICE("check failed: 1 + 1 == 3\n")) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_take_and_cleanup),
                        cmocka_unit_test(test_small_macros),
                        cmocka_unit_test(test_check_aborts_and_says_where),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
