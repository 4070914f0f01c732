/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of http/ share about a server and its connections. A connection's state is the
 * list that it is in; conn_settle_state() is the only place that changes it, and the only place
 * that decides which epoll events it wants.
 */

#include "basic/list.h"
#include "http/parser.h"
#include "http/server.h"

#define INPUT_SIZE       65536u /* the shared read buffer */
#define BODY_MEMORY_MAX  65536u /* bytes of a body kept in memory; beyond: a temporary file */
#define PIPELINE_MAX     64u    /* answers of one connection in one turn */
#define EVENTS_MAX       256
#define ROUNDS_MAX       4u /* epoll waits per turn */
#define LISTENERS_MAX    16u
#define SPARE_EXCHANGES  32u
#define LINGER_BYTES_MAX 65536u
/* Many clients read no answer before they have sent all, and call an early close an error. */
#define LINGER_BODY_MAX (32u * 1024 * 1024) /* bytes, behind a 413 */

#define HEAD_USEC   (10 * USEC_PER_SEC)
#define BODY_USEC   (10 * USEC_PER_SEC) /* in each such span BODY_RATE is wanted */
#define BODY_RATE   1024u               /* bytes a second */
#define IDLE_USEC   (75 * USEC_PER_SEC)
#define WRITE_USEC  (30 * USEC_PER_SEC)
#define LINGER_USEC (1 * USEC_PER_SEC)

typedef enum ConnState {
        CONN_FREE,   /* no descriptor */
        CONN_IDLE,   /* between requests */
        CONN_HEAD,   /* part of a head has come */
        CONN_BODY,   /* part of a body has come */
        CONN_WAIT,   /* an exchange is out */
        CONN_WRITE,  /* answers wait to be sent, or are held */
        CONN_LINGER, /* answered and half closed; what still comes is dropped */
        CONN_STATES,
} ConnState;

typedef struct Exchange {
        HttpExchange public;
        HttpConn *conn; /* NULL: abandoned, or the client has gone */
        HttpServer *server;
        ListNode node; /* in server->spare */
        HttpHead head;
        HttpPlan plan;
        HttpChunked chunked;
        Buffer body;        /* up to BODY_MEMORY_MAX */
        int spill_fd;       /* -1: none */
        char *mapped;       /* the spilled body, once whole */
        uint64_t n_body;    /* bytes received */
        uint64_t n_before;  /* of them, before the span that BODY_RATE is looked at for */
        uint64_t read_usec; /* CLOCK_MONOTONIC: the head was whole */
        bool whole;         /* the owner has it */
        bool out;           /* given to the owner, not yet done */
} Exchange;

struct HttpConn {
        ListNode node; /* in server->lists[state] */
        HttpServer *server;
        Exchange *exchange;
        uint64_t since_usec; /* entered the state, or last progress */
        uint64_t token;      /* of the hold */
        ListNode batch;      /* in server->batch */
        ListNode hold;       /* in server->held */
        ListNode again;      /* in server->again: has input to go on with */
        Buffer in;           /* bytes that are no whole request yet */
        Buffer pending;      /* answers that did not go out at once */
        size_t out_start;    /* this turn's answers: where in server->out */
        size_t out_len;
        size_t lingered; /* bytes dropped */
        int fd;
        uint32_t events; /* epoll interest as the kernel has it */
        uint8_t state;
        bool local : 1;   /* on a Unix socket */
        bool trusted : 1; /* its X-Forwarded-For counts */
        bool closing : 1; /* no more requests; close behind what is queued */
        bool visit : 1;   /* this turn's answers tell of visits */
        bool held : 1;    /* pending waits for http_server_release() */
        bool partial : 1; /* of what is held the first bytes were sent already */
        bool eof : 1;
        bool too_large : 1; /* what is dropped is the body that 413 refused */
        uint8_t remote_len;
        char remote[ADDRESS_TEXT_SIZE];
        HttpHead head; /* of the request being read */
};

struct HttpServer {
        HttpServerOps ops;
        HttpServerOptions options;
        int epoll_fd;
        struct {
                int fd;
                bool local; /* a Unix socket */
        } listeners[LISTENERS_MAX];
        size_t n_listeners;
        bool accepting;
        bool draining;
        uint64_t drain_usec;       /* idle connections end at this time */
        uint64_t now_usec;         /* CLOCK_MONOTONIC, of this turn */
        uint64_t realtime_usec;    /* CLOCK_REALTIME, of this turn */
        uint64_t id_key, id_count; /* request ids */
        uint64_t spilled;          /* bytes of spilled bodies */
        size_t n_spills;           /* files that they are in */
        uint64_t n_accepted;
        uint64_t n_full;
        uint64_t n_out; /* exchanges out */
        uint64_t counts[CONN_STATES];
        ListNode lists[CONN_STATES];
        ListNode batch; /* connections with answers of this turn */
        ListNode held;  /* in the order of their tokens */
        ListNode again;
        ListNode spare; /* exchanges for reuse */
        size_t n_spare;
        Buffer out;
        HttpConn *conns;
        size_t conns_size; /* bytes mapped */
        size_t n_touched;  /* connections ever used: those beyond are untouched memory */
        int64_t date_sec;
        char date[40]; /* "Date: ...\r\n" */
        size_t date_len;
        char *input; /* INPUT_SIZE */
};

/* server.c: a connection, and with it a descriptor, is free again: accepting may go on. */
void server_conn_freed(HttpServer *server);

/* conn.c */
void conn_open(HttpServer *server, int fd, bool local);
void conn_event(HttpConn *conn, uint32_t events);
void conn_go_on(HttpConn *conn);
void conn_queue(HttpConn *conn, Slice answers);
void conn_send(HttpConn *conn, const char *data, size_t len);
void conn_send_pending(HttpConn *conn);
void conn_settle_state(HttpConn *conn);
void conn_close(HttpConn *conn);
void conn_fail_visit(HttpConn *conn, Slice answers);
void conn_expire(HttpConn *conn);
char *conn_reserve(HttpConn *conn, size_t len);

/* refuse.c: answers that no handler made; of the exchange that the connection still has, they take
 * the request's id and method. text NULL: the status' generic one; the connection closes. */
void conn_refuse(HttpConn *conn, int status, const char *text);
void conn_refuse_as(HttpConn *conn, int status, const char *text, Slice request_id);
/* 503 to the first request of these answers, which are this turn's or held, and will not be sent.
 */
void conn_refuse_instead(HttpConn *conn, Slice answers);
Slice http_status_line(int status); /* "HTTP/1.1 200 OK\r\n" */

/* exchange.c */
Exchange *exchange_new(HttpConn *conn, const HttpHead *head, const char *base);
void exchange_free(Exchange *exchange);
/* 0, or the status to refuse with. */
int exchange_add_body(Exchange *exchange, Slice data);
int exchange_finish_body(Exchange *exchange);
void exchange_render(Exchange *exchange, HttpConn *conn);
