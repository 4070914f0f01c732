/* SPDX-License-Identifier: MIT */

/* Query strings. Any thread; no state. */

#include "http/query.h"

#include <errno.h>

#include "http/chars.h"

static const char hex_digits[] = "0123456789ABCDEF";

/* The decoded byte at *at (which is before the end), and on to the next. */
static char decode_byte(Slice s, size_t *at) {
        char c = s.data[(*at)++];

        if (c == '+')
                return ' ';
        if (c == '%' && s.len - *at >= 2) {
                int high = http_hex(s.data[*at]), low = http_hex(s.data[*at + 1]);

                if (high >= 0 && low >= 0) {
                        *at += 2;
                        return (char)(high << 4 | low);
                }
        }
        return c;
}

static bool name_matches(Slice text, Slice name) {
        size_t at = 0;

        for (size_t i = 0; i < name.len; i++)
                if (at == text.len || decode_byte(text, &at) != name.data[i])
                        return false;
        return at == text.len;
}

int http_query_get(Arena *arena, Slice query, Slice name, Slice *ret) {
        Slice pair, key, value;

        while (query.len > 0) {
                size_t at = 0, n = 0;
                char *copy;

                (void)slice_cut(query, '&', &pair, &query);
                (void)slice_cut(pair, '=', &key, &value);
                if (!name_matches(key, name))
                        continue;
                /* Decoded text is never longer than its source. */
                copy = arena_alloc(arena, value.len);
                if (!copy)
                        return -ENOMEM;
                while (at < value.len)
                        copy[n++] = decode_byte(value, &at);
                *ret = slice_make(copy, n);
                return 1;
        }
        return 0;
}

static bool is_unreserved(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_' || c == '~';
}

void http_query_escape(Buffer *out, Slice value) {
        for (size_t i = 0; i < value.len; i++) {
                unsigned char c = (unsigned char)value.data[i];
                char escape[3] = {'%', hex_digits[c >> 4], hex_digits[c & 15]};

                if (is_unreserved(value.data[i]))
                        buffer_append_byte(out, value.data[i]);
                else
                        buffer_append(out, slice_make(escape, sizeof escape));
        }
}
