/* SPDX-License-Identifier: MIT */

/* Tokens in SQLite. They are few, and none of their writes moves a total. */

#include <errno.h>

#include "basic/clock.h"
#include "store/sqlite/session.h"

#define COLUMNS "id, user_id, digest, name, scopes, created, expires, used, revoked"
/* A user that is gone leaves tokens that open nothing. */
#define OWNER_LIVES "(user_id IS NULL OR EXISTS (SELECT 1 FROM users AS u WHERE u.id = user_id))"

static int read_token(sqlite3_stmt *statement, Arena *arena, void *ret_row) {
        Slice digest = sqlite_text(statement, 2);
        Token token = {.id = sqlite3_column_int64(statement, 0),
                       .user_id = sqlite3_column_int64(statement, 1),
                       .name = arena_dup(arena, sqlite_text(statement, 3)),
                       .scopes = (unsigned)sqlite3_column_int(statement, 4),
                       .created_sec = sqlite3_column_int64(statement, 5),
                       .expires_sec = sqlite3_column_int64(statement, 6),
                       .used_sec = sqlite3_column_int64(statement, 7),
                       .revoked_sec = sqlite3_column_int64(statement, 8)};

        if (!token.name.data)
                return -ENOMEM;
        if (digest.len == sizeof token.digest)
                memcpy(token.digest, digest.data, sizeof token.digest);
        *(Token *)ret_row = token;
        return 0;
}

static int insert(SqliteSession *s, const Token *token, int64_t *ret_id) {
        static const char sql[] = "INSERT INTO tokens (user_id, digest, name, scopes, created,"
                                  " expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        sqlite3_stmt *statement;
        Token made;
        int r;

        if (token->user_id != 0) {
                r = sqlite_user_exists(s, token->user_id);
                if (r != 0)
                        return r == STORE_NOT_FOUND ? STORE_NO_USER : r;
        }
        r = sqlite_statement(s, STMT_TOKEN_INSERT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_id(statement, 1, token->user_id);
        (void)sqlite3_bind_blob(statement, 2, token->digest, sizeof token->digest, SQLITE_STATIC);
        sqlite_bind_text(statement, 3, token->name);
        sqlite_bind_number(statement, 4, token->scopes);
        sqlite_bind_number(statement, 5, token->created_sec);
        sqlite_bind_id(statement, 6, token->expires_sec);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        made = *token;
        made.id = *ret_id = sqlite3_last_insert_rowid(s->db);
        return sqlite_audit_token(s, "create", NULL, &made);
}

int sqlite_token_create(StoreSession *session, const Token *token, int64_t *ret_id) {
        SqliteSession *s = sqlite_session(session);
        int64_t id = 0;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = sqlite_end_write(s, insert(s, token, &id), &SLICE_NONE, 0);
        if (r == 0)
                *ret_id = id;
        return r;
}

int sqlite_token_find(StoreSession *session, Arena *arena, const uint8_t *digest, Token *ret) {
        static const char sql[] =
                        "SELECT " COLUMNS " FROM tokens WHERE digest = ?1 AND " OWNER_LIVES;
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_TOKEN_FIND, sql, &statement);
        if (r < 0)
                return r;
        (void)sqlite3_bind_blob(statement, 1, digest, TOKEN_DIGEST_SIZE, SQLITE_STATIC);
        r = sqlite_row(s, statement);
        if (r <= 0)
                return r < 0 ? r : STORE_NOT_FOUND;
        return read_token(statement, arena, ret);
}

/* Sets one of the times of a token. STORE_NOT_FOUND: none has the id, or none that the statement
 * wants. */
static int set_time(SqliteSession *s, unsigned place, const char *sql, int64_t id,
                    int64_t now_sec) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, place, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        sqlite_bind_number(statement, 2, now_sec);
        r = sqlite_run(s, statement);
        return r == 0 && sqlite3_changes(s->db) == 0 ? STORE_NOT_FOUND : r;
}

int sqlite_token_use(StoreSession *session, int64_t id, int64_t now_sec) {
        static const char sql[] =
                        "UPDATE tokens SET used = max(coalesce(used, 0), ?2) WHERE id = ?1";
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = set_time(s, STMT_TOKEN_USE, sql, id, now_sec);
        return sqlite_end_write(s, r, &SLICE_NONE, 0);
}

int sqlite_token_revoke(StoreSession *session, int64_t id, int64_t now_sec) {
        static const char sql[] =
                        "UPDATE tokens SET revoked = ?2 WHERE id = ?1 AND revoked IS NULL";
        const Token old = {.id = id}, new = {.id = id, .revoked_sec = now_sec};
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = set_time(s, STMT_TOKEN_REVOKE, sql, id, now_sec);
        if (r == 0)
                r = sqlite_audit_token(s, "revoke", &old, &new);
        return sqlite_end_write(s, r, &SLICE_NONE, 0);
}

int sqlite_tokens_end(SqliteSession *s, int64_t user_id) {
        static const char sql[] = "UPDATE tokens SET revoked = ?2 WHERE revoked IS NULL AND user_id"
                                  " IS NOT NULL AND (?1 IS NULL OR user_id = ?1) RETURNING id";
        Token old = {.id = 0},
              new = {.revoked_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC)};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_TOKEN_END, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_id(statement, 1, user_id);
        sqlite_bind_number(statement, 2, new.revoked_sec);
        while ((r = sqlite_row(s, statement)) > 0) {
                old.id = new.id = sqlite3_column_int64(statement, 0);
                r = sqlite_audit_token(s, "revoke", &old, &new);
                if (r < 0)
                        return r;
        }
        return r;
}

int sqlite_token_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                      Token **ret_rows, size_t *ret_n) {
        static const char sql[] = "SELECT " COLUMNS " FROM tokens WHERE id > ?1 AND"
                                  " (?3 IS NULL OR user_id = ?3) ORDER BY id LIMIT ?2";
        SqliteRows rows = {.arena = arena,
                           .row_size = sizeof(Token),
                           .read = read_token,
                           .limit = query->limit};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_TOKEN_LIST, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, query->has_after ? query->after : 0);
        sqlite_bind_number(statement, 2, query->limit);
        sqlite_bind_id(statement, 3, query->has_user_id ? query->user_id : 0);
        r = sqlite_collect(s, statement, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        return 0;
}
