/* SPDX-License-Identifier: MIT */

/*
 * Redirects on the loop. A hit is one probe of the cache, one comparison with the host page, one
 * record into the batch, one copy of a preformatted answer. Everything else of a redirect happens
 * in an exchange.
 */

#include <errno.h>

#include "basic/clock.h"
#include "front/front.h"
#include "model/problem.h"
#include "store/watch.h"

#define CODE_PATH_MAX (MODEL_CODE_MAX + 1)
/* A tenth of an entry's life. */
#define FRONT_SPREAD_TICKS (FRONT_ENTRY_SEC * CACHE_TICKS / 10)
#define NOT_FOUND          "URL not found"
#define BLOCKED            (-1) /* link_id of a cache entry whose target is on the blocklist */

/* How old an entry may be, in ticks: a second when other hosts' changes are not heard of. */
static int32_t age_max(const Front *front, int64_t link_id, uint64_t now_usec) {
        if (UNLIKELY(store_sight(front->store, now_usec) == STORE_SIGHT_LOST))
                return CACHE_TICKS - 1; /* times are rounded down to ticks */
        return (int32_t)(CACHE_TICKS * (link_id ? FRONT_ENTRY_SEC : FRONT_ABSENT_SEC));
}

/* A link that was made meanwhile has another code: only where there was none may be one now. */
static bool is_unchanged(const Front *front, const CacheHit *hit) {
        HostMark mark = {hit->mark.generation, hit->mark.epoch};

        return hit->link_id ? host_page_unedited(front->page, hit->counter, mark)
                            : host_page_fresh(front->page, hit->counter, mark);
}

/* Entries outlive their time while the store cannot be asked. */
static bool is_fresh(const Front *front, const CacheHit *hit) {
        uint64_t now_usec = http_server_now(front->server);
        int32_t age = (int32_t)(cache_tick(now_usec) - hit->read_tick);

        return is_unchanged(front, hit) &&
               (age < age_max(front, hit->link_id, now_usec) || !store_is_up(front->store));
}

static char *put(char *p, Slice s) {
        memcpy(p, s.data, s.len);
        return p + s.len;
}

/* The head of this second's 302s; made again when the date has changed. */
static void refresh_head(Front *front) {
        static const Slice before = {"HTTP/1.1 302 Found\r\n", 20};
        static const Slice after = SLICE("Content-Length: 0\r\nCache-Control: private, no-store\r\n"
                                         "X-Content-Type-Options: nosniff\r\nX-Cache: HIT\r\n"
                                         "X-Request-Id: ");
        Slice date = http_server_date(front->server);
        char *p;

        if (slice_equal(date, slice_from_string(front->head_second)))
                return;
        CHECK(date.len < sizeof front->head_second);
        memcpy(front->head_second, date.data, date.len);
        front->head_second[date.len] = '\0';
        p = put(front->head, before);
        p = put(p, date);
        p = put(p, after);
        front->head_len = (size_t)(p - front->head);
        CHECK(front->head_len < sizeof front->head);
}

static void write_hit(const Front *front, HttpConn *conn, const HttpHead *head, Slice id,
                      Slice tail) {
        Slice connection = SLICE("\r\n");
        size_t len;
        char *p;

        if (UNLIKELY(http_conn_closing(conn, head)))
                connection = SLICE("\r\nConnection: close\r\n");
        else if (UNLIKELY(head->version == 10))
                connection = SLICE("\r\nConnection: keep-alive\r\n");
        len = front->head_len + id.len + connection.len + tail.len;
        p = http_conn_write(conn, len);
        if (!p)
                return;
        p = put(p, slice_make(front->head, front->head_len));
        p = put(p, id);
        p = put(p, connection);
        (void)put(p, tail);
}

static int record_visit(Front *front, int64_t link_id, const Slice known[], Slice remote,
                        Slice id) {
        Click click = {
                        .link_id = link_id,
                        .time_usec = http_server_realtime(front->server),
                        .remote = remote,
                        .referrer = known[HTTP_FIELD_REFERER],
                        .user_agent = known[HTTP_FIELD_USER_AGENT],
                        .request_id = id,
        };

        return spool_add(front->spool, &click);
}

static bool somebody_is_refused(const Front *front) {
        return front->limiter &&
               atomic_load_explicit(front->limited_until_usec, memory_order_relaxed) != 0;
}

