/* SPDX-License-Identifier: MIT */

/* The 1st, 2nd, ... allocation of what makes queues and pools fails: -ENOMEM, and nothing leaks. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "failing-malloc.h"
#include "work/pool.h"

static void test_inbox(void **state _unused_) {
        Inbox *inbox = NULL;
        int r = -ENOMEM;

        for (size_t n = 1; r != 0; n++) {
                failing_malloc_arm(n);
                r = inbox_new(4, &inbox);
                assert_true(r == 0 || r == -ENOMEM);
        }
        failing_malloc_arm(0);
        (void)inbox_free(inbox);
}

static void test_outbox(void **state _unused_) {
        Outbox *outbox = NULL;
        int r = -ENOMEM;

        for (size_t n = 1; r != 0; n++) {
                failing_malloc_arm(n);
                r = outbox_new(&outbox);
                assert_true(r == 0 || r == -ENOMEM);
        }
        failing_malloc_arm(0);
        (void)outbox_free(outbox);
}

static void test_pool(void **state _unused_) {
        const PoolOptions options = {.n_workers = 1, .queue_max = 2};
        Outbox *outbox = NULL;
        Pool *pool = NULL;
        int r = -ENOMEM;

        assert_int_equal(outbox_new(&outbox), 0);
        for (size_t n = 1; r != 0; n++) {
                failing_malloc_arm(n);
                r = pool_new(&options, NULL, NULL, NULL, outbox, &pool);
                assert_true(r == 0 || r == -ENOMEM);
        }
        failing_malloc_arm(0);
        (void)pool_free(pool);
        (void)outbox_free(outbox);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_inbox),
                        cmocka_unit_test(test_outbox),
                        cmocka_unit_test(test_pool),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
