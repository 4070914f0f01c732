/* SPDX-License-Identifier: MIT */

/* Users in SQLite. */

#include <errno.h>

#include "store/sqlite/session.h"

static const char SQL_GET[] = "SELECT id, username, email, created FROM users WHERE id = ?1";

static int read_user(sqlite3_stmt *statement, Arena *arena, void *ret_row) {
        User user = {.id = sqlite3_column_int64(statement, 0),
                     .username = arena_dup(arena, sqlite_text(statement, 1)),
                     .email = arena_dup(arena, sqlite_text(statement, 2)),
                     .created_sec = sqlite3_column_int64(statement, 3)};

        if (!user.username.data || !user.email.data)
                return -ENOMEM;
        *(User *)ret_row = user;
        return 0;
}

static int get(SqliteSession *s, Arena *arena, int64_t id, User *ret) {
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_USER_GET, SQL_GET, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        r = sqlite_row(s, statement);
        if (r <= 0)
                return r < 0 ? r : STORE_NOT_FOUND;
        return read_user(statement, arena, ret);
}

int sqlite_user_exists(SqliteSession *s, int64_t id) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_USER_GET, SQL_GET, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        return sqlite_number(s, statement, NULL);
}

int sqlite_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        return r < 0 ? r : get(s, arena, id, ret);
}

/* ---- create, update, delete ---- */

/* Has another user than self_id this text? The statement finds its id. */
static int is_taken(SqliteSession *s, sqlite3_stmt *statement, Slice text, int64_t self_id,
                    bool *ret) {
        int64_t id = 0;
        int r;

        *ret = false;
        if (!text.data)
                return 0;
        sqlite_bind_text(statement, 1, text);
        r = sqlite_number(s, statement, &id);
        if (r < 0)
                return r;
        *ret = r == 0 && id != self_id;
        return 0;
}

/* STORE_USERNAME_TAKEN, STORE_EMAIL_TAKEN, or 0. */
static int find_clash(SqliteSession *s, Slice username, Slice email, int64_t self_id) {
        sqlite3_stmt *by_name, *by_email;
        bool taken;
        int r;

        r = sqlite_statement(s, STMT_USER_BY_NAME, "SELECT id FROM users WHERE username = ?1",
                             &by_name);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_USER_BY_EMAIL, "SELECT id FROM users WHERE email = ?1",
                             &by_email);
        if (r < 0)
                return r;
        r = is_taken(s, by_name, username, self_id, &taken);
        if (r < 0)
                return r;
        if (taken)
                return STORE_USERNAME_TAKEN;
        r = is_taken(s, by_email, email, self_id, &taken);
        if (r < 0)
                return r;
        return taken ? STORE_EMAIL_TAKEN : STORE_OK;
}

/* user->id is set. A positive result says why the row did not go in. */
static int insert(SqliteSession *s, SqliteTotals *totals, const User *user) {
        static const char sql[] = "INSERT INTO users (id, username, email, created)"
                                  " VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_USER_INSERT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, user->id);
        sqlite_bind_text(statement, 2, user->username);
        sqlite_bind_text(statement, 3, user->email);
        sqlite_bind_number(statement, 4, user->created_sec);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        if (sqlite3_changes(s->db) == 0) {
                r = find_clash(s, user->username, user->email, 0);
                return r == 0 ? STORE_REFUSED : r;
        }
        totals->n.users++;
        totals->last_user = MAX(totals->last_user, user->id);
        return 0;
}

static int create(SqliteSession *s, Arena *arena, const User *user, User *ret) {
        SqliteTotals totals;
        User row = *user;
        int r;

        row.username = arena_dup(arena, user->username);
        row.email = arena_dup(arena, user->email);
        if (!row.username.data || !row.email.data)
                return -ENOMEM;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        row.id = totals.last_user + 1;
        r = insert(s, &totals, &row);
        if (r != 0)
                return r;
        r = sqlite_totals_save(s, &totals);
        if (r == 0)
                r = sqlite_audit_user(s, "create", NULL, &row);
        if (r == 0)
                *ret = row;
        return r;
}

