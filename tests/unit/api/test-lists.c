/* SPDX-License-Identifier: MIT */

/* Windows of lists, totals, links, and the filters of links. */

#include "api-test.h"
#include "api/paging.h"

static void add_users(ApiTest *t, unsigned n) {
        for (unsigned i = 1; i <= n; i++) {
                char *name = api_format("u%u", i), *email = api_format("u%u@b.co", i);

                api_add_user(t, name, email);
                free(name);
                free(email);
        }
}

/* The list has n rows, from `first` on in steps of +1 or -1. */
static void assert_rows(ApiTest *t, const char *target, size_t n, int first, int step) {
        const char *p;

        api_get(t, target);
        assert_int_equal(api_count(t), n);
        p = api_body(t);
        for (size_t i = 0; i < n; i++, p++) {
                p = strstr(p, "\"id\":");
                assert_non_null(p);
                assert_int_equal(api_leading_number(p + 5), first + (int)i * step);
        }
}

static void test_window(void **state) {
        ApiTest *t = *state;

        api_get(t, "/users");
        assert_answer(t, 200, "[]");
        assert_string_equal(api_field(t, "X-Total-Count"), "0");
        add_users(t, 107);
        assert_rows(t, "/users", 25, 1, 1);
        assert_string_equal(api_field(t, "X-Total-Count"), "107");
        assert_rows(t, "/users?page=2", 25, 26, 1);
        assert_rows(t, "/users?per_page=100&page=2", 7, 101, 1);
        assert_rows(t, "/users?per_page=1000", 100, 1, 1);
        assert_rows(t, "/users?per_page=9223372036854775807", 100, 1, 1);
        assert_rows(t, "/users?page=0&per_page=3", 3, 1, 1);
        assert_rows(t, "/users?page=-0&per_page=3", 3, 1, 1);
        assert_rows(t, "/users?page=36&per_page=3", 2, 106, 1);
        assert_rows(t, "/users?page=37&per_page=3", 0, 0, 1);
        assert_rows(t, "/users?page=99999", 0, 0, 1);
        assert_rows(t, "/users?page=9223372036854775807", 0, 0, 1);
        assert_string_equal(api_field(t, "X-Total-Count"), "107");
        assert_rows(t, "/users?page=9223372036854775807&per_page=1", 0, 0, 1);
        assert_rows(t, "/users?per_page=0", 0, 0, 1);
        assert_string_equal(api_field(t, "X-Total-Count"), "107");
        assert_null(api_field(t, "Link"));
        assert_rows(t, "/users?page=2&page=1&per_page=2&per_page=50", 2, 3, 1);
}

static void test_unparsable(void **state) {
        static const char *const texts[] = {"abc", "",    "1.5",  "1e2", "-1.5",
                                            "2x",  "0x2", "%002", "2+"};
        ApiTest *t = *state;

        add_users(t, 30);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                char *target = api_format("/users?page=%s&per_page=%s&after=%s", texts[i], texts[i],
                                          texts[i]);

                assert_rows(t, target, 25, 1, 1);
                free(target);
        }
        assert_rows(t, "/users?page=%32&per_page=%2B5", 5, 6, 1);
        assert_rows(t, "/users?page", 25, 1, 1);
}

/* Fault 10 of the reference: these were 500. */
static void test_refused_numbers(void **state) {
        static const char *const lists[] = {"/users", "/urls", "/events", "/urls/1/events"};
        static const char *const bad[] = {"-1",
                                          "-5",
                                          "-9223372036854775808",
                                          "9223372036854775808",
                                          "99999999999999999999",
                                          "-99999999999999999999"};
        ApiTest *t = *state;

        api_add_url(t, "https://example.com/", 0, NULL);
        for (size_t i = 0; i < ELEMENTSOF(lists) * ELEMENTSOF(bad); i++) {
                const char *list = lists[i % ELEMENTSOF(lists)],
                           *number = bad[i / ELEMENTSOF(lists)];
                char *target = api_format("%s?page=%s&per_page=-1", list, number);

                api_get(t, target);
                assert_problem(t, 400, "page must be a positive integer");
                free(target);
                target = api_format("%s?per_page=%s", list, number);
                api_get(t, target);
                assert_problem(t, 400, "per_page must be a positive integer");
                free(target);
        }
}

