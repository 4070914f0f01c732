/* SPDX-License-Identifier: MIT */

/*
 * Targets. The parser goes once from left to right and writes the serialised form as it goes; there
 * is no URL object, since nobody needs the parts. What WHATWG repairs silently (missing slashes,
 * backslashes for slashes, tabs and line ends inside) is refused, because a valid URL string has
 * none of it and such texts are mostly attempts to fool a filter. What is merely unescaped (quotes,
 * braces, a stray %) is accepted and escaped as the standard has it. Any thread.
 */

#include <errno.h>

#include "basic/number.h"
#include "basic/utf8.h"
#include "model/host.h"
#include "model/target.h"
#include "model/types.h"

#define LOCATION_MAX (3 * MODEL_TARGET_MAX) /* bytes */
#define PORT_MAX     65535u

/* Each byte of a target yields three at most; the rest is for scheme, host, port and a slash. */
#define SCRATCH_SIZE (LOCATION_MAX + HOST_SIZE + 32)

typedef struct Scheme {
        Slice prefix;
        uint64_t default_port;
} Scheme;

/* The serialised form as far as it is made. */
typedef struct Output {
        char data[SCRATCH_SIZE];
        size_t len;
        size_t path;      /* index of the path's first slash */
        bool credentials; /* are taken */
} Output;

static const Scheme schemes[] = {{{"http://", 7}, 80}, {{"https://", 8}, 443}};

/* The special characters that each part escapes; all have the C0 controls, DEL and non-ASCII. */
#define ESCAPE_PATH     "\"#<>?^`{}"
#define ESCAPE_QUERY    "\"#<>'"
#define ESCAPE_FRAGMENT "\"<>`"
#define ESCAPE_USERINFO ESCAPE_PATH "/:;=@[\\]|"

static void put(Output *out, Slice s) {
        CHECK(s.len <= sizeof(out->data) - out->len);
        if (s.len)
                memcpy(out->data + out->len, s.data, s.len);
        out->len += s.len;
}

static void put_escaped(Output *out, Slice s, const char *escape) {
        static const char hex[] = "0123456789ABCDEF";

        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.data[i];
                char text[3] = {'%', hex[c >> 4], hex[c & 15]};

                if (c <= 0x20 || c >= 0x7F || strchr(escape, c))
                        put(out, slice_make(text, sizeof(text)));
                else
                        put(out, slice_make(s.data + i, 1));
        }
}

/* The number of dots that a path segment consists of, %2e counting as one; 0: anything else. */
static size_t count_dots(Slice segment) {
        size_t n = 0;

        while (segment.len > 0) {
                if (slice_starts_with(segment, SLICE(".")))
                        segment = slice_from(segment, 1);
                else if (slice_starts_with_nocase(segment, SLICE("%2e")))
                        segment = slice_from(segment, 3);
                else
                        return 0;
                n++;
        }
        return n;
}

/* Takes the last segment off again, with the slash in front of it. */
static void drop_segment(Output *out) {
        size_t at = out->len;

        while (at > out->path && out->data[at - 1] != '/')
                at--;
        out->len = MAX(out->path, at - (at > out->path));
}

/* path is empty or begins with a slash. */
static void put_path(Output *out, Slice path) {
        Slice segment, rest = slice_from(path, 1);
        bool more = true;

        out->path = out->len;
        while (more) {
                size_t n_dots;

                more = slice_cut(rest, '/', &segment, &rest);
                n_dots = count_dots(segment);
                if (n_dots == 2)
                        drop_segment(out);
                if (n_dots == 1 || n_dots == 2) {
                        if (!more)
                                put(out, SLICE("/"));
                        continue;
                }
                put(out, SLICE("/"));
                put_escaped(out, segment, ESCAPE_PATH);
        }
}

