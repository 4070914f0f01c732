/* SPDX-License-Identifier: MIT */

/*
 * The head of a request, line by line. Each line is looked at once, when its line end is there;
 * until then only the bytes that are new are scanned for the end and for what may not be in a line.
 * Pure: no memory, no I/O.
 */

#include "http/parser.h"

#include "http/chars.h"

typedef enum HeadState {
        HEAD_REQUEST_LINE,
        HEAD_FIELDS,
} HeadState;

typedef struct Known {
        HttpFieldName name;
        Slice text;
} Known;

static const Known known_fields[] = {
                {HTTP_FIELD_HOST, SLICE("host")},
                {HTTP_FIELD_CONTENT_LENGTH, SLICE("content-length")},
                {HTTP_FIELD_TRANSFER_ENCODING, SLICE("transfer-encoding")},
                {HTTP_FIELD_CONNECTION, SLICE("connection")},
                {HTTP_FIELD_EXPECT, SLICE("expect")},
                {HTTP_FIELD_CONTENT_TYPE, SLICE("content-type")},
                {HTTP_FIELD_ACCEPT, SLICE("accept")},
                {HTTP_FIELD_USER_AGENT, SLICE("user-agent")},
                {HTTP_FIELD_REFERER, SLICE("referer")},
                {HTTP_FIELD_X_REQUEST_ID, SLICE("x-request-id")},
                {HTTP_FIELD_X_FORWARDED_FOR, SLICE("x-forwarded-for")},
                {HTTP_FIELD_X_FORWARDED_PROTO, SLICE("x-forwarded-proto")},
                {HTTP_FIELD_AUTHORIZATION, SLICE("authorization")},
                {HTTP_FIELD_IF_MATCH, SLICE("if-match")},
                {HTTP_FIELD_IDEMPOTENCY_KEY, SLICE("idempotency-key")},
};

static const struct {
        Slice text;
        HttpMethod method;
} methods[] = {
                {SLICE("GET"), HTTP_GET},         {SLICE("HEAD"), HTTP_HEAD},
                {SLICE("POST"), HTTP_POST},       {SLICE("PUT"), HTTP_PUT},
                {SLICE("DELETE"), HTTP_DELETE},   {SLICE("OPTIONS"), HTTP_OPTIONS},
                {SLICE("PATCH"), HTTP_PATCH},     {SLICE("TRACE"), HTTP_TRACE},
                {SLICE("CONNECT"), HTTP_CONNECT},
};

void http_head_init(HttpHead *head) {
        *head = (HttpHead){.state = HEAD_REQUEST_LINE};
}

static HttpSpan span_of(const char *data, Slice s) {
        return (HttpSpan){(uint16_t)(s.data - data), (uint16_t)s.len};
}

/* ---- request line ---- */

static HttpMethod method_of(Slice text) {
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (slice_equal(text, methods[i].text))
                        return methods[i].method;
        return HTTP_OTHER;
}

/* Exactly "HTTP/1.0" or "HTTP/1.1"; another version of the same shape is 505. */
static int parse_version(HttpHead *head, Slice text) {
        if (text.len != 8 || !slice_starts_with(text, SLICE("HTTP/")) ||
            !http_is_digit(text.data[5]) || text.data[6] != '.' || !http_is_digit(text.data[7]))
                return 400;
        if (text.data[5] != '1' || text.data[7] > '1')
                return 505;
        head->version = text.data[7] == '1' ? 11 : 10;
        return 0;
}

static int split_target(HttpHead *head, const char *data, Slice target) {
        Slice path, query;

        head->has_query = slice_cut(target, '?', &path, &query);
        head->path = span_of(data, path);
        head->query = head->has_query ? span_of(data, query) : (HttpSpan){0, 0};
        return 0;
}

/* http://authority/path: the authority must be what Host says, see check_host(). */
static int split_absolute(HttpHead *head, const char *data, Slice target) {
        size_t skip = slice_starts_with_nocase(target, SLICE("http://"))    ? 7
                      : slice_starts_with_nocase(target, SLICE("https://")) ? 8
                                                                            : 0;
        Slice rest = slice_from(target, skip);
        size_t len = 0;

        if (skip == 0)
                return 400;
        while (len < rest.len && rest.data[len] != '/' && rest.data[len] != '?')
                len++;
        if (len == 0 || len == rest.len || rest.data[len] != '/')
                return 400;
        return split_target(head, data, slice_from(rest, len));
}

