/* SPDX-License-Identifier: MIT */

/*
 * The pool. A worker opens its session with its first call and again after a failure, so that a
 * store that is away at start costs nothing. What a handler could not answer becomes 503 or 500
 * here and is logged once.
 *
 * A worker for which the server has no connection would be the fastest of all, with 503: it leaves
 * the calls to those that have theirs, and only tries to get one.
 */

#include "work/pool.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "host/futex.h"
#include "model/problem.h"
#include "sys/log.h"
#include "work/hooks.h"
#include "work/thread.h"

#define ROOM_USEC    (250 * USEC_PER_MSEC) /* from one look for a connection to the next */
#define CONNECT_USEC USEC_PER_SEC
#define IDLE_USEC \
 (5 * USEC_PER_SEC) /* without a call, from one look at the connection to the next */

/* The mean duration of a call follows this many of them: some that took long, since the store stood
 * still for a moment, say nothing of the others. */
#define MEAN_CALLS 256u
/* And it halves while for so long nobody has anything to do: then there is no backlog, and what was
 * slow, such as a store that was away, may be over. */
#define FORGET_USEC USEC_PER_SEC

typedef struct Worker {
        Pool *pool;
        Thread *thread;
        HostWriter writer;
        _Atomic(StoreSession *) session; /* written by the worker; the watchdog looks */
        atomic_uint_fast64_t busy_since; /* CLOCK_MONOTONIC usec of the current call; 0: idle */
        atomic_bool connected;           /* its session, as far as it knows */
        char name[24];
} Worker;

struct Pool {
        Store *store;
        HostSlot *slot;
        Inbox *inbox;
        Outbox *done;
        uint32_t stop; /* atomic, futex */
        unsigned n_workers;
        atomic_uint_fast64_t mean_usec_calls; /* MEAN_CALLS times the mean duration of a call */
        atomic_uint_fast64_t last_usec;       /* CLOCK_MONOTONIC at the end of the last one */
        Worker workers[];
};

static bool is_away(int r) {
        return r == -EHOSTDOWN || r == -ETIMEDOUT || r == -EBUSY || r == -ENOMEM;
}

/* A handler's negative result as an answer. */
static void call_failed(Call *call, int result) {
        HttpResponse *response = &call->exchange->response;
        int status = is_away(result) ? 503 : 500;

        if (status == 500)
                log_entry(LOG_ERR, NULL,
                          (LogField[]){{"SHORTENER_REQUEST_ID", call->exchange->request.request_id},
                                       {"SHORTENER_ROUTE", slice_from_string(call->route->name)}},
                          2, "request failed: %s: %s", strerror(-result),
                          call->store ? store_session_error(call->store) : "no session");
        buffer_clear(&response->head);
        response->content_type = SLICE_NONE;
        if (status == 503)
                http_response_field(response, "Retry-After", SLICE("1"));
        if (call_problem(call, status, problem_generic_text(status)) < 0)
                response->status = 503; /* the body failed: the connection layer answers for it */
}

static int worker_session(Worker *worker) {
        Pool *pool = worker->pool;
        StoreHooks hooks = host_writer_hooks(&worker->writer);
        StoreSession *session;
        int r;

        if (atomic_load(&worker->session))
                return 0;
        r = store_session_new(pool->store, pool->slot ? &hooks : NULL, &session);
        if (r < 0)
                return r;
        atomic_store(&worker->session, session);
        return 0;
}

/* In whose name the handler changes something. */
static void name_actor(const Call *call) {
        const StoreActor actor = {
                        .token_id = call->actor.token_id,
                        .user_id = MAX(call->actor.owner, (int64_t)0),
                        .name = call->actor.token_id != 0 ? SLICE("token") : SLICE("open"),
                        .request_id = call->exchange->request.request_id,
        };

        store_session_actor(call->store, &actor);
}

