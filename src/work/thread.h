/* SPDX-License-Identifier: MIT */
#pragma once

/* Named threads with a small stack and no signals: the only place that starts one. */

#include <stddef.h>

#include "basic/check.h"

typedef struct Thread Thread;

/* Starts body(userdata) on a thread of that name (15 characters at most show). All signals are
 * blocked on it. */
int thread_start(const char *name, void (*body)(void *userdata), void *userdata,
                 Thread **ret) _must_check_;
/* Waits for its end. */
Thread *thread_join(Thread *thread);
DEFINE_CLEANUP(Thread, thread_join)
