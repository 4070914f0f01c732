/* SPDX-License-Identifier: MIT */
#pragma once

/* A rate as the configuration writes it: "600/1min", "600/min", "600/1min:50", "off". */

#include <stdint.h>

#include "basic/slice.h"

#define LIMIT_RATE_MAX 1000000u /* requests a second */

typedef struct LimitRate {
        uint64_t n;         /* requests; 0: no limit */
        uint64_t span_usec; /* in this time, in the long run */
        uint64_t burst;     /* at once; not given: a twentieth of n, but ten if n allows */
} LimitRate;

/* -EINVAL: no such rate, or one beyond LIMIT_RATE_MAX. */
int limit_rate_parse(Slice text, LimitRate *ret) _must_check_;
