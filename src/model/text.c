/* SPDX-License-Identifier: MIT */

/* The rules for names, titles and e-mail addresses. Any thread; results point into the input. */

#include "model/text.h"
#include "basic/utf8.h"
#include "model/types.h"

/* The Unicode property White_Space. */
static bool is_space(uint32_t c) {
        return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
               (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
               c == 0x205F || c == 0x3000;
}

/* s must be valid UTF-8 and not empty; the length of the last character, if that is a space. */
static size_t last_space(Slice s) {
        size_t at = s.len - 1, start;
        uint32_t c;

        while (((unsigned char)s.data[at] & 0xC0) == 0x80)
                at--;
        start = at;
        CHECK(utf8_next(s, &at, &c) == 0);
        return is_space(c) ? s.len - start : 0;
}

static size_t first_space(Slice s) {
        size_t at = 0;
        uint32_t c;

        CHECK(utf8_next(s, &at, &c) == 0);
        return is_space(c) ? at : 0;
}

static Slice trim(Slice s) {
        size_t n;

        while (s.len > 0 && (n = last_space(s)) > 0)
                s.len -= n;
        while (s.len > 0 && (n = first_space(s)) > 0)
                s = slice_from(s, n);
        return s;
}

TextResult text_check(Slice s, Slice *ret) {
        if (!utf8_valid(s)) {
                *ret = slice_trim(s);
                return TEXT_INVALID;
        }
        *ret = s = trim(s);
        if (s.len == 0)
                return TEXT_BLANK;
        if (utf8_has_control(s))
                return TEXT_INVALID;
        return utf8_length(s) > MODEL_TEXT_MAX ? TEXT_TOO_LONG : TEXT_OK;
}

bool text_email_valid(Slice s) {
        Slice local, domain;
        size_t at = 0;
        uint32_t c;

        while (at < s.len)
                if (utf8_next(s, &at, &c) < 0 || is_space(c))
                        return false;
        if (!slice_cut(s, '@', &local, &domain) || local.len == 0 || domain.len == 0)
                return false;
        if (slice_find(domain, '@') >= 0 || slice_find(domain, '.') < 0)
                return false;
        return domain.data[0] != '.' && domain.data[domain.len - 1] != '.';
}
