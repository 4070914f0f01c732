/* SPDX-License-Identifier: MIT */

/*
 * The loop: sd-event with the inner epoll as one source, the outboxes, signals and timers; and the
 * way down: drain, join, sync.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "basic/clock.h"
#include "daemon/manager.h"

#define TICK_USEC        (100 * USEC_PER_MSEC)
#define DRAIN_TICK_USEC  (10 * USEC_PER_MSEC)
#define DRAIN_GRACE_USEC (250 * USEC_PER_MSEC) /* for idle keep-alive connections */
#define DRAIN_MAX_USEC   (10 * USEC_PER_SEC)
#define ACCURACY_USEC    (1 * USEC_PER_MSEC)

#define MESSAGE_STARTED  "3d1f3f0a5e0e4b57a5a27c6f8c0b6a10"
#define MESSAGE_STOPPING "b51c7a4a4f3e4d57a0a1a90c6c5bb1f2"

static int on_connections(sd_event_source *source _unused_, int fd _unused_,
                          uint32_t events _unused_, void *userdata) {
        Manager *manager = userdata;

        http_server_turn(manager->server);
        return 0;
}

static int on_calls(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                    void *userdata) {
        job_calls_done(userdata);
        return 0;
}

static int on_warm(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                   void *userdata) {
        job_warm_done(userdata);
        return 0;
}

static int on_lookups(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                      void *userdata) {
        job_lookups_done(userdata);
        return 0;
}

/* The disk has more of the spool, or a sync has failed. */
static int on_durable(sd_event_source *source _unused_, int fd, uint32_t events _unused_,
                      void *userdata) {
        Manager *manager = userdata;
        uint64_t n, seq;

        (void)!read(fd, &n, sizeof n);
        /* The batch is empty here: this repairs what a failed sync left behind. */
        if (spool_flush(manager->spool, &seq) < 0)
                http_server_fail_held(manager->server);
        http_server_release(manager->server, spool_durable(manager->spool));
        http_server_flush(manager->server);
        return 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata) {
        Manager *manager = userdata;
        uint64_t now = clock_monotonic_usec();

        manager->tick_due_usec = usec;
        manager_tick(manager, now);
        (void)sd_event_source_set_time(source,
                                       now + (manager->draining ? DRAIN_TICK_USEC : TICK_USEC));
        return 0;
}

static int on_deadlines(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        job_expire(userdata, clock_monotonic_usec());
        return 0;
}

static int on_visits(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        job_check_visits(userdata, clock_monotonic_usec());
        return 0;
}

/* Stop: no more accepts, what is in flight ends with "Connection: close", then the loop ends. */
static int on_stop(sd_event_source *source _unused_, const struct signalfd_siginfo *info,
                   void *userdata) {
        Manager *manager = userdata;

        if (manager->draining)
                return sd_event_exit(manager->event, 0); /* asked twice: now */
        log_entry(LOG_NOTICE, MESSAGE_STOPPING, NULL, 0, "stopping on signal %u", info->ssi_signo);
        (void)sd_notify(0, "STOPPING=1\nSTATUS=draining");
        manager->draining = manager->front.draining = true;
        manager->drain_until_usec = clock_monotonic_usec() + DRAIN_MAX_USEC;
        http_server_drain(manager->server, DRAIN_GRACE_USEC);
        (void)sd_event_source_set_time_relative(manager->tick, DRAIN_TICK_USEC);
        return 0;
}

static int on_reload(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *userdata) {
        manager_reload(userdata);
        return 0;
}

static int add_timer(Manager *manager, sd_event_time_handler_t handler, sd_event_source **ret) {
        int r = sd_event_add_time_relative(manager->event, ret, CLOCK_MONOTONIC, TICK_USEC,
                                           ACCURACY_USEC, handler, manager);

        return r < 0 ? r : sd_event_source_set_enabled(*ret, SD_EVENT_OFF);
}

