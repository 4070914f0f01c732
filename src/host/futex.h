/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Sleeping on a word of memory (futex(2)), between processes and between threads, and a lock
 * between threads made of it: this folder serves threads but is below the one that makes them.
 */

#include <stdint.h>

/* Sleeps while *word == expected, until a wake or until usec passed; may return for no reason. The
 * word may lie in memory that processes share. */
void futex_sleep(uint32_t *word, uint32_t expected, uint64_t usec);
/* Wakes all that sleep on the word. */
void futex_wake_all(uint32_t *word);

/* 0: free; 1: held; 2: held and somebody sleeps on it. Between the threads of one process. */
typedef uint32_t HostLock;

void host_lock(HostLock *lock);
void host_unlock(HostLock *lock);
