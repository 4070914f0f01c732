/* SPDX-License-Identifier: MIT */

/* UTF-8, decoded by the table of well-formed sequences in the Unicode Standard (3-7). Any thread.
 */

#include <errno.h>

#include "basic/utf8.h"

#define ASCII_HIGH_BITS 0x8080808080808080ULL

static bool is_control(uint32_t c) {
        return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

static bool is_continuation(char c) {
        return ((unsigned char)c & 0xC0) == 0x80;
}

/* The offset of the first byte at or behind `at` that is not ASCII, eight at a time. */
static size_t skip_ascii(Slice s, size_t at) {
        uint64_t word;

        for (; s.len - at >= sizeof(word); at += sizeof(word)) {
                memcpy(&word, s.data + at, sizeof(word));
                if (word & ASCII_HIGH_BITS)
                        break;
        }
        while (at < s.len && (unsigned char)s.data[at] < 0x80)
                at++;
        return at;
}

/* The length of the sequence that begins with lead, and the bounds of its second byte; 0 if no
 * sequence begins so. */
static size_t sequence(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high) {
        *ret_low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        *ret_high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (lead < 0x80)
                return 1;
        if (lead >= 0xC2 && lead <= 0xDF)
                return 2;
        if (lead >= 0xE0 && lead <= 0xEF)
                return 3;
        return lead >= 0xF0 && lead <= 0xF4 ? 4 : 0;
}

bool utf8_valid(Slice s) {
        uint32_t c;
        size_t at = 0;

        for (;;) {
                at = skip_ascii(s, at);
                if (at == s.len)
                        return true;
                if (utf8_next(s, &at, &c) < 0)
                        return false;
        }
}

bool utf8_has_control(Slice s) {
        for (size_t i = 0; i < s.len; i++) {
                unsigned char c = (unsigned char)s.data[i];

                if (c < 0x20 || c == 0x7F)
                        return true;
                /* U+0080 to U+009F are the bytes C2 80 to C2 9F. */
                if (c == 0xC2 && i + 1 < s.len && (unsigned char)s.data[i + 1] <= 0x9F)
                        return true;
        }
        return false;
}

size_t utf8_length(Slice s) {
        size_t n = 0;

        for (size_t i = 0; i < s.len; i++)
                n += !is_continuation(s.data[i]);
        return n;
}

Slice utf8_cut(Slice s, size_t max) {
        if (s.len <= max)
                return s;
        while (max > 0 && is_continuation(s.data[max]))
                max--;
        return slice_sub(s, 0, max);
}

size_t utf8_clean(Slice s, char *out, size_t max) {
        size_t at = 0, n = 0;

        while (at < s.len) {
                size_t start = at, len;
                uint32_t c;
                bool bad;

                bad = utf8_next(s, &at, &c) < 0;
                if (bad)
                        at++;
                bad = bad || is_control(c);
                len = bad ? 1 : at - start;
                if (len > max - n)
                        break;
                memcpy(out + n, bad ? "?" : s.data + start, len);
                n += len;
        }
        return n;
}

int utf8_next(Slice s, size_t *offset, uint32_t *ret) {
        const unsigned char *p = (const unsigned char *)s.data + *offset;
        unsigned char low, high;
        uint32_t c;
        size_t len;

        CHECK(*offset < s.len);
        len = sequence(p[0], &low, &high);
        if (len == 0 || len > s.len - *offset)
                return -EILSEQ;
        if (len > 1 && (p[1] < low || p[1] > high))
                return -EILSEQ;
        c = len == 1 ? p[0] : p[0] & (0x7Fu >> len);
        for (size_t i = 1; i < len; i++) {
                if ((p[i] & 0xC0) != 0x80)
                        return -EILSEQ;
                c = c << 6 | (p[i] & 0x3F);
        }
        *offset += len;
        *ret = c;
        return 0;
}

size_t utf8_encode(uint32_t c, char out[4]) {
        CHECK(c <= 0x10FFFF && (c < 0xD800 || c > 0xDFFF));
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        if (c < 0x800) {
                out[0] = (char)(0xC0 | c >> 6);
                out[1] = (char)(0x80 | (c & 0x3F));
                return 2;
        }
        if (c < 0x10000) {
                out[0] = (char)(0xE0 | c >> 12);
                out[1] = (char)(0x80 | (c >> 6 & 0x3F));
                out[2] = (char)(0x80 | (c & 0x3F));
                return 3;
        }
        out[0] = (char)(0xF0 | c >> 18);
        out[1] = (char)(0x80 | (c >> 12 & 0x3F));
        out[2] = (char)(0x80 | (c >> 6 & 0x3F));
        out[3] = (char)(0x80 | (c & 0x3F));
        return 4;
}
