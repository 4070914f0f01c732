/* SPDX-License-Identifier: MIT */

/*
 * Exchanges: a request with its head copied out of the shared read buffer, its body in memory or,
 * beyond 64 KB, in an unnamed temporary file that is mapped when it is whole; and the response's
 * way onto the connection. Loop thread; between ops->request and http_exchange_done() the owner
 * may hand the public part to another thread.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/number.h"
#include "http/private.h"
#include "sys/fd.h"

#define ARENA_LIMIT     (64u * 1024 * 1024) /* bytes one request may take while it is handled */
#define SPILL_MAX       (256u * 1024 * 1024)
#define RESPONSE_HEAD   512u /* bytes of the fields below, at most, without further fields */
#define KEEP_BODY_BYTES 16384u

static Exchange *exchange_take(HttpServer *server) {
        ListNode *node = list_first(&server->spare);
        Exchange *exchange;

        if (node) {
                list_remove(node);
                server->n_spare--;
                return LIST_ENTRY(node, Exchange, node);
        }
        exchange = calloc(1, sizeof *exchange);
        if (exchange)
                arena_init(&exchange->public.arena, ARENA_LIMIT);
        return exchange;
}

static void exchange_request(Exchange *exchange, const char *base) {
        HttpRequest *request = &exchange->public.request;
        const HttpHead *head = &exchange->head;

        *request = (HttpRequest){
                        .method = (HttpMethod)head->method,
                        .head = slice_make(base, head->head_len),
                        .path = http_span(base, head->path),
                        .query = http_span(base, head->query),
                        .body = SLICE(""),
        };
        for (int i = 0; i < HTTP_FIELD_NAMES; i++)
                if (head->seen[i] > 0) {
                        request->known[i] = http_span(base, head->known[i]);
                        request->repeated[i] = head->seen[i] > 1;
                }
}

Exchange *exchange_new(HttpConn *conn, const HttpHead *head, const char *base) {
        Exchange *exchange = exchange_take(conn->server);
        char id[HTTP_REQUEST_ID_SIZE];
        Arena *arena;
        Slice copy;

        if (!exchange)
                return NULL;
        arena = &exchange->public.arena;
        exchange->server = conn->server;
        exchange->conn = conn;
        exchange->head = *head;
        exchange->spill_fd = -1;
        exchange->read_usec = conn->server->now_usec;
        copy = arena_dup(arena, slice_make(base, head->head_len));
        if (!copy.data) {
                exchange_free(exchange);
                return NULL;
        }
        exchange_request(exchange, copy.data);
        exchange->public.request.remote = arena_dup(arena, http_conn_remote(conn, head, base));
        exchange->public.request.request_id =
                        arena_dup(arena, http_conn_request_id(conn, head, base, id));
        if (arena->overflow) {
                exchange_free(exchange);
                return NULL;
        }
        http_chunked_init(&exchange->chunked);
        return exchange;
}

static void spill_free(Exchange *exchange) {
        if (exchange->mapped)
                (void)munmap(exchange->mapped, exchange->n_body);
        exchange->mapped = NULL;
        if (exchange->spill_fd >= 0) {
                exchange->server->spilled -= exchange->n_body;
                exchange->spill_fd = fd_close(exchange->spill_fd);
                exchange->server->n_spills--;
        }
}

static void buffer_slim(Buffer *buffer) {
        buffer_clear(buffer);
        if (buffer->size > KEEP_BODY_BYTES)
                buffer_done(buffer);
}

void exchange_free(Exchange *exchange) {
        HttpServer *server = exchange->server;
        HttpExchange *public = &exchange->public;

        spill_free(exchange);
        if (server->n_spare >= SPARE_EXCHANGES) {
                buffer_done(&exchange->body);
                buffer_done(&public->response.head);
                buffer_done(&public->response.body);
                arena_done(&public->arena);
                free(exchange);
                return;
        }
        buffer_slim(&exchange->body);
        buffer_slim(&public->response.head);
        buffer_slim(&public->response.body);
        arena_reset(&public->arena);
        *exchange = (Exchange){
                        .public = {.response = {.head = public->response.head,
                                                .body = public->response.body},
                                   .arena = public->arena},
                        .body = exchange->body,
                        .spill_fd = -1,
                        .server = server,
        };
        list_append(&server->spare, &exchange->node);
        server->n_spare++;
}

