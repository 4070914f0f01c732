/* SPDX-License-Identifier: MIT */

/* Reading links from PostgreSQL. */

#include <errno.h>
#include <stdio.h>

#include "model/target.h"
#include "store/postgres/session.h"

#define FETCH_ROWS "1000"

/* A user that is gone reads as NULL. */
#define URL_COLUMNS                                                                          \
 "u.id, (SELECT id FROM users WHERE id = u.user_id) AS owner, u.code, u.target, u.location," \
 " u.title, u.is_active, u.created, u.updated"
#define N_URL_COLUMNS 9

int pg_url_read(const PGresult *result, int row, int column, Arena *arena, void *ret_row) {
        Slice location = pg_text(result, row, column + 4), title = pg_text(result, row, column + 5);
        Url url = {.id = pg_number(result, row, column),
                   .user_id = pg_number(result, row, column + 1),
                   .code = arena_dup(arena, pg_text(result, row, column + 2)),
                   .target = arena_dup(arena, pg_text(result, row, column + 3)),
                   .is_active = pg_number(result, row, column + 6) != 0,
                   .created_sec = pg_number(result, row, column + 7),
                   .updated_sec = pg_number(result, row, column + 8)};

        url.location = location.data ? arena_dup(arena, location) : url.target;
        if (title.data)
                url.title = arena_dup(arena, title);
        if (!url.code.data || !url.target.data || !url.location.data ||
            (title.data && !url.title.data))
                return -ENOMEM;
        *(Url *)ret_row = url;
        return 0;
}

/* The only row of a statement with one parameter. */
static int get(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
               PGresult **ret) {
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = pg_run(s, statement, sql, params, ret);
        if (r < 0)
                return r;
        return PQntuples(*ret) == 0 ? STORE_NOT_FOUND : 0;
}

int pg_url_get(StoreSession *session, Arena *arena, int64_t id, Url *ret) {
        static const char sql[] = "SELECT " URL_COLUMNS " FROM urls AS u WHERE u.id = $1::bigint";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_number(&params, id);
        r = get(pg_session(session), STMT_URL_GET, sql, &params, &result);
        return r != 0 ? r : pg_url_read(result, 0, 0, arena, ret);
}

int pg_url_get_by_code(StoreSession *session, Arena *arena, Slice code, Url *ret) {
        static const char sql[] = "SELECT " URL_COLUMNS " FROM urls AS u WHERE u.code = $1::text";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        if (!pg_storable(code))
                return STORE_NOT_FOUND;
        pg_add_text(&params, code);
        r = get(pg_session(session), STMT_URL_BY_CODE, sql, &params, &result);
        return r != 0 ? r : pg_url_read(result, 0, 0, arena, ret);
}

int pg_url_stats(StoreSession *session, Arena *arena, int64_t id, Url *ret,
                 int64_t *ret_redirects) {
        static const char sql[] = "SELECT " URL_COLUMNS
                                  ", (SELECT redirects FROM url_totals WHERE url_id = u.id)"
                                  " FROM urls AS u WHERE u.id = $1::bigint";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgParams params = {.n = 0};
        int r;

        pg_add_number(&params, id);
        r = get(pg_session(session), STMT_URL_STATS, sql, &params, &result);
        if (r == 0)
                r = pg_url_read(result, 0, 0, arena, ret);
        if (r == 0)
                *ret_redirects = pg_number(result, 0, N_URL_COLUMNS);
        return r;
}

/* ---- lists ---- */

/* Which of the statements a query needs: 0 to 5. */
static unsigned variant_of(const StoreQuery *query) {
        unsigned active = query->has_active ? (query->is_active ? 2u : 1u) : 0;

        return (query->has_user_id ? 3u : 0) + active;
}

#define LIVE_USER " AND EXISTS (SELECT 1 FROM users WHERE id = $5::bigint)"
#define INACTIVE  " AND NOT u.is_active"
#define ACTIVE    " AND u.is_active"

/* rows: what is had of them, in this order; page: the limit; total: the statement that counts. */
#define LIST(rows, order, page, total)                                                      \
 "SELECT t.n, l.* FROM (SELECT CASE WHEN $4::boolean THEN (" total ") END AS n) AS t"       \
 " LEFT JOIN LATERAL (SELECT " URL_COLUMNS " FROM urls AS u WHERE " rows " ORDER BY " order \
 " LIMIT $2::bigint" page ") AS l ON true ORDER BY l.id"

