/* SPDX-License-Identifier: MIT */

/* Events in PostgreSQL: those of the API, the counters that they move, and their lists. */

#include <errno.h>
#include <stdlib.h>

#include "store/postgres/session.h"

#define HOUR_SEC 3600

/* ---- counters ---- */

static int by_key(const void *a, const void *b) {
        const PgRedirects *x = a, *y = b;

        if (x->url_id != y->url_id)
                return x->url_id < y->url_id ? -1 : 1;
        return (x->hour > y->hour) - (x->hour < y->hour);
}

/* Adds up those of one key; returns how many are left. */
static size_t add_up(PgRedirects *redirects, size_t n) {
        size_t n_left = 0;

        qsort(redirects, n, sizeof(*redirects), by_key);
        for (size_t i = 0; i < n; i++) {
                if (n_left > 0 && by_key(&redirects[n_left - 1], &redirects[i]) == 0)
                        redirects[n_left - 1].n += redirects[i].n;
                else
                        redirects[n_left++] = redirects[i];
        }
        return n_left;
}

/* Both counters in one statement; rows are locked in the order in which they come. */
int pg_redirects_add(PgSession *s, PgRedirects *redirects, size_t n) {
        static const char sql[] =
                        "WITH r AS (SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[])"
                        " AS r (url_id, hour, n)), t AS"
                        " (INSERT INTO url_totals AS t (url_id, redirects)"
                        " SELECT url_id, sum(n)::bigint FROM r GROUP BY url_id ORDER BY url_id"
                        " ON CONFLICT (url_id) DO UPDATE SET"
                        " redirects = t.redirects + excluded.redirects)"
                        " INSERT INTO url_hours AS h (url_id, hour, redirects)"
                        " SELECT url_id, hour, n FROM r ORDER BY url_id, hour"
                        " ON CONFLICT (url_id, hour) DO UPDATE SET"
                        " redirects = h.redirects + excluded.redirects";
        PgParams params = {.n = 0};
        size_t at[4] = {0};

        if (n == 0)
                return 0;
        n = add_up(redirects, n);
        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, redirects[i].url_id);
        at[1] = s->scratch.len;
        pg_array(&s->scratch, PG_INTEGER, n);
        for (size_t i = 0; i < n; i++)
                pg_put_int(&s->scratch, redirects[i].hour);
        at[2] = s->scratch.len;
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, redirects[i].n);
        at[3] = s->scratch.len;
        if (s->scratch.failed)
                return -ENOMEM;
        for (size_t i = 0; i < 3; i++)
                pg_add_bytes(&params, slice_sub(buffer_slice(&s->scratch), at[i], at[i + 1]));
        return pg_run(s, STMT_REDIRECTS, sql, &params, NULL);
}

int32_t pg_hour(int64_t time_sec) {
        int64_t hour = time_sec / HOUR_SEC - (time_sec % HOUR_SEC < 0);

        return (int32_t)MIN(MAX(hour, (int64_t)INT32_MIN), (int64_t)INT32_MAX);
}

/* ---- writing ---- */

static int insert(PgSession *s, const Event *event, int64_t *ret_id) {
        static const char sql[] =
                        "INSERT INTO events (url_id, user_id, timestamp, type, day, details,"
                        " request_id) SELECT $1::bigint, $2::bigint, $3::bigint,"
                        " event_type($4::text), $5::date, $6::text, $7::text"
                        " WHERE EXISTS (SELECT 1 FROM urls WHERE id = $1::bigint)"
                        " AND ($2::bigint IS NULL OR EXISTS"
                        " (SELECT 1 FROM users WHERE id = $2::bigint)) RETURNING id";
        PgParams params = {.n = 0};

        pg_add_number(&params, event->url_id);
        pg_add_id(&params, event->user_id);
        pg_add_number(&params, event->timestamp_sec);
        pg_add_text(&params, event->type);
        pg_add_day(&params, event->timestamp_sec);
        pg_add_text(&params, event->details);
        pg_add_text(&params, event->request_id);
        return pg_run_number(s, STMT_EVENT_CREATE, sql, &params, ret_id);
}

static int find_clash(PgSession *s, const Event *event) {
        static const char sql[] = "SELECT 1 FROM urls WHERE id = $1::bigint";
        PgParams params = {.n = 0};
        int r;

        pg_add_number(&params, event->url_id);
        r = pg_run_number(s, STMT_EVENT_CLASH, sql, &params, NULL);
        return r == STORE_NOT_FOUND ? STORE_NO_URL : r < 0 ? r : STORE_NO_USER;
}

