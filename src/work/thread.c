/* SPDX-License-Identifier: MIT */

/* Threads. Signals belong to the loop, so a new thread has them all blocked. */

#include "work/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define STACK_SIZE (512u * 1024) /* bytes; SQLite and libc's resolver need some 100 KB */

struct Thread {
        pthread_t thread;
        const char *name;
        void (*body)(void *userdata);
        void *userdata;
};

static void *run(void *userdata) {
        Thread *thread = userdata;

        (void)prctl(PR_SET_NAME, thread->name);
        thread->body(thread->userdata);
        return NULL;
}

int thread_start(const char *name, void (*body)(void *userdata), void *userdata, Thread **ret) {
        Thread *thread = calloc(1, sizeof *thread);
        sigset_t all, old;
        pthread_attr_t attr;
        int r;

        if (!thread)
                return -ENOMEM;
        *thread = (Thread){.name = name, .body = body, .userdata = userdata};
        r = pthread_attr_init(&attr);
        if (r == 0) {
                (void)pthread_attr_setstacksize(&attr, STACK_SIZE);
                (void)sigfillset(&all);
                (void)pthread_sigmask(SIG_BLOCK, &all, &old);
                r = pthread_create(&thread->thread, &attr, run, thread);
                (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
                (void)pthread_attr_destroy(&attr);
        }
        if (r != 0) {
                free(thread);
                return -r;
        }
        *ret = thread;
        return 0;
}

Thread *thread_join(Thread *thread) {
        if (thread) {
                (void)pthread_join(thread->thread, NULL);
                free(thread);
        }
        return NULL;
}
