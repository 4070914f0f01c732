/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Allocations that fail on demand, for tests. The program must be linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc; libraries that are linked dynamically keep the
 * real ones. One thread.
 */

#include <stddef.h>

/* The n-th allocation from now on fails (1: the next), and all others pass; 0: none fails. */
void failing_malloc_arm(size_t n);

/* Did the allocation that was to fail come up since failing_malloc_arm()? */
_Bool failing_malloc_happened(void);

/* Allocations since failing_malloc_arm(). */
size_t failing_malloc_count(void);
