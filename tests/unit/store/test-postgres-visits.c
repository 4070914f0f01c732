/* SPDX-License-Identifier: MIT */

/* Visits in PostgreSQL: counted once whatever happens, kept by the day, dropped without a loss of
 * the totals; and what other hosts are told of changes. */

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/clock.h"
#include "contract/batch.h"
#include "store/watch.h"
#include "unit/store/pg-support.h"

#define DAY_SEC 86400

static TestBatch b; /* large */

static int setup(void **state) {
        return fixture_setup(state);
}

static void sql(const Fixture *f, const char *text) {
        free(postgres_sql(f->database, text));
}

static void assert_sql(const Fixture *f, const char *text, const char *expected) {
        char *value = postgres_sql(f->database, text);

        assert_string_equal(value, expected);
        free(value);
}

static int64_t now_sec(void) {
        return (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
}

/* n visits of the url, all at this time. */
static void append_at(Fixture *f, uint8_t spool, uint64_t from_seq, size_t n, int64_t time_sec) {
        batch_fill(&b, spool, from_seq, n, 1);
        for (size_t i = 0; i < n; i++)
                b.clicks[i].time_sec = time_sec;
        batch_append(f, &b);
}

/* ---- once ---- */

static void test_cut_behind_commit(void **state) {
        Fixture *f = *state;
        Proxy *proxy = proxy_new();
        Store *store = pg_open_store(proxy_url(proxy, f->database), false);
        StoreSession *session = open_session(store);
        uint64_t next_seq = 0;

        make_url(f, "abc", 0);
        for (unsigned i = 0; i < 5; i++) {
                batch_fill(&b, 7, 1 + i * 10, 10, 1);
                assert_int_equal(store_ping(session), 0);
                proxy_cut_behind(proxy, "COMMIT");
                assert_int_equal(store_clicks_append(session, &b.batch, &next_seq), -EHOSTDOWN);
                assert_true(proxy_has_cut(proxy));
                wait_until_up(session);
                assert_int_equal(store_clicks_append(session, &b.batch, &next_seq),
                                 STORE_CONFLICT_POSITION);
                assert_int_equal(next_seq, 11 + i * 10);
        }
        assert_int_equal(redirects_of(f, 1), 50);
        assert_proof(f, 7);
        (void)store_session_free(session);
        (void)store_free(store);
        (void)proxy_free(proxy);
}

/* Sequences do not come along with logical replication: ids that are taken are no visits' fault. */
static void test_sequence_is_behind(void **state) {
        Fixture *f = *state;

        make_url(f, "abc", 0);
        append_at(f, 7, 1, 100, NOW_SEC);
        for (uint64_t i = 0; i < 3; i++) {
                free(postgres_sql(f->database, "SELECT setval('event_ids', 10)"));
                append_at(f, 7, 101 + i * 100, 100, NOW_SEC);
        }
        assert_int_equal(redirects_of(f, 1), 400);
        assert_proof(f, 7);
        assert_sql(f, "SELECT count(*) FROM events WHERE type = 1", "400");
}

/* A shipper that was frozen inside its transaction is ended by the one that takes its place. */
static void test_zombie_holds_the_spool(void **state) {
        Fixture *f = *state;
        StoreSession *zombie = fixture_session(f, false);
        PgSession *s = pg_session(zombie);
        PgParams params = {.n = 0};
        uint64_t begin_usec, next_seq = 0;
        int r;

        make_url(f, "abc", 0);
        append_at(f, 7, 1, 10, NOW_SEC);
        assert_int_equal(pg_begin_write(s, WRITER_SHIPPER), 0);
        batch_fill(&b, 7, 11, 10, 1);
        pg_add_number(&params, pg_spool_key(b.batch.spool));
        assert_int_equal(pg_run(s, STMT_NONE, "SELECT pg_advisory_xact_lock($1::bigint)", &params,
                                NULL),
                         0);
        begin_usec = clock_monotonic_usec();
        do {
                store_session_deadline(f->other, clock_monotonic_usec() + 2 * USEC_PER_SEC);
                r = store_clicks_append(f->other, &b.batch, &next_seq);
        } while (r == -EAGAIN && clock_monotonic_usec() - begin_usec < 20 * USEC_PER_SEC);
        assert_int_equal(r, 0);
        assert_true(clock_monotonic_usec() - begin_usec >= 4 * USEC_PER_SEC);
        assert_int_equal(next_seq, 21);
        assert_int_equal(store_ping(zombie), 0); /* with a new connection */
        assert_proof(f, 7);
        (void)store_session_free(zombie);
}

static void test_ten_thousand_in_one_transaction(void **state) {
        static StoreClick clicks[12000];
        StoreBatch batch = {.spool = {3},
                            .first_seq = 1,
                            .from_seq = 1,
                            .upto_seq = 12001,
                            .clicks = clicks,
                            .n_clicks = 12000};
        Fixture *f = *state;
        uint64_t next_seq = 0;

        make_url(f, "abc", 0);
        for (size_t i = 0; i < ELEMENTSOF(clicks); i++)
                clicks[i] = (StoreClick){.seq = i + 1,
                                         .url_id = 1 + (int64_t)i % 700,
                                         .time_sec = now_sec(),
                                         .details = S("{}")};
        assert_int_equal(store_clicks_append(f->session, &batch, &next_seq), 0);
        assert_int_equal(next_seq, 10001);
        assert_audit_clean(f);
}

/* What the server refuses for its contents is told from what it cannot store just now. */
static void test_refused_or_away(void **state) {
        Fixture *f = *state;
        uint64_t next_seq = 0;

        make_url(f, "abc", 0);
        batch_fill(&b, 7, 1, 3, 1);
        b.clicks[1].details = S("\xff\xfe");
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), STORE_REFUSED);
        b.clicks[1].details = S("{}");
        b.clicks[2].request_id = S("a\0b");
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), STORE_REFUSED);
        batch_fill(&b, 7, 1, 3, 1);
        b.clicks[2].time_sec = now_sec() - 3 * DAY_SEC; /* no partition of its own */
        sql(f, "ALTER TABLE events DETACH PARTITION events_default");
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), -EHOSTDOWN);
        sql(f, "ALTER TABLE events ATTACH PARTITION events_default DEFAULT");
        assert_int_equal(store_clicks_append(f->session, &b.batch, &next_seq), 0);
        assert_proof(f, 7);
}

