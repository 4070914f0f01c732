/* SPDX-License-Identifier: MIT */

/* Links: fields and their order, codes, the events that a change leaves, soft deletion. */

#include "api-test.h"

#define BAD_URL "A valid HTTP or HTTPS URL is required"

/* The URL object that the fixture's clock gives. */
static char *url_json(int64_t id, const char *target, const char *code, const char *title,
                      const char *user_id, bool is_active) {
        return api_format("{\"created_at\":\"" API_TEST_TIME "\",\"id\":%" PRIi64
                          ",\"is_active\":%s,\"original_url\":\"%s\",\"short_code\":\"%s\","
                          "\"title\":%s,\"updated_at\":\"" API_TEST_TIME "\",\"user_id\":%s}",
                          id, is_active ? "true" : "false", target, code, title, user_id);
}

static void test_create(void **state) {
        ApiTest *t = *state;
        char code[33], *json;

        api_add_user(t, "ann", "ann@example.com");
        api_post(t, "/urls",
                 "{\"original_url\":\" HTTPS://EXAMPLE.COM/\xC3\xA9 \",\"title\":\" pad \","
                 "\"user_id\":1.0,\"short_code\":\"custom\",\"is_active\":false,\"id\":99}");
        assert_int_equal(t->call.n_urls_created, 1);
        assert_int_equal(t->call.log_url_id, 1);
        assert_int_equal(t->call.log_code.len, 6);
        (void)snprintf(code, sizeof(code), "%.*s", SLICE_ARG(t->call.log_code));
        json = url_json(1, "HTTPS://EXAMPLE.COM/\\u00E9", code, "\"pad\"", "1", true);
        assert_answer(t, 201, json);
        api_get(t, "/urls/1");
        assert_answer(t, 200, json);
        free(json);

        api_get(t, "/urls/1/events");
        json = api_format("[{\"details\":{\"original_url\":\"HTTPS://EXAMPLE.COM/\\u00E9\","
                          "\"short_code\":\"%s\"},\"event_type\":\"created\",\"id\":1,"
                          "\"timestamp\":\"" API_TEST_TIME "\",\"url_id\":1,\"user_id\":1}]",
                          code);
        assert_answer(t, 200, json);
        free(json);
}

/* Twice the same: two rows, two codes. */
static void test_create_twice(void **state) {
        ApiTest *t = *state;
        char one[33], two[33];

        api_add_url(t, "https://example.com/", 0, one);
        api_add_url(t, "https://example.com/", 0, two);
        assert_string_not_equal(one, two);
        api_get(t, "/urls");
        assert_int_equal(api_count(t), 2);
}

static void test_user_has_enough(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_user(t, "bob", "bob@example.com");
        t->context.user_links_max = 2;
        api_add_url(t, "https://example.com/", 1, NULL);
        api_add_url(t, "https://example.com/", 1, NULL);
        api_delete(t, "/urls/1");
        api_post(t, "/urls", "{\"url\":\"https://example.com/\",\"user_id\":1}");
        assert_problem(t, 403, "This user may have no more links");
        assert_int_equal(t->call.n_urls_created, 0);
        /* What is wrong with the request comes first. */
        api_post(t, "/urls", "{\"url\":\"example\",\"user_id\":1}");
        assert_problem(t, 400, BAD_URL);
        api_post(t, "/urls", "{\"url\":\"https://example.com/\",\"user_id\":9}");
        assert_problem(t, 404, "User not found");
        api_add_url(t, "https://example.com/", 2, NULL);
        api_add_url(t, "https://example.com/", 0, NULL);
        /* The old one may be used again. */
        api_put(t, "/urls/1", "{\"is_active\":true,\"url\":\"https://example.org/\"}");
        assert_int_equal(t->exchange.response.status, 200);
        /* A token's owner is the user of what it makes. */
        t->actor = (CallActor){.token_id = 1, .owner = 1, .bound = true};
        api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
        assert_problem(t, 403, "This user may have no more links");
}

