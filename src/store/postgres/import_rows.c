/* SPDX-License-Identifier: MIT */

/* Imports of users, links and events: what may go in, and its way there. */

#include <errno.h>
#include <stdlib.h>

#include "model/details.h"
#include "store/postgres/session.h"

/* ---- arrays of a batch ---- */

typedef struct Columns {
        size_t at[4]; /* where each array begins in the scratch buffer, and the end */
        size_t n;
} Columns;

static void column(PgSession *s, Columns *columns) {
        columns->at[++columns->n] = s->scratch.len;
}

static int send_columns(PgSession *s, PgStatement statement, const char *sql,
                        const Columns *columns, PGresult **ret) {
        PgParams params = {.n = 0};

        if (s->scratch.failed)
                return -ENOMEM;
        for (size_t i = 0; i < columns->n; i++)
                pg_add_bytes(&params, slice_sub(buffer_slice(&s->scratch), columns->at[i],
                                                columns->at[i + 1]));
        return pg_run(s, statement, sql, &params, ret);
}

static void put_known(PgSession *s, Slice text) {
        pg_put_text(&s->scratch, pg_storable(text) ? text : SLICE(""));
}

/* ---- users ---- */

#define KIND_NAME  'n'
#define KIND_EMAIL 'e'

/* For each row: are its id, its name, its email there? */
static int find_users(PgSession *s, const StoreUserRow *rows, size_t n, PGresult **ret) {
        static const char sql[] =
                        "SELECT (SELECT 1 FROM users AS u WHERE u.id = w.id) IS NOT NULL,"
                        " (SELECT 1 FROM users AS u WHERE u.username = w.username) IS NOT NULL,"
                        " (SELECT 1 FROM users AS u WHERE u.email = w.email) IS NOT NULL"
                        " FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY"
                        " AS w (id, username, email, i) ORDER BY w.i";
        Columns columns = {.n = 0};

        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, rows[i].user.id);
        column(s, &columns);
        pg_array(&s->scratch, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                put_known(s, rows[i].user.username);
        column(s, &columns);
        pg_array(&s->scratch, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                put_known(s, rows[i].user.email);
        column(s, &columns);
        return send_columns(s, STMT_USER_FOUND, sql, &columns, ret);
}

/* The result of a row; negative: the import fails. */
static int judge_user(PgIds *ids, const User *user, const PGresult *found, int i) {
        int r;

        if (!pg_storable(user->username) || !pg_storable(user->email))
                return STORE_REFUSED;
        r = pg_ids_look(ids, &user->id, pg_number(found, i, 0) != 0);
        if (r < 0 || user->id < 0 || user->id > STORE_ID_MAX)
                return r;
        if (pg_number(found, i, 1) || pg_taken_has(&ids->taken, KIND_NAME, user->username))
                return STORE_USERNAME_TAKEN;
        if (pg_number(found, i, 2) || pg_taken_has(&ids->taken, KIND_EMAIL, user->email))
                return STORE_EMAIL_TAKEN;
        return r;
}

static int judge_users(PgIds *ids, StoreUserRow *rows, size_t n, const PGresult *found) {
        int r;

        for (size_t i = 0; i < n; i++) {
                User *user = &rows[i].user;

                r = judge_user(ids, user, found, (int)i);
                if (r < 0)
                        return r;
                rows[i].result = (StoreResult)r;
                if (r != 0)
                        continue;
                pg_taken_add(&ids->taken, KIND_NAME, user->username);
                pg_taken_add(&ids->taken, KIND_EMAIL, user->email);
                r = pg_ids_take(ids, &user->id);
                if (r < 0)
                        return r;
        }
        return pg_ids_flush(ids);
}

static int copy_users(PgSession *s, const StoreUserRow *rows, size_t n) {
        static const char sql[] = "COPY users (id, username, email, created) FROM STDIN"
                                  " (FORMAT binary)";
        StoreTotals moved = {.users = 0};
        int r;

        buffer_clear(&s->scratch);
        for (size_t i = 0; i < n; i++) {
                if (rows[i].result != STORE_OK)
                        continue;
                pg_put_u16(&s->scratch, 4);
                pg_put_number(&s->scratch, rows[i].user.id);
                pg_put_text(&s->scratch, rows[i].user.username);
                pg_put_text(&s->scratch, rows[i].user.email);
                pg_put_number(&s->scratch, rows[i].user.created_sec);
                moved.users++;
        }
        if (moved.users == 0)
                return 0;
        r = s->scratch.failed ? -ENOMEM : pg_copy(s, sql, buffer_slice(&s->scratch));
        if (r == 0)
                r = pg_audit_import(s, &moved);
        return r < 0 ? r : pg_count(s, &moved);
}

static int import_users(PgSession *s, void *userdata, size_t n, void *initial) {
        _cleanup_(pg_clear_p) PGresult *found = NULL;
        StoreUserRow *rows = userdata;
        const int64_t *ids_given = initial;
        PgIds ids;
        int r;

        for (size_t i = 0; i < n; i++)
                rows[i].user.id = ids_given[i];
        r = find_users(s, rows, n, &found);
        if (r < 0)
                return r;
        r = pg_ids_init(&ids, s, "user_ids", n, 2 * n);
        if (r < 0)
                return r;
        r = judge_users(&ids, rows, n, found);
        pg_ids_done(&ids);
        return r < 0 ? r : copy_users(s, rows, n);
}

int pg_users_import(StoreSession *session, StoreUserRow *rows, size_t n) {
        _cleanup_free_ int64_t *ids = calloc(n + 1, sizeof(*ids));
        PgSession *s = pg_session(session);
        int r;

        if (!ids)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                ids[i] = rows[i].user.id;
        r = pg_begin_write(s, WRITER_IMPORT);
        if (r < 0 || n == 0)
                return r < 0 ? r : pg_end_write(s, 0, &SLICE_NONE, 0);
        return pg_end_write(s, pg_import(s, import_users, rows, n, ids), &SLICE_NONE, 0);
}

/* ---- links ---- */

#define KIND_CODE 'c'

#define LOOK_ROWS 100u /* from here on it is cheaper to fail once than to look each time */

typedef struct UrlImport {
        int64_t *ids; /* as the rows brought them */
        bool with_events;
        bool look; /* for rows that clash; else COPY fails if there is one, and the next try looks
                    */
} UrlImport;

#define WANTED_URLS                                                     \
 " (SELECT 1 FROM users AS u WHERE u.id = w.user_id) IS NOT NULL"       \
 " FROM unnest($1::bigint[], $2::text[], $3::bigint[]) WITH ORDINALITY" \
 " AS w (id, code, user_id, i) ORDER BY w.i"

/* For each row: are its id, its code, its user there? Not EXISTS, which a plan made for an empty
 * table answers with a hash of the whole table each time. Without look only the user is asked for:
 * the indexes will tell the rest. */
static int find_urls(PgSession *s, const StoreUrlRow *rows, size_t n, bool look, PGresult **ret) {
        static const char sql_look[] =
                        "SELECT (SELECT 1 FROM urls AS u WHERE u.id = w.id) IS NOT NULL,"
                        " (SELECT 1 FROM urls AS u WHERE u.code = w.code) IS NOT NULL," WANTED_URLS;
        static const char sql_owners[] = "SELECT false, false," WANTED_URLS;
        Columns columns = {.n = 0};

        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, rows[i].url.id);
        column(s, &columns);
        pg_array(&s->scratch, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                put_known(s, rows[i].url.code);
        column(s, &columns);
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, rows[i].url.user_id);
        column(s, &columns);
        return look ? send_columns(s, STMT_URL_FOUND, sql_look, &columns, ret)
                    : send_columns(s, STMT_URL_OWNERS, sql_owners, &columns, ret);
}

