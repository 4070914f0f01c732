/* SPDX-License-Identifier: MIT */

/*
 * Heads: what is accepted and what is taken from it, every refusal with its status, and that cuts
 * between reads change nothing. Each case is parsed whole, byte by byte and at every cut in two.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "http/parser.h"

#define HOST "Host: a.example\r\n"

static HttpHead parsed; /* of the last good case */
static const char *parsed_text;

static void assert_same_head(const HttpHead *a, const HttpHead *b) {
        assert_memory_equal(a->known, b->known, sizeof a->known);
        assert_memory_equal(a->seen, b->seen, sizeof a->seen);
        assert_memory_equal(&a->target, &b->target, sizeof a->target);
        assert_memory_equal(&a->path, &b->path, sizeof a->path);
        assert_memory_equal(&a->query, &b->query, sizeof a->query);
        assert_int_equal(a->head_len, b->head_len);
        assert_int_equal(a->method, b->method);
        assert_int_equal(a->body, b->body);
        assert_int_equal(a->keep_alive, b->keep_alive);
}

/* Whole, by single bytes, in two pieces cut everywhere. The reads end in memory of their own, so
 * that the sanitizers see a step beyond. */
static int parse(const char *text, size_t len) {
        HttpHead head;
        int r, by_byte = HTTP_PARSE_MORE;

        http_head_init(&parsed);
        parsed_text = text;
        r = http_parse_head(&parsed, text, len);
        http_head_init(&head);
        for (size_t n = 0; n <= len && by_byte == HTTP_PARSE_MORE; n++)
                by_byte = http_parse_head(&head, text, n);
        assert_int_equal(by_byte, r);
        for (size_t n = 0; n < len; n++) {
                char *piece = malloc(n + 1);
                int in_two;

                assert_non_null(piece);
                memcpy(piece, text, n);
                http_head_init(&head);
                in_two = http_parse_head(&head, piece, n);
                free(piece);
                if (in_two == HTTP_PARSE_MORE)
                        in_two = http_parse_head(&head, text, len);
                assert_int_equal(in_two, r);
                if (r == HTTP_PARSE_DONE)
                        assert_same_head(&head, &parsed);
        }
        return r;
}

static int parse_text(const char *text) {
        return parse(text, strlen(text));
}

static void assert_accepted(const char *text) {
        int r = parse_text(text);

        if (r != HTTP_PARSE_DONE)
                fail_msg("%d for %s", r, text);
        assert_int_equal(parsed.head_len, strlen(text));
}

static void assert_refused(int status, const char *text) {
        int r = parse_text(text);

        if (r != status)
                fail_msg("%d instead of %d for %s", r, status, text);
}

static void assert_span(HttpSpan span, const char *expected) {
        assert_int_equal(span.len, strlen(expected));
        assert_memory_equal(parsed_text + span.offset, expected, span.len);
}

static void assert_known(HttpFieldName name, const char *expected) {
        assert_span(parsed.known[name], expected);
}

/* A request with one more field line. */
static const char *with_field(const char *field) {
        static char text[512];

        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n" HOST "%s\r\n\r\n", field);
        return text;
}