static void test_alias(void **state) {
        static const char *const good[] = {
                        "{\"url\":\"https://x.co/\"}",
                        "{\"original_url\":null,\"url\":\"https://x.co/\"}",
                        "{\"original_url\":\"\",\"url\":\"https://x.co/\"}",
                        "{\"original_url\":\"https://x.co/\",\"url\":5}",
                        "{\"original_url\":\"https://x.co/\",\"title\":null,\"user_id\":null}",
                        "{\"url\":\"https://x.co/\",\"title\":\"  \"}",
                        "{\"url\":\"https://x.co/\",\"title\":\"\"}",
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                api_post(t, "/urls", good[i]);
                assert_int_equal(t->exchange.response.status, 201);
                assert_non_null(strstr(api_body(t), "\"original_url\":\"https://x.co/\""));
                assert_non_null(strstr(api_body(t), "\"title\":null"));
                assert_non_null(strstr(api_body(t), "\"user_id\":null"));
        }
}

static void test_url_required(void **state) {
        static const char *const bad[] = {
                        "{}",
                        "{\"original_url\":null}",
                        "{\"original_url\":\"\"}",
                        "{\"original_url\":\"  \"}",
                        "{\"original_url\":5}",
                        "{\"original_url\":1e400}",
                        "{\"original_url\":true}",
                        "{\"original_url\":[\"https://x.co/\"]}",
                        "{\"original_url\":{}}",
                        "{\"original_url\":5,\"url\":\"https://x.co/\"}",
                        "{\"url\":null}",
                        "{\"url\":\"\"}",
                        "{\"url\":7}",
                        "{\"original_url\":\"\",\"url\":\" \",\"user_id\":0,\"title\":5}",
        };
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                api_post(t, "/urls", bad[i]);
                assert_problem(t, 400, "url is required");
        }
}

static const char *const bad_targets[] = {
                "bad",
                "ftp://files.example.com",
                "http://",
                "http:///path",
                "https://exa mple.com/x",
                "https://example.com:99999/x",
                "https://example.com/\\r\\nX: y",
                "https://example.com/\\u0001",
                "https://user:secret@example.com/",
                "https://a/",
                "javascript:alert(1)",
                "//example.com/",
};

static void test_url_invalid(void **state) {
        ApiTest *t = *state;
        char *path = api_repeat('p', 2048), *json;

        for (size_t i = 0; i < ELEMENTSOF(bad_targets); i++) {
                json = api_format("{\"original_url\":\"%s\",\"user_id\":99}", bad_targets[i]);
                api_post(t, "/urls", json);
                assert_problem(t, 400, BAD_URL);
                free(json);
        }
        json = api_format("{\"url\":\"https://example.com/%s\"}", path);
        api_post(t, "/urls", json);
        assert_problem(t, 400, BAD_URL);
        free(json);
        json = api_format("{\"url\":\"https://example.com/%s\"}",
                          path + strlen("https://example.com/"));
        api_post(t, "/urls", json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);
        free(path);
        api_add_url(t, "http://ab", 0, NULL);
        api_add_url(t, "http://localhost:8080/", 0, NULL);
        api_add_url(t, "http://192.168.0.1/", 0, NULL);
}

static void test_title(void **state) {
        static const char *const bad[] = {"5", "1e400", "true", "[]", "{}"};
        ApiTest *t = *state;
        char *title = api_repeat('t', 256), *json;

        api_add_url(t, "https://example.com/", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                json = api_format("{\"url\":\"https://example.com/\",\"title\":%s}", bad[i]);
                api_post(t, "/urls", json);
                assert_problem(t, 400, "title must be a string");
                free(json);
                json = api_format("{\"title\":%s,\"is_active\":5}", bad[i]);
                api_put(t, "/urls/1", json);
                assert_problem(t, 400, "title must be a string");
                free(json);
        }
        json = api_format("{\"url\":\"https://example.com/\",\"title\":\"%s\"}", title);
        api_post(t, "/urls", json);
        assert_problem(t, 400, "title must be 255 characters or fewer");
        api_put(t, "/urls/1", json);
        assert_problem(t, 400, "title must be 255 characters or fewer");
        free(json);
        free(title);
        api_post(t, "/urls", "{\"url\":\"https://example.com/\",\"title\":\"a\\u0000\"}");
        assert_problem(t, 400, "Bad request");
        api_put(t, "/urls/1", "{\"title\":\"a\\nb\"}");
        assert_problem(t, 400, "Bad request");
}

