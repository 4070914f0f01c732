/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Routes as data. A pattern is a path whose segments are literal or one of {id} (digits only) and
 * {code} (one segment of anything else). The table is the only list of routes.
 */

#include "http/types.h"

typedef struct Call Call; /* work/call.h */

typedef enum HttpRouteFlags {
        HTTP_ROUTE_UNCOUNTED = 1 << 0, /* not in http_requests_total (health, ready, metrics) */
        HTTP_ROUTE_JSON_BODY = 1 << 1, /* takes a JSON object (documents; the handler checks) */
        HTTP_ROUTE_AFTER_VISITS =
                        1 << 2, /* waits for the visits answered before it (design clicks.md) */
        HTTP_ROUTE_REDIRECT = 1 << 3,      /* front/redirect-hit, then the resolver */
        HTTP_ROUTE_ON_LOOP = 1 << 4,       /* loop handler: never waits */
        HTTP_ROUTE_IMPORT = 1 << 5,        /* long deadline (60 s), body up to body_max as a file */
        HTTP_ROUTE_BEHIND_VISITS = 1 << 6, /* its events stand behind visits answered before it, if
                                              these come in within a moment */
        HTTP_ROUTE_ADMIN = 1 << 7,         /* an admin's only, where tokens are asked for */
        HTTP_ROUTE_GUARDED = 1 << 8, /* on the loop, and not for everybody: this host, or a token */
} HttpRouteFlags;

typedef struct HttpRoute {
        HttpMethod method; /* HEAD is served by GET's route, OPTIONS by the router */
        const char *pattern;
        const char *name; /* endpoint label of metrics, e.g. "urls.create_url" */
        unsigned flags;
        uint64_t body_max;         /* bytes; 0: no body is expected */
        int (*worker)(Call *call); /* on a worker; NULL for loop routes */
        unsigned loop;             /* which loop handler, an enum of the daemon */
        const char *not_found;     /* error text when {id} is out of range; NULL: "Not found" */
        const char *too_large;     /* 413 text; NULL: the generic one */
} HttpRoute;

typedef struct HttpRouter HttpRouter;

typedef struct HttpMatch {
        const HttpRoute *route; /* NULL: see status */
        int status;             /* 0, 404, 405, or 200 for OPTIONS */
        int64_t id;             /* of {id}; 0 when it is out of range (route->not_found applies) */
        Slice code;             /* of {code}: raw segment */
        const char *allow;      /* for 405 and OPTIONS: "GET, HEAD, POST, OPTIONS" */
} HttpMatch;

/* routes: n rows, static; HEAD and OPTIONS are added to Allow. -ENOMEM, -EINVAL (a bad pattern, a
 * method that no route may have, two routes for one method of a pattern). */
int http_router_new(const HttpRoute *routes, size_t n, HttpRouter **ret) _must_check_;
HttpRouter *http_router_free(HttpRouter *router);
DEFINE_CLEANUP(HttpRouter, http_router_free)

/* path: raw, as in the request line. A literal segment wins over {id} and {code}. TRACE and CONNECT
 * are 405 whatever the path; "*" (OPTIONS alone has it) is the whole server. */
void http_router_match(const HttpRouter *router, HttpMethod method, Slice path, HttpMatch *ret);

/* "GET", ...; "OTHER" for HTTP_OTHER. */
const char *http_method_name(HttpMethod method);

/* Is this word a route's first segment (and so no short code)? */
bool http_router_reserved(const HttpRouter *router, Slice word);
