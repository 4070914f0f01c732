/* SPDX-License-Identifier: MIT */

/*
 * Details of events as JSON text, written by hand and without an allocation but the result's: this
 * runs for every visit. Keys are given in sorted order by the callers below. Any thread.
 */

#include <stdint.h>

#include "basic/utf8.h"
#include "model/details.h"

#define PAIRS_MAX   3
#define REPLACEMENT 0xFFFDu /* for bytes that are no UTF-8: data must never end the process */

typedef struct Pair {
        Slice key; /* ASCII, nothing to escape */
        Slice value;
} Pair;

/* Where text goes; with data NULL it is only measured. */
typedef struct Sink {
        char *data;
        size_t len;
} Sink;

static void put(Sink *sink, Slice s) {
        if (sink->data && s.len)
                memcpy(sink->data + sink->len, s.data, s.len);
        sink->len += s.len;
}

static void put_byte(Sink *sink, char c) {
        put(sink, slice_make(&c, 1));
}

static void put_unit(Sink *sink, uint32_t unit) {
        static const char hex[] = "0123456789ABCDEF";
        char text[6] = {'\\',
                        'u',
                        hex[unit >> 12 & 15],
                        hex[unit >> 8 & 15],
                        hex[unit >> 4 & 15],
                        hex[unit & 15]};

        put(sink, slice_make(text, sizeof(text)));
}

/* The length of the run from at on that needs no escape. */
static size_t plain_length(Slice s, size_t at) {
        size_t n = 0;

        for (; at + n < s.len; n++) {
                unsigned char c = (unsigned char)s.data[at + n];

                if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
                        break;
        }
        return n;
}

static void put_character(Sink *sink, uint32_t c) {
        static const char letters[] = {['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r',
                                       ['\t'] = 't', ['"'] = '"',  ['\\'] = '\\'};

        if (c < sizeof(letters) && letters[c]) {
                put_byte(sink, '\\');
                put_byte(sink, letters[c]);
        } else if (c >= 0x20 && c < 0x80) {
                put_byte(sink, (char)c);
        } else if (c < 0x10000) {
                put_unit(sink, c);
        } else {
                put_unit(sink, 0xD800 + ((c - 0x10000) >> 10));
                put_unit(sink, 0xDC00 + (c & 0x3FF));
        }
}

static void put_string(Sink *sink, Slice s) {
        size_t at = 0;

        put_byte(sink, '"');
        while (at < s.len) {
                size_t n = plain_length(s, at);
                uint32_t c;

                put(sink, slice_make(s.data + at, n));
                at += n;
                if (at == s.len)
                        break;
                if (utf8_next(s, &at, &c) < 0) {
                        c = REPLACEMENT;
                        at++;
                }
                put_character(sink, c);
        }
        put_byte(sink, '"');
}

static void put_object(Sink *sink, const Pair *pairs, size_t n_pairs) {
        put_byte(sink, '{');
        for (size_t i = 0; i < n_pairs; i++) {
                if (i > 0)
                        put_byte(sink, ',');
                put_byte(sink, '"');
                put(sink, pairs[i].key);
                put(sink, SLICE("\":"));
                put_string(sink, pairs[i].value);
        }
        put_byte(sink, '}');
}

static Slice object(Arena *arena, const Pair *pairs, size_t n_pairs) {
        Sink measure = {0}, text = {0};

        put_object(&measure, pairs, n_pairs);
        text.data = arena_alloc(arena, measure.len + 1);
        if (!text.data)
                return SLICE_NONE;
        put_object(&text, pairs, n_pairs);
        text.data[text.len] = '\0';
        return slice_make(text.data, text.len);
}

void details_append_string(Buffer *out, Slice s) {
        Sink measure = {0}, text = {0};

        put_string(&measure, s);
        text.data = buffer_reserve(out, measure.len);
        if (!text.data)
                return;
        put_string(&text, s);
        out->len += text.len;
}

Slice details_created(Arena *arena, Slice target, Slice code) {
        const Pair pairs[] = {{SLICE("original_url"), target}, {SLICE("short_code"), code}};

        return object(arena, pairs, ELEMENTSOF(pairs));
}

Slice details_updated(Arena *arena, const char *field, Slice new_value) {
        const Pair pairs[] = {{SLICE("field"), slice_from_string(field)},
                              {SLICE("new_value"), new_value}};

        return object(arena, pairs, ELEMENTSOF(pairs));
}

Slice details_deleted(Arena *arena, const char *reason) {
        const Pair pair = {SLICE("reason"), slice_from_string(reason)};

        return object(arena, &pair, 1);
}

Slice details_redirect(Arena *arena, Slice ip, Slice user_agent, Slice referrer) {
        Pair pairs[PAIRS_MAX] = {{SLICE("ip"), ip}};
        size_t n = 1;

        if (referrer.data)
                pairs[n++] = (Pair){SLICE("referrer"), referrer};
        pairs[n++] = (Pair){SLICE("user_agent"), user_agent};
        return object(arena, pairs, n);
}
