/* SPDX-License-Identifier: MIT */

/*
 * The store's chores, in short steps, so that writers get in between, and for a tenth of a second
 * at a time, so that shipping goes on: while there is more to do the next call goes on, then there
 * is a pause. Runs on the shipper's thread.
 */

#include "clicks/tidy.h"

#include "basic/clock.h"

#define PAUSE_USEC    (600 * USEC_PER_SEC)
#define DEADLINE_USEC (5 * USEC_PER_SEC)  /* of a step ... */
#define WALK_USEC     (60 * USEC_PER_SEC) /* ... that may walk odd days, when one is made ahead */
/* Steps of dropping visits: so long at a time, a tenth of what the shipper has. */
#define EVENTS_USEC (100 * USEC_PER_MSEC)
#define STEPS_MAX   50u

/* Seconds since the epoch; 0: nothing is too old. */
static int64_t before(uint64_t keep_usec) {
        return keep_usec > 0 ? (int64_t)((clock_realtime_usec() - keep_usec) / USEC_PER_SEC) : 0;
}

static void tidy_events(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        uint64_t now = now_usec;
        bool more = true;

        if (!tidy->events || now_usec < tidy->events_due_usec)
                return;
        for (unsigned i = 0; more && i < STEPS_MAX && now - now_usec < EVENTS_USEC; i++) {
                store_session_deadline(session, now + WALK_USEC);
                if (store_events_tidy(session, before(tidy->keep_events_usec), &more) != 0)
                        return;
                now = clock_monotonic_usec();
        }
        if (!more)
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
        store_session_deadline(session, now_usec + DEADLINE_USEC);
        if (store_keys_tidy(session, now_sec, &more) == 0 && !more)
                tidy->keys_due_usec = now_usec + PAUSE_USEC;
}

void tidy_run(Tidy *tidy, StoreSession *session, uint64_t now_usec) {
        tidy_events(tidy, session, now_usec);
        tidy_audit(tidy, session, now_usec);
        tidy_keys(tidy, session, now_usec);
}
