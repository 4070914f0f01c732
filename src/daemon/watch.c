/* SPDX-License-Identifier: MIT */

/*
 * What the loop looks after ten times a second: the host page, time limits of connections, the
 * state that operators see (STATUS=, metrics, messages on a change), the watchdog's gate, the end
 * of a drain.
 */

#include <stdio.h>
#include <systemd/sd-daemon.h>

#include "basic/clock.h"
#include "daemon/manager.h"
#include "store/watch.h"

#define SECOND_TICKS 10u /* ticks of manager_tick() a second */
#define STUCK_USEC   (5 * USEC_PER_SEC)
#define TROUBLE_USEC (10 * USEC_PER_SEC)  /* between two reasons why visits wait */
#define FULL_USEC    (600 * USEC_PER_SEC) /* between two words about it */
#define STATUS_USEC                                                           \
 (5 * USEC_PER_SEC) /* between two figures; a change of state is told at once \
                     */

#define MESSAGE_STORE_AWAY   "0f6b7d1d5c634a9ea7d1c8a35a0f4b52"
#define MESSAGE_STORE_BACK   "6f3e4f8b4b1c4cf6a0f5c7a0d9f1a6de"
#define MESSAGE_STORE_UNFIT  "b8e918de50504e8f8d1cf8e2b193dbf9"
#define MESSAGE_STORE_FULL   "e55183ed21764ecda4230d4d9252efcc"
#define MESSAGE_NOT_SHIPPING "d9fd2ff22bfa4375a940ed29059bc7ed"
#define MESSAGE_SHIPPING     "668273a7ea2e4da49d9961e049d42152"
#define MESSAGE_STUCK        "a9d2f0b47f6d4e0c8a4cb40c6f2b9d11"

static void watch_store(Manager *manager) {
        bool up = store_is_up(manager->store);
        char why[STORE_WHY_SIZE] = "";

        if (!up)
                (void)store_unfit(manager->store, why, sizeof why);
        if (up == manager->store_was_up && strcmp(why, manager->unfit) == 0)
                return;
        manager->store_was_up = up;
        memcpy(manager->unfit, why, sizeof why);
        if (*why)
                log_entry(LOG_ERR, MESSAGE_STORE_UNFIT, NULL, 0,
                          "%s: %s; until then cached redirects go on, visits wait in the spool",
                          store_url_shown(manager->store), why);
        else if (up)
                log_entry(LOG_NOTICE, MESSAGE_STORE_BACK, NULL, 0, "store is back: %s",
                          store_url_shown(manager->store));
        else
                log_entry(LOG_WARNING, MESSAGE_STORE_AWAY, NULL, 0,
                          "store is away: %s: cached redirects go on, visits wait in the spool",
                          store_url_shown(manager->store));
}

/* Some sessions have no connection, for there are too many: the rest goes on, slower. */
static void watch_sessions(Manager *manager) {
        unsigned n = store_n_crowded(manager->store);

        if (manager->sessions_refused == (n > 0))
                return;
        manager->sessions_refused = n > 0;
        if (n > 0)
                log_entry(LOG_WARNING, MESSAGE_STORE_FULL, NULL, 0,
                          "%s: the server has no connection left for %u of our sessions, %u have "
                          "theirs: raise max_connections there (or the CONNECTION LIMIT of the "
                          "role or database), or lower [Server] Workers=; see \"shortenerctl "
                          "doctor\"",
                          store_url_shown(manager->store), n, store_n_connected(manager->store));
        else
                log_notice("%s: all sessions have their connections",
                           store_url_shown(manager->store));
}

