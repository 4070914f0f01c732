/* SPDX-License-Identifier: MIT */
/* Marks, and following the page when its file is replaced. */

#include "host-test.h"

#include <time.h>

/* ---- marks ---- */

static void test_fresh_until_touched(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *one = open_page(f);
        _cleanup_(host_page_free_p) HostPage *two = open_page(f);
        uint32_t counter = host_counter(SLICE("abc123"));
        HostMark mark = host_page_mark(one, counter);

        assert_true(counter < HOST_COUNTERS);
        assert_string_equal(host_page_path(one), f->path);
        assert_true(host_page_fresh(one, counter, mark));
        assert_true(host_page_fresh(two, counter, mark));
        host_page_touch(two, (counter + 1) % HOST_COUNTERS);
        assert_true(host_page_fresh(one, counter, mark));
        host_page_touch(two, counter);
        assert_false(host_page_fresh(one, counter, mark));
        mark = host_page_mark(one, counter);
        assert_true(host_page_fresh(two, counter, mark));
        host_page_touch_all(one);
        assert_false(host_page_fresh(two, counter, mark));
        assert_true(host_page_mark(two, counter).generation == mark.generation);
}

static uint64_t boottime_usec(void) {
        struct timespec t;

        assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &t), 0);
        return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

static void test_times(void **state) {
        Fixture *f = *state;
        uint64_t before = boottime_usec(), made, touched;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);

        /* a new page counts as moved */
        made = host_page_touched_usec(page, 3);
        assert_in_range(made, before, boottime_usec());
        host_page_touch(page, 3);
        touched = host_page_touched_usec(page, 3);
        assert_in_range(touched, made, boottime_usec());
        assert_true(host_page_touched_usec(page, 4) == made);
        host_page_touch_all(page);
        assert_in_range(host_page_touched_usec(page, 4), touched, boottime_usec());
        assert_in_range(host_page_quiet_usec(page, 4), 0, boottime_usec() - made);
}

static void write_u64(const Fixture *f, uint64_t value, size_t offset) {
        int fd = open(f->path, O_WRONLY | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, &value, 8, (off_t)offset), 8);
        assert_int_equal(close(fd), 0);
}

static void test_time_far_ahead_is_mended(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        uint64_t now = boottime_usec(), soon = now + 30 * USEC_PER_SEC;
        size_t offset = offsetof(PageLayout, counters[5].moved_usec);

        write_u64(f, now + 3600 * USEC_PER_SEC, offset);
        assert_int_equal(host_page_quiet_usec(page, 5), 0);
        host_page_touch(page, 5);
        assert_in_range(host_page_touched_usec(page, 5), now, boottime_usec());
        write_u64(f, soon, offset); /* as far as another thread can be: not backwards */
        host_page_touch(page, 5);
        assert_true(host_page_touched_usec(page, 5) == soon);
}

static void check_realtime(HostPage *page) {
        uint64_t before_usec = clock_realtime_usec(), usec = host_page_realtime_usec(page);

        assert_in_range(usec, before_usec, clock_realtime_usec());
}

/* The clock cannot be set here: the page says that it was ahead. */
static void test_a_clock_that_was_set_back(void **state) {
        const uint64_t hour = 3600 * USEC_PER_SEC;
        Fixture *f = *state;
        HostPage *page = open_page(f);
        uint64_t ahead;

        check_realtime(page);
        assert_in_range(host_page_set_back_usec(page), 0, USEC_PER_SEC);
        ahead = clock_realtime_usec() - boottime_usec() + hour;
        write_u64(f, ahead, offsetof(PageLayout, header.ahead_usec));
        assert_in_range(host_page_set_back_usec(page), hour - USEC_PER_SEC, hour + USEC_PER_SEC);
        /* kept by who starts later ... */
        page = host_page_free(page);
        page = open_page(f);
        check_realtime(page);
        assert_in_range(host_page_set_back_usec(page), hour - USEC_PER_SEC, hour + USEC_PER_SEC);
        /* ... and taken along into another page */
        assert_int_equal(unlink(f->path), 0);
        assert_true(host_page_check(page));
        assert_in_range(host_page_set_back_usec(page), hour - USEC_PER_SEC, hour + USEC_PER_SEC);
        (void)host_page_free(page);
}

