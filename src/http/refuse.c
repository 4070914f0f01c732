/* SPDX-License-Identifier: MIT */

/* Status lines, and errors that are answered without an exchange: the connection closes behind. */

#include <stdio.h>

#include "http/private.h"
#include "model/problem.h"

#define REFUSAL_MAX 1024u /* bytes of a refusal's head */

static const struct {
        int status;
        Slice line;
} lines[] = {
#define LINE(status, reason)                                                                \
 {                                                                                          \
  status, {                                                                                 \
   "HTTP/1.1 " #status " " reason "\r\n", sizeof("HTTP/1.1 " #status " " reason "\r\n") - 1 \
  }                                                                                         \
 }
                LINE(200, "OK"),
                LINE(201, "Created"),
                LINE(204, "No Content"),
                LINE(302, "Found"),
                LINE(304, "Not Modified"),
                LINE(400, "Bad Request"),
                LINE(401, "Unauthorized"),
                LINE(403, "Forbidden"),
                LINE(404, "Not Found"),
                LINE(405, "Method Not Allowed"),
                LINE(408, "Request Timeout"),
                LINE(409, "Conflict"),
                LINE(410, "Gone"),
                LINE(412, "Precondition Failed"),
                LINE(413, "Content Too Large"),
                LINE(414, "URI Too Long"),
                LINE(417, "Expectation Failed"),
                LINE(422, "Unprocessable Content"),
                LINE(429, "Too Many Requests"),
                LINE(431, "Request Header Fields Too Large"),
                LINE(500, "Internal Server Error"),
                LINE(501, "Not Implemented"),
                LINE(503, "Service Unavailable"),
                LINE(505, "HTTP Version Not Supported"),
#undef LINE
};

Slice http_status_line(int status) {
        for (size_t i = 0; i < ELEMENTSOF(lines); i++)
                if (lines[i].status == status)
                        return lines[i].line;
        return SLICE("HTTP/1.1 500 Internal Server Error\r\n");
}

void conn_refuse_as(HttpConn *conn, int status, const char *text, Slice request_id) {
        Slice line = http_status_line(status), date = http_server_date(conn->server), body;
        bool is_head = conn->exchange && conn->exchange->head.method == HTTP_HEAD;
        char json[256], *p;
        size_t room;
        int n;

        (void)snprintf(json, sizeof json, "{\"error\":\"%s\"}\n",
                       text ? text : problem_generic_text(status));
        body = slice_from_string(json);
        room = REFUSAL_MAX + body.len;

        conn->closing = true;
        conn->too_large = status == 413;
        p = conn_reserve(conn, room);
        if (!p)
                return;
        n = snprintf(p, room,
                     "%.*s%.*sContent-Length: %zu\r\nContent-Type: application/json\r\n"
                     "X-Request-Id: %.*s\r\nX-Content-Type-Options: nosniff\r\n"
                     "%sConnection: close\r\n\r\n%.*s",
                     SLICE_ARG(line), SLICE_ARG(date), body.len, SLICE_ARG(request_id),
                     status == 503 ? "Retry-After: 1\r\n" : "", is_head ? 0 : (int)body.len,
                     body.data);
        CHECK(n > 0 && (size_t)n < room);
        conn->out_len += (size_t)n;
        conn->server->out.len += (size_t)n;
}

void conn_refuse(HttpConn *conn, int status, const char *text) {
        char id[HTTP_REQUEST_ID_SIZE];
        HttpHead none = {0};

        if (conn->exchange) {
                conn_refuse_as(conn, status, text, conn->exchange->public.request.request_id);
                return;
        }
        conn_refuse_as(conn, status, text, http_conn_request_id(conn, &none, "", id));
}

/* The request id that the first of these answers has. */
static Slice answered_id(Slice answers) {
        static const Slice field = {"\r\nX-Request-Id: ", 16};
        ptrdiff_t at = slice_search(answers, field);
        Slice id = SLICE_NONE, rest;

        if (at >= 0)
                (void)slice_cut(slice_from(answers, (size_t)at + field.len), '\r', &id, &rest);
        return id;
}

void conn_refuse_instead(HttpConn *conn, Slice answers) {
        Slice id = answered_id(answers);
        char copy[HTTP_REQUEST_ID_MAX];

        conn->out_len = 0;
        if (id.len == 0 || id.len > sizeof copy) {
                conn_refuse(conn, 503, NULL);
                return;
        }
        memcpy(copy, id.data, id.len);
        conn_refuse_as(conn, 503, NULL, slice_make(copy, id.len));
}
