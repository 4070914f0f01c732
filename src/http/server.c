/* SPDX-License-Identifier: MIT */

/*
 * The server: listeners, the inner epoll, turns, time limits, draining. Owns every connection and
 * the spare exchanges. Loop thread only.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/clock.h"
#include "http/private.h"
#include "sys/fd.h"

#define ACCEPTS_MAX  64u        /* connections taken per listener and event */
#define OUT_KEEP     (1u << 20) /* bytes of answer buffer kept between turns */
#define LISTENER_TAG 1u         /* low bit of epoll data: not a connection */

int http_server_new(const HttpServerOptions *options, const HttpServerOps *ops, HttpServer **ret) {
        _cleanup_(http_server_free_p) HttpServer *server = calloc(1, sizeof *server);

        if (!server)
                return -ENOMEM;
        server->ops = *ops;
        server->options = *options;
        server->epoll_fd = -1;
        server->accepting = true;
        for (size_t i = 0; i < CONN_STATES; i++)
                list_init(&server->lists[i]);
        list_init(&server->batch);
        list_init(&server->held);
        list_init(&server->again);
        list_init(&server->spare);
        CHECK(getrandom(&server->id_key, sizeof server->id_key, 0) == sizeof server->id_key);
        server->conns_size = options->max_connections * sizeof(HttpConn);
        server->conns = mmap(NULL, server->conns_size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (server->conns == MAP_FAILED) {
                server->conns = NULL;
                return -ENOMEM;
        }
        server->input = malloc(INPUT_SIZE);
        if (!server->input)
                return -ENOMEM;
        server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (server->epoll_fd < 0)
                return -errno;
        server->now_usec = clock_monotonic_usec();
        *ret = TAKE_PTR(server);
        return 0;
}

HttpServer *http_server_free(HttpServer *server) {
        if (!server)
                return NULL;
        for (size_t i = 0; i < server->n_touched; i++)
                if (server->conns[i].state != CONN_FREE)
                        conn_close(server->conns + i);
        CHECK(server->n_out == 0);
        while (!list_empty(&server->spare)) {
                Exchange *exchange = LIST_ENTRY(list_first(&server->spare), Exchange, node);

                list_remove(&exchange->node);
                server->n_spare = SPARE_EXCHANGES;
                exchange_free(exchange);
        }
        for (size_t i = 0; i < server->n_listeners; i++)
                (void)fd_close(server->listeners[i].fd);
        (void)fd_close(server->epoll_fd);
        if (server->conns)
                (void)munmap(server->conns, server->conns_size);
        buffer_done(&server->out);
        free(server->input);
        free(server);
        return NULL;
}

static bool address_trusted(const HttpServer *server, Slice address) {
        for (size_t i = 0; i < server->options.n_trusted; i++)
                if (address_prefix_has(server->options.trusted + i, address))
                        return true;
        return false;
}

static void conn_set_trust(HttpConn *conn) {
        Slice remote = slice_make(conn->remote, conn->remote_len);

        conn->trusted = conn->local || address_trusted(conn->server, remote);
}

/* A proxy keeps its connections for hours: the new list is for them, too. */
void http_server_trust(HttpServer *server, const AddressPrefix *trusted, size_t n) {
        server->options.trusted = trusted;
        server->options.n_trusted = n;
        for (size_t i = 0; i < server->n_touched; i++)
                if (server->conns[i].fd >= 0)
                        conn_set_trust(server->conns + i);
}

/* ---- accepting ---- */

static int listener_arm(HttpServer *server, size_t i, bool on) {
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)i << 1 | LISTENER_TAG};

        if (epoll_ctl(server->epoll_fd, on ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->listeners[i].fd,
                      &event) < 0)
                return -errno;
        return 0;
}

int http_server_listen(HttpServer *server, int fd) {
        struct sockaddr_storage address = {0};
        socklen_t len = sizeof address;
        int r;

        if (server->n_listeners == LISTENERS_MAX)
                return -E2BIG;
        if (getsockname(fd, (struct sockaddr *)&address, &len) < 0 ||
            fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        server->listeners[server->n_listeners].fd = fd;
        server->listeners[server->n_listeners].local = address.ss_family == AF_UNIX;
        r = listener_arm(server, server->n_listeners, true);
        if (r < 0)
                return r;
        server->n_listeners++;
        return 0;
}

static void accepting_set(HttpServer *server, bool on) {
        if (server->accepting == on)
                return;
        server->accepting = on;
        for (size_t i = 0; i < server->n_listeners; i++)
                (void)listener_arm(server, i, on);
}

/* Out of descriptors or connections: the queue waits in the kernel, nobody spins. */
static void stop_accepting(HttpServer *server) {
        server->n_full++;
        accepting_set(server, false);
}

void server_conn_freed(HttpServer *server) {
        if (!server->draining)
                accepting_set(server, true);
}

static void accept_all(HttpServer *server, size_t listener) {
        bool local = server->listeners[listener].local;

        for (unsigned i = 0; i < ACCEPTS_MAX && server->accepting; i++) {
                int fd;

                if (list_empty(&server->lists[CONN_FREE]) &&
                    server->n_touched == server->options.max_connections) {
                        stop_accepting(server);
                        return;
                }
                fd = accept4(server->listeners[listener].fd, NULL, NULL,
                             SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd < 0) {
                        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
                            errno == ENOMEM)
                                stop_accepting(server);
                        return;
                }
                server->n_accepted++;
                conn_open(server, fd, local);
        }
}