/* ---- another file at the path ---- */

static void test_replaced_file_is_followed(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_page_free_p) HostPage *other = NULL;
        HostMark old, mark;

        old = host_page_mark(page, 1);
        assert_false(host_page_check(page));
        assert_int_equal(unlink(f->path), 0);
        other = open_page(f);
        host_page_touch(other, 1);
        assert_true(host_page_fresh(page, 1, old)); /* not seen yet */
        assert_true(host_page_check(page));
        assert_false(host_page_check(page));
        assert_int_equal(host_page_state(page), 0);
        assert_false(host_page_fresh(page, 1, old));
        mark = host_page_mark(page, 1);
        host_page_touch(other, 1);
        assert_false(host_page_fresh(page, 1, mark));
}

static void test_removed_file_is_made_again(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *one = open_page(f);
        _cleanup_(host_page_free_p) HostPage *two = open_page(f);
        HostMark mark;

        assert_int_equal(unlink(f->path), 0);
        assert_true(host_page_check(one));
        /* two is still in the old page; what one changes is seen there as well */
        mark = host_page_mark(two, 8);
        host_page_touch(one, 8);
        assert_false(host_page_fresh(two, 8, mark));
        mark = host_page_mark(two, 8);
        host_page_touch_all(one);
        assert_false(host_page_fresh(two, 8, mark));
        assert_true(host_page_check(two));
        mark = host_page_mark(two, 8);
        host_page_touch(one, 8);
        assert_false(host_page_fresh(two, 8, mark));
}

static void test_without_a_folder_all_stay_together(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *one = open_page(f);
        _cleanup_(host_page_free_p) HostPage *two = open_page(f);
        HostMark mark = host_page_mark(two, 8);

        assert_int_equal(unlink(f->path), 0);
        assert_int_equal(rmdir(f->directory), 0);
        assert_false(host_page_check(one));
        assert_int_equal(host_page_state(one), -ENOENT);
        assert_true(host_page_fresh(two, 8, mark));
        host_page_touch(one, 8);
        assert_false(host_page_fresh(two, 8, mark));
        assert_int_equal(mkdir(f->directory, 0700), 0);
        assert_true(host_page_check(one));
        assert_true(host_page_check(two));
        assert_int_equal(host_page_state(one), 0);
}

/* Others may be in that page, unseen: nothing stays fresh from one check to the next. */
static void test_page_that_cannot_be_mapped(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostMark mark = host_page_mark(page, 8);
        FILE *file;

        assert_int_equal(unlink(f->path), 0);
        file = fopen(f->path, "we");
        assert_non_null(file);
        assert_true(fputs("not a page", file) >= 0);
        assert_int_equal(fclose(file), 0);
        for (int i = 0; i < 3; i++) {
                assert_false(host_page_check(page));
                assert_int_equal(host_page_state(page), -EBADMSG);
                assert_false(host_page_fresh(page, 8, mark));
                mark = host_page_mark(page, 8);
        }
        assert_int_equal(unlink(f->path), 0);
        assert_true(host_page_check(page));
        assert_int_equal(host_page_state(page), 0);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_fresh_until_touched),
                TEST_IN_FOLDER(test_times),
                TEST_IN_FOLDER(test_time_far_ahead_is_mended),
                TEST_IN_FOLDER(test_a_clock_that_was_set_back),
                TEST_IN_FOLDER(test_replaced_file_is_followed),
                TEST_IN_FOLDER(test_removed_file_is_made_again),
                TEST_IN_FOLDER(test_without_a_folder_all_stay_together),
                TEST_IN_FOLDER(test_page_that_cannot_be_mapped),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
