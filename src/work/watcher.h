/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The watcher: one thread that listens for changes made on other hosts, or by hand, and adds one to
 * the counters of this one (design: coherence). It asks the server for a sign of life all the time:
 * a frozen one closes nothing. Only for stores that can watch; the others need none.
 */

#include "host/page.h"
#include "store/store.h"

typedef struct WatcherStats {
        uint64_t n_changes; /* heard of */
        uint64_t n_losses;
} WatcherStats;

typedef struct Watcher Watcher;

int watcher_new(Store *store, HostPage *page, HostSlot *slot, Watcher **ret) _must_check_;
/* NULL: that of a store which needs none. */
Watcher *watcher_free(Watcher *watcher);
DEFINE_CLEANUP(Watcher, watcher_free)
void watcher_stats(const Watcher *watcher, WatcherStats *ret); /* any thread */
