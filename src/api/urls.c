/* SPDX-License-Identifier: MIT */

/*
 * The links of the API. A change writes the named columns only, so that two of them at once both
 * take effect; existence is checked before the fields because the API answers in that order, and
 * again by the change itself. Runs on a worker.
 */

#include <errno.h>

#include "api/access.h"
#include "api/api.h"
#include "api/if-match.h"
#include "api/json.h"
#include "api/once.h"
#include "api/paging.h"
#include "api/reply.h"
#include "basic/clock.h"
#include "http/query.h"
#include "model/code.h"
#include "model/details.h"
#include "model/target.h"
#include "model/text.h"

/* With more than half of all codes in use, this many failures in a row have a chance of 1 in a
 * million; a store that full needs a greater CodeLength=. */
#define CODE_ATTEMPTS 20

#define TARGET_REQUIRED "url is required"
#define TARGET_INVALID  "A valid HTTP or HTTPS URL is required"
#define TARGET_REFUSED  "This URL is not allowed here"

static const char *const target_names[] = {"original_url", "url"};

static const JsonText title_text = {
                .name = "title",
                .wrong = "title must be a string",
                .blank = NULL,
                .too_long = "title must be 255 characters or fewer",
                .invalid = "Bad request",
};

static int64_t now_sec(const Call *call) {
        return (int64_t)(call->now_usec / USEC_PER_SEC);
}

static void note(Call *call, int64_t id, Slice code) {
        call->log_url_id = id;
        call->log_code = code;
}

/* ---- reading ---- */

/* 0, API_REFUSED (answered), -ENOMEM. */
static int read_filters(Call *call, StoreQuery *query) {
        static const char *const truths[] = {"true", "1", "yes"};
        Slice text;
        int r;

        r = paging_filter_id(call, "user_id", json_user_id.wrong, &query->has_user_id,
                             &query->user_id);
        if (r != 0)
                return r;
        r = http_query_get(&call->exchange->arena, call->exchange->request.query,
                           SLICE("is_active"), &text);
        if (r <= 0)
                return r;
        query->has_active = true;
        for (size_t i = 0; i < ELEMENTSOF(truths); i++)
                query->is_active |= slice_equal_nocase(text, slice_from_string(truths[i]));
        return 0;
}

int api_urls_list(Call *call) {
        Paging paging;
        Url *rows;
        size_t n;
        int64_t total;
        int r;

        r = paging_read(call, &paging);
        if (r == 0)
                r = read_filters(call, &paging.query);
        if (r == 0)
                r = access_narrow(call, &paging.query);
        if (r != 0)
                return reply_end(r);
        r = paging_begin(call, &paging);
        if (r != 0)
                return reply_end(r);
        r = store_url_list(call->store, &call->exchange->arena, &paging.query, &rows, &n, &total);
        paging_end(call, &paging);
        if (r != 0)
                return reply_store(call, r);

        n = paging_cut(&paging, n);
        r = paging_fields(call, &paging, n > 0 ? rows[n - 1].id : 0, total);
        return r < 0 ? r : reply_urls(call, rows, n);
}

static int find(Call *call, Url *ret) {
        int r;

        if (call->id == 0)
                return STORE_NOT_FOUND;
        r = store_url_get(call->store, &call->exchange->arena, call->id, ret);
        if (r == 0 && !access_owns(call, ret->user_id))
                return STORE_NOT_FOUND;
        if (r == 0)
                note(call, ret->id, ret->code);
        return r;
}

int api_urls_get(Call *call) {
        Url url;
        int r = find(call, &url);

        return r != 0 ? reply_store(call, r) : reply_url(call, 200, &url);
}

int api_urls_stats(Call *call) {
        int64_t redirects;
        Url url;
        int r;

        r = call->id == 0 ? STORE_NOT_FOUND
                          : store_url_stats(call->store, &call->exchange->arena, call->id, &url,
                                            &redirects);
        if (r == 0 && !access_owns(call, url.user_id))
                r = STORE_NOT_FOUND;
        if (r != 0)
                return reply_store(call, r);
        note(call, url.id, url.code);
        return reply_stats(call, &url, redirects);
}

/* ---- creating ---- */

/* The target that a body names, trimmed, and its location. blank: the words for one that is not
 * there or no string. 0, API_REFUSED, -ENOMEM. */
static int read_target(Call *call, const JsonBody *body, const char *blank, Slice *ret_target,
                       Slice *ret_location, Problem *ret_problem) {
        const CallContext *context = call->context;
        Slice sent, target, location;
        int r;

        sent = json_get_first_string(body, target_names, ELEMENTSOF(target_names));
        if (text_check(sent, &target) == TEXT_BLANK)
                return reply_problem(ret_problem, 400, blank);
        r = context->credentials
                            ? target_parse_credentials(&call->exchange->arena, target, &location)
                            : target_parse(&call->exchange->arena, target, &location);
        if (r == -EINVAL)
                return reply_problem(ret_problem, 400, TARGET_INVALID);
        if (r < 0)
                return r;
        if (!policy_allows(&context->policy, location))
                return reply_problem(ret_problem, 400, TARGET_REFUSED);
        if (blocklists_has(context->blocklists, location)) {
                call->n_blocked = 1;
                return reply_problem(ret_problem, 410, problem_generic_text(410));
        }
        *ret_target = target;
        *ret_location = location;
        return 0;
}

/* 0, API_REFUSED, -ENOMEM. url->user_id is set once it was found valid. */
static int read_url(Call *call, const JsonBody *body, Url *url, Problem *ret_problem) {
        int r;

        r = read_target(call, body, TARGET_REQUIRED, &url->target, &url->location, ret_problem);
        if (r != 0)
                return r;
        r = json_get_id(body, &json_user_id, &url->user_id, ret_problem);
        if (r != 0)
                return r;
        return json_get_text(body, &title_text, &url->title, ret_problem);
}

