/* SPDX-License-Identifier: MIT */

/* The queues between threads: order, limits, closing, and that nothing is lost between threads. */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/clock.h"
#include "work/inbox.h"
#include "work/thread.h"

typedef struct Item {
        ListNode node;
        unsigned n;
} Item;

static void test_order_limit_close(void **state _unused_) {
        _cleanup_(inbox_free_p) Inbox *inbox = NULL;
        Item items[3] = {{.n = 0}, {.n = 1}, {.n = 2}};

        assert_int_equal(inbox_new(2, &inbox), 0);
        assert_int_equal(inbox_push(inbox, &items[0].node), 0);
        assert_int_equal(inbox_push(inbox, &items[1].node), 0);
        assert_int_equal(inbox_push(inbox, &items[2].node), -ENOBUFS);
        assert_int_equal(inbox_length(inbox), 2);
        assert_ptr_equal(inbox_take(inbox, 1), &items[0].node);
        assert_false(inbox_closed(inbox));
        inbox_close(inbox);
        assert_true(inbox_closed(inbox));
        assert_int_equal(inbox_push(inbox, &items[2].node), -ENOBUFS);
        assert_ptr_equal(inbox_take(inbox, 0), &items[1].node);
        assert_null(inbox_take(inbox, 0));
}

static void test_waits_no_longer_than_told(void **state _unused_) {
        _cleanup_(inbox_free_p) Inbox *inbox = NULL;
        uint64_t start = clock_monotonic_usec();
        ListNode head;

        list_init(&head);
        assert_int_equal(inbox_new(2, &inbox), 0);
        assert_null(inbox_take(inbox, 20000));
        assert_false(inbox_take_all(inbox, 20000, &head));
        assert_true(clock_monotonic_usec() - start >= 40000);
}

static void test_outbox_is_readable_when_filled(void **state _unused_) {
        _cleanup_(outbox_free_p) Outbox *outbox = NULL;
        Item items[2] = {{.n = 0}, {.n = 1}};
        struct pollfd poll_fd;
        ListNode head;

        list_init(&head);
        assert_int_equal(outbox_new(&outbox), 0);
        poll_fd = (struct pollfd){.fd = outbox_fd(outbox), .events = POLLIN};
        assert_int_equal(poll(&poll_fd, 1, 0), 0);
        outbox_push(outbox, &items[0].node);
        outbox_push(outbox, &items[1].node);
        assert_int_equal(poll(&poll_fd, 1, 0), 1);
        outbox_take_all(outbox, &head);
        assert_int_equal(poll(&poll_fd, 1, 0), 0);
        assert_ptr_equal(list_first(&head), &items[0].node);
        list_remove(&items[0].node);
        assert_ptr_equal(list_first(&head), &items[1].node);
        list_remove(&items[1].node);
}

typedef struct Relay {
        Inbox *in;
        Outbox *out;
} Relay;

static void relay(void *userdata) {
        Relay *relay = userdata;
        ListNode *node;

        while ((node = inbox_take(relay->in, 0)))
                outbox_push(relay->out, node);
}

/* Through two threads and back: every item comes once. */
static void test_threads_lose_nothing(void **state _unused_) {
        enum { ITEMS = 20000, THREADS = 2 };
        _cleanup_free_ Item *items = calloc(ITEMS, sizeof *items);
        _cleanup_(inbox_free_p) Inbox *inbox = NULL;
        _cleanup_(outbox_free_p) Outbox *outbox = NULL;
        Thread *threads[THREADS];
        unsigned n_back = 0;
        Relay shared;

        assert_non_null(items);
        assert_int_equal(inbox_new(ITEMS, &inbox), 0);
        assert_int_equal(outbox_new(&outbox), 0);
        shared = (Relay){inbox, outbox};
        for (unsigned i = 0; i < THREADS; i++)
                assert_int_equal(thread_start("relay", relay, &shared, &threads[i]), 0);
        for (unsigned i = 0; i < ITEMS; i++)
                assert_int_equal(inbox_push(inbox, &items[i].node), 0);
        while (n_back < ITEMS) {
                struct pollfd poll_fd = {.fd = outbox_fd(outbox), .events = POLLIN};
                ListNode head;

                list_init(&head);
                assert_int_equal(poll(&poll_fd, 1, 10000), 1);
                outbox_take_all(outbox, &head);
                while (!list_empty(&head)) {
                        Item *item = LIST_ENTRY(list_first(&head), Item, node);

                        list_remove(&item->node);
                        assert_int_equal(item->n++, 0);
                        n_back++;
                }
        }
        inbox_close(inbox);
        for (unsigned i = 0; i < THREADS; i++)
                (void)thread_join(threads[i]);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_order_limit_close),
                        cmocka_unit_test(test_waits_no_longer_than_told),
                        cmocka_unit_test(test_outbox_is_readable_when_filled),
                        cmocka_unit_test(test_threads_lose_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