/* head and tail are around the id behind which rows are. Where an index has all that is asked, the
 * rows that a page passes over are counted in it, and only those of the page are read. */
#define SOUGHT(head, tail, order, total)                                                    \
 LIST(head "CASE WHEN $3::bigint > 0 THEN coalesce((SELECT u.id FROM urls AS u WHERE " head \
           "$1::bigint" tail " ORDER BY " order " LIMIT 1 OFFSET $3::bigint - 1), " MAX_ID  \
           ") ELSE $1::bigint END" tail,                                                    \
      order, "", total)
#define WALKED(head, tail, order, total) \
 LIST(head "$1::bigint" tail, order, " OFFSET $3::bigint", total)

#define MAX_ID "9223372036854775807"

#define COUNT(rows, limit) \
 "SELECT count(*) FROM (SELECT 1 FROM urls AS u WHERE " rows " LIMIT " limit ") AS counted"

/* Where few users have nearly all links, a plan that does not know which is meant would walk the
 * links of all, hoping for his; with one who has none it walks them whole. As a range, and in this
 * order, they are in the indexes by user only. A limit that the plan does not know keeps it from
 * having all of them at once, to sort them. */
#define HEAD         "(u.user_id, u.id) > ($5::bigint, "
#define TAIL(filter) ") AND u.user_id <= $5::bigint" LIVE_USER filter
#define ORDER        "u.user_id, u.id"
#define OF_USER(how, filter) \
 how(HEAD, TAIL(filter), ORDER, COUNT(HEAD "0" TAIL(filter) " ORDER BY " ORDER, "(SELECT 10001)"))

/* By variant. */
static const char *const lists[] = {
                SOUGHT("u.id > ", "", "u.id", "SELECT sum(urls)::bigint FROM totals"),
                SOUGHT("u.id > ", INACTIVE, "u.id",
                       COUNT("true" INACTIVE " ORDER BY u.id", "10001")),
                WALKED("u.id > ", ACTIVE, "u.id", COUNT("true" ACTIVE, "10001")),
                OF_USER(SOUGHT, ""),
                OF_USER(SOUGHT, INACTIVE),
                OF_USER(WALKED, ACTIVE),
};

