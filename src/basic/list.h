/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An intrusive, circular, doubly linked list with a head node. O(1) insert, remove and move; an
 * item knows whether it is linked. The idea is the kernel's list.h; the code is our own.
 */

#include <stdbool.h>

#include "basic/check.h"

typedef struct ListNode {
        struct ListNode *next;
        struct ListNode *prev;
} ListNode;

static inline void list_init(ListNode *head) {
        head->next = head->prev = head;
}

static inline bool list_empty(const ListNode *head) {
        return head->next == head;
}

static inline bool list_linked(const ListNode *node) {
        return node->next && node->next != node;
}

static inline void list_append(ListNode *head, ListNode *node) {
        node->prev = head->prev;
        node->next = head;
        head->prev->next = node;
        head->prev = node;
}

static inline void list_remove(ListNode *node) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
        node->next = node->prev = node;
}

static inline void list_move(ListNode *head, ListNode *node) {
        if (list_linked(node))
                list_remove(node);
        list_append(head, node);
}

static inline ListNode *list_first(const ListNode *head) {
        return list_empty(head) ? NULL : head->next;
}

#define LIST_ENTRY(node, T, member) CONTAINER_OF(node, T, member)
#define LIST_FOREACH(node, head) \
 for (ListNode *node = (head)->next; node != (head); node = node->next)
/* The body may remove `node`. */
#define LIST_FOREACH_SAFE(node, head)                                           \
 for (ListNode *node = (head)->next, *node##_next = node->next; node != (head); \
      node = node##_next, node##_next = node->next)
