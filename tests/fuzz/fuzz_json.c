/* SPDX-License-Identifier: MIT */

/*
 * JSON bodies: any bytes as the body of each handler that takes one, over a fresh in-memory store
 * with a user and a link in it; and what stands behind the first line, which is its Content-Type.
 * The answer must be one line of ASCII that a JSON reader takes, and jansson alone must agree about
 * what is an object.
 */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "api/api.h"
#include "api/json.h"
#include "basic/clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOT_AN_OBJECT "{\"error\":\"Request body must be a JSON object\"}\n"
#define NOT_JSON      "{\"error\":\"Content-Type must be application/json\"}\n"
#define BAD_TEXT      "{\"error\":\"Bad request\"}\n"

typedef enum Opinion {
        OBJECT,
        OTHER,
        NO_OPINION, /* jansson's limit is not ours */
} Opinion;

static bool never_reserved(void *userdata, Slice code) {
        (void)userdata;
        (void)code;
        return false;
}

static size_t depth_of(json_t *value) {
        const char *name;
        json_t *member;
        size_t i, deepest = 0;

        if (!json_is_object(value) && !json_is_array(value))
                return 0;
        json_object_foreach(value, name, member) {
                deepest = MAX(deepest, depth_of(member));
        }
        json_array_foreach(value, i, member) {
                deepest = MAX(deepest, depth_of(member));
        }
        return deepest + 1;
}

/* Jansson reads over a NUL behind a number or a word, and JSON has none anywhere. */
static Opinion opinion_about(Slice text) {
        json_error_t error;
        json_t *root = NULL;
        Opinion opinion = OTHER;

        if (slice_find(text, '\0') >= 0)
                return OTHER;
        root = json_loadb(text.data, text.len, JSON_ALLOW_NUL, &error);
        if (!root)
                return json_error_code(&error) == json_error_numeric_overflow ? NO_OPINION : OTHER;
        if (json_is_object(root) && depth_of(root) <= JSON_DEPTH_MAX)
                opinion = OBJECT;
        json_decref(root);
        return opinion;
}

static void check_answer(int result, const HttpResponse *response, Opinion opinion) {
        Slice body = buffer_slice(&response->body);
        bool refused = slice_equal(body, SLICE(NOT_AN_OBJECT));
        bool other_type = slice_equal(body, SLICE(NOT_JSON));

        CHECK(result == 0);
        CHECK(response->status == 200 || response->status == 201 || response->status == 400 ||
              response->status == 404 || response->status == 409);
        CHECK(body.len > 2 && body.data[0] == '{' && body.data[body.len - 1] == '\n');
        for (size_t i = 0; i + 1 < body.len; i++)
                CHECK(body.data[i] >= 0x20 && body.data[i] <= 0x7E);
        CHECK(opinion_about(body) != OTHER);

        CHECK(opinion != OBJECT || !refused);
        CHECK(opinion != OTHER || refused || other_type || slice_equal(body, SLICE(BAD_TEXT)));
}

/* id 0: a POST. */
static void run_typed(StoreSession *session, int (*handler)(Call *), int64_t id, Slice type,
                      Slice body, Opinion opinion) {
        static const HttpRoute route = {.not_found = "Not found"};
        static const CallContext context = {.code_length = 6, .code_reserved = never_reserved};
        HttpExchange exchange = {.request.body = body};
        Call call = {
                        .exchange = &exchange,
                        .route = &route,
                        .context = &context,
                        .store = session,
                        .id = id,
                        .now_usec = 1767323045 * USEC_PER_SEC,
        };
        int r;

        arena_init(&exchange.arena, 0);
        exchange.request.known[HTTP_FIELD_CONTENT_TYPE] = type;
        r = handler(&call);
        check_answer(r, &exchange.response, opinion);
        buffer_done(&exchange.response.head);
        buffer_done(&exchange.response.body);
        arena_done(&exchange.arena);
}

static void run(StoreSession *session, int (*handler)(Call *), int64_t id, Slice body,
                Opinion opinion) {
        run_typed(session, handler, id, SLICE("application/json"), body, opinion);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(store_free_p) Store *store = NULL;
        _cleanup_(store_session_free_p) StoreSession *session = NULL;
        Slice body = slice_make((const char *)data, size), type, rest;
        Opinion opinion = size > 0 ? opinion_about(body) : OTHER;

        CHECK(store_new("fake:", &(StoreOptions){0}, &store) == 0);
        CHECK(store_session_new(store, NULL, &session) == 0);
        run(session, api_users_create, 0, SLICE("{\"username\":\"a\",\"email\":\"a@b.co\"}"),
            OBJECT);
        run(session, api_urls_create, 0, SLICE("{\"url\":\"https://example.com/\"}"), OBJECT);

        run(session, api_users_create, 0, body, opinion);
        run(session, api_urls_create, 0, body, opinion);
        run(session, api_events_create, 0, body, opinion);
        run(session, api_users_update, 1, body, opinion);
        run(session, api_urls_update, 1, body, opinion);
        if (slice_cut(body, '\n', &type, &rest) && rest.len > 0)
                run_typed(session, api_users_update, 1, type, rest, opinion_about(rest));
        return 0;
}