static const char *with_host(const char *host) {
        static char text[512];

        (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost:%s\r\n\r\n", host);
        return text;
}

static const char *with_line(const char *line) {
        static char text[512];

        (void)snprintf(text, sizeof text, "%s\r\n" HOST "\r\n", line);
        return text;
}

/* ---- what is taken ---- */

static void test_request_is_taken_apart(void **state) {
        (void)state;
        assert_accepted("GET /abc?x=1&y=?2 HTTP/1.1\r\nHost: a.example:8080\r\n"
                        "uSER-aGENT:\t curl/7 \t \r\nReferer:\r\nX-Other: ignored\r\n"
                        "X-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8\r\n\r\n");
        assert_int_equal(parsed.method, HTTP_GET);
        assert_int_equal(parsed.version, 11);
        assert_int_equal(parsed.body, HTTP_BODY_NONE);
        assert_true(parsed.keep_alive);
        assert_true(parsed.has_query);
        assert_int_equal(parsed.n_fields, 6);
        assert_span(parsed.method_text, "GET");
        assert_span(parsed.target, "/abc?x=1&y=?2");
        assert_span(parsed.path, "/abc");
        assert_span(parsed.query, "x=1&y=?2");
        assert_known(HTTP_FIELD_HOST, "a.example:8080");
        assert_known(HTTP_FIELD_USER_AGENT, "curl/7");
        assert_int_equal(parsed.seen[HTTP_FIELD_REFERER], 1);
        assert_known(HTTP_FIELD_REFERER, "");
        assert_int_equal(parsed.seen[HTTP_FIELD_X_FORWARDED_FOR], 2);
        assert_known(HTTP_FIELD_X_FORWARDED_FOR, "1.2.3.4");
        assert_int_equal(parsed.seen[HTTP_FIELD_ACCEPT], 0);
}

static void test_every_known_field_is_found(void **state) {
        static const char *const names[HTTP_FIELD_NAMES] = {
                        [HTTP_FIELD_HOST] = "hOST",
                        [HTTP_FIELD_CONTENT_LENGTH] = "CONTENT-LENGTH",
                        [HTTP_FIELD_TRANSFER_ENCODING] = "Transfer-encoding",
                        [HTTP_FIELD_CONNECTION] = "connection",
                        [HTTP_FIELD_EXPECT] = "expect",
                        [HTTP_FIELD_CONTENT_TYPE] = "Content-Type",
                        [HTTP_FIELD_ACCEPT] = "aCCEPT",
                        [HTTP_FIELD_USER_AGENT] = "User-Agent",
                        [HTTP_FIELD_REFERER] = "REFERER",
                        [HTTP_FIELD_X_REQUEST_ID] = "x-request-ID",
                        [HTTP_FIELD_X_FORWARDED_FOR] = "X-Forwarded-For",
                        [HTTP_FIELD_X_FORWARDED_PROTO] = "X-Forwarded-Proto",
                        [HTTP_FIELD_AUTHORIZATION] = "Authorization",
                        [HTTP_FIELD_IF_MATCH] = "If-Match",
                        [HTTP_FIELD_IF_NONE_MATCH] = "if-None-match",
                        [HTTP_FIELD_IDEMPOTENCY_KEY] = "Idempotency-Key",
        };

        (void)state;
        for (int i = 0; i < HTTP_FIELD_NAMES; i++) {
                char text[256];
                HttpHead head;

                /* Whatever becomes of the request, the field was seen before its end. */
                (void)snprintf(text, sizeof text, "GET / HTTP/1.1\r\n%s:value\r\n", names[i]);
                http_head_init(&head);
                assert_int_equal(http_parse_head(&head, text, strlen(text)), HTTP_PARSE_MORE);
                assert_int_equal(head.seen[i], 1);
                assert_int_equal(head.known[i].len, 5);
                assert_int_equal(head.known[i].offset, strlen(text) - 7);
                text[head.known[i].offset - 2] ^= 0x01; /* another last letter: another field */
                http_head_init(&head);
                assert_int_equal(http_parse_head(&head, text, strlen(text)), HTTP_PARSE_MORE);
                assert_int_equal(head.seen[i], 0);
        }
        /* A token byte that the comparison changes too. */
        assert_accepted(with_field("CONTENT\x5eTYPE: x"));
        assert_int_equal(parsed.seen[HTTP_FIELD_CONTENT_TYPE], 0);
}

static void test_methods(void **state) {
        static const struct {
                const char *line;
                HttpMethod method;
        } cases[] = {
                        {"GET / HTTP/1.1", HTTP_GET},
                        {"HEAD / HTTP/1.1", HTTP_HEAD},
                        {"POST / HTTP/1.1", HTTP_POST},
                        {"PUT / HTTP/1.1", HTTP_PUT},
                        {"DELETE / HTTP/1.1", HTTP_DELETE},
                        {"OPTIONS / HTTP/1.1", HTTP_OPTIONS},
                        {"PATCH / HTTP/1.1", HTTP_PATCH},
                        {"TRACE / HTTP/1.1", HTTP_TRACE},
                        {"CONNECT a.example:443 HTTP/1.1", HTTP_CONNECT},
                        {"get / HTTP/1.1", HTTP_OTHER},
                        {"G / HTTP/1.1", HTTP_OTHER},
                        {"PROPFIND / HTTP/1.1", HTTP_OTHER},
                        {"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1", HTTP_OTHER},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_accepted(with_line(cases[i].line));
                assert_int_equal(parsed.method, cases[i].method);
        }
}

static void test_targets(void **state) {
        static const struct {
                const char *line, *path, *query;
        } cases[] = {
                        {"GET /a HTTP/1.1", "/a", NULL},
                        {"GET /a? HTTP/1.1", "/a", ""},
                        {"GET /?/?a HTTP/1.1", "/", "/?a"},
                        {"GET //a.example/x HTTP/1.1", "//a.example/x", NULL},
                        {"GET /%00%2f/..;\\\"<>{}| HTTP/1.1", "/%00%2f/..;\\\"<>{}|", NULL},
                        {"GET http://a.example/x?y HTTP/1.1", "/x", "y"},
                        {"GET HTTPS://A.EXAMPLE/x HTTP/1.1", "/x", NULL},
                        {"GET http://a.example HTTP/1.1", "", NULL},
                        {"GET http://a.example?q=/ HTTP/1.1", "", "q=/"},
                        {"OPTIONS * HTTP/1.1", "*", NULL},
                        {"CONNECT a.example:80 HTTP/1.1", "a.example:80", NULL},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_accepted(with_line(cases[i].line));
                assert_span(parsed.path, cases[i].path);
                assert_int_equal(parsed.has_query, cases[i].query != NULL);
                assert_span(parsed.query, cases[i].query ? cases[i].query : "");
        }
}

static void test_connection(void **state) {
        static const struct {
                const char *head;
                bool keep_alive;
        } cases[] = {
                        {"GET / HTTP/1.1\r\n" HOST "\r\n", true},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: Close , te\r\n\r\n", false},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: keep-alive\r\n\r\n", true},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: ,,\r\n\r\n", true},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", true},
                        {"GET / HTTP/1.1\r\n" HOST "Connection: te\r\nConnection: a,close\r\n\r\n",
                         false},
                        {"GET / HTTP/1.0\r\n\r\n", false},
                        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
                        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                assert_accepted(cases[i].head);
                assert_int_equal(parsed.keep_alive, cases[i].keep_alive);
        }
}

