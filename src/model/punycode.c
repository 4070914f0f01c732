/* SPDX-License-Identifier: MIT */

/*
 * Punycode. libidn2 has its own, but does not offer it; idna.c needs one for the labels that
 * libidn2 will not take. The names are those of RFC 3492, sections 3 and 6. Any thread.
 */

#include <errno.h>

#include "model/punycode.h"

#define BASE         36u
#define T_MIN        1u
#define T_MAX        26u
#define SKEW         38u
#define DAMP         700u
#define INITIAL_BIAS 72u
#define INITIAL_N    0x80u
#define CODE_MAX     0x10FFFFu

typedef struct Text {
        char *data; /* PUNYCODE_MAX bytes */
        size_t len;
} Text;

static uint32_t adapt(uint32_t delta, size_t n_points, bool first) {
        uint32_t k = 0;

        delta = first ? delta / DAMP : delta / 2;
        delta += delta / (uint32_t)n_points;
        for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
                delta /= BASE - T_MIN;
        return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static uint32_t threshold(uint32_t k, uint32_t bias) {
        if (k <= bias + T_MIN)
                return T_MIN;
        return k >= bias + T_MAX ? T_MAX : k - bias;
}

/* 0 to 35, or BASE for what is no digit. */
static uint32_t digit_value(char c) {
        if (c >= 'a' && c <= 'z')
                return (uint32_t)(c - 'a');
        if (c >= 'A' && c <= 'Z')
                return (uint32_t)(c - 'A');
        return c >= '0' && c <= '9' ? (uint32_t)(c - '0') + 26 : BASE;
}

static bool put(Text *out, char c) {
        if (out->len == PUNYCODE_MAX)
                return false;
        out->data[out->len++] = c;
        return true;
}

static bool put_digit(Text *out, uint32_t digit) {
        return put(out, (char)(digit < 26 ? 'a' + digit : '0' + digit - 26));
}

/* Takes one variable-length integer off the front of *text and adds it to *i. */
static bool take_integer(Slice *text, uint32_t bias, uint32_t *i) {
        uint32_t weight = 1;

        for (uint32_t k = BASE;; k += BASE) {
                uint32_t digit, part, t = threshold(k, bias);

                digit = text->len > 0 ? digit_value(text->data[0]) : BASE;
                if (digit == BASE)
                        return false;
                *text = slice_from(*text, 1);
                if (__builtin_mul_overflow(digit, weight, &part) ||
                    __builtin_add_overflow(*i, part, i))
                        return false;
                if (digit < t)
                        return true;
                if (__builtin_mul_overflow(weight, BASE - t, &weight))
                        return false;
        }
}

static bool put_integer(Text *out, uint32_t value, uint32_t bias) {
        for (uint32_t k = BASE;; k += BASE) {
                uint32_t t = threshold(k, bias);

                if (value < t)
                        return put_digit(out, value);
                if (!put_digit(out, t + (value - t) % (BASE - t)))
                        return false;
                value = (value - t) / (BASE - t);
        }
}

static uint32_t smallest_from(const uint32_t *points, size_t n_points, uint32_t least) {
        uint32_t smallest = UINT32_MAX;

        for (size_t i = 0; i < n_points; i++)
                if (points[i] >= least)
                        smallest = MIN(smallest, points[i]);
        return smallest;
}

int punycode_decode(Slice text, uint32_t ret[PUNYCODE_MAX], size_t *ret_n) {
        uint32_t points[PUNYCODE_MAX], code = INITIAL_N, i = 0, bias = INITIAL_BIAS;
        size_t n = 0, n_basic = text.len;

        /* What stands before the last hyphen is the label's ASCII part. */
        while (n_basic > 0 && text.data[n_basic - 1] != '-')
                n_basic--;
        if (n_basic == 1 || n_basic > PUNYCODE_MAX)
                return -EINVAL;
        for (; n + 1 < n_basic; n++) {
                if ((unsigned char)text.data[n] >= INITIAL_N)
                        return -EINVAL;
                points[n] = (unsigned char)text.data[n];
        }
        text = slice_from(text, n_basic);
        while (text.len > 0) {
                uint32_t before = i;

                if (n == PUNYCODE_MAX || !take_integer(&text, bias, &i))
                        return -EINVAL;
                n++;
                bias = adapt(i - before, n, before == 0);
                if (i / n > CODE_MAX - code)
                        return -EINVAL;
                code += i / (uint32_t)n;
                i %= (uint32_t)n;
                memmove(points + i + 1, points + i, (n - 1 - i) * sizeof(*points));
                points[i++] = code;
        }
        memcpy(ret, points, n * sizeof(*points));
        *ret_n = n;
        return 0;
}

int punycode_encode(const uint32_t *points, size_t n_points, char ret[PUNYCODE_MAX],
                    size_t *ret_len) {
        uint32_t code = INITIAL_N, delta = 0, bias = INITIAL_BIAS;
        char data[PUNYCODE_MAX];
        Text out = {data, 0};
        size_t n_done, n_basic;

        if (n_points > PUNYCODE_MAX)
                return -EINVAL;
        for (size_t i = 0; i < n_points; i++)
                if (points[i] < INITIAL_N)
                        data[out.len++] = (char)points[i];
        n_done = n_basic = out.len;
        if (n_basic > 0 && !put(&out, '-'))
                return -EINVAL;
        while (n_done < n_points) {
                uint32_t next = smallest_from(points, n_points, code);

                /* 63 points of 21 bits: no overflow. */
                delta += (next - code) * ((uint32_t)n_done + 1);
                code = next;
                for (size_t i = 0; i < n_points; i++) {
                        delta += points[i] < code;
                        if (points[i] != code)
                                continue;
                        if (!put_integer(&out, delta, bias))
                                return -EINVAL;
                        bias = adapt(delta, n_done + 1, n_done == n_basic);
                        delta = 0;
                        n_done++;
                }
                delta++;
                code++;
        }
        memcpy(ret, data, out.len);
        *ret_len = out.len;
        return 0;
}
