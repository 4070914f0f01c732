/* SPDX-License-Identifier: MIT */

/* Parts of targets. The form is known, so nothing is parsed again. */

#include <arpa/inet.h>

#include "model/host.h"
#include "policy/location.h"
#include "policy/special.h"

typedef struct Parts {
        Slice scheme;    /* with "://" */
        Slice authority; /* host and port */
        Slice rest;      /* from the path on */
} Parts;

/* false: it is no location. */
static bool split(Slice location, Parts *ret) {
        ptrdiff_t at = slice_search(location, SLICE("://"));
        size_t begin, end;

        if (at < 0)
                return false;
        begin = end = (size_t)at + 3;
        while (end < location.len && !strchr("/?#", location.data[end]))
                end++;
        ret->scheme = slice_sub(location, 0, begin);
        ret->rest = slice_from(location, end);
        for (at = (ptrdiff_t)end; at > (ptrdiff_t)begin && location.data[at - 1] != '@';)
                at--;
        ret->authority = slice_sub(location, (size_t)at, end);
        return true;
}

Slice location_host(Slice location) {
        Slice authority, host, rest;
        Parts parts;

        if (!split(location, &parts))
                return SLICE("");
        authority = parts.authority;
        if (slice_starts_with(authority, SLICE("["))) {
                ptrdiff_t bracket = slice_find(authority, ']');

                return slice_sub(authority, 0, (size_t)(bracket + 1));
        }
        (void)slice_cut(authority, ':', &host, &rest);
        return host;
}

Slice location_without_dots(Slice host) {
        while (host.len > 0 && host.data[host.len - 1] == '.')
                host.len--;
        return host;
}

Slice location_plain_host(Slice host, char buffer[LOCATION_IPV4_SIZE]) {
        unsigned char address[16];
        char text[HOST_SIZE];
        const unsigned char *v4;

        host = location_without_dots(host);
        if (host.len < 2 || host.data[0] != '[' || host.len > sizeof text)
                return host;
        memcpy(text, host.data + 1, host.len - 2);
        text[host.len - 2] = '\0';
        if (inet_pton(AF_INET6, text, address) != 1)
                return host;
        v4 = special_same_v4(address);
        if (!v4 || !inet_ntop(AF_INET, v4, buffer, LOCATION_IPV4_SIZE))
                return host;
        return slice_from_string(buffer);
}

/* ---- the page ---- */

typedef struct Page {
        char *data; /* LOCATION_PAGE_SIZE bytes, which is enough for any location */
        size_t len;
} Page;

static void put(Page *page, Slice s) {
        if (s.len > 0)
                memcpy(page->data + page->len, s.data, s.len);
        page->len += s.len;
}

/* The byte that an escape at the start of s stands for; -1: there is none. */
static int escaped(Slice s) {
        static const char digits[] = "0123456789abcdef";
        int value = 0;

        if (s.len < 3 || s.data[0] != '%')
                return -1;
        for (size_t i = 1; i < 3; i++) {
                char c = s.data[i];
                const char *digit = strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);

                if (c == '\0' || !digit)
                        return -1;
                value = value * 16 + (int)(digit - digits);
        }
        return value;
}

/* Does the character mean the same with and without its escape? RFC 3986 (6.2.2.2) is sure of the
 * unreserved ones only; servers see a difference in what parts the text (a path's segments, a
 * form's fields, which some part by a semicolon), in the + that is a form's blank, and in the %. */
static bool needs_none(int c, bool in_query) {
        return c > 0x20 && c < 0x7f && !strchr(in_query ? "%#&+;=" : "%/?#", c);
}

/* A query of nothing is none. */
static bool ends(Slice rest, bool in_query) {
        if (rest.len > 0 && rest.data[0] == '?' && !in_query)
                rest = slice_from(rest, 1);
        return rest.len == 0 || rest.data[0] == '#';
}

static void put_rest(Page *page, Slice rest) {
        static const char hex[] = "0123456789ABCDEF";
        bool in_query = false;

        while (!ends(rest, in_query)) {
                int c = escaped(rest);
                char text[3] = {'%', hex[c >> 4 & 15], hex[c & 15]}, plain = (char)c;

                in_query = in_query || rest.data[0] == '?';
                if (c >= 0)
                        put(page, needs_none(c, in_query) ? slice_make(&plain, 1)
                                                          : slice_make(text, sizeof text));
                else
                        put(page, slice_make(rest.data, 1));
                rest = slice_from(rest, c >= 0 ? 3 : 1);
        }
}

size_t location_page(Slice location, char ret[LOCATION_PAGE_SIZE]) {
        char buffer[LOCATION_IPV4_SIZE];
        Page page = {.data = ret};
        Slice host = location_host(location), port;
        Parts parts;

        if (location.len > MODEL_LOCATION_MAX || !split(location, &parts))
                return 0;
        port = slice_from(parts.authority, host.len);
        put(&page, parts.scheme);
        put(&page, location_plain_host(host, buffer));
        put(&page, port);
        put_rest(&page, parts.rest);
        return page.len;
}