/* Why visits stay in the spool: once for each reason, and when they are shipped again. */
static void watch_shipper(Manager *manager, uint64_t now_usec) {
        char trouble[SHIPPER_TROUBLE_SIZE];

        shipper_trouble(manager->shipper, trouble);
        if (strcmp(trouble, manager->trouble) == 0 ||
            (*trouble && manager->trouble_usec != 0 &&
             now_usec - manager->trouble_usec < TROUBLE_USEC))
                return;
        memcpy(manager->trouble, trouble, sizeof trouble);
        if (!*trouble) {
                log_entry(LOG_NOTICE, MESSAGE_SHIPPING, NULL, 0, "visits are shipped again");
                return;
        }
        manager->trouble_usec = now_usec;
        log_entry(LOG_WARNING, MESSAGE_NOT_SHIPPING, NULL, 0, "visits wait in the spool: %s: %s",
                  store_url_shown(manager->store), trouble);
}

/* A page that was replaced and cannot be mapped: edits of other processes may go unseen. */
static void watch_page(Manager *manager) {
        int state = host_page_state(manager->page);

        if (state == manager->page_state)
                return;
        manager->page_state = state;
        if (state < 0)
                log_error("%s: the host page at this path cannot be used: %s: edits by other "
                          "instances may be seen late; restart this one",
                          host_page_path(manager->page), strerror(-state));
        else
                log_notice("%s: the host page is in use again", host_page_path(manager->page));
}

/* Somebody waits in the listen queue: told once, and again when that goes on or comes back later.
 */
static void watch_connections(Manager *manager, uint64_t now_usec) {
        HttpServerStats stats;

        http_server_stats(manager->server, &stats);
        if (stats.n_full == manager->n_full ||
            (manager->full_usec > 0 && now_usec - manager->full_usec < FULL_USEC))
                return;
        manager->n_full = stats.n_full;
        manager->full_usec = now_usec;
        log_warning("all %ju connections are in use: others wait in the listen queue",
                    (uintmax_t)(stats.n_idle + stats.n_reading + stats.n_waiting + stats.n_writing +
                                stats.n_closing));
}

/* The watchdog is fed by sd-event while the loop turns; a worker that hangs in our own code, not in
 * the store's, must starve it. */
static void watch_workers(Manager *manager, uint64_t now_usec) {
        bool stuck = pool_stuck(manager->pool, STUCK_USEC) ||
                     pool_stuck(manager->importers, STUCK_USEC) ||
                     (!shipper_in_store(manager->shipper) &&
                      now_usec - MIN(now_usec, shipper_alive_usec(manager->shipper)) > STUCK_USEC);

        if (stuck == manager->watchdog_held)
                return;
        manager->watchdog_held = stuck;
        (void)sd_event_set_watchdog(manager->event, !stuck);
        if (stuck)
                log_entry(LOG_ERR, MESSAGE_STUCK, NULL, 0,
                          "a worker hangs outside the store: the watchdog is no longer fed");
}

/* Hits of all redirects in percent; -1 before the first. */
static int hit_percent(const Manager *manager) {
        double hits = metric_get(manager->metrics, METRIC_CACHE_HITS),
               all = hits + metric_get(manager->metrics, METRIC_CACHE_MISSES);

        return all > 0 ? (int)(100 * hits / all) : -1;
}

/* "store up, redis away", which a person must not be told late. */
static const char *parts_state(const Manager *manager) {
        bool up = store_is_up(manager->store);
        RedisStats redis;

        if (!manager->redis)
                return up ? "store up" : "store away";
        redis_stats(manager->redis, &redis);
        if (redis.up)
                return up ? "store up, redis up" : "store away, redis up";
        return up ? "store up, redis away" : "store away, redis away";
}

static void notify_status(Manager *manager, uint64_t now_usec) {
        uint64_t requests = metrics_requests(manager->metrics),
                 span = now_usec - manager->status_usec;
        const char *parts = parts_state(manager);
        int percent = hit_percent(manager);
        ShipperStats stats;
        char text[sizeof manager->status], hits[32] = "";

        if (manager->draining || span == 0 ||
            (span < STATUS_USEC && strcmp(parts, manager->status_parts) == 0))
                return;
        manager->status_parts = parts;
        shipper_stats(manager->shipper, &stats);
        if (percent >= 0)
                (void)snprintf(hits, sizeof hits, "hit %d %%, ", percent);
        (void)snprintf(text, sizeof text, "STATUS=%ju req/s, %s%s, %ju clicks pending",
                       (uintmax_t)((requests - manager->requests_at_status) * USEC_PER_SEC / span),
                       hits, parts, (uintmax_t)stats.pending);
        manager->requests_at_status = requests;
        manager->status_usec = now_usec;
        if (strcmp(text, manager->status) == 0)
                return;
        memcpy(manager->status, text, sizeof text);
        (void)sd_notify(0, text);
}

