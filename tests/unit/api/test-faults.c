/* SPDX-License-Identifier: MIT */

/* Store and memory that fail, and two changes at once. */

#include "api-test.h"

#include <jansson.h>

/* One request per handler; none of them is refused for what is in it. */
static const struct {
        const char *method, *target, *body;
} requests[] = {
                {"POST", "/users", "{\"username\":\"key\",\"email\":\"k@example.com\"}"},
                {"POST", "/users", "{\"username\":\"key\",\"email\":\"k@example.com\"}"},
                {"POST", "/urls", "{\"url\":\"https://example.com/\",\"user_id\":1}"},
                {"POST", "/urls", "{\"url\":\"https://example.com/\",\"user_id\":1}"},
                {"POST", "/events", "{\"url_id\":1,\"event_type\":\"x\"}"},
                {"POST", "/events", "{\"url_id\":1,\"event_type\":\"y\"}"}, /* 422 */
                {"GET", "/users?page=2&x=y", NULL},
                {"POST", "/users", "{\"username\":\"new\",\"email\":\"new@example.com\"}"},
                {"GET", "/users/1", NULL},
                {"PUT", "/users/1", "{\"username\":\"ann2\",\"email\":\"ann2@example.com\"}"},
                {"GET", "/urls?user_id=1&is_active=1&after=0", NULL},
                {"POST", "/urls",
                 "{\"url\":\"https://example.com/\",\"user_id\":1,\"title\":\"t\"}"},
                {"GET", "/urls/1", NULL},
                {"PUT", "/urls/1",
                 "{\"url\":\"https://example.org/\",\"title\":\"u\",\"is_active\":true}"},
                {"GET", "/urls/1/stats", NULL},
                {"GET", "/urls/1/events", NULL},
                {"GET", "/events?event_type=created&url_id=1&user_id=1", NULL},
                {"POST", "/events",
                 "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":1,\"details\":{\"b\":[1],\"a\":{}}"
                 "}"},
                {"DELETE", "/urls/1", NULL},
                {"DELETE", "/users/1", NULL},
                /* Refused, behind a look into the store. */
                {"POST", "/events", "{\"url_id\":1,\"event_type\":5}"},
                {"POST", "/events",
                 "{\"url_id\":1,\"event_type\":\"x\",\"user_id\":2,\"details\":5}"},
                {"POST", "/urls", "{\"url\":\"https://example.com/\",\"user_id\":2,\"title\":5}"},
                {"PUT", "/users/2", "{\"username\":5}"},
                {"PUT", "/urls/2", "{\"is_active\":5}"},
                {"GET", "/users/3", NULL},
                {"GET", "/users?page=-1", NULL},
                {"GET", "/urls?user_id=x", NULL},
                {"GET", "/events?event_type=%00", NULL},
                {"POST", "/users", "["},
};

/* The first so many are sent with the same key. */
#define N_KEYED 6u
/* So many ask the store first; of the rest, all but the first do not ask it. */
#define N_ASKING 25u