/* ---- days ---- */

static void test_days_have_partitions(void **state) {
        Fixture *f = *state;

        make_url(f, "abc", 0);
        append_at(f, 7, 1, 1, now_sec());
        append_at(f, 7, 2, 1, now_sec() - 3 * DAY_SEC);  /* no partition any more */
        append_at(f, 7, 3, 1, now_sec() + 30 * DAY_SEC); /* a clock that is off */
        append_at(f, 7, 4, 1, 0);
        assert_sql(f,
                   "SELECT string_agg((tableoid::regclass::text = 'events_default')::text || ' ' ||"
                   " clamped || ' ' || (day = (now() AT TIME ZONE 'UTC')::date), ',' ORDER BY seq)"
                   " FROM events WHERE type = 1",
                   "false false true,true false false,false true true,false true true");
        assert_sql(f, "SELECT count(*) FROM events WHERE clamped AND timestamp = 0", "1");
        assert_proof(f, 7);
}

/* autovacuum may be in the way */
static void tidy_step(Fixture *f, int64_t before_sec, bool *more) {
        int r = store_events_tidy(f->session, before_sec, more);

        assert_true(r == 0 || r == -EAGAIN);
        *more = *more || r == -EAGAIN;
}

static void tidy_all(Fixture *f, int64_t before_sec) {
        bool more = true;

        for (unsigned n = 0; more && n < 50; n++)
                tidy_step(f, before_sec, &more);
        assert_false(more);
}

static void drop_days(const Fixture *f, const char *first) {
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "DO $$ DECLARE name text; BEGIN FOR name IN SELECT relname FROM pg_class"
                       " WHERE relkind = 'r' AND relname ~ '^events_[0-9]{8}$' AND relname >="
                       " events_partition(%s) LOOP EXECUTE 'DROP TABLE ' || name; END LOOP; END $$",
                       first);
        sql(f, text);
}

