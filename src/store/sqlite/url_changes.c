/* SPDX-License-Identifier: MIT */

/*
 * Changing links in SQLite. Each change reads the row first, under the write lock: there is one
 * writer at a time, so no column that another change wrote can be lost.
 */

#include <errno.h>

#include "model/details.h"
#include "store/sqlite/session.h"

int sqlite_url_exists(SqliteSession *s, int64_t id) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_URL_EXISTS, "SELECT 1 FROM urls WHERE id = ?1", &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, id);
        return sqlite_number(s, statement, NULL);
}

/* An event that a change of the url leaves. */
static int add_event(SqliteSession *s, SqliteTotals *totals, const Url *url, int64_t type,
                     const Event *event) {
        Event row = *event;

        row.id = totals->last_event + 1;
        row.url_id = url->id;
        row.user_id = url->user_id;
        return sqlite_event_insert(s, totals, &row, type);
}

/* ---- create and import ---- */

/* url->id is set. A positive result says why the row did not go in. */
static int insert(SqliteSession *s, SqliteTotals *totals, const Url *url) {
        static const char sql[] = "INSERT INTO urls (id, user_id, code, target, location, title,"
                                  " is_active, created, updated)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
                                  " ON CONFLICT DO NOTHING";
        bool same = slice_equal(url->target, url->location);
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_URL_INSERT, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, url->id);
        sqlite_bind_id(statement, 2, url->user_id);
        sqlite_bind_text(statement, 3, url->code);
        sqlite_bind_text(statement, 4, url->target);
        sqlite_bind_text(statement, 5, same ? SLICE_NONE : url->location);
        sqlite_bind_text(statement, 6, url->title);
        sqlite_bind_number(statement, 7, url->is_active);
        sqlite_bind_number(statement, 8, url->created_sec);
        sqlite_bind_number(statement, 9, url->updated_sec);
        r = sqlite_run(s, statement);
        if (r < 0)
                return r;
        if (sqlite3_changes(s->db) == 0) {
                r = sqlite_url_exists(s, url->id);
                if (r < 0)
                        return r;
                return r == 0 ? STORE_REFUSED : STORE_CODE_TAKEN;
        }
        totals->n.urls++;
        totals->n.active_urls += url->is_active;
        totals->last_url = MAX(totals->last_url, url->id);
        return 0;
}

/* Does the user have that many links? There is one writer, so the count holds until the commit. */
static int has_links(SqliteSession *s, int64_t user_id, int64_t n) {
        static const char sql[] = "SELECT 1 FROM urls WHERE user_id = ?1 LIMIT 1 OFFSET ?2";
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_URL_OWNED, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, user_id);
        sqlite_bind_number(statement, 2, n - 1);
        r = sqlite_number(s, statement, NULL);
        return r < 0 ? r : r == 0;
}

/* The url, after a look whether its user exists, and its event, if it shall have one. */
static int add(SqliteSession *s, SqliteTotals *totals, const Url *url, const Event *event) {
        int r;

        if (url->user_id != 0) {
                r = sqlite_user_exists(s, url->user_id);
                if (r != 0)
                        return r == STORE_NOT_FOUND ? STORE_NO_USER : r;
        }
        r = insert(s, totals, url);
        if (r != 0 || !event)
                return r;
        return add_event(s, totals, url, TYPE_CREATED, event);
}

/* STORE_FULL only of a user that there is. */
static int check_room(SqliteSession *s, const StoreUrlNew *new) {
        int64_t user_id = new->url->user_id;
        int r;

        if (new->user_max == 0 || user_id == 0)
                return 0;
        r = has_links(s, user_id, new->user_max);
        if (r <= 0)
                return r;
        r = sqlite_user_exists(s, user_id);
        return r == 0 ? STORE_FULL : r == STORE_NOT_FOUND ? STORE_NO_USER : r;
}

static int create(SqliteSession *s, const StoreUrlNew *new, Url *ret) {
        const Event event = {.timestamp_sec = new->url->created_sec, .details = new->details};
        SqliteTotals totals;
        Url row = *new->url;
        int r;

        r = check_room(s, new);
        if (r != 0)
                return r;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        row.id = totals.last_url + 1;
        row.is_active = true;
        row.updated_sec = row.created_sec;
        r = add(s, &totals, &row, &event);
        if (r != 0)
                return r;
        r = sqlite_totals_save(s, &totals);
        if (r == 0)
                r = sqlite_audit_url(s, "create", NULL, &row);
        if (r == 0)
                *ret = row;
        return r;
}

int sqlite_url_create(StoreSession *session, const StoreUrlNew *new, const StoreKey *key,
                      Url *ret) {
        SqliteSession *s = sqlite_session(session);
        Url row;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = sqlite_key_take(s, key);
        if (r == 0)
                r = create(s, new, &row);
        if (r == 0)
                r = sqlite_key_keep(s, key, &row);
        r = sqlite_end_making(s, r, &new->url->code, 1);
        if (r == 0)
                *ret = row;
        return r;
}

static int import_row(SqliteSession *s, SqliteTotals *totals, StoreUrlRow *row, Arena *scratch) {
        Event event = {.timestamp_sec = row->url.created_sec};
        Url url = row->url;
        int r;

        row->result = STORE_REFUSED;
        if (url.id < 0 || url.id > STORE_ID_MAX)
                return 0;
        if (url.id == 0)
                url.id = totals->last_url + 1;
        if (scratch) {
                arena_reset(scratch);
                event.details = details_created(scratch, url.target, url.code);
                if (!event.details.data)
                        return -ENOMEM;
        }
        r = add(s, totals, &url, scratch ? &event : NULL);
        if (r < 0)
                return r;
        row->result = (StoreResult)r;
        if (r == 0)
                row->url.id = url.id;
        return 0;
}

