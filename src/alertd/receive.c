/* SPDX-License-Identifier: MIT */

/*
 * Requests. A POST goes to the keeper and is answered when it is on the disk; a slow disk makes
 * clients wait, at most KEEP_MAX_USEC, and nobody else.
 *
 * Alertmanager sends again what was not answered. If that was kept all the same (the connection
 * broke, the process was killed, the disk took too long), the repetition goes into the log and the
 * evidence, but not into the queue again: `unanswered` remembers such bodies for a minute, after a
 * start those whose batch is behind the number in the file "answered". Alertmanager also repeats a
 * notification by itself, with the same bytes, but later than that.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "alertd/manager.h"
#include "alertd/stamp.h"
#include "basic/clock.h"
#include "basic/hash.h"
#include "http/origin.h"
#include "sys/fd.h"

#define POSTS_MAX       512u /* with the keeper */
#define BODY_MAX        (16u * 1024 * 1024)
#define KEEP_MAX_USEC   (10 * USEC_PER_SEC)
#define UNANSWERED_USEC (60 * USEC_PER_SEC)
#define UNANSWERED_MAX  256u

typedef struct Post {
        ListNode node; /* in manager->posts */
        KeepJob job;
        HttpExchange *exchange;
        uint64_t since_usec; /* CLOCK_MONOTONIC */
        bool abandoned;      /* answered 503 already */
        uint64_t number;     /* of its batch, 0: it has none */
} Post;

/* ---- answers ---- */

static void answer(HttpExchange *exchange, int status, Slice body) {
        exchange->response.status = status;
        http_response_field(&exchange->response, "Cache-Control", SLICE("no-store"));
        if (status == 503)
                http_response_field(&exchange->response, "Retry-After", SLICE("1"));
        if (status == 405)
                http_response_field(&exchange->response, "Allow", SLICE("GET, HEAD, POST"));
        buffer_append(&exchange->response.body, body);
        http_exchange_done(exchange);
}

static void answer_received(HttpExchange *exchange, uint64_t received_usec) {
        char received[STAMP_SIZE];
        Slice text;

        stamp_iso(received_usec, received);
        text = arena_printf(&exchange->arena, "{\"received\":\"%s\",\"status\":\"ok\"}\n",
                            received);
        if (text.data)
                answer(exchange, 200, text);
        else
                answer(exchange, 503, SLICE("{\"error\":\"Service unavailable\"}\n"));
}

static void refuse(Manager *manager, HttpExchange *exchange) {
        manager->n_refused++;
        answer(exchange, 503, SLICE("{\"error\":\"Service unavailable\"}\n"));
}

/* ---- repetitions ---- */

static int remember(Manager *manager, uint64_t hash, uint64_t size) {
        Unanswered *entry = calloc(1, sizeof *entry);
        size_t n = 0;

        if (!entry)
                return -ENOMEM;
        *entry = (Unanswered){.hash = hash,
                              .size = size,
                              .until_usec = clock_monotonic_usec() + UNANSWERED_USEC};
        list_append(&manager->unanswered, &entry->node);
        LIST_FOREACH(node, &manager->unanswered)
                n++;
        if (n > UNANSWERED_MAX) {
                ListNode *oldest = manager->unanswered.next; /* there is one */

                list_remove(oldest);
                free(LIST_ENTRY(oldest, Unanswered, node));
        }
        return 0;
}

static void forget_old(Manager *manager, uint64_t now_usec) {
        LIST_FOREACH_SAFE(node, &manager->unanswered) {
                Unanswered *entry = LIST_ENTRY(node, Unanswered, node);

                if (entry->until_usec > now_usec)
                        break;
                list_remove(node);
                free(entry);
        }
}

