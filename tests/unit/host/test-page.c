/* SPDX-License-Identifier: MIT */
/* The page's file, its marks, and following it when it is replaced. */

#include "host-test.h"

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
        assert_int_equal(host_page_mark(two, counter).generation, mark.generation);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        TEST_IN_FOLDER(test_fresh_until_touched),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
