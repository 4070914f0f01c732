/* SPDX-License-Identifier: MIT */

/* Users in PostgreSQL. */

#include <errno.h>

#include "store/postgres/session.h"

static int read_user(const PGresult *result, int row, int column, Arena *arena, void *ret_row) {
        User user = {.id = pg_number(result, row, column),
                     .username = arena_dup(arena, pg_text(result, row, column + 1)),
                     .email = arena_dup(arena, pg_text(result, row, column + 2)),
                     .created_sec = pg_number(result, row, column + 3)};

        if (!user.username.data || !user.email.data)
                return -ENOMEM;
        *(User *)ret_row = user;
        return 0;
}

int pg_user_get(StoreSession *session, Arena *arena, int64_t id, User *ret) {
        static const char sql[] =
                        "SELECT id, username, email, created FROM users WHERE id = $1::bigint";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        pg_add_number(&params, id);
        r = pg_run(s, STMT_USER_GET, sql, &params, &result);
        if (r < 0)
                return r;
        return PQntuples(result) == 0 ? STORE_NOT_FOUND : read_user(result, 0, 0, arena, ret);
}

/* ---- create, update, delete ---- */

/* Has another user than self_id one of these? STORE_USERNAME_TAKEN, STORE_EMAIL_TAKEN, or 0. */
static int find_clash(PgSession *s, Slice username, Slice email, int64_t self_id) {
        static const char sql[] =
                        "SELECT EXISTS (SELECT 1 FROM users WHERE username = $1::text"
                        " AND id <> $3::bigint),"
                        " EXISTS (SELECT 1 FROM users WHERE email = $2::text AND id <> $3::bigint)";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_text(&params, username);
        pg_add_text(&params, email);
        pg_add_number(&params, self_id);
        r = pg_run(s, STMT_USER_CLASH, sql, &params, &result);
        if (r < 0)
                return r;
        if (pg_number(result, 0, 0))
                return STORE_USERNAME_TAKEN;
        return pg_number(result, 0, 1) ? STORE_EMAIL_TAKEN : 0;
}

/* An id is taken from the sequence only when the row is going to go in. */
static int insert(PgSession *s, const User *user, int64_t *ret_id) {
        static const char sql[] =
                        "INSERT INTO users (id, username, email, created)"
                        " SELECT nextval('user_ids'), $1::text, $2::text, $3::bigint WHERE"
                        " NOT EXISTS (SELECT 1 FROM users WHERE username = $1::text)"
                        " AND NOT EXISTS (SELECT 1 FROM users WHERE email = $2::text)"
                        " ON CONFLICT DO NOTHING RETURNING id";
        PgParams params = {.n = 0};

        pg_add_text(&params, user->username);
        pg_add_text(&params, user->email);
        pg_add_number(&params, user->created_sec);
        return pg_run_number(s, STMT_USER_CREATE, sql, &params, ret_id);
}

static int create(PgSession *s, Arena *arena, const User *user, const StoreKey *key, User *ret) {
        User row = *user;
        int r;

        row.username = arena_dup(arena, user->username);
        row.email = arena_dup(arena, user->email);
        if (!row.username.data || !row.email.data)
                return -ENOMEM;
        r = pg_key_take(s, key);
        if (r != 0)
                return r;
        r = STORE_NOT_FOUND;
        /* Whoever was in the way may be gone when we look who it was. */
        for (unsigned i = 0; i < PG_TRIES && r == STORE_NOT_FOUND; i++) {
                r = insert(s, &row, &row.id);
                if (r != STORE_NOT_FOUND)
                        break;
                r = find_clash(s, row.username, row.email, 0);
                if (r != 0)
                        return r;
                r = STORE_NOT_FOUND;
        }
        if (r == STORE_NOT_FOUND)
                return -EBUSY;
        if (r == 0)
                r = pg_key_keep(s, key, &row);
        if (r == 0)
                r = pg_audit_user(s, "create", NULL, &row, &(StoreTotals){.users = 1});
        if (r == 0)
                *ret = row;
        return r;
}

