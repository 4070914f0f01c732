/* SPDX-License-Identifier: MIT */

/* Schemas, parameters and operations of the API for its OpenAPI document; shortener-api(7) has the
 * whole text. Bytes of a target are counted as characters: more can never be right. */

#include "daemon/openapi-tables.h"

#include "api/once.h"
#include "basic/check.h"
#include "model/types.h"

#define ROWS_MAX 20 /* skipped rows that the answer to an import names */

/* clang-format off */
const OpenapiSchema openapi_schemas[] = {
        {.name = "User", .fields = {
                {.name = "id", .type = OPENAPI_ID},
                {.name = "username", .max = MODEL_TEXT_MAX},
                {.name = "email", .max = MODEL_TEXT_MAX},
                {.name = "created_at", .type = OPENAPI_TIME}}},
        {.name = "NewUser", .sent = true, .fields = {
                {.name = "username", .max = MODEL_TEXT_MAX, .about = "Unique"},
                {.name = "email", .max = MODEL_TEXT_MAX, .about = "Unique"}}},
        {.name = "UserChange", .sent = true, .fields = {
                {.name = "username", .max = MODEL_TEXT_MAX, .optional = true},
                {.name = "email", .max = MODEL_TEXT_MAX, .optional = true}}},
        {.name = "UserFile", .sent = true, .fields = {
                {.name = "file", .type = OPENAPI_FILE,
                 .about = "CSV with the columns username and email, and created_at if wanted"}}},
        {.name = "Import", .fields = {
                {.name = "count", .type = OPENAPI_COUNT},
                {.name = "imported", .type = OPENAPI_COUNT},
                {.name = "skipped", .type = OPENAPI_COUNT},
                {.name = "errors", .type = OPENAPI_SCHEMAS, .of = "RowError", .max = ROWS_MAX,
                 .optional = true, .about = "The first rows that were skipped"}}},
        {.name = "RowError", .fields = {
                {.name = "row", .type = OPENAPI_ID, .about = "The line of the file"},
                {.name = "error"}}},

        {.name = "Url", .fields = {
                {.name = "id", .type = OPENAPI_ID},
                {.name = "short_code", .max = MODEL_CODE_MAX},
                {.name = "original_url", .max = MODEL_TARGET_MAX},
                {.name = "title", .max = MODEL_TEXT_MAX, .nullable = true},
                {.name = "is_active", .type = OPENAPI_BOOLEAN},
                {.name = "user_id", .type = OPENAPI_ID, .nullable = true},
                {.name = "created_at", .type = OPENAPI_TIME},
                {.name = "updated_at", .type = OPENAPI_TIME}}},
        {.name = "NewUrl", .sent = true, .one_of = {"original_url", "url"}, .fields = {
                {.name = "original_url", .max = MODEL_TARGET_MAX, .optional = true,
                 .about = "An absolute http or https URL"},
                {.name = "url", .max = MODEL_TARGET_MAX, .optional = true,
                 .about = "Another name of original_url"},
                {.name = "user_id", .type = OPENAPI_ID, .optional = true, .nullable = true},
                {.name = "title", .max = MODEL_TEXT_MAX, .optional = true, .nullable = true}}},
        {.name = "UrlChange", .sent = true, .fields = {
                {.name = "original_url", .max = MODEL_TARGET_MAX, .optional = true},
                {.name = "url", .max = MODEL_TARGET_MAX, .optional = true},
                {.name = "title", .max = MODEL_TEXT_MAX, .optional = true, .nullable = true},
                {.name = "is_active", .type = OPENAPI_BOOLEAN, .optional = true}}},
        {.name = "Stats", .fields = {
                {.name = "redirect_count", .type = OPENAPI_COUNT},
                {.name = "url", .type = OPENAPI_SCHEMA, .of = "Url"}}},

        {.name = "Event", .fields = {
                {.name = "id", .type = OPENAPI_ID},
                {.name = "event_type", .max = MODEL_TEXT_MAX},
                {.name = "url_id", .type = OPENAPI_ID},
                {.name = "user_id", .type = OPENAPI_ID, .nullable = true},
                {.name = "timestamp", .type = OPENAPI_TIME},
                {.name = "details", .type = OPENAPI_OBJECT, .nullable = true}}},
        {.name = "NewEvent", .sent = true, .fields = {
                {.name = "url_id", .type = OPENAPI_ID},
                {.name = "event_type", .max = MODEL_TEXT_MAX},
                {.name = "user_id", .type = OPENAPI_ID, .optional = true, .nullable = true},
                {.name = "details", .type = OPENAPI_OBJECT, .optional = true, .nullable = true}}},

        {.name = "Health", .fields = {
                {.name = "status", .words = {"ok", "degraded"}},
                {.name = "database", .words = {"connected", "disconnected"}}}},
        {.name = "Ready", .fields = {{.name = "status", .words = {"ready"}}}},
        {.name = "Error", .fields = {{.name = "error"}}},
};

const OpenapiField openapi_parameters[] = {
        {.name = "page", .type = OPENAPI_COUNT, .about = "From 1, the default; 0 is 1"},
        {.name = "per_page", .type = OPENAPI_COUNT, .about = "Rows of a page: 25, at most 100"},
        {.name = "after", .type = OPENAPI_COUNT,
         .about = "In place of a page: what follows the row with this id"},
        {.name = "user_id", .type = OPENAPI_ID},
        {.name = "url_id", .type = OPENAPI_ID},
        {.name = "is_active", .type = OPENAPI_BOOLEAN},
        {.name = "event_type", .about = "Empty: any"},
        {.name = "type", .about = "Another name of event_type"},
};