HttpQuick front_redirect_hit(Front *front, HttpConn *conn, const HttpHead *head, const char *base) {
        Slice path = http_span(base, head->path), id;
        char buffer[HTTP_REQUEST_ID_SIZE];
        CacheHit hit;
        Slice code;

        if (path.len < 2 || path.len > CODE_PATH_MAX)
                return HTTP_QUICK_NO;
        if (UNLIKELY(somebody_is_refused(front)) && front_limit_hit(front, conn, head, base))
                return HTTP_QUICK_NO; /* the exchange's way answers 429 */
        code = slice_from(path, 1);
        host_page_prefetch(front->page, host_counter(code));
        if (!redirect_cache_find(front->cache, code, &hit) || hit.link_id <= 0 ||
            !is_fresh(front, &hit))
                return HTTP_QUICK_NO;
        id = http_conn_request_id(conn, head, base, buffer);
        if (head->method == HTTP_GET) {
                Slice known[HTTP_FIELD_NAMES];

                known[HTTP_FIELD_REFERER] =
                                head->seen[HTTP_FIELD_REFERER]
                                                ? http_known(base, head, HTTP_FIELD_REFERER)
                                                : SLICE_NONE;
                known[HTTP_FIELD_USER_AGENT] = http_known(base, head, HTTP_FIELD_USER_AGENT);
                if (record_visit(front, hit.link_id, known, http_conn_remote(conn, head, base),
                                 id) < 0)
                        return HTTP_QUICK_NO; /* the exchange's way answers 503 */
                http_conn_mark_visit(conn);
                front->n_hits++;
        } else
                front->n_heads++;
        refresh_head(front);
        write_hit(front, conn, head, id, hit.tail);
        return HTTP_QUICK_ANSWERED;
}

void front_count_hits(Front *front) {
        uint64_t n = front->n_hits + front->n_heads, usec;

        if (n == 0)
                return;
        usec = clock_monotonic_usec() - http_server_now(front->server);
        if (front->n_hits > 0)
                metrics_request(front->metrics, front->endpoint, HTTP_GET, 302, usec,
                                front->n_hits);
        if (front->n_heads > 0)
                metrics_request(front->metrics, front->endpoint, HTTP_HEAD, 302, usec,
                                front->n_heads);
        metric_add(front->metrics, METRIC_REDIRECTS, (double)front->n_hits);
        metric_add(front->metrics, METRIC_CACHE_HITS, (double)n);
        metric_add(front->metrics, METRIC_CACHE_LOCAL_HITS, (double)n);
        front->n_hits = front->n_heads = 0;
}

/* Visit and 302 of an exchange. */
static void answer_found(Front *front, HttpExchange *exchange, int64_t link_id, Slice location,
                         bool hit) {
        const HttpRequest *request = &exchange->request;
        HttpResponse *response = &exchange->response;

        if (request->method == HTTP_GET) {
                int r = record_visit(front, link_id, request->known, request->remote,
                                     request->request_id);

                if (r < 0) {
                        front_redirect_error(exchange, 503, problem_generic_text(503));
                        return;
                }
                http_exchange_mark_visit(exchange);
                metric_add(front->metrics, METRIC_REDIRECTS, 1);
        }
        metric_add(front->metrics, hit ? METRIC_CACHE_HITS : METRIC_CACHE_MISSES, 1);
        response->status = 302;
        http_response_field(response, "Location", location);
        http_response_field(response, "X-Cache", hit ? SLICE("HIT") : SLICE("MISS"));
        http_response_field(response, "Cache-Control", SLICE("private, no-store"));
}

/* A 404, which costs the client one of its misses. */
static void answer_missing(Front *front, HttpExchange *exchange) {
        if (front_limit_owe(front, exchange, LIMIT_MISSES))
                front_redirect_error(exchange, 404, NOT_FOUND);
}

static void answer_blocked(Front *front, HttpExchange *exchange) {
        metric_add(front->metrics, METRIC_BLOCKED_REDIRECTS, 1);
        front_redirect_error(exchange, 410, problem_generic_text(410));
}

