/* SPDX-License-Identifier: MIT */

/*
 * The resolver, see the header. A batch is sorted by code, so that equal codes stand together and
 * cost one place in the query. Freshness: the marks are taken before the read begins (coherence).
 */

#include "work/resolver.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "work/thread.h"

#define BATCH_MAX 512u /* lookups answered by one query */
#define PING_USEC USEC_PER_SEC

struct Resolver {
        Store *store;
        HostPage *page;
        Inbox *inbox;
        Outbox *done;
        Thread *thread;
        StoreSession *session;
        atomic_uint_fast64_t timeout_usec;
        uint64_t pinged_usec; /* CLOCK_MONOTONIC */
        Arena arena;
        atomic_uint_fast64_t n_queries;
        atomic_uint_fast64_t ping_usec;
        atomic_int_fast64_t active_urls;
};

static int lookup_compare(const void *a, const void *b) {
        const Lookup *const *x = a, *const *y = b;

        return slice_compare((*x)->code, (*y)->code);
}

static int resolver_session(Resolver *resolver, uint64_t deadline_usec) {
        int r;

        if (!resolver->session) {
                r = store_session_new(resolver->store, NULL, &resolver->session);
                if (r < 0)
                        return r;
        }
        store_session_deadline(resolver->session, deadline_usec);
        return 0;
}

/* The distinct codes of the sorted batch as links to be filled. */
static size_t distinct_links(Lookup **batch, size_t n, Link *ret) {
        size_t n_links = 0;

        for (size_t i = 0; i < n; i++)
                if (i == 0 || !slice_equal(batch[i]->code, batch[i - 1]->code))
                        ret[n_links++] = (Link){.code = batch[i]->code};
        return n_links;
}

static void lookup_answer(Lookup *lookup, int result, const Link *link) {
        Slice location = SLICE_NONE;

        if (result == 0 && link->id != 0 && link->is_active) {
                /* Copied: the batch's arena is reset, and another lookup may share the link. */
                location = arena_dup(&lookup->exchange->arena, link->location);
                if (!location.data)
                        result = -ENOMEM;
        }
        lookup->result = result;
        lookup->link_id = location.data ? link->id : 0;
        lookup->location = location;
}

static void resolve(Resolver *resolver, Lookup **batch, size_t n) {
        Link links[BATCH_MAX];
        size_t n_links, at = 0;
        int r;

        qsort(batch, n, sizeof *batch, lookup_compare);
        for (size_t i = 0; i < n; i++) {
                batch[i]->counter = host_counter(batch[i]->code);
                batch[i]->mark = host_page_mark(resolver->page, batch[i]->counter);
        }
        n_links = distinct_links(batch, n, links);
        r = resolver_session(resolver,
                             clock_monotonic_usec() + atomic_load(&resolver->timeout_usec));
        if (r == 0)
                r = store_urls_by_codes(resolver->session, &resolver->arena, links, n_links);
        atomic_fetch_add_explicit(&resolver->n_queries, 1, memory_order_relaxed);
        for (size_t i = 0; i < n; i++) {
                if (i > 0 && !slice_equal(batch[i]->code, batch[i - 1]->code))
                        at++;
                lookup_answer(batch[i], r, links + at);
        }
        for (size_t i = 0; i < n; i++)
                outbox_push(resolver->done, &batch[i]->node);
        arena_reset(&resolver->arena);
}

static void ping(Resolver *resolver) {
        uint64_t start = clock_monotonic_usec();
        StoreTotals totals;
        int r;

        r = resolver_session(resolver, start + atomic_load(&resolver->timeout_usec));
        if (r == 0)
                r = store_ping(resolver->session);
        atomic_store(&resolver->ping_usec, clock_monotonic_usec() - start);
        if (r == 0 && store_totals(resolver->session, &totals) == 0)
                atomic_store(&resolver->active_urls, totals.active_urls);
        resolver->pinged_usec = clock_monotonic_usec();
}

static void resolver_run(void *userdata) {
        Resolver *resolver = userdata;
        Lookup *batch[BATCH_MAX];
        ListNode waiting;
        bool any;

        list_init(&waiting);
        do {
                any = inbox_take_all(resolver->inbox, PING_USEC, &waiting);
                while (!list_empty(&waiting)) {
                        size_t n = 0;

                        while (n < BATCH_MAX && !list_empty(&waiting)) {
                                ListNode *node = list_first(&waiting);

                                list_remove(node);
                                batch[n++] = LIST_ENTRY(node, Lookup, node);
                        }
                        resolve(resolver, batch, n);
                }
                if (clock_monotonic_usec() - resolver->pinged_usec >= PING_USEC)
                        ping(resolver);
        } while (any || !inbox_closed(resolver->inbox));
}

int resolver_new(size_t queue_max, uint64_t timeout_usec, Store *store, HostPage *page,
                 Outbox *done, Resolver **ret) {
        _cleanup_(resolver_free_p) Resolver *resolver = calloc(1, sizeof *resolver);
        int r;

        if (!resolver)
                return -ENOMEM;
        resolver->store = store;
        resolver->page = page;
        resolver->done = done;
        atomic_init(&resolver->timeout_usec, timeout_usec);
        atomic_init(&resolver->active_urls, -1);
        arena_init(&resolver->arena, 0);
        r = inbox_new(queue_max, &resolver->inbox);
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

int resolver_push(Resolver *resolver, Lookup *lookup) {
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
