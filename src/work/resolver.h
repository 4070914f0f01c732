/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The resolver: one thread that answers redirect misses. It takes all waiting lookups at once, asks
 * Redis for those of their distinct codes that have not changed lately, the store for the rest,
 * each in one query, and hands the answers back together, with the marks that it took before it
 * read. What it read from the store it puts into Redis, after it has answered. When nothing waits
 * it pings the store once a second and reads the kept totals, so that /health and the metrics need
 * no store.
 */

#include "cache/redis.h"
#include "host/page.h"
#include "http/message.h"
#include "store/store.h"
#include "work/inbox.h"

/* One redirect that waits. Lives in its exchange's arena. */
typedef struct Lookup {
        ListNode node; /* in the resolver's queues */
        HttpExchange *exchange;
        Slice code;             /* in the exchange's arena */
        uint64_t deadline_usec; /* CLOCK_MONOTONIC */
        ListNode waiting;       /* the loop's own list by deadline */
        bool expired;           /* the loop answered meanwhile */

        /* The answer. */
        int result; /* 0, or the store's negative one */
        HostMark mark;
        uint32_t counter;
        uint64_t read_usec; /* CLOCK_MONOTONIC: the answer was right at this time, or later */
        bool from_redis;
        int64_t link_id; /* 0: no active link */
        Slice location;  /* in the exchange's arena */
} Lookup;

typedef struct ResolverOptions {
        size_t queue_max; /* lookups that may wait */
        uint64_t timeout_usec;
        Store *store;
        HostPage *page;
        Outbox *done; /* where answered lookups go */
        Redis *redis; /* the thread's own from now on; NULL: none */
        uint64_t redis_ttl_usec;
} ResolverOptions;

typedef struct ResolverStats {
        uint64_t n_queries;  /* of the store */
        uint64_t ping_usec;  /* duration of the last ping */
        int64_t active_urls; /* -1: not known yet */
} ResolverStats;

typedef struct Resolver Resolver;

/* What it is given must outlive it. */
int resolver_new(const ResolverOptions *options, Resolver **ret) _must_check_;
Resolver *resolver_free(Resolver *resolver);
DEFINE_CLEANUP(Resolver, resolver_free)

/* -ENOBUFS: too many wait. -EHOSTDOWN: the breaker is open, reading failed too, nothing has shown
 * since that the store is back, and there is no Redis: the thread, which probes, could not answer
 * either. */
int resolver_push(Resolver *resolver, Lookup *lookup) _must_check_;
void resolver_set_timeout(Resolver *resolver, uint64_t timeout_usec);
void resolver_stats(const Resolver *resolver, ResolverStats *ret); /* any thread */
