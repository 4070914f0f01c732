/* SPDX-License-Identifier: MIT */

/*
 * Heads of requests: any bytes. Whole, byte by byte and cut in two they give the same result with
 * the same spans, at the same byte; a second message behind the first does not change the first;
 * what is accepted has the promised form.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/parser.h"

#define SIZE_LIMIT (3 * HTTP_HEAD_MAX)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const HttpHead *head, HttpSpan span) {
        CHECK((size_t)span.offset + span.len <= head->head_len);
}

static void check_same(const HttpHead *a, const HttpHead *b) {
        CHECK(a->method == b->method && a->version == b->version && a->body == b->body);
        CHECK(a->keep_alive == b->keep_alive && a->expect_continue == b->expect_continue);
        CHECK(a->head_len == b->head_len && a->content_length == b->content_length);
        CHECK(a->has_query == b->has_query && a->n_fields == b->n_fields);
        CHECK(memcmp(&a->method_text, &b->method_text, sizeof a->method_text) == 0);
        CHECK(memcmp(&a->target, &b->target, sizeof a->target) == 0);
        CHECK(memcmp(&a->path, &b->path, sizeof a->path) == 0);
        CHECK(memcmp(&a->query, &b->query, sizeof a->query) == 0);
        CHECK(memcmp(a->seen, b->seen, sizeof a->seen) == 0);
        CHECK(memcmp(a->known, b->known, sizeof a->known) == 0);
}

/* What every accepted head promises to those behind the parser. */
static void check_accepted(const HttpHead *head, const char *data, size_t size) {
        Slice path = http_span(data, head->path), text = slice_make(data, head->head_len);

        CHECK(head->head_len >= strlen("A / HTTP/1.0\r\n\r\n") && head->head_len <= size &&
              head->head_len <= HTTP_HEAD_MAX);
        CHECK(memcmp(data + head->head_len - 4, "\r\n\r\n", 4) == 0);
        CHECK(slice_search(text, SLICE("\r\n\r\n")) == (ptrdiff_t)head->head_len - 4);
        CHECK(slice_find(text, '\0') < 0 && slice_find(text, 0x7f) < 0);
        CHECK(path.len == 0 || path.data[0] == '/' || head->method == HTTP_CONNECT ||
              slice_equal(path, SLICE("*")));
        CHECK(head->version == 10 || head->version == 11);
        CHECK(head->seen[HTTP_FIELD_HOST] + (head->version == 10) >= 1);
        CHECK(head->seen[HTTP_FIELD_HOST] <= 1);
        CHECK(head->seen[HTTP_FIELD_CONTENT_LENGTH] + head->seen[HTTP_FIELD_TRANSFER_ENCODING] ==
              (head->body != HTTP_BODY_NONE));
        check_span(head, head->method_text);
        check_span(head, head->target);
        check_span(head, head->path);
        check_span(head, head->query);
        for (int i = 0; i < HTTP_FIELD_NAMES; i++) {
                Slice value = http_known(data, head, (HttpFieldName)i);

                check_span(head, head->known[i]);
                CHECK(slice_find(value, '\r') < 0 && slice_find(value, '\n') < 0);
                CHECK(value.len == 0 || (value.data[0] != ' ' && value.data[value.len - 1] != ' '));
        }
}

/* Byte by byte; *ret_at: how many bytes it took. */
static int parse_slowly(HttpHead *head, const char *data, size_t size, size_t *ret_at) {
        int r = HTTP_PARSE_MORE;
        size_t n = 0;

        http_head_init(head);
        while (n < size && r == HTTP_PARSE_MORE)
                r = http_parse_head(head, data, ++n);
        *ret_at = n;
        return r;
}

static int parse_cut(HttpHead *head, const char *data, size_t size, size_t cut) {
        int r;

        http_head_init(head);
        r = http_parse_head(head, data, cut);
        return r == HTTP_PARSE_MORE ? http_parse_head(head, data, size) : r;
}

/* Returns the length of the head, or 0 when there is none. */
static size_t check_message(const char *data, size_t size) {
        HttpHead whole, slow, cut;
        size_t at;
        int r;

        http_head_init(&whole);
        r = http_parse_head(&whole, data, size);
        CHECK(r == HTTP_PARSE_MORE || r == HTTP_PARSE_DONE || r == 400 || r == 414 || r == 417 ||
              r == 431 || r == 501 || r == 505);
        CHECK(parse_slowly(&slow, data, size, &at) == r);
        for (size_t i = 0; i < 8; i++) {
                CHECK(parse_cut(&cut, data, size, size * i / 8) == r);
                if (r == HTTP_PARSE_DONE)
                        check_same(&whole, &cut);
        }
        /* The byte that decided is the last one that matters. */
        CHECK(parse_cut(&cut, data, at, at) == r);
        if (r != HTTP_PARSE_DONE)
                return 0;
        CHECK(at == whole.head_len);
        check_same(&whole, &slow);
        check_accepted(&whole, data, size);
        return whole.head_len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *)data;
        size_t len;

        size = MIN(size, (size_t)SIZE_LIMIT);
        len = check_message(text, size);
        if (len > 0)
                (void)check_message(text + len, size - len);
        return 0;
}
