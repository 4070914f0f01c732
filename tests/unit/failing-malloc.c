/* SPDX-License-Identifier: MIT */

/* See failing-malloc.h. */

#include <errno.h>
#include <stdbool.h>

#include "failing-malloc.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static size_t n_allocations;
static size_t fails_at;

static bool fails(void) {
        if (++n_allocations != fails_at)
                return false;
        errno = ENOMEM;
        return true;
}

void failing_malloc_arm(size_t n) {
        n_allocations = 0;
        fails_at = n;
}

bool failing_malloc_happened(void) {
        return fails_at > 0 && n_allocations >= fails_at;
}

size_t failing_malloc_count(void) {
        return n_allocations;
}

void *__wrap_malloc(size_t size) {
        return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
        return fails() ? NULL : __real_realloc(p, size);
}
