/* SPDX-License-Identifier: MIT */

/* How many connections the server takes, and how many it has. */

#include "store/postgres/session.h"

/* pg_stat_activity hides of other roles' connections what they are; the counts of the databases are
 * everybody's. PostgreSQL 16 reserves some for a role too. */
static const char SQL_CAPACITY[] =
                "SELECT current_setting('max_connections')::bigint,"
                " current_setting('superuser_reserved_connections')::bigint"
                " + coalesce(current_setting('reserved_connections', true)::bigint, 0),"
                " coalesce(least((SELECT nullif(rolconnlimit, -1) FROM pg_roles"
                " WHERE rolname = session_user),"
                " (SELECT nullif(datconnlimit, -1) FROM pg_database"
                " WHERE datname = current_database())), -1)::bigint,"
                " (SELECT coalesce(sum(numbackends), 0) FROM pg_stat_database)::bigint";

int pg_capacity(StoreSession *session, StoreCapacity *ret) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        PgSession *s = pg_session(session);
        int r;

        r = pg_ready(s);
        if (r == 0)
                r = pg_run(s, STMT_NONE, SQL_CAPACITY, NULL, &result);
        if (r < 0)
                return r;
        *ret = (StoreCapacity){
                        .max = pg_number(result, 0, 0),
                        .reserved = pg_number(result, 0, 1),
                        .limit = pg_number(result, 0, 2),
                        .in_use = pg_number(result, 0, 3),
        };
        return 0;
}
