/* SPDX-License-Identifier: MIT */

/* Query strings. Any thread; no state. */

#include "http/query.h"

#include <errno.h>

#include "http/chars.h"

static const char hex_digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                    '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};

/* Decoded text is never longer than its source. Returns its length. */
static size_t decode(Slice s, char *out) {
        size_t n = 0;

        for (size_t i = 0; i < s.len; i++) {
                int high, low;

                if (s.data[i] == '%' && i + 2 < s.len && (high = http_hex(s.data[i + 1])) >= 0 &&
                    (low = http_hex(s.data[i + 2])) >= 0) {
                        out[n++] = (char)(high << 4 | low);
                        i += 2;
                } else
                        out[n++] = s.data[i] == '+' ? ' ' : s.data[i];
        }
        return n;
}

static bool name_matches(Arena *arena, Slice text, Slice name, int *ret_error) {
        char *copy;

        if (text.len == name.len)
                return slice_equal(text, name);
        if (text.len < name.len || slice_find(text, '%') < 0)
                return false;
        copy = arena_alloc(arena, text.len);
        if (!copy) {
                *ret_error = -ENOMEM;
                return false;
        }
        return slice_equal(slice_make(copy, decode(text, copy)), name);
}

int http_query_get(Arena *arena, Slice query, Slice name, Slice *ret) {
        Slice pair, key, value;
        int error = 0;
        char *copy;

        while (query.len > 0) {
                (void)slice_cut(query, '&', &pair, &query);
                if (!slice_cut(pair, '=', &key, &value))
                        value = slice_make("", 0);
                if (!name_matches(arena, key, name, &error)) {
                        if (error < 0)
                                return error;
                        continue;
                }
                copy = arena_alloc(arena, value.len + 1);
                if (!copy)
                        return -ENOMEM;
                *ret = slice_make(copy, decode(value, copy));
                return 1;
        }
        return 0;
}

void http_query_escape(Buffer *out, Slice value) {
        for (size_t i = 0; i < value.len; i++) {
                unsigned char c = (unsigned char)value.data[i];
                char escape[3] = {'%', hex_digits[c >> 4], hex_digits[c & 15]};

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_' || c == '~')
                        buffer_append_byte(out, (char)c);
                else
                        buffer_append(out, slice_make(escape, sizeof escape));
        }
}
