/* SPDX-License-Identifier: MIT */

/*
 * Chunked bodies (RFC 9112 7.1), byte by byte but for the data itself, which is handed out in runs.
 * Strict where servers and proxies have differed: sizes are 1 to 16 hex digits and nothing else,
 * lines end with CRLF, trailers may not name what frames a message.
 */

#include "http/chars.h"
#include "http/parser.h"

#define DIGITS_MAX    16u
#define EXTENSION_MAX 256u

typedef enum ChunkedState {
        CHUNKED_SIZE,
        CHUNKED_EXTENSION,
        CHUNKED_SIZE_LF,
        CHUNKED_DATA,
        CHUNKED_DATA_CR,
        CHUNKED_DATA_LF,
        CHUNKED_TRAILER_START, /* at the start of a line behind the last chunk */
        CHUNKED_TRAILER_NAME,
        CHUNKED_TRAILER_VALUE,
        CHUNKED_TRAILER_LF,
        CHUNKED_END_LF,
        CHUNKED_DONE,
} ChunkedState;

void http_chunked_init(HttpChunked *chunked) {
        *chunked = (HttpChunked){.state = CHUNKED_SIZE};
}

static int take_size(HttpChunked *chunked, char c) {
        int digit = http_hex(c);

        if (digit >= 0) {
                if (++chunked->n_digits > DIGITS_MAX)
                        return 400;
                chunked->remaining = chunked->remaining << 4 | (uint64_t)digit;
                return 0;
        }
        if (chunked->n_digits == 0)
                return 400;
        if (c == '\r')
                chunked->state = CHUNKED_SIZE_LF;
        else if (c == ';')
                chunked->state = CHUNKED_EXTENSION;
        else
                return 400;
        return 0;
}

static int take_extension(HttpChunked *chunked, char c) {
        if (c == '\r') {
                chunked->state = CHUNKED_SIZE_LF;
                return 0;
        }
        return http_is(c, HTTP_CHAR_TEXT) && ++chunked->n_extension <= EXTENSION_MAX ? 0 : 400;
}

static int take_size_lf(HttpChunked *chunked, char c) {
        if (c != '\n')
                return 400;
        chunked->n_digits = 0;
        chunked->state = chunked->remaining > 0 ? CHUNKED_DATA : CHUNKED_TRAILER_START;
        return 0;
}

/* A trailer that frames or routes a message could be taken for a header by somebody else. */
static bool trailer_forbidden(Slice name) {
        return slice_equal_nocase(name, SLICE("content-length")) ||
               slice_equal_nocase(name, SLICE("transfer-encoding")) ||
               slice_equal_nocase(name, SLICE("host"));
}

static int take_trailer_name(HttpChunked *chunked, char c) {
        if (c == ':') {
                if (chunked->line_len == 0 ||
                    trailer_forbidden(slice_make(chunked->line, chunked->line_len)))
                        return 400;
                chunked->state = CHUNKED_TRAILER_VALUE;
                return 0;
        }
        if (!http_is(c, HTTP_CHAR_TOKEN))
                return 400;
        /* A name longer than this is none of the forbidden ones. */
        if (chunked->line_len < sizeof chunked->line)
                chunked->line[chunked->line_len++] = c;
        return 0;
}

static int take_trailer_start(HttpChunked *chunked, char c) {
        if (c == '\r') {
                chunked->state = CHUNKED_END_LF;
                return 0;
        }
        chunked->line_len = 0;
        chunked->state = CHUNKED_TRAILER_NAME;
        return take_trailer_name(chunked, c);
}

static int take_trailer(HttpChunked *chunked, char c) {
        if (++chunked->n_trailer > HTTP_HEAD_MAX)
                return 431;
        if (chunked->state == CHUNKED_TRAILER_START)
                return take_trailer_start(chunked, c);
        if (chunked->state == CHUNKED_TRAILER_NAME)
                return take_trailer_name(chunked, c);
        if (chunked->state == CHUNKED_TRAILER_LF) {
                chunked->state = CHUNKED_TRAILER_START;
                return c == '\n' ? 0 : 400;
        }
        if (c == '\r') {
                chunked->state = CHUNKED_TRAILER_LF;
                return 0;
        }
        return http_is(c, HTTP_CHAR_TEXT) ? 0 : 400;
}

static int take_byte(HttpChunked *chunked, char c) {
        switch ((ChunkedState)chunked->state) {
        case CHUNKED_SIZE:
                return take_size(chunked, c);
        case CHUNKED_EXTENSION:
                return take_extension(chunked, c);
        case CHUNKED_SIZE_LF:
                return take_size_lf(chunked, c);
        case CHUNKED_DATA_CR:
                chunked->state = CHUNKED_DATA_LF;
                return c == '\r' ? 0 : 400;
        case CHUNKED_DATA_LF:
                chunked->state = CHUNKED_SIZE;
                return c == '\n' ? 0 : 400;
        case CHUNKED_END_LF:
                chunked->state = CHUNKED_DONE;
                return c == '\n' ? 0 : 400;
        case CHUNKED_TRAILER_START:
        case CHUNKED_TRAILER_NAME:
        case CHUNKED_TRAILER_VALUE:
        case CHUNKED_TRAILER_LF:
                return take_trailer(chunked, c);
        case CHUNKED_DATA: /* the caller's loop takes these two */
        case CHUNKED_DONE:
        default:
                check_failed("chunked state", __FILE__, __LINE__);
        }
}

int http_parse_chunked(HttpChunked *chunked, const char *data, size_t len, size_t *ret_consumed,
                       Slice *ret_data) {
        size_t at = 0;
        int r = 0;

        *ret_data = slice_make(data, 0);
        while (r == 0 && at < len && chunked->state != CHUNKED_DATA &&
               chunked->state != CHUNKED_DONE)
                r = take_byte(chunked, data[at++]);
        if (r == 0 && chunked->state == CHUNKED_DATA) {
                size_t n = (size_t)MIN((uint64_t)(len - at), chunked->remaining);

                *ret_data = slice_make(data + at, n);
                at += n;
                chunked->remaining -= n;
                if (chunked->remaining == 0)
                        chunked->state = CHUNKED_DATA_CR;
        }
        *ret_consumed = at;
        if (r != 0)
                return r;
        return chunked->state == CHUNKED_DONE ? HTTP_PARSE_DONE : HTTP_PARSE_MORE;
}
