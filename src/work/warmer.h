/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Filling the caches at the start, on a thread of its own that nobody waits for: the active links,
 * those with most visits first, in small batches to the loop, which puts them into the redirect
 * cache; and all of them into Redis, by the first process that asks for the lock there. Afterwards
 * the thread looks up the name of Redis' host when that is needed. It keeps no redirect waiting: a
 * batch is 64 links, two may be under way, and a link that is needed sooner is looked up as ever.
 */

#include "cache/redis.h"
#include "host/page.h"
#include "store/store.h"
#include "work/inbox.h"

#define WARM_BATCH 64u /* links */

typedef struct WarmLink {
        Link link; /* active; texts in the batch's arena */
        uint32_t counter;
        HostMark mark;
} WarmLink;

typedef struct WarmBatch {
        ListNode node; /* in the outbox, or among the free ones */
        Arena arena;
        uint64_t read_usec; /* CLOCK_MONOTONIC before the store was read */
        size_t n;
        WarmLink links[WARM_BATCH];
} WarmBatch;

typedef struct WarmerOptions {
        Store *store;
        HostPage *page;
        Outbox *done;           /* batches for the loop, which gives each back: warmer_return() */
        bool fill_cache;        /* else only Redis is filled */
        Redis *redis;           /* the thread's own; NULL: none */
        Redis *redis_of_misses; /* whose host's name is looked up; NULL: none */
        const char *instance;   /* the lock's owner */
        uint64_t redis_ttl_usec;
} WarmerOptions;

typedef struct WarmerStats {
        uint64_t n_cache, n_redis; /* links given to either */
        bool done;
} WarmerStats;

typedef struct Warmer Warmer;

/* What it is given must outlive it. */
int warmer_new(const WarmerOptions *options, Warmer **ret) _must_check_;
/* Ends the thread. Then the outbox must be emptied, before the batches go with warmer_free(). */
void warmer_stop(Warmer *warmer);
Warmer *warmer_free(Warmer *warmer);
DEFINE_CLEANUP(Warmer, warmer_free)

/* The loop has done with the batch; full: its cache takes no more. */
void warmer_return(Warmer *warmer, WarmBatch *batch, bool full);
void warmer_stats(const Warmer *warmer, WarmerStats *ret); /* any thread */
