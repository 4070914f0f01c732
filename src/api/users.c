/* SPDX-License-Identifier: MIT */

/* The users of the API, but for their import (bulk.c). Runs on a worker. */

#include <errno.h>

#include "api/access.h"
#include "api/api.h"
#include "api/if-match.h"
#include "api/json.h"
#include "api/once.h"
#include "api/paging.h"
#include "api/reply.h"
#include "api/users.h"
#include "basic/clock.h"
#include "model/text.h"

static const JsonText new_username = {
                .name = "username",
                .wrong = USERS_USERNAME_REQUIRED,
                .blank = USERS_USERNAME_REQUIRED,
                .too_long = USERS_USERNAME_TOO_LONG,
                .invalid = "Bad request",
};

static const JsonText new_email = {
                .name = "email",
                .wrong = USERS_EMAIL_REQUIRED,
                .blank = USERS_EMAIL_REQUIRED,
                .too_long = USERS_EMAIL_TOO_LONG,
                .invalid = USERS_EMAIL_INVALID,
                .valid = text_email_valid,
};

static const JsonText changed_username = {
                .name = "username",
                .wrong = "username cannot be empty",
                .blank = "username cannot be empty",
                .too_long = USERS_USERNAME_TOO_LONG,
                .invalid = "Bad request",
};

static const JsonText changed_email = {
                .name = "email",
                .wrong = "email cannot be empty",
                .blank = "email cannot be empty",
                .too_long = USERS_EMAIL_TOO_LONG,
                .invalid = USERS_EMAIL_INVALID,
                .valid = text_email_valid,
};

/* The list of one who sees no other user. */
static int list_own(Call *call, const StoreQuery *query, User **ret_rows, size_t *ret_n,
                    int64_t *ret_total) {
        bool shown = query->limit > 0 && query->offset == 0 &&
                     (!query->has_after || query->after < call->actor.owner);
        User *row = arena_new(&call->exchange->arena, User, 1);
        int r;

        if (!row)
                return -ENOMEM;
        r = store_user_get(call->store, &call->exchange->arena, call->actor.owner, row);
        if (r != 0 && r != STORE_NOT_FOUND)
                return r;
        *ret_rows = row;
        *ret_total = r == 0;
        *ret_n = r == 0 && shown;
        return 0;
}

int api_users_list(Call *call) {
        Paging paging;
        User *rows;
        size_t n;
        int64_t total;
        int r;

        r = paging_read(call, &paging);
        if (r != 0)
                return reply_end(r);
        r = call->actor.bound ? list_own(call, &paging.query, &rows, &n, &total)
                              : store_user_list(call->store, &call->exchange->arena, &paging.query,
                                                &rows, &n, &total);
        if (r != 0)
                return reply_store(call, r);

        n = paging_cut(&paging, n);
        r = paging_fields(call, &paging, n > 0 ? rows[n - 1].id : 0, total);
        return r < 0 ? r : reply_users(call, rows, n);
}

int api_users_create(Call *call) {
        _cleanup_(json_body_done) JsonBody body = {NULL};
        _cleanup_(once_done) Once once = {.show = reply_show_user, .has_tag = true};
        User user = {.created_sec = (int64_t)(call->now_usec / USEC_PER_SEC)}, created;
        const StoreKey *key;
        Problem problem;
        int r;

        r = json_body_read(call, &body);
        if (r == 0)
                r = once_begin(call, &once, &key);
        if (r != 0)
                return reply_end(r);
        r = json_get_text(&body, &new_username, &user.username, &problem);
        if (r == 0)
                r = json_get_text(&body, &new_email, &user.email, &problem);
        if (r != 0)
                return call_problem(call, problem.status, problem.text);

        r = store_user_create_once(call->store, &call->exchange->arena, &user, key, &created);
        return r != 0 ? once_reply(call, &once, r) : reply_user(call, 201, &created);
}

static int find(Call *call, User *ret) {
        if (call->id == 0 || !access_owns(call, call->id))
                return STORE_NOT_FOUND;
        return store_user_get(call->store, &call->exchange->arena, call->id, ret);
}

int api_users_get(Call *call) {
        User user;
        int r = find(call, &user);

        return r != 0 ? reply_store(call, r) : reply_user(call, 200, &user);
}

/* Takes what the body names; 0 or API_REFUSED. */
static int read_change(const JsonBody *body, StoreUserChange *change, Problem *ret_problem) {
        int r = 0;

        if (json_has(body, changed_username.name))
                r = json_get_text(body, &changed_username, &change->username, ret_problem);
        if (r == 0 && json_has(body, changed_email.name))
                r = json_get_text(body, &changed_email, &change->email, ret_problem);
        return r;
}

int api_users_update(Call *call) {
        _cleanup_(json_body_done) JsonBody body = {NULL};
        StoreUserChange change = {.condition = NULL};
        Problem problem;
        IfMatch match;
        User user;
        int r;

        r = json_body_read(call, &body);
        if (r != 0)
                return reply_end(r);
        r = find(call, &user);
        if (r != 0)
                return reply_store(call, r);
        r = if_match_read(call, reply_show_user, &match, &change.condition);
        if (r != 0)
                return reply_end(r);
        if (read_change(&body, &change, &problem) != 0)
                return call_problem(call, problem.status, problem.text);

        r = store_user_update(call->store, &call->exchange->arena, call->id, &change, &user);
        if (r == STORE_USERNAME_TAKEN || r == STORE_EMAIL_TAKEN)
                return call_problem(call, 409, "Username or email already exists");
        return r != 0 ? reply_store(call, r) : reply_user(call, 200, &user);
}

int api_users_delete(Call *call) {
        const StoreCondition *condition;
        IfMatch match;
        int r;

        r = if_match_read(call, reply_show_user, &match, &condition);
        if (r != 0)
                return reply_end(r);
        r = call->id == 0 || !access_owns(call, call->id)
                            ? STORE_NOT_FOUND
                            : store_user_delete_if(call->store, call->id, condition);
        return r != 0 ? reply_store(call, r) : reply_nothing(call);
}
