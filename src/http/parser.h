/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The HTTP/1.1 parser (RFC 9110, 9112), strict: at the first doubt a refusal, never the longest
 * valid prefix. It works on the bytes read so far and keeps its place in HttpHead, so that a head
 * that arrives byte by byte costs no more than linear time and gives the same result as the whole.
 * Pure: no memory, no I/O. Every refusal of design http.md's table that a head or chunk can earn is
 * made here.
 */

#include "http/types.h"

typedef enum HttpParse {
        HTTP_PARSE_MORE = 0, /* not whole yet */
        HTTP_PARSE_DONE = 1,
        /* 400 and above: the status to refuse with; the connection is closed behind the answer */
} HttpParse;

void http_head_init(HttpHead *head);

/* data[0, len): all bytes of this request so far (the same start on every call with one head); more
 * bytes may follow the head. A refusal comes with the first byte that earns it, wherever the reads
 * were cut; an empty line before the request line is one (400). Returns an HttpParse or a status:
 * 400, 414, 417, 431, 501, 505. */
int http_parse_head(HttpHead *head, const char *data, size_t len);

/* Chunked bodies. */
typedef struct HttpChunked {
        uint8_t state;
        uint64_t remaining;   /* of the current chunk */
        uint32_t n_extension; /* bytes of extensions so far, all chunks; at most 256 */
        uint32_t n_trailer;   /* bytes of trailers so far; at most HTTP_HEAD_MAX */
        uint16_t n_digits;
        char line[64]; /* start of a trailer's name, to see what it names */
        uint8_t line_len;
} HttpChunked;

void http_chunked_init(HttpChunked *chunked);

/* Takes bytes from data[0, len): *ret_consumed of them were used, *ret_data is the run of body
 * bytes among them (may be empty). HTTP_PARSE_MORE: call again with the rest (when consumed > 0
 * there may be more to do at once) or with more bytes; HTTP_PARSE_DONE: the body and its trailers
 * are whole; or a status (400, 431). */
int http_parse_chunked(HttpChunked *chunked, const char *data, size_t len, size_t *ret_consumed,
                       Slice *ret_data);