static void add_rows(ApiTest *t) {
        api_add_user(t, "ann", "ann@example.com");
        api_add_user(t, "bob", "bob@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
        api_add_url(t, "https://example.com/", 2, NULL);
}

static int run(ApiTest *t, size_t i) {
        t->fields[HTTP_FIELD_IDEMPOTENCY_KEY] = i < N_KEYED ? SLICE("k") : SLICE_NONE;
        return api_test_run(t, requests[i].method, requests[i].target,
                            requests[i].body ? "application/json" : NULL,
                            slice_from_string(requests[i].body));
}

/* Whatever verb fails: its result is the handler's, and nothing was half done. */
static void test_store_fails(void **state) {
        static const int results[] = {-EHOSTDOWN, -ETIMEDOUT, -EBUSY, -ENOMEM, -EIO};
        ApiTest *t = *state;

        add_rows(t);
        for (size_t i = 0; i < N_ASKING; i++) {
                for (size_t k = 0; k < ELEMENTSOF(results); k++) {
                        store_fake_fail(t->store, results[k], 1);
                        assert_int_equal(run(t, i), results[k]);
                        api_get(t, "/users/1"); /* else the breaker opens */
                }
        }
        store_fake_fail(t->store, -EIO, 0);
        api_get(t, "/events");
        assert_int_equal(api_count(t), 2);
}

/* Nothing that is refused without a look into the store asks it. */
static void test_store_not_asked(void **state) {
        ApiTest *t = *state;

        add_rows(t);
        store_fake_fail(t->store, -EHOSTDOWN, 1);
        for (size_t i = N_ASKING + 1; i < ELEMENTSOF(requests); i++) {
                assert_int_equal(run(t, i), 0);
                assert_int_equal(t->exchange.response.status, 400);
        }
        store_fake_fail(t->store, -EHOSTDOWN, 0);
}

/* ---- memory ---- */

static unsigned n_allocations; /* until one fails */
static bool counting;

static bool allocation_fails(void) {
        if (!counting)
                return false;
        if (n_allocations == 0)
                return true;
        n_allocations--;
        return false;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size) {
        return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
        return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
        return allocation_fails() ? NULL : __real_realloc(p, size);
}

/* jansson's own allocations fail like ours. */
static void *json_malloc(size_t size) {
        return __wrap_malloc(size);
}

/* Takes back what the last request used, so that the next one has to allocate. */
static void forget_memory(ApiTest *t) {
        arena_done(&t->exchange.arena);
        arena_init(&t->exchange.arena, 0);
        buffer_done(&t->exchange.response.head);
        buffer_done(&t->exchange.response.body);
}

/* The 1st, 2nd, 3rd ... allocation fails until the request passes. */
static void test_out_of_memory(void **state) {
        ApiTest *t = *state;

        add_rows(t);
        json_set_alloc_funcs(json_malloc, free);
        for (size_t i = 0; i < ELEMENTSOF(requests); i++) {
                int r = -ENOMEM;

                for (unsigned n = 0; r == -ENOMEM; n++) {
                        assert_true(n < 1000);
                        forget_memory(t);
                        n_allocations = n;
                        counting = true;
                        r = run(t, i);
                        counting = false;
                }
                assert_int_equal(r, 0);
                assert_false(t->exchange.response.body.failed);
                assert_int_not_equal(t->exchange.response.status, 0);
        }
        json_set_alloc_funcs(malloc, free);
}

static void test_import_out_of_memory(void **state) {
        static const char body[] =
                        "--XyZ\r\nContent-Disposition: form-data; name=\"file\"; "
                        "filename=\"a.csv\"\r\n\r\nusername,email\na,a@b.co\n,\n\r\n--XyZ--";
        ApiTest *t = *state;
        int r = -ENOMEM;

        for (unsigned n = 0; r == -ENOMEM; n++) {
                assert_true(n < 1000);
                forget_memory(t);
                n_allocations = n;
                counting = true;
                r = api_test_run(t, "POST", "/users/bulk", "multipart/form-data; boundary=XyZ",
                                 slice_from_string(body));
                counting = false;
        }
        assert_int_equal(r, 0);
        assert_int_equal(t->exchange.response.status, 201);
}

/* ---- two changes at once ---- */

static void (*between)(ApiTest *t); /* runs once, before the next change reaches the store */
static ApiTest *between_test;

static void run_between(void) {
        void (*f)(ApiTest *) = between;

        between = NULL;
        if (f)
                f(between_test);
}

int __real_store_url_update(StoreSession *session, Arena *arena, int64_t id,
                            const StoreUrlChange *change, Url *ret);
int __wrap_store_url_update(StoreSession *session, Arena *arena, int64_t id,
                            const StoreUrlChange *change, Url *ret);
int __wrap_store_url_update(StoreSession *session, Arena *arena, int64_t id,
                            const StoreUrlChange *change, Url *ret) {
        run_between();
        return __real_store_url_update(session, arena, id, change, ret);
}

int __real_store_user_update(StoreSession *session, Arena *arena, int64_t id,
                             const StoreUserChange *change, User *ret);
int __wrap_store_user_update(StoreSession *session, Arena *arena, int64_t id,
                             const StoreUserChange *change, User *ret);
int __wrap_store_user_update(StoreSession *session, Arena *arena, int64_t id,
                             const StoreUserChange *change, User *ret) {
        run_between();
        return __real_store_user_update(session, arena, id, change, ret);
}

int __real_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret);
int __wrap_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret);
static unsigned n_taken; /* so many codes in a row are taken */
int __wrap_store_url_create_once(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                                 Url *ret) {
        if (n_taken > 0) {
                n_taken--;
                return STORE_CODE_TAKEN;
        }
        return __real_store_url_create_once(session, new, key, ret);
}

