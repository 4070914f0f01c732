/* SPDX-License-Identifier: MIT */

/* The fixture of the handlers' tests. */

#include "api-test.h"

#include "basic/number.h"

#define ROW(m, p, n, f, t) \
 { .method = (m), .pattern = (p), .name = (n), .worker = (f), .not_found = (t) }

/* The same rows as the daemon's table, as far as handlers run on workers. */
static const HttpRoute routes[] = {
                ROW(HTTP_GET, "/users", "users.list_users", api_users_list, NULL),
                ROW(HTTP_POST, "/users", "users.create_user", api_users_create, NULL),
                ROW(HTTP_POST, "/users/bulk", "users.bulk_create_users", api_users_bulk, NULL),
                ROW(HTTP_GET, "/users/{id}", "users.get_user", api_users_get, "User not found"),
                ROW(HTTP_PUT, "/users/{id}", "users.update_user", api_users_update,
                    "User not found"),
                ROW(HTTP_DELETE, "/users/{id}", "users.delete_user", api_users_delete,
                    "User not found"),
                ROW(HTTP_GET, "/urls", "urls.list_urls", api_urls_list, NULL),
                ROW(HTTP_POST, "/urls", "urls.create_url", api_urls_create, NULL),
                ROW(HTTP_GET, "/urls/{id}", "urls.get_url", api_urls_get, "URL not found"),
                ROW(HTTP_PUT, "/urls/{id}", "urls.update_url", api_urls_update, "URL not found"),
                ROW(HTTP_DELETE, "/urls/{id}", "urls.delete_url", api_urls_delete, "URL not found"),
                ROW(HTTP_GET, "/urls/{id}/stats", "urls.url_stats", api_urls_stats,
                    "URL not found"),
                ROW(HTTP_GET, "/urls/{id}/events", "events.url_events", api_urls_events,
                    "URL not found"),
                ROW(HTTP_GET, "/events", "events.list_events", api_events_list, NULL),
                ROW(HTTP_POST, "/events", "events.create_event", api_events_create, NULL),
};

static bool code_reserved(void *userdata, Slice code) {
        ApiTest *t = userdata;

        (void)code;
        if (t->n_reserved == 0)
                return false;
        t->n_reserved--;
        return true;
}

int api_test_setup(void **state) {
        ApiTest *t = calloc(1, sizeof(*t));

        if (!t || store_new("fake:", &(StoreOptions){0}, &t->store) != 0 ||
            store_session_new(t->store, NULL, &t->session) != 0 ||
            http_router_new(routes, ELEMENTSOF(routes), &t->router) != 0)
                return -1;
        t->now_sec = API_TEST_SEC;
        t->context = (CallContext){.code_length = 6, .code_reserved = code_reserved, .userdata = t};
        arena_init(&t->exchange.arena, 0);
        *state = t;
        return 0;
}

int api_test_teardown(void **state) {
        ApiTest *t = *state;

        buffer_done(&t->exchange.response.head);
        buffer_done(&t->exchange.response.body);
        arena_done(&t->exchange.arena);
        (void)http_router_free(t->router);
        (void)store_session_free(t->session);
        (void)store_free(t->store);
        free(t);
        return 0;
}

static HttpMethod method_of(const char *name) {
        static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                if (strcmp(name, names[i]) == 0)
                        return (HttpMethod)i;
        }
        return HTTP_OTHER;
}

/* An empty response, and a request with this target. */
static void begin(ApiTest *t, const char *method, const char *target, const char *content_type,
                  Slice body) {
        HttpRequest *request = &t->exchange.request;
        HttpResponse *response = &t->exchange.response;

        arena_reset(&t->exchange.arena);
        buffer_clear(&response->head);
        buffer_clear(&response->body);
        response->status = 0;
        *request = (HttpRequest){.method = method_of(method), .body = body};
        (void)slice_cut(slice_from_string(target), '?', &request->path, &request->query);
        request->remote = SLICE("192.0.2.1");
        memcpy(request->known, t->fields, sizeof request->known);
        memcpy(request->repeated, t->repeated, sizeof request->repeated);
        request->known[HTTP_FIELD_CONTENT_TYPE] = slice_from_string(content_type);
}