static int parse_target(HttpHead *head, const char *data, Slice target) {
        for (size_t i = 0; i < target.len; i++)
                if (!http_is_target(target.data[i]))
                        return 400;
        head->target = span_of(data, target);
        if (target.len > 0 && target.data[0] == '/')
                return split_target(head, data, target);
        if (slice_equal(target, SLICE("*")) && head->method == HTTP_OPTIONS)
                return split_target(head, data, target);
        if (head->method == HTTP_CONNECT && target.len > 0)
                return split_target(head, data, target);
        return split_absolute(head, data, target);
}

static int parse_request_line(HttpHead *head, const char *data, Slice line) {
        Slice method, target, version, rest;
        int r;

        if (!slice_cut(line, ' ', &method, &rest) || !slice_cut(rest, ' ', &target, &version))
                return 400;
        if (method.len == 0 || target.len == 0)
                return 400;
        for (size_t i = 0; i < method.len; i++)
                if (!http_is_token(method.data[i]))
                        return 400;
        r = parse_version(head, version);
        if (r != 0)
                return r;
        head->method = (uint8_t)method_of(method);
        head->method_text = span_of(data, method);
        return parse_target(head, data, target);
}

/* ---- fields ---- */

static HttpFieldName field_name(Slice name) {
        for (size_t i = 0; i < ELEMENTSOF(known_fields); i++)
                if (known_fields[i].text.len == name.len &&
                    slice_equal_nocase(known_fields[i].text, name))
                        return known_fields[i].name;
        return HTTP_FIELD_UNKNOWN;
}

/* "close" or "keep-alive" among the elements of a Connection field. */
static void note_connection(HttpHead *head, Slice list) {
        Slice element;

        while (list.len > 0) {
                (void)slice_cut(list, ',', &element, &list);
                element = slice_trim(element);
                if (slice_equal_nocase(element, SLICE("close")))
                        head->connection |= HTTP_CONNECTION_CLOSE;
                else if (slice_equal_nocase(element, SLICE("keep-alive")))
                        head->connection |= HTTP_CONNECTION_KEEP_ALIVE;
        }
}

