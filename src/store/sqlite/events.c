/* SPDX-License-Identifier: MIT */

/* Events in SQLite: those of the API and of imports, and their lists. */

#include <errno.h>

#include "store/sqlite/session.h"

#define TYPE_UNKNOWN 0 /* no row has it */

/* ---- types ---- */

/* The number of a type's name; TYPE_UNKNOWN if there is none and it is not to be made. */
static int find_type(SqliteSession *s, Slice name, bool make, int64_t *ret) {
        static const char sql_make[] = "INSERT INTO event_types (name) VALUES (?1)";
        sqlite3_stmt *statement;
        int r;

        *ret = TYPE_REDIRECT;
        if (slice_equal(name, STORE_EVENT_REDIRECT))
                return 0;
        r = sqlite_statement(s, STMT_EVENT_TYPE, "SELECT id FROM event_types WHERE name = ?1",
                             &statement);
        if (r < 0)
                return r;
        sqlite_bind_text(statement, 1, name);
        r = sqlite_number(s, statement, ret);
        if (r <= 0)
                return r;
        *ret = TYPE_UNKNOWN;
        if (!make)
                return 0;
        r = sqlite_statement(s, STMT_EVENT_TYPE_INSERT, sql_make, &statement);
        if (r < 0)
                return r;
        sqlite_bind_text(statement, 1, name);
        r = sqlite_run(s, statement);
        if (r == 0)
                *ret = sqlite3_last_insert_rowid(s->db);
        return r;
}

/* ---- writing ---- */

int sqlite_redirects_add(SqliteSession *s, int64_t url_id, int64_t n) {
        static const char sql_add[] = "UPDATE url_totals SET redirects = redirects + ?2"
                                      " WHERE url_id = ?1";
        static const char sql_first[] = "INSERT INTO url_totals (url_id, redirects)"
                                        " VALUES (?1, ?2)";
        sqlite3_stmt *statement;
        int r;

        /* Two plain statements cost half of what one with ON CONFLICT does. */
        r = sqlite_statement(s, STMT_REDIRECTS_ADD, sql_add, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, url_id);
        sqlite_bind_number(statement, 2, n);
        r = sqlite_run(s, statement);
        if (r < 0 || sqlite3_changes(s->db) > 0)
                return r;
        r = sqlite_statement(s, STMT_REDIRECTS_FIRST, sql_first, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, url_id);
        sqlite_bind_number(statement, 2, n);
        return sqlite_run(s, statement);
}

int sqlite_event_insert(SqliteSession *s, SqliteTotals *totals, const Event *event, int64_t type) {
        static const char sql[] = "INSERT INTO events (id, url_id, user_id, type, timestamp,"
                                  " details, request_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
                                  " ON CONFLICT DO NOTHING";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_EVENT_INSERT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, event->id);
        sqlite_bind_number(statement, 2, event->url_id);
        sqlite_bind_id(statement, 3, event->user_id);
        sqlite_bind_number(statement, 4, type);
        sqlite_bind_number(statement, 5, event->timestamp_sec);
        sqlite_bind_text(statement, 6, event->details);
        sqlite_bind_text(statement, 7, event->request_id);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        if (sqlite3_changes(s->db) == 0)
                return STORE_REFUSED;
        totals->n.events++;
        totals->last_event = MAX(totals->last_event, event->id);
        if (type != TYPE_REDIRECT)
                return 0;
        totals->n.redirects++;
        return sqlite_redirects_add(s, event->url_id, 1);
}

static int create(SqliteSession *s, const Event *event, Event *ret) {
        SqliteTotals totals;
        Event row = *event;
        int64_t type;
        int r;

        r = sqlite_url_exists(s, event->url_id);
        if (r != 0)
                return r == STORE_NOT_FOUND ? STORE_NO_URL : r;
        if (event->user_id != 0) {
                r = sqlite_user_exists(s, event->user_id);
                if (r != 0)
                        return r == STORE_NOT_FOUND ? STORE_NO_USER : r;
        }
        r = find_type(s, event->type, true, &type);
        if (r < 0)
                return r;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        row.id = totals.last_event + 1;
        r = sqlite_event_insert(s, &totals, &row, type);
        if (r != 0)
                return r;
        r = sqlite_totals_save(s, &totals);
        if (r == 0 && type == TYPE_REDIRECT)
                r = sqlite_audit_event(s, &row);
        if (r == 0)
                *ret = row;
        return r;
}

int sqlite_event_create(StoreSession *session, const Event *event, const StoreKey *key,
                        Event *ret) {
        SqliteSession *s = sqlite_session(session);
        Event row;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = sqlite_key_take(s, key);
        if (r == 0)
                r = create(s, event, &row);
        if (r == 0)
                r = sqlite_key_keep(s, key, &row);
        r = sqlite_end_write(s, r, &SLICE_NONE, 0);
        if (r == 0)
                *ret = row;
        return r;
}

static int import_row(SqliteSession *s, SqliteTotals *totals, StoreEventRow *row) {
        Event event = row->event;
        int64_t type;
        int r;

        row->result = STORE_REFUSED;
        r = sqlite_url_exists(s, event.url_id);
        if (r < 0)
                return r;
        if (r == STORE_NOT_FOUND) {
                row->result = STORE_NO_URL;
                return 0;
        }
        if (event.id < 0 || event.id > STORE_ID_MAX)
                return 0;
        if (event.id == 0)
                event.id = totals->last_event + 1;
        r = find_type(s, event.type, true, &type);
        if (r < 0)
                return r;
        r = sqlite_event_insert(s, totals, &event, type);
        if (r < 0)
                return r;
        row->result = (StoreResult)r;
        if (r == 0)
                row->event.id = event.id;
        return 0;
}

