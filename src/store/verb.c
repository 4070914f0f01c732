/* SPDX-License-Identifier: MIT */

/*
 * The bracket around each verb, the same for every driver: the circuit breaker of the process, the
 * check of a deadline that passed in a queue, and the mark that the session is inside a verb.
 *
 * Threads: the breaker and the busy mark are atomics that any thread may read. The breaker is exact
 * enough, not exact: verbs that end at the same instant may let one more through, or open it one
 * failure later.
 */

#include <errno.h>
#include <sched.h>
#include <stdio.h>

#include "basic/clock.h"
#include "store/verb.h"
#include "store/watch.h"

/* May a verb go on to the store? While the breaker is open one in STORE_BREAKER_USEC may. */
static bool breaker_admits(Store *store, uint64_t now_usec) {
        uint64_t probe_usec = atomic_load_explicit(&store->next_probe_usec, memory_order_relaxed);

        if (LIKELY(probe_usec == 0))
                return true;
        if (now_usec < probe_usec)
                return false;
        return atomic_compare_exchange_strong(&store->next_probe_usec, &probe_usec,
                                              now_usec + STORE_BREAKER_USEC);
}

/* A verb that began at begun_usec came back: what is not heard of can be asked for. */
static void note_reached(Store *store, uint64_t begun_usec) {
        int none = STORE_SIGHT_NONE;

        if (LIKELY(atomic_load_explicit(&store->sight, memory_order_relaxed) != none))
                return;
        if (begun_usec >= atomic_load(&store->seen_usec))
                (void)atomic_compare_exchange_strong(&store->sight, &none, STORE_SIGHT_LOST);
}

static bool is_failure(int result) {
        return result == -EHOSTDOWN || result == -EBUSY || result == -ETIMEDOUT;
}

void store_lock_cause(Store *store) {
        while (atomic_flag_test_and_set_explicit(&store->cause_lock, memory_order_acquire))
                (void)sched_yield();
}

void store_unlock_cause(Store *store) {
        atomic_flag_clear_explicit(&store->cause_lock, memory_order_release);
}

void store_session_keep_cause(StoreSession *session) {
        Store *store = session->store;

        store_lock_cause(store);
        memcpy(store->cause, session->error, sizeof(store->cause));
        store_unlock_cause(store);
}

void store_session_cause(const StoreSession *session, char *ret, size_t size) {
        Store *store = session->store;
        bool known;

        store_lock_cause(store);
        known = session->not_asked && *store->cause;
        (void)snprintf(ret, size, "%s", known ? store->cause : session->error);
        store_unlock_cause(store);
}

void store_note(Store *store, int result) {
        unsigned n;

        /* -ENOMEM is ours and says nothing about the store; -EIO is about a part of its data, with
         * the rest it may go on: only store_ping() knows. */
        if (result == -ENOMEM || result == -EIO)
                return;
        if (!is_failure(result)) {
                if (atomic_load_explicit(&store->is_unfit, memory_order_relaxed))
                        return; /* that it can be reached does not help */
                /* Read first: the line stays shared between threads while all is well. */
                if (atomic_load_explicit(&store->n_failures, memory_order_relaxed) != 0)
                        atomic_store(&store->n_failures, 0);
                if (atomic_load_explicit(&store->next_probe_usec, memory_order_relaxed) != 0)
                        atomic_store(&store->next_probe_usec, 0);
                return;
        }
        n = atomic_fetch_add(&store->n_failures, 1) + 1;
        if (n >= STORE_BREAKER_FAILURES)
                atomic_store(&store->next_probe_usec, clock_monotonic_usec() + STORE_BREAKER_USEC);
}

int store_verb_begin(StoreSession *session) {
        uint64_t now_usec = clock_monotonic_usec();

        session->not_asked = false;
        session->spared = false;
        if (session->deadline_usec != 0 && now_usec >= session->deadline_usec) {
                /* It passed in a queue: the store was not asked, so the breaker learns nothing. */
                store_session_set_error(session, "the deadline passed before the store was asked");
                return -ETIMEDOUT;
        }
        if (!breaker_admits(session->store, now_usec)) {
                store_session_set_error(session, "the store is away (circuit breaker)");
                session->not_asked = true;
                return -EHOSTDOWN;
        }
        atomic_store_explicit(&session->busy_since_usec, now_usec, memory_order_relaxed);
        return 0;
}

bool store_session_is_crowded(const StoreSession *session) {
        return session->crowded && store_n_connected(session->store) > 0;
}

int store_verb_end(StoreSession *session, int result) {
        /* Before the breaker closes: then nobody sees an open store without knowing this. */
        if (result >= 0)
                note_reached(session->store,
                             atomic_load_explicit(&session->busy_since_usec, memory_order_relaxed));
        atomic_store_explicit(&session->busy_since_usec, 0, memory_order_relaxed);
        if (is_failure(result) && !session->not_asked)
                store_session_keep_cause(session);
        /* Who finds no room says nothing about those who have it. */
        if (result >= 0 || !(session->spared || store_session_is_crowded(session)))
                store_note(session->store, result);
        /* What let the breaker open is no news, whatever its name. */
        return result == -EIO && !store_is_up(session->store) ? -EHOSTDOWN : result;
}
