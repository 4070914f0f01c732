/* SPDX-License-Identifier: MIT */

/*
 * Query strings: any bytes. The value that is found is the one that a plain decoder finds, and any
 * bytes survive being escaped and read again.
 */

#include <stddef.h>
#include <stdint.h>

#include "http/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int hex(char c) {
        static const char digits[] = "0123456789abcdef0123456789ABCDEF";
        ptrdiff_t at = slice_find(slice_make(digits, 32), c);

        return at < 0 ? -1 : (int)(at % 16);
}

/* Another way to decode: no state, everything copied. */
static Slice decode(Arena *arena, Slice s) {
        char *text = arena_alloc(arena, s.len);
        size_t n = 0;

        CHECK(text);
        while (s.len > 0) {
                bool escape = s.len >= 3 && s.data[0] == '%' && hex(s.data[1]) >= 0 &&
                              hex(s.data[2]) >= 0;

                text[n] = s.data[0];
                if (escape)
                        text[n] = (char)(hex(s.data[1]) * 16 + hex(s.data[2]));
                else if (text[n] == '+')
                        text[n] = ' ';
                s = slice_from(s, escape ? 3 : 1);
                n++;
        }
        return slice_make(text, n);
}

static bool find(Arena *arena, Slice query, Slice name, Slice *ret) {
        Slice pair, key, value;

        while (query.len > 0) {
                (void)slice_cut(query, '&', &pair, &query);
                (void)slice_cut(pair, '=', &key, &value);
                if (slice_equal(decode(arena, key), name)) {
                        *ret = decode(arena, value);
                        return true;
                }
        }
        return false;
}

static void check_name(Arena *arena, Slice query, Slice name) {
        Slice found = SLICE("?"), expected = SLICE("?");
        int r = http_query_get(arena, query, name, &found);

        CHECK(r == find(arena, query, name, &expected));
        CHECK(slice_equal(found, expected));
}

static void check_escape(Arena *arena, Slice value) {
        Buffer query = BUFFER_EMPTY;
        Slice found;

        buffer_append(&query, SLICE("x=1&"));
        http_query_escape(&query, value);
        buffer_append(&query, SLICE("="));
        http_query_escape(&query, value);
        buffer_append(&query, SLICE("&y"));
        CHECK(!query.failed);
        /* A name that is there already is found there. */
        if (!slice_equal(value, SLICE("x"))) {
                CHECK(http_query_get(arena, buffer_slice(&query), value, &found) == 1);
                CHECK(slice_equal(found, value));
        }
        buffer_done(&query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Slice query = slice_make((const char *)data, size), first, rest;
        Arena arena;

        arena_init(&arena, 0);
        (void)slice_cut(query, '=', &first, &rest);
        check_name(&arena, query, SLICE("page"));
        check_name(&arena, query, SLICE(""));
        check_name(&arena, query, SLICE("a b"));
        check_name(&arena, query, first);
        check_name(&arena, query, decode(&arena, first));
        check_escape(&arena, query);
        arena_done(&arena);
        return 0;
}
