/* SPDX-License-Identifier: MIT */

/*
 * The warmer, see the header. One walk over the store serves both caches. Freshness: all counters
 * are copied before the walk's transaction begins, so that a link which changes meanwhile has a
 * mark that is not current any more, and what is put into Redis ends by the time of the walk's
 * start (coherence). With a store that others change it waits until the watcher hears: before that,
 * whatever it read would be forgotten at once.
 */

#include "work/warmer.h"
#include "store/watch.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "basic/clock.h"
#include "host/futex.h"
#include "work/thread.h"

#define N_BATCHES 2u
#define WALK_USEC                                                               \
 (60 * USEC_PER_SEC) /* for the whole walk: what is not there by then is missed \
                      */
#define CONNECT_USEC USEC_PER_SEC
#define SETTLE_USEC  USEC_PER_SEC /* for one batch in Redis */
#define STEP_USEC    (100 * USEC_PER_MSEC)
#define LOOK_UP_USEC (5 * USEC_PER_SEC)
#define NICE         10

struct Warmer {
        WarmerOptions options;
        Thread *thread;
        Inbox *free;
        WarmBatch batches[N_BATCHES];
        WarmBatch *batch; /* being filled */
        uint64_t *generations;
        uint64_t epoch;
        uint64_t read_usec, read_realtime_usec;
        bool to_redis;
        uint32_t stop; /* atomic, futex */
        atomic_bool full, done;
        atomic_uint_fast64_t n_cache, n_redis;
};

static bool stopped(const Warmer *warmer) {
        return __atomic_load_n(&warmer->stop, __ATOMIC_SEQ_CST) != 0;
}

static bool cache_wants_more(const Warmer *warmer) {
        return warmer->options.fill_cache && !atomic_load(&warmer->full);
}

static void put_into_redis(Warmer *warmer, WarmBatch *batch) {
        Link links[WARM_BATCH];

        for (size_t i = 0; i < batch->n; i++)
                links[i] = batch->links[i].link;
        redis_put(warmer->options.redis, &batch->arena, links, batch->n,
                  warmer->read_realtime_usec);
        if (redis_settle(warmer->options.redis, SETTLE_USEC) < 0)
                warmer->to_redis = false; /* it is away: no second try in this walk */
        else
                atomic_fetch_add(&warmer->n_redis, batch->n);
}

static void empty_batch(WarmBatch *batch) {
        arena_reset(&batch->arena);
        batch->n = 0;
}

/* Hands over what was collected. */
static void flush_batch(Warmer *warmer) {
        WarmBatch *batch = warmer->batch;

        if (!batch || batch->n == 0)
                return;
        if (warmer->to_redis)
                put_into_redis(warmer, batch);
        if (!cache_wants_more(warmer)) {
                empty_batch(batch);
                return;
        }
        atomic_fetch_add(&warmer->n_cache, batch->n);
        warmer->batch = NULL;
        outbox_push(warmer->options.done, &batch->node);
}

static bool find_batch(Warmer *warmer) {
        ListNode *node;

        if (!warmer->batch) {
                node = inbox_take(warmer->free, 0);
                if (!node)
                        return false; /* closed: the end */
                warmer->batch = LIST_ENTRY(node, WarmBatch, node);
                empty_batch(warmer->batch);
        }
        return true;
}

static int on_link(void *userdata, const Link *link) {
        Warmer *warmer = userdata;
        WarmLink *warm;
        Arena *arena;

        if (stopped(warmer) || !(cache_wants_more(warmer) || warmer->to_redis) ||
            !find_batch(warmer))
                return 1;
        arena = &warmer->batch->arena;
        warm = warmer->batch->links + warmer->batch->n;
        *warm = (WarmLink){.link = *link, .counter = host_counter(link->code)};
        warm->link.code = arena_dup(arena, link->code);
        warm->link.location = arena_dup(arena, link->location);
        warm->mark = (HostMark){warmer->generations[warm->counter], warmer->epoch};
        if (arena->overflow)
                return 1;
        warmer->batch->read_usec = warmer->read_usec;
        if (++warmer->batch->n == WARM_BATCH)
                flush_batch(warmer);
        return 0;
}

