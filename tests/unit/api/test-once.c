/* SPDX-License-Identifier: MIT */

/* Idempotency-Key: what is done once, and what is answered then. */

#include "api-test.h"

#define KEY_INVALID "Idempotency-Key must be 1 to 255 printable characters"
#define KEY_OTHER   "Idempotency-Key was used with another request"
#define DAY_SEC     86400

#define URL  "{\"url\":\"https://example.com/\",\"user_id\":1}"
#define USER "{\"username\":\"ann\",\"email\":\"ann@example.com\"}"

static void use_key(ApiTest *t, const char *key) {
        t->fields[HTTP_FIELD_IDEMPOTENCY_KEY] = slice_from_string(key);
}

static size_t count(ApiTest *t, const char *target) {
        Slice key = t->fields[HTTP_FIELD_IDEMPOTENCY_KEY];
        size_t n;

        use_key(t, NULL);
        api_get(t, target);
        n = api_count(t);
        t->fields[HTTP_FIELD_IDEMPOTENCY_KEY] = key;
        return n;
}

/* The last answer was 201, and comes again: the same bytes, with the mark. */
static void assert_replayed(ApiTest *t, const char *target, const char *body) {
        char *first = strdup(api_body(t)), *tag = NULL;

        assert_int_equal(t->exchange.response.status, 201);
        assert_null(api_field(t, "Idempotency-Replayed"));
        if (api_field(t, "ETag"))
                tag = strdup(api_field(t, "ETag"));
        assert_true((tag != NULL) == (strcmp(target, "/events") != 0));
        api_post(t, target, body);
        assert_int_equal(t->exchange.response.status, 201);
        assert_string_equal(api_body(t), first);
        assert_string_equal(api_field(t, "Idempotency-Replayed"), "true");
        assert_int_equal(t->call.n_urls_created, 0);
        if (tag)
                assert_string_equal(api_field(t, "ETag"), tag);
        else
                assert_null(api_field(t, "ETag"));
        free(first);
        free(tag);
}

static void test_each_route(void **state) {
        static const struct {
                const char *target, *body;
        } posts[] = {
                        {"/users", USER},
                        {"/urls", URL},
                        {"/events", "{\"url_id\":1,\"event_type\":\"x\",\"details\":{\"b\":1}}"},
        };
        ApiTest *t = *state;

        use_key(t, "one"); /* each route has its own keys */
        for (size_t i = 0; i < ELEMENTSOF(posts); i++) {
                api_post(t, posts[i].target, posts[i].body);
                assert_replayed(t, posts[i].target, posts[i].body);
        }
        assert_int_equal(count(t, "/users"), 1);
        assert_int_equal(count(t, "/urls"), 1);
        assert_int_equal(count(t, "/events"), 2);
        use_key(t, "two");
        api_post(t, "/urls", URL);
        assert_int_equal(t->exchange.response.status, 201);
        assert_null(api_field(t, "Idempotency-Replayed"));
        assert_int_equal(count(t, "/urls"), 2);
}

static void test_another_request(void **state) {
        ApiTest *t = *state;

        use_key(t, "one");
        api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
        assert_int_equal(t->exchange.response.status, 201);
        api_post(t, "/urls", "{\"url\":\"https://example.com/2\"}");
        assert_problem(t, 422, KEY_OTHER);
        assert_null(api_field(t, "Idempotency-Replayed"));
        api_post(t, "/urls", "{}"); /* also one that would be refused */
        assert_problem(t, 422, KEY_OTHER);
        api_post(t, "/urls", "[");
        assert_problem(t, 400, "Request body must be a JSON object");
        assert_int_equal(count(t, "/urls"), 1);
}

/* A token's keys are its own; those of Access=open are nobody's. */
static void test_scope(void **state) {
        ApiTest *t = *state;

        use_key(t, "one");
        for (int64_t id = 0; id < 3; id++) {
                t->actor.token_id = id;
                api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
                assert_null(api_field(t, "Idempotency-Replayed"));
        }
        for (int64_t id = 0; id < 3; id++) {
                t->actor.token_id = id;
                api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
                assert_non_null(api_field(t, "Idempotency-Replayed"));
        }
        assert_int_equal(count(t, "/urls"), 3);
}

