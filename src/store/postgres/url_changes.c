/* SPDX-License-Identifier: MIT */

/*
 * Changing links in PostgreSQL. A change locks the row and reads it first, so no column that
 * another change wrote can be lost. The row and its events are one statement.
 */

#include <errno.h>

#include "store/postgres/session.h"

/* The columns that pg_url_read() takes; a user that is gone reads as NULL. */
static const char SQL_LOCK[] =
                "SELECT u.id, (SELECT id FROM users WHERE id = u.user_id), u.code, u.target,"
                " u.location, u.title, u.is_active, u.created, u.updated FROM urls AS u"
                " WHERE u.id = $1::bigint FOR NO KEY UPDATE";

/* ---- create ---- */

/* Ids are taken from the sequences only when the row is going to go in. */
static int insert(PgSession *s, const Url *url, Slice details, int64_t *ret_id) {
        static const char sql[] =
                        "WITH u AS (INSERT INTO urls (id, user_id, code, target, location, title,"
                        " is_active, created, updated) SELECT nextval('url_ids'), $1::bigint,"
                        " $2::text, $3::text, $4::text, $5::text, true, $6::bigint, $6::bigint"
                        " WHERE NOT EXISTS (SELECT 1 FROM urls WHERE code = $2::text)"
                        " AND ($1::bigint IS NULL OR EXISTS"
                        " (SELECT 1 FROM users WHERE id = $1::bigint))"
                        " ON CONFLICT DO NOTHING RETURNING id), e AS"
                        " (INSERT INTO events (url_id, user_id, timestamp, type, day, details)"
                        " SELECT id, $1::bigint, $6::bigint, 2, $7::date, $8::text FROM u)"
                        " SELECT id FROM u";
        bool same = slice_equal(url->target, url->location);
        PgParams params = {.n = 0};

        pg_add_id(&params, url->user_id);
        pg_add_text(&params, url->code);
        pg_add_text(&params, url->target);
        pg_add_text(&params, same ? SLICE_NONE : url->location);
        pg_add_text(&params, url->title);
        pg_add_number(&params, url->created_sec);
        pg_add_day(&params, url->created_sec);
        pg_add_text(&params, details);
        return pg_run_number(s, STMT_URL_CREATE, sql, &params, ret_id);
}

/* Why did it not go in? 0: nothing is in the way any more. */
static int find_clash(PgSession *s, const Url *url) {
        static const char sql[] = "SELECT $1::bigint IS NOT NULL AND NOT EXISTS"
                                  " (SELECT 1 FROM users WHERE id = $1::bigint),"
                                  " EXISTS (SELECT 1 FROM urls WHERE code = $2::text)";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_id(&params, url->user_id);
        pg_add_text(&params, url->code);
        r = pg_run(s, STMT_URL_CLASH, sql, &params, &result);
        if (r < 0)
                return r;
        if (pg_number(result, 0, 0))
                return STORE_NO_USER;
        return pg_number(result, 0, 1) ? STORE_CODE_TAKEN : 0;
}

/* Has its user room for it? The lock lasts until the commit, so of two that would take the last
 * place the second one waits, and then counts the first one's. */
static int check_room(PgSession *s, const StoreUrlNew *new) {
        static const char sql_lock[] =
                        "SELECT id FROM users WHERE id = $1::bigint FOR NO KEY UPDATE";
        /* See the lists of links (urls.c). */
        static const char sql_owned[] =
                        "SELECT count(*) FROM (SELECT 1 FROM urls"
                        " WHERE (user_id, id) > ($1::bigint, 0) AND user_id <= $1::bigint"
                        " ORDER BY user_id, id LIMIT $2::bigint) AS counted";
        PgParams params = {.n = 0};
        int64_t n;
        int r;

        if (new->user_max == 0 || new->url->user_id == 0)
                return 0;
        pg_add_number(&params, new->url->user_id);
        r = pg_run_number(s, STMT_URL_OWNER, sql_lock, &params, &n);
        if (r != 0)
                return r == STORE_NOT_FOUND ? STORE_NO_USER : r;
        pg_add_number(&params, new->user_max);
        r = pg_run_number(s, STMT_URL_OWNED, sql_owned, &params, &n);
        if (r != 0)
                return r;
        return n >= new->user_max ? STORE_FULL : 0;
}

static int create(PgSession *s, const StoreUrlNew *new, const StoreKey *key, Url *ret) {
        Url row = *new->url;
        int r;

        row.is_active = true;
        row.updated_sec = row.created_sec;
        r = pg_key_take(s, key);
        if (r == 0)
                r = check_room(s, new);
        if (r != 0)
                return r;
        r = STORE_NOT_FOUND;
        for (unsigned i = 0; i < PG_TRIES && r == STORE_NOT_FOUND; i++) {
                r = insert(s, &row, new->details, &row.id);
                if (r != STORE_NOT_FOUND)
                        break;
                r = find_clash(s, &row);
                if (r != 0)
                        return r;
                r = STORE_NOT_FOUND;
        }
        if (r == STORE_NOT_FOUND)
                return -EBUSY;
        if (r == 0)
                r = pg_key_keep(s, key, &row);
        if (r == 0)
                r = pg_audit_url(s, "create", NULL, &row,
                                 &(StoreTotals){.urls = 1, .active_urls = 1, .events = 1});
        if (r == 0)
                *ret = row;
        return r;
}

