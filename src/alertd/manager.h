/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The Manager owns every part of a running shortener-alertd and is the only object that knows them
 * all. It belongs to the main thread, which becomes the loop; threads beside it are the keeper
 * (keeper.h) and the log.
 */

#include <systemd/sd-event.h>

#include "alertd/forward.h"
#include "alertd/options.h"
#include "config/program.h"
#include "http/server.h"
#include "metrics/metrics.h"
#include "work/thread.h"

/* A body that is kept but whose sender may not know: it will send it again. */
typedef struct Unanswered {
        ListNode node;
        uint64_t hash, size;
        uint64_t until_usec; /* CLOCK_MONOTONIC; forgotten then */
} Unanswered;

typedef struct Manager {
        const Arguments *arguments;
        AlertOptions options;
        char *evidence_folder, *queue_folder;

        sd_event *event;
        sd_event_source *tick;
        Metrics *metrics; /* for those of the process only */
        HttpServer *server;
        Outbox *kept; /* jobs, from the keeper */
        Keeper *keeper;
        Thread *keeper_thread, *log_thread;
        Transfers *transfers;
        Queue queue;
        ForwardContext context;
        Forward *forwards;
        size_t n_forwards;

        ListNode posts; /* Post.node, with the keeper */
        size_t n_posts;
        ListNode unanswered;
        int answered_fd; /* the number of the last batch that was answered */
        uint64_t answered_number, answered_stored;
        KeepJob reopen;
        bool reopening;

        uint64_t n_kept, n_raw, n_repeated, n_refused;
        uint64_t keep_usec, keep_longest_usec; /* the first one all together */
        bool draining;
        uint64_t drain_until_usec;
        char status[160];
} Manager;

/* settings.c */
int manager_load_options(const Arguments *arguments, AlertOptions *ret,
                         char **ret_error) _must_check_;
int manager_log_level(const AlertOptions *options);
void manager_reload(Manager *manager);

/* start.c: 0, or an exit status (1, 78), with the reason logged. */
int manager_start(Manager *manager, const Arguments *arguments);
/* targets.c: the forwards of Forward=, likewise. */
int manager_start_forwards(Manager *manager, int queue_folder);

/* run.c: what all targets have done with is forgotten. */
void manager_passed(Manager *manager);
/* Until it is told to stop. */
int manager_run(Manager *manager);
void manager_done(Manager *manager);

/* receive.c: requests. */
void receive_ops(Manager *manager, HttpServerOps *ret);
int receive_open(Manager *manager, int queue_folder, const ListNode *batches) _must_check_;
void receive_done(Manager *manager);
/* A batch is back from the keeper. Answers are queued: http_server_flush() must follow. */
void receive_kept(Manager *manager, KeepJob *job);
/* What was answered is now on its way to the clients. */
void receive_answered(Manager *manager);
void receive_expire(Manager *manager, uint64_t now_usec);

/* status.c */
void status_page(Manager *manager, HttpExchange *exchange);
void status_health(Manager *manager, HttpExchange *exchange);
void status_metrics(Manager *manager, HttpExchange *exchange);
/* STATUS= of the service, when it has changed. */
void status_notify(Manager *manager);
