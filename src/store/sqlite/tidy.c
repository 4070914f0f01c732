/* SPDX-License-Identifier: MIT */

/* Old rows go some at a time, so that writers get in between. */

#include "store/sqlite/session.h"

static int drop_rows(SqliteSession *s, const SqliteDrop *drop, int64_t time_sec, bool *ret_more) {
        sqlite3_stmt *statement;
        int r;

        r = sqlite_statement(s, drop->statement, drop->sql, &statement);
        if (r < 0)
                return r;
        sqlite_bind_number(statement, 1, time_sec);
        sqlite_bind_number(statement, 2, drop->n_max);
        r = sqlite_run(s, statement);
        *ret_more = r == 0 && sqlite3_changes(s->db) == (int)drop->n_max;
        return r;
}

int sqlite_drop_rows(SqliteSession *s, const SqliteDrop *drop, int64_t time_sec, bool *ret_more) {
        bool more = false;
        int r;

        r = sqlite_begin_write(s, WRITER_SHIPPER);
        if (r < 0)
                return r;
        r = sqlite_end_write(s, drop_rows(s, drop, time_sec, &more), &SLICE_NONE, 0);
        if (r == 0)
                *ret_more = more;
        return r;
}
