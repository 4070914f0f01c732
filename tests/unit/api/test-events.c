/* SPDX-License-Identifier: MIT */

/* Events: fields in their order, details as they are kept, filters. */

#include "api-test.h"

static void test_create(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 0, NULL);
        api_delete(t, "/urls/1");
        api_post(t, "/events",
                 "{\"url_id\":1,\"event_type\":\" click \",\"user_id\":1,\"timestamp\":"
                 "\"2000-01-01T00:00:00\",\"id\":77,\"details\":{\"referrer\":\"https://g.co\"}}");
        assert_answer(t, 201,
                      "{\"details\":{\"referrer\":\"https://"
                      "g.co\"},\"event_type\":\"click\",\"id\":3,"
                      "\"timestamp\":\"" API_TEST_TIME "\",\"url_id\":1,\"user_id\":1}");
        assert_int_equal(t->call.log_url_id, 1);
        api_post(t, "/events", "{\"url_id\":1e0,\"event_type\":\"view\"}");
        assert_answer(t, 201,
                      "{\"details\":null,\"event_type\":\"view\",\"id\":4,\"timestamp\":"
                      "\"" API_TEST_TIME "\",\"url_id\":1,\"user_id\":null}");
}

static void test_url_id(void **state) {
        static const char *const wrong[] = {"\"1\"", "1.5", "true", "[]", "{}", "1e400", "\"\""};
        static const char *const negative[] = {"0", "-3", "-1.0"};
        ApiTest *t = *state;
        char *json;

        api_post(t, "/events", "{}");
        assert_problem(t, 400, "url_id is required");
        api_post(t, "/events", "{\"url_id\":null,\"event_type\":5}");
        assert_problem(t, 400, "url_id is required");
        for (size_t i = 0; i < ELEMENTSOF(wrong); i++) {
                json = api_format("{\"url_id\":%s}", wrong[i]);
                api_post(t, "/events", json);
                assert_problem(t, 400, "url_id must be an integer");
                free(json);
        }
        for (size_t i = 0; i < ELEMENTSOF(negative); i++) {
                json = api_format("{\"url_id\":%s}", negative[i]);
                api_post(t, "/events", json);
                assert_problem(t, 400, "url_id must be a positive integer");
                free(json);
        }
}

static void test_event_type(void **state) {
        static const char *const bad[] = {"null",         "\"\"",     "\"   \"", "5",
                                          "1e400",        "[\"x\"]",  "{}",      "true",
                                          "\"a\\u0007\"", "\"a\\tb\""};
        ApiTest *t = *state;
        char *type = api_repeat('e', 256), *json;

        api_add_url(t, "https://example.com/", 0, NULL);
        api_post(t, "/events", "{\"url_id\":1}");
        assert_problem(t, 400, "event_type is required");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                json = api_format("{\"url_id\":1,\"event_type\":%s}", bad[i]);
                api_post(t, "/events", json);
                assert_problem(t, 400, "event_type is required");
                free(json);
        }
        json = api_format("{\"url_id\":1,\"event_type\":\"%s\"}", type);
        api_post(t, "/events", json);
        assert_problem(t, 400, "event_type is required");
        free(json);
        json = api_format("{\"url_id\":1,\"event_type\":\"%s\"}", type + 1);
        api_post(t, "/events", json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);
        free(type);
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"x\\u0000\"}");
        assert_problem(t, 400, "Bad request");
}

/* url_id with its existence, event_type, user_id with its existence, details. */
static void test_create_order(void **state) {
        ApiTest *t = *state;

        api_add_url(t, "https://example.com/", 0, NULL);
        api_add_user(t, "ann", "ann@example.com");
        api_post(t, "/events", "{\"url_id\":9,\"event_type\":5,\"user_id\":0,\"details\":5}");
        assert_problem(t, 404, "URL not found");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":5,\"user_id\":0,\"details\":5}");
        assert_problem(t, 400, "event_type is required");
        api_post(t, "/events", "{\"url_id\":9,\"event_type\":\"x\",\"user_id\":0,\"details\":5}");
        assert_problem(t, 404, "URL not found");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":0,\"details\":5}");
        assert_problem(t, 400, "user_id must be a positive integer");
        api_post(t, "/events",
                 "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":\"1\",\"details\":5}");
        assert_problem(t, 400, "user_id must be an integer");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":9,\"details\":5}");
        assert_problem(t, 404, "User not found");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":1,\"details\":5}");
        assert_problem(t, 400, "details must be a JSON object");
        api_post(t, "/events", "{\"url_id\":9,\"event_type\":\"x\",\"user_id\":9}");
        assert_problem(t, 404, "URL not found");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":9}");
        assert_problem(t, 404, "User not found");
        api_get(t, "/events");
        assert_int_equal(api_count(t), 1);
}

static void post_details(ApiTest *t, const char *details) {
        char *json = api_format("{\"url_id\":1,\"event_type\":\"x\",\"details\":%s}", details);

        api_post(t, "/events", json);
        free(json);
}

