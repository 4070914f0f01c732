/* SPDX-License-Identifier: MIT */

/*
 * Running statements. The connection is in libpq's pipeline mode, so that what has to come before a
 * statement (a timeout, BEGIN, its preparation) costs no trip of its own; it leaves that mode for
 * COPY and for several statements at once, which the protocol does not have in it.
 */

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define COPY_CHUNK       65536u /* bytes given to libpq at once */
#define TIMEOUT_NEVER    0u
#define TIMEOUT_LEAST    1u
#define TIMEOUT_MOST     (1u << 20)            /* ms */
#define LIST_MARGIN_USEC (150 * USEC_PER_MSEC) /* for a list's answer to arrive in, at least */
#define BINARY           1
#define COPY_SIGNATURE   "PGCOPY\n\377\r\n" /* and a NUL, which the literal brings */

/* What a trip brought back. */
typedef struct PgTrip {
        PGresult *last;  /* the newest that is no error */
        PGresult *error; /* the first that is one */
        int n_done;      /* statements that ended well */
} PgTrip;

/* ---- errors ---- */

static bool is_class(const char *sqlstate, const char *class) {
        return strncmp(sqlstate, class, 2) == 0;
}

static bool is_one_of(const char *sqlstate, const char *const *list) {
        for (; *list; list++)
                if (strcmp(sqlstate, *list) == 0)
                        return true;
        return false;
}

/* What a state means for the caller; marks a connection that is of no more use. */
static int meaning_of(PgSession *s, const char *sqlstate, const char *constraint) {
        /* Shutting down, crashed, starting; a standby; idle for too long; too many connections. */
        static const char *const lost[] = {"57P01", "57P02", "57P03", "57P05",
                                           "25006", "25P03", "53300", NULL};
        /* A table, a column or a function is not there: the schema is not ours any more. */
        static const char *const strange[] = {"42P01", "42703", "42883", NULL};
        /* A lock was not to be had; a deadlock; a race. */
        static const char *const busy[] = {"55P03", "40P01", "40001", NULL};

        if (is_class(sqlstate, "08") || is_one_of(sqlstate, lost)) {
                s->lost = true;
                return -EHOSTDOWN;
        }
        if (s->connected && s->session.store->options.check_fit && is_one_of(sqlstate, strange))
                s->lost = true; /* this call fails; the next connection looks at the schema */
        if (is_one_of(sqlstate, busy))
                return -EBUSY;
        if (strcmp(sqlstate, "57014") == 0) { /* statement_timeout: it was rolled back */
                s->session.spared = true;     /* who says so is there */
                return s->transaction != TRANSACTION_NONE && !s->read_only && !s->committing
                                       ? -EBUSY
                                       : -ETIMEDOUT;
        }
        if (strcmp(constraint, "events_default_ahead") == 0) /* its day is being made */
                return -EBUSY;
        if (is_class(sqlstate, "22") || is_class(sqlstate, "23"))
                return -EBADMSG;
        if (strcmp(sqlstate, "53200") == 0) { /* locks or memory: of this statement, others go on */
                s->session.spared = true;
                return -EBUSY;
        }
        if (is_class(sqlstate, "53")) /* disk of the server */
                return -EHOSTDOWN;
        if (is_class(sqlstate, "58") || is_class(sqlstate, "XX"))
                return -EIO;
        return -EPROTO;
}

static void keep_field(char *to, size_t size, const PGresult *result, int field) {
        const char *text = PQresultErrorField(result, field);

        (void)snprintf(to, size, "%s", text ? text : "");
}

void pg_advise(PgSession *s) {
        static const char pooler[] = "a pooler gives each transaction another connection: set "
                                     "[Store] Prepared=no";
        static const char init[] = "run \"shortenerctl db init\"";
        static const char login[] = "see pg_hba.conf, and the password (shortener.systemd(7))";
        static const struct {
                const char *sqlstate, *advice;
        } known[] = {
                        {"26000", pooler}, /* no such prepared statement */
                        {"42P05", pooler}, /* there is one already */
                        {"42P01", init},   /* no such table */
                        {"3D000", init},   /* no such database */
                        {"28000", login},  /* no such role, or pg_hba.conf does not let it in */
                        {"28P01", login},  /* password */
                        {"53200", "raise max_locks_per_transaction, or its memory"},
                        {"42501", "GRANT it, as \"shortenerctl db init\" does"},
                        {"53300",
                         "raise max_connections or the CONNECTION LIMIT, or lower Workers="},
        };
        char error[STORE_ERROR_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(known); i++) {
                if (strcmp(s->sqlstate, known[i].sqlstate) != 0)
                        continue;
                memcpy(error, s->session.error, sizeof(error));
                store_session_set_error(&s->session, "%s: %s", error, known[i].advice);
                return;
        }
}

