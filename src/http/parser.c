/* SPDX-License-Identifier: MIT */

/*
 * The head of a request: a machine that judges each byte once, in runs of one class. What it
 * decides on depends on the bytes before it and never on where a read ended, so any cut of the same
 * bytes gives the same result. Pure: no memory, no I/O.
 */

#include "http/parser.h"

#include "http/chars.h"

#define LENGTH_DIGITS_MAX 19u /* of a Content-Length: fits into 64 bits whatever they are */
#define PORT_DIGITS_MAX   5u
#define KNOWN_NAME_MAX    17u /* bytes of the longest known field name */

/* Eight bytes at once: the same byte in all of them. */
#define EACH(byte) (0x0101010101010101ULL * (byte))

typedef enum HeadState {
        HEAD_METHOD,
        HEAD_TARGET,
        HEAD_VERSION,
        HEAD_LINE_LF,
        HEAD_LINE_START, /* of a field, or of the empty line */
        HEAD_NAME,
        HEAD_VALUE,
        HEAD_END_LF,
} HeadState;

/* The bytes of one call. */
typedef struct Scan {
        HttpHead *head;
        const char *data;
        size_t at;  /* the next byte to judge */
        size_t end; /* how far one may look */
} Scan;

/* What a step of the machine says, beside HTTP_PARSE_MORE, HTTP_PARSE_DONE and statuses. */
#define STEP_NEXT 2

typedef struct LineLimit {
        size_t max; /* bytes without CRLF */
        int status; /* beyond */
} LineLimit;

/* The request line, a field. */
static const LineLimit line_limits[2] = {{HTTP_LINE_MAX, 414}, {HTTP_FIELD_MAX, 431}};

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

/* Known field names by their length, in lower case. */
static const struct {
        const char *text; /* NULL: none */
        HttpFieldName name;
} known_names[KNOWN_NAME_MAX + 1][2] = {
                [4] = {{"host", HTTP_FIELD_HOST}},
                [6] = {{"accept", HTTP_FIELD_ACCEPT}, {"expect", HTTP_FIELD_EXPECT}},
                [7] = {{"referer", HTTP_FIELD_REFERER}},
                [8] = {{"if-match", HTTP_FIELD_IF_MATCH}},
                [10] = {{"user-agent", HTTP_FIELD_USER_AGENT},
                        {"connection", HTTP_FIELD_CONNECTION}},
                [12] = {{"content-type", HTTP_FIELD_CONTENT_TYPE},
                        {"x-request-id", HTTP_FIELD_X_REQUEST_ID}},
                [13] = {{"authorization", HTTP_FIELD_AUTHORIZATION},
                        {"if-none-match", HTTP_FIELD_IF_NONE_MATCH}},
                [14] = {{"content-length", HTTP_FIELD_CONTENT_LENGTH}},
                [15] = {{"x-forwarded-for", HTTP_FIELD_X_FORWARDED_FOR},
                        {"idempotency-key", HTTP_FIELD_IDEMPOTENCY_KEY}},
                [17] = {{"transfer-encoding", HTTP_FIELD_TRANSFER_ENCODING},
                        {"x-forwarded-proto", HTTP_FIELD_X_FORWARDED_PROTO}},
};

void http_head_init(HttpHead *head) {
        *head = (HttpHead){.state = HEAD_METHOD};
}

/* ---- bytes ---- */

/* Is there a control character other than those above 0x7f? HT is one here. */
static bool has_control(uint64_t bytes) {
        uint64_t delete = bytes ^ EACH(0x7f);

        return (((bytes - EACH(0x20)) & ~bytes) | ((delete - EACH(0x01)) & ~delete)) & EACH(0x80);
}

static size_t skip_class(const Scan *scan, size_t at, size_t end, unsigned class) {
        while (at < end && http_is(scan->data[at], class))
                at++;
        return at;
}

static size_t skip_text(const Scan *scan, size_t at, size_t end) {
        uint64_t bytes;

        for (; end - at >= sizeof bytes; at += sizeof bytes) {
                memcpy(&bytes, scan->data + at, sizeof bytes);
                if (has_control(bytes))
                        break;
        }
        return skip_class(scan, at, end, HTTP_CHAR_TEXT);
}

