/* SPDX-License-Identifier: MIT */

/* Idempotency-Key, see the header. The key is looked for before anything of the request is judged,
 * so that a repetition has its answer even when the same would be refused by now. Runs on a worker.
 */

#include <errno.h>

#include "api/once.h"
#include "api/reply.h"
#include "basic/clock.h"
#include "token/token.h"

#define KEY_INVALID "Idempotency-Key must be 1 to 255 printable characters"
#define KEY_OTHER   "Idempotency-Key was used with another request"
#define KEY_BUSY    "A request with this Idempotency-Key is in progress"

_Static_assert(STORE_KEY_SIZE == TOKEN_DIGEST_SIZE, "both are SHA-256");

static int refuse_busy(Call *call) {
        http_response_field(&call->exchange->response, "Retry-After", SLICE("1"));
        return call_problem(call, 409, KEY_BUSY);
}

static bool is_key(Slice field) {
        for (size_t i = 0; i < field.len; i++)
                if (field.data[i] < ' ' || field.data[i] > '~')
                        return false;
        return field.len > 0 && field.len <= ONCE_KEY_MAX;
}

/* Who asks, for what, and the key: none of the first two has a line's end. */
static int make_name(Call *call, Slice field, uint8_t ret[STORE_KEY_SIZE]) {
        Slice name = arena_printf(&call->exchange->arena, "%lld\n%s\n%.*s",
                                  (long long)call->actor.token_id, call->route->name,
                                  SLICE_ARG(field));

        if (!name.data)
                return -ENOMEM;
        token_digest(name, ret);
        return 0;
}

static int make_answer(void *userdata, const void *row, StoreAnswer *ret) {
        Once *once = userdata;

        buffer_clear(&once->body);
        once->show(&once->body, row);
        if (once->body.failed)
                return -ENOMEM;
        *ret = (StoreAnswer){.status = 201, .body = buffer_slice(&once->body)};
        return 0;
}

/* What was answered the first time, if the key is remembered: 0, with *ret_answered. */
static int replay(Call *call, const Once *once, bool *ret_answered) {
        HttpResponse *response = &call->exchange->response;
        StoreAnswer answer;
        int r;

        r = store_key_find(call->store, &call->exchange->arena, &once->key, &answer);
        *ret_answered = r != STORE_NOT_FOUND;
        if (r == STORE_KEY_OTHER)
                return call_problem(call, 422, KEY_OTHER);
        if (r != 0)
                return r == STORE_NOT_FOUND ? 0 : r < 0 ? r : -EPROTO;
        http_response_field(response, "Idempotency-Replayed", SLICE("true"));
        buffer_append(&response->body, answer.body);
        return reply_shown(call, answer.status, once->has_tag);
}

int once_begin(Call *call, Once *once, const StoreKey **ret) {
        const HttpRequest *request = &call->exchange->request;
        Slice field = request->known[HTTP_FIELD_IDEMPOTENCY_KEY];
        bool answered = false;
        int r;

        *ret = NULL;
        if (!field.data)
                return 0;
        if (request->repeated[HTTP_FIELD_IDEMPOTENCY_KEY] || !is_key(field)) {
                r = call_problem(call, 400, KEY_INVALID);
                return r < 0 ? r : API_REFUSED;
        }
        once->key.now_sec = (int64_t)(call->now_usec / USEC_PER_SEC);
        once->key.expires_sec = once->key.now_sec + ONCE_KEEP_SEC;
        once->key.answer = make_answer;
        once->key.userdata = once;
        token_digest(request->body, once->key.request);
        r = make_name(call, field, once->key.name);
        if (r == 0)
                r = replay(call, once, &answered);
        if (r < 0 || answered)
                return r < 0 ? r : API_REFUSED;
        *ret = &once->key;
        return 0;
}

void once_done(Once *once) {
        buffer_done(&once->body);
}

int once_reply(Call *call, const Once *once, int result) {
        bool answered = false;
        int r;

        if (result == STORE_KEY_USED) {
                r = replay(call, once, &answered);
                /* Not any more? Its time ran out meanwhile. */
                if (r < 0 || answered)
                        return r;
                result = STORE_KEY_BUSY;
        }
        return result == STORE_KEY_BUSY ? refuse_busy(call) : reply_store(call, result);
}