int pg_url_list(StoreSession *session, Arena *arena, const StoreQuery *query, Url **ret_rows,
                size_t *ret_n, int64_t *ret_total) {
        PgRows rows = {.arena = arena, .row_size = sizeof(Url), .read = pg_url_read};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        unsigned variant = variant_of(query);
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
        if (query->has_user_id)
                pg_add_number(&params, query->user_id);
        r = pg_run_list(s, STMT_URL_LIST + variant, lists[variant], &params, &result);
        if (r == 0)
                r = pg_collect(result, 1, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        if (ret_total) {
                *ret_total = pg_number(result, 0, 0);
                if (variant != 0 && *ret_total > STORE_TOTAL_EXACT)
                        *ret_total = -1;
        }
        return 0;
}

/* ---- links ---- */

#define LOCATION "coalesce(u.location, u.target)"

static bool is_printable(Slice text) {
        for (size_t i = 0; i < text.len; i++)
                if (text.data[i] < '!' || text.data[i] > '~')
                        return false;
        return true;
}

/* A target that was written past the program (psql) may be one that has another location.
 * STORE_REFUSED: it is none. */
static int location_of(Arena *arena, Slice text, Slice *ret) {
        int r;

        if (LIKELY(is_printable(text))) {
                *ret = arena_dup(arena, text);
                return ret->data ? 0 : -ENOMEM;
        }
        r = target_parse_credentials(arena, text, ret);
        return r == -EINVAL ? STORE_REFUSED : r;
}

/* All codes in one array; what no code can be stands there as an empty text, which none is. */
static void put_codes(Buffer *buffer, const Link *links, size_t n) {
        pg_array(buffer, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_text(buffer, pg_storable(links[i].code) ? links[i].code : SLICE(""));
}

static int fill_links(const PGresult *result, Arena *arena, Link *links, size_t n) {
        for (int row = 0; row < PQntuples(result); row++) {
                int64_t i = pg_number(result, row, 0) - 1;
                Slice location = SLICE_NONE;
                int r = location_of(arena, pg_text(result, row, 3), &location);

                CHECK(i >= 0 && (size_t)i < n);
                if (r < 0)
                        return r;
                links[i].id = pg_number(result, row, 1);
                links[i].is_active = r == 0 && pg_number(result, row, 2) != 0;
                links[i].location = r == 0 ? location : SLICE("");
        }
        return 0;
}

int pg_urls_by_codes(StoreSession *session, Arena *arena, Link *links, size_t n) {
        static const char sql[] = "SELECT w.i, u.id, u.is_active, " LOCATION
                                  " FROM unnest($1::text[]) WITH ORDINALITY AS w (code, i)"
                                  " JOIN urls AS u ON u.code = w.code";
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        PgParams params = {.n = 0};
        int r;

        r = pg_ready(s);
        if (r < 0 || n == 0)
                return r;
        for (size_t i = 0; i < n; i++)
                links[i] = (Link){.code = links[i].code};
        buffer_clear(&s->scratch);
        put_codes(&s->scratch, links, n);
        if (s->scratch.failed)
                return -ENOMEM;
        pg_add_bytes(&params, buffer_slice(&s->scratch));
        r = pg_run(s, STMT_URL_LINKS, sql, &params, &result);
        return r < 0 ? r : fill_links(result, arena, links, n);
}

/* ---- all links ---- */

/* What codes_each passes around. */
typedef struct Walk {
        int64_t room; /* links that may still come */
        int (*each)(void *userdata, const Link *link);
        void *userdata;
} Walk;

/* 1: enough. */
static int visit(Walk *walk, const PGresult *result, int row) {
        const Link link = {.id = pg_number(result, row, 0),
                           .code = pg_text(result, row, 1),
                           .location = pg_text(result, row, 2),
                           .is_active = true};

        if (!is_printable(link.location))
                return 0; /* a lookup makes its location */
        walk->room--;
        return walk->each(walk->userdata, &link) != 0 || walk->room <= 0;
}

/* The rows of a cursor, some at a time. */
static int walk_cursor(PgSession *s, Walk *walk, const char *declare, const char *fetch) {
        int n, r;

        r = pg_run(s, STMT_NONE, declare, NULL, NULL);
        if (r < 0)
                return r;
        do {
                _cleanup_(pg_clear_p) PGresult *result = NULL;

                r = pg_run(s, STMT_NONE, fetch, NULL, &result);
                n = r == 0 ? PQntuples(result) : 0;
                for (int i = 0; i < n && r == 0; i++)
                        r = visit(walk, result, i);
        } while (n > 0 && r == 0);
        return r;
}

int pg_codes_each(StoreSession *session, int64_t limit,
                  int (*each)(void *userdata, const Link *link), void *userdata) {
        static const char sql_hot[] =
                        "DECLARE hot NO SCROLL CURSOR FOR SELECT u.id, u.code, " LOCATION
                        " FROM url_totals AS t JOIN urls AS u ON u.id = t.url_id"
                        " WHERE t.redirects > 0 AND u.is_active"
                        " ORDER BY t.redirects DESC, t.url_id DESC";
        static const char sql_cold[] =
                        "DECLARE cold NO SCROLL CURSOR FOR SELECT u.id, u.code, " LOCATION
                        " FROM urls AS u WHERE u.is_active AND NOT EXISTS (SELECT 1"
                        " FROM url_totals WHERE url_id = u.id AND redirects > 0) ORDER BY u.id "
                        "DESC";
        PgSession *s = pg_session(session);
        Walk walk = {limit, each, userdata};
        int r;

        if (limit <= 0)
                return 0;
        r = pg_begin_read(s);
        if (r < 0)
                return r;
        r = walk_cursor(s, &walk, sql_hot, "FETCH " FETCH_ROWS " FROM hot");
        if (r == 0)
                r = walk_cursor(s, &walk, sql_cold, "FETCH " FETCH_ROWS " FROM cold");
        pg_end_read(s);
        return r < 0 ? r : 0;
}