/* Goes over bytes of one class up to stop, within the line's limit. STEP_NEXT: at is on stop. */
static int run_to(Scan *scan, unsigned class, char stop) {
        const LineLimit *line = line_limits + (scan->head->state > HEAD_VERSION);
        size_t limit = scan->head->line_start + line->max;
        size_t end = MIN(scan->end, limit);

        scan->at = class == HTTP_CHAR_TEXT ? skip_text(scan, scan->at, end)
                                           : skip_class(scan, scan->at, end, class);
        if (scan->at == scan->end)
                return HTTP_PARSE_MORE;
        if (scan->at == limit && !(stop == '\r' && scan->data[limit] == '\r'))
                return line->status;
        return scan->data[scan->at] == stop ? STEP_NEXT : 400;
}

static HttpSpan span_of(size_t from, size_t to) {
        return (HttpSpan){(uint16_t)from, (uint16_t)(to - from)};
}

/* The piece of the line that ends at the byte `at`, which is passed over. */
static HttpSpan take_piece(Scan *scan) {
        HttpSpan span = span_of(scan->head->mark, scan->at);

        scan->head->mark = (uint16_t)++scan->at;
        return span;
}

/* ---- request line ---- */

static HttpMethod method_of(Slice text) {
        for (size_t i = 0; i < ELEMENTSOF(methods); i++)
                if (slice_equal(text, methods[i].text))
                        return methods[i].method;
        return HTTP_OTHER;
}

static int take_method(Scan *scan) {
        HttpHead *head = scan->head;
        int r = run_to(scan, HTTP_CHAR_TOKEN, ' ');

        if (r != STEP_NEXT)
                return r;
        head->method_text = take_piece(scan);
        if (head->method_text.len == 0)
                return 400;
        head->method = (uint8_t)method_of(http_span(scan->data, head->method_text));
        head->state = HEAD_TARGET;
        return STEP_NEXT;
}

static int take_target(Scan *scan) {
        int r = run_to(scan, HTTP_CHAR_TARGET, ' ');

        if (r != STEP_NEXT)
                return r;
        scan->head->target = take_piece(scan);
        scan->head->state = HEAD_VERSION;
        return scan->head->target.len > 0 ? STEP_NEXT : 400;
}

/* "HTTP/1.0" or "HTTP/1.1"; another version of the same shape is 505. */
static int parse_version(HttpHead *head, Slice text) {
        if (text.len != 8 || !slice_starts_with(text, SLICE("HTTP/")) ||
            !http_is_digit(text.data[5]) || text.data[6] != '.' || !http_is_digit(text.data[7]))
                return 400;
        if (text.data[5] != '1' || text.data[7] > '1')
                return 505;
        head->version = text.data[7] == '1' ? 11 : 10;
        return 0;
}

/* Bytes of "http://" or "https://" at the start, 0 if there is neither. */
static size_t scheme_len(Slice target) {
        if (slice_starts_with_nocase(target, SLICE("http://")))
                return 7;
        return slice_starts_with_nocase(target, SLICE("https://")) ? 8 : 0;
}

/* Path and query are what stands in the target from here on. */
static void split_target(HttpHead *head, const char *data, size_t from) {
        size_t end = (size_t)head->target.offset + head->target.len;
        ptrdiff_t mark = slice_find(slice_make(data + from, end - from), '?');

        head->path = span_of(from, mark < 0 ? end : from + (size_t)mark);
        head->has_query = mark >= 0;
        if (mark >= 0)
                head->query = span_of(from + (size_t)mark + 1, end);
}

/* origin-form, absolute-form, "*" of OPTIONS, or whatever CONNECT wants: it gets 405 anyway. */
static int parse_target(HttpHead *head, const char *data) {
        Slice target = http_span(data, head->target);
        size_t at;

        if (target.data[0] == '/' || head->method == HTTP_CONNECT ||
            (head->method == HTTP_OPTIONS && slice_equal(target, SLICE("*")))) {
                split_target(head, data, head->target.offset);
                return 0;
        }
        at = scheme_len(target);
        if (at == 0)
                return 400;
        while (at < target.len && target.data[at] != '/' && target.data[at] != '?')
                at++;
        split_target(head, data, head->target.offset + at);
        return 0;
}