/* false: it was reset before it was accepted. What it sent could be read all the same, but nobody
 * would know whose it is, and who has no address is taken for a program of this host. */
static bool take_remote(HttpConn *conn) {
        struct sockaddr_storage peer = {0};
        socklen_t len = sizeof peer;

        if (getpeername(conn->fd, (struct sockaddr *)&peer, &len) == 0)
                conn->remote_len = (uint8_t)socket_address_text(&peer, conn->remote);
        return conn->remote_len > 0;
}

/* Before it had a state: its place is free again. */
static void give_up(HttpConn *conn) {
        list_append(&conn->server->lists[CONN_FREE], &conn->node);
        conn_close(conn);
}

void conn_open(HttpServer *server, int fd, bool local) {
        ListNode *node = list_first(&server->lists[CONN_FREE]);
        struct epoll_event event = {.events = EPOLLIN};
        HttpConn *conn;

        if (node) {
                conn = LIST_ENTRY(node, HttpConn, node);
                list_remove(node);
        } else {
                conn = server->conns + server->n_touched++;
                server->counts[CONN_FREE]++;
        }
        *conn = (HttpConn){
                        .server = server,
                        .fd = fd,
                        .state = CONN_FREE,
                        .events = EPOLLIN,
                        .local = local,
        };
        http_head_init(&conn->head);
        if (!local && !take_remote(conn)) {
                give_up(conn);
                return;
        }
        conn_set_trust(conn);
        event.data.ptr = conn;
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
                give_up(conn);
        else
                conn_settle_state(conn);
}

/* ---- a turn ---- */

/* The visits of the turn could not be kept: whoever was told of one is told 503 instead. */
static void fail_visits(HttpServer *server) {
        http_server_fail_held(server);
        LIST_FOREACH(node, &server->batch) {
                HttpConn *conn = LIST_ENTRY(node, HttpConn, batch);

                if (conn->visit)
                        conn_fail_visit(conn, slice_make(server->out.data + conn->out_start,
                                                         conn->out_len));
        }
}

/* A connection that is held already waits for the later token. */
static void hold(HttpConn *conn, Slice answers, uint64_t token) {
        conn->partial = conn->held ? conn->partial : conn->pending.len > 0;
        conn->held = true;
        conn->token = token;
        list_move(&conn->server->held, &conn->hold);
        conn_queue(conn, answers);
}

/* Sends what the batch's connections are answered, or keeps it. */
static void send_batch(HttpServer *server) {
        uint64_t token = 0;
        HttpSettle settle = server->ops.settle(server->ops.userdata, &token);

        if (settle == HTTP_SETTLE_FAIL)
                fail_visits(server);
        while (!list_empty(&server->batch)) {
                HttpConn *conn = LIST_ENTRY(list_first(&server->batch), HttpConn, batch);
                Slice answers = slice_make(server->out.data + conn->out_start, conn->out_len);
                bool visit = conn->visit;

                list_remove(&conn->batch);
                conn->out_len = 0;
                conn->visit = false;
                if (settle == HTTP_SETTLE_HOLD && visit)
                        hold(conn, answers, token);
                else
                        conn_send(conn, answers.data, answers.len);
        }
        buffer_clear(&server->out);
        if (server->out.size > OUT_KEEP)
                buffer_done(&server->out);
}

void http_server_flush(HttpServer *server) {
        do {
                /* Connections that go on with kept input may add answers to this very flush. */
                while (!list_empty(&server->again) && server->out.len <= OUT_KEEP) {
                        ListNode *node = list_first(&server->again);

                        list_remove(node);
                        conn_go_on(LIST_ENTRY(node, HttpConn, again));
                }
                if (!list_empty(&server->batch))
                        send_batch(server);
        } while (!list_empty(&server->again));
}

static void refresh_now(HttpServer *server) {
        int64_t now;

        server->now_usec = clock_monotonic_usec();
        server->realtime_usec = clock_realtime_usec();
        now = (int64_t)(server->realtime_usec / USEC_PER_SEC);
        if (now != server->date_sec) {
                server->date_sec = now;
                memcpy(server->date, "Date: ", 6);
                clock_format_http(now, server->date + 6);
                server->date_len = 6 + CLOCK_HTTP_SIZE - 1;
                server->date[server->date_len++] = '\r';
                server->date[server->date_len++] = '\n';
        }
}

