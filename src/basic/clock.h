/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Time: reading clocks, and the three text forms that the service uses. Everything is UTC.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

#define USEC_PER_SEC  1000000ULL
#define USEC_PER_MSEC 1000ULL

uint64_t clock_monotonic_usec(void); /* CLOCK_MONOTONIC */
uint64_t clock_realtime_usec(void);  /* CLOCK_REALTIME since the epoch */

#define CLOCK_ISO_SIZE  20 /* "2026-01-02T03:04:05" and a NUL */
#define CLOCK_HTTP_SIZE 30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */

/* seconds since the epoch, years 0001 to 9999 (clamped); separator is 'T' (JSON) or ' ' (CSV). */
void clock_format_iso(int64_t seconds, char separator, char ret[CLOCK_ISO_SIZE]);

/* Accepts YYYY-MM-DD, YYYY-MM-DD[T ]HH:MM[:SS[.fraction]], and a trailing Z or +hh:mm / -hh:mm; the
 * fraction is dropped. Checks that the date exists. 0, or -EINVAL with *ret untouched. */
int clock_parse_iso(Slice s, int64_t *ret) _must_check_;

/* IMF-fixdate of RFC 9110, for Date:. */
void clock_format_http(int64_t seconds, char ret[CLOCK_HTTP_SIZE]);
