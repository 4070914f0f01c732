/* SPDX-License-Identifier: MIT */

/* Tokens of the in-memory store. */

#include <errno.h>

#include "basic/clock.h"
#include "store/fake/session.h"

static int create(StoreSession *session, FakeData *data, const Token *token, int64_t *ret_id) {
        Token made = *token;
        int r;

        made.id = data->tokens.last_id + 1;
        r = fake_audit_token(session, data, "create", NULL, &made);
        if (r < 0)
                return r;
        r = fake_add_token(data, &made, ret_id);
        if (r < 0)
                fake_pop_audit(data);
        return r;
}

int fake_token_create(StoreSession *session, const Token *token, int64_t *ret_id) {
        FakeData *data;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        if (token->user_id != 0 && !fake_find(&data->users, token->user_id))
                r = STORE_NO_USER;
        else
                r = create(session, data, token, ret_id);
        return fake_end_write(session, r, &SLICE_NONE, 0);
}

static int copy_out(Arena *arena, const Token *token, Token *ret) {
        Slice name = arena_dup(arena, token->name);

        if (!name.data)
                return -ENOMEM;
        *ret = *token;
        ret->name = name;
        return 0;
}

static int find(const FakeData *data, Arena *arena, const uint8_t *digest, Token *ret) {
        for (size_t i = 0; i < data->tokens.n; i++) {
                const Token *token = fake_row(&data->tokens, i);

                if (memcmp(token->digest, digest, TOKEN_DIGEST_SIZE) != 0)
                        continue;
                if (token->user_id != 0 && !fake_find(&data->users, token->user_id))
                        break;
                return copy_out(arena, token, ret);
        }
        return STORE_NOT_FOUND;
}

int fake_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = find(data, arena, digest, ret);
        fake_end_read(session);
        return r;
}

int fake_token_use(StoreSession *session, int64_t id, int64_t now_sec) {
        FakeData *data;
        Token *token;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        token = fake_find(&data->tokens, id);
        if (token)
                token->used_sec = MAX(token->used_sec, now_sec);
        return fake_end_write(session, token ? 0 : STORE_NOT_FOUND, &SLICE_NONE, 0);
}

int fake_token_revoke(StoreSession *session, int64_t id, int64_t now_sec) {
        const Token old = {.id = id}, new = {.id = id, .revoked_sec = now_sec};
        FakeData *data;
        Token *token;
        int r;

        r = fake_begin_write(session, &data);
        if (r < 0)
                return r;
        token = fake_find(&data->tokens, id);
        r = STORE_NOT_FOUND;
        if (token && token->revoked_sec == 0)
                r = fake_audit_token(session, data, "revoke", &old, &new);
        if (r == 0)
                token->revoked_sec = now_sec;
        return fake_end_write(session, r, &SLICE_NONE, 0);
}

int fake_tokens_end(StoreSession *session, FakeData *data, int64_t user_id) {
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        int r = 0;

        for (size_t i = 0; i < data->tokens.n && r == 0; i++) {
                Token *token = fake_row(&data->tokens, i);
                const Token old = {.id = token->id},
                            new = {.id = token->id, .revoked_sec = now_sec};

                if (token->revoked_sec != 0 || token->user_id == 0 ||
                    (user_id != 0 && token->user_id != user_id))
                        continue;
                r = fake_audit_token(session, data, "revoke", &old, &new);
                if (r == 0)
                        token->revoked_sec = now_sec;
        }
        return r;
}

static int list(const FakeData *data, Arena *arena, const StoreQuery *query, Token **ret_rows,
                size_t *ret_n) {
        Token *rows = arena_alloc_zero(arena, data->tokens.n + 1, sizeof *rows);
        size_t n = 0;
        int r = 0;

        if (!rows)
                return -ENOMEM;
        for (size_t i = 0; i < data->tokens.n && (int64_t)n < query->limit && r == 0; i++) {
                const Token *token = fake_row(&data->tokens, i);

                if ((query->has_after && token->id <= query->after) ||
                    (query->has_user_id && token->user_id != query->user_id))
                        continue;
                r = copy_out(arena, token, rows + n++);
        }
        *ret_rows = rows;
        *ret_n = n;
        return r;
}

int fake_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                    size_t *ret_n) {
        FakeData *data;
        int r;

        r = fake_begin_read(session, &data);
        if (r < 0)
                return r;
        r = list(data, arena, query, ret_rows, ret_n);
        fake_end_read(session);
        return r;
}
