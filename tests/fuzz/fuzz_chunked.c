/* SPDX-License-Identifier: MIT */

/*
 * Chunked bodies: any bytes. In one piece, byte by byte and in odd pieces they give the same body,
 * the same result and the same end; what was accepted, framed anew, is read back the same.
 */

#include <stddef.h>
#include <stdint.h>

#include "basic/buffer.h"
#include "http/parser.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds pieces of at most step bytes. *ret_used: bytes that belong to the body. */
static int decode(Slice input, size_t step, Buffer *body, size_t *ret_used) {
        int r = HTTP_PARSE_MORE;
        HttpChunked chunked;
        size_t at = 0;

        http_chunked_init(&chunked);
        while (at < input.len && r == HTTP_PARSE_MORE) {
                Slice piece = slice_make(input.data + at, MIN(step, input.len - at)), run;
                size_t used;

                r = http_parse_chunked(&chunked, piece.data, piece.len, &used, &run);
                CHECK(used > 0 && used <= piece.len);
                CHECK(run.data >= piece.data && run.data + run.len <= piece.data + used);
                CHECK(run.len == 0 || r == HTTP_PARSE_MORE);
                buffer_append(body, run);
                at += used;
        }
        *ret_used = at;
        return r;
}

static void check_again(Slice body) {
        Buffer framed = BUFFER_EMPTY, again = BUFFER_EMPTY;
        size_t used;

        if (body.len > 0) {
                buffer_printf(&framed, "%zX;ext=\"a\"\r\n", body.len);
                buffer_append(&framed, body);
                buffer_append(&framed, SLICE("\r\n"));
        }
        buffer_append(&framed, SLICE("0\r\nX-Trailer: y\r\n\r\nGET"));
        CHECK(!framed.failed);
        CHECK(decode(buffer_slice(&framed), SIZE_MAX, &again, &used) == HTTP_PARSE_DONE);
        CHECK(used == framed.len - 3);
        CHECK(slice_equal(buffer_slice(&again), body));
        buffer_done(&framed);
        buffer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const size_t steps[] = {1, 2, 7, 64};
        Slice input = slice_make((const char *)data, size);
        Buffer whole = BUFFER_EMPTY;
        size_t used;
        int r = decode(input, SIZE_MAX, &whole, &used);

        CHECK(r == HTTP_PARSE_MORE || r == HTTP_PARSE_DONE || r == 400 || r == 431);
        CHECK(r != HTTP_PARSE_MORE || used == size);
        for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
                Buffer pieces = BUFFER_EMPTY;
                size_t used_pieces;

                CHECK(decode(input, steps[i], &pieces, &used_pieces) == r);
                CHECK(used_pieces == used);
                CHECK(slice_equal(buffer_slice(&pieces), buffer_slice(&whole)));
                buffer_done(&pieces);
        }
        if (r == HTTP_PARSE_DONE) {
                CHECK(used >= 2 && data[used - 1] == '\n' && data[used - 2] == '\r');
                check_again(buffer_slice(&whole));
        }
        buffer_done(&whole);
        return 0;
}
