/* SPDX-License-Identifier: MIT */

/*
 * Start-up: from options to running threads and sockets, in the order in which the parts need each
 * other. Every failure is logged here with what to do and becomes an exit status.
 */

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <jansson.h>

#include "alertd/manager.h"
#include "sys/listen.h"

#define CONNECTIONS_MAX 256u

static int fail(int status, const char *what, const char *why) {
        log_error("%s: %s", what, why);
        return status;
}

/* ---- places ---- */

/* The option, else name/ in the last entry of $STATE_DIRECTORY (a colon list), else the fallback.
 */
static char *find_folder(const char *option, const char *name, const char *fallback) {
        const char *state = getenv("STATE_DIRECTORY");
        char *path;

        if (*option)
                return strdup(option);
        if (state && *state) {
                const char *last = strrchr(state, ':');

                return asprintf(&path, "%s/%s", last ? last + 1 : state, name) < 0 ? NULL : path;
        }
        return strdup(fallback);
}

static int find_folders(Manager *manager) {
        _cleanup_free_ char *beside = NULL;
        AlertOptions *options = &manager->options;

        if (asprintf(&beside, "%s.queue", options->alerts.log) < 0) {
                beside = NULL;
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        }
        manager->evidence_folder = find_folder(options->alerts.evidence, "evidence", "");
        manager->queue_folder = find_folder(options->alerts.queue, "queue", beside);
        if (!manager->evidence_folder || !manager->queue_folder)
                return fail(EXIT_FAILURE, "start", strerror(ENOMEM));
        if (!*manager->evidence_folder)
                return fail(EXIT_CONFIG, "[Alerts] Evidence=",
                            "not set, and there is no $STATE_DIRECTORY to put it in");
        return 0;
}

/* ---- parts ---- */

static void tell_found(const Manager *manager, const JournalFound *found) {
        if (found->damaged > 0)
                log_error("%s: %ju bytes of the queue are damaged and skipped; the alerts log has "
                          "what was in them",
                          manager->queue_folder, (uintmax_t)found->damaged);
        if (found->torn > 0)
                log_warning("%s: the end of the queue was not finished, as by a crash; its sender "
                            "was not answered",
                            manager->queue_folder);
}

static int start_queue(Manager *manager, Journal **ret) {
        JournalFound found;
        int r;

        list_init(&found.batches);
        r = journal_open(manager->queue_folder, &found, ret);
        manager->queue.last_seq = found.last_seq;
        tell_found(manager, &found);
        if (r >= 0)
                r = receive_open(manager, journal_folder(*ret), &found.batches);
        while (!list_empty(&found.batches)) {
                ListNode *node = list_first(&found.batches);

                list_remove(node);
                queue_add(&manager->queue, LIST_ENTRY(node, AlertBatch, node));
        }
        if (r == -EADDRINUSE)
                return fail(EXIT_FAILURE, manager->queue_folder, "another process uses this queue");
        return r < 0 ? fail(EXIT_FAILURE, manager->queue_folder, strerror(-r)) : 0;
}

/* The folder's descriptor belongs to the journal, which the keeper has from here on. */
static int start_keeper(Manager *manager, int *ret_folder) {
        KeeperParts parts = {0};
        int r = evidence_open(manager->evidence_folder, &parts.evidence);

        if (r < 0)
                return fail(EXIT_FAILURE, manager->evidence_folder, strerror(-r));
        r = alert_log_open(manager->options.alerts.log, &parts.log);
        if (r < 0) {
                (void)evidence_free(parts.evidence);
                return fail(EXIT_FAILURE, manager->options.alerts.log, strerror(-r));
        }
        r = start_queue(manager, &parts.journal);
        if (r != 0) {
                (void)evidence_free(parts.evidence);
                (void)alert_log_free(parts.log);
                (void)journal_free(parts.journal);
                return r;
        }
        *ret_folder = journal_folder(parts.journal);
        r = outbox_new(&manager->kept);
        if (r >= 0)
                r = keeper_new(&parts, manager->kept, &manager->keeper);
        return r < 0 ? fail(EXIT_FAILURE, "start", strerror(-r)) : 0;
}

static void on_moved(void *userdata) {
        manager_passed(userdata);
}