static void test_keys(void **state) {
        static const char *const bad[] = {"", "\x7f", "a\tb", "\xc3\xa9", "a\x01"};
        static const char *const good[] = {"a", "\"8e03978e-40d5\"", "a b", "~", "*"};
        ApiTest *t = *state;
        char *longest = api_repeat('k', 255), *longer = api_repeat('k', 256);

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                use_key(t, bad[i]);
                api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
                assert_problem(t, 400, KEY_INVALID);
        }
        use_key(t, longer);
        api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
        assert_problem(t, 400, KEY_INVALID);
        use_key(t, "a");
        t->repeated[HTTP_FIELD_IDEMPOTENCY_KEY] = true;
        api_post(t, "/users", USER);
        assert_problem(t, 400, KEY_INVALID);
        t->repeated[HTTP_FIELD_IDEMPOTENCY_KEY] = false;
        assert_int_equal(count(t, "/urls"), 0);
        use_key(t, longest);
        api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
        assert_int_equal(t->exchange.response.status, 201);
        for (size_t i = 0; i < ELEMENTSOF(good); i++) {
                use_key(t, good[i]);
                api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
                assert_int_equal(t->exchange.response.status, 201);
                assert_null(api_field(t, "Idempotency-Replayed"));
        }
        assert_int_equal(count(t, "/urls"), 6);
        free(longest);
        free(longer);
}

/* What was refused made nothing: the key is free for the request as it should have been. */
static void test_refusals_are_not_remembered(void **state) {
        ApiTest *t = *state;

        use_key(t, "one");
        api_post(t, "/urls", "{}");
        assert_problem(t, 400, "url is required");
        api_post(t, "/urls", URL);
        assert_problem(t, 404, "User not found");
        api_post(t, "/users", USER);
        use_key(t, "two");
        api_post(t, "/users", USER);
        assert_problem(t, 409, "Username already exists");
        store_fake_fail(t->store, -EHOSTDOWN, 1);
        assert_int_equal(api_test_run(t, "POST", "/urls", "application/json", SLICE(URL)),
                         -EHOSTDOWN);
        use_key(t, "one");
        api_post(t, "/urls", URL);
        assert_replayed(t, "/urls", URL);
}

/* A repetition has its answer even when the same request would be refused by now. */
static void test_answers_outlive_what_they_are_about(void **state) {
        ApiTest *t = *state;

        use_key(t, "one");
        api_post(t, "/users", USER);
        api_post(t, "/urls", URL);
        api_delete(t, "/users/1");
        t->now_sec += DAY_SEC - 1;
        api_post(t, "/urls", URL);
        assert_int_equal(t->exchange.response.status, 201);
        assert_string_equal(api_field(t, "Idempotency-Replayed"), "true");
        assert_non_null(strstr(api_body(t), "\"user_id\":1}"));
        t->now_sec++;
        api_post(t, "/urls", URL);
        assert_problem(t, 404, "User not found");
        api_post(t, "/users", USER);
        assert_int_equal(t->exchange.response.status, 201);
        assert_null(api_field(t, "Idempotency-Replayed"));
}

/* ---- two at once ---- */

static bool come_first; /* another request with the key is done before this one's change */
static int pretend;     /* unless 0, the store's answer */

int __real_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret);
int __wrap_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret);
int __wrap_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret) {
        int r = 0;

        if (come_first) {
                Url first = *new->url;
                const StoreUrlNew theirs = {.url = &first, .details = new->details};

                come_first = false;
                first.code = SLICE("theirs");
                r = __real_store_url_create_once(session, &theirs, key, ret);
                assert_int_equal(r, 0);
        }
        return pretend != 0 ? pretend : __real_store_url_create_once(session, new, key, ret);
}

static void test_another_one_was_first(void **state) {
        ApiTest *t = *state;

        use_key(t, "one");
        come_first = true;
        api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
        assert_int_equal(t->exchange.response.status, 201);
        assert_string_equal(api_field(t, "Idempotency-Replayed"), "true");
        assert_non_null(strstr(api_body(t), "\"short_code\":\"theirs\""));
        assert_int_equal(count(t, "/urls"), 1);
}

static void test_another_one_is_at_it(void **state) {
        static const int results[] = {STORE_KEY_BUSY, STORE_KEY_USED /* and gone by now */};
        ApiTest *t = *state;

        use_key(t, "one");
        for (size_t i = 0; i < ELEMENTSOF(results); i++) {
                pretend = results[i];
                api_post(t, "/urls", "{\"url\":\"https://example.com/\"}");
                assert_problem(t, 409, "A request with this Idempotency-Key is in progress");
                assert_string_equal(api_field(t, "Retry-After"), "1");
                assert_null(api_field(t, "ETag"));
        }
        pretend = 0;
        assert_int_equal(count(t, "/urls"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_each_route),
                        API_TEST(test_another_request),
                        API_TEST(test_scope),
                        API_TEST(test_keys),
                        API_TEST(test_refusals_are_not_remembered),
                        API_TEST(test_answers_outlive_what_they_are_about),
                        API_TEST(test_another_one_was_first),
                        API_TEST(test_another_one_is_at_it),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
