/* SPDX-License-Identifier: MIT */

/* The routes of the service, in the order of shortener-api(7). */

#include "daemon/routes.h"

#include "api/api.h"

#define KIB 1024u
#define MIB (1024u * KIB)

#define JSON_BODY_MAX MIB
/* The file may have 10 MiB (api.md); the form around it some more. */
#define BULK_BODY_MAX  (10 * MIB + 64 * KIB)
#define BULK_TOO_LARGE "File too large (max 10MB)"

#define USER_NOT_FOUND "User not found"
#define URL_NOT_FOUND  "URL not found"

/* clang-format off */
const HttpRoute routes[] = {
        {.method = HTTP_GET, .pattern = "/health", .name = "health",
         .flags = HTTP_ROUTE_ON_LOOP | HTTP_ROUTE_UNCOUNTED, .loop = ROUTE_HEALTH},
        {.method = HTTP_GET, .pattern = "/ready", .name = "ready",
         .flags = HTTP_ROUTE_ON_LOOP | HTTP_ROUTE_UNCOUNTED | HTTP_ROUTE_GUARDED,
         .loop = ROUTE_READY},
        {.method = HTTP_GET, .pattern = "/metrics", .name = "metrics",
         .flags = HTTP_ROUTE_ON_LOOP | HTTP_ROUTE_UNCOUNTED | HTTP_ROUTE_GUARDED,
         .loop = ROUTE_METRICS},

        {.method = HTTP_GET, .pattern = "/users", .name = "users.list_users",
         .worker = api_users_list},
        {.method = HTTP_POST, .pattern = "/users", .name = "users.create_user",
         .flags = HTTP_ROUTE_JSON_BODY | HTTP_ROUTE_ADMIN, .body_max = JSON_BODY_MAX,
         .worker = api_users_create},
        {.method = HTTP_POST, .pattern = "/users/bulk", .name = "users.bulk_create_users",
         .flags = HTTP_ROUTE_IMPORT | HTTP_ROUTE_ADMIN, .body_max = BULK_BODY_MAX,
         .worker = api_users_bulk, .too_large = BULK_TOO_LARGE},
        {.method = HTTP_GET, .pattern = "/users/{id}", .name = "users.get_user",
         .worker = api_users_get, .not_found = USER_NOT_FOUND},
        {.method = HTTP_PUT, .pattern = "/users/{id}", .name = "users.update_user",
         .flags = HTTP_ROUTE_JSON_BODY, .body_max = JSON_BODY_MAX, .worker = api_users_update,
         .not_found = USER_NOT_FOUND},
        {.method = HTTP_DELETE, .pattern = "/users/{id}", .name = "users.delete_user",
         .worker = api_users_delete, .not_found = USER_NOT_FOUND},

        {.method = HTTP_GET, .pattern = "/urls", .name = "urls.list_urls",
         .worker = api_urls_list},
        {.method = HTTP_POST, .pattern = "/urls", .name = "urls.create_url",
         .flags = HTTP_ROUTE_JSON_BODY | HTTP_ROUTE_BEHIND_VISITS, .body_max = JSON_BODY_MAX,
         .worker = api_urls_create},
        {.method = HTTP_GET, .pattern = "/urls/{id}", .name = "urls.get_url",
         .worker = api_urls_get, .not_found = URL_NOT_FOUND},
        {.method = HTTP_PUT, .pattern = "/urls/{id}", .name = "urls.update_url",
         .flags = HTTP_ROUTE_JSON_BODY | HTTP_ROUTE_BEHIND_VISITS, .body_max = JSON_BODY_MAX,
         .worker = api_urls_update, .not_found = URL_NOT_FOUND},
        {.method = HTTP_DELETE, .pattern = "/urls/{id}", .name = "urls.delete_url",
         .flags = HTTP_ROUTE_BEHIND_VISITS, .worker = api_urls_delete,
         .not_found = URL_NOT_FOUND},
        {.method = HTTP_GET, .pattern = "/urls/{id}/stats", .name = "urls.url_stats",
         .flags = HTTP_ROUTE_AFTER_VISITS, .worker = api_urls_stats, .not_found = URL_NOT_FOUND},
        {.method = HTTP_GET, .pattern = "/urls/{id}/events", .name = "events.url_events",
         .flags = HTTP_ROUTE_AFTER_VISITS, .worker = api_urls_events, .not_found = URL_NOT_FOUND},

        {.method = HTTP_GET, .pattern = "/events", .name = "events.list_events",
         .flags = HTTP_ROUTE_AFTER_VISITS, .worker = api_events_list},
        {.method = HTTP_POST, .pattern = "/events", .name = "events.create_event",
         .flags = HTTP_ROUTE_JSON_BODY | HTTP_ROUTE_BEHIND_VISITS, .body_max = JSON_BODY_MAX,
         .worker = api_events_create},

        {.method = HTTP_GET, .pattern = "/{code}", .name = "urls.redirect_short_url",
         .flags = HTTP_ROUTE_REDIRECT},
};
/* clang-format on */

const size_t n_routes = ELEMENTSOF(routes);
