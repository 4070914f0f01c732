/* SPDX-License-Identifier: MIT */

/* Strict numbers. The C library's parsers accept blanks, signs and the locale's grouping and report
 * a range by errno, so they are not used. Any thread. */

#include <errno.h>

#include "basic/clock.h"
#include "basic/number.h"

typedef struct Unit {
        Slice name;
        uint64_t factor;
} Unit;

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static const Unit *find_unit(const Unit *units, size_t n_units, Slice name) {
        for (size_t i = 0; i < n_units; i++)
                if (slice_equal(units[i].name, name))
                        return units + i;
        return NULL;
}

/* Takes one "20ms" off the front of *s; the unit is all that follows up to a digit or blank. */
static int take_span(Slice *s, uint64_t *ret_usec) {
        static const Unit units[] = {
                        {{"us", 2}, 1},
                        {{"ms", 2}, USEC_PER_MSEC},
                        {{"s", 1}, USEC_PER_SEC},
                        {{"min", 3}, 60 * USEC_PER_SEC},
                        {{"h", 1}, 3600 * USEC_PER_SEC},
                        {{"d", 1}, 86400 * USEC_PER_SEC},
                        {{"w", 1}, 7 * 86400 * USEC_PER_SEC},
        };
        size_t n_digits = 0, end;
        const Unit *unit;
        uint64_t value;
        int r;

        while (n_digits < s->len && is_digit(s->data[n_digits]))
                n_digits++;
        for (end = n_digits; end < s->len && !is_digit(s->data[end]) && s->data[end] != ' ';)
                end++;
        unit = find_unit(units, ELEMENTSOF(units), slice_sub(*s, n_digits, end));
        if (!unit)
                return -EINVAL;
        r = number_parse_u64(slice_sub(*s, 0, n_digits), &value);
        if (r < 0)
                return r;
        if (__builtin_mul_overflow(value, unit->factor, ret_usec))
                return -ERANGE;
        *s = slice_from(*s, end);
        return 0;
}

int number_parse_u64(Slice s, uint64_t *ret) {
        uint64_t value = 0;
        bool fits = true;

        if (s.len == 0)
                return -EINVAL;
        for (size_t i = 0; i < s.len; i++) {
                if (!is_digit(s.data[i]))
                        return -EINVAL;
                /* A later byte may still be no digit, which is the error that counts. */
                if (__builtin_mul_overflow(value, 10u, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(s.data[i] - '0'), &value))
                        fits = false;
        }
        if (!fits)
                return -ERANGE;
        *ret = value;
        return 0;
}

int number_parse_i64(Slice s, int64_t *ret) {
        bool negative = s.len > 0 && s.data[0] == '-';
        bool positive = s.len > 0 && s.data[0] == '+';
        uint64_t magnitude;
        int r;

        r = number_parse_u64(slice_from(s, negative || positive), &magnitude);
        if (r < 0)
                return r;
        if (magnitude > (uint64_t)INT64_MAX + negative)
                return -ERANGE;
        *ret = (int64_t)(negative ? 0 - magnitude : magnitude);
        return 0;
}

int number_parse_size(Slice s, uint64_t *ret) {
        static const Unit units[] = {
                        {{"K", 1}, 1ULL << 10},
                        {{"M", 1}, 1ULL << 20},
                        {{"G", 1}, 1ULL << 30},
                        {{"T", 1}, 1ULL << 40},
        };
        const Unit *unit = NULL;
        uint64_t value;
        int r;

        if (s.len > 0)
                unit = find_unit(units, ELEMENTSOF(units), slice_from(s, s.len - 1));
        r = number_parse_u64(slice_sub(s, 0, s.len - (unit != NULL)), &value);
        if (r < 0)
                return r;
        if (unit && __builtin_mul_overflow(value, unit->factor, &value))
                return -ERANGE;
        *ret = value;
        return 0;
}

int number_parse_span(Slice s, uint64_t *ret_usec) {
        uint64_t sum = 0, value;
        int r;

        r = number_parse_u64(s, &value);
        if (r == 0 && __builtin_mul_overflow(value, USEC_PER_SEC, &sum))
                r = -ERANGE;
        if (r == -EINVAL) {
                do {
                        r = take_span(&s, &value);
                        if (r < 0)
                                return r;
                        if (__builtin_add_overflow(sum, value, &sum))
                                return -ERANGE;
                        while (s.len > 1 && s.data[0] == ' ')
                                s = slice_from(s, 1);
                } while (s.len > 0);
        }
        if (r < 0)
                return r;
        *ret_usec = sum;
        return 0;
}

size_t number_format_u64(uint64_t value, char ret[NUMBER_U64_SIZE]) {
        char digits[NUMBER_U64_SIZE];
        size_t at = sizeof(digits);

        do {
                digits[--at] = (char)('0' + value % 10);
                value /= 10;
        } while (value > 0);
        memcpy(ret, digits + at, sizeof(digits) - at);
        return sizeof(digits) - at;
}
