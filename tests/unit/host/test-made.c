/* SPDX-License-Identifier: MIT */
/* Links that are made: what is known of links that are there stays true. */

#include "host-test.h"

/* What was made in between leaves what is known of a link as it is; a version that knows no
 * difference adds one for everything. */
static void test_made(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostMark mark = host_page_mark(page, 3), other = host_page_mark(page, 4);
        uint64_t touched = host_page_touched_usec(page, 3);

        assert_true(host_page_unedited(page, 3, mark));
        for (unsigned i = 0; i < 1u << 16; i++) /* they do not come round by then */
                host_page_touch_made(page, 3);
        assert_true(host_page_unedited(page, 3, mark));
        assert_false(host_page_fresh(page, 3, mark));
        assert_true(host_page_touched_usec(page, 3) > touched);
        mark = host_page_mark(page, 3);
        host_page_touch(page, 3);
        assert_false(host_page_unedited(page, 3, mark));
        assert_false(host_page_fresh(page, 3, mark));
        assert_true(host_page_fresh(page, 4, other));
        host_page_touch_all(page);
        assert_false(host_page_unedited(page, 4, other));
}

static size_t many_codes(char text[100][8], Slice codes[100]) {
        for (int i = 0; i < 100; i++) {
                (void)snprintf(text[i], 8, "code%d", i);
                codes[i] = slice_from_string(text[i]);
        }
        return 100;
}

static void test_making(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        HostMark marks[100];
        char text[100][8];
        Slice codes[100];
        size_t n = many_codes(text, codes);

        for (size_t round = 1; round <= n; round += n - 1) { /* of few, and of many */
                for (size_t i = 0; i < n; i++)
                        marks[i] = host_page_mark(page, host_counter(codes[i]));
                host_writer_making(slot, 1, codes, round);
                host_writer_committed(slot, 1);
                for (size_t i = 0; i < n; i++) {
                        uint32_t counter = host_counter(codes[i]);

                        assert_true(host_page_unedited(page, counter, marks[i]));
                        assert_true(host_page_fresh(page, counter, marks[i]) == (i >= round));
                }
        }
        /* The next change of this writer is one, and so is what follows it without its end. */
        marks[0] = host_page_mark(page, host_counter(codes[0]));
        host_writer_committing(slot, 1, codes, 1);
        host_writer_committed(slot, 1);
        assert_false(host_page_unedited(page, host_counter(codes[0]), marks[0]));
        marks[0] = host_page_mark(page, host_counter(codes[0]));
        host_writer_committing(slot, 1, codes, 1);
        host_writer_making(slot, 1, codes, 1);
        host_writer_committed(slot, 1);
        assert_false(host_page_unedited(page, host_counter(codes[0]), marks[0]));
}

static void make_and_die(const Fixture *f, int in, int out) {
        Slice code = SLICE("made");
        HostPage *page;
        HostSlot *slot;

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_slot_claim(page, "maker", "", &slot) == 0);
        host_writer_making(slot, 0, &code, 1);
        tell(out);
        (void)hear(in);
}

static void test_dead_maker(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostMark mark = host_page_mark(page, host_counter(SLICE("made")));
        Child child = child_start(f, make_and_die);

        assert_true(hear(child.from_child));
        child_kill(&child);
        host_page_sweep(page);
        assert_false(host_page_fresh(page, host_counter(SLICE("made")), mark));
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_made),
                TEST_IN_FOLDER(test_making),
                TEST_IN_FOLDER(test_dead_maker),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
