/* SPDX-License-Identifier: MIT */

/*
 * A session's connection: making it, waiting on it, ending it. A session connects when it first
 * needs to and again after the connection was lost, so an away server is an error of verbs, never
 * of sessions.
 *
 * libpq's own way through several hosts waits for ever at one that is frozen, so each host is a
 * connection attempt of its own here, with its share of the time. When none answers, the next try
 * of any session of this process comes a second later at the earliest.
 *
 * A host name in the URL is looked up by libpq, which blocks for as long as the resolver does: the
 * documents recommend sockets and addresses.
 */

#include <errno.h>
#include <poll.h>
#include <sys/random.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define OPTIONS_MAX  64
#define VALUE_MAX    1024                  /* bytes of one host, address or port */
#define RETRY_USEC   (1 * USEC_PER_SEC)    /* between two tries of a process ... */
#define RETRY_JITTER (USEC_PER_SEC / 2)    /* ... and at most so much more */
#define AGE_USEC     (1800 * USEC_PER_SEC) /* of a connection, at least */
#define AGE_JITTER   (1800 * USEC_PER_SEC)
#define STATE_SIZE   5 /* of an SQLSTATE */

/* What a new connection is asked: is the server a primary, of which system, on which timeline? And
 * what it is told: plans for values that are not known, since ours do not depend on them; and
 * PG_SETTINGS. Not behind a pooler, where the next one to have this connection may be anybody. */
#define GREETING                                         \
 "SELECT pg_is_in_recovery(),"                           \
 " (SELECT system_identifier FROM pg_control_system())," \
 " CASE WHEN pg_is_in_recovery() THEN 0 ELSE"            \
 " ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END"
static const char SQL_GREET_POOLED[] = GREETING;
static const char SQL_GREET[] =
                GREETING ", set_config('plan_cache_mode', 'force_generic_plan', false),"
                         " set_config('jit', 'off', false), " PG_SETTINGS("false");

static uint64_t jitter(uint64_t most) {
        uint64_t random = 0;

        if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
                random = clock_monotonic_usec();
        return random % most;
}

/* ---- waiting ---- */

int pg_broken(PgSession *s) {
        const char *text = PQerrorMessage(s->db);
        const char *end = strstr(text, "\nLOCATION:"); /* where in the server's source */
        size_t len = end ? (size_t)(end - text) : strlen(text);

        while (len > 0 && text[len - 1] == '\n')
                len--;
        store_session_set_error(&s->session, "%.*s%s", (int)len, text,
                                len > 0 ? "" : "the connection to the server is lost");
        s->lost = true;
        return -EHOSTDOWN;
}

/* Before COMMIT was sent it is known that nothing was done. */
static int time_is_over(PgSession *s) {
        bool nothing_done = s->transaction != TRANSACTION_NONE && !s->read_only && !s->committing;

        store_session_set_error(&s->session, "the server did not answer in time%s",
                                nothing_done ? "; nothing was changed" : "");
        s->lost = true;
        s->unheard = s->unheard || s->connected;
        return nothing_done ? -EBUSY : -ETIMEDOUT;
}

/* Milliseconds for poll(), rounded up; -1: no limit; 0: over. */
static int time_left(const PgSession *s) {
        uint64_t now_usec;

        if (s->limit_usec == 0)
                return -1;
        now_usec = clock_monotonic_usec();
        if (now_usec >= s->limit_usec)
                return 0;
        return (int)MIN((s->limit_usec - now_usec + 999) / 1000, (uint64_t)INT32_MAX);
}

int pg_wait(PgSession *s, short events) {
        struct pollfd fd = {.fd = PQsocket(s->db), .events = events};
        int left, n;

        if (fd.fd < 0)
                return pg_broken(s);
        do {
                left = time_left(s);
                if (left == 0)
                        return time_is_over(s);
                n = poll(&fd, 1, left);
        } while (n == 0 || (n < 0 && errno == EINTR));
        return n < 0 ? pg_broken(s) : 0;
}

int pg_pause(PgSession *s, uint64_t usec) {
        struct pollfd fd = {.fd = PQsocket(s->db), .events = POLLIN};

        if (poll(&fd, 1, (int)(usec / USEC_PER_MSEC)) > 0 && PQconsumeInput(s->db) == 0)
                return pg_broken(s);
        return 0;
}