/* The body outgrew memory: everything so far goes into a file without a name. */
static int spill_open(Exchange *exchange) {
        HttpServer *server = exchange->server;
        const char *folder = getenv("TMPDIR");
        int fd;

        if (server->options.spill_files > 0 && server->n_spills >= server->options.spill_files)
                return -EMFILE;
        fd = open(folder && *folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        exchange->spill_fd = fd;
        server->n_spills++;
        server->spilled += exchange->body.len;
        return fd_write_all(fd, exchange->body.data, exchange->body.len);
}

static int spill_add(Exchange *exchange, Slice data) {
        HttpServer *server = exchange->server;
        uint64_t max = server->options.spill_max ? server->options.spill_max : SPILL_MAX;
        int r = 0;

        if (server->spilled + data.len > max)
                return 503;
        if (exchange->spill_fd < 0) {
                r = spill_open(exchange);
                buffer_done(&exchange->body);
        }
        if (r >= 0)
                r = fd_write_all(exchange->spill_fd, data.data, data.len);
        if (r < 0)
                return 503;
        server->spilled += data.len;
        return 0;
}

int exchange_add_body(Exchange *exchange, Slice data) {
        int r;

        if (data.len > exchange->plan.body_max - exchange->n_body)
                return 413;
        if (exchange->spill_fd >= 0 || exchange->n_body + data.len > BODY_MEMORY_MAX) {
                r = spill_add(exchange, data);
                if (r > 0)
                        return r;
        } else {
                buffer_append(&exchange->body, data);
                if (exchange->body.failed)
                        return 503;
        }
        exchange->n_body += data.len;
        return 0;
}

int exchange_finish_body(Exchange *exchange) {
        HttpRequest *request = &exchange->public.request;

        if (exchange->spill_fd >= 0) {
                void *mapped = mmap(NULL, exchange->n_body, PROT_READ, MAP_PRIVATE,
                                    exchange->spill_fd, 0);

                if (mapped == MAP_FAILED)
                        return 503;
                exchange->mapped = mapped;
                request->body = slice_make(mapped, exchange->n_body);
        } else if (exchange->body.len > 0)
                request->body = buffer_slice(&exchange->body);
        exchange->whole = true;
        return 0;
}

static char *put(char *p, Slice s) {
        if (s.len > 0)
                memcpy(p, s.data, s.len);
        return p + s.len;
}

/* Without a body, and without the length that one would have. */
static bool has_no_body(int status) {
        return status == 204 || status == 304;
}

/* The response's head and body onto the connection's answers of this turn. */
void exchange_render(Exchange *exchange, HttpConn *conn) {
        HttpResponse *response = &exchange->public.response;
        Slice body = buffer_slice(&response->body), type = response->content_type;
        bool send_body = exchange->head.method != HTTP_HEAD && !has_no_body(response->status);
        char number[NUMBER_U64_SIZE];
        char *start, *p;

        if (response->body.failed || response->head.failed) {
                conn_refuse(conn, 503, NULL);
                return;
        }
        start = p = conn_reserve(conn, RESPONSE_HEAD + response->head.len + type.len +
                                                       (send_body ? body.len : 0));
        if (!p)
                return;
        p = put(p, http_status_line(response->status));
        p = put(p, http_server_date(conn->server));
        if (!has_no_body(response->status)) {
                p = put(p, SLICE("Content-Length: "));
                p = put(p, slice_make(number, number_format_u64(body.len, number)));
                p = put(p, SLICE("\r\n"));
        }
        if (body.len > 0) {
                p = put(p, SLICE("Content-Type: "));
                p = put(p, type.data ? type : SLICE("application/json"));
                p = put(p, SLICE("\r\n"));
        }
        p = put(p, SLICE("X-Request-Id: "));
        p = put(p, exchange->public.request.request_id);
        p = put(p, SLICE("\r\nX-Content-Type-Options: nosniff\r\n"));
        p = put(p, buffer_slice(&response->head));
        if (conn->closing)
                p = put(p, SLICE("Connection: close\r\n"));
        else if (exchange->head.version == 10)
                p = put(p, SLICE("Connection: keep-alive\r\n"));
        p = put(p, SLICE("\r\n"));
        if (send_body)
                p = put(p, body);
        conn->out_len += (size_t)(p - start);
        conn->server->out.len += (size_t)(p - start);
}

/* ---- public ---- */

/* The connection goes on with what came behind the request. */
static void detach(Exchange *exchange) {
        HttpConn *conn = exchange->conn;

        conn->exchange = NULL;
        exchange->conn = NULL;
        if (!list_linked(&conn->again))
                list_append(&exchange->server->again, &conn->again);
}

void http_exchange_answer(HttpExchange *public) {
        Exchange *exchange = CONTAINER_OF(public, Exchange, public);
        HttpServer *server = exchange->server;
        HttpConn *conn = exchange->conn;

        if (!conn)
                return;
        if (server->draining || !exchange->head.keep_alive)
                conn->closing = true;
        exchange_render(exchange, conn);
        if (server->ops.answered)
                server->ops.answered(server->ops.userdata, public, public->response.status,
                                     clock_monotonic_usec() - exchange->read_usec);
        detach(exchange);
}

void http_exchange_done(HttpExchange *public) {
        Exchange *exchange = CONTAINER_OF(public, Exchange, public);

        CHECK(exchange->out);
        exchange->out = false;
        exchange->server->n_out--;
        http_exchange_answer(public);
        exchange_free(exchange);
}

void http_exchange_abandon(HttpExchange *public) {
        Exchange *exchange = CONTAINER_OF(public, Exchange, public);
        HttpServer *server = exchange->server;
        HttpConn *conn = exchange->conn;

        if (!conn)
                return;
        if (server->ops.answered)
                server->ops.answered(server->ops.userdata, public, 503,
                                     clock_monotonic_usec() - exchange->read_usec);
        conn_refuse(conn, 503, NULL);
        detach(exchange);
}

bool http_exchange_connected(const HttpExchange *public) {
        const Exchange *exchange = CONTAINER_OF(public, const Exchange, public);
        char byte;

        return exchange->conn &&
               recv(exchange->conn->fd, &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) != 0;
}

void http_exchange_mark_visit(HttpExchange *public) {
        Exchange *exchange = CONTAINER_OF(public, Exchange, public);

        if (exchange->conn)
                exchange->conn->visit = true;
}