static int fail(PgSession *s, const PGresult *error) {
        const char *text = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);

        keep_field(s->sqlstate, sizeof(s->sqlstate), error, PG_DIAG_SQLSTATE);
        keep_field(s->constraint, sizeof(s->constraint), error, PG_DIAG_CONSTRAINT_NAME);
        s->timeout_msec = PG_TIMEOUT_UNKNOWN;
        if (!text || !*s->sqlstate) /* libpq's own: the connection broke */
                return pg_broken(s);
        store_session_set_error(&s->session, "%s (%s)", text, s->sqlstate);
        pg_advise(s);
        return meaning_of(s, s->sqlstate, s->constraint);
}

/* ---- sending ---- */

static int sent(PgSession *s, int ok) {
        return LIKELY(ok == 1) ? 0 : pg_broken(s);
}

static int send_plain(PgSession *s, const char *sql) {
        return sent(s, PQsendQueryParams(s->db, sql, 0, NULL, NULL, NULL, NULL, BINARY));
}

/* How long a statement may wait for a lock, in powers of two, so that it is rarely set anew. The
 * statement itself may take about twice as long, which is past our deadline: the server ends what
 * nobody waits for any more. */
static uint64_t timeout_of(const PgSession *s) {
        uint64_t now_usec = clock_monotonic_usec(), left, msec = TIMEOUT_LEAST;

        if (s->limit_usec == 0)
                return TIMEOUT_NEVER;
        left = s->limit_usec > now_usec ? (s->limit_usec - now_usec) / USEC_PER_MSEC : 0;
        while (msec < TIMEOUT_MOST && msec * 2 <= left - left / 8)
                msec *= 2;
        return msec;
}

static int send_setting(PgSession *s, const char *name, uint64_t msec, int *n) {
        char sql[96];

        (void)snprintf(sql, sizeof(sql), "SET %s %s = %llu",
                       s->session.store->options.unprepared ? "LOCAL" : "SESSION", name,
                       (unsigned long long)msec);
        (*n)++;
        return send_plain(s, sql);
}

/* Behind a pooler that gives out connections by transaction, a setting must be of one, too. */
static int send_timeouts(PgSession *s, int *n) {
        bool pooled = s->session.store->options.unprepared;
        uint64_t msec = timeout_of(s);
        int r;

        if (!pooled && msec == s->timeout_msec)
                return 0;
        s->timeout_msec = msec;
        r = send_setting(s, "lock_timeout", msec, n);
        return r < 0 ? r : send_setting(s, "statement_timeout", msec * 4, n);
}

/* Behind such a pooler, what a new connection is told otherwise. */
static int send_settings(PgSession *s, int *n) {
        int r;

        r = send_timeouts(s, n);
        if (r < 0 || s->read_only)
                return r;
        (*n)++;
        return send_plain(s, "SELECT " PG_SETTINGS("true"));
}

static const char *begin_of(const PgSession *s) {
        if (s->read_only)
                return "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        return s->session.store->options.unprepared ? "BEGIN ISOLATION LEVEL READ COMMITTED"
                                                    : "BEGIN";
}

/* What has to go before the statement; *n: how many that are. */
static int send_due(PgSession *s, int *n) {
        int r = 0;

        if (s->connected && s->transaction != TRANSACTION_OPEN &&
            !s->session.store->options.unprepared)
                r = send_timeouts(s, n);
        if (r == 0 && s->transaction == TRANSACTION_WANTED) {
                (*n)++;
                r = send_plain(s, begin_of(s));
                if (r == 0 && s->session.store->options.unprepared)
                        r = send_settings(s, n);
        }
        return r;
}

