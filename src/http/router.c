/* SPDX-License-Identifier: MIT */

/*
 * The router. Resources (patterns with the routes of all their methods) hang on the first word of
 * their path, most specific first; those that begin with {code} or {id} on a chain of their own. A
 * look-up compares a dozen words and then a few segments. Made once, read by every thread.
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

/* In the order of what wins. */
typedef enum SegmentKind {
        SEGMENT_LITERAL,
        SEGMENT_ID,
        SEGMENT_CODE,
} SegmentKind;

typedef struct Resource Resource;
struct Resource {
        const char *pattern;
        Slice segments[SEGMENTS_MAX];
        SegmentKind kinds[SEGMENTS_MAX];
        size_t n_segments;
        const HttpRoute *routes[HTTP_METHODS];
        unsigned methods; /* bits 1 << HttpMethod of what Allow names */
        char *allow;
        Resource *next; /* in its chain */
};

typedef struct Word {
        Slice text; /* first segment */
        Resource *chain;
} Word;

struct HttpRouter {
        Resource *resources;
        size_t n_resources;
        Word *words;
        size_t n_words;
        Resource *open; /* the chain of those that begin with no literal */
        char *allow;    /* everything that some route offers */
};

const char *http_method_name(HttpMethod method) {
        return method_names[method];
}

/* "/a/b" -> {"a", "b"}; false: too many segments, an empty one, or no leading slash. */
static bool split(Slice path, Slice ret[SEGMENTS_MAX], size_t *ret_n) {
        bool more = true;
        Slice rest;
        size_t n;

        if (path.len == 0 || path.data[0] != '/')
                return false;
        rest = slice_from(path, 1);
        for (n = 0; more; n++) {
                if (n == SEGMENTS_MAX)
                        return false;
                more = slice_cut(rest, '/', &ret[n], &rest);
                if (ret[n].len == 0)
                        return false;
        }
        *ret_n = n;
        return true;
}

static Word *find_word(const HttpRouter *router, Slice text) {
        for (size_t i = 0; i < router->n_words; i++)
                if (slice_equal(router->words[i].text, text))
                        return router->words + i;
        return NULL;
}

/* ---- making ---- */

static int parse_pattern(Resource *resource) {
        if (!split(slice_from_string(resource->pattern), resource->segments, &resource->n_segments))
                return -EINVAL;
        for (size_t i = 0; i < resource->n_segments; i++) {
                Slice segment = resource->segments[i];

                if (slice_equal(segment, SLICE("{id}")))
                        resource->kinds[i] = SEGMENT_ID;
                else if (slice_equal(segment, SLICE("{code}")))
                        resource->kinds[i] = SEGMENT_CODE;
                else if (slice_find(segment, '{') >= 0)
                        return -EINVAL;
        }
        return 0;
}

static bool more_specific(const Resource *a, const Resource *b) {
        for (size_t i = 0; i < MIN(a->n_segments, b->n_segments); i++)
                if (a->kinds[i] != b->kinds[i])
                        return a->kinds[i] < b->kinds[i];
        return false;
}

static void hang_up(HttpRouter *router, Resource *resource) {
        Resource **place = &router->open;

        if (resource->kinds[0] == SEGMENT_LITERAL) {
                Word *word = find_word(router, resource->segments[0]);

                if (!word) {
                        word = router->words + router->n_words++;
                        word->text = resource->segments[0];
                }
                place = &word->chain;
        }
        while (*place && !more_specific(resource, *place))
                place = &(*place)->next;
        resource->next = *place;
        *place = resource;
}

/* The resource of this pattern, made if it is new. */
static int take_resource(HttpRouter *router, const char *pattern, Resource **ret) {
        Resource *resource = router->resources + router->n_resources;
        int r;

        for (size_t i = 0; i < router->n_resources; i++)
                if (strcmp(router->resources[i].pattern, pattern) == 0) {
                        *ret = router->resources + i;
                        return 0;
                }
        resource->pattern = pattern;
        r = parse_pattern(resource);
        if (r < 0)
                return r;
        router->n_resources++;
        hang_up(router, resource);
        *ret = resource;
        return 0;
}

static int add_route(HttpRouter *router, const HttpRoute *route) {
        Resource *resource;
        int r;

        if (route->method == HTTP_HEAD || route->method == HTTP_OPTIONS ||
            route->method >= HTTP_TRACE)
                return -EINVAL;
        r = take_resource(router, route->pattern, &resource);
        if (r < 0)
                return r;
        if (resource->routes[route->method])
                return -EINVAL;
        resource->routes[route->method] = route;
        resource->methods |= 1u << route->method | 1u << HTTP_OPTIONS;
        if (route->method == HTTP_GET)
                resource->methods |= 1u << HTTP_HEAD;
        return 0;
}