int pg_flush(PgSession *s) {
        int r;

        while ((r = PQflush(s->db)) == 1) {
                r = pg_wait(s, POLLIN | POLLOUT);
                if (r < 0)
                        return r;
                /* A server that is busy sending may have to be read before it reads. */
                if (PQconsumeInput(s->db) == 0)
                        return pg_broken(s);
        }
        return r < 0 ? pg_broken(s) : 0;
}

/* ---- connecting ---- */

/* One of a comma list; a list of one is every host's. */
static Slice item_of(const char *list, size_t i) {
        Slice item = SLICE_NONE, rest = slice_from_string(list);
        bool more = true;

        for (size_t at = 0; at <= i; at++) {
                if (!more)
                        return at == 1 ? item : SLICE("");
                more = slice_cut(rest, ',', &item, &rest);
        }
        return item;
}

/* libpq keeps the state of a server's refusal to itself, but puts it into a verbose text:
 * "... FATAL:  53300: too many clients". */
static void keep_state(PgSession *s) {
        static const char allowed[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const char *at = PQerrorMessage(s->db);

        *s->sqlstate = 0;
        while ((at = strstr(at, ":  "))) {
                at += 3;
                if (strspn(at, allowed) != STATE_SIZE || at[STATE_SIZE] != ':')
                        continue;
                (void)snprintf(s->sqlstate, sizeof(s->sqlstate), "%s", at);
                return;
        }
}

/* Begins a connection to the host of this number. */
static int start(PgSession *s, size_t host, const char *password) {
        const char *keywords[OPTIONS_MAX + 1] = {0}, *values[OPTIONS_MAX + 1] = {0};
        char items[3][VALUE_MAX];
        size_t n = 0, n_items = 0;

        for (const PQconninfoOption *option = pg_store(s)->conninfo; option->keyword; option++) {
                const char *value = option->val;

                if (!value && strcmp(option->keyword, "password") == 0)
                        value = password;
                if (!value)
                        continue;
                CHECK(n < OPTIONS_MAX);
                if (pg_conninfo_is_list(option->keyword)) {
                        Slice item = item_of(value, host);

                        if (item.len >= VALUE_MAX)
                                return -ENAMETOOLONG;
                        memcpy(items[n_items], item.data, item.len);
                        items[n_items][item.len] = 0;
                        value = items[n_items++];
                }
                keywords[n] = option->keyword;
                values[n++] = value;
        }
        s->db = PQconnectStartParams(keywords, values, 0);
        if (!s->db)
                return -ENOMEM;
        (void)PQsetErrorVerbosity(s->db, PQERRORS_VERBOSE);
        return 0;
}

static int finish_connecting(PgSession *s) {
        PostgresPollingStatusType state = PGRES_POLLING_WRITING;
        int r;

        if (PQstatus(s->db) == CONNECTION_BAD)
                return pg_broken(s);
        while (state != PGRES_POLLING_OK) {
                r = pg_wait(s, state == PGRES_POLLING_READING ? POLLIN : POLLOUT);
                if (r < 0)
                        return r;
                state = PQconnectPoll(s->db);
                if (state == PGRES_POLLING_FAILED)
                        return pg_broken(s);
        }
        (void)PQsetErrorVerbosity(s->db, PQERRORS_DEFAULT);
        if (PQsetnonblocking(s->db, 1) < 0 || PQenterPipelineMode(s->db) == 0)
                return pg_broken(s);
        return 0;
}

static void quiet(void *userdata _unused_, const PGresult *result _unused_) {
}

static int greet(PgSession *s) {
        _cleanup_(pg_clear_p) PGresult *result = NULL;
        int r;

        (void)PQsetNoticeReceiver(s->db, quiet, NULL);
        r = pg_run(s, STMT_NONE,
                   s->session.store->options.unprepared ? SQL_GREET_POOLED : SQL_GREET, NULL,
                   &result);
        if (r < 0)
                return r;
        s->heard = true;
        if (pg_number(result, 0, 0) != 0) {
                store_session_set_error(&s->session, "the server is a standby: it takes no "
                                                     "changes");
                return -EHOSTDOWN;
        }
        s->system = (uint64_t)pg_number(result, 0, 1);
        s->timeline = (uint64_t)pg_number(result, 0, 2);
        return pg_timeline_check(s);
}

int pg_connect_host(PgSession *s, size_t host, const char *password) {
        int r;

        *s->sqlstate = 0;
        s->heard = false;
        s->timeline = 0;
        r = start(s, host, password);
        if (r == 0) {
                r = finish_connecting(s);
                if (r == -EHOSTDOWN)
                        keep_state(s);
                pg_advise(s);
        }
        if (r == 0)
                r = greet(s);
        if (r < 0)
                pg_disconnect(s);
        return r;
}

/* While the server is away one session tries at a time. */
static bool may_connect(PgStore *store, uint64_t now_usec) {
        uint64_t next_usec = atomic_load(&store->next_try_usec);

        if (next_usec == 0)
                return true;
        return now_usec >= next_usec &&
               atomic_compare_exchange_strong(&store->next_try_usec, &next_usec,
                                              now_usec + RETRY_USEC + jitter(RETRY_JITTER));
}

static int connect_paced(PgSession *s) {
        uint64_t connect_usec = s->session.store->options.connect_usec;
        uint64_t now_usec = clock_monotonic_usec();
        PgStore *store = pg_store(s);
        unsigned n_made = atomic_load(&store->n_made);
        int r;

        if (!may_connect(store, now_usec)) {
                store_session_set_crowded(&s->session, atomic_load(&store->crowded));
                store_session_set_error(&s->session,
                                        "the server %s; the next try to reach "
                                        "it comes within two seconds",
                                        s->session.crowded ? "has no connection left" : "is away");
                s->session.not_asked = true;
                return -EHOSTDOWN;
        }
        if (connect_usec != 0 && (s->limit_usec == 0 || now_usec + connect_usec < s->limit_usec))
                s->limit_usec = now_usec + connect_usec;
        r = pg_connect_any(s);
        now_usec = clock_monotonic_usec();
        if (r != -ENOMEM) {
                atomic_store(&store->crowded, r < 0 && pg_is_crowded(s));
                store_session_set_crowded(&s->session, r < 0 && pg_is_crowded(s));
        }
        if (r < 0 && r != -ENOMEM)
                store_session_keep_cause(&s->session);
        if (r < 0 && r != -ENOMEM && !pg_is_crowded(s) && store_n_connected(s->session.store) == 0)
                pg_doubt(store); /* else the watcher knows better */
        if (r < 0) {
                /* Unless another session got through meanwhile: then it is back. */
                if (r != -ENOMEM && atomic_load(&store->n_made) == n_made)
                        atomic_store(&store->next_try_usec,
                                     now_usec + RETRY_USEC + jitter(RETRY_JITTER));
                return r;
        }
        atomic_fetch_add(&store->n_made, 1);
        atomic_store(&store->next_try_usec, 0);
        atomic_fetch_add(&s->session.store->n_connected, 1);
        s->connected = true;
        s->until_usec = now_usec + AGE_USEC + jitter(AGE_JITTER);
        return 0;
}

void pg_disconnect(PgSession *s) {
        PQfinish(s->db);
        if (s->connected)
                atomic_fetch_sub(&s->session.store->n_connected, 1);
        memset(s->prepared, 0, sizeof(s->prepared));
        s->db = NULL;
        s->timeout_msec = PG_TIMEOUT_UNKNOWN;
        s->transaction = TRANSACTION_NONE;
        s->connected = s->lost = s->listening = s->committing = false;
}

/* It says why before it does, so whatever comes unasked is reason enough for a new connection; a
 * session that listens expects to hear something. */
bool pg_has_ended(PgSession *s) {
        struct pollfd fd = {.fd = PQsocket(s->db), .events = POLLIN};

        while (poll(&fd, 1, 0) != 0)
                if (!s->listening || PQconsumeInput(s->db) == 0)
                        return true;
        return false;
}

bool pg_is_passed(const PgSession *s) {
        return s->timeline < atomic_load(&pg_store(s)->timeline) ||
               s->n_outages != atomic_load(&pg_store(s)->n_outages);
}

int pg_ready(PgSession *s) {
        int r;

        if (s->in_load && (!s->db || s->load_failed)) {
                store_session_set_error(&s->session, "the load has failed: roll it back");
                return -EINVAL;
        }
        s->limit_usec = s->session.deadline_usec;
        if (s->in_load)
                return 0;
        if (s->db &&
            (s->lost || pg_is_passed(s) || s->n_unfit != atomic_load(&pg_store(s)->n_unfit) ||
             (!s->listening && clock_monotonic_usec() >= s->until_usec) || pg_has_ended(s)))
                pg_disconnect(s);
        if (LIKELY(s->db))
                return 0;
        r = connect_paced(s);
        s->limit_usec = s->session.deadline_usec;
        return r;
}