static void test_after(void **state) {
        ApiTest *t = *state;

        add_users(t, 30);
        assert_rows(t, "/users?after=5&per_page=3", 3, 6, 1);
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\", "
                                                  "</users?after=8&per_page=3>; rel=\"next\"");
        assert_rows(t, "/users?after=27&per_page=3", 3, 28, 1);
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\"");
        assert_rows(t, "/users?after=5&page=2&per_page=3", 3, 6, 1);
        assert_rows(t, "/users?after=0&per_page=3", 3, 1, 1);
        assert_rows(t, "/users?after=-7&per_page=3", 3, 1, 1);
        assert_rows(t, "/users?after=30", 0, 0, 1);
        assert_rows(t, "/users?after=99999999999999999999", 0, 0, 1);
        assert_rows(t, "/users?after=-99999999999999999999&per_page=2", 2, 1, 1);

        for (int i = 0; i < 10; i++)
                api_add_url(t, "https://example.com/", 0, NULL);
        assert_rows(t, "/events?after=5&per_page=3", 3, 4, -1);
        assert_string_equal(api_field(t, "Link"), "</events?page=1&per_page=3>; rel=\"first\", "
                                                  "</events?after=2&per_page=3>; rel=\"next\"");
        assert_rows(t, "/events?after=2", 1, 1, -1);
        assert_rows(t, "/events?after=0", 0, 0, -1);
        assert_rows(t, "/events?after=-1", 0, 0, -1);
        assert_rows(t, "/events?after=99999999999999999999&per_page=1", 1, 10, -1);
        assert_rows(t, "/urls?after=9", 1, 10, 1);
}

static void test_links(void **state) {
        ApiTest *t = *state;

        add_users(t, 7);
        api_get(t, "/users?per_page=3");
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\", "
                                                  "</users?page=2&per_page=3>; rel=\"next\", "
                                                  "</users?page=3&per_page=3>; rel=\"last\"");
        api_get(t, "/users?page=2&per_page=3");
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\", "
                                                  "</users?page=1&per_page=3>; rel=\"prev\", "
                                                  "</users?page=3&per_page=3>; rel=\"next\", "
                                                  "</users?page=3&per_page=3>; rel=\"last\"");
        api_get(t, "/users?page=3&per_page=3");
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\", "
                                                  "</users?page=2&per_page=3>; rel=\"prev\", "
                                                  "</users?page=3&per_page=3>; rel=\"last\"");
        api_get(t, "/users?page=99&per_page=3");
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=3>; rel=\"first\", "
                                                  "</users?page=3&per_page=3>; rel=\"prev\", "
                                                  "</users?page=3&per_page=3>; rel=\"last\"");
        api_get(t, "/users");
        assert_string_equal(api_field(t, "Link"), "</users?page=1&per_page=25>; rel=\"first\", "
                                                  "</users?page=1&per_page=25>; rel=\"last\"");
        api_get(t, "/events");
        assert_string_equal(api_field(t, "Link"), "</events?page=1&per_page=25>; rel=\"first\", "
                                                  "</events?page=1&per_page=25>; rel=\"last\"");
}

/* The other parameters stay, and nothing of them leaves its link. */
static void test_links_keep_parameters(void **state) {
        ApiTest *t = *state;
        char *long_query = api_repeat('x', 520), *target;

        api_get(t, "/events?type=a%22b+c&x=<y>;\"z,&page=0&p%61ge=7&&after=&per_page=2&q");
        assert_string_equal(api_field(t, "Link"),
                            "</events?type=a%22b+c&x=%3Cy%3E%3B%22z%2C&q&page=1&per_page=2>; "
                            "rel=\"first\", "
                            "</events?type=a%22b+c&x=%3Cy%3E%3B%22z%2C&q&page=1&per_page="
                            "2>; rel=\"last\"");
        target = api_format("/events?type=%s", long_query);
        api_get(t, target);
        assert_null(api_field(t, "Link"));
        assert_string_equal(api_field(t, "X-Total-Count"), "0");
        free(target);
        free(long_query);
        api_add_url(t, "https://example.com/", 0, NULL);
        api_get(t, "/urls/1/events");
        assert_string_equal(api_field(t, "Link"),
                            "</urls/1/events?page=1&per_page=25>; rel=\"first\", "
                            "</urls/1/events?page=1&per_page=25>; rel=\"last\"");
}

/* HEAD is the same handler; the connection leaves the body out. */
static void test_head(void **state) {
        ApiTest *t = *state;

        add_users(t, 3);
        assert_int_equal(api_test_run(t, "HEAD", "/users?per_page=2", NULL, SLICE("")), 0);
        assert_int_equal(api_count(t), 2);
        assert_string_equal(api_field(t, "X-Total-Count"), "3");
        assert_non_null(strstr(api_field(t, "Link"), "rel=\"next\""));
}

static void count(ApiTest *t, const char *target, size_t expected) {
        char *total = api_format("%zu", expected);

        api_get(t, target);
        assert_int_equal(api_count(t), expected);
        assert_string_equal(api_field(t, "X-Total-Count"), total);
        free(total);
}

