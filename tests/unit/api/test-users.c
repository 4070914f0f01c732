/* SPDX-License-Identifier: MIT */

/* Users: every field rule with its words, and what a change leaves alone. */

#include "api-test.h"

#define ANN                         \
 "{\"created_at\":\"" API_TEST_TIME \
 "\",\"email\":\"ann@example.com\",\"id\":1,\"username\":\"ann\"}"

static void test_create_and_get(void **state) {
        ApiTest *t = *state;

        api_post(t, "/users",
                 "{\"username\":\" ann\\t\",\"email\":\"\\u3000ann@example.com \",\"id\":7,"
                 "\"created_at\":\"2000-01-01T00:00:00\",\"admin\":true}");
        assert_answer(t, 201, ANN);
        api_get(t, "/users/1");
        assert_answer(t, 200, ANN);
        api_get(t, "/users/001");
        assert_answer(t, 200, ANN);
        assert_int_equal(api_test_run(t, "HEAD", "/users/1", NULL, SLICE("")), 0);
        assert_answer(t, 200, ANN);

        api_post(t, "/users", "{\"username\":\"uni\xC3\xA9\\ud83d\\ude00\",\"email\":\"u@b.co\"}");
        assert_answer(t, 201,
                      "{\"created_at\":\"" API_TEST_TIME
                      "\",\"email\":\"u@b.co\",\"id\":2,\"username\":"
                      "\"uni\\u00E9\\uD83D\\uDE00\"}");
}

static void test_not_found(void **state) {
        static const char *const targets[] = {"/users/1", "/users/0", "/users/99999999999999999999",
                                              "/users/9223372036854775808"};
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(targets); i++) {
                api_get(t, targets[i]);
                assert_problem(t, 404, "User not found");
                api_put(t, targets[i], "{\"username\":5}");
                assert_problem(t, 404, "User not found");
                api_delete(t, targets[i]);
                assert_problem(t, 404, "User not found");
        }
        assert_int_equal(api_test_run(t, "GET", "/users/abc", NULL, SLICE("")), 404);
        assert_int_equal(api_test_run(t, "GET", "/users/bulk", NULL, SLICE("")), 405);
}

/* Each of them in place of a text that must be there. */
static const char *const no_texts[] = {"null",  "\"\"", "\"  \"",  "\"\\u00a0\\n\"", "12345",
                                       "1e400", "true", "[\"x\"]", "{\"a\":1}"};

static void test_username_required(void **state) {
        ApiTest *t = *state;

        api_post(t, "/users", "{\"email\":\"a@b.co\"}");
        assert_problem(t, 400, "username is required");
        api_post(t, "/users", "{}");
        assert_problem(t, 400, "username is required");
        for (size_t i = 0; i < ELEMENTSOF(no_texts); i++) {
                char *json = api_format("{\"username\":%s,\"email\":5}", no_texts[i]);

                api_post(t, "/users", json);
                assert_problem(t, 400, "username is required");
                free(json);
        }
}

static void test_email_required(void **state) {
        ApiTest *t = *state;

        api_post(t, "/users", "{\"username\":\"a\"}");
        assert_problem(t, 400, "email is required");
        for (size_t i = 0; i < ELEMENTSOF(no_texts); i++) {
                char *json = api_format("{\"username\":\"a\",\"email\":%s}", no_texts[i]);

                api_post(t, "/users", json);
                assert_problem(t, 400, "email is required");
                free(json);
        }
        api_get(t, "/users");
        assert_answer(t, 200, "[]");
}

static void test_email_format(void **state) {
        static const char *const bad[] = {"a",       "a@b",     "@b.com",      "a@",
                                          "a@b@c.d", "a b@c.d", "a@b c.d",     "a@.",
                                          "a@.com",  "a@com.",  "a\\u0001@b.c"};
        ApiTest *t = *state;

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *json = api_format("{\"username\":\"a\",\"email\":\"%s\"}", bad[i]);

                api_post(t, "/users", json);
                assert_problem(t, 400, "Invalid email format");
                free(json);
        }
        api_post(t, "/users", "{\"username\":\"a\",\"email\":\"a\\u0000@b.co\"}");
        assert_problem(t, 400, "Bad request");
}

static void test_lengths(void **state) {
        ApiTest *t = *state;
        char *long_name = api_repeat('n', 256), *name = api_repeat('n', 255);
        char *json;

        json = api_format("{\"username\":\"%s\",\"email\":\"bad\"}", long_name);
        api_post(t, "/users", json);
        assert_problem(t, 400, "username must be 255 characters or fewer");
        free(json);

        json = api_format("{\"username\":\"a\",\"email\":\"%s@x.co\"}", long_name);
        api_post(t, "/users", json);
        assert_problem(t, 400, "email must be 255 characters or fewer");
        free(json);

        json = api_format("{\"username\":\" %s \",\"email\":\"a@x.co\"}", name);
        api_post(t, "/users", json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);

        json = api_format("{\"username\":\"%s\"}", long_name);
        api_put(t, "/users/1", json);
        assert_problem(t, 400, "username must be 255 characters or fewer");
        free(json);

        json = api_format("{\"email\":\"%s@x.co\"}", long_name);
        api_put(t, "/users/1", json);
        assert_problem(t, 400, "email must be 255 characters or fewer");
        free(json);
        free(name);
        free(long_name);
}

