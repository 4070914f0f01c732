/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The macros every file leans on: clean-up attributes, an assert that stays on in release builds
 * (a programming error ends the process where it happened, never later), and small arithmetic.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define _cleanup_(f)          __attribute__((cleanup(f)))
#define _unused_              __attribute__((unused))
#define _printf_(a, b)        __attribute__((format(printf, a, b)))
#define _must_check_          __attribute__((warn_unused_result))
#define _noreturn_            __attribute__((noreturn))
#define _pure_                __attribute__((pure))
#define LIKELY(x)             __builtin_expect(!!(x), 1)
#define UNLIKELY(x)           __builtin_expect(!!(x), 0)
#define ELEMENTSOF(a)         (sizeof(a) / sizeof((a)[0]))
#define CONTAINER_OF(p, T, m) ((T *)((char *)(p)-offsetof(T, m)))

#define MIN(a, b)             \
 __extension__({              \
__typeof__(a) _min_a = (a);        \
__typeof__(b) _min_b = (b);        \
_min_a < _min_b ? _min_a : _min_b; \
 })
#define MAX(a, b)             \
 __extension__({              \
__typeof__(a) _max_a = (a);        \
__typeof__(b) _max_b = (b);        \
_max_a > _max_b ? _max_a : _max_b; \
 })

/* Moves a pointer out of a variable with a clean-up, so that the clean-up finds NULL. */
#define TAKE_PTR(p)         \
 __extension__({            \
__typeof__(p) *_take_p = &(p);   \
__typeof__(p) _taken = *_take_p; \
*_take_p = NULL;                 \
_taken;                          \
 })

/* Moves a file descriptor out of a variable with a clean-up; leaves -1 (-EBADF is not used). */
#define TAKE_FD(fd)   \
 __extension__({      \
int *_take_fd = &(fd);     \
int _taken_fd = *_take_fd; \
*_take_fd = -1;            \
_taken_fd;                 \
 })

/* Declares the function that _cleanup_() takes for a type whose destructor is func(T *). */
#define DEFINE_CLEANUP(T, func)                \
 static inline _unused_ void func##_p(T **p) { \
  if (*p)                                      \
   (void)func(*p);                             \
 }

static inline _unused_ void free_p(void *p) {
        free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(free_p)

/* Prints file, line and expression to standard error and aborts. */
_noreturn_ void check_failed(const char *expression, const char *file, int line);

/* assert() that no build type switches off. */
#define CHECK(expression)                         \
 do {                                             \
  if (UNLIKELY(!(expression)))                    \
   check_failed(#expression, __FILE__, __LINE__); \
 } while (0)
