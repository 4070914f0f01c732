/* SPDX-License-Identifier: MIT */
/* Slots: claims, crashes, what neighbours do about them. */

#include "host-test.h"

#include "host/map.h"

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
        assert_true(host_neighbour_shipped(page, 0, info[0].claim, 5));
        host_page_sweep(page);
        host_page_slots(page, info);
        assert_true(info[0].used);
        assert_int_equal(info[0].shipped, 9);
        assert_true(host_neighbour_drained(page, 0, info[0].claim));
        host_page_sweep(page);
        host_page_slots(page, info);
        assert_false(info[0].used);
}

/* ---- names ---- */

static void test_bad_names(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        char name[HOST_NAME_SIZE + 1], directory[PAGE_DIRECTORY + 1];
        HostSlotInfo info[HOST_SLOTS];
        HostSlot *slot = NULL;

        memset(name, 'n', sizeof(name));
        memset(directory, 'd', sizeof(directory));
        name[HOST_NAME_SIZE] = directory[PAGE_DIRECTORY] = '\0';
        directory[0] = '/';
        assert_int_equal(host_slot_claim(page, "", "", &slot), -EINVAL);
        assert_int_equal(host_slot_claim(page, name, "", &slot), -EINVAL);
        assert_int_equal(host_slot_claim(page, "a", directory, &slot), -EINVAL);
        assert_int_equal(host_slot_claim(page, "a", "relative", &slot), -EINVAL);
        assert_null(slot);
        name[HOST_NAME_SIZE - 1] = directory[PAGE_DIRECTORY - 1] = '\0';
        slot = claim(page, name, directory);
        host_page_slots(page, info);
        assert_string_equal(info[0].name, name);
        assert_string_equal(info[0].directory, directory);
        (void)host_slot_release(slot);
}

static void test_all_slots(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostSlot *slots[HOST_SLOTS], *one_more = NULL;
        HostVisits noted;
        char name[HOST_NAME_SIZE];

        for (unsigned i = 0; i < HOST_SLOTS; i++) {
                (void)snprintf(name, sizeof(name), "instance-%u", i);
                slots[i] = claim(page, name, "");
                host_slot_appended(slots[i], i);
        }
        assert_int_equal(host_slot_claim(page, "one more", "", &one_more), -ENOSPC);
        host_page_note_visits(page, &noted);
        assert_int_equal(host_page_visits_pending(page, &noted), 64 * 63 / 2);
        host_slot_shipped(slots[40], 40);
        (void)host_slot_release(slots[40]);
        slots[40] = claim(page, "one more", "");
        for (unsigned i = 0; i < HOST_SLOTS; i++)
                (void)host_slot_release(slots[i]);
}

/* ---- what stays ---- */

static void test_takeover_keeps_the_numbers(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = NULL;
        HostMark first = host_page_mark(page, host_counter(SLICE("first")));
        HostSlotInfo before[HOST_SLOTS], after[HOST_SLOTS];
        HostVisits noted;
        Child child = child_start(f, commit_and_die);

        assert_true(hear(child.from_child));
        assert_int_equal(host_slot_claim(page, "dead", "/spool/new", &slot), -EADDRINUSE);
        host_page_slots(page, before);
        child_kill(&child);
        slot = claim(page, "dead", "/spool/new");
        assert_false(host_page_fresh(page, host_counter(SLICE("first")), first));
        assert_int_equal(host_page_n_waiting(page), 0);
        host_page_slots(page, after);
        assert_true(after[0].used && after[0].alive);
        assert_string_equal(after[0].directory, "/spool/new");
        assert_int_equal(after[0].appended, 10);
        assert_int_equal(after[0].shipped, 4);
        assert_int_equal(after[0].shed, 2);
        host_slot_appended(slot, 5);
        host_page_note_visits(page, &noted);
        assert_int_equal(host_page_visits_pending(page, &noted), 11);

        /* A neighbour that was shipping for the dead one does not count for the new one. */
        assert_true(after[0].claim != before[0].claim);
        assert_true(host_neighbour_shipped(page, 0, before[0].claim, 6));
        assert_true(host_neighbour_shipped(page, 0, after[0].claim, 6)); /* nor for who lives */
        assert_true(host_neighbour_drained(page, 0, before[0].claim));
        assert_int_equal(host_page_visits_pending(page, &noted), 11);
}