static int start_targets(Manager *manager, int queue_folder) {
        int r = transfers_new(manager->event, &manager->transfers);

        if (r < 0)
                return fail(EXIT_FAILURE, "libcurl", strerror(-r));
        manager->context = (ForwardContext){
                        .event = manager->event,
                        .transfers = manager->transfers,
                        .queue = &manager->queue,
                        .keeper = manager->keeper,
                        .grafana_url = manager->options.alerts.grafana_url,
                        .timeout_usec = manager->options.alerts.timeout_usec,
                        .give_up_usec = manager->options.alerts.give_up_usec,
                        .moved = on_moved,
                        .userdata = manager,
        };
        r = manager_start_forwards(manager, queue_folder);
        if (r == 0)
                r = thread_start("keeper", keeper_run, manager->keeper, &manager->keeper_thread) < 0
                                    ? fail(EXIT_FAILURE, "keeper", "cannot start the thread")
                                    : 0;
        return r;
}

static int start_server(Manager *manager) {
        static const char *const none[] = {"none"};
        HttpServerOptions options = {.max_connections = CONNECTIONS_MAX};
        HttpServerOps ops;
        int r;

        receive_ops(manager, &ops);
        r = http_server_new(&options, &ops, &manager->server);
        if (r >= 0)
                r = metrics_new(none, 1, none, 1, &manager->metrics);
        return r < 0 ? fail(EXIT_FAILURE, "server", strerror(-r)) : 0;
}

/* ---- sockets ---- */

static int listen_activated(Manager *manager, unsigned *ret_n) {
        int n = sd_listen_fds(1);

        *ret_n = 0;
        if (n < 0)
                return fail(EXIT_FAILURE, "socket activation", strerror(-n));
        for (int fd = SD_LISTEN_FDS_START; fd < SD_LISTEN_FDS_START + n; fd++) {
                int r;

                if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
                        log_warning("socket activation: descriptor %d is no listening stream "
                                    "socket: ignored",
                                    fd);
                        continue;
                }
                r = http_server_listen(manager->server, fd);
                if (r < 0)
                        return fail(EXIT_FAILURE, "socket activation", strerror(-r));
                *ret_n += 1;
        }
        return 0;
}

static int listen_configured(Manager *manager) {
        char **addresses = manager->options.alerts.listen;

        if (!addresses[0])
                return fail(EXIT_CONFIG, "[Alerts] Listen=",
                            "empty, and no socket was passed: nothing to listen on");
        for (size_t i = 0; addresses[i]; i++) {
                bool loopback;
                int fd, r = socket_listen(addresses[i], &fd, &loopback);

                if (r < 0)
                        return fail(EXIT_FAILURE, addresses[i], strerror(-r));
                if (!loopback)
                        log_warning("%s: reachable from other hosts, and anyone may post alerts",
                                    addresses[i]);
                r = http_server_listen(manager->server, fd);
                if (r < 0)
                        return fail(EXIT_FAILURE, addresses[i], strerror(-r));
        }
        return 0;
}

static int start_listening(Manager *manager) {
        unsigned n = 0;
        int r = listen_activated(manager, &n);

        return r != 0 || n > 0 ? r : listen_configured(manager);
}

static void run_log(void *userdata _unused_) {
        log_run();
}

int manager_start(Manager *manager, const Arguments *arguments) {
        int folder = -1, r;

        manager->arguments = arguments;
        manager->answered_fd = -1;
        list_init(&manager->posts);
        list_init(&manager->unanswered);
        queue_init(&manager->queue);
        (void)mallopt(M_ARENA_MAX, 2);
        json_object_seed(0); /* before there are threads */
        r = sd_event_default(&manager->event);
        if (r >= 0)
                r = log_queue_open();
        if (r >= 0)
                r = thread_start("log", run_log, NULL, &manager->log_thread);
        if (r < 0)
                return fail(EXIT_FAILURE, "start", strerror(-r));
        r = find_folders(manager);
        if (r == 0)
                r = start_keeper(manager, &folder);
        if (r == 0)
                r = start_targets(manager, folder);
        if (r == 0)
                r = start_server(manager);
        return r == 0 ? start_listening(manager) : r;
}
