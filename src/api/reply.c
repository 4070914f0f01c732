/* SPDX-License-Identifier: MIT */

/*
 * Answers. A body is appended to the response's buffer and checked once at its end. Keys stand here
 * in the order in which they are sent, which is the sorted one. Runs on a worker.
 */

#include <errno.h>

#include "api/if-match.h"
#include "api/reply.h"
#include "api/users.h"
#include "basic/clock.h"
#include "model/details.h"

/* ---- objects ---- */

static void append_time(Buffer *out, int64_t seconds) {
        char text[CLOCK_ISO_SIZE];

        clock_format_iso(seconds, 'T', text);
        buffer_append_byte(out, '"');
        buffer_append(out, slice_make(text, CLOCK_ISO_SIZE - 1));
        buffer_append_byte(out, '"');
}

static void append_string_or_null(Buffer *out, Slice s) {
        if (s.data)
                details_append_string(out, s);
        else
                buffer_append(out, SLICE("null"));
}

static void append_id_or_null(Buffer *out, int64_t id) {
        if (id > 0)
                buffer_append_i64(out, id);
        else
                buffer_append(out, SLICE("null"));
}

static void append_user(Buffer *out, const User *user) {
        buffer_append(out, SLICE("{\"created_at\":"));
        append_time(out, user->created_sec);
        buffer_append(out, SLICE(",\"email\":"));
        details_append_string(out, user->email);
        buffer_append(out, SLICE(",\"id\":"));
        buffer_append_i64(out, user->id);
        buffer_append(out, SLICE(",\"username\":"));
        details_append_string(out, user->username);
        buffer_append_byte(out, '}');
}

static void append_url(Buffer *out, const Url *url) {
        buffer_append(out, SLICE("{\"created_at\":"));
        append_time(out, url->created_sec);
        buffer_append(out, SLICE(",\"id\":"));
        buffer_append_i64(out, url->id);
        buffer_append(out, SLICE(",\"is_active\":"));
        buffer_append(out, url->is_active ? SLICE("true") : SLICE("false"));
        buffer_append(out, SLICE(",\"original_url\":"));
        details_append_string(out, url->target);
        buffer_append(out, SLICE(",\"short_code\":"));
        details_append_string(out, url->code);
        buffer_append(out, SLICE(",\"title\":"));
        append_string_or_null(out, url->title);
        buffer_append(out, SLICE(",\"updated_at\":"));
        append_time(out, url->updated_sec);
        buffer_append(out, SLICE(",\"user_id\":"));
        append_id_or_null(out, url->user_id);
        buffer_append_byte(out, '}');
}

static void append_event(Buffer *out, const Event *event) {
        buffer_append(out, SLICE("{\"details\":"));
        /* Canonical JSON text already. */
        buffer_append(out, event->details.data ? event->details : SLICE("null"));
        buffer_append(out, SLICE(",\"event_type\":"));
        details_append_string(out, event->type);
        buffer_append(out, SLICE(",\"id\":"));
        buffer_append_i64(out, event->id);
        buffer_append(out, SLICE(",\"timestamp\":"));
        append_time(out, event->timestamp_sec);
        buffer_append(out, SLICE(",\"url_id\":"));
        buffer_append_i64(out, event->url_id);
        buffer_append(out, SLICE(",\"user_id\":"));
        append_id_or_null(out, event->user_id);
        buffer_append_byte(out, '}');
}

int reply_finish(Call *call, int status) {
        HttpResponse *response = &call->exchange->response;

        buffer_append_byte(&response->body, '\n');
        if (response->body.failed)
                return -ENOMEM;
        response->status = status;
        return 0;
}

void reply_show_user(Buffer *out, const void *user) {
        append_user(out, user);
        buffer_append_byte(out, '\n');
}

void reply_show_url(Buffer *out, const void *url) {
        append_url(out, url);
        buffer_append_byte(out, '\n');
}

void reply_show_event(Buffer *out, const void *event) {
        append_event(out, event);
        buffer_append_byte(out, '\n');
}

int reply_shown(Call *call, int status, bool has_tag) {
        HttpResponse *response = &call->exchange->response;
        char tag[ENTITY_TAG_SIZE];

        if (response->body.failed)
                return -ENOMEM;
        if (has_tag) {
                entity_tag(buffer_slice(&response->body), tag);
                http_response_field(response, "ETag", slice_make(tag, sizeof tag));
                if (call->route->method == HTTP_GET &&
                    entity_tag_is_known(&call->exchange->request, tag)) {
                        buffer_clear(&response->body);
                        status = 304;
                }
        }
        response->status = status;
        return 0;
}

