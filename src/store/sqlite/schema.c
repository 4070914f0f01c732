/* SPDX-License-Identifier: MIT */

/*
 * The schema's version and the migrations. A version is kept in the file's user_version, and our
 * application_id beside it, so that another program's database is never taken for an empty one.
 * Each migration is one transaction which looks at the version again under the write lock, so any
 * number of processes may migrate at once.
 */

#include <errno.h>
#include <stdio.h>

#include "store/sqlite/session.h"

#define APPLICATION_ID 0x73687274 /* "shrt" */

static const SchemaSeries *series_of(const SqliteSession *s) {
        const SqliteStore *store = s->session.store->data;

        return &store->series;
}

int sqlite_version(SqliteSession *s, int *ret) {
        sqlite3_stmt *statement;
        int64_t version = 0;
        int r;

        r = sqlite_statement(s, STMT_VERSION, "PRAGMA user_version", &statement);
        if (r < 0)
                return r;
        r = sqlite_number(s, statement, &version);
        if (r < 0)
                return r;
        *ret = (int)version;
        return 0;
}

/* Does the file hold something that no migration of ours made? */
static int is_foreign(SqliteSession *s, bool *ret) {
        int64_t application = 0, n_objects = 0;
        int r;

        r = sqlite_query(s, "PRAGMA application_id", &application);
        if (r < 0)
                return r;
        r = sqlite_query(s, "SELECT count(*) FROM sqlite_master", &n_objects);
        if (r < 0)
                return r;
        *ret = n_objects > 0 && application != APPLICATION_ID;
        return 0;
}

static int check_ours(SqliteSession *s) {
        bool foreign = false;
        int r;

        r = is_foreign(s, &foreign);
        if (r < 0 || !foreign)
                return r;
        store_session_set_error(&s->session, "%s is another program's database",
                                s->session.store->place);
        return STORE_BAD_SCHEMA;
}

static int check_known(SqliteSession *s, int version) {
        int r;

        r = check_ours(s);
        if (r != 0)
                return r;
        if (version < 0 || (size_t)version > series_of(s)->n) {
                store_session_set_error(&s->session,
                                        "the schema's version %d is newer than this program's, %zu",
                                        version, series_of(s)->n);
                return STORE_BAD_SCHEMA;
        }
        return 0;
}

static int apply(SqliteSession *s, const SchemaMigration *migration) {
        char pragmas[128];
        int r;

        r = sqlite_execute(s, migration->sql);
        if (r < 0)
                return r;
        (void)snprintf(pragmas, sizeof(pragmas),
                       "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION_ID,
                       migration->version);
        return sqlite_execute(s, pragmas);
}

/* Under the write lock: up to max of the migrations behind the file's version. */
static int apply_behind(SqliteSession *s, size_t max, int *ret_n) {
        const SchemaSeries *series = series_of(s);
        int version = 0;
        int r;

        r = sqlite_version(s, &version);
        if (r < 0)
                return r;
        r = check_known(s, version);
        if (r != 0)
                return r;
        *ret_n = 0;
        for (size_t i = (size_t)version; i < series->n && max-- > 0; i++) {
                r = apply(s, &series->migrations[i]);
                if (r < 0)
                        return r;
                (*ret_n)++;
        }
        return 0;
}

static int migrate(SqliteSession *s, size_t max, int *ret_n) {
        int r;

        r = sqlite_execute(s, "BEGIN IMMEDIATE");
        if (r < 0)
                return r;
        r = apply_behind(s, max, ret_n);
        if (r == 0) {
                s->must_finish = true;
                r = sqlite_execute(s, "COMMIT");
                s->must_finish = false;
        }
        sqlite_rollback(s);
        return r == 0 ? sqlite_sync_log(s) : r;
}

int sqlite_make_schema(SqliteSession *s) {
        int64_t n_objects = 0;
        int version = 0;
        int n, r;

        r = sqlite_version(s, &version);
        if (r < 0)
                return r;
        r = sqlite_query(s, "SELECT count(*) FROM sqlite_master", &n_objects);
        if (r < 0)
                return r;
        if (version != 0 || n_objects != 0)
                return 0;
        /* All in one transaction: nobody sees a new file half made. What another process put in
         * meanwhile is left alone. */
        r = migrate(s, SIZE_MAX, &n);
        return r > 0 ? 0 : r;
}

/* ---- the verbs ---- */

int sqlite_schema(StoreSession *session, StoreSchema *ret) {
        SqliteSession *s = sqlite_session(session);
        int version = 0;
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        r = check_ours(s);
        if (r != 0)
                return r;
        r = sqlite_version(s, &version);
        if (r < 0)
                return r;
        *ret = (StoreSchema){version, (int)series_of(s)->n, series_of(s)->oldest};
        return 0;
}

int sqlite_migrate(StoreSession *session, int *ret_n) {
        SqliteSession *s = sqlite_session(session);
        int total = 0;
        int n = 0;
        int r;

        r = sqlite_ready(s);
        if (r < 0)
                return r;
        if (s->in_load) {
                store_session_set_error(session, "only imports may be part of a load");
                return -EINVAL;
        }
        do {
                r = migrate(s, 1, &n);
                if (r != 0)
                        return r;
                total += n;
        } while (n > 0);
        *ret_n = total;
        return 0;
}
