/* SPDX-License-Identifier: MIT */

/* What is done once, in SQLite: keys and their answers. */

#include <errno.h>

#include "store/sqlite/session.h"

static void bind_digest(sqlite3_stmt *statement, int i, const uint8_t digest[STORE_KEY_SIZE]) {
        (void)sqlite3_bind_blob(statement, i, digest, STORE_KEY_SIZE, SQLITE_STATIC);
}

/* The row of a key that is remembered. STORE_NOT_FOUND. */
static int find(SqliteSession *s, const StoreKey *key, sqlite3_stmt **ret) {
        static const char sql[] = "SELECT request, status, body FROM idempotency_keys"
                                  " WHERE name = ?1 AND expires > ?2";
        int r;

        r = sqlite_statement(s, STMT_KEY_FIND, sql, ret);
        if (r < 0)
                return r;
        bind_digest(*ret, 1, key->name);
        sqlite_bind_number(*ret, 2, key->now_sec);
        r = sqlite_row(s, *ret);
        if (r < 0)
                return r;
        return r > 0 ? 0 : STORE_NOT_FOUND;
}

int sqlite_key_find(StoreSession *session, Arena *arena, const StoreKey *key, StoreAnswer *ret) {
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        SqliteSession *s = sqlite_session(session);
        StoreAnswer answer;
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        r = find(s, key, &statement);
        if (r != 0)
                return r;
        if (!slice_equal(sqlite_text(statement, 0),
                         slice_make((const char *)key->request, STORE_KEY_SIZE)))
                return STORE_KEY_OTHER;
        answer = (StoreAnswer){.status = sqlite3_column_int(statement, 1),
                               .body = arena_dup(arena, sqlite_text(statement, 2))};
        if (!answer.body.data)
                return -ENOMEM;
        /* Another process may have committed it just now, and not have told anybody yet. */
        (void)sqlite3_reset(statement);
        r = sqlite_sync_log(s);
        if (r == 0)
                *ret = answer;
        return r;
}

int sqlite_key_take(SqliteSession *s, const StoreKey *key) {
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        if (!key)
                return 0;
        r = find(s, key, &statement);
        if (r == 0)
                return STORE_KEY_USED;
        return r == STORE_NOT_FOUND ? 0 : r;
}

int sqlite_key_keep(SqliteSession *s, const StoreKey *key, const void *row) {
        /* One that is there is past its time. */
        static const char sql[] = "INSERT OR REPLACE INTO idempotency_keys"
                                  " (name, request, expires, status, body)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5)";
        sqlite3_stmt *statement;
        StoreAnswer answer;
        int r;

        if (!key)
                return 0;
        r = key->answer(key->userdata, row, &answer);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_KEY_KEEP, sql, &statement);
        if (r < 0)
                return r;
        bind_digest(statement, 1, key->name);
        bind_digest(statement, 2, key->request);
        sqlite_bind_number(statement, 3, key->expires_sec);
        sqlite_bind_number(statement, 4, answer.status);
        sqlite_bind_text(statement, 5, answer.body);
        return sqlite_run(s, statement);
}

/* STORE_NOT_FOUND: none is past its time. */
static int find_expired(SqliteSession *s, int64_t now_sec) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_KEY_EXPIRED,
                             "SELECT 1 FROM idempotency_keys WHERE expires <= ?1 LIMIT 1",
                             &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, now_sec);
        return sqlite_number(s, statement, NULL);
}

int sqlite_keys_tidy(StoreSession *session, int64_t now_sec, bool *ret_more) {
        static const char sql[] = "DELETE FROM idempotency_keys WHERE name IN (SELECT name"
                                  " FROM idempotency_keys WHERE expires <= ?1 LIMIT ?2)";
        const SqliteDrop drop = {STMT_KEY_DROP, sql, STORE_KEYS_TIDY_ROWS};
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        if (r == 0)
                r = find_expired(s, now_sec);
        if (r != 0)
                return r < 0 ? r : 0;
        return sqlite_drop_rows(s, &drop, now_sec, ret_more);
}
