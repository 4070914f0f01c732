/* SPDX-License-Identifier: MIT */

/* Makes the OpenAPI document: the route table walked once. Not on the way of any request. */

#include "daemon/openapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "basic/check.h"
#include "daemon/openapi-document.h"
#include "model/problem.h"
#include "model/types.h"

static const char about[] =
                "Short links: redirects, and a JSON interface to users, links and events. HEAD "
                "works wherever GET does; OPTIONS is answered with Allow. With Access=open no "
                "token is asked for, and changes that a browser sends for a page of another site "
                "are 403. The order of checks and the text of every error are in "
                "shortener-api(7).";

/* ---- parameters and fields of headers ---- */

static json_t *parameter(Document *document, const OpenapiField *field, const char *where) {
        json_t *result = json_pack("{s:s, s:s}", "name", field->name, "in", where);

        if (strcmp(where, "path") == 0)
                put(document, result, "required", json_true());
        if (field->about)
                put_text(document, result, "description", field->about);
        put(document, result, "schema", openapi_field_schema(document, field));
        return result;
}

static json_t *parameters_of(Document *document, const HttpRoute *route,
                             const OpenapiOperation *row) {
        static const char *const pages[] = {"page", "per_page", "after"};
        json_t *result = json_array();

        if (strstr(route->pattern, "{id}"))
                add(document, result, reference("parameters", "id"));
        if (strstr(route->pattern, "{code}"))
                add(document, result, reference("parameters", "code"));
        for (size_t i = 0; i < ELEMENTSOF(row->filters) && row->filters[i]; i++)
                add(document, result, reference("parameters", row->filters[i]));
        for (size_t i = 0; (row->traits & OPENAPI_LIST) && i < ELEMENTSOF(pages); i++)
                add(document, result, reference("parameters", pages[i]));
        for (size_t i = 0; i < n_openapi_request_fields; i++)
                if (row->traits & openapi_request_fields[i].trait)
                        add(document, result,
                            reference("parameters", openapi_request_fields[i].field.name));
        return result;
}

static json_t *header(Document *document, const OpenapiHeader *row) {
        OpenapiField field = {.type = row->type};
        json_t *result = json_pack("{s:s}", "description", row->about);

        put(document, result, "schema", openapi_field_schema(document, &field));
        return result;
}

static void put_header(Document *document, json_t *headers, const char *name) {
        put(document, headers, name, reference("headers", name));
}

/* ---- answers ---- */

static const char *status_text(int status) {
        switch (status) {
        case 409:
                return "Taken; or, of a POST, one with its Idempotency-Key is in progress";
        case 422:
                return "Idempotency-Key was used with another request";
        default:
                return problem_generic_text(status);
        }
}

/* Is a token asked for, and what it costs of the client's budget? */
static bool is_limited(const HttpRoute *route) {
        return route->worker || (route->flags & HTTP_ROUTE_GUARDED);
}

static void put_limit_headers(Document *document, json_t *headers) {
        put_header(document, headers, "RateLimit-Policy");
        put_header(document, headers, "RateLimit");
}

/* An error; route NULL: of any. */
static json_t *refusal(Document *document, int status, const char *text, const HttpRoute *route) {
        json_t *headers = json_object(), *content = json_object();

        put_header(document, headers, "X-Request-Id");
        if (status == 401)
                put_header(document, headers, "WWW-Authenticate");
        if (status == 409 || status == 429 || status == 503)
                put_header(document, headers, "Retry-After");
        if (status == 429 || !route || is_limited(route))
                put_limit_headers(document, headers);
        put(document, content, "application/json",
            json_pack("{s:o}", "schema", reference("schemas", "Error")));
        if (route && (route->flags & HTTP_ROUTE_REDIRECT)) /* for people */
                put(document, content, "text/html",
                    json_pack("{s:{s:s}}", "schema", "type", "string"));
        return json_pack("{s:s, s:o, s:o}", "description", text, "headers", headers, "content",
                         content);
}

static void put_refusal(Document *document, json_t *responses, const HttpRoute *route, int status) {
        const char *own = NULL;
        bool special = route->flags & (HTTP_ROUTE_REDIRECT | HTTP_ROUTE_ON_LOOP);
        char key[8];

        if (status == 404)
                own = route->not_found;
        else if (status == 413)
                own = route->too_large;
        (void)snprintf(key, sizeof key, "%d", status);
        if (own || special)
                put(document, responses, key,
                    refusal(document, status, own ? own : status_text(status), route));
        else
                put(document, responses, key, reference("responses", key));
}

/* The client has it already: the fields of the answer, without its body. */
static void put_not_modified(Document *document, json_t *responses, const json_t *answered) {
        json_t *headers = json_deep_copy(json_object_get(answered, "headers"));

        put(document, responses, "304",
            json_pack("{s:s, s:o}", "description", "What If-None-Match names", "headers", headers));
}

