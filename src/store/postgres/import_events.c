/* SPDX-License-Identifier: MIT */

/* Imports of events, which move the totals of their links. */

#include <errno.h>
#include <stdlib.h>

#include "store/postgres/session.h"

/* Imports that bring ids come one after the other: no index keeps those apart, since each partition
 * has its own. */
static const char SQL_ALONE[] = "SELECT pg_advisory_xact_lock(hashtext('shortener import'))";

typedef struct EventImport {
        int64_t *ids; /* as the rows brought them */
        PgRedirects *redirects;
} EventImport;

/* For each row: is its id there, is its link, and what is the number of its type? Each day is
 * looked into once for all ids, and for those alone that can be there: there may be a thousand
 * days. */
static int find_events(PgSession *s, const StoreEventRow *rows, size_t n, PGresult **ret) {
        static const char sql[] =
                        "WITH taken AS MATERIALIZED (SELECT e.id FROM events AS e WHERE e.id = ANY"
                        " (ARRAY(SELECT i FROM unnest($1::bigint[]) AS i WHERE i > 0"
                        " AND i <= (SELECT max(id) FROM events))))"
                        " SELECT w.id IN (SELECT id FROM taken),"
                        " (SELECT 1 FROM urls AS u WHERE u.id = w.url_id) IS NOT NULL, t.number"
                        " FROM unnest($1::bigint[], $2::bigint[], $3::text[]) WITH ORDINALITY"
                        " AS w (id, url_id, name, i) JOIN (SELECT name, event_type(name) AS number"
                        " FROM (SELECT DISTINCT name FROM unnest($3::text[]) AS d (name)) AS d)"
                        " AS t ON t.name = w.name ORDER BY w.i";
        PgParams params = {.n = 0};
        size_t at[4] = {0};

        buffer_clear(&s->scratch);
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, rows[i].event.id);
        at[1] = s->scratch.len;
        pg_array(&s->scratch, PG_BIGINT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_number(&s->scratch, rows[i].event.url_id);
        at[2] = s->scratch.len;
        pg_array(&s->scratch, PG_TEXT, n);
        for (size_t i = 0; i < n; i++)
                pg_put_text(&s->scratch, pg_storable(rows[i].event.type) ? rows[i].event.type
                                                                         : STORE_EVENT_REDIRECT);
        at[3] = s->scratch.len;
        if (s->scratch.failed)
                return -ENOMEM;
        for (size_t i = 0; i < 3; i++)
                pg_add_bytes(&params, slice_sub(buffer_slice(&s->scratch), at[i], at[i + 1]));
        return pg_run(s, STMT_EVENT_FOUND, sql, &params, ret);
}

static bool event_storable(const Event *event) {
        return pg_storable(event->type) && (!event->details.data || pg_storable(event->details)) &&
               (!event->request_id.data || pg_storable(event->request_id));
}

static int judge_event(PgIds *ids, const Event *event, const PGresult *found, int i) {
        if (!pg_number(found, i, 1))
                return STORE_NO_URL;
        if (!event_storable(event))
                return STORE_REFUSED;
        return pg_ids_look(ids, &event->id, pg_number(found, i, 0) != 0);
}

static int judge_events(PgIds *ids, StoreEventRow *rows, size_t n, const PGresult *found) {
        int r;

        for (size_t i = 0; i < n; i++) {
                r = judge_event(ids, &rows[i].event, found, (int)i);
                if (r < 0)
                        return r;
                rows[i].result = (StoreResult)r;
                if (r != 0)
                        continue;
                r = pg_ids_take(ids, &rows[i].event.id);
                if (r < 0)
                        return r;
        }
        return pg_ids_flush(ids);
}

static void put_event(Buffer *out, const Event *event, int32_t type) {
        pg_put_u16(out, 8);
        pg_put_number(out, event->id);
        pg_put_number(out, event->url_id);
        pg_put_id(out, event->user_id);
        pg_put_number(out, event->timestamp_sec);
        pg_put_int(out, type);
        pg_put_int(out, pg_day(event->timestamp_sec));
        pg_put_text(out, event->details);
        pg_put_text(out, event->request_id);
}

static int copy_events(PgSession *s, const StoreEventRow *rows, size_t n, const PGresult *found,
                       PgRedirects *redirects) {
        static const char sql[] = "COPY events (id, url_id, user_id, timestamp, type, day, details,"
                                  " request_id) FROM STDIN (FORMAT binary)";
        StoreTotals moved = {.users = 0};
        int r;

        buffer_clear(&s->scratch);
        for (size_t i = 0; i < n; i++) {
                const Event *event = &rows[i].event;
                int32_t type = (int32_t)pg_number(found, (int)i, 2);

                if (rows[i].result != STORE_OK)
                        continue;
                put_event(&s->scratch, event, type);
                moved.events++;
                if (type == TYPE_REDIRECT)
                        redirects[moved.redirects++] = (PgRedirects){
                                        event->url_id, pg_hour(event->timestamp_sec), 1};
        }
        if (moved.events == 0)
                return 0;
        r = s->scratch.failed ? -ENOMEM : pg_copy(s, sql, buffer_slice(&s->scratch));
        if (r == 0)
                r = pg_redirects_add(s, redirects, (size_t)moved.redirects);
        if (r == 0)
                r = pg_audit_import(s, &moved);
        return r < 0 ? r : pg_count(s, &moved);
}

static int import_events(PgSession *s, void *userdata, size_t n, void *import) {
        _cleanup_(pg_clear_p) PGresult *found = NULL;
        const EventImport *how = import;
        StoreEventRow *rows = userdata;
        PgIds ids;
        int r;

        for (size_t i = 0; i < n; i++)
                rows[i].event.id = how->ids[i];
        r = pg_run(s, STMT_NONE, SQL_ALONE, NULL, NULL);
        if (r == 0)
                r = find_events(s, rows, n, &found);
        if (r < 0)
                return r;
        r = pg_ids_init(&ids, s, "event_ids", n, 0);
        if (r < 0)
                return r;
        r = judge_events(&ids, rows, n, found);
        pg_ids_done(&ids);
        return r < 0 ? r : copy_events(s, rows, n, found, how->redirects);
}

int pg_events_import(StoreSession *session, StoreEventRow *rows, size_t n) {
        _cleanup_free_ PgRedirects *redirects = calloc(n + 1, sizeof(*redirects));
        _cleanup_free_ int64_t *ids = calloc(n + 1, sizeof(*ids));
        EventImport how = {ids, redirects};
        PgSession *s = pg_session(session);
        int r;

        if (!redirects || !ids)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                ids[i] = rows[i].event.id;
        r = pg_begin_write(s, WRITER_IMPORT);
        if (r < 0 || n == 0)
                return r < 0 ? r : pg_end_write(s, 0, &SLICE_NONE, 0);
        return pg_end_write(s, pg_import(s, import_events, rows, n, &how), &SLICE_NONE, 0);
}
