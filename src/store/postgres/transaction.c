/* SPDX-License-Identifier: MIT */

/*
 * Transactions and rows of a PostgreSQL session. BEGIN travels with the transaction's first
 * statement; COMMIT has a trip of its own, since the host page has to know before it which links
 * change.
 *
 * Locks are taken in one order, so that writers never wait for each other in a circle: the rows of
 * users and links, events, what the links have as totals (by id), the totals of the lists.
 */

#include <errno.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define ROLLBACK_USEC (200 * USEC_PER_MSEC) /* longer than that, and closing is the rollback */

int pg_begin_read(PgSession *s) {
        int r;

        r = pg_ready(s);
        if (r < 0 || s->in_load)
                return r;
        s->transaction = TRANSACTION_WANTED;
        s->read_only = true;
        return 0;
}

void pg_end_read(PgSession *s) {
        if (!s->in_load)
                pg_rollback(s);
}

void pg_rollback(PgSession *s) {
        char error[STORE_ERROR_SIZE];

        if (s->db && s->transaction == TRANSACTION_OPEN) {
                memcpy(error, s->session.error, sizeof(error));
                s->limit_usec = clock_monotonic_usec() + ROLLBACK_USEC;
                s->committing = true;
                if (pg_run(s, STMT_NONE, "ROLLBACK", NULL, NULL) < 0)
                        pg_disconnect(s);
                s->timeout_msec = PG_TIMEOUT_UNKNOWN;
                memcpy(s->session.error, error, sizeof(error));
        }
        s->transaction = TRANSACTION_NONE;
        s->committing = false;
}

static int begin(PgSession *s, PgWriter writer) {
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        s->transaction = TRANSACTION_WANTED;
        s->read_only = false;
        s->writer = writer;
        return 0;
}

int pg_begin_write(PgSession *s, PgWriter writer) {
        int r;

        if (s->in_load) {
                if (writer == WRITER_IMPORT)
                        return pg_ready(s);
                store_session_set_error(&s->session, "only imports may be part of a load");
                return -EINVAL;
        }
        if (writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, 1);
        r = begin(s, writer);
        if (r < 0 && writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, -1);
        return r;
}

int pg_begin_again(PgSession *s) {
        pg_rollback(s);
        return begin(s, s->writer);
}

/* Others know by now that the server was away: it may be an old primary that was frozen in the
 * middle of this, and goes on where it stood. */
static int distrust(PgSession *s, const char *outcome, int result) {
        pg_disconnect(s);
        store_session_set_error(&s->session, "another server may have been promoted meanwhile: %s",
                                outcome);
        return result;
}

static int commit(PgSession *s, const Slice *codes, size_t n, bool made) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        if (pg_is_passed(s))
                return distrust(s, "nothing was changed", -EBUSY);
        if (made)
                store_hook_making(&s->session, codes, n);
        else
                store_hook_committing(&s->session, codes, n);
        s->committing = true;
        r = pg_run(s, STMT_NONE, "COMMIT", NULL, &result);
        s->committing = false;
        store_hook_committed(&s->session, codes, n);
        if (r == 0 && strcmp(PQcmdStatus(result), "COMMIT") != 0) {
                store_session_set_error(&s->session, "the server rolled the change back");
                return -EIO;
        }
        if (r == 0 && pg_is_passed(s))
                return distrust(s, "the change may be lost", -ETIMEDOUT);
        return r;
}

static int end_write(PgSession *s, int result, const Slice *codes, size_t n, bool made) {
        if (s->in_load) {
                s->load_failed = s->load_failed || result < 0;
                return result;
        }
        if (result == 0 && s->transaction == TRANSACTION_OPEN)
                result = commit(s, codes, n, made);
        pg_rollback(s);
        if (s->writer == WRITER_CLIENT)
                store_hook_waiting(&s->session, -1);
        return result;
}

int pg_end_write(PgSession *s, int result, const Slice *codes, size_t n) {
        return end_write(s, result, codes, n, false);
}

int pg_end_making(PgSession *s, int result, const Slice *codes, size_t n) {
        return end_write(s, result, codes, n, true);
}

int pg_count(PgSession *s, const StoreTotals *change) {
        static const char sql[] =
                        "UPDATE totals SET users = users + $2::bigint, urls = urls + $3::bigint,"
                        " active_urls = active_urls + $4::bigint, events = events + $5::bigint,"
                        " redirects = redirects + $6::bigint WHERE slot = $1::integer";
        PgParams params = {.n = 0};

        pg_add_int(&params, (int32_t)s->slot);
        pg_add_number(&params, change->users);
        pg_add_number(&params, change->urls);
        pg_add_number(&params, change->active_urls);
        pg_add_number(&params, change->events);
        pg_add_number(&params, change->redirects);
        return pg_run(s, STMT_COUNT, sql, &params, NULL);
}

int pg_collect(const PGresult *result, int column, PgRows *rows) {
        int n_rows = PQntuples(result), r;

        rows->n = 0;
        rows->rows = arena_alloc_zero(rows->arena, (size_t)n_rows, rows->row_size);
        if (!rows->rows)
                return -ENOMEM;
        for (int i = 0; i < n_rows; i++) {
                if (PQgetisnull(result, i, column))
                        continue;
                r = rows->read(result, i, column, rows->arena,
                               (char *)rows->rows + rows->n * rows->row_size);
                if (r < 0)
                        return r;
                rows->n++;
        }
        return 0;
}
