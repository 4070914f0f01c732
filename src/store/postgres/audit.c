/* SPDX-License-Identifier: MIT */

/*
 * The audit in PostgreSQL: a row beside each change, in the change's transaction. Where the totals
 * move too, both are one statement, so that the audit costs no trip of its own.
 */

#include <errno.h>

#include "store/postgres/session.h"

#define COLUMNS "time, token_id, user_id, actor, action, kind, object_id, old, new, request_id"

/* ---- writing ---- */

#define INSERT                                                                 \
 "INSERT INTO audit (" COLUMNS ") VALUES ($1::bigint, $2::bigint, $3::bigint," \
 " $4::text, $5::text, $6::text, $7::bigint, $8::text, $9::text, $10::text)"

static void add_row(PgParams *params, const Audit *row) {
        pg_add_number(params, row->time_sec);
        pg_add_id(params, row->token_id);
        pg_add_id(params, row->user_id);
        pg_add_text(params, row->actor);
        pg_add_text(params, row->action);
        pg_add_text(params, row->kind);
        pg_add_number(params, row->object_id);
        pg_add_text(params, row->old_fields);
        pg_add_text(params, row->new_fields);
        pg_add_text(params, row->request_id);
}

/* moved: the totals; NULL: they stay. */
static int insert(PgSession *s, const Audit *row, const StoreTotals *moved) {
        static const char sql[] = INSERT;
        static const char sql_count[] =
                        "WITH a AS (" INSERT ") UPDATE totals SET users = users + $12::bigint,"
                        " urls = urls + $13::bigint, active_urls = active_urls + $14::bigint,"
                        " events = events + $15::bigint, redirects = redirects + $16::bigint"
                        " WHERE slot = $11::integer";
        PgParams params = {.n = 0};

        add_row(&params, row);
        if (!moved)
                return pg_run(s, STMT_AUDIT_INSERT, sql, &params, NULL);
        pg_add_int(&params, (int32_t)s->slot);
        pg_add_number(&params, moved->users);
        pg_add_number(&params, moved->urls);
        pg_add_number(&params, moved->active_urls);
        pg_add_number(&params, moved->events);
        pg_add_number(&params, moved->redirects);
        return pg_run(s, STMT_AUDIT_COUNT, sql_count, &params, NULL);
}

int pg_audit_url(PgSession *s, const char *action, const Url *old, const Url *new,
                 const StoreTotals *moved) {
        Audit row;
        int r = store_note_url(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row, moved);
}

int pg_audit_user(PgSession *s, const char *action, const User *old, const User *new,
                  const StoreTotals *moved) {
        Audit row;
        int r = store_note_user(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row, moved);
}

int pg_audit_token(PgSession *s, const char *action, const Token *old, const Token *new) {
        Audit row;
        int r = store_note_token(&s->session, action, old, new, &row);

        return r < 0 ? r : insert(s, &row, NULL);
}

int pg_audit_event(PgSession *s, const Event *event, const StoreTotals *moved) {
        Audit row;
        int r = store_note_event(&s->session, event, &row);

        return r < 0 ? r : insert(s, &row, moved);
}

static int insert_import(PgSession *s, const Audit *row) {
        PgParams params = {.n = 0};

        add_row(&params, row);
        s->session.import_next.audit_sec = row->time_sec;
        return pg_run_number(s, STMT_AUDIT_BEGIN, INSERT " RETURNING id", &params,
                             &s->session.import_next.audit_id);
}

int pg_audit_import(PgSession *s, const StoreTotals *moved) {
        static const char sql[] = "UPDATE audit SET new = $3::text WHERE time = $1::bigint"
                                  " AND id = $2::bigint RETURNING id";
        const AuditCounts more = {moved->users, moved->urls, moved->events};
        PgParams params = {.n = 0};
        Audit row;
        int r;

        r = store_note_import(&s->session, &more, &row);
        if (r < 0 || row.id == 0)
                return r < 0 ? r : insert_import(s, &row);
        pg_add_number(&params, s->session.import.audit_sec);
        pg_add_number(&params, row.id);
        pg_add_text(&params, row.new_fields);
        r = pg_run_number(s, STMT_AUDIT_IMPORT, sql, &params, NULL);
        /* An import that outlives [Audit] Keep=. */
        return r == STORE_NOT_FOUND ? insert_import(s, &row) : r;
}