static void every_second(Manager *manager, uint64_t now_usec) {
        http_server_tick(manager->server, now_usec);
        host_page_sweep(manager->page);
        host_slot_heartbeat(manager->slot);
        watch_store(manager);
        watch_sessions(manager);
        watch_shipper(manager, now_usec);
        watch_page(manager);
        watch_connections(manager, now_usec);
        watch_workers(manager, now_usec);
        notify_status(manager, now_usec);
}

static bool drained(const Manager *manager, uint64_t now_usec) {
        return http_server_idle(manager->server) || now_usec >= manager->drain_until_usec;
}

void manager_tick(Manager *manager, uint64_t now_usec) {
        uint64_t due = manager->tick_due_usec;

        metric_set(manager->metrics, METRIC_LOOP_LAG,
                   (double)(now_usec - MIN(now_usec, due)) / (double)USEC_PER_SEC);
        if (host_page_check(manager->page))
                redirect_cache_clear(manager->cache);
        manager_watch_links(manager);
        if (manager->limit_share)
                limit_share_turn(manager->limit_share);
        if (manager->draining) {
                http_server_tick(manager->server, now_usec);
                if (drained(manager, now_usec))
                        (void)sd_event_exit(manager->event, 0);
        }
        if (++manager->n_ticks % SECOND_TICKS == 0)
                every_second(manager, now_usec);
}

static void collect_cache(Manager *manager) {
        bool up = store_is_up(manager->store);
        StoreSight sight = store_sight(manager->store, clock_monotonic_usec());
        WatcherStats watcher = {0};
        ResolverStats resolver;
        CacheStats cache;

        if (manager->watcher)
                watcher_stats(manager->watcher, &watcher);
        redirect_cache_stats(manager->cache, &cache);
        resolver_stats(manager->resolver, &resolver);
        metric_set(manager->metrics, METRIC_CACHE_ENTRIES, (double)cache.n_entries);
        metric_set(manager->metrics, METRIC_CACHE_BYTES, (double)cache.n_bytes);
        metric_set(manager->metrics, METRIC_CACHE_EVICTIONS, (double)cache.n_evictions);
        metric_set(manager->metrics, METRIC_CACHE_UNVERIFIED,
                   store_is_reachable(manager->store) ? 0 : 1);
        metric_set(manager->metrics, METRIC_WATCHER_UP, sight == STORE_SIGHT_ALL ? 1 : 0);
        metric_set(manager->metrics, METRIC_WATCHER_CHANGES, (double)watcher.n_changes);
        metric_set(manager->metrics, METRIC_WATCHER_LOSSES, (double)watcher.n_losses);
        metric_set(manager->metrics, METRIC_STORE_UP, up ? 1 : 0);
        metric_set(manager->metrics, METRIC_STORE_CIRCUIT, up ? 0 : 1);
        metric_set(manager->metrics, METRIC_STORE_LATENCY,
                   (double)resolver.ping_usec / (double)USEC_PER_SEC);
        metric_set(manager->metrics, METRIC_STORE_SESSIONS,
                   (double)store_n_connected(manager->store));
        metric_set(manager->metrics, METRIC_STORE_SESSIONS_REFUSED,
                   (double)store_n_crowded(manager->store));
        metric_set(manager->metrics, METRIC_LOOKUPS, (double)resolver.n_queries);
        metric_set(manager->metrics, METRIC_ACTIVE_URLS, (double)MAX(resolver.active_urls, 0));
}

