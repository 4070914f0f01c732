/* SPDX-License-Identifier: MIT */

/*
 * The resolver, see the header. A batch is sorted by code, so that equal codes stand together and
 * cost one place in the query. Freshness: the marks are taken before the read begins. Redis is
 * asked only for codes whose counter has not moved for longer than anything lives there: then
 * nothing in it can be older than the last change (coherence).
 */

#include "work/resolver.h"
#include "store/watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "cache/redis-value.h"
#include "sys/log.h"
#include "work/thread.h"

#define BATCH_MAX         REDIS_BATCH_MAX /* lookups answered by one query */
#define PING_USEC         USEC_PER_SEC
#define MOVED_LATELY_USEC (5 * USEC_PER_SEC)

/* A counter is quiet when it has not moved for 1.1 times the TTL and what clocks may differ by; and
 * for as long as the clock was set back, by which the age of what is in Redis goes. */
#define QUIET_USEC(ttl) ((ttl) + (ttl) / 10 + REDIS_CLOCK_SEC * USEC_PER_SEC)

#define MESSAGE_REDIS_AWAY "8e1f6f0a7f3b4c0b9d6a5a3e0c7d2b41"
#define MESSAGE_REDIS_BACK "d4a7c2b95e1848b7a0c36f1d8e2b5a90"

/* One distinct code of a batch. */
typedef struct Question {
        Link link;
        uint32_t counter;
        HostMark mark;
        uint64_t read_usec;
        int result;
        bool answered, from_redis;
        size_t first, n; /* its lookups in the sorted batch */
} Question;

struct Resolver {
        ResolverOptions options;
        Inbox *inbox;
        Thread *thread;
        StoreSession *session;
        Lookup *batch[BATCH_MAX];
        Question questions[BATCH_MAX];
        size_t n_questions;
        Link rest[BATCH_MAX]; /* what the store is asked for */
        bool redis_was_up;    /* as last logged */
        atomic_uint_fast64_t timeout_usec;
        uint64_t pinged_usec; /* CLOCK_MONOTONIC */
        uint64_t moved_usec;  /* CLOCK_BOOTTIME of the last move that was taken as a hint */
        Arena arena;
        atomic_uint_fast64_t n_queries;
        atomic_uint_fast64_t ping_usec;
        atomic_bool ping_failed;                  /* the last one */
        atomic_uint_fast64_t in_store_since_usec; /* CLOCK_MONOTONIC; 0: it is not */
        atomic_int_fast64_t active_urls;
};

static int lookup_compare(const void *a, const void *b) {
        const Lookup *const *x = a, *const *y = b;

        return slice_compare((*x)->code, (*y)->code);
}

static int resolver_session(Resolver *resolver, uint64_t deadline_usec) {
        int r;

        if (!resolver->session) {
                r = store_session_new(resolver->options.store, NULL, &resolver->session);
                if (r < 0)
                        return r;
        }
        store_session_deadline(resolver->session, deadline_usec);
        return 0;
}

/* ---- a batch ---- */

/* Sorts the batch, and takes the mark of each distinct code. */
static void begin_batch(Resolver *resolver, size_t n) {
        uint64_t now = clock_monotonic_usec();

        qsort(resolver->batch, n, sizeof *resolver->batch, lookup_compare);
        resolver->n_questions = 0;
        for (size_t i = 0; i < n; i++) {
                Slice code = resolver->batch[i]->code;
                Question *q = resolver->questions + resolver->n_questions;

                if (i > 0 && slice_equal(code, q[-1].link.code)) {
                        q[-1].n++;
                        continue;
                }
                *q = (Question){.read_usec = now, .first = i, .n = 1};
                /* Copied: lookups are gone when what was found is put into Redis. */
                q->link.code = arena_dup(&resolver->arena, code);
                if (!q->link.code.data)
                        q->link.code = code;
                q->counter = host_counter(code);
                q->mark = host_page_mark(resolver->options.page, q->counter);
                resolver->n_questions++;
        }
}

/* Hands one code's answer to its lookups: they are the loop's afterwards. */
static void deliver(Resolver *resolver, const Question *q) {
        for (size_t i = q->first; i < q->first + q->n; i++) {
                Lookup *lookup = resolver->batch[i];
                Slice location = SLICE_NONE;

                lookup->result = q->result;
                if (q->result == 0 && q->link.id != 0 && q->link.is_active) {
                        /* Copied: the batch's arena is reset. */
                        location = arena_dup(&lookup->exchange->arena, q->link.location);
                        if (!location.data)
                                lookup->result = -ENOMEM;
                }
                lookup->mark = q->mark;
                lookup->counter = q->counter;
                lookup->read_usec = q->read_usec;
                lookup->from_redis = q->from_redis;
                lookup->link_id = location.data ? q->link.id : 0;
                lookup->location = location;
                outbox_push(resolver->options.done, &lookup->node);
        }
}