static bool url_storable(const Url *url) {
        return pg_storable(url->code) && pg_storable(url->target) && pg_storable(url->location) &&
               (!url->title.data || pg_storable(url->title));
}

static int judge_url(PgIds *ids, const Url *url, const PGresult *found, int i) {
        int r;

        if (!url_storable(url))
                return STORE_REFUSED;
        r = pg_ids_look(ids, &url->id, pg_number(found, i, 0) != 0);
        if (r < 0 || url->id < 0 || url->id > STORE_ID_MAX)
                return r;
        if (url->user_id != 0 && !pg_number(found, i, 2))
                return STORE_NO_USER;
        if (r == 0 && (pg_number(found, i, 1) || pg_taken_has(&ids->taken, KIND_CODE, url->code)))
                return STORE_CODE_TAKEN;
        return r;
}

static int judge_urls(PgIds *ids, StoreUrlRow *rows, size_t n, const PGresult *found) {
        int r;

        for (size_t i = 0; i < n; i++) {
                Url *url = &rows[i].url;

                r = judge_url(ids, url, found, (int)i);
                if (r < 0)
                        return r;
                rows[i].result = (StoreResult)r;
                if (r != 0)
                        continue;
                pg_taken_add(&ids->taken, KIND_CODE, url->code);
                r = pg_ids_take(ids, &url->id);
                if (r < 0)
                        return r;
        }
        return pg_ids_flush(ids);
}