int pg_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key, Url *ret) {
        PgSession *s = pg_session(session);
        Url row;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = pg_end_making(s, create(s, new, key, &row), &new->url->code, 1);
        if (r == 0)
                *ret = row;
        return r;
}

/* ---- update and retire ---- */

/* STORE_NOT_FOUND */
static int lock_row(PgSession *s, Arena *arena, int64_t id, Url *ret) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_number(&params, id);
        r = pg_run(s, STMT_URL_LOCK, SQL_LOCK, &params, &result);
        if (r < 0)
                return r;
        return PQntuples(result) == 0 ? STORE_NOT_FOUND : pg_url_read(result, 0, 0, arena, ret);
}

/* The row as it will be; texts of the change are copied, as those of the row were. */
static int merge(Arena *arena, const StoreUrlChange *change, Url *url) {
        if (change->has_target) {
                url->target = arena_dup(arena, change->target);
                url->location = arena_dup(arena, change->location);
                if (!url->target.data || !url->location.data)
                        return -ENOMEM;
        }
        if (change->has_title) {
                url->title = change->title.data ? arena_dup(arena, change->title) : SLICE_NONE;
                if (change->title.data && !url->title.data)
                        return -ENOMEM;
        }
        if (change->has_active)
                url->is_active = change->is_active;
        url->updated_sec = change->now_sec;
        return 0;
}

/* The row, and an event of this type for each of the details. */
static int write_row(PgSession *s, const Url *url, int32_t type, const Slice *details, size_t n) {
        static const char sql[] =
                        "WITH u AS (UPDATE urls SET target = $2::text, location = $3::text,"
                        " title = $4::text, is_active = $5::boolean, updated = $6::bigint"
                        " WHERE id = $1::bigint)"
                        " INSERT INTO events (url_id, user_id, timestamp, type, day, details)"
                        " SELECT $1::bigint, $7::bigint, $6::bigint, $8::integer, $9::date, d.text"
                        " FROM unnest($10::text[]) WITH ORDINALITY AS d (text, i) ORDER BY d.i";
        bool same = slice_equal(url->target, url->location);
        PgParams params = {.n = 0};

        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_text(&s->scratch, details[i]);
        if (s->scratch.failed)
                return -ENOMEM;
        pg_add_number(&params, url->id);
        pg_add_text(&params, url->target);
        pg_add_text(&params, same ? SLICE_NONE : url->location);
        pg_add_text(&params, url->title);
        pg_add_bool(&params, url->is_active);
        pg_add_number(&params, url->updated_sec);
        pg_add_id(&params, url->user_id);
        pg_add_int(&params, type);
        pg_add_day(&params, url->updated_sec);
        pg_add_bytes(&params, buffer_slice(&s->scratch));
        return pg_run(s, STMT_URL_UPDATE, sql, &params, NULL);
}

static int update(PgSession *s, Arena *arena, int64_t id, const StoreUrlChange *change, Url *ret) {
        StoreTotals moved = {.users = 0};
        Slice details[3];
        size_t n = 0;
        Url old;
        int r;

        r = lock_row(s, arena, id, ret);
        if (r == 0)
                r = store_condition_check(change->condition, ret);
        if (r != 0)
                return r;
        old = *ret;
        r = merge(arena, change, ret);
        if (r < 0)
                return r;
        if (change->has_target)
                details[n++] = change->target_details;
        if (change->has_title)
                details[n++] = change->title_details;
        if (change->has_active)
                details[n++] = change->active_details;
        r = write_row(s, ret, TYPE_UPDATED, details, n);
        if (r < 0)
                return r;
        moved.active_urls = ret->is_active - old.is_active;
        moved.events = (int64_t)n;
        return pg_audit_url(s, "update", &old, ret, n > 0 ? &moved : NULL);
}

int pg_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                  Url *ret) {
        bool redirect_changes = change->has_target || change->has_active;
        PgSession *s = pg_session(session);
        Url row = {.code = SLICE_NONE};
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = update(s, arena, id, change, &row);
        r = pg_end_write(s, r, &row.code, redirect_changes);
        if (r == 0)
                *ret = row;
        return r;
}

static int retire(PgSession *s, Arena *scratch, Url *url, int64_t now_sec, Slice details,
                  const StoreCondition *condition) {
        const StoreTotals moved = {.active_urls = -1, .events = 1};
        Url old;
        int r;

        r = lock_row(s, scratch, url->id, url);
        if (r != 0)
                return r;
        if (!url->is_active)
                return STORE_NOT_FOUND;
        r = store_condition_check(condition, url);
        if (r != 0)
                return r;
        old = *url;
        url->is_active = false;
        url->updated_sec = now_sec;
        r = write_row(s, url, TYPE_DELETED, &details, 1);
        return r < 0 ? r : pg_audit_url(s, "delete", &old, url, &moved);
}

int pg_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                  const StoreCondition *condition) {
        PgSession *s = pg_session(session);
        Url url = {.id = id};
        Arena scratch;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        arena_init(&scratch, 0);
        r = retire(s, &scratch, &url, now_sec, details, condition);
        r = pg_end_write(s, r, &url.code, 1);
        arena_done(&scratch);
        return r;
}