int api_test_run(ApiTest *t, const char *method, const char *target, const char *content_type,
                 Slice body) {
        HttpMatch match;

        begin(t, method, target, content_type, body);
        http_router_match(t->router, t->exchange.request.method, t->exchange.request.path, &match);
        if (!match.route)
                return match.status;
        t->call = (Call){
                        .exchange = &t->exchange,
                        .route = match.route,
                        .context = &t->context,
                        .store = t->session,
                        .id = match.id,
                        .actor = t->actor,
                        .now_usec = t->now_sec * USEC_PER_SEC + 999999,
        };
        t->result = match.route->worker(&t->call);
        return t->result;
}

static void run_json(ApiTest *t, const char *method, const char *target, const char *json) {
        assert_int_equal(api_test_run(t, method, target, json ? "application/json" : NULL,
                                      slice_from_string(json)),
                         0);
        assert_int_not_equal(t->exchange.response.status, 0);
}

void api_get(ApiTest *t, const char *target) {
        run_json(t, "GET", target, NULL);
}

void api_post(ApiTest *t, const char *target, const char *json) {
        run_json(t, "POST", target, json);
}

void api_put(ApiTest *t, const char *target, const char *json) {
        run_json(t, "PUT", target, json);
}

void api_delete(ApiTest *t, const char *target) {
        run_json(t, "DELETE", target, NULL);
}

const char *api_body(ApiTest *t) {
        Buffer *body = &t->exchange.response.body;

        buffer_append_byte(body, '\0');
        assert_false(body->failed);
        body->len--;
        return body->data;
}

const char *api_field(ApiTest *t, const char *name) {
        static char value[8192];
        char *wanted = api_format("\r\n%s: ", name);
        char *head = api_format("\r\n%.*s", SLICE_ARG(buffer_slice(&t->exchange.response.head)));
        const char *found = strstr(head, wanted);

        if (found) {
                found += strlen(wanted);
                (void)snprintf(value, sizeof(value), "%.*s", (int)strcspn(found, "\r"), found);
        }
        free(wanted);
        free(head);
        return found ? value : NULL;
}

size_t api_count(ApiTest *t) {
        size_t n = 0;

        assert_int_equal(t->exchange.response.status, 200);
        assert_int_equal(api_body(t)[0], '[');
        for (const char *p = api_body(t); (p = strstr(p, "\"id\":")); p++)
                n++;
        return n;
}

void api_assert_answer(ApiTest *t, int status, const char *json, const char *file, int line) {
        char *expected = api_format("%s%s", json, json[0] ? "\n" : "");

        _assert_int_equal((uintmax_t)t->exchange.response.status, (uintmax_t)status, file, line);
        _assert_string_equal(api_body(t), expected, file, line);
        free(expected);
}

void api_assert_problem(ApiTest *t, int status, const char *text, const char *file, int line) {
        char *json = api_format("{\"error\":\"%s\"}", text);

        api_assert_answer(t, status, json, file, line);
        free(json);
}

void api_add_user(ApiTest *t, const char *username, const char *email) {
        char *json = api_format("{\"username\":\"%s\",\"email\":\"%s\"}", username, email);

        api_post(t, "/users", json);
        assert_int_equal(t->exchange.response.status, 201);
        free(json);
}

void api_add_url(ApiTest *t, const char *url, int64_t user_id, char ret_code[33]) {
        char *json = user_id > 0 ? api_format("{\"url\":\"%s\",\"user_id\":%" PRIi64 "}", url,
                                              user_id)
                                 : api_format("{\"url\":\"%s\"}", url);

        api_post(t, "/urls", json);
        assert_int_equal(t->exchange.response.status, 201);
        if (ret_code)
                (void)snprintf(ret_code, 33, "%.*s", SLICE_ARG(t->call.log_code));
        free(json);
}

int api_leading_number(const char *text) {
        int64_t value;

        assert_int_equal(number_parse_i64(slice_make(text, strspn(text, "0123456789")), &value), 0);
        return (int)value;
}

char *api_repeat(char c, size_t count) {
        char *s = malloc(count + 1);

        assert_non_null(s);
        memset(s, c, count);
        s[count] = '\0';
        return s;
}

char *api_format(const char *format, ...) {
        va_list args;
        char *s = NULL;
        int n;

        va_start(args, format);
        n = vasprintf(&s, format, args);
        va_end(args);
        assert_true(n >= 0);
        return s;
}