static void test_details(void **state) {
        static const struct {
                const char *in, *out;
        } good[] = {
                        {"null", "null"},
                        {"{}", "{}"},
                        {" { \"b\" : [ ] , \"a\" : { \"d\" : true , \"c\" : [false,null,\"\"] } } ",
                         "{\"a\":{\"c\":[false,null,\"\"],\"d\":true},\"b\":[]}"},
                        {"{\"a\":1,\"a\":2}", "{\"a\":2}"},
                        {"{\"Z\":1,\"a\":2,\"\xC3\xA9\":\"\xF0\x9F\x98\x80\",\"\":0}",
                         "{\"\":0,\"Z\":1,\"a\":2,\"\\u00E9\":\"\\uD83D\\uDE00\"}"},
                        {"{\"q\":\"\\\"\\\\\\/<\"}", "{\"q\":\"\\\"\\\\/<\"}"},
                        /* Numbers keep every digit. */
                        {"{\"n\":[0.1,1.0,-0,1e2,18446744073709551616,1e400,9007199254740993]}",
                         "{\"n\":[0.1,1.0,-0,1e2,18446744073709551616,1e400,9007199254740993]}"},
        };
        static const char *const bad[] = {"\"word\"", "5", "1e400", "[]", "true", "\"\""};
        static const char *const control[] = {"{\"a\":\"x\\u0001\"}", "{\"a\\n\":1}",
                                              "{\"a\":[{\"b\":\"\\u0085\"}]}",
                                              "{\"a\":{\"b\\u0000\":1}}", "{\"a\":\"\\ud800\"}"};
        ApiTest *t = *state;

        api_add_url(t, "https://example.com/", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                char *start = api_format("{\"details\":%s,", good[i].out);

                post_details(t, good[i].in);
                assert_int_equal(t->exchange.response.status, 201);
                assert_memory_equal(api_body(t), start, strlen(start));
                api_get(t, "/events?per_page=1");
                assert_memory_equal(api_body(t) + 1, start, strlen(start));
                free(start);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                post_details(t, bad[i]);
                assert_problem(t, 400, "details must be a JSON object");
        }
        for (size_t i = 0; i < ELEMENTSOF(control); i++) {
                post_details(t, control[i]);
                assert_problem(t, 400, "Bad request");
        }
}

/* 4,096 bytes as kept, blanks not counted. */
static void test_details_size(void **state) {
        ApiTest *t = *state;
        char *text = api_repeat('d', 4096), *blanks = api_repeat(' ', 9000), *json;

        api_add_url(t, "https://example.com/", 0, NULL);
        json = api_format("{%s\"a\":\"%s\"}", blanks, text + strlen("{\"a\":\"\"}"));
        post_details(t, json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);
        json = api_format("{\"a\":\"%s\"}", text + strlen("{\"a\":\"\"}") - 1);
        post_details(t, json);
        assert_problem(t, 400, "Bad request");
        free(json);
        free(text);
        free(blanks);
}

static void count(ApiTest *t, const char *target, size_t expected) {
        api_get(t, target);
        assert_int_equal(api_count(t), expected);
}

static void test_filters(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL); /* 1: created, by 1 */
        api_add_url(t, "https://example.com/", 0, NULL); /* 2: created */
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"click\",\"user_id\":1}");
        api_post(t, "/events", "{\"url_id\":2,\"event_type\":\"Click\"}");
        api_post(t, "/events", "{\"url_id\":2,\"event_type\":\"a b&c\"}");

        count(t, "/events", 5);
        count(t, "/events?event_type=click", 1);
        count(t, "/events?type=click", 1);
        count(t, "/events?type=Click", 1);
        count(t, "/events?event_type=a+b%26c", 1);
        count(t, "/events?event_type=clic", 0);
        count(t, "/events?event_type=Click&type=click", 1);
        assert_non_null(strstr(api_body(t), "\"Click\""));
        count(t, "/events?event_type=", 5);
        count(t, "/events?type=", 5);
        count(t, "/events?event_type=&type=click", 5);
        count(t, "/events?url_id=1", 2);
        count(t, "/events?url_id=001&event_type=created", 1);
        count(t, "/events?url_id=99999999", 0);
        count(t, "/events?url_id=0", 0);
        count(t, "/events?url_id=-1", 0);
        count(t, "/events?url_id=99999999999999999999", 0);
        count(t, "/events?url_id=-99999999999999999999", 0);
        count(t, "/events?user_id=1", 2);
        count(t, "/events?user_id=1&url_id=1&event_type=click", 1);
        count(t, "/events?user_id=1&url_id=2", 0);
        count(t, "/events?user_id=0", 0);
        count(t, "/urls/2/events", 3);
        count(t, "/urls/2/events?url_id=1&event_type=x", 3);
}

static void test_bad_filters(void **state) {
        static const char *const bad[] = {"abc", "1.5", "", "1e2", "%00", "1%201", "0x1"};
        static const char *const types[] = {"%00", "a%0Ab", "%FF", "%ED%A0%80"};
        ApiTest *t = *state;
        char *target;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                target = api_format("/events?url_id=%s&user_id=x", bad[i]);
                api_get(t, target);
                assert_problem(t, 400, "url_id must be an integer");
                free(target);
                target = api_format("/events?user_id=%s", bad[i]);
                api_get(t, target);
                assert_problem(t, 400, "user_id must be an integer");
                free(target);
        }
        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                target = api_format("/events?event_type=%s", types[i]);
                api_get(t, target);
                assert_problem(t, 400, "Bad request");
                free(target);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_create),     API_TEST(test_url_id),
                        API_TEST(test_event_type), API_TEST(test_create_order),
                        API_TEST(test_details),    API_TEST(test_details_size),
                        API_TEST(test_filters),    API_TEST(test_bad_filters),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