static void collect_redis(Manager *manager) {
        WarmerStats warmer = {0};
        RedisStats redis = {0};

        if (manager->redis)
                redis_stats(manager->redis, &redis);
        if (manager->warmer)
                warmer_stats(manager->warmer, &warmer);
        metric_set(manager->metrics, METRIC_CACHE_WARMED, (double)warmer.n_cache);
        metric_set(manager->metrics, METRIC_REDIS_WARMED, (double)warmer.n_redis);
        metric_set(manager->metrics, METRIC_CACHE_REDIS_HITS, (double)redis.n_hits);
        metric_set(manager->metrics, METRIC_CACHE_REDIS_MISSES, (double)redis.n_misses);
        metric_set(manager->metrics, METRIC_REDIS_UP, redis.up ? 1 : 0);
        metric_set(manager->metrics, METRIC_REDIS_CIRCUIT, manager->redis && !redis.up ? 1 : 0);
        metric_set(manager->metrics, METRIC_REDIS_LATENCY,
                   (double)redis.latency_usec / (double)USEC_PER_SEC);
        metric_set(manager->metrics, METRIC_REDIS_FAILURES, (double)redis.n_failures);
        metric_set(manager->metrics, METRIC_REDIS_REFUSALS, (double)redis.n_refused);
        metric_set(manager->metrics, METRIC_REDIS_BAD, (double)redis.n_bad);
}

static void collect_clicks(Manager *manager) {
        uint64_t now = clock_realtime_usec();
        ShipperStats shipper;
        SpoolStats spool;

        spool_stats(manager->spool, &spool);
        shipper_stats(manager->shipper, &shipper);
        metric_set(manager->metrics, METRIC_CLICKS_APPENDED, (double)spool.appended);
        metric_set(manager->metrics, METRIC_CLICKS_SHED, (double)spool.shed);
        metric_set(manager->metrics, METRIC_SPOOL_SYNCS, (double)spool.syncs);
        metric_set(manager->metrics, METRIC_SPOOL_ERRORS, (double)spool.errors);
        metric_set(manager->metrics, METRIC_SPOOL_BYTES, (double)spool.bytes);
        metric_set(manager->metrics, METRIC_CLICKS_SHIPPED, (double)shipper.shipped);
        metric_set(manager->metrics, METRIC_CLICKS_BAD, (double)shipper.bad);
        metric_set(manager->metrics, METRIC_CLICKS_DAMAGED, (double)shipper.damaged);
        metric_set(manager->metrics, METRIC_CLICKS_PENDING, (double)shipper.pending);
        metric_set(manager->metrics, METRIC_CLICKS_STOPPED, shipper.stopped ? 1 : 0);
        metric_set(manager->metrics, METRIC_CLICKS_OLDEST,
                   shipper.oldest_pending_usec == 0
                                   ? 0
                                   : (double)(now - MIN(now, shipper.oldest_pending_usec)) /
                                                     (double)USEC_PER_SEC);
}

void manager_collect_metrics(Manager *manager) {
        HttpServerStats server;

        collect_cache(manager);
        collect_redis(manager);
        collect_clicks(manager);
        manager_collect_limits(manager);
        manager_collect_links(manager);
        http_server_stats(manager->server, &server);
        metric_set(manager->metrics, METRIC_CONNS_IDLE, (double)server.n_idle);
        metric_set(manager->metrics, METRIC_CONNS_READING, (double)server.n_reading);
        metric_set(manager->metrics, METRIC_CONNS_WAITING, (double)server.n_waiting);
        metric_set(manager->metrics, METRIC_CONNS_WRITING, (double)server.n_writing);
        metric_set(manager->metrics, METRIC_CONNS_CLOSING, (double)server.n_closing);
        metric_set(manager->metrics, METRIC_CONNS_ACCEPTED, (double)server.n_accepted);
        metric_set(manager->metrics, METRIC_CONNS_FULL, (double)server.n_full);
        metric_set(manager->metrics, METRIC_QUEUE_DEPTH,
                   (double)(pool_queue_depth(manager->pool) +
                            pool_queue_depth(manager->importers)));
        metric_set(manager->metrics, METRIC_LOG_DROPS, (double)log_drops());
}