static void put_url(Buffer *out, const Url *url) {
        bool same = slice_equal(url->target, url->location);

        pg_put_u16(out, 9);
        pg_put_number(out, url->id);
        pg_put_id(out, url->user_id);
        pg_put_text(out, url->code);
        pg_put_text(out, url->target);
        pg_put_text(out, same ? SLICE_NONE : url->location);
        pg_put_text(out, url->title);
        pg_put_bool(out, url->is_active);
        pg_put_number(out, url->created_sec);
        pg_put_number(out, url->updated_sec);
}

static int copy_urls(PgSession *s, const StoreUrlRow *rows, size_t n, StoreTotals *moved) {
        static const char sql[] =
                        "COPY urls (id, user_id, code, target, location, title, is_active,"
                        " created, updated) FROM STDIN (FORMAT binary)";

        buffer_clear(&s->scratch);
        for (size_t i = 0; i < n; i++) {
                if (rows[i].result != STORE_OK)
                        continue;
                put_url(&s->scratch, &rows[i].url);
                moved->urls++;
                moved->active_urls += rows[i].url.is_active;
        }
        if (moved->urls == 0)
                return 0;
        return s->scratch.failed ? -ENOMEM : pg_copy(s, sql, buffer_slice(&s->scratch));
}

/* The event "created" of each row that went in. */
static int copy_created(PgSession *s, const StoreUrlRow *rows, size_t n, StoreTotals *moved) {
        static const char sql[] = "COPY events (url_id, user_id, timestamp, type, day, details)"
                                  " FROM STDIN (FORMAT binary)";
        Arena arena;

        arena_init(&arena, 0);
        buffer_clear(&s->scratch);
        for (size_t i = 0; i < n; i++) {
                const Url *url = &rows[i].url;
                Slice details;

                if (rows[i].result != STORE_OK)
                        continue;
                arena_reset(&arena);
                details = details_created(&arena, url->target, url->code);
                s->scratch.failed = s->scratch.failed || !details.data;
                pg_put_u16(&s->scratch, 6);
                pg_put_number(&s->scratch, url->id);
                pg_put_id(&s->scratch, url->user_id);
                pg_put_number(&s->scratch, url->created_sec);
                pg_put_int(&s->scratch, TYPE_CREATED);
                pg_put_int(&s->scratch, pg_day(url->created_sec));
                pg_put_text(&s->scratch, details);
                moved->events++;
        }
        arena_done(&arena);
        return s->scratch.failed ? -ENOMEM : pg_copy(s, sql, buffer_slice(&s->scratch));
}

static int import_urls(PgSession *s, void *userdata, size_t n, void *import) {
        _cleanup_(pg_clear_p) PGresult *found = NULL;
        UrlImport *how = import;
        bool look = how->look;
        StoreTotals moved = {.users = 0};
        StoreUrlRow *rows = userdata;
        PgIds ids;
        int r;

        for (size_t i = 0; i < n; i++)
                rows[i].url.id = how->ids[i];
        how->look = true;
        r = find_urls(s, rows, n, look, &found);
        if (r < 0)
                return r;
        r = pg_ids_init(&ids, s, "url_ids", n, n);
        if (r < 0)
                return r;
        r = judge_urls(&ids, rows, n, found);
        pg_ids_done(&ids);
        if (r == 0)
                r = copy_urls(s, rows, n, &moved);
        if (r < 0 || moved.urls == 0)
                return r;
        if (how->with_events)
                r = copy_created(s, rows, n, &moved);
        if (r == 0)
                r = pg_audit_import(s, &(StoreTotals){.urls = moved.urls});
        return r < 0 ? r : pg_count(s, &moved);
}

int pg_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events) {
        _cleanup_free_ Slice *codes = calloc(n + 1, sizeof(*codes));
        _cleanup_free_ int64_t *ids = calloc(n + 1, sizeof(*ids));
        PgSession *s = pg_session(session);
        UrlImport how = {ids, with_events, s->in_load || n < LOOK_ROWS};
        size_t n_codes = 0;
        int r;

        if (!codes || !ids)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                ids[i] = rows[i].url.id;
        r = pg_begin_write(s, WRITER_IMPORT);
        if (r < 0)
                return r;
        if (n > 0)
                r = pg_import(s, import_urls, rows, n, &how);
        for (size_t i = 0; i < n && r == 0; i++)
                if (rows[i].result == STORE_OK)
                        codes[n_codes++] = rows[i].url.code;
        return pg_end_making(s, r, codes, n_codes);
}
