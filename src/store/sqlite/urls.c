/* SPDX-License-Identifier: MIT */

/* Reading links from SQLite. */

#include <errno.h>

#include "store/sqlite/session.h"

/* A user that is gone reads as NULL. */
#define URL_COLUMNS                                                                 \
 "u.id, (SELECT id FROM users WHERE id = u.user_id), u.code, u.target, u.location," \
 " u.title, u.is_active, u.created, u.updated"

static int read_url(sqlite3_stmt *statement, Arena *arena, void *ret_row) {
        Slice location = sqlite_text(statement, 4);
        Slice title = sqlite_text(statement, 5);
        Url url = {.id = sqlite3_column_int64(statement, 0),
                   .user_id = sqlite3_column_int64(statement, 1),
                   .code = arena_dup(arena, sqlite_text(statement, 2)),
                   .target = arena_dup(arena, sqlite_text(statement, 3)),
                   .is_active = sqlite3_column_int(statement, 6) != 0,
                   .created_sec = sqlite3_column_int64(statement, 7),
                   .updated_sec = sqlite3_column_int64(statement, 8)};

        url.location = location.data ? arena_dup(arena, location) : url.target;
        if (title.data)
                url.title = arena_dup(arena, title);
        if (!url.code.data || !url.target.data || !url.location.data ||
            (title.data && !url.title.data))
                return -ENOMEM;
        *(Url *)ret_row = url;
        return 0;
}

/* The only row of a bound statement. */
static int get_row(SqliteSession *s, sqlite3_stmt *statement, Arena *arena, Url *ret) {
        int r = sqlite_row(s, statement);

        if (r > 0)
                r = read_url(statement, arena, ret);
        else if (r == 0)
                r = STORE_NOT_FOUND;
        (void)sqlite3_reset(statement);
        return r;
}

int sqlite_url_row(SqliteSession *s, Arena *arena, int64_t id, Url *ret) {
        static const char sql[] = "SELECT " URL_COLUMNS " FROM urls AS u WHERE u.id = ?1";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_URL_GET, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        return get_row(s, statement, arena, ret);
}

int sqlite_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_ready(s);
        return r < 0 ? r : sqlite_url_row(s, arena, id, ret);
}

int sqlite_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret) {
        static const char sql[] = "SELECT " URL_COLUMNS " FROM urls AS u WHERE u.code = ?1";
        SqliteSession *s = sqlite_session(session);
        sqlite3_stmt *statement;
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_URL_BY_CODE, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_text(statement, 1, code);
        return get_row(s, statement, arena, ret);
}

static int get_stats(SqliteSession *s, Arena *arena, int64_t id, Url *ret, int64_t *ret_redirects) {
        static const char sql[] = "SELECT redirects FROM url_totals WHERE url_id = ?1";
        sqlite3_stmt *statement;
        int64_t redirects = 0;
        Url url;
        int r;

        r = sqlite_url_row(s, arena, id, &url);
        if (r != 0)
                return r;
        r = sqlite_statement(s, STMT_URL_REDIRECTS, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        r = sqlite_number(s, statement, &redirects);
        if (r < 0)
                return r;
        *ret = url;
        *ret_redirects = redirects;
        return 0;
}

int sqlite_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                     int64_t *ret_redirects) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = get_stats(s, arena, id, ret, ret_redirects);
        sqlite_end_read(s);
        return r;
}

/* ---- lists ---- */

/* Which of the statements a query needs: 0 to 5. */
static unsigned variant_of(const StoreQuery *query) {
        unsigned active = query->has_active ? (query->is_active ? 2u : 1u) : 0;

        return (query->has_user_id ? 3u : 0) + active;
}

#define OF_USER " AND u.user_id = ?2 AND EXISTS (SELECT 1 FROM users WHERE id = ?2)"

/* By variant; they follow u.id > ?1. */
static const char *const filters[] = {
                "",      " AND u.is_active = 0",         " AND u.is_active = 1",
                OF_USER, OF_USER " AND u.is_active = 0", OF_USER " AND u.is_active = 1",
};

static int list(SqliteSession *s, Arena *arena, const StoreQuery *query, SqliteRows *ret) {
        unsigned variant = variant_of(query);
        const char *const sql[] = {"SELECT " URL_COLUMNS " FROM urls AS u WHERE u.id > ?1",
                                   filters[variant], " ORDER BY u.id LIMIT ?3 OFFSET ?4"};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_composed(s, STMT_URL_LIST + variant, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, query->has_after ? query->after : 0);
        if (query->has_user_id)
                sqlite_bind_number(statement, 2, query->user_id);
        sqlite_bind_number(statement, 3, query->limit);
        sqlite_bind_number(statement, 4, query->offset);
        *ret = (SqliteRows){arena, sizeof(Url), read_url, query->limit, NULL, 0};
        return sqlite_collect(s, statement, ret);
}

