/* SPDX-License-Identifier: MIT */

/*
 * Authentication and what follows from it. The token's text is looked for by its digest, so that no
 * comparison's time says anything about it; what the store found is compared once more, in constant
 * time. Runs on a worker.
 */

#include <errno.h>
#include <stdatomic.h>

#include "api/access.h"
#include "api/reply.h"
#include "basic/clock.h"
#include "token/token.h"

#define USED_SEC   60                   /* how exact the time of the last use is kept */
#define NOTE_USEC  (50 * USEC_PER_MSEC) /* what noting it may take, beside a writer say */
#define PAUSE_USEC USEC_PER_SEC         /* behind one that took longer */

static int refuse(Call *call, int status, const char *challenge) {
        int r;

        if (challenge)
                http_response_field(&call->exchange->response, "WWW-Authenticate",
                                    slice_from_string(challenge));
        r = call_problem(call, status, problem_generic_text(status));
        return r < 0 ? r : API_REFUSED;
}

static int refuse_token(Call *call) {
        call->auth_failed = true;
        return refuse(call, 401, "Bearer error=\"invalid_token\"");
}

/* Nobody's request fails because this could not be noted, or waits for it long. */
static void note_use(Call *call, const Token *token, int64_t now_sec) {
        static atomic_uint_fast64_t again_usec; /* CLOCK_MONOTONIC */
        uint64_t now = clock_monotonic_usec();

        if (token->used_sec + USED_SEC > now_sec || now < atomic_load(&again_usec))
                return;
        store_session_deadline(call->store, MIN(call->deadline_usec, now + NOTE_USEC));
        if (store_token_use(call->store, token->id, now_sec) < 0)
                atomic_store(&again_usec, clock_monotonic_usec() + PAUSE_USEC);
        store_session_deadline(call->store, call->deadline_usec);
}

/* STORE_NOT_FOUND also when it is no longer good. */
static int find(Call *call, Slice text, Token *ret) {
        int64_t now_sec = (int64_t)(call->now_usec / USEC_PER_SEC);
        uint8_t digest[TOKEN_DIGEST_SIZE];
        int r;

        token_digest(text, digest);
        r = store_token_find(call->store, &call->exchange->arena, digest, ret);
        if (r != 0)
                return r;
        if (!token_digest_equal(digest, ret->digest) || ret->revoked_sec != 0 ||
            (ret->expires_sec != 0 && ret->expires_sec <= now_sec))
                return STORE_NOT_FOUND;
        note_use(call, ret, now_sec);
        return 0;
}

static unsigned scopes_for(const Call *call) {
        if (call->route->flags & HTTP_ROUTE_ADMIN)
                return TOKEN_ADMIN;
        return call->route->method == HTTP_GET ? TOKEN_READ : TOKEN_WRITE;
}

bool api_token(const HttpRequest *request, Slice *ret) {
        return !request->repeated[HTTP_FIELD_AUTHORIZATION] &&
               token_of_field(request->known[HTTP_FIELD_AUTHORIZATION], ret);
}

int api_authenticate(Call *call) {
        Slice text;
        Token token;
        int r;

        if (!api_token(&call->exchange->request, &text))
                return refuse(call, 401, "Bearer");
        r = find(call, text, &token);
        if (r == STORE_NOT_FOUND)
                return refuse_token(call);
        if (r != 0)
                return r < 0 ? r : -EPROTO;
        call->actor = (CallActor){
                        .token_id = token.id,
                        .owner = token.user_id != 0 ? token.user_id : -1,
                        .bound = !(token.scopes & TOKEN_ADMIN),
        };
        if (token.scopes & (TOKEN_ADMIN | scopes_for(call)))
                return 0;
        return refuse(call, 403, NULL);
}

/* 0; STORE_NOT_FOUND: there is none, or it is another's. */
static int find_own_url(Call *call, int64_t id) {
        Url url;
        int r;

        r = store_url_get(call->store, &call->exchange->arena, id, &url);
        return r == 0 && !access_owns(call, url.user_id) ? STORE_NOT_FOUND : r;
}

int access_narrow(Call *call, StoreQuery *query) {
        bool is_own = !query->has_user_id || query->user_id == call->actor.owner;
        int r;

        if (!call->actor.bound)
                return 0;
        if (is_own && query->has_url_id) {
                r = find_own_url(call, query->url_id);
                if (r < 0)
                        return r;
                is_own = r == 0;
        }
        /* Another's are none, as those of an unknown user are. The url is no condition then: its
         * events would all be walked to find that none is the actor's. */
        query->has_url_id &= is_own;
        query->has_user_id = true;
        query->user_id = is_own ? call->actor.owner : INT64_MAX;
        return 0;
}
