/* SPDX-License-Identifier: MIT */

/* The intrusive list. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "basic/list.h"

typedef struct Item {
        int value;
        ListNode node;
} Item;

static void assert_order(ListNode *head, const int *values, size_t n) {
        size_t i = 0;

        LIST_FOREACH(node, head) {
                assert_true(i < n);
                assert_int_equal(LIST_ENTRY(node, Item, node)->value, values[i++]);
                assert_ptr_equal(node->next->prev, node);
        }
        assert_int_equal(i, n);
}

static void test_order_and_moves(void **state) {
        Item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
        ListNode head, other;

        (void)state;
        list_init(&head);
        list_init(&other);
        assert_true(list_empty(&head));
        assert_null(list_first(&head));
        for (size_t i = 0; i < 3; i++) {
                assert_false(list_linked(&items[i].node));
                list_append(&head, &items[i].node);
                assert_true(list_linked(&items[i].node));
        }
        assert_order(&head, (int[]){1, 2, 3}, 3);
        assert_ptr_equal(list_first(&head), &items[0].node);
        list_move(&head, &items[0].node);
        assert_order(&head, (int[]){2, 3, 1}, 3);
        list_move(&other, &items[2].node);
        assert_order(&head, (int[]){2, 1}, 2);
        assert_order(&other, (int[]){3}, 1);
        list_remove(&items[2].node);
        assert_false(list_linked(&items[2].node));
        assert_true(list_empty(&other));
        /* Removing twice, and moving what is not linked, are fine. */
        list_remove(&items[2].node);
        list_move(&head, &items[2].node);
        assert_order(&head, (int[]){2, 1, 3}, 3);
}

static void test_removal_while_iterating(void **state) {
        Item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
        ListNode head;

        (void)state;
        list_init(&head);
        for (size_t i = 0; i < 4; i++)
                list_append(&head, &items[i].node);
        LIST_FOREACH_SAFE(node, &head)
                if (LIST_ENTRY(node, Item, node)->value % 2 == 0)
                        list_remove(node);
        assert_order(&head, (int[]){1, 3}, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_order_and_moves),
                        cmocka_unit_test(test_removal_while_iterating),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