static int take_version(Scan *scan) {
        HttpHead *head = scan->head;
        int r = run_to(scan, HTTP_CHAR_TARGET, '\r');

        if (r != STEP_NEXT)
                return r;
        r = parse_version(head, http_span(scan->data, take_piece(scan)));
        if (r == 0)
                r = parse_target(head, scan->data);
        head->state = HEAD_LINE_LF;
        return r == 0 ? STEP_NEXT : r;
}

/* ---- fields ---- */

/* name is a token: setting the bit that makes letters small maps no other token byte onto a letter
 * or '-'. */
static HttpFieldName find_name(Slice name) {
        for (size_t i = 0; name.len <= KNOWN_NAME_MAX && i < 2; i++) {
                const char *text = known_names[name.len][i].text;
                size_t at = 0;

                if (!text)
                        break;
                while (at < name.len && (name.data[at] | 0x20) == text[at])
                        at++;
                if (at == name.len)
                        return known_names[name.len][i].name;
        }
        return HTTP_FIELD_UNKNOWN;
}

static int take_name(Scan *scan) {
        HttpHead *head = scan->head;
        HttpSpan name;
        int r = run_to(scan, HTTP_CHAR_TOKEN, ':');

        if (r != STEP_NEXT)
                return r;
        name = take_piece(scan);
        if (name.len == 0)
                return 400;
        if (++head->n_fields > HTTP_FIELDS_MAX)
                return 431;
        head->field = (uint8_t)find_name(http_span(scan->data, name));
        head->state = HEAD_VALUE;
        return STEP_NEXT;
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

static bool is_blank(char c) {
        return c == ' ' || c == '\t';
}

static int take_value(Scan *scan) {
        HttpHead *head = scan->head;
        size_t from = head->mark, to;
        int r = run_to(scan, HTTP_CHAR_TEXT, '\r');

        if (r != STEP_NEXT)
                return r;
        to = scan->at++;
        head->state = HEAD_LINE_LF;
        if (head->field == HTTP_FIELD_UNKNOWN)
                return STEP_NEXT;
        while (from < to && is_blank(scan->data[from]))
                from++;
        while (from < to && is_blank(scan->data[to - 1]))
                to--;
        if (head->seen[head->field]++ == 0)
                head->known[head->field] = span_of(from, to);
        if (head->field == HTTP_FIELD_CONNECTION)
                note_connection(head, slice_make(scan->data + from, to - from));
        return STEP_NEXT;
}

/* ---- the whole head ---- */

/* ":port" or nothing. */
static bool port_valid(Slice s) {
        unsigned port = 0;

        if (s.len == 0)
                return true;
        if (s.data[0] != ':' || s.len > 1 + PORT_DIGITS_MAX)
                return false;
        for (size_t i = 1; i < s.len; i++) {
                if (!http_is_digit(s.data[i]))
                        return false;
                port = port * 10 + (unsigned)(s.data[i] - '0');
        }
        return port <= UINT16_MAX;
}

/* A name, an IPv4 address or an IPv6 address in brackets, and a port perhaps. Narrower than RFC
 * 3986: no escapes, no commas, for no host that is meant has them. */
static bool authority_valid(Slice s) {
        bool literal = s.len > 0 && s.data[0] == '[';
        size_t at = literal;

        while (at < s.len && (literal ? http_is(s.data[at], HTTP_CHAR_HEX) || s.data[at] == ':' ||
                                                              s.data[at] == '.'
                                      : http_is(s.data[at], HTTP_CHAR_HOST)))
                at++;
        if (at == literal)
                return false;
        if (literal && (at == s.len || s.data[at++] != ']'))
                return false;
        return port_valid(slice_from(s, at));
}

static int check_host(const HttpHead *head, const char *data) {
        Slice host = http_known(data, head, HTTP_FIELD_HOST), authority;
        unsigned n = head->seen[HTTP_FIELD_HOST];
        size_t from;

        if (n > 1 || (n == 0 && head->version == 11) || (n == 1 && !authority_valid(host)))
                return 400;
        if (head->path.offset == head->target.offset)
                return 0;
        /* absolute-form: what stands between "//" and the path must be the host. */
        from = head->target.offset + scheme_len(http_span(data, head->target));
        authority = slice_make(data + from, head->path.offset - from);
        if (!authority_valid(authority) || (n == 1 && !slice_equal_nocase(authority, host)))
                return 400;
        return 0;
}

static int check_length(HttpHead *head, Slice text) {
        uint64_t length = 0;

        if (text.len == 0 || text.len > LENGTH_DIGITS_MAX)
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
        Slice encoding = http_known(data, head, HTTP_FIELD_TRANSFER_ENCODING);
        unsigned n_length = head->seen[HTTP_FIELD_CONTENT_LENGTH],
                 n_encoding = head->seen[HTTP_FIELD_TRANSFER_ENCODING];

        if (n_length + n_encoding > 1)
                return 400;
        if (n_length == 1)
                return check_length(head, http_known(data, head, HTTP_FIELD_CONTENT_LENGTH));
        if (n_encoding == 0)
                return 0;
        if (head->version == 10 || encoding.len == 0)
                return 400;
        if (!slice_equal_nocase(encoding, SLICE("chunked")))
                return 501;
        head->body = HTTP_BODY_CHUNKED;
        return 0;
}

static int check_expect(HttpHead *head, const char *data) {
        unsigned n = head->seen[HTTP_FIELD_EXPECT];

        if (n == 0)
                return 0;
        if (n > 1 ||
            !slice_equal_nocase(http_known(data, head, HTTP_FIELD_EXPECT), SLICE("100-continue")))
                return 417;
        head->expect_continue = head->version == 11 && head->body != HTTP_BODY_NONE;
        return 0;
}

static int finish(Scan *scan) {
        HttpHead *head = scan->head;
        int r = check_host(head, scan->data);

        if (r == 0)
                r = check_body(head, scan->data);
        if (r == 0)
                r = check_expect(head, scan->data);
        if (r != 0)
                return r;
        head->head_len = (uint32_t)++scan->at;
        head->keep_alive = head->version == 11 ? !(head->connection & HTTP_CONNECTION_CLOSE)
                                               : head->connection == HTTP_CONNECTION_KEEP_ALIVE;
        return HTTP_PARSE_DONE;
}

static int take_line_lf(Scan *scan) {
        if (scan->data[scan->at] != '\n')
                return 400;
        scan->head->line_start = (uint16_t)++scan->at;
        scan->head->state = HEAD_LINE_START;
        return STEP_NEXT;
}

/* A blank here (obs-fold) is no token and ends as an empty name. */
static int take_line_start(Scan *scan) {
        bool empty = scan->data[scan->at] == '\r';

        scan->head->mark = scan->head->line_start;
        scan->head->state = empty ? HEAD_END_LF : HEAD_NAME;
        scan->at += empty;
        return STEP_NEXT;
}

static int step(Scan *scan) {
        switch ((HeadState)scan->head->state) {
        case HEAD_METHOD:
                return take_method(scan);
        case HEAD_TARGET:
                return take_target(scan);
        case HEAD_VERSION:
                return take_version(scan);
        case HEAD_LINE_LF:
                return take_line_lf(scan);
        case HEAD_LINE_START:
                return take_line_start(scan);
        case HEAD_NAME:
                return take_name(scan);
        case HEAD_VALUE:
                return take_value(scan);
        case HEAD_END_LF:
                return scan->data[scan->at] == '\n' ? finish(scan) : 400;
        default:
                check_failed("head state", __FILE__, __LINE__);
        }
}

int http_parse_head(HttpHead *head, const char *data, size_t len) {
        Scan scan = {head, data, head->scanned, MIN(len, HTTP_HEAD_MAX)};
        int r = STEP_NEXT;

        while (r == STEP_NEXT && scan.at < scan.end)
                r = step(&scan);
        head->scanned = (uint32_t)scan.at;
        if (r != STEP_NEXT && r != HTTP_PARSE_MORE)
                return r;
        return len > HTTP_HEAD_MAX ? 431 : HTTP_PARSE_MORE;
}
