/* SPDX-License-Identifier: MIT */

/* Tokens in PostgreSQL. They are few, and none of their writes moves a total. */

#include <errno.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define COLUMNS "id, user_id, digest, name, scopes, created, expires, used, revoked"
/* A user that is gone leaves tokens that open nothing. */
#define OWNER_LIVES "(user_id IS NULL OR EXISTS (SELECT 1 FROM users AS u WHERE u.id = user_id))"

static int read_token(const PGresult *result, int row, int column, Arena *arena, void *ret_row) {
        Slice digest = pg_text(result, row, column + 2);
        Token token = {.id = pg_number(result, row, column),
                       .user_id = pg_number(result, row, column + 1),
                       .name = arena_dup(arena, pg_text(result, row, column + 3)),
                       .scopes = (unsigned)pg_number(result, row, column + 4),
                       .created_sec = pg_number(result, row, column + 5),
                       .expires_sec = pg_number(result, row, column + 6),
                       .used_sec = pg_number(result, row, column + 7),
                       .revoked_sec = pg_number(result, row, column + 8)};

        if (!token.name.data)
                return -ENOMEM;
        if (digest.len == sizeof token.digest)
                memcpy(token.digest, digest.data, sizeof token.digest);
        *(Token *)ret_row = token;
        return 0;
}

static int insert(PgSession *s, const Token *token, int64_t *ret_id) {
        static const char sql[] =
                        "INSERT INTO tokens (user_id, digest, name, scopes, created, expires)"
                        " SELECT $1::bigint, $2::bytea, $3::text, $4::integer, $5::bigint,"
                        " $6::bigint WHERE $1::bigint IS NULL OR EXISTS"
                        " (SELECT 1 FROM users WHERE id = $1::bigint) RETURNING id";
        PgParams params = {.n = 0};
        Token made = *token;
        int r;

        pg_add_id(&params, token->user_id);
        pg_add_bytes(&params, slice_make((const char *)token->digest, sizeof token->digest));
        pg_add_text(&params, token->name);
        pg_add_int(&params, (int32_t)token->scopes);
        pg_add_number(&params, token->created_sec);
        pg_add_id(&params, token->expires_sec);
        r = pg_run_number(s, STMT_TOKEN_INSERT, sql, &params, ret_id);
        if (r != 0)
                return r == STORE_NOT_FOUND ? STORE_NO_USER : r;
        made.id = *ret_id;
        return pg_audit_token(s, "create", NULL, &made);
}

int pg_token_create(StoreSession *session, const Token *token, int64_t *ret_id) {
        PgSession *s = pg_session(session);
        int64_t id = 0;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = pg_end_write(s, insert(s, token, &id), &SLICE_NONE, 0);
        if (r == 0)
                *ret_id = id;
        return r;
}

int pg_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret) {
        static const char sql[] =
                        "SELECT " COLUMNS " FROM tokens WHERE digest = $1::bytea AND " OWNER_LIVES;
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        pg_add_bytes(&params, slice_make((const char *)digest, TOKEN_DIGEST_SIZE));
        r = pg_run(s, STMT_TOKEN_FIND, sql, &params, &result);
        if (r < 0)
                return r;
        return PQntuples(result) == 0 ? STORE_NOT_FOUND : read_token(result, 0, 0, arena, ret);
}

/* Sets one of the times of a token. STORE_NOT_FOUND: none has the id, or none that the statement
 * wants. */
static int set_time(PgSession *s, PgStatement place, const char *sql, int64_t id, int64_t now_sec) {
        PgParams params = {.n = 0};

        pg_add_number(&params, id);
        pg_add_number(&params, now_sec);
        return pg_run_number(s, place, sql, &params, NULL);
}

int pg_token_use(StoreSession *session, int64_t id, int64_t now_sec) {
        static const char sql[] = "UPDATE tokens SET used = greatest(coalesce(used, 0), $2::bigint)"
                                  " WHERE id = $1::bigint RETURNING id";
        PgSession *s = pg_session(session);
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = set_time(s, STMT_TOKEN_USE, sql, id, now_sec);
        return pg_end_write(s, r, &SLICE_NONE, 0);
}

int pg_token_revoke(StoreSession *session, int64_t id, int64_t now_sec) {
        static const char sql[] = "UPDATE tokens SET revoked = $2::bigint WHERE id = $1::bigint"
                                  " AND revoked IS NULL RETURNING id";
        const Token old = {.id = id}, new = {.id = id, .revoked_sec = now_sec};
        PgSession *s = pg_session(session);
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = set_time(s, STMT_TOKEN_REVOKE, sql, id, now_sec);
        if (r == 0)
                r = pg_audit_token(s, "revoke", &old, &new);
        return pg_end_write(s, r, &SLICE_NONE, 0);
}

int pg_tokens_end(PgSession *s, int64_t user_id) {
        static const char sql[] =
                        "UPDATE tokens SET revoked = $2::bigint WHERE revoked IS NULL AND user_id"
                        " IS NOT NULL AND ($1::bigint IS NULL OR user_id = $1::bigint)"
                        " RETURNING id";
        Token old = {.id = 0},
              new = {.revoked_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC)};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_id(&params, user_id);
        pg_add_number(&params, new.revoked_sec);
        r = pg_run(s, STMT_TOKEN_END, sql, &params, &result);
        for (int i = 0; r == 0 && i < PQntuples(result); i++) {
                old.id = new.id = pg_number(result, i, 0);
                r = pg_audit_token(s, "revoke", &old, &new);
        }
        return r;
}

int pg_token_list(StoreSession *session, Arena *arena, const StoreQuery *query, Token **ret_rows,
                  size_t *ret_n) {
        static const char sql[] = "SELECT " COLUMNS " FROM tokens WHERE id > $1::bigint AND"
                                  " ($3::bigint IS NULL OR user_id = $3::bigint) ORDER BY id LIMIT "
                                  "$2::bigint";
        PgRows rows = {.arena = arena, .row_size = sizeof(Token), .read = read_token};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        pg_add_number(&params, query->has_after ? query->after : 0);
        pg_add_number(&params, query->limit);
        pg_add_id(&params, query->has_user_id ? query->user_id : 0);
        r = pg_run_list(s, STMT_TOKEN_LIST, sql, &params, &result);
        if (r == 0)
                r = pg_collect(result, 0, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        return 0;
}
