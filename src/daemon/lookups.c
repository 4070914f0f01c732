/* SPDX-License-Identifier: MIT */

/*
 * Redirects that the cache does not answer: sent to the resolver, or parked behind others of their
 * client (front.h says why), and brought back. Runs on the loop.
 */

#include <errno.h>

#include "basic/clock.h"
#include "daemon/job.h"
#include "model/problem.h"

static void send_lookup(Job *job) {
        Manager *manager = job->manager;
        int r;

        metric_add(manager->metrics, METRIC_CACHE_LOCAL_MISSES, 1);
        job->lookup = (Lookup){
                        .exchange = job->exchange,
                        .code = job->match.code,
                        .deadline_usec = job->deadline_usec,
        };
        r = resolver_push(manager->resolver, &job->lookup);
        if (r < 0) {
                if (r == -ENOBUFS)
                        metric_add(manager->metrics, METRIC_QUEUE_REJECTIONS, 1);
                front_redirect_error(job->exchange, 503, problem_generic_text(503));
                http_exchange_done(job->exchange);
                return;
        }
        front_lookup_count(&manager->front, job->place, 1);
        job_out(job);
}

static bool has_room(const Job *job) {
        return front_lookup_has_room(&job->manager->front, job->exchange, job->place);
}

void job_begin_lookup(Job *job) {
        Manager *manager = job->manager;

        if (front_redirect_cached(&manager->front, job->exchange, job->match.code)) {
                http_exchange_done(job->exchange);
                return;
        }
        job->place = front_lookup_place(&manager->front, job->exchange);
        if (has_room(job)) {
                send_lookup(job);
                return;
        }
        list_append(&manager->parked, &job->node);
        job_arm(manager->deadlines, DEADLINE_POLL_USEC);
}

static void go_on_parked(Manager *manager) {
        LIST_FOREACH_SAFE(node, &manager->parked) {
                Job *job = LIST_ENTRY(node, Job, node);

                if (!has_room(job))
                        continue;
                list_remove(node);
                /* What the others of its client found out may be the answer by now. */
                if (front_redirect_cached(&manager->front, job->exchange, job->match.code))
                        http_exchange_done(job->exchange);
                else
                        send_lookup(job);
        }
}

void job_lookups_done(Manager *manager) {
        ListNode done;

        list_init(&done);
        outbox_take_all(manager->lookups, &done);
        while (!list_empty(&done)) {
                ListNode *node = list_first(&done);
                Job *job = CONTAINER_OF(LIST_ENTRY(node, Lookup, node), Job, lookup);

                list_remove(node);
                job_back(job);
                front_lookup_count(&manager->front, job->place, -1);
                job->lookup.expired = job->abandoned;
                front_redirect_resolved(&manager->front, &job->lookup);
                http_exchange_done(job->exchange);
        }
        go_on_parked(manager);
        http_server_flush(manager->server);
}

/* They came in the order of their deadlines. */
void job_expire_parked(Manager *manager, uint64_t now_usec) {
        while (!list_empty(&manager->parked)) {
                Job *job = LIST_ENTRY(list_first(&manager->parked), Job, node);

                if (job->deadline_usec > now_usec)
                        return;
                list_remove(&job->node);
                metric_add(manager->metrics, METRIC_CALL_TIMEOUTS, 1);
                front_redirect_expired(&manager->front, job->exchange, job->match.code);
                http_exchange_done(job->exchange);
        }
}