static void worker_call(Worker *worker, Call *call) {
        int r = 0;

        if (clock_monotonic_usec() >= call->deadline_usec)
                r = -ETIMEDOUT; /* it waited too long: nobody is listening any more */
        if (r == 0)
                r = worker_session(worker);
        if (r == 0) {
                call->store = atomic_load(&worker->session);
                store_session_deadline(call->store, call->deadline_usec);
                r = call->context && call->context->authenticate ? call->context->authenticate(call)
                                                                 : 0;
                if (r > 0)
                        return;
                if (r == 0 && call->route->worker) {
                        name_actor(call);
                        r = call->route->worker(call);
                        store_session_actor(call->store, NULL); /* its texts are the call's */
                }
        }
        if (r != 0)
                call_failed(call, r);
}

/* ---- too few connections ---- */

static bool stopped(const Pool *pool) {
        return __atomic_load_n(&pool->stop, __ATOMIC_SEQ_CST) != 0;
}

static bool others_are_connected(const Worker *worker) {
        const Pool *pool = worker->pool;

        for (unsigned i = 0; i < pool->n_workers; i++)
                if (pool->workers + i != worker && atomic_load(&pool->workers[i].connected))
                        return true;
        return false;
}

/* Has it none, and others of the pool do? */
static bool lacks_connection(Worker *worker, uint64_t deadline_usec) {
        StoreSession *session;

        if (worker_session(worker) < 0 || stopped(worker->pool))
                return false;
        session = atomic_load(&worker->session);
        store_session_deadline(session, deadline_usec);
        return !store_session_has_room(session) && others_are_connected(worker);
}

static void await_connection(Worker *worker) {
        do
                futex_sleep(&worker->pool->stop, 0, ROOM_USEC);
        while (lacks_connection(worker, clock_monotonic_usec() + CONNECT_USEC));
}

/* ---- one call after another ---- */

static void set_mean(Pool *pool, uint64_t mean_usec_calls, uint64_t now_usec) {
        atomic_store_explicit(&pool->mean_usec_calls, mean_usec_calls, memory_order_relaxed);
        atomic_store_explicit(&pool->last_usec, now_usec, memory_order_relaxed);
}

/* Workers that do this at once may lose one of theirs. */
static void note_duration(Pool *pool, uint64_t since_usec) {
        uint64_t mean = atomic_load_explicit(&pool->mean_usec_calls, memory_order_relaxed);
        uint64_t now = clock_monotonic_usec();

        set_mean(pool, mean - mean / MEAN_CALLS + (now - since_usec), now);
}

static bool is_idle(const Pool *pool) {
        for (unsigned i = 0; i < pool->n_workers; i++)
                if (atomic_load(&pool->workers[i].busy_since) != 0)
                        return false;
        return inbox_length(pool->inbox) == 0;
}

/* After a pause, before the call that ends it. */
static void forget_durations(Pool *pool) {
        uint64_t mean = atomic_load_explicit(&pool->mean_usec_calls, memory_order_relaxed);
        uint64_t last = atomic_load_explicit(&pool->last_usec, memory_order_relaxed);
        uint64_t now = clock_monotonic_usec(), paused = now - MIN(now, last);

        mean >>= MIN(paused / FORGET_USEC, (uint64_t)63);
        mean -= mean * (paused % FORGET_USEC) / (2 * FORGET_USEC);
        set_mean(pool, mean, now);
}

static void look_at_connection(Worker *worker) {
        StoreSession *session = atomic_load(&worker->session);

        if (session)
                store_session_look(session);
        atomic_store(&worker->connected, session && store_session_is_connected(session));
}

/* NULL: the pool ends. */
static ListNode *next_call(Worker *worker) {
        Inbox *inbox = worker->pool->inbox;
        ListNode *node;

        while (!(node = inbox_take(inbox, IDLE_USEC))) {
                if (inbox_closed(inbox))
                        return inbox_take(inbox, 0); /* what came between these two; no waiting */
                look_at_connection(worker);
        }
        return node;
}