static int make_allow(unsigned methods, char **ret) {
        Buffer text = BUFFER_EMPTY;

        for (unsigned method = 0; method < HTTP_METHODS; method++)
                if (methods & 1u << method)
                        buffer_printf(&text, "%s%s", text.len > 0 ? ", " : "",
                                      method_names[method]);
        buffer_append_byte(&text, '\0');
        if (text.failed) {
                buffer_done(&text);
                return -ENOMEM;
        }
        *ret = text.data;
        return 0;
}

int http_router_new(const HttpRoute *routes, size_t n, HttpRouter **ret) {
        _cleanup_(http_router_free_p) HttpRouter *router = calloc(1, sizeof *router);
        unsigned methods = 0;
        int r = 0;

        if (!router)
                return -ENOMEM;
        router->resources = calloc(n + 1, sizeof *router->resources);
        router->words = calloc(n + 1, sizeof *router->words);
        if (!router->resources || !router->words)
                return -ENOMEM;
        for (size_t i = 0; i < n && r == 0; i++)
                r = add_route(router, routes + i);
        for (size_t i = 0; i < router->n_resources && r == 0; i++) {
                methods |= router->resources[i].methods;
                r = make_allow(router->resources[i].methods, &router->resources[i].allow);
        }
        if (r == 0)
                r = make_allow(methods, &router->allow);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(router);
        return 0;
}

HttpRouter *http_router_free(HttpRouter *router) {
        if (!router)
                return NULL;
        for (size_t i = 0; i < router->n_resources; i++)
                free(router->resources[i].allow);
        free(router->resources);
        free(router->words);
        free(router->allow);
        free(router);
        return NULL;
}

/* ---- matching ---- */

static bool digits_only(Slice s) {
        for (size_t i = 0; i < s.len; i++)
                if (s.data[i] < '0' || s.data[i] > '9')
                        return false;
        return true;
}

/* 0 when it does not fit into a positive int64_t. */
static int64_t parse_id(Slice s) {
        uint64_t id;

        if (number_parse_u64(s, &id) < 0 || id > INT64_MAX)
                return 0;
        return (int64_t)id;
}

static bool fits(const Resource *resource, const Slice *segments, size_t n) {
        if (resource->n_segments != n)
                return false;
        for (size_t i = 0; i < n; i++) {
                if (resource->kinds[i] == SEGMENT_LITERAL &&
                    !slice_equal(resource->segments[i], segments[i]))
                        return false;
                if (resource->kinds[i] == SEGMENT_ID && !digits_only(segments[i]))
                        return false;
        }
        return true;
}

static const Resource *find_in_chain(const Resource *chain, const Slice *segments, size_t n) {
        while (chain && !fits(chain, segments, n))
                chain = chain->next;
        return chain;
}

static const Resource *find_resource(const HttpRouter *router, const Slice *segments, size_t n) {
        const Word *word = find_word(router, segments[0]);
        const Resource *resource = NULL;

        if (word)
                resource = find_in_chain(word->chain, segments, n);
        return resource ? resource : find_in_chain(router->open, segments, n);
}

static void take_variables(const Resource *resource, const Slice *segments, HttpMatch *match) {
        for (size_t i = 0; i < resource->n_segments; i++) {
                if (resource->kinds[i] == SEGMENT_ID)
                        match->id = parse_id(segments[i]);
                else if (resource->kinds[i] == SEGMENT_CODE)
                        match->code = segments[i];
        }
}

void http_router_match(const HttpRouter *router, HttpMethod method, Slice path, HttpMatch *ret) {
        /* There is no path with these two, so there is nothing to find out about one. */
        bool nowhere = method == HTTP_TRACE || method == HTTP_CONNECT;
        const Resource *resource = NULL;
        Slice segments[SEGMENTS_MAX];
        HttpMatch match = {0};
        size_t n;

        if (split(path, segments, &n))
                resource = find_resource(router, segments, n);
        if (resource) {
                take_variables(resource, segments, &match);
                match.route = resource->routes[method == HTTP_HEAD ? HTTP_GET : method];
        }
        if (!resource && !nowhere && !slice_equal(path, SLICE("*")))
                match.status = 404;
        else if (!match.route) {
                match.status = method == HTTP_OPTIONS ? 200 : 405;
                match.allow = resource ? resource->allow : router->allow;
        }
        *ret = match;
}

bool http_router_reserved(const HttpRouter *router, Slice word) {
        return find_word(router, word) != NULL;
}
