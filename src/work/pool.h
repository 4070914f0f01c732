/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The api workers: threads "worker-N", each with one store session, which run calls as plain
 * blocking functions. The loop pushes, the workers answer into an outbox. Imports, which may last a
 * minute, have a pool of their own with one thread, "importer": any number of them costs the other
 * calls no worker.
 */

#include "host/page.h"
#include "store/store.h"
#include "work/call.h"
#include "work/inbox.h"

#define POOL_WORKERS_MAX 64u /* = HOST_WRITERS: a worker's index names it in the host page */

typedef struct PoolOptions {
        unsigned n_workers;
        size_t queue_max;      /* calls that may wait */
        unsigned first_writer; /* the first worker's index in the host page */
        const char *name;      /* of the only thread; NULL: they are worker-1, worker-2, ... */
} PoolOptions;

typedef struct Pool Pool;

/* slot: for the coherence hooks, see host/page.h; NULL: none (tests). done: where finished calls go
 * (Call.node). */
int pool_new(const PoolOptions *options, Store *store, HostPage *page, HostSlot *slot, Outbox *done,
             Pool **ret) _must_check_;
/* Lets the workers finish what is queued and joins them. */
Pool *pool_free(Pool *pool);
DEFINE_CLEANUP(Pool, pool_free)

/* Will the call be begun before half of the time until its deadline is over? As far as the mean
 * duration of the last calls tells. Of the call only the deadline is looked at. */
bool pool_takes(const Pool *pool, const Call *call);
/* -ENOBUFS: the queue is full, or the call is not taken. */
int pool_push(Pool *pool, Call *call) _must_check_;
size_t pool_queue_depth(const Pool *pool);
/* Has a call ended since then (CLOCK_MONOTONIC)? */
bool pool_went_on(const Pool *pool, uint64_t since_usec);

/* Is a worker stuck: in one call for over usec without being inside a store verb? For the watchdog.
 */
bool pool_stuck(const Pool *pool, uint64_t usec);
