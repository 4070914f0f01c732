/* SPDX-License-Identifier: MIT */
#pragma once

/* Moments as the receiver writes them. */

#include <stdint.h>

#define STAMP_SIZE 28 /* "2026-01-02T03:04:05.123456Z" and a NUL */

/* CLOCK_REALTIME usec as ISO 8601 in UTC, with microseconds. */
void stamp_iso(uint64_t usec, char ret[STAMP_SIZE]);
/* The same without punctuation, for names of files: "20260102T030405.123456Z". */
void stamp_compact(uint64_t usec, char ret[STAMP_SIZE]);
