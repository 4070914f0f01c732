/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Limits of several hosts as one: the thread "limits" tells the others by Redis what the limiter
 * gave away, and takes what they gave of the budgets here (decision 14). The loop never waits for
 * it: each turn it hands over a parcel, and takes it back. While Redis is away the limits are those
 * of the host.
 */

#include "cache/redis.h"
#include "limit/limiter.h"

typedef struct LimitShareStats {
        bool up;           /* Redis answers, and takes what it is told */
        uint64_t n_told;   /* requests that others were told of */
        uint64_t n_untold; /* and those they were not: Redis away or slow, or too many clients */
        uint64_t n_heard;  /* of others', taken of the budgets here */
        uint64_t n_bad;    /* entries that were none */
} LimitShareStats;

typedef struct LimitShare LimitShare;

/* Takes redis over, also on failure; timeout_usec: how long its answers are waited for. The
 * limiter, which is the loop's, tells of what it gives from now on, and must live longer. */
int limit_share_new(Limiter *limiter, Redis *redis, uint64_t timeout_usec,
                    LimitShare **ret) _must_check_;
LimitShare *limit_share_free(LimitShare *share);
DEFINE_CLEANUP(LimitShare, limit_share_free)

/* On the loop, about ten times a second. */
void limit_share_turn(LimitShare *share);
void limit_share_stats(const LimitShare *share, LimitShareStats *ret); /* the loop */