static void test_url_filters(void **state) {
        static const char *const truths[] = {"true", "1", "yes", "TRUE", "Yes", "yEs"};
        static const char *const others[] = {"false", "0", "no", "", "junk", "2", "true%20", "%00"};
        static const char *const bad[] = {"abc", "1.5", "", "1e2", "+1"};
        ApiTest *t = *state;
        char *target;

        api_add_user(t, "ann", "ann@example.com");
        api_add_url(t, "https://example.com/", 1, NULL);
        api_add_url(t, "https://example.com/", 1, NULL);
        api_add_url(t, "https://example.com/", 0, NULL);
        api_delete(t, "/urls/1");

        count(t, "/urls", 3);
        count(t, "/urls?user_id=1", 2);
        count(t, "/urls?user_id=01&is_active=true", 1);
        count(t, "/urls?user_id=1&is_active=", 1);
        count(t, "/urls?user_id=99999999", 0);
        count(t, "/urls?user_id=0", 0);
        count(t, "/urls?user_id=-1", 0);
        count(t, "/urls?user_id=99999999999999999999", 0);
        count(t, "/urls?user_id=1&user_id=x", 2);
        for (size_t i = 0; i < ELEMENTSOF(truths); i++) {
                target = api_format("/urls?is_active=%s", truths[i]);
                count(t, target, 2);
                free(target);
        }
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                target = api_format("/urls?is_active=%s", others[i]);
                count(t, target, 1);
                free(target);
        }
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                target = api_format("/urls?user_id=%s", bad[i]);
                api_get(t, target);
                assert_problem(t, 400, "user_id must be an integer");
                free(target);
        }
}

/* Answered through a replaced store_url_list(): see the wrappers' lines in CMakeLists.txt. */
static int64_t wrapped_total = -2;

int __real_store_url_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                          Url **ret_rows, size_t *ret_n, int64_t *ret_total);
int __wrap_store_url_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                          Url **ret_rows, size_t *ret_n, int64_t *ret_total);
int __wrap_store_url_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                          Url **ret_rows, size_t *ret_n, int64_t *ret_total) {
        int r = __real_store_url_list(session, arena, query, ret_rows, ret_n, ret_total);

        if (wrapped_total > -2)
                *ret_total = wrapped_total;
        return r;
}

/* A filtered list beyond STORE_TOTAL_EXACT has no total and no last page. */
/* Another worker reads a page far down: so does no other one, but for an administrator. */
static void test_far(void **state) {
        static const char *const far[] = {"/urls?page=402", "/events?page=402",
                                          "/urls/1/events?page=402",
                                          "/events?page=102&per_page=100", "/urls?page=9000000000"};
        static const char *const near[] = {"/urls?page=401",
                                           "/events?page=401",
                                           "/urls/1/events?page=401",
                                           "/events?after=20000",
                                           "/urls?page=9223372036854775807",
                                           "/users?page=402"};
        const Paging elsewhere = {.query = {.offset = PAGING_NEAR + 1}};
        ApiTest *t = *state;

        api_add_user(t, "anna", "a@b.co");
        api_add_url(t, "https://a.co/", 1, NULL);
        for (unsigned i = 0; i < 3; i++) { /* nobody, somebody, an administrator */
                Call other = {.actor = {.bound = i != 2, .owner = 2}};

                t->actor = (CallActor){.bound = i != 2, .owner = 1};
                if (i > 0)
                        assert_int_equal(paging_begin(&other, &elsewhere), 0);
                for (size_t k = 0; k < ELEMENTSOF(far); k++) {
                        api_get(t, far[k]);
                        if (i != 1) {
                                assert_answer(t, 200, "[]");
                                continue;
                        }
                        assert_problem(t, 429, "Too many requests");
                        assert_string_equal(api_field(t, "Retry-After"), "1");
                }
                for (size_t k = 0; k < ELEMENTSOF(near); k++)
                        api_get(t, near[k]);
                if (i > 0)
                        paging_end(&other, &elsewhere);
        }
        t->actor.bound = true;
        api_get(t, far[0]);
        assert_answer(t, 200, "[]");
}

static void test_unknown_total(void **state) {
        ApiTest *t = *state;

        for (int i = 0; i < 5; i++)
                api_add_url(t, "https://example.com/", 0, NULL);
        wrapped_total = -1;
        api_get(t, "/urls?is_active=1&page=2&per_page=2");
        wrapped_total = -2;
        assert_null(api_field(t, "X-Total-Count"));
        assert_string_equal(api_field(t, "Link"),
                            "</urls?is_active=1&page=1&per_page=2>; rel=\"first\", "
                            "</urls?is_active=1&page=1&per_page=2>; rel=\"prev\", "
                            "</urls?is_active=1&page=3&per_page=2>; rel=\"next\"");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        API_TEST(test_window),
                        API_TEST(test_unparsable),
                        API_TEST(test_refused_numbers),
                        API_TEST(test_after),
                        API_TEST(test_links),
                        API_TEST(test_links_keep_parameters),
                        API_TEST(test_head),
                        API_TEST(test_url_filters),
                        API_TEST(test_far),
                        API_TEST(test_unknown_total),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
