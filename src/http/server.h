/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Client connections: accepting, reading, framing, answering, timeouts, draining. One HttpServer
 * belongs to the loop thread; all its connections sit in one inner epoll, whose descriptor is one
 * source of the outer loop (measured: sd-event asks epoll again after each source, which at 256
 * busy connections costs 40 us a request; one drained inner epoll costs 5).
 *
 * A turn (http_server_turn()) handles what is readable, collects all answers of the turn in one
 * buffer, lets the owner write its log of visits (ops->settle), then sends them: log before reply.
 */

#include "http/message.h"
#include "http/types.h"
#include "sys/listen.h"

typedef struct HttpServer HttpServer;
typedef struct HttpConn HttpConn;

typedef enum HttpQuick {
        HTTP_QUICK_NO,       /* not a case for the quick path */
        HTTP_QUICK_ANSWERED, /* http_conn_write() has the whole answer */
} HttpQuick;

typedef enum HttpSettle {
        HTTP_SETTLE_SEND, /* send what was collected */
        HTTP_SETTLE_HOLD, /* keep those of visits until http_server_release() (Sync=always) */
        HTTP_SETTLE_FAIL, /* visits could not be kept: their connections, and those whose answers
                           * are held, get 503 and close */
} HttpSettle;

/* How a request's body is to be treated; see HttpServerOps.head. */
typedef struct HttpPlan {
        uint64_t body_max;     /* bytes; more is 413 */
        const char *too_large; /* text of that 413; NULL: the generic one */
} HttpPlan;

typedef struct HttpServerOps {
        void *userdata;
        /* A GET or HEAD without body whose head is whole: the chance to answer without an exchange.
         * head's spans are relative to base; nothing of it may be kept. */
        HttpQuick (*quick)(void *userdata, HttpConn *conn, const HttpHead *head, const char *base);
        /* The head of any other request is whole: how large may the body be? */
        void (*head)(void *userdata, HttpExchange *exchange, HttpPlan *ret);
        /* The request is whole. The owner answers now or later by http_exchange_done(). */
        void (*request)(void *userdata, HttpExchange *exchange);
        /* An exchange was answered; status and duration for metrics and log. */
        void (*answered)(void *userdata, const HttpExchange *exchange, int status, uint64_t usec);
        /* A request was refused before it became an exchange's. */
        void (*refused)(void *userdata, int status);
        /* Before answers are sent; *ret_token of HTTP_SETTLE_HOLD must not go down from call to
         * call. */
        HttpSettle (*settle)(void *userdata, uint64_t *ret_token);
} HttpServerOps;

typedef struct HttpServerOptions {
        size_t max_connections;
        const AddressPrefix *trusted; /* peers whose X-Forwarded-For counts (Unix sockets always) */
        size_t n_trusted;
        uint64_t spill_max; /* bytes of bodies in temporary files together; 0: 256 MiB */
        size_t spill_files; /* and how many of these files; 0: any number */
} HttpServerOptions;

typedef struct HttpServerStats {
        uint64_t n_idle, n_reading, n_waiting, n_writing, n_closing;
        uint64_t n_accepted;
        uint64_t n_full; /* how often no connection, or no descriptor, was left for the next one */
} HttpServerStats;

/* options->trusted must outlive the server or be replaced by http_server_trust(). */
int http_server_new(const HttpServerOptions *options, const HttpServerOps *ops,
                    HttpServer **ret) _must_check_;
/* Closes all connections; exchanges that are out must have come back. Listeners are closed, not
 * shut down. */
HttpServer *http_server_free(HttpServer *server);
DEFINE_CLEANUP(HttpServer, http_server_free)

void http_server_trust(HttpServer *server, const AddressPrefix *trusted, size_t n);

/* Takes a listening socket and makes it non-blocking. */
int http_server_listen(HttpServer *server, int fd) _must_check_;
/* The inner epoll: readable when a turn has something to do. */
int http_server_fd(const HttpServer *server);
/* Handles what is there; max_rounds waits of up to 256 events, without blocking. */
void http_server_turn(HttpServer *server);
/* Settles and sends what was collected outside a turn (answers from workers). */
void http_server_flush(HttpServer *server);
/* Sends what HTTP_SETTLE_HOLD kept under a token of at most this. http_server_flush() must follow:
 * connections may have more input. */
void http_server_release(HttpServer *server, uint64_t token);
/* What is held can no longer be promised: 503 instead. http_server_flush() must follow. */
void http_server_fail_held(HttpServer *server);
/* Time limits; about once a second. now: CLOCK_MONOTONIC usec. */
void http_server_tick(HttpServer *server, uint64_t now_usec);
/* Stops accepting; answers close their connections; idle ones end after grace_usec (by tick or
 * turn). */
void http_server_drain(HttpServer *server, uint64_t grace_usec);
/* Nothing is left: no connection, no exchange out. */
bool http_server_idle(const HttpServer *server);
void http_server_stats(const HttpServer *server, HttpServerStats *ret);
/* CLOCK_MONOTONIC usec, read once per wait of the turn. */
uint64_t http_server_now(const HttpServer *server);
/* CLOCK_REALTIME usec of the same moment. */
uint64_t http_server_realtime(const HttpServer *server);

/* ---- for ops->quick ---- */

/* Room for len bytes of answer; NULL: no memory (the connection is closed by the server). */
char *http_conn_write(HttpConn *conn, size_t len);
/* The answer is a visit's: if settle fails, the connection gets a 503. */
void http_conn_mark_visit(HttpConn *conn);
/* The answer must say "Connection: close" (drain, or the client asked). */
bool http_conn_closing(const HttpConn *conn, const HttpHead *head);
/* The client's address (design http.md), "" when unknown. Points into the connection or the head.
 */
Slice http_conn_remote(const HttpConn *conn, const HttpHead *head, const char *base);
/* The client's valid X-Request-Id, or one made now in buffer. */
#define HTTP_REQUEST_ID_SIZE 16
#define HTTP_REQUEST_ID_MAX  64u /* bytes of one that is received */
Slice http_conn_request_id(HttpConn *conn, const HttpHead *head, const char *base,
                           char buffer[HTTP_REQUEST_ID_SIZE]);
/* "Date: ...\r\n" of this second. */
Slice http_server_date(const HttpServer *server);
HttpServer *http_conn_server(const HttpConn *conn);

/* ---- for exchanges ---- */

/* The response is filled: queues it and takes the exchange back (the connection may be gone: it is
 * then freed). Loop thread. Outside a turn http_server_flush() must follow. */
void http_exchange_done(HttpExchange *exchange);
/* A deadline passed while another thread still has the exchange, but not its response, which is
 * filled: queues it now. The exchange stays out and must still come back by http_exchange_done(),
 * which then only frees it. */
void http_exchange_answer(HttpExchange *exchange);
/* Likewise, while a worker may be filling the response: a 503 without touching it, and the
 * connection ends. */
void http_exchange_abandon(HttpExchange *exchange);
/* false: the client is known to have gone, or has had its answer: nobody waits for the answer. */
bool http_exchange_connected(const HttpExchange *exchange);
/* Marks the answer as that of a visit, see http_conn_mark_visit(). */
void http_exchange_mark_visit(HttpExchange *exchange);