static void put_refusals(Document *document, json_t *responses, const HttpRoute *route,
                         const OpenapiOperation *row) {
        bool parsed = row->takes || row->filters[0] ||
                      (row->traits & (OPENAPI_LIST | OPENAPI_IF_MATCH));
        bool once = row->traits & OPENAPI_ONCE;
        const json_t *away;
        const struct {
                int status;
                bool is;
        } usual[] = {
                        {400, parsed},
                        {401, is_limited(route)},
                        {403, is_limited(route)},
                        {404, strchr(route->pattern, '{')},
                        {409, once},
                        {412, row->traits & OPENAPI_IF_MATCH},
                        {413, route->body_max > 0},
                        {422, once},
                        {429, is_limited(route) || (route->flags & HTTP_ROUTE_REDIRECT)},
                        {503, is_limited(route) || (route->flags & HTTP_ROUTE_REDIRECT)},
        };

        for (size_t i = 0; i < ELEMENTSOF(usual); i++)
                if (usual[i].is)
                        put_refusal(document, responses, route, usual[i].status);
        for (size_t i = 0; i < ELEMENTSOF(row->refusals) && row->refusals[i] != 0; i++)
                put_refusal(document, responses, route, row->refusals[i]);
        away = json_object_get(responses, "503");
        if (away && (route->flags & HTTP_ROUTE_ON_LOOP) && row->gives)
                put_header(document, json_object_get(away, "headers"), "X-Instance");
        put(document, responses, "default", reference("responses", "default"));
}

static void put_headers(Document *document, json_t *headers, const HttpRoute *route,
                        const OpenapiOperation *row) {
        bool redirect = route->flags & HTTP_ROUTE_REDIRECT;
        const struct {
                const char *name;
                bool is;
        } usual[] = {
                        {"X-Request-Id", true},
                        {"ETag", row->traits & OPENAPI_ETAG},
                        {"Idempotency-Replayed", row->traits & OPENAPI_ONCE},
                        {"X-Total-Count", row->traits & OPENAPI_LIST},
                        {"Link", row->traits & OPENAPI_LIST},
                        {"X-Clicks-Pending", route->flags & HTTP_ROUTE_AFTER_VISITS},
                        {"Location", redirect},
                        {"X-Cache", redirect},
                        {"X-Instance", (route->flags & HTTP_ROUTE_ON_LOOP) && row->gives},
        };

        for (size_t i = 0; i < ELEMENTSOF(usual); i++)
                if (usual[i].is)
                        put_header(document, headers, usual[i].name);
}

/* When all is well. */
static json_t *answer(Document *document, const HttpRoute *route, const OpenapiOperation *row) {
        json_t *result = json_pack("{s:s}", "description", row->summary), *headers = json_object();
        json_t *schema = NULL;

        put_headers(document, headers, route, row);
        if (is_limited(route))
                put_limit_headers(document, headers);
        put(document, result, "headers", headers);
        if (row->traits & OPENAPI_METRICS)
                put(document, result, "content",
                    json_pack("{s:{s:{s:s}}}", "text/plain", "schema", "type", "string"));
        if (!row->gives)
                return result;
        schema = reference("schemas", row->gives);
        if (row->traits & OPENAPI_LIST)
                schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
        put(document, result, "content",
            json_pack("{s:{s:o}}", "application/json", "schema", schema));
        return result;
}

/* ---- operations ---- */

/* The scopes are those that api_authenticate() asks for. */
static json_t *security(const HttpRoute *route) {
        if (route->flags & HTTP_ROUTE_GUARDED)
                return json_pack("[{}, {s:[s]}]", "bearer", "read");
        if (!route->worker)
                return json_array();
        if (route->flags & HTTP_ROUTE_ADMIN)
                return json_pack("[{s:[s]}]", "bearer", "admin");
        return json_pack("[{s:[s]}]", "bearer", route->method == HTTP_GET ? "read" : "write");
}

/* "users" of "users.get_user". */
static json_t *tag(const HttpRoute *route) {
        size_t len = strcspn(route->name, ".");

        if (route->flags & HTTP_ROUTE_REDIRECT)
                return json_string("redirects");
        return route->name[len] == '\0' ? json_string("service") : json_stringn(route->name, len);
}

static json_t *body(const HttpRoute *route, const OpenapiOperation *row) {
        const char *type = route->flags & HTTP_ROUTE_JSON_BODY ? "application/json"
                                                               : "multipart/form-data";
        char text[64];

        (void)snprintf(text, sizeof text, "At most %llu bytes",
                       (unsigned long long)route->body_max);
        return json_pack("{s:b, s:s, s:{s:{s:o}}}", "required", 1, "description", text, "content",
                         type, "schema", reference("schemas", row->takes));
}

static json_t *operation(Document *document, const HttpRoute *route, const OpenapiOperation *row) {
        json_t *result = json_object(), *responses = json_object(), *tags = json_array();
        char status[8];

        (void)snprintf(status, sizeof status, "%d", row->status);
        put(document, responses, status, answer(document, route, row));
        if (row->traits & OPENAPI_KNOWN)
                put_not_modified(document, responses, json_object_get(responses, status));
        put_refusals(document, responses, route, row);
        add(document, tags, tag(route));
        put_text(document, result, "operationId", route->name);
        put_text(document, result, "summary", row->summary);
        put(document, result, "tags", tags);
        put(document, result, "security", security(route));
        put(document, result, "parameters", parameters_of(document, route, row));
        if (row->takes)
                put(document, result, "requestBody", body(route, row));
        put(document, result, "responses", responses);
        return result;
}