static void test_bodies(void **state) {
        (void)state;
        assert_accepted(with_field("Content-Length: 0"));
        assert_int_equal(parsed.body, HTTP_BODY_LENGTH);
        assert_int_equal(parsed.content_length, 0);
        assert_accepted(with_field("Content-Length:\t9999999999999999999 "));
        assert_true(parsed.content_length == 9999999999999999999u);
        assert_accepted(with_field("Transfer-Encoding: Chunked"));
        assert_int_equal(parsed.body, HTTP_BODY_CHUNKED);
}

static void test_expect(void **state) {
        (void)state;
        assert_accepted(with_field("Expect: 100-Continue\r\nContent-Length: 1"));
        assert_true(parsed.expect_continue);
        assert_accepted(with_field("Expect: 100-continue"));
        assert_false(parsed.expect_continue);
        assert_accepted("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n");
        assert_false(parsed.expect_continue);
        assert_refused(417, with_field("Expect: 200-ok"));
        assert_refused(417, with_field("Expect:"));
        assert_refused(417, with_field("Expect: 100-continue\r\nExpect: 100-continue"));
}

static void test_next_message_is_left_alone(void **state) {
        static const char first[] = "GET /1 HTTP/1.1\r\n" HOST "\r\n",
                          both[] = "GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/9.9\r\n\n\n";

        (void)state;
        assert_int_equal(parse(both, sizeof both - 1), HTTP_PARSE_DONE);
        assert_int_equal(parsed.head_len, sizeof first - 1);
        assert_refused(505, both + parsed.head_len);
}

/* ---- refusals ---- */

