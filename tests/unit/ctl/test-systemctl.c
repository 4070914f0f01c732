/* SPDX-License-Identifier: MIT */

/* Running systemctl: a program of the test that is found before it. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "ctl/systemctl.h"

static char folder[] = "/tmp/shortener-systemctl-XXXXXX";
static char program[sizeof folder + 16];

static void write_program(const char *script) {
        FILE *file = fopen(program, "we");

        assert_non_null(file);
        (void)fprintf(file, "#!/bin/sh\n%s\n", script);
        assert_int_equal(fclose(file), 0);
        assert_int_equal(chmod(program, 0755), 0);
}

static int setup(void **state) {
        char path[256];

        (void)state;
        assert_non_null(mkdtemp(folder));
        (void)snprintf(program, sizeof program, "%s/systemctl", folder);
        (void)snprintf(path, sizeof path, "%s:/usr/bin:/bin", folder);
        return setenv("PATH", path, 1);
}

static int teardown(void **state) {
        (void)state;
        (void)unlink(program);
        return rmdir(folder);
}

static void test_run(void **state) {
        static const char *const arguments[] = {"a b", "", "c", NULL};
        Buffer out = BUFFER_EMPTY;

        (void)state;
        write_program("printf '<%s>' \"$@\"; exit 3");
        assert_int_equal(systemctl_run(arguments, 0, &out), 3);
        assert_true(slice_equal(buffer_slice(&out), SLICE("<a b><><c>")));
        assert_int_equal(systemctl_run(arguments, 0, NULL), 3);
        write_program("kill -9 $$");
        assert_int_equal(systemctl_run(arguments, 0, NULL), 128 + 9);
        buffer_done(&out);
}

static void test_timeout(void **state) {
        static const char *const arguments[] = {"restart", NULL};
        uint64_t begin = clock_monotonic_usec();

        (void)state;
        write_program("exec sleep 60");
        assert_int_equal(systemctl_run(arguments, 100 * USEC_PER_MSEC, NULL), -ETIMEDOUT);
        assert_true(clock_monotonic_usec() - begin < 30 * USEC_PER_SEC);
}

static void test_none(void **state) {
        static const char *const arguments[] = {"start", NULL};
        char *path = strdup(getenv("PATH"));

        (void)state;
        (void)unlink(program);
        assert_int_equal(setenv("PATH", folder, 1), 0);
        assert_int_equal(systemctl_run(arguments, 0, NULL), -ENOENT);
        assert_int_equal(setenv("PATH", path, 1), 0);
        free(path);
}

static void test_list(void **state) {
        static const char *const patterns[] = {"shortener@*.service", "x.socket", NULL};
        SystemUnits units;

        (void)state;
        write_program("[ \"$*\" = '"
                      "show --property=Id --property=ActiveState --property=UnitFileState -- "
                      "shortener@*.service x.socket"
                      "' ] || exit 1\n"
                      "printf "
                      "'Id=shortener@10.service\\nActiveState=active\\nUnitFileState=enabled\\n\\n'"
                      "\n"
                      "printf 'ActiveState=failed\\nId=shortener@2.service\\n\\n'\n"
                      "printf 'Id=shortener@1.service\\nActiveState=inactive\\n'");
        assert_int_equal(systemctl_list(patterns, &units), 0);
        assert_int_equal(units.n, 3);
        assert_string_equal(units.units[0].name, "shortener@1.service");
        assert_true(system_unit_is(&units.units[0], "inactive"));
        assert_string_equal(units.units[1].name, "shortener@2.service");
        assert_true(system_unit_is(&units.units[1], "failed"));
        assert_string_equal(units.units[2].name, "shortener@10.service");
        assert_string_equal(units.units[2].file, "enabled");
        assert_string_equal(units.units[1].file, "");
        assert_true(system_unit_is_type(&units.units[2], ".service"));
        assert_false(system_unit_is_type(&units.units[2], ".socket"));

        write_program("exit 0");
        assert_int_equal(systemctl_list(patterns, &units), 0);
        assert_int_equal(units.n, 0);
        write_program("exit 1");
        assert_int_equal(systemctl_list(patterns, &units), 1);
}

/* More than there is room for, and names longer than any: cut, not overrun. */
static void test_many(void **state) {
        static const char *const patterns[] = {"*", NULL};
        SystemUnits units;

        (void)state;
        write_program("i=0; while [ $i -lt 500 ]; do\n"
                      "printf 'Id=%0200d\\nActiveState=%0200d\\n\\n' $i $i; i=$((i + 1)); done");
        assert_int_equal(systemctl_list(patterns, &units), 0);
        assert_int_equal(units.n, SYSTEMCTL_UNITS_MAX);
        assert_int_equal(strlen(units.units[0].name), SYSTEMCTL_NAME_SIZE - 1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_run),  cmocka_unit_test(test_timeout),
                        cmocka_unit_test(test_none), cmocka_unit_test(test_list),
                        cmocka_unit_test(test_many),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}
