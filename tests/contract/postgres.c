/* SPDX-License-Identifier: MIT */

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "contract/fixture.h"
#include "contract/postgres.h"

#define DATABASE "contract"

char *postgres_url(const char *database) {
        const char *folder = getenv("SHORTENER_TEST_POSTGRES");
        char *url = NULL;

        if (!folder)
                fail_msg("run by tests/lib/postgres.py, which starts a server");
        CHECK(asprintf(&url, "postgresql:///%s?host=%s&user=postgres", database, folder) > 0);
        return url;
}

char *postgres_store_url(const char *database) {
        const char *folder = getenv("SHORTENER_TEST_PGBOUNCER");
        char *url = NULL;

        if (!folder)
                return postgres_url(database);
        CHECK(asprintf(&url, "postgresql:///%s?host=%s&user=postgres", database, folder) > 0);
        return url;
}

char *postgres_sql(const char *database, const char *sql) {
        char *url = postgres_url(database), *value;
        PGconn *db = PQconnectdb(url);
        PGresult *result = PQexec(db, sql);

        if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
                fail_msg("%s: %s", sql, PQerrorMessage(db));
        value = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
        CHECK(value);
        PQclear(result);
        PQfinish(db);
        free(url);
        return value;
}

/* An emptied store is a new one, in a fiftieth of the time that a new database takes. */
static const char SQL_RESET[] =
                "DELETE FROM users; DELETE FROM urls; DELETE FROM url_totals;"
                "DELETE FROM url_hours; DELETE FROM events; DELETE FROM spool_offset;"
                "DELETE FROM event_types WHERE id > 4; DELETE FROM tokens; DELETE FROM audit; "
                "DELETE FROM idempotency_keys;"
                "UPDATE totals SET users = 0, urls = 0, active_urls = 0, events = 0, redirects = 0;"
                "SELECT setval(s, 1, false) FROM unnest(ARRAY['user_ids', 'url_ids', 'event_ids',"
                " 'spool_offset_id_seq']) AS s";

static void make_database(void) {
        const StoreOptions options = {.connect_usec = FAR_USEC};
        char *url = postgres_url(DATABASE);
        StoreSession *session;
        Store *store;
        int n = 0;

        free(postgres_sql("postgres", "CREATE DATABASE " DATABASE));
        assert_int_equal(store_new(url, &options, &store), 0);
        assert_int_equal(store_session_new(store, NULL, &session), 0);
        if (store_migrate(session, &n) != 0)
                fail_msg("migration: %s", store_session_error(session));
        assert_true(n > 0);
        (void)store_session_free(session);
        (void)store_free(store);
        free(url);
}

const char *postgres_database(void) {
        static bool made;

        if (!made)
                make_database();
        made = true;
        free(postgres_sql(DATABASE, SQL_RESET));
        return DATABASE;
}