static void test_request_lines_refused(void **state) {
        static const struct {
                int status;
                const char *line;
        } cases[] = {
                        {400, ""},
                        {400, " GET / HTTP/1.1"},
                        {400, "GET  / HTTP/1.1"},
                        {400, "GET / HTTP/1.1 "},
                        {400, "GET /  HTTP/1.1"},
                        {400, "GET /a b HTTP/1.1"},
                        {400, "GET\t/ HTTP/1.1"},
                        {400, "GET"},
                        {400, "GET /"},
                        {400, "GET / "},
                        {400, "G@T / HTTP/1.1"},
                        {400, "GET: / HTTP/1.1"},
                        {400, "GET a HTTP/1.1"},
                        {400, "GET * HTTP/1.1"},
                        {400, "OPTIONS ** HTTP/1.1"},
                        {400, "GET a.example:80 HTTP/1.1"},
                        {400, "GET ftp://a.example/ HTTP/1.1"},
                        {400, "GET http:/a.example/ HTTP/1.1"},
                        {400, "GET http:///x HTTP/1.1"},
                        {400, "GET http://b.example/x HTTP/1.1"},
                        {400, "GET http://a.example:80/x HTTP/1.1"},
                        {400, "GET http://u@a.example/x HTTP/1.1"},
                        {400, "GET /a#b HTTP/1.1"},
                        {400, "GET /a\x80 HTTP/1.1"},
                        {400, "GET /a\x7f HTTP/1.1"},
                        {400, "GET /a\x01 HTTP/1.1"},
                        {400, "GET / http/1.1"},
                        {400, "GET / HTTP/1"},
                        {400, "GET / HTTP/1.10"},
                        {400, "GET / HTTP/11.1"},
                        {400, "GET / HTTP/1,1"},
                        {400, "GET / HTTP/x.1"},
                        {400, "GET / HTTP/1.x"},
                        {400, "GET / HTTQ/1.1"},
                        {505, "GET / HTTP/1.2"},
                        {505, "GET / HTTP/0.9"},
                        {505, "GET / HTTP/2.0"},
                        {505, "PRI * HTTP/2.0"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].status, with_line(cases[i].line));
}

