/* SPDX-License-Identifier: MIT */
#pragma once

/* Hearing of what other hosts change in the store. */

#include "store/store.h"

/* Does this store tell what other hosts change? (PostgreSQL does, unless unprepared.) */
bool store_can_watch(const Store *store);

#define STORE_SIGHT_USEC 1000000u /* after which a change of another host must be seen here */

/*
 * What is known here of changes that other hosts make; told by the process' watcher, asked by those
 * who judge what was read before. Any thread.
 *   STORE_SIGHT_ALL   all changes that were committed before store_seen_usec() have been heard of,
 *                     and that is at most STORE_SIGHT_USEC before now_usec.
 *                     Always so when only this host can change the store (SQLite).
 *   STORE_SIGHT_NONE  nothing is heard, and no verb that began since then has reached the store.
 *                     Shared stores begin so.
 *   STORE_SIGHT_LOST  nothing is heard, though the store can be reached; or the watcher has had no
 *                     time to say anything: the process, or the machine, stood still
 */
typedef enum StoreSight { STORE_SIGHT_ALL, STORE_SIGHT_NONE, STORE_SIGHT_LOST } StoreSight;
/* now_usec: CLOCK_MONOTONIC; 0: as the watcher has told last, however long ago. */
StoreSight store_sight(const Store *store, uint64_t now_usec);
/* CLOCK_MONOTONIC; now for a store that only this host can change. */
uint64_t store_seen_usec(const Store *store);
/* All was heard of what was committed before usec. */
void store_saw(Store *store, uint64_t usec);
/* Another process has just reached it: the next verb may try at once. */
void store_expect_up(Store *store);
/* Nothing is heard any more; reached: of a store that answers others. */
void store_lost_sight(Store *store, bool reached);

/* A ping that the breaker neither stops nor hears of. */
int store_probe(StoreSession *session) _must_check_;

/* For a session that does nothing else. The first call, and the first after the connection was
 * lost, begins to listen and sets *ret_began: what changed before that was not heard of. Each call
 * asks the server for a sign of life within the session's deadline, then waits up to timeout_usec
 * and calls changed() for each change that was committed; code.data == NULL: any link may have
 * changed; made: there was none of this code before. 0, -EHOSTDOWN, -ETIMEDOUT or -ENOMEM. The
 * breaker has no part in it. */
int store_watch(StoreSession *session, uint64_t timeout_usec,
                void (*changed)(void *userdata, Slice code, bool made), void *userdata,
                bool *ret_began) _must_check_;
