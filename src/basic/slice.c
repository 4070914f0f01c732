/* SPDX-License-Identifier: MIT */

/* Searching, comparing and trimming of slices. Any thread; nothing here looks at the locale. */

#include "basic/slice.h"

static unsigned char lower(char c) {
        return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_space(char c) {
        return c == ' ' || (c >= '\t' && c <= '\r');
}

bool slice_equal_nocase(Slice a, Slice b) {
        return a.len == b.len && slice_starts_with_nocase(a, b);
}

bool slice_starts_with_nocase(Slice s, Slice prefix) {
        if (s.len < prefix.len)
                return false;
        for (size_t i = 0; i < prefix.len; i++)
                if (lower(s.data[i]) != lower(prefix.data[i]))
                        return false;
        return true;
}

ptrdiff_t slice_find(Slice s, char c) {
        const char *found = s.len ? memchr(s.data, c, s.len) : NULL;

        return found ? found - s.data : -1;
}

ptrdiff_t slice_search(Slice s, Slice needle) {
        const char *found;

        CHECK(needle.len > 0);
        found = s.len ? memmem(s.data, s.len, needle.data, needle.len) : NULL;
        return found ? found - s.data : -1;
}

Slice slice_trim(Slice s) {
        while (s.len > 0 && is_space(s.data[s.len - 1]))
                s.len--;
        while (s.len > 0 && is_space(s.data[0])) {
                s.data++;
                s.len--;
        }
        return s;
}

bool slice_cut(Slice s, char c, Slice *ret_head, Slice *ret_tail) {
        ptrdiff_t at = slice_find(s, c);

        if (at < 0) {
                *ret_head = s;
                *ret_tail = slice_from(s, s.len);
                return false;
        }
        *ret_head = slice_sub(s, 0, (size_t)at);
        *ret_tail = slice_from(s, (size_t)at + 1);
        return true;
}

int slice_compare(Slice a, Slice b) {
        size_t n = MIN(a.len, b.len);
        int order = n ? memcmp(a.data, b.data, n) : 0;

        if (order != 0)
                return order < 0 ? -1 : 1;
        return (a.len > b.len) - (a.len < b.len);
}

char *slice_to_string(Slice s) {
        char *copy = s.len < SIZE_MAX ? malloc(s.len + 1) : NULL;

        if (!copy)
                return NULL;
        if (s.len)
                memcpy(copy, s.data, s.len);
        copy[s.len] = '\0';
        return copy;
}