/* The URL, then user_id with its existence, then title. */
static void test_create_order(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_post(t, "/urls", "{\"url\":\"bad\",\"user_id\":99}");
        assert_problem(t, 400, BAD_URL);
        api_post(t, "/urls", "{\"url\":\"https://x.co/\",\"user_id\":0,\"title\":5}");
        assert_problem(t, 400, "user_id must be a positive integer");
        api_post(t, "/urls", "{\"url\":\"https://x.co/\",\"user_id\":99,\"title\":5}");
        assert_problem(t, 404, "User not found");
        api_post(t, "/urls", "{\"url\":\"https://x.co/\",\"user_id\":1,\"title\":5}");
        assert_problem(t, 400, "title must be a string");
        api_post(t, "/urls", "{\"url\":\"https://x.co/\",\"user_id\":99}");
        assert_problem(t, 404, "User not found");
        api_get(t, "/events");
        assert_answer(t, 200, "[]");
}

/* Fault 18 of the reference: a code that is a route's name could not be reached. */
static void test_reserved_codes_are_not_used(void **state) {
        ApiTest *t = *state;

        t->n_reserved = 19;
        api_add_url(t, "https://example.com/", 0, NULL);
        assert_int_equal(t->n_reserved, 0);
        t->n_reserved = 100;
        assert_int_equal(api_test_run(t, "POST", "/urls", "application/json",
                                      SLICE("{\"url\":\"https://example.com/\"}")),
                         -EEXIST);
        assert_int_equal(t->call.n_urls_created, 0);
        t->n_reserved = 0;
        api_get(t, "/urls");
        assert_int_equal(api_count(t), 1);
}

static void test_code_length(void **state) {
        static const size_t lengths[] = {4, 10, 32};
        ApiTest *t = *state;
        char code[33];

        for (size_t i = 0; i < ELEMENTSOF(lengths); i++) {
                t->context.code_length = lengths[i];
                api_add_url(t, "https://example.com/", 0, code);
                assert_int_equal(strlen(code), lengths[i]);
                assert_int_equal(strspn(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                              "0123456789"),
                                 lengths[i]);
        }
}

static void test_update(void **state) {
        ApiTest *t = *state;
        char code[33], *json;

        api_add_url(t, "https://example.com/k", 0, code);
        api_put(t, "/urls/1",
                "{\"original_url\":\" https://example.com/k2 \",\"short_code\":\"x\"}");
        json = url_json(1, "https://example.com/k2", code, "null", "null", true);
        assert_answer(t, 200, json);
        free(json);
        assert_int_equal(t->call.log_url_id, 1);
        assert_int_equal(t->call.n_urls_created, 0);

        api_put(t, "/urls/1", "{\"url\":\"https://example.com/k3\"}");
        api_put(t, "/urls/1", "{\"is_active\":false,\"title\":\" two \"}");
        json = url_json(1, "https://example.com/k3", code, "\"two\"", "null", false);
        assert_answer(t, 200, json);
        free(json);
        api_put(t, "/urls/1", "{\"original_url\":\"\",\"url\":\"https://example.com/k4\"}");
        assert_int_equal(t->exchange.response.status, 200);
        api_put(t, "/urls/1", "{\"title\":\"\"}");
        api_put(t, "/urls/1", "{}");
        json = url_json(1, "https://example.com/k4", code, "null", "null", false);
        assert_answer(t, 200, json);
        free(json);
}