int pg_audit_load(PgSession *s, const StoreTotals *was) {
        Audit row;
        int r = store_note_load(&s->session, was, &row);

        return r < 0 ? r : insert_import(s, &row);
}

/* ---- reading ---- */

/* A text that may be NULL. */
static Slice keep(Arena *arena, const PGresult *result, int row, int column) {
        Slice text = pg_text(result, row, column);

        return text.data ? arena_dup(arena, text) : SLICE_NONE;
}

static int read_row(const PGresult *result, int i, int column, Arena *arena, void *ret_row) {
        Audit row = {.id = pg_number(result, i, column),
                     .time_sec = pg_number(result, i, column + 1),
                     .token_id = pg_number(result, i, column + 2),
                     .user_id = pg_number(result, i, column + 3),
                     .actor = keep(arena, result, i, column + 4),
                     .action = keep(arena, result, i, column + 5),
                     .kind = keep(arena, result, i, column + 6),
                     .object_id = pg_number(result, i, column + 7),
                     .old_fields = keep(arena, result, i, column + 8),
                     .new_fields = keep(arena, result, i, column + 9),
                     .request_id = keep(arena, result, i, column + 10)};

        if (arena->overflow)
                return -ENOMEM;
        *(Audit *)ret_row = row;
        return 0;
}

/* So written they count as one that half of the rows meet, in all: of what few meet, all would be
 * had at once, and sorted. */
#define FILTERS                                         \
 " AND coalesce(($4::text IS NULL OR actor = $4::text)" \
 " AND ($5::bigint IS NULL OR token_id = $5::bigint)"   \
 " AND ($6::bigint IS NULL OR user_id = $6::bigint)"    \
 " AND ($7::text IS NULL OR request_id = $7::text), false)"

#define WINDOW                                                           \
 " (time, id) < ($1::bigint, $2::bigint) AND time >= $3::bigint" FILTERS \
 " ORDER BY time DESC, id DESC LIMIT $8::bigint"

static int query_rows(PgSession *s, const StoreAuditQuery *query, PGresult **ret) {
        static const char sql[] = "SELECT id, " COLUMNS " FROM audit WHERE" WINDOW;
        static const char sql_object[] = "SELECT id, " COLUMNS " FROM audit WHERE kind = $9::text"
                                         " AND object_id = $10::bigint AND" WINDOW;
        PgParams params = {.n = 0};

        pg_add_number(&params, query->after_sec);
        pg_add_number(&params, query->after_id);
        pg_add_number(&params, query->since_sec);
        pg_add_text(&params, query->actor);
        pg_add_id(&params, query->token_id);
        pg_add_id(&params, query->user_id);
        pg_add_text(&params, query->request_id);
        pg_add_number(&params, query->limit);
        if (!query->kind.data)
                return pg_run_list(s, STMT_AUDIT_LIST, sql, &params, ret);
        pg_add_text(&params, query->kind);
        pg_add_number(&params, query->object_id);
        return pg_run_list(s, STMT_AUDIT_OBJECT, sql_object, &params, ret);
}

int pg_audit_list(StoreSession *session, Arena *arena, const StoreAuditQuery *query,
                  Audit **ret_rows, size_t *ret_n) {
        PgRows rows = {.arena = arena, .row_size = sizeof(Audit), .read = read_row};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = query_rows(s, query, &result);
        if (r == 0)
                r = pg_collect(result, 0, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        return 0;
}

/* ---- tidying ---- */

/* What another instance drops just now is left to it. */
int pg_audit_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        static const char sql[] = "WITH d AS (DELETE FROM audit WHERE ctid = ANY (ARRAY("
                                  "SELECT ctid FROM audit WHERE time < $1::bigint"
                                  " ORDER BY time, id LIMIT $2::bigint FOR UPDATE SKIP LOCKED))"
                                  " RETURNING 1) SELECT count(*) FROM d";
        const PgDrop drop = {STMT_AUDIT_TIDY, sql, STORE_AUDIT_TIDY_ROWS};

        return pg_drop_rows(session, &drop, before_sec, ret_more);
}
