/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A Slice is a borrowed run of bytes: pointer and length by value, no terminator, no ownership.
 * It must never be stored in something that lives longer than the bytes it points at.
 */

#include <stdbool.h>
#include <string.h>

#include "basic/check.h"

typedef struct Slice {
        const char *data; /* may be NULL when len is 0 */
        size_t len;       /* bytes */
} Slice;

#define SLICE(literal) ((Slice){("" literal ""), sizeof(literal) - 1})
#define SLICE_NONE     ((Slice){NULL, 0})
/* For printf("%.*s", SLICE_ARG(s)). */
#define SLICE_ARG(s) (int)(s).len, ((s).data ? (s).data : "")

static inline Slice slice_make(const char *data, size_t len) {
        return (Slice){data, len};
}

static inline Slice slice_from_string(const char *s) {
        return (Slice){s, s ? strlen(s) : 0};
}

static inline bool slice_equal(Slice a, Slice b) {
        return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool slice_starts_with(Slice s, Slice prefix) {
        return s.len >= prefix.len &&
               (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

/* The rest of s from offset (clamped to its end). */
static inline Slice slice_from(Slice s, size_t offset) {
        if (!s.data)
                return SLICE_NONE;
        return offset >= s.len ? (Slice){s.data + s.len, 0}
                               : (Slice){s.data + offset, s.len - offset};
}

/* Bytes [from, to) of s; from <= to <= s.len. */
static inline Slice slice_sub(Slice s, size_t from, size_t to) {
        return s.data ? (Slice){s.data + from, to - from} : SLICE_NONE;
}

/* ASCII case folding only. */
bool slice_equal_nocase(Slice a, Slice b) _pure_;
bool slice_starts_with_nocase(Slice s, Slice prefix) _pure_;

/* Index of the first byte c, or -1. */
ptrdiff_t slice_find(Slice s, char c) _pure_;

/* Index of the first occurrence of needle (not empty), or -1. */
ptrdiff_t slice_search(Slice s, Slice needle) _pure_;

/* Without leading and trailing ASCII white space (space, \t, \n, \v, \f, \r). */
Slice slice_trim(Slice s) _pure_;

/* Cuts s at the first c: *ret_head is before it, *ret_tail behind it; false (all in head) if none.
 */
bool slice_cut(Slice s, char c, Slice *ret_head, Slice *ret_tail);

/* -1, 0, 1 in byte order. */
int slice_compare(Slice a, Slice b) _pure_;

/* A malloc'ed, NUL terminated copy; NULL when memory is out. The caller frees it. */
char *slice_to_string(Slice s) _must_check_;
