/* SPDX-License-Identifier: MIT */

/* The audit in SQLite: a row beside each change, in the change's transaction. */

#include <errno.h>

#include "store/sqlite/session.h"

#define COLUMNS                                                           \
 "id, time, token_id, user_id, actor, action, kind, object_id, old, new," \
 " request_id"

/* ---- writing ---- */

static int insert(SqliteSession *s, const Audit *row) {
        static const char sql[] = "INSERT INTO audit (" COLUMNS ") SELECT last_audit + 1, ?1, ?2,"
                                  " ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM totals WHERE id = 1";
        static const char sql_id[] = "UPDATE totals SET last_audit = last_audit + 1 WHERE id = 1";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_AUDIT_INSERT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, row->time_sec);
        sqlite_bind_id(statement, 2, row->token_id);
        sqlite_bind_id(statement, 3, row->user_id);
        sqlite_bind_text(statement, 4, row->actor);
        sqlite_bind_text(statement, 5, row->action);
        sqlite_bind_text(statement, 6, row->kind);
        sqlite_bind_number(statement, 7, row->object_id);
        sqlite_bind_text(statement, 8, row->old_fields);
        sqlite_bind_text(statement, 9, row->new_fields);
        sqlite_bind_text(statement, 10, row->request_id);
        r = sqlite_run(s, statement);
        if (r == 0)
                r = sqlite_statement(s, STMT_AUDIT_ID, sql_id, &statement);
        return r < 0 ? r : sqlite_run(s, statement);
}

int sqlite_audit_url(SqliteSession *s, const char *action, const Url *old, const Url *new) {
        Audit row;
        int r = store_note_url(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row);
}

int sqlite_audit_user(SqliteSession *s, const char *action, const User *old, const User *new) {
        Audit row;
        int r = store_note_user(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row);
}

int sqlite_audit_token(SqliteSession *s, const char *action, const Token *old, const Token *new) {
        Audit row;
        int r = store_note_token(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row);
}

int sqlite_audit_event(SqliteSession *s, const Event *event) {
        Audit row;
        int r = store_note_event(&s->session, event, &row);

        return r < 0 ? r : insert(s, &row);
}

static int insert_import(SqliteSession *s, const Audit *row) {
        int r = insert(s, row);

        if (r == 0)
                s->session.import_next.audit_id = sqlite3_last_insert_rowid(s->db);
        return r;
}

int sqlite_audit_import(SqliteSession *s, const AuditCounts *more) {
        static const char sql[] = "UPDATE audit SET new = ?2 WHERE id = ?1";
        sqlite3_stmt *statement;
        Audit row;
        int r;

        if (more->users + more->urls + more->events == 0)
                return 0;
        r = store_note_import(&s->session, more, &row);
        if (r < 0 || row.id == 0)
                return r < 0 ? r : insert_import(s, &row);
        r = sqlite_statement(s, STMT_AUDIT_IMPORT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, row.id);
        sqlite_bind_text(statement, 2, row.new_fields);
        r = sqlite_run(s, statement);
        /* An import that outlives [Audit] Keep=. */
        if (r == 0 && sqlite3_changes(s->db) == 0)
                r = insert_import(s, &row);
        return r;
}

int sqlite_audit_load(SqliteSession *s, const StoreTotals *was) {
        Audit row;
        int r = store_note_load(&s->session, was, &row);

        return r < 0 ? r : insert_import(s, &row);
}

/* ---- reading ---- */

/* A text that may be NULL. */
static Slice keep(Arena *arena, sqlite3_stmt *statement, int column) {
        Slice text = sqlite_text(statement, column);

        return text.data ? arena_dup(arena, text) : SLICE_NONE;
}

static int read_row(sqlite3_stmt *statement, Arena *arena, void *ret_row) {
        Audit row = {.id = sqlite3_column_int64(statement, 0),
                     .time_sec = sqlite3_column_int64(statement, 1),
                     .token_id = sqlite3_column_int64(statement, 2),
                     .user_id = sqlite3_column_int64(statement, 3),
                     .actor = keep(arena, statement, 4),
                     .action = keep(arena, statement, 5),
                     .kind = keep(arena, statement, 6),
                     .object_id = sqlite3_column_int64(statement, 7),
                     .old_fields = keep(arena, statement, 8),
                     .new_fields = keep(arena, statement, 9),
                     .request_id = keep(arena, statement, 10)};

        if (arena->overflow)
                return -ENOMEM;
        *(Audit *)ret_row = row;
        return 0;
}

#define FILTERS                                                         \
 " (time, id) < (?1, ?2) AND time >= ?3 AND (?4 IS NULL OR actor = ?4)" \
 " AND (?5 IS NULL OR token_id = ?5) AND (?6 IS NULL OR user_id = ?6)"  \
 " AND (?7 IS NULL OR request_id = ?7) ORDER BY time DESC, id DESC LIMIT ?8"

static int prepare(SqliteSession *s, bool of_object, sqlite3_stmt **ret) {
        static const char sql[] = "SELECT " COLUMNS " FROM audit WHERE" FILTERS;
        static const char sql_object[] = "SELECT " COLUMNS " FROM audit WHERE kind = ?9"
                                         " AND object_id = ?10 AND" FILTERS;

        return of_object ? sqlite_statement(s, STMT_AUDIT_OBJECT, sql_object, ret)
                         : sqlite_statement(s, STMT_AUDIT_LIST, sql, ret);
}

int sqlite_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                      Audit **ret_rows, size_t *ret_n) {
        SqliteRows rows = {.arena = arena,
                           .row_size = sizeof(Audit),
                           .read = read_row,
                           .limit = query->limit};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        if (r == 0)
                r = prepare(s, query->kind.data, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, query->after_sec);
        sqlite_bind_number(statement, 2, query->after_id);
        sqlite_bind_number(statement, 3, query->since_sec);
        sqlite_bind_text(statement, 4, query->actor);
        sqlite_bind_id(statement, 5, query->token_id);
        sqlite_bind_id(statement, 6, query->user_id);
        sqlite_bind_text(statement, 7, query->request_id);
        sqlite_bind_number(statement, 8, query->limit);
        if (query->kind.data) {
                sqlite_bind_text(statement, 9, query->kind);
                sqlite_bind_number(statement, 10, query->object_id);
        }
        r = sqlite_collect(s, statement, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        return 0;
}

/* ---- tidying ---- */

int sqlite_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        static const char sql[] = "DELETE FROM audit WHERE id IN (SELECT id FROM audit"
                                  " WHERE time < ?1 ORDER BY time LIMIT ?2)";
        const SqliteDrop drop = {STMT_AUDIT_TIDY, sql, STORE_AUDIT_TIDY_ROWS};

        return sqlite_drop_rows(sqlite_session(session), &drop, before_sec, ret_more);
}