/* *n: how many statements that makes. */
static int send_statement(PgSession *s, PgStatement statement, const char *sql,
                          const PgParams *params, int *n) {
        static const int formats[PG_PARAMS_MAX] = {BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
                                                   BINARY, BINARY, BINARY, BINARY, BINARY, BINARY,
                                                   BINARY, BINARY, BINARY, BINARY};
        static const PgParams none = {.n = 0};
        char name[16];
        int r;

        if (!params)
                params = &none;
        (*n)++;
        if (statement == STMT_NONE || s->session.store->options.unprepared)
                return sent(s, PQsendQueryParams(s->db, sql, params->n, NULL, params->values,
                                                 params->lengths, formats, BINARY));
        (void)snprintf(name, sizeof(name), "s%u", (unsigned)statement);
        if (UNLIKELY(!s->prepared[statement])) {
                (*n)++;
                r = sent(s, PQsendPrepare(s->db, name, sql, 0, NULL));
                if (r < 0)
                        return r;
        }
        return sent(s, PQsendQueryPrepared(s->db, name, params->n, params->values, params->lengths,
                                           formats, BINARY));
}

/* What takes too long is ended by the server, in time for us to hear of it: so it is told apart
 * from a server that is silent, and the connection stays. Of the transaction that the trip is,
 * which a pooler leaves in one piece. */
static int send_limit(PgSession *s, int *n) {
        static const char sql[] = "SELECT set_config('statement_timeout', $1::bigint::text, true)";
        uint64_t now_usec = clock_monotonic_usec(), left_usec;
        PgParams params = {.n = 0};

        left_usec = s->limit_usec > now_usec ? s->limit_usec - now_usec : 0;
        left_usec -= MIN(MAX(left_usec / 8, LIST_MARGIN_USEC), left_usec / 2);
        pg_add_number(&params, (int64_t)MAX(left_usec / USEC_PER_MSEC, (uint64_t)TIMEOUT_LEAST));
        return send_statement(s, STMT_LIMIT, sql, &params, n);
}

/* ---- receiving ---- */

/* The next result; NULL at the end of a statement's. */
static int receive(PgSession *s, PGresult **ret) {
        int r;

        while (PQisBusy(s->db)) {
                r = pg_wait(s, POLLIN);
                if (r < 0)
                        return r;
                if (PQconsumeInput(s->db) == 0)
                        return pg_broken(s);
        }
        *ret = PQgetResult(s->db);
        return 0;
}

static void note(PgTrip *trip, PGresult *result) {
        switch (PQresultStatus(result)) {
        case PGRES_COMMAND_OK:
        case PGRES_TUPLES_OK:
        case PGRES_COPY_IN:
                PQclear(trip->last);
                trip->last = result;
                trip->n_done++;
                return;
        case PGRES_PIPELINE_ABORTED:
                break;
        case PGRES_EMPTY_QUERY:
        case PGRES_COPY_OUT:
        case PGRES_COPY_BOTH:
        case PGRES_SINGLE_TUPLE:
        case PGRES_PIPELINE_SYNC:
        case PGRES_BAD_RESPONSE:
        case PGRES_NONFATAL_ERROR:
        case PGRES_FATAL_ERROR:
        default:
                if (!trip->error) {
                        trip->error = result;
                        return;
                }
        }
        PQclear(result);
}

/* All results up to the mark at the trip's end. */
static int receive_trip(PgSession *s, PgTrip *trip) {
        PGresult *result = NULL;
        int r;

        for (;;) {
                r = receive(s, &result);
                if (r < 0)
                        return r;
                if (!result) {
                        if (PQstatus(s->db) == CONNECTION_BAD)
                                return trip->error ? 0 : pg_broken(s);
                        continue;
                }
                if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
                        PQclear(result);
                        return 0;
                }
                note(trip, result);
        }
}

/* Results of what was sent outside of a pipeline: until there are no more, or COPY wants data. */
static int receive_plain(PgSession *s, PgTrip *trip) {
        PGresult *result = NULL;
        bool copying = false;
        int r;

        do {
                r = receive(s, &result);
                if (r < 0)
                        return r;
                if (!result)
                        break;
                copying = PQresultStatus(result) == PGRES_COPY_IN;
                note(trip, result);
        } while (!copying);
        return 0;
}

static int end_trip(PgSession *s, PgTrip *trip, int r, PGresult **ret) {
        if (r == 0 && trip->error)
                r = fail(s, trip->error);
        if (!s->lost && s->transaction != TRANSACTION_NONE)
                s->transaction = PQtransactionStatus(s->db) == PQTRANS_IDLE ? TRANSACTION_NONE
                                                                            : TRANSACTION_OPEN;
        PQclear(trip->error);
        if (r == 0 && ret)
                *ret = trip->last;
        else
                PQclear(trip->last);
        if (s->lost)
                pg_disconnect(s);
        return r;
}

