/* SPDX-License-Identifier: MIT */

/* The OpenAPI document: what the route table says is in it, and no table may say more or less.
 * Whether it is true, tests/http/test_openapi.py asks the service. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "daemon/openapi.h"
#include "daemon/routes.h"

#define ROUTES_MAX 64u
/* Allocations of which each one fails; behind them the same places come again. */
#define EACH_MAX 500u
#define STEP     7u

static size_t n_allocations, failing_allocation;

static void *failing(size_t size) {
        return ++n_allocations == failing_allocation ? NULL : malloc(size);
}

static json_t *document(void) {
        Buffer out = BUFFER_EMPTY;
        json_t *root;

        assert_int_equal(openapi_write(routes, n_routes, &out), 0);
        assert_int_equal(out.data[out.len - 1], '\n');
        root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, NULL);
        buffer_done(&out);
        assert_non_null(root);
        return root;
}

static const json_t *at(const json_t *object, const char *key) {
        const json_t *value = json_object_get(object, key);

        if (!value)
                fail_msg("no %s", key);
        return value;
}

static void test_each_route_is_an_operation(void **state) {
        json_t *root = document();
        const json_t *paths = at(root, "paths"), *path;
        const char *pattern;
        size_t n = 0;

        (void)state;
        for (size_t i = 0; i < n_routes; i++) {
                const char *name = http_method_name(routes[i].method);
                char method[16] = "";

                for (size_t c = 0; name[c]; c++)
                        method[c] = (char)(name[c] | 0x20);
                path = at(paths, routes[i].pattern);
                assert_string_equal(json_string_value(at(at(path, method), "operationId")),
                                    routes[i].name);
        }
        json_object_foreach((json_t *)paths, pattern, path) n += json_object_size(path);
        assert_int_equal(n, n_routes);
        json_decref(root);
}

static void test_what_follows_from_a_route(void **state) {
        json_t *root = document();
        const json_t *path = at(at(root, "paths"), "/users/bulk");
        const json_t *post = at(path, "post"), *responses = at(post, "responses");
        const json_t *security = json_array_get(at(post, "security"), 0);

        (void)state;
        assert_string_equal(json_string_value(json_array_get(at(security, "bearer"), 0)), "admin");
        assert_string_equal(json_string_value(at(at(responses, "413"), "description")),
                            "File too large (max 10MB)");
        assert_non_null(at(at(at(post, "requestBody"), "content"), "multipart/form-data"));
        assert_null(json_object_get(responses, "404"));
        path = at(at(root, "paths"), "/urls/{id}/stats");
        responses = at(at(path, "get"), "responses");
        assert_string_equal(json_string_value(at(at(responses, "404"), "description")),
                            "URL not found");
        assert_non_null(at(at(at(responses, "200"), "headers"), "X-Clicks-Pending"));
        path = at(at(root, "paths"), "/{code}");
        assert_int_equal(json_array_size(at(at(path, "get"), "security")), 0);
        json_decref(root);
}

static void test_tables_that_differ(void **state) {
        HttpRoute changed[ROUTES_MAX];
        Buffer out = BUFFER_EMPTY;

        (void)state;
        assert_true(n_routes < ROUTES_MAX);
        /* A row of no route. */
        assert_int_equal(openapi_write(routes, n_routes - 1, &out), -EINVAL);
        /* A route without a row. */
        memcpy(changed, routes, n_routes * sizeof *routes);
        changed[n_routes] = (HttpRoute){.method = HTTP_GET, .pattern = "/new", .name = "new"};
        assert_int_equal(openapi_write(changed, n_routes + 1, &out), -EINVAL);
        /* A body in one table alone. */
        memcpy(changed, routes, n_routes * sizeof *routes);
        changed[0].body_max = 1;
        assert_int_equal(openapi_write(changed, n_routes, &out), -EINVAL);
        buffer_done(&out);
}

/* An allocation that fails is -ENOMEM, or was of no consequence: the document never lacks
 * something. */
static void test_allocations_fail(void **state) {
        Buffer whole = BUFFER_EMPTY;
        size_t n_failed = 0;

        (void)state;
        assert_int_equal(openapi_write(routes, n_routes, &whole), 0);
        json_set_alloc_funcs(failing, free);
        n_allocations = failing_allocation = 0;
        while (n_allocations >= failing_allocation) {
                Buffer out = BUFFER_EMPTY;
                int r;

                n_allocations = 0;
                failing_allocation += failing_allocation < EACH_MAX ? 1 : STEP;
                r = openapi_write(routes, n_routes, &out);
                assert_true(r == -ENOMEM || r == 0);
                n_failed += r == -ENOMEM;
                if (r == 0)
                        assert_true(slice_equal(buffer_slice(&out), buffer_slice(&whole)));
                buffer_done(&out);
        }
        json_set_alloc_funcs(malloc, free);
        assert_true(n_failed > EACH_MAX);
        buffer_done(&whole);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_each_route_is_an_operation),
                        cmocka_unit_test(test_what_follows_from_a_route),
                        cmocka_unit_test(test_tables_that_differ),
                        cmocka_unit_test(test_allocations_fail),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
