/* SPDX-License-Identifier: MIT */

/* Everything at once in SQLite: loads, totals, and the audit that counts all of it again. */

#include <errno.h>

#include "store/sqlite/session.h"

/* ---- loads ---- */

/* Sequences stay, and so do the spools' positions: what was shipped is not shipped again, and the
 * proof holds for what comes now. */
static const char SQL_EMPTY[] =
                "DELETE FROM users;"
                "DELETE FROM urls;"
                "DELETE FROM url_totals;"
                "DELETE FROM events;"
                "UPDATE spools SET first_seq = next_seq, rows = 0, shed = 0, bad = 0, damaged = 0;";

static int prepare_load(SqliteSession *s, bool replace) {
        SqliteTotals totals;
        StoreTotals was;
        int r;

        r = sqlite_totals_load(s, &totals);
        if (r < 0)
                return r;
        if (!replace)
                return totals.n.users + totals.n.urls + totals.n.events > 0 ? STORE_NOT_EMPTY : 0;
        was = totals.n;
        totals.n = (StoreTotals){.users = 0};
        r = sqlite_execute(s, SQL_EMPTY);
        if (r == 0)
                r = sqlite_totals_save(s, &totals);
        if (r == 0)
                r = sqlite_tokens_end(s, 0);
        return r < 0 ? r : sqlite_audit_load(s, &was);
}

int sqlite_load_begin(StoreSession *session, bool replace) {
        SqliteSession *s = sqlite_session(session);
        int r;

        if (s->in_load) {
                store_session_set_error(session, "a load is running already");
                return -EINVAL;
        }
        r = sqlite_begin_write(s, WRITER_IMPORT);
        if (r < 0)
                return r;
        r = prepare_load(s, replace);
        if (r != 0)
                return sqlite_end_write(s, r, &SLICE_NONE, 0);
        s->in_load = true;
        s->load_failed = false;
        return 0;
}

int sqlite_load_end(StoreSession *session, bool commit) {
        SqliteSession *s = sqlite_session(session);
        int r = 0;

        if (!s->in_load) {
                store_session_set_error(session, "no load is running");
                return -EINVAL;
        }
        if (commit) {
                r = sqlite_ready(s);
                if (r < 0)
                        return r;
                s->in_load = false;
                return sqlite_end_write(s, 0, NULL, 0);
        }
        s->in_load = false;
        s->load_failed = false;
        sqlite_rollback(s);
        return 0;
}

int sqlite_totals(StoreSession *session, StoreTotals *ret) {
        SqliteSession *s = sqlite_session(session);
        SqliteTotals totals;
        int r;

        r = sqlite_ready(s);
        if (r == 0)
                r = sqlite_totals_load(s, &totals);
        if (r == 0)
                *ret = totals.n;
        return r;
}

/* ---- the audit ---- */

/* Links whose kept total is not the count of their redirects, among those that have either. */
static const char SQL_TOTAL_DRIFT[] =
                "WITH counted AS (SELECT url_id, count(*) AS n FROM events WHERE type = 1 GROUP BY "
                "url_id)"
                " SELECT (SELECT count(*) FROM counted LEFT JOIN url_totals USING (url_id)"
                "         WHERE n <> coalesce(redirects, 0))"
                " + (SELECT count(*) FROM url_totals LEFT JOIN counted USING (url_id)"
                "    WHERE redirects <> 0 AND n IS NULL)";

static const char SQL_LIST_DRIFT[] =
                "SELECT abs(users - (SELECT count(*) FROM users))"
                " + abs(urls - (SELECT count(*) FROM urls))"
                " + abs(active_urls - (SELECT count(*) FROM urls WHERE is_active = 1))"
                " + abs(events - (SELECT count(*) FROM events))"
                " + abs(redirects - (SELECT count(*) FROM events WHERE type = 1)) FROM totals";

static const char SQL_DUPLICATES[] =
                "SELECT coalesce(sum(n - 1), 0) FROM (SELECT count(*) AS n FROM events"
                " WHERE spool IS NOT NULL GROUP BY spool, seq HAVING n > 1)";

static const char SQL_ROWS_PER_SPOOL[] = "SELECT uuid, n FROM (SELECT spool, count(*) AS n FROM "
                                         "events WHERE spool IS NOT NULL"
                                         " GROUP BY spool) JOIN spools ON id = spool";

/* Steps through a statement of uuid and count. */
static int note_rows(SqliteSession *s, sqlite3_stmt *statement, StoreAudit *audit) {
        int r;

        while ((r = sqlite_row(s, statement)) > 0) {
                Slice uuid = sqlite_text(statement, 0);

                for (size_t i = 0; i < audit->n_offsets; i++)
                        if (uuid.len == sizeof(audit->offsets[i].spool) &&
                            memcmp(uuid.data, audit->offsets[i].spool, uuid.len) == 0)
                                audit->rows_of_spool[i] = sqlite3_column_int64(statement, 1);
        }
        return r;
}

static int count_spools(SqliteSession *s, Arena *arena, StoreAudit *audit) {
        sqlite3_stmt *statement = NULL;
        int rc, r;

        r = sqlite_spool_offsets(s, arena, &audit->offsets, &audit->n_offsets);
        if (r < 0)
                return r;
        audit->rows_of_spool = arena_new(arena, int64_t, audit->n_offsets + 1);
        if (!audit->rows_of_spool)
                return -ENOMEM;
        rc = sqlite3_prepare_v2(s->db, SQL_ROWS_PER_SPOOL, -1, &statement, NULL);
        r = rc == SQLITE_OK ? note_rows(s, statement, audit) : sqlite_fail(s, rc);
        (void)sqlite3_finalize(statement);
        return r;
}

static int audit(SqliteSession *s, StoreAudit *ret) {
        const struct {
                const char *sql;
                int64_t *number;
        } counts[] = {
                        {SQL_DUPLICATES, &ret->duplicates},
                        {"SELECT count(*) FROM events WHERE spool IS NOT NULL",
                         &ret->rows_per_spools},
                        {SQL_TOTAL_DRIFT, &ret->total_drift},
                        {SQL_LIST_DRIFT, &ret->list_drift},
        };
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(counts) && r == 0; i++)
                r = sqlite_query(s, counts[i].sql, counts[i].number);
        return r;
}

int sqlite_audit(StoreSession *session, Arena *arena, StoreAudit *ret) {
        SqliteSession *s = sqlite_session(session);
        StoreAudit found = {.duplicates = 0};
        int r;

        r = sqlite_begin_read(s);
        if (r < 0)
                return r;
        r = audit(s, &found);
        if (r == 0)
                r = count_spools(s, arena, &found);
        sqlite_end_read(s);
        if (r == 0)
                *ret = found;
        return r;
}