/* scratch: for the events' details; NULL: no events. */
static int import(SqliteSession *s, StoreUrlRow *rows, size_t n, Arena *scratch) {
        AuditCounts added = {.urls = 0};
        SqliteTotals totals;
        int r;

        r = sqlite_totals_load(s, &totals);
        for (size_t i = 0; i < n && r == 0; i++) {
                r = import_row(s, &totals, &rows[i], scratch);
                added.urls += rows[i].result == STORE_OK;
        }
        if (r == 0)
                r = sqlite_totals_save(s, &totals);
        return r < 0 ? r : sqlite_audit_import(s, &added);
}

int sqlite_urls_import(StoreSession *session, StoreUrlRow *rows, size_t n, bool with_events) {
        _cleanup_free_ Slice *codes = calloc(n + 1, sizeof(*codes));
        SqliteSession *s = sqlite_session(session);
        size_t n_codes = 0;
        Arena scratch;
        int r;

        if (!codes)
                return -ENOMEM;
        r = sqlite_begin_write(s, WRITER_IMPORT);
        if (r < 0)
                return r;
        arena_init(&scratch, 0);
        r = import(s, rows, n, with_events ? &scratch : NULL);
        arena_done(&scratch);
        for (size_t i = 0; i < n && r == 0; i++)
                if (rows[i].result == STORE_OK)
                        codes[n_codes++] = rows[i].url.code;
        return sqlite_end_making(s, r, codes, n_codes);
}

/* ---- update and retire ---- */

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

static int write_row(SqliteSession *s, const Url *url) {
        static const char sql[] = "UPDATE urls SET target = ?2, location = ?3, title = ?4,"
                                  " is_active = ?5, updated = ?6 WHERE id = ?1";
        bool same = slice_equal(url->target, url->location);
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, STMT_URL_UPDATE, sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, url->id);
        sqlite_bind_text(statement, 2, url->target);
        sqlite_bind_text(statement, 3, same ? SLICE_NONE : url->location);
        sqlite_bind_text(statement, 4, url->title);
        sqlite_bind_number(statement, 5, url->is_active);
        sqlite_bind_number(statement, 6, url->updated_sec);
        return sqlite_run(s, statement);
}

static int add_updated_events(SqliteSession *s, SqliteTotals *totals, const Url *url,
                              const StoreUrlChange *change) {
        const struct {
                bool named;
                Slice details;
        } fields[] = {
                        {change->has_target, change->target_details},
                        {change->has_title, change->title_details},
                        {change->has_active, change->active_details},
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(fields) && r == 0; i++) {
                const Event event = {.timestamp_sec = change->now_sec,
                                     .details = fields[i].details};

                if (fields[i].named)
                        r = add_event(s, totals, url, TYPE_UPDATED, &event);
        }
        return r;
}

static int update(SqliteSession *s, Arena *arena, int64_t id, const StoreUrlChange *change,
                  Url *ret) {
        SqliteTotals totals;
        Url old;
        int r;

        r = sqlite_url_row(s, arena, id, ret);
        if (r == 0)
                r = store_condition_check(change->condition, ret);
        if (r != 0)
                return r;
        old = *ret;
        r = merge(arena, change, ret);
        if (r < 0)
                return r;
        r = write_row(s, ret);
        if (r < 0)
                return r;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        totals.n.active_urls += ret->is_active - old.is_active;
        r = add_updated_events(s, &totals, ret, change);
        if (r == 0)
                r = sqlite_totals_save(s, &totals);
        return r < 0 ? r : sqlite_audit_url(s, "update", &old, ret);
}

int sqlite_url_update(StoreSession *session, Arena *arena, int64_t id, const StoreUrlChange *change,
                      Url *ret) {
        bool redirect_changes = change->has_target || change->has_active;
        SqliteSession *s = sqlite_session(session);
        Url row = {.code = SLICE_NONE};
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        r = update(s, arena, id, change, &row);
        r = sqlite_end_write(s, r, &row.code, redirect_changes);
        if (r == 0)
                *ret = row;
        return r;
}

static int retire(SqliteSession *s, Arena *scratch, Url *url, const Event *event,
                  const StoreCondition *condition) {
        SqliteTotals totals;
        Url old;
        int r;

        r = sqlite_url_row(s, scratch, url->id, url);
        if (r != 0)
                return r;
        if (!url->is_active)
                return STORE_NOT_FOUND;
        r = store_condition_check(condition, url);
        if (r != 0)
                return r;
        old = *url;
        url->is_active = false;
        url->updated_sec = event->timestamp_sec;
        r = write_row(s, url);
        if (r < 0)
                return r;
        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        totals.n.active_urls--;
        r = add_event(s, &totals, url, TYPE_DELETED, event);
        if (r == 0)
                r = sqlite_totals_save(s, &totals);
        return r < 0 ? r : sqlite_audit_url(s, "delete", &old, url);
}

int sqlite_url_retire(StoreSession *session, int64_t id, int64_t now_sec, Slice details,
                      const StoreCondition *condition) {
        const Event event = {.timestamp_sec = now_sec, .details = details};
        SqliteSession *s = sqlite_session(session);
        Url url = {.id = id};
        Arena scratch;
        int r;

        r = sqlite_begin_write(s, WRITER_CLIENT);
        if (r < 0)
                return r;
        arena_init(&scratch, 0);
        r = retire(s, &scratch, &url, &event, condition);
        r = sqlite_end_write(s, r, &url.code, 1);
        arena_done(&scratch);
        return r;
}