static bool is_repetition(Manager *manager, uint64_t hash, uint64_t size) {
        forget_old(manager, clock_monotonic_usec());
        LIST_FOREACH(node, &manager->unanswered) {
                Unanswered *entry = LIST_ENTRY(node, Unanswered, node);

                if (entry->hash == hash && entry->size == size) {
                        list_remove(node);
                        free(entry);
                        return true;
                }
        }
        return false;
}

/* The first try of the same is still with the keeper: not yet known how it ends. */
static bool is_under_way(const Manager *manager, uint64_t hash, uint64_t size) {
        LIST_FOREACH(node, &manager->posts) {
                const Post *post = LIST_ENTRY(node, Post, node);

                if (post->job.body_hash == hash && post->job.body.len == size &&
                    (post->abandoned || !http_exchange_connected(post->exchange)))
                        return true;
        }
        return false;
}

int receive_open(Manager *manager, int queue_folder, const ListNode *batches) {
        uint64_t answered = 0;
        int r = 0;

        manager->answered_fd = openat(queue_folder, "answered",
                                      O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (manager->answered_fd < 0)
                return -errno;
        (void)!pread(manager->answered_fd, &answered, sizeof answered, 0);
        LIST_FOREACH(node, batches) {
                const AlertBatch *batch = LIST_ENTRY(node, AlertBatch, node);

                if (r >= 0 && batch->number > answered)
                        r = remember(manager, batch->body_hash, batch->body_size);
        }
        return r;
}

static void remember_unanswered(Manager *manager, const KeepJob *job) {
        if (remember(manager, job->body_hash, job->body.len) < 0)
                log_error("out of memory: if this request is repeated it will be forwarded twice");
}

/* ---- a POST ---- */

static void receive(Manager *manager, HttpExchange *exchange) {
        Slice body = exchange->request.body;
        uint64_t hash = hash_plain(body), now = clock_realtime_usec();
        Post *post;

        post = manager->n_posts < POSTS_MAX && !is_under_way(manager, hash, body.len)
                               ? calloc(1, sizeof *post)
                               : NULL;
        if (!post) {
                refuse(manager, exchange);
                return;
        }
        *post = (Post){
                        .job = {.kind = KEEP_BATCH,
                                .owner = post,
                                .body = body,
                                .body_hash = hash,
                                .received_usec = now,
                                .repetition = is_repetition(manager, hash, body.len)},
                        .exchange = exchange,
                        .since_usec = clock_monotonic_usec(),
        };
        if (keeper_push(manager->keeper, &post->job) < 0) {
                if (post->job.repetition)
                        remember_unanswered(manager, &post->job);
                free(post);
                refuse(manager, exchange);
                return;
        }
        list_append(&manager->posts, &post->node);
        manager->n_posts++;
}

/* A page that somebody on this host looks at could send alerts to wherever they are forwarded. */
static void refuse_foreign(Manager *manager, HttpExchange *exchange) {
        manager->n_refused++;
        answer(exchange, 403, SLICE("{\"error\":\"Forbidden\"}\n"));
}

static void refuse_many(Manager *manager, HttpExchange *exchange) {
        log_error("a request with more than %u alerts: not kept, answered 413", BATCH_ALERTS_MAX);
        manager->n_refused++;
        answer(exchange, 413, SLICE("{\"error\":\"Too many alerts\"}\n"));
}

static void log_failure(const Manager *manager, const KeepJob *job) {
        const char *where = strcmp(job->what, "alerts log") == 0 ? manager->options.alerts.log
                            : strcmp(job->what, "evidence") == 0 ? manager->evidence_folder
                                                                 : manager->queue_folder;

        log_error("%s: %s: alerts not kept, answered 503: %s", job->what, where,
                  strerror(-job->result));
}

/* Nothing of it stays. */
static void failed(Manager *manager, Post *post) {
        KeepJob *job = &post->job;
        bool many = job->result == -E2BIG;

        if (!many)
                log_failure(manager, job);
        if (job->repetition)
                remember_unanswered(manager, job);
        if (post->abandoned)
                http_exchange_done(post->exchange);
        else if (many)
                refuse_many(manager, post->exchange);
        else
                refuse(manager, post->exchange);
        free(post);
}

static void count(Manager *manager, const Post *post) {
        uint64_t usec = clock_monotonic_usec() - post->since_usec;

        manager->n_kept++;
        manager->n_repeated += post->job.repetition;
        manager->n_raw += post->job.raw && !post->job.repetition;
        manager->keep_usec += usec;
        manager->keep_longest_usec = MAX(manager->keep_longest_usec, usec);
}

void receive_kept(Manager *manager, KeepJob *job) {
        Post *post = job->owner;

        list_remove(&post->node);
        manager->n_posts--;
        if (job->result < 0) {
                failed(manager, post);
                return;
        }
        count(manager, post);
        if (post->abandoned || !http_exchange_connected(post->exchange))
                remember_unanswered(manager, job);
        if (job->batch) {
                manager->answered_number = MAX(manager->answered_number, job->batch->number);
                queue_add(&manager->queue, TAKE_PTR(job->batch));
        }
        if (post->abandoned)
                http_exchange_done(post->exchange);
        else
                answer_received(post->exchange, job->received_usec);
        free(post);
}

/* The page cache is enough: a power cut at worst makes one repetition pass for one of ours. */
void receive_answered(Manager *manager) {
        uint64_t number = manager->answered_number;

        if (number == manager->answered_stored)
                return;
        if (pwrite(manager->answered_fd, &number, sizeof number, 0) == sizeof number)
                manager->answered_stored = number;
}

void receive_expire(Manager *manager, uint64_t now_usec) {
        forget_old(manager, now_usec);
        LIST_FOREACH(node, &manager->posts) {
                Post *post = LIST_ENTRY(node, Post, node);

                if (post->abandoned || now_usec < post->since_usec + KEEP_MAX_USEC)
                        continue;
                log_warning("the disk takes longer than %u s: answered 503",
                            (unsigned)(KEEP_MAX_USEC / USEC_PER_SEC));
                post->abandoned = true;
                manager->n_refused++;
                http_exchange_abandon(post->exchange);
        }
}

void receive_done(Manager *manager) {
        CHECK(list_empty(&manager->posts));
        forget_old(manager, UINT64_MAX);
        manager->answered_fd = fd_close(manager->answered_fd);
}

/* ---- the server's questions ---- */

static HttpQuick on_quick(void *userdata _unused_, HttpConn *conn _unused_,
                          const HttpHead *head _unused_, const char *base _unused_) {
        return HTTP_QUICK_NO;
}

static void on_head(void *userdata _unused_, HttpExchange *exchange _unused_, HttpPlan *ret) {
        *ret = (HttpPlan){.body_max = BODY_MAX};
}

static void on_request(void *userdata, HttpExchange *exchange) {
        const HttpRequest *request = &exchange->request;
        Manager *manager = userdata;

        if (request->method == HTTP_POST && http_from_elsewhere(request, SLICE_NONE))
                refuse_foreign(manager, exchange);
        else if (request->method == HTTP_POST)
                receive(manager, exchange);
        else if (request->method != HTTP_GET && request->method != HTTP_HEAD)
                answer(exchange, 405, SLICE("{\"error\":\"Method not allowed\"}\n"));
        else if (slice_equal(request->path, SLICE("/metrics")))
                status_metrics(manager, exchange);
        else if (slice_equal(request->path, SLICE("/health")))
                status_health(manager, exchange);
        else
                status_page(manager, exchange);
}

static HttpSettle on_settle(void *userdata _unused_, uint64_t *ret_token _unused_) {
        return HTTP_SETTLE_SEND;
}

void receive_ops(Manager *manager, HttpServerOps *ret) {
        *ret = (HttpServerOps){
                        .userdata = manager,
                        .quick = on_quick,
                        .head = on_head,
                        .request = on_request,
                        .settle = on_settle,
        };
}