static void assert_n_partitions(const Fixture *f, const char *n) {
        assert_sql(f, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass", n);
}

/* Made while visits of that day lie in the default partition already. */
static void test_partitions_are_made_ahead(void **state) {
        Fixture *f = *state;
        bool more = false;

        make_url(f, "abc", 0);
        drop_days(f, "'2000-01-01'");
        append_at(f, 7, 1, 100, now_sec());
        assert_sql(f, "SELECT count(*) FROM events_default WHERE type = 1", "100");
        assert_int_equal(store_events_tidy(f->session, 0, &more), 0);
        assert_true(more); /* today and tomorrow, at once */
        assert_sql(f, "SELECT count(*) FROM events_default WHERE type = 1", "0");
        assert_n_partitions(f, "4");
        tidy_all(f, 0);
        assert_n_partitions(f, "10"); /* today and 7 more, the default, what is kept */
        assert_sql(f, "SELECT count(*) FROM pg_constraint WHERE conname = 'events_default_ahead'",
                   "0");
        assert_proof(f, 7);
}

/* An event of a day that is just being made waits; visits of now do not. */
static void test_a_day_that_is_being_made(void **state) {
        Fixture *f = *state;
        const Event late = {
                        .url_id = 1, .type = S("note"), .timestamp_sec = now_sec() + 7 * DAY_SEC};
        bool more = false;
        Event made;

        make_url(f, "abc", 0);
        drop_days(f, "(now() AT TIME ZONE 'UTC')::date + 6");
        for (unsigned i = 0; i < 2; i++) { /* said, then proved */
                assert_int_equal(store_events_tidy(f->session, 0, &more), 0);
                assert_true(more);
                assert_int_equal(store_event_create(f->session, &late, &made), -EBUSY);
                append_at(f, 7, 1 + i, 1, now_sec());
                append_at(f, 8, 1 + i, 1, now_sec() - 3 * DAY_SEC);
                append_at(f, 9, 1 + i, 1, now_sec() + 7 * DAY_SEC);
        }
        tidy_all(f, 0);
        assert_int_equal(store_event_create(f->session, &late, &made), 0);
        assert_n_partitions(f, "10");
        assert_audit_clean(f);
}

/* That nothing of a day is there cannot be said of such a day. */
static void test_a_day_that_has_events_already(void **state) {
        Fixture *f = *state;
        const Event late = {
                        .url_id = 1, .type = S("note"), .timestamp_sec = now_sec() + 6 * DAY_SEC};
        Event made;

        make_url(f, "abc", 0);
        drop_days(f, "(now() AT TIME ZONE 'UTC')::date + 5");
        assert_int_equal(store_event_create(f->session, &late, &made), 0);
        tidy_all(f, 0);
        assert_sql(f, "SELECT count(*) FROM events_default WHERE type > 4", "0");
        assert_n_partitions(f, "10");
        assert_audit_clean(f);
}

static void make_past_partition(const Fixture *f, int days) {
        char text[512];

        (void)snprintf(text, sizeof(text),
                       "DO $$ DECLARE d date = (now() AT TIME ZONE 'UTC')::date - %d; BEGIN"
                       " EXECUTE format('CREATE TABLE %%I PARTITION OF events FOR VALUES"
                       " FROM (%%L) TO (%%L)', events_partition(d), d, d + 1); END $$",
                       days);
        sql(f, text);
}

static void test_retention_keeps_the_totals(void **state) {
        Fixture *f = *state;
        const Event old = {
                        .url_id = 1, .type = S("note"), .timestamp_sec = now_sec() - 20 * DAY_SEC};
        Event made;

        make_url(f, "abc", 0);
        make_past_partition(f, 20);
        make_past_partition(f, 10);
        append_at(f, 7, 1, 30, now_sec() - 20 * DAY_SEC);
        append_at(f, 7, 31, 20, now_sec() - 10 * DAY_SEC);
        append_at(f, 7, 51, 10, now_sec() - 15 * DAY_SEC); /* default partition */
        append_at(f, 7, 61, 5, now_sec());
        assert_int_equal(store_event_create(f->session, &old, &made), 0);
        assert_int_equal(totals_of(f).events, 67);
        tidy_all(f, now_sec() - 12 * DAY_SEC);
        assert_sql(f, "SELECT count(*) FROM events WHERE type = 1", "25");
        assert_int_equal(totals_of(f).events, 27);
        assert_int_equal(totals_of(f).redirects, 65);
        assert_int_equal(redirects_of(f, 1), 65);
        assert_sql(f,
                   "SELECT count(*) FROM events WHERE timestamp < extract(epoch FROM now()) -"
                   " 20 * 86400 + 100",
                   "2"); /* the note and the event of the link, of 2026-01-01 */
        assert_proof(f, 7);
        tidy_all(f, now_sec() - 5 * DAY_SEC);
        assert_sql(f, "SELECT count(*) FROM events WHERE type = 1", "5");
        assert_int_equal(redirects_of(f, 1), 65);
        assert_proof(f, 7);
}

/* A long reader makes nobody else wait; the drop is done the next time. */
static void test_retention_yields_to_a_reader(void **state) {
        Fixture *f = *state;
        PgSession *reader = pg_session(f->other);
        bool more = false;

        make_url(f, "abc", 0);
        make_past_partition(f, 20);
        append_at(f, 7, 1, 30, now_sec() - 20 * DAY_SEC);
        assert_int_equal(pg_begin_read(reader), 0);
        assert_int_equal(pg_run(reader, STMT_NONE, "SELECT count(*) FROM events", NULL, NULL), 0);
        assert_int_equal(store_events_tidy(f->session, now_sec(), &more), -EAGAIN);
        pg_end_read(reader);
        tidy_all(f, now_sec() - 5 * DAY_SEC);
        assert_int_equal(redirects_of(f, 1), 30);
        assert_proof(f, 7);
}

/* As if n visits of link 1 had been shipped on that day. */
static void make_old_visits(Fixture *f, int days, int n) {
        char text[1536];

        make_past_partition(f, days);
        (void)snprintf(text, sizeof(text),
                       "WITH o AS (INSERT INTO spool_offset (spool, first_seq, next_seq, rows)"
                       " VALUES (gen_random_uuid(), 1, %d + 1, %d) RETURNING id), t AS"
                       " (INSERT INTO url_totals AS t VALUES (1, %d) ON CONFLICT (url_id)"
                       " DO UPDATE SET redirects = t.redirects + excluded.redirects), h AS"
                       " (INSERT INTO url_hours AS h VALUES (1, 0, %d) ON CONFLICT (url_id, hour)"
                       " DO UPDATE SET redirects = h.redirects + excluded.redirects), a AS"
                       " (UPDATE totals SET events = events + %d, redirects = redirects + %d"
                       " WHERE slot = 3) INSERT INTO events (url_id, timestamp, seq, type, spool,"
                       " day) SELECT 1, 0, i, 1, o.id, (now() AT TIME ZONE 'UTC')::date - %d"
                       " FROM o, generate_series(1, %d) AS i",
                       n, n, n, n, n, n, days, n);
        sql(f, text);
}

/* Whoever counts between two steps finds everything: what is not settled is there. */
static void test_each_step_of_the_retention_is_sound(void **state) {
        Fixture *f = *state;
        const Event old = {
                        .url_id = 1, .type = S("note"), .timestamp_sec = now_sec() - 20 * DAY_SEC};
        unsigned n_partial = 0;
        bool more = true;
        int64_t rest = 6002;
        Event made;

        make_url(f, "abc", 0);
        make_old_visits(f, 20, 6000);
        assert_int_equal(store_event_create(f->session, &old, &made), 0);
        assert_audit_clean(f);
        while (more) {
                tidy_step(f, now_sec() - 5 * DAY_SEC, &more);
                assert_audit_clean(f);
                assert_sql(f,
                           "SELECT count(*) FROM spool_offset AS s WHERE rows - dropped <>"
                           " (SELECT count(*) FROM events_counted AS e WHERE e.spool = s.id)",
                           "0");
                assert_int_equal(redirects_of(f, 1), 6000);
                assert_sql(f, "SELECT count(*) FROM events WHERE type <> 1", "2");
                assert_true(totals_of(f).events <= rest);
                n_partial += totals_of(f).events < rest;
                rest = totals_of(f).events;
        }
        assert_int_equal(rest, 2);
        assert_true(n_partial > 1);
        assert_sql(f, "SELECT count(*) FROM events_expiring", "0");
        assert_sql(f, "SELECT sum(dropped) FROM spool_offset", "6000");
}

/* More of them than one step moves. */
static void test_retention_keeps_what_is_no_visit(void **state) {
        Fixture *f = *state;

        make_url(f, "abc", 0);
        make_old_visits(f, 20, 10);
        sql(f, "INSERT INTO events (url_id, timestamp, type, day) SELECT 1, i, 2,"
               " (now() AT TIME ZONE 'UTC')::date - 20 FROM generate_series(1, 4500) AS i;"
               " UPDATE totals SET events = events + 4500 WHERE slot = 2");
        tidy_all(f, now_sec() - 5 * DAY_SEC);
        assert_sql(f, "SELECT count(*) || ' ' || count(DISTINCT id) FROM events", "4501 4501");
        assert_sql(f, "SELECT count(*) FROM events_kept", "4500");
        assert_audit_clean(f);
}

/* A day that was being dropped is nothing that a load that replaces everything counts. */
static void test_load_while_a_day_goes(void **state) {
        Fixture *f = *state;
        bool more = true;

        make_url(f, "abc", 0);
        make_old_visits(f, 20, 6000);
        for (unsigned i = 0; i < 2; i++)
                tidy_step(f, now_sec() - 5 * DAY_SEC, &more);
        assert_true(more);
        assert_sql(f, "SELECT count(*) BETWEEN 1 AND 5999 FROM events_unsettled()", "t");
        assert_int_equal(store_load_begin(f->session, true), 0);
        assert_int_equal(store_load_end(f->session, true), 0);
        assert_audit_clean(f);
        tidy_all(f, now_sec() - 5 * DAY_SEC);
        assert_audit_clean(f);
        assert_sql(f, "SELECT count(*) FROM url_totals", "0");
}

/* ---- what others change ---- */

typedef struct Heard {
        char text[256];
} Heard;

static void on_changed(void *userdata, Slice code, bool made) {
        Heard *heard = userdata;
        size_t used = strlen(heard->text);

        (void)snprintf(heard->text + used, sizeof(heard->text) - used, "%s%.*s ", made ? "+" : "",
                       code.data ? (int)code.len : 1, code.data ? code.data : "*");
}

static int watch(Fixture *f, Heard *heard, uint64_t usec, bool *began) {
        *heard = (Heard){.text = ""};
        store_session_deadline(f->other, clock_monotonic_usec() + 500 * USEC_PER_MSEC);
        return store_watch(f->other, usec, on_changed, heard, began);
}

static void test_watch(void **state) {
        Fixture *f = *state;
        StoreUrlChange change = {.has_title = true, .title = S("t"), .title_details = S("{}")};
        Heard heard;
        bool began = false;
        Url url;

        assert_true(store_can_watch(f->store));
        assert_int_equal(watch(f, &heard, 0, &began), 0);
        assert_true(began);
        make_url(f, "abc", 0);
        assert_int_equal(watch(f, &heard, 200 * USEC_PER_MSEC, &began), 0);
        assert_false(began);
        assert_string_equal(heard.text, "+abc ");
        assert_int_equal(store_url_update(f->session, &f->arena, 1, &change, &url), 0);
        assert_int_equal(watch(f, &heard, 100 * USEC_PER_MSEC, &began), 0);
        assert_string_equal(heard.text, ""); /* no redirect changed */
        assert_int_equal(store_url_retire(f->session, 1, 1, S("{}")), 0);
        sql(f, "UPDATE urls SET target = 'https://b.example/' WHERE code = 'abc'");
        sql(f, "UPDATE urls SET code = 'new' WHERE code = 'abc'");
        sql(f, "DELETE FROM urls WHERE code = 'new'");
        assert_int_equal(watch(f, &heard, 200 * USEC_PER_MSEC, &began), 0);
        assert_string_equal(heard.text, "abc abc abc new new ");
        sql(f, "TRUNCATE urls");
        assert_int_equal(watch(f, &heard, 200 * USEC_PER_MSEC, &began), 0);
        assert_string_equal(heard.text, "* ");
        assert_int_equal(store_load_begin(f->session, true), 0);
        assert_int_equal(store_load_end(f->session, true), 0);
}

static void test_watch_that_is_lost(void **state) {
        Fixture *f = *state;
        bool began = false;
        Heard heard;
        int r;

        assert_int_equal(watch(f, &heard, 0, &began), 0);
        sql(f, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
               " WHERE query = 'LISTEN url_changed'");
        assert_int_equal(watch(f, &heard, 0, &began), 0);
        assert_true(began);
        server_freeze();
        r = watch(f, &heard, 10 * USEC_PER_SEC, &began);
        server_thaw();
        assert_int_equal(r, -ETIMEDOUT);
        for (unsigned i = 0; i < 200 && r != 0; i++) {
                r = watch(f, &heard, 0, &began);
                if (r != 0)
                        (void)usleep(20000);
        }
        assert_int_equal(r, 0);
        assert_true(began);
}

static int teardown(void **state) {
        server_thaw();
        return fixture_teardown(state);
}

#define VISITS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
        const struct CMUnitTest tests[] = {
                        VISITS_TEST(test_cut_behind_commit),
                        VISITS_TEST(test_sequence_is_behind),
                        VISITS_TEST(test_zombie_holds_the_spool),
                        VISITS_TEST(test_ten_thousand_in_one_transaction),
                        VISITS_TEST(test_refused_or_away),
                        VISITS_TEST(test_days_have_partitions),
                        VISITS_TEST(test_partitions_are_made_ahead),
                        VISITS_TEST(test_a_day_that_is_being_made),
                        VISITS_TEST(test_a_day_that_has_events_already),
                        VISITS_TEST(test_retention_keeps_the_totals),
                        VISITS_TEST(test_retention_yields_to_a_reader),
                        VISITS_TEST(test_each_step_of_the_retention_is_sound),
                        VISITS_TEST(test_retention_keeps_what_is_no_visit),
                        VISITS_TEST(test_load_while_a_day_goes),
                        VISITS_TEST(test_watch),
                        VISITS_TEST(test_watch_that_is_lost),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