/* updated_at moves with each PUT, one that changes nothing too; created_at never does. */
static void test_update_time(void **state) {
        static const char *const bodies[] = {"{}", "{\"title\":null}", "{\"is_active\":true}"};
        ApiTest *t = *state;

        api_add_url(t, "https://example.com/", 0, NULL);
        for (unsigned i = 0; i < ELEMENTSOF(bodies); i++) {
                char *updated = api_format("\"updated_at\":\"2026-01-02T03:04:%02u\"", 6 + i);

                t->now_sec++;
                api_put(t, "/urls/1", bodies[i]);
                assert_non_null(strstr(api_body(t), updated));
                assert_non_null(strstr(api_body(t), "\"created_at\":\"" API_TEST_TIME "\""));
                free(updated);
        }
        /* The empty one left no event. */
        api_get(t, "/events");
        assert_int_equal(api_count(t), 3);
        assert_non_null(strstr(api_body(t), "\"timestamp\":\"2026-01-02T03:04:08\""));
}

/* What an update event says, newest first in the list. */
static char *updated_json(int64_t id, const char *field, const char *value) {
        return api_format("{\"details\":{\"field\":\"%s\",\"new_value\":\"%s\"},\"event_type\":"
                          "\"updated\",\"id\":%" PRIi64 ",\"timestamp\":\"" API_TEST_TIME
                          "\",\"url_id\":1,\"user_id\":null}",
                          field, value, id);
}

static void test_update_events(void **state) {
        static const struct {
                const char *body, *field, *value;
        } one[] = {
                        {"{\"is_active\":true}", "is_active", "True"},
                        {"{\"is_active\":false}", "is_active", "False"},
                        {"{\"title\":null}", "title", "None"},
                        {"{\"title\":\"  \"}", "title", "None"},
                        {"{\"title\":\" None\xC3\xA9 \"}", "title", "None\\u00E9"},
                        {"{\"url\":\" https://x.co/ \"}", "original_url", "https://x.co/"},
        };
        ApiTest *t = *state;
        char *events[3], *list;

        api_add_url(t, "https://example.com/", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(one); i++) {
                api_put(t, "/urls/1", one[i].body);
                api_get(t, "/urls/1/events?per_page=1");
                events[0] = updated_json((int64_t)i + 2, one[i].field, one[i].value);
                list = api_format("[%s]", events[0]);
                assert_answer(t, 200, list);
                free(list);
                free(events[0]);
        }

        api_put(t, "/urls/1", "{}");
        api_put(t, "/urls/1",
                "{\"is_active\":true,\"title\":\"x\",\"original_url\":\"https://y.co/\"}");
        api_get(t, "/urls/1/events?per_page=3");
        events[0] = updated_json(10, "is_active", "True");
        events[1] = updated_json(9, "title", "x");
        events[2] = updated_json(8, "original_url", "https://y.co/");
        list = api_format("[%s,%s,%s]", events[0], events[1], events[2]);
        assert_answer(t, 200, list);
        free(list);
        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                free(events[i]);
}

static void test_update_refused(void **state) {
        static const char *const bad_urls[] = {
                        "{\"original_url\":null}",
                        "{\"original_url\":\"\"}",
                        "{\"original_url\":5}",
                        "{\"original_url\":\"  \"}",
                        "{\"url\":null}",
                        "{\"url\":[]}",
                        "{\"original_url\":\"bad\"}",
                        "{\"url\":1e400,\"title\":5}",
                        "{\"original_url\":null,\"url\":null,\"is_active\":1}",
        };
        static const char *const bad_active[] = {"\"false\"", "1",  "0", "null",
                                                 "1e400",     "[]", "{}"};
        ApiTest *t = *state;
        char code[33], *json;

        api_add_url(t, "https://example.com/", 0, code);
        for (size_t i = 0; i < ELEMENTSOF(bad_urls); i++) {
                api_put(t, "/urls/1", bad_urls[i]);
                assert_problem(t, 400, BAD_URL);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad_targets); i++) {
                json = api_format("{\"url\":\"%s\"}", bad_targets[i]);
                api_put(t, "/urls/1", json);
                assert_problem(t, 400, BAD_URL);
                free(json);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad_active); i++) {
                json = api_format("{\"url\":\"https://x.co/\",\"title\":\"x\",\"is_active\":%s}",
                                  bad_active[i]);
                api_put(t, "/urls/1", json);
                assert_problem(t, 400, "is_active must be a boolean");
                free(json);
        }
        /* Nothing of it took effect. */
        api_get(t, "/urls/1");
        json = url_json(1, "https://example.com/", code, "null", "null", true);
        assert_answer(t, 200, json);
        free(json);
        api_get(t, "/events");
        assert_int_equal(api_count(t), 1);
}

