/* SPDX-License-Identifier: MIT */

/*
 * The router: a dozen routes, compared segment by segment. Cheap enough for a linear look, because
 * cached redirects never come here and everything else costs a store call.
 */

#include "http/router.h"

#include <errno.h>
#include <stdlib.h>

#include "basic/buffer.h"
#include "basic/number.h"

#define SEGMENTS_MAX 4u

static const char *const method_names[HTTP_METHODS] = {
                "GET",     "HEAD",  "POST",  "PUT",     "DELETE",
                "OPTIONS", "PATCH", "TRACE", "CONNECT", "OTHER",
};

/* Routes that share a pattern are one resource with one Allow. */
typedef struct Resource {
        const char *pattern;
        Slice segments[SEGMENTS_MAX];
        size_t n_segments;
        char *allow;
} Resource;

struct HttpRouter {
        const HttpRoute *routes;
        size_t n_routes;
        Resource *resources;
        size_t n_resources;
};

const char *http_method_name(HttpMethod method) {
        return method_names[method];
}

/* "/a/b" -> {"a", "b"}; false: too many segments, an empty one, or no leading slash. */
static bool split(Slice path, Slice ret[SEGMENTS_MAX], size_t *ret_n) {
        size_t n = 0;
        Slice rest;

        if (path.len == 0 || path.data[0] != '/')
                return false;
        rest = slice_from(path, 1);
        for (bool more = true; more; n++) {
                if (n == SEGMENTS_MAX)
                        return false;
                more = slice_cut(rest, '/', &ret[n], &rest);
                if (ret[n].len == 0)
                        return false;
        }
        *ret_n = n;
        return true;
}

static Resource *resource_of(const HttpRouter *router, const char *pattern) {
        for (size_t i = 0; i < router->n_resources; i++)
                if (strcmp(router->resources[i].pattern, pattern) == 0)
                        return router->resources + i;
        return NULL;
}

static bool has_method(const HttpRouter *router, const char *pattern, HttpMethod method) {
        for (size_t i = 0; i < router->n_routes; i++)
                if (router->routes[i].method == method &&
                    strcmp(router->routes[i].pattern, pattern) == 0)
                        return true;
        return false;
}

static int make_allow(const HttpRouter *router, Resource *resource) {
        Buffer text = BUFFER_EMPTY;

        for (int m = 0; m < HTTP_METHODS; m++) {
                HttpMethod method = (HttpMethod)m, asked = method == HTTP_HEAD ? HTTP_GET : method;

                if (method != HTTP_OPTIONS && !has_method(router, resource->pattern, asked))
                        continue;
                buffer_printf(&text, "%s%s", text.len > 0 ? ", " : "", method_names[m]);
        }
        buffer_append_byte(&text, '\0');
        if (text.failed) {
                buffer_done(&text);
                return -ENOMEM;
        }
        resource->allow = text.data;
        return 0;
}

int http_router_new(const HttpRoute *routes, size_t n, HttpRouter **ret) {
        _cleanup_(http_router_free_p) HttpRouter *router = calloc(1, sizeof *router);

        if (!router)
                return -ENOMEM;
        router->routes = routes;
        router->n_routes = n;
        router->resources = calloc(n, sizeof *router->resources);
        if (!router->resources)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++) {
                Resource *resource;
                int r;

                if (resource_of(router, routes[i].pattern))
                        continue;
                resource = router->resources + router->n_resources++;
                resource->pattern = routes[i].pattern;
                if (!split(slice_from_string(routes[i].pattern), resource->segments,
                           &resource->n_segments))
                        return -EINVAL;
                r = make_allow(router, resource);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(router);
        return 0;
}

HttpRouter *http_router_free(HttpRouter *router) {
        if (!router)
                return NULL;
        for (size_t i = 0; i < router->n_resources; i++)
                free(router->resources[i].allow);
        free(router->resources);
        free(router);
        return NULL;
}

static bool digits_only(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if (s.data[i] < '0' || s.data[i] > '9')
                        return false;
        return s.len > 0;
}

/* 0 when it does not fit into a positive int64_t. */
static int64_t parse_id(Slice s) {
        uint64_t id;

        while (s.len > 1 && s.data[0] == '0')
                s = slice_from(s, 1);
        if (number_parse_u64(s, &id) < 0 || id > INT64_MAX)
                return 0;
        return (int64_t)id;
}

/* Does one segment fit? *score: literal segments weigh more than {id}, {id} more than {code}. */
static bool segment_fits(Slice pattern, Slice segment, HttpMatch *match, unsigned *score) {
        if (slice_equal(pattern, SLICE("{id}"))) {
                if (!digits_only(segment))
                        return false;
                match->id = parse_id(segment);
                *score += 2;
                return true;
        }
        if (slice_equal(pattern, SLICE("{code}"))) {
                match->code = segment;
                *score += 1;
                return true;
        }
        *score += 3;
        return slice_equal(pattern, segment);
}

static const Resource *find_resource(const HttpRouter *router, const Slice *segments, size_t n,
                                     HttpMatch *ret) {
        const Resource *best = NULL;
        unsigned best_score = 0;

        for (size_t i = 0; i < router->n_resources; i++) {
                const Resource *resource = router->resources + i;
                HttpMatch match = {0};
                unsigned score = 0;
                size_t at = 0;

                if (resource->n_segments != n)
                        continue;
                while (at < n && segment_fits(resource->segments[at], segments[at], &match, &score))
                        at++;
                if (at < n || score <= best_score)
                        continue;
                best = resource;
                best_score = score;
                *ret = match;
        }
        return best;
}

void http_router_match(const HttpRouter *router, HttpMethod method, Slice path, HttpMatch *ret) {
        Slice segments[SEGMENTS_MAX];
        const Resource *resource;
        HttpMatch match = {0};
        size_t n;

        *ret = (HttpMatch){.status = 404};
        if (!split(path, segments, &n))
                return;
        resource = find_resource(router, segments, n, &match);
        if (!resource)
                return;
        match.allow = resource->allow;
        match.status = method == HTTP_OPTIONS ? 200 : 405;
        for (size_t i = 0; i < router->n_routes && match.status == 405; i++) {
                const HttpRoute *route = router->routes + i;

                if (route->method == (method == HTTP_HEAD ? HTTP_GET : method) &&
                    strcmp(route->pattern, resource->pattern) == 0) {
                        match.route = route;
                        match.status = 0;
                }
        }
        *ret = match;
}

bool http_router_reserved(const HttpRouter *router, Slice word) {
        for (size_t i = 0; i < router->n_resources; i++)
                if (slice_equal(router->resources[i].segments[0], word))
                        return true;
        return false;
}
