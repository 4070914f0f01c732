/* SPDX-License-Identifier: MIT */
/* Counts of visits, waiting for them, the shipper's sleep. */

#include "host-test.h"

#define A_LONG_TIME (60 * USEC_PER_SEC) /* a test that sleeps so long has failed */

/* ---- pending ---- */

static uint64_t pending(HostPage *page) {
        HostVisits noted;

        host_page_note_visits(page, &noted);
        return host_page_visits_pending(page, &noted);
}

static void test_noted_visits_only(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        HostVisits noted;

        assert_int_equal(pending(page), 0);
        host_slot_appended(slot, 5);
        host_page_note_visits(page, &noted);
        assert_int_equal(host_page_visits_pending(page, &noted), 5);
        host_slot_appended(slot, 100); /* later ones are not waited for */
        assert_int_equal(host_page_visits_pending(page, &noted), 5);
        host_slot_shipped(slot, 3);
        assert_int_equal(host_page_visits_pending(page, &noted), 2);
        host_slot_shipped(slot, 3);
        assert_int_equal(host_page_visits_pending(page, &noted), 0);
        assert_int_equal(pending(page), 99);
}

static void ship_when_woken(const Fixture *f, int in, int out) {
        HostPage *page;
        HostSlot *slot;

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_slot_claim(page, "shipper", "", &slot) == 0);
        host_slot_appended(slot, 7);
        tell(out);
        for (int i = 0; i < 2; i++) {
                host_slot_wait(slot, A_LONG_TIME);
                host_slot_shipped(slot, 3 + (uint64_t)i);
                tell(out);
        }
        (void)hear(in);
        (void)host_slot_release(slot);
        (void)host_page_free(page);
}

static void test_reader_wakes_the_shipper_of_another_process(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostVisits noted;
        Child child = child_start(f, ship_when_woken);

        assert_true(hear(child.from_child));
        host_page_note_visits(page, &noted);
        assert_true(hear(child.from_child));
        assert_int_equal(host_page_visits_pending(page, &noted), 4);
        host_page_note_visits(page, &noted);
        assert_true(hear(child.from_child));
        assert_int_equal(host_page_visits_pending(page, &noted), 0);
        child_finish(&child);
}

static void test_backlog(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        HostSlotInfo info[HOST_SLOTS];

        host_slot_set_pending(slot, 100);
        assert_int_equal(pending(page), 100);
        host_slot_set_pending(slot, 100);
        assert_int_equal(pending(page), 100);
        host_slot_shipped(slot, 60);
        host_slot_set_pending(slot, 10); /* less than thought: never backwards */
        host_page_slots(page, info);
        assert_int_equal(info[0].appended, 100);
        assert_int_equal(info[0].shipped, 90);
        host_slot_shipped(slot, 20); /* more shipped than was counted as appended */
        assert_int_equal(pending(page), 0);
        host_slot_set_pending(slot, 5);
        host_page_slots(page, info);
        assert_int_equal(info[0].appended, 115);
        assert_int_equal(info[0].shipped, 110);
        host_slot_set_pending(slot, 0);
        assert_int_equal(pending(page), 0);
}

static void test_heartbeat(void **state) {
        Fixture *f = *state;
        uint64_t before = clock_monotonic_usec();
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        HostSlotInfo info[HOST_SLOTS];
        uint64_t at_claim;

        host_page_slots(page, info);
        at_claim = info[0].heartbeat_usec;
        assert_in_range(at_claim, before, clock_monotonic_usec());
        host_slot_heartbeat(slot);
        host_page_slots(page, info);
        assert_in_range(info[0].heartbeat_usec, at_claim, clock_monotonic_usec());
}

static void test_waiting_writers(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_page_free_p) HostPage *other = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *a = claim(page, "a", "");
        HostSlot *b = claim(other, "b", "");

        host_slot_waiting(a, 1);
        host_slot_waiting(b, 1);
        host_slot_waiting(b, 1);
        assert_int_equal(host_page_n_waiting(page), 3);
        host_slot_waiting(a, -1);
        assert_int_equal(host_page_n_waiting(other), 2);
        (void)host_slot_release(b);
        assert_int_equal(host_page_n_waiting(page), 0);
}

/* ---- sleeping ---- */

static void test_sleep_ends_in_time(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        uint64_t begin = clock_monotonic_usec();

        host_slot_wait(slot, 20 * USEC_PER_MSEC);
        assert_true(clock_monotonic_usec() - begin >= 20 * USEC_PER_MSEC);
}

static void test_wake_before_the_sleep_is_kept(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        uint64_t begin = clock_monotonic_usec();

        host_slot_wake(slot);
        host_slot_wake(slot);
        host_slot_wait(slot, A_LONG_TIME);
        host_slot_appended(slot, 1);
        (void)pending(page);
        host_slot_wait(slot, A_LONG_TIME);
        assert_true(clock_monotonic_usec() - begin < A_LONG_TIME);
        begin = clock_monotonic_usec();
        host_slot_wait(slot, 10 * USEC_PER_MSEC); /* that was all */
        assert_true(clock_monotonic_usec() - begin >= 10 * USEC_PER_MSEC);
}

/* ---- in a new page ---- */

static void test_numbers_go_along_to_a_new_page(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "/a");
        _cleanup_(host_page_free_p) HostPage *other = NULL;
        _cleanup_(host_slot_release_p) HostSlot *first = NULL;
        HostVisits noted;
        HostSlotInfo info[HOST_SLOTS];
        uint64_t begin = clock_monotonic_usec();

        host_slot_appended(slot, 1000);
        host_slot_shipped(slot, 990);
        host_slot_waiting(slot, 2);
        host_page_note_visits(page, &noted);
        assert_int_equal(unlink(f->path), 0);
        other = open_page(f);
        first = claim(other, "other", ""); /* has the place that it had */
        assert_true(host_page_check(page));
        assert_int_equal(host_page_n_waiting(other), 2);
        assert_int_equal(pending(other), 10);
        assert_int_equal(host_page_visits_pending(page, &noted), 10);
        host_slot_wait(slot, A_LONG_TIME); /* whatever was missed: it looks at its work */
        host_slot_wake(slot);
        host_slot_wait(slot, A_LONG_TIME);
        assert_true(clock_monotonic_usec() - begin < A_LONG_TIME);
        host_slot_appended(slot, 1);
        host_slot_shipped(slot, 4);
        host_slot_shed(slot, 1);
        host_slot_waiting(slot, -2);
        assert_int_equal(host_page_n_waiting(other), 0);
        assert_int_equal(pending(other), 7);
        host_page_slots(other, info);
        assert_string_equal(info[1].name, "a");
        assert_string_equal(info[1].directory, "/a");
        assert_true(info[1].alive);
        assert_int_equal(info[1].shed, 1);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_noted_visits_only),
                TEST_IN_FOLDER(test_reader_wakes_the_shipper_of_another_process),
                TEST_IN_FOLDER(test_backlog),
                TEST_IN_FOLDER(test_heartbeat),
                TEST_IN_FOLDER(test_waiting_writers),
                TEST_IN_FOLDER(test_sleep_ends_in_time),
                TEST_IN_FOLDER(test_wake_before_the_sleep_is_kept),
                TEST_IN_FOLDER(test_numbers_go_along_to_a_new_page),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