int sqlite_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                       User *ret) {
        SqliteSession *s = sqlite_session(session);
        User row;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = sqlite_key_take(s, key);
        if (r == 0)
                r = create(s, arena, user, &row);
        if (r == 0)
                r = sqlite_key_keep(s, key, &row);
        r = sqlite_end_write(s, r, &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

static int update(SqliteSession *s, Arena *arena, int64_t id, const StoreUserChange *change,
                  User *ret) {
        static const char sql[] = "UPDATE users SET username = ?2, email = ?3 WHERE id = ?1";
        sqlite3_stmt *statement;
        User old;
        int r;

        r = get(s, arena, id, ret);
        if (r == 0)
                r = store_condition_check(change->condition, ret);
        if (r != 0)
                return r;
        old = *ret;
        r = find_clash(s, change->username, change->email, id);
        if (r != 0)
                return r;
        if (change->username.data)
                ret->username = arena_dup(arena, change->username);
        if (change->email.data)
                ret->email = arena_dup(arena, change->email);
        if (!ret->username.data || !ret->email.data)
                return -ENOMEM;
        r = sqlite_statement(s, STMT_USER_UPDATE, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        sqlite_bind_text(statement, 2, ret->username);
        sqlite_bind_text(statement, 3, ret->email);
        r = sqlite_run(s, statement);
        return r < 0 ? r : sqlite_audit_user(s, "update", &old, ret);
}

/* A change of nothing. */
static int get_if(StoreSession *session, Arena *arena, int64_t id, const StoreCondition *condition,
                  User *ret) {
        User row;
        int r;

        r = sqlite_user_get(session, arena, id, &row);
        if (r == 0)
                r = store_condition_check(condition, &row);
        if (r == 0)
                *ret = row;
        return r;
}

int sqlite_user_update(StoreSession *session, Arena *arena, int64_t id,
                       const StoreUserChange *change, User *ret) {
        SqliteSession *s = sqlite_session(session);
        User row;
        int r;

        if (!change->username.data && !change->email.data)
                return get_if(session, arena, id, change->condition, ret);
        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = sqlite_end_write(s, update(s, arena, id, change, &row), &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

static int remove_user(SqliteSession *s, Arena *scratch, int64_t id,
                       const StoreCondition *condition) {
        sqlite3_stmt *statement;
        SqliteTotals totals;
        User user;
        int r;

        r = get(s, scratch, id, &user);
        if (r == 0)
                r = store_condition_check(condition, &user);
        if (r != 0)
                return r;
        r = sqlite_statement(s, STMT_USER_DELETE, "DELETE FROM users WHERE id = ?1", &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        totals.n.users--;
        r = sqlite_totals_save(s, &totals);
        if (r == 0)
                r = sqlite_tokens_end(s, id);
        return r < 0 ? r : sqlite_audit_user(s, "delete", &user, NULL);
}

int sqlite_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition) {
        SqliteSession *s = sqlite_session(session);
        Arena scratch;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        arena_init(&scratch, 0);
        r = remove_user(s, &scratch, id, condition);
        r = sqlite_end_write(s, r, &SLICE_NONE, 0);
        arena_done(&scratch);
        return r;
}

/* ---- lists ---- */

static int list(SqliteSession *s, Arena *arena, const StoreQuery *query, SqliteRows *ret) {
        static const char sql[] = "SELECT id, username, email, created FROM users WHERE id > ?1"
                                  " ORDER BY id LIMIT ?2 OFFSET ?3";
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_USER_LIST, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, query->has_after ? query->after : 0);
        sqlite_bind_number(statement, 2, query->limit);
        sqlite_bind_number(statement, 3, query->offset);
        *ret = (SqliteRows){arena, sizeof(User), read_user, query->limit, NULL, 0};
        return sqlite_collect(s, statement, ret);
}

int sqlite_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                     size_t *ret_n, int64_t *ret_total) {
        SqliteSession *s = sqlite_session(session);
        SqliteTotals totals = {.last_user = 0};
        SqliteRows rows;
        int r;

        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = list(s, arena, query, &rows);
        if (r == 0 && ret_total)
                r = sqlite_totals_load(s, &totals);
        sqlite_end_read(s);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        if (ret_total)
                *ret_total = totals.n.users;
        return 0;
}

/* ---- import ---- */

static int import(SqliteSession *s, StoreUserRow *rows, size_t n) {
        AuditCounts added = {.users = 0};
        SqliteTotals totals;
        int r;

        r = sqlite_totals_load(s, &totals);
        for (size_t i = 0; i < n && r >= 0; i++) {
                User row = rows[i].user;

                rows[i].result = STORE_REFUSED;
                if (row.id < 0 || row.id > STORE_ID_MAX)
                        continue;
                if (row.id == 0)
                        row.id = totals.last_user + 1;
                r = insert(s, &totals, &row);
                if (r == 0)
                        rows[i].user.id = row.id;
                added.users += r == 0;
                rows[i].result = r < 0 ? STORE_REFUSED : (StoreResult)r;
        }
        if (r >= 0)
                r = sqlite_totals_save(s, &totals);
        return r < 0 ? r : sqlite_audit_import(s, &added);
}

int sqlite_users_import(StoreSession *session, StoreUserRow *rows, size_t n) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_write(s, WRITER_IMPORT);
        return r < 0 ? r : sqlite_end_write(s, import(s, rows, n), &SLICE_NONE, 0);
}