static int put_port(Output *out, const Scheme *scheme, Slice port) {
        char text[NUMBER_U64_SIZE];
        uint64_t number;

        if (port.len == 0)
                return 0;
        if (number_parse_u64(port, &number) < 0 || number > PORT_MAX)
                return -EINVAL;
        if (number == scheme->default_port)
                return 0;
        put(out, SLICE(":"));
        put(out, slice_make(text, number_format_u64(number, text)));
        return 0;
}

/* Takes "user:password@" off the authority; empty ones vanish. */
static int put_credentials(Output *out, Slice *authority) {
        Slice user, password, userinfo;
        size_t at = authority->len;

        while (at > 0 && authority->data[at - 1] != '@')
                at--;
        if (at == 0)
                return 0;
        if (!out->credentials)
                return -EINVAL;
        userinfo = slice_sub(*authority, 0, at - 1);
        *authority = slice_from(*authority, at);
        (void)slice_cut(userinfo, ':', &user, &password);
        put_escaped(out, user, ESCAPE_USERINFO);
        if (password.len > 0) {
                put(out, SLICE(":"));
                put_escaped(out, password, ESCAPE_USERINFO);
        }
        if (user.len + password.len > 0)
                put(out, SLICE("@"));
        return 0;
}

static int put_authority(Output *out, const Scheme *scheme, Slice authority) {
        Slice host, port = SLICE_NONE;
        char name[HOST_SIZE];
        size_t name_len;
        int r;

        r = put_credentials(out, &authority);
        if (r < 0)
                return r;
        if (slice_starts_with(authority, SLICE("["))) {
                ptrdiff_t end = slice_find(authority, ']');

                host = slice_sub(authority, 0, (size_t)(end + 1));
                port = slice_from(authority, host.len);
                if (port.len > 0 && port.data[0] != ':')
                        return -EINVAL;
                port = slice_from(port, 1);
        } else {
                (void)slice_cut(authority, ':', &host, &port);
        }
        r = host_parse(host, name, &name_len);
        if (r < 0)
                return r;
        put(out, slice_make(name, name_len));
        return put_port(out, scheme, port);
}

static bool has_blank_or_control(Slice s) {
        return slice_find(s, ' ') >= 0 || utf8_has_control(s);
}

static int parse(Arena *arena, Slice text, bool credentials, Slice *ret_location) {
        Slice rest, fragment, query, location;
        bool has_fragment, has_query;
        const Scheme *scheme = NULL;
        Output out;
        size_t path;
        int r;

        out.len = 0;
        out.credentials = credentials;
        if (text.len > MODEL_TARGET_MAX || !utf8_valid(text) || has_blank_or_control(text))
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (slice_starts_with_nocase(text, schemes[i].prefix))
                        scheme = schemes + i;
        if (!scheme)
                return -EINVAL;

        rest = slice_from(text, scheme->prefix.len);
        has_fragment = slice_cut(rest, '#', &rest, &fragment);
        has_query = slice_cut(rest, '?', &rest, &query);
        if (slice_find(rest, '\\') >= 0)
                return -EINVAL;
        for (path = 0; path < rest.len && rest.data[path] != '/';)
                path++;

        put(&out, scheme->prefix);
        r = put_authority(&out, scheme, slice_sub(rest, 0, path));
        if (r < 0)
                return r;
        put_path(&out, slice_from(rest, path));
        if (has_query) {
                put(&out, SLICE("?"));
                put_escaped(&out, query, ESCAPE_QUERY);
        }
        if (has_fragment) {
                put(&out, SLICE("#"));
                put_escaped(&out, fragment, ESCAPE_FRAGMENT);
        }
        if (out.len > LOCATION_MAX)
                return -EINVAL;
        location = arena_dup(arena, slice_make(out.data, out.len));
        if (!location.data)
                return -ENOMEM;
        *ret_location = location;
        return 0;
}

int target_parse(Arena *arena, Slice text, Slice *ret_location) {
        return parse(arena, text, false, ret_location);
}

int target_parse_credentials(Arena *arena, Slice text, Slice *ret_location) {
        return parse(arena, text, true, ret_location);
}
