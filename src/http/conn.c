/* SPDX-License-Identifier: MIT */

/*
 * One connection: what is read becomes heads and bodies, heads become quick answers or exchanges,
 * answers collect in the server's buffer of this turn. An idle connection owns no buffer: bytes
 * are read into the server's shared one and only what is not a whole request yet is copied. Loop
 * thread only.
 */

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "basic/clock.h"
#include "http/private.h"
#include "sys/fd.h"

/* ---- answers of this turn ---- */

/* Room at the end of the server's buffer, behind what this connection has there already. */
char *conn_reserve(HttpConn *conn, size_t len) {
        HttpServer *server = conn->server;
        Buffer *out = &server->out;
        char *p = buffer_reserve(out, conn->out_len + len);

        if (!p) {
                /* No memory for an answer: the only honest thing left is to close. Others'
                 * answers stay where they are. */
                out->failed = false;
                conn->closing = true;
                return NULL;
        }
        if (!list_linked(&conn->batch))
                list_append(&server->batch, &conn->batch);
        if (conn->out_len == 0)
                conn->out_start = out->len;
        if (conn->out_start + conn->out_len != out->len) {
                memcpy(p, out->data + conn->out_start, conn->out_len);
                conn->out_start = out->len;
                out->len += conn->out_len;
        }
        return out->data + out->len;
}

/* ---- state ---- */

static ConnState conn_natural_state(const HttpConn *conn) {
        if (conn->fd < 0)
                return CONN_FREE;
        if (conn->held || conn->pending.len > 0)
                return CONN_WRITE;
        if (conn->exchange)
                return conn->exchange->whole ? CONN_WAIT : CONN_BODY;
        if (conn->closing)
                return conn->out_len > 0 ? (ConnState)conn->state : CONN_LINGER; /* soon sent */
        return conn->in.len > 0 ? CONN_HEAD : CONN_IDLE;
}

