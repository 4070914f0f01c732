/* SPDX-License-Identifier: MIT */
/* Memory runs out, or a lock cannot be had for another reason than that somebody has it. */

#include "host-test.h"

#include <sys/file.h>

static int calls_left = -1; /* until calls fail; -1: never */

static bool fails(void) {
        if (calls_left < 0)
                return false;
        if (calls_left == 0)
                return true;
        calls_left--;
        return false;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
        return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

int __wrap_flock(int fd, int operation) {
        if (fails()) {
                errno = ENOLCK;
                return -1;
        }
        return __real_flock(fd, operation);
}

static void test_open(void **state) {
        Fixture *f = *state;
        HostPage *page = NULL;
        int r, n = 0;

        do {
                calls_left = n++;
                r = host_page_open(f->directory, &page);
                calls_left = -1;
                assert_true(r == 0 || r == -ENOMEM || r == -ENOLCK);
                assert_true(r == 0 || !page);
        } while (r < 0);
        assert_true(n > 4);
        (void)host_page_free(page);
}

static void test_claim(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostSlot *slot = NULL;
        int r, n = 0;

        do {
                calls_left = n++;
                r = host_slot_claim(page, "a", "", &slot);
                calls_left = -1;
                assert_true(r == 0 || r == -ENOMEM);
        } while (r < 0);
        assert_int_equal(n, 3);
        (void)host_slot_release(slot);
}

static void test_moving_is_tried_again(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        HostSlot *slot = claim(page, "a", "");
        HostSlotInfo info[HOST_SLOTS];
        bool moved = false;
        int n = 0;

        assert_int_equal(unlink(f->path), 0);
        do {
                calls_left = n++;
                moved |= host_page_check(page);
                calls_left = -1;
        } while (host_page_state(page) != 0);
        assert_true(moved && n > 3);
        host_page_slots(page, info);
        assert_true(info[0].used && info[0].alive);
        (void)host_slot_release(slot);
}

/* No memory for a long list of counters: everything is stale instead. */
static void test_many_codes_without_memory(void **state) {
        Fixture *f = *state;
        _cleanup_(host_page_free_p) HostPage *page = open_page(f);
        _cleanup_(host_slot_release_p) HostSlot *slot = claim(page, "a", "");
        HostMark mark = host_page_mark(page, 0);
        Slice codes[17];

        for (size_t i = 0; i < ELEMENTSOF(codes); i++)
                codes[i] = SLICE("code");
        calls_left = 0;
        host_writer_committing(slot, 0, codes, ELEMENTSOF(codes));
        calls_left = -1;
        host_writer_committed(slot, 0);
        assert_true(host_page_mark(page, 0).epoch == mark.epoch + 1);
}

/* clang-format off */
int main(void) {
        const struct CMUnitTest tests[] = {
                TEST_IN_FOLDER(test_open),
                TEST_IN_FOLDER(test_claim),
                TEST_IN_FOLDER(test_moving_is_tried_again),
                TEST_IN_FOLDER(test_many_codes_without_memory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
/* clang-format on */