static int create(PgSession *s, const Event *event, const StoreKey *key, Event *ret) {
        bool is_redirect = slice_equal(event->type, STORE_EVENT_REDIRECT);
        Event row = *event;
        int r;

        r = pg_key_take(s, key);
        if (r != 0)
                return r;
        r = insert(s, event, &row.id);
        if (r == STORE_NOT_FOUND)
                return find_clash(s, event);
        if (r == 0)
                r = pg_key_keep(s, key, &row);
        if (r == 0 && is_redirect)
                r = pg_redirects_add(s, &(PgRedirects){row.url_id, pg_hour(row.timestamp_sec), 1},
                                     1);
        if (r == 0 && is_redirect)
                r = pg_audit_event(s, &row, &(StoreTotals){.events = 1, .redirects = 1});
        else if (r == 0)
                r = pg_count(s, &(StoreTotals){.events = 1});
        if (r == 0)
                *ret = row;
        return r;
}

int pg_event_create(StoreSession *session, const Event *event, const StoreKey *key, Event *ret) {
        PgSession *s = pg_session(session);
        Event row;
        int r;

        r = pg_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = pg_end_write(s, create(s, event, key, &row), &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

/* ---- lists ---- */

static int read_event(const PGresult *result, int row, int column, Arena *arena, void *ret_row) {
        Slice details = pg_text(result, row, column + 5);
        Slice request_id = pg_text(result, row, column + 6);
        Event event = {.id = pg_number(result, row, column),
                       .url_id = pg_number(result, row, column + 1),
                       .user_id = pg_number(result, row, column + 2),
                       .type = arena_dup(arena, pg_text(result, row, column + 3)),
                       .timestamp_sec = pg_number(result, row, column + 4)};

        if (details.data)
                event.details = arena_dup(arena, details);
        if (request_id.data)
                event.request_id = arena_dup(arena, request_id);
        if (!event.type.data || (details.data && !event.details.data) ||
            (request_id.data && !event.request_id.data))
                return -ENOMEM;
        *(Event *)ret_row = event;
        return 0;
}

/* Which of the statements a query needs: 0 to 11. */
static unsigned variant_of(const StoreQuery *query) {
        unsigned type = 0;

        if (query->type.data)
                type = slice_equal(query->type, STORE_EVENT_REDIRECT) ? 1 : 2;
        return (query->has_url_id ? 6u : 0) + (query->has_user_id ? 3u : 0) + type;
}

/* Each statement has all parameters, whether it asks for them or not. */
#define LIVE_USER " AND EXISTS (SELECT 1 FROM users WHERE id = $6::bigint)"
/* So written a condition is kept away from the indexes (the url's is the best, then the user's),
 * and counts as one that half of the rows meet: of what few meet, all would be had at once, and
 * sorted. */
#define BY_USER  " AND coalesce(e.user_id = $6::bigint, false)" LIVE_USER
#define IS_VISIT " AND coalesce(e.type = 1, false)"
/* Any but visits. The second condition is what the partial indexes ask for. */
#define TYPE "(SELECT id FROM event_types WHERE name = $7::text)"
#define RARE " AND e.type = " TYPE " AND e.type <> 1"

/* rows: what is had of them, in this order; page: the limit. */
#define LIST(rows, order, page, total)                                                    \
 "SELECT t.n, l.* FROM (SELECT CASE WHEN $4::boolean THEN (" total ") END AS n,"          \
 " $5::bigint, $6::bigint, $7::text) AS t"                                                \
 " LEFT JOIN LATERAL (SELECT e.id, e.url_id,"                                             \
 " (SELECT id FROM users WHERE id = e.user_id) AS owner,"                                 \
 " (SELECT name FROM event_types WHERE id = e.type) AS name, e.timestamp, e.details,"     \
 " e.request_id FROM events AS e WHERE " rows " ORDER BY " order " LIMIT $2::bigint" page \
 ") AS l ON true ORDER BY l.id DESC"

/* head and tail are around the id below which rows are. Where an index has all that is asked, the
 * rows that a page passes over are counted in it, and only those of the page are read. */
#define SOUGHT(head, tail, order, total)                                                      \
 LIST(head "CASE WHEN $3::bigint > 0 THEN coalesce((SELECT e.id FROM events AS e WHERE " head \
           "$1::bigint" tail " ORDER BY " order                                               \
           " LIMIT 1 OFFSET $3::bigint - 1), 0) ELSE $1::bigint END" tail,                    \
      order, "", total)
#define WALKED(head, tail, order, total) \
 LIST(head "$1::bigint" tail, order, " OFFSET $3::bigint", total)

#define COUNT(rows, limit) \
 "SELECT count(*) FROM (SELECT 1 FROM events AS e WHERE " rows " LIMIT " limit ") AS counted"
#define MAX_ID "9223372036854775807"

/* Of a url or user, of any type or visits, or of a type. Where few of them have nearly all events,
 * a plan that does not know which is meant would walk the events of all, hoping for its; with one
 * that has none it walks them whole. As a range, and in this order, they are in the column's index
 * only. A limit that the plan does not know keeps it from having all of them at once, to sort them.
 */
#define HEAD(column, value)         "(e." column ", e.id) < (" value ", "
#define TAIL(column, value, filter) ") AND e." column " >= " value filter
#define ORDER(column)               "e." column " DESC, e.id DESC"
#define OF(how, column, value, filter)                                                        \
 how(HEAD(column, value), TAIL(column, value, filter), ORDER(column),                         \
     COUNT(HEAD(column, value) MAX_ID TAIL(column, value, filter) " ORDER BY " ORDER(column), \
           "(SELECT 10001)"))
#define OF_TYPE(how, type)   OF(how, "type", type, "")
#define OF_USER(how, filter) OF(how, "user_id", "$6::bigint", LIVE_USER filter)
#define OF_URL(how, filter)  OF(how, "url_id", "$5::bigint", filter)

/* Their rare ones have an index of their own. */
#define RARE_OF(how, column, value, filter)                            \
 how("e.id < ", " AND e." column " = " value filter RARE, "e.id DESC", \
     COUNT("e." column " = " value filter RARE, "10001"))

/* By variant. */
static const char *const lists[] = {
                SOUGHT("e.id < ", "", "e.id DESC", "SELECT sum(events)::bigint FROM totals"),
                OF_TYPE(SOUGHT, "1"),
                OF_TYPE(SOUGHT, "coalesce(" TYPE ", 0)"),
                OF_USER(SOUGHT, ""),
                OF_USER(WALKED, IS_VISIT),
                RARE_OF(SOUGHT, "user_id", "$6::bigint", LIVE_USER),
                OF_URL(SOUGHT, ""),
                OF_URL(WALKED, IS_VISIT),
                RARE_OF(SOUGHT, "url_id", "$5::bigint", ""),
                OF_URL(WALKED, BY_USER),
                OF_URL(WALKED, BY_USER IS_VISIT),
                RARE_OF(WALKED, "url_id", "$5::bigint", BY_USER),
};

static int run_list(PgSession *s, const StoreQuery *query, bool with_total, PGresult **ret) {
        unsigned variant = variant_of(query);
        PgParams params = {.n = 0};

        pg_add_number(&params, query->has_after ? query->after : INT64_MAX);
        pg_add_number(&params, query->limit);
        pg_add_number(&params, query->offset);
        pg_add_bool(&params, with_total);
        pg_add_number(&params, query->url_id);
        pg_add_number(&params, query->user_id);
        pg_add_text(&params, pg_storable(query->type) ? query->type : SLICE(""));
        return pg_run_list(s, STMT_EVENT_LIST + variant, lists[variant], &params, ret);
}

int pg_event_list(StoreSession *session, Arena *arena, const StoreQuery *query, Event **ret_rows,
                  size_t *ret_n, int64_t *ret_total) {
        PgRows rows = {.arena = arena, .row_size = sizeof(Event), .read = read_event};
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = run_list(s, query, ret_total != NULL, &result);
        if (r == 0)
                r = pg_collect(result, 1, &rows);
        if (r < 0)
                return r;
        *ret_rows = rows.rows;
        *ret_n = rows.n;
        if (ret_total) {
                *ret_total = pg_number(result, 0, 0);
                if (variant_of(query) != 0 && *ret_total > STORE_TOTAL_EXACT)
                        *ret_total = -1;
        }
        return 0;
}
