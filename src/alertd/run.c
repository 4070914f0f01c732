/* SPDX-License-Identifier: MIT */

/*
 * The loop: sd-event with the connections' epoll as one source, the keeper's outbox, libcurl's
 * sockets (transfer.c), signals and a tick; and the way down.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <systemd/sd-daemon.h>

#include "alertd/manager.h"
#include "basic/clock.h"

#define TICK_USEC        (1 * USEC_PER_SEC)
#define DRAIN_TICK_USEC  (20 * USEC_PER_MSEC)
#define DRAIN_GRACE_USEC (250 * USEC_PER_MSEC)
#define ACCURACY_USEC    (10 * USEC_PER_MSEC)
/* Beyond the time limit of a message that is under way. */
#define DRAIN_EXTRA_USEC (2 * USEC_PER_SEC)

#define MESSAGE_STARTED  "e6a0d3a3c1b24c0a9a4f1f2b7c8d9e06"
#define MESSAGE_STOPPING "f2b7c9d01e3a4d5b8c6f7a8b9c0d1e07"

/* ---- the queue's two ends ---- */

/* What every target has done with is forgotten, here and on the disk. */
void manager_passed(Manager *manager) {
        uint64_t seq = manager->queue.last_seq;

        for (size_t i = 0; i < manager->n_forwards; i++)
                seq = MIN(seq, manager->forwards[i].position.seq);
        queue_pass(&manager->queue, seq);
        keeper_passed(manager->keeper, seq);
}

static void limit_queue(Manager *manager) {
        while (manager->queue.n_bytes > manager->options.alerts.queue_size) {
                uint64_t seq = queue_oldest_end(&manager->queue);

                for (size_t i = 0; i < manager->n_forwards; i++)
                        forward_drop(manager->forwards + i, seq);
                manager_passed(manager);
        }
}

static void forward_all(Manager *manager) {
        limit_queue(manager);
        for (size_t i = 0; i < manager->n_forwards; i++)
                forward_go_on(manager->forwards + i);
        manager_passed(manager);
}

/* ---- sources ---- */

static int on_connections(sd_event_source *source _unused_, int fd _unused_,
                          uint32_t events _unused_, void *userdata) {
        Manager *manager = userdata;

        http_server_turn(manager->server);
        return 0;
}

static void reopened(Manager *manager) {
        int r = manager->reopen.result;

        manager->reopening = false;
        if (r < 0)
                log_error("%s: not opened again: %s", manager->options.alerts.log, strerror(-r));
        (void)sd_notify(0, "READY=1");
}

/* Answers leave before anything is forwarded. */
static void take_kept(Manager *manager) {
        ListNode jobs;

        list_init(&jobs);
        outbox_take_all(manager->kept, &jobs);
        while (!list_empty(&jobs)) {
                KeepJob *job = LIST_ENTRY(list_first(&jobs), KeepJob, node);

                list_remove(&job->node);
                if (job->kind == KEEP_BATCH)
                        receive_kept(manager, job);
                else if (job->kind == KEEP_POSITION)
                        forward_recorded(job->owner);
                else
                        reopened(manager);
        }
        http_server_flush(manager->server);
        receive_answered(manager);
}

static int on_kept(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                   void *userdata) {
        Manager *manager = userdata;

        take_kept(manager);
        forward_all(manager);
        return 0;
}

static bool drained(const Manager *manager, uint64_t now_usec) {
        if (now_usec >= manager->drain_until_usec)
                return true;
        for (size_t i = 0; i < manager->n_forwards; i++)
                if (forward_busy(manager->forwards + i))
                        return false;
        return http_server_idle(manager->server) && !manager->reopening;
}

static int on_tick(sd_event_source *source, uint64_t usec _unused_, void *userdata) {
        Manager *manager = userdata;
        uint64_t now = clock_monotonic_usec();

        receive_expire(manager, now);
        http_server_tick(manager->server, now);
        if (!manager->draining)
                status_notify(manager);
        else if (drained(manager, now))
                (void)sd_event_exit(manager->event, 0);
        return sd_event_source_set_time(source,
                                        now + (manager->draining ? DRAIN_TICK_USEC : TICK_USEC));
}