static void test_release_with_pending_visits_keeps_the_slot(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostSlotInfo info[HOST_SLOTS];
        HostSlot *slot = claim(page, "a", "/spool/a");

        host_slot_appended(slot, 2);
        (void)host_slot_release(slot);
        host_page_sweep(page);
        host_page_slots(page, info);
        assert_true(info[0].used);
        assert_false(info[0].alive);
        assert_string_equal(info[0].directory, "/spool/a");
        slot = claim(page, "b", "/spool/b");
        host_page_slots(page, info);
        assert_string_equal(info[1].name, "b");
        (void)host_slot_release(slot);
        slot = claim(page, "a", "/spool/a");
        host_slot_shipped(slot, 2);
        (void)host_slot_release(slot);
        host_page_slots(page, info);
        assert_false(info[0].used);
}

/* Numbers of a slot begin at 0 for a new name, and what a reader noted before stays true. */
static void test_reused_slot(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostSlotInfo info[HOST_SLOTS];
        HostVisits noted;
        HostSlot *slot = claim(page, "a", "");

        host_slot_appended(slot, 7);
        host_slot_shed(slot, 3);
        host_page_note_visits(page, &noted);
        host_slot_shipped(slot, 8); /* one of them was not counted by who died */
        (void)host_slot_release(slot);
        slot = claim(page, "b", "");
        host_page_slots(page, info);
        assert_string_equal(info[0].name, "b");
        assert_int_equal(info[0].appended, 0);
        assert_int_equal(info[0].shipped, 0);
        assert_int_equal(info[0].shed, 0);
        host_slot_appended(slot, 1);
        assert_int_equal(host_page_visits_pending(page, &noted), 0);
        host_page_note_visits(page, &noted);
        assert_int_equal(host_page_visits_pending(page, &noted), 1);
        (void)host_slot_release(slot);
}

/* ---- the bracket ---- */

static void test_bracket(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        Slice codes[2] = {SLICE("one"), SLICE("two")};
        HostMark one = host_page_mark(page, host_counter(codes[0]));
        HostMark two = host_page_mark(page, host_counter(codes[1]));

        host_writer_committed(slot, 0); /* nothing is open */
        host_writer_committing(slot, 0, codes, 1);
        host_writer_committing(slot, 63, codes + 1, 1);
        assert_true(host_page_fresh(page, host_counter(codes[0]), one));
        host_writer_committed(slot, 0);
        assert_false(host_page_fresh(page, host_counter(codes[0]), one));
        assert_true(host_page_fresh(page, host_counter(codes[1]), two));
        host_writer_committed(slot, 63);
        assert_false(host_page_fresh(page, host_counter(codes[1]), two));
        assert_true(host_page_mark(page, 0).epoch == one.epoch);
}

static void test_bracket_of_all(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        uint64_t epoch = host_page_mark(page, 0).epoch;
        Slice code = SLICE("one");

        host_writer_committing(slot, 5, NULL, 0);
        assert_true(host_page_mark(page, 0).epoch == epoch);
        host_writer_committed(slot, 5);
        assert_true(host_page_mark(page, 0).epoch == epoch + 1);
        host_writer_committed(slot, 5);
        assert_true(host_page_mark(page, 0).epoch == epoch + 1);
        host_writer_committing(slot, 5, &code, 1);
        host_writer_committing(slot, 5, &code, 1); /* what the first one did is not known */
        host_writer_committed(slot, 5);
        assert_true(host_page_mark(page, 0).epoch == epoch + 2);
}

static size_t many_codes(char text[100][8], Slice codes[100]) {
        for (int i = 0; i < 100; i++) {
                (void)snprintf(text[i], 8, "code%d", i);
                codes[i] = slice_from_string(text[i]);
        }
        return 100;
}