static void conn_set_events(HttpConn *conn, uint32_t events) {
        struct epoll_event event = {.events = events, .data.ptr = conn};

        if (conn->events == events)
                return;
        conn->events = events;
        (void)epoll_ctl(conn->server->epoll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

/* The one place where a connection changes its state, its list and its epoll interest. */
void conn_settle_state(HttpConn *conn) {
        HttpServer *server = conn->server;
        ConnState state = conn_natural_state(conn);

        if (state != conn->state) {
                if (state == CONN_LINGER && shutdown(conn->fd, SHUT_WR) < 0 && errno == ENOTCONN)
                        conn->eof = true;
                server->counts[conn->state]--;
                server->counts[state]++;
                conn->state = (uint8_t)state;
                conn->since_usec = server->now_usec;
                list_move(&server->lists[state], &conn->node);
        }
        if (state == CONN_WRITE)
                conn_set_events(conn, conn->held ? 0 : EPOLLOUT);
        else if (state != CONN_WAIT && state != CONN_FREE)
                conn_set_events(conn, EPOLLIN);
}

/* The exchange's answer, if it is out, will be dropped. */
static void leave_exchange(HttpConn *conn) {
        Exchange *exchange = conn->exchange;

        if (!exchange)
                return;
        conn->exchange = NULL;
        exchange->conn = NULL;
        if (!exchange->out)
                exchange_free(exchange);
}

void conn_close(HttpConn *conn) {
        leave_exchange(conn);
        if (list_linked(&conn->batch))
                list_remove(&conn->batch);
        if (list_linked(&conn->again))
                list_remove(&conn->again);
        if (list_linked(&conn->hold))
                list_remove(&conn->hold);
        buffer_done(&conn->in);
        buffer_done(&conn->pending);
        conn->out_len = 0;
        conn->held = false;
        conn->fd = fd_close(conn->fd);
        conn_settle_state(conn);
        server_conn_freed(conn->server);
}

/* A visit that this turn's answers, or those held, tell of is not kept. */
void conn_fail_visit(HttpConn *conn, Slice answers) {
        leave_exchange(conn);
        conn->visit = false;
        conn_refuse_instead(conn, answers);
}

/* ---- sending ---- */

static void conn_sent_all(HttpConn *conn) {
        buffer_done(&conn->pending);
        if (conn->closing && conn->eof) {
                conn_close(conn);
                return;
        }
        conn_settle_state(conn);
        if (!conn->closing && !conn->exchange && conn->in.len > 0 && !list_linked(&conn->again))
                list_append(&conn->server->again, &conn->again);
}

/* Behind what is queued already. */
void conn_queue(HttpConn *conn, Slice answers) {
        buffer_append(&conn->pending, answers);
        if (conn->pending.failed)
                conn_close(conn);
        else
                conn_settle_state(conn);
}

/* Sends as much as the socket takes; the rest becomes the connection's own. */
void conn_send(HttpConn *conn, const char *data, size_t len) {
        ssize_t n;

        if (conn->pending.len > 0) {
                conn_queue(conn, slice_make(data, len));
                return;
        }
        n = send(conn->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR) {
                conn_close(conn);
                return;
        }
        n = MAX(n, 0);
        if ((size_t)n < len) {
                conn_queue(conn, slice_make(data + n, len - (size_t)n));
                return;
        }
        if (conn->closing || conn->state == CONN_WRITE)
                conn_sent_all(conn);
        else
                conn->since_usec = conn->server->now_usec;
}

void conn_send_pending(HttpConn *conn) {
        ssize_t n = send(conn->fd, conn->pending.data, conn->pending.len,
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        conn_close(conn);
                else
                        conn_settle_state(conn);
                return;
        }
        conn->since_usec = conn->server->now_usec;
        buffer_consume(&conn->pending, (size_t)n);
        if (conn->pending.len == 0)
                conn_sent_all(conn);
        else
                conn_settle_state(conn);
}

/* ---- requests ---- */

static void refuse(HttpConn *conn, int status, const char *text) {
        HttpServer *server = conn->server;

        if (server->ops.refused)
                server->ops.refused(server->ops.userdata, status);
        conn_refuse(conn, status, text);
}

static void drop_exchange(HttpConn *conn) {
        exchange_free(conn->exchange);
        conn->exchange = NULL;
}

static void hand_over(HttpConn *conn) {
        Exchange *exchange = conn->exchange;
        HttpServer *server = conn->server;
        int status = exchange_finish_body(exchange);

        if (status != 0) {
                refuse(conn, status, NULL);
                drop_exchange(conn);
                return;
        }
        exchange->out = true;
        server->n_out++;
        server->ops.request(server->ops.userdata, &exchange->public);
}

static void send_continue(HttpConn *conn) {
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        char *p = conn_reserve(conn, sizeof text - 1);

        if (!p)
                return;
        memcpy(p, text, sizeof text - 1);
        conn->out_len += sizeof text - 1;
        conn->server->out.len += sizeof text - 1;
}

/* A head that the quick path did not take: from here on the request has an exchange. */
static void begin_exchange(HttpConn *conn, const HttpHead *head, const char *base, bool more) {
        HttpServer *server = conn->server;
        Exchange *exchange = exchange_new(conn, head, base);

        if (!exchange) {
                refuse(conn, 503, NULL);
                return;
        }
        conn->exchange = exchange;
        server->ops.head(server->ops.userdata, &exchange->public, &exchange->plan);
        if (head->body == HTTP_BODY_LENGTH && head->content_length > exchange->plan.body_max) {
                refuse(conn, 413, exchange->plan.too_large);
                drop_exchange(conn);
                return;
        }
        if (head->body == HTTP_BODY_NONE ||
            (head->body == HTTP_BODY_LENGTH && head->content_length == 0)) {
                hand_over(conn);
                return;
        }
        if (head->expect_continue && !more)
                send_continue(conn);
}

static void take_head(HttpConn *conn, const char *base, bool more) {
        HttpHead head = conn->head;
        HttpServer *server = conn->server;

        http_head_init(&conn->head);
        if ((head.method == HTTP_GET || head.method == HTTP_HEAD) && head.body == HTTP_BODY_NONE &&
            server->ops.quick(server->ops.userdata, conn, &head, base) == HTTP_QUICK_ANSWERED) {
                if (server->draining || !head.keep_alive)
                        conn->closing = true;
                return;
        }
        begin_exchange(conn, &head, base, more);
}

/* Body bytes; returns how many were used. */
static size_t take_body(HttpConn *conn, const char *data, size_t len) {
        Exchange *exchange = conn->exchange;
        Slice piece = slice_make(data, len);
        size_t used = len;
        int status = HTTP_PARSE_MORE;

        if (exchange->head.body == HTTP_BODY_LENGTH) {
                used = (size_t)MIN((uint64_t)len, exchange->head.content_length - exchange->n_body);
                piece.len = used;
        } else
                status = http_parse_chunked(&exchange->chunked, data, len, &used, &piece);
        if (status < 400) {
                int r = exchange_add_body(exchange, piece);

                status = r != 0 ? r : status;
        }
        if (status >= 400) {
                refuse(conn, status, status == 413 ? exchange->plan.too_large : NULL);
                drop_exchange(conn);
                return len;
        }
        if (status == HTTP_PARSE_DONE || (exchange->head.body == HTTP_BODY_LENGTH &&
                                          exchange->n_body == exchange->head.content_length))
                hand_over(conn);
        return used;
}

/* Goes through data as far as it can; returns the bytes used. */
static size_t conn_process(HttpConn *conn, const char *data, size_t len) {
        unsigned n_answers = 0;
        size_t at = 0;

        while (at < len && !conn->closing && n_answers < PIPELINE_MAX) {
                int r;

                if (conn->exchange && conn->exchange->whole)
                        break;
                if (conn->exchange) {
                        size_t used = take_body(conn, data + at, len - at);

                        at += used;
                        if (used == 0 && conn->exchange && !conn->exchange->whole)
                                break;
                        continue;
                }
                r = http_parse_head(&conn->head, data + at, len - at);
                if (r == HTTP_PARSE_MORE)
                        break;
                if (r >= 400) {
                        refuse(conn, r, NULL);
                        break;
                }
                at += conn->head.head_len;
                n_answers++;
                take_head(conn, data + at - conn->head.head_len, at < len);
        }
        if (conn->closing)
                return len;
        if (n_answers == PIPELINE_MAX && at < len && !list_linked(&conn->again))
                list_append(&conn->server->again, &conn->again);
        return at;
}

/* Keeps what was not used for later. */
static void conn_keep(HttpConn *conn, const char *data, size_t len) {
        buffer_append(&conn->in, slice_make(data, len));
        if (conn->in.failed) {
                conn_close(conn);
                return;
        }
}

static void conn_lingering(HttpConn *conn) {
        size_t max = conn->too_large ? LINGER_BODY_MAX : LINGER_BYTES_MAX;
        ssize_t n = recv(conn->fd, conn->server->input, INPUT_SIZE, MSG_DONTWAIT);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        conn->lingered += (size_t)MAX(n, 0);
        if (n <= 0 || conn->lingered > max)
                conn_close(conn);
}

/* The peer will send no more. What it is owed is still sent. */
static void conn_end_of_input(HttpConn *conn) {
        conn->eof = true;
        if (conn->state == CONN_LINGER ||
            (conn->out_len == 0 && conn->pending.len == 0 && !conn->held)) {
                conn_close(conn);
                return;
        }
        conn->closing = true;
        conn_settle_state(conn);
}

static void conn_readable(HttpConn *conn) {
        HttpServer *server = conn->server;
        ssize_t n = recv(conn->fd, server->input, INPUT_SIZE, MSG_DONTWAIT);
        size_t used;

        if (n < 0) {
                if (errno != EAGAIN && errno != EINTR)
                        conn_close(conn);
                return;
        }
        if (n == 0) {
                conn_end_of_input(conn);
                return;
        }
        if (conn->in.len > 0) {
                conn_keep(conn, server->input, (size_t)n);
                if (conn->fd >= 0)
                        conn_go_on(conn);
                return;
        }
        used = conn_process(conn, server->input, (size_t)n);
        if (conn->fd < 0)
                return;
        if (used < (size_t)n)
                conn_keep(conn, server->input + used, (size_t)n - used);
        if (conn->fd >= 0)
                conn_settle_state(conn);
}

/* Takes up input that was kept: more bytes came, or what stood in its way is done. While answers
 * are queued it waits: conn_sent_all() comes back here. */
void conn_go_on(HttpConn *conn) {
        size_t used;

        if (conn->in.len > 0 && !conn->closing && conn->pending.len == 0) {
                used = conn_process(conn, conn->in.data, conn->in.len);
                if (conn->fd < 0)
                        return;
                buffer_consume(&conn->in, used);
        }
        if (conn->in.len == 0 || conn->closing)
                buffer_done(&conn->in);
        conn_settle_state(conn);
}

void conn_event(HttpConn *conn, uint32_t events) {
        if (conn->state == CONN_WRITE) {
                if (events & (EPOLLERR | EPOLLHUP))
                        conn_close(conn);
                else
                        conn_send_pending(conn);
                return;
        }
        if (conn->state == CONN_LINGER) {
                conn_lingering(conn);
                return;
        }
        if (conn->state == CONN_WAIT) {
                /* Pipelined bytes or a close while an exchange is out: looked at afterwards. */
                conn_set_events(conn, 0);
                if (events & (EPOLLERR | EPOLLHUP))
                        conn_close(conn);
                return;
        }
        conn_readable(conn);
}

/* A time limit of its state has passed. */
void conn_expire(HttpConn *conn) {
        if (conn->state != CONN_HEAD && conn->state != CONN_BODY) {
                conn_close(conn);
                return;
        }
        refuse(conn, 408, NULL);
        if (conn->exchange)
                drop_exchange(conn);
}
