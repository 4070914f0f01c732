/* SPDX-License-Identifier: MIT */
/*
 * A model of what makes an edit visible at once (design: coherence): the host page, cache fills,
 * writers, their crashes, and those who finish what the dead began. One link.
 *
 * Asserted at each hit: a visit that began when version `due` was due is not given an older one. A
 * version is due once its writer was answered or, its writer having died after the COMMIT, once a
 * sweep that began after the death has ended.
 *
 * The link may be there from the start, or be made by the first COMMIT: that moves only what entries
 * look at that say that there is none. It is never made twice: a code that was given is not given again.
 *
 * What is left out, and why nothing is lost by it: an instance is here either a reader or a writer
 * (one that is both has less freedom: its parts move to a new page together); a reader does not hit
 * its cache while a fill is under way (such a hit is one that came before the fill); several links
 * that share a counter only cost each other a miss. Memory is sequentially consistent; which orders
 * that takes is said in src/host/page.c.
 *
 * Variants, by -D:
 *   REPLACE  somebody removes the page's file; processes come to the new page one by one
 *   FAULT_x  a mistake that must be found (run-model lists them): it shows that the model can see
 *
 * To add a second source of what is filled (Redis), give fill_read() its branch and the source a
 * process for what it does by itself; nothing else knows where a value came from.
 */

#ifdef REPLACE
# define N_PAGES   2
# define N_WRITERS 1
#else
# define N_PAGES   1
# define N_WRITERS 2
#endif
#ifndef N_EDITS
# define N_EDITS 1 /* of the first writer; the second one makes one */
#endif

/* ---- the store, and what the promise is about ---- */

byte row; /* the committed version of the link */
bool absent; /* there is none yet */
byte due;
byte unanswered[N_WRITERS]; /* committed, its writer not yet answered; 0: nothing */

inline settle(w) {
        d_step {
                due = (unanswered[w] > due -> unanswered[w] : due);
                unanswered[w] = 0
        }
}

/* ---- host pages ---- */

#define NAMED     1
#define NAMED_ALL 2

typedef Page {
        byte counter;
        byte made; /* the upper bits of the counter */
        byte epoch;
        byte named[N_WRITERS]; /* 0: nothing; NAMED: the counter; NAMED_ALL: the epoch */
        bool table;            /* somebody has the table lock */
}
Page page[N_PAGES];
byte path;             /* the page that the file's name leads to */
bool alive[N_WRITERS]; /* has its slot's lock, in each page that it has come to */

/* A process has the pages 0 to newest, and touches all of them. */
inline touch_page(p, what, is_made) {
        if
        :: what == NAMED && is_made -> page[p].made++
        :: what == NAMED && !is_made -> page[p].counter++
        :: what == NAMED_ALL -> page[p].epoch++
        fi
}

/* ---- a reader: fills its cache, hits it ---- */

byte reader_newest;

/* Where a miss finds the link. */
inline fill_read(ret, ret_gone) {
        d_step { ret = row; ret_gone = absent }
}

#ifdef FAULT_GONE_STAYS
# define LOOKS_AT_MADE false
#else
# define LOOKS_AT_MADE gone
#endif

proctype reader() {
        byte value, counter, made, epoch; /* the entry */
        bool gone;
        byte m;

fill:   m = reader_newest;
#ifdef FAULT_MARK_LATE
        fill_read(value, gone);
#endif
        d_step { counter = page[m].counter; made = page[m].made } /* one word */
        epoch = page[m].epoch;
#ifndef FAULT_MARK_LATE
        fill_read(value, gone);
#endif
        m = 0;
end:    do
        :: d_step { m = due + 1 + 16 * reader_newest } /* the visit's first byte was sent */
           if
           :: page[m / 16].counter == counter && (!LOOKS_AT_MADE || page[m / 16].made == made) ->
                if
                :: page[m / 16].epoch == epoch -> assert(value + 1 >= m % 16)
                :: else -> goto fill
                fi
           :: else -> goto fill
           fi
           m = 0
        od
}

/* Its timer of 100 ms, at any moment of the above. */
#ifdef REPLACE
active proctype reader_check() {
        reader_newest = path
}
#endif