static int count(SqliteSession *s, const StoreQuery *query, int64_t *ret) {
        unsigned variant = variant_of(query);
        const char *const sql[] = {"SELECT count(*) FROM (SELECT 1 FROM urls AS u WHERE u.id > ?1",
                                   filters[variant], " LIMIT ?3)"};
        SqliteTotals totals;
        sqlite3_stmt *statement;
        int r;

        if (variant == 0) {
                r = sqlite_totals_load(s, &totals);
                if (r == 0)
                        *ret = totals.n.urls;
                return r;
        }
        r = sqlite_composed(s, STMT_URL_COUNT + variant, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, 0);
        if (query->has_user_id)
                sqlite_bind_number(statement, 2, query->user_id);
        sqlite_bind_number(statement, 3, STORE_TOTAL_EXACT + 1);
        return sqlite_number(s, statement, ret);
}

int sqlite_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                    size_t *ret_n, int64_t *ret_total) {
        SqliteSession *s = sqlite_session(session);
        int64_t total = 0;
        SqliteRows rows;
        int r;

        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = list(s, arena, query, &rows);
        if (r == 0 && ret_total)
                r = count(s, query, &total);
        sqlite_end_read(s);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        if (ret_total)
                *ret_total = variant_of(query) != 0 && total > STORE_TOTAL_EXACT ? -1 : total;
        return 0;
}

/* ---- links ---- */

#define LOCATION "coalesce(location, target)"

static int get_link(SqliteSession *s, Arena *arena, sqlite3_stmt *statement, Link *link) {
        int r;

        *link = (Link){.code = link->code};
        sqlite_bind_text(statement, 1, link->code);
        r = sqlite_row(s, statement);
        if (r > 0) {
                link->location = arena_dup(arena, sqlite_text(statement, 2));
                link->is_active = sqlite3_column_int(statement, 1) != 0;
                link->id = sqlite3_column_int64(statement, 0);
                r = link->location.data ? 0 : -ENOMEM;
        }
        (void)sqlite3_reset(statement);
        return r;
}

/* In-process, a prepared lookup each costs less than one statement that takes a list. */
int sqlite_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n) {
        static const char sql[] = "SELECT id, is_active, " LOCATION " FROM urls WHERE code = ?1";
        SqliteSession *s = sqlite_session(session);
        sqlite3_stmt *statement;
        int r;

        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = sqlite_statement(s, STMT_URL_LINK, sql, &statement);
        for (size_t i = 0; i < n && r == 0; i++)
                r = get_link(s, arena, statement, &links[i]);
        sqlite_end_read(s);
        return r;
}

/* What codes_each passes around. */
typedef struct Walk {
        int64_t room; /* links that may still come */
        int (*each)(void *userdata, const Link *link);
        void *userdata;
} Walk;

/* 0: go on; 1: enough; negative. The statement's row is id, code, location. */
static int visit(Walk *walk, sqlite3_stmt *statement) {
        const Link link = {.id = sqlite3_column_int64(statement, 0),
                           .code = sqlite_text(statement, 1),
                           .location = sqlite_text(statement, 2),
                           .is_active = true};

        walk->room--;
        return walk->each(walk->userdata, &link) != 0 || walk->room <= 0;
}

/* The links with visits: their totals are sorted, then each is looked up, so that the sort carries
 * numbers only. */
static int walk_hottest(SqliteSession *s, Walk *walk) {
        static const char sql_ids[] = "SELECT url_id FROM url_totals WHERE redirects > 0"
                                      " ORDER BY redirects DESC, url_id DESC";
        static const char sql_link[] =
                        "SELECT id, code, " LOCATION " FROM urls WHERE id = ?1 AND is_active = 1";
        _cleanup_(sqlite_done_p) sqlite3_stmt *ids = NULL, *link = NULL;
        int r;

        r = sqlite_statement(s, STMT_URL_HOTTEST, sql_ids, &ids);
        if (r == 0)
                r = sqlite_statement(s, STMT_URL_LINK_BY_ID, sql_link, &link);
        if (r < 0)
                return r;
        while ((r = sqlite_row(s, ids)) > 0) {
                sqlite_bind_number(link, 1, sqlite3_column_int64(ids, 0));
                r = sqlite_row(s, link);
                if (r > 0)
                        r = visit(walk, link);
                (void)sqlite3_reset(link);
                if (r != 0)
                        return r;
        }
        return r;
}

static int walk_cold(SqliteSession *s, Walk *walk) {
        static const char sql[] = "SELECT id, code, " LOCATION
                                  " FROM urls AS u WHERE is_active = 1 AND NOT EXISTS (SELECT 1"
                                  " FROM url_totals WHERE url_id = u.id AND redirects > 0)"
                                  " ORDER BY id DESC";
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_statement(s, STMT_URL_COLD, sql, &statement);
        if (r < 0)
                return r;
        while ((r = sqlite_row(s, statement)) > 0) {
                r = visit(walk, statement);
                if (r != 0)
                        return r;
        }
        return r;
}

int sqlite_codes_each(StoreSession *session, int64_t limit,
                      int (*each)(void *userdata, const Link *link), void *userdata) {
        SqliteSession *s = sqlite_session(session);
        Walk walk = {limit, each, userdata};
        int r;

        if (limit <= 0)
                return 0;
        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = walk_hottest(s, &walk);
        if (r == 0)
                r = walk_cold(s, &walk);
        sqlite_end_read(s);
        return r < 0 ? r : 0;
}
