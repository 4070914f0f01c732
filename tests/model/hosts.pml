/* SPDX-License-Identifier: MIT */
/*
 * A model of what other hosts, Redis and the watcher add to coherence.pml: one link, an editor on
 * another host (or by hand), a filler that Redis lets pause, and a reader here. The page's crashes
 * and replacements are coherence.pml's.
 *
 * Time is a count of ticks. An edit must be seen here GRACE ticks after its COMMIT, while the store
 * can be reached from here. A tick stands for 250 ms: the watcher asks once a tick and has two for
 * the answer, an entry read while nothing is heard lives four (a second), a Redis value TTL, and a
 * counter is quiet after QUIET.
 *
 * Asserted at each hit: with the store reachable, the entry is not older than what was committed
 * GRACE ticks before.
 *
 * Variants: by itself, the listening connection and the store break, and Redis keeps what it has; with
 * -DPAUSES, fills pause and Redis comes back from a snapshot, and the connection holds. Both together
 * have more states than can be visited. With -DSTALLS the watcher stands still for any time (a process
 * or a machine that was stopped), and the connection holds.
 *
 * FAULT_x, by -D, is a guard removed; each must be found (run-model lists them).
 */

#define GRACE 4
#define LIFE  4 /* of an entry while nothing is heard; the watcher notices after at most 3 */
#define TTL   4
#define QUIET 5 /* > TTL: a counter that moved longer ago */
#define ALL   0 /* what the watcher has told, see store_sight() */
#define NONE  1
#define LOST  2
#define END   11 /* ticks that are looked at */

byte now;
byte row;          /* committed version: 0 or 1; the editor makes one edit */
byte edited_at;    /* tick of it */
bool store_up = true;     /* reachable from this host */
bool listening = true;    /* the connection delivers */
bool heard = true;        /* nothing that was committed is still to be delivered */

byte up_since;     /* tick since which the store can be reached */

byte sight = ALL;
byte seen;         /* all before this tick was heard of */
byte counter;
byte epoch;
byte moved = 0;    /* tick of the last move of either */
bool quiet_before = true; /* it has not moved for long before tick 0 */

/* Redis: one value, and how long it lives. A second one is what a snapshot brings back. */
byte redis_value = 0;
byte redis_end = TTL;
byte snapshot_value = 0;
byte snapshot_end = 0;

#ifdef FAULT_REDIS_NOT_QUIET
# define IS_QUIET true
#else
# define IS_QUIET (quiet_before || now >= moved + QUIET)
#endif
/* What the watcher told is relied on, see store_sight(). */
#ifdef FAULT_OLD_WORD
# define SEES (sight != LOST)
#else
# define SEES (sight == NONE || sight == ALL && now <= seen + LIFE)
#endif
#ifdef FAULT_LIVES_ON
# define IS_YOUNG true
#else
# define IS_YOUNG (SEES || now < read_at + LIFE)
#endif

inline touch() {
        counter++;
        moved = now;
        quiet_before = false
}

/* ---- time ---- */

/* A tick passes only when the watcher has done what it does each tick. */
bool watcher_due;
#ifdef STALLS
# define MAY_TICK true
#else
# define MAY_TICK (!watcher_due)
#endif

active proctype clock() {
        do
        :: now < END && MAY_TICK -> d_step { now++; watcher_due = true }
        :: now == END -> break
        od
}

/* ---- another host ---- */

active proctype editor() {
        if
        :: atomic { now < 3 -> row = 1; edited_at = now; heard = false }
        :: now >= 3 /* none in this run */
        fi
}

/* The server, or just the connection, breaks and comes back. */
#if !defined(PAUSES) && !defined(STALLS)
active proctype trouble() {
        if
        :: listening = false
        :: atomic { listening = false; store_up = false }
        :: skip
        fi;
        if
        :: !store_up -> atomic { now > 4 -> store_up = true; up_since = now }
        :: skip
        fi;
        if
        :: listening = store_up
        :: skip
        fi
}
#endif

/* ---- the watcher ---- */

active proctype watcher() {
        byte silent = 0; /* ticks without an answer */
        bool lost = false;

end:    do
        :: watcher_due ->
                if
                :: listening && !lost -> atomic {
                        /* what was committed is delivered before the answer */
                        if
                        :: !heard -> heard = true; touch()
                        :: else
                        fi;
                        seen = now;
                        silent = 0
                   }
                :: listening && lost -> atomic {
                        /* LISTEN; then the epoch moves, then all is heard */
#ifndef FAULT_NO_EPOCH
                        epoch++;
                        moved = now;
                        quiet_before = false;
#endif
                        heard = true;
                        lost = false;
                        silent = 0;
                        seen = now;
                        sight = ALL
                   }
                :: !listening ->
                        silent++;
                        if
                        :: silent >= 2 -> atomic {
                                lost = true;
                                if
                                :: sight == ALL -> sight = NONE
                                :: else
                                fi;
#ifndef FAULT_NOT_NOTICED
                                if
                                :: store_up && sight == NONE -> sight = LOST
                                :: else
                                fi
#endif
                           }
                        :: else
                        fi
                fi;
                watcher_due = false
        od
}

/* ---- Redis by itself: back from a snapshot; flushed, it has less to say ---- */

#ifdef PAUSES
active proctype redis_breaks() {
        atomic { snapshot_value = redis_value; snapshot_end = redis_end };
        d_step {
                redis_value = snapshot_value;
                redis_end = snapshot_end;
                snapshot_value = 0;
                snapshot_end = 0
        }
}

/* ---- a fill somewhere that pauses between its read and its write to Redis ---- */

active proctype paused_fill() {
        byte value, read_at;

        atomic { value = row; read_at = now };
        /* any time passes */
#ifdef FAULT_TTL_FROM_WRITE
        atomic { redis_value = value; redis_end = now + TTL }
#else
        atomic { redis_value = value; redis_end = read_at + TTL }
#endif
}
#endif

/* ---- a reader: one miss at any time, and hits of its entry at any time after it ---- */

active proctype reader() {
        byte value, mark_counter, mark_epoch, read_at;

        d_step { mark_counter = counter; mark_epoch = epoch; read_at = now };
        if
        :: atomic { redis_end > now && IS_QUIET && SEES ->
                value = redis_value;
#ifndef FAULT_REDIS_AGE
                read_at = (seen < read_at -> seen : read_at)
#endif
           }
        :: atomic { store_up -> value = row }
        :: now == END -> goto done
        fi;
        do
        :: atomic { mark_counter == counter && mark_epoch == epoch && IS_YOUNG ->
                assert(value == row || !store_up || now <= edited_at + GRACE ||
                       now <= up_since + GRACE)
           }
        :: now == END || mark_counter != counter || mark_epoch != epoch -> break
        od;
done:   skip
}
