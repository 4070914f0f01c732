/* SPDX-License-Identifier: MIT */

/*
 * A recursive descent over one JSON text (RFC 8259). Results lie in the caller's arena.
 */

#include <errno.h>
#include <stdlib.h>

#include "basic/buffer.h"
#include "basic/utf8.h"
#include "ctl/jsontext.h"
#include "model/details.h"

typedef struct Scan {
        const char *at;
        const char *end;
        Arena *arena;
        unsigned depth; /* open objects and arrays */
} Scan;

/* Members of an object that is being read, newest first. */
typedef struct Found {
        JsonTextMember member;
        struct Found *next;
        size_t order; /* the how manieth of its object */
} Found;

static int scan_value(Scan *scan, JsonTextKind *ret_kind, Slice *ret);

static void skip_blanks(Scan *scan) {
        while (scan->at < scan->end &&
               (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
                scan->at++;
}

static bool take(Scan *scan, char c) {
        if (scan->at == scan->end || *scan->at != c)
                return false;
        scan->at++;
        return true;
}

static bool take_word(Scan *scan, Slice word) {
        if (!slice_starts_with(slice_make(scan->at, (size_t)(scan->end - scan->at)), word))
                return false;
        scan->at += word.len;
        return true;
}

static bool is_digit(const Scan *scan) {
        return scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9';
}

static bool take_digits(Scan *scan) {
        if (!is_digit(scan))
                return false;
        while (is_digit(scan))
                scan->at++;
        return true;
}

static int scan_number(Scan *scan, Slice *ret) {
        const char *first = scan->at;

        (void)take(scan, '-');
        if (!take(scan, '0') && !take_digits(scan))
                return -EINVAL;
        if (take(scan, '.') && !take_digits(scan))
                return -EINVAL;
        if (take(scan, 'e') || take(scan, 'E')) {
                if (!take(scan, '+'))
                        (void)take(scan, '-');
                if (!take_digits(scan))
                        return -EINVAL;
        }
        *ret = slice_make(first, (size_t)(scan->at - first));
        return 0;
}

static int scan_hex(Scan *scan, uint32_t *ret) {
        uint32_t value = 0;

        for (int i = 0; i < 4; i++) {
                char c = scan->at < scan->end ? *scan->at++ : '\0';

                if (c >= '0' && c <= '9')
                        value = value * 16 + (uint32_t)(c - '0');
                else if (c >= 'a' && c <= 'f')
                        value = value * 16 + (uint32_t)(c - 'a') + 10;
                else if (c >= 'A' && c <= 'F')
                        value = value * 16 + (uint32_t)(c - 'A') + 10;
                else
                        return -EINVAL;
        }
        *ret = value;
        return 0;
}

/* Behind "\u": one character, which may be written as a pair of surrogates. */
static int scan_unicode(Scan *scan, uint32_t *ret) {
        uint32_t high, low;
        int r;

        r = scan_hex(scan, &high);
        if (r < 0)
                return r;
        if (high == 0 || (high >= 0xDC00 && high <= 0xDFFF))
                return -EINVAL;
        if (high < 0xD800 || high > 0xDFFF) {
                *ret = high;
                return 0;
        }
        if (!take_word(scan, SLICE("\\u")))
                return -EINVAL;
        r = scan_hex(scan, &low);
        if (r < 0)
                return r;
        if (low < 0xDC00 || low > 0xDFFF)
                return -EINVAL;
        *ret = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
        return 0;
}

/* Behind a backslash; writes at most 4 bytes. */
static int scan_escape(Scan *scan, char **out) {
        static const char names[] = "\"\\/bfnrt";
        static const char values[] = "\"\\/\b\f\n\r\t";
        const char *name;
        uint32_t c;
        int r;

        if (take(scan, 'u')) {
                r = scan_unicode(scan, &c);
                if (r < 0)
                        return r;
                *out += utf8_encode(c, *out);
                return 0;
        }
        if (scan->at == scan->end || *scan->at == '\0')
                return -EINVAL;
        name = strchr(names, *scan->at++);
        if (!name)
                return -EINVAL;
        *(*out)++ = values[name - names];
        return 0;
}

/* An escape is never shorter than what it stands for, so the raw length is room enough. */
static int scan_string(Scan *scan, Slice *ret) {
        const char *close;
        char *text, *out;
        int r;

        if (!take(scan, '"'))
                return -EINVAL;
        for (close = scan->at; close < scan->end && *close != '"'; close++)
                if (*close == '\\')
                        close++;
        if (close >= scan->end)
                return -EINVAL;
        out = text = arena_alloc(scan->arena, (size_t)(close - scan->at) + 1);
        if (!text)
                return -ENOMEM;
        while (!take(scan, '"')) {
                if ((unsigned char)*scan->at < 0x20)
                        return -EINVAL;
                if (!take(scan, '\\')) {
                        *out++ = *scan->at++;
                        continue;
                }
                r = scan_escape(scan, &out);
                if (r < 0)
                        return r;
        }
        *ret = slice_make(text, (size_t)(out - text));
        return 0;
}

static void append_value(Buffer *out, JsonTextKind kind, Slice text) {
        switch (kind) {
        case JSONTEXT_NULL:
                buffer_append(out, SLICE("null"));
                break;
        case JSONTEXT_FALSE:
                buffer_append(out, SLICE("false"));
                break;
        case JSONTEXT_TRUE:
                buffer_append(out, SLICE("true"));
                break;
        case JSONTEXT_STRING:
                details_append_string(out, text);
                break;
        case JSONTEXT_NUMBER:
        case JSONTEXT_ARRAY:
        case JSONTEXT_OBJECT:
                buffer_append(out, text);
                break;
        }
}

static int to_arena(Scan *scan, const Buffer *text, Slice *ret) {
        Slice copy;

        if (text->failed)
                return -ENOMEM;
        copy = arena_dup(scan->arena, buffer_slice(text));
        if (!copy.data)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

static int scan_elements(Scan *scan, Buffer *out) {
        JsonTextKind kind;
        Slice text;
        int r;

        buffer_append_byte(out, '[');
        skip_blanks(scan);
        if (!take(scan, ']')) {
                for (;;) {
                        r = scan_value(scan, &kind, &text);
                        if (r < 0)
                                return r;
                        append_value(out, kind, text);
                        if (take(scan, ']'))
                                break;
                        if (!take(scan, ','))
                                return -EINVAL;
                        buffer_append_byte(out, ',');
                }
        }
        buffer_append_byte(out, ']');
        return 0;
}

static int scan_array(Scan *scan, Slice *ret) {
        Buffer out = BUFFER_EMPTY;
        int r;

        r = scan_elements(scan, &out);
        if (r == 0)
                r = to_arena(scan, &out, ret);
        buffer_done(&out);
        return r;
}

/* By key, and the later of two with the same key first. */
static int compare_found(const void *left, const void *right) {
        const Found *a = left, *b = right;
        int r = slice_compare(a->member.key, b->member.key);

        if (r != 0)
                return r;
        return a->order < b->order ? 1 : -1;
}

static int sort_members(Scan *scan, const Found *newest, size_t n, JsonTextMember **ret,
                        size_t *ret_n) {
        Found *all = arena_new(scan->arena, Found, n + 1);
        JsonTextMember *members = arena_new(scan->arena, JsonTextMember, n + 1);
        size_t n_members = 0, i = 0;

        if (!all || !members)
                return -ENOMEM;
        for (const Found *found = newest; found; found = found->next)
                all[i++] = *found;
        qsort(all, n, sizeof(*all), compare_found);
        for (i = 0; i < n; i++)
                if (i == 0 || !slice_equal(all[i].member.key, all[i - 1].member.key))
                        members[n_members++] = all[i].member;
        *ret = members;
        *ret_n = n_members;
        return 0;
}

static int scan_member(Scan *scan, JsonTextMember *ret) {
        int r;

        skip_blanks(scan);
        r = scan_string(scan, &ret->key);
        if (r < 0)
                return r;
        skip_blanks(scan);
        if (!take(scan, ':'))
                return -EINVAL;
        return scan_value(scan, &ret->kind, &ret->text);
}

/* Behind the opening brace. */
static int scan_members(Scan *scan, JsonTextMember **ret, size_t *ret_n) {
        Found *newest = NULL;
        size_t n = 0;
        int r;

        skip_blanks(scan);
        if (!take(scan, '}')) {
                do {
                        Found *found = arena_new(scan->arena, Found, 1);

                        if (!found)
                                return -ENOMEM;
                        r = scan_member(scan, &found->member);
                        if (r < 0)
                                return r;
                        found->next = newest;
                        found->order = n++;
                        newest = found;
                } while (take(scan, ','));
                if (!take(scan, '}'))
                        return -EINVAL;
        }
        return sort_members(scan, newest, n, ret, ret_n);
}

static int members_text(Scan *scan, const JsonTextMember *members, size_t n, Slice *ret) {
        Buffer out = BUFFER_EMPTY;
        int r;

        for (size_t i = 0; i < n; i++) {
                buffer_append_byte(&out, i == 0 ? '{' : ',');
                details_append_string(&out, members[i].key);
                buffer_append_byte(&out, ':');
                append_value(&out, members[i].kind, members[i].text);
        }
        if (n == 0)
                buffer_append_byte(&out, '{');
        buffer_append_byte(&out, '}');
        r = to_arena(scan, &out, ret);
        buffer_done(&out);
        return r;
}

static int scan_object(Scan *scan, Slice *ret) {
        JsonTextMember *members;
        size_t n;
        int r;

        r = scan_members(scan, &members, &n);
        return r < 0 ? r : members_text(scan, members, n, ret);
}

static int scan_nested(Scan *scan, JsonTextKind kind, Slice *ret) {
        int r;

        if (scan->depth == JSONTEXT_DEPTH_MAX)
                return -EINVAL;
        scan->depth++;
        r = kind == JSONTEXT_ARRAY ? scan_array(scan, ret) : scan_object(scan, ret);
        scan->depth--;
        return r;
}

/* One value, and the blanks around it. */
static int scan_value(Scan *scan, JsonTextKind *ret_kind, Slice *ret) {
        int r = 0;

        skip_blanks(scan);
        *ret = SLICE_NONE;
        if (take(scan, '{')) {
                *ret_kind = JSONTEXT_OBJECT;
                r = scan_nested(scan, JSONTEXT_OBJECT, ret);
        } else if (take(scan, '[')) {
                *ret_kind = JSONTEXT_ARRAY;
                r = scan_nested(scan, JSONTEXT_ARRAY, ret);
        } else if (scan->at < scan->end && *scan->at == '"') {
                *ret_kind = JSONTEXT_STRING;
                r = scan_string(scan, ret);
        } else if (take_word(scan, SLICE("null"))) {
                *ret_kind = JSONTEXT_NULL;
        } else if (take_word(scan, SLICE("true"))) {
                *ret_kind = JSONTEXT_TRUE;
        } else if (take_word(scan, SLICE("false"))) {
                *ret_kind = JSONTEXT_FALSE;
        } else {
                *ret_kind = JSONTEXT_NUMBER;
                r = scan_number(scan, ret);
        }
        if (r == 0)
                skip_blanks(scan);
        return r;
}

int jsontext_members(Slice text, Arena *arena, JsonTextMember **ret, size_t *ret_n) {
        Scan scan = {.at = text.data, .end = text.data + text.len, .arena = arena, .depth = 1};
        JsonTextMember *members;
        size_t n;
        int r;

        if (!utf8_valid(text))
                return -EINVAL;
        skip_blanks(&scan);
        if (!take(&scan, '{'))
                return -EINVAL;
        r = scan_members(&scan, &members, &n);
        if (r < 0)
                return r;
        skip_blanks(&scan);
        if (scan.at != scan.end)
                return -EINVAL;
        *ret = members;
        *ret_n = n;
        return 0;
}

int jsontext_canonical(Slice text, Arena *arena, Slice *ret) {
        Scan scan = {.arena = arena};
        JsonTextMember *members;
        size_t n;
        int r;

        r = jsontext_members(text, arena, &members, &n);
        return r < 0 ? r : members_text(&scan, members, n, ret);
}