static bool is_quiet(const Resolver *resolver, const Question *q, uint64_t set_back_usec) {
        return host_page_quiet_usec(resolver->options.page, q->counter) >
               QUIET_USEC(resolver->options.redis_ttl_usec) + set_back_usec;
}

static void ask_redis(Resolver *resolver) {
        uint64_t set_back_usec = host_page_set_back_usec(resolver->options.page);
        uint64_t seen_usec = store_seen_usec(resolver->options.store);
        Link *links[BATCH_MAX];
        size_t n = 0;

        (void)redis_tend(resolver->options.redis);
        /* Loaded after the time: what was seen by then moved the counters. */
        if (store_sight(resolver->options.store, clock_monotonic_usec()) == STORE_SIGHT_LOST)
                return;
        for (size_t i = 0; i < resolver->n_questions; i++) {
                Question *q = resolver->questions + i;

                if (is_quiet(resolver, q, set_back_usec))
                        links[n++] = &q->link;
        }
        if (n == 0 || redis_get(resolver->options.redis, &resolver->arena, links, n) <= 0)
                return;
        set_back_usec = host_page_set_back_usec(resolver->options.page); /* meanwhile, too */
        for (size_t i = 0; i < resolver->n_questions; i++) {
                Question *q = resolver->questions + i;

                if (q->link.id == 0 || !is_quiet(resolver, q, set_back_usec))
                        continue;
                q->from_redis = q->answered = true;
                q->read_usec = MIN(q->read_usec, seen_usec);
                deliver(resolver, q);
        }
}

/*
 * A counter that moved, or the epoch, says that a process of this host has reached the store: this
 * one need not wait for its turn to try, and must not, since what it has cached is not known to be
 * true any more. Once for each time.
 */
static bool is_reached_by_others(Resolver *resolver) {
        const HostPage *page = resolver->options.page;
        uint64_t moved_usec = 0;

        for (size_t i = 0; i < resolver->n_questions; i++) {
                uint32_t counter = resolver->questions[i].counter;

                if (host_page_quiet_usec(page, counter) < MOVED_LATELY_USEC)
                        moved_usec = MAX(moved_usec, host_page_touched_usec(page, counter));
        }
        if (moved_usec <= resolver->moved_usec)
                return false;
        resolver->moved_usec = moved_usec;
        store_expect_up(resolver->options.store);
        return true;
}

/* Asks the store for what is not answered yet. How many links it was asked for, in rest[]. */
static size_t ask_store(Resolver *resolver) {
        uint64_t now = clock_monotonic_usec();
        size_t n = 0, at = 0;
        int r;

        for (size_t i = 0; i < resolver->n_questions; i++)
                if (!resolver->questions[i].answered)
                        resolver->rest[n++] = (Link){.code = resolver->questions[i].link.code};
        if (n == 0)
                return 0;
        atomic_store(&resolver->in_store_since_usec, now);
        r = resolver_session(resolver, now + atomic_load(&resolver->timeout_usec));
        if (r == 0)
                r = store_urls_by_codes(resolver->session, &resolver->arena, resolver->rest, n);
        /* The server ended the connection while it was asked, and may be there again already. */
        if (r == -EHOSTDOWN &&
            (is_reached_by_others(resolver) || store_is_up(resolver->options.store)))
                r = store_urls_by_codes(resolver->session, &resolver->arena, resolver->rest, n);
        atomic_store(&resolver->in_store_since_usec, 0);
        atomic_fetch_add_explicit(&resolver->n_queries, 1, memory_order_relaxed);
        for (size_t i = 0; i < resolver->n_questions; i++) {
                Question *q = resolver->questions + i;

                if (q->answered)
                        continue;
                q->link = resolver->rest[at++];
                q->read_usec = now;
                q->result = r;
                deliver(resolver, q);
        }
        return r == 0 ? n : 0;
}

static void resolve(Resolver *resolver, size_t n) {
        uint64_t read_usec;
        size_t n_rest;

        begin_batch(resolver, n);
        if (resolver->options.redis)
                ask_redis(resolver);
        read_usec = host_page_realtime_usec(resolver->options.page);
        n_rest = ask_store(resolver);
        if (resolver->options.redis && n_rest > 0 && !resolver->arena.overflow)
                redis_put(resolver->options.redis, &resolver->arena, resolver->rest, n_rest,
                          read_usec);
        arena_reset(&resolver->arena);
}

/* ---- when nothing waits ---- */