static void test_update_order(void **state) {
        ApiTest *t = *state;

        assert_int_equal(api_test_run(t, "PUT", "/urls/9", "text/plain", SLICE("{")), 0);
        assert_problem(t, 400, "Content-Type must be application/json");
        api_put(t, "/urls/9", "[]");
        assert_problem(t, 400, "Request body must be a JSON object");
        api_put(t, "/urls/9", "{\"is_active\":5}");
        assert_problem(t, 404, "URL not found");
}

static void test_not_found(void **state) {
        static const char *const ids[] = {"1", "0", "99999999999999999999"};
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                char *target = api_format("/urls/%s", ids[i]);
                char *stats = api_format("/urls/%s/stats", ids[i]);
                char *events = api_format("/urls/%s/events?page=-1", ids[i]);

                api_get(t, target);
                assert_problem(t, 404, "URL not found");
                api_put(t, target, "{}");
                assert_problem(t, 404, "URL not found");
                api_delete(t, target);
                assert_problem(t, 404, "URL not found");
                api_get(t, stats);
                assert_problem(t, 404, "URL not found");
                api_get(t, events);
                assert_problem(t, 404, "URL not found");
                free(target);
                free(stats);
                free(events);
        }
}

/* Fault 6 of the reference: of two deletions one is 204, and there is one event. */
static void test_delete_once(void **state) {
        ApiTest *t = *state;
        char code[33], *json;

        api_add_url(t, "https://example.com/", 0, code);
        api_delete(t, "/urls/1");
        assert_answer(t, 204, "");
        assert_int_equal(t->call.log_url_id, 1);
        api_delete(t, "/urls/1");
        assert_problem(t, 404, "URL not found");
        api_get(t, "/urls/1");
        json = url_json(1, "https://example.com/", code, "null", "null", false);
        assert_answer(t, 200, json);
        free(json);
        api_get(t, "/events?event_type=deleted");
        assert_answer(t, 200,
                      "[{\"details\":{\"reason\":\"user_requested\"},\"event_type\":\"deleted\","
                      "\"id\":2,\"timestamp\":\"" API_TEST_TIME
                      "\",\"url_id\":1,\"user_id\":null}]");
        /* Switched on again it can be deleted again. */
        api_put(t, "/urls/1", "{\"is_active\":true}");
        api_delete(t, "/urls/1");
        assert_answer(t, 204, "");
}

static void test_stats(void **state) {
        ApiTest *t = *state;
        char code[33], *json, *stats;

        api_add_url(t, "https://example.com/", 0, code);
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"redirect\"}");
        api_post(t, "/events", "{\"url_id\":1,\"event_type\":\"view\"}");
        api_delete(t, "/urls/1");
        api_get(t, "/urls/1/stats");
        json = url_json(1, "https://example.com/", code, "null", "null", false);
        stats = api_format("{\"redirect_count\":1,\"url\":%s}", json);
        assert_answer(t, 200, stats);
        assert_int_equal(t->call.log_url_id, 1);
        free(stats);
        free(json);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_create),
                        API_TEST(test_user_has_enough),
                        API_TEST(test_create_twice),
                        API_TEST(test_alias),
                        API_TEST(test_url_required),
                        API_TEST(test_url_invalid),
                        API_TEST(test_title),
                        API_TEST(test_create_order),
                        API_TEST(test_reserved_codes_are_not_used),
                        API_TEST(test_code_length),
                        API_TEST(test_update),
                        API_TEST(test_update_time),
                        API_TEST(test_update_events),
                        API_TEST(test_update_refused),
                        API_TEST(test_update_order),
                        API_TEST(test_not_found),
                        API_TEST(test_delete_once),
                        API_TEST(test_stats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
