/* SPDX-License-Identifier: MIT */
/*
 * futex(2) and the lock between threads. The lock is the three-state one of "Futexes are tricky"
 * (Drepper, 2011): a thread that had to wait takes the lock as "held and slept on", so that its
 * release wakes the next one.
 */

#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "basic/clock.h"
#include "host/futex.h"

static void sleep_on(uint32_t *word, int operation, uint32_t expected, const struct timespec *t) {
        (void)syscall(SYS_futex, word, operation, expected, t, NULL, 0);
}

void futex_sleep(uint32_t *word, uint32_t expected, uint64_t usec) {
        const struct timespec t = {
                        .tv_sec = (time_t)(usec / USEC_PER_SEC),
                        .tv_nsec = (long)(usec % USEC_PER_SEC) * 1000,
        };

        sleep_on(word, FUTEX_WAIT, expected, &t);
}

void futex_wake_all(uint32_t *word) {
        (void)syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void host_lock(HostLock *lock) {
        uint32_t state = 0;

        if (__atomic_compare_exchange_n(lock, &state, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
                return;
        while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE) != 0)
                sleep_on(lock, FUTEX_WAIT_PRIVATE, 2, NULL);
}

void host_unlock(HostLock *lock) {
        if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
                (void)syscall(SYS_futex, lock, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