int reply_user(Call *call, int status, const User *user) {
        reply_show_user(&call->exchange->response.body, user);
        return reply_shown(call, status, true);
}

int reply_url(Call *call, int status, const Url *url) {
        reply_show_url(&call->exchange->response.body, url);
        return reply_shown(call, status, true);
}

int reply_event(Call *call, int status, const Event *event) {
        reply_show_event(&call->exchange->response.body, event);
        return reply_shown(call, status, false);
}

int reply_stats(Call *call, const Url *url, int64_t redirects) {
        Buffer *out = &call->exchange->response.body;

        buffer_append(out, SLICE("{\"redirect_count\":"));
        buffer_append_i64(out, redirects);
        buffer_append(out, SLICE(",\"url\":"));
        append_url(out, url);
        buffer_append_byte(out, '}');
        return reply_finish(call, 200);
}

int reply_nothing(Call *call) {
        call->exchange->response.status = 204;
        return 0;
}

/* ---- lists ---- */

typedef void (*AppendRow)(Buffer *out, const void *rows, size_t i);

static void append_user_row(Buffer *out, const void *rows, size_t i) {
        append_user(out, (const User *)rows + i);
}

static void append_url_row(Buffer *out, const void *rows, size_t i) {
        append_url(out, (const Url *)rows + i);
}

static void append_event_row(Buffer *out, const void *rows, size_t i) {
        append_event(out, (const Event *)rows + i);
}

static int reply_rows(Call *call, AppendRow append, const void *rows, size_t n) {
        Buffer *out = &call->exchange->response.body;

        buffer_append_byte(out, '[');
        for (size_t i = 0; i < n; i++) {
                if (i > 0)
                        buffer_append_byte(out, ',');
                append(out, rows, i);
        }
        buffer_append_byte(out, ']');
        return reply_finish(call, 200);
}

int reply_users(Call *call, const User *rows, size_t n) {
        return reply_rows(call, append_user_row, rows, n);
}

int reply_urls(Call *call, const Url *rows, size_t n) {
        return reply_rows(call, append_url_row, rows, n);
}

int reply_events(Call *call, const Event *rows, size_t n) {
        return reply_rows(call, append_event_row, rows, n);
}

/* ---- refusals ---- */

int reply_problem(Problem *ret_problem, int status, const char *text) {
        *ret_problem = (Problem){status, text};
        return API_REFUSED;
}

int reply_store(Call *call, int result) {
        const char *not_found = call->route->not_found;

        switch (result) {
        case STORE_NOT_FOUND:
                return call_problem(call, 404, not_found ? not_found : problem_generic_text(404));
        case STORE_NO_USER:
                return call_problem(call, 404, "User not found");
        case STORE_NO_URL:
                return call_problem(call, 404, "URL not found");
        case STORE_FULL:
                return call_problem(call, 403, "This user may have no more links");
        case STORE_UNMET:
                return call_problem(call, 412, problem_generic_text(412));
        case STORE_USERNAME_TAKEN:
                return call_problem(call, 409, USERS_USERNAME_TAKEN);
        case STORE_EMAIL_TAKEN:
                return call_problem(call, 409, USERS_EMAIL_TAKEN);
        default:
                return result < 0 ? result : -EPROTO;
        }
}

static int find_url(Call *call, int64_t id) {
        Url url;

        return id > 0 ? store_url_get(call->store, &call->exchange->arena, id, &url) : 0;
}

static int find_user(Call *call, int64_t id) {
        User user;

        return id > 0 ? store_user_get(call->store, &call->exchange->arena, id, &user) : 0;
}

int reply_field(Call *call, int64_t url_id, int64_t user_id, const Problem *problem) {
        int r;

        r = find_url(call, url_id);
        if (r != 0)
                return reply_store(call, r == STORE_NOT_FOUND ? STORE_NO_URL : r);
        r = find_user(call, user_id);
        if (r != 0)
                return reply_store(call, r == STORE_NOT_FOUND ? STORE_NO_USER : r);
        return call_problem(call, problem->status, problem->text);
}
