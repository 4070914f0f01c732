/* SPDX-License-Identifier: MIT */

/*
 * The store's chores, a step of each at a time, so that writers get in between: while there is more
 * to do the next call goes on, then there is a pause. Runs on the shipper's thread.
 */

#include "clicks/tidy.h"

#include "basic/clock.h"

#define PAUSE_USEC    (600 * USEC_PER_SEC)
#define DEADLINE_USEC (60 * USEC_PER_SEC) /* dropping a day counts it first */
#define KEYS_USEC     (5 * USEC_PER_SEC)

/* Seconds since the epoch; 0: nothing is too old. */
static int64_t before(uint64_t keep_usec) {
        return keep_usec > 0 ? (int64_t)((clock_realtime_usec() - keep_usec) / USEC_PER_SEC) : 0;
}

static void tidy_events(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        bool more = false;

        if (!tidy->events || now_usec < tidy->events_due_usec)
                return;
        store_session_deadline(session, now_usec + DEADLINE_USEC);
        if (store_events_tidy(session, before(tidy->keep_events_usec), &more) == 0 && !more)
                tidy->events_due_usec = now_usec + PAUSE_USEC;
}

static void tidy_audit(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        bool more = false;

        if (tidy->keep_audit_usec == 0 || now_usec < tidy->audit_due_usec)
                return;
        store_session_deadline(session, now_usec + DEADLINE_USEC);
        if (store_audit_tidy(session, before(tidy->keep_audit_usec), &more) == 0 && !more)
                tidy->audit_due_usec = now_usec + PAUSE_USEC;
}

static void tidy_keys(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        int64_t now_sec = (int64_t)(clock_realtime_usec() / USEC_PER_SEC);
        bool more = false;

        if (now_usec < tidy->keys_due_usec)
                return;
        store_session_deadline(session, now_usec + KEYS_USEC);
        if (store_keys_tidy(session, now_sec, &more) == 0 && !more)
                tidy->keys_due_usec = now_usec + PAUSE_USEC;
}

void tidy_run(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        tidy_events(tidy, session, now_usec);
        tidy_audit(tidy, session, now_usec);
        tidy_keys(tidy, session, now_usec);
}