static void ping(Resolver *resolver) {
        bool up = store_is_up(resolver->options.store);
        uint64_t start = clock_monotonic_usec();
        StoreTotals totals;
        int r;

        atomic_store(&resolver->in_store_since_usec, start);
        r = resolver_session(resolver, start + atomic_load(&resolver->timeout_usec));
        /* With the breaker open not in competition with those who want to write, and may not be
         * able to when reading works. */
        if (r == 0)
                r = up ? store_ping(resolver->session) : store_probe(resolver->session);
        if (r == 0 && !up)
                store_expect_up(resolver->options.store);
        atomic_store(&resolver->ping_failed, r != 0);
        atomic_store(&resolver->in_store_since_usec, 0);
        atomic_store(&resolver->ping_usec, clock_monotonic_usec() - start);
        if (r == 0 && store_totals(resolver->session, &totals) == 0)
                atomic_store(&resolver->active_urls, totals.active_urls);
        resolver->pinged_usec = clock_monotonic_usec();
}

/* Redis' state goes to the log when it changes. Returns how long the thread may sleep. */
static uint64_t tend_redis(Resolver *resolver) {
        Redis *redis = resolver->options.redis;
        uint64_t usec;

        if (!redis)
                return PING_USEC;
        (void)host_page_realtime_usec(resolver->options.page);
        usec = redis_tend(redis);
        if (redis_is_up(redis) == resolver->redis_was_up)
                return MIN(usec, PING_USEC);
        resolver->redis_was_up = !resolver->redis_was_up;
        if (resolver->redis_was_up)
                log_entry(LOG_NOTICE, MESSAGE_REDIS_BACK, NULL, 0, "redis is up");
        else
                log_entry(LOG_WARNING, MESSAGE_REDIS_AWAY, NULL, 0,
                          "redis is away: %s: redirects that are not cached go to the store",
                          redis_why(redis));
        return MIN(usec, PING_USEC);
}

static void resolver_run(void *userdata) {
        Resolver *resolver = userdata;
        ListNode waiting;
        bool any;

        list_init(&waiting);
        do {
                any = inbox_take_all(resolver->inbox, MAX(tend_redis(resolver), USEC_PER_MSEC),
                                     &waiting);
                while (!list_empty(&waiting)) {
                        size_t n = 0;

                        while (n < BATCH_MAX && !list_empty(&waiting)) {
                                ListNode *node = list_first(&waiting);

                                list_remove(node);
                                resolver->batch[n++] = LIST_ENTRY(node, Lookup, node);
                        }
                        resolve(resolver, n);
                }
                if (clock_monotonic_usec() - resolver->pinged_usec >= PING_USEC)
                        ping(resolver);
        } while (any || !inbox_closed(resolver->inbox));
}

int resolver_new(const ResolverOptions *options, Resolver **ret) {
        _cleanup_(resolver_free_p) Resolver *resolver = calloc(1, sizeof *resolver);
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->options = *options;
        atomic_init(&resolver->timeout_usec, options->timeout_usec);
        atomic_init(&resolver->active_urls, -1);
        arena_init(&resolver->arena, 0);
        r = inbox_new(options->queue_max, &resolver->inbox);
        if (r < 0)
                return r;
        r = thread_start("resolver", resolver_run, resolver, &resolver->thread);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(resolver);
        return 0;
}

Resolver *resolver_free(Resolver *resolver) {
        if (!resolver)
                return NULL;
        if (resolver->inbox)
                inbox_close(resolver->inbox);
        (void)thread_join(resolver->thread);
        (void)store_session_free(resolver->session);
        (void)inbox_free(resolver->inbox);
        arena_done(&resolver->arena);
        free(resolver);
        return NULL;
}

/* The last time it failed, or seems to fail just now. */
static bool reading_fails(const Resolver *resolver) {
        uint64_t since_usec = atomic_load(&resolver->in_store_since_usec);

        return atomic_load(&resolver->ping_failed) ||
               (since_usec != 0 && clock_monotonic_usec() - since_usec >= STORE_BREAKER_USEC);
}

/* Any thread. The breaker alone does not tell: it may be writes that fail. */
static bool is_hopeless(const Resolver *resolver, Slice code) {
        return !store_is_up(resolver->options.store) && !resolver->options.redis &&
               reading_fails(resolver) &&
               host_page_quiet_usec(resolver->options.page, host_counter(code)) >=
                               MOVED_LATELY_USEC;
}

int resolver_push(Resolver *resolver, Lookup *lookup) {
        if (UNLIKELY(is_hopeless(resolver, lookup->code)))
                return -EHOSTDOWN;
        return inbox_push(resolver->inbox, &lookup->node);
}

void resolver_set_timeout(Resolver *resolver, uint64_t timeout_usec) {
        atomic_store(&resolver->timeout_usec, timeout_usec);
}

void resolver_stats(const Resolver *resolver, ResolverStats *ret) {
        *ret = (ResolverStats){
                        .n_queries = atomic_load_explicit(&resolver->n_queries,
                                                          memory_order_relaxed),
                        .ping_usec = atomic_load_explicit(&resolver->ping_usec,
                                                          memory_order_relaxed),
                        .active_urls = atomic_load_explicit(&resolver->active_urls,
                                                            memory_order_relaxed),
        };
}
