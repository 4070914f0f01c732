/* SPDX-License-Identifier: MIT */

/* The router: which route a path is, variables, Allow, what is refused as a table. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "failing-malloc.h"
#include "http/message.h"
#include "http/router.h"

static const HttpRoute routes[] = {
                {.method = HTTP_GET, .pattern = "/{code}", .name = "redirect"},
                {.method = HTTP_GET, .pattern = "/health", .name = "health"},
                {.method = HTTP_GET, .pattern = "/users", .name = "list"},
                {.method = HTTP_POST, .pattern = "/users", .name = "create"},
                {.method = HTTP_GET, .pattern = "/users/{id}", .name = "get"},
                {.method = HTTP_PUT, .pattern = "/users/{id}", .name = "put"},
                {.method = HTTP_DELETE, .pattern = "/users/{id}", .name = "delete"},
                {.method = HTTP_POST, .pattern = "/users/bulk", .name = "bulk"},
                {.method = HTTP_GET, .pattern = "/users/{id}/links/{code}", .name = "link"},
                {.method = HTTP_GET, .pattern = "/users/{id}/links/all", .name = "links"},
                {.method = HTTP_POST, .pattern = "/only/deep", .name = "deep"},
                {.method = HTTP_GET, .pattern = "/{id}/by-id", .name = "by-id"},
};

static HttpRouter *router;

static int make(void **state) {
        (void)state;
        return http_router_new(routes, ELEMENTSOF(routes), &router);
}

static int unmake(void **state) {
        (void)state;
        router = http_router_free(router);
        return 0;
}

static HttpMatch match(HttpMethod method, const char *path) {
        HttpMatch result;

        http_router_match(router, method, slice_from_string(path), &result);
        return result;
}

static void assert_route(HttpMethod method, const char *path, const char *name) {
        HttpMatch result = match(method, path);

        assert_int_equal(result.status, 0);
        assert_non_null(result.route);
        assert_string_equal(result.route->name, name);
}

static void assert_status(HttpMethod method, const char *path, int status, const char *allow) {
        HttpMatch result = match(method, path);

        assert_int_equal(result.status, status);
        assert_null(result.route);
        if (allow)
                assert_string_equal(result.allow, allow);
        else
                assert_null(result.allow);
}

static void test_routes(void **state) {
        (void)state;
        assert_route(HTTP_GET, "/users", "list");
        assert_route(HTTP_HEAD, "/users", "list");
        assert_route(HTTP_POST, "/users", "create");
        assert_route(HTTP_GET, "/users/7", "get");
        assert_route(HTTP_DELETE, "/users/7", "delete");
        assert_route(HTTP_POST, "/users/bulk", "bulk");
        assert_route(HTTP_GET, "/users/7/links/x", "link");
        assert_route(HTTP_GET, "/users/7/links/all", "links");
        assert_route(HTTP_GET, "/9/by-id", "by-id");
        assert_route(HTTP_GET, "/health", "health");
}

static void test_codes(void **state) {
        static const char *const codes[] = {"a",    "Users", "USERS",  "user", "userss",
                                            "%00",  "a%2fb", "..",     "a;b",  "*",
                                            "{id}", "\x80x", "{code}", "only"};

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(codes); i++) {
                char path[32] = "/";
                HttpMatch result;

                memcpy(path + 1, codes[i], strlen(codes[i]) + 1);
                assert_route(HTTP_GET, path, "redirect");
                assert_route(HTTP_HEAD, path, "redirect");
                result = match(HTTP_GET, path);
                assert_true(slice_equal(result.code, slice_from_string(codes[i])));
        }
        assert_true(slice_equal(match(HTTP_GET, "/users/7/links/x").code, SLICE("x")));
}

static void test_ids(void **state) {
        (void)state;
        assert_int_equal(match(HTTP_GET, "/users/1").id, 1);
        assert_int_equal(match(HTTP_GET, "/users/001").id, 1);
        assert_int_equal(match(HTTP_GET, "/users/0").id, 0);
        assert_int_equal(match(HTTP_GET, "/users/9223372036854775807").id, INT64_MAX);
        assert_int_equal(match(HTTP_GET, "/users/9223372036854775808").id, 0);
        assert_int_equal(match(HTTP_GET, "/users/99999999999999999999999").id, 0);
        assert_int_equal(match(HTTP_GET, "/users/00000000000000000000000000005").id, 5);
        assert_route(HTTP_GET, "/users/0", "get");
        assert_route(HTTP_GET, "/users/99999999999999999999999", "get");
}

static void test_not_found(void **state) {
        static const char *const paths[] = {
                        "",
                        "/",
                        "//",
                        "/users/",
                        "//users",
                        "/users//7",
                        "/users/abc",
                        "/users/-1",
                        "/users/1.5",
                        "/users/+1",
                        "/users/1 ",
                        "/users/%31",
                        "/users/7/x",
                        "/a/b",
                        "/a/",
                        "/users/1/2",
                        "/health/x",
                        "/only/x",
                        "/a/by-id",
                        "users",
                        "/a/b/c/d/e",
                        "/users/7/links/x/",
                        "/users/7/links/x/y",
                        "a.example:443",
        };

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                assert_status(HTTP_GET, paths[i], 404, NULL);
                assert_status(HTTP_POST, paths[i], 404, NULL);
                assert_status(HTTP_OPTIONS, paths[i], 404, NULL);
        }
}

static void test_methods(void **state) {
        static const char all[] = "GET, HEAD, POST, PUT, DELETE, OPTIONS";

        (void)state;
        assert_status(HTTP_DELETE, "/users", 405, "GET, HEAD, POST, OPTIONS");
        assert_status(HTTP_PATCH, "/users/0", 405, "GET, HEAD, PUT, DELETE, OPTIONS");
        assert_status(HTTP_GET, "/users/bulk", 405, "POST, OPTIONS");
        assert_status(HTTP_HEAD, "/users/bulk", 405, "POST, OPTIONS");
        assert_status(HTTP_PUT, "/abc", 405, "GET, HEAD, OPTIONS");
        assert_status(HTTP_OTHER, "/abc", 405, "GET, HEAD, OPTIONS");
        assert_status(HTTP_OPTIONS, "/abc", 200, "GET, HEAD, OPTIONS");
        assert_status(HTTP_OPTIONS, "/users", 200, "GET, HEAD, POST, OPTIONS");
        assert_status(HTTP_OPTIONS, "*", 200, all);
        assert_status(HTTP_TRACE, "/abc", 405, "GET, HEAD, OPTIONS");
        assert_status(HTTP_TRACE, "/", 405, all);
        assert_status(HTTP_CONNECT, "a.example:443", 405, all);
        assert_status(HTTP_OTHER, "/a/b", 404, NULL);
        assert_string_equal(http_method_name(HTTP_DELETE), "DELETE");
        assert_string_equal(http_method_name(HTTP_OTHER), "OTHER");
}

static void test_reserved_words(void **state) {
        (void)state;
        assert_true(http_router_reserved(router, SLICE("users")));
        assert_true(http_router_reserved(router, SLICE("only")));
        assert_false(http_router_reserved(router, SLICE("bulk")));
        assert_false(http_router_reserved(router, SLICE("Users")));
        assert_false(http_router_reserved(router, SLICE("{code}")));
        assert_false(http_router_reserved(router, SLICE("")));
}

static void test_bad_tables(void **state) {
        static const HttpRoute bad[] = {
                        {.method = HTTP_GET, .pattern = ""},
                        {.method = HTTP_GET, .pattern = "/"},
                        {.method = HTTP_GET, .pattern = "a"},
                        {.method = HTTP_GET, .pattern = "/a/"},
                        {.method = HTTP_GET, .pattern = "/a//b"},
                        {.method = HTTP_GET, .pattern = "/a/b/c/d/e"},
                        {.method = HTTP_GET, .pattern = "/{name}"},
                        {.method = HTTP_GET, .pattern = "/a{id}"},
                        {.method = HTTP_HEAD, .pattern = "/a"},
                        {.method = HTTP_OPTIONS, .pattern = "/a"},
                        {.method = HTTP_TRACE, .pattern = "/a"},
                        {.method = HTTP_CONNECT, .pattern = "/a"},
                        {.method = HTTP_OTHER, .pattern = "/a"},
        };
        static const HttpRoute twice[] = {{.method = HTTP_GET, .pattern = "/a"},
                                          {.method = HTTP_GET, .pattern = "/a"}};
        HttpRouter *made = NULL;

        (void)state;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(http_router_new(bad + i, 1, &made), -EINVAL);
        assert_int_equal(http_router_new(twice, 2, &made), -EINVAL);
        assert_null(made);
        assert_null(http_router_free(NULL));
}

static void test_empty_table(void **state) {
        HttpRouter *made;
        HttpMatch result;

        (void)state;
        assert_int_equal(http_router_new(NULL, 0, &made), 0);
        http_router_match(made, HTTP_GET, SLICE("/a"), &result);
        assert_int_equal(result.status, 404);
        made = http_router_free(made);
}

static void test_memory_runs_out(void **state) {
        size_t n = 1;
        int r;

        (void)state;
        do {
                HttpRouter *made = NULL;

                failing_malloc_arm(n++);
                r = http_router_new(routes, ELEMENTSOF(routes), &made);
                assert_true(r == 0 || (r == -ENOMEM && !made));
                if (r == 0)
                        made = http_router_free(made);
        } while (failing_malloc_happened());
        failing_malloc_arm(0);
        assert_int_equal(r, 0);
        assert_true(n > 10);
}

static void test_response_fields(void **state) {
        HttpResponse response = {0};

        (void)state;
        http_response_field(&response, "Allow", SLICE("GET, HEAD"));
        http_response_field(&response, "X-Empty", SLICE_NONE);
        assert_true(slice_equal(buffer_slice(&response.head),
                                SLICE("Allow: GET, HEAD\r\nX-Empty: \r\n")));
        buffer_done(&response.head);
        failing_malloc_arm(1);
        http_response_field(&response, "Allow", SLICE("GET"));
        failing_malloc_arm(0);
        assert_true(response.head.failed);
        buffer_done(&response.head);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test_setup_teardown(test_routes, make, unmake),
                        cmocka_unit_test_setup_teardown(test_codes, make, unmake),
                        cmocka_unit_test_setup_teardown(test_ids, make, unmake),
                        cmocka_unit_test_setup_teardown(test_not_found, make, unmake),
                        cmocka_unit_test_setup_teardown(test_methods, make, unmake),
                        cmocka_unit_test_setup_teardown(test_reserved_words, make, unmake),
                        cmocka_unit_test(test_bad_tables),
                        cmocka_unit_test(test_empty_table),
                        cmocka_unit_test(test_memory_runs_out),
                        cmocka_unit_test(test_response_fields),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
