/* SPDX-License-Identifier: MIT */

/* The blocklist in use: what is read again, and when. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "work/blocklists.h"

#define WAIT_USEC  (30 * USEC_PER_SEC)
#define WRITE_USEC (5 * USEC_PER_SEC) /* two looks and more */

static char folder[64], path[96], other[96];

static void write_file(const char *name, const char *text) {
        FILE *file = fopen(name, "we");

        assert_non_null(file);
        assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
        assert_int_equal(fclose(file), 0);
}

static bool has(Blocklists *blocklists, const char *location) {
        return blocklists_has(blocklists, slice_from_string(location));
}

static int error_of(Blocklists *blocklists) {
        BlocklistsState state;

        blocklists_state(blocklists, &state);
        return state.error;
}

static void pause_for(uint64_t usec) {
        const struct timespec pause = {.tv_sec = (time_t)(usec / USEC_PER_SEC),
                                       .tv_nsec = (long)(usec % USEC_PER_SEC * 1000)};

        (void)nanosleep(&pause, NULL);
}

static void wait_for_error(Blocklists *blocklists, int error) {
        uint64_t end = clock_monotonic_usec() + WAIT_USEC;

        while (error_of(blocklists) != error && clock_monotonic_usec() < end)
                pause_for(10 * USEC_PER_MSEC);
        assert_int_equal(error_of(blocklists), error);
}

/* A list that could not be read for want of a descriptor used to wait until it changed again. */
static void test_failure_that_passes(void **state) {
        char *files[] = {path, NULL};
        struct rlimit limit, none;
        Blocklists *blocklists;
        size_t bad;

        (void)state;
        write_file(path, "old.example\n");
        assert_int_equal(blocklists_new(files, &blocklists, &bad), 0);
        write_file(other, "new.example\n");

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        none = limit;
        none.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        assert_int_equal(rename(other, path), 0);
        wait_for_error(blocklists, -EMFILE);
        assert_true(has(blocklists, "http://old.example/"));
        assert_false(has(blocklists, "http://new.example/"));

        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        wait_for_error(blocklists, 0);
        assert_false(has(blocklists, "http://old.example/"));
        assert_true(has(blocklists, "http://new.example/"));
        blocklists_free(blocklists);
}

static uint64_t generation_of(Blocklists *blocklists) {
        BlocklistsState state;

        blocklists_state(blocklists, &state);
        return state.generation;
}

/* A list that is written in place used to be taken into use half written. */
static void test_half_written(void **state) {
        char *files[] = {path, NULL};
        uint64_t end, generation;
        Blocklists *blocklists;
        FILE *file;
        size_t bad;

        (void)state;
        write_file(path, "first.example\nlast.example\n");
        assert_int_equal(blocklists_new(files, &blocklists, &bad), 0);
        generation = generation_of(blocklists);

        file = fopen(path, "we");
        assert_non_null(file);
        assert_true(fputs("first.example\n", file) >= 0);
        end = clock_monotonic_usec() + WRITE_USEC;
        while (clock_monotonic_usec() < end) {
                assert_true(fputs("# more\n", file) >= 0);
                assert_int_equal(fflush(file), 0);
                assert_true(has(blocklists, "http://last.example/"));
                pause_for(100 * USEC_PER_MSEC);
        }
        assert_int_equal(generation_of(blocklists), generation);
        assert_true(fputs("new.example\n", file) >= 0);
        assert_int_equal(fclose(file), 0);

        end = clock_monotonic_usec() + WAIT_USEC;
        while (generation_of(blocklists) == generation && clock_monotonic_usec() < end)
                pause_for(10 * USEC_PER_MSEC);
        assert_true(has(blocklists, "http://first.example/"));
        assert_true(has(blocklists, "http://new.example/"));
        assert_false(has(blocklists, "http://last.example/"));
        blocklists_free(blocklists);
}

static int setup(void **state) {
        (void)state;
        (void)snprintf(folder, sizeof folder, "/tmp/blocklists-test-XXXXXX");
        if (!mkdtemp(folder))
                return -1;
        (void)snprintf(path, sizeof path, "%s/list", folder);
        (void)snprintf(other, sizeof other, "%s/other", folder);
        return 0;
}

static int teardown(void **state) {
        (void)state;
        (void)unlink(path);
        (void)unlink(other);
        return rmdir(folder);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_failure_that_passes),
                        cmocka_unit_test(test_half_written),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
