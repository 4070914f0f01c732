/* SPDX-License-Identifier: MIT */

/* What is checked of a body before its fields, and numbers in it. */

#include "api-test.h"

#include "api/json-scan.h"
#include "api/json.h"

#define EMPTY_TARGET "/users" /* {} is an object here, and its first field is missing */

static void test_content_types(void **state) {
        static const char *const good[] = {
                        "application/json",
                        "Application/JSON",
                        "application/json; charset=utf-8",
                        "application/json ;charset=\"utf-8\"",
                        "application/vnd.api+json",
                        "application/problem+JSON;v=1",
        };
        static const char *const bad[] = {
                        NULL,
                        "",
                        "text/plain",
                        "text/json",
                        "application/jsonx",
                        "application/x-json",
                        "application/+json",
                        "application/a b+json",
                        "application/json, application/json",
                        "application/json application/a+json",
                        "application",
                        "multipart/form-data; boundary=x",
                        "x; application/json",
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                assert_int_equal(api_test_run(t, "POST", EMPTY_TARGET, good[i], SLICE("{}")), 0);
                assert_problem(t, 400, "username is required");
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(api_test_run(t, "POST", EMPTY_TARGET, bad[i], SLICE("{")), 0);
                assert_problem(t, 400, "Content-Type must be application/json");
        }
}

static void test_not_an_object(void **state) {
        static const Slice bad[] = {
                        SLICE(""),
                        SLICE(" "),
                        SLICE("{"),
                        SLICE("}"),
                        SLICE("{\"a\":"),
                        SLICE("null"),
                        SLICE("[]"),
                        SLICE("[{\"a\":1}]"),
                        SLICE("\"https://example.com\""),
                        SLICE("1"),
                        SLICE("true"),
                        SLICE("{} x"),
                        SLICE("{}{}"),
                        SLICE("{}\0"),
                        SLICE("{\"a\":true\0}"),
                        SLICE("{\"a\":1e00\0}"),
                        SLICE("{\"a\":NaN}"),
                        SLICE("{\"a\":Infinity}"),
                        SLICE("{\"a\":-Infinity}"),
                        SLICE("{\"a\":nul1l}"),
                        SLICE("{\"a\":01}"),
                        SLICE("{\"a\":-}"),
                        SLICE("{\"a\":+1}"),
                        SLICE("{\"a\":.5}"),
                        SLICE("{\"a\":1.}"),
                        SLICE("{\"a\":1e}"),
                        SLICE("{\"a\":1e+}"),
                        SLICE("{\"a\":1.5.5}"),
                        SLICE("{\"a\":1-1}"),
                        SLICE("{\"a\":1 2}"),
                        SLICE("{\"a\":1\"b\"}"),
                        SLICE("{\"a\":0x10}"),
                        SLICE("{1:2}"),
                        SLICE("{\"a\" 1}"),
                        SLICE("{\"a\":1,}"),
                        SLICE("{a:1}"),
                        SLICE("{'a':1}"),
                        SLICE("{\"a\":\"b}"),
                        SLICE("{\"a\":\"b\\"),
                        SLICE("{\"a\":\"\\u12\"}"),
                        SLICE("{\"a\":\"\\x\"}"),
                        SLICE("{\"a\":\"\n\"}"),
                        SLICE("{\"a\":\"\0\"}"),
                        SLICE("{\"a\":\"\xE9\"}"),
                        SLICE("{\"a\":\"\xED\xA0\x80\"}"),
                        SLICE("{\"\xC0\x80\":1}"),
                        SLICE("{\"a\":1/**/}"),
                        SLICE("\xEF\xBB\xBF{}"),
                        /* Wrong twice: that it is no object comes first. */
                        SLICE("[\"\\u0000\"]"),
                        SLICE("{\"a\":\"\\ud800\""),
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(api_test_run(t, "POST", EMPTY_TARGET, "application/json", bad[i]),
                                 0);
                assert_problem(t, 400, "Request body must be a JSON object");
        }
        assert_int_equal(api_test_run(t, "POST", EMPTY_TARGET, "application/json", SLICE_NONE), 0);
        assert_problem(t, 400, "Request body must be a JSON object");
}

static void test_depth(void **state) {
        ApiTest *t = *state;
        char *open = api_repeat('[', 15), *close = api_repeat(']', 15);
        char *deep = api_repeat('[', 100000);
        char *json = api_format("{\"a\":%s%s}", open, close);

        api_post(t, EMPTY_TARGET, json);
        assert_problem(t, 400, "username is required");
        free(json);
        json = api_format("{\"a\":[%s%s]}", open, close);
        api_post(t, EMPTY_TARGET, json);
        assert_problem(t, 400, "Request body must be a JSON object");
        free(json);
        /* Beside each other they are as many as they like; in a text they are none. */
        json = api_format("{\"a\":%s%s,\"b\":%s%s,\"c\":\"%s\"}", open, close, open, close, deep);
        api_post(t, EMPTY_TARGET, json);
        assert_problem(t, 400, "username is required");
        free(json);
        api_post(t, EMPTY_TARGET, deep);
        assert_problem(t, 400, "Request body must be a JSON object");
        free(deep);
        free(open);
        free(close);
}

