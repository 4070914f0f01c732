/* SPDX-License-Identifier: MIT */

/*
 * The watcher, see the header. Times: the server is asked every 250 ms and has 500 ms to answer. So
 * 750 ms after a change that was not heard of, this process knows that it hears nothing, and takes
 * what it read for at most a second old from then on (store_sight()). What it hears is due on this
 * host before the sign of life that was asked for later is there.
 *
 * When it hears again, whatever changed meanwhile may be in the caches: the epoch moves before it
 * says so. Not needed when another process of the host has listened on: it has kept the counters,
 * and this one has only to wait for its word that it still does, from after this one began.
 *
 * While it hears nothing it asks with another session whether the store is there: whoever is alone
 * and idle has no verbs that would tell. That one is given back when it hears again.
 */

#include "work/watcher.h"
#include "store/watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "basic/clock.h"
#include "host/futex.h"
#include "host/map.h"
#include "sys/log.h"
#include "work/thread.h"

#define LISTEN_USEC   (250 * USEC_PER_MSEC) /* from one sign of life to the next */
#define DEADLINE_USEC (500 * USEC_PER_MSEC) /* for it */
#define RETRY_USEC    (100 * USEC_PER_MSEC)
#define OTHERS_USEC   USEC_PER_SEC /* who has not said anything for so long has nothing to say */
#define OTHERS_LISTEN (20 * USEC_PER_MSEC)

#define MESSAGE_WATCHER_LOST "7b0f4f5e3c9a4d64b1a5e2c8d90f3a17"
#define MESSAGE_WATCHER_BACK "e25a8d1c64f94b3c9f07b6a1d3c85e42"

struct Watcher {
        Store *store;
        HostPage *page;
        HostSlot *slot;
        Thread *thread;
        StoreSession *listening, *probing;
        bool hears; /* as last told to the store */
        bool lost_logged;
        uint64_t due_usec; /* CLOCK_BOOTTIME when it began to listen; 0: nothing is due */
        uint32_t stop;     /* atomic, futex */
        atomic_uint_fast64_t n_changes, n_losses;
};

static void on_changed(void *userdata, Slice code, bool made) {
        Watcher *watcher = userdata;

        if (!code.data)
                host_page_touch_all(watcher->page);
        else if (made)
                host_page_touch_made(watcher->page, host_counter(code));
        else
                host_page_touch(watcher->page, host_counter(code));
        atomic_fetch_add_explicit(&watcher->n_changes, 1, memory_order_relaxed);
}

static int open_session(Watcher *watcher, StoreSession **session) {
        int r;

        if (!*session) {
                r = store_session_new(watcher->store, NULL, session);
                if (r < 0)
                        return r;
        }
        store_session_deadline(*session, clock_monotonic_usec() + DEADLINE_USEC);
        return 0;
}

static bool store_answers(Watcher *watcher) {
        return open_session(watcher, &watcher->probing) == 0 && store_probe(watcher->probing) == 0;
}

/* It has begun to listen: does another process of the host vouch for the time before? */
static bool is_settled(Watcher *watcher) {
        uint64_t others, now;

        if (watcher->due_usec == 0)
                return true;
        others = host_slot_others_watched(watcher->slot);
        now = host_boottime_usec();
        if (others < watcher->due_usec) {
                if (others + OTHERS_USEC > watcher->due_usec &&
                    now < watcher->due_usec + OTHERS_USEC)
                        return false; /* it listens: its next word is on its way */
                host_page_touch_all(watcher->page);
        }
        watcher->due_usec = 0;
        return true;
}

/* All that was committed before these times has been heard of. */
static void hear(Watcher *watcher, uint64_t seen_usec, uint64_t watched_usec) {
        host_slot_watched(watcher->slot, watched_usec);
        store_saw(watcher->store, seen_usec);
        watcher->probing = store_session_free(watcher->probing);
        if (watcher->lost_logged)
                log_entry(LOG_NOTICE, MESSAGE_WATCHER_BACK, NULL, 0,
                          "changes of other hosts are heard of again");
        watcher->hears = true;
        watcher->lost_logged = false;
}

static void hear_nothing(Watcher *watcher, int result) {
        host_slot_watched(watcher->slot, 0);
        if (watcher->hears) {
                atomic_fetch_add_explicit(&watcher->n_losses, 1, memory_order_relaxed);
                store_lost_sight(watcher->store, false);
                watcher->hears = false;
        }
        if (store_sight(watcher->store, 0) == STORE_SIGHT_NONE && store_answers(watcher))
                store_lost_sight(watcher->store, true);
        if (!watcher->lost_logged)
                log_entry(LOG_WARNING, MESSAGE_WATCHER_LOST, NULL, 0,
                          "changes of other hosts are not heard of: %s: cached links are %s",
                          watcher->listening ? store_session_error(watcher->listening)
                                             : strerror(-result),
                          store_sight(watcher->store, 0) == STORE_SIGHT_LOST
                                          ? "read again each second"
                                          : "served unverified");
        watcher->lost_logged = true;
        futex_sleep(&watcher->stop, 0, RETRY_USEC);
}

static void watch_once(Watcher *watcher) {
        uint64_t seen_usec = clock_monotonic_usec(), watched_usec = host_boottime_usec(), wait;
        bool began = false;
        int r;

        /* Who stood still until his last word was too old says the next one at once. */
        if (watcher->hears)
                wait = store_sight(watcher->store, seen_usec) == STORE_SIGHT_ALL ? LISTEN_USEC : 0;
        else
                wait = watcher->due_usec != 0 ? OTHERS_LISTEN : 0;
        r = open_session(watcher, &watcher->listening);
        if (r == 0)
                r = store_watch(watcher->listening, wait, on_changed, watcher, &began);
        if (began)
                watcher->due_usec = host_boottime_usec();
        if (r < 0)
                hear_nothing(watcher, r);
        else if (is_settled(watcher))
                hear(watcher, seen_usec, watched_usec);
}

static void watcher_run(void *userdata) {
        Watcher *watcher = userdata;

        while (__atomic_load_n(&watcher->stop, __ATOMIC_SEQ_CST) == 0)
                watch_once(watcher);
        host_slot_watched(watcher->slot, 0);
}

int watcher_new(Store *store, HostPage *page, HostSlot *slot, Watcher **ret) {
        _cleanup_(watcher_free_p) Watcher *watcher = calloc(1, sizeof *watcher);
        int r;

        CHECK(store_can_watch(store));
        if (!watcher)
                return -ENOMEM;
        watcher->store = store;
        watcher->page = page;
        watcher->slot = slot;
        r = thread_start("watcher", watcher_run, watcher, &watcher->thread);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(watcher);
        return 0;
}

Watcher *watcher_free(Watcher *watcher) {
        if (!watcher)
                return NULL;
        __atomic_store_n(&watcher->stop, 1, __ATOMIC_SEQ_CST);
        futex_wake_all(&watcher->stop);
        (void)thread_join(watcher->thread);
        (void)store_session_free(watcher->listening);
        (void)store_session_free(watcher->probing);
        free(watcher);
        return NULL;
}

void watcher_stats(const Watcher *watcher, WatcherStats *ret) {
        *ret = (WatcherStats){
                        .n_changes = atomic_load_explicit(&watcher->n_changes,
                                                          memory_order_relaxed),
                        .n_losses = atomic_load_explicit(&watcher->n_losses, memory_order_relaxed),
        };
}