/* ---- writers ---- */

/* The process may end at any of its steps; its locks are free then. */
inline may_die(w) {
        if
        :: true
        :: alive[w] = false -> goto dead
        fi
}

/* Looks at the path. Mapping a page and claiming the slot there, names included, are two steps. */
inline refresh(w) {
        newest = path;
#ifdef REPLACE
        may_die(w);
        d_step {
                if
                :: place != newest ->
                        page[newest].named[w] = page[place].named[w];
                        place = newest
                :: else
                fi
        }
#endif
}

proctype writer(byte w, n) {
        byte what, newest, place;
        bool is_made;

        do
        :: n > 0 ->
                if
                :: what = NAMED
                :: what = NAMED_ALL
                fi;
                refresh(w);
#ifndef FAULT_NO_NAME
                page[place].named[w] = what;
#endif
#ifdef FAULT_TOUCH_EARLY
                touch_page(place, what, absent);
#endif
                may_die(w);
                d_step { is_made = absent; absent = false; row++; unanswered[w] = row } /* COMMIT */
                may_die(w);
#ifdef FAULT_ANSWER_EARLY
                settle(w);
#endif
#ifndef FAULT_NO_LOOK_AFTER
                refresh(w);
                may_die(w);
#endif
#ifdef FAULT_CLEAR_EARLY
                page[place].named[w] = 0;
                may_die(w);
#endif
#ifndef FAULT_TOUCH_EARLY
                touch_page(newest, what, is_made);
# ifdef REPLACE
                may_die(w);
#  ifndef FAULT_TOUCH_NEWEST
                if
                :: newest != 0 -> touch_page(0, what, is_made)
                :: else
                fi;
                may_die(w);
#  endif
# endif
#endif
                d_step { page[0].named[w] = 0; page[N_PAGES - 1].named[w] = 0 }
                may_die(w);
                settle(w);
                what = 0;
                is_made = false;
                n--
        :: else -> break
        od;
dead:   skip;
        d_step { n = 0; what = 0; is_made = false; newest = 0; place = 0 }
}

/* ---- sweeps ---- */

inline sweeper_may_die() {
        if
        :: true
        :: mortal -> goto dead
        fi
}

/* Under the table lock. */
inline finish_dead(p) {
        what = page[p].named[w];
        if
        :: what != 0 ->
#ifdef FAULT_SWEEP_CLEARS_FIRST
                page[p].named[w] = 0;
                sweeper_may_die();
#endif
                touch_page(newest, what, false);
                sweeper_may_die();
#ifdef REPLACE
                if
                :: newest != 0 -> touch_page(0, what, false)
                :: else
                fi;
                sweeper_may_die();
#endif
                page[p].named[w] = 0
        :: else
        fi;
        what = 0
}

/* A neighbour of writer w. A mortal one may end at any of its steps; the other one stands for the
 * fact that somebody lives: when its round has ended, what w had committed is due. Each has seen
 * the first page and looks at the path before its round. */
proctype sweeper(byte w; bool mortal) {
        byte p, what, newest;

end:    !alive[w];
        newest = path;
#ifdef FAULT_SWEEP_NEWEST
        p = newest;
#endif
        do
        :: p <= newest ->
                atomic { !page[p].table -> page[p].table = true }
                finish_dead(p);
                page[p].table = false;
                p++
        :: else -> break
        od;
        if
        :: mortal
        :: else -> settle(w)
        fi;
        goto done;
dead:   page[p].table = false;
done:   skip;
        d_step { p = 0; newest = 0; what = 0 }
}

/* ---- an administrator ---- */

#ifdef REPLACE
active proctype remover() {
        path = 1
}
#endif

init {
        atomic {
                if
                :: absent = true
                :: skip
                fi;
                run reader();
#ifdef REPLACE
# ifndef FAULT_SAME_EPOCH
                page[1].epoch = 100; /* random in truth: what the first one never has */
# endif
#endif
                alive[0] = true;
                run writer(0, N_EDITS);
                run sweeper(0, false);
                run sweeper(0, true);
#if N_WRITERS > 1
                alive[1] = true;
                run writer(1, 1);
                run sweeper(1, false)
#endif
        }
}
