/* SPDX-License-Identifier: MIT */

/* Waiting for changes that others make, by LISTEN; see the triggers on urls in the schema. */

#include <errno.h>
#include <poll.h>

#include "basic/clock.h"
#include "store/postgres/session.h"

#define MADE "url_created" /* the channel */

static void deliver(PgSession *s, void (*changed)(void *userdata, Slice code, bool made),
                    void *userdata) {
        PGnotify *notify;

        while ((notify = PQnotifies(s->db))) {
                Slice code = slice_from_string(notify->extra);

                changed(userdata, code.len > 0 ? code : SLICE_NONE,
                        strcmp(notify->relname, MADE) == 0);
                PQfreemem(notify);
        }
}

static int listen_or_ping(PgSession *s, bool *ret_began) {
        int r;

        r = pg_ready(s);
        if (r < 0)
                return r;
        if (s->listening)
                return pg_run(s, STMT_PING, "SELECT 1", NULL, NULL);
        r = pg_run(s, STMT_NONE, "LISTEN " MADE, NULL, NULL);
        if (r == 0)
                r = pg_run(s, STMT_NONE, "LISTEN url_changed", NULL, NULL);
        if (r < 0)
                return r;
        s->listening = true;
        *ret_began = true;
        return 0;
}

/* 1: the time is over. */
static int wait_for_some(PgSession *s, uint64_t end_usec) {
        struct pollfd fd = {.fd = PQsocket(s->db), .events = POLLIN};
        uint64_t now_usec = clock_monotonic_usec();
        int n;

        if (now_usec >= end_usec)
                return 1;
        n = poll(&fd, 1, (int)MIN((end_usec - now_usec + 999) / 1000, (uint64_t)INT32_MAX));
        if (n < 0)
                return errno == EINTR ? 0 : pg_broken(s);
        if (n > 0 && PQconsumeInput(s->db) == 0)
                return pg_broken(s);
        return 0;
}

int pg_watch(StoreSession *session, uint64_t timeout_usec,
             void (*changed)(void *userdata, Slice code, bool made), void *userdata,
             bool *ret_began) {
        uint64_t end_usec = clock_monotonic_usec() + timeout_usec;
        PgSession *s = pg_session(session);
        bool heard;
        int r;

        *ret_began = false;
        heard = s->listening;
        r = listen_or_ping(s, ret_began);
        while (r == 0) {
                deliver(s, changed, userdata);
                r = wait_for_some(s, end_usec);
        }
        if (r < 0 && s->lost)
                pg_disconnect(s);
        /* A sign of life that is not there, unlike that of a statement that takes long. */
        if (r == -ETIMEDOUT && heard)
                pg_doubt(pg_store(s));
        return r < 0 ? r : 0;
}
