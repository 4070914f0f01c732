/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the parser makes of bytes: a request's head as offsets into the buffer that it was read
 * into, so that the buffer may move while more bytes arrive. Shared by parser, connection,
 * router and handlers.
 */

#include <stdbool.h>
#include <stdint.h>

#include "basic/slice.h"

#define HTTP_LINE_MAX   8192u  /* request line without CRLF; beyond: 414 */
#define HTTP_FIELD_MAX  8192u  /* one field line without CRLF; beyond: 431 */
#define HTTP_HEAD_MAX   16384u /* whole head with its empty line; beyond: 431 */
#define HTTP_FIELDS_MAX 100u   /* beyond: 431 */

typedef enum HttpMethod {
        HTTP_GET,
        HTTP_HEAD,
        HTTP_POST,
        HTTP_PUT,
        HTTP_DELETE,
        HTTP_OPTIONS,
        HTTP_PATCH,
        HTTP_TRACE,
        HTTP_CONNECT,
        HTTP_OTHER, /* any other token: 405 everywhere */
        HTTP_METHODS,
} HttpMethod;

/* Fields that somebody here asks for; found while parsing, so that nothing searches later. */
typedef enum HttpFieldName {
        HTTP_FIELD_HOST,
        HTTP_FIELD_CONTENT_LENGTH,
        HTTP_FIELD_TRANSFER_ENCODING,
        HTTP_FIELD_CONNECTION,
        HTTP_FIELD_EXPECT,
        HTTP_FIELD_CONTENT_TYPE,
        HTTP_FIELD_ACCEPT,
        HTTP_FIELD_USER_AGENT,
        HTTP_FIELD_REFERER,
        HTTP_FIELD_X_REQUEST_ID,
        HTTP_FIELD_X_FORWARDED_FOR,
        HTTP_FIELD_X_FORWARDED_PROTO,
        HTTP_FIELD_AUTHORIZATION,
        HTTP_FIELD_IF_MATCH,
        HTTP_FIELD_IF_NONE_MATCH,
        HTTP_FIELD_IDEMPOTENCY_KEY,
        HTTP_FIELD_NAMES,
        HTTP_FIELD_UNKNOWN = HTTP_FIELD_NAMES,
} HttpFieldName;

typedef struct HttpSpan {
        uint16_t offset, len; /* into the head; HTTP_HEAD_MAX fits */
} HttpSpan;

typedef enum HttpBody {
        HTTP_BODY_NONE,
        HTTP_BODY_LENGTH,
        HTTP_BODY_CHUNKED,
} HttpBody;

enum {
        HTTP_CONNECTION_CLOSE = 1 << 0,
        HTTP_CONNECTION_KEEP_ALIVE = 1 << 1,
};

typedef struct HttpHead {
        /* parser state, see http/parser.h */
        uint32_t scanned;    /* bytes already judged */
        uint16_t line_start; /* where the line now being read begins */
        uint16_t mark;       /* where the piece of it now being read begins */
        uint8_t state;
        uint8_t field;      /* HttpFieldName of the value now being read */
        uint8_t connection; /* HTTP_CONNECTION_*: what Connection fields said so far */

        /* result; valid when http_parse_head() said HTTP_PARSE_DONE */
        uint8_t method;  /* HttpMethod */
        uint8_t version; /* 10 or 11 */
        uint8_t body;    /* HttpBody */
        bool keep_alive;
        bool expect_continue;
        uint32_t head_len;       /* bytes of the head with its empty line */
        uint64_t content_length; /* HTTP_BODY_LENGTH */
        HttpSpan method_text, target;
        HttpSpan path;  /* begins with '/'; else "*", CONNECT's authority, or empty (http://host) */
        HttpSpan query; /* without '?', len 0 when there is none */
        bool has_query;
        uint8_t n_fields;
        uint8_t seen[HTTP_FIELD_NAMES];   /* how often the field came; at most HTTP_FIELDS_MAX */
        HttpSpan known[HTTP_FIELD_NAMES]; /* its first value, trimmed; len 0 where seen is 0 */
} HttpHead;

static inline Slice http_span(const char *base, HttpSpan span) {
        return slice_make(base + span.offset, span.len);
}

static inline Slice http_known(const char *base, const HttpHead *head, HttpFieldName name) {
        return http_span(base, head->known[name]);
}