static void test_bracket_of_many(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        uint32_t untouched = host_counter(SLICE("another"));
        HostMark mark = host_page_mark(page, untouched);
        char text[100][8];
        Slice codes[100];
        size_t n = many_codes(text, codes);

        for (int round = 0; round < 2; round++) {
                uint64_t before[100];

                for (size_t i = 0; i < n; i++)
                        before[i] = host_page_mark(page, host_counter(codes[i])).generation;
                host_writer_committing(slot, 1, codes, n);
                host_writer_committed(slot, 1);
                for (size_t i = 0; i < n; i++)
                        assert_true(host_page_mark(page, host_counter(codes[i])).generation ==
                                    before[i] + 1);
        }
        assert_true(host_page_fresh(page, untouched, mark)); /* the rest is as fresh as before */
}

static void commit_many_and_die(const Fixture *f, int in, int out) {
        HostPage *page;
        HostSlot *slot;
        char text[100][8];
        Slice codes[100];
        size_t n = many_codes(text, codes);

        CHILD_CHECK(host_page_open(f->directory, &page) == 0);
        CHILD_CHECK(host_slot_claim(page, "many", "", &slot) == 0);
        host_writer_committing(slot, 0, codes, n);
        tell(out);
        (void)hear(in);
}

static void test_dead_writer_of_many(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        uint64_t epoch = host_page_mark(page, 0).epoch;
        Child child = child_start(f, commit_many_and_die);

        assert_true(hear(child.from_child));
        child_kill(&child);
        host_page_sweep(page);
        assert_true(host_page_mark(page, 0).epoch == epoch + 1);
        host_page_sweep(page);
        assert_true(host_page_mark(page, 0).epoch == epoch + 1);
}

/* ---- odd moments ---- */

/* Somebody is in the middle of a claim: a sweep goes on its way, the next one does it. */
static void test_sweep_does_not_wait(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        uint64_t epoch = host_page_mark(page, 0).epoch;
        _cleanup_(host_map_free_p) HostMap *other = NULL;
        HostSlot *slot;
        Child child = child_start(f, commit_many_and_die);

        assert_true(hear(child.from_child));
        child_kill(&child);
        assert_int_equal(host_map_open(f->path, true, &other), 0);
        assert_int_equal(host_map_try_lock(other, offsetof(PageHeader, table_lock)), 0);
        host_page_sweep(page);
        assert_true(host_page_mark(page, 0).epoch == epoch);
        host_map_unlock(other, offsetof(PageHeader, table_lock));
        host_page_sweep(page);
        assert_true(host_page_mark(page, 0).epoch == epoch + 1);

        /* Nor does a release; the slot is freed by a sweep. */
        slot = claim(page, "a", "");
        assert_int_equal(host_map_try_lock(other, offsetof(PageHeader, table_lock)), 0);
        (void)host_slot_release(slot);
        assert_true(other->page->header.used != 0);
        host_map_unlock(other, offsetof(PageHeader, table_lock));
        host_page_sweep(page);
        assert_true(other->page->header.used == 0);
}

/* Nor does who ships a dead neighbour's visits: the loop needs the lock that it would wait under.
 */
static void test_neighbour_does_not_wait(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_map_free_p) HostMap *other = NULL;
        HostSlotInfo info[HOST_SLOTS];
        Child child = child_start(f, commit_and_die);

        assert_true(hear(child.from_child));
        child_kill(&child);
        host_page_slots(page, info);
        assert_int_equal(host_map_open(f->path, true, &other), 0);
        assert_int_equal(host_map_try_lock(other, offsetof(PageHeader, table_lock)), 0);
        assert_false(host_neighbour_shipped(page, 0, info[0].claim, 5));
        assert_false(host_neighbour_drained(page, 0, info[0].claim));
        host_map_unlock(other, offsetof(PageHeader, table_lock));
        host_page_slots(page, info);
        assert_int_equal(info[0].shipped, 4);
        assert_true(host_neighbour_shipped(page, 0, info[0].claim, 5));
        host_page_slots(page, info);
        assert_int_equal(info[0].shipped, 9);
}