/* A request on another worker: its own fixture over the same store. */
static void other_request(ApiTest *t, const char *method, const char *target, const char *json) {
        ApiTest other = {.store = t->store, .router = t->router, .now_sec = t->now_sec};

        assert_int_equal(store_session_new(t->store, NULL, &other.session), 0);
        arena_init(&other.exchange.arena, 0);
        assert_int_equal(api_test_run(&other, method, target, json ? "application/json" : NULL,
                                      slice_from_string(json)),
                         0);
        assert_in_range(other.exchange.response.status, 200, 204);
        forget_memory(&other);
        (void)store_session_free(other.session);
}

static void put_title(ApiTest *t) {
        other_request(t, "PUT", "/urls/1", "{\"title\":\"theirs\"}");
}

/* Fault 5 of the reference: two PUTs of different fields, one was lost. */
static void test_parallel_puts_both_count(void **state) {
        ApiTest *t = *state;

        add_rows(t);
        between = put_title;
        between_test = t;
        api_put(t, "/urls/1", "{\"is_active\":false}");
        assert_null(between);
        assert_non_null(strstr(api_body(t), "\"is_active\":false"));
        assert_non_null(strstr(api_body(t), "\"title\":\"theirs\""));
        api_get(t, "/urls/1/events");
        assert_int_equal(api_count(t), 3);
}

static void put_email(ApiTest *t) {
        other_request(t, "PUT", "/users/1", "{\"email\":\"theirs@example.com\"}");
}

static void test_parallel_user_puts_both_count(void **state) {
        ApiTest *t = *state;

        add_rows(t);
        between = put_email;
        between_test = t;
        api_put(t, "/users/1", "{\"username\":\"mine\"}");
        assert_non_null(strstr(api_body(t), "\"email\":\"theirs@example.com\""));
        assert_non_null(strstr(api_body(t), "\"username\":\"mine\""));
}

static void delete_user(ApiTest *t) {
        other_request(t, "DELETE", "/users/1", NULL);
}

/* Gone between the check and the change. */
static void test_put_meets_delete(void **state) {
        ApiTest *t = *state;

        add_rows(t);
        between = delete_user;
        between_test = t;
        api_put(t, "/users/1", "{\"username\":\"mine\"}");
        assert_problem(t, 404, "User not found");
}

static void test_taken_codes(void **state) {
        ApiTest *t = *state;

        n_taken = 19;
        api_add_url(t, "https://example.com/", 0, NULL);
        assert_int_equal(n_taken, 0);
        n_taken = 20;
        assert_int_equal(api_test_run(t, "POST", "/urls", "application/json",
                                      SLICE("{\"url\":\"https://example.com/\"}")),
                         -EEXIST);
        assert_int_equal(n_taken, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_store_fails),
                        API_TEST(test_store_not_asked),
                        API_TEST(test_out_of_memory),
                        API_TEST(test_import_out_of_memory),
                        API_TEST(test_parallel_puts_both_count),
                        API_TEST(test_parallel_user_puts_both_count),
                        API_TEST(test_put_meets_delete),
                        API_TEST(test_taken_codes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