void http_server_turn(HttpServer *server) {
        struct epoll_event events[EVENTS_MAX];
        int n = EVENTS_MAX;

        for (unsigned round = 0; round < ROUNDS_MAX && n == EVENTS_MAX; round++) {
                n = epoll_wait(server->epoll_fd, events, EVENTS_MAX, 0);
                refresh_now(server);
                for (int i = 0; i < n; i++) {
                        if (events[i].data.u64 & LISTENER_TAG)
                                accept_all(server, events[i].data.u64 >> 1);
                        else if (((HttpConn *)events[i].data.ptr)->fd >= 0)
                                conn_event(events[i].data.ptr, events[i].events);
                }
                http_server_flush(server);
        }
}

void http_server_release(HttpServer *server, uint64_t token) {
        LIST_FOREACH_SAFE(node, &server->held) {
                HttpConn *conn = LIST_ENTRY(node, HttpConn, hold);

                if (conn->token > token)
                        break;
                list_remove(node);
                conn->held = false;
                conn_send_pending(conn);
        }
}

void http_server_fail_held(HttpServer *server) {
        LIST_FOREACH_SAFE(node, &server->held) {
                HttpConn *conn = LIST_ENTRY(node, HttpConn, hold);

                list_remove(node);
                conn->held = false;
                if (conn->partial) {
                        conn_close(conn); /* an answer is half sent: nothing can be put behind it */
                        continue;
                }
                conn_fail_visit(conn, buffer_slice(&conn->pending));
                buffer_clear(&conn->pending);
        }
}

/* ---- time ---- */

static uint64_t state_limit(const HttpServer *server, ConnState state) {
        switch (state) {
        case CONN_IDLE:
                return server->draining ? 0 : IDLE_USEC;
        case CONN_HEAD:
                return HEAD_USEC;
        case CONN_BODY:
                return BODY_USEC;
        case CONN_WRITE:
                return WRITE_USEC;
        case CONN_LINGER:
                return LINGER_USEC;
        case CONN_FREE:
        case CONN_WAIT:
        case CONN_STATES:
        default:
                return UINT64_MAX;
        }
}

/* Each span of time for itself: who was fast at first may not stand still for as long as that would
 * have been slow, with what he sent in a file that all bodies share. */
static bool body_too_slow(HttpConn *conn, uint64_t age, uint64_t now) {
        Exchange *exchange = conn->exchange;

        if (exchange->n_body - exchange->n_before < age / USEC_PER_SEC * BODY_RATE)
                return true;
        exchange->n_before = exchange->n_body;
        conn->since_usec = now;
        return false;
}

static bool conn_overdue(HttpConn *conn, uint64_t limit, uint64_t now) {
        uint64_t age = now - MIN(now, conn->since_usec);

        if (conn->held || age < limit)
                return false;
        return conn->state != CONN_BODY || body_too_slow(conn, age, now);
}

void http_server_tick(HttpServer *server, uint64_t now_usec) {
        refresh_now(server);
        for (size_t state = 0; state < CONN_STATES; state++) {
                uint64_t limit = state_limit(server, (ConnState)state);

                if (limit == UINT64_MAX ||
                    (state == CONN_IDLE && server->draining && now_usec < server->drain_usec))
                        continue;
                LIST_FOREACH_SAFE(node, &server->lists[state]) {
                        HttpConn *conn = LIST_ENTRY(node, HttpConn, node);

                        if (conn_overdue(conn, limit, now_usec))
                                conn_expire(conn);
                }
        }
        http_server_flush(server);
        if (!list_empty(&server->lists[CONN_FREE]) ||
            server->n_touched < server->options.max_connections)
                server_conn_freed(server);
}

void http_server_drain(HttpServer *server, uint64_t grace_usec) {
        accepting_set(server, false);
        server->draining = true;
        server->drain_usec = clock_monotonic_usec() + grace_usec;
}

bool http_server_idle(const HttpServer *server) {
        return server->n_out == 0 && server->counts[CONN_FREE] == server->n_touched;
}

void http_server_stats(const HttpServer *server, HttpServerStats *ret) {
        *ret = (HttpServerStats){
                        .n_idle = server->counts[CONN_IDLE],
                        .n_reading = server->counts[CONN_HEAD] + server->counts[CONN_BODY],
                        .n_waiting = server->counts[CONN_WAIT],
                        .n_writing = server->counts[CONN_WRITE],
                        .n_closing = server->counts[CONN_LINGER],
                        .n_accepted = server->n_accepted,
                        .n_full = server->n_full,
        };
}

int http_server_fd(const HttpServer *server) {
        return server->epoll_fd;
}

uint64_t http_server_realtime(const HttpServer *server) {
        return server->realtime_usec;
}

uint64_t http_server_now(const HttpServer *server) {
        return server->now_usec;
}

Slice http_server_date(const HttpServer *server) {
        return slice_make(server->date, server->date_len);
}
