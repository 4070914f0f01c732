/* SPDX-License-Identifier: MIT */

/*
 * Which of the hosts in the URL takes changes.
 *
 * Of several hosts a standby may have been promoted while nobody was reached, and the old primary
 * may go on where it was frozen, with the connections that it had. So after an outage none of those
 * is believed, and all hosts are asked: the primary on the highest timeline is the one. As long as
 * one has not said what it is, since it starts, is down or is silent, it may be a later primary:
 * those that did not are asked again and again, less and less often. One whose schema or encoding
 * is of no use is passed over for one that fits, unless its timeline is higher. One of another
 * database system is no later primary, whatever its timeline is, and never chosen: see timeline.c.
 */

#include <errno.h>

#include "basic/clock.h"
#include "store/postgres/session.h"
#include "sys/credential.h"

#define OTHERS_USEC     (USEC_PER_SEC / 4)  /* for each host behind a primary that answered */
#define LOOK_USEC       USEC_PER_SEC        /* until those are asked again that said nothing ... */
#define LOOK_MOST       (60 * USEC_PER_SEC) /* ... twice as long each time */
#define STARTING_MOST   (4 * USEC_PER_SEC)  /* likewise, while one of them starts */
#define CREDENTIAL      "shortener.database-password"
#define STATE_CROWDED   "53300" /* too_many_connections */
#define STATE_STARTING  "57P03" /* cannot_connect_now */
#define CREDENTIAL_FILE "SHORTENER_DATABASE_PASSWORD_FILE"

bool pg_is_crowded(const PgSession *s) {
        return strcmp(s->sqlstate, STATE_CROWDED) == 0;
}

/* What pg_connect_any works on. */
typedef struct Search {
        char *password;
        bool all;          /* hosts are to be asked, not those up to the first primary */
        bool unheard;      /* one did not say what it is */
        bool starting;     /* since it starts or recovers: soon it will */
        PGconn *best;      /* the primary on the highest timeline so far */
        uint64_t timeline; /* its */
        uint64_t system;   /* that they must be of; 0: any */
        char crowded[STORE_ERROR_SIZE]; /* what one without room has said */
        char unfit[STORE_ERROR_SIZE];   /* why the primary on ... */
        uint64_t unfit_timeline;        /* ... the highest of these is of no use */
        uint64_t unfit_system;
        char passed[STORE_ERROR_SIZE]; /* what is said of a primary that is not ours */
        char other[STORE_ERROR_SIZE];  /* what else failed last */
} Search;

/* The session's new connection is put aside while others are asked. */
static void keep_better(PgSession *s, Search *search) {
        if (search->best && s->timeline <= search->timeline) {
                pg_disconnect(s);
                return;
        }
        PQfinish(search->best);
        search->best = s->db;
        search->timeline = s->timeline;
        search->system = s->system;
        s->db = NULL;
        pg_disconnect(s);
}

/* Of limit_usec, for the next of n_left hosts. Behind a primary there must be time to use it. */
static void limit_host(PgSession *s, const Search *search, uint64_t limit_usec, size_t n_left) {
        uint64_t now_usec = clock_monotonic_usec();
        uint64_t left_usec = limit_usec > now_usec ? limit_usec - now_usec : 0;

        if (search->best)
                s->limit_usec = now_usec +
                                (limit_usec == 0 ? OTHERS_USEC
                                                 : MIN(left_usec / (n_left + 1), OTHERS_USEC));
        else if (left_usec > 0)
                s->limit_usec = now_usec + left_usec / n_left;
}

static bool is_foreign(const PgSession *s, const Search *search) {
        return search->system != 0 && s->system != search->system && pg_store(s)->n_hosts > 1;
}

static void note_unfit(const PgSession *s, Search *search, const char *why) {
        uint64_t timeline = is_foreign(s, search) ? 0 : s->timeline;

        if (*search->unfit && timeline <= search->unfit_timeline)
                return;
        memcpy(search->unfit, why, sizeof(search->unfit));
        search->unfit_timeline = timeline;
        search->unfit_system = s->system;
}

/* Connected, to a primary that this program can use, of our system. */
static int connect_fit(PgSession *s, Search *search, size_t host) {
        char why[STORE_ERROR_SIZE];
        int r;

        r = pg_connect_host(s, host, search->password);
        if (r == 0 && pg_system_wanted(s) == s->system) {
                r = pg_timeline_note(s, s->system, s->timeline);
                if (r < 0)
                        pg_disconnect(s);
        }
        if (r == -EHOSTDOWN && s->timeline > 0) /* an older one than was seen */
                memcpy(search->passed, s->session.error, sizeof(search->passed));
        if (r < 0)
                return r;
        r = pg_ask_fit(s, why);
        if (r == STORE_BAD_SCHEMA)
                note_unfit(s, search, why);
        else if (r == 0 && is_foreign(s, search)) {
                pg_disconnect(s);
                store_session_set_error(
                                &s->session,
                                "host %zu belongs to another database system, %llu, not %llu: see "
                                "shortener.conf(5) if it is meant",
                                host + 1, (unsigned long long)s->system,
                                (unsigned long long)search->system);
                memcpy(search->passed, s->session.error, sizeof(search->passed));
        } else
                return r;
        return -EHOSTDOWN;
}