static void test_unknown_fields_and_duplicates(void **state) {
        ApiTest *t = *state;

        api_post(t, "/users",
                 "{\"username\":5,\"username\":\"ann\",\"email\":\"a@b.co\",\"\":1,\"x\":{"
                 "\"username\":"
                 "\"y\"},\"big\":123456789012345678901234567890,\"inf\":1e999,\"tab\":\"a\\tb\"}");
        assert_int_equal(t->exchange.response.status, 201);
        assert_non_null(strstr(api_body(t), "\"username\":\"ann\""));
        api_post(t, "/users", "{\"username\":\"a\",\"email\":\"c@b.co\",\"x\":\"\\u0000\"}");
        assert_problem(t, 400, "Bad request");
        api_post(t, "/users", "{\"username\":\"a\",\"email\":\"c@b.co\",\"\\u0000\":1}");
        assert_problem(t, 400, "Bad request");
}

/* What user_id may look like; the URL before it is good. */
static void post_user_id(ApiTest *t, const char *user_id) {
        char *json = api_format("{\"url\":\"https://example.com/\",\"user_id\":%s}", user_id);

        api_post(t, "/urls", json);
        free(json);
}

static void test_integers(void **state) {
        static const char *const one[] = {"1",     "1.0",   "1e0",        "1E+0",      "100e-2",
                                          "0.1e1", "10e-1", "0.00100e+3", "1.000e000", "1e-0"};
        static const char *const none[] = {"1.5",
                                           "1e-1",
                                           "0.1",
                                           "true",
                                           "false",
                                           "\"1\"",
                                           "\"\"",
                                           "\"abc\"",
                                           "[]",
                                           "[1]",
                                           "{}",
                                           "1e400",
                                           "-1e400",
                                           "1e19",
                                           "1e-400",
                                           "9223372036854775808",
                                           "-9223372036854775809",
                                           "18446744073709551616",
                                           "184467440737095516160",
                                           "99999999999999999999999999999999999999",
                                           "1e99999999999999999999",
                                           "1e-99999999999999999999",
                                           "92233720368547758070.5"};
        static const char *const negative[] = {"0",     "-0",   "0.0",
                                               "0e400", "-1",   "-1.0",
                                               "-3",    "-1e3", "-9223372036854775808"};
        static const char *const unknown[] = {"99999999999", "9223372036854775807", "2e0", "9e18"};
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        for (size_t i = 0; i < ELEMENTSOF(one); i++) {
                post_user_id(t, one[i]);
                assert_int_equal(t->exchange.response.status, 201);
                assert_non_null(strstr(api_body(t), "\"user_id\":1}"));
        }
        for (size_t i = 0; i < ELEMENTSOF(none); i++) {
                post_user_id(t, none[i]);
                assert_problem(t, 400, "user_id must be an integer");
        }
        for (size_t i = 0; i < ELEMENTSOF(negative); i++) {
                post_user_id(t, negative[i]);
                assert_problem(t, 400, "user_id must be a positive integer");
        }
        for (size_t i = 0; i < ELEMENTSOF(unknown); i++) {
                post_user_id(t, unknown[i]);
                assert_problem(t, 404, "User not found");
        }
}

/* An assumption about jansson that json-scan.c leans on: a member's name holds no NUL. */
static void test_marks_cannot_be_sent(void **state) {
        ApiTest *t = *state;

        post_user_id(t, "\"\\u00001\"");
        assert_problem(t, 400, "Bad request");
        post_user_id(t, "\"\\u0000\"");
        assert_problem(t, 400, "Bad request");
}

static void test_scan(void **state) {
        static const struct {
                const char *in, *out;
                bool bad_text;
        } cases[] = {
                        {"{\"a\":[-1.5e+3, 0]}", "{\"a\":[\"\\u0000-1.5e+3\", \"\\u00000\"]}",
                         false},
                        {"\"12\\\"3[[[\"4", "\"12\\\"3[[[\"\"\\u00004\"", false},
                        {"\"\\ud83d\\uDE00\"", "\"\\ud83d\\uDE00\"", false},
                        {"\"\\uD83D\\uD83D\\uDE00\"", "\"\\uFFFD\\uD83D\\uDE00\"", true},
                        {"\"\\uDE00\"", "\"\\uFFFD\"", true},
                        {"\"\\uD83D", "\"\\uFFFD", true},
                        {"\"\\u0000\"", "\"\\uFFFD\"", true},
                        {"\"\\\\u0000\"", "\"\\\\u0000\"", false},
                        {"\"\\u00g0\"", "\"\\u00g0\"", false},
                        {"\"\\", "\"\\", false},
                        {"]]}", "]]}", false},
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(buffer_done) Buffer out = BUFFER_EMPTY;
                bool bad_text = false;

                assert_true(json_scan(slice_from_string(cases[i].in), 2, &out, &bad_text));
                assert_int_equal(bad_text, cases[i].bad_text);
                assert_int_equal(out.len, strlen(cases[i].out));
                assert_memory_equal(out.data, cases[i].out, out.len);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_content_types), API_TEST(test_not_an_object),
                        API_TEST(test_depth),         API_TEST(test_unknown_fields_and_duplicates),
                        API_TEST(test_integers),      API_TEST(test_marks_cannot_be_sent),
                        cmocka_unit_test(test_scan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
