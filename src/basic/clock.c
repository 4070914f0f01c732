/* SPDX-License-Identifier: MIT */

/*
 * Clocks and the calendar. The proleptic Gregorian calendar is computed here, because gmtime_r()
 * and timegm() look at the locale's time zone files and normalise dates that do not exist.
 * Any thread.
 */

#include <errno.h>
#include <time.h>

#include "basic/clock.h"

#define SEC_PER_DAY   86400
#define DAYS_PER_ERA  146097         /* 400 years */
#define EPOCH_DAYS    719468         /* from 0000-03-01 to 1970-01-01 */
#define SECONDS_FIRST (-62135596800) /* 0001-01-01T00:00:00 */
#define SECONDS_LAST  253402300799   /* 9999-12-31T23:59:59 */

typedef struct DateTime {
        int year;  /* 1 to 9999 */
        int month; /* 1 to 12 */
        int day;   /* 1 to 31 */
        int hour, minute, second;
        int weekday; /* 0: Sunday; only split() sets it */
} DateTime;

static uint64_t read_clock(clockid_t id) {
        struct timespec now;

        CHECK(clock_gettime(id, &now) == 0);
        return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

/* A year that begins on 1 March has its leap day at its end, which makes both directions plain
 * arithmetic: month m (March is 0) begins on day (153 m + 2) / 5. */
static int64_t days_of(int year, int month, int day) {
        int y = month <= 2 ? year - 1 : year;
        int m = month <= 2 ? month + 9 : month - 3;

        return (int64_t)y * 365 + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 -
               EPOCH_DAYS;
}

static DateTime split(int64_t seconds) {
        DateTime t;
        int64_t days;
        int rest, era_day, year_day, m;

        seconds = MAX(seconds, SECONDS_FIRST);
        seconds = MIN(seconds, SECONDS_LAST);
        /* Positive from here on: year 1 lies after 0000-03-01. */
        seconds += (int64_t)EPOCH_DAYS * SEC_PER_DAY;
        days = seconds / SEC_PER_DAY;
        rest = (int)(seconds % SEC_PER_DAY);
        t.hour = rest / 3600;
        t.minute = rest / 60 % 60;
        t.second = rest % 60;
        t.weekday = (int)((days + 3) % 7); /* 0000-03-01 was a Wednesday */

        era_day = (int)(days % DAYS_PER_ERA);
        t.year = (era_day - era_day / 1460 + era_day / 36524 - era_day / 146096) / 365;
        year_day = era_day - (365 * t.year + t.year / 4 - t.year / 100);
        m = (5 * year_day + 2) / 153;
        t.day = year_day - (153 * m + 2) / 5 + 1;
        t.month = m < 10 ? m + 3 : m - 9;
        t.year += (int)(days / DAYS_PER_ERA) * 400 + (t.month <= 2);
        return t;
}

static int days_in_month(int year, int month) {
        static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

        return days[month - 1] + (month == 2 && leap);
}

static void put_digits(char *out, int n, int value) {
        while (n-- > 0) {
                out[n] = (char)('0' + value % 10);
                value /= 10;
        }
}

/* Takes n digits whose value must lie in [min, max] off the front of *s. */
static bool take_digits(Slice *s, size_t n, int min, int max, int *ret) {
        int value = 0;

        if (s->len < n)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (s->data[i] < '0' || s->data[i] > '9')
                        return false;
                value = value * 10 + (s->data[i] - '0');
        }
        if (value < min || value > max)
                return false;
        *s = slice_from(*s, n);
        *ret = value;
        return true;
}

static bool take_byte(Slice *s, char c) {
        if (s->len == 0 || s->data[0] != c)
                return false;
        *s = slice_from(*s, 1);
        return true;
}

static bool take_date(Slice *s, DateTime *t) {
        return take_digits(s, 4, 1, 9999, &t->year) && take_byte(s, '-') &&
               take_digits(s, 2, 1, 12, &t->month) && take_byte(s, '-') &&
               take_digits(s, 2, 1, days_in_month(t->year, t->month), &t->day);
}

/* HH:MM[:SS[.fraction]] */
static bool take_time(Slice *s, DateTime *t) {
        int digit;

        if (!take_digits(s, 2, 0, 23, &t->hour) || !take_byte(s, ':') ||
            !take_digits(s, 2, 0, 59, &t->minute))
                return false;
        if (!take_byte(s, ':'))
                return true;
        if (!take_digits(s, 2, 0, 59, &t->second))
                return false;
        if (!take_byte(s, '.'))
                return true;
        if (!take_digits(s, 1, 0, 9, &digit))
                return false;
        while (take_digits(s, 1, 0, 9, &digit))
                continue;
        return true;
}

/* Nothing, Z, or +hh:mm. */
static bool take_zone(Slice *s, int *ret_offset_sec) {
        int sign, hour, minute;

        *ret_offset_sec = 0;
        if (s->len == 0 || take_byte(s, 'Z'))
                return true;
        if (take_byte(s, '+'))
                sign = 1;
        else if (take_byte(s, '-'))
                sign = -1;
        else
                return false;
        if (!take_digits(s, 2, 0, 23, &hour) || !take_byte(s, ':') ||
            !take_digits(s, 2, 0, 59, &minute))
                return false;
        *ret_offset_sec = sign * (hour * 3600 + minute * 60);
        return true;
}

uint64_t clock_monotonic_usec(void) {
        return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_usec(void) {
        return read_clock(CLOCK_REALTIME);
}

void clock_format_iso(int64_t seconds, char separator, char ret[CLOCK_ISO_SIZE]) {
        DateTime t = split(seconds);

        put_digits(ret, 4, t.year);
        ret[4] = '-';
        put_digits(ret + 5, 2, t.month);
        ret[7] = '-';
        put_digits(ret + 8, 2, t.day);
        ret[10] = separator;
        put_digits(ret + 11, 2, t.hour);
        ret[13] = ':';
        put_digits(ret + 14, 2, t.minute);
        ret[16] = ':';
        put_digits(ret + 17, 2, t.second);
        ret[19] = '\0';
}

int clock_parse_iso(Slice s, int64_t *ret) {
        DateTime t = {0};
        int offset_sec = 0;
        int64_t seconds;

        if (!take_date(&s, &t))
                return -EINVAL;
        if (s.len > 0) {
                if (!take_byte(&s, 'T') && !take_byte(&s, ' '))
                        return -EINVAL;
                if (!take_time(&s, &t) || !take_zone(&s, &offset_sec) || s.len > 0)
                        return -EINVAL;
        }
        seconds = days_of(t.year, t.month, t.day) * SEC_PER_DAY + t.hour * 3600 + t.minute * 60 +
                  t.second - offset_sec;
        if (seconds < SECONDS_FIRST || seconds > SECONDS_LAST)
                return -EINVAL;
        *ret = seconds;
        return 0;
}

void clock_format_http(int64_t seconds, char ret[CLOCK_HTTP_SIZE]) {
        static const char weekdays[] = "SunMonTueWedThuFriSat";
        static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        DateTime t = split(seconds);

        memcpy(ret, "Www, dd Mmm yyyy hh:mm:ss GMT", CLOCK_HTTP_SIZE);
        memcpy(ret, weekdays + t.weekday * 3, 3);
        put_digits(ret + 5, 2, t.day);
        memcpy(ret + 8, months + (t.month - 1) * 3, 3);
        put_digits(ret + 12, 4, t.year);
        put_digits(ret + 17, 2, t.hour);
        put_digits(ret + 20, 2, t.minute);
        put_digits(ret + 23, 2, t.second);
}
