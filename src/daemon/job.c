/* SPDX-License-Identifier: MIT */

/*
 * A Job is a request on its way through the daemon: matched to a route, answered on the loop, or
 * sent to a worker (API) or the resolver (redirect) and brought back. Jobs live in their exchange's
 * arena. All of this runs on the loop; what is out on a thread is touched only by that thread until
 * it comes back through an outbox.
 */

#include <errno.h>
#include <stdio.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "daemon/job.h"
#include "model/problem.h"

#define PLAIN_BODY_MAX   65536u /* bytes of a body that no handler reads: read and dropped */
#define IMPORT_USEC      (60 * USEC_PER_SEC)
#define VISITS_USEC      (250 * USEC_PER_MSEC) /* how long a reader waits for visits (clicks) */
#define ORDER_USEC       (20 * USEC_PER_MSEC)  /* and how long a writer, whose order is at stake */
#define ORDER_VISITS     500u /* of one transaction; behind more than that no writer waits */
#define VISITS_POLL_USEC (1 * USEC_PER_MSEC)

static unsigned endpoint_of(const Manager *manager, const HttpRoute *route) {
        return route ? (unsigned)(route - routes) : (unsigned)manager->n_endpoints - 1;
}

/* ---- answers without a thread ---- */

static void respond_problem(HttpExchange *exchange, int status, const char *text) {
        HttpResponse *response = &exchange->response;

        response->status = status;
        buffer_clear(&response->body);
        if (status == 503)
                http_response_field(response, "Retry-After", SLICE("1"));
        buffer_printf(&response->body, "{\"error\":\"%s\"}\n",
                      text ? text : problem_generic_text(status));
}

/* No route: 404, 405 with Allow, or OPTIONS. */
static void respond_unrouted(Job *job) {
        HttpResponse *response = &job->exchange->response;

        if (job->match.allow)
                http_response_field(response, "Allow", slice_from_string(job->match.allow));
        if (job->match.status == 200)
                response->status = 200;
        else
                respond_problem(job->exchange, job->match.status, NULL);
}

static void respond_on_loop(Job *job) {
        Manager *manager = job->manager;

        switch (job->match.route->loop) {
        case ROUTE_HEALTH:
                front_health(&manager->front, job->exchange);
                return;
        case ROUTE_READY:
                front_ready(&manager->front, job->exchange);
                return;
        case ROUTE_METRICS:
                manager_collect_metrics(manager);
                front_metrics(&manager->front, job->exchange);
                return;
        default:
                check_failed("route handler", __FILE__, __LINE__);
        }
}

/* ---- jobs that are out ---- */