static void test_fields_refused(void **state) {
        static const struct {
                int status;
                const char *field;
        } cases[] = {
                        {400, "X"},
                        {400, ": x"},
                        {400, "X : x"},
                        {400, "X\t: x"},
                        {400, " X: x"},
                        {400, "\tfolded"},
                        {400, "X: a\r\n folded"},
                        {400, "X(: x"},
                        {400, "X\x80: x"},
                        {400, "X: a\x01"},
                        {400, "X: a\x1f b c d e f g"},
                        {400, "X: a\x7f b c d e f g"},
                        {400, "X: \x0b"},
                        {400, "X: a\rb"},
                        {400, "X: a\r\rb"},
                        {400, "Host: a.example"},
                        {400, "Content-Length:"},
                        {400, "Content-Length: +1"},
                        {400, "Content-Length: -1"},
                        {400, "Content-Length: 1 1"},
                        {400, "Content-Length: 0x1"},
                        {400, "Content-Length: 1,1"},
                        {400, "Content-Length: 1.0"},
                        {400, "Content-Length: 00000000000000000001"},
                        {400, "Content-Length: 18446744073709551616"},
                        {400, "Content-Length: 1\r\nContent-Length: 1"},
                        {400, "Content-Length: 1\r\nTransfer-Encoding: chunked"},
                        {400, "Transfer-Encoding: chunked\r\nContent-Length: 1"},
                        {400, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"},
                        {400, "Transfer-Encoding:"},
                        {501, "Transfer-Encoding: gzip"},
                        {501, "Transfer-Encoding: identity"},
                        {501, "Transfer-Encoding: gzip, chunked"},
                        {501, "Transfer-Encoding: chunked, chunked"},
                        {501, "Transfer-Encoding: chunked;a=b"},
                        {501, "Transfer-Encoding: \"chunked\""},
                        {501, "Transfer-Encoding: chunked\x80"},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++)
                assert_refused(cases[i].status, with_field(cases[i].field));
        assert_refused(400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert_accepted(with_field("X: tab\t blank, obs-text \x80\xff!~ end"));
}

static void test_hosts(void **state) {
        static const char *const good[] = {
                        " a",           " a.example:", " A.EXAMPLE:65535", " 127.0.0.1:8080",
                        " [::1]",       " [::1]:80",   "\ta_b.example\t",  " xn--bcher-kva.example",
                        " [::1.2.3.4]",
        };
        static const char *const bad[] = {
                        "",         " ",         " a@b",  " a/b",   " a#b",      " a?b",  " a b",
                        " a,b",     " a%00",     " a\\b", " a\x80", " :80",      " a:b",  " a:1:2",
                        " a:65536", " a:123456", " ::1",  " [",     " []",       " [::1", " [::1]x",
                        " [g]",     " a[::1]",   " a\"b", " <a>",   " http://a",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_accepted(with_host(good[i]));
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_refused(400, with_host(bad[i]));
        assert_refused(400, "GET / HTTP/1.1\r\n\r\n");
        assert_refused(400, "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n");
        assert_accepted("GET http://a.example/ HTTP/1.0\r\n\r\n");
        assert_refused(400, "GET http://a@b/ HTTP/1.0\r\n\r\n");
}

/* The first byte that earns it brings the refusal, not the end of the line or of the head. */
static void test_refusals_come_at_once(void **state) {
        static const struct {
                int status;
                const char *start;
        } cases[] = {
                        {400, "\n"},
                        {400, "\r"},
                        {400, " "},
                        {400, "GET\n"},
                        {400, "GET /\n"},
                        {400, "GET /\r"},
                        {400, "GET / HTTP/1.1\n"},
                        {400, "GET / HTTP/1.1\r\r"},
                        {400, "GET / HTTP/1.1\r\n\n"},
                        {400, "GET / HTTP/1.1\r\n" HOST "\r\r"},
                        {400, "GET / HTTP/1.1\r\nX: y\n"},
                        {400, "GET / HTTP/1.1\r\n "},
                        {400, "GET / HTTP/1.1\r\nX "},
                        {505, "GET / HTTP/3.0\r"},
                        {400, "\x16"}, /* TLS */
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                HttpHead head;

                assert_refused(cases[i].status, cases[i].start);
                http_head_init(&head);
                assert_int_equal(http_parse_head(&head, cases[i].start, strlen(cases[i].start) - 1),
                                 HTTP_PARSE_MORE);
        }
        assert_int_equal(parse("GET / HTTP/1.1\r\nX: a\0", 22), 400);
        assert_int_equal(parse("GET /\0", 6), 400);
        assert_int_equal(parse("", 0), HTTP_PARSE_MORE);
}

/* ---- limits ---- */

static char big[4 * HTTP_HEAD_MAX];

/* Whole and byte by byte: cutting everywhere is quadratic. */
static int parse_big(size_t len) {
        HttpHead head;
        int by_byte = HTTP_PARSE_MORE;
        int r;

        http_head_init(&head);
        for (size_t n = 0; n <= len && by_byte == HTTP_PARSE_MORE; n++)
                by_byte = http_parse_head(&head, big, n);
        http_head_init(&head);
        r = http_parse_head(&head, big, len);
        assert_int_equal(r, by_byte);
        return r;
}

/* before, n times 'a', behind. */
static size_t make_big(const char *before, size_t n, const char *behind) {
        memcpy(big, before, strlen(before));
        memset(big + strlen(before), 'a', n);
        memcpy(big + strlen(before) + n, behind, strlen(behind));
        return strlen(before) + n + strlen(behind);
}

static void test_long_request_line(void **state) {
        static const char end[] = " HTTP/1.1\r\n" HOST "\r\n";
        size_t most = HTTP_LINE_MAX - strlen("GET / HTTP/1.1");

        (void)state;
        assert_int_equal(parse_big(make_big("GET /", most, end)), HTTP_PARSE_DONE);
        assert_int_equal(parse_big(make_big("GET /", most + 1, end)), 414);
        assert_int_equal(parse_big(make_big("GET /", HTTP_LINE_MAX - 5, "")), HTTP_PARSE_MORE);
        assert_int_equal(parse_big(make_big("GET /", HTTP_LINE_MAX - 4, "")), 414);
        assert_int_equal(parse_big(make_big("", HTTP_LINE_MAX + 1, "")), 414);
        assert_int_equal(parse_big(make_big("GET / ", HTTP_LINE_MAX, "")), 414);
        assert_int_equal(parse_big(make_big("GET /", 40000, end)), 414);
        /* A byte within the limit that may not be there comes first. */
        assert_int_equal(parse_big(make_big("GET /\x80", 40000, end)), 400);
        assert_int_equal(parse_big(make_big("GET /", HTTP_LINE_MAX, "\n")), 414);
}

static void test_long_field(void **state) {
        static const char start[] = "GET / HTTP/1.1\r\n" HOST,
                          with_x[] = "GET / HTTP/1.1\r\n" HOST "X:";

        (void)state;
        assert_int_equal(parse_big(make_big(with_x, HTTP_FIELD_MAX - 2, "\r\n\r\n")),
                         HTTP_PARSE_DONE);
        assert_int_equal(parse_big(make_big(with_x, HTTP_FIELD_MAX - 1, "\r\n\r\n")), 431);
        assert_int_equal(parse_big(make_big(with_x, HTTP_FIELD_MAX - 2, "\n")), 431);
        assert_int_equal(parse_big(make_big(with_x, 30000, "")), 431);
        assert_int_equal(parse_big(make_big(start, HTTP_FIELD_MAX, ":")), 431);
        assert_int_equal(parse_big(make_big(start, HTTP_FIELD_MAX - 1, ":\r\n\r\n")),
                         HTTP_PARSE_DONE);
}

static void test_long_head(void **state) {
        size_t len;

        (void)state;
        for (size_t extra = 0; extra < 5; extra++) {
                len = make_big("GET / HTTP/1.1\r\n" HOST "X: ", 8180, "\r\nY: ");
                memset(big + len, 'b', HTTP_HEAD_MAX);
                memcpy(big + HTTP_HEAD_MAX - 4 + extra, "\r\n\r\n", 4);
                assert_in_range(HTTP_HEAD_MAX - len, 8000, HTTP_FIELD_MAX - 16);
                assert_int_equal(parse_big(HTTP_HEAD_MAX + extra),
                                 extra == 0 ? HTTP_PARSE_DONE : 431);
        }
        assert_int_equal(parse_big(HTTP_HEAD_MAX), HTTP_PARSE_MORE);
}

static void test_many_fields(void **state) {
        (void)state;
        for (size_t n = HTTP_FIELDS_MAX; n <= HTTP_FIELDS_MAX + 1; n++) {
                size_t len = make_big("GET / HTTP/1.1\r\n" HOST, 0, "");

                for (size_t i = 1; i < n; i++, len += 7)
                        memcpy(big + len, "Abcd:\r\n", 7);
                memcpy(big + len, "\r\n", 2);
                assert_int_equal(parse_big(len + 2), n == HTTP_FIELDS_MAX ? HTTP_PARSE_DONE : 431);
        }
}

/* A token in a field's value: whatever its characters are, the parser comes to the same, by reads
 * of any size. It asks of each byte whether it may stand there, which is true of all 62, and
 * nothing else: what they are is left to token/. */
static void test_a_secret_changes_nothing(void **state) {
        static const char digits[] =
                        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        static const char before[] = "GET /urls HTTP/1.1\r\n" HOST "Authorization: Bearer sht_";
        char text[sizeof before + 49 + 4];
        HttpHead first[sizeof text], head;
        size_t len = sizeof before - 1 + 49 + 4;

        (void)state;
        memcpy(text, before, sizeof before - 1);
        memcpy(text + len - 4, "\r\n\r\n", 4);
        for (size_t i = 0; i < 62; i++) {
                for (size_t at = 0; at < 49; at++)
                        text[sizeof before - 1 + at] = digits[(i + at * (i % 7)) % 62];
                http_head_init(&head);
                for (size_t n = 1; n <= len; n++) {
                        assert_int_equal(http_parse_head(&head, text, n),
                                         n < len ? HTTP_PARSE_MORE : HTTP_PARSE_DONE);
                        if (i == 0)
                                first[n] = head;
                        assert_same_head(&head, first + n);
                        assert_int_equal(head.state, first[n].state);
                        assert_int_equal(head.scanned, first[n].scanned);
                }
                assert_int_equal(head.known[HTTP_FIELD_AUTHORIZATION].len, 7 + 4 + 49);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_request_is_taken_apart),
                        cmocka_unit_test(test_every_known_field_is_found),
                        cmocka_unit_test(test_methods),
                        cmocka_unit_test(test_targets),
                        cmocka_unit_test(test_connection),
                        cmocka_unit_test(test_bodies),
                        cmocka_unit_test(test_expect),
                        cmocka_unit_test(test_next_message_is_left_alone),
                        cmocka_unit_test(test_request_lines_refused),
                        cmocka_unit_test(test_fields_refused),
                        cmocka_unit_test(test_hosts),
                        cmocka_unit_test(test_refusals_come_at_once),
                        cmocka_unit_test(test_long_request_line),
                        cmocka_unit_test(test_long_field),
                        cmocka_unit_test(test_long_head),
                        cmocka_unit_test(test_many_fields),
                        cmocka_unit_test(test_a_secret_changes_nothing),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