static const OpenapiOperation *find_operation(const char *name) {
        for (size_t i = 0; i < n_openapi_operations; i++)
                if (strcmp(openapi_operations[i].name, name) == 0)
                        return openapi_operations + i;
        return NULL;
}

/* -EINVAL: a route that is not described. */
static int put_paths(Document *document) {
        json_t *paths = json_object();

        put(document, document->root, "paths", paths);
        for (size_t i = 0; i < document->n_routes && !document->failed; i++) {
                const HttpRoute *route = document->routes + i;
                const OpenapiOperation *row = find_operation(route->name);
                json_t *path = json_object_get(paths, route->pattern);
                char method[16];
                size_t n = 0;

                if (!row || (row->takes != NULL) != (route->body_max > 0))
                        return -EINVAL;
                if (!path) {
                        path = json_object();
                        put(document, paths, route->pattern, path);
                }
                for (const char *p = http_method_name(route->method); *p; p++)
                        method[n++] = (char)(*p | 0x20);
                method[n] = '\0';
                put(document, path, method, operation(document, route, row));
        }
        return 0;
}

/* ---- the rest ---- */

static json_t *all_parameters(Document *document) {
        static const OpenapiField id = {.name = "id", .type = OPENAPI_COUNT},
                                  code = {.name = "code", .max = MODEL_CODE_MAX};
        json_t *result = json_object();

        put(document, result, "id", parameter(document, &id, "path"));
        put(document, result, "code", parameter(document, &code, "path"));
        for (size_t i = 0; i < n_openapi_request_fields; i++)
                put(document, result, openapi_request_fields[i].field.name,
                    parameter(document, &openapi_request_fields[i].field, "header"));
        for (size_t i = 0; i < n_openapi_parameters; i++)
                put(document, result, openapi_parameters[i].name,
                    parameter(document, openapi_parameters + i, "query"));
        return result;
}

static void put_components(Document *document) {
        static const int statuses[] = {400, 401, 403, 404, 409, 410, 412, 413, 422, 429, 503};
        json_t *schemas = json_object(), *headers = json_object(), *responses = json_object();

        for (size_t i = 0; i < n_openapi_schemas; i++)
                put(document, schemas, openapi_schemas[i].name,
                    openapi_schema(document, openapi_schemas + i));
        for (size_t i = 0; i < n_openapi_headers; i++)
                put(document, headers, openapi_headers[i].name,
                    header(document, openapi_headers + i));
        for (size_t i = 0; i < ELEMENTSOF(statuses); i++) {
                char key[8];

                (void)snprintf(key, sizeof key, "%d", statuses[i]);
                put(document, responses, key,
                    refusal(document, statuses[i], status_text(statuses[i]), NULL));
        }
        put(document, responses, "default", refusal(document, 0, "What is wrong", NULL));
        put(document, document->root, "components",
            json_pack("{s:o, s:o, s:o, s:o, s:{s:{s:s, s:s}}}", "schemas", schemas, "headers",
                      headers, "responses", responses, "parameters", all_parameters(document),
                      "securitySchemes", "bearer", "type", "http", "scheme", "bearer"));
}

static int make(Document *document) {
        int r;

        put_text(document, document->root, "openapi", "3.1.0");
        put(document, document->root, "info",
            json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "title", "URL shortener", "version",
                      SHORTENER_VERSION, "description", about, "license", "name", "MIT",
                      "identifier", "MIT"));
        put_components(document);
        r = put_paths(document);
        if (r == 0 && document->failed)
                r = -ENOMEM;
        return r;
}

/* Is there a route for every row? */
static bool all_are_routes(const HttpRoute *routes, size_t n) {
        for (size_t i = 0; i < n_openapi_operations; i++) {
                size_t at = 0;

                while (at < n && strcmp(routes[at].name, openapi_operations[i].name) != 0)
                        at++;
                if (at == n)
                        return false;
        }
        return true;
}

/* json_dumps() of jansson 2.14 loses a quote when its buffer cannot grow, and says nothing. */
static int append(const char *data, size_t len, void *out) {
        buffer_append(out, slice_make(data, len));
        return ((const Buffer *)out)->failed ? -1 : 0;
}

int openapi_write(const HttpRoute *routes, size_t n, Buffer *out) {
        Document document = {.root = json_object(), .routes = routes, .n_routes = n};
        int r = all_are_routes(routes, n) ? make(&document) : -EINVAL;

        if (r == 0 &&
            json_dump_callback(document.root, append, out, JSON_INDENT(2) | JSON_SORT_KEYS) < 0)
                r = -ENOMEM;
        json_decref(document.root);
        buffer_append_byte(out, '\n');
        return r == 0 && out->failed ? -ENOMEM : r;
}
