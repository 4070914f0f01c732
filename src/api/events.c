/* SPDX-License-Identifier: MIT */

/* The events of the API, all of them and those of one link. Runs on a worker. */

#include "api/access.h"
#include "api/api.h"
#include "api/json.h"
#include "api/once.h"
#include "api/paging.h"
#include "api/reply.h"
#include "basic/clock.h"
#include "basic/utf8.h"
#include "http/query.h"

static const JsonText event_type_text = {
                .name = "event_type",
                .wrong = "event_type is required",
                .blank = "event_type is required",
                .too_long = "event_type is required",
                .invalid = "event_type is required",
};

/* ---- lists ---- */

/* event_type or its alias; empty: any. 0, API_REFUSED (answered), -ENOMEM. */
static int read_type(Call *call, StoreQuery *query) {
        const HttpRequest *request = &call->exchange->request;
        Slice type;
        int r;

        r = http_query_get(&call->exchange->arena, request->query, SLICE("event_type"), &type);
        if (r == 0)
                r = http_query_get(&call->exchange->arena, request->query, SLICE("type"), &type);
        if (r <= 0 || type.len == 0)
                return MIN(r, 0);
        if (!utf8_valid(type) || utf8_has_control(type)) {
                r = call_problem(call, 400, problem_generic_text(400));
                return r < 0 ? r : API_REFUSED;
        }
        query->type = type;
        return 0;
}

/* 0, API_REFUSED (answered), -ENOMEM. */
static int read_filters(Call *call, StoreQuery *query) {
        int r;

        r = read_type(call, query);
        if (r != 0)
                return r;
        r = paging_filter_id(call, "url_id", json_url_id.wrong, &query->has_url_id, &query->url_id);
        if (r != 0)
                return r;
        return paging_filter_id(call, "user_id", json_user_id.wrong, &query->has_user_id,
                                &query->user_id);
}

static int reply_list(Call *call, Paging *paging) {
        Event *rows;
        size_t n;
        int64_t total;
        int r;

        r = paging_begin(call, paging);
        if (r != 0)
                return reply_end(r);
        r = store_event_list(call->store, &call->exchange->arena, &paging->query, &rows, &n,
                             &total);
        paging_end(call, paging);
        if (r != 0)
                return reply_store(call, r);

        n = paging_cut(paging, n);
        r = paging_fields(call, paging, n > 0 ? rows[n - 1].id : 0, total);
        return r < 0 ? r : reply_events(call, rows, n);
}

int api_urls_events(Call *call) {
        Paging paging;
        Url url;
        int r;

        r = call->id == 0 ? STORE_NOT_FOUND
                          : store_url_get(call->store, &call->exchange->arena, call->id, &url);
        if (r == 0 && !access_owns(call, url.user_id))
                r = STORE_NOT_FOUND;
        if (r != 0)
                return reply_store(call, r);
        call->log_url_id = url.id;
        call->log_code = url.code;

        r = paging_read(call, &paging);
        if (r != 0)
                return reply_end(r);
        paging.query.has_url_id = true;
        paging.query.url_id = url.id;
        return reply_list(call, &paging);
}

int api_events_list(Call *call) {
        Paging paging;
        int r;

        r = paging_read(call, &paging);
        if (r == 0)
                r = read_filters(call, &paging.query);
        if (r == 0)
                r = access_narrow(call, &paging.query);
        return r != 0 ? reply_end(r) : reply_list(call, &paging);
}

/* ---- creating ---- */

/* 0, API_REFUSED, -ENOMEM. The ids are set once they were found valid. */
static int read_event(Call *call, const JsonBody *body, Event *event, Problem *ret_problem) {
        int r;

        r = json_get_id(body, &json_url_id, &event->url_id, ret_problem);
        if (r != 0)
                return r;
        r = json_get_text(body, &event_type_text, &event->type, ret_problem);
        if (r != 0)
                return r;
        r = json_get_id(body, &json_user_id, &event->user_id, ret_problem);
        if (r != 0)
                return r;
        return json_get_object(body, "details", "details must be a JSON object",
                               &call->exchange->arena, &event->details, ret_problem);
}

/* The ids that were read so far are the actor's own, and the type is one that it may make.
 * STORE_NO_URL, STORE_NO_USER, API_REFUSED: it is not. */
static int check_actor(Call *call, const Event *event) {
        Url url;
        int r;

        if (event->url_id != 0) {
                r = store_url_get(call->store, &call->exchange->arena, event->url_id, &url);
                if (r == STORE_NOT_FOUND || (r == 0 && !access_owns(call, url.user_id)))
                        return STORE_NO_URL;
                if (r != 0)
                        return r;
        }
        if (event->user_id != 0 && !access_owns(call, event->user_id))
                return STORE_NO_USER;
        return slice_equal(event->type, SLICE("redirect")) ? STORE_REFUSED : 0;
}

static int reply_event_refusal(Call *call, int result) {
        if (result == STORE_REFUSED)
                return call_problem(call, 403, problem_generic_text(403));
        return reply_store(call, result);
}

int api_events_create(Call *call) {
        _cleanup_(json_body_done) JsonBody body = {NULL};
        _cleanup_(once_done) Once once = {.show = reply_show_event};
        Event event = {.timestamp_sec = (int64_t)(call->now_usec / USEC_PER_SEC)}, created;
        const StoreKey *key;
        Problem problem;
        int r;

        r = json_body_read(call, &body);
        if (r == 0)
                r = once_begin(call, &once, &key);
        if (r != 0)
                return reply_end(r);
        r = read_event(call, &body, &event, &problem);
        if (r < 0)
                return r;
        if (call->actor.bound) {
                int allowed = check_actor(call, &event);

                if (allowed != 0)
                        return allowed < 0 ? allowed : reply_event_refusal(call, allowed);
        }
        if (r > 0)
                return reply_field(call, event.url_id, event.user_id, &problem);

        r = store_event_create_once(call->store, &event, key, &created);
        if (r != 0)
                return once_reply(call, &once, r);
        call->log_url_id = created.url_id;
        return reply_event(call, 201, &created);
}
