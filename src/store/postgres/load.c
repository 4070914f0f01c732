/* SPDX-License-Identifier: MIT */

/* Everything at once in PostgreSQL: loads, totals, and the audit that counts all of it again. */

#include <errno.h>

#include "store/postgres/session.h"

/* ---- loads ---- */

/* Others read what was there; their changes wait. What writers take first comes first here, too. A
 * load takes as long as it takes, and tells other hosts once that any link may have changed. */
static const char SQL_LOCK[] = "LOCK TABLE events_expiring, spool_offset, users, urls, events,"
                               " url_totals, url_hours, totals IN SHARE ROW EXCLUSIVE MODE;"
                               " SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
                               " SET LOCAL idle_in_transaction_session_timeout = 0;"
                               " SELECT set_config('shortener.load', 'on', true)";

/* Sequences stay, and so do the spools' positions: what was shipped is not shipped again, and the
 * proof holds for what comes now. */
static const char SQL_EMPTY[] =
                "DELETE FROM users; DELETE FROM urls; DELETE FROM url_totals;"
                " DELETE FROM url_hours; DELETE FROM events;"
                " UPDATE events_expiring SET next_block = n_blocks;"
                " UPDATE totals SET users = 0, urls = 0, active_urls = 0, events = 0,"
                " redirects = 0;"
                " UPDATE spool_offset SET first_seq = next_seq, rows = 0, shed = 0, bad = 0,"
                " damaged = 0, dropped = 0";

static const char SQL_TOTALS[] =
                "SELECT sum(users)::bigint, sum(urls)::bigint, sum(active_urls)::bigint,"
                " sum(events)::bigint, sum(redirects)::bigint FROM totals";

static int get_totals(PgSession *s, StoreTotals *ret) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        r = pg_run(s, STMT_TOTALS, SQL_TOTALS, NULL, &result);
        if (r < 0)
                return r;
        *ret = (StoreTotals){.users = pg_number(result, 0, 0),
                             .urls = pg_number(result, 0, 1),
                             .active_urls = pg_number(result, 0, 2),
                             .events = pg_number(result, 0, 3),
                             .redirects = pg_number(result, 0, 4)};
        return 0;
}

static int prepare_load(PgSession *s, bool replace) {
        StoreTotals totals;
        int r;

        /* The first statement brings BEGIN along, which pg_execute() does not. */
        r = get_totals(s, &totals);
        if (r == 0)
                r = pg_execute(s, SQL_LOCK);
        if (r == 0)
                r = get_totals(s, &totals);
        if (r < 0)
                return r;
        if (!replace)
                return totals.users + totals.urls + totals.events > 0 ? STORE_NOT_EMPTY : 0;
        r = pg_execute(s, SQL_EMPTY);
        if (r == 0)
                r = pg_tokens_end(s, 0);
        return r < 0 ? r : pg_audit_load(s, &totals);
}

int pg_load_begin(StoreSession *session, bool replace) {
        PgSession *s = pg_session(session);
        int r;

        if (s->in_load) {
                store_session_set_error(session, "a load is running already");
                return -EINVAL;
        }
        r = pg_begin_write(s, WRITER_IMPORT);
        if (r < 0)
                return r;
        r = prepare_load(s, replace);
        if (r != 0)
                return pg_end_write(s, r, &SLICE_NONE, 0);
        s->in_load = true;
        s->load_failed = false;
        return 0;
}

int pg_load_end(StoreSession *session, bool commit) {
        PgSession *s = pg_session(session);
        int r;

        if (!s->in_load) {
                store_session_set_error(session, "no load is running");
                return -EINVAL;
        }
        if (commit) {
                r = pg_ready(s);
                if (r < 0)
                        return r;
                s->in_load = false;
                return pg_end_write(s, 0, NULL, 0);
        }
        s->in_load = false;
        s->load_failed = false;
        pg_rollback(s);
        return 0;
}

int pg_totals(StoreSession *session, StoreTotals *ret) {
        PgSession *s = pg_session(session);
        int r;

        r = pg_ready(s);
        return r < 0 ? r : get_totals(s, ret);
}

/* ---- the audit ---- */

/* Links whose kept total is not the count of their redirects and of the dropped ones, or not the
 * sum of their hours. */
