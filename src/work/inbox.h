/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Two one-way queues of list nodes between the loop and other threads. An Inbox is what threads
 * wait on; an Outbox is what they fill for the loop, which finds its eventfd readable. What a node
 * belongs to moves with it: after a push the sender must not touch it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/list.h"

typedef struct Inbox Inbox;
typedef struct Outbox Outbox;

/* limit: nodes that may wait. */
int inbox_new(size_t limit, Inbox **ret) _must_check_;
Inbox *inbox_free(Inbox *inbox); /* must be empty, nobody waiting */
DEFINE_CLEANUP(Inbox, inbox_free)
/* -ENOBUFS: full, the node stays the caller's. */
int inbox_push(Inbox *inbox, ListNode *node) _must_check_;
/* One that was taken goes back to where it was. */
void inbox_return(Inbox *inbox, ListNode *node);
/* Waits for one node, at most usec (0: for ever). NULL: time is up, or the inbox was closed and is
 * empty. */
ListNode *inbox_take(Inbox *inbox, uint64_t usec);
/* Waits likewise, then moves all that is there behind head. false: nothing. */
bool inbox_take_all(Inbox *inbox, uint64_t usec, ListNode *head);
void inbox_close(Inbox *inbox); /* wakes everybody; what is in it is still taken */
bool inbox_closed(Inbox *inbox);
size_t inbox_length(Inbox *inbox);

int outbox_new(Outbox **ret) _must_check_;
Outbox *outbox_free(Outbox *outbox);
DEFINE_CLEANUP(Outbox, outbox_free)
void outbox_push(Outbox *outbox, ListNode *node);
/* An eventfd, readable when something is in it. */
int outbox_fd(const Outbox *outbox);
/* Moves all behind head and clears the descriptor. */
void outbox_take_all(Outbox *outbox, ListNode *head);
