/* SPDX-License-Identifier: MIT */

/* FILE.state: what is written is read again, whatever of it was torn. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/import-state.h"

static char path[] = "import-state-XXXXXX";

static int set_up(void **state) {
        int fd;

        (void)state;
        memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
        fd = mkstemp(path);
        assert_true(fd >= 0);
        (void)close(fd);
        return unlink(path);
}

static int tear_down(void **state) {
        (void)state;
        (void)unlink(path);
        return 0;
}

static ImportFile *open_new(void) {
        ImportState kept;
        ImportFile *file;

        assert_int_equal(import_file_open(path, false, &file, &kept), 0);
        return file;
}

static void write_states(uint64_t n) {
        ImportFile *file = open_new();

        for (uint64_t i = 1; i <= n; i++) {
                ImportState state = {.offset = i * 100, .line = i};

                assert_int_equal(import_file_write(file, &state, i % 2 == 0), 0);
        }
        (void)import_file_close(file);
}

static void spoil(off_t at) {
        int fd = open(path, O_RDWR);
        char byte;

        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        (void)close(fd);
}

static int resume(ImportState *ret) {
        ImportFile *file;
        int r = import_file_open(path, true, &file, ret);

        if (r >= 0)
                (void)import_file_close(file);
        return r;
}

static void test_the_newest_is_read(void **state) {
        ImportState kept;

        (void)state;
        for (uint64_t n = 1; n <= 5; n++) {
                write_states(n);
                assert_int_equal(resume(&kept), 1);
                assert_int_equal(kept.offset, n * 100);
                assert_int_equal(unlink(path), 0);
        }
}

/* Writing goes on behind what was read. */
static void test_writing_goes_on(void **state) {
        ImportState kept, next = {.offset = 77};
        ImportFile *file;

        (void)state;
        write_states(3);
        assert_int_equal(import_file_open(path, true, &file, &kept), 1);
        assert_int_equal(import_file_write(file, &next, false), 0);
        (void)import_file_close(file);
        assert_int_equal(resume(&kept), 1);
        assert_int_equal(kept.offset, 77);
}

static void test_a_torn_writing_leaves_the_one_before(void **state) {
        ImportState kept;

        (void)state;
        write_states(5); /* the fifth is in the second slot */
        spoil(512 + 40);
        assert_int_equal(resume(&kept), 1);
        assert_int_equal(kept.offset, 400);
        spoil(40);
        assert_int_equal(resume(&kept), -EBADMSG);
}

static void test_every_byte_counts(void **state) {
        ImportState kept;

        (void)state;
        write_states(1);
        for (off_t at = 0; at < (off_t)(16 + sizeof(ImportState)); at++) {
                spoil(512 + at);
                assert_int_equal(resume(&kept), -EBADMSG);
                spoil(512 + at);
        }
        assert_int_equal(resume(&kept), 1);
}

static void test_short_files(void **state) {
        ImportState kept;

        (void)state;
        write_states(2);
        assert_int_equal(truncate(path, 700), 0);
        assert_int_equal(resume(&kept), 1);
        assert_int_equal(kept.offset, 200);
        assert_int_equal(truncate(path, 100), 0);
        assert_int_equal(resume(&kept), -EBADMSG);
        assert_int_equal(truncate(path, 0), 0);
        assert_int_equal(resume(&kept), -ENOENT);
}

static void test_refusals(void **state) {
        ImportState kept;
        ImportFile *file, *other;

        (void)state;
        assert_int_equal(import_file_open(path, true, &file, &kept), -ENOENT);
        write_states(1);
        assert_int_equal(import_file_open(path, false, &file, &kept), -EEXIST);
        assert_int_equal(import_file_open(path, true, &file, &kept), 1);
        assert_int_equal(import_file_open(path, true, &other, &kept), -EWOULDBLOCK);
        assert_int_equal(import_file_remove(file), 0);
        (void)import_file_close(file);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(import_file_open("/nowhere/x.state", false, &file, &kept), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                        TEST(test_the_newest_is_read),
                        TEST(test_writing_goes_on),
                        TEST(test_a_torn_writing_leaves_the_one_before),
                        TEST(test_every_byte_counts),
                        TEST(test_short_files),
                        TEST(test_refusals),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