static void worker_run(void *userdata) {
        Worker *worker = userdata;
        Pool *pool = worker->pool;
        ListNode *node;

        while ((node = next_call(worker))) {
                Call *call = LIST_ENTRY(node, Call, node);
                uint64_t since = clock_monotonic_usec();
                StoreSession *session;

                atomic_store(&worker->busy_since, since);
                if (lacks_connection(worker, call->deadline_usec)) {
                        atomic_store(&worker->busy_since, 0);
                        inbox_return(pool->inbox, node);
                        await_connection(worker);
                        continue;
                }
                worker_call(worker, call);
                session = atomic_load(&worker->session);
                atomic_store(&worker->connected, session && store_session_is_connected(session));
                note_duration(pool, since);
                atomic_store(&worker->busy_since, 0);
                outbox_push(pool->done, &call->node);
        }
}

static int pool_start(Pool *pool, const PoolOptions *options, HostPage *page) {
        for (unsigned i = 0; i < pool->n_workers; i++) {
                Worker *worker = pool->workers + i;
                int r;

                worker->pool = pool;
                worker->writer = (HostWriter){.page = page,
                                              .slot = pool->slot,
                                              .index = options->first_writer + i};
                if (options->name)
                        (void)snprintf(worker->name, sizeof worker->name, "%s", options->name);
                else
                        (void)snprintf(worker->name, sizeof worker->name, "worker-%u", i + 1);
                r = thread_start(worker->name, worker_run, worker, &worker->thread);
                if (r < 0)
                        return r;
        }
        return 0;
}

int pool_new(const PoolOptions *options, Store *store, HostPage *page, HostSlot *slot, Outbox *done,
             Pool **ret) {
        _cleanup_(pool_free_p) Pool *pool = NULL;
        int r;

        CHECK(options->n_workers <= POOL_WORKERS_MAX - options->first_writer);
        pool = calloc(1, sizeof *pool + options->n_workers * sizeof(Worker));
        if (!pool)
                return -ENOMEM;
        pool->store = store;
        pool->slot = slot;
        pool->done = done;
        pool->n_workers = options->n_workers;
        r = inbox_new(options->queue_max, &pool->inbox);
        if (r < 0)
                return r;
        r = pool_start(pool, options, page);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(pool);
        return 0;
}

Pool *pool_free(Pool *pool) {
        if (!pool)
                return NULL;
        if (pool->inbox)
                inbox_close(pool->inbox);
        __atomic_store_n(&pool->stop, 1, __ATOMIC_SEQ_CST);
        futex_wake_all(&pool->stop);
        for (unsigned i = 0; i < pool->n_workers; i++) {
                (void)thread_join(pool->workers[i].thread);
                (void)store_session_free(atomic_load(&pool->workers[i].session));
        }
        (void)inbox_free(pool->inbox);
        free(pool);
        return NULL;
}

/* How long a call would wait that came now. */
static uint64_t expected_wait(const Pool *pool) {
        uint64_t mean = atomic_load_explicit(&pool->mean_usec_calls, memory_order_relaxed);

        return inbox_length(pool->inbox) * (mean / MEAN_CALLS) / pool->n_workers;
}

/* Rather refused now than at its deadline, when a worker has perhaps begun it for nothing. */
bool pool_takes(const Pool *pool, const Call *call) {
        uint64_t now = clock_monotonic_usec(),
                 left = call->deadline_usec - MIN(call->deadline_usec, now);

        return expected_wait(pool) <= left / 2;
}

int pool_push(Pool *pool, Call *call) {
        if (is_idle(pool))
                forget_durations(pool);
        return pool_takes(pool, call) ? inbox_push(pool->inbox, &call->node) : -ENOBUFS;
}

size_t pool_queue_depth(const Pool *pool) {
        return inbox_length(pool->inbox);
}

bool pool_went_on(const Pool *pool, uint64_t since_usec) {
        return atomic_load_explicit(&pool->last_usec, memory_order_relaxed) > since_usec;
}

bool pool_stuck(const Pool *pool, uint64_t usec) {
        uint64_t now = clock_monotonic_usec();

        for (unsigned i = 0; i < pool->n_workers; i++) {
                const Worker *worker = pool->workers + i;
                uint64_t since = atomic_load(&worker->busy_since);
                StoreSession *session = atomic_load(&worker->session);

                if (since == 0 || now - MIN(now, since) < usec)
                        continue;
                if (!session || store_session_busy_since(session) == 0)
                        return true;
        }
        return false;
}