static int search_hosts(PgSession *s, Search *search) {
        uint64_t limit_usec = s->limit_usec;
        size_t n_hosts = pg_store(s)->n_hosts;
        int r = -EHOSTDOWN;

        for (size_t i = 0; i < n_hosts; i++) {
                limit_host(s, search, limit_usec, n_hosts - i);
                r = connect_fit(s, search, i);
                if (r == 0)
                        keep_better(s, search);
                if (r == -ENOMEM || (r == 0 && !search->all))
                        break;
                search->unheard = search->unheard || !s->heard;
                search->starting = search->starting || strcmp(s->sqlstate, STATE_STARTING) == 0;
                if (r < 0 && strcmp(s->session.error, search->passed) != 0)
                        memcpy(search->other, s->session.error, sizeof(search->other));
                if (pg_is_crowded(s))
                        memcpy(search->crowded, s->session.error, sizeof(search->crowded));
        }
        s->limit_usec = limit_usec;
        return r == -EBUSY ? -ETIMEDOUT : r;
}

/* One of no use is no candidate beside one that is; but it may be the later primary. */
static bool is_unfit(const Search *search) {
        if (search->best)
                return search->unfit_timeline > search->timeline &&
                       search->unfit_system == search->system;
        return *search->unfit && !*search->crowded;
}

/* No host is chosen, r: what the last one has said to it. */
static int explain(PgSession *s, const Search *search, int r) {
        if (r == 0)
                return r;
        /* A primary without room says more than the standbys behind it in the list. */
        if (*search->crowded) {
                memcpy(s->session.error, search->crowded, sizeof(search->crowded));
                memcpy(s->sqlstate, STATE_CROWDED, sizeof(s->sqlstate));
        } else if (*search->passed)
                store_session_set_error(&s->session, "%s%s%s", search->passed,
                                        *search->other ? "; another: " : "", search->other);
        return r;
}

int pg_connect_any(PgSession *s) {
        PgStore *store = pg_store(s);
        unsigned n_outages = atomic_load(&store->n_outages);
        bool known = atomic_load(&store->timeline) != 0, looking = s->looking;
        Search search = {.all = s->unheard || atomic_load(&store->n_looked) != n_outages,
                         .system = pg_system_wanted(s)};
        int r;

        s->looking = false;
        s->n_unfit = atomic_load(&store->n_unfit);
        *s->sqlstate = 0;
        r = credential_read(CREDENTIAL, CREDENTIAL_FILE, &search.password);
        if (r < 0 && r != -ENOENT) {
                store_session_set_error(&s->session, "cannot read the credential %s: %s",
                                        CREDENTIAL, strerror(-r));
                return r == -ENOMEM ? r : -EHOSTDOWN;
        }
        r = search_hosts(s, &search);
        free(search.password);
        if (search.starting && atomic_load(&store->look_usec) > STARTING_MOST)
                atomic_store(&store->look_usec, STARTING_MOST);
        if (search.best && search.all && known && !looking && *search.crowded) {
                PQfinish(search.best); /* the one without room may have been promoted */
                search.best = NULL;
                r = -EHOSTDOWN;
        }
        if (is_unfit(&search)) {
                if (search.best && r == 0) /* history went on in the other one */
                        r = pg_timeline_note(s, search.unfit_system, search.unfit_timeline);
                PQfinish(search.best);
                return r == -ENOMEM ? r : pg_set_unfit(s, search.unfit);
        }
        if (search.best && pg_timeline_note(s, search.system, search.timeline) == 0) {
                pg_set_fit(s);
                if (search.all && !search.unheard && !*search.crowded)
                        atomic_store(&store->n_looked, n_outages);
                s->db = search.best;
                s->system = search.system;
                s->timeline = search.timeline;
                s->n_outages = n_outages;
                s->unheard = false;
                return 0;
        }
        if (search.best) {
                PQfinish(search.best);
                return -EHOSTDOWN;
        }
        return explain(s, &search, r);
}

void pg_doubt(PgStore *store) {
        if (store->n_hosts <= 1)
                return;
        atomic_store(&store->look_usec, LOOK_USEC);
        atomic_store(&store->next_look_usec, 0);
        atomic_fetch_add(&store->n_outages, 1);
}

void pg_look_again(PgSession *s) {
        PgStore *store = pg_store(s);
        uint64_t now_usec = clock_monotonic_usec(), usec = atomic_load(&store->look_usec);

        if (!s->db || s->in_load ||
            atomic_load(&store->n_looked) == atomic_load(&store->n_outages) ||
            now_usec < atomic_load(&store->next_look_usec))
                return;
        usec = usec == 0 ? LOOK_USEC : MIN(usec, LOOK_MOST);
        atomic_store(&store->next_look_usec, now_usec + usec);
        atomic_store(&store->look_usec, 2 * usec);
        pg_disconnect(s); /* who connects asks all */
        s->looking = true;
}