bool front_redirect_cached(Front *front, HttpExchange *exchange, Slice code) {
        CacheHit hit;

        if (!front_limit_look(front, exchange, LIMIT_MISSES))
                return true;
        if (code.len > MODEL_CODE_MAX) {
                answer_missing(front, exchange);
                return true;
        }
        if (!redirect_cache_find(front->cache, code, &hit) || !is_fresh(front, &hit))
                return false;
        metric_add(front->metrics, METRIC_CACHE_LOCAL_HITS, 1);
        if (hit.link_id == 0)
                answer_missing(front, exchange);
        else if (hit.link_id == BLOCKED)
                answer_blocked(front, exchange);
        else
                answer_found(front, exchange, hit.link_id, hit.location, true);
        return true;
}

/* What a stored location must be before it becomes a header: printable ASCII (api.md, Promises). A
 * row that was made by hand may be anything. */
static bool location_safe(Slice location) {
        if (location.len > MODEL_LOCATION_MAX)
                return false;
        for (size_t i = 0; i < location.len; i++)
                if (location.data[i] <= 0x20 || location.data[i] >= 0x7f)
                        return false;
        return location.len > 0;
}

/* Of an active link: can it be cached, and can its visits be recorded? */
static bool link_safe(int64_t id, Slice location) {
        return id > 0 && id <= MODEL_ID_MAX && location_safe(location);
}

/* What is there already is newer. Times are spread, so that not all ends at the same moment. What
 * changed since it was read is put in as well: its mark is old, so it is never answered; asking the
 * host page here would map all of it into a process that nobody asks for anything. */
bool front_warm(Front *front, const WarmBatch *batch) {
        uint32_t read_tick = cache_tick(batch->read_usec);

        for (size_t i = 0; i < batch->n; i++) {
                const WarmLink *warm = batch->links + i;
                uint32_t spread = (uint32_t)warm->link.id * 2654435761U % FRONT_SPREAD_TICKS;
                CacheFill fill = {
                                .code = warm->link.code,
                                .link_id = warm->link.id,
                                .location = warm->link.location,
                                .mark = {warm->mark.generation, warm->mark.epoch},
                                .counter = warm->counter,
                                .read_tick = read_tick - spread,
                };
                CacheHit hit;

                if (!redirect_cache_roomy(front->cache))
                        return false;
                if (fill.code.len > MODEL_CODE_MAX || !link_safe(fill.link_id, fill.location) ||
                    redirect_cache_find(front->cache, fill.code, &hit))
                        continue;
                if (blocklists_has(front->blocklists, fill.location))
                        fill.link_id = BLOCKED;
                redirect_cache_insert(front->cache, &fill);
        }
        return true;
}

/* The store did not answer: an entry whose time was over, but which did not change, still does. So
 * it is when the breaker is open; this lookup is one of those that open it. */
static void answer_unasked(Front *front, HttpExchange *exchange, Slice code) {
        CacheHit hit;

        if (!redirect_cache_find(front->cache, code, &hit) || hit.link_id == 0 ||
            !is_unchanged(front, &hit))
                front_redirect_error(exchange, 503, problem_generic_text(503));
        else if (hit.link_id == BLOCKED)
                answer_blocked(front, exchange);
        else
                answer_found(front, exchange, hit.link_id, hit.location, true);
}

void front_redirect_expired(Front *front, HttpExchange *exchange, Slice code) {
        answer_unasked(front, exchange, code);
        http_exchange_answer(exchange);
}

void front_redirect_resolved(Front *front, Lookup *lookup) {
        CacheFill fill = {
                        .code = lookup->code,
                        .link_id = lookup->link_id,
                        .location = lookup->location,
                        .mark = {lookup->mark.generation, lookup->mark.epoch},
                        .counter = lookup->counter,
                        .read_tick = cache_tick(lookup->read_usec),
        };

        bool blocked = lookup->result == 0 && lookup->link_id != 0 &&
                       blocklists_has(front->blocklists, lookup->location);

        if (blocked)
                fill.link_id = BLOCKED;
        if (lookup->result == 0 &&
            (lookup->link_id == 0 || link_safe(lookup->link_id, lookup->location)))
                redirect_cache_insert(front->cache, &fill);
        if (lookup->expired)
                return;
        if (lookup->result != 0)
                answer_unasked(front, lookup->exchange, lookup->code);
        else if (!link_safe(lookup->link_id, lookup->location))
                answer_missing(front, lookup->exchange);
        else if (blocked)
                answer_blocked(front, lookup->exchange);
        else
                answer_found(front, lookup->exchange, lookup->link_id, lookup->location,
                             lookup->from_redis);
}