/* Characters count, not bytes. */
static void test_length_of_characters(void **state) {
        ApiTest *t = *state;
        char name[255 * 4 + 1], *json;

        for (size_t i = 0; i < 255; i++)
                memcpy(name + 4 * i, "\xF0\x9F\x98\x80", 4);
        name[sizeof(name) - 1] = '\0';
        json = api_format("{\"username\":\"%s\",\"email\":\"a@x.co\"}", name);
        api_post(t, "/users", json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);
}

static void test_control_characters(void **state) {
        static const char *const bad[] = {"a\\u0000",  "\\ud800", "\\udc00x",  "\\ud800\\ud800",
                                          "a\\u0007b", "a\\nb",   "a\\u0085b", "a\\u007fb"};
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                char *json = api_format("{\"username\":\"%s\",\"email\":\"b@b.co\"}", bad[i]);

                api_post(t, "/users", json);
                assert_problem(t, 400, "Bad request");
                api_put(t, "/users/1", json);
                assert_problem(t, 400, "Bad request");
                free(json);
        }
        api_get(t, "/users/1");
        assert_answer(t, 200, ANN);
}

static void test_create_clash(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_post(t, "/users", "{\"username\":\"ann\",\"email\":\"b@b.co\"}");
        assert_problem(t, 409, "Username already exists");
        api_post(t, "/users", "{\"username\":\"bob\",\"email\":\"ann@example.com\"}");
        assert_problem(t, 409, "Email already exists");
        api_post(t, "/users", "{\"username\":\"ann\",\"email\":\"ann@example.com\"}");
        assert_problem(t, 409, "Username already exists");
        /* Case counts. */
        api_add_user(t, "ANN", "ANN@example.com");
}

static void test_update(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "bob", "bob@example.com");
        api_put(t, "/users/1", "{\"username\":\" ann \"}");
        assert_answer(t, 200,
                      "{\"created_at\":\"" API_TEST_TIME
                      "\",\"email\":\"bob@example.com\",\"id\":1,\"username\":\"ann\"}");
        t->now_sec += 60;
        api_put(t, "/users/1", "{\"email\":\"ann@example.com\",\"created_at\":\"x\"}");
        assert_answer(t, 200, ANN);
        api_put(t, "/users/1", "{}");
        assert_answer(t, 200, ANN);
        api_put(t, "/users/1", "{\"username\":\"ann\",\"email\":\"ann@example.com\"}");
        assert_answer(t, 200, ANN);
}

static void test_update_refused(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_user(t, "bob", "bob@example.com");
        for (size_t i = 0; i < ELEMENTSOF(no_texts); i++) {
                char *json = api_format("{\"username\":%s,\"email\":\"bad\"}", no_texts[i]);

                api_put(t, "/users/1", json);
                assert_problem(t, 400, "username cannot be empty");
                free(json);
                json = api_format("{\"username\":\"never\",\"email\":%s}", no_texts[i]);
                api_put(t, "/users/1", json);
                assert_problem(t, 400, "email cannot be empty");
                free(json);
        }
        api_put(t, "/users/1", "{\"username\":\"never\",\"email\":\"bad\"}");
        assert_problem(t, 400, "Invalid email format");
        api_put(t, "/users/1", "{\"username\":\"bob\"}");
        assert_problem(t, 409, "Username or email already exists");
        api_put(t, "/users/1", "{\"username\":\"never\",\"email\":\"bob@example.com\"}");
        assert_problem(t, 409, "Username or email already exists");
        api_get(t, "/users/1");
        assert_answer(t, 200, ANN);
}

/* The body is looked at before the resource, the resource before the fields. */
static void test_update_order(void **state) {
        ApiTest *t = *state;

        assert_int_equal(api_test_run(t, "PUT", "/users/9", "text/plain", SLICE("{")), 0);
        assert_problem(t, 400, "Content-Type must be application/json");
        api_put(t, "/users/9", "{");
        assert_problem(t, 400, "Request body must be a JSON object");
        api_put(t, "/users/9", "{\"username\":5}");
        assert_problem(t, 404, "User not found");
}

/* Deleted: gone from lists and by id, its links stay and read null. */
static void test_delete(void **state) {
        ApiTest *t = *state;

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
        api_delete(t, "/users/1");
        assert_answer(t, 204, "");
        api_delete(t, "/users/1");
        assert_problem(t, 404, "User not found");
        api_get(t, "/urls/1");
        assert_non_null(strstr(api_body(t), "\"user_id\":null"));
        api_get(t, "/urls/1/events");
        assert_non_null(strstr(api_body(t), "\"user_id\":null"));
        api_get(t, "/urls?user_id=1");
        assert_answer(t, 200, "[]");
        api_get(t, "/events?user_id=1");
        assert_answer(t, 200, "[]");
        api_post(t, "/urls", "{\"url\":\"https://example.com/\",\"user_id\":1}");
        assert_problem(t, 404, "User not found");
        api_add_user(t, "ann", "ann@example.com");
        assert_non_null(strstr(api_body(t), "\"id\":2"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_create_and_get),
                        API_TEST(test_not_found),
                        API_TEST(test_username_required),
                        API_TEST(test_email_required),
                        API_TEST(test_email_format),
                        API_TEST(test_lengths),
                        API_TEST(test_length_of_characters),
                        API_TEST(test_control_characters),
                        API_TEST(test_create_clash),
                        API_TEST(test_update),
                        API_TEST(test_update_refused),
                        API_TEST(test_update_order),
                        API_TEST(test_delete),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
