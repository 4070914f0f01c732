/* SPDX-License-Identifier: MIT */

/*
 * The cases of tests/http/hostile.json, which run_hostile.py sends to a running service, against
 * the parser alone: does it see as many messages, refuse the one that is to be refused, and with
 * one of the statuses? Cases with "parser": false are refused by what comes behind it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>

#include "basic/buffer.h"
#include "http/chars.h"
#include "http/parser.h"

#define CASES_MIN 300u

typedef struct Outcome {
        size_t n_answers;
        int first_status; /* 0: the first message was accepted */
        bool closed;
        bool whole; /* nothing is left over */
} Outcome;

/* ---- the bytes of a case ---- */

static void append_text(Buffer *out, const json_t *text) {
        buffer_append(out, slice_make(json_string_value(text), json_string_length(text)));
}

static void append_hex(Buffer *out, const char *hex) {
        for (; hex[0]; hex += 2) {
                int high = http_hex(hex[0]), low = http_hex(hex[1]);

                assert_true(high >= 0 && low >= 0);
                buffer_append_byte(out, (char)(high << 4 | low));
        }
}

static void append_parts(Buffer *out, const json_t *parts) {
        const json_t *part;
        size_t i;

        json_array_foreach(parts, i, part) {
                for (json_int_t n = json_integer_value(json_array_get(part, 1)); n > 0; n--)
                        append_text(out, json_array_get(part, 0));
        }
}

static void case_bytes(const json_t *item, Buffer *out) {
        const json_t *raw = json_object_get(item, "raw"), *hex = json_object_get(item, "raw_hex");

        if (raw)
                append_text(out, raw);
        else if (hex)
                append_hex(out, json_string_value(hex));
        else
                append_parts(out, json_object_get(item, "parts"));
        assert_false(out->failed);
        assert_true(out->len > 0);
}

/* ---- what a connection would make of them ---- */

/* Bytes read at a time; the whole body must be there for a message to count. */
static int parse_message(Slice input, size_t step, HttpHead *head, size_t *ret_used) {
        int r = HTTP_PARSE_MORE;
        HttpChunked chunked;
        size_t at;

        http_head_init(head);
        for (size_t n = 0; n < input.len && r == HTTP_PARSE_MORE;) {
                n = MIN(input.len, n + step);
                r = http_parse_head(head, input.data, n);
        }
        if (r != HTTP_PARSE_DONE)
                return r;
        at = head->head_len;
        if (head->body == HTTP_BODY_LENGTH) {
                if (input.len - at < head->content_length)
                        return HTTP_PARSE_MORE;
                at += (size_t)head->content_length;
        }
        http_chunked_init(&chunked);
        for (r = HTTP_PARSE_MORE; head->body == HTTP_BODY_CHUNKED && r == HTTP_PARSE_MORE;) {
                size_t used;
                Slice data;

                if (at == input.len)
                        return HTTP_PARSE_MORE;
                r = http_parse_chunked(&chunked, input.data + at, MIN(step, input.len - at), &used,
                                       &data);
                at += used;
        }
        *ret_used = at;
        return r >= 400 ? r : HTTP_PARSE_DONE;
}

static Outcome play(Slice input, size_t step) {
        Outcome outcome = {0};

        while (input.len > 0 && !outcome.closed) {
                HttpHead head;
                size_t used = 0;
                int r = parse_message(input, step, &head, &used);

                if (r == HTTP_PARSE_MORE)
                        return outcome;
                if (r >= 400 && outcome.n_answers == 0)
                        outcome.first_status = r;
                outcome.n_answers++;
                outcome.closed = r >= 400 || !head.keep_alive;
                input = slice_from(input, used);
        }
        outcome.whole = true;
        return outcome;
}

static bool is_expected(const json_t *expect, int status) {
        const json_t *item;
        size_t i;

        json_array_foreach(expect, i, item) {
                if (json_integer_value(item) == status)
                        return true;
        }
        return false;
}

static void check_case(const json_t *item, Outcome outcome) {
        const char *name = json_string_value(json_object_get(item, "name"));
        json_int_t n_answers = json_integer_value(json_object_get(item, "answers"));
        bool closes = json_is_true(json_object_get(item, "closes"));

        if (json_is_false(json_object_get(item, "parser"))) {
                if (outcome.first_status != 0)
                        fail_msg("%s: the parser refuses it with %d", name, outcome.first_status);
                return;
        }
        if (!outcome.whole || (json_int_t)outcome.n_answers != n_answers ||
            outcome.closed != closes)
                fail_msg("%s: whole %d, %zu answers, closed %d", name, outcome.whole,
                         outcome.n_answers, outcome.closed);
        if (outcome.first_status != 0 &&
            !is_expected(json_object_get(item, "expect"), outcome.first_status))
                fail_msg("%s: %d", name, outcome.first_status);
}

static void test_cases(void **state) {
        json_t *cases, *item, *names = json_object();
        json_error_t error;
        size_t i;

        (void)state;
        cases = json_load_file(HOSTILE_CASES, 0, &error);
        if (!cases)
                fail_msg("%s:%d: %s", HOSTILE_CASES, error.line, error.text);
        assert_true(json_array_size(cases) >= CASES_MIN);
        json_array_foreach(cases, i, item) {
                Buffer bytes = BUFFER_EMPTY;

                case_bytes(item, &bytes);
                check_case(item, play(buffer_slice(&bytes), SIZE_MAX / 2));
                check_case(item, play(buffer_slice(&bytes), 1));
                buffer_done(&bytes);
                (void)json_object_set(names, json_string_value(json_object_get(item, "name")),
                                      item);
        }
        assert_int_equal(json_object_size(names), json_array_size(cases));
        json_decref(names);
        json_decref(cases);
}

int main(void) {
        const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};

        return cmocka_run_group_tests(tests, NULL, NULL);
}