/* Is this the process that fills Redis? */
static bool claim_redis(Warmer *warmer) {
        Redis *redis = warmer->options.redis;

        if (!redis || (redis_wants_address(redis) && redis_look_up(redis) < 0))
                return false;
        return redis_connect(redis, CONNECT_USEC) == 0 &&
               redis_claim(redis, "warm-up", warmer->options.instance,
                           warmer->options.redis_ttl_usec / 2) == 0;
}

static int walk(Warmer *warmer) {
        _cleanup_(store_session_free_p) StoreSession *session = NULL;
        int r;

        r = store_session_new(warmer->options.store, NULL, &session);
        if (r < 0)
                return r;
        warmer->read_usec = clock_monotonic_usec();
        warmer->read_realtime_usec = host_page_realtime_usec(warmer->options.page);
        warmer->epoch = host_page_copy_marks(warmer->options.page, warmer->generations);
        store_session_deadline(session, warmer->read_usec + WALK_USEC);
        r = store_codes_each(session, INT64_MAX, on_link, warmer);
        flush_batch(warmer);
        return r;
}

static void warm_up(Warmer *warmer) {
        int r = -EHOSTDOWN;

        while (!stopped(warmer) && store_sight(warmer->options.store, 0) != STORE_SIGHT_ALL)
                futex_sleep(&warmer->stop, 0, STEP_USEC);
        warmer->to_redis = !stopped(warmer) && claim_redis(warmer);
        while (!stopped(warmer) && (r == -EHOSTDOWN || r == -EBUSY)) {
                r = walk(warmer);
                if (r < 0)
                        futex_sleep(&warmer->stop, 0, 10 * STEP_USEC);
        }
        free(warmer->generations); /* half a MiB for nothing from now on */
        warmer->generations = NULL;
        (void)malloc_trim(0); /* what the walk's session and the start have freed */
        atomic_store(&warmer->done, true);
}

static void warmer_run(void *userdata) {
        Warmer *warmer = userdata;
        Redis *redis = warmer->options.redis_of_misses;

        (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread; a sandbox may refuse it */
        if (redis && redis_wants_address(redis))
                (void)redis_look_up(redis);
        if (warmer->options.fill_cache || warmer->options.redis)
                warm_up(warmer);
        while (redis && !stopped(warmer)) {
                if (redis_wants_address(redis))
                        (void)redis_look_up(redis);
                futex_sleep(&warmer->stop, 0, LOOK_UP_USEC);
        }
}

int warmer_new(const WarmerOptions *options, Warmer **ret) {
        _cleanup_(warmer_free_p) Warmer *warmer = calloc(1, sizeof *warmer);
        int r;

        if (!warmer)
                return -ENOMEM;
        warmer->options = *options;
        warmer->generations = calloc(HOST_COUNTERS, sizeof *warmer->generations);
        if (!warmer->generations)
                return -ENOMEM;
        r = inbox_new(N_BATCHES, &warmer->free);
        if (r < 0)
                return r;
        for (size_t i = 0; i < N_BATCHES; i++) {
                arena_init(&warmer->batches[i].arena, 0);
                r = inbox_push(warmer->free, &warmer->batches[i].node);
                CHECK(r == 0);
        }
        r = thread_start("warm-up", warmer_run, warmer, &warmer->thread);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(warmer);
        return 0;
}

void warmer_stop(Warmer *warmer) {
        __atomic_store_n(&warmer->stop, 1, __ATOMIC_SEQ_CST);
        futex_wake_all(&warmer->stop);
        if (warmer->free)
                inbox_close(warmer->free);
        warmer->thread = thread_join(warmer->thread);
}

Warmer *warmer_free(Warmer *warmer) {
        if (!warmer)
                return NULL;
        warmer_stop(warmer);
        while (warmer->free && inbox_take(warmer->free, 1))
                ;
        (void)inbox_free(warmer->free);
        for (size_t i = 0; i < N_BATCHES; i++)
                arena_done(&warmer->batches[i].arena);
        free(warmer->generations);
        free(warmer);
        return NULL;
}

void warmer_return(Warmer *warmer, WarmBatch *batch, bool full) {
        if (full)
                atomic_store(&warmer->full, true);
        if (inbox_push(warmer->free, &batch->node) < 0)
                return; /* it ends */
}

void warmer_stats(const Warmer *warmer, WarmerStats *ret) {
        *ret = (WarmerStats){
                        .n_cache = atomic_load(&warmer->n_cache),
                        .n_redis = atomic_load(&warmer->n_redis),
                        .done = atomic_load(&warmer->done),
        };
}
