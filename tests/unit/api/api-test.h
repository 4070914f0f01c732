/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * For tests of the handlers: an in-memory store, a router with the API's routes, and one exchange
 * that is filled from method, target, content type and body, handed to the route's handler, and
 * kept with its answer until the next request. No sockets, no threads. The clock stands still but
 * for a test that moves it.
 */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "basic/clock.h"
#include "store/fake.h"

#define API_TEST_TIME "2026-01-02T03:04:05"
#define API_TEST_SEC  1767323045

typedef struct ApiTest {
        Store *store;
        StoreSession *session;
        HttpRouter *router;
        CallContext context;
        uint64_t now_sec;               /* API_TEST_SEC until a test moves it */
        Slice fields[HTTP_FIELD_NAMES]; /* of each request, until a test takes them back */
        bool repeated[HTTP_FIELD_NAMES];
        CallActor actor;
        unsigned n_reserved; /* so many codes in a row are a route's name */
        HttpExchange exchange;
        Call call;
        int result; /* what the last handler returned; 0 */
} ApiTest;

int api_test_setup(void **state);
int api_test_teardown(void **state);

/* content_type NULL: no such field. Returns the handler's result, or the router's status where no
 * handler is reached. */
int api_test_run(ApiTest *t, const char *method, const char *target, const char *content_type,
                 Slice body);

/* The usual requests: JSON bodies; the handler must answer. */
void api_get(ApiTest *t, const char *target);
void api_post(ApiTest *t, const char *target, const char *json);
void api_put(ApiTest *t, const char *target, const char *json);
void api_delete(ApiTest *t, const char *target);

/* The answer's body; NUL terminated. */
const char *api_body(ApiTest *t);
/* A response field's value, in static memory; NULL: not there. */
const char *api_field(ApiTest *t, const char *name);
/* How many rows the answer's array has. */
size_t api_count(ApiTest *t);

/* The answer is status and this JSON text (without its newline), or error. */
#define assert_answer(t, status, json) api_assert_answer((t), (status), (json), __FILE__, __LINE__)
#define assert_problem(t, status, text) \
 api_assert_problem((t), (status), (text), __FILE__, __LINE__)
void api_assert_answer(ApiTest *t, int status, const char *json, const char *file, int line);
void api_assert_problem(ApiTest *t, int status, const char *text, const char *file, int line);

/* POST that must end in 201. */
void api_add_user(ApiTest *t, const char *username, const char *email);
/* user_id 0: none. The code is copied to ret_code unless that is NULL. */
void api_add_url(ApiTest *t, const char *url, int64_t user_id, char ret_code[33]);

/* The digits that text begins with. */
int api_leading_number(const char *text);

/* An array of `count` bytes c and a NUL. */
char *api_repeat(char c, size_t count);
/* printf into malloc'ed memory. */
char *api_format(const char *format, ...) _printf_(1, 2);

#define API_TEST(f) cmocka_unit_test_setup_teardown(f, api_test_setup, api_test_teardown)