/* A process that died while it wrote its name. */
static void test_torn_identity(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_map_free_p) HostMap *map = NULL;
        HostSlotInfo info[HOST_SLOTS];
        HostSlot *slot = claim(page, "a", "");

        assert_int_equal(host_map_open(f->path, true, &map), 0);
        host_slot_appended(slot, 3);
        (void)host_slot_release(slot);
        map->page->slots[0].claim++;
        host_page_slots(page, info);
        assert_false(info[0].used);
        host_page_sweep(page);
        assert_true(map->page->header.used == 0);
        assert_int_equal(map->page->slots[0].claim % 2, 0);
        slot = claim(page, "a", "");
        host_page_slots(page, info);
        assert_true(info[0].used);
        assert_int_equal(info[0].appended, 0);
        (void)host_slot_release(slot);
}

/* ---- in a new page ---- */

static void test_bracket_across_pages(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        _cleanup_(host_page_free_p) HostPage *old = open_page(f);
        _cleanup_(host_page_free_p) HostPage *other = NULL;
        Slice code = SLICE("code");
        uint32_t counter = host_counter(code);
        HostMark in_old = host_page_mark(old, counter), in_new;

        /* replaced between the name and the COMMIT: both pages learn of it, nobody checked */
        host_writer_committing(slot, 0, &code, 1);
        assert_int_equal(unlink(f->path), 0);
        other = open_page(f);
        in_new = host_page_mark(other, counter);
        host_writer_committed(slot, 0);
        assert_false(host_page_fresh(other, counter, in_new));
        assert_false(host_page_fresh(old, counter, in_old));
        assert_true(host_page_check(page)); /* and the cache is to be emptied still */

        /* names come along: who dies now is found in the new page */
        host_writer_committing(slot, 7, &code, 1);
        assert_int_equal(unlink(f->path), 0);
        assert_true(host_page_check(page));
        assert_true(host_page_check(other));
        in_new = host_page_mark(other, counter);
        (void)host_slot_release(TAKE_PTR(slot));
        assert_false(host_page_fresh(other, counter, in_new));
}

/* Died before it came to the new page: who knows both looks into both. */
static void test_dead_writer_in_an_older_page(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        uint32_t counter = host_counter(SLICE("first"));
        HostMark mark;
        Child child = child_start(f, commit_and_die);

        assert_true(hear(child.from_child));
        assert_int_equal(unlink(f->path), 0);
        assert_true(host_page_check(page));
        mark = host_page_mark(page, counter);
        child_kill(&child);
        host_page_sweep(page);
        assert_false(host_page_fresh(page, counter, mark));
}

/* The slot cannot be claimed in the new page yet. */
static void test_slot_follows_later(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        _cleanup_(host_page_free_p) HostPage *other = NULL;
        HostSlotInfo info[HOST_SLOTS];
        HostSlot *thief;

        assert_int_equal(unlink(f->path), 0);
        other = open_page(f);
        thief = claim(other, "a", "");
        assert_true(host_page_check(page));
        assert_int_equal(host_page_state(page), -EAGAIN);
        host_slot_appended(slot, 4);
        (void)host_slot_release(thief);
        assert_false(host_page_check(page));
        assert_int_equal(host_page_state(page), 0);
        host_page_slots(other, info);
        assert_true(info[0].used && info[0].alive);
        assert_int_equal(info[0].appended - info[0].shipped, 4);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_claim_and_release),
                TEST_IN_FOLDER(test_neighbour_finishes_a_dead_writer),
                TEST_IN_FOLDER(test_bad_names),
                TEST_IN_FOLDER(test_all_slots),
                TEST_IN_FOLDER(test_takeover_keeps_the_numbers),
                TEST_IN_FOLDER(test_release_with_pending_visits_keeps_the_slot),
                TEST_IN_FOLDER(test_reused_slot),
                TEST_IN_FOLDER(test_bracket),
                TEST_IN_FOLDER(test_bracket_of_all),
                TEST_IN_FOLDER(test_bracket_of_many),
                TEST_IN_FOLDER(test_dead_writer_of_many),
                TEST_IN_FOLDER(test_sweep_does_not_wait),
                TEST_IN_FOLDER(test_neighbour_does_not_wait),
                TEST_IN_FOLDER(test_torn_identity),
                TEST_IN_FOLDER(test_bracket_across_pages),
                TEST_IN_FOLDER(test_dead_writer_in_an_older_page),
                TEST_IN_FOLDER(test_slot_follows_later),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
