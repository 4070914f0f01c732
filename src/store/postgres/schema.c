/* SPDX-License-Identifier: MIT */

/*
 * The schema's version and the migrations. Each version that was applied is a row of
 * schema_versions. Each migration is one transaction, which looks again under an advisory lock, so
 * any number of processes may migrate at once.
 */

#include <errno.h>
#include <stdio.h>

#include "store/postgres/session.h"

static const SchemaSeries *series_of(const PgSession *s) {
        return &pg_store(s)->series;
}

/* 0: there is no schema. */
static int get_version(PgSession *s, int64_t *ret) {
        int64_t exists = 0;
        int r;

        *ret = 0;
        r = pg_run_number(s, STMT_NONE,
                          "SELECT to_regclass('schema_versions') IS NOT NULL OR"
                          " to_regclass('urls') IS NOT NULL",
                          NULL, &exists);
        if (r != 0 || !exists)
                return r < 0 ? r : 0;
        r = pg_run_number(s, STMT_NONE, "SELECT max(version) FROM schema_versions", NULL, ret);
        return r < 0 ? r : 0;
}

static int check_known(PgSession *s, int64_t version) {
        if (version >= 0 && (size_t)version <= series_of(s)->n)
                return 0;
        store_session_set_error(&s->session,
                                "the schema's version %lld is newer than this program's, %zu",
                                (long long)version, series_of(s)->n);
        return STORE_BAD_SCHEMA;
}

/* Texts are UTF-8; another encoding cannot keep them all, or (SQL_ASCII) checks and sorts nothing.
 */
static int check_encoding(PgSession *s) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        Slice encoding;
        int r;

        r = pg_run(s, STMT_NONE, "SELECT current_setting('server_encoding')", NULL, &result);
        if (r < 0)
                return r;
        encoding = pg_text(result, 0, 0);
        if (slice_equal(encoding, SLICE("UTF8")))
                return 0;
        store_session_set_error(&s->session,
                                "the database's encoding is %.*s, not UTF8: make one with CREATE "
                                "DATABASE ... ENCODING 'UTF8' TEMPLATE template0",
                                (int)encoding.len, encoding.data);
        return STORE_BAD_SCHEMA;
}

static int note_version(PgSession *s, const SchemaMigration *migration) {
        static const char sql[] = "INSERT INTO schema_versions (version, name)"
                                  " VALUES ($1::integer, $2::text)";
        PgParams params = {.n = 0};

        pg_add_int(&params, migration->version);
        pg_add_text(&params, slice_from_string(migration->name));
        return pg_run(s, STMT_NONE, sql, &params, NULL);
}

/* Under the lock: the next migration, if there is one. */
static int apply_next(PgSession *s, int *ret_n) {
        static const char sql_table[] = "CREATE TABLE IF NOT EXISTS schema_versions ("
                                        " version integer PRIMARY KEY, name text NOT NULL,"
                                        " applied timestamptz NOT NULL DEFAULT now())";
        const SchemaMigration *migration;
        int64_t version;
        int r;

        r = pg_run(s, STMT_NONE, "SELECT pg_advisory_xact_lock(hashtext('shortener schema'))", NULL,
                   NULL);
        if (r == 0)
                r = check_encoding(s);
        if (r == 0)
                r = get_version(s, &version);
        if (r != 0)
                return r;
        r = check_known(s, version);
        *ret_n = 0;
        if (r != 0 || (size_t)version == series_of(s)->n)
                return r;
        migration = &series_of(s)->migrations[version];
        r = pg_run(s, STMT_NONE, sql_table, NULL, NULL);
        if (r == 0)
                r = pg_execute(s, migration->sql);
        if (r == 0)
                r = note_version(s, migration);
        if (r == 0)
                *ret_n = 1;
        return r;
}

/* ---- of a new connection ---- */

/* One statement where all is well. */
static int read_fit(PgSession *s, int64_t *ret_version) {
        static const char sql[] = "SELECT max(version) FROM schema_versions"
                                  " HAVING current_setting('server_encoding') = 'UTF8'";
        int r = pg_run_number(s, STMT_NONE, sql, NULL, ret_version);

        if (r == -EPROTO && strcmp(s->sqlstate, "42P01") != 0)
                return STORE_NOT_FOUND; /* it may not be looked at: calls will tell */
        if (r == 0 || (r < 0 && r != -EPROTO))
                return r;
        *ret_version = 0; /* no table, no row, or another encoding */
        return check_encoding(s);
}

int pg_ask_fit(PgSession *s, char ret_why[STORE_ERROR_SIZE]) {
        StoreSchema schema = {.supported = (int)series_of(s)->n, .oldest = series_of(s)->oldest};
        int64_t version = 0;
        int r;

        *ret_why = 0;
        if (!s->session.store->options.check_fit)
                return 0;
        r = read_fit(s, &version);
        schema.version = (int)MIN(version, (int64_t)INT32_MAX);
        if (r == STORE_BAD_SCHEMA)
                memcpy(ret_why, s->session.error, sizeof(s->session.error));
        else if (r == 0 && !store_schema_fits(&schema, atomic_load(&pg_store(s)->ran), ret_why,
                                              STORE_ERROR_SIZE))
                r = STORE_BAD_SCHEMA;
        if (r < 0 || r == STORE_BAD_SCHEMA) {
                pg_disconnect(s);
                return r;
        }
        return 0;
}

void pg_set_fit(PgSession *s) {
        if (!s->session.store->options.check_fit)
                return;
        atomic_store(&pg_store(s)->ran, true);
        store_set_fit(s->session.store);
}

int pg_set_unfit(PgSession *s, const char *why) {
        store_session_set_error(&s->session, "%s", why);
        atomic_fetch_add(&pg_store(s)->n_unfit, 1); /* older connections look again */
        store_set_unfit(s->session.store, why);
        return -EHOSTDOWN;
}

/* ---- the verbs ---- */

int pg_schema(StoreSession *session, StoreSchema *ret) {
        PgSession *s = pg_session(session);
        int64_t version;
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = check_encoding(s);
        if (r == 0)
                r = get_version(s, &version);
        if (r != 0)
                return r;
        *ret = (StoreSchema){(int)version, (int)series_of(s)->n, series_of(s)->oldest};
        return 0;
}

int pg_migrate(StoreSession *session, int *ret_n) {
        PgSession *s = pg_session(session);
        int total = 0, n = 0, r;

        do {
                r = pg_begin_write(s, WRITER_SHIPPER);
                if (r < 0)
                        return r;
                r = pg_end_write(s, apply_next(s, &n), &SLICE_NONE, 0);
                if (r != 0)
                        return r;
                total += n;
        } while (n > 0);
        *ret_n = total;
        return 0;
}