static const char SQL_TOTAL_DRIFT[] =
                "SELECT count(*) FROM (SELECT url_id, count(*) AS n FROM events_counted"
                " WHERE type = 1 GROUP BY url_id) AS e FULL JOIN url_totals AS t USING (url_id)"
                " FULL JOIN (SELECT url_id, sum(redirects) AS n FROM url_hours GROUP BY url_id)"
                " AS h USING (url_id) WHERE"
                " coalesce(e.n, 0) + coalesce(t.dropped, 0) <> coalesce(t.redirects, 0)"
                " OR coalesce(h.n, 0) <> coalesce(t.redirects, 0)";

static const char SQL_LIST_DRIFT[] =
                "SELECT (abs(sum(users) - (SELECT count(*) FROM users))"
                " + abs(sum(urls) - (SELECT count(*) FROM urls))"
                " + abs(sum(active_urls) - (SELECT count(*) FROM urls WHERE is_active))"
                " + abs(sum(events) - (SELECT count(*) FROM events_counted))"
                " + abs(sum(redirects) - (SELECT count(*) FROM events_counted WHERE type = 1)"
                " - (SELECT coalesce(sum(dropped), 0) FROM url_totals)))::bigint FROM totals";

static const char SQL_DUPLICATES[] =
                "SELECT coalesce(sum(n - 1), 0)::bigint FROM (SELECT count(*) AS n"
                " FROM events_counted WHERE spool IS NOT NULL GROUP BY spool, seq HAVING count(*) "
                "> 1) AS d";

static const char SQL_ROWS_PER_SPOOL[] =
                "SELECT uuid_send(s.spool), coalesce(e.n, 0) + s.dropped FROM spool_offset AS s"
                " LEFT JOIN (SELECT spool, count(*) AS n FROM events_counted"
                " WHERE spool IS NOT NULL GROUP BY spool) AS e ON e.spool = s.id";

static int count_spools(PgSession *s, Arena *arena, StoreAudit *audit) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        r = pg_spool_offsets(s, arena, &audit->offsets, &audit->n_offsets);
        if (r < 0)
                return r;
        audit->rows_of_spool = arena_new(arena, int64_t, audit->n_offsets + 1);
        if (!audit->rows_of_spool)
                return -ENOMEM;
        r = pg_run(s, STMT_NONE, SQL_ROWS_PER_SPOOL, NULL, &result);
        if (r < 0)
                return r;
        for (int row = 0; row < PQntuples(result); row++) {
                Slice uuid = pg_text(result, row, 0);

                for (size_t i = 0; i < audit->n_offsets; i++)
                        if (uuid.len == sizeof(audit->offsets[i].spool) &&
                            memcmp(uuid.data, audit->offsets[i].spool, uuid.len) == 0)
                                audit->rows_of_spool[i] = pg_number(result, row, 1);
        }
        return 0;
}

/* First, so that the moment that is counted begins when no day is being dropped; until the end none
 * is. */
static const char SQL_NO_DROPS[] = "LOCK TABLE events_expiring IN SHARE MODE";

static int audit(PgSession *s, StoreAudit *ret) {
        const struct {
                const char *sql;
                int64_t *number;
        } counts[] = {
                        {SQL_DUPLICATES, &ret->duplicates},
                        {"SELECT count(*) FROM events_counted WHERE spool IS NOT NULL",
                         &ret->rows_per_spools},
                        {SQL_TOTAL_DRIFT, &ret->total_drift},
                        {SQL_LIST_DRIFT, &ret->list_drift},
        };
        int r;

        r = pg_run(s, STMT_NONE, SQL_NO_DROPS, NULL, NULL);
        for (size_t i = 0; i < ELEMENTSOF(counts) && r == 0; i++)
                r = pg_run_number(s, STMT_NONE, counts[i].sql, NULL, counts[i].number);
        return r;
}

int pg_audit(StoreSession *session, Arena *arena, StoreAudit *ret) {
        PgSession *s = pg_session(session);
        StoreAudit found = {.duplicates = 0};
        int r;

        r = pg_begin_read(s);
        if (r < 0)
                return r;
        r = audit(s, &found);
        if (r == 0)
                r = count_spools(s, arena, &found);
        pg_end_read(s);
        if (r == 0)
                *ret = found;
        return r;
}
