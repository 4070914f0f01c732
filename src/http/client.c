/* SPDX-License-Identifier: MIT */

/* What a handler may ask of a connection: who the client is, which id the request has, room for an
 * answer. Loop thread only. */

#include "http/private.h"

char *http_conn_write(HttpConn *conn, size_t len) {
        char *p = conn_reserve(conn, len);

        if (p) {
                conn->out_len += len;
                conn->server->out.len += len;
        }
        return p;
}

void http_conn_mark_visit(HttpConn *conn) {
        conn->visit = true;
}

bool http_conn_closing(const HttpConn *conn, const HttpHead *head) {
        return !head->keep_alive || conn->server->draining;
}

HttpServer *http_conn_server(const HttpConn *conn) {
        return conn->server;
}

static bool trusted(const HttpServer *server, Slice address) {
        for (size_t i = 0; i < server->options.n_trusted; i++)
                if (address_prefix_has(server->options.trusted + i, address))
                        return true;
        return false;
}

/* Some proxies write the port too: "192.0.2.1:80", "[2001:db8::1]:80". */
static Slice without_port(Slice s) {
        const char *colon = s.len > 0 ? memchr(s.data, ':', s.len) : NULL;
        const char *end = s.len > 0 ? memchr(s.data, ']', s.len) : NULL;

        if (s.len > 0 && s.data[0] == '[' && end)
                return slice_sub(s, 1, (size_t)(end - s.data));
        if (colon && !memchr(colon + 1, ':', s.len - (size_t)(colon - s.data) - 1))
                return slice_sub(s, 0, (size_t)(colon - s.data));
        return s;
}

/* From the right: the first address that is not one of our proxies; the left-most when all are,
 * and then false: go on with the list before. What is no address ends the walk, and leaves nothing
 * in *ret_address: the proxy that wrote it could not name whom it speaks for, and that is not the
 * proxy. */
static bool rightmost_untrusted(const HttpServer *server, Slice list, Slice *ret_address) {
        for (;;) {
                size_t at = list.len;
                unsigned char bytes[16];

                while (at > 0 && list.data[at - 1] != ',')
                        at--;
                *ret_address = without_port(slice_trim(slice_from(list, at)));
                if (address_parse(*ret_address, bytes) < 0) {
                        *ret_address = SLICE("");
                        return true;
                }
                if (!trusted(server, *ret_address))
                        return true;
                if (at == 0)
                        return false;
                list.len = at - 1;
        }
}

/* Who sends no such field speaks for itself: a health check of the proxy's own, or a program of
 * this host that comes without one. */
Slice http_conn_remote(const HttpConn *conn, const HttpHead *head, const char *base) {
        Slice forwarded = SLICE(""), rest = slice_make(base, head->head_len), list;

        if (!conn->trusted || head->seen[HTTP_FIELD_X_FORWARDED_FOR] == 0)
                return slice_make(conn->remote, conn->remote_len);
        /* Several fields are one list (RFC 9110, 5.3). */
        if (head->seen[HTTP_FIELD_X_FORWARDED_FOR] == 1)
                (void)rightmost_untrusted(conn->server,
                                          http_known(base, head, HTTP_FIELD_X_FORWARDED_FOR),
                                          &forwarded);
        else
                while (http_take_field(&rest, SLICE("x-forwarded-for:"), &list))
                        if (rightmost_untrusted(conn->server, list, &forwarded))
                                break;
        if (forwarded.len == 0)
                return SLICE("unknown"); /* neither the proxy nor this host */
        return slice_make(forwarded.data, MIN(forwarded.len, (size_t)ADDRESS_TEXT_SIZE));
}

static bool request_id_valid(Slice id) {
        if (id.len < 1 || id.len > HTTP_REQUEST_ID_MAX)
                return false;
        for (size_t i = 0; i < id.len; i++) {
                char c = id.data[i];

                if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-'))
                        return false;
        }
        return true;
}

/* splitmix64 over a counter from a random start (Steele, Lea, Flood 2014): unique in a process, and
 * no two processes begin alike. Not a secret. */
static uint64_t next_id(HttpServer *server) {
        uint64_t z = server->id_key + ++server->id_count * 0x9e3779b97f4a7c15ULL;

        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return z ^ (z >> 31);
}

Slice http_conn_request_id(HttpConn *conn, const HttpHead *head, const char *base,
                           char buffer[HTTP_REQUEST_ID_SIZE]) {
        static const char digits[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                        '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
        uint64_t id;

        if (head->seen[HTTP_FIELD_X_REQUEST_ID] == 1) {
                Slice sent = http_known(base, head, HTTP_FIELD_X_REQUEST_ID);

                if (request_id_valid(sent))
                        return sent;
        }
        id = next_id(conn->server);
        for (size_t i = 0; i < HTTP_REQUEST_ID_SIZE; i++)
                buffer[i] = digits[(id >> (60 - 4 * i)) & 15];
        return slice_make(buffer, HTTP_REQUEST_ID_SIZE);
}
