/* SPDX-License-Identifier: MIT */

/*
 * The pass over a JSON text that comes before jansson's. It knows strings, numbers and brackets,
 * and is needed for three reasons: jansson refuses a whole document for one number that 64 bits do
 * not hold, writes 0.1 back as 0.10000000000000001, and lets 2,048 levels through. It also reads
 * over a NUL behind a word, so that ends the pass. Whatever is not JSON stays so: the only place
 * where a string may stand but no number is the name of a member, and there jansson refuses the
 * NUL. Pure.
 */

#include "api/json-scan.h"

#define ESCAPE_LEN 6u /* \uXXXX */

typedef struct Scan {
        Slice in;
        size_t at; /* next byte of in */
        Buffer *out;
        bool bad_text;
} Scan;

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* The 16 bits of a \uXXXX at `at`, or -1 if none stands there. */
static int escaped_unit(Slice in, size_t at) {
        int unit = 0;

        if (in.len - at < ESCAPE_LEN || in.data[at] != '\\' || in.data[at + 1] != 'u')
                return -1;
        for (size_t i = 2; i < ESCAPE_LEN; i++) {
                int digit = hex_digit(in.data[at + i]);

                if (digit < 0)
                        return -1;
                unit = unit * 16 + digit;
        }
        return unit;
}

static void copy(Scan *scan, size_t n) {
        n = MIN(n, scan->in.len - scan->at);
        buffer_append(scan->out, slice_sub(scan->in, scan->at, scan->at + n));
        scan->at += n;
}

/* At a backslash. */
static void scan_escape(Scan *scan) {
        int unit = escaped_unit(scan->in, scan->at), low;

        if (unit < 0) {
                copy(scan, 2);
                return;
        }
        if (unit != 0 && (unit < 0xD800 || unit > 0xDFFF)) {
                copy(scan, ESCAPE_LEN);
                return;
        }
        low = escaped_unit(scan->in, scan->at + ESCAPE_LEN);
        if (unit >= 0xD800 && unit <= 0xDBFF && low >= 0xDC00 && low <= 0xDFFF) {
                copy(scan, (size_t)2 * ESCAPE_LEN);
                return;
        }
        scan->bad_text = true;
        buffer_append(scan->out, SLICE("\\uFFFD"));
        scan->at += ESCAPE_LEN;
}

/* At the opening quote. */
static void scan_string(Scan *scan) {
        const Slice in = scan->in;

        copy(scan, 1);
        while (scan->at < in.len && in.data[scan->at] != '"') {
                size_t end = scan->at;

                while (end < in.len && in.data[end] != '"' && in.data[end] != '\\')
                        end++;
                copy(scan, end - scan->at);
                if (scan->at < in.len && in.data[scan->at] == '\\')
                        scan_escape(scan);
        }
        copy(scan, 1);
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Moves *at behind the digits there; false if there are none. */
static bool skip_digits(Slice s, size_t *at) {
        size_t start = *at;

        while (*at < s.len && is_digit(s.data[*at]))
                (*at)++;
        return *at > start;
}

/* RFC 8259, section 6. */
static bool number_valid(Slice s) {
        size_t at = 0;

        if (at < s.len && s.data[at] == '-')
                at++;
        if (at < s.len && s.data[at] == '0')
                at++;
        else if (!skip_digits(s, &at))
                return false;
        if (at < s.len && s.data[at] == '.') {
                at++;
                if (!skip_digits(s, &at))
                        return false;
        }
        if (at < s.len && (s.data[at] == 'e' || s.data[at] == 'E')) {
                at++;
                if (at < s.len && (s.data[at] == '+' || s.data[at] == '-'))
                        at++;
                if (!skip_digits(s, &at))
                        return false;
        }
        return at == s.len;
}

/* At '-' or a digit. */
static bool scan_number(Scan *scan) {
        const Slice in = scan->in;
        size_t end = scan->at;

        while (end < in.len && in.data[end] != '\0' &&
               (is_digit(in.data[end]) || strchr("+-.eE", in.data[end])))
                end++;
        if (!number_valid(slice_sub(in, scan->at, end)))
                return false;
        buffer_append(scan->out, SLICE("\"\\u0000"));
        copy(scan, end - scan->at);
        buffer_append_byte(scan->out, '"');
        return true;
}

bool json_scan(Slice text, size_t depth_max, Buffer *out, bool *ret_bad_text) {
        Scan scan = {.in = text, .out = out};
        size_t depth = 0;

        while (scan.at < text.len) {
                char c = text.data[scan.at];

                if (c == '"') {
                        scan_string(&scan);
                        continue;
                }
                if (c == '-' || is_digit(c)) {
                        if (!scan_number(&scan))
                                return false;
                        continue;
                }
                if ((c == '{' || c == '[') && ++depth > depth_max)
                        return false;
                if (c == '\0')
                        return false;
                /* One too many is jansson's to find. */
                if ((c == '}' || c == ']') && depth > 0)
                        depth--;
                copy(&scan, 1);
        }
        *ret_bad_text = scan.bad_text;
        return true;
}