static int import(SqliteSession *s, StoreEventRow *rows, size_t n) {
        AuditCounts added = {.events = 0};
        SqliteTotals totals;
        int r;

        r = sqlite_totals_load(s, &totals);
        for (size_t i = 0; i < n && r == 0; i++) {
                r = import_row(s, &totals, &rows[i]);
                added.events += rows[i].result == STORE_OK;
        }
        if (r == 0)
                r = sqlite_totals_save(s, &totals);
        return r < 0 ? r : sqlite_audit_import(s, &added);
}

int sqlite_events_import(StoreSession *session, StoreEventRow *rows, size_t n) {
        SqliteSession *s = sqlite_session(session);
        int r;

        r = sqlite_begin_write(s, WRITER_IMPORT);
        return r < 0 ? r : sqlite_end_write(s, import(s, rows, n), &SLICE_NONE, 0);
}

/* ---- lists ---- */

static int read_event(sqlite3_stmt *statement, Arena *arena, void *ret_row) {
        Slice details = sqlite_text(statement, 5);
        Slice request_id = sqlite_text(statement, 6);
        Event event = {.id = sqlite3_column_int64(statement, 0),
                       .url_id = sqlite3_column_int64(statement, 1),
                       .user_id = sqlite3_column_int64(statement, 2),
                       .type = arena_dup(arena, sqlite_text(statement, 3)),
                       .timestamp_sec = sqlite3_column_int64(statement, 4)};

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

/* A + keeps a condition away from the indexes: the url's is the best, then the user's. */
#define OF_URL    " AND e.url_id = ?2"
#define LIVE_USER " AND EXISTS (SELECT 1 FROM users WHERE id = ?3)"
#define OF_USER   " AND e.user_id = ?3" LIVE_USER
#define BY_USER   " AND +e.user_id = ?3" LIVE_USER
#define REDIRECT  " AND e.type = 1"
#define IS_VISIT  " AND +e.type = 1"
/* The second condition is what the partial indexes ask for. */
#define RARE " AND e.type = ?4 AND e.type <> 1"

/* By variant; they follow e.id < ?1. */
static const char *const filters[] = {
                "",
                REDIRECT,
                RARE,
                OF_USER,
                OF_USER IS_VISIT,
                OF_USER RARE,
                OF_URL,
                OF_URL IS_VISIT,
                OF_URL RARE,
                OF_URL BY_USER,
                OF_URL BY_USER IS_VISIT,
                OF_URL BY_USER RARE,
};

static int bind_filters(SqliteSession *s, const StoreQuery *query, sqlite3_stmt *statement) {
        int64_t type;
        int r;

        if (query->has_url_id)
                sqlite_bind_number(statement, 2, query->url_id);
        if (query->has_user_id)
                sqlite_bind_number(statement, 3, query->user_id);
        if (variant_of(query) % 3 == 2) {
                r = find_type(s, query->type, false, &type);
                if (r < 0)
                        return r;
                sqlite_bind_number(statement, 4, type);
        }
        return 0;
}

static int list(SqliteSession *s, Arena *arena, const StoreQuery *query, SqliteRows *ret) {
        unsigned variant = variant_of(query);
        const char *const sql[] = {"SELECT e.id, e.url_id,"
                                   " (SELECT id FROM users WHERE id = e.user_id),"
                                   " (SELECT name FROM event_types WHERE id = e.type),"
                                   " e.timestamp, e.details, e.request_id"
                                   " FROM events AS e WHERE e.id < ?1",
                                   filters[variant], " ORDER BY e.id DESC LIMIT ?5 OFFSET ?6"};
        _cleanup_(sqlite_done_p) sqlite3_stmt *statement = NULL;
        int r;

        r = sqlite_composed(s, STMT_EVENT_LIST + variant, sql, &statement);
        if (r == 0)
                r = bind_filters(s, query, statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, query->has_after ? query->after : INT64_MAX);
        sqlite_bind_number(statement, 5, query->limit);
        sqlite_bind_number(statement, 6, query->offset);
        *ret = (SqliteRows){arena, sizeof(Event), read_event, query->limit, NULL, 0};
        return sqlite_collect(s, statement, ret);
}

static int count(SqliteSession *s, const StoreQuery *query, int64_t *ret) {
        unsigned variant = variant_of(query);
        const char *const sql[] = {
                        "SELECT count(*) FROM (SELECT 1 FROM events AS e WHERE e.id < ?1",
                        filters[variant], " LIMIT ?5)"};
        sqlite3_stmt *statement;
        SqliteTotals totals;
        int r;

        if (variant == 0) {
                r = sqlite_totals_load(s, &totals);
                if (r == 0)
                        *ret = totals.n.events;
                return r;
        }
        r = sqlite_composed(s, STMT_EVENT_COUNT + variant, sql, &statement);
        if (r == 0)
                r = bind_filters(s, query, statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, INT64_MAX);
        sqlite_bind_number(statement, 5, STORE_TOTAL_EXACT + 1);
        return sqlite_number(s, statement, ret);
}

int sqlite_event_list(StoreSession *session, Arena *arena, const StoreQuery *query,
                      Event **ret_rows, size_t *ret_n, int64_t *ret_total) {
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
