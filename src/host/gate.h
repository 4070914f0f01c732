/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The gate of a store that lets one write at a time (SQLite): all writers of the host stand in one
 * queue before it, so that nobody polls for the file's lock and nobody starves. The mutex lies in
 * the host page; it is robust (the kernel gives on what a dead process held) and inherits
 * priorities, which also means that the kernel hands it on in the order of arrival and that nobody
 * who is awake can snatch it (futex(2), FUTEX_LOCK_PI2; pthread_mutexattr_setprotocol(3)).
 *
 * It orders, it protects nothing: the file's own lock does that, for who comes without a page too.
 */

#include <stdint.h>

#include "host/page.h"

/* Waits in the queue until it is this thread's turn, or until deadline_usec (CLOCK_MONOTONIC; 0:
 * however long). 0: *ret_pass is to be given back with host_gate_leave() by the same thread; NULL:
 * there is no queue (a page made by an older version, a kernel before 5.14): go on without.
 * -ETIMEDOUT.
 */
int host_gate_enter(HostPage *page, uint64_t deadline_usec, void **ret_pass) _must_check_;
void host_gate_leave(void *pass); /* NULL: nothing */