/* ---- public ---- */

static int run(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
               bool is_list, PGresult **ret) {
        bool limited = is_list && s->limit_usec != 0 && s->transaction == TRANSACTION_NONE;
        PgTrip trip = {NULL, NULL, 0};
        int n_due = 0, n_all, r;

        r = send_due(s, &n_due);
        if (r == 0 && limited)
                r = send_limit(s, &n_due);
        n_all = n_due;
        if (r == 0)
                r = send_statement(s, statement, sql, params, &n_all);
        if (r == 0)
                r = sent(s, PQpipelineSync(s->db));
        if (r == 0)
                r = pg_flush(s);
        if (r == 0)
                r = receive_trip(s, &trip);
        if (limited && trip.n_done >= n_due - 1)
                s->prepared[STMT_LIMIT] = true;
        if (n_all == n_due + 2 && trip.n_done > n_due)
                s->prepared[statement] = true;
        return end_trip(s, &trip, r, ret);
}

int pg_run(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
           PGresult **ret) {
        return run(s, statement, sql, params, false, ret);
}

int pg_run_list(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
                PGresult **ret) {
        return run(s, statement, sql, params, true, ret);
}

int pg_run_number(PgSession *s, PgStatement statement, const char *sql, const PgParams *params,
                  int64_t *ret) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        r = pg_run(s, statement, sql, params, &result);
        if (r < 0)
                return r;
        if (PQntuples(result) == 0 || PQgetisnull(result, 0, 0))
                return STORE_NOT_FOUND;
        if (ret)
                *ret = pg_number(result, 0, 0);
        return 0;
}

int pg_execute(PgSession *s, const char *sql) {
        PgTrip trip = {NULL, NULL, 0};
        int r;

        if (PQexitPipelineMode(s->db) == 0)
                return pg_broken(s);
        r = sent(s, PQsendQuery(s->db, sql));
        if (r == 0)
                r = pg_flush(s);
        if (r == 0)
                r = receive_plain(s, &trip);
        if (r == 0 && PQenterPipelineMode(s->db) == 0 && !trip.error)
                r = pg_broken(s);
        return end_trip(s, &trip, r, NULL);
}

static int put_data(PgSession *s, Slice data) {
        int n, r;

        while (data.len > 0) {
                size_t some = MIN(data.len, (size_t)COPY_CHUNK);

                n = PQputCopyData(s->db, data.data, (int)some);
                if (n < 0)
                        return pg_broken(s);
                if (n > 0)
                        data = slice_from(data, some);
                r = pg_flush(s);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int put_end(PgSession *s) {
        int n, r;

        while ((n = PQputCopyEnd(s->db, NULL)) == 0) {
                r = pg_wait(s, POLLOUT);
                if (r < 0)
                        return r;
        }
        return n < 0 ? pg_broken(s) : pg_flush(s);
}

static int copy_rows(PgSession *s, Slice rows) {
        static const char head[] = COPY_SIGNATURE "\0\0\0\0\0\0\0\0"; /* no flags, no extension */
        static const char tail[] = {'\377', '\377'};
        int r;

        CHECK(sizeof(COPY_SIGNATURE) == 11);
        r = put_data(s, slice_make(head, sizeof(COPY_SIGNATURE) + 8));
        if (r == 0)
                r = put_data(s, rows);
        if (r == 0)
                r = put_data(s, slice_make(tail, sizeof(tail)));
        return r == 0 ? put_end(s) : r;
}

int pg_copy(PgSession *s, const char *sql, Slice rows) {
        PgTrip trip = {NULL, NULL, 0};
        int r;

        CHECK(s->transaction == TRANSACTION_OPEN);
        if (PQexitPipelineMode(s->db) == 0)
                return pg_broken(s);
        r = sent(s, PQsendQuery(s->db, sql));
        if (r == 0)
                r = pg_flush(s);
        if (r == 0)
                r = receive_plain(s, &trip);
        if (r == 0 && !trip.error)
                r = copy_rows(s, rows);
        if (r == 0)
                r = receive_plain(s, &trip);
        if (r == 0 && PQenterPipelineMode(s->db) == 0 && !trip.error)
                r = pg_broken(s);
        return end_trip(s, &trip, r, NULL);
}