const OpenapiRequestField openapi_request_fields[] = {
        {OPENAPI_IF_MATCH,
         {.name = "If-Match", .about = "Only if the object has one of these ETags"}},
        {OPENAPI_KNOWN | OPENAPI_IF_MATCH,
         {.name = "If-None-Match",
          .about = "If the object has one of these ETags, 304 or, of a change, 412"}},
        {OPENAPI_ONCE,
         {.name = "Idempotency-Key", .max = ONCE_KEY_MAX,
          .about = "Of this request: sent again within a day, it is not done again and has the "
                   "same answer"}},
};

const OpenapiHeader openapi_headers[] = {
        {"X-Request-Id", OPENAPI_TEXT, "The request's own, if it was a good one, else a new one"},
        {"X-Instance", OPENAPI_TEXT, "Which instance has answered"},
        {"X-Cache", OPENAPI_TEXT, "HIT: answered without the store; else MISS"},
        {"X-Clicks-Pending", OPENAPI_COUNT, "Visits that are answered and not counted here yet"},
        {"X-Total-Count", OPENAPI_COUNT, "Rows of all pages, if that was cheap to know"},
        {"Link", OPENAPI_TEXT, "The neighbouring pages (RFC 8288)"},
        {"ETag", OPENAPI_TEXT, "Of this state, for If-Match and If-None-Match"},
        {"Idempotency-Replayed", OPENAPI_TEXT, "true: as the same request was answered before"},
        {"RateLimit-Policy", OPENAPI_TEXT, "The budget that is asked of, where there are limits"},
        {"RateLimit", OPENAPI_TEXT, "What is left of it, and the seconds until it is whole"},
        {"Location", OPENAPI_TEXT, "The target"},
        {"Retry-After", OPENAPI_COUNT, "Seconds"},
        {"WWW-Authenticate", OPENAPI_TEXT, "Bearer, and what was wrong with the token"},
};

const OpenapiOperation openapi_operations[] = {
        {.name = "health", .summary = "Does it serve redirects?", .status = 200,
         .gives = "Health"},
        {.name = "ready", .summary = "Does this instance want requests?", .status = 200,
         .gives = "Ready"},
        {.name = "metrics", .summary = "Metrics for Prometheus", .status = 200,
         .traits = OPENAPI_METRICS},

        {.name = "users.list_users", .summary = "Users by ascending id", .status = 200,
         .gives = "User", .traits = OPENAPI_LIST},
        {.name = "users.create_user", .summary = "Make a user", .status = 201,
         .takes = "NewUser", .gives = "User", .traits = OPENAPI_ETAG | OPENAPI_ONCE,
         .refusals = {409}},
        {.name = "users.bulk_create_users", .summary = "Import users from a file", .status = 201,
         .takes = "UserFile", .gives = "Import"},
        {.name = "users.get_user", .summary = "A user", .status = 200, .gives = "User",
         .traits = OPENAPI_ETAG | OPENAPI_KNOWN},
        {.name = "users.update_user", .summary = "Change a user", .status = 200,
         .takes = "UserChange", .gives = "User", .traits = OPENAPI_ETAG | OPENAPI_IF_MATCH,
         .refusals = {409}},
        {.name = "users.delete_user", .summary = "Remove a user; the links stay", .status = 204,
         .traits = OPENAPI_IF_MATCH},

        {.name = "urls.list_urls", .summary = "Links by ascending id", .status = 200,
         .gives = "Url", .traits = OPENAPI_LIST, .filters = {"user_id", "is_active"}},
        {.name = "urls.create_url", .summary = "Make a link with a new code", .status = 201,
         .takes = "NewUrl", .gives = "Url", .traits = OPENAPI_ETAG | OPENAPI_ONCE,
         .refusals = {404, 410}},
        {.name = "urls.get_url", .summary = "A link", .status = 200, .gives = "Url",
         .traits = OPENAPI_ETAG | OPENAPI_KNOWN},
        {.name = "urls.update_url", .summary = "Change a link", .status = 200,
         .takes = "UrlChange", .gives = "Url", .traits = OPENAPI_ETAG | OPENAPI_IF_MATCH,
         .refusals = {410}},
        {.name = "urls.delete_url", .summary = "Make a link inactive", .status = 204,
         .traits = OPENAPI_IF_MATCH},
        {.name = "urls.url_stats", .summary = "A link and the number of its visits",
         .status = 200, .gives = "Stats"},
        {.name = "events.url_events", .summary = "Events of a link, the newest first",
         .status = 200, .gives = "Event", .traits = OPENAPI_LIST},

        {.name = "events.list_events", .summary = "Events, the newest first", .status = 200,
         .gives = "Event", .traits = OPENAPI_LIST,
         .filters = {"event_type", "type", "url_id", "user_id"}},
        {.name = "events.create_event", .summary = "Make an event", .status = 201,
         .takes = "NewEvent", .gives = "Event", .traits = OPENAPI_ONCE, .refusals = {404}},

        {.name = "urls.redirect_short_url", .summary = "Follow a link", .status = 302,
         .refusals = {410}},
};
/* clang-format on */

const size_t n_openapi_schemas = ELEMENTSOF(openapi_schemas);
const size_t n_openapi_parameters = ELEMENTSOF(openapi_parameters);
const size_t n_openapi_request_fields = ELEMENTSOF(openapi_request_fields);
const size_t n_openapi_headers = ELEMENTSOF(openapi_headers);
const size_t n_openapi_operations = ELEMENTSOF(openapi_operations);
