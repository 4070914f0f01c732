/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The Manager owns every part of a running shortenerd and is the only object that knows them all.
 * It belongs to the main thread, which becomes the loop.
 */

#include <systemd/sd-event.h>

#include "cache/redis.h"
#include "clicks/shipper.h"
#include "config/options.h"
#include "config/program.h"
#include "daemon/routes.h"
#include "front/front.h"
#include "work/hooks.h"
#include "work/limit-share.h"
#include "work/pool.h"
#include "work/resolver.h"
#include "work/thread.h"
#include "work/warmer.h"
#include "work/watcher.h"

#define MANAGER_ROUTES_MAX 64u

typedef struct Manager {
        const Arguments *arguments;
        Options options;
        char *runtime_directory;
        char *spool_directory;

        sd_event *event;
        Metrics *metrics;
        HttpRouter *router;
        HostPage *page;
        HostSlot *slot;
        Store *store;
        Redis *redis; /* NULL: none is configured; the resolver's */
        RedirectCache *cache;
        Spool *spool;
        Shipper *shipper;
        HostWriter shipper_writer;
        HttpServer *server;
        Outbox *calls;   /* finished ones, from the workers */
        Outbox *lookups; /* from the resolver */
        Outbox *warm;    /* from the warmer */
        Pool *pool, *importers;
        Resolver *resolver;
        Warmer *warmer; /* NULL: nothing to do for it */
        Redis *warm_redis;
        Watcher *watcher; /* NULL: the store needs none */
        Thread *log_thread, *spool_thread, *shipper_thread;
        AddressPrefix *trusted;
        size_t n_trusted;
        CallContext context;
        Blocklists *blocklists;   /* NULL: none was ever configured */
        uint64_t blocklists_seen; /* generation that the cache is of */
        int blocklists_error;     /* as last logged */
        char **own_hosts;
        bool asks_tokens;        /* the API does */
        Limiter *limiter;        /* NULL: nothing is limited */
        LimitShare *limit_share; /* NULL: it is this host's alone */
        Front front;

        /* Metrics' label of each route, by index in routes[]; the last label stands for unknown. */
        const char *endpoints[MANAGER_ROUTES_MAX];
        size_t n_endpoints;
        const char *methods[HTTP_METHODS];

        /* Requests that are out, by deadline; those that wait for visits to be shipped; and
         * redirects that wait for others of their client. */
        ListNode jobs, imports, waiting, parked;
        size_t n_jobs;

        sd_event_source *tick, *deadlines, *visits;
        uint64_t tick_due_usec; /* when the tick should have come, for the loop's lag */
        unsigned n_ticks;
        bool draining;
        bool store_was_up;          /* as last logged */
        char unfit[STORE_WHY_SIZE]; /* why its schema is of no use, likewise; empty: it is */
        bool sessions_refused;      /* as last logged */
        char trouble[SHIPPER_TROUBLE_SIZE]; /* the shipper's, likewise */
        uint64_t trouble_usec;              /* when */
        bool watchdog_held;
        uint64_t n_full, full_usec; /* connections used up: as last logged, and when */
        int page_state;             /* of host_page_state(), as last logged */
        uint64_t drain_until_usec;
        uint64_t requests_at_status; /* for req/s in STATUS= */
        uint64_t status_usec;
        char status[160];
        const char *status_parts; /* of it: store and Redis */
} Manager;

/* start.c: 0, or an exit status (1, 78), with the reason logged. */
int manager_start(Manager *manager, const Arguments *arguments);
int manager_check_store(const Options *options); /* --check-config: can URL= be one? */
/* Runs until it is told to stop; then drains and takes everything down. */
int manager_run(Manager *manager);
void manager_done(Manager *manager);

/* descriptors.c: adjusts max_connections and spill_files to how many files may be open. */
void manager_divide_descriptors(const Manager *manager, HttpServerOptions *options);

/* settings.c */
int manager_load_options(const Arguments *arguments, Options *ret, char **ret_error) _must_check_;
int manager_apply_trusted(Manager *manager) _must_check_;
int manager_log_level(const Options *options);
void manager_reload(Manager *manager);

/* job.c: requests between the connections and workers, see there. */
void job_ops(Manager *manager, HttpServerOps *ret);
void job_calls_done(Manager *manager);
void job_lookups_done(Manager *manager);
void job_warm_done(Manager *manager);
void job_expire(Manager *manager, uint64_t now_usec);
void job_check_visits(Manager *manager, uint64_t now_usec);
/* lookups.c: answers those of the parked redirects whose time is over. */
void job_expire_parked(Manager *manager, uint64_t now_usec);

/* links.c: what [Links] says of targets, at start (0, or an exit status with the reason logged) and
 * at a reload. */
int manager_start_links(Manager *manager);
int manager_check_links(const Options *options); /* --check-config: can the lists be read? */
void manager_reload_links(Manager *manager);
void manager_watch_links(Manager *manager);
void manager_collect_links(Manager *manager);
void manager_done_links(Manager *manager);

/* access.c: who may use the API. */
void manager_find_access(Manager *manager);
/* May the body be large: was something sent that looks like a token, where tokens are asked for? */
bool manager_takes_large(const Manager *manager, const HttpExchange *exchange,
                         const HttpRoute *route);
/* A route of the loop that this client needs a token for. */
bool manager_is_guarded(const Manager *manager, const HttpExchange *exchange,
                        const HttpRoute *route);
/* false: answered (401, 429). */
bool manager_admits(Manager *manager, HttpExchange *exchange, const HttpRoute *route);

/* limits.c: what [Limits] says, and that other hosts hear of it, at start and reload; -errno. */
int manager_apply_limits(Manager *manager) _must_check_;
int manager_share_limits(Manager *manager) _must_check_;
void manager_collect_limits(Manager *manager);

/* watch.c: the tick. */
void manager_tick(Manager *manager, uint64_t now_usec);
void manager_collect_metrics(Manager *manager);