/* Stop: no more accepts and no new messages; what is under way ends. */
static int on_stop(sd_event_source *source _unused_, const struct signalfd_siginfo *info,
                   void *userdata) {
        Manager *manager = userdata;

        if (manager->draining)
                return sd_event_exit(manager->event, 0); /* asked twice: now */
        log_entry(LOG_NOTICE, MESSAGE_STOPPING, NULL, 0, "stopping on signal %u", info->ssi_signo);
        (void)sd_notify(0, "STOPPING=1\nSTATUS=draining");
        manager->draining = manager->context.draining = true;
        manager->drain_until_usec = clock_monotonic_usec() + DRAIN_EXTRA_USEC +
                                    manager->options.alerts.timeout_usec;
        http_server_drain(manager->server, DRAIN_GRACE_USEC);
        return sd_event_source_set_time_relative(manager->tick, DRAIN_TICK_USEC);
}

static int on_reload(sd_event_source *source _unused_, const struct signalfd_siginfo *info _unused_,
                     void *userdata) {
        manager_reload(userdata);
        return 0;
}

static int add_sources(Manager *manager) {
        static const int signals[] = {SIGTERM, SIGINT};
        int r = sd_event_add_io(manager->event, NULL, http_server_fd(manager->server), EPOLLIN,
                                on_connections, manager);

        if (r >= 0)
                r = sd_event_add_io(manager->event, NULL, outbox_fd(manager->kept), EPOLLIN,
                                    on_kept, manager);
        for (size_t i = 0; r >= 0 && i < ELEMENTSOF(signals); i++)
                r = sd_event_add_signal(manager->event, NULL, signals[i], on_stop, manager);
        if (r >= 0)
                r = sd_event_add_signal(manager->event, NULL, SIGHUP, on_reload, manager);
        if (r >= 0)
                r = sd_event_add_time_relative(manager->event, &manager->tick, CLOCK_MONOTONIC,
                                               TICK_USEC, ACCURACY_USEC, on_tick, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->tick, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_set_watchdog(manager->event, true);
        return r;
}

int manager_run(Manager *manager) {
        int r = add_sources(manager);

        if (r < 0) {
                log_error("loop: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        (void)sd_notify(0, "READY=1\nSTATUS=serving");
        log_entry(LOG_NOTICE, MESSAGE_STARTED, NULL, 0,
                  "started, version %s, %zu targets, alerts log %s, evidence %s", SHORTENER_VERSION,
                  manager->n_forwards, manager->options.alerts.log, manager->evidence_folder);
        forward_all(manager);
        r = sd_event_loop(manager->event);
        return r < 0 ? EXIT_FAILURE : r;
}

/* ---- the way down ---- */

/* The keeper first, so that all that was out is back; then what it used. */
void manager_done(Manager *manager) {
        manager->context.draining = true;
        if (manager->keeper)
                keeper_stop(manager->keeper);
        manager->keeper_thread = thread_join(manager->keeper_thread);
        if (manager->kept && manager->server)
                take_kept(manager);
        if (manager->answered_fd >= 0)
                receive_done(manager);
        manager->server = http_server_free(manager->server);
        for (size_t i = 0; i < manager->n_forwards; i++)
                forward_done(manager->forwards + i);
        free(manager->forwards);
        manager->transfers = transfers_free(manager->transfers);
        manager->keeper = keeper_free(manager->keeper);
        manager->kept = outbox_free(manager->kept);
        queue_done(&manager->queue);
        manager->metrics = metrics_free(manager->metrics);
        manager->tick = sd_event_source_unref(manager->tick);
        manager->event = sd_event_unref(manager->event);
        free(manager->evidence_folder);
        free(manager->queue_folder);
        config_free(alert_options_table, n_alert_options, &manager->options);
        log_notice("stopped");
        log_stop();
        manager->log_thread = thread_join(manager->log_thread);
}
