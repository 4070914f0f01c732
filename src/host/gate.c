/* SPDX-License-Identifier: MIT */
/*
 * The gate's mutex, of which the C library and the kernel do all that is difficult. A pass is the
 * mutex itself: a page that was mapped meanwhile has another one, and this one stays mapped.
 */

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "basic/clock.h"
#include "host/gate.h"
#include "host/internal.h"

/* GCC 12's ThreadSanitizer does not know pthread_mutex_clocklock(). */
#ifdef __SANITIZE_THREAD__
# include <sanitizer/tsan_interface.h>
# define TSAN_BEFORE_LOCK(mutex) __tsan_mutex_pre_lock(mutex, __tsan_mutex_try_lock)
# define TSAN_AFTER_LOCK(mutex, got) \
  __tsan_mutex_post_lock(mutex,      \
                         __tsan_mutex_try_lock | ((got) ? 0 : __tsan_mutex_try_lock_failed), 0)
#else
# define TSAN_BEFORE_LOCK(mutex)
# define TSAN_AFTER_LOCK(mutex, got)
#endif

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((PageGate *)0)->mutex),
               "the mutex has its place");

int host_gate_make(PageGate *ret) {
        pthread_mutex_t mutex;
        pthread_mutexattr_t how;
        int r;

        *ret = (PageGate){.kind = 0};
        r = pthread_mutexattr_init(&how);
        if (r == 0)
                r = pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
        if (r == 0)
                r = pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
        if (r == 0)
                r = pthread_mutexattr_setprotocol(&how, PTHREAD_PRIO_INHERIT);
        memset(&mutex, 0, sizeof(mutex));
        if (r == 0)
                r = pthread_mutex_init(&mutex, &how);
        if (r != 0)
                return -r;
        memcpy(ret->mutex, &mutex, sizeof(mutex));
        ret->kind = PAGE_GATE_KIND;
        return 0;
}

static int lock_until(pthread_mutex_t *mutex, uint64_t deadline_usec) {
        const struct timespec t = {
                        .tv_sec = (time_t)(deadline_usec / USEC_PER_SEC),
                        .tv_nsec = (long)(deadline_usec % USEC_PER_SEC) * 1000,
        };
        int r;

        if (deadline_usec == 0)
                return pthread_mutex_lock(mutex);
        TSAN_BEFORE_LOCK(mutex);
        r = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &t);
        TSAN_AFTER_LOCK(mutex, r == 0 || r == EOWNERDEAD);
        return r;
}

/* A dead thread's number that nobody took out: the kernel found no list of what it held, since the
 * OOM killer had taken its memory back before. Does what the kernel does (robust-futexes.rst), as
 * the C library aborts at such a word. The word is a mutex' first, in every layout that the kernel
 * can work with. */
static void bury_owner(pthread_mutex_t *mutex) {
        uint32_t *word = (uint32_t *)mutex;
        uint32_t old = __atomic_load_n(word, __ATOMIC_RELAXED);
        pid_t tid = (pid_t)(old & FUTEX_TID_MASK);

        if (UNLIKELY(tid != 0) && kill(tid, 0) < 0 && errno == ESRCH)
                (void)__atomic_compare_exchange_n(word, &old,
                                                  (old & FUTEX_WAITERS) | FUTEX_OWNER_DIED, false,
                                                  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

int host_gate_enter(HostPage *page, uint64_t deadline_usec, void **ret_pass) {
        PageGate *gate = &page_layout(page)->header.gate;
        pthread_mutex_t *mutex = (pthread_mutex_t *)gate->mutex;
        int r;

        *ret_pass = NULL;
        if (__atomic_load_n(&gate->kind, __ATOMIC_ACQUIRE) != PAGE_GATE_KIND)
                return 0;
        bury_owner(mutex);
        r = lock_until(mutex, deadline_usec);
        if (r == EOWNERDEAD)
                r = pthread_mutex_consistent(mutex);
        if (r == ETIMEDOUT)
                return -ETIMEDOUT;
        if (r == 0)
                *ret_pass = mutex;
        return 0;
}

void host_gate_leave(void *pass) {
        if (pass)
                (void)pthread_mutex_unlock(pass);
}