static Slice trim_blanks(Slice s) {
        while (s.len > 0 && (s.data[0] == ' ' || s.data[0] == '\t'))
                s = slice_from(s, 1);
        while (s.len > 0 && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
                s.len--;
        return s;
}

static int parse_field(HttpHead *head, const char *data, Slice line) {
        HttpFieldName which;
        size_t colon = 0;
        Slice value;

        while (colon < line.len && http_is_token(line.data[colon]))
                colon++;
        /* Also catches obs-fold, a blank before the colon, an empty name and no colon. */
        if (colon == 0 || colon == line.len || line.data[colon] != ':')
                return 400;
        if (++head->n_fields > HTTP_FIELDS_MAX)
                return 431;
        which = field_name(slice_sub(line, 0, colon));
        if (which == HTTP_FIELD_UNKNOWN)
                return 0;
        value = trim_blanks(slice_from(line, colon + 1));
        if (head->seen[which]++ == 0)
                head->known[which] = span_of(data, value);
        if (which == HTTP_FIELD_CONNECTION)
                note_connection(head, value);
        return 0;
}

/* ---- the whole head ---- */

static int check_host(const HttpHead *head, const char *data) {
        Slice host = http_known(data, head, HTTP_FIELD_HOST),
              target = http_span(data, head->target);

        if (head->seen[HTTP_FIELD_HOST] > 1 ||
            (head->seen[HTTP_FIELD_HOST] == 0 && head->version == 11))
                return 400;
        for (size_t i = 0; i < host.len; i++)
                if (!http_is_host(host.data[i]))
                        return 400;
        if (head->path.offset == head->target.offset || head->seen[HTTP_FIELD_HOST] == 0)
                return 0;
        /* absolute-form: what stands between "//" and the path must be the host. */
        target.len = (size_t)(head->path.offset - head->target.offset);
        target = slice_from(target, (size_t)slice_search(target, SLICE("//")) + 2);
        return slice_equal_nocase(target, host) ? 0 : 400;
}

static int check_length(HttpHead *head, Slice text) {
        uint64_t length = 0;

        if (text.len == 0 || text.len > 19)
                return 400;
        for (size_t i = 0; i < text.len; i++) {
                if (!http_is_digit(text.data[i]))
                        return 400;
                length = length * 10 + (uint64_t)(text.data[i] - '0');
        }
        head->content_length = length;
        head->body = HTTP_BODY_LENGTH;
        return 0;
}

static int check_body(HttpHead *head, const char *data) {
        unsigned n_length = head->seen[HTTP_FIELD_CONTENT_LENGTH],
                 n_encoding = head->seen[HTTP_FIELD_TRANSFER_ENCODING];

        if (n_length > 1 || n_encoding > 1 || (n_length > 0 && n_encoding > 0))
                return 400;
        if (n_length == 1)
                return check_length(head, http_known(data, head, HTTP_FIELD_CONTENT_LENGTH));
        if (n_encoding == 0)
                return 0;
        if (head->version == 10)
                return 400;
        if (!slice_equal_nocase(http_known(data, head, HTTP_FIELD_TRANSFER_ENCODING),
                                SLICE("chunked")))
                return 501;
        head->body = HTTP_BODY_CHUNKED;
        return 0;
}

static int check_expect(HttpHead *head, const char *data) {
        if (head->seen[HTTP_FIELD_EXPECT] == 0)
                return 0;
        if (head->seen[HTTP_FIELD_EXPECT] > 1 ||
            !slice_equal_nocase(http_known(data, head, HTTP_FIELD_EXPECT), SLICE("100-continue")))
                return 417;
        head->expect_continue = head->version == 11 && head->body != HTTP_BODY_NONE;
        return 0;
}

static int finish(HttpHead *head, const char *data) {
        int r = check_host(head, data);

        if (r == 0)
                r = check_body(head, data);
        if (r == 0)
                r = check_expect(head, data);
        if (r != 0)
                return r;
        head->keep_alive = head->version == 11 ? !(head->connection & HTTP_CONNECTION_CLOSE)
                                               : head->connection == HTTP_CONNECTION_KEEP_ALIVE;
        return HTTP_PARSE_DONE;
}

static int line_limit(const HttpHead *head, size_t len) {
        if (head->state == HEAD_REQUEST_LINE)
                return len > HTTP_LINE_MAX ? 414 : 0;
        return len > HTTP_FIELD_MAX ? 431 : 0;
}

/* The end of the line that begins at line_start: its LF's place, or len when it has not come; 0
 * stands for a byte that no line may hold. */
static size_t find_line_end(const HttpHead *head, const char *data, size_t len) {
        for (size_t i = head->scanned; i < len; i++) {
                if (http_is_text(data[i]))
                        continue;
                if (data[i] == '\n')
                        return i > head->line_start && data[i - 1] == '\r' ? i : 0;
                if (data[i] != '\r' || (i + 1 < len && data[i + 1] != '\n'))
                        return 0;
        }
        return len;
}

int http_parse_head(HttpHead *head, const char *data, size_t len) {
        if (len == 0)
                return HTTP_PARSE_MORE;
        for (;;) {
                size_t end = find_line_end(head, data, len);
                Slice line;
                int r;

                r = line_limit(head, MIN(end == 0 ? len : end, len) - head->line_start);
                if (r != 0)
                        return r;
                if (end == 0)
                        return 400;
                if (end > HTTP_HEAD_MAX)
                        return 431;
                head->scanned = (uint32_t)(end > 0 && end == len ? end - (data[end - 1] == '\r')
                                                                 : end + 1);
                if (end == len)
                        return HTTP_PARSE_MORE;
                line = slice_make(data + head->line_start, end - 1 - head->line_start);
                head->line_start = (uint32_t)end + 1;
                if (head->state == HEAD_REQUEST_LINE) {
                        r = parse_request_line(head, data, line);
                        head->state = HEAD_FIELDS;
                } else if (line.len > 0)
                        r = parse_field(head, data, line);
                else {
                        head->head_len = head->line_start;
                        return finish(head, data);
                }
                if (r != 0)
                        return r;
        }
}