int pg_user_create(StoreSession *session, Arena *arena, const User *user, const StoreKey *key,
                   User *ret) {
        PgSession *s = pg_session(session);
        User row;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = pg_end_write(s, create(s, arena, user, key, &row), &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

/* Which of the two was it that another transaction put in first? */
static int taken_of(const PgSession *s, int r) {
        if (r != -EBADMSG)
                return r;
        if (strcmp(s->constraint, "users_username") == 0)
                return STORE_USERNAME_TAKEN;
        return strcmp(s->constraint, "users_email") == 0 ? STORE_EMAIL_TAKEN : r;
}

/* The row is locked before it is read, so that its old texts are those that the change replaces. */
static int update(PgSession *s, Arena *arena, int64_t id, const StoreUserChange *change,
                  User *ret) {
        static const char sql[] =
                        "WITH o AS (SELECT id, username, email, created FROM users"
                        " WHERE id = $1::bigint FOR UPDATE)"
                        " UPDATE users AS u SET username = coalesce($2::text, o.username),"
                        " email = coalesce($3::text, o.email) FROM o WHERE u.id = o.id"
                        " RETURNING u.id, u.username, u.email, u.created,"
                        " o.id, o.username, o.email, o.created";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        User old;
        int r;

        pg_add_number(&params, id);
        pg_add_text(&params, change->username);
        pg_add_text(&params, change->email);
        r = pg_run(s, STMT_USER_UPDATE, sql, &params, &result);
        if (r < 0)
                return taken_of(s, r);
        if (PQntuples(result) == 0)
                return STORE_NOT_FOUND;
        r = read_user(result, 0, 0, arena, ret);
        if (r == 0)
                r = read_user(result, 0, 4, arena, &old);
        return r < 0 ? r : pg_audit_user(s, "update", &old, ret, NULL);
}

/* The first of the two that clashes is named, which the violated index alone does not tell. */
static int update_or_clash(PgSession *s, Arena *arena, int64_t id, const StoreUserChange *change,
                           User *ret) {
        int clash, r;

        r = update(s, arena, id, change, ret);
        if (r <= STORE_NOT_FOUND || !change->username.data || !change->email.data)
                return r;
        clash = pg_begin_again(s);
        if (clash == 0)
                clash = find_clash(s, change->username, change->email, id);
        return clash == 0 ? r : clash;
}

/* Locks the row and looks at it; STORE_NOT_FOUND, STORE_UNMET. */
static int check(PgSession *s, int64_t id, const StoreCondition *condition) {
        static const char sql[] = "SELECT id, username, email, created FROM users"
                                  " WHERE id = $1::bigint FOR UPDATE";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        Arena scratch;
        User row;
        int r;

        if (!condition)
                return 0;
        pg_add_number(&params, id);
        r = pg_run(s, STMT_USER_LOCK, sql, &params, &result);
        if (r < 0)
                return r;
        if (PQntuples(result) == 0)
                return STORE_NOT_FOUND;
        arena_init(&scratch, 0);
        r = read_user(result, 0, 0, &scratch, &row);
        if (r == 0)
                r = store_condition_check(condition, &row);
        arena_done(&scratch);
        return r;
}

/* A change of nothing. */
static int get_if(StoreSession *session, Arena *arena, int64_t id, const StoreCondition *condition,
                  User *ret) {
        User row;
        int r;

        r = pg_user_get(session, arena, id, &row);
        if (r == 0)
                r = store_condition_check(condition, &row);
        if (r == 0)
                *ret = row;
        return r;
}

int pg_user_update(StoreSession *session, Arena *arena, int64_t id, const StoreUserChange *change,
                   User *ret) {
        PgSession *s = pg_session(session);
        User row;
        int r;

        if (!change->username.data && !change->email.data)
                return get_if(session, arena, id, change->condition, ret);
        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = check(s, id, change->condition);
        if (r == 0)
                r = update_or_clash(s, arena, id, change, &row);
        r = pg_end_write(s, r, &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

static int remove_user(PgSession *s, Arena *scratch, int64_t id) {
        static const char sql[] = "DELETE FROM users WHERE id = $1::bigint"
                                  " RETURNING id, username, email, created";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        User user;
        int r;

        pg_add_number(&params, id);
        r = pg_run(s, STMT_USER_DELETE, sql, &params, &result);
        if (r < 0)
                return r;
        if (PQntuples(result) == 0)
                return STORE_NOT_FOUND;
        r = read_user(result, 0, 0, scratch, &user);
        if (r == 0)
                r = pg_tokens_end(s, id);
        if (r < 0)
                return r;
        return pg_audit_user(s, "delete", &user, NULL, &(StoreTotals){.users = -1});
}

int pg_user_delete(StoreSession *session, int64_t id, const StoreCondition *condition) {
        PgSession *s = pg_session(session);
        Arena scratch;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        arena_init(&scratch, 0);
        r = check(s, id, condition);
        if (r == 0)
                r = remove_user(s, &scratch, id);
        r = pg_end_write(s, r, &SLICE_NONE, 0);
        arena_done(&scratch);
        return r;
}

/* ---- lists ---- */

int pg_user_list(StoreSession *session, Arena *arena, const StoreQuery *query, User **ret_rows,
                 size_t *ret_n, int64_t *ret_total) {
        static const char sql[] =
                        "SELECT t.n, l.* FROM (SELECT CASE WHEN $4::boolean THEN"
                        " (SELECT sum(users)::bigint FROM totals) END AS n) AS t LEFT JOIN LATERAL"
                        " (SELECT id, username, email, created FROM users WHERE id > $1::bigint"
                        " ORDER BY id LIMIT $2::bigint OFFSET $3::bigint) AS l ON true"
                        " ORDER BY l.id";
        PgRows rows = {.arena = arena, .row_size = sizeof(User), .read = read_user};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        pg_add_number(&params, query->has_after ? query->after : 0);
        pg_add_number(&params, query->limit);
        pg_add_number(&params, query->offset);
        pg_add_bool(&params, ret_total != NULL);
        r = pg_run_list(s, STMT_USER_LIST, sql, &params, &result);
        if (r == 0)
                r = pg_collect(result, 1, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        if (ret_total)
                *ret_total = pg_number(result, 0, 0);
        return 0;
}
