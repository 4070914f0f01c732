/* SPDX-License-Identifier: MIT */
#pragma once

/* Numbers in text, strictly: the whole slice or an error; no blanks, no locale. */

#include <stdint.h>

#include "basic/slice.h"

/* Digits only, at least one. -EINVAL: not that; -ERANGE: does not fit. *ret untouched on failure.
 */
int number_parse_u64(Slice s, uint64_t *ret) _must_check_;

/* The same with an optional '-' or '+'. */
int number_parse_i64(Slice s, int64_t *ret) _must_check_;

/* Bytes: digits with an optional K, M, G, T suffix (powers of 1024). */
int number_parse_size(Slice s, uint64_t *ret) _must_check_;

/* A span: "20ms", "1s", "5min", "24h", "7d", sums such as "1min 30s"; a bare number is seconds.
 * Result in microseconds. */
int number_parse_span(Slice s, uint64_t *ret_usec) _must_check_;

#define NUMBER_U64_SIZE 21
/* Writes without a NUL, returns the length (1 to 20). */
size_t number_format_u64(uint64_t value, char ret[NUMBER_U64_SIZE]);