void job_arm(sd_event_source *source, uint64_t usec) {
        int enabled;

        if (sd_event_source_get_enabled(source, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return;
        (void)sd_event_source_set_time_relative(source, usec);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static bool is_import(const Job *job) {
        return job->match.route->flags & HTTP_ROUTE_IMPORT;
}

/* The next to expire first: who waited for visits before comes late, with an early deadline. */
static void list_by_deadline(ListNode *list, Job *job) {
        ListNode *before = list;

        while (before->prev != list &&
               LIST_ENTRY(before->prev, Job, node)->deadline_usec > job->deadline_usec)
                before = before->prev;
        list_append(before, &job->node); /* in front of it */
}

void job_out(Job *job) {
        Manager *manager = job->manager;

        list_by_deadline(is_import(job) ? &manager->imports : &manager->jobs, job);
        manager->n_jobs++;
        job_arm(manager->deadlines, DEADLINE_POLL_USEC);
}

void job_back(Job *job) {
        if (list_linked(&job->node))
                list_remove(&job->node);
        job->manager->n_jobs--;
}

static void reject(Job *job) {
        metric_add(job->manager->metrics, METRIC_QUEUE_REJECTIONS, 1);
        respond_problem(job->exchange, 503, NULL);
        http_exchange_done(job->exchange);
}

static Pool *pool_of(const Job *job) {
        return is_import(job) ? job->manager->importers : job->manager->pool;
}

static void send_call(Job *job) {
        Manager *manager = job->manager;

        job->context = manager->context;
        job->call = (Call){
                        .exchange = job->exchange,
                        .route = job->match.route,
                        .context = &job->context,
                        .id = job->match.id,
                        .deadline_usec = job->deadline_usec,
                        .now_usec = clock_realtime_usec(),
        };
        if (pool_push(pool_of(job), &job->call) < 0) {
                reject(job);
                return;
        }
        job->sent_usec = clock_monotonic_usec();
        job_out(job);
}

/* How long the call waits for the visits that were answered before it: a read until they are in the
 * store; a write that makes events, since lists are in the order of ids, if that takes a moment. */
static uint64_t visits_wait(Job *job) {
        unsigned flags = job->match.route->flags;
        uint64_t pending;

        if (!(flags & (HTTP_ROUTE_AFTER_VISITS | HTTP_ROUTE_BEHIND_VISITS)))
                return 0;
        host_page_note_visits(job->manager->page, &job->visits);
        pending = host_page_visits_pending(job->manager->page, &job->visits);
        if (pending == 0)
                return 0;
        if (flags & HTTP_ROUTE_AFTER_VISITS)
                return VISITS_USEC;
        return pending <= ORDER_VISITS ? ORDER_USEC : 0;
}

static void begin_call(Job *job) {
        Manager *manager = job->manager;
        uint64_t wait;

        /* What is refused is refused before it waits for visits. */
        job->call.deadline_usec = job->deadline_usec;
        if (!pool_takes(pool_of(job), &job->call)) {
                reject(job);
                return;
        }
        wait = visits_wait(job);
        if (wait == 0) {
                send_call(job);
                return;
        }
        job->visits_until_usec = http_server_now(manager->server) + wait;
        list_append(&manager->waiting, &job->node);
        job_arm(manager->visits, VISITS_POLL_USEC);
}

void job_check_visits(Manager *manager, uint64_t now_usec) {
        LIST_FOREACH_SAFE(node, &manager->waiting) {
                Job *job = LIST_ENTRY(node, Job, node);
                uint64_t pending = host_page_visits_pending(manager->page, &job->visits);
                char number[NUMBER_U64_SIZE];

                if (pending > 0 && now_usec < job->visits_until_usec)
                        continue;
                if (pending > 0 && job->match.route->flags & HTTP_ROUTE_AFTER_VISITS)
                        http_response_field(&job->exchange->response, "X-Clicks-Pending",
                                            slice_make(number, number_format_u64(pending, number)));
                list_remove(node);
                send_call(job);
        }
        if (!list_empty(&manager->waiting))
                job_arm(manager->visits, VISITS_POLL_USEC);
}

/* ---- what the connections ask ---- */

static HttpQuick on_quick(void *userdata, HttpConn *conn, const HttpHead *head, const char *base) {
        Manager *manager = userdata;

        if (UNLIKELY(log_wants(LOG_DEBUG)))
                return HTTP_QUICK_NO; /* each request is logged: the exchange's way does it */
        return front_redirect_hit(&manager->front, conn, head, base);
}

static void on_head(void *userdata, HttpExchange *exchange, HttpPlan *ret) {
        Job *job = arena_new(&exchange->arena, Job, 1);
        Manager *manager = userdata;

        *ret = (HttpPlan){.body_max = PLAIN_BODY_MAX};
        exchange->owner = job;
        if (!job)
                return;
        job->manager = manager;
        job->exchange = exchange;
        http_router_match(manager->router, exchange->request.method, exchange->request.path,
                          &job->match);
        if (job->match.route && job->match.route->body_max > 0)
                *ret = (HttpPlan){job->match.route->body_max, job->match.route->too_large};
        if (job->match.route && !manager_takes_large(manager, exchange, job->match.route))
                ret->body_max = MIN(ret->body_max, PLAIN_BODY_MAX);
}

static void on_request(void *userdata, HttpExchange *exchange) {
        Manager *manager = userdata;
        Job *job = exchange->owner;
        const HttpRoute *route;
        uint64_t limit;

        if (!job) {
                respond_problem(exchange, 503, NULL);
                http_exchange_done(exchange);
                return;
        }
        route = job->match.route;
        limit = route && route->flags & HTTP_ROUTE_IMPORT ? IMPORT_USEC
                                                          : manager->options.store.timeout_usec;
        /* A tenth is left for the way back, so that the client has its 503 within the limit. */
        job->deadline_usec = http_server_now(manager->server) + limit / 10 * 9;
        if (!route)
                respond_unrouted(job);
        else if (route->flags & HTTP_ROUTE_ON_LOOP && !manager_is_guarded(manager, exchange, route))
                respond_on_loop(job);
        else if (route->flags & HTTP_ROUTE_REDIRECT) {
                job_begin_lookup(job);
                return;
        } else if (manager_admits(manager, exchange, route)) {
                begin_call(job);
                return;
        }
        http_exchange_done(exchange);
}

/* What comes by the thousand, or from machines that look, is for the access log only. */
static int request_level(const HttpRoute *route) {
        return route && route->flags & (HTTP_ROUTE_REDIRECT | HTTP_ROUTE_UNCOUNTED) ? LOG_DEBUG
                                                                                    : LOG_INFO;
}

/* The short code that the request was about, where it is known. */
static Slice request_code(const Job *job) {
        if (job->match.route && job->match.route->flags & HTTP_ROUTE_REDIRECT)
                return job->match.code;
        return job->abandoned ? SLICE_NONE : job->call.log_code;
}

static void log_request(const Job *job, int status, uint64_t usec) {
        const HttpRequest *request = &job->exchange->request;
        Slice agent = request->known[HTTP_FIELD_USER_AGENT];
        char duration[NUMBER_U64_SIZE], url_id[NUMBER_U64_SIZE], code[16];
        LogField fields[9];
        size_t n = 0;

        (void)snprintf(code, sizeof code, "%d", status);
        fields[n++] = (LogField){"SHORTENER_METHOD",
                                 slice_from_string(http_method_name(request->method))};
        fields[n++] = (LogField){
                        "SHORTENER_ROUTE",
                        slice_from_string(job->match.route ? job->match.route->name : "unknown")};
        fields[n++] = (LogField){"SHORTENER_STATUS", slice_from_string(code)};
        fields[n++] = (LogField){"SHORTENER_DURATION_USEC",
                                 slice_make(duration, number_format_u64(usec, duration))};
        fields[n++] = (LogField){"SHORTENER_REMOTE_ADDR", request->remote};
        fields[n++] = (LogField){"SHORTENER_REQUEST_ID", request->request_id};
        if (agent.len > 0)
                fields[n++] = (LogField){"SHORTENER_USER_AGENT",
                                         slice_make(agent.data, MIN(agent.len, 256u))};
        if (!job->abandoned && job->call.log_url_id > 0)
                fields[n++] = (LogField){
                                "SHORTENER_URL_ID",
                                slice_make(url_id, number_format_u64((uint64_t)job->call.log_url_id,
                                                                     url_id))};
        if (request_code(job).len > 0)
                fields[n++] = (LogField){"SHORTENER_CODE", request_code(job)};
        log_entry(request_level(job->match.route), NULL, fields, n, "request");
}

static void on_answered(void *userdata, const HttpExchange *exchange, int status, uint64_t usec) {
        Manager *manager = userdata;
        const Job *job = exchange->owner;
        const HttpRoute *route = job ? job->match.route : NULL;

        if (!(route && route->flags & HTTP_ROUTE_UNCOUNTED))
                metrics_request(manager->metrics, endpoint_of(manager, route),
                                (unsigned)exchange->request.method, status, usec, 1);
        if (job && log_wants(request_level(route)))
                log_request(job, status, usec);
}

static void on_refused(void *userdata, int status) {
        Manager *manager = userdata;

        metric_add(manager->metrics, METRIC_HTTP_REFUSALS, 1);
        metrics_request(manager->metrics, (unsigned)manager->n_endpoints - 1, HTTP_OTHER, status, 0,
                        1);
}

static HttpSettle on_settle(void *userdata, uint64_t *ret_token) {
        Manager *manager = userdata;
        uint64_t seq;

        front_count_hits(&manager->front);
        if (spool_batch_empty(manager->spool))
                return HTTP_SETTLE_SEND;
        if (spool_flush(manager->spool, &seq) < 0)
                return HTTP_SETTLE_FAIL;
        *ret_token = seq;
        if (manager->options.clicks.sync == SPOOL_SYNC_ALWAYS &&
            spool_durable(manager->spool) < seq)
                return HTTP_SETTLE_HOLD;
        return HTTP_SETTLE_SEND;
}

void job_ops(Manager *manager, HttpServerOps *ret) {
        *ret = (HttpServerOps){
                        .userdata = manager,
                        .quick = on_quick,
                        .head = on_head,
                        .request = on_request,
                        .answered = on_answered,
                        .refused = on_refused,
                        .settle = on_settle,
        };
}

/* ---- what comes back ---- */

void job_calls_done(Manager *manager) {
        ListNode done;

        list_init(&done);
        outbox_take_all(manager->calls, &done);
        while (!list_empty(&done)) {
                ListNode *node = list_first(&done);
                Job *job = CONTAINER_OF(LIST_ENTRY(node, Call, node), Job, call);

                list_remove(node);
                job_back(job);
                metric_add(manager->metrics, METRIC_URLS_CREATED, job->call.n_urls_created);
                metric_add(manager->metrics, METRIC_BLOCKED_CREATIONS, job->call.n_blocked);
                if (job->call.auth_failed)
                        (void)front_limit_owe(&manager->front, job->exchange, LIMIT_FAILED_AUTH);
                else if (job->match.route->flags & HTTP_ROUTE_ON_LOOP &&
                         job->exchange->response.status == 0 && !job->abandoned)
                        respond_on_loop(job); /* it had a token */
                http_exchange_done(job->exchange);
        }
        http_server_flush(manager->server);
}

void job_warm_done(Manager *manager) {
        ListNode done;

        list_init(&done);
        outbox_take_all(manager->warm, &done);
        while (!list_empty(&done)) {
                WarmBatch *batch = LIST_ENTRY(list_first(&done), WarmBatch, node);

                list_remove(&batch->node);
                warmer_return(manager->warmer, batch, !front_warm(&manager->front, batch));
        }
}

/* An import may have waited for others all the time: that says nothing. Nor does a call that did
 * not come to its turn in time, while others had theirs. */
static bool is_hang(const Job *job) {
        if (job->match.route->flags & HTTP_ROUTE_REDIRECT)
                return true;
        return !is_import(job) && !pool_went_on(pool_of(job), job->sent_usec);
}

static void expire_list(Manager *manager, ListNode *list, uint64_t now_usec) {
        while (!list_empty(list)) {
                Job *job = LIST_ENTRY(list_first(list), Job, node);

                if (job->deadline_usec > now_usec)
                        return;
                list_remove(&job->node);
                job->abandoned = true;
                metric_add(manager->metrics, METRIC_CALL_TIMEOUTS, 1);
                if (is_hang(job))
                        store_note_hang(manager->store);
                if (job->match.route->flags & HTTP_ROUTE_REDIRECT)
                        front_redirect_expired(&manager->front, job->exchange, job->match.code);
                else
                        http_exchange_abandon(job->exchange);
        }
}

void job_expire(Manager *manager, uint64_t now_usec) {
        expire_list(manager, &manager->jobs, now_usec);
        expire_list(manager, &manager->imports, now_usec);
        job_expire_parked(manager, now_usec);
        http_server_flush(manager->server);
        if (!list_empty(&manager->jobs) || !list_empty(&manager->imports) ||
            !list_empty(&manager->parked))
                job_arm(manager->deadlines, DEADLINE_POLL_USEC);
}
