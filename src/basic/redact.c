/* SPDX-License-Identifier: MIT */

/* Passwords in connection strings, see the header. */

#include "basic/redact.h"

#define HIDDEN SLICE("***")
#define BLANKS " \t"

static bool is_any(char c, const char *set) {
        return c != '\0' && strchr(set, c) != NULL;
}

/* Index of the first byte of s that is one of set; its length if there is none. */
static size_t find_any(Slice s, const char *set) {
        size_t i = 0;

        while (i < s.len && !is_any(s.data[i], set))
                i++;
        return i;
}

static Slice skip_blanks(Slice s) {
        while (s.len > 0 && is_any(s.data[0], BLANKS))
                s = slice_from(s, 1);
        return s;
}

/* Length of a value: in quotes, with \ before what would end it, or up to a blank or an &. */
static size_t value_len(Slice s) {
        size_t i = 1;

        if (s.len == 0 || s.data[0] != '\'')
                return find_any(s, BLANKS "&");
        while (i < s.len && s.data[i] != '\'')
                i += s.data[i] == '\\' ? 2 : 1;
        return MIN(i + 1, s.len);
}

/* A name with a % in it is decoded by libpq: who knows to what. */
static bool is_secret(Slice name) {
        static const char *const names[] = {"password", "sslpassword", "pass", "passwd"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (slice_equal_nocase(name, slice_from_string(names[i])))
                        return true;
        return slice_find(name, '%') >= 0;
}

/* Is a password's name before the = that s begins with? */
static bool follows_secret(Slice before) {
        size_t begin, end = before.len;

        while (end > 0 && is_any(before.data[end - 1], BLANKS))
                end--;
        for (begin = end; begin > 0 && !is_any(before.data[begin - 1], BLANKS "?&'"); begin--)
                ;
        return is_secret(slice_sub(before, begin, end));
}

/* "password=secret", behind a ?, an & or a blank. */
static void append_values(Buffer *out, Slice text) {
        size_t done = 0;

        for (size_t i = 0; i < text.len; i++) {
                Slice value;

                if (text.data[i] != '=' || !follows_secret(slice_sub(text, done, i)))
                        continue;
                value = skip_blanks(slice_from(text, i + 1));
                buffer_append(out, slice_sub(text, done, (size_t)(value.data - text.data)));
                buffer_append(out, HIDDEN);
                done = (size_t)(value.data - text.data) + value_len(value);
                i = done - 1;
        }
        buffer_append(out, slice_from(text, done));
}

/* Is the @ behind this in the value of a parameter, or of a keyword? */
static bool in_value(Slice before, bool is_url) {
        ptrdiff_t slash = slice_find(before, '/'), mark = slice_find(before, '?');

        if (slice_find(before, '=') < 0)
                return false;
        return is_url ? slash >= 0 && mark > slash : true;
}

/* Where "user:secret" ends, at the last @ that may be its end: libpq takes the first, and a secret
 * that was not escaped may have more of them, and / and ?, too. -1: there is no user. */
static ptrdiff_t user_end(Slice rest, bool is_url) {
        ptrdiff_t at = slice_find(rest, '@');
        size_t end;

        if (at < 0 || in_value(slice_sub(rest, 0, (size_t)at), is_url))
                return -1;
        end = (size_t)at + find_any(slice_from(rest, (size_t)at), "/?");
        for (size_t i = (size_t)at; i < end; i++)
                if (rest.data[i] == '@')
                        at = (ptrdiff_t)i;
        return at;
}

/* Redis' programs take a lone word for the password. */
static void append_user(Buffer *out, Slice user, bool is_redis) {
        ptrdiff_t colon = slice_find(user, ':');

        if (colon >= 0)
                append_values(out, slice_sub(user, 0, (size_t)colon + 1));
        else if (!is_redis)
                append_values(out, user);
        if (colon >= 0 || is_redis)
                buffer_append(out, HIDDEN);
}

void redact_append(Buffer *out, Slice text) {
        ptrdiff_t begin = slice_search(text, SLICE("://")), at;
        Slice rest = text;

        if (slice_starts_with(text, SLICE("sqlite:")) || slice_starts_with(text, SLICE("unix:"))) {
                buffer_append(out, text);
                return;
        }
        if (begin >= 0) {
                rest = slice_from(text, (size_t)begin + 3);
                buffer_append(out, slice_sub(text, 0, (size_t)begin + 3));
        }
        at = user_end(rest, begin >= 0);
        if (at >= 0) {
                append_user(out, slice_sub(rest, 0, (size_t)at),
                            slice_starts_with(text, SLICE("redis")));
                rest = slice_from(rest, (size_t)at);
        }
        append_values(out, rest);
}
