/* SPDX-License-Identifier: MIT */

/*
 * What a store does for itself now and then. Old rows go some at a time. Partitions of events are
 * made some days ahead and dropped when they are old: what waits for a lock there makes everybody
 * wait behind it, so it does not wait for long, and is done the next time.
 */

#include <errno.h>

#include "store/postgres/session.h"

#define AHEAD_DAYS 7

static const char SQL_SHORT_WAIT[] = "SET LOCAL lock_timeout = 200";

/* A step in a transaction of its own; more: it has left something. */
typedef int (*Step)(PgSession *s, const void *what, int64_t time_sec, bool *ret_more);

static int run_step(PgSession *s, Step step, const void *what, int64_t time_sec, bool *ret_more) {
        bool more = false;
        int r;

        r = pg_begin_write(s, WRITER_SHIPPER);
        if (r < 0)
                return r;
        r = pg_end_write(s, step(s, what, time_sec, &more), &SLICE_NONE, 0);
        if (r == 0)
                *ret_more = more;
        return r;
}

/* ---- rows ---- */

static int drop_rows(PgSession *s, const void *what, int64_t time_sec, bool *ret_more) {
        PgParams params = {.n = 0};
        const PgDrop *drop = what;
        int64_t n = 0;
        int r;

        pg_add_number(&params, time_sec);
        pg_add_number(&params, drop->n_max);
        r = pg_run_number(s, drop->statement, drop->sql, &params, &n);
        *ret_more = n == drop->n_max;
        return r;
}

int pg_drop_rows(StoreSession *session, const PgDrop *drop, int64_t time_sec, bool *ret_more) {
        return run_step(pg_session(session), drop_rows, drop, time_sec, ret_more);
}

/* ---- partitions ---- */

static int prepare(PgSession *s, const void *what _unused_, int64_t time_sec _unused_,
                   bool *ret_more) {
        PgParams params = {.n = 0};
        int64_t n = 0;
        int r;

        pg_add_int(&params, AHEAD_DAYS);
        r = pg_run_number(s, STMT_NONE, "SELECT events_prepare($1::integer)::bigint", &params, &n);
        *ret_more = n > 0;
        return r;
}

static int expire(PgSession *s, const void *what _unused_, int64_t before_sec, bool *ret_more) {
        PgParams params = {.n = 0};
        int r;

        pg_add_day(&params, before_sec);
        r = pg_run_number(s, STMT_NONE, "SELECT events_expire($1::date)", &params, NULL);
        *ret_more = r == 0;
        return r == STORE_NOT_FOUND ? 0 : r;
}

static int step_gently(PgSession *s, const void *what, int64_t time_sec, bool *ret_more) {
        const Step *step = what;
        int r;

        r = pg_run(s, STMT_NONE, SQL_SHORT_WAIT, NULL, NULL);
        return r < 0 ? r : (*step)(s, NULL, time_sec, ret_more);
}

static int run_gently(PgSession *s, Step step, int64_t time_sec, bool *ret_more) {
        int r = run_step(s, step_gently, &step, time_sec, ret_more);

        /* Somebody reads, writes or tidies there just now. */
        return r == -EBUSY && s->db && strcmp(s->sqlstate, "55P03") == 0 ? -EAGAIN : r;
}

/* What keeps partitions from being made does not keep visits from being dropped. */
int pg_events_tidy(StoreSession *session, int64_t before_sec, bool *ret_more) {
        PgSession *s = pg_session(session);
        bool to_make = false, to_drop = false;
        int made, dropped = 0;

        made = run_gently(s, prepare, 0, &to_make);
        if (made < 0 && made != -EAGAIN)
                return made;
        if (before_sec != 0)
                dropped = run_gently(s, expire, before_sec, &to_drop);
        if (dropped != 0)
                return dropped;
        if (made != 0 && !to_drop)
                return made;
        *ret_more = to_make || to_drop;
        return 0;
}
