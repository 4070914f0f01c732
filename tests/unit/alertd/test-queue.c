/* SPDX-License-Identifier: MIT */

/* The queue in memory, and how long a target is left alone. */

#include "alertd-test.h"

#include "alertd/forward.h"
#include "basic/clock.h"

static void add(Queue *queue, uint64_t first, const char *const *texts) {
        AlertBatch *batch = make_batch(texts);

        batch->first_seq = first;
        queue_add(queue, batch);
}

static void test_order(void **state) {
        static const char *const two[] = {"1", "22", NULL}, *const one[] = {"333", NULL};
        QueueAlert next;
        Queue queue;

        (void)state;
        queue_init(&queue);
        assert_false(queue_next(&queue, 0, &next));
        assert_int_equal(queue_oldest_end(&queue), 0);
        add(&queue, 1, two);
        add(&queue, 3, one);
        add(&queue, 10, two); /* numbers between are lost with a damaged file */
        assert_int_equal(queue.last_seq, 11);
        assert_int_equal(queue.n_bytes, 9);
        assert_true(queue_next(&queue, 0, &next));
        assert_int_equal(next.seq, 1);
        assert_true(queue_next(&queue, 1, &next));
        assert_int_equal(next.text.len, 2);
        assert_true(queue_next(&queue, 3, &next));
        assert_int_equal(next.seq, 10);
        assert_false(queue_next(&queue, 11, &next));
        assert_int_equal(queue_oldest_end(&queue), 2);
        queue_pass(&queue, 1);
        assert_int_equal(queue_oldest_end(&queue), 2);
        queue_pass(&queue, 3);
        assert_int_equal(queue_oldest_end(&queue), 11);
        assert_int_equal(queue.n_bytes, 3);
        queue_pass(&queue, 100);
        assert_int_equal(queue.n_bytes, 0);
        assert_int_equal(queue.last_seq, 11);
        queue_done(&queue);
}

/* 1 s, 2 s, 4 s ... 300 s, each by half more or less; what the target says, and up to a tenth more.
 */
static void test_delay(void **state) {
        uint64_t expected = USEC_PER_SEC;

        (void)state;
        for (unsigned n = 1; n < 40; n++) {
                assert_int_equal(forward_delay(n, 0, 0), expected / 2);
                assert_in_range(forward_delay(n, 0, UINT32_MAX), expected * 3 / 2 - 10,
                                expected * 3 / 2);
                expected = MIN(expected * 2, 300 * USEC_PER_SEC);
        }
        assert_int_equal(forward_delay(9, 7 * USEC_PER_SEC, 0), 7 * USEC_PER_SEC);
        assert_in_range(forward_delay(1, 10 * USEC_PER_SEC, UINT32_MAX), 11 * USEC_PER_SEC - 10,
                        11 * USEC_PER_SEC);
        /* A target that asks for a year does not get it. */
        assert_int_equal(forward_delay(1, 365 * 86400 * USEC_PER_SEC, 0), 3600 * USEC_PER_SEC);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_order),
                        cmocka_unit_test(test_delay),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