/* Results of store_url_create_once() but STORE_CODE_TAKEN; -EEXIST: no free code was found. */
static int insert(Call *call, Url *url, const StoreKey *key, Url *ret) {
        const CallContext *context = call->context;
        StoreUrlNew new = {.url = url, .user_max = context->user_links_max};
        Arena *arena = &call->exchange->arena;
        int r;

        for (unsigned i = 0; i < CODE_ATTEMPTS; i++) {
                url->code = code_generate(arena, context->code_length);
                if (!url->code.data)
                        return -ENOMEM;
                if (context->code_reserved(context->userdata, url->code))
                        continue;
                new.details = details_created(arena, url->target, url->code);
                if (!new.details.data)
                        return -ENOMEM;
                r = store_url_create_once(call->store, &new, key, ret);
                if (r != STORE_CODE_TAKEN)
                        return r;
        }
        return -EEXIST;
}

int api_urls_create(Call *call) {
        _cleanup_(json_body_done) JsonBody body = {NULL};
        _cleanup_(once_done) Once once = {.show = reply_show_url, .has_tag = true};
        Url url = {.is_active = true}, created;
        const StoreKey *key;
        Problem problem;
        int r;

        r = json_body_read(call, &body);
        if (r == 0)
                r = once_begin(call, &once, &key);
        if (r != 0)
                return reply_end(r);
        r = read_url(call, &body, &url, &problem);
        if (r < 0)
                return r;
        if (url.user_id != 0 && !access_owns(call, url.user_id))
                return reply_store(call, STORE_NO_USER);
        if (url.user_id == 0 && call->actor.bound)
                url.user_id = call->actor.owner;
        if (r > 0)
                return reply_field(call, 0, url.user_id, &problem);

        url.created_sec = url.updated_sec = now_sec(call);
        r = insert(call, &url, key, &created);
        if (r != 0)
                return once_reply(call, &once, r);
        call->n_urls_created = 1;
        note(call, created.id, created.code);
        return reply_url(call, 201, &created);
}

/* ---- changing ---- */

static int change_target(Call *call, const JsonBody *body, StoreUrlChange *change,
                         Problem *ret_problem) {
        int r;

        if (!json_has(body, target_names[0]) && !json_has(body, target_names[1]))
                return 0;
        r = read_target(call, body, TARGET_INVALID, &change->target, &change->location,
                        ret_problem);
        if (r != 0)
                return r;
        change->has_target = true;
        change->target_details =
                        details_updated(&call->exchange->arena, target_names[0], change->target);
        return change->target_details.data ? 0 : -ENOMEM;
}

static int change_title(Call *call, const JsonBody *body, StoreUrlChange *change,
                        Problem *ret_problem) {
        int r;

        if (!json_has(body, title_text.name))
                return 0;
        r = json_get_text(body, &title_text, &change->title, ret_problem);
        if (r != 0)
                return r;
        change->has_title = true;
        change->title_details = details_updated(&call->exchange->arena, title_text.name,
                                                change->title.data ? change->title : SLICE("None"));
        return change->title_details.data ? 0 : -ENOMEM;
}

static int change_active(Call *call, const JsonBody *body, StoreUrlChange *change,
                         Problem *ret_problem) {
        static const char name[] = "is_active";
        int r;

        if (!json_has(body, name))
                return 0;
        r = json_get_boolean(body, name, "is_active must be a boolean", &change->is_active,
                             ret_problem);
        if (r != 0)
                return r;
        change->has_active = true;
        change->active_details =
                        details_updated(&call->exchange->arena, name,
                                        change->is_active ? SLICE("True") : SLICE("False"));
        return change->active_details.data ? 0 : -ENOMEM;
}

int api_urls_update(Call *call) {
        _cleanup_(json_body_done) JsonBody body = {NULL};
        StoreUrlChange change = {.now_sec = now_sec(call)};
        Problem problem;
        IfMatch match;
        Url url;
        int r;

        r = json_body_read(call, &body);
        if (r != 0)
                return reply_end(r);
        r = find(call, &url);
        if (r != 0)
                return reply_store(call, r);
        r = if_match_read(call, reply_show_url, &match, &change.condition);
        if (r != 0)
                return reply_end(r);

        r = change_target(call, &body, &change, &problem);
        if (r == 0)
                r = change_title(call, &body, &change, &problem);
        if (r == 0)
                r = change_active(call, &body, &change, &problem);
        if (r < 0)
                return r;
        if (r > 0)
                return call_problem(call, problem.status, problem.text);

        r = store_url_update(call->store, &call->exchange->arena, call->id, &change, &url);
        return r != 0 ? reply_store(call, r) : reply_url(call, 200, &url);
}

int api_urls_delete(Call *call) {
        Slice details = details_deleted(&call->exchange->arena, "user_requested");
        const StoreCondition *condition;
        IfMatch match;
        Url url;
        int r;

        if (!details.data)
                return -ENOMEM;
        r = if_match_read(call, reply_show_url, &match, &condition);
        if (r != 0)
                return reply_end(r);
        r = call->id == 0 ? STORE_NOT_FOUND : 0;
        if (r == 0 && call->actor.bound)
                r = find(call, &url);
        if (r == 0)
                r = store_url_retire_if(call->store, call->id, now_sec(call), details, condition);
        if (r != 0)
                return reply_store(call, r);
        call->log_url_id = call->id;
        return reply_nothing(call);
}
