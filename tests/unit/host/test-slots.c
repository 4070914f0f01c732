/* SPDX-License-Identifier: MIT */
/* Slots: claims, crashes, what neighbours do about them. */

#include "host-test.h"

/* ---- claims ---- */

static void test_claim_and_release(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *one = open_page(f);
        _cleanup_(host_page_free_p) HostPage *two = open_page(f);
        HostSlotInfo info[HOST_SLOTS];
        HostSlot *slot, *other = NULL;

        slot = claim(one, "a", "/spool/a");
        assert_int_equal(host_slot_claim(one, "a", "", &other), -EADDRINUSE);
        assert_int_equal(host_slot_claim(two, "a", "", &other), -EADDRINUSE);
        assert_null(other);
        other = claim(two, "b", "");
        host_page_slots(one, info);
        assert_true(info[0].used && info[0].alive);
        assert_string_equal(info[0].name, "a");
        assert_string_equal(info[0].directory, "/spool/a");
        assert_true(info[1].used && info[1].alive);
        assert_string_equal(info[1].name, "b");
        assert_string_equal(info[1].directory, "");
        assert_false(info[2].used);
        assert_null(host_slot_release(slot));
        assert_null(host_slot_release(NULL));
        host_page_slots(two, info);
        assert_false(info[0].used);
        assert_true(info[1].used && info[1].alive);
        slot = claim(two, "a", "/spool/a");
        (void)host_slot_release(slot);
        (void)host_slot_release(other);
}

static void commit_and_die(const Fixture *f, int in, int out) {
        HostPage *page;
        HostSlot *slot;
        Slice codes[2] = {SLICE("first"), SLICE("second")};

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_slot_claim(page, "dead", "/spool/dead", &slot) == 0);
        host_slot_appended(slot, 10);
        host_slot_shipped(slot, 4);
        host_slot_shed(slot, 2);
        host_slot_waiting(slot, 1);
        host_writer_committing(slot, 3, codes, 2);
        tell(out);
        (void)hear(in);
        host_writer_committed(slot, 3);
}

static void test_neighbour_finishes_a_dead_writer(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostMark first, second, third;
        HostSlotInfo info[HOST_SLOTS];
        Child child;

        child = child_start(f, commit_and_die);
        assert_true(hear(child.from_child));
        first = host_page_mark(page, host_counter(SLICE("first")));
        second = host_page_mark(page, host_counter(SLICE("second")));
        third = host_page_mark(page, host_counter(SLICE("third")));
        host_page_sweep(page); /* it lives: nothing to do */
        assert_true(host_page_fresh(page, host_counter(SLICE("first")), first));
        assert_int_equal(host_page_n_waiting(page), 1);
        child_kill(&child);
        assert_true(host_page_fresh(page, host_counter(SLICE("first")), first));
        host_page_sweep(page);
        assert_false(host_page_fresh(page, host_counter(SLICE("first")), first));
        assert_false(host_page_fresh(page, host_counter(SLICE("second")), second));
        assert_true(host_page_fresh(page, host_counter(SLICE("third")), third));
        assert_int_equal(host_page_n_waiting(page), 0);

        /* Its visits are not all shipped: the slot keeps its name. */
        host_page_slots(page, info);
        assert_true(info[0].used);
        assert_false(info[0].alive);
        assert_int_equal(info[0].appended, 10);
        assert_int_equal(info[0].shipped, 4);
        assert_int_equal(info[0].shed, 2);
        first = host_page_mark(page, host_counter(SLICE("first")));
        host_page_sweep(page); /* once only */
        assert_true(host_page_fresh(page, host_counter(SLICE("first")), first));
        host_neighbour_shipped(page, 0, info[0].claim, 5);
        host_page_sweep(page);
        host_page_slots(page, info);
        assert_true(info[0].used);
        assert_int_equal(info[0].shipped, 9);
        host_neighbour_drained(page, 0, info[0].claim);
        host_page_sweep(page);
        host_page_slots(page, info);
        assert_false(info[0].used);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        TEST_IN_FOLDER(test_claim_and_release),
                        TEST_IN_FOLDER(test_neighbour_finishes_a_dead_writer),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