static int add_sources(Manager *manager) {
        static const int signals[] = {SIGTERM, SIGINT};
        const struct {
                int fd;
                sd_event_io_handler_t handler;
        } ios[] = {
                        {http_server_fd(manager->server), on_connections},
                        {outbox_fd(manager->calls), on_calls},
                        {outbox_fd(manager->lookups), on_lookups},
                        {outbox_fd(manager->warm), on_warm},
                        {spool_durable_fd(manager->spool), on_durable},
        };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(ios); i++)
                r = sd_event_add_io(manager->event, NULL, ios[i].fd, EPOLLIN, ios[i].handler,
                                    manager);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(signals); i++)
                r = sd_event_add_signal(manager->event, NULL, signals[i], on_stop, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGHUP, on_reload, manager);
        if (r >= 0)
                r = add_timer(manager, on_deadlines, &manager->deadlines);
        if (r >= 0)
                r = add_timer(manager, on_visits, &manager->visits);
        if (r >= 0)
                r = add_timer(manager, on_tick, &manager->tick);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->tick, SD_EVENT_ON);
        return r;
}

int manager_run(Manager *manager) {
        int r = sd_event_default(&manager->event);

        if (r >= 0)
                r = add_sources(manager);
        if (r >= 0)
                r = sd_event_set_watchdog(manager->event, true);
        if (r < 0) {
                log_error("loop: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        manager->status_usec = clock_monotonic_usec();
        manager->status_parts = "";
        (void)sd_notify(0, "READY=1\nSTATUS=serving");
        log_entry(LOG_NOTICE, MESSAGE_STARTED, NULL, 0, "instance %s started, version %s, store %s",
                  manager->arguments->instance, SHORTENER_VERSION, store_url_shown(manager->store));
        r = sd_event_loop(manager->event);
        return r < 0 ? EXIT_FAILURE : r;
}

/* Its batches are its own memory: they leave the outbox before it goes. */
static void end_warmer(Manager *manager) {
        ListNode forgotten;

        if (!manager->warmer)
                return;
        warmer_stop(manager->warmer);
        list_init(&forgotten);
        outbox_take_all(manager->warm, &forgotten);
        manager->warmer = warmer_free(manager->warmer);
}

/* Threads first, so that everything that was out is back; then what they used. */
void manager_done(Manager *manager) {
        job_check_visits(manager, UINT64_MAX);
        job_expire_parked(manager, UINT64_MAX);
        manager->pool = pool_free(manager->pool);
        manager->importers = pool_free(manager->importers);
        manager->resolver = resolver_free(manager->resolver);
        manager->watcher = watcher_free(manager->watcher);
        end_warmer(manager);
        if (manager->calls)
                job_calls_done(manager);
        if (manager->lookups)
                job_lookups_done(manager);
        manager->server = http_server_free(manager->server);
        if (manager->shipper)
                shipper_stop(manager->shipper);
        manager->shipper_thread = thread_join(manager->shipper_thread);
        if (manager->spool)
                spool_helper_stop(manager->spool);
        manager->spool_thread = thread_join(manager->spool_thread);
        manager->shipper = shipper_free(manager->shipper);
        manager->spool = spool_free(manager->spool);
        manager->calls = outbox_free(manager->calls);
        manager->lookups = outbox_free(manager->lookups);
        manager->warm = outbox_free(manager->warm);
        manager->redis = redis_free(manager->redis);
        manager->warm_redis = redis_free(manager->warm_redis);
        manager->store = store_free(manager->store);
        manager->slot = host_slot_release(manager->slot);
        manager->page = host_page_free(manager->page);
        manager_done_links(manager);
        manager->limit_share = limit_share_free(manager->limit_share);
        manager->limiter = limiter_free(manager->limiter);
        manager->cache = redirect_cache_free(manager->cache);
        manager->metrics = metrics_free(manager->metrics);
        manager->router = http_router_free(manager->router);
        (void)sd_event_source_unref(manager->tick);
        (void)sd_event_source_unref(manager->deadlines);
        (void)sd_event_source_unref(manager->visits);
        (void)sd_event_unref(manager->event);
        free(manager->trusted);
        free(manager->runtime_directory);
        free(manager->spool_directory);
        config_free(options_table, n_options, &manager->options);
        log_notice("stopped");
        log_stop();
        manager->log_thread = thread_join(manager->log_thread);
}
